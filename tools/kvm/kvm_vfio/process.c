// SPDX-License-Identifier: GPL-2.0-only
/*
 * What /proc tells of a process: which files it has open, mapped, or registered with
 * io_uring.  It may end at any time; then the rest of it is not there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kvm-vfio.h"

#define ANON	"anon_inode:"

/* More than exec() takes.  A process can have its arguments anywhere in its memory later. */
#define ARGUMENTS_MAX	(8 << 20)

/* Of a name, in bytes: people's are shorter. */
#define NAME_LENGTH	256

/* A table with more fds, or memory with more mappings, is large. */
#define MANY		100

/* How often an fd is looked at while a thread puts other files there */
#define LOOKS		5

/* Of VMs, and of sockets, in one process: any fd can be there 500,000 times. */
#define MOST_FDS	100

char *comm_of(pid_t pid)
{
	size_t size;
	char *comm = read_beginning(at("/proc/%d/comm", pid), 4096, &size);

	if (!comm)
		return NULL;
	if (size && comm[size - 1] == '\n') /* the kernel's; others are part of it */
		comm[size - 1] = 0;
	return comm;
}

char *info_of_fd(pid_t task, int fd)
{
	return read_file(at("/proc/%d/fdinfo/%d", task, fd));
}

/* The value of -name guest=VALUE,..., in which a comma is doubled */
static char *guest_of(const char *option)
{
	char *name = keep(NULL, strlen(option)), *to = name;
	const char *s = strstr(option, ",guest=");

	if (starts(option, "guest="))
		option += strlen("guest=");
	else if (s)
		option = s + strlen(",guest=");
	else if (strcspn(option, "=") < strcspn(option, ","))
		return NULL; /* begins with another option */
	for (s = option; *s; s++) {
		if (*s == ',' && *++s != ',')
			break;
		*to++ = *s;
	}
	return *name ? name : NULL;
}

/* QEMU's -name, or --name */
static char *name_of_arguments(pid_t pid)
{
	char *name = NULL, *s, *end;
	size_t size;

	s = read_beginning(at("/proc/%d/cmdline", pid), ARGUMENTS_MAX, &size);
	if (!s)
		return NULL;
	end = s + size;
	for (; s < end; s += strlen(s) + 1) {
		char *next = s + strlen(s) + 1;

		if ((!strcmp(s, "-name") || !strcmp(s, "--name")) && next < end)
			name = guest_of(next); /* the last one counts */
	}
	return name;
}

/* systemd writes other characters as \x2d. */
static char *unescape_unit(const char *s)
{
	char *out = keep(NULL, strlen(s)), *to = out;

	while (*s) {
		unsigned int c;
		int n = 0;

		if (sscanf(s, "\\x%2x%n", &c, &n) == 1 && n == 4 && c) {
			*to++ = c;
			s += n;
		} else {
			*to++ = *s++;
		}
	}
	return out;
}

/* machine.slice/machine-NAME.scope in the path of the control group */
static char *name_of_scope(pid_t pid)
{
	char *s = read_file(at("/proc/%d/cgroup", pid)), *end;

	s = s ? strstr(s, "/machine.slice/machine-") : NULL;
	if (!s)
		return NULL;
	s += strlen("/machine.slice/machine-");
	s[strcspn(s, "/\n")] = 0;
	end = strstr(s, ".scope");
	if (!end || end == s || end[strlen(".scope")])
		return NULL;
	*end = 0;
	return unescape_unit(s);
}

/* In a PID namespace of its own, what the kernel tells has other numbers. */
bool kernel_pids(void)
{
	const char *namespace = read_link(at("/proc/self/ns/pid"));

	return !namespace || !strcmp(namespace, "pid:[4026531836]"); /* PROC_PID_INIT_INO */
}

const char *people_name(pid_t pid)
{
	char *name = name_of_arguments(pid);

	if (!name)
		name = name_of_scope(pid);
	if (!name)
		name = comm_of(pid);
	if (name && strlen(name) > NAME_LENGTH)
		name[NAME_LENGTH] = 0;
	return name;
}

/*
 * /dev/vfio/7, noiommu-7, devices/vfio0 or devices/noiommu-vfio0, also of a node that was
 * removed, as io_uring has it, too
 */
static bool is_node_path(const char *path)
{
	const char *name;
	size_t n;

	if (!starts(path, "/dev/vfio/"))
		return false;
	name = path + strlen("/dev/vfio/");
	if (starts(name, "noiommu-"))
		name += strlen("noiommu-");
	else if (starts(name, "devices/vfio"))
		name += strlen("devices/vfio");
	else if (starts(name, "devices/noiommu-vfio"))
		name += strlen("devices/noiommu-vfio");
	n = strspn(name, "0123456789");
	name += n;
	return n && (!*name || !strcmp(name, " (deleted)") || !strcmp(name, "\\040(deleted)"));
}

