// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCE tables when memory is short: each allocation of an operation fails once, first
 * the first one, then the second one, and so on, as in kvm_vfio_fail_nth_test.c.
 *
 * What comes first is repeated until no allocation is left that could fail.  The kernel
 * makes up for some failures; then the operation has succeeded.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_tce_test.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
/* Several emulated machines run at a time.  Whatever takes this long hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

/* Guest memory */
#define PAGES		(4 * MIB)

/* An address of no page: nothing is mapped. */
#define POISON		0xdead000UL

/* The entries that change are in two pages of the table, whatever the size of a page. */
#define FIRST		(ENTRIES / 2 - TCE_LIST / 2)

static struct vfio_test_device devices[2];

struct sweep {
	unsigned int refused;
	unsigned int made_good;
};

static void print_sweep(const char *what, const struct sweep *sweep)
{
	ksft_print_msg("%s: %u allocations; %u failures refuse it, %u are made good\n",
		       what, sweep->refused + sweep->made_good, sweep->refused,
		       sweep->made_good);
}

FIXTURE(fail_nth)
{
	struct vfio_before before;
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	int dev;
	int container;
	int groups[ARRAY_SIZE(devices)];
	int table;
};

FIXTURE_VARIANT(fail_nth)
{
	unsigned int groups;	/* how many KVM holds; 0: tables are emulated */
	unsigned int levels;	/* of the window */
};

FIXTURE_VARIANT_ADD(fail_nth, emulated)
{
	.levels = 1,
};

FIXTURE_VARIANT_ADD(fail_nth, one_group)
{
	.groups = 1,
	.levels = 1,
};

FIXTURE_VARIANT_ADD(fail_nth, two_groups)
{
	.groups = 2,
	.levels = 1,
};

/* Lower levels of a hardware table are allocated when they are needed. */
FIXTURE_VARIANT_ADD(fail_nth, two_levels)
{
	.groups = 1,
	.levels = 2,
};

static void window_create(int container, unsigned int levels)
{
	uint64_t start = 1;
	int ret = __tce_window_create(container, SHIFT, WINDOW, levels, &start);

	VFIO_ASSERT(!ret && !start, "VFIO_IOMMU_SPAPR_TCE_CREATE: %d", ret);
}

FIXTURE_SETUP(fail_nth)
{
	unsigned int i;

	vfio_bind(devices[0].bdf);
	vfio_remember(&self->before);
	ppc64_vm_open(&self->vm, MEMORY);
	ppc64_vcpu_open(&self->vcpu, &self->vm);
	self->dev = kvm_vfio_create(self->vm.fd);
	self->container = vfio_container_open();
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		self->groups[i] = vfio_group_open(devices[i].group);
		vfio_group_set_container(self->groups[i], self->container);
		if (i == 0)
			vfio_container_use_iommu(self->container);
	}
	ASSERT_EQ(0, __vfio_memory_register(self->container, self->vm.memory, MEMORY));
	tce_window_drop_default(self->container);
	window_create(self->container, variant->levels);
	for (i = 0; i < variant->groups; i++)
		kvm_vfio_add(self->dev, self->groups[i]);
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	/* Whatever KVM_RUN itself has to allocate is there from now on. */
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGES | TCE_RW));
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	fault_open();
}

FIXTURE_TEARDOWN(fail_nth)
{
	ppc64_vcpu_close(&self->vcpu);
	vfio_close_all(&self->before);
	EXPECT_TRUE(vfio_nothing_left(&self->before));
}

static long mapped(int container, const struct ppc64_vm *vm)
{
	return tce_region_mapped(container, vm->memory, MEMORY);
}

static uint64_t entry_of(struct ppc64_vcpu *vcpu, uint64_t nr)
{
	uint64_t tce;
	long ret = h_get_tce(vcpu, LIOBN, nr << SHIFT, &tce);

	VFIO_ASSERT(ret == H_SUCCESS, "H_GET_TCE: %ld", ret);
	return tce;
}

