// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * IPv4 addresses to records, in two forms that are read without a branch. Cells of 12, 10 and 10 bits or of 16, 8 and 8; or a
 * cell of 16 bits and below it boundaries, five groups of them told apart by a fork and five records by a
 * leaf. The first takes fewer instructions, the second a fraction of the memory.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "classify/work.h"

#define FORK_BOUNDS 24 /* five leaves of four, and the four between them */
#define FORKS_BOUNDS 124
#define SMALL_MAX (512u << 10) /* bytes of cells behind a root of 12 bits */
#define CELLS_MAX (4u << 20)   /* and of 16 bits; doc/classify.md has the measurement */

struct piece {
	uint32_t start, class;
};

/* The tables while they grow. */
struct tables {
	struct work *w;
	const struct side *side;
	struct piece *pieces;
	uint32_t n;
	struct buf cells, last; /* cells or forks, records or leaves */
	/* by class: one of each for whole regions of it, its number plus 1 */
	uint32_t *shared_cell, *shared_last;
	enum classify_front_kind kind;
	/* bits that the root tells apart, and those in front of the last level */
	uint32_t first, second;
};

/* The piece that holds an address: the last one that begins at or before it, searched from hint on. */
static uint32_t piece_at(const struct tables *t, uint32_t address, uint32_t hint)
{
	while (hint + 1 < t->n && t->pieces[hint + 1].start <= address)
		hint++;
	return hint;
}

/* Boundaries strictly inside first..last; *at is the piece that holds first. */
static uint32_t inside(const struct tables *t, uint32_t first, uint32_t last, uint32_t *at)
{
	*at = piece_at(t, first, *at);
	return piece_at(t, last, *at) - *at;
}

/* How many bits from the top on, `width` or more, tell parts apart of which none has more than max
 * boundaries; else all. */
static uint32_t width_for(const struct tables *t, uint32_t first, uint32_t bits, uint32_t width, uint32_t all,
			  uint32_t max, uint32_t at)
{
	uint32_t i, part, piece;

	for (; width < all; width++) {
		part = 1u << (bits - width);
		piece = at;
		for (i = 0; i < 1u << width; i++)
			if (inside(t, first + i * part, first + i * part + (part - 1), &piece) > max)
				break;
		if (i == 1u << width)
			break;
	}
	return width;
}

static uint32_t put_record(struct tables *t, uint32_t at)
{
	buf_u32(&t->last, side_record(t->side, t->pieces[at].class));
	return (uint32_t)(t->last.len / 4 - 1);
}

/* The second level's cell for 2^bits addresses, as many as the last level can tell apart or all alike, with n
 * boundaries behind the piece at. */
static uint32_t second_cell(struct tables *t, uint32_t first, uint32_t bits, uint32_t at, uint32_t n)
{
	uint32_t *shared = &t->shared_last[t->pieces[at].class], width, i,
		 index = (uint32_t)(t->last.len / 4);

	if (!n) {
		if (!*shared)
			*shared = put_record(t, at) + 1;
		return CLASSIFY_CELL(*shared - 1, 32);
	}
	width = width_for(t, first, bits, 0, bits, 0, at);
	for (i = 0; i < 1u << width; i++) {
		at = piece_at(t, first + (i << (bits - width)), at);
		put_record(t, at);
	}
	return CLASSIFY_CELL(index, 32 - width);
}

/* Bounds and records of up to four boundaries behind the piece at; every each-th boundary counts. */
static uint64_t bounds_of(const struct tables *t, uint32_t at, uint32_t n, uint32_t each)
{
	uint64_t bounds = 0;
	uint32_t i;

	for (i = 0; i < 4; i++)
		bounds |= (uint64_t)((i + 1) * each <= n ? t->pieces[at + (i + 1) * each].start & 0x7fff
							 : CLASSIFY_NO_BOUND)
			  << 16 * i;
	return bounds;
}

