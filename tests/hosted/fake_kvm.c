// SPDX-License-Identifier: GPL-2.0-only
/* KVM core (kvm_main.c as it is with our patches) and the TCE tables of POWER */
#include <stdio.h>
#include <stdlib.h>

#include <linux/err.h>
#include <linux/fault.h>
#include <linux/file.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#if IS_ENABLED(CONFIG_SPAPR_TCE_IOMMU)
#include <asm/kvm_spapr_tce.h>
#endif

#include "kvm/vfio.h"
#include "fake.h"
#include "test.h"

static const struct kvm_device_ops *ops_table[KVM_DEV_TYPE_MAX];
static __thread int mm = 1;

int current_mm(void)
{
	return mm;
}

int user_set_mm(int new)
{
	int old = mm;

	mm = new;
	return old;
}

int kvm_register_device_ops(const struct kvm_device_ops *ops, u32 type)
{
	if (ops_table[type])
		return -EEXIST;
	ops_table[type] = ops;
	return 0;
}

void kvm_unregister_device_ops(u32 type)
{
	ops_table[type] = NULL;
}

static void __attribute__((constructor)) kvm_init(void)
{
	if (kvm_vfio_ops_init())
		abort();
}

/* VMs */

static void kvm_destroy_vm(struct kvm *kvm)
{
	mutex_lock(&kvm->lock);
	/* Its fd would pin the VM, so no KVM-VFIO device is left. */
	WARN_ON(!list_empty(&kvm->devices));
	WARN_ON(kvm->arch.tce_tables);
	WARN_ON(kvm->arch.assigned);
	WARN_ON(kvm->arch.noncoherent);
	mutex_unlock(&kvm->lock);
	mutex_destroy(&kvm->lock);
	free(kvm);
	fake_dec(counts.vms);
}

