// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kprobe events for the tests of the KVM-VFIO device, see include/vfio_probe.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kselftest.h"
#include "vfio_probe.h"
#include "vfio_util.h"

#define TRACEFS		"/sys/kernel/tracing"
#define SYSTEM		"kvm_vfio_test"
#define INSTANCE	TRACEFS "/instances/" SYSTEM
#define EVENTS		INSTANCE "/events/" SYSTEM
#define LINE_SIZE	512

int vfio_probe_event(const char *line)
{
#ifdef __powerpc64__
	int ret = __sysfs_write("/proc/sys/debug/kprobes-optimization", "0");

	/* A kernel that never optimizes a probe has no such file. */
	VFIO_ASSERT(!ret || ret == -ENOENT, "kprobes-optimization: %d", ret);
#endif
	return __sysfs_write(TRACEFS "/kprobe_events", line);
}

static unsigned int kernel_major(void)
{
	struct utsname name;

	VFIO_ASSERT(!uname(&name), "uname");
	return strtoul(name.release, NULL, 10);
}

static void probe_define(struct vfio_probe *probe)
{
	char line[LINE_SIZE];
	int ret;

	if (!probe->name || (probe->gone_in && kernel_major() >= probe->gone_in))
		return;
	snprintf(line, sizeof(line), "%c:" SYSTEM "/%s %s\n",
		 probe->returns ? 'r' : 'p', probe->name, probe->definition);
	ret = vfio_probe_event(line);
	VFIO_ASSERT(!ret, "no probe %s: %d", probe->definition, ret);
	probe->is_set = true;
}

void vfio_probes_remove(void)
{
	__sysfs_write(EVENTS "/enable", "0");
	rmdir(INSTANCE);
	vfio_probe_event("-:" SYSTEM "/\n");
}

void vfio_probes_set(struct vfio_probe *probes, unsigned int nr)
{
	unsigned int i, nr_set = 0;
	int ret;

	mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	vfio_probes_remove();
	VFIO_ASSERT(!mkdir(INSTANCE, 0700), "mkdir " INSTANCE);
	for (i = 0; i < nr; i++) {
		probe_define(&probes[i]);
		nr_set += probes[i].is_set;
	}
	/* Without an event there is no folder of them. */
	ret = nr_set ? __sysfs_write(EVENTS "/enable", "1") : 0;
	VFIO_ASSERT(!ret, "kprobe events cannot be enabled: %d", ret);
}

/* The last two columns of kprobe_profile: hits, and missed hits */
unsigned long vfio_probe_hits(const struct vfio_probe *probe)
{
	unsigned long hits = 0, missed = 0;
	char line[LINE_SIZE], name[64];
	bool found = false;
	FILE *f;

	f = fopen(TRACEFS "/kprobe_profile", "re");
	VFIO_ASSERT(f, "open kprobe_profile");
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%63s %lu %lu", name, &hits, &missed) == 3 &&
			!strcmp(name, probe->name);
	fclose(f);
	VFIO_ASSERT(found, "no probe %s", probe->name);
	VFIO_ASSERT(!missed, "%lu hits of probe %s are lost", missed, name);
	return hits;
}

/* Only an open with O_TRUNC clears the trace. */
void vfio_trace_clear(void)
{
	int fd = open(INSTANCE "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	VFIO_ASSERT(fd >= 0, "clear the trace");
	close(fd);
}

unsigned int vfio_trace_count(const struct vfio_probe *probe, uint64_t kvm,
			      uint64_t *last)
{
	char line[LINE_SIZE], name[64], *at;
	unsigned int nr = 0;
	uint64_t found;
	FILE *f;

	snprintf(name, sizeof(name), " %s: (", probe->name);
	f = fopen(INSTANCE "/trace", "re");
	VFIO_ASSERT(f, "open the trace");
	while (fgets(line, sizeof(line), f)) {
		at = *line == '#' ? NULL : strstr(line, name);
		at = at ? strstr(at, " kvm=0x") : NULL;
		if (!at)
			continue;
		found = strtoull(at + strlen(" kvm=0x"), NULL, 16);
		if (kvm != VFIO_PROBE_ANY && kvm != found)
			continue;
		if (last)
			*last = found;
		nr++;
	}
	fclose(f);
	return nr;
}

/* A line: COMM-PID [CPU] FLAGS TIME: NAME: (WHERE) ARGS */
void vfio_trace_each(void (*each)(void *arg, const char *name, const char *args),
		     void *arg)
{
	char line[LINE_SIZE], *name, *where, *args;
	FILE *f = fopen(INSTANCE "/trace", "re");

	VFIO_ASSERT(f, "open the trace");
	while (fgets(line, sizeof(line), f)) {
		if (*line == '#')
			continue;
		VFIO_ASSERT(!strstr(line, "[LOST "), "events are lost: %s", line);
		where = strstr(line, ": (");
		args = where ? strchr(where, ')') : NULL;
		VFIO_ASSERT(args, "a line of the trace: %s", line);
		*where = 0;
		name = strrchr(line, ' ');
		each(arg, name ? name + 1 : line, args + 1);
	}
	fclose(f);
}

uint64_t vfio_trace_arg(const char *args, const char *name)
{
	size_t length = strlen(name);
	const char *at;

	for (at = strstr(args, name); at; at = strstr(at + 1, name))
		if (at[-1] == ' ' && at[length] == '=')
			return strtoull(at + length + 1, NULL, 16);
	VFIO_ASSERT(false, "no %s in %s", name, args);
	return 0;
}
