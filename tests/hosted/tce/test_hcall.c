// SPDX-License-Identifier: GPL-2.0-only
/* What the four hypercalls return and do: contract, section 4 */
#include "spapr_tce.h"
#include "world.h"

#define RW	PERMS
#define RO	TCE_PCI_READ
#define WO	TCE_PCI_WRITE

/* A hypercall, and all that has to be true afterwards */
static void put(struct world *w, u64 entry, u64 tce, long want, int done)
{
	struct snapshot before;

	snapshot_take(w, &before);
	EXPECT_EQ(world_put(w, entry, tce), want);
	world_check(w, &before, entry, &tce, 0, 1, done);
	snapshot_drop(&before);
}

static void list(struct world *w, u64 entry, const u64 *tces, u64 nr, long want,
		 int done)
{
	struct snapshot before;

	snapshot_take(w, &before);
	EXPECT_EQ(world_list(w, entry, tces, nr), want);
	world_check(w, &before, entry, tces, 0, nr, done);
	snapshot_drop(&before);
}

static void stuff(struct world *w, u64 entry, u64 value, u64 nr, long want,
		  int done)
{
	struct snapshot before;

	snapshot_take(w, &before);
	EXPECT_EQ(world_stuff(w, entry, value, nr), want);
	world_check(w, &before, entry, NULL, value, nr, done);
	snapshot_drop(&before);
}

static void fill(struct world *w, u64 *tces, u64 nr, u64 gpa, u64 perms)
{
	for (u64 i = 0; i < nr; i++)
		tces[i] = (gpa + ((i << w->shape.shift) & (32 * MB - 1))) | perms;
}

/* Contract 4.23 */
TEST(ranges, "addresses and numbers of entries at their limits")
{
	struct world w = world_new(&shape_levels, 1);
	static const unsigned long npages[] = {
		0, 1, 2, 511, 512, 513, 1200, 1201, 1UL << 47, 1UL << 48, 1UL << 63,
		-1UL - 1200, -1UL
	};
	u64 size = w.shape.entries << w.shape.shift, bus = w.shape.bus;
	u64 iobas[] = {
		0, bus - 1, bus - 65536, bus, bus + 1, bus + 4096, bus + size - 65536,
		bus + size - 4096, bus + size, bus + size + 65536, bus << 1, -1UL,
		-65536UL
	};

	for (size_t i = 0; i < ARRAY_SIZE(iobas); i++) {
		u64 at = iobas[i] - bus;
		bool in = !(iobas[i] & 0xffff) && iobas[i] >= bus && at < size;
		long want = in ? H_SUCCESS : H_PARAMETER;

		EXPECT_EQ(kvmppc_h_put_tce(&w.vcpu, LIOBN, iobas[i], GPA_A | RW), want);
		EXPECT_EQ(kvmppc_h_put_tce(&w.vcpu, LIOBN, iobas[i], 0), want);
		EXPECT_EQ(kvmppc_h_get_tce(&w.vcpu, LIOBN, iobas[i]), want);
		for (size_t k = 0; k < ARRAY_SIZE(npages); k++) {
			bool fits = in && npages[k] <= (size - at) >> 16;
			u64 none[512] = { 0 };

			user_list(UA_LIST, none, 512);
			EXPECT_EQ(kvmppc_h_stuff_tce(&w.vcpu, LIOBN, iobas[i], 0,
						     npages[k]),
				  fits ? H_SUCCESS : H_PARAMETER);
			EXPECT_EQ(kvmppc_h_put_tce_indirect(&w.vcpu, LIOBN, iobas[i],
							    GPA_LIST, npages[k]),
				  fits && npages[k] <= 512 ? H_SUCCESS : H_PARAMETER);
		}
	}
	world_check_counts(&w);
}

TEST(no_table, "a LIOBN that is not here: H_TOO_HARD, whatever the arguments")
{
	struct world w = world_new(&shape_plain, 1);
	static const unsigned long liobns[] = { 0, LIOBN - 1, LIOBN + 1,
						LIOBN | 1UL << 32, -1UL };

	for (size_t i = 0; i < ARRAY_SIZE(liobns); i++) {
		unsigned long l = liobns[i];

		EXPECT_EQ(kvmppc_h_put_tce(&w.vcpu, l, 1, 3), H_TOO_HARD);
		EXPECT_EQ(kvmppc_h_put_tce_indirect(&w.vcpu, l, 1, 1, -1UL),
			  H_TOO_HARD);
		EXPECT_EQ(kvmppc_h_put_tce_indirect(&w.vcpu, l, 0, GPA_LIST, 1),
			  H_TOO_HARD);
		EXPECT_EQ(kvmppc_h_stuff_tce(&w.vcpu, l, 1, 3, -1UL), H_TOO_HARD);
		EXPECT_EQ(kvmppc_h_get_tce(&w.vcpu, l, 1), H_TOO_HARD);
	}
	EXPECT_EQ(hw_counts.fetches, 0);
}

