// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coroutines, each with a copy of the program's thread-local variables.  This file is
 * compiled without the sanitizers.
 *
 * The rest of the program is compiled so that each access to memory calls a function
 * that checks it for ASan: gcc's asan-instrumentation-with-call-threshold.  These
 * functions are ours, and tell sched_touch() on the way.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#include <explore/asan.h>
#include <linux/step.h>
#include <linux/types.h>

#include "../test.h"
#include "sched.h"

#define STACK_SIZE	(256 * 1024)
#define MAX_STEPS	20000
#define DOMAINS		2	/* RCU and SRCU: a thread is in one section of each */

struct thread {
	ucontext_t context;
	char *stack;
	size_t stack_size;
	void *fake_stack;
	char *tls;
	bool done;
	/* The step that it has come to */
	const char *what;
	const void *on;
	enum sched_border border;
	/* What it waits for there, if anything */
	const bool *taken;
	const int *count;
	bool synchronizes;
	unsigned int seen[SCHED_THREADS];	/* sections of others when it began */
	/* Read-side sections: odd within one */
	unsigned int section[DOMAINS];
	const void *domain[DOMAINS];
};

/* The C library's own: ASan's warns that it does not know of fibers, which it is told. */
static int (*swap)(ucontext_t *from, const ucontext_t *to);

static struct thread threads[SCHED_THREADS], main_thread;
static const struct sched_run *running;
static int current = SCHED_NONE;
static unsigned int steps;
static enum sched_end end;

/* Thread-local variables of the program itself; libraries have theirs elsewhere. */

static char *tls;
static size_t tls_size;

static int find_tls(struct dl_phdr_info *info, size_t size, void *unused)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type != PT_TLS)
			continue;
		tls = info->dlpi_tls_data;
		tls_size = info->dlpi_phdr[i].p_memsz;
	}
	return 1;
}

static void threads_init(void)
{
	pthread_attr_t attr;
	void *stack;

	dl_iterate_phdr(find_tls, NULL);
	swap = dlsym(dlopen("libc.so.6", RTLD_LAZY), "swapcontext");
	if (!swap)
		bail_out("no swapcontext()");
	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &stack, &main_thread.stack_size);
	pthread_attr_destroy(&attr);
	main_thread.stack = stack;
	main_thread.tls = malloc(tls_size);
	for (int i = 0; i < SCHED_THREADS; i++) {
		threads[i].stack = aligned_alloc(4096, STACK_SIZE);
		threads[i].stack_size = STACK_SIZE;
		threads[i].tls = malloc(tls_size);
	}
}

/* What was touched */

void (*sched_touch)(int thread, unsigned int place, bool write);

static struct {
	uintptr_t from, to;
} ignored[8];
static unsigned int nr_ignored;

void sched_ignore(const void *from, size_t size)
{
	if (nr_ignored == 8)
		bail_out("too much memory is ignored");
	ignored[nr_ignored].from = (uintptr_t)from;
	ignored[nr_ignored++].to = (uintptr_t)from + size;
}

static bool is_ignored(uintptr_t at)
{
	for (unsigned int i = 0; i < nr_ignored; i++)
		if (at >= ignored[i].from && at < ignored[i].to)
			return true;
	return false;
}

static void touch(const void *address, size_t size, bool write)
{
	uintptr_t at = (uintptr_t)address, last = at + size - 1;

	if (current == SCHED_NONE || !sched_touch || !size ||
	    at - (uintptr_t)threads[current].stack < STACK_SIZE || is_ignored(at))
		return;
	for (at >>= 3, last >>= 3; at <= last; at++)
		sched_touch(current, (at ^ at >> 16) % SCHED_PLACES, write);
}

/* ASan's shadow: a byte for 8, 0 if all of them may be used */
static size_t shadow_scale, shadow_offset;

static bool is_poisoned(uintptr_t at, size_t size)
{
	if (!shadow_offset)
		__asan_get_shadow_mapping(&shadow_scale, &shadow_offset);
	if (size <= 8 && !(at & (size - 1)) &&
	    !*(char *)((at >> shadow_scale) + shadow_offset))
		return false;
	return __asan_region_is_poisoned((void *)at, size);
}

static bool check(uintptr_t at, size_t size, bool write)
{
	touch((void *)at, size, write);
	return is_poisoned(at, size);
}

