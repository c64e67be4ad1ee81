// SPDX-License-Identifier: GPL-2.0-only
/*
 * Strings and files.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm-vfio.h"

static struct kept {
	struct kept *next;
	char bytes[];
} *kept;

void die(const char *what, const char *todo)
{
	fflush(stdout);
	warn(what);
	if (todo)
		warn(todo);
	exit(FAILED);
}

void warn(const char *what)
{
	fprintf(stderr, "kvm-vfio: %s\n", what);
}

const char *more_permission(void)
{
	if (geteuid())
		return "run it as root";
	return "run it as root of the host outside of containers";
}

/* Zeroes, if there are no bytes */
char *keep(const void *bytes, size_t size)
{
	struct kept *k = calloc(1, sizeof(*k) + size + 1);

	if (!k)
		die("no memory left", NULL);
	if (bytes)
		memcpy(k->bytes, bytes, size);
	k->next = kept;
	kept = k;
	return k->bytes;
}

const void *newest(void)
{
	return kept;
}

void forget_since(const void *newest)
{
	while (kept && kept != newest) {
		struct kept *next = kept->next;

		free(kept);
		kept = next;
	}
}

static char *format_text(const char *before, const char *format, va_list args)
{
	size_t skip = strlen(before);
	va_list again;
	char *s;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	s = keep(NULL, skip + n + 1);
	memcpy(s, before, skip);
	vsnprintf(s + skip, n + 1, format, args);
	return s;
}

char *text_of(const char *format, va_list args)
{
	return format_text("", format, args);
}

char *text(const char *format, ...)
{
	va_list args;
	char *s;

	va_start(args, format);
	s = format_text("", format, args);
	va_end(args);
	return s;
}

const char *root(void)
{
	const char *root = getenv("KVM_VFIO_ROOT");

	return root ? root : "";
}

char *at(const char *format, ...)
{
	va_list args;
	char *s;

	va_start(args, format);
	s = format_text(root(), format, args);
	va_end(args);
	return s;
}

/* No more than @most bytes */
static char *read_all(int fd, size_t most, size_t *size)
{
	size_t room = 0, used = 0;
	char *bytes = NULL, *kept_bytes;
	ssize_t n = 1;

	while (n && used < most) {
		if (used == room) {
			room = room ? room * 2 : 4096;
			bytes = realloc(bytes, room);
			if (!bytes)
				die("no memory left", NULL);
		}
		n = read(fd, bytes + used, (room < most ? room : most) - used);
		if (n < 0 && errno != EINTR)
			break;
		used += n < 0 ? 0 : n;
	}
	kept_bytes = n < 0 && errno != EINTR ? NULL : keep(bytes, used);
	free(bytes);
	if (size)
		*size = used;
	return kept_bytes;
}

char *read_beginning(const char *path, size_t most, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error;
	char *bytes;

	if (fd < 0)
		return NULL;
	bytes = read_all(fd, most, size);
	error = errno;
	close(fd);
	errno = error;
	return bytes;
}

char *read_file(const char *path)
{
	return read_beginning(path, SIZE_MAX, NULL);
}

bool read_lines(const char *path, void (*take)(char *line, void *data), void *data)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	bool any = false;
	size_t room = 0;

	while (file && getline(&line, &room, file) > 0) {
		line[strcspn(line, "\n")] = 0;
		take(line, data);
		any = true;
	}
	free(line);
	if (file)
		fclose(file);
	return any;
}

char *first_line(const char *path)
{
	char *line = read_file(path);

	if (line)
		line[strcspn(line, "\n")] = 0;
	return line && *line ? line : NULL;
}

char *early_value(const char *path, const char *key)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char bytes[1024], *line, *rest;
	size_t n = strlen(key);
	ssize_t got;

	if (fd < 0)
		return NULL;
	got = read(fd, bytes, sizeof(bytes) - 1);
	close(fd);
	bytes[got < 0 ? 0 : got] = 0;
	for (line = strtok_r(bytes, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (starts(line, key) && line[n] == ':')
			return text("%s", line + n + 1 + strspn(line + n + 1, "\t "));
	}
	return NULL;
}

char *read_link(const char *path)
{
	char target[4096];
	ssize_t n = readlink(path, target, sizeof(target));

	return n < 0 ? NULL : keep(target, n);
}

char *link_name(const char *path)
{
	char *target = read_link(path), *slash;

	if (!target)
		return NULL;
	slash = strrchr(target, '/');
	return slash ? slash + 1 : target;
}

static int no_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

char **list_folder(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, no_dots, versionsort), i;
	char **names;

	if (n < 0)
		return (char **)keep(NULL, sizeof(*names));
	names = (char **)keep(NULL, (n + 1) * sizeof(*names));
	for (i = 0; i < n; i++) {
		names[i] = text("%s", entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return names;
}

bool exists(const char *path)
{
	return !access(path, F_OK);
}

bool is_number(const char *s)
{
	return *s && !s[strspn(s, "0123456789")];
}

bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

char *plain(const char *s)
{
	char *out, *to;

	if (!s)
		return "?";
	out = keep(NULL, strlen(s) * 4);
	for (to = out; *s; s++) {
		if (*s == '\\')
			to = stpcpy(to, "\\\\");
		else if (*s >= ' ' && *s <= '~')
			*to++ = *s;
		else
			to += sprintf(to, "\\%03o", (unsigned char)*s);
	}
	return out;
}

char *output_of(const char *command, const char *a)
{
	char *out = NULL;
	FILE *pipe;
	int status;

	setenv("A", a, 1);
	fflush(stdout);
	pipe = popen(command, "re");
	if (!pipe)
		return NULL;
	out = read_all(fileno(pipe), SIZE_MAX, NULL);
	status = pclose(pipe);
	return status ? NULL : out;
}
