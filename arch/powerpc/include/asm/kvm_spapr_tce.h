/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCE tables of a VM (LIOBNs) and the hardware tables behind them: what the
 * KVM-VFIO device needs of arch/powerpc/kvm/book3s_64_vio.c
 */
#ifndef _ASM_POWERPC_KVM_SPAPR_TCE_H
#define _ASM_POWERPC_KVM_SPAPR_TCE_H

#include <linux/types.h>

struct file;
struct iommu_group;
struct kvm;
struct vfio_external_user;

/**
 * struct kvm_spapr_tce_holder - a held VFIO group, as the TCE code knows it
 * @attachments: what SET_SPAPR_TCE attached for it; guarded by the TCE code
 * @user: KVM as an external user of the group
 * @preregistered: 1 if memory of the container is preregistered (SPAPR TCE v2), 0 if
 *	not; -EPERM if the container belongs to another mm.  Written under the lock of
 *	the KVM-VFIO device, read in hypercalls
 * @alive: whether @user is still protected; for RCU read-side sections
 *
 * Pinned by its owner until kvm_spapr_tce_detach() returned.
 */
struct kvm_spapr_tce_holder {
	struct list_head attachments;
	struct vfio_external_user *user;
	int preregistered;
	bool (*alive)(const struct vfio_external_user *user);
};

int kvm_spapr_tce_attach(struct kvm *kvm, struct file *file,
			 struct iommu_group *group,
			 struct kvm_spapr_tce_holder *holder);
void kvm_spapr_tce_detach(struct kvm_spapr_tce_holder *holder);

#endif /* _ASM_POWERPC_KVM_SPAPR_TCE_H */
