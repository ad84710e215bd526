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

/* What is not simple. at: of a list, or table: of struct filter_bits, with bits of rules there */
static __always_inline int hand_over(struct xdp_md *ctx, __u32 at, __u32 final, __u32 table, __u64 bits)
{
	struct view *v = bpf_map_lookup_elem(&filter_scratch, &map_first);

	if (!v)
		return XDP_ABORTED;
	v->at = at;
	v->final = final < config.n_rules ? final : FILTER_END;
	v->table = table;
	v->bits = bits;
	return walk(ctx);
}

static __always_inline __u8 does(void *m, __u32 rule)
{
	return *TABLE(m, __u8, config.does + rule);
}

/* --- the lookup --- */

/* A list of rules of which the last, or the rule `final`, decides. */
static __always_inline int by_list(struct xdp_md *ctx, void *m, __u32 bytes, __u32 at, __u32 final)
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
		count((__u32)rule, bytes);
		if (!(what & FILTER_ON))
			return what;
		at += 4;
	}
	return hand_over(ctx, at, final, 0, 0);
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
				     const struct classify_service *service, const struct classify_part *p)
{
	if (family == PLAIN_IP4)
		return classify_part4(m, p, (__u32)(s->src[0] >> 32), (__u32)(s->dst[0] >> 32), service);
	return classify_part6(m, p, s->src[0], s->src[1], s->dst[0], s->dst[1], service);
}

static __always_inline int by_lookup(struct xdp_md *ctx, void *m, const struct seen *s, __u32 family,
				     const struct classify_service *service)
{
	const struct classify_part *p = ((const struct classify_image *)m)->part + (family == PLAIN_IP6);
	__u32 at = config.nothing, final = config.n_rules;

	if (family == PLAIN_IP4 ? config.ip4 : config.ip6) {
		found(m, p, part_of(m, s, family, service, p), &at, &final);
		if (config.apart)
			found(m, p + 2, part_of(m, s, family, service, p + 2), &at, &final);
	}
	return by_list(ctx, m, s->bytes, at, final);
}

/* Where all rules are certain and final, and where one is for all packets. */
static __always_inline int by_first(struct xdp_md *ctx, void *m, const struct seen *s, __u32 family,
				    const struct classify_service *service)
{
	const struct classify_part *p = ((const struct classify_image *)m)->part + (family == PLAIN_IP6);
	__u64 rule;
	__u8 what;

	if (family == PLAIN_IP4 ? config.ip4 : config.ip6)
		rule = part_of(m, s, family, service, p);
	else
		rule = family == PLAIN_IP4 ? config.all4 : config.all6;
	rule = SMALLER(rule, (__u64)config.n_rules);
	what = does(m, (__u32)rule);
	if (config.walks && what & FILTER_WALK)
		return hand_over(ctx, config.nothing, (__u32)rule, 0, 0);
	count((__u32)rule, s->bytes);
	return what;
}

static __always_inline int by_tables(struct xdp_md *ctx, void *m, const struct seen *s, __u32 family,
				     const struct classify_service *service)
{
	if (config.lists)
		return family == PLAIN_IP4 ? by_lookup(ctx, m, s, PLAIN_IP4, service)
					   : by_lookup(ctx, m, s, PLAIN_IP6, service);
	return family == PLAIN_IP4 ? by_first(ctx, m, s, PLAIN_IP4, service)
				   : by_first(ctx, m, s, PLAIN_IP6, service);
}

/* --- bits --- */

/* Bits from the upper end of 64 on, by a cell's shift; what is above the lower six bits of it does not count. */
static __always_inline __u64 bits_step(__u32 cell, __u64 rest)
{
	asm volatile("%0 >>= %1" : "+r"(rest) : "r"((__u64)cell));
	return (cell >> 6) + rest;
}

static __always_inline __u64 bits_of_address(void *m, const __u32 *root, __u64 a)
{
	__u32 cell;

	if (!config.deep) {
		cell = root[a >> (64 - FILTER_ROOT)];
		cell = *TABLE(m, __u32, bits_step(cell, a << FILTER_ROOT));
		return *TABLE(m, __u64, bits_step(cell, a << 22));
	}
	cell = root[a >> 56];
	cell = *TABLE(m, __u32, bits_step(cell, a << 8));
	cell = *TABLE(m, __u32, bits_step(cell, a << 16));
	return *TABLE(m, __u64, bits_step(cell, a << 24));
}

