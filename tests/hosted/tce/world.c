// SPDX-License-Identifier: GPL-2.0-only
#include "world.h"

/* One level as for small windows; levels as for large ones; 64K before 4K. */
const struct shape shape_plain = { 16, 0, 1200, 1, { 16 }, { 0 } };
const struct shape shape_levels = { 16, 1UL << 59, 1200, 1, { 16 }, { 32 } };
const struct shape shape_two = { 16, 0, 1100, 2, { 12, 16 }, { 64, 32 } };
const struct shape shape_equal = { 16, 0, 1100, 2, { 16, 16 }, { 0, 8 } };
/* 256 pages of the hardware in one of the guest */
const struct shape shape_big = { 20, 0, 70, 2, { 12, 16 }, { 0, 0 } };

static struct kvm *world_vm(void)
{
	struct kvm *kvm = vm_new();

	vm_slot(kvm, 0, GPA_A, 64 * MB, UA_A, 0);
	vm_slot(kvm, 1, GPA_RO, MB, UA_RO, KVM_MEM_READONLY);
	vm_slot(kvm, 2, GPA_UNKNOWN, MB, UA_UNKNOWN, 0);
	vm_slot(kvm, 3, GPA_SKEWED, MB, UA_SKEWED, 0);
	vm_slot(kvm, 4, GPA_LIST, 64 * 1024, UA_LIST, 0);
	region_new(UA_A, 32 * MB, 20);
	region_new(UA_B, 32 * MB, 16);
	region_new(UA_RO, MB, 16);
	region_new(UA_SKEWED & ~(MB - 1), 2 * MB, 16);
	return kvm;
}

struct world world_new(const struct shape *shape, int preregistered)
{
	struct world w = { .shape = *shape, .kvm = world_vm() };
	u64 size = shape->entries << shape->shift;

	w.vcpu.kvm = w.kvm;
	w.table = vm_table(w.kvm, LIOBN, shape->shift, shape->bus, shape->entries);
	EXPECT(w.table >= 0);
	for (unsigned int i = 0; i < shape->nr_hw; i++) {
		w.group[i] = group_new(preregistered);
		w.hw[i] = hw_new(shape->hw_shift[i], shape->bus, size,
				 shape->leaf[i]);
		group_set_window(w.group[i], i, w.hw[i]);
		EXPECT_EQ(vm_attach(w.kvm, w.group[i], w.table), 0);
	}
	return w;
}

void world_preregistered(struct world *w, int preregistered)
{
	for (unsigned int i = 0; i < w->shape.nr_hw; i++) {
		w->group[i]->user.preregistered = preregistered;
		EXPECT_EQ(vm_attach(w->kvm, w->group[i], w->table), 0);
	}
}

u64 world_ioba(const struct world *w, u64 entry)
{
	return w->shape.bus + (entry << w->shape.shift);
}

/* A hypercall leaves nothing in the TLB that is not in the table. */
static long done(long ret)
{
	EXPECT_EQ(hw_stale(), 0);
	shim_return_to_user();
	return ret;
}

long world_put(struct world *w, u64 entry, u64 tce)
{
	return done(kvmppc_h_put_tce(&w->vcpu, LIOBN, world_ioba(w, entry), tce));
}

long world_list(struct world *w, u64 entry, const u64 *tces, u64 nr)
{
	user_list(UA_LIST, tces, nr);
	return done(kvmppc_h_put_tce_indirect(&w->vcpu, LIOBN,
					      world_ioba(w, entry), GPA_LIST,
					      nr));
}

long world_stuff(struct world *w, u64 entry, u64 value, u64 nr)
{
	return done(kvmppc_h_stuff_tce(&w->vcpu, LIOBN, world_ioba(w, entry),
				       value, nr));
}

u64 world_get(struct world *w, u64 entry)
{
	w->vcpu.gpr4 = 0xdead;
	EXPECT_EQ(kvmppc_h_get_tce(&w->vcpu, LIOBN, world_ioba(w, entry)), 0);
	return w->vcpu.gpr4;
}

/* The reference: what an entry means */

static const struct kvm_memory_slot *slot_of(struct world *w, u64 gpa, u64 size)
{
	const struct kvm_memory_slot *slot;
	u64 base;

	for (int i = 0; i < FAKE_SLOTS; i++) {
		slot = &w->kvm->memslots[0]->slots[i];
		base = slot->base_gfn << PAGE_SHIFT;
		if (gpa >= base && gpa + size > gpa &&
		    gpa + size <= base + (slot->npages << PAGE_SHIFT))
			return slot;
	}
	return NULL;
}

static unsigned long ua_of(struct world *w, u64 tce)
{
	u64 gpa = tce & ~(u64)PERMS;
	const struct kvm_memory_slot *slot = slot_of(w, gpa, 1UL << w->shape.shift);

	if (!slot || (tce & TCE_PCI_WRITE && slot->flags & KVM_MEM_READONLY) ||
	    gpa & ((1UL << w->shape.shift) - 1))
		return 0;
	return slot->userspace_addr + (gpa - (slot->base_gfn << PAGE_SHIFT));
}

static bool hw_can(const struct hw *hw, unsigned int shift, unsigned long ua)
{
	unsigned long page = 1UL << hw->tbl.it_page_shift;
	struct region *region;

	for (unsigned long at = ua; at < ua + (1UL << shift); at += page) {
		region = region_of(at, page);
		if (!region || !region->mapped ||
		    hw->tbl.it_page_shift > region->shift ||
		    region_hpa(region, at) & (page - 1))
			return false;
	}
	return true;
}

