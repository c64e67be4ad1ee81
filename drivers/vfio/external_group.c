// SPDX-License-Identifier: GPL-2.0-only
/*
 * External users of VFIO groups, see external.c
 *
 * Copyright (C) 2026 the authors of kvm-vfio
 *
 * group->group_lock guards the list of a group's users, their counts in
 * group->container_users, and the change of a user from alive to dead.
 * SET_CONTAINER, UNSET_CONTAINER, the release of the file and the last device
 * that leaves hold it, too, so nothing comes between the check of the
 * container and the count.
 */
#include <linux/cleanup.h>
#include <linux/iommu.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include "external.h"

static int vfio_external_group_incoherent(struct device *dev, void *unused)
{
	return !device_iommu_capable(dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY);
}

/*
 * VFIO has a domain enforce coherency if the IOMMU of each device can, so these
 * say the same as VFIO_DMA_CC_IOMMU of a container that has only this group.
 * Devices without a VFIO driver are asked as well: any of the group may do DMA.
 * An emulated IOMMU (mdev) means no DMA of its own.
 */
static bool vfio_external_group_coherent(struct vfio_group *group)
{
	return group->type == VFIO_EMULATED_IOMMU ||
	       !iommu_group_for_each_dev(group->iommu_group, NULL,
					 vfio_external_group_incoherent);
}

static void vfio_external_uncount(struct vfio_external_user *user,
				  struct vfio_group *group)
{
	lockdep_assert_held(&group->group_lock);

	if (user->counted) {
		user->counted = false;
		vfio_group_unuse_container(group);
	}
}

/*
 * Neither the container nor its IOMMU driver can go as long as the count is
 * there: a container drops its driver with its last group, and a group that
 * has other users than its file does not leave.
 */
int vfio_external_get_group(struct vfio_external_user *user,
			    struct vfio_group *group)
{
	int ret;

	guard(mutex)(&group->group_lock);

	if (group->type == VFIO_NO_IOMMU)
		return -EPERM;
	/* The last device clears it, an iommufd stays until the file goes. */
	if (!group->iommu_group || !(group->container || group->iommufd))
		return -EINVAL;

	if (group->container) {
		user->protection = vfio_group_protection(group);
		if (!user->protection)
			return -EINVAL;
		ret = vfio_group_use_container(group);
		if (ret)
			return ret;
		user->counted = true;
	} else {
		user->protection = "iommufd";
	}
	user->group = iommu_group_id(group->iommu_group);
	user->coherent = vfio_external_group_coherent(group);

	list_add_tail(&user->node, &group->external_users);
	WRITE_ONCE(group->nr_external_users, group->nr_external_users + 1);
	return 0;
}

void vfio_external_put_group(struct vfio_external_user *user,
			     struct vfio_group *group)
{
	guard(mutex)(&group->group_lock);

	list_del(&user->node);
	WRITE_ONCE(group->nr_external_users, group->nr_external_users - 1);
	vfio_group_set_kvm(group,
			   vfio_external_newest_kvm(&group->external_users));
	vfio_external_uncount(user, group);
}

void vfio_external_set_group_kvm(struct vfio_external_user *user,
				 struct vfio_group *group, struct kvm *kvm)
{
	guard(mutex)(&group->group_lock);

	user->kvm = kvm;
	list_move(&user->node, &group->external_users);
	vfio_group_set_kvm(group, kvm);
}

int vfio_external_call_group(struct vfio_external_user *user,
			     struct vfio_group *group,
			     int (*fn)(struct iommu_group *group, void *data),
			     void *data)
{
	guard(mutex)(&group->group_lock);

	/* On an iommufd, the hardware tables of the group are the host's. */
	if (!user->counted)
		return -ENODEV;
	user->preregistered = vfio_group_preregistered(group);
	return fn(group->iommu_group, data);
}

/**
 * vfio_external_revoke - The host takes a group back from its external users
 * @group: the group, whose last device is leaving VFIO
 *
 * On return every external user of the group is dead, none of them is within
 * an RCU read-side section that it entered alive, and group->container_users
 * is what it would be without them.  New ones are refused because the caller
 * clears group->iommu_group before it drops the lock.
 *
 * Context: Process context, may sleep.  The caller holds @group->group_lock.
 */
void vfio_external_revoke(struct vfio_group *group)
{
	struct vfio_external_user *user;

	lockdep_assert_held(&group->group_lock);

	list_for_each_entry(user, &group->external_users, node) {
		WRITE_ONCE(user->dead, true);
		vfio_external_uncount(user, group);
		/* User space makes as many as it has VMs. */
		cond_resched();
	}
	/* VFIO's list of groups waits, too, but only if there was a user. */
	if (!list_empty(&group->external_users))
		synchronize_rcu();
}

/* Without the group's lock, which user space can have held for long. */
void vfio_external_show_group(struct vfio_external_user *user,
			      struct vfio_group *group, struct seq_file *m)
{
	struct vfio_device *device;
	bool alive;

	seq_printf(m, "group:\t%d\n", user->group);
	/* The name of the IOMMU driver goes with the driver. */
	scoped_guard(rcu) {
		alive = vfio_external_alive(user);
		seq_printf(m, "state:\t%s\n", alive ? "held" : "revoked");
		seq_printf(m, "protection:\t%s\n",
			   alive ? user->protection : "none");
	}

	guard(mutex)(&group->device_lock);
	list_for_each_entry(device, &group->device_list, group_next)
		vfio_external_show_device(device, m);
	seq_printf(m, "users:\t%u\n", READ_ONCE(group->nr_external_users) - 1);
}
