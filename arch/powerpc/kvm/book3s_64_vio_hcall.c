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
 * gets the same request.  Then each entry is old or new, and as a whole: in all the
 * hardware tables, their userspace views, the counts of the memory regions, and in
 * the table that the guest reads back.
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
 * @uas: the addresses in user space that they map, 0 for none; NULL if none does
 * @value: an entry without permissions
 * @maps: some entry maps something
 * @start: start of a slot that has some of @uas, in user space
 * @end: its end
 */
struct tce_request {
	struct kvm *kvm;
	struct kvmppc_tce_table *table;
	u64 first;
	u64 npages;
	const u64 *tces;
	const unsigned long *uas;
	u64 value;
	bool maps;
	unsigned long start;
	unsigned long end;
};

/**
 * struct tce_region - a region of preregistered memory that was just looked up
 * @mem: the region, NULL before; valid until the end of the RCU section
 * @start: first address of user space that is known to be in it
 * @end: the address after the last one
 */
struct tce_region {
	struct mm_iommu_table_group_mem_t *mem;
	unsigned long start;
	unsigned long end;
};

/* Finds the table and checks the whole range. */
static long tce_find_range(struct tce_request *request, u64 liobn, u64 ioba)
{
	struct kvmppc_tce_table *table = kvmppc_tce_find(request->kvm, liobn);
	u64 entry;

	if (!table)
		return H_TOO_HARD;
	entry = ioba >> table->page_shift;
	if (ioba & ((1ULL << table->page_shift) - 1) || entry < table->offset)
		return H_PARAMETER;
	entry -= table->offset;
	if (entry >= table->size || request->npages > table->size - entry)
		return H_PARAMETER;
	request->table = table;
	request->first = array_index_nospec(entry, table->size);
	return H_SUCCESS;
}

/*
 * Translation
 */

/* All of [gpa, gpa + size) in one slot? */
static bool tce_slot_has(const struct kvm_memory_slot *slot, u64 gpa, u64 size)
{
	u64 start = gpa >> PAGE_SHIFT, end = (gpa + size - 1) >> PAGE_SHIFT;

	return gpa + size > gpa && start >= slot->base_gfn &&
	       end < slot->base_gfn + slot->npages;
}

/* @slot: the one of the entry before, or NULL */
static bool tce_translate(struct tce_request *request, u64 tce,
			  struct kvm_memory_slot **slot, unsigned long *ua)
{
	u64 gpa = tce & ~TCE_PERMISSIONS;
	u64 size = 1ULL << request->table->page_shift;

	if (gpa & (size - 1))
		return false;
	if (!*slot || !tce_slot_has(*slot, gpa, size)) {
		*slot = __gfn_to_memslot(kvm_memslots(request->kvm),
					 gpa >> PAGE_SHIFT);
		if (!*slot || !tce_slot_has(*slot, gpa, size) ||
		    (*slot)->flags & KVM_MEMSLOT_INVALID)
			return false;
	}
	if (tce & TCE_PCI_WRITE && (*slot)->flags & KVM_MEM_READONLY)
		return false;
	*ua = __gfn_to_hva_memslot(*slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);
	/* 0 stands for none. */
	return *ua;
}

static long tce_translate_all(struct tce_request *request, unsigned long *uas)
{
	struct kvm_memory_slot *slot = NULL;
	u64 i;

	request->uas = uas;
	for (i = 0; i < request->npages; i++) {
		uas[i] = 0;
		if (request->tces[i] & TCE_PERMISSIONS &&
		    !tce_translate(request, request->tces[i], &slot, &uas[i]))
			return H_TOO_HARD;
	}
	if (slot) {
		request->maps = true;
		request->start = slot->userspace_addr;
		request->end = request->start + (slot->npages << PAGE_SHIFT);
	}
	return H_SUCCESS;
}

/*
 * Regions
 */

/* At the start of an RCU section: what was in one region before may still be. */
static void tce_region_renew(struct tce_region *region, struct mm_struct *mm)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "regions live by RCU");

	region->mem = region->end ?
		mm_iommu_lookup(mm, region->start, region->end - region->start) :
		NULL;
}

