// SPDX-License-Identifier: GPL-2.0-only
/*
 * The contract of the KVM-VFIO device, as far as user space of an unmodified
 * distribution kernel can see it: what ADD requires, what it pins, and what
 * releases it.
 *
 * Every test starts with a VM, its KVM-VFIO device, and one group in a
 * container with its IOMMU set.  After every test all of it is closed.  Then it
 * must be possible to open the group, the use counts of the modules must be
 * what they were before, and the kernel log must have no new splat.
 *
 * KVM_VFIO_BDFS names PCI devices that nobody needs, each in an IOMMU group of its own:
 * "0000:01:00.0 0000:02:00.0".  They are taken from their drivers, and vfio-pci has them
 * afterwards.  Two are enough.
 *
 * "defectN_" tests fail on kernels with defect N of the stock device.  Defect
 * 13 is a WARN_ON_ONCE() that nearly every test can reach: it is triggered
 * before the first test, and only the two tests named after it rearm it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_hold.h"
#include "vfio_util.h"

/* Several emulated machines run at a time.  Whatever takes this long hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

#define BUFFER_SIZE	(1024 * 1024UL)
#define CYCLES		1000
#define RACERS		32
#define RACE_ROUNDS	100
#define ORDERS		120	/* 5!, for VMM_NR_FDS */

static struct vfio_test_device devices[8];
static unsigned int nr_devices;

FIXTURE(kvm_vfio)
{
	struct vfio_before before;
	int vm;
	int dev;
	int container;
	int group;
};

FIXTURE_SETUP(kvm_vfio)
{
	vfio_remember(&self->before);
	self->vm = kvm_vm_open();
	self->dev = kvm_vfio_create(self->vm);
	self->container = vfio_container_open();
	self->group = vfio_group_open(devices[0].group);
	vfio_group_set_container(self->group, self->container);
	vfio_container_use_iommu(self->container);
}

/* Contract 2: fds closed in any order, nothing stays held. */
FIXTURE_TEARDOWN(kvm_vfio)
{
	unsigned int i;

	vfio_close_all(&self->before);
	for (i = 0; i < nr_devices; i++)
		EXPECT_TRUE(vfio_group_is_free(devices[i].group));
	EXPECT_TRUE(vfio_nothing_left(&self->before));
}

/* A second group in the same container, which has its IOMMU set already. */
static int join_group(int container, const struct vfio_test_device *device)
{
	int group = vfio_group_open(device->group);

	vfio_group_set_container(group, container);
	return group;
}

static bool refs_unchanged(const struct vfio_refs *before)
{
	struct vfio_refs now;

	vfio_refs_read(&now);
	return vfio_refs_equal(before, &now);
}

#ifdef __KVM_HAVE_SPAPR_TCE
/* Triggers defect 13 in both ways, so that no other test is blamed for it. */
static void defect13_use_up(void)
{
	struct vmm vmm;

	vmm_open(&vmm, &devices[1], false);
	kvm_vfio_del(vmm.fd[VMM_KVM_VFIO], vmm.fd[VMM_GROUP]);
	kvm_vfio_add(vmm.fd[VMM_KVM_VFIO], vmm.fd[VMM_GROUP]);
	vmm_close(&vmm);
}

/* Contract 4.14: ADD then DEL without SET_SPAPR_TCE in between: no WARN. */
TEST_F(kvm_vfio, defect13_del_without_set_spapr_tce)
{
	unsigned int splats;

	warn_once_rearm();
	kvm_vfio_add(self->dev, self->group);
	kvm_vfio_del(self->dev, self->group);
	splats = kmsg_splats(self->before.log);
	defect13_use_up();
	ASSERT_EQ(0U, splats);
}

/* Contract 4.14: ADD then close without SET_SPAPR_TCE in between: no WARN. */
TEST_F(kvm_vfio, defect13_close_without_set_spapr_tce)
{
	unsigned int splats;

	warn_once_rearm();
	kvm_vfio_add(self->dev, self->group);
	close(self->dev);
	splats = kmsg_splats(self->before.log);
	defect13_use_up();
	ASSERT_EQ(0U, splats);
}
#else
static void defect13_use_up(void)
{
}
#endif

/*
 * Attributes
 */

/* Contract 7.1: KVM_HAS_DEVICE_ATTR is 0 for what exists, ENXIO else. */
TEST_F(kvm_vfio, has_attr)
{
	int spapr = -ENXIO;

#ifdef __KVM_HAVE_SPAPR_TCE
	spapr = 0;
#endif
	EXPECT_EQ(0, __kvm_vfio_has_attr(self->dev, KVM_DEV_VFIO_GROUP,
					 KVM_DEV_VFIO_GROUP_ADD));
	EXPECT_EQ(0, __kvm_vfio_has_attr(self->dev, KVM_DEV_VFIO_GROUP,
					 KVM_DEV_VFIO_GROUP_DEL));
	EXPECT_EQ(spapr, __kvm_vfio_has_attr(self->dev, KVM_DEV_VFIO_GROUP,
					     KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE));
	EXPECT_EQ(-ENXIO, __kvm_vfio_has_attr(self->dev, KVM_DEV_VFIO_GROUP, 0));
	EXPECT_EQ(-ENXIO, __kvm_vfio_has_attr(self->dev, KVM_DEV_VFIO_GROUP, 4));
	EXPECT_EQ(-ENXIO, __kvm_vfio_has_attr(self->dev, KVM_DEV_VFIO_GROUP,
					      ULLONG_MAX));
	EXPECT_EQ(-ENXIO, __kvm_vfio_has_attr(self->dev, 0,
					      KVM_DEV_VFIO_GROUP_ADD));
	EXPECT_EQ(-ENXIO, __kvm_vfio_has_attr(self->dev, UINT_MAX,
					      KVM_DEV_VFIO_GROUP_ADD));
}

