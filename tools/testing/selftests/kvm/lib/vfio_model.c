// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model of the contract and the search for an order, see vfio_model.h.
 *
 * Each operation is a short chain of steps.  A step changes the model at one
 * instant, and steps of other operations may come between two steps.  What the
 * kernel does under one lock is one step.  A search keeps the set of all
 * possible states.  The recorded clock says which operations had begun and
 * which had ended; an operation must have taken its last step, with the
 * recorded result, before it ends.  If the set becomes empty, the kernel and
 * the model disagree.
 *
 * What needs more than one step:
 *
 * - An fd is resolved before the file is used, and the reference that this takes
 *   ends after it.  That can be told from one step only if another operation
 *   changes the slot meanwhile, so else it is one.
 * - The last reference to a file, whoever drops it, brings its release, which is
 *   over before the system call that dropped it is: a step of its own (task work).
 * - In the release of a KVM-VFIO device each member loses its count, and then the file its
 *   reference; when none is left, the VM may have a new device.
 * - GET_DEVICE_FD looks the device up, and opens it.
 * - MAP_DMA and UNMAP_DMA take what the IOMMU driver knows of a container, and then use
 *   it: if its last group leaves in between, that is not the container's any more.
 * - unbind hides the device, waits until it is closed, takes the group's node away
 *   and then kills the group.  A new group has first a node, then a device.
 * - A process that ends closes one fd after the other.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfio_model.h"
#include "vfio_util.h"

#define MAX_STATES	400000
#define NR_BUCKETS	(4 * MAX_STATES)
#define MAX_HELD	8
#define NO_FILE		(-1)
#define BAD_FD		(-2)
#define EVENT_FILE	0	/* never counted, never released */
#define RUN_EXIT	ACTORS	/* a child may be killed amid an operation */
#define RUNS		(ACTORS + 1)
#define ANY_GONE	(-ENODEV)

enum file_kind {
	FILE_FREE,
	FILE_EVENT,
	FILE_GROUP,
	FILE_CONTAINER,
	FILE_KVM_VFIO,
	FILE_DEVICE,
};

#define GROUP_DEAD		1
#define CONTAINER_IOMMU		1
#define CONTAINER_MAPPED	2	/* shifted by the turn */
#define CONTAINER_TURNS		7

/**
 * struct model_file - an open file
 * @members: KVM-VFIO: the files that it holds
 * @kind: which file
 * @refs: of fds, of operations under way, of what holds it
 * @n: number of the group or of the VM
 * @flags: see above
 * @link: group: its container; device: its group
 * @users: group: opens of its device; container: its groups
 * @pins: group: live external users
 * @turn: container: how often it has lost its IOMMU in this round
 */
struct model_file {
	uint64_t members;
	uint8_t kind, refs, n, flags;
	int8_t link;
	uint8_t users, pins, turn;
};

/*
 * What VFIO knows about an IOMMU group.  @file is the open file of the group.
 * Its device is @locked while it is bound to a driver or unbound.
 */
struct model_group {
	int8_t file;
	uint8_t has_node, has_device, lookups, locked;
};

struct model {
	struct model_file file[MODEL_FILES];
	struct model_group group[MODEL_GROUPS];
	int8_t kvm_vfio[MODEL_VMS];
	int8_t slot[2][SLOTS];
	uint8_t forked, killed, unused[6];
};

enum pc {
	PC_IDLE,
	PC_RESOLVE_A,
	PC_RESOLVE_B,
	PC_EFFECT,
	PC_INSTALL,
	PC_WIND_UP,
};

/* How far an operation has got. */
struct run {
	uint64_t releases;
	uint8_t pc, sub, nr_held;
	int8_t a, b, new_file;
	int8_t held[MAX_HELD];
	uint8_t turn, unused;
};

struct state {
	struct model model;
	struct run run[RUNS];
};

static_assert(sizeof(struct state) % sizeof(uint64_t) == 0, "hashed in words");

/* What is known of an operation before it runs */
struct plan {
	const struct op *op;
	bool split_a, split_b, split_to, split_effect;
	int8_t new_file;
};

struct event {
	uint64_t stamp;
	unsigned int run, index;
	bool begins;
};

const char * const op_names[OP_KINDS] = {
	[OP_OPEN_GROUP] = "open group", [OP_OPEN_CONTAINER] = "open container",
	[OP_CREATE] = "CREATE_DEVICE", [OP_GET_DEVICE] = "GET_DEVICE_FD",
	[OP_CLOSE] = "close", [OP_DUP] = "dup",
	[OP_SET_CONTAINER] = "SET_CONTAINER", [OP_SET_IOMMU] = "SET_IOMMU",
	[OP_UNSET] = "UNSET_CONTAINER", [OP_STATUS] = "GET_STATUS",
	[OP_DEVICE_INFO] = "DEVICE_GET_INFO", [OP_MAP] = "MAP_DMA",
	[OP_UNMAP] = "UNMAP_DMA", [OP_ADD] = "ADD", [OP_DEL] = "DEL",
	[OP_ATTR] = "other attribute", [OP_SET_TCE] = "SET_SPAPR_TCE",
	[OP_FORK] = "fork", [OP_KILL] = "kill", [OP_EXIT] = "exit",
	[OP_UNBIND] = "unbind", [OP_REBIND] = "rebind",
};

struct model_stats model_stats;

