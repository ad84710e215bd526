// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The split: a rule's two prefixes are narrow or wide, and rules go by that into four tables. Narrow and
 * narrow: one list for each pair of classes that some rule covers, in a hash table with two buckets for a
 * key. Narrow and wide, either way round: a list by narrow class. Wide and wide: a row for each cell. Lists
 * hold what their class inherits from the prefixes around it, so that a packet needs one of each kind. They
 * are cut where nothing is left to decide.
 *
 * Where prefixes overlap so much that pairs would be too many, those in the middle are kept apart from the
 * narrow ones inside them: a packet then asks for its narrow and its middle class, four pairs and four lists.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "classify/work.h"

#define MAX_UPPER (1u << CLASSIFY_UPPER_BITS)
#define MAX_CELLS (64u << 10) /* of wide pairs */
#define MAX_COVER (6u << 20)  /* class pairs and rules that meet: 0.5 s to sort */
#define PAIR_KICKS 500
#define CACHE_BITS 17 /* words: twice as many miss the caches of CPUs more often */

struct split {
	struct work *w;
	struct family *f;
	struct rows rows;
	struct classify_split to;
	uint32_t *entries; /* a list as it is put together */
	struct classify_wide_entry *wide_entries;
};

static enum side_level level(const struct split *s, int side, uint32_t rule)
{
	const struct side *x = &s->f->side[side];

	return x->level[x->of_rule[rule]];
}

/* Neither of its prefixes is wide; or the other side's only. */
static bool paired(const struct split *s, uint32_t rule)
{
	return level(s, 0, rule) != SIDE_WIDE && level(s, 1, rule) != SIDE_WIDE;
}

static bool one_sided(const struct split *s, int side, uint32_t rule)
{
	return level(s, side, rule) != SIDE_WIDE && level(s, !side, rule) == SIDE_WIDE;
}

static uint32_t entry_of(const struct split *s, uint32_t rule)
{
	return CLASSIFY_ENTRY(s->f->services.of_rule[rule], rule);
}

/* In how many classes' lists of one side a rule stands. */
static uint64_t alike(const struct split *s, int side, uint32_t rule)
{
	const struct side *x = &s->f->side[side];

	return level(s, side, rule) == SIDE_WIDE ? 1 : side_alike(x, x->of_rule[rule]);
}

/* How many entries the lists would have before they are cut; UINT64_MAX if there are too many wide or middle
 * prefixes. */
static uint64_t cover(struct split *s, uint32_t narrow_below, uint32_t max_below)
{
	const struct side *a = &s->f->side[0], *b = &s->f->side[1];
	uint64_t n = 0;
	uint32_t i;

	side_widen(&s->f->side[0], narrow_below, max_below);
	side_widen(&s->f->side[1], narrow_below, max_below);
	if (a->n_upper > MAX_UPPER || b->n_upper > MAX_UPPER || (uint64_t)a->n_wide * b->n_wide > MAX_CELLS)
		return UINT64_MAX;
	for (i = 0; i < s->f->n; i++)
		n += alike(s, 0, i) * alike(s, 1, i);
	return n;
}

/*
 * Which prefixes are wide: as few as keep the lists' entries within a multiple of the rules. If that cannot
 * be, the best of all choices with middle prefixes.
 */
