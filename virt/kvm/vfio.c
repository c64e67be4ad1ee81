// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM-VFIO pseudo device: which VFIO files a VM holds, and what follows from it
 *
 * User space creates at most one such device per VM and adds to it the VFIO
 * groups (or device cdevs) whose devices the guest drives.  For each of them KVM
 * becomes an external user (see include/linux/vfio_external.h): the file is
 * accepted only if the IOMMU protects it, and stays protected while it is held,
 * unless the host itself takes the devices back.
 *
 * Who pins what
 *
 *	fd of the device  pins the VM until the device is gone (KVM core); the VM
 *			  never pins the fd
 *	member		  is one held file; through its external user it pins the
 *			  file and the file's protection from ADD until DEL or the
 *			  end of the device
 *	device		  pins vfio.ko (symbol_get) while it has members
 *
 * Locks
 *
 *	kv->lock	everything in struct kvm_vfio and its members.  Outermost:
 *			VFIO's locks are taken under it.
 *	kvm->lock	the VM's list of devices: KVM core, kvm_vfio_create().
 *			VFIO takes it (drivers, the last put of a VM) under its
 *			group lock, so neither that nor kv->lock may be taken
 *			under it.
 *
 * KVM core calls .release with kvm->lock held, which only unpublishes; .destroy
 * follows without it and lets everything go before the last close returns.
 */
#define pr_fmt(fmt) "kvm-vfio: " fmt

#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/hashtable.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#ifdef CONFIG_SPAPR_TCE_IOMMU
#include <asm/kvm_spapr_tce.h>
#else
static inline void kvm_spapr_tce_init_counts(struct kvm *kvm)
{
}

static inline void kvm_spapr_tce_free_counts(struct kvm *kvm)
{
}

static inline void kvm_spapr_tce_show_counts(struct seq_file *m, struct kvm *kvm)
{
}

static inline void kvm_spapr_tce_show(struct seq_file *m, struct kvm *kvm)
{
}
#endif

#include "vfio.h"

#define CREATE_TRACE_POINTS
#include <trace/events/kvm_vfio.h>

#define KVM_VFIO_HASH_BITS	8

/* Elsewhere no DMA goes past the caches, or nothing follows for KVM: nobody is asked. */
#ifdef __KVM_HAVE_ARCH_NONCOHERENT_DMA
#define KVM_VFIO_NONCOHERENT	true
#else
#define KVM_VFIO_NONCOHERENT	false
#endif

/**
 * struct kvm_vfio_member - one VFIO file that the VM holds
 * @node: in kvm_vfio.members, by @file
 * @file: what was added, whatever its fd number; pinned by @user
 * @user: KVM as an external user of @file
 * @group: number of the group, -1 for a cdev, and if it was taken back during ADD
 * @noncoherent: counted in kvm_vfio.nr_noncoherent; fixed at ADD
 * @tce: what the TCE hypercalls of the VM reach of the group (POWER)
 */
struct kvm_vfio_member {
	struct hlist_node node;
	struct file *file;
	struct vfio_external_user *user;
	int group;
	bool noncoherent;
#ifdef CONFIG_SPAPR_TCE_IOMMU
	struct kvm_spapr_tce_holder tce;
#endif
};

/**
 * struct kvm_vfio - the KVM-VFIO device of one VM
 * @lock: guards all below but @readers and @kvm
 * @readers: of the file in debugfs, and one more until the device is destroyed
 * @kvm: the VM, pinned by the fd of the device; constant
 * @vfio: VFIO's functions, NULL while there are no members
 * @nr_members: files held
 * @nr_noncoherent: members whose DMA may bypass the CPU caches
 * @members: the files held; hashed, so that the cost of a look-up does not grow
 */
struct kvm_vfio {
	struct mutex lock;	/* guards all below but readers and kvm */
	refcount_t readers;
	struct kvm *kvm;
	const struct vfio_external_api *vfio;
	unsigned int nr_members;
	unsigned int nr_noncoherent;
	DECLARE_HASHTABLE(members, KVM_VFIO_HASH_BITS);
};

static struct kvm_vfio_member *kvm_vfio_find(struct kvm_vfio *kv,
					     struct file *file)
{
	struct kvm_vfio_member *member;

	lockdep_assert_held(&kv->lock);

	hash_for_each_possible(kv->members, member, node, (unsigned long)file)
		if (member->file == file)
			return member;
	return NULL;
}

