// SPDX-License-Identifier: GPL-2.0-only
/*
 * What people can see of the KVM-VFIO device: the file vfio in the debugfs directory of
 * a VM, and the tracepoints.  What POWER has beside that is in
 * kvm_vfio_tce_debugfs_test.c.
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "kselftest_harness.h"
#include "vfio_hold.h"
#include "vfio_show.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
#define PROTECTION	"iommu-vfio-powerpc"
#define PROTECTION_V1	"iommu-vfio-powerpc"
#define COHERENCY_MATTERS false
#else
#define PROTECTION	"vfio-iommu-type1"
#define PROTECTION_V1	"vfio-iommu-type1"
#define COHERENCY_MATTERS true
#endif

#define NR_READS	300

static struct vfio_test_device devices[2];

FIXTURE(defect30)
{
	struct vfio_show show;
	struct vfio_before before;
	char group[16];
	int vm;
};

FIXTURE_SETUP(defect30)
{
	vfio_bind(devices[0].bdf);
	vfio_bind(devices[1].bdf);
	vfio_remember(&self->before);
	snprintf(self->group, sizeof(self->group), "%u", devices[0].group);
	self->vm = kvm_vm_open();
}

FIXTURE_TEARDOWN(defect30)
{
	vfio_close_all(&self->before);
	EXPECT_TRUE(vfio_nothing_left(&self->before));
}

/* The VM's record says that much. */
static bool vm_says(const struct vfio_show *show, const char *device, unsigned int files)
{
	return !strcmp(device, vfio_show_get(show, 0, "device")) &&
	       files == vfio_show_number(show, 0, "files");
}

#define EXPECT_VM(show, device, files)	EXPECT_TRUE(vm_says(show, device, files))

#define EXPECT_LINE(show, record, key, value)					\
	EXPECT_STREQ(value, vfio_show_get(show, record, key))

TEST_F(defect30, vm_without_a_device)
{
	vfio_show_vm(self->vm, &self->show);
	EXPECT_VM(&self->show, "no", 0);
	EXPECT_LINE(&self->show, 0, "noncoherent", COHERENCY_MATTERS ? "0" : "");
	EXPECT_EQ(1U, self->show.records);
}

TEST_F(defect30, device_without_files)
{
	int dev = kvm_vfio_create(self->vm);

	vfio_show_vm(self->vm, &self->show);
	EXPECT_VM(&self->show, "yes", 0);
	close(dev);
	vfio_show_vm(self->vm, &self->show);
	EXPECT_VM(&self->show, "no", 0);
	kvm_vfio_create(self->vm);
	vfio_show_vm(self->vm, &self->show);
	EXPECT_VM(&self->show, "yes", 0);
}

TEST_F(defect30, nobody_can_write)
{
	struct stat st;
	char path[96];
	int fd;

	vfio_show_path(self->vm, path, sizeof(path));
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_EQ(0444U, st.st_mode & 07777U);
	fd = open(path, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, write(fd, "1", 1));
	EXPECT_EQ(EINVAL, errno);
}

/* A device that is open, and one that is not */
TEST_F(defect30, group)
{
	char closed[64], open[64];
	struct vmm vmm;
	unsigned int r;

	snprintf(closed, sizeof(closed), "%s vfio-pci closed", devices[0].bdf);
	snprintf(open, sizeof(open), "%s vfio-pci open", devices[0].bdf);
	vmm_open(&vmm, &devices[0], false);
	vfio_show_vm(vmm.fd[VMM_VM], &self->show);
	EXPECT_VM(&self->show, "yes", 1);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "state", "held");
	EXPECT_LINE(&self->show, r, "protection", PROTECTION);
	EXPECT_LINE(&self->show, r, "users", "0");
	EXPECT_LINE(&self->show, r, "vfio-device", closed);
	EXPECT_EQ(1U, vfio_show_count(&self->show, "vfio-device", NULL));

	vfio_group_device(vmm.fd[VMM_GROUP], devices[0].bdf);
	vfio_show_vm(vmm.fd[VMM_VM], &self->show);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "vfio-device", open);

	kvm_vfio_del(vmm.fd[VMM_KVM_VFIO], vmm.fd[VMM_GROUP]);
	vfio_show_vm(vmm.fd[VMM_VM], &self->show);
	EXPECT_VM(&self->show, "yes", 0);
}

