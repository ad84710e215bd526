// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The leaves of a typed value: numbers of any width, enumerators, addresses, strings, bytes. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "bpf/value.h"

#define WORD_MAX 160

typedef unsigned __int128 u128;

size_t value_word(const char *at)
{
	return strcspn(at, " \t\n\r,;{}[]*");
}

/* The bare word at the cursor as a string of its own; the cursor stays. */
static int word(struct value_cursor *c, const char *wanted, char *to, size_t *len)
{
	*len = value_word(c->at);
	if (!*len)
		return value_found(c, wanted);
	if (*len >= WORD_MAX)
		return value_refuse(c, c->at, "a word of %zu characters, %s wanted", *len, wanted);
	memcpy(to, c->at, *len);
	to[*len] = '\0';
	return 0;
}

/* An unsigned number in C's bases; false if s is none. *over: more than 128 bits. */
static bool magnitude(const char *s, u128 *v, bool *over)
{
	unsigned int base = 10, digit;
	u128 next;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		base = 16;
	else if (s[0] == '0' && (s[1] == 'b' || s[1] == 'B'))
		base = 2;
	else if (s[0] == '0')
		base = 8;
	if (base == 16 || base == 2)
		s += 2;
	if (!*s)
		return false;
	*v = 0;
	*over = false;
	for (; *s; s++) {
		digit = isdigit((unsigned char)*s)    ? (unsigned int)(*s - '0')
			: isxdigit((unsigned char)*s) ? (unsigned int)(tolower((unsigned char)*s) - 'a' + 10)
						      : 99;
		if (digit >= base)
			return false;
		next = *v * base + digit;
		*over |= (next - digit) / base != *v;
		*v = next;
	}
	return true;
}

static void put(struct value_cursor *c, uint64_t bit_off, uint32_t bits, u128 v, bool wire)
{
	uint8_t *p = c->value + bit_off / 8;
	uint32_t i;

	if (wire)
		for (i = 0; i < bits / 8; i++)
			p[i] = (uint8_t)(v >> (bits - 8 - i * 8));
	else
		value_bits_put(c->value, bit_off, bits, v);
}

/* "__u8", "__u16 of 3 bits": what a number must fit. */
static const char *type_text(struct value_cursor *c, const struct value_shape *s, uint32_t id, uint32_t bits,
	char *to, size_t size)
{
	struct buf b = {0};

	if (c->type->btf && id)
		value_type_name(c->type->btf, id, &b);
	else
		buf_printf(&b, "%s%s%u", s->kind == VALUE_BE ? "be" : s->is_signed ? "s" : "u", "", bits);
	if (bits != s->size * 8)
		buf_printf(&b, " of %u bit%s", bits, bits == 1 ? "" : "s");
	snprintf(to, size, "%.80s", b.failed || !b.len ? "its type" : (const char *)b.data);
	buf_free(&b);
	return to;
}

static char *decimal(u128 v, bool negative, char to[48])
{
	char *p = to + 47;

	*p = '\0';
	do
		*--p = (char)('0' + (int)(v % 10));
	while (v /= 10);
	if (negative)
		*--p = '-';
	return p;
}

static int store_number(struct value_cursor *c, const struct value_shape *s, uint32_t id, uint64_t bit_off,
	uint32_t bits, const char *text, u128 v, bool negative, bool over)
{
	u128 max = bits == 128 ? ~(u128)0 : ((u128)1 << bits) - 1;
	char low[48], high[48], name[96];
	bool fits;

	if (s->is_signed) {
		max >>= 1;
		fits = negative ? v <= max + 1 : v <= max;
	} else {
		fits = v <= max && (!negative || !v);
	}
	if (over || !fits)
		return value_refuse(c, c->at, "%.48s does not fit %s (%s to %s)", text,
			type_text(c, s, id, bits, name, sizeof(name)),
			decimal(s->is_signed ? max + 1 : 0, s->is_signed, low), decimal(max, false, high));
	put(c, bit_off, bits, negative ? -v : v, s->kind == VALUE_BE || s->kind == VALUE_IP);
	return 0;
}

