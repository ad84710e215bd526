// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The pair table: two of the three classes lead to a row, the third picks the rule from it. Pairs in which
 * the same rules matter for every third class share a row. Tried in the three orders there are; the smallest
 * is kept. After Gupta and McKeown, "Packet classification on multiple fields", SIGCOMM 1999, with rows in
 * place of their last table's equivalence classes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "classify/sets.h"

#define TABLE_MAX \
	(8u << 20) /* bytes of pair table and rows: beyond, the split behind its cache touches less */
#define WORK_MAX (150u << 20) /* words to intersect: about 0.1 s */
#define NO_RULE 0xffffu
#define STEPS_MAX (8u << 20) /* of making lists: some 0.2 s */
#define STEPS_LAST (32u << 20) /* where there is no other way: rules that go on alone */
#define NODES_MAX (8u << 20)   /* different ones: some 300 MB */

enum { SRC, DST, SERVICE };

/* The three classes: how many, and which rules each value of one matches. */
struct axis {
	uint32_t n;
	uint64_t *rules; /* by class: a bit for each rule */
};

struct cross {
	struct work *w;
	const struct family *f;
	struct axis axis[3];
	uint32_t words;
	struct over *over;
};

static const uint8_t orders[3][3] = {{SRC, DST, SERVICE}, {SRC, SERVICE, DST}, {DST, SERVICE, SRC}};

/*
 * Lists: each a path down a tree in which a node is a rule behind the rules above it, so that equal lists
 * are one node. Node 0 is the list of nothing.
 */
struct lists {
	struct sets nodes;   /* parent, id; number + 1 is the node's */
	uint32_t *number;    /* by node: the list's, plus 1 */
	uint32_t *node_of;   /* by list */
	uint32_t *depth;     /* by node */
	uint32_t n, cap;     /* lists; room in number and depth */
	uint32_t *at;	     /* by third class: the node it has come to */
	size_t bytes;
	uint32_t steps, steps_max;
	int failed;
};

struct tables {
	uint16_t *pair;
	struct sets rows; /* of 16 bits by third class, padded to words */
	struct lists lists;
	size_t bytes;
};

static int axes(struct cross *c)
{
	const struct services *s = &c->f->services;
	uint32_t a, i, k, spec;
	const struct side *side;
	uint64_t bits;

	for (a = 0; a < 3; a++) {
		c->axis[a].n = a == SERVICE ? s->n_classes : c->f->side[a].n;
		c->axis[a].rules = work_array(c->w, (size_t)c->axis[a].n * c->words, 8);
		if (!c->axis[a].rules)
			return -ENOMEM;
		for (i = 0; i < c->f->n; i++) {
			if (a != SERVICE) {
				side = &c->f->side[a];
				for (k = side->of_rule[i]; k <= side->last[side->of_rule[i]]; k++)
					c->axis[a].rules[(size_t)k * c->words + i / 64] |= 1ull << i % 64;
				continue;
			}
			spec = s->of_rule[i];
			for (k = 0; k < s->class_words; k++)
				for (bits = s->classes[(size_t)spec * s->class_words + k]; bits;
				     bits &= bits - 1)
					c->axis[a].rules[(k * 64ul + (uint32_t)__builtin_ctzll(bits)) *
								 c->words +
							 i / 64] |= 1ull << i % 64;
		}
	}
	return 0;
}

static int lists_init(struct lists *l, const struct family *f, struct work *w, uint32_t n_third)
{
	l->steps_max = memchr(f->goes_on, 0, f->n) ? STEPS_MAX : STEPS_LAST;
	l->cap = 1024;
	l->number = work_array(w, l->cap, 4);
	l->depth = work_array(w, l->cap, 4);
	l->node_of = work_array(w, 65536, 4);
	l->at = work_array(w, n_third, 4);
	if (!l->number || !l->depth || !l->node_of || !l->at || sets_init(&l->nodes, w, 1))
		return -ENOMEM;
	l->number[0] = 1;
	l->n = 1;
	l->bytes = 8;
	return 0;
}

/*
 * The list of a node and an id behind it; an id that is there already is not said twice. Negative: no
 * memory.
 */
