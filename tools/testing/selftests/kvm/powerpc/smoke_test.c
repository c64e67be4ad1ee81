// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the ppc64 part of this framework promises, once with a radix tree in the
 * guest and once in real mode.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"

#define NR_VCPUS	2
#define NR_ADDS		1000UL
#define H_TEST		0xffe0UL	/* KVM does not know this one either */
#define BEYOND		0x200000000UL	/* no memory there */
#define ALIAS		0x123450000UL
#define UNMAPPED	0x300000000UL
#define SRR1_TRAP	0x20000UL
#define XER_CA		0x20000000UL
#define TEST_FAILED	254		/* what TEST_ASSERT() exits with */

FIXTURE(smoke) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
};

FIXTURE_VARIANT(smoke) {
	bool real_mode;
};

FIXTURE_VARIANT_ADD(smoke, radix) { };
FIXTURE_VARIANT_ADD(smoke, real_mode) { .real_mode = true };

static struct kvm_vm *create(bool real_mode, struct kvm_vcpu *vcpus[NR_VCPUS])
{
	struct kvm_vm *vm = vm_create_with_vcpus(NR_VCPUS, NULL, vcpus);
	unsigned int i;

	for (i = 0; real_mode && i < NR_VCPUS; i++)
		vcpu_set_real_mode(vcpus[i]);
	return vm;
}

FIXTURE_SETUP(smoke)
{
	if (!variant->real_mode && !kvm_has_cap(KVM_CAP_PPC_MMU_RADIX))
		SKIP(return, "no radix MMU");
	self->vm = create(variant->real_mode, self->vcpus);
}

FIXTURE_TEARDOWN(smoke)
{
	kvm_vm_free(self->vm);
}

/* Only with translation */
FIXTURE(smoke_radix) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
};

FIXTURE_SETUP(smoke_radix)
{
	if (!kvm_has_cap(KVM_CAP_PPC_MMU_RADIX))
		SKIP(return, "no radix MMU");
	self->vm = create(false, self->vcpus);
}

FIXTURE_TEARDOWN(smoke_radix)
{
	kvm_vm_free(self->vm);
}

/* Run until the next ucall, which has to be @cmd. */
static struct ucall run_until(struct kvm_vcpu *vcpu, u64 cmd)
{
	struct ucall uc;

	TEST_ASSERT(!__vcpu_run(vcpu), "KVM_RUN: %s", strerror(errno));
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, UCALL_EXIT_REASON);
	get_ucall(vcpu, &uc);
	if (uc.cmd == UCALL_ABORT && cmd != UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(uc.cmd == cmd, "ucall %lu instead of %lu: 0x%lx 0x%lx 0x%lx",
		    uc.cmd, cmd, uc.args[0], uc.args[1], uc.args[2]);
	return uc;
}

static struct ucall start(struct kvm_vcpu *vcpu, void *guest_code, u64 cmd)
{
	vcpu_arch_set_entry_point(vcpu, guest_code);
	return run_until(vcpu, cmd);
}

static void guest_args(u64 a, u64 b, u64 c, u64 d,
		       u64 e, u64 f, u64 g, u64 h)
{
	GUEST_SYNC4(a, b, c, d);
	GUEST_SYNC4(e, f, g, h);
	GUEST_DONE();
}

TEST_F(smoke, args)
{
	struct kvm_vcpu *vcpu = self->vcpus[0];
	struct ucall uc;
	unsigned int i;

	vcpu_args_set(vcpu, 8, 1UL, -2UL, 3UL << 60, 4UL, 5UL, 6UL, 7UL, 8UL);
	uc = start(vcpu, guest_args, UCALL_SYNC);
	EXPECT_EQ(uc.args[0], 1);
	EXPECT_EQ(uc.args[1], -2UL);
	EXPECT_EQ(uc.args[2], 3UL << 60);
	EXPECT_EQ(uc.args[3], 4);
	uc = run_until(vcpu, UCALL_SYNC);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(uc.args[i], 5 + i);
	run_until(vcpu, UCALL_DONE);
}

