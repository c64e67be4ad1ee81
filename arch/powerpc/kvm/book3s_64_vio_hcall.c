// SPDX-License-Identifier: GPL-2.0-only
/*
 * H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, H_GET_TCE: LoPAPR, "TCE hypervisor
 * calls".  What they work on is in book3s_64_vio.c; whatever is not a plain single entry
 * is changed by book3s_64_vio_change.c.
 *
 * Copyright (C) 2026 the authors of kvm-vfio
 *
 * Everything here is input of a guest.  There are two ways through this file:
 *
 *	tce_fast()	a single entry, if the pages of all hardware tables are as large
 *			as the guest's, and the host is no LPAR.  It does all of the request,
 *			or nothing.  If nothing, whatever the reason, the request goes the
 *			other way from its beginning.
 *
 *	tce_find_range(), tce_translate(), kvmppc_tce_change()
 *			any request.  The whole range and all arguments are checked before
 *			anything changes.  The list of H_PUT_TCE_INDIRECT is read once,
 *			with no lock held, as reading guest memory may sleep for as long
 *			as user space likes.  Each entry is translated to an address of
 *			user space: a whole IOMMU page, in one memory slot.  Then a chunk
 *			of entries at a time changes, or a piece of a large one.
 *
 * In both, the hardware TLB is killed before the count that keeps a replaced page is
 * dropped, and before the hypercall returns.
 *
 * What is no error of the guest but cannot be done here is H_TOO_HARD: user space
 * gets the same request.  Within these files it is one of TCE_LEFT_*, which says why.
 * Each entry is then old or new as a whole: in all the hardware tables, their
 * userspace views, the counts of the memory regions, and in the table that the guest
 * reads back.  (Of an entry so large that it changes in pieces this is true only if no
 * group and no hardware table comes or goes at that time; and where a hypervisor refuses
 * to undo an entry, that one stays new in its hardware table, its view and its count.)
 */
#include <linux/cleanup.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>

#include <asm/barrier.h>
#include <asm/hvcall.h>
#include <asm/iommu.h>
#include <asm/kvm_ppc.h>
#include <asm/mmu_context.h>

#include "spapr_tce.h"

/*
 * Finds the table and checks the whole range: TCE_LEFT_TABLE if there is no table,
 * H_PARAMETER if the range is not one of its entries.
 */
static __always_inline long tce_find_range(struct tce_request *request,
					   u64 liobn, u64 ioba)
{
	struct kvmppc_tce_table *table = kvmppc_tce_find(request->kvm, liobn);
	u64 entry;

	request->table = table;
	if (!table)
		return TCE_LEFT_TABLE;
	entry = ioba >> table->page_shift;
	if (ioba & ((1ULL << table->page_shift) - 1) || entry < table->offset)
		return H_PARAMETER;
	entry -= table->offset;
	if (entry >= table->size || request->npages > table->size - entry)
		return H_PARAMETER;
	/* Nothing is read by it before it is known to be in the table. */
	barrier_nospec();
	request->first = entry;
	return H_SUCCESS;
}

/*
 * Translation
 */

/* True, with *@found filled in, if all of the entry's page is in a slot that allows it. */
static bool tce_slot_find(struct tce_slot *found, struct kvm *kvm, u64 tce, u64 size)
{
	struct kvm_memslots *slots = kvm_memslots(kvm);
	u64 gpa = tce & ~TCE_PERMISSIONS;
	u64 end = (gpa + size - 1) >> PAGE_SHIFT;
	const struct kvm_memory_slot *slot;

	slot = __gfn_to_memslot(slots, gpa >> PAGE_SHIFT);
	if (!slot || slot->flags & KVM_MEMSLOT_INVALID)
		return false;
	if (tce & TCE_PCI_WRITE && slot->flags & KVM_MEM_READONLY)
		return false;
	if (gpa + size <= gpa || end >= slot->base_gfn + slot->npages)
		return false;
	/* In user space, 0 stands for none. */
	if (!slot->userspace_addr)
		return false;
	*found = (struct tce_slot){
		.generation = READ_ONCE(slots->generation),
		.gpa = slot->base_gfn << PAGE_SHIFT,
		.bytes = slot->npages << PAGE_SHIFT,
		.ua = slot->userspace_addr,
		.denied = slot->flags & KVM_MEM_READONLY ? TCE_PCI_WRITE : 0,
	};
	return true;
}

