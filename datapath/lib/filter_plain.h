/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Most packets are plain: no tags, options, extension headers or fragments, and whole. Those are read here in
 * a straight line; all others, and all that this is not sure about, by the one parser (lib/filter_facts.h).
 * What it says is the same.
 */
#ifndef DATAPATH_LIB_FILTER_PLAIN_H
#define DATAPATH_LIB_FILTER_PLAIN_H

#include "datapath/lib/filter_facts.h"

/*
 * What the lookup needs of a packet. Addresses in host order, IPv4 in the upper half of the first word. Ports
 * and bytes of a plain packet are what stands there, of whatever protocol.
 */
struct seen {
	__u64 src[2], dst[2];
	__u32 bytes;
	__u32 proto;
	__u32 sport, dport;
	__u32 tcp, type, code; /* TCP's flags, ICMP's type and code */
};

enum { PLAIN_IP4 = 4, PLAIN_IP6 = 6 };

#define PLAIN_NOT 4 /* among enum filter_has: an extension header */
#define PLAIN_L4 14 /* bytes behind the IP header, so that TCP's flags are among them */
#define ASKS(what) (config.asks & FILTER_ASKS_##what)
#define LOOKS(what) (config.looks & FILTER_ASKS_##what)

static const __u8 plain_has4[256] = {
	[IP_PROTO_ICMP] = HAS_ICMP,  [IP_PROTO_TCP] = HAS_PORTS_FLAGS, [IP_PROTO_UDP] = HAS_PORTS,
	[IP_PROTO_DCCP] = HAS_PORTS, [IP_PROTO_SCTP] = HAS_PORTS,      [IP_PROTO_UDPLITE] = HAS_PORTS,
};
static const __u8 plain_has6[256] = {
	[IP_PROTO_ICMPV6] = HAS_ICMP, [IP_PROTO_TCP] = HAS_PORTS_FLAGS, [IP_PROTO_UDP] = HAS_PORTS,
	[IP_PROTO_DCCP] = HAS_PORTS,  [IP_PROTO_SCTP] = HAS_PORTS,	[IP_PROTO_UDPLITE] = HAS_PORTS,
	[IP_PROTO_HOPOPTS] = PLAIN_NOT, [IP_PROTO_ROUTING] = PLAIN_NOT, [IP_PROTO_FRAGMENT] = PLAIN_NOT,
	[IP_PROTO_AH] = PLAIN_NOT,    [IP_PROTO_DSTOPTS] = PLAIN_NOT,	[IP_PROTO_MOBILITY] = PLAIN_NOT,
	[IP_PROTO_HIP] = PLAIN_NOT,   [IP_PROTO_SHIM6] = PLAIN_NOT,
};

static __always_inline void plain_l4(struct seen *s, const __u8 *l4)
{
	s->sport = bpf_ntohs(*(__be16 *)l4);
	s->dport = bpf_ntohs(*(__be16 *)(l4 + 2));
	s->tcp = l4[13];
	s->type = l4[0];
	s->code = l4[1];
}

/*
 * For the lookup: what no rule asks is always the same, so that what is looked up by it is known before the load (isa/fold.h). Not for
 * what else is done with a packet: flows are told apart by all ports.
 */
static __always_inline void service_trim(struct classify_service *s)
{
	if (!LOOKS(SPORT))
		s->sport = 0;
	if (!LOOKS(DPORT))
		s->dport = 0;
	if (!LOOKS(FLAGS) && !LOOKS(ICMP))
		s->flags = 0;
}

/* What classify_service is of it. Without branches: protocols come in any order. */
static __always_inline void plain_service(const struct seen *s, __u32 family, struct classify_service *to)
{
	__u32 has = (family == PLAIN_IP4 ? plain_has4 : plain_has6)[s->proto & 255];
	__u64 ports = 0 - (__u64)((has + 1) >> 1 & 1), icmp = 0 - (__u64)(has & has >> 1 & 1),
	      tcp = 0 - (__u64)(~has & has >> 1 & 1);

	asm volatile("" : "+r"(ports));
	to->sport = (__u16)(ports & s->sport);
	to->dport = (__u16)(ports & s->dport);
	to->proto = (__u8)s->proto;
	to->extra = (__u8)has;
	to->flags = 0;
	if (LOOKS(FLAGS) || LOOKS(ICMP)) {
		asm volatile("" : "+r"(icmp));
		asm volatile("" : "+r"(tcp));
		to->flags = (__u16)((icmp & (s->type << 8 | s->code)) | (tcp & s->tcp << 8));
	}
}

