/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_VFIO_H
#define _SHIM_VFIO_H

#include <linux/types.h>
#include <linux/vfio_external.h>

#define VFIO_TYPE1_IOMMU	1
#define VFIO_SPAPR_TCE_IOMMU	2
#define VFIO_TYPE1v2_IOMMU	3
#define VFIO_DMA_CC_IOMMU	4
#define VFIO_SPAPR_TCE_v2_IOMMU	7
#define VFIO_NOIOMMU_IOMMU	8

/* ioctls of a container; the last two the SPAPR TCE driver's */
#define VFIO_CHECK_EXTENSION			0x3b65
#define VFIO_IOMMU_SPAPR_REGISTER_MEMORY	0x3b75
#define VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY	0x3b76

bool vfio_file_is_valid(struct file *file);
bool vfio_file_enforced_coherent(struct file *file);
void vfio_file_set_kvm(struct file *file, struct kvm *kvm);

#endif
