/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ring buffer: writing records, as the helpers do. */
#ifndef VM_MAP_RING_H
#define VM_MAP_RING_H

#include "vm/map.h"

/* ring_reserve() returns memory for a record of owner's (NULL: nobody may ask for it), NULL if there is no room; flags
 * must be 0. */
void *ring_reserve(struct map *map, const void *owner, uint64_t bytes, uint64_t flags);
/* ring_submit() finishes it: the reader is woken as flags (BPF_RB_*) say. Nothing happens if that is no record that is
 * under way. */
void ring_submit(struct map *map, void *record, uint64_t flags, bool discard);
/*
 * ring_record() is the record of owner's, not yet finished, that addr lies in; false: there is none. To others it is none:
 * who remembers that it may be touched is the one who finishes it, and forgets.
 */
bool ring_record(struct map *map, const void *owner, uint64_t addr, uint64_t *start, uint64_t *len);
int ring_output(struct map *map, const void *data, uint64_t bytes, uint64_t flags);
uint64_t ring_query(struct map *map, uint64_t flags);
/* What readers wait on. */
int ring_wait_fd(const struct map *map);

#endif
