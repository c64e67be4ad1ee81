// SPDX-License-Identifier: GPL-2.0-only
/*
 * why: why is a device or group busy, or not viable?
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kvm-vfio.h"

/**
 * struct search - for those who hold a device, or any device of a group
 * @group: its number, NULL if the device has none
 * @device: its name, NULL if a group is asked for
 * @siblings: look for those who hold another device of its group, too
 * @members: all devices of the group
 * @vms: that hold it
 * @processes: that certainly have it open or mapped
 * @perhaps: that have VFIO devices of which the kernel does not tell which
 * @in_flight: sockets with files in flight
 * @unnamed: some of @perhaps have a device that the kernel does not name
 * @untold: processes with VMs that do not tell all that they hold
 */
struct search {
	const char *group, *device;
	bool siblings;
	struct json_object *members, *vms, *processes, *perhaps, *in_flight, *untold;
	bool unnamed;
};

/* All devices of the group, or the one at @dir, which has none */
static void find_members(struct search *search, char *dir)
{
	search->group = link_name(text("%s/iommu_group", dir));
	search->members = search->group ? group_members(search->group) : NULL;
	if (!search->members) {
		search->members = new_array();
		add(search->members, device_member(dir));
	}
}

/* vfio0, or noiommu-vfio0 */
static bool is_cdev_name(const char *name)
{
	if (starts(name, "noiommu-"))
		name += strlen("noiommu-");
	return starts(name, "vfio") && is_number(name + strlen("vfio"));
}

static void find_cdev(struct search *search, const char *cdev, const char *asked)
{
	char *dir = NULL;

	if (is_cdev_name(cdev))
		search->device = link_name(at("/sys/class/vfio-dev/%s/device", cdev));
	if (search->device)
		dir = find_device(search->device);
	if (!dir)
		die(text("no such VFIO device: %s", plain(asked)), NULL);
	find_members(search, dir);
}

static void find_by_name(struct search *search, const char *name, const char *asked)
{
	char *lower = text("%s", name), *dir = find_device(name), *s;

	for (s = lower; *s; s++)
		if (*s >= 'A' && *s <= 'F')
			*s += 'a' - 'A';
	if (!dir)
		dir = find_device(lower);
	if (!dir)
		dir = find_device(text("0000:%s", lower));
	if (!dir)
		die(text("no such device: %s", plain(asked)), NULL);
	search->device = strrchr(dir, '/') + 1;
	find_members(search, dir);
}

static void resolve(struct search *search, const char *asked)
{
	const char *name = asked;

	if (!strcmp(asked, "/dev/vfio/vfio"))
		die("/dev/vfio/vfio is the container, which all share", NULL);
	if (starts(asked, "/dev/vfio/devices/")) {
		find_cdev(search, asked + strlen("/dev/vfio/devices/"), asked);
		return;
	}
	if (starts(asked, "/dev/vfio/")) {
		name += strlen("/dev/vfio/");
		if (starts(name, "noiommu-"))
			name += strlen("noiommu-");
		if (!is_number(name))
			die(text("no such group: %s", plain(asked)), NULL);
	}
	if (is_number(name)) {
		search->group = name;
		search->members = group_members(name);
	} else if (is_cdev_name(name)) {
		find_cdev(search, name, asked);
	} else {
		find_by_name(search, name, asked);
	}
}

/* Is the device the one that is asked for, or one of the group? */
static bool is_wanted(const struct search *search, const char *name)
{
	struct json_object *member;

	if (!name)
		return false;
	if (search->device && !search->siblings)
		return !strcmp(name, search->device);
	for_each(member, search->members)
		if (!strcmp(name, get_text(member, "name")))
			return true;
	return false;
}

/* The member whose cdev has this name */
static struct json_object *member_of_cdev(const struct search *search, const char *cdev)
{
	struct json_object *member;

	for_each(member, search->members)
		if (has(member, "cdev") && !strcmp(get_text(member, "cdev"), cdev))
			return member;
	return NULL;
}

static bool is_wanted_file(const struct search *search, struct json_object *file)
{
	struct json_object *device;

	if (has(file, "group"))
		return search->group && !strcmp(get_text(file, "group"), search->group);
	for_each(device, get(file, "devices"))
		if (is_wanted(search, get_text(device, "name")))
			return true;
	return false;
}

/*
 * Name of the group or cdev: that of its number, as a node in a jail may have any path; else
 * the last part of the path.
 */
