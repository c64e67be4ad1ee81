// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the KVM-VFIO device promises when the host takes back the last device of
 * a held group (contract 1, "the host wins").
 *
 * The host takes the device by sysfs "unbind" or "remove", by unloading the
 * driver, and, in an emulated machine that offers it, by pulling the card or by
 * the power switch of its slot.  A separate process does that, in limited time.
 *
 * Kernels up to 6.x count assigned devices: there, after every test,
 * kvm_arch_start_assignment() and kvm_arch_end_assignment() (x86; kprobe events)
 * have been called once for each file that was added.
 *
 * KVM_VFIO_MODULES=DIR names the folder of the loaded modules' files, which are
 * loaded again; /lab/modules.d otherwise.  A port of virtio-serial of the name
 * lab.monitor is QEMU's monitor.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_hold.h"
#include "vfio_probe.h"
#include "vfio_util.h"

/* Several emulated machines run at a time.  Whatever takes this long hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

#define BUFFER_SIZE	(1024 * 1024UL)
#define HOST_SECONDS	120	/* the host takes far less, or hangs */
#define RACE_ROUNDS	12	/* half of them with DMA, as mapping takes long */
#define RACE_ADDS	5	/* in each round, before the host takes the device */
#define RACE_FDS	200	/* more than all other fds of the test */
#define PATH_SIZE	512

static struct vfio_test_device devices[8];
static unsigned int nr_devices;

/*
 * Probes
 */
enum {
	PROBE_START,
	PROBE_END,
	PROBE_MAX
};

/* Kernels of other architectures, and newer ones, have no such calls. */
static struct vfio_probe probes[PROBE_MAX] = {
#ifdef __x86_64__
	[PROBE_START] = VFIO_PROBE_GONE_IN(7, "start", "kvm_arch_start_assignment"),
	[PROBE_END] = VFIO_PROBE_GONE_IN(7, "end", "kvm_arch_end_assignment"),
#endif
};

/*
 * The host
 */
enum host_way {
	HOST_UNBIND,
	HOST_REMOVE,
	HOST_UNPLUG,
};

enum host_kind {
	HOST_WRITES,		/* @text to the file @path of sysfs */
	HOST_UNLOADS,		/* the module @text */
	HOST_UNPLUGS,		/* card number @card, at @text */
	HOST_PLUGS,
};

struct host_request {
	unsigned long tag;
	enum host_kind kind;
	unsigned int card;
	char path[PATH_SIZE];
	char text[64];
};

struct host_reply {
	unsigned long tag;
	int ret;
};

struct host {
	unsigned long tag;
	int ret;
};

static int host_sock;
static pid_t host_pid;

/* Can cards be taken out of the machine, and put back? */
static bool can_unplug;

static int unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

/*
 * The machine as seen from outside:  QEMU's QMP monitor, behind a port of the
 * lab.  The monitor tells when a card is really gone, which the kernel does not
 * know; the kernel tells when it has found a new one.
 */
struct machine {
	FILE *monitor;
	int events;
};

