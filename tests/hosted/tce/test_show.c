// SPDX-License-Identifier: GPL-2.0-only
/* What people see of the tables: fdinfo with counts, and the events */
#include <pthread.h>

#include <linux/seq_file.h>

#include "world.h"

#define RW	PERMS
#define RO	TCE_PCI_READ

/* All but the name of the VM, which is its address in the fake */
static void expect_show(int table, const char *want)
{
	char *text = shim_cut_line(shim_read_fdinfo(table), "vm");

	EXPECT_STR(text, want);
	free(text);
}

/* The counts of a table */

static const char *const keys[] = {
	"done", "refused", "left", "left-address", "left-list", "left-gone",
	"left-container", "left-memory", "left-nomem", "left-size", "left-signal",
};

struct tally {
	unsigned long nr[ARRAY_SIZE(keys)];
};

static unsigned long count_of(const char *text, const char *key)
{
	char line[32], *at;

	snprintf(line, sizeof(line), "\n%s:\t", key);
	at = strstr(text, line);
	if (!at)
		SHIM_FAIL("no %s", key);
	return at ? strtoul(at + strlen(line), NULL, 10) : 0;
}

static struct tally tally(int table)
{
	char *text = shim_read_fdinfo(table);
	struct tally t;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		t.nr[i] = count_of(text, keys[i]);
	free(text);
	return t;
}

/* One more of @key, which may be one of the reasons in "left", and of nothing else */
static void expect_one(struct world *w, const struct tally *before, const char *key)
{
	struct tally after = tally(w->table);
	unsigned long more;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		more = !strcmp(keys[i], key) ||
		       (!strcmp(keys[i], "left") && !strncmp(key, "left-", 5));
		if (after.nr[i] != before->nr[i] + more)
			SHIM_FAIL("%s is %lu, was %lu, for one more %s", keys[i],
				  after.nr[i], before->nr[i], key);
	}
}

static void expect_fallback(struct world *w, u64 liobn, u64 ioba, u64 nr,
			    const char *key)
{
	const char *reason = strncmp(key, "left-", 5) ? "table" : key + 5;
	char want[160] = "";

	if (strcmp(key, "done") && strcmp(key, "refused"))
		snprintf(want, sizeof(want),
			 "kvm_vfio_tce_fallback: pid=%d liobn=0x%lx ioba=0x%lx npages=%lu reason=%s\n",
			 w->kvm->userspace_pid, liobn, ioba, nr, reason);
	EXPECT_STR(trace_stop(), want);
}

/* One hypercall, and what is to be told of it */
struct request {
	struct world *w;
	const char *key;
	long want;
	u64 liobn, ioba, nr;
	struct tally before;
};

static struct request request_begin(struct world *w, const char *key, long want,
				    u64 liobn, u64 ioba, u64 nr)
{
	struct request r = {
		.w = w,
		.key = key,
		.want = want,
		.liobn = liobn,
		.ioba = ioba,
		.nr = nr,
		.before = tally(w->table),
	};

	trace_start();
	return r;
}

/* Of @nr entries, from @entry on */
static struct request request_at(struct world *w, const char *key, long want,
				 u64 entry, u64 nr)
{
	return request_begin(w, key, want, LIOBN, world_ioba(w, entry), nr);
}

static void request_end(const struct request *r, long got)
{
	expect_fallback(r->w, r->liobn, r->ioba, r->nr, r->key);
	expect_one(r->w, &r->before, r->key);
	if (got != r->want)
		SHIM_FAIL("returned %ld, not %ld: one more %s", got, r->want, r->key);
}

#define ONE(w, key, want, entry, nr, call) do {				\
	struct request _r = request_at(w, key, want, entry, nr);	\
									\
	request_end(&_r, call);						\
} while (0)

/* The table of LIOBN 7, which is not here */
#define MISSING(w, ioba, nr, call) do {					\
	struct request _r = request_begin(w, "no-table", H_TOO_HARD, 7,	\
					  ioba, nr);			\
									\
	request_end(&_r, call);						\
} while (0)

