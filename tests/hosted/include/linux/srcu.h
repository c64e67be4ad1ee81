/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_SRCU_H
#define _SHIM_SRCU_H

#include <linux/types.h>

#define SHIM_SRCU_INDEX	1

struct srcu_struct {
	unsigned int periods;
	bool waiting;	/* for readers */
	int readers[2];	/* by the period that they began in */
};

int srcu_read_lock(struct srcu_struct *s);
void srcu_read_unlock(struct srcu_struct *s, int index);
void synchronize_srcu(struct srcu_struct *s);
bool shim_srcu_held(const struct srcu_struct *s);
bool shim_srcu_waiting(const struct srcu_struct *s);
#define synchronize_srcu_expedited(s)	synchronize_srcu(s)
#define srcu_read_lock_held(s)	shim_srcu_held(s)

typedef struct srcu_struct *shim_guard_srcu_t;

static inline shim_guard_srcu_t shim_enter_srcu(struct srcu_struct *s)
{
	srcu_read_lock(s);
	return s;
}

static inline void shim_exit_srcu(shim_guard_srcu_t *s)
{
	srcu_read_unlock(*s, SHIM_SRCU_INDEX);
}

#endif
