// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the TCE hypercalls of a guest cost, in ticks of the timebase, which counts
 * instructions in a machine with -icount.  One window of 1 GiB with pages of 4 KiB,
 * one group attached, guest memory preregistered; the guest loops.
 *
 * Prints lines "NAME TICKS", per hypercall: the least of some rounds.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "vfio_tce.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
#define MEMORY		(64 * 1024 * 1024UL)
#define WINDOW		(1024 * 1024 * 1024UL)
#define PAGE		4096UL
#define LIOBN		0x80000000UL
#define LIST		PPC64_FREE
#define PAGES		(PPC64_FREE * 2)	/* what gets mapped */
#define CALLS		4096UL
#define LIST_CALLS	16UL
#define ROUNDS		5

static struct vfio_test_device device;
static struct ppc64_vm vm;
static struct ppc64_vcpu vcpu;

enum {
	GET, PUT_MAP, PUT_UNMAP, INDIRECT_MAP, INDIRECT_REMAP, STUFF_MAPPED,
	STUFF_EMPTY, NR_COSTS
};

static const char * const names[NR_COSTS] = {
	"get", "put_map", "put_unmap", "indirect_map", "indirect_remap",
	"stuff_mapped", "stuff_empty"
};

static uint64_t costs[NR_COSTS];

static void measure(unsigned int what, unsigned long nr, unsigned long calls,
		    uint64_t arg2, uint64_t arg3)
{
	uint64_t pages = calls == LIST_CALLS ? TCE_LIST : 1, cost;

	*vcpu.request = (struct ppc64_request){
		.repeat = calls,
		.nr = nr,
		.args = { LIOBN, 0, arg2, arg3 },
		.step = { pages * PAGE, what == PUT_MAP ? PAGE : 0 },
	};
	ppc64_vcpu_run(&vcpu);
	VFIO_ASSERT(!vcpu.nr_to_user && !vcpu.request->all,
		    "%s: %lu times to user space, or'ed results %#llx", names[what],
		    vcpu.nr_to_user, (unsigned long long)vcpu.request->all);
	cost = vcpu.request->ticks / calls;
	if (!costs[what] || cost < costs[what])
		costs[what] = cost;
}

static void measure_round(void)
{
	measure(GET, H_GET_TCE, CALLS, 0, 0);
	measure(PUT_MAP, H_PUT_TCE, CALLS, PAGES | TCE_RW, 0);
	measure(PUT_UNMAP, H_PUT_TCE, CALLS, 0, 0);
	measure(INDIRECT_MAP, H_PUT_TCE_INDIRECT, LIST_CALLS, LIST, TCE_LIST);
	measure(INDIRECT_REMAP, H_PUT_TCE_INDIRECT, LIST_CALLS, LIST, TCE_LIST);
	measure(STUFF_MAPPED, H_STUFF_TCE, LIST_CALLS, 0, TCE_LIST);
	measure(STUFF_EMPTY, H_STUFF_TCE, LIST_CALLS, 0, TCE_LIST);
}

/* What else runs on the machine's only CPU would count. */
static void keep_the_cpu(void)
{
	struct sched_param param = { .sched_priority = 1 };

	VFIO_ASSERT(!__sysfs_write("/proc/sys/kernel/sched_rt_runtime_us", "-1") &&
		    !sched_setscheduler(0, SCHED_FIFO, &param), "SCHED_FIFO");
}

static void set_up(void)
{
	int container, group, dev, table;

	ppc64_vm_open(&vm, MEMORY);
	ppc64_vcpu_open(&vcpu, &vm);
	dev = kvm_vfio_create(vm.fd);
	container = vfio_container_open();
	group = vfio_group_open(device.group);
	vfio_group_set_container(group, container);
	vfio_container_set_iommu(container);
	VFIO_ASSERT(!__vfio_memory_register(container, vm.memory, MEMORY),
		    "register memory");
	tce_window_drop_default(container);
	VFIO_ASSERT(!tce_window_create(container, 12, WINDOW), "not at 0");
	kvm_vfio_add(dev, group);
	table = tce_table(vm.fd, LIOBN, 12, 0, WINDOW / PAGE);
	VFIO_ASSERT(!__kvm_vfio_set_spapr_tce(dev, group, table), "attach");
}

int main(void)
{
	unsigned int i;

	vfio_test_init(&device, 1, 1);
	set_up();
	for (i = 0; i < TCE_LIST; i++)
		tce_list_set(&vm, LIST, i, (PAGES + i * PAGE) | TCE_RW);
	keep_the_cpu();
	for (i = 0; i < ROUNDS; i++)
		measure_round();
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