#define DONE(w, entry, nr, call)	ONE(w, "done", H_SUCCESS, entry, nr, call)
#define REFUSED(w, entry, nr, call)	ONE(w, "refused", H_PARAMETER, entry, nr, call)
#define LEFT(w, why, entry, nr, call)	ONE(w, "left-" why, H_TOO_HARD, entry, nr, call)

static long put_list(struct world *w, u64 entry, u64 gpa, u64 nr)
{
	return kvmppc_h_put_tce_indirect(&w->vcpu, LIOBN, world_ioba(w, entry), gpa, nr);
}

/* All four, first with no page for what is read back, then with one */
static void all_done(struct world *w)
{
	u64 tces[3] = { GPA_A | RW, 0, GPA_B | RO };

	for (int i = 0; i < 2; i++) {
		DONE(w, 3, 1, kvmppc_h_get_tce(&w->vcpu, LIOBN, world_ioba(w, 3)));
		DONE(w, 3, 1, world_put(w, 3, 0));
		DONE(w, 3, 1, world_put(w, 3, GPA_A | RW));
		DONE(w, 2, 3, world_list(w, 2, tces, 3));
		DONE(w, 2, 0, world_list(w, 2, tces, 0));
		DONE(w, 2, 20, world_stuff(w, 2, 0x120, 20));
		DONE(w, 2, 0, world_stuff(w, 2, 0x120, 0));
	}
}

static void all_refused(struct world *w)
{
	u64 end = w->shape.entries;

	REFUSED(w, end, 1, world_put(w, end, GPA_A | RW));
	REFUSED(w, end, 1, world_put(w, end, 0));
	REFUSED(w, end, 1, kvmppc_h_get_tce(&w->vcpu, LIOBN, world_ioba(w, end)));
	REFUSED(w, end - 1, 2, world_stuff(w, end - 1, 0, 2));
	REFUSED(w, 0, 2, world_stuff(w, 0, GPA_A | RO, 2));
	REFUSED(w, end - 1, 2, put_list(w, end - 1, GPA_LIST, 2));
	REFUSED(w, 0, 513, put_list(w, 0, GPA_LIST, 513));
	REFUSED(w, 0, 1, put_list(w, 0, GPA_LIST + 8, 1));
}

/* Contract 8.2 */
TEST(count_done, "counts: done and refused, of each hypercall")
{
	static const struct shape *const shapes[] = {
		&shape_plain, &shape_levels, &shape_two, &shape_big
	};

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct world w = world_new(shapes[i], 1);

		all_done(&w);
		all_refused(&w);
		fake_end();
	}
}

/* What is wrong with the guest's pages */
static void left_pages(const struct shape *shape)
{
	struct world w = world_new(shape, 1);
	u64 bad[2] = { 0, (GPA_A + 4) | RO };

	for (int i = 0; i < 2; i++) {
		LEFT(&w, "address", 5, 1, world_put(&w, 5, (GPA_A + 4) | RW));
		LEFT(&w, "address", 5, 1, world_put(&w, 5, (64 * MB) | RO));
		LEFT(&w, "address", 5, 1, world_put(&w, 5, GPA_RO | RW));
		LEFT(&w, "address", 5, 2, world_list(&w, 5, bad, 2));
		LEFT(&w, "memory", 5, 1, world_put(&w, 5, GPA_UNKNOWN | RW));
		bad[1] = GPA_UNKNOWN | RO;
		LEFT(&w, "memory", 5, 2, world_list(&w, 5, bad, 2));
		bad[1] = ~0xfffffUL | RO;
		DONE(&w, 5, 1, world_put(&w, 5, 0));
	}
	fake_end();
}

/* Contract 8.2 */
TEST(count_pages, "counts: left for the page's address, or its memory")
{
	left_pages(&shape_plain);
	left_pages(&shape_two);
	left_pages(&shape_big);
}

