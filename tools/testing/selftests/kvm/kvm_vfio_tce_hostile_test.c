// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contract 4.23: two vCPUs make TCE hypercalls with random registers, on the same
 * entries, and each rewrites the lists that the other one passes.
 *
 * Each round has two parts.  First only the vCPUs run.  Afterwards the guest's
 * table must agree with the hardware's table entry by entry, and with the count
 * of mapped memory.  Then the VMM makes, attaches and removes everything
 * meanwhile, and holds a list back for a while, and the host takes the device
 * and gives it back.  Afterwards the counts must agree with the hardware's
 * tables.  At the end it must be possible to unregister all memory.  (If the
 * host crashes, the machine is lost.)
 *
 *	TCE_S		seconds, 20 by default; a quarter of them for the first part
 *	TCE_ROUNDS	3 by default
 *	KVM_VFIO_SEED	for the random numbers
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "vfio_tce_test.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
/* Beside LIOBN, the window at 0 */
#define LIOBN_LARGE	LIOBN2		/* the window with larger pages */
#define LIOBN_SOFT	0x80000002UL	/* no window */

/*
 * Slot 0 is guest memory of which the first half is preregistered.  Slot 1 is
 * added and removed; its memory is part of slot 0's.  Slot 2 belongs to another
 * region, which is registered and unregistered.  Entries with its pages are put
 * only into the window with larger pages, which can never map them, because the
 * region has no huge pages: a region that is unregistered while it is mapped
 * would stay for ever, by defect 16 of stock.
 */
#define REGION		(8 * MIB)
#define SLOT1		0x10000000000UL
#define SLOT1_SIZE	(1 * MIB)
#define SLOT2		0x20000000000UL
#define SLOT2_SIZE	(1 * MIB)
#define NR_LISTS	4
#define PAGES		(2 * MIB)
#define MISSING		(12 * MIB)	/* a list that user space holds back */

/* Most requests are for this many entries at either end of a table. */
#define HOT		64UL
#define COLD		2048UL

#define NR_VCPUS	2

enum outcome { SUCCESS, PARAMETER, TO_USER, NR_OUTCOMES };

struct guest {
	struct ppc64_vcpu vcpu;
	uint64_t random;
	unsigned long outcomes[4][NR_OUTCOMES];
	unsigned long strange;
	pthread_t thread;
};

static const uint64_t hcalls[] = {
	H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, H_GET_TCE
};

static struct vfio_test_device device;
static struct ppc64_vm vm;
static struct guest guests[NR_VCPUS];
static uint8_t *comes_and_goes;
static int dev, group, container, table, table_large;
static uint64_t large_start;
static struct missing_page missing;
static unsigned long nr_changes, nr_waits;
static bool stop;

/* Splitmix, less one multiplication: good enough here. */
static uint64_t random64(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15UL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9UL;
	return x ^ x >> 29;
}

static unsigned int below(uint64_t *state, unsigned int limit)
{
	return (random64(state) >> 16) % limit;
}

static uint64_t some_number(uint64_t *state)
{
	switch (below(state, 4)) {
	case 0:
		return random64(state);
	case 1:
		return ~0UL << below(state, 64);
	case 2:
		return 1UL << below(state, 64);
	default:
		return (1UL << below(state, 64)) - 1;
	}
}

static uint64_t some_liobn(uint64_t *state)
{
	static const uint64_t liobns[] = { LIOBN, LIOBN, LIOBN, LIOBN_LARGE, LIOBN_SOFT };

	if (!below(state, 32))
		return some_number(state);
	return liobns[below(state, ARRAY_SIZE(liobns))];
}

static uint64_t some_ioba(uint64_t *state, uint64_t liobn)
{
	uint64_t ioba = below(state, ENTRIES);

	if (!below(state, 16))
		return some_number(state);
	/* Mostly the same few entries, so that the vCPUs meet. */
	if (below(state, 4))
		ioba = below(state, 2) ? ioba % HOT : ENTRIES - 1 - ioba % HOT;
	return liobn == LIOBN_LARGE ? large_start + (ioba << 16) : ioba << SHIFT;
}

static uint64_t some_tce(uint64_t *state, uint64_t liobn)
{
	uint64_t bits = below(state, 4);

	if (liobn == LIOBN_LARGE && below(state, 8))
		return (SLOT2 + (below(state, SLOT2_SIZE >> 16) << 16)) | bits;
	switch (below(state, 16)) {
	case 0:
		return some_number(state);
	case 1:
		return 0;
	case 2:
		return (PAGES + below(state, PAGE)) | bits;
	case 3:
		return (REGION + below(state, 64) * PAGE) | bits;
	case 4:
		return (SLOT1 + below(state, 512) * PAGE) | bits;
	case 5:
		return 0xdead000UL | below(state, PAGE);
	default:
		return (PAGES + below(state, 512) * PAGE) | bits;
	}
}

