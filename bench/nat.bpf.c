// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translated flows, on packets that vary: each program writes the next header of a table into the packet, and in the end the
 * packet is as it was. `base` only looks at it, in between, `forth` are clients' packets through the balancer, `back` backends'.
 */
#include "datapath/balance.bpf.c"
#include "bench/nat.h"

struct nat_bench bench;

#define PACKET 54 /* bytes */

static __always_inline struct iphdr *packet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;

	return data + PACKET > (void *)(long)ctx->data_end ? 0 : data + sizeof(struct ethhdr);
}

/*
 * In words as large as they are read in: whoever reads a word that is still bytes in the CPU's store buffer waits until they have left
 * it, which no packet from a card costs. The sum of the IP header is not kept right: nobody here looks at it, and a change of it
 * costs the same.
 */
static __always_inline __u32 vary(struct iphdr *ip, const struct bench_nat_header *table)
{
	__u32 turn = bench.turn++, at = turn & (bench.n - 1) & (BENCH_HEADERS - 1);
	const struct bench_nat_header *h = &table[at];

	ip->saddr = h->src ^ (turn >> 16 & bench.again);
	ip->daddr = h->dst;
	*(__be16 *)&ip->ttl = ENCAP_BE16(64 << 8 | IP_PROTO_TCP);
	*(__be32 *)(ip + 1) = h->ports;
	((__u8 *)(ip + 1))[13] = bench.flags;
	return at;
}

static __always_inline int undo(struct xdp_md *ctx, __u32 at, int verdict)
{
	struct iphdr *ip = packet(ctx);
	__be32 ports;

	if (!ip)
		return XDP_ABORTED;
	if (verdict != XDP_TX && verdict != XDP_REDIRECT)
		bench.lost++;
	if (bench.learn) {
		ports = *(__be32 *)(ip + 1);
		bench.back[at].src = ip->daddr;
		bench.back[at].dst = ip->saddr;
		bench.back[at].ports = ports << 16 | ports >> 16;
	}
	*(__u64 *)((void *)ip - 14) = 0x0202020202020202;
	*(__u32 *)((void *)ip - 6) = 0x02020202;
	return XDP_DROP;
}

SEC("xdp.frags")
int base(struct xdp_md *ctx)
{
	struct iphdr *ip = packet(ctx);
	__u32 zero = 0, at;
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &zero);

	if (!ip || !v)
		return XDP_ABORTED;
	at = vary(ip, bench.forth);
	if (see(ctx))
		bench.sum += v->src[1] ^ v->dst[1] ^ v->ports;
	return undo(ctx, at, XDP_TX);
}

SEC("xdp.frags")
int forth(struct xdp_md *ctx)
{
	struct iphdr *ip = packet(ctx);
	__u32 at;

	if (!ip)
		return XDP_ABORTED;
	at = vary(ip, bench.forth);
	return undo(ctx, at, balanced(ctx));
}

SEC("xdp.frags")
int back(struct xdp_md *ctx)
{
	struct iphdr *ip = packet(ctx);
	__u32 at;

	if (!ip)
		return XDP_ABORTED;
	at = vary(ip, bench.back);
	return undo(ctx, at, balanced(ctx));
}