static enum kind kind_of(const char *path)
{
	static const struct {
		const char *path;
		enum kind kind;
	} kinds[] = {
		{ ANON "[vfio-device]", KIND_DEVICE },
		{ ANON "kvm-vm", KIND_VM },
		{ ANON "kvm-vfio", KIND_KVM_VFIO },
		{ ANON "kvm-spapr-tce", KIND_TCE },
		{ ANON "[io_uring]", KIND_RING },
	};
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(path, kinds[i].path))
			return kinds[i].kind;
	if (starts(path, "socket:["))
		return KIND_SOCKET;
	return is_node_path(path) ? KIND_NODE : KIND_NONE;
}

/* All nodes that VFIO has now */
static struct node {
	dev_t number;
	bool cdev;
	const char *name;
} *nodes;
static size_t nr_nodes;

/* Of the nodes of groups and of devices, as /proc/devices has them */
static unsigned int majors[2];
static size_t nr_majors;

static void find_nodes(const char *class, bool cdev)
{
	unsigned int major, minor;
	char **name;

	for (name = list_folder(at("/sys/class/%s", class)); *name; name++) {
		char *number = node_number(class, *name);

		if (!number || sscanf(number, "%u:%u", &major, &minor) != 2)
			continue;
		nodes = reallocarray(nodes, nr_nodes + 1, sizeof(*nodes));
		if (!nodes)
			die("no memory left", NULL);
		nodes[nr_nodes++] = (struct node){ makedev(major, minor), cdev, *name };
	}
}

/* A line of /proc/devices: 242 vfio, and 511 vfio-dev */
static void take_major(char *line, void *data)
{
	unsigned int number;
	char name[16];

	(void)data;
	if (sscanf(line, "%u %15s", &number, name) == 2 &&
	    (!strcmp(name, "vfio") || !strcmp(name, "vfio-dev")) && nr_majors < 2)
		majors[nr_majors++] = number;
}

static void forget_nodes(void)
{
	free(nodes);
	nodes = NULL;
	nr_nodes = 0;
	nr_majors = 0;
}

/* The number of a node that VFIO has, or had */
static bool is_vfio(dev_t number)
{
	size_t i;

	for (i = 0; i < nr_majors; i++)
		if (majors[i] == major(number))
			return true;
	for (i = 0; i < nr_nodes; i++)
		if (major(nodes[i].number) == major(number))
			return true;
	return false;
}

/*
 * A node may have any path, and any file may have the path of a node, in a mount namespace of
 * its own: what counts is the number.  Only where there is no number to be had, or where
 * it is that of a node that VFIO has no more, the path does.
 */
static void take_number(struct hold *hold, const char *link, struct statx *stx)
{
	unsigned int wanted = STATX_TYPE | STATX_INO | STATX_MNT_ID;
	size_t i;

	memset(stx, 0, sizeof(*stx));
	if (*hold->path != '/')
		return;
	/* Asks no file server, so what one refuses is none of ours */
	if (statx(AT_FDCWD, link, AT_STATX_DONT_SYNC, wanted, stx) &&
	    (errno == ENOENT || errno == ESRCH || errno == EPERM))
		return;
	if (!S_ISCHR(stx->stx_mode)) {
		hold->kind = KIND_NONE;
		return;
	}
	hold->number = makedev(stx->stx_rdev_major, stx->stx_rdev_minor);
	for (i = 0; i < nr_nodes; i++) {
		if (nodes[i].number != hold->number)
			continue;
		hold->node = nodes[i].name;
		hold->cdev = nodes[i].cdev;
		hold->kind = KIND_NODE;
		return;
	}
	if (!is_vfio(hold->number))
		hold->kind = KIND_NONE;
}

/* Is it the first one with this key? */
static bool is_new(struct process *process, const char *key)
{
	if (!process->seen)
		process->seen = new_object();
	if (has(process->seen, key))
		return false;
	put_bool(process->seen, key, true);
	return true;
}

/* Of what is open or mapped: a node by its number, if that is known */
static char *key_of(const struct hold *hold)
{
	return text("%d %lx %s", hold->kind, (unsigned long)hold->number,
		    hold->number ? "" : hold->path);
}

