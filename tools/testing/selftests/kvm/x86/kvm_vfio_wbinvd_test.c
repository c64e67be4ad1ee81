// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contract 6: which CPUs a guest's WBINVD flushes.
 *
 * Each vCPU has a thread, on one CPU at a time, that stays in KVM_RUN.  The
 * test tells the guest through its memory what to do next.  A kprobe event
 * counts the flushes that reach each CPU.  The program itself stays on CPU 0,
 * and makes each vCPU on the CPU on which that vCPU starts, because each ioctl
 * of a vCPU loads it on the current CPU.
 *
 * It runs on noncoherent machines and on coherent ones, where nothing is ever
 * flushed.  The storm tests need a preemptible kernel to be effective.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "vfio_probe.h"
#include "vfio_util.h"

/* Several emulated machines run at a time.  Whatever takes this long hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

#define TRACE		"/sys/kernel/tracing/instances/kvm_vfio_test"
#define NO_EXIT		"/sys/module/kvm_vfio_lab/parameters/no_wbinvd_exit"
#define MAX_CPUS	4U
#define NR_VCPUS	3U
#define NR_GROUPS	2U
#define NR_CYCLES	20U
#define NR_MOVES	300U
#define NR_AT_ONCE	3U

/* Flushes, as a number of 8 bits for each CPU */
#define ON(cpu)		(1ULL << (8 * (cpu)))

static struct vfio_test_device devices[8];
static bool coherent;

enum {
	PROBE_FLUSH,		/* a flush for WBINVD, on the CPU that it reaches */
	PROBE_ALL,		/* a flush of all CPUs at once, for any reason */
	PROBE_COUNTED,
	PROBE_LOAD = PROBE_COUNTED,
	PROBE_EXIT,		/* the guest executes WBINVD */
	PROBE_MAX
};

static struct vfio_probe probes[PROBE_MAX] = {
	[PROBE_FLUSH] = VFIO_PROBE("flush", "__wbinvd"),
	[PROBE_ALL] = VFIO_PROBE("all", "wbinvd_on_all_cpus"),
	[PROBE_LOAD] = VFIO_PROBE("load", "kvm_arch_vcpu_load"),
	[PROBE_EXIT] = VFIO_PROBE("exit", "kvm_emulate_wbinvd"),
};

/*
 * The guest
 */
struct control {
	u64 turns;		/* of its loop, which show that it runs */
	u64 want;		/* WBINVDs that it is to execute in all, */
	u64 done;		/* and has executed */
	u64 stop;
};

static struct control controls[NR_VCPUS];

static void guest_code(u64 number)
{
	struct control *control = &controls[number];

	while (!READ_ONCE(control->stop)) {
		while (control->done != READ_ONCE(control->want)) {
			asm volatile("wbinvd" ::: "memory");
			WRITE_ONCE(control->done, control->done + 1);
		}
		WRITE_ONCE(control->turns, control->turns + 1);
		cpu_relax();
	}
	GUEST_DONE();
}

/*
 * vCPUs and their threads
 */
struct worker {
	struct kvm_vcpu *vcpu;
	struct control *control;	/* the guest's */
	pthread_t thread;
};

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct ucall uc;

	vcpu_run(worker->vcpu);
	TEST_ASSERT_EQ(get_ucall(worker->vcpu, &uc), UCALL_DONE);
	return NULL;
}

/* CPUs of an emulated machine may take turns: let the next one run. */
static void await(const u64 *value, u64 least)
{
	while (READ_ONCE(*value) < least) {
		cpu_relax();
		sched_yield();
	}
}

/* Waits for a turn of the guest that begins from now on. */
static void await_turn(const struct worker *worker)
{
	await(&worker->control->turns, READ_ONCE(worker->control->turns) + 2);
}

/*
 * The thread uses no other CPU on the way.  When this returns, the guest runs
 * there.
 */
static void move_to(const struct worker *worker, unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	TEST_ASSERT(!pthread_setaffinity_np(worker->thread, sizeof(set), &set),
		    "move a vCPU to CPU %u", cpu);
	await_turn(worker);
}

