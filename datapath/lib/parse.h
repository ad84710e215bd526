/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one packet parser of the project. BPF programs include it, and so do the unit tests, as plain C.
 *
 *     parse_ethernet -> parse_ipv4 ------------------------> parse_l4
 *                   \-> parse_ipv6 -> parse_ipv6_extensions ->/
 *
 * Each phase is called only as far as a program needs to know. Packets are hostile; what they can do is
 * defined:
 *
 *   frame shorter than its Ethernet header or a tag   PACKET_SHORT
 *   more than PARSE_MAX_TAGS VLAN tags                PACKET_TAGS: not looked into any further; the outer two tags
 *     (any mix of 802.1Q, 802.1ad, 0x9100)            are known
 *   neither IPv4 nor IPv6                             PACKET_OTHER: type says what, below 1536 an 802.3 length
 *   IP header cut short, wrong version, IPv4          PACKET_BAD_IP: no field of it is to be trusted
 *     header length below 20 or beyond the frame
 *   IPv4 options                                      stepped over (AH in IPv4 is a protocol like others)
 *   IPv6 extension headers: hop-by-hop, routing,      stepped over, PARSE_MAX_EXT of them; more are L4_DEEP, with
 *     destination, AH, mobility, HIP, shim6, fragment the first one not read as protocol
 *   fragment, not the first                           L4_FRAGMENT: the protocol is known; what stands where ports
 *                                                     would be is payload and never read as ports
 *   first fragment, "atomic" IPv6 fragment            ports are read; fragment is PACKET_FRAG_FIRST if more follow
 *   ports or extension header beyond the frame, or    L4_CUT: bytes behind the length the IP header states
 *     beyond what the IP header says is there         (Ethernet padding) are never read as ports
 *   IP length 0 (BIG TCP in generic mode)             the frame's own length counts
 *   headers not in the first buffer of a multi-buffer as a frame that ends there: SHORT, BAD_IP, L4_CUT
 *     packet
 */
#ifndef DATAPATH_LIB_PARSE_H
#define DATAPATH_LIB_PARSE_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/types.h>

#define PARSE_MAX_TAGS 4
#define PARSE_MAX_EXT 8
#define PARSE_FN static inline __attribute__((always_inline, unused))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define PARSE_BE16(x) ((__u16)((((x)&0xff) << 8) | (((x) >> 8) & 0xff)))
#else
#define PARSE_BE16(x) ((__u16)(x))
#endif

/* Types of their own, so that one cannot be compared with the other by mistake. */
struct ethertype {
	__be16 be;
};
struct l4proto {
	__u8 nr;
};

enum packet_kind { PACKET_SHORT, PACKET_TAGS, PACKET_OTHER, PACKET_BAD_IP, PACKET_IPV4, PACKET_IPV6 };
enum packet_fragment { PACKET_FRAG_NONE, PACKET_FRAG_FIRST, PACKET_FRAG_LATER };
enum packet_l4 {
	L4_NONE,     /* a protocol without ports (ESP, GRE, no next header...) */
	L4_PORTS,    /* sport, dport: TCP, UDP, UDP-Lite, SCTP, DCCP */
	L4_ICMP,     /* icmp_type, icmp_code: ICMP and ICMPv6 */
	L4_FRAGMENT, /* not the first fragment */
	L4_CUT,
	L4_DEEP,
};

enum {
	IP_PROTO_HOPOPTS = 0,
	IP_PROTO_ICMP = 1,
	IP_PROTO_TCP = 6,
	IP_PROTO_UDP = 17,
	IP_PROTO_DCCP = 33,
	IP_PROTO_ROUTING = 43,
	IP_PROTO_FRAGMENT = 44,
	IP_PROTO_AH = 51,
	IP_PROTO_ICMPV6 = 58,
	IP_PROTO_DSTOPTS = 60,
	IP_PROTO_SCTP = 132,
	IP_PROTO_MOBILITY = 135,
	IP_PROTO_UDPLITE = 136,
	IP_PROTO_HIP = 139,
	IP_PROTO_SHIM6 = 140,
};

/* Where the reading stands. */
struct cursor {
	void *at, *end;
};

