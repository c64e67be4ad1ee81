// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that do everything at random to two VMs, three groups and a cdev.
 * Locks yield at random, so that few rounds see many schedules.  TEST_SEED
 * repeats a seed, TEST_ROUNDS makes it longer; TSan watches in its own build.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"

#define THREADS	3
#define VMS	2
#define GROUPS	3
#define ROUNDS	4000

struct shared_vm {
	int fd;
	int dev;	/* atomic */
	int table;	/* atomic; TCE */
};

struct shared_group {
	struct iommu_group *ig;
	int fd;		/* atomic */
	int container;
	int taking_back;	/* atomic */
};

static struct shared_vm vms[VMS];
static struct device *cdev;
static int cdev_fd = -1;	/* of any thread */
static unsigned int shown;	/* atomic */

static int take(int *fd)
{
	return __atomic_exchange_n(fd, -1, __ATOMIC_ACQ_REL);
}

static void give(int *fd, int new)
{
	int old = __atomic_exchange_n(fd, new, __ATOMIC_ACQ_REL);

	if (old >= 0)
		shim_close(old);
}

/* EBUSY if another thread was faster. */
static void replace_device(struct shared_vm *vm)
{
	int dev = take(&vm->dev);

	if (dev >= 0)
		shim_close(dev);
	dev = user_create_device(vm->fd, false);
	if (dev >= 0)
		give(&vm->dev, dev);
}

/* Of a device that may be closed meanwhile, or its number another's */
static void read_show(int fd)
{
	char *text = shim_read_fdinfo(fd);

	if (!text)
		return;
	EXPECT(strstr(text, "kvm-vfio:\t1\nvm:\t") == text);
	fake_inc(shown);
	free(text);
}

static void add_cdev(struct shared_vm *vm)
{
#if IS_ENABLED(CONFIG_VFIO_DEVICE_CDEV)
	int fd = user_open_cdev(cdev), iommufd = user_open_iommufd();

	user_add(fake_read(vm->dev), fd);
	user_bind(fd, iommufd);
	user_add(fake_read(vm->dev), fd);
	shim_close(iommufd);
	give(&cdev_fd, fd);
	for (int i = 0; i < VMS; i++) {
		user_add(fake_read(vms[i].dev), fake_read(cdev_fd));
		user_del(fake_read(vms[i].dev), fake_read(cdev_fd));
	}
#endif
}

#if IS_ENABLED(CONFIG_VFIO_GROUP)
static struct shared_group groups[GROUPS];
/* What succeeded: a run in which an operation never succeeds shows nothing. */
static unsigned int added, deleted, opened, unset, revoked;

static void prepare_group(struct shared_group *group)
{
	int fd = user_open_group(group->ig);

	if (fd < 0)
		return;
	give(&group->fd, fd);
	user_set_container(fd, group->container);
	user_set_iommu(group->container);
}

/* Only one thread at a time: it is the host. */
static void take_back(struct shared_group *group)
{
	if (__atomic_exchange_n(&group->taking_back, 1, __ATOMIC_ACQ_REL))
		return;
	host_take_back(group->ig, false);
	fake_inc(revoked);
	host_bind(group->ig->devices);
	prepare_group(group);
	__atomic_store_n(&group->taking_back, 0, __ATOMIC_RELEASE);
}

static int touch(struct iommu_group *ig, void *unused)
{
	EXPECT(fake_read(ig->protected));
	return 0;
}

/* What a hypercall does: use the group in an RCU section, if it is alive. */
static void use_alive(struct vfio_external_user *user, struct iommu_group *ig)
{
	rcu_read_lock();
	if (vfio_external_alive(user)) {
		fake_inc(ig->busy);
		EXPECT(fake_read(ig->protected));
		sched_yield();
		EXPECT(fake_read(ig->protected));
		fake_dec(ig->busy);
	}
	rcu_read_unlock();
}

static void use_group(struct shared_group *group)
{
	struct file *file = shim_fd(fake_read(group->fd));
	struct vfio_external_user user;

	if (!file)
		return;
	if (vfio_group_from_file(file) && !vfio_external_get(&user, file)) {
		for (int i = 0; i < 4; i++)
			use_alive(&user, group->ig);
		vfio_external_with_group(&user, touch, NULL);
		vfio_external_put(&user);
	}
	fput(file);
	shim_return_to_user();
}

static void swap_container(struct shared_group *group)
{
	int fd = fake_read(group->fd);

	if (!user_unset_container(fd)) {
		fake_inc(unset);
		user_set_container(fd, group->container);
		user_set_iommu(group->container);
	}
}

#if IS_ENABLED(CONFIG_SPAPR_TCE_IOMMU)
static void use_table(struct shared_vm *vm, int group, bool replace)
{
	if (replace)
		give(&vm->table, user_create_tce(vm->fd, 1));
	user_set_tce(fake_read(vm->dev), group, fake_read(vm->table));
}
#else
static void use_table(struct shared_vm *vm, int group, bool replace)
{
}
#endif

