/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM with one table, hardware behind it, and guest memory of all kinds; and
 * what must be true after a hypercall, computed independently from the
 * contract, section 4.
 */
#ifndef _WORLD_H
#define _WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/fault.h>
#include <linux/file.h>

#include "fake.h"

#define LIOBN		0x80000001UL
#define MB		(1024 * 1024UL)

/* Guest memory, by guest address; UA_* is where it is in user space. */
#define GPA_A		0UL			/* region 0 */
#define GPA_B		(32 * MB)		/* region 1, in the same slot */
#define GPA_RO		(4096 * MB)		/* region 2, a slot of its own */
#define GPA_UNKNOWN	(2UL << 32)		/* not preregistered */
#define GPA_SKEWED	(3UL << 32)		/* region 3, one host page off */
#define GPA_LIST	(4UL << 32)
#define UA_A		0x7f0000000000UL
#define UA_B		(UA_A + 32 * MB)
#define UA_RO		0x7f1000000000UL
#define UA_UNKNOWN	0x7f2000000000UL
#define UA_SKEWED	(0x7f3000000000UL + PAGE_SIZE)
#define UA_LIST		0x7f4000000000UL

struct shape {
	unsigned int shift;	/* of the guest's pages */
	u64 bus;		/* where the window begins */
	u64 entries;
	unsigned int nr_hw;
	unsigned int hw_shift[2];
	unsigned long leaf[2];
};

struct world {
	struct shape shape;
	struct kvm *kvm;
	struct kvm_vcpu vcpu;
	int table;
	struct iommu_group *group[2];
	struct hw *hw[2];
};

/* Everything that a hypercall could change */
struct snapshot {
	u64 *shadow;
	u64 *now[2];
	unsigned long *view[2];
};

extern const struct shape shape_plain, shape_levels, shape_two, shape_equal, shape_big;

struct world world_new(const struct shape *shape, int preregistered);
/* The container becomes so, and SET_SPAPR_TCE, once more, finds it out. */
void world_preregistered(struct world *w, int preregistered);
u64 world_ioba(const struct world *w, u64 entry);

long world_put(struct world *w, u64 entry, u64 tce);
long world_list(struct world *w, u64 entry, const u64 *tces, u64 nr);
long world_stuff(struct world *w, u64 entry, u64 value, u64 nr);
u64 world_get(struct world *w, u64 entry);

/*
 * Must the kernel accept each of @tces, and can it? *early: found out before
 * anything changes.
 */
bool world_can(struct world *w, const u64 *tces, u64 nr, bool *early);

void snapshot_take(struct world *w, struct snapshot *s);
void snapshot_drop(struct snapshot *s);
/*
 * @done: -1 nothing may have changed; 0 each entry old or new; 1 all of them new.
 * @tces: @nr entries from @first on; NULL: all are @value.
 */
void world_check(struct world *w, struct snapshot *before, u64 first,
		 const u64 *tces, u64 value, u64 nr, int done);
/* Counts, TLB, views */
void world_check_counts(struct world *w);

#endif
