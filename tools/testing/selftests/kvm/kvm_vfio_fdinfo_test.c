// SPDX-License-Identifier: GPL-2.0-only
/*
 * What people can see of the KVM-VFIO device: its fdinfo, and the tracepoints.  What POWER
 * has beside that is in kvm_vfio_tce_fdinfo_test.c.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_hold.h"
#include "vfio_show.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
#define PROTECTION	"iommu-vfio-powerpc"
#define PROTECTION_V1	"iommu-vfio-powerpc"
#else
#define PROTECTION	"vfio-iommu-type1"
#define PROTECTION_V1	"vfio-iommu-type1"
#endif

/* Only x86 asks whether DMA bypasses the caches. */
#ifdef __x86_64__
#define COHERENCY_MATTERS true
#else
#define COHERENCY_MATTERS false
#endif

#define NR_READS	300

static struct vfio_test_device devices[2];

FIXTURE(defect30)
{
	struct vfio_show show;
	struct vfio_before before;
	char group[16];
	int vm;
	int dev;
};

FIXTURE_SETUP(defect30)
{
	vfio_bind(devices[0].bdf);
	vfio_bind(devices[1].bdf);
	vfio_remember(&self->before);
	snprintf(self->group, sizeof(self->group), "%u", devices[0].group);
	self->vm = kvm_vm_open();
	self->dev = kvm_vfio_create(self->vm);
}

FIXTURE_TEARDOWN(defect30)
{
	vfio_close_all(&self->before);
	EXPECT_TRUE(vfio_nothing_left(&self->before));
}

/* The first record says that much. */
static bool device_says(const struct vfio_show *show, unsigned int files)
{
	return !strcmp(vfio_show_get(show, 0, "kvm-vfio"), "1") &&
	       vfio_show_number(show, 0, "vm-pid") == (unsigned int)getpid() &&
	       files == vfio_show_number(show, 0, "files");
}

#define EXPECT_DEVICE(show, files)	EXPECT_TRUE(device_says(show, files))

#define EXPECT_LINE(show, record, key, value)					\
	EXPECT_STREQ(value, vfio_show_get(show, record, key))

/* Contract 8.1 */
TEST_F(defect30, device_without_files)
{
	vfio_show_fd(self->dev, &self->show);
	EXPECT_DEVICE(&self->show, 0);
	EXPECT_LINE(&self->show, 0, "noncoherent", COHERENCY_MATTERS ? "0" : "");
	EXPECT_EQ(1U, self->show.records);
	close(self->dev);
	self->dev = kvm_vfio_create(self->vm);
	vfio_show_fd(self->dev, &self->show);
	EXPECT_DEVICE(&self->show, 0);
}

/* The fd of the VM itself says nothing of it; a copy of the device's fd does. */
TEST_F(defect30, which_fds)
{
	struct vmm vmm;
	char path[96];
	int copy;

	vmm_open(&vmm, &devices[0], false);
	vfio_show_path(vmm.fd[VMM_VM], path, sizeof(path));
	EXPECT_EQ(-ENODATA, __vfio_show_file(path, &self->show));
	copy = dup(vmm.fd[VMM_KVM_VFIO]);
	close(vmm.fd[VMM_KVM_VFIO]);
	vfio_show_fd(copy, &self->show);
	EXPECT_DEVICE(&self->show, 1);
}

/* The name of the VM that the device of that fd has */
static void vm_name(int dev, struct vfio_show *show, char *name, size_t size)
{
	vfio_show_fd(dev, show);
	snprintf(name, size, "%s", vfio_show_get(show, 0, "vm"));
}

TEST_F(defect30, vm_fd_closed_and_its_number_reused)
{
	char name[32], again[32], other[32];
	struct vmm vmm;
	int number, dev;

	vmm_open(&vmm, &devices[0], false);
	vm_name(vmm.fd[VMM_KVM_VFIO], &self->show, name, sizeof(name));
	number = vmm.fd[VMM_VM];
	ASSERT_EQ(number, dup2(kvm_vm_open(), number));
	dev = kvm_vfio_create(number);

	vm_name(vmm.fd[VMM_KVM_VFIO], &self->show, again, sizeof(again));
	EXPECT_STREQ(name, again);
	EXPECT_DEVICE(&self->show, 1);
	vfio_show_record(&self->show, "group", self->group);
	vm_name(dev, &self->show, other, sizeof(other));
	EXPECT_STRNE(name, other);
	EXPECT_DEVICE(&self->show, 0);
}

/* In the child: is what the device of that fd tells as expected? */
static int child_reads(int dev, const char *name, unsigned int pid, const char *group)
{
	static struct vfio_show show;

	vfio_show_fd(dev, &show);
	vfio_show_record(&show, "group", group);
	return strcmp(name, vfio_show_get(&show, 0, "vm")) ||
	       pid != vfio_show_number(&show, 0, "vm-pid");
}

/*
 * Contract 8.1: The device's fd, and no other, is passed to another process,
 * and its owner closes everything: the other one's fdinfo tells whose VM it is,
 * and what it holds.
 */
