// SPDX-License-Identifier: GPL-2.0-only
/*
 * list: VMs with what they hold.  coherent: which are noncoherent, and why.
 */
#include <stdlib.h>
#include <string.h>

#include "kvm-vfio.h"

static const char *yes_no(struct json_object *o, const char *key)
{
	return has(o, key) ? (get_bool(o, key) ? "yes" : "no") : NULL;
}

/* Notes about the VM as a whole */
static char *vm_note(struct json_object *vm)
{
	const char *pid = get_text(vm, "vm_pid");
	char *more = "", *maker = "";

	if (!has(vm, "files"))
		return "this kernel does not tell what it holds";
	if (!has(vm, "device_fd"))
		return "no KVM-VFIO device";
	if (get_number(vm, "more_files"))
		more = text("files that the kernel does not show: %s", get_text(vm, "more_files"));
	if (pid && kernel_pids() && !exists(at("/proc/%s/task/%s", get_text(vm, "pid"), pid)))
		maker = exists(at("/proc/%s", pid)) ? text("made by process %s", pid) :
			text("made by process or thread %s, which is gone", pid);
	return text("%s%s%s", more, *more && *maker ? ", " : "", maker);
}

static void file_rows(struct table *table, struct json_object *vm, struct json_object *file)
{
	const char *name = get_text(vm, "name"), *pid = get_text(vm, "pid");
	struct json_object *devices = get(file, "devices");
	size_t i, n = length(devices);

	for (i = 0; i < (n ? n : 1); i++) {
		struct json_object *device = n ? element(devices, i) : NULL;
		const char *notes = file_notes(file), *note = vm_note(vm);

		table_row(table, 9, name, pid, file_name(file), get_text(device, "name"),
			  get_text(device, "driver"), yes_no(device, "open"),
			  get_text(file, "protection"), yes_no(file, "coherent"),
			  text("%s%s%s", notes, *notes && *note ? ", " : "", note));
	}
}

static void vm_rows(struct table *table, struct json_object *vm)
{
	struct json_object *files = get(vm, "files"), *file;

	for_each(file, files)
		file_rows(table, vm, file);
	if (!length(files))
		table_row(table, 9, get_text(vm, "name"), get_text(vm, "pid"), NULL, NULL, NULL,
			  NULL, NULL, yes_no(vm, "coherent"), vm_note(vm));
}

/* 0x40000000 or 65536: 1 GiB, 64 KiB */
static char *size_text(const char *s)
{
	unsigned long long size = s ? strtoull(s, NULL, 0) : 0;
	int i = 0;

	if (!s)
		return NULL;
	for (; size && size % 1024 == 0 && i < 6; i++)
		size /= 1024;
	return text("%llu %s", size, i ? text("%ciB", " KMGTPE"[i]) : "bytes");
}

static char *groups_text(struct json_object *table)
{
	struct json_object *attached;
	char *all = "";

	for_each(attached, get(table, "groups")) {
		const char *state = get_text(attached, "state");
		bool live = state && !strcmp(state, "live");

		all = text("%s%s%s%s", all, *all ? ", " : "", get_text(attached, "group"),
			   live ? "" : text(" (%s)", state ? state : "?"));
	}
	return *all ? all : NULL;
}

static char *reasons_text(struct json_object *table)
{
	char *all = "";

	json_object_object_foreach(get(table, "left_by_reason"), key, count) {
		if (json_object_get_uint64(count))
			all = text("%s%s%s: %s", all, *all ? "; " : "",
				   json_object_get_string(count), left_reason(key));
	}
	return all;
}

static void table_rows(struct table *text_table, struct json_object *vm)
{
	struct json_object *table;

	for_each(table, get(vm, "tables")) {
		const char *start = get_text(table, "window_start");
		const char *size = size_text(get_text(table, "window_size"));

		table_row(text_table, 10, get_text(vm, "name"), get_text(vm, "pid"),
			  get_text(table, "liobn"),
			  start && size ? text("%s, %s", start, size) : NULL,
			  size_text(get_text(table, "page_size")), groups_text(table),
			  get_text(table, "done"), get_text(table, "refused"),
			  get_text(table, "left"), reasons_text(table));
	}
}