bool kvm_get_kvm_safe(struct kvm *kvm)
{
	int old = fake_read(kvm->users_count);

	while (old)
		if (__atomic_compare_exchange_n(&kvm->users_count, &old,
						old + 1, false,
						__ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return true;
	return false;
}

void kvm_put_kvm(struct kvm *kvm)
{
	if (!fake_dec(kvm->users_count))
		kvm_destroy_vm(kvm);
}

static void kvm_vm_release(struct file *file)
{
	kvm_put_kvm(file->private_data);
}

static const struct file_operations kvm_vm_fops = {
	.name = "vm",
	.release = kvm_vm_release,
};

int user_create_vm(void)
{
	struct kvm *kvm = fake_alloc(sizeof(*kvm));
	int fd = shim_reserve();

	mutex_init(&kvm->lock);
	INIT_LIST_HEAD(&kvm->devices);
	kvm->users_count = 1;
	kvm->mm = mm;
	kvm->userspace_pid = FAKE_PID + mm;
	fake_inc(counts.vms);
	shim_install_at(fd, shim_file(&kvm_vm_fops, kvm));
	return fd;
}

struct kvm *fake_vm(int fd)
{
	struct file *file = shim_fd(fd);
	struct kvm *kvm = file->private_data;

	fput(file);
	return kvm;
}

const char *fake_events(const char *events)
{
	static char kept[64];
	size_t len = 0;

	for (; *events; events++)
		if (FAKE_ASSIGNMENTS || (*events != 's' && *events != 'e'))
			kept[len++] = *events;
	kept[len] = 0;
	return kept;
}

/* What architectures do */

void kvm_arch_start_assignment(struct kvm *kvm)
{
	log_event('s');
	fake_inc(kvm->arch.assigned);
}

void kvm_arch_end_assignment(struct kvm *kvm)
{
	log_event('e');
	WARN_ON(fake_dec(kvm->arch.assigned) < 0);
}

/*
 * x86 zaps and walks the memory slots for the first and the last one.  Up to 7.2 the
 * caller protects them.
 */
static void walk_slots(struct kvm *kvm)
{
	if (FAKE_TO_7_2 && !shim_srcu_held(&kvm->srcu))
		SHIM_FAIL("memory slots are walked without kvm->srcu");
}

void kvm_arch_register_noncoherent_dma(struct kvm *kvm)
{
	log_event('n');
	walk_slots(kvm);
	WARN_ON(fake_inc(kvm->arch.noncoherent) != 1);
}

void kvm_arch_unregister_noncoherent_dma(struct kvm *kvm)
{
	log_event('c');
	walk_slots(kvm);
	WARN_ON(fake_dec(kvm->arch.noncoherent) < 0);
}

/* Devices of a VM */

static void kvm_device_release(struct file *file)
{
	struct kvm_device *dev = file->private_data;
	const struct kvm_device_ops *ops = dev->ops;
	struct kvm *kvm = dev->kvm;

	if (ops->release_unlocked)
		ops->release_unlocked(dev);
	if (ops->release) {
		mutex_lock(&kvm->lock);
		list_del(&dev->vm_node);
		synchronize_rcu();
		ops->release(dev);
		mutex_unlock(&kvm->lock);
	}
	kvm_put_kvm(kvm);
}

static void kvm_device_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct kvm_device *dev = file->private_data;

	dev->ops->show_fdinfo(dev, m);
}

static const struct file_operations kvm_device_fops = {
	.name = "kvm-vfio",
	.release = kvm_device_release,
	.show_fdinfo = kvm_device_show_fdinfo,
};

static int anon_inode_getfd(struct kvm_device *dev)
{
	if (shim_fault("anon_inode_getfd"))
		return -EMFILE;
	return shim_install(shim_file(&kvm_device_fops, dev));
}

static int kvm_device_create(struct kvm *kvm, struct kvm_device *dev)
{
	const struct kvm_device_ops *ops = dev->ops;
	int ret;

	mutex_lock(&kvm->lock);
	ret = ops->create(dev, KVM_DEV_TYPE_VFIO);
	if (ret < 0) {
		mutex_unlock(&kvm->lock);
		kfree(dev);
		return ret;
	}
	list_add(&dev->vm_node, &kvm->devices);
	mutex_unlock(&kvm->lock);

	fake_inc(kvm->users_count);
	ret = anon_inode_getfd(dev);
	if (ret < 0) {
		WARN_ON(!fake_dec(kvm->users_count));
		mutex_lock(&kvm->lock);
		list_del(&dev->vm_node);
		synchronize_rcu();
		if (ops->release)
			ops->release(dev);
		mutex_unlock(&kvm->lock);
		if (ops->destroy)
			ops->destroy(dev);
	}
	return ret;
}

static int kvm_ioctl_create_device(struct kvm *kvm, bool test)
{
	const struct kvm_device_ops *ops = ops_table[KVM_DEV_TYPE_VFIO];
	struct kvm_device *dev;

	if (!ops)
		return -ENODEV;
	if (test)
		return 0;
	dev = kzalloc(sizeof(*dev), GFP_KERNEL_ACCOUNT);
	if (!dev)
		return -ENOMEM;
	dev->ops = ops;
	dev->kvm = kvm;
	return kvm_device_create(kvm, dev);
}

int user_create_device(int vm, bool test)
{
	struct file *file = shim_fd(vm);
	int ret;

	if (!file)
		return -EBADF;
	ret = kvm_ioctl_create_device(file->private_data, test);
	fput(file);
	shim_return_to_user();
	return ret;
}

static int kvm_device_ioctl(struct kvm_device *dev,
			    int (*accessor)(struct kvm_device *dev,
					    struct kvm_device_attr *attr),
			    struct kvm_device_attr *attr)
{
	if (dev->kvm->mm != mm)
		return -EIO;
	return accessor ? accessor(dev, attr) : -EPERM;
}

static int user_device_ioctl(int fd, bool set, struct kvm_device_attr *attr)
{
	struct file *file = shim_fd_of(fd, &kvm_device_fops);
	struct kvm_device *dev;
	int ret;

	if (!file)
		return -EBADF;
	dev = file->private_data;
	ret = kvm_device_ioctl(dev, set ? dev->ops->set_attr :
			       dev->ops->has_attr, attr);
	fput(file);
	shim_return_to_user();
	return ret;
}

int user_attr(int dev, u32 group, u64 attr, const void *arg)
{
	struct kvm_device_attr set = {
		.group = group,
		.attr = attr,
		.addr = (uintptr_t)arg,
	};

	return user_device_ioctl(dev, true, &set);
}

int user_has_attr(int dev, u32 group, u64 attr)
{
	struct kvm_device_attr has = { .group = group, .attr = attr };

	return user_device_ioctl(dev, false, &has);
}

int user_add(int dev, int fd)
{
	s32 arg = fd;

	return user_attr(dev, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD, &arg);
}

int user_del(int dev, int fd)
{
	s32 arg = fd;

	return user_attr(dev, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_DEL, &arg);
}

size_t fake_print_vms(char *buf, size_t size)
{
	size_t len = 0;

	for (int fd = 0; fd < SHIM_FDS; fd++) {
		struct file *file = shim_fd(fd);
		struct kvm *kvm;

		if (!file)
			continue;
		kvm = file->private_data;
		if (file->f_op == &kvm_vm_fops)
			len += snprintf(buf + len, size - len,
					"vm %d refs %d assigned %d noncoherent %d device %d\n",
					fd, kvm->users_count,
					kvm->arch.assigned,
					kvm->arch.noncoherent,
					!list_empty(&kvm->devices));
		fput(file);
	}
	return len;
}

#if IS_ENABLED(CONFIG_SPAPR_TCE_IOMMU)
/*
 * What arch/powerpc/kvm/book3s_64_vio.c promises to vfio.c; the file itself is in
 * the variant "tce".  An attachment ties a table of a VM to a group's hardware
 * table, and belongs to a holder.
 */
struct tce {
	struct kvm *kvm;
	int window;
	struct list_head attachments;	/* tce_mutex */
};

struct attachment {
	struct list_head node;
	struct list_head holder_node;
	struct tce *table;
	struct kvm_spapr_tce_holder *holder;
	struct iommu_group *group;
};

static struct mutex tce_mutex;

static void __attribute__((constructor)) tce_init(void)
{
	mutex_init(&tce_mutex);
}

static void tce_remove(struct attachment *it)
{
	lockdep_assert_held(&tce_mutex);
	log_event('r');
	list_del(&it->node);
	list_del(&it->holder_node);
	kfree(it);
}

static void tce_release(struct file *file)
{
	struct tce *table = file->private_data;
	struct kvm *kvm = table->kvm;

	mutex_lock(&tce_mutex);
	while (!list_empty(&table->attachments))
		tce_remove(container_of(table->attachments.next,
					struct attachment, node));
	mutex_unlock(&tce_mutex);
	free(table);
	fake_dec(kvm->arch.tce_tables);
	kvm_put_kvm(kvm);
}

static const struct file_operations tce_fops = {
	.name = "tce",
	.release = tce_release,
};

int user_create_tce(int vm, int window)
{
	struct tce *table = fake_alloc(sizeof(*table));

	table->kvm = fake_vm(vm);
	table->window = window;
	INIT_LIST_HEAD(&table->attachments);
	fake_inc(table->kvm->users_count);
	fake_inc(table->kvm->arch.tce_tables);
	return shim_install(shim_file(&tce_fops, table));
}

static int tce_attach(struct tce *table, struct iommu_group *group,
		      struct kvm_spapr_tce_holder *holder)
{
	struct attachment *it;

	lockdep_assert_held(&tce_mutex);
	list_for_each_entry(it, &holder->attachments, holder_node)
		if (it->table == table && it->group == group)
			return 0;
	it = kzalloc(sizeof(*it), GFP_KERNEL);
	if (!it)
		return -ENOMEM;
	log_event('a');
	it->table = table;
	it->holder = holder;
	it->group = group;
	list_add(&it->node, &table->attachments);
	list_add(&it->holder_node, &holder->attachments);
	return 0;
}

/* What joins is attached to nothing here: test_follow.c of the variant "tce" has that. */
int kvm_spapr_tce_join(struct iommu_group *group,
		       struct kvm_spapr_tce_holder *holder)
{
	lockdep_assert_not_held(&holder->kvm->lock);
	if (!vfio_external_alive(holder->user))
		SHIM_FAIL("joins for a holder that is not alive");
	if (shim_fault("kvm_spapr_tce_join"))
		return -ENOMEM;
	holder->group = (struct iommu_table_group *)group;
	fake_inc(counts.tce_holders);
	return 0;
}

int kvm_spapr_tce_attach(struct file *file, struct kvm_spapr_tce_holder *holder)
{
	struct iommu_group *group = (struct iommu_group *)holder->group;
	struct tce *table = file->private_data;
	int ret;

	lockdep_assert_not_held(&holder->kvm->lock);
	if (!fake_read(group->protected) && group->type == VFIO_IOMMU)
		SHIM_FAIL("attaches a group without an IOMMU");
	if (!vfio_external_alive(holder->user))
		SHIM_FAIL("attaches for a holder that is not alive");
	if (file->f_op != &tce_fops || table->kvm != holder->kvm ||
	    !iommu_group_get_iommudata(group))
		return -EINVAL;
	if (holder->user->preregistered == -EPERM)
		return -EPERM;
	if (!(group->windows & table->window))
		return -EINVAL;
	EXPECT(holder->user->preregistered == 0 || holder->user->preregistered == 1);
	mutex_lock(&tce_mutex);
	ret = tce_attach(table, group, holder);
	mutex_unlock(&tce_mutex);
	return ret;
}

void kvm_spapr_tce_detach(struct kvm_spapr_tce_holder *holder)
{
	mutex_lock(&tce_mutex);
	while (!list_empty(&holder->attachments))
		tce_remove(container_of(holder->attachments.next,
					struct attachment, holder_node));
	mutex_unlock(&tce_mutex);
	if (holder->group)
		fake_dec(counts.tce_holders);
}

int fake_attached(int fd)
{
	struct file *file = shim_fd(fd);
	struct tce *table = file->private_data;
	struct attachment *it;
	int nr = 0;

	list_for_each_entry(it, &table->attachments, node)
		nr++;
	fput(file);
	return nr;
}

int fake_preregistered(int fd)
{
	struct file *file = shim_fd(fd);
	struct tce *table = file->private_data;
	struct attachment *it;
	int ret = -1;

	list_for_each_entry(it, &table->attachments, node)
		ret = it->holder->user->preregistered;
	fput(file);
	return ret;
}
#endif

int user_set_tce(int dev, int group, int table)
{
	struct kvm_vfio_spapr_tce param = {
		.groupfd = group,
		.tablefd = table,
	};

	return user_attr(dev, KVM_DEV_VFIO_FILE,
			 KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, &param);
}
