/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SELFTEST_KVM_UCALL_H
#define SELFTEST_KVM_UCALL_H

#include "kvm_util.h"

#define UCALL_EXIT_REASON	KVM_EXIT_PAPR_HCALL

/*
 * A number from the range that LoPAPR leaves to the platform, and that KVM does
 * not know.  Register 4 is the address of the struct ucall in the host.
 */
#define H_UCALL			0xfff0UL

static inline void ucall_arch_init(struct kvm_vm *vm, gpa_t mmio_gpa)
{
}

#endif /* SELFTEST_KVM_UCALL_H */
