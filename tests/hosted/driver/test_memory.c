// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which memory a container has registered, and what becomes of it when the container is
 * closed.  memory_parts.c is what memory.sed takes of drivers/vfio/vfio_iommu_spapr_tce.c
 * with patches/; what these functions call is here.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/cleanup.h>
#include <linux/fault.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include <shim_tce.h>

#include "../test.h"

#define PAGE_MASK	(~(PAGE_SIZE - 1))
#define REGIONS		8
#define SIZE		(16 * PAGE_SIZE)

/* A region of an mm, which all who register it share */
struct mm_iommu_table_group_mem_t {
	struct mm_struct *mm;
	u64 ua, entries;
	unsigned long used;	/* 0: there is none */
	bool mapped;
};

static struct mm_iommu_table_group_mem_t regions[REGIONS];
static struct mm_struct mms[2];
static int grabs;
static struct { struct mm_struct *mm; } task;

static struct mm_iommu_table_group_mem_t *region_at(struct mm_struct *mm, u64 ua)
{
	for (int i = 0; i < REGIONS; i++)
		if (regions[i].used && regions[i].mm == mm && regions[i].ua == ua)
			return &regions[i];
	return NULL;
}

static struct mm_iommu_table_group_mem_t *mm_iommu_get(struct mm_struct *mm, u64 ua, u64 entries)
{
	struct mm_iommu_table_group_mem_t *mem = region_at(mm, ua);

	if (mem)
		mem->used++;
	return mem;
}

static long mm_iommu_put(struct mm_struct *mm, struct mm_iommu_table_group_mem_t *mem)
{
	EXPECT(mem->used);
	EXPECT_EQ(mem->mm, mm);
	if (mem->used == 1 && mem->mapped)
		return -EBUSY;
	mem->used--;
	return 0;
}

static long mm_iommu_new(struct mm_struct *mm, u64 ua, u64 entries,
			 struct mm_iommu_table_group_mem_t **pmem)
{
	struct mm_iommu_table_group_mem_t *mem = regions;

	if (shim_fault("mm_iommu_new"))
		return -ENOMEM;
	EXPECT(!region_at(mm, ua));
	while (mem->used)
		mem++;
	*mem = (struct mm_iommu_table_group_mem_t){
		.mm = mm, .ua = ua, .entries = entries, .used = 1
	};
	*pmem = mem;
	return 0;
}

static void mmgrab(struct mm_struct *mm)
{
	grabs++;
}

/* The driver's has flags, or none. */
static void *new_object(size_t size)
{
	return kzalloc(size, GFP_KERNEL);
}

#undef current
#define current		(&task)
#define cond_resched()	((void)0)
#undef kzalloc_obj
#define kzalloc_obj(what, ...)	((typeof(what) *)new_object(sizeof(what)))
#include "memory_parts.c"

static struct tce_container containers[3];

/* The first ioctl of a new container */
static long first_ioctl(int i, struct mm_struct *mm)
{
	struct tce_container container = { .v2 = true };
	long ret;

	containers[i] = container;
	shim_mutex_init(&containers[i].lock, "&container.lock");
	INIT_LIST_HEAD(&containers[i].prereg_list);
	task.mm = mm;
	mutex_lock(&containers[i].lock);
	ret = tce_iommu_mm_set(&containers[i]);
	mutex_unlock(&containers[i].lock);
	return ret;
}

static void open_container(int i, struct mm_struct *mm)
{
	EXPECT_EQ(first_ioctl(i, mm), 0);
}

static long locked(long (*call)(struct tce_container *container, __u64 ua, __u64 size),
		   int i, u64 ua)
{
	long ret;

	mutex_lock(&containers[i].lock);
	ret = call(&containers[i], ua, SIZE);
	mutex_unlock(&containers[i].lock);
	return ret;
}

static long enter(int i, u64 ua)
{
	return locked(tce_iommu_register_pages, i, ua);
}

static long leave(int i, u64 ua)
{
	return locked(tce_iommu_unregister_pages, i, ua);
}

static void close_container(int i)
{
	tce_iommu_mm_put(&containers[i]);
	EXPECT(list_empty(&containers[i].prereg_list));
}

#define A	(16 * SIZE)
#define B	(32 * SIZE)

TEST(memory_goes, "memory goes with its container, but for what another one has mapped")
{
	struct mm_iommu_table_group_mem_t *a;

	open_container(0, &mms[0]);
	open_container(1, &mms[0]);
	EXPECT_EQ(enter(0, A), 0);
	EXPECT_EQ(enter(0, B), 0);
	a = region_at(&mms[0], A);
	a->mapped = true;
	close_container(0);
	EXPECT_EQ(region_at(&mms[0], A), a);
	EXPECT_EQ(region_at(&mms[0], B), NULL);
	/* Also when others come and go */
	open_container(0, &mms[0]);
	close_container(0);
	EXPECT_EQ(a->used, 1UL);
	a->mapped = false;
	close_container(1);
	EXPECT_EQ(region_at(&mms[0], A), NULL);
	EXPECT(list_empty(&tce_iommu_mms));
}

