// SPDX-License-Identifier: GPL-2.0-only
/*
 * What any guest, or its VMM, could do to its host: hypercalls and ioctls on which the
 * stock kernel crashes, or never returns.  On stock each test crashes the machine, so it
 * needs a machine of its own (-t NAME).  Here the host must not be affected.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <linux/if_packet.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_probe.h"
#include "vfio_tce_test.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
/* Several emulated machines run at a time.  Whatever takes this long hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	600

#define SMALL		512UL
#define WINDOW_ENTRIES	32768UL
#define HUGE		(16UL << 20)
#define RING		(128UL << 10)
#define BEHIND		(192UL << 10)
#define PAGES		(2 * PPC64_FREE)
#define MISSING		(3 * PPC64_FREE)

static struct vfio_test_device device;
static struct host_number huge_pages = { .path = "/proc/sys/vm/nr_hugepages" };

FIXTURE(crash)
{
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	int log;
	int dev;
	int group;
	int container;
	int table;
};

FIXTURE_SETUP(crash)
{
	self->log = kmsg_open();
	ppc64_vm_open(&self->vm, MEMORY);
	ppc64_vcpu_open(&self->vcpu, &self->vm);
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	self->dev = kvm_vfio_create(self->vm.fd);
	self->group = vfio_group_open(device.group);
	self->container = vfio_container_open();
	vfio_group_set_container(self->group, self->container);
	vfio_container_use_iommu(self->container);
	ASSERT_EQ(0, __vfio_memory_register(self->container, self->vm.memory, MEMORY));
	tce_window_drop_default(self->container);
	ASSERT_EQ(0U, tce_window_create(self->container, SHIFT, WINDOW));
	kvm_vfio_add(self->dev, self->group);
}

FIXTURE_TEARDOWN(crash)
{
	EXPECT_EQ(0U, kmsg_splats(self->log));
}

/* The VM and the host's own tables still work. */
static void expect_alive(struct __test_metadata *_metadata, struct ppc64_vcpu *vcpu)
{
	uint64_t tce;

	EXPECT_EQ(H_SUCCESS, h_put_tce(vcpu, LIOBN, PAGE, PAGES | TCE_RW));
	EXPECT_EQ(H_SUCCESS, h_get_tce(vcpu, LIOBN, PAGE, &tce));
	EXPECT_EQ(PAGES | TCE_RW, tce);
}

/*
 * MAP_DMA and UNMAP_DMA of more than the window.  Stock writes one entry behind the table.
 * The table is half of a larger block, so the memory there is most likely free.
 */
TEST_F(crash, defect42_map_behind_the_window)
{
	uint64_t last = (WINDOW_ENTRIES - 1) << SHIFT;
	void *va = self->vm.memory;

	tce_window_remove(self->container, 0);
	ASSERT_EQ(0U, tce_window_create(self->container, SHIFT, WINDOW_ENTRIES << SHIFT));
	EXPECT_EQ(0, __vfio_dma_map(self->container, va, last, PAGE));
	EXPECT_EQ(-EINVAL, __vfio_dma_unmap(self->container, last, 2 * PAGE));
	EXPECT_EQ(0, __vfio_dma_unmap(self->container, last, PAGE));
	EXPECT_EQ(-EINVAL, __vfio_dma_map(self->container, va, last, 2 * PAGE));
	EXPECT_EQ(-EINVAL, __vfio_dma_map(self->container, va, 1, PAGE));
	EXPECT_EQ(0, __vfio_memory_unregister(self->container, va, MEMORY));
}

/* In the view of a hardware table, address 0 would stand for an entry that is not mapped. */
TEST_F(crash, address_0_is_not_mapped)
{
	size_t size = getpagesize();
	void *va = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	ASSERT_EQ(NULL, va);
	ASSERT_EQ(0, __vfio_memory_register(self->container, va, size));
	EXPECT_EQ(-EINVAL, __vfio_dma_map(self->container, va, 0, PAGE));
	EXPECT_EQ(0, __vfio_memory_unregister(self->container, va, size));
	munmap(va, size);
}

/*
 * A huge page, and behind it a block of a packet socket, which is a large page of the kernel:
 * shifted by one page, so that at multiples of 64 KiB there is some page in its middle.
 * Below 4 GiB, huge pages have 256 MiB for themselves where one of them is.
 */
