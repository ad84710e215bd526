/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is this address in that set? For BPF programs and plain C, on memory as abi/set.h describes it, while
 * src/sets changes it.
 *
 * mem is memory with a set in it (in a program: a map's value), base the byte in it where the set begins, limit
 * the size of all the memory minus SET_LINE, known to the verifier (a constant, or one in .rodata); several sets
 * in one memory have different bases, which need not be constants but have to be held against
 * SET_LAST(limit). Every position is held against limit, so that damaged memory gives
 * wrong answers and nothing worse. Addresses are in host order. No helper is called, no lock is taken, nothing is
 * waited for.
 */
#ifndef DATAPATH_LIB_SET_H
#define DATAPATH_LIB_SET_H

#include <linux/types.h>

#include "abi/set.h"

#define SET_FN static inline __attribute__((always_inline, unused))
#ifndef SET_RARE /* whoever has no stack left for calls has it inline, too */
#define SET_RARE static __attribute__((noinline, unused))
#endif

#define SET_GET(type, at) (*(const volatile type *)(at))
#define SET_ONES 0x0001000100010001ull
#define SET_TOPS 0x8000800080008000ull

/*
 * One register for a position, from its comparison with limit to its use: left alone, clang compares one and
 * uses another that it thinks equal, and the verifier does not.
 */
#define SET_PIN(at) __asm__ volatile("" : "+r"(at))

/* Where the last set can begin. */
#define SET_LAST(limit) ((limit) + SET_LINE - sizeof(struct set_head))

/*
 * What is looked for, when that is more than five arguments; and where lookups put it: callers that are deep in
 * their stack have it elsewhere, as nothing of it is taken on trust.
 */
struct set_want {
	__u64 hi, lo, base;
	__u32 tag, bucket;
};

/* The lane of a bucket that equals print (with SET_USED), as bit 16 * lane + word; 0 if none does. */
SET_FN __u64 set_match(const void *bucket, __u64 print)
{
	__u64 pattern = print * SET_ONES;
	__u64 a = SET_GET(__u64, bucket) ^ pattern, b = SET_GET(__u64, bucket + 8) ^ pattern;
	__u64 c = SET_GET(__u64, bucket + 16) ^ pattern, d = SET_GET(__u64, bucket + 24) ^ pattern;

	/* a lane that is 0 borrows; the lanes above it that this falsifies go by taking the lowest */
	a = (a - SET_ONES) & ~a & SET_TOPS;
	b = (b - SET_ONES) & ~b & SET_TOPS;
	c = (c - SET_ONES) & ~c & SET_TOPS;
	d = (d - SET_ONES) & ~d & SET_TOPS;
	a = a >> 15 | b >> 14 | c >> 13 | d >> 12;
	return a & -a;
}

SET_FN __u64 set_slot(__u64 bucket, __u64 match)
{
	return bucket * SET_LANES + (match * SET_LANE_MAGIC >> 60);
}

/* A find is (slot + 1) << 16 | value, or 0. This one looks through the spill area, where few keys are. */
SET_RARE __u64 set_spilled(const void *mem, __u64 limit, const volatile struct set_table *t,
			   const struct set_want *want)
{
	__u64 home = want->bucket & t->spill_mask,
	      at = want->base + (__u64)t->spill * SET_LINE + home * sizeof(struct set_spill);
	__u64 state = SET_SPILL_USED | want->bucket, i;
	const void *entry;

	/* one test an entry: the verifier goes through all of them, for each level of a set */
	for (i = 0; i < SET_WINDOW; i++, at += sizeof(struct set_spill)) {
		SET_PIN(at);
		if (at > limit)
			return 0;
		entry = mem + at;
		if (!((SET_GET(__u32, entry + 16) ^ state) | (SET_GET(__u64, entry + 8) ^ want->lo) |
		      (SET_GET(__u64, entry) ^ want->hi) | (SET_GET(__u16, entry + 22) ^ want->tag)))
			return (((__u64)SET_LANES << (t->bits & 31)) + home + i + 1) << 16 |
			       SET_GET(__u16, entry + 20);
	}
	return 0;
}

/* Does the summary say that a bucket does not have a print? Then nothing of the key is in the spill area, either. */
SET_FN int set_lacks(const void *mem, __u64 limit, __u64 base, const volatile struct set_table *t, __u64 bucket,
		     __u64 print)
{
	__u64 at = base + (__u64)t->summary * SET_LINE + bucket * 8;

	SET_PIN(at);
	return t->summary && (at > limit || ~SET_GET(__u64, mem + at) & set_marks(print));
}

/*
 * set_look_narrow() looks for a 32-bit key but for the spill area; shift is the table's bucket_shift, a constant. Without
 * branches that depend on what is found, as long as bucket and print are the whole key. *bucket and *spilled are for
 * looking there; *spilled also if it was found.
 */
SET_FN __u64 set_look_narrow(const void *mem, __u64 limit, __u64 base, const volatile struct set_table *t,
			     __u32 key, __u64 seed, int shift, __u32 *bucket, __u32 *spilled)
{
	__u32 hash = set_mix(key, seed);
	__u64 at, match, found;
	const void *p;

	*bucket = hash >> (t->index_shift & 31);
	*spilled = 0;
	if (shift == 5 && set_lacks(mem, limit, base, t, *bucket, hash >> (t->print_shift & 31) & 0x7fff))
		return 0;
	at = base + (__u64)t->buckets * SET_LINE + ((__u64)*bucket << shift);
	SET_PIN(at);
	if (at > limit)
		return 0;
	p = mem + at;
	match = set_match(p, (hash >> (t->print_shift & 31) & 0x7fff) | SET_USED);
	if (t->keys && match) {
		at = base + (__u64)t->keys * SET_LINE + set_slot(*bucket, match) * 4;
		SET_PIN(at);
		if (at > limit)
			return 0;
		if (SET_GET(__u32, mem + at) != key)
			match = 0;
	}
	*spilled = SET_GET(__u16, p + 2 * SET_FLAGS_LANE);
	found = (set_slot(*bucket, match) + 1) << 16;
	if (shift == 6)
		found |= SET_GET(__u16, p + 32 + (match * SET_LANE_MAGIC >> 60) * 2);
	return found & (0 - ((match | -match) >> 63));
}

SET_FN __u64 set_find_narrow(const void *mem, __u64 limit, __u64 base, const volatile struct set_table *t,
			     __u32 key, __u64 seed, int shift, struct set_want *want)
{
	__u32 bucket, spilled;
	__u64 found = set_look_narrow(mem, limit, base, t, key, seed, shift, &bucket, &spilled);

	if (found || !spilled)
		return found;
	*want = (struct set_want){0, key, base, 0, bucket};
	return set_spilled(mem, limit, t, want);
}

/* A look for a key of 128 bits but for the spill area; *bucket and *spilled are for looking there. */
SET_FN __u64 set_look_wide(const void *mem, __u64 limit, __u64 base, const volatile struct set_table *t,
			   __u64 hi, __u64 lo, __u32 tag, const volatile __u64 *seed, int shift,
			   __u32 *bucket, __u32 *spilled)
{
	__u64 hash = set_hash(hi, lo, tag, seed), at, match, slot;
	const void *p;

	*spilled = 0;
	*bucket = (__u32)(hash >> (t->index_shift & 63));
	if (set_lacks(mem, limit, base, t, *bucket, hash >> (t->print_shift & 63) & 0x7fff))
		return 0;
	at = base + (__u64)t->buckets * SET_LINE + ((__u64)*bucket << shift);
	SET_PIN(at);
	if (at > limit)
		return 0;
	p = mem + at;
	match = set_match(p, (hash >> (t->print_shift & 63) & 0x7fff) | SET_USED);
	*spilled = SET_GET(__u16, p + 2 * SET_FLAGS_LANE);
	if (!match)
		return 0;
	slot = set_slot(*bucket, match);
	at = base + (__u64)t->keys * SET_LINE + slot * sizeof(struct set_key);
	SET_PIN(at);
	if (at > limit || (SET_GET(__u64, mem + at) ^ hi) | (SET_GET(__u64, mem + at + 8) ^ lo))
		return 0;
	if (tag) {
		at = base + (__u64)t->info * SET_LINE + slot * sizeof(struct set_info);
		SET_PIN(at);
		if (at > limit || SET_GET(__u32, mem + at + 4) != tag)
			return 0;
	}
	slot = (slot + 1) << 16;
	if (shift == 6)
		slot |= SET_GET(__u16, p + 32 + (match * SET_LANE_MAGIC >> 60) * 2);
	return slot;
}

SET_FN __u64 set_find_wide(const void *mem, __u64 limit, __u64 base, const volatile struct set_table *t,
			   __u64 hi, __u64 lo, __u32 tag, const volatile __u64 *seed, int shift,
			   struct set_want *want)
{
	__u32 bucket, spilled;
	__u64 found = set_look_wide(mem, limit, base, t, hi, lo, tag, seed, shift, &bucket, &spilled);

	if (found || !spilled)
		return found;
	*want = (struct set_want){hi, lo, base, tag, bucket};
	return set_spilled(mem, limit, t, want);
}

#define SET_HEAD(at) ((const volatile struct set_head *)(at))

/* One level of an IPv4 prefix set: bit 0 says if addr is covered there. want: NULL: SET_LATER if the spill area may know */
#define SET_LATER 2
SET_FN __u32 set_level4(const void *mem, __u64 limit, __u64 base, __u32 addr, __u32 level, struct set_want *want)
{
	__u32 key = (addr & -(1u << (32 - level))) | 1u << (31 - level), bucket, spilled = 0;
	const volatile struct set_head *head = SET_HEAD(mem + base);
	__u64 found = want ? set_find_narrow(mem, limit, base, &head->front, key, head->seed[0], 6, want)
			   : set_look_narrow(mem, limit, base, &head->front, key, head->seed[0], 6, &bucket, &spilled);

	if (!want && !found && spilled)
		return SET_LATER;
	return (__u32)found >> (addr >> (28 - level) & 15) & 1;
}

/* 1 covered, 0 not. want: NULL: or SET_LATER, as set_level4() has it */
SET_FN __u32 set_covers4(const void *mem, __u64 limit, __u64 base, __u32 addr, struct set_want *want)
{
	const volatile struct set_head *head = SET_HEAD(mem + base);
	__u32 shift = head->root_shift & 31, fine = head->blocks, root, hit = 0;
	__u64 at;

	if (fine) {
		at = base + (__u64)fine * SET_LINE + (__u64)(addr >> 15) * 4;
		SET_PIN(at);
		if (at > limit || !(SET_GET(__u32, mem + at) >> (addr >> 10 & 31) & 1))
			return 0;
	}
	at = base + (__u64)head->root * SET_LINE + (__u64)(addr >> shift) * 4;
	SET_PIN(at);
	if (at > limit)
		return 0;
	root = SET_GET(__u32, mem + at);
	if (fine) {
		root = root >> (addr >> 7 & 30) & 3;
		if (root < SET_FINE_DEEP)
			return root;
		root *= SET_ROOT_LEVEL << 1;
	} else if (root >> (addr >> ((shift - 4) & 31) & 15) & 1) {
		return 1;
	}
	if (root & SET_ROOT_LEVEL)
		hit |= set_level4(mem, limit, base, addr, 20, want);
	if (root & SET_ROOT_LEVEL << 1)
		hit |= set_level4(mem, limit, base, addr, 24, want);
	if (root & SET_ROOT_LEVEL << 2)
		hit |= set_level4(mem, limit, base, addr, 28, want);
	return hit & 1 ? 1 : hit;
}

/* What a level of an IPv6 prefix set keeps of an address, in the order of a product with SET_LEVEL_MAGIC. */
#define SET_LEVEL_MAGIC 0x077cb531u
#define SET_LEVEL_AT(l) ((SET_LEVEL_MAGIC << (l)&0xffffffff) >> 27)
#define SET_LEVEL_HI(l)                                                                                 \
	[SET_LEVEL_AT(l)] = {(l) ? -(1ull << (64 - 4 * (l ? l : 1))) : 0, 0, 1ull << (63 - 4 * (l)), 0, \
			     60 - 4 * (l)}
#define SET_LEVEL_LO(l)                                                                  \
	[SET_LEVEL_AT(16 + l)] = {~0ull, (l) ? -(1ull << (64 - 4 * (l ? l : 1))) : 0, 0, \
				  1ull << (63 - 4 * (l)), 60 - 4 * (l)}
static const struct set_level {
	__u64 hi, lo, mark_hi, mark_lo;
	__u64 shift; /* of the four bits that follow, in the word that has the mark */
} set_levels[32] = {
	SET_LEVEL_HI(0),  SET_LEVEL_HI(1),  SET_LEVEL_HI(2),  SET_LEVEL_HI(3),	SET_LEVEL_HI(4),
	SET_LEVEL_HI(5),  SET_LEVEL_HI(6),  SET_LEVEL_HI(7),  SET_LEVEL_HI(8),	SET_LEVEL_HI(9),
	SET_LEVEL_HI(10), SET_LEVEL_HI(11), SET_LEVEL_HI(12), SET_LEVEL_HI(13), SET_LEVEL_HI(14),
	SET_LEVEL_HI(15), SET_LEVEL_LO(0),  SET_LEVEL_LO(1),  SET_LEVEL_LO(2),	SET_LEVEL_LO(3),
	SET_LEVEL_LO(4),  SET_LEVEL_LO(5),  SET_LEVEL_LO(6),  SET_LEVEL_LO(7),	SET_LEVEL_LO(8),
	SET_LEVEL_LO(9),  SET_LEVEL_LO(10), SET_LEVEL_LO(11), SET_LEVEL_LO(12), SET_LEVEL_LO(13),
	SET_LEVEL_LO(14), SET_LEVEL_LO(15),
};

#define SET_LEVELS6 27 /* 20 to 124 */

/* Levels whose buckets have spilled keys, their bits in of->tag; in a loop of its own for the verifier's sake. */
SET_RARE __u32 set_later6(const void *mem, __u64 limit, struct set_want *want)
{
	__u64 base = want->base & -(__u64)SET_LINE;
	const volatile struct set_head *head = SET_HEAD(mem + base);
	__u64 hi = want->hi, lo = want->lo, found, word;
	__u32 bit, later = want->tag;
	const struct set_level *l;
	int i;

	SET_PIN(base);
	if (base > SET_LAST(limit))
		return 0;
	want->tag = 0;
	for (i = 0; i < SET_LEVELS6 && later; i++) {
		bit = later & -later;
		later ^= bit;
		l = &set_levels[bit * SET_LEVEL_MAGIC >> 27];
		want->hi = (hi & l->hi) | l->mark_hi;
		want->lo = (lo & l->lo) | l->mark_lo;
		want->bucket =
			(__u32)(set_hash(want->hi, want->lo, 0, head->seed) >> (head->front.index_shift & 63));
		found = set_spilled(mem, limit, &head->front, want);
		word = l->mark_hi ? hi : lo;
		if (found >> (word >> (l->shift & 63) & 15) & 1)
			return 1;
	}
	return 0;
}

/*
 * The first half of set_covers6(): 1 covered, 0 not, SET_LATER if the spill area has to be looked through:
 * set_later6() does that for what stands in *want then.
 */
SET_FN __u32 set_look6(const void *mem, __u64 limit, __u64 base, __u64 hi, __u64 lo, struct set_want *want)
{
	const volatile struct set_head *head = SET_HEAD(mem + base);
	__u32 shift = head->root_shift & 63, blocks = head->blocks, said = SET_BLOCK_ROOT;
	__u32 mask = SET_ROOT_LEVEL << 2, bit, bucket, spilled, later = 0;
	__u64 at, found, word;
	const struct set_level *l;
	int i;

	if (blocks) {
		at = base + (__u64)blocks * SET_LINE + (hi >> shift >> 4) * 4;
		SET_PIN(at);
		if (at > limit)
			return 0;
		said = SET_GET(__u32, mem + at) >> ((hi >> shift & 15) << 1) & 3;
		if (said == SET_BLOCK_NONE)
			return 0;
	}
	if (said != SET_BLOCK_DEEP) {
		at = base + (__u64)head->root * SET_LINE + (hi >> shift) * 4;
		SET_PIN(at);
		if (at > limit)
			return 0;
		mask = SET_GET(__u32, mem + at);
		if (mask >> (hi >> ((shift - 4) & 63) & 15) & 1)
			return 1;
	}
	mask >>= 16;
	if (mask & 4) {
		at = base + (__u64)head->deep * SET_LINE +
		     (set_deep_hash(hi, head->seed[0]) >> (head->deep_shift & 63)) * 4;
		SET_PIN(at);
		if (at > limit)
			return 0;
		mask = (mask & 3) << 5 | SET_GET(__u32, mem + at);
	} else {
		mask = (mask & 3) << 5;
	}
	for (i = 0; i < SET_LEVELS6 && mask; i++) {
		bit = mask & -mask;
		mask ^= bit;
		l = &set_levels[bit * SET_LEVEL_MAGIC >> 27];
		found = set_look_wide(mem, limit, base, &head->front, (hi & l->hi) | l->mark_hi,
				      (lo & l->lo) | l->mark_lo, 0, head->seed, 6, &bucket, &spilled);
		word = l->mark_hi ? hi : lo;
		if (found >> (word >> (l->shift & 63) & 15) & 1)
			return 1;
		if (spilled)
			later |= bit;
	}
	if (!later)
		return 0;
	*want = (struct set_want){hi, lo, base, later, 0};
	return SET_LATER;
}

SET_FN __u32 set_covers6(const void *mem, __u64 limit, __u64 base, __u64 hi, __u64 lo, struct set_want *want)
{
	__u32 found = set_look6(mem, limit, base, hi, lo, want);

	return found == SET_LATER ? set_later6(mem, limit, want) : found;
}

/* The slot (plus 1) of an address in a set of addresses; 0: it is not there. */
SET_FN __u64 set_addr4(const void *mem, __u64 limit, __u64 base, __u32 addr, struct set_want *want)
{
	return set_find_narrow(mem, limit, base, &SET_HEAD(mem + base)->front, addr,
			       SET_HEAD(mem + base)->seed[0], 5, want) >>
	       16;
}

/* 1 it is in a set of addresses, 0 not, or SET_LATER if the spill area may know. */
SET_FN __u32 set_look_addr4(const void *mem, __u64 limit, __u64 base, __u32 addr)
{
	const volatile struct set_head *head = SET_HEAD(mem + base);
	__u32 bucket, spilled;

	if (set_look_narrow(mem, limit, base, &head->front, addr, head->seed[0], 5, &bucket, &spilled))
		return 1;
	return spilled ? SET_LATER : 0;
}

SET_FN __u64 set_addr6(const void *mem, __u64 limit, __u64 base, __u64 hi, __u64 lo, struct set_want *want)
{
	return set_find_wide(mem, limit, base, &SET_HEAD(mem + base)->front, hi, lo, 0,
			     SET_HEAD(mem + base)->seed, 5, want) >>
	       16;
}

/* Either kind of set. */
SET_FN __u32 set_has4(const void *mem, __u64 limit, __u64 base, __u32 addr)
{
	struct set_want want;

	if (SET_HEAD(mem + base)->kind == SET_ADDRS)
		return set_addr4(mem, limit, base, addr, &want) != 0;
	return set_covers4(mem, limit, base, addr, &want);
}

SET_FN __u32 set_has6(const void *mem, __u64 limit, __u64 base, __u64 hi, __u64 lo)
{
	struct set_want want;

	if (SET_HEAD(mem + base)->kind == SET_ADDRS)
		return set_addr6(mem, limit, base, hi, lo, &want) != 0;
	return set_covers6(mem, limit, base, hi, lo, &want);
}

/*
 * Sets that count or expire: set_hit4() and set_hit6() say as set_has4() and set_has6() whether the address
 * is in the set, by an element that has not expired at now (0: none has), and count a packet of bytes to that
 * element, the longest such prefix. mem must be writable. In prefix sets a hit costs a look into the book per
 * length in use.
 */
SET_FN void set_count(void *mem, __u64 limit, __u64 base, const volatile struct set_table *t, __u64 slot,
		      __u32 bytes)
{
	__u64 at = base + (__u64)t->counts * SET_LINE + slot * sizeof(struct set_count);

	SET_PIN(at);
	if (!t->counts || at > limit)
		return;
	__sync_fetch_and_add((__u64 *)(mem + at), 1);
	__sync_fetch_and_add((__u64 *)(mem + at + 8), bytes);
}

SET_FN __u32 set_live(const void *mem, __u64 limit, __u64 base, const volatile struct set_table *t,
		      __u64 slot, __u32 now)
{
	__u64 at = base + (__u64)t->info * SET_LINE + slot * sizeof(struct set_info);
	__u32 expires;

	SET_PIN(at);
	if (!t->info || at > limit)
		return 1;
	expires = SET_GET(__u32, mem + at);
	return !expires || !now || expires > now;
}

SET_FN __u32 set_hit_slot(void *mem, __u64 limit, __u64 base, const volatile struct set_table *t, __u64 slot,
			  __u32 bytes, __u32 now)
{
	if (!set_live(mem, limit, base, t, slot, now))
		return 0;
	set_count(mem, limit, base, t, slot, bytes);
	return 1;
}

/* want: the address, bytes in tag, now in bucket. From the longest length on, 0 last. */
SET_RARE __u32 set_hit_book(void *mem, __u64 limit, struct set_want *want, int longest)
{
	__u64 base = want->base & -(__u64)SET_LINE, hi = want->hi, lo = want->lo, slot;
	__u32 bytes = want->tag, now = want->bucket;
	const volatile struct set_table *t = (const volatile struct set_table *)(mem + base + SET_BOOK_AT);
	__u32 len;
	int i;

	SET_PIN(base);
	if (base > SET_LAST(limit))
		return 0;
	for (i = 0; i <= 128; i++) {
		len = (__u32)(longest - i);
		if (len > 128)
			return 0;
		/* one more bit goes each time round */
		if (longest == 32)
			lo &= i ? -(1ull << (i & 63)) : ~0ull;
		else if (i <= 63)
			lo &= -(1ull << i);
		else
			lo = 0, hi &= i < 128 ? -(1ull << ((i - 64) & 63)) : 0;
		if (!(SET_GET(__u64, mem + base + SET_LENS_AT + (len >> 6) * 8) >> (len & 63) & 1))
			continue;
		slot = set_find_wide(mem, limit, base, t, hi, lo, len + 1, SET_HEAD(mem + base)->seed, 5, want) >>
		       16;
		if (slot && set_hit_slot(mem, limit, base, t, slot - 1, bytes, now))
			return 1;
	}
	return 0;
}

SET_FN __u32 set_hit4(void *mem, __u64 limit, __u64 base, __u32 addr, __u32 bytes, __u32 now)
{
	struct set_want want;
	__u64 slot;

	if (SET_HEAD(mem + base)->kind != SET_ADDRS) {
		if (!set_covers4(mem, limit, base, addr, &want))
			return 0;
		want = (struct set_want){0, addr, base, bytes, now};
		return SET_HEAD(mem + base)->flags ? set_hit_book(mem, limit, &want, 32) : 1;
	}
	slot = set_addr4(mem, limit, base, addr, &want);
	return slot ? set_hit_slot(mem, limit, base, &SET_HEAD(mem + base)->front, slot - 1, bytes, now) : 0;
}

SET_FN __u32 set_hit6(void *mem, __u64 limit, __u64 base, __u64 hi, __u64 lo, __u32 bytes, __u32 now)
{
	struct set_want want;
	__u64 slot;

	if (SET_HEAD(mem + base)->kind != SET_ADDRS) {
		if (!set_covers6(mem, limit, base, hi, lo, &want))
			return 0;
		want = (struct set_want){hi, lo, base, bytes, now};
		return SET_HEAD(mem + base)->flags ? set_hit_book(mem, limit, &want, 128) : 1;
	}
	slot = set_addr6(mem, limit, base, hi, lo, &want);
	return slot ? set_hit_slot(mem, limit, base, &SET_HEAD(mem + base)->front, slot - 1, bytes, now) : 0;
}

#endif
