// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contract 5: what the KVM-VFIO device promises for files that belong to
 * iommufd: device cdevs (/dev/vfio/devices/vfioN), and groups on an iommufd
 * instead of in a container.
 *
 * Kprobe events show which VM a VFIO driver gets (VFIO looks it up when a cdev
 * is bound, or when a device of a group is opened for the first time), and
 * count what KVM is told about its assigned devices.  Every successful ADD
 * counts as one held file; after every test, kvm_arch_start_assignment() and
 * kvm_arch_end_assignment() have been called once for each.
 *
 * While a cdev is bound its group cannot be opened.  This shows from outside
 * whether KVM still holds the file of a bound cdev.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/iommufd.h>

#include "kselftest_harness.h"
#include "vfio_hold.h"
#include "vfio_probe.h"
#include "vfio_show.h"
#include "vfio_util.h"

#define BUFFER_SIZE	(1024 * 1024UL)
#define HOST_SECONDS	60	/* the host takes far less, or hangs */
#define TEST_SECONDS	180
#define PATH_SIZE	512

static struct vfio_test_device devices[8];
static unsigned int nr_devices;

/* Can the IOMMU not make the DMA of the first two coherent? */
static bool all_weak;

/*
 * Probes
 */

enum {
	PROBE_CREATE,		/* a KVM-VFIO device, for which VM */
	PROBE_GET_KVM,		/* what VFIO looks up for a driver */
	PROBE_START,
	PROBE_END,
	PROBE_REGISTER,		/* first noncoherent file of a VM */
	PROBE_UNREGISTER,	/* last one */
	PROBE_MAX
};

static struct vfio_probe probes[PROBE_MAX] = {
	/* The second pointer in struct kvm_device is the VM. */
	[PROBE_CREATE] = VFIO_PROBE("create", "kvm_vfio_create kvm=+8($arg1):x64"),
	[PROBE_GET_KVM] = VFIO_PROBE("get_kvm", "vfio_device_get_kvm_safe kvm=$arg2:x64"),
	[PROBE_START] = VFIO_PROBE_GONE_IN(7, "start",
					   "kvm_arch_start_assignment kvm=$arg1:x64"),
	[PROBE_END] = VFIO_PROBE_GONE_IN(7, "end",
					 "kvm_arch_end_assignment kvm=$arg1:x64"),
#ifdef __x86_64__	/* other architectures have no such calls */
	[PROBE_REGISTER] = VFIO_PROBE("reg",
				      "kvm_arch_register_noncoherent_dma kvm=$arg1:x64"),
	[PROBE_UNREGISTER] = VFIO_PROBE("unreg",
					"kvm_arch_unregister_noncoherent_dma kvm=$arg1:x64"),
#endif
};

/* Calls for any VM since the trace was cleared, and the VM of the last one */
static unsigned int trace_last(unsigned int probe, uint64_t *kvm)
{
	return vfio_trace_count(&probes[probe], VFIO_PROBE_ANY, kvm);
}

static unsigned int trace_count(unsigned int probe)
{
	return trace_last(probe, NULL);
}

/*
 * A VM that may hold files
 */
struct holder {
	int vm;
	int dev;
	uint64_t kvm;	/* as the kernel names it */
};

static void holder_open(struct holder *holder)
{
	unsigned int before = trace_count(PROBE_CREATE);

	holder->vm = kvm_vm_open();
	holder->dev = kvm_vfio_create(holder->vm);
	VFIO_ASSERT(trace_last(PROBE_CREATE, &holder->kvm) == before + 1,
		    "the creation was not traced");
}

static void holder_close(struct holder *holder)
{
	close(holder->dev);
	close(holder->vm);
}

/*
 * iommufd
 */
static int iommufd_open(void)
{
	int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);

	VFIO_ASSERT(fd >= 0, "open /dev/iommu");
	return fd;
}

static uint32_t ioas_alloc(int iommufd)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	VFIO_ASSERT(!ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc), "IOMMU_IOAS_ALLOC");
	return alloc.out_ioas_id;
}

static int cdev_open(const struct vfio_test_device *device)
{
	int fd = __vfio_cdev_open(device);

	VFIO_ASSERT(fd >= 0, "open of the cdev of %s: %d", device->bdf, fd);
	return fd;
}

static int __cdev_bind(int cdev, int iommufd)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = iommufd,
	};

	return ioctl(cdev, VFIO_DEVICE_BIND_IOMMUFD, &bind) ? -errno : 0;
}

/* Binds, and returns the VM that the driver gets. */
static uint64_t cdev_bind(int cdev, int iommufd)
{
	unsigned int before = trace_count(PROBE_GET_KVM);
	uint64_t kvm = VFIO_PROBE_ANY;
	int ret = __cdev_bind(cdev, iommufd);

	VFIO_ASSERT(!ret, "VFIO_DEVICE_BIND_IOMMUFD: %d", ret);
	VFIO_ASSERT(trace_last(PROBE_GET_KVM, &kvm) == before + 1,
		    "the look-up of the VM was not traced");
	return kvm;
}

