// SPDX-License-Identifier: GPL-2.0-only
/*
 * The filter on packets that vary: each program writes the next header of a table into the packet; `base`
 * then only parses it, `varied` is the filter.
 */
#include "datapath/filter.bpf.c"
#include "bench/filter.h"

struct filter_headers headers;

static __always_inline int vary(struct xdp_md *ctx)
{
	struct packet_of {
		struct ethhdr eth;
		struct iphdr ip;
		__be16 sport, dport;
		__u8 tcp[16];
	} __attribute__((packed)) *p = (void *)(long)ctx->data;
	struct filter_header *h = &headers.v[headers.turn++ & (headers.n - 1) & (FILTER_HEADERS - 1)];

	if ((void *)(p + 1) > (void *)(long)ctx->data_end)
		return -1;
	p->ip.saddr = h->src + (headers.turn >> 16) * headers.spread;
	p->ip.daddr = h->dst;
	p->ip.protocol = h->proto;
	p->sport = h->sport;
	p->dport = h->dport;
	p->tcp[9] = h->flags;
	return 0;
}

static __always_inline int vary6(struct xdp_md *ctx)
{
	struct packet_of {
		struct ethhdr eth;
		__u8 ip[6], proto, ttl;
		__u64 src[2], dst[2];
		__be16 sport, dport;
		__u8 tcp[16];
	} __attribute__((packed)) *p = (void *)(long)ctx->data;
	struct filter_header6 *h = &headers.v6[headers.turn++ & (headers.n - 1) & (FILTER_HEADERS - 1)];

	if ((void *)(p + 1) > (void *)(long)ctx->data_end)
		return -1;
	p->src[0] = h->src[0];
	p->src[1] = h->src[1];
	p->dst[0] = h->dst[0];
	p->dst[1] = h->dst[1];
	p->proto = h->proto;
	p->sport = h->sport;
	p->dport = h->dport;
	p->tcp[9] = h->flags;
	return 0;
}

SEC("xdp.frags")
int base6(struct xdp_md *ctx)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct ipv6hdr *ip;
	struct packet p;

	if (vary6(ctx))
		return XDP_ABORTED;
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
	return vary6(ctx) ? XDP_ABORTED : decide(ctx);
}

SEC("xdp.frags")
int base(struct xdp_md *ctx)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct iphdr *ip;
	struct packet p;

	if (vary(ctx))
		return XDP_ABORTED;
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
	return vary(ctx) ? XDP_ABORTED : decide(ctx);
}
