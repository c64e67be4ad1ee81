// SPDX-License-Identifier: GPL-2.0-only
/*
 * External users of VFIO beside KVM, and kinds of containers that the emulated
 * machines do not have.  The lab module (tests/lab/module) provides both: it is
 * a second external user, and an IOMMU driver that does what a test sets.
 *
 *	tests/lab/run --module kvm_vfio_lab -f kvm_vfio_lab_test -- ...
 *
 * KVM_VFIO_MODULES=DIR names the folder of kvm_vfio_lab.ko (default: where a lab
 * machine has it).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "kvm_vfio_lab.h"
#include "vfio_probe.h"
#include "vfio_tce_test.h"
#include "vfio_util.h"

#define MANY_USERS	100
#define RCU_ROUNDS	10
#define RCU_LIMIT_US	30000000
#define RCU_SECTION_US	20000
#define RCU_LINGER_US	200000
#define STALL_ROUNDS	5
#define STALL_LIMIT_US	500000
#define STALL_AWAIT_S	30
#define TEST_SECONDS	120
#define PATH_SIZE	256

/* VFIO_TEST_IOMMU_TYPE, or a type of the lab's driver */
#define REAL		(-1)

static struct vfio_test_device devices[2];

/* What a real IOMMU answers about each single device */
static bool can_be_coherent[2];

/*
 * The lab module: 0 or more, or -errno
 */
static long lab(int fd, unsigned long request, unsigned long arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

static long lab_struct(int fd, unsigned long request, void *arg)
{
	return lab(fd, request, (uintptr_t)arg);
}

static int lab_open(void)
{
	int fd = open("/dev/" KVM_VFIO_LAB_DEVICE, O_RDWR | O_CLOEXEC);

	VFIO_ASSERT(fd >= 0, "open /dev/" KVM_VFIO_LAB_DEVICE);
	return fd;
}

static long __lab_get(int fd, int file)
{
	return lab(fd, KVM_VFIO_LAB_GET, file);
}

static long lab_get(int fd, int file)
{
	long handle = __lab_get(fd, file);

	VFIO_ASSERT(handle >= 0, "KVM_VFIO_LAB_GET: %ld", handle);
	return handle;
}

static void lab_put(int fd, long handle)
{
	long ret = lab(fd, KVM_VFIO_LAB_PUT, handle);

	VFIO_ASSERT(!ret, "KVM_VFIO_LAB_PUT: %ld", ret);
}

static long lab_with_group(int fd, struct kvm_vfio_lab_group *arg, long handle,
			   int answer)
{
	arg->handle = handle;
	arg->ret = answer;
	return lab_struct(fd, KVM_VFIO_LAB_WITH_GROUP, arg);
}

static long lab_set_kvm(int fd, long handle, int vm)
{
	struct kvm_vfio_lab_kvm arg = { .handle = handle, .vm = vm };

	return lab_struct(fd, KVM_VFIO_LAB_SET_KVM, &arg);
}

/*
 * The defaults of a type; after the module was loaded all are 0 but "unknown".
 */
static struct kvm_vfio_lab_behaviour plain(unsigned int type)
{
	return (struct kvm_vfio_lab_behaviour){ .type = type, .unknown = -ENOTTY };
}

static void lab_defaults(struct kvm_vfio_lab_behaviour behaviour)
{
	int fd = lab_open();

	VFIO_ASSERT(!lab_struct(fd, KVM_VFIO_LAB_SET_DEFAULTS, &behaviour),
		    "KVM_VFIO_LAB_SET_DEFAULTS");
	close(fd);
}

static void lab_behave(int container, struct kvm_vfio_lab_behaviour behaviour)
{
	VFIO_ASSERT(!lab_struct(container, KVM_VFIO_LAB_SET_BEHAVIOUR, &behaviour),
		    "KVM_VFIO_LAB_SET_BEHAVIOUR");
}

static struct kvm_vfio_lab_counts lab_counts(unsigned int type)
{
	struct kvm_vfio_lab_counts counts = { .type = type };
	int fd = lab_open();

	VFIO_ASSERT(!lab_struct(fd, KVM_VFIO_LAB_GET_COUNTS, &counts),
		    "KVM_VFIO_LAB_GET_COUNTS");
	close(fd);
	return counts;
}

/*
 * VFIO
 */
static int __set_iommu(int container, int type)
{
	int ret;

	if (type == REAL)
		return __vfio_container_use_iommu(container);
	ret = ioctl(container, VFIO_SET_IOMMU, KVM_VFIO_LAB_TYPE(type));
	return ret < 0 ? -errno : ret;
}

static void set_iommu(int container, int type)
{
	int ret = __set_iommu(container, type);

	VFIO_ASSERT(!ret, "VFIO_SET_IOMMU, type %d: %d", type, ret);
}

static int group_in(int container, const struct vfio_test_device *device)
{
	int group = vfio_group_open(device->group);

	vfio_group_set_container(group, container);
	return group;
}

static void host_unbind(const struct vfio_test_device *device)
{
	VFIO_ASSERT(!__sysfs_write("/sys/bus/pci/drivers/vfio-pci/unbind",
				   device->bdf), "unbind %s", device->bdf);
}

static void find_coherent(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		can_be_coherent[i] = vfio_group_is_coherent(devices[i].group);
}

/* Probes: how often KVM was told that noncoherent DMA begins, or ends */

enum {
	PROBE_REGISTER,
	PROBE_UNREGISTER,
	PROBE_MAX
};

/* No other architecture than x86 has these functions. */
static struct vfio_probe probes[PROBE_MAX] = {
#ifdef __x86_64__
	[PROBE_REGISTER] = VFIO_PROBE("register", "kvm_arch_register_noncoherent_dma"),
	[PROBE_UNREGISTER] = VFIO_PROBE("unregister", "kvm_arch_unregister_noncoherent_dma"),
#endif
};

/* Can it be seen whether KVM is told of a noncoherent group? */
static bool is_told(void)
{
	return probes[PROBE_REGISTER].is_set;
}

/* What every test starts with, and what must be true after it */
struct start {
	struct vfio_before before;
	struct kvm_vfio_lab_counts counts[KVM_VFIO_LAB_TYPES];
	unsigned long hits[PROBE_MAX];
};

static void start(struct start *start)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		vfio_bind(devices[i].bdf);
	warn_once_rearm();
	vfio_remember(&start->before);
	for (i = 0; i < KVM_VFIO_LAB_TYPES; i++) {
		lab_defaults(plain(i));
		start->counts[i] = lab_counts(i);
	}
	for (i = 0; is_told() && i < PROBE_MAX; i++)
		start->hits[i] = vfio_probe_hits(&probes[i]);
}

