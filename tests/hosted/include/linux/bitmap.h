/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_BITMAP_H
#define _SHIM_BITMAP_H

#include <stdbool.h>

#define BITS_PER_LONG	(8 * sizeof(long))
#define BITS_PER_TYPE(x)	(8 * sizeof(x))
#define DECLARE_BITMAP(name, bits)	unsigned long name[(bits) / BITS_PER_LONG]
#define for_each_set_bit(i, map, bits) \
	for (i = find_next_bit(map, bits, 0); i < bits; i = find_next_bit(map, bits, i + 1))

static inline void __set_bit(unsigned long i, unsigned long *map)
{
	map[i / BITS_PER_LONG] |= 1UL << i % BITS_PER_LONG;
}

static inline unsigned long find_next_bit(const unsigned long *map, unsigned long bits,
					  unsigned long i)
{
	while (i < bits && !(map[i / BITS_PER_LONG] >> i % BITS_PER_LONG & 1))
		i++;
	return i;
}

static inline bool bitmap_empty(const unsigned long *map, unsigned long bits)
{
	return find_next_bit(map, bits, 0) == bits;
}

#endif
