/* SPDX-License-Identifier: GPL-2.0-only */
/* From a packet to what rules ask about it: facts, addresses, service. */
#ifndef DATAPATH_LIB_FILTER_FACTS_H
#define DATAPATH_LIB_FILTER_FACTS_H

#include <bpf/bpf_endian.h>

#include "datapath/lib/filter_maps.h"
#include "datapath/lib/parse.h"

#define FIRST_BUFFER 1526u /* 1500 with Ethernet header, two tags, check sequence */
#define DSCP6(ip) (((ip)->priority << 4 | (ip)->flow_lbl[0] >> 4) >> 2)

/* Half of an IPv6 address, 0 the upper one. By its own type of pointer: what a header is known to be aligned to, 4, makes it two loads. */
static __always_inline __u64 half6(const void *address, int half)
{
	return bpf_be64_to_cpu(((const __u64 *)address)[half]);
}

static __always_inline void facts_of_macs(struct view *v, const struct ethhdr *eth)
{
	v->facts[FACT_MAC_FROM_HI] = eth->h_source[0] << 16 | eth->h_source[1] << 8 | eth->h_source[2];
	v->facts[FACT_MAC_FROM_LO] = eth->h_source[3] << 16 | eth->h_source[4] << 8 | eth->h_source[5];
	v->facts[FACT_MAC_TO_HI] = eth->h_dest[0] << 16 | eth->h_dest[1] << 8 | eth->h_dest[2];
	v->facts[FACT_MAC_TO_LO] = eth->h_dest[3] << 16 | eth->h_dest[4] << 8 | eth->h_dest[5];
}

static __always_inline void facts_of_frame(struct view *v, struct xdp_md *ctx, const struct packet *p,
					   void *data, void *end)
{
	struct ethhdr *eth = data;

	if (USES(FACT_LENGTH))
		v->facts[FACT_LENGTH] = v->bytes;
	if (USES(FACT_MALFORMED))
		v->facts[FACT_MALFORMED] = p->kind == PACKET_SHORT    ? 1
					   : p->kind == PACKET_TAGS   ? 2
					   : p->kind == PACKET_BAD_IP ? 3
								      : 0;
	if (USES(FACT_IN))
		v->facts[FACT_IN] = ctx->ingress_ifindex;
	if (USES(FACT_VLAN))
		v->facts[FACT_VLAN] = p->n_tags ? bpf_ntohs(p->tci[0]) & 0xfff : FILTER_NO_VLAN;
	if (USES(FACT_INNER_VLAN))
		v->facts[FACT_INNER_VLAN] = p->n_tags > 1 ? bpf_ntohs(p->tci[1]) & 0xfff : FILTER_NO_VLAN;
	if (USES(FACT_ETHER_TYPE))
		v->facts[FACT_ETHER_TYPE] = p->kind == PACKET_SHORT ? FILTER_ABSENT : bpf_ntohs(p->type.be);
	if (!USES(FACT_MAC_FROM_HI) && !USES(FACT_MAC_TO_HI))
		return;
	v->facts[FACT_MAC_FROM_HI] = v->facts[FACT_MAC_FROM_LO] = FILTER_ABSENT;
	v->facts[FACT_MAC_TO_HI] = v->facts[FACT_MAC_TO_LO] = FILTER_ABSENT;
	if ((void *)(eth + 1) <= end)
		facts_of_macs(v, eth);
}

static __always_inline void facts_of_ip(struct view *v, const struct packet *p, __u32 ttl, __u32 dscp)
{
	if (USES(FACT_TTL))
		v->facts[FACT_TTL] = ttl;
	if (USES(FACT_DSCP))
		v->facts[FACT_DSCP] = dscp;
	if (USES(FACT_MALFORMED))
		v->facts[FACT_MALFORMED] = p->l4 == L4_CUT ? 4 : p->l4 == L4_DEEP ? 5 : 0;
}