/* Contract 7.3: unknown group or attr is ENXIO, for SET as well. */
TEST_F(kvm_vfio, set_unknown_attr)
{
	/* One more than 32 bits, so that no truncation turns it into ADD. */
	uint64_t wide = (1ULL << 32) + KVM_DEV_VFIO_GROUP_ADD;
	int32_t fd = self->group;

	EXPECT_EQ(-ENXIO, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP, 0,
					      &fd));
	EXPECT_EQ(-ENXIO, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP, 4,
					      &fd));
	EXPECT_EQ(-ENXIO, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP,
					      wide, &fd));
	EXPECT_EQ(-ENXIO, __kvm_vfio_set_attr(self->dev, 0,
					      KVM_DEV_VFIO_GROUP_ADD, &fd));
	EXPECT_EQ(-ENXIO, __kvm_vfio_set_attr(self->dev, UINT_MAX,
					      KVM_DEV_VFIO_GROUP_ADD, &fd));
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->dev, self->group));
}

/* Contract 7: no attribute can be read; KVM core says EPERM. */
TEST_F(kvm_vfio, get_attr_refused)
{
	int32_t fd = self->group;

	EXPECT_EQ(-EPERM, __kvm_vfio_get_attr(self->dev, KVM_DEV_VFIO_GROUP,
					      KVM_DEV_VFIO_GROUP_ADD, &fd));
}

/* Contract 7.2: GROUP_* and FILE_* share their values, so they mix. */
TEST_F(kvm_vfio, group_and_file_attrs_are_one)
{
	int32_t fd = self->group;

	EXPECT_EQ(KVM_DEV_VFIO_GROUP, KVM_DEV_VFIO_FILE);
	EXPECT_EQ(KVM_DEV_VFIO_GROUP_ADD, KVM_DEV_VFIO_FILE_ADD);
	EXPECT_EQ(KVM_DEV_VFIO_GROUP_DEL, KVM_DEV_VFIO_FILE_DEL);
	ASSERT_EQ(0, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_FILE,
					 KVM_DEV_VFIO_FILE_ADD, &fd));
	ASSERT_EQ(0, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP,
					 KVM_DEV_VFIO_GROUP_DEL, &fd));
}

#ifndef __KVM_HAVE_SPAPR_TCE
/* Contract 4.1: SET_SPAPR_TCE where there is no SPAPR: ENXIO. */
TEST_F(kvm_vfio, set_spapr_tce_unknown)
{
	struct kvm_vfio_spapr_tce arg = { .groupfd = self->group, .tablefd = -1 };

	kvm_vfio_add(self->dev, self->group);
	EXPECT_EQ(-ENXIO, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP,
					      KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE,
					      &arg));
}
#endif

struct fds {
	int dev;
	int group;
};

static int attrs_are_eio(void *arg)
{
	struct fds *fds = arg;

	return __kvm_vfio_add(fds->dev, fds->group) != -EIO ||
	       __kvm_vfio_del(fds->dev, fds->group) != -EIO ||
	       __kvm_vfio_has_attr(fds->dev, KVM_DEV_VFIO_GROUP,
				   KVM_DEV_VFIO_GROUP_ADD) != -EIO;
}

/* Contract 7.4: KVM device ioctls from another mm: EIO. */
TEST_F(kvm_vfio, attrs_from_another_mm)
{
	struct fds fds = { .dev = self->dev, .group = self->group };

	ASSERT_EQ(0, run_in_child(attrs_are_eio, &fds));
	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(0, run_in_child(attrs_are_eio, &fds));
	kvm_vfio_del(self->dev, self->group);
}

/*
 * One device per VM
 */

/* Contract 2.5: while one exists, a second one is EBUSY. */
TEST_F(kvm_vfio, second_device_busy)
{
	int other_vm = kvm_vm_open();

	ASSERT_EQ(-EBUSY, __kvm_vfio_create(self->vm, 0));
	ASSERT_EQ(-EBUSY, __kvm_vfio_create(self->vm, 0));
	ASSERT_LE(0, __kvm_vfio_create(other_vm, 0));
}

/* Contract 2.5: after the close a second KVM_CREATE_DEVICE succeeds. */
TEST_F(kvm_vfio, create_after_close)
{
	close(self->dev);
	self->dev = __kvm_vfio_create(self->vm, 0);
	ASSERT_LE(0, self->dev);
	ASSERT_EQ(-EBUSY, __kvm_vfio_create(self->vm, 0));
	kvm_vfio_add(self->dev, self->group);
}

/* Contract 2.4, 2.5: the same when the close has a group to release. */
TEST_F(kvm_vfio, create_after_close_with_group)
{
	kvm_vfio_add(self->dev, self->group);
	close(self->dev);
	self->dev = __kvm_vfio_create(self->vm, 0);
	ASSERT_LE(0, self->dev);
	ASSERT_EQ(-ENOENT, __kvm_vfio_del(self->dev, self->group));
	ASSERT_EQ(0, __kvm_vfio_add(self->dev, self->group));
}