static int refuse(struct hw *hw, unsigned long i)
{
	return -ENOMEM;
}

/* Contract 8.2 */
TEST(count_hardware, "counts: left as the hardware refuses, and for size")
{
	static const struct shape large = { 25, 0, 3, 1, { 12 }, { 512 } };
	struct world w = world_new(&shape_plain, 1);

	for (int i = 0; i < 2; i++) {
		hw_before_exchange = refuse;
		LEFT(&w, "memory", 5, 1, world_put(&w, 5, GPA_A | RW));
		hw_before_exchange = NULL;
		DONE(&w, 5, 1, world_put(&w, 5, GPA_A | RW));
	}
	fake_end();

	/* Only firmware refuses to unmap. */
	shim_lpar = true;
	w = world_new(&shape_plain, 1);
	DONE(&w, 5, 1, world_put(&w, 5, GPA_A | RW));
	hw_before_exchange = refuse;
	LEFT(&w, "memory", 5, 1, world_put(&w, 5, 0));
	LEFT(&w, "memory", 0, 1200, world_stuff(&w, 0, 0, 1200));
	hw_before_exchange = NULL;
	fake_end();

	w = world_new(&large, 1);
	LEFT(&w, "size", 1, 1, world_put(&w, 1, GPA_A | RW));
	LEFT(&w, "size", 1, 1, world_put(&w, 1, 0));
	LEFT(&w, "size", 0, 3, world_stuff(&w, 0, 0, 3));
}

/* All that would change an entry is left; what only reads is not. */
static void all_left(struct world *w, const char *key)
{
	u64 tces[2] = { GPA_A | RW, 0 };

	ONE(w, key, H_TOO_HARD, 3, 1, world_put(w, 3, GPA_A | RW));
	ONE(w, key, H_TOO_HARD, 3, 1, world_put(w, 3, 0));
	ONE(w, key, H_TOO_HARD, 3, 2, world_list(w, 3, tces, 2));
	ONE(w, key, H_TOO_HARD, 3, 4, world_stuff(w, 3, 0, 4));
	DONE(w, 3, 1, kvmppc_h_get_tce(&w->vcpu, LIOBN, world_ioba(w, 3)));
	DONE(w, 3, 0, world_stuff(w, 3, 0, 0));
	all_refused(w);
}

/* @page: there is one for what is read back */
static struct world world_with(const struct shape *shape, bool page)
{
	struct world w = world_new(shape, 1);

	if (page)
		EXPECT_EQ(world_put(&w, 3, 0), H_SUCCESS);
	return w;
}

/* Contract 8.2 */
TEST(count_groups, "counts: left as the group or window is gone, or for its container")
{
	for (int i = 0; i < 4; i++) {
		const struct shape *shape = i & 2 ? &shape_two : &shape_plain;
		struct world w = world_with(shape, i & 1);

		world_preregistered(&w, 0);
		all_left(&w, "left-container");
		world_preregistered(&w, 1);
		hw_remove(w.hw[0], w.group, 1);
		all_left(&w, "left-gone");
		fake_end();
		w = world_with(shape, i & 1);
		/* A container that went is not asked what it was. */
		if (shape->nr_hw == 1)
			world_preregistered(&w, 0);
		group_revoke(w.group[shape->nr_hw - 1]);
		all_left(&w, "left-gone");
		fake_end();
	}
}

static struct kvm *moving;

static void move_list(void)
{
	vm_slot(moving, 4, GPA_LIST, 64 * 1024, UA_LIST + (1UL << 30), 0);
}

/* The table is closed, or another one, once the list is there. */
static int closing = -1;

static void close_table(void)
{
	if (closing >= 0)
		EXPECT_EQ(shim_close(closing), 0);
	closing = -1;
}