static uint8_t *shifted_pages(void)
{
	struct tpacket_req ring = {
		.tp_block_size = RING,
		.tp_block_nr = 1,
		.tp_frame_size = 4096,
		.tp_frame_nr = RING / 4096,
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	int rw = PROT_READ | PROT_WRITE, flags = MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	uint8_t *va = (uint8_t *)0x70000000UL - HUGE;

	VFIO_ASSERT(!__host_number_raise(&huge_pages, 1), "nr_hugepages");
	VFIO_ASSERT(mmap(va, HUGE, rw, flags | MAP_SHARED | MAP_HUGETLB, -1, 0) == va,
		    "no huge page");
	VFIO_ASSERT(mmap(va + HUGE, BEHIND, rw, flags | MAP_PRIVATE, -1, 0) == va + HUGE,
		    "no pages");
	VFIO_ASSERT(fd >= 0 && !setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)),
		    "no packet ring");
	VFIO_ASSERT(mmap(va + HUGE + getpagesize(), RING, rw, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    va + HUGE + getpagesize(), "the ring cannot be mapped");
	return va;
}

/* MAP_DMA of an entry of 64 KiB, of a large page from its middle on.  With the hash MMU. */
TEST_F(crash, defect43_piece_of_a_large_page)
{
	const size_t large = 65536;
	uint8_t *va;

	if (access("/sys/kernel/mm/hugepages/hugepages-16384kB", F_OK))
		SKIP(return, "no huge pages of 16 MiB");
	tce_window_remove(self->container, 0);
	ASSERT_EQ(0U, tce_window_create(self->container, 16, 512 * large));
	va = shifted_pages();
	ASSERT_EQ(0, __vfio_memory_register(self->container, va, HUGE + BEHIND));
	EXPECT_EQ(0, __vfio_dma_map(self->container, va, 0, large));
	EXPECT_EQ(-EPERM, __vfio_dma_map(self->container, va + HUGE + large, large, large));
	EXPECT_EQ(0, __vfio_dma_unmap(self->container, 0, large));
	EXPECT_EQ(0, __vfio_memory_unregister(self->container, va, HUGE + BEHIND));
	munmap(va, HUGE);
	host_number_restore(&huge_pages);
}

/*
 * Contract 4.23: The request begins at the last entry: 511 of its 512 entries
 * are behind the table.
 */
TEST_F(crash, defect1_list_behind_the_table)
{
	unsigned int i;

	for (i = 0; i < TCE_LIST; i++)
		tce_list_set(&self->vm, LIST, i, (PAGES + i * PAGE) | TCE_RW);
	EXPECT_EQ(H_PARAMETER,
		  h_put_tce_indirect(&self->vcpu, LIOBN, LAST, LIST, TCE_LIST));
	expect_alive(_metadata, &self->vcpu);
}

/* Contract 4.23 */
TEST_F(crash, defect1_stuff_behind_the_table)
{
	EXPECT_EQ(H_PARAMETER,
		  h_stuff_tce(&self->vcpu, LIOBN, LAST, 0xdead0000UL, 1UL << 30));
	EXPECT_EQ(H_PARAMETER,
		  h_stuff_tce(&self->vcpu, LIOBN, LAST, 0xdead0000UL, ~0UL));
	expect_alive(_metadata, &self->vcpu);
}

/*
 * Contract 4.23: An address that is no multiple of a page hits a BUG_ON() of
 * the platform's code.
 */
TEST_F(crash, defect2_misaligned_poison_in_a_list)
{
	uint64_t tce;

	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	tce_list_set(&self->vm, LIST, 0, PAGES | TCE_RW);
	tce_list_set(&self->vm, LIST, 1, PAGES | 0x10);
	EXPECT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, 2));
	EXPECT_EQ(H_SUCCESS, h_get_tce(&self->vcpu, LIOBN, PAGE, &tce));
	EXPECT_EQ(PAGES | 0x10, tce);
	expect_alive(_metadata, &self->vcpu);
}

/*
 * Contract 4.25: A list that changes while the kernel reads it: the first
 * reading finds an entry that is allowed, a second one would find a misaligned
 * one.
 */
TEST_F(crash, defect2_list_changes_while_it_is_read)
{
	unsigned int i, nr[2] = { 0 };
	struct tce_flip flip;
	long ret;

	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	for (i = 0; i < TCE_LIST; i++)
		tce_list_set(&self->vm, LIST, i, (PAGES + i * PAGE) | TCE_RW);
	tce_flip_start(&flip, &self->vm, LIST, TCE_LIST - 1, PAGES | TCE_RW,
		       PAGES | 0x10 | TCE_RW);
	for (i = 0; i < 100; i++) {
		ret = h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, TCE_LIST);
		ASSERT_TRUE(ret == H_SUCCESS || ret == PPC64_TO_USER);
		nr[ret == H_SUCCESS]++;
	}
	tce_flip_stop(&flip);
	EXPECT_NE(0U, nr[0]);
	EXPECT_NE(0U, nr[1]);
	expect_alive(_metadata, &self->vcpu);
}

