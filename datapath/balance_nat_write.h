/* SPDX-License-Identifier: GPL-2.0-only */
/* What a translated packet gets: addresses, ports, a hop less, sums; and what an ICMP error quotes of one, likewise. */
#ifndef DATAPATH_BALANCE_NAT_WRITE_H
#define DATAPATH_BALANCE_NAT_WRITE_H

#include "datapath/balance_nat_maps.h"
#include "datapath/balance_out.h"

/* An IP header's addresses. Returns what that adds to sums over them. */
static __always_inline __u64 nat_put4(struct iphdr *ip, __be32 src, __be32 dst)
{
	__u64 change = nat_less(ip->saddr) + nat_less(ip->daddr) + src + dst;

	ip->saddr = src;
	ip->daddr = dst;
	return change;
}

static __always_inline __u64 nat_put6(struct ipv6hdr *ip, const __u64 src[2], const __u64 dst[2])
{
	__u64 *s = (__u64 *)&ip->saddr, *d = (__u64 *)&ip->daddr;
	__u64 change = nat_halves_less(s) + nat_halves_less(d) + nat_halves(src) + nat_halves(dst);

	s[0] = src[0];
	s[1] = src[1];
	d[0] = dst[0];
	d[1] = dst[1];
	return change;
}

/* A field of 16 bits gets a new value; what that adds to sums over it. */
static __always_inline __u64 nat_put16(__u16 *at, __u16 value)
{
	__u64 change = (__u16)~*at + (__u64)value;

	*at = value;
	return change;
}

static __always_inline __u64 nat_put32(__u32 *at, __u32 value)
{
	__u64 change = nat_less(*at) + value;

	*at = value;
	return change;
}

/*
 * Ports or identifier of what l4 points to, of which 8 bytes are there, and its sum: if it is there (TCP: whole). addrs: what
 * the addresses add to it. Returns what all that adds to a sum over it.
 */
static __always_inline __u64 nat_put_l4(const struct view *v, char *l4, __u32 whole, __be32 to, __u64 addrs)
{
	__u64 change;
	__u16 *check;

	if (v->proto == IP_PROTO_TCP) {
		change = nat_put32((__u32 *)l4, to);
		check = (__u16 *)(l4 + 16);
		return whole ? change + nat_put16(check, nat_sum(*check, addrs + change)) : change;
	}
	if (v->proto == IP_PROTO_UDP) {
		change = nat_put32((__u32 *)l4, to);
		check = (__u16 *)(l4 + 6);
		return change + nat_put16(check, nat_sum_udp(*check, addrs + change));
	}
	change = nat_put16((__u16 *)(l4 + 4), *(__u16 *)&to);
	check = (__u16 *)(l4 + 2);
	return change + nat_put16(check, nat_sum(*check, change + (v->v6 ? addrs : 0)));
}

/*
 * An ICMP error: what it quotes went the other way, so it has been from where the error goes now. outer: what the error's own
 * addresses add to a sum over them.
 */
static __noinline int nat_write_error(struct xdp_md *ctx, __u64 outer)
{
	const struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	const struct nat_work *w = nat_work();
	char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	char *icmp, *l4;
	__u64 change, addrs;
	__u32 whole;
	__be32 to;

	if (!v || !w)
		return 0;
	icmp = data + (v->l4 & 0x3fff);
	l4 = data + (v->inner & 0x3fff);
	whole = v->proto == IP_PROTO_TCP && v->inner + 18 <= v->l3 + v->bytes;
	/* an echo's identifier is not two ports */
	to = nat_is_echo(v) ? w->to : w->to << 16 | w->to >> 16;
	if (v->v6) {
		struct ipv6hdr *ip = (void *)(icmp + 8);

		if ((void *)(ip + 1) > (void *)end)
			return 0;
		addrs = nat_put6(ip, w->dst.v6, w->src.v6);
		change = outer + addrs;
	} else {
		struct iphdr *ip = (void *)(icmp + 8);

		if ((void *)(ip + 1) > (void *)end)
			return 0;
		addrs = nat_put4(ip, w->dst.v4, w->src.v4);
		change = addrs + nat_put16(&ip->check, nat_sum(ip->check, addrs));
	}
	if (whole && (void *)(l4 + 18) <= (void *)end)
		change += nat_put_l4(v, l4, 1, to, addrs);
	else if ((void *)(l4 + 8) <= (void *)end)
		change += nat_put_l4(v, l4, 0, to, addrs);
	else
		return 0;
	*(__u16 *)(icmp + 2) = nat_sum(*(__u16 *)(icmp + 2), change);
	return 1;
}

/* The IP header; hops: that are taken off. Returns what its addresses add to sums, with bit 63 set; 0: there is none. */
static __always_inline __u64 nat_write_ip(struct xdp_md *ctx, const struct view *v, const struct nat_work *w,
					  __u32 hops)
{
	char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 addrs, change;
	struct ipv6hdr *ip6;
	struct iphdr *ip;

	if (v->v6) {
		ip6 = (void *)(data + (v->l3 & 63));
		if ((void *)(ip6 + 1) > (void *)end)
			return 0;
		ip6->hop_limit -= hops;
		return nat_put6(ip6, w->src.v6, w->dst.v6) | 1ull << 63;
	}
	ip = (void *)(data + (v->l3 & 63));
	if ((void *)(ip + 1) > (void *)end)
		return 0;
	addrs = nat_put4(ip, w->src.v4, w->dst.v4);
	change = addrs + nat_put16((__u16 *)&ip->ttl, *(__u16 *)&ip->ttl - hops * ENCAP_BE16(0x0100));
	if (w->ident <= 0xffff)
		change += nat_put16(&ip->id, (__u16)w->ident);
	ip->check = nat_sum(ip->check, change);
	return addrs | 1ull << 63;
}

/* The whole packet; hops: 1, or 0 if the kernel takes it off; 0: headers are missing that were there before. */
static __always_inline int nat_write(struct xdp_md *ctx, const struct view *v, const struct nat_work *w,
				     __u32 hops)
{
	char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *l4;
	__u64 addrs = nat_write_ip(ctx, v, w, hops);

	if (!addrs)
		return 0;
	addrs &= ~(1ull << 63);
	if (v->kind == BALANCE_PACKET_FRAGMENT)
		return 1;
	if (v->kind == BALANCE_PACKET_ERROR)
		return nat_write_error(ctx, addrs);
	l4 = data + (v->l4 & 0x3fff);
	if ((void *)(l4 + 20) <= (void *)end)
		nat_put_l4(v, l4, 1, w->to, addrs);
	else if ((void *)(l4 + 8) <= (void *)end && v->proto != IP_PROTO_TCP)
		nat_put_l4(v, l4, 0, w->to, addrs);
	else
		return 0;
	return 1;
}

#endif