static __always_inline long tce_translate(struct tce_request *request, u64 *tces,
					  unsigned long *uas, bool big_endian)
{
	u64 size = 1ULL << request->table->page_shift, i, tce;
	struct tce_slot slot = { .bytes = 0 };
	unsigned long npages = request->npages;

	for (i = 0; i < npages; i++) {
		tce = big_endian ? tce_load((__force __be64 *)&tces[i]) : tces[i];
		tces[i] = tce;
		uas[i] = 0;
		if (!(tce & TCE_PERMISSIONS))
			continue;
		if (tce & (size - 1) & ~TCE_PERMISSIONS)
			return TCE_LEFT_ADDRESS;
		if ((!slot.bytes || !tce_slot_has(&slot, tce, size)) &&
		    !tce_slot_find(&slot, request->kvm, tce, size))
			return TCE_LEFT_ADDRESS;
		uas[i] = tce - slot.gpa + slot.ua;
	}
	/* No address is used before it is known that it is in its slot. */
	barrier_nospec();
	request->tces = tces;
	if (slot.bytes)
		request->uas = uas;
	request->slot = slot;
	return H_SUCCESS;
}

/* In the section in which the table was looked for; @outcome: H_PARAMETER or TCE_* */
static long tce_answer(const struct tce_request *request, u64 liobn, u64 ioba,
		       long outcome)
{
	if (outcome)
		return kvmppc_tce_answer(request->kvm, request->table, liobn, ioba,
					 request->npages, outcome);
	atomic64_inc(&request->table->outcomes[TCE_DONE]);
	return H_SUCCESS;
}

/*
 * The fast path
 */

/*
 * The address of user space and the permissions that @tce maps, by the slot that was
 * used last; 0 if that does not do.  The slot is there for as long as the VM's slots are
 * of its generation.  Where one goes, KVM waits for RCU before user space may use for
 * something else what was behind it: kvm_arch_flush_shadow_memslot().
 */
static unsigned long tce_fast_translate(const struct tce_request *request,
					u64 tce)
{
	const struct tce_slot *slot = &request->table->slot;
	u64 size = 1ULL << request->table->page_shift;
	const struct kvm_memslots *slots;

	/* Both sets of slots are part of struct kvm; only the generation is read. */
	slots = rcu_dereference_raw(request->kvm->memslots[0]);
	if (slot->generation != READ_ONCE(slots->generation) || !slot->bytes ||
	    tce & (size - 1) & ~TCE_PERMISSIONS || !tce_slot_has(slot, tce, size))
		return 0;
	barrier_nospec();
	return tce - slot->gpa + slot->ua;
}

static __always_inline void tce_fast_unmap(struct iommu_table *tbl, unsigned long entry,
					   struct mm_struct *mm)
{
	unsigned long was, run;
	__be64 *view = tce_view(tbl, entry, 1, false, &run);

	lockdep_assert_held(tce_hw_lock(tbl));

	was = view ? tce_load(view) : 0;
	if (!was)
		return;
	/* Kills what the hardware has cached, too */
	tbl->it_ops->clear(tbl, entry, 1);
	*view = 0;
	tce_unmapped(mm_iommu_lookup(mm, was, 1UL << tbl->it_page_shift), was,
		     tbl->it_page_shift);
}

/*
 * Refuses to replace an entry, but in the last link: if a link behind this one fails, this is
 * undone by unmapping, which would lose what was mapped before; the last link has none behind
 * it.  Until it is undone, the device may see the new page.
 */
