// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is the input one JSON text, strictly by RFC 8259, in UTF-8, with no key twice in
 * an object?  If so, print it flat, a line for each value: .vms[0].pid 1234
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH	16

static char text[1 << 20];
static const char *at = text;
static char path[4096];

/* A key, as it is in the text */
struct key {
	const char *start;
	size_t length;
};

static void fail(const char *what)
{
	fprintf(stderr, "no JSON: %s at byte %zu: %.20s\n", what, (size_t)(at - text), at);
	exit(1);
}

static void skip_space(void)
{
	at += strspn(at, " \t\r\n");
}

static void expect(char c)
{
	if (*at != c)
		fail("unexpected");
	at++;
}

static unsigned int hex4(void)
{
	unsigned int value;

	if (strspn(at, "0123456789abcdefABCDEF") < 4 || sscanf(at, "%4x", &value) != 1)
		fail("four hex digits");
	at += 4;
	return value;
}

/* Behind \u: surrogates come in pairs only */
static void parse_unicode(void)
{
	unsigned int value = hex4();

	if (value >= 0xdc00 && value <= 0xdfff)
		fail("low surrogate");
	if (value < 0xd800 || value > 0xdbff)
		return;
	expect('\\');
	expect('u');
	value = hex4();
	if (value < 0xdc00 || value > 0xdfff)
		fail("high surrogate alone");
}

/* A character of several bytes of UTF-8, in its shortest form and no surrogate */
static void parse_utf8(void)
{
	static const unsigned long least[] = { 0, 0x80, 0x800, 0x10000 };
	const unsigned char *s = (const unsigned char *)at;
	int more = *s >= 0xf0 ? 3 : *s >= 0xe0 ? 2 : 1, i;
	unsigned long c = *s & (0x3f >> more);

	if (*s < 0xc0 || *s > 0xf7)
		fail("no UTF-8");
	for (i = 1; i <= more; i++) {
		if ((s[i] & 0xc0) != 0x80)
			fail("no UTF-8");
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		fail("no UTF-8");
	at += more + 1;
}

static struct key parse_string(void)
{
	struct key key = { .start = at };

	expect('"');
	while (*at != '"') {
		if (*at & 0x80) {
			parse_utf8();
			continue;
		}
		if (*at < ' ')
			fail("raw character");
		if (*at++ != '\\')
			continue;
		if (!*at || !strchr("\"\\/bfnrtu", *at))
			fail("escape");
		if (*at++ == 'u')
			parse_unicode();
	}
	at++;
	key.length = at - key.start;
	return key;
}

static void parse_digits(void)
{
	size_t n = strspn(at, "0123456789");

	if (!n)
		fail("digits");
	at += n;
}

static void parse_number(void)
{
	if (*at == '-')
		at++;
	if (*at == '0')
		at++;
	else
		parse_digits();
	if (*at == '.') {
		at++;
		parse_digits();
	}
	if (*at == 'e' || *at == 'E') {
		at++;
		if (*at == '+' || *at == '-')
			at++;
		parse_digits();
	}
}

static void parse_literal(void)
{
	static const char * const literals[] = { "true", "false", "null" };
	size_t i;

	for (i = 0; i < 3; i++) {
		if (!strncmp(at, literals[i], strlen(literals[i]))) {
			at += strlen(literals[i]);
			return;
		}
	}
	fail("value");
}

static void parse_value(int depth);

static void parse_array(int depth)
{
	size_t end = strlen(path);
	int i = 0;

	expect('[');
	skip_space();
	if (*at == ']') {
		printf("%s []\n", path);
		at++;
		return;
	}
	for (;;) {
		snprintf(path + end, sizeof(path) - end, "[%d]", i++);
		parse_value(depth);
		if (*at != ',')
			break;
		at++;
	}
	path[end] = '\0';
	expect(']');
}

static struct key parse_key(const struct key *keys, int nr)
{
	struct key key;
	int i;

	skip_space();
	key = parse_string();
	for (i = 0; i < nr; i++)
		if (keys[i].length == key.length &&
		    !strncmp(keys[i].start, key.start, key.length))
			fail("the key before is there twice");
	skip_space();
	expect(':');
	return key;
}

static void parse_object(int depth)
{
	size_t end = strlen(path);
	struct key keys[64];
	int nr = 0;

	expect('{');
	skip_space();
	if (*at == '}') {
		printf("%s {}\n", path);
		at++;
		return;
	}
	for (;;) {
		if (nr == 64)
			fail("too many keys");
		keys[nr] = parse_key(keys, nr);
		snprintf(path + end, sizeof(path) - end, ".%.*s",
			 (int)keys[nr].length - 2, keys[nr].start + 1);
		nr++;
		parse_value(depth);
		if (*at != ',')
			break;
		at++;
	}
	path[end] = '\0';
	expect('}');
}

static void parse_value(int depth)
{
	const char *start;

	if (depth == DEPTH)
		fail("too deep");
	skip_space();
	start = at;
	if (*at == '{') {
		parse_object(depth + 1);
	} else if (*at == '[') {
		parse_array(depth + 1);
	} else {
		if (*at == '"')
			parse_string();
		else if (*at == '-' || (*at >= '0' && *at <= '9'))
			parse_number();
		else
			parse_literal();
		printf("%s %.*s\n", path, (int)(at - start), start);
	}
	skip_space();
}

int main(void)
{
	size_t length = fread(text, 1, sizeof(text) - 1, stdin);

	if (ferror(stdin) || !feof(stdin) || strlen(text) != length)
		fail("input");
	parse_value(0);
	if (*at)
		fail("something behind it");
	return 0;
}