struct packet {
	enum packet_kind kind;
	struct ethertype type; /* behind the tags */
	__u32 n_tags;	       /* PARSE_MAX_TAGS + 1 when there are more */
	__be16 tci[2];	       /* of the outer two tags, with priority bits */
	enum packet_fragment fragment;
	__u32 frag_off;	      /* of IPv6 fragment headers, as they stand there */
	__be32 frag_id;	      /* likewise: the identification */
	struct l4proto proto; /* behind IPv6 extension headers */
	__u32 l4_bytes;	      /* from here to the end of the packet, as the IP header has it */
	enum packet_l4 l4;
	__be16 sport, dport;
	__u8 icmp_type, icmp_code;
};

struct parse_tag {
	__be16 tci;
	struct ethertype type;
};

PARSE_FN struct cursor cursor_of(void *data, void *data_end)
{
	return (struct cursor){.at = data, .end = data_end};
}

PARSE_FN int parse_is_tag(struct ethertype type)
{
	return type.be == PARSE_BE16(ETH_P_8021Q) || type.be == PARSE_BE16(ETH_P_8021AD) ||
	       type.be == PARSE_BE16(ETH_P_QINQ1);
}

/* parse_tags() steps over VLAN tags; type and n_tags are set. Returns 0, or -1 with kind set. */
PARSE_FN int parse_tags(struct cursor *c, struct packet *p)
{
	struct parse_tag *tag;
	int i;

#pragma GCC unroll 4
	for (i = 0; i < PARSE_MAX_TAGS; i++) {
		if (!parse_is_tag(p->type))
			return 0;
		tag = c->at;
		if ((void *)(tag + 1) > c->end) {
			p->kind = PACKET_SHORT;
			return -1;
		}
		if (i < 2)
			p->tci[i] = tag->tci;
		p->type = tag->type;
		p->n_tags = (__u32)i + 1;
		c->at = tag + 1;
	}
	if (!parse_is_tag(p->type))
		return 0;
	p->n_tags = PARSE_MAX_TAGS + 1;
	p->kind = PACKET_TAGS;
	return -1;
}

/*
 * parse_ethernet() sets kind, type and the tags. PACKET_IPV4 and PACKET_IPV6 are what the frame claims here;
 * the next phase may turn them into PACKET_BAD_IP.
 */
PARSE_FN void parse_ethernet(struct cursor *c, struct packet *p)
{
	struct ethhdr *eth = c->at;

	*p = (struct packet){.kind = PACKET_SHORT};
	if ((void *)(eth + 1) > c->end)
		return;
	p->type.be = eth->h_proto;
	c->at = eth + 1;
	if (p->type.be != PARSE_BE16(ETH_P_IP) && p->type.be != PARSE_BE16(ETH_P_IPV6) && parse_tags(c, p))
		return;
	if (p->type.be == PARSE_BE16(ETH_P_IP))
		p->kind = PACKET_IPV4;
	else if (p->type.be == PARSE_BE16(ETH_P_IPV6))
		p->kind = PACKET_IPV6;
	else
		p->kind = PACKET_OTHER;
}

/* parse_ipv4() returns the header and leaves the cursor behind it; NULL with kind set if it cannot be one. */
PARSE_FN struct iphdr *parse_ipv4(struct cursor *c, struct packet *p)
{
	struct iphdr *ip = c->at;
	__u32 header, total;

	if ((void *)(ip + 1) > c->end || ip->version != 4 || ip->ihl < 5) {
		p->kind = PACKET_BAD_IP;
		return 0;
	}
	header = ip->ihl * 4u;
	if (header > sizeof(*ip) && c->at + header > c->end) {
		p->kind = PACKET_BAD_IP;
		return 0;
	}
	c->at += header;
	total = PARSE_BE16(ip->tot_len);
	p->l4_bytes = total > header ? total - header : total ? 0 : 0xffff;
	p->proto.nr = ip->protocol;
	if (ip->frag_off & PARSE_BE16(0x1fff))
		p->fragment = PACKET_FRAG_LATER;
	else if (ip->frag_off & PARSE_BE16(0x2000))
		p->fragment = PACKET_FRAG_FIRST;
	return ip;
}

/*
 * parse_ipv6() reads the fixed header; proto is the first next-header field. NULL with kind set if it
 * cannot be one.
 */
PARSE_FN struct ipv6hdr *parse_ipv6(struct cursor *c, struct packet *p)
{
	struct ipv6hdr *ip = c->at;

	if ((void *)(ip + 1) > c->end || ip->version != 6) {
		p->kind = PACKET_BAD_IP;
		return 0;
	}
	c->at = ip + 1;
	p->l4_bytes = ip->payload_len ? PARSE_BE16(ip->payload_len) : 0xffff;
	p->proto.nr = ip->nexthdr;
	return ip;
}