/* Contract 2.5: KVM_CREATE_DEVICE_TEST creates nothing that would be busy. */
TEST_F(kvm_vfio, create_test_flag)
{
	ASSERT_EQ(0, __kvm_vfio_create(self->vm, KVM_CREATE_DEVICE_TEST));
	close(self->dev);
	ASSERT_EQ(0, __kvm_vfio_create(self->vm, KVM_CREATE_DEVICE_TEST));
	ASSERT_LE(0, __kvm_vfio_create(self->vm, 0));
}

/*
 * What ADD refuses
 */

/* Contract 1.1: argument address unreadable: EFAULT. */
TEST_F(kvm_vfio, unreadable_argument)
{
	void *none = mmap(NULL, getpagesize(), PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *kernel = (void *)(uintptr_t)-4096L;

	ASSERT_NE(MAP_FAILED, none);
	EXPECT_EQ(-EFAULT, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP,
					       KVM_DEV_VFIO_GROUP_ADD, none));
	EXPECT_EQ(-EFAULT, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP,
					       KVM_DEV_VFIO_GROUP_ADD, kernel));
	EXPECT_EQ(-EFAULT, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP,
					       KVM_DEV_VFIO_GROUP_DEL, none));
	EXPECT_EQ(-EFAULT, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP,
					       KVM_DEV_VFIO_GROUP_DEL, kernel));
}

/* Contract 1.2: fd not open: EBADF; an O_PATH fd opens no file either. */
TEST_F(kvm_vfio, add_bad_fd)
{
	int path = open("/dev/vfio/vfio", O_PATH | O_CLOEXEC);
	int closed = dup(self->group);

	ASSERT_LE(0, path);
	ASSERT_LE(0, closed);
	close(closed);
	EXPECT_EQ(-EBADF, __kvm_vfio_add(self->dev, -1));
	EXPECT_EQ(-EBADF, __kvm_vfio_add(self->dev, INT_MIN));
	EXPECT_EQ(-EBADF, __kvm_vfio_add(self->dev, INT_MAX));
	EXPECT_EQ(-EBADF, __kvm_vfio_add(self->dev, closed));
	EXPECT_EQ(-EBADF, __kvm_vfio_add(self->dev, path));
}

/*
 * Contract 1.3: fd is no VFIO file: EINVAL. A container is no VFIO file here.
 */
TEST_F(kvm_vfio, add_other_files)
{
	int regular = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int pipes[2];

	ASSERT_LE(0, regular);
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-EINVAL, __kvm_vfio_add(self->dev, pipes[0]));
	EXPECT_EQ(-EINVAL, __kvm_vfio_add(self->dev, pipes[1]));
	EXPECT_EQ(-EINVAL, __kvm_vfio_add(self->dev, regular));
	EXPECT_EQ(-EINVAL, __kvm_vfio_add(self->dev, kvm_open()));
	EXPECT_EQ(-EINVAL, __kvm_vfio_add(self->dev, self->container));
	EXPECT_EQ(-EINVAL, __kvm_vfio_add(self->dev, self->vm));
	EXPECT_EQ(-EINVAL, __kvm_vfio_add(self->dev, self->dev));
}

/*
 * Contract 1.3: a device fd that came from a group cannot be added; its group
 * can. (Stock accepts it.)
 */
TEST_F(kvm_vfio, device_fd_of_group_refused)
{
	int device = vfio_group_device(self->group, devices[0].bdf);

	ASSERT_EQ(-EINVAL, __kvm_vfio_add(self->dev, device));
	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(-EINVAL, __kvm_vfio_add(self->dev, device));
}

/* Contract 1.4: group without a container: EINVAL. */
TEST_F(kvm_vfio, defect28_group_without_container)
{
	int group = vfio_group_open(devices[1].group);
	struct vfio_refs refs;

	vfio_refs_read(&refs);
	ASSERT_EQ(-EINVAL, __kvm_vfio_add(self->dev, group));
	ASSERT_TRUE(refs_unchanged(&refs));
	ASSERT_EQ(-ENOENT, __kvm_vfio_del(self->dev, group));

	/* The same for one that has left its container. */
	vfio_group_unset_container(self->group);
	ASSERT_EQ(-EINVAL, __kvm_vfio_add(self->dev, self->group));
	close(group);
	vfio_group_open(devices[1].group);
}

/* Contract 1.5: group in a container without VFIO_SET_IOMMU: EINVAL. */
TEST_F(kvm_vfio, defect28_container_without_set_iommu)
{
	int container = vfio_container_open();
	int group = vfio_group_open(devices[1].group);
	struct vfio_refs refs;

	vfio_group_set_container(group, container);
	vfio_refs_read(&refs);
	ASSERT_EQ(-EINVAL, __kvm_vfio_add(self->dev, group));
	ASSERT_TRUE(refs_unchanged(&refs));
	vfio_group_unset_container(group);

	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);
	ASSERT_EQ(0, __kvm_vfio_add(self->dev, group));
}

/* Contract 1.8: the same struct file already in this VM: EEXIST. */
TEST_F(kvm_vfio, add_twice)
{
	int copy = dup(self->group);

	ASSERT_LE(0, copy);
	kvm_vfio_add(self->dev, self->group);
	EXPECT_EQ(-EEXIST, __kvm_vfio_add(self->dev, self->group));
	EXPECT_EQ(-EEXIST, __kvm_vfio_add(self->dev, copy));
	close(self->group);
	EXPECT_EQ(-EEXIST, __kvm_vfio_add(self->dev, copy));
	/* A refused ADD does not count: one DEL is enough. */
	kvm_vfio_del(self->dev, copy);
	ASSERT_EQ(-ENOENT, __kvm_vfio_del(self->dev, copy));
	vfio_group_unset_container(copy);
}

