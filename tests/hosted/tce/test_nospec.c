// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest chooses is checked, and a barrier against speculation comes before it is
 * used as an address.  The log has an 'n' for each barrier, and the first 'l', 'v' or 'g':
 * a region is looked up, the view of an entry is, H_GET_TCE has its result.  That a page
 * is not looked at before its barrier is checked in fake_hw.c, in all tests.
 */
#include "world.h"

#define RW	PERMS

static struct world nospec;

static void nospec_begin(void)
{
	nospec = world_new(&shape_levels, 1);
	/* With the page of the table, entries take the fast path. */
	EXPECT_EQ(world_put(&nospec, 0, GPA_A | RW), H_SUCCESS);
	log_start();
}

/* @barriers: at least as many before @use */
static void nospec_end(long ret, char use, unsigned int barriers)
{
	const char *log = log_stop(), *at;
	unsigned int nr = 0;

	EXPECT_EQ(ret, H_SUCCESS);
	for (at = log; *at && *at != use; at++)
		nr += *at == 'n';
	if (*at != use || nr < barriers)
		SHIM_FAIL("%s: %u barriers before '%c', not %u", log, nr, use, barriers);
	fake_end();
}

/* One is for the table's entry. */
TEST(nospec_entry, "a barrier comes before an entry that the guest has chosen is used")
{
	nospec_begin();
	nospec_end(world_put(&nospec, 1, 0), 'v', 1);
	nospec_begin();
	nospec_end(world_stuff(&nospec, 1, 0, 2), 'v', 1);
	nospec_begin();
	nospec_end(kvmppc_h_get_tce(&nospec.vcpu, LIOBN, world_ioba(&nospec, 1)), 'g', 1);
}

/* One more is for the page's slot. */
TEST(nospec_page, "a barrier comes before a page that the guest has chosen is looked up")
{
	static const u64 tces[] = { (GPA_A + MB) | RW, GPA_B | RW };

	nospec_begin();
	nospec_end(world_put(&nospec, 1, (GPA_A + MB) | RW), 'l', 2);
	/* By another slot: the fast path has found the entry, and the other one does again. */
	nospec_begin();
	nospec_end(world_put(&nospec, 1, GPA_RO | TCE_PCI_READ), 'l', 3);
	/* The table is looked for again after the list is read. */
	nospec_begin();
	nospec_end(world_list(&nospec, 1, tces, ARRAY_SIZE(tces)), 'l', 3);
}