static const char *node_of(const struct hold *hold, bool *cdev)
{
	const char *name = hold->node;
	char *copy;

	*cdev = hold->cdev;
	if (!name) {
		*cdev = starts(hold->path, "/dev/vfio/devices/");
		copy = text("%s", strrchr(hold->path, '/') + 1);
		copy[strcspn(copy, " \\")] = 0; /* (deleted) */
		name = copy;
	}
	return !*cdev && starts(name, "noiommu-") ? name + strlen("noiommu-") : name;
}

/*
 * OTHERS: a node of another group; PERHAPS: a device that the kernel does not name; BY_PATH: the
 * path is right, but any file of a mount namespace can have it, or the fd changes all the time
 */
enum match { OTHERS = -1, NEITHER, PERHAPS, BY_PATH, SURE };

static enum match match(const struct search *search, const struct hold *hold)
{
	bool unsure = hold->registered || hold->unsure;
	enum match found = unsure ? BY_PATH : SURE, others = unsure ? NEITHER : OTHERS;
	struct json_object *member;
	const char *node;
	bool cdev;

	if (hold->kind == KIND_DEVICE)
		return !hold->device ? PERHAPS : is_wanted(search, hold->device) ? SURE : NEITHER;
	if (hold->kind != KIND_NODE)
		return NEITHER;
	node = node_of(hold, &cdev);
	if (!cdev)
		return search->group && !strcmp(node, search->group) ? found : others;
	member = member_of_cdev(search, node);
	return member && is_wanted(search, get_text(member, "name")) ? found : others;
}

/* Could a VFIO device that does not tell its name be one that is asked for? */
static bool has_vfio_device(const struct search *search)
{
	struct json_object *member;

	for_each(member, search->members)
		if (get_bool(member, "vfio") && is_wanted(search, get_text(member, "name")))
			return true;
	return false;
}

/* Unknown devices of a process are most likely of the groups that it has open. */
static enum match match_all(const struct search *search, const struct process *process)
{
	enum match best = NEITHER, m;
	bool others = false;
	size_t i;

	for (i = 0; i < process->nr_holds; i++) {
		m = match(search, &process->holds[i]);
		if (m > best)
			best = m;
		others |= m == OTHERS;
	}
	return best == PERHAPS && (others || !has_vfio_device(search)) ? NEITHER : best;
}

static struct json_object *hold_tree(const struct hold *hold)
{
	struct json_object *o = new_object();

	put(o, "fd", NULL);
	if (hold->fd >= 0)
		put_number(o, "fd", hold->fd);
	put_text(o, "how", hold->fd < 0 ? "mapping" : hold->registered ? "io_uring" : "fd");
	put_text(o, "path", hold->path);
	put_text(o, "device", hold->device);
	return o;
}

static void take_process(struct search *search, const struct process *process)
{
	enum match best = match_all(search, process);
	struct json_object *o, *holds;
	size_t i;

	if (best <= NEITHER)
		return;
	o = new_object();
	holds = new_array();
	put_number(o, "pid", process->pid);
	put_text(o, "process", process->comm);
	put(o, "holds", holds);
	for (i = 0; i < process->nr_holds; i++)
		if (match(search, &process->holds[i]) > NEITHER)
			add(holds, hold_tree(&process->holds[i]));
	add(best == SURE ? search->processes : search->perhaps, o);
	search->unnamed |= best == PERHAPS;
}

/* Once for all VMs of a process, which come one after the other */
static void note_untold(struct search *search, struct json_object *vm)
{
	size_t n = length(search->untold);

	if (!n || get_number(vm, "pid") != json_object_get_uint64(element(search->untold, n - 1)))
		add(search->untold, json_object_get(get(vm, "pid")));
}

static void take_vms(struct search *search, struct process *process)
{
	static const char *const keys[] = { "name", "pid", "process", "device_fd", "vm", "vm_pid" };
	struct json_object *vms = vms_of(process), *vm, *file, *o;
	size_t i;

	for_each(vm, vms) {
		if (!has(vm, "files") || get_number(vm, "more_files"))
			note_untold(search, vm);
		for_each(file, get(vm, "files")) {
			if (!is_wanted_file(search, file))
				continue;
			o = new_object();
			for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
				put(o, keys[i], json_object_get(get(vm, keys[i])));
			put(o, "file", json_object_get(file));
			add(search->vms, o);
		}
	}
	json_object_put(vms);
}

