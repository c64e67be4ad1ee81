// SPDX-License-Identifier: GPL-2.0-only
/*
 * H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, H_GET_TCE: LoPAPR, "TCE hypervisor
 * calls".  What they work on is in book3s_64_vio.c.
 *
 * Everything here is input of a guest.  A request goes through four steps:
 *
 *	check		range and arguments, before anything is touched
 *	fetch		the list of H_PUT_TCE_INDIRECT, once, with no lock held:
 *			reading guest memory may sleep for as long as user space likes
 *	translate	each entry to an address of user space: whole IOMMU pages, in one
 *			memory slot each
 *	change		a chunk of entries at a time, and killing what the hardware may
 *			have cached of it before anything is let go
 *
 * What is no error of the guest but cannot be done here is H_TOO_HARD: user space
 * gets the same request.  Within this file it is one of TCE_LEFT_*, which says why.
 * Then each entry is old or new, and as a whole: in all the hardware tables, their
 * userspace views, the counts of the memory regions, and in the table that the guest
 * reads back.
 *
 * An entry's page is pinned by the count of its preregistered region; the view says
 * which region, as it has the page's user address.  What is 0 there was mapped by
 * nobody, so runs of that are skipped.  Containers without preregistration (SPAPR
 * TCE v1) do not keep the view, so user space does everything for them.
 */
#include <linux/cleanup.h>
/* not used: the CRCs of the exports tell which types are known here */
#include <linux/hugetlb.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/page-flags.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/uaccess.h>

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
 * @slot: where all of @uas are, NULL if in several; kvm->srcu keeps it
 */
struct tce_request {
	struct kvm *kvm;
	struct kvmppc_tce_table *table;
	u64 first;
	u64 npages;
	const u64 *tces;
	const unsigned long *uas;
	u64 value;
	const struct kvm_memory_slot *slot;
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
	request->first = array_index_nospec(entry, table->size);
	return H_SUCCESS;
}

/*
 * Translation
 */

/* The slot that has all of an entry's page, and allows the access. */
static noinline const struct kvm_memory_slot *tce_slot(struct kvm *kvm, u64 tce,
						       u64 size)
{
	u64 gpa = tce & ~TCE_PERMISSIONS;
	u64 start = gpa >> PAGE_SHIFT, end = (gpa + size - 1) >> PAGE_SHIFT;
	const struct kvm_memory_slot *slot;

	slot = __gfn_to_memslot(kvm_memslots(kvm), start);
	if (!slot || slot->flags & KVM_MEMSLOT_INVALID)
		return NULL;
	if (tce & TCE_PCI_WRITE && slot->flags & KVM_MEM_READONLY)
		return NULL;
	if (gpa + size <= gpa || end >= slot->base_gfn + slot->npages)
		return NULL;
	/* In user space, 0 stands for none. */
	return slot->userspace_addr ? slot : NULL;
}

/* One after the other, each from what is known of the slot of the one before */
static __always_inline long tce_translate(struct tce_request *request, u64 *tces,
					  unsigned long *uas, bool big_endian)
{
	u64 size = 1ULL << request->table->page_shift, start = 0, room = 0, i, tce;
	unsigned long offset = 0, slots = 0, npages = request->npages;
	const struct kvm_memory_slot *slot = NULL;

	for (i = 0; i < npages; i++) {
		tce = big_endian ? be64_to_cpup((__force __be64 *)&tces[i]) : tces[i];
		/* or else it is swapped after it is loaded, by ten instructions */
		OPTIMIZER_HIDE_VAR(tce);
		tces[i] = tce;
		if (!(tce & TCE_PERMISSIONS)) {
			uas[i] = 0;
			continue;
		}
		if (unlikely(tce & (size - 1) & ~TCE_PERMISSIONS))
			return TCE_LEFT_ADDRESS;
		if (unlikely(tce - start > room)) {
			slot = tce_slot(request->kvm, tce, size);
			if (!slot)
				return TCE_LEFT_ADDRESS;
			slots++;
			start = slot->base_gfn << PAGE_SHIFT;
			offset = slot->userspace_addr - start;
			room = (slot->npages << PAGE_SHIFT) - size + TCE_PERMISSIONS;
			/* Each entry is to come here, for its permissions. */
			if (slot->flags & KVM_MEM_READONLY)
				room = 0;
		}
		uas[i] = tce + offset;
	}
	request->tces = tces;
	if (slots)
		request->uas = uas;
	if (slots == 1)
		request->slot = slot;
	return H_SUCCESS;
}

/*
 * Regions
 */