static void put_sequence(const struct shape *shape)
{
	struct world w = world_new(shape, 1);
	static const u64 tces[] = {
		GPA_A | RW, GPA_A | RW, GPA_A | RO, (GPA_A + MB) | WO, GPA_B | RW,
		(GPA_B + MB) | RO, 0, 0, 0xabc0, GPA_A | RO, 0x5550, GPA_B | RW,
		GPA_A | RW, 0
	};
	u64 entries[] = { 0, 1, 31, 32, shape->entries - 1 };

	for (size_t e = 0; e < ARRAY_SIZE(entries); e++)
		for (size_t i = 0; i < ARRAY_SIZE(tces); i++)
			put(&w, entries[e], tces[i], H_SUCCESS, 1);
	fake_end();
}

TEST(puts, "H_PUT_TCE: map, remap in the same and another region, poison, unmap")
{
	static const struct shape small = { 12, 0, 1200, 1, { 12 }, { 0 } };

	put_sequence(&small);
	put_sequence(&shape_plain);
	put_sequence(&shape_levels);
	put_sequence(&shape_two);
	put_sequence(&shape_big);
	put_sequence(&shape_equal);
}

/* Contract 4.24: What cannot be mapped: H_TOO_HARD, and nothing has changed. */
TEST(bad_pages, "pages that the kernel cannot map: H_TOO_HARD, nothing changes")
{
	struct world w = world_new(&shape_plain, 1);
	static const u64 bad[] = {
		(GPA_A + 4096) | RW, (GPA_A + 4) | RO, (64 * MB) | RO,
		GPA_RO | RW, GPA_RO | WO, GPA_UNKNOWN | RW, GPA_UNKNOWN | RO,
		GPA_SKEWED | RW, ~0xffffUL | RO, ~0UL, 1UL << 63 | RW,
		(GPA_RO + MB) | RO
	};
	u64 tces[3];

	for (int mapped = 0; mapped < 2; mapped++) {
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			bool known = bad[i] == (GPA_UNKNOWN | RW) ||
				     bad[i] == (GPA_UNKNOWN | RO) ||
				     bad[i] == (GPA_SKEWED | RW);

			/* Host pages as large as the IOMMU's cannot be skewed. */
			if (bad[i] == (GPA_SKEWED | RW) && PAGE_SHIFT == 16)
				continue;
			put(&w, 5, bad[i], H_TOO_HARD, -1);
			tces[0] = GPA_A | RW;
			tces[1] = bad[i];
			tces[2] = GPA_A | RW;
			list(&w, 5, tces, 3, H_TOO_HARD, known ? 0 : -1);
			stuff(&w, 5, 0, 3, H_SUCCESS, 1);
			if (mapped)
				put(&w, 5, GPA_B | RW, H_SUCCESS, 1);
		}
		put(&w, 5, GPA_B | RW, H_SUCCESS, 1);
	}
	put(&w, 6, GPA_RO | RO, H_SUCCESS, 1);
	put(&w, 6, (GPA_RO + MB - 65536) | RO, H_SUCCESS, 1);
}

/*
 * Contract 4.30: What one entry of a read-only slot may says nothing of the
 * next.
 */
TEST(read_only, "a read-only slot: a page to read first, then one to write: nothing changes")
{
	struct world w = world_new(&shape_plain, 1);
	u64 tces[3] = { GPA_RO | RO, (GPA_RO + 65536) | RO, (GPA_RO + 131072) | RO };
	static const u64 writes[] = { WO, RW };

	list(&w, 5, tces, 3, H_SUCCESS, 1);
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		for (int at = 0; at < 3; at++) {
			u64 bad[3] = { tces[2], tces[0], tces[1] };

			bad[at] = (bad[at] & ~PERMS) | writes[i];
			list(&w, 5, bad, 3, H_TOO_HARD, -1);
			list(&w, 50, bad, 3, H_TOO_HARD, -1);
		}
	}
}

