/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of this room share of a set. */
#ifndef SETS_INSIDE_H
#define SETS_INSIDE_H

#include "sets/set.h"
#include "sets/table.h"

struct sets {
	uint8_t *mem;
	size_t bytes;
	struct set_head *head;
	struct table front, book;
	bool has_book, prefixes, v6;
	uint32_t flags;
	uint32_t *root, *deep; /* prefixes */
	uint32_t deep_shift, root_bits;
	uint32_t most_short; /* elements up to this length are bits beside the root, not cells */
	uint64_t *shorts;    /* prefixes */
	uint32_t *blocks;    /* in front of a large root, else NULL */
	uint32_t *named;     /* of a fine root, else NULL */
	unsigned int depth;  /* of changes begun */
	int (*grace)(void *arg);
	void *grace_arg;
};

/* How many bits of an address choose its root entry, 16 or 20. */
#define SETS_LARGE 200000 /* cells from which 4 MB of root are less than what they spare: doc/sets.md */
static inline uint32_t sets_root_bits(const struct sets_spec *spec)
{
	if (spec->root_bits)
		return spec->root_bits;
	return (spec->cells ? spec->cells : spec->n) > SETS_LARGE ? 20 : 16;
}

/* A change is open between the two; who finds one open that nobody works on repairs the set. */
void sets_begin(struct sets *set);
void sets_end(struct sets *set);

/*
 * The cells of a prefix set. cells_add() and cells_del() return 1 if they changed something, 0 if the prefix
 * was there or not there already, -ENOSPC.
 */
int cells_add(struct sets *set, const struct sets_elem *elem);
int cells_del(struct sets *set, const struct sets_elem *elem);
bool cells_has(const struct sets *set, const struct sets_elem *elem);
bool cells_test(const struct sets *set, uint64_t hi, uint64_t lo, struct sets_elem *elem);
int cells_walk(struct sets *set, int (*each)(void *arg, const struct sets_elem *elem), void *arg);

/* cells_repair() makes values, roots and emptied cells agree with the trees. */
void cells_repair(struct sets *set);

/* The level of cells that has elements of this length: T + 1 to T + 4 bits. */
static inline unsigned int cells_level(unsigned int len)
{
	return (len - 1) & ~3u;
}

/* Bits of an address from the first on: mask of len bits. */
static inline void sets_mask(bool v6, unsigned int len, uint64_t *hi, uint64_t *lo)
{
	if (!v6)
		len += 32;
	else if (len <= 64)
		*hi &= len ? UINT64_MAX << (64 - len) : 0;
	if (!v6)
		*lo &= len > 32 ? UINT64_MAX << (64 - len) : 0;
	else
		*lo &= len > 64 ? UINT64_MAX << (128 - len) : 0;
}

#define SETS_LONGEST(v6) ((v6) ? 128u : 32u)
#define CELLS_FIRST 20 /* the first level of cells there can be */

#endif
