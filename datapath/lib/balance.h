/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which backend gets a packet: hash, slot, choice. Plain C and BPF; no calls, no loops.
 *
 *     balance_hash4/6 ──> balance_slot ──> word ── settled ──────────────────────────> its backend
 *                                              └─ changed ──> flow table ──> balance_choose
 *
 * Only a changed slot needs the flow table. Every node with the same seed computes the same, whatever its byte
 * order: words are in host order.
 */
#ifndef DATAPATH_LIB_BALANCE_H
#define DATAPATH_LIB_BALANCE_H

#include "abi/balance.h"
#include "datapath/lib/hash.h"

#define BALANCE_FN static inline __attribute__((always_inline, unused))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BALANCE_HOST16(x) __builtin_bswap16(x)
#define BALANCE_HOST32(x) __builtin_bswap32(x)
#define BALANCE_HOST64(x) __builtin_bswap64(x)
#else
#define BALANCE_HOST16(x) (x)
#define BALANCE_HOST32(x) (x)
#define BALANCE_HOST64(x) (x)
#endif

/* Two ports as they lie in a header, as balance_hash4() and 6 take them. */
BALANCE_FN __u32 balance_ports(__be16 sport, __be16 dport)
{
	return (__u32)BALANCE_HOST16(sport) << 16 | BALANCE_HOST16(dport);
}

/*
 * The hash of a flow; addresses in host order (IPv6: upper half, lower half), seed: ten words. A packet
 * without ports (another protocol, a later fragment) has ports 0.
 */
BALANCE_FN __u64 balance_hash4(__u32 flags, __u32 src, __u32 dst, __u32 ports, __u8 proto,
			       const volatile __u64 *seed)
{
	if (flags & BALANCE_FLAG_AFFINITY)
		return hash_fold(hash_half(src, seed));
	return hash_fold(hash_word((__u64)dst << 32 | src, seed) +
			 hash_word((__u64)proto << 32 | ports, seed + 2));
}

BALANCE_FN __u64 balance_hash6(__u32 flags, const __u64 src[2], const __u64 dst[2], __u32 ports, __u8 proto,
			       const volatile __u64 *seed)
{
	__u64 sum = hash_word(src[0], seed) + hash_word(src[1], seed + 2);

	if (!(flags & BALANCE_FLAG_AFFINITY))
		sum += hash_word(dst[0], seed + 4) + hash_word(dst[1], seed + 6) +
		       hash_word((__u64)proto << 32 | ports, seed + 8);
	return hash_fold(sum);
}

/* The slot of a hash: its upper half times the number of slots, no division. */
BALANCE_FN __u32 balance_slot(const volatile struct balance_ring *r, __u64 hash)
{
	return (__u32)((hash >> 32) * r->n_slots >> 32);
}

/* The first cell of a server id (abi/balance.h): multiplicative hashing (Knuth, volume 3, 6.4), Fibonacci's with mix 0. */
BALANCE_FN __u32 balance_server_at(__u32 server, __u32 n_targets, __u32 mix)
{
	return (__u32)((__u64)(server * (0x9e3779b1u ^ mix)) * n_targets >> 32);
}

/* Where in slots a slot begins; two bytes can be read there, of which balance_slot_id() takes what is the slot's. */
BALANCE_FN __u32 balance_slot_at(const volatile struct balance_ring *r, __u32 slot)
{
	return r->first + (slot << (r->flags >> 2 & 1));
}

BALANCE_FN __u32 balance_slot_id(__u32 flags, __u16 two)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return two & (0xff | (flags & BALANCE_FLAG_WIDE ? 0xff00u : 0));
#else
	return flags & BALANCE_FLAG_WIDE ? two : two >> 8;
#endif
}

/* balance_word() puts a slot and its change together. */
BALANCE_FN __u32 balance_word(__u32 current, __u16 change)
{
	return current | (__u32)change << BALANCE_PREVIOUS_SHIFT;
}

/* balance_settled(): the slot's current backend is the answer for every packet but a fragment without ports. */
BALANCE_FN int balance_settled(__u32 slot)
{
	return !BALANCE_PREVIOUS(slot);
}

struct balance_choice {
	__u32 id;    /* of the backend; 0: none */
	__u8 why;    /* enum balance_why */
	__u8 record; /* the flow belongs into the table with this backend */
};

BALANCE_FN int balance_usable(__u8 state)
{
	return state & 1;
}

/*
 * balance_choose() decides.
 *
 * in:      kind      enum balance_packet
 *          known     backend that a table has for the flow (for a fragment: that of fragments); 0: none, not asked
 *          state     of that target, previous: state of the slot's previous one; BALANCE_TARGET_GONE if there is none
 *          now       nanoseconds of the monotonic clock; only looked at if the slot is changed, previous is usable and
 *                    known is not
 *
 * A known flow stays where it is while its backend is there; one that opens again does not go back to a
 * backend that is being drained.
 */
BALANCE_FN struct balance_choice balance_choose(const volatile struct balance_ring *r,
						__u32 slot, __u32 kind, __u32 known, __u8 state,
						__u8 previous, __u64 now)
{
	struct balance_choice c = {BALANCE_CURRENT(slot), BALANCE_WHY_HASH, 0};

	if (kind == BALANCE_PACKET_FRAGMENT && !(r->flags & BALANCE_FLAG_AFFINITY && balance_settled(slot))) {
		c.id = balance_usable(state) ? known : 0;
		c.why = c.id ? BALANCE_WHY_TABLE : BALANCE_WHY_NO_FIRST;
		return c;
	}
	if (!balance_settled(slot)) {
		if (kind == BALANCE_PACKET_OPENS ? state == BALANCE_TARGET_UP : balance_usable(state)) {
			c.id = known;
			c.why = BALANCE_WHY_TABLE;
			return c;
		}
		c.record = kind != BALANCE_PACKET_ERROR && c.id;
		c.why = BALANCE_WHY_NEW;
		if (kind != BALANCE_PACKET_OPENS) {
			c.why = BALANCE_WHY_CURRENT;
			/* what came back to it may still say so: the same, in other words */
			if (balance_usable(previous) && BALANCE_PREVIOUS(slot) != c.id && now < r->until[BALANCE_EPOCH(slot)]) {
				c.id = BALANCE_PREVIOUS(slot);
				c.why = BALANCE_WHY_PREVIOUS;
				c.record = kind != BALANCE_PACKET_ERROR;
			}
		}
	}
	if (!c.id)
		c.why = BALANCE_WHY_NO_BACKEND;
	return c;
}

/* What a tunnel adds to a packet; six: outside. */
BALANCE_FN __u32 balance_outer(__u32 gue, __u32 six)
{
	return (six ? 40 : 20) + (gue ? 8 : 0);
}

/* Addresses that packets may be from, and can be answered to: RFC 1122, 3.2.1.3 and 3.2.2; RFC 4443, 2.4. */
BALANCE_FN int balance_is_sender(__u32 v6, const __u64 src[2])
{
	__u32 net = (__u32)(src[1] >> 24);

	if (v6)
		return src[0] >> 56 != 0xff && (src[0] || src[1] > 1);
	return net && net != 127 && net < 224;
}

/* ICMP messages that no error is sent about: errors and redirects. */
BALANCE_FN int balance_is_unanswered(__u32 v6, __u8 type)
{
	if (v6)
		return type < 128 || type == 137;
	return type < 13 && 1u << type & (1u << 3 | 1u << 4 | 1u << 5 | 1u << 11 | 1u << 12);
}

#define BALANCE_QUOTE 128 /* bytes of a packet in an error about it, if it has as many */

#endif
