// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM-VFIO pseudo device: which VFIO files a VM holds, and what follows from it
 *
 * Copyright (C) 2026 the authors of kvm-vfio
 * In the place of a file whose notices are:
 * Copyright (C) 2013 Red Hat, Inc.  All rights reserved.
 *     Author: Alex Williamson <alex.williamson@redhat.com>
 *
 * User space creates at most one such device per VM and adds to it the VFIO
 * groups (or device cdevs) whose devices the guest drives.  For each of them
 * KVM becomes an external user (see drivers/vfio/external.c): the file is
 * accepted only if the IOMMU protects it, and stays protected while it is
 * held, unless the host itself takes the devices back.
 *
 * Who pins what
 *
 *	fd of the device  pins the VM until the device is gone (KVM core);
 *			  the VM never pins the fd
 *	member		  is one held file; through its external user it pins
 *			  the file and its protection from ADD until DEL or the
 *			  end of the device
 *	device		  pins vfio.ko (symbol_get) while it has members
 *
 * Locks
 *
 *	kv->lock	struct kvm_vfio and its members.  Outermost:
 *			VFIO's locks are taken under it.
 *	kvm->lock	the VM's list of devices: KVM core, kvm_vfio_create().
 *			VFIO takes it (drivers, the last put of a VM) under its
 *			group lock, so neither that nor kv->lock may be taken
 *			under it.
 *
 * So members are released in .release_unlocked, which KVM core calls before it
 * takes kvm->lock and takes the device off the VM's list: no second device is
 * made before.
 */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/xarray.h>

#include "vfio.h"
#include "vfio_spapr.h"

#define CREATE_TRACE_POINTS
#include <trace/events/kvm_vfio.h>

/* No member counts where the architecture ignores noncoherent DMA. */
#ifdef __KVM_HAVE_ARCH_NONCOHERENT_DMA
#define KVM_VFIO_NONCOHERENT	true
#else
#define KVM_VFIO_NONCOHERENT	false
#endif

/* How many members fdinfo shows */
#define KVM_VFIO_SHOWN		1024U

/**
 * struct kvm_vfio_symbols - functions of vfio.ko, without which KVM must load
 * @get: vfio_external_get()
 * @put: vfio_external_put()
 * @set_kvm: vfio_external_set_kvm()
 * @with_group: vfio_external_with_group()
 * @show: vfio_external_show()
 */
struct kvm_vfio_symbols {
	typeof(vfio_external_get) *get;
	typeof(vfio_external_put) *put;
	typeof(vfio_external_set_kvm) *set_kvm;
	typeof(vfio_external_with_group) *with_group;
	typeof(vfio_external_show) *show;
};

/**
 * struct kvm_vfio_member - one VFIO file that the VM holds
 * @user: KVM as an external user of the file; pins it
 * @tce: what the TCE hypercalls of the VM reach of the group (POWER)
 */
struct kvm_vfio_member {
	struct vfio_external_user user;
	struct kvm_spapr_tce_holder tce;
};

/**
 * struct kvm_vfio - the KVM-VFIO device of one VM
 * @lock: guards all below but @kvm
 * @kvm: the VM, pinned by the fd of the device; constant
 * @vfio: VFIO's functions, NULL while there are no members
 * @nr_members: files held
 * @nr_noncoherent: members whose DMA may bypass the CPU caches
 * @members: the files held, by the address of the struct file
 */
struct kvm_vfio {
	struct mutex lock;	/* guards all below but kvm */
	struct kvm *kvm;
	struct kvm_vfio_symbols vfio;
	unsigned int nr_members;
	unsigned int nr_noncoherent;
	struct xarray members;
};

/* The low bits are 0 always, and would leave slots of each node empty. */
static unsigned long kvm_vfio_key(struct file *file)
{
	return (unsigned long)file / sizeof(long);
}

static struct kvm_vfio_member *kvm_vfio_find(struct kvm_vfio *kv,
					     struct file *file)
{
	lockdep_assert_held(&kv->lock);

	return xa_load(&kv->members, kvm_vfio_key(file));
}

static bool kvm_vfio_noncoherent(struct kvm_vfio_member *member)
{
	return KVM_VFIO_NONCOHERENT && !member->user.coherent;
}

static void kvm_vfio_put_symbols(struct kvm_vfio *kv)
{
	lockdep_assert_held(&kv->lock);

	if (kv->vfio.get)
		symbol_put(vfio_external_get);
	if (kv->vfio.put)
		symbol_put(vfio_external_put);
	if (kv->vfio.set_kvm)
		symbol_put(vfio_external_set_kvm);
	if (kv->vfio.with_group)
		symbol_put(vfio_external_with_group);
	if (kv->vfio.show)
		symbol_put(vfio_external_show);
	kv->vfio = (struct kvm_vfio_symbols){};
}

