/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of TCE tables need on POWER beside vfio_util.h: the hypercalls of
 * a guest, windows of a container, and how often preregistered memory is mapped.
 */
#ifndef SELFTEST_KVM_VFIO_TCE_H
#define SELFTEST_KVM_VFIO_TCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ppc64_guest.h"

#define TCE_READ	1UL
#define TCE_WRITE	2UL
#define TCE_RW		(TCE_READ | TCE_WRITE)
#define TCE_LIST	512UL

/* As ppc64_hcall(); of H_GET_TCE, the entry is at @tce. */
long h_put_tce(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
	       uint64_t tce);
long h_put_tce_indirect(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
			uint64_t list, uint64_t npages);
long h_stuff_tce(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
		 uint64_t value, uint64_t npages);
long h_get_tce(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
	       uint64_t *tce);
/* Entry @nr of the list at @gpa, for H_PUT_TCE_INDIRECT */
void tce_list_set(struct ppc64_vm *vm, uint64_t gpa, unsigned int nr, uint64_t tce);

/* A table of the VM: @offset and @size in pages of 1 << @shift */
int __tce_table(int vm, uint64_t liobn, unsigned int shift, uint64_t offset,
		uint64_t size);
int tce_table(int vm, uint64_t liobn, unsigned int shift, uint64_t offset,
	      uint64_t size);

/* Windows of a v2 container.  A new one has no default window after _drop. */
void tce_window_drop_default(int container);
int __tce_window_create(int container, unsigned int shift, uint64_t size,
			unsigned int levels, uint64_t *start);
uint64_t tce_window_create(int container, unsigned int shift, uint64_t size);
int __tce_window_remove(int container, uint64_t start);
void tce_window_remove(int container, uint64_t start);

/* Says why and returns false if the kernel cannot be watched. */
bool tce_watch_regions(void);
/* How many entries map pages of a region that is registered, in all tables */
long tce_region_mapped(int container, void *va, size_t size);

#endif /* SELFTEST_KVM_VFIO_TCE_H */