/* Code that was not linked together finds its TOC by register 12. */
static void guest_entry(void)
{
	u64 r12;

	asm volatile("mr %0, 12" : "=r" (r12));
	GUEST_SYNC1(r12);
}

TEST_F(smoke, entry_point)
{
	struct ucall uc = start(self->vcpus[0], guest_entry, UCALL_SYNC);

	EXPECT_EQ(uc.args[0], (uintptr_t)guest_entry);
}

static void guest_stages(void)
{
	u64 i;

	for (i = 0; i < 10; i++)
		GUEST_SYNC(i);
	GUEST_PRINTF("%s %lu", "stage", i);
	GUEST_DONE();
}

TEST_F(smoke, sync_printf_done)
{
	struct kvm_vcpu *vcpu = self->vcpus[0];
	struct ucall uc;
	u64 i;

	vcpu_arch_set_entry_point(vcpu, guest_stages);
	for (i = 0; i < 10; i++) {
		uc = run_until(vcpu, UCALL_SYNC);
		EXPECT_STREQ((const char *)uc.args[0], "hello");
		EXPECT_EQ(uc.args[1], i);
	}
	uc = run_until(vcpu, UCALL_PRINTF);
	EXPECT_STREQ(uc.buffer, "stage 10");
	run_until(vcpu, UCALL_DONE);
}

static void guest_mode(void)
{
	GUEST_SYNC1(get_msr());
}

TEST_F(smoke, translation)
{
	struct ucall uc = start(self->vcpus[0], guest_mode, UCALL_SYNC);

	EXPECT_EQ(uc.args[0] & (MSR_IR | MSR_DR),
		  variant->real_mode ? 0 : MSR_IR | MSR_DR);
}

static void guest_wrong(void)
{
	u64 one = READ_ONCE((u64){ 1 });

	GUEST_ASSERT_EQ(one, 1UL);
	GUEST_ASSERT_EQ(one, 2UL);
	GUEST_DONE();
}

TEST_F(smoke, assert_seen)
{
	struct ucall uc = start(self->vcpus[0], guest_wrong, UCALL_ABORT);

	EXPECT_STREQ(uc.buffer, "0x1 != 0x2 (one != 2UL)");
	EXPECT_STREQ((const char *)uc.args[GUEST_ERROR_STRING], "one == 2UL");
	EXPECT_STREQ((const char *)uc.args[GUEST_FILE], __FILE__);
}

extern const char smoke_trap[];

static void guest_trap(void)
{
	asm volatile(".globl smoke_trap\nsmoke_trap: trap");
	GUEST_DONE();
}

TEST_F(smoke, unhandled_trap)
{
	struct ucall uc = start(self->vcpus[0], guest_trap, UCALL_UNHANDLED);

	EXPECT_EQ(uc.args[0], VECTOR_PROGRAM);
	EXPECT_EQ(uc.args[1], (uintptr_t)smoke_trap);
	EXPECT_EQ(uc.args[2] & SRR1_TRAP, SRR1_TRAP);
}

static void guest_system_call(void)
{
	asm volatile("sc" ::: "memory");
	GUEST_DONE();
}

TEST_F(smoke, unhandled_system_call)
{
	struct ucall uc = start(self->vcpus[0], guest_system_call, UCALL_UNHANDLED);

	EXPECT_EQ(uc.args[0], VECTOR_SYSTEM_CALL);
}

static void guest_misaligned(char *p)
{
	u64 value;

	asm volatile("ldarx %0, 0, %1" : "=r" (value) : "r" (p + 1) : "memory");
	GUEST_DONE();
}

TEST_F(smoke, unhandled_alignment)
{
	gva_t gva = vm_alloc_page(self->vm);
	struct ucall uc;

	vcpu_args_set(self->vcpus[0], 1, gva);
	uc = start(self->vcpus[0], guest_misaligned, UCALL_UNHANDLED);
	EXPECT_EQ(uc.args[0], VECTOR_ALIGNMENT);
	EXPECT_EQ(uc.args[3], gva + 1);
}

static void guest_touch(const u64 *p)
{
	READ_ONCE(*p);
	GUEST_DONE();
}

