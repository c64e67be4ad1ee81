// SPDX-License-Identifier: GPL-2.0-only
/* What counts as noncoherent DMA, and when it is asked: contract, section 6 */
#include "setup.h"

#if IS_ENABLED(CONFIG_VFIO_GROUP)
/* A group of two devices; one bit each says whether it can be made coherent. */
static struct group group_of(int capable)
{
	struct group group = new_group(2);

	group.ig->devices[0].capable = capable & 1;
	group.ig->devices[1].capable = capable & 2;
	return group;
}

#ifdef __KVM_HAVE_ARCH_NONCOHERENT_DMA
/* Contract 6.1: Some device cannot be made coherent. */
TEST(coherency, "coherency: devices yes, no, mixed")
{
	for (int capable = 0; capable <= 3; capable++) {
		struct vm vm = new_vm();
		struct group group = group_of(capable);

		EXPECT_EQ(user_add(vm.dev, group.fd), 0);
		EXPECT_EQ(vm.kvm->arch.noncoherent, capable != 3);
		EXPECT_EQ(user_del(vm.dev, group.fd), 0);
		EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
	}
}

/* Contract 6.1: A device that VFIO does not know may do DMA, too. */
TEST(coherency_bystander, "coherency: a device without a VFIO driver counts")
{
	struct vm vm = new_vm();
	struct group group = group_of(1);

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
	struct group group = group_of(1);
	unsigned int capable;

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	capable = counts.capable;
	EXPECT(capable >= 1 && capable <= 2);
	group.ig->devices[1].capable = true;
	EXPECT_EQ(user_add(vm.dev, group.fd), -EEXIST);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 1);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
	EXPECT_EQ(counts.capable, capable);

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
	group.ig->devices[1].capable = false;
	capable = counts.capable;
	EXPECT_EQ(shim_close(vm.dev), 0);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
	EXPECT_EQ(counts.capable, capable);
}

/* KVM hears of the first and the last one only. */
TEST(coherency_transitions, "coherency: KVM hears of transitions only")
{
	struct vm vm = new_vm();
	struct group weak[3], strong = group_of(3);

	for (int i = 0; i < 3; i++)
		weak[i] = group_of(0);
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
	struct group weak = group_of(0);

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
	struct group weak = group_of(0);

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

	weak.ig->devices[0].capable = false;
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
/* Contract 6.1 */
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
	}
}

/* Contract 1.29: A dead member counts as before until DEL. */
TEST(coherency_dead, "coherency: a dead member counts until DEL")
{
	struct vm vm = new_vm();
	struct group group = group_of(0);

	EXPECT_EQ(user_add(vm.dev, group.fd), 0);
	host_take_back(group.ig, true);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 1);
	EXPECT_EQ(user_del(vm.dev, group.fd), 0);
	EXPECT_EQ(vm.kvm->arch.noncoherent, 0);
}
#endif
#endif
