// SPDX-License-Identifier: GPL-2.0-only
/* Groups, VMs, files, user memory */
#include <stdlib.h>
#include <string.h>

#include <linux/fault.h>
#include <linux/file.h>

#include "fake.h"

struct hw_counts hw_counts;
struct module shim_module = { .name = "kvm" };

/* Groups */

#define FAKE_GROUPS	64

static struct iommu_group *groups[FAKE_GROUPS];

struct iommu_group *group_new(int preregistered)
{
	struct iommu_group *group = calloc(1, sizeof(*group));
	int i = 0;

	group->data = calloc(1, sizeof(*group->data));
	group->user.preregistered = preregistered;
	kvm_spapr_tce_init_holder(&group->holder, &group->user, NULL);
	while (groups[i])
		i++;
	group->user.group = i;
	groups[i] = group;
	return group;
}

void *iommu_group_get_iommudata(struct iommu_group *group)
{
	return group->data;
}

void group_set_window(struct iommu_group *group, int nr, struct hw *hw)
{
	shim_step("changes a slot", group);
	if (!group->data)
		group->data = calloc(1, sizeof(*group->data));
	__atomic_store_n(&group->data->tables[nr], hw ? &hw->tbl : NULL,
			 __ATOMIC_RELEASE);
}

void hw_remove(struct hw *hw, struct iommu_group **from, int nr)
{
	hw_close(hw);
	for (int i = 0; i < nr; i++)
		for (int slot = 0; slot < IOMMU_TABLE_GROUP_MAX_TABLES; slot++)
			if (from[i]->data &&
			    from[i]->data->tables[slot] == &hw->tbl)
				group_set_window(from[i], slot, NULL);
	synchronize_rcu();
	iommu_tce_table_put(&hw->tbl);
}

void group_revoke(struct iommu_group *group)
{
	struct iommu_table **tables = group->data->tables;

	WRITE_ONCE(group->user.dead, true);
	synchronize_rcu();
	for (int i = 0; i < IOMMU_TABLE_GROUP_MAX_TABLES; i++) {
		if (!tables[i])
			continue;
		group->counted_dead[i] = container_of(tables[i], struct hw, tbl);
		__atomic_add_fetch(&group->counted_dead[i]->forbidden, 1,
				   __ATOMIC_ACQ_REL);
		group_set_window(group, i, NULL);
	}
	/* The device may be unplugged, and its PE with it. */
	free(group->data);
	group->data = NULL;
}

int group_add(struct kvm *kvm, struct iommu_group *group)
{
	EXPECT(!group->holder.kvm);
	kvm_spapr_tce_init_holder(&group->holder, &group->user, kvm);
	return kvm_spapr_tce_join(group, &group->holder);
}

/* DEL, after which other groups may go on */
void group_del(struct iommu_group *group)
{
	for (int i = 0; i < IOMMU_TABLE_GROUP_MAX_TABLES; i++)
		if (group->counted_dead[i])
			__atomic_sub_fetch(&group->counted_dead[i]->forbidden, 1,
					   __ATOMIC_ACQ_REL);
	memset(group->counted_dead, 0, sizeof(group->counted_dead));
	kvm_spapr_tce_detach(&group->holder);
	EXPECT(list_empty(&group->holder.attachments));
	group->holder.kvm = NULL;
}

/* VMs */

static struct mm_struct mm;
static struct kvm *vms[4];

struct kvm *vm_new(void)
{
	struct kvm *kvm = calloc(1, sizeof(*kvm));
	int i = 0;

	kvm->memslots[0] = &kvm->all_slots;
	kvm->mm = &mm;
	INIT_LIST_HEAD(&kvm->arch.spapr_tce_tables);
	kvm->users_count = 1;
	while (vms[i])
		i++;
	kvm->userspace_pid = 1001 + i;
	vms[i] = kvm;
	return kvm;
}

