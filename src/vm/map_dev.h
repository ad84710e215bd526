/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Entries of the maps that packets are redirected through, as lookup returns them: whole, and so they stay until the
 * entry is replaced twice. prog outlives the entry until the run that found it is over.
 */
#ifndef VM_MAP_DEV_H
#define VM_MAP_DEV_H

#include "vm/map.h"

#define MAP_MOST_CPUS 8192 /* of a cpumap: the most that a kernel can be built for on this architecture */

struct map_dev {
	struct {
		uint32_t first; /* interface, queue size or socket */
		uint32_t prog_id;
	} value;
	struct obj *prog; /* NULL: none */
};

#endif
