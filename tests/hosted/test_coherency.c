// SPDX-License-Identifier: GPL-2.0-only
/* What counts as noncoherent DMA, and when it is asked: contract, section 6 */
#include <pthread.h>

#include "setup.h"

#if IS_ENABLED(CONFIG_VFIO_GROUP)
/* A group of two devices; one bit each says whether it can be made coherent. */
static struct group group_of(bool domain_coherent, int capable)
{
	struct group group = new_group(2);

	group.ig->domain_coherent = domain_coherent;
	group.ig->devices[0].capable = capable & 1;
	group.ig->devices[1].capable = capable & 2;
	return group;
}

#ifdef __KVM_HAVE_ARCH_NONCOHERENT_DMA
/*
 * Contract 6.1: DMA_CC of its container is 0 and some device cannot be made
 * coherent.
 */
TEST(coherency, "coherency: container yes or no, devices yes, no, mixed")
{
	for (int domain = 0; domain <= 1; domain++)
		for (int capable = 0; capable <= 3; capable++) {
			struct vm vm = new_vm();
			struct group group = group_of(domain, capable);
			bool weak = !domain && capable != 3;

			EXPECT_EQ(user_add(vm.dev, group.fd), 0);
			EXPECT_EQ(vm.kvm->arch.noncoherent, weak);
			EXPECT_EQ(user_del(vm.dev, group.fd), 0);
			EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
		}
}

/* Contract 6.1: A device that VFIO does not know may do DMA, too. */
TEST(coherency_bystander, "coherency: a device without a VFIO driver counts")
{
	struct vm vm = new_vm();
	struct group group = group_of(false, 1);

	host_unbind(&group.ig->devices[1]);
	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 1);
}

/* Contract 6.1: Another group's weakness must not be charged to this one. */
TEST(coherency_neighbour, "coherency: not charged for its neighbour")
{
	struct vm strong = new_vm(), weak = new_vm();
	int container = user_open_container();
	struct group a = open_group(host_group(VFIO_IOMMU, 1), container);
	struct group b = open_group(host_group(VFIO_IOMMU, 1), container);

	b.ig->domain_coherent = false;
	b.ig->devices[0].capable = false;
	EXPECT_EQ(user_set_iommu(container), 0);
	EXPECT_EQ(user_add(strong.dev, a.fd), 0);
	EXPECT_EQ(user_add(weak.dev, b.fd), 0);
	EXPECT_EQ(strong.kvm->arch.noncoherent, 0);
	EXPECT_EQ(weak.kvm->arch.noncoherent, 1);
}

/* Contract 6.2: Asked once, at ADD, and never at release; fixed in between. */
TEST(coherency_once, "coherency: asked once at ADD, never at release")
{
	struct vm vm = new_vm();
	struct group group = group_of(false, 1);
	unsigned int extension, capable;

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	extension = counts.extension;
	capable = counts.capable;
	EXPECT_EQ(extension, 1);
	EXPECT(capable >= 1 && capable <= 2);
	group.ig->domain_coherent = true;
	group.ig->devices[1].capable = true;
	EXPECT_EQ(user_add(vm.dev, group.fd), -EEXIST);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 1);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
	EXPECT_EQ(counts.extension, extension);
	EXPECT_EQ(counts.capable, capable);

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
	group.ig->domain_coherent = false;
	group.ig->devices[1].capable = false;
	extension = counts.extension;
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
	EXPECT_EQ(counts.extension, extension);
}

/* KVM hears of the first and the last one only. */
TEST(coherency_transitions, "coherency: KVM hears of transitions only")
{
	struct vm vm = new_vm();
	struct group weak[3], strong = group_of(true, 3);

	for (int i = 0; i < 3; i++)
		weak[i] = group_of(false, 0);
	log_start();
	EXPECT_EQ(user_add(vm.dev, strong.fd), 0);
	EXPECT_LOG("+sk");
	log_start();
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(user_add(vm.dev, weak[i].fd), 0);
	EXPECT_LOG("+snk+sk+sk");
	log_start();
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(user_del(vm.dev, weak[i].fd), 0);
	EXPECT_LOG("0-e0-e0-ce");
	log_start();
	EXPECT_EQ(user_del(vm.dev, strong.fd), 0);
	EXPECT_LOG("0-e");
}