/* Looks for one that has the last ones as well, so that it soon knows all of it. */
static noinline struct mm_iommu_table_group_mem_t *
tce_region_look_up(struct tce_region *region, struct mm_struct *mm,
		   unsigned long start, unsigned long end)
{
	unsigned long wide_start = min(start, region->start);
	unsigned long wide_end = max(end, region->end);
	struct mm_iommu_table_group_mem_t *mem = NULL;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "regions live by RCU");

	if (region->end)
		mem = mm_iommu_lookup(mm, wide_start, wide_end - wide_start);
	if (mem) {
		start = wide_start;
		end = wide_end;
	} else {
		mem = mm_iommu_lookup(mm, start, end - start);
		if (!mem)
			return NULL;
	}
	region->mem = mem;
	region->start = start;
	region->end = end;
	return mem;
}

static __always_inline struct mm_iommu_table_group_mem_t *
tce_region_find(struct tce_region *region, struct mm_struct *mm,
		unsigned long start, unsigned long size)
{
	unsigned long end = start + size;

	if (likely(region->mem && start >= region->start && end <= region->end))
		return region->mem;
	return tce_region_look_up(region, mm, start, end);
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
	struct iommu_table *tbl = link->hw->tbl;
	unsigned long index = entry - tbl->it_offset;

	lockdep_assert_held(&link->hw->lock);

	*run = nr;
	if (tbl->it_indirect_levels)
		*run = min(nr, tbl->it_level_size - (index & (tbl->it_level_size - 1)));
	return tbl->it_ops->useraddrptr(tbl, entry, alloc);
}

static bool tce_attachments_live(const struct tce_link *link)
{
	struct iommu_table *tbl = link->hw->tbl;
	struct tce_attachment *attachment;

	list_for_each_entry(attachment, &link->attachments, node) {
		if (READ_ONCE(attachment->holder->preregistered) <= 0 ||
		    !attachment->holder->alive(attachment->holder->user))
			return false;
		if (READ_ONCE(attachment->group->tables[0]) != tbl &&
		    READ_ONCE(attachment->group->tables[1]) != tbl)
			return false;
	}
	return true;
}

/*
 * Where a group is gone, or its window is, user space is to know: nothing is
 * changed here until it has put that in order.
 */
static bool tce_table_live(const struct kvmppc_tce_table *table)
{
	struct tce_link *link;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "what was found live stays so");
	lockdep_assert_held(&table->lock);
	BUILD_BUG_ON(IOMMU_TABLE_GROUP_MAX_TABLES != 2);

	list_for_each_entry(link, &table->links, node)
		if (1UL << link->shift > TCE_MAX_SUBPAGES ||
		    !tce_attachments_live(link))
			return false;
	return true;
}

/* sparse cannot count locks in a loop, so it is told that there are none. */
static void tce_lock(struct kvmppc_tce_table *table)
	__acquires(RCU) __acquires(&table->lock)
{
	struct tce_link *link;

	rcu_read_lock();
	spin_lock(&table->lock);
	list_for_each_entry(link, &table->links, node) {
		spin_lock_nest_lock(&link->hw->lock, &table->lock);
		__release(&link->hw->lock);
	}
}

static void tce_unlock(struct kvmppc_tce_table *table)
	__releases(&table->lock) __releases(RCU)
{
	struct tce_link *link;

	list_for_each_entry(link, &table->links, node) {
		__acquire(&link->hw->lock);
		spin_unlock(&link->hw->lock);
	}
	spin_unlock(&table->lock);
	rcu_read_unlock();
}

/* From permissions to enum dma_data_direction, and back */
static const u8 tce_direction[] = {
	[0]					= DMA_NONE,
	[TCE_PCI_READ]				= DMA_TO_DEVICE,
	[TCE_PCI_WRITE]				= DMA_FROM_DEVICE,
	[TCE_PCI_READ | TCE_PCI_WRITE]		= DMA_BIDIRECTIONAL,
};

