// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contract 2.6: if a VMM is killed at any point, nothing stays held, and the next
 * open of the group succeeds.
 *
 * A child process plays the VMM: it sets everything up and then adds and
 * deletes its group, opens and closes the device, changes the container and
 * makes its KVM-VFIO device anew, all at once in several threads.  It counts
 * its steps in shared memory.  SIGKILL ends it at a random step.  After
 * waitpid() the group must open at once, without a retry, and a full set-up
 * with it must work.
 *
 * Why "at once" is right: each thread drops its files and runs its task work
 * (where the last references to files go) in do_exit(), before exit_notify(), and
 * the leader of a thread group is not reaped before all its threads are.  Only
 * kernel threads leave files to a work queue.
 *
 * After some kills to warm up, the slab caches and the free memory are compared
 * with those after all kills.  The limit is half an object and half a page for
 * each kill, so that a loss of one for each kill is seen and noise is not.  The
 * last part of the test loses one for each on purpose and checks that this is
 * noticed.
 *
 * KVM_VFIO_SEED=N repeats a run, as far as the scheduler repeats itself;
 * KVM_VFIO_KILLS=N changes how often (200).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/membarrier.h>

#include "kselftest.h"
#include "vfio_hold.h"
#include "vfio_util.h"

/* Machines are emulated, several at a time: what takes that long hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

#define WARM_UP_KILLS	20
#define MIN_LEAK_KILLS	100	/* fewer kills than this show no leak */
#define STUCK_SECONDS	20
#define SETTLE_SECONDS	10	/* kfree_rcu() may keep an object for 5 */
#define BUFFER_SIZE	(1024 * 1024UL)

/* What the VMM counts, and how far it gets before it is killed */
enum {
	STEP_SETUP,
	STEP_ADD,
	STEP_DEVICE,
	STEP_CONTAINER,
	STEP_CREATE,
	STEP_KINDS
};

static const unsigned int last_step[STEP_KINDS] = {
	[STEP_SETUP] = 7,
	[STEP_ADD] = 200,
	[STEP_DEVICE] = 2,
	[STEP_CONTAINER] = 20,
	[STEP_CREATE] = 3,
};

struct progress {
	unsigned int step[STEP_KINDS];
};

static struct vfio_test_device device;
static struct progress *progress;

static void step(unsigned int kind)
{
	__atomic_add_fetch(&progress->step[kind], 1, __ATOMIC_RELEASE);
}

static unsigned int steps(unsigned int kind)
{
	return __atomic_load_n(&progress->step[kind], __ATOMIC_ACQUIRE);
}

/*
 * Random numbers: xorshift, so that a seed means the same everywhere.
 */
static uint64_t random_state;

static unsigned int random_below(unsigned int limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 16) % limit;
}

/* The VMM.  Its threads disturb each other, so any result is accepted. */
static struct vmm victim;

static int victim_kvm_vfio(void)
{
	return __atomic_load_n(&victim.fd[VMM_KVM_VFIO], __ATOMIC_ACQUIRE);
}

static void *device_thread(void *arg)
{
	int fd;

	(void)arg;
	for (;;) {
		fd = __vfio_group_device(victim.fd[VMM_GROUP], device.bdf);
		step(STEP_DEVICE);
		if (fd >= 0)
			close(fd);
		step(STEP_DEVICE);
	}
	return NULL;
}

static void *container_thread(void *arg)
{
	int container = victim.fd[VMM_CONTAINER], group = victim.fd[VMM_GROUP];

	for (;;) {
		if (!__vfio_memory_register(container, arg, BUFFER_SIZE) &&
		    !__vfio_dma_map(container, arg, VFIO_TEST_IOVA, BUFFER_SIZE))
			vfio_group_status(group);
		step(STEP_CONTAINER);
		__vfio_dma_unmap(container, VFIO_TEST_IOVA, BUFFER_SIZE);
		step(STEP_CONTAINER);
		/* Mostly refused, as KVM or the device thread are users. */
		__vfio_group_unset_container(group);
		step(STEP_CONTAINER);
		__vfio_group_set_container(group, container);
		__vfio_container_use_iommu(container);
	}
	return NULL;
}

