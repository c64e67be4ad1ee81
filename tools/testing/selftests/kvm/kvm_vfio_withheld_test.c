// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contract 1.31: user space does not delay the host.
 *
 * An ioctl of a container waits for a page that userfaultfd withholds. Meanwhile the
 * group leaves the container: because the host unbinds its device, or by
 * VFIO_GROUP_UNSET_CONTAINER. Neither that nor another VFIO device waits for the ioctl,
 * and the ioctl, which then gets its page, finds nothing freed (defect 38).
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
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_util.h"

/* Several emulated machines run at a time.  What takes this long hangs. */
#define LIMIT_S		50
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300

#define UNBIND		"/sys/bus/pci/drivers/vfio-pci/unbind"

static struct vfio_test_device devices[2];

/* A system call in a thread of its own, which may hang */
struct call {
	int fd;
	unsigned long request;
	void *arg;
	const char *path;	/* or else a write of @arg to this file of sysfs */
	int (*function)(int fd);	/* or else this, of @fd */
	int ret;
	pthread_t thread;
};

static void *call_thread(void *arg)
{
	struct call *call = arg;

	if (call->path) {
		call->ret = __sysfs_write(call->path, call->arg);
	} else if (call->function) {
		call->ret = call->function(call->fd);
	} else {
		call->ret = ioctl(call->fd, call->request, call->arg);
		if (call->ret < 0)
			call->ret = -errno;
	}
	return NULL;
}

static void call_start(struct call *call)
{
	VFIO_ASSERT(!pthread_create(&call->thread, NULL, call_thread, call),
		    "pthread_create");
}

/* -ETIMEDOUT if it hangs; it is waited for by call_end() then. */
static int call_in_time(struct call *call)
{
	struct timespec until;

	call_start(call);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LIMIT_S;
	if (pthread_timedjoin_np(call->thread, NULL, &until))
		return -ETIMEDOUT;
	call->thread = 0;
	return call->ret;
}

static int call_end(struct call *call)
{
	if (call->thread)
		VFIO_ASSERT(!pthread_join(call->thread, NULL), "pthread_join");
	call->thread = 0;
	return call->ret;
}

/*
 * The ioctls
 */
union argument {
	uint32_t argsz;
	struct vfio_iommu_type1_info info;
	struct vfio_iommu_type1_dma_map map;
#ifdef __KVM_HAVE_SPAPR_TCE
	struct vfio_iommu_spapr_tce_info tce_info;
	struct vfio_iommu_spapr_tce_create create;
	struct vfio_iommu_spapr_tce_remove remove;
	struct vfio_eeh_pe_op eeh;
#endif
};

FIXTURE(defect38)
{
	struct vfio_before before;
	long pinned;
	int container;
	int group;
	struct missing_page withheld;
	uint8_t *buffer;	/* what MAP_DMA maps, if not the page that is withheld */
	union argument argument;
	struct call call;	/* the ioctl that waits */
	struct call calls[4];	/* and what must not */
};

FIXTURE_VARIANT(defect38)
{
	unsigned long iommu;
	unsigned long request;
	size_t argsz;
	bool maps_the_page;	/* what is withheld is to be mapped, not the argument */
	int answer;		/* if the group stays */
};

#ifdef __KVM_HAVE_SPAPR_TCE
#define GET_INFO	VFIO_IOMMU_SPAPR_TCE_GET_INFO
#define INFO_SIZE	sizeof(struct vfio_iommu_spapr_tce_info)
#define WITHOUT_GROUP	(-ENXIO)	/* the answer if the group has left */
#else
#define GET_INFO	VFIO_IOMMU_GET_INFO
#define INFO_SIZE	sizeof(struct vfio_iommu_type1_info)
/* The driver of these containers can do without a group. */
#define WITHOUT_GROUP	0
#endif

#ifdef __KVM_HAVE_SPAPR_TCE
/*
 * Not on x86: the type1 driver keeps its own lock while it waits for such a page, as on
 * stock.  The first variant, because the others unpin pages some time after they end.
 */
FIXTURE_VARIANT_ADD(defect38, map_dma_of_the_page)
{
	.iommu = VFIO_TEST_IOMMU_V1,
	.request = VFIO_IOMMU_MAP_DMA,
	.argsz = sizeof(struct vfio_iommu_type1_dma_map),
	.maps_the_page = true,
};
#endif