static const u8 tce_permissions[] = {
	[DMA_NONE]				= 0,
	[DMA_TO_DEVICE]				= TCE_PCI_READ,
	[DMA_FROM_DEVICE]			= TCE_PCI_WRITE,
	[DMA_BIDIRECTIONAL]			= TCE_PCI_READ | TCE_PCI_WRITE,
};

/* Puts an address and permissions in; what comes back was there before. */
static __always_inline long tce_exchange(struct iommu_table *tbl,
					 unsigned long entry, unsigned long *tce)
{
	enum dma_data_direction direction = tce_direction[*tce & TCE_PERMISSIONS];
	unsigned long hpa = *tce & ~TCE_PERMISSIONS;
	long ret = tbl->it_ops->xchg_no_kill(tbl, entry, &hpa, &direction);

	if (likely(!ret))
		*tce = hpa | tce_permissions[direction & DMA_NONE];
	return ret;
}

/*
 * The device may have written to it.  Memory of devices is never preregistered:
 * nobody calls mm_iommu_newdev().
 */
static __always_inline void tce_dirty(unsigned long old)
{
	struct page *page;

	if (!(old & TCE_PCI_WRITE))
		return;
	page = pfn_to_page(old >> PAGE_SHIFT);
	if (unlikely(!PageDirty(page)))
		SetPageDirty(page);
}

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
 * User space that maps and unmaps in the container at the same time, or takes
 * another group out of it, may clear an entry in between, and lets go of what the
 * view says.  So what counts is what came back from the hardware.
 */

/**
 * struct tce_chunk - what is changed in one go
 * @request: of the guest
 * @first: first entry of the request
 * @npages: number of entries; less, once one has failed
 * @region: the last region that was looked up
 */
struct tce_chunk {
	const struct tce_request *request;
	u64 first;
	u64 npages;
	struct tce_region region;
};

/* Beside what came back from the hardware, in tce_link.old */
#define TCE_COUNTED	4UL	/* the new page has a count of its own */
#define TCE_STUCK	8UL	/* the old page could not be put back */

/**
 * struct tce_pass - a pass over the entries of one hardware table
 * @tbl: the hardware table
 * @mm: of the VM
 * @region: of the chunk
 * @entry: first hardware entry of the chunk
 * @uas: where the guest's pages are in user space, or NULL
 * @tces: their permissions
 * @old: of the link
 * @shift: of the link
 *
 * All that a loop needs, constant throughout, as none of it can be seen to be.
 */
struct tce_pass {
	struct iommu_table *tbl;
	struct mm_struct *mm;
	struct tce_region *region;
	unsigned long entry;
	const unsigned long *uas;
	const u64 *tces;
	unsigned long *old;
	unsigned int shift;
};

static __always_inline struct tce_pass tce_pass(struct tce_chunk *chunk,
						struct tce_link *link)
{
	const struct tce_request *request = chunk->request;

	lockdep_assert_held(&link->hw->lock);

	return (struct tce_pass){
		.tbl = link->hw->tbl,
		.mm = request->kvm->mm,
		.region = &chunk->region,
		.entry = tce_hw_entry(request, link, chunk->first),
		.uas = request->uas ? request->uas + chunk->first : NULL,
		.tces = request->tces ? request->tces + chunk->first : NULL,
		.old = link->old,
		.shift = link->shift,
	};
}

/* The page in user space for hardware entry number @i of the chunk; 0 for none */
static __always_inline unsigned long tce_ua(const struct tce_pass *pass,
					    unsigned long i)
{
	unsigned long ua, sub;

	if (!pass->uas)
		return 0;
	if (likely(!pass->shift))
		return pass->uas[i];
	ua = pass->uas[i >> pass->shift];
	sub = i & ((1UL << pass->shift) - 1);
	return ua ? ua + (sub << pass->tbl->it_page_shift) : 0;
}

static __always_inline struct mm_iommu_table_group_mem_t *
tce_region(const struct tce_pass *pass, unsigned long ua)
{
	return tce_region_find(pass->region, pass->mm, ua,
			       1UL << pass->tbl->it_page_shift);
}