static __always_inline bool tce_fast_map(const struct tce_request *request,
					 const struct tce_link *link, unsigned long entry,
					 struct mm_iommu_table_group_mem_t *mem,
					 unsigned long new, unsigned long hpa)
{
	enum dma_data_direction direction = tce_direction(new);
	struct iommu_table *tbl = link->tbl;
	unsigned long run;
	__be64 *view = tce_view(tbl, entry, 1, true, &run);

	lockdep_assert_held(tce_hw_lock(tbl));

	if (!view || (*view && !list_is_last(&link->node, &request->table->links)) ||
	    mm_iommu_mapped_inc(mem))
		return false;
	if (tbl->it_ops->xchg_no_kill(tbl, entry, &hpa, &direction)) {
		mm_iommu_mapped_dec(mem);
		return false;
	}
	iommu_tce_kill(tbl, entry, 1);
	if (*view) {
		tce_exchanged(hpa | direction);
		tce_let_go(mm_iommu_lookup(request->kvm->mm, tce_load(view),
					   1UL << tbl->it_page_shift));
	}
	*view = cpu_to_be64(new & ~TCE_PERMISSIONS);
	return true;
}

/* In all hardware tables, or in none of them */
static __always_inline bool tce_fast_change(const struct tce_request *request, u64 tce)
{
	struct kvmppc_tce_table *table = request->table;
	unsigned long entry = table->offset + request->first, new, hpa;
	struct mm_struct *mm = request->kvm->mm;
	struct mm_iommu_table_group_mem_t *mem;
	struct tce_link *link;

	if (!(tce & TCE_PERMISSIONS)) {
		list_for_each_entry(link, &table->links, node)
			tce_fast_unmap(link->tbl, entry, mm);
		return true;
	}
	new = tce_fast_translate(request, tce);
	if (!new)
		return false;
	mem = mm_iommu_lookup(mm, new & ~TCE_PERMISSIONS, 1UL << table->page_shift);
	if (!tce_region_has(mem, new & ~TCE_PERMISSIONS, table->page_shift, &hpa))
		return false;
	list_for_each_entry(link, &table->links, node)
		if (!tce_fast_map(request, link, entry, mem, new, hpa))
			break;
	if (list_entry_is_head(link, &table->links, node))
		return true;
	list_for_each_entry_continue_reverse(link, &table->links, node)
		tce_fast_unmap(link->tbl, entry, mm);
	return false;
}

/*
 * One entry of a table whose pages are as large as those of the hardware tables behind it,
 * whose locks do for all.  True if all of it is done; false if nothing is, whatever the
 * reason.
 */
static __always_inline bool tce_fast(struct kvm *kvm, u64 liobn, u64 ioba, u64 tce)
{
	struct tce_request request = { .kvm = kvm, .npages = 1 };
	struct kvmppc_tce_table *table;
	struct tce_link *link;
	struct page *page;
	bool done = false;

	guard(rcu)();
	if (tce_find_range(&request, liobn, ioba))
		return false;
	table = request.table;
	link = rcu_dereference(table->fast_link);
	page = READ_ONCE(table->pages[request.first / TCES_PER_PAGE]);
	if (!link || !page)
		return false;

	spin_lock(tce_hw_lock(link->tbl));
	if (likely(rcu_access_pointer(table->fast_link) == link)) {
		tce_lock_hardware(table, link);
		done = !tce_table_left(table) && tce_fast_change(&request, tce);
		if (done) {
			WRITE_ONCE(((u64 *)page_address(page))[request.first % TCES_PER_PAGE], tce);
			WRITE_ONCE(table->fast, table->fast + 1);
		}
		tce_unlock_hardware(table, link);
	}
	spin_unlock(tce_hw_lock(link->tbl));
	return done;
}

static long tce_put_slow(struct kvm *kvm, u64 liobn, u64 ioba, u64 tce)
{
	struct tce_request request = { .kvm = kvm, .npages = 1 };
	unsigned long ua;
	long ret;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	ret = tce_find_range(&request, liobn, ioba) ?:
	      tce_translate(&request, &tce, &ua, false) ?:
	      kvmppc_tce_change(&request);
	ret = tce_answer(&request, liobn, ioba, ret);
	srcu_read_unlock(&kvm->srcu, idx);
	return ret;
}

static long tce_stuff(struct kvm *kvm, u64 liobn, u64 ioba, u64 value, u64 npages)
{
	struct tce_request request = { .kvm = kvm, .npages = npages, .value = value };
	long ret;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	ret = tce_find_range(&request, liobn, ioba);
	if (!ret && value & TCE_PERMISSIONS)
		ret = H_PARAMETER;
	if (!ret)
		ret = kvmppc_tce_change(&request);
	ret = tce_answer(&request, liobn, ioba, ret);
	srcu_read_unlock(&kvm->srcu, idx);
	return ret;
}

