// SPDX-License-Identifier: GPL-2.0-only
/*
 * What people can see of TCE tables: which hardware they reach, and how many hypercalls
 * were served in the kernel or left to user space, and why.
 *
 * What needs a signal at the right moment, or a kernel without memory, is in the hosted
 * tests.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_show.h"
#include "vfio_tce_test.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
/* Machines are emulated, several at a time: what takes that long hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

/* The first half of the memory is preregistered. */
#define REGION		(8 * MIB)
#define PAGES		(2 * MIB)
#define REST		(12 * MIB)
#define NOWHERE		0x10000000000UL
#define FALLBACK	"/sys/kernel/tracing/events/kvm_vfio/kvm_vfio_tce_fallback"

static struct vfio_test_device device;

FIXTURE(defect30)
{
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	struct vfio_show show;
	struct vfio_before before;
	char group[16];
	int dev;
	int group_fd;
	int container;
	int table;
};

FIXTURE_SETUP(defect30)
{
	vfio_bind(device.bdf);
	vfio_remember(&self->before);
	snprintf(self->group, sizeof(self->group), "%u", device.group);
	ppc64_vm_open(&self->vm, MEMORY);
	ppc64_vcpu_open(&self->vcpu, &self->vm);
	self->dev = kvm_vfio_create(self->vm.fd);
	self->group_fd = vfio_group_open(device.group);
	self->container = vfio_container_open();
	vfio_group_set_container(self->group_fd, self->container);
	vfio_container_use_iommu(self->container);
	ASSERT_EQ(0, __vfio_memory_register(self->container, self->vm.memory, REGION));
	tce_window_drop_default(self->container);
	ASSERT_EQ(0U, tce_window_create(self->container, SHIFT, WINDOW));
	kvm_vfio_add(self->dev, self->group_fd);
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group_fd, self->table));
}

FIXTURE_TEARDOWN(defect30)
{
	ppc64_vcpu_close(&self->vcpu);
	vfio_close_all(&self->before);
	EXPECT_TRUE(vfio_nothing_left(&self->before));
}

#define SHOW()		vfio_show_fd(self->table, &self->show)

#define EXPECT_TABLE(key, expected)					\
	EXPECT_STREQ(expected,						\
		     vfio_show_get(&self->show, 0, key))

/* All that was left was left for that reason. */
#define EXPECT_LEFT(nr, reason)						\
	do {								\
		const char *_nr = nr;					\
									\
		SHOW();							\
		EXPECT_TABLE("left", _nr);				\
		EXPECT_TABLE("left-" reason, _nr);			\
	} while (0)

/* Contract 8.2 */
TEST_F(defect30, table)
{
	char live[32];

	SHOW();
	snprintf(live, sizeof(live), "%s live", self->group);
	EXPECT_TABLE("window", "0x0 0x4000000");
	EXPECT_TABLE("page-size", "4096");
	EXPECT_TABLE("group", live);
	EXPECT_TABLE("hardware", "1");
	EXPECT_TABLE("done", "0");
	EXPECT_TABLE("left", "0");
	kvm_vfio_del(self->dev, self->group_fd);
	SHOW();
	EXPECT_TABLE("group", "");
	EXPECT_TABLE("hardware", "0");
}

/* Contract 8.2 */
TEST_F(defect30, offset_and_page_size)
{
	int table = tce_table(self->vm.fd, LIOBN2, 16, 1UL << 43, 2);

	vfio_show_fd(table, &self->show);
	EXPECT_TABLE("liobn", "0x80000001");
	EXPECT_TABLE("window", "0x800000000000000 0x20000");
	EXPECT_TABLE("page-size", "65536");
}

/* A table, and the device, have the same name for the same VM, and no other does. */
TEST_F(defect30, vm)
{
	int other_vm = kvm_vm_open();
	int other = tce_table(other_vm, LIOBN, SHIFT, 0, ENTRIES);
	char vm[32];

	close(other_vm);
	SHOW();
	snprintf(vm, sizeof(vm), "%s", vfio_show_get(&self->show, 0, "vm"));
	vfio_show_fd(self->dev, &self->show);
	EXPECT_STREQ(vm, vfio_show_get(&self->show, 0, "vm"));
	vfio_show_fd(other, &self->show);
	EXPECT_STRNE(vm, vfio_show_get(&self->show, 0, "vm"));
	EXPECT_TABLE("hardware", "0");
}