/* Contract 1.13: a refused ADD pins nothing. */
TEST_F(kvm_vfio, refused_add_leaves_nothing)
{
	struct vfio_refs before, held;
	int i;

	vfio_refs_read(&before);
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(-EFAULT, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP,
						       KVM_DEV_VFIO_GROUP_ADD,
						       NULL));
		ASSERT_EQ(-EBADF, __kvm_vfio_add(self->dev, -1));
		ASSERT_EQ(-EINVAL, __kvm_vfio_add(self->dev, self->container));
		ASSERT_EQ(-EINVAL, __kvm_vfio_add(self->dev, self->vm));
	}
	ASSERT_TRUE(refs_unchanged(&before));

	kvm_vfio_add(self->dev, self->group);
	vfio_refs_read(&held);
	for (i = 0; i < 50; i++)
		ASSERT_EQ(-EEXIST, __kvm_vfio_add(self->dev, self->group));
	ASSERT_TRUE(refs_unchanged(&held));

	kvm_vfio_del(self->dev, self->group);
	ASSERT_TRUE(refs_unchanged(&before));
	vfio_group_unset_container(self->group);
}

/* What ADD accepts */

/* Contract 1.10: group in a container with an IOMMU, no device fd open: 0. */
TEST_F(kvm_vfio, add_without_device_fd)
{
	ASSERT_EQ(0, __kvm_vfio_add(self->dev, self->group));
}

/* Contract 1.10: the same with a device fd open; and opened afterwards. */
TEST_F(kvm_vfio, add_with_device_fd)
{
	int device = vfio_group_device(self->group, devices[0].bdf);

	ASSERT_EQ(0, __kvm_vfio_add(self->dev, self->group));
	close(device);
	ASSERT_LE(0, __vfio_group_device(self->group, devices[0].bdf));
}

/* Contract 3.1: the same struct file may be added to a second VM's device. */
TEST_F(kvm_vfio, add_to_second_vm)
{
	int dev2 = kvm_vfio_create(kvm_vm_open());

	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(0, __kvm_vfio_add(dev2, self->group));
	ASSERT_EQ(-EEXIST, __kvm_vfio_add(dev2, self->group));
	kvm_vfio_del(self->dev, self->group);
	ASSERT_EQ(-ENOENT, __kvm_vfio_del(self->dev, self->group));

	/* The second VM still holds. */
	close(self->group);
	ASSERT_EQ(-EBUSY, __vfio_group_open(devices[0].group));
	close(dev2);
	ASSERT_LE(0, __vfio_group_open(devices[0].group));
}

/* Contract 1.19, 3.1: each of two VMs pins the container on its own. */
TEST_F(kvm_vfio, defect9_second_vm_pins)
{
	int dev2 = kvm_vfio_create(kvm_vm_open());

	kvm_vfio_add(self->dev, self->group);
	kvm_vfio_add(dev2, self->group);
	kvm_vfio_del(self->dev, self->group);
	ASSERT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
	kvm_vfio_del(dev2, self->group);
	vfio_group_unset_container(self->group);
}

/* What is true while KVM holds the group */

/* Contract 1.19: VFIO_GROUP_UNSET_CONTAINER is EBUSY; after DEL it is 0. */
TEST_F(kvm_vfio, defect9_unset_container_while_held)
{
	int copy = dup(self->group);

	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
	ASSERT_EQ(-EBUSY, __vfio_group_unset_container(copy));
	kvm_vfio_del(self->dev, self->group);
	ASSERT_EQ(0, __vfio_group_unset_container(copy));
	ASSERT_EQ(-EINVAL, __vfio_group_unset_container(self->group));
}

/* Contract 1.19: the same when the group's fd is the last one in user space. */
TEST_F(kvm_vfio, defect9_unset_container_with_other_fds_closed)
{
	int device = vfio_group_device(self->group, devices[0].bdf);

	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
	close(device);
	ASSERT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
	close(self->container);
	close(self->vm);
	ASSERT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
	close(self->dev);
	ASSERT_EQ(0, __vfio_group_unset_container(self->group));
}

/*
 * Contract 1.20: the IOMMU domain stays attached, even when user space's fds of
 * the container, the group and the devices are closed first. Its mappings live
 * as long as the domain, and they are what locks the memory; the last group to
 * leave a container also lets the IOMMU driver's module go.
 */
