// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contract 3: what the KVM-VFIO device promises when a second VM holds the same
 * group, in the same process or in another one that it was handed over to.
 *
 * Kprobe events in a trace instance show which VM a VFIO driver would see (VFIO
 * looks it up at the first open of a device), and count what KVM is told about
 * its assigned devices (x86).  Kernels up to 6.x count these: there, after every
 * test, kvm_arch_start_assignment() and kvm_arch_end_assignment() have been called
 * once for each file that was added.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_hold.h"
#include "vfio_probe.h"
#include "vfio_util.h"

/* Several emulated machines run at a time.  Whatever takes this long hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

static struct vfio_test_device devices[8];
static unsigned int nr_devices;

/*
 * Probes
 */
enum {
	PROBE_CREATE,		/* a KVM-VFIO device, for which VM */
	PROBE_OPEN,		/* first open of a VFIO device: it gets this VM */
	PROBE_START,
	PROBE_END,
	PROBE_DEVICE,		/* can the device be made coherent? */
	PROBE_CONTAINER,	/* a question to the container, or another ioctl of it */
	PROBE_MAX
};

static struct vfio_probe probes[PROBE_MAX] = {
	/* The second pointer in struct kvm_device is the VM. */
	[PROBE_CREATE] = VFIO_PROBE("create", VFIO_PROBE_AT("kvm_vfio_create")
				    " kvm=+8(" VFIO_PROBE_ARG1 "):x64"),
	[PROBE_OPEN] = VFIO_PROBE("open", VFIO_PROBE_AT("vfio_device_get_kvm_safe")
				  " kvm=" VFIO_PROBE_ARG2 ":x64"),
#ifdef __x86_64__
	[PROBE_START] = VFIO_PROBE_GONE_IN(7, "start",
					   "kvm_arch_start_assignment kvm=$arg1:x64"),
	[PROBE_END] = VFIO_PROBE_GONE_IN(7, "end",
					 "kvm_arch_end_assignment kvm=$arg1:x64"),
	[PROBE_DEVICE] = VFIO_PROBE("device", "device_iommu_capable"),
	[PROBE_CONTAINER] = VFIO_PROBE("container", "vfio_iommu_type1_ioctl"),
#endif
};

/* Calls for any VM since the trace was cleared, and the VM of the last one */
static unsigned int trace_last(unsigned int probe, uint64_t *kvm)
{
	return vfio_trace_count(&probes[probe], VFIO_PROBE_ANY, kvm);
}

static unsigned int trace_count(unsigned int probe)
{
	return trace_last(probe, NULL);
}

/* What every test starts with, and what must be true after it */
struct start {
	struct vfio_before before;
	unsigned long hits[PROBE_MAX];
};

/* KVM was told about the start, or the end, of an assignment for each ADD. */
static bool assignments(const struct start *start, unsigned int probe)
{
	if (!probes[probe].is_set)
		return true;
	return answer(probes[probe].name, *nr_adds,
		      vfio_probe_hits(&probes[probe]) - start->hits[probe]);
}

static void start(struct start *start)
{
	unsigned int i;

	warn_once_rearm();
	vfio_remember(&start->before);
	*nr_adds = 0;
	for (i = 0; i < PROBE_MAX; i++)
		if (probes[i].is_set)
			start->hits[i] = vfio_probe_hits(&probes[i]);
	vfio_trace_clear();
}

static bool is_clean(struct start *start)
{
	bool ok = true;
	unsigned int i;

	vfio_close_all(&start->before);
	for (i = 0; i < nr_devices; i++)
		ok &= vfio_group_is_free(devices[i].group);
	ok &= assignments(start, PROBE_START);
	ok &= assignments(start, PROBE_END);
	ok &= vfio_nothing_left(&start->before);
	return ok;
}

/*
 * Contract 3: one group, two VMs
 */
struct holder {
	int vm;
	int dev;
	uint64_t kvm;		/* the VM's address */
};

/*
 * Makes a KVM-VFIO device for a VM, and learns the VM's address in the kernel.
 */
static int holder_create_device(struct holder *holder)
{
	int dev = kvm_vfio_create(holder->vm);

	VFIO_ASSERT(trace_last(PROBE_CREATE, &holder->kvm),
		    "KVM_CREATE_DEVICE is not traced");
	return dev;
}

static void holder_open(struct holder *holder)
{
	holder->vm = kvm_vm_open();
	holder->dev = holder_create_device(holder);
}

/*
 * The VM that a driver sees when the device is opened now.  The device stays
 * open.
 */
