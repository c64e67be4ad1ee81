// SPDX-License-Identifier: GPL-2.0-only
/* One group, several VMs: contract, section 3 */
#include "setup.h"

#if IS_ENABLED(CONFIG_VFIO_GROUP)
/*
 * Contract 3.4: QEMU CPR: the new VM adds the same file while the old one holds
 * it, and the old one lets go late; devices are open all the time.
 */
TEST(cpr, "CPR: the old holder's release does not clear the newer one")
{
	struct vm old = new_vm(), new = new_vm();
	struct group group = new_group(1);
	int device = -1;

	EXPECT_EQ(user_add(old.dev, group.fd), 0);
	device = user_get_device(group.fd, group.ig->devices);
	EXPECT_EQ(user_add(new.dev, group.fd), 0);
	EXPECT_EQ(users(&group), 4);
	EXPECT(fake_group(group.fd)->kvm == new.kvm);
	EXPECT(fake_kvm_seen(group.ig->devices) == old.kvm);
	EXPECT_EQ(shim_close(old.dev), 0);
	EXPECT_EQ(shim_close(old.fd), 0);
	EXPECT(fake_group(group.fd)->kvm == new.kvm);
	/* An open device pins the VM that it was opened with. */
	EXPECT_EQ(counts.vms, 2);
	EXPECT(fake_kvm_seen(group.ig->devices) == old.kvm);
	EXPECT_EQ(shim_close(device), 0);
	EXPECT_EQ(counts.vms, 1);
	device = user_get_device(group.fd, group.ig->devices);
	EXPECT(fake_kvm_seen(group.ig->devices) == new.kvm);
}

/* Contract 3.5: When the newest lets go, an older holder is current again. */
TEST(fall_back, "the newest lets go: the one before is current again")
{
	struct vm vms[3] = { new_vm(), new_vm(), new_vm() };
	struct group group = new_group(1);

	for (int i = 0; i < 3; i++)
		EXPECT_EQ(user_add(vms[i].dev, group.fd), 0);
	EXPECT(fake_group(group.fd)->kvm == vms[2].kvm);
	EXPECT_EQ(user_del(vms[2].dev, group.fd), 0);
	EXPECT(fake_group(group.fd)->kvm == vms[1].kvm);
	EXPECT_EQ(user_add(vms[2].dev, group.fd), 0);
	EXPECT(fake_group(group.fd)->kvm == vms[2].kvm);
	EXPECT_EQ(user_del(vms[1].dev, group.fd), 0);
	EXPECT_EQ(user_del(vms[2].dev, group.fd), 0);
	EXPECT(fake_group(group.fd)->kvm == vms[0].kvm);
	EXPECT_EQ(user_del(vms[0].dev, group.fd), 0);
	EXPECT(!fake_group(group.fd)->kvm);
}

/* Contract 3.5: One that has shown no VM is no newer holder. */
TEST(no_vm, "a user without a VM hides nobody's")
{
	struct vm old = new_vm(), new = new_vm();
	struct group group = new_group(1);
	struct vfio_external_user other;
	struct file *file = shim_fd(group.fd);

	EXPECT_EQ(user_add(old.dev, group.fd), 0);
	EXPECT_EQ(vfio_external_get(&other, file), 0);
	EXPECT_EQ(user_add(new.dev, group.fd), 0);
	EXPECT_EQ(user_del(new.dev, group.fd), 0);
	EXPECT(fake_group(group.fd)->kvm == old.kvm);
	vfio_external_put(&other);
	EXPECT(fake_group(group.fd)->kvm == old.kvm);
	fput(file);
	shim_return_to_user();
}

/* The other file of the same VM is not touched by this. */
TEST(two_files, "each file has its own current VM")
{
	struct vm a = new_vm(), b = new_vm();
	struct group x = new_group(1), y = new_group(1);

	EXPECT_EQ(user_add(a.dev, x.fd), 0);
	EXPECT_EQ(user_add(b.dev, y.fd), 0);
	EXPECT_EQ(user_add(b.dev, x.fd), 0);
	EXPECT_EQ(user_add(a.dev, y.fd), 0);
	EXPECT(fake_group(x.fd)->kvm == b.kvm);
	EXPECT(fake_group(y.fd)->kvm == a.kvm);
	EXPECT_EQ(shim_close(a.dev), 0);
	EXPECT(fake_group(x.fd)->kvm == b.kvm);
	EXPECT(fake_group(y.fd)->kvm == b.kvm);
}

