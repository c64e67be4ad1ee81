// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kills of TCEs.  A kill makes the hardware drop what it has cached of an entry
 * that was replaced or removed.  It must come before the count that keeps the
 * entry's page is dropped, and before the hypercall returns, and there must be
 * one for a run of entries, not one for each entry.
 *
 * The host bridge that QEMU emulates caches nothing, so kprobes watch the
 * kernel's calls: the exchange of an entry, the firmware call that kills, the
 * drop of a region's count, and the return of the hypercall.  A replay of these
 * events keeps track of what the hardware may still use.
 *
 * "cost_" tests count the kills; all others are about safety.  The stock code
 * drops counts first and kills at the end, one entry at a time.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_probe.h"
#define ENTRIES		4096UL
#include "vfio_tce_test.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
/* Several emulated machines run at a time.  Whatever takes this long hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	120

/*
 * A page of the guest that is many pages of the hardware.  The last one that
 * begins in region B is half in it.
 */
#define LARGE_SHIFT	18
#define LARGE		(256 * KIB)
#define SUBPAGES	(LARGE / PAGE)

/* Preregistered memory of the guest; the rest is not preregistered. */
enum { NONE, A, B, REGIONS };

static const struct {
	uint64_t gpa, size;
} regions[REGIONS] = {
	[A] = { 2 * MIB, 2 * MIB },
	[B] = { 4 * MIB, 2 * MIB + LARGE / 2 },
};

#define PAGE_A(i)	(regions[A].gpa + (i) * PAGE)
#define PAGE_B(i)	(regions[B].gpa + (i) * PAGE)
#define PAGE_REST(i)	(8 * MIB + (i) * PAGE)
#define HALF_IN_B	(regions[B].gpa + 2 * MIB)

/* A long request is done in pieces, with one run each. */
#define RUN		512UL

static struct vfio_test_device devices[2];

enum { XCHG, CLEAR, TABLE_KILL, FIRMWARE_KILL, DROP, PUT_RET, LIST_RET, STUFF_RET, PROBES };

#define XCHG_PROBE							\
	"pnv_ioda_tce_xchg_no_kill tbl=%gpr3:x64 entry=%gpr4:x64 "	\
	"hpa=+0(%gpr5):x64 dir=+0(%gpr6):x32"

#define CLEAR_PROBE	"pnv_tce_free tbl=%gpr3:x64 entry=%gpr4:x64 nr=%gpr5:x64"
#define KILL_PROBE							\
	"opal_pci_tce_kill phb=%gpr3:x64 type=%gpr4:x64 pe=%gpr5:x64 "	\
	"size=%gpr6:x64 bus=%gpr7:x64 nr=%gpr8:x64"

/*
 * In a region, the address comes after next, rcu, used, mapped and pageshift,
 * at offset 56.  The replay knows the probes by these names.
 */
static struct vfio_probe probes[PROBES] = {
	[XCHG] = VFIO_PROBE("xchg", XCHG_PROBE),
	[CLEAR] = VFIO_PROBE("clear", CLEAR_PROBE),
	[TABLE_KILL] = VFIO_PROBE("table", "pnv_pci_ioda2_tce_invalidate tbl=%gpr3:x64"),
	[FIRMWARE_KILL] = VFIO_PROBE("kill", KILL_PROBE),
	[DROP] = VFIO_PROBE("drop", "mm_iommu_mapped_dec ua=+56(%gpr3):x64"),
	[PUT_RET] = VFIO_PROBE_RETURN("put_ret", "kvmppc_h_put_tce ret=$retval:x64"),
	[LIST_RET] = VFIO_PROBE_RETURN("list_ret",
				       "kvmppc_h_put_tce_indirect ret=$retval:x64"),
	[STUFF_RET] = VFIO_PROBE_RETURN("stuff_ret",
					"kvmppc_h_stuff_tce ret=$retval:x64"),
};

