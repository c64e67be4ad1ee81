// SPDX-License-Identifier: GPL-2.0-only
/*
 * watch: what changes, as it happens.  By the tracepoints of kvm_vfio in an instance of
 * our own, so that nobody else's tracing is disturbed; else by looking again and again.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "kvm-vfio.h"

static atomic_bool ended;
static int signals = -1;

/*
 * A process that is looked at can keep the reader of its memory or mappings waiting in the kernel,
 * where a blocked signal does not reach it: then this thread ends all.  If an instance is left, the
 * next watch removes it.
 */
static void *end_at_last(void *unused)
{
	struct pollfd fd = { .fd = signals, .events = POLLIN };

	(void)unused;
	while (poll(&fd, 1, -1) < 1)
		;
	sleep(1);
	if (!ended)
		_exit(YES);
	return NULL;
}

static void catch_signals(void)
{
	pthread_t thread;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0)
		die(text("cannot wait for signals: %m"), NULL);
	if (pthread_create(&thread, NULL, end_at_last, NULL))
		die("cannot make a thread", NULL);
	signal(SIGPIPE, SIG_IGN);
}

/*
 * Wait for input, if fd is not -1, for so many milliseconds, for a signal, or for the end of
 * our reader.
 */
static void wait_for(int fd, int timeout)
{
	struct pollfd fds[] = {
		{ .fd = STDOUT_FILENO },
		{ .fd = signals, .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};

	if (poll(fds, 3, timeout) > 0 && (fds[0].revents || fds[1].revents))
		ended = true;
}

static char *now(void)
{
	struct timespec ts;
	char date[32];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	return text("%s.%03ldZ", date, ts.tv_nsec / 1000000);
}

static struct json_object *event_of(const char *event, pid_t pid, const char *name)
{
	struct json_object *o = new_object();

	put_text(o, "time", NULL); /* when it is told */
	put_text(o, "event", event);
	put_text(o, "name", name);
	put_number(o, "pid", pid);
	return o;
}

/* All but what has a place of its own */
static char *details(struct json_object *event)
{
	char *all = "";

	json_object_object_foreach(event, key, value) {
		if (value && strcmp(key, "time") && strcmp(key, "event") &&
		    strcmp(key, "name") && strcmp(key, "pid"))
			all = text("%s%s%s %s", all, *all ? ", " : "", key,
				   plain(json_object_get_string(value)));
	}
	return all;
}

static void tell(struct json_object *event, bool json)
{
	const char *name = get_text(event, "name");

	put_text(event, "time", now());
	if (json)
		print_tree(event);
	else
		printf("%s  %-9s  %s (%s)  %s\n", get_text(event, "time"),
		       get_text(event, "event"),
		       name ? plain(name) : kernel_pids() ? "gone" : "?",
		       get_text(event, "pid"), details(event));
	if (fflush(stdout))
		ended = true;
}

static void tell_beginning(const char *by, bool json)
{
	struct json_object *o = new_object();

	if (json) {
		put_text(o, "time", now());
		put_text(o, "event", "watching");
		put_text(o, "by", by);
		print_tree(o);
	} else {
		printf("watching, by %s\n", by);
		fflush(stdout);
	}
	json_object_put(o);
}

/* -- Tracepoints -- */

static bool write_file(const char *path, const char *s)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good;

	if (fd < 0)
		return false;
	good = write(fd, s, strlen(s)) == (ssize_t)strlen(s);
	close(fd);
	return good;
}

/* The file that is held: a group, or the cdev with this number */
static void put_file(struct json_object *event, const char *group, const char *dev)
{
	unsigned int major, minor;
	const char *cdev = NULL;

	if (group && strcmp(group, "-1")) {
		put_text(event, "file", text("group %s", group));
		return;
	}
	if (dev && sscanf(dev, "%u:%u", &major, &minor) == 2)
		cdev = node_name("vfio-dev", makedev(major, minor));
	put_text(event, "file", cdev ? text("cdev %s", cdev) : text("node %s", dev ? dev : "?"));
}

/* "pid=1 group=7 ..." as an object; NULL if there is no pid */
static struct json_object *fields_of(char *s)
{
	struct json_object *fields = new_object();
	char *field, *equal, *rest;

	for (field = strtok_r(s, " ", &rest); field; field = strtok_r(NULL, " ", &rest)) {
		equal = strchr(field, '=');
		if (!equal)
			continue;
		*equal = 0;
		put_text(fields, field, equal + 1);
	}
	if (has(fields, "pid") && is_number(get_text(fields, "pid")))
		return fields;
	json_object_put(fields);
	return NULL;
}

static struct json_object *event_of_fields(const char *name, struct json_object *fields)
{
	pid_t pid = atoi(get_text(fields, "pid"));
	struct json_object *event;

