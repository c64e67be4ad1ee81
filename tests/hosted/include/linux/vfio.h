/* SPDX-License-Identifier: GPL-2.0-only */
/* include/linux/vfio.h, as patches/ leave it */
#ifndef _SHIM_VFIO_H
#define _SHIM_VFIO_H

#include <linux/types.h>

struct file;
struct iommu_group;
struct kvm;
struct seq_file;

#define VFIO_TYPE1_IOMMU	1
#define VFIO_SPAPR_TCE_IOMMU	2
#define VFIO_TYPE1v2_IOMMU	3
#define VFIO_SPAPR_TCE_v2_IOMMU	7
#define VFIO_NOIOMMU_IOMMU	8

struct vfio_external_user {
	struct list_head node;
	struct file *file;
	struct kvm *kvm;
	const char *protection;
	int group;
	int preregistered;
	bool coherent;
	bool counted;
	bool dead;
};

int vfio_external_get(struct vfio_external_user *user, struct file *file);
void vfio_external_put(struct vfio_external_user *user);
void vfio_external_set_kvm(struct vfio_external_user *user, struct kvm *kvm);
int vfio_external_with_group(struct vfio_external_user *user,
			     int (*fn)(struct iommu_group *group, void *data),
			     void *data);
void vfio_external_show(struct vfio_external_user *user, struct seq_file *m);

static inline bool vfio_external_alive(const struct vfio_external_user *user)
{
	return !READ_ONCE(user->dead);
}

bool vfio_file_is_valid(struct file *file);

#endif
