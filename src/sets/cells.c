// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Prefix sets: cells of four levels of a binary tree, and the root in front of them.
 *
 * A cell's tree has a bit for each element in it: bit (1 << d | p) for the prefix p of d bits below the
 * cell's own (d from 1 to 4). Its value, what readers see, is what the tree covers, in sixteenths. The tree
 * is stored first: who goes on after a writer that died derives the value again.
 */
#include <errno.h>
#include <string.h>

#include "sets/inside.h"

/* Each bit of 8 becomes two of 16. */
static uint32_t twice(uint32_t x)
{
	x = (x | x << 4) & 0x0f0f;
	x = (x | x << 2) & 0x3333;
	x = (x | x << 1) & 0x5555;
	return x | x << 1;
}

static uint16_t covered(uint32_t tree)
{
	uint32_t v = tree >> 2 & 3;

	v = twice(v) | (tree >> 4 & 15);
	v = twice(v) | (tree >> 8 & 255);
	return (uint16_t)(twice(v) | tree >> 16);
}

/* The n bits of an address that follow the first `from`, a multiple of 4; n from 1 to 4. */
static uint32_t bits_at(bool v6, uint64_t hi, uint64_t lo, unsigned int from, unsigned int n)
{
	uint64_t word = !v6 ? lo << 32 : from < 64 ? hi : lo;

	return (uint32_t)(word << from % 64 >> (64 - n));
}

static uint32_t node_of(bool v6, const struct sets_elem *e)
{
	unsigned int level = cells_level(e->len), n = e->len - level;

	return 1u << (1u << n | bits_at(v6, e->hi, e->lo, level, n));
}

/* A cell's key: the level's bits of the address and a 1 behind them, so that keys of levels differ. */
static struct table_key key_of(bool v6, uint64_t hi, uint64_t lo, unsigned int level)
{
	struct table_key key;

	sets_mask(v6, level, &hi, &lo);
	key = (struct table_key){hi, lo, 0};
	if (!v6)
		key.lo |= (uint64_t)1 << (31 - level);
	else if (level < 64)
		key.hi |= (uint64_t)1 << (63 - level);
	else
		key.lo |= (uint64_t)1 << (127 - level);
	return key;
}

/* Level and prefix of a key again. */
static unsigned int level_of(bool v6, struct table_key *key)
{
	unsigned int end;

	if (!v6 || key->lo) {
		end = key->lo ? (unsigned int)__builtin_ctzll(key->lo) : 0;
		key->lo &= key->lo - 1;
		return (v6 ? 127 - end : 31 - end) & 127;
	}
	end = key->hi ? (unsigned int)__builtin_ctzll(key->hi) : 0;
	key->hi &= key->hi - 1;
	return 63 - end;
}

static bool is_level(const struct sets *set, unsigned int level)
{
	return level % 4 == 0 && level >= set->most_short && level <= (set->v6 ? 124 : 28);
}

static uint32_t first_32(const struct sets *set, uint64_t hi, uint64_t lo)
{
	return (uint32_t)(set->v6 ? hi >> 32 : lo);
}

static uint32_t short_index(const struct sets *set, const struct sets_elem *e)
{
	return 1u << e->len | (uint32_t)((uint64_t)first_32(set, e->hi, e->lo) >> (32 - e->len));
}

static bool short_bit(const struct sets *set, uint32_t i)
{
	return set->shorts[i / 64] >> (i % 64) & 1;
}

/* What short elements cover of a root entry of which none covers all. */
static uint16_t covered_entry(const struct sets *set, uint32_t p)
{
	uint32_t tree = 0, d, i;

	for (d = 1; d <= 4; d++)
		for (i = 0; i < 1u << d; i++)
			if (short_bit(set, 1u << (set->root_bits + d) | p << d | i))
				tree |= 1u << (1u << d | i);
	return covered(tree);
}

#define EVERY_CODE 0x55555555u /* the lower bit of each of 16 codes of a fine root */