static int open_device(int group, uint64_t *kvm)
{
	unsigned int before = trace_count(PROBE_OPEN);
	int fd = vfio_group_device(group, devices[0].bdf);

	if (trace_last(PROBE_OPEN, kvm) == before)
		*kvm = VFIO_PROBE_ANY;	/* not the first open */
	return fd;
}

static uint64_t seen_by_driver(int group)
{
	uint64_t kvm;

	close(open_device(group, &kvm));
	return kvm;
}

FIXTURE(two_vms)
{
	struct start start;
	int container;
	int group;
};

FIXTURE_SETUP(two_vms)
{
	start(&self->start);
	self->container = vfio_container_open();
	self->group = vfio_group_open(devices[0].group);
	vfio_group_set_container(self->group, self->container);
	vfio_container_use_iommu(self->container);
}

FIXTURE_TEARDOWN(two_vms)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/*
 * Contract 3.2, 3.5: Drivers see the newest holder's VM, then the one before,
 * then none.
 */
TEST_F(two_vms, defect11_newest_holder_is_seen)
{
	struct holder holder[3];
	unsigned int i;

	EXPECT_EQ(0U, seen_by_driver(self->group));
	for (i = 0; i < 3; i++) {
		holder_open(&holder[i]);
		hold(holder[i].dev, self->group);
		EXPECT_EQ(holder[i].kvm, seen_by_driver(self->group));
	}
	kvm_vfio_del(holder[1].dev, self->group);
	EXPECT_EQ(holder[2].kvm, seen_by_driver(self->group));
	kvm_vfio_del(holder[2].dev, self->group);
	EXPECT_EQ(holder[0].kvm, seen_by_driver(self->group));

	/* Adding again makes it the newest. */
	hold(holder[1].dev, self->group);
	hold(holder[2].dev, self->group);
	kvm_vfio_del(holder[0].dev, self->group);
	hold(holder[0].dev, self->group);
	EXPECT_EQ(holder[0].kvm, seen_by_driver(self->group));
	close(holder[0].dev);
	EXPECT_EQ(holder[2].kvm, seen_by_driver(self->group));
	close(holder[2].dev);
	EXPECT_EQ(holder[1].kvm, seen_by_driver(self->group));
	close(holder[1].dev);
	EXPECT_EQ(0U, seen_by_driver(self->group));
}

/* How a holder releases the group */
enum {
	LET_GO_DEL,
	LET_GO_CLOSE,		/* KVM-VFIO fd, then VM */
	LET_GO_CLOSE_VM_FIRST,
	LET_GO_MAX
};

static void let_go(struct holder *holder, int group, unsigned int way)
{
	if (way == LET_GO_DEL)
		kvm_vfio_del(holder->dev, group);
	if (way == LET_GO_CLOSE_VM_FIRST)
		close(holder->vm);
	close(holder->dev);
	if (way != LET_GO_CLOSE_VM_FIRST)
		close(holder->vm);
}

/*
 * Contract 3.1, 3.4, 3.6: Either holder releases first, in every way. Then
 * drivers see the other one's VM, never the first one's, and UNSET is EBUSY
 * until both have released.
 */
TEST_F(two_vms, defect11_any_release_order)
{
	struct holder holder[2];
	unsigned int n, first;
	int vm;

	for (n = 0; n < 2 * LET_GO_MAX; n++) {
		holder_open(&holder[0]);
		holder_open(&holder[1]);
		hold(holder[0].dev, self->group);
		hold(holder[1].dev, self->group);
		first = n % 2;
		vm = holder[first].vm;
		let_go(&holder[first], self->group, n / 2);
		EXPECT_FALSE(vm_is_there(vm));
		EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
		EXPECT_EQ(holder[!first].kvm, seen_by_driver(self->group));

		vm = holder[!first].vm;
		let_go(&holder[!first], self->group, n / 2);
		EXPECT_FALSE(vm_is_there(vm));
		EXPECT_EQ(0U, seen_by_driver(self->group));
		vfio_group_unset_container(self->group);
		vfio_group_set_container(self->group, self->container);
		vfio_container_use_iommu(self->container);
	}
}

/*
 * Contract 3.1: UNSET is EBUSY until the last of three holders releases, in any
 * order.
 */
TEST_F(two_vms, defect9_unset_busy_until_last)
{
	struct holder holder[4];
	unsigned int order[4], n, i;

	for (i = 0; i < 4; i++)
		holder_open(&holder[i]);
	for (n = 0; n < ORDERS_OF_4; n++) {
		for (i = 0; i < 4; i++)
			hold(holder[i].dev, self->group);
		nth_order(n, order, 4);
		for (i = 0; i < 4; i++) {
			ASSERT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
			kvm_vfio_del(holder[order[i]].dev, self->group);
		}
		ASSERT_EQ(0, __vfio_group_unset_container(self->group));
		vfio_group_set_container(self->group, self->container);
		vfio_container_use_iommu(self->container);
	}
}

