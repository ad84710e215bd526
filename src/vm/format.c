// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Format strings of programs. First everything is checked and fetched, then printed: a call that fails leaves
 * its buffer alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vm/format.h"

enum { ZERO = 1, PLUS = 2, LEFT = 4, SPACE = 8 };
enum { NUMBER, LETTER, STRING, ADDRESS, READY /* an address as text: its width is not looked at */ };

#define NO_WIDTH UINT32_MAX
#define MOST_WIDTH ((1u << 23) - 1) /* of the kernel's printf */

/* The kernel's table of characters, whatever the locale: Latin-1. */
static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0xa0;
}

static bool is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= 0xc0 && c != 0xd7 && c != 0xf7);
}

static bool is_control(uint8_t c)
{
	return c < ' ' || (c >= 0x7f && c < 0xa0);
}

/* What may follow a pointer or a string. */
static bool is_boundary(char c)
{
	uint8_t u = (uint8_t)c;

	return !u || is_space(u) || (!is_control(u) && !is_alnum(u));
}

/* Outside of a conversion, bytes of other scripts are anything. */
static bool is_text(char c)
{
	return (uint8_t)c >= 0x80 || is_space((uint8_t)c) || !is_control((uint8_t)c);
}

struct parse {
	struct format *f;
	const char *at;
	const uint64_t *args;
	format_readable_fn readable;
	void *arg;
};

static const void *mem(uint64_t addr)
{
	return (const void *)(uintptr_t)addr;
}

static int take(struct format *f, uint32_t bytes)
{
	if (f->used + bytes > FORMAT_ARG_BYTES)
		return -ENOSPC;
	f->used += bytes;
	return 0;
}

/* Numbers lie aligned in the kernel's buffer. */
static int take_number(struct format *f, uint32_t bytes)
{
	f->used = (f->used + 3) & ~3u;
	return take(f, bytes);
}

/* Copies a string of the program's; what does not fit any more is cut, and what lies behind what is readable. */
static int take_string(struct parse *p, struct format_arg *a, uint64_t addr)
{
	struct format *f = p->f;
	uint32_t room = FORMAT_ARG_BYTES - f->used;
	uint64_t can = p->readable(p->arg, addr), len;

	if (!room)
		return -ENOSPC;
	len = can ? strnlen(mem(addr), can < room ? can : room) : 0;
	if (len == room)
		len--;
	a->value = f->used;
	if (len)
		memcpy(f->text + f->used, mem(addr), len);
	f->text[f->used + len] = '\0';
	f->used += (uint32_t)len + 1;
	return 0;
}

static int take_ip(struct parse *p, struct format_arg *a, uint64_t addr, bool v6)
{
	struct format *f = p->f;
	char *to = f->text + f->used, text[INET6_ADDRSTRLEN];
	uint32_t room = FORMAT_ARG_BYTES - f->used, bytes = v6 ? 16 : 4, i;
	uint8_t b[16] = {0};
	int n = 0;

	if (room < bytes)
		return -ENOSPC;
	if (p->readable(p->arg, addr) >= bytes)
		memcpy(b, mem(addr), bytes);
	for (i = 0; i < bytes; i += v6 ? 2 : 1)
		n += v6 ? snprintf(text + n, sizeof(text) - (size_t)n, "%s%02x%02x",
				   i && a->conv == 'I' ? ":" : "", b[i], b[i + 1])
			: snprintf(text + n, sizeof(text) - (size_t)n, a->conv == 'I' ? "%s%u" : "%s%03u",
				   i ? "." : "", b[i]);
	a->kind = READY;
	a->value = f->used;
	snprintf(to, room, "%s", text);
	f->used += (uint32_t)n + 1 < room ? (uint32_t)n + 1 : room;
	return 0;
}

