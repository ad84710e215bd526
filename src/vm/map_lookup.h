/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How compiled code looks up a map that it knows. */
#ifndef VM_MAP_LOOKUP_H
#define VM_MAP_LOOKUP_H

#include "vm/helper.h"
#include "vm/map_hash.h"

/* map_lookup_plan() says how bpf_map_lookup_elem() finds a value of map; false: only by calling it. run->host
 * is a struct vm_host then. */
bool map_lookup_plan(struct map *map, struct vm_lookup *how);

#endif
