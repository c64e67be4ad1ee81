// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lists that walk through preregistered memory in one direction: a region is found
 * in few look-ups, and never taken for larger than it is.
 */
#include "world.h"

#define RW	PERMS

#define GPA_WALK	(5UL << 32)
#define UA_END		0x7f5000000000UL	/* a region that is less than its slot */
#define PAGE_64K	65536UL
#define WALK_NR		512
#define END_NR		300UL			/* pages of it */
#define END_BEFORE	512UL			/* pages of the slot before it */
#define WALK_LOOKUPS	40

/* From @gpa upwards, or downwards to it */
static void walk_fill(u64 *tces, u64 gpa, bool up)
{
	for (u64 i = 0; i < WALK_NR; i++)
		tces[i] = (gpa + (up ? i : WALK_NR - 1 - i) * PAGE_64K) | RW;
}

static void walk(struct world *w, u64 gpa, bool up)
{
	struct snapshot before;
	u64 tces[WALK_NR];

	walk_fill(tces, gpa, up);
	snapshot_take(w, &before);
	hw_counts.lookups = 0;
	EXPECT_EQ(world_list(w, 100, tces, WALK_NR), H_SUCCESS);
	if (hw_counts.lookups >= WALK_LOOKUPS)
		SHIM_FAIL("%lu look-ups %s", hw_counts.lookups, up ? "up" : "down");
	world_check(w, &before, 100, tces, 0, WALK_NR, 1);
	snapshot_drop(&before);
}

/* Fresh, over what the other direction has put, in one region and between two */
static void walks(struct world *w, u64 gpa, bool up)
{
	walk(w, gpa, up);
	walk(w, gpa, !up);
	walk(w, GPA_B, up);
	walk(w, gpa, up);
	hw_counts.lookups = 0;
	EXPECT_EQ(world_stuff(w, 100, 0, WALK_NR), H_SUCCESS);
	EXPECT(hw_counts.lookups < WALK_LOOKUPS);
	EXPECT_EQ(region_nr(0)->mapped, 1);
	EXPECT_EQ(region_nr(1)->mapped, 1);
}

TEST(walk, "512 pages of a region, up and down, with no slot of its own: few look-ups")
{
	struct world w = world_new(&shape_plain, 1);

	vm_slot(w.kvm, 5, GPA_WALK, 16 * MB, UA_A, 0);
	vm_slot(w.kvm, 6, GPA_WALK + 16 * MB, 16 * MB, UA_A + 16 * MB, 0);
	walks(&w, GPA_WALK, true);
	walks(&w, GPA_WALK, false);
	/* One slot, with another region in it */
	walks(&w, GPA_A, true);
	walks(&w, GPA_A, false);
}

/* @can: as many entries of the list as are in the region, then none */
static void walk_out(struct world *w, u64 gpa, bool up, unsigned long can)
{
	struct snapshot before;
	u64 tces[WALK_NR];
	int first = 100;

	walk_fill(tces, gpa, up);
	snapshot_take(w, &before);
	EXPECT_EQ(world_list(w, first, tces, WALK_NR), H_TOO_HARD);
	world_check(w, &before, first, tces, 0, WALK_NR, 0);
	EXPECT_EQ(region_nr(4)->mapped, 1 + can);
	for (unsigned long i = 0; i < WALK_NR; i++)
		EXPECT_EQ(!!(hw_now(w->hw[0], first + i) & PERMS), i < can);
	EXPECT_EQ(world_stuff(w, first, 0, WALK_NR), H_SUCCESS);
	EXPECT_EQ(region_nr(4)->mapped, 1);
	snapshot_drop(&before);
}

TEST(walk_out, "a region ends in the middle of a list: no page beyond it is mapped")
{
	struct world w = world_new(&shape_plain, 1);
	u64 start = GPA_WALK + END_BEFORE * PAGE_64K;
	unsigned long from[] = { 0, 1, 44, 171, 298, 299 };

	region_new(UA_END, END_NR * PAGE_64K, 16);
	vm_slot(w.kvm, 5, GPA_WALK, 2048 * PAGE_64K,
		UA_END - END_BEFORE * PAGE_64K, 0);
	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		unsigned long down = from[i] + 1;

		walk_out(&w, start + from[i] * PAGE_64K, true, END_NR - from[i]);
		walk_out(&w, start + (down - WALK_NR) * PAGE_64K, false, down);
	}
}

/* The page of the host goes on, which belongs to nobody who has registered it. */
TEST(walk_end, "a region ends in the middle of a large page: that is not mapped")
{
	const struct shape shape = { 20, 0, 70, 1, { 20 }, { 0 } };
	struct world w = world_new(&shape, 1);
	u64 tces[2] = { (GPA_WALK + 2 * MB) | RW, (GPA_WALK + 3 * MB) | RW };

	region_new(UA_END, 3 * MB + PAGE_SIZE, 20);
	vm_slot(w.kvm, 5, GPA_WALK, 8 * MB, UA_END, 0);
	EXPECT_EQ(world_list(&w, 0, tces, 2), H_TOO_HARD);
	EXPECT_EQ(region_nr(4)->mapped, 2);
	EXPECT_EQ(world_put(&w, 1, tces[1]), H_TOO_HARD);
	EXPECT_EQ(world_stuff(&w, 0, 0, 2), H_SUCCESS);
	EXPECT_EQ(region_nr(4)->mapped, 1);
}

/* All of it is in one page of the host, but the hardware could not have it from there. */
TEST(walk_within, "a large page of the guest begins within one of the host: that is not mapped")
{
	const struct shape shape = { 20, 0, 70, 1, { 20 }, { 0 } };
	struct world w = world_new(&shape, 1);

	region_new(UA_END, 4 * MB, 21);
	vm_slot(w.kvm, 5, GPA_WALK, 2 * MB, UA_END + PAGE_64K, 0);
	EXPECT_EQ(world_put(&w, 0, GPA_WALK | RW), H_TOO_HARD);
	EXPECT_EQ(region_nr(4)->mapped, 1);
}