/* All ones if x, which is below 2^63, is 0. */
static __always_inline __u64 bits_if_none(__u64 x)
{
	x--;
	asm volatile("%0 s>>= 63" : "+r"(x));
	return x;
}

/* All ones if x is not 0. */
static __always_inline __u64 bits_if_any(__u64 x)
{
	__u64 sign = x | (0 - x);

	asm volatile("%0 s>>= 63" : "+r"(sign));
	return sign;
}

/* All ones if x is above the limit, both below 2^63. */
static __always_inline __u64 bits_if_above(__u64 x, __u64 limit)
{
	limit -= x;
	asm volatile("%0 s>>= 63" : "+r"(limit));
	return limit;
}

/* Without a branch: in which of the prefixes an address is cannot be foreseen. */
static __always_inline __u64 bits_of_address6(void *m, const __u32 *root, const __u64 *a,
					      const volatile struct filter_side6 *how)
{
	__u64 first = how->skip[0] & 64 ? a[1] : a[0], second = how->skip[1] & 64 ? a[1] : a[0];
	__u32 at = root[first << (how->skip[0] & 63) >> (64 - how->width[0]) << how->width[1] |
			second << (how->skip[1] & 63) >> (64 - how->width[1])],
	      k;
	const __u64 *record = m + (at & (CLASSIFY_ROOM - 1) & ~7u);
	const struct filter_near_chain *c = (const void *)(record + 2);
	const struct filter_near_high *h = (const void *)(c + how->chain);
	const struct filter_near_whole *w = (const void *)(h + how->high);
	const struct filter_near_deep *d = (const void *)(w + how->whole);
	__u64 word = record[0], beyond = how->chain ? (a[0] ^ record[1]) >> 1 : 0;

#pragma clang loop unroll(full)
	for (k = 0; k < FILTER_NEAR; k++) {
		if (how->chain <= k)
			break;
		word ^= c[k].change & bits_if_above(beyond, c[k].limit);
	}
#pragma clang loop unroll(full)
	for (k = 0; k < FILTER_NEAR; k++) {
		if (how->high <= k)
			break;
		word ^= h[k].change & bits_if_none((a[0] ^ h[k].hi) >> h[k].shift);
	}
#pragma clang loop unroll(full)
	for (k = 0; k < FILTER_NEAR; k++) {
		if (how->whole <= k)
			break;
		word ^= w[k].change & bits_if_any(a[0] ^ w[k].hi);
	}
#pragma clang loop unroll(full)
	for (k = 0; k < FILTER_NEAR; k++) {
		if (how->deep <= k)
			break;
		word ^= d[k].change & bits_if_any((a[0] ^ d[k].hi) | ((a[1] ^ d[k].lo) & d[k].mask));
	}
	return word;
}

static __always_inline __u64 bits_of_number(void *m, const __u32 *cells, __u32 n)
{
	return *TABLE(m, __u64, bits_step(cells[n >> 8], (__u64)n << 56));
}

/*
 * Takes away the rules that ask for a set which the address is not in, or is. A set is asked only if such a rule
 * comes before the first that decides anyhow.
 */
static __always_inline __u64 bits_of_sets(const struct seen *s, __u32 family, const struct filter_bits *b,
					  __u64 bits)
{
	__u64 asking = b->set[0].in | b->set[0].out | b->set[1].in | b->set[1].out, final = bits & ~b->on & ~asking;
	__u32 k, in, asked = 0;
	struct view *v;

	final &= -final;
	if (!(bits & asking & (final - 1)))
		return bits;
	v = bpf_map_lookup_elem(&filter_scratch, &map_first);
	if (!v)
		return 0;
#pragma clang loop unroll(disable)
	for (k = 0; k < FILTER_BITS_SETS; k++) {
		if (config.bits_sets <= k || !(bits & (b->set[k].in | b->set[k].out) & (final - 1)))
			continue;
		in = SET_LATER;
		if (family == PLAIN_IP4)
			in = filter_set_quick4((b->set[k].ask & ~FILTER_ASK_TO) - 1,
					       (__u32)((b->set[k].ask & FILTER_ASK_TO ? s->dst[0] : s->src[0]) >> 32));
		if (in == SET_LATER) {
			if (!asked++)
				filter_set_begin(&v->sets);
			in = (__u32)filter_set_asked(&v->sets, b->set[k].ask, family == PLAIN_IP6, s->src, s->dst,
						     s->bytes);
		}
		if (in)
			bits &= ~b->set[k].out;
		else
			bits &= ~b->set[k].in;
	}
	return bits;
}