static unsigned int detaches(const struct start *start, unsigned int type)
{
	return lab_counts(type).detaches - start->counts[type].detaches;
}

static unsigned int attaches(const struct start *start, unsigned int type)
{
	return lab_counts(type).attaches - start->counts[type].attaches;
}

static bool driver_is_clean(const struct start *start, unsigned int type)
{
	struct kvm_vfio_lab_counts now = lab_counts(type);
	const struct kvm_vfio_lab_counts *then = &start->counts[type];
	bool ok = true;

	ok &= answer("detaches", now.attaches - then->attaches,
		     now.detaches - then->detaches);
	ok &= answer("releases", now.opens - then->opens,
		     now.releases - then->releases);
	ok &= answer("unregisters", now.registers - then->registers,
		     now.unregisters - then->unregisters);
	return ok;
}

/* If the module was loaded again, its counts start from 0. */
static bool is_clean(struct start *start)
{
	bool ok = true;
	unsigned int i;

	vfio_close_all(&start->before);
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		vfio_bind(devices[i].bdf);
		ok &= vfio_group_is_free(devices[i].group);
	}
	ok &= answer("use count of the lab module", 0,
		     module_refcnt("kvm_vfio_lab"));
	for (i = 0; i < KVM_VFIO_LAB_TYPES; i++)
		ok &= driver_is_clean(start, i);
	if (is_told())
		ok &= answer("ends of noncoherent DMA",
			     vfio_probe_hits(&probes[PROBE_REGISTER]) -
			     start->hits[PROBE_REGISTER],
			     vfio_probe_hits(&probes[PROBE_UNREGISTER]) -
			     start->hits[PROBE_UNREGISTER]);
	ok &= vfio_nothing_left(&start->before);
	return ok;
}

/*
 * Any number of external users of one group
 */
FIXTURE(users)
{
	struct start start;
	int lab;
	int vm;
	int dev;
	int container;
	int group;
};

FIXTURE_VARIANT(users)
{
	int type;
};

FIXTURE_VARIANT_ADD(users, real)
{
	.type = REAL,
};

FIXTURE_VARIANT_ADD(users, lab)
{
	.type = 0,
};

FIXTURE_SETUP(users)
{
	start(&self->start);
	self->lab = lab_open();
	self->vm = kvm_vm_open();
	self->dev = kvm_vfio_create(self->vm);
	self->container = vfio_container_open();
	self->group = group_in(self->container, &devices[0]);
	set_iommu(self->container, variant->type);
}

FIXTURE_TEARDOWN(users)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/* A container has no IOMMU any more when its only group has left. */
#define LEAVE_AND_JOIN()						\
	do {								\
		ASSERT_EQ(0, __vfio_group_unset_container(self->group)); \
		vfio_group_set_container(self->group, self->container);	\
		set_iommu(self->container, variant->type);		\
	} while (0)

enum user_kind {
	USER_KVM,
	USER_LAB,
	USER_MAX
};

/* Contract 1.19: UNSET is EBUSY until the last user is gone, in every order. */
TEST_F(users, kvm_and_lab_in_each_order)
{
	unsigned int n, step;
	long handle = -1;

	for (n = 0; n < 4; n++) {
		for (step = 0; step < USER_MAX; step++) {
			if ((step ^ (n & 1)) == USER_KVM)
				kvm_vfio_add(self->dev, self->group);
			else
				handle = lab_get(self->lab, self->group);
			ASSERT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
		}
		for (step = 0; step < USER_MAX; step++) {
			ASSERT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
			if ((step ^ (n >> 1)) == USER_KVM)
				kvm_vfio_del(self->dev, self->group);
			else
				lab_put(self->lab, handle);
		}
		LEAVE_AND_JOIN();
	}
}

/* The same when the files of the users are closed instead */
TEST_F(users, kvm_and_lab_closed_in_each_order)
{
	unsigned int n;

	for (n = 0; n < 2; n++) {
		kvm_vfio_add(self->dev, self->group);
		lab_get(self->lab, self->group);
		close(n ? self->dev : self->lab);
		ASSERT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
		close(n ? self->lab : self->dev);
		LEAVE_AND_JOIN();
		self->lab = lab_open();
		self->dev = kvm_vfio_create(self->vm);
	}
}

/*
 * All from one file: half of them are put, half are closed, with KVM in
 * between.
 */
TEST_F(users, many)
{
	long handle[MANY_USERS];
	unsigned int i;

	for (i = 0; i < MANY_USERS; i++) {
		handle[i] = lab_get(self->lab, self->group);
		EXPECT_EQ(1, lab(self->lab, KVM_VFIO_LAB_ALIVE, handle[i]));
		if (i == MANY_USERS / 2)
			kvm_vfio_add(self->dev, self->group);
	}
	for (i = 0; i < MANY_USERS; i += 2)
		lab_put(self->lab, handle[i]);
	for (i = 1; i < MANY_USERS; i += 2)
		EXPECT_EQ((int)devices[0].group,
			  lab(self->lab, KVM_VFIO_LAB_IOMMU_ID, handle[i]));
	kvm_vfio_del(self->dev, self->group);
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
	close(self->lab);
	EXPECT_EQ(0, __vfio_group_unset_container(self->group));
}

/* The group is busy until the very last user is gone. */
TEST_F(users, busy_until_the_last_of_many)
{
	long handle[MANY_USERS];
	unsigned int i;

	for (i = 0; i < MANY_USERS; i++)
		handle[i] = lab_get(self->lab, self->group);
	for (i = 0; i < MANY_USERS; i++) {
		ASSERT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
		lab_put(self->lab, handle[(i * 37) % MANY_USERS]);
	}
	EXPECT_EQ(0, __vfio_group_unset_container(self->group));
}

