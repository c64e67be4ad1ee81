// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for the tests of TCE tables, see include/vfio_tce.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vfio_util.h"
#ifdef __KVM_HAVE_SPAPR_TCE
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/membarrier.h>

#include "vfio_probe.h"
#include "vfio_tce.h"

long h_put_tce(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
	       uint64_t tce)
{
	return ppc64_hcall(vcpu, H_PUT_TCE, liobn, ioba, tce, 0);
}

long h_put_tce_indirect(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
			uint64_t list, uint64_t npages)
{
	return ppc64_hcall(vcpu, H_PUT_TCE_INDIRECT, liobn, ioba, list, npages);
}

long h_stuff_tce(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
		 uint64_t value, uint64_t npages)
{
	return ppc64_hcall(vcpu, H_STUFF_TCE, liobn, ioba, value, npages);
}

long h_get_tce(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
	       uint64_t *tce)
{
	long ret = ppc64_hcall(vcpu, H_GET_TCE, liobn, ioba, 0, 0);

	*tce = vcpu->request->out[0];
	return ret;
}

void tce_list_set(struct ppc64_vm *vm, uint64_t gpa, unsigned int nr, uint64_t tce)
{
	((uint64_t *)(vm->memory + gpa))[nr] = htobe64(tce);
}

int __tce_table(int vm, uint64_t liobn, unsigned int shift, uint64_t offset,
		uint64_t size)
{
	struct kvm_create_spapr_tce_64 args = {
		.liobn = liobn,
		.page_shift = shift,
		.offset = offset,
		.size = size,
	};
	int table = ioctl(vm, KVM_CREATE_SPAPR_TCE_64, &args);

	return table < 0 ? -errno : table;
}

int tce_table(int vm, uint64_t liobn, unsigned int shift, uint64_t offset,
	      uint64_t size)
{
	int table = __tce_table(vm, liobn, shift, offset, size);

	VFIO_ASSERT(table >= 0, "KVM_CREATE_SPAPR_TCE_64: %d", table);
	return table;
}

void tce_window_drop_default(int container)
{
	tce_window_remove(container, 0);
}

int __tce_window_create(int container, unsigned int shift, uint64_t size,
			unsigned int levels, uint64_t *start)
{
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = sizeof(create),
		.page_shift = shift,
		.window_size = size,
		.levels = levels,
	};

	if (ioctl(container, VFIO_IOMMU_SPAPR_TCE_CREATE, &create))
		return -errno;
	*start = create.start_addr;
	return 0;
}

uint64_t tce_window_create(int container, unsigned int shift, uint64_t size)
{
	uint64_t start = 0;
	int ret = __tce_window_create(container, shift, size, 1, &start);

	VFIO_ASSERT(!ret, "VFIO_IOMMU_SPAPR_TCE_CREATE: %d", ret);
	return start;
}

int __tce_window_remove(int container, uint64_t start)
{
	struct vfio_iommu_spapr_tce_remove remove = {
		.argsz = sizeof(remove),
		.start_addr = start,
	};

	return ioctl(container, VFIO_IOMMU_SPAPR_TCE_REMOVE, &remove) ? -errno : 0;
}

void tce_window_remove(int container, uint64_t start)
{
	int ret = __tce_window_remove(container, start);

	VFIO_ASSERT(!ret, "VFIO_IOMMU_SPAPR_TCE_REMOVE: %d", ret);
}

/*
 * To register a region again is refused as long as it is mapped, or was not unregistered,
 * after the kernel has looked the region up and put it: the second argument of
 * mm_iommu_put() is the region, with its count at offset 40.  One of the count is the
 * region's own.
 */
static struct vfio_probe region_put =
	VFIO_PROBE("region_put", VFIO_PROBE_AT("mm_iommu_put")
		   " kvm=+40(" VFIO_PROBE_ARG2 "):x64");

void tce_watch_regions(void)
{
	vfio_probes_set(&region_put, 1);
}

/*
 * Clearing the trace waits for RCU, which takes long, and tests ask for many
 * counts.
 */
#define TRACE_LINES	64U

