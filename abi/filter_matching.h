/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The pcap expressions of a filter in its program: FILTER_MATCHING_ROOM instructions that do nothing
 * (datapath/lib/filter_matching.h), over which the host writes what it makes of the expressions
 * (src/filter/matching.h) before the program is loaded. They find the context in r1, struct filter_matching
 * in r2, and leave no register as it was.
 */
#ifndef ABI_FILTER_MATCHING_H
#define ABI_FILTER_MATCHING_H

#include <linux/types.h>

#define FILTER_MATCHING_ROOM 16384
/* bits of a fact: all 32 together would be FILTER_ABSENT */
#define FILTER_MATCHING_BITS 31
#define FILTER_MATCHING_FACTS 2
#define FILTER_MATCHING_MOST (FILTER_MATCHING_BITS * FILTER_MATCHING_FACTS)

/* in struct filter_config */
enum { FILTER_MATCHING_NONE, FILTER_MATCHING_SOME, FILTER_MATCHING_LEN }; /* LEN: some ask for the length */

/* in: whole; out: result; the rest is what the instructions work with */
struct filter_matching {
	__u32 loaded; /* bytes of the packet, at offset 0 */
	__u32 whole;  /* the packet's length; with FILTER_MATCHING_LEN only */
	__u32 result[FILTER_MATCHING_FACTS];
	__u32 m[16]; /* scratch memory of classic BPF */
};

_Static_assert(sizeof(struct filter_matching) == 80, "struct filter_matching is shared");

#endif
