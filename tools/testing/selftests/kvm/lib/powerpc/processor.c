// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests on ppc64, see include/powerpc/processor.h.
 */
#include <endian.h>
#include <stddef.h>

#include <linux/elf.h>

#include "kvm_util.h"
#include "processor.h"
#include "sparsebit.h"
#include "ucall_common.h"

#define GUEST_MSR	(MSR_SF | MSR_ME | MSR_RI | MSR_LE | MSR_FP | MSR_VEC | MSR_VSX)
#define MSR_TRANSLATION	(MSR_IR | MSR_DR)

/*
 * Radix trees (Power ISA 3.0, book III, 6.7): big endian, tables as large as their
 * entries and aligned to that.
 */
#define ENTRY_VALID	BIT(63)
#define ENTRY_LEAF	BIT(62)
#define ENTRY_ADDRESS	0x01ffffffffffff00UL	/* of a table */
#define PAGE_ADDRESS	0x01fffffffffff000UL	/* of a page, in a leaf */
#define LEAF_REFERENCED	BIT(8)
#define LEAF_CHANGED	BIT(7)
#define LEAF_PRIVILEGED	BIT(3)
#define LEAF_RWX	0x7UL
#define LEAF_FLAGS	(ENTRY_VALID | ENTRY_LEAF | LEAF_REFERENCED | \
			 LEAF_CHANGED | LEAF_PRIVILEGED | LEAF_RWX)

/* The size of a tree is 31 bits more than these two fields say: 52. */
#define TREE_52_BITS	((0x2UL << 61) | (0x5UL << 5))

/* In a partition table entry: its tree and its processes' are radix trees */
#define PARTITION_RADIX	BIT(63)
#define PROCESS_TABLE_SIZE	4096UL		/* the smallest */

/* From the root on: which bits of an address index a table */
static const struct {
	unsigned int shift;
	unsigned int bits;
} levels[] = {
	{ 39, 13 }, { 30, 9 }, { 21, 9 }, { 16, 5 },
};

#define ROOT	0
#define LEAF	(ARRAY_SIZE(levels) - 1)

static size_t table_size(unsigned int level)
{
	return sizeof(u64) << levels[level].bits;
}

/* In the guest, where it is filled in. */
static exception_handler_fn exception_handlers[VECTOR_END / VECTOR_STEP];

static const struct elf64_phdr *program_headers(void)
{
	return (const void *)&__ehdr_start + __ehdr_start.e_phoff;
}

/* The next segment that is loaded: @i counts all headers. */
static const struct elf64_phdr *next_segment(unsigned int *i)
{
	while (*i < __ehdr_start.e_phnum) {
		const struct elf64_phdr *header = program_headers() + (*i)++;

		if (header->p_type == PT_LOAD)
			return header;
	}
	return NULL;
}

/*
 * No virtual addresses below the program: the physical ones there are used
 * otherwise.
 */
void vm_populate_gva_bitmap(struct kvm_vm *vm)
{
	unsigned int i = 0;
	u64 first = next_segment(&i)->p_vaddr >> vm->page_shift;

	sparsebit_set_num(vm->vpages_valid, first,
			  (1UL << (vm->va_bits - vm->page_shift)) - first);
}

/*
 * Allocate everything below the program and between its segments, so that the
 * first free page is always the one at which the next segment is linked.
 */
static gpa_t reserve_around_program(struct kvm_vm *vm)
{
	struct userspace_mem_region *region = vm_get_mem_region(vm, MEM_REGION_CODE);
	u64 page = region->region.guest_phys_addr >> vm->page_shift;
	u64 end = page + (region->region.memory_size >> vm->page_shift);
	const struct elf64_phdr *seg;
	unsigned int i = 0;

	while ((seg = next_segment(&i))) {
		u64 first = seg->p_vaddr >> vm->page_shift;
		u64 last = (seg->p_vaddr + seg->p_memsz - 1) >> vm->page_shift;

		TEST_ASSERT(first >= page && first > 0 && last < end,
			    "Segment 0x%lx to 0x%lx is not in memslot %u, see LDFLAGS in the Makefile",
			    first << vm->page_shift, last << vm->page_shift,
			    region->region.slot);
		if (first > page) {
			sparsebit_clear_num(region->unused_phy_pages, page, first - page);
			sparsebit_set_num(vm->vpages_mapped, page, first - page);
		}
		page = last + 1;
	}
	return page << vm->page_shift;
}