static uint64_t some_count(uint64_t *state)
{
	static const uint64_t counts[] = { 0, 1, 2, 511, 512, 513, ENTRIES, ENTRIES + 1 };

	switch (below(state, 8)) {
	case 0:
		return some_number(state);
	case 1:
		return counts[below(state, ARRAY_SIZE(counts))];
	default:
		return below(state, 64);
	}
}

static uint64_t some_list(uint64_t *state)
{
	switch (below(state, 16)) {
	case 0:
		return some_number(state);
	case 1:
		return SLOT1 + below(state, 512) * PAGE;
	case 2:
		return LIST + below(state, PAGE);
	case 3:
		return MISSING;
	default:
		return LIST + below(state, NR_LISTS) * PAGE;
	}
}

/* Registers that a hypercall does not use are random as well. */
static void some_registers(struct ppc64_request *request, uint64_t *state)
{
	unsigned int i;

	for (i = 0; i < PPC64_HCALL_ARGS; i++)
		request->args[i] = some_number(state);
}

static void fill_list(uint64_t *state)
{
	uint64_t list = LIST + below(state, NR_LISTS) * PAGE;
	unsigned int i;

	for (i = 0; i < 16; i++)
		tce_list_set(&vm, list, below(state, HOT), some_tce(state, LIOBN));
}

static void some_request(struct guest *guest, unsigned int what)
{
	uint64_t *state = &guest->random, liobn = some_liobn(state);
	struct ppc64_request request = {
		.repeat = 1 + below(state, 8),
		.nr = hcalls[what],
		.step = { below(state, 4) ? PAGE : 0, below(state, 4) ? 0 : PAGE },
	};

	some_registers(&request, state);
	request.args[0] = liobn;
	request.args[1] = some_ioba(state, liobn);
	switch (hcalls[what]) {
	case H_PUT_TCE:
		request.args[2] = some_tce(state, liobn);
		break;
	case H_PUT_TCE_INDIRECT:
		if (!below(state, 4))
			fill_list(state);
		request.args[2] = some_list(state);
		request.args[3] = some_count(state);
		break;
	case H_STUFF_TCE:
		request.args[2] = some_tce(state, liobn);
		if (below(state, 8))
			request.args[2] &= ~TCE_RW;
		request.args[3] = some_count(state);
		break;
	}
	*guest->vcpu.request = request;
}

/* Alternates between two values, in one entry of a list or in all of them */
static void rewrite_list(struct guest *guest)
{
	uint64_t *state = &guest->random;
	uint64_t list = LIST + below(state, NR_LISTS) * PAGE;
	uint64_t one = htobe64(some_tce(state, LIOBN));
	bool all = below(state, 2);

	*guest->vcpu.request = (struct ppc64_request){
		.repeat = all ? TCE_LIST : 1 + below(state, 2000),
		.nr = PPC64_STORE,
		.args[1] = list + (all ? 0 : below(state, HOT) * sizeof(one)),
		.args[2] = one,
		.args[3] = one ^ htobe64(some_tce(state, LIOBN)),
		.step[0] = all ? sizeof(one) : 0,
	};
	ppc64_vcpu_run(&guest->vcpu);
}

static void note_outcome(struct guest *guest, unsigned int what)
{
	long ret = (long)guest->vcpu.request->ret;

	if (guest->vcpu.nr_to_user)
		guest->outcomes[what][TO_USER]++;
	else if (ret == H_SUCCESS)
		guest->outcomes[what][SUCCESS]++;
	else if (ret == H_PARAMETER)
		guest->outcomes[what][PARAMETER]++;
	else
		guest->strange++;
}

static void *guest_thread(void *arg)
{
	struct guest *guest = arg;
	unsigned int what;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (!below(&guest->random, 6)) {
			rewrite_list(guest);
			continue;
		}
		what = below(&guest->random, ARRAY_SIZE(hcalls));
		some_request(guest, what);
		ppc64_vcpu_run(&guest->vcpu);
		note_outcome(guest, what);
	}
	return NULL;
}