/* A VFIO file, but no external users: say so once, the errno cannot. */
static void kvm_vfio_warn_foreign(struct file *file)
{
	bool (*is_valid)(struct file *file) = symbol_get(vfio_file_is_valid);

	if (!is_valid)
		return;
	if (is_valid(file))
		pr_warn_once("vfio.ko has no external users as this kvm.ko needs them: load the vfio.ko that belongs to it\n");
	symbol_put(vfio_file_is_valid);
}

/* Take VFIO's functions, and the module with them, for the first member. */
static int kvm_vfio_bind(struct kvm_vfio *kv, struct file *file)
{
	const struct vfio_external_api *vfio;

	lockdep_assert_held(&kv->lock);

	if (kv->vfio)
		return 0;

	vfio = symbol_get(vfio_external_api);
	if (vfio && vfio->version != VFIO_EXTERNAL_API_VERSION) {
		symbol_put(vfio_external_api);
		vfio = NULL;
	}
	if (!vfio) {
		kvm_vfio_warn_foreign(file);
		return -EINVAL;
	}
	kv->vfio = vfio;
	return 0;
}

static void kvm_vfio_unbind_unused(struct kvm_vfio *kv)
{
	lockdep_assert_held(&kv->lock);

	if (kv->vfio && !kv->nr_members) {
		kv->vfio = NULL;
		symbol_put(vfio_external_api);
	}
}

#ifdef CONFIG_SPAPR_TCE_IOMMU
static void kvm_vfio_init_tce(struct kvm_vfio *kv,
			      struct kvm_vfio_member *member)
{
	INIT_LIST_HEAD(&member->tce.attachments);
	member->tce.group = member->group;
	member->tce.user = member->user;
	member->tce.alive = kv->vfio->alive;
}

static void kvm_vfio_detach_tce(struct kvm_vfio_member *member)
{
	kvm_spapr_tce_detach(&member->tce);
}
#else
static void kvm_vfio_init_tce(struct kvm_vfio *kv,
			      struct kvm_vfio_member *member)
{
}

static void kvm_vfio_detach_tce(struct kvm_vfio_member *member)
{
}
#endif

/* Scalars only: what a tracer gets is not to be followed. */
static void kvm_vfio_trace(struct kvm_vfio *kv, struct kvm_vfio_member *member,
			   void (*trace)(pid_t pid, dev_t dev, int group,
					 bool noncoherent, unsigned int files))
{
	lockdep_assert_held(&kv->lock);

	trace(kv->kvm->userspace_pid, file_inode(member->file)->i_rdev,
	      member->group, member->noncoherent, kv->nr_members);
}

static struct kvm_vfio_member *kvm_vfio_member_create(struct kvm_vfio *kv,
						      struct file *file)
{
	struct kvm_vfio_member *member __free(kfree) =
		kzalloc(sizeof(*member), GFP_KERNEL_ACCOUNT);

	lockdep_assert_held(&kv->lock);

	if (!member)
		return ERR_PTR(-ENOMEM);

	member->user = kv->vfio->get(file);
	if (IS_ERR(member->user))
		return ERR_CAST(member->user);

	member->file = file;
	member->group = max(kv->vfio->iommu_id(member->user), -1);
	kvm_vfio_init_tce(kv, member);
	/*
	 * Asked once.  A group in a container keeps its domain while it is held; no
	 * domain stops enforcing coherency, and one that does not never begins to.
	 * Only the container's answer changes, as other groups come and go.  On an
	 * iommufd the answer is what the device's IOMMU can do: see vfio.rst.
	 */
	member->noncoherent = KVM_VFIO_NONCOHERENT &&
			      !kv->vfio->enforced_coherent(member->user);
	return_ptr(member);
}

/*
 * KVM hears of the first and of the last noncoherent member only.  x86 then zaps
 * all guest mappings and walks the memory slots for it, which is up to the
 * caller to protect.
 */
static void kvm_vfio_count_noncoherent(struct kvm_vfio *kv,
				       struct kvm_vfio_member *member, int step)
{
	bool before = kv->nr_noncoherent;
	int idx;

	lockdep_assert_held(&kv->lock);

	if (!member->noncoherent)
		return;

	kv->nr_noncoherent += step;
	if (before == !!kv->nr_noncoherent)
		return;
	trace_kvm_vfio_coherency(kv->kvm->userspace_pid, !before);

