/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_SPINLOCK_H
#define _SHIM_SPINLOCK_H

#include <pthread.h>

#include <linux/cleanup.h>
#include <linux/lockdep.h>

typedef struct {
	pthread_mutex_t lock;
	struct shim_dep dep;
} spinlock_t;

#define spin_lock_init(l)	shim_spin_lock_init(l, #l)

void shim_spin_lock_init(spinlock_t *l, const char *name);
void spin_lock(spinlock_t *l);
void spin_unlock(spinlock_t *l);
/* Several of a kind may be held, each less than the next */
#define lock_set_cmp_fn(l, cmp, print)	((void)(print), (l)->dep.order = (cmp))

DEFINE_GUARD(spinlock, spinlock_t *, spin_lock(_T), spin_unlock(_T))

#endif
