/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for the tests of the KVM-VFIO device.
 *
 * foo() stops the test on an error. __foo() returns the result of the kernel:
 * 0, a new file descriptor, or -errno.
 */
#ifndef SELFTEST_KVM_VFIO_UTIL_H
#define SELFTEST_KVM_VFIO_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>
#include <linux/vfio.h>

#include "kselftest.h"

/* A PCI device that the tests may use, and its IOMMU group */
struct vfio_test_device {
	char bdf[32];
	unsigned int group;
};

/* Use counts of the modules that a held group or a VM may pin */
enum {
	VFIO_REFS_KVM,
	VFIO_REFS_KVM_AMD,
	VFIO_REFS_KVM_INTEL,
	VFIO_REFS_KVM_HV,
	VFIO_REFS_VFIO,
	VFIO_REFS_VFIO_PCI,
	VFIO_REFS_VFIO_PCI_CORE,
	VFIO_REFS_TYPE1,
	VFIO_REFS_SPAPR_TCE,
	VFIO_REFS_MAX
};

struct vfio_refs {
	int count[VFIO_REFS_MAX];
};

/* What a VMM has open for one assigned device */
enum {
	VMM_VM,
	VMM_KVM_VFIO,
	VMM_CONTAINER,
	VMM_GROUP,
	VMM_DEVICE,
	VMM_NR_FDS
};

struct vmm {
	int fd[VMM_NR_FDS];
};

/* Architectures on which KVM has TCE tables have these containers. */
#ifdef __KVM_HAVE_SPAPR_TCE
#define VFIO_TEST_IOMMU_TYPE	VFIO_SPAPR_TCE_v2_IOMMU
#define VFIO_TEST_IOMMU_V1	VFIO_SPAPR_TCE_IOMMU
#define VFIO_TEST_IOMMU_MODULE	"vfio_iommu_spapr_tce"
#else
#define VFIO_TEST_IOMMU_TYPE	VFIO_TYPE1v2_IOMMU
#define VFIO_TEST_IOMMU_V1	VFIO_TYPE1_IOMMU
#define VFIO_TEST_IOMMU_MODULE	"vfio_iommu_type1"
#endif

/* What vfio_container_use_iommu() sets, VFIO_TEST_IOMMU_TYPE unless changed */
extern unsigned long vfio_test_iommu_type;

/* An I/O virtual address that every IOMMU is expected to map. */
#define VFIO_TEST_IOVA		0x100000UL

void __noreturn __printf(3, 4)
vfio_test_fail(const char *file, int line, const char *fmt, ...);

