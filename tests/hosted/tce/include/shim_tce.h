/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the TCE code takes from the rest of the kernel, apart from what vfio.c and
 * external.c need as well.  PAGE_SHIFT is that of the variant.
 */
#ifndef _SHIM_TCE_H
#define _SHIM_TCE_H

#include <linux/cleanup.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>

typedef uint8_t u8;
typedef u64 __be64;

#define noinline		__attribute__((noinline))

#define __force
#define cpu_to_be64(x)		__builtin_bswap64(x)
#define be64_to_cpu(x)		__builtin_bswap64(x)
#define be64_to_cpup(p)		__builtin_bswap64(*(p))
#define OPTIMIZER_HIDE_VAR(x)	((void)0)

#define U64_MAX			UINT64_MAX
#define SZ_4K			0x1000
#define PAGE_SIZE		(1UL << PAGE_SHIFT)
#define PFN_UP(x)		(((x) + PAGE_SIZE - 1) >> PAGE_SHIFT)
#define offset_in_page(x)	((x) & (PAGE_SIZE - 1))

/* For which fake_hw.c looks: that no guess is used before it */
void barrier_nospec(void);

#define smp_load_acquire(ptr) ({					\
	shim_step("smp_load_acquire", ptr);				\
	__atomic_load_n(ptr, __ATOMIC_ACQUIRE);				\
})

#define smp_store_release(ptr, value) ({				\
	shim_step("smp_store_release", ptr);				\
	__atomic_store_n(ptr, value, __ATOMIC_RELEASE);			\
})

#define FW_FEATURE_LPAR		1
extern bool shim_lpar;
#define firmware_has_feature(feature)	(shim_lpar)

#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define BUILD_BUG_ON(x)		_Static_assert(!(x), #x)
#define BUG_ON(x)		SHIM_CHECK(!(x), "BUG_ON(%s)", #x)

#define struct_size_t(type, member, n) \
	(offsetof(type, member) + (n) * sizeof(((type *)0)->member[0]))

/* What depends on the value comes after it: TSan does not know of dependencies. */
#undef READ_ONCE
#define READ_ONCE(x) ({							\
	shim_step("READ_ONCE " #x, &(x));				\
	__atomic_load_n(&(x), __ATOMIC_CONSUME);			\
})

#define cmpxchg(ptr, old, new) ({					\
	shim_step("cmpxchg " #ptr, ptr);				\
	__sync_val_compare_and_swap(ptr, old, new);			\
})

#define xchg(ptr, new) ({						\
	shim_step("xchg " #ptr, ptr);					\
	__atomic_exchange_n(ptr, new, __ATOMIC_SEQ_CST);		\
})

/* Pages: of allocations, and of the host's memory by their number */
struct page {
	void *address;
	int dirty;
	int refs;
	unsigned int shift;
};

struct page *alloc_page(int flags);
void __free_page(struct page *page);
void get_page(struct page *page);
struct page *pfn_to_page(unsigned long pfn);
#define page_address(page)	((page)->address)
#define compound_head(page)	(page)
#define page_shift(page)	((page)->shift)
#define PageDirty(page)		READ_ONCE((page)->dirty)
#define SetPageDirty(page)	WRITE_ONCE((page)->dirty, 1)

typedef int vm_fault_t;
#define VM_FAULT_OOM		1
#define VM_FAULT_SIGBUS		2

struct vm_operations_struct;

struct vm_area_struct {
	struct file *vm_file;
	const struct vm_operations_struct *vm_ops;
};

struct vm_fault {
	struct vm_area_struct *vma;
	unsigned long pgoff;
	struct page *page;
};

struct vm_operations_struct {
	vm_fault_t (*fault)(struct vm_fault *vmf);
};

struct mm_struct {
	long locked_vm;
};

int account_locked_vm(struct mm_struct *mm, unsigned long pages, bool inc);

/* Scheduling */
#define current			NULL
void cond_resched(void);
bool signal_pending(void *task);

/* User space */
unsigned long copy_from_user(void *to, const void __user *from, unsigned long n);

/* Files */
#define THIS_MODULE		(&shim_module)
#define O_CLOEXEC		1
#define O_RDWR			2

extern struct module shim_module;

int get_unused_fd_flags(int flags);
void put_unused_fd(int fd);
void fd_install(int fd, struct file *file);
struct file *anon_inode_getfile(const char *name,
				const struct file_operations *fops, void *priv,
				int flags);

/* KVM */
struct kvm_memory_slot {
	u64 base_gfn;
	unsigned long npages;
	unsigned long userspace_addr;
	u32 flags;
};

#define KVM_MEM_READONLY	2
#define KVM_MEMSLOT_INVALID	(1U << 16)
#define FAKE_SLOTS		8

struct kvm_memslots {
	u64 generation;
	struct kvm_memory_slot slots[FAKE_SLOTS];
};