long tce_region_mapped(int container, void *va, size_t size)
{
	unsigned int before = vfio_trace_count(&region_put, VFIO_PROBE_ANY, NULL);
	unsigned int seen;
	uint64_t mapped;
	int ret;

	if (before > TRACE_LINES) {
		vfio_trace_clear();
		before = 0;
	}
	ret = __vfio_memory_register(container, va, size);
	VFIO_ASSERT(ret == -EBUSY, "the region is not registered: %d", ret);
	seen = vfio_trace_count(&region_put, VFIO_PROBE_ANY, &mapped) - before;
	/* Twice after an UNREGISTER that was refused, which is tried again */
	VFIO_ASSERT(seen == 1 || seen == 2, "the region is seen %u times", seen);
	return (long)mapped - 1;
}

/*
 * Races
 */
static void *call_thread(void *arg)
{
	struct tce_call *call = arg;

	call->ret = ppc64_hcall(call->vcpu, call->nr, call->args[0], call->args[1],
				call->args[2], call->args[3]);
	return NULL;
}

void tce_call_start(struct tce_call *call)
{
	VFIO_ASSERT(!pthread_create(&call->thread, NULL, call_thread, call), "thread");
}

long tce_call_wait(struct tce_call *call)
{
	pthread_join(call->thread, NULL);
	return call->ret;
}

static void *flip_thread(void *arg)
{
	struct tce_flip *flip = arg;
	unsigned int i;

	for (i = 0; !__atomic_load_n(&flip->stop, __ATOMIC_RELAXED); i++)
		__atomic_store_n(flip->at, htobe64(flip->tces[i % 2]), __ATOMIC_RELAXED);
	return NULL;
}

void tce_flip_start(struct tce_flip *flip, struct ppc64_vm *vm, uint64_t gpa,
		    unsigned int nr, uint64_t one, uint64_t other)
{
	*flip = (struct tce_flip){
		.at = (uint64_t *)(vm->memory + gpa) + nr,
		.tces = { one, other },
	};
	VFIO_ASSERT(!pthread_create(&flip->thread, NULL, flip_thread, flip), "thread");
}

void tce_flip_stop(struct tce_flip *flip)
{
	__atomic_store_n(&flip->stop, true, __ATOMIC_RELAXED);
	pthread_join(flip->thread, NULL);
}

void tce_missing_give(const struct missing_page *missing, const uint64_t *tces,
		      unsigned int nr)
{
	uint64_t list[TCE_LIST];
	unsigned int i;

	VFIO_ASSERT(nr <= TCE_LIST, "a list of %u", nr);
	for (i = 0; i < nr; i++)
		list[i] = htobe64(tces[i]);
	missing_page_give(missing, list, nr * sizeof(*list));
}

static void *within_thread(void *arg)
{
	struct tce_within *within = arg;

	within->fn(within->arg);
	return NULL;
}

bool tce_within(struct tce_within *within, unsigned int seconds)
{
	struct timespec end;

	VFIO_ASSERT(!pthread_create(&within->thread, NULL, within_thread, within),
		    "thread");
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += seconds;
	if (pthread_timedjoin_np(within->thread, NULL, &end))
		return false;
	within->fn = NULL;
	return true;
}

void tce_within_end(struct tce_within *within)
{
	if (within->fn)
		pthread_join(within->thread, NULL);
	within->fn = NULL;
}

/*
 * A grace period ends before the callbacks that wait for it run, so wait for
 * several.
 */
void tce_rcu_wait(void)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		VFIO_ASSERT(!syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0),
			    "membarrier");
}

/* Probes that read a lot at each call of a function, to make the call slow */
#define SLOW_EVENTS	16
#define SLOW_READS	100
#define TRACEFS		"/sys/kernel/tracing"

bool tce_slow_down(const char *place)
{
	char line[4096];
	unsigned int i;
	size_t len;
	int ret = 0;

	for (i = 0; !ret && i < SLOW_EVENTS; i++) {
		len = snprintf(line, sizeof(line), "p:tce_slow/slow%u %s", i, place);
		while (len < SLOW_READS * sizeof(" +0(%gpr3):x64"))
			len += snprintf(line + len, sizeof(line) - len, " +0(%%gpr3):x64");
		ret = vfio_probe_event(line);
	}
	if (!ret)
		ret = __sysfs_write(TRACEFS "/events/tce_slow/enable", "1");
	if (ret)
		fprintf(stderr, "# %s cannot be slowed down: %d\n", place, ret);
	return !ret;
}

void tce_normal_speed(void)
{
	__sysfs_write(TRACEFS "/events/tce_slow/enable", "0");
	vfio_probe_event("-:tce_slow/\n");
}
#endif /* __KVM_HAVE_SPAPR_TCE */
