// SPDX-License-Identifier: GPL-2.0-only
/*
 * A plugin of QEMU for bench/profile: which blocks of code a machine with one CPU runs from
 * a certain call of a function on.
 *
 * Arguments: out=FILE, and NAME=ADDRESS:CALL for each call that is wanted, ADDRESS in hex,
 * the function's first call is 1.  The file gets lines "NAME ADDRESS INSTRUCTIONS", one
 * for each block, in the order in which they run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"

int qemu_plugin_version = 2;

#define CALLS	16
#define BLOCKS	100000UL	/* enough for one call */

struct block {
	__u64 address;
	size_t instructions;
};

static struct call {
	char name[32];
	__u64 address;
	unsigned long when;
} calls[CALLS];

static unsigned int nr_calls;
static struct call *now;
static unsigned long left;
static FILE *out;

static void begin(struct block *block)
{
	unsigned int i;

	for (i = 0; i < nr_calls; i++) {
		if (calls[i].address != block->address || --calls[i].when)
			continue;
		now = &calls[i];
		left = BLOCKS;
	}
}

static void run(unsigned int cpu, void *data)
{
	struct block *block = data;

	begin(block);
	if (!left)
		return;
	left--;
	fprintf(out, "%s %016llx %zu\n", now->name, (unsigned long long)block->address,
		block->instructions);
}

/* A block that is translated again is another one; none is ever freed. */
static void translated(__u64 id, struct qemu_plugin_tb *tb)
{
	struct block *block = malloc(sizeof(*block));

	if (!block)
		abort();
	block->address = qemu_plugin_tb_vaddr(tb);
	block->instructions = qemu_plugin_tb_n_insns(tb);
	qemu_plugin_register_vcpu_tb_exec_cb(tb, run, QEMU_PLUGIN_CB_NO_REGS, block);
}

int qemu_plugin_install(__u64 id, const void *info, int argc, char **argv)
{
	unsigned long long address;
	int i;

	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4)) {
			out = fopen(argv[i] + 4, "w");
		} else if (nr_calls < CALLS &&
			   sscanf(argv[i], "%31[^=]=%llx:%lu", calls[nr_calls].name, &address,
				  &calls[nr_calls].when) == 3) {
			calls[nr_calls++].address = address;
		} else {
			fprintf(stderr, "profile: what is %s?\n", argv[i]);
			return 1;
		}
	}
	if (!out)
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