/* A user belongs to the file, whatever its fd number, and keeps it open. */
TEST_F(users, through_other_fds)
{
	int fd = dup(self->group);
	long handle[2];

	handle[0] = lab_get(self->lab, fd);
	handle[1] = lab_get(self->lab, self->group);
	kvm_vfio_add(self->dev, fd);
	EXPECT_EQ(-EEXIST, __kvm_vfio_add(self->dev, self->group));
	kvm_vfio_del(self->dev, self->group);
	close(fd);
	close(self->group);
	close(self->container);
	lab_put(self->lab, handle[0]);
	EXPECT_EQ(-EBUSY, __vfio_group_open(devices[0].group));
	EXPECT_EQ(1, lab(self->lab, KVM_VFIO_LAB_ALIVE, handle[1]));
	EXPECT_EQ((int)devices[0].group,
		  lab(self->lab, KVM_VFIO_LAB_IOMMU_ID, handle[1]));
	lab_put(self->lab, handle[1]);
	self->group = vfio_group_open(devices[0].group);
}

/* What get() refuses, as vfio_external_get() documents it. */
TEST_F(users, refusals)
{
	int container = vfio_container_open();
	int group = vfio_group_open(devices[1].group);
	int device = vfio_group_device(self->group, devices[0].bdf);
	int closed = dup(group);

	close(closed);
	EXPECT_EQ(-EINVAL, __lab_get(self->lab, group));
	vfio_group_set_container(group, container);
	EXPECT_EQ(-EINVAL, __lab_get(self->lab, group));
	set_iommu(container, variant->type);
	lab_put(self->lab, lab_get(self->lab, group));
	vfio_group_unset_container(group);
	EXPECT_EQ(-EINVAL, __lab_get(self->lab, group));

	EXPECT_EQ(-EINVAL, __lab_get(self->lab, self->container));
	EXPECT_EQ(-EINVAL, __lab_get(self->lab, device));
	EXPECT_EQ(-EINVAL, __lab_get(self->lab, self->lab));
	EXPECT_EQ(-EINVAL, __lab_get(self->lab, self->vm));
	EXPECT_EQ(-EBADF, __lab_get(self->lab, closed));
}

TEST_F(users, number_of_the_group)
{
	static const int answers[] = { 0, 1, 4711, -EIO, -ENODEV, -1 };
	long handle = lab_get(self->lab, self->group);
	struct kvm_vfio_lab_group call;
	unsigned int i;

	EXPECT_EQ((int)devices[0].group,
		  lab(self->lab, KVM_VFIO_LAB_IOMMU_ID, handle));
	for (i = 0; i < ARRAY_SIZE(answers); i++) {
		EXPECT_EQ(answers[i],
			  lab_with_group(self->lab, &call, handle, answers[i]));
		EXPECT_EQ(1U, call.calls);
		EXPECT_EQ((int)devices[0].group, call.id);
	}
}

static bool user_is_dead(int fd, long handle)
{
	struct kvm_vfio_lab_group call;
	bool ok = true;

	ok &= answer("alive", 0, lab(fd, KVM_VFIO_LAB_ALIVE, handle));
	ok &= answer("with_group", -ENODEV, lab_with_group(fd, &call, handle, 0));
	ok &= answer("calls", 0, call.calls);
	return ok;
}

/*
 * The host takes the group back: handles are dead, and there can be new users.
 */
TEST_F(users, die_by_unbind)
{
	int old = self->group, i;
	long handle[3], fresh;

	for (i = 0; i < 3; i++)
		handle[i] = lab_get(self->lab, old);
	lab_put(self->lab, handle[2]);
	kvm_vfio_add(self->dev, old);
	host_unbind(&devices[0]);
	for (i = 0; i < 2; i++)
		EXPECT_TRUE(user_is_dead(self->lab, handle[i]));
	EXPECT_EQ(-EINVAL, __lab_get(self->lab, old));
	if (variant->type != REAL)
		EXPECT_EQ(1U, detaches(&self->start, variant->type));

	vfio_bind(devices[0].bdf);
	EXPECT_TRUE(user_is_dead(self->lab, handle[0]));
	EXPECT_EQ(-EINVAL, __lab_get(self->lab, old));
	self->group = group_in(self->container, &devices[0]);
	set_iommu(self->container, variant->type);
	fresh = lab_get(self->lab, self->group);
	EXPECT_EQ(1, lab(self->lab, KVM_VFIO_LAB_ALIVE, fresh));
	EXPECT_EQ((int)devices[0].group,
		  lab(self->lab, KVM_VFIO_LAB_IOMMU_ID, fresh));
	kvm_vfio_add(self->dev, self->group);

	lab_put(self->lab, handle[0]);
	kvm_vfio_del(self->dev, old);
	EXPECT_TRUE(user_is_dead(self->lab, handle[1]));
	EXPECT_EQ(1, lab(self->lab, KVM_VFIO_LAB_ALIVE, fresh));
	kvm_vfio_del(self->dev, self->group);
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
	lab_put(self->lab, fresh);
	EXPECT_EQ(0, __vfio_group_unset_container(self->group));
	lab_put(self->lab, handle[1]);
}

/* The user sets a VM, which lives on as long as it is set. */
TEST_F(users, name_a_vm)
{
	long handle = lab_get(self->lab, self->group);
	char path[PATH_SIZE];
	int device;

	EXPECT_EQ(-EINVAL, lab_set_kvm(self->lab, handle, self->group));
	EXPECT_EQ(0, lab_set_kvm(self->lab, handle, self->vm));
	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d", getpid(),
		 self->vm);
	close(self->dev);
	close(self->vm);
	EXPECT_EQ(0, access(path, F_OK));
	device = vfio_group_device(self->group, devices[0].bdf);
	lab_put(self->lab, handle);
	/* The open device has it, too. */
	EXPECT_EQ(0, access(path, F_OK));
	close(device);
	EXPECT_EQ(-1, access(path, F_OK));
	self->vm = kvm_vm_open();
	handle = lab_get(self->lab, self->group);
	EXPECT_EQ(0, lab_set_kvm(self->lab, handle, self->vm));
}

