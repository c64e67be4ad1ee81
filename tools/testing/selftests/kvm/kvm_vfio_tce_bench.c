// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the TCE hypercalls of a guest cost, in ticks of the timebase, which counts
 * instructions in a machine with -icount.  One window of 1 GiB with pages of 4 KiB,
 * guest memory preregistered; the guest loops.
 *
 * kvm_vfio_tce_bench [one|shared|each [TABLES]]
 * kvm_vfio_tce_bench boot SHIFT
 *	one	one group
 *	shared	two groups in one container, so with one hardware table
 *	each	two groups, each with a container and a hardware table of its own
 *	boot	one group, and a new window of 1 GiB with pages of 1 << SHIFT bytes, all of which
 *		the guest maps, as Linux does when it boots: by lists
 * TABLES is how many the VM has, 1 by default.  The guest uses the oldest.
 *
 * Prints lines "NAME TICKS", per hypercall, and for KVM_SET_USER_MEMORY_REGION that deletes
 * a slot.  The cheapest of some rounds counts.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <assert.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio_tce.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
#define MEMORY		(64 * 1024 * 1024UL)
#define WINDOW		(1024 * 1024 * 1024UL)
#define LIOBN		0x80000000UL
#define LIST		PPC64_FREE
#define OTHER_LIST	(LIST + 4096)
#define PAGES		(PPC64_FREE * 2)	/* what gets mapped */
#define OTHER_PAGES	(PPC64_FREE * 4)
#define CALLS		128UL			/* of those for one entry */
#define ROUNDS		8UL
#define H_CONFER	0xe4UL			/* to no vCPU: does nothing */

static_assert(ROUNDS * TCE_LIST * 4096 <= WINDOW, "each round has entries of its own");

/* Of the window's pages */
static unsigned int shift = 12;

static struct vfio_test_device devices[2];
static struct ppc64_vm vm;
static struct ppc64_vcpu vcpu;
static int kvm_vfio, table;

static unsigned long page(void)
{
	return 1UL << shift;
}

enum {
	NOTHING, GET, PUT_MAP, PUT_REMAP, PUT_UNMAP, STUFF_ONE, INDIRECT_FIRST,
	INDIRECT_MAP, INDIRECT_REMAP, INDIRECT_OTHER, STUFF_MAPPED, STUFF_EMPTY, SLOT_DELETE,
	NR_COSTS
};

static const char * const names[NR_COSTS] = {
	"nothing", "get", "put_map", "put_remap", "put_unmap", "stuff_one",
	"indirect_first", "indirect_map", "indirect_remap", "indirect_other", "stuff_mapped",
	"stuff_empty", "slot_delete"
};

static uint64_t costs[NR_COSTS];

static void note(unsigned int what, uint64_t cost)
{
	if (!costs[what] || cost < costs[what])
		costs[what] = cost;
}

static void measure(unsigned int what, struct ppc64_request request)
{
	*vcpu.request = request;
	vfio_await_tick();
	ppc64_vcpu_run(&vcpu);
	VFIO_ASSERT(!vcpu.nr_to_user && !vcpu.request->all,
		    "%s: %lu times to user space, or'ed results %#llx", names[what],
		    vcpu.nr_to_user, (unsigned long long)vcpu.request->all);
	note(what, vcpu.request->ticks / request.repeat);
}

/* One entry at a time, from @ioba on */
static void measure_one(unsigned int what, unsigned long nr, uint64_t ioba,
			uint64_t tce)
{
	measure(what, (struct ppc64_request){
		.repeat = CALLS,
		.nr = nr,
		.args = { LIOBN, ioba, tce },
		.step = { page(), tce ? page() : 0 },
	});
}

/* As many entries as one call can change */
static void measure_list(unsigned int what, unsigned long nr, uint64_t ioba,
			 uint64_t list)
{
	measure(what, (struct ppc64_request){
		.repeat = 1,
		.nr = nr,
		.args = { LIOBN, ioba, list, TCE_LIST },
	});
}

/* The whole ioctl, of a slot that no entry was translated by */
static void measure_slot(void)
{
	uint64_t start;

	ppc64_vm_slot(&vm, 1, 0, MEMORY, vm.memory, MEMORY);
	vfio_await_tick();
	start = __builtin_ppc_get_timebase();
	ppc64_vm_slot(&vm, 1, 0, MEMORY, vm.memory, 0);
	note(SLOT_DELETE, __builtin_ppc_get_timebase() - start);
}