static struct mm_iommu_table_group_mem_t *
tce_region_try(struct tce_region *region, struct mm_struct *mm,
	       unsigned long start, unsigned long bytes, unsigned long size)
{
	struct mm_iommu_table_group_mem_t *mem;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "regions live by RCU");

	mem = bytes ? mm_iommu_lookup(mm, start, bytes) : NULL;
	if (mem)
		*region = (struct tce_region){
			.mem = mem,
			.start = start,
			.room = bytes - size,
		};
	return mem;
}

/*
 * Tries whether the last ones are in the same region, and as much again: so what goes
 * through a region page by page soon knows all of it.
 */
static noinline struct mm_iommu_table_group_mem_t *
tce_region_look_up(struct tce_region *region, struct mm_struct *mm,
		   unsigned long ua, unsigned long size)
{
	unsigned long known = region->room + size, start, end;
	struct mm_iommu_table_group_mem_t *mem;

	if (region->mem) {
		start = min(ua, region->start);
		end = max(ua + size, region->start + known);
		if (start >= known &&
		    tce_region_try(region, mm, ua < region->start ? start - known : start,
				   end - start + known, size))
			return region->mem;
		mem = tce_region_try(region, mm, start, end - start, size);
		if (mem)
			return mem;
	}
	return tce_region_try(region, mm, ua, size, size);
}

/* What was known at the last chunk may still be so. */
static void tce_region_renew(struct tce_region *region, struct mm_struct *mm,
			     unsigned long size)
{
	if (!region->mem ||
	    !tce_region_try(region, mm, region->start, region->room + size, size))
		*region = (struct tce_region){ .start = ULONG_MAX };
}

/* @size: of an IOMMU page, the same each time */
static __always_inline struct mm_iommu_table_group_mem_t *
tce_region_find(struct tce_region *region, struct mm_struct *mm,
		unsigned long ua, unsigned long size)
{
	if (likely(ua - region->start <= region->room))
		return region->mem;
	return tce_region_look_up(region, mm, ua, size);
}

/*
 * Links
 */

/* The first hardware entry of entry @i of the request. */
static unsigned long tce_hw_entry(const struct tce_request *request,
				  const struct tce_link *link, u64 i)
{
	return (request->table->offset + request->first + i) << link->shift;
}

/*
 * The userspace view of hardware entry @entry and of those that follow it in its
 * leaf level: @run of them, no more than @nr.  NULL if the level is not there.
 */
static __be64 *tce_view(const struct tce_link *link, unsigned long entry,
			unsigned long nr, bool alloc, unsigned long *run)
{
	struct iommu_table *tbl = link->tbl;
	unsigned long index = entry - tbl->it_offset;

	lockdep_assert_held(tce_hw_lock(link->tbl));

	*run = nr;
	if (tbl->it_indirect_levels)
		*run = min(nr, tbl->it_level_size - (index & (tbl->it_level_size - 1)));
	return tbl->it_ops->useraddrptr(tbl, entry, alloc);
}

/* Why entries of the hardware table cannot be changed; 0 if they can. */
static __always_inline long tce_link_left(const struct tce_link *link)
{
	struct tce_attachment *attachment;
	long reason = 0;

	list_for_each_entry(attachment, &link->attachments, node) {
		reason = tce_attachment_left(attachment);
		if (reason)
			break;
	}
	return reason;
}

static long tce_table_left(const struct kvmppc_tce_table *table)
{
	unsigned long subpages = 0;
	long reason;
	struct tce_link *link;

	lockdep_assert_held(&table->lock);

	list_for_each_entry(link, &table->links, node) {
		subpages += 1UL << link->shift;
		reason = subpages > TCE_MAX_SUBPAGES ? TCE_LEFT_SIZE : tce_link_left(link);
		if (reason)
			return reason;
	}
	return 0;
}

/* sparse cannot count locks in a loop, so it is told that there are none. */
static void tce_lock(struct kvmppc_tce_table *table)
	__acquires(RCU) __acquires(&table->lock)
{
	struct tce_link *link;

	rcu_read_lock();
	spin_lock(&table->lock);
	list_for_each_entry(link, &table->links, node) {
		spin_lock_nest_lock(tce_hw_lock(link->tbl), &table->lock);
		__release(tce_hw_lock(link->tbl));
	}
}

static void tce_unlock(struct kvmppc_tce_table *table)
	__releases(&table->lock) __releases(RCU)
{
	struct tce_link *link;

	list_for_each_entry(link, &table->links, node) {
		__acquire(tce_hw_lock(link->tbl));
		spin_unlock(tce_hw_lock(link->tbl));
	}
	spin_unlock(&table->lock);
	rcu_read_unlock();
}

/* From permissions to enum dma_data_direction */
static const u8 tce_direction[] = {
	[0]					= DMA_NONE,
	[TCE_PCI_READ]				= DMA_TO_DEVICE,
	[TCE_PCI_WRITE]				= DMA_FROM_DEVICE,
	[TCE_PCI_READ | TCE_PCI_WRITE]		= DMA_BIDIRECTIONAL,
};