/* Take VFIO's functions, and the module with them, for the first member. */
static bool kvm_vfio_get_symbols(struct kvm_vfio *kv)
{
	struct kvm_vfio_symbols *vfio = &kv->vfio;

	lockdep_assert_held(&kv->lock);

	if (kv->nr_members)
		return true;

	vfio->get = symbol_get(vfio_external_get);
	vfio->put = symbol_get(vfio_external_put);
	vfio->set_kvm = symbol_get(vfio_external_set_kvm);
	vfio->with_group = symbol_get(vfio_external_with_group);
	vfio->show = symbol_get(vfio_external_show);
	return vfio->get && vfio->put && vfio->set_kvm && vfio->with_group &&
	       vfio->show;
}

static int kvm_vfio_join_group(struct iommu_group *group, void *data)
{
	return kvm_spapr_tce_join(group, data);
}

/* The group gets what is attached for others of its container already. */
static int kvm_vfio_join_tce(struct kvm_vfio *kv,
			     struct kvm_vfio_member *member)
{
	int ret;

	lockdep_assert_held(&kv->lock);

	kvm_spapr_tce_init_holder(&member->tce, &member->user, kv->kvm);
	if (!IS_ENABLED(CONFIG_SPAPR_TCE_IOMMU))
		return 0;
	ret = kv->vfio.with_group(&member->user, kvm_vfio_join_group,
				  &member->tce);
	/* A cdev has no group; there may be no container, or none any more. */
	return ret == -ENODEV ? 0 : ret;
}

/*
 * KVM hears of the first and of the last noncoherent member only.
 *
 * Whether a member counts was found out once, when it was added.  A group in a
 * container keeps its domain while it is held; no domain stops enforcing
 * coherency, and one that does not never begins to.
 */
static void kvm_vfio_count_noncoherent(struct kvm_vfio *kv,
				       struct kvm_vfio_member *member, int step)
{
	bool before;

	lockdep_assert_held(&kv->lock);

	if (!kvm_vfio_noncoherent(member))
		return;

	before = kv->nr_noncoherent;
	kv->nr_noncoherent += step;
	if (before == !!kv->nr_noncoherent)
		return;
	trace_kvm_vfio_coherency(kv->kvm->userspace_pid, !before);

	if (before)
		kvm_arch_unregister_noncoherent_dma(kv->kvm);
	else
		kvm_arch_register_noncoherent_dma(kv->kvm);
}

/* All that can fail */
static int kvm_vfio_member_init(struct kvm_vfio *kv,
				struct kvm_vfio_member *member,
				struct file *file)
{
	int ret;

	lockdep_assert_held(&kv->lock);

	ret = xa_insert(&kv->members, kvm_vfio_key(file), member, GFP_KERNEL);
	if (ret)
		return ret;
	ret = kvm_vfio_get_symbols(kv) ? kv->vfio.get(&member->user, file) :
					 -EINVAL;
	if (ret)
		goto err_erase;
	ret = kvm_vfio_join_tce(kv, member);
	if (!ret)
		return 0;
	kv->vfio.put(&member->user);
err_erase:
	xa_erase(&kv->members, kvm_vfio_key(file));
	return ret;
}

/*
 * Nothing here can fail.  KVM is prepared for the DMA of the devices before
 * drivers see the VM through the file.
 */
static void kvm_vfio_member_publish(struct kvm_vfio *kv,
				    struct kvm_vfio_member *member)
{
	struct vfio_external_user *user = &member->user;

	lockdep_assert_held(&kv->lock);

	kvm_vfio_count_noncoherent(kv, member, 1);
	kv->nr_members++;
	kv->vfio.set_kvm(user, kv->kvm);
	trace_kvm_vfio_add(kv->kvm->userspace_pid,
			   file_inode(user->file)->i_rdev, user->group,
			   kvm_vfio_noncoherent(member), kv->nr_members);
}

/* The reverse of kvm_vfio_member_publish() and kvm_vfio_member_init() */
static void kvm_vfio_member_release(struct kvm_vfio *kv,
				    struct kvm_vfio_member *member)
{
	struct vfio_external_user *user = &member->user;

	lockdep_assert_held(&kv->lock);

	xa_erase(&kv->members, kvm_vfio_key(user->file));
	kv->nr_members--;
	trace_kvm_vfio_del(kv->kvm->userspace_pid,
			   file_inode(user->file)->i_rdev, user->group,
			   kvm_vfio_noncoherent(member), kv->nr_members);

	kvm_spapr_tce_detach(&member->tce);
	kv->vfio.put(user);

	kvm_vfio_count_noncoherent(kv, member, -1);
	kfree(member);
	if (!kv->nr_members)
		kvm_vfio_put_symbols(kv);
}