static int __cdev_attach(int cdev, uint32_t ioas)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = ioas,
	};

	return ioctl(cdev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) ? -errno : 0;
}

/* Opens a device of the group, and returns the VM that the driver gets. */
static int open_device(int group, const struct vfio_test_device *device,
		       uint64_t *kvm)
{
	unsigned int before = trace_count(PROBE_GET_KVM);
	int fd = vfio_group_device(group, device->bdf);

	*kvm = VFIO_PROBE_ANY;
	VFIO_ASSERT(trace_last(PROBE_GET_KVM, kvm) == before + 1,
		    "the look-up of the VM was not traced");
	return fd;
}

/*
 * The host takes a device back, in a process that has no file of the test open.
 */
struct host {
	pid_t pid;
};

static void host_unbind(struct host *host, const struct vfio_test_device *device)
{
	host->pid = fork();
	VFIO_ASSERT(host->pid >= 0, "fork");
	if (host->pid)
		return;
	close_range(3, ~0U, 0);
	_exit(-__sysfs_write("/sys/bus/pci/drivers/vfio-pci/unbind", device->bdf));
}

static bool host_waits_for_files(struct host *host)
{
	char path[64], line[PATH_SIZE];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stack", host->pid);
	f = fopen(path, "re");
	VFIO_ASSERT(f, "open %s", path);
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, "vfio_unregister_group_dev");
	fclose(f);
	return found;
}

/* The exit code of the process, or -ECHILD while it runs */
static int host_result(struct host *host)
{
	int status;
	pid_t pid = waitpid(host->pid, &status, WNOHANG);

	VFIO_ASSERT(pid >= 0, "waitpid");
	if (!pid)
		return -ECHILD;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/*
 * Waits until the host waits for the files of the device; false if it does not.
 */
static bool host_is_stopped(struct host *host)
{
	time_t deadline = time(NULL) + HOST_SECONDS;

	while (!host_waits_for_files(host)) {
		if (host_result(host) != -ECHILD || time(NULL) > deadline)
			return false;
		sched_yield();
	}
	return host_result(host) == -ECHILD;
}

static int host_wait(struct host *host)
{
	time_t deadline = time(NULL) + HOST_SECONDS;
	int ret;

	while ((ret = host_result(host)) == -ECHILD && time(NULL) <= deadline)
		sched_yield();
	return ret;
}

/* What every test starts with, and what must be true after it */
struct start {
	struct vfio_before before;
	unsigned int vms;
};

/* How often KVM was told of an assignment's start and end, where it is told at all */
static bool assignments(uint64_t kvm, unsigned int starts, unsigned int ends)
{
	bool ok = true;

	if (!probes[PROBE_START].is_set)
		return true;
	ok &= answer("starts", starts, vfio_trace_count(&probes[PROBE_START], kvm, NULL));
	ok &= answer("ends", ends, vfio_trace_count(&probes[PROBE_END], kvm, NULL));
	return ok;
}

static void start(struct start *start)
{
	unsigned int i;

	/* A test that failed may not have given the device back. */
	for (i = 0; i < nr_devices; i++)
		vfio_bind(devices[i].bdf);
	warn_once_rearm();
	vfio_remember(&start->before);
	*nr_adds = 0;
	vfio_trace_clear();
	start->vms = count_vms();
}

static bool is_clean(struct start *start)
{
	bool ok = true;
	unsigned int i;

	vfio_close_all(&start->before);
	for (i = 0; i < nr_devices; i++) {
		vfio_bind(devices[i].bdf);
		ok &= vfio_group_is_free(devices[i].group);
	}
	ok &= answer("VMs", start->vms, count_vms());
	ok &= assignments(VFIO_PROBE_ANY, *nr_adds, *nr_adds);
	ok &= answer("noncoherent VMs", trace_count(PROBE_REGISTER),
		     trace_count(PROBE_UNREGISTER));
	ok &= vfio_nothing_left(&start->before);
	return ok;
}

/*
 * Device cdevs
 */
FIXTURE(cdev)
{
	struct start start;
	struct holder holder;
	int iommufd;
	int cdev;
};

FIXTURE_SETUP(cdev)
{
	start(&self->start);
	holder_open(&self->holder);
	self->iommufd = iommufd_open();
	self->cdev = cdev_open(&devices[0]);
}

FIXTURE_TEARDOWN(cdev)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/* Contract 1.12, 5.2, 5.5: before BIND: the driver gets the VM. */
TEST_F(cdev, add_before_bind)
{
	EXPECT_EQ(0, __hold(self->holder.dev, self->cdev));
	EXPECT_EQ(self->holder.kvm, cdev_bind(self->cdev, self->iommufd));
	EXPECT_EQ(0, __cdev_attach(self->cdev, ioas_alloc(self->iommufd)));
	EXPECT_EQ(-EEXIST, __hold(self->holder.dev, self->cdev));
	EXPECT_EQ(0, __kvm_vfio_del(self->holder.dev, self->cdev));
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->holder.dev, self->cdev));
	EXPECT_EQ(0, __hold(self->holder.dev, self->cdev));
}

