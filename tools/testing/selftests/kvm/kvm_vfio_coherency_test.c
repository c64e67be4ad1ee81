// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contract 6: which of the groups that a VM holds count as noncoherent.  The
 * tests watch when KVM is told about the begin and the end of noncoherent DMA,
 * which is with the first and with the last group that counts.
 *
 * This file tests groups of emulated devices (mdev), which do no DMA of their
 * own, and real groups behind the machine's own IOMMU.  For answers that this
 * IOMMU cannot give, and for when containers are asked, see
 * kvm_vfio_lab_test.c; for cdevs of real devices see kvm_vfio_iommufd_test.c.
 *
 * Needs mtty, which scripts/lab-module builds, and mdev.  Uses kvm_vfio_lab if
 * it is loaded:
 *
 *	tests/lab/run --module mdev --module mtty --module kvm_vfio_lab ...
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "kvm_vfio_lab.h"
#include "vfio_hold.h"
#include "vfio_probe.h"
#include "vfio_util.h"

#define MTTY_CREATE	"/sys/class/mtty/mtty/mdev_supported_types/mtty-1/create"
#define MDEV_DEVICES	"/sys/bus/mdev/devices"
#define NR_REAL		2
#define NR_MDEVS	3
#define NR_CYCLES	50
#define PATH_SIZE	256

static struct vfio_test_device devices[NR_REAL];

/* Emulated devices; each is in a group of its own */
struct mdev {
	const char *uuid;
	unsigned int group;
};

static struct mdev mdevs[NR_MDEVS] = {
	{ .uuid = "6b766d00-7666-696f-0000-000000000001" },
	{ .uuid = "6b766d00-7666-696f-0000-000000000002" },
	{ .uuid = "6b766d00-7666-696f-0000-000000000003" },
};

static bool mdev_exists(const struct mdev *mdev)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s", mdev->uuid);
	return !access(path, F_OK);
}

/* The group gets another number each time. */
static void mdev_create(struct mdev *mdev)
{
	char path[PATH_SIZE], target[PATH_SIZE];
	ssize_t length;
	int ret;

	if (!mdev_exists(mdev)) {
		ret = __sysfs_write(MTTY_CREATE, mdev->uuid);
		VFIO_ASSERT(!ret, "create %s: %d", mdev->uuid, ret);
	}
	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/iommu_group", mdev->uuid);
	length = readlink(path, target, sizeof(target) - 1);
	VFIO_ASSERT(length > 0, "%s is in no group", mdev->uuid);
	target[length] = '\0';
	mdev->group = strtoul(strrchr(target, '/') + 1, NULL, 10);
}

static int __mdev_remove(const struct mdev *mdev)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/remove", mdev->uuid);
	return __sysfs_write(path, "1");
}

static int group_in(int container, unsigned int number)
{
	int group = vfio_group_open(number);

	vfio_group_set_container(group, container);
	return group;
}

/*
 * The lab module, if it is there
 */
static bool have_lab(void)
{
	return !access("/dev/" KVM_VFIO_LAB_DEVICE, R_OK | W_OK);
}

static int __set_lab(int container)
{
	return ioctl(container, VFIO_SET_IOMMU, KVM_VFIO_LAB_TYPE(0)) ? -errno : 0;
}

/* What every test starts with, and what must be true after it */
enum {
	PROBE_REGISTER,
	PROBE_UNREGISTER,
	PROBE_MAX
};

/* No other architecture than x86 has these functions. */
static struct vfio_probe probes[PROBE_MAX] = {
#ifdef __x86_64__
	[PROBE_REGISTER] = VFIO_PROBE("register", "kvm_arch_register_noncoherent_dma"),
	[PROBE_UNREGISTER] = VFIO_PROBE("unregister",
					"kvm_arch_unregister_noncoherent_dma"),
#endif
};

struct start {
	struct vfio_before before;
	unsigned long hits[PROBE_MAX];
};

static unsigned int hits(const struct start *start, unsigned int probe)
{
	return probes[probe].is_set ? vfio_probe_hits(&probes[probe]) - start->hits[probe] : 0;
}

