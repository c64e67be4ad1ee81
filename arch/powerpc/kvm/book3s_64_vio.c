// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCE tables of a VM (LIOBNs), and what is attached to them
 *
 * Copyright (C) 2026 the authors of kvm-vfio
 * In the place of a file whose notices are:
 * Copyright 2010 Paul Mackerras, IBM Corp. <paulus@au1.ibm.com>
 * Copyright 2011 David Gibson, IBM Corporation <dwg@au1.ibm.com>
 * Copyright 2016 Alexey Kardashevskiy, IBM Corporation <aik@au1.ibm.com>
 *
 * A guest programs its IOMMU by hypercalls that name a table and put entries
 * into it.  User space makes the tables, and, through the KVM-VFIO device, has them
 * attached to hardware tables of the VFIO groups that the VM holds; from then on an
 * entry that the guest puts is the device's.  The hypercalls themselves are in
 * book3s_64_vio_hcall.c.
 *
 * Vocabulary
 *
 *	table		one LIOBN of a VM
 *	link		a hardware table, struct iommu_table, behind a table: has its
 *			entries
 *	holder		a group that the VM holds
 *	attachment	a holder that keeps a link
 *	live		said of an attachment: the group is protected, and still has
 *			the hardware table in one of its slots
 *
 * The hardware follows the group
 *
 * All groups of a container have its hardware tables in their slots.  SET_SPAPR_TCE
 * names one group, and makes a link to its hardware table.  Each holder that has this
 * hardware table keeps the link: one that is there already from then on, one that
 * comes later from its ADD on.  So it does not matter in which order they are deleted:
 * the link goes with the last one.
 *
 * Who pins what
 *
 *	fd of a table	pins the table and the VM
 *	attachment	keeps its link, and that the hardware table; it belongs to one
 *			holder, and goes with it or with its table
 *	hypercalls	pin nothing: kvm->srcu or RCU keeps tables, and table->lock
 *			keeps links and attachments while they are used; on the fast
 *			path, the hardware lock of its first link does that, and RCU
 *			keeps that link
 *
 * Locks
 *
 *	tce_mutex	tables, links, holders and attachments come and go.
 *			Inside VFIO's group lock (join, attach) and the KVM-VFIO
 *			device's lock (detach).  kvm->lock is not needed.
 *	table->lock	inside tce_mutex
 *	tce_hw_lock()	inside table->lock, several of them in the order of the
 *			hardware tables' addresses; the fast path of hypercalls takes
 *			them without table->lock; VFIO's container takes it, too
 *
 * A group that the host takes back is dead when VFIO detaches it, which comes after
 * synchronize_rcu().  A window that user space removes is closed under its hardware
 * lock before VFIO clears it, and freed after synchronize_rcu().  So entries change only
 * in RCU read-side sections and under that lock, in which every attachment was found
 * live.
 */
#include <linux/anon_inodes.h>
#include <linux/cleanup.h>
#include <linux/file.h>
#include <linux/hashtable.h>
#include <linux/iommu.h>
#include <linux/kvm.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include <asm/firmware.h>
#include <asm/hvcall.h>
#include <asm/kvm_ppc.h>

#include <trace/events/kvm_vfio.h>

#include "spapr_tce.h"

/*
 * Hardware entries behind one of the guest's in each hardware table, at most, or user
 * space does it: pages of 16 MiB where the hardware's are of 4 KiB.
 */
#define TCE_MAX_SUBPAGES	4096UL

static DEFINE_MUTEX(tce_mutex);
static DEFINE_HASHTABLE(tce_links, 10);		/* by hardware table */
static DEFINE_HASHTABLE(tce_holders, 8);	/* by VM */

/**
 * kvmppc_tce_find - Find a table
 * @kvm: the VM
 * @liobn: the guest's name for it
 *
 * Context: In a read-side section of @kvm->srcu or of RCU, either of which keeps the
 * table; or under tce_mutex.  Walks the tables of the VM.
 * Return: The table, or NULL.
 */
struct kvmppc_tce_table *kvmppc_tce_find(struct kvm *kvm, u64 liobn)
{
	struct kvmppc_tce_table *table;