/* The port of an emulated machine for its monitor; false if there is none. */
static bool monitor_port(char *path, size_t size)
{
	struct dirent *entry;
	bool found = false;
	char name[64];
	DIR *dir;
	FILE *f;

	dir = opendir("/sys/class/virtio-ports");
	while (dir && !found && (entry = readdir(dir))) {
		snprintf(path, size, "/sys/class/virtio-ports/%s/name",
			 entry->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		found = fgets(name, sizeof(name), f) &&
			!strcmp(name, "lab.monitor\n");
		fclose(f);
		snprintf(path, size, "/dev/%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Reads until a line contains both; -EIO if QEMU refused. */
static int monitor_await(FILE *monitor, const char *what, const char *also)
{
	char line[1024];

	while (fgets(line, sizeof(line), monitor)) {
		if (strstr(line, "\"error\"")) {
			fprintf(stderr, "# QEMU: %s", line);
			return -EIO;
		}
		if (strstr(line, what) && strstr(line, also))
			return 0;
	}
	return -errno;
}

static void machine_open(struct machine *machine)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	char path[PATH_SIZE];
	int fd;

	machine->monitor = NULL;
	if (!monitor_port(path, sizeof(path)))
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	VFIO_ASSERT(fd >= 0, "open %s", path);
	VFIO_ASSERT(dprintf(fd, "{\"execute\":\"qmp_capabilities\"}\n") > 0,
		    "write to the monitor");
	machine->monitor = fdopen(fd, "re");
	VFIO_ASSERT(machine->monitor, "fdopen");
	/* This is refused if an earlier program did it. */
	monitor_await(machine->monitor, "\"return\"", "");
	machine->events = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
				 NETLINK_KOBJECT_UEVENT);
	VFIO_ASSERT(machine->events >= 0 &&
		    !bind(machine->events, (struct sockaddr *)&address,
			  sizeof(address)), "listen for events");
}

static int machine_unplug(struct machine *machine, unsigned int card)
{
	char name[16];

	snprintf(name, sizeof(name), "\"nic%u\"", card);
	if (dprintf(fileno(machine->monitor),
		    "{\"execute\":\"device_del\",\"arguments\":{\"id\":%s}}\n",
		    name) < 0)
		return -errno;
	return monitor_await(machine->monitor, "\"DEVICE_DELETED\"", name);
}

static int machine_plug(struct machine *machine, unsigned int card,
			const char *bdf)
{
	char event[8192], args[128];
	ssize_t len;
	int ret;

	while (recv(machine->events, event, sizeof(event), MSG_DONTWAIT) > 0 ||
	       errno == ENOBUFS)
		;
	snprintf(args, sizeof(args),
		 "\"driver\":\"e1000e\",\"id\":\"nic%u\",\"netdev\":\"net%u\",\"bus\":\"port%u\"",
		 card, card, card);
	if (dprintf(fileno(machine->monitor),
		    "{\"execute\":\"device_add\",\"arguments\":{%s,\"romfile\":\"\"}}\n",
		    args) < 0)
		return -errno;
	ret = monitor_await(machine->monitor, "\"return\"", "");
	while (!ret) {
		len = recv(machine->events, event, sizeof(event) - 1, 0);
		if (len < 0)
			return -errno;
		event[len] = '\0';
		len = strlen(event) - strlen(bdf);
		if (!strncmp(event, "add@", 4) && len > 0 &&
		    !strcmp(event + len, bdf))
			break;
	}
	return ret;
}

static int host_do(struct machine *machine, const struct host_request *request)
{
	switch (request->kind) {
	case HOST_WRITES:
		return __sysfs_write(request->path, request->text);
	case HOST_UNLOADS:
		return unload(request->text);
	case HOST_UNPLUGS:
		return machine_unplug(machine, request->card);
	case HOST_PLUGS:
		return machine_plug(machine, request->card, request->text);
	}
	return -EINVAL;
}

static void host_serve(int sock)
{
	struct host_request request;
	struct host_reply reply;
	struct machine machine;

	machine_open(&machine);
	while (read(sock, &request, sizeof(request)) == sizeof(request)) {
		reply.tag = request.tag;
		reply.ret = host_do(&machine, &request);
		if (write(sock, &reply, sizeof(reply)) != sizeof(reply))
			break;
	}
}

/*
 * The host is a process that was forked when nothing was open.  So if it hangs,
 * it keeps no file of a test open.
 */
static void host_start(void)
{
	char path[PATH_SIZE];
	int socks[2];

	can_unplug = monitor_port(path, sizeof(path));
	VFIO_ASSERT(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks),
		    "socketpair");
	host_pid = fork();
	VFIO_ASSERT(host_pid >= 0, "fork");
	if (!host_pid) {
		VFIO_ASSERT(dup2(socks[1], 3) == 3, "dup2");
		close_range(4, ~0U, 0);
		host_serve(3);
		_exit(KSFT_PASS);
	}
	close(socks[1]);
	host_sock = socks[0];
}

static void host_ask(struct host *host, struct host_request *request)
{
	static unsigned int nr;

	/* A test that failed may have left a reply. */
	host->tag = ((unsigned long)getpid() << 16) + ++nr;
	request->tag = host->tag;
	VFIO_ASSERT(write(host_sock, request, sizeof(*request)) ==
		    sizeof(*request), "ask the host");
}

static void host_begin(struct host *host, const char *path, const char *text)
{
	struct host_request request = {
		.kind = *path ? HOST_WRITES : HOST_UNLOADS,
	};

	snprintf(request.path, sizeof(request.path), "%s", path);
	snprintf(request.text, sizeof(request.text), "%s", text);
	host_ask(host, &request);
}

static void host_begin_plug(struct host *host, enum host_kind kind,
			    const struct vfio_test_device *device)
{
	struct host_request request = {
		.kind = kind,
		.card = device - devices,
	};

	snprintf(request.text, sizeof(request.text), "%s", device->bdf);
	host_ask(host, &request);
}

static bool host_is_done(struct host *host, int milliseconds)
{
	struct pollfd pollfd = { .fd = host_sock, .events = POLLIN };
	struct host_reply reply = { .tag = 0 };

	while (reply.tag != host->tag) {
		if (poll(&pollfd, 1, milliseconds) != 1)
			return false;
		VFIO_ASSERT(read(host_sock, &reply, sizeof(reply)) ==
			    sizeof(reply), "the host is gone");
	}
	host->ret = reply.ret;
	return true;
}

static void host_print_stack(void)
{
	char path[64], line[PATH_SIZE];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stack", host_pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "# %s", line);
	if (f)
		fclose(f);
}

/* -ETIMEDOUT if it hangs.  Then nothing works any more. */
static int host_wait(struct host *host)
{
	if (host_is_done(host, HOST_SECONDS * 1000))
		return host->ret;
	host_print_stack();
	return -ETIMEDOUT;
}

static void host_begin_take(struct host *host, enum host_way way,
			    const struct vfio_test_device *device)
{
	char path[PATH_SIZE];

	if (way == HOST_UNPLUG) {
		host_begin_plug(host, HOST_UNPLUGS, device);
		return;
	}
	if (way == HOST_UNBIND) {
		host_begin(host, "/sys/bus/pci/drivers/vfio-pci/unbind",
			   device->bdf);
		return;
	}
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", device->bdf);
	host_begin(host, path, "1");
}

static int host_take(enum host_way way, const struct vfio_test_device *device)
{
	struct host host;

	host_begin_take(&host, way, device);
	return host_wait(&host);
}

static bool device_is_there(const struct vfio_test_device *device)
{
	char link[PATH_SIZE];

	return !__pci_link(device->bdf, "subsystem", link, sizeof(link));
}

/* If the card was taken out, it is put back. */
static bool device_comes_back(const struct vfio_test_device *device)
{
	struct host host;

	VFIO_ASSERT(!__sysfs_write("/sys/bus/pci/rescan", "1"), "rescan");
	if (device_is_there(device))
		return true;
	if (!can_unplug)
		return false;
	host_begin_plug(&host, HOST_PLUGS, device);
	if (host_wait(&host))
		return false;
	/*
	 * A device is announced before it is ready.  This waits for its driver.
	 */
	VFIO_ASSERT(!__sysfs_write("/sys/bus/pci/rescan", "1"), "rescan");
	return device_is_there(device);
}

/*
 * Undoes what the host did, in whatever way.  A device that was removed may
 * come back in another group.  False if the device is not in the machine any
 * more.
 */
static bool __host_give(struct vfio_test_device *device)
{
	char link[PATH_SIZE];

	if (!device_is_there(device) && !device_comes_back(device))
		return false;
	vfio_bind(device->bdf);
	VFIO_ASSERT(!__pci_link(device->bdf, "iommu_group", link, sizeof(link)),
		    "%s is in no IOMMU group", device->bdf);
	device->group = strtoul(link, NULL, 10);
	return true;
}

static void host_give(struct vfio_test_device *device)
{
	VFIO_ASSERT(__host_give(device), "%s does not come back", device->bdf);
}

/*
 * Dead groups
 */
static int __group_status(int group)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };

	return ioctl(group, VFIO_GROUP_GET_STATUS, &status) ? -errno : 0;
}