FIXTURE_VARIANT_ADD(defect38, get_info)
{
	.iommu = VFIO_TEST_IOMMU_TYPE,
	.request = GET_INFO,
	.argsz = INFO_SIZE,
};

FIXTURE_VARIANT_ADD(defect38, map_dma)
{
	.iommu = VFIO_TEST_IOMMU_TYPE,
	.request = VFIO_IOMMU_MAP_DMA,
	.argsz = sizeof(struct vfio_iommu_type1_dma_map),
};

FIXTURE_VARIANT_ADD(defect38, map_dma_v1)
{
	.iommu = VFIO_TEST_IOMMU_V1,
	.request = VFIO_IOMMU_MAP_DMA,
	.argsz = sizeof(struct vfio_iommu_type1_dma_map),
};

#ifdef __KVM_HAVE_SPAPR_TCE
FIXTURE_VARIANT_ADD(defect38, tce_create)
{
	.iommu = VFIO_TEST_IOMMU_TYPE,
	.request = VFIO_IOMMU_SPAPR_TCE_CREATE,
	.argsz = sizeof(struct vfio_iommu_spapr_tce_create),
};

/* There is no such window. */
FIXTURE_VARIANT_ADD(defect38, tce_remove)
{
	.iommu = VFIO_TEST_IOMMU_TYPE,
	.request = VFIO_IOMMU_SPAPR_TCE_REMOVE,
	.argsz = sizeof(struct vfio_iommu_spapr_tce_remove),
	.answer = -EINVAL,
};

FIXTURE_VARIANT_ADD(defect38, eeh)
{
	.iommu = VFIO_TEST_IOMMU_TYPE,
	.request = VFIO_EEH_PE_OP,
	.argsz = sizeof(struct vfio_eeh_pe_op),
};
#endif

static void make_argument(union argument *argument, unsigned long request, size_t argsz,
			  void *va)
{
	memset(argument, 0, sizeof(*argument));
	argument->argsz = argsz;
	if (request == VFIO_IOMMU_MAP_DMA) {
		argument->map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
		argument->map.vaddr = (uintptr_t)va;
		argument->map.iova = VFIO_TEST_IOVA;
		argument->map.size = getpagesize();
	}
#ifdef __KVM_HAVE_SPAPR_TCE
	if (request == VFIO_EEH_PE_OP)
		argument->eeh.op = VFIO_EEH_PE_GET_STATE;
	if (request == VFIO_IOMMU_SPAPR_TCE_CREATE) {
		argument->create.page_shift = 12;
		argument->create.window_size = 1UL << 20;
		argument->create.levels = 1;
	}
	if (request == VFIO_IOMMU_SPAPR_TCE_REMOVE)
		argument->remove.start_addr = 1UL << 58;
#endif
}

FIXTURE_SETUP(defect38)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		vfio_bind(devices[i].bdf);
	warn_once_rearm();
	vfio_remember(&self->before);
	self->pinned = pinned_pages(NULL);
	memset(self->calls, 0, sizeof(self->calls));

	vfio_test_iommu_type = variant->iommu;
	self->container = vfio_container_open();
	self->group = vfio_group_open(devices[0].group);
	vfio_group_set_container(self->group, self->container);
	vfio_container_use_iommu(self->container);
	self->buffer = vfio_dma_buffer(getpagesize());
	ASSERT_EQ(0, __vfio_memory_register(self->container, self->buffer,
					    getpagesize()));
#ifdef __KVM_HAVE_SPAPR_TCE
	/* A container has two windows at most, and the test makes two: drop the default one. */
	if (variant->request == VFIO_IOMMU_SPAPR_TCE_CREATE) {
		struct vfio_iommu_spapr_tce_remove first = { .argsz = sizeof(first) };

		ASSERT_EQ(0, ioctl(self->container, VFIO_IOMMU_SPAPR_TCE_REMOVE, &first));
	}
