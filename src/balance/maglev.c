// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Maglev hashing with weights; the paper's loop, with a bitmap, and a search the other way round for its end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/maglev.h"
#include "base/err.h"

/*
 * So many slots are given out by distance instead of by probing: the last f free slots cost a probing backend
 * n_slots / f steps a turn, a search through the free ones f. Measured with 65,537 slots: 64 to 256 are the
 * same within noise, 1 costs a quarter more.
 */
#define TAIL 128u
#define DIGIT_BITS 11
#define NUMBER_BITS 12 /* of a backend, below the time in a turn */

_Static_assert(MAGLEV_BACKENDS < 1u << NUMBER_BITS, "backends are numbered in a turn");
_Static_assert(MAGLEV_SLOTS_MAX < 1u << 20, "a turn's time has 32 + 20 bits");

struct taker {
	uint32_t number; /* in the caller's list */
	uint32_t at;	 /* the slot to try next */
	uint32_t skip;
	uint32_t inverse; /* of skip, modulo the number of slots; 0: not computed yet */
	uint32_t weight;
};

struct work {
	uint32_t n_slots;
	size_t n; /* takers */
	struct taker *taker;
	const struct maglev_backend **sorted;
	uint64_t *turns, *spare;
	uint64_t *taken; /* bitmap */
	uint16_t *order; /* whose turn it is */
	uint16_t *out;
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void maglev_permutation(const struct maglev_backend *b, uint32_t n_slots, uint32_t *offset, uint32_t *skip)
{
	const uint64_t golden = 0x9e3779b97f4a7c15u;
	uint64_t hi, lo, h;

	net_addr_words(&b->addr, &hi, &lo);
	h = mix(golden + hi);
	h = mix(h + golden + lo);
	h = mix(h + golden + (uint64_t)b->port * 2 + b->addr.v6);
	*offset = (uint32_t)(mix(h + golden) % n_slots);
	*skip = (uint32_t)(mix(h + 2 * golden) % (n_slots - 1)) + 1;
}

int maglev_compare(const struct maglev_backend *a, const struct maglev_backend *b)
{
	int order = a->addr.v6 - b->addr.v6;

	if (!order)
		order = memcmp(a->addr.bytes, b->addr.bytes, sizeof(a->addr.bytes));
	if (!order)
		order = a->port - b->port;
	return order;
}

static int compare_pointers(const void *a, const void *b)
{
	return maglev_compare(*(const struct maglev_backend *const *)a,
			      *(const struct maglev_backend *const *)b);
}

static bool is_prime(uint64_t n)
{
	uint64_t d;

	if (n < 4 || n % 2 == 0)
		return n == 2 || n == 3;
	for (d = 3; d * d <= n; d += 2)
		if (n % d == 0)
			return false;
	return true;
}

int maglev_check_slots(uint64_t n_slots, struct sluice_err *err)
{
	uint64_t below = n_slots, above = n_slots;

	if (n_slots < MAGLEV_SLOTS_MIN || n_slots > MAGLEV_SLOTS_MAX)
		return err_set(err, -EINVAL, "a table of %llu slots; it can have %u to %u",
			       (unsigned long long)n_slots, MAGLEV_SLOTS_MIN, MAGLEV_SLOTS_MAX);
	if (is_prime(n_slots))
		return 0;
	while (!is_prime(below))
		below--;
	while (!is_prime(above))
		above++;
	return err_set(err, -EINVAL, "a table of %llu slots; it must be a prime, such as %llu or %llu",
		       (unsigned long long)n_slots, (unsigned long long)below, (unsigned long long)above);
}

static int name(const struct maglev_backend *b, int code, const char *what, struct sluice_err *err)
{
	char text[NET_ADDR_TEXT];

	net_addr_format(&b->addr, text, sizeof(text));
	if (b->port)
		return err_set(err, code, "backend %s port %u %s", text, b->port, what);
	return err_set(err, code, "backend %s %s", text, what);
}

/* Sorts all, finds what cannot be, keeps those with a weight. */
static int prepare(struct work *w, const struct maglev_backend *b, size_t n, struct sluice_err *err)
{
	size_t i;

	for (i = 0; i < n; i++) {
		w->sorted[i] = &b[i];
		if (b[i].weight > MAGLEV_WEIGHT_MAX)
			return name(&b[i], -EINVAL, "has a weight above 65535", err);
	}
	qsort(w->sorted, n, sizeof(*w->sorted), compare_pointers);
	for (i = 0; i + 1 < n; i++)
		if (!maglev_compare(w->sorted[i], w->sorted[i + 1]))
			return name(w->sorted[i], -EINVAL, "is there twice", err);
	for (i = 0; i < n; i++) {
		struct taker *t = &w->taker[w->n];

		if (!w->sorted[i]->weight)
			continue;
		*t = (struct taker){.number = (uint32_t)(w->sorted[i] - b), .weight = w->sorted[i]->weight};
		maglev_permutation(w->sorted[i], w->n_slots, &t->at, &t->skip);
		w->n++;
	}
	return 0;
}

/* Least significant digit first; the numbers in the low bits are in order already. */
static void sort_turns(struct work *w, size_t n, uint64_t last)
{
	uint64_t *from = w->turns, *to = w->spare, *swap;
	uint32_t count[(1 << DIGIT_BITS) + 1], shift;
	size_t i;

	for (shift = NUMBER_BITS; shift < 64 && last >> shift; shift += DIGIT_BITS) {
		memset(count, 0, sizeof(count));
		for (i = 0; i < n; i++)
			count[(from[i] >> shift & ((1 << DIGIT_BITS) - 1)) + 1]++;
		for (i = 0; i < 1 << DIGIT_BITS; i++)
			count[i + 1] += count[i];
		for (i = 0; i < n; i++)
			to[count[from[i] >> shift & ((1 << DIGIT_BITS) - 1)]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	w->turns = from;
	w->spare = to;
}

/*
 * Turns before time n_slots / sum of weights are at least n_slots and at most n more. Times are held in 2^-32,
 * rounded down: two different ones differ by at least 1 / (weight * weight), so that they stay different.
 */
static void order_turns(struct work *w)
{
	uint64_t sum = 0, last = 0, k;
	size_t i, n = 0;
	bool equal = true;

	for (i = 0; i < w->n; i++) {
		sum += w->taker[i].weight;
		equal &= w->taker[i].weight == w->taker[0].weight;
	}
	if (equal) {
		size_t turn = 0;

		for (i = 0; i < w->n_slots; i++) {
			w->order[i] = (uint16_t)turn;
			turn = turn + 1 == w->n ? 0 : turn + 1;
		}
		return;
	}
	for (i = 0; i < w->n; i++)
		for (k = 0; k * sum < (uint64_t)w->n_slots * w->taker[i].weight; k++) {
			uint64_t turn = (k << 32) / w->taker[i].weight << NUMBER_BITS | i;

			w->turns[n++] = turn;
			last = turn > last ? turn : last;
		}
	sort_turns(w, n, last);
	for (i = 0; i < w->n_slots; i++)
		w->order[i] = (uint16_t)(w->turns[i] & ((1 << NUMBER_BITS) - 1));
}

static uint32_t inverse(uint32_t skip, uint32_t n_slots)
{
	int64_t r0 = n_slots, r1 = skip, t0 = 0, t1 = 1, q, swap;

	while (r1 != 1) { /* n_slots is a prime: the greatest common divisor is 1 */
		q = r0 / r1;
		swap = r0 - q * r1;
		r0 = r1;
		r1 = swap;
		swap = t0 - q * t1;
		t0 = t1;
		t1 = swap;
	}
	return (uint32_t)(t1 < 0 ? t1 + n_slots : t1);
}

/* The end: which of the few free slots comes first in the taker's permutation? */
static void fill_tail(struct work *w, uint32_t turn)
{
	uint32_t free_slots[TAIL], n_free = 0, slot, i, best, nearest, far;

	for (slot = 0; slot < w->n_slots; slot++)
		if (!(w->taken[slot / 64] >> slot % 64 & 1))
			free_slots[n_free++] = slot;
	for (; turn < w->n_slots; turn++) {
		struct taker *t = &w->taker[w->order[turn]];

		if (!t->inverse)
			t->inverse = inverse(t->skip, w->n_slots);
		for (i = 0, best = 0, nearest = UINT32_MAX; i < n_free; i++) {
			slot = free_slots[i] + (free_slots[i] < t->at ? w->n_slots : 0) - t->at;
			far = (uint32_t)((uint64_t)slot * t->inverse % w->n_slots);
			if (far < nearest) {
				nearest = far;
				best = i;
			}
		}
		t->at = free_slots[best];
		w->out[t->at] = (uint16_t)t->number;
		free_slots[best] = free_slots[--n_free];
	}
}

static void fill(struct work *w)
{
	uint32_t n_slots = w->n_slots, turn, at;

	for (turn = 0; turn + TAIL < n_slots; turn++) {
		struct taker *t = &w->taker[w->order[turn]];

		at = t->at;
		while (w->taken[at / 64] >> at % 64 & 1) {
			at += t->skip;
			at -= at >= n_slots ? n_slots : 0;
		}
		w->taken[at / 64] |= UINT64_C(1) << at % 64;
		w->out[at] = (uint16_t)t->number;
		t->at = at;
	}
	fill_tail(w, turn);
}

int maglev_build(const struct maglev_backend *b, size_t n, uint32_t n_slots, uint16_t *table,
		 struct sluice_err *err)
{
	struct work w = {.n_slots = n_slots, .out = table};
	int e = maglev_check_slots(n_slots, err);

	if (e)
		return e;
	if (n > MAGLEV_BACKENDS || n > n_slots)
		return err_set(err, -ENOSPC, "%zu backends; a table of %u slots can have %u", n, n_slots,
			       n_slots < MAGLEV_BACKENDS ? n_slots : MAGLEV_BACKENDS);
	w.sorted = calloc(n + 1, sizeof(*w.sorted));
	w.taker = calloc(n + 1, sizeof(*w.taker));
	w.turns = calloc(n_slots + n, sizeof(*w.turns));
	w.spare = calloc(n_slots + n, sizeof(*w.spare));
	w.taken = calloc(n_slots / 64 + 1, sizeof(*w.taken));
	w.order = calloc(n_slots, sizeof(*w.order));
	if (!w.sorted || !w.taker || !w.turns || !w.spare || !w.taken || !w.order)
		e = err_nomem(err);
	else
		e = prepare(&w, b, n, err);
	if (!e && w.n) {
		order_turns(&w);
		fill(&w);
	} else if (!e) {
		memset(table, 0xff, n_slots * sizeof(*table));
	}
	free(w.order);
	free(w.taken);
	free(w.spare);
	free(w.turns);
	free(w.taker);
	free(w.sorted);
	return e;
}

static bool same(const struct maglev_memory *m, const struct maglev_backend *b, size_t n, uint32_t n_slots)
{
	size_t i;

	if (!m->table || m->n != n || m->n_slots != n_slots)
		return false;
	for (i = 0; i < n; i++)
		if (m->backends[i].weight != b[i].weight || maglev_compare(&m->backends[i], &b[i]))
			return false;
	return true;
}

/* The table of sorted backends without those of weight 0; takes b over. */
static struct maglev_memory *recall(struct maglev_memo *memo, struct maglev_backend *b, size_t n,
				    uint32_t n_slots, struct sluice_err *err)
{
	struct maglev_memory *m, *oldest = memo->memory;
	uint16_t *table;

	for (m = memo->memory; m < memo->memory + MAGLEV_MEMO; m++) {
		if (same(m, b, n, n_slots)) {
			memo->hits++;
			free(b);
			return m;
		}
		if (m->used < oldest->used)
			oldest = m;
	}
	table = calloc(n_slots, sizeof(*table));
	if (!table || maglev_build(b, n, n_slots, table, err)) {
		if (!table)
			err_nomem(err);
		free(table);
		free(b);
		return NULL;
	}
	memo->misses++;
	free(oldest->table);
	free(oldest->backends);
	*oldest = (struct maglev_memory){.backends = b, .n = n, .n_slots = n_slots, .table = table};
	return oldest;
}

struct numbered {
	struct maglev_backend b;
	uint16_t number;
};

static int compare_numbered(const void *a, const void *b)
{
	return maglev_compare(&((const struct numbered *)a)->b, &((const struct numbered *)b)->b);
}

int maglev_memo_build(struct maglev_memo *memo, const struct maglev_backend *b, size_t n, uint32_t n_slots,
		      uint16_t *table, struct sluice_err *err)
{
	struct sluice_err own = {0};
	struct maglev_backend *sorted;
	struct maglev_memory *m;
	struct numbered *all;
	size_t i, n_sorted = 0;
	int e = maglev_check_slots(n_slots, err);

	if (e)
		return e;
	if (n > MAGLEV_BACKENDS) /* maglev_build() has the sentence */
		return maglev_build(b, n, n_slots, table, err);
	all = calloc(n + 1, sizeof(*all));
	sorted = calloc(n + 1, sizeof(*sorted));
	if (!all || !sorted) {
		free(all);
		free(sorted);
		return err_nomem(err);
	}
	for (i = 0; i < n; i++)
		all[i] = (struct numbered){b[i], (uint16_t)i};
	qsort(all, n, sizeof(*all), compare_numbered);
	for (i = 0; i < n; i++) {
		if (i && !maglev_compare(&all[i - 1].b, &all[i].b)) {
			e = name(&all[i].b, -EINVAL, "is there twice", err);
			free(all);
			free(sorted);
			return e;
		}
		if (all[i].b.weight) {
			sorted[n_sorted] = all[i].b;
			all[n_sorted++].number = all[i].number;
		}
	}
	m = recall(memo, sorted, n_sorted, n_slots, &own);
	if (m) {
		m->used = ++memo->now;
		for (i = 0; i < n_slots; i++)
			table[i] = m->table[i] == MAGLEV_NONE ? MAGLEV_NONE : all[m->table[i]].number;
	} else {
		e = err_set(err, own.code, "%s", own.text);
	}
	free(all);
	return e;
}

void maglev_memo_free(struct maglev_memo *memo)
{
	size_t i;

	for (i = 0; i < MAGLEV_MEMO; i++) {
		free(memo->memory[i].table);
		free(memo->memory[i].backends);
	}
	*memo = (struct maglev_memo){0};
}
