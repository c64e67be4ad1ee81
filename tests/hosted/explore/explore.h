/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The explorer: runs some operations in all schedules up to a bound of preemptions.
 */
#ifndef _EXPLORE_H
#define _EXPLORE_H

#include <stdbool.h>
#include <stddef.h>

/* An operation: some system calls, or what the host or a vCPU does */
struct explore_op {
	const char *name;
	/* What the caller sees: 0, an error, or an answer */
	long (*run)(void);
	bool has_pieces;
};

struct explore_suite {
	const struct explore_op *ops;
	unsigned int nr_ops;
	/* Sets of three, by their names */
	const char *const (*triples)[3];
	unsigned int nr_triples;
	/* Everything that the operations start from, made anew for each schedule */
	void (*begin)(void);
	/*
	 * After the last operation: all that is always true, and what there is, as
	 * text without addresses.  Then the fakes' fake_end() follows.
	 */
	void (*end)(char *text, size_t size);
	/* The result of an operation that says so if it was not done as a whole; or 0 */
	long not_done;
};

extern const struct explore_suite explore_suite;

#endif
