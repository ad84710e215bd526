// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Headers from their table: fields, what is computed of them, and which of them a frame has. */
#include <errno.h>
#include <string.h>

#include "net/frame.h"
#include "net/packet.h"

#define ETHER_OTHER 0x88b5 /* IEEE 802: for local experiments */
#define PROTO_OTHER 253	   /* RFC 3692: for experiments */
#define PROTO_NOTHING 59   /* RFC 8200: no next header */

static const struct frame_field fields[] = {
#define LAYER(...)
#define FIELD(layer, name, bit, bits, kind, shown, value) \
	{FRAME_##layer, #name, bit, bits, FRAME_##kind, shown, value},
#include "net/frame.def"
#undef LAYER
#undef FIELD
};
#define N_FIELDS (sizeof(fields) / sizeof(*fields))

static const struct frame_type types[] = {
#define LAYER(name, bytes, ether, proto) {#name, bytes, ether, proto, NULL, 0},
#define FIELD(...)
#include "net/frame.def"
#undef LAYER
#undef FIELD
};

const char *const frame_flags[8] = {"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"};

struct frame_type frame_type(enum frame_id id)
{
	struct frame_type t = types[id];
	size_t i;

	for (i = 0; i < N_FIELDS; i++) {
		if (fields[i].layer != id)
			continue;
		if (!t.n_fields++)
			t.field = &fields[i];
	}
	return t;
}

enum frame_id frame_id_of(const char *name, size_t len)
{
	enum frame_id id;

	for (id = 0; id < FRAME_RAW; id++)
		if (strlen(types[id].name) == len && !memcmp(types[id].name, name, len))
			break;
	return id;
}

uint64_t frame_get(const uint8_t *header, const struct frame_field *field)
{
	uint32_t first = field->bit / 8, last = (field->bit + field->bits - 1u) / 8;
	uint64_t v = 0;

	for (; first <= last; first++)
		v = v << 8 | header[first];
	v >>= 7 - (field->bit + field->bits - 1u) % 8;
	return field->bits < 64 ? v & ((1ull << field->bits) - 1) : v;
}

void frame_put(uint8_t *header, const struct frame_field *field, uint64_t value)
{
	uint32_t i, at;

	for (i = 0; i < field->bits; i++) {
		at = field->bit + field->bits - 1u - i;
		header[at / 8] = (uint8_t)((header[at / 8] & ~(0x80u >> at % 8)) |
					   ((value >> i & 1) ? 0x80u >> at % 8 : 0));
	}
}

uint32_t frame_unit(enum frame_id id)
{
	return id == FRAME_hopopts || id == FRAME_routing || id == FRAME_dstopts ? 8 : 4;
}

int frame_ip(const struct frame *f, uint32_t layer)
{
	int i;

	for (i = (int)layer - 1; i >= 0; i--)
		if (f->layer[i].id == FRAME_ipv4 || f->layer[i].id == FRAME_ipv6)
			return i;
	return -1;
}

/* CRC-32C (Castagnoli, reflected), as RFC 9260 appendix A has SCTP's checksum. */
static uint32_t crc32c(uint32_t crc, const uint8_t *b, size_t len)
{
	int i;

	while (len--) {
		crc ^= *b++;
		for (i = 0; i < 8; i++)
			crc = crc >> 1 ^ (0x82f63b78 & (0 - (crc & 1)));
	}
	return crc;
}

static uint64_t sctp_sum(const uint8_t *h, size_t len)
{
	static const uint8_t none[4];
	uint32_t crc = crc32c(crc32c(crc32c(0xffffffff, h, 8), none, 4), h + 12, len - 12);

	return __builtin_bswap32(~crc);
}

static uint64_t checksum(const struct frame *f, uint32_t layer, const struct frame_field *field)
{
	const struct frame_layer *l = &f->layer[layer];
	const uint8_t *h = f->bytes.data + l->at, *ip;
	uint32_t at = field->bit / 8, len = l->id == FRAME_ipv4 ? l->bytes : f->end - l->at, n;
	uint16_t sum;
	uint32_t s = 0;
	int outer = frame_ip(f, layer);

	if (l->id == FRAME_sctp)
		return sctp_sum(h, len);
	if ((l->id == FRAME_tcp || l->id == FRAME_udp || l->id == FRAME_icmp6) && outer >= 0) {
		ip = f->bytes.data + f->layer[outer].at;
		n = f->layer[outer].id == FRAME_ipv4 ? 8 : 32;
		s = net_sum(len + (uint32_t)types[l->id].proto, ip + (n == 8 ? 12 : 8), n);
	}
	sum = net_sum_finish(net_sum(net_sum(s, h, at), h + at + 2, len - at - 2));
	return !sum && l->id == FRAME_udp ? 0xffff : sum;
}

static uint64_t next_number(const struct frame *f, uint32_t layer, bool ether)
{
	enum frame_id next = layer + 1 < f->n ? f->layer[layer + 1].id : FRAME_RAW;
	int32_t nr = next == FRAME_RAW ? -1 : ether ? types[next].ether : types[next].proto;

	if (nr >= 0)
		return (uint64_t)nr;
	if (ether)
		return ETHER_OTHER;
	return layer + 1 < f->n || f->layer[layer].id == FRAME_ipv4 ? PROTO_OTHER : PROTO_NOTHING;
}

uint64_t frame_auto(const struct frame *f, uint32_t layer, const struct frame_field *field)
{
	const struct frame_layer *l = &f->layer[layer];

	switch ((enum frame_kind)field->kind) {
	case FRAME_LEN:
		return (f->end - l->at - (l->id == FRAME_ipv6 ? l->bytes : 0)) & 0xffff;
	case FRAME_HLEN:
		if (l->id == FRAME_ah)
			return (l->bytes / 4 - 2) & 0xff;
		return frame_unit(l->id) == 8 ? l->bytes / 8 - 1 : l->bytes / 4;
	case FRAME_SUM:
		return checksum(f, layer, field);
	case FRAME_NEXT_ETHER:
		return next_number(f, layer, true);
	case FRAME_NEXT_PROTO:
		return next_number(f, layer, false);
	default:
		return field->value;
	}
}

bool frame_unknown(const struct frame *f, uint32_t layer, const struct frame_field *field)
{
	const uint8_t *h;
	uint32_t i, k;

	if (field->kind != FRAME_SUM && field->kind != FRAME_LEN)
		return false;
	if (f->layer[layer].id == FRAME_ipv4 || f->layer[layer].id == FRAME_ipv6)
		return false;
	for (i = 0; i < layer; i++) {
		h = f->bytes.data + f->layer[i].at;
		k = (uint32_t)h[2] << 8 | h[3];
		if (f->layer[i].id == FRAME_fragment && (k & 0xfff9))
			return true;
		if (f->layer[i].id == FRAME_ipv4 &&
		    ((((uint32_t)h[6] << 8 | h[7]) & 0x3fff) || k > f->bytes.len - f->layer[i].at))
			return true;
	}
	return false;
}

void frame_fill(struct frame *f)
{
	static const enum frame_kind order[] = {FRAME_HLEN, FRAME_NEXT_ETHER, FRAME_NEXT_PROTO, FRAME_LEN,
						FRAME_SUM};
	struct frame_type t;
	uint32_t layer, i, pass;

	for (layer = f->n; layer-- > 0;) {
		if (f->layer[layer].id == FRAME_RAW)
			continue;
		t = frame_type(f->layer[layer].id);
		for (pass = 0; pass < sizeof(order) / sizeof(*order); pass++)
			for (i = 0; i < t.n_fields; i++)
				if (t.field[i].kind == order[pass] && !(f->layer[layer].given >> i & 1))
					frame_put(f->bytes.data + f->layer[layer].at, &t.field[i],
						  frame_auto(f, layer, &t.field[i]));
	}
}

/* The bytes of a header as it says itself, at most room; 0: it says what cannot be. */
static uint32_t header_bytes(enum frame_id id, const uint8_t *h, uint32_t room)
{
	uint32_t n = types[id].bytes, options = 0;

	switch (id) {
	case FRAME_ipv4:
		n = (h[0] & 15u) * 4;
		break;
	case FRAME_tcp:
		n = (h[12] >> 4) * 4u;
		break;
	case FRAME_hopopts:
	case FRAME_routing:
	case FRAME_dstopts:
		n = (h[1] + 1u) * 8;
		break;
	case FRAME_ah:
		n = (h[1] + 2u) * 4;
		break;
	case FRAME_gre:
		options = !(h[1] & 7) ? (h[0] >> 7) + (h[0] >> 5 & 1u) + (h[0] >> 4 & 1u) : 0;
		n += options * 4;
		break;
	default:
		break;
	}
	return n >= types[id].bytes && n <= room ? n : 0;
}

/* What follows a layer; FRAME_RAW: nobody knows. */
static enum frame_id following(const struct frame *f, const struct frame_layer *l)
{
	const uint8_t *h = f->bytes.data + l->at;
	const struct frame_type t = frame_type(l->id);
	enum frame_id id;
	uint64_t nr;
	uint32_t i;

	if ((l->id == FRAME_ipv4 && (h[6] & 0x1f || h[7])) ||
	    (l->id == FRAME_fragment && (h[2] || h[3] & 0xf8)))
		return FRAME_RAW;
	for (i = 0; i < t.n_fields; i++) {
		if (t.field[i].kind != FRAME_NEXT_ETHER && t.field[i].kind != FRAME_NEXT_PROTO)
			continue;
		nr = frame_get(h, &t.field[i]);
		for (id = 0; id < FRAME_RAW; id++)
			if ((uint64_t)(int64_t)(t.field[i].kind == FRAME_NEXT_ETHER ? types[id].ether
										    : types[id].proto) == nr)
				return id;
	}
	return FRAME_RAW;
}

/* The outermost header with a length says where the frame's content ends. */
static void content_end(struct frame *f, const struct frame_layer *l, bool *known)
{
	const uint8_t *h = f->bytes.data + l->at;
	uint64_t end = 0;

	if (*known)
		return;
	if (l->id == FRAME_arp)
		end = l->at + l->bytes;
	else if (l->id == FRAME_ipv4)
		end = l->at + ((uint32_t)h[2] << 8 | h[3]);
	else if (l->id == FRAME_ipv6)
		end = l->at + l->bytes + ((uint32_t)h[4] << 8 | h[5]);
	else
		return;
	*known = true;
	if (end >= l->at + l->bytes && end <= f->end && end != l->at + (l->id == FRAME_ipv6 ? l->bytes : 0))
		f->end = (uint32_t)end;
}

int frame_decode(const void *bytes, size_t len, struct frame *f)
{
	enum frame_id id = FRAME_eth;
	bool known = false;
	struct frame_layer *l;
	uint32_t at = 0, n;

	memset(f, 0, sizeof(*f));
	if (len > SLUICE_PACKET_MAX)
		return -EINVAL;
	buf_put(&f->bytes, bytes, len);
	if (f->bytes.failed)
		return -ENOMEM;
	f->end = (uint32_t)len;
	while (id != FRAME_RAW && f->n < FRAME_LAYERS - 1 && types[id].bytes <= f->end - at) {
		n = header_bytes(id, f->bytes.data + at, f->end - at);
		l = &f->layer[f->n++];
		*l = (struct frame_layer){.id = id, .at = at, .bytes = n ? n : types[id].bytes};
		content_end(f, l, &known);
		at += l->bytes;
		id = n ? following(f, l) : FRAME_RAW;
	}
	if (at < f->end)
		f->layer[f->n++] = (struct frame_layer){.id = FRAME_RAW, .at = at, .bytes = f->end - at};
	return 0;
}

void frame_free(struct frame *f)
{
	buf_free(&f->bytes);
}