ACCESS(load1, 1, false)
ACCESS(load2, 2, false)
ACCESS(load4, 4, false)
ACCESS(load8, 8, false)
ACCESS(load16, 16, false)
ACCESS(store1, 1, true)
ACCESS(store2, 2, true)
ACCESS(store4, 4, true)
ACCESS(store8, 8, true)
ACCESS(store16, 16, true)
ACCESS_N(loadN, load_n, false)
ACCESS_N(storeN, store_n, true)

/* Memory */

#define MEMORY_SIZE	(8 << 20)
#define GAP		32	/* poisoned, in front of each */

static char memory[MEMORY_SIZE] __aligned(64);
static bool memory_ours;
static size_t memory_used;

/* In a replay, ASan's own allocator tells more. */
void sched_memory_reset(void)
{
	if (getenv("EXPLORE_MALLOC"))
		return;
	if (!memory_ours)
		__asan_poison_memory_region(memory, MEMORY_SIZE);
	memory_ours = true;
	__asan_unpoison_memory_region(memory, memory_used);
	memset(memory, 0, memory_used);
	__asan_poison_memory_region(memory, memory_used);
	memory_used = 0;
}

void *__wrap_calloc(size_t nr, size_t size)
{
	size_t *ptr;

	size *= nr;
	if (!memory_ours)
		return __real_calloc(1, size);
	if (size + 2 * GAP > MEMORY_SIZE - memory_used)
		bail_out("the explorer is out of memory");
	ptr = (void *)(memory + memory_used + GAP);
	memory_used += GAP + (size + 15) / 16 * 16;
	ptr[-1] = size;
	__asan_unpoison_memory_region(ptr, size);
	return ptr;
}

static bool is_ours(const void *ptr)
{
	return (uintptr_t)ptr - (uintptr_t)memory < MEMORY_SIZE;
}