/*
 * Change
 *
 * A chunk is changed in two passes.  The first exchanges hardware entries; the view
 * keeps the old addresses, so it says what is to be let go.  After the kill, the
 * second brings the view up to date and drops the counts of what was replaced.
 * Where old and new page are in one region, its count stays as it is: the new page
 * is not counted, and the old one is not let go.
 *
 * If something cannot be had midway, all hardware tables go back to the guest's
 * last entry that is new in each of them.
 *
 * User space that maps and unmaps in the container at the same time changes entry,
 * view and count under the same lock.
 */

/**
 * struct tce_chunk - what is changed in one go
 * @request: of the guest
 * @first: first entry of the request
 * @npages: number of entries; less, once one has failed
 */
struct tce_chunk {
	const struct tce_request *request;
	u64 first;
	u64 npages;
};

/* In tce_link.old: address and enum dma_data_direction that came back, and beside them */
#define TCE_DIRECTION	3UL
#define TCE_COUNTED	4UL	/* the new page has a count of its own */
#define TCE_DROP	8UL	/* the count of the old page is to be dropped */
#define TCE_STUCK	16UL	/* the old page could not be put back */
#define TCE_FLAGS	(TCE_COUNTED | TCE_DROP | TCE_STUCK)

/**
 * struct tce_pass - what a pass over the entries of one hardware table needs
 * @link: the link
 * @tbl: the hardware table
 * @exchange: its own operation
 * @mm: of the VM
 * @mem: the region of all new pages, or NULL if they may be in several
 * @start: start of what is known of @mem
 * @room: as of struct tce_region
 * @uas: of the request, from the chunk's first entry on
 * @entry: first hardware entry of the chunk
 * @page_shift: log2 of the size of a page
 * @shift: of the link
 *
 * Constant throughout.  Its address is for functions that are inlined only: so all
 * of it can stay in registers.
 */
struct tce_pass {
	struct tce_link *link;
	struct iommu_table *tbl;
	int (*exchange)(struct iommu_table *tbl, long index, unsigned long *hpa,
			enum dma_data_direction *direction);
	struct mm_struct *mm;
	struct mm_iommu_table_group_mem_t *mem;
	unsigned long start;
	unsigned long room;
	const unsigned long *uas;
	unsigned long entry;
	unsigned int page_shift;
	unsigned int shift;
};

/* What a pass is about, known when it is compiled */
enum tce_kind {
	TCE_UNMAP,
	TCE_MAP,		/* one to one, and all new pages are in one region */
	TCE_MAP_ANY,
};

static __always_inline struct tce_pass tce_pass(const struct tce_chunk *chunk,
						struct tce_link *link)
{
	const struct tce_request *request = chunk->request;
	struct iommu_table *tbl = link->tbl;

	lockdep_assert_held(tce_hw_lock(link->tbl));

	return (struct tce_pass){
		.link = link,
		.tbl = tbl,
		.exchange = tbl->it_ops->xchg_no_kill,
		.mm = request->kvm->mm,
		.mem = request->slot ? link->now.mem : NULL,
		.start = link->now.start,
		.room = link->now.room,
		.uas = request->uas ? request->uas + chunk->first : NULL,
		.entry = tce_hw_entry(request, link, chunk->first),
		.page_shift = tbl->it_page_shift,
		.shift = link->shift,
	};
}

static __always_inline enum tce_kind tce_kind(const struct tce_pass *pass)
{
	if (!pass->uas)
		return TCE_UNMAP;
	return pass->mem && !pass->shift ? TCE_MAP : TCE_MAP_ANY;
}

/* Address and permissions for hardware entry number @i of the chunk; 0 for none */
static __always_inline unsigned long tce_new(const struct tce_pass *pass,
					     unsigned long i, enum tce_kind kind)
{
	unsigned long ua, sub;

	if (kind == TCE_UNMAP)
		return 0;
	if (kind == TCE_MAP)
		return pass->uas[i];
	ua = pass->uas[i >> pass->shift];
	sub = i & ((1UL << pass->shift) - 1);
	return ua ? ua + (sub << pass->page_shift) : 0;
}

static __always_inline unsigned long tce_size(const struct tce_pass *pass)
{
	return 1UL << pass->page_shift;
}

/*
 * The device may have written to it.  Memory of devices is never preregistered:
 * nobody calls mm_iommu_newdev().
 */
static __always_inline void tce_dirty(unsigned long old)
{
	struct page *page;

	/* Neither DMA_TO_DEVICE nor DMA_NONE */
	if (old & DMA_TO_DEVICE)
		return;
	page = pfn_to_page(old >> PAGE_SHIFT);
	if (unlikely(!PageDirty(page)))
		SetPageDirty(page);
}

