/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sets of small numbers as rows of bits, each kept once and numbered as it turns up. Memory is the
 * compilation's. */
#ifndef CLASSIFY_SETS_H
#define CLASSIFY_SETS_H

#include "classify/work.h"

struct sets {
	struct work *w;
	uint32_t words, n, cap, size;
	uint64_t *bits;	 /* n sets */
	uint32_t *table; /* number + 1 */
};

int sets_init(struct sets *s, struct work *w, uint32_t words);
/* sets_put(): the number of a set, new or known; negative when memory is short. */
int64_t sets_put(struct sets *s, const uint64_t *set);
uint64_t sets_hash(const uint64_t *v, size_t n);

static inline const uint64_t *sets_at(const struct sets *s, uint32_t i)
{
	return s->bits + (size_t)i * s->words;
}

#endif
