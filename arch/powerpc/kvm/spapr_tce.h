/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCE tables of a VM: shared by book3s_64_vio.c, which has them come and go,
 * book3s_64_vio_hcall.c, which serves the hypercalls, and book3s_64_vio_change.c, which
 * changes entries.
 */
#ifndef _POWERPC_KVM_SPAPR_TCE_H
#define _POWERPC_KVM_SPAPR_TCE_H

#include <linux/atomic.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>

#include <asm/iommu.h>
#include <asm/kvm_spapr_tce.h>
#include <asm/mmu_context.h>
#include <asm/tce.h>
#include <asm/vfio_tce.h>

#define TCE_PERMISSIONS		((u64)(TCE_PCI_READ | TCE_PCI_WRITE))

/* Hardware entries that change without a break, at most, counted over all hardware tables */
#define TCE_CHUNK		512UL
#define TCE_CHUNK_LPAR		64UL

/*
 * Groups in containers of their own behind one table, at most.  The locks of all their
 * hardware tables are held together, and lockdep follows no more than 48 locks.
 */
#define TCE_MAX_LINKS		32

/**
 * struct tce_slot - a memory slot by which an entry was translated
 * @generation: of the VM's slots at that time
 * @gpa: its guest real address
 * @bytes: its size; 0 if there is none
 * @ua: its address in user space
 * @denied: those of TCE_PERMISSIONS that it does not allow
 */
struct tce_slot {
	u64 generation;
	u64 gpa;
	u64 bytes;
	unsigned long ua;
	u64 denied;
};

/*
 * Is all of the entry's page in the slot, and may it be accessed so?  @size is no more than
 * the slot has: the slot was found for another page of the same table.
 */
static inline bool tce_slot_has(const struct tce_slot *slot, u64 tce, u64 size)
{
	/* The low bits of @tce may be the permissions. */
	return tce - slot->gpa <= slot->bytes - size + TCE_PERMISSIONS &&
	       !(tce & slot->denied);
}

/**
 * struct tce_link - a hardware table that shows what is in a table of the VM
 * @node: in kvmppc_tce_table.links, by the address of @tbl; later in a list of those to
 *	be freed
 * @tbl_node: in the hash of all links, by @tbl; tce_mutex
 * @tbl: the hardware table, which the link pins
 * @table: the table of the VM
 * @attachments: of the groups for which it was attached, at least one
 * @shift: log2 of hardware pages in a page of the table
 * @preregistered: so is all memory of the container; written with tce_mutex, read anywhere
 */
struct tce_link {
	struct list_head node;
	struct hlist_node tbl_node;
	struct iommu_table *tbl;
	struct kvmppc_tce_table *table;
	struct list_head attachments;
	unsigned int shift;
	bool preregistered;
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
 * @node: in kvm_arch.spapr_tce_tables; tce_mutex to change it, RCU or kvm->srcu to walk it
 * @kvm: the VM; pinned by the table's file, constant
 * @liobn: the guest's name for it; constant
 * @page_shift: log2 of the size of its IOMMU pages; constant
 * @offset: bus address of its first entry, in IOMMU pages; constant
 * @size: number of entries; constant
 * @lock: whoever holds it keeps @links as they are.  With the hardware locks of all
 *	@links it keeps @pages, all hardware tables, views and counts of a range in step
 * @outcomes: how many hypercalls came to TCE_DONE and so on, but for those in @fast;
 *	TCE_LEFT_TABLE is unused
 * @links: hardware tables behind it; @lock and tce_mutex to change them
 * @fast_link: the first of @links, if single entries take the fast path, or NULL.  Whoever
 *	changes it holds @lock and the hardware lock of what it was and of what it
 *	becomes; it is NULL while @links or attachments change.  So that hardware lock
 *	alone, with @fast_link looked at again, keeps @links and attachments as they are; and
 *	the hardware locks of all @links are enough to change an entry.
 * @slot: the slot that was used last; written with @lock and the hardware locks of all
 *	@links, read with one of them
 * @fast: hypercalls that took the fast path; under the hardware lock of @fast_link
 * @chunk: how many entries change without a break, so that there are at most TCE_CHUNK of
 *	the hardware's in all @links, or TCE_CHUNK_LPAR if more than one of the guest's
 *	changes; 0 if one is too many, or @links are; @lock
 * @pieces: for one entry, used where @chunk is 0; 0 if user space does it.  Written with @lock
 * @large: held while an entry changes in pieces; outside @lock
 * @changes: how often @links or attachments have changed; @lock
 * @old: what came out of the hardware entries of a chunk; @lock
 * @done: how many of them have changed, of each of @links; @lock
 * @pages: what the guest has put, as it reads it back and user space maps it;
 *	pages come when needed, by cmpxchg(), and go with the table
 */
struct kvmppc_tce_table {
	struct list_head node;
	struct kvm *kvm;
	u64 liobn;
	unsigned int page_shift;
	u64 offset;
	u64 size;
	spinlock_t lock;	/* links and contents */
	atomic64_t outcomes[TCE_NR_OUTCOMES];
	struct list_head links;
	struct tce_link __rcu *fast_link;
	struct tce_slot slot;
	u64 fast;
	unsigned long chunk;
	unsigned long pieces;
	struct mutex large;	/* one entry, in pieces */
	unsigned long changes;
	unsigned long old[TCE_CHUNK];
	unsigned long done[TCE_MAX_LINKS];
	struct page *pages[];
};

/* Is the hardware table in a slot of the group?  For RCU sections in which it is alive */
static inline bool
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
 * Context: RCU read-side section, to the end of which the group stays protected if it
 * is now.  What pins @attachment: kvmppc_tce_table.lock, the hardware lock of
 * kvmppc_tce_table.fast_link, or tce_mutex.  That the window is there holds for as long
 * as the hardware lock is held.
 * Return: 0 if it is live, TCE_LEFT_CONTAINER, or TCE_LEFT_GONE.
 */
static inline long
tce_attachment_left(const struct tce_attachment *attachment)
{
	struct vfio_external_user *user = attachment->holder->user;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "the group may lose its protection");