/* 0: the same; 1 or 2: the first one is less, or greater; < 0: that cannot be told */
static long compare(const struct order *order, struct member a, struct member b)
{
	return syscall(SYS_kcmp, a.task, b.task, order->type, a.fd, b.fd);
}

static void drop(struct order *order, size_t place)
{
	order->nr--;
	memmove(order->members + place, order->members + place + 1,
		(order->nr - place) * sizeof(*order->members));
}

/*
 * Is this table, file, or memory, there?  -1: it is gone, or that cannot be told.  *place is where
 * it is, or where it belongs.
 */
static int search(struct order *order, struct member m, size_t *place)
{
	size_t low = 0, high = order->nr;
	long is;

	while (low < high) {
		*place = low + (high - low) / 2;
		is = compare(order, order->members[*place], m);
		if (is == 1) {
			low = *place + 1;
		} else if (is == 2) {
			high = *place;
		} else if (is < 0 && !compare(order, m, m)) {
			/* The other one has ended, or may not be looked at any more. */
			drop(order, *place);
			low = 0;
			high = order->nr;
		} else {
			return is < 0 ? -1 : 1;
		}
	}
	*place = low;
	return 0;
}

static void insert(struct order *order, struct member m, size_t place)
{
	order->members = reallocarray(order->members, order->nr + 1, sizeof(m));
	if (!order->members)
		die("no memory left", NULL);
	memmove(order->members + place + 1, order->members + place,
		(order->nr - place) * sizeof(m));
	order->members[place] = m;
	order->nr++;
}

/* The same as search(), but adds it if it is not there */
static int find(struct order *order, struct member m)
{
	size_t place;
	int is = search(order, m, &place);

	if (!is)
		insert(order, m, place);
	return is;
}

static void forget_order(struct order *order)
{
	free(order->members);
	order->members = NULL;
	order->nr = 0;
}

/*
 * What is large, and had nothing when it was looked at in this visit.  Any number of processes can
 * share it, and to look at it for each of them can take hours.
 */
static struct order large_tables = { .type = KCMP_FILES };
static struct order large_memories = { .type = KCMP_VM };

/* Is it one of these?  The newest who shares it stands for it: others may end. */
static bool is_known(struct order *large, pid_t task)
{
	struct member m = { .task = task };
	size_t place;

	if (search(large, m, &place) != 1)
		return false;
	large->members[place] = m;
	return true;
}

static void hold(struct process *process, struct hold hold)
{
	if (hold.kind == KIND_NODE || hold.kind == KIND_DEVICE)
		is_new(process, key_of(&hold));
	process->holds = reallocarray(process->holds, process->nr_holds + 1, sizeof(hold));
	if (!process->holds)
		die("no memory left", NULL);
	process->holds[process->nr_holds++] = hold;
}

/* Later kernels, 7.2 for one, tell which device it is. */
static const char *device_of(pid_t task, int fd)
{
	char *s = info_of_fd(task, fd);

	s = s ? strstr(s, "\nvfio-device-syspath:") : NULL;
	if (!s)
		return NULL;
	s += 1;
	s[strcspn(s, "\n")] = 0;
	s = strrchr(s, '/');
	return s ? s + 1 : NULL;
}

/* Which VM, or table of it, an fd is for.  The same for all on stock. */
static const char *identity(pid_t task, int fd)
{
	const char *path = at("/proc/%d/fdinfo/%d", task, fd);
	const char *vm = early_value(path, "vm"), *liobn = early_value(path, "liobn");

	return text("%s %s", vm ? vm : "", liobn ? liobn : "");
}

/* There may be many of it, of which these are enough. */
static bool is_too_many(struct process *process, const struct hold *hold)
{
	return (hold->kind == KIND_VM && process->nr_vms++ >= MOST_FDS) ||
		(hold->kind == KIND_SOCKET && process->nr_sockets++ >= MOST_FDS);
}

static bool is_copy(struct process *process, const struct hold *hold)
{
	return hold->identity && !is_new(process, text("%d %s", hold->kind, hold->identity));
}

/* An fd that only names a file (O_PATH) keeps nothing, and needs no permission. */
static bool is_only_a_name(pid_t task, int fd)
{
	const char *flags = early_value(at("/proc/%d/fdinfo/%d", task, fd), "flags");

	return flags && (strtoul(flags, NULL, 8) & O_PATH);
}

/*
 * Is the file that statx() saw the one that fdinfo tells of?  *flags are from that reading of
 * fdinfo.  Old kernels do not tell the mount or the inode.
 */