TEST(memory_goes_early, "memory of a closed container goes when another registers, or unregisters")
{
	for (int registers = 0; registers < 2; registers++) {
		open_container(0, &mms[0]);
		open_container(1, &mms[0]);
		EXPECT_EQ(enter(0, A), 0);
		if (!registers)
			EXPECT_EQ(enter(1, B), 0);
		region_at(&mms[0], A)->mapped = true;
		close_container(0);
		region_at(&mms[0], A)->mapped = false;
		EXPECT_EQ(registers ? enter(1, B) : leave(1, B), 0);
		EXPECT_EQ(region_at(&mms[0], A), NULL);
		close_container(1);
	}
}

TEST(memory_again, "memory of a closed container is shared, unless it was to be unregistered")
{
	open_container(0, &mms[0]);
	open_container(1, &mms[0]);
	EXPECT_EQ(enter(0, A), 0);
	EXPECT_EQ(enter(0, B), 0);
	region_at(&mms[0], A)->mapped = true;
	region_at(&mms[0], B)->mapped = true;
	EXPECT_EQ(leave(0, B), -EBUSY);
	close_container(0);
	EXPECT_EQ(enter(1, A), 0);
	EXPECT_EQ(enter(1, B), -EBUSY);
	/* The region that is left has gone: the other one is the container's own. */
	EXPECT_EQ(region_at(&mms[0], A)->used, 1UL);
	region_at(&mms[0], B)->mapped = false;
	EXPECT_EQ(enter(1, B), 0);
	EXPECT_EQ(leave(1, B), 0);
	region_at(&mms[0], A)->mapped = false;
	close_container(1);
}

TEST(memory_refused, "memory that is mapped is unregistered later, and not registered until then")
{
	for (int how = 0; how < 4; how++) {
		open_container(0, &mms[0]);
		open_container(1, &mms[0]);
		EXPECT_EQ(enter(0, A), 0);
		EXPECT_EQ(enter(0, A), -EBUSY);
		EXPECT_EQ(enter(1, B), 0);
		region_at(&mms[0], A)->mapped = true;
		for (int i = 0; i < 2; i++) {
			EXPECT_EQ(leave(0, A), -EBUSY);
			EXPECT_EQ(enter(i, A), -EBUSY);
		}
		region_at(&mms[0], A)->mapped = false;
		if (how == 0)
			EXPECT_EQ(leave(0, A), 0);
		else if (how == 1)
			EXPECT_EQ(leave(0, B), -ENOENT);
		else if (how == 2)
			EXPECT_EQ(enter(0, B), 0);
		else
			EXPECT_EQ(enter(0, A), 0);
		EXPECT_EQ(!!region_at(&mms[0], A), how == 3);
		EXPECT_EQ(leave(0, A), how == 3 ? 0 : -ENOENT);
		close_container(0);
		close_container(1);
	}
}

TEST(memory_refused_twice, "memory of a closed container that another one unregisters is refused")
{
	for (int i = 0; i < 3; i++)
		open_container(i, &mms[0]);
	EXPECT_EQ(enter(0, A), 0);
	EXPECT_EQ(enter(1, A), 0);
	region_at(&mms[0], A)->mapped = true;
	EXPECT_EQ(leave(0, A), 0);
	close_container(1);
	EXPECT_EQ(enter(2, A), 0);
	EXPECT_EQ(leave(2, A), -EBUSY);
	EXPECT_EQ(region_at(&mms[0], A)->used, 1UL);
	EXPECT_EQ(enter(0, A), -EBUSY);
	region_at(&mms[0], A)->mapped = false;
	close_container(2);
	EXPECT(!region_at(&mms[0], A));
	close_container(0);
}

TEST(memory_of_others, "memory of a closed container is its process's own")
{
	open_container(0, &mms[0]);
	open_container(1, &mms[0]);
	open_container(2, &mms[1]);
	EXPECT_EQ(enter(0, A), 0);
	region_at(&mms[0], A)->mapped = true;
	EXPECT_EQ(leave(0, A), -EBUSY);
	close_container(0);
	EXPECT_EQ(enter(2, A), 0);
	region_at(&mms[0], A)->mapped = false;
	EXPECT_EQ(enter(2, B), 0);
	close_container(2);
	EXPECT(region_at(&mms[0], A));
	close_container(1);
	EXPECT(!region_at(&mms[0], A));
}

TEST(memory_fails, "without memory nothing is registered, and no process is known")
{
	open_container(1, &mms[0]);
	for (unsigned int nth = 1; nth <= 2; nth++) {
		shim_fault_arm(nth);
		EXPECT_EQ(enter(1, A), -ENOMEM);
		shim_fault_disarm();
		EXPECT(!region_at(&mms[0], A));
	}
	close_container(1);
	grabs = 0;
	shim_fault_arm(1);
	EXPECT_EQ(first_ioctl(0, &mms[0]), -ENOMEM);
	shim_fault_disarm();
	EXPECT_EQ(containers[0].mm, NULL);
	EXPECT_EQ(grabs, 0);
	/* It was never used: there is nothing to let go. */
	close_container(0);
	EXPECT(list_empty(&tce_iommu_mms));
}
