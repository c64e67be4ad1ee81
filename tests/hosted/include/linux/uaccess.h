/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_UACCESS_H
#define _SHIM_UACCESS_H

#include <string.h>

#include <linux/types.h>

#define u64_to_user_ptr(x)	((void __user *)(uintptr_t)(x))

/* Addresses below a page, and what a test declares unreadable. */
bool shim_unreadable(const void *addr, size_t size);
void shim_set_unreadable(const void *addr, size_t size);

static inline unsigned long copy_from_user(void *to, const void __user *from,
					   unsigned long n)
{
	if (shim_unreadable(from, n))
		return n;
	memcpy(to, from, n);
	return 0;
}

#define get_user(x, ptr) \
	(copy_from_user(&(x), ptr, sizeof(*(ptr))) ? -EFAULT : 0)

#endif
