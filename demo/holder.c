// SPDX-License-Identifier: GPL-2.0-only
/*
 * holder: hold a VFIO group through the KVM-VFIO device, with no device fd open
 *
 *	holder hold GROUP	the life of a hold, step by step
 *	holder open GROUP	can the group be opened?
 *
 * Says in plain words what happens.  The exit status is 0 only if everything
 * went according to the contract of the device
 * (Documentation/virt/kvm/vfio-contract.rst).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <linux/vfio.h>

#ifdef __powerpc64__
#define IOMMU_TYPE	VFIO_SPAPR_TCE_v2_IOMMU
#else
#define IOMMU_TYPE	VFIO_TYPE1v2_IOMMU
#endif

static int wrong;

static int checked(const char *what, int fd)
{
	if (fd < 0) {
		printf("cannot %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return fd;
}

static int open_group(const char *number)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%s", number);
	return open(path, O_RDWR | O_CLOEXEC);
}

/* Report one step; @want is 0 or an errno, @ret what the ioctl returned. */
static int step(const char *what, int ret, int want)
{
	int got = ret < 0 ? errno : 0;

	if (got == want) {
		printf("  %s: %s%s%s\n", what, got ? "refused (" : "works",
		       got ? strerror(got) : "", got ? ")" : "");
		return 0;
	}
	printf("  %s: WRONG: %s, should be %s\n", what,
	       got ? strerror(got) : "accepted",
	       want ? strerror(want) : "accepted");
	wrong = 1;
	return 1;
}

static int group_attr(int dev, unsigned long attr, int group)
{
	struct kvm_device_attr args = {
		.group = KVM_DEV_VFIO_GROUP,
		.attr = attr,
		.addr = (unsigned long)&group,
	};

	return ioctl(dev, KVM_SET_DEVICE_ATTR, &args);
}

static int kvm_vfio_device(void)
{
	struct kvm_create_device cd = { .type = KVM_DEV_TYPE_VFIO };
	int kvm = checked("open /dev/kvm", open("/dev/kvm", O_RDWR));
	int vm = checked("create a VM", ioctl(kvm, KVM_CREATE_VM, 0));

	checked("create the KVM-VFIO device", ioctl(vm, KVM_CREATE_DEVICE, &cd));
	return cd.fd;
}

static void hold(const char *number)
{
	int container = checked("open /dev/vfio/vfio", open("/dev/vfio/vfio", O_RDWR));
	int group = checked("open the group", open_group(number));
	int dev = kvm_vfio_device();

	/* If an ADD succeeds that must not, undo it and go on. */
	if (step("KVM is given the group, which has no container",
		 group_attr(dev, KVM_DEV_VFIO_GROUP_ADD, group), EINVAL))
		group_attr(dev, KVM_DEV_VFIO_GROUP_DEL, group);

	checked("put the group into a container",
		ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	if (step("... in a container, but before SET_IOMMU",
		 group_attr(dev, KVM_DEV_VFIO_GROUP_ADD, group), EINVAL))
		group_attr(dev, KVM_DEV_VFIO_GROUP_DEL, group);

	checked("set the IOMMU", ioctl(container, VFIO_SET_IOMMU, IOMMU_TYPE));
	step("... after SET_IOMMU",
	     group_attr(dev, KVM_DEV_VFIO_GROUP_ADD, group), 0);

	/* Can user space take the protection away while KVM holds the group? */
	if (step("taking the protection away (UNSET_CONTAINER) while KVM holds",
		 ioctl(group, VFIO_GROUP_UNSET_CONTAINER), EBUSY)) {
		group_attr(dev, KVM_DEV_VFIO_GROUP_DEL, group);
		return;
	}
	step("KVM lets the group go (DEL)",
	     group_attr(dev, KVM_DEV_VFIO_GROUP_DEL, group), 0);
	step("UNSET_CONTAINER after that",
	     ioctl(group, VFIO_GROUP_UNSET_CONTAINER), 0);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "hold")) {
		hold(argv[2]);
		return wrong;
	}
	if (argc == 3 && !strcmp(argv[1], "open")) {
		if (open_group(argv[2]) >= 0)
			return 0;
		printf("%s\n", strerror(errno));
		return errno == EBUSY ? 16 : 1;
	}
	fprintf(stderr, "usage: holder hold|open GROUP\n");
	return 2;
}
