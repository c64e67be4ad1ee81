/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A sequential model of VFIO groups and KVM-VFIO devices, made from the
 * contract, and a check whether it explains the results of operations that ran
 * at the same time.
 */
#ifndef SELFTEST_KVM_VFIO_MODEL_H
#define SELFTEST_KVM_VFIO_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

#ifdef __KVM_HAVE_SPAPR_TCE
#define HAVE_TCE	true
#else
#define HAVE_TCE	false
#endif

#define MODEL_GROUPS	2
#define MODEL_VMS	2
#define MODEL_FILES	40
#define MODEL_OPS	16	/* of one actor in one round */

/*
 * File descriptors.  A slot only takes files of its kind, or the event file that
 * says "closed".  Those behind the slots never change.
 */
enum {
	SLOT_GROUP = 0,
	SLOT_CONTAINER = 3,
	SLOT_KVM_VFIO = 5,
	SLOT_DEVICE = 8,
	SLOTS = 10,
	FD_EVENT = SLOTS,	/* open, but no VFIO file */
	FD_PATH,		/* O_PATH */
	FD_NONE,		/* not open */
	FD_MAX
};

/* The actors.  Each does one operation at a time. */
enum {
	ACTOR_WORKER = 0,
	ACTOR_CHILD = 4,	/* another process, with a copy of the slots */
	ACTOR_HOST,
	ACTOR_MAIN,		/* when the workers have ended */
	ACTORS
};

enum op_kind {
	OP_OPEN_GROUP,
	OP_OPEN_CONTAINER,
	OP_CREATE,
	OP_GET_DEVICE,
	OP_CLOSE,
	OP_DUP,
	OP_SET_CONTAINER,
	OP_SET_IOMMU,
	OP_UNSET,
	OP_STATUS,
	OP_DEVICE_INFO,
	OP_MAP,
	OP_UNMAP,
	OP_ADD,
	OP_DEL,
	OP_ATTR,
	OP_SET_TCE,
	OP_FORK,
	OP_KILL,
	OP_EXIT,
	OP_UNBIND,
	OP_REBIND,
	OP_KINDS
};

/* Variants; 0 is what a correct program does */
enum {
	CREATE_PLAIN, CREATE_FLAG, CREATE_TEST, CREATE_TYPE, CREATE_VARIANTS,
};

enum {
	DEVICE_NAME, DEVICE_NO_NAME, DEVICE_ADDRESS, DEVICE_VARIANTS,
};

enum {
	STATUS_PLAIN, STATUS_SHORT, STATUS_ADDRESS, STATUS_VARIANTS,
};

enum {
	MEMBER_PLAIN, MEMBER_ADDRESS, MEMBER_ATTR_ADDRESS, MEMBER_VARIANTS,
};

enum {
	ATTR_SET_GROUP, ATTR_SET_ATTR, ATTR_HAS_ADD, ATTR_HAS_DEL, ATTR_HAS_TCE,
	ATTR_HAS_OTHER, ATTR_GET, ATTR_VARIANTS,
};

enum {
	TCE_MATCH, TCE_NO_MATCH, TCE_OTHER_VM, TCE_CLOSED, TCE_EVENT, TCE_ADDRESS,
	TCE_VARIANTS,
};

#define EXIT_SELF	1	/* OP_EXIT: not only by a signal */

/**
 * struct op - one operation, and what came of it
 * @kind: which
 * @table: 0, or 1 for the child's copy of the slots
 * @a: slot that it acts on
 * @b: slot of its argument
 * @to: slot for the new file
 * @n: number of a group or VM
 * @variant: see above
 * @address: which of the bad addresses, if the variant wants one
 * @spin: how long to wait before it
 * @result: 0 or flags, or -errno
 * @inv: when it began, in steps of a clock that all share; 0: never
 * @resp: when it was over; 0: killed before
 */
struct op {
	uint8_t kind, table, a, b, to, n, variant, address;
	uint32_t spin;
	int32_t result;
	uint64_t inv, resp;
};

struct op_list {
	unsigned int nr;
	struct op op[MODEL_OPS];
};

struct model_stats {
	unsigned long searches;
	unsigned long largest;	/* states of the largest search */
	unsigned long states;	/* of all */
};

extern const char * const op_names[OP_KINDS];
extern struct model_stats model_stats;

void model_reset(void);
bool model_explain(const struct op_list lists[ACTORS]);
bool model_answer_is(const struct op *op, int expected);
int model_predict(const struct op *op);
bool model_slot_used(unsigned int slot);
bool model_empty(void);
bool model_idle(void);
unsigned int model_possible(void);
void model_print(void);
void op_print(unsigned int actor, const struct op *op);

#endif /* SELFTEST_KVM_VFIO_MODEL_H */
