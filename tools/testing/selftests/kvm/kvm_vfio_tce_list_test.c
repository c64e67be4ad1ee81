// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens while a hypercall on a TCE table runs: its list changes; the
 * page of the list is missing until user space provides it (userfaultfd), and
 * nobody else may have to wait for that; the window behind the table is
 * removed.
 *
 * "defectN_" tests fail on kernels with defect N of the stock code.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_tce_test.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
/* Several emulated machines run at a time.  Whatever takes this long hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180
#define SECONDS		20

/* The first half of the memory is preregistered. */
#define REGION		(8 * MIB)
#define PAGES		(2 * MIB)
#define MISSING		(10 * MIB)
#define REST		(12 * MIB)
#define SLOT		0x10000000000UL

static struct vfio_test_device device;

FIXTURE(list)
{
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	struct ppc64_vcpu second;
	struct missing_page missing;
	struct tce_call call;
	struct vfio_before before;
	int dev;
	int group;
	int container;
	int table;
};

static void window_open(int container, void *memory)
{
	VFIO_ASSERT(!__vfio_memory_register(container, memory, REGION),
		    "register memory");
	tce_window_drop_default(container);
	VFIO_ASSERT(!tce_window_create(container, SHIFT, WINDOW), "not at 0");
}

FIXTURE_SETUP(list)
{
	vfio_bind(device.bdf);
	vfio_remember(&self->before);
	ppc64_vm_open(&self->vm, MEMORY);
	ppc64_vcpu_open(&self->vcpu, &self->vm);
	ppc64_vcpu_open(&self->second, &self->vm);
	self->dev = kvm_vfio_create(self->vm.fd);
	self->group = vfio_group_open(device.group);
	self->container = vfio_container_open();
	vfio_group_set_container(self->group, self->container);
	vfio_container_use_iommu(self->container);
	window_open(self->container, self->vm.memory);
	kvm_vfio_add(self->dev, self->group);
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	missing_page_open(&self->missing, self->vm.memory + MISSING);
	self->call = (struct tce_call){
		.vcpu = &self->vcpu,
		.nr = H_PUT_TCE_INDIRECT,
		.args = { LIOBN, 0, MISSING, 2 },
	};
}

FIXTURE_TEARDOWN(list)
{
	ppc64_vcpu_close(&self->vcpu);
	ppc64_vcpu_close(&self->second);
	vfio_close_all(&self->before);
	EXPECT_TRUE(vfio_nothing_left(&self->before));
}

static long mapped(int container, const struct ppc64_vm *vm)
{
	return tce_region_mapped(container, vm->memory, REGION);
}

static void fill_list(struct ppc64_vm *vm)
{
	unsigned int i;

	for (i = 0; i < TCE_LIST; i++)
		tce_list_set(vm, LIST, i, (PAGES + i * PAGE) | TCE_RW);
}

/*
 * Contract 4.25: An entry changes between a page and an address that is none. A
 * single reading finds one or the other. If the list is read twice, the return
 * value shows that both were found.
 */
TEST_F(list, defect3_list_is_read_once)
{
	unsigned int i, nr[2] = { 0 };
	struct tce_flip flip;
	long ret;

	fill_list(&self->vm);
	tce_flip_start(&flip, &self->vm, LIST, TCE_LIST - 1, PAGES | TCE_RW,
		       SLOT | TCE_RW);
	for (i = 0; i < 400; i++) {
		ret = h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, TCE_LIST);
		ASSERT_TRUE(ret == H_SUCCESS || ret == PPC64_TO_USER);
		nr[ret == H_SUCCESS]++;
	}
	tce_flip_stop(&flip);
	EXPECT_NE(0U, nr[0]);
	EXPECT_NE(0U, nr[1]);
}

static long entries_mapped(struct ppc64_vcpu *vcpu)
{
	uint64_t i, tce;
	long nr = 0;

	for (i = 0; i < TCE_LIST; i++) {
		VFIO_ASSERT(!h_get_tce(vcpu, LIOBN, i * PAGE, &tce), "H_GET_TCE");
		nr += !!(tce & TCE_RW);
	}
	return nr;
}

/*
 * Contract 4.29: An entry that cannot be replaced stays as it was, and is still
 * counted.
 */
