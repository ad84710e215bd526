/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the traffic generator's BPF program and its host share: the host computes a template and constant sums,
 * the program writes every packet from them.
 */
#ifndef ABI_TRAFFIC_H
#define ABI_TRAFFIC_H

#include <linux/types.h>

#define TRAFFIC_HEAD_MAX 88 /* QinQ, IPv6 and TCP make 82; stored as whole 8-byte words */
#define TRAFFIC_WORDS (TRAFFIC_HEAD_MAX / 8)
#define TRAFFIC_FRAME_MIN 60
#define TRAFFIC_FRAME_MAX 3408 /* what a page holds beside the kernel's own head and tail */

enum traffic_draw {
	TRAFFIC_FIXED,	/* in the template already */
	TRAFFIC_SEQ,	/* 0, 1, ... n - 1, 0, ... */
	TRAFFIC_SCALE,	/* random below n <= 2^32 */
	TRAFFIC_MODULO, /* random below n > 2^32, n 0 being 2^64 */
};

/* How one field of the packet varies; values in host byte order. */
struct traffic_field {
	__u64 base_hi, base_lo; /* value of draw 0; addresses of IPv4 and numbers in base_lo alone */
	__u64 n;		/* how many values, 0 for 2^64 */
	__u64 random_hi;	/* bits of base_hi that are random too */
	__u64 seed;
	__u32 draw; /* enum traffic_draw */
	__u32 offset; /* in the frame */
};

/* The program's .rodata, written before load. */
struct traffic_conf {
	__u64 words[TRAFFIC_WORDS]; /* the first head_len bytes of the frame, varying fields zero */
	__u64 tail;		    /* the last 8 bytes of them, where head_len is not whole words */
	__u32 head_len;		    /* 60..88: what the program writes of each frame */
	__u32 n_words;		    /* whole words in it */
	__u32 frame_len;	    /* of a replay: the longest, the length frames have when the program starts */
	__u32 ipv6;
	__u32 udp;	  /* a checksum of 0 is sent as ffff */
	__u32 ip_csum_at; /* offset of the IPv4 header checksum, 0: constant, or none */
	__u32 ip_csum;	  /* one's complement sum of the constant part, not inverted */
	__u32 l4_csum_at;
	__u32 l4_csum;
	__u32 l4_pseudo;  /* addresses count in the L4 checksum */
	__u32 replay;	  /* send frames from the arena instead */
	__u32 same_len;	  /* every frame of it is frame_len long */
	__u32 arena_last; /* highest offset at which TRAFFIC_FRAME_MAX bytes fit into the arena */
	__u32 pad;
	struct traffic_field src, dst;
	struct traffic_field port[2]; /* source and destination port, or [1] the echo sequence */
	struct traffic_field order;   /* of a replay */
};

/* The program's .bss, mapped by the host; one CPU writes. */
struct traffic_state {
	__u64 sent;    /* handed to the interface; the number of the packet being made */
	__u64 bytes;   /* of a replay; packets made here are all of one length */
	__u64 refused; /* the interface was gone, or a frame could not be made */
	__u64 next[4]; /* of sequential fields: src, dst, port[0], port[1] or order */
};

/* One frame of a capture in the arena. */
struct traffic_frame {
	__u32 at, len;
};

_Static_assert(sizeof(struct traffic_field) == 48, "layout");
_Static_assert(sizeof(struct traffic_conf) == TRAFFIC_HEAD_MAX + 64 + 5 * 48, "layout");
_Static_assert(sizeof(struct traffic_state) == 56, "layout");
_Static_assert(sizeof(struct traffic_frame) == 8, "layout");

#endif