/* Contract 8.2: Each hypercall counts once, however many entries it has. */
TEST_F(defect30, done)
{
	uint64_t tce;

	tce_list_set(&self->vm, LIST, 0, PAGES | TCE_RW);
	tce_list_set(&self->vm, LIST, 1, (PAGES + PAGE) | TCE_RW);
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGES | TCE_RW));
	SHOW();
	EXPECT_TABLE("done", "1");
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	SHOW();
	EXPECT_TABLE("done", "2");
	EXPECT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, 2));
	SHOW();
	EXPECT_TABLE("done", "3");
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, 1));
	SHOW();
	EXPECT_TABLE("done", "4");
	EXPECT_EQ(H_SUCCESS, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, ENTRIES));
	EXPECT_EQ(H_SUCCESS, h_get_tce(&self->vcpu, LIOBN, 0, &tce));
	SHOW();
	EXPECT_TABLE("done", "6");
	EXPECT_TABLE("refused", "0");
	EXPECT_TABLE("left", "0");
}

/* Contract 8.2 */
TEST_F(defect30, refused)
{
	uint64_t tce;

	EXPECT_EQ(H_PARAMETER, h_put_tce(&self->vcpu, LIOBN, WINDOW, 0));
	EXPECT_EQ(H_PARAMETER, h_put_tce(&self->vcpu, LIOBN, 1, PAGES | TCE_RW));
	EXPECT_EQ(H_PARAMETER, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, 513));
	EXPECT_EQ(H_PARAMETER, h_put_tce_indirect(&self->vcpu, LIOBN, WINDOW, LIST, 1));
	EXPECT_EQ(H_PARAMETER, h_stuff_tce(&self->vcpu, LIOBN, WINDOW, 0, 1));
	EXPECT_EQ(H_PARAMETER, h_stuff_tce(&self->vcpu, LIOBN, 0, TCE_READ, 1));
	EXPECT_EQ(H_PARAMETER, h_get_tce(&self->vcpu, LIOBN, WINDOW, &tce));
	SHOW();
	EXPECT_TABLE("refused", "7");
	EXPECT_TABLE("done", "0");
	EXPECT_TABLE("left", "0");
}

TEST_F(defect30, no_table)
{
	uint64_t tce;

	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN2, 0, 0));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN2, 0, PAGES | TCE_RW));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce_indirect(&self->vcpu, LIOBN2, 0, LIST, 1));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce_indirect(&self->vcpu, LIOBN2, 0, LIST, 513));
	EXPECT_EQ(PPC64_TO_USER, h_stuff_tce(&self->vcpu, LIOBN2, 0, 0, 1));
	EXPECT_EQ(PPC64_TO_USER, h_get_tce(&self->vcpu, LIOBN2, 0, &tce));
	SHOW();
	EXPECT_TABLE("done", "0");
	EXPECT_TABLE("left", "0");
}

/* Contract 8.2 */
TEST_F(defect30, left_for_its_address)
{
	tce_list_set(&self->vm, LIST, 0, PAGES | TCE_RW);
	tce_list_set(&self->vm, LIST, 1, (PAGES + 8) | TCE_RW);
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, 0, NOWHERE | TCE_RW));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, 2));
	EXPECT_LEFT("2", "address");
}

/* Contract 8.2 */
TEST_F(defect30, left_for_its_list)
{
	EXPECT_EQ(PPC64_TO_USER, h_put_tce_indirect(&self->vcpu, LIOBN, 0, NOWHERE, 1));
	EXPECT_LEFT("1", "list");
}

/* Contract 8.2 */
TEST_F(defect30, left_for_memory_of_no_region)
{
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, 0, REST | TCE_RW));
	tce_list_set(&self->vm, LIST, 0, PAGES | TCE_RW);
	tce_list_set(&self->vm, LIST, 1, REST | TCE_RW);
	EXPECT_EQ(PPC64_TO_USER, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, 2));
	EXPECT_LEFT("2", "memory");
}

/* Contract 8.2 */
TEST_F(defect30, left_for_a_window_that_is_gone)
{
	char gone[32];

	snprintf(gone, sizeof(gone), "%s gone", self->group);
	tce_window_remove(self->container, 0);
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, 0, PAGES | TCE_RW));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_EQ(PPC64_TO_USER, h_stuff_tce(&self->vcpu, LIOBN, 0, 0, 2));
	EXPECT_LEFT("3", "gone");
	EXPECT_TABLE("group", gone);
}

/* Contract 8.2 */
TEST_F(defect30, left_for_a_group_that_is_gone)
{
	char gone[32];

	snprintf(gone, sizeof(gone), "%s gone", self->group);
	ASSERT_EQ(0, __sysfs_write("/sys/bus/pci/drivers/vfio-pci/unbind", device.bdf));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, 0, PAGES | TCE_RW));
	EXPECT_LEFT("1", "gone");
	EXPECT_TABLE("group", gone);
	vfio_bind(device.bdf);
}

/*
 * Contract 8.2: Hardware pages are no larger than the host's, the table's are
 * as large as 16 GiB.
 */
