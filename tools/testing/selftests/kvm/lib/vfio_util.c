// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for the tests of the KVM-VFIO device, see include/vfio_util.h and
 * include/vfio_hold.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "kselftest.h"
#include "vfio_hold.h"
#include "vfio_util.h"

#define PCI_DEVICES	"/sys/bus/pci/devices"
#define KVM_DEBUGFS	"/sys/kernel/debug/kvm"
#define PATH_SIZE	256

void vfio_test_fail(const char *file, int line, const char *fmt, ...)
{
	int err = errno;
	va_list args;

	fprintf(stderr, "# %s:%d: ", file, line);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, " (errno %d, %s)\n", err, strerror(err));
	fflush(stdout);
	_exit(KSFT_FAIL);
}

static int xioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

/*
 * Sysfs
 */
bool vfio_in_lpar(void)
{
	return !access("/proc/device-tree/rtas", F_OK) &&
	       access("/proc/device-tree/ibm,opal", F_OK);
}

int __sysfs_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int __host_number_raise(struct host_number *number, unsigned long least)
{
	FILE *f = fopen(number->path, "re");
	char text[24];
	int ret;

	if (!f)
		return -errno;
	ret = fscanf(f, "%lu", &number->before);
	fclose(f);
	if (ret != 1)
		return -EINVAL;
	if (number->before >= least)
		return 0;
	snprintf(text, sizeof(text), "%lu", least);
	ret = __sysfs_write(number->path, text);
	number->raised = !ret;
	return ret;
}

void host_number_restore(struct host_number *number)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", number->before);
	if (number->raised)
		VFIO_ASSERT(!__sysfs_write(number->path, text), "%s", number->path);
	number->raised = false;
}

/* The last component of what the link @name of a PCI device points to. */
int __pci_link(const char *bdf, const char *name, char *buf, size_t size)
{
	char path[PATH_SIZE], target[PATH_SIZE];
	const char *last;
	ssize_t len;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", bdf, name);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return -errno;
	target[len] = '\0';
	last = strrchr(target, '/');
	snprintf(buf, size, "%s", last ? last + 1 : target);
	return 0;
}

void vfio_bind(const char *bdf)
{
	char path[PATH_SIZE], driver[PATH_SIZE];

	if (!__pci_link(bdf, "driver", driver, sizeof(driver))) {
		if (!strcmp(driver, "vfio-pci"))
			return;
		snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver/unbind", bdf);
		VFIO_ASSERT(!__sysfs_write(path, bdf), "unbind %s", bdf);
	}
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver_override", bdf);
	VFIO_ASSERT(!__sysfs_write(path, "vfio-pci"), "override of %s", bdf);
	VFIO_ASSERT(!__sysfs_write("/sys/bus/pci/drivers_probe", bdf), "probe %s", bdf);
	VFIO_ASSERT(!__pci_link(bdf, "driver", driver, sizeof(driver)) &&
		    !strcmp(driver, "vfio-pci"), "%s does not take vfio-pci", bdf);
}

static bool group_is_known(const struct vfio_test_device *devices,
			   unsigned int nr, unsigned int group)
{
	while (nr--)
		if (devices[nr].group == group)
			return true;
	return false;
}

/*
 * Takes the first device of each IOMMU group on the list, binds it to vfio-pci
 * and returns how many there are.
 *
 * One VM stays open for as long as the program runs.  Otherwise each VM that is
 * made and destroyed would switch virtualization on and off and patch the
 * scheduler's code (preempt notifiers), which not every emulator survives.
 */
