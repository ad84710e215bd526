/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the families whose keys are indexes share. */
#ifndef VM_MAP_INDEX_H
#define VM_MAP_INDEX_H

#include "vm/map.h"

/* map_index_check() is their common check of attr; flags are those allowed. */
int map_index_check(union bpf_attr *attr, uint32_t flags);
int map_index_next(struct map *map, const void *key, void *next);

#endif