/*
 * Every order of ADD, DEL, end of the process, open and close of the device,
 * for three VMs, against a list of holders, newest first.
 */
#define VMS	3
#define DEPTH	5

enum {
	OP_ADD,
	OP_DEL = OP_ADD + VMS,
	OP_KILL = OP_DEL + VMS,
	OP_OPEN = OP_KILL + VMS,
	OP_CLOSE,
	NR_OPS,
};

struct holders {
	int list[VMS];	/* VMs, newest first */
	int nr;
	bool killed[VMS];
	int seen;	/* VM that the open device sees, VMS for none */
	bool open;
};

static int holders_find(const struct holders *h, int vm)
{
	int i = 0;

	while (i < h->nr && h->list[i] != vm)
		i++;
	return i;
}

static void holders_add(struct holders *h, int vm)
{
	memmove(h->list + 1, h->list, h->nr++ * sizeof(int));
	h->list[0] = vm;
}

static void holders_del(struct holders *h, int vm)
{
	int i = holders_find(h, vm);

	if (i < h->nr)
		memmove(h->list + i, h->list + i + 1,
			(--h->nr - i) * sizeof(int));
}

/* False if the operation makes no sense now. */
static bool holders_step(struct holders *h, int op)
{
	int vm = op % VMS;
	bool held = holders_find(h, vm) < h->nr;
	bool open = op == OP_OPEN;

	if (op >= OP_OPEN) {
		if (h->open == open)
			return false;
		h->open = open;
		h->seen = h->nr ? h->list[0] : VMS;
		return true;
	}
	if (h->killed[vm])
		return false;
	if (op < OP_DEL) {
		if (!held)
			holders_add(h, vm);
		return !held;
	}
	if (op < OP_KILL && !held)
		return false;
	holders_del(h, vm);
	h->killed[vm] = op >= OP_KILL;
	return true;
}

static int do_op(struct vm *vms, struct group *group, int *device, int op)
{
	struct vm *vm = &vms[op % VMS];

	if (op < OP_DEL)
		return user_add(vm->dev, group->fd);
	if (op < OP_KILL)
		return user_del(vm->dev, group->fd);
	if (op < OP_OPEN)
		return shim_close(vm->fd) ?: shim_close(vm->dev);
	if (op == OP_CLOSE)
		return shim_close(*device);
	*device = user_get_device(group->fd, group->ig->devices);
	return *device < 0 ? *device : 0;
}

static void run_path(const int *path, int len)
{
	struct vm vms[VMS] = { new_vm(), new_vm(), new_vm() };
	struct group group = new_group(1);
	struct holders h = { .seen = VMS };
	struct kvm *kvm;
	int device = -1;

	for (int i = 0; i < len; i++) {
		holders_step(&h, path[i]);
		EXPECT_EQ(do_op(vms, &group, &device, path[i]), 0);
		kvm = h.nr ? vms[h.list[0]].kvm : NULL;
		EXPECT(fake_group(group.fd)->kvm == kvm);
		EXPECT_EQ(users(&group), 1 + h.nr + h.open);
		if (!h.open)
			continue;
		kvm = h.seen < VMS ? vms[h.seen].kvm : NULL;
		EXPECT(fake_kvm_seen(group.ig->devices) == kvm);
	}
	fake_end();
}

static unsigned int explore(struct holders h, int *path, int depth)
{
	unsigned int nr = 0;

	if (depth == DEPTH) {
		run_path(path, depth);
		return 1;
	}
	for (int op = 0; op < NR_OPS && test_failures() < 20; op++) {
		struct holders next = h;

		if (!holders_step(&next, op))
			continue;
		path[depth] = op;
		nr += explore(next, path, depth + 1);
	}
	return nr;
}

/* Contract 3.1, 3.6 */
TEST(all_orders, "three VMs, every order of 5 steps: never a stale pointer")
{
	struct holders none = { .seen = VMS };
	int path[DEPTH];

	EXPECT(explore(none, path, 0) > 1000);
}
#endif
