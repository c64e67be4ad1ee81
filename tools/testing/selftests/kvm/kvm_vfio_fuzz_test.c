// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random ioctls: threads, a second process and the host use groups, containers,
 * devices and KVM-VFIO devices at the same time, with valid and invalid arguments,
 * and a model of the contract (lib/vfio_model.c) has to explain every answer.
 *
 * In each round every actor runs a random script, all at the same time.  Each
 * operation is recorded with its begin, end and result.  When all have
 * finished, the model looks for an order of the operations that explains the
 * results.  Then the kernel is asked whether its state is what the model says.
 * After some rounds everything is closed, and nothing may be left.
 *
 * After each round fdinfo of every file is read, whose text must be consistent in itself.
 *
 * File descriptors are fixed numbers ("slots"), and close() is a dup3() of an
 * eventfd over the slot.  So no number is reused without the model's knowledge.
 * A new file is moved into its slot from the number that the kernel chose,
 * which only its own thread knows.  A fork waits until no thread has such a
 * number, so the child has slots only.
 *
 *	FUZZ_S=SECONDS		how long to run (60)
 *	KVM_VFIO_SEED=N		repeats the scripts; how they mix is up to the scheduler
 *	KVM_VFIO_ROUND=N	begins with that round, or with the one before it after
 *				which everything was closed
 *	KVM_VFIO_ROUNDS=N	ends after so many rounds
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "vfio_model.h"
#include "vfio_show.h"
#include "vfio_util.h"

#define FIRST_FD	200
#define MIN_SECONDS	60	/* shorter runs may miss results of operations */
#define STUCK_SECONDS	120
#define EPOCH_ROUNDS	16
#define BUFFER_SIZE	(64 * 1024UL)
#define BAD_ADDRESSES	4
#define ALL_SLOTS	((1U << SLOTS) - 1)

/* Seen by all processes. */
struct shared {
	uint64_t clock;
	pid_t child;
	int priority[ACTOR_CHILD];
	struct op_list lists[ACTORS];
};

static struct vfio_test_device devices[MODEL_GROUPS];
static struct shared *shared;
static int vms[MODEL_VMS];
static int tables[MODEL_VMS][2];	/* POWER: one that may match, one not */
static void *buffer;
static void *bad_address[BAD_ADDRESSES];
static pthread_barrier_t start;
static pthread_rwlock_t fork_lock = PTHREAD_RWLOCK_INITIALIZER;
static bool in_child;
static int host_sock;
static unsigned long long seed;
static unsigned long round_nr;
static int kmsg;
static unsigned int splats;
static unsigned long reads;	/* of fdinfo */
static bool reads_right = true;
static unsigned long total[OP_KINDS][2];	/* failed, succeeded */

/*
 * Random numbers.  A round depends only on the seed and on the number of the
 * round.
 */
static uint64_t random_state;

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static unsigned int random_below(unsigned int limit)
{
	random_state += 0x9e3779b97f4a7c15ULL;
	return (mix(random_state) >> 32) % limit;
}

static bool one_in(unsigned int n)
{
	return !random_below(n);
}

static uint64_t tick(void)
{
	return __atomic_add_fetch(&shared->clock, 1, __ATOMIC_SEQ_CST);
}

/* Running an operation */
static int slot_fd(unsigned int slot)
{
	return FIRST_FD + slot;
}

static int result_of(int ret)
{
	return ret < 0 ? -errno : ret;
}

static int place(int fd, unsigned int slot)
{
	if (fd < 0)
		return fd;
	VFIO_ASSERT(dup3(fd, slot_fd(slot), O_CLOEXEC) >= 0, "dup3");
	close(fd);
	return 0;
}

static int run_create(const struct op *op)
{
	struct kvm_create_device create = {
		.type = op->variant == CREATE_TYPE ? 0x7f : KVM_DEV_TYPE_VFIO,
		.flags = op->variant == CREATE_TEST ? KVM_CREATE_DEVICE_TEST :
			op->variant == CREATE_FLAG ? 0x80000000 : 0,
	};
	int ret = result_of(ioctl(vms[op->n], KVM_CREATE_DEVICE, &create));

	if (ret || op->variant == CREATE_TEST)
		return ret;
	return place(create.fd, op->to);
}

static int run_get_device(const struct op *op)
{
	void *name = devices[op->n].bdf;

	if (op->variant == DEVICE_NO_NAME)
		name = "ffff:1f:1f.7";
	if (op->variant == DEVICE_ADDRESS)
		name = bad_address[op->address];
	return place(result_of(ioctl(slot_fd(op->a), VFIO_GROUP_GET_DEVICE_FD,
				     name)), op->to);
}

/* Operations that make a file; not while another thread forks */
static int run_opener(const struct op *op)
{
	int ret;

	if (!in_child)
		pthread_rwlock_rdlock(&fork_lock);
	switch (op->kind) {
	case OP_OPEN_GROUP:
		ret = place(__vfio_group_open(devices[op->n].group), op->to);
		break;
	case OP_OPEN_CONTAINER:
		ret = place(vfio_container_open(), op->to);
		break;
	case OP_CREATE:
		ret = run_create(op);
		break;
	default:
		ret = run_get_device(op);
	}
	if (!in_child)
		pthread_rwlock_unlock(&fork_lock);
	return ret;
}

static int run_status(const struct op *op)
{
	struct vfio_group_status status = {
		.argsz = op->variant == STATUS_SHORT ? 4 : sizeof(status),
	};
	void *arg = op->variant == STATUS_ADDRESS ? bad_address[op->address] :
		&status;
	int ret = result_of(ioctl(slot_fd(op->a), VFIO_GROUP_GET_STATUS, arg));

	return ret ? ret : (int)status.flags;
}

static int run_set_container(const struct op *op)
{
	int fd = slot_fd(op->b);

	return result_of(ioctl(slot_fd(op->a), VFIO_GROUP_SET_CONTAINER,
			       op->variant ? bad_address[op->address] : &fd));
}