static struct state *possible, *visited, before;
static unsigned int nr_possible, nr_visited;
static unsigned int *buckets, *bucket_used;
static bool own_windows;	/* in an LPAR each group has, so they cannot be shared */
static struct plan plans[RUNS][MODEL_OPS];
static const struct plan *current[RUNS];

/*
 * Files
 */
static void file_free(struct model *m, int f)
{
	memset(&m->file[f], 0, sizeof(m->file[f]));
}

static int file_new(struct model *m, int f, unsigned int kind, unsigned int n)
{
	/*
	 * It failed: whatever follows, this state cannot explain the recorded
	 * result.
	 */
	if (f == NO_FILE)
		return f;
	VFIO_ASSERT(!m->file[f].kind, "a file that is there");
	m->file[f].kind = kind;
	m->file[f].refs = 1;
	m->file[f].n = n;
	m->file[f].link = NO_FILE;
	return f;
}

static void file_get(struct model *m, int f)
{
	if (f > EVENT_FILE)
		m->file[f].refs++;
}

static void file_drop(struct model *m, struct run *run, int f)
{
	struct model_file *file = &m->file[f];

	if (f <= EVENT_FILE || --file->refs)
		return;
	if (file->kind != FILE_CONTAINER)
		run->releases |= 1ULL << f;
	else if (!file->users)
		file_free(m, f);
}

static void hold(struct run *run, int f)
{
	if (f <= EVENT_FILE)
		return;
	VFIO_ASSERT(run->nr_held < MAX_HELD, "too many references");
	run->held[run->nr_held++] = f;
}

static void unhold(struct model *m, struct run *run, unsigned int i)
{
	int f = run->held[i];

	run->nr_held--;
	memmove(&run->held[i], &run->held[i + 1], run->nr_held - i);
	run->held[run->nr_held] = 0;
	file_drop(m, run, f);
}

static int file_of(const struct model *m, unsigned int table, unsigned int slot)
{
	if (slot < SLOTS)
		return m->slot[table][slot];
	return slot == FD_EVENT ? EVENT_FILE : BAD_FD;
}

static unsigned int mapped_in(unsigned int turn)
{
	return CONTAINER_MAPPED << turn;
}

static void lose_iommu(struct model_file *container)
{
	container->flags &= ~(CONTAINER_IOMMU | mapped_in(container->turn));
	VFIO_ASSERT(++container->turn < CONTAINER_TURNS, "too many turns");
}

static void detach(struct model *m, struct model_file *group)
{
	struct model_file *container = &m->file[group->link];

	if (!--container->users) {
		if (container->flags & CONTAINER_IOMMU)
			lose_iommu(container);
		if (!container->refs)
			file_free(m, group->link);
	}
	group->link = NO_FILE;
}

static void release_group(struct model *m, int f)
{
	struct model_file *file = &m->file[f];

	if (file->link != NO_FILE)
		detach(m, file);
	if (m->group[file->n].file == f)
		m->group[file->n].file = NO_FILE;
	file_free(m, f);
}

static void release_device(struct model *m, struct run *run, int f)
{
	int group = m->file[f].link;

	file_free(m, f);
	if (!--m->file[group].users)
		file_drop(m, run, group);
}

static void member_uncount(struct model *m, struct model_file *dev, int f)
{
	dev->members &= ~(1ULL << f);
	if (!(m->file[f].flags & GROUP_DEAD))
		m->file[f].pins--;
}

/*
 * Members are released one by one, in any order; each alternative is one of
 * them.
 */
static bool release_kvm_vfio(struct model *m, struct run *run, int f,
			     unsigned int member)
{
	struct model_file *dev = &m->file[f];

	if (dev->members) {
		if (!(dev->members >> member & 1) || run->nr_held == MAX_HELD)
			return false;
		member_uncount(m, dev, member);
		hold(run, member);
		return true;
	}
	if (member)
		return false;
	m->kvm_vfio[dev->n] = NO_FILE;
	run->releases &= ~(1ULL << f);
	file_free(m, f);
	return true;
}

static bool release(struct model *m, struct run *run, int f, unsigned int member)
{
	if (m->file[f].kind == FILE_KVM_VFIO)
		return release_kvm_vfio(m, run, f, member);
	if (member)
		return false;
	run->releases &= ~(1ULL << f);
	if (m->file[f].kind == FILE_GROUP)
		release_group(m, f);
	else
		release_device(m, run, f);
	return true;
}

/*
 * Operations: each changes the model and returns what is expected
 */
static int wrong_file(const struct model *m, const struct op *op, int f)
{
	const struct model_file *file = &m->file[f];

	if (f == BAD_FD)
		return -EBADF;
	if (file->kind == FILE_KVM_VFIO && op->table)
		return -EIO;
	/* Without an IOMMU driver, a container knows no ioctl at all. */
	if (file->kind == FILE_CONTAINER && !(file->flags & CONTAINER_IOMMU))
		return -EINVAL;
	return -ENOTTY;
}

static bool is_kind(const struct model *m, int f, unsigned int kind)
{
	return f > EVENT_FILE && m->file[f].kind == kind;
}

static int do_open_group(struct model *m, const struct op *op, struct run *run,
			 int f)
{
	struct model_group *group = &m->group[op->n];

	if (!group->has_node)
		return ANY_GONE;
	if (group->file != NO_FILE)
		return -EBUSY;
	group->file = file_new(m, f, FILE_GROUP, op->n);
	run->new_file = f;
	return 0;
}

