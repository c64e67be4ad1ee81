// SPDX-License-Identifier: GPL-2.0-only
/* What the code under test tells people: seq_file and events. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/seq_file.h>
#include <linux/tracepoint.h>

#include "test.h"

/* seq_file */

static unsigned long seq_pieces;	/* atomic */

static void seq_vprintf(struct seq_file *m, const char *fmt, va_list args)
{
	size_t room = m->size - m->count;
	size_t len = vsnprintf(m->buf + m->count, room, fmt, args);

	__atomic_add_fetch(&seq_pieces, 1, __ATOMIC_RELAXED);
	m->overflow |= len >= room;
	m->count += m->overflow ? room - 1 : len;
}

void seq_printf(struct seq_file *m, const char *fmt, ...)
{
	va_list args;

	shim_step("seq_printf", NULL);
	va_start(args, fmt);
	if (!m->overflow)
		seq_vprintf(m, fmt, args);
	va_end(args);
}

void seq_puts(struct seq_file *m, const char *text)
{
	seq_printf(m, "%s", text);
}

void seq_putc(struct seq_file *m, char c)
{
	seq_printf(m, "%c", c);
}

static size_t seq_size;

void shim_set_seq_size(size_t size)
{
	seq_size = size;
}

static size_t last_size;	/* atomic */

size_t shim_seq_size(void)
{
	return __atomic_load_n(&last_size, __ATOMIC_RELAXED);
}

/* As the kernel: once more, from the start, in twice the room.  Ours is small. */
static char *show_fdinfo(struct file *file)
{
	struct seq_file m = { .size = seq_size ?: 32 };

	for (;;) {
		m.count = 0;
		m.overflow = false;
		m.buf = calloc(1, m.size);
		if (!m.buf)
			abort();
		file->f_op->show_fdinfo(&m, file);
		if (!m.overflow) {
			__atomic_store_n(&last_size, m.size, __ATOMIC_RELAXED);
			return m.buf;
		}
		free(m.buf);
		m.size *= 2;
	}
}

char *shim_read_fdinfo(int fd)
{
	struct file *file = shim_fd(fd);
	char *text;

	if (!file)
		return NULL;
	text = file->f_op->show_fdinfo ? show_fdinfo(file) : NULL;
	fput(file);
	shim_return_to_user();
	return text;
}

char *shim_cut_line(char *text, const char *key)
{
	char line[32], *at, *end;

	snprintf(line, sizeof(line), "\n%s:\t", key);
	at = strstr(text, line);
	end = at ? strchr(at + 1, '\n') : NULL;
	if (!end)
		SHIM_FAIL("no %s in \"%s\"", key, text);
	else
		memmove(at, end, strlen(end) + 1);
	return text;
}

unsigned long shim_seq_pieces(void)
{
	return __atomic_exchange_n(&seq_pieces, 0, __ATOMIC_RELAXED);
}

/* Events */

static pthread_mutex_t trace_lock = PTHREAD_MUTEX_INITIALIZER;
static char trace_text[4096];
static size_t trace_len;
static bool tracing;

void shim_trace(const char *name, const char *fmt, ...)
{
	va_list args;

	if (!shim_load(tracing))
		return;
	pthread_mutex_lock(&trace_lock);
	trace_len += snprintf(trace_text + trace_len,
			      sizeof(trace_text) - trace_len, "%s: ", name);
	va_start(args, fmt);
	if (trace_len < sizeof(trace_text))
		trace_len += vsnprintf(trace_text + trace_len,
				       sizeof(trace_text) - trace_len, fmt, args);
	va_end(args);
	if (trace_len + 1 >= sizeof(trace_text))
		bail_out("too many events");
	trace_text[trace_len++] = '\n';
	trace_text[trace_len] = 0;
	pthread_mutex_unlock(&trace_lock);
}

void trace_start(void)
{
	trace_len = 0;
	trace_text[0] = 0;
	shim_store(tracing, true);
}

const char *trace_stop(void)
{
	shim_store(tracing, false);
	return trace_text;
}

const char *shim_symbol_name(unsigned long value,
			     const struct trace_print_flags *names, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (names[i].mask == value)
			return names[i].name;
	SHIM_FAIL("%lu has no name", value);
	return "?";
}