unsigned int vfio_test_init(struct vfio_test_device *devices,
			    unsigned int max, unsigned int need)
{
	const char *list = getenv("KVM_VFIO_BDFS");
	char *copy, *save, *bdf, link[PATH_SIZE];
	unsigned int nr = 0;

	if (access("/dev/kvm", R_OK | W_OK))
		ksft_exit_skip("/dev/kvm: %s\n", strerror(errno));
	if (access("/dev/vfio/vfio", R_OK | W_OK))
		ksft_exit_skip("/dev/vfio/vfio: %s\n", strerror(errno));
	if (!list || !*list)
		ksft_exit_skip("KVM_VFIO_BDFS lists no devices\n");

	copy = strdup(list);
	VFIO_ASSERT(copy, "strdup");
	for (bdf = strtok_r(copy, " ", &save); bdf && nr < max;
	     bdf = strtok_r(NULL, " ", &save)) {
		if (__pci_link(bdf, "iommu_group", link, sizeof(link)))
			ksft_exit_skip("%s is in no IOMMU group\n", bdf);
		devices[nr].group = strtoul(link, NULL, 10);
		if (group_is_known(devices, nr, devices[nr].group))
			continue;
		snprintf(devices[nr].bdf, sizeof(devices[nr].bdf), "%s", bdf);
		vfio_bind(bdf);
		nr++;
	}
	free(copy);
	if (nr < need)
		ksft_exit_skip("%u IOMMU groups, %u needed\n", nr, need);
	kvm_vm_open();
	return nr;
}

void debugfs_mount(void)
{
	if (!access(KVM_DEBUGFS, F_OK))
		return;
	VFIO_ASSERT(!mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL) ||
		    errno == EBUSY, "mount debugfs");
}

/* Rearms every WARN_ON_ONCE() of the kernel. */
void warn_once_rearm(void)
{
	debugfs_mount();
	VFIO_ASSERT(!__sysfs_write("/sys/kernel/debug/clear_warn_once", "1"),
		    "clear_warn_once");
}

/*
 * Allocations that fail
 */
#define FAILSLAB	"/sys/kernel/debug/failslab"
#define FAIL_PAGES	"/sys/kernel/debug/fail_page_alloc"

static int fail_nth_fd = -1;

bool fault_possible(void)
{
	debugfs_mount();
	return !access("/proc/self/fail-nth", W_OK) && !access(FAILSLAB, F_OK);
}

/* Without this, only atomic allocations would fail.  Keeps the kernel log clean. */
static void fault_settings(const char *folder)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/ignore-gfp-wait", folder);
	VFIO_ASSERT(!__sysfs_write(path, "N"), "set %s", path);
	snprintf(path, sizeof(path), "%s/verbose", folder);
	VFIO_ASSERT(!__sysfs_write(path, "0"), "set %s", path);
}

/* The harness forks for each test, and the file is of one thread. */
void fault_open(void)
{
	char path[PATH_SIZE];

	if (fail_nth_fd >= 0)
		close(fail_nth_fd);
	snprintf(path, sizeof(path), "/proc/self/task/%ld/fail-nth",
		 syscall(SYS_gettid));
	fail_nth_fd = open(path, O_RDWR | O_CLOEXEC);
	VFIO_ASSERT(fail_nth_fd >= 0, "open %s", path);
	fault_settings(FAILSLAB);
	if (access(FAIL_PAGES, F_OK))
		return;
	fault_settings(FAIL_PAGES);
	VFIO_ASSERT(!__sysfs_write(FAIL_PAGES "/min-order", "0"), "set min-order");
}

void fault_objects(void)
{
	if (!access(FAIL_PAGES, F_OK))
		VFIO_ASSERT(!__sysfs_write(FAIL_PAGES "/min-order", "99"), "set min-order");
}

void fault_arm(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	VFIO_ASSERT(write(fail_nth_fd, text, len) == len, "write fail-nth");
}

unsigned int fault_disarm(void)
{
	char text[16] = "";

	VFIO_ASSERT(pread(fail_nth_fd, text, sizeof(text) - 1, 0) > 0,
		    "read fail-nth");
	fault_arm(0);
	return strtoul(text, NULL, 10);
}

/*
 * Module use counts
 */
static const char * const ref_modules[VFIO_REFS_MAX] = {
	[VFIO_REFS_KVM]		= "kvm",
	[VFIO_REFS_KVM_AMD]	= "kvm_amd",
	[VFIO_REFS_KVM_INTEL]	= "kvm_intel",
	[VFIO_REFS_KVM_HV]	= "kvm_hv",
	[VFIO_REFS_VFIO]	= "vfio",
	[VFIO_REFS_VFIO_PCI]	= "vfio_pci",
	[VFIO_REFS_VFIO_PCI_CORE] = "vfio_pci_core",
	[VFIO_REFS_TYPE1]	= "vfio_iommu_type1",
	[VFIO_REFS_SPAPR_TCE]	= "vfio_iommu_spapr_tce",
};

