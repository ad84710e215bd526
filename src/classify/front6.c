// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * IPv6 addresses to records. The stretches of the upper half that belong to different prefixes are searched
 * in trees of cache lines, eight ways at a branch and five at a twig. Where most boundaries are close
 * together - behind a provider's prefix - a window of equal stretches is laid over them, each with a tree of
 * its own, so that the trees are low. A half that has
 * prefixes inside leads to two more trees, of the lower half.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "classify/work.h"

#define TWIG 5
#define BRANCH 8

/* Values of a half from start on, until the next one's start. */
struct piece {
	uint64_t start;
	uint32_t target; /* a record, or a tree of the lower half */
	bool lower;
};

struct trees {
	struct work *w;
	struct buf branches, twigs;
	uint32_t deepest[2]; /* branches above a twig, by half */
};

struct window {
	uint64_t base;
	uint32_t shift, bits;
};

static uint32_t n_branches(const struct trees *t)
{
	return (uint32_t)(t->branches.len / sizeof(struct classify_branch));
}

static uint32_t n_twigs(const struct trees *t)
{
	return (uint32_t)(t->twigs.len / sizeof(struct classify_twig));
}

/* Branches above a twig that n pieces need. */
static uint32_t depth_for(uint32_t n)
{
	uint32_t depth = 0;

	for (n = (n + TWIG - 1) / TWIG; n > 1; n = (n + BRANCH - 1) / BRANCH)
		depth++;
	return depth;
}

static uint64_t limit_before(const struct piece *p)
{
	return (p->start - 1) & CLASSIFY_NO_LIMIT;
}

static struct classify_twig twig_of(const struct piece *pieces, uint32_t n)
{
	struct classify_twig twig = {.limit = {0}};
	uint32_t i;

	for (i = 0; i < TWIG; i++) {
		if (i < TWIG - 1)
			twig.limit[i] = i + 1 < n ? limit_before(pieces + i + 1) : CLASSIFY_NO_LIMIT;
		twig.record[i] = pieces[i < n ? i : n - 1].target;
		twig.lower |= (uint32_t)pieces[i < n ? i : n - 1].lower << i;
	}
	return twig;
}

/* Room for n nodes of a level, one behind the other: the first one's number. */
static int reserve(struct trees *t, uint32_t level, uint32_t n, uint32_t *first)
{
	*first = level ? n_branches(t) : n_twigs(t);
	if (!buf_add(level ? &t->branches : &t->twigs, (size_t)n * 64))
		return err_nomem(t->w->err);
	return 0;
}

static int put_node(struct trees *t, uint32_t level, uint32_t at, const struct piece *pieces, uint32_t n)
{
	struct classify_branch branch = {.limit = {0}};
	uint32_t each = TWIG, i, children;
	int e;

	if (!level) {
		((struct classify_twig *)(void *)t->twigs.data)[at] = twig_of(pieces, n);
		return 0;
	}
	for (i = 1; i < level; i++)
		each *= BRANCH;
	children = (n + each - 1) / each;
	e = reserve(t, level - 1, children, &branch.next);
	for (i = 0; i < BRANCH - 1; i++)
		branch.limit[i] =
			i + 1 < children ? limit_before(pieces + (i + 1) * each) : CLASSIFY_NO_LIMIT;
	for (i = 0; !e && i < children; i++)
		e = put_node(t, level - 1, branch.next + i, pieces + i * each,
			     n - i * each < each ? n - i * each : each);
	if (!e)
		((struct classify_branch *)(void *)t->branches.data)[at] = branch;
	return e;
}

/* The pieces of first..last: where they begin (the first may be from before), and how many. */
static const struct piece *within(const struct piece *pieces, uint32_t n, uint64_t first, uint64_t last,
				  uint32_t *n_in)
{
	uint32_t low = 0, high = n, mid, end;

	while (high - low > 1) { /* the last piece that starts at or before first */
		mid = low + (high - low) / 2;
		if (pieces[mid].start <= first)
			low = mid;
		else
			high = mid;
	}
	for (end = low + 1, high = n; end < high;) { /* the first one that starts behind last */
		mid = end + (high - end) / 2;
		if (pieces[mid].start <= last)
			end = mid + 1;
		else
			high = mid;
	}
	*n_in = end - low;
	return pieces + low;
}

static uint64_t window_last(const struct window *v)
{
	return v->base + (((1ull << v->bits) - 1) << v->shift) + ((1ull << v->shift) - 1);
}

/* The pieces of a quarter of the space without those inside the window. */
static uint32_t outside(const struct window *v, const struct piece *pieces, uint32_t n, uint32_t quarter,
			struct piece *to)
{
	uint64_t first = (uint64_t)quarter << 62, last = first + (~0ull >> 2), behind = window_last(v) + 1;
	const struct piece *in = within(pieces, n, first, last, &n);
	uint32_t i, m = 0;

