// SPDX-License-Identifier: GPL-2.0-only
/*
 * The balancer on packets that vary: each program writes the next header of a table into the packet, and in the end the
 * packet is as it was. `base` only looks at it, in between, `varied` is the balancer; `base6` and `varied6` for IPv6.
 */
#include "datapath/balance.bpf.c"
#include "bench/balance.h"

struct balance_bench bench;

#define PACKET4 54 /* bytes */
#define PACKET6 74

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

/* The last word of an address; the one before it is 0 (bench/balance.c). */
static __always_inline void last_put(void *address, __be32 word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	((__u64 *)address)[1] = (__u64)word << 32;
#else
	((__u64 *)address)[1] = word;
#endif
}

static __always_inline int vary6(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct ipv6hdr *ip = data + sizeof(struct ethhdr);
	struct bench_header *h;
	__be32 src;

	if (data + PACKET6 > (void *)(long)ctx->data_end)
		return -1;
	h = next(&src);
	last_put(&ip->saddr, src);
	last_put(&ip->daddr, h->dst);
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

static __always_inline void look(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &zero);

	if (v && view_of(ctx, v) == VIEW_GO)
		bench.sum += v->src[1] ^ v->dst[1] ^ v->ports;
}

static __always_inline int forwarded(int verdict)
{
	if (verdict == XDP_TX || verdict == XDP_REDIRECT)
		return 1;
	bench.lost++;
	return 0;
}

SEC("xdp.frags")
int base(struct xdp_md *ctx)
{
	if (vary(ctx))
		return XDP_ABORTED;
	look(ctx);
	return undo(ctx, 0, ENCAP_BE16(ETH_P_IP));
}

SEC("xdp.frags")
int varied(struct xdp_md *ctx)
{
	if (vary(ctx))
		return XDP_ABORTED;
	return forwarded(balanced(ctx)) ? undo(ctx, 20, ENCAP_BE16(ETH_P_IP)) : XDP_DROP;
}

SEC("xdp.frags")
int base6(struct xdp_md *ctx)
{
	if (vary6(ctx))
		return XDP_ABORTED;
	look(ctx);
	return undo(ctx, 0, ENCAP_BE16(ETH_P_IPV6));
}

SEC("xdp.frags")
int varied6(struct xdp_md *ctx)
{
	if (vary6(ctx))
		return XDP_ABORTED;
	return forwarded(balanced(ctx)) ? undo(ctx, 40, ENCAP_BE16(ETH_P_IPV6)) : XDP_DROP;
}