static bool group_is_dead(int group, const struct vfio_test_device *device)
{
	int container = vfio_container_open();
	bool ok = true;

	ok &= answer("UNSET_CONTAINER", -EINVAL,
		     __vfio_group_unset_container(group));
	ok &= answer("GET_STATUS", -ENODEV, __group_status(group));
	ok &= answer("GET_DEVICE_FD", -ENODEV,
		     __vfio_group_device(group, device->bdf));
	ok &= answer("SET_CONTAINER", -ENODEV,
		     __vfio_group_set_container(group, container));
	close(container);
	return ok;
}

/* A container whose only group has left */
static bool container_is_empty(int container)
{
	bool ok = true;

	ok &= answer("SET_IOMMU", -EINVAL, __vfio_container_use_iommu(container));
	ok &= answer("MAP_DMA", -EINVAL,
		     __vfio_dma_map(container, NULL, VFIO_TEST_IOVA, BUFFER_SIZE));
	return ok;
}

static bool member_is_dead(int dev, int group)
{
	bool ok = true;

	ok &= answer("ADD where it is held", -EEXIST, __hold(dev, group));
	ok &= answer("DEL", 0, __kvm_vfio_del(dev, group));
	ok &= answer("DEL again", -ENOENT, __kvm_vfio_del(dev, group));
	ok &= answer("ADD after DEL", -EINVAL, __hold(dev, group));
	return ok;
}

static bool is_refused(int dev, int group)
{
	bool ok = true;

	ok &= answer("ADD where it is not held", -EINVAL, __hold(dev, group));
	ok &= answer("DEL where it is not held", -ENOENT,
		     __kvm_vfio_del(dev, group));
	return ok;
}

/* Everything that can be done with a group; leaves nothing open. */
static void use_and_close(int dev, const struct vfio_test_device *device)
{
	int group = group_with_container(device);
	int fd;

	hold(dev, group);
	VFIO_ASSERT(__vfio_group_unset_container(group) == -EBUSY,
		    "a held group leaves its container");
	fd = vfio_group_device(group, device->bdf);
	close(fd);
	kvm_vfio_del(dev, group);
	vfio_group_unset_container(group);
	close(group);
}

/* What every test starts with, and what must be true after it */
struct start {
	struct vfio_before before;
	unsigned long hits[PROBE_MAX];
};

/* Files for which KVM was told about the start, or the end, of an assignment. */
static bool assignments(const struct start *start, unsigned int probe,
			unsigned int expected)
{
	if (!probes[probe].is_set)
		return true;
	return answer(probes[probe].name, expected,
		      vfio_probe_hits(&probes[probe]) - start->hits[probe]);
}

static void start(struct start *start)
{
	unsigned int i;

	/* A test that failed may not have given the device back. */
	for (i = 0; i < nr_devices; i++)
		__host_give(&devices[i]);
	warn_once_rearm();
	vfio_remember(&start->before);
	*nr_adds = 0;
	for (i = 0; i < PROBE_MAX; i++)
		if (probes[i].is_set)
			start->hits[i] = vfio_probe_hits(&probes[i]);
}

/* Closes all files of the test, but not those of the host and of the log. */
static void close_all_but(int log)
{
	VFIO_ASSERT(log > host_sock, "the log comes after the host");
	if (host_sock > 3)
		close_range(3, host_sock - 1, 0);
	if (log > host_sock + 1)
		close_range(host_sock + 1, log - 1, 0);
	close_range(log + 1, ~0U, 0);
}

static bool is_clean(struct start *start)
{
	bool ok = true;
	unsigned int i;

	close_all_but(start->before.log);
	for (i = 0; i < nr_devices; i++)
		if (__host_give(&devices[i]))
			ok &= vfio_group_is_free(devices[i].group);
	ok &= assignments(start, PROBE_START, *nr_adds);
	ok &= assignments(start, PROBE_END, *nr_adds);
	ok &= vfio_nothing_left(&start->before);
	return ok;
}

/*
 * Contract 1: the host wins
 */
FIXTURE(host_wins)
{
	struct start start;
	struct vmm vmm;
	int vm2;
	int dev2;	/* also holds the group, if there are two VMs */
};

FIXTURE_VARIANT(host_wins)
{
	enum host_way way;
	unsigned int order;	/* of the closes: the first order to try, */
	unsigned int orders;	/* and the distance to the next one */
	bool two_vms;
	bool v1;		/* another type of container */
};

FIXTURE_VARIANT_ADD(host_wins, unbind)
{
	.way = HOST_UNBIND,
	.orders = 1,
};

FIXTURE_VARIANT_ADD(host_wins, remove)
{
	.way = HOST_REMOVE,
	.order = 0,
	.orders = 5,
};

/*
 * Host bridges of powernv machines have no hot-plug.  On arm64 pciehp does it, in which
 * lockdep finds a fault of its own: reset_lock and pci_rescan_remove_lock in both orders.
 */
#ifdef __x86_64__
FIXTURE_VARIANT_ADD(host_wins, unplug)
{
	.way = HOST_UNPLUG,
	.order = 1,
	.orders = 5,
};
#endif

FIXTURE_VARIANT_ADD(host_wins, unbind_v1)
{
	.way = HOST_UNBIND,
	.order = 2,
	.orders = 5,
	.v1 = true,
};

FIXTURE_VARIANT_ADD(host_wins, unbind_two_vms)
{
	.way = HOST_UNBIND,
	.order = 3,
	.orders = 5,
	.two_vms = true,
};

FIXTURE_VARIANT_ADD(host_wins, remove_two_vms)
{
	.way = HOST_REMOVE,
	.order = 4,
	.orders = 5,
	.two_vms = true,
};

static void open_holder(struct vmm *vmm, const struct vfio_test_device *device)
{
	vmm_open(vmm, device, false);
	__atomic_add_fetch(nr_adds, 1, __ATOMIC_RELAXED);
}

