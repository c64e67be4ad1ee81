/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_LINUX_STRING_H
#define SHIM_LINUX_STRING_H

#include <string.h>

/* Where there is something else than @c, or NULL */
static inline void *memchr_inv(const void *start, int c, size_t bytes)
{
	for (const unsigned char *p = start; bytes--; p++)
		if (*p != (unsigned char)c)
			return (void *)p;
	return NULL;
}

#endif /* SHIM_LINUX_STRING_H */
