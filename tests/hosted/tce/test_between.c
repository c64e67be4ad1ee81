// SPDX-License-Identifier: GPL-2.0-only
/*
 * What others do between two steps of a hypercall or of an attach.  Each step
 * is held by a hook of the fake, so nothing is random.
 */
#include <pthread.h>
#include <sched.h>

#include "spapr_tce.h"
#include "world.h"

#define RW	PERMS
#define RO	TCE_PCI_READ

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
 * What stays of it: the hardware has the new page, the view says so and its count is
 * there; nothing reaches the old page any more.
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
		EXPECT_EQ(region_nr(old_region)->mapped, 1 + 15);
	world_check_counts(&w);
	/* The guest can still have all of it cleared. */
	EXPECT_EQ(world_put(&w, 1, 0), H_SUCCESS);
	EXPECT_EQ(region_nr(0)->mapped, 1);
	EXPECT_EQ(hw_now(w.hw[0], 16 + 5), 0);
	EXPECT_EQ(region_nr(old_region)->mapped, 1);
	fake_end();
}

TEST(stuck, "what cannot be put back: the new page stays, view and counts are right")
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

/*
 * Defect 36: something changes between two pieces of a long request, which is all of
 * it or H_TOO_HARD.
 */

static struct {
	struct world *w;
	pthread_t thread;
	bool started, over;
} pieces;

static void pieces_begin(struct world *w, void (*between)(void))
{
	pieces.w = w;
	pieces.started = false;
	pieces.over = false;
	vcpu_between_pieces = between;
}

/* Starts the other thread at the first break.  False at all others */
static bool pieces_start(void *(*other)(void *))
{
	if (pieces.started)
		return false;
	pieces.started = true;
	pthread_create(&pieces.thread, NULL, other, pieces.w);
	return true;
}

/* The same, and waits for its end */
static void pieces_run(void *(*other)(void *))
{
	if (pieces_start(other))
		pthread_join(pieces.thread, NULL);
}

static void *pieces_close(void *arg)
{
	shim_close(pieces.w->table);
	WRITE_ONCE(pieces.over, true);
	return NULL;
}

static void pieces_closed(void)
{
	if (pieces_start(pieces_close))
		while (!shim_srcu_waiting(&pieces.w->kvm->srcu) && !READ_ONCE(pieces.over))
			sched_yield();
}

static void *pieces_delete(void *arg)
{
	group_del(pieces.w->group[0]);
	return NULL;
}

static void pieces_deleted(void)
{
	pieces_run(pieces_delete);
}

static unsigned long pieces_mapped(struct hw *hw)
{
	unsigned long nr = 0;

	for (unsigned long i = 0; i < hw->tbl.it_size; i++)
		nr += !!(hw_now(hw, i) & PERMS);
	return nr;
}

static struct world pieces_world(const struct shape *shape)
{
	struct world w = world_new(shape, 1);

	for (u64 i = 0; i < shape->entries; i++)
		EXPECT_EQ(world_put(&w, i, (GPA_A + i % 32 * MB) | RW), H_SUCCESS);
	return w;
}

static void close_between(const struct shape *shape)
{
	struct world w = pieces_world(shape);

	pieces_begin(&w, pieces_closed);
	EXPECT_EQ(world_stuff(&w, 0, 0, shape->entries), H_SUCCESS);
	pthread_join(pieces.thread, NULL);
	for (unsigned int k = 0; k < shape->nr_hw; k++)
		EXPECT_EQ(pieces_mapped(w.hw[k]), 0);
	world_check_counts(&w);
	fake_end();
}

/* Contract 4.26 */
TEST(close_stuff, "close of a table waits for a long H_STUFF_TCE, which does all of it")
{
	close_between(&shape_plain);
	close_between(&shape_two);
}

/* Contract 4.26 */
TEST(close_list, "close of a table waits for a long H_PUT_TCE_INDIRECT")
{
	struct world w = world_new(&shape_two, 1);
	u64 tces[500];

	for (u64 i = 0; i < ARRAY_SIZE(tces); i++)
		tces[i] = (GPA_A + i % 32 * MB) | RW;
	pieces_begin(&w, pieces_closed);
	EXPECT_EQ(world_list(&w, 0, tces, ARRAY_SIZE(tces)), H_SUCCESS);
	pthread_join(pieces.thread, NULL);
	EXPECT_EQ(pieces_mapped(w.hw[0]), ARRAY_SIZE(tces) << 4);
	EXPECT_EQ(pieces_mapped(w.hw[1]), ARRAY_SIZE(tces));
	world_check_counts(&w);
}