/* -1 if no such module is loaded */
int module_refcnt(const char *name)
{
	char path[PATH_SIZE];
	int count = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", name);
	f = fopen(path, "re");
	if (!f)
		return -1;
	VFIO_ASSERT(fscanf(f, "%d", &count) == 1, "read %s", path);
	fclose(f);
	return count;
}

void vfio_refs_read(struct vfio_refs *refs)
{
	unsigned int i;

	for (i = 0; i < VFIO_REFS_MAX; i++)
		refs->count[i] = module_refcnt(ref_modules[i]);
}

bool vfio_refs_equal(const struct vfio_refs *before,
		     const struct vfio_refs *after)
{
	bool equal = true;
	unsigned int i;

	for (i = 0; i < VFIO_REFS_MAX; i++) {
		if (before->count[i] == after->count[i])
			continue;
		equal = false;
		fprintf(stderr, "# use count of %s: %d, was %d\n", ref_modules[i],
			after->count[i], before->count[i]);
	}
	return equal;
}

long pinned_pages(long *ever)
{
	long value, acquired = -1, released = -1;
	char name[64];
	FILE *f;

	/* Adds up what each CPU has counted on its own. */
	VFIO_ASSERT(!__sysfs_write("/proc/sys/vm/stat_refresh", "1"), "stat_refresh");
	f = fopen("/proc/vmstat", "re");
	while (f && fscanf(f, "%63s %ld", name, &value) == 2) {
		if (!strcmp(name, "nr_foll_pin_acquired"))
			acquired = value;
		if (!strcmp(name, "nr_foll_pin_released"))
			released = value;
	}
	VFIO_ASSERT(f && acquired >= 0 && released >= 0, "read /proc/vmstat");
	fclose(f);
	if (ever)
		*ever = acquired;
	return acquired - released;
}

/* The memory of this process that VFIO and KVM account as locked or pinned */
long locked_kib(void)
{
	char line[PATH_SIZE];
	long kib = -1;
	FILE *f;

	f = fopen("/proc/self/status", "re");
	VFIO_ASSERT(f, "open /proc/self/status");
	while (kib < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %ld", &kib) != 1)
			kib = -1;
	fclose(f);
	VFIO_ASSERT(kib >= 0, "no VmLck");
	return kib;
}

/* Kernel log: each record after the open is read once. */
int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	VFIO_ASSERT(fd >= 0, "open /dev/kmsg");
	VFIO_ASSERT(lseek(fd, 0, SEEK_END) >= 0, "seek /dev/kmsg");
	return fd;
}

unsigned int kmsg_count(int fd, bool (*match)(const char *record))
{
	char record[8192];
	unsigned int nr = 0;
	ssize_t len;

	for (;;) {
		len = read(fd, record, sizeof(record) - 1);
		if (len < 0)
			break;
		record[len] = '\0';
		if (!match(record))
			continue;
		fprintf(stderr, "# kernel log: %.*s\n",
			(int)strcspn(record, "\n"), record);
		nr++;
	}
	/* EPIPE would mean that records were lost. */
	VFIO_ASSERT(errno == EAGAIN, "read /dev/kmsg");
	return nr;
}

bool kmsg_is_splat(const char *record)
{
	/* Most are not of what is tested.  Whoever runs the test looks at them. */
	if (strstr(record, "KCSAN: data-race"))
		return false;
	return strstr(record, "WARNING:") || strstr(record, "BUG:") ||
	       strstr(record, "Oops:");
}

unsigned int kmsg_splats(int fd)
{
	return kmsg_count(fd, kmsg_is_splat);
}

bool answer(const char *what, long expected, long got)
{
	if (expected != got)
		fprintf(stderr, "# %s: %ld, expected %ld\n", what, got, expected);
	return expected == got;
}

/*
 * Before and after a test
 */
void vfio_remember(struct vfio_before *before)
{
	before->log = kmsg_open();
	before->locked = locked_kib();
	vfio_refs_read(&before->refs);
}

void vfio_close_all(const struct vfio_before *before)
{
	if (before->log > 3)
		close_range(3, before->log - 1, 0);
	close_range(before->log + 1, ~0U, 0);
}

