/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Translated flows: what datapath/balance_nat.h keeps, and what the host tells it.
 *
 * The place of a flow is its port. Each address of a pool has a number, and a table of 65,536 places, one for each
 * source port: the flow in place p of address a goes to its backend from port p of address a. So a reply names the place
 * of its flow, and no two flows have a port in common, whatever their backends. Eight places are a bucket; a
 * client's packet has two buckets where its flow may be, by its hash.
 *
 *     word   of a place: bits 16-31 tag (odd; 0: nobody's), 12-15 enum nat_state, 0-11 time
 *
 * A place lies in one cache line with its word: what most packets ask is one look at memory.
 *
 * Words change by compare-and-exchange alone: 0, or one whose flow gives way, to that of a claimed place; the claimer
 * fills the flow, then writes its word. Who reads compares the tag before and after it has read.
 */
#ifndef ABI_NAT_H
#define ABI_NAT_H

#include <stddef.h>
#include <linux/types.h>

#define NAT_LAYOUT 2u
#define NAT_WAYS 8u
#define NAT_PORTS 65536u /* places of an address */
#define NAT_BUCKETS (NAT_PORTS / NAT_WAYS)
#define NAT_ADDRS 64u /* of each family, at most */
#define NAT_RANGES 8u
#define NAT_POOLS 128u
#define NAT_SERVICES 1024u
#define NAT_TIME 4095u /* mask of times, in ticks of the flow table */

#define NAT_PORT_FIRST 1024u
#define NAT_PORT_OWN_END 32768u /* of the balancer's own addresses only ports below, or less: Linux's own begin there */

enum nat_state {
	NAT_FREE,
	NAT_NEW,	  /* only the client spoke */
	NAT_ANSWERED,	  /* the backend, too; the client not since */
	NAT_KEPT,	  /* TCP: the client went on */
	NAT_TALKS,	  /* others: the client went on */
	NAT_CLIENT_ENDS,  /* it sent FIN */
	NAT_BACKEND_ENDS, /* it sent FIN */
	NAT_CLOSED,	  /* both did, or a RST was seen */
	NAT_CLAIMED,	  /* is being written */
	NAT_STATES = 16,
};

#define NAT_WORD(tag, state, time) ((__u32)(tag) << 16 | (__u32)(state) << 12 | (__u32)(time))
#define NAT_TAG(word) ((__u32)(word) >> 16)
#define NAT_STATE(word) ((__u32)(word) >> 12 & 15u)
#define NAT_AGE(word, now) (((now) - (__u32)(word)) & NAT_TIME)

#define NAT_WHO(proto, service, id) ((__u32)(proto) << 23 | (__u32)(service) << 13 | (__u32)(id))
#define NAT_WHO_PROTO(who) ((__u32)(who) >> 23)
#define NAT_WHO_SERVICE(who) ((__u32)(who) >> 13 & 1023u)
#define NAT_WHO_ID(who) ((__u32)(who)&8191u)

/* What both families have. ICMP: the client's port is the identifier, the others are 0. */
struct nat_flow {
	__u32 ports;	/* host order: the client's above, the virtual address's below */
	__u32 check;	/* hash of the backend's address and port */
	__u32 who;	/* NAT_WHO() */
	__u16 hop;	/* of struct nat_hop, plus one, how to get to the client; 0: not known */
	__u16 hop_time; /* when that was found */
};

/* hop and hop_time at once. */
union nat_flow_hop {
	struct {
		__u16 hop, time;
	} is;
	__u32 word;
};

/* Addresses in host order. */
struct nat_place4 {
	__u32 word;
	__u32 client, virtual;
	struct nat_flow f;
	__u32 unused;
};

struct nat_place6 {
	__u32 word, unused;
	__u64 client[2], virtual[2];
	struct nat_flow f;
	__u64 unused2;
};

struct nat_bucket4 {
	struct nat_place4 place[NAT_WAYS];
};

struct nat_bucket6 {
	struct nat_place6 place[NAT_WAYS];
};

/* A way to clients, learned from the kernel's tables; used by a flow while the tick lasts in which it asked. */
#define NAT_HOPS 1024u
#define NAT_HOP_KEEP 3 /* ticks after which nobody uses it */
struct nat_hop {
	__u32 word; /* as of a place: tag 1, NAT_NEW or NAT_CLAIMED, time of its last finding */
	__u32 ifindex, mtu;
	__u8 dmac[6], smac[6];
	__u8 unused[8];
};

/* A packet in fragments, by where its first one is from and went to; buckets of four, in which the oldest gives way. */
#define NAT_FRAGMENTS 16384u
#define NAT_FRAGMENT_WAYS 4u
#define NAT_FRAGMENT_CLAIMED 1ull
struct nat_fragment {
	__u64 key;   /* bits 12-63 of the hash, time below; 0: none */
	__u32 place; /* of the flow: address << 16 | port */
	__u16 tag;   /* the flow's */
	__u16 ident; /* IPv4: that all of them get */
};

/*
 * IPv4 identifications of packets in fragments: the upper bits are the sender's, so that none uses up those of others; the lower ones are
 * counted for each pair of addresses that the packets get, by hash, and come again after NAT_IDENT_TURN packets.
 */
#define NAT_IDENTS 8192u
#define NAT_IDENT_TURN 1024u

/* Addresses that pools have: numbers from `number` on. */
struct nat_range4 {
	__u32 first, n; /* host order */
	__u32 number;
	__u32 own; /* the balancer's own: ports from this one on are Linux's, what is for no flow is nothing special; 0: they are not */
};

struct nat_range6 {
	__u64 hi, lo; /* host order */
	__u32 n, number;
	__u32 own, unused;
};

/* What a service translates to: addresses by number ([0] IPv4, [1] IPv6) and buckets of ports. n 0: none. */
struct nat_pool {
	__u16 first[2], n[2];
	__u16 bucket, n_buckets;
	__u32 unused;
};

/* Constants of a program: set before it is loaded. */
struct nat_config {
	__u32 layout;	  /* NAT_LAYOUT: flows of another are not read */
	__u32 n_addrs[2]; /* that there are places for; both 0: no service translates */
	struct nat_range4 range4[NAT_RANGES];
	struct nat_range6 range6[NAT_RANGES];
	__be32 addr4[NAT_ADDRS]; /* by number */
	__u64 addr6[NAT_ADDRS][2];
	/* by state: ticks of silence after which a flow gives way as one that is over; rank otherwise */
	__u16 idle[NAT_STATES];
	__u8 rank[NAT_STATES];
	struct nat_pool pool[NAT_POOLS]; /* [0]: nothing */
	__u8 pool_of[NAT_SERVICES];	 /* by number of the service */
};

_Static_assert(sizeof(struct nat_flow) == 16, "nat_flow is shared");
_Static_assert(sizeof(struct nat_place4) == 32, "32 bytes a flow");
_Static_assert(sizeof(struct nat_place6) == 64, "64 bytes a flow");
_Static_assert(offsetof(struct nat_place4, word) == 0 && offsetof(struct nat_place6, word) == 0,
	       "words are found alike");
_Static_assert(sizeof(struct nat_hop) == 32, "nat_hop is shared");
_Static_assert(sizeof(struct nat_fragment) == 16, "nat_fragment is shared");
_Static_assert(sizeof(struct nat_pool) == 16, "nat_pool is shared");

#endif
