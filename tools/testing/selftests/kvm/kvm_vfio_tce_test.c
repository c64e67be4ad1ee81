// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCE tables of a VM and their hypercalls, as a guest sees them, and what they do to
 * the windows of VFIO containers.
 *
 * The guest is real: it runs in HV KVM and does the hypercalls.  A hypercall
 * that KVM leaves to user space (H_TOO_HARD) returns PPC64_TO_USER.  Whether an
 * entry is in the hardware is seen by the count of mappings of its memory
 * region.
 *
 * After every test all is closed.  Then no memory may be locked, the use counts
 * of the modules must be what they were before, and the kernel log must have no
 * new splat.
 *
 * "defectN_" tests fail on kernels with defect N of the stock code.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include "kselftest_harness.h"
#include "vfio_probe.h"
#include "vfio_tce_test.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
/* Several emulated machines run at a time.  Whatever takes this long hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

/*
 * Guest memory, all in slot 0.  Two regions are preregistered, each in part;
 * REST is not.
 */
#define REGION_A	0UL
#define REGION_A_SIZE	(8 * MIB)
#define REGION_B	(8 * MIB)
#define REGION_B_SIZE	(4 * MIB)
#define PAGE_A(i)	(2 * MIB + (i) * PAGE)
#define PAGE_B(i)	(REGION_B + (i) * PAGE)
#define PAGE_REST(i)	(12 * MIB + (i) * PAGE)
#define NOWHERE		0x10000000000UL

/* An address of no page: nothing is mapped. */
#define POISON		0xdead000UL

static struct vfio_test_device devices[8];
static unsigned int nr_devices;

static void remember(struct vfio_before *before)
{
	vfio_bind(devices[0].bdf);
	vfio_remember(before);
}

static bool nothing_left(struct vfio_before *before)
{
	vfio_close_all(before);
	return vfio_nothing_left(before);
}

static uint64_t entry_of(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba)
{
	uint64_t tce;
	long ret = h_get_tce(vcpu, liobn, ioba, &tce);

	VFIO_ASSERT(ret == H_SUCCESS, "H_GET_TCE at %#llx: %ld",
		    (unsigned long long)ioba, ret);
	return tce;
}

/*
 * Tables without hardware
 */
FIXTURE(emulated)
{
	struct vfio_before before;
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	int table;
};

FIXTURE_SETUP(emulated)
{
	remember(&self->before);
	ppc64_vm_open(&self->vm, MEMORY);
	ppc64_vcpu_open(&self->vcpu, &self->vm);
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
}

FIXTURE_TEARDOWN(emulated)
{
	ppc64_vcpu_close(&self->vcpu);
	EXPECT_TRUE(nothing_left(&self->before));
}

TEST_F(emulated, put_is_read_back)
{
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN, 0));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(H_SUCCESS,
		  h_put_tce(&self->vcpu, LIOBN, LAST, PAGE_REST(1) | TCE_READ));
	EXPECT_EQ(PAGE_A(0) | TCE_RW, entry_of(&self->vcpu, LIOBN, 0));
	EXPECT_EQ(PAGE_REST(1) | TCE_READ, entry_of(&self->vcpu, LIOBN, LAST));
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN, PAGE));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN, 0));
}

TEST_F(emulated, list_is_read_back)
{
	unsigned int i;

	for (i = 0; i < TCE_LIST; i++)
		tce_list_set(&self->vm, LIST, i, i % 3 ? PAGE_A(i) | i % 3 : 0);
	/* Crosses the boundary between two pages of entries. */
	ASSERT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, 8000 * PAGE,
						LIST, TCE_LIST));
	for (i = 0; i < TCE_LIST; i++)
		ASSERT_EQ(i % 3 ? PAGE_A(i) | i % 3 : 0,
			  entry_of(&self->vcpu, LIOBN, (8000 + i) * PAGE));
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN, 7999 * PAGE));
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN, (8000 + TCE_LIST) * PAGE));
}

TEST_F(emulated, stuff_is_read_back)
{
	unsigned int i;

	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, POISON, ENTRIES));
	EXPECT_EQ(POISON, entry_of(&self->vcpu, LIOBN, 0));
	EXPECT_EQ(POISON, entry_of(&self->vcpu, LIOBN, LAST));
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 8190 * PAGE, 0, 4));
	for (i = 8188; i < 8196; i++)
		EXPECT_EQ(i < 8190 || i > 8193 ? POISON : 0,
			  entry_of(&self->vcpu, LIOBN, i * PAGE));
}

TEST_F(emulated, poison_is_read_back)
{
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, POISON | 0x10));
	EXPECT_EQ(POISON | 0x10, entry_of(&self->vcpu, LIOBN, 0));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, ~TCE_RW));
	EXPECT_EQ(~TCE_RW, entry_of(&self->vcpu, LIOBN, 0));
}

/* Poison in no slot: nothing has to be read there, so it is accepted. */
TEST_F(emulated, poison_in_a_list)
{
	tce_list_set(&self->vm, LIST, 0, PAGE_A(0) | TCE_RW);
	tce_list_set(&self->vm, LIST, 1, NOWHERE | 0x20);
	tce_list_set(&self->vm, LIST, 2, 0);
	EXPECT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, 3));
	EXPECT_EQ(NOWHERE | 0x20, entry_of(&self->vcpu, LIOBN, PAGE));
}

TEST_F(emulated, mmap_shows_entries)
{
	uint64_t *tces = mmap(NULL, ENTRIES * 8, PROT_READ, MAP_SHARED, self->table, 0);

	ASSERT_NE(MAP_FAILED, (void *)tces);
	EXPECT_EQ(0U, tces[ENTRIES - 1]);
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, LAST, PAGE_A(0) | TCE_RW));
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, POISON, 3));
	EXPECT_EQ(PAGE_A(0) | TCE_RW, tces[ENTRIES - 1]);
	EXPECT_EQ(POISON, tces[2]);
	EXPECT_EQ(0U, tces[3]);
	munmap(tces, ENTRIES * 8);
}

TEST_F(emulated, unknown_liobn)
{
	uint64_t tce;

	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN2, 0, 0));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce_indirect(&self->vcpu, LIOBN2, 0, LIST, 1));
	EXPECT_EQ(PPC64_TO_USER, h_stuff_tce(&self->vcpu, LIOBN2, 0, 0, 1));
	EXPECT_EQ(PPC64_TO_USER, h_get_tce(&self->vcpu, LIOBN2, 0, &tce));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN | 1UL << 40, 0, 0));
	/* Goes to user space, whatever the arguments are. */
	EXPECT_EQ(PPC64_TO_USER, h_put_tce_indirect(&self->vcpu, LIOBN2, 1, 1, ~0UL));
	EXPECT_EQ(PPC64_TO_USER, h_stuff_tce(&self->vcpu, LIOBN2, 1, 3, ~0UL));
}

/* Contract 4.23 */
TEST_F(emulated, ioba_of_no_entry)
{
	static const uint64_t iobas[] = {
		1, PAGE - 1, PAGE + 8, WINDOW, WINDOW + PAGE, 1UL << 59, 1UL << 63,
		~0UL & ~(PAGE - 1), ~0UL,
	};
	unsigned int i;
	uint64_t tce;

	for (i = 0; i < ARRAY_SIZE(iobas); i++) {
		EXPECT_EQ(H_PARAMETER, h_put_tce(&self->vcpu, LIOBN, iobas[i], 0));
		EXPECT_EQ(H_PARAMETER,
			  h_put_tce_indirect(&self->vcpu, LIOBN, iobas[i], LIST, 1));
		EXPECT_EQ(H_PARAMETER,
			  h_stuff_tce(&self->vcpu, LIOBN, iobas[i], 0, 1));
		EXPECT_EQ(H_PARAMETER, h_get_tce(&self->vcpu, LIOBN, iobas[i], &tce));
	}
}

