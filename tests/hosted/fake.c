// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fake of the host, of VFIO devices and of their files: vfio_main.c and
 * device_cdev.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/err.h>
#include <linux/fault.h>
#include <linux/file.h>
#include <linux/kdev_t.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "fake.h"
#include "test.h"

struct fake_counts counts;
struct module vfio_module = { .name = "vfio" };

void *fake_alloc(size_t size)
{
	void *ptr = calloc(1, size);

	if (!ptr)
		abort();
	return ptr;
}

/* IOMMU groups; only the test's main thread makes and frees them. */

static struct iommu_group *iommu_groups;
static int nr_iommu_groups;

struct iommu_group *host_group(enum vfio_group_type type, unsigned int nr)
{
	struct iommu_group *ig = fake_alloc(sizeof(*ig));

	ig->id = nr_iommu_groups++;
	ig->refs = 1;
	ig->type = type;
	ig->windows = type == VFIO_IOMMU ? 3 : 0;
	ig->nr_devices = nr;
	ig->next = iommu_groups;
	iommu_groups = ig;
	for (unsigned int i = 0; i < nr; i++) {
		ig->devices[i].group = ig;
		snprintf(ig->devices[i].name, sizeof(ig->devices[i].name),
			 "0000:%02x:%02x.0", ig->id & 0xff, i & 0xff);
		ig->devices[i].capable = type == VFIO_IOMMU;
		if (type == VFIO_IOMMU)
			ig->devices[i].iommu = ig;
		host_bind(&ig->devices[i]);
	}
	return ig;
}

struct iommu_group *host_group_of(int id)
{
	struct iommu_group *ig = iommu_groups;

	while (ig && ig->id != id)
		ig = ig->next;
	return ig;
}

static void host_put_group(struct iommu_group *ig)
{
	struct iommu_group **where = &iommu_groups;

	while (*where != ig)
		where = &(*where)->next;
	*where = ig->next;
	if (!fake_dec(ig->refs))
		free(ig);
}

int iommu_group_id(struct iommu_group *ig)
{
	return ig->id;
}

void *iommu_group_get_iommudata(struct iommu_group *ig)
{
	return ig->windows ? &ig->windows : NULL;
}

int shim_call_devices(struct iommu_group *ig, void *data,
		      int (*fn)(struct device *dev, void *data))
{
	int ret = 0;

	for (unsigned int i = 0; i < ig->nr_devices && !ret; i++)
		ret = fn(&ig->devices[i], data);
	return ret;
}

bool device_iommu_capable(struct device *dev, enum iommu_cap cap)
{
	fake_inc(counts.capable);
	return dev->capable;
}

static const struct vfio_device_ops pci_ops = { .name = "vfio-pci" };
static const struct vfio_device_ops mdev_ops;

/* The N of /dev/vfio/devices/vfioN */
static unsigned int cdev_number(const struct vfio_device *device)
{
	struct iommu_group *ig = device->dev->group;

	return ig->id * GROUP_DEVICES + (device->dev - ig->devices);
}

void host_bind(struct device *dev)
{
	struct iommu_group *ig = dev->group;
	struct vfio_device *device = fake_alloc(sizeof(*device));

	device->dev = dev;
	device->ops = ig->type == VFIO_EMULATED_IOMMU ? &mdev_ops : &pci_ops;
	snprintf(device->device.name, sizeof(device->device.name), "vfio%u",
		 cdev_number(device));
	device->reg_refs = 1;
	pthread_mutex_init(&device->reg_lock, NULL);
	pthread_cond_init(&device->reg_cond, NULL);
	mutex_init(&device->dev_set_lock);
	vfio_group_bind(device);
	WRITE_ONCE(dev->vdev, device);
}

void host_unbind(struct device *dev)
{
	struct vfio_device *device = dev->vdev;

	WRITE_ONCE(dev->vdev, NULL);
	vfio_group_unbind(device);
	WARN_ON(device->open_count);
	WARN_ON(device->kvm);
	mutex_destroy(&device->dev_set_lock);
	pthread_mutex_destroy(&device->reg_lock);
	pthread_cond_destroy(&device->reg_cond);
	free(device);
	shim_return_to_user();
}

void host_take_back(struct iommu_group *ig, bool unplug)
{
	for (unsigned int i = 0; i < ig->nr_devices; i++)
		if (ig->devices[i].vdev)
			host_unbind(&ig->devices[i]);
	if (!unplug)
		return;
	/* __iommu_group_free_device() of the last device */
	WARN_ON(fake_read(ig->owned));
	WARN_ON(fake_read(ig->protected));
	host_put_group(ig);
}

