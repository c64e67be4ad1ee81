// SPDX-License-Identifier: GPL-2.0-only
/* VFIO groups and containers: group.c and container.c */
#include <stdio.h>
#include <stdlib.h>

#include <linux/err.h>
#include <linux/fault.h>
#include <linux/file.h>
#include <linux/kdev_t.h>

#include "fake.h"
#include "test.h"

#if IS_ENABLED(CONFIG_VFIO_GROUP)
/* The data of an IOMMU driver: a patch of ours counts its users. */
struct vfio_iommu_use {
	int refs;
	int type;
	int mapped;
};

struct vfio_container {
	int refs;
	struct list_head group_list;
	struct mutex group_lock;	/* guards what is above and below */
	bool iommu_driver;	/* stock reads it without group_lock, too */
	bool noiommu;
	int mm;			/* 0: none yet */
	struct vfio_iommu_use *iommu_use;	/* external users look without the lock */
};

static struct mutex vfio_list_lock;
static struct list_head vfio_list;

static void __attribute__((constructor)) vfio_group_init(void)
{
	mutex_init(&vfio_list_lock);
	INIT_LIST_HEAD(&vfio_list);
}

/* Containers */

static void vfio_container_put(struct vfio_container *container)
{
	if (fake_dec(container->refs))
		return;
	WARN_ON(!list_empty(&container->group_list));
	WARN_ON(container->iommu_driver);
	mutex_destroy(&container->group_lock);
	free(container);
	fake_dec(counts.containers);
}

static void vfio_fops_release(struct file *file)
{
	vfio_container_put(file->private_data);
}

static const struct file_operations vfio_fops = {
	.name = "container",
	.owner = &vfio_module,
	.release = vfio_fops_release,
};

int user_open_container(void)
{
	struct vfio_container *container = fake_alloc(sizeof(*container));

	container->refs = 1;
	INIT_LIST_HEAD(&container->group_list);
	mutex_init(&container->group_lock);
	fake_inc(counts.containers);
	return shim_install(shim_file(&vfio_fops, container));
}

/* A group with a domain can do DMA only to what its user mapped. */
static void iommu_attach(struct vfio_group *group)
{
	struct iommu_group *ig = group->iommu_group;

	if (group->type == VFIO_IOMMU)
		__atomic_store_n(&ig->protected, 1, __ATOMIC_RELEASE);
}

static void iommu_detach(struct vfio_group *group)
{
	struct iommu_group *ig = group->iommu_group;

	log_event('D');
	if (fake_read(ig->busy))
		SHIM_FAIL("the IOMMU goes while an RCU reader relies on it");
	__atomic_store_n(&ig->protected, 0, __ATOMIC_RELEASE);
}

static void vfio_iommu_use_put(struct vfio_iommu_use *use)
{
	if (!fake_dec(use->refs))
		free(use);
}

static int vfio_container_attach_group(struct vfio_container *container,
				       struct vfio_group *group)
{
	bool noiommu = group->type == VFIO_NO_IOMMU;
	int ret = 0;

	lockdep_assert_held(&group->group_lock);
	mutex_lock(&container->group_lock);
	if (!list_empty(&container->group_list) &&
	    container->noiommu != noiommu) {
		ret = -EPERM;
		goto out;
	}
	if (group->type == VFIO_IOMMU &&
	    fake_inc(group->iommu_group->owned) != 1) {
		fake_dec(group->iommu_group->owned);
		ret = -EBUSY;
		goto out;
	}
	if (container->iommu_driver)
		iommu_attach(group);

	group->container = container;
	group->container_users = 1;
	container->noiommu = noiommu;
	list_add(&group->container_next, &container->group_list);
	fake_inc(container->refs);
out:
	mutex_unlock(&container->group_lock);
	return ret;
}

static void vfio_group_detach_container(struct vfio_group *group)
{
	struct vfio_container *container = group->container;

	lockdep_assert_held(&group->group_lock);
	WARN_ON(group->container_users != 1);

	mutex_lock(&container->group_lock);
	if (container->iommu_driver)
		iommu_detach(group);
	if (group->type == VFIO_IOMMU)
		fake_dec(group->iommu_group->owned);
	group->container = NULL;
	group->container_users = 0;
	list_del(&group->container_next);
	if (container->iommu_driver && list_empty(&container->group_list)) {
		vfio_iommu_use_put(container->iommu_use);
		WRITE_ONCE(container->iommu_use, NULL);
		WRITE_ONCE(container->iommu_driver, false);
	}
	mutex_unlock(&container->group_lock);
	vfio_container_put(container);
}

