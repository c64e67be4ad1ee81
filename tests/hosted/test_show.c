// SPDX-License-Identifier: GPL-2.0-only
/* What people see: the file vfio of a VM in debugfs, and the events */
#include <sched.h>
#include <stdio.h>

#include "setup.h"

/* Parts of the file; each variant has the lines that its kernel has. */
#ifdef __KVM_HAVE_ARCH_NONCOHERENT_DMA
#define IF_NONCOHERENT(...)	__VA_ARGS__
#define WEAK			"1"
#else
#define IF_NONCOHERENT(...)
#define WEAK			"0"
#endif

#if IS_ENABLED(CONFIG_SPAPR_TCE_IOMMU)
#define IF_SPAPR(...)		__VA_ARGS__
#else
#define IF_SPAPR(...)
#endif

#define NR_NONCOHERENT(nr)	IF_NONCOHERENT("noncoherent:\t" #nr "\n")
#define COHERENT		IF_NONCOHERENT("coherent:\tyes\n")
#define NONCOHERENT		IF_NONCOHERENT("coherent:\tno\n")
#define TABLES(nr)		IF_SPAPR("tables:\t" #nr "\n")

#define VM(device, files, noncoherent)					\
	"kvm-vfio:\t1\ndevice:\t" device "\nfiles:\t" #files "\n"	\
	NR_NONCOHERENT(noncoherent) TABLES(0)
#define GROUP(nr, state, protection)					\
	"\ngroup:\t" #nr "\nstate:\t" state "\nprotection:\t" protection "\n"
#define CDEV(nr, protection)						\
	"\ncdev:\tvfio" #nr "\nstate:\theld\nprotection:\t" protection "\n"
#define DEVICE(name, driver, open)	"vfio-device:\t" name " " driver " " open "\n"
#define PCI(name, open)			DEVICE(name, "vfio-pci", open)
#define USERS(nr)			"users:\t" #nr "\n"

#define MANY	300	/* more than there are buckets */

/* Opens the file of the VM with that fd. */
static int open_show(int vm)
{
	char name[16];

	snprintf(name, sizeof(name), "%d-%d", FAKE_PID + 1, vm);
	return user_open_show(name);
}

static int read_show(int vm, char **text)
{
	int fd = open_show(vm), ret;

	EXPECT(fd >= 0);
	ret = user_read_show(fd, text);
	EXPECT_EQ(shim_close(fd), 0);
	return ret;
}

static void expect_show(int vm, const char *want)
{
	char *text;

	EXPECT_EQ(read_show(vm, &text), 0);
	EXPECT_STR(text, want);
	free(text);
}

/* The same where the order is nobody's business: a record, and a record only */
static void expect_record(int vm, const char *record)
{
	const char *found;
	char *text;

	EXPECT_EQ(read_show(vm, &text), 0);
	found = strstr(text, record);
	if (!found || (found[strlen(record)] && found[strlen(record)] != '\n'))
		SHIM_FAIL("no \"%s\" in \"%s\"", record, text);
	free(text);
}

TEST(show_device, "show: a VM without a device, with an empty one, and again without")
{
	struct vm vm = { .fd = user_create_vm() };

	expect_show(vm.fd, VM("no", 0, 0));
	vm.dev = user_create_device(vm.fd, false);
	expect_show(vm.fd, VM("yes", 0, 0));
	EXPECT_EQ(shim_close(vm.dev), 0);
	expect_show(vm.fd, VM("no", 0, 0));
	EXPECT_EQ(counts.symbol_gets, 0);
}

/* kvm->devices has those of other kinds, too. */
TEST(show_other_device, "show: a device of another kind is not ours")
{
	static const struct kvm_device_ops ops = { .name = "another" };
	struct kvm_device other = { .ops = &ops };
	int vm = user_create_vm(), dev;

	mutex_lock(&fake_vm(vm)->lock);
	list_add(&other.vm_node, &fake_vm(vm)->devices);
	mutex_unlock(&fake_vm(vm)->lock);
	expect_show(vm, VM("no", 0, 0));
	dev = user_create_device(vm, false);
	EXPECT(dev >= 0);
	expect_show(vm, VM("yes", 0, 0));
	EXPECT_EQ(shim_close(dev), 0);
	expect_show(vm, VM("no", 0, 0));
	list_del(&other.vm_node);
}