TEST_F(defect30, only_the_device_fd_in_another_process)
{
	int socks[2], status, dev;
	struct vmm vmm;
	char name[32];
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(socks[0]);
		close(self->dev);
		close(self->vm);
		dev = receive_fd(socks[1]);
		VFIO_ASSERT(read(socks[1], name, sizeof(name)) == sizeof(name), "read");
		_exit(child_reads(dev, name, getppid(), self->group));
	}
	vmm_open(&vmm, &devices[0], false);
	vm_name(vmm.fd[VMM_KVM_VFIO], &self->show, name, sizeof(name));
	send_fd(socks[0], vmm.fd[VMM_KVM_VFIO]);
	close(vmm.fd[VMM_KVM_VFIO]);
	close(vmm.fd[VMM_VM]);
	close(vmm.fd[VMM_GROUP]);
	close(vmm.fd[VMM_CONTAINER]);
	ASSERT_EQ(sizeof(name), write(socks[0], name, sizeof(name)));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Contract 8.1: A device that is open, and one that is not */
TEST_F(defect30, group)
{
	char closed[64], open[64];
	struct vmm vmm;
	unsigned int r;

	snprintf(closed, sizeof(closed), "%s vfio-pci closed", devices[0].bdf);
	snprintf(open, sizeof(open), "%s vfio-pci open", devices[0].bdf);
	vmm_open(&vmm, &devices[0], false);
	vfio_show_fd(vmm.fd[VMM_KVM_VFIO], &self->show);
	EXPECT_DEVICE(&self->show, 1);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "state", "held");
	EXPECT_LINE(&self->show, r, "protection", PROTECTION);
	EXPECT_LINE(&self->show, r, "users", "0");
	EXPECT_LINE(&self->show, r, "vfio-device", closed);
	EXPECT_EQ(1U, vfio_show_count(&self->show, "vfio-device", NULL));

	vfio_group_device(vmm.fd[VMM_GROUP], devices[0].bdf);
	vfio_show_fd(vmm.fd[VMM_KVM_VFIO], &self->show);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "vfio-device", open);

	kvm_vfio_del(vmm.fd[VMM_KVM_VFIO], vmm.fd[VMM_GROUP]);
	vfio_show_fd(vmm.fd[VMM_KVM_VFIO], &self->show);
	EXPECT_DEVICE(&self->show, 0);
}

/* Contract 8.1 */
TEST_F(defect30, container_v1)
{
	struct vmm vmm;
	unsigned int r;

	vfio_test_iommu_type = VFIO_TEST_IOMMU_V1;
	vmm_open(&vmm, &devices[0], false);
	vfio_test_iommu_type = VFIO_TEST_IOMMU_TYPE;
	vfio_show_fd(vmm.fd[VMM_KVM_VFIO], &self->show);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "protection", PROTECTION_V1);
}

/*
 * Contract 8.1: What the container says of DMA is what the file was counted by,
 * where that matters.
 */
TEST_F(defect30, coherency)
{
	struct vmm vmm;
	unsigned int r;
	bool coherent;

	vmm_open(&vmm, &devices[0], false);
	coherent = ioctl(vmm.fd[VMM_CONTAINER], VFIO_CHECK_EXTENSION,
			 VFIO_DMA_CC_IOMMU) > 0;
	vfio_show_fd(vmm.fd[VMM_KVM_VFIO], &self->show);
	r = vfio_show_record(&self->show, "group", self->group);
	if (COHERENCY_MATTERS) {
		EXPECT_LINE(&self->show, r, "coherent", coherent ? "yes" : "no");
		EXPECT_LINE(&self->show, 0, "noncoherent", coherent ? "0" : "1");
	} else {
		EXPECT_LINE(&self->show, r, "coherent", "");
		EXPECT_LINE(&self->show, 0, "noncoherent", "");
	}
}

/* Contract 8.1 */
TEST_F(defect30, two_groups)
{
	char second[16];
	struct vmm vmm;
	int group;

	snprintf(second, sizeof(second), "%u", devices[1].group);
	vmm_open(&vmm, &devices[0], true);
	group = group_with_container(&devices[1]);
	kvm_vfio_add(vmm.fd[VMM_KVM_VFIO], group);
	vfio_show_fd(vmm.fd[VMM_KVM_VFIO], &self->show);
	EXPECT_DEVICE(&self->show, 2);
	EXPECT_NE(vfio_show_record(&self->show, "group", self->group),
		  vfio_show_record(&self->show, "group", second));
	EXPECT_EQ(2U, vfio_show_count(&self->show, "vfio-device", NULL));
}

/* Contract 8.1 */
TEST_F(defect30, other_vms)
{
	struct vmm vmm;
	unsigned int r;

	vmm_open(&vmm, &devices[0], false);
	kvm_vfio_add(self->dev, vmm.fd[VMM_GROUP]);
	vfio_show_fd(self->dev, &self->show);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "users", "1");
	vfio_show_fd(vmm.fd[VMM_KVM_VFIO], &self->show);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "users", "1");
	close(self->dev);
	vfio_show_fd(vmm.fd[VMM_KVM_VFIO], &self->show);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "users", "0");
}

