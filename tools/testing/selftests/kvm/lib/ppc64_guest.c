// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small guest for POWER, see include/ppc64_guest.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifdef __powerpc64__
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ppc64_guest.h"
#include "vfio_util.h"

#define ALIGNMENT	(2 * 1024 * 1024UL)

/* 64 bits, machine checks enabled, little endian; in real mode */
#define GUEST_MSR	0x8000000000001001UL

/* Not a hypercall: the guest has finished its request. */
#define GUEST_DONE	0x76540000UL

/*
 * All of the guest's code; register 31 is the address of its request.  KVM and
 * LoPAPR preserve registers 13 to 31 over a hypercall.
 */
asm("	.pushsection .rodata\n"
"	.balign	8\n"
"	.globl	ppc64_guest_code, ppc64_guest_code_end\n"
"ppc64_guest_code:\n"
"1:	ld	30, 0(31)\n"	/* repeat */
"	ld	14, 8(31)\n"	/* nr */
"	ld	15, 16(31)\n"	/* args */
"	ld	16, 24(31)\n"
"	ld	17, 32(31)\n"
"	ld	18, 40(31)\n"
"	ld	19, 48(31)\n"
"	ld	20, 56(31)\n"
"	ld	21, 64(31)\n"
"	ld	22, 72(31)\n"
"	ld	23, 80(31)\n"	/* step */
"	ld	24, 88(31)\n"
"	lis	3, 0x7655\n"	/* PPC64_STORE */
"	cmpd	14, 3\n"
"	beq	3f\n"
"	li	25, 0\n"	/* all */
"	mftb	26\n"
"2:	mr	3, 14\n"
"	mr	4, 15\n"
"	mr	5, 16\n"
"	mr	6, 17\n"
"	mr	7, 18\n"
"	mr	8, 19\n"
"	mr	9, 20\n"
"	mr	10, 21\n"
"	mr	11, 22\n"
"	sc	1\n"
"	or	25, 25, 3\n"
"	add	16, 16, 23\n"
"	add	17, 17, 24\n"
"	addic.	30, 30, -1\n"
"	bne	2b\n"
"	mftb	27\n"
"	subf	27, 26, 27\n"
"	std	3, 96(31)\n"	/* ret */
"	std	4, 104(31)\n"	/* out */
"	std	5, 112(31)\n"
"	std	6, 120(31)\n"
"	std	7, 128(31)\n"
"	std	25, 136(31)\n"	/* all */
"	std	27, 144(31)\n"	/* ticks */
"4:	lis	3, 0x7654\n"	/* GUEST_DONE */
"	sc	1\n"
"	b	1b\n"
"3:	std	17, 0(16)\n"	/* PPC64_STORE */
"	xor	17, 17, 18\n"
"	add	16, 16, 23\n"
"	addic.	30, 30, -1\n"
"	bne	3b\n"
"	b	4b\n"
"ppc64_guest_code_end:\n"
"	.popsection\n");

static_assert(offsetof(struct ppc64_request, args) == 16, "the code knows it");
static_assert(offsetof(struct ppc64_request, step) == 80, "the code knows it");
static_assert(offsetof(struct ppc64_request, ret) == 96, "the code knows it");
static_assert(offsetof(struct ppc64_request, ticks) == 144, "the code knows it");

int __ppc64_vm_slot(struct ppc64_vm *vm, unsigned int slot, uint32_t flags,
		    uint64_t gpa, void *va, size_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)va,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

void ppc64_vm_slot(struct ppc64_vm *vm, unsigned int slot, uint32_t flags,
		   uint64_t gpa, void *va, size_t size)
{
	int ret = __ppc64_vm_slot(vm, slot, flags, gpa, va, size);

	VFIO_ASSERT(!ret, "slot %u: %d", slot, ret);
}

static void enable_hcall(int vm, uint64_t nr)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_PPC_ENABLE_HCALL,
		.args = { nr, 1 },
	};

	VFIO_ASSERT(!ioctl(vm, KVM_ENABLE_CAP, &cap), "enable hypercall %#llx",
		    (unsigned long long)nr);
}

/*
 * Aligned for the largest pages of a table in the tests; the rest stays unused.  It is
 * freed when the process ends, because a device may reach it until then.
 */