/*
 * Files without a container
 */
FIXTURE(no_container)
{
	struct start start;
	int lab;
};

FIXTURE_SETUP(no_container)
{
	if (access("/dev/iommu", R_OK | W_OK))
		SKIP(return, "this kernel has no iommufd");
	start(&self->start);
	self->lab = lab_open();
}

FIXTURE_TEARDOWN(no_container)
{
	EXPECT_TRUE(is_clean(&self->start));
}

TEST_F(no_container, group_on_an_iommufd)
{
	int iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	int group = group_in(iommufd, &devices[0]);
	struct kvm_vfio_lab_group call;
	long handle[2];

	handle[0] = lab_get(self->lab, group);
	handle[1] = lab_get(self->lab, group);
	EXPECT_EQ((int)devices[0].group,
		  lab(self->lab, KVM_VFIO_LAB_IOMMU_ID, handle[0]));
	/* Its hardware tables are the host's. */
	EXPECT_EQ(-ENODEV, lab_with_group(self->lab, &call, handle[0], 7));
	EXPECT_EQ(-1, call.id);
	EXPECT_EQ(can_be_coherent[0],
		  lab(self->lab, KVM_VFIO_LAB_ENFORCED_COHERENT, handle[0]));
	lab_put(self->lab, handle[1]);
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(group));
	lab_put(self->lab, handle[0]);
	EXPECT_EQ(0, __vfio_group_unset_container(group));

	/* The host takes this device as well. */
	vfio_group_set_container(group, iommufd);
	handle[0] = lab_get(self->lab, group);
	host_unbind(&devices[0]);
	EXPECT_TRUE(user_is_dead(self->lab, handle[0]));
	EXPECT_EQ(-EINVAL, __lab_get(self->lab, group));
}

TEST_F(no_container, device_cdev)
{
	int cdev = __vfio_cdev_open(&devices[0]);
	struct kvm_vfio_lab_group call;
	long handle[2];

	ASSERT_LE(0, cdev);
	handle[0] = lab_get(self->lab, cdev);
	handle[1] = lab_get(self->lab, cdev);
	EXPECT_EQ(1, lab(self->lab, KVM_VFIO_LAB_ALIVE, handle[0]));
	EXPECT_EQ(-1, lab(self->lab, KVM_VFIO_LAB_IOMMU_ID, handle[0]));
	EXPECT_EQ(-ENODEV, lab_with_group(self->lab, &call, handle[0], 0));
	EXPECT_EQ(0U, call.calls);
	EXPECT_EQ(can_be_coherent[0],
		  lab(self->lab, KVM_VFIO_LAB_ENFORCED_COHERENT, handle[0]));
	lab_put(self->lab, handle[0]);
	close(cdev);
	EXPECT_EQ(1, lab(self->lab, KVM_VFIO_LAB_ALIVE, handle[1]));
	lab_put(self->lab, handle[1]);
}

/*
 * Containers of every kind
 */
FIXTURE(kinds)
{
	struct start start;
	int vm;
	int dev;
	int container[2];	/* the first of type 0, the second of type 1 */
	int group[2];
};

FIXTURE_SETUP(kinds)
{
	unsigned int i;

	start(&self->start);
	self->vm = kvm_vm_open();
	self->dev = kvm_vfio_create(self->vm);
	for (i = 0; i < 2; i++) {
		self->container[i] = vfio_container_open();
		self->group[i] = group_in(self->container[i], &devices[i]);
	}
}

FIXTURE_TEARDOWN(kinds)
{
	EXPECT_TRUE(is_clean(&self->start));
}

static void set_both(const int *container)
{
	set_iommu(container[0], 0);
	set_iommu(container[1], 1);
}

/*
 * Contract 1.10: Containers with any answer, and of any process, are accepted.
 */
TEST_F(kinds, all_are_accepted)
{
	static const struct kvm_vfio_lab_behaviour kinds[] = {
		{ .coherent = 1, .unknown = -ENOTTY },
		{ .coherent = 0, .unknown = -ENOTTY },
		{ .coherent = -EIO, .unknown = -ENOTTY },
		{ .check = -EPERM, .unknown = -ENOTTY },
		{ .coherent = 1, .unknown = -EPERM },
		{ .coherent = 2, .unknown = -EIO },
		{ .attach = -EIO, .open = -EIO, .unknown = 1 },
	};
	unsigned int i;

	set_both(self->container);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		lab_behave(self->container[0], kinds[i]);
		EXPECT_EQ(kinds[i].unknown,
			  __vfio_dma_map(self->container[0], NULL,
					 VFIO_TEST_IOVA, 4096));
		EXPECT_EQ(0, __kvm_vfio_add(self->dev, self->group[0]));
		EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group[0]));
		EXPECT_EQ(0, __kvm_vfio_del(self->dev, self->group[0]));
	}
	EXPECT_EQ(0, __vfio_group_unset_container(self->group[0]));
}

#ifdef __KVM_HAVE_SPAPR_TCE
/* Contract 4.9: The driver makes no window, so no table of the VM can match. */
TEST_F(kinds, spapr_without_windows)
{
	int table = kvm_tce_table(self->vm, 1, 1UL << 30);

	set_both(self->container);
	kvm_vfio_add(self->dev, self->group[0]);
	EXPECT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(self->dev, self->group[0],
						    table));
	close(table);
	kvm_vfio_del(self->dev, self->group[0]);
}
#endif

/* How often KVM was told since the test began */
static bool told(const struct start *start, unsigned int begun,
		 unsigned int ended)
{
	bool ok = true;

	if (!is_told())
		return true;
	ok &= answer("begins of noncoherent DMA", begun,
		     vfio_probe_hits(&probes[PROBE_REGISTER]) - start->hits[PROBE_REGISTER]);
	ok &= answer("ends of noncoherent DMA", ended,
		     vfio_probe_hits(&probes[PROBE_UNREGISTER]) -
		     start->hits[PROBE_UNREGISTER]);
	return ok;
}

