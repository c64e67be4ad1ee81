/* SPDX-License-Identifier: GPL-2.0-only */
/* virt/kvm/vfio.h */
#ifndef _SHIM_KVM_VFIO_H
#define _SHIM_KVM_VFIO_H

int kvm_vfio_ops_init(void);
void kvm_vfio_ops_exit(void);

#endif
