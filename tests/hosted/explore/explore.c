// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stateless search: each schedule is a run from the start.  A schedule is the list of
 * its deviations from the simple one, in which a thread runs until it waits or ends
 * and the first that can go on follows; "17b23a" has thread b go on at the 17th step
 * and thread a at the 23rd.
 *
 * A deviation at which the running thread could have gone on is a preemption.  The
 * search goes through all schedules with none, then with at most one, and so on:
 * iterative context bounding (Musuvathi and Qadeer, PLDI 2007), so that the first
 * failure has few of them.
 *
 * The reduction: let a thread be preempted before its next step, and go on with
 * nothing done meanwhile that has to do with this step.  Then the same happens in a schedule that
 * was seen before, in which the step comes first and the preemption after it: with as
 * many preemptions, or fewer.  So a thread that was preempted sleeps until another one
 * touches what its next step touches (sleep sets, Godefroid, but only for who was
 * preempted, as other choices may cost a preemption more when they are turned round).  What a
 * step touches is all memory up to the next one, as seen when it came first.
 *
 * This file is compiled without the sanitizers, as sched.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <explore/asan.h>
#include <linux/step.h>
#include <linux/types.h>

#include "../test.h"
#include "explore.h"
#include "sched.h"

#define MAX_NODES	4096
#define MAX_ORDERS	256
#define TEXT_SIZE	2048
#define CHILD_SECONDS	600

/* What a child tells: it may die at any time. */
static struct shared {
	unsigned long schedules, redundant, steps;
	unsigned int bound;
	bool complete;		/* there are no more with any number of preemptions */
	char schedule[1024];
} *shared;

/* A point at which a thread is chosen */
struct node {
	int current, chosen;
	unsigned int ready, tried, asleep;
	unsigned int preemptions;	/* before it */
	/* Places that the first thread chosen touches until its next step */
	unsigned int *places;		/* number * 2 + 1 for a write */
	unsigned int nr, size;
};

static struct node nodes[MAX_NODES];
static unsigned int nr_nodes;		/* of the schedule so far */
static unsigned int nr_replayed;	/* whose choices are fixed */
static unsigned int nr_points;		/* in this run */

static unsigned int bound;
static bool cut;			/* something was left out for the bound */
static enum sched_border whole;		/* gives way there only; none: anywhere */
static bool closed;			/* what follows is in another schedule, too */
static const char *replay;

/* What threads that sleep will touch: bits of the threads, for reads and for writes */
static unsigned char reads[SCHED_PLACES], writes[SCHED_PLACES];
static struct node *sleeps[SCHED_THREADS];
static unsigned int asleep;

/* What the step under way touches, each place once */
static struct node *recorded;
static unsigned int stamps[SCHED_PLACES], stamp;

static const struct explore_op *threads[SCHED_THREADS];
static int nr_threads;
static long results[SCHED_THREADS];

static void mark(int thread, const struct node *node, bool set)
{
	unsigned char bit = 1 << thread, *to;

	for (unsigned int i = 0; i < node->nr; i++) {
		to = &(node->places[i] & 1 ? writes : reads)[node->places[i] / 2];
		*to = set ? *to | bit : *to & ~bit;
	}
}

static void go_to_sleep(int thread, struct node *node)
{
	mark(thread, node, true);
	sleeps[thread] = node;
	asleep |= 1U << thread;
}

static void wake(unsigned int which)
{
	for (int i = 0; i < SCHED_THREADS; i++)
		if (which & asleep & 1U << i)
			mark(i, sleeps[i], false);
	asleep &= ~which;
}

static void record(unsigned int what)
{
	struct node *node = recorded;

	if (node->nr == node->size) {
		node->size = node->size * 2 ?: 64;
		/* not from the memory of the run */
		node->places = __real_realloc(node->places,
					      node->size * sizeof(*node->places));
		if (!node->places)
			abort();
	}
	node->places[node->nr++] = what;
}

static void touched(int thread, unsigned int place, bool write)
{
	unsigned int others = writes[place] | (write ? reads[place] : 0);

	others &= ~(1U << thread);
	if (others)
		wake(others);
	if (!recorded || (stamps[place] >= stamp && stamps[place] - stamp >= write))
		return;
	stamps[place] = stamp + write;
	record(place * 2 + write);
}

/* Choices */

static int first_of(unsigned int set)
{
	return __builtin_ctz(set);
}