	idx = srcu_read_lock(&kv->kvm->srcu);
	if (before)
		kvm_arch_unregister_noncoherent_dma(kv->kvm);
	else
		kvm_arch_register_noncoherent_dma(kv->kvm);
	srcu_read_unlock(&kv->kvm->srcu, idx);
}

/*
 * Nothing here can fail.  The VM is prepared for an assigned device before
 * drivers see the VM through the file.
 */
static void kvm_vfio_member_publish(struct kvm_vfio *kv,
				    struct kvm_vfio_member *member)
{
	lockdep_assert_held(&kv->lock);

	kvm_vfio_count_noncoherent(kv, member, 1);

	hash_add(kv->members, &member->node, (unsigned long)member->file);
	kv->nr_members++;
	kv->vfio->set_kvm(member->user, kv->kvm);
	kvm_vfio_trace(kv, member, trace_kvm_vfio_add);
}

/* The reverse of kvm_vfio_member_publish(). */
static void kvm_vfio_member_release(struct kvm_vfio *kv,
				    struct kvm_vfio_member *member)
{
	lockdep_assert_held(&kv->lock);

	hash_del(&member->node);
	kv->nr_members--;
	kvm_vfio_trace(kv, member, trace_kvm_vfio_del);

	kvm_vfio_detach_tce(member);
	kv->vfio->put(member->user);

	kvm_vfio_count_noncoherent(kv, member, -1);
	kfree(member);
}

/**
 * kvm_vfio_add - KVM_DEV_VFIO_FILE_ADD, alias KVM_DEV_VFIO_GROUP_ADD
 * @kv: the device
 * @fd: fd of a VFIO group or of a VFIO device cdev
 *
 * Context: Process context.  Takes @kv->lock.
 * Return: 0, or with nothing changed:
 * -EBADF if @fd is not open (or is O_PATH);
 * -EINVAL if it is no VFIO file, if its group has no container, if the container
 * has no IOMMU set, or if vfio.ko has no external users;
 * -EPERM for a no-IOMMU group;
 * -EEXIST if the VM holds the file already;
 * -ENOMEM.
 */
static int kvm_vfio_add(struct kvm_vfio *kv, int fd)
{
	struct file *file __free(fput) = fget(fd);
	struct kvm_vfio_member *member;
	int ret;

	if (!file)
		return -EBADF;

	guard(mutex)(&kv->lock);

	if (kvm_vfio_find(kv, file))
		return -EEXIST;

	ret = kvm_vfio_bind(kv, file);
	if (ret)
		return ret;

	member = kvm_vfio_member_create(kv, file);
	if (IS_ERR(member)) {
		kvm_vfio_unbind_unused(kv);
		return PTR_ERR(member);
	}
	kvm_vfio_member_publish(kv, member);
	return 0;
}

/**
 * kvm_vfio_del - KVM_DEV_VFIO_FILE_DEL, alias KVM_DEV_VFIO_GROUP_DEL
 * @kv: the device
 * @fd: any fd of a file that the VM holds; open device fds do not matter
 *
 * Context: Process context.  Takes @kv->lock.
 * Return: 0; -EBADF if @fd is not open; -ENOENT if the VM does not hold the file.
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
	kvm_vfio_unbind_unused(kv);
	return 0;
}

#ifdef CONFIG_SPAPR_TCE_IOMMU
struct kvm_vfio_tce {
	struct kvm *kvm;
	const struct vfio_external_api *vfio;
	struct file *table;
	struct kvm_spapr_tce_holder *holder;
};

static int kvm_vfio_attach_tce_group(struct iommu_group *group, void *data)
{
	struct kvm_vfio_tce *tce = data;

	WRITE_ONCE(tce->holder->preregistered,
		   tce->vfio->preregistered(tce->holder->user));
	return kvm_spapr_tce_attach(tce->kvm, tce->table, group, tce->holder);
}

static int kvm_vfio_attach_tce(struct kvm_vfio *kv,
			       struct kvm_vfio_member *member, int tablefd)
{
	struct kvm_vfio_tce tce = {
		.kvm = kv->kvm,
		.vfio = kv->vfio,
		.holder = &member->tce,
	};
	struct file *table __free(fput) = fget(tablefd);
	int ret;

	lockdep_assert_held(&kv->lock);

	if (!table)
		return -EBADF;

	tce.table = table;
	ret = kv->vfio->with_group(member->user, kvm_vfio_attach_tce_group,
				   &tce);
	/* The host took the group back, or the file is a cdev. */
	return ret == -ENODEV ? -EINVAL : ret;
}

