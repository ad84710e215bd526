/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which rule matches a packet first: the lookup in an image that src/classify compiled. BPF programs include
 * it, and tests and benchmarks as plain C.
 *
 * The image stands at a place of CLASSIFY_ROOM bytes (a power of two, at most 256 MB) plus CLASSIFY_SLACK,
 * aligned to 8, or to 128 where lines of cache shall be the image's. In BPF bpf_helpers.h is included before. Every offset read from it is cut to that room, so that a damaged image gives a wrong rule and
 * nothing worse. The place is written to only by the class cache, in whole words.
 */
#ifndef DATAPATH_LIB_CLASSIFY_H
#define DATAPATH_LIB_CLASSIFY_H

#include <stddef.h>
#include <linux/types.h>
#include "abi/classify.h"

#ifndef CLASSIFY_ROOM
#define CLASSIFY_ROOM (32u << 20)
#endif
#define CLASSIFY_SLACK 1024
#define CLASSIFY_FN static inline __attribute__((always_inline, unused))

_Static_assert((CLASSIFY_ROOM & (CLASSIFY_ROOM - 1)) == 0, "CLASSIFY_ROOM is a power of two");

/* BPF adds the place to the offset, which nobody needs any more, rather than the offset to a copy of the place. */
CLASSIFY_FN void *classify_at(void *m, __u32 off)
{
#ifdef __bpf__
	__u64 at = off;

	asm("%0 += %1" : "+r"(at) : "r"(m));
	return (void *)at;
#else
	return (char *)m + off;
#endif
}

#define CLASSIFY_AT(m, type, off) \
	((type *)classify_at((m), (__u32)(off) & (CLASSIFY_ROOM - 1) & ~(__u32)(sizeof(type) - 1)))
#define CLASSIFY_AT16(m, off) (*CLASSIFY_AT(m, __u16, off))
#define CLASSIFY_AT32(m, off) (*CLASSIFY_AT(m, __u32, off))
#define CLASSIFY_AT64(m, off) (*CLASSIFY_AT(m, __u64, off))

/* Any number, for what is thrown out of the class cache. */
#ifdef __bpf__
#define CLASSIFY_RANDOM() bpf_get_prandom_u32()
#else
#include <stdlib.h>
#define CLASSIFY_RANDOM() ((__u32)random())
#endif

/* Loops stay loops: unrolled, they would cost more in instruction cache than they save. */
#ifdef __clang__
#define CLASSIFY_LOOP _Pragma("clang loop unroll(disable)")
#else
#define CLASSIFY_LOOP
#endif

#define CLASSIFY_LANES 0x0001000100010001ull
#define CLASSIFY_GUARDS 0x8000800080008000ull

/* What of a packet beyond its addresses is looked at. Ports and flags in host order, 0 where a packet has
 * none. */
struct classify_service {
	__u16 sport, dport;
	__u16 flags; /* TCP: flag byte << 8; ICMP: type << 8 | code */
	__u8 proto;
	__u8 extra; /* below CLASSIFY_EXTRAS, as the caller gives them meaning */
};

/* The service class. */
CLASSIFY_FN __u32 classify_service_class(void *m, const struct classify_part *p,
					 const struct classify_service *s)
{
	__u32 kind = p->proto[s->proto & 255] + p->high[s->flags >> 8 & 255] + p->low[s->flags & 255] +
		     p->extra[s->extra & (CLASSIFY_EXTRAS - 1)];
	__u32 sport =
		CLASSIFY_AT16(m, p->ports[0] + 2 * (p->block[0][s->sport >> 8 & 255] + (s->sport & 255)));
	__u32 dport =
		CLASSIFY_AT16(m, p->ports[1] + 2 * (p->block[1][s->dport >> 8 & 255] + (s->dport & 255)));
	__u32 product = CLASSIFY_AT32(m, p->products + 4 * (CLASSIFY_AT32(m, p->kinds + 4 * kind) + sport));

	return CLASSIFY_AT16(m, p->services + 2 * (product + dport));
}

/* How many of four boundaries are not above the last 15 bits of an address: all four compared by one
 * subtraction. */