/* What an IPv6 extension header is like, by protocol number; 0: not an extension header. */
enum { EXT_IS = 1, EXT_AH = 2, EXT_FRAGMENT = 4 };
static const __u8 parse_extensions[256] = {
	[IP_PROTO_HOPOPTS] = EXT_IS,
	[IP_PROTO_ROUTING] = EXT_IS,
	[IP_PROTO_FRAGMENT] = EXT_IS | EXT_FRAGMENT,
	[IP_PROTO_AH] = EXT_IS | EXT_AH,
	[IP_PROTO_DSTOPTS] = EXT_IS,
	[IP_PROTO_MOBILITY] = EXT_IS,
	[IP_PROTO_HIP] = EXT_IS,
	[IP_PROTO_SHIM6] = EXT_IS,
};

/*
 * parse_extension() steps over the extension header that proto names, which is of the given sort; returns 1
 * if the walk ends here. Without branches between the sorts: each would double what the verifier has to
 * look at, per header.
 */
PARSE_FN int parse_extension(struct cursor *c, struct packet *p, __u32 sort)
{
	struct {
		__u8 next, len;
		__be16 offset; /* of a fragment header */
		__be32 rest;
	} *ext = c->at;
	__u32 ah = sort >> 1 & 1, fragment = sort >> 2 & 1, bytes, offset;

	p->l4 = L4_CUT;
	if ((void *)(ext + 1) > c->end)
		return 1;
	/* eight bytes and len more of them; AH: len + 2 words of four; fragment header: always eight */
	bytes = ((ext->len & (fragment - 1)) + 1 + ah) * (8 - 4 * ah);
	if (bytes > p->l4_bytes || c->at + bytes > c->end)
		return 1;
	offset = ext->offset & (0 - fragment);
	p->frag_off |= offset;
	p->frag_id |= ext->rest & (0 - fragment);
	p->l4 = L4_NONE;
	p->l4_bytes -= bytes;
	p->proto.nr = ext->next;
	c->at += bytes;
	return (offset & PARSE_BE16(0xfff8)) != 0;
}

/*
 * parse_ipv6_extensions() walks to the upper protocol; l4 is L4_NONE if it got there or to a later
 * fragment's payload.
 */
PARSE_FN void parse_ipv6_extensions(struct cursor *c, struct packet *p)
{
	__u32 sort = 0;
	int i;

	p->frag_off = 0;
	p->frag_id = 0;
	for (i = 0; i < PARSE_MAX_EXT; i++) {
		sort = parse_extensions[p->proto.nr];
		if (!sort || parse_extension(c, p, sort))
			break;
	}
	if (i == PARSE_MAX_EXT && parse_extensions[p->proto.nr])
		p->l4 = L4_DEEP;
	if (p->frag_off & PARSE_BE16(0xfff8))
		p->fragment = PACKET_FRAG_LATER;
	else if (p->frag_off & PARSE_BE16(1))
		p->fragment = PACKET_FRAG_FIRST;
}

/* parse_l4() reads ports, or ICMP type and code. The cursor stays at the start of the header. */
PARSE_FN void parse_l4(struct cursor *c, struct packet *p)
{
	struct {
		__be16 sport, dport;
	} *ports = c->at;
	__u8 *icmp = c->at;
	int is_icmp = 0;

	if (p->l4 != L4_NONE)
		return;
	if (p->fragment == PACKET_FRAG_LATER) {
		p->l4 = L4_FRAGMENT;
		return;
	}
	switch (p->proto.nr) {
	case IP_PROTO_ICMP:
	case IP_PROTO_ICMPV6:
		is_icmp = 1;
		break;
	case IP_PROTO_TCP:
	case IP_PROTO_UDP:
	case IP_PROTO_DCCP:
	case IP_PROTO_SCTP:
	case IP_PROTO_UDPLITE:
		break;
	default:
		return;
	}
	if (p->l4_bytes < sizeof(*ports) || (void *)(ports + 1) > c->end) {
		p->l4 = L4_CUT;
	} else if (is_icmp) {
		p->l4 = L4_ICMP;
		p->icmp_type = icmp[0];
		p->icmp_code = icmp[1];
	} else {
		p->l4 = L4_PORTS;
		p->sport = ports->sport;
		p->dport = ports->dport;
	}
}

#endif
