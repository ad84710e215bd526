// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Packets in words: what a frame is, and how it differs from what was expected. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/addr.h"
#include "net/frame.h"

#define QUOTE_MAX 120 /* bytes of payload that a difference quotes */

static void put_hex(struct buf *to, const uint8_t *b, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char *at = buf_add(to, 2 * len + 1);
	size_t i;

	if (!at)
		return;
	for (i = 0; i < len; i++) {
		at[2 * i] = digits[b[i] >> 4];
		at[2 * i + 1] = digits[b[i] & 15];
	}
	to->len--; /* the NUL stays behind, as with buf_printf() */
}

static void put_flags(struct buf *to, uint64_t v)
{
	const char *comma = "";
	int i;

	if (!v)
		buf_printf(to, "none");
	for (i = 0; i < 8; i++) {
		if (!(v >> i & 1))
			continue;
		buf_printf(to, "%s%s", comma, frame_flags[i]);
		comma = ",";
	}
}

void frame_value(struct buf *to, const uint8_t *header, uint32_t bytes, const struct frame_field *field)
{
	char text[NET_ADDR_TEXT];
	struct net_addr addr = {.v6 = field->kind == FRAME_IP6};
	const uint8_t *at = header + field->bit / 8;

	switch ((enum frame_kind)field->kind) {
	case FRAME_BYTES:
		put_hex(to, at, bytes - field->bit / 8);
		break;
	case FRAME_MAC:
		buf_printf(to, "%s", net_mac_format(at, text, sizeof(text)));
		break;
	case FRAME_IP4:
	case FRAME_IP6:
		memcpy(addr.bytes, at, addr.v6 ? 16 : 4);
		buf_printf(to, "%s", net_addr_format(&addr, text, sizeof(text)));
		break;
	case FRAME_FLAGS:
		put_flags(to, frame_get(header, field));
		break;
	case FRAME_HEX:
	case FRAME_SUM:
	case FRAME_NEXT_ETHER:
		buf_printf(to, "0x%0*llx", (field->bits + 3) / 4,
			   (unsigned long long)frame_get(header, field));
		break;
	default:
		buf_printf(to, "%llu", (unsigned long long)frame_get(header, field));
	}
}

static bool zeroes(const uint8_t *b, size_t len)
{
	while (len && !*b)
		b++, len--;
	return !len;
}

/* Is this a field's default, or what would be computed? */
static bool usual(const struct frame *f, uint32_t layer, const struct frame_field *field)
{
	static const uint8_t documentation[8] = {0x20, 0x01, 0x0d, 0xb8};
	const struct frame_layer *l = &f->layer[layer];
	const uint8_t *h = f->bytes.data + l->at;
	uint32_t from = field->bit / 8;
	struct frame_field low = *field;

	if (field->kind == FRAME_BYTES)
		return l->bytes == frame_type(l->id).bytes && zeroes(h + from, l->bytes - from);
	if (field->kind != FRAME_IP6)
		return frame_get(h, field) == frame_auto(f, layer, field);
	low.bit += 64;
	low.bits = 64;
	return !memcmp(h + from, documentation, 8) && frame_get(h, &low) == field->value;
}

static void put_payload(struct buf *to, const uint8_t *b, size_t len)
{
	size_t i;

	for (i = 0; i < len && b[i] >= 0x20 && b[i] < 0x7f; i++)
		;
	if (zeroes(b, len)) {
		buf_printf(to, "zeros %zu", len);
	} else if (i < len) {
		buf_printf(to, "hex ");
		put_hex(to, b, len);
	} else {
		buf_printf(to, "text \"");
		for (i = 0; i < len; i++)
			buf_printf(to, "%s%c", b[i] == '"' || b[i] == '\\' ? "\\" : "", b[i]);
		buf_printf(to, "\"");
	}
}

static void put_layer(struct buf *to, const struct frame *f, uint32_t layer)
{
	const struct frame_layer *l = &f->layer[layer];
	const uint8_t *h = f->bytes.data + l->at;
	struct frame_type t;
	uint32_t i;

	if (l->id == FRAME_RAW) {
		put_payload(to, h, l->bytes);
		return;
	}
	t = frame_type(l->id);
	buf_printf(to, "%s", t.name);
	for (i = 0; i < t.n_fields; i++) {
		if (!t.field[i].shown && usual(f, layer, &t.field[i]))
			continue;
		buf_printf(to, " %s ", t.field[i].name);
		frame_value(to, h, l->bytes, &t.field[i]);
	}
}

char *sluice_packet_text(const void *frame, size_t len)
{
	struct buf text = {0};
	struct frame f;
	uint32_t i;
	size_t rest;

	if (!frame_decode(frame, len, &f)) {
		for (i = 0; i < f.n; i++) {
			if (i)
				buf_printf(&text, " / ");
			put_layer(&text, &f, i);
		}
		rest = len - f.end;
		if (!f.n)
			buf_printf(&text, "zeros 0");
		if (rest && zeroes(f.bytes.data + f.end, rest)) {
			buf_printf(&text, " / pad %zu", len);
		} else if (rest) {
			buf_printf(&text, " / trailer ");
			put_hex(&text, f.bytes.data + f.end, rest);
		}
	}
	frame_free(&f);
	if (text.failed)
		buf_free(&text);
	return (char *)text.data;
}

struct sides {
	const struct frame *want, *got;
	uint32_t layer;
};