/* KVM_CREATE_SPAPR_TCE_64 is refused with nothing changed, and then works. */
TEST_F(fail_nth, create)
{
	struct sweep sweep = { 0 };
	unsigned int nth, left = 0;
	int table, again;
	long locked;

	fault_objects();
	for (nth = 1; !left; nth++) {
		ASSERT_GT(FAULT_MAX, nth);
		locked = locked_kib();
		fault_arm(nth);
		table = __tce_table(self->vm.fd, LIOBN2, SHIFT, 0, ENTRIES);
		left = fault_disarm();
		if (table < 0) {
			ASSERT_EQ(-ENOMEM, table);
			ASSERT_EQ(0U, left);
			ASSERT_EQ(locked, locked_kib());
			sweep.refused++;
			table = tce_table(self->vm.fd, LIOBN2, SHIFT, 0, ENTRIES);
		} else if (!left) {
			sweep.made_good++;
		}
		again = __tce_table(self->vm.fd, LIOBN2, SHIFT, 0, ENTRIES);
		ASSERT_EQ(-EBUSY, again);
		close(table);
		ASSERT_EQ(locked, locked_kib());
	}
	print_sweep("KVM_CREATE_SPAPR_TCE_64", &sweep);
	/* The table, and its file. */
	EXPECT_LE(2U, sweep.refused);
}

/* Is the entry put in the hardware, too?  Nothing of it stays. */
static bool reaches_hardware(struct ppc64_vcpu *vcpu, int container)
{
	long ret = h_put_tce(vcpu, LIOBN, 0, PAGES | TCE_RW);
	long nr = mapped(container, vcpu->vm);

	VFIO_ASSERT(ret == H_SUCCESS, "H_PUT_TCE: %ld", ret);
	ret = h_put_tce(vcpu, LIOBN, 0, 0);
	VFIO_ASSERT(ret == H_SUCCESS, "H_PUT_TCE: %ld", ret);
	VFIO_ASSERT(!mapped(container, vcpu->vm), "the region is still mapped");
	return nr;
}

/*
 * SET_SPAPR_TCE is refused with nothing attached for any group, and then works.  The
 * same pair again needs no memory.
 */
TEST_F(fail_nth, set_spapr_tce)
{
	struct sweep sweep = { 0 };
	unsigned int nth, left = 0;
	int ret;

	if (!variant->groups)
		SKIP(return, "no group is held");
	fault_objects();
	for (nth = 1; !left; nth++) {
		ASSERT_GT(FAULT_MAX, nth);
		fault_arm(nth);
		ret = __kvm_vfio_set_spapr_tce(self->dev, self->groups[0], self->table);
		left = fault_disarm();
		if (ret) {
			ASSERT_EQ(-ENOMEM, ret);
			ASSERT_EQ(0U, left);
			ASSERT_FALSE(reaches_hardware(&self->vcpu, self->container));
			sweep.refused++;
			ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->groups[0],
							      self->table));
		} else if (!left) {
			sweep.made_good++;
		}
		fault_arm(FAULT_MAX);
		ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->groups[0],
						      self->table));
		ASSERT_EQ((unsigned int)FAULT_MAX, fault_disarm());
		ASSERT_TRUE(reaches_hardware(&self->vcpu, self->container));
		close(self->table);
		self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
		/* Its first page is there. */
		ASSERT_FALSE(reaches_hardware(&self->vcpu, self->container));
	}
	print_sweep("SET_SPAPR_TCE", &sweep);
	/* A link, and an attachment for each group. */
	EXPECT_EQ(1 + variant->groups, sweep.refused);
}