/* Modules */

static enum vfio_ko vfio_ko;

void host_set_vfio_ko(enum vfio_ko which)
{
	vfio_ko = which;
}

static void count_call(void)
{
	fake_inc(counts.api_calls);
	if (fake_read(counts.symbol_refs) <= 0)
		SHIM_FAIL("vfio.ko is called without a reference on it");
}

/*
 * What KVM gets: vfio.ko's functions, with a check of its references around
 * each.
 */
static int api_get(struct vfio_external_user *user, struct file *file)
{
	int ret;

	count_call();
	if (shim_fault("get"))
		return -EINVAL;
	ret = vfio_external_get(user, file);
	count_call();
	return ret;
}

static void api_put(struct vfio_external_user *user)
{
	count_call();
	vfio_external_put(user);
	count_call();
}

static void api_set_kvm(struct vfio_external_user *user, struct kvm *kvm)
{
	count_call();
	vfio_external_set_kvm(user, kvm);
}

static int api_with_group(struct vfio_external_user *user,
			  int (*fn)(struct iommu_group *group, void *data),
			  void *data)
{
	count_call();
	return vfio_external_with_group(user, fn, data);
}

static void api_show(struct vfio_external_user *user, struct seq_file *m)
{
	count_call();
	vfio_external_show(user, m);
}

static const struct {
	const char *name;
	const void *function;
	bool stock;
} exports[] = {
	{ "vfio_external_get", api_get, false },
	{ "vfio_external_put", api_put, false },
	{ "vfio_external_set_kvm", api_set_kvm, false },
	{ "vfio_external_with_group", api_with_group, false },
	{ "vfio_external_show", api_show, false },
	{ "vfio_file_is_valid", vfio_file_is_valid, true },
};

const void *shim_symbol_get(const char *name)
{
	fake_inc(counts.symbol_gets);
	if (vfio_ko == VFIO_KO_NONE || shim_fault("symbol_get"))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(exports); i++) {
		if (strcmp(exports[i].name, name))
			continue;
		if (vfio_ko == VFIO_KO_STOCK && !exports[i].stock)
			return NULL;
		fake_inc(counts.symbol_refs);
		return exports[i].function;
	}
	return NULL;
}

void shim_symbol_put(const char *name)
{
	if (fake_dec(counts.symbol_refs) < 0)
		SHIM_FAIL("symbol_put(%s) without symbol_get()", name);
}

/* Registration, open and close of devices */

bool vfio_device_try_get_registration(struct vfio_device *device)
{
	bool ret;

	shim_step("try_get_registration", &device->reg_refs);
	pthread_mutex_lock(&device->reg_lock);
	ret = device->reg_refs;
	device->reg_refs += ret;
	pthread_mutex_unlock(&device->reg_lock);
	return ret;
}

void vfio_device_put_registration(struct vfio_device *device)
{
	shim_step("put_registration", &device->reg_refs);
	pthread_mutex_lock(&device->reg_lock);
	if (!--device->reg_refs)
		pthread_cond_signal(&device->reg_cond);
	pthread_mutex_unlock(&device->reg_lock);
}

int fake_registrations(struct vfio_device *device)
{
	int nr;

	pthread_mutex_lock(&device->reg_lock);
	nr = device->reg_refs;
	pthread_mutex_unlock(&device->reg_lock);
	return nr;
}

/* Waits until no fd of the device is open. */
void vfio_device_wait(struct vfio_device *device)
{
	if (SHIM_EXPLORING) {
		vfio_device_put_registration(device);
		shim_step_wait("waits for open fds", &device->reg_refs);
		return;
	}
	pthread_mutex_lock(&device->reg_lock);
	device->reg_refs--;
	while (device->reg_refs)
		pthread_cond_wait(&device->reg_cond, &device->reg_lock);
	pthread_mutex_unlock(&device->reg_lock);
}

void vfio_device_get_kvm_safe(struct vfio_device *device, struct kvm *kvm)
{
	lockdep_assert_held(&device->dev_set_lock);

	/* Under kvm_ref_lock: a VM that is visible is still held. */
	if (FAKE_ASSIGNMENTS && kvm && fake_read(kvm->arch.assigned) <= 0)
		SHIM_FAIL("a driver sees a VM that has no assigned device");
	if (kvm && kvm_get_kvm_safe(kvm))
		device->kvm = kvm;
}

void vfio_device_put_kvm(struct vfio_device *device)
{
	struct kvm *kvm = device->kvm;

	lockdep_assert_held(&device->dev_set_lock);

	device->kvm = NULL;
	if (kvm)
		kvm_put_kvm(kvm);
}

