/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_CLEANUP_H
#define _SHIM_CLEANUP_H

#include <linux/err.h>

#define DEFINE_FREE(name, type, statement)				\
static inline void shim_free_##name(void *ptr)				\
{									\
	type _T = *(type *)ptr;						\
									\
	statement;							\
}

#define __free(name)	__attribute__((cleanup(shim_free_##name)))

#define no_free_ptr(p) ({						\
	typeof(p) _kept = (p);						\
									\
	(p) = NULL;							\
	_kept;								\
})

/* A class has a type, an enter function that returns it, and an exit one. */
#define DEFINE_GUARD(name, type, lock, unlock)				\
typedef type shim_guard_##name##_t;					\
static inline shim_guard_##name##_t shim_enter_##name(type _T)		\
{									\
	lock;								\
	return _T;							\
}									\
static inline void shim_exit_##name(shim_guard_##name##_t *ptr)		\
{									\
	type _T = *ptr;							\
									\
	unlock;								\
}

#define _SHIM_PASTE(a, b)	a##b
#define _SHIM_NAME(a, b)	_SHIM_PASTE(a, b)

#define guard(name)							\
	shim_guard_##name##_t _SHIM_NAME(_guard_, __LINE__)		\
	__attribute__((cleanup(shim_exit_##name), unused)) = shim_enter_##name

/* With a lock, or "rcu" without one */
#define scoped_guard(name, ...)						\
	for (shim_guard_##name##_t _scope				\
	     __attribute__((cleanup(shim_exit_##name))) =		\
	     shim_enter_##name(__VA_ARGS__), *_once = &_scope;		\
	     _once; _once = NULL)

#endif
