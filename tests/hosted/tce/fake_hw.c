// SPDX-License-Identifier: GPL-2.0-only
/* Hardware tables with their TLB, and preregistered memory */
#include <stdlib.h>
#include <string.h>

#include <linux/fault.h>

#include "fake.h"

#define HPA_SHIFT	30
#define FAKE_REGIONS	520
#define PAGES_LEAF	64

/*
 * One lock for all: the locks of the code under test must not be relied on
 * here.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

bool shim_lpar;

static struct hw *hws;
static struct region *regions[FAKE_REGIONS];
static unsigned int nr_regions;
static unsigned long stale;

unsigned long hw_stale(void)
{
	return stale;
}

/*
 * What a look-up says is a guess until a barrier: the processor may go on with it where
 * the look-up has refused.  An address has the number of the barrier before its look-up
 * in it, until the hardware has taken it.
 */

#define GUESS		0x4000000000000000UL
#define GUESS_SHIFT	40
#define GUESS_MASK	0x3fffffUL

__thread unsigned long hw_barriers;

void barrier_nospec(void)
{
	hw_barriers++;
	log_event('n');
}

static u64 guess_of(u64 hpa)
{
	return hpa | GUESS | (hw_barriers & GUESS_MASK) << GUESS_SHIFT;
}

static u64 guess_strip(u64 hpa)
{
	return hpa & GUESS ? hpa & ((1UL << GUESS_SHIFT) - 1) : hpa;
}

/* Which regions an entry reaches: what it has, and what the TLB has of it */

static struct region *region_by_hpa(u64 value)
{
	u64 nr = value >> HPA_SHIFT;

	if (!(value & PERMS))
		return NULL;
	if (!nr || nr > nr_regions)
		bail_out("hardware is given 0x%lx", (unsigned long)value);
	return regions[nr - 1];
}

static void entry_reach(struct hw_entry *entry, int step)
{
	struct region *seen[FAKE_CACHED + 1];
	unsigned int nr = 0, k;
	bool old = false;

	for (unsigned int i = 0; i <= entry->nr_cached; i++) {
		u64 value = i ? entry->cached[i - 1] : entry->now;
		struct region *region = region_by_hpa(value);

		old |= i && value != entry->now;
		for (k = 0; k < nr && seen[k] != region; k++)
			;
		if (!region || k < nr)
			continue;
		seen[nr++] = region;
		region->reach += step;
	}
	if (old)
		stale += step;
}

static void entry_cache(struct hw_entry *entry, u64 value)
{
	for (unsigned int i = 0; i < entry->nr_cached; i++)
		if (entry->cached[i] == value)
			return;
	if (entry->nr_cached == FAKE_CACHED)
		bail_out("an entry changes %d times without a kill", FAKE_CACHED);
	entry->cached[entry->nr_cached++] = value;
}

static void entry_set(struct hw_entry *entry, u64 value)
{
	entry_reach(entry, -1);
	entry->now = value;
	if (value & PERMS)
		entry_cache(entry, value);
	entry_reach(entry, 1);
}

static void entry_kill(struct hw_entry *entry)
{
	entry_reach(entry, -1);
	entry->nr_cached = 0;
	if (entry->now & PERMS)
		entry_cache(entry, entry->now);
	entry_reach(entry, 1);
}

/* Tables */

static struct hw *hw_of(struct iommu_table *tbl, long index, unsigned long nr,
			const char *what)
{
	struct hw *hw = container_of(tbl, struct hw, tbl);
	unsigned long i = index - tbl->it_offset;

	if (i >= tbl->it_size || nr > tbl->it_size - i)
		bail_out("%s: entry %ld, %lu of them", what, index, nr);
	return hw;
}

static struct hw_entry *hw_entry(struct hw *hw, unsigned long i, bool alloc)
{
	struct hw_entry **leaf = &hw->entries[i / hw->leaf];

	if (!*leaf && (!alloc || shim_fault("level")))
		return NULL;
	if (!*leaf)
		*leaf = calloc(hw->leaf, sizeof(**leaf));
	return *leaf + i % hw->leaf;
}

