// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups with an emulated IOMMU (mdev) in containers that no IOMMU driver of the machine
 * makes: the lab module's (tests/lab/module) does what a test says.  The rest of contract 6
 * is in kvm_vfio_coherency_test.c.
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

#ifndef __KVM_HAVE_SPAPR_TCE

FIXTURE_SETUP(emulated)
{
	start(&self->start);
	self->vm = kvm_vm_open();
	self->dev = kvm_vfio_create(self->vm);
}

FIXTURE_TEARDOWN(emulated)
{
	EXPECT_TRUE(is_clean(&self->start));
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
TEST_F(emulated, joined_by_a_noncoherent_group)
{
	int container = vfio_container_open(), first, second, mdev;

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

#else

/*
 * POWER: no noncoherent DMA, but groups without hardware tables.  No IOMMU driver
 * of this architecture accepts an emulated group, so the lab's driver is used.
 * It does not load on stock, where a group can be added without a container.
 */
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

#endif /* __KVM_HAVE_SPAPR_TCE */

int main(int argc, char **argv)
{
	return mdev_test_run(argc, argv);
}