#if PAGE_SHIFT < 16
/* Contract 4.28, 4.30: A page of the guest lies wholly in one slot. */
TEST(slot_edge, "a page that begins in one slot and ends in another")
{
	struct world w = world_new(&shape_plain, 1);

	vm_slot(w.kvm, 5, 5UL << 32, 0x8000, UA_A, 0);
	vm_slot(w.kvm, 6, (5UL << 32) + 0x8000, 0x8000, UA_A + 0x8000, 0);
	put(&w, 0, 5UL << 32 | RW, H_TOO_HARD, -1);
	vm_slot(w.kvm, 6, 0, 0, 0, 0);
	put(&w, 0, 5UL << 32 | RW, H_TOO_HARD, -1);
	vm_slot(w.kvm, 5, 5UL << 32, 0x10000, UA_A, 0);
	put(&w, 0, 5UL << 32 | RW, H_SUCCESS, 1);
	/* What ends at the end of all addresses */
	vm_slot(w.kvm, 5, 0xffffffffffff0000, 0x10000, UA_A + MB, 0);
	EXPECT(world_put(&w, 1, 0xffffffffffff0000 | RW) == H_TOO_HARD);
}
#endif

static void lists(const struct shape *shape)
{
	static const u64 nrs[] = { 0, 1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 63, 64,
				   65, 127, 128, 129, 511, 512 };
	static const u64 firsts[] = { 0, 1, 31, 63, 64, 500, 511, 512, 588 };
	struct world w = world_new(shape, 1);
	u64 tces[512];

	for (size_t i = 0; i < ARRAY_SIZE(nrs); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(firsts); k++) {
			u64 nr = nrs[i], first = firsts[k];

			if (first + nr > shape->entries || (i + k) % 3)
				continue;
			fill(&w, tces, nr, GPA_A, RW);
			list(&w, first, tces, nr, H_SUCCESS, 1);
			fill(&w, tces, nr, i & 1 ? GPA_B : GPA_A + MB, RO);
			if (nr > 2)
				tces[nr / 2] = 0x770;
			list(&w, first, tces, nr, H_SUCCESS, 1);
			stuff(&w, first, i & 1 ? 0 : 0x440, nr, H_SUCCESS, 1);
		}
	}
	fake_end();
}

TEST(lists, "H_PUT_TCE_INDIRECT and H_STUFF_TCE over chunks, leaves and pages")
{
	lists(&shape_plain);
	lists(&shape_levels);
	lists(&shape_two);
	lists(&shape_big);
}

/* Contract 4.25 */
TEST(list_fetch, "H_PUT_TCE_INDIRECT: the list is read once, and where it is")
{
	struct world w = world_new(&shape_plain, 1);
	u64 tces[512];

	fill(&w, tces, 512, GPA_A, RW);
	hw_counts.fetches = 0;
	hw_counts.fetched = 0;
	list(&w, 0, tces, 512, H_SUCCESS, 1);
	EXPECT_EQ(hw_counts.fetches, 1);
	EXPECT_EQ(hw_counts.fetched, 4096);
	user_list(UA_LIST, tces, 512);
	for (unsigned long at = 1; at < 4096; at += at == 1 ? 7 : 8)
		EXPECT_EQ(kvmppc_h_put_tce_indirect(&w.vcpu, LIOBN, 0,
						    GPA_LIST + at, 1), H_PARAMETER);
	EXPECT_EQ(hw_counts.fetches, 1);
	/* Not in a slot, not readable */
	EXPECT_EQ(kvmppc_h_put_tce_indirect(&w.vcpu, LIOBN, 0, 9UL << 32, 1),
		  H_TOO_HARD);
	EXPECT_EQ(kvmppc_h_put_tce_indirect(&w.vcpu, LIOBN, 0, ~0xfffUL, 1),
		  H_TOO_HARD);
	EXPECT_EQ(kvmppc_h_put_tce_indirect(&w.vcpu, LIOBN, 0, GPA_UNKNOWN, 1),
		  H_TOO_HARD);
	/* Not at the beginning of a host page of 64K */
	fill(&w, tces, 2, GPA_B, RO);
	user_list(UA_LIST + 0x3000, tces, 2);
	EXPECT_EQ(kvmppc_h_put_tce_indirect(&w.vcpu, LIOBN, 0, GPA_LIST + 0x3000, 2),
		  H_SUCCESS);
	EXPECT_EQ(world_get(&w, 1), tces[1]);
}

