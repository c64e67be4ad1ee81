// SPDX-License-Identifier: GPL-2.0-only
/* The host takes a group back: contract, section 1, "The host wins" */
#include <sched.h>

#include "setup.h"

#if IS_ENABLED(CONFIG_VFIO_GROUP)
/*
 * Contract 1.26, 1.27, 1.30, 1.32: A dead member: DEL returns 0, UNSET EINVAL,
 * closing works. Binding the device again makes a fresh group that can be
 * opened and added.
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

/*
 * Contract 1.25: A put after the revoke changes no count, even if the file was
 * closed first.
 */
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
	EXPECT_LOG("0eg");
	EXPECT_EQ(counts.groups, 0);
	EXPECT_EQ(counts.containers, 0);
}

/*
 * Contract 1.23, 1.24: One grace period, before the IOMMU is detached; none if
 * KVM does not hold the group.
 */
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
	struct vfio_external_user user;
	pthread_barrier_t ready;
};

/*
 * Stays in its RCU section until the host waits for it, or has gone on without
 * waiting.
 */
static void *reader(void *arg)
{
	struct reader *r = arg;

	rcu_read_lock();
	EXPECT(vfio_external_alive(&r->user));
	fake_inc(r->ig->busy);
	pthread_barrier_wait(&r->ready);
	while (!shim_rcu_waiting() && fake_read(r->ig->protected))
		sched_yield();
	EXPECT(!vfio_external_alive(&r->user));
	EXPECT_EQ(fake_read(r->ig->protected), 1);
	fake_dec(r->ig->busy);
	rcu_read_unlock();
	return NULL;
}

/*
 * Contract 1.23: The revoke waits until no user can be in the middle of using
 * the group.
 */
