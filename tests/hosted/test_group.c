// SPDX-License-Identifier: GPL-2.0-only
/* Groups: what ADD requires, what it pins, what releases: contract, 1 and 2 */
#include "setup.h"

#if IS_ENABLED(CONFIG_VFIO_GROUP)
/*
 * Contract 1.4, 1.5: Group without a container, then without VFIO_SET_IOMMU:
 * EINVAL.
 */
TEST(add_unprotected, "ADD: EINVAL without container, without SET_IOMMU")
{
	struct vm vm = new_vm();
	struct iommu_group *ig = host_group(VFIO_IOMMU, 1);
	int fd = user_open_group(ig), container = user_open_container();
	char *before = fake_snapshot(), *after;

	EXPECT_EQ(user_add(vm.dev, fd), -EINVAL);
	after = fake_snapshot();
	EXPECT_STR(after, before);
	free(before);
	free(after);

	EXPECT_EQ(user_set_container(fd, container), 0);
	EXPECT_EQ(user_add(vm.dev, fd), -EINVAL);
	EXPECT_EQ(fake_group(fd)->container_users, 1);
	EXPECT_EQ(user_set_iommu(container), 0);
	EXPECT_EQ(user_add(vm.dev, fd), 0);
}

/* Contract 1.6: no-IOMMU group, whatever its container: EPERM. */
TEST(add_noiommu, "ADD: EPERM for a no-IOMMU group, whatever its container")
{
	struct vm vm = new_vm();
	int fd = user_open_group(host_group(VFIO_NO_IOMMU, 1));
	int container = user_open_container();

	EXPECT_EQ(user_add(vm.dev, fd), -EPERM);
	EXPECT_EQ(user_set_container(fd, container), 0);
	EXPECT_EQ(user_add(vm.dev, fd), -EPERM);
	EXPECT_EQ(user_set_iommu(container), 0);
	EXPECT_EQ(user_add(vm.dev, fd), -EPERM);
	EXPECT_ASSIGNED(vm.kvm, 0);
}

/*
 * Contract 1.8: The same struct file already in this VM, whatever its fd
 * number: EEXIST, which comes before any question to the container.
 */
TEST(add_twice, "ADD: EEXIST by struct file, not by fd number")
{
	struct vm vm = new_vm();
	struct group group = new_group(1);
	int dup = shim_dup(group.fd), moved;

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(user_add(vm.dev, group.fd), -EEXIST);
	EXPECT_EQ(user_add(vm.dev, dup), -EEXIST);
	EXPECT_EQ(users(&group), 2);
	EXPECT_ASSIGNED(vm.kvm, 1);
	EXPECT_EQ(shim_close(group.fd), 0);
	EXPECT_EQ(user_open_pipe(), group.fd);
	EXPECT_EQ(user_add(vm.dev, group.fd), -EINVAL);
	EXPECT_EQ(user_del(vm.dev, group.fd), -ENOENT);
	moved = shim_dup(dup);
	EXPECT_EQ(user_add(vm.dev, moved), -EEXIST);
	EXPECT_EQ(user_del(vm.dev, moved), 0);
	EXPECT_EQ(user_del(vm.dev, dup), -ENOENT);
	EXPECT_EQ(user_add(vm.dev, dup), 0);
}

/* Contract 1.3: A device fd that came from a group is no cdev: EINVAL. */
TEST(add_device_fd, "ADD: EINVAL for a device fd that came from a group")
{
	struct vm vm = new_vm();
	struct group group = new_group(1);
	int device = user_get_device(group.fd, group.ig->devices);

	EXPECT(device >= 0);
	EXPECT_EQ(user_add(vm.dev, device), -EINVAL);
	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
}

/*
 * Contract 1.19: While KVM holds a group in a container: UNSET_CONTAINER is
 * EBUSY, after DEL 0; with device fds open or not. DEL succeeds with device fds
 * still open.
 */
