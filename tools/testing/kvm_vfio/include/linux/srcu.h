/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_SRCU_H
#define _SHIM_SRCU_H

#include <linux/types.h>

/* Nobody waits for SRCU readers here; what matters is who is one. */
#define SHIM_SRCU_INDEX	1

struct srcu_struct {
	char unused;
};

int srcu_read_lock(struct srcu_struct *s);
void srcu_read_unlock(struct srcu_struct *s, int index);
bool shim_srcu_held(const struct srcu_struct *s);

#endif
