// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the code under test needs from the kernel: memory, locks, RCU, files.
 * Every rule that the kernel leaves to lockdep, KASAN or luck is checked here,
 * and breaking one fails the test.
 */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/fault.h>
#include <linux/file.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>

#include "test.h"

#define inc(x)	__atomic_add_fetch(&(x), 1, __ATOMIC_ACQ_REL)
#define dec(x)	__atomic_sub_fetch(&(x), 1, __ATOMIC_ACQ_REL)

/* Messages */

static bool *once_list[16];
static size_t once_nr;

bool shim_once(bool *done)
{
	if (*done)
		return false;
	*done = true;
	once_list[once_nr++] = done;
	return true;
}

void shim_forget_once(void)
{
	while (once_nr)
		*once_list[--once_nr] = false;
}

void __attribute__((no_sanitize("thread")))
shim_copy(char *to, const char *from, size_t size)
{
	while (size--)
		*to++ = *from++;
}

/* Failure injection */

static __thread int fault_at;
static __thread int fault_seen;
static __thread const char *fault_hit;

bool shim_fault(const char *what)
{
	bool fail = fault_at == SHIM_FAULT_ALLOCATIONS ?
		    !strcmp(what, "kzalloc") :
		    fault_at && ++fault_seen == fault_at;

	if (fail)
		fault_hit = what;
	return fail;
}

void shim_fault_arm(int n)
{
	fault_at = n;
	fault_seen = 0;
	fault_hit = NULL;
}

const char *shim_fault_disarm(void)
{
	fault_at = 0;
	return fault_hit;
}

/* Memory */

void (*shim_at_allocation)(void);
static unsigned int live_objects;
static unsigned int allocations, uncharged;

void *kzalloc(size_t size, int flags)
{
	void *ptr;

	shim_step("kzalloc", NULL);
	shim_might_sleep("kzalloc");
	inc(allocations);
	if (!(flags & __GFP_ACCOUNT))
		inc(uncharged);
	if (shim_at_allocation)
		shim_at_allocation();
	if (shim_fault("kzalloc"))
		return NULL;
	ptr = calloc(1, size);
	if (!ptr)
		abort();
	inc(live_objects);
	return ptr;
}

void *shim_kmalloc(size_t size)
{
	void *ptr = kzalloc(size, 0);

	return ptr ? memset(ptr, 0xa5, size) : NULL;
}

void kfree(const void *ptr)
{
	shim_step("kfree", ptr);
	if (ptr)
		dec(live_objects);
	free((void *)ptr);
}

unsigned int shim_live_objects(void)
{
	return live_objects;
}

unsigned int shim_rescheds;
void (*shim_at_resched)(void);
/* Whoever takes this one fails the test. */
struct mutex *shim_forbid;

unsigned int shim_allocations(void)
{
	return allocations;
}

unsigned int shim_uncharged(void)
{
	return uncharged;
}

static const char *bad_addr;
static size_t bad_size;

bool shim_unreadable(const void *addr, size_t size)
{
	const char *from = addr;

	if (shim_fault("copy_from_user"))
		return true;
	return (uintptr_t)addr < 4096 ||
	       (from < bad_addr + bad_size && bad_addr < from + size);
}

void shim_set_unreadable(const void *addr, size_t size)
{
	bad_addr = addr;
	bad_size = size;
}

static unsigned long probes;

/* In the explorer it would be memory that all threads share. */
void shim_count_probe(void)
{
	if (!SHIM_EXPLORING)
		__atomic_add_fetch(&probes, 1, __ATOMIC_RELAXED);
}

unsigned long shim_probes(void)
{
	return probes;
}

/*
 * Locks.  A lock may only be taken under those that come before it here, and
 * not under another one of its own line.
 */
static const char *const lock_order[] = {
	"&kv->lock",
	"&vfio_list_lock",
	"&group->group_lock",
	"&device->dev_set_lock",
	"&group->device_lock",
	"&container->group_lock",
	"&container.lock",	/* of the SPAPR TCE driver, as are the next ones */
	"&shared->lock",
	"&tce_iommu_mms_lock",
	"&tce_mutex",
	"&table->large",
	"&table->lock",
	"&tbl->pools[0].lock",
	"&kvm->lock",
	"&group->kvm_ref_lock",
	"&df->kvm_ref_lock",
};