	list_for_each_entry_rcu(table, &kvm->arch.spapr_tce_tables, node,
				srcu_read_lock_held(&kvm->srcu) ||
				lockdep_is_held(&tce_mutex))
		if (table->liobn == liobn)
			return table;
	return NULL;
}

/* The page with some of a table's entries, which lives as long as the table */
static struct page *tce_table_page(struct kvmppc_tce_table *table, unsigned long nr)
{
	struct page *page = READ_ONCE(table->pages[nr]), *other;

	if (page)
		return page;

	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
	if (!page)
		return NULL;
	other = cmpxchg(&table->pages[nr], NULL, page);
	if (!other)
		return page;
	__free_page(page);
	return other;
}

/**
 * kvmppc_tce_pages - Have pages for what is to be put into a table
 * @table: the table
 * @first: index of the first entry
 * @npages: number of entries, at least one
 *
 * Context: Process context, may sleep.
 * Return: false if there is no memory.
 */
bool kvmppc_tce_pages(struct kvmppc_tce_table *table, u64 first, u64 npages)
{
	u64 nr = first / TCES_PER_PAGE;

	for (; nr <= (first + npages - 1) / TCES_PER_PAGE; nr++)
		if (!tce_table_page(table, nr))
			return false;
	return true;
}

static unsigned long tce_table_pages(u64 entries)
{
	return DIV_ROUND_UP(entries, TCES_PER_PAGE);
}

/* What a table may take, once it is full. */
static unsigned long tce_table_locked(u64 entries)
{
	unsigned long pages = tce_table_pages(entries);

	return pages + PFN_UP(struct_size_t(struct kvmppc_tce_table, pages, pages));
}

/*
 * Links
 */
static struct tce_link *tce_link_find(struct kvmppc_tce_table *table,
				      struct iommu_table *tbl)
{
	struct tce_link *link;

	lockdep_assert_held(&tce_mutex);

	list_for_each_entry(link, &table->links, node)
		if (link->tbl == tbl)
			return link;
	return NULL;
}

static struct tce_link *tce_link_create(struct kvmppc_tce_table *table,
					struct iommu_table *tbl)
{
	struct tce_link *link;

	lockdep_assert_held(&tce_mutex);

	link = kzalloc_obj(*link, GFP_KERNEL_ACCOUNT);
	if (!link)
		return NULL;
	link->tbl = iommu_tce_table_get(tbl);
	link->table = table;
	link->shift = table->page_shift - tbl->it_page_shift;
	INIT_LIST_HEAD(&link->attachments);
	return link;
}

/*
 * Whoever changes links or attachments begins with this: then no hypercall is on the
 * fast path, and each finds out between two chunks that something has changed.
 */
static void tce_links_begin(struct kvmppc_tce_table *table)
	__acquires(&table->lock)
{
	struct tce_link *link;

	lockdep_assert_held(&tce_mutex);

	spin_lock(&table->lock);
	table->changes++;
	link = rcu_dereference_protected(table->fast_link, lockdep_is_held(&table->lock));
	if (!link)
		return;
	spin_lock(tce_hw_lock(link->tbl));
	RCU_INIT_POINTER(table->fast_link, NULL);
	spin_unlock(tce_hw_lock(link->tbl));
}