bool world_can(struct world *w, const u64 *tces, u64 nr, bool *early)
{
	bool can = true;

	*early = false;
	for (u64 i = 0; i < nr; i++) {
		unsigned long ua = ua_of(w, tces[i]);

		if (!(tces[i] & PERMS))
			continue;
		*early |= !ua;
		for (unsigned int k = 0; k < w->shape.nr_hw; k++)
			can = can && ua && hw_can(w->hw[k], w->shape.shift, ua);
	}
	return can;
}

static u64 hw_value(u64 tce, struct hw *hw, unsigned long ua)
{
	struct region *region = region_of(ua, 1UL << hw->tbl.it_page_shift);

	if (!region)
		return ~0ULL;
	return region_hpa(region, ua) |
	       (tce & TCE_PCI_WRITE ? PERMS : TCE_PCI_READ);
}

/* Snapshots */

static unsigned int sub_shift(const struct world *w, unsigned int k)
{
	return w->shape.shift - w->shape.hw_shift[k];
}

void snapshot_take(struct world *w, struct snapshot *s)
{
	unsigned long nr;

	memset(s, 0, sizeof(*s));
	s->shadow = calloc(w->shape.entries, sizeof(u64));
	for (u64 i = 0; i < w->shape.entries; i++)
		s->shadow[i] = world_get(w, i);
	for (unsigned int k = 0; k < w->shape.nr_hw; k++) {
		nr = w->shape.entries << sub_shift(w, k);
		s->now[k] = calloc(nr, sizeof(u64));
		s->view[k] = calloc(nr, sizeof(unsigned long));
		for (unsigned long i = 0; i < nr; i++) {
			s->now[k][i] = hw_now(w->hw[k], i);
			s->view[k][i] = hw_view(w->hw[k], i);
		}
	}
}

void snapshot_drop(struct snapshot *s)
{
	free(s->shadow);
	for (int k = 0; k < 2; k++) {
		free(s->now[k]);
		free(s->view[k]);
	}
	memset(s, 0, sizeof(*s));
}

static bool is_old(struct world *w, struct snapshot *before, u64 entry)
{
	if (world_get(w, entry) != before->shadow[entry])
		return false;
	for (unsigned int k = 0; k < w->shape.nr_hw; k++) {
		unsigned long i = entry << sub_shift(w, k);

		for (unsigned long sub = 0; sub < 1UL << sub_shift(w, k); sub++, i++)
			if (hw_now(w->hw[k], i) != before->now[k][i] ||
			    hw_view(w->hw[k], i) != before->view[k][i])
				return false;
	}
	return true;
}

static bool hw_is_new(struct world *w, unsigned int k, u64 entry, u64 tce)
{
	unsigned long i = entry << sub_shift(w, k), sub, at, ua = ua_of(w, tce);

	for (sub = 0; sub < 1UL << sub_shift(w, k); sub++) {
		u64 now = hw_now(w->hw[k], i + sub);
		unsigned long view = hw_view(w->hw[k], i + sub);

		at = ua + (sub << w->shape.hw_shift[k]);
		if (tce & PERMS ? now != hw_value(tce, w->hw[k], at) || view != at :
		    now & PERMS || view)
			return false;
	}
	return true;
}

static bool is_new(struct world *w, u64 entry, u64 tce)
{
	if (world_get(w, entry) != tce)
		return false;
	for (unsigned int k = 0; k < w->shape.nr_hw; k++)
		if (!hw_is_new(w, k, entry, tce))
			return false;
	return true;
}

void world_check_counts(struct world *w)
{
	struct region *region;
	unsigned long views;

	for (unsigned int r = 0; (region = region_nr(r)); r++) {
		views = 0;
		for (unsigned int k = 0; k < w->shape.nr_hw; k++)
			for (unsigned long i = 0; i < w->hw[k]->tbl.it_size; i++) {
				unsigned long ua = hw_view(w->hw[k], i);

				views += ua >= region->ua &&
					 ua < region->ua + region->size;
			}
		EXPECT_EQ(max(region->mapped, 1) - 1, views);
	}
	EXPECT_EQ(hw_stale(), 0);
}

void world_check(struct world *w, struct snapshot *before, u64 first,
		 const u64 *tces, u64 value, u64 nr, int done)
{
	for (u64 i = 0; i < w->shape.entries && test_failures() < 20; i++) {
		bool in = i >= first && i - first < nr && done >= 0;
		u64 tce = tces && in ? tces[i - first] : value;

		if (in && is_new(w, i, tce))
			continue;
		if ((in && done > 0) || !is_old(w, before, i))
			SHIM_FAIL("%lu, %s: %#lx, not %#lx, %#lx; hw %#lx, %#lx, was %#lx, %#lx",
				  (unsigned long)i, in ? "of the request" : "of others",
				  (unsigned long)world_get(w, i),
				  (unsigned long)before->shadow[i],
				  (unsigned long)tce,
				  (unsigned long)hw_now(w->hw[0], i << sub_shift(w, 0)),
				  hw_view(w->hw[0], i << sub_shift(w, 0)),
				  (unsigned long)before->now[0][i << sub_shift(w, 0)],
				  before->view[0][i << sub_shift(w, 0)]);
	}
	world_check_counts(w);
}