static int vfio_ioctl_set_iommu(struct vfio_container *container, int type)
{
	struct vfio_iommu_use *use;
	struct vfio_group *group;
	int ret = 0;

	mutex_lock(&container->group_lock);
	if (list_empty(&container->group_list) || container->iommu_driver) {
		ret = -EINVAL;
	} else {
		list_for_each_entry(group, &container->group_list,
				    container_next)
			iommu_attach(group);
		use = fake_alloc(sizeof(*use));
		use->refs = 1;
		use->type = type;
		WRITE_ONCE(container->iommu_driver, true);
		__atomic_store_n(&container->iommu_use, use, __ATOMIC_RELEASE);
	}
	mutex_unlock(&container->group_lock);
	return ret;
}

int user_set_iommu_type(int fd, int type)
{
	struct file *file = shim_fd_of(fd, &vfio_fops);
	int ret;

	if (!file)
		return -EBADF;
	ret = vfio_ioctl_set_iommu(file->private_data, type);
	fput(file);
	shim_return_to_user();
	return ret;
}

int user_set_iommu(int fd)
{
	return user_set_iommu_type(fd, VFIO_TYPE1v2_IOMMU);
}

int vfio_group_use_container(struct vfio_group *group)
{
	lockdep_assert_held(&group->group_lock);

	if (!READ_ONCE(group->container->iommu_driver))
		return -EINVAL;
	if (shim_fault("vfio_group_use_container"))
		return -EINVAL;
	log_event('+');
	get_file(group->opened_file);
	group->container_users++;
	return 0;
}

void vfio_group_unuse_container(struct vfio_group *group)
{
	lockdep_assert_held(&group->group_lock);

	log_event('-');
	WARN_ON(group->container_users <= 1);
	group->container_users--;
	fput(group->opened_file);
}

static struct vfio_iommu_use *vfio_group_iommu_use(struct vfio_group *group)
{
	lockdep_assert_held(&group->group_lock);
	return __atomic_load_n(&group->container->iommu_use, __ATOMIC_ACQUIRE);
}

const char *vfio_group_protection(struct vfio_group *group)
{
	struct vfio_iommu_use *use = vfio_group_iommu_use(group);

	if (!use)
		return NULL;
	switch (use->type) {
	case VFIO_SPAPR_TCE_IOMMU:
	case VFIO_SPAPR_TCE_v2_IOMMU:
		return "iommu-vfio-powerpc";
	case VFIO_NOIOMMU_IOMMU:
		return "vfio-noiommu";
	default:
		return "vfio-iommu-type1";
	}
}

int vfio_group_preregistered(struct vfio_group *group)
{
	struct vfio_iommu_use *use = vfio_group_iommu_use(group);
	int mm = READ_ONCE(group->container->mm);

	if (use->type != VFIO_SPAPR_TCE_IOMMU && use->type != VFIO_SPAPR_TCE_v2_IOMMU)
		return 0;
	if (mm && mm != current_mm())
		return -EPERM;
	return use->type == VFIO_SPAPR_TCE_v2_IOMMU && mm;
}

/* VFIO_IOMMU_MAP_DMA, whose argument may take long to be read */
static int vfio_container_map_dma(struct vfio_container *container)
{
	struct vfio_iommu_use *use;

	mutex_lock(&container->group_lock);
	use = container->iommu_use;
	if (use)
		fake_inc(use->refs);
	mutex_unlock(&container->group_lock);
	if (!use)
		return -EINVAL;
	shim_step("reads its argument", NULL);
	use->mapped++;
	vfio_iommu_use_put(use);
	return 0;
}

int user_map_dma(int fd)
{
	struct file *file = shim_fd_of(fd, &vfio_fops);
	int ret;

	if (!file)
		return -EBADF;
	ret = vfio_container_map_dma(file->private_data);
	fput(file);
	shim_return_to_user();
	return ret;
}

