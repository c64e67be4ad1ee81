// SPDX-License-Identifier: GPL-2.0-only
/*
 * sharers: two processes, not threads of one, that share a table of fds and memory.  Says
 * "PID PID", in the order that the command looks at them, and stays until there is no more input.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int stay(void *unused)
{
	(void)unused;
	pause();
	return 0;
}

int main(void)
{
	static max_align_t stack[4096];
	pid_t self = getpid(), child;

	child = clone(stay, stack + 4096, CLONE_FILES | CLONE_VM | SIGCHLD, NULL);
	if (child < 0)
		return 1;
	printf("%d %d\n", self < child ? self : child, self < child ? child : self);
	fflush(stdout);
	while (getchar() != EOF)
		;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}
