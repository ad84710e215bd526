/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bench/nat.bpf.c and bench/nat.c share: headers that take turns in the packet. */
#ifndef BENCH_NAT_H
#define BENCH_NAT_H

#include <linux/types.h>

#define BENCH_HEADERS 65536

struct bench_nat_header {
	__be32 src, dst;
	__be32 ports;
	__u32 unused;
};

/* The .bss of nat.bpf.o. Each header of `forth` that was translated leaves in `back` what its backend would answer. */
struct nat_bench {
	__u32 turn, n; /* n: a power of two */
	__u32 again;   /* other source addresses each time the headers come again: bits of them */
	__u8 flags, learn, unused[2]; /* of TCP; learn: fill `back` */
	__u64 sum, lost;
	struct bench_nat_header forth[BENCH_HEADERS], back[BENCH_HEADERS];
};

#endif
