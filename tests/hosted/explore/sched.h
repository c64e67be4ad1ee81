/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that run one at a time, and give way only at a step (linux/step.h); memory
 * that is at the same addresses in each run; and what a thread has touched since its
 * last step.
 */
#ifndef _EXPLORE_SCHED_H
#define _EXPLORE_SCHED_H

#include <stdbool.h>
#include <stddef.h>

#define SCHED_THREADS	3
#define SCHED_NONE	(-1)

/*
 * Who goes on?  @now has come to a step, or is SCHED_NONE when it has ended, and at
 * first.  @ready: bits of the threads that can go on, at least one.
 */
typedef int (*sched_choose_t)(int now, unsigned int ready);

struct sched_run {
	void (*thread)(int nr);
	int nr;
	sched_choose_t choose;
};

enum sched_end { SCHED_DONE, SCHED_DEADLOCK, SCHED_ENDLESS };

/* Runs all threads to their ends. */
enum sched_end sched_run(const struct sched_run *run);
/* What a thread is about to do */
const char *sched_what(int thread);

enum sched_border { SCHED_WITHIN, SCHED_PIECE, SCHED_CALL };

enum sched_border sched_border(int thread);

/*
 * What was touched is known by small numbers, of which some memory may share one.
 * @touch is called for each access to memory that threads can share, and for what a
 * thread waits for in vain.
 */
#define SCHED_PLACES	65536

extern void (*sched_touch)(int thread, unsigned int place, bool write);
/* Memory in which threads only count for us */
void sched_ignore(const void *from, size_t size);

/* From now on, allocations are at the same addresses again; what was there is gone. */
void sched_memory_reset(void);

#endif