static int do_create(struct model *m, const struct op *op, struct run *run, int f)
{
	if (op->table)
		return -EIO;
	if (op->variant == CREATE_TYPE)
		return -ENODEV;
	if (op->variant == CREATE_TEST)
		return 0;
	if (m->kvm_vfio[op->n] != NO_FILE)
		return -EBUSY;
	m->kvm_vfio[op->n] = file_new(m, f, FILE_KVM_VFIO, op->n);
	run->new_file = f;
	return 0;
}

/* The first half sets @sub to 1 if there is a second half. */
static int do_look_up(struct model *m, const struct op *op, struct run *run)
{
	struct model_file *group = &m->file[run->a];

	if (!is_kind(m, run->a, FILE_GROUP))
		return wrong_file(m, op, run->a);
	if (op->variant == DEVICE_ADDRESS)
		return -EFAULT;
	if (op->variant == DEVICE_NO_NAME || op->n != group->n ||
	    (group->flags & GROUP_DEAD) || !m->group[op->n].has_device)
		return -ENODEV;
	m->group[op->n].lookups++;
	run->sub = 1;
	return 0;
}

static int do_open_device(struct model *m, const struct op *op, struct run *run,
			  int f)
{
	struct model_file *group = &m->file[run->a];

	m->group[op->n].lookups--;
	if (group->link == NO_FILE ||
	    !(m->file[group->link].flags & CONTAINER_IOMMU))
		return -EINVAL;
	/* The first open resets the device, but does not wait for its lock. */
	if (m->group[op->n].locked && !group->users && op->result == -EAGAIN)
		return -EAGAIN;
	run->new_file = file_new(m, f, FILE_DEVICE, op->n);
	if (f == NO_FILE)
		return 0;
	m->file[f].link = run->a;
	if (!group->users++)
		group->refs++;
	return 0;
}

static int do_set_container(struct model *m, const struct op *op,
			    const struct run *run)
{
	struct model_file *group = &m->file[run->a];

	if (!is_kind(m, run->a, FILE_GROUP))
		return wrong_file(m, op, run->a);
	if (op->variant)
		return -EFAULT;
	if (run->b == BAD_FD)
		return -EBADF;
	if (group->link != NO_FILE)
		return -EINVAL;
	if (group->flags & GROUP_DEAD)
		return -ENODEV;
	if (!is_kind(m, run->b, FILE_CONTAINER))
		return -EBADFD;
	if (own_windows &&
	    (m->file[run->b].flags & mapped_in(m->file[run->b].turn)))
		return -EPERM;
	group->link = run->b;
	m->file[run->b].users++;
	return 0;
}

static int do_set_iommu(struct model *m, const struct op *op,
			const struct run *run)
{
	struct model_file *container = &m->file[run->a];

	if (!is_kind(m, run->a, FILE_CONTAINER))
		return wrong_file(m, op, run->a);
	if (!container->users || (container->flags & CONTAINER_IOMMU))
		return -EINVAL;
	if (op->variant)
		return -ENODEV;
	container->flags |= CONTAINER_IOMMU;
	return 0;
}

static int do_unset(struct model *m, const struct op *op, const struct run *run)
{
	struct model_file *group = &m->file[run->a];

	if (!is_kind(m, run->a, FILE_GROUP))
		return wrong_file(m, op, run->a);
	if (group->link == NO_FILE)
		return -EINVAL;
	if (group->users || group->pins)
		return -EBUSY;
	detach(m, group);
	return 0;
}

static int do_status(struct model *m, const struct op *op, const struct run *run)
{
	struct model_file *group = &m->file[run->a];

	if (!is_kind(m, run->a, FILE_GROUP))
		return wrong_file(m, op, run->a);
	if (op->variant)
		return op->variant == STATUS_SHORT ? -EINVAL : -EFAULT;
	if (group->flags & GROUP_DEAD)
		return -ENODEV;
	return VFIO_GROUP_FLAGS_VIABLE |
		(group->link != NO_FILE ? VFIO_GROUP_FLAGS_CONTAINER_SET : 0);
}

/* The first half sets @sub to 1 if there is a second half. */
static int do_take_iommu(struct model *m, const struct op *op, struct run *run)
{
	struct model_file *container = &m->file[run->a];

	if (!is_kind(m, run->a, FILE_CONTAINER))
		return wrong_file(m, op, run->a);
	if (!(container->flags & CONTAINER_IOMMU))
		return -EINVAL;
	run->turn = container->turn;
	run->sub = 1;
	return 0;
}

static int do_map(struct model *m, const struct op *op, const struct run *run)
{
	struct model_file *container = &m->file[run->a];
	unsigned int mapped = mapped_in(run->turn);

	if (own_windows && container->users > 1)
		return -EPERM;
	/* What is mapped is unmapped right away, but the window stays. */
	if (own_windows)
		container->flags |= mapped;
	if (HAVE_TCE)
		return 0;
	if (op->kind == OP_UNMAP && !(container->flags & mapped))
		return -ENOENT;
	if (op->kind == OP_MAP && (container->flags & mapped))
		return -EEXIST;
	container->flags ^= mapped;
	return 0;
}

/* The error that an attribute gets before it reaches the device, or 0. */
static int attr_fault(const struct model *m, const struct op *op, int f)
{
	if (!is_kind(m, f, FILE_KVM_VFIO))
		return wrong_file(m, op, f);
	if (op->table)
		return -EIO;
	if (op->kind == OP_ATTR)
		return 0;
	if (op->kind == OP_SET_TCE && !HAVE_TCE)
		return -ENXIO;
	if (op->kind == OP_SET_TCE)
		return op->variant == TCE_ADDRESS ? -EFAULT : 0;
	return op->variant ? -EFAULT : 0;
}

