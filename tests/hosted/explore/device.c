// SPDX-License-Identifier: GPL-2.0-only
/*
 * What user space and the host do with the KVM-VFIO device: two VMs, groups that are
 * held, free, without a container, and without a driver; a cdev; TCE tables, as
 * fake_kvm.c has them.
 */
#include <stdio.h>

#include "../setup.h"
#include "explore.h"
#include "sched.h"

static struct {
	struct vm vm, other;
	int container, tables[2];
	struct file *table_files[2];	/* just to compare */
	struct file *vm_files[2];
	struct group held, idle, out;	/* by vm; in the container; in none */
	bool gone, idle_gone, bound;	/* once: by the lock of the device, in the kernel */
	struct iommu_group *unbound;
	struct iommu_group *cdev_group;
	int cdev, iommufd;
} w;

static struct file *file_of(int fd)
{
	struct file *file = shim_fd(fd);

	if (file)
		fput(file);
	return file;
}

static void device_begin(void)
{
	static bool once;

	if (!once)
		sched_ignore(&counts, sizeof(counts));
	once = true;
	memset(&w, 0, sizeof(w));
	w.vm = new_vm();
	w.other = new_vm();
	w.container = user_open_container();
	w.held = open_group(host_group(VFIO_IOMMU, 1), w.container);
	w.idle = open_group(host_group(VFIO_IOMMU, 1), w.container);
	w.held.ig->devices[0].capable = false;
	w.idle.ig->devices[0].capable = false;
	EXPECT_EQ(user_set_iommu_type(w.container, VFIO_SPAPR_TCE_v2_IOMMU), 0);
	EXPECT_EQ(user_register_memory(w.container), 0);
	w.out.ig = host_group(VFIO_IOMMU, 1);
	w.out.fd = user_open_group(w.out.ig);
	w.unbound = host_group(VFIO_IOMMU, 1);
	host_take_back(w.unbound, false);
	w.cdev_group = host_group(VFIO_IOMMU, 1);
	w.cdev = user_open_cdev(w.cdev_group->devices);
	w.iommufd = user_open_iommufd();
	for (int i = 0; i < 2; i++)
		w.tables[i] = user_create_tce(w.vm.fd, 1);
	EXPECT_EQ(user_add(w.vm.dev, w.held.fd), 0);
	EXPECT_EQ(user_set_tce(w.vm.dev, w.held.fd, w.tables[0]), 0);
	for (int i = 0; i < 2; i++)
		w.table_files[i] = file_of(w.tables[i]);
	w.vm_files[0] = file_of(w.vm.fd);
	w.vm_files[1] = file_of(w.other.fd);
}

/* Operations: what they return is 0, or an error; an fd is 0. */

static long fd_or_error(int fd)
{
	return min(fd, 0);
}

static long do_add(void)
{
	return user_add(w.vm.dev, w.idle.fd);
}

static long do_add_other(void)
{
	return user_add(w.other.dev, w.held.fd);
}

static long do_del(void)
{
	return user_del(w.vm.dev, w.held.fd);
}

static long do_close(void)
{
	return shim_close(w.vm.dev);
}

static long do_create(void)
{
	return fd_or_error(user_create_device(w.vm.fd, false));
}

static long do_set(void)
{
	return user_set_tce(w.vm.dev, w.held.fd, w.tables[1]);
}

static long do_close_table(void)
{
	return shim_close(w.tables[0]);
}

static long do_unset(void)
{
	return user_unset_container(w.held.fd);
}

static long do_unset_idle(void)
{
	return user_unset_container(w.idle.fd);
}

static long do_set_container(void)
{
	long ret = user_set_container(w.out.fd, w.container);

	return ret ?: user_add(w.vm.dev, w.out.fd);
}

static long do_register(void)
{
	return user_register_memory(w.container);
}

static bool first(bool *done)
{
	return !__atomic_exchange_n(done, true, __ATOMIC_ACQ_REL);
}

static long do_map(void)
{
	return user_map_dma(w.container);
}

static long do_close_container(void)
{
	return shim_close(w.container);
}

static long do_unbind(void)
{
	if (first(&w.gone))
		host_take_back(w.held.ig, false);
	return 0;
}

static long do_unbind_idle(void)
{
	if (first(&w.idle_gone))
		host_take_back(w.idle.ig, false);
	return 0;
}

static long do_bind(void)
{
	if (first(&w.bound))
		host_bind(w.unbound->devices);
	shim_return_to_user();
	return fd_or_error(user_open_group(w.unbound));
}

static long do_open(void)
{
	return fd_or_error(user_open_group(w.unbound));
}

static long do_get_device(void)
{
	int fd = user_get_device(w.held.fd, w.held.ig->devices);

	shim_return_to_user();
	if (fd >= 0)
		shim_close(fd);
	return fd_or_error(fd);
}

static long do_close_group(void)
{
	return shim_close(w.held.fd);
}

static long do_show(void)
{
	char *text = shim_read_fdinfo(w.vm.dev);

	if (!text)
		return -EBADF;
	EXPECT(strstr(text, "kvm-vfio:\t1\nvm:\t") == text);
	free(text);
	return 0;
}

static long do_end(void)
{
	for (int i = 0; i < 2; i++)
		shim_close(w.tables[i]);
	shim_close(w.vm.dev);
	return shim_close(w.vm.fd);
}

static long do_add_cdev(void)
{
	return user_add(w.vm.dev, w.cdev);
}

static long do_bind_cdev(void)
{
	return user_bind(w.cdev, w.iommufd);
}