static uint8_t *guest_memory(size_t size)
{
	uint8_t *va = mmap(NULL, size + ALIGNMENT, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	VFIO_ASSERT(va != MAP_FAILED, "mmap of %zu bytes", size);
	return (uint8_t *)(((uintptr_t)va + ALIGNMENT - 1) & ~(ALIGNMENT - 1));
}

void ppc64_vm_open(struct ppc64_vm *vm, size_t size)
{
	*vm = (struct ppc64_vm){
		.fd = kvm_vm_open(),
		.memory = guest_memory(size),
		.size = size,
	};
	ppc64_vm_slot(vm, 0, 0, 0, vm->memory, size);
	enable_hcall(vm->fd, H_STUFF_TCE);
	enable_hcall(vm->fd, H_PUT_TCE_INDIRECT);
	memcpy(vm->memory + PPC64_CODE, ppc64_guest_code,
	       ppc64_guest_code_end - ppc64_guest_code);
	__builtin___clear_cache((char *)vm->memory + PPC64_CODE,
				(char *)vm->memory + PPC64_REQUESTS);
}

void ppc64_vcpu_open(struct ppc64_vcpu *vcpu, struct ppc64_vm *vm)
{
	unsigned int id = vm->nr_vcpus++;
	uint64_t request = PPC64_REQUESTS + id * PPC64_REQUEST_SIZE;
	struct kvm_enable_cap cap = { .cap = KVM_CAP_PPC_PAPR };
	struct kvm_regs regs = { .pc = PPC64_CODE, .msr = GUEST_MSR };
	int kvm = kvm_open();
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	close(kvm);
	VFIO_ASSERT(size > 0 && id < PPC64_MAX_VCPUS, "vCPU %u", id);
	vcpu->vm = vm;
	vcpu->answer = H_SUCCESS;
	vcpu->request = (struct ppc64_request *)(vm->memory + request);
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, id);
	VFIO_ASSERT(vcpu->fd >= 0, "KVM_CREATE_VCPU");
	vcpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vcpu->fd, 0);
	VFIO_ASSERT(vcpu->run != MAP_FAILED, "mmap of a vCPU");
	VFIO_ASSERT(!ioctl(vcpu->fd, KVM_ENABLE_CAP, &cap), "KVM_CAP_PPC_PAPR");
	regs.gpr[31] = request;
	VFIO_ASSERT(!ioctl(vcpu->fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

void ppc64_vcpu_close(struct ppc64_vcpu *vcpu)
{
	int kvm = kvm_open();

	munmap(vcpu->run, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	close(kvm);
	close(vcpu->fd);
	vcpu->fd = -1;
}

/*
 * KVM_RUN.  Kernels lose floating-point and vector registers of user space
 * here: if the thread is scheduled out and in again on the way to the guest,
 * its registers are restored too early, and KVM_RUN returns with those of the
 * guest (seen in 6.12: a loop's variable in f31 was 0, once in a few hundred
 * calls on a busy machine).  So all of them are clobbered, for the callers as
 * well.
 */
static int __vcpu_run(int vcpu)
{
	register long r0 asm("r0") = __NR_ioctl;
	register long r3 asm("r3") = vcpu;
	register long r4 asm("r4") = KVM_RUN;
	register long r5 asm("r5") = 0;

	asm volatile("sc\n"
"		bns+	1f\n"
"		neg	3, 3\n"
"1:"
		     : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5)
		     :
		     : "r6", "r7", "r8", "r9", "r10", "r11", "r12", "cr0", "ctr",
		       "xer", "memory",
		       "fr0", "fr1", "fr2", "fr3", "fr4", "fr5", "fr6", "fr7",
		       "fr8", "fr9", "fr10", "fr11", "fr12", "fr13", "fr14", "fr15",
		       "fr16", "fr17", "fr18", "fr19", "fr20", "fr21", "fr22", "fr23",
		       "fr24", "fr25", "fr26", "fr27", "fr28", "fr29", "fr30", "fr31",
		       "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7",
		       "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
		       "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23",
		       "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
	return r3;
}

void ppc64_vcpu_run(struct ppc64_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	int ret;

	vcpu->nr_to_user = 0;
	for (;;) {
		ret = __vcpu_run(vcpu->fd);
		if (ret) {
			VFIO_ASSERT(ret == -EINTR, "KVM_RUN: %d", ret);
			continue;
		}
		VFIO_ASSERT(run->exit_reason == KVM_EXIT_PAPR_HCALL,
			    "the guest left with reason %u", run->exit_reason);
		if (run->papr_hcall.nr == GUEST_DONE)
			break;
		VFIO_ASSERT(run->papr_hcall.nr == vcpu->request->nr,
			    "hypercall %#llx", (unsigned long long)run->papr_hcall.nr);
		vcpu->nr_to_user++;
		run->papr_hcall.ret = vcpu->answer;
	}
}

long ppc64_hcall(struct ppc64_vcpu *vcpu, unsigned long nr, uint64_t arg0,
		 uint64_t arg1, uint64_t arg2, uint64_t arg3)
{
	*vcpu->request = (struct ppc64_request){
		.repeat = 1,
		.nr = nr,
		.args = { arg0, arg1, arg2, arg3 },
	};
	ppc64_vcpu_run(vcpu);
	return vcpu->nr_to_user ? PPC64_TO_USER : (long)vcpu->request->ret;
}
#endif /* __powerpc64__ */