TEST_F(kvm_vfio, protection_outlives_user_fds)
{
	int iommu_refs = module_refcnt(VFIO_TEST_IOMMU_MODULE);
	/*
	 * A driver that is built in has no count; then only the locked memory
	 * shows it.
	 */
	int refs_after = iommu_refs < 0 ? iommu_refs : iommu_refs - 1;
	void *va = vfio_dma_buffer(BUFFER_SIZE);
	long free_kib = locked_kib(), held_kib;
	int device;

	ASSERT_NE(0, iommu_refs);
	ASSERT_EQ(0, __vfio_memory_register(self->container, va, BUFFER_SIZE));
	ASSERT_EQ(0, __vfio_dma_map(self->container, va, VFIO_TEST_IOVA,
				    BUFFER_SIZE));
	held_kib = locked_kib();
	ASSERT_LE(free_kib + (long)(BUFFER_SIZE >> 10), held_kib);
	kvm_vfio_add(self->dev, self->group);
	device = vfio_group_device(self->group, devices[0].bdf);

	close(device);
	close(self->container);
	close(self->group);
	close(self->vm);
	EXPECT_EQ(held_kib, locked_kib());
	EXPECT_EQ(iommu_refs, module_refcnt(VFIO_TEST_IOMMU_MODULE));
	EXPECT_EQ(-EBUSY, __vfio_group_open(devices[0].group));

	close(self->dev);
	EXPECT_EQ(free_kib, locked_kib());
	EXPECT_EQ(refs_after, module_refcnt(VFIO_TEST_IOMMU_MODULE));
	EXPECT_LE(0, __vfio_group_open(devices[0].group));
}

/* Contract 1.21: open("/dev/vfio/N") is EBUSY: a group is open once. */
TEST_F(kvm_vfio, group_opens_once)
{
	ASSERT_EQ(-EBUSY, __vfio_group_open(devices[0].group));
	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(-EBUSY, __vfio_group_open(devices[0].group));
	close(self->group);
	ASSERT_EQ(-EBUSY, __vfio_group_open(devices[0].group));
	close(self->dev);
	self->group = __vfio_group_open(devices[0].group);
	ASSERT_LE(0, self->group);
	ASSERT_EQ(-EBUSY, __vfio_group_open(devices[0].group));
}

struct race {
	pthread_barrier_t start;
	pthread_barrier_t end;
	unsigned int group;
	int fd[RACERS];
};

struct racer {
	struct race *race;
	unsigned int nr;
};

static void *race_open(void *arg)
{
	struct racer *racer = arg;
	struct race *race = racer->race;
	unsigned int i;

	for (i = 0; i < RACE_ROUNDS; i++) {
		pthread_barrier_wait(&race->start);
		race->fd[racer->nr] = __vfio_group_open(race->group);
		pthread_barrier_wait(&race->end);
	}
	return NULL;
}

/* How many of the racers got an fd (closed here); the others must get EBUSY. */
static int race_winners(struct race *race)
{
	unsigned int i;
	int winners = 0;

	for (i = 0; i < RACERS; i++) {
		if (race->fd[i] >= 0) {
			close(race->fd[i]);
			winners++;
		} else if (race->fd[i] != -EBUSY) {
			return -1;
		}
	}
	return winners;
}

/* Contract 1.21: under N racing opens exactly one wins. */
TEST_F(kvm_vfio, racing_opens_one_wins)
{
	struct race race = { .group = devices[1].group };
	struct racer racers[RACERS];
	pthread_t threads[RACERS];
	unsigned int i;

	pthread_barrier_init(&race.start, NULL, RACERS + 1);
	pthread_barrier_init(&race.end, NULL, RACERS + 1);
	for (i = 0; i < RACERS; i++) {
		racers[i].race = &race;
		racers[i].nr = i;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, race_open,
					    &racers[i]));
	}
	for (i = 0; i < RACE_ROUNDS; i++) {
		pthread_barrier_wait(&race.start);
		pthread_barrier_wait(&race.end);
		EXPECT_EQ(1, race_winners(&race));
	}
	for (i = 0; i < RACERS; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
}

/* Contract 1.22: VFIO_GROUP_GET_STATUS is unchanged while KVM holds. */
TEST_F(kvm_vfio, status_while_held)
{
	uint32_t set = VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET;

	ASSERT_EQ(set, vfio_group_status(self->group));
	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(set, vfio_group_status(self->group));
	kvm_vfio_del(self->dev, self->group);
	ASSERT_EQ(set, vfio_group_status(self->group));
	vfio_group_unset_container(self->group);
	ASSERT_EQ((uint32_t)VFIO_GROUP_FLAGS_VIABLE,
		  vfio_group_status(self->group));
}

/* Contract 1.22: later groups join the container of one that KVM holds. */
TEST_F(kvm_vfio, later_group_joins)
{
	int group;

	kvm_vfio_add(self->dev, self->group);
	group = join_group(self->container, &devices[1]);
	ASSERT_EQ(0, __kvm_vfio_add(self->dev, group));
	ASSERT_LE(0, __vfio_group_device(group, devices[1].bdf));
	ASSERT_EQ(-EINVAL, __vfio_container_use_iommu(self->container));
}

/*
 * Contract 1.22: VFIO_SET_IOMMU for a later group with a container of its own.
 */
TEST_F(kvm_vfio, later_group_sets_iommu)
{
	int container = vfio_container_open();
	int group = vfio_group_open(devices[1].group);

	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(0, __vfio_group_set_container(group, container));
	ASSERT_EQ(0, __vfio_container_use_iommu(container));
	ASSERT_EQ(0, __kvm_vfio_add(self->dev, group));
	kvm_vfio_del(self->dev, self->group);
	vfio_group_unset_container(self->group);
}