static __thread struct shim_dep *held[64];
static __thread int nr_held;
static __thread int nr_spinning;
static __thread int rcu_nest;
static __thread unsigned int rcu_index;

static int lock_rank(struct shim_dep *dep)
{
	int rank = shim_load(dep->rank);

	if (rank)
		return rank;
	if (!dep->name)
		bail_out("a lock that is not initialised is taken");
	for (size_t i = 0; i < ARRAY_SIZE(lock_order); i++)
		if (!strcmp(lock_order[i], dep->name))
			rank = i + 1;
	if (!rank)
		bail_out("lock %s has no place in lock_order", dep->name);
	shim_store(dep->rank, rank);
	return rank;
}

void shim_dep_init(struct shim_dep *dep, const char *name, bool spins)
{
	dep->name = name;
	dep->rank = 0;
	dep->spins = spins;
	dep->taken = false;
	dep->waiting = false;
	dep->order = NULL;
}

bool shim_dep_held(const struct shim_dep *dep)
{
	for (int i = 0; i < nr_held; i++)
		if (held[i] == dep)
			return true;
	return false;
}

void shim_dep_acquire(struct shim_dep *dep)
{
	int rank = lock_rank(dep);

	if (shim_dep_held(dep))
		bail_out("%s is taken twice", dep->name);
	if (dep->foreign)
		SHIM_FAIL("%s is taken, which is somebody else's now", dep->name);
	for (int i = 0; i < nr_held; i++)
		if (lock_rank(held[i]) >= rank &&
		    !(dep->order && lock_rank(held[i]) == rank &&
		      dep->order(held[i], dep) < 0))
			SHIM_FAIL("%s is taken under %s", dep->name,
				  held[i]->name);
	if (!dep->spins)
		shim_might_sleep(dep->name);
	shim_yield();
}

void shim_dep_acquired(struct shim_dep *dep)
{
	held[nr_held++] = dep;
	nr_spinning += dep->spins;
}

void shim_dep_release(struct shim_dep *dep)
{
	int i = 0;

	while (i < nr_held && held[i] != dep)
		i++;
	if (i == nr_held)
		bail_out("%s is released but not held", dep->name);
	held[i] = held[--nr_held];
	nr_spinning -= dep->spins;
}

void shim_might_sleep(const char *what)
{
	if (nr_spinning)
		SHIM_FAIL("%s under a spinlock", what);
	if (rcu_nest)
		SHIM_FAIL("%s in an RCU read-side section", what);
}

static __thread unsigned int yield_seed;

void shim_yield_seed(unsigned int seed)
{
	yield_seed = seed;
}

void shim_yield(void)
{
	if (yield_seed && !(rand_r(&yield_seed) & 3))
		sched_yield();
}

/* In the explorer, a thread is one of its own, and no pthread. */
static void lock(pthread_mutex_t *lock, struct shim_dep *dep)
{
	if (SHIM_EXPLORING) {
		shim_step_lock(dep->name, &dep->taken);
	} else {
		WRITE_ONCE(dep->waiting, true);
		pthread_mutex_lock(lock);
		WRITE_ONCE(dep->waiting, false);
	}
	shim_dep_acquired(dep);
}

static void unlock(pthread_mutex_t *lock, struct shim_dep *dep)
{
	shim_dep_release(dep);
	if (SHIM_EXPLORING)
		shim_step_unlock("unlock", &dep->taken);
	else
		pthread_mutex_unlock(lock);
	shim_yield();
}

void shim_mutex_init(struct mutex *m, const char *name)
{
	pthread_mutex_init(&m->lock, NULL);
	shim_dep_init(&m->dep, name, false);
}

void mutex_destroy(struct mutex *m)
{
	if (pthread_mutex_destroy(&m->lock) || m->dep.taken)
		SHIM_FAIL("%s is destroyed while held", m->dep.name);
	shim_dep_init(&m->dep, NULL, false);
}

void mutex_lock(struct mutex *m)
{
	if (m == shim_forbid)
		SHIM_FAIL("%s is waited for", m->dep.name);
	shim_dep_acquire(&m->dep);
	lock(&m->lock, &m->dep);
}

bool shim_mutex_waiting(const struct mutex *m)
{
	return READ_ONCE(m->dep.waiting);
}

__thread unsigned int shim_killed_at;

int mutex_lock_killable(struct mutex *m)
{
	if (shim_killed_at && !--shim_killed_at)
		return -EINTR;
	mutex_lock(m);
	return 0;
}

