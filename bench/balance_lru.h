/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bench/balance_lru.bpf.c and bench/balance_lru.c share, and what the latter offers to bench/balance.c. */
#ifndef BENCH_BALANCE_LRU_H
#define BENCH_BALANCE_LRU_H

#include <linux/types.h>

#define LRU_SERVICES 100u
#define LRU_BACKENDS 100u
#define LRU_SLOTS 65537u

/* Keys and values of its maps; addresses in wire order, IPv4 in the first word. */
struct lru_virtual {
	__be32 addr[4];
	__be16 port;
	__u16 proto;
};

struct lru_service {
	__u32 flags, number;
};

struct lru_flow {
	__be32 src[4], dst[4];
	__be32 ports;
	__u8 proto, unused[3];
};

struct lru_known {
	__u32 backend, unused;
	__u64 seen;
};

struct lru_backend {
	__be32 addr[4];
	__u32 flags;
};

struct lru_counts {
	__u64 packets, bytes;
};

#ifndef __bpf__
#include <stddef.h>
#include "bench/balance.h"

struct bpf_object;

struct lru_bed {
	struct bpf_object *object;
	struct balance_bench *bss;
	size_t bss_len;
	int prog;
};

/*
 * lru_open() loads DIR/balance_lru.bpf.o with room for so many flows on CPU 0, and the services and ports of bench/balance.c;
 * lru_headers() lets it send what another bed does. Both die on failure; lru_close() takes it away.
 */
void lru_open(struct lru_bed *bed, const char *dir, __u32 flows);
void lru_headers(struct lru_bed *bed, const struct balance_bench *of);
void lru_close(struct lru_bed *bed);
#endif

#endif