/* What the VMM does in the second part */
static int table_of(uint64_t liobn)
{
	if (liobn == LIOBN)
		return tce_table(vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	return tce_table(vm.fd, LIOBN_LARGE, 16, large_start >> 16, ENTRIES);
}

/* It is no error if the window is missing at the moment. */
static void attach(void)
{
	int ret = __kvm_vfio_set_spapr_tce(dev, group, table);

	VFIO_ASSERT(!ret || ret == -EINVAL, "no window for it: %d", ret);
	ret = __kvm_vfio_set_spapr_tce(dev, group, table_large);
	VFIO_ASSERT(!ret || ret == -EINVAL, "no window for it: %d", ret);
}

static void new_table(void)
{
	close(table);
	table = table_of(LIOBN);
	attach();
}

static void new_member(void)
{
	kvm_vfio_del(dev, group);
	kvm_vfio_add(dev, group);
	attach();
}

static void new_device(void)
{
	close(dev);
	dev = kvm_vfio_create(vm.fd);
	kvm_vfio_add(dev, group);
	attach();
}

static void make_large_window(void)
{
	VFIO_ASSERT(tce_window_create(container, 16, ENTRIES << 16) == large_start,
		    "the large window is elsewhere");
}

/* Kernels with large pages can map them in the large window, too. */
static void new_windows(void)
{
	long mapped;

	tce_window_remove(container, 0);
	tce_window_remove(container, large_start);
	mapped = tce_region_mapped(container, vm.memory, REGION);
	VFIO_ASSERT(!mapped, "without a window, mapped %ld times", mapped);
	VFIO_ASSERT(!tce_window_create(container, SHIFT, WINDOW), "not at 0");
	make_large_window();
	attach();
}

static void new_large_window(void)
{
	tce_window_remove(container, large_start);
	make_large_window();
	attach();
}

static void new_slot(void)
{
	ppc64_vm_slot(&vm, 1, 0, SLOT1, vm.memory + PAGES, 0);
	ppc64_vm_slot(&vm, 1, 0, SLOT1, vm.memory + PAGES, SLOT1_SIZE);
}

static void new_region(void)
{
	long locked = locked_kib();
	int ret = __vfio_memory_unregister(container, comes_and_goes, SLOT2_SIZE);

	VFIO_ASSERT(!ret && locked_kib() == locked - (long)(SLOT2_SIZE / 1024),
		    "unregister: %d", ret);
	ret = __vfio_memory_register(container, comes_and_goes, SLOT2_SIZE);
	VFIO_ASSERT(!ret, "register: %d", ret);
}

/* Everything that can be done with the group, as far as the container allows */
static void open_group(void)
{
	group = vfio_group_open(device.group);
	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);
	VFIO_ASSERT(!__vfio_memory_register(container, vm.memory, REGION) &&
		    !__vfio_memory_register(container, comes_and_goes, SLOT2_SIZE),
		    "register memory");
	tce_window_drop_default(container);
	VFIO_ASSERT(!tce_window_create(container, SHIFT, WINDOW), "not at 0");
	large_start = tce_window_create(container, 16, ENTRIES << 16);
	kvm_vfio_add(dev, group);
}

/* When its last group leaves, the container loses its windows and regions. */
static void host_takes_device(void)
{
	VFIO_ASSERT(!__sysfs_write("/sys/bus/pci/drivers/vfio-pci/unbind",
				   device.bdf), "unbind");
	VFIO_ASSERT(__kvm_vfio_set_spapr_tce(dev, group, table) == -EINVAL,
		    "a dead group takes a table");
	kvm_vfio_del(dev, group);
	close(group);
	vfio_bind(device.bdf);
	open_group();
	attach();
}

static void (* const changes[])(void) = {
	attach, new_table, new_member, new_device, new_windows, new_large_window,
	new_slot, new_region, host_takes_device
};

static void some_change(uint64_t *state)
{
	unsigned int what = below(state, ARRAY_SIZE(changes));

	/* On a kernel with 64 KiB pages the region could be mapped. */
	if (changes[what] == new_region && getpagesize() > (int)PAGE)
		return;
	changes[what]();
	nr_changes++;
}

static void bring_list(uint64_t *state)
{
	uint64_t list[TCE_LIST];
	unsigned int i;

	for (i = 0; i < TCE_LIST; i++)
		list[i] = some_tce(state, LIOBN);
	tce_missing_give(&missing, list, TCE_LIST);
}

