// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rule lookup by itself: each program parses the packet, fetches the next header of a table in its place, so
 * that packets vary, and (but for the bases) looks for its rule.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bench/classify.h"
#include "datapath/lib/classify.h"
#include "datapath/lib/parse.h"

struct classify_bench bench;

/* What a header has in a packet, exclusive-or: the bench's packets have zeroes there. -1: no such packet. */
static __always_inline int service_of(struct packet *p, struct cursor *c, struct classify_service *s)
{
	parse_l4(c, p);
	s->sport ^= p->sport;
	s->dport ^= p->dport;
	s->proto ^= p->proto.nr ^ IP_PROTO_UDP;
	return 0;
}

static __always_inline __u32 next(void)
{
	__u32 mask = bench.n_headers - 1;

	return bench.turn++ & mask & (CLASSIFY_HEADERS - 1);
}

static __always_inline int four(struct xdp_md *ctx, struct header4 *h, struct classify_service *s,
				__u32 *turn)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct packet p;
	struct iphdr *ip;

	parse_ethernet(&c, &p);
	if (p.kind != PACKET_IPV4 || !(ip = parse_ipv4(&c, &p)))
		return -1;
	*turn = next();
	*h = bench.headers.four[*turn];
	*s = (struct classify_service){.sport = h->sport,
				       .dport = h->dport,
				       .flags = h->flags,
				       .proto = h->proto,
				       .extra = h->extra};
	h->src ^= ip->saddr;
	h->dst ^= ip->daddr;
	return service_of(&p, &c, s);
}

SEC("xdp")
int base4(struct xdp_md *ctx)
{
	struct classify_service s;
	struct header4 h;
	__u32 turn;

	if (four(ctx, &h, &s, &turn))
		return XDP_ABORTED;
	bench.sum += h.src ^ h.dst ^ s.sport ^ s.dport ^ s.proto ^ s.flags ^ s.extra;
	return XDP_DROP;
}

SEC("xdp")
int lookup4(struct xdp_md *ctx)
{
	struct classify_service s;
	struct header4 h;
	__u32 turn;

	if (four(ctx, &h, &s, &turn))
		return XDP_ABORTED;
	bench.sum += classify_ipv4(bench.image, h.src, h.dst, &s);
	return XDP_DROP;
}

/* The same, and the answer kept for whom compares. */
SEC("xdp")
int answer4(struct xdp_md *ctx)
{
	struct classify_service s;
	struct header4 h;
	__u32 turn;

	if (four(ctx, &h, &s, &turn))
		return XDP_ABORTED;
	bench.answers[turn & (CLASSIFY_HEADERS - 1)] = classify_ipv4(bench.image, h.src, h.dst, &s);
	return XDP_DROP;
}

static __always_inline int six(struct xdp_md *ctx, struct header6 *h, struct classify_service *s, __u32 *turn)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct packet p;
	struct ipv6hdr *ip;

	parse_ethernet(&c, &p);
	if (p.kind != PACKET_IPV6 || !(ip = parse_ipv6(&c, &p)))
		return -1;
	*turn = next();
	*h = bench.headers.six[*turn];
	*s = (struct classify_service){.sport = h->sport,
				       .dport = h->dport,
				       .flags = h->flags,
				       .proto = h->proto,
				       .extra = h->extra};
	h->src[0] ^= ip->saddr.in6_u.u6_addr32[0];
	h->dst[0] ^= ip->daddr.in6_u.u6_addr32[0];
	parse_ipv6_extensions(&c, &p);
	return service_of(&p, &c, s);
}

SEC("xdp")
int base6(struct xdp_md *ctx)
{
	struct classify_service s;
	struct header6 h;
	__u32 turn;

	if (six(ctx, &h, &s, &turn))
		return XDP_ABORTED;
	bench.sum +=
		h.src[0] ^ h.src[1] ^ h.dst[0] ^ h.dst[1] ^ s.sport ^ s.dport ^ s.proto ^ s.flags ^ s.extra;
	return XDP_DROP;
}

SEC("xdp")
int lookup6(struct xdp_md *ctx)
{
	struct classify_service s;
	struct header6 h;
	__u32 turn;

	if (six(ctx, &h, &s, &turn))
		return XDP_ABORTED;
	bench.sum += classify_ipv6(bench.image, h.src[0], h.src[1], h.dst[0], h.dst[1], &s);
	return XDP_DROP;
}

SEC("xdp")
int answer6(struct xdp_md *ctx)
{
	struct classify_service s;
	struct header6 h;
	__u32 turn;

	if (six(ctx, &h, &s, &turn))
		return XDP_ABORTED;
	bench.answers[turn & (CLASSIFY_HEADERS - 1)] =
		classify_ipv6(bench.image, h.src[0], h.src[1], h.dst[0], h.dst[1], &s);
	return XDP_DROP;
}

SEC("xdp")
int bare(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
