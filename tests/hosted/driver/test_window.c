// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the container opens and closes its windows, what is in one, and how it goes from
 * group to group.  window_parts.c is what window.sed takes of drivers/vfio/vfio_iommu_spapr_tce.c
 * with patches/; what these functions call is here.
 *
 * The log: a window is (s)et for a group, (u)nset, (c)leared and (f)reed, as a capital
 * letter if VMs may change it at that time; a (g)race period is waited for; and, where a
 * test asks for it, so are (h)ypercalls, by taking the lock of the window.  Entries are
 * (m)apped, in a v1 container (p)inned as well, and (k)illed or (d)ropped from the view;
 * in between others have the lock of the container (y).
 */
#include <stdlib.h>
#include <string.h>

#include <linux/bitmap.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include <asm/vfio_tce.h>

#include <shim_tce.h>

#include "../test.h"

typedef u64 phys_addr_t;

struct tce_container;

struct iommu_table_group_ops {
	unsigned long (*get_table_size)(void);
	long (*create_table)(void);
	long (*set_window)(struct iommu_table_group *group, int num, struct iommu_table *tbl);
	long (*unset_window)(struct iommu_table_group *group, int num);
};

struct iommu_group {
	struct iommu_table_group data;
};

static struct iommu_table tbl;
static long set_fails;		/* for the last group */
static bool unset_fails;
static bool log_locks;

static void note(char what)
{
	log_event(tce_hw_is_open(&tbl) ? what - 'a' + 'A' : what);
}

void *iommu_group_get_iommudata(struct iommu_group *group)
{
	return &group->data;
}

static long tce_iommu_create_table(struct tce_container *container,
				   struct iommu_table_group *group, int num, u32 page_shift,
				   u64 size, u32 levels, struct iommu_table **ptbl)
{
	*ptbl = &tbl;
	return 0;
}

static void tce_iommu_free_table(struct tce_container *container, struct iommu_table *of)
{
	note('f');
}

/* What was last cleared, or mapped and to where */
static unsigned long at, nr, to;

static int tce_iommu_clear(struct tce_container *container, struct iommu_table *of,
			   unsigned long entry, unsigned long pages)
{
	note('c');
	at = entry;
	nr = pages;
	return 0;
}

static unsigned long map_fails;		/* from this entry on */

static long tce_iommu_build_v2(struct tce_container *container, struct iommu_table *of,
			       unsigned long entry, unsigned long tce, unsigned long pages,
			       enum dma_data_direction direction)
{
	note('m');
	EXPECT_EQ(direction, DMA_TO_DEVICE);
	at = entry;
	nr = pages;
	to = tce;
	return map_fails && entry + pages > map_fails ? -EPERM : 0;
}

#define tce_iommu_build(...)	(note('p'), tce_iommu_build_v2(__VA_ARGS__))

static bool killed;

static bool fatal_signal_pending(void *task)
{
	return killed;
}

/* Entries of the hardware, and the addresses beside them: 0 for none */
#define ENTRIES		1500

static unsigned long hw[ENTRIES], stuck;
static __be64 view[ENTRIES];
static int counts[ENTRIES];

#define IOMMU_TABLE_USERSPACE_ENTRY_RO(of, entry)	(&view[(entry) - (of)->it_offset])

static long iommu_tce_xchg_no_kill(struct mm_struct *mm, struct iommu_table *of,
				   unsigned long entry, unsigned long *hpa,
				   enum dma_data_direction *direction)
{
	unsigned long old = hw[entry - of->it_offset];

	lockdep_assert_held(tce_hw_lock(of));
	EXPECT_EQ(*direction, DMA_NONE);
	if (stuck && entry == stuck)
		return -EIO;
	hw[entry - of->it_offset] = 0;
	*hpa = old;
	*direction = old ? DMA_BIDIRECTIONAL : DMA_NONE;
	return 0;
}

static void tce_iommu_unuse_page_v2(struct tce_container *container, struct iommu_table *of,
				    unsigned long entry)
{
	lockdep_assert_held(tce_hw_lock(of));
	log_event('d');
	if (view[entry - of->it_offset])
		counts[entry - of->it_offset]--;
	view[entry - of->it_offset] = 0;
}

/* The PE of a group is that group; the second one may have none. */
struct eeh_pe;
static bool no_pe;