TEST(unset, "UNSET_CONTAINER: EBUSY from ADD to DEL")
{
	struct vm vm = new_vm();
	struct group group = new_group(1);
	int device;

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(user_unset_container(group.fd), -EBUSY);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(user_unset_container(group.fd), 0);

	EXPECT_EQ(user_set_container(group.fd, group.container), 0);
	EXPECT_EQ(user_set_iommu(group.container), 0);
	device = user_get_device(group.fd, group.ig->devices);
	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(users(&group), 3);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(user_unset_container(group.fd), -EBUSY);
	EXPECT_EQ(shim_close(device), 0);
	EXPECT_EQ(user_unset_container(group.fd), 0);
}

/*
 * Contract 1.20: The IOMMU domain stays attached, even when user space's fds
 * are closed first; the group is open once. Closing the KVM-VFIO device
 * releases it at once.
 */
TEST(domain_stays, "the domain outlives the user's fds, until the last close")
{
	struct vm vm = new_vm();
	struct group group = new_group(1);
	int device = user_get_device(group.fd, group.ig->devices), fd;

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(shim_close(group.container), 0);
	EXPECT_EQ(shim_close(group.fd), 0);
	EXPECT_EQ(shim_close(device), 0);
	EXPECT_EQ(group.ig->protected, 1);
	EXPECT_EQ(user_open_group(group.ig), -EBUSY);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(group.ig->protected, 0);
	EXPECT_EQ(counts.containers, 0);
	EXPECT_EQ(counts.vms, 1);
	fd = user_open_group(group.ig);
	EXPECT(fd >= 0);
	EXPECT_EQ(user_create_device(vm.fd, true), 0);
	EXPECT(user_create_device(vm.fd, false) >= 0);
}

/*
 * Contract 1.14: kvm_arch_start_assignment once per held file before it becomes
 * visible to drivers, kvm_arch_end_assignment once after its release.
 */
TEST(assignment, "start before drivers see the VM, end after the release")
{
	struct vm vm = new_vm();
	struct group a = new_group(1), b = new_group(1);

	log_start();
	EXPECT_EQ(user_add(vm.dev, a.fd), 0);
	EXPECT_LOG("+sk");
	EXPECT_EQ(user_add(vm.dev, b.fd), 0);
	EXPECT_ASSIGNED(vm.kvm, 2);
	EXPECT_EQ(user_add(vm.dev, b.fd), -EEXIST);
	EXPECT_ASSIGNED(vm.kvm, 2);
	log_start();
	EXPECT_EQ(user_del(vm.dev, a.fd), 0);
	EXPECT_LOG("0-e");
	EXPECT_ASSIGNED(vm.kvm, 1);
	log_start();
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_LOG("0-eg");
	EXPECT_ASSIGNED(vm.kvm, 0);
}

/*
 * Contract 2.7: Release cannot fail, and KVM-VFIO allocates no memory for it.
 */
TEST(release_allocates_nothing, "DEL and close allocate nothing, cannot fail")
{
	struct vm vm = new_vm();
	struct group groups[4];
	unsigned int before;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		groups[i] = new_group(2);
		groups[i].ig->devices[1].capable = i & 2;
		EXPECT_EQ(user_add(vm.dev, groups[i].fd), 0);
	}
	before = shim_allocations();
	shim_fault_arm(SHIM_FAULT_ALLOCATIONS);
	EXPECT_EQ(user_del(vm.dev, groups[1].fd), 0);
	EXPECT_EQ(user_del(vm.dev, groups[0].fd), 0);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT(!shim_fault_disarm());
	EXPECT_EQ(shim_allocations(), before);
	EXPECT_ASSIGNED(vm.kvm, 0);
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		EXPECT_EQ(users(&groups[i]), 1);
}

/* Contract 1.17 */
TEST(charged, "CREATE_DEVICE and ADD: what they allocate is charged")
{
	unsigned int before = shim_allocations(), uncharged = shim_uncharged();
	struct vm vm = new_vm();
	struct group group;

	EXPECT(shim_allocations() > before);
	group = new_group(1);
	before = shim_allocations();
	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT(shim_allocations() > before + 1);
	EXPECT_EQ(shim_uncharged(), uncharged);
}