TEST(waits_for_readers, "revoke: waits for an RCU reader that saw it alive")
{
	struct group group = new_group(1);
	struct file *file = shim_fd(group.fd);
	struct reader r = { .ig = group.ig };
	pthread_t thread;

	pthread_barrier_init(&r.ready, NULL, 2);
	EXPECT_EQ(vfio_external_get(&r.user, file), 0);
	pthread_create(&thread, NULL, reader, &r);
	pthread_barrier_wait(&r.ready);
	host_take_back(group.ig, false);
	pthread_join(thread, NULL);
	rcu_read_lock();
	EXPECT(!vfio_external_alive(&r.user));
	rcu_read_unlock();
	vfio_external_put(&r.user);
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

/* What external users get, and can do. */
TEST(api, "external users: several of one group, what each can ask")
{
	struct group group = new_group(1);
	struct file *file = shim_fd(group.fd);
	struct vfio_external_user a, b, late;

	EXPECT_EQ(vfio_external_get(&a, file), 0);
	EXPECT_EQ(vfio_external_get(&b, file), 0);
	EXPECT_EQ(users(&group), 3);
	EXPECT(vfio_external_alive(&a) && vfio_external_alive(&b));
	EXPECT_EQ(a.group, group.ig->id);
	EXPECT(a.coherent);
	EXPECT_STR(a.protection, "vfio-iommu-type1");
	EXPECT_EQ(vfio_external_with_group(&b, use_group, group.ig), 7);
	vfio_external_put(&a);
	EXPECT_EQ(users(&group), 2);
	EXPECT_EQ(vfio_external_with_group(&b, use_group, group.ig), 7);
	host_take_back(group.ig, true);
	EXPECT(!vfio_external_alive(&b));
	EXPECT_EQ(vfio_external_with_group(&b, use_group, NULL), -ENODEV);
	EXPECT_EQ(vfio_external_get(&late, file), -EINVAL);
	vfio_external_put(&b);
	fput(file);
	shim_return_to_user();
}

/* A user without a VM does not hide that of another one. */
TEST(api_kvm, "external users: drivers see the VM that was named last")
{
	struct vm vm = new_vm(), other = new_vm();
	struct group group = new_group(1);
	struct file *file = shim_fd(group.fd);
	struct vfio_external_user a, b, c;

	EXPECT_EQ(vfio_external_get(&a, file), 0);
	EXPECT_EQ(vfio_external_get(&b, file), 0);
	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(vfio_external_get(&c, file), 0);
	EXPECT(fake_group(group.fd)->kvm == vm.kvm);
	EXPECT_EQ(user_add(other.dev, group.fd), 0);
	vfio_external_put(&a);
	vfio_external_put(&c);
	EXPECT(fake_group(group.fd)->kvm == other.kvm);
	EXPECT_EQ(user_del(other.dev, group.fd), 0);
	EXPECT(fake_group(group.fd)->kvm == vm.kvm);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT(!fake_group(group.fd)->kvm);
	vfio_external_put(&b);
	fput(file);
	shim_return_to_user();
}

static int do_nothing(struct iommu_group *ig, void *unused)
{
	return 0;
}

/* On an iommufd there is no container to ask, and the hardware tables are the host's. */
TEST(api_iommufd, "external users of a group on an iommufd")
{
	struct group group = open_group(host_group(VFIO_IOMMU, 1),
					user_open_iommufd());
	struct file *file = shim_fd(group.fd);
	struct vfio_external_user user;

	EXPECT_EQ(vfio_external_get(&user, file), 0);
	EXPECT_EQ(vfio_external_with_group(&user, do_nothing, NULL), -ENODEV);
	EXPECT_EQ(user.preregistered, 0);
	EXPECT_EQ(user.group, group.ig->id);
	EXPECT_STR(user.protection, "iommufd");
	host_take_back(group.ig, true);
	EXPECT(!vfio_external_alive(&user));
	EXPECT_EQ(vfio_external_with_group(&user, do_nothing, NULL), -ENODEV);
	vfio_external_put(&user);
	fput(file);
	shim_return_to_user();
}

/* As with_group() finds it, for a new one and for one that came before */
static void expect_preregistered(struct group *group,
				 struct vfio_external_user *old, int want)
{
	struct file *file = shim_fd(group->fd);
	struct vfio_external_user user;

	EXPECT_EQ(vfio_external_get(&user, file), 0);
	EXPECT_EQ(vfio_external_with_group(&user, do_nothing, NULL), 0);
	EXPECT_EQ(user.preregistered, want);
	vfio_external_put(&user);
	EXPECT_EQ(vfio_external_with_group(old, do_nothing, NULL), 0);
	EXPECT_EQ(old->preregistered, want);
	fput(file);
	shim_return_to_user();
}

/* The container says whether, and in which mm. */
TEST(api_preregistered, "external users: preregistered")
{
	struct group v2 = new_group_of_type(VFIO_SPAPR_TCE_v2_IOMMU);
	struct group v1 = new_group_of_type(VFIO_SPAPR_TCE_IOMMU);
	struct group type1 = new_group(1);
	struct group *groups[] = { &v2, &v1, &type1 };
	struct vfio_external_user old[3];

	for (int i = 0; i < 3; i++)
		EXPECT_EQ(vfio_external_get(&old[i], shim_fd(groups[i]->fd)), 0);
	/* No mm has registered anything. */
	expect_preregistered(&v2, &old[0], 0);
	EXPECT_EQ(user_register_memory(v2.container), 0);
	expect_preregistered(&v2, &old[0], 1);
	expect_preregistered(&v1, &old[1], 0);
	expect_preregistered(&type1, &old[2], 0);
	user_set_mm(2);
	expect_preregistered(&v2, &old[0], -EPERM);
	expect_preregistered(&type1, &old[2], 0);
	user_set_mm(1);
	expect_preregistered(&v2, &old[0], 1);
	for (int i = 0; i < 3; i++) {
		fput(old[i].file);
		vfio_external_put(&old[i]);
	}
	shim_return_to_user();
}
#endif
