// SPDX-License-Identifier: GPL-2.0-only
/*
 * isolate FILE: tell the firmware of a POWER machine that a slot is not used any more.
 * FILE has the number of the slot, as a property of the device tree has it.
 */
#include <endian.h>
#include <linux/types.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SET_INDICATOR	"/proc/device-tree/rtas/set-indicator"
#define ISOLATION_STATE	9001
#define ISOLATE		0

/* As of the system call, all big-endian: three arguments and one result */
struct rtas_args {
	__u32 token;
	__u32 nr_args;
	__u32 nr_results;
	__u32 args[16];
	__u64 results;
};

static int read_cell(const char *path, __u32 *cell)
{
	FILE *file = fopen(path, "r");

	if (!file || fread(cell, sizeof(*cell), 1, file) != 1) {
		perror(path);
		return 1;
	}
	fclose(file);
	return 0;
}

int main(int argc, char **argv)
{
	struct rtas_args call = {
		.nr_args = htobe32(3),
		.nr_results = htobe32(1),
		.args = { htobe32(ISOLATION_STATE), 0, htobe32(ISOLATE) },
	};

	if (argc != 2)
		return 1;
	if (read_cell(SET_INDICATOR, &call.token) || read_cell(argv[1], &call.args[1]))
		return 1;
	if (syscall(SYS_rtas, &call)) {
		perror("rtas");
		return 1;
	}
	if (call.args[3])
		printf("set-indicator: %d\n", (int)be32toh(call.args[3]));
	return !!call.args[3];
}