/* Behind "%p". */
static int pointer(struct parse *p, struct format_arg *a, uint64_t v)
{
	char c = *p->at;

	a->kind = ADDRESS;
	a->conv = 'p';
	a->value = v;
	if (is_boundary(c))
		return take_number(p->f, 8);
	if ((c == 'k' || c == 'u') && p->at[1] == 's') {
		p->at += 2;
		a->kind = READY;
		if (!is_boundary(*p->at))
			return -EINVAL;
		return p->args ? take_string(p, a, v) : 0;
	}
	if (c == 'K' || c == 'x' || c == 's' || c == 'S' || c == 'B') {
		p->at++;
		a->conv = c;
		return c == 'B' ? take(p->f, 19) : take_number(p->f, 8);
	}
	if ((c != 'i' && c != 'I') || (p->at[1] != '4' && p->at[1] != '6'))
		return -EINVAL;
	a->conv = c;
	p->at += 2;
	return p->args ? take_ip(p, a, v, p->at[-1] == '6') : 0;
}

static void flags_and_width(struct parse *p, struct format_arg *a)
{
	a->width = NO_WIDTH;
	for (;; p->at++) {
		uint8_t bit = *p->at == '0'   ? ZERO
			      : *p->at == '+' ? PLUS
			      : *p->at == '-' ? LEFT
			      : *p->at == ' ' ? SPACE
					      : 0;

		if (!bit)
			break;
		a->flags |= bit;
	}
	if (*p->at < '1' || *p->at > '9')
		return;
	for (a->width = 0; *p->at >= '0' && *p->at <= '9'; p->at++)
		a->width = a->width > MOST_WIDTH ? a->width : a->width * 10 + (uint32_t)(*p->at - '0');
	if (a->width > MOST_WIDTH)
		a->width = MOST_WIDTH;
}

static int number(struct parse *p, struct format_arg *a, uint64_t v)
{
	bool wide = *p->at == 'l';
	char c;

	p->at += wide;
	p->at += wide && *p->at == 'l';
	c = *p->at;
	if (c != 'i' && c != 'd' && c != 'u' && c != 'x' && c != 'X')
		return -EINVAL;
	p->at++;
	a->kind = NUMBER;
	a->conv = c;
	a->value = wide ? v : c == 'i' || c == 'd' ? (uint64_t)(int64_t)(int32_t)v : (uint32_t)v;
	return take_number(p->f, wide ? 8 : 4);
}

static int conversion(struct parse *p, struct format_arg *a, uint64_t v)
{
	flags_and_width(p, a);
	switch (*p->at) {
	case 'p':
		p->at++;
		return pointer(p, a, v);
	case 's':
		p->at++;
		a->kind = STRING;
		if (!is_boundary(*p->at))
			return -EINVAL;
		return p->args ? take_string(p, a, v) : 0;
	case 'c':
		p->at++;
		a->kind = LETTER;
		a->value = (uint8_t)v;
		return take(p->f, 1);
	}
	return number(p, a, v);
}

int format_prepare(struct format *f, const char *fmt, uint64_t len, const uint64_t *args, uint32_t n,
		   format_readable_fn readable, void *arg)
{
	struct parse p = {f, fmt, args, readable, arg};
	const char *end;
	int e;

	f->fmt = fmt;
	f->n = f->used = 0;
	end = memchr(fmt, '\0', len);
	if (!end)
		return -EINVAL;
	f->len = (uint32_t)(end - fmt);
	while (p.at < end && *p.at) {
		if (!is_text(*p.at))
			return -EINVAL;
		if (*p.at++ != '%')
			continue;
		if (*p.at == '%') {
			p.at++;
			continue;
		}
		if (f->n >= n || f->n >= FORMAT_ARGS)
			return -EINVAL;
		f->arg[f->n] = (struct format_arg){.width = NO_WIDTH};
		e = conversion(&p, &f->arg[f->n], args ? args[f->n] : 0);
		if (e && (args || e != -ENOSPC))
			return e;
		f->arg[f->n++].end = (uint32_t)(p.at - fmt);
	}
	return 0;
}

struct out {
	char *to;
	size_t size, n;
};

static void put(struct out *o, char c)
{
	if (o->n + 1 < o->size)
		o->to[o->n] = c;
	o->n++;
}