static void tce_links_end(struct kvmppc_tce_table *table)
	__releases(&table->lock)
{
	unsigned long subpages = 0, pieces = 0, nr = 0, all;
	/* An LPAR is not told whether an entry was cleared, so there could be no undo. */
	bool can = true, lpar = firmware_has_feature(FW_FEATURE_LPAR), fast = !lpar;
	struct tce_link *link;

	list_for_each_entry(link, &table->links, node) {
		all = 1UL << min(link->shift, 31U);
		subpages += all;
		pieces += DIV_ROUND_UP(all, TCE_CHUNK);
		nr++;
		if (all > TCE_MAX_SUBPAGES || nr > TCE_MAX_LINKS)
			can = false;
		if (link->shift)
			fast = false;
	}
	subpages = max(subpages, 1UL);
	table->chunk = can ? TCE_CHUNK / subpages : 0;
	/* Each of the hardware's entries is two calls of the hypervisor, preemption off. */
	if (lpar)
		table->chunk = min(table->chunk, max(TCE_CHUNK_LPAR / subpages, 1UL));
	WRITE_ONCE(table->pieces, can ? pieces : 0);
	link = list_first_entry_or_null(&table->links, struct tce_link, node);
	if (link && can && fast) {
		/* Seen under this lock, it comes with the attachments as they are now. */
		spin_lock(tce_hw_lock(link->tbl));
		rcu_assign_pointer(table->fast_link, link);
		spin_unlock(tce_hw_lock(link->tbl));
	}
	spin_unlock(&table->lock);
}

/* Hypercalls take the locks of a table's hardware tables in the order of this list. */
static void tce_link_publish(struct tce_link *link)
{
	struct kvmppc_tce_table *table = link->table;
	struct tce_link *other;

	lockdep_assert_held(&tce_mutex);
	lockdep_assert_held(&table->lock);

	list_for_each_entry(other, &table->links, node)
		if (other->tbl > link->tbl)
			break;
	list_add_tail(&link->node, &other->node);
	hash_add(tce_links, &link->tbl_node, (unsigned long)link->tbl);
}

/* Links that have left their tables, together: one wait is enough for all of them. */
static void tce_links_free(struct list_head *links)
{
	struct tce_link *link, *next;

	if (list_empty(links))
		return;
	/* A hypercall may have found one by kvmppc_tce_table.fast_link. */
	synchronize_rcu_expedited();
	list_for_each_entry_safe(link, next, links, node) {
		iommu_tce_table_put(link->tbl);
		kfree(link);
		cond_resched();
	}
}

/*
 * Attachments
 */
static void tce_attachment_trace(struct tce_attachment *attachment, bool attached)
{
	struct kvmppc_tce_table *table = attachment->link->table;
	struct iommu_table *tbl = attachment->link->tbl;
	u64 start = (u64)tbl->it_offset << tbl->it_page_shift;
	u64 size = (u64)tbl->it_size << tbl->it_page_shift;
	int group = attachment->holder->user->group;
	pid_t pid = table->kvm->userspace_pid;

	if (attached)
		trace_kvm_vfio_attach(pid, table->liobn, group, start, size);
	else
		trace_kvm_vfio_detach(pid, table->liobn, group, start, size);
}

/* Not in force yet: what is in @made is published or dropped under the same tce_mutex. */
static int tce_attachment_make(struct tce_link *link,
			       struct kvm_spapr_tce_holder *holder,
			       struct list_head *made)
{
	struct tce_attachment *attachment;

	lockdep_assert_held(&tce_mutex);

	attachment = kzalloc_obj(*attachment, GFP_KERNEL_ACCOUNT);
	if (!attachment)
		return -ENOMEM;
	attachment->holder = holder;
	attachment->link = link;
	list_add(&attachment->node, made);
	list_add(&attachment->holder_node, &holder->attachments);
	return 0;
}

static void tce_attachments_drop(struct list_head *made)
{
	struct tce_attachment *attachment, *next;

	lockdep_assert_held(&tce_mutex);

	list_for_each_entry_safe(attachment, next, made, node) {
		list_del(&attachment->holder_node);
		kfree(attachment);
		cond_resched();
	}
}

/* A link is published with its first attachment. */
static void tce_attachments_publish(struct list_head *made)
{
	struct tce_attachment *attachment, *next;
	struct tce_link *link;

	lockdep_assert_held(&tce_mutex);

	list_for_each_entry_safe(attachment, next, made, node) {
		link = attachment->link;
		tce_links_begin(link->table);
		list_move(&attachment->node, &link->attachments);
		if (list_is_singular(&link->attachments))
			tce_link_publish(link);
		tce_links_end(link->table);
		tce_attachment_trace(attachment, true);
		cond_resched();
	}
}

