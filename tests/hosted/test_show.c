// SPDX-License-Identifier: GPL-2.0-only
/* What people see: the fdinfo of the device, and the events */
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

#define NR_NONCOHERENT(nr)	IF_NONCOHERENT("noncoherent:\t" #nr "\n")
#define COHERENT		IF_NONCOHERENT("coherent:\tyes\n")
#define NONCOHERENT		IF_NONCOHERENT("coherent:\tno\n")

#define VM(files, noncoherent)						\
	"kvm-vfio:\t1\nvm-pid:\t1001\nfiles:\t" #files "\n"		\
	NR_NONCOHERENT(noncoherent)
#define GROUP(nr, state, protection)					\
	"\ngroup:\t" #nr "\nstate:\t" state "\nprotection:\t" protection "\n"
#define CDEV(nr, protection)						\
	"\ncdev:\tvfio" #nr "\nstate:\theld\nprotection:\t" protection "\n"
#define DEVICE(name, driver, open)	"vfio-device:\t" name " " driver " " open "\n"
#define PCI(name, open)			DEVICE(name, "vfio-pci", open)
#define USERS(nr)			"users:\t" #nr "\n"

#define MANY	300

/* All but the name of the VM, which is its address in the fake */
static char *read_show(int dev)
{
	return shim_cut_line(shim_read_fdinfo(dev), "vm");
}

static void expect_show(int dev, const char *want)
{
	char *text = read_show(dev);

	EXPECT_STR(text, want);
	free(text);
}

/* The same where the order of records does not matter: a record, and a record only */
static void expect_record(int dev, const char *record)
{
	char *text = read_show(dev), *found = strstr(text, record);

	if (!found || (found[strlen(record)] && found[strlen(record)] != '\n'))
		SHIM_FAIL("no \"%s\" in \"%s\"", record, text);
	free(text);
}

/* Contract 8.1 */
TEST(show_device, "show: an empty device, and another after it")
{
	struct vm vm = new_vm();

	expect_show(vm.dev, VM(0, 0));
	EXPECT_EQ(shim_close(vm.dev), 0);
	vm.dev = user_create_device(vm.fd, false);
	expect_show(vm.dev, VM(0, 0));
	EXPECT_EQ(counts.symbol_gets, 0);
}

/* Each fd tells of its own VM, whatever became of the number of the VM's fd. */
TEST(show_twice, "show: the VM outlives its fd, whose number is another VM's")
{
	struct vm vm = new_vm(), next;
	char name[40], *text;

	snprintf(name, sizeof(name), "kvm-vfio:\t1\nvm:\t%p\n", fake_vm(vm.fd));
	EXPECT_EQ(shim_close(vm.fd), 0);
	user_set_mm(2);
	next = new_vm();
	EXPECT_EQ(next.fd, vm.fd);
	text = shim_read_fdinfo(vm.dev);
	EXPECT(strstr(text, name) == text);
	free(text);
	text = shim_read_fdinfo(next.dev);
	EXPECT(!strstr(text, name));
	free(text);
	expect_show(vm.dev, VM(0, 0));
	expect_record(next.dev, "vm-pid:\t1002\nfiles:\t0\n" NR_NONCOHERENT(0));
	user_set_mm(1);
}

#if IS_ENABLED(CONFIG_VFIO_GROUP)
/* Contract 8.1, 8.5 */
TEST(show_group, "show: a group in a type1 container, its devices open and closed")
{
	struct vm vm = new_vm();
	struct group group = new_group(2);
	int device;

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	expect_show(vm.dev, VM(1, 0) GROUP(0, "held", "vfio-iommu-type1")
		    PCI("0000:00:01.0", "closed") PCI("0000:00:00.0", "closed")
		    USERS(0) COHERENT);
	device = user_get_device(group.fd, &group.ig->devices[1]);
	EXPECT(device >= 0);
	expect_show(vm.dev, VM(1, 0) GROUP(0, "held", "vfio-iommu-type1")
		    PCI("0000:00:01.0", "open") PCI("0000:00:00.0", "closed")
		    USERS(0) COHERENT);
	EXPECT_EQ(shim_close(device), 0);
	host_unbind(&group.ig->devices[1]);
	expect_show(vm.dev, VM(1, 0) GROUP(0, "held", "vfio-iommu-type1")
		    PCI("0000:00:00.0", "closed") USERS(0) COHERENT);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	expect_show(vm.dev, VM(0, 0));
}

