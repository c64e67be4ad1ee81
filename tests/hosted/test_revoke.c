// SPDX-License-Identifier: GPL-2.0-only
/* The host takes a group back: contract, section 1, "The host wins" */
#include <sched.h>

#include "setup.h"

#if IS_ENABLED(CONFIG_VFIO_GROUP)
/*
 * A dead member: DEL returns 0, UNSET EINVAL, closing works.  Binding the device
 * again makes a fresh group that can be opened and added.
 */
TEST(dead_member, "revoke: DEL 0, UNSET EINVAL, a fresh group can be added")
{
	struct vm vm = new_vm();
	struct group old = new_group(2), new;

	EXPECT_EQ(user_add(vm.dev, old.fd), 0);
	host_unbind(&old.ig->devices[0]);
	EXPECT_EQ(users(&old), 2);
	EXPECT_EQ(old.ig->protected, 1);
	host_unbind(&old.ig->devices[1]);
	EXPECT_EQ(old.ig->protected, 0);
	EXPECT_EQ(old.ig->owned, 0);
	EXPECT_EQ(user_unset_container(old.fd), -EINVAL);
	EXPECT_EQ(user_add(vm.dev, old.fd), -EEXIST);
	EXPECT_ASSIGNED(vm.kvm, 1);

	host_bind(&old.ig->devices[0]);
	new = open_group(old.ig, old.container);
	EXPECT_EQ(user_set_iommu(new.container), 0);
	EXPECT_EQ(user_add(vm.dev, new.fd), 0);
	EXPECT_EQ(users(&new), 2);
	EXPECT_EQ(user_del(vm.dev, old.fd), 0);
	EXPECT_EQ(users(&new), 2);
	EXPECT(fake_group(new.fd)->kvm == vm.kvm);
	EXPECT_EQ(user_add(vm.dev, old.fd), -EINVAL);
	EXPECT_EQ(user_del(vm.dev, new.fd), 0);
	EXPECT_ASSIGNED(vm.kvm, 0);
}

/* All external users of the group end, and no other group's. */
TEST(dead_all, "revoke: all users of this group, none of another")
{
	struct vm a = new_vm(), b = new_vm();
	int container = user_open_container();
	struct group x = open_group(host_group(VFIO_IOMMU, 1), container);
	struct group y = open_group(host_group(VFIO_IOMMU, 1), container);

	EXPECT_EQ(user_set_iommu(container), 0);
	EXPECT_EQ(user_add(a.dev, x.fd), 0);
	EXPECT_EQ(user_add(b.dev, x.fd), 0);
	EXPECT_EQ(user_add(a.dev, y.fd), 0);
	EXPECT_EQ(users(&x), 3);
	host_take_back(x.ig, true);
	EXPECT_EQ(users(&x), 0);
	EXPECT_EQ(users(&y), 2);
	EXPECT_EQ(y.ig->protected, 1);
	EXPECT_EQ(user_del(a.dev, x.fd), 0);
	EXPECT_EQ(shim_close(b.dev), 0);
	EXPECT_EQ(user_unset_container(y.fd), -EBUSY);
}

/* Put after revoke touches no count, even if the file was closed first. */
TEST(dead_close, "revoke: the group's fd is closed first, then the device")
{
	struct vm vm = new_vm();
	struct group group = new_group(1);

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(shim_close(group.fd), 0);
	EXPECT_EQ(shim_close(group.container), 0);
	host_take_back(group.ig, true);
	log_start();
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_LOG("g0e");
	EXPECT_EQ(counts.groups, 0);
	EXPECT_EQ(counts.containers, 0);
}

/* One wait, before the IOMMU goes; none if KVM does not hold the group. */
TEST(one_wait, "revoke: one grace period, before the IOMMU goes; else none")
{
	struct vm a = new_vm(), b = new_vm();
	struct group held = new_group(1), other = new_group(1);

	EXPECT_EQ(user_add(a.dev, held.fd), 0);
	EXPECT_EQ(user_add(b.dev, held.fd), 0);
	log_start();
	host_take_back(held.ig, false);
	EXPECT_LOG("--gD");
	log_start();
	host_take_back(other.ig, false);
	EXPECT_LOG("D");
}

struct reader {
	struct iommu_group *ig;
	struct vfio_external_user *user;
	pthread_barrier_t ready;
};

/* Stays in its section until the host waits for it, or has not waited. */
static void *reader(void *arg)
{
	struct reader *r = arg;

	rcu_read_lock();
	EXPECT(vfio_external_api.alive(r->user));
	fake_inc(r->ig->busy);
	pthread_barrier_wait(&r->ready);
	while (!shim_rcu_waiting() && fake_read(r->ig->protected))
		sched_yield();
	EXPECT(!vfio_external_api.alive(r->user));
	EXPECT_EQ(fake_read(r->ig->protected), 1);
	fake_dec(r->ig->busy);
	rcu_read_unlock();
	return NULL;
}

