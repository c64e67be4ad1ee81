/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest of the TCE tests: its memory, its tables, and the window of the group.
 */
#ifndef SELFTEST_KVM_VFIO_TCE_TEST_H
#define SELFTEST_KVM_VFIO_TCE_TEST_H

#include "vfio_tce.h"

#define KIB		1024UL
#define MIB		(1024 * KIB)
#define SHIFT		12
#define PAGE		(4 * KIB)

#define MEMORY		(16 * MIB)	/* slot 0 */
#define LIST		PPC64_FREE	/* for H_PUT_TCE_INDIRECT */

#define LIOBN		0x80000000UL
#define LIOBN2		0x80000001UL

/*
 * A multiple of the entries in a page of the host, whatever its size; a test that wants
 * another number defines it before.
 */
#ifndef ENTRIES
#define ENTRIES		16384UL
#endif
#define WINDOW		(ENTRIES << SHIFT)
#define LAST		((ENTRIES - 1) << SHIFT)

#endif /* SELFTEST_KVM_VFIO_TCE_TEST_H */
