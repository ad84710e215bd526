/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bench/balance.bpf.c and bench/balance.c share: headers that stand for the packets', and services' memory. */
#ifndef BENCH_BALANCE_H
#define BENCH_BALANCE_H

#include "abi/balance.h"

#define BENCH_HEADERS 65536
#define BENCH_SERVICES 128
#define BENCH_SLOTS (1u << 23) /* 100 services of 65,537 */
#define BENCH_TARGETS (1u << 14)

struct bench_header {
	__u64 src[2], dst[2]; /* host order; IPv4 in [1] */
	__u32 ports;
	__u32 service;
};

/* The .bss of balance.bpf.o. */
struct balance_bench {
	__u32 turn;
	__u32 unused;
	__u64 sum;
	__u64 seed[10];
	struct bench_header headers[BENCH_HEADERS];
	struct balance_ring rings[BENCH_SERVICES];
	struct balance_target targets[BENCH_TARGETS + BALANCE_ID_NOBODY + 1];
	__u32 slots[BENCH_SLOTS];
};

#endif