TEST_F(defect30, container_v1)
{
	struct vmm vmm;
	unsigned int r;

	vfio_test_iommu_type = VFIO_TEST_IOMMU_V1;
	vmm_open(&vmm, &devices[0], false);
	vfio_test_iommu_type = VFIO_TEST_IOMMU_TYPE;
	vfio_show_vm(vmm.fd[VMM_VM], &self->show);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "protection", PROTECTION_V1);
}

/* What the container says of DMA is what the file was counted by, where that matters. */
TEST_F(defect30, coherency)
{
	struct vmm vmm;
	unsigned int r;
	bool coherent;

	vmm_open(&vmm, &devices[0], false);
	coherent = ioctl(vmm.fd[VMM_CONTAINER], VFIO_CHECK_EXTENSION,
			 VFIO_DMA_CC_IOMMU) > 0;
	vfio_show_vm(vmm.fd[VMM_VM], &self->show);
	r = vfio_show_record(&self->show, "group", self->group);
	if (COHERENCY_MATTERS) {
		EXPECT_LINE(&self->show, r, "coherent", coherent ? "yes" : "no");
		EXPECT_LINE(&self->show, 0, "noncoherent", coherent ? "0" : "1");
	} else {
		EXPECT_LINE(&self->show, r, "coherent", "");
		EXPECT_LINE(&self->show, 0, "noncoherent", "");
	}
}

TEST_F(defect30, two_groups)
{
	char second[16];
	struct vmm vmm;
	int group;

	snprintf(second, sizeof(second), "%u", devices[1].group);
	vmm_open(&vmm, &devices[0], true);
	group = group_with_container(&devices[1]);
	kvm_vfio_add(vmm.fd[VMM_KVM_VFIO], group);
	vfio_show_vm(vmm.fd[VMM_VM], &self->show);
	EXPECT_VM(&self->show, "yes", 2);
	EXPECT_NE(vfio_show_record(&self->show, "group", self->group),
		  vfio_show_record(&self->show, "group", second));
	EXPECT_EQ(2U, vfio_show_count(&self->show, "vfio-device", NULL));
}

TEST_F(defect30, other_vms)
{
	struct vmm vmm;
	unsigned int r;
	int dev;

	vmm_open(&vmm, &devices[0], false);
	dev = kvm_vfio_create(self->vm);
	kvm_vfio_add(dev, vmm.fd[VMM_GROUP]);
	vfio_show_vm(self->vm, &self->show);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "users", "1");
	vfio_show_vm(vmm.fd[VMM_VM], &self->show);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "users", "1");
	close(dev);
	vfio_show_vm(vmm.fd[VMM_VM], &self->show);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "users", "0");
}

/* The file is held, but nothing else: until DEL. */
TEST_F(defect30, the_host_takes_it_back)
{
	struct vmm vmm;
	unsigned int r;

	vmm_open(&vmm, &devices[0], false);
	ASSERT_EQ(0, __sysfs_write("/sys/bus/pci/drivers/vfio-pci/unbind",
				   devices[0].bdf));
	vfio_show_vm(vmm.fd[VMM_VM], &self->show);
	EXPECT_VM(&self->show, "yes", 1);
	r = vfio_show_record(&self->show, "group", self->group);
	EXPECT_LINE(&self->show, r, "state", "revoked");
	EXPECT_LINE(&self->show, r, "protection", "none");
	EXPECT_EQ(0U, vfio_show_count(&self->show, "vfio-device", NULL));
	kvm_vfio_del(vmm.fd[VMM_KVM_VFIO], vmm.fd[VMM_GROUP]);
	vfio_show_vm(vmm.fd[VMM_VM], &self->show);
	EXPECT_VM(&self->show, "yes", 0);
}

/* An open file pins nothing, and has nothing to tell once the VM is gone. */
TEST_F(defect30, vm_goes_while_the_file_is_open)
{
	char path[96], byte;
	int file;

	vfio_show_path(self->vm, path, sizeof(path));
	file = open(path, O_RDONLY);
	ASSERT_LE(0, file);
	EXPECT_EQ(1, read(file, &byte, 1));
	kvm_vfio_create(self->vm);
	close_range(self->vm, self->vm, 0);
	close_range(file + 1, ~0U, 0);
	EXPECT_EQ(-1, lseek(file, 0, SEEK_SET) ?: read(file, &byte, 1));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, open(path, O_RDONLY));
	EXPECT_EQ(ENOENT, errno);
}

