/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Places of translated flows (abi/nat.h): finding, claiming, ageing; states; sums. Plain C and BPF; no calls, and
 * next to no branches: each would double what the verifier goes through.
 *
 * Who needs a place takes, of its two buckets, a free one; else that of a flow that is closed, or that nobody went on with
 * for long; else one that is over by its time; else that of a flow whose client has not gone on after the first answer, the
 * one silent longest. A flow that went on gives way to nobody while it lasts: a flood of SYNs displaces its own kind.
 *
 * States follow the flags of TCP, without sequence numbers: they say which place may be taken when places are scarce, and
 * nothing else.
 */
#ifndef DATAPATH_LIB_NAT_H
#define DATAPATH_LIB_NAT_H

#include "abi/balance.h"
#include "abi/nat.h"
#include "datapath/lib/hash.h"

#define NAT_FN static inline __attribute__((always_inline, unused))

/* The compiler does not know what a number comes from: it would make branches of sums. */
#define NAT_STRAIGHT(x) __asm__ volatile("" : "+r"(x))

/* Where a flow may be: which = 0, 1. */
NAT_FN __u64 nat_turn(__u64 hash, __u32 which)
{
	return which ? hash_fold(hash * 0xd1342543de82ef95ull) : hash;
}

/* The bucket in the table of a family; the pool has n > 0 addresses of it. */
NAT_FN __u32 nat_bucket(const volatile struct nat_pool *pool, __u32 six, __u64 turn)
{
	__u32 number = pool->first[six] + ((__u32)(turn >> 8 & 0xffff) * pool->n[six] >> 16);

	return number * NAT_BUCKETS + pool->bucket + (__u32)((turn >> 32) * pool->n_buckets >> 32);
}

NAT_FN __u32 nat_tag(__u64 hash)
{
	return ((__u32)hash & 0xffff) | 1;
}

/* The word of a place; stride: bytes of a place. */
NAT_FN volatile __u32 *nat_word(const volatile void *bucket, __u32 stride, __u32 way)
{
	return (volatile __u32 *)((char *)bucket + (way & 7) * stride);
}

/*
 * nat_match() looks for a tag in a bucket: the way plus one; 0: none has it. Of several, always the same one. 0x10000 less
 * the difference of two tags has bit 16 only if they are the same. The bits of the ways lie so that the lowest of them, times
 * 0x17, has the way in bits 5 to 7 (de Bruijn's sequence of order 3).
 */
NAT_FN __u32 nat_match(const volatile void *bucket, __u32 stride, __u32 tag)
{
	__u32 hits = 0, low;

#define NAT_HIT(way, bit) \
	hits |= ((0x10000u - (*nat_word(bucket, stride, way) >> 16 ^ tag)) >> 16 & 1) << (bit)
	NAT_HIT(0, 0);
	NAT_HIT(1, 1);
	NAT_HIT(2, 2);
	NAT_HIT(3, 4);
	NAT_HIT(4, 7);
	NAT_HIT(5, 3);
	NAT_HIT(6, 6);
	NAT_HIT(7, 5);
#undef NAT_HIT
	low = hits & (0u - hits);
	return hits ? (low * 0x17 >> 5 & 7) + 1 : 0;
}

/* How good it is to take a place: class, age, chance (among flows silent equally long, always the first would be always
 * the latest), way; below NAT_TAKES: not at all. */
#define NAT_TAKES (1u << 18)
#define NAT_TAKES_FREE (7u << 18)
#define NAT_TAKES_WAY(rank) ((rank)&7)

NAT_FN __u32 nat_rank(const volatile struct nat_config *c, __u32 word, __u32 way, __u32 now, __u64 hash)
{
	__u32 state = NAT_STATE(word), age = NAT_AGE(word, now);
	__u32 over = c->idle[state] - age;

	NAT_STRAIGHT(over);
	return (c->rank[state] | (over >> 31) << 1) << 18 | age << 6 | ((way + (__u32)(hash >> 24)) & 7) << 3 | way;
}

/* The place of a bucket that ranks highest if it is free (the chance in nat_rank()): most flows are there while there is room. */
NAT_FN __u32 nat_first(__u64 hash)
{
	return (7 - (__u32)(hash >> 24)) & 7;
}

