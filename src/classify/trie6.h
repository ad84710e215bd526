/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tries of IPv6 prefixes, for regions of the addresses that hold many. */
#ifndef CLASSIFY_TRIE6_H
#define CLASSIFY_TRIE6_H

#include "classify/work.h"

/*
 * The classes first..end - 1: those that begin in a region, which is the addresses that are alike in the first `exact`
 * bits, and are longer than that. No class is in two regions. Without any the region is not wanted; outside: one
 * class, and any address.
 */
struct trie6_region {
	uint32_t first, end;
	uint32_t exact;
	bool outside;
};

/*
 * trie6_build() puts the tries of n regions of a side into the image.
 *
 * out:     cells  by region, the cell that leads to it; front: steps and tests
 * errors:  -ENOSPC, -ENOMEM
 */
int trie6_build(struct work *w, const struct side *s, const struct trie6_region *regions, uint32_t n,
		uint32_t *cells, struct classify_front *front);

#endif