/* Makes a vCPU, which runs on one CPU until it is moved. */
static void start_on(struct worker *worker, struct kvm_vm *vm, unsigned int number,
		     unsigned int cpu)
{
	pthread_attr_t attr;
	cpu_set_t set;

	pin_self_to_cpu(cpu);
	worker->vcpu = vm_vcpu_add(vm, number, guest_code);
	vcpu_args_set(worker->vcpu, 1, (u64)number);
	pin_self_to_cpu(0);
	worker->control = addr_gva2hva(vm, (gva_t)&controls[number]);

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	TEST_ASSERT(!pthread_create(&worker->thread, &attr, worker_main, worker),
		    "start the thread of a vCPU");
	pthread_attr_destroy(&attr);
	await_turn(worker);
}

/*
 * Flushes
 */
static u64 traced_on(unsigned int cpu)
{
	unsigned long nr;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), TRACE "/per_cpu/cpu%u/stats", cpu);
	f = fopen(path, "re");
	TEST_ASSERT(f && fscanf(f, "entries: %lu", &nr) == 1, "read %s", path);
	fclose(f);
	TEST_ASSERT(nr < 256, "%lu flushes of CPU %u", nr, cpu);
	return nr;
}

/* All flushes since the last call, whatever caused them */
static u64 flushes(void)
{
	u64 all = 0;
	unsigned int cpu;

	for (cpu = 0; cpu < MAX_CPUS; cpu++)
		all |= traced_on(cpu) << (8 * cpu);
	vfio_trace_clear();
	return all;
}

/* Lets the guest execute one more WBINVD; returns what was flushed. */
static u64 wbinvd(const struct worker *worker)
{
	struct control *control = worker->control;

	WRITE_ONCE(control->want, control->want + 1);
	await(&control->done, control->want);
	return flushes();
}

/* A VM, and two groups for it */
FIXTURE(wbinvd) {
	struct kvm_vm *vm;
	struct worker workers[NR_VCPUS];
	unsigned int nr;
	int dev;
	int group[NR_GROUPS];
};

static int group_with_container(unsigned int number)
{
	int container = vfio_container_open();
	int group = vfio_group_open(devices[number].group);

	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);
	coherent = ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU);
	return group;
}

FIXTURE_SETUP(wbinvd)
{
	unsigned int i;

	pin_self_to_cpu(0);
	vfio_probes_set(probes, PROBE_COUNTED);
	self->vm = vm_create(NR_VCPUS);
	self->dev = kvm_vfio_create(self->vm->fd);
	for (i = 0; i < NR_GROUPS; i++)
		self->group[i] = group_with_container(i);
	vfio_trace_clear();
}

FIXTURE_TEARDOWN(wbinvd)
{
	unsigned int i;

	for (i = 0; i < self->nr; i++) {
		WRITE_ONCE(self->workers[i].control->stop, 1);
		pthread_join(self->workers[i].thread, NULL);
	}
	__sysfs_write(NO_EXIT, "0");
	kvm_vm_free(self->vm);
	vfio_probes_remove();
}

static struct worker *vcpu_on(struct _test_data_wbinvd *self, unsigned int cpu)
{
	struct worker *worker = &self->workers[self->nr];

	start_on(worker, self->vm, self->nr++, cpu);
	return worker;
}

/*
 * What WBINVD flushes on this machine, depending on the coherency of the device
 */
static u64 expected(u64 set)
{
	return coherent ? 0 : set;
}

static bool is_flushed(const struct worker *worker, u64 set)
{
	u64 flushed = wbinvd(worker);

	if (flushed != set)
		ksft_print_msg("WBINVD flushed %#lx, expected %#lx\n", flushed, set);
	return flushed == set;
}

#define ASSERT_FLUSHES(worker, set)	ASSERT_TRUE(is_flushed(worker, expected(set)))
#define ASSERT_NO_FLUSHES(worker)	ASSERT_TRUE(is_flushed(worker, 0))

/*
 * The tests
 */

/* Contract 6.7 */
TEST_F(wbinvd, without_a_group)
{
	struct worker *a = vcpu_on(self, 1), *b = vcpu_on(self, 2);

	ASSERT_NO_FLUSHES(a);
	ASSERT_NO_FLUSHES(b);
	move_to(a, 2);
	move_to(b, 3);
	ASSERT_NO_FLUSHES(a);
	ASSERT_NO_FLUSHES(b);
}