static void guest_jump(void (*f)(void))
{
	f();
	GUEST_DONE();
}

TEST_F(smoke_radix, unhandled_page_faults)
{
	struct ucall uc;

	vcpu_args_set(self->vcpus[0], 1, UNMAPPED);
	uc = start(self->vcpus[0], guest_touch, UCALL_UNHANDLED);
	EXPECT_EQ(uc.args[0], VECTOR_DATA_STORAGE);
	EXPECT_EQ(uc.args[3], UNMAPPED);

	vcpu_args_set(self->vcpus[1], 1, UNMAPPED);
	uc = start(self->vcpus[1], guest_jump, UCALL_UNHANDLED);
	EXPECT_EQ(uc.args[0], VECTOR_INST_STORAGE);
	EXPECT_EQ(uc.args[1], UNMAPPED);
}

/*
 * A separate process:  KVM refuses ioctls on a VM to a child of the process
 * that made it.
 */
static void expect_death(void (*guest_code)(void), bool real_mode, const char *words)
{
	struct kvm_vcpu *vcpus[NR_VCPUS];
	char said[8192] = "";
	size_t length = 0;
	int fds[2], status;
	struct ucall uc;
	ssize_t n;
	pid_t pid;

	TEST_ASSERT(!pipe(fds), "pipe");
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		create(real_mode, vcpus);
		vcpu_arch_set_entry_point(vcpus[0], guest_code);
		vcpu_run(vcpus[0]);
		if (get_ucall(vcpus[0], &uc) == UCALL_ABORT)
			REPORT_GUEST_ASSERT(uc);
		_exit(0);
	}
	close(fds[1]);
	while (length < sizeof(said) - 1) {
		n = read(fds[0], said + length, sizeof(said) - 1 - length);
		if (n <= 0)
			break;
		length += n;
	}
	close(fds[0]);
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	TEST_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == TEST_FAILED,
		    "status 0x%x, '%s'", status, said);
	TEST_ASSERT(strstr(said, words), "'%s' is not in '%s'", words, said);
}

TEST_F(smoke, test_fails_with_the_text)
{
	expect_death(guest_wrong, variant->real_mode, "0x1 != 0x2 (one != 2UL)");
	expect_death(guest_trap, variant->real_mode,
		     "Unexpected exception 0x700 (srr0 0x");
}

static double guest_double = 1.5;
static u64 nr_traps;

static void skip_instruction(struct ex_regs *regs)
{
	asm volatile("mtcr	%0\n"
		     "mtxer	%0\n"
		     : : "r" (0) : "cr0", "cr1", "cr2", "cr3", "cr4", "cr5", "cr6",
		     "cr7", "xer");
	WRITE_ONCE(guest_double, READ_ONCE(guest_double) * 3);
	nr_traps++;
	regs->pc += 4;
	regs->gpr[11] = 1111;
}

/* Registers 5, 6, 7, 11, CTR, CR, floating point 1, vector 2, XER */
static void across_trap(u64 *out, const double *in)
{
	asm volatile("lfd	1, 0(%1)\n"
		     "lxvd2x	34, 0, %1\n"
		     "li	5, 55\n"
		     "li	6, 66\n"
		     "li	7, 77\n"
		     "mtctr	5\n"
		     "lis	8, 0x4200\n"
		     "mtcrf	0xc0, 8\n"
		     "lis	8, 0x2000\n"
		     "mtxer	8\n"
		     "trap\n"
		     "std	5, 0(%0)\n"
		     "std	6, 8(%0)\n"
		     "std	7, 16(%0)\n"
		     "std	11, 24(%0)\n"
		     "mfctr	5\n"
		     "std	5, 32(%0)\n"
		     "mfcr	5\n"
		     "std	5, 40(%0)\n"
		     "stfd	1, 48(%0)\n"
		     "addi	5, %0, 56\n"
		     "stxvd2x	34, 0, 5\n"
		     "mfxer	5\n"
		     "std	5, 72(%0)\n"
		     : : "b" (out), "b" (in)
		     : "r5", "r6", "r7", "r8", "r11", "ctr", "xer", "cr0", "cr1",
		       "fr1", "v2", "memory");
}

