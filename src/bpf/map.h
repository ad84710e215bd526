/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an open map is inside, for the map_*.c of this room and for JSON in cmd. */
#ifndef BPF_MAP_H
#define BPF_MAP_H

#include <sluice/map.h>

#include "bpf/value.h"

struct sluice_map {
	int fd;
	struct sluice_map_info info;
	struct btf *btf;
	struct sluice_type key, value;
};

/* One row of the table of map types in map_type.c. */
struct map_traits {
	const char *name;
	enum sluice_map_holds holds;
	unsigned int is;     /* MAP_IS_... */
	const char *why_not; /* entries cannot be listed because */
};

#define MAP_IS_PERCPU 1u
#define MAP_IS_INDEXED 2u
#define MAP_IS_KEYLESS 4u
#define MAP_IS_KEPT 8u /* entries cannot be deleted */

/* NULL for a type that is newer than this table. */
const struct map_traits *map_traits(uint32_t type);

/* map_failed() turns the errno of a system call on a map into the sentence for people. */
int map_failed(const struct sluice_map *map, const char *doing, int code, struct sluice_err *err);

#endif
