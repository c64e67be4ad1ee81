// SPDX-License-Identifier: GPL-2.0-only
/*
 * External users of VFIO files
 *
 * Copyright (C) 2026 the authors of kvm-vfio
 *
 * Theory of operation
 *
 * Kernel code outside VFIO, such as KVM, may act on the IOMMU on behalf of the
 * process that holds a VFIO group.  A reference on the group's file proves
 * nothing: the group may be in no container, or leave it.  So an external user
 * counts in group->container_users, as an open device does, and is accepted
 * only if the container has an IOMMU driver.  VFIO's own rules then keep the
 * protection: VFIO_GROUP_UNSET_CONTAINER is EBUSY, and the group's file, which
 * the count pins, is not released.
 *
 * Unlike an open device fd, an external user does not keep the host from taking
 * its device back.  When the last device of the group leaves VFIO,
 * vfio_external_revoke() marks the users dead, takes their counts back and
 * waits for an RCU grace period, and only then does the group lose its IOMMU.
 * A dead user pins the file and nothing else.
 *
 * A group on an iommufd is accepted without a count: iommufd keeps the DMA of
 * its devices in bounds while one of them is open, and there is none otherwise.
 * A user of a device cdev pins the file, and the file its device; the DMA
 * protection there is iommufd's own, too.
 *
 * Who pins what
 *
 *	user	pins the file, from get() until put(); the file pins the struct
 *		vfio_group (through its cdev) and this module
 *	user	pins the container's IOMMU driver and domain, through
 *		group->container_users, from get() until put() or revoke
 *	nobody	pins the devices of a group, or the iommu_group
 *
 * Locks
 *
 *	group->group_lock	the users of a group, see external_group.c
 *	df->kvm_ref_lock	the users of a cdev file
 */
#include <linux/cleanup.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>

#include "external.h"

/* A device fd of a group relies on that group, so it is no cdev. */
static struct vfio_device_file *vfio_external_cdev(struct file *file)
{
	struct vfio_device_file *df = file->private_data;

	if (!IS_ENABLED(CONFIG_VFIO_DEVICE_CDEV) ||
	    file->f_op != &vfio_device_fops || df->group)
		return NULL;
	return df;
}

static int vfio_external_get_cdev(struct vfio_external_user *user,
				  struct vfio_device_file *df)
{
	struct device *dev = df->device->dev;

	if (vfio_device_is_noiommu(df->device))
		return -EPERM;
	/* A device without its own IOMMU (mdev) does no DMA of its own. */
	user->coherent = !dev->iommu ||
		device_iommu_capable(dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY);

	spin_lock(&df->kvm_ref_lock);
	list_add_tail(&user->node, &df->external_users);
	df->nr_external_users++;
	spin_unlock(&df->kvm_ref_lock);
	return 0;
}

static void vfio_external_put_cdev(struct vfio_external_user *user,
				   struct vfio_device_file *df)
{
	spin_lock(&df->kvm_ref_lock);
	list_del(&user->node);
	df->nr_external_users--;
	df->kvm = vfio_external_newest_kvm(&df->external_users);
	spin_unlock(&df->kvm_ref_lock);
}

static void vfio_external_set_cdev_kvm(struct vfio_external_user *user,
				       struct vfio_device_file *df,
				       struct kvm *kvm)
{
	spin_lock(&df->kvm_ref_lock);
	user->kvm = kvm;
	list_move(&user->node, &df->external_users);
	df->kvm = kvm;
	spin_unlock(&df->kvm_ref_lock);
}

void vfio_external_show_device(struct vfio_device *device, struct seq_file *m)
{
	seq_printf(m, "vfio-device:\t%s %s %s\n", dev_name(device->dev),
		   device->ops->name ?: dev_driver_string(device->dev),
		   /* just a hint: dev_set->lock guards it */
		   data_race(device->open_count) ? "open" : "closed");
}

/* The file is bound to an iommufd once, for good. */
static void vfio_external_show_cdev(struct vfio_device_file *df,
				    struct seq_file *m)
{
	unsigned int users;

	scoped_guard(spinlock, &df->kvm_ref_lock)
		users = df->nr_external_users;
	seq_printf(m, "cdev:\t%s\n", dev_name(&df->device->device));
	seq_puts(m, "state:\theld\n");
	seq_printf(m, "protection:\t%s\n",
		   READ_ONCE(df->access_granted) ? "iommufd" : "none");
	vfio_external_show_device(df->device, m);
	seq_printf(m, "users:\t%u\n", users - 1);
}

