// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The hash table: buckets of lanes, a spill area for what found no room, arrays beside them.
 *
 * Order of stores. A key appears by its lane (or its spill entry's state), stored last; it disappears by that
 * store, made first. A lane that was freed keeps the epoch of that moment and is used again only after a
 * grace period: a reader that still holds the old match reads the old key and value with it. Keys never move.
 */
#include <stddef.h>

#include "sets/table.h"

#define LANE_BYTES (SET_LANES * 2)

/* Lane numbers to slot numbers within a bucket and back, see SET_LANE_MAGIC. */
static unsigned int id_of(unsigned int lane)
{
	return (unsigned int)((SET_LANE_MAGIC << (16 * (lane % 4) + lane / 4)) >> 60);
}

static const uint8_t lane_of[SET_LANES] = {0, 4, 8, 5, 12, 6, 9, 14, 15, 1, 2, 10, 11, 13, 7, 3};

static uint32_t bits_for(uint64_t n)
{
	uint32_t bits = 8;

	/* 9.6 of 15 lanes on average: 0.8 % spill (doc/sets.md) */
	while (bits < 24 && n * 10 > (uint64_t)96 << bits)
		bits++;
	return bits;
}

static uint32_t take(uint64_t *line, uint64_t bytes)
{
	uint64_t at = *line;

	*line += (bytes + SET_LINE - 1) / SET_LINE;
	return at > UINT32_MAX ? UINT32_MAX : (uint32_t)at;
}

void table_size(struct set_table *t, const struct table_need *need, uint64_t *line)
{
	uint64_t main, spill;

	*t = (struct set_table){.bits = bits_for(need->n), .narrow = need->narrow};
	main = (uint64_t)SET_LANES << t->bits;
	spill = (uint64_t)1 << (t->bits - 1);
	t->spill_mask = (uint32_t)spill - 1;
	spill += SET_WINDOW;
	t->bucket_shift = need->values ? 6 : 5;
	t->index_shift = (need->narrow ? 32 : 64) - t->bits;
	t->print_shift = !need->narrow ? 28 : t->bits < SET_EXACT_BITS ? SET_EXACT_BITS - t->bits : 0;
	if (need->summary)
		t->summary = take(line, (uint64_t)8 << t->bits);
	t->buckets = take(line, (uint64_t)1 << (t->bits + t->bucket_shift));
	if (!need->narrow || t->bits < SET_EXACT_BITS)
		t->keys = take(line, main * (need->narrow ? 4 : sizeof(struct set_key)));
	t->spill = take(line, spill * sizeof(struct set_spill));
	if (need->values)
		t->trees = take(line, main * 4);
	if (need->info)
		t->info = take(line, (main + spill) * sizeof(struct set_info));
	if (need->counts)
		t->counts = take(line, (main + spill) * sizeof(struct set_count));
}

void table_open(struct table *tb, uint8_t *mem, const struct set_table *t)
{
	unsigned int i;

	tb->mem = mem;
	tb->head = (struct set_head *)(void *)mem;
	tb->t = *t;
	for (i = 0; i < 4; i++)
		tb->seed[i] = tb->head->seed[i];
	tb->n_main = (uint64_t)SET_LANES << t->bits;
	tb->n_slots = tb->n_main + t->spill_mask + SET_WINDOW;
	tb->reuse_now = !t->keys && !t->trees && !t->info && !t->counts;
}

static void *lines_at(const struct table *tb, uint32_t line)
{
	return tb->mem + (uint64_t)line * SET_LINE;
}

static uint16_t *bucket_at(const struct table *tb, uint64_t bucket)
{
	return (uint16_t *)lines_at(tb, tb->t.buckets) + (bucket << (tb->t.bucket_shift - 1));
}

/*
 * A bucket's word of the summary, of what its lanes and flags say, and of a print that is about to come: marks are there
 * before the lane is, and go after it.
 */
static void summarize(const struct table *tb, uint64_t bucket, uint16_t coming)
{
	const uint16_t *lanes = bucket_at(tb, bucket);
	uint64_t word = coming ? set_marks(coming & 0x7fff) : 0;
	unsigned int lane;

	if (!tb->t.summary)
		return;
	for (lane = 0; lane < SET_FLAGS_LANE; lane++)
		if (lanes[lane] & SET_USED)
			word |= set_marks(lanes[lane] & 0x7fff);
	if (lanes[SET_FLAGS_LANE])
		word = ~0ull;
	__atomic_store_n((uint64_t *)lines_at(tb, tb->t.summary) + bucket, word, __ATOMIC_RELEASE);
}

static struct set_spill *spill_at(const struct table *tb, uint64_t i)
{
	return (struct set_spill *)lines_at(tb, tb->t.spill) + i;
}

static struct set_spill *spill_of(const struct table *tb, uint64_t slot)
{
	return slot >= tb->n_main ? spill_at(tb, slot - tb->n_main) : NULL;
}

uint16_t *table_value(const struct table *tb, uint64_t slot)
{
	if (tb->t.bucket_shift != 6)
		return NULL;
	if (slot >= tb->n_main)
		return &spill_of(tb, slot)->value;
	return bucket_at(tb, slot / SET_LANES) + SET_LANES + slot % SET_LANES;
}

uint32_t *table_tree(const struct table *tb, uint64_t slot)
{
	if (!tb->t.trees)
		return NULL;
	if (slot >= tb->n_main)
		return &spill_of(tb, slot)->tree;
	return (uint32_t *)lines_at(tb, tb->t.trees) + slot;
}

struct set_info *table_info(const struct table *tb, uint64_t slot)
{
	return tb->t.info ? (struct set_info *)lines_at(tb, tb->t.info) + slot : NULL;
}

struct set_count *table_count(const struct table *tb, uint64_t slot)
{
	return tb->t.counts ? (struct set_count *)lines_at(tb, tb->t.counts) + slot : NULL;
}

/* The inverse of an odd number modulo 2^32: five bits right to begin with, twice as many each turn. */
static uint32_t inverse(uint32_t odd)
{
	uint32_t x = odd * 3 ^ 2;
	int i;

	for (i = 0; i < 3; i++)
		x *= 2 - odd * x;
	return x;
}

/* set_mix() backwards. */
static uint32_t unmix(uint32_t h, uint64_t seed)
{
	h = h * inverse(0x85ebca77u) ^ (uint32_t)(seed >> 32);
	h ^= h >> 15 ^ h >> 30;
	return (h * inverse(0x9e3779b1u)) ^ (uint32_t)seed;
}

static void hash(const struct table *tb, const struct table_key *key, uint64_t *bucket, uint16_t *print)
{
	uint64_t h = tb->t.narrow ? set_mix((uint32_t)key->lo, tb->seed[0])
				  : set_hash(key->hi, key->lo, key->tag, tb->seed);

	*bucket = h >> tb->t.index_shift;
	*print = (uint16_t)((h >> tb->t.print_shift & 0x7fff) | SET_USED);
}

void table_key_of(const struct table *tb, uint64_t slot, struct table_key *key)
{
	const struct set_spill *s = spill_of(tb, slot);
	const struct set_key *k;
	uint32_t low;

	*key = (struct table_key){0};
	if (s) {
		*key = (struct table_key){s->hi, s->lo, s->tag};
	} else if (!tb->t.narrow) {
		k = (const struct set_key *)lines_at(tb, tb->t.keys) + slot;
		*key = (struct table_key){k->hi, k->lo, tb->t.info ? table_info(tb, slot)->tag : 0};
	} else if (tb->t.keys) {
		key->lo = ((const uint32_t *)lines_at(tb, tb->t.keys))[slot];
	} else {
		low = bucket_at(tb, slot / SET_LANES)[lane_of[slot % SET_LANES]] &
		      ((1u << tb->t.index_shift) - 1);
		key->lo = unmix((uint32_t)(slot / SET_LANES) << tb->t.index_shift | low, tb->seed[0]);
	}
}

static bool same(const struct table_key *a, const struct table_key *b)
{
	return a->hi == b->hi && a->lo == b->lo && a->tag == b->tag;
}

uint64_t table_find(const struct table *tb, const struct table_key *key)
{
	struct table_key there;
	uint64_t bucket, slot, i;
	uint16_t print, *lanes;
	unsigned int lane;

	hash(tb, key, &bucket, &print);
	lanes = bucket_at(tb, bucket);
	for (lane = 0; lane < SET_FLAGS_LANE; lane++) {
		if (lanes[lane] != print)
			continue;
		slot = bucket * SET_LANES + id_of(lane);
		table_key_of(tb, slot, &there);
		if (same(&there, key))
			return slot;
	}
	if (!(lanes[SET_FLAGS_LANE] & SET_SPILLED))
		return TABLE_NONE;
	for (i = bucket & tb->t.spill_mask; i < (bucket & tb->t.spill_mask) + SET_WINDOW; i++) {
		const struct set_spill *s = spill_at(tb, i);

		if (s->state == (SET_SPILL_USED | bucket) && s->hi == key->hi && s->lo == key->lo &&
		    s->tag == key->tag)
			return tb->n_main + i;
	}
	return TABLE_NONE;
}

static bool reusable(const struct table *tb, uint32_t epoch_plus_1)
{
	return !epoch_plus_1 || epoch_plus_1 != (tb->head->epoch & SET_EPOCH_MASK) + 1;
}

static void set_beside(struct table *tb, uint64_t slot, const struct table_key *key, uint32_t expires)
{
	struct set_info *info = table_info(tb, slot);
	struct set_count *count = table_count(tb, slot);

	if (info)
		*info = (struct set_info){expires, key->tag};
	if (count)
		*count = (struct set_count){0, 0};
}

static uint64_t spill(struct table *tb, uint64_t bucket, const struct table_key *key, uint32_t tree,
		      uint16_t value, uint32_t expires)
{
	uint64_t home = bucket & tb->t.spill_mask, i;
	struct set_spill *s;

	for (i = home; i < home + SET_WINDOW; i++) {
		s = spill_at(tb, i);
		if (!(s->state & SET_SPILL_USED) && reusable(tb, s->state))
			break;
	}
	if (i == home + SET_WINDOW)
		return TABLE_NONE;
	s->hi = key->hi;
	s->lo = key->lo;
	s->tag = (uint16_t)key->tag;
	s->value = value;
	s->tree = tree;
	set_beside(tb, tb->n_main + i, key, expires);
	__atomic_store_n(&s->state, SET_SPILL_USED | (uint32_t)bucket, __ATOMIC_RELEASE);
	__atomic_store_n(&bucket_at(tb, bucket)[SET_FLAGS_LANE], SET_SPILLED, __ATOMIC_RELEASE);
	summarize(tb, bucket, 0);
	tb->head->n_spilled++;
	return tb->n_main + i;
}

uint64_t table_insert(struct table *tb, const struct table_key *key, uint32_t tree, uint16_t value,
		      uint32_t expires)
{
	unsigned int id, lane, room = SET_LANES;
	uint16_t print, *lanes;
	uint64_t bucket, slot;

	hash(tb, key, &bucket, &print);
	lanes = bucket_at(tb, bucket);
	/* by slot number: keys of a bucket lie together, in as few lines as they need */
	for (id = 0; id < SET_LANES; id++) {
		lane = lane_of[id];
		if (lane == SET_FLAGS_LANE)
			continue;
		if (lanes[lane] == print && tb->t.keys)
			return spill(tb, bucket, key, tree, value, expires); /* readers look at one match */
		if (room == SET_LANES && !(lanes[lane] & SET_USED) && reusable(tb, lanes[lane]))
			room = lane;
	}
	if (room == SET_LANES)
		return spill(tb, bucket, key, tree, value, expires);
	slot = bucket * SET_LANES + id_of(room);
	if (tb->t.keys && tb->t.narrow)
		((uint32_t *)lines_at(tb, tb->t.keys))[slot] = (uint32_t)key->lo;
	else if (tb->t.keys)
		((struct set_key *)lines_at(tb, tb->t.keys))[slot] = (struct set_key){key->hi, key->lo};
	if (tb->t.trees) {
		*table_tree(tb, slot) = tree;
		*table_value(tb, slot) = value;
	}
	set_beside(tb, slot, key, expires);
	summarize(tb, bucket, print);
	__atomic_store_n(&lanes[room], print, __ATOMIC_RELEASE);
	return slot;
}

/* Whether the spill area still has a key of this bucket; if not, readers need not look there. */
static void update_flags(struct table *tb, uint64_t bucket)
{
	uint64_t home = bucket & tb->t.spill_mask, i;

	for (i = home; i < home + SET_WINDOW; i++)
		if (spill_at(tb, i)->state == (SET_SPILL_USED | bucket))
			return;
	__atomic_store_n(&bucket_at(tb, bucket)[SET_FLAGS_LANE], 0, __ATOMIC_RELEASE);
	summarize(tb, bucket, 0);
}

void table_remove(struct table *tb, uint64_t slot)
{
	uint32_t freed = (tb->head->epoch & SET_EPOCH_MASK) + 1;
	struct set_spill *s = spill_of(tb, slot);
	uint32_t bucket;

	if (s) {
		bucket = s->state & ~SET_SPILL_USED;
		__atomic_store_n(&s->state, freed, __ATOMIC_RELEASE);
		tb->head->n_spilled--;
		if (bucket < 1u << tb->t.bits)
			update_flags(tb, bucket);
	} else {
		__atomic_store_n(&bucket_at(tb, slot / SET_LANES)[lane_of[slot % SET_LANES]],
				 (uint16_t)(tb->reuse_now ? 0 : freed), __ATOMIC_RELEASE);
		summarize(tb, slot / SET_LANES, 0);
		if (tb->reuse_now)
			return;
	}
	tb->head->n_freed++;
}

uint64_t table_next(const struct table *tb, uint64_t slot)
{
	for (; slot < tb->n_main; slot++)
		if (lane_of[slot % SET_LANES] != SET_FLAGS_LANE &&
		    bucket_at(tb, slot / SET_LANES)[lane_of[slot % SET_LANES]] & SET_USED)
			return slot;
	for (; slot < tb->n_slots; slot++)
		if (spill_of(tb, slot)->state & SET_SPILL_USED)
			return slot;
	return TABLE_NONE;
}

void table_repair(struct table *tb)
{
	uint64_t i;

	for (i = 0; i < (uint64_t)1 << tb->t.bits; i++)
		if (bucket_at(tb, i)[SET_FLAGS_LANE])
			update_flags(tb, i);
	for (i = tb->n_main; i < tb->n_slots; i++) {
		uint32_t state = spill_of(tb, i)->state, bucket = state & ~SET_SPILL_USED;

		if (state & SET_SPILL_USED && bucket < 1u << tb->t.bits)
			__atomic_store_n(&bucket_at(tb, bucket)[SET_FLAGS_LANE], SET_SPILLED,
					 __ATOMIC_RELEASE);
	}
	for (i = 0; i < (uint64_t)1 << tb->t.bits; i++)
		summarize(tb, i, 0);
}
