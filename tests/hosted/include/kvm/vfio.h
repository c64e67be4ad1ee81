/* SPDX-License-Identifier: GPL-2.0-only */
/* virt/kvm/vfio.h */
#ifndef _SHIM_KVM_VFIO_H
#define _SHIM_KVM_VFIO_H

struct kvm;

int kvm_vfio_ops_init(void);
void kvm_vfio_ops_exit(void);
void kvm_vfio_create_debugfs(struct kvm *kvm);
void kvm_vfio_destroy_debugfs(struct kvm *kvm);

#endif