/**
 * vfio_external_get - Become an external user of a VFIO file
 * @user: memory for it, kept by the caller until vfio_external_put() returned
 * @file: a group that is in a container with its IOMMU set or on an iommufd, or
 *	a device cdev, bound or not.  A file can have any number of users.
 *
 * What the members of @user say about the group is found out under the same
 * hold of the group's lock that pins it.
 *
 * Context: Process context, may sleep.  Takes the group's lock, so the caller
 * must not hold kvm->lock.  The caller pins @file and this module for the call.
 * Return: 0, or with nothing changed: -EINVAL if @file is no VFIO group or
 * device cdev, or if its group has no container, has no IOMMU set in it, or
 * was taken back by the host; -EPERM if it has no IOMMU (no-IOMMU mode).
 */
int vfio_external_get(struct vfio_external_user *user, struct file *file)
{
	struct vfio_group *group = vfio_group_from_file(file);
	struct vfio_device_file *df = vfio_external_cdev(file);
	int ret = -EINVAL;

	*user = (struct vfio_external_user){ .file = file, .group = -1 };
	if (group)
		ret = vfio_external_get_group(user, group);
	else if (df)
		ret = vfio_external_get_cdev(user, df);
	if (!ret)
		get_file(file);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_external_get);

/**
 * vfio_external_put - Stop being an external user
 * @user: the external user
 *
 * Gives its count back; drivers see its VM no more.  A caller that uses @user
 * in RCU read-side sections makes it unreachable and waits for them before.
 *
 * Context: Process context, may sleep.  Takes the group's lock, so the caller
 * must not hold kvm->lock.  Cannot fail and allocates nothing.
 */
void vfio_external_put(struct vfio_external_user *user)
{
	struct vfio_group *group = vfio_group_from_file(user->file);

	if (group)
		vfio_external_put_group(user, group);
	else
		vfio_external_put_cdev(user, user->file->private_data);
	fput(user->file);
}
EXPORT_SYMBOL_GPL(vfio_external_put);

/**
 * vfio_external_set_kvm - Name the VM that the user acts for
 * @user: the external user
 * @kvm: the VM, which the caller keeps alive until @user is put
 *
 * At the next first open of a device, its driver sees the VM that was named
 * last; when the user of that one is put, the one before it is seen again.
 *
 * Context: Process context, may sleep.  Takes the group's lock, so the caller
 * must not hold kvm->lock.
 */
void vfio_external_set_kvm(struct vfio_external_user *user, struct kvm *kvm)
{
	struct vfio_group *group = vfio_group_from_file(user->file);

	if (group)
		vfio_external_set_group_kvm(user, group, kvm);
	else
		vfio_external_set_cdev_kvm(user, user->file->private_data, kvm);
}
EXPORT_SYMBOL_GPL(vfio_external_set_kvm);

/**
 * vfio_external_with_group - Call a function while the group is protected
 * @user: the external user
 * @fn: called with the group as the IOMMU layer knows it, and with @data
 * @data: for @fn
 *
 * Finds out @user->preregistered anew, for current->mm.  The group loses
 * neither its protection nor its last device while @fn runs, so @fn needs no
 * reference on it, and must not keep one.  What the group points to stays in
 * RCU read-side sections in which @user is alive.
 *
 * Context: Process context, may sleep.  Takes the group's lock and calls @fn
 * with it, so the caller must not hold kvm->lock.
 * Return: What @fn returned; -ENODEV if the group is not in a container, as the
 * host took it back or it is on an iommufd, and for a cdev.
 */
int vfio_external_with_group(struct vfio_external_user *user,
			     int (*fn)(struct iommu_group *group, void *data),
			     void *data)
{
	struct vfio_group *group = vfio_group_from_file(user->file);

	return group ? vfio_external_call_group(user, group, fn, data) :
		       -ENODEV;
}
EXPORT_SYMBOL_GPL(vfio_external_with_group);

/**
 * vfio_external_show - Tell what is held, and what protects it
 * @user: the external user, dead or alive
 * @m: gets the lines of one file, see Documentation/ABI/testing/procfs-kvm-vfio
 *
 * Context: Process context, may sleep.  Waits for nothing that user space can
 * delay.
 */
void vfio_external_show(struct vfio_external_user *user, struct seq_file *m)
{
	struct vfio_group *group = vfio_group_from_file(user->file);

	if (group)
		vfio_external_show_group(user, group, m);
	else
		vfio_external_show_cdev(user->file->private_data, m);
}
EXPORT_SYMBOL_GPL(vfio_external_show);
