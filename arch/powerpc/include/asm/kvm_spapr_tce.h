/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCE tables of a VM (LIOBNs) and the hardware tables behind them: what the
 * KVM-VFIO device needs of arch/powerpc/kvm/book3s_64_vio.c
 */
#ifndef _ASM_POWERPC_KVM_SPAPR_TCE_H
#define _ASM_POWERPC_KVM_SPAPR_TCE_H

#include <linux/list.h>

struct file;
struct iommu_group;
struct iommu_table_group;
struct kvm;
struct vfio_external_user;

/**
 * enum kvm_spapr_tce_outcome - what becomes of a TCE hypercall
 * @TCE_DONE: all of it is done
 * @TCE_REFUSED: the guest gets an error
 * @TCE_LEFT_TABLE: no such table here; left to user space, as all that follow
 * @TCE_LEFT_ADDRESS: a page is misaligned, or not in one slot for it
 * @TCE_LEFT_LIST: the list cannot be read, or moved meanwhile
 * @TCE_LEFT_GONE: a group, or its window, is gone, or others came midway
 * @TCE_LEFT_CONTAINER: its memory is not preregistered (v1)
 * @TCE_LEFT_MEMORY: a page is in no region, or a hardware table did not take it
 * @TCE_LEFT_NOMEM: no memory for the list, or to read back
 * @TCE_LEFT_SIZE: too many hardware entries at once
 * @TCE_LEFT_SIGNAL: a signal for the thread, in a long request
 * @TCE_NR_OUTCOMES: number of the above
 */
enum kvm_spapr_tce_outcome {
	TCE_DONE,
	TCE_REFUSED,
	TCE_LEFT_TABLE,
	TCE_LEFT_ADDRESS,
	TCE_LEFT_LIST,
	TCE_LEFT_GONE,
	TCE_LEFT_CONTAINER,
	TCE_LEFT_MEMORY,
	TCE_LEFT_NOMEM,
	TCE_LEFT_SIZE,
	TCE_LEFT_SIGNAL,
	TCE_NR_OUTCOMES
};

/**
 * struct kvm_spapr_tce_holder - a held VFIO group, as the TCE code knows it
 * @node: in the hash of all holders, once it has joined; guarded by the TCE code
 * @attachments: the links that it keeps; guarded by the TCE code
 * @user: KVM as an external user of the group
 * @kvm: the VM that holds the group
 * @group: to see which hardware tables it has, NULL if it never has any; valid in an
 *	RCU read-side section in which @user is alive
 *
 * Pinned by its owner until kvm_spapr_tce_detach() returned.
 */
struct kvm_spapr_tce_holder {
	struct hlist_node node;
	struct list_head attachments;
	struct vfio_external_user *user;
	struct kvm *kvm;
	struct iommu_table_group *group;
};

static inline void
kvm_spapr_tce_init_holder(struct kvm_spapr_tce_holder *holder,
			  struct vfio_external_user *user, struct kvm *kvm)
{
	INIT_HLIST_NODE(&holder->node);
	INIT_LIST_HEAD(&holder->attachments);
	holder->user = user;
	holder->kvm = kvm;
	holder->group = NULL;
}

int kvm_spapr_tce_join(struct iommu_group *group,
		       struct kvm_spapr_tce_holder *holder);
int kvm_spapr_tce_attach(struct file *file, struct kvm_spapr_tce_holder *holder);
void kvm_spapr_tce_detach(struct kvm_spapr_tce_holder *holder);

#endif /* _ASM_POWERPC_KVM_SPAPR_TCE_H */