static void start(struct start *start)
{
	unsigned int i;

	for (i = 0; i < NR_REAL; i++)
		vfio_bind(devices[i].bdf);
	for (i = 0; i < NR_MDEVS; i++)
		mdev_create(&mdevs[i]);
	warn_once_rearm();
	vfio_remember(&start->before);
	for (i = 0; i < PROBE_MAX; i++)
		if (probes[i].is_set)
			start->hits[i] = vfio_probe_hits(&probes[i]);
}

static bool is_clean(struct start *start)
{
	bool ok = true;
	unsigned int i;

	vfio_close_all(&start->before);
	for (i = 0; i < NR_REAL; i++) {
		vfio_bind(devices[i].bdf);
		ok &= vfio_group_is_free(devices[i].group);
	}
	for (i = 0; i < NR_MDEVS; i++) {
		mdev_create(&mdevs[i]);
		ok &= vfio_group_is_free(mdevs[i].group);
	}
	ok &= answer("ends of noncoherent DMA", hits(start, PROBE_REGISTER),
		     hits(start, PROBE_UNREGISTER));
	ok &= vfio_nothing_left(&start->before);
	return ok;
}

#ifndef __KVM_HAVE_SPAPR_TCE

/*
 * Does a group of this machine count?  There is one IOMMU, so it is the same
 * for all groups.
 */
static bool weak;

static void find_weak(void)
{
	int container = vfio_container_open();
	int group = group_in(container, devices[0].group);

	vfio_container_use_iommu(container);
	weak = ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU) <= 0;
	close(group);
	close(container);
}

/* How often KVM was told since the test began */
static bool told(const struct start *start, unsigned int begun, unsigned int ended)
{
	bool ok = true;

	ok &= answer("begins of noncoherent DMA", begun, hits(start, PROBE_REGISTER));
	ok &= answer("ends of noncoherent DMA", ended, hits(start, PROBE_UNREGISTER));
	return ok;
}

FIXTURE(coherency)
{
	struct start start;
	int vm;
	int dev;
};

FIXTURE_SETUP(coherency)
{
	start(&self->start);
	self->vm = kvm_vm_open();
	self->dev = kvm_vfio_create(self->vm);
}

FIXTURE_TEARDOWN(coherency)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/* A container of its own */
static int group_alone(unsigned int number)
{
	int container = vfio_container_open();
	int group = group_in(container, number);

	vfio_container_use_iommu(container);
	close(container);
	return group;
}

/*
 * Contract 1.19: An emulated group is held like any other, and its device
 * works.
 */
TEST_F(coherency, defect9_mdev_unset_container_while_held)
{
	int group = group_alone(mdevs[0].group), device;

	kvm_vfio_add(self->dev, group);
	EXPECT_EQ(-EEXIST, __kvm_vfio_add(self->dev, group));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(group));
	EXPECT_EQ(-EBUSY, __vfio_group_open(mdevs[0].group));
	device = vfio_group_device(group, mdevs[0].uuid);
	kvm_vfio_del(self->dev, group);
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->dev, group));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(group));
	close(device);
	EXPECT_EQ(0, __vfio_group_unset_container(group));
}

/* Contract 6.3: All steps of a VMM, from the first to the last */
TEST_F(coherency, defect24_mdev_alone)
{
	int group = group_alone(mdevs[0].group), device;

	kvm_vfio_add(self->dev, group);
	EXPECT_TRUE(told(&self->start, 0, 0));
	device = vfio_group_device(group, mdevs[0].uuid);
	close(device);
	kvm_vfio_del(self->dev, group);
	kvm_vfio_add(self->dev, group);
	close(self->dev);
	EXPECT_TRUE(told(&self->start, 0, 0));
}

/* Contract 6.3: Several emulated groups make no difference either. */
TEST_F(coherency, defect24_many_mdevs)
{
	int container = vfio_container_open();
	int group[NR_MDEVS];
	unsigned int i;

	for (i = 0; i < NR_MDEVS; i++)
		group[i] = group_in(container, mdevs[i].group);
	vfio_container_use_iommu(container);
	for (i = 0; i < NR_MDEVS; i++)
		kvm_vfio_add(self->dev, group[i]);
	EXPECT_TRUE(told(&self->start, 0, 0));
	for (i = 0; i < NR_MDEVS; i++)
		kvm_vfio_del(self->dev, group[i]);
	EXPECT_TRUE(told(&self->start, 0, 0));
}

