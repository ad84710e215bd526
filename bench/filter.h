/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bench/filter.bpf.c and bench/filter.c share: headers that are written into the packets, in turn. */
#ifndef BENCH_FILTER_H
#define BENCH_FILTER_H

#include <linux/types.h>

#define FILTER_HEADERS 65536

struct filter_header {
	__be32 src, dst;
	__be16 sport, dport;
	__u8 proto, flags, pad[2];
};

struct filter_header6 {
	__u64 src[2], dst[2];
	__be16 sport, dport;
	__u8 proto, flags, pad[2];
};

struct filter_headers {
	__u32 turn, n; /* n: a power of two */
	__u32 spread; /* to sources (IPv6: their upper half): added so often, each time all headers have been written */
	__u32 pad;
	__u64 sum;
	struct filter_header v[FILTER_HEADERS];
	struct filter_header6 v6[FILTER_HEADERS];
};

#endif