static void *create_thread(void *arg)
{
	int fd;

	(void)arg;
	for (;;) {
		close(victim_kvm_vfio());
		step(STEP_CREATE);
		/* Busy while an ADD or DEL of the main thread still uses the old one. */
		do
			fd = __kvm_vfio_create(victim.fd[VMM_VM], 0);
		while (fd == -EBUSY);
		VFIO_ASSERT(fd >= 0, "KVM_CREATE_DEVICE: %d", fd);
		__atomic_store_n(&victim.fd[VMM_KVM_VFIO], fd, __ATOMIC_RELEASE);
		step(STEP_CREATE);
	}
	return NULL;
}

static void victim_set_up(void)
{
	victim.fd[VMM_VM] = kvm_vm_open();
	step(STEP_SETUP);
	victim.fd[VMM_KVM_VFIO] = kvm_vfio_create(victim.fd[VMM_VM]);
	step(STEP_SETUP);
	victim.fd[VMM_CONTAINER] = vfio_container_open();
	step(STEP_SETUP);
	victim.fd[VMM_GROUP] = vfio_group_open(device.group);
	step(STEP_SETUP);
	vfio_group_set_container(victim.fd[VMM_GROUP], victim.fd[VMM_CONTAINER]);
	step(STEP_SETUP);
	vfio_container_use_iommu(victim.fd[VMM_CONTAINER]);
	step(STEP_SETUP);
	kvm_vfio_add(victim.fd[VMM_KVM_VFIO], victim.fd[VMM_GROUP]);
	step(STEP_SETUP);
}

static void victim_main(void)
{
	void *(*const threads[])(void *) = {
		device_thread, container_thread, create_thread,
	};
	void *buffer = vfio_dma_buffer(BUFFER_SIZE);
	pthread_t thread;
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	victim_set_up();
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		VFIO_ASSERT(!pthread_create(&thread, NULL, threads[i], buffer),
			    "pthread_create");
	for (;;) {
		__kvm_vfio_add(victim_kvm_vfio(), victim.fd[VMM_GROUP]);
		step(STEP_ADD);
		__kvm_vfio_del(victim_kvm_vfio(), victim.fd[VMM_GROUP]);
		step(STEP_ADD);
	}
}

/*
 * The killer
 */
struct results {
	unsigned int kills;
	unsigned int died_early;
	unsigned int open_failed;
	unsigned int set_up_failed;
};

static bool victim_is_gone(pid_t pid)
{
	siginfo_t info = { 0 };

	VFIO_ASSERT(!waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT),
		    "waitid");
	return info.si_pid == pid;
}

/*
 * Waits until the VMM has made @nr steps of @kind, and then a moment more.  It is stuck if it
 * makes none for long.
 */
static void wait_for_step(pid_t pid, unsigned int kind, unsigned int nr)
{
	unsigned int i, last = 0, moment = random_below(20000);
	time_t deadline = 0;

	for (i = 1; steps(kind) < nr; i++) {
		sched_yield();
		if (i % 256)
			continue;
		if (victim_is_gone(pid))
			return;
		if (!deadline || steps(kind) != last) {
			last = steps(kind);
			deadline = time(NULL) + STUCK_SECONDS;
		} else if (time(NULL) > deadline) {
			ksft_print_msg("stuck: %u of %u steps of kind %u\n",
				       steps(kind), nr, kind);
			return;
		}
	}
	while (moment--)
		__asm__ __volatile__("" : : : "memory");
}