/*
 * Contract 6.3: The host takes the device away: DEL of what is left does not
 * count either.
 */
TEST_F(coherency, defect24_mdev_is_removed)
{
	int group = group_alone(mdevs[0].group);

	kvm_vfio_add(self->dev, group);
	EXPECT_EQ(0, __mdev_remove(&mdevs[0]));
	EXPECT_FALSE(mdev_exists(&mdevs[0]));
	EXPECT_TRUE(told(&self->start, 0, 0));
	kvm_vfio_del(self->dev, group);
	close(group);
	EXPECT_TRUE(told(&self->start, 0, 0));
	mdev_create(&mdevs[0]);
	kvm_vfio_add(self->dev, group_alone(mdevs[0].group));
	EXPECT_TRUE(told(&self->start, 0, 0));
}

/*
 * A real group and an emulated one, in the same container or not:  KVM is told
 * about the real one only, and neither affects the other.
 */
FIXTURE(beside_real)
{
	struct start start;
	int dev;
	int group[2];	/* the real one, the emulated one */
};

FIXTURE_VARIANT(beside_real)
{
	bool together;
};

FIXTURE_VARIANT_ADD(beside_real, in_one_container)
{
	.together = true,
};

FIXTURE_VARIANT_ADD(beside_real, in_two_containers)
{
	.together = false,
};

FIXTURE_SETUP(beside_real)
{
	int container;

	start(&self->start);
	self->dev = kvm_vfio_create(kvm_vm_open());
	if (!variant->together) {
		self->group[0] = group_alone(devices[0].group);
		self->group[1] = group_alone(mdevs[0].group);
		return;
	}
	container = vfio_container_open();
	self->group[0] = group_in(container, devices[0].group);
	vfio_container_use_iommu(container);
	self->group[1] = group_in(container, mdevs[0].group);
}

FIXTURE_TEARDOWN(beside_real)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/* Contract 6.3 */
TEST_F(beside_real, defect24_mdev_in_each_order)
{
	unsigned int n, step, i, begun = 0, ended = 0;

	for (n = 0; n < 4; n++) {
		for (step = 0; step < 2; step++) {
			i = step ^ (n & 1);
			kvm_vfio_add(self->dev, self->group[i]);
			begun += weak && i == 0;
			EXPECT_TRUE(told(&self->start, begun, ended));
		}
		for (step = 0; step < 2; step++) {
			i = step ^ (n >> 1);
			kvm_vfio_del(self->dev, self->group[i]);
			ended += weak && i == 0;
			EXPECT_TRUE(told(&self->start, begun, ended));
		}
	}
}

/*
 * Contract 6.3: Whatever happens to the emulated group does not affect the one
 * that is held.
 */
TEST_F(beside_real, mdev_joins_and_leaves)
{
	kvm_vfio_add(self->dev, self->group[0]);
	close(vfio_group_device(self->group[1], mdevs[0].uuid));
	vfio_group_unset_container(self->group[1]);
	EXPECT_TRUE(told(&self->start, weak, 0));
	close(self->group[1]);
	EXPECT_EQ(0, __mdev_remove(&mdevs[0]));
	EXPECT_TRUE(told(&self->start, weak, 0));
	kvm_vfio_del(self->dev, self->group[0]);
	EXPECT_TRUE(told(&self->start, weak, weak));
}

/*
 * Real groups
 */

/*
 * Contract 6.1: KVM is told about the first ADD and the last DEL, whichever
 * groups these are.
 */