static int64_t lists_next(struct lists *l, struct work *w, uint32_t node, uint32_t id)
{
	uint64_t key = (uint64_t)node << 32 | id;
	uint32_t *more, before = l->nodes.n;
	int64_t nr;

	if (node && (uint32_t)*sets_at(&l->nodes, node - 1) == id)
		return node;
	if (++l->steps > l->steps_max || l->nodes.n >= NODES_MAX)
		return -EFBIG;
	nr = sets_put(&l->nodes, &key);
	if (nr < 0 || l->nodes.n == before)
		return nr < 0 ? nr : nr + 1;
	if (l->nodes.n + 1 > l->cap) {
		more = work_array(w, (size_t)l->cap * 2, 4);
		if (!more)
			return -ENOMEM;
		memcpy(more, l->number, (size_t)l->cap * 4);
		work_drop(w, l->number);
		l->number = more;
		more = work_array(w, (size_t)l->cap * 2, 4);
		if (!more)
			return -ENOMEM;
		memcpy(more, l->depth, (size_t)l->cap * 4);
		work_drop(w, l->depth);
		l->depth = more;
		l->cap *= 2;
	}
	l->depth[nr + 1] = l->depth[node] + 1;
	return nr + 1;
}

/* The list's number of a node; -EFBIG when there are too many. */
static int64_t lists_number(struct lists *l, uint32_t node)
{
	if (!l->number[node]) {
		if (l->n >= NO_RULE)
			return -EFBIG;
		l->node_of[l->n] = node;
		l->number[node] = ++l->n;
		l->bytes += 4 * (l->depth[node] + 3ul);
	}
	return l->number[node] - 1;
}

/* The classes of the third axis that a rule takes out of left: row gets it there. Returns false when none is
 * left. */
static bool claim(const struct cross *c, uint32_t axis, uint32_t rule, uint64_t *left, struct tables *t,
		  uint16_t *row)
{
	const struct services *s = &c->f->services;
	uint32_t n = (c->axis[axis].n + 63) / 64, i, first, last;
	uint64_t take, some = 0;
	struct lists *l = &t->lists;
	int64_t node;

	for (i = 0; i < n; i++) {
		if (axis == SERVICE) {
			take = s->classes[(size_t)s->of_rule[rule] * s->class_words + i];
		} else {
			first = c->f->side[axis].of_rule[rule];
			last = c->f->side[axis].last[first];
			take = last < i * 64 || first >= i * 64 + 64 ? 0 : ~0ull;
			if (take && first > i * 64)
				take &= ~0ull << (first - i * 64);
			if (take && last < i * 64 + 63)
				take &= ~0ull >> (63 - (last - i * 64));
		}
		take &= left[i];
		if (!c->f->goes_on || !c->f->goes_on[rule])
			left[i] ^= take;
		some |= left[i];
		for (; take; take &= take - 1) {
			first = i * 64 + (uint32_t)__builtin_ctzll(take);
			if (!c->f->goes_on) {
				row[first] = (uint16_t)rule;
				continue;
			}
			node = lists_next(l, c->w, l->at[first], c->f->ids[rule]);
			l->failed = node < 0 && !l->failed ? (int)node : l->failed;
			l->at[first] = node < 0 ? 0 : (uint32_t)node;
		}
	}
	return some != 0;
}

/* The row of a set of rules; its number, or negative. */
static int64_t put_row(const struct cross *c, uint32_t axis, const uint64_t *set, uint64_t *left,
		       uint64_t *row, struct tables *t)
{
	uint16_t *cells = (uint16_t *)(void *)row;
	uint32_t n = c->axis[axis].n, i;
	int64_t number;
	uint64_t bits;
	bool open;

	memset(left, 0xff, (n + 63) / 64 * 8);
	if (n % 64)
		left[n / 64] = ~0ull >> (64 - n % 64);
	memset(row, 0xff, (size_t)t->rows.words * 8);
	if (c->f->goes_on)
		memset(t->lists.at, 0, (size_t)n * 4);
	for (i = 0, open = true; i < c->words && open; i++)
		for (bits = set[i]; bits && open; bits &= bits - 1)
			open = claim(c, axis, i * 64 + (uint32_t)__builtin_ctzll(bits), left, t, cells);
	if (!c->f->goes_on)
		return sets_put(&t->rows, row);
	if (t->lists.failed)
		return t->lists.failed;
	for (i = 0; i < n; i++) {
		number = lists_number(&t->lists, t->lists.at[i]);
		if (number < 0)
			return number;
		cells[i] = (uint16_t)number;
	}
	return sets_put(&t->rows, row);
}

