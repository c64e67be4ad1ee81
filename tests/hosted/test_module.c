// SPDX-License-Identifier: GPL-2.0-only
/* KVM and vfio.ko, which may not be loaded or may be stock's: contract 1 */
#include "setup.h"

#include "kvm/vfio.h"

/* Any VFIO file that can be added; its fd. */
static int vfio_file(void)
{
#if IS_ENABLED(CONFIG_VFIO_GROUP)
	return new_group(1).fd;
#else
	return user_open_cdev(host_group(VFIO_IOMMU, 1)->devices);
#endif
}

/* The module is kept exactly while there are members; no look-up per call. */
TEST(references, "vfio.ko is held while there are members, looked up once")
{
	struct vm vm = new_vm(), other = new_vm();
	int a = vfio_file(), b = vfio_file();

	EXPECT_EQ(counts.symbol_refs, 0);
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(user_add(vm.dev, a), 0);
		EXPECT_EQ(user_add(vm.dev, b), 0);
		EXPECT_EQ(user_del(vm.dev, a), 0);
		EXPECT_EQ(user_add(vm.dev, a), 0);
		EXPECT_EQ(counts.symbol_refs, API_SYMBOLS);
		EXPECT_EQ(counts.symbol_gets, (i + 1) * API_SYMBOLS);
		EXPECT_EQ(user_del(vm.dev, a), 0);
		EXPECT_EQ(user_del(vm.dev, b), 0);
		EXPECT_EQ(counts.symbol_refs, 0);
	}
	EXPECT_EQ(user_add(vm.dev, a), 0);
	EXPECT_EQ(user_add(other.dev, a), 0);
	EXPECT_EQ(counts.symbol_refs, 2 * API_SYMBOLS);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(counts.symbol_refs, API_SYMBOLS);
	EXPECT_EQ(shim_close(other.dev), 0);
	EXPECT_EQ(counts.symbol_refs, 0);
}

/* A failed ADD leaves no reference. */
TEST(no_reference, "a first ADD that fails leaves vfio.ko alone")
{
	struct vm vm = new_vm();

	EXPECT_EQ(user_add(vm.dev, user_open_pipe()), -EINVAL);
	EXPECT_EQ(counts.symbol_refs, 0);
	EXPECT_EQ(user_del(vm.dev, vfio_file()), -ENOENT);
	EXPECT_EQ(counts.symbol_refs, 0);
}

/*
 * Contract 1.7: VFIO file, but vfio.ko is stock: EINVAL; the package warns
 * once, as the errno cannot say it.
 */
TEST(stock, "stock vfio.ko: EINVAL, and for the package one warning, none for a pipe")
{
	struct vm vm = new_vm(), other = new_vm();
	int file = vfio_file(), pipe = user_open_pipe();

	host_set_vfio_ko(VFIO_KO_STOCK);
	EXPECT_EQ(user_add(vm.dev, pipe), -EINVAL);
	EXPECT_EQ(test_warnings(), 0);
	EXPECT_EQ(user_add(vm.dev, file), -EINVAL);
	EXPECT_EQ(test_warnings(), FAKE_PACKAGE);
	EXPECT_EQ(user_add(vm.dev, file), -EINVAL);
	EXPECT_EQ(user_add(other.dev, file), -EINVAL);
	EXPECT_EQ(user_del(vm.dev, file), -ENOENT);
	EXPECT_EQ(test_warnings(), FAKE_PACKAGE);
	EXPECT_EQ(counts.symbol_refs, 0);
	EXPECT_ASSIGNED(vm.kvm, 0);
}

/* KVM works without vfio.ko, and uses it once it is loaded. */
TEST(late, "no vfio.ko: EINVAL without a warning; it may come later")
{
	struct vm vm = new_vm();
	int file = vfio_file();

	host_set_vfio_ko(VFIO_KO_NONE);
	EXPECT_EQ(user_add(vm.dev, user_open_pipe()), -EINVAL);
	EXPECT_EQ(test_warnings(), 0);
	host_set_vfio_ko(VFIO_KO_OURS);
	EXPECT_EQ(user_add(vm.dev, file), 0);
	EXPECT_EQ(test_warnings(), 0);
}

/* EEXIST needs no vfio.ko: the files of the VM are searched first. */
TEST(exist_first, "EEXIST comes before any question to vfio.ko")
{
	struct vm vm = new_vm();
	int file = vfio_file();
	unsigned int calls;

	EXPECT_EQ(user_add(vm.dev, file), 0);
	calls = counts.api_calls;
	EXPECT_EQ(user_add(vm.dev, file), -EEXIST);
	EXPECT_EQ(counts.api_calls, calls);
}

/* KVM is unloaded, or its init fails after this: nothing of the device is left. */
TEST(unload, "no KVM-VFIO device after kvm_vfio_ops_exit(): ENODEV")
{
	int vm = user_create_vm();

	EXPECT_EQ(user_create_device(vm, true), 0);
	kvm_vfio_ops_exit();
	EXPECT_EQ(user_create_device(vm, true), -ENODEV);
	EXPECT_EQ(kvm_vfio_ops_init(), 0);
	EXPECT_EQ(user_create_device(vm, true), 0);
}