TEST_F(coherency, real_groups_in_each_order)
{
	int container = vfio_container_open();
	unsigned int n, begun = 0;
	int group[NR_REAL];

	group[0] = group_in(container, devices[0].group);
	group[1] = group_in(container, devices[1].group);
	vfio_container_use_iommu(container);
	for (n = 0; n < 4; n++) {
		kvm_vfio_add(self->dev, group[n & 1]);
		begun += weak;
		EXPECT_TRUE(told(&self->start, begun, begun - weak));
		kvm_vfio_add(self->dev, group[!(n & 1)]);
		EXPECT_EQ(-EEXIST, __kvm_vfio_add(self->dev, group[0]));
		EXPECT_TRUE(told(&self->start, begun, begun - weak));
		kvm_vfio_del(self->dev, group[n >> 1]);
		EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->dev, group[n >> 1]));
		EXPECT_TRUE(told(&self->start, begun, begun - weak));
		kvm_vfio_del(self->dev, group[!(n >> 1)]);
		EXPECT_TRUE(told(&self->start, begun, begun));
	}
	/* One close releases both. */
	kvm_vfio_add(self->dev, group[0]);
	kvm_vfio_add(self->dev, group[1]);
	close(self->dev);
	EXPECT_TRUE(told(&self->start, begun + weak, begun + weak));
}

/*
 * After any number of ADDs and DELs, some of them refused, the state is that of
 * the start.
 */
TEST_F(coherency, cycles_end_where_they_began)
{
	int group = group_alone(devices[0].group);
	unsigned int i;

	for (i = 1; i <= NR_CYCLES; i++) {
		kvm_vfio_add(self->dev, group);
		EXPECT_EQ(-EEXIST, __kvm_vfio_add(self->dev, group));
		if (i % 3) {
			kvm_vfio_del(self->dev, group);
			EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->dev, group));
		} else {
			close(self->dev);
			self->dev = kvm_vfio_create(self->vm);
		}
		ASSERT_TRUE(told(&self->start, i * weak, i * weak));
	}
}

/* KVM is told for each VM separately. */
TEST_F(coherency, two_vms)
{
	int other = kvm_vfio_create(kvm_vm_open());
	int group = group_alone(devices[0].group);

	kvm_vfio_add(self->dev, group);
	kvm_vfio_add(other, group);
	EXPECT_TRUE(told(&self->start, 2 * weak, 0));
	kvm_vfio_del(self->dev, group);
	EXPECT_TRUE(told(&self->start, 2 * weak, weak));
	close(other);
	EXPECT_TRUE(told(&self->start, 2 * weak, 2 * weak));
}

/* A separate VMM, killed as soon as it holds both groups */
static void hold_and_wait(int ready)
{
	int dev = kvm_vfio_create(kvm_vm_open());

	kvm_vfio_add(dev, group_alone(devices[0].group));
	kvm_vfio_add(dev, group_alone(devices[1].group));
	if (write(ready, "", 1) == 1)
		for (;;)
			pause();
	_exit(1);
}

TEST_F(coherency, holder_is_killed)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		hold_and_wait(ready[1]);
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	EXPECT_TRUE(told(&self->start, weak, 0));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(told(&self->start, weak, weak));
}

/*
 * Contract 6.2: Groups join the container and leave it, held or not, and DMA is
 * mapped.
 */
TEST_F(coherency, fixed_while_the_container_changes)
{
	int container = vfio_container_open();
	int held = group_in(container, devices[0].group), other, mdev;
	void *buffer = vfio_dma_buffer(4096);

	vfio_container_use_iommu(container);
	kvm_vfio_add(self->dev, held);
	other = group_in(container, devices[1].group);
	mdev = group_in(container, mdevs[0].group);
	EXPECT_EQ(0, __vfio_dma_map(container, buffer, VFIO_TEST_IOVA, 4096));
	close(vfio_group_device(other, devices[1].bdf));
	EXPECT_TRUE(told(&self->start, weak, 0));
	vfio_group_unset_container(mdev);
	kvm_vfio_add(self->dev, other);
	kvm_vfio_del(self->dev, other);
	vfio_group_unset_container(other);
	EXPECT_TRUE(told(&self->start, weak, 0));
	kvm_vfio_del(self->dev, held);
	EXPECT_TRUE(told(&self->start, weak, weak));
}

