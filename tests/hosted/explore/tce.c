// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hypercalls of vCPUs, and what user space and the host do to what is behind them: two
 * groups of one container, of which the VM holds one; a group that is in no container; a
 * table that reaches the window, and one that does not yet; and a group of another
 * container, with a window of its own.
 *
 * What VFIO and the KVM-VFIO device keep apart by locks is kept apart by the same ones
 * here.  In this program, a chunk is of CHUNK entries.
 */
#include "../tce/world.h"

#include <explore/wrap.h>
#include <linux/seq_file.h>
#include <linux/step.h>

/* Links and attachments, which are the same whatever TCE_CHUNK is */
#include "spapr_tce.h"

#include "explore.h"
#include "sched.h"

#define ENTRIES		6
#define CHUNK		2	/* as in the Makefile */
#define OTHER_LIOBN	(LIOBN + 1)
#define GROUPS		4
#define SHARING		3	/* one container, if they are in any */
#define OUTSIDE		2	/* the group that is in none at first */
#define ANOTHER		3	/* the group of another container */
#define WINDOWS		3	/* the second comes when the guest resets */
#define ANOTHER_WINDOW	2
#define RW		PERMS
#define GPA_ELSEWHERE	(6UL << 32)

static struct {
	struct world w;
	struct mutex kv_lock, group_lock[GROUPS], container_lock;
	struct hw *hw[WINDOWS];
	struct iommu_group *group[GROUPS];
	int table, other;
	bool removed;		/* container_lock: the first window */
	bool out[GROUPS];	/* their group_lock and container_lock: in no container */
	bool slot_gone, slot_protected;
} s;

/* Steps of the fakes: see the Makefile for what is wrapped. */

static struct iommu_table_ops ops_real, ops_stepped;

/* A VM changes a window only while it holds a group that has it. */
static void check_window(struct iommu_table *tbl)
{
	for (int i = 0; i < GROUPS; i++) {
		struct iommu_group *group = s.group[i];

		if (group->holder.kvm && group->data && group->data->tables[0] == tbl)
			return;
	}
	SHIM_FAIL("a VM changes a window of which it holds no group");
}

static int stepped_xchg(struct iommu_table *tbl, long index, unsigned long *hpa,
			enum dma_data_direction *direction)
{
	shim_step("exchange", NULL);
	check_window(tbl);
	if (*direction != DMA_NONE && s.slot_gone)
		SHIM_FAIL("an entry maps by a memory slot that is gone");
	if (s.slot_protected && (*direction == DMA_FROM_DEVICE || *direction == DMA_BIDIRECTIONAL))
		SHIM_FAIL("an entry lets a device write to a slot that is read-only");
	return ops_real.xchg_no_kill(tbl, index, hpa, direction);
}

static void stepped_kill(struct iommu_table *tbl, unsigned long index,
			 unsigned long pages)
{
	shim_step("kill", NULL);
	ops_real.tce_kill(tbl, index, pages);
}

static void stepped_clear(struct iommu_table *tbl, long index, long nr)
{
	shim_step("clear", NULL);
	check_window(tbl);
	ops_real.clear(tbl, index, nr);
}

WRAP(mem_t *, mm_iommu_lookup, (struct mm_struct *mm, unsigned long ua, ulong size), (mm, ua, size))
WRAP(long, mm_iommu_mapped_inc, (struct mm_iommu_table_group_mem_t *mem), (mem))
WRAP(void, mm_iommu_mapped_dec, (struct mm_iommu_table_group_mem_t *mem), (mem))
WRAP(int, iommu_tce_table_put, (struct iommu_table *tbl), (tbl))

void __wrap_cond_resched(void)
{
	__real_cond_resched();
	shim_step_piece("cond_resched");
}

/* For as long as user space likes: as if the hypercall was over. */
unsigned long __wrap_copy_from_user(void *to, const void __user *from, unsigned long n)
{
	unsigned long left;

	shim_step_piece("copy_from_user");
	left = __real_copy_from_user(to, from, n);
	shim_step_piece("copy_from_user");
	return left;
}