static void list_text(struct json_object *vms)
{
	struct table *files = table_new(), *tables = NULL;
	struct json_object *vm;

	table_row(files, 9, "VM", "PID", "HOLDS", "DEVICE", "DRIVER", "OPEN", "PROTECTION",
		  "COHERENT", "NOTES");
	for_each(vm, vms) {
		vm_rows(files, vm);
		if (!length(get(vm, "tables")))
			continue;
		if (!tables) {
			tables = table_new();
			table_row(tables, 10, "VM", "PID", "TCE TABLE", "WINDOW", "PAGES",
				  "GROUPS", "DONE", "REFUSED", "LEFT", "LEFT BECAUSE");
		}
		table_rows(tables, vm);
	}
	table_print(files, "");
	if (tables) {
		puts("");
		table_print(tables, "");
	}
}

void say_if_not_whole(bool whole)
{
	if (!whole)
		warn(text("no permission to look at some processes: %s to see all VMs",
			  more_permission()));
}

int list(bool json)
{
	struct json_object *tree = new_object(), *vms;
	bool whole;

	vms = all_vms(&whole);
	put(tree, "vms", vms);
	put_bool(tree, "whole", whole);
	if (json)
		print_tree(tree);
	else if (length(vms))
		list_text(vms);
	else
		puts("no VMs");
	json_object_put(tree);
	say_if_not_whole(whole);
	return YES;
}

/* The VM with the files because of which it is noncoherent */
static struct json_object *coherent_of(struct json_object *vm)
{
	static const char *const keys[] = { "name", "pid", "process", "device_fd", "vm",
					    "coherent" };
	struct json_object *o = new_object(), *because = new_array(), *file;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		put(o, keys[i], json_object_get(get(vm, keys[i])));
	put(o, "because", has(vm, "files") ? because : NULL);
	if (!has(vm, "files"))
		json_object_put(because);
	for_each(file, get(vm, "files")) {
		if (!is_false(file, "coherent"))
			continue;
		put(file, "iommus", iommus_of(file));
		add(because, json_object_get(file));
	}
	return o;
}

static void because_text(struct json_object *file)
{
	struct json_object *iommu, *iommus = get(file, "iommus"), *device;
	const char *unit;

	printf("  %s%s\n", plain(file_name(file)), is_revoked(file) ?
	       ", which the host took back: it counts until the VM lets it go" : "");
	for_each(iommu, iommus) {
		unit = get_text(iommu, "iommu");
		printf("    %s  IOMMU %s%s\n", plain(get_text(iommu, "device")),
		       unit ? plain(unit) : "unknown", !has(iommu, "snoop_control") ? "" :
		       get_bool(iommu, "snoop_control") ? ", has snoop control" :
		       ", no snoop control");
	}
	if (length(iommus))
		return;
	for_each(device, get(file, "devices"))
		printf("    %s\n", plain(get_text(device, "name")));
}

static void coherent_text(struct json_object *vm)
{
	struct json_object *file;

	printf("%s  PID %s: %s\n", plain(get_text(vm, "name")), get_text(vm, "pid"),
	       !has(vm, "because") ? "not known, this kernel does not tell" :
	       !has(vm, "coherent") ? "coherency does not matter" :
	       get_bool(vm, "coherent") ? "coherent" : "noncoherent, because of");
	for_each(file, get(vm, "because"))
		because_text(file);
}

static bool is_asked(struct json_object *vm, const char *which)
{
	const char *name = get_text(vm, "name");

	return !which || !strcmp(which, get_text(vm, "pid")) ||
		(name && !strcmp(which, name));
}

int coherent(const char *which, bool json)
{
	struct json_object *tree = new_object(), *told = new_array(), *vms, *vm;
	bool whole, bad = false, untold = false;

	vms = all_vms(&whole);
	put(tree, "vms", told);
	for_each(vm, vms) {
		if (!is_asked(vm, which))
			continue;
		add(told, coherent_of(vm));
		bad |= is_false(vm, "coherent");
		untold |= !has(vm, "files");
	}
	json_object_put(vms);
	if (which && !length(told))
		die(text("no such VM: %s", plain(which)), whole ?
		    "kvm-vfio list shows them" : text("%s to see all VMs", more_permission()));
	if (json) {
		print_tree(tree);
	} else {
		for_each(vm, told)
			coherent_text(vm);
		if (!length(told))
			puts("no VMs");
	}
	if (bad && !json)
		puts("Noncoherent: DMA of a device may bypass the CPU caches, so the guest\n"
		     "flushes them (WBINVD) and its memory types (PAT) count, which is slow.\n"
		     "See kvm-vfio(8) for what to do.");
	json_object_put(tree);
	if (untold)
		warn("this kernel does not tell all that VMs hold");
	say_if_not_whole(whole);
	if (bad)
		return NO;
	return untold || (!whole && !which) ? FAILED : YES;
}