static int parse_number(struct value_cursor *c, const struct value_shape *s, uint32_t id, uint64_t bit_off,
	uint32_t bits, const char *w)
{
	char name[96];
	bool over;
	u128 v;

	if (!magnitude(w + (*w == '-'), &v, &over))
		return value_refuse(c, c->at, "'%.48s' is not a number, %s wanted", w,
			type_text(c, s, id, bits, name, sizeof(name)));
	return store_number(c, s, id, bit_off, bits, w, v, *w == '-', over);
}

/* 'c' with C's escapes for what cannot stand as itself; the word rules do not hold between the quotes. */
static bool parse_char(struct value_cursor *c, uint64_t bit_off)
{
	const char *at = c->at;

	if (at[0] != '\'' || !at[1] || at[1] == '\\' || at[2] != '\'')
		return false;
	c->value[bit_off / 8] = (uint8_t)at[1];
	c->at += 3;
	return true;
}

static int parse_bool(struct value_cursor *c, uint64_t bit_off, uint32_t bits, const char *w)
{
	bool over;
	u128 v;

	if (!strcmp(w, "true") || !strcmp(w, "1"))
		v = 1;
	else if (!strcmp(w, "false") || !strcmp(w, "0"))
		v = 0;
	else if (strncmp(w, "0x", 2) || !magnitude(w, &v, &over) || over || v >> bits)
		return value_refuse(c, c->at, "'%.48s' is not a bool, true or false wanted", w);
	put(c, bit_off, bits, v, false);
	return 0;
}

static int parse_enum(struct value_cursor *c, const struct value_shape *s, uint32_t id, uint64_t bit_off,
	uint32_t bits, const char *w)
{
	const struct btf *btf = c->type->btf;
	uint32_t i, n = btf_vlen(s->t), n_words = 0;
	const char *words[64], *name;
	char type[96];
	int64_t v;
	int hit;

	if (isdigit((unsigned char)*w) || *w == '-')
		return parse_number(c, s, id, bit_off, bits, w);
	for (i = 0; i < n; i++) {
		bool wide = btf_is_enum64(s->t);

		name = btf__name_by_offset(
			btf, wide ? btf_enum64(s->t)[i].name_off : btf_enum(s->t)[i].name_off);
		if (!name)
			continue;
		if (n_words < 64)
			words[n_words++] = name;
		if (strcmp(name, w))
			continue;
		v = wide	   ? (int64_t)btf_enum64_value(btf_enum64(s->t) + i)
		    : s->is_signed ? btf_enum(s->t)[i].val
				   : (int64_t)(uint32_t)btf_enum(s->t)[i].val;
		if (s->is_signed && v < 0)
			return store_number(c, s, id, bit_off, bits, w, -(u128)v, true, false);
		return store_number(c, s, id, bit_off, bits, w, (uint64_t)v, false, false);
	}
	hit = text_nearest(w, words, n_words);
	type_text(c, s, id, bits, type, sizeof(type));
	if (hit >= 0)
		return value_refuse(
			c, c->at, "'%.48s' is not one of %s, did you mean %s?", w, type, words[hit]);
	return value_refuse(c, c->at, "'%.48s' is not one of %s", w, type);
}

static int parse_float(struct value_cursor *c, const struct value_shape *s, uint64_t bit_off, const char *w)
{
	uint8_t *p = c->value + bit_off / 8;
	bool over = false;
	double d;
	char *end;
	float f;
	u128 v;

	if (!strncmp(w, "0x", 2)) {
		if (!magnitude(w, &v, &over) || over || v >> (s->size * 8))
			return value_refuse(
				c, c->at, "'%.48s' is not the %u bits of a float", w, s->size * 8);
		value_bits_put(c->value, bit_off, s->size * 8, v);
		return 0;
	}
	errno = 0;
	d = strtod(w, &end);
	if (*end || end == w)
		return value_refuse(c, c->at, "'%.48s' is not a number", w);
	if (errno == ERANGE && (d > 1 || d < -1))
		return value_refuse(c, c->at, "%.48s is too large", w);
	if (s->size == 8) {
		memcpy(p, &d, 8);
		return 0;
	}
	f = strtof(w, &end);
	if (f - f != 0 && d - d == 0)
		return value_refuse(c, c->at, "%.48s is too large for a float", w);
	memcpy(p, &f, 4);
	return 0;
}