/**
 * kvm_vfio_add - KVM_DEV_VFIO_FILE_ADD, alias KVM_DEV_VFIO_GROUP_ADD
 * @kv: the device
 * @fd: fd of a VFIO group or of a VFIO device cdev
 *
 * Context: Process context.  Takes @kv->lock.
 * Return: 0, or with nothing changed an error of KVM_DEV_VFIO_FILE_ADD in
 * Documentation/virt/kvm/devices/vfio.rst.
 */
static int kvm_vfio_add(struct kvm_vfio *kv, int fd)
{
	struct file *file __free(fput) = fget(fd);
	int ret;

	if (!file)
		return -EBADF;

	guard(mutex)(&kv->lock);

	if (kvm_vfio_find(kv, file))
		return -EEXIST;

	struct kvm_vfio_member *member __free(kfree) =
		kzalloc_obj(*member, GFP_KERNEL_ACCOUNT);

	if (!member)
		return -ENOMEM;

	ret = kvm_vfio_member_init(kv, member, file);
	if (!ret)
		kvm_vfio_member_publish(kv, no_free_ptr(member));
	else if (!kv->nr_members)
		kvm_vfio_put_symbols(kv);
	return ret;
}

/**
 * kvm_vfio_del - KVM_DEV_VFIO_FILE_DEL, alias KVM_DEV_VFIO_GROUP_DEL
 * @kv: the device
 * @fd: any fd of a file that the VM holds; open device fds do not matter
 *
 * Context: Process context.  Takes @kv->lock.
 * Return: 0, or an error of KVM_DEV_VFIO_FILE_DEL in
 * Documentation/virt/kvm/devices/vfio.rst.
 */
static int kvm_vfio_del(struct kvm_vfio *kv, int fd)
{
	struct file *file __free(fput) = fget(fd);
	struct kvm_vfio_member *member;

	if (!file)
		return -EBADF;

	guard(mutex)(&kv->lock);

	member = kvm_vfio_find(kv, file);
	if (!member)
		return -ENOENT;

	kvm_vfio_member_release(kv, member);
	return 0;
}

struct kvm_vfio_tce {
	struct file *table;
	struct kvm_vfio_member *member;
};

static int kvm_vfio_attach_tce(struct iommu_group *group, void *data)
{
	struct kvm_vfio_tce *tce = data;

	return kvm_spapr_tce_attach(tce->table, &tce->member->tce);
}

/**
 * kvm_vfio_set_spapr_tce - KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE
 * @kv: the device
 * @arg: which held group gets which TCE table (LIOBN) of the VM
 *
 * Context: Process context.  Takes @kv->lock.
 * Return: 0, or an error of KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE in
 * Documentation/virt/kvm/devices/vfio.rst, checked in the order that it has.
 */
static int kvm_vfio_set_spapr_tce(struct kvm_vfio *kv, void __user *arg)
{
	struct kvm_vfio_spapr_tce param;
	struct kvm_vfio_tce tce;
	int ret;

	if (copy_from_user(&param, arg, sizeof(param)))
		return -EFAULT;

	struct file *file __free(fput) = fget(param.groupfd);

	if (!file)
		return -EBADF;

	guard(mutex)(&kv->lock);

	tce.member = kvm_vfio_find(kv, file);
	if (!tce.member)
		return -ENOENT;

	struct file *table __free(fput) = fget(param.tablefd);

	if (!table)
		return -EBADF;

	tce.table = table;
	ret = kv->vfio.with_group(&tce.member->user, kvm_vfio_attach_tce, &tce);
	/* No group in a container: a cdev, on an iommufd, or taken back */
	return ret == -ENODEV ? -EINVAL : ret;
}

/* The one list of attributes; KVM_HAS_DEVICE_ATTR is made of it. */
static int kvm_vfio_has_attr(struct kvm_device *dev,
			     struct kvm_device_attr *attr)
{
	if (attr->group != KVM_DEV_VFIO_FILE)
		return -ENXIO;

	switch (attr->attr) {
	case KVM_DEV_VFIO_FILE_ADD:
	case KVM_DEV_VFIO_FILE_DEL:
		return 0;
	case KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE:
		return IS_ENABLED(CONFIG_SPAPR_TCE_IOMMU) ? 0 : -ENXIO;
	default:
		return -ENXIO;
	}
}

static int kvm_vfio_set_attr(struct kvm_device *dev,
			     struct kvm_device_attr *attr)
{
	void __user *arg = u64_to_user_ptr(attr->addr);
	int ret = kvm_vfio_has_attr(dev, attr);
	s32 fd;

	if (ret)
		return ret;

	if (attr->attr == KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE)
		return kvm_vfio_set_spapr_tce(dev->private, arg);

	if (get_user(fd, (s32 __user *)arg))
		return -EFAULT;

