// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Many elements at once: lists, differences between them, expiry, walks; and plans by content. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "sets/inside.h"

int sets_order(const void *a, const void *b)
{
	const struct sets_elem *x = a, *y = b;

	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	return x->len < y->len ? -1 : x->len > y->len;
}

void sets_plan(struct sets_spec *spec, const struct sets_elem *elems, size_t n)
{
	uint64_t hi, lo, last_hi[32], last_lo[32], cells[32] = {0}, sum = 0;
	bool v6 = spec->family == 6, addrs = true;
	unsigned int level;
	size_t i;

	for (i = 0; i < n; i++) {
		addrs = addrs && elems[i].len == SETS_LONGEST(v6);
		if (elems[i].len <= CELLS_FIRST)
			continue;
		level = cells_level(elems[i].len) / 4 % 32;
		hi = elems[i].hi;
		lo = elems[i].lo;
		sets_mask(v6, level * 4, &hi, &lo);
		if (!cells[level] || hi != last_hi[level] || lo != last_lo[level])
			cells[level]++;
		last_hi[level] = hi;
		last_lo[level] = lo;
	}
	for (level = CELLS_FIRST / 4; level < 32; level++)
		sum += cells[level];
	spec->kind = addrs ? SET_ADDRS : SET_PREFIXES;
	spec->n = n;
	spec->cells = sum ? sum : 1;
	spec->root_bits = (uint8_t)sets_root_bits(spec);
	if (spec->root_bits == 20 && sum > cells[CELLS_FIRST / 4])
		spec->cells -= cells[CELLS_FIRST / 4]; /* the root has them */
}

int sets_build(struct sets *set, const struct sets_elem *elems, size_t n, struct sluice_err *err)
{
	size_t i;
	int e = 0;

	sets_begin(set);
	for (i = 0; i < n && !e; i++)
		e = sets_add(set, &elems[i], NULL, err);
	sets_end(set);
	return e;
}

struct walk {
	int (*each)(void *arg, const struct sets_elem *elem, const struct set_count *counts);
	void *arg;
	struct sets *set;
};

static int each_cell(void *arg, const struct sets_elem *e)
{
	struct walk *w = arg;

	return w->each(w->arg, e, NULL);
}

int sets_walk(struct sets *set,
	      int (*each)(void *arg, const struct sets_elem *elem, const struct set_count *counts), void *arg)
{
	struct table *tb = set->has_book ? &set->book : &set->front;
	struct walk w = {each, arg, set};
	struct table_key key;
	struct sets_elem e;
	uint64_t slot;
	int r = 0;

	if (set->prefixes && !set->has_book)
		return cells_walk(set, each_cell, &w);
	for (slot = table_next(tb, 0); slot != TABLE_NONE && !r; slot = table_next(tb, slot + 1)) {
		table_key_of(tb, slot, &key);
		e = (struct sets_elem){.hi = key.hi,
				       .lo = key.lo,
				       .len = (uint8_t)(set->has_book ? key.tag - 1 : SETS_LONGEST(set->v6))};
		if (table_info(tb, slot))
			e.expires = table_info(tb, slot)->expires;
		r = each(arg, &e, table_count(tb, slot));
	}
	return r;
}

static int additions(struct sets *set, const struct sets_elem *old, size_t n_old, const struct sets_elem *now,
		     size_t n_now, struct sets_change *done, struct sluice_err *err)
{
	size_t i, o = 0;
	bool added;
	int e, c;

	for (i = 0; i < n_now; i++) {
		for (c = 1; o < n_old && (c = sets_order(&old[o], &now[i])) < 0;)
			o++;
		if (o < n_old && !c && old[o].expires == now[i].expires) {
			done->kept++;
			continue;
		}
		e = sets_add(set, &now[i], &added, err);
		if (e)
			return e;
		if (added)
			done->added++;
		else
			done->kept++;
	}
	return 0;
}

static int removals(struct sets *set, const struct sets_elem *old, size_t n_old, const struct sets_elem *now,
		    size_t n_now, struct sets_change *done, struct sluice_err *err)
{
	size_t i, k = 0;
	int e, c;

	for (i = 0; i < n_old; i++) {
		for (c = 1; k < n_now && (c = sets_order(&now[k], &old[i])) < 0;)
			k++;
		if (k < n_now && !c)
			continue;
		e = sets_del(set, &old[i], err);
		if (e && e != -ENOENT)
			return e;
		done->removed += !e;
	}
	return 0;
}

int sets_apply(struct sets *set, const struct sets_elem *old, size_t n_old, const struct sets_elem *now,
	       size_t n_now, struct sets_change *done, struct sluice_err *err)
{
	int e;

	*done = (struct sets_change){0};
	e = additions(set, old, n_old, now, n_now, done, err);
	return e ? e : removals(set, old, n_old, now, n_now, done, err);
}

int sets_expire(struct sets *set, uint32_t now, uint64_t *n, struct sluice_err *err)
{
	struct table *tb = set->has_book ? &set->book : &set->front;
	const struct set_info *info;
	struct table_key key;
	struct sets_elem e;
	uint64_t slot;
	int r = 0;

	*n = 0;
	if (!(set->flags & SET_EXPIRES))
		return 0;
	for (slot = table_next(tb, 0); slot != TABLE_NONE && !r; slot = table_next(tb, slot + 1)) {
		info = table_info(tb, slot);
		if (!info->expires || info->expires > now)
			continue;
		table_key_of(tb, slot, &key);
		e = (struct sets_elem){.hi = key.hi,
				       .lo = key.lo,
				       .expires = info->expires,
				       .len = (uint8_t)(set->has_book ? key.tag - 1 : SETS_LONGEST(set->v6))};
		r = sets_del(set, &e, err);
		*n += !r;
	}
	return r;
}

void sets_stats(const struct sets *set, struct sets_stats *s)
{
	const struct set_head *head = set->head;
	uint64_t slot;

	*s = (struct sets_stats){.family = set->v6 ? 6 : 4,
				 .kind = set->prefixes ? SET_PREFIXES : SET_ADDRS,
				 .flags = set->flags,
				 .n = head->n,
				 .spilled = head->n_spilled,
				 .freed = head->n_freed,
				 .slots = set->front.n_main / SET_LANES * SET_FLAGS_LANE,
				 .bytes = head->lines * SET_LINE};
	for (slot = table_next(&set->front, 0); slot != TABLE_NONE; slot = table_next(&set->front, slot + 1))
		s->cells++;
	s->read = sizeof(*head) + ((uint64_t)1 << (set->front.t.bits + set->front.t.bucket_shift));
	if (set->front.t.summary)
		s->read += (uint64_t)8 << set->front.t.bits;
	if (set->prefixes)
		s->read += ((uint64_t)4 << set->root_bits) +
			   (set->blocks ? (set->v6 ? 2u << 20 : 1u << 22) / 8 : 0) +
			   (set->v6 ? (uint64_t)4 << (64 - set->deep_shift) : 0);
}