/* Contract 8.1: As it was counted at ADD, whatever comes later */
TEST(show_noncoherent, "show: a group that is not coherent, also once it is revoked")
{
	struct vm vm = new_vm();
	struct group weak = new_group(1);

	weak.ig->devices[0].capable = false;
	EXPECT_EQ(user_add(vm.dev, weak.fd), 0);
	weak.ig->devices[0].capable = true;
	expect_show(vm.dev, VM(1, 1) GROUP(0, "held", "vfio-iommu-type1")
		    PCI("0000:00:00.0", "closed") USERS(0) NONCOHERENT);
	host_take_back(weak.ig, true);
	expect_show(vm.dev, VM(1, 1) GROUP(0, "revoked", "none")
		    USERS(0) NONCOHERENT);
	EXPECT_EQ(user_del(vm.dev, weak.fd), 0);
	expect_show(vm.dev, VM(0, 0));
}

/* Contract 8.1 */
TEST(show_iommufd, "show: a group on an iommufd, and a new one after it was revoked")
{
	struct vm vm = new_vm();
	int iommufd = user_open_iommufd();
	struct group old = open_group(host_group(VFIO_IOMMU, 1), iommufd), new;

	EXPECT_EQ(user_add(vm.dev, old.fd), 0);
	expect_show(vm.dev, VM(1, 0) GROUP(0, "held", "iommufd")
		    PCI("0000:00:00.0", "closed") USERS(0) COHERENT);
	host_take_back(old.ig, false);
	host_bind(old.ig->devices);
	new = open_group(old.ig, iommufd);
	EXPECT_EQ(user_add(vm.dev, new.fd), 0);
	expect_record(vm.dev, GROUP(0, "revoked", "none") USERS(0) COHERENT);
	expect_record(vm.dev, GROUP(0, "held", "iommufd")
		      PCI("0000:00:00.0", "closed") USERS(0) COHERENT);
	expect_record(vm.dev, VM(2, 0));
}

/* Contract 8.1 */
TEST(show_container, "show: a driver of a kind that is not known; an mdev")
{
	struct vm vm = new_vm();
	struct group group = new_group_of_type(VFIO_NOIOMMU_IOMMU);
	struct group mdev = open_group(host_group(VFIO_EMULATED_IOMMU, 1),
				       user_open_container());

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	expect_show(vm.dev, VM(1, 0) GROUP(0, "held", "vfio-noiommu")
		    PCI("0000:00:00.0", "closed") USERS(0) COHERENT);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(user_set_iommu(mdev.container), 0);
	EXPECT_EQ(user_add(vm.dev, mdev.fd), 0);
	expect_show(vm.dev, VM(1, 0) GROUP(1, "held", "vfio-iommu-type1")
		    DEVICE("0000:01:00.0", "mdev", "closed") USERS(0) COHERENT);
}

/* Contract 8.1: The others that hold the same file; not those of another one */
TEST(show_users, "show: other VMs that hold the same group")
{
	struct vm vms[3] = { new_vm(), new_vm(), new_vm() };
	struct group group = new_group(1), other = new_group(1);

	EXPECT_EQ(user_add(vms[0].dev, other.fd), 0);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(user_add(vms[i].dev, group.fd), 0);
	expect_record(vms[0].dev, GROUP(0, "held", "vfio-iommu-type1")
		      PCI("0000:00:00.0", "closed") USERS(2) COHERENT);
	expect_record(vms[0].dev, GROUP(1, "held", "vfio-iommu-type1")
		      PCI("0000:01:00.0", "closed") USERS(0) COHERENT);
	expect_record(vms[0].dev, VM(2, 0));
	EXPECT_EQ(shim_close(vms[0].dev), 0);
	for (int i = 1; i < 3; i++)
		expect_show(vms[i].dev, VM(1, 0) GROUP(0, "held", "vfio-iommu-type1")
			    PCI("0000:00:00.0", "closed") USERS(1) COHERENT);
	EXPECT_EQ(user_del(vms[1].dev, group.fd), 0);
	expect_show(vms[2].dev, VM(1, 0) GROUP(0, "held", "vfio-iommu-type1")
		    PCI("0000:00:00.0", "closed") USERS(0) COHERENT);
}