TEST_F(list, defect15_entry_that_fails_stays)
{
	unsigned int i, nr[2] = { 0 };
	struct tce_flip flip;
	long ret;

	fill_list(&self->vm);
	tce_flip_start(&flip, &self->vm, LIST, TCE_LIST - 1, PAGES | TCE_RW,
		       REST | TCE_RW);
	for (i = 0; i < 400; i++) {
		ret = h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, TCE_LIST);
		nr[ret == H_SUCCESS]++;
	}
	tce_flip_stop(&flip);
	EXPECT_NE(0U, nr[0]);
	EXPECT_NE(0U, nr[1]);
	EXPECT_EQ(entries_mapped(&self->vcpu), mapped(self->container, &self->vm));
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, ENTRIES));
	EXPECT_EQ(0, mapped(self->container, &self->vm));
}

/*
 * A list that is missing
 */
static void wait_for_list(struct tce_call *call, struct missing_page *missing)
{
	missing_page_take(missing);
	tce_call_start(call);
	VFIO_ASSERT(missing_page_waited_for(missing, SECONDS * 1000),
		    "nobody reads the list");
}

static long bring_list(struct tce_call *call, struct missing_page *missing)
{
	static const uint64_t list[] = { PAGES | TCE_RW, (PAGES + PAGE) | TCE_READ };

	tce_missing_give(missing, list, 2);
	return tce_call_wait(call);
}

static void change_slots(void *arg)
{
	struct ppc64_vm *vm = arg;

	ppc64_vm_slot(vm, 1, 0, SLOT, vm->memory + PAGES, MIB);
	ppc64_vm_slot(vm, 1, 0, SLOT, vm->memory + PAGES, 0);
}

TEST_F(list, defect3_slots_change_meanwhile)
{
	struct tce_within slots = { .fn = change_slots, .arg = &self->vm };

	wait_for_list(&self->call, &self->missing);
	EXPECT_TRUE(tce_within(&slots, SECONDS));
	EXPECT_EQ(H_SUCCESS, bring_list(&self->call, &self->missing));
	tce_within_end(&slots);
	EXPECT_EQ(2, mapped(self->container, &self->vm));
}

/*
 * The locks of the VM, the mm, the container, the group and the device are all
 * free.
 */
static void do_everything(void *arg)
{
	struct _test_data_list *self = arg;
	int other = tce_table(self->vm.fd, LIOBN2, SHIFT, 0, ENTRIES);
	void *page = vfio_dma_buffer(PAGE);
	struct ppc64_vcpu third;

	close(other);
	munmap(page, PAGE);
	ppc64_vcpu_open(&third, &self->vm);
	ppc64_vcpu_close(&third);
	VFIO_ASSERT(h_put_tce(&self->second, LIOBN, 2 * PAGE, PAGES | TCE_RW) ==
		    H_SUCCESS, "another vCPU");
	VFIO_ASSERT(mapped(self->container, &self->vm) == 1, "mapped");
	kvm_vfio_del(self->dev, self->group);
	kvm_vfio_add(self->dev, self->group);
	tce_window_remove(self->container, 0);
	VFIO_ASSERT(!__vfio_memory_unregister(self->container, self->vm.memory, REGION),
		    "unregister");
	VFIO_ASSERT(!__vfio_memory_register(self->container, self->vm.memory, REGION),
		    "register");
	VFIO_ASSERT(!tce_window_create(self->container, SHIFT, WINDOW), "not at 0");
	VFIO_ASSERT(!__kvm_vfio_set_spapr_tce(self->dev, self->group, self->table),
		    "attach");
}

TEST_F(list, everything_goes_on_meanwhile)
{
	struct tce_within everything = { .fn = do_everything, .arg = self };

	wait_for_list(&self->call, &self->missing);
	EXPECT_TRUE(tce_within(&everything, SECONDS));
	EXPECT_EQ(H_SUCCESS, bring_list(&self->call, &self->missing));
	tce_within_end(&everything);
	EXPECT_EQ(2, mapped(self->container, &self->vm));
}

/* A table is gone when close() returns, even if a hypercall waits. */
static void close_device_and_group(void *arg)
{
	struct _test_data_list *self = arg;

	close(self->dev);
	vfio_group_unset_container(self->group);
	close(self->group);
	self->group = vfio_group_open(device.group);
	close(self->group);
	self->dev = kvm_vfio_create(self->vm.fd);
}