/* Contract 6.7: Each vCPU has a set of its own. */
TEST_F(wbinvd, where_each_vcpu_runs)
{
	struct worker *a = vcpu_on(self, 1), *b = vcpu_on(self, 2);

	kvm_vfio_add(self->dev, self->group[0]);
	ASSERT_FLUSHES(a, ON(1));
	ASSERT_FLUSHES(a, ON(1));
	ASSERT_FLUSHES(b, ON(2));
	ASSERT_FLUSHES(b, ON(2));
	kvm_vfio_del(self->dev, self->group[0]);
	ASSERT_NO_FLUSHES(a);
	ASSERT_NO_FLUSHES(b);
}

/*
 * Contract 6.5: A vCPU changes CPUs, and groups are added and deleted, without
 * a flush.
 */
TEST_F(wbinvd, only_wbinvd_flushes)
{
	struct worker *a = vcpu_on(self, 1);

	kvm_vfio_add(self->dev, self->group[0]);
	move_to(a, 2);
	kvm_vfio_add(self->dev, self->group[1]);
	move_to(a, 3);
	kvm_vfio_del(self->dev, self->group[0]);
	kvm_vfio_del(self->dev, self->group[1]);
	move_to(a, 1);
	ASSERT_EQ(flushes(), 0);
}

/* Contract 6.7 */
TEST_F(wbinvd, as_long_as_one_of_two_groups_is_held)
{
	struct worker *a = vcpu_on(self, 1);

	kvm_vfio_add(self->dev, self->group[0]);
	kvm_vfio_add(self->dev, self->group[1]);
	ASSERT_FLUSHES(a, ON(1));
	kvm_vfio_del(self->dev, self->group[0]);
	ASSERT_FLUSHES(a, ON(1));
	kvm_vfio_del(self->dev, self->group[1]);
	ASSERT_NO_FLUSHES(a);
}

TEST_F(wbinvd, add_and_del_cycles)
{
	struct worker *a = vcpu_on(self, 1), *b = vcpu_on(self, 2);
	unsigned int i;

	for (i = 0; i < NR_CYCLES; i++) {
		kvm_vfio_add(self->dev, self->group[i % 2]);
		if (i % 3 == 0)
			ASSERT_FLUSHES(a, ON(1));
		kvm_vfio_del(self->dev, self->group[i % 2]);
		ASSERT_NO_FLUSHES(a);
	}
	ASSERT_NO_FLUSHES(b);
	kvm_vfio_add(self->dev, self->group[0]);
	ASSERT_FLUSHES(b, ON(2));
	/* The end of the device releases what DEL has not. */
	close(self->dev);
	ASSERT_NO_FLUSHES(a);
	ASSERT_NO_FLUSHES(b);
}

/* Contract 6.7 */
TEST_F(wbinvd, vcpu_created_late)
{
	struct worker *a = vcpu_on(self, 1), *b;

	kvm_vfio_add(self->dev, self->group[0]);
	ASSERT_FLUSHES(a, ON(1));
	b = vcpu_on(self, 2);
	move_to(b, 3);
	ASSERT_FLUSHES(b, ON(2) | ON(3));
	ASSERT_FLUSHES(a, ON(1));
}

/* Contract 6.6 */
TEST_F(wbinvd, defect25_cpus_before_the_first_group)
{
	struct worker *a = vcpu_on(self, 1), *b = vcpu_on(self, 3);

	move_to(a, 2);
	move_to(a, 3);
	move_to(b, 0);
	kvm_vfio_add(self->dev, self->group[0]);
	ASSERT_FLUSHES(a, ON(1) | ON(2) | ON(3));
	ASSERT_FLUSHES(a, ON(3));
	ASSERT_FLUSHES(b, ON(0) | ON(3));
	ASSERT_FLUSHES(b, ON(0));
}

/*
 * Contract 6.5: Where WBINVD does not exit, a CPU is flushed when a vCPU leaves
 * it; the first group flushes those that vCPUs of this VM have left before, and
 * no others.
 */