static void fill(struct out *o, char c, uint64_t n)
{
	while (n--)
		put(o, c);
}

static void put_text(struct out *o, const char *text, const struct format_arg *a)
{
	uint64_t len = strlen(text), pad = a->width != NO_WIDTH && a->width > len ? a->width - len : 0;

	if (!(a->flags & LEFT))
		fill(o, ' ', pad);
	while (*text)
		put(o, *text++);
	if (a->flags & LEFT)
		fill(o, ' ', pad);
}

/* Sign, then zeros, or spaces before or behind all of it. */
static void put_number(struct out *o, const char *digits, char sign, const struct format_arg *a)
{
	uint64_t len = strlen(digits) + (sign != 0),
		 pad = a->width != NO_WIDTH && a->width > len ? a->width - len : 0;

	if (!(a->flags & (LEFT | ZERO)))
		fill(o, ' ', pad);
	if (sign)
		put(o, sign);
	if (!(a->flags & LEFT) && a->flags & ZERO)
		fill(o, '0', pad);
	while (*digits)
		put(o, *digits++);
	if (a->flags & LEFT)
		fill(o, ' ', pad);
}

static void print_arg(struct out *o, const struct format *f, const struct format_arg *a)
{
	struct format_arg with = *a;
	char digits[24];
	char sign = 0;

	switch (a->kind) {
	case NUMBER:
		if (a->conv == 'd' || a->conv == 'i') {
			int64_t v = (int64_t)a->value;

			sign = v < 0 ? '-' : a->flags & PLUS ? '+' : a->flags & SPACE ? ' ' : 0;
			snprintf(digits, sizeof(digits), "%" PRIu64, v < 0 ? 0 - a->value : a->value);
		} else {
			snprintf(digits, sizeof(digits),
				 a->conv == 'u'	  ? "%" PRIu64
				 : a->conv == 'x' ? "%" PRIx64
						  : "%" PRIX64,
				 a->value);
		}
		put_number(o, digits, sign, a);
		break;
	case LETTER:
		fill(o, ' ', !(a->flags & LEFT) && a->width != NO_WIDTH && a->width > 1 ? a->width - 1 : 0);
		put(o, (char)a->value);
		fill(o, ' ', a->flags & LEFT && a->width != NO_WIDTH && a->width > 1 ? a->width - 1 : 0);
		break;
	case STRING:
		put_text(o, f->text + a->value, a);
		break;
	case READY: /* behind the end of what fits the kernel does not even count them */
		if (o->n >= o->size)
			break;
		with.width = NO_WIDTH;
		put_text(o, f->text + a->value, &with);
		break;
	case ADDRESS: /* there are no symbols here, and nobody to hide addresses from */
		if (a->conv == 's' || a->conv == 'S' || a->conv == 'B') {
			snprintf(digits, sizeof(digits), "0x%" PRIx64, a->value);
			put_text(o, digits, a);
			break;
		}
		if (a->width == NO_WIDTH) {
			with.width = 16;
			with.flags |= ZERO;
		}
		snprintf(digits, sizeof(digits), "%" PRIx64, a->value);
		put_number(o, digits, 0, &with);
		break;
	}
}

int format_print(const struct format *f, char *to, size_t size)
{
	struct out o = {to, size, 0};
	const char *at = f->fmt;
	uint32_t i = 0;

	while (at < f->fmt + f->len) {
		if (*at != '%') {
			put(&o, *at++);
		} else if (at[1] == '%') {
			put(&o, '%');
			at += 2;
		} else if (i == f->n) { /* another thread writes it meanwhile */
			break;
		} else {
			print_arg(&o, f, &f->arg[i]);
			at = f->fmt + f->arg[i].end;
			/* letters right behind a pointer's conversion count as part of it */
			while ((f->arg[i].kind == READY || f->arg[i].kind == ADDRESS) &&
			       is_alnum((uint8_t)*at))
				at++;
			i++;
		}
	}
	if (size)
		to[o.n < size ? o.n : size - 1] = '\0';
	return (int)o.n;
}