/**
 * kvm_vfio_set_spapr_tce - KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE
 * @kv: the device
 * @arg: which held group gets which TCE table (LIOBN) of the VM
 *
 * Context: Process context.  Takes @kv->lock.
 * Return: 0, or checked in this order:
 * -EFAULT if @arg cannot be read;
 * -EBADF if its group fd is not open;
 * -ENOENT if the VM does not hold that group;
 * -EBADF if its table fd is not open;
 * -EINVAL if that is no TCE table of this VM, if the group has no hardware TCE
 * tables, or if the host took the group back;
 * -EPERM if the group's container belongs to another mm than the VM;
 * -EINVAL if no window of the group matches the table;
 * -ENOSPC if too many hardware tables are behind the table;
 * -ENOMEM.
 */
static int kvm_vfio_set_spapr_tce(struct kvm_vfio *kv, void __user *arg)
{
	struct kvm_vfio_spapr_tce param;
	struct kvm_vfio_member *member;

	if (copy_from_user(&param, arg, sizeof(param)))
		return -EFAULT;

	struct file *file __free(fput) = fget(param.groupfd);

	if (!file)
		return -EBADF;

	guard(mutex)(&kv->lock);

	member = kvm_vfio_find(kv, file);
	if (!member)
		return -ENOENT;
	return kvm_vfio_attach_tce(kv, member, param.tablefd);
}
#else
static int kvm_vfio_set_spapr_tce(struct kvm_vfio *kv, void __user *arg)
{
	return -ENXIO;
}
#endif

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

/*
 * KVM core has taken the device off the VM's list, so that a new one can be
 * made.  What it holds is let go in kvm_vfio_destroy(): VFIO's locks must not be
 * taken under kvm->lock.
 */
static void kvm_vfio_release(struct kvm_device *dev)
{
	lockdep_assert_held(&dev->kvm->lock);
}

static void kvm_vfio_put(struct kvm_vfio *kv)
{
	if (!refcount_dec_and_test(&kv->readers))
		return;
	mutex_destroy(&kv->lock);
	kfree(kv);
}

/* Only who reads the file in debugfs can still reach the device. */
static void kvm_vfio_destroy(struct kvm_device *dev)
{
	struct kvm_vfio *kv = dev->private;
	struct kvm_vfio_member *member;
	struct hlist_node *next;
	int bucket;

	lockdep_assert_not_held(&dev->kvm->lock);

	scoped_guard(mutex, &kv->lock) {
		hash_for_each_safe(kv->members, bucket, next, member, node)
			kvm_vfio_member_release(kv, member);
		kvm_vfio_unbind_unused(kv);
	}
	kvm_vfio_put(kv);
	kfree(dev);
}

static int kvm_vfio_create(struct kvm_device *dev, u32 type);

static const struct kvm_device_ops kvm_vfio_ops = {
	.name = "kvm-vfio",
	.create = kvm_vfio_create,
	.release = kvm_vfio_release,
	.destroy = kvm_vfio_destroy,
	.set_attr = kvm_vfio_set_attr,
	.has_attr = kvm_vfio_has_attr,
};

static int kvm_vfio_create(struct kvm_device *dev, u32 type)
{
	struct kvm_device *other;
	struct kvm_vfio *kv;

	lockdep_assert_held(&dev->kvm->lock);

	list_for_each_entry(other, &dev->kvm->devices, vm_node)
		if (other->ops == &kvm_vfio_ops)
			return -EBUSY;

	kv = kzalloc(sizeof(*kv), GFP_KERNEL_ACCOUNT);
	if (!kv)
		return -ENOMEM;

	mutex_init(&kv->lock);
	refcount_set(&kv->readers, 1);
	hash_init(kv->members);
	kv->kvm = dev->kvm;
	dev->private = kv;
	return 0;
}

/*
 * debugfs: the file vfio of a VM, see Documentation/ABI/testing/debugfs-kvm-vfio
 *
 * While the text is made, the file is not removed, and the VM with its directory
 * neither.  Not longer: user space may take its time to read, and whoever puts the VM
 * last may hold locks of VFIO.  The device may be gone when kv->lock is taken; then it
 * has no members.
 */
static int kvm_vfio_show_member(struct seq_file *m, struct kvm_vfio *kv,
				struct kvm_vfio_member *member)
{
	int ret;

	lockdep_assert_held(&kv->lock);