TEST_F(wbinvd, first_group_without_exits)
{
	struct worker *a = vcpu_on(self, 1);

	if (__sysfs_write(NO_EXIT, "1"))
		SKIP(return, "the lab module is not loaded");
	move_to(a, 2);
	ASSERT_EQ(flushes(), 0);
	kvm_vfio_add(self->dev, self->group[0]);
	ASSERT_EQ(flushes(), expected(ON(1) | ON(2)));
	kvm_vfio_add(self->dev, self->group[1]);
	ASSERT_EQ(flushes(), 0);
	move_to(a, 3);
	ASSERT_EQ(flushes(), expected(ON(2)));
	kvm_vfio_del(self->dev, self->group[0]);
	kvm_vfio_del(self->dev, self->group[1]);
	move_to(a, 1);
	ASSERT_EQ(flushes(), 0);
}

/*
 * Contract 6.6: The vCPU is in the guest when the VM gets the group, and leaves
 * the CPU after that.
 */
TEST_F(wbinvd, defect25_vcpus_in_the_guest_meanwhile)
{
	struct worker *a = vcpu_on(self, 1), *b = vcpu_on(self, 2);

	kvm_vfio_add(self->dev, self->group[0]);
	move_to(a, 3);
	move_to(b, 1);
	ASSERT_FLUSHES(a, ON(1) | ON(3));
	ASSERT_FLUSHES(b, ON(2) | ON(1));
}

/*
 * Contract 6.6: WBINVD did nothing for the CPUs on which the vCPU ran in
 * between.
 */
TEST_F(wbinvd, defect25_cpus_between_two_groups)
{
	struct worker *a = vcpu_on(self, 1);

	kvm_vfio_add(self->dev, self->group[0]);
	ASSERT_FLUSHES(a, ON(1));
	kvm_vfio_del(self->dev, self->group[0]);
	move_to(a, 2);
	ASSERT_NO_FLUSHES(a);
	move_to(a, 3);
	ASSERT_NO_FLUSHES(a);
	kvm_vfio_add(self->dev, self->group[1]);
	ASSERT_FLUSHES(a, ON(1) | ON(2) | ON(3));
}

/*
 * Contract 6.8: The CPU on which the vCPU goes on is in the next set, although
 * it has not been entered again. If something preempts the vCPU there, it is
 * entered again and the defect does not show. So it is tried more than once:
 * each time can show it.
 */
TEST_F(wbinvd, defect33_cpu_that_goes_on)
{
	struct worker *a = vcpu_on(self, 1);
	unsigned int i, from, to;

	kvm_vfio_add(self->dev, self->group[0]);
	ASSERT_FLUSHES(a, ON(1));
	for (i = 0; i < NR_CYCLES; i++) {
		from = 1 + i % 3;
		to = 1 + (i + 1) % 3;
		ASSERT_FLUSHES(a, ON(from));
		move_to(a, to);
		ASSERT_FLUSHES(a, ON(from) | ON(to));
	}
}

/* Contract 6.8 */
TEST_F(wbinvd, defect33_vcpus_that_change_places)
{
	struct worker *a = vcpu_on(self, 1), *b = vcpu_on(self, 2);
	unsigned int i;

	kvm_vfio_add(self->dev, self->group[0]);
	ASSERT_FLUSHES(a, ON(1));
	ASSERT_FLUSHES(b, ON(2));
	for (i = 0; i < NR_CYCLES; i++) {
		move_to(a, 1 + (i + 1) % 2);
		move_to(b, 1 + i % 2);
		ASSERT_FLUSHES(a, ON(1) | ON(2));
		ASSERT_FLUSHES(b, ON(1) | ON(2));
	}
	move_to(a, 3);
	ASSERT_FLUSHES(b, ON(1 + (i - 1) % 2));
	ASSERT_FLUSHES(a, ON(1 + i % 2) | ON(3));
}

/*
 * The vCPU is moved while the guest executes WBINVDs all the time.  What was
 * flushed must agree with the CPUs on which the vCPU was loaded, according to
 * the trace.
 */
struct storm {
	u64 set;		/* what has to be flushed next */
	u64 flushed;	/* for the last WBINVD, so far */
	unsigned int cpu;	/* that the vCPU runs on */
	unsigned int nr;	/* WBINVDs that flushed */
	unsigned int wrong;
};