static int too_much(const struct cross *c, const char *of, double need, double most)
{
	if (!c->over->most || need / most < c->over->need / c->over->most)
		*c->over = (struct over){of, need, most};
	return -EFBIG;
}

/* What stopped an order's lists after some of its pairs: as if the others took as much. */
static int lists_too_much(const struct cross *c, const struct lists *l, double share)
{
	if (l->steps > l->steps_max)
		return too_much(c, "steps to make", l->steps / share, l->steps_max);
	if (l->nodes.n >= NODES_MAX)
		return too_much(c, "nodes of lists", l->nodes.n / share, NODES_MAX);
	return too_much(c, "different lists", l->n / share, NO_RULE);
}

/*
 * By box: the first of the same rule that takes the same third classes; *others: those that are not their own. Where lists are made of
 * ids, pairs that differ in which of these boxes they are in have the same row.
 */
static uint32_t *stand_ins(const struct cross *c, uint32_t third, uint64_t **others)
{
	const struct services *s = &c->f->services;
	const uint32_t *of_rule = third == SERVICE ? s->of_rule : c->f->side[third].of_rule;
	uint32_t *first = work_array(c->w, third == SERVICE ? s->n_specs : c->f->side[third].n, 4);
	uint32_t *to = work_array(c->w, c->f->n, 4), i, k;

	*others = work_array(c->w, c->words, 8);
	for (i = 0; first && to && *others && i < c->f->n; i++) {
		k = first[of_rule[i]];
		if (of_rule[k] != of_rule[i] || c->f->ids[k] != c->f->ids[i])
			first[of_rule[i]] = k = i;
		to[i] = k;
		if (k != i)
			(*others)[i / 64] |= 1ull << i % 64;
	}
	work_drop(c->w, first);
	return first && *others ? to : NULL;
}

static void stand_in(const uint32_t *for_box, const uint64_t *others, uint64_t *set, uint32_t words)
{
	uint64_t bits;
	uint32_t i, k;

	for (i = 0; i < words; i++)
		for (bits = set[i] & others[i]; bits; bits &= bits - 1) {
			k = i * 64 + (uint32_t)__builtin_ctzll(bits);
			set[i] ^= 1ull << k % 64;
			set[for_box[k] / 64] |= 1ull << for_box[k] % 64;
		}
}

/* One order. -EFBIG: too large. */
static int try_order(const struct cross *c, const uint8_t order[3], struct tables *t)
{
	const struct axis *a = &c->axis[order[0]], *b = &c->axis[order[1]];
	uint32_t n = c->axis[order[2]].n, i, j, k;
	size_t pairs = (size_t)a->n * b->n;
	uint64_t *set, *left, *row, *others = NULL;
	uint32_t *for_box = NULL;
	int64_t nr, row_nr, *row_of;
	struct sets sets;
	double share;

	if (pairs * 2 > TABLE_MAX)
		return too_much(c, "bytes", pairs * 2.0, TABLE_MAX);
	if (pairs * c->words > WORK_MAX)
		return too_much(c, "words of bits to compare", (double)pairs * c->words, WORK_MAX);
	t->pair = work_array(c->w, pairs, 2);
	set = work_array(c->w, c->words, 8);
	left = work_array(c->w, n / 64 + 1, 8);
	row_of = work_array(c->w, 65536, sizeof(*row_of));
	if (!t->pair || !set || !left || !row_of || sets_init(&sets, c->w, c->words) ||
	    sets_init(&t->rows, c->w, (n + 3) / 4) ||
	    (c->f->goes_on && lists_init(&t->lists, c->f, c->w, n)) ||
	    !(row = work_array(c->w, t->rows.words, 8)) ||
	    (c->f->goes_on && !(for_box = stand_ins(c, order[2], &others))))
		return -ENOMEM;
	for (i = 0; i < a->n; i++)
		for (j = 0; j < b->n; j++) {
			share = ((double)i * b->n + j + 1) / (double)pairs;
			for (k = 0; k < c->words; k++)
				set[k] = a->rules[(size_t)i * c->words + k] &
					 b->rules[(size_t)j * c->words + k];
			if (for_box)
				stand_in(for_box, others, set, c->words);
			nr = sets_put(&sets, set);
			if (nr < 0)
				return -ENOMEM;
			if (nr > 65535)
				return too_much(c, "different combinations", (double)nr / share, 65536);
			if (!row_of[nr]) {
				row_nr = put_row(c, order[2], set, left, row, t);
				if (row_nr == -EFBIG)
					return lists_too_much(c, &t->lists, share);
				if (row_nr < 0)
					return (int)row_nr;
				row_of[nr] = row_nr + 1;
			}
			t->pair[(size_t)i * b->n + j] = (uint16_t)(row_of[nr] - 1);
			t->bytes = pairs * 2 + (size_t)t->rows.n * n * 2 + t->lists.bytes;
			if (t->bytes > TABLE_MAX)
				return too_much(c, "bytes", (double)t->bytes / share, TABLE_MAX);
		}
	work_drop(c->w, sets.bits);
	work_drop(c->w, sets.table);
	return 0;
}