/* All of this may happen between a request and the reading of its list. */
static void keep_list(uint64_t *state)
{
	unsigned int nr = 1 + below(state, 3);

	missing_page_take(&missing);
	/* The first time, however slow the machine is */
	nr_waits += missing_page_waited_for(&missing, nr_waits ? 500 : 30000);
	while (nr--)
		some_change(state);
	bring_list(state);
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000UL + time.tv_nsec;
}

/* Without the VMM, only the time is checked. */
static void run(uint64_t ns, uint64_t *random, bool alone)
{
	struct timespec wait = { ns / 1000000000, ns % 1000000000 };
	uint64_t end = now() + ns;
	unsigned int i;

	stop = false;
	for (i = 0; i < NR_VCPUS; i++)
		VFIO_ASSERT(!pthread_create(&guests[i].thread, NULL, guest_thread,
					    &guests[i]), "thread");
	if (alone)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL);
	while (!alone && now() < end) {
		if (below(random, 8))
			some_change(random);
		else
			keep_list(random);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(guests[i].thread, NULL);
}

static void set_up(uint64_t *random)
{
	unsigned int i;

	ppc64_vm_open(&vm, MEMORY);
	for (i = 0; i < NR_VCPUS; i++) {
		ppc64_vcpu_open(&guests[i].vcpu, &vm);
		guests[i].random = random64(random);
	}
	comes_and_goes = vfio_dma_buffer(SLOT2_SIZE);
	ppc64_vm_slot(&vm, 1, 0, SLOT1, vm.memory + PAGES, SLOT1_SIZE);
	ppc64_vm_slot(&vm, 2, 0, SLOT2, comes_and_goes, SLOT2_SIZE);
	dev = kvm_vfio_create(vm.fd);
	container = vfio_container_open();
	open_group();
	table = table_of(LIOBN);
	table_large = table_of(LIOBN_LARGE);
	tce_table(vm.fd, LIOBN_SOFT, SHIFT, 0, ENTRIES);
	missing_page_open(&missing, vm.memory + MISSING);
	missing_page_take(&missing);
	bring_list(random);
	attach();
}

static long mapped(void)
{
	return tce_region_mapped(container, vm.memory, REGION) +
	       tce_region_mapped(container, comes_and_goes, SLOT2_SIZE);
}

/* How many entries from @first on map something, in the guest's table */
static long count_entries(const uint64_t *tces, uint64_t first, uint64_t nr)
{
	long count = 0;

	while (nr--)
		count += !!(tces[first++] & TCE_RW);
	return count;
}

/*
 * Does the hardware's table map as many?  It is cleared, and the count of the
 * memory shows how many entries mapped something.
 */
static bool same_entries(const uint64_t *tces, uint64_t first, uint64_t nr,
			 uint64_t start, unsigned int shift, long *left)
{
	long wanted = count_entries(tces, first, nr), found = *left;
	int ret = __vfio_dma_unmap(container, start + (first << shift), nr << shift);

	VFIO_ASSERT(!ret, "unmap: %d", ret);
	*left = mapped();
	found -= *left;
	if (found != wanted)
		ksft_print_msg("%llu entries from %#llx on: %ld map something, not %ld\n",
			       (unsigned long long)nr,
			       (unsigned long long)(start + (first << shift)),
			       found, wanted);
	return found == wanted;
}

/* User space's mapping of a table shows what the guest reads back. */
static bool same_as_read_back(const uint64_t *tces, uint64_t liobn, uint64_t start,
			      unsigned int shift)
{
	struct ppc64_vcpu *vcpu = &guests[0].vcpu;
	uint64_t i, entry, tce;

	for (i = 0; i < 2 * HOT; i++) {
		entry = i < HOT ? i : ENTRIES - 1 - (i - HOT);
		VFIO_ASSERT(!h_get_tce(vcpu, liobn, start + (entry << shift), &tce),
			    "H_GET_TCE");
		if (tce != tces[entry])
			return false;
	}
	return true;
}

static bool table_agrees(int fd, uint64_t liobn, uint64_t start, unsigned int shift)
{
	uint64_t *tces = mmap(NULL, ENTRIES * 8, PROT_READ, MAP_SHARED, fd, 0), i, nr;
	long left = mapped();
	bool same;

	VFIO_ASSERT(tces != MAP_FAILED, "mmap of a table");
	ksft_print_msg("%ld entries at %#llx map something\n",
		       count_entries(tces, 0, ENTRIES), (unsigned long long)start);
	same = same_as_read_back(tces, liobn, start, shift);
	for (i = 0; i < ENTRIES; i += nr) {
		nr = i < HOT || i >= ENTRIES - HOT ? 1 : COLD;
		if (i < ENTRIES - HOT && i + nr > ENTRIES - HOT)
			nr = ENTRIES - HOT - i;
		same = same_entries(tces, i, nr, start, shift, &left) && same;
	}
	munmap(tces, ENTRIES * 8);
	return same;
}