/* Contract 1.9, 4.19: ADD of a group whose container's window is attached already. */
TEST_F(fail_nth, join)
{
	unsigned int nth, last = variant->groups - 1, left = 0;
	struct sweep sweep = { 0 };
	int ret;

	if (variant->groups < 2)
		SKIP(return, "one group is held at most");
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->groups[0], self->table));
	kvm_vfio_del(self->dev, self->groups[last]);
	fault_objects();
	for (nth = 1; !left; nth++) {
		ASSERT_GT(FAULT_MAX, nth);
		fault_arm(nth);
		ret = __kvm_vfio_add(self->dev, self->groups[last]);
		left = fault_disarm();
		if (ret) {
			ASSERT_EQ(-ENOMEM, ret);
			ASSERT_EQ(0U, left);
			ASSERT_EQ(-ENOENT, __kvm_vfio_del(self->dev, self->groups[last]));
			sweep.refused++;
			kvm_vfio_add(self->dev, self->groups[last]);
		} else if (!left) {
			sweep.made_good++;
		}
		/* By the other group, by both, and again by the other one */
		ASSERT_TRUE(reaches_hardware(&self->vcpu, self->container));
		kvm_vfio_del(self->dev, self->groups[last]);
		ASSERT_TRUE(reaches_hardware(&self->vcpu, self->container));
	}
	print_sweep("ADD", &sweep);
	/* The member and its attachment */
	EXPECT_EQ(2U, sweep.refused);
}

/* Contract 2.7: DEL and the close of a table allocate nothing. */
TEST_F(fail_nth, release)
{
	unsigned int i;

	fault_objects();
	for (i = 0; i < variant->groups; i++)
		ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->groups[i],
						      self->table));
	for (i = 0; i < variant->groups; i++) {
		fault_arm(FAULT_MAX);
		ASSERT_EQ(0, __kvm_vfio_del(self->dev, self->groups[i]));
		ASSERT_EQ((unsigned int)FAULT_MAX, fault_disarm());
		kvm_vfio_add(self->dev, self->groups[i]);
	}
	for (i = 0; i < variant->groups; i++)
		ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->groups[i],
						      self->table));
	fault_arm(FAULT_MAX);
	close(self->table);
	EXPECT_EQ((unsigned int)FAULT_MAX, fault_disarm());
}

/*
 * VFIO_IOMMU_MAP_DMA of preregistered memory is refused with nothing mapped, and then
 * works.
 */
TEST_F(fail_nth, defect35_map_dma)
{
	const uint64_t iova = FIRST << SHIFT, size = TCE_LIST * PAGE;
	void *va = self->vm.memory + PAGES;
	struct sweep sweep = { 0 };
	unsigned int nth, left = 0;
	int ret;

	for (nth = 1; !left; nth++) {
		ASSERT_GT(FAULT_MAX, nth);
		tce_window_remove(self->container, 0);
		window_create(self->container, variant->levels);
		fault_arm(nth);
		ret = __vfio_dma_map(self->container, va, iova, size);
		left = fault_disarm();
		if (ret) {
			ASSERT_EQ(0U, left);
			ASSERT_EQ(0, mapped(self->container, &self->vm));
			sweep.refused++;
			ret = __vfio_dma_map(self->container, va, iova, size);
			ASSERT_EQ(0, ret);
		} else if (!left) {
			sweep.made_good++;
		}
		ASSERT_EQ((long)TCE_LIST, mapped(self->container, &self->vm));
		ASSERT_EQ(0, __vfio_dma_unmap(self->container, iova, size));
		ASSERT_EQ(0, mapped(self->container, &self->vm));
	}
	print_sweep("VFIO_IOMMU_MAP_DMA", &sweep);
	EXPECT_EQ(variant->levels > 1, sweep.refused > 0);
}

/*
 * Contract 4.29: A hypercall is left to user space with each entry either old or new,
 * and with the hardware and the guest's table of one mind; then it works.
 */
struct hypercall {
	const char *name;
	unsigned long nr;
	uint64_t arg[2];	/* after the table and the bus address */
	uint64_t entries;
	uint64_t tce;		/* what the first entry becomes; the others count up */
};