/* An external user of its own does what a hypercall does. */
static void use_alive(struct vfio_external_user *user, struct iommu_group *ig)
{
	guard(rcu)();
	if (!vfio_external_alive(user))
		return;
	fake_inc(ig->busy);
	EXPECT(fake_read(ig->protected));
	shim_step("uses the group", NULL);
	EXPECT(fake_read(ig->protected));
	fake_dec(ig->busy);
}

static long do_use(void)
{
	struct file *file = shim_fd(w.held.fd);
	struct vfio_external_user user;
	long ret;

	if (!file)
		return -EBADF;
	ret = vfio_external_get(&user, file);
	if (!ret) {
		shim_return_to_user();
		use_alive(&user, w.held.ig);
		shim_return_to_user();
		vfio_external_put(&user);
	}
	fput(file);
	shim_return_to_user();
	return ret;
}

static const struct explore_op ops[] = {
	{ "ADD", do_add, false },
	{ "ADD other VM", do_add_other, false },
	{ "ADD cdev", do_add_cdev, false },
	{ "DEL", do_del, false },
	{ "close", do_close, false },
	{ "CREATE", do_create, false },
	{ "SET", do_set, false },
	{ "close table", do_close_table, false },
	{ "UNSET", do_unset, false },
	{ "UNSET idle", do_unset_idle, false },
	{ "SET_CONTAINER, ADD", do_set_container, false },
	{ "REGISTER", do_register, false },
	{ "MAP_DMA", do_map, false },
	{ "close container", do_close_container, false },
	{ "unbind", do_unbind, false },
	{ "unbind idle", do_unbind_idle, false },
	{ "bind", do_bind, false },
	{ "open", do_open, false },
	{ "open and close device", do_get_device, false },
	{ "BIND cdev", do_bind_cdev, false },
	{ "close group", do_close_group, false },
	{ "fdinfo", do_show, false },
	{ "use", do_use, false },
	{ "VM end", do_end, false },
};

static const char *const triples[][3] = {
	{ "ADD", "DEL", "close" },
	{ "ADD", "unbind", "fdinfo" },
	{ "ADD", "unbind idle", "UNSET idle" },
	{ "ADD other VM", "DEL", "unbind" },
	{ "ADD other VM", "close", "open and close device" },
	{ "ADD other VM", "VM end", "unbind" },
	{ "ADD cdev", "BIND cdev", "close" },
	{ "close", "CREATE", "ADD" },
	{ "DEL", "UNSET", "unbind" },
	{ "DEL", "UNSET", "use" },
	{ "SET", "close table", "DEL" },
	{ "SET", "unbind", "VM end" },
	{ "SET_CONTAINER, ADD", "UNSET idle", "unbind" },
	{ "unbind", "use", "close" },
	{ "unbind", "unbind idle", "fdinfo" },
	{ "unbind", "unbind idle", "MAP_DMA" },
	{ "unbind", "close group", "DEL" },
};

/* What there is at the end */

static char vm_of(const struct kvm *kvm)
{
	return !kvm ? '-' : kvm == w.vm.kvm ? 'v' : kvm == w.other.kvm ? 'o' : '?';
}

static size_t say_group(char *text, size_t size, const char *name,
			struct iommu_group *ig, int fd)
{
	struct vfio_group *group = file_of(fd) ? fake_group(fd) : NULL;
	struct vfio_device *device = ig->devices[0].vdev;
	size_t len;

	len = snprintf(text, size, "%s: refs %d protected %d owned %d device %c%d", name,
		       ig->refs, ig->protected, ig->owned,
		       device ? vm_of(device->kvm) : '-', device ? device->open_count : -1);
	EXPECT_EQ(ig->busy, 0);
	if (!group)
		return len + snprintf(text + len, size - len, ", ");
	/* Each live holder is one of the container's users. */
	EXPECT_EQ(group->container_users,
		  group->container ? 1 + group->nr_external_users : 0);
	return len + snprintf(text + len, size - len, " users %u external %u %c, ",
			      group->container_users, group->nr_external_users,
			      vm_of(group->kvm));
}

static size_t say_vm(char *text, size_t size, const struct vm *vm,
		     const struct file *file)
{
	struct kvm *kvm = vm->kvm;

	if (file_of(vm->fd) != file)
		return 0;
	return snprintf(text, size, "vm %c: refs %d noncoherent %d device %d tables %d, ",
			vm_of(kvm), kvm->users_count, kvm->arch.noncoherent,
			!list_empty(&kvm->devices), kvm->arch.tce_tables);
}

static void device_end(char *text, size_t size)
{
	size_t len = 0;

	len += say_vm(text + len, size - len, &w.vm, w.vm_files[0]);
	len += say_vm(text + len, size - len, &w.other, w.vm_files[1]);
	len += say_group(text + len, size - len, "held", w.held.ig, w.held.fd);
	len += say_group(text + len, size - len, "idle", w.idle.ig, w.idle.fd);
	len += say_group(text + len, size - len, "out", w.out.ig, w.out.fd);
	len += say_group(text + len, size - len, "unbound", w.unbound, -1);
	len += say_group(text + len, size - len, "cdev", w.cdev_group, -1);
	for (int i = 0; i < 2; i++)
		if (file_of(w.tables[i]) == w.table_files[i])
			len += snprintf(text + len, size - len, "table %d: %d, ", i,
					fake_attached(w.tables[i]));
	shim_return_to_user();
	len += snprintf(text + len, size - len, "symbols %d", counts.symbol_refs);
}

const struct explore_suite explore_suite = {
	.ops = ops,
	.nr_ops = ARRAY_SIZE(ops),
	.triples = triples,
	.nr_triples = ARRAY_SIZE(triples),
	.begin = device_begin,
	.end = device_end,
};
