/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rate limits: the generic cell rate algorithm (ITU-T I.371, virtual scheduling) over a small exact table.
 *
 * One number per key says it all: the time at which the key's bucket will be empty. A packet fits if that time, plus
 * what the packet costs, is no further ahead than the burst is worth. A packet that does not fit changes nothing.
 *
 * The table never refuses a key. In a full bucket of cells the key whose bucket is nearest to empty gives way, and the new
 * one goes on from that time (Space-Saving: Metwally, Agrawal, El Abbadi, ICDT 2005). A key over its rate has the time
 * furthest ahead, so it is not the one that goes; one that goes was within its rate and loses nothing; a new one starts
 * with at most the smallest debt of its bucket. So a flood of keys seen once costs neither real keys their budget nor
 * lets an offender start afresh.
 *
 * Several CPUs: cells are read and written whole, without atomics. Two CPUs that let a packet of one key pass within the
 * same few nanoseconds count it once; a key over its rate writes no more often than its rate, so this stays rare.
 */
#ifndef DATAPATH_LIB_LIMIT_H
#define DATAPATH_LIB_LIMIT_H

#include "abi/limit.h"

#define LIMIT_FN static inline __attribute__((always_inline, unused))

/*
 * How far ahead the time in a cell is; 0 if it is past, or the cell was never used. No cell is ahead by more than the burst is worth, seen from the
 * CPU that wrote it; another CPU's clock may be behind by as much again. What is further ahead is long past: the 32 bits
 * went round meanwhile. (Of keys that come back after hours, one in 2^31 / depth finds its burst used up for that reason.)
 */
LIMIT_FN __u32 limit_ahead(__u64 cell, __u32 now, __u32 depth)
{
	__u32 ahead = (__u32)cell - now;

	return ahead > 2 * depth || !(cell >> 32) ? 0 : ahead;
}

/* limit_cost() is what a packet of so many bytes costs, in units of time. */
LIMIT_FN __u32 limit_cost(const volatile struct limit *l, __u32 bytes)
{
	return l->packet ? l->packet : (__u32)((bytes * l->byte + (1 << (LIMIT_COST_BITS - 1))) >> LIMIT_COST_BITS);
}

/* limit_now() turns nanoseconds into the limit's time. */
LIMIT_FN __u32 limit_now(const volatile struct limit *l, __u64 ns)
{
	return (__u32)(ns << LIMIT_NS_BITS >> (l->shift & 63));
}

/* limit_bucket() is the number of a key's first cell within the flat memory. hash: of the key, as hash_fold()
 * makes it. */
LIMIT_FN __u32 limit_bucket(const volatile struct limit *l, __u64 hash)
{
	return l->first + ((__u32)(hash >> 32) & l->mask) * LIMIT_WAYS;
}

/* limit_one() takes the packet's cost from a single cell; returns 1 if it fits. */
LIMIT_FN int limit_one(volatile __u64 *cell, __u64 tag, __u32 now, __u32 depth, __u32 cost)
{
	__u64 ahead = (__u64)limit_ahead(*cell, now, depth) + cost;

	if (ahead > depth)
		return 0;
	*cell = tag << 32 | (__u32)(now + (__u32)ahead);
	return 1;
}

/* 1 if x is not 0, 0 if it is, for x below 2^63; without a branch, of which nobody could foresee the way. */
LIMIT_FN __u64 limit_some(__u64 x)
{
	x = 0 - x;
	asm volatile("" : "+r"(x));
	return x >> 63;
}

/* The smaller of two numbers below 2^63, without a branch. */
LIMIT_FN __u64 limit_less(__u64 a, __u64 b)
{
	__u64 d = b - a, below = d;

	asm volatile("" : "+r"(below));
	return a + (d & (0 - (below >> 63)));
}

/*
 * How good a cell is for a key, the smallest is best: one with the key's tag, before the others; then how far its
 * time is ahead, as limit_ahead() has it; then its number.
 */
LIMIT_FN __u64 limit_rank(__u64 cell, __u32 tag, __u32 now, __u32 depth, __u32 number)
{
	__u64 ahead = (__u32)cell - now, past = (2ull * depth - ahead), used = limit_some(cell >> 32);

	asm volatile("" : "+r"(past));
	ahead &= 0 - (used & ~(past >> 63));
	return limit_some((__u32)(cell >> 32) ^ tag) << 40 | ahead << 2 | number;
}

/*
 * limit_keyed() finds the key's cell among the LIMIT_WAYS of its bucket, or makes one; returns 1 if the packet fits.
 * cell: the bucket, of which all cells may be touched.
 */
LIMIT_FN int limit_keyed(volatile __u64 *cell, __u64 hash, __u32 now, __u32 depth, __u32 cost)
{
	__u32 tag = (__u32)hash | 1;
	__u64 best = limit_less(limit_less(limit_rank(cell[0], tag, now, depth, 0),
					   limit_rank(cell[1], tag, now, depth, 1)),
				limit_less(limit_rank(cell[2], tag, now, depth, 2),
					   limit_rank(cell[3], tag, now, depth, 3))),
	      sum = (best >> 2 & 0xffffffff) + cost;

	if (sum > depth)
		return 0;
	cell[best & (LIMIT_WAYS - 1)] = (__u64)tag << 32 | (__u32)(now + (__u32)sum);
	return 1;
}

#endif