/* Contract 4.24: A guest's error is found before any entry changes. */
TEST(list_late, "H_PUT_TCE_INDIRECT: one bad entry at the end, nothing changes")
{
	struct world w = world_new(&shape_two, 1);
	u64 tces[512];

	fill(&w, tces, 512, GPA_B, RO);
	list(&w, 0, tces, 512, H_SUCCESS, 1);
	fill(&w, tces, 512, GPA_A, RW);
	tces[511] = (GPA_A + 0x1000) | RW;
	list(&w, 0, tces, 512, H_TOO_HARD, -1);
	tces[511] = GPA_RO | RW;
	list(&w, 0, tces, 512, H_TOO_HARD, -1);
	/* Known only when its turn comes */
	tces[511] = GPA_UNKNOWN | RW;
	list(&w, 0, tces, 512, H_TOO_HARD, 0);
}

TEST(stuffs, "H_STUFF_TCE: permissions are H_PARAMETER; all, none, poison")
{
	struct world w = world_new(&shape_two, 1);
	u64 tces[512];

	fill(&w, tces, 512, GPA_A, RW);
	list(&w, 3, tces, 512, H_SUCCESS, 1);
	for (u64 perms = 1; perms < 4; perms++) {
		stuff(&w, 0, GPA_A | perms, 1, H_PARAMETER, -1);
		stuff(&w, 0, perms, 0, H_PARAMETER, -1);
	}
	stuff(&w, 0, ~3UL, 20, H_SUCCESS, 1);
	stuff(&w, 0, 0, 0, H_SUCCESS, -1);
	stuff(&w, 0, 0, w.shape.entries, H_SUCCESS, 1);
	stuff(&w, 0, 0xfffc, w.shape.entries, H_SUCCESS, 1);
	EXPECT_EQ(region_nr(0)->mapped, 1);
	EXPECT_EQ(region_nr(1)->mapped, 1);
}

/* User space may have mapped something, too. */
TEST(user_mapped, "entries that the container mapped are counted down, not skipped")
{
	struct world w = world_new(&shape_two, 1);
	struct snapshot before;

	for (int i = 0; i < 40; i++)
		hw_user_map(w.hw[0], i, region_nr(0), UA_A + (i << 12), RW, true);
	hw_user_map(w.hw[1], 1, region_nr(1), UA_B, RO, true);
	snapshot_take(&w, &before);
	EXPECT_EQ(world_put(&w, 1, GPA_A | RW), H_SUCCESS);
	EXPECT_EQ(world_stuff(&w, 0, 0, 4), H_SUCCESS);
	world_check(&w, &before, 0, NULL, 0, 4, 1);
	snapshot_drop(&before);
	EXPECT_EQ(region_nr(0)->mapped, 1);
	EXPECT_EQ(region_nr(1)->mapped, 1);
}

/* Contract 4.31: Without preregistration: never skipped. */
TEST(v1, "a container without preregistration: H_TOO_HARD")
{
	struct world w = world_new(&shape_plain, 0);
	u64 tces[2] = { GPA_A | RW, 0 };

	hw_user_map(w.hw[0], 2, region_nr(0), UA_A, RW, false);
	put(&w, 0, GPA_A | RW, H_TOO_HARD, -1);
	put(&w, 2, 0, H_TOO_HARD, -1);
	list(&w, 1, tces, 2, H_TOO_HARD, -1);
	stuff(&w, 0, 0, 10, H_TOO_HARD, -1);
	EXPECT_EQ(world_stuff(&w, 0, 0, 0), H_SUCCESS);
}

/* What SET finds out of the container is for all its groups. */
TEST(v2_others, "memory is preregistered after ADD of two groups, and SET is for one")
{
	struct world w = world_new(&shape_plain, 0);
	struct iommu_group *other = group_new(0);

	group_set_window(other, 0, w.hw[0]);
	EXPECT_EQ(group_add(w.kvm, other), 0);
	put(&w, 0, GPA_A | RW, H_TOO_HARD, -1);
	world_preregistered(&w, 1);
	EXPECT_EQ(other->user.preregistered, 0);
	EXPECT_EQ(world_put(&w, 0, GPA_A | RW), H_SUCCESS);
}

/* Contract 4.21: A table without hardware behind it is just memory. */
TEST(emulated, "a table with nothing attached: what is put is read back")
{
	struct shape shape = shape_plain;
	struct world w;
	u64 tces[3] = { GPA_UNKNOWN | RW, 0x120, GPA_A | RO };

	shape.nr_hw = 0;
	w = world_new(&shape, 1);
	EXPECT_EQ(world_list(&w, 511, tces, 3), H_SUCCESS);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(world_get(&w, 511 + i), tces[i]);
	EXPECT_EQ(world_get(&w, 510), 0);
	EXPECT_EQ(world_put(&w, 0, GPA_RO | WO), H_TOO_HARD);
	EXPECT_EQ(world_stuff(&w, 0, 0x10, 1200), H_SUCCESS);
	EXPECT_EQ(world_get(&w, 1199), 0x10);
	EXPECT_EQ(hw_counts.kills, 0);
}

