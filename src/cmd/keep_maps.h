/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps of a running member, for the program that takes its place: replace --keep-maps. */
#ifndef CMD_KEEP_MAPS_H
#define CMD_KEEP_MAPS_H

#include <sluice/object.h>

#include "cmd/cli.h"

struct keep_map;

struct keep_maps {
	struct keep_map *map;
	size_t n;
	const struct opt_list *given; /* NAME=PIN of --map: these are not looked for */
};

/* keep_maps_open() opens the member's maps; none if there is no such member. keep_maps_close() also after failure. */
int keep_maps_open(int ifindex, const char *member, const struct opt_list *given, struct keep_maps *old,
		   struct sluice_err *err);
void keep_maps_close(struct keep_maps *old);

/*
 * keep_maps_share() makes obj, opened and not loaded, use the old map for each of its own that has the same name,
 * type, sizes, room and flags; the others start empty. For objects_opts.prepare, arg is a struct keep_maps.
 *
 * errors:  -EINVAL maps that cannot be told apart (err names them)
 */
int keep_maps_share(struct sluice_object *obj, void *arg, struct sluice_err *err);

#endif
