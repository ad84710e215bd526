/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files about run-time sets share. */
#ifndef CONTROL_SETS_INSIDE_H
#define CONTROL_SETS_INSIDE_H

#include "control/sets.h"

/* A block that is mapped, for itself. */
struct sets_block {
	void *map;
	size_t len;
	struct sets *set;
	uint32_t line; /* where it is; 0: not mapped */
	struct set_head *head; /* mapped for itself: many pages take time */
	uint32_t head_line;
	uint32_t swept; /* the second that what had expired was last taken out at */
};

struct control_sets {
	int fd;
	uint8_t *dir; /* directory, texts and constants */
	size_t dir_bytes;
	uint32_t n, lines, first;  /* as the head said; first: line where blocks may begin */
	struct filter_set *set;	   /* in dir; names and places of texts were checked */
	struct sets_block *blocks; /* FILTER_BLOCKS for each set */
};

/*
 * sets_block_of() opens a block of a set.
 * out:     *set  NULL if it has none
 */
int sets_block_of(struct control_sets *sets, uint32_t nr, enum filter_block block, struct sets **set,
		  struct sluice_err *err);

/* sets_block_grow() makes a block again, for at least n elements, elsewhere in the memory. */
int sets_block_grow(struct control_sets *sets, uint32_t nr, enum filter_block block, uint64_t n,
		    struct sluice_err *err);

/*
 * sets_block_sweep() takes out of a block what has expired: that takes room, too, and nobody else may do it.
 * cost:    milliseconds per million elements, once for each now
 */
int sets_block_sweep(struct control_sets *sets, uint32_t nr, enum filter_block block, uint32_t now,
		     uint64_t *n, struct sluice_err *err);

/* sets_block_for() says where an element belongs. */
enum filter_block sets_block_for(const struct control_sets *sets, uint32_t nr, bool v6, uint32_t len);

/* sets_full() is the sentence for a set without room. */
int sets_full(const struct control_sets *sets, uint32_t nr, struct sluice_err *err);

/* sets_keep() is control_sets_add(); beyond: also beyond the size that the policy says, as far as there is memory. */
int sets_keep(struct control_sets *sets, uint32_t nr, bool v6, const struct sets_elem *elem, uint32_t now, bool beyond,
	     enum control_added *what, struct sluice_err *err);

/* sets_total(): elements of all blocks. */
int sets_total(struct control_sets *sets, uint32_t nr, uint64_t n[2], struct sluice_err *err);

#endif
