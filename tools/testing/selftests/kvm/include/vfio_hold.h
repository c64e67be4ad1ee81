/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for tests that check what KVM holds, and that nothing is left of it.
 */
#ifndef SELFTEST_KVM_VFIO_HOLD_H
#define SELFTEST_KVM_VFIO_HOLD_H

#include <stdbool.h>

#include "vfio_util.h"

/* Successful ADDs by hold(), in all processes of the program */
extern unsigned int *nr_adds;

void hold_init(void);
int __hold(int dev, int file);
void hold(int dev, int file);

/* The nth order of the numbers below @nr, of nr! that there are */
void nth_order(unsigned int n, unsigned int *order, unsigned int nr);
#define ORDERS_OF_4	24

/* KVM has a debugfs folder for each VM; this process made @vm. */
unsigned int count_vms(void);
bool vm_is_there(int vm);

/* Opens the group and puts it in a container of its own with an IOMMU. */
int group_with_container(const struct vfio_test_device *device);

#endif /* SELFTEST_KVM_VFIO_HOLD_H */