static void take(struct process *process, void *data)
{
	take_vms(data, process);
	take_process(data, process);
}

/* Unix sockets with files that were sent and not received yet */
static void take_in_flight(struct process *process, void *data)
{
	struct search *search = data;
	struct json_object *o;
	size_t i;

	for (i = 0; i < process->nr_holds; i++) {
		if (process->holds[i].kind != KIND_SOCKET)
			continue;
		o = new_object();
		put_number(o, "pid", process->pid);
		put_text(o, "process", process->comm);
		put_number(o, "fd", process->holds[i].fd);
		put_number(o, "files", process->holds[i].in_flight);
		add(search->in_flight, o);
	}
}

/*
 * A group can be opened once.  Only tried if nobody was seen who has it.  *told: there was a node,
 * and it could be tried.
 */
static bool is_busy(const char *group, bool *told)
{
	bool busy = false;
	size_t i;
	int fd;

	for (i = 0; group && i < 2; i++) {
		fd = open(i ? at("/dev/vfio/noiommu-%s", group) : at("/dev/vfio/%s", group),
			  O_RDWR | O_CLOEXEC | O_NONBLOCK);
		busy |= fd < 0 && errno == EBUSY;
		*told |= fd >= 0 || errno == EBUSY;
		if (fd >= 0)
			close(fd);
	}
	return busy;
}

/* Could a process in another PID namespace have it?  Not a device that VFIO does not drive. */
static bool is_out_of_sight(const struct search *search)
{
	struct json_object *member;

	if (kernel_pids())
		return false;
	for_each(member, search->members)
		if (get_bool(member, "vfio"))
			return true;
	return false;
}

static bool is_held(const struct search *search)
{
	struct json_object *vm;

	for_each(vm, search->vms)
		if (!is_revoked(get(vm, "file")))
			return true;
	return length(search->processes);
}

static bool is_viable(const struct search *search)
{
	struct json_object *member;

	for_each(member, search->members)
		if (!get_bool(member, "viable"))
			return false;
	return search->group;
}

static void printf_like(2, 3) advise(struct json_object *advice, const char *format, ...)
{
	struct json_object *s;
	va_list args;

	va_start(args, format);
	s = json_object_new_string(text_of(format, args));
	va_end(args);
	if (!s)
		die("no memory left", NULL);
	add(advice, s);
}

static void advise_device(struct json_object *advice, const struct search *search,
			  struct json_object *member)
{
	const char *name = get_text(member, "name"), *driver = get_text(member, "driver");

	if (!get_bool(member, "viable") && search->group)
		advise(advice,
		       "device %s: %s of the host has it. Bind it to vfio-pci, or to no driver: echo %s >/sys/kernel/iommu_groups/%s/devices/%s/driver/unbind",
		       name, driver, name, search->group, name);
}

static void advise_vm(struct json_object *advice, struct json_object *vm)
{
	const char *name = get_text(vm, "name"), *maker = get_text(vm, "vm_pid");

	if (maker && kernel_pids() && !exists(at("/proc/%s", maker)))
		advise(advice,
		       "VM of process or thread %s, which is gone: process %s keeps it. End that one",
		       maker, get_text(vm, "pid"));
	else if (is_revoked(get(vm, "file")))
		advise(advice,
		       "VM %s: nothing, the host took the devices back, and it holds the group in name only",
		       name);
	else
		advise(advice,
		       "VM %s: unplug the device from it (QEMU's device_del, virsh detach-device), or end it",
		       name);
}

/* Does the value of the key begin so in any of them? */
static bool any_hold(struct json_object *process, const char *key, const char *with)
{
	struct json_object *hold;

	for_each(hold, get(process, "holds"))
		if (starts(get_text(hold, key), with))
			return true;
	return false;
}

static void advise_process(struct json_object *advice, struct json_object *process)
{
	advise(advice, any_hold(process, "how", "fd") ?
	       "process %s: end it, or have it close the file" :
	       "process %s: end it; it closed all files, but has memory of the device mapped",
	       get_text(process, "pid"));
}

static void advise_perhaps(struct json_object *advice, struct json_object *process)
{
	const char *pid = get_text(process, "pid");

	if (!any_hold(process, "path", "/"))
		advise(advice,
		       "process %s: ask those who run it; this kernel does not tell which VFIO devices it has",
		       pid);
	else if (any_hold(process, "how", "io_uring"))
		advise(advice,
		       "process %s: end it if nobody else has it; its io_uring keeps a file of that name",
		       pid);
	else
		advise(advice,
		       "process %s: end it if nobody else has it; its fd is another file at each look",
		       pid);
}