static int do_add(struct model *m, const struct op *op, const struct run *run)
{
	int ret = attr_fault(m, op, run->a);
	struct model_file *dev = &m->file[run->a];
	struct model_file *group = &m->file[run->b];

	if (ret)
		return ret;
	if (run->b == BAD_FD)
		return -EBADF;
	if (dev->members >> run->b & 1)
		return -EEXIST;
	if (!is_kind(m, run->b, FILE_GROUP) || group->link == NO_FILE ||
	    !(m->file[group->link].flags & CONTAINER_IOMMU))
		return -EINVAL;
	dev->members |= 1ULL << run->b;
	group->pins++;
	group->refs++;
	return 0;
}

static int do_del(struct model *m, const struct op *op, struct run *run)
{
	int ret = attr_fault(m, op, run->a);
	struct model_file *dev = &m->file[run->a];

	if (ret)
		return ret;
	if (run->b == BAD_FD)
		return -EBADF;
	if (!(dev->members >> run->b & 1))
		return -ENOENT;
	member_uncount(m, dev, run->b);
	file_drop(m, run, run->b);
	return 0;
}

static int do_set_tce(struct model *m, const struct op *op, const struct run *run)
{
	int ret = attr_fault(m, op, run->a);

	if (ret)
		return ret;
	if (run->b == BAD_FD)
		return -EBADF;
	if (!(m->file[run->a].members >> run->b & 1))
		return -ENOENT;
	if (op->variant == TCE_CLOSED)
		return -EBADF;
	if (m->file[run->b].flags & GROUP_DEAD)
		return -EINVAL;
	if (op->variant == TCE_MATCH)
		return m->file[run->a].n == op->n ? 0 : -EINVAL;
	if (op->variant == TCE_OTHER_VM)
		return m->file[run->a].n == op->n ? -EINVAL : 0;
	return -EINVAL;
}

static int do_attr(struct model *m, const struct op *op, const struct run *run)
{
	int ret = attr_fault(m, op, run->a);

	if (ret)
		return ret;
	switch (op->variant) {
	case ATTR_HAS_ADD:
	case ATTR_HAS_DEL:
		return 0;
	case ATTR_HAS_TCE:
#ifdef __KVM_HAVE_SPAPR_TCE
		return 0;
#else
		return -ENXIO;
#endif
	case ATTR_GET:
		return -EPERM;
	default:
		return -ENXIO;
	}
}

static int do_dup(struct model *m, const struct op *op, struct run *run)
{
	int f = file_of(m, op->table, op->a);
	int8_t *to = &m->slot[op->table][op->to];
	int old = *to;

	if (f == BAD_FD)
		return -EBADF;
	file_get(m, f);
	*to = f;
	file_drop(m, run, old);
	return 0;
}

static void do_fork(struct model *m)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		m->slot[1][i] = m->slot[0][i];
		file_get(m, m->slot[1][i]);
	}
	m->forked = 1;
}

static int do_file_op(struct model *m, const struct op *op, struct run *run)
{
	switch (op->kind) {
	case OP_SET_CONTAINER:
		return do_set_container(m, op, run);
	case OP_SET_IOMMU:
		return do_set_iommu(m, op, run);
	case OP_UNSET:
		return do_unset(m, op, run);
	case OP_STATUS:
		return do_status(m, op, run);
	case OP_DEVICE_INFO:
		return is_kind(m, run->a, FILE_DEVICE) ? 0 :
			wrong_file(m, op, run->a);
	case OP_MAP:
	case OP_UNMAP:
		return run->sub ? do_map(m, op, run) : do_take_iommu(m, op, run);
	case OP_ADD:
		return do_add(m, op, run);
	case OP_DEL:
		return do_del(m, op, run);
	case OP_ATTR:
		return do_attr(m, op, run);
	default:
		return do_set_tce(m, op, run);
	}
}

static int do_op(struct model *m, const struct plan *plan, struct run *run)
{
	const struct op *op = plan->op;

	switch (op->kind) {
	case OP_OPEN_GROUP:
		return do_open_group(m, op, run, plan->new_file);
	case OP_OPEN_CONTAINER:
		run->new_file = file_new(m, plan->new_file, FILE_CONTAINER, 0);
		return 0;
	case OP_CREATE:
		return do_create(m, op, run, plan->new_file);
	case OP_GET_DEVICE:
		return run->sub ? do_open_device(m, op, run, plan->new_file) :
			do_look_up(m, op, run);
	case OP_CLOSE:
	case OP_DUP:
		return do_dup(m, op, run);
	case OP_FORK:
		do_fork(m);
		return 0;
	case OP_KILL:
		m->killed = 1;
		return 0;
	default:
		return do_file_op(m, op, run);
	}
}

/*
 * Host and exit: several steps, one after the other
 */
static void kill_group(struct model *m, struct model_group *group)
{
	struct model_file *file = &m->file[group->file];

	if (group->file == NO_FILE)
		return;
	file->pins = 0;
	if (file->link != NO_FILE)
		detach(m, file);
	file->flags |= GROUP_DEAD;
	group->file = NO_FILE;
}