/* A fine root's entry: which of its /24 are covered (the lower bits of codes), and what is below the others. Blocks follow the root. */
static void store_fine(struct sets *set, uint32_t p, uint32_t all)
{
	uint32_t named = set->named[p], at = p % 8 * 4, word, now, i;

	/* level 24 alone is looked for as both are */
	word = ((named | (named & EVERY_CODE) << 1) & ~(all * 3)) | all;
	if (word != set->root[p])
		__atomic_store_n(&set->root[p], word, __ATOMIC_RELEASE);
	now = set->blocks[p / 8] & ~(15u << at);
	for (i = 0; i < 4; i++)
		now |= (word >> 8 * i & 255 ? 1u : 0u) << (at + i);
	if (now != set->blocks[p / 8])
		__atomic_store_n(&set->blocks[p / 8], now, __ATOMIC_RELEASE);
}

/* The lower bits of the codes of an entry that say SET_FINE_ALL. */
static uint32_t fine_all(uint32_t word)
{
	return word & ~(word >> 1) & EVERY_CODE;
}

static uint32_t spread(uint32_t x)
{
	x = (x | x << 8) & 0x00ff00ff;
	x = (x | x << 4) & 0x0f0f0f0f;
	x = (x | x << 2) & 0x33333333;
	return (x | x << 1) & EVERY_CODE;
}

static uint32_t block_of(uint32_t word)
{
	if (!word)
		return SET_BLOCK_NONE;
	return word == SET_ROOT_LEVEL << 2 ? SET_BLOCK_DEEP : SET_BLOCK_ROOT;
}

/* The entry of a root that is not fine; IPv6's blocks follow it. */
static void store_root(struct sets *set, uint32_t p, uint32_t word)
{
	uint32_t at = p % 16 * 2, now;

	if (word != set->root[p])
		__atomic_store_n(&set->root[p], word, __ATOMIC_RELEASE);
	if (!set->blocks)
		return;
	now = (set->blocks[p / 16] & ~(3u << at)) | block_of(word) << at;
	if (now != set->blocks[p / 16])
		__atomic_store_n(&set->blocks[p / 16], now, __ATOMIC_RELEASE);
}

/* cover: a bit for each sixteenth */
static void store_cover(struct sets *set, uint32_t p, uint32_t cover)
{
	if (set->named)
		store_fine(set, p, spread(cover));
	else
		store_root(set, p, (set->root[p] & ~0xffffu) | cover);
}

/* The root below a prefix no longer than its entries that no shorter element covers: down both ways. */
static void refresh(struct sets *set, unsigned int len, uint32_t prefix)
{
	uint32_t i, n = 1u << (set->root_bits - len), first = prefix * n;

	if (short_bit(set, 1u << len | prefix)) {
		for (i = 0; i < n; i++)
			store_cover(set, first + i, 0xffff);
	} else if (len == set->root_bits) {
		store_cover(set, prefix, covered_entry(set, prefix));
	} else {
		refresh(set, len + 1, prefix << 1);
		refresh(set, len + 1, prefix << 1 | 1);
	}
}

static void refresh_root(struct sets *set, unsigned int len, uint32_t addr)
{
	unsigned int l;

	for (l = 0; l < len && l <= set->root_bits; l++)
		if (short_bit(set, 1u << l | (uint32_t)((uint64_t)addr >> (32 - l))))
			return; /* covered whatever is below */
	if (len > set->root_bits)
		store_cover(set, addr >> (32 - set->root_bits),
			    covered_entry(set, addr >> (32 - set->root_bits)));
	else
		refresh(set, len, (uint32_t)((uint64_t)addr >> (32 - len)));
}

static int change_short(struct sets *set, const struct sets_elem *e, bool there)
{
	uint32_t i = short_index(set, e);

	if (short_bit(set, i) == there)
		return 0;
	set->shorts[i / 64] ^= UINT64_C(1) << (i % 64);
	set->head->n_short += there ? 1 : -1u;
	refresh_root(set, e->len, first_32(set, e->hi, e->lo));
	return 1;
}

