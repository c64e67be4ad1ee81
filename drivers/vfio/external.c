// SPDX-License-Identifier: GPL-2.0-only
/*
 * External users of VFIO files
 *
 * Theory of operation
 *
 * Kernel code outside VFIO, such as KVM, may act on the IOMMU on behalf of
 * whoever holds a VFIO group.  A reference on the group's file proves nothing:
 * the group may be in no container, or leave it.  So an external user counts
 * in group->container_users, exactly as an open device fd does, and is given
 * only when the container has an IOMMU driver.  VFIO's own rules then keep the
 * protection: VFIO_GROUP_UNSET_CONTAINER is EBUSY, and the group's file, which
 * the count pins, is not released.
 *
 * Unlike an open device fd, an external user does not keep the host from taking
 * its device back.  When the last device of the group leaves VFIO,
 * vfio_external_revoke() marks the users dead, takes their counts back and
 * waits for an RCU grace period, and only then does the group lose its IOMMU.
 * A dead user is an empty handle: nothing can be done with it but put(), and
 * to look what it was.
 *
 * Who pins what
 *
 *	user	pins the file, from get() until put(); the file pins the struct
 *		vfio_group (through its cdev) and this module
 *	user	pins the container's IOMMU driver and domain, through
 *		group->container_users, from get() until put() or revoke
 *	nobody	pins the devices of a group, or the iommu_group; the file of a cdev
 *		pins its device, as it does without a user
 *
 * Locks
 *
 *	group->group_lock	the count of a user, and whether it is dead.  Check
 *				and count happen under it at once, so nothing can
 *				come between.  SET/UNSET_CONTAINER, the release of
 *				the file and the last device hold it, too.
 *	vfio_external_lock	the hash of all users, and which VM is seen by a
 *				file's drivers.  Taken inside group->group_lock;
 *				only kvm_ref_lock is taken inside it.
 *
 * struct vfio_group is known to others, so users live in a hash beside it,
 * keyed by file: a group is open once, hence it has one file at a time.
 */
#include <linux/cleanup.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/iommu.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>

#include "vfio.h"

/**
 * struct vfio_external_user - one external user of one VFIO file
 * @node: in vfio_external_users, newest first; vfio_external_lock
 * @file: the VFIO file, pinned
 * @group: the group of @file, NULL for a device cdev
 * @kvm: the VM it acts for, or NULL; vfio_external_lock
 * @protection: what keeps the group's DMA in bounds while it is alive; constant
 * @counted: has a count in @group->container_users; @group->group_lock
 * @dead: the host took the group back; written under @group->group_lock, read
 *	under it or in RCU read-side sections
 */
struct vfio_external_user {
	struct hlist_node node;
	struct file *file;
	struct vfio_group *group;
	struct kvm *kvm;
	const char *protection;
	bool counted;
	bool dead;
};

static DEFINE_SPINLOCK(vfio_external_lock);
static DEFINE_HASHTABLE(vfio_external_users, 8);

/* A device fd that came from a group is pinned by that group, not by this. */
static bool vfio_external_is_cdev(struct file *file)
{
	struct vfio_device_file *df = file->private_data;

	return IS_ENABLED(CONFIG_VFIO_DEVICE_CDEV) &&
	       file->f_op == &vfio_device_fops && !df->group;
}

/* Let drivers see the VM of the newest user of @file that has one. */
static void vfio_external_update_kvm(struct file *file)
{
	struct vfio_external_user *user;
	struct kvm *kvm = NULL;

	lockdep_assert_held(&vfio_external_lock);

	hash_for_each_possible(vfio_external_users, user, node,
			       (unsigned long)file) {
		if (user->file == file && user->kvm) {
			kvm = user->kvm;
			break;
		}
	}
	vfio_file_set_kvm(file, kvm);
}

static void vfio_external_publish(struct vfio_external_user *user)
{
	spin_lock(&vfio_external_lock);
	hash_add(vfio_external_users, &user->node, (unsigned long)user->file);
	spin_unlock(&vfio_external_lock);
}

static void vfio_external_unpublish(struct vfio_external_user *user)
{
	spin_lock(&vfio_external_lock);
	hash_del(&user->node);
	if (user->kvm)
		vfio_external_update_kvm(user->file);
	spin_unlock(&vfio_external_lock);
}