/* As long as a device's fd keeps the VM, so does the directory keep its name. */
TEST(show_twice, "show: the VM outlives its fd, the next one has no directory")
{
	struct vm vm = new_vm();
	int next;

	EXPECT_EQ(shim_close(vm.fd), 0);
	next = user_create_vm();
	EXPECT_EQ(next, vm.fd);
	EXPECT(IS_ERR(fake_vm(next)->debugfs_dentry));
	expect_show(vm.fd, VM("yes", 0, 0));
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(open_show(next), -ENOENT);
	EXPECT_EQ(shim_close(next), 0);
	next = user_create_vm();
	expect_show(next, VM("no", 0, 0));
}

#if IS_ENABLED(CONFIG_VFIO_GROUP)
TEST(show_group, "show: a group in a type1 container, its devices open and closed")
{
	struct vm vm = new_vm();
	struct group group = new_group(2);
	int device;

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	expect_show(vm.fd, VM("yes", 1, 0) GROUP(0, "held", "vfio-iommu-type1")
		    PCI("0000:00:01.0", "closed") PCI("0000:00:00.0", "closed")
		    USERS(0) COHERENT);
	device = user_get_device(group.fd, &group.ig->devices[1]);
	EXPECT(device >= 0);
	expect_show(vm.fd, VM("yes", 1, 0) GROUP(0, "held", "vfio-iommu-type1")
		    PCI("0000:00:01.0", "open") PCI("0000:00:00.0", "closed")
		    USERS(0) COHERENT);
	EXPECT_EQ(shim_close(device), 0);
	host_unbind(&group.ig->devices[1]);
	expect_show(vm.fd, VM("yes", 1, 0) GROUP(0, "held", "vfio-iommu-type1")
		    PCI("0000:00:00.0", "closed") USERS(0) COHERENT);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	expect_show(vm.fd, VM("yes", 0, 0));
}

/* As it was counted at ADD, whatever comes later */
TEST(show_noncoherent, "show: a group that is not coherent, also once it is revoked")
{
	struct vm vm = new_vm();
	struct group weak = new_group(1);

	weak.ig->domain_coherent = false;
	weak.ig->devices[0].capable = false;
	EXPECT_EQ(user_add(vm.dev, weak.fd), 0);
	weak.ig->domain_coherent = true;
	expect_show(vm.fd, VM("yes", 1, 1) GROUP(0, "held", "vfio-iommu-type1")
		    PCI("0000:00:00.0", "closed") USERS(0) NONCOHERENT);
	host_take_back(weak.ig, true);
	expect_show(vm.fd, VM("yes", 1, 1) GROUP(0, "revoked", "none")
		    USERS(0) NONCOHERENT);
	EXPECT_EQ(user_del(vm.dev, weak.fd), 0);
	expect_show(vm.fd, VM("yes", 0, 0));
}

TEST(show_iommufd, "show: a group on an iommufd, and a new one after it was revoked")
{
	struct vm vm = new_vm();
	int iommufd = user_open_iommufd();
	struct group old = open_group(host_group(VFIO_IOMMU, 1), iommufd), new;

	EXPECT_EQ(user_add(vm.dev, old.fd), 0);
	expect_show(vm.fd, VM("yes", 1, 0) GROUP(0, "held", "iommufd")
		    PCI("0000:00:00.0", "closed") USERS(0) COHERENT);
	host_take_back(old.ig, false);
	host_bind(old.ig->devices);
	new = open_group(old.ig, iommufd);
	EXPECT_EQ(user_add(vm.dev, new.fd), 0);
	expect_record(vm.fd, GROUP(0, "revoked", "none") USERS(0) COHERENT);
	expect_record(vm.fd, GROUP(0, "held", "iommufd")
		      PCI("0000:00:00.0", "closed") USERS(0) COHERENT);
	expect_record(vm.fd, VM("yes", 2, 0));
}