/* What the upper protocol's header says. c stands at its start. */
static __always_inline void service_of(struct view *v, const struct packet *p, struct cursor c)
{
	struct classify_service *s = &v->service;
	__u8 *tcp = c.at;
	__u32 has = HAS_NOTHING;

	s->proto = p->proto.nr;
	s->sport = s->dport = s->flags = 0;
	if (p->l4 == L4_PORTS) {
		has = HAS_PORTS;
		s->sport = bpf_ntohs(p->sport);
		s->dport = bpf_ntohs(p->dport);
		if (s->proto == IP_PROTO_TCP && p->l4_bytes >= 14 && (void *)(tcp + 14) <= c.end) {
			has = HAS_PORTS_FLAGS;
			s->flags = (__u16)(tcp[13] << 8);
		}
	} else if (p->l4 == L4_ICMP && s->proto == (v->is_ip6 ? IP_PROTO_ICMPV6 : IP_PROTO_ICMP)) {
		has = HAS_ICMP;
		s->flags = (__u16)(p->icmp_type << 8 | p->icmp_code);
	}
	s->extra = (__u8)FILTER_EXTRA(has, p->fragment);
}

/*
 * A packet in several buffers has its IP header say so, or a first buffer beyond FIRST_BUFFER, which only frames
 * larger than an Ethernet's 1500 bytes have: only then it is asked for, which costs a call. What lies about its
 * length behind a first buffer of headers alone is taken as that buffer.
 */
static __always_inline void whole_length(struct view *v, struct xdp_md *ctx, __u32 said)
{
	if (said > v->bytes || v->bytes > FIRST_BUFFER)
		v->bytes = (__u32)bpf_xdp_get_buff_len(ctx);
}

/* Everything, of any packet. Not inline: few packets need it, and what it knows is forgotten behind it. */
static __noinline int look(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct cursor c = cursor_of(data, end);
	struct ipv6hdr *ip6;
	struct iphdr *ip4;
	struct packet p;
	struct view *v = bpf_map_lookup_elem(&filter_scratch, &map_first);

	if (!v)
		return 0;
	v->bytes = (__u32)(end - data);
	v->src[0] = v->src[1] = v->dst[0] = v->dst[1] = 0;
	v->service = (struct classify_service){.extra = 0};
	v->has_ip = v->is_ip6 = 0;
	v->facts[FACT_TTL] = v->facts[FACT_DSCP] = FILTER_ABSENT;
	v->facts[FACT_CERTAIN] = 0;
	parse_ethernet(&c, &p);
	if (p.kind == PACKET_IPV4) {
		ip4 = parse_ipv4(&c, &p);
		if (ip4) {
			whole_length(v, ctx, (__u32)((void *)ip4 - data) + bpf_ntohs(ip4->tot_len));
			parse_l4(&c, &p);
			facts_of_frame(v, ctx, &p, data, end);
			v->has_ip = 1;
			v->src[0] = (__u64)bpf_ntohl(ip4->saddr) << 32;
			v->dst[0] = (__u64)bpf_ntohl(ip4->daddr) << 32;
			facts_of_ip(v, &p, ip4->ttl, ip4->tos >> 2);
			service_of(v, &p, c);
			return 0;
		}
	} else if (p.kind == PACKET_IPV6) {
		ip6 = parse_ipv6(&c, &p);
		if (ip6) {
			whole_length(v, ctx, (__u32)((void *)(ip6 + 1) - data) + bpf_ntohs(ip6->payload_len));
			parse_ipv6_extensions(&c, &p);
			parse_l4(&c, &p);
			facts_of_frame(v, ctx, &p, data, end);
			v->has_ip = v->is_ip6 = 1;
			v->src[0] = half6(&ip6->saddr, 0);
			v->src[1] = half6(&ip6->saddr, 1);
			v->dst[0] = half6(&ip6->daddr, 0);
			v->dst[1] = half6(&ip6->daddr, 1);
			facts_of_ip(v, &p, ip6->hop_limit, DSCP6(ip6));
			service_of(v, &p, c);
			return 0;
		}
	}
	whole_length(v, ctx, 0xffffffff);
	facts_of_frame(v, ctx, &p, data, end);
	return 0;
}

#endif