bool vfio_group_is_free(unsigned int number)
{
	int group = __vfio_group_open(number);

	if (group >= 0)
		close(group);
	return answer("open of the group", 0, group < 0 ? group : 0);
}

bool vfio_nothing_left(struct vfio_before *before)
{
	struct vfio_refs refs;
	bool ok;

	vfio_refs_read(&refs);
	ok = vfio_refs_equal(&before->refs, &refs);
	ok &= answer("KiB locked", before->locked, locked_kib());
	ok &= answer("splats", 0, kmsg_splats(before->log));
	close(before->log);
	return ok;
}

unsigned long env_number(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return value && *value ? strtoul(value, NULL, 0) : otherwise;
}

int run_in_child(int (*fn)(void *arg), void *arg)
{
	pid_t pid;
	int status;

	fflush(stdout);
	fflush(stderr);
	pid = fork();
	VFIO_ASSERT(pid >= 0, "fork");
	if (!pid)
		_exit(fn(arg));
	VFIO_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

void send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec iov = { .iov_base = "", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	VFIO_ASSERT(sendmsg(sock, &msg, 0) == 1, "sendmsg");
}

int receive_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	int fd;

	VFIO_ASSERT(recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) == 1, "recvmsg");
	cmsg = CMSG_FIRSTHDR(&msg);
	VFIO_ASSERT(cmsg && cmsg->cmsg_type == SCM_RIGHTS, "no fd");
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

/*
 * KVM
 */
int kvm_open(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	VFIO_ASSERT(fd >= 0, "open /dev/kvm");
	return fd;
}

int kvm_vm_open(void)
{
	int kvm = kvm_open();
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	VFIO_ASSERT(vm >= 0, "KVM_CREATE_VM");
	close(kvm);
	return vm;
}

int __kvm_vfio_create(int vm, uint32_t flags)
{
	struct kvm_create_device create = {
		.type = KVM_DEV_TYPE_VFIO,
		.fd = (uint32_t)-1,
		.flags = flags,
	};
	int ret = xioctl(vm, KVM_CREATE_DEVICE, &create);

	if (ret || (flags & KVM_CREATE_DEVICE_TEST))
		return ret;
	return create.fd;
}

int kvm_vfio_create(int vm)
{
	int dev = __kvm_vfio_create(vm, 0);

	VFIO_ASSERT(dev >= 0, "KVM_CREATE_DEVICE: %d", dev);
	return dev;
}

static int kvm_vfio_attr(int dev, unsigned long request, uint32_t group,
			 uint64_t attr, void *addr)
{
	struct kvm_device_attr arg = {
		.group = group,
		.attr = attr,
		.addr = (uintptr_t)addr,
	};

	return xioctl(dev, request, &arg);
}

int __kvm_vfio_has_attr(int dev, uint32_t group, uint64_t attr)
{
	return kvm_vfio_attr(dev, KVM_HAS_DEVICE_ATTR, group, attr, NULL);
}

int __kvm_vfio_get_attr(int dev, uint32_t group, uint64_t attr, void *addr)
{
	return kvm_vfio_attr(dev, KVM_GET_DEVICE_ATTR, group, attr, addr);
}

int __kvm_vfio_set_attr(int dev, uint32_t group, uint64_t attr, void *addr)
{
	return kvm_vfio_attr(dev, KVM_SET_DEVICE_ATTR, group, attr, addr);
}

int __kvm_vfio_add(int dev, int fd)
{
	int32_t arg = fd;

	return __kvm_vfio_set_attr(dev, KVM_DEV_VFIO_GROUP,
				   KVM_DEV_VFIO_GROUP_ADD, &arg);
}

void kvm_vfio_add(int dev, int fd)
{
	int ret = __kvm_vfio_add(dev, fd);

	VFIO_ASSERT(!ret, "KVM_DEV_VFIO_GROUP_ADD: %d", ret);
}

int __kvm_vfio_del(int dev, int fd)
{
	int32_t arg = fd;

	return __kvm_vfio_set_attr(dev, KVM_DEV_VFIO_GROUP,
				   KVM_DEV_VFIO_GROUP_DEL, &arg);
}

