/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A frame taken apart: which headers lie where, and what their fields hold. The language of sluice/packet.h
 * is made of this and frame.def.
 *
 *     text --frame_parse--> struct frame <--frame_decode-- bytes
 *                            |  frame_get, frame_auto
 *                            └> text, a comparison, or with frame_fill() the bytes
 */
#ifndef NET_FRAME_H
#define NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/packet.h>
#include "base/buf.h"

#define FRAME_LAYERS 32 /* headers of one frame; what follows is payload */

enum frame_id {
#define LAYER(name, ...) FRAME_##name,
#define FIELD(...)
#include "net/frame.def"
#undef LAYER
#undef FIELD
	FRAME_RAW, /* payload */
};

enum frame_kind {
	FRAME_NUMBER,
	FRAME_HEX,
	FRAME_FLAGS, /* of TCP */
	FRAME_MAC,
	FRAME_IP4,
	FRAME_IP6,   /* 128 bits; the default is 2001:db8:: and these low bits */
	FRAME_BYTES, /* from the first bit to the end of the header */
	FRAME_LEN,   /* from here computed: of header and content, or of the content (ipv6) */
	FRAME_HLEN,
	FRAME_SUM,
	FRAME_NEXT_ETHER,
	FRAME_NEXT_PROTO,
};

struct frame_field {
	enum frame_id layer;
	const char *name;
	uint16_t bit;
	uint8_t bits;
	uint8_t kind; /* enum frame_kind */
	bool shown;
	uint64_t value; /* default */
};

struct frame_type {
	const char *name;
	uint32_t bytes; /* without options */
	int32_t ether, proto;
	const struct frame_field *field;
	uint32_t n_fields;
};

struct frame_layer {
	enum frame_id id;
	uint32_t at, bytes;
	uint32_t given, any; /* fields that the text named: a value, `any` */
};

struct frame {
	struct buf bytes; /* of the whole frame */
	uint32_t end;	  /* where what lengths count ends; a trailer lies behind */
	uint32_t n;
	bool whole; /* an expectation said that nothing may follow */
	struct frame_layer layer[FRAME_LAYERS];
};

/* frame_type() describes a header; id below FRAME_RAW. */
struct frame_type frame_type(enum frame_id id);
/* frame_id_of() finds one by name; FRAME_RAW: none. */
enum frame_id frame_id_of(const char *name, size_t len);

/* A field of up to 64 bits, as a number. */
uint64_t frame_get(const uint8_t *header, const struct frame_field *field);
void frame_put(uint8_t *header, const struct frame_field *field, uint64_t value);

/* frame_auto() is what a field holds when nobody says otherwise: its default, or computed from the frame as
 * it is. */
uint64_t frame_auto(const struct frame *f, uint32_t layer, const struct frame_field *field);
/* frame_unknown(): a checksum or length that cannot be told from the frame: of a fragment, or cut off. */
bool frame_unknown(const struct frame *f, uint32_t layer, const struct frame_field *field);
/* frame_fill() writes all computed fields that were not given, the innermost first. */
void frame_fill(struct frame *f);

/* frame_decode() takes bytes apart; -ENOMEM, -EINVAL more than SLUICE_PACKET_MAX. The caller frees, also
 * after failure. */
int frame_decode(const void *bytes, size_t len, struct frame *f);
/*
 * frame_parse() reads text; an expectation (pattern) knows `any` and `end`, and its bytes are of the fields
 * given only. The caller frees, also after failure. errors: as sluice_packet_build()
 */
int frame_parse(const char *text, bool pattern, struct frame *f, struct sluice_err *err);
void frame_free(struct frame *f);

/* The units a header with options is counted in: 4 or 8 bytes. */
uint32_t frame_unit(enum frame_id id);
/* frame_value() prints a field of a header; of options: bytes of them. */
void frame_value(struct buf *to, const uint8_t *header, uint32_t bytes, const struct frame_field *field);
/* The names of TCP's flags, from bit 0. */
extern const char *const frame_flags[8];
/* frame_ip() is the IP header that layer lies in; -1: none. */
int frame_ip(const struct frame *f, uint32_t layer);

#endif