/* Contract 6.1, 6.2: The lab user is told, and the IOMMU driver is not asked. */
TEST_F(kinds, coherency_of_a_lab_user)
{
	int fd = lab_open();
	unsigned int i;
	long handle;

	set_both(self->container);
	for (i = 0; i < 2; i++) {
		handle = lab_get(fd, self->group[i]);
		EXPECT_EQ(can_be_coherent[i],
			  lab(fd, KVM_VFIO_LAB_ENFORCED_COHERENT, handle));
		lab_put(fd, handle);
		EXPECT_EQ(self->start.counts[i].asked_coherent,
			  lab_counts(i).asked_coherent);
	}
}

/*
 * Contract 6.1: KVM is told about the first noncoherent group that is added and
 * the last one that is deleted.
 */
TEST_F(kinds, coherency_of_two_in_each_order)
{
	unsigned int n, step, i, begun = 0, ended = 0, held;

	if (!is_told())
		SKIP(return, "nothing to probe: x86 alone counts it");
	set_both(self->container);
	for (n = 0; n < 4; n++) {
		held = 0;
		for (step = 0; step < 2; step++) {
			i = step ^ !!(n & 1);
			kvm_vfio_add(self->dev, self->group[i]);
			begun += !can_be_coherent[i] && !held;
			held += !can_be_coherent[i];
			EXPECT_TRUE(told(&self->start, begun, ended));
		}
		for (step = 0; step < 2; step++) {
			i = step ^ !!(n & 2);
			kvm_vfio_del(self->dev, self->group[i]);
			held -= !can_be_coherent[i];
			ended += !can_be_coherent[i] && !held;
			EXPECT_TRUE(told(&self->start, begun, ended));
		}
	}
	EXPECT_EQ(begun != 0, !can_be_coherent[0] || !can_be_coherent[1]);
}

/*
 * Contract 1.29, 6.2: A group that the host takes back counts as before until DEL.
 */
TEST_F(kinds, coherency_of_a_dead_group)
{
	bool noncoherent[2] = { !can_be_coherent[0], !can_be_coherent[1] };

	if (!is_told())
		SKIP(return, "nothing to probe: x86 alone counts it");
	set_both(self->container);
	kvm_vfio_add(self->dev, self->group[0]);
	kvm_vfio_add(self->dev, self->group[1]);
	host_unbind(&devices[0]);
	host_unbind(&devices[1]);
	EXPECT_TRUE(told(&self->start, noncoherent[0] || noncoherent[1], 0));
	kvm_vfio_del(self->dev, self->group[1]);
	EXPECT_TRUE(told(&self->start, noncoherent[0] || noncoherent[1],
			 noncoherent[1] && !noncoherent[0]));
	kvm_vfio_del(self->dev, self->group[0]);
	EXPECT_TRUE(told(&self->start, noncoherent[0] || noncoherent[1],
			 noncoherent[0] || noncoherent[1]));
}

/*
 * Contract 1.5: If the IOMMU driver fails, user space gets the error, and the
 * group cannot be held.
 */
TEST_F(kinds, set_iommu_fails)
{
	struct kvm_vfio_lab_behaviour fails = plain(0);
	int fd = lab_open();

	fails.attach = -ENOSPC;
	lab_defaults(fails);
	EXPECT_EQ(-ENOSPC, __set_iommu(self->container[0], 0));
	EXPECT_EQ(-EINVAL, __kvm_vfio_add(self->dev, self->group[0]));
	EXPECT_EQ(-EINVAL, __lab_get(fd, self->group[0]));

	fails.attach = 0;
	fails.open = -ENOMEM;
	lab_defaults(fails);
	EXPECT_EQ(-ENOMEM, __set_iommu(self->container[0], 0));
	EXPECT_EQ(-EINVAL, __kvm_vfio_add(self->dev, self->group[0]));

	fails.open = 0;
	fails.check = -EIO;
	lab_defaults(fails);
	EXPECT_EQ(-ENODEV, __set_iommu(self->container[0], 0));
	EXPECT_EQ(-EINVAL, __kvm_vfio_add(self->dev, self->group[0]));

	lab_defaults(plain(0));
	EXPECT_EQ(0, __set_iommu(self->container[0], 0));
	EXPECT_EQ(0, __kvm_vfio_add(self->dev, self->group[0]));
	EXPECT_EQ(1U, attaches(&self->start, 0));
	EXPECT_EQ(0U, detaches(&self->start, 0));
}

/* A second group cannot join; the first one, which is held, is not affected. */
TEST_F(kinds, set_container_fails)
{
	struct kvm_vfio_lab_behaviour fails = plain(0);

	vfio_group_unset_container(self->group[1]);
	set_iommu(self->container[0], 0);
	kvm_vfio_add(self->dev, self->group[0]);
	fails.attach = -EDQUOT;
	lab_behave(self->container[0], fails);
	EXPECT_EQ(-EDQUOT, __vfio_group_set_container(self->group[1],
						      self->container[0]));
	EXPECT_EQ(-EINVAL, __kvm_vfio_add(self->dev, self->group[1]));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group[0]));
	EXPECT_EQ(1U, attaches(&self->start, 0));

	lab_behave(self->container[0], plain(0));
	EXPECT_EQ(0, __vfio_group_set_container(self->group[1],
						self->container[0]));
	EXPECT_EQ(0, __kvm_vfio_add(self->dev, self->group[1]));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group[1]));
	EXPECT_EQ(2U, attaches(&self->start, 0));
	EXPECT_EQ(0U, detaches(&self->start, 0));
}

/*
 * The domain stays attached while somebody holds the group, whatever is closed,
 * and is detached exactly once.
 */
FIXTURE(detach)
{
	struct start start;
	int vm;
	int dev;
	int lab;
	int container;
	int group;
};

FIXTURE_SETUP(detach)
{
	start(&self->start);
	self->lab = lab_open();
	self->vm = kvm_vm_open();
	self->dev = kvm_vfio_create(self->vm);
	self->container = vfio_container_open();
	self->group = group_in(self->container, &devices[0]);
	set_iommu(self->container, 0);
	kvm_vfio_add(self->dev, self->group);
}