static int run_device_info(const struct op *op)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return result_of(ioctl(slot_fd(op->a), VFIO_DEVICE_GET_INFO, &info));
}

/*
 * On POWER memory must be registered before it is mapped; done while all is
 * quiet.
 */
static int run_map(const struct op *op)
{
	int fd = slot_fd(op->a), ret;

#ifdef __KVM_HAVE_SPAPR_TCE
	int unregister;

	ret = __vfio_memory_register(fd, buffer, BUFFER_SIZE);
	if (ret)
		return ret;
	ret = __vfio_dma_map(fd, buffer, VFIO_TEST_IOVA, BUFFER_SIZE);
	if (!ret)
		ret = __vfio_dma_unmap(fd, VFIO_TEST_IOVA, BUFFER_SIZE);
	unregister = __vfio_memory_unregister(fd, buffer, BUFFER_SIZE);
	if (!ret)
		ret = unregister;
#else
	ret = op->kind == OP_MAP ?
		__vfio_dma_map(fd, buffer, VFIO_TEST_IOVA, BUFFER_SIZE) :
		__vfio_dma_unmap(fd, VFIO_TEST_IOVA, BUFFER_SIZE);
#endif
	return ret;
}

static int run_member(const struct op *op)
{
	unsigned long attr = op->kind == OP_ADD ? KVM_DEV_VFIO_GROUP_ADD :
		KVM_DEV_VFIO_GROUP_DEL;
	int32_t fd = slot_fd(op->b);
	void *arg = &fd;

	if (op->variant == MEMBER_ATTR_ADDRESS)
		return result_of(ioctl(slot_fd(op->a), KVM_SET_DEVICE_ATTR,
				       bad_address[op->address]));
	if (op->variant == MEMBER_ADDRESS)
		arg = bad_address[op->address];
	return __kvm_vfio_set_attr(slot_fd(op->a), KVM_DEV_VFIO_GROUP, attr, arg);
}

static int run_attr(const struct op *op)
{
	int32_t fd = slot_fd(SLOT_GROUP);
	int dev = slot_fd(op->a);

	switch (op->variant) {
	case ATTR_SET_GROUP:
		return __kvm_vfio_set_attr(dev, KVM_DEV_VFIO_GROUP + 1,
					   KVM_DEV_VFIO_GROUP_ADD, &fd);
	case ATTR_SET_ATTR:
		return __kvm_vfio_set_attr(dev, KVM_DEV_VFIO_GROUP, 0, &fd);
	case ATTR_HAS_ADD:
		return __kvm_vfio_has_attr(dev, KVM_DEV_VFIO_GROUP,
					   KVM_DEV_VFIO_GROUP_ADD);
	case ATTR_HAS_DEL:
		return __kvm_vfio_has_attr(dev, KVM_DEV_VFIO_GROUP,
					   KVM_DEV_VFIO_GROUP_DEL);
	case ATTR_HAS_TCE:
		return __kvm_vfio_has_attr(dev, KVM_DEV_VFIO_GROUP,
					   KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE);
	case ATTR_HAS_OTHER:
		return __kvm_vfio_has_attr(dev, KVM_DEV_VFIO_GROUP, 1ULL << 32 | 1);
	default:
		return __kvm_vfio_get_attr(dev, KVM_DEV_VFIO_GROUP,
					   KVM_DEV_VFIO_GROUP_ADD, &fd);
	}
}

/* @n is the VM whose device is in the slot, as far as the script knows. */
static int run_set_tce(const struct op *op)
{
	struct kvm_vfio_spapr_tce tce = {
		.groupfd = slot_fd(op->b),
		.tablefd = tables[op->n][0],
	};
	void *arg = op->variant == TCE_ADDRESS ? bad_address[op->address] : &tce;

	if (op->variant == TCE_NO_MATCH)
		tce.tablefd = tables[op->n][1];
	else if (op->variant == TCE_OTHER_VM)
		tce.tablefd = tables[!op->n][0];
	else if (op->variant == TCE_CLOSED)
		tce.tablefd = slot_fd(FD_NONE);
	else if (op->variant == TCE_EVENT)
		tce.tablefd = slot_fd(FD_EVENT);
	return __kvm_vfio_set_attr(slot_fd(op->a), KVM_DEV_VFIO_GROUP,
				   KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, arg);
}

static void run_list(unsigned int actor);

static int run_fork(void)
{
	pid_t pid;

	pthread_rwlock_wrlock(&fork_lock);
	pid = fork();
	if (!pid) {
		in_child = true;
		run_list(ACTOR_CHILD);
		_exit(0);
	}
	shared->child = pid;
	pthread_rwlock_unlock(&fork_lock);
	return result_of(pid) < 0 ? -errno : 0;
}

static int run_host(const struct op *op)
{
	const char *path = op->kind == OP_UNBIND ?
		"/sys/bus/pci/drivers/vfio-pci/unbind" : "/sys/bus/pci/drivers_probe";

	return __sysfs_write(path, devices[op->n].bdf);
}

static int run_op(const struct op *op)
{
	switch (op->kind) {
	case OP_CLOSE:
	case OP_DUP:
		return result_of(dup3(slot_fd(op->a), slot_fd(op->to), O_CLOEXEC)) < 0 ?
			-errno : 0;
	case OP_SET_CONTAINER:
		return run_set_container(op);
	case OP_SET_IOMMU:
		return result_of(ioctl(slot_fd(op->a), VFIO_SET_IOMMU, op->variant ?
				       0x7f : VFIO_TEST_IOMMU_TYPE));
	case OP_UNSET:
		return __vfio_group_unset_container(slot_fd(op->a));
	case OP_STATUS:
		return run_status(op);
	case OP_DEVICE_INFO:
		return run_device_info(op);
	case OP_MAP:
	case OP_UNMAP:
		return run_map(op);
	case OP_ADD:
	case OP_DEL:
		return run_member(op);
	case OP_ATTR:
		return run_attr(op);
	case OP_SET_TCE:
		return run_set_tce(op);
	case OP_FORK:
		return run_fork();
	case OP_KILL:
		return result_of(kill(shared->child, SIGKILL));
	case OP_UNBIND:
	case OP_REBIND:
		return run_host(op);
	default:
		return run_opener(op);
	}
}

