/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_FAULT_H
#define _SHIM_FAULT_H

#include <linux/types.h>

/*
 * Failure injection.  Whatever can fail asks shim_fault() whether it shall.
 * Armed with n, the n-th question of the arming thread is answered with yes;
 * armed with SHIM_FAULT_ALLOCATIONS, so is each that kzalloc() asks.
 */
#define SHIM_FAULT_ALLOCATIONS	(-1)

bool shim_fault(const char *what);
void shim_fault_arm(int n);
/* What failed since, or NULL. */
const char *shim_fault_disarm(void);
/* What a test has happen in each kzalloc(), or NULL */
extern void (*shim_at_allocation)(void);

#endif