CLASSIFY_FN __u32 classify_count(__u32 address, __u64 bounds)
{
	__u64 x = ((address & 0x7fff) * CLASSIFY_LANES | CLASSIFY_GUARDS) - bounds;

	return (__u32)(((x & CLASSIFY_GUARDS) >> 15) * CLASSIFY_LANES >> 48);
}

CLASSIFY_FN __u32 classify_fork_at(void *m, const struct classify_front *f, __u32 address, __u32 number)
{
	const struct classify_fork *fork =
		CLASSIFY_AT(m, struct classify_fork, f->cells + (__u32)sizeof(*fork) * number);

	return fork->next + classify_count(address, fork->bounds);
}

/* x >> the last six bits of n: the machine takes no more of them, the language wants it said. */
CLASSIFY_FN __u64 classify_shift(__u64 x, __u64 n)
{
#ifdef __bpf__
	asm("%0 >>= %1" : "+r"(x) : "r"(n));
	return x;
#else
	return x >> (n & 63);
#endif
}

/* The record of an IPv4 address, given in host order. */
CLASSIFY_FN __u32 classify_record4(void *m, const struct classify_front *f, __u32 address)
{
	__u32 cell = CLASSIFY_AT32(m, f->root + (address >> (f->shift & 31)) * 4);
	__u32 at = (cell >> 6) + (__u32)classify_shift(address << ((32 - f->shift) & 31), cell);

	if (f->kind == CLASSIFY_FRONT_CELLS) {
		cell = CLASSIFY_AT32(m, f->cells + 4 * at);
		at = (cell >> 6) + (__u32)classify_shift(address << (f->bits & 31), cell);
		return CLASSIFY_AT32(m, f->leaves + 4 * at);
	}
	at = classify_fork_at(m, f, address, at);
	if (f->kind == CLASSIFY_FRONT_FORKS)
		at = classify_fork_at(m, f, address, at);
	at = f->leaves + (__u32)sizeof(struct classify_leaf) * at;
	return CLASSIFY_AT32(m, at + 8 + 4 * classify_count(address, CLASSIFY_AT64(m, at)));
}

/* Cells one after the other, by bits of one half of an IPv6 address; two bits too many are cut off by the access. */
CLASSIFY_FN __u32 classify_steps(void *m, __u32 cell, __u64 half, __u32 n)
{
	__u32 i;

	CLASSIFY_LOOP
	for (i = 0; i < n; i++)
		cell = CLASSIFY_AT32(m, (cell & CLASSIFY_STEP_PLACE) +
						(__u32)classify_shift(half << (cell >> 26), 48 | (cell & 15)));
	return cell;
}

/* Is x, below 2^63, zero? As arithmetic: nobody could predict a branch. */
CLASSIFY_FN __u32 classify_zero(__u64 x)
{
	return (__u32)((x - 1) >> 63);
}

/* The same for any x. */
CLASSIFY_FN __u32 classify_all_zero(__u64 x)
{
	return (__u32)(((x - 1) & ~x) >> 63);
}

/*
 * How many tests of a line an address passes, of which the difference to its key is given. That of the upper half is
 * below 2^63: the root has seen to the first bit, or all records are the same.
 */
CLASSIFY_FN __u32 classify_tests(__u64 high, __u64 low, __u64 shifts)
{
	return classify_zero(classify_shift(high, shifts)) + classify_zero(classify_shift(high, shifts >> 8)) +
	       classify_zero(classify_shift(high, shifts >> 16)) + classify_zero(classify_shift(high, shifts >> 24)) +
	       classify_all_zero(classify_shift(low, shifts >> 32) | high) +
	       classify_all_zero(classify_shift(low, shifts >> 40) | high) +
	       classify_all_zero(classify_shift(low, shifts >> 48) | high);
}