TEST(show_container, "show: a driver of a kind that is not known; an mdev")
{
	struct vm vm = new_vm();
	struct group group = new_group_of_type(VFIO_NOIOMMU_IOMMU);
	struct group mdev = open_group(host_group(VFIO_EMULATED_IOMMU, 1),
				       user_open_container());

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	expect_show(vm.fd, VM("yes", 1, 0) GROUP(0, "held", "vfio-noiommu")
		    PCI("0000:00:00.0", "closed") USERS(0) COHERENT);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(user_set_iommu(mdev.container), 0);
	EXPECT_EQ(user_add(vm.dev, mdev.fd), 0);
	expect_show(vm.fd, VM("yes", 1, 0) GROUP(1, "held", "vfio-iommu-type1")
		    DEVICE("0000:01:00.0", "mdev", "closed") USERS(0) COHERENT);
}

/* The others that hold the same file; not those of another one */
TEST(show_users, "show: other VMs that hold the same group")
{
	struct vm vms[3] = { new_vm(), new_vm(), new_vm() };
	struct group group = new_group(1), other = new_group(1);

	EXPECT_EQ(user_add(vms[0].dev, other.fd), 0);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(user_add(vms[i].dev, group.fd), 0);
	expect_record(vms[0].fd, GROUP(0, "held", "vfio-iommu-type1")
		      PCI("0000:00:00.0", "closed") USERS(2) COHERENT);
	expect_record(vms[0].fd, GROUP(1, "held", "vfio-iommu-type1")
		      PCI("0000:01:00.0", "closed") USERS(0) COHERENT);
	expect_record(vms[0].fd, VM("yes", 2, 0));
	EXPECT_EQ(shim_close(vms[0].dev), 0);
	for (int i = 1; i < 3; i++)
		expect_show(vms[i].fd, VM("yes", 1, 0) GROUP(0, "held", "vfio-iommu-type1")
			    PCI("0000:00:00.0", "closed") USERS(1) COHERENT);
	EXPECT_EQ(user_del(vms[1].dev, group.fd), 0);
	expect_show(vms[2].fd, VM("yes", 1, 0) GROUP(0, "held", "vfio-iommu-type1")
		    PCI("0000:00:00.0", "closed") USERS(0) COHERENT);
}

/* So many that files share a bucket of the hashes: each once, each on its own */
TEST(show_many, "show: many groups, each with users of its own")
{
	struct vm vm = new_vm();
	char *text, *at;
	int nr = 0;

	for (int i = 0; i < MANY; i++)
		EXPECT_EQ(user_add(vm.dev, new_group(1).fd), 0);
	expect_record(vm.fd, VM("yes", 300, 0));
	EXPECT_EQ(read_show(vm.fd, &text), 0);
	for (at = text; (at = strstr(at, USERS(0))); at++)
		nr++;
	EXPECT_EQ(nr, MANY);
	for (int i = 0; i < MANY; i++) {
		char group[24];

		snprintf(group, sizeof(group), "\ngroup:\t%d\n", i);
		at = strstr(text, group);
		EXPECT(at && !strstr(at + 1, group));
	}
	free(text);
}

/* Whoever looks, and whether or not the group is still there */
TEST(show_nothing_changes, "show: looking changes nothing")
{
	struct vm vm = new_vm();
	struct group group = new_group(2);
	char *before, *after;

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	for (int i = 0; i < 3; i++) {
		before = fake_snapshot();
		log_start();
		trace_start();
		expect_record(vm.fd, VM("yes", 1, 0));
		EXPECT_STR(trace_stop(), "");
		EXPECT_LOG("");
		after = fake_snapshot();
		EXPECT_STR(after, before);
		free(before);
		free(after);
		if (i == 1)
			host_take_back(group.ig, true);
	}
	EXPECT_EQ(counts.symbol_refs, API_SYMBOLS);
}
#endif

#if IS_ENABLED(CONFIG_VFIO_DEVICE_CDEV)
TEST(show_cdev, "show: a cdev that is not bound, is bound, is of others, too")
{
	struct vm vm = new_vm(), other = new_vm();
	struct iommu_group *ig = host_group(VFIO_IOMMU, 3);
	int fd = user_open_cdev(&ig->devices[2]);

	ig->devices[2].capable = false;
	EXPECT_EQ(user_add(vm.dev, fd), 0);
	expect_show(vm.fd, VM("yes", 1, 1) CDEV(2, "none")
		    PCI("0000:00:02.0", "closed") USERS(0) NONCOHERENT);
	EXPECT_EQ(user_bind(fd, user_open_iommufd()), 0);
	EXPECT_EQ(user_add(other.dev, fd), 0);
	EXPECT_EQ(shim_close(fd), 0);
	expect_show(vm.fd, VM("yes", 1, 1) CDEV(2, "iommufd")
		    PCI("0000:00:02.0", "open") USERS(1) NONCOHERENT);
	EXPECT_EQ(shim_close(other.dev), 0);
	expect_show(vm.fd, VM("yes", 1, 1) CDEV(2, "iommufd")
		    PCI("0000:00:02.0", "open") USERS(0) NONCOHERENT);
}