#define DMA_NONE_VALUE	3
#define KILL_PAGES	0	/* OPAL_PCI_TCE_KILL_PAGES */
#define KILL_PE		1	/* OPAL_PCI_TCE_KILL_PE, of all entries: a window goes */

/*
 * The replay
 */
#define MAX_PHBS	2
#define MAX_TABLES	2

/*
 * struct entry - an entry of a hardware table
 * @now: the region that it maps, NONE if it maps nothing
 * @cached: how many pages of a region it mapped since all groups saw a kill
 * @left: groups that have not seen a kill since the last of these, by their PHB
 */
struct entry {
	uint8_t now;
	uint8_t cached[REGIONS];
	uint8_t left;
};

/* @phbs: of the groups that use it, each with its PE */
struct table {
	uint64_t tbl;
	uint8_t phbs;
	uint64_t pe[MAX_PHBS];
	struct entry entries[ENTRIES];
};

/*
 * struct replay - what a hypercall did
 * @exchanged: entries
 * @replaced: entries that mapped a page before
 * @kills: firmware calls, by PHB
 * @killed: pages of a region that nothing can reach any more
 * @dropped: counts of a region
 * @early: counts that were dropped with no page that was killed for it
 * @unkilled: entries that may be cached when it returns
 * @returns: of the hypercall
 * @late: what happened after the return
 */
struct replay {
	unsigned int exchanged, replaced, kills[MAX_PHBS];
	unsigned int killed[REGIONS], dropped[REGIONS];
	unsigned int early, unkilled, returns, late;
};

/* Of a test, which is a process of its own */
static struct {
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	int dev;
	int container;
	int group;
	int table;
	uint64_t *frames[REGIONS];
	unsigned int nr_tables;
	struct table *current;		/* table whose kill is under way */
	struct table tables[MAX_TABLES];
	struct replay seen;
} lab;

FIXTURE(kill)
{
	struct vfio_before before;
};

static uint8_t region_of(uint64_t hpa)
{
	uint64_t frame = hpa / getpagesize(), nr;
	unsigned int region, i;

	for (region = A; region < REGIONS; region++) {
		nr = regions[region].size / getpagesize();
		for (i = 0; i < nr; i++)
			if (lab.frames[region][i] == frame)
				return region;
	}
	VFIO_ASSERT(false, "host address %#llx is in no region",
		    (unsigned long long)hpa);
	return NONE;
}

static struct table *find_table(uint64_t tbl)
{
	unsigned int i;

	for (i = 0; i < lab.nr_tables; i++)
		if (lab.tables[i].tbl == tbl)
			return &lab.tables[i];
	return NULL;
}

/* A kill of one of our tables, which has to come before the return */
static void count_one(unsigned int *count)
{
	++*count;
	lab.seen.late += lab.seen.returns;
}

static void replace(struct table *table, struct entry *entry, uint8_t region)
{
	if (entry->now) {
		lab.seen.replaced++;
		entry->cached[entry->now]++;
		entry->left = table->phbs;
	}
	entry->now = region;
}

static void replay_xchg(const char *args)
{
	struct table *table = find_table(vfio_trace_arg(args, "tbl"));
	bool none = vfio_trace_arg(args, "dir") == DMA_NONE_VALUE;
	uint64_t nr = vfio_trace_arg(args, "entry");

	/* The container clears a window as a whole, which may be larger than is used here. */
	if (table && none && nr >= ENTRIES)
		return;
	VFIO_ASSERT(table && nr < ENTRIES, "an unknown table or entry:%s", args);
	count_one(&lab.seen.exchanged);
	replace(table, &table->entries[nr],
		none ? NONE : region_of(vfio_trace_arg(args, "hpa")));
}

static void replay_clear(const char *args)
{
	struct table *table = find_table(vfio_trace_arg(args, "tbl"));
	uint64_t first = vfio_trace_arg(args, "entry"), i;
	uint64_t nr = vfio_trace_arg(args, "nr");

	/* Of the host itself */
	if (!table)
		return;
	VFIO_ASSERT(first < ENTRIES && nr <= ENTRIES - first, "unknown entries:%s", args);
	for (i = first; i < first + nr; i++) {
		if (table->entries[i].now)
			count_one(&lab.seen.exchanged);
		replace(table, &table->entries[i], NONE);
	}
}