TEST_F(emulated, table_with_an_offset)
{
	uint64_t start = 1UL << 59, tce;

	tce_table(self->vm.fd, LIOBN2, SHIFT, start >> SHIFT, 16);
	EXPECT_EQ(H_PARAMETER, h_get_tce(&self->vcpu, LIOBN2, 0, &tce));
	EXPECT_EQ(H_PARAMETER, h_put_tce(&self->vcpu, LIOBN2, start - PAGE, 0));
	EXPECT_EQ(H_PARAMETER, h_put_tce(&self->vcpu, LIOBN2, start + 16 * PAGE, 0));
	EXPECT_EQ(H_SUCCESS,
		  h_put_tce(&self->vcpu, LIOBN2, start + 15 * PAGE, POISON));
	EXPECT_EQ(POISON, entry_of(&self->vcpu, LIOBN2, start + 15 * PAGE));
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN2, start));
}

/* Contract 4.23 */
TEST_F(emulated, list_arguments)
{
	EXPECT_EQ(H_PARAMETER, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST + 8, 1));
	EXPECT_EQ(H_PARAMETER, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST | 1, 1));
	EXPECT_EQ(H_PARAMETER,
		  h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, TCE_LIST + 1));
	EXPECT_EQ(H_PARAMETER, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, ~0UL));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce_indirect(&self->vcpu, LIOBN, 0, NOWHERE, 1));
	EXPECT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, 0));
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, 0));
}

TEST_F(emulated, stuff_with_permissions)
{
	uint64_t bits;

	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, POISON));
	for (bits = TCE_READ; bits <= TCE_RW; bits++)
		EXPECT_EQ(H_PARAMETER,
			  h_stuff_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | bits, 1));
	EXPECT_EQ(POISON, entry_of(&self->vcpu, LIOBN, 0));
}

/*
 * Contract 4.23: Begins at the last entry. What is behind the table may be
 * anything.
 */
TEST_F(emulated, defect1_stuff_over_the_end)
{
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, LAST, 0, 1));
	EXPECT_EQ(H_PARAMETER, h_stuff_tce(&self->vcpu, LIOBN, LAST, 0, 2));
	EXPECT_EQ(H_PARAMETER, h_stuff_tce(&self->vcpu, LIOBN, PAGE, 0, ENTRIES));
}

/* Contract 4.23 */
TEST_F(emulated, defect1_list_over_the_end)
{
	EXPECT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, LAST, LIST, 1));
	EXPECT_EQ(H_PARAMETER, h_put_tce_indirect(&self->vcpu, LIOBN, LAST, LIST, 2));
	EXPECT_EQ(H_PARAMETER,
		  h_put_tce_indirect(&self->vcpu, LIOBN,
				     WINDOW - (TCE_LIST - 1) * PAGE, LIST, TCE_LIST));
}

/*
 * Contract 4.24, 4.30: Nothing changes, not even entries before the bad one of
 * a list.
 */
TEST_F(emulated, pages_that_cannot_be)
{
	static const uint64_t bad[] = {
		NOWHERE, MEMORY, PAGE_A(0) | 8, PAGE_A(0) | 0x800, ~0UL - PAGE + 1,
		~TCE_RW, 1UL << 63,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(PPC64_TO_USER,
			  h_put_tce(&self->vcpu, LIOBN, 0, bad[i] | TCE_READ));
		tce_list_set(&self->vm, LIST, 0, PAGE_A(0) | TCE_RW);
		tce_list_set(&self->vm, LIST, 1, bad[i] | TCE_RW);
		EXPECT_EQ(PPC64_TO_USER,
			  h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, 2));
		EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN, 0));
		EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN, PAGE));
	}
}

TEST_F(emulated, answer_of_user_space)
{
	self->vcpu.answer = -77;
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, 0, NOWHERE | TCE_RW));
	EXPECT_EQ((uint64_t)-77, self->vcpu.request->ret);
}

/* Contract 4.30: A slot with one IOMMU page and a part of a second one */
TEST_F(emulated, defect31_page_reaches_beyond_slot)
{
	unsigned int shift = 20;
	size_t size = (1UL << shift) + getpagesize();

	tce_table(self->vm.fd, LIOBN2, shift, 0, 16);
	ppc64_vm_slot(&self->vm, 1, 0, NOWHERE, vfio_dma_buffer(size), size);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN2, 0, NOWHERE | TCE_RW));
	EXPECT_EQ(PPC64_TO_USER,
		  h_put_tce(&self->vcpu, LIOBN2, 1UL << shift,
			    (NOWHERE + (1UL << shift)) | TCE_RW));
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN2, 1UL << shift));
}

TEST_F(emulated, closed_table)
{
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, POISON));
	close(self->table);
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN, 0));
}

/* The mapping keeps the file open, so the table stays as well. */
TEST_F(emulated, closed_table_that_is_mapped)
{
	uint64_t *tces = mmap(NULL, ENTRIES * 8, PROT_READ, MAP_SHARED, self->table, 0);

	ASSERT_NE(MAP_FAILED, (void *)tces);
	close(self->table);
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, POISON));
	EXPECT_EQ(POISON, tces[0]);
	munmap(tces, ENTRIES * 8);
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, 0, 0));
}

TEST_F(emulated, liobn_of_another_vm)
{
	struct ppc64_vcpu vcpu;
	struct ppc64_vm vm;

	ppc64_vm_open(&vm, MEMORY);
	ppc64_vcpu_open(&vcpu, &vm);
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&vcpu, LIOBN, 0, POISON));
	tce_table(vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&vcpu, LIOBN, 0, POISON));
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN, 0));
	ppc64_vcpu_close(&vcpu);
}

/*
 * KVM_CREATE_SPAPR_TCE_64
 */
FIXTURE(create)
{
	struct vfio_before before;
	int vm;
};

FIXTURE_SETUP(create)
{
	remember(&self->before);
	self->vm = kvm_vm_open();
}

FIXTURE_TEARDOWN(create)
{
	EXPECT_TRUE(nothing_left(&self->before));
}

TEST_F(create, refusals)
{
	EXPECT_EQ(-EINVAL, __tce_table(self->vm, LIOBN, SHIFT, 0, 0));
	EXPECT_EQ(-EINVAL, __tce_table(self->vm, LIOBN, 11, 0, 1));
	EXPECT_EQ(-EINVAL, __tce_table(self->vm, LIOBN, 35, 0, 1));
	EXPECT_EQ(-EINVAL, __tce_table(self->vm, LIOBN, ~0U, 0, 1));
	EXPECT_EQ(-EINVAL, __tce_table(self->vm, LIOBN, SHIFT, ~0UL >> SHIFT, 1));
	EXPECT_EQ(-EINVAL, __tce_table(self->vm, LIOBN, SHIFT, 0, ~0UL));
	EXPECT_EQ(self->before.locked, locked_kib());
}