FIXTURE_SETUP(host_wins)
{
	if (variant->way == HOST_UNPLUG && !can_unplug)
		SKIP(return, "no cards that can be unplugged");
	if (variant->v1)
		vfio_test_iommu_type = VFIO_TEST_IOMMU_V1;
	start(&self->start);
	open_holder(&self->vmm, &devices[0]);
	self->vm2 = kvm_vm_open();
	self->dev2 = kvm_vfio_create(self->vm2);
	if (variant->two_vms)
		hold(self->dev2, self->vmm.fd[VMM_GROUP]);
}

FIXTURE_TEARDOWN(host_wins)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/* The group is deleted from the first VM; @dev2 may hold it as well. */
static bool all_dead(const struct vmm *vmm, int dev2, bool two_vms)
{
	int group = vmm->fd[VMM_GROUP];
	bool ok = true;

	ok &= group_is_dead(group, &devices[0]);
	ok &= member_is_dead(vmm->fd[VMM_KVM_VFIO], group);
	if (two_vms)
		ok &= member_is_dead(dev2, group);
	else
		ok &= is_refused(dev2, group);
	return ok;
}

/*
 * Contract 1.26, 1.27, 1.30, 1.32: No device fd is open. The dead member still
 * counts for KVM until DEL.
 */
TEST_F(host_wins, dead_member)
{
	ASSERT_EQ(0, host_take(variant->way, &devices[0]));
	EXPECT_TRUE(assignments(&self->start, PROBE_END, 0));
	EXPECT_TRUE(container_is_empty(self->vmm.fd[VMM_CONTAINER]));
	EXPECT_TRUE(all_dead(&self->vmm, self->dev2, variant->two_vms));
	EXPECT_TRUE(assignments(&self->start, PROBE_END, *nr_adds));
	host_give(&devices[0]);
	use_and_close(self->dev2, &devices[0]);
}

/* Contract 1.25: Only the group keeps the container. */
TEST_F(host_wins, container_fd_closed)
{
	close(self->vmm.fd[VMM_CONTAINER]);
	ASSERT_EQ(0, host_take(variant->way, &devices[0]));
	EXPECT_TRUE(all_dead(&self->vmm, self->dev2, variant->two_vms));
	host_give(&devices[0]);
	use_and_close(self->dev2, &devices[0]);
}

/* Contract 1.25: Only KVM keeps the group, so there is no fd left for a DEL. */
TEST_F(host_wins, all_vfio_fds_closed)
{
	close(self->vmm.fd[VMM_CONTAINER]);
	close(self->vmm.fd[VMM_GROUP]);
	ASSERT_EQ(0, host_take(variant->way, &devices[0]));
	host_give(&devices[0]);
	use_and_close(self->dev2, &devices[0]);
	close(self->vmm.fd[VMM_KVM_VFIO]);
	use_and_close(self->dev2, &devices[0]);
}

/*
 * Contract 1.25: What is mapped is unmapped at once, and the IOMMU driver is
 * free.
 */
TEST_F(host_wins, dma_mapped)
{
	int iommu_refs = module_refcnt(VFIO_TEST_IOMMU_MODULE);
	int container = self->vmm.fd[VMM_CONTAINER];
	void *va = vfio_dma_buffer(BUFFER_SIZE);
	long free_kib = locked_kib();

	ASSERT_EQ(0, __vfio_memory_register(container, va, BUFFER_SIZE));
	ASSERT_EQ(0, __vfio_dma_map(container, va, VFIO_TEST_IOVA, BUFFER_SIZE));
	ASSERT_LT(free_kib, locked_kib());
	ASSERT_EQ(0, host_take(variant->way, &devices[0]));
	EXPECT_EQ(free_kib, locked_kib());
	/* Unless it is built in. */
	if (iommu_refs >= 0)
		EXPECT_EQ(iommu_refs - 1, module_refcnt(VFIO_TEST_IOMMU_MODULE));
	EXPECT_TRUE(container_is_empty(container));
	EXPECT_TRUE(all_dead(&self->vmm, self->dev2, variant->two_vms));
}

/* A device was open and is closed: what it pinned is released as well. */
TEST_F(host_wins, device_fd_closed_before)
{
	int device = vfio_group_device(self->vmm.fd[VMM_GROUP], devices[0].bdf);

	close(device);
	ASSERT_EQ(0, host_take(variant->way, &devices[0]));
	EXPECT_TRUE(all_dead(&self->vmm, self->dev2, variant->two_vms));
}

/* Another group of the same container is not affected. */
TEST_F(host_wins, other_group_lives)
{
	int container = self->vmm.fd[VMM_CONTAINER];
	int other = vfio_group_open(devices[1].group);
	void *va = vfio_dma_buffer(BUFFER_SIZE);

	if (variant->v1 && VFIO_TEST_IOMMU_V1 == VFIO_SPAPR_TCE_IOMMU)
		SKIP(return, "such a container takes one group");
	vfio_group_set_container(other, container);
	hold(self->vmm.fd[VMM_KVM_VFIO], other);
	ASSERT_EQ(0, host_take(variant->way, &devices[0]));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(other));
	EXPECT_EQ(0, __vfio_memory_register(container, va, BUFFER_SIZE));
	EXPECT_EQ(0, __vfio_dma_map(container, va, VFIO_TEST_IOVA, BUFFER_SIZE));
	EXPECT_EQ(0, __vfio_dma_unmap(container, VFIO_TEST_IOVA, BUFFER_SIZE));
	EXPECT_TRUE(all_dead(&self->vmm, self->dev2, variant->two_vms));
	kvm_vfio_del(self->vmm.fd[VMM_KVM_VFIO], other);
	EXPECT_EQ(0, __vfio_group_unset_container(other));
}