/* The same with as many tests as the first lines of a front have. */
CLASSIFY_FN __u32 classify_first_tests(const struct classify_front *f, __u64 high, __u64 low, __u64 shifts)
{
	__u32 count = classify_zero(classify_shift(high, shifts)) + classify_zero(classify_shift(high, shifts >> 8));

	shifts >>= 16;
	if (f->tests[0] > 2) {
		count += classify_zero(classify_shift(high, shifts)) + classify_zero(classify_shift(high, shifts >> 8));
		shifts >>= 16;
	}
	if (f->tests[0] > 4) {
		count += classify_zero(classify_shift(high, shifts)) + classify_zero(classify_shift(high, shifts >> 8));
		shifts >>= 16;
	}
	if (f->tests[1])
		count += classify_all_zero(classify_shift(low, shifts) | high);
	if (f->tests[1] > 1) {
		count += classify_all_zero(classify_shift(low, shifts >> 8) | high);
		count += classify_all_zero(classify_shift(low, shifts >> 16) | high);
	}
	return count;
}

/* From a trie's cell to its record. */
CLASSIFY_FN __u32 classify_trie(void *m, const struct classify_front *f, __u32 cell, __u64 high, __u64 low)
{
	const struct classify_line *line;
	__u32 record, i;

	cell = classify_steps(m, cell, high, f->steps[0] & 15);
	cell = classify_steps(m, cell, low, f->steps[1] & 15);
	line = CLASSIFY_AT(m, struct classify_line, cell & CLASSIFY_STEP_PLACE);
	record = line->record[classify_first_tests(f, high ^ line->key[0], low ^ line->key[1], line->shifts) & 7];
	CLASSIFY_LOOP
	for (i = 0; i < CLASSIFY_LINES_MAX; i++) {
		if (record != CLASSIFY_NO_RECORD)
			break;
		line = CLASSIFY_AT(m, struct classify_line, line->next);
		record = line->record[classify_tests(high ^ line->key[0], low ^ line->key[1], line->shifts) & 7];
	}
	return record;
}

/* Is a below b, both below 2^63? The difference's sign tells; the compiler must not see through it, or it branches. */
CLASSIFY_FN __u32 classify_below(__u64 a, __u64 b)
{
	a -= b;
	asm("" : "+r"(a));
	return (__u32)(a >> 63);
}

/* How many of seven limits are below x? */
CLASSIFY_FN __u32 classify_over(const __u32 *limit, __u64 x)
{
	return classify_below(limit[0], x) + classify_below(limit[1], x) + classify_below(limit[2], x) +
	       classify_below(limit[3], x) + classify_below(limit[4], x) + classify_below(limit[5], x) +
	       classify_below(limit[6], x);
}

/* The record of an address whose upper half differs by x from the one that all prefixes have. */
CLASSIFY_FN __u32 classify_outer(void *m, const struct classify_front *f, __u64 x)
{
	const struct classify_around *a = CLASSIFY_AT(m, struct classify_around, f->around);
	__u32 i;

	CLASSIFY_LOOP
	for (i = 1; i < CLASSIFY_AROUND_MAX; i++) {
		if (i >= f->n_around || !classify_shift(x, a->shift))
			break;
		a = CLASSIFY_AT(m, struct classify_around, f->around + i * (__u32)sizeof(*a));
	}
	return a->record;
}

/* The record of an address by one half and, if that is the upper one, the other (else 0). */
CLASSIFY_FN __u32 classify_inner(void *m, const struct classify_front *f, __u64 high, __u64 low)
{
	__u32 outside = (__u32)(-((high ^ f->base) >> (f->outside & 63) >> 1) >> 63);
	__u64 rest = high << (f->shift & 63), x;
	__u32 at = ((__u32)classify_shift(rest, f->bits) + 1) & (outside - 1), cell, i, inner = 1;
	const struct classify_fork6 *fork;
	const struct classify_leaf6 *leaf;

	cell = CLASSIFY_AT32(m, f->root + 4 * at);
	if (f->kind == CLASSIFY_FRONT_PIECES) {
		x = rest << (-f->bits & 63) >> 32;
		at = (cell >> 6) + (__u32)classify_shift(x, cell);
		CLASSIFY_LOOP
		for (i = 0; i < CLASSIFY_DEPTH_MAX; i++) {
			if (i >= f->depth)
				break;
			fork = CLASSIFY_AT(m, struct classify_fork6, f->cells + (__u32)sizeof(*fork) * at);
			at = fork->next + classify_over(fork->limit, x);
		}
		leaf = CLASSIFY_AT(m, struct classify_leaf6, f->leaves + (__u32)sizeof(*leaf) * at);
		at = classify_over(leaf->limit, x) & 7;
		cell = leaf->record[at];
		inner = leaf->inner >> at & 1;
	}
	if (inner)
		cell = classify_trie(m, f, cell, high, low);
	return cell;
}