/*
 * Contract 3.3: An open device keeps, and pins, the VM that it was opened with.
 */
TEST_F(two_vms, defect11_open_device_keeps_its_vm)
{
	struct holder old, new;
	int device, second;
	uint64_t kvm;

	holder_open(&old);
	holder_open(&new);
	hold(old.dev, self->group);
	device = open_device(self->group, &kvm);
	EXPECT_EQ(old.kvm, kvm);
	hold(new.dev, self->group);
	let_go(&old, self->group, LET_GO_DEL);
	EXPECT_TRUE(vm_is_there(old.vm));
	second = open_device(self->group, &kvm);
	EXPECT_EQ(VFIO_PROBE_ANY, kvm);
	close(device);
	EXPECT_TRUE(vm_is_there(old.vm));
	close(second);
	EXPECT_FALSE(vm_is_there(old.vm));
	EXPECT_EQ(new.kvm, seen_by_driver(self->group));

	/* The same for a device whose VM has no other user */
	device = open_device(self->group, &kvm);
	EXPECT_EQ(new.kvm, kvm);
	let_go(&new, self->group, LET_GO_CLOSE_VM_FIRST);
	EXPECT_TRUE(vm_is_there(new.vm));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
	close(device);
	EXPECT_FALSE(vm_is_there(new.vm));
	EXPECT_EQ(0U, seen_by_driver(self->group));
}

/*
 * Contract 3.4: QEMU 11 gives its VM a new fd: new device, re-add, all with
 * devices open.
 */
TEST_F(two_vms, defect11_readd_with_device_open)
{
	struct holder holder, other;
	uint64_t kvm;
	int device;

	holder_open(&holder);
	holder_open(&other);
	hold(holder.dev, self->group);
	device = open_device(self->group, &kvm);
	EXPECT_EQ(holder.kvm, kvm);
	close(holder.dev);
	hold(other.dev, self->group);
	holder.dev = holder_create_device(&holder);
	EXPECT_EQ(0, __hold(holder.dev, self->group));
	close(device);
	EXPECT_EQ(holder.kvm, seen_by_driver(self->group));
	close(other.dev);
	EXPECT_EQ(holder.kvm, seen_by_driver(self->group));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
}

#ifdef __x86_64__	/* other architectures have no such call */
/* Calls with this VM, if the kernel is told of assignments at all */
static bool told(unsigned int probe, uint64_t kvm, unsigned int expected)
{
	return !probes[probe].is_set ||
	       answer(probes[probe].name, expected,
		      vfio_trace_count(&probes[probe], kvm, NULL));
}

/*
 * Contract 1.14: KVM is told about the start and the end of an assignment once
 * for each file and VM, whatever else is refused or repeated. From Linux 7 on
 * it is not told, and only the answers are judged.
 */
TEST_F(two_vms, assignments_pair_up)
{
	int other = vfio_group_open(devices[1].group);
	struct holder holder[2];
	unsigned int i;

	vfio_group_set_container(other, self->container);
	for (i = 0; i < 2; i++) {
		holder_open(&holder[i]);
		hold(holder[i].dev, self->group);
		EXPECT_EQ(-EEXIST, __hold(holder[i].dev, self->group));
		EXPECT_EQ(-EINVAL, __hold(holder[i].dev, self->container));
		EXPECT_TRUE(told(PROBE_START, holder[i].kvm, 1));
		EXPECT_TRUE(told(PROBE_END, holder[i].kvm, 0));
		hold(holder[i].dev, other);
		EXPECT_TRUE(told(PROBE_START, holder[i].kvm, 2));
	}
	kvm_vfio_del(holder[0].dev, self->group);
	EXPECT_TRUE(told(PROBE_END, holder[0].kvm, 1));
	EXPECT_TRUE(told(PROBE_END, holder[1].kvm, 0));
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(holder[0].dev, self->group));
	EXPECT_TRUE(told(PROBE_END, holder[0].kvm, 1));
	for (i = 0; i < 2; i++) {
		close(holder[i].dev);
		EXPECT_TRUE(told(PROBE_START, holder[i].kvm, 2));
		EXPECT_TRUE(told(PROBE_END, holder[i].kvm, 2));
	}
}

