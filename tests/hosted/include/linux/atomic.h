/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_ATOMIC_H
#define _SHIM_ATOMIC_H

#include <linux/types.h>

typedef struct {
	int64_t counter;
} atomic64_t;

static inline void atomic64_inc(atomic64_t *v)
{
	shim_step("atomic64_inc", v);
	__atomic_add_fetch(&v->counter, 1, __ATOMIC_RELAXED);
}

static inline int64_t atomic64_read(const atomic64_t *v)
{
	shim_step("atomic64_read", v);
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

#endif
