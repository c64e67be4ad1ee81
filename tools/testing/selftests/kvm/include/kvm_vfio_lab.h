/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface of the lab module (tests/lab/module): a second external user of
 * VFIO, and a VFIO IOMMU driver that does what a test sets.
 *
 * An ioctl returns -errno, or else what the function of VFIO returned, or the member of
 * struct vfio_external_user.
 */
#ifndef KVM_VFIO_LAB_H
#define KVM_VFIO_LAB_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KVM_VFIO_LAB_DEVICE	"kvm-vfio-lab"

/*
 * External users.  A handle belongs to the open file that made it.  It lasts
 * until PUT or until that file is closed.
 */
struct kvm_vfio_lab_group {
	__s32 handle;
	__s32 ret;		/* in: what the function has to return */
	__u32 calls;		/* out: how often it was called, */
	__s32 id;		/* and with which IOMMU group */
};

struct kvm_vfio_lab_kvm {
	__s32 handle;
	__s32 vm;		/* fd of a VM */
};

/*
 * Use the group in a sequence of RCU read-side sections of @section_us each,
 * until the user is dead or @limit_us have passed.  If the user dies within a
 * section, that section lasts @linger_us longer.  The results are about the
 * last section.
 */
struct kvm_vfio_lab_hold {
	__s32 handle;
	__s32 eventfd;		/* signalled in the first section, -1 for none */
	__u32 limit_us;
	__u32 section_us;	/* both at most KVM_VFIO_LAB_SECTION_MAX */
	__u32 linger_us;
	__u32 alive_first;	/* out: alive() at the beginning, */
	__u32 alive_last;	/* and at the end of the section */
	__u32 detaches;		/* out: groups that lost the driver below meanwhile */
};

/* Far below the limits of the kernel's watchdogs */
#define KVM_VFIO_LAB_SECTION_MAX	1000000

/*
 * Stall another thread of the process once: the first to call @function, after this has
 * returned, spins at its beginning, with preemption off, until END, the end of the open
 * file, or @limit_us have passed.  An open file has one stall, until END.  Threads that
 * may call one of the functions stay on one CPU, for the reason that is in vfio_probe.h.
 */
#define KVM_VFIO_LAB_NAME_SIZE		64

struct kvm_vfio_lab_stall {
	char function[KVM_VFIO_LAB_NAME_SIZE];
	char meanwhile[KVM_VFIO_LAB_NAME_SIZE];	/* calls of this one are counted */
	__u32 limit_us;		/* at most KVM_VFIO_LAB_SECTION_MAX */
};

struct kvm_vfio_lab_stalled {
	__u32 state;		/* one of these: */
#define KVM_VFIO_LAB_STALL_ARMED	0	/* nobody has called it yet */
#define KVM_VFIO_LAB_STALL_NOW		1
#define KVM_VFIO_LAB_STALL_LIMIT	2	/* it is over, by its limit */
	__u32 meanwhile;	/* how often that was called during the stall */
};

#define KVM_VFIO_LAB_GET		_IO('L', 0x00)	/* fd of a VFIO file */
#define KVM_VFIO_LAB_PUT		_IO('L', 0x01)	/* handle */
#define KVM_VFIO_LAB_ALIVE		_IO('L', 0x02)	/* handle */
#define KVM_VFIO_LAB_IOMMU_ID		_IO('L', 0x03)	/* handle */
#define KVM_VFIO_LAB_ENFORCED_COHERENT	_IO('L', 0x04)	/* handle */
#define KVM_VFIO_LAB_WITH_GROUP		_IOWR('L', 0x06, struct kvm_vfio_lab_group)
#define KVM_VFIO_LAB_SET_KVM		_IOW('L', 0x07, struct kvm_vfio_lab_kvm)
#define KVM_VFIO_LAB_HOLD_RCU		_IOWR('L', 0x08, struct kvm_vfio_lab_hold)
/* Returns 1 if one CPU is enough to race with HOLD_RCU (its readers yield). */
#define KVM_VFIO_LAB_HOLD_YIELDS	_IO('L', 0x09)
/* ENOENT: the kernel has no such function; EBUSY: there is a stall. */
#define KVM_VFIO_LAB_STALL		_IOW('L', 0x0a, struct kvm_vfio_lab_stall)
/* Both ENOENT if there is none */
#define KVM_VFIO_LAB_STALL_LOOK		_IOR('L', 0x0b, struct kvm_vfio_lab_stalled)
#define KVM_VFIO_LAB_STALL_END		_IO('L', 0x0c)

/*
 * The IOMMU driver.  It has two types for VFIO_SET_IOMMU and
 * VFIO_CHECK_EXTENSION, which do the same but have separate defaults and
 * counts.  It programs no hardware: a group that it attaches can do no DMA at
 * all.
 */
#define KVM_VFIO_LAB_TYPES		2
#define KVM_VFIO_LAB_TYPE(n)		(0x4c414200 + (n))

/* Extensions 0 to 0xffff above this: a set container answers with that number. */
#define KVM_VFIO_LAB_ECHO		0x4c420000

/* Zero, or the error to fail with (-errno), unless the field says otherwise. */
struct kvm_vfio_lab_behaviour {
	__u32 type;		/* 0 or 1; ignored on a container */
	__s32 coherent;		/* VFIO_DMA_CC_IOMMU: the answer itself */
	__s32 check;		/* VFIO_CHECK_EXTENSION of anything */
	__s32 open;		/* VFIO_SET_IOMMU */
	__s32 attach;		/* a group comes into the container */
	__s32 unknown;		/* any other ioctl: the answer itself */
};

/* Of all containers of a type, since the module was loaded. */
struct kvm_vfio_lab_counts {
	__u32 type;		/* in */
	__u32 opens;		/* those that succeeded, as all below */
	__u32 releases;
	__u32 attaches;
	__u32 detaches;
	__u32 registers;	/* devices opened */
	__u32 unregisters;
	__u32 asked_coherent;	/* VFIO_DMA_CC_IOMMU, of containers that are set */
};

/* On KVM_VFIO_LAB_DEVICE: the defaults of a type, for new containers */
#define KVM_VFIO_LAB_SET_DEFAULTS	_IOW('L', 0x20, struct kvm_vfio_lab_behaviour)
#define KVM_VFIO_LAB_GET_COUNTS		_IOWR('L', 0x21, struct kvm_vfio_lab_counts)

/* On a container with one of these types */
#define KVM_VFIO_LAB_SET_BEHAVIOUR	_IOW('L', 0x30, struct kvm_vfio_lab_behaviour)

#endif /* KVM_VFIO_LAB_H */