static struct eeh_pe *eeh_iommu_group_to_pe(struct iommu_group *group);

static void lock_window(spinlock_t *lock)
{
	if (log_locks)
		log_event('h');
	spin_lock(lock);
}

#define spin_lock(lock)	lock_window(lock)
#include "window_parts.c"
#undef spin_lock

static struct tce_container container;
static struct iommu_group groups[2];
static struct tce_iommu_group members[2];

static long set_window(struct iommu_table_group *group, int num, struct iommu_table *of)
{
	note('s');
	if (group == &groups[1].data && set_fails)
		return set_fails;
	group->tables[num] = of;
	return 0;
}

static long unset_window(struct iommu_table_group *group, int num)
{
	note('u');
	if (unset_fails)
		return -EIO;
	group->tables[num] = NULL;
	return 0;
}

/* Only looked at */
static unsigned long table_size(void)
{
	return 0;
}

static long table_create(void)
{
	return 0;
}

static void table_free(struct iommu_table *of)
{
}

static const struct iommu_table_group_ops group_ops = {
	.get_table_size = table_size,
	.create_table = table_create,
	.set_window = set_window,
	.unset_window = unset_window,
};

static void table_kill(struct iommu_table *of, unsigned long entry, unsigned long nr)
{
	log_event('k');
}

static const struct iommu_table_ops table_ops = { .free = table_free, .tce_kill = table_kill };

/* Two groups are in the container. */
static long create(void)
{
	u64 start;

	memset(&tbl, 0, sizeof(tbl));
	memset(&container, 0, sizeof(container));
	memset(groups, 0, sizeof(groups));
	tbl.it_page_shift = 16;
	tbl.it_size = 16;
	tbl.it_ops = &table_ops;
	mutex_init(&container.lock);
	INIT_LIST_HEAD(&container.group_list);
	for (int i = 0; i < 2; i++) {
		groups[i].data.ops = &group_ops;
		groups[i].data.pgsizes = 1UL << 16;
		members[i].grp = &groups[i];
		list_add_tail(&members[i].next, &container.group_list);
	}
	return tce_iommu_create_window(&container, 16, 1UL << 20, 1, &start);
}

/* A group that leaves is off the list by then. */
static void leave(int i)
{
	list_del(&members[i].next);
	tce_iommu_release_ownership(&container, &groups[i].data);
}

TEST(create, "a window is open when it is in all groups, and not before")
{
	log_start();
	EXPECT_EQ(create(), 0);
	EXPECT_STR(log_stop(), "ss");
	EXPECT(tce_hw_is_open(&tbl));
}

TEST(create_fails, "a window that one of the groups refuses was never open")
{
	set_fails = -EIO;
	log_start();
	EXPECT_EQ(create(), -EIO);
	EXPECT_STR(log_stop(), "ssuugf");
}

TEST(remove, "a window is closed before it is cleared and taken from the groups")
{
	for (int refuses = 0; refuses < 2; refuses++) {
		EXPECT_EQ(create(), 0);
		unset_fails = refuses;
		log_start();
		mutex_lock(&container.lock);
		EXPECT_EQ(tce_iommu_remove_window(&container, 0), 0);
		mutex_unlock(&container.lock);
		EXPECT_STR(log_stop(), "cuugf");
	}
}

TEST(leave, "a group leaves: what is mapped stays for the other, and goes with the last")
{
	EXPECT_EQ(create(), 0);
	log_locks = true;
	log_start();
	leave(0);
	leave(1);
	EXPECT_STR(log_stop(), "UhCU");
	EXPECT(tce_hw_is_open(&tbl));
}

TEST(leave_refused, "a window that stays in its slot is closed when the last group leaves")
{
	EXPECT_EQ(create(), 0);
	unset_fails = true;
	log_locks = true;
	log_start();
	leave(0);
	EXPECT(tce_hw_is_open(&tbl));
	leave(1);
	EXPECT_STR(log_stop(), "UhCCU");
	EXPECT(!tce_hw_is_open(&tbl));
}

static struct eeh_pe *eeh_iommu_group_to_pe(struct iommu_group *group)
{
	lockdep_assert_held(&container.lock);
	return no_pe && group == &groups[1] ? NULL : (struct eeh_pe *)group;
}

