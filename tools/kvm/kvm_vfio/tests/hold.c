// SPDX-License-Identifier: GPL-2.0-only
/*
 * hold BDF: has the device's group held by KVM, the device open, and on POWER a TCE
 * table attached, until there is no more input.  Says "holding PID-FD" before.
 *
 * hold BDF mapped: the same, but closes all that and keeps a mapping of the device.
 *
 * hold BDF sent: the same, but keeps the group's file in flight only, sent over a socket
 * and not received.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vfio_tce.h"
#include "vfio_util.h"

#define SHIFT		12
#define ENTRIES		16384UL
#define LIOBN		0x80000000UL
#define MEMORY		0x100000UL

#ifdef __KVM_HAVE_SPAPR_TCE
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
}
#else
static void attach(const struct vmm *vmm)
{
}
#endif

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

int main(int argc, char **argv)
{
	bool mapped = argc == 3 && !strcmp(argv[2], "mapped");
	bool sent = argc == 3 && !strcmp(argv[2], "sent");
	struct vfio_test_device device;
	struct vmm vmm;
	char target[256];

	if (argc != 2 && !mapped && !sent)
		return 2;
	snprintf(device.bdf, sizeof(device.bdf), "%s", argv[1]);
	vfio_bind(device.bdf);
	VFIO_ASSERT(!__pci_link(device.bdf, "iommu_group", target, sizeof(target)),
		    "%s has no IOMMU group", device.bdf);
	device.group = atoi(target);
	vmm_open(&vmm, &device, true);
	attach(&vmm);
	if (mapped)
		map(vmm.fd[VMM_DEVICE]);
	if (sent)
		send_file(vmm.fd[VMM_GROUP]);
	if (mapped || sent)
		vmm_close(&vmm);
	printf("holding %d-%d\n", getpid(), vmm.fd[VMM_KVM_VFIO]);
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
