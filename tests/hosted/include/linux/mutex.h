/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_MUTEX_H
#define _SHIM_MUTEX_H

#include <pthread.h>

#include <linux/cleanup.h>
#include <linux/lockdep.h>

struct mutex {
	pthread_mutex_t lock;
	struct shim_dep dep;
};

#define DEFINE_MUTEX(mutex_name)					\
	struct mutex mutex_name = {					\
		.lock = PTHREAD_MUTEX_INITIALIZER,			\
		.dep = { .name = "&" #mutex_name },			\
	}

#define mutex_init(m)	shim_mutex_init(m, #m)

void shim_mutex_init(struct mutex *m, const char *name);
void mutex_destroy(struct mutex *m);
void mutex_lock(struct mutex *m);
/* -EINTR where a test has the caller killed: in so many of these calls */
extern __thread unsigned int shim_killed_at;
int mutex_lock_killable(struct mutex *m);
void mutex_unlock(struct mutex *m);
/* Is a thread about to lock what another one holds? */
bool shim_mutex_waiting(const struct mutex *m);

/* What must not be locked, for a test, or NULL */
extern struct mutex *shim_forbid;

DEFINE_GUARD(mutex, struct mutex *, mutex_lock(_T), mutex_unlock(_T))

#endif