	if (!vfio_external_alive(user))
		return TCE_LEFT_GONE;
	if (!READ_ONCE(attachment->link->preregistered))
		return TCE_LEFT_CONTAINER;
	if (!tce_hw_is_open(attachment->link->tbl) ||
	    !tce_holder_has(attachment->holder, attachment->link->tbl))
		return TCE_LEFT_GONE;
	return 0;
}

/* Why entries of the hardware table cannot be changed; 0 if they can.  As above */
static inline long tce_link_left(const struct tce_link *link)
{
	struct tce_attachment *attachment;
	long reason;

	list_for_each_entry(attachment, &link->attachments, node) {
		reason = tce_attachment_left(attachment);
		if (reason)
			return reason;
	}
	return 0;
}

/**
 * tce_table_left - Why entries of a table cannot be changed
 * @table: the table
 *
 * Context: As tce_attachment_left().  That the windows are there is sure only while the
 * locks of all hardware tables are held.
 * Return: 0 if they can, TCE_LEFT_CONTAINER, or TCE_LEFT_GONE.
 */
static inline long tce_table_left(const struct kvmppc_tce_table *table)
{
	struct tce_link *link;
	long reason;

	list_for_each_entry(link, &table->links, node) {
		reason = tce_link_left(link);
		if (reason)
			return reason;
	}
	return 0;
}

/**
 * tce_lock_hardware - Lock the hardware tables behind a table, in the order of addresses
 * @table: the table
 * @after: those behind this link only, or NULL: all of them
 *
 * Checkers cannot count locks in a loop, so they are told that there are none.
 *
 * Context: kvmppc_tce_table.lock; or @after is kvmppc_tce_table.fast_link, and its hardware
 * lock is held.
 */
static inline void tce_lock_hardware(struct kvmppc_tce_table *table,
				     struct tce_link *after)
{
	struct tce_link *link = list_prepare_entry(after, &table->links, node);

	list_for_each_entry_continue(link, &table->links, node) {
		spin_lock(tce_hw_lock(link->tbl));
		__release(tce_hw_lock(link->tbl));
	}
}

/**
 * tce_unlock_hardware - Undo tce_lock_hardware()
 * @table: the table
 * @after: as it was there
 */
static inline void tce_unlock_hardware(struct kvmppc_tce_table *table,
				       struct tce_link *after)
{
	struct tce_link *link = list_prepare_entry(after, &table->links, node);

	list_for_each_entry_continue(link, &table->links, node) {
		__acquire(tce_hw_lock(link->tbl));
		spin_unlock(tce_hw_lock(link->tbl));
	}
}

/* LoPAPR: a list is one page of 4 KiB. */
#define TCE_LIST_MAX	(SZ_4K / sizeof(u64))

/**
 * struct tce_request - entries that the guest wants to change
 * @kvm: the VM
 * @table: which table
 * @first: index of the first entry within the table
 * @npages: number of entries
 * @tces: the entries, or NULL if all of them are @value
 * @uas: what @tces map in user space: addresses, with the permissions of the entries,
 *	0 for none; NULL if none does
 * @value: an entry without permissions
 * @slot: the slot of the last of @uas, for the next request to try first
 */