static void new_tables(void)
{
	close(table_large);
	table_large = table_of(LIOBN_LARGE);
	new_table();
}

static bool one_round(uint64_t ns, uint64_t *random)
{
	bool agree;

	run(ns / 4, random, true);
	agree = table_agrees(table, LIOBN, 0, SHIFT) &&
		table_agrees(table_large, LIOBN_LARGE, large_start, 16) && !mapped();
	new_tables();

	/* What is mapped in which table now is known to user space only. */
	run(ns * 3 / 4, random, false);
	VFIO_ASSERT(!__vfio_dma_unmap(container, 0, WINDOW) &&
		    !__vfio_dma_unmap(container, large_start, ENTRIES << 16), "unmap");
	if (mapped()) {
		ksft_print_msg("nothing is mapped, but counted: %ld\n", mapped());
		agree = false;
	}
	new_tables();
	return agree;
}

/* Each hypercall has had each possible outcome, and no other. */
static bool all_outcomes(void)
{
	unsigned long nr[NR_OUTCOMES], sum = 0;
	unsigned int what, i;
	bool all = true;

	for (what = 0; what < ARRAY_SIZE(hcalls); what++) {
		for (i = 0; i < NR_OUTCOMES; i++) {
			nr[i] = guests[0].outcomes[what][i] + guests[1].outcomes[what][i];
			all = all && nr[i];
			sum += nr[i];
		}
		ksft_print_msg("hypercall %#llx: %lu successes, %lu refused, %lu to user\n",
			       (unsigned long long)hcalls[what], nr[SUCCESS],
			       nr[PARAMETER], nr[TO_USER]);
	}
	ksft_print_msg("counts: %lu hypercalls, %lu changes by the VMM, %lu waits for a list\n",
		       sum, nr_changes, nr_waits);
	return all && !guests[0].strange && !guests[1].strange;
}

static bool memory_comes_back(void)
{
	long locked;

	tce_window_remove(container, 0);
	tce_window_remove(container, large_start);
	if (tce_region_mapped(container, vm.memory, REGION) ||
	    tce_region_mapped(container, comes_and_goes, SLOT2_SIZE))
		return false;
	locked = locked_kib();
	return !__vfio_memory_unregister(container, vm.memory, REGION) &&
	       !__vfio_memory_unregister(container, comes_and_goes, SLOT2_SIZE) &&
	       locked_kib() == locked - (long)((REGION + SLOT2_SIZE) / 1024);
}

int main(void)
{
	unsigned long seconds = env_number("TCE_S", 20);
	unsigned long rounds = env_number("TCE_ROUNDS", 3), round;
	uint64_t random = env_number("KVM_VFIO_SEED", time(NULL));
	struct vfio_refs before, after;
	bool agree = true;
	int log, first;
	long locked;

	ksft_print_header();
	vfio_test_init(&device, 1, 1);
	tce_watch_regions();
	ksft_set_plan(6);
	ksft_print_msg("KVM_VFIO_SEED=%llu TCE_S=%lu TCE_ROUNDS=%lu\n",
		       (unsigned long long)random, seconds, rounds);
	log = kmsg_open();
	/*
	 * The VM that stays open (vfio_test_init) may have been made after the
	 * log was opened.
	 */
	first = dup(log);
	vfio_refs_read(&before);
	locked = locked_kib();
	set_up(&random);
	for (round = 0; round < rounds; round++)
		agree = one_round(seconds * 1000000000 / rounds, &random) && agree;
	ksft_test_result(agree, "entries_agree\n");
	ksft_test_result(all_outcomes() && nr_waits, "all_outcomes\n");
	ksft_test_result(memory_comes_back(), "memory_comes_back\n");
	ppc64_vcpu_close(&guests[0].vcpu);
	ppc64_vcpu_close(&guests[1].vcpu);
	close_range(first, ~0U, 0);
	vfio_refs_read(&after);
	ksft_test_result(vfio_refs_equal(&before, &after), "module_use_counts_back\n");
	ksft_test_result(locked_kib() == locked, "no_memory_locked\n");
	ksft_test_result(!kmsg_splats(log), "no_kernel_warning\n");
	ksft_finished();
}
#else
int main(void)
{
	ksft_exit_skip("POWER only\n");
}
#endif