	event = event_of(!strcmp(name, "tce_fallback") ? "fallback" : name, pid,
			 kernel_pids() ? people_name(pid) : NULL);
	if (has(fields, "dev"))
		put_file(event, get_text(fields, "group"), get_text(fields, "dev"));
	json_object_object_foreach(fields, key, value) {
		const char *s = json_object_get_string(value);

		if (!strcmp(key, "pid") || !strcmp(key, "dev") ||
		    (!strcmp(key, "group") && has(fields, "dev")))
			continue;
		if (!strcmp(key, "noncoherent"))
			put_bool(event, key, strcmp(s, "0"));
		else if (!strcmp(key, "reason"))
			put_text(event, key, left_reason(s));
		else
			put_value(event, key, s);
	}
	return event;
}

/*
 * kvm_vfio_add: pid=1 ...  Before it there may be the name of a task, with anything in it:
 * what counts is the last place that looks so.
 */
static void take_line(char *line, bool json)
{
	static const char mark[] = "kvm_vfio_";
	char *at = NULL, *next = line, *colon;
	struct json_object *fields, *event;

	while ((next = strstr(next, mark)))
		at = next++;
	if (!at) {
		if (strstr(line, "LOST"))
			warn("too many events at once: some are lost");
		return;
	}
	at += strlen(mark);
	colon = strchr(at, ':');
	if (!colon)
		return;
	*colon = 0;
	fields = fields_of(colon + 1);
	if (!fields)
		return;
	event = event_of_fields(at, fields);
	tell(event, json);
	json_object_put(event);
	json_object_put(fields);
}

static void take_lines(char *s, bool json)
{
	char *line, *rest;

	for (line = strtok_r(s, "\n", &rest); line && !ended; line = strtok_r(NULL, "\n", &rest)) {
		take_line(line, json);
		forget_since(NULL);
	}
}

/* A kvm.ko that is loaded anew has its events off.  What came until now is not told. */
static void enable_again(const char *enable, bool json)
{
	const char *is = first_line(enable);

	if (is && !strcmp(is, "0") && write_file(enable, "1"))
		tell_beginning("tracepoints", json);
	forget_since(NULL);
}