/* A link goes with its last attachment, to @unused. */
static void tce_attachment_remove(struct tce_attachment *attachment,
				  struct list_head *unused)
{
	struct kvmppc_tce_table *table = attachment->link->table;
	struct tce_link *link = attachment->link;

	lockdep_assert_held(&tce_mutex);

	tce_attachment_trace(attachment, false);
	list_del(&attachment->holder_node);
	tce_links_begin(table);
	list_del(&attachment->node);
	if (list_empty(&link->attachments)) {
		list_move(&link->node, unused);
		hash_del(&link->tbl_node);
	}
	tce_links_end(table);
	kfree(attachment);
}

static void tce_link_remove(struct tce_link *link, struct list_head *unused)
{
	struct tce_attachment *attachment, *next;

	list_for_each_entry_safe(attachment, next, &link->attachments, node) {
		tce_attachment_remove(attachment, unused);
		cond_resched();
	}
}

static void tce_holder_detach(struct kvm_spapr_tce_holder *holder,
			      struct list_head *unused)
{
	struct tce_attachment *attachment, *next;

	lockdep_assert_held(&tce_mutex);

	list_for_each_entry_safe(attachment, next, &holder->attachments,
				 holder_node) {
		tce_attachment_remove(attachment, unused);
		cond_resched();
	}
}

static bool tce_is_attached(const struct tce_link *link,
			    const struct kvm_spapr_tce_holder *holder)
{
	const struct tce_attachment *attachment;

	lockdep_assert_held(&tce_mutex);

	/* These are groups; of the holder's there are as many as user space makes tables. */
	list_for_each_entry(attachment, &link->attachments, node)
		if (attachment->holder == holder)
			return true;
	return false;
}

/* Has the holder, of the same VM, the hardware table of the link, and is that open? */
static bool tce_is_for(const struct tce_link *link,
		       const struct kvm_spapr_tce_holder *holder)
{
	if (holder->kvm != link->table->kvm)
		return false;
	guard(rcu)();
	return vfio_external_alive(holder->user) &&
	       tce_hw_is_open(link->tbl) && tce_holder_has(holder, link->tbl);
}

/* The group is there without the hardware table, or that is closed: a window was removed. */
static bool tce_attachment_stale(const struct tce_attachment *attachment)
{
	struct iommu_table *tbl = attachment->link->tbl;

	guard(rcu)();
	return vfio_external_alive(attachment->holder->user) &&
	       (!tce_hw_is_open(tbl) || !tce_holder_has(attachment->holder, tbl));
}

/*
 * @link replaces what its groups have on its table by windows that are gone.  It stays
 * itself, even if its own window is gone meanwhile: user space gets the hypercalls.
 */
static void tce_remove_stale(const struct tce_link *link, struct list_head *unused)
{
	struct tce_attachment *attachment, *next;
	struct tce_link *other, *next_link;

	lockdep_assert_held(&tce_mutex);

	list_for_each_entry_safe(other, next_link, &link->table->links, node) {
		if (other == link)
			continue;
		/* With its last attachment @other moves to @unused, and is not freed yet. */
		list_for_each_entry_safe(attachment, next, &other->attachments, node)
			if (tce_attachment_stale(attachment) &&
			    tce_is_attached(link, attachment->holder))
				tce_attachment_remove(attachment, unused);
	}
}

static bool tce_window_fits(struct kvmppc_tce_table *table,
			    struct iommu_table *tbl)
{
	/* The host's own tables have no view, and nobody opens them. */
	return tce_hw_is_open(tbl) && tbl->it_ops->xchg_no_kill && tbl->it_ops->useraddrptr &&
	       tbl->it_userspace && tbl->it_page_shift <= table->page_shift &&
	       tbl->it_offset << tbl->it_page_shift ==
			table->offset << table->page_shift &&
	       tbl->it_size << tbl->it_page_shift >=
			table->size << table->page_shift;
}

/*
 * The window of the group that fits, pinned.  The container takes one out of the slots and
 * waits for RCU before it lets go; but when its last group leaves it waits for nobody, as the
 * caller holds the lock of the group, which is not dead.
 */