static uint32_t put_leaf(struct tables *t, uint32_t at, uint32_t n)
{
	struct classify_leaf leaf = {.bounds = bounds_of(t, at, n, 1)};
	uint32_t i;

	for (i = 0; i < 5; i++)
		leaf.record[i] = side_record(t->side, t->pieces[at + (i < n ? i : n)].class);
	buf_put(&t->last, &leaf, sizeof(leaf));
	return (uint32_t)(t->last.len / sizeof(leaf) - 1);
}

/* A fork for the piece at and the n boundaries behind it, up to FORK_BOUNDS, and its leaves. */
static struct classify_fork fork_for(struct tables *t, uint32_t at, uint32_t n)
{
	uint32_t *shared = &t->shared_last[t->pieces[at].class], i;
	struct classify_fork to = {.bounds = bounds_of(t, at, n, 5)};

	if (!n) {
		if (!*shared)
			*shared = put_leaf(t, at, 0) + 1;
		to.next = *shared - 1;
		return to;
	}
	to.next = (uint32_t)(t->last.len / sizeof(struct classify_leaf));
	for (i = 0; i <= n; i += 5)
		put_leaf(t, at + i, n - i < 4 ? n - i : 4);
	return to;
}

/* The same for up to FORKS_BOUNDS, with forks in between. */
static struct classify_fork forks_for(struct tables *t, uint32_t at, uint32_t n)
{
	struct classify_fork to = {.bounds = bounds_of(t, at, n, 25)}, one;
	uint32_t i;

	to.next = (uint32_t)(t->cells.len / sizeof(to));
	for (i = 0; i <= n; i += 25) {
		one = fork_for(t, at + i, n - i < FORK_BOUNDS ? n - i : FORK_BOUNDS);
		buf_put(&t->cells, &one, sizeof(one));
	}
	return to;
}

/* The second level for 2^bits addresses from first on: one entry. */
static bool put_second(struct tables *t, uint32_t index, uint32_t first, uint32_t bits, uint32_t at)
{
	uint32_t cell, n = inside(t, first, first + (1u << bits) - 1, &at);
	struct classify_fork fork;

	if (t->kind == CLASSIFY_FRONT_CELLS) {
		cell = second_cell(t, first, bits, at, n);
		((uint32_t *)(void *)t->cells.data)[index] = cell;
	} else {
		fork = t->kind == CLASSIFY_FRONT_FORKS ? forks_for(t, at, n) : fork_for(t, at, n);
		((struct classify_fork *)(void *)t->cells.data)[index] = fork;
	}
	return !t->last.failed && !t->cells.failed;
}

/* The root's cell for the addresses from first on. */
static uint32_t first_cell(struct tables *t, uint32_t first, uint32_t at)
{
	uint32_t bits = 32 - t->first, n = inside(t, first, first + (1u << bits) - 1, &at);
	uint32_t *shared = &t->shared_cell[t->pieces[at].class], width = 0, i, index;
	bool cells = t->kind == CLASSIFY_FRONT_CELLS;
	size_t size = cells ? 4 : sizeof(struct classify_fork);

	index = (uint32_t)(t->cells.len / size);
	if (!n && *shared)
		return CLASSIFY_CELL(*shared - 1, 32);
	if (!n)
		*shared = index + 1;
	else if (cells)
		width = width_for(t, first, bits, 0, t->second - t->first, 0, at);
	else /* forks see 15 bits */
		width = width_for(t, first, bits, 1, bits,
				  t->kind == CLASSIFY_FRONT_FORKS ? FORKS_BOUNDS : FORK_BOUNDS, at);
	if (!buf_add(&t->cells, size << width))
		return 0;
	for (i = 0; i < 1u << width; i++) {
		at = piece_at(t, first + (i << (bits - width)), at);
		if (!put_second(t, index + i, first + (i << (bits - width)), bits - width, at))
			return 0;
	}
	return CLASSIFY_CELL(index, 32 - width);
}