/* @size is a power of two, and at most a page. */
static gpa_t alloc_table(struct kvm_vm *vm, size_t size)
{
	struct kvm_vm_arch *arch = &vm->arch;
	gpa_t table = (arch->table_next + size - 1) & ~(size - 1);

	if (table + size > arch->table_end) {
		table = vm_phy_page_alloc(vm, arch->image_end,
					  vm->memslots[MEM_REGION_PT]);
		arch->table_end = table + vm->page_size;
		/*
		 * Otherwise the next virtual address would differ from the
		 * physical one.
		 */
		sparsebit_set(vm->vpages_mapped, table >> vm->page_shift);
	}
	arch->table_next = table + size;
	memset(addr_gpa2hva(vm, table), 0, size);
	return table;
}

static void radix_init(struct kvm_vm *vm)
{
	struct kvm_ppc_mmuv3_cfg cfg = { .flags = KVM_PPC_MMUV3_RADIX };
	gpa_t processes;
	u64 *process;

	vm->mmu.pgd = alloc_table(vm, table_size(ROOT));
	processes = alloc_table(vm, PROCESS_TABLE_SIZE);
	process = addr_gpa2hva(vm, processes);
	process[0] = htobe64(vm->mmu.pgd | TREE_52_BITS | levels[ROOT].bits);
	cfg.process_table = processes | PARTITION_RADIX;
	vm_ioctl(vm, KVM_PPC_CONFIGURE_V3_MMU, &cfg);
}

void virt_arch_pgd_alloc(struct kvm_vm *vm)
{
	TEST_ASSERT(vm->page_shift == levels[LEAF].shift,
		    "Unsupported page size: 0x%x", vm->page_size);

	if (vm->mmu.pgd_created)
		return;

	vm->arch.image_end = reserve_around_program(vm);
	vm->arch.radix = vm_check_cap(vm, KVM_CAP_PPC_MMU_RADIX);
	if (vm->arch.radix)
		radix_init(vm);
	vm->mmu.pgd_created = true;
}

static u64 *table_entry(struct kvm_vm *vm, gpa_t table, unsigned int level,
			gva_t gva)
{
	u64 index = (gva >> levels[level].shift) & ((1UL << levels[level].bits) - 1);

	return (u64 *)addr_gpa2hva(vm, table) + index;
}

/* The leaf entry of @gva; if a table on the way is missing, NULL or a new one. */
static u64 *leaf_entry(struct kvm_vm *vm, gva_t gva, bool alloc)
{
	gpa_t table = vm->mmu.pgd;
	unsigned int level;

	for (level = ROOT; level < LEAF; level++) {
		u64 *entry = table_entry(vm, table, level, gva);

		if (*entry) {
			table = be64toh(*entry) & ENTRY_ADDRESS;
			continue;
		}
		if (!alloc)
			return NULL;
		table = alloc_table(vm, table_size(level + 1));
		*entry = htobe64(ENTRY_VALID | table | levels[level + 1].bits);
	}
	return table_entry(vm, table, level, gva);
}

void virt_arch_pg_map(struct kvm_vm *vm, gva_t gva, gpa_t gpa)
{
	u64 *entry;

	TEST_ASSERT(!(gva % vm->page_size) && !(gpa % vm->page_size),
		    "Not on a page boundary: gva 0x%lx, gpa 0x%lx", gva, gpa);
	TEST_ASSERT(sparsebit_is_set(vm->vpages_valid, gva >> vm->page_shift),
		    "Invalid virtual address, gva: 0x%lx", gva);
	TEST_ASSERT((gpa >> vm->page_shift) <= vm->max_gfn,
		    "Physical address beyond maximum supported, gpa: 0x%lx", gpa);

	if (!vm->arch.radix) {
		TEST_ASSERT(gva == gpa,
			    "No translation in real mode: gva 0x%lx, gpa 0x%lx",
			    gva, gpa);
		return;
	}
	entry = leaf_entry(vm, gva, true);
	TEST_ASSERT(!*entry, "gva 0x%lx is mapped already", gva);
	*entry = htobe64(gpa | LEAF_FLAGS);
}

