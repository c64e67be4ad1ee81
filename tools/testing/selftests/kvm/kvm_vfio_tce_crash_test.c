// SPDX-License-Identifier: GPL-2.0-only
/*
 * What any guest could do to its host: hypercalls on which the stock kernel crashes,
 * or never comes back.  There each test needs a machine of its own (-t NAME), which
 * it takes down; here the host has to notice nothing.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_tce.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
#define LIOBN		0x80000000UL
#define SHIFT		12
#define PAGE		4096UL
#define MEMORY		(16 * 1024 * 1024UL)
#define ENTRIES		16384UL
#define WINDOW		(ENTRIES << SHIFT)
#define LAST		((ENTRIES - 1) << SHIFT)
#define LIST		PPC64_FREE
#define PAGES		(2 * PPC64_FREE)

static struct vfio_test_device device;

FIXTURE(crash)
{
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	int log;
	int dev;
	int group;
	int container;
	int table;
};

FIXTURE_SETUP(crash)
{
	self->log = kmsg_open();
	ppc64_vm_open(&self->vm, MEMORY);
	ppc64_vcpu_open(&self->vcpu, &self->vm);
	self->table = tce_table(self->vm.fd, LIOBN, SHIFT, 0, ENTRIES);
	self->dev = kvm_vfio_create(self->vm.fd);
	self->group = vfio_group_open(device.group);
	self->container = vfio_container_open();
	vfio_group_set_container(self->group, self->container);
	vfio_container_set_iommu(self->container);
	ASSERT_EQ(0, __vfio_memory_register(self->container, self->vm.memory, MEMORY));
	tce_window_drop_default(self->container);
	ASSERT_EQ(0U, tce_window_create(self->container, SHIFT, WINDOW));
	kvm_vfio_add(self->dev, self->group);
}

FIXTURE_TEARDOWN(crash)
{
	EXPECT_EQ(0U, kmsg_splats(self->log));
}

/* The VM and the tables of the host still work. */
static void expect_alive(struct __test_metadata *_metadata, struct ppc64_vcpu *vcpu)
{
	uint64_t tce;

	EXPECT_EQ(H_SUCCESS, h_put_tce(vcpu, LIOBN, PAGE, PAGES | TCE_RW));
	EXPECT_EQ(H_SUCCESS, h_get_tce(vcpu, LIOBN, PAGE, &tce));
	EXPECT_EQ(PAGES | TCE_RW, tce);
}

/* Of 512 entries at the end of the table, 511 are behind it. */
TEST_F(crash, defect1_list_behind_the_table)
{
	unsigned int i;

	for (i = 0; i < TCE_LIST; i++)
		tce_list_set(&self->vm, LIST, i, (PAGES + i * PAGE) | TCE_RW);
	EXPECT_EQ(H_PARAMETER,
		  h_put_tce_indirect(&self->vcpu, LIOBN, LAST, LIST, TCE_LIST));
	expect_alive(_metadata, &self->vcpu);
}

TEST_F(crash, defect1_stuff_behind_the_table)
{
	EXPECT_EQ(H_PARAMETER,
		  h_stuff_tce(&self->vcpu, LIOBN, LAST, 0xdead0000UL, 1UL << 30));
	EXPECT_EQ(H_PARAMETER,
		  h_stuff_tce(&self->vcpu, LIOBN, LAST, 0xdead0000UL, ~0UL));
	expect_alive(_metadata, &self->vcpu);
}

/* What is no multiple of a page hits a BUG_ON() of the hardware's code. */
TEST_F(crash, defect2_misaligned_poison_in_a_list)
{
	uint64_t tce;

	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(self->dev, self->group, self->table));
	tce_list_set(&self->vm, LIST, 0, PAGES | TCE_RW);
	tce_list_set(&self->vm, LIST, 1, PAGES | 0x10);
	EXPECT_EQ(H_SUCCESS, h_put_tce_indirect(&self->vcpu, LIOBN, 0, LIST, 2));
	EXPECT_EQ(H_SUCCESS, h_get_tce(&self->vcpu, LIOBN, PAGE, &tce));
	EXPECT_EQ(PAGES | 0x10, tce);
	expect_alive(_metadata, &self->vcpu);
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
#endif