/* Ours is to look at it later, and nobody may take it any more when all others are gone. */
struct iommu_table *__wrap_iommu_tce_table_get(struct iommu_table *tbl)
{
	shim_step("iommu_tce_table_get", NULL);
	if (tbl->it_ops == &ops_stepped &&
	    container_of(tbl, struct hw, tbl)->refs == 1)
		SHIM_FAIL("a hardware table is taken that is gone");
	return __real_iommu_tce_table_get(tbl);
}

/* What H_PUT_TCE_INDIRECT reads: first, and when the guest has changed it */
static const u64 lists[2][3] = {
	{ GPA_B | RW, 0, (GPA_A + MB) | RW },
	{ GPA_A | RW, GPA_B | RW, 0 },
};

/* To be opened when it is in the slots of all groups */
static struct hw *window_new(void)
{
	struct hw *hw = hw_new_shut(16, 0, ENTRIES << 16, 0);

	ops_real = *hw->tbl.it_ops;
	ops_stepped = ops_real;
	ops_stepped.xchg_no_kill = stepped_xchg;
	ops_stepped.tce_kill = stepped_kill;
	ops_stepped.clear = stepped_clear;
	hw->tbl.it_ops = &ops_stepped;
	/* To be looked at when it is gone */
	__real_iommu_tce_table_get(&hw->tbl);
	return hw;
}

static void tce_begin(void)
{
	static const struct shape shape = { 16, 0, ENTRIES, 1, { 16 }, { 0 } };
	static bool once;

	if (!once) {
		sched_ignore(&hw_counts, sizeof(hw_counts));
		sched_ignore(&hw_barriers, sizeof(hw_barriers));
	}
	once = true;
	memset(&s, 0, sizeof(s));
	shim_mutex_init(&s.kv_lock, "&kv->lock");
	shim_mutex_init(&s.container_lock, "&container->group_lock");
	s.w = world_new(&shape, 1);
	s.table = s.w.table;
	s.other = vm_table(s.w.kvm, OTHER_LIOBN, 16, 0, ENTRIES);
	/* The group of the world has a window that has no steps: let it have another. */
	hw_remove(s.w.hw[0], s.w.group, 1);
	s.hw[0] = window_new();
	s.group[0] = s.w.group[0];
	s.hw[ANOTHER_WINDOW] = window_new();
	for (int i = 0; i < GROUPS; i++) {
		shim_mutex_init(&s.group_lock[i], "&group->group_lock");
		if (i)
			s.group[i] = group_new(1);
		s.out[i] = i == OUTSIDE;
		if (!s.out[i])
			group_set_window(s.group[i], 0,
					 s.hw[i == ANOTHER ? ANOTHER_WINDOW : 0]);
	}
	tce_hw_open(&s.hw[0]->tbl);
	tce_hw_open(&s.hw[ANOTHER_WINDOW]->tbl);
	EXPECT_EQ(vm_attach(s.w.kvm, s.group[0], s.table), 0);
	s.w.hw[0] = s.hw[0];
	EXPECT_EQ(world_put(&s.w, 0, GPA_A | RW), H_SUCCESS);
	EXPECT_EQ(world_put(&s.w, CHUNK, GPA_A | RW), H_SUCCESS);
	user_list(UA_LIST, lists[0], ARRAY_SIZE(lists[0]));
}

/* Hypercalls */

static long do_put(void)
{
	struct kvm_vcpu vcpu = { .kvm = s.w.kvm };

	return kvmppc_h_put_tce(&vcpu, LIOBN, 1 << 16, GPA_A | RW);
}

static long do_replace(void)
{
	struct kvm_vcpu vcpu = { .kvm = s.w.kvm };

	return kvmppc_h_put_tce(&vcpu, LIOBN, 0, GPA_B | RW);
}

static long do_unmap(void)
{
	struct kvm_vcpu vcpu = { .kvm = s.w.kvm };

	return kvmppc_h_put_tce(&vcpu, LIOBN, 0, 0);
}

