/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for tests of TCE tables (POWER): the hypercalls of a guest, windows
 * of a container, and how often preregistered memory is mapped.
 */
#ifndef SELFTEST_KVM_VFIO_TCE_H
#define SELFTEST_KVM_VFIO_TCE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ppc64_guest.h"

#define TCE_READ	1UL
#define TCE_WRITE	2UL
#define TCE_RW		(TCE_READ | TCE_WRITE)
#define TCE_LIST	512UL

/* As ppc64_hcall(); of H_GET_TCE, the entry is at @tce. */
long h_put_tce(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
	       uint64_t tce);
long h_put_tce_indirect(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
			uint64_t list, uint64_t npages);
long h_stuff_tce(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
		 uint64_t value, uint64_t npages);
long h_get_tce(struct ppc64_vcpu *vcpu, uint64_t liobn, uint64_t ioba,
	       uint64_t *tce);
/* Entry @nr of the list at @gpa, for H_PUT_TCE_INDIRECT */
void tce_list_set(struct ppc64_vm *vm, uint64_t gpa, unsigned int nr, uint64_t tce);

/* A table of the VM: @offset and @size in pages of 1 << @shift */
int __tce_table(int vm, uint64_t liobn, unsigned int shift, uint64_t offset,
		uint64_t size);
int tce_table(int vm, uint64_t liobn, unsigned int shift, uint64_t offset,
	      uint64_t size);

/* Windows of a v2 container.  A new one has no default window after _drop. */
void tce_window_drop_default(int container);
int __tce_window_create(int container, unsigned int shift, uint64_t size,
			unsigned int levels, uint64_t *start);
uint64_t tce_window_create(int container, unsigned int shift, uint64_t size);
int __tce_window_remove(int container, uint64_t start);
void tce_window_remove(int container, uint64_t start);

void tce_watch_regions(void);
/* How many entries map pages of a region that is registered, in all tables */
long tce_region_mapped(int container, void *va, size_t size);

/* A hypercall in a thread of its own */
struct tce_call {
	struct ppc64_vcpu *vcpu;
	unsigned long nr;
	uint64_t args[4];
	long ret;
	pthread_t thread;
};

void tce_call_start(struct tce_call *call);
/* What the guest was given, as by ppc64_hcall() */
long tce_call_wait(struct tce_call *call);

/*
 * A thread that changes an entry of a list between two values, without pause.
 */
struct tce_flip {
	uint64_t *at;
	uint64_t tces[2];
	bool stop;
	pthread_t thread;
};

void tce_flip_start(struct tce_flip *flip, struct ppc64_vm *vm, uint64_t gpa,
		    unsigned int nr, uint64_t one, uint64_t other);
void tce_flip_stop(struct tce_flip *flip);

struct missing_page;

/* The missing page is there, with @tces at its start. */
void tce_missing_give(const struct missing_page *missing, const uint64_t *tces,
		      unsigned int nr);

/*
 * Checks that fn(arg) returns in time.  If not, ends it and then waits for it.
 */
struct tce_within {
	void (*fn)(void *arg);
	void *arg;
	pthread_t thread;
};

bool tce_within(struct tce_within *within, unsigned int seconds);
void tce_within_end(struct tce_within *within);

/*
 * Waits until the kernel has freed what it frees by RCU, unless it is very
 * busy.
 */
void tce_rcu_wait(void);

/* Makes each call of a kernel function slow, until it is undone: VFIO_PROBE_AT(). */
bool tce_slow_down(const char *place);
void tce_normal_speed(void);

#endif /* SELFTEST_KVM_VFIO_TCE_H */
