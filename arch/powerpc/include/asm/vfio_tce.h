/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hardware TCE tables of VFIO containers (SPAPR TCE v2): the agreement between
 * drivers/vfio/vfio_iommu_spapr_tce.c, which makes them, and the TCE tables of VMs,
 * arch/powerpc/kvm/book3s_64_vio*.c, which change entries of them, too.
 *
 * A table of VFIO's is not used by the DMA API, so nothing allocates from its pools.
 * The first one has the lock and the mark.
 */
#ifndef _ASM_POWERPC_VFIO_TCE_H
#define _ASM_POWERPC_VFIO_TCE_H

#include <linux/lockdep.h>
#include <linux/spinlock.h>

#include <asm/barrier.h>
#include <asm/iommu.h>

/* No pool of the host hints at it; and a compare instruction can hold it. */
#define TCE_HW_OPEN	(-0x5443UL)

/**
 * tce_hw_lock - Keeps an entry, its userspace view and the count of its region in step
 * @tbl: the hardware table
 *
 * For all who change entries of an open table.  Only VFIO changes those of a container
 * without preregistered memory, and does so without the lock.  Whoever takes several takes
 * them in the order of the tables' addresses.
 *
 * Return: The lock.
 */
static inline spinlock_t *tce_hw_lock(struct iommu_table *tbl)
{
	return &tbl->pools[0].lock;
}

/* That order, for lockdep: the lock is at the same place in each table. */
static inline int tce_hw_lock_cmp(const struct lockdep_map *a, const struct lockdep_map *b)
{
	return a < b ? -1 : a > b;
}

/**
 * tce_hw_is_open - May VMs change entries of a hardware table?
 * @tbl: the hardware table
 *
 * It stays open for as long as tce_hw_lock() is held.  A table that the container of
 * another kernel's module has made never is.
 *
 * Context: Any.
 * Return: true if so; then tce_hw_lock() is initialised.
 */
static inline bool tce_hw_is_open(struct iommu_table *tbl)
{
	/* Pairs with tce_hw_open() */
	return smp_load_acquire(&tbl->pools[0].hint) == TCE_HW_OPEN;
}

/**
 * tce_hw_open - Let VMs change entries of a new hardware table
 * @tbl: the hardware table, in a slot of all groups that are to have it
 *
 * Context: Any.
 */
static inline void tce_hw_open(struct iommu_table *tbl)
{
	spin_lock_init(&tbl->pools[0].lock);
	lock_set_cmp_fn(&tbl->pools[0].lock, tce_hw_lock_cmp, NULL);
	/* The lock and the slots of groups come before. */
	smp_store_release(&tbl->pools[0].hint, TCE_HW_OPEN);
}

/**
 * tce_hw_close - Let no VM change entries of a hardware table any more
 * @tbl: the hardware table
 *
 * On return no entry is being changed, and none will be, but by the caller.
 *
 * Context: Any context in which tce_hw_lock() may be taken.
 */
static inline void tce_hw_close(struct iommu_table *tbl)
{
	spin_lock(tce_hw_lock(tbl));
	WRITE_ONCE(tbl->pools[0].hint, 0);
	spin_unlock(tce_hw_lock(tbl));
}

#endif /* _ASM_POWERPC_VFIO_TCE_H */