static void vfio_external_show_device(struct vfio_device *device,
				      struct seq_file *m)
{
	seq_printf(m, "vfio-device:\t%s %s %s\n", dev_name(device->dev),
		   device->ops->name ?: dev_driver_string(device->dev),
		   /* just a hint: dev_set->lock guards it */
		   data_race(device->open_count) ? "open" : "closed");
}

#if IS_ENABLED(CONFIG_VFIO_GROUP)
/* In the user half, beyond all that a process can have: reading there is EFAULT. */
#define VFIO_EXTERNAL_NOWHERE	((unsigned long)(1ULL << 60))

/*
 * Of a container.  One of SPAPR TCE tells only its own mm which version it is: v1 has no
 * such ioctl, v2 cannot read its argument there, or knows no memory yet.
 */
static const char *vfio_external_protection(struct vfio_group *group)
{
	if (vfio_group_container_ioctl(group, VFIO_CHECK_EXTENSION,
				       VFIO_TYPE1_IOMMU) > 0)
		return "type1";
	if (vfio_group_container_ioctl(group, VFIO_CHECK_EXTENSION,
				       VFIO_SPAPR_TCE_IOMMU) <= 0)
		return "container";
	if (vfio_group_container_ioctl(group, 0, 0) == -EPERM)
		return "spapr";
	return vfio_group_container_ioctl(group, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY,
					  VFIO_EXTERNAL_NOWHERE) == -ENOTTY ?
		"spapr-v1" : "spapr-v2";
}

/*
 * Check and count under one hold of the group's lock.  Neither the container
 * nor its IOMMU driver can go as long as the count is there: a container drops
 * its driver with its last group, and a group leaves only at one user.
 */
static int vfio_external_pin(struct vfio_external_user *user)
{
	struct vfio_group *group = user->group;
	int ret;

	guard(mutex)(&group->group_lock);

	if (group->type == VFIO_NO_IOMMU)
		return -EPERM;

	/* The last device clears it, an iommufd stays until the file goes. */
	if (!group->iommu_group)
		return -EINVAL;

	if (!group->iommufd) {
		if (!group->container)
			return -EINVAL;
		ret = vfio_group_use_container(group);
		if (ret)
			return ret;
		user->counted = true;
		user->protection = vfio_external_protection(group);
	} else {
		user->protection = "iommufd";
	}
	vfio_external_publish(user);
	return 0;
}

static void vfio_external_uncount(struct vfio_external_user *user)
{
	lockdep_assert_held(&user->group->group_lock);

	if (user->counted) {
		user->counted = false;
		vfio_group_unuse_container(user->group);
	}
}

static void vfio_external_unpin(struct vfio_external_user *user)
{
	guard(mutex)(&user->group->group_lock);
	vfio_external_unpublish(user);
	vfio_external_uncount(user);
}

/**
 * vfio_external_in_use - Does a live external user hold the group?
 * @group: the group
 *
 * For a group on an iommufd, which has no count of its users.
 *
 * Context: Process context.  The caller holds @group->group_lock.
 * Return: true if there is one.
 */
bool vfio_external_in_use(struct vfio_group *group)
{
	struct vfio_external_user *user;
	bool found = false;

	lockdep_assert_held(&group->group_lock);

	spin_lock(&vfio_external_lock);
	hash_for_each_possible(vfio_external_users, user, node,
			       (unsigned long)group->opened_file) {
		found = user->group == group && !user->dead;
		if (found)
			break;
	}
	spin_unlock(&vfio_external_lock);
	return found;
}

/**
 * vfio_external_revoke - The host takes a group back from its external users
 * @group: the group, whose last device is leaving VFIO
 *
 * On return every external user of the group is dead, none of them is in the
 * middle of an RCU read-side section that it entered alive, and
 * group->container_users is what it would be without them.  New ones are
 * refused because the caller clears group->iommu_group before it lets go of the
 * lock.
 *
 * Context: Process context, may sleep.  The caller holds @group->group_lock.
 */
void vfio_external_revoke(struct vfio_group *group)
{
	struct vfio_external_user *user;
	bool found = false;

	lockdep_assert_held(&group->group_lock);

	/* fput() may be called under a spinlock; each user keeps the file. */
	spin_lock(&vfio_external_lock);
	hash_for_each_possible(vfio_external_users, user, node,
			       (unsigned long)group->opened_file) {
		if (user->group != group || user->dead)
			continue;
		WRITE_ONCE(user->dead, true);
		vfio_external_uncount(user);
		found = true;
	}
	spin_unlock(&vfio_external_lock);

	/* VFIO's list of groups waits, too, but only if there was a user. */
	if (found)
		synchronize_rcu();
}