/* Starts a hypercall of which the list is missing; it waits for that. */
static void wait_for_list(struct tce_call *call, struct ppc64_vcpu *vcpu,
			  struct missing_page *missing)
{
	*call = (struct tce_call){
		.vcpu = vcpu,
		.nr = H_PUT_TCE_INDIRECT,
		.args = { LIOBN, 0, MISSING, 2 },
	};
	missing_page_open(missing, vcpu->vm->memory + MISSING);
	missing_page_take(missing);
	tce_call_start(call);
	VFIO_ASSERT(missing_page_waited_for(missing, 60000), "nobody reads the list");
}

/* Contract 4.17: A hypercall that had to wait finds that its table is gone. */
TEST_F(crash, defect3_table_closed_while_the_list_is_missing)
{
	struct missing_page missing;
	struct tce_call call;

	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	wait_for_list(&call, &self->vcpu, &missing);
	close(self->table);
	tce_rcu_wait();
	tce_missing_give(&missing, NULL, 0);
	EXPECT_EQ(PPC64_TO_USER, tce_call_wait(&call));
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	expect_alive(_metadata, &self->vcpu);
}

/* Another table has the same LIOBN now: the hypercall must use that one. */
TEST_F(crash, table_replaced_while_the_list_is_missing)
{
	struct missing_page missing;
	struct tce_call call;

	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	wait_for_list(&call, &self->vcpu, &missing);
	close(self->table);
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, 1);
	tce_missing_give(&missing, NULL, 0);
	EXPECT_EQ(H_PARAMETER, tce_call_wait(&call));
}

/* DEL of a group walks the VM's tables while they are closed. */
#define MANY		64

struct race {
	int container;
	int dev;
	int group;
	int tables[MANY];
	unsigned int nr;
	unsigned int go;
	int64_t wait;		/* ns; below 0, the other one waits */
	int64_t step;
	bool too_long;
	struct ppc64_vcpu *vcpu;
	cpu_set_t cpus;
	int wake;
	bool awake;
	bool over;
};

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000UL + time.tv_nsec;
}

/* Spins instead of sleeping: there is no race unless the thread has a CPU.  Not if below 0. */
static void spin(int64_t ns)
{
	int64_t end = now() + ns;

	while ((int64_t)now() < end)
		;
}

static void meet(struct race *race)
{
	__atomic_add_fetch(&race->go, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&race->go, __ATOMIC_SEQ_CST) < 2)
		;
}

/* All fds are neighbours, so that one call can close them. */
static void open_tables(struct race *race, int vm)
{
	unsigned int i;

	race->go = 0;
	race->awake = false;
	race->over = false;
	for (i = 0; i < race->nr; i++) {
		race->tables[i] = tce_table(vm, LIOBN + 1 + i, SHIFT, 0, 1);
		VFIO_ASSERT(race->tables[i] == race->tables[0] + (int)i,
			    "fds are not in a row");
		VFIO_ASSERT(!__kvm_vfio_set_spapr_tce(race->dev, race->group,
						      race->tables[i]), "attach");
	}
}

static void close_tables(const struct race *race)
{
	VFIO_ASSERT(!close_range(race->tables[0], race->tables[race->nr - 1], 0),
		    "close_range");
}

static void *close_at_once(void *arg)
{
	struct race *race = arg;

	meet(race);
	close_tables(race);
	return NULL;
}

/*
 * Contract 4.17: DEL at some time while the tables are closed, the newest
 * first, in DEL's order
 */
TEST_F(crash, defect5_del_meets_close)
{
	struct race race = {
		.dev = self->dev,
		.group = self->group,
		.nr = 16,
	};
	uint64_t start, length;
	pthread_t thread;
	unsigned int i;

	open_tables(&race, self->vm.fd);
	start = now();
	close_tables(&race);
	length = now() - start;
	for (i = 0; i < 400; i++) {
		open_tables(&race, self->vm.fd);
		ASSERT_EQ(0, pthread_create(&thread, NULL, close_at_once, &race));
		meet(&race);
		spin(rand() % length);
		kvm_vfio_del(self->dev, self->group);
		pthread_join(thread, NULL);
		kvm_vfio_add(self->dev, self->group);
	}
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	expect_alive(_metadata, &self->vcpu);
}

static void *del_when_met(void *arg)
{
	struct race *race = arg;

	VFIO_ASSERT(!pthread_setaffinity_np(pthread_self(), sizeof(race->cpus),
					    &race->cpus), "affinity");
	meet(race);
	kvm_vfio_del(race->dev, race->group);
	return NULL;
}