/* What is replaced in one region costs one kill and few look-ups a chunk. */
TEST(cost, "512 entries: a kill and a look-up for each chunk, none for empty runs")
{
	struct world w = world_new(&shape_plain, 1);
	u64 tces[512];

	/* The slot is what was registered, as user space does it. */
	vm_slot(w.kvm, 5, 5UL << 32, 32 * MB, UA_A, 0);
	fill(&w, tces, 512, 5UL << 32, RW);
	EXPECT_EQ(world_list(&w, 0, tces, 512), H_SUCCESS);
	EXPECT(hw_counts.kills <= 8);
	EXPECT(hw_counts.lookups <= 8);
	hw_counts.kills = 0;
	hw_counts.exchanges = 0;
	EXPECT_EQ(world_stuff(&w, 512, 0, 600), H_SUCCESS);
	EXPECT_EQ(hw_counts.kills, 0);
	EXPECT_EQ(hw_counts.exchanges, 0);
	EXPECT_EQ(world_stuff(&w, 0, 0, 512), H_SUCCESS);
	EXPECT(hw_counts.kills <= 8);
	EXPECT_EQ(hw_counts.cleared, 512);
}

/* Contract 4.27 */
TEST(break, "no more than 512 hardware entries change in one piece, in all tables")
{
	static const struct shape shapes[] = {
		{ 16, 0, 520, 1, { 16 }, { 0 } },
		{ 16, 0, 520, 2, { 16, 16 }, { 0, 0 } },
		{ 16, 0, 520, 2, { 12, 16 }, { 64, 32 } },
		{ 20, 0, 9, 2, { 12, 16 }, { 0, 0 } },
	};
	u64 tces[512];

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct world w = world_new(&shapes[i], 1);
		u64 nr = min(shapes[i].entries, 512UL);

		for (u64 j = 0; j < nr; j++)
			tces[j] = (GPA_A + j % 32 * MB) | RW;
		hw_counts = (struct hw_counts){ .tables = hw_counts.tables };
		EXPECT_EQ(world_list(&w, 0, tces, nr), H_SUCCESS);
		EXPECT_EQ(world_list(&w, 0, tces, nr), H_SUCCESS);
		EXPECT_EQ(world_stuff(&w, 0, 0, nr), H_SUCCESS);
		EXPECT(hw_counts.longest);
		EXPECT(hw_counts.longest <= 512);
		fake_end();
	}
}

/*
 * Contract 4.27: Each page in a region of its own.  Each pass looks up 32 regions, but all of the
 * first entry, and what it lets go is looked up once more.
 */
TEST(many_regions, "a page in each of 512 regions: few are looked up in one piece")
{
	static const struct shape shapes[] = {
		{ 16, 0, 512, 1, { 16 }, { 0 } },
		{ 16, 0, 512, 2, { 16, 12 }, { 64, 0 } },
		{ 20, 0, 32, 1, { 16 }, { 0 } },
	};
	const u64 gpa = 5UL << 32, ua = 0x7f5000000000UL;
	u64 tces[512];

	for (int i = 0; i < 6; i++) {
		const struct shape *shape = &shapes[i % 3];
		struct world w = world_new(shape, 1);
		u64 nr = shape->entries, size = 1UL << shape->shift;
		unsigned long most = 2;

		/* Firmware unmaps by exchanges. */
		shim_lpar = i >= 3;
		for (unsigned int j = 0; j < shape->nr_hw; j++)
			most += 2 * (32 + (2 << (shape->shift - shape->hw_shift[j])));
		vm_slot(w.kvm, 5, gpa, 32 * MB, ua, 0);
		for (unsigned long j = 0; j < 512; j++)
			region_new(ua + (j << 16), 1 << 16, 16);
		hw_counts.most_lookups = 0;
		for (u64 j = 0; j < nr; j++)
			tces[j] = (gpa + j * size) | RW;
		EXPECT_EQ(world_list(&w, 0, tces, nr), H_SUCCESS);
		for (u64 j = 0; j < nr; j++)
			tces[j] = (gpa + (32 * MB - size) - j * size) | RO;
		list(&w, 0, tces, nr, H_SUCCESS, 1);
		EXPECT(hw_counts.most_lookups > 32);
		memset(tces, 0, sizeof(tces));
		for (u64 j = 0; j < nr; j += 2)
			tces[j] = (gpa + j * size) | RW;
		list(&w, 0, tces, nr, H_SUCCESS, 1);
		stuff(&w, 0, 0, nr, H_SUCCESS, 1);
		EXPECT(hw_counts.most_lookups <= most);
		shim_lpar = false;
		fake_end();
	}
}