static bool step_unbind(struct model *m, const struct op *op, struct run *run)
{
	struct model_group *group = &m->group[op->n];

	switch (run->sub++) {
	case 0:
		if (!group->has_device) {
			run->pc = PC_IDLE;
			return model_answer_is(op, -ENODEV);
		}
		group->locked = true;
		break;
	case 1:
		group->has_device = false;
		break;
	case 2:
		if (group->lookups ||
		    (group->file != NO_FILE && m->file[group->file].users))
			return false;
		group->has_node = false;
		break;
	case 3:
		kill_group(m, group);
		break;
	default:
		group->locked = false;
		run->pc = PC_IDLE;
	}
	return model_answer_is(op, 0);
}

static bool step_rebind(struct model *m, const struct op *op, struct run *run)
{
	struct model_group *group = &m->group[op->n];

	switch (run->sub++) {
	case 0:
		if (group->has_device)
			run->pc = PC_IDLE;
		else
			group->locked = true;
		break;
	case 1:
		group->has_node = true;
		break;
	case 2:
		group->has_device = true;
		break;
	default:
		group->locked = false;
		run->pc = PC_IDLE;
	}
	return model_answer_is(op, 0);
}

/* The child's operation is not done; its files are closed now. */
static bool abandon(struct state *s)
{
	struct run *exit = &s->run[RUN_EXIT], *child = &s->run[ACTOR_CHILD];
	unsigned int i;

	if (child->pc == PC_IDLE)
		return true;
	if (current[ACTOR_CHILD]->op->resp)
		return false;
	if (current[ACTOR_CHILD]->op->kind == OP_GET_DEVICE && child->sub &&
	    child->pc == PC_EFFECT)
		return false;
	if (child->pc == PC_INSTALL)
		hold(exit, child->new_file);
	for (i = 0; i < child->nr_held; i++)
		hold(exit, child->held[i]);
	exit->releases |= child->releases;
	memset(child, 0, sizeof(*child));
	return true;
}

static bool step_exit(struct state *s, const struct op *op, struct run *run)
{
	struct model *m = &s->model;
	int8_t *slot = m->slot[1];

	if (m->forked != 1 || (op->variant != EXIT_SELF && !m->killed))
		return false;
	if (!abandon(s))
		return false;
	while (run->sub < SLOTS && slot[run->sub] == EVENT_FILE)
		run->sub++;
	if (run->sub < SLOTS) {
		file_drop(m, run, slot[run->sub]);
		slot[run->sub++] = EVENT_FILE;
	}
	while (run->sub < SLOTS && slot[run->sub] == EVENT_FILE)
		run->sub++;
	if (run->sub == SLOTS)
		run->pc = PC_WIND_UP;
	return true;
}

/*
 * Steps
 */
static void end_run(struct run *run)
{
	if (run->pc == PC_WIND_UP && !run->nr_held && !run->releases)
		run->pc = PC_IDLE;
	if (run->pc == PC_IDLE)
		memset(run, 0, sizeof(*run));
}

static void resolve(struct model *m, struct run *run, unsigned int table,
		    unsigned int slot, int8_t *file)
{
	*file = file_of(m, table, slot);
	if (slot < SLOTS) {
		file_get(m, *file);
		hold(run, *file);
	}
}

static bool step_effect(struct model *m, const struct plan *plan, struct run *run)
{
	const struct op *op = plan->op;
	unsigned int sub = run->sub;
	int expected;

	if (!sub && !plan->split_a)
		run->a = file_of(m, op->table, op->a);
	if (!sub && !plan->split_b)
		run->b = file_of(m, op->table, op->b);
	expected = do_op(m, plan, run);
	if (run->sub > sub) {
		if (plan->split_effect)
			return true;
		expected = do_op(m, plan, run);
	}
	run->pc = run->new_file > EVENT_FILE ? PC_INSTALL : PC_WIND_UP;
	return model_answer_is(op, expected);
}

static void step_install(struct model *m, const struct plan *plan, struct run *run)
{
	int8_t *slot = &m->slot[plan->op->table][plan->op->to];
	int old = *slot;

	*slot = run->new_file;
	if (plan->split_to) {
		file_get(m, run->new_file);
		hold(run, run->new_file);
	}
	run->new_file = NO_FILE;
	run->pc = PC_WIND_UP;
	file_drop(m, run, old);
}

/* Alternatives: a reference, then all pairs of a release and a member. */
static bool step_wind_up(struct model *m, struct run *run, unsigned int alt)
{
	unsigned int f;

	if (alt < run->nr_held) {
		unhold(m, run, alt);
		return true;
	}
	if (alt < MAX_HELD)
		return false;
	alt -= MAX_HELD;
	f = alt / MODEL_FILES;
	return (run->releases >> f & 1) && release(m, run, f, alt % MODEL_FILES);
}

#define MAX_ALTERNATIVES	(MAX_HELD + MODEL_FILES * MODEL_FILES)

static bool step_begin(struct state *s, unsigned int i)
{
	const struct plan *plan = current[i];
	struct run *run = &s->run[i];

	if (plan->op->table && i != RUN_EXIT && s->model.forked != 1)
		return false;
	switch (plan->op->kind) {
	case OP_EXIT:
		return step_exit(s, plan->op, run);
	case OP_UNBIND:
		return step_unbind(&s->model, plan->op, run);
	case OP_REBIND:
		return step_rebind(&s->model, plan->op, run);
	default:
		return step_effect(&s->model, plan, run);
	}
}