static long do_list(void)
{
	struct kvm_vcpu vcpu = { .kvm = s.w.kvm };

	return kvmppc_h_put_tce_indirect(&vcpu, LIOBN, 0, GPA_LIST, 3);
}

static long do_stuff(void)
{
	struct kvm_vcpu vcpu = { .kvm = s.w.kvm };

	return kvmppc_h_stuff_tce(&vcpu, LIOBN, 0, 0, 2 * CHUNK);
}

static long do_get(void)
{
	struct kvm_vcpu vcpu = { .kvm = s.w.kvm };
	long ret = kvmppc_h_get_tce(&vcpu, LIOBN, 0);

	return ret ?: (long)vcpu.gpr4;
}

/* Another vCPU changes the list. */
static long do_change_list(void)
{
	user_list(UA_LIST, lists[1], ARRAY_SIZE(lists[1]));
	return 0;
}

/* Of a table that reaches no hardware */
static long do_get_other(void)
{
	struct kvm_vcpu vcpu = { .kvm = s.w.kvm };

	return kvmppc_h_get_tce(&vcpu, OTHER_LIOBN, 0);
}

/* The KVM-VFIO device: under its lock, and VFIO's lock of the group */

static long add(int nr)
{
	long ret = -EEXIST;

	mutex_lock(&s.kv_lock);
	if (!s.group[nr]->holder.kvm) {
		mutex_lock(&s.group_lock[nr]);
		ret = s.out[nr] ? -EINVAL : group_add(s.w.kvm, s.group[nr]);
		mutex_unlock(&s.group_lock[nr]);
	}
	mutex_unlock(&s.kv_lock);
	shim_return_to_user();
	return ret;
}

static long do_add(void)
{
	return add(1);
}

static long set(int nr, int fd)
{
	struct iommu_group *group = s.group[nr];
	long ret = -ENOENT;
	struct file *file;

	mutex_lock(&s.kv_lock);
	file = shim_fd(fd);
	if (!file) {
		ret = -EBADF;
	} else if (group->holder.kvm) {
		mutex_lock(&s.group_lock[nr]);
		ret = group->user.dead ? -EINVAL :
		      kvm_spapr_tce_attach(file, &group->holder);
		mutex_unlock(&s.group_lock[nr]);
	}
	mutex_unlock(&s.kv_lock);
	if (file)
		fput(file);
	shim_return_to_user();
	return ret;
}

static long do_set(void)
{
	return set(0, s.other);
}

/* Another window behind the table: single entries are to be put in both. */
static long do_set_another(void)
{
	return add(ANOTHER) ?: set(ANOTHER, s.table);
}

static long del(int nr)
{
	struct iommu_group *group = s.group[nr];
	long ret = -ENOENT;

	mutex_lock(&s.kv_lock);
	if (group->holder.kvm) {
		group_del(group);
		ret = 0;
	}
	mutex_unlock(&s.kv_lock);
	shim_return_to_user();
	return ret;
}

static long do_del(void)
{
	return del(0);
}

static long do_close(void)
{
	mutex_lock(&s.kv_lock);
	for (int i = 0; i < GROUPS; i++)
		if (s.group[i]->holder.kvm)
			group_del(s.group[i]);
	mutex_unlock(&s.kv_lock);
	shim_return_to_user();
	return 0;
}

/* The host and the container */

/* VFIO_GROUP_UNSET_CONTAINER; as far as VMs are concerned, the driver has this order. */
static long unset(int nr)
{
	struct iommu_group *group = s.group[nr];
	struct iommu_table *tbl;
	long ret = -EBUSY;

	mutex_lock(&s.group_lock[nr]);
	if (s.out[nr] || group->user.dead) {
		ret = -EINVAL;
	} else if (!group->holder.kvm) {
		mutex_lock(&s.container_lock);
		s.out[nr] = true;
		tbl = group->data->tables[0];
		group_set_window(group, 0, NULL);
		if (tbl) {
			spin_lock(tce_hw_lock(tbl));
			spin_unlock(tce_hw_lock(tbl));
		}
		mutex_unlock(&s.container_lock);
		ret = 0;
	}
	mutex_unlock(&s.group_lock[nr]);
	shim_return_to_user();
	return ret;
}