static unsigned long coherency_questions(void)
{
	return vfio_probe_hits(&probes[PROBE_DEVICE]) +
	       vfio_probe_hits(&probes[PROBE_CONTAINER]);
}

/*
 * Contract 1.16, 6.2: The questions asked at an ADD do not depend on what is
 * held already, and a DEL asks none. (Where DMA is not coherent, stock finds
 * that out early.)
 */
TEST_F(two_vms, defect29_asked_once_for_each_file)
{
	int other = vfio_group_open(devices[1].group);
	unsigned long before, first, second;
	struct holder holder;

	vfio_group_set_container(other, self->container);
	holder_open(&holder);
	before = coherency_questions();
	hold(holder.dev, self->group);
	first = coherency_questions() - before;
	hold(holder.dev, other);
	second = coherency_questions() - before - first;
	EXPECT_NE(0UL, first);
	EXPECT_EQ(first, second);
	before = coherency_questions();
	kvm_vfio_del(holder.dev, self->group);
	kvm_vfio_del(holder.dev, other);
	EXPECT_EQ(before, coherency_questions());
}
#endif

/*
 * QEMU's hand-over to a new process
 */
static void tell(int sock)
{
	VFIO_ASSERT(write(sock, "", 1) == 1, "write to the other process");
}

static void await(int sock)
{
	char byte;

	VFIO_ASSERT(read(sock, &byte, 1) == 1, "the other process is gone");
}

/* The new QEMU.  An exit code other than 0 says what went wrong. */
static int new_process(int sock)
{
	struct holder holder;
	int group, device;
	uint64_t kvm;

	/*
	 * Forked before anything is open: it shares only what the old process
	 * sends.
	 */
	VFIO_ASSERT(dup2(sock, 3) == 3, "dup2");
	close_range(4, ~0U, 0);
	sock = 3;
	await(sock);
	group = receive_fd(sock);
	device = receive_fd(sock);

	holder_open(&holder);
	hold(holder.dev, group);
	tell(sock);
	await(sock);

	/* The old process has released the group. */
	if (__vfio_group_unset_container(group) != -EBUSY)
		return 2;
	close(holder.dev);
	holder.dev = holder_create_device(&holder);
	hold(holder.dev, group);
	close(device);
	if (__vfio_group_unset_container(group) != -EBUSY)
		return 3;
	device = open_device(group, &kvm);
	if (kvm != holder.kvm)
		return 4;
	kvm_vfio_del(holder.dev, group);
	close(device);
	return __vfio_group_unset_container(group) ? 5 : 0;
}

FIXTURE(hand_over)
{
	struct start start;
	pid_t pid;
	int sock;
};

FIXTURE_VARIANT(hand_over)
{
	unsigned int way;
};

FIXTURE_VARIANT_ADD(hand_over, del)
{
	.way = LET_GO_DEL,
};

FIXTURE_VARIANT_ADD(hand_over, close)
{
	.way = LET_GO_CLOSE,
};

FIXTURE_VARIANT_ADD(hand_over, close_vm_first)
{
	.way = LET_GO_CLOSE_VM_FIRST,
};

FIXTURE_SETUP(hand_over)
{
	int socks[2];

	start(&self->start);
	VFIO_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks),
		    "socketpair");
	self->pid = fork();
	VFIO_ASSERT(self->pid >= 0, "fork");
	if (!self->pid)
		_exit(new_process(socks[1]));
	close(socks[1]);
	self->sock = socks[0];
}

FIXTURE_TEARDOWN(hand_over)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/* Contract 3.4 */
TEST_F(hand_over, defect11_old_lets_go_late)
{
	struct holder holder;
	int group, device, status;
	uint64_t kvm;

	holder_open(&holder);
	group = group_with_container(&devices[0]);
	hold(holder.dev, group);
	device = open_device(group, &kvm);
	EXPECT_EQ(holder.kvm, kvm);

	tell(self->sock);
	send_fd(self->sock, group);
	send_fd(self->sock, device);
	await(self->sock);
	close(device);
	let_go(&holder, group, variant->way);
	/* The device was opened with this VM, and still is open. */
	EXPECT_TRUE(vm_is_there(holder.vm));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(group));
	close(group);
	tell(self->sock);

	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(0, WTERMSIG(status));
	EXPECT_FALSE(vm_is_there(holder.vm));
}

int main(int argc, char **argv)
{
	int ret;

	nr_devices = vfio_test_init(devices, ARRAY_SIZE(devices), 2);
	hold_init();
	debugfs_mount();
	vfio_probes_set(probes, PROBE_MAX);
	ret = test_harness_run(argc, argv);
	vfio_probes_remove();
	return ret;
}
