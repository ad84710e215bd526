/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What src/balance writes and datapath/lib/balance.h reads.
 *
 * One flat memory, whose parts are where struct balance_config says:
 *
 *     head       which of the two halves of virtual addresses counts
 *     vips       twice: buckets of virtual addresses
 *     services   struct balance_ring each
 *     targets    backends; a service's are a stretch, its first is nobody
 *     hops       how packets leave: interface, MAC addresses
 *     slots      a service's are a stretch of bytes (or of 16-bit words, BALANCE_FLAG_WIDE): the current backend
 *     changes    a service's are a stretch of 16-bit words, one for each slot: what the slot was before
 *     marks      a bit for each word of changes: the slot is changed
 *
 * A packet's hash picks a slot, and the slot names backends by number, within the service, from 1 on. Slot and change
 * together are a word:
 *
 *     word   bits 0-15   the current backend; 0: there is none
 *            bits 16-28  0: settled, every flow of the slot is with the current backend
 *                        otherwise changed: flows in the flow table go where it says, flows it does not know to this
 *                        one (BALANCE_ID_NOBODY: there is none) until the deadline, then to the current one
 *            bits 29-31  which deadline
 *
 * They lie apart because most slots are settled most of the time: 100 services of 65,537 slots are 6.5 MB to be looked
 * at, instead of 26. changes is only read while BALANCE_FLAG_CHANGES is set and the slot is marked: while one of 100 backends
 * drains, that is a bit instead of a word for 98 of 100 slots. Who writes sets the flag first, then the change, then the
 * mark, then the slot; who reads, reads the slot first: so an unknown flow is never sent to a new backend because its
 * slot's past was not seen.
 */
#ifndef ABI_BALANCE_H
#define ABI_BALANCE_H

#include <linux/types.h>

#define BALANCE_ID_NOBODY 8191u
#define BALANCE_ID_MAX 8190u
#define BALANCE_ID_NARROW 255u /* the largest that a slot of one byte can name */
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
#define BALANCE_FLAG_WIDE 4u	  /* slots of 16 bits */
#define BALANCE_FLAG_CHANGES 8u	  /* some slots are changed */

/* A service. mode and fallback: enum balance_mode, balance_fallback of balance/balance.h. */
struct balance_ring {
	__u32 first;   /* byte of slot 0, within slots */
	__u32 n_slots; /* a prime */
	__u32 targets; /* target 0 of the service, which is nobody */
	__u32 flags;
	__u32 change; /* the change of slot 0, within changes */
	__u8 mode;
	__u8 fallback;
	__be16 gue_port;
	__u32 n_targets; /* of the service: numbers from this one on are nobody's */
	__u32 serial;	 /* the writer's: of the last change that is here whole */
	__u64 until[BALANCE_EPOCHS]; /* deadlines: nanoseconds of the monotonic clock */
	__u8 quic_bytes, quic_config; /* of server ids in connection ids, 0: they are not looked at */
	__u8 unused2[2];
	__u32 server_mix; /* balance_server_at() */
	__u8 unused3[24];
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
	__u16 hop;  /* how to get there; 0: is looked up for each packet */
	__u8 unused[2];
	__u64 server; /* a cell of the service's server ids */
};

/*
 * Server ids (QUIC) of a service: a hash table with as many cells as the service has targets, each in one of them, whichever
 * that is. An id is in one of BALANCE_SERVER_PROBES cells from balance_server_at() on, with a server_mix with which all have one.
 * 0: free.
 */
#define BALANCE_SERVER_PROBES 16
#define BALANCE_SERVER(server, id) (1ull << 63 | (__u64)(id) << 32 | (server))
#define BALANCE_SERVER_IS(cell, server) ((cell) >> 63 && (__u32)(cell) == (server))
#define BALANCE_SERVER_ID(cell) ((__u32)((cell) >> 32) & BALANCE_ID_NOBODY)

