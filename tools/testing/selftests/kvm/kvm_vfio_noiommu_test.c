// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contract 1.6: a no-IOMMU group is refused with EPERM, in any container, and so is the
 * cdev of a device without an IOMMU (7.x): it can reach all memory, so KVM cannot rely on
 * anything.
 *
 * Needs CONFIG_VFIO_NOIOMMU, and devices that have no IOMMU, as with
 * intel_iommu=off.  The program allows no-IOMMU mode, which taints the kernel.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_hold.h"
#include "vfio_util.h"

#define ALLOW		"/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
#define PATH_SIZE	256

static struct vfio_test_device devices[2];

static int __noiommu_open(const struct vfio_test_device *device)
{
	char path[PATH_SIZE];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%u", device->group);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int noiommu_open(const struct vfio_test_device *device)
{
	int fd = __noiommu_open(device);

	VFIO_ASSERT(fd >= 0, "open of no-IOMMU group %u: %d", device->group, fd);
	return fd;
}

FIXTURE(noiommu)
{
	int log;
	int vm;
	int dev;
	int container;
	int group;
};

FIXTURE_SETUP(noiommu)
{
	warn_once_rearm();
	self->log = kmsg_open();
	self->vm = kvm_vm_open();
	self->dev = kvm_vfio_create(self->vm);
	self->container = vfio_container_open();
	self->group = noiommu_open(&devices[0]);
}

/*
 * Neither the group nor the VM is held, in the order in which they are closed.
 */
FIXTURE_TEARDOWN(noiommu)
{
	close(self->group);
	EXPECT_LE(0, __noiommu_open(&devices[0]));
	close(self->dev);
	close(self->vm);
	EXPECT_FALSE(vm_is_there(self->vm));
	EXPECT_EQ(0U, kmsg_splats(self->log));
}

static void refused(struct __test_metadata *_metadata, int dev, int group)
{
	EXPECT_EQ(-EPERM, __kvm_vfio_add(dev, group));
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(dev, group));
	EXPECT_EQ(-EPERM, __kvm_vfio_add(dev, group));
}

TEST_F(noiommu, no_container)
{
	refused(_metadata, self->dev, self->group);
}

TEST_F(noiommu, in_a_container)
{
	vfio_group_set_container(self->group, self->container);
	refused(_metadata, self->dev, self->group);
	EXPECT_EQ(0, __vfio_group_unset_container(self->group));
	refused(_metadata, self->dev, self->group);
}

TEST_F(noiommu, iommu_is_set)
{
	vfio_group_set_container(self->group, self->container);
	EXPECT_EQ(-1, ioctl(self->container, VFIO_SET_IOMMU, VFIO_TEST_IOMMU_TYPE));
	ASSERT_EQ(0, ioctl(self->container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU));
	refused(_metadata, self->dev, self->group);
	EXPECT_EQ(0, __vfio_group_unset_container(self->group));
}

TEST_F(noiommu, device_is_open)
{
	int device, ret;

	vfio_group_set_container(self->group, self->container);
	ASSERT_EQ(0, ioctl(self->container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU));
	device = vfio_group_device(self->group, devices[0].bdf);
	refused(_metadata, self->dev, self->group);
	/* A device fd that came from a group is no VFIO file of its own. */
	EXPECT_EQ(-EINVAL, __kvm_vfio_add(self->dev, device));
	ret = __vfio_group_unset_container(self->group);
	EXPECT_EQ(-EBUSY, ret);
	close(device);
	EXPECT_EQ(0, __vfio_group_unset_container(self->group));
}

TEST_F(noiommu, on_an_iommufd)
{
	int iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC), device;

	if (iommufd < 0)
		SKIP(return, "no iommufd");
	vfio_group_set_container(self->group, iommufd);
	refused(_metadata, self->dev, self->group);
	device = vfio_group_device(self->group, devices[0].bdf);
	refused(_metadata, self->dev, self->group);
	close(device);
	EXPECT_EQ(0, __vfio_group_unset_container(self->group));
}

/* Two groups, refused one after the other, do not affect each other. */
TEST_F(noiommu, two_groups)
{
	int other = noiommu_open(&devices[1]);

	refused(_metadata, self->dev, self->group);
	refused(_metadata, self->dev, other);
	close(other);
	EXPECT_LE(0, __noiommu_open(&devices[1]));
}

TEST_F(noiommu, cdevs)
{
	DIR *dir = opendir("/dev/vfio/devices");
	struct dirent *entry;
	unsigned int nr = 0;
	int cdev;

	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		cdev = openat(dirfd(dir), entry->d_name, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, cdev);
		EXPECT_EQ(-EPERM, __kvm_vfio_add(self->dev, cdev));
		close(cdev);
		nr++;
	}
	closedir(dir);
	EXPECT_EQ(ARRAY_SIZE(devices), nr);
}

/* Is no-IOMMU mode allowed: "Y\n" or "N\n" */
static bool noiommu_allowed(void)
{
	FILE *f = fopen(ALLOW, "re");
	bool allowed = f && fgetc(f) == 'Y';

	if (f)
		fclose(f);
	return allowed;
}

/* Each device has a group of its own, without an IOMMU. */
static void set_up_devices(void)
{
	const char *list = getenv("KVM_VFIO_BDFS") ?: "";
	char *copy = strdup(list), *save, *bdf, link[PATH_SIZE];

	if (access(ALLOW, W_OK))
		ksft_exit_skip("this kernel has no no-IOMMU mode\n");
	VFIO_ASSERT(copy, "strdup");
	for (bdf = strtok_r(copy, " ", &save); bdf; bdf = strtok_r(NULL, " ", &save)) {
		if (!__pci_link(bdf, "iommu_group", link, sizeof(link)))
			ksft_exit_skip("%s has an IOMMU\n", bdf);
		VFIO_ASSERT(!__sysfs_write(ALLOW, "Y"), "allow no-IOMMU mode");
		vfio_bind(bdf);
	}
	free(copy);
}

int main(int argc, char **argv)
{
	bool allowed = noiommu_allowed();
	int ret;

	set_up_devices();
	vfio_test_init(devices, ARRAY_SIZE(devices), 2);
	debugfs_mount();
	ret = test_harness_run(argc, argv);
	if (!allowed)
		__sysfs_write(ALLOW, "N");
	return ret;
}