/* Two files of one device: the second is bound to nothing. */
TEST(show_cdevs, "show: two files of one device")
{
	struct vm vm = new_vm();
	struct device *dev = host_group(VFIO_IOMMU, 1)->devices;
	int a = user_open_cdev(dev), b = user_open_cdev(dev);

	EXPECT_EQ(user_bind(a, user_open_iommufd()), 0);
	EXPECT_EQ(user_add(vm.dev, a), 0);
	EXPECT_EQ(user_add(vm.dev, b), 0);
	expect_record(vm.fd, CDEV(0, "iommufd") PCI("0000:00:00.0", "open")
		      USERS(0) COHERENT);
	expect_record(vm.fd, CDEV(0, "none") PCI("0000:00:00.0", "open")
		      USERS(0) COHERENT);
	expect_record(vm.fd, VM("yes", 2, 0));
}
#endif

#if IS_ENABLED(CONFIG_SPAPR_TCE_IOMMU)
/* @mm: whose container it is, 0 for nobody's */
static void expect_spapr(struct vm *vm, int type, int mm, const char *want)
{
	struct group group;
	char record[200];

	group = new_group_of_type(type);
	user_set_mm(mm);
	if (mm)
		EXPECT_EQ(user_register_memory(group.container), 0);
	user_set_mm(1);
	EXPECT_EQ(user_add(vm->dev, group.fd), 0);
	snprintf(record, sizeof(record), VM("yes", 1, 0) "\ngroup:\t%d\n"
		 "state:\theld\nprotection:\t%s\n" PCI("0000:%02x:00.0", "closed")
		 USERS(0) COHERENT, group.ig->id, want, group.ig->id);
	/* It was told at ADD: whoever looks has no part in it. */
	for (int looking = 1; looking <= 2; looking++) {
		user_set_mm(looking);
		expect_show(vm->fd, record);
	}
	user_set_mm(1);
	EXPECT_EQ(user_del(vm->dev, group.fd), 0);
}

TEST(show_spapr, "show: containers of SPAPR TCE v1, v2, and of another mm")
{
	struct vm vm = new_vm();

	expect_spapr(&vm, VFIO_SPAPR_TCE_IOMMU, 0, "iommu-vfio-powerpc");
	expect_spapr(&vm, VFIO_SPAPR_TCE_v2_IOMMU, 0, "iommu-vfio-powerpc");
	expect_spapr(&vm, VFIO_SPAPR_TCE_v2_IOMMU, 1, "iommu-vfio-powerpc");
	expect_spapr(&vm, VFIO_SPAPR_TCE_v2_IOMMU, 2, "iommu-vfio-powerpc");
}

/* What the TCE code has to say: first with the VM, and after all files. */
TEST(show_tables, "show: tables are told of first and last")
{
	struct vm vm = new_vm();
	struct group group = new_group(1);

	user_create_tce(vm.fd, 1);
	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	expect_record(vm.fd, NR_NONCOHERENT(0) "tables:\t1\n" GROUP(0, "held", "vfio-iommu-type1")
		      PCI("0000:00:00.0", "closed") USERS(0) COHERENT "\ntable:\n");
	EXPECT_EQ(shim_close(vm.dev), 0);
	expect_record(vm.fd, NR_NONCOHERENT(0) "tables:\t1\n\ntable:\n");
}
#endif

/* What others do while somebody reads, held before the second lock */

static struct {
	struct vm vm;
	bool closed;
	unsigned int objects;	/* afterwards */
	pthread_t thread;
} gone;