/* The table has no memory yet for the entries at @ioba. */
static void measure_round(uint64_t ioba)
{
	measure(NOTHING, (struct ppc64_request){
		.repeat = CALLS, .nr = H_CONFER, .args = { -1UL },
	});
	measure_list(INDIRECT_FIRST, H_PUT_TCE_INDIRECT, ioba, LIST);
	measure_list(INDIRECT_REMAP, H_PUT_TCE_INDIRECT, ioba, LIST);
	measure_list(INDIRECT_OTHER, H_PUT_TCE_INDIRECT, ioba, OTHER_LIST);
	measure_list(STUFF_MAPPED, H_STUFF_TCE, ioba, 0);
	measure_list(STUFF_EMPTY, H_STUFF_TCE, ioba, 0);
	measure_list(INDIRECT_MAP, H_PUT_TCE_INDIRECT, ioba, LIST);
	measure_list(STUFF_MAPPED, H_STUFF_TCE, ioba, 0);
	measure_one(PUT_MAP, H_PUT_TCE, ioba, PAGES | TCE_RW);
	measure_one(PUT_REMAP, H_PUT_TCE, ioba, OTHER_PAGES | TCE_RW);
	measure_one(GET, H_GET_TCE, ioba, 0);
	measure_one(PUT_UNMAP, H_PUT_TCE, ioba, 0);
	measure_one(PUT_MAP, H_PUT_TCE, ioba, PAGES | TCE_RW);
	measure(STUFF_ONE, (struct ppc64_request){
		.repeat = CALLS,
		.nr = H_STUFF_TCE,
		.args = { LIOBN, ioba, 0, 1 },
		.step = { page() },
	});
}

/* The list has the same pages again and again: only their number matters. */
static void measure_boot(void)
{
	unsigned long calls = WINDOW / page() / TCE_LIST;

	*vcpu.request = (struct ppc64_request){
		.repeat = calls,
		.nr = H_PUT_TCE_INDIRECT,
		.args = { LIOBN, 0, LIST, TCE_LIST },
		.step = { TCE_LIST * page() },
	};
	vfio_await_tick();
	ppc64_vcpu_run(&vcpu);
	VFIO_ASSERT(!vcpu.nr_to_user && !vcpu.request->all,
		    "boot: %lu times to user space, or'ed results %#llx",
		    vcpu.nr_to_user, (unsigned long long)vcpu.request->all);
	printf("boot%u %llu\n", shift, (unsigned long long)vcpu.request->ticks);
}

/* Pages are neighbours in the first list, but not in the second. */
static void make_lists(void)
{
	unsigned int i;

	for (i = 0; i < TCE_LIST; i++) {
		tce_list_set(&vm, LIST, i, (PAGES + i * page() % (MEMORY / 4)) | TCE_RW);
		tce_list_set(&vm, OTHER_LIST, i,
			     (OTHER_PAGES + i * 37 % TCE_LIST * page()) | TCE_RW);
	}
}

/* Whatever else runs on the machine's only CPU would be measured, too. */
static void keep_the_cpu(void)
{
	struct sched_param param = { .sched_priority = 1 };

	VFIO_ASSERT(!__sysfs_write("/proc/sys/kernel/sched_rt_runtime_us", "-1") &&
		    !sched_setscheduler(0, SCHED_FIFO, &param), "SCHED_FIFO");
}

static void add_group(unsigned int nr, int *container)
{
	int group = vfio_group_open(devices[nr].group);
	bool first = *container < 0;

	if (first)
		*container = vfio_container_open();
	vfio_group_set_container(group, *container);
	if (first) {
		vfio_container_use_iommu(*container);
		VFIO_ASSERT(!__vfio_memory_register(*container, vm.memory, MEMORY),
			    "register memory");
		tce_window_drop_default(*container);
		VFIO_ASSERT(!tce_window_create(*container, shift, WINDOW), "not at 0");
	}
	kvm_vfio_add(kvm_vfio, group);
	VFIO_ASSERT(!__kvm_vfio_set_spapr_tce(kvm_vfio, group, table), "attach");
}

static void set_up(unsigned int groups, bool shared, unsigned int tables)
{
	int container = -1;
	unsigned int i;

	ppc64_vm_open(&vm, MEMORY);
	ppc64_vcpu_open(&vcpu, &vm);
	kvm_vfio = kvm_vfio_create(vm.fd);
	table = tce_table(vm.fd, LIOBN, shift, 0, WINDOW / page());
	for (i = 1; i < tables; i++)
		tce_table(vm.fd, LIOBN + i, shift, 0, WINDOW / page());
	for (i = 0; i < groups; i++) {
		if (!shared)
			container = -1;
		add_group(i, &container);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "one";
	bool boot = !strcmp(mode, "boot");
	unsigned int tables = 1;
	unsigned int groups = boot || !strcmp(mode, "one") ? 1 : 2;
	unsigned int i;

	if (argc > 2)
		*(boot ? &shift : &tables) = strtoul(argv[2], NULL, 10);
	vfio_test_init(devices, groups, groups);
	set_up(groups, !strcmp(mode, "shared"), tables);
	make_lists();
	keep_the_cpu();
	if (boot) {
		measure_boot();
		return 0;
	}
	for (i = 0; i < ROUNDS; i++) {
		measure_round(i * TCE_LIST * page());
		measure_slot();
	}
	for (i = 0; i < NR_COSTS; i++)
		printf("%s %llu\n", names[i], (unsigned long long)costs[i]);
	return 0;
}
#else
int main(void)
{
	ksft_exit_skip("POWER only\n");
}
#endif
