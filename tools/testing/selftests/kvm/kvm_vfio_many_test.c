// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contract 1.16, 1.18: very many open files of one cdev are held, shown and let go.  All
 * of it is done with a quarter of the files and then with all of them: each file costs the
 * same, and nothing keeps another thread waiting for long.
 *
 *	KVM_VFIO_FILES=N	how many files, FILES below by default
 *
 * The tests compare times.  In a machine whose clock counts instructions (QEMU's -icount)
 * these do not depend on the host.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vfio_probe.h"
#include "vfio_util.h"

#define FILES		40000
#define SHOWN		1024	/* of them, in fdinfo */
#define TEXT_SIZE	(1024 * 1024)
#define NSEC_PER_MSEC	1000000UL

static struct vfio_test_device device;

/* Each time that a member is told */
static struct vfio_probe show_probe = VFIO_PROBE("show", "vfio_external_show");

/*
 * What it took, in nanoseconds: of the CPU for each file, of the clock otherwise
 */
static struct costs {
	unsigned int files;
	unsigned long add, del, close;
	unsigned long whole_close;	/* of the clock */
	unsigned long longest_wait;	/* of another thread meanwhile */
	unsigned long show_calls;
	unsigned int reads;
	char *text;
} few, all;

static unsigned long now(clockid_t clock)
{
	struct timespec t;

	VFIO_ASSERT(!clock_gettime(clock, &t), "clock_gettime");
	return t.tv_sec * 1000000000UL + t.tv_nsec;
}

static unsigned long cpu_time(void)
{
	return now(CLOCK_THREAD_CPUTIME_ID);
}

/* A thread that always wants to run */
struct other {
	pthread_t thread;
	atomic_bool runs;
	atomic_bool ends;
	unsigned long longest_wait;
};

static void *run_other(void *arg)
{
	unsigned long last = now(CLOCK_MONOTONIC), next;
	struct other *other = arg;

	atomic_store(&other->runs, true);
	while (!atomic_load(&other->ends)) {
		next = now(CLOCK_MONOTONIC);
		if (next - last > other->longest_wait)
			other->longest_wait = next - last;
		last = next;
	}
	return NULL;
}

static void begin_other(struct other *other)
{
	VFIO_ASSERT(!pthread_create(&other->thread, NULL, run_other, other), "pthread_create");
	while (!atomic_load(&other->runs))
		sched_yield();
}

static void end_other(struct other *other)
{
	atomic_store(&other->ends, true);
	pthread_join(other->thread, NULL);
}

/* The files are closed before the device is, so that its close ends them all. */
static void close_device(struct costs *costs, int dev, unsigned int nr)
{
	struct other other = {};
	unsigned long began, cpu;

	begin_other(&other);
	began = now(CLOCK_MONOTONIC);
	cpu = cpu_time();
	close(dev);
	costs->close = (cpu_time() - cpu) / nr;
	costs->whole_close = now(CLOCK_MONOTONIC) - began;
	end_other(&other);
	costs->longest_wait = other.longest_wait;
}

static void read_fdinfo(struct costs *costs, int dev)
{
	unsigned long calls = vfio_probe_hits(&show_probe);
	ssize_t length = 0, ret;
	char path[64];
	int fd;

	costs->text = malloc(TEXT_SIZE);
	VFIO_ASSERT(costs->text, "malloc");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", dev);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	VFIO_ASSERT(fd >= 0, "open %s", path);
	while ((ret = read(fd, costs->text + length, TEXT_SIZE - 1 - length))) {
		VFIO_ASSERT(ret > 0, "read %s", path);
		costs->reads++;
		length += ret;
	}
	close(fd);
	costs->text[length] = '\0';
	costs->show_calls = vfio_probe_hits(&show_probe) - calls;
}

static void measure(struct costs *costs, unsigned int nr)
{
	int vm = kvm_vm_open(), dev = kvm_vfio_create(vm), *fds;
	unsigned long began;
	unsigned int i;

	fds = calloc(nr, sizeof(*fds));
	VFIO_ASSERT(fds, "calloc");
	costs->files = nr;
	for (i = 0; i < nr; i++) {
		fds[i] = __vfio_cdev_open(&device);
		VFIO_ASSERT(fds[i] >= 0, "open of file %u: %d", i, fds[i]);
	}

	began = cpu_time();
	for (i = 0; i < nr; i++)
		kvm_vfio_add(dev, fds[i]);
	costs->add = (cpu_time() - began) / nr;

	read_fdinfo(costs, dev);

	began = cpu_time();
	for (i = 0; i < nr; i += 4)
		kvm_vfio_del(dev, fds[i]);
	costs->del = (cpu_time() - began) / (nr / 4);

	for (i = 0; i < nr; i++)
		close(fds[i]);
	close_device(costs, dev, nr - nr / 4);
	close(vm);
	free(fds);
	ksft_print_msg("%u files: ADD %lu ns, DEL %lu ns, close %lu ns each\n",
		       nr, costs->add, costs->del, costs->close);
	ksft_print_msg("the close took %lu ms, another thread waited %lu us at most\n",
		       costs->whole_close / NSEC_PER_MSEC, costs->longest_wait / 1000);
}

/* With a walk over what is held, four times the files would cost four times as much each. */
TEST(cost_of_add)
{
	EXPECT_LT(all.add, 2 * few.add);
}

TEST(cost_of_del)
{
	EXPECT_LT(all.del, 2 * few.del);
}

TEST(cost_of_close)
{
	EXPECT_LT(all.close, 2 * few.close);
}

/* The other thread has turns all the time, not just at the end. */
TEST(close_lets_others_run)
{
	if (all.whole_close < 1000 * NSEC_PER_MSEC)
		SKIP(return, "a close takes less than a second");
	EXPECT_LT(all.longest_wait, all.whole_close / 20);
}

static unsigned int count_lines(const char *text, const char *start)
{
	unsigned int nr = 0;

	for (; (text = strstr(text, start)); text++)
		nr++;
	return nr;
}

/*
 * Contract 8.7: the text is whole in one read.  It begins anew in a buffer twice as large
 * until there is room, and a buffer that is full ends it: less than three texts in all.
 */
TEST(fdinfo)
{
	char files[32];

	snprintf(files, sizeof(files), "\nfiles:\t%u\n", all.files);
	EXPECT_NE(NULL, strstr(all.text, files));
	EXPECT_EQ(SHOWN, count_lines(all.text, "\ncdev:\t"));
	EXPECT_EQ(SHOWN, count_lines(all.text, "\nstate:\theld\n"));
	EXPECT_EQ(1U, all.reads);
	EXPECT_LT(all.show_calls, 3 * SHOWN);
	EXPECT_EQ(few.show_calls, all.show_calls);
}

/* Contract 5.4: the unbind would wait for a file that is left. */
TEST(nothing_left)
{
	EXPECT_EQ(0, __sysfs_write("/sys/bus/pci/drivers/vfio-pci/unbind", device.bdf));
	vfio_bind(device.bdf);
	EXPECT_TRUE(vfio_group_is_free(device.group));
}

static struct host_number nr_open = { .path = "/proc/sys/fs/nr_open" };

static void allow_files(unsigned int nr)
{
	struct rlimit limit = { .rlim_cur = nr, .rlim_max = nr };

	if (setrlimit(RLIMIT_NOFILE, &limit))
		VFIO_ASSERT(!__host_number_raise(&nr_open, nr) &&
			    !setrlimit(RLIMIT_NOFILE, &limit), "allow %u files", nr);
}

int main(int argc, char **argv)
{
	unsigned long files = env_number("KVM_VFIO_FILES", FILES);

	vfio_test_init(&device, 1, 1);
	if (vfio_cdev_number(&device) < 0 || access("/dev/vfio/devices", F_OK))
		ksft_exit_skip("no cdev of %s\n", device.bdf);
	VFIO_ASSERT(files / 4 >= SHOWN, "KVM_VFIO_FILES: at least %u", 4 * SHOWN);
	allow_files(files + 100);
	debugfs_mount();
	vfio_probes_set(&show_probe, 1);
	measure(&few, files / 4);
	measure(&all, files);
	vfio_probes_remove();
	host_number_restore(&nr_open);
	return test_harness_run(argc, argv);
}
