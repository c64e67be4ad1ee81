// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups with an emulated IOMMU (mdev) on POWER have no hardware tables.  No IOMMU driver
 * of this architecture accepts one, so that of the lab's module (tests/lab/module) is used.
 * It does not load on stock, where a group can be added without a container.
 *
 *	tests/lab/run --module mdev --module mtty --module kvm_vfio_lab ...
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "kvm_vfio_lab.h"
#include "vfio_mdev_test.h"
#include "vfio_probe.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
static int __set_lab(int container)
{
	return ioctl(container, VFIO_SET_IOMMU, KVM_VFIO_LAB_TYPE(0)) ? -errno : 0;
}

FIXTURE(emulated)
{
	struct start start;
	int vm;
	int dev;
	int group;
};

FIXTURE_SETUP(emulated)
{
	int container;

	start(&self->start);
	self->vm = kvm_vm_open();
	self->dev = kvm_vfio_create(self->vm);
	if (access("/dev/" KVM_VFIO_LAB_DEVICE, R_OK | W_OK)) {
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

int main(int argc, char **argv)
{
	return mdev_test_run(argc, argv);
}
#else
int main(void)
{
	ksft_exit_skip("POWER only\n");
}
#endif