/* Contract 8.1: The file is held, but nothing else: until DEL. */
TEST_F(defect30, the_host_takes_it_back)
{
	struct vmm vmm;
	unsigned int r;

	vmm_open(&vmm, &devices[0], false);
	ASSERT_EQ(0, __sysfs_write("/sys/bus/pci/drivers/vfio-pci/unbind",
				   devices[0].bdf));
	vfio_show_fd(vmm.fd[VMM_KVM_VFIO], &self->show);
	EXPECT_DEVICE(&self->show, 1);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "state", "revoked");
	EXPECT_LINE(&self->show, r, "protection", "none");
	EXPECT_EQ(0U, vfio_show_count(&self->show, "vfio-device", NULL));
	kvm_vfio_del(vmm.fd[VMM_KVM_VFIO], vmm.fd[VMM_GROUP]);
	vfio_show_fd(vmm.fd[VMM_KVM_VFIO], &self->show);
	EXPECT_DEVICE(&self->show, 0);
}

/* Contract 8.3: Only for those who may look at the process. */
TEST_F(defect30, other_users_cannot_read)
{
	char path[96];
	int status;
	pid_t pid;

	vfio_show_path(self->dev, path, sizeof(path));
	ASSERT_EQ(0, access(path, R_OK));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(self->dev);
		if (setgid(65534) || setuid(65534))
			_exit(1);
		_exit(open(path, O_RDONLY) != -1 || errno != EACCES);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

struct reader {
	char path[96];
	bool stop;
	unsigned int reads;
	const char *wrong;
	struct vfio_show show;
};

static void *read_on(void *arg)
{
	struct reader *reader = arg;
	int ret;

	while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED) && !reader->wrong) {
		ret = __vfio_show_file(reader->path, &reader->show);
		reader->wrong = ret ? "not readable" : NULL;
		__atomic_add_fetch(&reader->reads, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Contract 8.3: Each text has its form, whatever changes meanwhile. */
TEST_F(defect30, readers_beside_everything)
{
	static struct reader reader;
	pthread_t thread;
	struct vmm vmm;

	vmm_open(&vmm, &devices[0], false);
	vfio_show_path(self->dev, reader.path, sizeof(reader.path));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_on, &reader));
	while (__atomic_load_n(&reader.reads, __ATOMIC_RELAXED) < NR_READS &&
	       !reader.wrong) {
		kvm_vfio_add(self->dev, vmm.fd[VMM_GROUP]);
		kvm_vfio_del(self->dev, vmm.fd[VMM_GROUP]);
		kvm_vfio_add(self->dev, vmm.fd[VMM_GROUP]);
		kvm_vfio_del(self->dev, vmm.fd[VMM_GROUP]);
	}
	__atomic_store_n(&reader.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(NULL, reader.wrong) TH_LOG("%s", reader.wrong);
}

#define CHANGE		"kvm_vfio_%s: pid=%u dev=%u:%u group=%u noncoherent=%u files=%u\n"
#define COHERENCY	"kvm_vfio_coherency: pid=%u noncoherent=%u\n"

/* Contract 8.6 */
TEST_F(defect30, events)
{
	char text[4096], expected[4096], *at = expected;
	unsigned int noncoherent, pid, i;
	struct vmm vmm;
	struct stat st;

	vmm_open(&vmm, &devices[0], false);
	ASSERT_EQ(0, fstat(vmm.fd[VMM_GROUP], &st));
	vfio_show_fd(vmm.fd[VMM_KVM_VFIO], &self->show);
	noncoherent = COHERENCY_MATTERS &&
		vfio_show_number(&self->show, 0, "noncoherent");

	vfio_events_begin();
	kvm_vfio_add(self->dev, vmm.fd[VMM_GROUP]);
	kvm_vfio_del(self->dev, vmm.fd[VMM_GROUP]);
	kvm_vfio_add(self->dev, vmm.fd[VMM_GROUP]);
	close(self->dev);
	vfio_events_end(text, sizeof(text));

	pid = getpid();
	for (i = 0; i < 2; i++) {
		if (noncoherent)
			at += sprintf(at, COHERENCY, pid, 1);
		at += sprintf(at, CHANGE, "add", pid, major(st.st_rdev), minor(st.st_rdev),
			      devices[0].group, noncoherent, 1);
		at += sprintf(at, CHANGE, "del", pid, major(st.st_rdev), minor(st.st_rdev),
			      devices[0].group, noncoherent, 0);
		if (noncoherent)
			at += sprintf(at, COHERENCY, pid, 0);
	}
	EXPECT_STREQ(expected, text);
}

int main(int argc, char **argv)
{
	vfio_test_init(devices, 2, 2);
	return test_harness_run(argc, argv);
}