gpa_t addr_arch_gva2gpa(struct kvm_vm *vm, gva_t gva)
{
	u64 *entry;

	if (!vm->arch.radix)
		return gva;

	entry = leaf_entry(vm, gva, false);
	TEST_ASSERT(entry && *entry, "No mapping for vm virtual address 0x%lx", gva);
	return (be64toh(*entry) & PAGE_ADDRESS) | (gva & (vm->page_size - 1));
}

static void table_dump(FILE *stream, struct kvm_vm *vm, u8 indent,
		       gpa_t table, unsigned int level, gva_t gva)
{
	u64 *entries = addr_gpa2hva(vm, table);
	unsigned int i;

	for (i = 0; i < 1U << levels[level].bits; i++, gva += 1UL << levels[level].shift) {
		u64 entry = be64toh(entries[i]);

		if (!entry)
			continue;
		fprintf(stream, "%*sgva 0x%lx: 0x%016lx\n", indent, "", gva, entry);
		if (!(entry & ENTRY_LEAF))
			table_dump(stream, vm, indent + 2, entry & ENTRY_ADDRESS,
				   level + 1, gva);
	}
}

void virt_arch_dump(FILE *stream, struct kvm_vm *vm, u8 indent)
{
	if (vm->mmu.pgd_created && vm->arch.radix)
		table_dump(stream, vm, indent, vm->mmu.pgd, ROOT, 0);
}

void vcpu_arch_set_entry_point(struct kvm_vcpu *vcpu, void *guest_code)
{
	struct kvm_regs regs;

	vcpu_regs_get(vcpu, &regs);
	regs.pc = (uintptr_t)guest_code;
	regs.gpr[12] = (uintptr_t)guest_code;
	vcpu_regs_set(vcpu, &regs);
}

struct kvm_vcpu *vm_arch_vcpu_add(struct kvm_vm *vm, u32 vcpu_id)
{
	size_t stack_size = align_up(DEFAULT_STACK_PGS * MIN_PAGE_SIZE, vm->page_size);
	gva_t stack = __vm_alloc(vm, stack_size, KVM_UTIL_MIN_VADDR,
				 MEM_REGION_DATA);
	struct kvm_vcpu *vcpu = __vm_vcpu_add(vm, vcpu_id);
	struct kvm_regs regs = {
		.msr = GUEST_MSR | (vm->arch.radix ? MSR_TRANSLATION : 0),
		.sprg3 = vcpu_id,
	};
	u64 lpcr;

	vcpu_enable_cap(vcpu, KVM_CAP_PPC_PAPR, 0);
	lpcr = vcpu_get_reg(vcpu, KVM_REG_PPC_LPCR_64);
	vcpu_set_reg(vcpu, KVM_REG_PPC_LPCR_64, lpcr | LPCR_ILE);

	regs.gpr[1] = stack + stack_size - STACK_HEADER;
	vcpu_regs_set(vcpu, &regs);
	return vcpu;
}

void vcpu_set_real_mode(struct kvm_vcpu *vcpu)
{
	struct kvm_regs regs;

	vcpu_regs_get(vcpu, &regs);
	TEST_ASSERT(addr_gva2gpa(vcpu->vm, regs.gpr[1]) == regs.gpr[1],
		    "The stack is at another physical address than 0x%llx", regs.gpr[1]);
	regs.msr &= ~MSR_TRANSLATION;
	vcpu_regs_set(vcpu, &regs);
}

void vcpu_args_set(struct kvm_vcpu *vcpu, unsigned int num, ...)
{
	struct kvm_regs regs;
	unsigned int i;
	va_list ap;

	TEST_ASSERT(num >= 1 && num <= 8, "Unsupported number of args: %u", num);

	vcpu_regs_get(vcpu, &regs);
	va_start(ap, num);
	for (i = 0; i < num; i++)
		regs.gpr[3 + i] = va_arg(ap, u64);
	va_end(ap);
	vcpu_regs_set(vcpu, &regs);
}

