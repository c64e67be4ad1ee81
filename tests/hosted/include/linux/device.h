/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_DEVICE_H
#define _SHIM_DEVICE_H

#include <linux/types.h>

struct iommu_group;
struct vfio_device;

struct device {
	char name[16];
	struct iommu_group *group;
	struct vfio_device *vdev;
	void *iommu;		/* NULL: emulated */
	bool capable;		/* a domain can enforce coherency for it */
};

#define dev_name(dev)	((dev)->name)
/* Of drivers that have no name of their own with VFIO: mdev */
#define dev_driver_string(dev)	((void)(dev), "mdev")

#endif
