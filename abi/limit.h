/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What datapath/lib/limit.h and src/filter/limit.c share: how a rate limit is written down, and its table.
 *
 * Each limit has a region of cells in one flat memory: buckets of LIMIT_WAYS cells, or one cell where the limit counts
 * everything together. A cell is one u64, so that it is read and written whole:
 *
 *     tag (upper 32 bits; 0: never used) | the time at which the bucket is empty again (lower 32, in units of the limit)
 */
#ifndef ABI_LIMIT_H
#define ABI_LIMIT_H

#include <linux/types.h>

#define LIMIT_WAYS 4
#define LIMIT_COST_BITS 16 /* of fraction in `byte` */
#define LIMIT_NS_BITS 4	   /* of fraction in nanoseconds */
#define LIMIT_MOST_SHIFT 32 /* then time goes round after 36 years, as the clock does */

enum limit_clock {
	LIMIT_JIFFIES, /* costs nothing, moves in steps of some milliseconds */
	LIMIT_KTIME,   /* exact */
};

struct limit {
	__u32 first;  /* cell of its region, in the flat memory */
	__u32 mask;   /* buckets - 1 (a power of two) */
	__u32 depth;  /* units of time that the burst is worth */
	__u32 packet; /* units that a packet costs; 0: its bytes cost */
	__u64 byte;   /* units that a byte costs, << LIMIT_COST_BITS */
	__u8 shift;   /* a unit is 2^shift sixteenths of a nanosecond; at most LIMIT_MOST_SHIFT */
	__u8 clock;   /* enum limit_clock */
	__u8 keyed;   /* 0: one cell for everything */
	__u8 pad[5];
};

_Static_assert(sizeof(struct limit) == 32, "struct limit is shared");

#endif