void kvm_vfio_del(int dev, int fd)
{
	int ret = __kvm_vfio_del(dev, fd);

	VFIO_ASSERT(!ret, "KVM_DEV_VFIO_GROUP_DEL: %d", ret);
}

/*
 * VFIO
 */
unsigned long vfio_test_iommu_type = VFIO_TEST_IOMMU_TYPE;

int vfio_container_open(void)
{
	int fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);

	VFIO_ASSERT(fd >= 0, "open /dev/vfio/vfio");
	return fd;
}

int __vfio_container_use_iommu(int container)
{
	int ret = ioctl(container, VFIO_SET_IOMMU, vfio_test_iommu_type);

	return ret < 0 ? -errno : ret;
}

void vfio_container_use_iommu(int container)
{
	int ret = __vfio_container_use_iommu(container);

	VFIO_ASSERT(!ret, "VFIO_SET_IOMMU: %d", ret);
}

bool vfio_group_is_coherent(unsigned int number)
{
	int container = vfio_container_open(), group = vfio_group_open(number);
	bool ret;

	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);
	ret = ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU) > 0;
	close(group);
	close(container);
	return ret;
}

int __vfio_group_open(unsigned int group)
{
	char path[PATH_SIZE];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%u", group);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int vfio_group_open(unsigned int group)
{
	int fd = __vfio_group_open(group);

	VFIO_ASSERT(fd >= 0, "open of group %u: %d", group, fd);
	return fd;
}

int __vfio_group_set_container(int group, int container)
{
	return xioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
}

void vfio_group_set_container(int group, int container)
{
	int ret = __vfio_group_set_container(group, container);

	VFIO_ASSERT(!ret, "VFIO_GROUP_SET_CONTAINER: %d", ret);
}

int __vfio_group_unset_container(int group)
{
	return xioctl(group, VFIO_GROUP_UNSET_CONTAINER, NULL);
}

void vfio_group_unset_container(int group)
{
	int ret = __vfio_group_unset_container(group);

	VFIO_ASSERT(!ret, "VFIO_GROUP_UNSET_CONTAINER: %d", ret);
}

uint32_t vfio_group_status(int group)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int ret = xioctl(group, VFIO_GROUP_GET_STATUS, &status);

	VFIO_ASSERT(!ret, "VFIO_GROUP_GET_STATUS: %d", ret);
	return status.flags;
}

int __vfio_group_device(int group, const char *bdf)
{
	return xioctl(group, VFIO_GROUP_GET_DEVICE_FD, (void *)bdf);
}

int vfio_group_device(int group, const char *bdf)
{
	int fd = __vfio_group_device(group, bdf);

	VFIO_ASSERT(fd >= 0, "VFIO_GROUP_GET_DEVICE_FD of %s: %d", bdf, fd);
	return fd;
}

int __vfio_device_reset(int device)
{
	return xioctl(device, VFIO_DEVICE_RESET, NULL);
}

int vfio_cdev_number(const struct vfio_test_device *device)
{
	char path[PATH_SIZE];
	struct dirent *entry;
	int number = -1;
	DIR *dir;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/vfio-dev", device->bdf);
	dir = opendir(path);
	while (dir && number < 0 && (entry = readdir(dir)))
		if (sscanf(entry->d_name, "vfio%d", &number) != 1)
			number = -1;
	if (dir)
		closedir(dir);
	return number;
}

int __vfio_cdev_open(const struct vfio_test_device *device)
{
	char path[PATH_SIZE];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%d",
		 vfio_cdev_number(device));
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

#ifdef __KVM_HAVE_SPAPR_TCE
/*
 * A v1 container must be enabled instead, which locks as much memory as it
 * could map.
 */
static int spapr_memory(int container, unsigned long request, void *va,
			size_t size)
{
	struct vfio_iommu_spapr_register_memory mem = {
		.argsz = sizeof(mem),
		.vaddr = (uintptr_t)va,
		.size = size,
	};

	return xioctl(container, request, &mem);
}

int __vfio_memory_register(int container, void *va, size_t size)
{
	if (vfio_test_iommu_type == VFIO_TEST_IOMMU_V1)
		return xioctl(container, VFIO_IOMMU_ENABLE, NULL);
	return spapr_memory(container, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, va, size);
}