/* Somebody else has let the old page go, count and all. */
static noinline bool tce_count_late(const struct tce_pass *pass,
				    struct mm_iommu_table_group_mem_t *mem,
				    unsigned long entry)
{
	unsigned long none = 0;

	if (!mm_iommu_mapped_inc(mem))
		return true;
	tce_exchange(pass->tbl, entry, &none);
	iommu_tce_kill(pass->tbl, entry, 1);
	return false;
}

static __always_inline bool tce_map(const struct tce_pass *pass, unsigned long i,
				    unsigned long ua, unsigned long old)
{
	unsigned long entry = pass->entry + i, hpa, was;
	unsigned int page_shift = pass->tbl->it_page_shift;
	struct mm_iommu_table_group_mem_t *mem, *old_mem;
	bool counted;

	old_mem = old ? tce_region(pass, old) : NULL;
	mem = tce_region(pass, ua);
	counted = mem != old_mem;
	if (!mem || mm_iommu_ua_to_hpa(mem, ua, page_shift, &hpa))
		return false;
	/* A slot may have a large page of the guest where the host has none. */
	if (hpa & ((1UL << page_shift) - 1))
		return false;
	if (counted && mm_iommu_mapped_inc(mem))
		return false;
	was = hpa | (pass->tces[i >> pass->shift] & TCE_PERMISSIONS);
	if (tce_exchange(pass->tbl, entry, &was)) {
		if (counted)
			mm_iommu_mapped_dec(mem);
		return false;
	}
	if (unlikely(!counted && !(was & TCE_PERMISSIONS))) {
		if (!tce_count_late(pass, mem, entry))
			return false;
		counted = true;
	}
	pass->old[i] = was | (counted ? TCE_COUNTED : 0);
	return true;
}

static __always_inline bool tce_unmap(const struct tce_pass *pass, unsigned long i)
{
	unsigned long was = 0;

	if (tce_exchange(pass->tbl, pass->entry + i, &was))
		return false;
	pass->old[i] = was;
	return true;
}

/* First pass over a run of entries.  Returns the first that is not changed. */
static unsigned long tce_run_change(const struct tce_pass *pass,
				    struct tce_link *link, const __be64 *view,
				    unsigned long i, unsigned long end)
{
	unsigned long from = link->from, to = link->to, ua;

	for (; i < end; i++, view++) {
		ua = tce_ua(pass, i);
		if (ua) {
			if (!tce_map(pass, i, ua, be64_to_cpu(*view)))
				break;
		} else if (!*view) {
			/* What is not in the view is not in the hardware. */
			pass->old[i] = 0;
			continue;
		} else if (!tce_unmap(pass, i)) {
			break;
		}
		from = min(from, i);
		to = i + 1;
	}
	link->from = from;
	link->to = to;
	return i;
}

/* First pass.  Shortens the chunk to the guest's entries that are new. */
static void tce_link_change(struct tce_chunk *chunk, struct tce_link *link)
{
	const struct tce_pass pass = tce_pass(chunk, link);
	unsigned long nr = chunk->npages << link->shift, i, run, done;
	bool maps = chunk->request->maps;
	__be64 *view;

	link->from = nr;
	link->to = 0;
	for (i = 0; i < nr; i += run) {
		view = tce_view(link, pass.entry + i, nr - i, maps, &run);
		done = i;
		if (view) {
			done = tce_run_change(&pass, link, view, i, i + run);
		} else if (!maps) {
			memset(&link->old[i], 0, run * sizeof(link->old[0]));
			done = i + run;
		}
		if (done < i + run) {
			chunk->npages = done >> link->shift;
			return;
		}
	}
}

/* What was there before comes back: its level is there, and its count still is. */
static void tce_link_undo(struct tce_chunk *chunk, struct tce_link *link)
{
	unsigned long i = max(link->from, chunk->npages << link->shift), was;
	const struct tce_pass pass = tce_pass(chunk, link);

	for (; i < link->to; i++) {
		was = link->old[i] & ~(TCE_COUNTED | TCE_STUCK);
		if (!was && !tce_ua(&pass, i))
			continue;
		if (tce_exchange(pass.tbl, pass.entry + i, &was))
			link->old[i] |= TCE_STUCK;
		else
			link->old[i] = was | (link->old[i] & TCE_COUNTED);
	}
}