/* The view says that something was there, but it was not. */
static noinline bool tce_count_late(struct iommu_table *tbl, unsigned long entry,
				    struct mm_iommu_table_group_mem_t *mem)
{
	enum dma_data_direction direction = DMA_NONE;
	unsigned long hpa = 0;

	if (!mm_iommu_mapped_inc(mem))
		return true;
	tbl->it_ops->xchg_no_kill(tbl, entry, &hpa, &direction);
	iommu_tce_kill(tbl, entry, 1);
	return false;
}

/*
 * Counts a page that takes the place of @old, or of nothing if that is 0.  Returns
 * 0 if its region has counted @old already, as it now counts the new one; the
 * flags for tce_link.old otherwise.
 */
static __always_inline long tce_count(const struct tce_pass *pass,
				      struct mm_iommu_table_group_mem_t *mem,
				      unsigned long old, enum tce_kind kind)
{
	struct mm_iommu_table_group_mem_t *old_mem = NULL;

	if (kind == TCE_MAP && likely(old - pass->start <= pass->room))
		return 0;
	if (old)
		old_mem = tce_region_find(&pass->link->before, pass->mm, old,
					  tce_size(pass));
	if (mem == old_mem)
		return 0;
	return mm_iommu_mapped_inc(mem) ?: TCE_COUNTED | TCE_DROP;
}

/*
 * A slot or a region may have a large page of the guest where the host has none:
 * the size that a region tells is that of its first page.
 */
static noinline bool tce_is_one_page(unsigned long hpa, unsigned int shift)
{
	if (hpa & ((1UL << shift) - 1))
		return false;
	return page_shift(compound_head(pfn_to_page(hpa >> PAGE_SHIFT))) >= shift;
}

/* What goes to a hardware table and comes back */
struct tce_swap {
	unsigned long hpa;
	enum dma_data_direction direction;
};

/* @old: what the view has.  Returns flags for tce_link.old, or an error. */
static __always_inline long tce_map(const struct tce_pass *pass, unsigned long i,
				    unsigned long new, unsigned long old,
				    struct tce_swap *swap, enum tce_kind kind)
{
	struct mm_iommu_table_group_mem_t *mem = pass->mem;
	unsigned long ua = new & ~TCE_PERMISSIONS;
	long flags;

	if (kind == TCE_MAP_ANY)
		mem = tce_region_find(&pass->link->now, pass->mm, ua, tce_size(pass));
	if (!mem || mm_iommu_ua_to_hpa(mem, ua, pass->page_shift, &swap->hpa))
		return -ENXIO;
	if (unlikely(pass->page_shift > PAGE_SHIFT) &&
	    !tce_is_one_page(swap->hpa, pass->page_shift))
		return -ENXIO;
	flags = tce_count(pass, mem, old, kind);
	if (unlikely(flags < 0))
		return flags;
	swap->direction = tce_direction[new & TCE_PERMISSIONS];
	if (unlikely(pass->exchange(pass->tbl, pass->entry + i, &swap->hpa,
				    &swap->direction))) {
		if (flags)
			mm_iommu_mapped_dec(mem);
		return -ENOMEM;
	}
	if (swap->direction != DMA_NONE)
		return flags;
	if (!flags && !tce_count_late(pass->tbl, pass->entry + i, mem))
		return -ENXIO;
	return TCE_COUNTED;
}

static __always_inline long tce_unmap(const struct tce_pass *pass, unsigned long i,
				      struct tce_swap *swap)
{
	swap->hpa = 0;
	swap->direction = DMA_NONE;
	if (unlikely(pass->exchange(pass->tbl, pass->entry + i, &swap->hpa,
				    &swap->direction)))
		return -ENXIO;
	return 0;
}

/* First pass over a run of entries.  Returns the first that is not changed. */
static __always_inline unsigned long
tce_run_change(const struct tce_pass *pass, const __be64 *view, unsigned long i,
	       unsigned long end, enum tce_kind kind)
{
	unsigned long from = pass->link->from, to = pass->link->to, new, old;
	struct tce_swap swap;
	long flags;

	for (; i < end; i++) {
		new = tce_new(pass, i, kind);
		old = be64_to_cpup(view++);
		OPTIMIZER_HIDE_VAR(old);
		if (new) {
			flags = tce_map(pass, i, new, old, &swap, kind);
		} else if (old) {
			flags = tce_unmap(pass, i, &swap);
		} else {
			/* What is not in the view is not in the hardware. */
			pass->link->old[i] = DMA_NONE;
			if (from == i)
				from++;
			continue;
		}
		if (unlikely(flags < 0))
			break;
		pass->link->old[i] = swap.hpa | swap.direction | flags;
		to = i + 1;
	}
	pass->link->from = from;
	pass->link->to = to;
	return i;
}