TEST_F(defect30, left_for_its_size)
{
	int table;

	/* A page has to be in one slot, so there is one as large. */
	table = tce_table(self->vm.fd, LIOBN2, 25, 0, 2);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group_fd, table));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN2, 0, 0));
	vfio_show_fd(table, &self->show);
	EXPECT_TABLE("left-size", "1");
	EXPECT_TABLE("left", "1");
}

/* Contract 8.6 */
TEST_F(defect30, events)
{
	char text[4096], expected[2048];
	int pid = getpid();

	vfio_events_begin();
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, PAGE, REST | TCE_RW));
	EXPECT_EQ(PPC64_TO_USER, h_stuff_tce(&self->vcpu, LIOBN2, 0, 0, 77));
	EXPECT_EQ(H_SUCCESS, h_put_tce(&self->vcpu, LIOBN, 0, PAGES | TCE_RW));
	EXPECT_EQ(H_PARAMETER, h_put_tce(&self->vcpu, LIOBN, WINDOW, 0));
	kvm_vfio_del(self->dev, self->group_fd);
	kvm_vfio_add(self->dev, self->group_fd);
	EXPECT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group_fd, self->table));
	close(self->table);
	vfio_events_end(text, sizeof(text));
	/* Of the file's own events, kvm_vfio_fdinfo_test.c knows all. */
	snprintf(expected, sizeof(expected),
		 "kvm_vfio_tce_fallback: pid=%d liobn=0x80000000 ioba=0x1000 npages=1 reason=memory\n"
		 "kvm_vfio_tce_fallback: pid=%d liobn=0x80000001 ioba=0x0 npages=77 reason=table\n",
		 pid, pid);
	EXPECT_EQ(0, strncmp(expected, text, strlen(expected))) TH_LOG("%s", text);
	snprintf(expected, sizeof(expected),
		 "kvm_vfio_detach: pid=%d liobn=0x80000000 group=%s start=0x0 size=0x4000000\n",
		 pid, self->group);
	EXPECT_NE(NULL, strstr(strstr(text, "kvm_vfio_add:") ?: "", expected))
		TH_LOG("%s", text);
	memcpy(strstr(expected, "detach"), "attach", strlen("attach"));
	EXPECT_NE(NULL, strstr(strstr(text, "kvm_vfio_add:") ?: "", expected))
		TH_LOG("%s", text);
}

/* A tracer of the event gets the reasons as numbers with their names: contract 8.6. */
TEST_F(defect30, format_of_the_reasons)
{
	char text[8192] = "";
	FILE *format = fopen(FALLBACK "/format", "r");

	ASSERT_NE(NULL, format);
	EXPECT_NE(0, fread(text, 1, sizeof(text) - 1, format));
	fclose(format);
	EXPECT_NE(NULL, strstr(text, "{ 2, \"table\" }")) TH_LOG("%s", text);
	EXPECT_NE(NULL, strstr(text, "{ 10, \"signal\" }")) TH_LOG("%s", text);
}

/*
 * A container without preregistered memory
 */
FIXTURE(defect30_v1)
{
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	struct vfio_show show;
	int table;
};

FIXTURE_SETUP(defect30_v1)
{
	int dev, group, container;

	vfio_bind(device.bdf);
	ppc64_vm_open(&self->vm, MEMORY);
	ppc64_vcpu_open(&self->vcpu, &self->vm);
	dev = kvm_vfio_create(self->vm.fd);
	group = vfio_group_open(device.group);
	container = vfio_container_open();
	vfio_group_set_container(group, container);
	ASSERT_EQ(0, ioctl(container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_IOMMU));
	ASSERT_EQ(0, ioctl(container, VFIO_IOMMU_ENABLE));
	/* Then it has its window. */
	memset(self->vm.memory, 1, getpagesize());
	ASSERT_EQ(0, __vfio_dma_map(container, self->vm.memory, 0, getpagesize()));
	kvm_vfio_add(dev, group);
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(dev, group, self->table));
}

FIXTURE_TEARDOWN(defect30_v1)
{
	ppc64_vcpu_close(&self->vcpu);
}

/* Contract 8.2 */
TEST_F(defect30_v1, left_for_the_container)
{
	char text[32];

	snprintf(text, sizeof(text), "%u container", device.group);
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, 0, PAGES | TCE_RW));
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&self->vcpu, LIOBN, 0, 0));
	EXPECT_LEFT("2", "container");
	EXPECT_TABLE("group", text);
}

int main(int argc, char **argv)
{
	vfio_test_init(&device, 1, 1);
	return test_harness_run(argc, argv);
}
#else
int main(void)
{
	ksft_exit_skip("POWER only\n");
}
#endif /* __KVM_HAVE_SPAPR_TCE */