static const struct hypercall hypercalls[] = {
	{ "H_PUT_TCE", H_PUT_TCE, { PAGES | TCE_RW }, 1, PAGES | TCE_RW },
	{ "H_PUT_TCE_INDIRECT", H_PUT_TCE_INDIRECT, { LIST, TCE_LIST }, TCE_LIST,
	  PAGES | TCE_RW },
	{ "H_STUFF_TCE", H_STUFF_TCE, { POISON, TCE_LIST }, TCE_LIST, POISON },
};

static uint64_t new_entry(const struct hypercall *call, uint64_t i)
{
	return call->tce & TCE_RW ? call->tce + i * PAGE : call->tce;
}

static long hypercall(struct ppc64_vcpu *vcpu, const struct hypercall *call)
{
	return ppc64_hcall(vcpu, call->nr, LIOBN, FIRST << SHIFT, call->arg[0],
			   call->arg[1]);
}

/* How many entries are new; the others must be 0. */
static unsigned int entries_new(struct ppc64_vcpu *vcpu, const struct hypercall *call)
{
	unsigned int i, nr = 0;
	uint64_t tce;

	for (i = 0; i < call->entries; i++) {
		tce = entry_of(vcpu, FIRST + i);
		VFIO_ASSERT(!tce || tce == new_entry(call, i), "entry %u is %#llx", i,
			    (unsigned long long)tce);
		nr += !!tce;
	}
	return nr;
}

/* An empty table, and an empty window if one is attached */
static void renew(struct __test_metadata *_metadata, FIXTURE_DATA(fail_nth) * self,
		  const FIXTURE_VARIANT(fail_nth) * variant)
{
	close(self->table);
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	if (!variant->groups)
		return;
	tce_window_remove(self->container, 0);
	window_create(self->container, variant->levels);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->groups[0], self->table));
}

static void sweep_hypercall(struct __test_metadata *_metadata,
			    FIXTURE_DATA(fail_nth) * self,
			    const FIXTURE_VARIANT(fail_nth) * variant,
			    const struct hypercall *call)
{
	bool maps = variant->groups && call->tce & TCE_RW;
	struct sweep sweep = { 0 };
	unsigned int nth, left = 0;
	unsigned int new;
	long ret;

	for (nth = 1; !left; nth++) {
		ASSERT_GT(FAULT_MAX, nth);
		renew(_metadata, self, variant);
		fault_arm(nth);
		ret = hypercall(&self->vcpu, call);
		left = fault_disarm();
		if (ret != H_SUCCESS) {
			ASSERT_EQ(PPC64_TO_USER, ret);
			ASSERT_EQ(0U, left);
			new = entries_new(&self->vcpu, call);
			ASSERT_EQ(maps ? new : 0, mapped(self->container, &self->vm));
			sweep.refused++;
			ASSERT_EQ(H_SUCCESS, hypercall(&self->vcpu, call));
		} else if (!left) {
			sweep.made_good++;
		}
		ASSERT_EQ(call->entries, entries_new(&self->vcpu, call));
		ASSERT_EQ(maps ? call->entries : 0, mapped(self->container, &self->vm));
	}
	print_sweep(call->name, &sweep);
	/* The pages of the table, if the kernel can let pages fail. */
	if (!access("/sys/kernel/debug/fail_page_alloc", F_OK))
		EXPECT_LE(call->entries > 1 ? 2U : 1U, sweep.refused);
}

TEST_F(fail_nth, hypercalls)
{
	unsigned int i;

	for (i = 0; i < TCE_LIST; i++)
		tce_list_set(&self->vm, LIST, i, new_entry(&hypercalls[1], i));
	for (i = 0; i < ARRAY_SIZE(hypercalls); i++)
		sweep_hypercall(_metadata, self, variant, &hypercalls[i]);
}

int main(int argc, char **argv)
{
	vfio_test_init(devices, ARRAY_SIZE(devices), ARRAY_SIZE(devices));
	if (!fault_possible())
		ksft_exit_skip("no fault injection in this kernel\n");
	tce_watch_regions();
	return test_harness_run(argc, argv);
}
#else
int main(void)
{
	ksft_exit_skip("POWER only\n");
}
#endif
