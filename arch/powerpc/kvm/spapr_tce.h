/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCE tables of a VM: shared by book3s_64_vio.c, which has them come and go, and
 * book3s_64_vio_hcall.c, which serves the hypercalls.
 */
#ifndef _POWERPC_KVM_SPAPR_TCE_H
#define _POWERPC_KVM_SPAPR_TCE_H

#include <linux/atomic.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>

#include <asm/iommu.h>
#include <asm/kvm_spapr_tce.h>
#include <asm/mmu_context.h>
#include <asm/tce.h>

struct tce_list;

#define TCE_PERMISSIONS		((u64)(TCE_PCI_READ | TCE_PCI_WRITE))

/* Hardware entries of one table that are changed without a break, at most */
#define TCE_CHUNK		512

/*
 * A guest's page may be many of the hardware's.  They change together, and
 * beyond this number it would take too long: user space does it.
 */
#define TCE_MAX_SUBPAGES	4096

/* Groups in containers of their own behind one table, at most: all change at once. */
#define TCE_MAX_LINKS		32

/**
 * tce_hw_lock - Keeps an entry, its userspace view and the count of its region in step
 * @tbl: the hardware table
 *
 * For all who change entries of a VFIO window: tables of VMs, and the container
 * (drivers/vfio/vfio_iommu_spapr_tce.c).  The pool is one of the DMA API, which has
 * no use for a table that is VFIO's.
 *
 * Return: The lock.
 */
static inline spinlock_t *tce_hw_lock(struct iommu_table *tbl)
{
	return &tbl->pools[0].lock;
}

/**
 * struct tce_region - a region of preregistered memory that was just looked up
 * @mem: the region, NULL before; valid until the end of the RCU section
 * @start: first address of user space that is known to be in it, ULONG_MAX before
 * @room: the last address at which a page is all in it, counted from @start
 */
struct tce_region {
	struct mm_iommu_table_group_mem_t *mem;
	unsigned long start;
	unsigned long room;
};

/**
 * struct tce_link - a hardware table that shows what is in a table of the VM
 * @node: in kvmppc_tce_table.links, by the address of @tbl
 * @tbl_node: in the hash of all links, by @tbl; tce_mutex
 * @tbl: the hardware table, which the link pins
 * @table: the table of the VM
 * @attachments: of the groups for which it was attached, at least one
 * @shift: log2 of hardware pages in a page of the table
 * @from: first entry of the chunk that was exchanged
 * @to: after the last one
 * @view: the userspace view of the chunk, or NULL if it is not in one piece
 * @now: the region of the last new page
 * @before: the region of the last old one
 * @old: what came out for each of the chunk's entries: address and permissions, and
 *	what book3s_64_vio_hcall.c notes beside.  What is from @from on belongs to a
 *	chunk, under kvmppc_tce_table.lock
 */
struct tce_link {
	struct list_head node;
	struct hlist_node tbl_node;
	struct iommu_table *tbl;
	struct kvmppc_tce_table *table;
	struct list_head attachments;
	unsigned int shift;
	unsigned long from;
	unsigned long to;
	__be64 *view;
	struct tce_region now;
	struct tce_region before;
	unsigned long old[];
};

/**
 * struct tce_attachment - a group that keeps a link
 * @node: in tce_link.attachments; kvmppc_tce_table.lock and tce_mutex to change it
 * @holder_node: in kvm_spapr_tce_holder.attachments; tce_mutex
 * @holder: the group's holder, which pins the group's external user
 * @link: of a table of the VM to a hardware table that the group has, or had
 */
struct tce_attachment {
	struct list_head node;
	struct list_head holder_node;
	struct kvm_spapr_tce_holder *holder;
	struct tce_link *link;
};

/**
 * struct kvmppc_tce_table - a TCE table of a VM: one LIOBN
 * @node: in the hash of all tables; tce_mutex to change it, RCU to walk it
 * @kvm: the VM; pinned by the table's file, constant
 * @liobn: the guest's name for it; constant
 * @page_shift: log2 of the size of its IOMMU pages; constant
 * @offset: bus address of its first entry, in IOMMU pages; constant
 * @size: number of entries; constant
 * @lock: whoever holds it keeps @links as they are, and @pages, all hardware
 *	tables, views and counts of a range in step
 * @spare: memory for a list, for whoever takes it by xchg(), or NULL; what is in it is
 *	of no meaning
 * @outcomes: how many hypercalls came to TCE_DONE and so on; TCE_LEFT_TABLE is unused
 * @links: hardware tables behind it; @lock and tce_mutex to change them
 * @pages: what the guest has put, as it reads it back and user space maps it;
 *	pages come when needed, by cmpxchg(), and go with the table
 */
struct kvmppc_tce_table {
	struct hlist_node node;
	struct kvm *kvm;
	u64 liobn;
	unsigned int page_shift;
	u64 offset;
	u64 size;
	spinlock_t lock;	/* links and contents */
	struct tce_list *spare;
	atomic64_t outcomes[TCE_NR_OUTCOMES];
	struct list_head links;
	struct page *pages[];
};

/* Is the hardware table in a slot of the group?  For RCU sections in which it is alive */
static __always_inline bool
tce_holder_has(const struct kvm_spapr_tce_holder *holder,
	       const struct iommu_table *tbl)
{
	BUILD_BUG_ON(IOMMU_TABLE_GROUP_MAX_TABLES != 2);

	return READ_ONCE(holder->group->tables[0]) == tbl ||
	       READ_ONCE(holder->group->tables[1]) == tbl;
}

/**
 * tce_attachment_left - Why the kernel is not to change entries, if so
 * @attachment: of the hardware table in question
 *
 * Where a group is gone, or its window is, user space is to know: nothing is
 * changed here until it has put that in order.
 *
 * Context: RCU read-side section, to the end of which a live attachment stays live;
 * table->lock or tce_mutex.
 * Return: 0 if it is live, TCE_LEFT_CONTAINER, or TCE_LEFT_GONE.
 */
static __always_inline long
tce_attachment_left(const struct tce_attachment *attachment)
{
	struct vfio_external_user *user = attachment->holder->user;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "what was found live stays so");

	if (unlikely(READ_ONCE(user->preregistered) <= 0))
		return TCE_LEFT_CONTAINER;
	if (unlikely(!vfio_external_alive(user)))
		return TCE_LEFT_GONE;
	if (!tce_holder_has(attachment->holder, attachment->link->tbl))
		return TCE_LEFT_GONE;
	return 0;
}

struct kvmppc_tce_table *kvmppc_tce_find(struct kvm *kvm, u64 liobn);
struct page *kvmppc_tce_page(struct kvmppc_tce_table *table, unsigned long nr);
long kvmppc_tce_answer(struct kvm *kvm, struct kvmppc_tce_table *table, u64 liobn,
		       u64 ioba, u64 npages, long outcome);

#endif /* _POWERPC_KVM_SPAPR_TCE_H */
