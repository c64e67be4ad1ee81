/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_RCUPDATE_H
#define _SHIM_RCUPDATE_H

#include <linux/lockdep.h>

/* A grace period ends when all readers that began before it are out. */
void rcu_read_lock(void);
void rcu_read_unlock(void);
void synchronize_rcu(void);

/* For tests: does a thread wait for readers? */
bool shim_rcu_waiting(void);

#endif
