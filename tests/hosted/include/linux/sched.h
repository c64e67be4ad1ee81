/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_SCHED_H
#define _SHIM_SCHED_H

#include <linux/lockdep.h>

/* For tests: how often it was called, and what happens then, or NULL */
extern unsigned int shim_rescheds;
extern void (*shim_at_resched)(void);

static inline int cond_resched(void)
{
	shim_might_sleep("cond_resched");
	shim_step_piece("cond_resched");
	__atomic_add_fetch(&shim_rescheds, 1, __ATOMIC_RELAXED);
	if (shim_at_resched)
		shim_at_resched();
	return 0;
}

#endif