TEST(range, "a range is in a window with all of its entries, or it is not")
{
	EXPECT_EQ(create(), 0);
	tbl.it_offset = 4;
	EXPECT(!tce_iommu_has_range(&tbl, 4 << 16, 0));
	EXPECT(tce_iommu_has_range(&tbl, 4 << 16, 16 << 16));
	EXPECT(!tce_iommu_has_range(&tbl, 4 << 16, 17 << 16));
	EXPECT(tce_iommu_has_range(&tbl, 19 << 16, 1 << 16));
	EXPECT(!tce_iommu_has_range(&tbl, 19 << 16, 2 << 16));
	EXPECT(!tce_iommu_has_range(&tbl, 5 << 16, -1ULL << 16));
	EXPECT(!tce_iommu_has_range(&tbl, (4 << 16) + 4096, 1 << 16));
}

/* What others do with the container's lock, once they have had it so many times */
static void (*others)(void);
static int others_at;
static bool v1;

void cond_resched(void)
{
	mutex_lock(&container.lock);
	log_event('y');
	if (others && !others_at--)
		others();
	mutex_unlock(&container.lock);
}

static void all_leave(void)
{
	leave(0);
	leave(1);
}

static void is_removed(void)
{
	EXPECT_EQ(tce_iommu_remove_window(&container, 0), 0);
}

static void is_replaced(void)
{
	static struct iommu_table other;

	is_removed();
	container.tables[0] = &other;
}

static void is_killed(void)
{
	killed = true;
}

/* Three pieces, the last of which is not whole */
#define PAGES		1100UL

static void expect_last(unsigned long entry, unsigned long pages)
{
	EXPECT_EQ(at, entry);
	EXPECT_EQ(nr, pages);
}

static void (*const take_away[])(void) = { all_leave, is_removed, is_replaced };

/* Done to a window, while others do theirs once they have had the lock @n times */
static long change(bool map, void (*what)(void), int n)
{
	long ret = 0;

	EXPECT_EQ(create(), 0);
	container.v2 = !v1;
	tbl.it_size = PAGES;
	others = what;
	others_at = n;
	log_start();
	mutex_lock(&container.lock);
	if (map)
		ret = tce_iommu_map(&container, &tbl, 0, 10, 0x70000, PAGES, DMA_TO_DEVICE);
	else
		tce_iommu_unmap(&container, &tbl, 0, 10, PAGES);
	mutex_unlock(&container.lock);
	return ret;
}

/* Contract 1.31 */
TEST(map, "MAP_DMA lets others have the lock; a window that is gone meanwhile is left alone")
{
	static const char *const logs[] = { "MyMyUCU", "MyMycuugf", "MyMycuugf" };

	EXPECT_EQ(change(true, NULL, 0), 0);
	EXPECT_STR(log_stop(), "MyMyM");
	expect_last(10 + 1024, PAGES - 1024);
	EXPECT_EQ(to, 0x70000 + (1024UL << 16));
	for (size_t i = 0; i < ARRAY_SIZE(logs); i++) {
		EXPECT_EQ(change(true, take_away[i], 1), -ENXIO);
		EXPECT_STR(log_stop(), logs[i]);
	}
	v1 = true;
	EXPECT_EQ(change(true, NULL, 0), 0);
	EXPECT_STR(log_stop(), "PMyPMyPM");
}

TEST(map_fails, "MAP_DMA that fails, or is killed, clears what it has mapped, in pieces")
{
	map_fails = 10 + 1050;
	EXPECT_EQ(change(true, NULL, 0), -EPERM);
	EXPECT_STR(log_stop(), "MyMyMyCyC");
	expect_last(10 + 512, 512);
	map_fails = 0;
	EXPECT_EQ(change(true, is_killed, 0), -EINTR);
	EXPECT_STR(log_stop(), "MyyC");
	expect_last(10, 512);
}

/* Contract 1.31 */
TEST(unmap, "UNMAP_DMA lets others have the lock; a window that is gone meanwhile is left alone")
{
	static const char *const logs[] = { "yCyUCU", "yCycuugf", "yCycuugf" };

	change(false, NULL, 0);
	EXPECT_STR(log_stop(), "yCyCyC");
	expect_last(10 + 1024, PAGES - 1024);
	for (size_t i = 0; i < ARRAY_SIZE(take_away); i++) {
		change(false, take_away[i], 1);
		EXPECT_STR(log_stop(), logs[i]);
		/* Of the window, by who takes it away */
		expect_last(0, PAGES);
	}
}

