// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes entries of a TCE table in all the hardware tables that are behind it: for
 * the hypercalls of book3s_64_vio_hcall.c, which have checked and translated them.
 *
 * Copyright (C) 2026 the authors of kvm-vfio
 *
 * kvmppc_tce_change()	changes a chunk of entries at a time, or a piece of a large one:
 *
 *	tce_unmap()	a run of entries at a time in each hardware table; it cannot fail
 *	tce_map()	all hardware entries of the chunk, then the kill, then views and counts
 */
#include <linux/cleanup.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include <asm/barrier.h>
#include <asm/firmware.h>
#include <asm/hvcall.h>
#include <asm/iommu.h>
#include <asm/mmu_context.h>

#include "spapr_tce.h"

/**
 * struct tce_regions - regions that were looked up in an RCU section
 * @mm: of the VM
 * @slot: the one that has all of the memory slot that was mapped last, or NULL
 * @start: of that slot
 * @room: the last address at which any hardware page is all in it, counted from @start
 * @other: others, that were looked up last, or NULL
 * @looks: how many were looked up
 * @most: how many may be, before the entries that follow have to wait for the next chunk
 */
struct tce_regions {
	struct mm_struct *mm;
	struct mm_iommu_table_group_mem_t *slot;
	unsigned long start;
	unsigned long room;
	struct mm_iommu_table_group_mem_t *other[2];
	unsigned int looks;
	unsigned int most;
};

/* A region is looked up in a list of any length, without a break. */
#define TCE_LOOKS	32

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

/* Most pages are in the slot that was used last; if not, it is only a guess. */
static void tce_begin(struct tce_regions *regions, const struct tce_request *request)
{
	struct tce_slot *slot = &request->table->slot;
	struct mm_struct *mm = request->kvm->mm;
	struct mm_iommu_table_group_mem_t *mem;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "regions are freed by RCU");

	if (request->slot.bytes)
		*slot = request->slot;
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
static struct tce_pass
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

