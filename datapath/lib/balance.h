/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which backend gets a packet: hash, slot, choice. Plain C and BPF; no calls, no loops.
 *
 *     balance_hash4/6 ──> balance_slot ──> slot word ── settled ──────────────────────────> its backend
 *                                                   └─ changed ──> flow table ──> balance_choose
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

/* The slot of a hash, in the flat memory: its upper half times the number of slots, no division. */
BALANCE_FN __u32 balance_slot(const volatile struct balance_ring *r, __u64 hash)
{
	return r->first + (__u32)((hash >> 32) * r->n_slots >> 32);
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
 * in:      targets  the service's: [0] is nobody; the caller has bounded what the table can name (known) and has
 *                   room for BALANCE_ID_NOBODY + 1 of them where a slot cannot be trusted
 *          kind     enum balance_packet
 *          known    backend that a table has for the flow (for a fragment: that of fragments); 0: none, not asked
 *          now      nanoseconds of the monotonic clock; only looked at if slot is changed and known is 0 or down
 *
 * A known flow stays where it is while its backend is there; one that opens again does not go back to a
 * backend that is being drained.
 */
BALANCE_FN struct balance_choice balance_choose(const volatile struct balance_ring *r,
						const volatile struct balance_target *targets, __u32 slot,
						__u32 kind, __u32 known, __u64 now)
{
	struct balance_choice c = {BALANCE_CURRENT(slot), BALANCE_WHY_HASH, 0};
	__u32 previous = BALANCE_PREVIOUS(slot);
	__u8 state = known ? targets[known].state : BALANCE_TARGET_GONE;

	if (kind == BALANCE_PACKET_FRAGMENT && !(r->flags & BALANCE_FLAG_AFFINITY && !previous)) {
		c.id = balance_usable(state) ? known : 0;
		c.why = c.id ? BALANCE_WHY_TABLE : BALANCE_WHY_NO_FIRST;
		return c;
	}
	if (previous) {
		if (kind == BALANCE_PACKET_OPENS ? state == BALANCE_TARGET_UP : balance_usable(state)) {
			c.id = known;
			c.why = BALANCE_WHY_TABLE;
			return c;
		}
		c.record = kind != BALANCE_PACKET_ERROR && c.id;
		c.why = BALANCE_WHY_NEW;
		if (kind != BALANCE_PACKET_OPENS) {
			c.why = BALANCE_WHY_CURRENT;
			if (previous != BALANCE_ID_NOBODY && balance_usable(targets[previous].state) &&
			    now < r->until[BALANCE_EPOCH(slot)]) {
				c.id = previous;
				c.why = BALANCE_WHY_PREVIOUS;
				c.record = kind != BALANCE_PACKET_ERROR;
			}
		}
	}
	if (!c.id)
		c.why = BALANCE_WHY_NO_BACKEND;
	return c;
}

#endif