/* How packets leave. ifindex 0: not known, the packet is dropped and counted. */
struct balance_hop {
	__u32 ifindex;
	__u32 mtu; /* IP packets may be so large */
	__u8 dmac[6], smac[6];
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
#define BALANCE_VIP_PROBES 4 /* buckets that are looked at, at most */

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
	__u32 icmp_per_s;	 /* errors about size that are sent, per CPU; as many refusals; 0: none */
	__be32 source4, vary4;	 /* outer source address: bits of vary come from the flow */
	__u64 source6[2];	 /* host order */
	__u64 vary6;		 /* of the lower half */
	__u32 marks;
	__u32 unused;
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
	BALANCE_WHY_SERVER,   /* a QUIC connection id names it */
};

/* What became of packets that are counted by reason: drops, and what is noted of others. */
enum balance_reason {
	BALANCE_DROP_NO_BACKEND,
	BALANCE_DROP_NO_FIRST, /* a fragment whose first one was not seen */
	BALANCE_DROP_DAMAGED, /* shorter than its IP header says, ports cut off, headers too deep; translated: from where nobody sends */
	BALANCE_DROP_TOO_BIG,	   /* for the way to the backend, and no error could be sent */
	BALANCE_DROP_NO_ROUTE,	   /* to the backend */
	BALANCE_DROP_NO_NEIGH,	   /* the MAC address on the way is not known */
	BALANCE_DROP_HEADROOM,	   /* no room in front of the packet */
	BALANCE_DROP_MODE,	   /* this program cannot forward that way */
	BALANCE_DROP_TABLES,	   /* the tables contradict themselves */
	BALANCE_DROP_TOO_BIG_TOLD, /* an ICMP error went to the sender in its place */
	BALANCE_NOTE_FULL,	   /* the flow was not recorded: all its places are taken */
	BALANCE_NOTE_LOOKUP,	   /* the way was looked up for the packet */
	BALANCE_DROP_REFUSED, /* no backend is up, and the sender was told: TCP reset, port unreachable */
	BALANCE_NOTE_UNCLAIMED, /* for a pool's address, or an error, but of no translated flow: left to the kernel */
	BALANCE_DROP_FULL, /* no port of the pool is to be had for the flow; a fragment's place, another CPU had it */
	BALANCE_DROP_TTL, /* the packet has come as far as it may */
	BALANCE_REASONS,
};

/*
 * What is counted of a target, per CPU; balance_counts has those of BALANCE_TALLIES targets in an entry. What each packet
 * adds to are the tallies, eight targets in a cache line: packets from bit 56 on, of them known ones and those that open from 48 and 40 on,
 * bytes below. One that is full (BALANCE_TALLY_FULL) is added to the counts, and 0 from then on: the sum of both is what was counted.
 */
#define BALANCE_TALLIES 16
#define BALANCE_TALLY(known, opens, bytes) \
	(1ull << 56 | (__u64)(known) << 48 | (__u64)(opens) << 40 | (__u64)(bytes))
#define BALANCE_TALLY_FULL (63ull << 56) /* who reads meanwhile may find so many packets twice */
#define BALANCE_TALLY_PACKETS(t) ((t) >> 56)
#define BALANCE_TALLY_KNOWN(t) ((t) >> 48 & 255)
#define BALANCE_TALLY_OPENED(t) ((t) >> 40 & 255)
#define BALANCE_TALLY_BYTES(t) ((t) & ((1ull << 40) - 1))

struct balance_count {
	__u64 packets, bytes; /* as they came, from the IP header on */
	__u64 opened;	      /* SYNs, Initial packets of QUIC */
	__u64 known;	      /* packets that the flow table decided */
};

struct balance_counts {
	__u64 tally[BALANCE_TALLIES];
	struct balance_count count[BALANCE_TALLIES];
};

/* Per CPU, by service; the last is for packets of no service. */
struct balance_reasons {
	__u64 n[16];
};

_Static_assert(sizeof(struct balance_ring) == 128, "balance_ring is shared");
_Static_assert(sizeof(struct balance_target) == 32, "balance_target is shared");
_Static_assert(sizeof(struct balance_hop) == 32, "balance_hop is shared");
_Static_assert(sizeof(struct balance_vip) == 32, "balance_vip is shared");
_Static_assert(sizeof(struct balance_head) == 64, "balance_head is shared");
_Static_assert(sizeof(struct balance_count) == 32, "balance_count is shared");
_Static_assert(sizeof(struct balance_counts) == 640, "balance_counts is shared");
_Static_assert(BALANCE_REASONS <= 16, "reasons have room");

#endif