#endif

	missing_page_open(&self->withheld,
			  mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	make_argument(&self->argument, variant->request, variant->argsz,
		      variant->maps_the_page ? self->withheld.va : self->buffer);
	self->call = (struct call){
		.fd = self->container,
		.request = variant->request,
		.arg = variant->maps_the_page ? (void *)&self->argument :
						self->withheld.va,
	};
	call_start(&self->call);
	ASSERT_TRUE(missing_page_waited_for(&self->withheld, LIMIT_S * 1000));
}

/* The ioctl gets its page. */
static int give_and_end(const struct missing_page *withheld,
			const union argument *argument, struct call *call)
{
	missing_page_give(withheld, argument, sizeof(*argument));
	return call_end(call);
}

FIXTURE_TEARDOWN(defect38)
{
	unsigned int i;

	/* After a failure something may still wait. */
	if (self->call.thread)
		give_and_end(&self->withheld, &self->argument, &self->call);
	for (i = 0; i < ARRAY_SIZE(self->calls); i++)
		call_end(&self->calls[i]);
	vfio_close_all(&self->before);
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		vfio_bind(devices[i].bdf);
		EXPECT_TRUE(vfio_group_is_free(devices[i].group));
	}
	if (variant->maps_the_page)
		EXPECT_GE(self->pinned, pinned_pages(NULL));
	EXPECT_TRUE(vfio_nothing_left(&self->before));
}

/* The host takes both devices and gives one back, while KVM holds the group. */
TEST_F(defect38, unbind)
{
	int dev = kvm_vfio_create(kvm_vm_open());
	struct call *calls = self->calls;

	kvm_vfio_add(dev, self->group);
	calls[0] = (struct call){ .path = UNBIND, .arg = devices[0].bdf };
	EXPECT_EQ(0, call_in_time(&calls[0]));
	calls[1] = (struct call){ .path = UNBIND, .arg = devices[1].bdf };
	EXPECT_EQ(0, call_in_time(&calls[1]));
	calls[2] = (struct call){
		.path = "/sys/bus/pci/drivers_probe",
		.arg = devices[1].bdf,
	};
	EXPECT_EQ(0, call_in_time(&calls[2]));

	EXPECT_EQ(WITHOUT_GROUP,
		  give_and_end(&self->withheld, &self->argument, &self->call));
	/* The container has nothing any more. */
	EXPECT_EQ(-EINVAL, __vfio_dma_map(self->container, self->buffer,
					  VFIO_TEST_IOVA, getpagesize()));
	EXPECT_EQ(0, __kvm_vfio_del(dev, self->group));
}

TEST_F(defect38, unbind_of_another)
{
	int answer;

	self->calls[0] = (struct call){ .path = UNBIND, .arg = devices[1].bdf };
	EXPECT_EQ(0, call_in_time(&self->calls[0]));

	answer = give_and_end(&self->withheld, &self->argument, &self->call);
	/* Now the page is there, and the ioctl says the same. */
	if (variant->request == VFIO_IOMMU_MAP_DMA)
		EXPECT_EQ(0, __vfio_dma_unmap(self->container, VFIO_TEST_IOVA,
					      getpagesize()));
	call_start(&self->call);
	EXPECT_EQ(answer, call_end(&self->call));
	if (variant->request != VFIO_EEH_PE_OP)
		EXPECT_EQ(variant->answer, answer);
}

static int unset_in_time(struct call *call, int group)
{
	*call = (struct call){ .fd = group, .request = VFIO_GROUP_UNSET_CONTAINER };
	return call_in_time(call);
}

/* The same container gets the group again before the old ioctl has ended. */
TEST_F(defect38, unset_container)
{
	ASSERT_EQ(0, unset_in_time(self->calls, self->group));
	EXPECT_EQ(-EINVAL, __vfio_dma_unmap(self->container, VFIO_TEST_IOVA,
					    getpagesize()));
	vfio_group_set_container(self->group, self->container);
	vfio_container_use_iommu(self->container);
	EXPECT_EQ(0, __vfio_memory_register(self->container, self->buffer,
					    getpagesize()));
	EXPECT_EQ(0, __vfio_dma_map(self->container, self->buffer, VFIO_TEST_IOVA,
				    getpagesize()));

	EXPECT_EQ(WITHOUT_GROUP,
		  give_and_end(&self->withheld, &self->argument, &self->call));
	EXPECT_EQ(0, __vfio_dma_unmap(self->container, VFIO_TEST_IOVA,
				      getpagesize()));
}