static void entry_killed(struct entry *entry, uint8_t phb)
{
	unsigned int region;

	entry->left &= ~phb;
	if (entry->left)
		return;
	for (region = A; region < REGIONS; region++) {
		lab.seen.killed[region] += entry->cached[region];
		entry->cached[region] = 0;
	}
}

/* Kills of other tables as well: the host uses some itself. */
static void replay_kill(const char *args)
{
	uint64_t phb = vfio_trace_arg(args, "phb"), pe = vfio_trace_arg(args, "pe");
	uint64_t first = vfio_trace_arg(args, "bus") >> SHIFT;
	uint64_t nr = vfio_trace_arg(args, "nr"), i;
	struct table *table = lab.current;

	if (!table || phb >= MAX_PHBS || !(table->phbs & 1U << phb) ||
	    table->pe[phb] != pe)
		return;
	if (vfio_trace_arg(args, "type") == KILL_PE) {
		for (i = 0; i < ENTRIES; i++)
			entry_killed(&table->entries[i], 1U << phb);
		return;
	}
	VFIO_ASSERT(vfio_trace_arg(args, "type") == KILL_PAGES &&
		    vfio_trace_arg(args, "size") == PAGE && nr &&
		    first < ENTRIES && nr <= ENTRIES - first, "a strange kill:%s", args);
	count_one(&lab.seen.kills[phb]);
	for (i = first; i < first + nr; i++)
		entry_killed(&table->entries[i], 1U << phb);
}

static void replay_drop(const char *args)
{
	uint64_t ua = vfio_trace_arg(args, "ua");
	uint64_t gpa = ua - (uintptr_t)lab.vm.memory;
	unsigned int region = gpa == regions[A].gpa ? A :
			      gpa == regions[B].gpa ? B : NONE;

	VFIO_ASSERT(region, "an unknown region:%s", args);
	count_one(&lab.seen.dropped[region]);
	if (lab.seen.dropped[region] > lab.seen.killed[region])
		lab.seen.early++;
}

static void replay_return(void)
{
	unsigned int i, j;

	lab.seen.returns++;
	for (i = 0; i < lab.nr_tables; i++)
		for (j = 0; j < ENTRIES; j++)
			lab.seen.unkilled += !!lab.tables[i].entries[j].left;
}

static void replay(void *arg, const char *name, const char *args)
{
	(void)arg;
	if (!strcmp(name, probes[TABLE_KILL].name)) {
		lab.current = find_table(vfio_trace_arg(args, "tbl"));
		return;
	}
	if (!strcmp(name, probes[XCHG].name))
		replay_xchg(args);
	else if (!strcmp(name, probes[CLEAR].name))
		replay_clear(args);
	else if (!strcmp(name, probes[FIRMWARE_KILL].name))
		replay_kill(args);
	else if (!strcmp(name, probes[DROP].name))
		replay_drop(args);
	else
		replay_return();
}

/* Makes a hypercall; @seen is what it did. */
static long watched(unsigned long nr, uint64_t liobn, uint64_t entry, uint64_t arg2,
		    uint64_t arg3)
{
	unsigned int shift = liobn == LIOBN2 ? LARGE_SHIFT : SHIFT;
	long ret;

	vfio_trace_clear();
	ret = ppc64_hcall(&lab.vcpu, nr, liobn, entry << shift, arg2, arg3);
	lab.seen = (struct replay){ };
	vfio_trace_each(replay, NULL);
	return ret;
}

/* The same for what user space does through the container */
static void watched_ioctl(int (*call)(int container, void *va, uint64_t iova, uint64_t size),
			  void *va, uint64_t size)
{
	vfio_trace_clear();
	VFIO_ASSERT(!call(lab.container, va, 0, size), "the container's ioctl");
	lab.seen = (struct replay){ };
	vfio_trace_each(replay, NULL);
	replay_return();
}