/**
 * vfio_external_iommu_id - The number of the group
 * @user: the external user
 *
 * It is the N of /dev/vfio/N and of /sys/kernel/iommu_groups/N.
 *
 * Context: Process context, may sleep.  Takes the group's lock.
 * Return: The number; -ENODEV if the group is dead; -EINVAL for a cdev.
 */
static int vfio_external_iommu_id(struct vfio_external_user *user)
{
	struct vfio_group *group = user->group;

	if (!group)
		return -EINVAL;

	guard(mutex)(&group->group_lock);
	return user->dead ? -ENODEV : iommu_group_id(group->iommu_group);
}

/**
 * vfio_external_with_group - Do something with the group while it is protected
 * @user: the external user
 * @fn: called with the group as the IOMMU layer knows it, and with @data
 * @data: for @fn
 *
 * The group can neither lose its protection nor its last device while @fn runs,
 * so @fn needs no reference on it, and must not keep one.  What hangs below it lives on
 * in RCU read-side sections in which @user is alive.
 *
 * Context: Process context, may sleep.  Takes the group's lock and calls @fn with
 * it.
 * Return: What @fn returned; -ENODEV if the group is dead, and for a cdev.
 */
static int vfio_external_with_group(struct vfio_external_user *user,
				    int (*fn)(struct iommu_group *group,
					      void *data),
				    void *data)
{
	struct vfio_group *group = user->group;

	if (!group)
		return -ENODEV;

	guard(mutex)(&group->group_lock);
	return user->dead ? -ENODEV : fn(group->iommu_group, data);
}

/**
 * vfio_external_check_extension - VFIO_CHECK_EXTENSION of the container
 * @user: the external user
 * @arg: the extension, VFIO_DMA_CC_IOMMU for instance (uapi/linux/vfio.h)
 *
 * Context: Process context, may sleep.  Takes the group's and the container's
 * lock.
 * Return: What the container's IOMMU driver answers (0: not supported); -ENODEV
 * if the group is dead; -ENOTTY if the file is in no container (iommufd, cdev).
 */
static long vfio_external_check_extension(struct vfio_external_user *user,
					  unsigned long arg)
{
	struct vfio_group *group = user->group;

	if (!group)
		return -ENOTTY;

	guard(mutex)(&group->group_lock);
	if (user->dead)
		return -ENODEV;
	if (!user->counted)
		return -ENOTTY;
	return vfio_group_container_ioctl(group, VFIO_CHECK_EXTENSION, arg);
}

/**
 * vfio_external_preregistered - Is the memory of the container preregistered?
 * @user: the external user
 *
 * It is in SPAPR TCE v2 containers, which know the memory that can be mapped
 * (VFIO_IOMMU_SPAPR_REGISTER_MEMORY), and count what is mapped of it.
 *
 * Context: Process context of the one who is to rely on it, may sleep.  Only within a
 * function that was called by vfio_external_with_group() for @user, so that nothing
 * changes until its end.  Takes the container's lock.
 * Return: 1 if it is; 0 if not, or if the group is in no container (iommufd); -EPERM
 * if the container belongs to another mm than the caller's.
 */
static int vfio_external_preregistered(struct vfio_external_user *user)
{
	struct vfio_group *group = user->group;
	long ret;

	lockdep_assert_held(&group->group_lock);

	if (!user->counted)
		return 0;
	/* The driver looks at the mm first, and knows no such ioctl. */
	if (vfio_group_container_ioctl(group, 0, 0) == -EPERM)
		return -EPERM;
	/* Nothing can be read from there; a v1 container does not even try. */
	ret = vfio_group_container_ioctl(group, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY,
					 VFIO_EXTERNAL_NOWHERE);
	return ret == -EFAULT;
}

static int vfio_external_dev_incoherent(struct device *dev, void *unused)
{
	return !device_iommu_capable(dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY);
}

/*
 * A container answers for all its groups at once.  Where it says no, the group
 * itself is coherent nevertheless if each of its devices can only be attached
 * to a domain that enforces it.  All of them are asked, whether or not VFIO
 * knows them: any of them may be the one that does DMA.
 */
