/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small guest for POWER: a VM with memory at 0, and vCPUs that run in real
 * mode and only make hypercalls for the test.
 */
#ifndef SELFTEST_KVM_PPC64_GUEST_H
#define SELFTEST_KVM_PPC64_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

/* Hypercalls, and what they return (LoPAPR) */
#define H_SUCCESS		0L
#define H_PARAMETER		(-4L)
#define H_GET_TCE		0x1cUL
#define H_PUT_TCE		0x20UL
#define H_STUFF_TCE		0x138UL
#define H_PUT_TCE_INDIRECT	0x13cUL

/*
 * The kernel left the hypercall to user space.  No guest is ever given this
 * value.
 */
#define PPC64_TO_USER		9999L

/* Guest memory: below PPC64_FREE it belongs to the code and the vCPUs. */
#define PPC64_CODE		0x10000UL
#define PPC64_REQUESTS		0x20000UL
#define PPC64_REQUEST_SIZE	0x1000UL
#define PPC64_MAX_VCPUS		16U
#define PPC64_FREE		0x100000UL

/* The code itself, position-independent */
extern const uint8_t ppc64_guest_code[], ppc64_guest_code_end[];

#define PPC64_HCALL_ARGS	8

/*
 * Not a hypercall: store args[2] at the real address args[1].  Each time,
 * args[2] is xored with args[3] and the address advances by step[0].
 */
#define PPC64_STORE		0x76550000UL

struct ppc64_vm {
	int fd;
	uint8_t *memory;
	size_t size;
	unsigned int nr_vcpus;
};

/**
 * struct ppc64_request - what a vCPU is to do, shared with the code in the guest
 * @repeat: how often, at least once
 * @nr: number of the hypercall
 * @args: registers 4 to 11
 * @step: added to registers 5 and 6 each time
 * @ret: register 3 after the last one
 * @out: registers 4 to 7 after the last one
 * @all: register 3 of each, or'ed
 * @ticks: of the timebase, for all of them
 */
struct ppc64_request {
	uint64_t repeat;
	uint64_t nr;
	uint64_t args[PPC64_HCALL_ARGS];
	uint64_t step[2];
	uint64_t ret;
	uint64_t out[4];
	uint64_t all;
	uint64_t ticks;
};

/**
 * struct ppc64_vcpu - a vCPU, for one thread at a time
 * @vm: its VM
 * @fd: of KVM
 * @run: what it shares with KVM
 * @request: in guest memory
 * @answer: what user space returns for a hypercall that the kernel leaves to it
 * @nr_to_user: how many of these the last request had
 */
struct ppc64_vcpu {
	struct ppc64_vm *vm;
	int fd;
	struct kvm_run *run;
	struct ppc64_request *request;
	long answer;
	unsigned long nr_to_user;
};

void ppc64_vm_open(struct ppc64_vm *vm, size_t size);
int __ppc64_vm_slot(struct ppc64_vm *vm, unsigned int slot, uint32_t flags,
		    uint64_t gpa, void *va, size_t size);
void ppc64_vm_slot(struct ppc64_vm *vm, unsigned int slot, uint32_t flags,
		   uint64_t gpa, void *va, size_t size);

void ppc64_vcpu_open(struct ppc64_vcpu *vcpu, struct ppc64_vm *vm);
void ppc64_vcpu_close(struct ppc64_vcpu *vcpu);
/* Lets the guest run what is in vcpu->request. */
void ppc64_vcpu_run(struct ppc64_vcpu *vcpu);
/* Once; PPC64_TO_USER if it was left to user space. */
long ppc64_hcall(struct ppc64_vcpu *vcpu, unsigned long nr, uint64_t arg0,
		 uint64_t arg1, uint64_t arg2, uint64_t arg3);

#endif /* SELFTEST_KVM_PPC64_GUEST_H */