static int unmap(int container, void *va, uint64_t iova, uint64_t size)
{
	(void)va;
	return __vfio_dma_unmap(container, iova, size);
}

static long put(uint64_t entry, uint64_t tce)
{
	return watched(H_PUT_TCE, LIOBN, entry, tce, 0);
}

static long put_list(uint64_t entry, uint64_t nr)
{
	return watched(H_PUT_TCE_INDIRECT, LIOBN, entry, LIST, nr);
}

static long stuff(uint64_t entry, uint64_t nr)
{
	return watched(H_STUFF_TCE, LIOBN, entry, 0, nr);
}

/*
 * Setting up
 */

/* The pages of a region are pinned, so their frames do not change. */
static uint64_t *read_frames(unsigned int region)
{
	uint64_t nr = regions[region].size / getpagesize(), i;
	uintptr_t va = (uintptr_t)lab.vm.memory + regions[region].gpa;
	uint64_t *frames = calloc(nr, sizeof(*frames));
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	VFIO_ASSERT(frames && fd >= 0, "open the page map");
	VFIO_ASSERT(pread(fd, frames, nr * 8, va / getpagesize() * 8) == (ssize_t)nr * 8,
		    "read the page map");
	close(fd);
	for (i = 0; i < nr; i++) {
		VFIO_ASSERT(frames[i] >> 63, "a page is not there");
		frames[i] &= (1UL << 55) - 1;
	}
	return frames;
}

static int open_container(int group)
{
	int container = vfio_container_open(), region;

	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);
	for (region = A; region < REGIONS; region++)
		VFIO_ASSERT(!__vfio_memory_register(container,
						    lab.vm.memory + regions[region].gpa,
						    regions[region].size),
			    "register memory");
	tce_window_drop_default(container);
	VFIO_ASSERT(!tce_window_create(container, SHIFT, WINDOW),
		    "the window is not at 0");
	return container;
}

/* The kernel's addresses of a container's window and its groups */
static void learn(void *arg, const char *name, const char *args)
{
	struct table *table = arg;
	uint64_t phb;

	if (!strcmp(name, probes[XCHG].name))
		table->tbl = vfio_trace_arg(args, "tbl");
	if (strcmp(name, probes[FIRMWARE_KILL].name))
		return;
	phb = vfio_trace_arg(args, "phb");
	if (phb >= MAX_PHBS)
		return;
	table->phbs |= 1U << phb;
	table->pe[phb] = vfio_trace_arg(args, "pe");
}

/* User space maps and unmaps a page; this is not tested here. */
static void learn_table(unsigned int nr, int container, unsigned int nr_groups)
{
	struct table *table = &lab.tables[nr];
	size_t size = getpagesize();

	vfio_trace_clear();
	VFIO_ASSERT(!__vfio_dma_map(container, lab.vm.memory + PAGE_A(0), 0, size) &&
		    !__vfio_dma_unmap(container, 0, size), "map and unmap");
	vfio_trace_each(learn, table);
	VFIO_ASSERT(table->tbl && __builtin_popcount(table->phbs) == (int)nr_groups,
		    "table %#llx with groups %#x", (unsigned long long)table->tbl,
		    table->phbs);
	if (nr >= lab.nr_tables)
		lab.nr_tables = nr + 1;
}

FIXTURE_SETUP(kill)
{
	unsigned int region;

	vfio_remember(&self->before);
	ppc64_vm_open(&lab.vm, MEMORY);
	ppc64_vcpu_open(&lab.vcpu, &lab.vm);
	lab.dev = kvm_vfio_create(lab.vm.fd);
	lab.group = vfio_group_open(devices[0].group);
	lab.container = open_container(lab.group);
	for (region = A; region < REGIONS; region++)
		lab.frames[region] = read_frames(region);
	learn_table(0, lab.container, 1);
	kvm_vfio_add(lab.dev, lab.group);
	lab.table = tce_table(lab.vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(lab.dev, lab.group, lab.table));
}