/* Contract 1.30: The dead group does not affect the fresh one. */
TEST_F(host_wins, fresh_group_while_dead_held)
{
	int dev = self->vmm.fd[VMM_KVM_VFIO];
	int dead = self->vmm.fd[VMM_GROUP];
	int fresh, device;

	ASSERT_EQ(0, host_take(variant->way, &devices[0]));
	host_give(&devices[0]);
	fresh = group_with_container(&devices[0]);
	hold(dev, fresh);
	hold(self->dev2, fresh);
	device = vfio_group_device(fresh, devices[0].bdf);
	EXPECT_TRUE(group_is_dead(dead, &devices[0]));
	EXPECT_EQ(-EBUSY, __vfio_group_open(devices[0].group));

	kvm_vfio_del(dev, dead);
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(fresh));
	close(device);
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(fresh));
	kvm_vfio_del(dev, fresh);
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(fresh));
	kvm_vfio_del(self->dev2, fresh);
	EXPECT_EQ(0, __vfio_group_unset_container(fresh));
}

/*
 * Contract 1.30: Three dead groups one after the other, all released at the
 * end. Each time the fresh group is added.
 */
TEST_F(host_wins, again_and_again)
{
	int dev = self->vmm.fd[VMM_KVM_VFIO];
	int group[3], i;

	ASSERT_EQ(0, host_take(variant->way, &devices[0]));
	for (i = 0; i < 3; i++) {
		host_give(&devices[0]);
		group[i] = group_with_container(&devices[0]);
		hold(dev, group[i]);
		ASSERT_EQ(0, host_take(variant->way, &devices[0]));
		EXPECT_TRUE(group_is_dead(group[i], &devices[0]));
	}
	EXPECT_EQ(0, __kvm_vfio_del(dev, group[1]));
	EXPECT_EQ(0, __kvm_vfio_del(dev, group[0]));
	close(dev);
	EXPECT_TRUE(is_refused(kvm_vfio_create(self->vmm.fd[VMM_VM]), group[2]));
}

/*
 * Contract 1.25: Closing works in every order, whether or not the device is
 * back. All orders are tried after an unbind, which is the quickest; the other
 * ways try some of the orders each.
 */
TEST_F(host_wins, any_close_order)
{
	static const unsigned int fds[4] = {
		VMM_VM, VMM_KVM_VFIO, VMM_CONTAINER, VMM_GROUP,
	};
	unsigned int order[4], n, i;

	for (n = variant->order; n < ORDERS_OF_4; n += variant->orders) {
		nth_order(n, order, 4);
		ASSERT_EQ(0, host_take(variant->way, &devices[0]));
		for (i = 0; i < 4; i++) {
			if (i == n % 4)
				host_give(&devices[0]);
			close(self->vmm.fd[fds[order[i]]]);
		}
		if (variant->two_vms) {
			close(self->dev2);
			self->dev2 = kvm_vfio_create(self->vm2);
		}
		open_holder(&self->vmm, &devices[0]);
		if (variant->two_vms)
			hold(self->dev2, self->vmm.fd[VMM_GROUP]);
	}
}

#ifdef __KVM_HAVE_SPAPR_TCE
/*
 * Contract 4.17: a TCE table is attached. Once the group is dead, DEL and the
 * close of the table undo what is left, in either order.
 */
TEST_F(host_wins, tce_table_attached)
{
	int dev = self->vmm.fd[VMM_KVM_VFIO];
	int group = self->vmm.fd[VMM_GROUP];
	uint64_t window;
	int table, fresh;

	window = vfio_default_window(self->vmm.fd[VMM_CONTAINER]);
	table = kvm_tce_table(self->vmm.fd[VMM_VM], 1, window);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(dev, group, table));
	ASSERT_EQ(0, host_take(variant->way, &devices[0]));
	EXPECT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(dev, group, table));
	EXPECT_EQ(-EBADF, __kvm_vfio_set_spapr_tce(dev, group, -1));
	EXPECT_TRUE(group_is_dead(group, &devices[0]));

	/* The table can be attached to the fresh group's window. */
	host_give(&devices[0]);
	fresh = vfio_group_open(devices[0].group);
	vfio_group_set_container(fresh, self->vmm.fd[VMM_CONTAINER]);
	vfio_container_use_iommu(self->vmm.fd[VMM_CONTAINER]);
	ASSERT_EQ(window, vfio_default_window(self->vmm.fd[VMM_CONTAINER]));
	hold(dev, fresh);
	EXPECT_EQ(0, __kvm_vfio_set_spapr_tce(dev, fresh, table));
	EXPECT_EQ(-EINVAL, __kvm_vfio_set_spapr_tce(dev, group, table));
	EXPECT_EQ(0, __kvm_vfio_del(dev, group));
	EXPECT_EQ(-ENOENT, __kvm_vfio_set_spapr_tce(dev, group, table));
	EXPECT_EQ(0, __kvm_vfio_set_spapr_tce(dev, fresh, table));

	ASSERT_EQ(0, host_take(variant->way, &devices[0]));
	close(table);
	EXPECT_EQ(0, __kvm_vfio_del(dev, fresh));
}
#endif

/*
 * Has VFIO ask for the release of the device through an eventfd, as on stock.
 */
static int request_event(int device)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} irq = {
		.set = {
			.argsz = sizeof(irq.set) + sizeof(irq.fd),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD |
				 VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_REQ_IRQ_INDEX,
			.count = 1,
		},
	};

	irq.fd = eventfd(0, EFD_CLOEXEC);
	VFIO_ASSERT(irq.fd >= 0, "eventfd");
	VFIO_ASSERT(!ioctl(device, VFIO_DEVICE_SET_IRQS, &irq),
		    "VFIO_DEVICE_SET_IRQS");
	return irq.fd;
}

/* Contract 1.24: The host waits for an open device fd, but not for KVM. */
TEST_F(host_wins, waits_for_device_fd_only)
{
	struct pollfd event = { .events = POLLIN };
	int group = self->vmm.fd[VMM_GROUP];
	struct host host;
	int device;

	device = vfio_group_device(group, devices[0].bdf);
	event.fd = request_event(device);
	host_begin_take(&host, variant->way, &devices[0]);
	ASSERT_EQ(1, poll(&event, 1, HOST_SECONDS * 1000));

	/* The host already refuses new opens, and waits. */
	EXPECT_FALSE(host_is_done(&host, 0));
	EXPECT_EQ(-ENODEV, __vfio_group_device(group, devices[0].bdf));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(group));
	EXPECT_EQ(-EEXIST, __hold(self->vmm.fd[VMM_KVM_VFIO], group));
	close(device);
	ASSERT_EQ(0, host_wait(&host));
	EXPECT_TRUE(all_dead(&self->vmm, self->dev2, variant->two_vms));
}