FIXTURE_TEARDOWN(detach)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/* Contract 1.20 */
TEST_F(detach, by_close_of_the_kvm_device)
{
	close(self->container);
	close(self->group);
	EXPECT_EQ(-EBUSY, __vfio_group_open(devices[0].group));
	EXPECT_EQ(0U, detaches(&self->start, 0));
	close(self->vm);
	EXPECT_EQ(0U, detaches(&self->start, 0));
	close(self->dev);
	EXPECT_EQ(1U, detaches(&self->start, 0));
}

/* Contract 1.20 */
TEST_F(detach, by_the_last_of_several_users)
{
	long handle[2];

	handle[0] = lab_get(self->lab, self->group);
	handle[1] = lab_get(self->lab, self->group);
	close(self->group);
	close(self->container);
	lab_put(self->lab, handle[0]);
	close(self->dev);
	EXPECT_EQ(0U, detaches(&self->start, 0));
	lab_put(self->lab, handle[1]);
	EXPECT_EQ(1U, detaches(&self->start, 0));
}

TEST_F(detach, by_close_of_the_lab_file)
{
	lab_get(self->lab, self->group);
	lab_get(self->lab, self->group);
	close(self->dev);
	close(self->group);
	close(self->container);
	EXPECT_EQ(0U, detaches(&self->start, 0));
	close(self->lab);
	EXPECT_EQ(1U, detaches(&self->start, 0));
}

TEST_F(detach, by_the_last_device_fd)
{
	int device = vfio_group_device(self->group, devices[0].bdf);

	EXPECT_EQ(1U, lab_counts(0).registers - self->start.counts[0].registers);
	close(self->group);
	close(self->container);
	close(self->dev);
	EXPECT_EQ(0U, detaches(&self->start, 0));
	close(device);
	EXPECT_EQ(1U, detaches(&self->start, 0));
}

/* Contract 1.19, 1.20 */
TEST_F(detach, by_unset_after_del)
{
	close(self->container);
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
	kvm_vfio_del(self->dev, self->group);
	EXPECT_EQ(0U, detaches(&self->start, 0));
	EXPECT_EQ(0, __vfio_group_unset_container(self->group));
	EXPECT_EQ(1U, detaches(&self->start, 0));
	EXPECT_EQ(-EINVAL, __vfio_group_unset_container(self->group));
	close(self->group);
	EXPECT_EQ(1U, detaches(&self->start, 0));
}

/* Contract 1.23 */
TEST_F(detach, by_the_host)
{
	long handle = lab_get(self->lab, self->group);

	close(self->container);
	EXPECT_EQ(0U, detaches(&self->start, 0));
	host_unbind(&devices[0]);
	EXPECT_EQ(1U, detaches(&self->start, 0));
	kvm_vfio_del(self->dev, self->group);
	lab_put(self->lab, handle);
	close(self->group);
	close(self->dev);
	EXPECT_EQ(1U, detaches(&self->start, 0));
}

/* Two groups in a container are detached independently. */
TEST_F(detach, of_one_of_two_groups)
{
	int group = group_in(self->container, &devices[1]);

	kvm_vfio_add(self->dev, group);
	EXPECT_EQ(2U, attaches(&self->start, 0));
	close(self->container);
	kvm_vfio_del(self->dev, self->group);
	EXPECT_EQ(0, __vfio_group_unset_container(self->group));
	EXPECT_EQ(1U, detaches(&self->start, 0));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(group));
	EXPECT_EQ(0U, lab_counts(0).releases - self->start.counts[0].releases);
	close(group);
	EXPECT_EQ(1U, detaches(&self->start, 0));
	close(self->dev);
	EXPECT_EQ(2U, detaches(&self->start, 0));
}

/*
 * Revoke waits for readers
 */
struct reader {
	pthread_t thread;
	int lab;
	long ret;
	struct kvm_vfio_lab_hold hold;
};

static void *read_side(void *arg)
{
	struct reader *reader = arg;

	reader->ret = lab_struct(reader->lab, KVM_VFIO_LAB_HOLD_RCU,
				 &reader->hold);
	return NULL;
}

/* Returns once the reader has been in its first section. */
static void reader_start(struct reader *reader, int lab, long handle)
{
	uint64_t value;

	reader->lab = lab;
	reader->hold = (struct kvm_vfio_lab_hold){
		.handle = handle,
		.eventfd = eventfd(0, EFD_CLOEXEC),
		.limit_us = RCU_LIMIT_US,
		.section_us = RCU_SECTION_US,
		.linger_us = RCU_LINGER_US,
	};
	VFIO_ASSERT(reader->hold.eventfd >= 0, "eventfd");
	VFIO_ASSERT(!pthread_create(&reader->thread, NULL, read_side, reader),
		    "pthread_create");
	VFIO_ASSERT(read(reader->hold.eventfd, &value, sizeof(value)) ==
		    sizeof(value), "read of the eventfd");
}

static void reader_join(struct reader *reader)
{
	VFIO_ASSERT(!pthread_join(reader->thread, NULL), "pthread_join");
	close(reader->hold.eventfd);
}

/*
 * Contract 1.23: A reader that found the user alive goes on for a while after
 * the host has marked it dead: the group must not be detached before the reader
 * has left its section. If the host comes just between two sections the test
 * shows nothing, which cannot happen every time.
 */
