// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contract 1, "no memory:  ENOMEM", with nothing changed, and contract 2,
 * "release cannot fail, and KVM-VFIO allocates no memory for it".
 *
 * Each operation of KVM-VFIO in each chain of ioctls is repeated with its first
 * allocation failing, then its second, and so on, until it succeeds without a
 * failure having happened (FAILSLAB, /proc/self/task/TID/fail-nth).  After each
 * failure the state must be what it was before, and the same operation must
 * work.  The kernel makes up for some failures; then the operation has
 * succeeded.
 *
 * Allocations of the system call outside of KVM-VFIO fail here as well (the fd
 * and the file of KVM_CREATE_DEVICE, kmemleak's record of each object), and
 * must be undone, too.
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
#include <unistd.h>

#include <linux/iommufd.h>

#include "kselftest_harness.h"
#include "vfio_hold.h"
#include "vfio_util.h"

#define TEST_SECONDS	120

static struct vfio_test_device devices[2];
static bool have_cdev;

/* The chains: what is open when a file is added, and in which state */
enum {
	ADD_GROUP,		/* in a container */
	ADD_SECOND_GROUP,	/* KVM holds another one already */
	ADD_COMPAT_GROUP,	/* on an iommufd */
	ADD_CDEV,		/* not bound yet */
	ADD_BOUND_CDEV,
	ADD_SECOND_VM,		/* another VM holds the group already */
	ADD_KINDS
};

static bool is_group(unsigned int kind)
{
	return kind != ADD_CDEV && kind != ADD_BOUND_CDEV;
}

static int iommufd_open(void)
{
	int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);

	VFIO_ASSERT(fd >= 0, "open /dev/iommu");
	return fd;
}

static int cdev_open(const struct vfio_test_device *device, bool bind)
{
	struct vfio_device_bind_iommufd arg = { .argsz = sizeof(arg) };
	int fd = __vfio_cdev_open(device);

	VFIO_ASSERT(fd >= 0, "open of the cdev of %s: %d", device->bdf, fd);
	if (!bind)
		return fd;
	arg.iommufd = iommufd_open();
	VFIO_ASSERT(!ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &arg), "bind");
	close(arg.iommufd);
	return fd;
}

static int group_open(const struct vfio_test_device *device, int container)
{
	int group = vfio_group_open(device->group);

	vfio_group_set_container(group, container);
	return group;
}

static int file_open(unsigned int kind, int dev, int *container)
{
	int other, group;

	if (!is_group(kind))
		return cdev_open(&devices[0], kind == ADD_BOUND_CDEV);
	if (kind == ADD_COMPAT_GROUP)
		return group_open(&devices[0], *container = iommufd_open());

	*container = vfio_container_open();
	group = group_open(&devices[0], *container);
	vfio_container_use_iommu(*container);
	if (kind == ADD_SECOND_GROUP) {
		other = group_open(&devices[1], *container);
		kvm_vfio_add(dev, other);
	}
	if (kind == ADD_SECOND_VM)
		kvm_vfio_add(kvm_vfio_create(kvm_vm_open()), group);
	return group;
}

FIXTURE(fail_nth)
{
	struct vfio_before before;
	int vm;
	int dev;
	int file;
	int container;	/* or the iommufd of the group */
};