/* Contract 1.22: DMA map and unmap are unchanged while KVM holds. */
TEST_F(kvm_vfio, dma_while_held)
{
	void *va = vfio_dma_buffer(BUFFER_SIZE);
	int i;

	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(0, __vfio_memory_register(self->container, va, BUFFER_SIZE));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, __vfio_dma_map(self->container, va, VFIO_TEST_IOVA,
					    BUFFER_SIZE));
		ASSERT_EQ(0, __vfio_dma_unmap(self->container, VFIO_TEST_IOVA,
					      BUFFER_SIZE));
	}
	ASSERT_EQ(0, __vfio_memory_unregister(self->container, va, BUFFER_SIZE));
}

/* Contract 1.22: device reset is unchanged while KVM holds. */
TEST_F(kvm_vfio, device_reset_while_held)
{
	int device;

	kvm_vfio_add(self->dev, self->group);
	device = vfio_group_device(self->group, devices[0].bdf);
	ASSERT_EQ(0, __vfio_device_reset(device));
}

/*
 * What DEL does
 */

/* Contract 2.1: DEL succeeds with device fds still open, and unpins. */
TEST_F(kvm_vfio, del_with_device_fd_open)
{
	int device;

	kvm_vfio_add(self->dev, self->group);
	device = vfio_group_device(self->group, devices[0].bdf);
	ASSERT_EQ(0, __kvm_vfio_del(self->dev, self->group));
	/* The open device pins the container, as on stock. */
	ASSERT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
	close(device);
	ASSERT_EQ(0, __vfio_group_unset_container(self->group));
}

/* Contract 2.2: DEL of a file that was not added: ENOENT. */
TEST_F(kvm_vfio, del_not_added)
{
	int dev2 = kvm_vfio_create(kvm_vm_open());
	int device;

	EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->dev, self->group));
	kvm_vfio_add(self->dev, self->group);
	device = vfio_group_device(self->group, devices[0].bdf);
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->dev, device));
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->dev, self->container));
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->dev, self->vm));
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(dev2, self->group));
	EXPECT_EQ(0, __kvm_vfio_del(self->dev, self->group));
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->dev, self->group));
}

/* Contract 2.3: DEL of a bad fd: EBADF, also of one closed since the ADD. */
TEST_F(kvm_vfio, del_bad_fd)
{
	int path = open("/dev/vfio/vfio", O_PATH | O_CLOEXEC);

	ASSERT_LE(0, path);
	kvm_vfio_add(self->dev, self->group);
	EXPECT_EQ(-EBADF, __kvm_vfio_del(self->dev, -1));
	EXPECT_EQ(-EBADF, __kvm_vfio_del(self->dev, INT_MAX));
	EXPECT_EQ(-EBADF, __kvm_vfio_del(self->dev, path));
	close(self->group);
	EXPECT_EQ(-EBADF, __kvm_vfio_del(self->dev, self->group));
	/* Still held. */
	EXPECT_EQ(-EBUSY, __vfio_group_open(devices[0].group));
}

/* Contract 2:  DEL goes by the file, whatever its fd number. */
TEST_F(kvm_vfio, del_through_dup)
{
	int copy = dup(self->group);

	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(0, __kvm_vfio_del(self->dev, copy));
	ASSERT_EQ(-ENOENT, __kvm_vfio_del(self->dev, self->group));
	vfio_group_unset_container(self->group);
}

/* Contract 1, 2: DEL undoes ADD, so ADD works again. */
TEST_F(kvm_vfio, add_after_del)
{
	kvm_vfio_add(self->dev, self->group);
	kvm_vfio_del(self->dev, self->group);
	ASSERT_EQ(0, __kvm_vfio_add(self->dev, self->group));
	ASSERT_EQ(-EEXIST, __kvm_vfio_add(self->dev, self->group));
	ASSERT_EQ(0, __kvm_vfio_del(self->dev, self->group));

	/* With another container in between as well. */
	vfio_group_unset_container(self->group);
	close(self->container);
	self->container = vfio_container_open();
	vfio_group_set_container(self->group, self->container);
	vfio_container_use_iommu(self->container);
	ASSERT_EQ(0, __kvm_vfio_add(self->dev, self->group));
}

/* Contract 2:  DEL releases everything, a thousand times. */
TEST_F(kvm_vfio, thousand_cycles)
{
	struct vfio_refs before;
	int i;

	vfio_refs_read(&before);
	for (i = 0; i < CYCLES; i++) {
		ASSERT_EQ(0, __kvm_vfio_add(self->dev, self->group));
		ASSERT_EQ(0, __kvm_vfio_del(self->dev, self->group));
	}
	ASSERT_TRUE(refs_unchanged(&before));
	vfio_group_unset_container(self->group);
}

/* Contract 1, 2: two groups held, one deleted: the other one stays held. */
TEST_F(kvm_vfio, other_group_stays_held)
{
	int group = join_group(self->container, &devices[1]);

	kvm_vfio_add(self->dev, self->group);
	kvm_vfio_add(self->dev, group);
	kvm_vfio_del(self->dev, self->group);
	vfio_group_unset_container(self->group);
	ASSERT_EQ(-EEXIST, __kvm_vfio_add(self->dev, group));
	close(group);
	ASSERT_EQ(-EBUSY, __vfio_group_open(devices[1].group));
	close(self->dev);
	ASSERT_LE(0, __vfio_group_open(devices[1].group));
}