TEST_F_TIMEOUT(detach, waits_for_readers, TEST_SECONDS)
{
	struct reader reader;
	bool race = sysconf(_SC_NPROCESSORS_ONLN) > 1 ||
		    lab(self->lab, KVM_VFIO_LAB_HOLD_YIELDS, 0);
	unsigned int i, seen = 0;
	long handle;

	for (i = 1; i <= RCU_ROUNDS; i++) {
		handle = lab_get(self->lab, self->group);
		reader_start(&reader, self->lab, handle);
		host_unbind(&devices[0]);
		EXPECT_EQ(i, detaches(&self->start, 0));
		reader_join(&reader);
		ASSERT_EQ(0, reader.ret);
		seen += reader.hold.alive_first;
		EXPECT_EQ(0U, reader.hold.alive_last);
		EXPECT_EQ(0U, reader.hold.detaches);
		lab_put(self->lab, handle);
		kvm_vfio_del(self->dev, self->group);
		close(self->group);
		vfio_bind(devices[0].bdf);
		self->group = group_in(self->container, &devices[0]);
		set_iommu(self->container, 0);
		kvm_vfio_add(self->dev, self->group);
	}
	TH_LOG("%u of %u readers were in the middle", seen, RCU_ROUNDS);
	if (!race && !seen && __test_passed(_metadata))
		SKIP(return, "one CPU, and RCU readers cannot be preempted");
	EXPECT_LT(0U, seen);
}

/*
 * Stalls
 */

/* Functions that are called only if a test does so */
static struct kvm_vfio_lab_stall a_stall(void)
{
	return (struct kvm_vfio_lab_stall){
		.function = "vfio_external_put",
		.meanwhile = "vfio_external_set_kvm",
	};
}

static long lab_stall(int fd, struct kvm_vfio_lab_stall stall)
{
	return lab_struct(fd, KVM_VFIO_LAB_STALL, &stall);
}

TEST(stall_that_is_refused)
{
	struct kvm_vfio_lab_stall stall = a_stall();
	struct kvm_vfio_lab_stalled now;
	int fd = lab_open();

	EXPECT_EQ(-EFAULT, lab_struct(fd, KVM_VFIO_LAB_STALL, NULL));
	stall.limit_us = KVM_VFIO_LAB_SECTION_MAX + 1;
	EXPECT_EQ(-EINVAL, lab_stall(fd, stall));
	stall = a_stall();
	memset(stall.function, 'v', sizeof(stall.function));
	EXPECT_EQ(-EINVAL, lab_stall(fd, stall));
	stall = a_stall();
	memset(stall.meanwhile, 'v', sizeof(stall.meanwhile));
	EXPECT_EQ(-EINVAL, lab_stall(fd, stall));
	stall = a_stall();
	stall.function[0] = '?';
	EXPECT_EQ(-ENOENT, lab_stall(fd, stall));
	stall = a_stall();
	stall.meanwhile[0] = 0;
	EXPECT_EQ(-ENOENT, lab_stall(fd, stall));
	EXPECT_EQ(-ENOENT, lab_struct(fd, KVM_VFIO_LAB_STALL_LOOK, &now));
	EXPECT_EQ(-ENOENT, lab(fd, KVM_VFIO_LAB_STALL_END, 0));
	close(fd);
}

/* One at a time, until END or the end of the open file */
TEST(stall_that_is_ended)
{
	struct kvm_vfio_lab_stalled now;
	int fd = lab_open();

	ASSERT_EQ(0, lab_stall(fd, a_stall()));
	EXPECT_EQ(-EBUSY, lab_stall(fd, a_stall()));
	EXPECT_EQ(-EFAULT, lab_struct(fd, KVM_VFIO_LAB_STALL_LOOK, NULL));
	EXPECT_EQ(0, lab_struct(fd, KVM_VFIO_LAB_STALL_LOOK, &now));
	EXPECT_EQ((unsigned int)KVM_VFIO_LAB_STALL_ARMED, now.state);
	EXPECT_EQ(0U, now.meanwhile);
	EXPECT_EQ(0, lab(fd, KVM_VFIO_LAB_STALL_END, 0));
	EXPECT_EQ(-ENOENT, lab_struct(fd, KVM_VFIO_LAB_STALL_LOOK, &now));
	ASSERT_EQ(0, lab_stall(fd, a_stall()));
	close(fd);
	fd = lab_open();
	ASSERT_EQ(0, lab_stall(fd, a_stall()));
	close(fd);
}

#ifdef __KVM_HAVE_SPAPR_TCE
/*
 * Two groups share the window of their container.  A VM holds the first one, and puts
 * entries into the window.
 */
FIXTURE(shared)
{
	struct start start;
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	cpu_set_t cpus;
	int lab;
	int dev;
	int container;
	int group[2];
};

FIXTURE_SETUP(shared)
{
	int table;

	if (vfio_in_lpar())
		SKIP(return, "its containers take one group");
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "a stalled CPU and another one are needed");
	start(&self->start);
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(self->cpus), &self->cpus));
	self->lab = lab_open();
	ppc64_vm_open(&self->vm, MEMORY);
	ppc64_vcpu_open(&self->vcpu, &self->vm);
	self->dev = kvm_vfio_create(self->vm.fd);
	self->container = vfio_container_open();
	self->group[0] = group_in(self->container, &devices[0]);
	set_iommu(self->container, REAL);
	ASSERT_EQ(0, __vfio_memory_register(self->container, self->vm.memory, MEMORY));
	tce_window_drop_default(self->container);
	ASSERT_EQ(0U, tce_window_create(self->container, SHIFT, WINDOW));
	self->group[1] = group_in(self->container, &devices[1]);
	kvm_vfio_add(self->dev, self->group[0]);
	table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group[0], table));
}

FIXTURE_TEARDOWN(shared)
{
	ppc64_vcpu_close(&self->vcpu);
	EXPECT_TRUE(is_clean(&self->start));
}

/* The calling thread, and those that it makes from now on, stay on a CPU of the set. */
static void stay_on(const cpu_set_t *set, unsigned int nr)
{
	cpu_set_t one;
	int cpu;

	for (cpu = 0; !CPU_ISSET(cpu, set) || nr--; cpu++)
		;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	VFIO_ASSERT(!sched_setaffinity(0, sizeof(one), &one), "CPU %d", cpu);
}

static struct kvm_vfio_lab_stalled stalled(int fd)
{
	struct kvm_vfio_lab_stalled now;
	long ret = lab_struct(fd, KVM_VFIO_LAB_STALL_LOOK, &now);

	VFIO_ASSERT(!ret, "KVM_VFIO_LAB_STALL_LOOK: %ld", ret);
	return now;
}

/*
 * Returns when the hypercall, in a thread on the first CPU, is in the middle of the kill:
 * it goes through the groups that have the window.  The caller is on the second CPU.
 */