struct tce_request {
	struct kvm *kvm;
	struct kvmppc_tce_table *table;
	u64 first;
	u64 npages;
	const u64 *tces;
	const unsigned long *uas;
	u64 value;
	struct tce_slot slot;
};

struct kvmppc_tce_table *kvmppc_tce_find(struct kvm *kvm, u64 liobn);
bool kvmppc_tce_pages(struct kvmppc_tce_table *table, u64 first, u64 npages);
long kvmppc_tce_answer(struct kvm *kvm, struct kvmppc_tce_table *table, u64 liobn,
		       u64 ioba, u64 npages, long outcome);
bool kvmppc_tce_is_one_page(unsigned long hpa, unsigned int shift);
long kvmppc_tce_change(const struct tce_request *request);

/*
 * A hardware entry, its view and its count
 *
 * The userspace view of a hardware table has the user address of each mapped page.
 * An address there stands for one count of the page's preregistered region; 0 stands
 * for an entry that is not mapped, so empty runs are skipped.  Containers without
 * preregistration (SPAPR TCE v1) do not keep the view, so user space does everything
 * for them.
 */

/* What the permissions of @tce let the device do */
static inline enum dma_data_direction tce_direction(unsigned long tce)
{
	static const u8 directions[] = {
		[0]				= DMA_NONE,
		[TCE_PCI_READ]			= DMA_TO_DEVICE,
		[TCE_PCI_WRITE]			= DMA_FROM_DEVICE,
		[TCE_PCI_READ | TCE_PCI_WRITE]	= DMA_BIDIRECTIONAL,
	};

	return directions[tce & TCE_PERMISSIONS];
}

/*
 * The userspace view of hardware entry @entry and of those that follow it in its
 * leaf level: @run of them, no more than @nr.  NULL if the level is not there.
 */
static inline __be64 *tce_view(struct iommu_table *tbl, unsigned long entry,
			       unsigned long nr, bool alloc, unsigned long *run)
{
	unsigned long index = entry - tbl->it_offset;

	*run = nr;
	if (!tbl->it_indirect_levels)
		return tbl->it_userspace + index;
	*run = min(nr, tbl->it_level_size - (index & (tbl->it_level_size - 1)));
	return tbl->it_ops->useraddrptr(tbl, entry, alloc);
}

/* One instruction loads it the other way round; the compiler alone would use ten. */
static inline u64 tce_load(const __be64 *from)
{
	u64 value = be64_to_cpup(from);

	OPTIMIZER_HIDE_VAR(value);
	return value;
}

/* Memory of devices is never preregistered: nobody calls mm_iommu_newdev(). */
static inline void tce_dirty(unsigned long hpa)
{
	struct page *page = pfn_to_page(hpa >> PAGE_SHIFT);

	if (!PageDirty(page))
		SetPageDirty(page);
}

/* @old: address and direction of what an exchange has replaced */
static inline void tce_exchanged(unsigned long old)
{
	/* Neither DMA_TO_DEVICE nor DMA_NONE: the device may have written to it. */
	if (!(old & DMA_TO_DEVICE))
		tce_dirty(old);
}

/* Drops the count that an entry had in the region. */
static inline void tce_let_go(struct mm_iommu_table_group_mem_t *mem)
{
	if (mem)
		mm_iommu_mapped_dec(mem);
}

/*
 * The view does not say whether the device could write to the page, and to ask the
 * hardware table for each entry is dear, so the page is marked dirty in any case.  Regions
 * are pinned with FOLL_WRITE, so that is allowed; at worst, a page is written out once more
 * than necessary.
 */
static inline void tce_unmapped(struct mm_iommu_table_group_mem_t *mem,
				unsigned long ua, unsigned int shift)
{
	unsigned long hpa;

	if (mem && !mm_iommu_ua_to_hpa(mem, ua, shift, &hpa)) {
		/* The guest has chosen the page. */
		barrier_nospec();
		tce_dirty(hpa);
	}
	tce_let_go(mem);
}

/* Finds the host address of the table's page at @ua, if the region has all of it. */
static inline bool tce_region_has(struct mm_iommu_table_group_mem_t *mem,
				  unsigned long ua, unsigned int shift,
				  unsigned long *hpa)
{
	unsigned long last = (1UL << shift) - 1, last_hpa;

	if (!mem || mm_iommu_ua_to_hpa(mem, ua, shift, hpa))
		return false;
	return shift <= PAGE_SHIFT ||
	       (!mm_iommu_ua_to_hpa(mem, ua + last, shift, &last_hpa) &&
		last_hpa - *hpa == last && kvmppc_tce_is_one_page(*hpa, shift));
}

#endif /* _POWERPC_KVM_SPAPR_TCE_H */