static struct iommu_table *tce_window_get(struct kvmppc_tce_table *table,
					  struct iommu_table_group *group)
{
	struct iommu_table *tbl;
	int i;

	guard(rcu)();
	for (i = 0; i < IOMMU_TABLE_GROUP_MAX_TABLES; i++) {
		tbl = READ_ONCE(group->tables[i]);
		if (tbl && tce_window_fits(table, tbl))
			return iommu_tce_table_get(tbl);
	}
	return NULL;
}

/* Any number can be attached, so each is a section of its own. */
static long tce_attachment_now(const struct tce_attachment *attachment)
{
	guard(rcu)();
	return tce_attachment_left(attachment);
}

/* What is gone does not count: with it there, hypercalls change nothing. */
static bool tce_links_have_room(struct kvmppc_tce_table *table)
{
	struct tce_attachment *attachment;
	unsigned int nr = 0;
	struct tce_link *link;

	lockdep_assert_held(&tce_mutex);

	list_for_each_entry(link, &table->links, node) {
		list_for_each_entry(attachment, &link->attachments, node) {
			if (tce_attachment_now(attachment) != TCE_LEFT_GONE) {
				nr++;
				break;
			}
		}
	}
	return nr < TCE_MAX_LINKS;
}

/* What is attached for one holder is attached for all that have the hardware table. */
static int tce_attach_all(struct tce_link *link,
			  struct kvm_spapr_tce_holder *holder)
{
	unsigned long key = (unsigned long)link->table->kvm;
	struct kvm_spapr_tce_holder *other;
	LIST_HEAD(made);
	int ret = 0;

	lockdep_assert_held(&tce_mutex);

	hash_for_each_possible(tce_holders, other, node, key) {
		if (other != holder && !tce_is_for(link, other))
			continue;
		if (!tce_is_attached(link, other))
			ret = tce_attachment_make(link, other, &made);
		if (ret)
			break;
	}
	if (ret)
		tce_attachments_drop(&made);
	else
		tce_attachments_publish(&made);
	return ret;
}

static int tce_attach_window(struct kvmppc_tce_table *table,
			     struct iommu_table *tbl,
			     struct kvm_spapr_tce_holder *holder,
			     struct list_head *unused)
{
	struct tce_link *link = tce_link_find(table, tbl);
	bool is_new = !link;
	int ret;

	lockdep_assert_held(&tce_mutex);

	if (is_new && !tce_links_have_room(table))
		return -ENOSPC;
	if (is_new)
		link = tce_link_create(table, tbl);
	if (!link)
		return -ENOMEM;
	WRITE_ONCE(link->preregistered, holder->user->preregistered);
	ret = tce_attach_all(link, holder);
	if (!ret)
		tce_remove_stale(link, unused);
	else if (is_new)
		list_add(&link->node, unused);
	return ret;
}

/**
 * kvm_spapr_tce_join - Let a group have its share of what reaches its hardware
 * @group: the group; the caller keeps it protected for the call
 * @holder: the group's holder, alive and new
 *
 * Where a table of the VM reaches a hardware table of @group, attached for another
 * group of the container, it is attached for @group as well.
 *
 * Context: Process context, may sleep.  Takes tce_mutex.
 * Return: 0, also if @group has no hardware TCE tables; -ENOMEM, with nothing changed.
 */
int kvm_spapr_tce_join(struct iommu_group *group,
		       struct kvm_spapr_tce_holder *holder)
{
	struct iommu_table *tbl;
	struct tce_link *link;
	LIST_HEAD(made);
	int i, ret;

	holder->group = iommu_group_get_iommudata(group);
	if (!holder->group)
		return 0;

	guard(mutex)(&tce_mutex);

	for (i = 0; i < IOMMU_TABLE_GROUP_MAX_TABLES; i++) {
		tbl = READ_ONCE(holder->group->tables[i]);
		hash_for_each_possible(tce_links, link, tbl_node, (unsigned long)tbl) {
			cond_resched();
			if (link->tbl != tbl || !tce_is_for(link, holder))
				continue;
			ret = tce_attachment_make(link, holder, &made);
			if (ret) {
				tce_attachments_drop(&made);
				return ret;
			}
		}
	}
	tce_attachments_publish(&made);
	hash_add(tce_holders, &holder->node, (unsigned long)holder->kvm);
	return 0;
}