static long do_unset(void)
{
	return unset(1);
}

static long do_del_unset(void)
{
	return del(0) ?: unset(0);
}

/* VFIO_GROUP_SET_CONTAINER of a group, be it that its device was bound just now; ADD */
static long do_bring(void)
{
	struct hw *hw;

	mutex_lock(&s.group_lock[OUTSIDE]);
	mutex_lock(&s.container_lock);
	hw = s.removed ? s.hw[1] : s.hw[0];
	if (hw)
		group_set_window(s.group[OUTSIDE], 0, hw);
	s.out[OUTSIDE] = false;
	mutex_unlock(&s.container_lock);
	mutex_unlock(&s.group_lock[OUTSIDE]);
	shim_return_to_user();
	return add(OUTSIDE);
}

static long do_unbind(void)
{
	mutex_lock(&s.group_lock[0]);
	mutex_lock(&s.container_lock);
	if (!s.group[0]->user.dead)
		group_revoke(s.group[0]);
	mutex_unlock(&s.container_lock);
	mutex_unlock(&s.group_lock[0]);
	shim_return_to_user();
	return 0;
}

static long do_remove(void)
{
	long ret = -EINVAL;

	mutex_lock(&s.container_lock);
	if (!s.removed) {
		s.removed = true;
		hw_remove(s.hw[0], s.group, SHARING);
		ret = 0;
	}
	mutex_unlock(&s.container_lock);
	shim_return_to_user();
	return ret;
}

/* A guest resets: its window is another one. */
static long do_reset(void)
{
	struct hw *hw;

	if (do_remove())
		return -EINVAL;
	hw = window_new();
	mutex_lock(&s.container_lock);
	s.hw[1] = hw;
	for (int i = 0; i < SHARING; i++)
		if (!s.out[i] && !s.group[i]->user.dead)
			group_set_window(s.group[i], 0, hw);
	tce_hw_open(&hw->tbl);
	mutex_unlock(&s.container_lock);
	shim_return_to_user();
	return set(0, s.table);
}

/* VFIO_IOMMU_UNMAP_DMA of the first entry */
static long do_unmap_dma(void)
{
	long ret = -EINVAL;

	mutex_lock(&s.container_lock);
	if (!s.removed) {
		spin_lock(tce_hw_lock(&s.hw[0]->tbl));
		ret = hw_view(s.hw[0], 0) ? 0 : -ENOENT;
		shim_step("unmaps", NULL);
		if (!ret)
			hw_user_unmap(s.hw[0], 0);
		spin_unlock(tce_hw_lock(&s.hw[0]->tbl));
	}
	mutex_unlock(&s.container_lock);
	shim_return_to_user();
	return ret;
}

static long unregister(unsigned int nr)
{
	if (!region_unregister_begin(region_nr(nr)))
		return -EBUSY;
	region_unregister_end(region_nr(nr));
	shim_return_to_user();
	return 0;
}

static long do_unregister_a(void)
{
	return unregister(0);
}

static long do_unregister_b(void)
{
	return unregister(1);
}

/* KVM_SET_USER_MEMORY_REGION deletes the slot with both regions. */
static long do_slot(void)
{
	vm_slot(s.w.kvm, 0, GPA_A, 64 * MB, UA_A, KVM_MEMSLOT_INVALID);
	s.slot_gone = true;
	shim_return_to_user();
	return 0;
}

/* It moves it: the guest has these regions at other addresses then. */
static long do_move_slot(void)
{
	vm_slot(s.w.kvm, 0, GPA_ELSEWHERE, 64 * MB, UA_A, 0);
	s.slot_gone = true;
	shim_return_to_user();
	return 0;
}

