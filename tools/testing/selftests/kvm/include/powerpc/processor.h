/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guests on ppc64: HV KVM, 64-bit little endian (ELFv2), supervisor state.
 *
 * Addresses.  The program is linked at 1 MiB (LDFLAGS in the Makefile), which is
 * within memslot 0, and its segments are loaded where they are linked: in the
 * guest, an address of the program is virtual and physical at once.  So is what
 * vm_alloc() and its like return, as long as a test takes no physical pages
 * by itself.  Guest code in C therefore runs with translation and without.
 * Below the program are the exception vectors, in page 0, and nothing else.
 *
 * Translation.  If the host can do it, a VM has a radix tree of 64 KiB pages (of
 * 52 bits, but only the low 48 are used) for process 0, and its vCPUs start with
 * MSR[IR] and MSR[DR] set.  vcpu_set_real_mode() starts one in real mode instead,
 * as are all vCPUs of a host with a hash MMU, where no virtual address can have
 * another physical one.  64 KiB pages suit hosts with 4 KiB pages, too.
 *
 * Registers.  At the start r1 is the stack, r3 to r10 the arguments, and r12 the
 * entry point, from which code finds its TOC (r2); SPRG3 is the vCPU's id.  Floating
 * point and vectors are on, external interrupts and the decrementer are off.
 *
 * Exceptions.  Every vector enters exception_entry (handlers.S), which saves
 * the registers on the interrupted code's stack, uses SPRG0 to SPRG2 for that, goes
 * on with its translation, and calls the handler of the vector.  Without one, the
 * guest reports UCALL_UNHANDLED with vector, SRR0, SRR1, DAR and DSISR.
 *
 * Instruction caches of the processors that have HV KVM are coherent: nothing has
 * to be flushed after code is written.
 */
#ifndef SELFTEST_KVM_PROCESSOR_H
#define SELFTEST_KVM_PROCESSOR_H

#include <stdint.h>

#include <linux/bits.h>
#include "kvm_util.h"
#include "ucall_common.h"

/* Machine state register */
#define MSR_LE			BIT(0)	/* little endian */
#define MSR_RI			BIT(1)	/* recoverable interrupt */
#define MSR_DR			BIT(4)	/* data address translation */
#define MSR_IR			BIT(5)	/* instruction address translation */
#define MSR_ME			BIT(12)	/* machine checks */
#define MSR_FP			BIT(13)
#define MSR_VSX			BIT(23)
#define MSR_VEC			BIT(25)
#define MSR_SF			BIT(63)	/* 64 bits */

#define LPCR_ILE		BIT(25)	/* exceptions in little endian */

/* Of the first frame on a stack, where the first function saves LR and CR */
#define STACK_HEADER		32

/* Exception vectors */
#define VECTOR_DATA_STORAGE	0x300
#define VECTOR_INST_STORAGE	0x400
#define VECTOR_ALIGNMENT	0x600
#define VECTOR_PROGRAM		0x700
#define VECTOR_SYSTEM_CALL	0xc00

#define VECTOR_FIRST		0x100
#define VECTOR_STEP		0x20
#define VECTOR_END		0x1000

/* What an exception handler gets, and may change; exception_entry knows it. */
struct ex_regs {
	u64 gpr[32];
	u64 pc;		/* SRR0 */
	u64 msr;		/* SRR1 */
	u64 lr;
	u64 ctr;
	u64 cr;
	u64 xer;
	u64 dar;
	u64 dsisr;
	u64 vector;
};

typedef void (*exception_handler_fn)(struct ex_regs *regs);

/* Of handlers.S: what is at each vector, and what it calls in the end */
extern const char exception_stub[], exception_stub_end[];
void route_exception(struct ex_regs *regs);

/* The ELF header of this program, from the linker */
extern const struct elf64_hdr __ehdr_start;

/* In the guest, @handler is called for @vector; NULL: report it as unhandled. */
void vm_install_exception_handler(struct kvm_vm *vm, unsigned int vector,
				  exception_handler_fn handler);

/* Before the first KVM_RUN: have @vcpu run without address translation. */
void vcpu_set_real_mode(struct kvm_vcpu *vcpu);

/* Registers 4 to 12 of a hypercall, both ways */
#define HCALL_NR_ARGS		9

/* In the guest: returns register 3. */
u64 hcall(u64 nr, u64 args[HCALL_NR_ARGS]);

static inline u64 get_msr(void)
{
	u64 msr;

	asm volatile("mfmsr %0" : "=r" (msr));
	return msr;
}

static inline void cpu_relax(void)
{
	barrier();
}

#endif /* SELFTEST_KVM_PROCESSOR_H */