/* True if the signal ended the VMM at the intended step */
static bool kill_one(void)
{
	unsigned int kind = random_below(STEP_KINDS);
	unsigned int nr = random_below(last_step[kind] + 1);
	bool there;
	int status;
	pid_t pid;

	memset(progress, 0, sizeof(*progress));
	pid = fork();
	VFIO_ASSERT(pid >= 0, "fork");
	if (!pid)
		victim_main();
	wait_for_step(pid, kind, nr);
	there = steps(kind) >= nr;
	kill(pid, SIGKILL);
	VFIO_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	return there && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/*
 * What the next VMM does.  The device is opened only sometimes, because that is
 * slow.
 */
static int set_up_and_tear_down(void *arg)
{
	struct vmm vmm;

	vmm_open(&vmm, &device, *(bool *)arg);
	if (vmm.fd[VMM_DEVICE] >= 0)
		close(vmm.fd[VMM_DEVICE]);
	vmm.fd[VMM_DEVICE] = -1;
	kvm_vfio_del(vmm.fd[VMM_KVM_VFIO], vmm.fd[VMM_GROUP]);
	vfio_group_unset_container(vmm.fd[VMM_GROUP]);
	vmm_close(&vmm);
	return 0;
}

static void kill_many(struct results *results, unsigned int nr)
{
	bool with_device;
	int group;

	while (nr--) {
		if (!kill_one())
			results->died_early++;
		group = __vfio_group_open(device.group);
		if (group < 0)
			results->open_failed++;
		else
			close(group);
		with_device = results->kills % 10 == 0;
		if (run_in_child(set_up_and_tear_down, &with_device))
			results->set_up_failed++;
		results->kills++;
		/*
		 * There is no point in going on with a group that stays busy.
		 */
		if (results->open_failed || results->set_up_failed)
			return;
	}
}

/*
 * What may leak
 *
 * SLUB counts the free objects of a slab that a CPU allocates from as taken:
 * with 64 KiB pages hundreds.  Shrinking a cache ends that, and reading the
 * numbers must not begin it again.  So all files are opened beforehand, and the
 * text written to "shrink" is so long that the kernel's copy of it does not
 * come from a cache that is watched.
 */
#define MAX_CACHES	64
#define SHRINK_SIZE	2000

struct watch {
	char name[64];
	int shrink_fd;
};

struct memory {
	long active[MAX_CACHES];
	long available_kib;
};

static struct watch watches[MAX_CACHES];
static unsigned int nr_watches;
static int slabinfo_fd;

static bool is_watched(const char *name, unsigned long size)
{
	static const char * const more[] = {
		"filp", "mm_struct", "kvm_vcpu", "task_struct", "files_cache",
		"pid", "iommu_iova", "kvm_mmu_page_header",
	};
	unsigned int i;

	if (!strncmp(name, "kmalloc-", 8))
		return size <= 1024;
	for (i = 0; i < ARRAY_SIZE(more); i++)
		if (!strcmp(name, more[i]))
			return true;
	return false;
}

static void read_slabinfo(char *text, size_t size)
{
	size_t have = 0;
	ssize_t len;

	VFIO_ASSERT(!lseek(slabinfo_fd, 0, SEEK_SET), "seek /proc/slabinfo");
	do {
		len = read(slabinfo_fd, text + have, size - 1 - have);
		VFIO_ASSERT(len >= 0, "read /proc/slabinfo");
		have += len;
	} while (len && have < size - 1);
	text[have] = '\0';
}

static void open_watches(void)
{
	static char text[1 << 16];
	struct watch *watch;
	char *line, path[256];
	unsigned long size;

	slabinfo_fd = open("/proc/slabinfo", O_RDONLY | O_CLOEXEC);
	VFIO_ASSERT(slabinfo_fd >= 0, "open /proc/slabinfo");
	read_slabinfo(text, sizeof(text));
	for (line = strtok(text, "\n"); line && nr_watches < MAX_CACHES;
	     line = strtok(NULL, "\n")) {
		watch = &watches[nr_watches];
		if (sscanf(line, "%63s %*u %*u %lu", watch->name, &size) != 2 ||
		    !is_watched(watch->name, size))
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink",
			 watch->name);
		watch->shrink_fd = open(path, O_WRONLY | O_CLOEXEC);
		VFIO_ASSERT(watch->shrink_fd >= 0, "open %s", path);
		nr_watches++;
	}
	VFIO_ASSERT(nr_watches, "no slab cache to watch");
}

static long active_objects(const char *text, const char *name)
{
	size_t len = strlen(name);
	const char *line = text;
	long active;

	/* The first two lines are headings. */
	while ((line = strchr(line, '\n'))) {
		line++;
		if (!strncmp(line, name, len) && line[len] == ' ' &&
		    sscanf(line + len, "%ld", &active) == 1)
			return active;
	}
	VFIO_ASSERT(0, "no %s in /proc/slabinfo", name);
}