static bool is_same_file(const struct hold *h, const struct statx *stx, unsigned int *flags)
{
	unsigned long long ino = stx->stx_ino;
	unsigned int mount = stx->stx_mnt_id;
	size_t size;
	char *s = read_beginning(at("/proc/%d/fdinfo/%d", h->task, h->fd), 1024, &size);

	if (!s || sscanf(s, "pos: %*d flags: %o mnt_id: %u ino: %llu", flags, &mount, &ino) < 1)
		return false;
	return h->number && ino == stx->stx_ino &&
		(mount == stx->stx_mnt_id || !(stx->stx_mask & STATX_MNT_ID));
}

/*
 * Path, number and flags of an fd are three looks at it, between which a thread can put another
 * file there.  A node is only sure if all three are of one file, or if it never has a number.
 * False if there is no path.
 */
static bool read_fd(struct hold *h, pid_t task, int fd)
{
	char *link = at("/proc/%d/fd/%d", task, fd);
	unsigned int flags = 0, looks, numbers = 0;
	bool same = false;
	struct statx stx;

	for (looks = 0; looks < LOOKS && !same; looks++) {
		*h = (struct hold){ .task = task, .fd = fd, .path = read_link(link) };
		if (!h->path && errno == ENAMETOOLONG)
			h->path = "/?"; /* there may be a node all the same */
		if (!h->path)
			return false;
		h->kind = kind_of(h->path);
		take_number(h, link, &stx);
		if (h->kind != KIND_NODE)
			return true;
		numbers += h->number != 0;
		flags = 0;
		same = is_same_file(h, &stx, &flags);
	}
	h->unsure = !same && numbers;
	if (flags & O_PATH)
		h->kind = KIND_NONE;
	return true;
}

/* Files that were sent over the socket and not received yet */
static unsigned int in_flight(pid_t task, int fd)
{
	char *s = info_of_fd(task, fd);
	unsigned int n;

	s = s ? strstr(s, "\nscm_fds:") : NULL;
	return s && sscanf(s, "\nscm_fds: %u", &n) == 1 ? n : 0;
}

struct ring {
	struct process *process;
	pid_t task;
	int fd;
	bool files;
};

/* A line of its fdinfo: a file registered with it is a number and a path. */
static void look_at_ring_line(char *line, void *data)
{
	struct ring *ring = data;
	struct hold h = { .task = ring->task, .fd = ring->fd, .registered = true };
	const void *before = newest();
	int n = 0;

	ring->files |= starts(line, "UserFiles:");
	if (!ring->files || sscanf(line, " %*u: %n", &n) == EOF || !n)
		return;
	h.kind = kind_of(line + n);
	if (h.kind != KIND_NODE && h.kind != KIND_DEVICE)
		return;
	h.path = text("%s", line + n);
	if (is_new(ring->process, text("ring %s", h.path)))
		hold(ring->process, h);
	else
		forget_since(before);
}

static void look_at_ring(struct process *process, pid_t task, int fd)
{
	struct ring ring = { .process = process, .task = task, .fd = fd };
	struct member m = { .task = task, .fd = fd };

	/* The same one at many fds would take long. */
	if (find(&process->rings, m) != 1)
		read_lines(at("/proc/%d/fdinfo/%d", task, fd), look_at_ring_line, &ring);
}

/* False if there is no permission */
static bool look_at_fd(struct process *process, pid_t task, int fd)
{
	struct hold h;

	if (!read_fd(&h, task, fd))
		return errno == ENOENT || errno == ESRCH;
	if (h.kind == KIND_SOCKET && process->sockets)
		h.in_flight = in_flight(task, h.fd);
	if (h.kind == KIND_RING)
		look_at_ring(process, task, h.fd);
	if (h.kind == KIND_NONE || h.kind == KIND_RING ||
	    (h.kind == KIND_SOCKET && !h.in_flight) ||
	    (h.kind != KIND_NODE && is_only_a_name(task, h.fd)))
		return true;
	if (h.kind == KIND_DEVICE)
		h.device = device_of(task, h.fd);
	if (h.kind == KIND_KVM_VFIO || h.kind == KIND_TCE)
		h.identity = identity(task, h.fd);
	if (!is_copy(process, &h) && !is_too_many(process, &h))
		hold(process, h);
	return true;
}

struct mappings {
	struct process *process;
	pid_t task;
	size_t nr;
	bool any; /* of VFIO */
};

