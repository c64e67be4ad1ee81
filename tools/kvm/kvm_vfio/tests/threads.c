// SPDX-License-Identifier: GPL-2.0-only
/*
 * threads: a process with two threads, of which the second has a table of fds of its own.
 * Says "PID TID TID", and stays until there is no more input.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static pthread_barrier_t barrier;
static pid_t tids[2];

static void *thread(void *own_table)
{
	tids[!!own_table] = gettid();
	if (own_table && unshare(CLONE_FILES))
		perror("unshare");
	pthread_barrier_wait(&barrier);
	pause();
	return NULL;
}

int main(void)
{
	pthread_t threads[2];
	int i;

	pthread_barrier_init(&barrier, NULL, 3);
	for (i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, thread, i ? &barrier : NULL))
			return 1;
	pthread_barrier_wait(&barrier);
	printf("%d %d %d\n", getpid(), tids[0], tids[1]);
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