/* The bit of an entry of named. */
static uint32_t named_bit(uint32_t addr, unsigned int level)
{
	return (level == 28 ? 2u : 1u) << (addr >> 8 & 15) * 2;
}

/* When a cell went: is there no other of its level in its /24? Those of levels 24 and 28 are one and sixteen. */
static void unname_level(struct sets *set, uint32_t addr, unsigned int level)
{
	struct table_key key;
	uint32_t i;

	for (i = 0; level == 28 && i < 16; i++) {
		key = key_of(false, 0, (addr & ~255u) | i << 4, 28);
		if (table_find(&set->front, &key) != TABLE_NONE)
			return;
	}
	set->named[addr >> 12] &= ~named_bit(addr, level);
	store_fine(set, addr >> 12, fine_all(set->root[addr >> 12]));
}

/*
 * Root and deep name the level for all addresses of a cell; only a fine root stops doing so when the cell is gone. (Of two prefixes that
 * share an entry of the others none knows.)
 */
static void name_level(struct sets *set, uint64_t hi, uint64_t lo, unsigned int level)
{
	unsigned int n = (level - CELLS_FIRST) / 4;
	uint32_t addr = (uint32_t)lo, p = first_32(set, hi, lo) >> (32 - set->root_bits), *deep;

	if (set->named) {
		set->named[addr >> 12] |= named_bit(addr, level);
		store_fine(set, addr >> 12, fine_all(set->root[addr >> 12]));
		return;
	}
	if (set->v6 && level >= 28) {
		deep = &set->deep[set_deep_hash(hi, set->front.seed[0]) >> set->deep_shift];
		if (!(*deep & 1u << level / 4))
			__atomic_store_n(deep, *deep | 1u << level / 4, __ATOMIC_RELEASE);
	}
	store_root(set, p, set->root[p] | SET_ROOT_LEVEL << (n < 2 ? n : 2));
}

int cells_add(struct sets *set, const struct sets_elem *e)
{
	unsigned int level = cells_level(e->len);
	struct table_key key;
	uint32_t node, *tree;
	uint64_t slot;

	if (e->len <= set->most_short)
		return change_short(set, e, true);
	key = key_of(set->v6, e->hi, e->lo, level);
	node = node_of(set->v6, e);
	slot = table_find(&set->front, &key);
	if (slot != TABLE_NONE) {
		tree = table_tree(&set->front, slot);
		if (*tree & node)
			return 0;
		*tree |= node;
		__atomic_store_n(table_value(&set->front, slot), covered(*tree), __ATOMIC_RELEASE);
		return 1;
	}
	name_level(set, e->hi, e->lo, level);
	slot = table_insert(&set->front, &key, node, covered(node), 0);
	return slot == TABLE_NONE ? -ENOSPC : 1;
}

int cells_del(struct sets *set, const struct sets_elem *e)
{
	uint32_t node, *tree;
	struct table_key key;
	uint64_t slot;

	if (e->len <= set->most_short)
		return change_short(set, e, false);
	key = key_of(set->v6, e->hi, e->lo, cells_level(e->len));
	node = node_of(set->v6, e);
	slot = table_find(&set->front, &key);
	if (slot == TABLE_NONE)
		return 0;
	tree = table_tree(&set->front, slot);
	if (!(*tree & node))
		return 0;
	*tree &= ~node;
	if (*tree) {
		__atomic_store_n(table_value(&set->front, slot), covered(*tree), __ATOMIC_RELEASE);
		return 1;
	}
	table_remove(&set->front, slot);
	if (set->named)
		unname_level(set, (uint32_t)e->lo, cells_level(e->len));
	return 1;
}

bool cells_has(const struct sets *set, const struct sets_elem *e)
{
	struct table_key key;
	uint64_t slot;

	if (e->len <= set->most_short)
		return short_bit(set, short_index(set, e));
	key = key_of(set->v6, e->hi, e->lo, cells_level(e->len));
	slot = table_find(&set->front, &key);
	return slot != TABLE_NONE && *table_tree(&set->front, slot) & node_of(set->v6, e);
}