static const struct file_operations tce_table_fops;

/**
 * kvm_spapr_tce_attach - Let a table of a VM reach the hardware of a group
 * @file: what the user says is a table of the holder's VM
 * @holder: the group's holder, alive; the caller keeps the group protected for the call
 *
 * Finds the hardware table of the group with the bus addresses of the table.  The same
 * pair again changes nothing, unless the hardware table was removed meanwhile:
 * then the one that is there now takes its place.  All that is for all groups that the
 * VM holds and that have the hardware table.
 *
 * Context: Process context, may sleep.  Takes tce_mutex.
 * Return: 0; -EINVAL if @file is no table of the VM, or if the group has no hardware
 * TCE tables (emulated IOMMU); -EPERM if its container belongs to another mm; -EINVAL
 * if it has no hardware table whose offset is the same, whose page size is not larger
 * and whose window is not smaller; -ENOSPC if too many hardware tables are behind the
 * table; -ENOMEM.
 */
int kvm_spapr_tce_attach(struct file *file, struct kvm_spapr_tce_holder *holder)
{
	struct kvmppc_tce_table *table = file->private_data;
	struct iommu_table *tbl;
	LIST_HEAD(unused);
	int ret;

	if (file->f_op != &tce_table_fops || table->kvm != holder->kvm ||
	    !holder->group)
		return -EINVAL;
	if (holder->user->preregistered < 0)
		return holder->user->preregistered;

	scoped_guard(mutex, &tce_mutex) {
		tbl = tce_window_get(table, holder->group);
		if (!tbl)
			return -EINVAL;
		ret = tce_attach_window(table, tbl, holder, &unused);
	}
	iommu_tce_table_put(tbl);
	tce_links_free(&unused);
	return ret;
}

/**
 * kvm_spapr_tce_detach - Undo all that was attached for a group
 * @holder: the group's holder, alive or dead
 *
 * Entries stay in the hardware tables, for the container to clear.  On return no
 * hypercall uses @holder.
 *
 * Context: Process context, may sleep.  Takes tce_mutex.  Cannot fail.
 */
void kvm_spapr_tce_detach(struct kvm_spapr_tce_holder *holder)
{
	LIST_HEAD(unused);

	scoped_guard(mutex, &tce_mutex) {
		hash_del(&holder->node);
		tce_holder_detach(holder, &unused);
	}
	tce_links_free(&unused);
}

/*
 * Tables
 */
static vm_fault_t tce_table_fault(struct vm_fault *vmf)
{
	struct kvmppc_tce_table *table = vmf->vma->vm_file->private_data;
	struct page *page;

	if (vmf->pgoff >= tce_table_pages(table->size))
		return VM_FAULT_SIGBUS;
	page = tce_table_page(table, vmf->pgoff);
	if (!page)
		return VM_FAULT_OOM;
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct tce_table_vm_ops = {
	.fault = tce_table_fault,
};

static int tce_table_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &tce_table_vm_ops;
	return 0;
}

static void tce_table_free(struct kvmppc_tce_table *table)
{
	unsigned long i, pages = tce_table_pages(table->size);

	for (i = 0; i < pages; i++) {
		if (table->pages[i])
			__free_page(table->pages[i]);
		cond_resched();
	}
	kvfree(table);
}

