// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for the tests of TCE tables, see include/vfio_tce.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vfio_util.h"
#ifdef __KVM_HAVE_SPAPR_TCE
#include <endian.h>
#include <errno.h>
#include <sys/ioctl.h>

#include "vfio_probe.h"
#include "vfio_tce.h"

long h_put_tce(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
	       uint64_t tce)
{
	return ppc64_hcall(vcpu, H_PUT_TCE, liobn, ioba, tce, 0);
}

long h_put_tce_indirect(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
			uint64_t list, uint64_t npages)
{
	return ppc64_hcall(vcpu, H_PUT_TCE_INDIRECT, liobn, ioba, list, npages);
}

long h_stuff_tce(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
		 uint64_t value, uint64_t npages)
{
	return ppc64_hcall(vcpu, H_STUFF_TCE, liobn, ioba, value, npages);
}

long h_get_tce(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
	       uint64_t *tce)
{
	long ret = ppc64_hcall(vcpu, H_GET_TCE, liobn, ioba, 0, 0);

	*tce = vcpu->request->out[0];
	return ret;
}

void tce_list_set(struct ppc64_vm *vm, uint64_t gpa, unsigned int nr, uint64_t tce)
{
	((uint64_t *)(vm->memory + gpa))[nr] = htobe64(tce);
}

int __tce_table(int vm, uint64_t liobn, unsigned int shift, uint64_t offset,
		uint64_t size)
{
	struct kvm_create_spapr_tce_64 args = {
		.liobn = liobn,
		.page_shift = shift,
		.offset = offset,
		.size = size,
	};
	int table = ioctl(vm, KVM_CREATE_SPAPR_TCE_64, &args);

	return table < 0 ? -errno : table;
}

int tce_table(int vm, uint64_t liobn, unsigned int shift, uint64_t offset,
	      uint64_t size)
{
	int table = __tce_table(vm, liobn, shift, offset, size);

	VFIO_ASSERT(table >= 0, "KVM_CREATE_SPAPR_TCE_64: %d", table);
	return table;
}

void tce_window_drop_default(int container)
{
	tce_window_remove(container, 0);
}

int __tce_window_create(int container, unsigned int shift, uint64_t size,
			unsigned int levels, uint64_t *start)
{
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = sizeof(create),
		.page_shift = shift,
		.window_size = size,
		.levels = levels,
	};

	if (ioctl(container, VFIO_IOMMU_SPAPR_TCE_CREATE, &create))
		return -errno;
	*start = create.start_addr;
	return 0;
}

uint64_t tce_window_create(int container, unsigned int shift, uint64_t size)
{
	uint64_t start = 0;
	int ret = __tce_window_create(container, shift, size, 1, &start);

	VFIO_ASSERT(!ret, "VFIO_IOMMU_SPAPR_TCE_CREATE: %d", ret);
	return start;
}

int __tce_window_remove(int container, uint64_t start)
{
	struct vfio_iommu_spapr_tce_remove remove = {
		.argsz = sizeof(remove),
		.start_addr = start,
	};

	return ioctl(container, VFIO_IOMMU_SPAPR_TCE_REMOVE, &remove) ? -errno : 0;
}

void tce_window_remove(int container, uint64_t start)
{
	int ret = __tce_window_remove(container, start);

	VFIO_ASSERT(!ret, "VFIO_IOMMU_SPAPR_TCE_REMOVE: %d", ret);
}

/*
 * A region that is unregistered while it is mapped stays for ever, and the kernel
 * reports success (defect 16): that is no way to see a count.  But who registers it
 * again is refused, after the kernel has looked it up and put it; the second argument
 * of mm_iommu_put() is the region, with its count at offset 40, 1 of them its own.
 */
static struct vfio_probe region_put =
	VFIO_PROBE("region_put", "mm_iommu_put kvm=+40(%gpr4):x64");

bool tce_watch_regions(void)
{
	return vfio_probes_set(&region_put, 1);
}

long tce_region_mapped(int container, void *va, size_t size)
{
	uint64_t mapped;
	int ret;

	vfio_trace_clear();
	ret = __vfio_memory_register(container, va, size);
	VFIO_ASSERT(ret == -EBUSY, "the region is not registered: %d", ret);
	VFIO_ASSERT(vfio_trace_count(&region_put, VFIO_PROBE_ANY, &mapped) == 1,
		    "nothing seen of the region");
	return (long)mapped - 1;
}
#endif /* __KVM_HAVE_SPAPR_TCE */
