/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests of groups with an emulated IOMMU start with: mdevs of mtty, a sample driver of
 * the kernel, beside real devices; and how often KVM is told about noncoherent DMA.
 */
#ifndef VFIO_MDEV_TEST_H
#define VFIO_MDEV_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio_probe.h"
#include "vfio_util.h"

#define MTTY_CREATE	"/sys/class/mtty/mtty/mdev_supported_types/mtty-1/create"
#define MDEV_DEVICES	"/sys/bus/mdev/devices"
#define NR_REAL		2
#define NR_MDEVS	3
#define PATH_SIZE	256

static struct vfio_test_device devices[NR_REAL];

/* Emulated devices; each is in a group of its own */
struct mdev {
	const char *uuid;
	unsigned int group;
};

static struct mdev mdevs[NR_MDEVS] = {
	{ .uuid = "6b766d00-7666-696f-0000-000000000001" },
	{ .uuid = "6b766d00-7666-696f-0000-000000000002" },
	{ .uuid = "6b766d00-7666-696f-0000-000000000003" },
};

static inline bool mdev_exists(const struct mdev *mdev)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s", mdev->uuid);
	return !access(path, F_OK);
}

/* The group gets another number each time. */
static inline void mdev_create(struct mdev *mdev)
{
	char path[PATH_SIZE], target[PATH_SIZE];
	ssize_t length;
	int ret;

	if (!mdev_exists(mdev)) {
		ret = __sysfs_write(MTTY_CREATE, mdev->uuid);
		VFIO_ASSERT(!ret, "create %s: %d", mdev->uuid, ret);
	}
	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/iommu_group", mdev->uuid);
	length = readlink(path, target, sizeof(target) - 1);
	VFIO_ASSERT(length > 0, "%s is in no group", mdev->uuid);
	target[length] = '\0';
	mdev->group = strtoul(strrchr(target, '/') + 1, NULL, 10);
}

static inline int __mdev_remove(const struct mdev *mdev)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/remove", mdev->uuid);
	return __sysfs_write(path, "1");
}

static inline int group_in(int container, unsigned int number)
{
	int group = vfio_group_open(number);

	vfio_group_set_container(group, container);
	return group;
}

/* What every test starts with, and what must be true after it */
enum {
	PROBE_REGISTER,
	PROBE_UNREGISTER,
	PROBE_MAX
};

/* No other architecture than x86 has these functions. */
static struct vfio_probe probes[PROBE_MAX] = {
#ifdef __x86_64__
	[PROBE_REGISTER] = VFIO_PROBE("register", "kvm_arch_register_noncoherent_dma"),
	[PROBE_UNREGISTER] = VFIO_PROBE("unregister",
					"kvm_arch_unregister_noncoherent_dma"),
#endif
};

struct start {
	struct vfio_before before;
	unsigned long hits[PROBE_MAX];
};

static inline unsigned int hits(const struct start *start, unsigned int probe)
{
	return probes[probe].is_set ? vfio_probe_hits(&probes[probe]) - start->hits[probe] : 0;
}

static inline void start(struct start *start)
{
	unsigned int i;

	for (i = 0; i < NR_REAL; i++)
		vfio_bind(devices[i].bdf);
	for (i = 0; i < NR_MDEVS; i++)
		mdev_create(&mdevs[i]);
	warn_once_rearm();
	vfio_remember(&start->before);
	for (i = 0; i < PROBE_MAX; i++)
		if (probes[i].is_set)
			start->hits[i] = vfio_probe_hits(&probes[i]);
}

static inline bool is_clean(struct start *start)
{
	bool ok = true;
	unsigned int i;

	vfio_close_all(&start->before);
	for (i = 0; i < NR_REAL; i++) {
		vfio_bind(devices[i].bdf);
		ok &= vfio_group_is_free(devices[i].group);
	}
	for (i = 0; i < NR_MDEVS; i++) {
		mdev_create(&mdevs[i]);
		ok &= vfio_group_is_free(mdevs[i].group);
	}
	ok &= answer("ends of noncoherent DMA", hits(start, PROBE_REGISTER),
		     hits(start, PROBE_UNREGISTER));
	ok &= vfio_nothing_left(&start->before);
	return ok;
}

/*
 * Does a group of this machine count?  There is one IOMMU, so it is the same
 * for all groups.
 */
static bool weak;

/* How often KVM was told since the test began */
static inline bool told(const struct start *start, unsigned int begun, unsigned int ended)
{
	bool ok = true;

	ok &= answer("begins of noncoherent DMA", begun, hits(start, PROBE_REGISTER));
	ok &= answer("ends of noncoherent DMA", ended, hits(start, PROBE_UNREGISTER));
	return ok;
}

/* A container of its own */
static inline int group_alone(unsigned int number)
{
	int container = vfio_container_open();
	int group = group_in(container, number);

	vfio_container_use_iommu(container);
	close(container);
	return group;
}

static inline int mdev_test_run(int argc, char **argv)
{
	unsigned int i;
	int ret;

	if (access(MTTY_CREATE, W_OK))
		ksft_exit_skip("the module mtty is not loaded\n");
	vfio_test_init(devices, NR_REAL, NR_REAL);
	debugfs_mount();
	weak = !vfio_group_is_coherent(devices[0].group);
#ifdef __x86_64__
	vfio_probes_set(probes, PROBE_MAX);
#endif
	ret = test_harness_run(argc, argv);
	vfio_probes_remove();
	for (i = 0; i < NR_MDEVS; i++)
		if (mdev_exists(&mdevs[i]))
			__mdev_remove(&mdevs[i]);
	return ret;
}

#endif /* VFIO_MDEV_TEST_H */