static long tce_put(struct kvm *kvm, u64 liobn, u64 ioba, u64 tce)
{
	if (tce_fast(kvm, liobn, ioba, tce))
		return H_SUCCESS;
	/* Unmapping needs no slot and no address. */
	if (!(tce & TCE_PERMISSIONS))
		return tce_stuff(kvm, liobn, ioba, tce, 1);
	return tce_put_slow(kvm, liobn, ioba, tce);
}

/**
 * kvmppc_h_put_tce - H_PUT_TCE
 * @vcpu: the virtual CPU
 * @liobn: which table
 * @ioba: bus address of the entry, in bytes
 * @tce: guest real address and permissions; without permissions, nothing is mapped
 *
 * LoPAPR, "H_PUT_TCE".
 *
 * Context: vCPU thread, may sleep.
 * Return: H_SUCCESS; H_PARAMETER if @ioba is not the address of an entry;
 * H_TOO_HARD if user space is to do it: there is no such table here, the page is
 * misaligned, is not in one memory slot that allows the access or is not in
 * preregistered memory, a group or a window behind the table is gone, memory is short,
 * or the page is too many of the hardware's pages.
 *
 * Up to 512 of the hardware's pages, in all hardware tables together, change at once.  More
 * of them, up to 4096 in each hardware table, change one after the other, so that some may
 * be new after H_TOO_HARD; but not in an LPAR, and not where something is mapped already.
 */
long kvmppc_h_put_tce(struct kvm_vcpu *vcpu, unsigned long liobn,
		      unsigned long ioba, unsigned long tce)
{
	return tce_put(vcpu->kvm, liobn, ioba, tce);
}
EXPORT_SYMBOL_GPL(kvmppc_h_put_tce);

/**
 * struct tce_list - a list of H_PUT_TCE_INDIRECT
 * @tces: the entries
 * @uas: what they map, as of struct tce_request
 */
struct tce_list {
	u64 tces[TCE_LIST_MAX];
	unsigned long uas[TCE_LIST_MAX];
};

/* Where the list is in user space, NULL if nowhere. */
static const void __user *tce_list_address(struct kvm *kvm, u64 gpa)
{
	struct kvm_memory_slot *slot;

	slot = __gfn_to_memslot(kvm_memslots(kvm), gpa >> PAGE_SHIFT);
	if (!slot || slot->flags & KVM_MEMSLOT_INVALID)
		return NULL;
	return (void __user *)(__gfn_to_hva_memslot(slot, gpa >> PAGE_SHIFT) +
			       offset_in_page(gpa));
}

/* Checks the request, and finds its list in user space. */
static long tce_list_find(struct tce_request *request, u64 liobn, u64 ioba, u64 gpa,
			  const void __user **address)
{
	long ret = tce_find_range(request, liobn, ioba);

	if (!ret && (request->npages > TCE_LIST_MAX || gpa & (SZ_4K - 1)))
		ret = H_PARAMETER;
	if (ret)
		return ret;
	*address = tce_list_address(request->kvm, gpa);
	return *address ? 0 : TCE_LEFT_LIST;
}

/* With no lock held, as user space may let the guest's page wait. */
static long tce_list_read(struct tce_list **list, const void __user *address, u64 npages)
{
	*list = kmalloc_obj(**list, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!*list)
		return TCE_LEFT_NOMEM;
	return copy_from_user((*list)->tces, address, npages * sizeof(u64)) ?
	       TCE_LEFT_LIST : 0;
}

/**
 * kvmppc_h_put_tce_indirect - H_PUT_TCE_INDIRECT
 * @vcpu: the virtual CPU
 * @liobn: which table
 * @ioba: bus address of the first entry, in bytes
 * @tce_list: guest real address of the list of big-endian entries
 * @npages: number of entries
 *
 * LoPAPR, "H_PUT_TCE_INDIRECT".  The list is read once, and its entries are
 * treated as by kvmppc_h_put_tce().
 *
 * Context: vCPU thread, may sleep.
 * Return: H_SUCCESS; H_PARAMETER if @npages is more than 512, if @tce_list is not
 * aligned to 4 KiB, or if the range is not one of entries; H_TOO_HARD as by
 * kvmppc_h_put_tce(), if the list cannot be read, or if a signal is pending after one
 * of more than 512 hardware pages.  After H_TOO_HARD, some of the entries may be new.
 */
