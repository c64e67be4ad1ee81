// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contract 6: which of the groups that a VM holds count as noncoherent.  The
 * tests watch when KVM is told about the begin and the end of noncoherent DMA,
 * which is with the first and with the last group that counts.
 *
 * This file tests groups of emulated devices (mdev), and real groups behind
 * the machine's own IOMMU; for cdevs of real devices see
 * kvm_vfio_iommufd_test.c.  It needs the modules mdev and mtty
 * (samples/vfio-mdev), and two devices as kvm_vfio_test.c does.
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
#include "vfio_hold.h"
#include "vfio_mdev_test.h"
#include "vfio_probe.h"
#include "vfio_util.h"

#define NR_CYCLES	50

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

/* -1: it is another IOMMU */
static int intel_forbids_no_snoop(const struct vfio_test_device *device)
{
	char path[PATH_SIZE];
	unsigned long ecap;
	FILE *f;

	snprintf(path, sizeof(path),
		 "/sys/kernel/iommu_groups/%u/devices/%s/iommu/intel-iommu/ecap",
		 device->group, device->bdf);
	f = fopen(path, "re");
	if (!f)
		return -1;
	VFIO_ASSERT(fscanf(f, "%lx", &ecap) == 1, "read %s", path);
	fclose(f);
	return !!(ecap & ECAP_SNOOP_CONTROL);
}

TEST_F(coherency, sysfs_tells_which)
{
	unsigned int i, before;
	int group;

	for (i = 0; i < NR_REAL; i++) {
		if (intel_forbids_no_snoop(&devices[i]) < 0)
			SKIP(return, "not an Intel IOMMU");
		group = group_alone(devices[i].group);
		before = hits(&self->start, PROBE_REGISTER);
		kvm_vfio_add(self->dev, group);
		EXPECT_EQ(!intel_forbids_no_snoop(&devices[i]),
			  hits(&self->start, PROBE_REGISTER) - before);
		kvm_vfio_del(self->dev, group);
	}
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

int main(int argc, char **argv)
{
#ifndef __x86_64__
	ksft_exit_skip("no noncoherent DMA on this architecture\n");
#endif
	return mdev_test_run(argc, argv);
}