/* Contract 1.19: and it stays pinned in its container, whichever goes. */
TEST_F(kvm_vfio, defect9_other_group_stays_pinned)
{
	int group = join_group(self->container, &devices[1]);

	kvm_vfio_add(self->dev, self->group);
	kvm_vfio_add(self->dev, group);
	kvm_vfio_del(self->dev, self->group);
	ASSERT_EQ(-EBUSY, __vfio_group_unset_container(group));
	ASSERT_EQ(0, __vfio_group_unset_container(self->group));
	ASSERT_EQ(-EBUSY, __vfio_group_unset_container(group));
	kvm_vfio_del(self->dev, group);
	ASSERT_EQ(0, __vfio_group_unset_container(group));
}

/*
 * What the last close does
 */

/*
 * Contract 2.4: the last reference goes: all is released before close()
 * returns.
 */
TEST_F(kvm_vfio, close_releases_at_once)
{
	int group = join_group(self->container, &devices[1]);
	int copy = dup(self->dev);
	int again, i;

	kvm_vfio_add(self->dev, self->group);
	kvm_vfio_add(self->dev, group);
	close(group);

	close(self->dev);
	ASSERT_EQ(-EBUSY, __vfio_group_open(devices[1].group));
	ASSERT_EQ(-EBUSY, __kvm_vfio_create(self->vm, 0));
	close(copy);
	again = __vfio_group_open(devices[1].group);
	ASSERT_LE(0, again);
	ASSERT_EQ(0, __vfio_group_unset_container(self->group));

	/* The VM lives on. */
	close(self->group);
	for (i = 0; i < 10; i++) {
		self->dev = kvm_vfio_create(self->vm);
		self->group = vfio_group_open(devices[0].group);
		vfio_group_set_container(self->group, self->container);
		vfio_container_use_iommu(self->container);
		kvm_vfio_add(self->dev, self->group);
		close(self->group);
		close(self->dev);
		self->group = __vfio_group_open(devices[0].group);
		ASSERT_LE(0, self->group);
		close(self->group);
	}
}

/* A forked process that is left with the only fds of the device */
struct heir {
	int dev;
	int group;
	int inherited[2];	/* pipe: end of file once the parent has closed */
	bool just_exit;
};

static int heir_main(struct heir *heir)
{
	char c;

	close(heir->inherited[1]);
	if (read(heir->inherited[0], &c, 1))
		return 2;
	if (heir->just_exit)
		return 0;
	close(heir->group);
	if (__vfio_group_open(devices[0].group) != -EBUSY)
		return 3;
	close(heir->dev);
	return __vfio_group_open(devices[0].group) < 0 ? 4 : 0;
}

/* The exit code of that process, after which nothing may be held */
static int leave_to_heir(struct heir *heir)
{
	pid_t pid;
	int status;

	VFIO_ASSERT(!pipe(heir->inherited), "pipe");
	pid = fork();
	VFIO_ASSERT(pid >= 0, "fork");
	if (!pid)
		_exit(heir_main(heir));
	close(heir->dev);
	close(heir->group);
	VFIO_ASSERT(__vfio_group_open(devices[0].group) == -EBUSY,
		    "the group is free while a forked process holds it");
	close(heir->inherited[1]);
	VFIO_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

/* Contract 2.4: the same when the last reference is in a forked process. */
TEST_F(kvm_vfio, close_in_forked_process)
{
	struct heir heir = { .dev = self->dev, .group = self->group };

	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(0, leave_to_heir(&heir));
	ASSERT_LE(0, __vfio_group_open(devices[0].group));
	ASSERT_LE(0, __kvm_vfio_create(self->vm, 0));
}

/*
 * Contract 2.4: the same when a forked process exits with the last reference.
 */
TEST_F(kvm_vfio, exit_of_forked_process)
{
	struct heir heir = {
		.dev = self->dev,
		.group = self->group,
		.just_exit = true,
	};

	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(0, leave_to_heir(&heir));
	ASSERT_LE(0, __vfio_group_open(devices[0].group));
	ASSERT_LE(0, __kvm_vfio_create(self->vm, 0));
}

/*
 * Contract 2.4: the fd of the device pins the VM, and holds until its own
 * close.
 */
TEST_F(kvm_vfio, vm_fd_closed_first)
{
	kvm_vfio_add(self->dev, self->group);
	close(self->vm);
	close(self->group);
	ASSERT_EQ(-EBUSY, __vfio_group_open(devices[0].group));
	close(self->dev);
	ASSERT_LE(0, __vfio_group_open(devices[0].group));
}

/* These three keep the group open: its fd, the fd of a device, and KVM. */
static bool group_is_held(const struct vmm *vmm)
{
	return vmm->fd[VMM_GROUP] >= 0 || vmm->fd[VMM_DEVICE] >= 0 ||
	       vmm->fd[VMM_KVM_VFIO] >= 0;
}

static int close_in_order(const struct vfio_test_device *device, unsigned int n)
{
	unsigned int order[VMM_NR_FDS], i;
	struct vmm vmm;
	int fd;

	nth_order(n, order, VMM_NR_FDS);
	vmm_open(&vmm, device, true);
	for (i = 0; i < VMM_NR_FDS; i++) {
		close(vmm.fd[order[i]]);
		vmm.fd[order[i]] = -1;
		fd = __vfio_group_open(device->group);
		if (group_is_held(&vmm) ? fd != -EBUSY : fd < 0) {
			ksft_print_msg("order %u: open after close %u (of fd %u): %d\n",
				       n, i, order[i], fd);
			return 1;
		}
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

/* Half of the orders each, as most of the time goes into device resets. */
static int close_in_even_orders(void *arg)
{
	unsigned int n;
	int ret = 0;

	for (n = 0; n < ORDERS && !ret; n += 2)
		ret = close_in_order(arg, n);
	return ret;
}

static int close_in_odd_orders(void *arg)
{
	unsigned int n;
	int ret = 0;

	for (n = 1; n < ORDERS && !ret; n += 2)
		ret = close_in_order(arg, n);
	return ret;
}

/*
 * Contract 2.6: fds closed in any order: the group is held exactly as long as
 * its fd, a device's fd or KVM holds it, and nothing is left.
 */
TEST_F(kvm_vfio, any_close_order)
{
	struct vfio_refs before;
	int status;
	pid_t pid;

	close(self->group);
	vfio_refs_read(&before);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(close_in_even_orders(&devices[0]));
	EXPECT_EQ(0, close_in_odd_orders(&devices[1]));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_TRUE(refs_unchanged(&before));
}

#ifdef __KVM_HAVE_SPAPR_TCE
/*
 * POWER: tables of a VM, and windows of a container
 */
/* Contract 4.2: structure unreadable: EFAULT. */
TEST_F(kvm_vfio, spapr_unreadable_argument)
{
	void *none = mmap(NULL, getpagesize(), PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, none);
	ASSERT_EQ(-EFAULT, __kvm_vfio_set_attr(self->dev, KVM_DEV_VFIO_GROUP,
					       KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE,
					       none));
}

/* Contract 4.3, 4.4, 4.5, 4.6: each refusal, in the order of the checks. */
TEST_F(kvm_vfio, spapr_refusals)
{
	uint64_t window = vfio_default_window(self->container);
	int table = kvm_tce_table(self->vm, 1, window);
	int vm2 = kvm_vm_open();
	int table2 = kvm_tce_table(vm2, 1, window);
	int closed = dup(self->group);

	close(closed);
	EXPECT_EQ(-EBADF, __kvm_vfio_set_spapr_tce(self->dev, -1, -1));
	EXPECT_EQ(-EBADF, __kvm_vfio_set_spapr_tce(self->dev, closed, table));
	EXPECT_EQ(-ENOENT, __kvm_vfio_set_spapr_tce(self->dev, self->group, -1));
	EXPECT_EQ(-ENOENT, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	EXPECT_EQ(-ENOENT, __kvm_vfio_set_spapr_tce(self->dev, table, table));
	kvm_vfio_add(self->dev, self->group);
	EXPECT_EQ(-EBADF, __kvm_vfio_set_spapr_tce(self->dev, self->group, -1));
	EXPECT_EQ(-EBADF, __kvm_vfio_set_spapr_tce(self->dev, self->group, closed));
	EXPECT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->vm));
	EXPECT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->group));
	EXPECT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(self->dev, self->group, table2));
	EXPECT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	EXPECT_EQ(0, __kvm_vfio_del(self->dev, self->group));
	EXPECT_EQ(-ENOENT, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
}