	for (i = 0; i < n; i++) {
		if (in[i].start > v->base && in[i].start < behind)
			continue;
		if (behind > first && behind <= last && in[i].start > behind &&
		    (!m || to[m - 1].start < behind))
			goto add_behind; /* what the window ends with goes on behind it */
		to[m++] = in[i];
		continue;
	add_behind:
		to[m++] = (struct piece){behind, in[i - 1].target, in[i - 1].lower};
		to[m++] = in[i];
	}
	if (behind > first && behind <= last && m && to[m - 1].start < behind && in[n - 1].start < behind)
		to[m++] = (struct piece){behind, in[n - 1].target, in[n - 1].lower};
	if (!m || to[0].start > first) /* the window begins the quarter, or holds all of it */
		memmove(to + 1, to, m++ * sizeof(*to)), to[0] = in[0];
	return m;
}

/* The largest number of pieces that a stretch of the window or the rest has. */
static uint32_t fullest(const struct window *v, const struct piece *pieces, uint32_t n, struct piece *scratch)
{
	uint64_t at, before = ~0ull;
	uint32_t i, most = 0, count = 0, m;

	for (i = 0; i < n; i++) {
		at = (pieces[i].start - v->base) >> v->shift;
		if (at >> v->bits)
			continue;
		count = at == before ? count + 1 : 2; /* and the one from before */
		before = at;
		most = count > most ? count : most;
	}
	for (i = 0; i < 4; i++) {
		m = outside(v, pieces, n, i, scratch);
		most = m > most ? m : most;
	}
	return most;
}

/* Where the window goes: the place that makes trees lowest, then emptiest. Its first bits are those of the
 * middle piece. */
static struct window choose_window(const struct piece *pieces, uint32_t n, struct piece *scratch)
{
	uint64_t middle = pieces[n / 2].start;
	struct window best = {.bits = n > 4000 ? 17 : n > 400 ? 14 : 12}, v = best;
	uint32_t least = UINT32_MAX, skip, most;

	for (skip = 0; skip + best.bits < 64; skip++) {
		v.shift = 64 - skip - best.bits;
		v.base = skip ? middle >> (64 - skip) << (64 - skip) : 0;
		most = fullest(&v, pieces, n, scratch);
		if (most < least) {
			least = most;
			best = v;
		}
	}
	return best;
}

/* Trees of the lower half, one for each value of its first bit and both of one depth: the first one's reference. */
static int lower_trees(struct trees *t, const struct piece *pieces, uint32_t n, uint32_t *tree)
{
	uint32_t i, n_in[2], depth, first;
	const struct piece *in[2];
	int e;

	for (i = 0; i < 2; i++)
		in[i] = within(pieces, n, (uint64_t)i << 63, ((uint64_t)i << 63) + (~0ull >> 1), &n_in[i]);
	depth = depth_for(n_in[0] > n_in[1] ? n_in[0] : n_in[1]);
	t->deepest[1] = depth > t->deepest[1] ? depth : t->deepest[1];
	e = reserve(t, depth, 2, &first);
	for (i = 0; !e && i < 2; i++)
		e = put_node(t, depth, first + i, in[i], n_in[i]);
	*tree = CLASSIFY_TREE(first, depth);
	return e;
}

static uint32_t record_of(const struct side *s, uint32_t class)
{
	return class | s->upper[class] << CLASSIFY_CLASS_BITS;
}

/* Pieces that follow one another and lead to the same are one. */
static void add(struct piece *pieces, uint32_t *n, uint64_t start, uint32_t target, bool lower)
{
	if (*n && pieces[*n - 1].target == target && pieces[*n - 1].lower == lower)
		return;
	pieces[(*n)++] = (struct piece){start, target, lower};
}

/* The ranges that begin inside one value of the upper half, from *i on; low gets their pieces of the lower
 * half. */
static uint32_t lower_pieces(const struct side *s, const struct side_range *r, uint32_t n, uint32_t *i,
			     struct piece *low)
{
	uint64_t half = (uint64_t)(r[*i].start >> 64);
	uint32_t k = 0;

	if ((uint64_t)r[*i].start) /* what is before belongs to the range before */
		add(low, &k, 0, record_of(s, r[*i - 1].class), false);
	for (; *i < n && (uint64_t)(r[*i].start >> 64) == half; ++*i)
		add(low, &k, (uint64_t)r[*i].start, record_of(s, r[*i].class), false);
	return k;
}

