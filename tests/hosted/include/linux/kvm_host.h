/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_KVM_HOST_H
#define _SHIM_KVM_HOST_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/srcu.h>

#define KVM_DEV_TYPE_VFIO			4
#define KVM_DEV_TYPE_MAX			16
#define KVM_CREATE_DEVICE_TEST			1

#define KVM_DEV_VFIO_FILE			1
#define KVM_DEV_VFIO_FILE_ADD			1
#define KVM_DEV_VFIO_FILE_DEL			2
#define KVM_DEV_VFIO_GROUP			KVM_DEV_VFIO_FILE
#define KVM_DEV_VFIO_GROUP_ADD			KVM_DEV_VFIO_FILE_ADD
#define KVM_DEV_VFIO_GROUP_DEL			KVM_DEV_VFIO_FILE_DEL
#define KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE	3

struct kvm_device_attr {
	__u32 flags;
	__u32 group;
	__u64 attr;
	__u64 addr;
};

struct kvm_vfio_spapr_tce {
	__s32 groupfd;
	__s32 tablefd;
};

struct seq_file;

struct kvm {
	struct mutex lock;		/* devices */
	struct srcu_struct srcu;
	struct list_head devices;	/* by lock */
	int users_count;
	int mm;
	pid_t userspace_pid;
	struct {
		int assigned;		/* atomic */
		int noncoherent;	/* atomic */
		int tce_tables;		/* atomic */
	} arch;
};

struct kvm_device {
	const struct kvm_device_ops *ops;
	struct kvm *kvm;
	void *private;
	struct list_head vm_node;
};

/* release_unlocked, show_fdinfo: see the patches of ours for kvm_host.h */
struct kvm_device_ops {
	const char *name;
	int (*create)(struct kvm_device *dev, u32 type);
	void (*destroy)(struct kvm_device *dev);
	void (*release_unlocked)(struct kvm_device *dev);
	void (*release)(struct kvm_device *dev);
	int (*set_attr)(struct kvm_device *dev, struct kvm_device_attr *attr);
	int (*get_attr)(struct kvm_device *dev, struct kvm_device_attr *attr);
	int (*has_attr)(struct kvm_device *dev, struct kvm_device_attr *attr);
	void (*show_fdinfo)(struct kvm_device *dev, struct seq_file *m);
};

int kvm_register_device_ops(const struct kvm_device_ops *ops, u32 type);
void kvm_unregister_device_ops(u32 type);

bool kvm_get_kvm_safe(struct kvm *kvm);
void kvm_put_kvm(struct kvm *kvm);

void kvm_arch_start_assignment(struct kvm *kvm);
void kvm_arch_end_assignment(struct kvm *kvm);
void kvm_arch_register_noncoherent_dma(struct kvm *kvm);
void kvm_arch_unregister_noncoherent_dma(struct kvm *kvm);

#endif