/* Returns how many of the hardware table's entries are new. */
static __always_inline unsigned long
tce_pass_change(const struct tce_pass *pass, unsigned long nr, enum tce_kind kind)
{
	struct tce_link *link = pass->link;
	unsigned long i, run, done;
	__be64 *view;

	for (i = 0; i < nr; i += run) {
		view = tce_view(link, pass->entry + i, nr - i, kind != TCE_UNMAP, &run);
		if (view) {
			if (run == nr)
				link->view = view;
			done = tce_run_change(pass, view, i, i + run, kind);
			if (done < i + run)
				return done;
		} else if (kind == TCE_UNMAP) {
			memset64((u64 *)&link->old[i], DMA_NONE, run);
			if (link->from == i)
				link->from += run;
		} else {
			return i;
		}
	}
	return nr;
}

/* Before the first pass.  What was in one region at the last chunk may still be. */
static void tce_link_begin(const struct tce_request *request,
			   struct tce_link *link)
{
	const struct kvm_memory_slot *slot = request->slot;
	unsigned long size = 1UL << link->tbl->it_page_shift;

	link->from = 0;
	link->to = 0;
	link->view = NULL;
	if (slot && tce_region_try(&link->now, request->kvm->mm, slot->userspace_addr,
				   slot->npages << PAGE_SHIFT, size)) {
		link->before = link->now;
		return;
	}
	tce_region_renew(&link->before, request->kvm->mm, size);
	link->now = (struct tce_region){ .start = ULONG_MAX };
}

/* First pass.  Shortens the chunk to the guest's entries that are new. */
static void tce_link_change(struct tce_chunk *chunk, struct tce_link *link)
{
	const struct tce_pass pass = tce_pass(chunk, link);
	unsigned long nr = chunk->npages << link->shift;

	switch (tce_kind(&pass)) {
	case TCE_UNMAP:
		nr = tce_pass_change(&pass, nr, TCE_UNMAP);
		break;
	case TCE_MAP:
		nr = tce_pass_change(&pass, nr, TCE_MAP);
		break;
	case TCE_MAP_ANY:
		nr = tce_pass_change(&pass, nr, TCE_MAP_ANY);
		break;
	}
	chunk->npages = nr >> link->shift;
}

/* What was there before comes back: its level is there, and its count still is. */
static void tce_link_undo(struct tce_chunk *chunk, struct tce_link *link)
{
	unsigned long i = max(link->from, chunk->npages << link->shift), old, hpa;
	const struct tce_pass pass = tce_pass(chunk, link);
	enum dma_data_direction direction;

	for (; i < link->to; i++) {
		old = link->old[i];
		if (old == DMA_NONE)
			continue;
		hpa = old & ~(TCE_FLAGS | TCE_DIRECTION);
		direction = old & TCE_DIRECTION;
		if (pass.exchange(pass.tbl, pass.entry + i, &hpa, &direction))
			link->old[i] |= TCE_STUCK;
		else
			link->old[i] = hpa | direction | (old & TCE_COUNTED);
	}
}

static noinline void tce_drop_other(struct tce_region *region, struct mm_struct *mm,
				    unsigned long ua, unsigned long size)
{
	struct mm_iommu_table_group_mem_t *mem;

	mem = tce_region_look_up(region, mm, ua, size);
	if (mem)
		mm_iommu_mapped_dec(mem);
}

static __always_inline void tce_drop(struct tce_region *region, struct mm_struct *mm,
				     unsigned long ua, unsigned long size)
{
	if (likely(ua - region->start <= region->room))
		mm_iommu_mapped_dec(region->mem);
	else
		tce_drop_other(region, mm, ua, size);
}

/* An entry is new, and nothing reaches what was there before. */
static __always_inline void tce_settle(const struct tce_pass *pass, __be64 *view,
				       unsigned long i, enum tce_kind kind)
{
	unsigned long new = tce_new(pass, i, kind) & ~TCE_PERMISSIONS;
	unsigned long old = pass->link->old[i], was = be64_to_cpup(view);

	if (new) {
		tce_dirty(old);
		*view = cpu_to_be64(new);
		if (!(old & TCE_DROP))
			return;
	} else {
		if ((old & TCE_DIRECTION) == DMA_NONE)
			return;
		tce_dirty(old);
		*view = 0;
	}
	tce_drop(&pass->link->before, pass->mm, was, tce_size(pass));
}

