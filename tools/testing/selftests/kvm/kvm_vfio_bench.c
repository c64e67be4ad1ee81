// SPDX-License-Identifier: GPL-2.0-only
/*
 * What ADD and DEL of one group cost while others are held.
 *
 *	kvm_vfio_bench one|each BDF...
 *
 * The groups are all in one container, or each in its own.  Prints a line "HELD
 * ADD DEL" for some numbers of groups held, in ticks of the time stamp counter,
 * which counts instructions in a machine with -icount; the least of some runs.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio_util.h"

#define RUNS	5

static const unsigned int steps[] = { 0, 1, 63, 126, 253 };

static uint64_t ticks(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t ticks;

	asm volatile("mrs %0, cntvct_el0" : "=r" (ticks));
	return ticks;
#else
	return __builtin_ppc_get_timebase();
#endif
}

static unsigned int group_number(const char *bdf)
{
	char link[256];

	VFIO_ASSERT(!__pci_link(bdf, "iommu_group", link, sizeof(link)),
		    "%s is in no IOMMU group", bdf);
	return strtoul(link, NULL, 10);
}

/* Opens a group and prepares it for ADD. */
static int protected_group(const char *bdf, int *container)
{
	int group = vfio_group_open(group_number(bdf));
	bool first = *container < 0;

	if (first)
		*container = vfio_container_open();
	vfio_group_set_container(group, *container);
	if (first)
		vfio_container_use_iommu(*container);
	return group;
}

static void cheaper(uint64_t *cost, uint64_t start)
{
	uint64_t now = ticks() - start;

	if (now < *cost)
		*cost = now;
}

/* The cost of one more group while @held are held */
static void measure(int dev, unsigned int held, int group)
{
	uint64_t add = UINT64_MAX, del = UINT64_MAX, start;
	unsigned int i;

	for (i = 0; i < RUNS; i++) {
		vfio_await_tick();
		start = ticks();
		kvm_vfio_add(dev, group);
		cheaper(&add, start);
		vfio_await_tick();
		start = ticks();
		kvm_vfio_del(dev, group);
		cheaper(&del, start);
	}
	printf("%u %llu %llu\n", held, (unsigned long long)add,
	       (unsigned long long)del);
}

int main(int argc, char **argv)
{
	unsigned int nr = argc - 2, held = 0, i;
	int vm, dev, container = -1;
	bool each;
	int *group;

	if (argc < 3 || (strcmp(argv[1], "one") && strcmp(argv[1], "each"))) {
		fprintf(stderr, "usage: kvm_vfio_bench one|each BDF...\n");
		return 2;
	}
	each = !strcmp(argv[1], "each");
	group = calloc(nr, sizeof(*group));
	VFIO_ASSERT(group, "no memory");
	vm = kvm_vm_open();
	dev = kvm_vfio_create(vm);

	for (i = 0; i < nr; i++) {
		if (each)
			container = -1;
		group[i] = protected_group(argv[2 + i], &container);
	}
	for (i = 0; i < ARRAY_SIZE(steps) && steps[i] < nr; i++) {
		while (held < steps[i])
			kvm_vfio_add(dev, group[held++]);
		measure(dev, held, group[held]);
	}
	free(group);
	return 0;
}