/* Contract 1.26: The same, and KVM releases the group while the host waits. */
TEST_F(host_wins, del_while_host_waits)
{
	struct pollfd event = { .events = POLLIN };
	int group = self->vmm.fd[VMM_GROUP];
	struct host host;
	int device;

	device = vfio_group_device(group, devices[0].bdf);
	event.fd = request_event(device);
	host_begin_take(&host, variant->way, &devices[0]);
	ASSERT_EQ(1, poll(&event, 1, HOST_SECONDS * 1000));
	kvm_vfio_del(self->vmm.fd[VMM_KVM_VFIO], group);
	EXPECT_EQ(0, __hold(self->vmm.fd[VMM_KVM_VFIO], group));
	kvm_vfio_del(self->vmm.fd[VMM_KVM_VFIO], group);
	if (variant->two_vms)
		kvm_vfio_del(self->dev2, group);
	EXPECT_FALSE(host_is_done(&host, 0));
	close(device);
	ASSERT_EQ(0, host_wait(&host));
	EXPECT_TRUE(group_is_dead(group, &devices[0]));
}

/*
 * Contract 1: the host wins at any moment
 *
 * The host takes the device and gives it back, while an owner opens the group,
 * puts it in a container, opens the device and undoes that, and two VMs add and
 * delete what the owner has, and make their KVM-VFIO devices anew.  A VM may
 * use the owner's fd just after it was closed or reused for another file.
 */
enum {
	OP_OPEN,
	OP_SET_CONTAINER,
	OP_SET_IOMMU,
	OP_REGISTER,
	OP_MAP,
	OP_UNMAP,
	OP_DEVICE,
	OP_UNSET,
	OP_ADD,
	OP_DEL,
	OP_SET_TCE,
	OP_CREATE,
	OP_MAX
};

/* The errors that each operation may return */
static const struct {
	const char *name;
	int allowed[5];
	bool needs_dma;		/* or the window that comes with it */
} ops[OP_MAX] = {
	/*
	 * ENOENT, ENXIO, ENODEV: the group is going away.  EBUSY:  KVM holds
	 * it.
	 */
	[OP_OPEN] = { "open", { -ENOENT, -ENXIO, -ENODEV, -EBUSY } },
	[OP_SET_CONTAINER] = { "SET_CONTAINER", { -ENODEV } },
	[OP_SET_IOMMU] = { "SET_IOMMU", { -EINVAL } },
	/*
	 * EINVAL: the container lost its IOMMU driver together with its group.
	 */
	[OP_REGISTER] = { "REGISTER_MEMORY", { -EINVAL }, true },
	[OP_MAP] = { "MAP_DMA", { -EINVAL }, true },
	[OP_UNMAP] = { "UNMAP_DMA", { -EINVAL }, true },
	/* EAGAIN: the reset needs a lock that the host has at this moment. */
	[OP_DEVICE] = { "GET_DEVICE_FD", { -EINVAL, -ENODEV, -EAGAIN } },
	[OP_UNSET] = { "UNSET_CONTAINER", { -EINVAL, -EBUSY } },
	[OP_ADD] = { "ADD", { -EBADF, -EINVAL, -EEXIST } },
	[OP_DEL] = { "DEL", { -EBADF, -ENOENT } },
	[OP_SET_TCE] = { "SET_SPAPR_TCE", { -EBADF, -ENOENT, -EINVAL }, true },
	[OP_CREATE] = { "CREATE_DEVICE", { 0 } },
};

struct race {
	unsigned int number;	/* of the group */
	void *buffer;		/* NULL: the owner maps nothing */
	int group;		/* fd, or -1 */
	bool stop;
	unsigned int done[OP_MAX];
	unsigned int bad;
};

struct race_vm {
	struct race *race;
	int vm;
	int table;
};

static int op(struct race *race, unsigned int kind, int ret)
{
	unsigned int i;

	if (ret >= 0) {
		__atomic_add_fetch(&race->done[kind], 1, __ATOMIC_RELAXED);
		return ret;
	}
	for (i = 0; i < ARRAY_SIZE(ops[kind].allowed); i++)
		if (ret == ops[kind].allowed[i])
			return ret;
	if (__atomic_add_fetch(&race->bad, 1, __ATOMIC_RELAXED) <= 10)
		fprintf(stderr, "# %s: %d\n", ops[kind].name, ret);
	return ret;
}

static unsigned int race_done(struct race *race, unsigned int kind)
{
	return __atomic_load_n(&race->done[kind], __ATOMIC_ACQUIRE);
}

static bool race_is_over(struct race *race)
{
	return __atomic_load_n(&race->stop, __ATOMIC_ACQUIRE);
}

static void race_use_device(struct race *race, int group)
{
	int fd = op(race, OP_DEVICE, __vfio_group_device(group, devices[0].bdf));

	if (fd >= 0)
		close(fd);
}

/*
 * On POWER, the first mapping in a container makes the window for the tables.
 */
static void race_map(struct race *race, int container)
{
	if (op(race, OP_REGISTER,
	       __vfio_memory_register(container, race->buffer, BUFFER_SIZE)) ||
	    op(race, OP_MAP, __vfio_dma_map(container, race->buffer,
					    VFIO_TEST_IOVA, BUFFER_SIZE)))
		return;
	op(race, OP_UNMAP, __vfio_dma_unmap(container, VFIO_TEST_IOVA, BUFFER_SIZE));
}

/*
 * The number of the fd is one that no other thread uses for its files: an ADD that comes
 * late would hold such a file for a moment, so that its last close is not the last.
 */
static int race_open(struct race *race)
{
	unsigned int number = __atomic_load_n(&race->number, __ATOMIC_ACQUIRE);
	int low = op(race, OP_OPEN, __vfio_group_open(number)), group;

	if (low < 0)
		return low;
	group = fcntl(low, F_DUPFD_CLOEXEC, RACE_FDS);
	VFIO_ASSERT(group >= 0, "F_DUPFD_CLOEXEC");
	close(low);
	return group;
}

