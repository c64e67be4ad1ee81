/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_SLAB_H
#define _SHIM_SLAB_H

#include <linux/cleanup.h>

#define GFP_KERNEL		0
#define GFP_KERNEL_ACCOUNT	0

void *kzalloc(size_t size, int flags);
void kfree(const void *ptr);

/* For tests: objects not yet freed, and all calls so far. */
unsigned int shim_live_objects(void);
unsigned int shim_allocations(void);

DEFINE_FREE(kfree, void *, if (!IS_ERR_OR_NULL(_T)) kfree(_T))

#endif