/* The last fd of the table is closed, and no mapping of it is left. */
static int tce_table_release(struct inode *inode, struct file *file)
{
	struct kvmppc_tce_table *table = file->private_data;
	struct tce_link *link, *next;
	struct kvm *kvm = table->kvm;
	LIST_HEAD(unused);

	/* One that could not be published was never in the list, and nobody saw it. */
	if (!list_empty(&table->node)) {
		scoped_guard(mutex, &tce_mutex)
			list_del_rcu(&table->node);
		/*
		 * Hypercalls that found the table, or passed by, are over then: none has
		 * half of a request done when the hardware tables go.  Single entries and
		 * H_GET_TCE are within RCU only.
		 */
		synchronize_srcu_expedited(&kvm->srcu);
		synchronize_rcu_expedited();
	}

	scoped_guard(mutex, &tce_mutex)
		list_for_each_entry_safe(link, next, &table->links, node)
			tce_link_remove(link, &unused);
	tce_links_free(&unused);

	account_locked_vm(kvm->mm, tce_table_locked(table->size), false);
	tce_table_free(table);
	kvm_put_kvm(kvm);
	return 0;
}

static const char *tce_state(long left)
{
	switch (left) {
	case 0:
		return "live";
	case TCE_LEFT_CONTAINER:
		return "container";
	default:
		return "gone";
	}
}

static void tce_show_links(struct seq_file *m, struct kvmppc_tce_table *table)
{
	struct tce_attachment *attachment;
	unsigned int nr = 0;
	struct tce_link *link;

	lockdep_assert_held(&tce_mutex);

	list_for_each_entry(link, &table->links, node) {
		nr++;
		list_for_each_entry(attachment, &link->attachments, node)
			seq_printf(m, "group:\t%d %s\n", attachment->holder->user->group,
				   tce_state(tce_attachment_now(attachment)));
	}
	seq_printf(m, "hardware:\t%u\n", nr);
}

static void tce_show_outcomes(struct seq_file *m, struct kvmppc_tce_table *table)
{
	static const struct trace_print_flags names[] = { TCE_LEFT_NAMES };
	u64 counts[TCE_NR_OUTCOMES], left = 0;
	unsigned int i;

	for (i = 0; i < TCE_NR_OUTCOMES; i++)
		counts[i] = atomic64_read(&table->outcomes[i]);
	counts[TCE_DONE] += READ_ONCE(table->fast);
	for (i = TCE_REFUSED + 1; i < TCE_NR_OUTCOMES; i++)
		left += counts[i];
	seq_printf(m, "done:\t%llu\n", counts[TCE_DONE]);
	seq_printf(m, "refused:\t%llu\n", counts[TCE_REFUSED]);
	seq_printf(m, "left:\t%llu\n", left);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].mask != TCE_LEFT_TABLE)
			seq_printf(m, "left-%s:\t%llu\n", names[i].name,
				   counts[names[i].mask]);
}

/* See Documentation/ABI/testing/procfs-kvm-vfio. */
static void tce_table_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct kvmppc_tce_table *table = file->private_data;

	seq_puts(m, "kvm-spapr-tce:\t1\n");
	seq_printf(m, "vm:\t%p\n", table->kvm);
	seq_printf(m, "vm-pid:\t%d\n", table->kvm->userspace_pid);
	seq_printf(m, "liobn:\t0x%llx\n", table->liobn);
	seq_printf(m, "window:\t0x%llx 0x%llx\n",
		   table->offset << table->page_shift,
		   table->size << table->page_shift);
	seq_printf(m, "page-size:\t%llu\n", 1ULL << table->page_shift);
	if (mutex_lock_killable(&tce_mutex))
		return;
	tce_show_links(m, table);
	mutex_unlock(&tce_mutex);
	tce_show_outcomes(m, table);
}

static const struct file_operations tce_table_fops = {
	.owner = THIS_MODULE,
	.mmap = tce_table_mmap,
	.release = tce_table_release,
	.show_fdinfo = tce_table_show_fdinfo,
};

static struct kvmppc_tce_table *
tce_table_create(struct kvm *kvm, const struct kvm_create_spapr_tce_64 *args)
{
	unsigned long pages = tce_table_pages(args->size);
	struct kvmppc_tce_table *table;

	table = kvzalloc_flex(*table, pages, pages,
			      GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!table)
		return NULL;
	table->kvm = kvm;
	table->liobn = args->liobn;
	table->page_shift = args->page_shift;
	table->offset = args->offset;
	table->size = args->size;
	table->chunk = TCE_CHUNK;
	/* It may be let go without having been in the list of the VM. */
	INIT_LIST_HEAD(&table->node);
	mutex_init(&table->large);
	spin_lock_init(&table->lock);
	INIT_LIST_HEAD(&table->links);
	return table;
}