void mutex_unlock(struct mutex *m)
{
	unlock(&m->lock, &m->dep);
}

void shim_spin_lock_init(spinlock_t *l, const char *name)
{
	shim_step("spin_lock_init", l);
	pthread_mutex_init(&l->lock, NULL);
	shim_dep_init(&l->dep, name, true);
}

void spin_lock(spinlock_t *l)
{
	shim_dep_acquire(&l->dep);
	lock(&l->lock, &l->dep);
}

void spin_unlock(spinlock_t *l)
{
	unlock(&l->lock, &l->dep);
}

/* As RCU, below, but with one lock for all */
static pthread_mutex_t srcu_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t srcu_period_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t srcu_cond = PTHREAD_COND_INITIALIZER;
static __thread struct srcu_struct *in_srcu;
static __thread unsigned int srcu_index;

int srcu_read_lock(struct srcu_struct *s)
{
	if (in_srcu)
		SHIM_FAIL("nested SRCU sections");
	in_srcu = s;
	if (SHIM_EXPLORING) {
		shim_step_enter("srcu_read_lock", s);
		return SHIM_SRCU_INDEX;
	}
	pthread_mutex_lock(&srcu_lock);
	srcu_index = s->periods & 1;
	s->readers[srcu_index]++;
	pthread_mutex_unlock(&srcu_lock);
	return SHIM_SRCU_INDEX;
}

void srcu_read_unlock(struct srcu_struct *s, int index)
{
	if (in_srcu != s || index != SHIM_SRCU_INDEX)
		SHIM_FAIL("an SRCU section ends that did not begin");
	in_srcu = NULL;
	if (SHIM_EXPLORING) {
		shim_step_leave("srcu_read_unlock", s);
		return;
	}
	pthread_mutex_lock(&srcu_lock);
	if (!--s->readers[srcu_index])
		pthread_cond_broadcast(&srcu_cond);
	pthread_mutex_unlock(&srcu_lock);
}

void synchronize_srcu(struct srcu_struct *s)
{
	unsigned int index;

	shim_might_sleep("synchronize_srcu");
	if (in_srcu == s)
		bail_out("an SRCU reader waits for itself");
	if (SHIM_EXPLORING) {
		shim_step_synchronize("synchronize_srcu", s);
		return;
	}
	pthread_mutex_lock(&srcu_period_lock);
	pthread_mutex_lock(&srcu_lock);
	index = s->periods++ & 1;
	WRITE_ONCE(s->waiting, true);
	while (s->readers[index])
		pthread_cond_wait(&srcu_cond, &srcu_lock);
	WRITE_ONCE(s->waiting, false);
	pthread_mutex_unlock(&srcu_lock);
	pthread_mutex_unlock(&srcu_period_lock);
}

bool shim_srcu_waiting(const struct srcu_struct *s)
{
	return READ_ONCE(s->waiting);
}

bool shim_srcu_held(const struct srcu_struct *s)
{
	return in_srcu == s;
}

/*
 * RCU: readers are counted in one of two slots, and a grace period turns new
 * ones to the other slot and waits until its own is empty.
 */
static pthread_mutex_t rcu_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t rcu_period_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t rcu_cond = PTHREAD_COND_INITIALIZER;
static unsigned int rcu_readers[2];
static unsigned int rcu_periods;
static bool rcu_waiting;
void (*shim_rcu_leave)(void);

bool rcu_read_lock_held(void)
{
	return rcu_nest;
}

void rcu_read_lock(void)
{
	if (rcu_nest++)
		return;
	if (SHIM_EXPLORING) {
		shim_step_enter("rcu_read_lock", NULL);
		return;
	}
	pthread_mutex_lock(&rcu_lock);
	rcu_index = rcu_periods & 1;
	rcu_readers[rcu_index]++;
	pthread_mutex_unlock(&rcu_lock);
}

void rcu_read_unlock(void)
{
	if (--rcu_nest)
		return;
	if (shim_rcu_leave)
		shim_rcu_leave();
	if (SHIM_EXPLORING) {
		shim_step_leave("rcu_read_unlock", NULL);
		return;
	}
	pthread_mutex_lock(&rcu_lock);
	if (!--rcu_readers[rcu_index])
		pthread_cond_broadcast(&rcu_cond);
	pthread_mutex_unlock(&rcu_lock);
}

