// SPDX-License-Identifier: GPL-2.0-only
/*
 * ucall on ppc64: a hypercall that KVM does not know and leaves to user space.
 */
#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"

void ucall_arch_do_ucall(gva_t uc)
{
	u64 args[HCALL_NR_ARGS] = { uc };

	hcall(H_UCALL, args);
}

void *ucall_arch_get_ucall(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason == UCALL_EXIT_REASON &&
	    run->papr_hcall.nr == H_UCALL)
		return (void *)run->papr_hcall.args[0];
	return NULL;
}
