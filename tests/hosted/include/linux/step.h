/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Steps: the points at which the explorer (explore/) may let another thread run, and
 * what a thread waits for there.  In the other programs, threads are those of the host,
 * and nothing of this exists.
 */
#ifndef _SHIM_STEP_H
#define _SHIM_STEP_H

#include <stdbool.h>

#ifdef SHIM_EXPLORE
#define SHIM_EXPLORING	true

/* @what and @on: for who reads a schedule */
void shim_step(const char *what, const void *on);
/* Between two system calls */
void shim_step_call(const char *what);
/* Within one that tells its caller if it was not done as a whole, between pieces of it */
void shim_step_piece(const char *what);
/* @taken: of the lock, by which other threads wait for it */
void shim_step_lock(const char *what, bool *taken);
void shim_step_unlock(const char *what, bool *taken);
/* Read-side sections; @domain: a struct srcu_struct, or NULL for RCU */
void shim_step_enter(const char *what, const void *domain);
void shim_step_leave(const char *what, const void *domain);
void shim_step_synchronize(const char *what, const void *domain);
/* Until *@count is 0 */
void shim_step_wait(const char *what, const int *count);
#else
#define SHIM_EXPLORING	false

#define shim_step(what, on)			((void)0)
#define shim_step_call(what)			((void)0)
#define shim_step_piece(what)			((void)0)
#define shim_step_lock(what, taken)		((void)(taken))
#define shim_step_unlock(what, taken)		((void)(taken))
#define shim_step_enter(what, domain)		((void)(domain))
#define shim_step_leave(what, domain)		((void)(domain))
#define shim_step_synchronize(what, domain)	((void)(domain))
#define shim_step_wait(what, count)		((void)(count))
#endif

#endif