/*
 * Gives the other actors some time.  On one CPU, a thread of higher priority
 * that wakes up interrupts an operation in the middle.
 */
static void spin(unsigned int n)
{
	struct timespec ts = { .tv_nsec = n };
	unsigned int i;

	if (n % 4 == 0) {
		nanosleep(&ts, NULL);
	} else if (n % 4 == 1) {
		sched_yield();
	} else {
		for (i = 0; i < n % 4096; i++)
			__asm__ __volatile__("" : : : "memory");
	}
}

/* A result counts only once it is recorded. */
static void run_one(struct op *op)
{
	spin(op->spin);
	__atomic_store_n(&op->inv, tick(), __ATOMIC_SEQ_CST);
	if (op->kind == OP_EXIT)
		return;
	op->result = run_op(op);
	__atomic_store_n(&op->resp, tick(), __ATOMIC_SEQ_CST);
}

static void run_list(unsigned int actor)
{
	struct op_list *list = &shared->lists[actor];
	unsigned int i;

	for (i = 0; i < list->nr; i++)
		run_one(&list->op[i]);
}

/* The host: a process that has none of the files open */
static void host_serve(int sock)
{
	char byte;

	while (read(sock, &byte, 1) == 1) {
		run_list(ACTOR_HOST);
		if (write(sock, &byte, 1) != 1)
			break;
	}
}

static void host_start(void)
{
	int socks[2];
	pid_t pid;

	VFIO_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks),
		    "socketpair");
	pid = fork();
	VFIO_ASSERT(pid >= 0, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		VFIO_ASSERT(dup2(socks[1], 3) == 3, "dup2");
		close_range(4, ~0U, 0);
		host_serve(3);
		_exit(KSFT_PASS);
	}
	close(socks[1]);
	host_sock = socks[0];
}

static void host_begin(void)
{
	VFIO_ASSERT(write(host_sock, "", 1) == 1, "ask the host");
}

static void host_wait(void)
{
	char byte;

	VFIO_ASSERT(read(host_sock, &byte, 1) == 1, "the host is gone");
}

/*
 * What fdinfo tells, read between rounds: a read keeps the file open, as an fd does that
 * the model does not know of.
 */
static bool read_one(int fd)
{
	static struct vfio_show show;
	const char *wrong;
	char path[96];
	int ret;

	vfio_show_path(fd, path, sizeof(path));
	ret = __vfio_show_file(path, &show);
	if (ret == -ENODATA || ret == -ENOENT)
		return true;	/* another kind of file */
	reads++;
	wrong = ret ? strerror(-ret) : vfio_show_wrong(&show);
	if (wrong)
		ksft_print_msg("%s: %s\n", path, wrong);
	return !wrong;
}

static bool read_all_fds(void)
{
	bool ok = true;
	unsigned int i;

	for (i = 0; i <= FD_EVENT; i++)
		ok &= read_one(slot_fd(i));
	return ok;
}

/*
 * Scripts
 */
static const uint8_t weights[OP_KINDS] = {
	[OP_OPEN_GROUP] = 10, [OP_OPEN_CONTAINER] = 3, [OP_CREATE] = 8,
	[OP_GET_DEVICE] = 4, [OP_CLOSE] = 6, [OP_DUP] = 4,
	[OP_SET_CONTAINER] = 14, [OP_SET_IOMMU] = 9, [OP_UNSET] = 7,
	[OP_STATUS] = 3, [OP_DEVICE_INFO] = 3, [OP_MAP] = 2, [OP_UNMAP] = 1,
	[OP_ADD] = 20, [OP_DEL] = 9, [OP_ATTR] = 2, [OP_SET_TCE] = 3,
};

static unsigned int random_kind(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < OP_KINDS; i++)
		n += weights[i];
	n = random_below(n);
	for (i = 0; n >= weights[i]; i++)
		n -= weights[i];
	return i;
}

static const struct {
	uint8_t first, nr;
} slots_of[] = {
	[SLOT_GROUP] = { SLOT_GROUP, SLOT_CONTAINER - SLOT_GROUP },
	[SLOT_CONTAINER] = { SLOT_CONTAINER, SLOT_KVM_VFIO - SLOT_CONTAINER },
	[SLOT_KVM_VFIO] = { SLOT_KVM_VFIO, SLOT_DEVICE - SLOT_KVM_VFIO },
	[SLOT_DEVICE] = { SLOT_DEVICE, SLOTS - SLOT_DEVICE },
};

static unsigned int random_slot(unsigned int class)
{
	return slots_of[class].first + random_below(slots_of[class].nr);
}

/* Sometimes any fd at all */
static unsigned int random_fd(unsigned int class, bool wild)
{
	return wild && one_in(12) ? random_below(FD_MAX) : random_slot(class);
}

static unsigned int class_of(unsigned int slot)
{
	unsigned int class = SLOT_GROUP, i;

	for (i = 0; i < ARRAY_SIZE(slots_of); i++)
		if (slots_of[i].nr && slot >= slots_of[i].first)
			class = i;
	return class;
}

static unsigned int random_variant(unsigned int nr)
{
	return one_in(8) ? random_below(nr) : 0;
}

/* The operation that opens a kind of file first */
static unsigned int class_of_a(unsigned int kind)
{
	switch (kind) {
	case OP_SET_IOMMU:
	case OP_MAP:
	case OP_UNMAP:
		return SLOT_CONTAINER;
	case OP_ADD:
	case OP_DEL:
	case OP_ATTR:
	case OP_SET_TCE:
		return SLOT_KVM_VFIO;
	case OP_DEVICE_INFO:
		return SLOT_DEVICE;
	default:
		return SLOT_GROUP;
	}
}