/* Contract 1.12, 5.2: after BIND: accepted, but too late for the driver. */
TEST_F(cdev, add_after_bind)
{
	EXPECT_EQ(0U, cdev_bind(self->cdev, self->iommufd));
	EXPECT_EQ(0, __hold(self->holder.dev, self->cdev));
	EXPECT_EQ(0, __cdev_attach(self->cdev, ioas_alloc(self->iommufd)));
	EXPECT_EQ(0, __kvm_vfio_del(self->holder.dev, self->cdev));
	EXPECT_EQ(0, __hold(self->holder.dev, self->cdev));
}

/* Contract 5.2 */
TEST_F(cdev, add_after_attach)
{
	EXPECT_EQ(0U, cdev_bind(self->cdev, self->iommufd));
	EXPECT_EQ(0, __cdev_attach(self->cdev, ioas_alloc(self->iommufd)));
	EXPECT_EQ(0, __hold(self->holder.dev, self->cdev));
	EXPECT_EQ(0, __kvm_vfio_del(self->holder.dev, self->cdev));
}

/* Contract 2, 3: what was deleted before BIND is not seen. */
TEST_F(cdev, del_before_bind)
{
	hold(self->holder.dev, self->cdev);
	EXPECT_EQ(0, __kvm_vfio_del(self->holder.dev, self->cdev));
	EXPECT_EQ(0U, cdev_bind(self->cdev, self->iommufd));
}

static void expect_shown(struct __test_metadata *_metadata, int dev, const char *protection)
{
	static struct vfio_show show;
	const unsigned int record = 1;	/* that of the only file */

	vfio_show_fd(dev, &show);
	ASSERT_EQ(1U, vfio_show_count(&show, "cdev", NULL));
	EXPECT_STREQ("held", vfio_show_get(&show, record, "state"));
	EXPECT_STREQ(protection, vfio_show_get(&show, record, "protection"));
	EXPECT_EQ(0U, vfio_show_number(&show, record, "users"));
	EXPECT_TRUE(!vfio_show_wrong(&show));
}

/* Contract 8.1: what fdinfo says of a cdev, before and after BIND */
TEST_F(cdev, shown)
{
	hold(self->holder.dev, self->cdev);
	expect_shown(_metadata, self->holder.dev, "none");
	cdev_bind(self->cdev, self->iommufd);
	expect_shown(_metadata, self->holder.dev, "iommufd");
}

/*
 * Contract 1.8, 2.2: a file counts, whatever its fd number; other files do not.
 */
TEST_F(cdev, refusals)
{
	char path[64];
	int copy, group, opath;

	snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%d",
		 vfio_cdev_number(&devices[0]));
	opath = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, opath);
	EXPECT_EQ(-EBADF, __hold(self->holder.dev, opath));
	EXPECT_EQ(-EINVAL, __hold(self->holder.dev, self->iommufd));
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->holder.dev, self->cdev));

	copy = dup(self->cdev);
	hold(self->holder.dev, self->cdev);
	EXPECT_EQ(-EEXIST, __hold(self->holder.dev, copy));
	close(self->cdev);
	EXPECT_EQ(-EBADF, __kvm_vfio_del(self->holder.dev, self->cdev));
	EXPECT_EQ(0, __kvm_vfio_del(self->holder.dev, copy));

	/* A device fd that came from a group is no cdev. */
	group = vfio_group_open(devices[0].group);
	vfio_group_set_container(group, self->iommufd);
	EXPECT_EQ(-EINVAL, __hold(self->holder.dev,
				  vfio_group_device(group, devices[0].bdf)));
}

/* While a group is open its cdevs cannot be bound, but they can be added. */
TEST_F(cdev, group_is_open)
{
	int group = vfio_group_open(devices[0].group);

	vfio_group_set_container(group, self->iommufd);
	hold(self->holder.dev, group);
	EXPECT_EQ(0, __hold(self->holder.dev, self->cdev));
	EXPECT_EQ(-EBUSY, __cdev_bind(self->cdev, self->iommufd));
	close(group);
	EXPECT_EQ(-EBUSY, __cdev_bind(self->cdev, self->iommufd));
	close(self->holder.dev);
	EXPECT_EQ(0U, cdev_bind(self->cdev, self->iommufd));
}

