// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Packets in words: the text is read (sluice/packet.h has the language), the frame is built. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "net/addr.h"
#include "net/frame.h"

#define WORD_MAX 256

struct reader {
	const char *text, *at;
	const char *start; /* of the word read last, for messages */
	char word[WORD_MAX];
	bool pattern, behind; /* behind the layers: what follows is about the frame */
	struct frame *f;
	struct sluice_err *err;
};

static int wrong(const struct reader *r, const char *where, const char *what)
{
	return err_set(r->err, -EINVAL, "packet text, column %zu: %s", (size_t)(where - r->text) + 1, what);
}

/* The next word without moving on; "" at the end. A / is a word of its own. */
static size_t peek(struct reader *r)
{
	while (isspace((unsigned char)*r->at))
		r->at++;
	r->start = r->at;
	return *r->at == '/' ? 1 : strcspn(r->at, " \t\n/");
}

static int take(struct reader *r, const char *wanted)
{
	size_t n = peek(r);
	char what[128];

	if (!n || *r->at == '/') {
		snprintf(what, sizeof(what), "%s is missing here", wanted);
		return wrong(r, r->start, what);
	}
	if (n >= sizeof(r->word))
		return wrong(r, r->start, "this word is too long");
	memcpy(r->word, r->at, n);
	r->word[n] = '\0';
	r->at += n;
	return 0;
}

/* err has the reason already: say where. */
static int here(const struct reader *r)
{
	err_prefix(r->err, "packet text, column %zu", (size_t)(r->start - r->text) + 1);
	return -EINVAL;
}

