/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hash table both kinds of sets are made of, as its one writer sees it. */
#ifndef SETS_TABLE_H
#define SETS_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/set.h"

#define TABLE_NONE UINT64_MAX

/* Geometry and seeds are copies, so that damage to the memory later leads nowhere. */
struct table {
	uint8_t *mem;
	struct set_head *head;
	struct set_table t;
	__u64 seed[4];
	uint64_t n_main, n_slots; /* in buckets; with the spill area */
	bool reuse_now;		  /* nothing goes with a slot: it can be used again at once */
};

struct table_key {
	uint64_t hi, lo;
	uint32_t tag;
};

/* table_size() lays a table out from *line on (NULL: it has none); values, tagged keys and so on as asked. */
struct table_need {
	uint64_t n;
	bool narrow, values, summary, info, counts;
};
void table_size(struct set_table *t, const struct table_need *need, uint64_t *line);

void table_open(struct table *tb, uint8_t *mem, const struct set_table *t);

/* A slot, or TABLE_NONE: no such key; (insert) no room. */
uint64_t table_find(const struct table *tb, const struct table_key *key);

/* table_insert() adds a key that is not there, after its value, tree and expiry. */
uint64_t table_insert(struct table *tb, const struct table_key *key, uint32_t tree, uint16_t value,
		      uint32_t expires);
void table_remove(struct table *tb, uint64_t slot);

/* table_next() is the first used slot from there on. */
uint64_t table_next(const struct table *tb, uint64_t slot);
void table_key_of(const struct table *tb, uint64_t slot, struct table_key *key);

/* NULL where the table has none. */
uint16_t *table_value(const struct table *tb, uint64_t slot);
uint32_t *table_tree(const struct table *tb, uint64_t slot);
struct set_info *table_info(const struct table *tb, uint64_t slot);
struct set_count *table_count(const struct table *tb, uint64_t slot);

/* table_repair() sets every bucket's flags by what the spill area holds, and the summary by the buckets. */
void table_repair(struct table *tb);

#endif
