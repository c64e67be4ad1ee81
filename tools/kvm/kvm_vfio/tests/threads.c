// SPDX-License-Identifier: GPL-2.0-only
/*
 * threads [N]: a process with a thread that shares its table of fds, and with N threads, one if
 * it is not said, each of which has a table of its own, and a thread that shares that.  Says
 * "PID TID", and for each of the N "TID TID", a line each, and stays until there is no more
 * input.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_barrier_t barrier;

static void *stay(void *tid)
{
	*(pid_t *)tid = gettid();
	pthread_barrier_wait(&barrier);
	pause();
	return NULL;
}

/* A new thread shares the table of the one that makes it. */
static void start(void *(*run)(void *), pid_t *tids)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, tids))
		exit(1);
}

static void *own_table(void *tids)
{
	if (unshare(CLONE_FILES))
		exit(1);
	start(stay, (pid_t *)tids + 1);
	return stay(tids);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1, i;
	pid_t *tids = calloc(n + 1, 2 * sizeof(*tids));

	pthread_barrier_init(&barrier, NULL, 2 * n + 2);
	tids[0] = getpid();
	start(stay, tids + 1);
	for (i = 1; i <= n; i++)
		start(own_table, tids + 2 * i);
	pthread_barrier_wait(&barrier);
	for (i = 0; i <= n; i++)
		printf("%d %d\n", tids[2 * i], tids[2 * i + 1]);
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