/* The record of an IPv6 address, its halves in host order. */
CLASSIFY_FN __u32 classify_record6(void *m, const struct classify_front *f, __u64 high, __u64 low)
{
	if (f->n_around) {
		if (high != f->common)
			return classify_outer(m, f, high ^ f->common);
		high = low;
		low = 0;
	}
	return classify_inner(m, f, high, low);
}

CLASSIFY_FN __u32 classify_by_cross(void *m, const struct classify_cross *c, __u32 src, __u32 dst,
				    __u32 service)
{
	__u32 first = src, second = dst, third = service, row;

	if (c->order == 1) {
		second = service;
		third = dst;
	} else if (c->order == 2) {
		first = dst;
		second = service;
		third = src;
	}
	row = CLASSIFY_AT16(m, c->pair + 2 * (first * c->n_second + second));
	row = CLASSIFY_AT16(m, c->rows + 2 * (row * c->n_third + third));
	return row + ((row + 1) & 0x10000); /* 0xffff is none; without a branch */
}

/* Does the service class whose bits stand at match have this entry's specification? */
CLASSIFY_FN int classify_wants(void *m, __u32 match, __u32 entry)
{
	__u32 spec = entry >> CLASSIFY_RULE_BITS;

	return CLASSIFY_AT32(m, match + (spec >> 5) * 4) >> (spec & 31) & 1;
}

/* What follows in a pair's list, when its first entry did not match. */
CLASSIFY_FN __u32 classify_rest(void *m, __u32 ref, __u32 match, __u32 service)
{
	__u32 i, entry;

	if (!ref)
		return CLASSIFY_NONE;
	if (ref & CLASSIFY_REF_ROW)
		return CLASSIFY_AT32(m, ref - CLASSIFY_REF_ROW + 4 * service);
	CLASSIFY_LOOP
	for (i = 0; i < CLASSIFY_LIST_MAX; i++) {
		entry = CLASSIFY_AT32(m, ref + 4 * i);
		if (classify_wants(m, match, entry))
			return entry & CLASSIFY_NONE;
	}
	return CLASSIFY_NONE;
}

/* Where in a bucket the key is; 0 if it is not. */
CLASSIFY_FN __u32 classify_in_bucket(void *m, const struct classify_split *t, __u64 hash, __u64 key)
{
	__u32 at = t->pairs + 32 * (__u32)((hash >> 32) * t->n_buckets >> 32);
	const struct classify_pair *pair = CLASSIFY_AT(m, struct classify_pair, at);

	if (pair[0].key == key)
		return at;
	if (pair[1].key == key)
		return at + 16;
	return 0;
}

CLASSIFY_FN __u32 classify_of_pair(void *m, const struct classify_split *t, __u32 src, __u32 dst, __u32 match,
				   __u32 service)
{
	__u64 key = (src | (__u64)dst << CLASSIFY_CLASS_BITS) + 1, hash = key * CLASSIFY_MIX;
	__u32 at = classify_in_bucket(m, t, hash, key), entry;

	if (!at)
		at = classify_in_bucket(m, t, hash * CLASSIFY_MIX, key);
	if (!at)
		return CLASSIFY_NONE;
	entry = CLASSIFY_AT32(m, at + 8);
	if (classify_wants(m, match, entry))
		return entry & CLASSIFY_NONE;
	return classify_rest(m, CLASSIFY_AT32(m, at + 12), match, service);
}