static unsigned int class_of_to(unsigned int kind)
{
	switch (kind) {
	case OP_OPEN_CONTAINER:
		return SLOT_CONTAINER;
	case OP_CREATE:
		return SLOT_KVM_VFIO;
	case OP_GET_DEVICE:
		return SLOT_DEVICE;
	default:
		return SLOT_GROUP;
	}
}

static unsigned int variants_of(unsigned int kind)
{
	switch (kind) {
	case OP_CREATE:
		return CREATE_VARIANTS;
	case OP_GET_DEVICE:
		return DEVICE_VARIANTS;
	case OP_STATUS:
		return STATUS_VARIANTS;
	case OP_ADD:
	case OP_DEL:
		return MEMBER_VARIANTS;
	case OP_SET_CONTAINER:
	case OP_SET_IOMMU:
		return 2;
	default:
		return 1;
	}
}

static void script_slots(struct op *op)
{
	if (op->kind != OP_CLOSE && op->kind != OP_DUP) {
		op->to = random_slot(class_of_to(op->kind));
		return;
	}
	op->to = random_below(SLOTS);
	op->a = FD_EVENT;
	if (op->kind == OP_CLOSE)
		return;
	op->a = one_in(8) ? FD_NONE : random_slot(class_of(op->to));
	if (op->a == op->to)
		op->a = FD_EVENT;
}

static struct op *script(unsigned int actor, unsigned int kind)
{
	struct op_list *list = &shared->lists[actor];
	struct op *op = &list->op[list->nr++];

	VFIO_ASSERT(list->nr <= MODEL_OPS, "too many operations");
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	op->table = actor == ACTOR_CHILD;
	op->spin = one_in(2) ? random_below(1000) : random_below(200000);
	return op;
}

/*
 * MAP_DMA has the number of another ioctl of devices, so it is never done on a
 * device.  In a container on POWER another process gets EPERM for everything,
 * so the child does not use containers there.
 */
static void script_any(unsigned int actor)
{
	unsigned int kind = random_kind();
	bool child = actor == ACTOR_CHILD;
	struct op *op;

	while ((child && (kind == OP_SET_IOMMU || kind == OP_MAP)) ||
	       (HAVE_TCE &&
		(kind == OP_MAP || kind == OP_UNMAP)))
		kind = random_kind();
	op = script(actor, kind);
	op->n = random_below(2);
	op->a = random_fd(class_of_a(kind), !child && kind != OP_MAP &&
			  kind != OP_UNMAP);
	op->b = random_fd(kind == OP_SET_CONTAINER ? SLOT_CONTAINER : SLOT_GROUP,
			  true);
	op->variant = random_variant(variants_of(kind));
	if (kind == OP_ATTR)
		op->variant = random_below(ATTR_VARIANTS);
	if (kind == OP_SET_TCE)
		op->variant = random_below(TCE_VARIANTS);
	op->address = random_below(BAD_ADDRESSES);
	script_slots(op);
}

static void script_many(unsigned int actor, unsigned int nr)
{
	while (nr--)
		script_any(actor);
}

/* The usual steps of a VMM: random operations would rarely get that far. */
static void script_vmm(unsigned int actor)
{
	unsigned int group = random_slot(SLOT_GROUP), n = random_below(MODEL_GROUPS);
	unsigned int container = random_slot(SLOT_CONTAINER);
	unsigned int dev = random_slot(SLOT_KVM_VFIO);
	struct op *op = script(actor, OP_OPEN_GROUP);

	op->n = n;
	op->to = group;
	op = script(actor, OP_SET_CONTAINER);
	op->a = group;
	op->b = container;
	script(actor, OP_SET_IOMMU)->a = container;
	op = script(actor, OP_ADD);
	op->a = dev;
	op->b = group;
	op = script(actor, one_in(2) ? OP_SET_TCE : OP_GET_DEVICE);
	op->a = op->kind == OP_SET_TCE ? dev : group;
	op->b = group;
	op->n = n;
	op->to = random_slot(SLOT_DEVICE);
}

static void script_fork(unsigned int actor)
{
	script(actor, OP_FORK);
	script_many(ACTOR_CHILD, 1 + random_below(2));
	script(ACTOR_CHILD, OP_EXIT)->variant = EXIT_SELF;
	if (one_in(2))
		return;
	script_many(actor, random_below(2));
	script(actor, OP_KILL);
}

static void script_host(void)
{
	unsigned int n = random_below(MODEL_GROUPS);

	if (!one_in(4))
		script(ACTOR_HOST, OP_UNBIND)->n = n;
	if (!one_in(4))
		script(ACTOR_HOST, OP_REBIND)->n = n;
}

static void script_round(void)
{
	unsigned int i, nr = 2 + random_below(3);

	memset(shared->lists, 0, sizeof(shared->lists));
	for (i = 0; i < nr; i++) {
		shared->priority[i] = 1 + random_below(4);
		script_many(ACTOR_WORKER + i, 1 + random_below(3));
		if (!i && one_in(6))
			script_fork(ACTOR_WORKER);
		if (one_in(4))
			script_vmm(ACTOR_WORKER + i);
		script_many(ACTOR_WORKER + i, 1 + random_below(3));
	}
	if (one_in(10))
		script_host();
}

/*
 * Rounds
 */
static void report(void)
{
	unsigned int actor, i;

	fprintf(stderr, "# KVM_VFIO_SEED=%llu KVM_VFIO_ROUND=%lu:\n", seed, round_nr);
	for (actor = 0; actor < ACTORS; actor++)
		for (i = 0; i < shared->lists[actor].nr; i++)
			op_print(actor, &shared->lists[actor].op[i]);
	model_print();
}

