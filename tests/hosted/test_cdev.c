// SPDX-License-Identifier: GPL-2.0-only
/* VFIO device cdevs: contract, section 5 */
#include "setup.h"

#if IS_ENABLED(CONFIG_VFIO_DEVICE_CDEV)
/*
 * Contract 1.12, 5.2, 5.5: FILE_ADD is accepted before and after
 * VFIO_DEVICE_BIND_IOMMUFD.
 */
TEST(cdev_add, "cdev: FILE_ADD before and after BIND, the VM comes at bind")
{
	struct vm vm = new_vm();
	struct device *dev = host_group(VFIO_IOMMU, 1)->devices;
	int fd = user_open_cdev(dev), iommufd = user_open_iommufd();

	log_start();
	EXPECT_EQ(user_add(vm.dev, fd), 0);
	EXPECT_LOG("s");
	EXPECT_EQ(user_add(vm.dev, fd), -EEXIST);
	EXPECT_EQ(user_bind(fd, iommufd), 0);
	EXPECT(fake_kvm_seen(dev) == vm.kvm);
	log_start();
	EXPECT_EQ(user_del(vm.dev, fd), 0);
	EXPECT_LOG("e");
	EXPECT(fake_kvm_seen(dev) == vm.kvm);
	EXPECT_EQ(user_add(vm.dev, fd), 0);
	EXPECT_EQ(shim_close(fd), 0);
	EXPECT(fake_kvm_seen(dev) == vm.kvm);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT(!fake_kvm_seen(dev));
	EXPECT_EQ(dev->vdev->reg_refs, 1);
}

/*
 * Contract 5.3: ADD pins the file, and two files of the same device both count.
 */
TEST(cdev_files, "cdev: pins the file; two files of one device both count")
{
	struct vm vm = new_vm();
	struct device *dev = host_group(VFIO_IOMMU, 1)->devices;
	int a = user_open_cdev(dev), b = user_open_cdev(dev);

	EXPECT_EQ(user_add(vm.dev, a), 0);
	EXPECT_EQ(user_add(vm.dev, b), 0);
	EXPECT_ASSIGNED(vm.kvm, 2);
	EXPECT_EQ(shim_close(a), 0);
	EXPECT_EQ(shim_close(b), 0);
	EXPECT_EQ(dev->vdev->reg_refs, 3);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(dev->vdev->reg_refs, 1);
	EXPECT_ASSIGNED(vm.kvm, 0);
}

/* Contract 3.2: Section 3 holds for cdev files, too. */
TEST(cdev_vms, "cdev: four VMs, the newest that is there counts at bind")
{
	struct vm vms[4] = { new_vm(), new_vm(), new_vm(), new_vm() };
	struct device *dev = host_group(VFIO_IOMMU, 1)->devices;
	int fd = user_open_cdev(dev);
	struct vfio_external_user other;
	struct file *file = shim_fd(fd);

	for (int i = 0; i < 3; i++)
		EXPECT_EQ(user_add(vms[i].dev, fd), 0);
	EXPECT_EQ(vfio_external_get(&other, file), 0);
	EXPECT_EQ(user_add(vms[3].dev, fd), 0);
	for (int i = 3; i > 0; i -= 2) {
		EXPECT_EQ(shim_close(vms[i].dev), 0);
		EXPECT_EQ(shim_close(vms[i].fd), 0);
	}
	EXPECT_EQ(user_bind(fd, user_open_iommufd()), 0);
	EXPECT(fake_kvm_seen(dev) == vms[2].kvm);
	for (int i = 0; i < 3; i += 2) {
		EXPECT_EQ(shim_close(vms[i].dev), 0);
		EXPECT_EQ(shim_close(vms[i].fd), 0);
	}
	EXPECT_EQ(counts.vms, 1);
	vfio_external_put(&other);
	fput(file);
	shim_return_to_user();
}

/* Contract 6.4: cdev files: what their device can enforce. */
TEST(cdev_coherency, "cdev: coherency is what the device can enforce")
{
	for (int capable = 0; capable <= 1; capable++) {
		struct vm vm = new_vm();
		struct device *dev = host_group(VFIO_IOMMU, 2)->devices;
		int fd = user_open_cdev(dev);

		dev->capable = capable;
		EXPECT_EQ(user_add(vm.dev, fd), 0);
		EXPECT_EQ(vm.kvm->arch.noncoherent, !capable);
		EXPECT_EQ(user_del(vm.dev, fd), 0);
		EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
	}
}

/* What is looked at in lists and in the xarray from one cond_resched() to the next */
static unsigned long stretch_began, longest_stretch;

static void end_stretch(void)
{
	longest_stretch = max(longest_stretch, shim_probes() - stretch_began);
	stretch_began = shim_probes();
}

static void begin_stretches(void)
{
	longest_stretch = 0;
	stretch_began = shim_probes();
	shim_at_resched = end_stretch;
}