/* Which of the rules that only count come first is a number, and no branch: struct filter_sums. */
static __always_inline int by_sums(const struct filter_bits *b, __u64 final, __u64 on, __u32 bytes)
{
	__u32 slot = (__u32)FILTER_BITS_SLOT(final) & (FILTER_BITS_SLOTS - 1), met, i;
	__u64 set = 0;

#pragma clang loop unroll(full)
	for (i = 0; i < FILTER_SUMS; i++)
		if (i < config.sums.n)
			set |= (on >> (config.sums.rule[i] & 63) & 1) << i;
	met = ((__u32)b->rule[slot] << config.sums.n) + (__u32)set;
	count(config.n_rules + 1 + met, bytes);
	return b->does[slot];
}

/* bits: of protocol and extra; length: at most FILTER_LENGTHS */
static __always_inline int by_bits(struct xdp_md *ctx, void *m, const struct seen *s, __u32 family, __u32 table,
				   __u64 bits, __u32 length)
{
	const struct filter_bits *b = m + table;
	const __u64 in_line = family == PLAIN_IP4 ? config.in_line.bit : 0, addresses = s->src[0] | s->dst[0] >> 32;
	__u64 final, on, bit;
	__u32 slot, i, over = 0;

	if (ASKS(FROM))
		bits &= family == PLAIN_IP4 ? bits_of_address(m, b->root[0], s->src[0])
					    : bits_of_address6(m, b->root[0], s->src, &config.side6[0]);
	if (ASKS(TO))
		bits &= family == PLAIN_IP4 ? bits_of_address(m, b->root[1], s->dst[0])
					    : bits_of_address6(m, b->root[1], s->dst, &config.side6[1]);
	if (ASKS(SPORT))
		bits &= bits_of_number(m, b->ports[0], s->sport & 0xffff);
	if (ASKS(DPORT))
		bits &= bits_of_number(m, b->ports[1], s->dport & 0xffff);
	if (ASKS(LENGTH))
		bits &= bits_of_number(m, b->lengths, length & 0x1ffff);
	if (ASKS(FLAGS))
		bits &= b->flags[s->tcp & 255];
	if (ASKS(ICMP))
		bits &= b->type[s->type & 255] & b->code[s->code & 255];
	if (config.bits_sets)
		bits = bits_of_sets(s, family, b, bits);
	on = bits & b->on;
	final = bits ^ on;
	final &= -final;
	on &= final - 1;
	if (config.walks && (on | final) & b->walk)
		return hand_over(ctx, 0, FILTER_END, table, on | final);
	if (config.sums.n)
		return by_sums(b, final, on, s->bytes);
	if (in_line && on & in_line && over_in_line(addresses, s->bytes)) {
		on &= in_line - 1; /* what comes before it counts */
		over = 1;
	}
#pragma clang loop unroll(disable)
	for (i = 0; i < FILTER_BITS && on; i++) {
		bit = on & -on;
		on ^= bit;
		slot = (__u32)FILTER_BITS_SLOT(bit) & (FILTER_BITS_SLOTS - 1);
		if (in_line && config.in_line.others && bit != in_line && b->does[slot] & FILTER_LIMIT &&
		    filter_over4(addresses, b->rule[slot], s->bytes))
			return XDP_DROP;
		count(b->rule[slot], s->bytes);
	}
	if (over)
		return XDP_DROP;
	slot = (__u32)FILTER_BITS_SLOT(final);
	count(b->rule[slot & (FILTER_BITS_SLOTS - 1)], s->bytes);
	return b->does[slot & (FILTER_BITS_SLOTS - 1)];
}

#endif