static void guest_handled(void)
{
	const double in[2] = { 2.5, -7.25 };
	u64 out[10] = { };

	across_trap(out, in);
	GUEST_ASSERT_EQ(nr_traps, 1UL);
	GUEST_ASSERT_EQ(READ_ONCE(guest_double) == 4.5, true);
	GUEST_ASSERT_EQ(out[0], 55UL);
	GUEST_ASSERT_EQ(out[1], 66UL);
	GUEST_ASSERT_EQ(out[2], 77UL);
	GUEST_ASSERT_EQ(out[3], 1111UL);
	GUEST_ASSERT_EQ(out[4], 55UL);
	GUEST_ASSERT_EQ(out[5] & 0xff000000UL, 0x42000000UL);
	GUEST_ASSERT_EQ(memcmp(&out[6], in, sizeof(in[0])), 0);
	GUEST_ASSERT_EQ(memcmp(&out[7], in, sizeof(in)), 0);
	GUEST_ASSERT_EQ(out[9] & XER_CA, XER_CA);
	GUEST_DONE();
}

TEST_F(smoke, handled_exception)
{
	vm_install_exception_handler(self->vm, VECTOR_PROGRAM, skip_instruction);
	start(self->vcpus[0], guest_handled, UCALL_DONE);

	vm_install_exception_handler(self->vm, VECTOR_PROGRAM, NULL);
	start(self->vcpus[1], guest_handled, UCALL_UNHANDLED);
}

TEST_F(smoke_radix, exception_on_virtual_stack)
{
	gva_t gva = vm_alloc(self->vm, self->vm->page_size, KVM_UTIL_MIN_VADDR);
	struct kvm_vcpu *vcpu = self->vcpus[0];
	struct kvm_regs regs;

	virt_pg_map(self->vm, ALIAS, addr_gva2gpa(self->vm, gva));
	vcpu_regs_get(vcpu, &regs);
	regs.gpr[1] = ALIAS + self->vm->page_size - STACK_HEADER;
	vcpu_regs_set(vcpu, &regs);
	vm_install_exception_handler(self->vm, VECTOR_PROGRAM, skip_instruction);
	start(vcpu, guest_handled, UCALL_DONE);
}

static u64 shared[NR_VCPUS], nr_arrived, counter;

static void guest_one_of_two(u64 value)
{
	u32 id = guest_get_vcpuid();
	u64 i;

	/* Both have to be in the guest at once. */
	__sync_fetch_and_add(&nr_arrived, 1);
	while (READ_ONCE(nr_arrived) < NR_VCPUS)
		cpu_relax();
	for (i = 0; i < NR_ADDS; i++)
		__sync_fetch_and_add(&counter, 1);
	shared[id] = value;
	GUEST_DONE();
}

static void *vcpu_thread(void *vcpu)
{
	start(vcpu, guest_one_of_two, UCALL_DONE);
	return NULL;
}

TEST_F(smoke, two_vcpus)
{
	pthread_t threads[NR_VCPUS];
	unsigned int i;

	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_args_set(self->vcpus[i], 1, 100UL + i);
		TEST_ASSERT(!pthread_create(&threads[i], NULL, vcpu_thread,
					    self->vcpus[i]), "pthread_create");
	}
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(threads[i], NULL);

	/* The host's copies are not shared with the guest. */
	EXPECT_EQ(counter, 0);
	sync_global_from_guest(self->vm, counter);
	sync_global_from_guest(self->vm, shared);
	EXPECT_EQ(counter, NR_VCPUS * NR_ADDS);
	for (i = 0; i < NR_VCPUS; i++)
		EXPECT_EQ(shared[i], 100 + i);
}

static void guest_memory(u64 *p, size_t n)
{
	u8 stack[32 * 1024];
	size_t i;

	for (i = 0; i < sizeof(stack); i++)
		stack[i] = i;
	asm volatile("" : : "r" (stack) : "memory");
	for (i = 0; i < n; i++)
		p[i] = ~p[i] + stack[i % sizeof(stack)];
	GUEST_DONE();
}