TEST_F(create, limits)
{
	EXPECT_LE(0, __tce_table(self->vm, LIOBN, 34, 0, 1));
	EXPECT_LE(0, __tce_table(self->vm, LIOBN2, SHIFT, (~0UL >> SHIFT) - 1, 1));
}

TEST_F(create, defect21_window_wraps)
{
	EXPECT_EQ(-EINVAL, __tce_table(self->vm, LIOBN, SHIFT, ~0UL, 2));
	EXPECT_EQ(-EINVAL, __tce_table(self->vm, LIOBN, SHIFT, -16UL, 32));
	EXPECT_EQ(-EINVAL, __tce_table(self->vm, LIOBN, SHIFT, 1UL << 63, 1UL << 63));
}

TEST_F(create, same_liobn)
{
	int table = tce_table(self->vm, LIOBN, SHIFT, 0, ENTRIES);
	long locked = locked_kib();

	EXPECT_EQ(-EBUSY, __tce_table(self->vm, LIOBN, SHIFT, 0, ENTRIES));
	EXPECT_EQ(-EBUSY, __tce_table(self->vm, LIOBN, 16, 99, 1));
	EXPECT_EQ(locked, locked_kib());
	close(table);
	EXPECT_LE(0, __tce_table(self->vm, LIOBN, SHIFT, 0, ENTRIES));
}

TEST_F(create, locked_memory)
{
	long kib = ENTRIES * 8 / 1024;
	int table = tce_table(self->vm, LIOBN, SHIFT, 0, ENTRIES);
	long locked = locked_kib() - self->before.locked;

	EXPECT_LE(kib, locked);
	EXPECT_GE(kib + 2 * getpagesize() / 1024, locked);
	close(table);
	EXPECT_EQ(self->before.locked, locked_kib());
}

/* Root may lock any amount of memory, so drop that capability. */
static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	VFIO_ASSERT(!syscall(SYS_capget, &header, data), "capget");
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	VFIO_ASSERT(!syscall(SYS_capset, &header, data), "capset");
}

TEST_F(create, over_the_limit_of_locked_memory)
{
	struct rlimit limit = { 0 };

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	drop_ipc_lock();
	EXPECT_EQ(-ENOMEM, __tce_table(self->vm, LIOBN, SHIFT, 0, ENTRIES));
	EXPECT_EQ(self->before.locked, locked_kib());
}

TEST_F(create, no_fd_left)
{
	struct rlimit limit, none;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, __tce_table(self->vm, LIOBN, SHIFT, 0, ENTRIES));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(self->before.locked, locked_kib());
	EXPECT_LE(0, __tce_table(self->vm, LIOBN, SHIFT, 0, ENTRIES));
}

/* The fd of a table pins the VM. */
TEST_F(create, vm_closed_first)
{
	int table = tce_table(self->vm, LIOBN, SHIFT, 0, ENTRIES);

	close(self->vm);
	close(table);
}

/*
 * Tables with a window of a container behind them
 */
FIXTURE(attached)
{
	struct vfio_before before;
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	int dev;
	int container;
	int group;
	int table;
};

/*
 * A v2 container with the VM's memory registered, and a window at 0.  If its
 * size is 0 there is no window.
 */
static int container_of(const struct ppc64_vm *vm, int group, uint64_t window)
{
	int container = vfio_container_open();

	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);
	VFIO_ASSERT(!__vfio_memory_register(container, vm->memory + REGION_A,
					    REGION_A_SIZE) &&
		    !__vfio_memory_register(container, vm->memory + REGION_B,
					    REGION_B_SIZE), "register memory");
	tce_window_drop_default(container);
	if (window)
		VFIO_ASSERT(!tce_window_create(container, SHIFT, window),
			    "the window is not at 0");
	return container;
}

FIXTURE_SETUP(attached)
{
	remember(&self->before);
	ppc64_vm_open(&self->vm, MEMORY);
	ppc64_vcpu_open(&self->vcpu, &self->vm);
	self->dev = kvm_vfio_create(self->vm.fd);
	self->group = vfio_group_open(devices[0].group);
	self->container = container_of(&self->vm, self->group, WINDOW);
	kvm_vfio_add(self->dev, self->group);
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
}

/*
 * The close of a container unregisters its regions.  If one is still counted as
 * mapped, the kernel warns and the memory stays locked.
 */
FIXTURE_TEARDOWN(attached)
{
	ppc64_vcpu_close(&self->vcpu);
	EXPECT_TRUE(nothing_left(&self->before));
}

static long mapped_a(int container, const struct ppc64_vm *vm)
{
	return tce_region_mapped(container, vm->memory + REGION_A, REGION_A_SIZE);
}

static long mapped_b(int container, const struct ppc64_vm *vm)
{
	return tce_region_mapped(container, vm->memory + REGION_B, REGION_B_SIZE);
}

#define MAPPED_A(s)	({ typeof(s) _s = (s); mapped_a(_s->container, &_s->vm); })
#define MAPPED_B(s)	({ typeof(s) _s = (s); mapped_b(_s->container, &_s->vm); })

/* What the other tests rely on. */
TEST_F(attached, mapped_count_can_be_seen)
{
	void *va = self->vm.memory + PAGE_A(0);
	size_t size = 16 * (size_t)getpagesize();

	ASSERT_EQ(0, MAPPED_A(self));
	ASSERT_EQ(0, __vfio_dma_map(self->container, va, 0, size));
	EXPECT_EQ((long)(size / PAGE), MAPPED_A(self));
	EXPECT_EQ(0, MAPPED_B(self));
	ASSERT_EQ(0, __vfio_dma_unmap(self->container, 0, size));
	EXPECT_EQ(0, MAPPED_A(self));
}

TEST_F(attached, put_maps_and_unmaps)
{
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(1, MAPPED_A(self));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, LAST, PAGE_A(0) | TCE_READ));
	EXPECT_EQ(2, MAPPED_A(self));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(1, MAPPED_A(self));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(1, MAPPED_A(self));
	EXPECT_EQ(PAGE_A(0) | TCE_READ, entry_of(&self->vcpu, LIOBN, LAST));
}

TEST_F(attached, replaced_within_a_region)
{
	unsigned int i;

	for (i = 0; i < 8; i++) {
		EXPECT_EQ(H_SUCCESS,
			  h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(i) | (1 + i % 3)));
		EXPECT_EQ(1, MAPPED_A(self));
	}
	EXPECT_EQ(0, MAPPED_B(self));
}

TEST_F(attached, replaced_by_another_region)
{
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_B(0) | TCE_RW));
	EXPECT_EQ(0, MAPPED_A(self));
	EXPECT_EQ(1, MAPPED_B(self));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(1, MAPPED_A(self));
	EXPECT_EQ(0, MAPPED_B(self));
}

TEST_F(attached, replaced_by_poison)
{
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, POISON));
	EXPECT_EQ(0, MAPPED_A(self));
	EXPECT_EQ(POISON, entry_of(&self->vcpu, LIOBN, 0));
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, POISON | 0x10, 2));
	EXPECT_EQ(0, MAPPED_A(self));
}

/* Entries of both regions alternately */
static void fill_list(struct ppc64_vm *vm)
{
	unsigned int i;

	for (i = 0; i < TCE_LIST; i++)
		tce_list_set(vm, LIST, i, (i % 2 ? PAGE_B(i) : PAGE_A(i)) | TCE_RW);
}

