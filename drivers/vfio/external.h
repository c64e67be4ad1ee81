/* SPDX-License-Identifier: GPL-2.0-only */
/* External users: what external.c and external_group.c share */
#ifndef __VFIO_EXTERNAL_H__
#define __VFIO_EXTERNAL_H__

#include <linux/list.h>
#include <linux/vfio.h>

#include "vfio.h"

struct seq_file;

/* Users that named a VM are first, the latest one before the others. */
static inline struct kvm *vfio_external_newest_kvm(struct list_head *users)
{
	struct vfio_external_user *user;

	user = list_first_entry_or_null(users, struct vfio_external_user, node);
	return user ? user->kvm : NULL;
}

void vfio_external_show_device(struct vfio_device *device, struct seq_file *m);

/* external_group.c; there are no groups without CONFIG_VFIO_GROUP */
int vfio_external_get_group(struct vfio_external_user *user,
			    struct vfio_group *group);
void vfio_external_put_group(struct vfio_external_user *user,
			     struct vfio_group *group);
void vfio_external_set_group_kvm(struct vfio_external_user *user,
				 struct vfio_group *group, struct kvm *kvm);
int vfio_external_call_group(struct vfio_external_user *user,
			     struct vfio_group *group,
			     int (*fn)(struct iommu_group *group, void *data),
			     void *data);
void vfio_external_show_group(struct vfio_external_user *user,
			      struct vfio_group *group, struct seq_file *m);

#endif /* __VFIO_EXTERNAL_H__ */
