// SPDX-License-Identifier: GPL-2.0-only
/*
 * The filter on packets that vary: each program writes the next header of a table into the packet; `base`
 * then only parses it, `varied` is the filter.
 */
#include "datapath/filter.bpf.c"
#include "bench/filter.h"

struct filter_headers headers;

/*
 * Words are written as they are read, whole: bytes that are read as a word before they have left the store buffer would
 * hold the reader up, which no packet from a card does.
 */
#define PUT(type, at, value) (*(type *)(data + (at)) = (value))

/* What is too short stays as it is; none of the bench's is, and a jump to the end of the program would be longer than 16 bits. */
static __always_inline void vary(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct filter_header *h = &headers.v[headers.turn++ & (headers.n - 1) & (FILTER_HEADERS - 1)];

	if (data + 54 > (void *)(long)ctx->data_end)
		return;
	PUT(__u32, 26, h->src + (headers.turn >> 16) * headers.spread);
	PUT(__u32, 30, h->dst);
	PUT(__u8, 23, h->proto);
	PUT(__u16, 34, h->sport);
	PUT(__u16, 36, h->dport);
	PUT(__u8, 47, h->flags);
}

static __always_inline void vary6(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct filter_header6 *h = &headers.v6[headers.turn++ & (headers.n - 1) & (FILTER_HEADERS - 1)];

	if (data + 74 > (void *)(long)ctx->data_end)
		return;
	PUT(__u64, 22, h->src[0] + (__u64)(headers.turn >> 16) * headers.spread);
	PUT(__u64, 30, h->src[1]);
	PUT(__u64, 38, h->dst[0]);
	PUT(__u64, 46, h->dst[1]);
	PUT(__u8, 20, h->proto);
	PUT(__u16, 54, h->sport);
	PUT(__u16, 56, h->dport);
	PUT(__u8, 67, h->flags);
}

SEC("xdp.frags")
int base6(struct xdp_md *ctx)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct ipv6hdr *ip;
	struct packet p;

	vary6(ctx);
	parse_ethernet(&c, &p);
	if (p.kind != PACKET_IPV6 || !(ip = parse_ipv6(&c, &p)))
		return XDP_ABORTED;
	parse_ipv6_extensions(&c, &p);
	parse_l4(&c, &p);
	headers.sum += *(__u64 *)&ip->saddr ^ *(__u64 *)&ip->daddr ^ p.sport ^ p.dport ^ p.proto.nr;
	return XDP_DROP;
}

SEC("xdp.frags")
int varied6(struct xdp_md *ctx)
{
	vary6(ctx);
	return decide(ctx);
}

SEC("xdp.frags")
int base(struct xdp_md *ctx)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct iphdr *ip;
	struct packet p;

	vary(ctx);
	parse_ethernet(&c, &p);
	if (p.kind != PACKET_IPV4 || !(ip = parse_ipv4(&c, &p)))
		return XDP_ABORTED;
	parse_l4(&c, &p);
	headers.sum += ip->saddr ^ ip->daddr ^ p.sport ^ p.dport ^ p.proto.nr;
	return XDP_DROP;
}

SEC("xdp.frags")
int varied(struct xdp_md *ctx)
{
	vary(ctx);
	return decide(ctx);
}
