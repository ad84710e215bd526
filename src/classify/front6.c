// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * IPv6 addresses to records: a trie over the upper half and, for the few /64 that have prefixes inside, one
 * over the lower half. A node first compares what all that is inside it has in common, then tells as many
 * parts apart as pay off, so that long common stretches cost one comparison (path and level compression,
 * after Nilsson and Karlsson, "IP-address lookup using LC-tries", JSAC 1999).
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "classify/work.h"

#define WIDTH_MAX 16

/* Values of a half from start on lead to leaf, until the next one's start. */
struct piece {
	uint64_t start;
	uint64_t leaf; /* a leaf's path */
};

struct trie {
	struct work *w;
	struct buf nodes;
	uint32_t per_piece; /* nodes that may be spent for a piece of a node's inside */
};

static uint32_t n_nodes(const struct trie *t)
{
	return (uint32_t)(t->nodes.len / sizeof(struct classify_node));
}

static struct classify_node *node_at(const struct trie *t, uint32_t i)
{
	return (struct classify_node *)(void *)t->nodes.data + i;
}

static void put_leaf(const struct trie *t, uint32_t at, uint64_t leaf)
{
	*node_at(t, at) = (struct classify_node){.path = leaf, .base = at};
}

/* A stretch of 2^bits values from first on (bits may be 64), and the pieces that lie in it, the first one
 * from before. */
struct stretch {
	uint64_t first;
	uint32_t bits;
	const struct piece *pieces;
	uint32_t n;
};

/* The part of a stretch that is not all `rest`: where it begins and ends. */
static void other_than(const struct stretch *s, uint64_t rest, uint64_t *low, uint64_t *high)
{
	*low = s->pieces[0].leaf == rest ? s->pieces[1].start : s->first;
	*high = s->pieces[s->n - 1].leaf == rest ? s->pieces[s->n - 1].start - 1
						 : s->first + (s->bits == 64 ? ~0ull : (1ull << s->bits) - 1);
}

/* Bits of the smallest aligned block that holds both. */
static uint32_t block_bits(uint64_t low, uint64_t high)
{
	return low == high ? 1 : 64 - (uint32_t)__builtin_clzll(low ^ high);
}

static struct stretch narrowed(const struct stretch *s, uint64_t first, uint32_t bits)
{
	uint64_t last = first + (bits == 64 ? ~0ull : (1ull << bits) - 1);
	struct stretch to = {.first = first, .bits = bits};
	uint32_t low = 0, high = s->n, mid, end;

	while (high - low > 1) { /* the last piece that starts at or before first */
		mid = low + (high - low) / 2;
		if (s->pieces[mid].start <= first)
			low = mid;
		else
			high = mid;
	}
	for (end = low + 1, high = s->n; end < high;) { /* the first one that starts behind last */
		mid = end + (high - end) / 2;
		if (s->pieces[mid].start <= last)
			end = mid + 1;
		else
			high = mid;
	}
	to.pieces = s->pieces + low;
	to.n = end - low;
	return to;
}

static int build(struct trie *t, uint32_t at, const struct stretch *s)
{
	uint64_t low, high, low2, high2, rest = s->pieces[0].leaf;
	uint32_t bits, width = 1, base, i;
	struct stretch in, part;
	int e = 0;

	if (s->n == 1) {
		put_leaf(t, at, rest);
		return 0;
	}
	other_than(s, rest, &low, &high);
	other_than(s, s->pieces[s->n - 1].leaf, &low2, &high2);
	if (block_bits(low2, high2) < block_bits(low, high)) {
		rest = s->pieces[s->n - 1].leaf;
		low = low2;
		high = high2;
	}
	bits = block_bits(low, high);
	in = narrowed(s, bits == 64 ? 0 : low >> bits << bits, bits);
	while (width < bits && width < WIDTH_MAX && 2u << width <= t->per_piece * in.n)
		width++;
	base = n_nodes(t);
	if (base + (2u << width) > CLASSIFY_NODES_MAX ||
	    !buf_add(&t->nodes, (1 + ((size_t)1 << width)) * sizeof(struct classify_node)))
		return err_nomem(t->w->err);
	*node_at(t, at) = (struct classify_node){.path = in.first >> 1 >> (bits - 1),
						 .base = base,
						 .skip = (uint8_t)(bits - 1),
						 .left = (uint8_t)(64 - bits),
						 .right = (uint8_t)(64 - width),
						 .width = (uint8_t)width};
	put_leaf(t, base, rest);
	for (i = 0; !e && i < 1u << width; i++) {
		part = narrowed(&in, in.first + ((uint64_t)i << (bits - width)), bits - width);
		e = build(t, base + 1 + i, &part);
	}
	return e;
}