static int widen(struct split *s)
{
	static const uint32_t tries[] = {4096, 1024, 256, 128, 64, 32, 16, 8, 4, 2, 1};
	const uint32_t n_tries = sizeof(tries) / sizeof(*tries), given = s->w->opts->max_below;
	uint64_t n, best = UINT64_MAX, enough = 4ull * s->f->n + 20000;
	uint32_t i, k, narrow = given / 4 + 1, max = given;

	if (given)
		best = cover(s, narrow, max);
	for (i = 0; !given && i < n_tries && best > enough; i++) {
		n = cover(s, tries[i], tries[i]);
		if (n < best) {
			best = n;
			narrow = max = tries[i];
		}
	}
	for (i = 0; !given && best > enough && i < n_tries; i++)
		for (k = i + 1; k < n_tries; k++) {
			n = cover(s, tries[k], tries[i]);
			if (n < best) {
				best = n;
				narrow = tries[k];
				max = tries[i];
			}
		}
	if (best > MAX_COVER)
		return err_set(s->w->err, -ENOSPC,
			       "the rules would not fit: their prefixes overlap in %llu places, at most %u "
			       "can be",
			       (unsigned long long)best, MAX_COVER);
	cover(s, narrow, max);
	s->f->report->narrow_below = narrow;
	s->f->report->max_below = max;
	return 0;
}

/* What is around a class, where there are middle prefixes. */
static int put_upper(struct split *s)
{
	struct classify_upper *to;
	const struct side *x;
	uint32_t side, i, at;

	if (s->f->side[0].n_upper == s->f->side[0].n_wide && s->f->side[1].n_upper == s->f->side[1].n_wide)
		return 0;
	for (side = 0; side < 2; side++) {
		x = &s->f->side[side];
		at = work_table(s->w, x->n_upper, sizeof(*to));
		if (!at)
			return -ENOSPC;
		to = WORK_AT(s->w, struct classify_upper, at);
		for (i = 0; i < x->n; i++)
			if (x->level[i] != SIDE_NARROW)
				to[x->upper[i]] = (struct classify_upper){i, x->wide[i]};
		s->to.upper[side] = at;
	}
	return 0;
}

/* A bit for each specification that a service class has; 32 bits at a time are read. */
static int put_match(struct split *s)
{
	const struct services *v = &s->f->services;
	uint32_t i;

	s->to.match_bytes = v->spec_words * 8;
	s->to.match = work_table(s->w, v->n_classes, s->to.match_bytes);
	if (!s->to.match)
		return -ENOSPC;
	for (i = 0; i < v->n_classes; i++)
		memcpy(s->w->image.data + s->to.match + (size_t)i * s->to.match_bytes,
		       v->match + (size_t)i * v->spec_words, s->to.match_bytes);
	return 0;
}

/* Cuts a list (ascending by rule) to the entries that can be a first match. */
static uint32_t cut(struct split *s, uint32_t *entries, uint32_t n)
{
	uint32_t i, m = 0;
	bool open = true;

	rows_left(&s->rows);
	for (i = 0; i < n && open; i++)
		if (rows_claim(&s->rows, entries[i], &open))
			entries[m++] = entries[i];
	return m;
}

/* A list with its end, or a row if it is too long. 0 with err set on failure. */
static uint32_t put_list(struct split *s, const uint32_t *entries, uint32_t n)
{
	uint32_t at;

	if (n > CLASSIFY_LIST_MAX) {
		at = rows_put(&s->rows, entries, n);
		return at ? at + CLASSIFY_REF_ROW : 0;
	}
	at = work_table(s->w, n + 1, 4);
	if (!at)
		return 0;
	memcpy(s->w->image.data + at, entries, (size_t)n * 4);
	WORK_AT(s->w, uint32_t, at)[n] = CLASSIFY_ENTRY(0, CLASSIFY_NONE);
	return at;
}

static struct classify_pair *bucket(struct classify_pair *table, uint32_t n, uint64_t key, uint32_t which)
{
	uint64_t hash = key * CLASSIFY_MIX;

	hash = which ? hash * CLASSIFY_MIX : hash;
	return table + 2 * ((hash >> 32) * n >> 32);
}

/* Puts a pair into one of its buckets, moving others on. False if that goes on for too long. */
static bool place(struct classify_pair *table, uint32_t n, struct classify_pair pair)
{
	struct classify_pair other, *b;
	uint64_t walk = pair.key;
	uint32_t i, k;

	for (i = 0; i < PAIR_KICKS; i++) {
		for (k = 0; k < 4; k++) {
			b = bucket(table, n, pair.key, k >> 1) + (k & 1);
			if (!b->key) {
				*b = pair;
				return true;
			}
		}
		walk = walk * 6364136223846793005ull + 1442695040888963407ull;
		b = bucket(table, n, pair.key, walk >> 63) + (walk >> 62 & 1);
		other = *b;
		*b = pair;
		pair = other;
	}
	return false;
}