/* The rules of a class of one side whose other prefix is wide, unless best comes before all of them. */
CLASSIFY_FN __u32 classify_of_side(void *m, __u32 side, __u32 wide, __u32 match, __u32 service, __u32 best)
{
	__u32 ref, i, entry, range, found;

	if (CLASSIFY_AT32(m, side) >= best)
		return best;
	ref = CLASSIFY_AT32(m, side + 4);
	if (ref & CLASSIFY_REF_ROW) {
		ref = CLASSIFY_AT32(m, ref - CLASSIFY_REF_ROW + 4 * wide);
		found = CLASSIFY_AT32(m, ref + 4 * service);
		return found < best ? found : best;
	}
	CLASSIFY_LOOP
	for (i = 0; i < CLASSIFY_LIST_MAX; i++) {
		entry = CLASSIFY_AT32(m, ref + 8 * i);
		range = CLASSIFY_AT32(m, ref + 8 * i + 4);
		found = entry & CLASSIFY_NONE;
		if (found >= best)
			return best;
		if (wide - (range & 0xffff) <= (range >> 16) - (range & 0xffff) &&
		    classify_wants(m, match, entry))
			return found;
	}
	return best;
}

CLASSIFY_FN __u32 classify_by_split(void *m, const struct classify_split *t, __u32 src, __u32 dst,
				    __u32 service)
{
	__u32 cs = src & CLASSIFY_CLASS_MASK, us = src >> CLASSIFY_CLASS_BITS, ms = cs, ws = us;
	__u32 cd = dst & CLASSIFY_CLASS_MASK, ud = dst >> CLASSIFY_CLASS_BITS, md = cd, wd = ud;
	__u32 match = t->match + service * t->match_bytes, best = CLASSIFY_NONE, at, found, i;
	int middle = t->upper[0] && t->upper[1];

	if (middle) {
		ms = CLASSIFY_AT32(m, t->upper[0] + 8 * us);
		ws = CLASSIFY_AT32(m, t->upper[0] + 8 * us + 4);
		md = CLASSIFY_AT32(m, t->upper[1] + 8 * ud);
		wd = CLASSIFY_AT32(m, t->upper[1] + 8 * ud + 4);
	}
	CLASSIFY_LOOP
	for (i = 0; i < 4; i++) {
		found = classify_of_pair(m, t, i & 1 ? ms : cs, i & 2 ? md : cd, match, service);
		best = found < best ? found : best;
		if (!middle)
			break;
	}
	CLASSIFY_LOOP
	for (i = 0; i < 4; i++) {
		at = i & 1 ? t->side[1] : t->side[0];
		if (at) {
			at += 8 * (i & 2 ? (i & 1 ? md : ms) : (i & 1 ? cd : cs));
			best = classify_of_side(m, at, i & 1 ? ws : wd, match, service, best);
		}
		if (!middle && i == 1)
			break;
	}
	if (t->wides) {
		at = t->wides + 8 * (ws * t->n_wide + wd);
		if (CLASSIFY_AT32(m, at) < best) {
			found = CLASSIFY_AT32(m, CLASSIFY_AT32(m, at + 4) + 4 * service);
			best = found < best ? found : best;
		}
	}
	return best;
}

/*
 * In front of it the cache: words of {source class, destination class, service class, rule}, two lines of it a place. A key
 * begins at a word of its place, the next ones are for what finds it taken, up to the first free one. In a full place the word
 * at which a new key begins moves to another's, whichever: so what is asked for again stays, after a while, and what nobody asks
 * for goes. A word is read and written whole, so that no CPU sees half of another's; two that bring the same key at once may
 * leave it twice, until one of them goes.
 */
CLASSIFY_FN __u32 classify_cache_place(__u32 at, __u32 i)
{
	const __u32 inside = 8 * CLASSIFY_CACHE_PLACE - 1;

	return (at & ~inside) + ((at + 8 * i) & inside);
}

#define CLASSIFY_CACHE_WORD(m, at) (*(volatile __u64 *)CLASSIFY_AT(m, __u64, at))

