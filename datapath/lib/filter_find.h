/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which rules of the filter a packet has to do with, and what follows where that is simple: the lookup of
 * lib/classify.h, or words of bits (struct filter_bits). What is not simple is left to lib/filter_walk.h.
 */
#ifndef DATAPATH_LIB_FILTER_FIND_H
#define DATAPATH_LIB_FILTER_FIND_H

#include "datapath/lib/filter_plain.h"
#include "datapath/lib/filter_walk.h"

#define SMALLER(a, b) ((a) ^ (((a) ^ (b)) & (0 - below(b, a))))

/* The packet and its place are put down for the walk. */
static __always_inline int hand_over(struct view *v, struct xdp_md *ctx, const struct seen *s, __u32 family)
{
	v->bytes = s->bytes;
	v->is_ip6 = family == PLAIN_IP6;
	v->has_ip = 1;
	v->src[0] = s->src[0];
	v->src[1] = s->src[1];
	v->dst[0] = s->dst[0];
	v->dst[1] = s->dst[1];
	v->service.sport = (__u16)s->sport;
	v->service.dport = (__u16)s->dport;
	v->service.proto = (__u8)s->proto;
	v->facts[FACT_CERTAIN] = 0;
	v->facts[FACT_LENGTH] = s->bytes;
	return walk(ctx);
}

static __always_inline __u8 does(void *m, __u32 rule)
{
	return *TABLE(m, __u8, config.does + rule);
}

/* --- the lookup --- */

/* A list of rules of which the last, or the rule `final`, decides. */
static __always_inline int by_list(struct view *v, struct xdp_md *ctx, void *m, const struct seen *s,
				   __u32 family, __u32 at, __u32 final)
{
	__u64 rule;
	__u32 i;
	__u8 what;

#pragma clang loop unroll(disable)
	for (i = 0; i < FILTER_ROWS; i++) {
		rule = *TABLE(m, __u32, at);
		rule = SMALLER(rule, (__u64)final);
		what = does(m, (__u32)rule);
		if (what & FILTER_WALK)
			break;
		count((__u32)rule, s->bytes);
		if (!(what & FILTER_ON))
			return what;
		at += 4;
	}
	v->table = 0;
	v->at = at;
	v->final = final < config.n_rules ? final : FILTER_END;
	return hand_over(v, ctx, s, family);
}

/* A rule, or a list of some that come before it or instead of it. */
static __always_inline void found(void *m, const struct classify_part *p, __u32 what, __u32 *at, __u32 *final)
{
	if (what == CLASSIFY_NONE)
		return;
	if (p->structure == CLASSIFY_CROSS && p->cross.lists)
		*at = *TABLE(m, __u32, p->cross.lists + 4 * what);
	else
		*final = what;
}

static __always_inline __u32 part_of(void *m, const struct seen *s, __u32 family,
				     const struct classify_part *p)
{
	struct classify_service service = {.sport = (__u16)s->sport,
					   .dport = (__u16)s->dport,
					   .flags = (__u16)s->flags,
					   .proto = (__u8)s->proto,
					   .extra = (__u8)s->extra};

	if (family == PLAIN_IP4)
		return classify_part4(m, p, (__u32)(s->src[0] >> 32), (__u32)(s->dst[0] >> 32), &service);
	return classify_part6(m, p, s->src[0], s->src[1], s->dst[0], s->dst[1], &service);
}

static __always_inline int by_lookup(struct view *v, struct xdp_md *ctx, void *m, const struct seen *s,
				     __u32 family)
{
	const struct classify_part *p = ((const struct classify_image *)m)->part + (family == PLAIN_IP6);
	__u32 at = config.nothing, final = config.n_rules;

	if (family == PLAIN_IP4 ? config.ip4 : config.ip6) {
		found(m, p, part_of(m, s, family, p), &at, &final);
		if (config.apart)
			found(m, p + 2, part_of(m, s, family, p + 2), &at, &final);
	}
	return by_list(v, ctx, m, s, family, at, final);
}

/* Where all rules are certain and final, and where one is for all packets. */
static __always_inline int by_first(struct view *v, struct xdp_md *ctx, void *m, const struct seen *s,
				    __u32 family)
{
	const struct classify_part *p = ((const struct classify_image *)m)->part + (family == PLAIN_IP6);
	__u64 rule;
	__u8 what;

	if (family == PLAIN_IP4 ? config.ip4 : config.ip6)
		rule = part_of(m, s, family, p);
	else
		rule = family == PLAIN_IP4 ? config.all4 : config.all6;
	rule = SMALLER(rule, (__u64)config.n_rules);
	what = does(m, (__u32)rule);
	if (config.walks && what & FILTER_WALK) {
		v->table = 0;
		v->at = config.nothing;
		v->final = (__u32)rule;
		return hand_over(v, ctx, s, family);
	}
	count((__u32)rule, s->bytes);
	return what;
}

/* --- bits --- */

static __always_inline __u64 bits_of_address(void *m, const __u32 *root, __u32 a)
{
	__u32 cell = root[a >> 24];

	cell = *TABLE(m, __u32, 4 * ((cell >> 6) + (__u32)((__u64)(a << 8) >> (cell & 63))));
	cell = *TABLE(m, __u32, 4 * ((cell >> 6) + (__u32)((__u64)(a << 16) >> (cell & 63))));
	return *TABLE(m, __u64, 8 * ((cell >> 6) + (__u32)((__u64)(a << 24) >> (cell & 63))));
}

static __always_inline __u64 bits_of_number(void *m, const __u32 *cells, __u32 n)
{
	__u32 cell = cells[n >> 8];

	return *TABLE(m, __u64, 8 * ((cell >> 6) + (__u32)((__u64)(n & 255) >> (cell & 63))));
}

static __always_inline int by_bits(struct view *v, struct xdp_md *ctx, void *m, const struct seen *s,
				   __u32 family, __u32 table)
{
	const struct filter_bits *b = m + table;
	__u64 bits = b->kind[(s->extra & 15) << 8 | (s->proto & 255)], length, final, on, bit;
	__u32 slot, i;

	bits &= bits_of_address(m, b->root[0], (__u32)(s->src[0] >> 32));
	bits &= bits_of_address(m, b->root[1], (__u32)(s->dst[0] >> 32));
	bits &= bits_of_number(m, b->ports[0], s->sport & 0xffff);
	bits &= bits_of_number(m, b->ports[1], s->dport & 0xffff);
	if (config.asks_flags)
		bits &= b->high[s->flags >> 8 & 255] & b->low[s->flags & 255];
	if (config.asks_length) {
		length = s->bytes;
		length = SMALLER(length, (__u64)FILTER_LENGTHS);
		bits &= bits_of_number(m, b->lengths, (__u32)length & 0x1ffff);
	}
	final = bits & ~b->on;
	final &= -final;
	on = bits & b->on & (final - 1);
	if (config.walks && (on | final) & b->walk) {
		v->bits = on | final;
		v->table = table;
		v->final = FILTER_END;
		return hand_over(v, ctx, s, family);
	}
#pragma clang loop unroll(disable)
	for (i = 0; i < FILTER_BITS && on; i++) {
		bit = on & -on;
		on ^= bit;
		slot = (__u32)FILTER_BITS_SLOT(bit);
		count(b->rule[slot & (FILTER_BITS_SLOTS - 1)], s->bytes);
	}
	slot = (__u32)FILTER_BITS_SLOT(final);
	count(b->rule[slot & (FILTER_BITS_SLOTS - 1)], s->bytes);
	return b->does[slot & (FILTER_BITS_SLOTS - 1)];
}

#endif