FIXTURE_TEARDOWN(kill)
{
	ppc64_vcpu_close(&lab.vcpu);
	vfio_close_all(&self->before);
	EXPECT_TRUE(vfio_nothing_left(&self->before));
}

/*
 * After each hypercall: nothing was released that the hardware may still use.
 */
#define EXPECT_SAFE(nr_replaced)					\
	do {								\
		EXPECT_EQ((unsigned int)(nr_replaced), lab.seen.replaced); \
		EXPECT_EQ(0U, lab.seen.early);				\
		EXPECT_EQ(0U, lab.seen.unkilled);			\
		EXPECT_EQ(1U, lab.seen.returns);			\
		EXPECT_EQ(0U, lab.seen.late);				\
	} while (0)

/* Entries of both regions alternately; @which is the region of the first. */
static void fill_list(unsigned int which, uint64_t nr)
{
	uint64_t i;

	for (i = 0; i < nr; i++)
		tce_list_set(&lab.vm, LIST, i,
			     ((i + which) % 2 ? PAGE_A(i) : PAGE_B(i)) | TCE_RW);
}

/*
 * Order and coverage
 */

/* What the other tests rely on. */
TEST_F(kill, probes_see_it)
{
	ASSERT_EQ(H_SUCCESS, put(7, PAGE_A(0) | TCE_RW));
	EXPECT_SAFE(0);
	EXPECT_EQ(1U, lab.seen.exchanged);
	EXPECT_EQ(A, lab.tables[0].entries[7].now);
	ASSERT_EQ(H_SUCCESS, put(7, 0));
	EXPECT_EQ(1U, lab.seen.exchanged);
	EXPECT_EQ(1U, lab.seen.replaced);
	EXPECT_EQ(1U, lab.seen.dropped[A]);
	EXPECT_EQ(NONE, lab.tables[0].entries[7].now);
	ASSERT_EQ(H_SUCCESS, put(ENTRIES - 1, PAGE_B(511) | TCE_READ));
	EXPECT_EQ(B, lab.tables[0].entries[ENTRIES - 1].now);
}

/* Contract 4.32 */
TEST_F(kill, put_that_unmaps)
{
	ASSERT_EQ(H_SUCCESS, put(0, PAGE_A(0) | TCE_RW));
	ASSERT_EQ(H_SUCCESS, put(0, 0));
	EXPECT_SAFE(1);
	EXPECT_EQ(1U, lab.seen.dropped[A]);
	ASSERT_EQ(H_SUCCESS, put(0, PAGE_A(0) | TCE_READ));
	ASSERT_EQ(H_SUCCESS, put(0, PAGE_A(0)));
	EXPECT_SAFE(1);
	EXPECT_EQ(1U, lab.seen.dropped[A]);
}

/* Contract 4.32 */
TEST_F(kill, put_over_another_region)
{
	ASSERT_EQ(H_SUCCESS, put(0, PAGE_A(0) | TCE_RW));
	ASSERT_EQ(H_SUCCESS, put(0, PAGE_B(0) | TCE_RW));
	EXPECT_SAFE(1);
	EXPECT_EQ(1U, lab.seen.dropped[A]);
}

/* Contract 4.32: It does not matter whether the count changes. */
TEST_F(kill, put_over_the_same_region)
{
	ASSERT_EQ(H_SUCCESS, put(0, PAGE_A(0) | TCE_RW));
	ASSERT_EQ(H_SUCCESS, put(0, PAGE_A(1) | TCE_RW));
	EXPECT_SAFE(1);
}

/* Contract 4.32 */
TEST_F(kill, put_that_takes_a_permission)
{
	ASSERT_EQ(H_SUCCESS, put(0, PAGE_A(0) | TCE_RW));
	ASSERT_EQ(H_SUCCESS, put(0, PAGE_A(0) | TCE_READ));
	EXPECT_SAFE(1);
}

