/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_REFCOUNT_H
#define _SHIM_REFCOUNT_H

#include <linux/types.h>

/* What the kernel only warns of, and saturates: taken when it is 0, put below. */
typedef struct {
	int refs;
} refcount_t;

static inline void refcount_set(refcount_t *r, int n)
{
	__atomic_store_n(&r->refs, n, __ATOMIC_RELAXED);
}

static inline void refcount_inc(refcount_t *r)
{
	if (__atomic_fetch_add(&r->refs, 1, __ATOMIC_RELAXED) <= 0)
		SHIM_FAIL("a count is taken that was 0");
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	int left = __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL);

	if (left < 0)
		SHIM_FAIL("a count is put that was 0");
	return !left;
}

#endif