/*
 * nat_way_of() looks for a tag as nat_match() does, but at that place first: the others lie in other cache lines. Of several with the
 * tag, a flow always gets the same one.
 */
NAT_FN __u32 nat_way_of(const volatile void *bucket, __u32 stride, __u64 hash)
{
	__u32 first = nat_first(hash);

	return *nat_word(bucket, stride, first) >> 16 == nat_tag(hash)
		       ? first + 1
		       : nat_match(bucket, stride, nat_tag(hash));
}

/* The larger one. */
NAT_FN __u32 nat_larger(__u32 a, __u32 b)
{
	__s64 less = (__s64)((__u64)b - a), sign = less >> 63;

	NAT_STRAIGHT(sign);
	return (__u32)(a + (less & ~sign));
}

/* nat_place() is the rank of the best place of a bucket for a flow that is not in it; 0: none, or another flow has its tag. */
NAT_FN __u32 nat_place(const volatile struct nat_config *c, const volatile void *bucket, __u32 stride,
		       __u32 now, __u64 hash)
{
	__u32 best = 0, way;

	/* unrolled it would want more registers than there are, and a stack for them */
#pragma GCC unroll 1
	for (way = 0; way < NAT_WAYS; way++)
		best = nat_larger(best, nat_rank(c, *nat_word(bucket, stride, way), way, now, hash));
	return best < NAT_TAKES || nat_match(bucket, stride, nat_tag(hash)) ? 0 : best;
}

/* nat_swap() sets a word that is still `from`: 1, or 0 if somebody was faster. Everything written before is seen first. */
NAT_FN int nat_swap(volatile __u32 *word, __u32 from, __u32 to)
{
	return __sync_val_compare_and_swap((__u32 *)word, from, to) == from;
}

/* Protocols that are translated: TCP, UDP, and of the family's ICMP the echo: a request from clients, a reply from backends. */
NAT_FN int nat_is_translated(__u32 six, __u8 proto)
{
	return proto == 6 || proto == 17 || proto == (six ? 58 : 1);
}

NAT_FN __u32 nat_echo(__u32 six, __u32 request)
{
	return six ? 129 - request : request << 3;
}

/* What a packet does to the state of its flow; NAT_NOTHING: nor to its time. */
enum nat_event { NAT_RESETS, NAT_ENDS, NAT_OPENS, NAT_GOES_ON, NAT_NO_TCP, NAT_NOTHING, NAT_EVENTS = 8 };

/*
 * Of a client, a segment without ACK says nothing: backends drop it in silence (RFC 9293, 3.10.7.4), where to a wrong ACK they
 * answer with a reset. So who sends in another's name does not get beyond a flow that nobody went on with.
 */
NAT_FN __u32 nat_event(__u32 back, __u32 flags)
{
	__u32 event = flags & 4 ? NAT_RESETS : flags & 2 ? NAT_OPENS : flags & 1 ? NAT_ENDS : NAT_GOES_ON;

	return back || flags & 0x14 ? event : NAT_NOTHING;
}

#define NAT_SAME                                                                                                   \
	{                                                                                                          \
		NAT_FREE, NAT_NEW, NAT_ANSWERED, NAT_KEPT, NAT_TALKS, NAT_CLIENT_ENDS, NAT_BACKEND_ENDS, NAT_CLOSED, \
			NAT_CLAIMED                                                                                \
	}
#define NAT_OVER                                                                                                    \
	{                                                                                                           \
		NAT_FREE, NAT_CLOSED, NAT_CLOSED, NAT_CLOSED, NAT_CLOSED, NAT_CLOSED, NAT_CLOSED, NAT_CLOSED, NAT_CLAIMED \
	}
/*
 * [from the backend][event][state]. A FIN before there was an answer keeps no place. A backend's SYN-ACK on a half closed flow begins
 * another connection (the backend crashed, the client took its port again). If it is forged, or came late, the flow counts as begun
 * only until the client's next segment with ACK, as after a RST in another's name it would count as closed.
 */