void kvm_get_kvm(struct kvm *kvm)
{
	shim_step("kvm_get_kvm", kvm);
	__atomic_add_fetch(&kvm->users_count, 1, __ATOMIC_ACQ_REL);
}

void kvm_put_kvm(struct kvm *kvm)
{
	shim_step("kvm_put_kvm", kvm);
	if (__atomic_sub_fetch(&kvm->users_count, 1, __ATOMIC_ACQ_REL) < 1)
		SHIM_FAIL("the VM is put too often");
}

/* As ours has it */
static void kvm_arch_flush_shadow_memslot(void)
{
	synchronize_rcu_expedited();
}

void vm_slot(struct kvm *kvm, int nr, u64 gpa, u64 size, unsigned long ua, u32 flags)
{
	struct kvm_memslots *slots = kvm->memslots[0];

	/* What was there is invalid first; then the fast path is over that saw it. */
	slots->slots[nr].flags |= KVM_MEMSLOT_INVALID;
	WRITE_ONCE(slots->generation, slots->generation + 1);
	synchronize_srcu(&kvm->srcu);
	kvm_arch_flush_shadow_memslot();
	slots->slots[nr] = (struct kvm_memory_slot) {
		.base_gfn = gpa >> PAGE_SHIFT,
		.npages = size >> PAGE_SHIFT,
		.userspace_addr = ua,
		.flags = flags,
	};
	WRITE_ONCE(slots->generation, slots->generation + 1);
}

static void need_srcu(const char *what)
{
	bool held = false;

	for (size_t i = 0; i < ARRAY_SIZE(vms); i++)
		held |= vms[i] && shim_srcu_held(&vms[i]->srcu);
	if (!held)
		SHIM_FAIL("%s without kvm->srcu", what);
}

struct kvm_memslots *kvm_memslots(struct kvm *kvm)
{
	if (!shim_srcu_held(&kvm->srcu))
		SHIM_FAIL("memory slots are used without kvm->srcu");
	return kvm->memslots[0];
}

struct kvm_memory_slot *__gfn_to_memslot(struct kvm_memslots *slots, u64 gfn)
{
	need_srcu(__func__);
	for (int i = 0; i < FAKE_SLOTS; i++)
		if (gfn >= slots->slots[i].base_gfn &&
		    gfn - slots->slots[i].base_gfn < slots->slots[i].npages)
			return &slots->slots[i];
	return NULL;
}