static int default_of(int current, unsigned int ready)
{
	return current != SCHED_NONE && ready & 1U << current ? current : first_of(ready);
}

static void note(int current, unsigned int ready, int chosen)
{
	size_t len;

	if (chosen == default_of(current, ready))
		return;
	len = strlen(shared->schedule);
	snprintf(shared->schedule + len, sizeof(shared->schedule) - len, "%u%c",
		 nr_points, 'a' + chosen);
}

static int choose_replayed(int current, unsigned int ready)
{
	unsigned long point;
	char *end;
	int chosen = default_of(current, ready);

	point = strtoul(replay, &end, 10);
	if (end != replay && point == nr_points) {
		chosen = *end - 'a';
		replay = end + 1;
		if (chosen < 0 || chosen >= nr_threads || !(ready & 1U << chosen))
			bail_out("at step %lu this thread cannot go on", point);
	}
	if (current != chosen)
		printf("#\t\t%c: %s\n", 'a' + chosen, threads[chosen]->name);
	printf("#\t%u\t%s\n", nr_points, sched_what(chosen));
	return chosen;
}

/* A call is in pieces only if it tells that it was not done as a whole. */
static bool may_give_way(int current, unsigned int ready)
{
	if (!whole || current == SCHED_NONE || !(ready & 1U << current))
		return true;
	return sched_border(current) == SCHED_CALL ||
	       (sched_border(current) >= whole && threads[current]->has_pieces);
}

static struct node *new_node(int current, unsigned int ready)
{
	struct node *node = &nodes[nr_nodes], *last = node - 1;
	unsigned int awake = ready & ~asleep;

	if (nr_nodes + 1 == MAX_NODES)
		bail_out("too many steps");
	node->current = current;
	node->ready = ready;
	node->asleep = asleep;
	node->chosen = default_of(current, awake);
	node->tried = may_give_way(current, ready) ? 1U << node->chosen : ready;
	node->preemptions = 0;
	if (nr_nodes)
		node->preemptions = last->preemptions +
			(last->current != SCHED_NONE && last->chosen != last->current &&
			 last->ready & 1U << last->current);
	node->nr = 0;
	recorded = node;
	stamp += 2;
	return node;
}

static int choose(int current, unsigned int ready)
{
	struct node *node;
	int chosen;

	nr_points++;
	shared->steps++;
	recorded = NULL;
	if (replay)
		return choose_replayed(current, ready);
	if (!closed && nr_nodes >= nr_replayed && !(ready & ~asleep)) {
		closed = true;
		wake(~0U);
	}
	if (closed) {
		chosen = default_of(current, ready);
		note(current, ready, chosen);
		return chosen;
	}
	if (nr_nodes < nr_replayed) {
		node = &nodes[nr_nodes];
		if (node->current != current || node->ready != ready)
			bail_out("the same schedule goes another way");
	} else {
		node = new_node(current, ready);
	}
	nr_nodes++;
	chosen = node->chosen;
	if (!whole && current != SCHED_NONE && chosen != current &&
	    ready & 1U << current)
		go_to_sleep(current, node);
	note(current, ready, chosen);
	return chosen;
}

/* Turns to the next schedule, false if there is none. */
static bool next_schedule(void)
{
	struct node *node;
	unsigned int left;
	bool costs;

	while (nr_nodes--) {
		node = &nodes[nr_nodes];
		left = node->ready & ~node->tried & ~node->asleep;
		costs = node->current != SCHED_NONE && node->ready & 1U << node->current;
		if (!left)
			continue;
		if (costs && !whole && node->preemptions >= bound) {
			cut = true;
			continue;
		}
		node->chosen = first_of(left);
		node->tried |= 1U << node->chosen;
		nr_replayed = nr_nodes + 1;
		return true;
	}
	return false;
}

/* One run */

static void thread_main(int nr)
{
	results[nr] = threads[nr]->run();
}

static const char *const ends[] = {
	[SCHED_DEADLOCK] = "deadlock", [SCHED_ENDLESS] = "goes on for ever",
};

static void say_waits(void)
{
	for (int i = 0; i < nr_threads; i++)
		printf("#\t%c, %s: %s\n", 'a' + i, threads[i]->name, sched_what(i));
}