/* "ipv4 (layer 2): " only where there is more than one of it. */
static int differ(const struct sides *s, const struct frame_field *field, struct sluice_err *err)
{
	const struct frame_layer *w = &s->want->layer[s->layer], *g = &s->got->layer[s->layer];
	const uint8_t *h = s->got->bytes.data + g->at;
	struct buf want = {0}, got = {0};
	uint8_t sum[64] = {0};
	uint32_t i = (uint32_t)(field - frame_type(w->id).field);
	int e;

	if (w->given >> i & 1) {
		frame_value(&want, s->want->bytes.data + w->at, w->bytes, field);
	} else {
		frame_put(sum, field, frame_auto(s->got, s->layer, field));
		frame_value(&want, sum, sizeof(sum), field);
	}
	frame_value(&got, h, g->bytes, field);
	if (want.failed || got.failed)
		e = err_nomem(err);
	else
		e = err_set(err, -ENOENT, "%s %s is %.400s, %s %.400s", frame_type(w->id).name, field->name,
			    got.len ? (char *)got.data : "empty", w->given >> i & 1 ? "expected" : "right is",
			    want.len ? (char *)want.data : "empty");
	buf_free(&want);
	buf_free(&got);
	return e;
}

static bool same(const struct sides *s, const struct frame_field *field)
{
	const struct frame_layer *w = &s->want->layer[s->layer], *g = &s->got->layer[s->layer];
	const uint8_t *hw = s->want->bytes.data + w->at, *hg = s->got->bytes.data + g->at;
	uint32_t from = field->bit / 8;

	if (field->kind == FRAME_BYTES)
		return w->bytes == g->bytes && !memcmp(hw + from, hg + from, w->bytes - from);
	if (field->kind == FRAME_IP6)
		return !memcmp(hw + from, hg + from, 16);
	return frame_get(hw, field) == frame_get(hg, field);
}

/* A sum or length that nobody gave: is it right? */
static bool right(const struct sides *s, const struct frame_field *field)
{
	const struct frame_layer *g = &s->got->layer[s->layer];
	const uint8_t *h = s->got->bytes.data + g->at;
	int ip = frame_ip(s->got, s->layer);

	if (field->kind != FRAME_SUM && field->kind != FRAME_LEN && field->kind != FRAME_HLEN)
		return true;
	if (frame_unknown(s->got, s->layer, field) || usual(s->got, s->layer, field))
		return true;
	/* RFC 768: no checksum was computed */
	return g->id == FRAME_udp && field->kind == FRAME_SUM && !frame_get(h, field) && ip >= 0 &&
	       s->got->layer[ip].id == FRAME_ipv4;
}

static int match_fields(const struct sides *s, struct sluice_err *err)
{
	const struct frame_layer *w = &s->want->layer[s->layer];
	const struct frame_type t = frame_type(w->id);
	uint32_t i;

	for (i = 0; i < t.n_fields; i++) {
		if (w->any >> i & 1)
			continue;
		if (w->given >> i & 1 ? !same(s, &t.field[i]) : !right(s, &t.field[i]))
			return differ(s, &t.field[i], err);
	}
	return 0;
}

static int match_payload(const struct sides *s, struct sluice_err *err)
{
	const struct frame_layer *w = &s->want->layer[s->layer], *g = &s->got->layer[s->layer];
	const uint8_t *bw = s->want->bytes.data + w->at, *bg = s->got->bytes.data + g->at;
	struct buf want = {0}, got = {0};
	int e;

	if (w->bytes == g->bytes && !memcmp(bw, bg, w->bytes))
		return 0;
	put_payload(&want, bw, w->bytes < QUOTE_MAX ? w->bytes : QUOTE_MAX);
	put_payload(&got, bg, g->bytes < QUOTE_MAX ? g->bytes : QUOTE_MAX);
	if (want.failed || got.failed)
		e = err_nomem(err);
	else
		e = err_set(err, -ENOENT, "payload is %u bytes, %s, expected %u bytes, %s", g->bytes,
			    (char *)got.data, w->bytes, (char *)want.data);
	buf_free(&want);
	buf_free(&got);
	return e;
}

static const char *layer_name(const struct frame *f, uint32_t i)
{
	return i >= f->n		     ? "the end"
	       : f->layer[i].id == FRAME_RAW ? "payload"
					     : frame_type(f->layer[i].id).name;
}

int sluice_packet_match(const char *text, const void *frame, size_t len, struct sluice_err *err)
{
	struct frame want = {0}, got = {0};
	struct sides s = {.want = &want, .got = &got};
	int e = frame_parse(text, true, &want, err);

	if (!e) {
		e = frame_decode(frame, len, &got);
		if (e)
			err_set(err, e,
				e == -ENOMEM ? "out of memory"
					     : "a frame of %zu bytes, at most %d are possible",
				len, SLUICE_PACKET_MAX);
	}
	for (; !e && s.layer < want.n; s.layer++) {
		if (s.layer >= got.n || want.layer[s.layer].id != got.layer[s.layer].id)
			e = err_set(err, -ENOENT, "layer %u is %s, expected %s", s.layer + 1,
				    layer_name(&got, s.layer), layer_name(&want, s.layer));
		else
			e = want.layer[s.layer].id == FRAME_RAW ? match_payload(&s, err)
								: match_fields(&s, err);
	}
	if (!e && want.whole && got.n > want.n)
		e = err_set(err, -ENOENT, "layer %u is %s, expected the end", want.n + 1,
			    layer_name(&got, want.n));
	frame_free(&want);
	frame_free(&got);
	return e;
}