int __vfio_memory_unregister(int container, void *va, size_t size)
{
	if (vfio_test_iommu_type == VFIO_TEST_IOMMU_V1)
		return xioctl(container, VFIO_IOMMU_DISABLE, NULL);
	return spapr_memory(container, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, va,
			    size);
}
#else
/* Only SPAPR TCE v2 containers need the memory to be registered beforehand. */
int __vfio_memory_register(int container, void *va, size_t size)
{
	(void)container;
	(void)va;
	(void)size;
	return 0;
}

int __vfio_memory_unregister(int container, void *va, size_t size)
{
	return __vfio_memory_register(container, va, size);
}
#endif

int __vfio_dma_map(int container, void *va, uint64_t iova, size_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)va,
		.iova = iova,
		.size = size,
	};

	return xioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

/* Unmapping less than was asked for counts as -ENOENT. */
int __vfio_dma_unmap(int container, uint64_t iova, size_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};
	int ret = xioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap);

	return !ret && unmap.size != size ? -ENOENT : ret;
}

void *vfio_dma_buffer(size_t size)
{
	void *va = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	VFIO_ASSERT(va != MAP_FAILED, "mmap of %zu bytes", size);
	return va;
}

/*
 * TCE tables
 */
#ifdef __KVM_HAVE_SPAPR_TCE
#define TCE_BUFFER_SIZE	(1024 * 1024UL)

/*
 * The size of the container's default window, which the first mapping creates
 */
uint64_t vfio_default_window(int container)
{
	struct vfio_iommu_spapr_tce_info info = { .argsz = sizeof(info) };
	void *va = vfio_dma_buffer(TCE_BUFFER_SIZE);

	VFIO_ASSERT(!__vfio_memory_register(container, va, TCE_BUFFER_SIZE) &&
		    !__vfio_dma_map(container, va, VFIO_TEST_IOVA, TCE_BUFFER_SIZE) &&
		    !__vfio_dma_unmap(container, VFIO_TEST_IOVA, TCE_BUFFER_SIZE),
		    "map and unmap");
	VFIO_ASSERT(!ioctl(container, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &info),
		    "VFIO_IOMMU_SPAPR_TCE_GET_INFO");
	return info.dma32_window_size;
}

/* A table of 4 KiB entries at 0, as the default window is. */
int kvm_tce_table(int vm, uint64_t liobn, uint64_t window)
{
	struct kvm_create_spapr_tce_64 args = {
		.liobn = liobn,
		.page_shift = 12,
		.size = window >> 12,
	};
	int table = ioctl(vm, KVM_CREATE_SPAPR_TCE_64, &args);

	VFIO_ASSERT(table >= 0, "KVM_CREATE_SPAPR_TCE_64");
	return table;
}
#else
uint64_t vfio_default_window(int container)
{
	(void)container;
	return 0;
}

int kvm_tce_table(int vm, uint64_t liobn, uint64_t window)
{
	(void)vm;
	(void)liobn;
	(void)window;
	return -1;
}
#endif

int __kvm_vfio_set_spapr_tce(int dev, int group, int table)
{
	struct kvm_vfio_spapr_tce arg = { .groupfd = group, .tablefd = table };

	return __kvm_vfio_set_attr(dev, KVM_DEV_VFIO_GROUP,
				   KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, &arg);
}

void vmm_open(struct vmm *vmm, const struct vfio_test_device *device,
	      bool with_device)
{
	vmm->fd[VMM_VM] = kvm_vm_open();
	vmm->fd[VMM_KVM_VFIO] = kvm_vfio_create(vmm->fd[VMM_VM]);
	vmm->fd[VMM_CONTAINER] = vfio_container_open();
	vmm->fd[VMM_GROUP] = vfio_group_open(device->group);
	vfio_group_set_container(vmm->fd[VMM_GROUP], vmm->fd[VMM_CONTAINER]);
	vfio_container_use_iommu(vmm->fd[VMM_CONTAINER]);
	kvm_vfio_add(vmm->fd[VMM_KVM_VFIO], vmm->fd[VMM_GROUP]);
	vmm->fd[VMM_DEVICE] = -1;
	if (with_device)
		vmm->fd[VMM_DEVICE] = vfio_group_device(vmm->fd[VMM_GROUP],
							device->bdf);
}

