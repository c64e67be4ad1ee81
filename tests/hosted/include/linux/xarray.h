/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A sorted array of what is stored, by binary search.  As the kernel's, it needs memory
 * in xa_insert() only, and a walk finds what is there when it gets there.
 */
#ifndef _SHIM_XARRAY_H
#define _SHIM_XARRAY_H

#include <linux/types.h>

struct shim_slot {
	unsigned long index;
	void *entry;
};

struct xarray {
	struct shim_slot *slots;
	size_t nr, size;
	int flags;
};

#define XA_FLAGS_ACCOUNT	1	/* __GFP_ACCOUNT */

#define xa_init_flags(xa, what)		\
	((void)(*(xa) = (struct xarray){ .flags = (what) }))
void xa_destroy(struct xarray *xa);
void *xa_load(struct xarray *xa, unsigned long index);
int xa_insert(struct xarray *xa, unsigned long index, void *entry, int gfp);
void *xa_erase(struct xarray *xa, unsigned long index);
void *xa_find(struct xarray *xa, unsigned long *index, unsigned long max,
	      unsigned int filter);

void *xa_find_after(struct xarray *xa, unsigned long *index, unsigned long max,
		    unsigned int filter);

#define XA_PRESENT	8
#define xa_for_each(xa, index, entry)					\
	for ((index) = 0, (entry) = xa_find(xa, &(index), ULONG_MAX,	\
					    XA_PRESENT);		\
	     entry;							\
	     (index)++, (entry) = xa_find(xa, &(index), ULONG_MAX,	\
					  XA_PRESENT))

#endif