/* False if there is no such step, or if its result is not the recorded one. */
static bool step(struct state *s, unsigned int i, unsigned int alt)
{
	const struct plan *plan = current[i];
	struct run *run = &s->run[i];
	const struct op *op = plan->op;
	bool ok = true;

	if (run->pc == PC_WIND_UP) {
		ok = step_wind_up(&s->model, run, alt);
		end_run(run);
		return ok;
	}
	if (alt || (op->table && i != RUN_EXIT && s->model.forked != 1))
		return false;
	switch (run->pc) {
	case PC_RESOLVE_A:
		resolve(&s->model, run, op->table, op->a, &run->a);
		run->pc = plan->split_b ? PC_RESOLVE_B : PC_EFFECT;
		break;
	case PC_RESOLVE_B:
		resolve(&s->model, run, op->table, op->b, &run->b);
		run->pc = PC_EFFECT;
		break;
	case PC_EFFECT:
		ok = step_begin(s, i);
		break;
	default:
		step_install(&s->model, plan, run);
	}
	end_run(run);
	return ok;
}

/*
 * Sets of states
 */
static uint64_t hash_of(const struct state *s)
{
	const uint64_t *word = (const uint64_t *)s;
	uint64_t hash = 0x9e3779b97f4a7c15ULL;
	unsigned int i;

	for (i = 0; i < sizeof(*s) / sizeof(*word); i++) {
		hash = (hash ^ word[i]) * 0xff51afd7ed558ccdULL;
		hash ^= hash >> 29;
	}
	return hash;
}

static void visited_clear(void)
{
	while (nr_visited)
		buckets[bucket_used[--nr_visited]] = 0;
}

/* True if @s is new. */
static bool visit(const struct state *s)
{
	unsigned int b = hash_of(s) % NR_BUCKETS;

	while (buckets[b]) {
		if (!memcmp(&visited[buckets[b] - 1], s, sizeof(*s)))
			return false;
		b = (b + 1) % NR_BUCKETS;
	}
	VFIO_ASSERT(nr_visited < MAX_STATES, "more than %d states", MAX_STATES);
	visited[nr_visited] = *s;
	bucket_used[nr_visited++] = b;
	buckets[b] = nr_visited;
	return true;
}

/* Only what step_wind_up() may take; this saves a copy of the state. */
static bool is_alternative(const struct state *s, unsigned int i, unsigned int alt)
{
	const struct run *run = &s->run[i];
	const struct model_file *file;

	if (alt < MAX_HELD)
		return run->pc == PC_WIND_UP ? alt < run->nr_held : !alt;
	alt -= MAX_HELD;
	if (run->pc != PC_WIND_UP || !(run->releases >> alt / MODEL_FILES & 1))
		return false;
	file = &s->model.file[alt / MODEL_FILES];
	alt %= MODEL_FILES;
	return !alt || (file->members >> alt & 1);
}

static void expand(unsigned int from)
{
	unsigned int i, alt, most;
	struct state next;

	for (i = 0; i < RUNS; i++) {
		if (visited[from].run[i].pc == PC_IDLE)
			continue;
		most = visited[from].run[i].releases ? MAX_ALTERNATIVES : MAX_HELD;
		for (alt = 0; alt < most; alt++) {
			if (!is_alternative(&visited[from], i, alt))
				continue;
			next = visited[from];
			if (step(&next, i, alt))
				visit(&next);
		}
	}
}

/* All ways in which the operation of run @i can end */
static bool close_set(unsigned int i)
{
	unsigned int from;

	visited_clear();
	for (from = 0; from < nr_possible; from++)
		visit(&possible[from]);
	nr_possible = 0;
	for (from = 0; from < nr_visited; from++) {
		if (visited[from].run[i].pc == PC_IDLE)
			possible[nr_possible++] = visited[from];
		else
			expand(from);
	}
	model_stats.states += nr_visited;
	if (nr_visited > model_stats.largest)
		model_stats.largest = nr_visited;
	return nr_possible;
}

static void begin(unsigned int i, const struct plan *plan)
{
	struct run run = { .new_file = NO_FILE };
	unsigned int n;

	current[i] = plan;
	run.pc = plan->split_a ? PC_RESOLVE_A :
		plan->split_b ? PC_RESOLVE_B : PC_EFFECT;
	for (n = 0; n < nr_possible; n++)
		possible[n].run[i] = run;
}

/*
 * Plans
 */
static bool makes_file(const struct op *op)
{
	return op->kind <= OP_GET_DEVICE;
}

static bool changes_slot(const struct op *op, unsigned int table, unsigned int slot)
{
	return op->table == table && op->to == slot &&
		(makes_file(op) || op->kind == OP_CLOSE || op->kind == OP_DUP);
}

static bool overlap(const struct op *x, const struct op *y)
{
	return (!y->resp || x->inv < y->resp) && (!x->resp || y->inv < x->resp);
}

static bool uses_a(const struct op *op)
{
	return op->kind == OP_GET_DEVICE ||
		(op->kind >= OP_SET_CONTAINER && op->kind <= OP_SET_TCE);
}

static bool uses_b(const struct op *op)
{
	return op->kind == OP_SET_CONTAINER || op->kind == OP_ADD ||
		op->kind == OP_DEL || op->kind == OP_SET_TCE;
}