static bool read_mac(const char *s, uint8_t to[6])
{
	unsigned int i, n, digit, v;

	for (i = 0; i < 6; i++) {
		for (n = 0, v = 0; n < 2 && isxdigit((unsigned char)*s); n++, s++) {
			digit = (unsigned int)(isdigit((unsigned char)*s)
						       ? *s - '0'
						       : tolower((unsigned char)*s) - 'a' + 10);
			v = v * 16 + digit;
		}
		to[i] = (uint8_t)v;
		if (!n || (i < 5 ? *s != ':' && *s != '-' : *s != '\0'))
			return false;
		s++;
	}
	return true;
}

bool value_is_address(const char *w)
{
	uint8_t to[16];

	return inet_pton(AF_INET6, w, to) == 1 || read_mac(w, to);
}

int value_parse_hex(struct value_cursor *c, uint8_t *to, uint32_t size, bool spaced)
{
	const char *start = c->at;
	uint32_t n = 0;
	char pair[3];

	for (;;) {
		while (spaced && (isspace((unsigned char)*c->at) || *c->at == ':'))
			c->at++;
		if (!isxdigit((unsigned char)*c->at))
			break;
		pair[0] = *c->at++;
		pair[1] = pair[2] = '\0';
		if (isxdigit((unsigned char)*c->at))
			pair[1] = *c->at++;
		else if (!spaced)
			return value_refuse(c, c->at, "half a byte, two hex digits each are wanted");
		if (n < size)
			to[n] = (uint8_t)strtoul(pair, NULL, 16);
		n++;
	}
	if (*c->at && (spaced || value_word(c->at)))
		return value_refuse(c, c->at, "'%c' is not a hex digit", *c->at);
	if (n != size)
		return value_refuse(c, start, "%u byte%s of hex, %u wanted", n, n == 1 ? "" : "s", size);
	return 0;
}

/* "text" with escapes, or a bare word; at the top the bare word goes on to the end. */
static int parse_string(struct value_cursor *c, uint8_t *to, uint32_t size)
{
	const char *start = c->at, *p = c->at;
	uint32_t n = 0;
	uint8_t byte;

	if (*p != '"') {
		size_t len = c->depth ? value_word(p) : strlen(p);

		while (!c->depth && len && isspace((unsigned char)p[len - 1]))
			len--;
		if (len > size)
			return value_refuse(c, p, "%zu characters do not fit char[%u]", len, size);
		if (!len)
			return value_refuse(c, p, "nothing there, a string wanted (\"\" for an empty one)");
		memcpy(to, p, len);
		c->at += len;
		return 0;
	}
	for (p++; *p != '"'; n++) {
		if (!*p)
			return value_refuse(c, start, "the string has no closing quote");
		byte = (uint8_t)*p++;
		if (byte == '\\') {
			static const char from[] = "ntr0\"\\", by[] = "\n\t\r\0\"\\";
			const char *e = *p ? strchr(from, *p) : NULL;

			if (e) {
				byte = (uint8_t)by[e - from];
				p++;
			} else if (p[0] == 'x' && isxdigit((unsigned char)p[1]) &&
				   isxdigit((unsigned char)p[2])) {
				byte = (uint8_t)strtoul((char[]){p[1], p[2], '\0'}, NULL, 16);
				p += 3;
			} else {
				return value_refuse(
					c, p, "unknown escape; there are \\n \\t \\r \\0 \\\" \\\\ \\xNN");
			}
		}
		if (n < size)
			to[n] = byte;
	}
	if (n > size)
		return value_refuse(c, start, "%u characters do not fit char[%u]", n, size);
	c->at = p + 1;
	return 0;
}