static int nibble(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Hex digits are longer than other words: they go from the text straight to the frame. */
static int take_hex(struct reader *r, size_t most, size_t *n)
{
	size_t len = peek(r), i;
	uint8_t *to;

	for (i = 0; i < len; i++)
		if (nibble(r->at[i]) < 0)
			return wrong(r, r->at + i, "a hex digit was expected");
	if (!len || len % 2)
		return wrong(r, r->start,
			     len ? "an odd number of hex digits" : "hex digits are missing here");
	if (len / 2 > most)
		return wrong(r, r->start, "more bytes than this header can have");
	to = buf_add(&r->f->bytes, len / 2);
	if (!to)
		return err_nomem(r->err);
	for (i = 0; i < len; i += 2)
		to[i / 2] = (uint8_t)(nibble(r->at[i]) << 4 | nibble(r->at[i + 1]));
	r->at += len;
	*n = len / 2;
	return 0;
}

static int take_number(struct reader *r, uint64_t most, uint64_t *v)
{
	if (take(r, "a number"))
		return -EINVAL;
	return text_u64(r->word, 0, most, v, r->err) ? here(r) : 0;
}

static int take_flags(struct reader *r, uint64_t *v)
{
	char *word, *next, what[320];
	size_t i;

	*v = 0;
	if (take(r, "a list of flags"))
		return -EINVAL;
	if (isdigit((unsigned char)r->word[0]))
		return text_u64(r->word, 0, 255, v, r->err) ? here(r) : 0;
	for (word = r->word; word && strcmp(r->word, "none") != 0; word = next) {
		next = strpbrk(word, ",|");
		if (next)
			*next++ = '\0';
		for (i = 0; i < 8 && strcmp(word, frame_flags[i]) != 0; i++)
			;
		if (i == 8) {
			snprintf(what, sizeof(what),
				 "'%.40s' is no TCP flag: fin, syn, rst, psh, ack, urg, ece, cwr or none",
				 word);
			return wrong(r, r->start, what);
		}
		*v |= 1u << i;
	}
	return 0;
}

static int take_address(struct reader *r, uint8_t *header, const struct frame_field *field)
{
	struct net_addr addr;
	uint8_t mac[6];

	if (take(r, "an address"))
		return -EINVAL;
	if (field->kind == FRAME_MAC) {
		if (net_mac_parse(r->word, mac, r->err))
			return here(r);
		memcpy(header + field->bit / 8, mac, 6);
		return 0;
	}
	if (net_addr_parse(r->word, &addr, r->err))
		return here(r);
	if (addr.v6 != (field->kind == FRAME_IP6))
		return wrong(r, r->start,
			     addr.v6 ? "an IPv4 address was expected" : "an IPv6 address was expected");
	memcpy(header + field->bit / 8, addr.bytes, addr.v6 ? 16 : 4);
	return 0;
}

/* Options: behind what is there of the header, in place of the default; then padded. */
static int take_bytes(struct reader *r, struct frame_layer *l, const struct frame_field *field)
{
	static const uint32_t most[] =
		{[FRAME_ipv4] = 60, [FRAME_tcp] = 60, [FRAME_gre] = 16, [FRAME_ah] = 1028};
	uint32_t limit = frame_unit(l->id) == 8 ? 2048 : most[l->id], from = field->bit / 8,
		 unit = frame_unit(l->id);
	size_t n;
	int e;

	if (l->given & 1u << 31)
		return wrong(r, r->start, "these bytes were given already");
	l->given |= 1u << 31;
	r->f->bytes.len = l->at + from;
	e = take_hex(r, limit - from, &n);
	if (e)
		return e;
	l->bytes = (uint32_t)(from + n + unit - 1) / unit * unit;
	if (l->bytes < frame_type(l->id).bytes)
		l->bytes = frame_type(l->id).bytes;
	buf_add(&r->f->bytes, l->at + l->bytes - r->f->bytes.len);
	return r->f->bytes.failed ? err_nomem(r->err) : 0;
}

static int take_field(struct reader *r, struct frame_layer *l)
{
	const struct frame_type t = frame_type(l->id);
	const char *names[24];
	char what[400];
	uint8_t *header;
	uint64_t v = 0;
	uint32_t i;
	int near, e;

	if (take(r, "a field"))
		return -EINVAL;
	for (i = 0; i < t.n_fields && strcmp(t.field[i].name, r->word) != 0; i++)
		names[i] = t.field[i].name;
	if (i == t.n_fields) {
		near = text_nearest(r->word, names, t.n_fields);
		snprintf(what, sizeof(what),
			 near >= 0 ? "%s has no field '%.40s', did you mean %s?" : "%s has no field '%.40s'",
			 t.name, r->word, near >= 0 ? names[near] : "");
		return wrong(r, r->start, what);
	}
	if (r->pattern && peek(r) == 3 && !memcmp(r->at, "any", 3)) {
		r->at += 3;
		l->any |= 1u << i;
		return 0;
	}
	header = r->f->bytes.data + l->at;
	switch ((enum frame_kind)t.field[i].kind) {
	case FRAME_MAC:
	case FRAME_IP4:
	case FRAME_IP6:
		e = take_address(r, header, &t.field[i]);
		break;
	case FRAME_BYTES:
		e = take_bytes(r, l, &t.field[i]);
		break;
	default:
		e = t.field[i].kind == FRAME_FLAGS ? take_flags(r, &v)
						   : take_number(r, (1ull << t.field[i].bits) - 1, &v);
		if (!e)
			frame_put(header, &t.field[i], v);
	}
	l->given |= 1u << i;
	return e;
}

static void defaults(uint8_t *header, const struct frame_type *t)
{
	static const uint8_t documentation[8] = {0x20, 0x01, 0x0d, 0xb8};
	struct frame_field low;
	uint32_t i;

	for (i = 0; i < t->n_fields; i++) {
		low = t->field[i];
		if (low.kind == FRAME_IP6) {
			memcpy(header + low.bit / 8, documentation, 8);
			low.bit += 64;
			low.bits = 64;
		}
		if (low.bits)
			frame_put(header, &low, low.value);
	}
}

static int take_text(struct reader *r)
{
	const char *p;
	uint8_t *to;
	char c;

	peek(r);
	if (*r->at != '"')
		return wrong(r, r->start, "text in double quotes was expected");
	for (p = r->at + 1; *p != '"'; p++) {
		c = *p;
		if (!c)
			return wrong(r, r->start, "this text has no closing quote");
		if (c == '\\') {
			c = *++p;
			if (c == 'x' && nibble(p[1]) >= 0 && nibble(p[2]) >= 0) {
				c = (char)(nibble(p[1]) << 4 | nibble(p[2]));
				p += 2;
			} else if (c == 'n' || c == 't') {
				c = c == 'n' ? '\n' : '\t';
			} else if (c != '"' && c != '\\') {
				return wrong(r, p, "after a backslash n, t, \", \\ or xNN was expected");
			}
		}
		to = buf_add(&r->f->bytes, 1);
		if (!to)
			return err_nomem(r->err);
		*to = (uint8_t)c;
	}
	r->at = p + 1;
	return 0;
}

/* Payload, and what is about the frame. *was: the word was one of these. */
static int take_other(struct reader *r, struct frame_layer *l, bool *was)
{
	struct buf *b = &r->f->bytes;
	uint64_t v;
	size_t n;
	int e;

	*was = true;
	l->id = FRAME_RAW;
	if (!strcmp(r->word, "text"))
		return take_text(r);
	if (!strcmp(r->word, "hex"))
		return take_hex(r, SLUICE_PACKET_MAX, &n);
	if (!strcmp(r->word, "zeros")) {
		e = take_number(r, SLUICE_PACKET_MAX, &v);
		return e ? e : buf_add(b, v) || !v ? 0 : err_nomem(r->err);
	}
	*was = !strcmp(r->word, "pad") || !strcmp(r->word, "cut") || !strcmp(r->word, "trailer") ||
	       !strcmp(r->word, "end");
	if (!*was)
		return 0;
	if (r->pattern != !strcmp(r->word, "end"))
		return wrong(r, r->start,
			     r->pattern ? "an expectation has layers, and `end` behind them"
					: "`end` is for expectations only");
	if (!r->behind) {
		r->f->end = (uint32_t)b->len;
		if (!r->pattern)
			frame_fill(r->f);
	}
	r->behind = true;
	if (r->pattern) {
		r->f->whole = true;
		return 0;
	}
	if (!strcmp(r->word, "trailer"))
		return take_hex(r, SLUICE_PACKET_MAX, &n);
	e = strcmp(r->word, "cut") ? 1 : 0;
	if (take_number(r, SLUICE_PACKET_MAX, &v))
		return -EINVAL;
	if (!e && v < b->len)
		b->len = v;
	if (e && v > b->len)
		return buf_add(b, v - b->len) ? 0 : err_nomem(r->err);
	return 0;
}

static int take_layer(struct reader *r)
{
	static const char *const others[] = {"text", "hex", "zeros", "pad", "cut", "trailer"};
	const char *names[FRAME_RAW + 6];
	struct frame_layer *l = &r->f->layer[r->f->n], now = {.at = (uint32_t)r->f->bytes.len};
	struct frame_type t;
	bool other, behind = r->behind;
	char what[320];
	int e, near;
	size_t i;

	if (take(r, "a layer"))
		return -EINVAL;
	e = take_other(r, &now, &other);
	if (e || (other && r->behind))
		return e;
	if (behind)
		return wrong(r, r->start, "layers come before what is about the frame");
	if (r->f->n == FRAME_LAYERS)
		return wrong(r, r->start, "more layers than a frame can have here, 32");
	if (other) {
		now.bytes = (uint32_t)r->f->bytes.len - now.at;
		*l = now;
		r->f->n++;
		return 0;
	}
	now.id = frame_id_of(r->word, strlen(r->word));
	if (now.id == FRAME_RAW) {
		for (i = 0; i < FRAME_RAW; i++)
			names[i] = frame_type((enum frame_id)i).name;
		memcpy(names + FRAME_RAW, others, sizeof(others));
		near = text_nearest(r->word, names, FRAME_RAW + 6);
		snprintf(what, sizeof(what),
			 near >= 0 ? "there is no layer '%.40s', did you mean %s?"
				   : "there is no layer '%.40s'",
			 r->word, near >= 0 ? names[near] : "");
		return wrong(r, r->start, what);
	}
	t = frame_type(now.id);
	now.bytes = t.bytes;
	*l = now;
	if (!buf_add(&r->f->bytes, t.bytes))
		return err_nomem(r->err);
	defaults(r->f->bytes.data + l->at, &t);
	while (!e && peek(r) && *r->at != '/')
		e = take_field(r, l);
	r->f->n++;
	return e;
}

int frame_parse(const char *text, bool pattern, struct frame *f, struct sluice_err *err)
{
	struct reader r = {.text = text, .at = text, .pattern = pattern, .f = f, .err = err};
	int e;

	memset(f, 0, sizeof(*f));
	do {
		e = take_layer(&r);
		if (!e && f->bytes.len > SLUICE_PACKET_MAX)
			e = err_set(err, -ENOSPC, "packet text: more than %d bytes", SLUICE_PACKET_MAX);
		if (!e && peek(&r) && *r.at != '/')
			e = wrong(&r, r.at, "a / was expected between layers");
	} while (!e && *r.at++ == '/');
	if (!e && !r.behind) {
		f->end = (uint32_t)f->bytes.len;
		if (!pattern)
			frame_fill(f);
	}
	return e;
}

int sluice_packet_build(const char *text, void *to, size_t size, size_t *len, struct sluice_err *err)
{
	struct frame f;
	int e = frame_parse(text, false, &f, err);

	if (!e && f.bytes.len > size)
		e = err_set(err, -ENOSPC, "the packet has %zu bytes, there is room for %zu", f.bytes.len,
			    size);
	if (!e) {
		if (f.bytes.len)
			memcpy(to, f.bytes.data, f.bytes.len);
		*len = f.bytes.len;
	}
	frame_free(&f);
	return e;
}
