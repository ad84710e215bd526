/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A table of flows that a flood cannot empty. Plain C and BPF; no calls, no loops.
 *
 * A bucket is a cache line of eight entries (abi/balance.h); a flow has a place in one bucket only. A flow that is seen for
 * the first time is new; with its second packet (that is not a SYN again) it is kept. Who needs a place takes a free one,
 * else that of the new flow that is longest silent, else that of a kept flow silent for longer than `idle`; else the
 * flow is not recorded. So a flood of flows with one packet each, or of SYNs, only displaces its own kind. Among new flows
 * that are silent equally long, bits of the hash decide: always the first would be always the latest.
 *
 * A flow is known by BALANCE_FLOW_TAG_BITS bits of its hash beyond those that pick the bucket, and its service. With eight
 * entries a bucket, two flows are taken for one with probability 2^-26 at most.
 *
 * Several CPUs: entries are read and written whole, without atomics. Two CPUs that record two flows in one bucket within
 * the same nanoseconds may record one of them; its next packet records it again.
 */
#ifndef DATAPATH_LIB_FLOW_H
#define DATAPATH_LIB_FLOW_H

#include "abi/balance.h"

#define FLOW_FN static inline __attribute__((always_inline, unused))

struct flow_place {
	__u64 entry; /* that was found; 0: none */
	__u32 at;    /* where it is in its bucket, or where it would go; FLOW_NOWHERE */
};
#define FLOW_NOWHERE 8u

/* flow_bucket() is the number of a flow's bucket, flow_tag() its tag. shift: 64 - log2 of the number of buckets */
FLOW_FN __u32 flow_bucket(__u64 hash, __u32 shift)
{
	return (__u32)(hash >> (shift & 63));
}

FLOW_FN __u32 flow_tag(__u64 hash, __u32 shift)
{
	return (__u32)(hash >> ((shift - BALANCE_FLOW_TAG_BITS) & 63)) & ((1u << BALANCE_FLOW_TAG_BITS) - 1);
}

/*
 * 1 if the number is negative. Hidden from the compiler before and after, which would make branches of what is computed with it: nobody can
 * foresee them, and the verifier would follow all of eight entries'.
 */
FLOW_FN __u64 flow_below_zero(__u64 x)
{
	asm volatile("" : "+r"(x));
	x >>= 63;
	asm volatile("" : "+r"(x));
	return x;
}

/* The rank of an entry that may give way: the higher the rather; 0: not at all. Free ones are first, then new ones, by age. */
FLOW_FN __u64 flow_rank(__u64 e, __u32 now, __u32 idle)
{
	__u64 age = (now - BALANCE_FLOW_TIME(e)) & 1023u, is_new = e >> 10 & BALANCE_FLOW_NEW;

	return (age & (0 - (is_new | flow_below_zero(idle - age)))) + is_new * 1025 +
	       flow_below_zero((e - 1) & ~e) * 3000;
}

/* flow_find() looks for a flow in its bucket, by the bits of key that are in mask. */
FLOW_FN struct flow_place flow_find(const volatile __u64 *bucket, __u64 key, __u64 mask)
{
	struct flow_place p = {0, FLOW_NOWHERE};
	__u64 e;
	__u32 i;

#pragma GCC unroll 8
	for (i = 0; i < BALANCE_FLOW_WAYS; i++) {
		e = bucket[i];
		if ((e & mask) == key && e) {
			p.entry = e;
			p.at = i;
			break;
		}
	}
	return p;
}

/* The place that a flow gets if it is free: the one that ranks highest. */
FLOW_FN __u32 flow_first(__u64 hash)
{
	return (7 - (__u32)hash) & 7;
}

/* flow_find_fast() looks there first, where most flows are while the table has room. */
FLOW_FN struct flow_place flow_find_fast(const volatile __u64 *bucket, __u64 hash, __u64 key, __u64 mask)
{
	struct flow_place p = {bucket[flow_first(hash)], flow_first(hash)};

	return (p.entry & mask) == key && p.entry ? p : flow_find(bucket, key, mask);
}

/* flow_place() looks for a place for a flow that was not found: in the order of ranks, the lowest bits are the place's. */
FLOW_FN void flow_place(const volatile __u64 *bucket, __u64 hash, __u32 now, __u32 idle, struct flow_place *p)
{
	__u64 best = 7 << 3, rank;
	__u32 i;

	p->at = flow_first(hash);
	if (!bucket[p->at])
		return;
#pragma GCC unroll 8
	for (i = 0; i < BALANCE_FLOW_WAYS; i++) {
		rank = flow_rank(bucket[i], now, idle);
		rank = rank << 6 | ((i + (__u32)hash) & 7) << 3 | i;
		best += (rank - best) & (flow_below_zero(rank - best) - 1);
	}
	p->at = best >> 6 ? best & 7 : FLOW_NOWHERE;
}

/* flow_touch() is the entry of a flow that was found, after another packet; opens: a SYN, which says nothing. */
FLOW_FN __u64 flow_touch(__u64 e, __u32 now, __u32 opens)
{
	__u64 state = opens ? BALANCE_FLOW_STATE(e) : BALANCE_FLOW_KEPT;

	return (e & ~0xfffull) | state << 10 | now;
}

#endif
