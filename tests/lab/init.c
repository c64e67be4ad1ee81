// SPDX-License-Identifier: GPL-2.0-only
/*
 * Process 1 of a lab machine: loads the modules, runs one command, judges the
 * kernel log and reports over a virtio-serial port of its own.
 *
 * The runner puts what to do under /lab: "environment" (NAME=value lines),
 * "modules" (file names in load order), "build-ids" (module and id lines),
 * "command" (an argv, each string ended by a NUL), "splats" and "allowed".
 *
 * The verdict is written in one go as the very last thing. Its lines are
 * "exit N", "signal N" or "timeout N" (how the command ended), "splat TEXT",
 * "fault TEXT" (the machine cannot be trusted), "note TEXT" and "end".
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_SECONDS	30	/* for the virtio ports to appear */
#define DEATH_SECONDS	10	/* for killed processes to go away */
#define MAX_SPLATS	20	/* reported; the console log has them all */
#define MAX_ARGS	4096
#define END		"end\n"

struct text {
	char *data;		/* NUL terminated */
	size_t len;
};

static char verdict[32768];
static size_t verdict_len;
static unsigned int faults;
static sigset_t child_signal;

/* One more line of the verdict, also shown on the console. */
static void report_line(const char *line)
{
	size_t len = strlen(line);

	printf("lab: %s\n", line);
	if (!strncmp(line, "fault", 5))
		faults++;
	/* Always leave room for the end. */
	if (verdict_len + len + 1 + strlen(END) > sizeof(verdict))
		return;
	memcpy(verdict + verdict_len, line, len);
	verdict_len += len;
	verdict[verdict_len++] = '\n';
}

#define report(...)						\
	do {							\
		char report_text[1024];				\
								\
		snprintf(report_text, sizeof(report_text), __VA_ARGS__); \
		report_line(report_text);			\
	} while (0)

static bool write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };

			poll(&p, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			return false;
		} else if (n > 0) {
			data += n;
			len -= n;
		}
	}
	return true;
}

static bool read_file(const char *path, struct text *text)
{
	size_t room = 4096;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	text->len = 0;
	text->data = fd < 0 ? NULL : malloc(room);
	while (text->data) {
		n = read(fd, text->data + text->len, room - text->len - 1);
		if (n <= 0)
			break;
		text->len += n;
		if (text->len + 1 == room) {
			room *= 2;
			text->data = realloc(text->data, room);
		}
	}
	if (!text->data || n < 0) {
		report("fault %s: %s", path, strerror(errno));
		return false;
	}
	text->data[text->len] = '\0';
	close(fd);
	return true;
}