static void gone_close_device(struct mutex *m)
{
	if (strcmp(m->dep.name, "&kv->lock") || gone.closed)
		return;
	gone.closed = true;
	EXPECT_EQ(shim_close(gone.vm.dev), 0);
	gone.objects = shim_live_objects();
}

/* The reader keeps nothing but the device's memory. */
TEST(show_closed, "show: the device is closed when it was just found")
{
	struct vm vm = new_vm();

	gone.vm = vm;
	gone.closed = false;
#if IS_ENABLED(CONFIG_VFIO_GROUP)
	EXPECT_EQ(user_add(vm.dev, new_group(1).fd), 0);
#endif
	shim_before_lock = gone_close_device;
	/* Read twice over, as the first buffer is small: now without a device. */
	expect_show(vm.fd, VM("no", 0, 0));
	EXPECT(gone.closed);
	EXPECT_EQ(gone.objects, 1);
	EXPECT_EQ(shim_live_objects(), 0);
	EXPECT_EQ(counts.symbol_refs, 0);
	gone.vm.dev = user_create_device(vm.fd, false);
	gone.closed = false;
	shim_set_seq_size(4096);
	expect_show(vm.fd, VM("yes", 0, 0));
	EXPECT(gone.closed);
	EXPECT_EQ(shim_live_objects(), 0);
}

static void *gone_close_vm(void *unused)
{
	EXPECT_EQ(shim_close(gone.vm.dev), 0);
	EXPECT_EQ(shim_close(gone.vm.fd), 0);
	EXPECT_EQ(counts.vms, 0);
	return NULL;
}

static void gone_wait(struct mutex *m)
{
	if (gone.closed)
		return;
	gone.closed = true;
	pthread_create(&gone.thread, NULL, gone_close_vm, NULL);
	while (!fake_debugfs_waiting() && fake_read(counts.vms))
		sched_yield();
	EXPECT_EQ(fake_read(counts.vms), 1);
}

/* @lock: the one that the reader is about to take when the VM is closed */
static void gone_vm(void (*hook)(struct mutex *m))
{
	struct vm vm = new_vm();
	int fd = open_show(vm.fd);
	char *text;

	gone.vm = vm;
	gone.closed = false;
	shim_set_seq_size(4096);
	shim_before_lock = hook;
	EXPECT_EQ(user_read_show(fd, &text), 0);
	EXPECT(gone.closed);
	pthread_join(gone.thread, NULL);
	free(text);
	EXPECT_EQ(user_read_show(fd, &text), -EIO);
	free(text);
	EXPECT_EQ(shim_live_objects(), 0);
	fake_end();
}

static void gone_wait_second(struct mutex *m)
{
	if (!strcmp(m->dep.name, "&kv->lock"))
		gone_wait(m);
}

TEST(show_vm_closed, "show: the VM goes when its last reader has left")
{
	gone_vm(gone_wait);
	gone_vm(gone_wait_second);
}

/* @points: locks at which a signal may come, in all rounds */
static void signals(struct vm *vm, int points)
{
	char *before = fake_snapshot(), *after, *text, *want;
	const char *what;
	int n = 0, ret;

	EXPECT_EQ(read_show(vm->fd, &want), 0);
	do {
		shim_fault_arm(++n);
		ret = read_show(vm->fd, &text);
		what = shim_fault_disarm();
		EXPECT_EQ(ret, what ? -EINTR : 0);
		EXPECT_STR(text, what ? "" : want);
		free(text);
		after = fake_snapshot();
		EXPECT_STR(after, before);
		free(after);
	} while (what);
	free(before);
	free(want);
	EXPECT_EQ(n, points + 1);
	EXPECT_EQ(shim_close(vm->dev), 0);
	EXPECT_EQ(shim_live_objects(), 0);
}

TEST(show_signal, "show: EINTR by a signal at each lock, and nothing is kept")
{
	struct vm vm = new_vm();

	/* In either round, as the first buffer is small */
	signals(&vm, 2 * 2);
#if IS_ENABLED(CONFIG_VFIO_GROUP)
	vm.dev = user_create_device(vm.fd, false);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(user_add(vm.dev, new_group(1).fd), 0);
	shim_set_seq_size(4096);
	signals(&vm, 2);
#endif
}

/* Events: a line each, in their order */