/* The kernel gives whole lines to a reader with room for them.  False: it gives no more. */
static bool follow(int fd, const char *enable, bool json)
{
	static char bytes[65536];
	ssize_t n;

	for (wait_for(fd, 1000); !ended; wait_for(fd, 1000)) {
		n = read(fd, bytes, sizeof(bytes) - 1);
		if (n > 0) {
			bytes[n] = 0;
			take_lines(bytes, json);
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return false;
		enable_again(enable, json);
	}
	return true;
}

/* Instances of those who were killed */
static void remove_old(const char *instances)
{
	char **name;

	for (name = list_folder(instances); *name; name++)
		if (starts(*name, "kvm-vfio-") && is_number(*name + strlen("kvm-vfio-")) &&
		    !exists(at("/proc/%s", *name + strlen("kvm-vfio-"))))
			rmdir(text("%s/%s", instances, *name));
}

/* False if there are no tracepoints */
static bool watch_traces(const char *tracing, bool json)
{
	char instance[256], enable[sizeof(instance) + 32];
	bool whole;
	int fd;

	if (!exists(text("%s/events/kvm_vfio", tracing)))
		return false;
	remove_old(text("%s/instances", tracing));
	snprintf(instance, sizeof(instance), "%s/instances/kvm-vfio-%d", tracing, getpid());
	if (mkdir(instance, 0700) && errno != EEXIST)
		die(text("cannot make %s: %m", instance), more_permission());
	write_file(text("%s/options/context-info", instance), "0");
	write_file(text("%s/buffer_percent", instance), "0"); /* poll ends at the first event */
	fd = open(text("%s/trace_pipe", instance), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	snprintf(enable, sizeof(enable), "%s/events/kvm_vfio/enable", instance);
	if (fd >= 0 && write_file(enable, "1")) {
		tell_beginning("tracepoints", json);
		whole = follow(fd, enable, json);
		close(fd);
		rmdir(instance);
		if (!whole)
			die("the kernel has ended the trace", NULL);
		return true;
	}
	if (fd >= 0)
		close(fd);
	rmdir(instance);
	die("the tracepoints of kvm_vfio cannot be enabled", NULL);
}

/* -- Polling -- */

/*
 * A fact is the event by which it begins, under a key that says what it is of.  When it is
 * there no more, the opposite event is told.
 */
static void file_facts(struct json_object *facts, struct json_object *vm, pid_t pid)
{
	const char *name = get_text(vm, "name");
	struct json_object *event, *file;

	for_each(file, get(vm, "files")) {
		event = event_of("add", pid, name);
		put_text(event, "file", file_name(file));
		if (has(file, "coherent"))
			put_bool(event, "noncoherent", is_false(file, "coherent"));
		put(facts, text("%d %s file %s", pid, get_text(vm, "device_fd"), file_name(file)),
		    event);
	}
	if (!is_false(vm, "coherent"))
		return;
	event = event_of("coherency", pid, name);
	put_bool(event, "noncoherent", true);
	put(facts, text("%d %s noncoherent", pid, get_text(vm, "device_fd")), event);
}

static void table_facts(struct json_object *facts, struct json_object *table, pid_t pid,
			const char *name)
{
	struct json_object *event, *attached;
	const char *liobn = get_text(table, "liobn");

	for_each(attached, get(table, "groups")) {
		event = event_of("attach", pid, name);
		put_text(event, "liobn", liobn);
		put(event, "group", json_object_get(get(attached, "group")));
		put(facts, text("%d attach %s %s", pid, liobn, get_text(attached, "group")),
		    event);
	}
	json_object_object_foreach(get(table, "left_by_reason"), key, count) {
		event = event_of("fallback", pid, name);
		put_text(event, "liobn", liobn);
		put_text(event, "reason", left_reason(key));
		put_number(event, "hypercalls", json_object_get_uint64(count));
		put(facts, text("%d left %s %s", pid, liobn, key), event);
	}
}

/* Where the kernel tells nothing of VMs: nodes and devices of VFIO that are open */
static void hold_facts(struct json_object *facts, const struct process *process)
{
	const char *name = NULL;
	const struct hold *h;

	for (h = process->holds; h < process->holds + process->nr_holds; h++) {
		struct json_object *event;

		if ((h->kind != KIND_NODE && h->kind != KIND_DEVICE) || h->fd < 0)
			continue;
		name = name ? name : people_name(process->pid);
		event = event_of("open", process->pid, name);
		put_text(event, "file", h->device ? h->device : h->path);
		put_number(event, "fd", h->fd);
		put(facts, text("%d open %d %s", process->pid, h->fd, h->path), event);
	}
}

static void take_facts(struct process *process, void *facts)
{
	struct json_object *vms = vms_of(process), *vm, *table;
	bool told = length(vms);

	for_each(vm, vms) {
		told &= has(vm, "files");
		file_facts(facts, vm, process->pid);
		for_each(table, get(vm, "tables"))
			table_facts(facts, table, process->pid, get_text(vm, "name"));
	}
	if (!told)
		hold_facts(facts, process);
	json_object_put(vms);
}

static void tell_begun(struct json_object *old, struct json_object *facts, bool json)
{
	json_object_object_foreach(facts, key, event) {
		uint64_t before = 0, n = get_number(event, "hypercalls");
		bool counts = has(event, "hypercalls");

		if (has(old, key)) {
			before = get_number(get(old, key), "hypercalls");
			if (n <= before)
				continue;
		} else if (counts && !n) {
			continue;
		}
		event = json_object_get(event);
		if (counts) {
			put_number(event, "hypercalls", n - before);
			tell(event, json);
			put_number(event, "hypercalls", n);
		} else {
			tell(event, json);
		}
		json_object_put(event);
	}
}

static void tell_ended(struct json_object *old, struct json_object *facts, bool json)
{
	static const struct {
		const char *begin, *end;
	} opposites[] = {
		{ "add", "del" }, { "attach", "detach" }, { "open", "close" },
		{ "coherency", "coherency" },
	};
	size_t i;

	json_object_object_foreach(old, key, event) {
		if (has(facts, key))
			continue;
		for (i = 0; i < sizeof(opposites) / sizeof(*opposites); i++) {
			if (strcmp(get_text(event, "event"), opposites[i].begin))
				continue;
			if (!strcmp(opposites[i].begin, "coherency"))
				put_bool(event, "noncoherent", false);
			put_text(event, "event", opposites[i].end);
			tell(event, json);
			break;
		}
	}
}

static void watch_again(unsigned int interval, bool json)
{
	struct json_object *old = new_object(), *facts;

	say_if_not_whole(visit_processes(take_facts, old));
	tell_beginning("polling", json);
	while (!ended) {
		forget_since(NULL);
		wait_for(-1, (interval ? interval : 1) * 1000);
		if (ended)
			break;
		facts = new_object();
		visit_processes(take_facts, facts);
		tell_ended(old, facts, json);
		tell_begun(old, facts, json);
		json_object_put(old);
		old = facts;
	}
	json_object_put(old);
}

int watch(unsigned int interval, bool json)
{
	catch_signals();
	if (interval || (!watch_traces(at("/sys/kernel/tracing"), json) &&
			 !watch_traces(at("/sys/kernel/debug/tracing"), json)))
		watch_again(interval, json);
	return YES;
}