struct vfio_device_file *vfio_df_alloc(struct vfio_device *device)
{
	struct vfio_device_file *df = fake_alloc(sizeof(*df));

	df->device = device;
	spin_lock_init(&df->kvm_ref_lock);
	INIT_LIST_HEAD(&df->external_users);
	return df;
}

/*
 * open_device() of a driver that uses the VM: it takes kvm->lock, as drivers
 * may.
 */
static void driver_open(struct vfio_device *device)
{
	struct kvm *kvm = device->kvm;

	if (!kvm)
		return;
	mutex_lock(&kvm->lock);
	mutex_unlock(&kvm->lock);
}

int vfio_df_open(struct vfio_device_file *df)
{
	struct vfio_device *device = df->device;
	int ret = 0;

	lockdep_assert_held(&device->dev_set_lock);

	if (device->open_count && !df->group)
		return -EINVAL;
	if (!device->open_count) {
		ret = df->iommufd ? 0 : vfio_group_use_iommu(device);
		if (!ret)
			driver_open(device);
	}
	device->open_count += !ret;
	return ret;
}

void vfio_df_close(struct vfio_device_file *df)
{
	struct vfio_device *device = df->device;

	lockdep_assert_held(&device->dev_set_lock);

	if (device->open_count == 1 && !df->iommufd)
		vfio_group_unuse_iommu(device);
	device->open_count--;
}

static void vfio_df_unbind_iommufd(struct vfio_device_file *df)
{
	struct vfio_device *device = df->device;

	if (!df->access_granted)
		return;
	mutex_lock(&device->dev_set_lock);
	vfio_df_close(df);
	vfio_device_put_kvm(device);
	iommufd_ctx_put(df->iommufd);
	mutex_unlock(&device->dev_set_lock);
	vfio_device_unblock_group(device);
}

static void vfio_device_fops_release(struct file *file)
{
	struct vfio_device_file *df = file->private_data;

	if (df->group)
		vfio_df_group_close(df);
	else
		vfio_df_unbind_iommufd(df);
	/*
	 * As in the release of a group: the one that set the VM must have
	 * cleared it.
	 */
	WARN_ON(df->kvm);
	vfio_device_put_registration(df->device);
	free(df);
}

const struct file_operations vfio_device_fops = {
	.name = "device",
	.owner = &vfio_module,
	.release = vfio_device_fops_release,
};

int user_open_cdev(struct device *dev)
{
	struct vfio_device *device = dev->vdev;
	struct file *file;

	if (!vfio_device_try_get_registration(device))
		return -ENODEV;
	file = shim_file(&vfio_device_fops, vfio_df_alloc(device));
	file->inode.i_rdev = MKDEV(FAKE_CDEV_MAJOR, cdev_number(device));
	return shim_install(file);
}

/* vfio_df_ioctl_bind_iommufd() */
static int vfio_df_bind(struct vfio_device_file *df, int iommufd)
{
	struct vfio_device *device = df->device;
	int ret;

	if (df->group)
		return -EINVAL;
	ret = vfio_device_block_group(device);
	if (ret)
		return ret;

	mutex_lock(&device->dev_set_lock);
	ret = -EINVAL;
	if (!df->access_granted && !device->open_count) {
		df->iommufd = iommufd_ctx_from_fd(iommufd);
		spin_lock(&df->kvm_ref_lock);
		vfio_device_get_kvm_safe(device, df->kvm);
		spin_unlock(&df->kvm_ref_lock);
		ret = vfio_df_open(df);
		WRITE_ONCE(df->access_granted, true);
	}
	mutex_unlock(&device->dev_set_lock);
	if (ret)
		vfio_device_unblock_group(device);
	return ret;
}

int user_bind(int fd, int iommufd)
{
	struct file *file = shim_fd(fd);
	int ret = vfio_df_bind(file->private_data, iommufd);

	fput(file);
	shim_return_to_user();
	return ret;
}

static struct vfio_device *vfio_device_from_file(struct file *file)
{
	struct vfio_device_file *df = file->private_data;

	return file->f_op == &vfio_device_fops ? df->device : NULL;
}

bool vfio_file_is_valid(struct file *file)
{
	return vfio_group_from_file(file) || vfio_device_from_file(file);
}

void fake_check_visible(struct kvm *kvm)
{
	log_event(kvm ? 'k' : '0');
	if (FAKE_ASSIGNMENTS && kvm && fake_read(kvm->arch.assigned) <= 0)
		SHIM_FAIL("drivers see a VM before it has an assigned device");
}

#if !IS_ENABLED(CONFIG_VFIO_GROUP)
void vfio_group_bind(struct vfio_device *device)
{
	fake_inc(device->dev->group->refs);
}