/* Builds everything; -EFBIG if what is behind the root would be larger than max. */
static int build(struct tables *t, uint32_t *root, uint32_t first, uint32_t second, size_t max)
{
	uint32_t i, at = 0;

	t->first = first;
	t->second = second;
	t->cells.len = t->last.len = 0;
	memset(t->shared_cell, 0, (size_t)t->side->n * 4);
	memset(t->shared_last, 0, (size_t)t->side->n * 4);
	for (i = 0; i < 1u << first; i++) {
		at = piece_at(t, i << (32 - first), at);
		root[i] = first_cell(t, i << (32 - first), at);
		if (t->cells.failed || t->last.failed)
			return err_nomem(t->w->err);
		if (t->cells.len + t->last.len > max)
			return -EFBIG;
	}
	return 0;
}

static int store(struct tables *t, struct family *f, int which, const uint32_t *root)
{
	struct work *w = t->w;
	struct classify_front front = {.kind = t->kind, .shift = 32 - t->first, .bits = t->second};

	front.root = work_lines(w, root, (size_t)4 << t->first);
	if (front.root)
		front.cells = work_lines(w, t->cells.data, t->cells.len);
	if (front.cells)
		front.leaves = work_lines(w, t->last.data, t->last.len);
	if (!front.leaves)
		return -ENOSPC;
	family_part(w, f)->front[which] = front;
	f->report->front[which] = front.kind;
	return 0;
}

/* Cells while they are small, with a small root while they are very small; then one fork, or two if these
 * take less. */
static int choose(struct tables *t, uint32_t *root, enum classify_fronts forced)
{
	size_t one;
	int e = -EFBIG;

	if (forced == CLASSIFY_FRONTS_CELLS || !forced) {
		t->kind = CLASSIFY_FRONT_CELLS;
		e = build(t, root, 12, 22, SMALL_MAX);
		if (e == -EFBIG)
			e = build(t, root, 16, 24, forced ? SIZE_MAX : CELLS_MAX);
	}
	if (e != -EFBIG)
		return e;
	t->kind = CLASSIFY_FRONT_LEAVES;
	e = build(t, root, 16, 16, SIZE_MAX);
	if (e || forced == CLASSIFY_FRONTS_LEAVES)
		return e;
	one = t->cells.len + t->last.len;
	t->kind = CLASSIFY_FRONT_FORKS;
	e = build(t, root, 16, 16, forced ? SIZE_MAX : one / 3 * 2);
	if (e != -EFBIG)
		return e;
	t->kind = CLASSIFY_FRONT_LEAVES;
	return build(t, root, 16, 16, SIZE_MAX);
}

static int one_side(struct work *w, struct family *f, int which)
{
	struct tables t = {.w = w, .side = &f->side[which]};
	uint32_t *root = work_array(w, 65536, 4), i;
	struct side_range *ranges;
	int e = side_ranges(w, t.side, &ranges, &t.n);

	t.pieces = work_array(w, t.n, sizeof(*t.pieces));
	t.shared_cell = work_array(w, t.side->n, 4);
	t.shared_last = work_array(w, t.side->n, 4);
	if (e || !root || !t.pieces || !t.shared_cell || !t.shared_last)
		return -ENOMEM;
	for (i = 0; i < t.n; i++)
		t.pieces[i] = (struct piece){(uint32_t)(ranges[i].start >> 96), ranges[i].class};
	e = choose(&t, root, w->opts->fronts);
	if (!e)
		e = store(&t, f, which, root);
	buf_free(&t.cells);
	buf_free(&t.last);
	work_drop(w, root);
	work_drop(w, ranges);
	work_drop(w, t.pieces);
	return e;
}

int front4_build(struct work *w, struct family *f)
{
	size_t before = w->image.len;
	int e = one_side(w, f, 0);

	if (!e)
		e = one_side(w, f, 1);
	f->report->front_bytes = w->image.len - before;
	return e;
}