static __be64 *hw_useraddrptr(struct iommu_table *tbl, long index, bool alloc)
{
	struct hw *hw = hw_of(tbl, index, 1, __func__);
	unsigned long i = index - tbl->it_offset;
	__be64 **leaf = &hw->view[i / hw->leaf], *ret = NULL;

	log_event('v');
	pthread_mutex_lock(&lock);
	if (!*leaf && alloc && !shim_fault("view level"))
		*leaf = calloc(hw->leaf, sizeof(**leaf));
	if (*leaf)
		ret = *leaf + i % hw->leaf;
	pthread_mutex_unlock(&lock);
	return ret;
}

enum dma_data_direction iommu_tce_direction(unsigned long tce)
{
	static const enum dma_data_direction directions[] = {
		DMA_NONE, DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_BIDIRECTIONAL
	};

	return directions[tce & PERMS];
}

static const u64 direction_perms[] = {
	[DMA_BIDIRECTIONAL] = PERMS,
	[DMA_TO_DEVICE] = TCE_PCI_READ,
	[DMA_FROM_DEVICE] = PERMS,
	[DMA_NONE] = 0,
};

static int hw_exchange(struct hw *hw, unsigned long i, unsigned long *hpa,
		       enum dma_data_direction *direction)
{
	struct hw_entry *entry;
	u64 old;

	hw_counts.exchanges++;
	entry = hw_entry(hw, i, *direction != DMA_NONE);
	if (!entry && *direction == DMA_NONE) {
		*hpa = 0;
		return 0;
	}
	if (!entry)
		return -ENOMEM;
	old = entry->now;
	entry_set(entry, guess_strip(*hpa) | direction_perms[*direction]);
	*hpa = old & ~(u64)PERMS;
	*direction = iommu_tce_direction(old);
	return 0;
}

int (*hw_before_exchange)(struct hw *hw, unsigned long i);

/* Of this thread's RCU section */
static __thread unsigned long changed, looked_up;

static void count_changed(unsigned long nr)
{
	changed += nr;
	if (changed > hw_counts.longest)
		hw_counts.longest = changed;
}

static int hw_xchg(struct iommu_table *tbl, long index, unsigned long *hpa,
		   enum dma_data_direction *direction)
{
	struct hw *hw = hw_of(tbl, index, 1, __func__);
	int ret;

	if (*hpa & ((1UL << tbl->it_page_shift) - 1))
		SHIM_FAIL("BUG_ON of powernv: 0x%lx, page shift %lu", *hpa,
			  tbl->it_page_shift);
	if (!rcu_read_lock_held())
		SHIM_FAIL("an entry changes outside of an RCU section");
	ret = hw_before_exchange ? hw_before_exchange(hw, index - tbl->it_offset) : 0;
	if (ret)
		return ret;
	pthread_mutex_lock(&lock);
	if (hw->removed || __atomic_load_n(&hw->forbidden, __ATOMIC_ACQUIRE))
		SHIM_FAIL("an entry changes in a window that was given up");
	count_changed(1);
	ret = hw_exchange(hw, index - tbl->it_offset, hpa, direction);
	pthread_mutex_unlock(&lock);
	return ret;
}

static void hw_kill(struct iommu_table *tbl, unsigned long index,
		    unsigned long pages)
{
	struct hw *hw = hw_of(tbl, index, pages, __func__);
	struct hw_entry *entry;

	pthread_mutex_lock(&lock);
	hw_counts.kills++;
	hw_counts.killed += pages;
	for (unsigned long i = 0; i < pages; i++) {
		entry = hw_entry(hw, index - tbl->it_offset + i, false);
		if (entry)
			entry_kill(entry);
	}
	pthread_mutex_unlock(&lock);
}

/* pnv_tce_get() */
static unsigned long hw_get(struct iommu_table *tbl, long index)
{
	struct hw *hw = hw_of(tbl, index, 1, __func__);
	unsigned long now;

	pthread_mutex_lock(&lock);
	now = hw_now(hw, index - tbl->it_offset);
	pthread_mutex_unlock(&lock);
	return now;
}

/* pnv_ioda2_tce_free(): kills, too */
static void hw_ops_clear(struct iommu_table *tbl, long index, long nr)
{
	struct hw *hw = hw_of(tbl, index, nr, __func__);
	struct hw_entry *entry;

	if (shim_lpar)
		SHIM_FAIL("an LPAR does not hear what clear() has done");
	if (!rcu_read_lock_held())
		SHIM_FAIL("entries are cleared outside of an RCU section");
	pthread_mutex_lock(&lock);
	if (hw->removed || __atomic_load_n(&hw->forbidden, __ATOMIC_ACQUIRE))
		SHIM_FAIL("entries are cleared in a window that was given up");
	count_changed(nr);
	hw_counts.clears++;
	hw_counts.kills++;
	hw_counts.killed += nr;
	for (long i = 0; i < nr; i++) {
		entry = hw_entry(hw, index - tbl->it_offset + i, false);
		if (!entry)
			continue;
		hw_counts.cleared += !!entry->now;
		entry_set(entry, 0);
		entry_kill(entry);
	}
	pthread_mutex_unlock(&lock);
}

