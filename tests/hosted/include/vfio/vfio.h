/* SPDX-License-Identifier: GPL-2.0-only */
/* drivers/vfio/vfio.h, as patches/ leave it: what external.c needs of it */
#ifndef _SHIM_VFIO_VFIO_H
#define _SHIM_VFIO_VFIO_H

#include <linux/device.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>

struct iommufd_ctx;
struct vfio_container;

struct vfio_device;
struct vfio_group;

struct vfio_device_file {
	struct vfio_device *device;
	struct vfio_group *group;
	bool access_granted;		/* written under device->dev_set_lock */
	spinlock_t kvm_ref_lock;	/* protects kvm */
	struct kvm *kvm;
	struct iommufd_ctx *iommufd;
	struct list_head external_users;	/* kvm_ref_lock */
	unsigned int nr_external_users;
};

extern const struct file_operations vfio_device_fops;

enum vfio_group_type { VFIO_IOMMU, VFIO_EMULATED_IOMMU, VFIO_NO_IOMMU };

struct vfio_device_ops {
	const char *name;
};

/* A device that is bound to a VFIO driver. */
struct vfio_device {
	struct device *dev;
	const struct vfio_device_ops *ops;
	struct device device;		/* of its cdev */
	struct vfio_group *group;
	struct list_head group_next;
	struct mutex dev_set_lock;	/* dev_set->lock */
	struct kvm *kvm;		/* what the driver sees while open */
	int open_count;
	bool noiommu;
	pthread_mutex_t reg_lock;	/* refcount and completion */
	pthread_cond_t reg_cond;
	int reg_refs;
};

static inline bool vfio_device_is_noiommu(struct vfio_device *device)
{
	return device->noiommu;
}

#if IS_ENABLED(CONFIG_VFIO_GROUP)
struct vfio_group {
	struct device dev;
	int refs;			/* struct device */
	int drivers;			/* vfio_list_lock */
	bool has_node;			/* vfio_list_lock: /dev/vfio/N exists */
	unsigned int container_users;
	struct iommu_group *iommu_group;
	struct vfio_container *container;
	struct list_head device_list;
	struct mutex device_lock;
	struct list_head vfio_next;
	struct list_head container_next;
	enum vfio_group_type type;
	struct mutex group_lock;
	struct kvm *kvm;
	struct file *opened_file;
	struct iommufd_ctx *iommufd;
	spinlock_t kvm_ref_lock;
	unsigned int cdev_device_open_cnt;
	struct list_head external_users;	/* group_lock */
	unsigned int nr_external_users;
};

struct vfio_group *vfio_group_from_file(struct file *file);
int vfio_group_use_container(struct vfio_group *group);
void vfio_group_unuse_container(struct vfio_group *group);
const char *vfio_group_protection(struct vfio_group *group);
int vfio_group_preregistered(struct vfio_group *group);
void vfio_group_set_kvm(struct vfio_group *group, struct kvm *kvm);
void vfio_external_revoke(struct vfio_group *group);
#else
static inline struct vfio_group *vfio_group_from_file(struct file *file)
{
	return NULL;
}
#endif

#endif
