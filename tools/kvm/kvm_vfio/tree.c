// SPDX-License-Identifier: GPL-2.0-only
/*
 * JSON objects.  Their strings are as they were found; only print_tree() makes UTF-8 of
 * them.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json_visit.h>
#include <stdlib.h>
#include <string.h>

#include "kvm-vfio.h"

static struct json_object *checked(struct json_object *o)
{
	if (!o)
		die("no memory left", NULL);
	return o;
}

struct json_object *new_object(void)
{
	return checked(json_object_new_object());
}

struct json_object *new_array(void)
{
	return checked(json_object_new_array());
}

void put(struct json_object *o, const char *key, struct json_object *value)
{
	if (json_object_object_add(o, key, value))
		die("no memory left", NULL);
}

void put_text(struct json_object *o, const char *key, const char *value)
{
	put(o, key, value ? checked(json_object_new_string(value)) : NULL);
}

void put_number(struct json_object *o, const char *key, uint64_t value)
{
	put(o, key, checked(json_object_new_uint64(value)));
}

void put_value(struct json_object *o, const char *key, const char *value)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (!is_number(value) || (*value == '0' && value[1]) || errno)
		put_text(o, key, *value ? value : NULL);
	else
		put_number(o, key, n);
}

void put_bool(struct json_object *o, const char *key, bool value)
{
	put(o, key, checked(json_object_new_boolean(value)));
}

void add(struct json_object *array, struct json_object *value)
{
	if (json_object_array_add(array, value))
		die("no memory left", NULL);
}

struct json_object *get(struct json_object *o, const char *key)
{
	return json_object_object_get(o, key);
}

const char *get_text(struct json_object *o, const char *key)
{
	struct json_object *value = get(o, key);

	return value ? json_object_get_string(value) : NULL;
}

uint64_t get_number(struct json_object *o, const char *key)
{
	return json_object_get_uint64(get(o, key));
}

bool get_bool(struct json_object *o, const char *key)
{
	return json_object_get_boolean(get(o, key));
}

bool has(struct json_object *o, const char *key)
{
	return get(o, key);
}

bool is_false(struct json_object *o, const char *key)
{
	return has(o, key) && !get_bool(o, key);
}

size_t length(struct json_object *array)
{
	return array ? json_object_array_length(array) : 0;
}

struct json_object *element(struct json_object *array, size_t i)
{
	return json_object_array_get_idx(array, i);
}

bool next_element(struct cursor *cursor, struct json_object **e)
{
	if (cursor->next >= length(cursor->array))
		return false;
	*e = element(cursor->array, cursor->next++);
	return true;
}

/* How many bytes are one character of UTF-8?  0: it is none */
static size_t utf8_length(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n, i;

	if (*s < 0x80)
		return 1;
	if (*s < 0xc2 || *s > 0xf4)
		return 0;
	n = *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;
	if (*s == 0xe0)
		low = 0xa0; /* else it would fit into fewer bytes */
	else if (*s == 0xed)
		high = 0x9f; /* no surrogates */
	else if (*s == 0xf0)
		low = 0x90;
	else if (*s == 0xf4)
		high = 0x8f; /* up to U+10FFFF */
	for (i = 1; i < n; i++) {
		if (s[i] < low || s[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return n;
}

/*
 * Each byte that is no UTF-8 becomes U+FFFD, the replacement character, and so does what
 * JSON lets pass and a terminal may take for a command: DEL, and U+0080 to U+009F.
 */
static char *to_utf8(const char *s)
{
	char *out = keep(NULL, strlen(s) * 3), *to = out;

	while (*s) {
		size_t n = utf8_length((const unsigned char *)s);

		if (n && *s != '\x7f' && !(n == 2 && *s == '\xc2' && (s[1] & 0xff) < 0xa0))
			to = mempcpy(to, s, n);
		else
			to = stpcpy(to, "\357\277\275");
		s += n ? n : 1;
	}
	return out;
}

static int clean_string(struct json_object *o, int flags, struct json_object *parent,
			const char *key, size_t *index, void *data)
{
	(void)flags;
	(void)parent;
	(void)key;
	(void)index;
	(void)data;
	if (json_object_is_type(o, json_type_string))
		json_object_set_string(o, to_utf8(json_object_get_string(o)));
	return JSON_C_VISIT_RETURN_CONTINUE;
}

void print_tree(struct json_object *tree)
{
	const char *s;

	json_c_visit(tree, 0, clean_string, NULL);
	s = json_object_to_json_string_ext(tree, JSON_C_TO_STRING_PLAIN |
					   JSON_C_TO_STRING_NOSLASHESCAPE);
	if (!s)
		die("too much for one JSON text", NULL);
	puts(s);
	fflush(stdout);
}