/* Contract 4.28: The fast path has the slot of the entry before. */
TEST(slot_changes, "a slot is deleted, moved, read-only: nothing is put by what it was")
{
	struct world w = world_new(&shape_plain, 1);

	put(&w, 0, GPA_A | RW, H_SUCCESS, 1);
	put(&w, 1, (GPA_A + MB) | RW, H_SUCCESS, 1);
	vm_slot(w.kvm, 0, GPA_A, 0, 0, 0);
	put(&w, 2, GPA_A | RW, H_TOO_HARD, -1);
	vm_slot(w.kvm, 0, GPA_A, 32 * MB, UA_B, 0);
	put(&w, 2, GPA_A | RW, H_SUCCESS, 1);
	vm_slot(w.kvm, 0, GPA_A, 32 * MB, UA_B, KVM_MEM_READONLY);
	put(&w, 3, GPA_A | RW, H_TOO_HARD, -1);
	put(&w, 3, GPA_A | RO, H_SUCCESS, 1);
	put(&w, 2, (GPA_A + MB) | RW, H_TOO_HARD, -1);
}

/* Its pages are not to be used any more, nor what it has of a list. */
TEST(slot_going, "a slot that is being deleted: H_TOO_HARD")
{
	struct world w = world_new(&shape_plain, 1);
	struct kvm_memslots *slots = w.kvm->memslots[0];
	u64 tces[2] = { GPA_A | RW, 0 };

	put(&w, 0, GPA_B | RW, H_SUCCESS, 1);
	slots->slots[4].flags |= KVM_MEMSLOT_INVALID;
	slots->generation++;
	list(&w, 0, tces, 2, H_TOO_HARD, -1);
	slots->slots[0].flags |= KVM_MEMSLOT_INVALID;
	slots->generation++;
	put(&w, 0, GPA_A | RW, H_TOO_HARD, -1);
}

/*
 * Contract 4.24: The generation of a VM's slots is 0 before there is one, as is that of no
 * slot.  In the userspace view, address 0 stands for an entry that is not mapped.
 */
TEST(slot_none, "no slot at all, or one at address 0: H_TOO_HARD, on the fast path, too")
{
	struct kvm *kvm = vm_new();
	struct kvm_vcpu vcpu = { .kvm = kvm };
	int table = vm_table(kvm, LIOBN, 16, 0, 4);
	struct iommu_group *group = group_new(1);
	struct hw *hw = hw_new(16, 0, 4 << 16, 0);

	region_new(0, MB, 16);
	group_set_window(group, 0, hw);
	EXPECT_EQ(vm_attach(kvm, group, table), 0);
	EXPECT_EQ(kvmppc_h_put_tce(&vcpu, LIOBN, 0, 0x550), H_SUCCESS);
	EXPECT_EQ(kvmppc_h_put_tce(&vcpu, LIOBN, 0, 0x10000 | RW), H_TOO_HARD);
	EXPECT_EQ(hw_now(hw, 0), 0);
	vm_slot(kvm, 0, 0, MB, 0, 0);
	EXPECT_EQ(kvmppc_h_put_tce(&vcpu, LIOBN, 0, RW), H_TOO_HARD);
	EXPECT_EQ(hw_now(hw, 0), 0);
}

/*
 * An entry that is replaced tells whether the device could write to its page.  One that is
 * unmapped is not asked, so its page is dirty in any case.
 */
TEST(dirty, "pages that the device could write to are dirty, and all that are unmapped")
{
	struct world w = world_new(&shape_plain, 1);
	static const u64 perms[] = { RO, WO, RW };

	for (int i = 0; i < 9; i++) {
		unsigned long ua = UA_B + i * 65536;
		struct page *page = pfn_to_page(region_hpa(region_nr(1), ua) >>
						PAGE_SHIFT);
		u64 p = perms[i % 3];

		put(&w, i, (GPA_B + i * 65536) | p, H_SUCCESS, 1);
		EXPECT(!page->dirty);
		if (i < 3)
			put(&w, i, GPA_A | RO, H_SUCCESS, 1);
		else if (i < 6)
			put(&w, i, 0, H_SUCCESS, 1);
		else
			stuff(&w, i, 0, 2, H_SUCCESS, 1);
		EXPECT_EQ(page->dirty, i >= 3 || p != RO);
	}
}

