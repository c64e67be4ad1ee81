/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fake around the code under test:  VFIO, the IOMMU, KVM core, and the
 * operations of the host and of user space.  It follows drivers/vfio/group.c,
 * container.c, vfio_main.c, device_cdev.c and virt/kvm/kvm_main.c with
 * patches/, and like theirs its warnings fail a test.
 *
 * Events that log_event() records:
 *
 *	s e	kvm_arch_start_assignment(), kvm_arch_end_assignment(), up to 6.x only
 *	n c	noncoherent DMA is registered, unregistered
 *	k 0	drivers of a file see a VM, see none
 *	+ -	a count in container_users is taken, given back
 *	g	an RCU grace period begins
 *	D	a group loses its IOMMU
 *	a r	an attachment of a TCE table is made, released
 */
#ifndef _FAKE_H
#define _FAKE_H

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/vfio.h>

#include "vfio/vfio.h"

/* Is the code under test in the form of 6.12?  A variant of the Makefile is. */
#ifndef FAKE_ASSIGNMENTS
#define FAKE_ASSIGNMENTS	0
#endif

/* And with patches/to-7.2? */
#ifndef FAKE_TO_7_2
#define FAKE_TO_7_2		0
#endif

/* And with patches/package? */
#ifndef FAKE_PACKAGE
#define FAKE_PACKAGE		0
#endif

#define GROUP_DEVICES	3
#define API_SYMBOLS	5	/* functions of vfio.ko that KVM takes */
#define FAKE_PID	1000	/* of the process with mm 0 */

/* Numbers of device nodes, with the number of the group or the cdev */
#define FAKE_GROUP_MAJOR	240
#define FAKE_CDEV_MAJOR	241

struct iommu_group {
	struct iommu_group *next;
	int id;
	int refs;
	enum vfio_group_type type;
	int protected;		/* atomic: a domain of VFIO is attached */
	int owned;		/* atomic: DMA ownership claimed */
	int busy;		/* atomic: RCU readers that rely on it */
	int windows;		/* POWER: which hardware tables it has */
	unsigned int nr_devices;
	struct device devices[GROUP_DEVICES];
};

/* Which vfio.ko is loaded. */
enum vfio_ko { VFIO_KO_OURS, VFIO_KO_NONE, VFIO_KO_STOCK };

/* The host */
struct iommu_group *host_group(enum vfio_group_type type, unsigned int nr);
struct iommu_group *host_group_of(int id);
void host_bind(struct device *dev);
void host_unbind(struct device *dev);
/*
 * All devices of the group are unbound; with unplug they leave the group, too.
 */
void host_take_back(struct iommu_group *group, bool unplug);
void host_set_vfio_ko(enum vfio_ko which);

/* User space; all return what the system call does. */
int user_open_group(struct iommu_group *group);
int user_open_container(void);
int user_open_iommufd(void);
int user_open_pipe(void);
int user_open_cdev(struct device *dev);
int user_bind(int fd, int iommufd);
int user_set_container(int group, int container);
int user_unset_container(int group);
int user_set_iommu(int container);
int user_set_iommu_type(int container, int type);
/* A SPAPR TCE container belongs to the first mm that uses it. */
int user_register_memory(int container);
int user_map_dma(int container);
int user_get_device(int group, struct device *dev);
int user_set_mm(int mm);
int user_create_vm(void);
int user_create_device(int vm, bool test);
int user_attr(int dev, u32 group, u64 attr, const void *arg);
int user_has_attr(int dev, u32 group, u64 attr);
int user_add(int dev, int fd);
int user_del(int dev, int fd);
int user_create_tce(int vm, int window);
int user_set_tce(int dev, int group, int table);

/* What a test may look at */
struct vfio_group *fake_group(int fd);
struct kvm *fake_vm(int fd);
/* The VM that the driver of an open device sees. */
struct kvm *fake_kvm_seen(struct device *dev);
int fake_registrations(struct vfio_device *device);
int fake_attached(int table);
/* What the holder of the last attachment says about it; -1 without one. */
int fake_preregistered(int table);
struct fake_counts {
	unsigned int symbol_gets;
	int symbol_refs;	/* vfio.ko, API_SYMBOLS at a time */
	unsigned int capable;	/* questions to a device */
	unsigned int api_calls;	/* of KVM to vfio.ko */
	int vms, groups, containers, tce_holders;
};

extern struct fake_counts counts;

/* @events without those that this variant's kernel does not have */
const char *fake_events(const char *events);
/* Everything that an operation can change, as text */
char *fake_snapshot(void);

/* Between the parts of the fake */
#define fake_inc(x) ({							\
	typeof(x) *_x = &(x);						\
									\
	shim_step("inc " #x, _x);					\
	__atomic_add_fetch(_x, 1, __ATOMIC_ACQ_REL);			\
})

#define fake_dec(x) ({							\
	typeof(x) *_x = &(x);						\
									\
	shim_step("dec " #x, _x);					\
	__atomic_sub_fetch(_x, 1, __ATOMIC_ACQ_REL);			\
})

#define fake_read(x) ({							\
	typeof(x) *_x = &(x);						\
									\
	shim_step("read " #x, _x);					\
	__atomic_load_n(_x, __ATOMIC_ACQUIRE);			\
})

void *fake_alloc(size_t size);
extern struct module vfio_module;
int current_mm(void);

struct iommufd_ctx {
	int refs;
};

void iommufd_ctx_put(struct iommufd_ctx *ctx);
struct iommufd_ctx *iommufd_ctx_from_fd(int fd);

void vfio_device_put_registration(struct vfio_device *device);
bool vfio_device_try_get_registration(struct vfio_device *device);
void vfio_device_wait(struct vfio_device *device);
void vfio_device_get_kvm_safe(struct vfio_device *device, struct kvm *kvm);
void vfio_device_put_kvm(struct vfio_device *device);
int vfio_df_open(struct vfio_device_file *df);
void vfio_df_close(struct vfio_device_file *df);
struct vfio_device_file *vfio_df_alloc(struct vfio_device *device);

/* fake_group.c */
void vfio_group_bind(struct vfio_device *device);
void vfio_group_unbind(struct vfio_device *device);
int vfio_group_use_iommu(struct vfio_device *device);
void vfio_group_unuse_iommu(struct vfio_device *device);
void vfio_df_group_close(struct vfio_device_file *df);
int vfio_device_block_group(struct vfio_device *device);
void vfio_device_unblock_group(struct vfio_device *device);
void vfio_group_set_kvm(struct vfio_group *group, struct kvm *kvm);
void fake_check_visible(struct kvm *kvm);
void vfio_group_print(struct iommu_group *ig, char *buf, size_t size);

#endif