static const struct iommu_table_ops hw_ops = {
	.get = hw_get,
	.clear = hw_ops_clear,
	.xchg_no_kill = hw_xchg,
	.tce_kill = hw_kill,
	.useraddrptr = hw_useraddrptr,
};

/* @leaf: entries in a leaf; 0: one level */
struct hw *hw_new_shut(unsigned int shift, u64 bus, u64 size, unsigned long leaf)
{
	struct hw *hw = calloc(1, sizeof(*hw));

	hw->tbl.it_page_shift = shift;
	hw->tbl.it_offset = bus >> shift;
	hw->tbl.it_size = size >> shift;
	hw->tbl.it_indirect_levels = !!leaf;
	hw->tbl.it_level_size = leaf ?: hw->tbl.it_size;
	hw->tbl.it_ops = &hw_ops;
	hw->refs = 1;
	hw->leaf = hw->tbl.it_level_size;
	hw->nr_leaves = DIV_ROUND_UP(hw->tbl.it_size, hw->leaf);
	hw->entries = calloc(hw->nr_leaves, sizeof(*hw->entries));
	hw->view = calloc(hw->nr_leaves, sizeof(*hw->view));
	if (!leaf) {
		hw->entries[0] = calloc(hw->leaf, sizeof(**hw->entries));
		hw->view[0] = calloc(hw->leaf, sizeof(**hw->view));
	}
	/* The root of the view; of one level, the view */
	hw->tbl.it_userspace = leaf ? (__be64 *)hw->view : hw->view[0];
	hw_counts.tables++;
	hw->next = hws;
	hws = hw;
	return hw;
}

struct hw *hw_new(unsigned int shift, u64 bus, u64 size, unsigned long leaf)
{
	struct hw *hw = hw_new_shut(shift, bus, size, leaf);

	tce_hw_open(&hw->tbl);
	return hw;
}

u64 hw_now(struct hw *hw, unsigned long i)
{
	struct hw_entry *leaf = hw->entries[i / hw->leaf];

	return leaf ? leaf[i % hw->leaf].now : 0;
}

unsigned long hw_view(struct hw *hw, unsigned long i)
{
	__be64 *leaf = hw->view[i / hw->leaf];

	return leaf ? be64_to_cpu(leaf[i % hw->leaf]) : 0;
}

void hw_user_map(struct hw *hw, unsigned long i, struct region *region,
		 unsigned long ua, u64 perms, bool v2)
{
	if (v2) {
		*hw_useraddrptr(&hw->tbl, hw->tbl.it_offset + i, true) =
			cpu_to_be64(ua);
		region->mapped++;
	}
	entry_set(hw_entry(hw, i, true), region_hpa(region, ua) | perms);
}

void hw_user_unmap(struct hw *hw, unsigned long i)
{
	struct region *region = region_by_hpa(hw_now(hw, i));

	pthread_mutex_lock(&lock);
	entry_set(hw_entry(hw, i, false), 0);
	entry_kill(hw_entry(hw, i, false));
	hw->view[i / hw->leaf][i % hw->leaf] = 0;
	region->mapped--;
	pthread_mutex_unlock(&lock);
}

/* tce_iommu_clear(): what VFIO does before a table goes */
static void hw_clear(struct hw *hw)
{
	struct region *region;
	unsigned long ua;

	for (unsigned long i = 0; i < hw->tbl.it_size; i++) {
		ua = hw_view(hw, i);
		region = region_by_hpa(hw_now(hw, i));
		if (!region && !ua)
			continue;
		EXPECT(region);
		entry_set(hw_entry(hw, i, false), 0);
		entry_kill(hw_entry(hw, i, false));
		if (!ua)
			continue;
		region->mapped--;
		hw->view[i / hw->leaf][i % hw->leaf] = 0;
	}
}