/* Is it the process of a VM that is advised about? */
static bool has_vm(const struct search *search, struct json_object *process)
{
	struct json_object *vm;

	for_each(vm, search->vms)
		if (get_number(vm, "pid") == get_number(process, "pid"))
			return true;
	return false;
}

static void advise_free(struct json_object *advice, const struct search *search)
{
	if (!search->group)
		advise(advice,
		       "device %s: no IOMMU is in front of it; is it off in the firmware, or on the kernel's command line?",
		       search->device);
	else if (search->device && !has_vfio_device(search))
		advise(advice,
		       "device %s: for VFIO, bind it to vfio-pci (driverctl set-override %s vfio-pci)",
		       search->device, search->device);
}

/* It is held, but nobody was seen to have it. */
static void advise_unseen(struct json_object *advice, const struct search *search)
{
	struct json_object *pid;

	for_each(pid, search->untold)
		advise(advice,
		       "process %s: ask those who run it; this kernel does not tell what its VM holds",
		       json_object_get_string(pid));
	advise(advice,
	       "group %s: look from the host if this is a container; if a socket has files in flight, end its process",
	       search->group);
}

static struct json_object *advice_of(const struct search *search, bool busy)
{
	struct json_object *advice = new_array(), *o;

	for_each(o, search->members)
		advise_device(advice, search, o);
	for_each(o, search->vms)
		advise_vm(advice, o);
	for_each(o, search->processes)
		if (!has_vm(search, o))
			advise_process(advice, o);
	for_each(o, search->perhaps)
		advise_perhaps(advice, o);
	if (busy)
		advise_unseen(advice, search);
	if (!length(advice))
		advise_free(advice, search);
	return advice;
}

static struct json_object *answer(struct search *search, const char *asked, bool whole)
{
	struct json_object *tree = new_object();
	bool held = is_held(search), told = !is_out_of_sight(search);
	bool busy = !held && whole && is_busy(search->group, &told);

	/* A group is busy, too, while the cdev of any of its devices is open. */
	if (busy && search->device && !search->unnamed) {
		search->siblings = true;
		/* Those that hold it in name only, or by a path, come again. */
		json_object_put(search->vms);
		json_object_put(search->perhaps);
		json_object_put(search->untold);
		search->vms = new_array();
		search->untold = new_array();
		search->perhaps = new_array();
		visit_processes(take, search);
		held = is_held(search);
		busy = !held;
	}
	if (busy && !search->unnamed)
		visit_sockets(take_in_flight, search);
	put_text(tree, "asked", asked);
	put(tree, "held", NULL);
	if (held || (whole && told))
		put_bool(tree, "held", held || busy);
	put_bool(tree, "viable", is_viable(search));
	put(tree, "group", NULL);
	if (search->group)
		put_value(tree, "group", search->group);
	put_text(tree, "device", search->device);
	put(tree, "members", search->members);
	put(tree, "vms", length(search->untold) && !length(search->vms) ? NULL :
	    json_object_get(search->vms));
	put(tree, "processes", search->processes);
	put(tree, "perhaps", search->perhaps);
	put_bool(tree, "unseen", busy && !search->unnamed);
	put(tree, "in_flight", search->in_flight);
	put(tree, "advice", advice_of(search, busy && !search->unnamed));
	json_object_put(search->vms);
	json_object_put(search->untold);
	return tree;
}

static void members_text(struct json_object *tree)
{
	struct table *table = table_new();
	struct json_object *member;

	for_each(member, get(tree, "members")) {
		const char *driver = get_text(member, "driver");

		table_row(table, 4, get_text(member, "name"), driver ? driver : "no driver",
			  get_text(member, "cdev"), get_bool(member, "viable") ||
			  !has(tree, "group") ? "" : "makes the group not viable");
	}
	table_print(table, "  ");
}

static void vms_text(struct json_object *tree)
{
	struct json_object *vm;

	for_each(vm, get(tree, "vms")) {
		struct json_object *file = get(vm, "file");
		const char *notes = file_notes(file);

		printf("  VM %s, PID %s: %s, %s", plain(get_text(vm, "name")),
		       get_text(vm, "pid"), plain(file_name(file)), is_revoked(file) ? notes :
		       plain(get_text(file, "protection")));
		if (has(file, "coherent"))
			printf(", %scoherent", get_bool(file, "coherent") ? "" : "non");
		printf("%s%s\n", !is_revoked(file) && *notes ? ", " : "",
		       is_revoked(file) ? "" : notes);
	}
}