/* Close the group's fd and open it again, which fails while KVM holds it. */
static void reopen(struct shared_group *group)
{
	int fd = take(&group->fd);

	if (fd >= 0)
		shim_close(fd);
	prepare_group(group);
}

static void group_op(unsigned int op, struct shared_group *group,
		     struct shared_vm *vm, int *device)
{
	switch (op) {
	case 0 ... 3:
		if (!user_add(fake_read(vm->dev), fake_read(group->fd)))
			fake_inc(added);
		break;
	case 4 ... 5:
		if (!user_del(fake_read(vm->dev), fake_read(group->fd)))
			fake_inc(deleted);
		break;
	case 6 ... 7:
		*device = user_get_device(fake_read(group->fd),
					  group->ig->devices);
		if (*device >= 0)
			fake_inc(opened);
		break;
	case 8:
		swap_container(group);
		break;
	case 14 ... 16:
		use_table(vm, fake_read(group->fd), op == 16);
		break;
	case 9:
		take_back(group);
		break;
	case 10:
		reopen(group);
		break;
	default:
		use_group(group);
	}
}

static void setup_groups(void)
{
	int container = user_open_container();

	for (int i = 0; i < GROUPS; i++) {
		groups[i].ig = host_group(VFIO_IOMMU, 1);
		groups[i].ig->devices[0].capable = i;
		groups[i].container = i ? container : user_open_container();
		groups[i].fd = -1;
		prepare_group(&groups[i]);
	}
}

/* Only the holders are left: one count for each VM that holds the group. */
static void check_groups(void)
{
	struct vfio_group *group;
	unsigned int want;

	printf("# %u added, %u deleted, %u opened, %u unset, %u revoked\n",
	       added, deleted, opened, unset, revoked);
	EXPECT(added && deleted && opened && unset && revoked);
	for (int i = 0; i < GROUPS; i++) {
		group = fake_group(groups[i].fd);
		if (!group || !group->container)
			continue;
		want = group->container_users;
		for (int k = 0; k < VMS; k++)
			want -= !user_del(vms[k].dev, groups[i].fd);
		EXPECT_EQ(want, 1);
		EXPECT_EQ(group->container_users, 1);
		EXPECT(!group->kvm);
	}
}

static void random_op(unsigned int *seed, int *device)
{
	struct shared_vm *vm = &vms[rand_r(seed) % VMS];
	unsigned int op = rand_r(seed) % 19;

	/*
	 * The host waits for the device to be closed, so this thread must not
	 * have it open.
	 */
	if (*device >= 0)
		shim_close(*device);
	*device = -1;
	if (op == 12)
		replace_device(vm);
	else if (op == 13)
		add_cdev(vm);
	else if (op >= 17)
		read_show(fake_read(vm->dev));
	else
		group_op(op, &groups[rand_r(seed) % GROUPS], vm, device);
}
#else
static void setup_groups(void)
{
}

static void check_groups(void)
{
}

static void random_op(unsigned int *seed, int *device)
{
	struct shared_vm *vm = &vms[rand_r(seed) % VMS];

	switch (rand_r(seed) & 7) {
	case 0 ... 2:
		add_cdev(vm);
		break;
	case 3:
		replace_device(vm);
		break;
	default:
		read_show(fake_read(vm->dev));
	}
}
#endif

static int rounds(void)
{
	const char *env = getenv("TEST_ROUNDS");

	return env ? atoi(env) : ROUNDS;
}

static void *stress(void *arg)
{
	unsigned int seed = *(unsigned int *)arg;
	int device = -1;

	shim_yield_seed(seed | 1);
	for (int i = rounds(); i && test_failures() < 20; i--)
		random_op(&seed, &device);
	if (device >= 0)
		shim_close(device);
	return NULL;
}

/* Contract 1.15, 1.25 */
TEST(stress_all, "stress: threads do everything at random")
{
	unsigned int seed = test_seed(), seeds[THREADS];
	pthread_t threads[THREADS];

	printf("# TEST_SEED=%u\n", seed);
	cdev = host_group(VFIO_IOMMU, 1)->devices;
	for (int i = 0; i < VMS; i++) {
		vms[i].fd = user_create_vm();
		vms[i].dev = user_create_device(vms[i].fd, false);
		vms[i].table = -1;
	}
	setup_groups();
	for (int i = 0; i < THREADS; i++) {
		seeds[i] = seed + i * 7919;
		pthread_create(&threads[i], NULL, stress, &seeds[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("# %u shown\n", shown);
	EXPECT(shown);
	check_groups();
	give(&cdev_fd, -1);
	for (int i = 0; i < VMS; i++) {
		give(&vms[i].dev, -1);
		EXPECT_ASSIGNED(fake_vm(vms[i].fd), 0);
		EXPECT_EQ(fake_vm(vms[i].fd)->arch.noncoherent, 0);
	}
}