	return attr->attr == KVM_DEV_VFIO_FILE_ADD ?
		kvm_vfio_add(dev->private, fd) : kvm_vfio_del(dev->private, fd);
}

static void kvm_vfio_show_counts(struct seq_file *m, struct kvm_vfio *kv)
{
	lockdep_assert_held(&kv->lock);

	seq_puts(m, "kvm-vfio:\t1\n");
	seq_printf(m, "vm:\t%p\n", kv->kvm);
	seq_printf(m, "vm-pid:\t%d\n", kv->kvm->userspace_pid);
	seq_printf(m, "files:\t%u\n", kv->nr_members);
	if (KVM_VFIO_NONCOHERENT)
		seq_printf(m, "noncoherent:\t%u\n", kv->nr_noncoherent);
}

static void kvm_vfio_show_member(struct seq_file *m, struct kvm_vfio *kv,
				 struct kvm_vfio_member *member)
{
	lockdep_assert_held(&kv->lock);

	seq_putc(m, '\n');
	kv->vfio.show(&member->user, m);
	if (KVM_VFIO_NONCOHERENT)
		seq_printf(m, "coherent:\t%s\n",
			   member->user.coherent ? "yes" : "no");
}

/*
 * See Documentation/ABI/testing/procfs-kvm-vfio.
 *
 * A reader keeps the device from being released, as an fd does, so of very
 * many members the rest is not shown.  The lock is dropped after each of them,
 * so that ADD and DEL wait for one at most.  When the buffer is full, the
 * caller tries again from the start with one twice as large.
 */
static void kvm_vfio_show_fdinfo(struct kvm_device *dev, struct seq_file *m)
{
	struct kvm_vfio *kv = dev->private;
	struct kvm_vfio_member *member;
	unsigned long key = 0;
	unsigned int nr;

	if (mutex_lock_killable(&kv->lock))
		return;
	kvm_vfio_show_counts(m, kv);

	member = xa_find(&kv->members, &key, ULONG_MAX, XA_PRESENT);
	for (nr = 0; member && nr < KVM_VFIO_SHOWN; nr++) {
		kvm_vfio_show_member(m, kv, member);
		mutex_unlock(&kv->lock);
		cond_resched();
		if (seq_has_overflowed(m) || mutex_lock_killable(&kv->lock))
			return;
		member = xa_find_after(&kv->members, &key, ULONG_MAX,
				       XA_PRESENT);
	}
	mutex_unlock(&kv->lock);
}

/* The last fd of the device is closed. */
static void kvm_vfio_release_unlocked(struct kvm_device *dev)
{
	struct kvm_vfio *kv = dev->private;
	struct kvm_vfio_member *member;
	unsigned long key;

	lockdep_assert_not_held(&dev->kvm->lock);

	guard(mutex)(&kv->lock);
	xa_for_each(&kv->members, key, member) {
		kvm_vfio_member_release(kv, member);
		cond_resched();
	}
}

/*
 * Follows, under kvm->lock, once the device is off the VM's list; alone, and
 * with no members, where KVM_CREATE_DEVICE cannot make an fd.
 */
static void kvm_vfio_release(struct kvm_device *dev)
{
	struct kvm_vfio *kv = dev->private;

	xa_destroy(&kv->members);
	mutex_destroy(&kv->lock);
	kfree(kv);
	kfree(dev);
}

static int kvm_vfio_create(struct kvm_device *dev, u32 type);

static const struct kvm_device_ops kvm_vfio_ops = {
	.name = "kvm-vfio",
	.create = kvm_vfio_create,
	.release_unlocked = kvm_vfio_release_unlocked,
	.release = kvm_vfio_release,
	.set_attr = kvm_vfio_set_attr,
	.has_attr = kvm_vfio_has_attr,
	.show_fdinfo = kvm_vfio_show_fdinfo,
};

static int kvm_vfio_create(struct kvm_device *dev, u32 type)
{
	struct kvm_device *other;
	struct kvm_vfio *kv;

	lockdep_assert_held(&dev->kvm->lock);

	list_for_each_entry(other, &dev->kvm->devices, vm_node)
		if (other->ops == &kvm_vfio_ops)
			return -EBUSY;

	kv = kzalloc_obj(*kv, GFP_KERNEL_ACCOUNT);
	if (!kv)
		return -ENOMEM;

	mutex_init(&kv->lock);
	xa_init_flags(&kv->members, XA_FLAGS_ACCOUNT);
	kv->kvm = dev->kvm;
	dev->private = kv;
	return 0;
}

int kvm_vfio_ops_init(void)
{
	return kvm_register_device_ops(&kvm_vfio_ops, KVM_DEV_TYPE_VFIO);
}

void kvm_vfio_ops_exit(void)
{
	kvm_unregister_device_ops(KVM_DEV_TYPE_VFIO);
}
