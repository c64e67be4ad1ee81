// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's xarray, as a sorted array */
#include <stdlib.h>
#include <string.h>

#include <linux/fault.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "test.h"

/* The first slot that is not before @index */
static size_t slot_of(const struct xarray *xa, unsigned long index)
{
	size_t low = 0, high = xa->nr;

	shim_count_probe();
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (xa->slots[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct shim_slot *find(const struct xarray *xa, unsigned long index)
{
	size_t i = slot_of(xa, index);

	return i < xa->nr && xa->slots[i].index == index ? &xa->slots[i] : NULL;
}

void *xa_load(struct xarray *xa, unsigned long index)
{
	struct shim_slot *slot;

	shim_step("xa_load", xa);
	slot = find(xa, index);
	return slot ? slot->entry : NULL;
}

int xa_insert(struct xarray *xa, unsigned long index, void *entry, int gfp)
{
	size_t i;
	void *node;

	shim_step("xa_insert", xa);
	if (find(xa, index))
		return -EBUSY;
	/* Counts as an object that may not be left behind. */
	node = kzalloc(1, gfp | xa->flags);
	if (!node)
		return -ENOMEM;
	kfree(node);
	if (xa->nr == xa->size) {
		xa->size = xa->size * 2 ?: 8;
		xa->slots = realloc(xa->slots, xa->size * sizeof(*xa->slots));
		if (!xa->slots)
			abort();
	}
	/* What was there may be others' since kzalloc(). */
	i = slot_of(xa, index);
	memmove(&xa->slots[i + 1], &xa->slots[i],
		(xa->nr++ - i) * sizeof(*xa->slots));
	xa->slots[i] = (struct shim_slot){ .index = index, .entry = entry };
	return 0;
}

static void *take(struct xarray *xa, struct shim_slot *slot)
{
	void *entry = slot->entry;

	memmove(slot, slot + 1,
		(&xa->slots[--xa->nr] - slot) * sizeof(*slot));
	if (!xa->nr) {
		free(xa->slots);
		xa->slots = NULL;
		xa->size = 0;
	}
	return entry;
}

void *xa_erase(struct xarray *xa, unsigned long index)
{
	struct shim_slot *slot;

	shim_step("xa_erase", xa);
	slot = find(xa, index);
	return slot ? take(xa, slot) : NULL;
}

void *xa_find(struct xarray *xa, unsigned long *index, unsigned long max,
	      unsigned int filter)
{
	size_t i;

	shim_step("xa_find", xa);
	i = slot_of(xa, *index);
	if (i == xa->nr || xa->slots[i].index > max)
		return NULL;
	*index = xa->slots[i].index;
	return xa->slots[i].entry;
}

void *xa_find_after(struct xarray *xa, unsigned long *index, unsigned long max,
		    unsigned int filter)
{
	unsigned long next = *index + 1;
	void *entry = next ? xa_find(xa, &next, max, filter) : NULL;

	if (entry)
		*index = next;
	return entry;
}

void xa_destroy(struct xarray *xa)
{
	if (xa->nr)
		SHIM_FAIL("an xarray is destroyed with entries in it");
	free(xa->slots);
	xa->slots = NULL;
}