/* Contract 4.32 */
TEST_F(kill, list_over_other_regions)
{
	fill_list(0, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(100, TCE_LIST));
	EXPECT_SAFE(0);
	fill_list(1, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(100, TCE_LIST));
	EXPECT_SAFE(TCE_LIST);
	EXPECT_EQ(TCE_LIST / 2, lab.seen.dropped[A]);
	EXPECT_EQ(TCE_LIST / 2, lab.seen.dropped[B]);
}

/* Contract 4.32 */
TEST_F(kill, list_over_the_same_regions)
{
	fill_list(0, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(0, TCE_LIST));
	ASSERT_EQ(H_SUCCESS, put_list(0, TCE_LIST));
	EXPECT_SAFE(TCE_LIST);
}

/*
 * Contract 4.32: Some entries were mapped and some unmap, also at the ends of a
 * run.
 */
TEST_F(kill, list_with_gaps)
{
	static const unsigned int old[] = { 0, 5, 63, 64, 65, 190, 199 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(old); i++)
		ASSERT_EQ(H_SUCCESS, put(300 + old[i], PAGE_A(i) | TCE_RW));
	fill_list(0, 200);
	for (i = 0; i < 200; i += 5)
		tce_list_set(&lab.vm, LIST, i, 0);
	ASSERT_EQ(H_SUCCESS, put_list(300, 200));
	EXPECT_SAFE(ARRAY_SIZE(old));
}

/* Contract 4.32 */
TEST_F(kill, stuff_of_mapped_entries)
{
	fill_list(0, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(100, TCE_LIST));
	ASSERT_EQ(H_SUCCESS, stuff(100, TCE_LIST));
	EXPECT_SAFE(TCE_LIST);
	EXPECT_EQ(TCE_LIST / 2, lab.seen.dropped[A]);
	EXPECT_EQ(TCE_LIST / 2, lab.seen.dropped[B]);
}

/* Contract 4.32 */
TEST_F(kill, stuff_with_gaps)
{
	static const unsigned int old[] = { 0, 5, 63, 64, 65, 700, ENTRIES - 1 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(old); i++)
		ASSERT_EQ(H_SUCCESS, put(old[i], PAGE_A(i) | TCE_RW));
	ASSERT_EQ(H_SUCCESS, stuff(0, ENTRIES));
	EXPECT_SAFE(ARRAY_SIZE(old));
	EXPECT_EQ(ARRAY_SIZE(old), lab.seen.dropped[A]);
}

/* Contract 4.29, 4.32 */
TEST_F(kill, list_that_fails_midway)
{
	fill_list(0, 100);
	ASSERT_EQ(H_SUCCESS, put_list(0, 100));
	fill_list(1, 100);
	tce_list_set(&lab.vm, LIST, 90, PAGE_REST(0) | TCE_RW);
	ASSERT_EQ(PPC64_TO_USER, put_list(0, 100));
	EXPECT_SAFE(lab.seen.replaced);
}

/* Contract 4.32: Each group of a window has a cache of its own. */
TEST_F(kill, two_groups)
{
	int group = vfio_group_open(devices[1].group);

	vfio_group_set_container(group, lab.container);
	learn_table(0, lab.container, 2);
	kvm_vfio_add(lab.dev, group);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(lab.dev, group, lab.table));
	fill_list(0, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(0, TCE_LIST));
	fill_list(1, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(0, TCE_LIST));
	EXPECT_SAFE(TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put(0, 0));
	EXPECT_SAFE(1);
	ASSERT_EQ(H_SUCCESS, stuff(0, TCE_LIST));
	EXPECT_SAFE(TCE_LIST - 1);
	EXPECT_EQ(lab.seen.kills[0], lab.seen.kills[1]);
}

/*
 * Contract 4.32: A group in another container: its window is changed as well.
 */
TEST_F(kill, two_windows)
{
	int group = vfio_group_open(devices[1].group);
	int container = open_container(group);

	learn_table(1, container, 1);
	kvm_vfio_add(lab.dev, group);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(lab.dev, group, lab.table));
	fill_list(0, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(0, TCE_LIST));
	fill_list(1, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(0, TCE_LIST));
	EXPECT_SAFE(2 * TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put(0, 0));
	EXPECT_SAFE(2);
	ASSERT_EQ(H_SUCCESS, stuff(0, TCE_LIST));
	EXPECT_SAFE(2 * TCE_LIST - 2);
}