/*
 * What vfio-noncoherent-dma.rst tells administrators: snoop control, in the
 * capabilities of the Intel IOMMUs behind the group's devices, shows which
 * groups count.
 */
#define ECAP_SNOOP_CONTROL	0x80

static bool intel_forbids_no_snoop(const struct vfio_test_device *device)
{
	char path[PATH_SIZE];
	unsigned long ecap;
	FILE *f;

	snprintf(path, sizeof(path),
		 "/sys/kernel/iommu_groups/%u/devices/%s/iommu/intel-iommu/ecap",
		 device->group, device->bdf);
	f = fopen(path, "re");
	VFIO_ASSERT(f && fscanf(f, "%lx", &ecap) == 1, "read %s", path);
	fclose(f);
	return ecap & ECAP_SNOOP_CONTROL;
}

TEST_F(coherency, sysfs_tells_which)
{
	unsigned int i, before;
	int group;

	for (i = 0; i < NR_REAL; i++) {
		group = group_alone(devices[i].group);
		before = hits(&self->start, PROBE_REGISTER);
		kvm_vfio_add(self->dev, group);
		EXPECT_EQ(!intel_forbids_no_snoop(&devices[i]),
			  hits(&self->start, PROBE_REGISTER) - before);
		kvm_vfio_del(self->dev, group);
	}
}

/*
 * Another IOMMU in the same container: the lab's driver answers for the whole
 * container.
 */
static void lab_answer_coherent(int container, int coherent)
{
	struct kvm_vfio_lab_behaviour behaviour = {
		.coherent = coherent,
		.unknown = -ENOTTY,
	};

	VFIO_ASSERT(!ioctl(container, KVM_VFIO_LAB_SET_BEHAVIOUR, &behaviour),
		    "KVM_VFIO_LAB_SET_BEHAVIOUR");
}

/*
 * Contract 6.1, 6.2: A noncoherent group joins a coherent container, which
 * answers no from then on.
 */
TEST_F(coherency, joined_by_a_noncoherent_group)
{
	int container = vfio_container_open(), first, second, mdev;

	if (!have_lab())
		SKIP(return, "kvm_vfio_lab is not loaded");
	first = group_in(container, devices[0].group);
	ASSERT_EQ(0, __set_lab(container));
	lab_answer_coherent(container, 1);
	kvm_vfio_add(self->dev, first);
	second = group_in(container, devices[1].group);
	mdev = group_in(container, mdevs[0].group);
	lab_answer_coherent(container, 0);
	EXPECT_TRUE(told(&self->start, 0, 0));
	kvm_vfio_add(self->dev, mdev);
	EXPECT_TRUE(told(&self->start, 0, 0));
	kvm_vfio_add(self->dev, second);
	EXPECT_TRUE(told(&self->start, weak, 0));

	/* The coherent group still counts as coherent at its DEL. */
	kvm_vfio_del(self->dev, first);
	kvm_vfio_del(self->dev, mdev);
	EXPECT_TRUE(told(&self->start, weak, 0));
	/*
	 * The container may answer yes again; the noncoherent group stays
	 * noncoherent.
	 */
	lab_answer_coherent(container, 1);
	kvm_vfio_add(self->dev, first);
	EXPECT_TRUE(told(&self->start, weak, 0));
	kvm_vfio_del(self->dev, second);
	EXPECT_TRUE(told(&self->start, weak, weak));
	kvm_vfio_del(self->dev, first);
	EXPECT_TRUE(told(&self->start, weak, weak));
}

/*
 * iommufd
 */
static int mdev_cdev_open(const struct mdev *mdev)
{
	char path[PATH_SIZE], node[PATH_SIZE] = "";
	struct dirent *entry;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/vfio-dev", mdev->uuid);
	dir = opendir(path);
	VFIO_ASSERT(dir, "open %s", path);
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "vfio", 4))
			snprintf(node, sizeof(node), "/dev/vfio/devices/%.64s",
				 entry->d_name);
	closedir(dir);
	fd = open(node, O_RDWR | O_CLOEXEC);
	VFIO_ASSERT(fd >= 0, "open of the cdev %s", node);
	return fd;
}

