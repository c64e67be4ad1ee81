/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm_vfio

#if !defined(_TRACE_KVM_VFIO_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_KVM_VFIO_H

#include <linux/kdev_t.h>
#include <linux/tracepoint.h>

/*
 * All events have pid, of the thread that created the VM, as fdinfo of the KVM-VFIO
 * device has it, or 0 if memory was short.  A file of VFIO is dev, the number of
 * its device node; group is -1 for the cdev of a device.
 */
DECLARE_EVENT_CLASS(kvm_vfio_file,
	TP_PROTO(pid_t pid, dev_t dev, int group, bool noncoherent,
		 unsigned int files),
	TP_ARGS(pid, dev, group, noncoherent, files),

	TP_STRUCT__entry(
		__field(pid_t, pid)
		__field(dev_t, dev)
		__field(int, group)
		__field(bool, noncoherent)
		__field(unsigned int, files)
	),

	TP_fast_assign(
		__entry->pid = pid;
		__entry->dev = dev;
		__entry->group = group;
		__entry->noncoherent = noncoherent;
		__entry->files = files;
	),

	TP_printk("pid=%d dev=%u:%u group=%d noncoherent=%u files=%u",
		  __entry->pid, MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->group, __entry->noncoherent, __entry->files)
);

/* The VM holds one more file; files is how many then. */
DEFINE_EVENT(kvm_vfio_file, kvm_vfio_add,
	TP_PROTO(pid_t pid, dev_t dev, int group, bool noncoherent,
		 unsigned int files),
	TP_ARGS(pid, dev, group, noncoherent, files)
);

/* It let go of one: by DEL, or as the KVM-VFIO device was closed. */
DEFINE_EVENT(kvm_vfio_file, kvm_vfio_del,
	TP_PROTO(pid_t pid, dev_t dev, int group, bool noncoherent,
		 unsigned int files),
	TP_ARGS(pid, dev, group, noncoherent, files)
);

/* The VM turns noncoherent by its first such file, or coherent again. */
TRACE_EVENT(kvm_vfio_coherency,
	TP_PROTO(pid_t pid, bool noncoherent),
	TP_ARGS(pid, noncoherent),

	TP_STRUCT__entry(
		__field(pid_t, pid)
		__field(bool, noncoherent)
	),

	TP_fast_assign(
		__entry->pid = pid;
		__entry->noncoherent = noncoherent;
	),

	TP_printk("pid=%d noncoherent=%u", __entry->pid, __entry->noncoherent)
);

#ifdef CONFIG_SPAPR_TCE_IOMMU
#include <asm/kvm_spapr_tce.h>

/* For tools that parse the event's format: it has the values instead of the names. */
TRACE_DEFINE_ENUM(TCE_LEFT_TABLE);
TRACE_DEFINE_ENUM(TCE_LEFT_ADDRESS);
TRACE_DEFINE_ENUM(TCE_LEFT_LIST);
TRACE_DEFINE_ENUM(TCE_LEFT_GONE);
TRACE_DEFINE_ENUM(TCE_LEFT_CONTAINER);
TRACE_DEFINE_ENUM(TCE_LEFT_MEMORY);
TRACE_DEFINE_ENUM(TCE_LEFT_NOMEM);
TRACE_DEFINE_ENUM(TCE_LEFT_SIZE);
TRACE_DEFINE_ENUM(TCE_LEFT_SIGNAL);

/* For struct trace_print_flags */
#define TCE_LEFT_NAMES					\
	{ TCE_LEFT_TABLE,	"table" },		\
	{ TCE_LEFT_ADDRESS,	"address" },		\
	{ TCE_LEFT_LIST,	"list" },		\
	{ TCE_LEFT_GONE,	"gone" },		\
	{ TCE_LEFT_CONTAINER,	"container" },		\
	{ TCE_LEFT_MEMORY,	"memory" },		\
	{ TCE_LEFT_NOMEM,	"nomem" },		\
	{ TCE_LEFT_SIZE,	"size" },		\
	{ TCE_LEFT_SIGNAL,	"signal" }

DECLARE_EVENT_CLASS(kvm_vfio_tce,
	TP_PROTO(pid_t pid, u64 liobn, int group, u64 start, u64 size),
	TP_ARGS(pid, liobn, group, start, size),

	TP_STRUCT__entry(
		__field(pid_t, pid)
		__field(u64, liobn)
		__field(int, group)
		__field(u64, start)
		__field(u64, size)
	),

	TP_fast_assign(
		__entry->pid = pid;
		__entry->liobn = liobn;
		__entry->group = group;
		__entry->start = start;
		__entry->size = size;
	),

	TP_printk("pid=%d liobn=0x%llx group=%d start=0x%llx size=0x%llx",
		  __entry->pid, __entry->liobn, __entry->group, __entry->start,
		  __entry->size)
);

/*
 * A TCE table of the VM reaches the group's hardware table; start and size, in bytes
 * of bus address, are of the hardware's window.
 */
DEFINE_EVENT(kvm_vfio_tce, kvm_vfio_attach,
	TP_PROTO(pid_t pid, u64 liobn, int group, u64 start, u64 size),
	TP_ARGS(pid, liobn, group, start, size)
);

/* No more: the file was let go, the table closed, or another window took its place. */
DEFINE_EVENT(kvm_vfio_tce, kvm_vfio_detach,
	TP_PROTO(pid_t pid, u64 liobn, int group, u64 start, u64 size),
	TP_ARGS(pid, liobn, group, start, size)
);

/* A TCE hypercall is left to user space (H_TOO_HARD), some of it done or nothing. */
TRACE_EVENT(kvm_vfio_tce_fallback,
	TP_PROTO(pid_t pid, u64 liobn, u64 ioba, u64 npages, unsigned int reason),
	TP_ARGS(pid, liobn, ioba, npages, reason),

	TP_STRUCT__entry(
		__field(pid_t, pid)
		__field(u64, liobn)
		__field(u64, ioba)
		__field(u64, npages)
		__field(unsigned int, reason)
	),

	TP_fast_assign(
		__entry->pid = pid;
		__entry->liobn = liobn;
		__entry->ioba = ioba;
		__entry->npages = npages;
		__entry->reason = reason;
	),

	TP_printk("pid=%d liobn=0x%llx ioba=0x%llx npages=%llu reason=%s",
		  __entry->pid, __entry->liobn, __entry->ioba, __entry->npages,
		  __print_symbolic(__entry->reason, TCE_LEFT_NAMES))
);
#endif /* CONFIG_SPAPR_TCE_IOMMU */

#endif /* _TRACE_KVM_VFIO_H */

#include <trace/define_trace.h>