/* Nobody changes it any more, and it is cleared. */
void hw_close(struct hw *hw)
{
	tce_hw_close(&hw->tbl);
	pthread_mutex_lock(&lock);
	hw_clear(hw);
	hw->removed = true;
	pthread_mutex_unlock(&lock);
}

/* The container lets go of it; KVM may keep the memory. */
void hw_put(struct hw *hw)
{
	hw_close(hw);
	iommu_tce_table_put(&hw->tbl);
}

struct iommu_table *iommu_tce_table_get(struct iommu_table *tbl)
{
	struct hw *hw = container_of(tbl, struct hw, tbl);

	if (__atomic_add_fetch(&hw->refs, 1, __ATOMIC_ACQ_REL) <= 1)
		SHIM_FAIL("a hardware table is taken that is gone");
	return tbl;
}

static void hw_free(struct hw *hw)
{
	struct hw **where = &hws;

	pthread_mutex_lock(&lock);
	while (*where != hw)
		where = &(*where)->next;
	*where = hw->next;
	hw_counts.tables--;
	pthread_mutex_unlock(&lock);
	if (!hw->removed)
		SHIM_FAIL("a hardware table is put too often");
	for (unsigned long i = 0; i < hw->nr_leaves; i++) {
		free(hw->entries[i]);
		free(hw->view[i]);
	}
	free(hw->entries);
	free(hw->view);
	free(hw);
}

int iommu_tce_table_put(struct iommu_table *tbl)
{
	struct hw *hw = container_of(tbl, struct hw, tbl);

	if (!__atomic_sub_fetch(&hw->refs, 1, __ATOMIC_ACQ_REL))
		hw_free(hw);
	return 0;
}

/* Preregistered memory */

/*
 * A region as it was found in this RCU section; at its end the pointer is
 * invalid.
 */
struct mm_iommu_table_group_mem_t {
	struct region *region;
	struct mm_iommu_table_group_mem_t *next;
};

static __thread struct mm_iommu_table_group_mem_t *found;

static void forget_found(void)
{
	struct mm_iommu_table_group_mem_t *mem;

	changed = 0;
	looked_up = 0;
	while ((mem = found)) {
		found = mem->next;
		free(mem);
	}
}

static unsigned long region_leaves(const struct region *region)
{
	return DIV_ROUND_UP(region->size >> PAGE_SHIFT, PAGES_LEAF);
}

/* Most pages of most regions are never looked at. */
static struct page *region_page(struct region *region, unsigned long nr)
{
	struct page **leaf = &region->pages[nr / PAGES_LEAF], *new, *old = NULL;

	if (!__atomic_load_n(leaf, __ATOMIC_ACQUIRE)) {
		new = calloc(PAGES_LEAF, sizeof(*new));
		for (unsigned int i = 0; i < PAGES_LEAF; i++)
			new[i].shift = region->shift;
		if (!__atomic_compare_exchange_n(leaf, &old, new, false, __ATOMIC_ACQ_REL,
						 __ATOMIC_ACQUIRE))
			free(new);
	}
	return __atomic_load_n(leaf, __ATOMIC_ACQUIRE) + nr % PAGES_LEAF;
}

struct region *region_new(unsigned long ua, unsigned long size, unsigned int shift)
{
	struct region *region = calloc(1, sizeof(*region));

	shim_rcu_leave = forget_found;
	region->ua = ua;
	region->size = size;
	region->shift = shift;
	region->mapped = 1;
	region->listed = true;
	region->pages = calloc(region_leaves(region), sizeof(*region->pages));
	region->number = nr_regions;
	regions[nr_regions++] = region;
	return region;
}

struct region *region_nr(unsigned int nr)
{
	return nr < nr_regions ? regions[nr] : NULL;
}

struct region *region_of(unsigned long ua, unsigned long size)
{
	for (unsigned int i = 0; i < nr_regions; i++)
		if (READ_ONCE(regions[i]->listed) && ua >= regions[i]->ua &&
		    ua + size <= regions[i]->ua + regions[i]->size)
			return regions[i];
	return NULL;
}

/*
 * The last block first, so that neighbours in one address space are not in the
 * other.
 */
u64 region_hpa(const struct region *region, unsigned long ua)
{
	unsigned long block = (ua - region->ua) >> region->shift;
	unsigned long last = (region->size >> region->shift) - 1;

	return ((u64)region->number + 1) << HPA_SHIFT |
	       (last - block) << region->shift |
	       (ua & ((1UL << region->shift) - 1));
}

