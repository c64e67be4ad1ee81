// SPDX-License-Identifier: GPL-2.0-only
/* KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE: contract, section 4, the part of vfio.c */
#include "setup.h"

#if IS_ENABLED(CONFIG_SPAPR_TCE_IOMMU)
static int set_tce_at(int dev, const void *arg)
{
	return user_attr(dev, KVM_DEV_VFIO_GROUP,
			 KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, arg);
}

/*
 * Contract 4.2, 4.3, 4.4, 4.5, 4.6: EFAULT, EBADF group, ENOENT, EBADF table,
 * EINVAL, in this order.
 */
TEST(tce_errors, "SET_SPAPR_TCE: the errors and their order")
{
	struct vm vm = new_vm(), other = new_vm();
	struct group group = new_group(1), foreign = new_group(1);
	int table = user_create_tce(vm.fd, 1), none = SHIM_FDS - 1;
	struct kvm_vfio_spapr_tce param = { none, none };

	EXPECT_EQ(set_tce_at(vm.dev, NULL), -EFAULT);
	shim_set_unreadable(&param.tablefd, 1);
	EXPECT_EQ(set_tce_at(vm.dev, &param), -EFAULT);
	shim_set_unreadable(NULL, 0);
	EXPECT_EQ(user_set_tce(vm.dev, none, none), -EBADF);
	EXPECT_EQ(user_set_tce(vm.dev, none, table), -EBADF);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, none), -ENOENT);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, table), -ENOENT);
	EXPECT_EQ(user_add(other.dev, group.fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, table), -ENOENT);
	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, none), -EBADF);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, user_open_pipe()), -EINVAL);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, foreign.fd), -EINVAL);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd,
			       user_create_tce(other.fd, 1)), -EINVAL);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd,
			       user_create_tce(vm.fd, 4)), -EINVAL);
	EXPECT_EQ(fake_attached(table), 0);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, table), 0);
	EXPECT_EQ(fake_attached(table), 1);
}

/*
 * Contract 4.7: Group has no hardware TCE tables (emulated-IOMMU group):
 * EINVAL, no WARN.
 */
TEST(tce_mdev, "SET_SPAPR_TCE: EINVAL for an mdev, and DEL without a WARN")
{
	struct vm vm = new_vm();
	struct group group = open_group(host_group(VFIO_EMULATED_IOMMU, 1),
					user_open_container());

	EXPECT_EQ(user_set_iommu(group.container), 0);
	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd,
			       user_create_tce(vm.fd, 1)), -EINVAL);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
}

static struct group new_spapr_group(int type)
{
	struct group group = new_group_of_type(type);

	user_register_memory(group.container);
	return group;
}

/*
 * Contract 4.8: The container belongs to another mm than the VM: EPERM. This is
 * checked after the table and the kind of group, and before a window is looked
 * for.
 */
TEST(tce_other_mm, "SET_SPAPR_TCE: EPERM for a container of another mm")
{
	struct vm vm = new_vm(), other = new_vm();
	struct group own = new_spapr_group(VFIO_SPAPR_TCE_v2_IOMMU), foreign;
	int table = user_create_tce(vm.fd, 1), none = user_create_tce(vm.fd, 4);

	user_set_mm(2);
	foreign = new_spapr_group(VFIO_SPAPR_TCE_v2_IOMMU);
	EXPECT_EQ(user_set_tce(vm.dev, own.fd, table), -EIO);
	user_set_mm(1);
	EXPECT_EQ(user_set_tce(vm.dev, foreign.fd, table), -ENOENT);
	EXPECT_EQ(user_add(vm.dev, foreign.fd), 0);
	EXPECT_EQ(user_add(vm.dev, own.fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, foreign.fd, SHIM_FDS - 1), -EBADF);
	EXPECT_EQ(user_set_tce(vm.dev, foreign.fd, own.fd), -EINVAL);
	EXPECT_EQ(user_set_tce(vm.dev, foreign.fd,
			       user_create_tce(other.fd, 1)), -EINVAL);
	EXPECT_EQ(user_set_tce(vm.dev, foreign.fd, table), -EPERM);
	EXPECT_EQ(user_set_tce(vm.dev, foreign.fd, none), -EPERM);
	EXPECT_EQ(user_set_tce(vm.dev, own.fd, none), -EINVAL);
	EXPECT_EQ(fake_attached(table), 0);
	EXPECT_EQ(user_set_tce(vm.dev, own.fd, table), 0);
	host_take_back(foreign.ig, true);
	EXPECT_EQ(user_set_tce(vm.dev, foreign.fd, table), -EINVAL);
	EXPECT_EQ(fake_attached(table), 1);
}