/*
 * Contract 3.3: a bound device keeps the VM that it was bound with, and pins
 * it.
 */
TEST_F(cdev, bound_device_keeps_its_vm)
{
	hold(self->holder.dev, self->cdev);
	EXPECT_EQ(self->holder.kvm, cdev_bind(self->cdev, self->iommufd));
	kvm_vfio_del(self->holder.dev, self->cdev);
	holder_close(&self->holder);
	EXPECT_TRUE(vm_is_there(self->holder.vm));
	close(self->cdev);
	EXPECT_FALSE(vm_is_there(self->holder.vm));
}

/* A file that was added too late, or was never bound, pins no VM. */
TEST_F(cdev, others_pin_no_vm)
{
	hold(self->holder.dev, self->cdev);
	holder_close(&self->holder);
	EXPECT_FALSE(vm_is_there(self->holder.vm));
	EXPECT_EQ(0U, cdev_bind(self->cdev, self->iommufd));

	holder_open(&self->holder);
	hold(self->holder.dev, self->cdev);
	holder_close(&self->holder);
	EXPECT_FALSE(vm_is_there(self->holder.vm));
}

enum {
	FD_VM,
	FD_KVM_VFIO,
	FD_IOMMUFD,
	FD_CDEV,
	FD_MAX
};

struct open_cdev {
	int fd[FD_MAX];
	bool added_first;
};

static void open_and_add(struct open_cdev *open, const struct vfio_test_device *device)
{
	struct holder holder;

	holder_open(&holder);
	open->fd[FD_VM] = holder.vm;
	open->fd[FD_KVM_VFIO] = holder.dev;
	open->fd[FD_IOMMUFD] = iommufd_open();
	open->fd[FD_CDEV] = cdev_open(device);
	if (open->added_first)
		hold(holder.dev, open->fd[FD_CDEV]);
	VFIO_ASSERT(cdev_bind(open->fd[FD_CDEV], open->fd[FD_IOMMUFD]) ==
		    (open->added_first ? holder.kvm : 0), "not the VM");
	if (!open->added_first)
		hold(holder.dev, open->fd[FD_CDEV]);
	VFIO_ASSERT(!__cdev_attach(open->fd[FD_CDEV],
				   ioas_alloc(open->fd[FD_IOMMUFD])), "attach");
}

/* Closes one file after the other, and checks each time what is still held. */
static bool close_in_order(struct open_cdev *open,
			   const struct vfio_test_device *device, unsigned int n)
{
	unsigned int order[FD_MAX], i;
	int vm = open->fd[FD_VM], group;
	bool file_held, vm_held;
	bool ok = true;

	nth_order(n, order, FD_MAX);
	for (i = 0; i < FD_MAX; i++) {
		close(open->fd[order[i]]);
		open->fd[order[i]] = -1;
		file_held = open->fd[FD_CDEV] >= 0 || open->fd[FD_KVM_VFIO] >= 0;
		vm_held = open->fd[FD_VM] >= 0 || open->fd[FD_KVM_VFIO] >= 0 ||
			  (open->added_first && file_held);
		group = __vfio_group_open(device->group);
		ok &= answer("open of the group", file_held ? -EBUSY : 0,
			     group < 0 ? group : 0);
		if (group >= 0)
			close(group);
		ok &= answer("VM", vm_held, vm_is_there(vm));
	}
	if (!ok)
		ksft_print_msg("in order %u\n", n);
	return ok;
}

/* Contract 2.6: fds closed in any order. */
TEST_F_TIMEOUT(cdev, any_close_order, TEST_SECONDS)
{
	struct open_cdev open;
	unsigned int n;

	close(self->cdev);
	for (n = 0; n < 2 * ORDERS_OF_4; n++) {
		open.added_first = n % 2;
		open_and_add(&open, &devices[0]);
		ASSERT_TRUE(close_in_order(&open, &devices[0], n / 2));
	}
}

/*
 * Contract 2.4: a new device for the same VM: the old one's files were
 * released.
 */
TEST_F(cdev, device_made_anew)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, __hold(self->holder.dev, self->cdev));
		EXPECT_EQ(-EBUSY, __kvm_vfio_create(self->holder.vm, 0));
		close(self->holder.dev);
		self->holder.dev = __kvm_vfio_create(self->holder.vm, 0);
		ASSERT_LE(0, self->holder.dev);
		EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->holder.dev, self->cdev));
	}
}

/*
 * Two files of one device
 */

