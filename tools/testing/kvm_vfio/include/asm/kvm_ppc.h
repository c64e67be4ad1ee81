/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_KVM_PPC_H
#define _SHIM_KVM_PPC_H

#include <linux/kvm_host.h>

struct iommu_group;

long kvm_spapr_tce_attach_iommu_group(struct kvm *kvm, int tablefd,
				      struct iommu_group *grp);
void kvm_spapr_tce_release_iommu_group(struct kvm *kvm,
				       struct iommu_group *grp);

#endif
