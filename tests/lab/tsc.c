// SPDX-License-Identifier: GPL-2.0-only
/*
 * Print the frequency of the TSC of this host, in kHz.
 */
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct moment {
	unsigned long tsc;
	unsigned long ns;
};

/* Both clocks at once, or nearly so: the best of many tries */
static struct moment now(void)
{
	unsigned long before, took, best = ULONG_MAX;
	struct moment moment = {};
	struct timespec t;
	int i;

	for (i = 0; i < 100; i++) {
		before = __rdtsc();
		clock_gettime(CLOCK_MONOTONIC_RAW, &t);
		took = __rdtsc() - before;
		if (took >= best)
			continue;
		best = took;
		moment.tsc = before + took / 2;
		moment.ns = t.tv_sec * 1000000000UL + t.tv_nsec;
	}
	return moment;
}

int main(void)
{
	const struct timespec while_both_count = { .tv_nsec = 20000000 };
	struct moment start = now(), end;

	nanosleep(&while_both_count, NULL);
	end = now();
	printf("%.0f\n", (end.tsc - start.tsc) * 1e6 / (end.ns - start.ns));
	return 0;
}
