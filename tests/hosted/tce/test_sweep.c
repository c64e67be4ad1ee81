// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each hypercall with its n-th allocation or callee failing, for n = 1, 2, ...
 * until nothing fails.  Every entry must be old or new as a whole, in the
 * hardware, the views, the counts and the guest's table, and the same request
 * must then succeed.
 */
#include "world.h"

#define RW	PERMS
#define RO	TCE_PCI_READ

#define MAX_NR	70UL

struct sweep {
	const struct shape *shape;
	u64 before;		/* first of the entries that are there; 0: none */
	u64 new;		/* the same of the request; no permissions: stuff */
	u64 hole;		/* each 7th entry of the request instead, if not 0 */
	u64 first, nr;		/* over borders of chunks, leaves, pages */
	int stride;		/* from one point of failure to the next; 0: all of them */
	bool once;		/* once done, the request is left to user space */
};

static void sweep_fill(const struct sweep *s, u64 *tces, u64 first,
		       u64 hole)
{
	for (u64 i = 0; i < s->nr; i++) {
		tces[i] = first & PERMS ? first + (i << s->shape->shift) % (16 * MB) :
			  first;
		if (hole && i % 7 == 3)
			tces[i] = hole;
	}
}

static long sweep_run(struct world *w, const struct sweep *s, const u64 *tces)
{
	if (s->nr == 1)
		return world_put(w, s->first, tces[0]);
	if (s->new & PERMS || s->hole)
		return world_list(w, s->first, tces, s->nr);
	return world_stuff(w, s->first, s->new, s->nr);
}

static const char *sweep_once(const struct sweep *s, int n)
{
	struct world w = world_new(s->shape, 1);
	struct snapshot before;
	u64 tces[MAX_NR];
	const char *what;
	long ret;

	if (s->before) {
		sweep_fill(s, tces, s->before, 0);
		EXPECT_EQ(world_list(&w, s->first, tces, s->nr), H_SUCCESS);
	}
	/* The fast path needs the page to read back, and the slot of an entry before. */
	if (s->nr == 1)
		EXPECT_EQ(world_put(&w, 0, GPA_A | RW), H_SUCCESS);
	sweep_fill(s, tces, s->new, s->hole);
	snapshot_take(&w, &before);
	shim_fault_arm(n);
	ret = sweep_run(&w, s, tces);
	what = shim_fault_disarm();
	/* Fails without need, or goes on without what it needs */
	EXPECT(ret == H_SUCCESS || (ret == H_TOO_HARD && what));
	world_check(&w, &before, s->first, tces, 0, s->nr, ret == H_SUCCESS);
	EXPECT_EQ(sweep_run(&w, s, tces),
		  ret == H_SUCCESS && s->once ? H_TOO_HARD : H_SUCCESS);
	world_check(&w, &before, s->first, tces, 0, s->nr, 1);
	snapshot_drop(&before);
	fake_end();
	return what;
}

static void sweep(const struct sweep *s, int points)
{
	int n = 1;

	while (sweep_once(s, n) && test_failures() < 20)
		n += n < 8 || !s->stride ? 1 : s->stride;
	if (n <= points)
		SHIM_FAIL("only %d points of failure", n - 1);
}

static void sweep_all(const struct shape *shape, u64 first, u64 nr)
{
	static const u64 earlier[] = {
		0, GPA_A | RW, GPA_B | RO, (GPA_A + MB) | RO
	};
	struct sweep s = { .shape = shape, .first = first, .nr = nr };

	for (size_t i = 0; i < ARRAY_SIZE(earlier); i++) {
		s.before = earlier[i];
		s.new = GPA_A | RW;
		s.hole = 0;
		sweep(&s, 5);
		s.hole = GPA_B | RO;
		sweep(&s, 5);
		s.hole = 0x330;
		sweep(&s, 5);
		s.new = 0;
		s.hole = 0;
		sweep(&s, 0);
		s.new = 0x550;
		sweep(&s, s.before ? 0 : 1);
	}
}

/* Contract 4.29 */
TEST(sweep_plain, "failure sweep: one table, one level")
{
	static const struct shape shape = { 16, 0, 560, 1, { 16 }, { 0 } };

	sweep_all(&shape, 490, 70);
}

/* Contract 4.29 */
TEST(sweep_levels, "failure sweep: one table, several levels")
{
	static const struct shape shape = {
		16, 1UL << 59, 100, 1, { 16 }, { 8 }
	};

	sweep_all(&shape, 13, 67);
}

/* Contract 4.29 */
TEST(sweep_two, "failure sweep: two tables of different page sizes, levels")
{
	static const struct shape shape = {
		16, 0, 40, 2, { 12, 16 }, { 64, 2 }
	};

	sweep_all(&shape, 13, 9);
}

