// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest's WBINVD costs, and what each KVM_RUN does for it, in ticks of the
 * time stamp counter, which counts instructions in a machine with -icount.
 *
 * Prints lines "STATE WHAT TICKS" for a VM that has no group, holds one, and has let
 * it go: per WBINVD, and per KVM_RUN until the guest leaves to user space by OUT.
 * The cheapest of some rounds counts.  The guest runs in real mode.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vfio_util.h"

#ifdef __x86_64__
#define CODE		0x1000UL
#define EMPTY		0x10		/* of the code */
#define LEAVES		0x20
#define TIMES		64U
#define ROUNDS		16U

static const uint8_t code[] = {
	0x0f, 0x09,			/* 1: wbinvd */
	0xe2, 0xfc,			/* loop 1b */
	0xe6, 0x00,			/* out %al, $0 */
	[EMPTY] = 0x90, 0x90,		/* 1: nop; nop */
	0xe2, 0xfc,			/* loop 1b */
	0xe6, 0x00,			/* out %al, $0 */
	[LEAVES] = 0xe6, 0x00,		/* 1: out %al, $0 */
	0xeb, 0xfc,			/* jmp 1b */
};

static int vm, vcpu;
static struct kvm_run *run;

static int xioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	VFIO_ASSERT(ret >= 0, "ioctl %#lx", request);
	return ret;
}

static void vm_open(void)
{
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = CODE,
		.memory_size = 4096,
	};
	void *memory = vfio_dma_buffer(4096);
	struct kvm_sregs sregs;
	int kvm = kvm_open();

	memcpy(memory, code, sizeof(code));
	slot.userspace_addr = (uintptr_t)memory;
	vm = kvm_vm_open();
	xioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot);
	vcpu = xioctl(vm, KVM_CREATE_VCPU, 0);
	run = mmap(NULL, xioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
		   PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	VFIO_ASSERT(run != MAP_FAILED, "mmap of the vCPU");
	xioctl(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	xioctl(vcpu, KVM_SET_SREGS, &sregs);
}

static void enter_at(unsigned long offset)
{
	struct kvm_regs regs = { .rip = CODE + offset, .rcx = TIMES, .rflags = 2 };

	xioctl(vcpu, KVM_SET_REGS, &regs);
}

static void until_out(void)
{
	xioctl(vcpu, KVM_RUN, 0);
	VFIO_ASSERT(run->exit_reason == KVM_EXIT_IO, "exit %u", run->exit_reason);
}

static uint64_t cheapest(unsigned long offset, unsigned int nr_runs)
{
	uint64_t least = UINT64_MAX, start, ticks;
	unsigned int round, i;

	for (round = 0; round < ROUNDS; round++) {
		enter_at(offset);
		vfio_await_tick();
		start = __builtin_ia32_rdtsc();
		for (i = 0; i < nr_runs; i++)
			until_out();
		ticks = __builtin_ia32_rdtsc() - start;
		if (ticks < least)
			least = ticks;
	}
	return least;
}

static void measure(const char *state)
{
	uint64_t wbinvd = cheapest(0, 1) - cheapest(EMPTY, 1);

	printf("%s wbinvd %llu\n", state, (unsigned long long)wbinvd / TIMES);
	printf("%s run %llu\n", state,
	       (unsigned long long)cheapest(LEAVES, TIMES) / TIMES);
}

int main(void)
{
	struct vfio_test_device device;
	int dev, container, group;

	vfio_test_init(&device, 1, 1);
	vm_open();
	dev = kvm_vfio_create(vm);
	container = vfio_container_open();
	group = vfio_group_open(device.group);
	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);

	measure("never");
	kvm_vfio_add(dev, group);
	measure("held");
	kvm_vfio_del(dev, group);
	measure("gone");
	return 0;
}
#else
int main(void)
{
	ksft_exit_skip("there is no WBINVD on this architecture\n");
}
#endif