TEST_F(attached, list_maps_and_stuff_unmaps)
{
	long half = TCE_LIST / 2;

	fill_list(&self->vm);
	ASSERT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, PAGE, LIST, TCE_LIST));
	EXPECT_EQ(half, MAPPED_A(self));
	EXPECT_EQ(half, MAPPED_B(self));
	/* Now each entry is of the other region. */
	ASSERT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, TCE_LIST));
	EXPECT_EQ(half, MAPPED_A(self));
	EXPECT_EQ(half + 1, MAPPED_B(self));
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, 100));
	EXPECT_EQ(half - 50, MAPPED_A(self));
	EXPECT_EQ(half + 1 - 50, MAPPED_B(self));
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, ENTRIES));
	EXPECT_EQ(0, MAPPED_A(self));
	EXPECT_EQ(0, MAPPED_B(self));
}

/* One page of the host each, so that the region of nearly each entry has to be looked up */
TEST_F(attached, list_of_many_regions)
{
	const size_t size = getpagesize();
	void *va = self->vm.memory + PAGE_REST(0);
	unsigned int i, nr = 8;

	for (i = 0; i < nr; i++)
		ASSERT_EQ(0, __vfio_memory_register(self->container, va + i * size, size));
	for (i = 0; i < TCE_LIST; i++)
		tce_list_set(&self->vm, LIST, i, (PAGE_REST(0) + i % nr * size) | TCE_RW);
	ASSERT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, TCE_LIST));
	for (i = 0; i < nr; i++)
		EXPECT_EQ((long)(TCE_LIST / nr),
			  tce_region_mapped(self->container, va + i * size, size));
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, TCE_LIST));
	for (i = 0; i < nr; i++) {
		EXPECT_EQ(0, tce_region_mapped(self->container, va + i * size, size));
		EXPECT_EQ(0, __vfio_memory_unregister(self->container, va + i * size, size));
	}
}

/* Address 0 is a page of region A. */
TEST_F(attached, defect15_list_with_unmapped_entries)
{
	tce_list_set(&self->vm, LIST, 0, PAGE_A(0) | TCE_RW);
	tce_list_set(&self->vm, LIST, 1, 0);
	tce_list_set(&self->vm, LIST, 2, PAGE_A(1) | TCE_RW);
	tce_list_set(&self->vm, LIST, 3, PAGE_A(7));
	EXPECT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, 4));
	EXPECT_EQ(2, MAPPED_A(self));
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, 4));
	EXPECT_EQ(0, MAPPED_A(self));
}

/* A page that is unmapped by a list must be released, too. */
TEST_F(attached, defect15_list_that_unmaps)
{
	unsigned int i;

	fill_list(&self->vm);
	ASSERT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, TCE_LIST));
	for (i = 0; i < TCE_LIST; i++)
		tce_list_set(&self->vm, LIST, i, 0);
	ASSERT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, TCE_LIST));
	EXPECT_EQ(0, MAPPED_A(self));
	EXPECT_EQ(0, MAPPED_B(self));
}

TEST_F(attached, memory_can_be_unregistered_again)
{
	void *va = self->vm.memory + REGION_B;
	long locked = locked_kib();

	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_B(0) | TCE_RW));
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, ENTRIES));
	ASSERT_EQ(0, __vfio_memory_unregister(self->container, va, REGION_B_SIZE));
	EXPECT_EQ(locked - (long)(REGION_B_SIZE / 1024), locked_kib());
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_B(0) | TCE_RW));
	ASSERT_EQ(0, __vfio_memory_register(self->container, va, REGION_B_SIZE));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_B(0) | TCE_RW));
}

/* A region stays registered while pages of it are mapped, as only its container lets it go. */
TEST_F(attached, defect16_mapped_memory_stays_registered)
{
	void *va = self->vm.memory + REGION_B;
	long locked = locked_kib();

	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_B(0) | TCE_RW));
	ASSERT_EQ(-EBUSY, __vfio_memory_unregister(self->container, va, REGION_B_SIZE));
	EXPECT_EQ(locked, locked_kib());
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, LAST, PAGE_B(0) | TCE_RW));
	EXPECT_EQ(2, MAPPED_B(self));
	EXPECT_EQ(-EBUSY, __vfio_memory_register(self->container, va, REGION_B_SIZE));
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, ENTRIES));
	EXPECT_EQ(0, __vfio_memory_unregister(self->container, va, REGION_B_SIZE));
	EXPECT_EQ(locked - (long)(REGION_B_SIZE / 1024), locked_kib());
}

/* As QEMU does it, which does not try to unregister it again. */
TEST_F(attached, memory_plugged_again)
{
	void *va = self->vm.memory + REGION_B;
	long locked = locked_kib(), before, after;

	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_B(0) | TCE_RW));
	ASSERT_EQ(-EBUSY, __vfio_memory_unregister(self->container, va, REGION_B_SIZE));
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	ASSERT_EQ(va, mmap(va, REGION_B_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	pinned_pages(&before);
	ASSERT_EQ(0, __vfio_memory_register(self->container, va, REGION_B_SIZE));
	EXPECT_EQ(locked, locked_kib());
	/* The region has the new pages. */
	pinned_pages(&after);
	EXPECT_LE((long)(REGION_B_SIZE / getpagesize()), after - before);
	/* That was all that had been refused. */
	EXPECT_EQ(-EBUSY, __vfio_memory_register(self->container, va, REGION_B_SIZE));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_B(0) | TCE_RW));
	EXPECT_EQ(1, MAPPED_B(self));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(0, __vfio_memory_unregister(self->container, va, REGION_B_SIZE));
	EXPECT_EQ(locked - (long)(REGION_B_SIZE / 1024), locked_kib());
}

/* Another container of the process, with the second group */
static int other_container(int *group)
{
	int other = vfio_container_open();

	*group = vfio_group_open(devices[1].group);
	vfio_group_set_container(*group, other);
	vfio_container_use_iommu(other);
	return other;
}

/* No other container gets the region either, as its pages are the old ones. */
TEST_F(attached, memory_plugged_again_beside_another)
{
	void *va = self->vm.memory + REGION_B;
	int group, other = other_container(&group);

	ASSERT_EQ(0, __vfio_memory_register(other, va, REGION_B_SIZE));
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_B(0) | TCE_RW));
	ASSERT_EQ(0, __vfio_memory_unregister(other, va, REGION_B_SIZE));
	ASSERT_EQ(-EBUSY, __vfio_memory_unregister(self->container, va, REGION_B_SIZE));
	EXPECT_EQ(-EBUSY, __vfio_memory_register(other, va, REGION_B_SIZE));
	EXPECT_EQ(-EBUSY, __vfio_memory_register(self->container, va, REGION_B_SIZE));
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(0, __vfio_memory_register(other, va, REGION_B_SIZE));
	EXPECT_EQ(0, __vfio_memory_register(self->container, va, REGION_B_SIZE));
	EXPECT_EQ(0, __vfio_memory_unregister(other, va, REGION_B_SIZE));
	EXPECT_EQ(0, __vfio_memory_unregister(self->container, va, REGION_B_SIZE));
	EXPECT_EQ(-ENOENT, __vfio_memory_unregister(self->container, va, REGION_B_SIZE));
}

/* Region B is the other container's alone, and a page of it is mapped by the first one. */
static int other_container_of_b(struct ppc64_vcpu *vcpu, int container, int *group)
{
	void *va = vcpu->vm->memory + REGION_B;
	int other = other_container(group);

	VFIO_ASSERT(!__vfio_memory_register(other, va, REGION_B_SIZE), "register");
	VFIO_ASSERT(!__vfio_memory_unregister(container, va, REGION_B_SIZE), "unregister");
	VFIO_ASSERT(h_put_tce(vcpu, LIOBN, 0, PAGE_B(0) | TCE_RW) == H_SUCCESS, "H_PUT_TCE");
	return other;
}