/* It makes it anew, read-only: KVM_MEM_READONLY of a slot cannot be changed. */
static long do_protect_slot(void)
{
	vm_slot(s.w.kvm, 0, GPA_A, 64 * MB, UA_A, KVM_MEMSLOT_INVALID);
	s.slot_protected = true;
	shim_return_to_user();
	vm_slot(s.w.kvm, 0, GPA_A, 64 * MB, UA_A, KVM_MEM_READONLY);
	shim_return_to_user();
	return 0;
}

/* Tables */

static long do_close_table(void)
{
	return shim_close(s.table);
}

/* After it nothing but the slots keeps the window. */
static long do_close_table_set(void)
{
	shim_close(s.table);
	return set(0, s.other);
}

static long do_close_other(void)
{
	return shim_close(s.other);
}

static long do_create_table(void)
{
	int fd = vm_table(s.w.kvm, LIOBN, 16, 0, ENTRIES);

	return min(fd, 0);
}

static long do_show(void)
{
	char *text = shim_read_fdinfo(s.table);

	if (!text)
		return -EBADF;
	EXPECT(strstr(text, "kvm-spapr-tce:\t1\n") == text);
	free(text);
	return 0;
}

static long do_end(void)
{
	shim_close(s.table);
	shim_close(s.other);
	return do_close();
}

static const struct explore_op ops[] = {
	{ "H_PUT_TCE", do_put, false },
	{ "H_PUT_TCE replaces", do_replace, false },
	{ "H_PUT_TCE unmaps", do_unmap, false },
	{ "H_PUT_TCE_INDIRECT", do_list, true },
	{ "guest changes its list", do_change_list, false },
	{ "H_STUFF_TCE", do_stuff, true },
	{ "H_GET_TCE", do_get, false },
	{ "H_GET_TCE emulated", do_get_other, false },
	{ "ADD", do_add, false },
	{ "SET", do_set, false },
	{ "SET another window", do_set_another, false },
	{ "DEL", do_del, false },
	{ "close", do_close, false },
	{ "UNSET", do_unset, false },
	{ "DEL, UNSET", do_del_unset, false },
	{ "bind, SET_CONTAINER, ADD", do_bring, false },
	{ "unbind", do_unbind, false },
	{ "remove window", do_remove, false },
	{ "reset", do_reset, false },
	{ "UNMAP_DMA", do_unmap_dma, false },
	{ "unregister A", do_unregister_a, false },
	{ "unregister B", do_unregister_b, false },
	{ "delete slot", do_slot, false },
	{ "move slot", do_move_slot, false },
	{ "write-protect slot", do_protect_slot, false },
	{ "close table", do_close_table, false },
	{ "close emulated table", do_close_other, false },
	{ "close table, SET", do_close_table_set, false },
	{ "create table", do_create_table, false },
	{ "fdinfo", do_show, false },
	{ "VM end", do_end, false },
};

static const char *const triples[][3] = {
	{ "H_PUT_TCE", "DEL", "close table" },
	{ "H_PUT_TCE", "unbind", "remove window" },
	{ "H_PUT_TCE replaces", "UNMAP_DMA", "unregister A" },
	{ "H_PUT_TCE replaces", "delete slot", "unregister B" },
	{ "H_PUT_TCE unmaps", "unregister A", "remove window" },
	{ "H_PUT_TCE_INDIRECT", "close table", "create table" },
	{ "H_PUT_TCE_INDIRECT", "reset", "DEL" },
	{ "H_STUFF_TCE", "DEL", "close table" },
	{ "H_STUFF_TCE", "H_PUT_TCE replaces", "unregister A" },
	{ "H_GET_TCE", "close table", "create table" },
	{ "ADD", "DEL", "H_PUT_TCE" },
	{ "ADD", "unbind", "remove window" },
	{ "ADD", "DEL, UNSET", "H_PUT_TCE" },
	{ "ADD", "UNSET", "H_STUFF_TCE" },
	{ "bind, SET_CONTAINER, ADD", "DEL, UNSET", "H_PUT_TCE replaces" },
	{ "bind, SET_CONTAINER, ADD", "unbind", "H_PUT_TCE" },
	{ "SET another window", "H_PUT_TCE", "DEL" },
	{ "SET another window", "H_PUT_TCE", "unbind" },
	{ "SET another window", "H_PUT_TCE unmaps", "remove window" },
	{ "SET another window", "H_PUT_TCE unmaps", "UNMAP_DMA" },
	{ "SET", "DEL", "close table" },
	{ "SET", "remove window", "fdinfo" },
	{ "VM end", "H_PUT_TCE", "unbind" },
};