static char *hold_text(struct json_object *hold)
{
	const char *fd = get_text(hold, "fd"), *device = get_text(hold, "device");
	const char *path = get_text(hold, "path"), *how = get_text(hold, "how");

	if (!device)
		device = !strcmp(path, "anon_inode:[vfio-device]") ? "a VFIO device" : path;
	if (!strcmp(how, "mapping"))
		return text("%s (mapped)", device);
	return text("%s (%s %s)", device, strcmp(how, "fd") ? "io_uring" : "fd", fd);
}

/* Does one of them have a device that the kernel does not name? */
static bool processes_text(struct json_object *processes)
{
	struct json_object *process, *hold;
	bool untold = false;

	for_each(process, processes) {
		const char *comma = "";

		printf("  PID %s, %s: ", get_text(process, "pid"),
		       plain(get_text(process, "process")));
		for_each(hold, get(process, "holds")) {
			const void *before = newest();

			printf("%s%s", comma, plain(hold_text(hold)));
			comma = ", ";
			untold |= !has(hold, "device") && starts(get_text(hold, "path"), "anon");
			forget_since(before);
		}
		puts("");
	}
	return untold;
}

static void in_flight_text(struct json_object *tree)
{
	struct json_object *socket;

	for_each(socket, get(tree, "in_flight"))
		printf("  PID %s, %s: perhaps one of %s files in flight (fd %s)\n",
		       get_text(socket, "pid"), plain(get_text(socket, "process")),
		       get_text(socket, "files"), get_text(socket, "fd"));
}

static void holders_text(struct json_object *tree)
{
	bool perhaps = length(get(tree, "perhaps")), named, untold;
	struct json_object *vm;

	named = length(get(tree, "processes"));
	for_each(vm, get(tree, "vms"))
		named |= !is_revoked(get(vm, "file"));
	if (get_bool(tree, "unseen"))
		puts("held, but by no process that can be seen");
	else if (get_bool(tree, "held"))
		puts(named ? "held by:" : "held:");
	else if (!has(tree, "held"))
		puts("held by nobody who can be seen without permission");
	else if (length(get(tree, "vms")))
		puts("held by nobody, but:");
	else if (!perhaps)
		puts("held by nobody");
	in_flight_text(tree);
	vms_text(tree);
	untold = processes_text(get(tree, "processes"));
	if (perhaps)
		puts("perhaps held by:");
	untold |= processes_text(get(tree, "perhaps"));
	if (untold)
		puts("A VFIO device: this kernel does not tell which.");
}

static void why_text(struct json_object *tree)
{
	const char *device = get_text(tree, "device"), *group = get_text(tree, "group");
	struct json_object *advice;

	if (!group)
		printf("%s in no IOMMU group, so VFIO cannot take it:\n", plain(device));
	else
		printf("%s%sIOMMU group %s, %s:\n", device ? plain(device) : "",
		       device ? " in " : "", plain(group),
		       get_bool(tree, "viable") ? "viable" : "not viable");
	members_text(tree);
	holders_text(tree);
	if (length(get(tree, "advice")))
		puts("to do:");
	for_each(advice, get(tree, "advice"))
		printf("  %s\n", plain(json_object_get_string(advice)));
}

int why(const char *what, bool json)
{
	struct search search = { .vms = new_array(), .processes = new_array(),
				 .perhaps = new_array(), .in_flight = new_array(),
				 .untold = new_array() };
	struct json_object *tree;
	bool whole, busy, told;

	resolve(&search, what);
	whole = visit_processes(take, &search);
	if (!search.members && !length(search.vms) && !length(search.processes))
		die(text("no such group: %s", plain(what)), NULL);
	tree = answer(&search, what, whole);
	if (json)
		print_tree(tree);
	else
		why_text(tree);
	busy = get_bool(tree, "held") || !get_bool(tree, "viable") ||
		length(get(tree, "perhaps"));
	told = has(tree, "held");
	if (!has(tree, "vms"))
		warn("this kernel does not tell all that VMs hold");
	json_object_put(tree);
	if (!told && !busy)
		die("no permission to look at the files of all processes", more_permission());
	if (!told)
		warn(text("no permission to look at the files of all processes: %s",
			  more_permission()));
	return busy ? YES : NO;
}