/*
 * Contract 4.29: One page of the guest at a time, which is many pages of the
 * hardware
 */
TEST(sweep_big, "failure sweep: many hardware pages in one of the guest's")
{
	static const struct shape shape = {
		18, 0, 20, 2, { 12, 16 }, { 16, 4 }
	};

	sweep_all(&shape, 3, 5);
}

/*
 * Contract 4.29: What fails on the fast path is done on the other one, where it may
 * fail for good.
 */
TEST(sweep_one, "failure sweep: a single entry")
{
	static const struct shape shapes[] = {
		{ 16, 0, 20, 1, { 16 }, { 0 } },
		{ 16, 1UL << 59, 20, 1, { 16 }, { 8 } },
		{ 16, 0, 20, 2, { 12, 16 }, { 64, 2 } },
		{ 16, 0, 20, 2, { 16, 16 }, { 0, 8 } },
		{ 16, 0, 20, 2, { 16, 16 }, { 4, 8 } },
	};
	static const u64 tces[] = { 0, GPA_A | RW, GPA_B | RO, 0x330 };
	const size_t nr = ARRAY_SIZE(tces);
	struct sweep s = { .first = 13, .nr = 1 };

	for (size_t i = 0; i < ARRAY_SIZE(shapes) * nr * nr; i++) {
		s.shape = &shapes[i / (nr * nr)];
		s.before = tces[i / nr % nr];
		s.new = tces[i % nr];
		sweep(&s, s.new & PERMS ? 1 : 0);
	}
}

/* Contract 4.29: The same for one that changes in pieces */
TEST(sweep_large, "failure sweep: thousands of hardware pages in one of the guest's")
{
	static const struct shape shapes[] = {
		{ 24, 0, 3, 1, { 12 }, { 512 } },
		{ 24, 0, 3, 2, { 16, 12 }, { 64, 1024 } },
		{ 24, 0, 3, 2, { 12, 12 }, { 512, 4096 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct sweep s = { .shape = &shapes[i], .first = 1, .nr = 1, .stride = 97 };

		s.new = GPA_B | RW;
		s.once = true;
		sweep(&s, 8);
		s.before = GPA_A | RO;
		s.new = 0x330;
		s.once = false;
		sweep(&s, 0);
	}
}

/*
 * Contract 4.29: A region that ends in the middle of what is put, among several
 * tables
 */
TEST(sweep_region, "a page midway is in no region: old or new as a whole")
{
	struct world w = world_new(&shape_two, 1);
	struct snapshot before;
	u64 tces[MAX_NR];

	for (u64 bad = 0; bad < MAX_NR; bad += 3) {
		for (u64 i = 0; i < MAX_NR; i++)
			tces[i] = (bad & 1 ? GPA_A | RW : GPA_B | RO) + (i << 16);
		EXPECT_EQ(world_list(&w, 480, tces, MAX_NR), H_SUCCESS);
		for (u64 i = 0; i < MAX_NR; i++)
			tces[i] = (GPA_A | RO) + (i << 16);
		tces[bad] = GPA_UNKNOWN | RW;
		snapshot_take(&w, &before);
		EXPECT_EQ(world_list(&w, 480, tces, MAX_NR), H_TOO_HARD);
		world_check(&w, &before, 480, tces, 0, MAX_NR, 0);
		EXPECT_EQ(world_get(&w, 480 + bad), before.shadow[480 + bad]);
		snapshot_drop(&before);
	}
}

/*
 * Long requests can be interrupted; then a part of them is done.  Unmaps all @points
 * times; each time another step of it fails or finds a signal.  At least @least stop.
 */
static void sweep_signals(const struct shape *shape, int points, int least)
{
	struct world w = world_new(shape, 1);
	struct snapshot before;
	int stopped = 0;
	long ret;

	for (int n = 1; n <= points; n++) {
		snapshot_take(&w, &before);
		shim_fault_arm(n);
		ret = world_stuff(&w, 0, n & 1 ? 0x120 : 0, shape->entries);
		stopped += shim_fault_disarm() && ret == H_TOO_HARD;
		world_check(&w, &before, 0, NULL, n & 1 ? 0x120 : 0,
			    shape->entries, ret == H_SUCCESS);
		snapshot_drop(&before);
	}
	EXPECT(stopped >= least);
}

TEST(sweep_signal, "H_STUFF_TCE of a large table stops for a signal")
{
	static const struct shape large = { 16, 0, 8000, 1, { 16 }, { 0 } };

	sweep_signals(&large, 29, 10);
}

TEST(sweep_signal_large, "a list of few large entries stops for a signal")
{
	static const struct shape large = { 24, 0, 3, 1, { 12 }, { 4096 } };

	sweep_signals(&large, 4, 3);
}