/* Stops the calling process with exit code 1; usable outside of the harness. */
#define VFIO_ASSERT(cond, fmt, ...)					\
	do {								\
		if (!(cond))						\
			vfio_test_fail(__FILE__, __LINE__, fmt,		\
				       ##__VA_ARGS__);			\
	} while (0)

/* The machine: exits with code 4 and a reason if it cannot run the tests. */
unsigned int vfio_test_init(struct vfio_test_device *devices,
			    unsigned int max, unsigned int need);
int __sysfs_write(const char *path, const char *text);

/* A number of the host that has to be larger for the time of a program */
struct host_number {
	const char *path;
	unsigned long before;
	bool raised;
};

int __host_number_raise(struct host_number *number, unsigned long least);
void host_number_restore(struct host_number *number);

/*
 * Is this a logical partition, a guest of PowerVM or QEMU?  Its containers take one group,
 * and its windows have one level.
 */
bool vfio_in_lpar(void);
int __pci_link(const char *bdf, const char *name, char *buf, size_t size);
void vfio_bind(const char *bdf);
void debugfs_mount(void);
void warn_once_rearm(void);

/*
 * Allocations of the calling thread that fail, inside and outside of KVM-VFIO:  slab
 * objects, and pages, where the kernel can do that
 */
#define FAULT_MAX	200	/* far more than any operation allocates */
bool fault_possible(void);
/* Before a test, as it allocates itself */
void fault_open(void);
/*
 * From now on only objects fail, and pages do not.  An object may need a page for its slab,
 * and KASAN one for its record of the call, at one time and not at another; without pages,
 * each run of an operation has the same allocations.
 */
void fault_objects(void);
void fault_arm(unsigned int nth);
/* How many allocations are left until one fails; 0 if it has failed */
unsigned int fault_disarm(void);

/* Counts and logs */
void vfio_refs_read(struct vfio_refs *refs);
bool vfio_refs_equal(const struct vfio_refs *before,
		     const struct vfio_refs *after);
int module_refcnt(const char *name);
long locked_kib(void);
/* Pages that are pinned for DMA, on the whole host; and in @ever, if not NULL, that were */
long pinned_pages(long *ever);
int kmsg_open(void);
unsigned int kmsg_count(int fd, bool (*match)(const char *record));
bool kmsg_is_splat(const char *record);
unsigned int kmsg_splats(int fd);

/* What a test has to leave as it was */
struct vfio_before {
	struct vfio_refs refs;
	long locked;		/* KiB of this process */
	int log;		/* the kernel's, from then on */
};

void vfio_remember(struct vfio_before *before);
/* All files but the first three and the log, also what a test left open on failure */
void vfio_close_all(const struct vfio_before *before);
/* The IOMMU group can be opened. */
bool vfio_group_is_free(unsigned int number);
/* Says what is not as it was, and closes the log. */
bool vfio_nothing_left(struct vfio_before *before);

/* For helpers, which have no EXPECT_EQ(). */
bool answer(const char *what, long expected, long got);

/* A variable of the environment, or else the other number */
unsigned long env_number(const char *name, unsigned long otherwise);

/* Runs fn(arg) in a forked process and returns its exit code, 256 for a signal. */
int run_in_child(int (*fn)(void *arg), void *arg);

/* Pass an open file to another process, over a Unix socket. */
void send_fd(int sock, int fd);
int receive_fd(int sock);

/* KVM */
int kvm_open(void);
int kvm_vm_open(void);
int __kvm_vfio_create(int vm, uint32_t flags);
int kvm_vfio_create(int vm);
int __kvm_vfio_has_attr(int dev, uint32_t group, uint64_t attr);
int __kvm_vfio_get_attr(int dev, uint32_t group, uint64_t attr, void *addr);
int __kvm_vfio_set_attr(int dev, uint32_t group, uint64_t attr, void *addr);
int __kvm_vfio_add(int dev, int fd);
void kvm_vfio_add(int dev, int fd);
int __kvm_vfio_del(int dev, int fd);
void kvm_vfio_del(int dev, int fd);

/* VFIO */
int vfio_container_open(void);
int __vfio_container_use_iommu(int container);
void vfio_container_use_iommu(int container);

/* Can the IOMMU make the group's DMA coherent?  Nobody may have the group open. */
bool vfio_group_is_coherent(unsigned int number);
int __vfio_group_open(unsigned int group);
int vfio_group_open(unsigned int group);
int __vfio_group_set_container(int group, int container);
void vfio_group_set_container(int group, int container);
int __vfio_group_unset_container(int group);
void vfio_group_unset_container(int group);
uint32_t vfio_group_status(int group);
int __vfio_group_device(int group, const char *bdf);
int vfio_group_device(int group, const char *bdf);
int __vfio_device_reset(int device);
/* The N of /dev/vfio/devices/vfioN, or -1 if the device has no cdev */
int vfio_cdev_number(const struct vfio_test_device *device);
int __vfio_cdev_open(const struct vfio_test_device *device);
int __vfio_memory_register(int container, void *va, size_t size);
int __vfio_memory_unregister(int container, void *va, size_t size);
int __vfio_dma_map(int container, void *va, uint64_t iova, size_t size);
int __vfio_dma_unmap(int container, uint64_t iova, size_t size);
void *vfio_dma_buffer(size_t size);

/* POWER: tables of a VM, and windows of a container; elsewhere 0, -1, -ENXIO */
uint64_t vfio_default_window(int container);
int kvm_tce_table(int vm, uint64_t liobn, uint64_t window);
int __kvm_vfio_set_spapr_tce(int dev, int group, int table);

/*
 * A whole VMM: everything is open and the group is added.  It is closed in any
 * order.
 */
void vmm_open(struct vmm *vmm, const struct vfio_test_device *device,
	      bool with_device);
void vmm_close(struct vmm *vmm);

/* A page that is missing until user space says what is in it */
struct missing_page {
	uint8_t *va;
	int fd;
};

void missing_page_open(struct missing_page *missing, void *va);
/* From now on, every reader of the page waits. */
void missing_page_take(const struct missing_page *missing);
/* Waits up to @ms until somebody reads the page; false if nobody does. */
bool missing_page_waited_for(const struct missing_page *missing, int ms);
/* The page is there, with @content at its start. */
void missing_page_give(const struct missing_page *missing, const void *content,
		       size_t size);

/* Waits for a timer tick.  The next one is 4 ms away, and a measurement takes less. */
void vfio_await_tick(void);

#endif /* SELFTEST_KVM_VFIO_UTIL_H */