/* Contract 6.3 */
TEST_F(coherency, defect24_mdev_on_an_iommufd)
{
	int iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	int group;

	if (iommufd < 0)
		SKIP(return, "this kernel has no iommufd");
	group = group_in(iommufd, mdevs[0].group);
	kvm_vfio_add(self->dev, group);
	close(vfio_group_device(group, mdevs[0].uuid));
	EXPECT_TRUE(told(&self->start, 0, 0));
	kvm_vfio_del(self->dev, group);
	EXPECT_TRUE(told(&self->start, 0, 0));
}

/*
 * Contract 6.3: Before and after the bind, and beside the cdev of a real device
 */
TEST_F(coherency, defect24_mdev_cdev)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	int iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	int real, cdev, i;

	if (iommufd < 0)
		SKIP(return, "this kernel has no iommufd");
	cdev = mdev_cdev_open(&mdevs[0]);
	real = group_alone(devices[0].group);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, __kvm_vfio_add(self->dev, cdev));
		EXPECT_TRUE(told(&self->start, i * weak, i * weak));
		kvm_vfio_add(self->dev, real);
		EXPECT_TRUE(told(&self->start, (i + 1) * weak, i * weak));
		kvm_vfio_del(self->dev, real);
		EXPECT_TRUE(told(&self->start, (i + 1) * weak, (i + 1) * weak));
		kvm_vfio_del(self->dev, cdev);
		bind.iommufd = iommufd;
		if (!i)
			EXPECT_EQ(0, ioctl(cdev, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	}
	EXPECT_TRUE(told(&self->start, 2 * weak, 2 * weak));
}

#else

/* POWER: no noncoherent DMA, but groups without hardware tables */
FIXTURE(emulated)
{
	struct start start;
	int vm;
	int dev;
	int group;
};

/*
 * No IOMMU driver of this architecture accepts an emulated group, so the lab's
 * driver is used.  It does not load on stock, where a group can be added
 * without a container.
 */
FIXTURE_SETUP(emulated)
{
	int container;

	start(&self->start);
	self->vm = kvm_vm_open();
	self->dev = kvm_vfio_create(self->vm);
	if (!have_lab()) {
		self->group = vfio_group_open(mdevs[0].group);
		return;
	}
	container = vfio_container_open();
	self->group = group_in(container, mdevs[0].group);
	VFIO_ASSERT(!__set_lab(container), "VFIO_SET_IOMMU of the lab's driver");
	close(container);
}

FIXTURE_TEARDOWN(emulated)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/* Contract 4.7 */
TEST_F(emulated, defect14_no_hardware_tables)
{
	int table = kvm_tce_table(self->vm, 1, 1UL << 30);

	kvm_vfio_add(self->dev, self->group);
	EXPECT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	EXPECT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	kvm_vfio_del(self->dev, self->group);
	EXPECT_EQ(-ENOENT, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	kvm_vfio_add(self->dev, self->group);
	EXPECT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	close(table);
	close(self->dev);
}

/* Contract 4.7: The answer must not need the device. */
TEST_F(emulated, defect14_device_is_removed)
{
	int table = kvm_tce_table(self->vm, 1, 1UL << 30);

	kvm_vfio_add(self->dev, self->group);
	EXPECT_EQ(0, __mdev_remove(&mdevs[0]));
	EXPECT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	kvm_vfio_del(self->dev, self->group);
}

#endif /* __KVM_HAVE_SPAPR_TCE */

int main(int argc, char **argv)
{
	unsigned int i;
	int ret;

	if (access(MTTY_CREATE, W_OK))
		ksft_exit_skip("the module mtty is not loaded\n");
	vfio_test_init(devices, NR_REAL, NR_REAL);
	debugfs_mount();
#ifndef __KVM_HAVE_SPAPR_TCE
	vfio_probes_set(probes, PROBE_MAX);
	find_weak();
#endif
	ret = test_harness_run(argc, argv);
	vfio_probes_remove();
	for (i = 0; i < NR_MDEVS; i++)
		if (mdev_exists(&mdevs[i]))
			__mdev_remove(&mdevs[i]);
	return ret;
}