/* An entry is as it was, and nothing reaches what was there for a moment. */
static __always_inline void tce_settle_undone(const struct tce_pass *pass,
					      __be64 *view, unsigned long i)
{
	unsigned long new = tce_new(pass, i, tce_kind(pass)) & ~TCE_PERMISSIONS;
	unsigned long old = pass->link->old[i];

	/* The table does not do as it is told: both pages stay pinned. */
	if (old & TCE_STUCK) {
		*view = cpu_to_be64(new);
		return;
	}
	tce_dirty(old);
	if (old & TCE_COUNTED)
		tce_drop(&pass->link->now, pass->mm, new, tce_size(pass));
}

static __always_inline void tce_run_settle(const struct tce_pass *pass,
					   __be64 *view, unsigned long i,
					   unsigned long end, enum tce_kind kind)
{
	for (; i < end; i++)
		tce_settle(pass, view++, i, kind);
}

static __always_inline void tce_pass_settle(const struct tce_pass *pass,
					    unsigned long kept, enum tce_kind kind)
{
	unsigned long i = pass->link->from, run, to = min(pass->link->to, kept);
	__be64 *view = pass->link->view;

	if (view) {
		tce_run_settle(pass, view + i, i, to, kind);
		return;
	}
	for (; i < to; i += run) {
		view = tce_view(pass->link, pass->entry + i, to - i, false, &run);
		if (view)
			tce_run_settle(pass, view, i, i + run, kind);
	}
}

static void tce_link_settle_undone(const struct tce_chunk *chunk,
				   struct tce_link *link, unsigned long i)
{
	const struct tce_pass pass = tce_pass(chunk, link);
	unsigned long run;
	__be64 *view;

	for (i = max(i, link->from); i < link->to; i++) {
		view = tce_view(link, pass.entry + i, 1, false, &run);
		if (view)
			tce_settle_undone(&pass, view, i);
	}
}

/* Second pass, after which nothing reaches what was replaced. */
static void tce_link_settle(struct tce_chunk *chunk, struct tce_link *link)
{
	const struct tce_pass pass = tce_pass(chunk, link);
	unsigned long kept = chunk->npages << link->shift;

	if (link->from >= link->to)
		return;
	iommu_tce_kill(pass.tbl, pass.entry + link->from, link->to - link->from);
	switch (tce_kind(&pass)) {
	case TCE_UNMAP:
		tce_pass_settle(&pass, kept, TCE_UNMAP);
		break;
	case TCE_MAP:
		tce_pass_settle(&pass, kept, TCE_MAP);
		break;
	case TCE_MAP_ANY:
		tce_pass_settle(&pass, kept, TCE_MAP_ANY);
		break;
	}
	if (unlikely(link->to > kept))
		tce_link_settle_undone(chunk, link, kept);
}

/* What the guest reads back.  Pages that are not there read as 0, and are to be 0. */
static void tce_store(const struct tce_chunk *chunk)
{
	const struct tce_request *request = chunk->request;
	u64 first = chunk->first, left = chunk->npages, at, nr, i, *to;
	const u64 *from;
	struct page *page;

	for (; left; first += nr, left -= nr) {
		at = (request->first + first) % TCES_PER_PAGE;
		nr = min(left, TCES_PER_PAGE - at);
		page = READ_ONCE(request->table->pages[(request->first + first) /
						       TCES_PER_PAGE]);
		if (!page)
			continue;
		from = request->tces ? request->tces + first : NULL;
		to = (u64 *)page_address(page) + at;
		/* Each as a whole, as others look: memcpy() may store halves. */
		for (i = 0; i < nr; i++)
			WRITE_ONCE(to[i], from ? from[i] : request->value);
	}
}

/* There has to be a page for what is to be read back, before anything changes. */
static bool tce_have_pages(const struct tce_chunk *chunk)
{
	const struct tce_request *request = chunk->request;
	u64 first = request->first + chunk->first;
	u64 nr = first / TCES_PER_PAGE;

	if (!request->tces && !request->value)
		return true;
	for (; nr <= (first + chunk->npages - 1) / TCES_PER_PAGE; nr++)
		if (!kvmppc_tce_page(request->table, nr))
			return false;
	return true;
}

/* No more than TCE_CHUNK entries of each hardware table, or else one of the guest's */
static void tce_chunk_limit(struct tce_chunk *chunk)
{
	struct tce_link *link;
	u64 limit;

	list_for_each_entry(link, &chunk->request->table->links, node) {
		limit = max(TCE_CHUNK >> min(link->shift, 31U), 1);
		chunk->npages = min(chunk->npages, limit);
	}
}

/* Returns how many of the guest's entries are new. */
static u64 tce_change_chunk(struct tce_chunk *chunk)
{
	struct kvmppc_tce_table *table = chunk->request->table;
	struct tce_link *link;

	lockdep_assert_held(&table->lock);

	list_for_each_entry(link, &table->links, node) {
		tce_link_begin(chunk->request, link);
		tce_link_change(chunk, link);
	}
	list_for_each_entry(link, &table->links, node) {
		if (unlikely(link->to > chunk->npages << link->shift))
			tce_link_undo(chunk, link);
		tce_link_settle(chunk, link);
	}
	tce_store(chunk);
	return chunk->npages;
}