/* What there is at the end */

static size_t say_window(char *text, size_t size, struct hw *hw)
{
	size_t len = snprintf(text, size, "window: refs %d", hw->refs - 1);

	for (int i = 0; i < ENTRIES; i++)
		len += snprintf(text + len, size - len, " %lx/%lx",
				(unsigned long)hw_now(hw, i), hw_view(hw, i));
	return len + snprintf(text + len, size - len, ", ");
}

static unsigned long nr_views(const struct region *region)
{
	unsigned long nr = 0, ua;

	for (int k = 0; k < WINDOWS; k++)
		for (int i = 0; s.hw[k] && i < ENTRIES; i++) {
			ua = hw_view(s.hw[k], i);
			nr += ua - region->ua < region->size;
		}
	return nr;
}

static size_t say_table(char *text, size_t size, u64 liobn)
{
	struct kvm_vcpu vcpu = { .kvm = s.w.kvm };
	size_t len = snprintf(text, size, "table:");

	for (u64 i = 0; i < ENTRIES; i++)
		if (!kvmppc_h_get_tce(&vcpu, liobn, i << 16))
			len += snprintf(text + len, size - len, " %lx", vcpu.gpr4);
	return len + snprintf(text + len, size - len, ", ");
}

/* Held, alive, and with the window of a link, a group is attached to that. */
static void check_attached(const struct iommu_group *group, const struct tce_link *link)
{
	const struct tce_attachment *attachment;

	if (!group->holder.kvm || group->user.dead || group->data->tables[0] != link->tbl)
		return;
	list_for_each_entry(attachment, &group->holder.attachments, holder_node)
		if (attachment->link == link)
			return;
	SHIM_FAIL("a group that is held has a window, but no share of its table");
}

static void check_attachments(void)
{
	const struct tce_attachment *attachment;

	for (int i = 0; i < GROUPS; i++)
		list_for_each_entry(attachment, &s.group[i]->holder.attachments, holder_node)
			for (int k = 0; k < GROUPS; k++)
				check_attached(s.group[k], attachment->link);
}

static void tce_end(char *text, size_t size)
{
	size_t len = 0;

	for (int k = 0; k < WINDOWS; k++)
		if (s.hw[k])
			len += say_window(text + len, size - len, s.hw[k]);
	len += say_table(text + len, size - len, LIOBN);
	len += say_table(text + len, size - len, OTHER_LIOBN);
	for (int i = 0; i < 2; i++) {
		struct region *region = region_nr(i);

		EXPECT_EQ(max(region->mapped, 1) - 1, nr_views(region));
		len += snprintf(text + len, size - len, "region %d: %ld, ", i,
				region->mapped);
	}
	for (int i = 0; i < GROUPS; i++)
		len += snprintf(text + len, size - len, "group %d: %s %zu, ", i,
				s.group[i]->user.dead ? "dead" : s.out[i] ? "out" : "alive",
				list_count_nodes(&s.group[i]->holder.attachments));
	EXPECT_EQ(hw_stale(), 0);
	check_attachments();
	/* They count in windows that they had. */
	for (int i = 0; i < GROUPS; i++)
		group_del(s.group[i]);
	for (int k = 0; k < WINDOWS; k++)
		if (s.hw[k])
			__real_iommu_tce_table_put(&s.hw[k]->tbl);
}

const struct explore_suite explore_suite = {
	.ops = ops,
	.nr_ops = ARRAY_SIZE(ops),
	.triples = triples,
	.nr_triples = ARRAY_SIZE(triples),
	.begin = tce_begin,
	.end = tce_end,
	.not_done = H_TOO_HARD,
};