static void stall_in_kill(int fd, const cpu_set_t *cpus, struct tce_call *call)
{
	struct kvm_vfio_lab_stall stall = {
		.function = "pnv_pci_ioda2_tce_invalidate",
		.meanwhile = "pnv_pci_unlink_table_and_group",
		.limit_us = STALL_LIMIT_US,
	};
	long ret = lab_stall(fd, stall);
	time_t start = time(NULL);

	VFIO_ASSERT(!ret, "KVM_VFIO_LAB_STALL: %ld", ret);
	stay_on(cpus, 0);
	tce_call_start(call);
	stay_on(cpus, 1);
	while (stalled(fd).state == KVM_VFIO_LAB_STALL_ARMED)
		VFIO_ASSERT(time(NULL) - start < STALL_AWAIT_S, "the hypercall kills nothing");
}

/*
 * The group that no VM holds leaves while a hypercall, for the sake of the other one, may
 * look at its PE, which the host may free once the group has left.  So until then it has to
 * wait.  A group that is so slow that the limit comes before the window is taken from it
 * shows nothing, which cannot happen every time.
 */
TEST_F_TIMEOUT(shared, group_that_leaves_waits_for_hypercalls, TEST_SECONDS)
{
	struct tce_call call = {
		.vcpu = &self->vcpu,
		.nr = H_PUT_TCE,
		.args = { LIOBN, PAGE, (2 * MIB) | TCE_RW },
	};
	struct kvm_vfio_lab_stalled now;
	unsigned int i, seen = 0;

	for (i = 0; i < STALL_ROUNDS; i++) {
		stall_in_kill(self->lab, &self->cpus, &call);
		EXPECT_EQ(0, __vfio_group_unset_container(self->group[1]));
		now = stalled(self->lab);
		EXPECT_EQ((unsigned int)KVM_VFIO_LAB_STALL_LIMIT, now.state);
		seen += now.meanwhile;
		ASSERT_EQ(0, lab(self->lab, KVM_VFIO_LAB_STALL_END, 0));
		EXPECT_EQ(H_SUCCESS, tce_call_wait(&call));
		vfio_group_set_container(self->group[1], self->container);
	}
	TH_LOG("%u of %u groups lost the window during the hypercall", seen, STALL_ROUNDS);
	EXPECT_LT(0U, seen);
}
#endif /* __KVM_HAVE_SPAPR_TCE */

/*
 * Modules stay as long as they are needed.
 */
static int unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

static const char *module_path(void)
{
	static char path[PATH_SIZE];
	const char *dir = getenv("KVM_VFIO_MODULES");

	snprintf(path, sizeof(path), "%s/kvm_vfio_lab.ko",
		 dir ? dir : "/lab/modules.d");
	return path;
}

static int load(void)
{
	int fd = open(module_path(), O_RDONLY | O_CLOEXEC);
	int ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;

	close(fd);
	return ret;
}

FIXTURE(module)
{
	struct start start;
	int container;
	int group;
};

FIXTURE_SETUP(module)
{
	if (access(module_path(), R_OK))
		SKIP(return, "no %s", module_path());
	start(&self->start);
	self->container = vfio_container_open();
	self->group = group_in(self->container, &devices[0]);
}

FIXTURE_TEARDOWN(module)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/* The counts start from 0 again. */
#define RELOAD()							\
	do {								\
		ASSERT_EQ(0, unload("kvm_vfio_lab"));			\
		ASSERT_EQ(0, load());					\
		for (unsigned int t = 0; t < KVM_VFIO_LAB_TYPES; t++)	\
			self->start.counts[t] = lab_counts(t);		\
	} while (0)

TEST_F(module, container_and_kvm_keep_the_driver)
{
	int vm = kvm_vm_open();
	int dev = kvm_vfio_create(vm);

	set_iommu(self->container, 0);
	EXPECT_EQ(-EAGAIN, unload("kvm_vfio_lab"));
	kvm_vfio_add(dev, self->group);
	close(self->container);
	close(self->group);
	EXPECT_EQ(-EAGAIN, unload("kvm_vfio_lab"));
	close(dev);
	RELOAD();
}

/* A user of a group in a container of another driver */
TEST_F(module, user_keeps_the_modules)
{
	int vfio = module_refcnt("vfio");
	int fd = lab_open();

	set_iommu(self->container, REAL);
	EXPECT_EQ(-EAGAIN, unload("kvm_vfio_lab"));
	lab_get(fd, self->group);
	close(self->container);
	close(self->group);
	EXPECT_EQ(-EAGAIN, unload("kvm_vfio_lab"));
	if (vfio >= 0)
		EXPECT_EQ(-EAGAIN, unload("vfio"));
	close(fd);
	RELOAD();
}

TEST_F(module, dead_user_keeps_the_modules)
{
	int fd = lab_open();
	long handle;

	set_iommu(self->container, 0);
	handle = lab_get(fd, self->group);
	host_unbind(&devices[0]);
	close(self->group);
	EXPECT_EQ(-EAGAIN, unload("kvm_vfio_lab"));
	lab_put(fd, handle);
	close(fd);
	RELOAD();
}

/* A container that only its fd keeps does not use the driver. */
TEST_F(module, no_group_no_driver)
{
	set_iommu(self->container, 0);
	vfio_group_unset_container(self->group);
	RELOAD();
	EXPECT_EQ(-EINVAL, __set_iommu(self->container, 0));
	vfio_group_set_container(self->group, self->container);
	EXPECT_EQ(0, __set_iommu(self->container, 0));
}

int main(int argc, char **argv)
{
	int ret;

	if (access("/dev/" KVM_VFIO_LAB_DEVICE, R_OK | W_OK))
		ksft_exit_skip("the module kvm_vfio_lab is not loaded\n");
	vfio_test_init(devices, ARRAY_SIZE(devices), ARRAY_SIZE(devices));
	debugfs_mount();
	find_coherent();
	vfio_probes_set(probes, PROBE_MAX);
	ret = test_harness_run(argc, argv);
	vfio_probes_remove();
	return ret;
}