/*
 * Takes the CPU from DEL, or a hypercall, at any point, and keeps it until everything is
 * freed.
 */
static void *close_in_between(void *arg)
{
	struct sched_param param = { .sched_priority = 1 };
	struct race *race = arg;
	uint64_t value;

	VFIO_ASSERT(!pthread_setaffinity_np(pthread_self(), sizeof(race->cpus),
					    &race->cpus), "affinity");
	VFIO_ASSERT(!pthread_setschedparam(pthread_self(), SCHED_FIFO, &param),
		    "SCHED_FIFO");
	VFIO_ASSERT(read(race->wake, &value, sizeof(value)) == sizeof(value), "wake");
	if (race->nr)
		close_tables(race);
	__atomic_store_n(&race->awake, true, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&race->over, __ATOMIC_SEQ_CST))
		;
	return NULL;
}

static uint64_t time_of_del(struct race *race, int vm)
{
	uint64_t start, length;

	open_tables(race, vm);
	start = now();
	kvm_vfio_del(race->dev, race->group);
	length = now() - start;
	close_tables(race);
	kvm_vfio_add(race->dev, race->group);
	return length;
}

static void del_in_between(struct race *race, uint64_t wait)
{
	pthread_t del, closer;
	uint64_t value = 1;

	VFIO_ASSERT(!pthread_create(&closer, NULL, close_in_between, race) &&
		    !pthread_create(&del, NULL, del_when_met, race), "threads");
	meet(race);
	spin(wait);
	VFIO_ASSERT(write(race->wake, &value, sizeof(value)) == sizeof(value), "wake");
	while (!__atomic_load_n(&race->awake, __ATOMIC_SEQ_CST))
		;
	tce_rcu_wait();
	__atomic_store_n(&race->over, true, __ATOMIC_SEQ_CST);
	pthread_join(closer, NULL);
	pthread_join(del, NULL);
}

/* KVM_VFIO_TIMES=N: more tries for kernels that must crash here */
static unsigned int times(void)
{
	const char *value = getenv("KVM_VFIO_TIMES");

	return value ? atoi(value) : 1;
}

/*
 * Contract 4.17: A walk that lets others run in between continues at a freed
 * table.
 */
TEST_F(crash, defect6_tables_closed_during_del)
{
	struct race race = {
		.dev = self->dev,
		.group = self->group,
		.nr = MANY,
	};
	uint64_t length;
	cpu_set_t own;
	unsigned int i;

	CPU_ZERO(&race.cpus);
	CPU_SET(0, &race.cpus);
	CPU_ZERO(&own);
	CPU_SET(1, &own);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(own), &own));
	race.wake = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, race.wake);
	length = time_of_del(&race, self->vm.fd);
	for (i = 0; i < 60 * times(); i++) {
		open_tables(&race, self->vm.fd);
		del_in_between(&race, rand() % (2 * length));
		kvm_vfio_add(self->dev, self->group);
	}
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	expect_alive(_metadata, &self->vcpu);
}

/*
 * Who of two waits next after they met, and how long, so that each comes first at times: on a
 * host that has much else to do, one of the two CPUs can be late by milliseconds.  Looks for
 * the border with longer and longer steps, then stays near it.
 */
static void next_wait(struct race *race, bool too_long)
{
	const int64_t least = 5000, most = 10000000;

	race->step = too_long == race->too_long ? 2 * race->step : race->step / 2;
	if (race->step < least)
		race->step = least;
	if (race->step > most)
		race->step = most;
	race->too_long = too_long;
	race->wait += too_long ? -race->step : race->step;
}

static void *remove_when_met(void *arg)
{
	struct race *race = arg;

	meet(race);
	spin(-race->wait);
	return (void *)(long)__tce_window_remove(race->container, 0);
}

/*
 * Contract 4.15: A window is removed just when SET_SPAPR_TCE has found it. The
 * function that takes the reference is made slow; nothing may free the window
 * between finding it and that reference.
 */
