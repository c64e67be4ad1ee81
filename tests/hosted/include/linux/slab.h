/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_SLAB_H
#define _SHIM_SLAB_H

#include <linux/cleanup.h>

#define GFP_KERNEL		0
#define __GFP_ACCOUNT		1
#define GFP_KERNEL_ACCOUNT	__GFP_ACCOUNT
#define __GFP_ZERO		0
#define __GFP_NOWARN		0

#define kmalloc_obj(what, flags)	((typeof(what) *)shim_kmalloc(sizeof(what)))
#define kzalloc_obj(what, flags)	((typeof(what) *)kzalloc(sizeof(what), flags))
#define kvzalloc_flex(what, array, count, flags) \
	((typeof(what) *)kzalloc(sizeof(what) + (count) * sizeof(*(what).array), flags))
#define kvfree(ptr)			kfree(ptr)

void *kzalloc(size_t size, int flags);
/* With junk in it */
void *shim_kmalloc(size_t size);
void kfree(const void *ptr);

/* For tests: objects not yet freed, all calls so far, and those without __GFP_ACCOUNT */
unsigned int shim_live_objects(void);
unsigned int shim_allocations(void);
unsigned int shim_uncharged(void);

DEFINE_FREE(kfree, void *, if (!IS_ERR_OR_NULL(_T)) kfree(_T))
DEFINE_FREE(kvfree, void *, if (!IS_ERR_OR_NULL(_T)) kfree(_T))

#endif
