/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fake around the TCE code: hardware tables with a TLB, preregistered
 * memory, groups and their windows, a VM.  It follows pci-ioda-tce.c of powernv
 * and mm/book3s64/iommu_api.c, and adds what hardware and RCU do if the rules
 * are broken:
 *
 *	an entry that was valid stays cached until a kill covers it, and whoever drops
 *	a region's count while a cached or present entry needs it has failed;
 *	a region that was looked up is gone at the end of the RCU section
 */
#ifndef _FAKE_TCE_H
#define _FAKE_TCE_H

#include <linux/vfio.h>

#include <asm/kvm_spapr_tce.h>
#include <asm/vfio_tce.h>

#include <shim_tce.h>

#include "../test.h"

#define FAKE_CACHED	6	/* values of one entry since its last kill */
#define PERMS		(TCE_PCI_READ | TCE_PCI_WRITE)

/* One entry of a hardware table */
struct hw_entry {
	u64 now;			/* address and permissions */
	u64 cached[FAKE_CACHED];	/* what the TLB may still have */
	unsigned int nr_cached;
};

struct hw {
	struct iommu_table tbl;
	int refs;
	bool removed;			/* cleared: nobody may change it */
	unsigned int forbidden;		/* atomic: groups that are dead */
	unsigned long leaf;		/* entries in a leaf */
	unsigned long nr_leaves;
	struct hw_entry **entries;	/* by leaf; NULL: not there */
	__be64 **view;
	struct hw *next;
};

/*
 * Preregistered memory; hpa is (number + 1) << 30, with its blocks in reverse
 * order.
 */
struct region {
	unsigned long ua, size;
	unsigned int shift;		/* of the host's pages */
	long mapped;
	bool listed;
	long reach;			/* entries that the hardware may use */
	struct page **pages;		/* in leaves, made when needed */
	unsigned int number;
};

struct iommu_group {
	struct iommu_table_group *data;		/* gone once it is dead */
	struct vfio_external_user user;
	struct kvm_spapr_tce_holder holder;
	struct hw *counted_dead[IOMMU_TABLE_GROUP_MAX_TABLES];
};

/* @longest, @most_lookups: entries that changed, and look-ups, in one RCU section */
struct hw_counts {
	unsigned long kills, killed, exchanges, clears, cleared, fetches, fetched, lookups;
	unsigned long longest, most_lookups;
	int tables, tce_pages;
};

extern struct hw_counts hw_counts;

/* Hardware */
struct hw *hw_new(unsigned int shift, u64 bus, u64 size, unsigned long leaf);
/* The same, not open yet: to be opened before the end */
struct hw *hw_new_shut(unsigned int shift, u64 bus, u64 size, unsigned long leaf);
void hw_close(struct hw *hw);
void hw_put(struct hw *hw);
u64 hw_now(struct hw *hw, unsigned long i);
unsigned long hw_view(struct hw *hw, unsigned long i);
/* What user space does through the container: VFIO_IOMMU_MAP_DMA, v2 or v1 */
void hw_user_map(struct hw *hw, unsigned long i, struct region *region,
		 unsigned long ua, u64 perms, bool v2);
/* VFIO_IOMMU_UNMAP_DMA, v2, of an entry that is mapped */
void hw_user_unmap(struct hw *hw, unsigned long i);
/* Called before each exchange, which then fails with the result */
extern int (*hw_before_exchange)(struct hw *hw, unsigned long i);
unsigned long hw_stale(void);
/* This thread's barriers against speculation: log_event() has an 'n' for each */
extern __thread unsigned long hw_barriers;

/* Memory */
struct region *region_new(unsigned long ua, unsigned long size, unsigned int shift);
struct region *region_of(unsigned long ua, unsigned long size);
u64 region_hpa(const struct region *region, unsigned long ua);
/* VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY in two steps; false: EBUSY */
bool region_unregister_begin(struct region *region);
void region_unregister_end(struct region *region);
void region_return(struct region *region);
struct region *region_nr(unsigned int nr);

/* Groups */
struct iommu_group *group_new(int preregistered);
void group_set_window(struct iommu_group *group, int nr, struct hw *hw);
/* VFIO_IOMMU_SPAPR_TCE_REMOVE for groups that share it; the hw is put. */
void hw_remove(struct hw *hw, struct iommu_group **groups, int nr);
/* ADD, by the VM */
int group_add(struct kvm *kvm, struct iommu_group *group);
void group_revoke(struct iommu_group *group);
void group_del(struct iommu_group *group);

/* The VM */
/* Its pid is 1001 for the first. */
struct kvm *vm_new(void);
void vm_slot(struct kvm *kvm, int nr, u64 gpa, u64 size, unsigned long ua, u32 flags);
int vm_table(struct kvm *kvm, u64 liobn, unsigned int shift, u64 bus, u64 entries);
/* SET_SPAPR_TCE, and ADD before it if the group is not held */
int vm_attach(struct kvm *kvm, struct iommu_group *group, int table);
/* Called in H_GET_TCE, when it has the result */
extern void (*vcpu_before_result)(void);
/* Called by cond_resched(), between two pieces of a request */
extern void (*vcpu_between_pieces)(void);
/* What copy_from_user() finds at @ua; after it was read there is junk. */
void user_list(unsigned long ua, const u64 *list, unsigned int nr);

#endif