/* Waits until none can be in the middle of using the group. */
TEST(waits_for_readers, "revoke: waits for an RCU reader that saw it alive")
{
	struct group group = new_group(1);
	struct file *file = shim_fd(group.fd);
	struct reader r = {
		.ig = group.ig,
		.user = vfio_external_api.get(file),
	};
	pthread_t thread;

	pthread_barrier_init(&r.ready, NULL, 2);
	EXPECT(!IS_ERR(r.user));
	pthread_create(&thread, NULL, reader, &r);
	pthread_barrier_wait(&r.ready);
	host_take_back(group.ig, false);
	pthread_join(thread, NULL);
	rcu_read_lock();
	EXPECT(!vfio_external_api.alive(r.user));
	rcu_read_unlock();
	vfio_external_api.put(r.user);
	fput(file);
	pthread_barrier_destroy(&r.ready);
	shim_return_to_user();
}

static int use_group(struct iommu_group *ig, void *data)
{
	EXPECT(ig == data);
	EXPECT_EQ(ig->protected, 1);
	return 7;
}

/* The rest of the table that external users get. */
TEST(api, "external users: several of one group, what each can ask")
{
	const struct vfio_external_api *api = &vfio_external_api;
	struct group group = new_group(1);
	struct file *file = shim_fd(group.fd);
	struct vfio_external_user *a = api->get(file), *b = api->get(file);

	EXPECT_EQ(api->version, VFIO_EXTERNAL_API_VERSION);
	EXPECT_EQ(users(&group), 3);
	EXPECT(api->alive(a) && api->alive(b));
	EXPECT_EQ(api->iommu_id(a), group.ig->id);
	EXPECT_EQ(api->with_group(b, use_group, group.ig), 7);
	EXPECT_EQ(api->check_extension(a, VFIO_DMA_CC_IOMMU), 1);
	EXPECT_EQ(api->check_extension(a, 12345), 0);
	api->put(a);
	EXPECT_EQ(users(&group), 2);
	EXPECT_EQ(api->with_group(b, use_group, group.ig), 7);
	host_take_back(group.ig, true);
	EXPECT(!api->alive(b));
	EXPECT_EQ(api->iommu_id(b), -ENODEV);
	EXPECT_EQ(api->with_group(b, use_group, NULL), -ENODEV);
	EXPECT_EQ(api->check_extension(b, VFIO_DMA_CC_IOMMU), -ENODEV);
	EXPECT_EQ(PTR_ERR(api->get(file)), -EINVAL);
	api->put(b);
	fput(file);
	shim_return_to_user();
}

/* Whose memory may KVM count on?  Asked while the group is protected. */
static int ask_preregistered(struct iommu_group *ig, void *user)
{
	return vfio_external_api.preregistered(user);
}

/* On an iommufd there is no container to ask. */
TEST(api_iommufd, "external users of a group on an iommufd")
{
	const struct vfio_external_api *api = &vfio_external_api;
	struct group group = open_group(host_group(VFIO_IOMMU, 1),
					user_open_iommufd());
	struct file *file = shim_fd(group.fd);
	struct vfio_external_user *user = api->get(file);

	EXPECT_EQ(api->check_extension(user, VFIO_DMA_CC_IOMMU), -ENOTTY);
	EXPECT_EQ(api->with_group(user, ask_preregistered, user), 0);
	EXPECT_EQ(api->iommu_id(user), group.ig->id);
	host_take_back(group.ig, true);
	EXPECT(!api->alive(user));
	EXPECT_EQ(api->iommu_id(user), -ENODEV);
	EXPECT_EQ(api->with_group(user, ask_preregistered, user), -ENODEV);
	api->put(user);
	fput(file);
	shim_return_to_user();
}

static int preregistered(int fd)
{
	struct file *file = shim_fd(fd);
	struct vfio_external_user *user = vfio_external_api.get(file);
	int ret = vfio_external_api.with_group(user, ask_preregistered, user);

	vfio_external_api.put(user);
	fput(file);
	shim_return_to_user();
	return ret;
}

/* The container says whether, and in which mm. */
TEST(api_preregistered, "external users: preregistered")
{
	struct group v2 = new_group_of_type(VFIO_SPAPR_TCE_v2_IOMMU);
	struct group v1 = new_group_of_type(VFIO_SPAPR_TCE_IOMMU);
	struct group type1 = new_group(1);
	struct file *file = shim_fd(v2.fd);
	struct vfio_external_user *user = vfio_external_api.get(file);

	/* No mm has registered anything. */
	EXPECT_EQ(preregistered(v2.fd), 0);
	EXPECT_EQ(user_register_memory(v2.container), 0);
	EXPECT_EQ(preregistered(v2.fd), 1);
	EXPECT_EQ(preregistered(v1.fd), 0);
	EXPECT_EQ(preregistered(type1.fd), 0);
	user_set_mm(2);
	EXPECT_EQ(preregistered(v2.fd), -EPERM);
	EXPECT_EQ(preregistered(type1.fd), 0);
	user_set_mm(1);
	EXPECT_EQ(preregistered(v2.fd), 1);
	host_take_back(v2.ig, true);
	EXPECT_EQ(vfio_external_api.with_group(user, ask_preregistered, user),
		  -ENODEV);
	vfio_external_api.put(user);
	fput(file);
	shim_return_to_user();
}
#endif
