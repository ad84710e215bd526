/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A seeded hash for table keys: sums of products of (seed + key half), as in multilinear hashing, folded
 * once.
 *
 * Over random seeds two different keys collide in the upper half of the sum with probability 2^-32 or close
 * to it, whatever keys an attacker picks, as long as the seeds stay secret; the fold spreads keys that form
 * a progression. One multiplication for two 32-bit words, no call: 2 to 4 ns.
 */
#ifndef DATAPATH_LIB_HASH_H
#define DATAPATH_LIB_HASH_H

#include <linux/types.h>

#define HASH_FN static inline __attribute__((always_inline, unused))

/* The share of one 64-bit key word; takes two seeds. */
HASH_FN __u64 hash_word(__u64 word, const volatile __u64 *seed)
{
	return (seed[0] + (word & 0xffffffff)) * (seed[1] + (word >> 32));
}

/* Of one word of which only the low 32 bits are used; the product with an odd number loses nothing. */
HASH_FN __u64 hash_half(__u64 half, const volatile __u64 *seed)
{
	return (seed[0] + half) * (seed[1] | 1);
}

/* To be used from the top bit down. */
HASH_FN __u64 hash_fold(__u64 sum)
{
	return (sum ^ sum >> 32) * 0x9e3779b97f4a7c15ull;
}

#endif
