/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_RCUPDATE_H
#define _SHIM_RCUPDATE_H

#include <linux/lockdep.h>

/* A grace period ends when all readers that began before it are out. */
void rcu_read_lock(void);
void rcu_read_unlock(void);
void synchronize_rcu(void);
#define synchronize_rcu_expedited()	synchronize_rcu()

bool rcu_read_lock_held(void);
/* What a fake has to do at the end of the outermost section, or NULL */
extern void (*shim_rcu_leave)(void);

#define __rcu
#define rcu_dereference(p) ({						\
	shim_step("rcu_dereference " #p, &(p));				\
	__atomic_load_n(&(p), __ATOMIC_ACQUIRE);			\
})
#define rcu_access_pointer(p)		rcu_dereference(p)
#define rcu_dereference_raw(p)		rcu_dereference(p)
/* No step: nobody changes it meanwhile. */
#define rcu_dereference_protected(p, c)	((void)(c), __atomic_load_n(&(p), __ATOMIC_ACQUIRE))
#define rcu_assign_pointer(p, v) ({					\
	shim_step("rcu_assign_pointer " #p, &(p));			\
	__atomic_store_n(&(p), v, __ATOMIC_RELEASE);			\
})
#define RCU_INIT_POINTER(p, v)		rcu_assign_pointer(p, v)

#define RCU_LOCKDEP_WARN(cond, text) \
	SHIM_CHECK(!(cond), "%s: %s", __func__, text)

typedef int shim_guard_rcu_t;

static inline shim_guard_rcu_t shim_enter_rcu(void)
{
	rcu_read_lock();
	return 0;
}

static inline void shim_exit_rcu(shim_guard_rcu_t *unused)
{
	rcu_read_unlock();
}

/* For tests: does a thread wait for readers? */
bool shim_rcu_waiting(void);

#endif
