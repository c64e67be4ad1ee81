// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kvm.ko and a vfio.ko that belong together, with another vfio_iommu_spapr_tce.ko: a
 * group is held as ever, but no TCE table is attached, and the kernel log says why, once.
 *
 * Contract 4.22: modules that do not belong together are refused, or as safe as stock.
 *
 * It is a single test, because the warning comes once for each load of vfio.ko.
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

#define LIOBN	0x80000001UL

static struct vfio_test_device devices[1];

/* A message of level "warning" (4, kernel facility) that gives the reason */
static bool is_the_warning(const char *record)
{
	return !strncmp(record, "4,", 2) && strstr(record, "vfio_iommu_spapr_tce.ko");
}

TEST(stock_spapr_refused_with_one_warning)
{
	int log = kmsg_open(), all = kmsg_open();
	int vm = kvm_vm_open(), dev = kvm_vfio_create(vm);
	int container = vfio_container_open();
	int group = vfio_group_open(devices[0].group);
	int table;

	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);
	table = kvm_tce_table(vm, LIOBN, vfio_default_window(container));
	kvm_vfio_add(dev, group);
	ASSERT_EQ(-EBUSY, __vfio_group_unset_container(group));

	ASSERT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(dev, group, table));
	ASSERT_EQ(1U, kmsg_count(log, is_the_warning));
	ASSERT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(dev, group, table));
	kvm_vfio_del(dev, group);
	kvm_vfio_add(dev, group);
	ASSERT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(dev, group, table));
	ASSERT_EQ(0U, kmsg_count(log, is_the_warning));

	kvm_vfio_del(dev, group);
	vfio_group_unset_container(group);
	close(table);
	close(group);
	ASSERT_TRUE(vfio_group_is_free(devices[0].group));
	ASSERT_EQ(0U, kmsg_splats(all));
}

int main(int argc, char **argv)
{
	const char *modules = getenv("LAB_MODULES");

	if (!modules || strcmp(modules, "stock-spapr"))
		ksft_exit_skip("LAB_MODULES is not stock-spapr\n");
	vfio_test_init(devices, ARRAY_SIZE(devices), ARRAY_SIZE(devices));
	return test_harness_run(argc, argv);
}