static void run_schedule(char *text)
{
	const struct sched_run run = {
		.thread = thread_main,
		.nr = nr_threads,
		.choose = choose,
	};
	enum sched_end end;
	size_t len = 0;

	shared->schedule[0] = 0;
	nr_nodes = 0;
	nr_points = 0;
	closed = false;
	sched_memory_reset();
	explore_suite.begin();
	end = sched_run(&run);
	recorded = NULL;
	wake(~0U);
	if (end != SCHED_DONE) {
		shim_fail("explore", 0, "%s", ends[end]);
		say_waits();
		fflush(stdout);
		_exit(1);
	}
	for (int i = 0; i < nr_threads; i++)
		len += snprintf(text + len, TEXT_SIZE - len, "%c %ld, ", 'a' + i,
				results[i]);
	explore_suite.end(text + len, TEXT_SIZE - len);
	fake_end();
}

/* Scenarios */

/* What comes of the operations one after the other, in all orders of their calls */
struct orders {
	char text[MAX_ORDERS][TEXT_SIZE];
	unsigned int nr;
};

/* Of calls, and of the pieces of those that have some */
static struct orders calls, pieces;

static unsigned int failures_before;

static bool has_failed(void)
{
	return test_failures() != failures_before;
}

static bool is_one_of(const struct orders *orders, const char *text)
{
	for (unsigned int i = 0; i < orders->nr; i++)
		if (!strcmp(orders->text[i], text))
			return true;
	return false;
}

static void stop_if_failed(void)
{
	if (!has_failed())
		return;
	fflush(stdout);
	_exit(1);
}

static void find_orders(struct orders *orders, enum sched_border at)
{
	char text[TEXT_SIZE];

	whole = at;
	nr_replayed = 0;
	do {
		run_schedule(text);
		stop_if_failed();
		if (is_one_of(orders, text))
			continue;
		if (orders->nr == MAX_ORDERS)
			bail_out("too many orders");
		memcpy(orders->text[orders->nr++], text, TEXT_SIZE);
	} while (next_schedule());
	whole = SCHED_WITHIN;
}

static void find_all_orders(void)
{
	bool has_pieces = false;

	for (int i = 0; i < nr_threads; i++)
		has_pieces |= threads[i]->has_pieces;
	find_orders(&calls, SCHED_CALL);
	/* Without pieces they would be the same again. */
	if (has_pieces)
		find_orders(&pieces, SCHED_PIECE);
}

/* Two long calls may each have done some pieces first; one may tell that it was not done. */
static bool may_be_in_pieces(void)
{
	int nr = 0;

	for (int i = 0; i < nr_threads; i++) {
		if (results[i] && results[i] == explore_suite.not_done)
			return true;
		nr += threads[i]->has_pieces;
	}
	return nr > 1;
}

static bool is_an_order(const char *text)
{
	return is_one_of(&calls, text) || (may_be_in_pieces() && is_one_of(&pieces, text));
}

static void say_orders(const char *text)
{
	printf("#\tends as\n#\t\t%s\n#\tand in no order of whole calls; these end as\n", text);
	for (unsigned int i = 0; i < calls.nr; i++)
		printf("#\t\t%s\n", calls.text[i]);
}

/* Of the schedule that @results are of */
static void check_end(const char *text)
{
	if (!has_failed() && !is_an_order(text)) {
		shim_fail("explore", 0, "it is not as if one came after the other");
		say_orders(text);
	}
	stop_if_failed();
}

static void check_schedule(void)
{
	char text[TEXT_SIZE];

	run_schedule(text);
	check_end(text);
}

static void explore_bound(void)
{
	shared->schedules = 0;
	shared->redundant = 0;
	shared->bound = bound;
	cut = false;
	nr_replayed = 0;
	do {
		check_schedule();
		shared->schedules += !closed;
		shared->redundant += closed;
	} while (next_schedule());
}

static unsigned long setting(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 0) : otherwise;
}

/* Goes on while there are more, up to @most, or beyond if so far there were few. */
static void explore(unsigned int most)
{
	unsigned long few = setting("EXPLORE_FEW", 600);

	find_all_orders();
	for (bound = 0;; bound++) {
		explore_bound();
		if (!cut)
			break;
		if (bound >= most && shared->schedules + shared->redundant > few)
			return;
	}
	shared->complete = true;
}

static void scenario_name(char *name, size_t size)
{
	snprintf(name, size, "%s + %s%s%s", threads[0]->name, threads[1]->name,
		 nr_threads > 2 ? " + " : "", nr_threads > 2 ? threads[2]->name : "");
}

