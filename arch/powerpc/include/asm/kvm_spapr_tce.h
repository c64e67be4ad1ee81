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

/*
 * What becomes of a TCE hypercall; all but the first two are left to user space.  Not
 * an enum, for who reads the formats of tracepoints.
 */
#define TCE_DONE		0
#define TCE_REFUSED		1	/* the guest gets an error */
#define TCE_LEFT_TABLE		2	/* no such table here */
#define TCE_LEFT_ADDRESS	3	/* a page misaligned, or not in one slot for it */
#define TCE_LEFT_LIST		4	/* the list cannot be read, or moved meanwhile */
#define TCE_LEFT_GONE		5	/* a group, or its window, is gone */
#define TCE_LEFT_CONTAINER	6	/* not preregistered (v1), or of another mm */
#define TCE_LEFT_MEMORY		7	/* of no region, or refused by a hardware table */
#define TCE_LEFT_NOMEM		8	/* none for the list, or to read back */
#define TCE_LEFT_SIZE		9	/* too many hardware entries at once */
#define TCE_LEFT_SIGNAL		10	/* for the thread, in a long request */
#define TCE_NR_OUTCOMES		11

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