TEST_F(smoke, memory)
{
	size_t i, n = 3 * self->vm->page_size / sizeof(u64);
	gva_t gva = vm_alloc(self->vm, n * sizeof(u64), KVM_UTIL_MIN_VADDR);
	u64 *p = addr_gva2hva(self->vm, gva);

	/* What real mode relies on */
	ASSERT_EQ(addr_gva2gpa(self->vm, gva), gva);
	ASSERT_EQ(addr_gva2gpa(self->vm, (uintptr_t)&counter), (uintptr_t)&counter);

	for (i = 0; i < n; i++)
		p[i] = i << 32;
	vcpu_args_set(self->vcpus[0], 2, gva, n);
	start(self->vcpus[0], guest_memory, UCALL_DONE);
	for (i = 0; i < n; i++)
		if (p[i] != ~(i << 32) + (u8)i)
			break;
	EXPECT_EQ(i, n);
}

static void guest_copy(const u64 *from, u64 *to)
{
	*to = *from;
	GUEST_DONE();
}

TEST_F(smoke_radix, second_mapping)
{
	gva_t gva = vm_alloc_page(self->vm);
	u64 *p = addr_gva2hva(self->vm, gva);

	virt_pg_map(self->vm, ALIAS, addr_gva2gpa(self->vm, gva));
	EXPECT_EQ(addr_gva2hva(self->vm, ALIAS + 8), p + 1);
	p[0] = 4711;
	vcpu_args_set(self->vcpus[0], 2, gva, ALIAS + 8);
	start(self->vcpus[0], guest_copy, UCALL_DONE);
	EXPECT_EQ(p[1], 4711);
}

static void guest_load(const u32 *p)
{
	GUEST_SYNC1(READ_ONCE(*p));
}

TEST_F(smoke, no_memory)
{
	struct kvm_vcpu *vcpu = self->vcpus[0];
	struct kvm_run *run = vcpu->run;
	u32 value = 0x12345678;
	struct ucall uc;

	if (!variant->real_mode)
		virt_pg_map(self->vm, BEYOND, BEYOND);
	vcpu_args_set(vcpu, 1, BEYOND + 0x1230);
	if (!kvm_has_cap(KVM_CAP_PPC_MMU_RADIX)) {
		/*
		 * With a hash MMU, the guest is told that its page table has no
		 * entry.
		 */
		uc = start(vcpu, guest_load, UCALL_UNHANDLED);
		EXPECT_EQ(uc.args[0], VECTOR_DATA_STORAGE);
		EXPECT_EQ(uc.args[3], BEYOND + 0x1230);
		return;
	}
	vcpu_arch_set_entry_point(vcpu, guest_load);
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MMIO);
	EXPECT_EQ(run->mmio.phys_addr, BEYOND + 0x1230);
	EXPECT_EQ(run->mmio.len, 4);
	EXPECT_EQ(run->mmio.is_write, 0);
	memcpy(run->mmio.data, &value, sizeof(value));
	uc = run_until(vcpu, UCALL_SYNC);
	EXPECT_EQ(uc.args[0], value);
}

static void guest_hcall(void)
{
	u64 args[HCALL_NR_ARGS] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	unsigned int i;

	GUEST_ASSERT_EQ(hcall(H_TEST, args), -42UL);
	for (i = 0; i < HCALL_NR_ARGS; i++)
		GUEST_ASSERT_EQ(args[i], (i + 1) * 1000UL);
	GUEST_DONE();
}

TEST_F(smoke, hypercall)
{
	struct kvm_vcpu *vcpu = self->vcpus[0];
	struct kvm_run *run = vcpu->run;
	unsigned int i;

	vcpu_arch_set_entry_point(vcpu, guest_hcall);
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_PAPR_HCALL);
	ASSERT_EQ(run->papr_hcall.nr, H_TEST);
	for (i = 0; i < HCALL_NR_ARGS; i++) {
		EXPECT_EQ(run->papr_hcall.args[i], i + 1);
		run->papr_hcall.args[i] *= 1000;
	}
	run->papr_hcall.ret = -42UL;
	run_until(vcpu, UCALL_DONE);
}

TEST_HARNESS_MAIN