/* Contract 5.3: both count, and each is released on its own. */
TEST_F(cdev, defect29_two_files_both_count)
{
	int second = cdev_open(&devices[0]), dev = self->holder.dev;

	EXPECT_EQ(0, __hold(dev, self->cdev));
	EXPECT_EQ(0, __hold(dev, second));
	EXPECT_EQ(-EEXIST, __hold(dev, self->cdev));
	EXPECT_EQ(-EEXIST, __hold(dev, second));
	EXPECT_TRUE(assignments(self->holder.kvm, 2, 0));
	EXPECT_EQ(0, __kvm_vfio_del(dev, self->cdev));
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(dev, self->cdev));
	EXPECT_EQ(-EEXIST, __hold(dev, second));
	EXPECT_TRUE(assignments(self->holder.kvm, 2, 1));
	/* Each file has the VM. */
	EXPECT_EQ(0U, cdev_bind(self->cdev, self->iommufd));
	close(self->cdev);
	EXPECT_EQ(self->holder.kvm, cdev_bind(second, self->iommufd));
	EXPECT_EQ(0, __kvm_vfio_del(dev, second));
	EXPECT_TRUE(assignments(self->holder.kvm, 2, 2));
}

FIXTURE(second_file)
{
	struct start start;
	struct holder holder;
	struct holder other;
	int iommufd;
	int cdev;
	int second;
};

FIXTURE_VARIANT(second_file)
{
	bool first_held;
	bool second_held;
};

FIXTURE_VARIANT_ADD(second_file, none_held)
{
};

FIXTURE_VARIANT_ADD(second_file, bound_one_held)
{
	.first_held = true,
};

FIXTURE_VARIANT_ADD(second_file, other_one_held)
{
	.second_held = true,
};

FIXTURE_VARIANT_ADD(second_file, both_held)
{
	.first_held = true,
	.second_held = true,
};

FIXTURE_SETUP(second_file)
{
	start(&self->start);
	holder_open(&self->holder);
	holder_open(&self->other);
	self->iommufd = iommufd_open();
	self->cdev = cdev_open(&devices[0]);
	self->second = cdev_open(&devices[0]);
	if (variant->first_held)
		hold(self->holder.dev, self->cdev);
	if (variant->second_held)
		hold(self->other.dev, self->second);
	VFIO_ASSERT(cdev_bind(self->cdev, self->iommufd) ==
		    (variant->first_held ? self->holder.kvm : 0), "not the VM");
}

FIXTURE_TEARDOWN(second_file)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/*
 * A device can be bound once.  The second BIND is refused, and must change
 * nothing for the first: neither the VM that the device keeps nor its count.
 */
TEST_F(second_file, defect39_bind_is_refused)
{
	EXPECT_EQ(-EINVAL, __cdev_bind(self->second, self->iommufd));
	EXPECT_EQ(-EINVAL, __cdev_bind(self->second, self->iommufd));
	holder_close(&self->other);
	EXPECT_FALSE(vm_is_there(self->other.vm));
	holder_close(&self->holder);
	EXPECT_EQ(variant->first_held, vm_is_there(self->holder.vm));
	close(self->cdev);
	EXPECT_FALSE(vm_is_there(self->holder.vm));
	/* The second file's VM is gone. */
	EXPECT_EQ(0U, cdev_bind(self->second, self->iommufd));
}

/*
 * The host takes the device
 */
FIXTURE(host)
{
	struct start start;
	struct holder holder;
	int iommufd;
	int cdev;
};

FIXTURE_VARIANT(host)
{
	bool bind;
	bool del;
};

FIXTURE_VARIANT_ADD(host, unbound_del)
{
	.del = true,
};

FIXTURE_VARIANT_ADD(host, unbound_close)
{
};

FIXTURE_VARIANT_ADD(host, bound_del)
{
	.bind = true,
	.del = true,
};

FIXTURE_VARIANT_ADD(host, bound_close)
{
	.bind = true,
};

FIXTURE_SETUP(host)
{
	start(&self->start);
	holder_open(&self->holder);
	self->iommufd = iommufd_open();
	self->cdev = cdev_open(&devices[0]);
	hold(self->holder.dev, self->cdev);
	if (variant->bind)
		cdev_bind(self->cdev, self->iommufd);
}

FIXTURE_TEARDOWN(host)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/*
 * Contract 5.4: KVM pins the file, and unbind waits for it, for nothing else.
 */
TEST_F_TIMEOUT(host, unbind_waits_for_the_file, TEST_SECONDS)
{
	struct host host;

	if (!variant->del)
		close(self->cdev);
	host_unbind(&host, &devices[0]);
	ASSERT_TRUE(host_is_stopped(&host));
	if (variant->del) {
		EXPECT_EQ(0, __kvm_vfio_del(self->holder.dev, self->cdev));
		/* Now the host waits for an open fd of user space. */
		EXPECT_TRUE(host_is_stopped(&host));
		close(self->cdev);
	} else {
		close(self->holder.dev);
	}
	EXPECT_EQ(0, host_wait(&host));
	EXPECT_EQ(-1, vfio_cdev_number(&devices[0]));

	/* And the device can be bound again. */
	vfio_bind(devices[0].bdf);
	if (!variant->del)
		self->holder.dev = kvm_vfio_create(self->holder.vm);
	EXPECT_EQ(0, __hold(self->holder.dev, cdev_open(&devices[0])));
}

