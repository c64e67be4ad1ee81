/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _TEST_H
#define _TEST_H

#include <linux/types.h>

/* A test registers itself.  It must not leave anything behind. */
struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

void test_register(struct test *test);

#define TEST(id, text)							\
static void id##_run(void);						\
static struct test id##_test = { .name = text, .run = id##_run };	\
static void __attribute__((constructor)) id##_register(void)		\
{									\
	test_register(&id##_test);					\
}									\
static void id##_run(void)

#define EXPECT(cond) do {						\
	if (!(cond))							\
		SHIM_FAIL("%s", #cond);					\
} while (0)

#define EXPECT_EQ(what, want) do {					\
	long _what = (long)(what);					\
	long _want = (long)(want);					\
									\
	if (_what != _want)						\
		SHIM_FAIL("%s is %ld, not %ld", #what, _what, _want);	\
} while (0)

#define EXPECT_STR(what, want) do {					\
	const char *_what = what;					\
	const char *_want = want;					\
									\
	if (strcmp(_what, _want))					\
		SHIM_FAIL("%s is \"%s\", not \"%s\"", #what, _what,	\
			  _want);					\
} while (0)

/* The fake's check: everything is taken back, and nothing may be left. */
void fake_end(void);

unsigned int test_failures(void);
void __noreturn __printf(1, 2) bail_out(const char *fmt, ...);

/* What happened, in order, as one letter each: see fake.h. */
void log_event(char event);
void log_start(void);
const char *log_stop(void);

/* The events that were traced, a line each: linux/tracepoint.h */
void trace_start(void);
const char *trace_stop(void);

unsigned int test_warnings(void);
unsigned int test_seed(void);

#endif
