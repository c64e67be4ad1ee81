/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel tells people: fdinfo of KVM-VFIO devices and TCE tables, as of
 * Documentation/ABI/testing/procfs-kvm-vfio, and the tracepoints of kvm_vfio.
 */
#ifndef SELFTEST_KVM_VFIO_SHOW_H
#define SELFTEST_KVM_VFIO_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define VFIO_SHOW_SIZE	32768
#define VFIO_SHOW_LINES	1024

struct vfio_show_line {
	unsigned int record;
	const char *key;
	const char *value;
};

/* What was read; record 0 is that of the device or table itself. */
struct vfio_show {
	char text[VFIO_SHOW_SIZE];
	char *start;
	unsigned int records;
	unsigned int lines;
	struct vfio_show_line line[VFIO_SHOW_LINES];
};

/* The path of fdinfo of an fd of this process */
void vfio_show_path(int fd, char *path, size_t size);
/*
 * 0 or -errno; -ENODATA if it is fdinfo of another kind of file; -EBADMSG if the text is
 * not made of records of keys and values
 */
int __vfio_show_file(const char *path, struct vfio_show *show);
void vfio_show_fd(int fd, struct vfio_show *show);

/* The record with that first line; stops the test if there is none. */
unsigned int vfio_show_record(const struct vfio_show *show, const char *key,
			      const char *value);
/*
 * How many lines, in all records, have that key and, unless it is NULL, that
 * value
 */
unsigned int vfio_show_count(const struct vfio_show *show, const char *key,
			     const char *value);
/* The first such value of the record, "" if there is none */
const char *vfio_show_get(const struct vfio_show *show, unsigned int record,
			  const char *key);
unsigned long long vfio_show_number(const struct vfio_show *show, unsigned int record,
				    const char *key);
/* NULL, or a description of what is inconsistent */
const char *vfio_show_wrong(const struct vfio_show *show);

/* The events of kvm_vfio from _begin on; @text gets one "name: fields" a line. */
void vfio_events_begin(void);
void vfio_events_end(char *text, size_t size);

#endif /* SELFTEST_KVM_VFIO_SHOW_H */
