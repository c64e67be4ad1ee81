/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_IOMMU_H
#define _SHIM_IOMMU_H

#include <linux/types.h>

struct device;
struct iommu_group;

enum iommu_cap { IOMMU_CAP_ENFORCE_CACHE_COHERENCY };

bool device_iommu_capable(struct device *dev, enum iommu_cap cap);
int iommu_group_id(struct iommu_group *group);
void *iommu_group_get_iommudata(struct iommu_group *group);
#define iommu_group_for_each_dev shim_call_devices

int shim_call_devices(struct iommu_group *group, void *data,
		      int (*fn)(struct device *dev, void *data));

#endif