static void on_alarm(int sig)
{
	(void)sig;
	fprintf(stderr, "# a round does not end\n");
	report();
	_exit(KSFT_FAIL);
}

static void *worker(void *arg)
{
	struct sched_param param = { .sched_priority =
		shared->priority[(uintptr_t)arg] };

	pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
	pthread_barrier_wait(&start);
	run_list((uintptr_t)arg);
	return NULL;
}

/* A child that was killed ended after the last operation that it recorded. */
static void reap_child(void)
{
	struct op_list *list = &shared->lists[ACTOR_CHILD];
	struct op *exit = &list->op[list->nr - 1];
	uint64_t last = 0;
	unsigned int i;
	int status;

	VFIO_ASSERT(waitpid(shared->child, &status, 0) == shared->child, "waitpid");
	exit->resp = tick();
	if (exit->inv)
		return;
	exit->variant = 0;
	for (i = 0; i < shared->lists[ACTOR_WORKER].nr; i++)
		if (shared->lists[ACTOR_WORKER].op[i].kind == OP_KILL)
			last = shared->lists[ACTOR_WORKER].op[i].inv;
	for (i = 0; i < list->nr - 1; i++) {
		if (list->op[i].inv > last)
			last = list->op[i].inv;
		if (list->op[i].resp > last)
			last = list->op[i].resp;
	}
	VFIO_ASSERT(last && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		    "the child ends with status %x", status);
	exit->inv = last;
}

/* The host waits until the device is closed, which nobody else does now. */
static void close_devices(void)
{
	unsigned int slot;
	struct op *op;

	for (slot = SLOT_DEVICE; slot < SLOTS; slot++) {
		op = script(ACTOR_MAIN, OP_CLOSE);
		op->a = FD_EVENT;
		op->to = slot;
		op->spin = 1;
		run_one(op);
	}
}

static void run_round(void)
{
	bool host = shared->lists[ACTOR_HOST].nr;
	pthread_t threads[ACTOR_CHILD];
	unsigned int i;

	shared->clock = 0;
	shared->child = 0;
	for (i = 0; i < ACTOR_CHILD; i++)
		VFIO_ASSERT(!pthread_create(&threads[i], NULL, worker,
					    (void *)(uintptr_t)i),
			    "pthread_create");
	pthread_barrier_wait(&start);
	if (host)
		host_begin();
	for (i = 0; i < ACTOR_CHILD; i++)
		pthread_join(threads[i], NULL);
	if (shared->child)
		reap_child();
	if (host) {
		close_devices();
		host_wait();
	}
}

static void count(void)
{
	const struct op *op;
	unsigned int actor, i;

	for (actor = 0; actor < ACTORS; actor++)
		for (i = 0; i < shared->lists[actor].nr; i++) {
			op = &shared->lists[actor].op[i];
			if (op->resp)
				total[op->kind][op->result >= 0]++;
		}
}

static bool explain(void)
{
	count();
	if (model_explain(shared->lists))
		return true;
	report();
	return false;
}

/* Probes: is each statement of the model about the current state true? */
static struct op *probe_op(unsigned int kind, unsigned int a, unsigned int b)
{
	struct op *op;

	memset(shared->lists, 0, sizeof(shared->lists));
	op = script(ACTOR_MAIN, kind);
	op->spin = 1;
	op->a = a;
	op->b = b;
	return op;
}

static bool probe_run(struct op *op)
{
	shared->clock = 0;
	if (op->kind == OP_UNBIND || op->kind == OP_REBIND) {
		shared->lists[ACTOR_HOST] = shared->lists[ACTOR_MAIN];
		shared->lists[ACTOR_MAIN].nr = 0;
		host_begin();
		host_wait();
	} else {
		run_one(op);
	}
	return explain();
}

static bool probe(unsigned int kind, unsigned int a, unsigned int b)
{
	return probe_run(probe_op(kind, a, b));
}

static bool probe_close(unsigned int slot)
{
	struct op *op = probe_op(OP_CLOSE, FD_EVENT, 0);

	op->to = slot;
	return probe_run(op);
}

/* A free slot, if there is one */
static bool free_slot(unsigned int class, uint8_t *slot)
{
	for (*slot = slots_of[class].first;
	     *slot < slots_of[class].first + slots_of[class].nr; (*slot)++)
		if (!model_slot_used(*slot))
			return true;
	return false;
}

/* An open that has to fail; one that succeeds is undone. */
static bool probe_open(unsigned int kind, unsigned int n)
{
	struct op *op = probe_op(kind, 0, 0);
	bool works;

	op->n = n;
	works = !model_predict(op);
	if (!free_slot(class_of_to(kind), &op->to) && works)
		return true;
	return probe_run(op) && (!works || probe_close(op->to));
}

static bool probe_member(unsigned int dev, unsigned int group)
{
	struct op *op = probe_op(OP_ADD, dev, group);
	bool works = !model_predict(op);

	return probe_run(op) && (!works || probe(OP_DEL, dev, group));
}

static bool probe_unset(unsigned int group)
{
	struct op *op = probe_op(OP_UNSET, group, 0);

	return (!model_predict(op) && !one_in(4)) || probe_run(op);
}

static bool probe_map(unsigned int container)
{
	struct op *op = probe_op(OP_MAP, container, 0);

	if (!probe_run(op))
		return false;
	return HAVE_TCE ||
		probe(OP_UNMAP, container, 0);
}

static bool probe_all(void)
{
	unsigned int i, dev;
	bool ok = true;

	for (i = 0; i < MODEL_GROUPS; i++)
		ok = ok && probe_open(OP_OPEN_GROUP, i) && probe_open(OP_CREATE, i);
	for (i = SLOT_GROUP; i < SLOT_CONTAINER; i++) {
		if (!model_slot_used(i))
			continue;
		ok = ok && probe(OP_STATUS, i, 0) && probe_unset(i);
		for (dev = SLOT_KVM_VFIO; dev < SLOT_DEVICE; dev++)
			if (model_slot_used(dev))
				ok = ok && probe_member(dev, i);
	}
	for (i = SLOT_CONTAINER; i < SLOT_KVM_VFIO; i++)
		if (model_slot_used(i))
			ok = ok && probe_map(i);
	return ok;
}

