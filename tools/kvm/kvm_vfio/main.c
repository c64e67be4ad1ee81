// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line.
 *
 * For tests: KVM_VFIO_ROOT=/path goes before all paths in /sys, /proc, /dev, /boot, /lib
 * and /usr.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm-vfio.h"

static const char synopsis[] =
	"Usage: kvm-vfio [list] [--json]\n"
	"       kvm-vfio why DEVICE|GROUP [--json]\n"
	"       kvm-vfio watch [--interval SECONDS] [--json]\n"
	"       kvm-vfio status [--json]\n"
	"       kvm-vfio coherent [PID|NAME] [--json]\n"
	"       kvm-vfio --help | --version\n";

static const char explained[] =
	"\n"
	"list       VMs with the VFIO groups and devices that they hold, and on POWER\n"
	"           with their TCE tables\n"
	"why        why is this device (0000:01:00.0, vfio0) or group (7, /dev/vfio/7)\n"
	"           busy, or not viable? 0: it is, 1: it is free\n"
	"watch      what changes, as it happens, until it is interrupted\n"
	"status     does the kernel run the replacement modules? 0: yes, 1: no\n"
	"coherent   is a VM noncoherent, and because of which device? 0: no, 1: yes\n"
	"--json     the same as JSON, see kvm-vfio(8)\n"
	"\n"
	"The exit status is 2 for errors. Without root, not everything can be seen.\n";

static noreturn void misused(const char *what)
{
	warn(what);
	fputs(synopsis, stderr);
	exit(FAILED);
}

struct options {
	bool json;
	unsigned int interval;
};

static unsigned int interval_of(const char *s)
{
	if (!is_number(s) || strlen(s) > 4 || !atoi(s))
		misused(text("no number of seconds from 1 to 9999: %s", plain(s)));
	return atoi(s);
}

/* Leaves the words that are no options. */
static void parse(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "interval", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{}
	};
	int c;

	opterr = 0;
	while ((c = getopt_long_only(argc, argv, ":", known, NULL)) >= 0) {
		switch (c) {
		case 'j':
			options->json = true;
			break;
		case 'i':
			options->interval = interval_of(optarg);
			break;
		case 'h':
			printf("%s%s", synopsis, explained);
			exit(YES);
		case 'v':
			puts("kvm-vfio " VERSION);
			exit(YES);
		case ':':
			misused(text("%s needs a value", plain(argv[optind - 1])));
		default:
			misused(text("no such option: %s", plain(argv[optind - 1])));
		}
	}
}

static int run(const struct options *options, int words, char **word)
{
	const char *command = words ? word[0] : "list", *argument = words > 1 ? word[1] : NULL;
	/* The name that it had in 1.0 */
	bool is_why = !strcmp(command, "why") || !strcmp(command, "who");
	bool takes_one = is_why || !strcmp(command, "coherent");

	if (options->interval && strcmp(command, "watch"))
		misused("only watch has an interval");
	if (words > 1 + takes_one)
		misused(text("%s: too many arguments", plain(command)));
	if (is_why && !argument)
		misused(text("%s: which device or group?", command));
	if (is_why)
		return why(argument, options->json);
	if (!strcmp(command, "list"))
		return list(options->json);
	if (!strcmp(command, "watch"))
		return watch(options->interval, options->json);
	if (!strcmp(command, "status"))
		return status(options->json);
	if (!strcmp(command, "coherent"))
		return coherent(argument, options->json);
	misused(text("no such command: %s", plain(command)));
}

static void forget_all(void)
{
	forget_since(NULL);
}

int main(int argc, char **argv)
{
	struct options options = {};
	int code;

	atexit(forget_all);
	parse(&options, argc, argv);
	code = run(&options, argc - optind, argv + optind);
	if (fflush(stdout) || ferror(stdout))
		die("cannot write the output", NULL);
	return code;
}