/* It outlives its container, for as long as pages of it are mapped. */
TEST_F(attached, defect45_memory_of_a_closed_container)
{
	void *va = self->vm.memory + REGION_A;
	long locked = locked_kib();
	int group, other = other_container_of_b(&self->vcpu, self->container, &group);

	close(group);
	close(other);
	EXPECT_EQ(locked, locked_kib());
	/* Whatever is registered next finds it, and what is unregistered. */
	ASSERT_EQ(0, __vfio_memory_unregister(self->container, va, REGION_A_SIZE));
	EXPECT_EQ(locked - (long)(REGION_A_SIZE / 1024), locked_kib());
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	ASSERT_EQ(0, __vfio_memory_register(self->container, va, REGION_A_SIZE));
	EXPECT_EQ(locked - (long)(REGION_B_SIZE / 1024), locked_kib());
}

TEST_F(attached, defect45_all_containers_are_closed)
{
	int group, other = other_container_of_b(&self->vcpu, self->container, &group);

	close(group);
	close(other);
	/* It goes with the container that has it mapped: see nothing_left(). */
}

/* It is shared again, unless it was to be unregistered: its pages may be others then. */
TEST_F(attached, defect45_memory_of_a_closed_container_again)
{
	void *va = self->vm.memory + REGION_B;
	int group, other = other_container_of_b(&self->vcpu, self->container, &group);

	close(group);
	close(other);
	ASSERT_EQ(0, __vfio_memory_register(self->container, va, REGION_B_SIZE));
	other = other_container_of_b(&self->vcpu, self->container, &group);
	ASSERT_EQ(-EBUSY, __vfio_memory_unregister(other, va, REGION_B_SIZE));
	close(group);
	close(other);
	EXPECT_EQ(-EBUSY, __vfio_memory_register(self->container, va, REGION_B_SIZE));
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(0, __vfio_memory_register(self->container, va, REGION_B_SIZE));
}

TEST_F(attached, memory_not_preregistered)
{
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(PPC64_TO_USER,
		  h_put_tce(&self->vcpu, LIOBN, 0, PAGE_REST(0) | TCE_RW));
	EXPECT_EQ(PAGE_A(0) | TCE_RW, entry_of(&self->vcpu, LIOBN, 0));
	EXPECT_EQ(1, MAPPED_A(self));
}

/*
 * Contract 4.29: After H_TOO_HARD each entry is old or new, and the counts
 * agree.
 */
TEST_F(attached, list_that_fails_midway)
{
	unsigned int i, nr_a = 0, nr_b = 0;
	uint64_t tce;

	fill_list(&self->vm);
	for (i = 0; i < TCE_LIST; i += 4)
		ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, i * PAGE,
					       PAGE_B(1) | TCE_READ));
	tce_list_set(&self->vm, LIST, 300, PAGE_REST(0) | TCE_RW);
	ASSERT_EQ(PPC64_TO_USER,
		  h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, TCE_LIST));
	for (i = 0; i < TCE_LIST; i++) {
		tce = entry_of(&self->vcpu, LIOBN, i * PAGE);
		if (tce != ((i % 2 ? PAGE_B(i) : PAGE_A(i)) | TCE_RW))
			ASSERT_EQ(i % 4 ? 0 : PAGE_B(1) | TCE_READ, tce);
		nr_a += tce && tce < REGION_B;
		nr_b += tce >= REGION_B;
	}
	EXPECT_EQ((long)nr_a, MAPPED_A(self));
	EXPECT_EQ((long)nr_b, MAPPED_B(self));
}

TEST_F(attached, stuff_over_the_whole_table)
{
	unsigned int i;

	for (i = 0; i < ENTRIES; i += 1021)
		ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, i * PAGE,
					       PAGE_A(i % 512) | TCE_RW));
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, LAST, PAGE_B(0) | TCE_RW));
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, PAGE, 0, ENTRIES - 1));
	EXPECT_EQ(1, MAPPED_A(self));
	EXPECT_EQ(0, MAPPED_B(self));
}

/*
 * Windows come and go
 */

static void expect_all_to_user(struct __test_metadata *_metadata,
			       struct ppc64_vcpu *vcpu, uint64_t liobn)
{
	tce_list_set(vcpu->vm, LIST, 0, PAGE_A(0) | TCE_RW);
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(vcpu, liobn, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(vcpu, liobn, 0, 0));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce_indirect(vcpu, liobn, 0, LIST, 1));
	EXPECT_EQ(PPC64_TO_USER, h_stuff_tce(vcpu, liobn, 0, 0, 1));
}

/* Contract 4.15, 4.16 */
TEST_F(attached, defect9_window_removed)
{
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	ASSERT_EQ(0, __tce_window_remove(self->container, 0));
	EXPECT_EQ(0, MAPPED_A(self));
	expect_all_to_user(_metadata, &self->vcpu, LIOBN);
	EXPECT_EQ(PAGE_A(0) | TCE_RW, entry_of(&self->vcpu, LIOBN, 0));
	EXPECT_EQ(0, MAPPED_A(self));
}

/* Contract 4.12 */
TEST_F(attached, defect9_window_replaced)
{
	ASSERT_EQ(0, __tce_window_remove(self->container, 0));
	ASSERT_EQ(0U, tce_window_create(self->container, SHIFT, WINDOW));
	/* The table does not reach the new window before SET_SPAPR_TCE. */
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(1, MAPPED_A(self));
	kvm_vfio_del(self->dev, self->group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(1, MAPPED_A(self));
}

/* Contract 4.9 */
TEST_F(attached, set_after_window_is_removed)
{
	ASSERT_EQ(0, __tce_window_remove(self->container, 0));
	EXPECT_EQ(-EINVAL,
		  __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
}

TEST_F(attached, defect17_window_that_is_not_made)
{
	long locked = locked_kib();
	uint64_t start;
	int ret = __tce_window_create(self->container, 16, 16 * WINDOW, 2, &start);

	/* Firmware makes windows of one level only. */
	ASSERT_EQ(vfio_in_lpar() ? -EINVAL : 0, ret);
	if (!ret)
		ASSERT_EQ(0, __tce_window_remove(self->container, start));
	EXPECT_EQ(locked, locked_kib());
}

TEST_F(attached, defect44_range_of_no_entries)
{
	EXPECT_EQ(-EINVAL, __vfio_dma_map(self->container, self->vm.memory, 0, 0));
	EXPECT_EQ(-EINVAL, __vfio_dma_unmap(self->container, 0, 0));
}

TEST_F(attached, defect44_memory_of_no_size)
{
	EXPECT_EQ(-EINVAL, __vfio_memory_register(self->container, self->vm.memory, 0));
}

/* A shift by 140 bits is one by 12. */
TEST_F(attached, defect44_pages_of_any_size)
{
	long locked = locked_kib();
	uint64_t start;

	EXPECT_EQ(-EINVAL, __tce_window_create(self->container, 140, WINDOW, 1, &start));
	EXPECT_EQ(-EINVAL, __tce_window_create(self->container, 64, WINDOW, 1, &start));
	EXPECT_EQ(locked, locked_kib());
}

/* An LPAR would make a default window of no entries. */
TEST_F(attached, defect44_window_smaller_than_a_page)
{
	long locked = locked_kib();
	uint64_t start;

	tce_window_remove(self->container, 0);
	EXPECT_EQ(-EINVAL, __tce_window_create(self->container, SHIFT, PAGE / 8, 1, &start));
	EXPECT_EQ(0U, tce_window_create(self->container, SHIFT, WINDOW));
	EXPECT_EQ(locked, locked_kib());
}

TEST_F(attached, second_window)
{
	uint64_t start = tce_window_create(self->container, 16, 16 * WINDOW);
	int table = tce_table(self->vm.fd, LIOBN2, 16, start >> 16, ENTRIES);

	ASSERT_NE(0U, start);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	/*
	 * Without huge pages behind the memory, only the kernel's page size is
	 * possible.
	 */
	EXPECT_EQ(getpagesize() == 65536 ? H_SUCCESS : PPC64_TO_USER,
		  h_put_tce(&self->vcpu, LIOBN2, start, MIB | TCE_RW));
	EXPECT_EQ(getpagesize() == 65536, MAPPED_A(self));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_B(0) | TCE_RW));
	EXPECT_EQ(1, MAPPED_B(self));
	tce_window_remove(self->container, start);
	EXPECT_EQ(0, MAPPED_A(self));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN2, start, MIB | TCE_RW));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(0, MAPPED_B(self));
}