/* Epochs: each begins with new files only, and leaves nothing behind */
#ifdef __KVM_HAVE_SPAPR_TCE
static int table_open(int vm, uint64_t offset, unsigned int liobn)
{
	struct kvm_create_spapr_tce_64 args = {
		.liobn = liobn,
		.page_shift = 16,
		.offset = offset,
		.size = 16,
	};
	int fd = ioctl(vm, KVM_CREATE_SPAPR_TCE_64, &args);

	VFIO_ASSERT(fd >= 0, "KVM_CREATE_SPAPR_TCE_64");
	return fd;
}

static void tables_open(unsigned int i)
{
	tables[i][0] = table_open(vms[i], 0, 0x80000001);
	tables[i][1] = table_open(vms[i], 1ULL << 44, 0x80000002);
}

static void tables_close(unsigned int i)
{
	close(tables[i][0]);
	close(tables[i][1]);
}
#else
static void tables_open(unsigned int i)
{
	tables[i][0] = slot_fd(FD_EVENT);
	tables[i][1] = slot_fd(FD_EVENT);
}

static void tables_close(unsigned int i)
{
	(void)i;
}
#endif

static bool set_up_group(unsigned int n)
{
	struct op *op = probe_op(OP_OPEN_GROUP, 0, 0);

	op->n = n;
	op->to = SLOT_GROUP + n;
	return probe_run(op) &&
		probe(OP_SET_CONTAINER, SLOT_GROUP + n, SLOT_CONTAINER) &&
		(n || probe(OP_SET_IOMMU, SLOT_CONTAINER, 0)) &&
		probe(OP_ADD, SLOT_KVM_VFIO, SLOT_GROUP + n);
}

/* State that random operations would rarely reach */
static bool set_up(void)
{
	struct op *op = probe_op(OP_OPEN_CONTAINER, 0, 0);
	unsigned int i;
	bool ok;

	op->to = SLOT_CONTAINER;
	ok = probe_run(op);
	op = probe_op(OP_CREATE, 0, 0);
	op->to = SLOT_KVM_VFIO;
	ok = ok && probe_run(op);
	for (i = 0; i < MODEL_GROUPS; i++)
		ok = ok && set_up_group(i);
	return ok;
}

static bool epoch_begin(void)
{
	unsigned int i;

	for (i = 0; i < MODEL_VMS; i++) {
		vms[i] = kvm_vm_open();
		tables_open(i);
	}
	model_reset();
	random_state = mix(seed) ^ mix(~round_nr);
	return one_in(4) || set_up();
}

static bool close_slots(unsigned int slots)
{
	unsigned int slot;

	while (slots) {
		do
			slot = random_below(SLOTS);
		while (!(slots >> slot & 1));
		slots &= ~(1U << slot);
		if (!probe_close(slot))
			return false;
	}
	return true;
}

static bool probe_host(unsigned int kind, unsigned int n)
{
	struct op *op = probe_op(kind, 0, 0);

	op->n = n;
	return probe_run(op);
}

static bool host_rebinds(void)
{
	unsigned int i;
	bool ok = true;

	for (i = 0; i < MODEL_GROUPS; i++)
		ok = ok && probe_host(OP_REBIND, i);
	return ok;
}

/* Nothing is open: both kinds of unbind, after which all groups are back. */
static bool host_gives_back(void)
{
	unsigned int i = random_below(MODEL_GROUPS);

	return probe_host(OP_UNBIND, i) && probe_host(OP_UNBIND, i) &&
	       host_rebinds();
}

/*
 * KVM keeps vfio.ko only while a device has members.  Delete the members that
 * have an fd, close all but the KVM-VFIO devices, and count the uses of
 * vfio.ko.  Bound devices use it as well, as they did at the start.
 */
static bool no_members(const struct vfio_refs *refs_before)
{
	unsigned int dev, group, kvm = 7U << SLOT_KVM_VFIO;

	for (dev = SLOT_KVM_VFIO; dev < SLOT_DEVICE; dev++)
		for (group = SLOT_GROUP; group < SLOT_CONTAINER; group++)
			if (!probe(OP_DEL, dev, group))
				return false;
	if (!close_slots(ALL_SLOTS & ~kvm) || !host_rebinds())
		return false;
	if (!model_idle() || module_refcnt("vfio") == refs_before->count[VFIO_REFS_VFIO])
		return close_slots(kvm);
	ksft_print_msg("devices without members use vfio.ko: %d, was %d\n",
		       module_refcnt("vfio"), refs_before->count[VFIO_REFS_VFIO]);
	report();
	return false;
}

static bool epoch_end(const struct vfio_refs *refs_before, long locked_before)
{
	bool vms_first = one_in(2), ok;
	struct vfio_refs refs;
	unsigned int i;

	for (i = 0; i < MODEL_VMS && vms_first; i++)
		close(vms[i]);
	ok = one_in(2) ? close_slots(ALL_SLOTS) : no_members(refs_before);
	ok = ok && host_gives_back();
	for (i = 0; i < MODEL_VMS; i++) {
		tables_close(i);
		if (!vms_first)
			close(vms[i]);
	}
	if (!ok)
		return false;
	VFIO_ASSERT(model_empty(), "the model has files open");
	splats += kmsg_splats(kmsg);
	vfio_refs_read(&refs);
	ok = vfio_refs_equal(refs_before, &refs) && !splats;
	if (locked_kib() != locked_before) {
		ok = false;
		ksft_print_msg("VmLck: %ld, was %ld\n", locked_kib(), locked_before);
	}
	if (!ok)
		report();
	return ok;
}