static int put_pairs(struct split *s, const struct classify_pair *pairs, uint32_t n)
{
	uint32_t buckets = n / 2 + n / 8 + 1, i; /* 80 % full: two choices of two fill to 89 % */
	struct classify_pair *table;

	for (;; buckets += buckets / 8 + 1) {
		table = work_array(s->w, 2 * (size_t)buckets, sizeof(*table));
		if (!table)
			return -ENOMEM;
		for (i = 0; i < n && place(table, buckets, pairs[i]); i++)
			;
		if (i == n)
			break;
		work_drop(s->w, table);
	}
	s->to.n_buckets = buckets;
	s->to.pairs = work_lines(s->w, table, 2 * (size_t)buckets * sizeof(*table));
	if (!s->to.pairs)
		return -ENOSPC;
	work_drop(s->w, table);
	s->f->report->n_pairs = n;
	return 0;
}

/* Every pair of classes inside a rule's two prefixes and of their levels, with the rule: sorted by pair, then
 * rule. */
static int meet(struct split *s, uint64_t **to, size_t *n_to)
{
	const struct side *a = &s->f->side[0], *b = &s->f->side[1];
	uint32_t i, x, y, p, q;
	uint64_t *v;
	size_t n = 0;

	for (i = 0; i < s->f->n; i++)
		if (paired(s, i))
			n += alike(s, 0, i) * alike(s, 1, i);
	*to = v = work_array(s->w, n, 8);
	*n_to = n;
	if (!v)
		return -ENOMEM;
	for (i = 0, n = 0; i < s->f->n; i++) {
		if (!paired(s, i))
			continue;
		p = a->of_rule[i];
		q = b->of_rule[i];
		for (x = p; x <= a->last[p]; x++)
			for (y = q; a->level[x] == a->level[p] && y <= b->last[q]; y++)
				if (b->level[y] == b->level[q])
					v[n++] = ((uint64_t)y << CLASSIFY_CLASS_BITS | x)
							 << CLASSIFY_RULE_BITS |
						 i;
	}
	return work_sort(s->w, v, n);
}

