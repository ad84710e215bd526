/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bench/live.bpf.c and bench/live.c share: the packets that are made, and the kernel's own tables. */
#ifndef BENCH_LIVE_H
#define BENCH_LIVE_H

#include <linux/types.h>

#define LIVE_HEADERS 65536
#define LIVE_FRAME 64
#define LIVE_SPREAD 2654435761u /* odd: a number times it, in 32 bits, is another address for each number */
#define LIVE_ELEMENTS (1u << 20)

struct live_header {
	__be32 src, dst;
	__be16 sport, dport;
	__be16 check; /* of the IP header */
	__u8 proto, flags;
};

/* The .data.live of live.bpf.c. */
struct live {
	__u32 turn, to_ifindex;
	__u64 random;
	/* 0: headers in turn; else sources are one of so many numbers, drawn evenly, times LIVE_SPREAD */
	__u64 n_sources;
	struct live_header header[LIVE_HEADERS];
};

struct live_prefix { /* key of a kernel's LPM trie */
	__u32 len;
	__be32 addr;
};

struct live_seen {
	__u64 packets, bytes;
};

_Static_assert(sizeof(struct live_header) == 16, "struct live_header is shared");

#endif