static int store_lists(struct work *w, const struct lists *l, struct classify_cross *to)
{
	uint32_t i, k, node, at;
	uint64_t key;

	to->lists = work_table(w, l->n, 4);
	if (!to->lists)
		return -ENOSPC;
	for (i = 0; i < l->n; i++) {
		node = l->node_of[i];
		at = work_table(w, l->depth[node] + 1ul, 4);
		if (!at)
			return -ENOSPC;
		WORK_AT(w, uint32_t, to->lists)[i] = at;
		k = l->depth[node];
		for (WORK_AT(w, uint32_t, at)[k] = CLASSIFY_LIST_END; k; node = (uint32_t)(key >> 32)) {
			key = *sets_at(&l->nodes, node - 1);
			WORK_AT(w, uint32_t, at)[--k] = (uint32_t)key;
		}
	}
	return 0;
}

static int store(struct work *w, struct family *f, const struct cross *c, uint32_t order,
		 const struct tables *t)
{
	struct classify_cross to = {.order = order,
				    .n_second = c->axis[orders[order][1]].n,
				    .n_third = c->axis[orders[order][2]].n};
	size_t pairs = (size_t)c->axis[orders[order][0]].n * to.n_second;
	uint32_t i;

	to.pair = work_table(w, pairs, 2);
	if (to.pair)
		to.rows = work_table(w, (size_t)t->rows.n * to.n_third, 2);
	if (!to.rows)
		return -ENOSPC;
	memcpy(w->image.data + to.pair, t->pair, pairs * 2);
	for (i = 0; i < t->rows.n; i++)
		memcpy(WORK_AT(w, uint16_t, to.rows) + (size_t)i * to.n_third, sets_at(&t->rows, i),
		       (size_t)to.n_third * 2);
	if (f->goes_on && store_lists(w, &t->lists, &to))
		return -ENOSPC;
	family_part(w, f)->cross = to;
	family_part(w, f)->structure = CLASSIFY_CROSS;
	f->report->structure = CLASSIFY_CROSS;
	f->report->rule_bytes = t->bytes;
	f->report->n_pairs = (uint32_t)pairs;
	f->report->n_rows = t->rows.n;
	snprintf(f->report->why, sizeof(f->report->why),
		 "a pair table of %zu cells and %u rows takes %zu bytes", pairs, t->rows.n, t->bytes);
	return 0;
}

int cross_build(struct work *w, struct family *f, bool *fits, struct over *over)
{
	struct cross c = {.w = w, .f = f, .words = (f->n + 63) / 64, .over = over};
	double words = ((double)f->side[0].n + f->side[1].n + f->services.n_classes) * c.words;
	struct tables t[3];
	uint32_t i, best = 3;
	int e;

	memset(t, 0, sizeof(t));
	*fits = false;
	/* rules are 16 bits here, and bits by class and rule must be of a size to work with */
	if (f->n >= NO_RULE || words > WORK_MAX / 8.0) {
		*over = f->n >= NO_RULE ? (struct over){"numbers", f->n, NO_RULE}
					: (struct over){"words of bits to begin with", words, WORK_MAX / 8.0};
		return 0;
	}
	e = axes(&c);
	for (i = 0; !e && i < 3; i++) {
		e = try_order(&c, orders[i], &t[i]);
		if (e == -EFBIG)
			e = 0;
		else if (!e && (best == 3 || t[i].bytes < t[best].bytes))
			best = i;
	}
	if (e || best == 3)
		return e;
	*fits = true;
	return store(w, f, &c, best, &t[best]);
}