/*
 * Everything
 */
static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

static bool one_round(void)
{
	random_state = mix(seed) ^ mix(round_nr);
	script_round();
	alarm(STUCK_SECONDS);
	run_round();
	reads_right &= read_all_fds();
	return explain() && probe_all();
}

static bool may_fail(unsigned int kind)
{
	return kind != OP_OPEN_CONTAINER && kind != OP_CLOSE && kind != OP_FORK &&
		kind != OP_KILL && kind != OP_EXIT && kind != OP_REBIND;
}

static bool may_succeed(unsigned int kind)
{
#ifdef __KVM_HAVE_SPAPR_TCE
	return kind != OP_UNMAP;	/* part of OP_MAP */
#else
	return kind != OP_SET_TCE;
#endif
}

/* Every operation has succeeded and failed. */
static bool all_ways(void)
{
	unsigned int i;

	for (i = 0; i < OP_KINDS; i++) {
		if (!may_succeed(i))
			continue;
		if (!total[i][1] || (may_fail(i) && !total[i][0]))
			return false;
	}
	return true;
}

static void print_ways(unsigned long rounds)
{
	unsigned long sum[2] = { 0 };
	unsigned int i;

	for (i = 0; i < OP_KINDS; i++) {
		ksft_print_msg("%-16s %8lu succeeded %8lu failed\n", op_names[i],
			       total[i][1], total[i][0]);
		sum[0] += total[i][0];
		sum[1] += total[i][1];
	}
	ksft_print_msg("counts: %lu rounds, %lu operations succeeded, %lu failed, %lu reads\n",
		       rounds, sum[1], sum[0], reads);
}

/*
 * A machine with sanitizers on a busy host does few rounds in a minute: what has not come
 * by then has as much time again.
 */
static bool goes_on(uint64_t end, unsigned long seconds)
{
	uint64_t now = now_ms();

	return now < end ||
	       (seconds >= MIN_SECONDS && now < end + seconds * 1000ULL && !all_ways());
}

static bool fuzz(unsigned long seconds, unsigned long *rounds)
{
	unsigned long most = env_number("KVM_VFIO_ROUNDS", ~0UL);
	uint64_t end = now_ms() + seconds * 1000ULL;
	struct vfio_refs refs;
	long locked = locked_kib();
	unsigned int i;

	vfio_refs_read(&refs);
	for (*rounds = 0; *rounds < most && goes_on(end, seconds);) {
		if (!epoch_begin())
			return false;
		for (i = 0; i < EPOCH_ROUNDS && *rounds < most && goes_on(end, seconds); i++) {
			if (!one_round())
				return false;
			round_nr++;
			(*rounds)++;
		}
		if (!epoch_end(&refs, locked))
			return false;
	}
	alarm(0);
	return true;
}

/*
 * An address that no process has.  Where the kernel of this machine reads from its
 * own half for user space (7.2 on bare metal POWER, as QEMU emulates the radix MMU),
 * it is not of that half.
 */
static void *address_of_nobody(void)
{
	void *half = (void *)(1UL << 63 | 1UL << 62);
	sigset_t before;

	VFIO_ASSERT(!sigprocmask(SIG_SETMASK, NULL, &before), "sigprocmask");
	/* Of a structure: some kernels refuse that address for write() only. */
	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, half, NULL, 8) && errno == EFAULT)
		return half;
	VFIO_ASSERT(!sigprocmask(SIG_SETMASK, &before, NULL), "sigprocmask");
	ksft_print_msg("copy_from_user() takes %p: not used\n", half);
	return (void *)(1UL << 60);
}

static void memory_init(void)
{
	long page = sysconf(_SC_PAGESIZE);
	char *at = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	VFIO_ASSERT(at != MAP_FAILED, "mmap");
	memset(at, 'x', page);
	VFIO_ASSERT(!mprotect(at + page, page, PROT_NONE), "mprotect");
	bad_address[0] = NULL;
	bad_address[1] = at + page;
	bad_address[2] = at + page - 2;
	bad_address[3] = address_of_nobody();
	buffer = vfio_dma_buffer(BUFFER_SIZE);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	VFIO_ASSERT(shared != MAP_FAILED, "mmap");
}

static void slots_init(void)
{
	int event = eventfd(0, EFD_CLOEXEC), path = open("/dev/null", O_PATH | O_CLOEXEC);
	unsigned int i;

	VFIO_ASSERT(event >= 0 && path >= 0, "eventfd, O_PATH");
	for (i = 0; i <= FD_EVENT; i++)
		VFIO_ASSERT(dup3(event, slot_fd(i), O_CLOEXEC) >= 0, "dup3");
	VFIO_ASSERT(dup3(path, slot_fd(FD_PATH), O_CLOEXEC) >= 0, "dup3");
	close(event);
	close(path);
}

#define PREEMPT	"/sys/kernel/debug/sched/preempt"

/*
 * If the kernel can do it: threads get the CPU in the middle of an ioctl.  @before is the
 * mode until then, which the kernel lists in brackets; empty if it does not.
 */
static void preempt_fully(char *before)
{
	char modes[64] = "", *mode;
	FILE *f;

	*before = '\0';
	debugfs_mount();
	f = fopen(PREEMPT, "re");
	if (!f)
		return;
	mode = fgets(modes, sizeof(modes), f);
	fclose(f);
	mode = mode ? strchr(mode, '(') : NULL;
	if (mode)
		sscanf(mode, "(%15[a-z]", before);
	__sysfs_write(PREEMPT, "full");
}

static void seed_init(void)
{
	uint32_t random = 0;

	VFIO_ASSERT(getrandom(&random, sizeof(random), 0) == sizeof(random),
		    "getrandom");
	seed = env_number("KVM_VFIO_SEED", random);
	round_nr = env_number("KVM_VFIO_ROUND", 0);
	round_nr -= round_nr % EPOCH_ROUNDS;
}