#if IS_ENABLED(CONFIG_VFIO_GROUP)
#define ADD(nr, weak, files)	\
	"kvm_vfio_add: pid=1001 dev=240:" #nr " group=" #nr " noncoherent=" weak	\
	" files=" #files "\n"
#define DEL(nr, weak, files)	\
	"kvm_vfio_del: pid=1001 dev=240:" #nr " group=" #nr " noncoherent=" weak	\
	" files=" #files "\n"
#define TURNS(noncoherent)	\
	IF_NONCOHERENT("kvm_vfio_coherency: pid=1001 noncoherent=" #noncoherent "\n")

static struct group weak_group(void)
{
	struct group group = new_group(1);

	group.ig->domain_coherent = false;
	group.ig->devices[0].capable = false;
	return group;
}

TEST(events, "events: add, del, coherency, in their order")
{
	struct vm vm = new_vm();
	struct group a = new_group(1), b = weak_group(), c = weak_group();

	trace_start();
	EXPECT_EQ(user_add(vm.dev, a.fd), 0);
	EXPECT_EQ(user_add(vm.dev, b.fd), 0);
	EXPECT_EQ(user_add(vm.dev, c.fd), 0);
	EXPECT_STR(trace_stop(), ADD(0, "0", 1) TURNS(1) ADD(1, WEAK, 2) ADD(2, WEAK, 3));
	trace_start();
	EXPECT_EQ(user_del(vm.dev, b.fd), 0);
	EXPECT_EQ(user_del(vm.dev, a.fd), 0);
	host_take_back(c.ig, true);
	EXPECT_EQ(user_del(vm.dev, c.fd), 0);
	EXPECT_STR(trace_stop(), DEL(1, WEAK, 2) DEL(0, "0", 1) DEL(2, WEAK, 0) TURNS(0));
}

TEST(events_close, "events: a close is a del of each file")
{
	struct vm vm = new_vm();
	struct group a = weak_group(), b = weak_group();
	const char *text;

	EXPECT_EQ(user_add(vm.dev, a.fd), 0);
	EXPECT_EQ(user_add(vm.dev, b.fd), 0);
	trace_start();
	EXPECT_EQ(shim_close(vm.dev), 0);
	text = trace_stop();
	EXPECT(!strcmp(text, DEL(0, WEAK, 1) DEL(1, WEAK, 0) TURNS(0)) ||
	       !strcmp(text, DEL(1, WEAK, 1) DEL(0, WEAK, 0) TURNS(0)));
}

TEST(events_vms, "events: each with the process of its VM; none of what failed")
{
	struct vm vm = new_vm(), other;
	struct group group = new_group(1);

	user_set_mm(2);
	other = new_vm();
	trace_start();
	EXPECT_EQ(user_add(other.dev, group.fd), 0);
	EXPECT_STR(trace_stop(),
		   "kvm_vfio_add: pid=1002 dev=240:0 group=0 noncoherent=0 files=1\n");
	user_set_mm(1);
	trace_start();
	EXPECT_EQ(user_add(vm.dev, vm.fd), -EINVAL);
	EXPECT_EQ(user_add(vm.dev, SHIM_FDS - 1), -EBADF);
	EXPECT_EQ(user_del(vm.dev, group.fd), -ENOENT);
	for (int n = 1; shim_fault_arm(n), user_add(vm.dev, group.fd); n++)
		EXPECT(shim_fault_disarm());
	shim_fault_disarm();
	EXPECT_EQ(user_add(vm.dev, group.fd), -EEXIST);
	EXPECT_STR(trace_stop(), ADD(0, "0", 1));
}
#endif

#if IS_ENABLED(CONFIG_VFIO_DEVICE_CDEV)
TEST(events_cdev, "events: a cdev has no group")
{
	struct vm vm = new_vm();
	struct device *dev = &host_group(VFIO_IOMMU, 3)->devices[1];
	int fd = user_open_cdev(dev);

	trace_start();
	EXPECT_EQ(user_add(vm.dev, fd), 0);
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_STR(trace_stop(),
		   "kvm_vfio_add: pid=1001 dev=241:1 group=-1 noncoherent=0 files=1\n"
		   "kvm_vfio_del: pid=1001 dev=241:1 group=-1 noncoherent=0 files=0\n");
}
#endif