/*
 * Coherency
 */

#ifdef __x86_64__
/*
 * Contract 6.4: KVM hears of the first and of the last noncoherent file only.
 */
TEST_F(cdev, coherency_counted_once)
{
	int second = cdev_open(&devices[0]), third = cdev_open(&devices[1]);
	const uint64_t kvm = self->holder.kvm;
	int dev = self->holder.dev;

	if (!all_weak)
		SKIP(return, "the IOMMU can make a device coherent");
	hold(dev, self->cdev);
	EXPECT_EQ(1U, vfio_trace_count(&probes[PROBE_REGISTER], kvm, NULL));
	hold(dev, second);
	hold(dev, third);
	EXPECT_EQ(-EEXIST, __hold(dev, third));
	EXPECT_EQ(1U, vfio_trace_count(&probes[PROBE_REGISTER], kvm, NULL));
	kvm_vfio_del(dev, self->cdev);
	kvm_vfio_del(dev, third);
	EXPECT_EQ(0U, vfio_trace_count(&probes[PROBE_UNREGISTER], kvm, NULL));
	kvm_vfio_del(dev, second);
	EXPECT_EQ(1U, vfio_trace_count(&probes[PROBE_UNREGISTER], kvm, NULL));
	hold(dev, second);
	EXPECT_EQ(2U, vfio_trace_count(&probes[PROBE_REGISTER], kvm, NULL));
	close(dev);
	EXPECT_EQ(2U, vfio_trace_count(&probes[PROBE_UNREGISTER], kvm, NULL));
}
#endif

/*
 * Two VMs
 */

/* The VM that the driver gets if the file is bound now */
static uint64_t vm_at_bind(int cdev)
{
	int iommufd = iommufd_open();
	uint64_t kvm = cdev_bind(cdev, iommufd);

	close(iommufd);
	return kvm;
}

/* Contract 3.2: the newest holder's VM is seen at BIND. */
TEST_F(cdev, newest_holder_is_seen)
{
	struct holder newer;

	holder_open(&newer);
	hold(self->holder.dev, self->cdev);
	hold(newer.dev, self->cdev);
	EXPECT_EQ(newer.kvm, vm_at_bind(self->cdev));

	/* The older holder releases; the driver keeps the newer one's VM. */
	holder_close(&self->holder);
	EXPECT_FALSE(vm_is_there(self->holder.vm));
	holder_close(&newer);
	EXPECT_TRUE(vm_is_there(newer.vm));
	close(self->cdev);
	EXPECT_FALSE(vm_is_there(newer.vm));
}

/* Contract 3.4: the release of the old one does not clear the newer one. */
TEST_F(cdev, old_holder_lets_go)
{
	struct holder newer;

	holder_open(&newer);
	hold(self->holder.dev, self->cdev);
	hold(newer.dev, self->cdev);
	holder_close(&self->holder);
	EXPECT_EQ(newer.kvm, vm_at_bind(self->cdev));
}

/* Contract 3.5: when the newest lets go, the older one is current again. */
TEST_F(cdev, newest_holder_lets_go)
{
	struct holder newer;

	holder_open(&newer);
	hold(self->holder.dev, self->cdev);
	hold(newer.dev, self->cdev);
	holder_close(&newer);
	EXPECT_EQ(self->holder.kvm, vm_at_bind(self->cdev));
}

/* Contract 3.6: never a pointer to a dead VM. */
TEST_F(cdev, all_holders_let_go)
{
	struct holder newer;

	holder_open(&newer);
	hold(self->holder.dev, self->cdev);
	hold(newer.dev, self->cdev);
	holder_close(&newer);
	holder_close(&self->holder);
	EXPECT_EQ(0U, vm_at_bind(self->cdev));
}

/* Contract 7.1 */
TEST_F(cdev, attributes)
{
	int dev = self->holder.dev, fd = self->cdev;

	EXPECT_EQ(0, __kvm_vfio_has_attr(dev, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD));
	EXPECT_EQ(0, __kvm_vfio_has_attr(dev, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_DEL));
	EXPECT_EQ(-ENXIO, __kvm_vfio_has_attr(dev, KVM_DEV_VFIO_FILE,
					      KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE));
	EXPECT_EQ(-ENXIO, __kvm_vfio_set_attr(dev, KVM_DEV_VFIO_FILE, 99, &fd));
	EXPECT_EQ(-ENXIO, __kvm_vfio_set_attr(dev, 99, KVM_DEV_VFIO_FILE_ADD, &fd));
	EXPECT_EQ(-EFAULT, __kvm_vfio_set_attr(dev, KVM_DEV_VFIO_FILE,
					       KVM_DEV_VFIO_FILE_ADD, NULL));
	hold(dev, fd);
	EXPECT_EQ(-ENXIO, __kvm_vfio_set_spapr_tce(dev, fd, -1));
}