/* The region in which the page begins.  Only a page that is in it as a whole is mapped. */
static struct mm_iommu_table_group_mem_t *
tce_region_other(struct tce_regions *regions, unsigned long ua, unsigned int shift)
{
	struct mm_iommu_table_group_mem_t *mem = regions->other[0];
	unsigned long hpa;

	/* A region tells that it does not have an address, too. */
	if (mem && !mm_iommu_ua_to_hpa(mem, ua, shift, &hpa))
		return mem;
	mem = regions->other[1];
	if (!mem || mm_iommu_ua_to_hpa(mem, ua, shift, &hpa)) {
		mem = mm_iommu_lookup(regions->mm, ua, 1UL << shift);
		regions->looks++;
	}
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

/* The same for a page that can wait for the next chunk: false, once enough were looked up. */
static __always_inline bool
tce_region_now(const struct tce_pass *pass, unsigned long ua,
	       struct mm_iommu_table_group_mem_t **mem)
{
	*mem = pass->slot;
	if (likely(ua - pass->start <= pass->room))
		return true;
	if (pass->regions->looks >= pass->regions->most)
		return false;
	*mem = tce_region_other(pass->regions, ua, pass->page_shift);
	return true;
}

/*
 * What is done as a whole, an entry of the guest or a piece of a large one, never has to wait:
 * each of its hardware entries can have an old and a new region.
 */
static void tce_limit_looks(const struct tce_pass *pass)
{
	pass->regions->most = pass->regions->looks + TCE_LOOKS +
			      2 * min(1UL << pass->shift, TCE_CHUNK);
}

/* Nothing reaches the page at @ua any more by an entry that counted it. */
static void tce_drop(const struct tce_pass *pass, unsigned long ua)
{
	tce_let_go(tce_region(pass, ua));
}

/*
 * Unmapping: cannot fail
 *
 * An LPAR does not hear whether its clear() did all of it, so there entries are
 * exchanged, as if something was mapped.
 */

/* How many entries of a run can be unmapped in this chunk */
static unsigned long tce_run_now(const struct tce_pass *pass, const __be64 *view,
				 unsigned long nr)
{
	const unsigned long start = pass->start, room = pass->room;
	const __be64 *from = view, *end = view + nr;
	struct mm_iommu_table_group_mem_t *mem;
	unsigned long was;

	for (; view < end; view++) {
		was = tce_load(view);
		if (likely(was - start <= room) || !was)
			continue;
		if (!tce_region_now(pass, was, &mem))
			break;
	}
	return view - from;
}

/* The same for the first @nr entries of the chunk */
static unsigned long tce_link_now(const struct tce_pass *pass, unsigned long nr)
{
	unsigned long i, run, now;
	const __be64 *view;

	if (nr <= TCE_LOOKS)
		return nr;
	tce_limit_looks(pass);
	for (i = 0; i < nr; i += run) {
		view = tce_view(pass->tbl, pass->entry + i, nr - i, false, &run);
		now = view ? tce_run_now(pass, view, run) : run;
		if (now < run)
			return i + now;
	}
	return nr;
}

/* Unmaps a run of entries in one leaf level. */
static void tce_run_unmap(const struct tce_pass *pass, __be64 *view,
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
		was = tce_load(view);
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
 * If something cannot be had midway, or too many regions were looked up, all hardware
 * tables go back to the guest's last entry that is new in each of them.
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

/**
 * kvmppc_tce_is_one_page - Does a large page of a table fit into one of the host's?
 * @hpa: host address of the page of the table
 * @shift: log2 of its size, which is larger than PAGE_SIZE
 *
 * A slot or a region may have a large page of the guest where the host has none: the size
 * that a region tells is that of its first page.
 *
 * Context: the page is pinned, and its last address is that many bytes behind @hpa.
 * Return: whether all of it is in one page of the host.
 */
bool kvmppc_tce_is_one_page(unsigned long hpa, unsigned int shift)
{
	barrier_nospec();
	if (hpa & ((1UL << shift) - 1))
		return false;
	return page_shift(compound_head(pfn_to_page(hpa >> PAGE_SHIFT))) >= shift;
}

/*
 * Puts @new into a hardware entry; @was is what the view has.  Returns true with *@old
 * filled in, or false and nothing has changed.
 */
static bool tce_exchange(const struct tce_pass *pass, unsigned long entry,
			 unsigned long new, unsigned long was,
			 unsigned long *old)
{
	enum dma_data_direction direction = tce_direction(new);
	unsigned long ua = new & ~TCE_PERMISSIONS, hpa = 0, counted = 0;
	struct mm_iommu_table_group_mem_t *mem = NULL, *of_was = NULL;

	if (was && !tce_region_now(pass, was, &of_was))
		return false;
	if (new) {
		if (!tce_region_now(pass, ua, &mem) ||
		    !tce_region_has(mem, ua, pass->page_shift, &hpa))
			return false;
		if (mem != of_was) {
			if (mm_iommu_mapped_inc(mem))
				return false;
			counted = TCE_COUNTED;
		}
	}
	if (pass->tbl->it_ops->xchg_no_kill(pass->tbl, entry, &hpa, &direction)) {
		if (counted)
			mm_iommu_mapped_dec(mem);
		return false;
	}
	*old = hpa | direction | counted;
	return true;
}

/* The hardware reaches what is in the entry now, and nothing that was there before. */
static void tce_settle(const struct tce_pass *pass, __be64 *view,
		       unsigned long new, unsigned long old)
{
	unsigned long ua = new & ~TCE_PERMISSIONS;
	__be64 was = *view;

	tce_exchanged(old);
	if (old & TCE_UNDONE) {
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

	tce_limit_looks(pass);
	for (i = 0; i < nr; i = end) {
		view = tce_view(pass->tbl, pass->entry + i, nr - i, true, &run);
		if (!view)
			return i;
		for (end = i + run; i < end; i++) {
			new = tce_new(pass, i);
			was = tce_load(view++);
			if (!new && !was)
				pass->old[i] = DMA_NONE;
			else if (!tce_exchange(pass, pass->entry + i, new, was, &pass->old[i]))
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

/*
 * Puts what the guest reads back: @tces, or @value for all.  Where there is no page, the
 * guest reads 0, and @value is that.
 */
static void tce_store(struct kvmppc_tce_table *table, u64 first, u64 npages,
		      const u64 *tces, u64 value)
{
	u64 done, at, nr, i, *to;
	struct page *page;

	lockdep_assert_held(&table->lock);

	for (done = 0; done < npages; done += nr) {
		at = (first + done) % TCES_PER_PAGE;
		nr = min(npages - done, TCES_PER_PAGE - at);
		page = READ_ONCE(table->pages[(first + done) / TCES_PER_PAGE]);
		if (!page)
			continue;
		to = (u64 *)page_address(page) + at;
		/* Each as a whole, as others look: memcpy() may store halves. */
		for (i = 0; i < nr; i++)
			WRITE_ONCE(to[i], tces ? tces[done + i] : value);
	}
}

/* Returns how many of the guest's entries are new in all links; the others are as before. */
static u64 tce_map(const struct tce_request *request, u64 first, u64 npages)
{
	struct kvmppc_tce_table *table = request->table;
	unsigned long *old = table->old, *done = table->done, kept;
	unsigned int nr = 0;
	struct tce_link *link;
	struct tce_regions regions;
	struct tce_pass pass;

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
		if (kept < done[nr])
			tce_link_undo(&pass, kept, done[nr]);
		tce_link_settle(&pass, done[nr]);
		old += done[nr++];
	}
	return npages;
}

/* Returns how many of the guest's entries are unmapped now in all links: one at least. */
static u64 tce_unmap(const struct tce_request *request, u64 first, u64 npages)
{
	struct kvmppc_tce_table *table = request->table;
	struct tce_link *link;
	struct tce_regions regions;
	struct tce_pass pass;

	tce_begin(&regions, request);
	list_for_each_entry(link, &table->links, node) {
		pass = tce_pass(request, link, first, table->old, &regions);
		npages = tce_link_now(&pass, npages << link->shift) >> link->shift;
	}
	list_for_each_entry(link, &table->links, node) {
		pass = tce_pass(request, link, first, table->old, &regions);
		tce_link_unmap(&pass, npages << link->shift);
	}
	return npages;
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

	/*
	 * While its group is alive, the lock of a hardware table is VFIO's.  In an LPAR the
	 * host may have the table back after that, whose pools it uses in interrupts, too.
	 */
	reason = tce_table_left(table);
	if (reason)
		return reason;
	tce_lock_hardware(table, NULL);
	reason = tce_table_left(table);
	if (!reason) {
		done = request->uas || firmware_has_feature(FW_FEATURE_LPAR) ?
		       tce_map(request, first, *npages) : tce_unmap(request, first, *npages);
		/* The others are the next chunk, even if that has to fail. */
		*npages = done;
		reason = done ? 0 : TCE_LEFT_MEMORY;
	}
	tce_store(table, request->first + first, done,
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
	/* With the last piece, to which an undo never comes */
	if (!reason && piece + 1 == table->pieces)
		tce_store(table, request->first + i, 1,
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

/**
 * kvmppc_tce_change - Change the entries of a request
 * @request: checked and translated
 *
 * Context: SRCU read-side section of the VM in which the request was translated; may
 * sleep.
 * Return: H_SUCCESS, or TCE_LEFT_*: some of the entries may be new then.
 */
long kvmppc_tce_change(const struct tce_request *request)
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
		large = reason == TCE_LEFT_SIZE;
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
