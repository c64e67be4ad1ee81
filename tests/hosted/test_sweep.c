// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each operation with its n-th allocation or callee failing, for n = 1, 2, ...
 * until nothing fails.  After a failure nothing may have changed.  If the
 * operation succeeded in spite of the failure, its opposite must bring
 * everything back.
 */
#include "setup.h"

struct sweep {
	struct vm vm, other;
	int file, second;	/* VFIO files; the second one not coherent */
	int table;
	int made;		/* fd that the operation returned */
};

struct operation {
	const char *name;
	int points;		/* at least this many things can fail */
	void (*before)(struct sweep *s);
	int (*run)(struct sweep *s);
	int (*undo)(struct sweep *s);
};

static struct sweep new_sweep(void)
{
	struct sweep s = { .vm = new_vm(), .other = new_vm() };
#if IS_ENABLED(CONFIG_VFIO_GROUP)
	struct group group = new_group(2), weak = new_group(2);

	s.file = group.fd;
	s.second = weak.fd;
	weak.ig->devices[1].capable = false;
#else
	struct device *weak = host_group(VFIO_IOMMU, 1)->devices;

	s.file = user_open_cdev(host_group(VFIO_IOMMU, 1)->devices);
	s.second = user_open_cdev(weak);
	weak->capable = false;
#endif
	return s;
}

/* False if nothing failed any more */
static bool sweep_once(const struct operation *op, struct sweep *s, int n)
{
	char *before = fake_snapshot(), *after;
	const char *what;
	int ret;

	shim_fault_arm(n);
	ret = op->run(s);
	what = shim_fault_disarm();
	if (!what)
		EXPECT(ret >= 0);
	if (ret >= 0 && what)
		EXPECT_EQ(op->undo(s), 0);
	after = fake_snapshot();
	if (what && strcmp(before, after))
		SHIM_FAIL("%s: %s fails (%d), and not all is as before:\n%s%s",
			  op->name, what, ret, before, after);
	free(before);
	free(after);
	return what;
}

static void sweep(const struct operation *op)
{
	struct sweep s = new_sweep();
	int n = 1;

	if (op->before)
		op->before(&s);
	while (sweep_once(op, &s, n))
		n++;
	if (n <= op->points)
		SHIM_FAIL("%s: only %d points of failure", op->name, n - 1);
	fake_end();
}

static int run_create(struct sweep *s)
{
	s->made = user_create_device(s->vm.fd, false);
	return s->made;
}

static int undo_create(struct sweep *s)
{
	return shim_close(s->made);
}

static void before_create(struct sweep *s)
{
	EXPECT_EQ(shim_close(s->vm.dev), 0);
}

static int run_add(struct sweep *s)
{
	return user_add(s->vm.dev, s->file);
}

static int run_del(struct sweep *s)
{
	return user_del(s->vm.dev, s->file);
}

static int run_add_second(struct sweep *s)
{
	return user_add(s->vm.dev, s->second);
}

static int run_del_second(struct sweep *s)
{
	return user_del(s->vm.dev, s->second);
}

static void before_second(struct sweep *s)
{
	EXPECT_EQ(run_add(s), 0);
}

static int run_add_other(struct sweep *s)
{
	return user_add(s->other.dev, s->file);
}

static int run_del_other(struct sweep *s)
{
	return user_del(s->other.dev, s->file);
}

TEST(sweep_create, "failure sweep: CREATE_DEVICE")
{
	const struct operation op = {
		"create", 3, before_create, run_create, undo_create
	};

	sweep(&op);
}

/* Contract 1.9, 1.13 */
TEST(sweep_add, "failure sweep: ADD, the first of a VM")
{
	const struct operation op = { "add", 6, NULL, run_add, run_del };

	sweep(&op);
}

/* Contract 1.9, 1.13 */
TEST(sweep_add_second, "failure sweep: ADD, noncoherent, among others")
{
	const struct operation op = {
		"add second", 4, before_second, run_add_second, run_del_second
	};

	sweep(&op);
}

/* Contract 1.9, 1.13 */
TEST(sweep_add_other, "failure sweep: ADD to a second VM")
{
	const struct operation op = {
		"add other", 6, before_second, run_add_other, run_del_other
	};

	sweep(&op);
}

/* Contract 2.7 */
TEST(sweep_del, "failure sweep: DEL")
{
	const struct operation op = {
		"del", 2, before_second, run_del, run_add
	};

	sweep(&op);
}

static void before_close(struct sweep *s)
{
	EXPECT_EQ(run_add(s), 0);
	EXPECT_EQ(run_add_second(s), 0);
	EXPECT_EQ(run_add_other(s), 0);
}

/* Contract 2.7: There is nothing that could fail. */
TEST(sweep_close, "failure sweep: close of the device has no point of failure")
{
	struct sweep s = new_sweep();

	before_close(&s);
	shim_fault_arm(1);
	EXPECT_EQ(shim_close(s.vm.dev), 0);
	EXPECT(!shim_fault_disarm());
	EXPECT_ASSIGNED(s.vm.kvm, 0);
}

#if IS_ENABLED(CONFIG_VFIO_GROUP)
/* Nor in the operations of the host */
TEST(sweep_revoke, "failure sweep: revoke has no point of failure")
{
	struct sweep s = new_sweep();

	before_close(&s);
	shim_fault_arm(1);
	host_take_back(host_group_of(0), false);
	EXPECT(!shim_fault_disarm());
	EXPECT_ASSIGNED(s.vm.kvm, 2);
}
#endif

#if IS_ENABLED(CONFIG_SPAPR_TCE_IOMMU)
static void before_tce(struct sweep *s)
{
	s->table = user_create_tce(s->vm.fd, 1);
	EXPECT_EQ(run_add_second(s), 0);
	EXPECT_EQ(run_add(s), 0);
	EXPECT_EQ(user_set_tce(s->vm.dev, s->second, s->table), 0);
}

static int run_set_tce(struct sweep *s)
{
	return user_set_tce(s->vm.dev, s->file, s->table);
}

static int undo_set_tce(struct sweep *s)
{
	return run_del(s) ?: run_add(s);
}

TEST(sweep_set_tce, "failure sweep: SET_SPAPR_TCE")
{
	const struct operation op = {
		"set_tce", 4, before_tce, run_set_tce, undo_set_tce
	};

	sweep(&op);
}
#endif