/* The second table of shape_equal, which has levels */
static int two_refuse(struct hw *hw, unsigned long i)
{
	return hw->tbl.it_indirect_levels ? -ENOMEM : 0;
}

/* Contract 4.28: One entry, and several hardware tables with pages of its size */
TEST(fast_two, "two hardware tables: all of both, or none, and on the fast path")
{
	struct world w = world_new(&shape_equal, 1);
	struct kvmppc_tce_table *table;
	unsigned long kills;
	u64 fast;

	rcu_read_lock();
	table = kvmppc_tce_find(w.kvm, LIOBN);
	rcu_read_unlock();
	put(&w, 0, GPA_A | RW, H_SUCCESS, 1);
	fast = table->fast;
	for (int i = 1; i < 40; i++) {
		kills = hw_counts.kills;
		put(&w, i, (GPA_B + i * 65536) | RW, H_SUCCESS, 1);
		EXPECT_EQ(hw_counts.kills, kills + 2);
		EXPECT_EQ(table->fast, ++fast);
	}
	for (int i = 1; i < 40; i++) {
		if (i & 1)
			put(&w, i, 0, H_SUCCESS, 1);
		else
			stuff(&w, i, 0, 1, H_SUCCESS, 1);
		EXPECT_EQ(table->fast, ++fast);
	}
	/* The other path does not get it, either. */
	hw_before_exchange = two_refuse;
	put(&w, 1, GPA_A | RW, H_TOO_HARD, -1);
	hw_before_exchange = NULL;
	put(&w, 1, GPA_A | RW, H_SUCCESS, 1);
	EXPECT_EQ(table->fast, ++fast);
	/* What replaces something could not be undone. */
	put(&w, 1, GPA_B | RW, H_SUCCESS, 1);
	EXPECT_EQ(table->fast, fast);
	for (int i = 0; i < 2; i++) {
		hw_user_unmap(w.hw[i], 1);
		put(&w, 1, GPA_B | RO, H_SUCCESS, 1);
	}
	put(&w, 1, 0, H_SUCCESS, 1);
	fast = table->fast;
	group_del(w.group[1]);
	EXPECT_EQ(world_put(&w, 1, GPA_B | RO), H_SUCCESS);
	EXPECT_EQ(table->fast, fast + 1);
	EXPECT(hw_now(w.hw[0], 1) && !hw_now(w.hw[1], 1));
}

/*
 * Contract 4.27: More of the hardware's pages than change without a break, so a page of
 * the guest changes in pieces
 */
TEST(large, "up to 4096 hardware pages in one of the guest's: yes, mapped once; 8192: H_TOO_HARD")
{
	static const struct shape shapes[] = {
		{ 21, 0, 3, 1, { 12 }, { 512 } },
		{ 21, 0, 3, 2, { 12, 12 }, { 512, 0 } },
		{ 22, 0, 3, 1, { 12 }, { 64 } },
		{ 24, 0, 3, 2, { 16, 12 }, { 0, 1024 } },
		{ 25, 0, 3, 1, { 12 }, { 512 } },
		/* One as large as the guest's does not make it the fast path's. */
		{ 25, 0, 3, 2, { 12, 25 }, { 512, 0 } },
		{ 25, 0, 3, 2, { 25, 12 }, { 0, 512 } },
	};
	static const u64 tces[] = { GPA_B | RO, 0x330, GPA_A | RW };

	for (int i = 0; i < 7; i++) {
		struct world w = world_new(&shapes[i], 1);
		bool pieces = i;
		long ret = i < 4 ? H_SUCCESS : H_TOO_HARD;
		int new = i < 4 ? 1 : -1;

		hw_counts = (struct hw_counts){ .tables = hw_counts.tables };
		put(&w, 1, GPA_A | RW, ret, new);
		put(&w, 1, GPA_B | RO, i < 4 && pieces ? H_TOO_HARD : ret, pieces ? -1 : new);
		put(&w, 1, 0x330, ret, new);
		put(&w, 1, GPA_B | RO, ret, new);
		stuff(&w, 0, 0, 3, ret, new);
		list(&w, 0, tces, 3, ret, new);
		stuff(&w, 0, 0x550, 3, ret, new);
		EXPECT(hw_counts.longest <= 512);
		EXPECT_EQ(hw_counts.longest, i < 4 ? 512 : 0);
		fake_end();
	}
}