static struct {
	unsigned long schedules, redundant, steps;
	unsigned int pairs, triples, complete, violations, by_bound[16];
} total;

/* Says each step before the orders are looked for, in which something may fail, too. */
static void replay_one(const char *schedule)
{
	long of_replay[ARRAY_SIZE(results)];
	char text[TEXT_SIZE];

	replay = schedule;
	setvbuf(stdout, NULL, _IONBF, 0);
	run_schedule(text);
	if (*replay && strcmp(replay, "-"))
		bail_out("it ends before %s", replay);
	replay = NULL;
	stop_if_failed();
	memcpy(of_replay, results, sizeof(results));
	find_all_orders();
	memcpy(results, of_replay, sizeof(results));
	check_end(text);
	_exit(0);
}

static void child(unsigned int most)
{
	const char *schedule = getenv("EXPLORE_SCHEDULE");

	alarm(CHILD_SECONDS);
	sched_touch = touched;
	failures_before = test_failures();
	if (schedule)
		replay_one(schedule);
	explore(most);
	fflush(stdout);
	_exit(0);
}

static void add_up(void)
{
	total.schedules += shared->schedules;
	total.redundant += shared->redundant;
	total.steps += shared->steps;
	total.complete += shared->complete;
	total.by_bound[min(shared->bound, 15U)]++;
}

static void explore_scenario(unsigned int most)
{
	const char *only = getenv("EXPLORE_ONLY");
	char name[128];
	int status;

	scenario_name(name, sizeof(name));
	if (only && strcmp(only, name))
		return;
	if (total.violations && getenv("TEST_STOP"))
		return;
	*(nr_threads == 2 ? &total.pairs : &total.triples) += 1;
	memset(shared, 0, sizeof(*shared));
	fflush(stdout);
	if (!fork())
		child(most);
	wait(&status);
	add_up();
	if (getenv("EXPLORE_VERBOSE") && !only)
		printf("# %s: %lu schedules, %lu redundant, %u preemptions%s\n", name,
		       shared->schedules, shared->redundant, shared->bound,
		       shared->complete ? ", all" : "");
	if (!status)
		return;
	total.violations++;
	SHIM_FAIL("%s: EXPLORE_SCHEDULE=%s, status %d", name,
		  *shared->schedule ? shared->schedule : "-", status);
}

static void explore_begin(void)
{
	alarm(0);	/* of the test; each scenario has its own */
	if (!shared)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		bail_out("no memory is shared");
}

static void say_total(void)
{
	printf("# %u operations, %u pairs, %u triples", explore_suite.nr_ops, total.pairs,
	       total.triples);
	for (unsigned int i = 0; i < ARRAY_SIZE(total.by_bound); i++)
		if (total.by_bound[i])
			printf(", %u to %u preemptions", total.by_bound[i], i);
	printf(" (%u: all there are), %lu schedules, %lu runs, %lu steps, %u violations\n",
	       total.complete, total.schedules, total.schedules + total.redundant,
	       total.steps, total.violations);
}

TEST(pairs, "every schedule of each pair of operations")
{
	const struct explore_suite *suite = &explore_suite;
	unsigned int most = setting("EXPLORE_PAIRS", 2);

	explore_begin();
	atexit(say_total);
	nr_threads = 2;
	for (unsigned int i = 0; i < suite->nr_ops; i++)
		for (unsigned int k = i; k < suite->nr_ops; k++) {
			threads[0] = &suite->ops[i];
			threads[1] = &suite->ops[k];
			explore_scenario(most);
		}
}

static const struct explore_op *op_of(const char *name)
{
	for (unsigned int i = 0; i < explore_suite.nr_ops; i++)
		if (!strcmp(explore_suite.ops[i].name, name))
			return &explore_suite.ops[i];
	bail_out("there is no operation %s", name);
}

TEST(triples, "every schedule of some sets of three operations")
{
	const struct explore_suite *suite = &explore_suite;
	unsigned int most = setting("EXPLORE_TRIPLES", 1);

	explore_begin();
	nr_threads = 3;
	for (unsigned int i = 0; i < suite->nr_triples; i++) {
		for (int k = 0; k < 3; k++)
			threads[k] = op_of(suite->triples[i][k]);
		explore_scenario(most);
	}
}
