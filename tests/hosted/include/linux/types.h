/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_TYPES_H
#define _SHIM_TYPES_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/step.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef u32 __u32;
typedef u64 __u64;
typedef s32 __s32;

struct list_head {
	struct list_head *next, *prev;
};

struct hlist_node {
	struct hlist_node *next;
	struct hlist_node **where;
};

struct hlist_head {
	struct hlist_node *first;
};

/* What only sparse reads. */
#define __user
#define __acquires(lock)
#define __releases(lock)
#define __acquire(lock)		((void)0)
#define __release(lock)		((void)0)

#define __noreturn	__attribute__((noreturn))
#define __aligned(n)	__attribute__((aligned(n)))
#define __printf(a, b)	__attribute__((format(printf, a, b)))

/* 1 if CONFIG_x is defined as 1, as for every option of the hosted tests. */
#define _SHIM_COMMA_1			0,
#define _SHIM_THIRD(a, b, c, ...)	c
#define _SHIM_SET(junk)			_SHIM_THIRD(junk 1, 1, 0, 0)
#define _SHIM_SET_(x)			_SHIM_SET(_SHIM_COMMA_##x)
#define _SHIM_SET__(x)			_SHIM_SET_(x)
#define IS_ENABLED(x)			_SHIM_SET__(x)

#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))
/* The shims' own, which are no steps */
#define shim_load(x)			__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define shim_store(x, v)		__atomic_store_n(&(x), v, __ATOMIC_RELAXED)

#define READ_ONCE(x) ({							\
	shim_step("READ_ONCE " #x, &(x));				\
	shim_load(x);							\
})

#define WRITE_ONCE(x, v) ({						\
	shim_step("WRITE_ONCE " #x, &(x));				\
	shim_store(x, v);						\
})

/* What TSan is not to look at */
void shim_copy(char *to, const char *from, size_t size);

#define data_race(x) ({							\
	typeof(x) _value;						\
									\
	shim_copy((char *)&_value, (const char *)&(x), sizeof(_value));	\
	_value;								\
})

#define likely(x)			(x)

#define min(a, b) ({							\
	typeof(a) _min_a = (a);						\
	typeof(b) _min_b = (b);						\
									\
	_min_a < _min_b ? _min_a : _min_b;				\
})

#define max(a, b) ({							\
	typeof(a) _max_a = (a);						\
	typeof(b) _max_b = (b);						\
									\
	_max_a > _max_b ? _max_a : _max_b;				\
})

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define EXPORT_SYMBOL_GPL(x)	extern typeof(x) x

/* A kernel warning fails the test; so does a line of vfio.ko that is unsaid. */
void __printf(3, 4) shim_fail(const char *file, int line, const char *fmt, ...);

#define SHIM_FAIL(...)		shim_fail(__FILE__, __LINE__, __VA_ARGS__)
/* The same unless it is @good; to the caller that is no branch, which 'coverage' would count. */
void __printf(4, 5) shim_check(bool good, const char *file, int line, const char *fmt, ...);

#define SHIM_CHECK(good, ...)	shim_check(good, __FILE__, __LINE__, __VA_ARGS__)

#define WARN_ON(x) ({							\
	bool _warn = (x);						\
									\
	if (_warn)							\
		SHIM_FAIL("WARN_ON(%s)", #x);				\
	_warn;								\
})

#define WARN_ON_ONCE(x)	WARN_ON(x)

/* Once per line of code, until shim_forget_once(). */
bool shim_once(bool *done);
void shim_forget_once(void);
void __printf(1, 2) shim_warn(const char *fmt, ...);

#ifndef pr_fmt
#define pr_fmt(fmt) fmt
#endif

#define pr_warn_once(fmt, ...) ({					\
	static bool _done;						\
									\
	if (shim_once(&_done))						\
		shim_warn(pr_fmt(fmt), ##__VA_ARGS__);			\
})

#endif