/* Contract 4.9: no window of the group matches the table: EINVAL. */
TEST_F(kvm_vfio, spapr_table_without_window)
{
	uint64_t window = vfio_default_window(self->container);
	int big = kvm_tce_table(self->vm, 1, window * 2);
	int small = kvm_tce_table(self->vm, 2, window / 2);

	kvm_vfio_add(self->dev, self->group);
	EXPECT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(self->dev, self->group, big));
	EXPECT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, small));
	EXPECT_EQ(0, __kvm_vfio_del(self->dev, self->group));
}

/* Contract 2, 4: DEL, and ADD with the same table again. */
TEST_F(kvm_vfio, spapr_set_and_del)
{
	int table = kvm_tce_table(self->vm, 1, vfio_default_window(self->container));
	int i;

	for (i = 0; i < 3; i++) {
		kvm_vfio_add(self->dev, self->group);
		ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
		kvm_vfio_del(self->dev, self->group);
	}
	vfio_group_unset_container(self->group);
}

/* Contract 4.17: table, device and group fds go in either order. */
TEST_F(kvm_vfio, spapr_close_orders)
{
	uint64_t window = vfio_default_window(self->container);
	int table;

	table = kvm_tce_table(self->vm, 1, window);
	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	close(table);
	kvm_vfio_del(self->dev, self->group);

	table = kvm_tce_table(self->vm, 1, window);
	kvm_vfio_add(self->dev, self->group);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, table));
	close(self->dev);
	close(table);
	vfio_group_unset_container(self->group);
}

/* Contract 4.15: windows come and go while KVM holds the group. */
TEST_F(kvm_vfio, spapr_windows_while_held)
{
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = sizeof(create),
		.page_shift = 16,
		.window_size = 1ULL << 30,
		.levels = 1,
	};
	struct vfio_iommu_spapr_tce_remove remove = { .argsz = sizeof(remove) };
	int i;

	kvm_vfio_add(self->dev, self->group);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, ioctl(self->container, VFIO_IOMMU_SPAPR_TCE_CREATE,
				   &create));
		remove.start_addr = create.start_addr;
		ASSERT_EQ(0, ioctl(self->container, VFIO_IOMMU_SPAPR_TCE_REMOVE,
				   &remove));
	}
	kvm_vfio_del(self->dev, self->group);
}
#endif /* __KVM_HAVE_SPAPR_TCE */

int main(int argc, char **argv)
{
	nr_devices = vfio_test_init(devices, ARRAY_SIZE(devices), 2);
	defect13_use_up();
	return test_harness_run(argc, argv);
}