/* A page of the guest that is many of the hardware's */

static void large_table(void)
{
	int table = tce_table(lab.vm.fd, LIOBN2, LARGE_SHIFT, 0, WINDOW / LARGE);

	VFIO_ASSERT(!__kvm_vfio_set_spapr_tce(lab.dev, lab.group, table),
		    "SET_SPAPR_TCE");
}

static long put_large(uint64_t entry, uint64_t tce)
{
	return watched(H_PUT_TCE, LIOBN2, entry, tce, 0);
}

/* How many of a large page's entries map region @region, from entry @first on. */
static unsigned long entries_of(uint8_t region, unsigned int first)
{
	unsigned long nr = 0;
	unsigned int i;

	for (i = first; i < first + SUBPAGES; i++)
		nr += lab.tables[0].entries[i].now == region;
	return nr;
}

/* Contract 4.32 */
TEST_F(kill, large_page)
{
	large_table();
	ASSERT_EQ(H_SUCCESS, put_large(1, PAGE_A(0) | TCE_RW));
	EXPECT_SAFE(0);
	EXPECT_EQ(SUBPAGES, lab.seen.exchanged);
	ASSERT_EQ(H_SUCCESS, put_large(1, PAGE_B(0) | TCE_RW));
	EXPECT_SAFE(SUBPAGES);
	EXPECT_EQ(SUBPAGES, lab.seen.dropped[A]);
	ASSERT_EQ(H_SUCCESS, put_large(1, 0));
	EXPECT_SAFE(SUBPAGES);
	EXPECT_EQ(SUBPAGES, lab.seen.dropped[B]);
}

/*
 * Contract 4.29, 4.32: Half of the page is put and then removed again: for a
 * moment the hardware had some old and some new entries.
 */
TEST_F(kill, large_page_that_fails_halfway)
{
	large_table();
	ASSERT_EQ(H_SUCCESS, put_large(1, PAGE_A(0) | TCE_RW));
	ASSERT_EQ(PPC64_TO_USER, put_large(1, HALF_IN_B | TCE_RW));
	EXPECT_SAFE(SUBPAGES);
	EXPECT_EQ(SUBPAGES / 2, lab.seen.dropped[B]);
	EXPECT_EQ(0U, lab.seen.dropped[A]);
	EXPECT_EQ(SUBPAGES, entries_of(A, SUBPAGES));
}

/* Contract 4.29, 4.32 */
TEST_F(kill, first_large_page_that_fails_halfway)
{
	large_table();
	ASSERT_EQ(PPC64_TO_USER, put_large(1, HALF_IN_B | TCE_RW));
	EXPECT_SAFE(SUBPAGES / 2);
	EXPECT_EQ(SUBPAGES / 2, lab.seen.dropped[B]);
	EXPECT_EQ(SUBPAGES, entries_of(NONE, SUBPAGES));
}

/*
 * The container driver, whose kills have to come first as well
 */

static void *region_va(unsigned int region)
{
	return lab.vm.memory + regions[region].gpa;
}

TEST_F(kill, defect34_unmap_dma)
{
	uint64_t size = 2 * MIB;

	watched_ioctl(__vfio_dma_map, region_va(A), size);
	EXPECT_SAFE(0);
	watched_ioctl(unmap, NULL, size);
	EXPECT_SAFE(size / PAGE);
	EXPECT_EQ(size / PAGE, lab.seen.dropped[A]);
	EXPECT_EQ(NONE, lab.tables[0].entries[0].now);
}