void vmm_close(struct vmm *vmm)
{
	unsigned int i;

	for (i = 0; i < VMM_NR_FDS; i++) {
		if (vmm->fd[i] >= 0)
			close(vmm->fd[i]);
		vmm->fd[i] = -1;
	}
}

/*
 * What KVM holds
 */
unsigned int *nr_adds;

void hold_init(void)
{
	nr_adds = mmap(NULL, sizeof(*nr_adds), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	VFIO_ASSERT(nr_adds != MAP_FAILED, "mmap");
}

int __hold(int dev, int file)
{
	int ret = __kvm_vfio_add(dev, file);

	if (!ret)
		__atomic_add_fetch(nr_adds, 1, __ATOMIC_RELAXED);
	return ret;
}

void hold(int dev, int file)
{
	int ret = __hold(dev, file);

	VFIO_ASSERT(!ret, "KVM_DEV_VFIO_FILE_ADD: %d", ret);
}

void nth_order(unsigned int n, unsigned int *order, unsigned int nr)
{
	unsigned int i, j, pick, t;

	for (i = 0; i < nr; i++)
		order[i] = i;
	for (i = 0; i < nr; i++) {
		pick = i + n % (nr - i);
		n /= nr - i;
		t = order[pick];
		for (j = pick; j > i; j--)
			order[j] = order[j - 1];
		order[i] = t;
	}
}

unsigned int count_vms(void)
{
	unsigned int nr = 0;
	struct dirent *entry;
	DIR *dir;

	debugfs_mount();
	dir = opendir(KVM_DEBUGFS);
	VFIO_ASSERT(dir, "opendir " KVM_DEBUGFS);
	/*
	 * Each VM has a folder PID-FD, beside files whose names begin with
	 * letters.
	 */
	while ((entry = readdir(dir)))
		nr += entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
	closedir(dir);
	return nr;
}

bool vm_is_there(int vm)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), KVM_DEBUGFS "/%d-%d", getpid(), vm);
	return !access(path, F_OK);
}

int group_with_container(const struct vfio_test_device *device)
{
	int container = vfio_container_open();
	int group = vfio_group_open(device->group);

	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);
	close(container);
	return group;
}

/* The kernel itself reads such pages, so UFFD_USER_MODE_ONLY is not enough. */
void missing_page_open(struct missing_page *missing, void *va)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = {
			.start = (uintptr_t)va,
			.len = getpagesize(),
		},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	missing->va = va;
	missing->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	VFIO_ASSERT(missing->fd >= 0, "userfaultfd");
	VFIO_ASSERT(!ioctl(missing->fd, UFFDIO_API, &api), "UFFDIO_API");
	VFIO_ASSERT(!ioctl(missing->fd, UFFDIO_REGISTER, &range), "UFFDIO_REGISTER");
}

void missing_page_take(const struct missing_page *missing)
{
	VFIO_ASSERT(!madvise(missing->va, getpagesize(), MADV_DONTNEED),
		    "MADV_DONTNEED");
}

bool missing_page_waited_for(const struct missing_page *missing, int ms)
{
	struct pollfd poll_fd = { .fd = missing->fd, .events = POLLIN };
	struct uffd_msg msg;

	return poll(&poll_fd, 1, ms) == 1 &&
	       read(missing->fd, &msg, sizeof(msg)) == sizeof(msg) &&
	       msg.event == UFFD_EVENT_PAGEFAULT;
}

void missing_page_give(const struct missing_page *missing, const void *content,
		       size_t size)
{
	size_t page_size = getpagesize();
	uint8_t *page = aligned_alloc(page_size, page_size);
	struct uffdio_copy copy = {
		.dst = (uintptr_t)missing->va,
		.src = (uintptr_t)page,
		.len = page_size,
	};

	VFIO_ASSERT(page && size <= page_size, "a page");
	memset(page, 0, page_size);
	memcpy(page, content, size);
	VFIO_ASSERT(!ioctl(missing->fd, UFFDIO_COPY, &copy), "UFFDIO_COPY");
	free(page);
}

void vfio_await_tick(void)
{
	struct timespec before, now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &before);
	do {
		clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	} while (now.tv_nsec == before.tv_nsec);
}