struct kvm {
	pid_t userspace_pid;
	struct srcu_struct srcu;
	struct mm_struct *mm;
	struct kvm_memslots *memslots[1];
	struct kvm_memslots all_slots;
	struct {
		struct list_head spapr_tce_tables;
	} arch;
	int users_count;
};

struct kvm_vcpu {
	struct kvm *kvm;
	unsigned long gpr4;
};

struct kvm_create_spapr_tce_64 {
	u64 liobn;
	u32 page_shift;
	u32 flags;
	u64 offset;
	u64 size;
};

#define TCES_PER_PAGE		(PAGE_SIZE / sizeof(u64))

struct kvm_memslots *kvm_memslots(struct kvm *kvm);
struct kvm_memory_slot *__gfn_to_memslot(struct kvm_memslots *slots, u64 gfn);
unsigned long __gfn_to_hva_memslot(const struct kvm_memory_slot *slot, u64 gfn);
void kvm_get_kvm(struct kvm *kvm);
void kvm_put_kvm(struct kvm *kvm);
void kvmppc_set_gpr(struct kvm_vcpu *vcpu, int nr, unsigned long value);

int kvm_vm_ioctl_create_spapr_tce(struct kvm *kvm,
				  struct kvm_create_spapr_tce_64 *args);
long kvmppc_h_put_tce(struct kvm_vcpu *vcpu, unsigned long liobn,
		      unsigned long ioba, unsigned long tce);
long kvmppc_h_put_tce_indirect(struct kvm_vcpu *vcpu, unsigned long liobn,
			       unsigned long ioba, unsigned long tce_list,
			       unsigned long npages);
long kvmppc_h_stuff_tce(struct kvm_vcpu *vcpu, unsigned long liobn,
			unsigned long ioba, unsigned long tce_value,
			unsigned long npages);
long kvmppc_h_get_tce(struct kvm_vcpu *vcpu, unsigned long liobn,
		      unsigned long ioba);

#define H_SUCCESS		0
#define H_PARAMETER		(-4)
#define H_TOO_HARD		9999

/* IOMMU */
enum dma_data_direction {
	DMA_BIDIRECTIONAL, DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_NONE
};

#define TCE_PCI_READ		1
#define TCE_PCI_WRITE		2

#define IOMMU_TABLE_GROUP_MAX_TABLES	2
#define IOMMU_PAGE_MASK(tbl)	(~((1 << (tbl)->it_page_shift) - 1))

struct iommu_table;

struct iommu_table_ops {
	int (*xchg_no_kill)(struct iommu_table *tbl, long index,
			    unsigned long *hpa,
			    enum dma_data_direction *direction);
	void (*tce_kill)(struct iommu_table *tbl, unsigned long index,
			 unsigned long pages);
	__be64 *(*useraddrptr)(struct iommu_table *tbl, long index, bool alloc);
	void (*clear)(struct iommu_table *tbl, long index, long nr);
	unsigned long (*get)(struct iommu_table *tbl, long index);
	void (*free)(struct iommu_table *tbl);
};

struct iommu_pool {
	unsigned long hint;
	spinlock_t lock;
};

struct iommu_table {
	unsigned long it_size;
	unsigned long it_indirect_levels;
	unsigned long it_level_size;
	unsigned long it_offset;
	unsigned long it_page_shift;
	__be64 *it_userspace;
	const struct iommu_table_ops *it_ops;
	struct iommu_pool pools[1];
};

struct iommu_group;

/* Only driver/ has them. */
struct iommu_table_group_ops;

struct iommu_table_group {
	struct iommu_table *tables[IOMMU_TABLE_GROUP_MAX_TABLES];
	u64 pgsizes;
	const struct iommu_table_group_ops *ops;
};

void *iommu_group_get_iommudata(struct iommu_group *group);
struct iommu_table *iommu_tce_table_get(struct iommu_table *tbl);
int iommu_tce_table_put(struct iommu_table *tbl);
enum dma_data_direction iommu_tce_direction(unsigned long tce);

static inline void iommu_tce_kill(struct iommu_table *tbl, unsigned long entry,
				  unsigned long pages)
{
	if (tbl->it_ops->tce_kill)
		tbl->it_ops->tce_kill(tbl, entry, pages);
}

/* Preregistered memory */
struct mm_iommu_table_group_mem_t;

struct mm_iommu_table_group_mem_t *mm_iommu_lookup(struct mm_struct *mm,
						   unsigned long ua,
						   unsigned long size);
long mm_iommu_ua_to_hpa(struct mm_iommu_table_group_mem_t *mem, unsigned long ua,
			unsigned int pageshift, unsigned long *hpa);
long mm_iommu_mapped_inc(struct mm_iommu_table_group_mem_t *mem);
void mm_iommu_mapped_dec(struct mm_iommu_table_group_mem_t *mem);

#endif
