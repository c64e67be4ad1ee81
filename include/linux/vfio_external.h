/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * External users of VFIO: kernel code, KVM first of all, that relies on the
 * protection of a VFIO group or device without having opened it.
 */
#ifndef _LINUX_VFIO_EXTERNAL_H
#define _LINUX_VFIO_EXTERNAL_H

#include <linux/types.h>

struct file;
struct iommu_group;
struct kvm;
struct seq_file;
struct vfio_external_user;

/* Grows whenever a member of struct vfio_external_api changes its meaning. */
#define VFIO_EXTERNAL_API_VERSION	3

/**
 * struct vfio_external_api - what VFIO offers to external users
 * @version: VFIO_EXTERNAL_API_VERSION of the vfio.ko that is loaded.  Compare
 *	it before anything else is called: symbol_get() checks no types.
 * @get: become an external user of a VFIO file, vfio_external_get()
 * @put: stop being one, vfio_external_put()
 * @set_kvm: name the VM that the user acts for, vfio_external_set_kvm()
 * @alive: is the group still protected, vfio_external_alive()
 * @iommu_id: the number of the group, vfio_external_iommu_id()
 * @with_group: call a function while the group is protected,
 *	vfio_external_with_group()
 * @check_extension: ask the container, vfio_external_check_extension()
 * @preregistered: does the container know all memory that can be mapped, and whose
 *	is it, vfio_external_preregistered()
 * @enforced_coherent: does the IOMMU make all DMA coherent,
 *	vfio_external_enforced_coherent()
 * @show: tell people what is held, vfio_external_show()
 *
 * All but @get take a user that @get returned and that was not yet put.  From
 * @get until @put, the user pins the file and with it this module.  Unless the
 * host takes the group back, it also pins the protection of a group that is in a
 * container: it counts in the users of the container as an open device does, so
 * the group stays in it and the IOMMU domain stays attached, whatever user space
 * closes.  A group on an iommufd stays on it; there, and for a cdev, the
 * protection is that of each open device.
 */
struct vfio_external_api {
	unsigned int version;
	struct vfio_external_user *(*get)(struct file *file);
	void (*put)(struct vfio_external_user *user);
	void (*set_kvm)(struct vfio_external_user *user, struct kvm *kvm);
	bool (*alive)(const struct vfio_external_user *user);
	int (*iommu_id)(struct vfio_external_user *user);
	int (*with_group)(struct vfio_external_user *user,
			  int (*fn)(struct iommu_group *group, void *data),
			  void *data);
	long (*check_extension)(struct vfio_external_user *user,
				unsigned long arg);
	int (*preregistered)(struct vfio_external_user *user);
	bool (*enforced_coherent)(struct vfio_external_user *user);
	int (*show)(struct vfio_external_user *user, struct seq_file *m);
};

/*
 * The one export.  KVM, which must load without VFIO, takes it with
 * symbol_get(vfio_external_api) and keeps that reference while it has users;
 * a module that depends on vfio.ko anyway calls through it directly.
 */
extern const struct vfio_external_api vfio_external_api;

#endif /* _LINUX_VFIO_EXTERNAL_H */