static int build_pairs(struct split *s)
{
	struct classify_pair *pairs;
	uint64_t *v, key;
	uint32_t m = 0, len, k;
	size_t n, i;
	int e = meet(s, &v, &n);

	pairs = e ? NULL : work_array(s->w, n + 1, sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	for (i = 0; i < n; m++) {
		key = v[i] >> CLASSIFY_RULE_BITS;
		for (len = 0; i < n && v[i] >> CLASSIFY_RULE_BITS == key; i++)
			s->entries[len++] = entry_of(s, v[i] & CLASSIFY_NONE);
		len = cut(s, s->entries, len);
		pairs[m].key = key + 1;
		pairs[m].first = s->entries[0];
		k = len > 1 ? put_list(s, s->entries + 1, len - 1) : 0;
		if (len > 1 && !k)
			return -ENOSPC;
		pairs[m].rest = k;
	}
	e = put_pairs(s, pairs, m);
	work_drop(s->w, pairs);
	work_drop(s->w, v);
	return e;
}

/* A side's list that is too long: a row for each wide class of the other side. */
static uint32_t put_wide_rows(struct split *s, const struct side *other,
			      const struct classify_wide_entry *list, uint32_t n)
{
	uint32_t at = work_table(s->w, other->n_wide, 4), wide, i, m, row;

	for (wide = 0; at && wide < other->n_wide; wide++) {
		for (i = 0, m = 0; i < n; i++)
			if (list[i].low <= wide && wide <= list[i].high)
				s->entries[m++] = list[i].entry;
		row = rows_put(&s->rows, s->entries, m);
		if (!row)
			return 0;
		WORK_AT(s->w, uint32_t, at)[wide] = row;
	}
	return at ? at + CLASSIFY_REF_ROW : 0;
}

static uint32_t put_wide_list(struct split *s, const struct side *other,
			      const struct classify_wide_entry *list, uint32_t n)
{
	uint32_t at;

	if (n > CLASSIFY_LIST_MAX)
		return put_wide_rows(s, other, list, n);
	at = work_table(s->w, n + 1, sizeof(*list));
	if (!at)
		return 0;
	memcpy(s->w->image.data + at, list, n * sizeof(*list));
	WORK_AT(s->w, struct classify_wide_entry, at)[n].entry = CLASSIFY_ENTRY(0, CLASSIFY_NONE);
	return at;
}

/* Rules narrow on this side and wide on the other, by every class inside the narrow prefix. */
static int build_side(struct split *s, int which)
{
	const struct side *a = &s->f->side[which], *b = &s->f->side[!which];
	uint32_t i, c, k, len, at, wide, ref;
	struct classify_wide_entry *e;
	struct classify_side *to;
	size_t n = 0, j;
	uint64_t *v;

	for (i = 0; i < s->f->n; i++)
		if (one_sided(s, which, i))
			n += alike(s, which, i);
	if (!n)
		return 0;
	v = work_array(s->w, n, 8);
	at = v ? work_table(s->w, a->n, sizeof(*to)) : 0;
	if (!at)
		return v ? -ENOSPC : -ENOMEM;
	for (i = 0, n = 0; i < s->f->n; i++)
		for (k = a->of_rule[i], c = k; one_sided(s, which, i) && c <= a->last[k]; c++)
			if (a->level[c] == a->level[k])
				v[n++] = (uint64_t)c << CLASSIFY_RULE_BITS | i;
	if (work_sort(s->w, v, n))
		return -ENOMEM;
	for (c = 0; c < a->n; c++)
		WORK_AT(s->w, struct classify_side, at)[c].first_rule = CLASSIFY_NONE;
	for (j = 0; j < n;) {
		c = (uint32_t)(v[j] >> CLASSIFY_RULE_BITS);
		for (len = 0; j < n && v[j] >> CLASSIFY_RULE_BITS == c; j++) {
			e = &s->wide_entries[len];
			if (len && !(e[-1].entry >> CLASSIFY_RULE_BITS) && !e[-1].low &&
			    e[-1].high == b->n_wide - 1)
				continue; /* the one before takes all */
			k = (uint32_t)(v[j] & CLASSIFY_NONE);
			wide = b->wide[b->of_rule[k]];
			e->entry = entry_of(s, k);
			e->low = (uint16_t)wide;
			e->high = (uint16_t)b->wide_last[wide];
			len++;
		}
		ref = put_wide_list(s, b, s->wide_entries, len);
		if (!ref)
			return -ENOSPC;
		to = WORK_AT(s->w, struct classify_side, at) + c;
		to->first_rule = s->wide_entries[0].entry & CLASSIFY_NONE;
		to->ref = ref;
	}
	s->to.side[which] = at;
	work_drop(s->w, v);
	return 0;
}

/* Of n rules those whose wide prefix of one side holds a wide class. */
static uint32_t around(const struct side *x, uint32_t wide, const uint32_t *rules, uint32_t n, uint32_t *to)
{
	uint32_t i, m = 0, w;

	for (i = 0; i < n; i++) {
		w = x->wide[x->of_rule[rules[i]]];
		if (wide >= w && wide <= x->wide_last[w])
			to[m++] = rules[i];
	}
	return m;
}

/* Both wide: a row for each cell. */
static int build_wides(struct split *s)
{
	const struct side *a = &s->f->side[0], *b = &s->f->side[1];
	uint32_t *rules = work_array(s->w, s->f->n, 4), *some = work_array(s->w, s->f->n, 4);
	uint32_t *list = work_array(s->w, s->f->n, 4), n = 0, i, x, y, m, k, row, at;
	struct classify_side *to;

	if (!rules || !some || !list)
		return -ENOMEM;
	for (i = 0; i < s->f->n; i++)
		if (level(s, 0, i) == SIDE_WIDE && level(s, 1, i) == SIDE_WIDE)
			rules[n++] = i;
	if (!n)
		return 0;
	s->to.n_wide = b->n_wide;
	at = work_table(s->w, (size_t)a->n_wide * b->n_wide, sizeof(*to));
	if (!at)
		return -ENOSPC;
	for (x = 0; x < a->n_wide; x++) {
		m = around(a, x, rules, n, some);
		for (y = 0; y < b->n_wide; y++) {
			k = around(b, y, some, m, list);
			for (i = 0; i < k; i++)
				s->entries[i] = entry_of(s, list[i]);
			row = k ? rows_put(&s->rows, s->entries, k) : at;
			if (!row)
				return -ENOSPC;
			to = WORK_AT(s->w, struct classify_side, at) + (size_t)x * b->n_wide + y;
			to->first_rule = k ? list[0] : CLASSIFY_NONE;
			to->ref = row;
		}
	}
	s->to.wides = at;
	work_drop(s->w, rules);
	work_drop(s->w, some);
	work_drop(s->w, list);
	return 0;
}

static uint32_t bits_for(uint32_t n)
{
	return n < 2 ? 1 : 32 - (uint32_t)__builtin_clz(n - 1);
}

/* The class cache, if the classes' numbers fit into a word with the rule's. */
static int build_cache(struct split *s)
{
	uint32_t dst = bits_for(s->f->side[0].n), service = dst + bits_for(s->f->side[1].n);

	if (s->w->opts->cache < 0 ||
	    service + bits_for(s->f->services.n_classes + 1) > 64 - CLASSIFY_RULE_BITS)
		return 0;
	s->to.cache_dst = dst;
	s->to.cache_service = service;
	s->to.cache_shift = 64 - CACHE_BITS;
	s->to.cache = work_lines(s->w, NULL, 8 << CACHE_BITS);
	s->f->report->cache_bytes = 8 << CACHE_BITS;
	return s->to.cache ? 0 : -ENOSPC;
}

int split_build(struct work *w, struct family *f)
{
	struct split s = {.w = w, .f = f};
	size_t before;
	int e = rows_init(&s.rows, w, &f->services, f->n);

	s.entries = work_array(w, (size_t)f->n + 1, 4);
	s.wide_entries = work_array(w, (size_t)f->n + 1, sizeof(*s.wide_entries));
	if (e || !s.entries || !s.wide_entries)
		return -ENOMEM;
	/* a record has no room for larger numbers */
	if (f->side[0].n > CLASSIFY_CLASS_MASK || f->side[1].n > CLASSIFY_CLASS_MASK)
		return err_set(w->err, -ENOSPC, "more than %u different prefixes", CLASSIFY_CLASS_MASK);
	before = w->image.len;
	e = put_match(&s);
	if (!e)
		e = put_upper(&s);
	if (!e)
		e = build_pairs(&s);
	if (!e)
		e = build_side(&s, 0);
	if (!e)
		e = build_side(&s, 1);
	if (!e)
		e = build_wides(&s);
	f->report->rule_bytes = w->image.len - before;
	f->report->n_rows = s.rows.n;
	if (!e)
		e = build_cache(&s);
	if (e)
		return e;
	family_part(w, f)->split = s.to;
	family_part(w, f)->structure = CLASSIFY_SPLIT;
	f->report->structure = CLASSIFY_SPLIT;
	return 0;
}

int split_widen(struct work *w, struct family *f)
{
	struct split s = {.w = w, .f = f};

	return widen(&s);
}
