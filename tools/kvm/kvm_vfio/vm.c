// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMs, as the fdinfo of KVM-VFIO devices and of TCE tables tells of them.  See
 * Documentation/ABI/testing/procfs-kvm-vfio.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm-vfio.h"

/* Cut the next line "KEY:<tab>VALUE" off *s; false at an empty line or the end. */
static bool next_line(char **s, char **key, char **value)
{
	char *line = *s, *colon;

	if (!*line || *line == '\n')
		return false;
	*s = line + strcspn(line, "\n");
	if (**s)
		*(*s)++ = 0;
	colon = strchr(line, ':');
	*key = line;
	*value = line + strlen(line);
	if (colon) {
		*colon = 0;
		*value = colon + 1 + strspn(colon + 1, "\t ");
	}
	return true;
}

static struct json_object *device_of_line(char *value)
{
	struct json_object *device = new_object();
	char *name = strtok(value, " "), *driver = strtok(NULL, " ");
	char *state = strtok(NULL, " ");

	put_text(device, "name", name);
	put_text(device, "driver", driver);
	put(device, "open", NULL);
	if (state && (!strcmp(state, "open") || !strcmp(state, "closed")))
		put_bool(device, "open", !strcmp(state, "open"));
	return device;
}

static void file_line(struct json_object *file, const char *key, char *value)
{
	if (!strcmp(key, "group") || !strcmp(key, "users"))
		put_value(file, key, value);
	else if (!strcmp(key, "cdev") || !strcmp(key, "state") || !strcmp(key, "protection"))
		put_text(file, key, value);
	else if (!strcmp(key, "coherent"))
		put_bool(file, key, !strcmp(value, "yes"));
	else if (!strcmp(key, "vfio-device"))
		add(get(file, "devices"), device_of_line(value));
}

/* A record of a file that is held; NULL if it is of something else */
static struct json_object *file_of(char **s)
{
	static const char *const keys[] = { "group", "cdev", "state", "protection",
					    "coherent", "users" };
	struct json_object *file = NULL;
	char *key, *value;
	size_t i;

	while (next_line(s, &key, &value)) {
		if (!file) {
			if (strcmp(key, "group") && strcmp(key, "cdev"))
				break;
			file = new_object();
			put_text(file, "type", key);
			for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
				put(file, keys[i], NULL);
			put(file, "devices", new_array());
		}
		file_line(file, key, value);
	}
	while (next_line(s, &key, &value))
		;
	*s += **s == '\n';
	return file;
}

bool is_revoked(struct json_object *file)
{
	const char *state = get_text(file, "state");

	return state && !strcmp(state, "revoked");
}

static int compare_files(const void *a, const void *b)
{
	struct json_object *x = *(struct json_object *const *)a;
	struct json_object *y = *(struct json_object *const *)b;

	if (has(x, "group") != has(y, "group"))
		return has(x, "group") ? -1 : 1;
	return strverscmp(file_name(x), file_name(y));
}

/* Is it the format that is known here? */
static bool is_known(const char *version)
{
	static bool said;

	if (!strcmp(version, "1"))
		return true;
	if (!said)
		warn("kvm.ko tells about VMs in a way that is not known here");
	if (!said)
		warn("install the kvm-vfio that belongs to it");
	said = true;
	return false;
}

/* What the fdinfo of a KVM-VFIO device says; nothing is added on stock. */
static void take_device(struct json_object *vm, char *s)
{
	struct json_object *files = NULL, *file;
	size_t nr_files = 0;
	char *key, *value;

	while (next_line(&s, &key, &value)) {
		if (!strcmp(key, "kvm-vfio")) {
			if (!is_known(value))
				return;
			files = new_array();
		} else if (!strcmp(key, "files")) {
			nr_files = strtoul(value, NULL, 10);
		} else if (!strcmp(key, "vm")) {
			put_text(vm, key, value);
		} else if (!strcmp(key, "vm-pid") && strcmp(value, "0")) {
			put_value(vm, "vm_pid", value);
		} else if (!strcmp(key, "noncoherent")) {
			put_value(vm, "noncoherent", value);
			put_bool(vm, "coherent", !strcmp(value, "0"));
		}
	}
	if (!files)
		return;
	while (*s == '\n') {
		s++;
		while (*s) {
			file = file_of(&s);
			if (file)
				add(files, file);
		}
	}
	json_object_array_sort(files, compare_files);
	put(vm, "files", files);
	put_number(vm, "more_files", nr_files > length(files) ? nr_files - length(files) : 0);
}

static struct json_object *attached_of(const char *value)
{
	struct json_object *attached = new_object();
	size_t n = strcspn(value, " ");

	put_value(attached, "group", text("%.*s", (int)n, value));
	put_text(attached, "state", value[n] ? value + n + 1 : NULL);
	return attached;
}

static void table_line(struct json_object *table, const char *key, char *value)
{
	if (!strcmp(key, "liobn")) {
		put_text(table, key, value);
	} else if (!strcmp(key, "window")) {
		char *space = strchr(value, ' ');

		if (space)
			*space++ = 0;
		put_text(table, "window_start", value);
		put_text(table, "window_size", space);
	} else if (!strcmp(key, "page-size")) {
		put_value(table, "page_size", value);
	} else if (!strcmp(key, "group")) {
		add(get(table, "groups"), attached_of(value));
	} else if (!strcmp(key, "hardware")) {
		put_value(table, "hardware_tables", value);
	} else if (!strcmp(key, "done") || !strcmp(key, "refused") || !strcmp(key, "left")) {
		put_value(table, key, value);
	} else if (starts(key, "left-")) {
		put_value(get(table, "left_by_reason"), key + strlen("left-"), value);
	}
}