/* Each is two calls of the hypervisor. */
TEST(chunks_lpar, "an LPAR: 64 hardware entries change in one section, or one of the guest's")
{
	static const struct shape shapes[] = {
		{ 16, 0, 70, 1, { 16 }, { 0 } },
		{ 16, 0, 70, 2, { 16, 12 }, { 0 } },
		{ 20, 0, 70, 1, { 12 }, { 0 } },
		{ 21, 0, 70, 1, { 12 }, { 0 } },
	};
	static const unsigned long most[] = { 64, 3 * 17, 256, 512 };

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct world w;
		u64 tces[70];

		shim_lpar = true;
		w = world_new(&shapes[i], 1);
		fill(&w, tces, 70, GPA_A, RW);
		hw_counts.longest = 0;
		list(&w, 0, tces, 70, H_SUCCESS, 1);
		EXPECT_EQ(hw_counts.longest, most[i]);
		fake_end();
	}
}

/* Firmware may refuse to unmap, so it could not be undone. */
TEST(large_lpar, "a page of the guest that changes in pieces, in an LPAR: H_TOO_HARD")
{
	static const struct shape shape = { 24, 0, 3, 1, { 12 }, { 512 } };
	struct world w = world_new(&shape, 1);

	shim_lpar = true;
	put(&w, 1, GPA_A | RW, H_TOO_HARD, -1);
	stuff(&w, 0, 0, 3, H_TOO_HARD, -1);
}

/*
 * Contract 4.29: A region that ends within a page of the guest, or is being
 * unregistered
 */
TEST(regions, "a region that is going, or too small: H_TOO_HARD, old as a whole")
{
	struct world w = world_new(&shape_two, 1);
	u64 tces[70];

	fill(&w, tces, 70, GPA_B, RW);
	for (int i = 0; i < 60; i++)
		tces[i] = (GPA_A + (i << 16)) | RO;
	EXPECT(region_unregister_begin(region_nr(1)));
	put(&w, 0, GPA_B | RW, H_TOO_HARD, -1);
	list(&w, 0, tces, 70, H_TOO_HARD, 0);
	EXPECT(!region_unregister_begin(region_nr(0)));
	region_unregister_end(region_nr(1));
	put(&w, 0, GPA_B | RW, H_TOO_HARD, -1);
	list(&w, 0, tces, 70, H_TOO_HARD, 0);
	stuff(&w, 0, 0, 70, H_SUCCESS, 1);
	EXPECT(region_unregister_begin(region_nr(0)));
	region_unregister_end(region_nr(0));
	region_return(region_nr(0));
	region_return(region_nr(1));
	list(&w, 0, tces, 70, H_SUCCESS, 1);
}

/* A region tells the size of its first page; one page of the host among them is smaller. */
TEST(one_small_host_page, "a small page of the host in a region of large ones: H_TOO_HARD")
{
	static const struct shape shape = { 20, 0, 30, 1, { 20 }, { 0 } };
	struct world w = world_new(&shape, 1);
	struct page *page = pfn_to_page(region_hpa(region_nr(0), UA_A + 5 * MB) >> PAGE_SHIFT);
	u64 tces[30];

	fill(&w, tces, 10, GPA_A, RW);
	list(&w, 0, tces, 10, H_SUCCESS, 1);
	page->shift = PAGE_SHIFT;
	put(&w, 20, (GPA_A + 5 * MB) | RW, H_TOO_HARD, -1);
	list(&w, 10, tces, 10, H_TOO_HARD, 0);
	put(&w, 20, (GPA_A + 4 * MB) | RW, H_SUCCESS, 1);
	put(&w, 20, (GPA_A + 6 * MB) | RO, H_SUCCESS, 1);
}

/* Smaller than the host's pages */
TEST(small_pages, "pages of 4K at any offset in the host's")
{
	static const struct shape shape = { 12, 0, 100, 1, { 12 }, { 0 } };
	struct world w = world_new(&shape, 1);
	u64 tces[17];

	for (u64 i = 0; i < 17; i++) {
		tces[i] = (GPA_B + (i << 12)) | RW;
		put(&w, i, tces[i], H_SUCCESS, 1);
	}
	put(&w, 3, (GPA_A + 0x5000) | RO, H_SUCCESS, 1);
	list(&w, 40, tces, 17, H_SUCCESS, 1);
}