static long tce_change(const struct tce_request *request)
{
	struct tce_chunk chunk = { .request = request };
	long reason;
	u64 wanted;

	while (chunk.first < request->npages) {
		chunk.npages = min(request->npages - chunk.first, TCE_CHUNK);
		if (!tce_have_pages(&chunk))
			return TCE_LEFT_NOMEM;

		tce_lock(request->table);
		tce_chunk_limit(&chunk);
		wanted = chunk.npages;
		reason = tce_table_left(request->table);
		if (!reason && tce_change_chunk(&chunk) < wanted)
			reason = TCE_LEFT_MEMORY;
		tce_unlock(request->table);
		if (reason)
			return reason;

		chunk.first += wanted;
		if (chunk.first == request->npages)
			break;
		cond_resched();
		/* What takes long can be interrupted; user space starts it again. */
		if (request->npages > TCE_LIST_MAX && signal_pending(current))
			return TCE_LEFT_SIGNAL;
	}
	return H_SUCCESS;
}

/* Both passes of the only entry, which is one of the hardware's, too */
static __always_inline bool tce_link_change_one(const struct tce_request *request,
						struct tce_link *link)
{
	unsigned long new = request->uas ? *request->uas : 0, run, old;
	struct iommu_table *tbl = link->tbl;
	struct tce_pass pass = {
		.link = link,
		.tbl = tbl,
		.exchange = tbl->it_ops->xchg_no_kill,
		.mm = request->kvm->mm,
		.start = new & ~TCE_PERMISSIONS,
		.uas = &new,
		.entry = request->table->offset + request->first,
		.page_shift = tbl->it_page_shift,
	};
	struct tce_swap swap;
	__be64 *view;
	long flags;

	view = tce_view(link, pass.entry, 1, new, &run);
	old = view ? be64_to_cpup(view) : 0;
	if (!new && !old)
		return true;
	if (!view)
		return false;
	link->before = (struct tce_region){ .start = ULONG_MAX };
	if (new) {
		pass.mem = mm_iommu_lookup(pass.mm, pass.start, tce_size(&pass));
		flags = tce_map(&pass, 0, new, old, &swap, TCE_MAP);
	} else {
		flags = tce_unmap(&pass, 0, &swap);
	}
	if (flags < 0)
		return false;
	link->old[0] = swap.hpa | swap.direction | flags;
	iommu_tce_kill(tbl, pass.entry, 1);
	tce_settle(&pass, view, 0, TCE_MAP);
	return true;
}

/* The only hardware table behind a table, with pages of the same size, or NULL */
static struct tce_link *tce_only_link(struct kvmppc_tce_table *table)
{
	struct tce_link *link;

	lockdep_assert_held(&table->lock);

	link = list_first_entry_or_null(&table->links, struct tce_link, node);
	return link && !link->shift && list_is_singular(&table->links) ? link : NULL;
}

/* The usual entry alone is spared what makes lists quick.  False if it is another. */
static __always_inline bool tce_try_one(const struct tce_request *request, long *ret)
{
	struct kvmppc_tce_table *table = request->table;
	struct tce_link *link;
	struct page *page;

	page = READ_ONCE(table->pages[request->first / TCES_PER_PAGE]);
	if (!page)
		return false;

	rcu_read_lock();
	spin_lock(&table->lock);
	link = tce_only_link(table);
	if (link) {
		spin_lock(tce_hw_lock(link->tbl));
		*ret = tce_link_left(link);
		if (!*ret && !tce_link_change_one(request, link))
			*ret = TCE_LEFT_MEMORY;
		if (!*ret)
			WRITE_ONCE(((u64 *)page_address(page))[request->first % TCES_PER_PAGE],
				   request->tces ? *request->tces : request->value);
		spin_unlock(tce_hw_lock(link->tbl));
	}
	spin_unlock(&table->lock);
	rcu_read_unlock();
	return link;
}

/* In the section in which the table was looked for; @outcome: H_PARAMETER or TCE_* */
static __always_inline long tce_answer(const struct tce_request *request,
				       u64 liobn, u64 ioba, long outcome)
{
	if (unlikely(outcome))
		return kvmppc_tce_answer(request->kvm, request->table, liobn, ioba,
					 request->npages, outcome);
	atomic64_inc(&request->table->outcomes[TCE_DONE]);
	return H_SUCCESS;
}

