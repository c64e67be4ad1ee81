// SPDX-License-Identifier: GPL-2.0-only
/*
 * busy: a file that cannot be opened a second time, like a group: a terminal that is exclusive,
 * which is EBUSY to all but CAP_SYS_ADMIN.  Says its name, and stays until there is no more
 * input.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int main(void)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY), file;
	const char *name;

	if (terminal < 0 || grantpt(terminal) || unlockpt(terminal))
		return 1;
	name = ptsname(terminal);
	file = name ? open(name, O_RDWR | O_NOCTTY) : -1;
	if (file < 0 || ioctl(file, TIOCEXCL))
		return 1;
	puts(name);
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