/* Contract 4.27, 4.29: more entries of the hardware than change without a break */
TEST_F(attached, entry_in_pieces)
{
	const uint64_t page = 4 * MIB;
	const long each = page >> SHIFT;
	void *half = self->vm.memory + PAGE_REST(0);
	long ret = vfio_in_lpar() ? PPC64_TO_USER : H_SUCCESS;
	long mapped = vfio_in_lpar() ? 0 : each;
	int table;

	tce_window_remove(self->container, 0);
	ASSERT_EQ(0U, tce_window_create(self->container, SHIFT, 4 * page));
	table = tce_table(self->vm.fd, LIOBN2, 22, 0, 4);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	ASSERT_EQ(0, __vfio_memory_register(self->container, half, page / 2));

	EXPECT_EQ(ret, h_put_tce(&self->vcpu, LIOBN2, 0, TCE_RW));
	EXPECT_EQ(mapped, MAPPED_A(self));
	/* Only what is not mapped can be mapped. */
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN2, 0, page | TCE_RW));
	EXPECT_EQ(mapped, MAPPED_A(self));
	tce_list_set(&self->vm, LIST, 0, page | TCE_RW);
	tce_list_set(&self->vm, LIST, 1, REGION_B | TCE_READ);
	EXPECT_EQ(ret, h_put_tce_indirect(&self->vcpu, LIOBN2, page, LIST, 2));
	EXPECT_EQ(2 * mapped, MAPPED_A(self));
	EXPECT_EQ(mapped, MAPPED_B(self));
	/* The second half cannot be mapped, so the first one is not, either. */
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN2, 3 * page, PAGE_REST(0) | TCE_RW));
	EXPECT_EQ(0, tce_region_mapped(self->container, half, page / 2));
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN2, 3 * page));

	EXPECT_EQ(ret, h_stuff_tce(&self->vcpu, LIOBN2, page, 0, 2));
	EXPECT_EQ(mapped, MAPPED_A(self));
	EXPECT_EQ(0, MAPPED_B(self));
	EXPECT_EQ(ret, h_put_tce(&self->vcpu, LIOBN2, 0, 0));
	EXPECT_EQ(0, MAPPED_A(self));
}

TEST_F(attached, window_with_levels)
{
	uint64_t start, ioba;

	if (vfio_in_lpar())
		SKIP(return, "such a window has one level");
	ASSERT_EQ(0, __tce_window_create(self->container, SHIFT, 1UL << 36, 3, &start));
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group,
					      tce_table(self->vm.fd, LIOBN2, SHIFT,
							start >> SHIFT, 1UL << 24)));
	fill_list(&self->vm);
	ioba = start + (1UL << 35) - 100 * PAGE;
	ASSERT_EQ(H_SUCCESS,
		  h_put_tce_indirect(&self->vcpu, LIOBN2, ioba, LIST, TCE_LIST));
	EXPECT_EQ((long)TCE_LIST / 2, MAPPED_A(self));
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN2, ioba, 0, 256));
	EXPECT_EQ((long)TCE_LIST / 2 - 128, MAPPED_A(self));
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN2, ioba, 0, TCE_LIST));
	EXPECT_EQ(0, MAPPED_A(self));
	EXPECT_EQ(0, MAPPED_B(self));
}

static unsigned long cpu_ms(void)
{
	struct timespec t;

	VFIO_ASSERT(!clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), "clock_gettime");
	return t.tv_sec * 1000UL + t.tv_nsec / 1000000;
}

static void *run_always(void *ends)
{
	while (!__atomic_load_n((bool *)ends, __ATOMIC_RELAXED))
		;
	return NULL;
}

/*
 * Contract 4.23: 64 GiB of empty entries: another thread, which wants to run on the same CPU,
 * has its turns meanwhile.
 */
TEST_F(attached, defect1_long_stuff_reschedules)
{
	uint64_t start, entries = 1UL << 24;
	struct rusage before, after;
	unsigned long turns, ms;
	pthread_t other;
	bool ends = false;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	ASSERT_EQ(0, __tce_window_create(self->container, SHIFT, entries << SHIFT,
					 vfio_in_lpar() ? 1 : 3, &start));
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group,
					      tce_table(self->vm.fd, LIOBN2, SHIFT,
							start >> SHIFT, entries)));
	/* So that the guest runs, and has its pages, before anything is measured. */
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN2, start, 0, 1));

	ASSERT_EQ(0, pthread_create(&other, NULL, run_always, &ends));
	ASSERT_EQ(0, getrusage(RUSAGE_THREAD, &before));
	ms = cpu_ms();
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN2, start, 0, entries));
	ms = cpu_ms() - ms;
	ASSERT_EQ(0, getrusage(RUSAGE_THREAD, &after));
	__atomic_store_n(&ends, true, __ATOMIC_RELAXED);
	pthread_join(other, NULL);
	turns = after.ru_nivcsw - before.ru_nivcsw;
	TH_LOG("%lu ms, and %lu turns of the other thread", ms, turns);
	EXPECT_LT(ms / (turns + 1), 1000);
}

/* A page of the guest that is many pages of the hardware */
TEST_F(attached, table_with_larger_pages)
{
	int table = tce_table(self->vm.fd, LIOBN2, 16, 0, ENTRIES / 16);

	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN2, 0x10000, MIB | TCE_RW));
	EXPECT_EQ(16, MAPPED_A(self));
	/* The last of them; the other table has it, too */
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 31 * PAGE, 0));
	EXPECT_EQ(15, MAPPED_A(self));
	EXPECT_EQ(H_SUCCESS,
		  h_put_tce(&self->vcpu, LIOBN2, 0x10000, REGION_B | TCE_RW));
	EXPECT_EQ(0, MAPPED_A(self));
	EXPECT_EQ(16, MAPPED_B(self));
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN2, 0, 0, ENTRIES / 16));
	EXPECT_EQ(0, MAPPED_B(self));
}

/*
 * Contract 4.30: The memory behind the slot is preregistered as well, but does
 * not belong to the guest.
 */