/* Neither memory slots nor sleep, so RCU does for the table.  False if it does not. */
static bool tce_try_unmap(struct kvm *kvm, u64 liobn, u64 ioba, u64 value, long *ret)
{
	struct tce_request request = { .kvm = kvm, .npages = 1, .value = value };

	guard(rcu)();
	*ret = tce_find_range(&request, liobn, ioba);
	if (!*ret && !tce_try_one(&request, ret))
		return false;
	*ret = tce_answer(&request, liobn, ioba, *ret);
	return true;
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
 * preregistered memory, a group or a window behind the table is gone, or memory
 * is short.
 */
long kvmppc_h_put_tce(struct kvm_vcpu *vcpu, unsigned long liobn,
		      unsigned long ioba, unsigned long tce)
{
	struct tce_request request = { .kvm = vcpu->kvm, .npages = 1 };
	u64 value = tce;
	unsigned long ua;
	long ret;
	int idx;

	if (!(tce & TCE_PERMISSIONS) &&
	    tce_try_unmap(vcpu->kvm, liobn, ioba, tce, &ret))
		return ret;

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	ret = tce_find_range(&request, liobn, ioba) ?:
	      tce_translate(&request, &value, &ua, false);
	if (!ret && !tce_try_one(&request, &ret))
		ret = tce_change(&request);
	ret = tce_answer(&request, liobn, ioba, ret);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	return ret;
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

/* Also takes the table's spare memory for the list, if it is there. */
static long tce_list_find(struct tce_request *request, u64 liobn, u64 ioba, u64 gpa,
			  const void __user **address, struct tce_list **list)
{
	int idx = srcu_read_lock(&request->kvm->srcu);
	long ret;

	ret = tce_find_range(request, liobn, ioba);
	if (!ret) {
		*address = tce_list_address(request->kvm, gpa);
		ret = *address ? 0 : TCE_LEFT_LIST;
	}
	if (ret)
		ret = tce_answer(request, liobn, ioba, ret);
	else
		*list = xchg(&request->table->spare, NULL);
	srcu_read_unlock(&request->kvm->srcu, idx);
	return ret;
}

/* After the list was read with nothing held: table and memory may be others now. */
static long tce_list_put(struct tce_request *request, u64 liobn, u64 ioba, u64 gpa,
			 const void __user *address, struct tce_list **list)
{
	int idx = srcu_read_lock(&request->kvm->srcu);
	long ret;

	ret = tce_find_range(request, liobn, ioba);
	if (!ret && tce_list_address(request->kvm, gpa) != address)
		ret = TCE_LEFT_LIST;
	if (!ret)
		ret = tce_translate(request, (*list)->tces, (*list)->uas, true) ?:
		      tce_change(request);
	if (request->table)
		*list = xchg(&request->table->spare, *list);
	ret = tce_answer(request, liobn, ioba, ret);
	srcu_read_unlock(&request->kvm->srcu, idx);
	return ret;
}

/* Nothing more to be done; but where there is no table, user space judges the list. */
static long tce_list_end(struct tce_request *request, u64 liobn, u64 ioba, long outcome)
{
	int idx = srcu_read_lock(&request->kvm->srcu);

	request->table = kvmppc_tce_find(request->kvm, liobn);
	outcome = tce_answer(request, liobn, ioba,
			     request->table ? outcome : TCE_LEFT_TABLE);
	srcu_read_unlock(&request->kvm->srcu, idx);
	return outcome;
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
	struct tce_list *list __free(kfree) = NULL;
	const void __user *address = NULL;
	long ret;

	if (npages > TCE_LIST_MAX || tce_list & (SZ_4K - 1))
		return tce_list_end(&request, liobn, ioba, H_PARAMETER);
	ret = tce_list_find(&request, liobn, ioba, tce_list, &address, &list);
	if (ret)
		return ret;
	if (!list)
		list = kmalloc(sizeof(*list), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!list)
		return tce_list_end(&request, liobn, ioba, TCE_LEFT_NOMEM);
	/* With no lock held, as user space may let the guest's page wait. */
	if (copy_from_user(list->tces, address, npages * sizeof(u64)))
		return tce_list_end(&request, liobn, ioba, TCE_LEFT_LIST);
	return tce_list_put(&request, liobn, ioba, tce_list, address, &list);
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
	struct tce_request request = {
		.kvm = vcpu->kvm,
		.npages = npages,
		.value = tce_value,
	};
	long ret;
	int idx;

	if (npages == 1 && !(tce_value & TCE_PERMISSIONS) &&
	    tce_try_unmap(vcpu->kvm, liobn, ioba, tce_value, &ret))
		return ret;

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	ret = tce_find_range(&request, liobn, ioba);
	if (!ret && tce_value & TCE_PERMISSIONS)
		ret = H_PARAMETER;
	if (!ret)
		ret = tce_change(&request);
	ret = tce_answer(&request, liobn, ioba, ret);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	return ret;
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