void __wrap_free(void *ptr)
{
	size_t size;

	if (!ptr || !is_ours(ptr)) {
		__real_free(ptr);
		return;
	}
	size = ((size_t *)ptr)[-1];
	if (size && __asan_address_is_poisoned(ptr))
		bail_out("%p is freed twice", ptr);
	touch(ptr, size, true);
	__asan_poison_memory_region(ptr, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
	size_t old;
	void *new;

	if (ptr ? !is_ours(ptr) : !memory_ours)
		return __real_realloc(ptr, size);
	new = __wrap_calloc(1, size);
	if (ptr) {
		old = ((size_t *)ptr)[-1];
		memcpy(new, ptr, old < size ? old : size);
		__wrap_free(ptr);
	}
	return new;
}

/* Switching */

/* What ASan has of a thread that has ended goes with it. */
static void switch_threads(struct thread *from, struct thread *to)
{
	void **keep = from->done ? NULL : &from->fake_stack;

	memcpy(from->tls, tls, tls_size);
	memcpy(tls, to->tls, tls_size);
	__sanitizer_start_switch_fiber(keep, to->stack, to->stack_size);
	swap(&from->context, &to->context);
	__sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
}

static bool has_left(const struct thread *t)
{
	int d = !!t->on;

	for (int i = 0; i < running->nr; i++)
		if (t->seen[i] & 1 && threads[i].section[d] == t->seen[i])
			return false;
	return true;
}

static bool is_ready(const struct thread *t)
{
	if (t->taken)
		return !*t->taken;
	if (t->count)
		return !*t->count;
	return !t->synchronizes || has_left(t);
}

static unsigned int ready_threads(void)
{
	unsigned int ready = 0;

	for (int i = 0; i < running->nr; i++)
		if (!threads[i].done && is_ready(&threads[i]))
			ready |= 1U << i;
	return ready;
}

static void to_main(enum sched_end how)
{
	struct thread *from = &threads[current];

	end = how;
	current = SCHED_NONE;
	switch_threads(from, &main_thread);
}

/* @now: the thread that has come to a step, or ended */
static void choose(int now)
{
	unsigned int ready = ready_threads();
	int next;

	if (++steps > MAX_STEPS)
		to_main(SCHED_ENDLESS);
	if (!ready)
		to_main(SCHED_DEADLOCK);
	next = running->choose(threads[now].done ? SCHED_NONE : now, ready);
	if (next == now)
		return;
	current = next;
	switch_threads(&threads[now], &threads[next]);
}

static void touch_waited(const struct thread *t)
{
	if (t->taken)
		touch(t->taken, 1, false);
	if (t->count)
		touch(t->count, sizeof(int), false);
	for (int i = 0; t->synchronizes && i < running->nr; i++)
		touch(&threads[i].section[!!t->on], sizeof(int), false);
}

/* The caller has filled in what the thread waits for. */
static void step(const char *what, const void *on)
{
	struct thread *t = &threads[current];

	t->what = what;
	t->on = on;
	if (!is_ready(t))
		touch_waited(t);
	choose(current);
	touch_waited(t);
	t->border = SCHED_WITHIN;
	t->taken = NULL;
	t->count = NULL;
	t->synchronizes = false;
}

static void start(void)
{
	struct thread *t = &threads[current];

	__sanitizer_finish_switch_fiber(NULL, NULL, NULL);
	running->thread(current);
	t->done = true;
	for (int i = 0; i < running->nr; i++)
		if (!threads[i].done)
			choose(current);
	to_main(SCHED_DONE);
}

enum sched_end sched_run(const struct sched_run *run)
{
	struct thread *t;

	if (!tls)
		threads_init();
	running = run;
	steps = 0;
	for (int i = 0; i < run->nr; i++) {
		t = &threads[i];
		memset(t->section, 0, sizeof(t->section));
		t->done = false;
		t->what = "start";
		t->on = NULL;
		t->border = SCHED_CALL;
		t->taken = NULL;
		t->count = NULL;
		t->synchronizes = false;
		t->fake_stack = NULL;
		memcpy(t->tls, tls, tls_size);
		getcontext(&t->context);
		t->context.uc_stack.ss_sp = t->stack;
		t->context.uc_stack.ss_size = STACK_SIZE;
		makecontext(&t->context, start, 0);
	}
	current = run->choose(SCHED_NONE, (1U << run->nr) - 1);
	switch_threads(&main_thread, &threads[current]);
	return end;
}

const char *sched_what(int thread)
{
	return threads[thread].what;
}

enum sched_border sched_border(int thread)
{
	return threads[thread].border;
}

/* Steps; outside of a run, there is one thread only, and nothing to wait for. */

void shim_step(const char *what, const void *on)
{
	if (current != SCHED_NONE && !is_ignored((uintptr_t)on))
		step(what, on);
}

static void step_border(const char *what, enum sched_border border)
{
	if (current == SCHED_NONE)
		return;
	threads[current].border = border;
	step(what, NULL);
}

void shim_step_call(const char *what)
{
	step_border(what, SCHED_CALL);
}

void shim_step_piece(const char *what)
{
	step_border(what, SCHED_PIECE);
}

void shim_step_lock(const char *what, bool *taken)
{
	if (current != SCHED_NONE) {
		threads[current].taken = taken;
		step(what, taken);
	}
	if (*taken)
		bail_out("%s is held for ever", what);
	touch(taken, 1, true);
	*taken = true;
}

void shim_step_unlock(const char *what, bool *taken)
{
	shim_step(what, taken);
	touch(taken, 1, true);
	*taken = false;
}

/* The thread enters or leaves a section: its number is odd within one. */
static void section_step(const char *what, const void *domain)
{
	shim_step(what, domain);
	if (current == SCHED_NONE)
		return;
	touch(&threads[current].section[!!domain], sizeof(int), true);
	threads[current].section[!!domain]++;
}

void shim_step_enter(const char *what, const void *domain)
{
	section_step(what, domain);
	if (current != SCHED_NONE)
		threads[current].domain[!!domain] = domain;
}

void shim_step_leave(const char *what, const void *domain)
{
	section_step(what, domain);
}

void shim_step_synchronize(const char *what, const void *domain)
{
	struct thread *t;
	int d = !!domain;

	shim_step(what, domain);
	if (current == SCHED_NONE)
		return;
	t = &threads[current];
	for (int i = 0; i < running->nr; i++)
		t->seen[i] = threads[i].domain[d] == domain ? threads[i].section[d] : 0;
	t->synchronizes = true;
	step(what, domain);
}

void shim_step_wait(const char *what, const int *count)
{
	if (current == SCHED_NONE) {
		if (*count)
			bail_out("%s for ever", what);
		return;
	}
	threads[current].count = count;
	step(what, count);
}
