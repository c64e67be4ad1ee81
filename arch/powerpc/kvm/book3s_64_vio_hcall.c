// SPDX-License-Identifier: GPL-2.0-only
/*
 * H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, H_GET_TCE: LoPAPR, "TCE hypervisor
 * calls".  What they work on is in book3s_64_vio.c.
 *
 * Copyright (C) 2026 the authors of kvm-vfio
 *
 * Everything here is input of a guest.  There are two ways through this file:
 *
 *	tce_fast()	a single entry, if the pages of all hardware tables are as large
 *			as the guest's, the host is no LPAR, and nothing is unusual about
 *			it.  It has done all of the request, or nothing: then the request
 *			goes the other way from its beginning.
 *
 *	tce_find_range(), tce_translate(), tce_change()
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
 * gets the same request.  Within this file it is one of TCE_LEFT_*, which says why.
 * Each entry is then old or new as a whole: in all the hardware tables, their
 * userspace views, the counts of the memory regions, and in the table that the guest
 * reads back.  (Of an entry so large that it changes in pieces this is true only if no
 * group and no hardware table comes or goes at that time.)
 *
 * The userspace view of a hardware table has the user address of each mapped page.
 * An address there stands for one count of the page's preregistered region; 0 stands
 * for an entry that is not mapped, so empty runs are skipped.  Containers without
 * preregistration (SPAPR TCE v1) do not keep the view, so user space does everything
 * for them.
 */
#include <linux/cleanup.h>
/* not used: the CRCs of the exports tell which types are known here */
#include <linux/hugetlb.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <asm/barrier.h>
#include <asm/firmware.h>
#include <asm/hvcall.h>
#include <asm/iommu.h>
#include <asm/kvm_ppc.h>
#include <asm/mmu_context.h>
#include <asm/tce.h>

#include "spapr_tce.h"

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

/* Finds the table and checks the whole range. */
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