bool cells_test(const struct sets *set, uint64_t hi, uint64_t lo, struct sets_elem *elem)
{
	unsigned int len = SETS_LONGEST(set->v6);
	struct sets_elem e;

	do {
		e = (struct sets_elem){.hi = hi, .lo = lo, .len = (uint8_t)len};
		sets_mask(set->v6, len, &e.hi, &e.lo);
		if (cells_has(set, &e)) {
			*elem = e;
			return true;
		}
	} while (len--);
	return false;
}

static int walk_cell(struct sets *set, uint64_t slot, int (*each)(void *arg, const struct sets_elem *elem),
		     void *arg)
{
	uint32_t tree = *table_tree(&set->front, slot), node, n;
	struct sets_elem e;
	struct table_key key;
	unsigned int level, shift;
	int r = 0;

	table_key_of(&set->front, slot, &key);
	level = level_of(set->v6, &key);
	if (!is_level(set, level))
		return 0; /* damaged */
	for (tree &= ~3u; tree && !r; tree &= tree - 1) {
		node = (uint32_t)__builtin_ctz(tree);
		n = 31 - (uint32_t)__builtin_clz(node);
		e = (struct sets_elem){.hi = key.hi, .lo = key.lo, .len = (uint8_t)(level + n)};
		shift = (set->v6 ? 64 : 32) - level % 64 - n;
		*(set->v6 && level < 64 ? &e.hi : &e.lo) |= (uint64_t)(node ^ 1u << n) << shift;
		r = each(arg, &e);
	}
	return r;
}

int cells_walk(struct sets *set, int (*each)(void *arg, const struct sets_elem *elem), void *arg)
{
	struct sets_elem e;
	uint64_t slot, i, word;
	unsigned int bit;
	int r = 0;

	for (i = 0; i < (2u << set->most_short) / 64; i++)
		for (word = set->shorts[i]; word && !r; word &= word - 1) {
			bit = (unsigned int)(i * 64) + (unsigned int)__builtin_ctzll(word);
			if (!bit)
				continue;
			e = (struct sets_elem){.len = (uint8_t)(31 - __builtin_clz(bit))};
			*(set->v6 ? &e.hi : &e.lo) = (uint64_t)(bit ^ 1u << e.len)
						     << ((set->v6 ? 63 : 31) - e.len) << 1;
			r = each(arg, &e);
		}
	for (slot = table_next(&set->front, 0); slot != TABLE_NONE && !r;
	     slot = table_next(&set->front, slot + 1))
		r = walk_cell(set, slot, each, arg);
	return r;
}

void cells_repair(struct sets *set)
{
	struct table_key key;
	unsigned int level;
	uint64_t slot, i;
	uint32_t tree;

	set->head->n_short = 0;
	for (i = 0; i < (2u << set->most_short) / 64; i++)
		set->head->n_short += (uint32_t)__builtin_popcountll(set->shorts[i]);
	if (set->named)
		memset(set->named, 0, (size_t)4 << set->root_bits);
	for (slot = table_next(&set->front, 0); slot != TABLE_NONE;
	     slot = table_next(&set->front, slot + 1)) {
		tree = *table_tree(&set->front, slot);
		table_key_of(&set->front, slot, &key);
		level = level_of(set->v6, &key);
		if (!tree || !is_level(set, level)) {
			table_remove(&set->front, slot);
			continue;
		}
		__atomic_store_n(table_value(&set->front, slot), covered(tree), __ATOMIC_RELEASE);
		if (set->named) /* the root follows when all are named: readers see what it said before */
			set->named[(uint32_t)key.lo >> 12] |= named_bit((uint32_t)key.lo, level);
		else
			name_level(set, key.hi, key.lo, level);
	}
	refresh(set, 0, 0);
}