TEST_F(attached, defect31_page_reaches_beyond_slot)
{
	unsigned int shift = 20;
	uint64_t page = 1UL << shift;
	int table = tce_table(self->vm.fd, LIOBN2, shift, 0, 8);

	ppc64_vm_slot(&self->vm, 1, 0, NOWHERE, self->vm.memory + REGION_B,
		      page + getpagesize());
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN2, 0, NOWHERE | TCE_RW));
	EXPECT_EQ((long)(page / PAGE), MAPPED_B(self));
	EXPECT_EQ(PPC64_TO_USER,
		  h_put_tce(&self->vcpu, LIOBN2, page, (NOWHERE + page) | TCE_RW));
	tce_list_set(&self->vm, LIST, 0, (NOWHERE + page) | TCE_RW);
	EXPECT_EQ(PPC64_TO_USER,
		  h_put_tce_indirect(&self->vcpu, LIOBN2, page, LIST, 1));
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN2, page));
	EXPECT_EQ((long)(page / PAGE), MAPPED_B(self));
}

/*
 * SET_SPAPR_TCE and what undoes it
 */

/* Contract 4.2, 4.3, 4.4, 4.5, 4.6 */
TEST_F(attached, set_refusals)
{
	struct kvm_vfio_spapr_tce arg = { .groupfd = -1, .tablefd = -1 };
	int other = kvm_vm_open(), foreign = tce_table(other, LIOBN, SHIFT, 0, ENTRIES);
	int stranger = vfio_group_open(devices[1].group);

	EXPECT_EQ(-EFAULT, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP,
					       KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE,
					       (void *)8));
	EXPECT_EQ(-EBADF, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP,
					      KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, &arg));
	EXPECT_EQ(-ENOENT, __kvm_vfio_set_spapr_tce(self->dev, stranger, -1));
	EXPECT_EQ(-EBADF, __kvm_vfio_set_spapr_tce(self->dev, self->group, -1));
	EXPECT_EQ(-EINVAL,
		  __kvm_vfio_set_spapr_tce(self->dev, self->group, self->group));
	EXPECT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(self->dev, self->group, foreign));
}

/* Contract 4.9 */
TEST_F(attached, set_without_fitting_window)
{
	static const struct {
		unsigned int shift;
		uint64_t offset, size;
	} tables[] = {
		{ SHIFT, 1, ENTRIES - 1 },
		{ SHIFT, 1UL << 47, ENTRIES },
		{ SHIFT, 0, ENTRIES + 1 },
		{ 16, 0, ENTRIES },
	};
	unsigned int i;
	int table;

	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		table = tce_table(self->vm.fd, LIOBN2, tables[i].shift,
				  tables[i].offset, tables[i].size);
		EXPECT_EQ(-EINVAL,
			  __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
		close(table);
	}
	table = tce_table(self->vm.fd, LIOBN2, SHIFT, 0, 1);
	EXPECT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
}

/* Contract 4.21 */
TEST_F(attached, del_makes_it_emulated)
{
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	kvm_vfio_del(self->dev, self->group);
	/* The entries in the window stay, for the container to clear. */
	EXPECT_EQ(1, MAPPED_A(self));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, PAGE, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, 1));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_REST(0) | TCE_RW));
	EXPECT_EQ(1, MAPPED_A(self));
	ASSERT_EQ(0, __vfio_dma_unmap(self->container, 0, WINDOW));
	EXPECT_EQ(0, MAPPED_A(self));
}

/* Contract 4.21 */
TEST_F(attached, close_of_the_device_makes_it_emulated)
{
	close(self->dev);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(0, MAPPED_A(self));
}

/* Contract 4.11 */
TEST_F(attached, defect7_same_pair_twice)
{
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	kvm_vfio_del(self->dev, self->group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(0, MAPPED_A(self));
}

static long free_kib(void)
{
	char line[128];
	long kib = -1;
	FILE *f = fopen("/proc/meminfo", "re");

	VFIO_ASSERT(f, "open meminfo");
	while (kib < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemFree: %ld", &kib) != 1)
			kib = -1;
	fclose(f);
	return kib;
}

/*
 * Contract 4.11: A window of 1 GiB has a table of 2 MiB, and a userspace view
 * of 2 MiB.
 */
TEST_F(attached, defect7_window_is_freed)
{
	uint64_t start, size = 1UL << 30;
	int table, i;
	long before = 0;

	for (i = 0; i < 24; i++) {
		if (i == 4)
			before = free_kib();
		start = tce_window_create(self->container, SHIFT, size);
		table = tce_table(self->vm.fd, LIOBN2, SHIFT, start >> SHIFT,
				  size >> SHIFT);
		ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
		ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
		close(table);
		tce_window_remove(self->container, start);
	}
	EXPECT_GT(20 * 1024, before - free_kib());
}

/* Contract 4.17 */
TEST_F(attached, table_closed)
{
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	close(self->table);
	expect_all_to_user(_metadata, &self->vcpu, LIOBN);
	EXPECT_EQ(1, MAPPED_A(self));
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(1) | TCE_RW));
	EXPECT_EQ(1, MAPPED_A(self));
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, 1));
	EXPECT_EQ(0, MAPPED_A(self));
}

/* Contract 4.13 */
TEST_F(attached, two_tables_of_one_group)
{
	int second = tce_table(self->vm.fd, LIOBN2, SHIFT, 0, ENTRIES);

	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, second));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN2, 0, PAGE_B(0) | TCE_RW));
	EXPECT_EQ(0, MAPPED_A(self));
	EXPECT_EQ(1, MAPPED_B(self));
	/*
	 * Each table reads back what was put into it, whatever the hardware
	 * has.
	 */
	EXPECT_EQ(PAGE_A(0) | TCE_RW, entry_of(&self->vcpu, LIOBN, 0));
	EXPECT_EQ(PAGE_B(0) | TCE_RW, entry_of(&self->vcpu, LIOBN2, 0));
	close(self->table);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN2, PAGE, PAGE_B(0) | TCE_RW));
	EXPECT_EQ(2, MAPPED_B(self));
	kvm_vfio_del(self->dev, self->group);
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN2, 0, 0, 2));
	EXPECT_EQ(2, MAPPED_B(self));
}

/* Another group in the same container, so that it has the same window. */
static int join_group(int dev, int container)
{
	int group = vfio_group_open(devices[1].group);

	vfio_group_set_container(group, container);
	kvm_vfio_add(dev, group);
	return group;
}

/* Contract 4.13 */
TEST_F(attached, two_groups_of_one_window)
{
	int group;

	if (vfio_in_lpar())
		SKIP(return, "its containers take one group");
	group = join_group(self->dev, self->container);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, group, self->table));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(1, MAPPED_A(self));
	kvm_vfio_del(self->dev, self->group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, PAGE, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(2, MAPPED_A(self));
	kvm_vfio_del(self->dev, group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, PAGE, 0));
	EXPECT_EQ(2, MAPPED_A(self));
	EXPECT_EQ(PAGE_A(0) | TCE_RW, entry_of(&self->vcpu, LIOBN, 0));
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN, PAGE));
}