/* Contract 1.31 */
TEST_F(list, group_goes_meanwhile)
{
	struct tce_within closing = { .fn = close_device_and_group, .arg = self };

	wait_for_list(&self->call, &self->missing);
	EXPECT_TRUE(tce_within(&closing, SECONDS));
	EXPECT_EQ(H_SUCCESS, bring_list(&self->call, &self->missing));
	tce_within_end(&closing);
}

/* The page is never provided, and its slot is deleted as well. */
static void unmap_list(void *arg)
{
	struct _test_data_list *self = arg;

	ppc64_vm_slot(&self->vm, 1, 0, SLOT, self->missing.va, 0);
	VFIO_ASSERT(!munmap(self->missing.va, 2 * MIB), "munmap");
}

/* Contract 4.28 */
TEST_F(list, defect3_list_is_unmapped_meanwhile)
{
	struct tce_within unmapping = { .fn = unmap_list, .arg = self };
	struct ppc64_vm other = { .memory = vfio_dma_buffer(2 * MIB) };

	ppc64_vm_slot(&self->vm, 1, 0, SLOT, other.memory, 2 * MIB);
	self->call.args[2] = SLOT;
	missing_page_open(&self->missing, other.memory);
	wait_for_list(&self->call, &self->missing);
	EXPECT_TRUE(tce_within(&unmapping, SECONDS));
	/* This wakes the waiting threads. */
	close(self->missing.fd);
	EXPECT_EQ(PPC64_TO_USER, tce_call_wait(&self->call));
	tce_within_end(&unmapping);
}

/* A VMM is killed while its guest waits. */
static int wait_for_ever(void *arg)
{
	struct _test_data_list *self = arg;
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	struct missing_page missing;

	close(self->group);
	close(self->container);
	ppc64_vm_open(&vm, MEMORY);
	ppc64_vcpu_open(&vcpu, &vm);
	tce_table(vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	missing_page_open(&missing, vm.memory + MISSING);
	self->call.vcpu = &vcpu;
	wait_for_list(&self->call, &missing);
	raise(SIGKILL);
	return 0;
}

/* Contract 2.6 */
TEST_F(list, killed_meanwhile)
{
	EXPECT_EQ(256, run_in_child(wait_for_ever, self));
}

/*
 * The guest maps all the time while its window is removed.  Once the removal
 * has returned, nothing may be counted as mapped.
 */
struct putter {
	struct ppc64_vcpu *vcpu;
	unsigned long nr;
	bool stop;
	pthread_t thread;
};

static void *putter_thread(void *arg)
{
	struct putter *putter = arg;
	unsigned long i;

	for (i = 0; !__atomic_load_n(&putter->stop, __ATOMIC_RELAXED); i++) {
		h_put_tce(putter->vcpu, LIOBN, i % 64 * PAGE, PAGES | TCE_RW);
		__atomic_store_n(&putter->nr, i + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void putter_start(struct putter *putter)
{
	VFIO_ASSERT(!pthread_create(&putter->thread, NULL, putter_thread, putter),
		    "thread");
	while (__atomic_load_n(&putter->nr, __ATOMIC_RELAXED) < 64)
		;
}

static void putter_stop(struct putter *putter)
{
	__atomic_store_n(&putter->stop, true, __ATOMIC_RELAXED);
	pthread_join(putter->thread, NULL);
}

/* Contract 4.15 */
TEST_F(list, defect32_window_removed_while_entries_come)
{
	struct putter putter;
	unsigned int i;

	for (i = 0; i < 10; i++) {
		putter = (struct putter){ .vcpu = &self->vcpu };
		putter_start(&putter);
		tce_window_remove(self->container, 0);
		EXPECT_EQ(0, mapped(self->container, &self->vm));
		putter_stop(&putter);
		ASSERT_EQ(0, mapped(self->container, &self->vm));
		ASSERT_EQ(0U, tce_window_create(self->container, SHIFT, WINDOW));
		ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group,
						      self->table));
	}
}

int main(int argc, char **argv)
{
	vfio_test_init(&device, 1, 1);
	tce_watch_regions();
	return test_harness_run(argc, argv);
}
#else
int main(void)
{
	ksft_exit_skip("POWER only\n");
}
#endif