/* Pieces of the upper half, with the trees of the lower half. */
static int halves(struct trees *t, const struct side *s, const struct side_range *r, uint32_t n,
		  struct piece *high, uint32_t *n_high)
{
	struct piece *low = work_array(t->w, (size_t)n + 1, sizeof(*low));
	uint32_t i, k, tree;
	uint64_t half;
	int e;

	if (!low)
		return -ENOMEM;
	for (i = 0; i < n;) {
		half = (uint64_t)(r[i].start >> 64);
		k = lower_pieces(s, r, n, &i, low);
		if (k == 1) {
			add(high, n_high, half, low[0].target, false);
			continue;
		}
		e = lower_trees(t, low, k, &tree);
		if (e)
			return e;
		add(high, n_high, half, tree, true);
		if (half != ~0ull && (i == n || r[i].start != (classify_u128)(half + 1) << 64))
			add(high, n_high, half + 1, low[k - 1].target, false);
	}
	work_drop(t->w, low);
	return 0;
}

/* A tree, or one that is there already for all stretches that are of this single piece. */
static int put_tree(struct trees *t, const struct piece *pieces, uint32_t n, const struct side *s,
		    uint32_t *shared, uint32_t *tree)
{
	uint32_t class = pieces[0].target & CLASSIFY_CLASS_MASK, depth = depth_for(n), number;
	bool share = n == 1 && !pieces[0].lower && class < s->n;
	int e;

	if (share && shared[class]) {
		*tree = shared[class] - 1;
		return 0;
	}
	t->deepest[0] = depth > t->deepest[0] ? depth : t->deepest[0];
	e = reserve(t, depth, 1, &number);
	if (!e)
		e = put_node(t, depth, number, pieces, n);
	*tree = CLASSIFY_TREE(number, depth);
	if (share)
		shared[class] = *tree + 1;
	return e;
}

static int put_root(struct trees *t, const struct side *s, const struct piece *pieces, uint32_t n,
		    struct classify_front *front)
{
	struct piece *scratch = work_array(t->w, (size_t)n + 8, sizeof(*scratch));
	uint32_t *shared = work_array(t->w, s->n, 4), i, m, tree = 0, root;
	const struct piece *in;
	struct window v;
	uint64_t first;
	int e = 0;

	if (!scratch || !shared)
		return -ENOMEM;
	v = choose_window(pieces, n, scratch);
	front->base = v.base;
	front->shift = v.shift;
	front->bits = v.bits;
	root = work_table(t->w, (1u << v.bits) + 4, 4);
	if (!root)
		return -ENOSPC;
	front->root = root;
	for (i = 0; !e && i < (1u << v.bits) + 4; i++) {
		if (i < 1u << v.bits) {
			first = v.base + ((uint64_t)i << v.shift);
			in = within(pieces, n, first, first + ((1ull << v.shift) - 1), &m);
		} else {
			m = outside(&v, pieces, n, i - (1u << v.bits), scratch);
			in = scratch;
		}
		e = put_tree(t, in, m, s, shared, &tree);
		WORK_AT(t->w, uint32_t, root)[i] = tree;
	}
	work_drop(t->w, scratch);
	work_drop(t->w, shared);
	return e;
}

/* Aligned to a cache line; 0 with err set. */
static uint32_t put_lines(struct work *w, const struct buf *b)
{
	uint32_t at = work_table(w, b->len / 64 + 1, 64);

	if (!at)
		return 0;
	at = (at + 63) & ~63u;
	if (b->len)
		memcpy(w->image.data + at, b->data, b->len);
	return at;
}

static int one_side(struct work *w, struct family *f, int which)
{
	const struct side *s = &f->side[which];
	struct classify_front front = {.kind = CLASSIFY_FRONT_TREES};
	struct trees t = {.w = w};
	struct side_range *ranges;
	struct piece *high;
	uint32_t n, n_high = 0;
	int e = side_ranges(w, s, &ranges, &n);

	if (e)
		return e;
	high = work_array(w, 2 * (size_t)n + 1, sizeof(*high));
	e = high ? halves(&t, s, ranges, n, high, &n_high) : -ENOMEM;
	if (!e)
		e = put_root(&t, s, high, n_high, &front);
	if (!e && (t.branches.failed || t.twigs.failed))
		e = err_nomem(w->err);
	if (!e) {
		front.cells = put_lines(w, &t.branches);
		front.leaves = front.cells ? put_lines(w, &t.twigs) : 0;
		e = front.leaves ? 0 : -ENOSPC;
	}
	family_part(w, f)->front[which] = front;
	f->report->front[which] = front.kind;
	n = 3 + t.deepest[0] + t.deepest[1];
	f->depth = n > f->depth ? n : f->depth;
	buf_free(&t.branches);
	buf_free(&t.twigs);
	work_drop(w, ranges);
	work_drop(w, high);
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