/* The first event after a flush that is no flush shows that it is over. */
static void storm_flushed(struct storm *storm)
{
	if (!storm->flushed)
		return;
	if (storm->flushed != storm->set && storm->wrong++ < 5)
		ksft_print_msg("WBINVD %u: flushed %#lx, expected %#lx\n", storm->nr,
			       storm->flushed, storm->set);
	storm->nr++;
	storm->flushed = 0;
	storm->set = ON(storm->cpu);
}

/* COMM-PID [CPU] FLAGS TIME: NAME: (WHERE) */
static void storm_event(struct storm *storm, const char *line)
{
	const char *bracket = strstr(line, " [");
	unsigned int cpu;

	TEST_ASSERT(bracket && sscanf(bracket, " [%u]", &cpu) == 1 && cpu < MAX_CPUS,
		    "a line of the trace: %s", line);
	if (strstr(line, " flush: (")) {
		storm->flushed += ON(cpu);
		return;
	}
	storm_flushed(storm);
	if (strstr(line, " load: (")) {
		storm->set |= ON(cpu);
		storm->cpu = cpu;
	}
}

static void storm_read(struct storm *storm)
{
	FILE *f = fopen(TRACE "/trace", "re");
	char line[512];

	TEST_ASSERT(f, "open the trace");
	while (fgets(line, sizeof(line), f)) {
		TEST_ASSERT(!strstr(line, "[LOST "), "events are lost: %s", line);
		if (*line != '#')
			storm_event(storm, line);
	}
	fclose(f);
	storm_flushed(storm);
}

/* A common clock, so that the events of all CPUs are in the right order */
static void storm_trace(void)
{
	vfio_probes_set(probes, PROBE_MAX);
	TEST_ASSERT(!__sysfs_write(TRACE "/trace_clock", "counter"), "trace_clock");
	vfio_trace_clear();
}

/*
 * A bit later in each round over the CPUs, so that every part is interrupted.
 */
static void storm_step(const struct worker *worker, unsigned int step)
{
	struct control *control = worker->control;
	unsigned int i;

	WRITE_ONCE(control->want, control->want + NR_AT_ONCE);
	for (i = 0; i < step / MAX_CPUS % 4; i++)
		cpu_relax();
	move_to(worker, (step + 2) % MAX_CPUS);
	await(&control->done, control->want);
}

/* Contract 6.8 */
TEST_F(wbinvd, defect33_storm_of_moves)
{
	struct worker *a = vcpu_on(self, 1);
	struct storm storm = { .set = ON(1), .cpu = 1 };
	unsigned int i;

	kvm_vfio_add(self->dev, self->group[0]);
	storm_trace();
	for (i = 0; i < NR_MOVES; i++)
		storm_step(a, i);
	storm_read(&storm);
	ASSERT_EQ(storm.wrong, 0);
	ASSERT_EQ(storm.nr, coherent ? 0 : NR_MOVES * NR_AT_ONCE);
}

/*
 * Contract 6.6, 6.7: A WBINVD in a VM with a group flushes all CPUs since the
 * last flush.
 */
TEST_F(wbinvd, defect25_storm_of_moves_and_groups)
{
	struct worker *a = vcpu_on(self, 1);
	struct storm storm = { .set = ON(1), .cpu = 1 };
	unsigned int i;

	storm_trace();
	for (i = 0; i < NR_MOVES; i++) {
		if (i % 6 == 1)
			kvm_vfio_add(self->dev, self->group[0]);
		if (i % 6 == 4)
			kvm_vfio_del(self->dev, self->group[0]);
		storm_step(a, i);
	}
	storm_read(&storm);
	ASSERT_EQ(storm.wrong, 0);
	ASSERT_EQ(storm.nr, coherent ? 0 : NR_MOVES / 2 * NR_AT_ONCE);
}

int main(int argc, char **argv)
{
	vfio_test_init(devices, ARRAY_SIZE(devices), NR_GROUPS);
	if (get_nprocs() < (int)MAX_CPUS)
		ksft_exit_skip("%u CPUs needed\n", MAX_CPUS);
	return test_harness_run(argc, argv);
}
