// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translated flows, on packets that vary: each program writes the next header of a table into the packet, and in the end the
 * packet is as it was. `base` only looks at it, in between, `forth` are clients' packets through the balancer, `back` backends'.
 */
#include "datapath/balance.bpf.c"
#include "bench/nat.h"

struct nat_bench bench;

struct nat_packet {
	struct ethhdr eth;
	struct iphdr ip;
	__be32 ports;
	__u8 tcp[16];
} __attribute__((packed));

static __always_inline struct nat_packet *packet(struct xdp_md *ctx)
{
	struct nat_packet *p = (void *)(long)ctx->data;

	return (void *)(p + 1) > (void *)(long)ctx->data_end ? 0 : p;
}

/* The sum of the IP header is not kept right: nobody here looks at it, and a change of it costs the same. */
static __always_inline __u32 vary(struct nat_packet *p, const struct bench_nat_header *table)
{
	__u32 turn = bench.turn++, at = turn & (bench.n - 1) & (BENCH_HEADERS - 1);
	const struct bench_nat_header *h = &table[at];

	p->ip.saddr = h->src ^ (turn >> 16 & bench.again);
	p->ip.daddr = h->dst;
	p->ip.ttl = 64;
	p->ports = h->ports;
	p->tcp[9] = bench.flags;
	return at;
}

static __always_inline int undo(struct xdp_md *ctx, __u32 at, int verdict)
{
	struct nat_packet *p = packet(ctx);

	if (!p)
		return XDP_ABORTED;
	if (verdict != XDP_TX && verdict != XDP_REDIRECT)
		bench.lost++;
	if (bench.learn) {
		bench.back[at].src = p->ip.daddr;
		bench.back[at].dst = p->ip.saddr;
		bench.back[at].ports = p->ports << 16 | p->ports >> 16;
	}
	__builtin_memset(p->eth.h_dest, 2, 12);
	return XDP_DROP;
}

SEC("xdp.frags")
int base(struct xdp_md *ctx)
{
	struct nat_packet *p = packet(ctx);
	__u32 zero = 0, at;
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &zero);

	if (!p || !v)
		return XDP_ABORTED;
	at = vary(p, bench.forth);
	if (see(ctx))
		bench.sum += v->src[1] ^ v->dst[1] ^ v->ports;
	return undo(ctx, at, XDP_TX);
}

SEC("xdp.frags")
int forth(struct xdp_md *ctx)
{
	struct nat_packet *p = packet(ctx);
	__u32 at;

	if (!p)
		return XDP_ABORTED;
	at = vary(p, bench.forth);
	return undo(ctx, at, balanced(ctx));
}

SEC("xdp.frags")
int back(struct xdp_md *ctx)
{
	struct nat_packet *p = packet(ctx);
	__u32 at;

	if (!p)
		return XDP_ABORTED;
	at = vary(p, bench.back);
	return undo(ctx, at, balanced(ctx));
}