/* Contract 4.28, 8.2 */
TEST(count_list, "counts: left for the list: in no slot, not readable, moved")
{
	struct world w = world_new(&shape_plain, 1);
	u64 tces[2] = { GPA_A | RW, 0 };

	LEFT(&w, "list", 3, 2, put_list(&w, 3, 9UL << 32, 2));
	LEFT(&w, "list", 3, 2, put_list(&w, 3, GPA_UNKNOWN, 2));
	moving = w.kvm;
	shim_at_allocation = move_list;
	LEFT(&w, "list", 3, 2, world_list(&w, 3, tces, 2));
	shim_at_allocation = NULL;
	vm_slot(w.kvm, 4, GPA_LIST, 64 * 1024, UA_LIST, 0);
	DONE(&w, 3, 2, world_list(&w, 3, tces, 2));
	LEFT(&w, "list", 3, 2, put_list(&w, 3, GPA_UNKNOWN, 2));
}

TEST(count_list_closed, "counts: the table is closed when the list is to be read")
{
	static const char *const fails[] = { NULL, "kzalloc", "copy_from_user" };

	for (size_t i = 0; i < ARRAY_SIZE(fails); i++) {
		struct world w = world_new(&shape_plain, 1);
		u64 tces[2] = { GPA_A | RW, 0 };

		group_del(w.group[0]);
		closing = w.table;
		shim_at_allocation = close_table;
		trace_start();
		shim_fault_arm(i);
		EXPECT_EQ(world_list(&w, 3, tces, 2), H_TOO_HARD);
		if (i)
			EXPECT_STR(shim_fault_disarm(), fails[i]);
		expect_fallback(&w, LIOBN, world_ioba(&w, 3), 2, "no-table");
		fake_end();
	}
}

/* Failures and signals, where the first thing that can fail does */
#define FAILS(what, n, w, why, entry, nr, call) do {			\
	shim_fault_arm(n);						\
	LEFT(w, why, entry, nr, call);					\
	EXPECT_STR(shim_fault_disarm(), what);				\
} while (0)

/* Contract 8.2 */
TEST(count_failures, "counts: left without memory, and for a signal")
{
	static const struct shape large = { 16, 0, 8000, 1, { 16 }, { 0 } };
	struct world w = world_new(&large, 1);
	u64 tces[2] = { GPA_A | RW, 0 };

	FAILS("alloc_page", 1, &w, "nomem", 3, 1, world_put(&w, 3, GPA_A | RW));
	FAILS("alloc_page", 1, &w, "nomem", 3, 1, world_put(&w, 3, 0x10));
	/* What reads 0 needs none. */
	shim_fault_arm(1);
	DONE(&w, 3, 1, world_put(&w, 3, 0));
	EXPECT(!shim_fault_disarm());
	FAILS("alloc_page", 1, &w, "nomem", 0, 8000, world_stuff(&w, 0, 0x10, 8000));
	FAILS("kzalloc", 1, &w, "nomem", 3, 2, world_list(&w, 3, tces, 2));
	DONE(&w, 0, 8000, world_stuff(&w, 0, 0x10, 8000));
	FAILS("signal", 1, &w, "signal", 0, 8000, world_stuff(&w, 0, 0, 8000));
	FAILS("kzalloc", 1, &w, "nomem", 3, 2, world_list(&w, 3, tces, 2));
	FAILS("copy_from_user", 2, &w, "list", 3, 2, world_list(&w, 3, tces, 2));
}

/* Whatever the arguments */
TEST(count_missing, "counts: no such table, of each hypercall: an event, and no table counts it")
{
	struct world w = world_new(&shape_plain, 1);
	struct kvm_vcpu *vcpu = &w.vcpu;

	MISSING(&w, 0, 1, kvmppc_h_put_tce(vcpu, 7, 0, GPA_A | RW));
	MISSING(&w, 1, 1, kvmppc_h_put_tce(vcpu, 7, 1, 0));
	MISSING(&w, 0, 2, kvmppc_h_put_tce_indirect(vcpu, 7, 0, GPA_LIST, 2));
	MISSING(&w, 0, 513, kvmppc_h_put_tce_indirect(vcpu, 7, 0, GPA_LIST, 513));
	MISSING(&w, 5, 1, kvmppc_h_put_tce_indirect(vcpu, 7, 5, 1, 1));
	MISSING(&w, 0, -1, kvmppc_h_stuff_tce(vcpu, 7, 0, 3, -1UL));
	MISSING(&w, 1, 1, kvmppc_h_get_tce(vcpu, 7, 1));
}