/* Contract 1.11, 5.1: A group on an iommufd: pinned like one in a container. */
TEST(iommufd_group, "group on an iommufd: ADD 0, UNSET EBUSY until DEL")
{
	struct vm vm = new_vm(), other = new_vm();
	struct group group = open_group(host_group(VFIO_IOMMU, 1),
					user_open_iommufd());

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(user_add(other.dev, group.fd), 0);
	EXPECT_EQ(user_unset_container(group.fd), -EBUSY);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(user_unset_container(group.fd), -EBUSY);
	EXPECT_EQ(shim_close(other.dev), 0);
	EXPECT_EQ(user_unset_container(group.fd), 0);
	EXPECT_EQ(user_add(vm.dev, group.fd), -EINVAL);
}

/* Contract 5.1: ADD pins the file and the group. */
TEST(iommufd_pins, "group on an iommufd: ADD pins it; EINVAL once it is gone")
{
	struct vm vm = new_vm(), other = new_vm();
	struct group group = open_group(host_group(VFIO_IOMMU, 1),
					user_open_iommufd());
	int dup;

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	dup = shim_dup(group.fd);
	EXPECT_EQ(shim_close(group.fd), 0);
	EXPECT_EQ(user_open_group(group.ig), -EBUSY);
	host_take_back(group.ig, false);
	EXPECT_EQ(user_add(other.dev, dup), -EINVAL);
	/* Dead users keep nothing. */
	EXPECT_EQ(user_unset_container(dup), 0);
	EXPECT_EQ(shim_close(dup), 0);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(counts.groups, 0);
}

#define MANY	254

static void count_work(unsigned long *work)
{
	work[0] = counts.api_calls;
	work[1] = counts.capable;
	work[2] = shim_allocations();
	work[3] = shim_probes();
	work[4] = counts.symbol_gets;
}

/* The cost of ADD and DEL does not grow with the number of members. */
static void many(struct vm *vm, const int *fds, int (*op)(int dev, int fd))
{
	unsigned long first[5], before[5], after[5];

	for (int i = 0; i < MANY; i++) {
		count_work(before);
		EXPECT_EQ(op(vm->dev, fds[i]), 0);
		count_work(after);
		/* The first ADD binds vfio.ko. */
		for (int k = 0; k < 4; k++) {
			first[k] = i ? first[k] : after[k] - before[k];
			EXPECT_EQ(after[k] - before[k], first[k]);
		}
		EXPECT(!i || after[4] == before[4]);
	}
}

/* Contract 1.16, 1.18 */
TEST(flat, "254 members: the work of ADD and DEL is flat")
{
	struct vm vm = new_vm();
	int container = user_open_container(), fds[MANY];

	for (int i = 0; i < MANY; i++)
		fds[i] = open_group(host_group(VFIO_IOMMU, 1), container).fd;
	EXPECT_EQ(user_set_iommu(container), 0);
	many(&vm, fds, user_add);
	EXPECT_ASSIGNED(vm.kvm, MANY);
	many(&vm, fds, user_del);
	EXPECT_ASSIGNED(vm.kvm, 0);
	for (int i = 0; i < MANY; i++)
		EXPECT_EQ(user_add(vm.dev, fds[i]), 0);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_ASSIGNED(vm.kvm, 0);
}

/* Emulated-IOMMU (mdev) groups are held like others. */
TEST(add_mdev, "ADD and DEL of an emulated-IOMMU group")
{
	struct vm vm = new_vm();
	struct group group = open_group(host_group(VFIO_EMULATED_IOMMU, 1),
					user_open_container());

	EXPECT_EQ(user_add(vm.dev, group.fd), -EINVAL);
	EXPECT_EQ(user_set_iommu(group.container), 0);
	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(user_unset_container(group.fd), -EBUSY);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(user_unset_container(group.fd), 0);
}
#endif