void vfio_group_unbind(struct vfio_device *device)
{
	vfio_device_wait(device);
	if (!fake_dec(device->dev->group->refs))
		free(device->dev->group);
}

int vfio_group_use_iommu(struct vfio_device *device)
{
	return -EOPNOTSUPP;
}

void vfio_group_unuse_iommu(struct vfio_device *device)
{
}

void vfio_df_group_close(struct vfio_device_file *df)
{
}

int vfio_device_block_group(struct vfio_device *device)
{
	return 0;
}

void vfio_device_unblock_group(struct vfio_device *device)
{
}

void vfio_group_set_kvm(struct vfio_group *group, struct kvm *kvm)
{
}

void vfio_group_print(struct iommu_group *ig, char *buf, size_t size)
{
}
#endif

/* Other files */

static int nr_iommufds;

static void iommufd_release(struct file *file)
{
	iommufd_ctx_put(file->private_data);
}

static const struct file_operations iommufd_fops = {
	.name = "iommufd",
	.release = iommufd_release,
};

void iommufd_ctx_put(struct iommufd_ctx *ctx)
{
	if (fake_dec(ctx->refs))
		return;
	free(ctx);
	fake_dec(nr_iommufds);
}

struct iommufd_ctx *iommufd_ctx_from_fd(int fd)
{
	struct file *file = shim_fd(fd);
	struct iommufd_ctx *ctx = file->private_data;

	fake_inc(ctx->refs);
	fput(file);
	return ctx;
}

int user_open_iommufd(void)
{
	struct iommufd_ctx *ctx = fake_alloc(sizeof(*ctx));

	ctx->refs = 1;
	fake_inc(nr_iommufds);
	return shim_install(shim_file(&iommufd_fops, ctx));
}

int user_open_pipe(void)
{
	static const struct file_operations pipe_fops = { .name = "pipe" };

	return shim_install(shim_file(&pipe_fops, NULL));
}

struct kvm *fake_kvm_seen(struct device *dev)
{
	return dev->vdev->kvm;
}

/* Everything together */

static size_t print_fd(int fd, char *buf, size_t size)
{
	struct file *file = shim_fd(fd);
	int len;

	if (!file)
		return 0;
	len = snprintf(buf, size, "fd %d %s %p refs %d\n", fd,
		       file->f_op->name, file, file->f_count - 1);
	fput(file);
	return len;
}

static size_t print_group(struct iommu_group *ig, char *buf, size_t size)
{
	char more[160] = "";

	vfio_group_print(ig, more, sizeof(more));
	return snprintf(buf, size, "group %d refs %d protected %d owned %d %s\n",
			ig->id, ig->refs, ig->protected, ig->owned, more);
}

size_t fake_print_vms(char *buf, size_t size);

char *fake_snapshot(void)
{
	size_t size = 32768, len;
	char *buf = fake_alloc(size);

	len = snprintf(buf, size, "objects %u files %u vfio.ko %d + %d\n",
		       shim_live_objects(), shim_live_files(),
		       vfio_module.refs, counts.symbol_refs);
	for (struct iommu_group *ig = iommu_groups; ig; ig = ig->next)
		len += print_group(ig, buf + len, size - len);
	for (int fd = 0; fd < SHIM_FDS; fd++)
		len += print_fd(fd, buf + len, size - len);
	len += fake_print_vms(buf + len, size - len);
	if (len >= size)
		bail_out("the snapshot is too long");
	return buf;
}

void fake_end(void)
{
	shim_fault_disarm();
	shim_at_resched = NULL;
	shim_forbid = NULL;
	shim_set_seq_size(0);
	for (int fd = 0; fd < shim_fds(); fd++)
		shim_close(fd);
	while (iommu_groups)
		host_take_back(iommu_groups, true);
	host_set_vfio_ko(VFIO_KO_OURS);
	shim_forget_once();
	shim_set_unreadable(NULL, 0);
	user_set_mm(1);
	nr_iommu_groups = 0;

	EXPECT_EQ(shim_live_objects(), 0);
	EXPECT_EQ(shim_live_files(), 0);
	EXPECT_EQ(vfio_module.refs, 0);
	EXPECT_EQ(nr_iommufds, 0);
	EXPECT_EQ(counts.symbol_refs, 0);
	EXPECT_EQ(counts.vms, 0);
	EXPECT_EQ(counts.groups, 0);
	EXPECT_EQ(counts.containers, 0);
	EXPECT_EQ(counts.tce_holders, 0);
	memset(&counts, 0, sizeof(counts));
}