/* As container and KVM leave entries, or one of them midway */
static void map_entry(int i, bool hardware, bool in_view, int count)
{
	hw[i] = hardware ? 0x1000 : 0;
	view[i] = in_view ? 0x2000 : 0;
	counts[i] = count;
}

static void expect_entry(int i, bool hardware, bool in_view, int count)
{
	EXPECT_EQ(!!hw[i], hardware);
	EXPECT_EQ(!!view[i], in_view);
	EXPECT_EQ(counts[i], count);
}

TEST(clear, "what is cleared: killed, then uncounted; what somebody else has unmapped is his")
{
	EXPECT_EQ(create(), 0);
	tbl.it_offset = 100;
	map_entry(0, true, true, 1);
	map_entry(1, false, true, 1);
	map_entry(2, true, false, 0);
	map_entry(3, false, false, 0);
	map_entry(4, true, true, 1);
	log_start();
	EXPECT_EQ(tce_iommu_clear_piece(&container, &tbl, 100, 5), 5);
	EXPECT_STR(log_stop(), "kddd");
	expect_entry(0, false, false, 0);
	expect_entry(1, false, true, 1);
	expect_entry(2, false, false, 0);
	expect_entry(3, false, false, 0);
	expect_entry(4, false, false, 0);
	log_start();
	EXPECT_EQ(tce_iommu_clear_piece(&container, &tbl, 100, 5), 5);
	EXPECT_STR(log_stop(), "");
	/* As many as can be under one hold of the lock, or in one level */
	EXPECT_EQ(tce_iommu_clear_piece(&container, &tbl, 100, ENTRIES), 64);
	tbl.it_indirect_levels = 1;
	tbl.it_level_size = 64;
	EXPECT_EQ(tce_iommu_clear_piece(&container, &tbl, 160, ENTRIES), 4);
}

TEST(clear_stuck, "an entry that cannot be cleared keeps its count, and is passed over")
{
	EXPECT_EQ(create(), 0);
	for (int i = 0; i < 3; i++)
		map_entry(i, true, true, 1);
	stuck = 1;
	EXPECT_EQ(tce_iommu_clear_piece(&container, &tbl, 0, 3), 2);
	EXPECT_EQ(tce_iommu_clear_piece(&container, &tbl, 2, 1), 1);
	expect_entry(0, false, false, 0);
	expect_entry(1, true, true, 1);
	expect_entry(2, false, false, 0);
}

static bool next_is(struct iommu_group **last, struct iommu_group *want)
{
	struct eeh_pe *pe;

	if (!tce_iommu_next_pe(&container, last, &pe))
		return !want;
	mutex_lock(&container.lock);
	mutex_unlock(&container.lock);
	return *last == want &&
	       pe == (no_pe && want == &groups[1] ? NULL : (struct eeh_pe *)want);
}

TEST(each_pe, "the PE of each group in turn, with nothing locked")
{
	struct iommu_group *last = NULL;
	struct eeh_pe *pe;

	EXPECT_EQ(create(), 0);
	EXPECT(next_is(&last, &groups[0]));
	EXPECT(next_is(&last, &groups[1]));
	EXPECT(next_is(&last, NULL));
	no_pe = true;
	last = &groups[0];
	EXPECT(next_is(&last, &groups[1]));
	/* What comes behind a group that has left, nobody knows: no PE, which is ENODEV. */
	leave(0);
	last = &groups[0];
	EXPECT(tce_iommu_next_pe(&container, &last, &pe));
	EXPECT_EQ(pe, NULL);
	last = NULL;
	EXPECT(next_is(&last, &groups[1]));
	leave(1);
	last = NULL;
	EXPECT(next_is(&last, NULL));
	/* With nobody left, nobody is left out. */
	last = &groups[1];
	EXPECT(!tce_iommu_next_pe(&container, &last, &pe));
}

void fake_end(void)
{
	EXPECT_EQ(shim_live_objects(), 0);
	set_fails = 0;
	stuck = 0;
	map_fails = 0;
	others = NULL;
	killed = false;
	v1 = false;
	unset_fails = false;
	log_locks = false;
	no_pe = false;
}