void vcpu_arch_dump(FILE *stream, struct kvm_vcpu *vcpu, u8 indent)
{
	struct kvm_regs regs;
	unsigned int i;

	vcpu_regs_get(vcpu, &regs);
	fprintf(stream, "%*spc 0x%016llx msr 0x%016llx lr 0x%016llx ctr 0x%016llx\n",
		indent, "", regs.pc, regs.msr, regs.lr, regs.ctr);
	fprintf(stream, "%*ssrr0 0x%016llx srr1 0x%016llx cr 0x%08llx xer 0x%08llx\n",
		indent, "", regs.srr0, regs.srr1, regs.cr, regs.xer);
	for (i = 0; i < ARRAY_SIZE(regs.gpr); i += 4)
		fprintf(stream, "%*sr%-2u 0x%016llx 0x%016llx 0x%016llx 0x%016llx\n",
			indent, "", i, regs.gpr[i], regs.gpr[i + 1],
			regs.gpr[i + 2], regs.gpr[i + 3]);
}

void kvm_arch_vm_post_create(struct kvm_vm *vm, unsigned int nr_vcpus)
{
	char *page0 = addr_gpa2hva(vm, 0);
	unsigned int vector;

	/* With KVM PR, vCPUs are something else. */
	TEST_REQUIRE(vm_check_cap(vm, KVM_CAP_PPC_HTAB_FD));

	for (vector = VECTOR_FIRST; vector < VECTOR_END; vector += VECTOR_STEP)
		memcpy(page0 + vector, exception_stub, exception_stub_end - exception_stub);
}

void vm_install_exception_handler(struct kvm_vm *vm, unsigned int vector,
				  exception_handler_fn handler)
{
	TEST_ASSERT(vector >= VECTOR_FIRST && vector < VECTOR_END &&
		    !(vector % VECTOR_STEP), "No vector: 0x%x", vector);
	write_guest_global(vm, exception_handlers[vector / VECTOR_STEP], handler);
}

/* In the guest, called by exception_entry */
void route_exception(struct ex_regs *regs)
{
	exception_handler_fn handler = exception_handlers[regs->vector / VECTOR_STEP];

	if (handler) {
		handler(regs);
		return;
	}
	for (;;)
		ucall(UCALL_UNHANDLED, 5, regs->vector, regs->pc, regs->msr,
		      regs->dar, regs->dsisr);
}

void assert_on_unhandled_exception(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	if (get_ucall(vcpu, &uc) != UCALL_UNHANDLED)
		return;
	TEST_FAIL("Unexpected exception 0x%lx (srr0 0x%lx, srr1 0x%lx, dar 0x%lx, dsisr 0x%lx)",
		  uc.args[0], uc.args[1], uc.args[2], uc.args[3], uc.args[4]);
}

u32 guest_get_vcpuid(void)
{
	u64 id;

	asm("mfsprg %0, 3" : "=r" (id));
	return id;
}

u64 hcall(u64 nr, u64 args[HCALL_NR_ARGS])
{
	register u64 r3 asm("r3") = nr;
	register u64 r4 asm("r4") = args[0];
	register u64 r5 asm("r5") = args[1];
	register u64 r6 asm("r6") = args[2];
	register u64 r7 asm("r7") = args[3];
	register u64 r8 asm("r8") = args[4];
	register u64 r9 asm("r9") = args[5];
	register u64 r10 asm("r10") = args[6];
	register u64 r11 asm("r11") = args[7];
	register u64 r12 asm("r12") = args[8];

	asm volatile("sc 1"
		     : "+r" (r3), "+r" (r4), "+r" (r5), "+r" (r6), "+r" (r7),
		       "+r" (r8), "+r" (r9), "+r" (r10), "+r" (r11), "+r" (r12)
		     :: "r0", "lr", "ctr", "xer", "cr0", "cr1", "cr5", "cr6",
		       "cr7", "memory");
	args[0] = r4;
	args[1] = r5;
	args[2] = r6;
	args[3] = r7;
	args[4] = r8;
	args[5] = r9;
	args[6] = r10;
	args[7] = r11;
	args[8] = r12;
	return r3;
}

/* exception_entry knows them. */
kvm_static_assert(offsetof(struct ex_regs, pc) == 256);
kvm_static_assert(offsetof(struct ex_regs, vector) == 320);
kvm_static_assert(sizeof(struct ex_regs) <= 336);