/* VFIO_IOMMU_SPAPR_REGISTER_MEMORY */
int user_register_memory(int fd)
{
	struct file *file = shim_fd(fd);
	struct vfio_container *container;
	int ret = 0;

	if (!file)
		return -EBADF;
	container = file->private_data;
	mutex_lock(&container->group_lock);
	if (!container->iommu_driver)
		ret = -EINVAL;
	else if (container->mm && container->mm != current_mm())
		ret = -EPERM;
	else if (container->iommu_use->type != VFIO_SPAPR_TCE_v2_IOMMU)
		ret = -ENOTTY;
	else
		WRITE_ONCE(container->mm, current_mm());
	mutex_unlock(&container->group_lock);
	fput(file);
	shim_return_to_user();
	return ret;
}

/* The file of a group */

static void vfio_group_put(struct vfio_group *group)
{
	if (fake_dec(group->refs))
		return;
	WARN_ON(group->iommu_group);
	WARN_ON(group->cdev_device_open_cnt);
	mutex_destroy(&group->group_lock);
	mutex_destroy(&group->device_lock);
	free(group);
	fake_dec(counts.groups);
}

static bool vfio_group_has_iommu(struct vfio_group *group)
{
	lockdep_assert_held(&group->group_lock);
	WARN_ON(!group->container != !group->container_users);

	return group->container || group->iommufd;
}

static void vfio_group_fops_release(struct file *file)
{
	struct vfio_group *group = file->private_data;

	file->private_data = NULL;
	mutex_lock(&group->group_lock);
	if (group->container)
		vfio_group_detach_container(group);
	if (group->iommufd) {
		iommufd_ctx_put(group->iommufd);
		group->iommufd = NULL;
	}
	/*
	 * Not a check of stock: the one that let drivers see a VM must have
	 * cleared it.
	 */
	WARN_ON(group->kvm);
	group->opened_file = NULL;
	mutex_unlock(&group->group_lock);
	vfio_group_put(group);
}

static const struct file_operations vfio_group_fops = {
	.name = "group",
	.owner = &vfio_module,
	.release = vfio_group_fops_release,
};

struct vfio_group *vfio_group_from_file(struct file *file)
{
	return file->f_op == &vfio_group_fops ? file->private_data : NULL;
}

static struct vfio_group *vfio_group_find(struct iommu_group *ig)
{
	struct vfio_group *group;

	lockdep_assert_held(&vfio_list_lock);
	list_for_each_entry(group, &vfio_list, vfio_next)
		if (group->iommu_group == ig)
			return group;
	return NULL;
}

static int vfio_group_fops_open(struct vfio_group *group)
{
	int fd = -EBUSY;

	mutex_lock(&group->group_lock);
	if (!fake_read(group->drivers)) {
		fd = -ENODEV;
	} else if (!group->cdev_device_open_cnt && !group->opened_file) {
		group->opened_file = shim_file(&vfio_group_fops, group);
		group->opened_file->inode.i_rdev =
			MKDEV(FAKE_GROUP_MAJOR, group->iommu_group->id);
		fake_inc(group->refs);
		fd = shim_install(group->opened_file);
	}
	mutex_unlock(&group->group_lock);
	return fd;
}

int user_open_group(struct iommu_group *ig)
{
	struct vfio_group *group;
	int fd;

	mutex_lock(&vfio_list_lock);
	group = vfio_group_find(ig);
	if (group)
		fake_inc(group->refs);
	mutex_unlock(&vfio_list_lock);
	if (!group)
		return -ENOENT;
	fd = vfio_group_fops_open(group);
	vfio_group_put(group);
	return fd;
}

static int vfio_group_ioctl_set_container(struct vfio_group *group,
					  struct file *file)
{
	struct iommufd_ctx *iommufd;

	guard(mutex)(&group->group_lock);

	if (vfio_group_has_iommu(group))
		return -EINVAL;
	if (!group->iommu_group)
		return -ENODEV;
	if (file->f_op == &vfio_fops)
		return vfio_container_attach_group(file->private_data, group);
	if (!file->f_op->name || file->f_op->name[0] != 'i')
		return -EBADFD;
	iommufd = file->private_data;
	fake_inc(iommufd->refs);
	group->iommufd = iommufd;
	return 0;
}