static bool vfio_external_group_coherent(struct vfio_group *group)
{
	guard(mutex)(&group->group_lock);

	if (group->type == VFIO_EMULATED_IOMMU)
		return true;
	if (!group->iommu_group)
		return false;
	if (group->container &&
	    vfio_group_container_ioctl(group, VFIO_CHECK_EXTENSION,
				       VFIO_DMA_CC_IOMMU) > 0)
		return true;
	return !iommu_group_for_each_dev(group->iommu_group, NULL,
					 vfio_external_dev_incoherent);
}

static int vfio_external_show_group(struct vfio_external_user *user,
				    struct seq_file *m)
{
	struct vfio_group *group = user->group;
	struct vfio_device *device;
	int ret;

	ret = mutex_lock_interruptible(&group->group_lock);
	if (ret)
		return ret;
	seq_printf(m, "group:\t%s\n", dev_name(&group->dev));
	seq_printf(m, "state:\t%s\n", user->dead ? "revoked" : "held");
	seq_printf(m, "protection:\t%s\n", user->dead ? "none" : user->protection);

	mutex_lock(&group->device_lock);
	list_for_each_entry(device, &group->device_list, group_next)
		vfio_external_show_device(device, m);
	mutex_unlock(&group->device_lock);
	mutex_unlock(&group->group_lock);
	return 0;
}

static bool vfio_external_cdev_emulated(struct file *file)
{
	struct vfio_device_file *df = file->private_data;

	return df->device->group->type == VFIO_EMULATED_IOMMU;
}
#else
static int vfio_external_pin(struct vfio_external_user *user)
{
	return -EINVAL;
}

static void vfio_external_unpin(struct vfio_external_user *user)
{
}

static int vfio_external_iommu_id(struct vfio_external_user *user)
{
	return -EINVAL;
}

static int vfio_external_with_group(struct vfio_external_user *user,
				    int (*fn)(struct iommu_group *group,
					      void *data),
				    void *data)
{
	return -ENODEV;
}

static long vfio_external_check_extension(struct vfio_external_user *user,
					  unsigned long arg)
{
	return -ENOTTY;
}

static int vfio_external_preregistered(struct vfio_external_user *user)
{
	return 0;
}

static bool vfio_external_group_coherent(struct vfio_group *group)
{
	return false;
}

static int vfio_external_show_group(struct vfio_external_user *user,
				    struct seq_file *m)
{
	return 0;
}

static bool vfio_external_cdev_emulated(struct file *file)
{
	return false;
}
#endif /* CONFIG_VFIO_GROUP */

/**
 * vfio_external_get - Become an external user of a VFIO file
 * @file: a group that is in a container with its IOMMU set or on an iommufd, or
 *	a device cdev, bound or not.  A file can have any number of users.
 *
 * Context: Process context, may sleep.  Takes the group's lock, so the caller
 * must not hold kvm->lock.  The caller pins @file and this module for the call.
 * Return: The user, or an ERR_PTR:
 * -EINVAL if @file is no group and no cdev, if the group is in no container, if
 * the container has no IOMMU set, or if the host took the group back;
 * -EPERM for a group without an IOMMU (no-IOMMU mode);
 * -ENOMEM.
 */
static struct vfio_external_user *vfio_external_get(struct file *file)
{
	struct vfio_group *group = vfio_group_from_file(file);
	struct vfio_external_user *user;
	int ret = 0;

	if (!group && !vfio_external_is_cdev(file))
		return ERR_PTR(-EINVAL);

	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return ERR_PTR(-ENOMEM);

	user->file = get_file(file);
	user->group = group;

	/* Publishes the user, so it is the last step that can fail. */
	if (group)
		ret = vfio_external_pin(user);
	else
		vfio_external_publish(user);
	if (ret) {
		fput(file);
		kfree(user);
		return ERR_PTR(ret);
	}
	return user;
}

/**
 * vfio_external_put - Stop being an external user
 * @user: the external user; gone on return
 *
 * Gives its count back, and drivers see its VM no more.  Who uses @user in RCU
 * read-side sections takes it out of their sight and waits for them before.
 *
 * Context: Process context, may sleep.  Takes the group's lock, so the caller
 * must not hold kvm->lock.  Cannot fail and allocates nothing.
 */