long kvmppc_h_put_tce_indirect(struct kvm_vcpu *vcpu, unsigned long liobn,
			       unsigned long ioba, unsigned long tce_list,
			       unsigned long npages)
{
	struct tce_request request = { .kvm = vcpu->kvm, .npages = npages };
	struct srcu_struct *srcu = &vcpu->kvm->srcu;
	struct tce_list *list __free(kfree) = NULL;
	const void __user *address, *now;
	long ret;
	int idx;

	idx = srcu_read_lock(srcu);
	ret = tce_list_find(&request, liobn, ioba, tce_list, &address);
	if (!ret) {
		srcu_read_unlock(srcu, idx);
		ret = tce_list_read(&list, address, npages);
		idx = srcu_read_lock(srcu);
		/* Table and memory may be others now. */
		ret = tce_list_find(&request, liobn, ioba, tce_list, &now) ?: ret;
		if (!ret && now != address)
			ret = TCE_LEFT_LIST;
	}
	if (!ret)
		ret = tce_translate(&request, list->tces, list->uas, true) ?:
		      kvmppc_tce_change(&request);
	ret = tce_answer(&request, liobn, ioba, ret);
	srcu_read_unlock(srcu, idx);
	return ret;
}
EXPORT_SYMBOL_GPL(kvmppc_h_put_tce_indirect);

/**
 * kvmppc_h_stuff_tce - H_STUFF_TCE
 * @vcpu: the virtual CPU
 * @liobn: which table
 * @ioba: bus address of the first entry, in bytes
 * @tce_value: what all of them become: without permissions
 * @npages: number of entries
 *
 * LoPAPR, "H_STUFF_TCE".
 *
 * Context: vCPU thread, may sleep.
 * Return: H_SUCCESS; H_PARAMETER if the range is not one of entries, or if
 * @tce_value has permissions; H_TOO_HARD as by kvmppc_h_put_tce(), or if a signal is
 * pending in a long request.  After H_TOO_HARD, some of the entries may be new.
 */
long kvmppc_h_stuff_tce(struct kvm_vcpu *vcpu, unsigned long liobn,
			unsigned long ioba, unsigned long tce_value,
			unsigned long npages)
{
	if (npages == 1 && !(tce_value & TCE_PERMISSIONS))
		return tce_put(vcpu->kvm, liobn, ioba, tce_value);
	return tce_stuff(vcpu->kvm, liobn, ioba, tce_value, npages);
}
EXPORT_SYMBOL_GPL(kvmppc_h_stuff_tce);

/**
 * kvmppc_h_get_tce - H_GET_TCE
 * @vcpu: the virtual CPU; gets the entry in register 4
 * @liobn: which table
 * @ioba: bus address of the entry, in bytes
 *
 * LoPAPR, "H_GET_TCE".
 *
 * Context: vCPU thread.
 * Return: H_SUCCESS; H_PARAMETER if @ioba is not the address of an entry;
 * H_TOO_HARD if there is no such table here.
 */
long kvmppc_h_get_tce(struct kvm_vcpu *vcpu, unsigned long liobn,
		      unsigned long ioba)
{
	struct tce_request request = { .kvm = vcpu->kvm, .npages = 1 };
	struct page *page;
	const u64 *tces;
	long ret;

	/* Nothing sleeps here, so RCU does. */
	guard(rcu)();
	ret = tce_find_range(&request, liobn, ioba);
	if (ret)
		return tce_answer(&request, liobn, ioba, ret);
	page = READ_ONCE(request.table->pages[request.first / TCES_PER_PAGE]);
	tces = page ? page_address(page) : NULL;
	kvmppc_set_gpr(vcpu, 4,
		       tces ? READ_ONCE(tces[request.first % TCES_PER_PAGE]) : 0);
	return tce_answer(&request, liobn, ioba, TCE_DONE);
}
EXPORT_SYMBOL_GPL(kvmppc_h_get_tce);