static unsigned long probes_of(int (*op)(int dev, int fd), int dev, int fd)
{
	unsigned long before = shim_probes();

	EXPECT_EQ(op(dev, fd), 0);
	return shim_probes() - before;
}

#define MANY	2000

/* Contract 1.16, 1.18: Files that are held cost the others nothing. */
TEST(cdev_many, "cdev: 2000 files: ADD and DEL are flat, fdinfo and close let others run")
{
	struct vm vm = new_vm();
	struct device *dev = host_group(VFIO_IOMMU, 1)->devices;
	int one = user_open_cdev(dev), fd;
	unsigned long add = probes_of(user_add, vm.dev, one);
	unsigned long del = probes_of(user_del, vm.dev, one);
	unsigned int rescheds;

	for (int i = 0; i < MANY; i++) {
		fd = user_open_cdev(dev);
		EXPECT_EQ(probes_of(user_add, vm.dev, fd), add);
		EXPECT_EQ(shim_close(fd), 0);
	}
	EXPECT_EQ(probes_of(user_add, vm.dev, one), add);
	EXPECT_EQ(probes_of(user_del, vm.dev, one), del);

	shim_set_seq_size(4096);
	begin_stretches();
	free(shim_read_fdinfo(vm.dev));
	EXPECT(longest_stretch <= 2);

	begin_stretches();
	rescheds = shim_rescheds;
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(shim_rescheds - rescheds, MANY);
	EXPECT(longest_stretch <= 2);
	EXPECT_EQ(dev->vdev->reg_refs, 2);
}

/* An external user of a cdev is always alive, and has no group. */
TEST(cdev_api, "cdev: what an external user of it can ask")
{
	struct device *dev = host_group(VFIO_IOMMU, 1)->devices;
	int fd = user_open_cdev(dev);
	struct file *file = shim_fd(fd);
	struct vfio_external_user user;

	EXPECT_EQ(vfio_external_get(&user, file), 0);
	EXPECT(vfio_external_alive(&user));
	EXPECT_EQ(user.group, -1);
	EXPECT_EQ(vfio_external_with_group(&user, NULL, NULL), -ENODEV);
	vfio_external_put(&user);
	fput(file);
	shim_return_to_user();
}

/*
 * Contract 1.6: A cdev without an IOMMU (7.x) is no better than such a group.
 */
TEST(cdev_noiommu, "cdev: EPERM for one without an IOMMU")
{
	struct vm vm = new_vm();
	struct device *dev = host_group(VFIO_IOMMU, 1)->devices;
	int fd = user_open_cdev(dev);

	dev->vdev->noiommu = true;
	EXPECT_EQ(user_add(vm.dev, fd), -EPERM);
	EXPECT_EQ(counts.symbol_refs, 0);
	dev->vdev->noiommu = false;
	EXPECT_EQ(user_add(vm.dev, fd), 0);
}

/* Contract 6.3: Devices with an emulated IOMMU do no DMA of their own. */
TEST(cdev_mdev, "cdev: of an mdev never counts as noncoherent")
{
	struct vm vm = new_vm();
	struct device *dev = host_group(VFIO_EMULATED_IOMMU, 1)->devices;

	EXPECT_EQ(user_add(vm.dev, user_open_cdev(dev)), 0);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
}

#if IS_ENABLED(CONFIG_VFIO_GROUP)
/* The host's unbind waits for the file: nothing is revoked. */
static void *unbind(void *dev)
{
	host_unbind(dev);
	return NULL;
}

/* Contract 5.4 */
TEST(cdev_unbind, "cdev: unbind waits until KVM lets go of the file")
{
	struct vm vm = new_vm();
	struct iommu_group *ig = host_group(VFIO_IOMMU, 1);
	struct vfio_device *device = ig->devices->vdev;
	int fd = user_open_cdev(ig->devices);
	pthread_t thread;

	EXPECT_EQ(user_add(vm.dev, fd), 0);
	EXPECT_EQ(shim_close(fd), 0);
	EXPECT_EQ(fake_registrations(device), 2);
	pthread_create(&thread, NULL, unbind, ig->devices);
	/* The host's own is gone: now it waits for that of the file. */
	while (fake_registrations(device) > 1)
		sched_yield();
	EXPECT_EQ(fake_read(counts.groups), 1);
	EXPECT_EQ(fake_registrations(device), 1);
	EXPECT_ASSIGNED(vm.kvm, 1);
	EXPECT_EQ(shim_close(vm.dev), 0);
	pthread_join(thread, NULL);
	EXPECT_EQ(counts.groups, 0);
}
#endif
#else
/* No CONFIG_VFIO_DEVICE_CDEV: a device file without a group is refused. */
TEST(no_cdev, "cdev: EINVAL without CONFIG_VFIO_DEVICE_CDEV")
{
	struct vm vm = new_vm();
	struct device *dev = host_group(VFIO_IOMMU, 1)->devices;

	EXPECT_EQ(user_add(vm.dev, user_open_cdev(dev)), -EINVAL);
	EXPECT_ASSIGNED(vm.kvm, 0);
}
#endif
