/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bench/balance.bpf.c and bench/balance.c share: headers that take turns in the packet. */
#ifndef BENCH_BALANCE_H
#define BENCH_BALANCE_H

#include <linux/types.h>

#define BENCH_HEADERS 65536

/* IPv4 addresses; in IPv6 packets they are the last 32 bits. Wire order. */
struct bench_header {
	__be32 src, dst;
	__be32 ports;
};

/* The .bss of balance.bpf.o. */
struct balance_bench {
	__u32 turn, n; /* n: a power of two */
	__u32 again;   /* how often the headers come again with other source addresses, before they are the same; - 1 */
	__u8 flags, unused[3]; /* of TCP */
	__u64 sum;
	__u64 lost; /* packets that were not forwarded */
	struct bench_header headers[BENCH_HEADERS];
};

#endif