static void plan_against(struct plan *plan, const struct op *other)
{
	const struct op *op = plan->op;

	if (op == other || !other->inv || !overlap(op, other))
		return;
	if (uses_a(op) && changes_slot(other, op->table, op->a))
		plan->split_a = true;
	if (uses_b(op) && changes_slot(other, op->table, op->b))
		plan->split_b = true;
	if (makes_file(op) && changes_slot(other, op->table, op->to))
		plan->split_to = true;
	if (other->kind == OP_UNBIND || op->kind == OP_MAP || op->kind == OP_UNMAP)
		plan->split_effect = true;
}

static unsigned int first_new_file(void)
{
	unsigned int i, f, first = EVENT_FILE + 1;

	for (i = 0; i < nr_possible; i++)
		for (f = first; f < MODEL_FILES; f++)
			if (possible[i].model.file[f].kind)
				first = f + 1;
	return first;
}

static unsigned int run_of(unsigned int actor, const struct op *op)
{
	return op->kind == OP_EXIT ? RUN_EXIT : actor;
}

static void plan_one(const struct op_list lists[ACTORS], struct plan *plan,
		     const struct op *op, unsigned int *new_file)
{
	unsigned int actor, i;

	memset(plan, 0, sizeof(*plan));
	plan->op = op;
	plan->new_file = NO_FILE;
	if (makes_file(op) && (op->result >= 0 || !op->resp)) {
		VFIO_ASSERT(*new_file < MODEL_FILES, "too many files");
		plan->new_file = (*new_file)++;
	}
	for (actor = 0; actor < ACTORS; actor++)
		for (i = 0; i < lists[actor].nr; i++)
			plan_against(plan, &lists[actor].op[i]);
}

static int compare_events(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->stamp != y->stamp)
		return x->stamp < y->stamp ? -1 : 1;
	return x->run < y->run ? -1 : x->run > y->run;
}

static unsigned int plan_all(const struct op_list lists[ACTORS],
			     struct event *events)
{
	unsigned int new_file = first_new_file();
	unsigned int actor, i, nr = 0;
	const struct op *op;
	struct event event;

	for (actor = 0; actor < ACTORS; actor++)
		for (i = 0; i < lists[actor].nr; i++) {
			op = &lists[actor].op[i];
			if (!op->inv)
				continue;
			event.run = run_of(actor, op);
			event.index = i;
			event.begins = true;
			event.stamp = op->inv;
			plan_one(lists, &plans[event.run][i], op, &new_file);
			events[nr++] = event;
			event.begins = false;
			event.stamp = op->resp;
			if (op->resp)
				events[nr++] = event;
		}
	qsort(events, nr, sizeof(*events), compare_events);
	return nr;
}

/*
 * Between rounds
 */
static void renumber_file(int8_t *f, const int8_t *map)
{
	if (*f > EVENT_FILE)
		*f = map[(unsigned int)*f];
}

static void renumber(struct model *m, const int8_t *map)
{
	struct model old = *m;
	unsigned int i, bit;
	struct model_file *file;

	memset(&m->file[1], 0, sizeof(m->file) - sizeof(m->file[0]));
	for (i = 1; i < MODEL_FILES; i++) {
		if (!old.file[i].kind)
			continue;
		file = &m->file[(unsigned int)map[i]];
		*file = old.file[i];
		renumber_file(&file->link, map);
		file->members = 0;
		for (bit = 1; bit < MODEL_FILES; bit++)
			if (old.file[i].members >> bit & 1)
				file->members |= 1ULL << map[bit];
	}
	for (i = 0; i < SLOTS; i++)
		renumber_file(&m->slot[0][i], map);
	for (i = 0; i < MODEL_GROUPS; i++)
		renumber_file(&m->group[i].file, map);
	for (i = 0; i < MODEL_VMS; i++)
		renumber_file(&m->kvm_vfio[i], map);
}

/* What has lost its container cannot be found any more. */
static void first_turn(struct model_file *container)
{
	unsigned int mapped = container->flags & mapped_in(container->turn);

	container->flags = (container->flags & CONTAINER_IOMMU) |
			   (mapped ? mapped_in(0) : 0);
	container->turn = 0;
}

/* Files in the order of the slots, then the others by their kind */
static void canonical(struct model *m)
{
	int8_t map[MODEL_FILES] = { 0 };
	unsigned int i, n, kind, f;
	int8_t next = 1;

	for (i = 0; i < SLOTS; i++) {
		f = m->slot[0][i];
		if (f != EVENT_FILE && !map[f])
			map[f] = next++;
	}
	for (kind = FILE_GROUP; kind <= FILE_DEVICE; kind++)
		for (n = 0; n < MODEL_GROUPS; n++)
			for (f = 1; f < MODEL_FILES; f++)
				if (m->file[f].kind == kind &&
				    m->file[f].n == n && !map[f])
					map[f] = next++;
	for (f = 1; f < MODEL_FILES; f++)
		if (m->file[f].kind == FILE_CONTAINER)
			first_turn(&m->file[f]);
	m->forked = 0;
	m->killed = 0;
	renumber(m, map);
}

static void settle(void)
{
	unsigned int i;

	visited_clear();
	for (i = 0; i < nr_possible; i++) {
		memset(possible[i].run, 0, sizeof(possible[i].run));
		canonical(&possible[i].model);
		visit(&possible[i]);
	}
	memcpy(possible, visited, nr_visited * sizeof(*visited));
	nr_possible = nr_visited;
}

