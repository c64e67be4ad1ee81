// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads fdinfo of KVM-VFIO devices and TCE tables, and the tracepoints of kvm_vfio.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vfio_show.h"
#include "vfio_util.h"

#define INSTANCE	"/sys/kernel/tracing/instances/kvm_vfio_events"

void vfio_show_path(int fd, char *path, size_t size)
{
	snprintf(path, size, "/proc/%d/fdinfo/%d", getpid(), fd);
}

static ssize_t read_all(const char *path, char *text, size_t size)
{
	ssize_t length = 0, ret;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	do {
		ret = read(fd, text + length, size - 1 - length);
		if (ret < 0) {
			ret = -errno;
			close(fd);
			return ret;
		}
		length += ret;
	} while (ret);
	close(fd);
	text[length] = '\0';
	return length;
}

/* "key:<tab>value", and an empty line between records */
static int parse(struct vfio_show *show)
{
	char *line = show->start, *end, *tab;

	show->records = 1;
	show->lines = 0;
	for (; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end || show->lines == VFIO_SHOW_LINES)
			return -EBADMSG;
		*end = '\0';
		if (end == line) {
			show->records++;
			continue;
		}
		tab = strstr(line, ":\t");
		if (!tab || tab == line || !tab[2])
			return -EBADMSG;
		*tab = '\0';
		show->line[show->lines++] = (struct vfio_show_line){
			.record = show->records - 1,
			.key = line,
			.value = tab + 2,
		};
	}
	return show->lines ? 0 : -EBADMSG;
}

int __vfio_show_file(const char *path, struct vfio_show *show)
{
	ssize_t length = read_all(path, show->text, sizeof(show->text));
	char *start;

	if (length < 0)
		return length;
	/* After the lines of every fd, which end with "ino" */
	start = strstr(show->text, "\nkvm-");
	if (!start)
		return -ENODATA;
	show->start = start + 1;
	return parse(show);
}

void vfio_show_fd(int fd, struct vfio_show *show)
{
	const char *wrong;
	char path[96];
	int ret;

	vfio_show_path(fd, path, sizeof(path));
	ret = __vfio_show_file(path, show);
	VFIO_ASSERT(!ret, "%s: %d", path, ret);
	wrong = vfio_show_wrong(show);
	VFIO_ASSERT(!wrong, "%s: %s", path, wrong);
}

unsigned int vfio_show_record(const struct vfio_show *show, const char *key,
			      const char *value)
{
	unsigned int i;

	for (i = 0; i < show->lines; i++) {
		if (i && show->line[i].record == show->line[i - 1].record)
			continue;
		if (!strcmp(show->line[i].key, key) &&
		    !strcmp(show->line[i].value, value))
			return show->line[i].record;
	}
	VFIO_ASSERT(false, "no record '%s: %s'", key, value);
	return 0;
}

unsigned int vfio_show_count(const struct vfio_show *show, const char *key,
			     const char *value)
{
	unsigned int i, nr = 0;

	for (i = 0; i < show->lines; i++)
		nr += !strcmp(show->line[i].key, key) &&
		      (!value || !strcmp(show->line[i].value, value));
	return nr;
}

const char *vfio_show_get(const struct vfio_show *show, unsigned int record,
			  const char *key)
{
	unsigned int i;

	for (i = 0; i < show->lines; i++)
		if (show->line[i].record == record && !strcmp(show->line[i].key, key))
			return show->line[i].value;
	return "";
}

unsigned long long vfio_show_number(const struct vfio_show *show, unsigned int record,
				    const char *key)
{
	const char *value = vfio_show_get(show, record, key);
	unsigned long long number;
	char *end;

	number = strtoull(value, &end, 0);
	VFIO_ASSERT(*value && !*end, "%s: '%s' is no number", key, value);
	return number;
}

/* Lines that begin a record with that key */
static unsigned int count_records(const struct vfio_show *show, const char *key)
{
	unsigned int i, nr = 0;

	for (i = 0; i < show->lines; i++)
		nr += (!i || show->line[i].record != show->line[i - 1].record) &&
		      !strcmp(show->line[i].key, key);
	return nr;
}

/* Architectures without noncoherent DMA have no such lines. */
static bool coherency_wrong(const struct vfio_show *show, unsigned int files)
{
	unsigned int lines = vfio_show_count(show, "coherent", NULL);

	if (!*vfio_show_get(show, 0, "noncoherent"))
		return lines;
	return lines != files || vfio_show_count(show, "coherent", "no") !=
				 vfio_show_number(show, 0, "noncoherent");
}

static const char *device_wrong(const struct vfio_show *show)
{
	unsigned int files = count_records(show, "group") + count_records(show, "cdev");

	if (show->records != 1 + files)
		return "records of another kind";
	if (vfio_show_number(show, 0, "files") != files)
		return "files are not as many as their records";
	if (coherency_wrong(show, files))
		return "noncoherent files are not as many as their records";
	if (vfio_show_count(show, "state", "revoked") >
	    vfio_show_count(show, "protection", "none"))
		return "revoked, but protected";
	return NULL;
}

const char *vfio_show_wrong(const struct vfio_show *show)
{
	const char *key = show->line[0].key;

	if (strcmp(show->line[0].value, "1"))
		return "not version 1";
	if (!*vfio_show_get(show, 0, "vm"))
		return "of no VM";
	if (!strcmp(key, "kvm-vfio"))
		return device_wrong(show);
	return strcmp(key, "kvm-spapr-tce") || show->records != 1 ? "no table" : NULL;
}

/* Not reached on kernels without the tracepoints */
void vfio_events_begin(void)
{
	int ret;

	/* A test that failed may have left it, with events of its own. */
	rmdir(INSTANCE);
	VFIO_ASSERT(!mkdir(INSTANCE, 0700), "mkdir " INSTANCE ": %d", -errno);
	ret = __sysfs_write(INSTANCE "/events/kvm_vfio/enable", "1");
	VFIO_ASSERT(!ret, "enable the events of kvm_vfio: %d", ret);
}

void vfio_events_end(char *text, size_t size)
{
	static char trace[65536];
	ssize_t length = read_all(INSTANCE "/trace", trace, sizeof(trace));
	char *line, *next, *name;
	size_t used = 0;

	VFIO_ASSERT(length >= 0, "read the trace: %zd", length);
	text[0] = '\0';
	for (line = trace; *line; line = next) {
		next = strchrnul(line, '\n');
		if (*next)
			*next++ = '\0';
		/* "task-pid [cpu] flags time: name: fields" */
		name = strstr(line, ": kvm_vfio_");
		if (*line == '#' || !name)
			continue;
		used += snprintf(text + used, size - used, "%s\n", name + 2);
		VFIO_ASSERT(used < size, "more events than expected");
	}
	VFIO_ASSERT(!rmdir(INSTANCE), "rmdir " INSTANCE ": %d", -errno);
}