TEST_F(crash, defect32_window_removed_during_set)
{
	struct race race = { .container = self->container };
	unsigned int i, nr[2] = { 0 }, wrong = 0;
	pthread_t thread;
	void *removed;
	long ret;
	int set;

	/* A small window, which is quickly removed */
	close(self->table);
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, SMALL);
	tce_window_remove(self->container, 0);
	ASSERT_EQ(0U, tce_window_create(self->container, SHIFT, SMALL << SHIFT));
	ASSERT_TRUE(tce_slow_down(VFIO_PROBE_AT("iommu_tce_table_get")));
	for (i = 0; i < 150 * times(); i++) {
		race.go = 0;
		ASSERT_EQ(0, pthread_create(&thread, NULL, remove_when_met, &race));
		meet(&race);
		spin(race.wait);
		set = __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table);
		ASSERT_TRUE(!set || set == -EINVAL);
		nr[!set]++;
		/*
		 * If SET found the window, the removal was too late; if not,
		 * too early.
		 */
		next_wait(&race, set);
		pthread_join(thread, &removed);
		ASSERT_EQ(NULL, removed);
		ret = h_put_tce(&self->vcpu, LIOBN, 0, PAGES | TCE_RW);
		wrong += ret != (set ? H_SUCCESS : PPC64_TO_USER);
		kvm_vfio_del(self->dev, self->group);
		kvm_vfio_add(self->dev, self->group);
		ASSERT_EQ(0U, tce_window_create(self->container, SHIFT, SMALL << SHIFT));
	}
	EXPECT_NE(0U, nr[0]);
	EXPECT_NE(0U, nr[1]);
	EXPECT_EQ(0U, wrong);
	tce_normal_speed();
}

/* A small region of its own, which is there again for each try */
#define REGION		(64 * KIB)

/* KVM_RUN of 6.12 waits for RCU when another thread runs the vCPU: that is the first. */
static void *put_when_met(void *arg)
{
	struct race *race = arg;

	VFIO_ASSERT(!pthread_setaffinity_np(pthread_self(), sizeof(race->cpus),
					    &race->cpus), "affinity");
	VFIO_ASSERT(h_put_tce(race->vcpu, LIOBN, 0, 0) == H_SUCCESS, "unmap");
	meet(race);
	spin(-race->wait);
	return (void *)h_put_tce(race->vcpu, LIOBN, 0, PAGES | TCE_RW);
}

/*
 * Contract 4.29: A region is unregistered, and freed, just when a hypercall has found it.
 * The function that counts a mapping in the region is made slow.  That only matters
 * where the kernel is preemptible, as that of power9-debug is.  What is mapped first stays
 * registered (defect 16).
 */
TEST_F(crash, defect4_region_unregistered_while_it_is_used)
{
	void *va = self->vm.memory + PAGES, *ret;
	struct race race = { .vcpu = &self->vcpu };
	unsigned int i, nr[2] = { 0 };
	pthread_t put, other;
	uint64_t value = 1;
	cpu_set_t own;
	int err;

	CPU_ZERO(&race.cpus);
	CPU_SET(0, &race.cpus);
	CPU_ZERO(&own);
	CPU_SET(1, &own);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(own), &own));
	race.wake = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, race.wake);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	ASSERT_EQ(0, __vfio_memory_unregister(self->container, self->vm.memory, MEMORY));
	ASSERT_EQ(0, __vfio_memory_register(self->container, va, REGION));
	ASSERT_TRUE(tce_slow_down(VFIO_PROBE_AT_NO_TOC("mm_iommu_mapped_inc")));
	for (i = 0; i < 60 * times(); i++) {
		race.go = 0;
		race.awake = false;
		race.over = false;
		ASSERT_EQ(0, pthread_create(&other, NULL, close_in_between, &race));
		ASSERT_EQ(0, pthread_create(&put, NULL, put_when_met, &race));
		meet(&race);
		spin(race.wait);
		ASSERT_EQ((ssize_t)sizeof(value), write(race.wake, &value, sizeof(value)));
		while (!__atomic_load_n(&race.awake, __ATOMIC_SEQ_CST))
			;
		err = __vfio_memory_unregister(self->container, va, REGION);
		tce_rcu_wait();
		__atomic_store_n(&race.over, true, __ATOMIC_SEQ_CST);
		pthread_join(put, &ret);
		pthread_join(other, NULL);
		ASSERT_TRUE(!err || err == -EBUSY);
		ASSERT_EQ(err ? H_SUCCESS : PPC64_TO_USER, (long)ret);
		nr[!err]++;
		next_wait(&race, err);
		if (!err)
			ASSERT_EQ(0, __vfio_memory_register(self->container, va, REGION));
	}
	EXPECT_NE(0U, nr[0]);
	EXPECT_NE(0U, nr[1]);
	tce_normal_speed();
	expect_alive(_metadata, &self->vcpu);
	/* No try has left the region counted. */
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, 2));
	EXPECT_EQ(0, __vfio_memory_unregister(self->container, va, REGION));
}

int main(int argc, char **argv)
{
	vfio_test_init(&device, 1, 1);
	return test_harness_run(argc, argv);
}
#else
int main(void)
{
	ksft_exit_skip("POWER only\n");
}
#endif