static void race_own(struct race *race, unsigned int round)
{
	int container = vfio_container_open();
	int group = race_open(race);
	unsigned int yields;

	if (group >= 0 &&
	    !op(race, OP_SET_CONTAINER, __vfio_group_set_container(group, container)) &&
	    !op(race, OP_SET_IOMMU, __vfio_container_use_iommu(container))) {
		__atomic_store_n(&race->group, group, __ATOMIC_RELEASE);
		if (race->buffer)
			race_map(race, container);
		for (yields = 0; yields < 100; yields++)
			sched_yield();
		/* Rarely, because a reset takes long */
		if (round % 16 == 0)
			race_use_device(race, group);
		op(race, OP_UNSET, __vfio_group_unset_container(group));
		__atomic_store_n(&race->group, -1, __ATOMIC_RELEASE);
	}
	close(container);
	if (group >= 0)
		close(group);
}

static void *race_owner(void *arg)
{
	struct race *race = arg;
	unsigned int round;

	for (round = 0; !race_is_over(race); round++)
		race_own(race, round);
	return NULL;
}

static void *race_vm(void *arg)
{
	struct race_vm *vm = arg;
	struct race *race = vm->race;
	unsigned int round;
	int dev, group;

	while (!race_is_over(race)) {
		dev = op(race, OP_CREATE, __kvm_vfio_create(vm->vm, 0));
		for (round = 0; round < 8; round++) {
			group = __atomic_load_n(&race->group, __ATOMIC_ACQUIRE);
			op(race, OP_ADD, __hold(dev, group));
			if (vm->table >= 0)
				op(race, OP_SET_TCE,
				   __kvm_vfio_set_spapr_tce(dev, group, vm->table));
			/*
			 * In half of the rounds, the close has to release it.
			 */
			if (round % 2 == 0)
				op(race, OP_DEL, __kvm_vfio_del(dev, group));
			sched_yield();
		}
		close(dev);
	}
	return NULL;
}

/* False if the other operations never succeed. */
static bool race_go_on(struct race *race, unsigned int adds)
{
	time_t deadline = time(NULL) + HOST_SECONDS;

	while (race_done(race, OP_ADD) < adds) {
		if (time(NULL) > deadline)
			return false;
		sched_yield();
	}
	return true;
}

static bool race_needs(const struct race *race, const struct race_vm *vm,
		       unsigned int kind)
{
	if (kind == OP_SET_TCE && vm->table < 0)
		return false;
	return race->buffer || !ops[kind].needs_dma;
}

/*
 * Some operations rarely succeed.  UNSET, for one, needs a moment when nobody
 * holds the group.
 */
static void race_until_all_is_done(struct race *race, const struct race_vm *vm)
{
	time_t deadline = time(NULL) + HOST_SECONDS;
	unsigned int i;

	for (i = 0; i < OP_MAX; i++)
		while (race_needs(race, vm, i) && !race_done(race, i) &&
		       time(NULL) < deadline)
			sched_yield();
}

static bool race_host(struct race *race, enum host_way way)
{
	unsigned int rounds = race->buffer ? RACE_ROUNDS / 2 : RACE_ROUNDS;
	unsigned int round;

	for (round = 0; round < rounds; round++) {
		if (!race_go_on(race, race_done(race, OP_ADD) + RACE_ADDS)) {
			ksft_print_msg("round %u: no ADD succeeds\n", round);
			return false;
		}
		if (host_take(way, &devices[0])) {
			ksft_print_msg("round %u: the host did not win\n", round);
			return false;
		}
		host_give(&devices[0]);
		__atomic_store_n(&race->number, devices[0].group,
				 __ATOMIC_RELEASE);
	}
	return race_go_on(race, race_done(race, OP_ADD) + RACE_ADDS);
}

FIXTURE(host_races)
{
	struct start start;
};

FIXTURE_VARIANT(host_races)
{
	enum host_way way;
	bool dma;	/* the owner maps memory at the same time */
};

FIXTURE_VARIANT_ADD(host_races, unbind)
{
	.way = HOST_UNBIND,
};

FIXTURE_VARIANT_ADD(host_races, remove)
{
	.way = HOST_REMOVE,
};

FIXTURE_VARIANT_ADD(host_races, unbind_dma)
{
	.way = HOST_UNBIND,
	.dma = true,
};

FIXTURE_VARIANT_ADD(host_races, remove_dma)
{
	.way = HOST_REMOVE,
	.dma = true,
};

#ifdef __x86_64__
FIXTURE_VARIANT_ADD(host_races, unplug_dma)
{
	.way = HOST_UNPLUG,
	.dma = true,
};
#endif

FIXTURE_SETUP(host_races)
{
	if (variant->way == HOST_UNPLUG && !can_unplug)
		SKIP(return, "no cards that can be unplugged");
	start(&self->start);
}

FIXTURE_TEARDOWN(host_races)
{
	EXPECT_TRUE(is_clean(&self->start));
}

static int race_table(int vm)
{
	int container = vfio_container_open();
	int group = vfio_group_open(devices[0].group);
	int table;

	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);
	table = kvm_tce_table(vm, 1, vfio_default_window(container));
	close(group);
	close(container);
	return table;
}

/* Contract 1.15, 1.23, 1.25 */
TEST_F(host_races, with_everything)
{
	struct race race = { .number = devices[0].group, .group = -1 };
	struct race_vm vms[2];
	pthread_t threads[3];
	unsigned int i;

	if (variant->dma)
		race.buffer = vfio_dma_buffer(BUFFER_SIZE);
	for (i = 0; i < 2; i++) {
		vms[i].race = &race;
		vms[i].vm = kvm_vm_open();
		vms[i].table = race_table(vms[i].vm);
	}
	ASSERT_EQ(0, pthread_create(&threads[2], NULL, race_owner, &race));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, race_vm, &vms[i]));

	EXPECT_TRUE(race_host(&race, variant->way));
	race_until_all_is_done(&race, &vms[0]);
	__atomic_store_n(&race.stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	EXPECT_EQ(0U, race.bad);
	for (i = 0; i < OP_MAX; i++) {
		if (!race_needs(&race, &vms[0], i))
			continue;
		EXPECT_NE(0U, race.done[i]) {
			TH_LOG("%s never succeeds", ops[i].name);
		}
	}
}

