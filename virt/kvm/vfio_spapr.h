/* SPDX-License-Identifier: GPL-2.0-only */
/* What the KVM-VFIO device asks of the TCE tables of POWER, and stubs elsewhere */
#ifndef __KVM_VFIO_SPAPR_H
#define __KVM_VFIO_SPAPR_H

#ifdef CONFIG_SPAPR_TCE_IOMMU
#include <asm/kvm_spapr_tce.h>
#else
#include <linux/errno.h>

struct file;
struct iommu_group;
struct kvm;
struct vfio_external_user;

struct kvm_spapr_tce_holder {
};

static inline void kvm_spapr_tce_init_holder(struct kvm_spapr_tce_holder *holder,
					     struct vfio_external_user *user,
					     struct kvm *kvm)
{
}

static inline int kvm_spapr_tce_join(struct iommu_group *group,
				     struct kvm_spapr_tce_holder *holder)
{
	return 0;
}

static inline int kvm_spapr_tce_attach(struct file *file,
				       struct kvm_spapr_tce_holder *holder)
{
	return -ENXIO;
}

static inline void kvm_spapr_tce_detach(struct kvm_spapr_tce_holder *holder)
{
}

#endif /* CONFIG_SPAPR_TCE_IOMMU */

#endif /* __KVM_VFIO_SPAPR_H */
