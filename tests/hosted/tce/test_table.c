// SPDX-License-Identifier: GPL-2.0-only
/* Tables and attachments come and go: contract, section 4 */
#include "world.h"

#define RW	PERMS
#define RO	TCE_PCI_READ

TEST(create_errors, "KVM_CREATE_SPAPR_TCE_64: what it refuses")
{
	struct kvm *kvm = vm_new();
	struct {
		unsigned int shift;
		u64 offset, size;
		int want;
	} cases[] = {
		{ 11, 0, 1, -EINVAL }, { 35, 0, 1, -EINVAL }, { 0, 0, 1, -EINVAL },
		{ 64, 0, 1, -EINVAL }, { ~0U, 0, 1, -EINVAL },
		{ 12, 0, 0, -EINVAL }, { 12, ~0UL, 1, -EINVAL },
		{ 12, 0, ~0UL, -EINVAL }, { 12, 1UL << 52, 1, -EINVAL },
		{ 12, (1UL << 52) - 1, 1, -EINVAL },
		{ 12, (1UL << 52) - 2, 1, 0 }, { 34, (1UL << 30) - 3, 2, 0 },
		{ 34, (1UL << 30) - 3, 3, -EINVAL }, { 12, 1, ~0UL, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kvm_create_spapr_tce_64 args = {
			.liobn = i,
			.page_shift = cases[i].shift,
			.offset = cases[i].offset,
			.size = cases[i].size,
		};
		int ret = kvm_vm_ioctl_create_spapr_tce(kvm, &args);

		EXPECT_EQ(min(ret, 0), cases[i].want);
		shim_return_to_user();
	}
}

TEST(create_twice, "a LIOBN is there once in each VM, and free after the close")
{
	struct kvm *a = vm_new(), *b = vm_new();
	int fd = vm_table(a, LIOBN, 12, 0, 10), srcu;

	EXPECT(fd >= 0);
	/* A vCPU in a page fault that user space serves: nothing waits for it. */
	srcu = srcu_read_lock(&a->srcu);
	EXPECT_EQ(vm_table(a, LIOBN, 16, 0, 10), -EBUSY);
	srcu_read_unlock(&a->srcu, srcu);
	EXPECT(vm_table(b, LIOBN, 12, 0, 10) >= 0);
	EXPECT(vm_table(a, LIOBN + 1, 12, 0, 10) >= 0);
	EXPECT_EQ(a->users_count, 3);
	EXPECT_EQ(shim_close(fd), 0);
	EXPECT(vm_table(a, LIOBN, 12, 0, 10) >= 0);
}

/* Nothing is left of a table that could not be made. */
TEST(create_sweep, "KVM_CREATE_SPAPR_TCE_64: each step fails in turn")
{
	struct kvm *kvm = vm_new();
	unsigned int objects = shim_live_objects();
	const char *what;
	int n = 0, ret, points = 0;

	do {
		shim_fault_arm(++n);
		ret = vm_table(kvm, LIOBN, 16, 0, 100000);
		what = shim_fault_disarm();
		points += !!what;
		EXPECT_EQ(ret < 0, !!what);
		EXPECT_EQ(kvm->users_count, what ? 1 : 2);
		EXPECT_EQ(kvm->mm->locked_vm > 0, !what);
		EXPECT_EQ(shim_live_objects(), objects + !what);
		EXPECT_EQ(shim_live_files(), !what);
	} while (what);
	EXPECT(points >= 4);
	EXPECT_EQ(shim_close(ret), 0);
	EXPECT_EQ(kvm->mm->locked_vm, 0);
}

/* What is mapped is what hypercalls read and write. */
TEST(mapping, "mmap: faults give the table's pages, SIGBUS after its end")
{
	struct world w = world_new(&shape_plain, 1);
	struct file *file = shim_fd(w.table);
	struct vm_area_struct vma = { .vm_file = file };
	struct vm_fault vmf = { .vma = &vma };
	unsigned long pages = DIV_ROUND_UP(1200, TCES_PER_PAGE);

	EXPECT_EQ(file->f_op->mmap(file, &vma), 0);
	vmf.pgoff = pages;
	EXPECT_EQ(vma.vm_ops->fault(&vmf), VM_FAULT_SIGBUS);
	vmf.pgoff = pages - 1;
	shim_fault_arm(1);
	EXPECT_EQ(vma.vm_ops->fault(&vmf), VM_FAULT_OOM);
	EXPECT(shim_fault_disarm());
	EXPECT_EQ(vma.vm_ops->fault(&vmf), 0);
	((u64 *)page_address(vmf.page))[1199 % TCES_PER_PAGE] = 0x1230;
	EXPECT_EQ(world_get(&w, 1199), 0x1230);
	EXPECT_EQ(world_put(&w, 1199, GPA_A | RW), H_SUCCESS);
	EXPECT_EQ(((u64 *)page_address(vmf.page))[1199 % TCES_PER_PAGE], GPA_A | RW);
	fput(file);
	EXPECT_EQ(shim_close(w.table), 0);
	__free_page(vmf.page);
}

static const struct file_operations no_table_fops;

/* Contract 4.8, 4.9 */
TEST(attach_errors, "attach: EINVAL, EPERM, EINVAL, in this order")
{
	struct kvm *kvm = vm_new(), *other = vm_new();
	int table = vm_table(kvm, LIOBN, 16, 1UL << 59, 64);
	int small = vm_table(kvm, 1, 12, 1UL << 59, 64);
	int large = vm_table(kvm, 2, 16, 1UL << 59, 65);
	int away = vm_table(kvm, 3, 16, 1UL << 58, 64);
	int foreign = vm_table(other, LIOBN, 16, 1UL << 59, 64);
	int no_table = shim_install(shim_file(&no_table_fops, NULL));
	struct iommu_group *group = group_new(1), *mdev = group_new(-EPERM);
	struct hw *hw = hw_new(16, 1UL << 59, 64 << 16, 0);
	struct iommu_table_ops none = *hw->tbl.it_ops;
	const struct iommu_table_ops *ops = hw->tbl.it_ops;
	__be64 *view;

	free(mdev->data);
	mdev->data = NULL;
	EXPECT_EQ(vm_attach(kvm, group, table), -EINVAL);
	group_set_window(group, 1, hw);
	EXPECT_EQ(vm_attach(kvm, mdev, table), -EINVAL);
	EXPECT_EQ(vm_attach(kvm, group, no_table), -EINVAL);
	EXPECT_EQ(vm_attach(kvm, group, foreign), -EINVAL);
	EXPECT_EQ(vm_attach(kvm, group, small), -EINVAL);
	EXPECT_EQ(vm_attach(kvm, group, large), -EINVAL);
	EXPECT_EQ(vm_attach(kvm, group, away), -EINVAL);
	group->user.preregistered = -EPERM;
	EXPECT_EQ(vm_attach(kvm, group, foreign), -EINVAL);
	EXPECT_EQ(vm_attach(kvm, group, away), -EPERM);
	EXPECT_EQ(vm_attach(kvm, group, table), -EPERM);
	group->user.preregistered = 1;
	/* What the host's own tables do not have */
	none.useraddrptr = NULL;
	hw->tbl.it_ops = &none;
	EXPECT_EQ(vm_attach(kvm, group, table), -EINVAL);
	none = *ops;
	none.xchg_no_kill = NULL;
	EXPECT_EQ(vm_attach(kvm, group, table), -EINVAL);
	hw->tbl.it_ops = ops;
	view = hw->tbl.it_userspace;
	hw->tbl.it_userspace = NULL;
	EXPECT_EQ(vm_attach(kvm, group, table), -EINVAL);
	hw->tbl.it_userspace = view;
	EXPECT_EQ(hw->refs, 1);
	EXPECT_EQ(vm_attach(kvm, group, table), 0);
	EXPECT_EQ(hw->refs, 2);
}

TEST(attach_sweep, "attach: each allocation fails in turn, nothing is left")
{
	struct kvm *kvm = vm_new();
	int table = vm_table(kvm, LIOBN, 16, 0, 64), points = 0, n = 0, ret;
	struct iommu_group *group = group_new(1);
	struct hw *hw = hw_new(16, 0, 64 << 16, 16);
	unsigned int objects = shim_live_objects();
	const char *what;

	group_set_window(group, 0, hw);
	do {
		shim_fault_arm(++n);
		ret = vm_attach(kvm, group, table);
		what = shim_fault_disarm();
		points += !!what;
		EXPECT_EQ(ret, what ? -ENOMEM : 0);
		EXPECT_EQ(shim_live_objects() > objects, !what);
		EXPECT_EQ(hw->refs, what ? 1 : 2);
	} while (what);
	EXPECT(points >= 2);
	n = shim_live_objects();
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(vm_attach(kvm, group, table), 0);
	EXPECT_EQ(shim_live_objects(), n);
	EXPECT_EQ(hw->refs, 2);
	group_del(group);
	EXPECT_EQ(hw->refs, 1);
	EXPECT_EQ(shim_live_objects(), objects);
}

/*
 * Contract 4.10: The limit of hardware tables, beyond which a hypercall would
 * take too long
 */
TEST(attach_many, "attach: there is a limit to hardware tables behind a table")
{
	struct kvm *kvm = vm_new();
	struct kvm_vcpu vcpu = { .kvm = kvm };
	int table = vm_table(kvm, LIOBN, 16, 0, 4), ret = 0, nr = 0;
	struct iommu_group *group;
	struct iommu_group *first_group = NULL;
	struct hw *first = NULL, *hw;

	for (; nr < 40 && !ret; nr += !ret) {
		group = group_new(1);
		hw = hw_new(16, 0, 4 << 16, 0);
		group_set_window(group, 0, hw);
		if (!nr) {
			first = hw;
			first_group = group;
		}
		ret = vm_attach(kvm, group, table);
	}
	EXPECT_EQ(ret, -ENOSPC);
	EXPECT_EQ(nr, 32);
	EXPECT_EQ(kvmppc_h_put_tce(&vcpu, LIOBN, 0, 0x550), H_SUCCESS);

	/* One whose window is gone does not count, and nothing changes until its DEL. */
	hw_remove(first, &first_group, 1);
	EXPECT_EQ(vm_attach(kvm, group, table), 0);
	EXPECT_EQ(kvmppc_h_put_tce(&vcpu, LIOBN, 0, 0x660), H_TOO_HARD);
	group_del(first_group);
	EXPECT_EQ(kvmppc_h_put_tce(&vcpu, LIOBN, 0, 0x660), H_SUCCESS);

	/* Nor does one whose group the host has taken back. */
	group_revoke(group);
	group = group_new(1);
	group_set_window(group, 0, hw_new(16, 0, 4 << 16, 0));
	EXPECT_EQ(vm_attach(kvm, group, table), 0);
	group = group_new(1);
	group_set_window(group, 0, hw_new(16, 0, 4 << 16, 0));
	EXPECT_EQ(vm_attach(kvm, group, table), -ENOSPC);
}

static void expect_stopped(struct world *w)
{
	struct snapshot before;
	u64 tces[2] = { GPA_B | RW, 0 };

	snapshot_take(w, &before);
	EXPECT_EQ(world_put(w, 0, GPA_B | RW), H_TOO_HARD);
	EXPECT_EQ(world_put(w, 0, 0), H_TOO_HARD);
	EXPECT_EQ(world_list(w, 0, tces, 2), H_TOO_HARD);
	EXPECT_EQ(world_stuff(w, 0, 0, 100), H_TOO_HARD);
	world_check(w, &before, 0, NULL, 0, 0, -1);
	snapshot_drop(&before);
}

/*
 * Contract 4.16: VFIO has closed the window, but groups still have it: it is being
 * cleared, or firmware does not let it go.
 */
TEST(closed, "window closed: H_TOO_HARD at once, and nothing attaches to it")
{
	for (int lpar = 0; lpar < 2; lpar++) {
		struct world w = world_new(&shape_two, 1);
		struct iommu_group *other = group_new(1);

		shim_lpar = lpar;
		EXPECT_EQ(world_put(&w, 1, GPA_A | RW), H_SUCCESS);
		tce_hw_close(&w.hw[1]->tbl);
		expect_stopped(&w);
		group_set_window(other, 0, w.hw[1]);
		EXPECT_EQ(vm_attach(w.kvm, other, w.table), -EINVAL);
		group_set_window(other, 0, NULL);
		group_del(other);
		group_del(w.group[1]);
		EXPECT_EQ(world_put(&w, 1, 0), H_SUCCESS);
		fake_end();
	}
}

/*
 * The container puts a window in the slots of all groups, and opens it then.  Until that
 * it has no lock: the fake stops whoever takes one that is not initialised.
 */
TEST(shut, "window not open yet: nothing attaches to it, nor takes its lock")
{
	struct world w = world_new(&shape_plain, 1);
	struct hw *hw = hw_new_shut(16, 0, 1200 << 16, 0);
	struct iommu_group *other = group_new(1);

	hw_remove(w.hw[0], w.group, 1);
	w.hw[0] = hw;
	group_set_window(w.group[0], 0, hw);
	group_set_window(other, 0, hw);
	EXPECT_EQ(vm_attach(w.kvm, w.group[0], w.table), -EINVAL);
	EXPECT_EQ(vm_attach(w.kvm, other, w.table), -EINVAL);
	expect_stopped(&w);
	tce_hw_open(&hw->tbl);
	EXPECT_EQ(vm_attach(w.kvm, w.group[0], w.table), 0);
	EXPECT_EQ(world_put(&w, 1, GPA_A | RW), H_SUCCESS);
	world_check_counts(&w);
}

/* Contract 4.16: It is the fast path that has to see it, of each hardware table. */
TEST(closed_fast, "window closed: H_TOO_HARD on the fast path, too")
{
	for (int i = 0; i < 3; i++) {
		struct world w = world_new(i ? &shape_equal : &shape_plain, 1);

		EXPECT_EQ(world_put(&w, 1, GPA_A | RW), H_SUCCESS);
		tce_hw_close(&w.hw[i / 2]->tbl);
		expect_stopped(&w);
		fake_end();
	}
}

/*
 * Contract 4.12, 4.16: Nothing changes a removed window, until another one
 * takes its place.
 */
TEST(stale, "window removed: H_TOO_HARD; attached again: the new one")
{
	struct world w = world_new(&shape_plain, 1);
	struct hw *new = hw_new(16, 0, 1200 << 16, 32), *old = w.hw[0];
	int table = w.table;

	EXPECT_EQ(world_put(&w, 0, GPA_A | RW), H_SUCCESS);
	iommu_tce_table_get(&old->tbl);
	hw_remove(old, w.group, 1);
	EXPECT_EQ(region_nr(0)->mapped, 1);
	expect_stopped(&w);
	EXPECT_EQ(world_get(&w, 0), GPA_A | RW);
	EXPECT_EQ(vm_attach(w.kvm, w.group[0], table), -EINVAL);
	group_set_window(w.group[0], 1, new);
	expect_stopped(&w);
	EXPECT_EQ(old->refs, 2);
	EXPECT_EQ(vm_attach(w.kvm, w.group[0], table), 0);
	EXPECT_EQ(old->refs, 1);
	iommu_tce_table_put(&old->tbl);
	w.hw[0] = new;
	EXPECT_EQ(world_put(&w, 0, GPA_B | RW), H_SUCCESS);
	EXPECT(hw_now(new, 0) & PERMS);
	EXPECT_EQ(vm_attach(w.kvm, w.group[0], table), 0);
	EXPECT_EQ(new->refs, 2);
}

/*
 * Contract 4.12, 4.16: Firmware does not let the closed window go, and VFIO makes another
 * one beside it.
 */
TEST(closed_stale, "window closed, but in its slot; attached again: the new one")
{
	struct world w = world_new(&shape_plain, 1);
	struct hw *new = hw_new(16, 0, 1200 << 16, 32), *old = w.hw[0];
	struct iommu_group *other = group_new(1);

	iommu_tce_table_get(&old->tbl);
	EXPECT_EQ(world_put(&w, 0, GPA_A | RW), H_SUCCESS);
	tce_hw_close(&old->tbl);
	group_set_window(other, 0, old);
	EXPECT_EQ(group_add(w.kvm, other), 0);
	group_set_window(w.group[0], 1, new);
	expect_stopped(&w);
	EXPECT_EQ(vm_attach(w.kvm, w.group[0], w.table), 0);
	w.hw[0] = new;
	EXPECT_EQ(world_put(&w, 1, GPA_B | RW), H_SUCCESS);
	EXPECT(hw_now(new, 1) & PERMS);
	EXPECT_EQ(old->refs, 2);
	iommu_tce_table_put(&old->tbl);
}

/*
 * Contract 1.28: One of several groups is dead: nothing changes until its DEL.
 */
TEST(dead, "a dead group: H_TOO_HARD until its DEL, then the others go on")
{
	struct world w = world_new(&shape_plain, 1);
	struct iommu_group *other = group_new(1);

	group_set_window(other, 1, w.hw[0]);
	EXPECT_EQ(vm_attach(w.kvm, other, w.table), 0);
	EXPECT_EQ(w.hw[0]->refs, 2);
	EXPECT_EQ(world_put(&w, 0, GPA_A | RW), H_SUCCESS);
	group_revoke(w.group[0]);
	expect_stopped(&w);
	group_del(w.group[0]);
	EXPECT_EQ(world_put(&w, 0, GPA_B | RW), H_SUCCESS);
	EXPECT_EQ(world_put(&w, 1, GPA_A | RW), H_SUCCESS);
	group_del(other);
	EXPECT_EQ(w.hw[0]->refs, 1);
	/*
	 * Nothing is behind the table any more; the old entries stay as they
	 * are.
	 */
	EXPECT_EQ(world_put(&w, 0, 0), H_SUCCESS);
	EXPECT(hw_now(w.hw[0], 0) & PERMS);
}

TEST(dead_lock, "a dead group in an LPAR: the lock of its hardware table is the host's")
{
	struct world w;

	shim_lpar = true;
	w = world_new(&shape_plain, 1);
	EXPECT_EQ(world_put(&w, 0, GPA_A | RW), H_SUCCESS);
	group_revoke(w.group[0]);
	tce_hw_lock(&w.hw[0]->tbl)->dep.foreign = true;
	expect_stopped(&w);
	tce_hw_lock(&w.hw[0]->tbl)->dep.foreign = false;
}

/* Undone in all orders: table closed, groups deleted, one window removed */
static void undo(struct world *w, struct iommu_group *other, struct hw *hw, int what)
{
	switch (what) {
	case 0:
		EXPECT_EQ(shim_close(w->table), 0);
		break;
	case 1:
		group_del(w->group[0]);
		break;
	case 2:
		group_del(other);
		break;
	default:
		hw_remove(hw, (struct iommu_group *[]){ w->group[0], other }, 2);
	}
}

/* Contract 4.17 */
TEST(orders, "table closed, groups deleted, window removed, in all orders")
{
	for (int order = 0; order < 256; order++) {
		int steps[4] = { order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6 };
		struct world w;
		struct iommu_group *other;
		int second, used = 0;

		for (int i = 0; i < 4; i++)
			used |= 1 << steps[i];
		if (used != 15)
			continue;
		w = world_new(&shape_levels, 1);
		other = group_new(1);
		second = vm_table(w.kvm, 7, 16, w.shape.bus, 100);
		group_set_window(other, 0, w.hw[0]);
		EXPECT_EQ(vm_attach(w.kvm, other, w.table), 0);
		EXPECT_EQ(vm_attach(w.kvm, other, second), 0);
		EXPECT_EQ(vm_attach(w.kvm, w.group[0], second), 0);
		EXPECT_EQ(world_put(&w, 3, GPA_A | RW), H_SUCCESS);
		for (int i = 0; i < 4; i++)
			undo(&w, other, w.hw[0], steps[i]);
		EXPECT_EQ(hw_counts.tables, 0);
		EXPECT_EQ(kvmppc_h_put_tce(&w.vcpu, LIOBN, w.shape.bus, 0), H_TOO_HARD);
		fake_end();
	}
}

/* Two tables reach the same hardware: an entry of either is counted once. */
TEST(shared_hw, "two tables, in two VMs, on one hardware table")
{
	struct world w = world_new(&shape_plain, 1);
	struct kvm *kvm = vm_new();
	struct kvm_vcpu vcpu = { .kvm = kvm };
	int table = vm_table(kvm, 9, 16, 0, 100);
	int again = vm_table(w.kvm, 10, 20, 0, 8);
	struct iommu_group *other = group_new(1);

	vm_slot(kvm, 0, 0, 32 * MB, UA_B, 0);
	group_set_window(other, 0, w.hw[0]);
	EXPECT_EQ(vm_attach(kvm, other, table), 0);
	EXPECT_EQ(vm_attach(w.kvm, w.group[0], again), 0);
	EXPECT_EQ(world_put(&w, 1, GPA_A | RW), H_SUCCESS);
	EXPECT_EQ(kvmppc_h_put_tce(&vcpu, 9, 1 << 16, 0 | RO), H_SUCCESS);
	EXPECT_EQ(region_nr(0)->mapped, 1);
	EXPECT_EQ(region_nr(1)->mapped, 2);
	EXPECT_EQ(kvmppc_h_put_tce(&w.vcpu, 10, 0, GPA_A | RW), H_SUCCESS);
	EXPECT_EQ(region_nr(0)->mapped, 17);
	EXPECT_EQ(region_nr(1)->mapped, 1);
	world_check_counts(&w);
	EXPECT_EQ(kvmppc_h_stuff_tce(&vcpu, 9, 0, 0, 100), H_SUCCESS);
	EXPECT_EQ(region_nr(0)->mapped, 1);
	world_check_counts(&w);
}

static void expect_own(struct kvm *kvm, u64 liobn, u64 value)
{
	struct kvm_vcpu vcpu = { .kvm = kvm };

	EXPECT_EQ(kvmppc_h_get_tce(&vcpu, liobn, 0), H_SUCCESS);
	EXPECT_EQ(vcpu.gpr4, value);
}

/* One of the names of which hash_64() makes the same: those of another @nr are others. */
static u64 name_of_hash(u32 hash, u32 nr)
{
	u64 factor = 0x61c8864680b583ebULL, inverse = 1;

	for (int i = 0; i < 6; i++)
		inverse *= 2 - factor * inverse;
	return ((u64)hash << 32 | nr) * inverse;
}

/* Nor do their names: those that were chosen to be in one bucket of a hash by VM and name. */
TEST(other_vms, "tables of other VMs, however many, cost a hypercall nothing")
{
	struct kvm *a = vm_new(), *b = vm_new();
	u64 own = name_of_hash((unsigned long)a ^ (unsigned long)b, 0);
	struct kvm_vcpu vcpu = { .kvm = b };
	unsigned long before, alone;

	EXPECT(vm_table(b, own, 12, 0, 1) >= 0);
	before = shim_probes();
	EXPECT_EQ(kvmppc_h_put_tce(&vcpu, own, 0, 0x330), H_SUCCESS);
	alone = shim_probes() - before;
	for (u32 i = 0; i < 100; i++)
		EXPECT(vm_table(a, name_of_hash(0, i), 12, 0, 1) >= 0);
	before = shim_probes();
	EXPECT_EQ(kvmppc_h_put_tce(&vcpu, own, 0, 0x440), H_SUCCESS);
	EXPECT_EQ(shim_probes() - before, alone);
}

TEST(own_entries, "tables of one LIOBN in two VMs, and of two: each has its own entries")
{
	struct kvm *a = vm_new(), *b = vm_new();
	struct kvm_vcpu vcpu_a = { .kvm = a }, vcpu_b = { .kvm = b };

	EXPECT(vm_table(a, 1, 12, 0, 1) >= 0);
	EXPECT(vm_table(a, 2, 12, 0, 1) >= 0);
	EXPECT(vm_table(b, 1, 12, 0, 1) >= 0);
	EXPECT_EQ(kvmppc_h_put_tce(&vcpu_a, 1, 0, 0x110), H_SUCCESS);
	EXPECT_EQ(kvmppc_h_put_tce(&vcpu_a, 2, 0, 0x220), H_SUCCESS);
	EXPECT_EQ(kvmppc_h_put_tce(&vcpu_b, 1, 0, 0x330), H_SUCCESS);
	expect_own(a, 1, 0x110);
	expect_own(a, 2, 0x220);
	expect_own(b, 1, 0x330);
}

/* User space chooses how many tables there are; groups are hardware. */
TEST(many_attached, "attach: what is attached already is not walked")
{
	struct world w = world_new(&shape_plain, 1);
	unsigned long before, first = 0;
	struct iommu_group *other;
	int table;

	for (int i = 0; i < 3; i++) {
		other = group_new(1);
		group_set_window(other, 0, w.hw[0]);
		EXPECT_EQ(group_add(w.kvm, other), 0);
	}
	for (int i = 0; i < 100; i++) {
		table = vm_table(w.kvm, 100 + i, 16, 0, 4);
		before = shim_probes();
		EXPECT_EQ(vm_attach(w.kvm, w.group[0], table), 0);
		if (!i)
			first = shim_probes() - before;
		EXPECT_EQ(shim_probes() - before, first);
	}
}

/* Contract 4.12: Only what is gone is replaced, and only for those that live. */
TEST(attach_both, "attach again, to another window: one that is still there stays")
{
	struct world w = world_new(&shape_plain, 1);
	struct hw *old = w.hw[0], *new = hw_new(16, 0, 1200 << 16, 0);
	struct iommu_group *other = group_new(1), *groups[] = { w.group[0], other };

	for (int i = 0; i < 2; i++) {
		group_set_window(groups[i], 1, old);
		group_set_window(groups[i], 0, new);
	}
	EXPECT_EQ(vm_attach(w.kvm, other, w.table), 0);
	EXPECT_EQ(list_count_nodes(&w.group[0]->holder.attachments), 2);
	EXPECT_EQ(list_count_nodes(&other->holder.attachments), 2);
	EXPECT_EQ(world_put(&w, 0, GPA_A | RW), H_SUCCESS);
	EXPECT(hw_now(old, 0) & PERMS);
	EXPECT(hw_now(new, 0) & PERMS);
	group_revoke(other);
	EXPECT_EQ(vm_attach(w.kvm, w.group[0], w.table), 0);
	EXPECT_EQ(list_count_nodes(&other->holder.attachments), 2);
	EXPECT_EQ(world_put(&w, 0, GPA_B | RW), H_TOO_HARD);
	group_del(other);
	EXPECT_EQ(world_put(&w, 0, GPA_B | RW), H_SUCCESS);
}

/* Contract 4.16: The window is open, for other groups. */
TEST(slot_empty, "a group that no longer has the window: H_TOO_HARD")
{
	struct world w = world_new(&shape_plain, 1);

	EXPECT_EQ(world_put(&w, 1, GPA_A | RW), H_SUCCESS);
	group_set_window(w.group[0], 0, NULL);
	expect_stopped(&w);
	group_set_window(w.group[0], 0, w.hw[0]);
	EXPECT_EQ(world_put(&w, 1, GPA_B | RW), H_SUCCESS);
}

static struct vm_fault *fault_meanwhile;

static void fault_now(void)
{
	shim_at_allocation = NULL;
	EXPECT_EQ(fault_meanwhile->vma->vm_ops->fault(fault_meanwhile), 0);
}

TEST(mapping_meanwhile, "mmap: a fault between two steps of a hypercall: both have one page")
{
	struct world w = world_new(&shape_plain, 1);
	struct file *file = shim_fd(w.table);
	struct vm_area_struct vma = { .vm_file = file };
	struct vm_fault vmf = { .vma = &vma };

	EXPECT_EQ(file->f_op->mmap(file, &vma), 0);
	fault_meanwhile = &vmf;
	shim_at_allocation = fault_now;
	EXPECT_EQ(world_put(&w, 3, GPA_A | RW), H_SUCCESS);
	EXPECT_EQ(((u64 *)page_address(vmf.page))[3], GPA_A | RW);
	EXPECT_EQ(hw_counts.tce_pages, 1);
	fput(file);
	__free_page(vmf.page);
}