/* The last two tests take away what the others need. */
FIXTURE(last)
{
	struct start start;
	struct vmm vmm;
};

FIXTURE_SETUP(last)
{
	start(&self->start);
}

FIXTURE_TEARDOWN(last)
{
	EXPECT_TRUE(is_clean(&self->start));
}

/* In the order in which they can be unloaded */
static const struct {
	const char *name;
	const char *file;
} modules[] = {
	{ "vfio_pci", "vfio-pci.ko" },
	{ "vfio_pci_core", "vfio-pci-core.ko" },
	{ VFIO_TEST_IOMMU_MODULE, VFIO_TEST_IOMMU_MODULE ".ko" },
	{ "vfio", "vfio.ko" },
};

#define NR_MODULES	ARRAY_SIZE(modules)

/* Waits for the devices of the module. */
static int host_unload(const char *name)
{
	struct host host;

	host_begin(&host, "", name);
	return host_wait(&host);
}

static const char *module_path(unsigned int i, char *path, size_t size)
{
	const char *dir = getenv("KVM_VFIO_MODULES");

	snprintf(path, size, "%s/%s", dir ? dir : "/lab/modules.d",
		 modules[i].file);
	return path;
}

static bool modules_are_there(void)
{
	char path[PATH_SIZE];
	unsigned int i;

	for (i = 0; i < NR_MODULES; i++)
		if (module_refcnt(modules[i].name) < 0 ||
		    access(module_path(i, path, sizeof(path)), R_OK))
			return false;
	return true;
}

static int load(unsigned int i)
{
	char path[PATH_SIZE];
	int fd = open(module_path(i, path, sizeof(path)), O_RDONLY | O_CLOEXEC);
	int ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;

	close(fd);
	return ret;
}

/*
 * Contract 1.25: KVM pins vfio.ko and, through the container, the IOMMU
 * driver's module, but not the driver of the devices: unloading that is one
 * more way in which the host wins.
 */
TEST_F(last, modules_unload_and_load)
{
	unsigned int i;

	if (!modules_are_there())
		SKIP(return, "built in, or no files of them");
	open_holder(&self->vmm, &devices[0]);
	close(self->vmm.fd[VMM_CONTAINER]);
	close(self->vmm.fd[VMM_GROUP]);
	for (i = 1; i < NR_MODULES; i++)
		EXPECT_EQ(-EAGAIN, unload(modules[i].name));

	ASSERT_EQ(0, host_unload("vfio_pci"));
	ASSERT_EQ(0, unload("vfio_pci_core"));
	ASSERT_EQ(0, unload(VFIO_TEST_IOMMU_MODULE));
	EXPECT_EQ(-EAGAIN, unload("vfio"));
	close(self->vmm.fd[VMM_KVM_VFIO]);
	EXPECT_EQ(0, unload("vfio"));

	for (i = NR_MODULES; i--;)
		EXPECT_EQ(0, load(i));
	self->vmm.fd[VMM_KVM_VFIO] = kvm_vfio_create(self->vmm.fd[VMM_VM]);
	for (i = 0; i < nr_devices; i++) {
		/* The other test may have removed one for good. */
		if (__host_give(&devices[i]))
			use_and_close(self->vmm.fd[VMM_KVM_VFIO], &devices[i]);
	}
}

#ifndef __aarch64__	/* pciehp, see above */
/* Sets @path to the power switch of the slot that the device is in. */
static bool find_slot(const struct vfio_test_device *device, char *path,
		      size_t size)
{
	char address[PATH_SIZE], line[PATH_SIZE];
	struct dirent *entry;
	bool found = false;
	DIR *dir;
	FILE *f;

	/* The slot's address is the device's, without the function. */
	snprintf(address, sizeof(address), "%.*s\n",
		 (int)strcspn(device->bdf, "."), device->bdf);
	dir = opendir("/sys/bus/pci/slots");
	while (dir && !found && (entry = readdir(dir))) {
		snprintf(path, size, "/sys/bus/pci/slots/%s/address",
			 entry->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		/* ACPI may name only the bus, for all its devices. */
		found = fgets(line, sizeof(line), f) &&
			!strcmp(line, address);
		fclose(f);
		snprintf(path, size, "/sys/bus/pci/slots/%s/power", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found && !access(path, W_OK);
}

/* Contract 1.25: Hot-unplug: the device is gone from the machine. */
TEST_F(last, slot_switched_off)
{
	char path[PATH_SIZE];
	struct host host;
	int group;

	if (!find_slot(&devices[1], path, sizeof(path)))
		SKIP(return, "no slot with a power switch");
	open_holder(&self->vmm, &devices[1]);
	group = self->vmm.fd[VMM_GROUP];
	host_begin(&host, path, "0");
	ASSERT_EQ(0, host_wait(&host));
	EXPECT_FALSE(device_is_there(&devices[1]));
	EXPECT_TRUE(group_is_dead(group, &devices[1]));
	EXPECT_TRUE(member_is_dead(self->vmm.fd[VMM_KVM_VFIO], group));
	/* QEMU takes the card out then; if so, its monitor puts it back. */
	if (can_unplug)
		return;
	host_begin(&host, path, "1");
	ASSERT_EQ(0, host_wait(&host));
	EXPECT_TRUE(device_is_there(&devices[1]));
}
#endif

int main(int argc, char **argv)
{
	int ret;

	nr_devices = vfio_test_init(devices, ARRAY_SIZE(devices), 2);
	host_start();
	hold_init();
	debugfs_mount();
	vfio_probes_set(probes, PROBE_MAX);
	ret = test_harness_run(argc, argv);
	vfio_probes_remove();
	return ret;
}