/* A group without hardware tables comes before the mm, too. */
TEST(tce_other_mm_mdev, "SET_SPAPR_TCE: EINVAL for an mdev of another mm")
{
	struct vm vm = new_vm();
	int table = user_create_tce(vm.fd, 1);
	struct group group;

	user_set_mm(2);
	group = new_spapr_group(VFIO_SPAPR_TCE_v2_IOMMU);
	user_set_mm(1);
	group.ig->windows = 0;
	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, table), -EINVAL);
	group.ig->windows = 1;
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, table), -EPERM);
	EXPECT_EQ(fake_attached(table), 0);
}

/* The holder tells hypercalls whether memory is preregistered. */
TEST(tce_preregistered, "SET_SPAPR_TCE tells whether memory is preregistered")
{
	struct vm vm = new_vm();
	struct group v1 = new_spapr_group(VFIO_SPAPR_TCE_IOMMU);
	struct group v2 = new_spapr_group(VFIO_SPAPR_TCE_v2_IOMMU);
	int x = user_create_tce(vm.fd, 1), y = user_create_tce(vm.fd, 1);

	EXPECT_EQ(user_add(vm.dev, v1.fd), 0);
	EXPECT_EQ(user_add(vm.dev, v2.fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, v1.fd, x), 0);
	EXPECT_EQ(user_set_tce(vm.dev, v2.fd, y), 0);
	EXPECT_EQ(fake_preregistered(x), 0);
	EXPECT_EQ(fake_preregistered(y), 1);
}

/*
 * Contract 4.14: ADD then DEL or close without SET_SPAPR_TCE in between: no
 * WARN.
 */
TEST(tce_unused, "DEL and close without SET_SPAPR_TCE: no WARN, no call")
{
	struct vm vm = new_vm();
	struct group a = new_group(1), b = new_group(1);
	unsigned int calls;

	user_create_tce(vm.fd, 1);
	EXPECT_EQ(user_add(vm.dev, a.fd), 0);
	EXPECT_EQ(user_add(vm.dev, b.fd), 0);
	calls = counts.api_calls;
	EXPECT_EQ(user_del(vm.dev, a.fd), 0);
	EXPECT_EQ(counts.api_calls, calls + 2);
	EXPECT_EQ(shim_close(vm.dev), 0);
}

/*
 * Contract 4.19: ADD lets the group join, for what its container's other groups
 * have attached.
 */
TEST(tce_join, "ADD of each group lets it join, DEL ends that")
{
	struct vm vm = new_vm();
	struct group a = new_group(1), b = new_group(1);

	EXPECT_EQ(user_add(vm.dev, a.fd), 0);
	EXPECT_EQ(counts.tce_holders, 1);
	EXPECT_EQ(user_add(vm.dev, b.fd), 0);
	EXPECT_EQ(user_add(vm.dev, b.fd), -EEXIST);
	EXPECT_EQ(counts.tce_holders, 2);
	EXPECT_EQ(user_del(vm.dev, a.fd), 0);
	EXPECT_EQ(counts.tce_holders, 1);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(counts.tce_holders, 0);
}

/* Contract 4.11: The same pair again: 0, and one DEL undoes it. */
TEST(tce_again, "SET_SPAPR_TCE: the same pair again, one DEL undoes it")
{
	struct vm vm = new_vm();
	struct group group = new_group(1);
	int table = user_create_tce(vm.fd, 1);

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(user_set_tce(vm.dev, group.fd, table), 0);
	EXPECT_EQ(fake_attached(table), 1);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(fake_attached(table), 0);
}

/* Contract 4.13: Several groups on one table, several tables on one group. */
TEST(tce_many, "SET_SPAPR_TCE: undoing one leaves the others working")
{
	struct vm vm = new_vm();
	struct group a = new_group(1), b = new_group(1);
	int x = user_create_tce(vm.fd, 1), y = user_create_tce(vm.fd, 2);

	EXPECT_EQ(user_add(vm.dev, a.fd), 0);
	EXPECT_EQ(user_add(vm.dev, b.fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, a.fd, x), 0);
	EXPECT_EQ(user_set_tce(vm.dev, b.fd, x), 0);
	EXPECT_EQ(user_set_tce(vm.dev, a.fd, y), 0);
	EXPECT_EQ(fake_attached(x), 2);
	EXPECT_EQ(fake_attached(y), 1);
	EXPECT_EQ(user_del(vm.dev, a.fd), 0);
	EXPECT_EQ(fake_attached(x), 1);
	EXPECT_EQ(fake_attached(y), 0);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(fake_attached(x), 0);
}

