// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kvm.ko that wants external users on a vfio.ko that has none: ADD is refused,
 * and the kernel log says why, once.
 *
 * Contract 1.7 and 4.22: EINVAL, and one warning in the log.
 *
 * It is a single test, because the warning comes once for each load of kvm.ko.
 * Run it once in a fresh machine.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_util.h"

static struct vfio_test_device devices[8];

/* A message of level "warning" (4, kernel facility) that gives the reason */
static bool is_the_warning(const char *record)
{
	return !strncmp(record, "4,", 2) && strstr(record, "external user") &&
	       strstr(record, "vfio");
}

/*
 * Any message of one of the two modules.  What is said of a device that vfio-pci has is
 * not: it may lose its power at any time.
 */
static bool is_about_vfio(const char *record)
{
	return strstr(record, "external user") ||
	       (strstr(record, "vfio") && !strstr(record, ";vfio-pci "));
}

TEST(stock_vfio_refused_with_one_warning)
{
	int log = kmsg_open(), all = kmsg_open();
	int vm = kvm_vm_open(), dev = kvm_vfio_create(vm), dev2;
	int container = vfio_container_open();
	int group = vfio_group_open(devices[0].group);
	struct vfio_refs before, after;
	int pipes[2];

	vfio_refs_read(&before);
	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);

	/* No VFIO file: nothing to warn about. */
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(-EINVAL, __kvm_vfio_add(dev, pipes[0]));
	ASSERT_EQ(-EINVAL, __kvm_vfio_add(dev, container));
	ASSERT_EQ(0U, kmsg_count(log, is_about_vfio));

	ASSERT_EQ(-EINVAL, __kvm_vfio_add(dev, group));
	ASSERT_EQ(1U, kmsg_count(log, is_the_warning));

	ASSERT_EQ(-EINVAL, __kvm_vfio_add(dev, group));
	dev2 = kvm_vfio_create(kvm_vm_open());
	ASSERT_EQ(-EINVAL, __kvm_vfio_add(dev2, group));
	ASSERT_EQ(-EINVAL, __kvm_vfio_add(dev, pipes[1]));
	ASSERT_EQ(0U, kmsg_count(log, is_about_vfio));

	/* Nothing is held. */
	ASSERT_EQ(-ENOENT, __kvm_vfio_del(dev, group));
	vfio_group_unset_container(group);
	vfio_refs_read(&after);
	/* The second VM and its device are still open. */
	ASSERT_EQ(before.count[VFIO_REFS_VFIO], after.count[VFIO_REFS_VFIO]);
	close(group);
	ASSERT_LE(0, __vfio_group_open(devices[0].group));
	ASSERT_EQ(0U, kmsg_splats(all));
}

int main(int argc, char **argv)
{
	const char *modules = getenv("LAB_MODULES");

	if (!modules || strncmp(modules, "stock-vfio", strlen("stock-vfio")))
		ksft_exit_skip("LAB_MODULES is not stock-vfio\n");
	vfio_test_init(devices, ARRAY_SIZE(devices), 1);
	return test_harness_run(argc, argv);
}
