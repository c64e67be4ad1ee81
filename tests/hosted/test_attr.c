// SPDX-License-Identifier: GPL-2.0-only
/* The device and its attributes: contract, sections 1, 2 and 7 */
#include "setup.h"

/* Contract 7.1: KVM_HAS_DEVICE_ATTR: 0 for what exists, ENXIO else. */
TEST(has_attr, "HAS_ATTR: 0 for what exists, ENXIO else")
{
	struct vm vm = new_vm();
	int tce = IS_ENABLED(CONFIG_SPAPR_TCE_IOMMU) ? 0 : -ENXIO;

	EXPECT_EQ(user_has_attr(vm.dev, 1, 1), 0);
	EXPECT_EQ(user_has_attr(vm.dev, 1, 2), 0);
	EXPECT_EQ(user_has_attr(vm.dev, 1, 3), tce);
	EXPECT_EQ(user_has_attr(vm.dev, 1, 0), -ENXIO);
	EXPECT_EQ(user_has_attr(vm.dev, 1, 4), -ENXIO);
	EXPECT_EQ(user_has_attr(vm.dev, 1, 1ULL << 32 | 1), -ENXIO);
	EXPECT_EQ(user_has_attr(vm.dev, 1, ~0ULL), -ENXIO);
	EXPECT_EQ(user_has_attr(vm.dev, 0, 1), -ENXIO);
	EXPECT_EQ(user_has_attr(vm.dev, 2, 1), -ENXIO);
	EXPECT_EQ(user_has_attr(vm.dev, ~0U, 1), -ENXIO);
}

/*
 * Contract 7.3: Unknown group or attr: ENXIO, before the argument is looked at.
 */
TEST(set_attr, "SET_ATTR: ENXIO for what does not exist")
{
	struct vm vm = new_vm();

	EXPECT_EQ(user_attr(vm.dev, 1, 0, NULL), -ENXIO);
	EXPECT_EQ(user_attr(vm.dev, 1, 4, NULL), -ENXIO);
	EXPECT_EQ(user_attr(vm.dev, 0, 1, NULL), -ENXIO);
	EXPECT_EQ(user_attr(vm.dev, 2, 1, NULL), -ENXIO);
#if !IS_ENABLED(CONFIG_SPAPR_TCE_IOMMU)
	/* SET_SPAPR_TCE, not POWER: ENXIO. */
	EXPECT_EQ(user_attr(vm.dev, 1, 3, NULL), -ENXIO);
	EXPECT_EQ(user_set_tce(vm.dev, 0, 0), -ENXIO);
#endif
}

/*
 * Contract 1.1, 1.2, 2.3: Argument address unreadable: EFAULT. fd not open:
 * EBADF.
 */
TEST(argument, "ADD and DEL: EFAULT, then EBADF")
{
	struct vm vm = new_vm();
	s32 fd = -1;

	for (u64 attr = 1; attr <= 2; attr++) {
		EXPECT_EQ(user_attr(vm.dev, 1, attr, NULL), -EFAULT);
		shim_set_unreadable((char *)&fd + 3, 1);
		EXPECT_EQ(user_attr(vm.dev, 1, attr, &fd), -EFAULT);
		shim_set_unreadable(NULL, 0);
		EXPECT_EQ(user_attr(vm.dev, 1, attr, &fd), -EBADF);
		fd = SHIM_FDS - 1;
		EXPECT_EQ(user_attr(vm.dev, 1, attr, &fd), -EBADF);
	}
}

/*
 * Contract 1.3, 2.2: fd is no VFIO file: EINVAL. DEL of a file that was not
 * added: ENOENT.
 */
TEST(foreign_file, "ADD: EINVAL for what is no VFIO file; DEL: ENOENT")
{
	struct vm vm = new_vm();
	int others[] = { user_open_pipe(), vm.fd, vm.dev, user_open_iommufd() };

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		EXPECT_EQ(user_add(vm.dev, others[i]), -EINVAL);
		EXPECT_EQ(user_del(vm.dev, others[i]), -ENOENT);
	}
	EXPECT_ASSIGNED(vm.kvm, 0);
}

/* Contract 7.4: KVM device ioctls from another mm: EIO. */
TEST(other_mm, "ioctls from another mm: EIO")
{
	struct vm vm = new_vm();

	user_set_mm(2);
	EXPECT_EQ(user_has_attr(vm.dev, 1, 1), -EIO);
	EXPECT_EQ(user_add(vm.dev, 0), -EIO);
}

/*
 * Contract 2.5: A second device while one exists: EBUSY. After its last
 * reference is gone, a second KVM_CREATE_DEVICE succeeds.
 */
TEST(create, "CREATE_DEVICE: EBUSY while one exists, 0 after its close")
{
	struct vm vm = new_vm(), other = new_vm();
	int dup = shim_dup(vm.dev);

	EXPECT_EQ(user_create_device(vm.fd, true), 0);
	EXPECT_EQ(user_create_device(vm.fd, false), -EBUSY);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(user_create_device(vm.fd, false), -EBUSY);
	EXPECT_EQ(shim_close(dup), 0);
	vm.dev = user_create_device(vm.fd, false);
	EXPECT(vm.dev >= 0);
	EXPECT_EQ(user_has_attr(other.dev, 1, 1), 0);
}

/* Contract 2.5: The one device is of this kind; KVM has others. */
TEST(create_others, "CREATE_DEVICE: a device of another kind does not matter")
{
	static const struct kvm_device_ops ops = { .name = "other" };
	struct kvm_device other = { .ops = &ops };
	int fd = user_create_vm();

	list_add(&other.vm_node, &fake_vm(fd)->devices);
	EXPECT(user_create_device(fd, false) >= 0);
	EXPECT_EQ(user_create_device(fd, false), -EBUSY);
	list_del(&other.vm_node);
}

/* The fd of the device pins the VM. */
TEST(pins_vm, "the fd of the device pins the VM")
{
	struct vm vm = new_vm();

	EXPECT_EQ(shim_close(vm.fd), 0);
	EXPECT_EQ(counts.vms, 1);
	EXPECT_EQ(user_has_attr(vm.dev, 1, 1), 0);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(counts.vms, 0);
}