struct slow_reader {
	char path[96];
	char *page;
	ssize_t got;
};

static void *read_slowly(void *arg)
{
	struct slow_reader *reader = arg;
	int file = open(reader->path, O_RDONLY);

	reader->got = read(file, reader->page, 64);
	close(file);
	return NULL;
}

/* A page that is missing until the test brings it */
static int missing_page(char **page)
{
	struct uffdio_api api = { .api = UFFD_API };
	size_t size = getpagesize();
	struct uffdio_register missing = {
		.range.len = size,
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	VFIO_ASSERT(fd >= 0 && !ioctl(fd, UFFDIO_API, &api), "userfaultfd");
	*page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	missing.range.start = (unsigned long)*page;
	VFIO_ASSERT(!ioctl(fd, UFFDIO_REGISTER, &missing), "UFFDIO_REGISTER");
	return fd;
}

/* Whoever puts the VM last does not wait until somebody has read what it was. */
TEST_F(defect30, vm_goes_while_a_reader_takes_its_time)
{
	struct uffdio_zeropage zero = { .range.len = getpagesize() };
	static struct slow_reader reader;
	struct uffd_msg message;
	pthread_t thread;
	int fd;

	fd = missing_page(&reader.page);
	vfio_show_path(self->vm, reader.path, sizeof(reader.path));
	ASSERT_EQ(0, access(reader.path, R_OK));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_slowly, &reader));
	ASSERT_EQ(sizeof(message), read(fd, &message, sizeof(message)));
	close_range(self->vm, self->vm, 0);
	EXPECT_EQ(-1, access(reader.path, F_OK));
	zero.range.start = (unsigned long)reader.page;
	EXPECT_EQ(0, ioctl(fd, UFFDIO_ZEROPAGE, &zero));
	pthread_join(thread, NULL);
	/* It was all said before. */
	EXPECT_LT(0, reader.got);
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
		reader->wrong = ret ? "not readable" : vfio_show_wrong(&reader->show);
		__atomic_add_fetch(&reader->reads, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Each time, what is read is one state of the device. */
TEST_F(defect30, readers_beside_everything)
{
	static struct reader reader;
	pthread_t thread;
	struct vmm vmm;
	int dev;

	vmm_open(&vmm, &devices[0], false);
	vfio_show_path(self->vm, reader.path, sizeof(reader.path));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_on, &reader));
	while (__atomic_load_n(&reader.reads, __ATOMIC_RELAXED) < NR_READS &&
	       !reader.wrong) {
		dev = kvm_vfio_create(self->vm);
		kvm_vfio_add(dev, vmm.fd[VMM_GROUP]);
		kvm_vfio_del(dev, vmm.fd[VMM_GROUP]);
		kvm_vfio_add(dev, vmm.fd[VMM_GROUP]);
		close(dev);
	}
	__atomic_store_n(&reader.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(NULL, reader.wrong) TH_LOG("%s", reader.wrong);
}

#define CHANGE		"kvm_vfio_%s: pid=%u dev=%u:%u group=%u noncoherent=%u files=%u\n"
#define COHERENCY	"kvm_vfio_coherency: pid=%u noncoherent=%u\n"

TEST_F(defect30, events)
{
	char text[4096], expected[4096], *at = expected;
	unsigned int noncoherent, pid, i;
	struct vmm vmm;
	struct stat st;
	int dev;

	vmm_open(&vmm, &devices[0], false);
	ASSERT_EQ(0, fstat(vmm.fd[VMM_GROUP], &st));
	vfio_show_vm(vmm.fd[VMM_VM], &self->show);
	noncoherent = COHERENCY_MATTERS &&
		vfio_show_number(&self->show, 0, "noncoherent");
	dev = kvm_vfio_create(self->vm);

	vfio_events_begin();
	kvm_vfio_add(dev, vmm.fd[VMM_GROUP]);
	kvm_vfio_del(dev, vmm.fd[VMM_GROUP]);
	kvm_vfio_add(dev, vmm.fd[VMM_GROUP]);
	close(dev);
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
	debugfs_mount();
	return test_harness_run(argc, argv);
}