static noinline void tce_let_go(const struct tce_pass *pass, unsigned long ua)
{
	struct mm_iommu_table_group_mem_t *mem = ua ? tce_region(pass, ua) : NULL;

	if (mem)
		mm_iommu_mapped_dec(mem);
}

/* An entry is new, and nothing reaches what was there before. */
static __always_inline void tce_settle(const struct tce_pass *pass, __be64 *view,
				       unsigned long i)
{
	unsigned long ua = tce_ua(pass, i), was = pass->old[i];
	unsigned long old = be64_to_cpu(*view);

	tce_dirty(was);
	if (ua || was & TCE_PERMISSIONS)
		*view = cpu_to_be64(ua);
	if (was & TCE_PERMISSIONS && (!ua || was & TCE_COUNTED))
		tce_let_go(pass, old);
}

/* An entry is as it was, and nothing reaches what was there for a moment. */
static noinline void tce_settle_undone(const struct tce_pass *pass, __be64 *view,
				       unsigned long i)
{
	unsigned long ua = tce_ua(pass, i), was = pass->old[i];

	/* The table does not do as it is told: both pages stay pinned. */
	if (was & TCE_STUCK) {
		*view = cpu_to_be64(ua);
		return;
	}
	tce_dirty(was);
	if (was & TCE_COUNTED)
		tce_let_go(pass, ua);
}

/* Second pass, after which nothing reaches what was replaced. */
static void tce_link_settle(struct tce_chunk *chunk, struct tce_link *link)
{
	unsigned long kept = chunk->npages << link->shift, i, end, run;
	const struct tce_pass pass = tce_pass(chunk, link);
	const unsigned long to = link->to;
	__be64 *view;

	if (link->from >= to)
		return;
	iommu_tce_kill(pass.tbl, pass.entry + link->from, to - link->from);
	for (i = link->from; i < to; i = end) {
		view = tce_view(link, pass.entry + i, to - i, false, &run);
		end = i + run;
		for (; view && i < end; i++, view++) {
			if (likely(i < kept))
				tce_settle(&pass, view, i);
			else
				tce_settle_undone(&pass, view, i);
		}
	}
}