/* The text */

#define NO_COUNTS							\
	"done:\t0\nrefused:\t0\nleft:\t0\nleft-address:\t0\nleft-list:\t0\n"	\
	"left-gone:\t0\nleft-container:\t0\nleft-memory:\t0\nleft-nomem:\t0\n"	\
	"left-size:\t0\nleft-signal:\t0\n"

#define LEVELS								\
	"kvm-spapr-tce:\t1\nvm-pid:\t1001\nliobn:\t0x80000001\n"		\
	"window:\t0x800000000000000 0x4b00000\npage-size:\t65536\n"

/* Contract 8.2 */
TEST(show_groups, "show: groups behind a table: live, of a v1 container, revoked, without a window")
{
	struct world w = world_new(&shape_levels, 1);
	struct iommu_group *other = group_new(1);

	expect_show(w.table, LEVELS "group:\t0 live\nhardware:\t1\n" NO_COUNTS);
	world_preregistered(&w, 0);
	expect_show(w.table, LEVELS "group:\t0 container\nhardware:\t1\n" NO_COUNTS);
	world_preregistered(&w, 1);
	group_set_window(other, 1, w.hw[0]);
	EXPECT_EQ(vm_attach(w.kvm, other, w.table), 0);
	expect_show(w.table, LEVELS "group:\t1 live\ngroup:\t0 live\nhardware:\t1\n"
		    NO_COUNTS);
	group_revoke(w.group[0]);
	expect_show(w.table, LEVELS "group:\t1 live\ngroup:\t0 gone\nhardware:\t1\n"
		    NO_COUNTS);
	group_del(w.group[0]);
	expect_show(w.table, LEVELS "group:\t1 live\nhardware:\t1\n" NO_COUNTS);
	hw_remove(w.hw[0], &other, 1);
	expect_show(w.table, LEVELS "group:\t1 gone\nhardware:\t1\n" NO_COUNTS);
	group_del(other);
	expect_show(w.table, LEVELS "hardware:\t0\n" NO_COUNTS);
}

/* Contract 8.2, 8.5 */
TEST(show_tables, "show: several tables, hardware tables and VMs")
{
	struct world w = world_new(&shape_two, 1);
	struct kvm *other = vm_new();
	bool first = w.hw[0] < w.hw[1];
	char *text, *found;

	expect_show(vm_table(w.kvm, 0xfUL << 60, 34, 3UL << 34, 2),
		    "kvm-spapr-tce:\t1\nvm-pid:\t1001\nliobn:\t0xf000000000000000\n"
		    "window:\t0xc00000000 0x800000000\npage-size:\t17179869184\n"
		    "hardware:\t0\n" NO_COUNTS);
	expect_show(vm_table(other, LIOBN, 12, 0, 1),
		    "kvm-spapr-tce:\t1\nvm-pid:\t1002\nliobn:\t0x80000001\n"
		    "window:\t0x0 0x1000\npage-size:\t4096\nhardware:\t0\n" NO_COUNTS);
	EXPECT_EQ(world_get(&w, 3), 0);
	text = shim_read_fdinfo(w.table);
	found = strstr(text, "page-size:");
	EXPECT(found && strstr(found, first ?
		"page-size:\t65536\ngroup:\t0 live\ngroup:\t1 live\n"
		"hardware:\t2\ndone:\t1" :
		"page-size:\t65536\ngroup:\t1 live\ngroup:\t0 live\n"
		"hardware:\t2\ndone:\t1") == found);
	free(text);
}