static void vfio_external_put(struct vfio_external_user *user)
{
	if (user->group)
		vfio_external_unpin(user);
	else
		vfio_external_unpublish(user);
	fput(user->file);
	kfree(user);
}

/**
 * vfio_external_set_kvm - Name the VM that the user acts for
 * @user: the external user
 * @kvm: the VM, which the caller keeps alive until @user is put, or NULL
 *
 * At the next first open of a device, its driver sees the VM of the newest user
 * of the file; when that one is put, the one before it is seen again.
 *
 * Context: Any context in which a spinlock may be taken, but no interrupt.
 */
static void vfio_external_set_kvm(struct vfio_external_user *user,
				  struct kvm *kvm)
{
	spin_lock(&vfio_external_lock);
	user->kvm = kvm;
	vfio_external_update_kvm(user->file);
	spin_unlock(&vfio_external_lock);
}

/**
 * vfio_external_alive - Is the group still protected?
 * @user: the external user
 *
 * It ends when the host takes the last device of the group away from VFIO; then
 * nothing is left for the user but to be put.  Until @user is put, the protection
 * outlives each RCU read-side section in which this returned true.  A cdev is
 * always alive: the host waits until its file is closed.
 *
 * Context: RCU read-side section; any, if the answer is only a hint.
 * Return: true if it is.
 */
static bool vfio_external_alive(const struct vfio_external_user *user)
{
	return !READ_ONCE(user->dead);
}

/**
 * vfio_external_enforced_coherent - Does the IOMMU make all DMA coherent?
 * @user: the external user
 *
 * Devices with an emulated IOMMU (mdev) count as coherent: they do no DMA of
 * their own.
 *
 * Context: Process context, may sleep.  Takes the group's and the container's
 * lock.
 * Return: true if all DMA of the group or device is coherent with CPU caches.
 */
static bool vfio_external_enforced_coherent(struct vfio_external_user *user)
{
	if (user->group)
		return vfio_external_group_coherent(user->group);
	return vfio_external_cdev_emulated(user->file) ||
	       vfio_file_enforced_coherent(user->file);
}

/* A cdev is a device: the file pins it, and is bound to an iommufd once, for good. */
static void vfio_external_show_cdev(struct vfio_external_user *user,
				    struct seq_file *m)
{
	struct vfio_device_file *df = user->file->private_data;

	seq_printf(m, "cdev:\t%s\n", dev_name(&df->device->device));
	seq_puts(m, "state:\theld\n");
	seq_printf(m, "protection:\t%s\n",
		   READ_ONCE(df->access_granted) ? "iommufd" : "none");
	vfio_external_show_device(df->device, m);
}

static unsigned int vfio_external_others(struct vfio_external_user *user)
{
	struct vfio_external_user *other;
	unsigned int nr = 0;

	spin_lock(&vfio_external_lock);
	hash_for_each_possible(vfio_external_users, other, node,
			       (unsigned long)user->file)
		if (other != user && other->file == user->file)
			nr++;
	spin_unlock(&vfio_external_lock);
	return nr;
}

/**
 * vfio_external_show - Tell people what is held, and what protects it
 * @user: the external user
 * @m: gets lines of a key and a value, as Documentation/ABI/testing/debugfs-kvm-vfio
 *	has them
 *
 * Also for one that is dead.
 *
 * Context: Process context, may sleep.  Takes the group's lock and its device lock.
 * Return: 0; -EINTR if a signal came while the group's lock was waited for.
 */
static int vfio_external_show(struct vfio_external_user *user,
			      struct seq_file *m)
{
	int ret = 0;

	if (user->group)
		ret = vfio_external_show_group(user, m);
	else
		vfio_external_show_cdev(user, m);
	if (!ret)
		seq_printf(m, "users:\t%u\n", vfio_external_others(user));
	return ret;
}

const struct vfio_external_api vfio_external_api = {
	.version		= VFIO_EXTERNAL_API_VERSION,
	.get			= vfio_external_get,
	.put			= vfio_external_put,
	.set_kvm		= vfio_external_set_kvm,
	.alive			= vfio_external_alive,
	.iommu_id		= vfio_external_iommu_id,
	.with_group		= vfio_external_with_group,
	.check_extension	= vfio_external_check_extension,
	.preregistered		= vfio_external_preregistered,
	.enforced_coherent	= vfio_external_enforced_coherent,
	.show			= vfio_external_show,
};
EXPORT_SYMBOL_GPL(vfio_external_api);