int value_parse_prefix(struct value_cursor *c, const struct value_shape *s)
{
	bool four = s->kind == VALUE_IP;
	const char *kind = four ? "IPv4" : "IPv6";
	uint32_t bits = s->size * 8;
	char w[WORD_MAX], *slash;
	uint64_t len = bits;
	size_t n;

	if (word(c, "a prefix", w, &n))
		return -EINVAL;
	slash = strchr(w, '/');
	if (slash)
		*slash = '\0';
	if (inet_pton(four ? AF_INET : AF_INET6, w, c->value + 4) != 1)
		return value_refuse(c, c->at, "'%.48s' is not an %s address", w, kind);
	if (slash && text_u64(slash + 1, 0, bits, &len, NULL))
		return value_refuse(c, c->at + (slash + 1 - w),
			"'/%.20s' is not a prefix length, 0 to %u is possible", slash + 1, bits);
	value_bits_put(c->value, 0, 32, len);
	c->at += n;
	return 0;
}

static int parse_address(struct value_cursor *c, const struct value_shape *s, uint64_t bit_off, const char *w)
{
	uint8_t *to = c->value + bit_off / 8;

	if (s->kind == VALUE_MAC)
		return read_mac(w, to) ? 0 : value_refuse(c, c->at, "'%.48s' is not a MAC address", w);
	if (inet_pton(s->kind == VALUE_IP ? AF_INET : AF_INET6, w, to) == 1)
		return 0;
	return value_refuse(
		c, c->at, "'%.48s' is not an %s address", w, s->kind == VALUE_IP ? "IPv4" : "IPv6");
}

static int parse_word(struct value_cursor *c, const struct value_shape *s, uint32_t id, uint64_t bit_off,
	uint32_t bits, const char *w)
{
	bool is_int = isdigit((unsigned char)*w) && !strchr(w, '.');

	switch (s->kind) {
	case VALUE_BOOL:
		return parse_bool(c, bit_off, bits, w);
	case VALUE_ENUM:
		return parse_enum(c, s, id, bit_off, bits, w);
	case VALUE_FLOAT:
		return parse_float(c, s, bit_off, w);
	case VALUE_IP:
		return is_int ? parse_number(c, s, id, bit_off, bits, w) : parse_address(c, s, bit_off, w);
	case VALUE_IP6:
	case VALUE_MAC:
		return parse_address(c, s, bit_off, w);
	case VALUE_POINTER:
		if (!strcmp(w, "0") || !strcmp(w, "NULL") || !strcmp(w, "0x0"))
			return 0;
		return value_refuse(c, c->at, "a pointer cannot be typed, only 0");
	case VALUE_BYTES:
		if (s->size == 4 && inet_pton(AF_INET, w, c->value + bit_off / 8) == 1)
			return 0;
		return value_refuse(c, c->at, "'%.48s' found, hex: and %u bytes wanted", w, s->size);
	case VALUE_KERNEL:
		return value_refuse(c, c->at, "this is the kernel's own and cannot be typed");
	default:
		return parse_number(c, s, id, bit_off, bits, w);
	}
}

int value_parse_scalar(
	struct value_cursor *c, const struct value_shape *s, uint32_t id, uint64_t bit_off, uint32_t bits)
{
	char w[WORD_MAX], type[96];
	size_t len;
	int rc;

	if (s->kind == VALUE_STRING)
		return parse_string(c, c->value + bit_off / 8, s->size);
	if (s->size == 1 && !bits && parse_char(c, bit_off))
		return 0;
	if (!bits)
		bits = s->size * 8;
	rc = word(c, type_text(c, s, id, bits, type, sizeof(type)), w, &len);
	if (!rc)
		rc = parse_word(c, s, id, bit_off, bits, w);
	if (!rc)
		c->at += len;
	return rc;
}