/* What the guest reads back.  Pages that are not there read as 0, and are to be 0. */
static void tce_store(const struct tce_chunk *chunk)
{
	const struct tce_request *request = chunk->request;
	u64 first = chunk->first, left = chunk->npages, at, nr;
	struct page *page;

	for (; left; first += nr, left -= nr) {
		at = (request->first + first) % TCES_PER_PAGE;
		nr = min(left, TCES_PER_PAGE - at);
		page = READ_ONCE(request->table->pages[(request->first + first) /
						       TCES_PER_PAGE]);
		if (!page)
			continue;
		if (request->tces)
			memcpy((u64 *)page_address(page) + at,
			       request->tces + first, nr * sizeof(u64));
		else
			memset64((u64 *)page_address(page) + at, request->value, nr);
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

	tce_region_renew(&chunk->region, chunk->request->kvm->mm);
	list_for_each_entry(link, &table->links, node)
		tce_link_change(chunk, link);
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
	struct tce_chunk chunk = {
		.request = request,
		.region = { .start = request->start, .end = request->end },
	};
	u64 wanted, changed;

	while (chunk.first < request->npages) {
		chunk.npages = min(request->npages - chunk.first, TCE_CHUNK);
		if (!tce_have_pages(&chunk))
			return H_TOO_HARD;

		tce_lock(request->table);
		changed = 0;
		tce_chunk_limit(&chunk);
		wanted = chunk.npages;
		if (tce_table_live(request->table))
			changed = tce_change_chunk(&chunk);
		tce_unlock(request->table);
		if (changed < wanted)
			return H_TOO_HARD;

		chunk.first += changed;
		cond_resched();
		/* What takes long can be interrupted; user space starts it again. */
		if (request->npages > TCE_LIST_MAX && signal_pending(current))
			return H_TOO_HARD;
	}
	return H_SUCCESS;
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

	request.tces = &value;
	idx = srcu_read_lock(&vcpu->kvm->srcu);
	ret = tce_find_range(&request, liobn, ioba) ?:
	      tce_translate_all(&request, &ua) ?:
	      tce_change(&request);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	return ret;
}
EXPORT_SYMBOL_GPL(kvmppc_h_put_tce);

/* Where the list is in user space. */
static long tce_list_address(struct tce_request *request, u64 liobn, u64 ioba,
			     u64 gpa, void __user **address)
{
	int idx = srcu_read_lock(&request->kvm->srcu);
	struct kvm_memory_slot *slot;
	long ret;

	ret = tce_find_range(request, liobn, ioba);
	slot = __gfn_to_memslot(kvm_memslots(request->kvm), gpa >> PAGE_SHIFT);
	if (slot)
		*address = (void __user *)(__gfn_to_hva_memslot(slot, gpa >> PAGE_SHIFT) +
					   offset_in_page(gpa));
	srcu_read_unlock(&request->kvm->srcu, idx);
	return ret ?: slot ? H_SUCCESS : H_TOO_HARD;
}

/* Where there is no table, user space judges the arguments. */
static long tce_bad_list(struct kvm *kvm, u64 liobn)
{
	int idx = srcu_read_lock(&kvm->srcu);
	bool found = kvmppc_tce_find(kvm, liobn);

	srcu_read_unlock(&kvm->srcu, idx);
	return found ? H_PARAMETER : H_TOO_HARD;
}

/**
 * struct tce_list - a list of H_PUT_TCE_INDIRECT
 * @tces: as the guest has them, in our byte order
 * @uas: where they map something, the address in user space
 */
struct tce_list {
	u64 tces[TCE_LIST_MAX];
	unsigned long uas[TCE_LIST_MAX];
};

/* With no lock held, as user space may let the guest's page wait. */
static long tce_fetch(struct tce_list *list, const void __user *address,
		      u64 npages)
{
	u64 i;

	if (copy_from_user(list->tces, address, npages * sizeof(list->tces[0])))
		return H_TOO_HARD;
	for (i = 0; i < npages; i++)
		list->tces[i] = be64_to_cpu((__force __be64)list->tces[i]);
	return H_SUCCESS;
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
	void __user *address = NULL;
	long ret;
	int idx;

	if (npages > TCE_LIST_MAX || tce_list & (SZ_4K - 1))
		return tce_bad_list(vcpu->kvm, liobn);
	ret = tce_list_address(&request, liobn, ioba, tce_list, &address);
	if (ret)
		return ret;
	list = kmalloc(sizeof(*list), GFP_KERNEL | __GFP_NOWARN);
	if (!list || tce_fetch(list, address, npages))
		return H_TOO_HARD;

	request.tces = list->tces;
	idx = srcu_read_lock(&vcpu->kvm->srcu);
	/* Another table may have taken its name meanwhile. */
	ret = tce_find_range(&request, liobn, ioba) ?:
	      tce_translate_all(&request, list->uas) ?:
	      tce_change(&request);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
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
 * @tce_value has permissions; H_TOO_HARD as by kvmppc_h_put_tce(), and then some of
 * the entries may be new.
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

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	ret = tce_find_range(&request, liobn, ioba);
	if (!ret && tce_value & TCE_PERMISSIONS)
		ret = H_PARAMETER;
	if (!ret)
		ret = tce_change(&request);
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
	int idx;

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	ret = tce_find_range(&request, liobn, ioba);
	if (ret)
		goto unlock;
	page = READ_ONCE(request.table->pages[request.first / TCES_PER_PAGE]);
	tces = page ? page_address(page) : NULL;
	kvmppc_set_gpr(vcpu, 4,
		       tces ? READ_ONCE(tces[request.first % TCES_PER_PAGE]) : 0);
unlock:
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	return ret;
}
EXPORT_SYMBOL_GPL(kvmppc_h_get_tce);
