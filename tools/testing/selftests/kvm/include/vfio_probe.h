/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kprobe events for the tests of the KVM-VFIO device: they show what the kernel
 * did where user space cannot see it.
 */
#ifndef SELFTEST_KVM_VFIO_PROBE_H
#define SELFTEST_KVM_VFIO_PROBE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct vfio_probe - a function of the kernel, each call of which counts
 * @name: short, unique within the program; NULL: this architecture has none
 * @definition: the function, and kvm=FETCHARG:x64 if that is to be read back
 * @gone_in: kernels of this major version and newer do not have it; 0: all do
 * @returns: each return from it counts, and $retval may be fetched
 * @is_set: it has, and calls count
 */
struct vfio_probe {
	const char *name;
	const char *definition;
	unsigned int gone_in;
	bool returns;
	bool is_set;
};

#define VFIO_PROBE(_name, _definition) \
	{ .name = _name, .definition = _definition }

#define VFIO_PROBE_GONE_IN(_major, _name, _definition) \
	{ .name = _name, .definition = _definition, .gone_in = _major }

#define VFIO_PROBE_RETURN(_name, _definition) \
	{ .name = _name, .definition = _definition, .returns = true }

#define VFIO_PROBE_ANY	UINT64_MAX

/*
 * Where a probe of a function sits, and the first two arguments there.
 *
 * r13 of POWER is the address of the CPU's own data.  ftrace, and the code of a
 * probe that the kernel has optimized, save r13 and load it again afterwards.  On
 * a preemptible kernel (Debian's 7.2) the task may be on another CPU by then, and
 * goes on with the data of the first one: the kernel takes another task for the
 * current one, finds its stack corrupted, or hangs.  A probe that traps does not
 * do that.  So probes sit behind what ftrace patches, which is in the first four
 * instructions of a function that uses the TOC, and in the first two of one that
 * does not; and vfio_probe_event() turns the optimization off.  A program with
 * probes that sit at the start, as @returns ones have to, stays on one CPU.
 */
#ifdef __powerpc64__
#define VFIO_PROBE_AT(function)	function "+16"
#define VFIO_PROBE_AT_NO_TOC(function) function "+8"
#define VFIO_PROBE_ARG1		"%gpr3"
#define VFIO_PROBE_ARG2		"%gpr4"
#else
#define VFIO_PROBE_AT(function)	function
#define VFIO_PROBE_ARG1		"$arg1"
#define VFIO_PROBE_ARG2		"$arg2"
#endif

/* Appends a line to kprobe_events; 0, or a negative errno. */
int vfio_probe_event(const char *line);

/* Stops the test if one cannot be set that the kernel must have. */
void vfio_probes_set(struct vfio_probe *probes, unsigned int nr);
void vfio_probes_remove(void);

/* All calls since the probes were set */
unsigned long vfio_probe_hits(const struct vfio_probe *probe);

/* Calls with this kvm since the trace was cleared; the last one's kvm */
void vfio_trace_clear(void);
unsigned int vfio_trace_count(const struct vfio_probe *probe, uint64_t kvm,
			      uint64_t *last);

/*
 * All calls since the trace was cleared, oldest first; @args is "x=0x1 y=0x2".
 */
void vfio_trace_each(void (*each)(void *arg, const char *name, const char *args),
		     void *arg);

/* The value after "@name=" in @args; stops the test if there is none. */
uint64_t vfio_trace_arg(const char *args, const char *name);

#endif /* SELFTEST_KVM_VFIO_PROBE_H */
