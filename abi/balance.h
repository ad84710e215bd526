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

/*
 * A virtual address with a block of ports: those whose upper 16 - level bits are port's. Level 0 is one port, 16 all;
 * a range is several blocks. BALANCE_VIP_ADDR: the address has some, whichever. key 0: no entry.
 */
#define BALANCE_VIP_KEY(v6, proto, level, port) \
	(1u << 31 | (__u32)(v6) << 30 | (__u32)(level) << 24 | (__u32)(proto) << 16 | (__u32)(port))
#define BALANCE_VIP_LEVELS 17
#define BALANCE_VIP_ADDR 17 /* in place of a level; proto and port 0, service BALANCE_VIP_NOBODY */
#define BALANCE_VIP_NOBODY 0xffffu

struct balance_vip {
	__u64 addr[2]; /* host order; IPv4 in [1], [0] is 0 */
	__u32 key;
	__u32 on;      /* bits of the interfaces where it counts */
	__u16 service;
	__u16 more;    /* of the first of a bucket: some that belong here are in the next bucket */
	__u32 unused;
};

#define BALANCE_VIP_WAYS 2
#define BALANCE_VIP_PROBES 8 /* buckets that are looked at, at most */

struct balance_head {
	__u32 half;   /* 0 or 1: the vips that count */
	__u32 levels; /* bits: levels that occur in either half */
	__u64 unused[7];
};

/* Constants of a program: set before it is loaded. Places are bytes in the flat memory. */
struct balance_config {
	__u64 seed[10];		 /* of the flow's hash: the same on every node */
	__u64 vip_seed[6];
	__u32 vips, vip_buckets; /* of one half: a power of two */
	__u32 services, n_services; /* a power of two */
	__u32 targets, n_targets;
	__u32 hops, n_hops;	 /* a power of two */
	__u32 slots, slot_bytes;
	__u32 changes, n_changes;
	__u32 flow_shift;	 /* 64 - log2(buckets of flows) */
	__u32 fragment_shift;
	__u32 tick_shift;	 /* jiffies to the flow table's time */
	__u32 idle;		 /* ticks after which an established flow may be displaced */
	__u32 on;		 /* the interface's bit */
	__u32 icmp_per_s;	 /* errors that are sent, per CPU; 0: none */
	__be32 source4, vary4;	 /* outer source address: bits of vary come from the flow */
	__u64 source6[2];	 /* host order */
	__u64 vary6;		 /* of the lower half */
};

/*
 * An entry of the flow table: buckets of eight are a cache line. Bucket and tag together are the upper bits of the flow's
 * hash, so that its slot can be told from them, unless the slot is the source's (BALANCE_FLAG_AFFINITY).
 *
 *     bits 35-63 tag   25-34 service   12-24 backend   10-11 state   0-9 time
 */
#define BALANCE_FLOW_WAYS 8
#define BALANCE_FLOW_TAG_BITS 29
#define BALANCE_FLOW_KEY(tag, service) ((__u64)(tag) << 35 | (__u64)(service) << 25)
#define BALANCE_FLOW_KEY_MASK (~0ull << 25)
#define BALANCE_FLOW(key, id, state, time) ((key) | (__u64)(id) << 12 | (__u64)(state) << 10 | (time))
#define BALANCE_FLOW_TAG(e) ((__u32)((e) >> 35))
#define BALANCE_FLOW_SERVICE(e) ((__u32)((e) >> 25) & 1023u)
#define BALANCE_FLOW_ID(e) ((__u32)((e) >> 12) & BALANCE_ID_NOBODY)
#define BALANCE_FLOW_STATE(e) ((__u32)(e) >> 10 & 3u)
#define BALANCE_FLOW_TIME(e) ((__u32)(e)&1023u)
#define BALANCE_FLOW_FREE 0
#define BALANCE_FLOW_NEW 1  /* seen once, or only its SYN: gives way to others */
#define BALANCE_FLOW_KEPT 2 /* it went on */

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