/* DEL of a group whose SET failed takes nothing away from another group. */
TEST(tce_failed, "SET_SPAPR_TCE that failed: DEL releases nothing")
{
	struct vm vm = new_vm();
	struct group a = new_group(1), b = new_group(1);
	int table = user_create_tce(vm.fd, 1);

	b.ig->windows = 2;
	EXPECT_EQ(user_add(vm.dev, a.fd), 0);
	EXPECT_EQ(user_add(vm.dev, b.fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, a.fd, table), 0);
	EXPECT_EQ(user_set_tce(vm.dev, b.fd, table), -EINVAL);
	log_start();
	EXPECT_EQ(user_del(vm.dev, b.fd), 0);
	EXPECT_LOG("0-e");
	EXPECT_EQ(fake_attached(table), 1);
	/* A SET that fails after one that worked undoes nothing. */
	EXPECT_EQ(user_set_tce(vm.dev, a.fd, SHIM_FDS - 1), -EBADF);
	EXPECT_EQ(user_set_tce(vm.dev, a.fd,
			       user_create_tce(vm.fd, 4)), -EINVAL);
	EXPECT_EQ(user_del(vm.dev, a.fd), 0);
	EXPECT_EQ(fake_attached(table), 0);
}

/* The attachment goes while the group is still protected. */
TEST(tce_order, "DEL releases the tables before the protection")
{
	struct vm vm = new_vm();
	struct group group = new_group(1);

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, user_create_tce(vm.fd, 1)), 0);
	log_start();
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_LOG("r0-e");
}

/*
 * Contract 4.17: A table fd closed while groups are attached, and the VM's
 * other fds.
 */
TEST(tce_close, "a table's fd is closed first, the VM's fd before all")
{
	struct vm vm = new_vm();
	struct group group = new_group(1);
	int table = user_create_tce(vm.fd, 1);

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, table), 0);
	EXPECT_EQ(shim_close(vm.fd), 0);
	EXPECT_EQ(shim_close(table), 0);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(counts.vms, 0);
}

/* Contract 4.7: Group is dead: EINVAL, no WARN. */
TEST(tce_dead, "SET_SPAPR_TCE: EINVAL for a dead group, no WARN")
{
	struct vm vm = new_vm();
	struct group group = new_group(1);

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	host_take_back(group.ig, true);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd,
			       user_create_tce(vm.fd, 1)), -EINVAL);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, SHIM_FDS - 1), -EBADF);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
}

/* An attachment belongs to exactly one member: none is left without one. */
TEST(tce_dead_attached, "DEL of a dead group leaves no attachment behind")
{
	struct vm vm = new_vm();
	struct group group = new_group(1);
	int table = user_create_tce(vm.fd, 1);

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, table), 0);
	host_take_back(group.ig, false);
	EXPECT_EQ(fake_attached(table), 1);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(fake_attached(table), 0);
	/* As does the last close. */
	group = new_group(1);
	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, group.fd, table), 0);
	host_take_back(group.ig, true);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(fake_attached(table), 0);
}

/* What is attached belongs to its holder; another VM's holder of the group has its own. */
TEST(tce_two_vms, "SET_SPAPR_TCE in two VMs: each DEL undoes its own")
{
	struct vm a = new_vm(), b = new_vm();
	struct group group = new_group(1);
	int x = user_create_tce(a.fd, 1), y = user_create_tce(b.fd, 1);

	EXPECT_EQ(user_add(a.dev, group.fd), 0);
	EXPECT_EQ(user_add(b.dev, group.fd), 0);
	EXPECT_EQ(user_set_tce(a.dev, group.fd, x), 0);
	EXPECT_EQ(user_set_tce(b.dev, group.fd, y), 0);
	EXPECT_EQ(user_set_tce(a.dev, group.fd, y), -EINVAL);
	EXPECT_EQ(user_del(a.dev, group.fd), 0);
	EXPECT_EQ(fake_attached(x), 0);
	EXPECT_EQ(fake_attached(y), 1);
}

#if IS_ENABLED(CONFIG_VFIO_DEVICE_CDEV)
/* A cdev has no group: EINVAL. */
TEST(tce_cdev, "SET_SPAPR_TCE: EINVAL for a cdev")
{
	struct vm vm = new_vm();
	int fd = user_open_cdev(host_group(VFIO_IOMMU, 1)->devices);

	EXPECT_EQ(user_add(vm.dev, fd), 0);
	EXPECT_EQ(user_set_tce(vm.dev, fd, user_create_tce(vm.fd, 1)), -EINVAL);
}
#endif
#endif