/* Not static: programs that link this are copied into guests by the framework. */
static void alloc_states(void)
{
	/* Memory is taken when it is used. */
	possible = calloc(MAX_STATES, sizeof(*possible));
	visited = calloc(MAX_STATES, sizeof(*visited));
	buckets = calloc(NR_BUCKETS, sizeof(*buckets));
	bucket_used = calloc(MAX_STATES, sizeof(*bucket_used));
	VFIO_ASSERT(possible && visited && buckets && bucket_used, "calloc");
}

void model_reset(void)
{
	struct model *m;
	unsigned int i;

	own_windows = vfio_in_lpar();
	if (!possible)
		alloc_states();
	m = &possible[0].model;

	memset(&possible[0], 0, sizeof(possible[0]));
	m->file[EVENT_FILE].kind = FILE_EVENT;
	for (i = 0; i < MODEL_GROUPS; i++) {
		m->group[i].file = NO_FILE;
		m->group[i].has_node = true;
		m->group[i].has_device = true;
	}
	for (i = 0; i < MODEL_VMS; i++)
		m->kvm_vfio[i] = NO_FILE;
	nr_possible = 1;
}

/* Does an order of the operations explain all of their results? */
bool model_explain(const struct op_list lists[ACTORS])
{
	static struct event events[2 * ACTORS * MODEL_OPS];
	unsigned int i, nr = plan_all(lists, events);
	const struct plan *plan;

	before = possible[0];
	model_stats.searches++;
	for (i = 0; i < nr; i++) {
		plan = &plans[events[i].run][events[i].index];
		if (events[i].begins) {
			begin(events[i].run, plan);
		} else if (!close_set(events[i].run)) {
			fprintf(stderr, "# not as the contract has it:\n");
			op_print(events[i].run, plan->op);
			possible[0] = before;
			nr_possible = 1;
			return false;
		}
	}
	settle();
	return true;
}

/*
 * What the contract leaves open: how a group is missing while the host is
 * removing it (no node, no cdev, no driver); and whether a window of a POWER
 * group matches a table, because windows are not modelled.
 */
bool model_answer_is(const struct op *op, int expected)
{
	if (!op->resp)
		return true;
	if (op->kind == OP_OPEN_GROUP && expected == ANY_GONE)
		return op->result == -ENODEV || op->result == -ENOENT ||
			op->result == -ENXIO;
	if (op->kind == OP_SET_TCE && !expected)
		return !op->result || op->result == -EINVAL;
	return op->result == expected;
}

/* The result of @op now, if nothing else runs */
int model_predict(const struct op *op)
{
	struct plan plan = { .op = op, .new_file = MODEL_FILES - 1 };
	static struct state copy;
	struct run run = { .new_file = NO_FILE };

	copy = possible[0];
	run.a = file_of(&copy.model, op->table, op->a);
	run.b = file_of(&copy.model, op->table, op->b);
	return do_op(&copy.model, &plan, &run);
}

bool model_slot_used(unsigned int slot)
{
	return possible[0].model.slot[0][slot] != EVENT_FILE;
}

/* Nothing is open any more. */
bool model_empty(void)
{
	return nr_possible == 1 && first_new_file() == EVENT_FILE + 1;
}

/* Nothing is open but KVM-VFIO devices without members. */
bool model_idle(void)
{
	unsigned int i, f;

	for (i = 0; i < nr_possible; i++)
		for (f = EVENT_FILE + 1; f < MODEL_FILES; f++)
			if (possible[i].model.file[f].kind != FILE_FREE &&
			    (possible[i].model.file[f].kind != FILE_KVM_VFIO ||
			     possible[i].model.file[f].members))
				return false;
	return true;
}

unsigned int model_possible(void)
{
	return nr_possible;
}

/*
 * Reports
 */
static void file_print(const struct model *m, unsigned int f)
{
	static const char * const names[] = {
		"free", "event", "group", "container", "KVM-VFIO", "device",
	};
	const struct model_file *file = &m->file[f];

	fprintf(stderr, "#   file %u: %s %u, refs %u, flags %x,", f,
		names[file->kind], file->n, file->refs, file->flags);
	fprintf(stderr, " link %d, users %u, pins %u, members %llx\n", file->link,
		file->users, file->pins,
		(unsigned long long)file->members);
}

void model_print(void)
{
	const struct model *m = &possible[0].model;
	unsigned int i;

	fprintf(stderr, "# the model, one of %u states:\n#   slots:", nr_possible);
	for (i = 0; i < SLOTS; i++)
		fprintf(stderr, " %u=%d", i, m->slot[0][i]);
	fprintf(stderr, "\n");
	for (i = 0; i < MODEL_GROUPS; i++)
		fprintf(stderr, "#   group %u: file %d, node %u, device %u\n", i,
			m->group[i].file, m->group[i].has_node,
			m->group[i].has_device);
	for (i = 1; i < MODEL_FILES; i++)
		if (m->file[i].kind)
			file_print(m, i);
}

void op_print(unsigned int actor, const struct op *op)
{
	fprintf(stderr, "#   [%4llu, %4llu] actor %u: %s%s a=%u b=%u to=%u n=%u variant=%u: ",
		(unsigned long long)op->inv, (unsigned long long)op->resp, actor,
		op_names[op->kind], op->table ? " (child)" : "", op->a, op->b,
		op->to, op->n, op->variant);
	if (op->resp)
		fprintf(stderr, "%d\n", op->result);
	else
		fprintf(stderr, "%s\n", op->inv ? "killed" : "not begun");
}
