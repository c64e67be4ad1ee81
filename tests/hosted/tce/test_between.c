// SPDX-License-Identifier: GPL-2.0-only
/*
 * What others do between two steps of a hypercall or of an attach.  Each step
 * is held by a hook of the fake, so nothing is random.
 */
#include <pthread.h>
#include <sched.h>

#include "world.h"

#define RW	PERMS
#define RO	TCE_PCI_READ

#define GPA_ALL	(5UL << 32)	/* a slot that is region 0, and nothing else */

/*
 * An entry that was seen in the view is cleared before it is exchanged.  The
 * container driver takes the lock of the hardware table; this tests one that
 * does not.
 */

static struct {
	unsigned long entry;
	bool unregister;
	int cleared;
} late;

static int late_clear(struct hw *hw, unsigned long i)
{
	if (i != late.entry || late.cleared++)
		return 0;
	hw_user_unmap(hw, i);
	if (late.unregister)
		EXPECT(region_unregister_begin(region_nr(0)));
	return 0;
}

enum late_way { LATE_PUT, LATE_LIST, LATE_LIST_ANY, LATE_WAYS };

/* Puts a page of region 0 where another one of it was, until it is cleared. */
static long late_request(struct world *w, enum late_way way)
{
	u64 tces[3] = { 0, (way == LATE_LIST ? GPA_ALL : GPA_A) + MB + RW, 0 };
	long ret;

	vm_slot(w->kvm, 5, GPA_ALL, 32 * MB, UA_A, 0);
	EXPECT_EQ(world_put(w, 3, GPA_A | RW), H_SUCCESS);
	EXPECT_EQ(region_nr(0)->mapped, 2);
	late.entry = 3;
	late.cleared = 0;
	hw_before_exchange = late_clear;
	ret = way == LATE_PUT ? world_put(w, 3, tces[1]) : world_list(w, 2, tces, 3);
	hw_before_exchange = NULL;
	EXPECT(late.cleared);
	return ret;
}

TEST(late, "an entry is cleared before the exchange: the new page is counted")
{
	late.unregister = false;
	for (int way = 0; way < LATE_WAYS; way++) {
		struct world w = world_new(&shape_plain, 1);

		EXPECT_EQ(late_request(&w, way), H_SUCCESS);
		EXPECT_EQ(hw_now(w.hw[0], 3), region_hpa(region_nr(0), UA_A + MB) | RW);
		EXPECT_EQ(hw_view(w.hw[0], 3), UA_A + MB);
		EXPECT_EQ(region_nr(0)->mapped, 2);
		world_check_counts(&w);
		EXPECT_EQ(world_put(&w, 3, 0), H_SUCCESS);
		EXPECT_EQ(region_nr(0)->mapped, 1);
		fake_end();
	}
}

/*
 * The same, and the region is being unregistered, because it has no count any
 * more.
 */
TEST(late_gone, "an entry is cleared, and its region goes: H_TOO_HARD, nothing there")
{
	late.unregister = true;
	for (int way = 0; way < LATE_WAYS; way++) {
		struct world w = world_new(&shape_plain, 1);

		EXPECT_EQ(late_request(&w, way), H_TOO_HARD);
		EXPECT_EQ(hw_now(w.hw[0], 3), 0);
		EXPECT_EQ(hw_view(w.hw[0], 3), 0);
		EXPECT_EQ(world_get(&w, 3), GPA_A | RW);
		EXPECT_EQ(region_nr(0)->mapped, 0);
		EXPECT_EQ(region_nr(0)->reach, 0);
		region_unregister_end(region_nr(0));
		region_return(region_nr(0));
		fake_end();
	}
}

/*
 * The hardware table refuses twice: the 9th of 16 entries, and the old 6th
 * entry when it is put back.
 */

static int stuck_tries;

static int stuck_refuse(struct hw *hw, unsigned long i)
{
	if (i == 16 + 8 || (i == 16 + 5 && stuck_tries++))
		return -ENOMEM;
	return 0;
}

/* @old_ua: of the old page, or 0.  After the request: entry 6 of 16 is new. */
static void stuck_look(struct world *w, unsigned long old_ua)
{
	for (int sub = 0; sub < 16; sub++) {
		unsigned long ua = sub == 5 ? UA_A : old_ua, at = ua + (sub << 12);
		struct region *region = region_of(at, 4096);
		bool there = ua;

		EXPECT_EQ(hw_view(w->hw[0], 16 + sub), there ? at : 0);
		EXPECT_EQ(hw_now(w->hw[0], 16 + sub),
			  there ? region_hpa(region, at) | RW : 0);
	}
}

/*
 * Afterwards the hardware has the new page, the view says so, and its count is
 * taken.  If the old page is of another region, that region keeps a count
 * without an owner and cannot be unregistered any more.  But neither page is
 * released while the hardware might reach it; the fake checks that.
 */
