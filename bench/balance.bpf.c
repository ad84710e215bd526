// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The choice of a backend by itself: each program parses the packet and fetches the next header of a table in its
 * place, so that packets vary; all but the bases choose a backend for it and read its address.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bench/balance.h"
#include "datapath/lib/balance.h"
#include "datapath/lib/parse.h"

struct balance_bench bench;

static __always_inline struct bench_header *next(struct xdp_md *ctx)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct packet p;

	parse_ethernet(&c, &p);
	if (p.kind != PACKET_IPV4 || !parse_ipv4(&c, &p))
		return 0;
	parse_l4(&c, &p);
	bench.sum += p.dport;
	return &bench.headers[bench.turn++ & (BENCH_HEADERS - 1)];
}

static __always_inline void take(struct balance_ring *r, __u64 hash)
{
	__u32 slot = bench.slots[balance_slot(r, hash) & (BENCH_SLOTS - 1)];
	struct balance_target *t = &bench.targets[r->targets & (BENCH_TARGETS - 1)];
	struct balance_choice c = {BALANCE_CURRENT(slot), 0, 0};

	if (!balance_settled(slot))
		c = balance_choose(r, t, slot, BALANCE_PACKET_GOES_ON, 0, bpf_ktime_get_ns());
	t += c.id & BALANCE_ID_NOBODY;
	bench.sum += *(volatile __u64 *)t->addr;
}

SEC("xdp")
int base(struct xdp_md *ctx)
{
	struct bench_header *h = next(ctx);

	if (!h)
		return XDP_ABORTED;
	bench.sum += h->src[1] ^ h->dst[1] ^ h->ports ^ h->service;
	return XDP_DROP;
}

SEC("xdp")
int base6(struct xdp_md *ctx)
{
	struct bench_header *h = next(ctx);

	if (!h)
		return XDP_ABORTED;
	bench.sum += h->src[0] ^ h->src[1] ^ h->dst[0] ^ h->dst[1] ^ h->ports ^ h->service;
	return XDP_DROP;
}

SEC("xdp")
int choose(struct xdp_md *ctx)
{
	struct bench_header *h = next(ctx);
	struct balance_ring *r;

	if (!h)
		return XDP_ABORTED;
	r = &bench.rings[h->service & (BENCH_SERVICES - 1)];
	take(r, balance_hash4(r->flags, (__u32)h->src[1], (__u32)h->dst[1], h->ports, 6, bench.seed));
	return XDP_DROP;
}

SEC("xdp")
int choose6(struct xdp_md *ctx)
{
	struct bench_header *h = next(ctx);
	struct balance_ring *r;

	if (!h)
		return XDP_ABORTED;
	r = &bench.rings[h->service & (BENCH_SERVICES - 1)];
	take(r, balance_hash6(r->flags, h->src, h->dst, h->ports, 6, bench.seed));
	return XDP_DROP;
}
