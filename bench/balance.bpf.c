// SPDX-License-Identifier: GPL-2.0-only
/*
 * The balancer on packets that vary: each program writes the next header of a table into the packet, and in the end the
 * packet is as it was. `base` only looks at it, in between, `varied` is the balancer; `base6` and `varied6` for IPv6.
 */
#include "datapath/balance.bpf.c"
#include "bench/balance_vary.h"

#define PACKET6 74 /* bytes */

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

static __always_inline void look(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &zero);

	if (v && view_of(ctx, v) == VIEW_GO)
		bench.sum += v->src[1] ^ v->dst[1] ^ v->ports;
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