static __always_inline void plain_facts(struct view *v, struct xdp_md *ctx, const struct ethhdr *eth,
					__u32 type, __u32 ttl, __u32 dscp)
{
	if (USES(FACT_MALFORMED))
		v->facts[FACT_MALFORMED] = 0;
	if (USES(FACT_IN))
		v->facts[FACT_IN] = ctx->ingress_ifindex;
	if (USES(FACT_VLAN))
		v->facts[FACT_VLAN] = FILTER_NO_VLAN;
	if (USES(FACT_INNER_VLAN))
		v->facts[FACT_INNER_VLAN] = FILTER_NO_VLAN;
	if (USES(FACT_ETHER_TYPE))
		v->facts[FACT_ETHER_TYPE] = type;
	if (USES(FACT_TTL))
		v->facts[FACT_TTL] = ttl;
	if (USES(FACT_DSCP))
		v->facts[FACT_DSCP] = dscp;
	if (USES(FACT_MAC_FROM_HI) || USES(FACT_MAC_TO_HI))
		facts_of_macs(v, eth);
}

/*
 * These read a plain packet; 0: it is none, and nothing is read. v: where facts go to; NULL: they are not
 * wanted.
 */
static __always_inline int plain4(struct seen *s, struct view *v, struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	__u64 total;

	s->bytes = (__u32)(end - data);
	if (data + sizeof(struct ethhdr) + sizeof(*ip) + PLAIN_L4 > end || s->bytes > FIRST_BUFFER ||
	    *(__be16 *)(data + 12) != bpf_htons(ETH_P_IP))
		return 0;
	total = bpf_ntohs(ip->tot_len);
	if (*(__u8 *)ip != 0x45 || ip->frag_off & bpf_htons(0x3fff) ||
	    total - (sizeof(*ip) + PLAIN_L4) >
		    (__u64)s->bytes - (sizeof(struct ethhdr) + sizeof(*ip) + PLAIN_L4))
		return 0;
	s->src[0] = (__u64)bpf_ntohl(ip->saddr) << 32;
	s->dst[0] = (__u64)bpf_ntohl(ip->daddr) << 32;
	s->src[1] = s->dst[1] = 0;
	s->proto = ip->protocol;
	plain_l4(s, (__u8 *)(ip + 1));
	if (v && config.uses & FILTER_ODD_FACTS)
		plain_facts(v, ctx, data, ETH_P_IP, ip->ttl, ip->tos >> 2);
	return 1;
}

static __always_inline int plain6(struct seen *s, struct view *v, struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = data + sizeof(struct ethhdr);
	__u64 payload;

	s->bytes = (__u32)(end - data);
	if (data + sizeof(struct ethhdr) + sizeof(*ip) + PLAIN_L4 > end || s->bytes > FIRST_BUFFER ||
	    *(__be16 *)(data + 12) != bpf_htons(ETH_P_IPV6))
		return 0;
	payload = bpf_ntohs(ip->payload_len);
	s->proto = ip->nexthdr;
	if (*(__u8 *)ip >> 4 != 6 || plain_has6[s->proto & 255] == PLAIN_NOT ||
	    payload - PLAIN_L4 > (__u64)s->bytes - (sizeof(struct ethhdr) + sizeof(*ip) + PLAIN_L4))
		return 0;
	s->src[0] = half6(&ip->saddr, 0);
	s->src[1] = half6(&ip->saddr, 1);
	s->dst[0] = half6(&ip->daddr, 0);
	s->dst[1] = half6(&ip->daddr, 1);
	plain_l4(s, (__u8 *)(ip + 1));
	if (v && config.uses & FILTER_ODD_FACTS)
		plain_facts(v, ctx, data, ETH_P_IPV6, ip->hop_limit, DSCP6(ip));
	return 1;
}

#endif