int user_set_container(int fd, int container)
{
	struct file *group = shim_fd_of(fd, &vfio_group_fops);
	struct file *file = shim_fd(container);
	int ret = -EBADF;

	if (group && file)
		ret = vfio_group_ioctl_set_container(group->private_data, file);
	if (file)
		fput(file);
	if (group)
		fput(group);
	shim_return_to_user();
	return ret;
}

static int vfio_group_ioctl_unset_container(struct vfio_group *group)
{
	guard(mutex)(&group->group_lock);

	if (!vfio_group_has_iommu(group))
		return -EINVAL;
	if (group->container) {
		if (group->container_users != 1)
			return -EBUSY;
		vfio_group_detach_container(group);
	}
	if (group->iommufd) {
		if (group->iommu_group && !list_empty(&group->external_users))
			return -EBUSY;
		iommufd_ctx_put(group->iommufd);
		group->iommufd = NULL;
	}
	return 0;
}

int user_unset_container(int fd)
{
	struct file *file = shim_fd_of(fd, &vfio_group_fops);
	int ret;

	if (!file)
		return -EBADF;
	ret = vfio_group_ioctl_unset_container(file->private_data);
	fput(file);
	shim_return_to_user();
	return ret;
}

/* Devices of a group */

static int vfio_df_group_open(struct vfio_device_file *df)
{
	struct vfio_device *device = df->device;
	struct vfio_group *group = device->group;
	int ret;

	guard(mutex)(&group->group_lock);

	if (!vfio_group_has_iommu(group))
		return -EINVAL;

	mutex_lock(&device->dev_set_lock);
	if (!device->open_count) {
		spin_lock(&group->kvm_ref_lock);
		vfio_device_get_kvm_safe(device, group->kvm);
		spin_unlock(&group->kvm_ref_lock);
	}
	df->iommufd = group->iommufd;
	ret = vfio_df_open(df);
	if (ret) {
		df->iommufd = NULL;
		if (!device->open_count)
			vfio_device_put_kvm(device);
	}
	df->access_granted = !ret;
	mutex_unlock(&device->dev_set_lock);
	return ret;
}

void vfio_df_group_close(struct vfio_device_file *df)
{
	struct vfio_device *device = df->device;

	mutex_lock(&device->group->group_lock);
	mutex_lock(&device->dev_set_lock);
	vfio_df_close(df);
	df->iommufd = NULL;
	if (!device->open_count)
		vfio_device_put_kvm(device);
	mutex_unlock(&device->dev_set_lock);
	mutex_unlock(&device->group->group_lock);
}

int vfio_group_use_iommu(struct vfio_device *device)
{
	struct vfio_group *group = device->group;

	lockdep_assert_held(&group->group_lock);
	if (WARN_ON(!group->container))
		return -EINVAL;
	if (!READ_ONCE(group->container->iommu_driver))
		return -EINVAL;
	get_file(group->opened_file);
	group->container_users++;
	return 0;
}

void vfio_group_unuse_iommu(struct vfio_device *device)
{
	struct vfio_group *group = device->group;

	lockdep_assert_held(&group->group_lock);
	if (WARN_ON(!group->container))
		return;
	WARN_ON(group->container_users <= 1);
	group->container_users--;
	fput(group->opened_file);
}

/* Decided by the list of the group's devices, as in stock */
static bool vfio_group_get_device(struct vfio_group *group,
				  struct vfio_device *device)
{
	struct vfio_device *it;
	bool found = false;

	mutex_lock(&group->device_lock);
	list_for_each_entry(it, &group->device_list, group_next)
		if (it == device)
			found = vfio_device_try_get_registration(it);
	mutex_unlock(&group->device_lock);
	return found;
}

static int vfio_device_open_file(struct vfio_device *device)
{
	struct vfio_device_file *df = vfio_df_alloc(device);
	int ret;

	df->group = device->group;
	ret = vfio_df_group_open(df);
	if (!ret)
		return shim_install(shim_file(&vfio_device_fops, df));
	free(df);
	vfio_device_put_registration(device);
	return ret;
}

int user_get_device(int fd, struct device *dev)
{
	struct file *file = shim_fd_of(fd, &vfio_group_fops);
	struct vfio_device *device = READ_ONCE(dev->vdev);
	int ret = -ENODEV;

	if (!file)
		return -EBADF;
	if (vfio_group_get_device(file->private_data, device))
		ret = vfio_device_open_file(device);
	fput(file);
	shim_return_to_user();
	return ret;
}

