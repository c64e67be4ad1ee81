/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SELFTEST_KVM_UTIL_ARCH_H
#define SELFTEST_KVM_UTIL_ARCH_H

#include <stdbool.h>

#include "kvm_util_types.h"

struct kvm_mmu_arch {};

/**
 * struct kvm_vm_arch - what a VM has on ppc64 only
 * @radix: vm->mmu.pgd is a radix tree; without it guest code is in real mode only
 * @image_end: the first page behind the program in guest memory
 * @table_next: where the next table of the tree may be
 * @table_end: the end of the page that it is in
 */
struct kvm_vm_arch {
	bool radix;
	gpa_t image_end;
	gpa_t table_next;
	gpa_t table_end;
};

#endif /* SELFTEST_KVM_UTIL_ARCH_H */
