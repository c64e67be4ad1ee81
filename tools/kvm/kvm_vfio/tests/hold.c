// SPDX-License-Identifier: GPL-2.0-only
/*
 * hold BDF: has the device's group held by KVM, the device open, and on POWER a TCE
 * table attached, and a hypercall left to user space; until there is no more input.
 * Says "holding PID-FD" before, FD is that of the KVM-VFIO device.
 *
 * hold BDF mapped: the same, but closes all that and keeps a mapping of the device.
 *
 * hold BDF sent: the same, but keeps the group's file in flight only, sent over a socket
 * and not received.
 *
 * hold BDF inherited: another process does all that, sends the KVM-VFIO device here, and
 * ends.  Says "holding PID-FD MAKER" then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vfio_tce.h"
#include "vfio_util.h"

#define SHIFT		12
#define ENTRIES		16384UL
#define LIOBN		0x80000000UL
#define MEMORY		PPC64_FREE
#define NOWHERE		0x10000000000UL /* in no memory slot */

#ifdef __KVM_HAVE_SPAPR_TCE
/* A hypercall of the guest that KVM leaves to user space */
static void leave(int fd, void *memory)
{
	struct ppc64_vm vm = { .fd = fd, .memory = memory, .size = MEMORY };
	struct ppc64_vcpu vcpu;

	memcpy(vm.memory + PPC64_CODE, ppc64_guest_code,
	       ppc64_guest_code_end - ppc64_guest_code);
	__builtin___clear_cache((char *)vm.memory + PPC64_CODE,
				(char *)vm.memory + PPC64_REQUESTS);
	ppc64_vm_slot(&vm, 0, 0, 0, memory, MEMORY);
	ppc64_vcpu_open(&vcpu, &vm);
	VFIO_ASSERT(h_put_tce(&vcpu, LIOBN, 0, NOWHERE | TCE_RW) == PPC64_TO_USER,
		    "KVM answers it");
	ppc64_vcpu_close(&vcpu);
}

static void attach(const struct vmm *vmm)
{
	int container = vmm->fd[VMM_CONTAINER], table;
	void *memory = vfio_dma_buffer(MEMORY);

	VFIO_ASSERT(!__vfio_memory_register(container, memory, MEMORY), "register");
	tce_window_drop_default(container);
	tce_window_create(container, SHIFT, ENTRIES << SHIFT);
	table = tce_table(vmm->fd[VMM_VM], LIOBN, SHIFT, 0, ENTRIES);
	VFIO_ASSERT(!__kvm_vfio_set_spapr_tce(vmm->fd[VMM_KVM_VFIO],
					      vmm->fd[VMM_GROUP], table), "attach");
	leave(vmm->fd[VMM_VM], memory);
}
#else
static void attach(const struct vmm *vmm)
{
}
#endif

static void start(struct vmm *vmm, const struct vfio_test_device *device)
{
	vmm_open(vmm, device, true);
	attach(vmm);
}

/* The first region that can be mapped */
static void map(int device)
{
	struct vfio_region_info info = { .argsz = sizeof(info) };

	for (; info.index < VFIO_PCI_CONFIG_REGION_INDEX; info.index++) {
		VFIO_ASSERT(!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info), "region info");
		if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP))
			continue;
		VFIO_ASSERT(mmap(NULL, info.size, PROT_READ, MAP_SHARED, device, info.offset) !=
			    MAP_FAILED, "mmap of region %u", info.index);
		return;
	}
	VFIO_ASSERT(false, "no region can be mapped");
}

/* The sockets stay open. */
static void send_file(int fd)
{
	int sockets[2];

	VFIO_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), "socketpair");
	send_fd(sockets[0], fd);
}

static pid_t inherit(struct vmm *vmm, const struct vfio_test_device *device)
{
	int sockets[2], status, i;
	pid_t maker;

	VFIO_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), "socketpair");
	maker = fork();
	VFIO_ASSERT(maker >= 0, "fork");
	if (!maker) {
		start(vmm, device);
		send_fd(sockets[0], vmm->fd[VMM_KVM_VFIO]);
		_exit(0);
	}
	VFIO_ASSERT(waitpid(maker, &status, 0) == maker && !status, "the maker failed");
	for (i = 0; i < VMM_NR_FDS; i++)
		vmm->fd[i] = -1;
	vmm->fd[VMM_KVM_VFIO] = receive_fd(sockets[1]);
	return maker;
}

int main(int argc, char **argv)
{
	const char *how = argc == 3 ? argv[2] : "";
	bool mapped = !strcmp(how, "mapped"), sent = !strcmp(how, "sent");
	bool inherited = !strcmp(how, "inherited");
	struct vfio_test_device device;
	struct vmm vmm;
	char target[256];

	if (argc != 2 && !mapped && !sent && !inherited)
		return 2;
	snprintf(device.bdf, sizeof(device.bdf), "%s", argv[1]);
	vfio_bind(device.bdf);
	VFIO_ASSERT(!__pci_link(device.bdf, "iommu_group", target, sizeof(target)),
		    "%s has no IOMMU group", device.bdf);
	device.group = atoi(target);
	if (inherited) {
		pid_t maker = inherit(&vmm, &device);

		printf("holding %d-%d %d\n", getpid(), vmm.fd[VMM_KVM_VFIO], maker);
	} else {
		start(&vmm, &device);
		if (mapped)
			map(vmm.fd[VMM_DEVICE]);
		if (sent)
			send_file(vmm.fd[VMM_GROUP]);
		if (mapped || sent)
			vmm_close(&vmm);
		printf("holding %d-%d\n", getpid(), vmm.fd[VMM_KVM_VFIO]);
	}
	fflush(stdout);
	while (getchar() != EOF)
		;
	/* The KVM-VFIO device before the table: the end of a process has no order. */
	vmm_close(&vmm);
	return 0;
}