/* The ioctl is the last that uses the container. */
TEST_F(defect38, all_else_is_closed)
{
	ASSERT_EQ(0, unset_in_time(self->calls, self->group));
	close(self->group);
	close(self->container);
	EXPECT_EQ(WITHOUT_GROUP,
		  give_and_end(&self->withheld, &self->argument, &self->call));
}

#ifndef __KVM_HAVE_SPAPR_TCE
static int close_device(int fd)
{
	return close(fd) ? -errno : 0;
}

static int open_group(int number)
{
	return close(vfio_group_open(number)) ? -errno : 0;
}

/*
 * Contract 1.31: The type1 driver holds its lock while it writes a bitmap to a page that is
 * withheld. ADD does not wait for that, nor do VMs that let go or end, nor open() of another
 * group.
 */
TEST(add_and_del_while_a_driver_waits)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} dirty = { };
	int dev = kvm_vfio_create(kvm_vm_open()), other = kvm_vfio_create(kvm_vm_open());
	int third = kvm_vfio_create(kvm_vm_open());
	int container = vfio_container_open(), group;
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_GROUP,
		.attr = KVM_DEV_VFIO_GROUP_ADD,
		.addr = (uintptr_t)&group,
	};
	struct kvm_device_attr del = attr;
	struct missing_page withheld;
	struct call calls[5];
	uint64_t none = 0;

	vfio_test_iommu_type = VFIO_TEST_IOMMU_TYPE;
	group = vfio_group_open(devices[0].group);
	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);
	ASSERT_EQ(0, __vfio_dma_map(container, vfio_dma_buffer(getpagesize()),
				    VFIO_TEST_IOVA, getpagesize()));
	dirty.head.argsz = sizeof(dirty.head);
	dirty.head.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
	ASSERT_EQ(0, ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &dirty));
	kvm_vfio_add(other, group);
	kvm_vfio_add(third, group);

	missing_page_open(&withheld, mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	dirty.head.argsz = sizeof(dirty);
	dirty.head.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
	dirty.get = (struct vfio_iommu_type1_dirty_bitmap_get){
		.iova = VFIO_TEST_IOVA,
		.size = getpagesize(),
		.bitmap = {
			.pgsize = getpagesize(),
			.size = sizeof(none),
			.data = (void *)withheld.va,
		},
	};
	calls[0] = (struct call){
		.fd = container,
		.request = VFIO_IOMMU_DIRTY_PAGES,
		.arg = &dirty,
	};
	call_start(&calls[0]);
	ASSERT_TRUE(missing_page_waited_for(&withheld, LIMIT_S * 1000));
	calls[1] = (struct call){ .fd = dev, .request = KVM_SET_DEVICE_ATTR, .arg = &attr };
	EXPECT_EQ(0, call_in_time(&calls[1]));
	del.attr = KVM_DEV_VFIO_GROUP_DEL;
	calls[2] = (struct call){ .fd = other, .request = KVM_SET_DEVICE_ATTR, .arg = &del };
	EXPECT_EQ(0, call_in_time(&calls[2]));
	calls[3] = (struct call){ .fd = third, .function = close_device };
	EXPECT_EQ(0, call_in_time(&calls[3]));
	calls[4] = (struct call){ .fd = devices[1].group, .function = open_group };
	EXPECT_EQ(0, call_in_time(&calls[4]));

	missing_page_give(&withheld, &none, sizeof(none));
	EXPECT_EQ(0, call_end(&calls[0]));
	EXPECT_EQ(0, call_end(&calls[1]));
	EXPECT_EQ(0, call_end(&calls[2]));
	EXPECT_EQ(0, call_end(&calls[3]));
	EXPECT_EQ(0, call_end(&calls[4]));
	EXPECT_EQ(-EBUSY, __vfio_group_unset_container(group));
	kvm_vfio_del(dev, group);
	vfio_group_unset_container(group);
}
#endif

int main(int argc, char **argv)
{
	vfio_test_init(devices, ARRAY_SIZE(devices), ARRAY_SIZE(devices));
	return test_harness_run(argc, argv);
}