	seq_putc(m, '\n');
	ret = kv->vfio->show(member->user, m);
	if (ret)
		return ret;
	if (KVM_VFIO_NONCOHERENT)
		seq_printf(m, "coherent:\t%s\n", member->noncoherent ? "no" : "yes");
	return 0;
}

/* @kv: NULL if the VM has no device */
static void kvm_vfio_show_counts(struct seq_file *m, struct kvm *kvm,
				 struct kvm_vfio *kv)
{
	seq_puts(m, "kvm-vfio:\t1\n");
	seq_printf(m, "device:\t%s\n", kv ? "yes" : "no");
	seq_printf(m, "files:\t%u\n", kv ? kv->nr_members : 0);
	if (KVM_VFIO_NONCOHERENT)
		seq_printf(m, "noncoherent:\t%u\n", kv ? kv->nr_noncoherent : 0);
	kvm_spapr_tce_show_counts(m, kvm);
}

static int kvm_vfio_show_device(struct seq_file *m, struct kvm *kvm,
				struct kvm_vfio *kv)
{
	struct kvm_vfio_member *member;
	int bucket, ret;

	lockdep_assert_held(&kv->lock);

	kvm_vfio_show_counts(m, kvm, kv);
	hash_for_each(kv->members, bucket, member, node) {
		ret = kvm_vfio_show_member(m, kv, member);
		if (ret)
			return ret;
	}
	return 0;
}

/* The VM's device if it has one: not to go before kvm_vfio_put(). */
static struct kvm_vfio *kvm_vfio_get(struct kvm *kvm)
{
	struct kvm_device *dev;
	struct kvm_vfio *kv;

	lockdep_assert_held(&kvm->lock);

	list_for_each_entry(dev, &kvm->devices, vm_node) {
		if (dev->ops != &kvm_vfio_ops)
			continue;
		kv = dev->private;
		refcount_inc(&kv->readers);
		return kv;
	}
	return NULL;
}

static int kvm_vfio_show(struct seq_file *m, struct kvm *kvm)
{
	struct kvm_vfio *kv;
	int ret;

	ret = mutex_lock_interruptible(&kvm->lock);
	if (ret)
		return ret;
	kv = kvm_vfio_get(kvm);
	mutex_unlock(&kvm->lock);

	if (kv) {
		ret = mutex_lock_interruptible(&kv->lock);
		if (!ret) {
			ret = kvm_vfio_show_device(m, kvm, kv);
			mutex_unlock(&kv->lock);
		}
		kvm_vfio_put(kv);
	} else {
		kvm_vfio_show_counts(m, kvm, NULL);
	}
	if (!ret)
		kvm_spapr_tce_show(m, kvm);
	return ret;
}

static int kvm_vfio_debugfs_show(struct seq_file *m, void *unused)
{
	struct dentry *dentry = m->file->f_path.dentry;
	int ret = debugfs_file_get(dentry);

	if (ret)
		return ret;
	ret = kvm_vfio_show(m, m->private);
	debugfs_file_put(dentry);
	return ret;
}
DEFINE_SHOW_ATTRIBUTE(kvm_vfio_debugfs);

/**
 * kvm_vfio_create_debugfs - Have a file in the directory of a new VM
 * @kvm: the VM, which nobody can reach yet but by its directory
 *
 * Context: Process context, may sleep.
 */
void kvm_vfio_create_debugfs(struct kvm *kvm)
{
	kvm_spapr_tce_init_counts(kvm);
	debugfs_create_file_unsafe("vfio", 0444, kvm->debugfs_dentry, kvm,
				   &kvm_vfio_debugfs_fops);
}

/**
 * kvm_vfio_destroy_debugfs - The directory is gone, and with it the file
 * @kvm: the VM, which nobody can reach any more
 *
 * Also if there never was one.
 *
 * Context: Process context, may sleep.  Cannot fail.
 */
void kvm_vfio_destroy_debugfs(struct kvm *kvm)
{
	kvm_spapr_tce_free_counts(kvm);
}

int kvm_vfio_ops_init(void)
{
	return kvm_register_device_ops(&kvm_vfio_ops, KVM_DEV_TYPE_VFIO);
}

void kvm_vfio_ops_exit(void)
{
	kvm_unregister_device_ops(KVM_DEV_TYPE_VFIO);
}

/* So that kvm.ko has a srcversion, too, and tells which one it is. */
MODULE_VERSION("1.0");
