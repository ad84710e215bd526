// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sets of small numbers as rows of bits, each kept once. */
#include <errno.h>
#include <string.h>

#include "classify/sets.h"

uint64_t sets_hash(const uint64_t *v, size_t n)
{
	uint64_t h = n;
	size_t i;

	for (i = 0; i < n; i++) {
		h = (h ^ v[i]) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	return h * 0xd6e8feb86659fd93ull;
}

int sets_init(struct sets *s, struct work *w, uint32_t words)
{
	*s = (struct sets){.w = w, .words = words, .cap = 64, .size = 256};
	s->bits = work_array(w, (size_t)s->cap * words, 8);
	s->table = work_array(w, s->size, 4);
	return s->bits && s->table ? 0 : -ENOMEM;
}

static int sets_grow(struct sets *s)
{
	uint64_t *bits = work_array(s->w, (size_t)s->cap * 2 * s->words, 8);
	uint32_t *table = work_array(s->w, (size_t)s->size * 2, 4), i, at;

	if (!bits || !table)
		return -ENOMEM;
	memcpy(bits, s->bits, (size_t)s->n * s->words * 8);
	work_drop(s->w, s->bits);
	work_drop(s->w, s->table);
	s->bits = bits;
	s->table = table;
	s->cap *= 2;
	s->size *= 2;
	for (i = 0; i < s->n; i++) {
		at = (uint32_t)(sets_hash(bits + (size_t)i * s->words, s->words) >> 32) & (s->size - 1);
		while (table[at])
			at = (at + 1) & (s->size - 1);
		table[at] = i + 1;
	}
	return 0;
}

int64_t sets_put(struct sets *s, const uint64_t *set)
{
	uint32_t at;

	if (s->n == s->cap && sets_grow(s))
		return -ENOMEM;
	at = (uint32_t)(sets_hash(set, s->words) >> 32) & (s->size - 1);
	for (; s->table[at]; at = (at + 1) & (s->size - 1))
		if (!memcmp(s->bits + (size_t)(s->table[at] - 1) * s->words, set, (size_t)s->words * 8))
			return s->table[at] - 1;
	memcpy(s->bits + (size_t)s->n * s->words, set, (size_t)s->words * 8);
	s->table[at] = ++s->n;
	return s->n - 1;
}