/* The table goes with the file from now on. */
static struct file *tce_table_file(struct kvmppc_tce_table *table)
{
	struct file *file = anon_inode_getfile("kvm-spapr-tce", &tce_table_fops,
					       table, O_RDWR);

	if (!IS_ERR(file))
		kvm_get_kvm(table->kvm);
	return file;
}

/* Nothing is allocated with tce_mutex here, and nothing fails after it. */
static int tce_table_publish(struct kvmppc_tce_table *table, struct file *file)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd < 0)
		goto put_file;
	mutex_lock(&tce_mutex);
	if (kvmppc_tce_find(table->kvm, table->liobn))
		goto put_fd;
	list_add_rcu(&table->node, &table->kvm->arch.spapr_tce_tables);
	mutex_unlock(&tce_mutex);
	fd_install(fd, file);
	return fd;

put_fd:
	mutex_unlock(&tce_mutex);
	put_unused_fd(fd);
	fd = -EBUSY;
put_file:
	fput(file);
	return fd;
}

/**
 * kvm_vm_ioctl_create_spapr_tce - KVM_CREATE_SPAPR_TCE and KVM_CREATE_SPAPR_TCE_64
 * @kvm: the VM
 * @args: uapi/asm/kvm.h; offset and size count IOMMU pages
 *
 * What the table may take once it is full counts as locked memory of the VM's mm.
 *
 * Context: Process context, may sleep.  Takes tce_mutex.
 * Return: A new fd of the table, or
 * -EINVAL if the size is 0, if page_shift is not from 12 to 34, or if the window
 * does not end within 64 bits of bus address;
 * -ENOMEM if there is no memory, or RLIMIT_MEMLOCK does not allow it;
 * -EBUSY if the VM has a table of this LIOBN;
 * -EMFILE or -ENFILE if there is no fd.
 */
int kvm_vm_ioctl_create_spapr_tce(struct kvm *kvm,
				  struct kvm_create_spapr_tce_64 *args)
{
	struct kvmppc_tce_table *table;
	struct file *file;
	u64 end;
	int ret;

	if (args->page_shift < 12 || args->page_shift > 34)
		return -EINVAL;
	end = U64_MAX >> args->page_shift;
	if (!args->size || args->offset > end || args->size > end - args->offset)
		return -EINVAL;

	ret = account_locked_vm(kvm->mm, tce_table_locked(args->size), true);
	if (ret)
		return ret;
	table = tce_table_create(kvm, args);
	file = table ? tce_table_file(table) : ERR_PTR(-ENOMEM);
	if (IS_ERR(file)) {
		kvfree(table);
		account_locked_vm(kvm->mm, tce_table_locked(args->size), false);
		return PTR_ERR(file);
	}
	return tce_table_publish(table, file);
}

/**
 * kvmppc_tce_answer - Count a hypercall that came to anything but H_SUCCESS
 * @kvm: the VM
 * @table: the table, NULL if it is not here
 * @liobn: the guest's name for it
 * @ioba: bus address of the first entry, in bytes
 * @npages: number of entries
 * @outcome: H_PARAMETER, or why it is left to user space: TCE_LEFT_TABLE and so on
 *
 * Tracers get to know, too, if it is left to user space.
 *
 * Context: The section in which the table was looked for.
 * Return: What the guest gets: H_PARAMETER; or H_TOO_HARD.
 */
long kvmppc_tce_answer(struct kvm *kvm, struct kvmppc_tce_table *table, u64 liobn,
		       u64 ioba, u64 npages, long outcome)
{
	if (outcome == H_PARAMETER) {
		atomic64_inc(&table->outcomes[TCE_REFUSED]);
		return outcome;
	}
	trace_kvm_vfio_tce_fallback(kvm->userspace_pid, liobn, ioba, npages, outcome);
	if (table)
		atomic64_inc(&table->outcomes[outcome]);
	return H_TOO_HARD;
}