/* A line of maps: VFIO's mappings are shared ones. */
static void look_at_mapping(char *line, void *data)
{
	struct mappings *mappings = data;
	struct process *process = mappings->process;
	struct hold h = { .task = mappings->task, .fd = -1 };
	unsigned long start, end;
	struct statx stx;
	char flags[8] = "";
	const void *before = newest();
	size_t held = process->nr_holds;
	int n = 0;

	mappings->nr++;
	if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %n", &start, &end, flags, &n) != 3 || !n ||
	    flags[3] != 's')
		return;
	h.path = text("%s", line + n);
	h.kind = kind_of(h.path);
	take_number(&h, at("/proc/%d/map_files/%lx-%lx", h.task, start, end), &stx);
	if (h.kind == KIND_NODE || h.kind == KIND_DEVICE) {
		mappings->any = true;
		if (is_new(process, key_of(&h)))
			hold(process, h);
	}
	if (process->nr_holds == held)
		forget_since(before);
}

/* False if some cannot be looked at */
static bool look_at_all(struct process *process, pid_t task, char **fd)
{
	bool whole = true;

	for (; *fd; fd++) {
		const void *before = newest();
		size_t held = process->nr_holds;

		if (is_number(*fd))
			whole &= look_at_fd(process, task, atoi(*fd));
		if (process->nr_holds == held)
			forget_since(before);
	}
	return whole;
}

/* False if it is there, but cannot be looked at */
static bool look_at_fds(struct process *process, pid_t task, bool *any)
{
	char *dir = at("/proc/%d/fd", task), **fds;
	struct member table = { .task = task };
	const void *start = newest();
	size_t nr = 0, held = process->nr_holds;
	bool whole;

	if (!exists(text("%s/.", dir)))
		return errno == ENOENT || errno == ESRCH;
	if (is_known(&large_tables, task)) {
		*any = true;
		return true;
	}
	fds = list_folder(dir);
	while (fds[nr])
		nr++;
	*any |= nr;
	whole = look_at_all(process, task, fds);
	if (process->nr_holds == held)
		forget_since(start);
	if (!process->nr_holds && nr > MANY) /* else it could be a copy that it had */
		find(&large_tables, table);
	return whole;
}

/*
 * Most threads share one table of fds, but a thread may have one of its own, and the first
 * thread has none once it has ended.
 */
static bool look_at_tables(struct process *process, char **thread)
{
	struct order tables = { .type = KCMP_FILES };
	bool any = false, whole = look_at_fds(process, process->pid, &any);

	find(&tables, (struct member){ .task = process->pid });
	for (; *thread; thread++) {
		struct member m = { .task = atoi(*thread) };

		/* If it cannot be told, most do share. */
		if (m.task != process->pid && (!find(&tables, m) || !any))
			whole &= look_at_fds(process, m.task, &any);
	}
	forget_order(&tables);
	return whole;
}

/* All threads have the same memory, but the first one has none once it has ended. */
static void look_at_memory(struct process *process, char **thread)
{
	struct mappings mappings = { .process = process, .task = process->pid };
	struct member memory = {};

	if (is_known(&large_memories, process->pid))
		return;
	while (!read_lines(at("/proc/%d/maps", mappings.task), look_at_mapping, &mappings) &&
	       *thread)
		mappings.task = atoi(*thread++);
	memory.task = mappings.task;
	if (mappings.nr > MANY && !mappings.any)
		find(&large_memories, memory);
}

static bool look_at_process(struct process *process)
{
	char **threads = list_folder(at("/proc/%d/task", process->pid));
	bool whole = look_at_tables(process, threads);

	look_at_memory(process, threads);
	return whole;
}

static bool visit_all(void (*visit)(struct process *process, void *data), void *data, bool sockets)
{
	/* Without permission, some may not even be in the list (hidepid). */
	bool whole = exists(at("/proc/1/fd/."));
	char **pid;

	find_nodes("vfio", false);
	find_nodes("vfio-dev", true);
	read_lines(at("/proc/devices"), take_major, NULL);
	for (pid = list_folder(at("/proc")); *pid; pid++) {
		struct process process = { .sockets = sockets, .rings.type = KCMP_FILE };
		const void *before = newest();

		if (!is_number(*pid))
			continue;
		process.pid = atoi(*pid);
		whole &= look_at_process(&process);
		if (process.nr_holds) {
			process.comm = comm_of(process.pid);
			visit(&process, data);
		}
		free(process.holds);
		forget_order(&process.rings);
		json_object_put(process.seen);
		forget_since(before);
	}
	forget_order(&large_tables);
	forget_order(&large_memories);
	forget_nodes();
	return whole;
}

bool visit_processes(void (*visit)(struct process *process, void *data), void *data)
{
	return visit_all(visit, data, false);
}

void visit_sockets(void (*visit)(struct process *process, void *data), void *data)
{
	visit_all(visit, data, true);
}