static __always_inline long tce_translate(struct tce_request *request, u64 *tces,
					  unsigned long *uas, bool big_endian)
{
	u64 size = 1ULL << request->table->page_shift, i, tce;
	struct tce_slot slot = { .bytes = 0 };
	unsigned long npages = request->npages;

	for (i = 0; i < npages; i++) {
		tce = big_endian ? be64_to_cpup((__force __be64 *)&tces[i]) : tces[i];
		/* or else it is swapped after it is loaded, by ten instructions */
		OPTIMIZER_HIDE_VAR(tce);
		tces[i] = tce;
		uas[i] = 0;
		if (!(tce & TCE_PERMISSIONS))
			continue;
		if (unlikely(tce & (size - 1) & ~TCE_PERMISSIONS))
			return TCE_LEFT_ADDRESS;
		if (unlikely(!slot.bytes || !tce_slot_has(&slot, tce, size)) &&
		    !kvmppc_tce_slot(&slot, request->kvm, tce, size))
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

/*
 * Hardware tables
 */

/**
 * struct tce_regions - regions that were looked up in an RCU section
 * @mm: of the VM
 * @slot: the one that has all of the memory slot that was mapped last, or NULL
 * @start: of that slot
 * @room: the last address at which any hardware page is all in it, counted from @start
 * @other: others, that were looked up last, or NULL
 */
struct tce_regions {
	struct mm_struct *mm;
	struct mm_iommu_table_group_mem_t *slot;
	unsigned long start;
	unsigned long room;
	struct mm_iommu_table_group_mem_t *other[2];
};

/**
 * struct tce_pass - what a pass over the entries of one hardware table needs
 * @tbl: the hardware table
 * @regions: for all passes of the section
 * @slot: as of @regions; here it may be in a register
 * @start: as @slot
 * @room: as @slot
 * @uas: of the request, from the chunk's first entry on, or NULL
 * @old: room for what comes back of the hardware entries of the chunk
 * @entry: first hardware entry of the chunk
 * @page_shift: log2 of the size of a hardware page
 * @shift: log2 of hardware pages in a page of the guest's table
 *
 * A function that loops over entries works on a copy, which the compiler keeps in registers.
 */
struct tce_pass {
	struct iommu_table *tbl;
	struct tce_regions *regions;
	struct mm_iommu_table_group_mem_t *slot;
	unsigned long start;
	unsigned long room;
	const unsigned long *uas;
	unsigned long *old;
	unsigned long entry;
	unsigned int page_shift;
	unsigned int shift;
};

/* Elements of tce_pass.old: an address, enum dma_data_direction, and beside them */
#define TCE_DIRECTION	3UL
#define TCE_COUNTED	4UL	/* the new page has a count of its own */
#define TCE_UNDONE	8UL	/* what was there before is back */
#define TCE_FLAGS	(TCE_COUNTED | TCE_UNDONE)

/* From permissions to enum dma_data_direction */
static const u8 tce_direction[] = {
	[0]					= DMA_NONE,
	[TCE_PCI_READ]				= DMA_TO_DEVICE,
	[TCE_PCI_WRITE]				= DMA_FROM_DEVICE,
	[TCE_PCI_READ | TCE_PCI_WRITE]		= DMA_BIDIRECTIONAL,
};

/* Most pages are in the slot that was used last; if not, it is only a guess. */
static __always_inline void tce_begin(struct tce_regions *regions,
				      const struct tce_request *request)
{
	const struct tce_slot *slot = &request->table->slot;
	struct mm_struct *mm = request->kvm->mm;
	struct mm_iommu_table_group_mem_t *mem;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "regions are freed by RCU");

	mem = slot->bytes ? mm_iommu_lookup(mm, slot->ua, slot->bytes) : NULL;
	*regions = (struct tce_regions){
		.mm = mm,
		.slot = mem,
		.start = mem ? slot->ua : ULONG_MAX,
		/* No hardware page is larger than the table's, of which one is in the slot. */
		.room = mem ? slot->bytes - (1UL << request->table->page_shift) : 0,
	};
}

/* A pass over entries of a link, from entry @first of the request on */
static __always_inline struct tce_pass
tce_pass(const struct tce_request *request, const struct tce_link *link, u64 first,
	 unsigned long *old, struct tce_regions *regions)
{
	struct iommu_table *tbl = link->tbl;

	lockdep_assert_held(tce_hw_lock(tbl));

	return (struct tce_pass){
		.tbl = tbl,
		.regions = regions,
		.slot = regions->slot,
		.start = regions->start,
		.room = regions->room,
		.uas = request->uas ? request->uas + first : NULL,
		.old = old,
		.entry = (request->table->offset + request->first + first) << link->shift,
		.page_shift = tbl->it_page_shift,
		.shift = link->shift,
	};
}

static noinline struct mm_iommu_table_group_mem_t *
tce_region_other(struct tce_regions *regions, unsigned long ua, unsigned int shift)
{
	struct mm_iommu_table_group_mem_t *mem = regions->other[0];
	unsigned long hpa;

	/* A region tells that it does not have an address, too. */
	if (mem && !mm_iommu_ua_to_hpa(mem, ua, shift, &hpa))
		return mem;
	mem = regions->other[1];
	if (!mem || mm_iommu_ua_to_hpa(mem, ua, shift, &hpa))
		mem = mm_iommu_lookup(regions->mm, ua, 1UL << shift);
	regions->other[1] = regions->other[0];
	regions->other[0] = mem;
	return mem;
}

static __always_inline struct mm_iommu_table_group_mem_t *
tce_region(const struct tce_pass *pass, unsigned long ua)
{
	if (likely(ua - pass->start <= pass->room))
		return pass->slot;
	return tce_region_other(pass->regions, ua, pass->page_shift);
}

/*
 * The userspace view of hardware entry @entry and of those that follow it in its
 * leaf level: @run of them, no more than @nr.  NULL if the level is not there.
 */
static __always_inline __be64 *tce_view(struct iommu_table *tbl, unsigned long entry,
					unsigned long nr, bool alloc, unsigned long *run)
{
	unsigned long index = entry - tbl->it_offset;

	*run = nr;
	if (!tbl->it_indirect_levels)
		return tbl->it_userspace + index;
	*run = min(nr, tbl->it_level_size - (index & (tbl->it_level_size - 1)));
	return tbl->it_ops->useraddrptr(tbl, entry, alloc);
}

/* Memory of devices is never preregistered: nobody calls mm_iommu_newdev(). */
static __always_inline void tce_dirty(unsigned long hpa)
{
	struct page *page = pfn_to_page(hpa >> PAGE_SHIFT);

	if (unlikely(!PageDirty(page)))
		SetPageDirty(page);
}

/* @old: address and direction of what an exchange has replaced */
static __always_inline void tce_exchanged(unsigned long old)
{
	/* Neither DMA_TO_DEVICE nor DMA_NONE: the device may have written to it. */
	if (!(old & DMA_TO_DEVICE))
		tce_dirty(old);
}

static __always_inline void tce_let_go(struct mm_iommu_table_group_mem_t *mem)
{
	if (mem)
		mm_iommu_mapped_dec(mem);
}

/* Nothing reaches the page at @ua any more by an entry that counted it. */
static __always_inline void tce_drop(const struct tce_pass *pass, unsigned long ua)
{
	tce_let_go(tce_region(pass, ua));
}

/*
 * Unmapping: cannot fail
 *
 * An LPAR does not hear whether its clear() did all of it, so there entries are
 * exchanged, as if something was mapped.
 */

/*
 * The view does not say whether the device could write to the page, and to ask the
 * hardware table for each entry is dear, so the page is marked dirty in any case.  Regions
 * are pinned with FOLL_WRITE, so that is allowed; at worst, a page of a file is written back
 * once more than necessary.
 */
static __always_inline void tce_unmapped(struct mm_iommu_table_group_mem_t *mem,
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

/* Unmaps a run of entries in one leaf level. */
static __always_inline void tce_run_unmap(const struct tce_pass *pass, __be64 *view,
					  unsigned long entry, unsigned long nr)
{
	unsigned long was;

	/* What is not in the view is not in the hardware. */
	while (nr && !view[nr - 1])
		nr--;
	if (!nr)
		return;
	for (; !*view; view++, entry++, nr--)
		;
	/* Kills what the hardware has cached, too */
	pass->tbl->it_ops->clear(pass->tbl, entry, nr);
	for (; nr; view++, nr--) {
		was = be64_to_cpup(view);
		/* or else it is swapped after it is loaded, by ten instructions */
		OPTIMIZER_HIDE_VAR(was);
		if (!was)
			continue;
		*view = 0;
		tce_unmapped(tce_region(pass, was), was, pass->page_shift);
	}
}

static void tce_link_unmap(const struct tce_pass *of, unsigned long nr)
{
	const struct tce_pass copy = *of, *pass = &copy;
	unsigned long i, run;
	__be64 *view;

	for (i = 0; i < nr; i += run) {
		view = tce_view(pass->tbl, pass->entry + i, nr - i, false, &run);
		if (view)
			tce_run_unmap(pass, view, pass->entry + i, run);
	}
}

/*
 * Mapping
 *
 * First the hardware entries are exchanged; the view keeps the old addresses, so it
 * says what is to be let go.  After the kill, the view is brought up to date and the
 * counts of what was replaced are dropped.  Where old and new page are in one region,
 * the count of the old page becomes that of the new one.
 *
 * If something cannot be had midway, all hardware tables go back to the guest's last
 * entry that is new in each of them.
 *
 * User space that maps and unmaps in the container at the same time changes entry,
 * view and count under the same lock.
 */

/* Address and permissions for hardware entry number @i of the chunk; 0 for none */
static __always_inline unsigned long tce_new(const struct tce_pass *pass, unsigned long i)
{
	unsigned long ua;

	if (!pass->uas)
		return 0;
	if (likely(!pass->shift))
		return pass->uas[i];
	ua = pass->uas[i >> pass->shift];
	return ua ? ua + ((i & ((1UL << pass->shift) - 1)) << pass->page_shift) : 0;
}

/*
 * A slot or a region may have a large page of the guest where the host has none:
 * the size that a region tells is that of its first page.
 */
static noinline bool tce_is_one_page(unsigned long hpa, unsigned int shift)
{
	barrier_nospec();
	if (hpa & ((1UL << shift) - 1))
		return false;
	return page_shift(compound_head(pfn_to_page(hpa >> PAGE_SHIFT))) >= shift;
}

static __always_inline bool tce_region_has(struct mm_iommu_table_group_mem_t *mem,
					   unsigned long ua, unsigned int shift,
					   unsigned long *hpa)
{
	return mem && !mm_iommu_ua_to_hpa(mem, ua, shift, hpa) &&
	       (likely(shift <= PAGE_SHIFT) || tce_is_one_page(*hpa, shift));
}

/*
 * Puts @new into a hardware entry; @was is what the view has.  Returns 0 with *@old
 * filled in, or an error and nothing has changed.
 */
static __always_inline long tce_exchange(const struct tce_pass *pass, unsigned long entry,
					 unsigned long new, unsigned long was,
					 unsigned long *old)
{
	enum dma_data_direction direction = tce_direction[new & TCE_PERMISSIONS];
	unsigned long ua = new & ~TCE_PERMISSIONS, hpa = 0, counted = 0;
	struct mm_iommu_table_group_mem_t *mem = NULL;

	if (new) {
		mem = tce_region(pass, ua);
		if (!tce_region_has(mem, ua, pass->page_shift, &hpa))
			return -ENXIO;
		if (!was || tce_region(pass, was) != mem) {
			if (mm_iommu_mapped_inc(mem))
				return -ENXIO;
			counted = TCE_COUNTED;
		}
	}
	if (unlikely(pass->tbl->it_ops->xchg_no_kill(pass->tbl, entry, &hpa, &direction))) {
		if (counted)
			mm_iommu_mapped_dec(mem);
		return -ENOMEM;
	}
	*old = hpa | direction | counted;
	return 0;
}

/* The hardware reaches what is in the entry now, and nothing that was there before. */
static __always_inline void tce_settle(const struct tce_pass *pass, __be64 *view,
				       unsigned long new, unsigned long old)
{
	unsigned long ua = new & ~TCE_PERMISSIONS;
	__be64 was = *view;

	tce_exchanged(old);
	if (unlikely(old & TCE_UNDONE)) {
		if (old & TCE_COUNTED)
			tce_drop(pass, ua);
		return;
	}
	*view = cpu_to_be64(ua);
	if (was && (!new || old & TCE_COUNTED))
		tce_drop(pass, be64_to_cpu(was));
}

/* Exchanges the first @nr entries.  Returns how many are new. */
static unsigned long tce_link_exchange(const struct tce_pass *of, unsigned long nr)
{
	const struct tce_pass copy = *of, *pass = &copy;
	unsigned long i, end, run, new, was;
	__be64 *view;

	for (i = 0; i < nr; i = end) {
		view = tce_view(pass->tbl, pass->entry + i, nr - i, true, &run);
		if (!view)
			return i;
		for (end = i + run; i < end; i++) {
			new = tce_new(pass, i);
			was = be64_to_cpup(view++);
			OPTIMIZER_HIDE_VAR(was);
			if (!new && !was)
				pass->old[i] = DMA_NONE;
			else if (tce_exchange(pass, pass->entry + i, new, was, &pass->old[i]))
				return i;
		}
	}
	return nr;
}

/* What was there before comes back: its level is there, and its count still is. */
static void tce_link_undo(const struct tce_pass *pass, unsigned long i, unsigned long end)
{
	enum dma_data_direction direction;
	unsigned long old, hpa;

	for (; i < end; i++) {
		old = pass->old[i];
		hpa = old & ~(TCE_FLAGS | TCE_DIRECTION);
		direction = old & TCE_DIRECTION;
		/* A table that does not do as it is told keeps the new page. */
		if (!pass->tbl->it_ops->xchg_no_kill(pass->tbl, pass->entry + i, &hpa, &direction))
			pass->old[i] = hpa | direction | (old & TCE_COUNTED) | TCE_UNDONE;
	}
}

static void tce_link_settle(const struct tce_pass *of, unsigned long nr)
{
	const struct tce_pass copy = *of, *pass = &copy;
	unsigned long i, end, run;
	__be64 *view;

	if (!nr)
		return;
	iommu_tce_kill(pass->tbl, pass->entry, nr);
	for (i = 0; i < nr; i = end) {
		/* The level is there since the exchange. */
		view = tce_view(pass->tbl, pass->entry + i, nr - i, false, &run);
		for (end = i + run; i < end; i++, view++)
			tce_settle(pass, view, tce_new(pass, i), pass->old[i]);
	}
}

/*
 * A chunk of a request
 */

/* Returns how many of the guest's entries are new, all of them or none beyond. */
static u64 tce_map(const struct tce_request *request, u64 first, u64 npages)
{
	struct kvmppc_tce_table *table = request->table;
	unsigned long *old = table->old, *done = table->done, kept;
	unsigned int nr = 0;
	struct tce_link *link;
	struct tce_regions regions;
	struct tce_pass pass;

	if (request->slot.bytes)
		table->slot = request->slot;
	tce_begin(&regions, request);
	list_for_each_entry(link, &table->links, node) {
		pass = tce_pass(request, link, first, old, &regions);
		done[nr] = tce_link_exchange(&pass, npages << link->shift);
		npages = done[nr] >> link->shift;
		old += done[nr++];
	}
	old = table->old;
	nr = 0;
	list_for_each_entry(link, &table->links, node) {
		pass = tce_pass(request, link, first, old, &regions);
		kept = npages << link->shift;
		if (unlikely(kept < done[nr]))
			tce_link_undo(&pass, kept, done[nr]);
		tce_link_settle(&pass, done[nr]);
		old += done[nr++];
	}
	return npages;
}

static void tce_unmap(const struct tce_request *request, u64 first, u64 npages)
{
	struct kvmppc_tce_table *table = request->table;
	struct tce_link *link;
	struct tce_regions regions;
	struct tce_pass pass;

	tce_begin(&regions, request);
	list_for_each_entry(link, &table->links, node) {
		pass = tce_pass(request, link, first, table->old, &regions);
		tce_link_unmap(&pass, npages << link->shift);
	}
}

/*
 * Changes entries of the request from @first on: *@npages at most, and then it is how
 * many are new.  *@changes is of the chunk before: if other hardware tables are behind
 * the table since then, they do not have what was done until now.
 */
static long tce_change_chunk(const struct tce_request *request, u64 first, u64 *npages,
			     unsigned long *changes)
{
	struct kvmppc_tce_table *table = request->table;
	u64 done = 0;
	long reason;

	lockdep_assert_held(&table->lock);

	guard(rcu)();
	if (first && table->changes != *changes)
		return TCE_LEFT_GONE;
	*changes = table->changes;
	if (!table->chunk)
		return tce_table_left(table) ?: TCE_LEFT_SIZE;
	*npages = min(*npages, table->chunk);

	tce_lock_hardware(table, NULL);
	reason = tce_table_left(table);
	if (!reason && (request->uas || firmware_has_feature(FW_FEATURE_LPAR))) {
		done = tce_map(request, first, *npages);
		reason = done < *npages ? TCE_LEFT_MEMORY : 0;
	} else if (!reason) {
		tce_unmap(request, first, *npages);
		done = *npages;
	}
	kvmppc_tce_store(table, request->first + first, done,
			 request->tces ? request->tces + first : NULL, request->value);
	tce_unlock_hardware(table, NULL);
	return reason;
}

/*
 * A large entry: one of the guest's is more than TCE_CHUNK of the hardware's
 *
 * It changes in pieces, with kvmppc_tce_table.large held: what other hypercalls on the
 * table find is old or new as a whole.  It is mapped only if it is not mapped, so that
 * to undo is to unmap, which cannot fail.  If groups or hardware tables come or go
 * midway, some pieces may be new and others old, until user space has done the whole
 * request.
 */

/* Maps hardware entries that are not mapped: all, or none and says why. */
static long tce_piece_map(const struct tce_pass *pass, unsigned long nr)
{
	unsigned long i, run, done;
	__be64 *view;

	for (i = 0; i < nr; i += run) {
		view = tce_view(pass->tbl, pass->entry + i, nr - i, false, &run);
		if (view && memchr_inv(view, 0, run * sizeof(*view)))
			return TCE_LEFT_SIZE;
	}
	done = tce_link_exchange(pass, nr);
	if (done < nr)
		tce_link_undo(pass, 0, done);
	tce_link_settle(pass, done);
	return done < nr ? TCE_LEFT_MEMORY : 0;
}

/* Changes piece number @piece of the request's entry @i, or puts it back. */
static long tce_large_piece(const struct tce_request *request, u64 i, unsigned long piece,
			    unsigned long changes, bool undo)
{
	struct kvmppc_tce_table *table = request->table;
	unsigned long from = piece * TCE_CHUNK, all, nr, ua;
	struct tce_regions regions;
	struct tce_link *link;
	struct tce_pass pass;
	long reason;

	lockdep_assert_held(&table->lock);

	if (table->changes != changes)
		return TCE_LEFT_GONE;
	list_for_each_entry(link, &table->links, node) {
		all = max(1UL << link->shift, TCE_CHUNK);
		if (from < all)
			break;
		from -= all;
	}

	guard(rcu)();
	tce_lock_hardware(table, NULL);
	reason = undo ? tce_link_left(link) : tce_table_left(table);
	if (!reason) {
		tce_begin(&regions, request);
		pass = tce_pass(request, link, i, table->old, &regions);
		pass.entry += from;
		nr = min(1UL << link->shift, TCE_CHUNK);
		if (undo || !pass.uas || !pass.uas[0]) {
			tce_link_unmap(&pass, nr);
		} else {
			ua = pass.uas[0] + (from << pass.page_shift);
			pass.uas = &ua;
			reason = tce_piece_map(&pass, nr);
		}
	}
	if (!reason && !undo && piece + 1 == table->pieces)
		kvmppc_tce_store(table, request->first + i, 1,
				 request->tces ? request->tces + i : NULL, request->value);
	tce_unlock_hardware(table, NULL);
	return reason;
}

/* Changes the request's entry @i: all of it, or nothing, but see above. */
static long tce_change_large(const struct tce_request *request, u64 i, unsigned long changes)
{
	struct kvmppc_tce_table *table = request->table;
	unsigned long piece, pieces;
	long reason = 0;

	guard(mutex)(&table->large);
	/* If it is of other links than those of @changes, nothing will be done by it. */
	pieces = READ_ONCE(table->pieces);
	if (!pieces || firmware_has_feature(FW_FEATURE_LPAR))
		return TCE_LEFT_SIZE;
	for (piece = 0; piece < pieces; piece++) {
		spin_lock(&table->lock);
		reason = tce_large_piece(request, i, piece, changes, false);
		spin_unlock(&table->lock);
		if (reason)
			break;
		cond_resched();
	}
	while (reason && piece--) {
		spin_lock(&table->lock);
		tce_large_piece(request, i, piece, changes, true);
		spin_unlock(&table->lock);
		cond_resched();
	}
	return reason;
}

static long tce_change(const struct tce_request *request)
{
	bool pages = request->tces || request->value;
	unsigned long changes = 0;
	u64 first = 0, npages;
	bool large;
	long reason;

	while (first < request->npages) {
		npages = min(request->npages - first, TCE_CHUNK);
		if (pages && !kvmppc_tce_pages(request->table, request->first + first, npages))
			return TCE_LEFT_NOMEM;
		spin_lock(&request->table->lock);
		reason = tce_change_chunk(request, first, &npages, &changes);
		spin_unlock(&request->table->lock);
		large = unlikely(reason == TCE_LEFT_SIZE);
		if (large) {
			npages = 1;
			reason = tce_change_large(request, first, changes);
		}
		if (reason)
			return reason;

		first += npages;
		if (first == request->npages)
			break;
		cond_resched();
		/* What takes long can be interrupted; user space starts it again. */
		if ((large || request->npages > TCE_LIST_MAX) && signal_pending(current))
			return TCE_LEFT_SIGNAL;
	}
	return H_SUCCESS;
}

/* In the section in which the table was looked for; @outcome: H_PARAMETER or TCE_* */
static long tce_answer(const struct tce_request *request, u64 liobn, u64 ioba,
		       long outcome)
{
	if (unlikely(outcome))
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
static __always_inline unsigned long tce_fast_translate(const struct tce_request *request,
							u64 tce)
{
	const struct tce_slot *slot = &request->table->slot;
	u64 size = 1ULL << request->table->page_shift;
	const struct kvm_memslots *slots;

	/* They are in struct kvm.  Nothing but the number is read. */
	slots = rcu_access_pointer(request->kvm->memslots[0]);
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

	was = view ? be64_to_cpup(view) : 0;
	if (!was)
		return;
	/* Kills what the hardware has cached, too */
	tbl->it_ops->clear(tbl, entry, 1);
	*view = 0;
	tce_unmapped(mm_iommu_lookup(mm, was, 1UL << tbl->it_page_shift), was,
		     tbl->it_page_shift);
}

/* @hpa and @direction: of the page at @was, as the exchange has returned them */
static noinline void tce_fast_replaced(struct iommu_table *tbl, struct mm_struct *mm,
				       unsigned long was, unsigned long hpa,
				       enum dma_data_direction direction)
{
	tce_exchanged(hpa | direction);
	tce_let_go(mm_iommu_lookup(mm, was, 1UL << tbl->it_page_shift));
}

/*
 * To undo this is to unmap, so only the last link, which is never undone, may have
 * something mapped there already.  Until it is undone, the device may see the new page.
 */
static __always_inline bool tce_fast_map(const struct tce_request *request,
					 const struct tce_link *link, unsigned long entry,
					 struct mm_iommu_table_group_mem_t *mem,
					 unsigned long new, unsigned long hpa)
{
	enum dma_data_direction direction = tce_direction[new & TCE_PERMISSIONS];
	struct iommu_table *tbl = link->tbl;
	unsigned long run;
	__be64 *view = tce_view(tbl, entry, 1, true, &run);

	lockdep_assert_held(tce_hw_lock(tbl));

	if (!view || (*view && !list_is_last(&link->node, &request->table->links)) ||
	    mm_iommu_mapped_inc(mem))
		return false;
	if (unlikely(tbl->it_ops->xchg_no_kill(tbl, entry, &hpa, &direction))) {
		mm_iommu_mapped_dec(mem);
		return false;
	}
	iommu_tce_kill(tbl, entry, 1);
	if (*view)
		tce_fast_replaced(tbl, request->kvm->mm, be64_to_cpup(view), hpa, direction);
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
	struct tce_link *first;
	struct page *page;
	bool done = false;

	guard(rcu)();
	if (tce_find_range(&request, liobn, ioba))
		return false;
	table = request.table;
	first = rcu_dereference(table->first);
	page = READ_ONCE(table->pages[request.first / TCES_PER_PAGE]);
	if (!first || !page)
		return false;

	spin_lock(tce_hw_lock(first->tbl));
	if (likely(rcu_access_pointer(table->first) == first)) {
		tce_lock_hardware(table, first);
		done = !tce_table_left(table) && tce_fast_change(&request, tce);
		if (done) {
			WRITE_ONCE(((u64 *)page_address(page))[request.first % TCES_PER_PAGE], tce);
			WRITE_ONCE(table->fast, table->fast + 1);
		}
		tce_unlock_hardware(table, first);
	}
	spin_unlock(tce_hw_lock(first->tbl));
	return done;
}

static noinline long tce_put_slow(struct kvm *kvm, u64 liobn, u64 ioba, u64 tce)
{
	struct tce_request request = { .kvm = kvm, .npages = 1 };
	unsigned long ua;
	long ret;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	ret = tce_find_range(&request, liobn, ioba) ?:
	      tce_translate(&request, &tce, &ua, false) ?:
	      tce_change(&request);
	ret = tce_answer(&request, liobn, ioba, ret);
	srcu_read_unlock(&kvm->srcu, idx);
	return ret;
}

static long tce_put(struct kvm *kvm, u64 liobn, u64 ioba, u64 tce)
{
	if (tce_fast(kvm, liobn, ioba, tce))
		return H_SUCCESS;
	return tce_put_slow(kvm, liobn, ioba, tce);
}

static noinline long tce_stuff(struct kvm *kvm, u64 liobn, u64 ioba, u64 value, u64 npages)
{
	struct tce_request request = { .kvm = kvm, .npages = npages, .value = value };
	long ret;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	ret = tce_find_range(&request, liobn, ioba);
	if (!ret && value & TCE_PERMISSIONS)
		ret = H_PARAMETER;
	if (!ret)
		ret = tce_change(&request);
	ret = tce_answer(&request, liobn, ioba, ret);
	srcu_read_unlock(&kvm->srcu, idx);
	return ret;
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
 * or the page is more of the hardware's pages than change here: more than 4096, in an
 * LPAR more than 512, or more than 512 where something is mapped already.
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
	*list = kmalloc(sizeof(**list), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
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
 * kvmppc_h_put_tce(), and if the list cannot be read.  After H_TOO_HARD, some of
 * the entries may be new.
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
		      tce_change(&request);
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
 * pending in a long request, and then some of the entries may be new.
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