/* Is there an order for these answers of two actors? */
static bool has_order(const struct op *first, unsigned int nr_first,
		      const struct op *second, unsigned int nr_second)
{
	static struct op_list lists[ACTORS];

	memset(lists, 0, sizeof(lists));
	lists[0].nr = nr_first;
	memcpy(lists[0].op, first, nr_first * sizeof(*first));
	lists[1].nr = nr_second;
	memcpy(lists[1].op, second, nr_second * sizeof(*second));
	model_reset();
	return model_explain(lists);
}

/* MAP_DMA of what is mapped, from @inv to @resp, while the last group leaves: 13 to 14 */
static bool may_map_twice(uint64_t inv, uint64_t resp)
{
	static const struct op first[] = {
		{ .kind = OP_OPEN_GROUP, .to = SLOT_GROUP, .inv = 1, .resp = 2 },
		{ .kind = OP_OPEN_CONTAINER, .to = SLOT_CONTAINER, .inv = 3, .resp = 4 },
		{ .kind = OP_SET_CONTAINER, .a = SLOT_GROUP, .b = SLOT_CONTAINER,
		  .inv = 5, .resp = 6 },
		{ .kind = OP_SET_IOMMU, .a = SLOT_CONTAINER, .inv = 7, .resp = 8 },
		{ .kind = OP_MAP, .a = SLOT_CONTAINER, .inv = 9, .resp = 10 },
		{ .kind = OP_UNSET, .a = SLOT_GROUP, .inv = 13, .resp = 14 },
	};
	const struct op map = { .kind = OP_MAP, .a = SLOT_CONTAINER, .inv = inv, .resp = resp };

	return has_order(first, ARRAY_SIZE(first), &map, 1);
}

/*
 * Contract 1.31: an ioctl of the IOMMU driver does not hold up the group, so it may map
 * for nobody.
 */
static bool model_knows_late_map(void)
{
	return !may_map_twice(11, 12) && !may_map_twice(15, 16) && may_map_twice(11, 15);
}

/* The VM's device, which has a member, is closed from 13 to 20. */
static bool may_meanwhile(const struct op ops[2])
{
	static const struct op first[] = {
		{ .kind = OP_OPEN_GROUP, .to = SLOT_GROUP, .inv = 1, .resp = 2 },
		{ .kind = OP_OPEN_CONTAINER, .to = SLOT_CONTAINER, .inv = 3, .resp = 4 },
		{ .kind = OP_SET_CONTAINER, .a = SLOT_GROUP, .b = SLOT_CONTAINER,
		  .inv = 5, .resp = 6 },
		{ .kind = OP_SET_IOMMU, .a = SLOT_CONTAINER, .inv = 7, .resp = 8 },
		{ .kind = OP_CREATE, .to = SLOT_KVM_VFIO, .inv = 9, .resp = 10 },
		{ .kind = OP_ADD, .a = SLOT_KVM_VFIO, .b = SLOT_GROUP, .inv = 11, .resp = 12 },
		{ .kind = OP_CLOSE, .a = FD_EVENT, .to = SLOT_KVM_VFIO, .inv = 13, .resp = 20 },
	};

	return has_order(first, ARRAY_SIZE(first), ops, 2);
}

/* The VM may have another one when the last member is let go, not before. */
static bool model_knows_release(void)
{
	static const struct op left_first[] = {
		{ .kind = OP_UNSET, .a = SLOT_GROUP, .inv = 14, .resp = 15 },
		{ .kind = OP_CREATE, .to = SLOT_KVM_VFIO + 1, .result = -EBUSY,
		  .inv = 16, .resp = 17 },
	};
	static const struct op created_first[] = {
		{ .kind = OP_CREATE, .to = SLOT_KVM_VFIO + 1, .inv = 14, .resp = 15 },
		{ .kind = OP_UNSET, .a = SLOT_GROUP, .result = -EBUSY, .inv = 16, .resp = 17 },
	};

	return may_meanwhile(left_first) && !may_meanwhile(created_first);
}

/* What comes about once in hours.  On POWER nothing is mapped beside other operations. */
static bool model_knows_what_is_rare(void)
{
	ksft_print_msg("some answers that are not as the contract has it:\n");
	return model_knows_release() && (HAVE_TCE || model_knows_late_map());
}

int main(void)
{
	unsigned long seconds = env_number("FUZZ_S", MIN_SECONDS), rounds;
	char preempt[16];
	bool ok;

	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	vfio_test_init(devices, MODEL_GROUPS, MODEL_GROUPS);
	ksft_set_plan(5);
	kmsg = kmsg_open();
	memory_init();
	debugfs_mount();
	host_start();
	slots_init();
	seed_init();
	signal(SIGALRM, on_alarm);
	pthread_barrier_init(&start, NULL, ACTOR_CHILD + 1);
	preempt_fully(preempt);
	ksft_print_msg("KVM_VFIO_SEED=%llu, %lu seconds\n", seed, seconds);

	ok = fuzz(seconds, &rounds);
	if (*preempt)
		__sysfs_write(PREEMPT, preempt);
	ksft_print_msg("%lu rounds, %lu searches, %lu states, the largest %lu, left %u\n",
		       rounds, model_stats.searches, model_stats.states,
		       model_stats.largest, model_possible());
	print_ways(rounds);
	ksft_test_result(ok, "the model explains every answer, and nothing leaks\n");
	ksft_test_result(all_ways() || seconds < MIN_SECONDS || !ok,
			 "every operation succeeds and fails\n");
	ksft_test_result(!(splats + kmsg_splats(kmsg)), "the kernel log has no splat\n");
	ksft_test_result(reads_right && reads,
			 "what people are told is right after each round\n");
	ksft_test_result(model_knows_what_is_rare(), "the model knows what is rare\n");
	ksft_finished();
}