static const __u8 nat_steps[2][NAT_EVENTS][NAT_STATES] = {
	{
		[NAT_RESETS] = NAT_OVER,
		[NAT_OPENS] = NAT_SAME,
		[NAT_ENDS] = {NAT_FREE, NAT_NEW, NAT_CLIENT_ENDS, NAT_CLIENT_ENDS, NAT_TALKS, NAT_CLIENT_ENDS,
			      NAT_CLOSED, NAT_CLOSED, NAT_CLAIMED},
		[NAT_GOES_ON] = {NAT_FREE, NAT_NEW, NAT_KEPT, NAT_KEPT, NAT_TALKS, NAT_CLIENT_ENDS,
				 NAT_BACKEND_ENDS, NAT_CLOSED, NAT_CLAIMED},
		[NAT_NO_TCP] = {NAT_FREE, NAT_NEW, NAT_TALKS, NAT_KEPT, NAT_TALKS, NAT_CLIENT_ENDS,
				NAT_BACKEND_ENDS, NAT_CLOSED, NAT_CLAIMED},
	},
	{
		[NAT_RESETS] = NAT_OVER,
		[NAT_OPENS] = {NAT_FREE, NAT_ANSWERED, NAT_ANSWERED, NAT_KEPT, NAT_TALKS, NAT_ANSWERED,
			       NAT_ANSWERED, NAT_CLOSED, NAT_CLAIMED},
		[NAT_ENDS] = {NAT_FREE, NAT_ANSWERED, NAT_ANSWERED, NAT_BACKEND_ENDS, NAT_TALKS, NAT_CLOSED,
			      NAT_BACKEND_ENDS, NAT_CLOSED, NAT_CLAIMED},
		[NAT_GOES_ON] = {NAT_FREE, NAT_ANSWERED, NAT_ANSWERED, NAT_KEPT, NAT_TALKS, NAT_CLIENT_ENDS,
				 NAT_BACKEND_ENDS, NAT_CLOSED, NAT_CLAIMED},
		[NAT_NO_TCP] = {NAT_FREE, NAT_ANSWERED, NAT_ANSWERED, NAT_KEPT, NAT_TALKS, NAT_CLIENT_ENDS,
				NAT_BACKEND_ENDS, NAT_CLOSED, NAT_CLAIMED},
	},
};

NAT_FN __u32 nat_step(__u32 state, __u32 back, __u32 event)
{
	return nat_steps[back & 1][event & 7][state & 15];
}

/*
 * Sums as in RFC 1624, equation 3: what changes is added up as ~old + new, 32 bits at a time, in 64, and folded once.
 */
NAT_FN __u64 nat_less(__u32 old)
{
	return (__u32)~old;
}

NAT_FN __u64 nat_halves(const __u64 a[2])
{
	return (__u64)(__u32)a[0] + (a[0] >> 32) + (__u32)a[1] + (a[1] >> 32);
}

NAT_FN __u64 nat_halves_less(const __u64 a[2])
{
	return nat_less((__u32)a[0]) + nat_less((__u32)(a[0] >> 32)) + nat_less((__u32)a[1]) +
	       nat_less((__u32)(a[1] >> 32));
}

NAT_FN __u16 nat_sum(__u16 check, __u64 change)
{
	change += (__u16)~check;
	change = (change & 0xffff) + (change >> 16 & 0xffff) + (change >> 32);
	change = (change & 0xffff) + (change >> 16);
	change = (change & 0xffff) + (change >> 16);
	return (__u16)~change;
}

/* Of UDP: 0 is none, and stays. */
NAT_FN __u16 nat_sum_udp(__u16 check, __u64 change)
{
	__u16 sum = nat_sum(check, change);

	return !check ? 0 : sum ? sum : 0xffff;
}

/* What struct nat_flow has of a backend; address in host order. */
NAT_FN __u32 nat_check(__u32 six, const __u64 addr[2], __u32 port, const volatile __u64 *seed)
{
	__u64 sum = hash_word(addr[1], seed) + hash_half(port, seed + 2);

	if (six)
		sum += hash_word(addr[0], seed + 4);
	return (__u32)(hash_fold(sum) >> 32);
}

#endif