/* A group on an iommufd instead of in a container */
FIXTURE(compat)
{
	struct start start;
	struct holder holder;
	int iommufd;
	int group;
};

FIXTURE_SETUP(compat)
{
	start(&self->start);
	holder_open(&self->holder);
	self->iommufd = iommufd_open();
	self->group = vfio_group_open(devices[0].group);
	vfio_group_set_container(self->group, self->iommufd);
}

FIXTURE_TEARDOWN(compat)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/* Contract 1.11, 5.1: ADD pins file and group; UNSET is EBUSY until DEL. */
TEST_F(compat, unset_is_busy_while_held)
{
	EXPECT_EQ(0, __hold(self->holder.dev, self->group));
	EXPECT_EQ(-EEXIST, __hold(self->holder.dev, self->group));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
	EXPECT_EQ(0, __kvm_vfio_del(self->holder.dev, self->group));
	EXPECT_EQ(0, __vfio_group_unset_container(self->group));
	EXPECT_EQ(-EINVAL, __vfio_group_unset_container(self->group));
	EXPECT_EQ(-EINVAL, __hold(self->holder.dev, self->group));
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(self->holder.dev, self->group));
}

/* The same group, first on the iommufd, then in a container, and back. */
TEST_F(compat, iommufd_or_container)
{
	int container = vfio_container_open();
	unsigned int i;

	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, __hold(self->holder.dev, self->group));
		EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
		EXPECT_EQ(0, __kvm_vfio_del(self->holder.dev, self->group));
		vfio_group_unset_container(self->group);

		EXPECT_EQ(0, __vfio_group_set_container(self->group, container));
		EXPECT_EQ(-EINVAL, __hold(self->holder.dev, self->group));
		vfio_container_use_iommu(container);
		EXPECT_EQ(0, __hold(self->holder.dev, self->group));
		EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
		EXPECT_EQ(0, __kvm_vfio_del(self->holder.dev, self->group));
		vfio_group_unset_container(self->group);
		vfio_group_set_container(self->group, self->iommufd);
	}
}

/* Contract 5.1: KVM holds the group even if user space closes its fds. */
TEST_F(compat, kvm_keeps_the_group)
{
	hold(self->holder.dev, self->group);
	close(self->iommufd);
	close(self->group);
	EXPECT_EQ(-EBUSY, __vfio_group_open(devices[0].group));
	close(self->holder.vm);
	EXPECT_EQ(-EBUSY, __vfio_group_open(devices[0].group));
	close(self->holder.dev);
	EXPECT_FALSE(vm_is_there(self->holder.vm));
	EXPECT_TRUE(vfio_group_is_free(devices[0].group));
}

/*
 * Contract 3.1, 5.1: UNSET is EBUSY until the last holder goes, in either
 * order.
 */
TEST_F(compat, second_holder)
{
	struct holder other;
	unsigned int i;

	holder_open(&other);
	for (i = 0; i < 2; i++) {
		hold(self->holder.dev, self->group);
		hold(other.dev, self->group);
		kvm_vfio_del(i ? other.dev : self->holder.dev, self->group);
		EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
		kvm_vfio_del(i ? self->holder.dev : other.dev, self->group);
		EXPECT_EQ(0, __vfio_group_unset_container(self->group));
		vfio_group_set_container(self->group, self->iommufd);
	}
}

/*
 * Contract 3.2, 3.3: which VM the driver gets, and which one the open device
 * pins.
 */
TEST_F(compat, device_gets_the_newest_vm)
{
	struct holder newer;
	uint64_t kvm;
	int device;

	holder_open(&newer);
	hold(self->holder.dev, self->group);
	hold(newer.dev, self->group);
	device = open_device(self->group, &devices[0], &kvm);
	EXPECT_EQ(newer.kvm, kvm);
	holder_close(&newer);
	EXPECT_TRUE(vm_is_there(newer.vm));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(self->group));
	close(device);
	EXPECT_FALSE(vm_is_there(newer.vm));
	device = open_device(self->group, &devices[0], &kvm);
	EXPECT_EQ(self->holder.kvm, kvm);
	kvm_vfio_del(self->holder.dev, self->group);
	close(device);
	device = open_device(self->group, &devices[0], &kvm);
	EXPECT_EQ(0U, kvm);
	close(device);
	EXPECT_EQ(0, __vfio_group_unset_container(self->group));
}