/* Contract 4.18, 4.19, 4.20: The second group is hot-plugged: by ADD alone. */
TEST_F(attached, defect37_second_group_by_add)
{
	int group;

	if (vfio_in_lpar())
		SKIP(return, "its containers take one group");
	group = join_group(self->dev, self->container);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(1, MAPPED_A(self));
	kvm_vfio_del(self->dev, self->group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, PAGE, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(2, MAPPED_A(self));
	kvm_vfio_add(self->dev, self->group);
	kvm_vfio_del(self->dev, group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, PAGE, 0));
	EXPECT_EQ(1, MAPPED_A(self));
	kvm_vfio_del(self->dev, self->group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(1, MAPPED_A(self));
}

/*
 * Contract 4.12, 4.18: A window comes after both groups, and SET_SPAPR_TCE
 * names one of them.
 */
TEST_F(attached, defect37_window_replaced_for_two_groups)
{
	int group;

	if (vfio_in_lpar())
		SKIP(return, "its containers take one group");
	group = join_group(self->dev, self->container);
	ASSERT_EQ(0, __tce_window_remove(self->container, 0));
	ASSERT_EQ(0U, tce_window_create(self->container, SHIFT, WINDOW));
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, group, self->table));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(1, MAPPED_A(self));
	kvm_vfio_del(self->dev, group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(0, MAPPED_A(self));
}

static void *create_window(void *arg)
{
	return (void *)tce_window_create(*(int *)arg, SHIFT, WINDOW);
}

/*
 * Contract 4.18: SET_SPAPR_TCE as soon as it works, with the function slow that gives a
 * group its new window: it names the group that gets it first, but the other one has it
 * as well.
 */
TEST_F(attached, defect37_set_while_a_window_is_made)
{
	pthread_t thread;
	int group, ret;
	void *start;

	if (vfio_in_lpar())
		SKIP(return, "its containers take one group");
	group = join_group(self->dev, self->container);
	tce_window_remove(self->container, 0);
	ASSERT_TRUE(tce_slow_down(VFIO_PROBE_AT("pnv_pci_ioda2_set_window")));
	ASSERT_EQ(0, pthread_create(&thread, NULL, create_window, &self->container));
	do {
		ret = __kvm_vfio_set_spapr_tce(self->dev, group, self->table);
	} while (ret == -EINVAL);
	pthread_join(thread, &start);
	tce_normal_speed();
	ASSERT_EQ(0, ret);
	ASSERT_EQ(NULL, start);
	kvm_vfio_del(self->dev, group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(1, MAPPED_A(self));
}

/* Contract 4.13 */
TEST_F(attached, defect8_failed_set_takes_nothing_away)
{
	int group, unfit = tce_table(self->vm.fd, LIOBN2, SHIFT, 0, ENTRIES + 1);

	if (vfio_in_lpar())
		SKIP(return, "its containers take one group");
	group = join_group(self->dev, self->container);
	ASSERT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(self->dev, group, unfit));
	kvm_vfio_del(self->dev, group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(1, MAPPED_A(self));
}

/* Contract 4.13: One table, and two windows behind it. */
TEST_F(attached, two_windows_of_one_table)
{
	int group = vfio_group_open(devices[1].group);
	int container = container_of(&self->vm, group, WINDOW);

	kvm_vfio_add(self->dev, group);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, group, self->table));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	EXPECT_EQ(2, MAPPED_A(self));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_B(0) | TCE_RW));
	EXPECT_EQ(0, MAPPED_A(self));
	EXPECT_EQ(2, MAPPED_B(self));
	kvm_vfio_del(self->dev, group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(1, MAPPED_B(self));
	tce_window_remove(container, 0);
	EXPECT_EQ(0, MAPPED_B(self));
}

/*
 * Contract 4.15: If one of two windows is removed, hypercalls go to user space.
 */
TEST_F(attached, defect9_one_of_two_windows_removed)
{
	int group = vfio_group_open(devices[1].group);
	int container = container_of(&self->vm, group, WINDOW);

	kvm_vfio_add(self->dev, group);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, group, self->table));
	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	tce_window_remove(container, 0);
	EXPECT_EQ(1, MAPPED_A(self));
	expect_all_to_user(_metadata, &self->vcpu, LIOBN);
	EXPECT_EQ(1, MAPPED_A(self));
	kvm_vfio_del(self->dev, group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(0, MAPPED_A(self));
}

/* Contract 1.28: A group that the host takes back */
TEST_F(attached, dead_group)
{
	long locked = locked_kib();
	char path[128];

	ASSERT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind",
		 devices[0].bdf);
	ASSERT_EQ(0, __sysfs_write(path, devices[0].bdf));
	/*
	 * The container has no group any more, and has unregistered its memory.
	 */
	EXPECT_GE(locked - (long)((REGION_A_SIZE + REGION_B_SIZE) / 1024), locked_kib());
	expect_all_to_user(_metadata, &self->vcpu, LIOBN);
	EXPECT_EQ(-EINVAL,
		  __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	kvm_vfio_del(self->dev, self->group);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
}

/*
 * Containers of another kind
 */
FIXTURE(container)
{
	struct vfio_before before;
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	int dev;
	int group;
	int container;
	int table;
};

FIXTURE_SETUP(container)
{
	remember(&self->before);
	ppc64_vm_open(&self->vm, MEMORY);
	ppc64_vcpu_open(&self->vcpu, &self->vm);
	self->dev = kvm_vfio_create(self->vm.fd);
	self->group = vfio_group_open(devices[0].group);
	self->container = vfio_container_open();
	vfio_group_set_container(self->group, self->container);
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
}

FIXTURE_TEARDOWN(container)
{
	ppc64_vcpu_close(&self->vcpu);
	EXPECT_TRUE(nothing_left(&self->before));
}

/*
 * Contract 4.31: Without preregistration, KVM leaves everything to user space.
 */
TEST_F(container, v1_is_left_to_user_space)
{
	void *va = self->vm.memory + PAGE_A(0);
	size_t size = getpagesize();

	ASSERT_EQ(0, ioctl(self->container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_IOMMU));
	ASSERT_EQ(0, ioctl(self->container, VFIO_IOMMU_ENABLE));
	memset(va, 1, size);
	ASSERT_EQ(0, __vfio_dma_map(self->container, va, 0, size));
	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	expect_all_to_user(_metadata, &self->vcpu, LIOBN);
	EXPECT_EQ(0U, entry_of(&self->vcpu, LIOBN, 0));
	EXPECT_EQ(0, __vfio_dma_unmap(self->container, 0, size));
	expect_all_to_user(_metadata, &self->vcpu, LIOBN);
}

/* A container belongs to the first process that uses it. */
static int take_container(void *arg)
{
	int container = *(int *)arg;

	tce_window_drop_default(container);
	return tce_window_create(container, SHIFT, WINDOW) ? 1 : 0;
}

/* Contract 4.8 */
TEST_F(container, defect10_of_another_mm)
{
	vfio_container_use_iommu(self->container);
	ASSERT_EQ(0, run_in_child(take_container, &self->container));
	kvm_vfio_add(self->dev, self->group);
	EXPECT_EQ(-EPERM,
		  __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGE_A(0) | TCE_RW));
}

/* Contract 4.9 */
TEST_F(container, without_a_window)
{
	vfio_container_use_iommu(self->container);
	tce_window_drop_default(self->container);
	kvm_vfio_add(self->dev, self->group);
	EXPECT_EQ(-EINVAL,
		  __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
}

int main(int argc, char **argv)
{
	nr_devices = vfio_test_init(devices, ARRAY_SIZE(devices), 2);
	tce_watch_regions();
	return test_harness_run(argc, argv);
}
#else
int main(void)
{
	ksft_exit_skip("POWER only\n");
}
#endif