/* Over what the guest has mapped */
TEST_F(kill, defect34_map_dma_over_another_region)
{
	fill_list(0, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(0, TCE_LIST));
	watched_ioctl(__vfio_dma_map, region_va(B), TCE_LIST * PAGE);
	EXPECT_SAFE(TCE_LIST);
	EXPECT_EQ(TCE_LIST / 2, lab.seen.dropped[A]);
	EXPECT_EQ(TCE_LIST / 2, lab.seen.dropped[B]);
	EXPECT_EQ(B, lab.tables[0].entries[TCE_LIST - 1].now);
}

/* TCE_REMOVE clears all of it. */
TEST_F(kill, defect34_window_removed)
{
	fill_list(0, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(0, TCE_LIST));
	vfio_trace_clear();
	ASSERT_EQ(0, __tce_window_remove(lab.container, 0));
	lab.seen = (struct replay){ };
	vfio_trace_each(replay, NULL);
	replay_return();
	EXPECT_SAFE(TCE_LIST);
	EXPECT_EQ(TCE_LIST / 2, lab.seen.dropped[A]);
	EXPECT_EQ(TCE_LIST / 2, lab.seen.dropped[B]);
}

/*
 * What it costs
 */

TEST_F(kill, cost_put)
{
	ASSERT_EQ(H_SUCCESS, put(0, PAGE_A(0) | TCE_RW));
	EXPECT_GE(1U, lab.seen.kills[0]);
	ASSERT_EQ(H_SUCCESS, put(0, PAGE_B(0) | TCE_RW));
	EXPECT_EQ(1U, lab.seen.kills[0]);
	ASSERT_EQ(H_SUCCESS, put(0, 0));
	EXPECT_EQ(1U, lab.seen.kills[0]);
}

TEST_F(kill, cost_list)
{
	fill_list(0, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(0, TCE_LIST));
	EXPECT_GE(TCE_LIST / RUN, lab.seen.kills[0]);
	fill_list(1, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(0, TCE_LIST));
	EXPECT_LE(1U, lab.seen.kills[0]);
	EXPECT_GE(TCE_LIST / RUN, lab.seen.kills[0]);
}

TEST_F(kill, cost_stuff)
{
	fill_list(0, TCE_LIST);
	ASSERT_EQ(H_SUCCESS, put_list(0, TCE_LIST));
	ASSERT_EQ(H_SUCCESS, stuff(0, TCE_LIST));
	EXPECT_LE(1U, lab.seen.kills[0]);
	EXPECT_GE(TCE_LIST / RUN, lab.seen.kills[0]);
}

TEST_F(kill, cost_stuff_of_empty_entries)
{
	ASSERT_EQ(H_SUCCESS, stuff(0, ENTRIES));
	EXPECT_EQ(0U, lab.seen.kills[0]);
	EXPECT_EQ(0U, lab.seen.exchanged);
	/* Nor beside a mapped entry, beyond its run */
	ASSERT_EQ(H_SUCCESS, put(1000, PAGE_A(0) | TCE_RW));
	ASSERT_EQ(H_SUCCESS, stuff(0, ENTRIES));
	EXPECT_EQ(1U, lab.seen.kills[0]);
}

TEST_F(kill, cost_large_page)
{
	large_table();
	ASSERT_EQ(H_SUCCESS, put_large(1, PAGE_A(0) | TCE_RW));
	EXPECT_GE(1U, lab.seen.kills[0]);
	ASSERT_EQ(H_SUCCESS, put_large(1, 0));
	EXPECT_EQ(1U, lab.seen.kills[0]);
}

int main(int argc, char **argv)
{
	cpu_set_t one;
	int ret;

	vfio_test_init(devices, ARRAY_SIZE(devices), ARRAY_SIZE(devices));
	/* Timestamps of one CPU have a reliable order; and see VFIO_PROBE_AT(). */
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	VFIO_ASSERT(!sched_setaffinity(0, sizeof(one), &one), "sched_setaffinity");
	vfio_probes_set(probes, ARRAY_SIZE(probes));
	ret = test_harness_run(argc, argv);
	vfio_probes_remove();
	return ret;
}
#else
int main(void)
{
	ksft_exit_skip("POWER only\n");
}
#endif
