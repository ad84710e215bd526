/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF: the next header of a table into an IPv4 packet of 54 bytes, and the packet as it was again, behind whatever put a header
 * in front of it. For programs whose .bss is a struct balance_bench.
 */
#ifndef BENCH_BALANCE_VARY_H
#define BENCH_BALANCE_VARY_H

#include "bench/balance.h"

struct balance_bench bench;

#define PACKET4 54 /* bytes */

static __always_inline struct bench_header *next(__be32 *src)
{
	__u32 turn = bench.turn++;
	struct bench_header *h = &bench.headers[turn & (bench.n - 1) & (BENCH_HEADERS - 1)];

	*src = h->src ^ (turn >> 16 & bench.again);
	return h;
}

/*
 * In words as large as they are read in: whoever reads a word that is still bytes in the CPU's store buffer waits until they have left
 * it, which no packet from a card costs.
 */
static __always_inline void ports_put(void *l4, const struct bench_header *h)
{
	*(__be32 *)l4 = h->ports;
	((__u8 *)l4)[13] = bench.flags;
}

static __always_inline int vary(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct bench_header *h;
	__be32 src;

	if (data + PACKET4 > (void *)(long)ctx->data_end)
		return -1;
	h = next(&src);
	ip->saddr = src;
	ip->daddr = h->dst;
	ports_put(ip + 1, h);
	return 0;
}

/* head bytes come off again, and the Ethernet header is as in the packet that bench/balance.c makes */
static __always_inline int undo(struct xdp_md *ctx, int head, __be16 type)
{
	void *data;

	if (bpf_xdp_adjust_head(ctx, head))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	if (data + sizeof(struct ethhdr) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	*(__u64 *)data = 0x0202020202020202;
	*(__u32 *)(data + 8) = 0x02020202;
	*(__be16 *)(data + 12) = type;
	return XDP_DROP;
}

static __always_inline int forwarded(int verdict)
{
	if (verdict == XDP_TX || verdict == XDP_REDIRECT)
		return 1;
	bench.lost++;
	return 0;
}

#endif