/* NULL if it does not tell */
static struct json_object *table_of(char *s)
{
	static const char *const keys[] = { "liobn", "window_start", "window_size", "page_size",
					    "hardware_tables", "done", "refused", "left" };
	struct json_object *table = new_object();
	bool told = false;
	char *key, *value;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		put(table, keys[i], NULL);
	put(table, "groups", new_array());
	put(table, "left_by_reason", new_object());
	while (next_line(&s, &key, &value)) {
		if (!strcmp(key, "kvm-spapr-tce"))
			told = is_known(value);
		else
			table_line(table, key, value);
	}
	if (told)
		return table;
	json_object_put(table);
	return NULL;
}

static void take_table(struct json_object *vm, const struct hold *hold)
{
	const char *name = get_text(vm, "vm");
	struct json_object *table;
	char *info;

	if (name && !starts(hold->identity, text("%s ", name)))
		return;
	info = info_of_fd(hold->task, hold->fd);
	table = info ? table_of(info) : NULL;
	if (table)
		add(get(vm, "tables"), table);
}

bool is_power(void)
{
	char *arch = first_line(at("/proc/sys/kernel/arch"));

	return arch && starts(arch, "ppc");
}

/*
 * A VM that the process has, with its KVM-VFIO device and the fdinfo of that, if not NULL;
 * @name and @fds are those of all VMs of the process.
 */
static struct json_object *vm_of(struct process *process, const char *name,
				 struct json_object *fds, const struct hold *device, char *info)
{
	static const char *const keys[] = { "device_fd", "vm", "vm_pid", "coherent", "noncoherent",
					    "more_files" };
	struct json_object *vm = new_object();
	const struct hold *h, *end = process->holds + process->nr_holds;
	size_t i;

	put_text(vm, "name", name);
	put_number(vm, "pid", process->pid);
	put_text(vm, "process", process->comm);
	put(vm, "vm_fds", json_object_get(fds));
	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		put(vm, keys[i], NULL);
	put(vm, "files", device ? NULL : new_array());
	put(vm, "tables", is_power() ? new_array() : NULL);
	if (device)
		put_number(vm, "device_fd", device->fd);
	else
		put_number(vm, "more_files", 0);
	if (!device && !is_power()) { /* it holds nothing that could make it noncoherent */
		put_number(vm, "noncoherent", 0);
		put_bool(vm, "coherent", true);
	}
	if (info)
		take_device(vm, info);
	for (h = process->holds; h < end; h++)
		if (h->kind == KIND_TCE && has(vm, "tables"))
			take_table(vm, h);
	return vm;
}

/*
 * One for each KVM-VFIO device.  A process with several VMs may have some without one, but
 * which these are cannot be told.
 */
struct json_object *vms_of(struct process *process)
{
	const struct hold *h, *end = process->holds + process->nr_holds;
	struct json_object *vms = new_array(), *fds = new_array();
	const char *name = NULL;
	char *info;

	for (h = process->holds; h < end; h++) {
		if (h->kind == KIND_VM)
			add(fds, json_object_new_int(h->fd));
		if (!name && (h->kind == KIND_VM || h->kind == KIND_KVM_VFIO))
			name = people_name(process->pid);
	}
	for (h = process->holds; h < end; h++) {
		if (h->kind != KIND_KVM_VFIO)
			continue;
		info = info_of_fd(h->task, h->fd);
		/* Or it was closed, or the process has ended, since it was found. */
		if (info || (errno != ENOENT && errno != ESRCH))
			add(vms, vm_of(process, name, fds, h, info));
	}
	if (length(fds) && !length(vms) && process->comm)
		add(vms, vm_of(process, name, fds, NULL, NULL));
	json_object_put(fds);
	return vms;
}

static void add_vms(struct process *process, void *data)
{
	struct json_object *vms = vms_of(process), *vm;

	for_each(vm, vms)
		add(data, json_object_get(vm));
	json_object_put(vms);
}

struct json_object *all_vms(bool *whole)
{
	struct json_object *vms = new_array();

	*whole = visit_processes(add_vms, vms);
	return vms;
}

char *file_name(struct json_object *file)
{
	const char *group = get_text(file, "group"), *cdev = get_text(file, "cdev");

	return group ? text("group %s", group) : text("cdev %s", cdev ? cdev : "?");
}

/* What is out of the ordinary */
char *file_notes(struct json_object *file)
{
	unsigned int users = get_number(file, "users");
	const char *revoked = "", *others = "";

	if (is_revoked(file))
		revoked = "revoked: the host took its devices back";
	if (users)
		others = text("%salso held by %u other%s", *revoked ? ", " : "", users,
			      users > 1 ? "s" : "");
	return text("%s%s", revoked, others);
}

const char *left_reason(const char *key)
{
	static const struct {
		const char *key, *text;
	} reasons[] = {
		{ "address", "page misaligned, or in no memory slot that allows the access" },
		{ "list", "list unreadable, or its memory slot changed" },
		{ "gone", "group or window gone" },
		{ "container",
		  "container without preregistered memory (v1)" },
		{ "memory", "memory not preregistered, or refused by the hardware table" },
		{ "nomem", "no memory left in the kernel" },
		{ "size", "too many hardware entries at once" },
		{ "signal", "signal pending" },
	};
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (!strcmp(key, reasons[i].key))
			return reasons[i].text;
	return key;
}
