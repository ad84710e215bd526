/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What src/balance writes and datapath/lib/balance.h reads: a service's slots, and its backends as targets.
 *
 * All slots of all services lie in one flat memory, all targets in another; a service's are a stretch of each.
 * A packet's hash picks a slot, and the slot names backends by number, within the service, from 1 on.
 *
 *     slot   bits 0-15   the current backend; 0: there is none
 *            bits 16-28  0: settled, every flow of the slot is with the current backend
 *                        otherwise changed: flows in the flow table go where it says, flows it does not know to this
 *                        one (BALANCE_ID_NOBODY: there is none) until the deadline, then to the current one
 *            bits 29-31  which deadline
 */
#ifndef ABI_BALANCE_H
#define ABI_BALANCE_H

#include <linux/types.h>

#define BALANCE_ID_NOBODY 8191u
#define BALANCE_ID_MAX 8190u
#define BALANCE_PREVIOUS_SHIFT 16
#define BALANCE_EPOCH_SHIFT 29
#define BALANCE_EPOCHS 8

#define BALANCE_SLOT(current, previous, epoch)                            \
	((__u32)(current) | (__u32)(previous) << BALANCE_PREVIOUS_SHIFT | \
	 (__u32)(epoch) << BALANCE_EPOCH_SHIFT)
#define BALANCE_CURRENT(slot) ((slot)&0xffffu)
#define BALANCE_PREVIOUS(slot) ((slot) >> BALANCE_PREVIOUS_SHIFT & BALANCE_ID_NOBODY)
#define BALANCE_EPOCH(slot) ((slot) >> BALANCE_EPOCH_SHIFT)

#define BALANCE_FLAG_AFFINITY 1u  /* the hash is of the source address alone */
#define BALANCE_FLAG_STATELESS 2u /* no slot is ever changed */

struct balance_ring {
	__u32 first;   /* slot, in the flat memory */
	__u32 n_slots; /* a prime */
	__u32 targets; /* target 0 of the service, which is nobody */
	__u32 flags;
	__u64 until[BALANCE_EPOCHS]; /* deadlines: nanoseconds of the monotonic clock */
};

/* Bit 0: packets of known flows may go there. */
enum balance_target_state {
	BALANCE_TARGET_GONE = 0,
	BALANCE_TARGET_UP = 1,
	BALANCE_TARGET_DOWN = 2,
	BALANCE_TARGET_DRAINING = 3,
};

struct balance_target {
	__u8 addr[16]; /* as on the wire; IPv4 in the first four */
	__be16 port;   /* 0: as it is */
	__u8 v6;
	__u8 state; /* enum balance_target_state */
	__u8 unused[12];
};

/* What a packet is to the choice of a backend. */
enum balance_packet {
	BALANCE_PACKET_GOES_ON,	 /* anything of which nothing else is known */
	BALANCE_PACKET_OPENS,	 /* surely the first of a flow: SYN without ACK, QUIC Initial */
	BALANCE_PACKET_FRAGMENT, /* without ports; known: what the table of fragments says */
	BALANCE_PACKET_ERROR,	 /* ICMP error: the flow is the one that the quoted packet answers */
};

/* Why a backend was chosen, or none. */
enum balance_why {
	BALANCE_WHY_HASH,     /* settled slot */
	BALANCE_WHY_TABLE,    /* changed slot, the flow (or fragment) is known */
	BALANCE_WHY_NEW,      /* changed slot, the flow opens */
	BALANCE_WHY_PREVIOUS, /* changed slot, unknown flow before the deadline */
	BALANCE_WHY_CURRENT,  /* changed slot, unknown flow, nobody to go back to */
	BALANCE_WHY_NO_BACKEND,
	BALANCE_WHY_NO_FIRST, /* a fragment whose first one was not seen */
};

_Static_assert(sizeof(struct balance_ring) == 80, "balance_ring is shared");
_Static_assert(sizeof(struct balance_target) == 32, "balance_target is shared");

#endif