static void read_caches(struct memory *memory)
{
	static char text[1 << 16];
	char one[SHRINK_SIZE] = "1";
	unsigned int i;

	for (i = 0; i < nr_watches; i++)
		VFIO_ASSERT(write(watches[i].shrink_fd, one, sizeof(one)) > 0,
			    "shrink %s", watches[i].name);
	read_slabinfo(text, sizeof(text));
	for (i = 0; i < nr_watches; i++)
		memory->active[i] = active_objects(text, watches[i].name);
}

static void drop_page_cache(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	VFIO_ASSERT(fd >= 0, "open drop_caches");
	VFIO_ASSERT(write(fd, "3", 1) == 1, "write drop_caches");
	close(fd);
}

/* The sum of what sscanf() finds in the lines of a file. */
static long sum_numbers(const char *path, const char *format)
{
	long number, sum = 0;
	char line[256];
	FILE *f = fopen(path, "re");

	VFIO_ASSERT(f, "open %s", path);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, format, &number) == 1)
			sum += number;
	fclose(f);
	return sum;
}

/* Includes the pages in per-CPU lists, which vary by megabytes. */
static long available_kib(void)
{
	long kib = sum_numbers("/proc/meminfo", "MemAvailable: %ld");
	long pages = sum_numbers("/proc/zoneinfo", " count: %ld");

	VFIO_ASSERT(kib > 0, "no MemAvailable");
	return kib + pages * (getpagesize() >> 10);
}

/*
 * Waits until RCU has freed what it has to, then shrinks the caches and counts.
 */
static void read_memory(struct memory *memory)
{
	unsigned int i;

	/* The first wait makes kfree_rcu() hand over what it keeps. */
	for (i = 0; i < 2; i++) {
		drop_page_cache();
		VFIO_ASSERT(!syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0),
			    "membarrier");
	}
	memory->available_kib = available_kib();
	read_caches(memory);
}

/* How many caches have grown by @limit objects. */
static unsigned int grown_caches(const struct memory *before,
				 const struct memory *after, long limit)
{
	unsigned int i, nr = 0;

	for (i = 0; i < nr_watches; i++)
		nr += after->active[i] - before->active[i] >= limit;
	return nr;
}

static void print_growth(const struct memory *before,
			 const struct memory *after, long limit)
{
	unsigned int i;
	long more;

	for (i = 0; i < nr_watches; i++) {
		more = after->active[i] - before->active[i];
		if (more >= limit / 10 || more <= -limit / 10)
			ksft_print_msg("%s: %+ld objects\n", watches[i].name, more);
	}
}

/* Of the cache that grew most, in objects */
static long largest_growth(const struct memory *before, const struct memory *after)
{
	long more, most = 0;
	unsigned int i;

	for (i = 0; i < nr_watches; i++) {
		more = after->active[i] - before->active[i];
		if (more > most)
			most = more;
	}
	return most;
}

static long lost_kib(const struct memory *before, const struct memory *after)
{
	return before->available_kib - after->available_kib;
}

struct limits {
	long objects;
	long kib;
};

static struct limits limits_for(unsigned int kills)
{
	return (struct limits) {
		.objects = kills / 2,
		.kib = kills * (getpagesize() >> 10) / 2,
	};
}

/* A leak stays; memory that is freed late gets some seconds. */
static void read_settled_memory(const struct memory *before,
				struct memory *after, const struct limits *limits)
{
	time_t deadline = time(NULL) + SETTLE_SECONDS;

	do
		read_memory(after);
	while ((grown_caches(before, after, limits->objects) ||
		lost_kib(before, after) >= limits->kib) && time(NULL) < deadline);
}

static void print_memory(const struct memory *before,
			 const struct memory *after, const struct limits *limits)
{
	print_growth(before, after, limits->objects);
	ksft_print_msg("%ld KiB less available, %ld are too many\n",
		       lost_kib(before, after), limits->kib);
}