struct page *pfn_to_page(unsigned long pfn)
{
	u64 guess = (u64)pfn << PAGE_SHIFT, hpa = guess_strip(guess), nr = hpa >> HPA_SHIFT;

	if (guess == guess_of(hpa))
		SHIM_FAIL("a page is looked at by a guess, without a barrier");
	if (!nr || nr > nr_regions)
		bail_out("no page at 0x%lx", (unsigned long)hpa);
	hpa &= (1ULL << HPA_SHIFT) - 1;
	if (hpa >= regions[nr - 1]->size)
		bail_out("no page at 0x%lx of its region", (unsigned long)hpa);
	return region_page(regions[nr - 1], hpa >> PAGE_SHIFT);
}

bool region_unregister_begin(struct region *region)
{
	bool ret;

	pthread_mutex_lock(&lock);
	ret = region->mapped == 1;
	if (ret)
		region->mapped = 0;
	pthread_mutex_unlock(&lock);
	return ret;
}

void region_unregister_end(struct region *region)
{
	WRITE_ONCE(region->listed, false);
	synchronize_rcu();
	pthread_mutex_lock(&lock);
	if (region->mapped || region->reach)
		SHIM_FAIL("a region is freed with %ld counts and %ld entries",
			  region->mapped, region->reach);
	pthread_mutex_unlock(&lock);
}

void region_return(struct region *region)
{
	pthread_mutex_lock(&lock);
	region->mapped = 1;
	pthread_mutex_unlock(&lock);
	WRITE_ONCE(region->listed, true);
}

struct mm_iommu_table_group_mem_t *mm_iommu_lookup(struct mm_struct *mm,
						   unsigned long ua,
						   unsigned long size)
{
	struct mm_iommu_table_group_mem_t *mem;
	struct region *region;
	bool counted;

	if (!rcu_read_lock_held())
		SHIM_FAIL("a region is looked up outside of an RCU section");
	hw_counts.lookups++;
	if (++looked_up > hw_counts.most_lookups)
		hw_counts.most_lookups = looked_up;
	log_event('l');
	region = region_of(ua, size);
	if (!region)
		return NULL;
	pthread_mutex_lock(&lock);
	counted = region->mapped > 1;
	pthread_mutex_unlock(&lock);
	/* A region without a count can go away at any time. */
	if (!counted && shim_fault("mm_iommu_lookup"))
		return NULL;
	for (mem = found; mem; mem = mem->next)
		if (mem->region == region)
			return mem;
	mem = calloc(1, sizeof(*mem));
	mem->region = region;
	mem->next = found;
	found = mem;
	return mem;
}

long mm_iommu_ua_to_hpa(struct mm_iommu_table_group_mem_t *mem, unsigned long ua,
			unsigned int pageshift, unsigned long *hpa)
{
	const struct region *region = mem->region;

	if (ua < region->ua || ua >= region->ua + region->size)
		return -EFAULT;
	if (pageshift > region->shift || shim_fault("mm_iommu_ua_to_hpa"))
		return -EFAULT;
	*hpa = guess_of(region_hpa(region, ua));
	return 0;
}

long mm_iommu_mapped_inc(struct mm_iommu_table_group_mem_t *mem)
{
	struct region *region = mem->region;
	long ret = -ENXIO;

	pthread_mutex_lock(&lock);
	if (region->mapped && !(region->mapped == 1 &&
				shim_fault("mm_iommu_mapped_inc"))) {
		region->mapped++;
		ret = 0;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

void mm_iommu_mapped_dec(struct mm_iommu_table_group_mem_t *mem)
{
	struct region *region = mem->region;

	pthread_mutex_lock(&lock);
	if (region->mapped <= 1)
		SHIM_FAIL("a region has no count to drop");
	else
		region->mapped--;
	if (region->reach > region->mapped - 1)
		SHIM_FAIL("%ld entries reach a region with %ld counts",
			  region->reach, region->mapped - 1);
	pthread_mutex_unlock(&lock);
}

void hw_end(void);

void hw_end(void)
{
	while (hws)
		hw_put(hws);
	EXPECT_EQ(stale, 0);
	while (nr_regions) {
		struct region *region = regions[--nr_regions];

		EXPECT(region->mapped <= 1);
		EXPECT_EQ(region->reach, 0);
		for (unsigned long k = 0; k < region_leaves(region); k++)
			free(region->pages[k]);
		free(region->pages);
		free(region);
	}
}
