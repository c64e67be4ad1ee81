// SPDX-License-Identifier: GPL-2.0-only
/* Runs all tests of this program, or the one that is named; prints KTAP. */
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/types.h>

#include "test.h"

#define TEST_SECONDS	60

static struct test *tests;
static unsigned int nr_tests;
static unsigned int failures;
static unsigned int warnings;
static const char *only;

void test_register(struct test *test)
{
	struct test **where = &tests;

	while (*where)
		where = &(*where)->next;
	*where = test;
	nr_tests++;
}

static void fail(const char *file, int line, const char *fmt, va_list args)
{
	const char *base = strrchr(file, '/');
	char text[512];

	if (__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED) > 20)
		return;
	vsnprintf(text, sizeof(text), fmt, args);
	printf("# %s:%d: %s\n", base ? base + 1 : file, line, text);
}

void shim_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fail(file, line, fmt, args);
	va_end(args);
}

void shim_check(bool good, const char *file, int line, const char *fmt, ...)
{
	va_list args;

	if (good)
		return;
	va_start(args, fmt);
	fail(file, line, fmt, args);
	va_end(args);
}

unsigned int test_failures(void)
{
	return __atomic_load_n(&failures, __ATOMIC_RELAXED);
}

void bail_out(const char *fmt, ...)
{
	va_list args;

	printf("Bail out! ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

void shim_warn(const char *fmt, ...)
{
	va_list args;

	warnings++;
	printf("# kernel: ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
}

unsigned int test_warnings(void)
{
	return warnings;
}

static char events[256];
static unsigned int nr_events;
static bool logging;

void log_event(char event)
{
	if (logging && nr_events < sizeof(events) - 1)
		events[nr_events++] = event;
}

void log_start(void)
{
	nr_events = 0;
	logging = true;
}

const char *log_stop(void)
{
	logging = false;
	events[nr_events] = 0;
	return events;
}

/* TEST_SEED repeats a run of the random tests. */
unsigned int test_seed(void)
{
	const char *seed = getenv("TEST_SEED");

	return seed ? strtoul(seed, NULL, 0) : (unsigned int)time(NULL);
}

static void hung(int sig)
{
	static const char text[] = "Bail out! hangs\n";

	if (write(1, text, sizeof(text) - 1) < 0)
		abort();
	_exit(1);
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool run(struct test *test, unsigned int nr)
{
	unsigned int before = failures;
	long start = now_ms();

	warnings = 0;
	alarm(TEST_SECONDS);
	test->run();
	logging = false;
	fake_end();
	printf("%s %u - %s # %ld ms\n", failures == before ? "ok" : "not ok",
	       nr, test->name, now_ms() - start);
	return failures == before;
}

int main(int argc, char **argv)
{
	unsigned int nr = 0, failed = 0;

	only = argc > 1 ? argv[1] : NULL;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGALRM, hung);
	printf("KTAP version 1\n");
	if (!only)
		printf("1..%u\n", nr_tests);
	for (struct test *test = tests; test; test = test->next)
		if ((!only || strstr(test->name, only)) &&
		    !(failed && getenv("TEST_STOP")))
			failed += !run(test, ++nr);
	printf("# %u passed, %u failed\n", nr - failed, failed);
	return failed || !nr;
}