unsigned long __gfn_to_hva_memslot(const struct kvm_memory_slot *slot, u64 gfn)
{
	need_srcu(__func__);
	return slot->userspace_addr + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

void (*vcpu_before_result)(void);

void kvmppc_set_gpr(struct kvm_vcpu *vcpu, int nr, unsigned long value)
{
	EXPECT_EQ(nr, 4);
	log_event('g');
	if (vcpu_before_result)
		vcpu_before_result();
	vcpu->gpr4 = value;
}

int vm_table(struct kvm *kvm, u64 liobn, unsigned int shift, u64 bus, u64 entries)
{
	struct kvm_create_spapr_tce_64 args = {
		.liobn = liobn,
		.page_shift = shift,
		.offset = bus >> shift,
		.size = entries,
	};
	int ret = kvm_vm_ioctl_create_spapr_tce(kvm, &args);

	shim_return_to_user();
	return ret;
}

int vm_attach(struct kvm *kvm, struct iommu_group *group, int table)
{
	struct file *file = shim_fd(table);
	int ret = group->holder.kvm ? 0 : group_add(kvm, group);

	if (!ret)
		ret = kvm_spapr_tce_attach(file, &group->holder);
	fput(file);
	shim_return_to_user();
	return ret;
}

int account_locked_vm(struct mm_struct *from, unsigned long pages, bool inc)
{
	if (inc && shim_fault("account_locked_vm"))
		return -ENOMEM;
	__atomic_add_fetch(&from->locked_vm, inc ? pages : -pages, __ATOMIC_ACQ_REL);
	return 0;
}

void (*vcpu_between_pieces)(void);

void cond_resched(void)
{
	shim_might_sleep("cond_resched");
	if (vcpu_between_pieces)
		vcpu_between_pieces();
}

bool signal_pending(void *task)
{
	return shim_fault("signal");
}

/* User memory */

static unsigned long list_ua;
static u64 list[1024];
static unsigned int list_nr;

void user_list(unsigned long ua, const u64 *from, unsigned int nr)
{
	list_ua = ua;
	list_nr = nr;
	for (unsigned int i = 0; i < nr; i++)
		list[i] = cpu_to_be64(from[i]);
}

unsigned long copy_from_user(void *to, const void __user *from, unsigned long n)
{
	unsigned long at = (unsigned long)from;

	shim_might_sleep("copy_from_user");
	for (size_t i = 0; i < ARRAY_SIZE(vms); i++)
		if (vms[i] && shim_srcu_held(&vms[i]->srcu))
			SHIM_FAIL("user space can hold up who waits for kvm->srcu");
	hw_counts.fetches++;
	hw_counts.fetched += n;
	if (shim_fault("copy_from_user") || at < list_ua ||
	    at + n > list_ua + list_nr * sizeof(u64))
		return n;
	memcpy(to, (char *)list + (at - list_ua), n);
	memset((char *)list + (at - list_ua), 0xff, n);
	return 0;
}

/* Pages and files */

struct page *alloc_page(int flags)
{
	struct page *page;

	shim_step("alloc_page", NULL);
	shim_might_sleep("alloc_page");
	if (shim_at_allocation)
		shim_at_allocation();
	if (shim_fault("alloc_page"))
		return NULL;
	page = calloc(1, sizeof(*page));
	page->address = calloc(1, PAGE_SIZE);
	page->refs = 1;
	__atomic_add_fetch(&hw_counts.tce_pages, 1, __ATOMIC_ACQ_REL);
	return page;
}

void get_page(struct page *page)
{
	shim_step("get_page", page);
	page->refs++;
}

void __free_page(struct page *page)
{
	shim_step("__free_page", page);
	if (--page->refs)
		return;
	free(page->address);
	free(page);
	__atomic_sub_fetch(&hw_counts.tce_pages, 1, __ATOMIC_ACQ_REL);
}

int get_unused_fd_flags(int flags)
{
	return shim_fault("get_unused_fd_flags") ? -EMFILE : shim_reserve();
}

void put_unused_fd(int fd)
{
	shim_install_at(fd, NULL);
}

void fd_install(int fd, struct file *file)
{
	shim_install_at(fd, file);
}

struct file *anon_inode_getfile(const char *name,
				const struct file_operations *fops, void *priv,
				int flags)
{
	if (shim_fault("anon_inode_getfile"))
		return ERR_PTR(-ENFILE);
	return shim_file(fops, priv);
}

void hw_end(void);

void fake_end(void)
{
	shim_fault_disarm();
	shim_at_allocation = NULL;
	hw_before_exchange = NULL;
	shim_lpar = false;
	vcpu_before_result = NULL;
	vcpu_between_pieces = NULL;
	for (int fd = 0; fd < shim_fds(); fd++)
		shim_close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		if (groups[i]) {
			group_del(groups[i]);
			free(groups[i]->data);
		}
		free(groups[i]);
		groups[i] = NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(vms); i++) {
		if (vms[i])
			EXPECT_EQ(vms[i]->users_count, 1);
		free(vms[i]);
		vms[i] = NULL;
	}
	hw_end();
	list_nr = 0;

	EXPECT_EQ(shim_live_objects(), 0);
	EXPECT_EQ(shim_live_files(), 0);
	EXPECT_EQ(shim_module.refs, 0);
	EXPECT_EQ(mm.locked_vm, 0);
	EXPECT_EQ(hw_counts.tce_pages, 0);
	EXPECT_EQ(hw_counts.tables, 0);
	memset(&hw_counts, 0, sizeof(hw_counts));
}