/*
 * Contract 1.22: the rest of the interface is unchanged while KVM holds the
 * group.
 */
TEST_F(compat, dma_while_held)
{
	void *buffer = vfio_dma_buffer(BUFFER_SIZE);
	int device;

	vfio_container_use_iommu(self->iommufd);
	hold(self->holder.dev, self->group);
	device = vfio_group_device(self->group, devices[0].bdf);
	EXPECT_EQ(0, __vfio_dma_map(self->iommufd, buffer, VFIO_TEST_IOVA, BUFFER_SIZE));
	EXPECT_EQ(0, __vfio_device_reset(device));
	EXPECT_TRUE(vfio_group_status(self->group) & VFIO_GROUP_FLAGS_CONTAINER_SET);
	EXPECT_EQ(0, __vfio_dma_unmap(self->iommufd, VFIO_TEST_IOVA, BUFFER_SIZE));
}

#ifdef __x86_64__
/* Contract 6.4: a group on an iommufd is what its devices can enforce. */
TEST_F(compat, coherency_counted_once)
{
	int cdev = cdev_open(&devices[1]);
	const uint64_t kvm = self->holder.kvm;

	if (!all_weak)
		SKIP(return, "the IOMMU can make a device coherent");
	hold(self->holder.dev, self->group);
	EXPECT_EQ(1U, vfio_trace_count(&probes[PROBE_REGISTER], kvm, NULL));
	hold(self->holder.dev, cdev);
	kvm_vfio_del(self->holder.dev, self->group);
	EXPECT_EQ(1U, vfio_trace_count(&probes[PROBE_REGISTER], kvm, NULL));
	EXPECT_EQ(0U, vfio_trace_count(&probes[PROBE_UNREGISTER], kvm, NULL));
	kvm_vfio_del(self->holder.dev, cdev);
	EXPECT_EQ(1U, vfio_trace_count(&probes[PROBE_UNREGISTER], kvm, NULL));
}
#endif

/*
 * Contract 1.24, 1.27: the host wins, without waiting, and the member is dead.
 */
TEST_F_TIMEOUT(compat, unbind_does_not_wait, TEST_SECONDS)
{
	int dev = self->holder.dev, group = self->group;
	struct holder other;
	struct host host;

	holder_open(&other);
	hold(dev, group);
	host_unbind(&host, &devices[0]);
	ASSERT_EQ(0, host_wait(&host));
	EXPECT_EQ(-ENODEV, __vfio_group_device(group, devices[0].bdf));
	EXPECT_EQ(-EEXIST, __hold(dev, group));
	EXPECT_EQ(-EINVAL, __hold(other.dev, group));
	EXPECT_TRUE(assignments(VFIO_PROBE_ANY, *nr_adds, 0));
	EXPECT_EQ(0, __kvm_vfio_del(dev, group));
	EXPECT_EQ(-ENOENT, __kvm_vfio_del(dev, group));
	EXPECT_EQ(-EINVAL, __hold(dev, group));

	/*
	 * The device comes back in a fresh group, whatever is left of the old
	 * one.
	 */
	vfio_bind(devices[0].bdf);
	close(group);
	group = vfio_group_open(devices[0].group);
	vfio_group_set_container(group, self->iommufd);
	EXPECT_EQ(0, __hold(dev, group));
}

/* A dead member keeps neither the group on the iommufd nor its fd open. */
TEST_F_TIMEOUT(compat, dead_member_holds_nothing, TEST_SECONDS)
{
	struct host host;

	hold(self->holder.dev, self->group);
	host_unbind(&host, &devices[0]);
	ASSERT_EQ(0, host_wait(&host));
	/* Only a container is dropped by VFIO together with the last device. */
	EXPECT_EQ(0, __vfio_group_unset_container(self->group));
	EXPECT_EQ(-EINVAL, __vfio_group_unset_container(self->group));
	close(self->group);
	close(self->holder.dev);
	close(self->holder.vm);
	EXPECT_FALSE(vm_is_there(self->holder.vm));
}

int main(int argc, char **argv)
{
	int ret;

	nr_devices = vfio_test_init(devices, ARRAY_SIZE(devices), 2);
	if (access("/dev/iommu", R_OK | W_OK))
		ksft_exit_skip("/dev/iommu: %s\n", strerror(errno));
	if (vfio_cdev_number(&devices[0]) < 0 || access("/dev/vfio/devices", F_OK))
		ksft_exit_skip("no cdev of %s\n", devices[0].bdf);
	hold_init();
	debugfs_mount();
	all_weak = !vfio_group_is_coherent(devices[0].group) &&
		   !vfio_group_is_coherent(devices[1].group);
	vfio_probes_set(probes, PROBE_MAX);
	ret = test_harness_run(argc, argv);
	vfio_probes_remove();
	return ret;
}