/* Takes a page and a file with a small object for each kill. */
static bool leak_is_noticed(const struct memory *before,
			    const struct limits *limits, unsigned int kills)
{
	struct rlimit files = { .rlim_cur = kills + 256, .rlim_max = kills + 256 };
	struct memory after;
	unsigned int i;

	VFIO_ASSERT(!setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
	vfio_dma_buffer((size_t)kills * getpagesize());
	for (i = 0; i < kills; i++)
		VFIO_ASSERT(eventfd(0, EFD_CLOEXEC) >= 0, "eventfd");
	read_memory(&after);
	print_memory(before, &after, limits);
	return grown_caches(before, &after, limits->objects) >= 2 &&
	       lost_kib(before, &after) >= limits->kib;
}

/*
 * KASAN keeps megabytes of freed objects for a while and counts them as used.
 * A lab kernel with KASAN has kmemleak as well, which the lab checks at the
 * end.
 */
static bool kernel_has_kasan(void)
{
	char line[256];
	bool found = false;
	FILE *f = fopen("/proc/kallsyms", "re");

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, " kasan_quarantine_put\n");
	if (f)
		fclose(f);
	return found;
}

static void skip_memory(const char *reason)
{
	ksft_test_result_skip("no_slab_growth: %s\n", reason);
	ksft_test_result_skip("no_memory_loss: %s\n", reason);
	ksft_test_result_skip("leak_check_can_fail: %s\n", reason);
}

static void report_memory(const struct memory *before, unsigned int kills)
{
	struct limits limits = limits_for(kills);
	struct memory after;

	if (kernel_has_kasan()) {
		skip_memory("KASAN keeps what is freed; kmemleak finds leaks");
		return;
	}
	if (kills < MIN_LEAK_KILLS) {
		skip_memory("too few kills");
		return;
	}
	read_settled_memory(before, &after, &limits);
	print_memory(before, &after, &limits);
	ksft_print_msg("counts: %u kills, %ld KiB less, at most %ld objects more in a slab\n",
		       kills, lost_kib(before, &after), largest_growth(before, &after));
	ksft_test_result(!grown_caches(before, &after, limits.objects),
			 "no_slab_growth\n");
	ksft_test_result(lost_kib(before, &after) < limits.kib,
			 "no_memory_loss\n");
	ksft_test_result(leak_is_noticed(&after, &limits, kills),
			 "leak_check_can_fail\n");
}

static void run(unsigned int kills)
{
	struct vfio_refs refs_before, refs_after;
	struct results results = { 0 };
	struct memory memory;
	unsigned int vms = count_vms();
	int log = kmsg_open();

	warn_once_rearm();
	open_watches();
	vfio_refs_read(&refs_before);
	kill_many(&results, WARM_UP_KILLS);
	read_memory(&memory);
	kill_many(&results, kills);
	vfio_refs_read(&refs_after);

	ksft_print_msg("%u kills\n", results.kills);
	ksft_test_result(!results.died_early, "vmm_lived_until_killed\n");
	ksft_test_result(!results.open_failed, "group_opens_at_once\n");
	ksft_test_result(!results.set_up_failed, "set_up_works_again\n");
	ksft_test_result(vfio_refs_equal(&refs_before, &refs_after),
			 "module_use_counts_back\n");
	ksft_test_result(count_vms() == vms, "no_vm_left\n");
	report_memory(&memory, kills);
	/* On POWER, stock has one. */
	ksft_test_result(!kmsg_splats(log), "defect13_no_kernel_warning\n");
}

int main(void)
{
	unsigned long seed = env_number("KVM_VFIO_SEED", time(NULL));
	unsigned long kills = env_number("KVM_VFIO_KILLS", 200);

	ksft_print_header();
	vfio_test_init(&device, 1, 1);
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	VFIO_ASSERT(progress != MAP_FAILED, "mmap");
	ksft_set_plan(9);
	ksft_print_msg("KVM_VFIO_SEED=%lu KVM_VFIO_KILLS=%lu\n", seed, kills);
	/* Xorshift needs a state other than 0. */
	random_state = seed * 2654435761UL + 1;
	run(kills);
	ksft_finished();
}