/* A trie over the pieces; its root's number. */
static int put_trie(struct trie *t, const struct piece *pieces, uint32_t n, uint32_t *root)
{
	struct stretch all = {.bits = 64, .pieces = pieces, .n = n};

	*root = n_nodes(t);
	if (!buf_add(&t->nodes, sizeof(struct classify_node)))
		return err_nomem(t->w->err);
	return build(t, *root, &all);
}

static uint64_t leaf_of(const struct side *s, uint32_t class)
{
	return CLASSIFY_LEAF | class | s->upper[class] << CLASSIFY_CLASS_BITS;
}

/* Pieces that follow one another and lead to the same leaf are one. */
static void add(struct piece *pieces, uint32_t *n, uint64_t start, uint64_t leaf)
{
	if (*n && pieces[*n - 1].leaf == leaf)
		return;
	pieces[(*n)++] = (struct piece){start, leaf};
}

static int halves(struct trie *t, const struct side *s, const struct side_range *r, uint32_t n,
		  uint32_t *root, bool *lower)
{
	struct piece *high = work_array(t->w, 2 * (size_t)n + 1, sizeof(*high)),
		     *low = work_array(t->w, n + 1, sizeof(*low));
	uint32_t i, m = 0, k, inner;
	uint64_t half;
	int e;

	if (!high || !low)
		return -ENOMEM;
	for (i = 0; i < n;) {
		half = (uint64_t)(r[i].start >> 64);
		k = 0;
		if ((uint64_t)r[i].start) /* what is before belongs to the range before */
			add(low, &k, 0, leaf_of(s, r[i - 1].class));
		for (; i < n && (uint64_t)(r[i].start >> 64) == half; i++)
			add(low, &k, (uint64_t)r[i].start, leaf_of(s, r[i].class));
		if (k == 1) {
			add(high, &m, half, low[0].leaf);
			continue;
		}
		e = put_trie(t, low, k, &inner);
		if (e)
			return e;
		add(high, &m, half, CLASSIFY_LEAF | (uint64_t)inner << 32);
		*lower = true;
		if (half != ~0ull && (i == n || r[i].start != (classify_u128)(half + 1) << 64))
			add(high, &m, half + 1, low[k - 1].leaf);
	}
	e = put_trie(t, high, m, root);
	work_drop(t->w, high);
	work_drop(t->w, low);
	return e;
}

static int one_side(struct work *w, struct family *f, int which)
{
	const struct side *s = &f->side[which];
	struct classify_front front = {.kind = CLASSIFY_FRONT_PATHS};
	struct trie t = {.w = w, .per_piece = 2};
	struct side_range *ranges;
	bool lower = false;
	uint32_t n;
	int e = side_ranges(w, s, &ranges, &n);

	/* node 0 stands for none */
	if (!e && !buf_add(&t.nodes, sizeof(struct classify_node)))
		e = err_nomem(w->err);
	if (!e)
		e = halves(&t, s, ranges, n, &front.root, &lower);
	if (!e && t.nodes.failed)
		e = err_nomem(w->err);
	if (!e) {
		front.cells = work_table(w, n_nodes(&t), sizeof(struct classify_node));
		if (front.cells)
			memcpy(w->image.data + front.cells, t.nodes.data, t.nodes.len);
		else
			e = -ENOSPC;
	}
	front.leaves = lower;
	family_part(w, f)->front[which] = front;
	f->report->front[which] = front.kind;
	buf_free(&t.nodes);
	return e;
}

int front6_build(struct work *w, struct family *f)
{
	size_t before = w->image.len;
	int e = one_side(w, f, 0);

	if (!e)
		e = one_side(w, f, 1);
	f->report->front_bytes = w->image.len - before;
	return e;
}
