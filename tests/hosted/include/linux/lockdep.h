/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_LOCKDEP_H
#define _SHIM_LOCKDEP_H

#include <linux/types.h>

/*
 * What each lock knows of itself.  Its class is the text that it was
 * initialised with; shim.c has the list of all classes in their order.
 */
#define lockdep_map shim_dep

struct shim_dep {
	const char *name;
	int rank;
	bool spins;
	bool taken;	/* in the explorer */
	bool foreign;	/* belongs to what the code under test must not touch now */
	int (*order)(const struct lockdep_map *a, const struct lockdep_map *b);
	bool waiting;	/* a thread is about to take it; not in the explorer */
};

void shim_dep_init(struct shim_dep *dep, const char *name, bool spins);
bool shim_dep_held(const struct shim_dep *dep);
void shim_dep_acquire(struct shim_dep *dep);
void shim_dep_acquired(struct shim_dep *dep);
void shim_dep_release(struct shim_dep *dep);

/* Sleeping is a bug under a spinlock and in an RCU read-side section. */
void shim_might_sleep(const char *what);
/* Give another thread a chance, now and then (stress only). */
void shim_yield(void);
void shim_yield_seed(unsigned int seed);

#define lockdep_is_held(l)	shim_dep_held(&(l)->dep)

#define lockdep_assert(cond) \
	SHIM_CHECK(cond, "%s: %s", __func__, #cond)
#define lockdep_assert_held(l) \
	SHIM_CHECK(lockdep_is_held(l), "%s: %s is not held", __func__, #l)
#define lockdep_assert_not_held(l) \
	SHIM_CHECK(!lockdep_is_held(l), "%s: %s is held", __func__, #l)

#endif