static void delete_between(const struct shape *shape)
{
	struct world w = pieces_world(shape);

	pieces_begin(&w, pieces_deleted);
	EXPECT_EQ(world_stuff(&w, 0, 0, shape->entries), H_TOO_HARD);
	EXPECT(pieces_mapped(w.hw[0]));
	vcpu_between_pieces = NULL;
	EXPECT_EQ(world_stuff(&w, 0, 0, shape->entries), H_SUCCESS);
	if (shape->nr_hw > 1)
		EXPECT_EQ(pieces_mapped(w.hw[1]), 0);
	world_check_counts(&w);
	fake_end();
}

/* Contract 4.26 */
TEST(delete_stuff, "a group is deleted in the middle of a long H_STUFF_TCE: H_TOO_HARD")
{
	delete_between(&shape_plain);
	delete_between(&shape_two);
}

/* An entry of it changes in pieces. */
static const struct shape between_large = { 24, 0, 2, 2, { 12, 16 }, { 512, 64 } };

static struct world large_world(void)
{
	struct world w = world_new(&between_large, 1);

	EXPECT_EQ(world_put(&w, 1, GPA_A | RW), H_SUCCESS);
	return w;
}

/* Contract 4.26 */
TEST(delete_large, "a group is deleted in the middle of one large entry: H_TOO_HARD")
{
	struct world w = large_world();

	pieces_begin(&w, pieces_deleted);
	EXPECT_EQ(world_put(&w, 1, 0), H_TOO_HARD);
	EXPECT(pieces_mapped(w.hw[0]));
	EXPECT(pieces_mapped(w.hw[0]) + pieces_mapped(w.hw[1]) < 4096 + 256);
	EXPECT_EQ(world_put(&w, 1, 0), H_SUCCESS);
	EXPECT_EQ(pieces_mapped(w.hw[1]), 0);
	world_check_counts(&w);
}

static void *pieces_unbind(void *arg)
{
	group_revoke(pieces.w->group[0]);
	return NULL;
}

static void pieces_unbound(void)
{
	pieces_run(pieces_unbind);
}

/* Contract 4.26: Nothing changes in a window of a dead group, nor is it put back. */
TEST(unbind_large, "a group is unbound in the middle of one large entry: H_TOO_HARD")
{
	struct world w = large_world();

	pieces_begin(&w, pieces_unbound);
	EXPECT_EQ(world_put(&w, 1, 0), H_TOO_HARD);
	EXPECT(pieces_mapped(w.hw[0]));
	EXPECT_EQ(world_put(&w, 1, 0), H_TOO_HARD);
	group_del(w.group[0]);
	EXPECT_EQ(world_put(&w, 1, 0), H_SUCCESS);
	EXPECT_EQ(pieces_mapped(w.hw[1]), 0);
	world_check_counts(&w);
}

static void *large_put(void *arg)
{
	struct world *w = arg;
	struct kvm_vcpu vcpu = { .kvm = w->kvm };

	kvmppc_h_put_tce(&vcpu, LIOBN, world_ioba(w, 1), 0);
	WRITE_ONCE(pieces.over, true);
	return NULL;
}

static void large_races(void)
{
	const struct mutex *large = &kvmppc_tce_find(pieces.w->kvm, LIOBN)->large;

	if (pieces_start(large_put))
		while (!shim_mutex_waiting(large) && !READ_ONCE(pieces.over))
			sched_yield();
}

TEST(race_large, "a large entry is unmapped in the middle of its mapping: one or the other")
{
	struct world w = large_world();
	u64 now;

	EXPECT_EQ(world_put(&w, 1, 0), H_SUCCESS);
	pieces_begin(&w, large_races);
	EXPECT_EQ(kvmppc_h_put_tce(&w.vcpu, LIOBN, world_ioba(&w, 1), GPA_B | RW), H_SUCCESS);
	pthread_join(pieces.thread, NULL);
	EXPECT_EQ(kvmppc_h_get_tce(&w.vcpu, LIOBN, world_ioba(&w, 1)), H_SUCCESS);
	now = w.vcpu.gpr4;
	EXPECT(now == 0 || now == (GPA_B | RW));
	EXPECT_EQ(pieces_mapped(w.hw[0]), now ? 4096 : 0);
	EXPECT_EQ(pieces_mapped(w.hw[1]), now ? 256 : 0);
	world_check_counts(&w);
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