FIXTURE_VARIANT(fail_nth)
{
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(fail_nth, group)
{
	.kind = ADD_GROUP,
};

FIXTURE_VARIANT_ADD(fail_nth, second_group)
{
	.kind = ADD_SECOND_GROUP,
};

FIXTURE_VARIANT_ADD(fail_nth, group_on_iommufd)
{
	.kind = ADD_COMPAT_GROUP,
};

FIXTURE_VARIANT_ADD(fail_nth, cdev)
{
	.kind = ADD_CDEV,
};

FIXTURE_VARIANT_ADD(fail_nth, bound_cdev)
{
	.kind = ADD_BOUND_CDEV,
};

FIXTURE_VARIANT_ADD(fail_nth, second_vm)
{
	.kind = ADD_SECOND_VM,
};

FIXTURE_SETUP(fail_nth)
{
	if (!have_cdev && (variant->kind == ADD_COMPAT_GROUP ||
			   variant->kind == ADD_CDEV ||
			   variant->kind == ADD_BOUND_CDEV))
		SKIP(return, "no iommufd, or no cdevs");
	warn_once_rearm();
	vfio_remember(&self->before);
	self->vm = kvm_vm_open();
	self->dev = kvm_vfio_create(self->vm);
	self->container = -1;
	self->file = file_open(variant->kind, self->dev, &self->container);
	fault_open();
}

FIXTURE_TEARDOWN(fail_nth)
{
	unsigned int i;

	vfio_close_all(&self->before);
	for (i = 0; i < ARRAY_SIZE(devices); i++)
		EXPECT_TRUE(vfio_group_is_free(devices[i].group));
	/* This would hang if a cdev were still held. */
	if (!is_group(variant->kind)) {
		EXPECT_EQ(0, __sysfs_write("/sys/bus/pci/drivers/vfio-pci/unbind",
					   devices[0].bdf));
		vfio_bind(devices[0].bdf);
	}
	EXPECT_TRUE(vfio_nothing_left(&self->before));
}

static bool can_leave(unsigned int kind)
{
	return kind == ADD_GROUP || kind == ADD_SECOND_GROUP ||
	       kind == ADD_COMPAT_GROUP;
}

/* A group that is not held can leave its container.  It joins it again. */
static bool leaves_and_joins(unsigned int kind, int group, int container)
{
	int ret = __vfio_group_unset_container(group);

	if (ret) {
		ksft_print_msg("UNSET_CONTAINER: %d\n", ret);
		return false;
	}
	vfio_group_set_container(group, container);
	if (kind == ADD_GROUP)
		vfio_container_use_iommu(container);
	return true;
}

static bool is_not_held(int dev, int file)
{
	return __kvm_vfio_del(dev, file) == -ENOENT;
}

struct sweep {
	unsigned int failed;	/* with ENOMEM */
	unsigned int made_good;
};

static void print_sweep(const char *what, const struct sweep *sweep)
{
	ksft_print_msg("%s: %u allocations; %u failures refuse it, %u are made good\n",
		       what, sweep->failed + sweep->made_good, sweep->failed,
		       sweep->made_good);
}

/* One ADD with its nth allocation failing; false if it has fewer than n. */
static bool add_fails(int dev, int file, unsigned int nth, struct sweep *sweep)
{
	struct vfio_refs before, after;
	unsigned int left;
	int ret;

	vfio_refs_read(&before);
	fault_arm(nth);
	ret = __kvm_vfio_add(dev, file);
	left = fault_disarm();
	if (!ret) {
		VFIO_ASSERT(__kvm_vfio_add(dev, file) == -EEXIST, "not added");
		kvm_vfio_del(dev, file);
		sweep->made_good += !left;
		return !left;
	}
	VFIO_ASSERT(ret == -ENOMEM && !left, "ADD: %d, allocation %u of %u", ret,
		    nth - left, nth);
	VFIO_ASSERT(is_not_held(dev, file), "held after ENOMEM");
	vfio_refs_read(&after);
	VFIO_ASSERT(vfio_refs_equal(&before, &after), "use counts after ENOMEM");
	sweep->failed++;
	return true;
}

/*
 * Contract 1.9, 1.13: each allocation of ADD fails once; then the same ADD
 * works.
 */
TEST_F_TIMEOUT(fail_nth, add, TEST_SECONDS)
{
	struct sweep sweep = { 0 };
	unsigned int nth = 1;

	while (add_fails(self->dev, self->file, nth, &sweep)) {
		if (can_leave(variant->kind))
			ASSERT_TRUE(leaves_and_joins(variant->kind, self->file,
						     self->container));
		ASSERT_EQ(0, __kvm_vfio_add(self->dev, self->file));
		ASSERT_EQ(0, __kvm_vfio_del(self->dev, self->file));
		ASSERT_GT(FAULT_MAX, ++nth);
	}
	print_sweep("ADD", &sweep);
	/* The member is allocated, and its external user is a part of it. */
	EXPECT_EQ(1U, sweep.failed);
}

/* Contract 2.7: DEL allocates nothing, so there is nothing that could fail. */
TEST_F(fail_nth, del)
{
	unsigned int i;

	fault_objects();
	for (i = 0; i < 3; i++) {
		kvm_vfio_add(self->dev, self->file);
		fault_arm(FAULT_MAX);
		EXPECT_EQ(0, __kvm_vfio_del(self->dev, self->file));
		EXPECT_EQ((unsigned int)FAULT_MAX, fault_disarm());
		EXPECT_TRUE(is_not_held(self->dev, self->file));
	}
}

/* Contract 2.7: nor does the last close of the device, with one file or two. */
TEST_F(fail_nth, close)
{
	kvm_vfio_add(self->dev, self->file);
	fault_objects();
	fault_arm(FAULT_MAX);
	close(self->dev);
	EXPECT_EQ((unsigned int)FAULT_MAX, fault_disarm());
	self->dev = kvm_vfio_create(self->vm);
	EXPECT_TRUE(is_not_held(self->dev, self->file));
	if (can_leave(variant->kind))
		EXPECT_EQ(0, __vfio_group_unset_container(self->file));
}

/*
 * All steps of a VMM up to a held group, most of which are not KVM-VFIO.
 * Whatever fails, in ADD or before, nothing stays held, the VM can be
 * destroyed, and what worked before still works.  Devices are not opened:  ACPI
 * and vfio-pci of 6.12 use freed memory there when an allocation fails, which
 * is outside of this project.
 */
#define MAX_CHAIN_NTH	2000

struct chain {
	int vm;
	int dev;
	int container;
	int file;
	int device;
};

/* True if the step, or one before it, is refused */
static bool __chain_run(struct chain *chain, unsigned int kind)
{
	int ret;

	if (__vfio_group_set_container(chain->file, chain->container))
		return true;
	if (kind == ADD_GROUP && __vfio_container_use_iommu(chain->container)) {
		ret = __kvm_vfio_add(chain->dev, chain->file);
		VFIO_ASSERT(ret == -EINVAL, "ADD without an IOMMU: %d", ret);
		return true;
	}
	ret = __kvm_vfio_add(chain->dev, chain->file);
	VFIO_ASSERT(!ret || ret == -ENOMEM, "ADD: %d", ret);
	return ret;
}

static void chain_open(struct chain *chain, unsigned int kind)
{
	chain->vm = kvm_vm_open();
	chain->dev = kvm_vfio_create(chain->vm);
	chain->container = kind == ADD_GROUP ? vfio_container_open() :
					       iommufd_open();
	chain->file = vfio_group_open(devices[0].group);
	chain->device = -1;
}

/* The device keeps its VM, so everything must be closed before the check. */
static bool chain_close(struct chain *chain)
{
	bool gone;
	int group;

	close(chain->device);
	close(chain->file);
	close(chain->dev);
	close(chain->container);
	close(chain->vm);
	gone = !vm_is_there(chain->vm);
	group = __vfio_group_open(devices[0].group);
	close(group);
	return gone && group >= 0;
}

FIXTURE(chain)
{
	int log;
};

FIXTURE_VARIANT(chain)
{
	unsigned int kind;
};

FIXTURE_VARIANT_ADD(chain, group)
{
	.kind = ADD_GROUP,
};

FIXTURE_VARIANT_ADD(chain, group_on_iommufd)
{
	.kind = ADD_COMPAT_GROUP,
};

FIXTURE_SETUP(chain)
{
	if (!have_cdev && variant->kind != ADD_GROUP)
		SKIP(return, "no iommufd, or no cdevs");
	warn_once_rearm();
	self->log = kmsg_open();
	fault_open();
}

FIXTURE_TEARDOWN(chain)
{
	EXPECT_EQ(0U, kmsg_splats(self->log));
}

/* Contract 1.9, 1.13 */
TEST_F_TIMEOUT(chain, each_allocation_fails, TEST_SECONDS)
{
	struct sweep sweep = { 0 };
	unsigned int nth, left = 0;
	struct chain chain;
	bool failed;

	for (nth = 1; !left; nth++) {
		ASSERT_GT(MAX_CHAIN_NTH, nth);
		chain_open(&chain, variant->kind);
		fault_arm(nth);
		failed = __chain_run(&chain, variant->kind);
		left = fault_disarm();
		ASSERT_FALSE(failed && left);
		if (!failed)
			chain.device = vfio_group_device(chain.file,
							 devices[0].bdf);
		if (failed)
			sweep.failed++;
		else if (!left)
			sweep.made_good++;
		ASSERT_TRUE(chain_close(&chain));
	}
	print_sweep("the chain", &sweep);
	EXPECT_LE(2U, sweep.failed);
}

/*
 * KVM_CREATE_DEVICE
 */
FIXTURE(create)
{
	int log;
	int vm;
};

FIXTURE_SETUP(create)
{
	warn_once_rearm();
	self->log = kmsg_open();
	self->vm = kvm_vm_open();
	fault_open();
}

FIXTURE_TEARDOWN(create)
{
	EXPECT_TRUE(vm_is_there(self->vm));
	close(self->vm);
	EXPECT_FALSE(vm_is_there(self->vm));
	EXPECT_EQ(0U, kmsg_splats(self->log));
}

/* Contract 1, 2: a device that could not be made does not stop the next one. */
TEST_F_TIMEOUT(create, create, TEST_SECONDS)
{
	struct sweep sweep = { 0 };
	unsigned int nth, left = 0;
	int dev, next;

	for (nth = 1; !left; nth++) {
		ASSERT_GT(FAULT_MAX, nth);
		fault_arm(nth);
		dev = __kvm_vfio_create(self->vm, 0);
		left = fault_disarm();
		if (dev < 0) {
			ASSERT_EQ(-ENOMEM, dev);
			ASSERT_EQ(0U, left);
			sweep.failed++;
			dev = __kvm_vfio_create(self->vm, 0);
			ASSERT_LE(0, dev);
		} else if (!left) {
			sweep.made_good++;
		}
		next = __kvm_vfio_create(self->vm, 0);
		ASSERT_EQ(-EBUSY, next);
		close(dev);
	}
	print_sweep("KVM_CREATE_DEVICE", &sweep);
	/* The device, ours, and its file. */
	EXPECT_LE(3U, sweep.failed);
}

/* Contract 2.7: the close of a device without files. */
TEST_F(create, close_empty)
{
	int dev = kvm_vfio_create(self->vm);

	fault_objects();
	fault_arm(FAULT_MAX);
	close(dev);
	EXPECT_EQ((unsigned int)FAULT_MAX, fault_disarm());
}

/*
 * Checks that a failure is noticed, and that an operation that allocates is
 * told apart from one that does not.  Opening a file is known to allocate.
 */
TEST(faults_are_injected)
{
	unsigned int left;
	int fd;

	fault_open();
	fault_arm(1);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(-1, fd);
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(0U, fault_disarm());
	fault_arm(FAULT_MAX);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	left = fault_disarm();
	EXPECT_LE(0, fd);
	EXPECT_GT((unsigned int)FAULT_MAX, left);
}

int main(int argc, char **argv)
{
	vfio_test_init(devices, ARRAY_SIZE(devices), 2);
	if (!fault_possible())
		ksft_exit_skip("no fault injection in this kernel\n");
	have_cdev = !access("/dev/iommu", R_OK | W_OK) &&
		    !access("/dev/vfio/devices", F_OK);
	fault_open();
	return test_harness_run(argc, argv);
}