void synchronize_rcu(void)
{
	unsigned int index;

	shim_might_sleep("synchronize_rcu");
	log_event('g');
	if (SHIM_EXPLORING) {
		shim_step_synchronize("synchronize_rcu", NULL);
		return;
	}
	pthread_mutex_lock(&rcu_period_lock);
	pthread_mutex_lock(&rcu_lock);
	index = rcu_periods++ & 1;
	shim_store(rcu_waiting, true);
	while (rcu_readers[index])
		pthread_cond_wait(&rcu_cond, &rcu_lock);
	shim_store(rcu_waiting, false);
	pthread_mutex_unlock(&rcu_lock);
	pthread_mutex_unlock(&rcu_period_lock);
}

bool shim_rcu_waiting(void)
{
	return shim_load(rcu_waiting);
}

/* Files */

static pthread_mutex_t fd_lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *fds[SHIM_FDS];
static int fds_end;
static struct file reserved;
static unsigned int live_files;
static __thread struct file *file_work;

struct file *shim_file(const struct file_operations *f_op, void *private)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		abort();
	file->f_op = f_op;
	file->private_data = private;
	file->f_count = 1;
	if (f_op->owner)
		inc(f_op->owner->refs);
	inc(live_files);
	return file;
}

static struct file *take_file(struct file *file)
{
	if (inc(file->f_count) <= 1)
		SHIM_FAIL("a file without references is taken");
	return file;
}

struct file *get_file(struct file *file)
{
	shim_step("get_file", file);
	return take_file(file);
}

void fput(struct file *file)
{
	int left;

	shim_step("fput", file);
	left = dec(file->f_count);

	if (left < 0)
		SHIM_FAIL("a file without references is put");
	if (left)
		return;
	file->next_work = file_work;
	file_work = file;
}

/* The end of a system call: releases that fput() put off, as task work. */
void shim_return_to_user(void)
{
	struct file *file;

	if (nr_held || rcu_nest)
		bail_out("returns to user space with a lock held");
	while ((file = file_work)) {
		file_work = file->next_work;
		if (file->f_op->release)
			shim_release(file);
		if (file->f_op->owner)
			dec(file->f_op->owner->refs);
		dec(live_files);
		free(file);
	}
	shim_step_call("returns to user space");
}

unsigned int shim_live_files(void)
{
	return live_files;
}

int shim_install(struct file *file)
{
	int fd = 0;

	shim_step("installs an fd", NULL);
	pthread_mutex_lock(&fd_lock);
	while (fd < SHIM_FDS && fds[fd])
		fd++;
	if (fd == SHIM_FDS)
		bail_out("out of fds");
	fds[fd] = file;
	fds_end = max(fds_end, fd + 1);
	pthread_mutex_unlock(&fd_lock);
	return fd;
}

int shim_reserve(void)
{
	return shim_install(&reserved);
}

void shim_install_at(int fd, struct file *file)
{
	shim_step("installs an fd", NULL);
	pthread_mutex_lock(&fd_lock);
	fds[fd] = file;
	pthread_mutex_unlock(&fd_lock);
}

struct file *shim_fd(unsigned int fd)
{
	struct file *file = NULL;

	shim_step("fget", NULL);
	pthread_mutex_lock(&fd_lock);
	if (fd < SHIM_FDS && fds[fd] && fds[fd] != &reserved)
		file = take_file(fds[fd]);
	pthread_mutex_unlock(&fd_lock);
	return file;
}

struct file *shim_fd_of(int fd, const struct file_operations *f_op)
{
	struct file *file = shim_fd(fd);

	if (!file || file->f_op == f_op)
		return file;
	fput(file);
	shim_return_to_user();
	return NULL;
}

struct file *fget(unsigned int fd)
{
	return shim_fault("fget") ? NULL : shim_fd(fd);
}

int shim_dup(int fd)
{
	struct file *file = shim_fd(fd);

	return file ? shim_install(file) : -EBADF;
}

int shim_fds(void)
{
	return fds_end;
}

int shim_close(int fd)
{
	struct file *file = NULL;

	shim_step("close", NULL);
	pthread_mutex_lock(&fd_lock);
	if (fd >= 0 && fd < SHIM_FDS) {
		file = fds[fd];
		fds[fd] = NULL;
	}
	pthread_mutex_unlock(&fd_lock);
	if (!file)
		return -EBADF;
	fput(file);
	shim_return_to_user();
	return 0;
}
