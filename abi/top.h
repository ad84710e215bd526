/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What datapath/top.bpf.c and src/observe share: the table's layout and the program's settings.
 *
 * The table is one array of blocks. Each CPU has a part of its own, twice: while the program fills the half
 * that epoch & 1 selects, user space empties the other one.
 *
 *     block index = ((cpu * 2 + (epoch & 1)) << block_bits) + (hash >> hash_shift)
 *
 * A block is TOP_BLOCK bytes of entries of one size: narrow ones for keys of two words, wide ones for
 * flows. Entries are never taken out one by one: an entry whose tag word is 0 is free, and the search for a
 * key ends at it.
 */
#ifndef ABI_TOP_H
#define ABI_TOP_H

#include <linux/types.h>

#define TOP_BLOCK 512 /* bytes: 16 narrow or 8 wide entries; doc/top.md has the measurement */
#define TOP_WIDE_WORDS 5

/* The tag word: what kind of key, seen on which interface (0 unless asked for), and how many packets. */
#define TOP_PACKET_BITS 40 /* a key on one CPU at 10 Mpps needs 30 hours without a reader to fill them */
#define TOP_PACKET_MASK ((1ull << TOP_PACKET_BITS) - 1)
#define TOP_KIND_BITS 4
#define TOP_IF_MAX 0xfffffu /* interface indices are cut off here */
#define TOP_TAG(kind, ifindex) ((__u64)(kind) | (__u64)(ifindex) << TOP_KIND_BITS)
#define TOP_TAG_KIND(tag) ((__u32)(tag) & ((1u << TOP_KIND_BITS) - 1))
#define TOP_TAG_IF(tag) ((__u32)((tag) >> TOP_KIND_BITS))

enum top_by {
	TOP_BY_SRC,
	TOP_BY_DST,
	TOP_BY_PREFIX, /* of the source */
	TOP_BY_FLOW,
	TOP_BY_PORT, /* protocol and destination port */
	TOP_BY_PROTO,
	TOP_BY_VLAN,
	TOP_BY_IF,
};

/* Kinds of keys, and what their words hold. Kind 0 does not exist, so that a used tag word is never 0. */
enum top_kind {
	TOP_IPV4 = 1, /* k0: address in wire order, low half. Flow: k0 source, k2 destination, k4 see below */
	TOP_IPV6,   /* k0, k1: address in wire order. Flow: k0, k1 source, k2, k3 destination, k4 */
	TOP_ETHER,  /* k0: ethertype, host order; not IP */
	TOP_SHORT,  /* frame too short for its Ethernet header or tags */
	TOP_TAGS,   /* more VLAN tags than are looked into */
	TOP_BAD_IP, /* k0: 4 or 6; IP header damaged */
	TOP_PORT,   /* k0: as k4 of a flow, without source port */
	TOP_PROTO,  /* k0: IP protocol number */
	TOP_VLAN,   /* k0: number of tags << 32 | outer VLAN id << 16 | next VLAN id */
	TOP_IF,	    /* k0: interface index */
};

/*
 * k4 of a flow, k0 of a port: enum packet_l4 << 40 | protocol << 32 | sport << 16 | dport, ports in host
 * order.
 */
#define TOP_L4(l4, proto, sport, dport) \
	((__u64)(l4) << 40 | (__u64)(proto) << 32 | (__u64)(sport) << 16 | (__u64)(dport))

struct top_narrow {
	__u64 k[2];
	__u64 tag; /* TOP_TAG << TOP_PACKET_BITS | packets */
	__u64 bytes;
};

struct top_wide {
	__u64 k[TOP_WIDE_WORDS];
	__u64 tag;
	__u64 bytes;
	__u64 pad;
};

struct top_block {
	union {
		struct top_narrow narrow[TOP_BLOCK / sizeof(struct top_narrow)];
		struct top_wide wide[TOP_BLOCK / sizeof(struct top_wide)];
	};
};

/* Per CPU, by epoch & 1: how full the table is and what did not fit into it. A cache line each. */
struct top_cpu {
	struct {
		__u64 inserted;
		__u64 over_packets;
		__u64 over_bytes;
		__u64 pad;
	} half[2];
};

/* Set before load; the verifier drops what a setting leaves unused. */
struct top_config {
	__u32 by;	  /* enum top_by */
	__u32 per_if;	  /* keys apart by interface */
	__u32 verdict;	  /* XDP_PASS, XDP_DROP... */
	__u32 block_bits; /* blocks per CPU and half, as a power of two */
	__u32 hash_shift; /* 64 - block_bits */
	__be32 mask4;	  /* TOP_BY_PREFIX */
	__u64 mask6[2];	  /* wire order */
	__u64 seed[12];	  /* random, so that nobody can choose addresses that collide */
};

_Static_assert(sizeof(struct top_narrow) == 32, "top_narrow");
_Static_assert(sizeof(struct top_wide) == 64, "top_wide");
_Static_assert(sizeof(struct top_block) == TOP_BLOCK, "top_block");
_Static_assert(sizeof(struct top_cpu) == 64, "top_cpu");
_Static_assert(sizeof(struct top_config) == 136, "top_config");

#endif
