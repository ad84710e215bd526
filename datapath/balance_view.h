/* SPDX-License-Identifier: GPL-2.0-only */
/* First phase of balance.bpf.c: what a packet is to the balancer. */
#ifndef DATAPATH_BALANCE_VIEW_H
#define DATAPATH_BALANCE_VIEW_H

#include "datapath/lib/balance.h"
#include "datapath/lib/parse.h"

struct view {
	__u64 src[2], dst[2]; /* of the flow, host order; IPv4 in [1] */
	__u64 hash;
	__u32 ports; /* the source's in the upper half; 0 without */
	__u32 v6;
	__u8 proto, kind;  /* enum balance_packet */
	__u8 tos, damaged; /* damaged: what the packet is for cannot be told */
	__u32 more;	   /* a first fragment: others follow */
	__u32 ident;	   /* of a fragment */
	__u32 l3, bytes;   /* where the IP header begins, and how long the packet is from there on */
	__u32 l4, inner;   /* where what follows it begins; of an error: and what follows the quoted one */
	__u32 n_tags;
	__u32 service, id; /* as chosen; its target */
	struct balance_hop hop;
};

/* VIEW_QUOTES: an ICMP error; view_quoted() goes on */
enum view_verdict { VIEW_PASS, VIEW_GO, VIEW_QUOTES };

static __always_inline void view_addresses4(struct view *v, __be32 src, __be32 dst)
{
	v->src[0] = v->dst[0] = 0;
	v->src[1] = BALANCE_HOST32(src);
	v->dst[1] = BALANCE_HOST32(dst);
}

static __always_inline void view_addresses6(struct view *v, const struct in6_addr *src,
					    const struct in6_addr *dst)
{
	v->src[0] = BALANCE_HOST64(((const __u64 *)src)[0]);
	v->src[1] = BALANCE_HOST64(((const __u64 *)src)[1]);
	v->dst[0] = BALANCE_HOST64(((const __u64 *)dst)[0]);
	v->dst[1] = BALANCE_HOST64(((const __u64 *)dst)[1]);
}

/* An IP packet's header at c, of either family; p and v are told what it says. Returns 0 if it cannot be one. */
static __always_inline int view_ip(struct cursor *c, struct packet *p, struct view *v)
{
	struct ipv6hdr *ip6;
	struct iphdr *ip;

	if (p->kind == PACKET_IPV4) {
		ip = parse_ipv4(c, p);
		if (!ip)
			return 0;
		v->v6 = 0;
		v->bytes = PARSE_BE16(ip->tot_len);
		v->tos = ip->tos;
		v->ident = ip->id;
		view_addresses4(v, ip->saddr, ip->daddr);
	} else {
		ip6 = parse_ipv6(c, p);
		if (!ip6)
			return 0;
		v->v6 = 1;
		v->bytes = ip6->payload_len ? PARSE_BE16(ip6->payload_len) + sizeof(*ip6) : 0;
		v->tos = (__u8)(BALANCE_HOST32(*(__be32 *)ip6) >> 20);
		view_addresses6(v, &ip6->saddr, &ip6->daddr);
		parse_ipv6_extensions(c, p);
		v->ident = p->frag_id;
	}
	v->proto = p->proto.nr;
	return 1;
}

static __always_inline int view_is_error(const struct packet *p)
{
	if (p->proto.nr == IP_PROTO_ICMPV6)
		return p->icmp_type >= 1 && p->icmp_type <= 4;
	/* destination unreachable, source quench, time exceeded, parameter problem */
	return p->icmp_type < 13 && 1u << p->icmp_type & (1u << 3 | 1u << 4 | 1u << 11 | 1u << 12);
}

#define VIEW_L4_MAX 0x7fff /* no header that was parsed ends beyond */

/*
 * An ICMP error, of which view_of() has told: it is for the flow that its quoted packet answers. The quoted source is the virtual
 * address, which the error was sent to.
 */
static __always_inline int view_quoted(struct xdp_md *ctx, struct view *v)
{
	char *data = (void *)(long)ctx->data;
	struct cursor c = cursor_of(data, (void *)(long)ctx->data_end);
	__u64 to[2] = {v->dst[0], v->dst[1]};
	__u32 bytes = v->bytes, l4 = v->l4;
	struct packet q = {.kind = v->v6 ? PACKET_IPV6 : PACKET_IPV4};
	__u8 tos = v->tos;

	if (l4 > VIEW_L4_MAX)
		return VIEW_PASS;
	c.at += l4 + 8;
	if (!view_ip(&c, &q, v))
		return VIEW_PASS;
	v->inner = (__u32)((char *)c.at - data);
	parse_l4(&c, &q);
	v->bytes = bytes;
	v->tos = tos;
	if (v->src[0] != to[0] || v->src[1] != to[1])
		return VIEW_PASS;
	v->src[0] = v->dst[0];
	v->src[1] = v->dst[1];
	v->dst[0] = to[0];
	v->dst[1] = to[1];
	v->kind = BALANCE_PACKET_ERROR;
	v->ports = q.l4 == L4_PORTS ? balance_ports(q.dport, q.sport) : 0;
	v->damaged = q.l4 == L4_CUT || q.l4 == L4_DEEP || q.l4 == L4_FRAGMENT;
	return VIEW_GO;
}

/* SYN without ACK: surely the first packet of a connection. */
static __always_inline int view_opens(const struct cursor *c, const struct packet *p)
{
	const __u8 *tcp = c->at;

	return p->proto.nr == IP_PROTO_TCP && p->l4_bytes >= 14 && (void *)(tcp + 14) <= c->end &&
	       (tcp[13] & 0x12) == 0x02;
}

static __always_inline int view_of(struct xdp_md *ctx, struct view *v)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct packet p;

	/* every balancer on the network has got it, and each would send it on (RFC 1122, 3.3.6) */
	if (c.at + 1 > c.end || *(__u8 *)c.at & 1)
		return VIEW_PASS;
	parse_ethernet(&c, &p);
	if (p.kind != PACKET_IPV4 && p.kind != PACKET_IPV6)
		return VIEW_PASS;
	v->n_tags = p.n_tags;
	v->l3 = sizeof(struct ethhdr) + p.n_tags * 4;
	if (!view_ip(&c, &p, v))
		return VIEW_PASS;
	parse_l4(&c, &p);
	v->l4 = (__u32)(c.at - (void *)(long)ctx->data);
	v->kind = BALANCE_PACKET_GOES_ON;
	v->ports = 0;
	v->more = p.fragment == PACKET_FRAG_FIRST;
	v->damaged = 0;
	switch (p.l4) {
	case L4_PORTS:
		v->ports = balance_ports(p.sport, p.dport);
		if (view_opens(&c, &p))
			v->kind = BALANCE_PACKET_OPENS;
		break;
	case L4_ICMP:
		/* neighbours and routers talk to this host, whatever the address */
		if (p.proto.nr == IP_PROTO_ICMPV6 && p.icmp_type >= 130 && p.icmp_type <= 137)
			return VIEW_PASS;
		if (view_is_error(&p) && p.fragment == PACKET_FRAG_NONE)
			return VIEW_QUOTES;
		break;
	case L4_FRAGMENT:
		v->kind = BALANCE_PACKET_FRAGMENT;
		break;
	case L4_CUT:
	case L4_DEEP:
		v->damaged = 1;
		break;
	case L4_NONE:
		break;
	}
	return VIEW_GO;
}

#endif