CLASSIFY_FN __u32 classify_cached(void *m, const struct classify_split *t, __u32 src, __u32 dst,
				  __u32 service)
{
	__u64 key = ((src & CLASSIFY_CLASS_MASK) | (__u64)(dst & CLASSIFY_CLASS_MASK) << (t->cache_dst & 63) |
		     (__u64)service << (t->cache_service & 63)) +
		    1; /* never that of an empty word */
	__u32 first = t->cache + 8 * (__u32)(key * CLASSIFY_MIX >> (t->cache_shift & 63)), at, i, rule;
	__u64 word = CLASSIFY_CACHE_WORD(m, first);

	if (word >> CLASSIFY_RULE_BITS == key)
		return word & CLASSIFY_NONE;
	CLASSIFY_LOOP
	for (i = 1; i < CLASSIFY_CACHE_PLACE && word; i++) {
		word = CLASSIFY_CACHE_WORD(m, classify_cache_place(first, i));
		if (word >> CLASSIFY_RULE_BITS == key)
			return word & CLASSIFY_NONE;
	}
	rule = classify_by_split(m, t, src, dst, service);
	/* looked for once more: where the search ended would be one more number for the verifier to follow through all of the above */
	CLASSIFY_LOOP
	for (i = 0; i < CLASSIFY_CACHE_PLACE; i++) {
		at = classify_cache_place(first, i);
		if (!CLASSIFY_CACHE_WORD(m, at))
			break;
	}
	if (i == CLASSIFY_CACHE_PLACE) {
		CLASSIFY_CACHE_WORD(m, classify_cache_place(first, CLASSIFY_RANDOM())) =
			CLASSIFY_CACHE_WORD(m, first);
		at = first;
	}
	CLASSIFY_CACHE_WORD(m, at) = key << CLASSIFY_RULE_BITS | rule;
	return rule;
}

CLASSIFY_FN __u32 classify_by_records(void *m, const struct classify_part *p, __u32 src, __u32 dst,
				      __u32 service)
{
	__u32 rule;

	if (p->structure == CLASSIFY_CROSS)
		rule = classify_by_cross(m, &p->cross, src & CLASSIFY_CLASS_MASK, dst & CLASSIFY_CLASS_MASK,
					 service);
	else if (p->split.cache)
		rule = classify_cached(m, &p->split, src, dst, service);
	else
		rule = classify_by_split(m, &p->split, src, dst, service);
	if (p->index_of && rule != CLASSIFY_NONE)
		rule = CLASSIFY_AT32(m, p->index_of + 4 * rule);
	return rule;
}

/* The same for one part of an image: a rule, or of a part with lists a list's number. */
CLASSIFY_FN __u32 classify_part4(void *m, const struct classify_part *p, __u32 src, __u32 dst,
				 const struct classify_service *s)
{
	if (p->structure == CLASSIFY_EMPTY)
		return CLASSIFY_NONE;
	return classify_by_records(m, p, classify_record4(m, &p->front[0], src),
				   classify_record4(m, &p->front[1], dst), classify_service_class(m, p, s));
}

CLASSIFY_FN __u32 classify_part6(void *m, const struct classify_part *p, __u64 src_high, __u64 src_low,
				 __u64 dst_high, __u64 dst_low, const struct classify_service *s)
{
	if (p->structure == CLASSIFY_EMPTY)
		return CLASSIFY_NONE;
	return classify_by_records(m, p, classify_record6(m, &p->front[0], src_high, src_low),
				   classify_record6(m, &p->front[1], dst_high, dst_low),
				   classify_service_class(m, p, s));
}

/* The first rule that matches an IPv4 packet, CLASSIFY_NONE if none does. Addresses in host order. */
CLASSIFY_FN __u32 classify_ipv4(void *m, __u32 src, __u32 dst, const struct classify_service *s)
{
	return classify_part4(m, &((const struct classify_image *)m)->part[0], src, dst, s);
}

/* The same for IPv6: halves of the addresses in host order. */
CLASSIFY_FN __u32 classify_ipv6(void *m, __u64 src_high, __u64 src_low, __u64 dst_high, __u64 dst_low,
				const struct classify_service *s)
{
	return classify_part6(m, &((const struct classify_image *)m)->part[1], src_high, src_low, dst_high,
			      dst_low, s);
}

#endif