/* Each VM counts its own. */
TEST(coherency_vms, "coherency: each VM on its own")
{
	struct vm a = new_vm(), b = new_vm();
	struct group weak = group_of(false, 0);

	EXPECT_EQ(user_add(a.dev, weak.fd), 0);
	EXPECT_EQ(user_add(b.dev, weak.fd), 0);
	EXPECT_EQ(shim_close(a.dev), 0);
	EXPECT_EQ(a.kvm->arch.noncoherent, 0);
	EXPECT_EQ(b.kvm->arch.noncoherent, 1);
}

#else
/* VFIO knows, but nothing follows for KVM there. */
TEST(coherency_nobody, "coherency: does not matter to KVM")
{
	struct vm vm = new_vm();
	struct group weak = group_of(false, 0);

	log_start();
	EXPECT_EQ(user_add(vm.dev, weak.fd), 0);
	EXPECT_EQ(user_del(vm.dev, weak.fd), 0);
	EXPECT_LOG("+sk0-e");
}
#endif

/*
 * Contract 6.3: Emulated-IOMMU (mdev) groups never count, whatever their
 * container.
 */
TEST(coherency_mdev, "coherency: mdev groups never count")
{
	struct vm vm = new_vm();
	int containers[] = { user_open_container(), user_open_iommufd() };
	struct group weak = open_group(host_group(VFIO_IOMMU, 1), containers[0]);

	weak.ig->domain_coherent = false;
	for (int i = 0; i < 2; i++) {
		struct group group = open_group(host_group(VFIO_EMULATED_IOMMU,
							   1), containers[i]);

		EXPECT_EQ(user_set_iommu(containers[i]), i ? -EBADF : 0);
		EXPECT_EQ(user_add(vm.dev, group.fd), 0);
		EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
	}
	EXPECT_EQ(counts.capable, 0);
}

#ifdef __KVM_HAVE_ARCH_NONCOHERENT_DMA
/*
 * Contract 6.1: On an iommufd there is no container to ask, only the devices.
 */
TEST(coherency_iommufd, "coherency: of a group on an iommufd")
{
	for (int capable = 0; capable <= 3; capable++) {
		struct vm vm = new_vm();
		struct group group = open_group(host_group(VFIO_IOMMU, 2),
						user_open_iommufd());

		group.ig->devices[0].capable = capable & 1;
		group.ig->devices[1].capable = capable & 2;
		EXPECT_EQ(user_add(vm.dev, group.fd), 0);
		EXPECT_EQ(vm.kvm->arch.noncoherent, capable != 3);
		EXPECT_EQ(counts.extension, 0);
	}
}

/* Contract 1.29: A dead member counts as before until DEL. */
TEST(coherency_dead, "coherency: a dead member counts until DEL")
{
	struct vm vm = new_vm();
	struct group group = group_of(false, 0);

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	host_take_back(group.ig, true);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 1);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
}
#endif

static struct iommu_group *asked_about;

static void *host(void *unused)
{
	host_take_back(asked_about, true);
	return NULL;
}

static void take_it_back(void)
{
	pthread_t thread;

	EXPECT_EQ(pthread_create(&thread, NULL, host, NULL), 0);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
}

/* Contract 1.15: The host takes the group back while its container is asked. */
TEST(coherency_taken_back, "coherency: of a group that the host takes back meanwhile")
{
	struct vm vm = new_vm();
	struct group group = group_of(false, 0);

	asked_about = group.ig;
	fake_when_asked = take_it_back;
	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT(!fake_when_asked);
	EXPECT_EQ(users(&group), 0);
	/* Its container has no group left that is not coherent. */
	EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
	EXPECT_EQ(user_add(vm.dev, group.fd), -EEXIST);
	EXPECT_ASSIGNED(vm.kvm, 1);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_ASSIGNED(vm.kvm, 0);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
}
#endif