/* Contract 8.7 */
TEST(show_killed, "show: stops when the reader is killed while it waits for the lock")
{
	struct world w = world_new(&shape_plain, 1);
	char *text;

	shim_set_seq_size(1 << 10);
	shim_killed_at = 1;
	text = shim_read_fdinfo(w.table);
	EXPECT_EQ(shim_killed_at, 0);
	EXPECT(strstr(text, "\npage-size:") && !strstr(text, "\ngroup:"));
	free(text);
	EXPECT_EQ(world_get(&w, 3), 0);
}

/* Events */

#define EVENT(what, group, start, size)					\
	"kvm_vfio_" what ": pid=1001 liobn=0x80000001 group=" #group		\
	" start=" start " size=" size "\n"

/* Contract 8.6 */
TEST(events_attach, "events: attach and detach, once each, by all that lets go")
{
	struct world w = world_new(&shape_plain, 1);
	struct iommu_group *other = group_new(1);
	struct hw *large = hw_new(12, 0, 1201 << 16, 0);
	int n = 0;

	group_set_window(other, 0, large);
	trace_start();
	while (shim_fault_arm(++n), vm_attach(w.kvm, other, w.table))
		EXPECT(shim_fault_disarm());
	shim_fault_disarm();
	EXPECT(n > 2);
	EXPECT_EQ(vm_attach(w.kvm, other, w.table), 0);
	EXPECT_STR(trace_stop(), EVENT("attach", 1, "0x0", "0x4b10000"));

	trace_start();
	group_del(w.group[0]);
	EXPECT_STR(trace_stop(), EVENT("detach", 0, "0x0", "0x4b00000"));
	trace_start();
	group_revoke(other);
	EXPECT_STR(trace_stop(), "");
	trace_start();
	EXPECT_EQ(shim_close(w.table), 0);
	EXPECT_STR(trace_stop(), EVENT("detach", 1, "0x0", "0x4b10000"));
	trace_start();
	group_del(other);
	EXPECT_STR(trace_stop(), "");
}

/* Contract 8.6 */
TEST(events_window, "events: another window takes the place of one that is gone")
{
	struct world w = world_new(&shape_levels, 1);
	struct hw *new = hw_new(16, 1UL << 59, 1300 << 16, 32);

	trace_start();
	hw_remove(w.hw[0], w.group, 1);
	EXPECT_STR(trace_stop(), "");
	group_set_window(w.group[0], 1, new);
	trace_start();
	EXPECT_EQ(vm_attach(w.kvm, w.group[0], w.table), 0);
	EXPECT_STR(trace_stop(),
		   EVENT("attach", 0, "0x800000000000000", "0x5140000")
		   EVENT("detach", 0, "0x800000000000000", "0x4b00000"));
}

/* Threads */

#define COUNTED	3000

static void *count_vcpu(void *arg)
{
	struct world *w = arg;
	struct kvm_vcpu vcpu = { .kvm = w->kvm };

	for (int i = 0; i < COUNTED; i++) {
		EXPECT_EQ(kvmppc_h_put_tce(&vcpu, LIOBN, 0, i & 1 ? GPA_A | RW : 0), 0);
		EXPECT_EQ(kvmppc_h_get_tce(&vcpu, LIOBN, 1), H_PARAMETER);
		EXPECT_EQ(kvmppc_h_put_tce(&vcpu, LIOBN, 0, (GPA_A + 4) | RW),
			  H_TOO_HARD);
	}
	return NULL;
}

TEST(count_threads, "counts: none is lost, whoever reads")
{
	struct world w = world_new(&shape_plain, 1);
	struct tally last = { 0 }, now;
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, count_vcpu, &w);
	while (last.nr[0] < COUNTED && test_failures() < 20) {
		now = tally(w.table);
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			EXPECT(now.nr[i] >= last.nr[i]);
		last = now;
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	now = tally(w.table);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(now.nr[i], 2 * COUNTED);
}