/* Each once, each on its own */
TEST(show_many, "show: many groups, each with users of its own")
{
	struct vm vm = new_vm();
	char *text, *at;
	int nr = 0;

	for (int i = 0; i < MANY; i++)
		EXPECT_EQ(user_add(vm.dev, new_group(1).fd), 0);
	expect_record(vm.dev, VM(300, 0));
	text = shim_read_fdinfo(vm.dev);
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
		expect_record(vm.dev, VM(1, 0));
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
/* Contract 8.1 */
TEST(show_cdev, "show: a cdev that is not bound, is bound, is of others, too")
{
	struct vm vm = new_vm(), other = new_vm();
	struct iommu_group *ig = host_group(VFIO_IOMMU, 3);
	int fd = user_open_cdev(&ig->devices[2]);

	ig->devices[2].capable = false;
	EXPECT_EQ(user_add(vm.dev, fd), 0);
	expect_show(vm.dev, VM(1, 1) CDEV(2, "none")
		    PCI("0000:00:02.0", "closed") USERS(0) NONCOHERENT);
	EXPECT_EQ(user_bind(fd, user_open_iommufd()), 0);
	EXPECT_EQ(user_add(other.dev, fd), 0);
	EXPECT_EQ(shim_close(fd), 0);
	expect_show(vm.dev, VM(1, 1) CDEV(2, "iommufd")
		    PCI("0000:00:02.0", "open") USERS(1) NONCOHERENT);
	EXPECT_EQ(shim_close(other.dev), 0);
	expect_show(vm.dev, VM(1, 1) CDEV(2, "iommufd")
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
	expect_record(vm.dev, CDEV(0, "iommufd") PCI("0000:00:00.0", "open")
		      USERS(0) COHERENT);
	expect_record(vm.dev, CDEV(0, "none") PCI("0000:00:00.0", "open")
		      USERS(0) COHERENT);
	expect_record(vm.dev, VM(2, 0));
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
	snprintf(record, sizeof(record), VM(1, 0) "\ngroup:\t%d\n"
		 "state:\theld\nprotection:\t%s\n" PCI("0000:%02x:00.0", "closed")
		 USERS(0) COHERENT, group.ig->id, want, group.ig->id);
	/* It was told at ADD: whoever looks has no part in it. */
	for (int looking = 1; looking <= 2; looking++) {
		user_set_mm(looking);
		expect_show(vm->dev, record);
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

#endif

#if IS_ENABLED(CONFIG_VFIO_GROUP)
/*
 * Contract 1.16: seq_file begins again, in twice the room, when a text does not
 * fit.  What does not fit is not gone on with: room of 1, 1/2, 1/4 ... times
 * twice the text, and the text itself.
 */
TEST(show_work, "show: the text of many files costs less than three times its length")
{
	struct vm vm = new_vm();
	unsigned long none, one, all;

	shim_set_seq_size(4096);
	shim_seq_pieces();
	free(shim_read_fdinfo(vm.dev));
	none = shim_seq_pieces();
	EXPECT_EQ(user_add(vm.dev, new_group(1).fd), 0);
	free(shim_read_fdinfo(vm.dev));
	one = shim_seq_pieces() - none;
	for (int i = 1; i < MANY; i++)
		EXPECT_EQ(user_add(vm.dev, new_group(1).fd), 0);
	free(shim_read_fdinfo(vm.dev));
	all = shim_seq_pieces() - none;
	EXPECT(all < 3 * MANY * one + 16 * none);
}

/*
 * Contract 8.7: The reader keeps the device's file, so it must not take long.
 */
TEST(show_most, "show: of very many files only those that are shown cost anything")
{
	struct vm vm = new_vm();
	unsigned int before, nr = 0;
	char *text, *at;

	for (int i = 0; i < 2100; i++) {
		struct group group = new_group(1);

		EXPECT_EQ(user_add(vm.dev, group.fd), 0);
		EXPECT_EQ(shim_close(group.fd), 0);
		EXPECT_EQ(shim_close(group.container), 0);
	}
	shim_set_seq_size(4096);
	before = shim_rescheds;
	text = shim_read_fdinfo(vm.dev);
	EXPECT(shim_rescheds - before >= 1024);
	EXPECT(shim_rescheds - before < 3 * 1024 + 16);
	EXPECT(shim_seq_size() <= 262144);
	EXPECT(strstr(text, "files:\t2100\n"));
	for (at = text; (at = strstr(at, USERS(0))); at++)
		nr++;
	EXPECT_EQ(nr, 1024);
	free(text);
}

/* A reader holds the device's lock for one member at a time. */
static struct {
	struct vm vm;
	int other;
	unsigned int waits;
} between;

static void between_members(void)
{
	if (between.waits++ == 1)
		EXPECT_EQ(user_add(between.vm.dev, between.other), 0);
	else if (between.waits == 4)
		EXPECT_EQ(user_del(between.vm.dev, between.other), 0);
}

/* Contract 8.3, 8.4 */
TEST(show_changes, "show: files come and go while the text is made")
{
	struct vm vm = new_vm();
	char *text;

	between.vm = vm;
	between.waits = 0;
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(user_add(vm.dev, new_group(1).fd), 0);
	between.other = new_group(1).fd;
	shim_set_seq_size(4096);
	shim_at_resched = between_members;
	text = shim_read_fdinfo(vm.dev);
	shim_at_resched = NULL;
	EXPECT(between.waits >= 5);
	for (int i = 0; i < 5; i++) {
		char group[24];

		snprintf(group, sizeof(group), "\ngroup:\t%d\n", i);
		EXPECT(strstr(text, group));
	}
	free(text);
}

static void close_between(void)
{
	if (between.waits++ != 1)
		return;
	EXPECT_EQ(shim_close(between.vm.dev), 0);
	EXPECT_ASSIGNED(between.vm.kvm, 5);
}

/* Contract 8.7 */
TEST(show_closed, "show: a close meanwhile lets go when the read returns")
{
	struct vm vm = new_vm();

	between.vm = vm;
	between.waits = 0;
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(user_add(vm.dev, new_group(1).fd), 0);
	shim_set_seq_size(4096);
	shim_at_resched = close_between;
	free(shim_read_fdinfo(vm.dev));
	shim_at_resched = NULL;
	EXPECT(between.waits >= 5);
	EXPECT_ASSIGNED(vm.kvm, 0);
}

/* Contract 8.7: The rest would be made for nobody. */
TEST(show_killed, "show: stops when the reader is killed while it waits for the lock")
{
	struct vm vm = new_vm();
	unsigned int before;
	int n = 0;

	for (int i = 0; i < 20; i++)
		EXPECT_EQ(user_add(vm.dev, new_group(1).fd), 0);
	shim_set_seq_size(1 << 20);
	do {
		before = shim_rescheds;
		shim_killed_at = ++n;
		free(shim_read_fdinfo(vm.dev));
		EXPECT_EQ(shim_rescheds - before, min(n - 1, 20));
	} while (!shim_killed_at);
	shim_killed_at = 0;
	/* Once at the start, and after each member */
	EXPECT_EQ(n, 20 + 2);
}

TEST(show_full, "show: stops when the buffer is full")
{
	struct vm vm = new_vm();
	unsigned int before;

	for (int i = 0; i < MANY; i++)
		EXPECT_EQ(user_add(vm.dev, new_group(GROUP_DEVICES).fd), 0);
	shim_set_seq_size(MANY * 165);
	before = shim_rescheds;
	free(shim_read_fdinfo(vm.dev));
	EXPECT(shim_rescheds - before > MANY);
	EXPECT(shim_rescheds - before < 2 * MANY);
}

/*
 * Contract 8.4: Others wait for the reader, and it waits neither for the group's lock,
 * which an open of a device holds, nor for that of others.
 */
TEST(show_locks, "show: waits for no lock that user space can have held")
{
	struct vm vm = new_vm();
	struct group group = new_group(1);

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	shim_forbid = &fake_group(group.fd)->group_lock;
	expect_show(vm.dev, VM(1, 0) GROUP(0, "held", "vfio-iommu-type1")
		    PCI("0000:00:00.0", "closed") USERS(0) COHERENT);
	shim_forbid = NULL;
}
#endif

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

	group.ig->devices[0].capable = false;
	return group;
}

/* Contract 8.6 */
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

/* Contract 8.6 */
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
/* Contract 8.6 */
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
