/* SPDX-License-Identifier: GPL-2.0-only */
/* What most tests begin with: a VM, and a group that is ready to be added */
#ifndef _SETUP_H
#define _SETUP_H

#include <stdlib.h>
#include <string.h>

#include <linux/err.h>
#include <linux/fault.h>
#include <linux/file.h>
#include <linux/hashtable.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "fake.h"
#include "test.h"

struct vm {
	int fd;
	int dev;	/* its KVM-VFIO device */
	struct kvm *kvm;
};

static inline struct vm new_vm(void)
{
	struct vm vm = { .fd = user_create_vm() };

	vm.dev = user_create_device(vm.fd, false);
	vm.kvm = fake_vm(vm.fd);
	EXPECT(vm.dev >= 0);
	return vm;
}

/* What kvm_arch_start_assignment() was called for: nothing where it does not exist. */
#define EXPECT_ASSIGNED(kvm, nr)						\
	EXPECT_EQ((kvm)->arch.assigned, FAKE_ASSIGNMENTS ? (nr) : 0)

/* The events since log_start() that this variant's kernel has */
#define EXPECT_LOG(wanted)						\
	EXPECT_STR(log_stop(), fake_events(wanted))

#if IS_ENABLED(CONFIG_VFIO_GROUP)
struct group {
	struct iommu_group *ig;
	int fd;
	int container;
};

static inline struct group open_group(struct iommu_group *ig, int container)
{
	struct group group = { .ig = ig, .container = container };

	group.fd = user_open_group(ig);
	EXPECT(group.fd >= 0);
	EXPECT_EQ(user_set_container(group.fd, container), 0);
	return group;
}

static inline struct group new_group(unsigned int devices)
{
	struct group group = open_group(host_group(VFIO_IOMMU, devices),
					user_open_container());

	EXPECT_EQ(user_set_iommu(group.container), 0);
	return group;
}

static inline struct group new_group_of_type(int type)
{
	struct group group = open_group(host_group(VFIO_IOMMU, 1),
					user_open_container());

	EXPECT_EQ(user_set_iommu_type(group.container, type), 0);
	return group;
}

static inline unsigned int users(const struct group *group)
{
	return fake_group(group->fd)->container_users;
}
#endif

#endif