static void write_string(const char *path, const char *string)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || !write_all(fd, string, strlen(string)))
		report("note %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void mount_on(const char *type, const char *dir)
{
	mkdir(dir, 0755);
	if (mount(type, dir, type, 0, NULL))
		report("fault mount %s on %s: %s", type, dir, strerror(errno));
}

static void mount_file_systems(void)
{
	mount_on("devtmpfs", "/dev");
	mount_on("proc", "/proc");
	mount_on("sysfs", "/sys");
	mount_on("debugfs", "/sys/kernel/debug");
	mount_on("tracefs", "/sys/kernel/tracing");
	mount_on("tmpfs", "/tmp");
	mount_on("tmpfs", "/dev/shm");
	mount_on("devpts", "/dev/pts");
	chmod("/tmp", 01777);
	chmod("/dev/shm", 01777);
	symlink("/proc/self/fd", "/dev/fd");
}

/* Before this, standard output may be closed. */
static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR);

	if (fd < 0)
		fd = open("/dev/null", O_RDWR);
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static void raise_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
		report("note no loopback: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void set_environment(void)
{
	struct text text;
	char *line, *rest;

	if (!read_file("/lab/environment", &text))
		return;
	for (rest = text.data; (line = strsep(&rest, "\n"));)
		if (*line)
			putenv(line);
}

/* The port's device node, or -1 while there is none of that name. */
static int try_port(const char *wanted)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	int port = -1;

	while (dir && port < 0 && (entry = readdir(dir))) {
		char path[512], name[64] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name",
			 entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = '\0';
		fclose(file);
		if (strcmp(name, wanted))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		port = open(path, O_RDWR | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	return port;
}

/* Ports and their names appear late; each sends an event. */
static int open_port(const char *name, int events)
{
	struct pollfd p = { .fd = events, .events = POLLIN };
	char event[8192];
	int port;

	while ((port = try_port(name)) < 0) {
		if (poll(&p, 1, PORT_SECONDS * 1000) <= 0) {
			report("fault no virtio port %s", name);
			break;
		}
		recv(events, event, sizeof(event), MSG_DONTWAIT);
	}
	return port;
}

static int listen_for_events(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
			NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		report("fault no device events: %s", strerror(errno));
	return fd;
}

static bool load_module(const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "/lab/modules.d/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0)) {
		report("fault cannot load %s: %s", name, strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

static bool load_modules(void)
{
	struct text text;
	char *line, *rest;

	if (!read_file("/lab/modules", &text))
		return false;
	for (rest = text.data; (line = strsep(&rest, "\n"));)
		if (*line && !load_module(line))
			return false;
	return true;
}

/*
 * A kernel of our own is proven by its release, which contains a hash of its
 * sources.
 */
static bool check_release(void)
{
	struct utsname running;
	struct text wanted;

	if (!read_file("/lab/release", &wanted))
		return false;
	uname(&running);
	wanted.data[strcspn(wanted.data, "\n")] = '\0';
	if (!strcmp(running.release, wanted.data))
		return true;
	report("fault kernel %s runs, not %s", running.release, wanted.data);
	return false;
}

/*
 * The first VM of a host makes KVM patch the scheduler's code (a static key),
 * and the end of the last one makes KVM patch it back.  With more than one CPU,
 * QEMU before 8.1 may go on running on one CPU the code that another has just
 * replaced; on x86 that ends in "Oops: int3".  So one VM is kept open.
 */
static void keep_a_vm(void)
{
	int kvm;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return;
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return;
	if (ioctl(kvm, KVM_CREATE_VM, 0) < 0)
		report("note no VM: %s", strerror(errno));
	close(kvm);
}

/*
 * Enabling and disabling a PCI device make ACPI read the machine's whole table
 * of interrupts, some thousand allocations. Where KASAN and kmemleak save a stack
 * for each, that is most of the time of a test which opens devices. Devices that
 * were enabled before are only counted.
 */
static void enable_devices(void)
{
	char *bdfs = getenv("LAB_ENABLED"), *bdf;
	char path[128];

	for (bdf = bdfs ? strtok(bdfs, " ") : NULL; bdf; bdf = strtok(NULL, " ")) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/enable", bdf);
		write_string(path, "1");
	}
}

/* The id of a loaded module in hex: the note is a header, "GNU", the id. */
static void loaded_build_id(const char *module, char *hex, size_t size)
{
	unsigned char note[64];
	char path[256];
	ssize_t len, i;
	int fd;

	snprintf(hex, size, "not loaded");
	snprintf(path, sizeof(path), "/sys/module/%s/notes/.note.gnu.build-id",
		 module);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	len = read(fd, note, sizeof(note));
	close(fd);
	for (i = 16; i < len && size > 2; i++, hex += 2, size -= 2)
		snprintf(hex, size, "%02x", note[i]);
}

/* The proof that this machine runs the modules that it was given. */
static bool check_build_ids(const char *when)
{
	char found[128], *line, *rest, *id;
	struct text text;
	bool good = true;

	if (!read_file("/lab/build-ids", &text))
		return false;
	for (rest = text.data; (line = strsep(&rest, "\n"));) {
		id = strchr(line, ' ');
		if (!id)
			continue;
		*id++ = '\0';
		loaded_build_id(line, found, sizeof(found));
		if (!strcmp(id, found))
			continue;
		report("fault module %s is not the expected one %s: build-id %s, expected %s",
		       line, when, found, id);
		good = false;
	}
	free(text.data);
	return good;
}

/* One regular expression out of the lines of a file, reasons left out. */
static bool read_rules(const char *path, regex_t *regex)
{
	char *all, *end, *line, *rest, error[256];
	struct text text;
	int ret;

	if (!read_file(path, &text))
		return false;
	all = malloc(text.len * 4 + 8);
	/* An expression that matches nothing starts the alternatives. */
	end = stpcpy(all, "(a^)");
	for (rest = text.data; (line = strsep(&rest, "\n"));) {
		char *tab = strchr(line, '\t');
		char *spaces = strstr(line, "  ");

		if (tab)
			*tab = '\0';
		if (spaces)
			*spaces = '\0';
		if (*line && *line != '#')
			end += sprintf(end, "|(%s)", line);
	}
	ret = regcomp(regex, all, REG_EXTENDED | REG_NOSUB);
	if (ret) {
		regerror(ret, regex, error, sizeof(error));
		report("fault %s: %s", path, error);
	}
	free(all);
	free(text.data);
	return !ret;
}

struct log_check {
	regex_t splats;
	regex_t allowed;
	unsigned int found;
	unsigned long long next;	/* sequence number */
	bool excused;		/* inside the report of an allowed line */
};

static void check_line(struct log_check *check, const char *line)
{
	if (strstr(line, "[ cut here ]") || strstr(line, "---[ end trace"))
		check->excused = false;
	if (regexec(&check->splats, line, 0, NULL, 0))
		return;
	if (!regexec(&check->allowed, line, 0, NULL, 0)) {
		check->excused = true;
		return;
	}
	if (check->excused && strstr(line, "Call Trace:"))
		return;
	if (check->found++ < MAX_SPLATS)
		report("splat %s", line);
}

/* A record looks like "priority,sequence,time,flags;text\n KEY=value\n". */
static void check_record(struct log_check *check, char *record)
{
	char *line = strchr(record, ';');
	unsigned long long sequence;

	if (!line || sscanf(record, "%*u,%llu", &sequence) != 1)
		return;
	if (sequence != check->next)
		report("fault %llu lines of the kernel log are lost",
		       sequence - check->next);
	check->next = sequence + 1;
	line++;
	line[strcspn(line, "\n")] = '\0';
	check_line(check, line);
}

static void check_log(void)
{
	struct log_check check = { .found = 0 };
	char record[8192];
	ssize_t n;
	int fd;

	if (!read_rules("/lab/splats", &check.splats) ||
	    !read_rules("/lab/allowed", &check.allowed))
		return;
	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	for (;;) {
		n = read(fd, record, sizeof(record) - 1);
		if (n > 0) {
			record[n] = '\0';
			check_record(&check, record);
		} else if (!n || (errno != EPIPE && errno != EINTR)) {
			break;
		}
	}
	/* EAGAIN is the end of the log. */
	if (!n || errno != EAGAIN || !check.next)
		report("fault /dev/kmsg: %s", strerror(errno));
	close(fd);
	if (check.found > MAX_SPLATS)
		report("note %u more splats", check.found - MAX_SPLATS);
}

/*
 * Leaks: what a kernel with kmemleak finds unreferenced at the end, caused by
 * the command or before it.  An object in use may look unreferenced for a
 * moment, so kmemleak takes a checksum at the first scan that finds it, and
 * reports it at the next one if it is unchanged and at least five seconds old.
 * That age is all that is waited for.
 */
#define LEAKS		"/sys/kernel/debug/kmemleak"
#define LEAK_HEAD	"unreferenced object "
#define LEAK_AGE_MS	6000

static bool scan_for_leaks(void)
{
	int fd = open(LEAKS, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write_all(fd, "scan", 4);

	/* It switches itself off when it runs out of memory. */
	if (!good)
		report("fault kmemleak: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return good;
}

/* Shows the whole report on the console, and one line of it in the verdict. */
static bool check_leak(const regex_t *allowed, char *record, bool silent)
{
	bool excused = !regexec(allowed, record, 0, NULL, 0);
	char callers[768] = "", *line, *rest = record;
	bool backtrace = false;
	size_t len = 0;

	printf("lab: %s%s\n", excused ? "allowed: " : "", record);
	if (excused || silent)
		return !excused;
	strsep(&rest, "\n");
	while ((line = strsep(&rest, "\n")) && len < sizeof(callers)) {
		if (backtrace && *line)
			len += snprintf(callers + len, sizeof(callers) - len, " <%s",
					strrchr(line, ' ') ?: line);
		backtrace |= !!strstr(line, "backtrace");
	}
	report("splat leak: %s%s", record, callers);
	return true;
}

static void report_leaks(struct text *text)
{
	unsigned int found = 0;
	char *at, *next;
	regex_t allowed;

	if (!read_rules("/lab/allowed", &allowed))
		return;
	for (at = strstr(text->data, LEAK_HEAD); at; at = next) {
		next = strstr(at + strlen(LEAK_HEAD), LEAK_HEAD);
		if (next)
			next[-1] = '\0';
		found += check_leak(&allowed, at, found >= MAX_SPLATS);
	}
	if (found > MAX_SPLATS)
		report("note %u more leaks", found - MAX_SPLATS);
}

static void check_leaks(void)
{
	struct text text;

	if (access(LEAKS, F_OK) || !scan_for_leaks())
		return;
	poll(NULL, 0, LEAK_AGE_MS);
	if (!scan_for_leaks() || !read_file(LEAKS, &text) || !text.len)
		return;
	/*
	 * An object that is found a third time is not referenced by anything.
	 */
	free(text.data);
	if (scan_for_leaks() && read_file(LEAKS, &text))
		report_leaks(&text);
}

/* The command of /lab/command, or a shell if there is none. */
static char **command_line(void)
{
	static char *argv[MAX_ARGS + 1] = { "sh", "-l" };
	struct text text;
	size_t at, n = 0;

	if (getenv("LAB_SHELL") || !read_file("/lab/command", &text))
		return argv;
	for (at = 0; at < text.len && n < MAX_ARGS; n++) {
		argv[n] = text.data + at;
		at += strlen(argv[n]) + 1;
	}
	argv[n] = NULL;
	return argv;
}

/* Never returns. A terminal, if the output is one, becomes the command's. */
static void exec_command(char **argv, int input, int output)
{
	sigprocmask(SIG_UNBLOCK, &child_signal, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	ioctl(output, TIOCSCTTY, 0);
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	if (!chdir("/root"))
		execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "lab: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

struct run {
	struct pollfd signals, timer, output;
	int port;		/* where the output goes */
	pid_t command;
	int status;
	bool command_ended, timed_out, cleaning, all_ended, stuck;
};

static void set_timer(struct run *run, unsigned int seconds)
{
	struct itimerspec at = { .it_value.tv_sec = seconds };

	timerfd_settime(run->timer.fd, 0, &at, NULL);
}

static void start_command(struct run *run)
{
	const char *terminal = getenv("LAB_SHELL");
	char **argv = command_line();
	int ends[2], input;

	if (terminal) {
		input = open(terminal, O_RDWR | O_NOCTTY | O_CLOEXEC);
		ends[0] = -1;
		ends[1] = input;
	} else {
		input = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (pipe2(ends, O_CLOEXEC))
			report("fault pipe: %s", strerror(errno));
	}
	run->output.fd = ends[0];
	run->command = fork();
	if (!run->command)
		exec_command(argv, input, ends[1]);
	close(input);
	if (!terminal)
		close(ends[1]);
}

/* The command has ended: kill everything that it started. */
static void clean_up(struct run *run)
{
	run->cleaning = true;
	kill(-1, SIGKILL);
	set_timer(run, DEATH_SECONDS);
}

static void reap(struct run *run)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	read(run->signals.fd, &info, sizeof(info));
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != run->command)
			continue;
		run->status = status;
		run->command_ended = true;
	}
	run->all_ended = pid < 0;
	if (run->command_ended && !run->cleaning)
		clean_up(run);
}

static void forward_output(struct run *run)
{
	char data[16384];
	ssize_t n = read(run->output.fd, data, sizeof(data));

	if (n > 0) {
		write_all(run->port, data, n);
	} else if (!n || errno != EINTR) {
		close(run->output.fd);
		run->output.fd = -1;
	}
}

static void timer_expired(struct run *run)
{
	if (run->cleaning) {
		report("fault processes survive SIGKILL for %u seconds",
		       DEATH_SECONDS);
		run->stuck = true;
		return;
	}
	run->timed_out = true;
	clean_up(run);
	/* Its end may have been seen already. */
	reap(run);
}

/* Waits until every process is gone and all their output is delivered. */
static void supervise(struct run *run)
{
	struct pollfd fds[3];

	while (!run->stuck && (!run->all_ended || run->output.fd >= 0)) {
		fds[0] = run->signals;
		fds[1] = run->timer;
		fds[2] = run->output;
		if (poll(fds, 3, -1) <= 0)
			continue;
		if (fds[2].revents)
			forward_output(run);
		if (fds[0].revents)
			reap(run);
		if (fds[1].revents)
			timer_expired(run);
	}
}

static void run_command(struct run *run)
{
	const char *seconds = getenv("LAB_TIMEOUT");

	run->signals.fd = signalfd(-1, &child_signal, SFD_CLOEXEC | SFD_NONBLOCK);
	run->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	run->signals.events = POLLIN;
	run->timer.events = POLLIN;
	run->output.events = POLLIN;
	if (seconds && !getenv("LAB_SHELL"))
		set_timer(run, strtoul(seconds, NULL, 10));
	start_command(run);
	supervise(run);

	if (run->timed_out)
		report("timeout %s", seconds);
	else if (WIFSIGNALED(run->status))
		report("signal %d", WTERMSIG(run->status));
	else
		report("exit %d", WEXITSTATUS(run->status));
}

static void power_off(int verdict_port)
{
	memcpy(verdict + verdict_len, END, strlen(END));
	verdict_len += strlen(END);
	if (!write_all(verdict_port, verdict, verdict_len))
		printf("lab: the verdict is lost: %s\n", strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
	/* Powering off failed; the runner has its verdict. */
	for (;;)
		pause();
}

static void prepare(void)
{
	sigemptyset(&child_signal);
	sigaddset(&child_signal, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child_signal, NULL);
	signal(SIGPIPE, SIG_IGN);
	mount_file_systems();
	open_console();
	set_environment();
	raise_loopback();
	if (system("/bin/busybox --install -s /bin"))
		report("fault no busybox");
}

int main(void)
{
	struct run run = { .port = -1 };
	int events, port;

	prepare();
	events = listen_for_events();
	port = open_port("lab.verdict", events);
	run.port = open_port("lab.output", events);
	close(events);

	if (check_release() && load_modules() &&
	    check_build_ids("before the command") && !faults) {
		keep_a_vm();
		enable_devices();
		run_command(&run);
		check_build_ids("after the command");
		if (!run.stuck)
			check_leaks();
	}
	check_log();
	if (run.stuck)	/* shows on the console where they hang */
		write_string("/proc/sysrq-trigger", "w");
	power_off(port);
}