int vfio_device_block_group(struct vfio_device *device)
{
	struct vfio_group *group = device->group;

	guard(mutex)(&group->group_lock);
	if (group->opened_file)
		return -EBUSY;
	group->cdev_device_open_cnt++;
	return 0;
}

void vfio_device_unblock_group(struct vfio_device *device)
{
	guard(mutex)(&device->group->group_lock);
	device->group->cdev_device_open_cnt--;
}

void vfio_group_set_kvm(struct vfio_group *group, struct kvm *kvm)
{
	fake_check_visible(kvm);
	spin_lock(&group->kvm_ref_lock);
	group->kvm = kvm;
	spin_unlock(&group->kvm_ref_lock);
}

/* Drivers come and go */

static struct vfio_group *vfio_group_create(struct iommu_group *ig)
{
	struct vfio_group *group = fake_alloc(sizeof(*group));

	lockdep_assert_held(&vfio_list_lock);
	group->refs = 1;
	group->drivers = 1;
	group->type = ig->type;
	snprintf(group->dev.name, sizeof(group->dev.name), "%s%d",
		 ig->type == VFIO_NO_IOMMU ? "noiommu-" : "", ig->id);
	group->iommu_group = ig;
	fake_inc(ig->refs);
	mutex_init(&group->group_lock);
	mutex_init(&group->device_lock);
	spin_lock_init(&group->kvm_ref_lock);
	INIT_LIST_HEAD(&group->device_list);
	INIT_LIST_HEAD(&group->external_users);
	list_add(&group->vfio_next, &vfio_list);
	fake_inc(counts.groups);
	return group;
}

void vfio_group_bind(struct vfio_device *device)
{
	struct iommu_group *ig = device->dev->group;
	struct vfio_group *group;

	mutex_lock(&vfio_list_lock);
	group = vfio_group_find(ig);
	if (group)
		fake_inc(group->drivers);
	else
		group = vfio_group_create(ig);
	mutex_unlock(&vfio_list_lock);
	device->group = group;

	mutex_lock(&group->device_lock);
	list_add(&device->group_next, &group->device_list);
	mutex_unlock(&group->device_lock);
}

static void vfio_group_unlist(struct vfio_device *device)
{
	struct vfio_group *group = device->group;

	mutex_lock(&group->device_lock);
	list_del(&device->group_next);
	mutex_unlock(&group->device_lock);
}

/* vfio_device_remove_group() */
static void vfio_group_remove(struct vfio_group *group)
{
	struct iommu_group *ig;

	mutex_lock(&vfio_list_lock);
	if (fake_dec(group->drivers)) {
		mutex_unlock(&vfio_list_lock);
		return;
	}
	list_del(&group->vfio_next);

	mutex_lock(&group->group_lock);
	WARN_ON(!list_empty(&group->device_list));
	vfio_external_revoke(group);
	if (group->container)
		vfio_group_detach_container(group);
	ig = group->iommu_group;
	group->iommu_group = NULL;
	mutex_unlock(&group->group_lock);
	mutex_unlock(&vfio_list_lock);

	if (!fake_dec(ig->refs))
		free(ig);
	vfio_group_put(group);
}

void vfio_group_unbind(struct vfio_device *device)
{
	vfio_group_unlist(device);
	vfio_device_wait(device);
	vfio_group_remove(device->group);
}

struct vfio_group *fake_group(int fd)
{
	struct file *file = shim_fd_of(fd, &vfio_group_fops);
	struct vfio_group *group = file ? file->private_data : NULL;

	if (file)
		fput(file);
	shim_return_to_user();
	return group;
}

void vfio_group_print(struct iommu_group *ig, char *buf, size_t size)
{
	struct vfio_group *group;

	mutex_lock(&vfio_list_lock);
	group = vfio_group_find(ig);
	if (group)
		snprintf(buf, size, "refs %d users %u in %p iommufd %p kvm %p",
			 group->refs, group->container_users, group->container,
			 group->iommufd, group->kvm);
	mutex_unlock(&vfio_list_lock);
}
#endif