static void stuck(u64 old, unsigned long old_ua, int old_region, long new_counts)
{
	static const struct shape shape = { 16, 0, 20, 1, { 12 }, { 0 } };
	struct world w = world_new(&shape, 1);

	EXPECT_EQ(world_put(&w, 1, old), H_SUCCESS);
	stuck_tries = 0;
	hw_before_exchange = stuck_refuse;
	EXPECT_EQ(world_put(&w, 1, GPA_A | RW), H_TOO_HARD);
	hw_before_exchange = NULL;
	EXPECT_EQ(stuck_tries, 2);
	EXPECT_EQ(world_get(&w, 1), old);
	stuck_look(&w, old_ua);
	EXPECT_EQ(region_nr(0)->mapped, 1 + new_counts);
	if (old_region)
		EXPECT_EQ(region_nr(old_region)->mapped, 1 + 16);
	else
		world_check_counts(&w);
	/* The guest can still clear everything. */
	EXPECT_EQ(world_put(&w, 1, 0), H_SUCCESS);
	EXPECT_EQ(region_nr(0)->mapped, 1);
	EXPECT_EQ(hw_now(w.hw[0], 16 + 5), 0);
	if (old_region) {
		EXPECT(!region_unregister_begin(region_nr(old_region)));
		EXPECT_EQ(region_nr(old_region)->mapped--, 2);
	}
	fake_end();
}

TEST(stuck, "what cannot be put back: new and old page stay pinned, the view is right")
{
	stuck(0, 0, 0, 1);
	stuck(GPA_B | RW, UA_B, 1, 1);
	stuck((GPA_A + MB) | RW, UA_A + MB, 0, 16);
}

/* H_GET_TCE has the table by RCU only */

static bool get_inside, get_closed;

static void get_waits(void)
{
	WRITE_ONCE(get_inside, true);
	while (!shim_rcu_waiting() && !READ_ONCE(get_closed))
		sched_yield();
	EXPECT(!READ_ONCE(get_closed));
	EXPECT_EQ(__atomic_load_n(&hw_counts.tce_pages, __ATOMIC_ACQUIRE), 1);
}

static void *get_vcpu(void *arg)
{
	struct world *w = arg;

	EXPECT_EQ(kvmppc_h_get_tce(&w->vcpu, LIOBN, world_ioba(w, 3)), H_SUCCESS);
	return NULL;
}

TEST(close_get, "close of a table waits for an H_GET_TCE that has found it")
{
	struct world w = world_new(&shape_plain, 1);
	pthread_t thread;

	EXPECT_EQ(world_put(&w, 3, GPA_A | RW), H_SUCCESS);
	get_inside = false;
	get_closed = false;
	vcpu_before_result = get_waits;
	pthread_create(&thread, NULL, get_vcpu, &w);
	while (!READ_ONCE(get_inside))
		sched_yield();
	EXPECT_EQ(shim_close(w.table), 0);
	WRITE_ONCE(get_closed, true);
	pthread_join(thread, NULL);
	EXPECT_EQ(w.vcpu.gpr4, GPA_A | RW);
	EXPECT_EQ(kvmppc_h_get_tce(&w.vcpu, LIOBN, world_ioba(&w, 3)), H_TOO_HARD);
}

/* The window that an attach found is removed before the attach ends. */

static struct {
	struct world *w;
	int allocations;	/* until it is removed */
} going;

static void going_remove(void)
{
	if (!--going.allocations)
		hw_remove(going.w->hw[0], going.w->group, 1);
}

/* The kernel must not put anything: hypercalls go to user space. */
static void going_stopped(struct world *w)
{
	struct snapshot before;
	u64 tces[2] = { GPA_B | RW, 0 };

	snapshot_take(w, &before);
	EXPECT_EQ(world_put(w, 0, GPA_B | RW), H_TOO_HARD);
	EXPECT_EQ(world_put(w, 0, 0), H_TOO_HARD);
	EXPECT_EQ(world_list(w, 0, tces, 2), H_TOO_HARD);
	EXPECT_EQ(world_stuff(w, 0, 0, 100), H_TOO_HARD);
	world_check(w, &before, 0, NULL, 0, 0, -1);
	snapshot_drop(&before);
}

/* @again: a window of the group that was attached before is already removed. */
static void attach_going(int allocation, bool again)
{
	struct world w = world_new(&shape_plain, 1);
	struct hw *hw;

	if (again) {
		hw_remove(w.hw[0], w.group, 1);
		w.hw[0] = hw_new(16, 0, 1200 << 16, 0);
		group_set_window(w.group[0], 0, w.hw[0]);
	} else {
		group_del(w.group[0]);
	}
	hw = w.hw[0];
	iommu_tce_table_get(&hw->tbl);
	going.w = &w;
	going.allocations = allocation;
	shim_at_allocation = going_remove;
	EXPECT_EQ(vm_attach(w.kvm, w.group[0], w.table), 0);
	shim_at_allocation = NULL;
	EXPECT(going.allocations <= 0);
	EXPECT(hw->removed);
	EXPECT_EQ(hw->refs, 2);
	going_stopped(&w);
	/* Another takes its place. */
	w.hw[0] = hw_new(16, 0, 1200 << 16, 0);
	group_set_window(w.group[0], 1, w.hw[0]);
	EXPECT_EQ(vm_attach(w.kvm, w.group[0], w.table), 0);
	EXPECT_EQ(hw->refs, 1);
	iommu_tce_table_put(&hw->tbl);
	EXPECT_EQ(world_put(&w, 0, GPA_B | RW), H_SUCCESS);
	world_check_counts(&w);
	fake_end();
}

/* Contract 4.15 */
TEST(attach_going, "attach: its window is removed meanwhile: attached, H_TOO_HARD")
{
	for (int allocation = 1; allocation <= 2; allocation++) {
		attach_going(allocation, false);
		attach_going(allocation, true);
	}
}
