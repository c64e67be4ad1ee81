// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random hypercalls, some with a callee that fails, while windows and regions
 * are added and removed.  Each is checked against the reference in world.c.
 * TEST_SEED repeats a run.
 */
#include "world.h"

#define MAX_NR	40
#define ROUNDS	4000

struct random {
	struct world w;
	unsigned int seed;
	bool live;
	int dying;		/* region that is being unregistered, or -1 */
	unsigned int good, bad, hard, failed;
};

static unsigned int roll(struct random *r, unsigned int sides)
{
	return rand_r(&r->seed) % sides;
}

static u64 random_tce(struct random *r)
{
	static const u64 gpas[] = {
		GPA_A, GPA_A, GPA_A, GPA_A, GPA_B, GPA_B, GPA_B, GPA_RO, GPA_UNKNOWN,
		GPA_SKEWED
	};
	u64 tce = gpas[roll(r, 40) ? roll(r, 7) : roll(r, ARRAY_SIZE(gpas))];

	tce += (u64)roll(r, 16) << r->w.shape.shift;
	if (!roll(r, 5))
		return roll(r, 2) ? 0 : tce;
	if (!roll(r, 200))
		tce += 0x1000;
	return tce | (1 + roll(r, 3));
}

static int expected(struct random *r, u64 first, const u64 *tces, u64 nr, long *ret)
{
	u64 entries = r->w.shape.entries;
	bool early = false, can = !tces || world_can(&r->w, tces, nr, &early);

	if (first >= entries || nr > entries - first) {
		*ret = H_PARAMETER;
		return -1;
	}
	*ret = H_TOO_HARD;
	if (early || (nr && !r->live))
		return -1;
	if (!can)
		return 0;
	*ret = H_SUCCESS;
	return 1;
}

static void random_hcall(struct random *r)
{
	u64 tces[MAX_NR], nr = roll(r, 4) ? roll(r, 6) : roll(r, MAX_NR);
	u64 first = roll(r, r->w.shape.entries + 2), value = roll(r, 2) ? 0 : 0x770;
	unsigned int kind = roll(r, 4);
	struct snapshot before;
	const char *what;
	long want, ret;
	int done;

	for (u64 i = 0; i < MAX_NR; i++)
		tces[i] = random_tce(r);
	nr = kind ? nr : 1;
	done = expected(r, first, kind == 1 ? NULL : tces, nr, &want);
	snapshot_take(&r->w, &before);
	if (!roll(r, 4))
		shim_fault_arm(1 + roll(r, 30));
	ret = kind == 0 ? world_put(&r->w, first, tces[0]) :
	      kind == 1 ? world_stuff(&r->w, first, value, nr) :
			  world_list(&r->w, first, tces, nr);
	what = shim_fault_disarm();
	if (what && ret == H_TOO_HARD && want == H_SUCCESS) {
		done = 0;
		r->failed++;
	} else {
		EXPECT_EQ(ret, want);
	}
	world_check(&r->w, &before, first, kind == 1 ? NULL : tces, value, nr, done);
	snapshot_drop(&before);
	r->good += ret == H_SUCCESS;
	r->bad += ret == H_PARAMETER;
	r->hard += ret == H_TOO_HARD;
}

/* A window is removed, and a moment later another one is in its place. */
static void random_window(struct random *r)
{
	unsigned int k = roll(r, r->w.shape.nr_hw);
	struct hw *new;

	hw_remove(r->w.hw[k], &r->w.group[k], 1);
	new = hw_new(r->w.shape.hw_shift[k], r->w.shape.bus,
		     r->w.shape.entries << r->w.shape.shift, roll(r, 2) ? 8 : 0);
	r->w.hw[k] = new;
	r->live = false;
	for (int i = roll(r, 4); i; i--)
		random_hcall(r);
	group_set_window(r->w.group[k], k, new);
	EXPECT_EQ(vm_attach(r->w.kvm, r->w.group[k], r->w.table), 0);
	EXPECT_EQ(new->refs, 2);
	r->live = true;
}

static void random_region(struct random *r)
{
	if (r->dying >= 0) {
		if (!region_nr(r->dying)->listed || roll(r, 2)) {
			region_return(region_nr(r->dying));
			r->dying = -1;
		} else {
			region_unregister_end(region_nr(r->dying));
		}
		return;
	}
	r->dying = roll(r, 2);
	if (!region_unregister_begin(region_nr(r->dying)))
		r->dying = -1;
}

static void random_step(struct random *r)
{
	switch (roll(r, 60)) {
	case 0:
		random_window(r);
		break;
	case 1 ... 3:
		EXPECT_EQ(world_stuff(&r->w, 0, 0, r->w.shape.entries), H_SUCCESS);
		random_region(r);
		break;
	case 4 ... 6:
		random_region(r);
		break;
	default:
		random_hcall(r);
	}
}

static void randomly(const struct shape *shape, unsigned int seed)
{
	const char *rounds = getenv("TEST_ROUNDS");
	struct random r = { .w = world_new(shape, 1), .seed = seed, .live = true,
			    .dying = -1 };

	for (int i = rounds ? atoi(rounds) : ROUNDS; i && test_failures() < 20; i--)
		random_step(&r);
	printf("# %u done, %u H_PARAMETER, %u H_TOO_HARD, %u of them failed midway\n",
	       r.good, r.bad, r.hard, r.failed);
	EXPECT(r.good && r.bad && r.hard && r.failed);
	fake_end();
}

/* Contract 4.23 */
TEST(random_all, "hypercalls at random against a reference")
{
	static const struct shape one = { 16, 1UL << 59, 90, 1, { 16 }, { 8 } };
	static const struct shape two = { 16, 0, 60, 2, { 12, 16 }, { 32, 4 } };
	static const struct shape equal = { 16, 0, 60, 2, { 16, 16 }, { 0, 4 } };
	static const struct shape big = { 18, 0, 12, 2, { 12, 16 }, { 0, 4 } };
	unsigned int seed = test_seed();

	printf("# TEST_SEED=%u\n", seed);
	randomly(&one, seed);
	randomly(&two, seed + 1);
	randomly(&big, seed + 2);
	randomly(&equal, seed + 3);
}

TEST(random_lpar, "hypercalls at random, where entries are exchanged one by one")
{
	static const struct shape one = { 16, 0, 90, 1, { 16 }, { 0 } };
	static const struct shape two = { 16, 0, 60, 2, { 12, 16 }, { 0, 0 } };
	unsigned int seed = test_seed();

	printf("# TEST_SEED=%u\n", seed);
	shim_lpar = true;
	randomly(&one, seed);
	shim_lpar = true;
	randomly(&two, seed + 1);
}
