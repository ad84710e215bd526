// SPDX-License-Identifier: GPL-2.0-only
/*
 * On a backend: takes packets out of what the balancer put them in, for hosts that want no tunnel device.
 *
 *     IPv4 or IPv6 in IPv4 or IPv6 (RFC 2003, 2473, 4213); in UDP to the GUE port, if the IP header follows at once
 *     (draft-ietf-intarea-gue, variant 1)
 *
 * The packet goes on to the host's stack, or to the next program, with the frame's MAC addresses and tags and its own
 * Ethernet type. One layer is taken off, never two. Packets are hostile; what happens to them is defined:
 *
 *   no tunnel, or one that ends elsewhere or      pass as they came, and are counted by reason (abi/decap.h): the stack
 *   comes from elsewhere; outer fragments,        or a tunnel device has the last word. Nothing is ever dropped
 *   options, extension headers; damaged ones      that was not understood
 *   outer TTL, type of service, flow label        do not matter here (RFC 2003, 3.1; the packet has arrived)
 *   inner TTL                                     stays: the tunnel is one hop, and the balancer was none
 *   inner packet shorter than its room            the rest stays behind it, as padding of a frame does
 *   congestion marked outside                     is marked inside, ECT(1) too (RFC 6040, 4.2); a packet that cannot be
 *                                                 marked is dropped, as there
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/decap.h"
#include "datapath/lib/encap.h"
#include "datapath/lib/parse.h"

const volatile struct decap_config config = {
	.from4 = {{ENCAP_SOURCE4, ENCAP_BE32(0xffff0000)}},
	.from6 = {{{ENCAP_SOURCE6}, {~0u, ~0u}}},
	.n_from4 = 1,
	.n_from6 = 1,
	.gue_port = ENCAP_BE16(6080),
};

/* key: 0; value: packets by reason; writer: this program; reader: host; lives: as long as the program, or one in its place */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct decap_counts);
} decap_counts SEC(".maps");

enum { TUNNEL_NO, TUNNEL_YES, TUNNEL_MAYBE };
enum { ECN_NONE, ECN_ECT1, ECN_ECT0, ECN_CE }; /* RFC 3168, 5 */

/* The outer headers. */
struct outer {
	__u32 bytes;   /* of them, from the IP header on */
	__u32 payload; /* behind the IP header, as that says */
	__u8 ecn, proto, v6, inner6, is_ours, is_known, is_fragment, has_options;
};

static __always_inline void count(enum decap_reason why)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&decap_counts, &zero);

	if (n && why < DECAP_REASONS)
		n[why]++;
}

static __always_inline __u8 in_nets4(const volatile struct decap_net4 *nets, __u32 n, __be32 a)
{
	__u32 i;

#pragma GCC unroll 16
	for (i = 0; i < DECAP_NETS; i++)
		if (i < n && (a & nets[i].mask) == nets[i].addr)
			return 1;
	return 0;
}

static __always_inline __u8 in_nets6(const volatile struct decap_net6 *nets, __u32 n,
				     const struct in6_addr *a)
{
	const __be32 *w = (const __be32 *)a;
	__u32 i;

#pragma GCC unroll 16
	for (i = 0; i < DECAP_NETS; i++)
		if (i < n && !(((w[0] & nets[i].mask[0]) ^ nets[i].addr[0]) |
			       ((w[1] & nets[i].mask[1]) ^ nets[i].addr[1]) |
			       ((w[2] & nets[i].mask[2]) ^ nets[i].addr[2]) |
			       ((w[3] & nets[i].mask[3]) ^ nets[i].addr[3])))
			return 1;
	return 0;
}

static __always_inline __u16 header_sum(const struct iphdr *ip)
{
	const __u16 *w = (const __u16 *)ip;

	return encap_fold((__u32)w[0] + w[1] + w[2] + w[3] + w[4] + w[5] + w[6] + w[7] + w[8] + w[9]);
}

/* The outer IP header; the cursor is behind it if it is one without options. */
static __always_inline int outer_ip(struct cursor *c, struct packet *p, struct outer *o, __u8 *is_wrong)
{
	__u32 to_all = !config.n_to4 && !config.n_to6;
	struct ipv6hdr *ip6;
	struct iphdr *ip;

	if (p->kind == PACKET_IPV4) {
		ip = parse_ipv4(c, p);
		if (!ip)
			return -1;
		o->bytes = sizeof(*ip);
		o->ecn = ip->tos & 3;
		o->is_ours = to_all || in_nets4(config.to4, config.n_to4, ip->daddr);
		o->is_known = in_nets4(config.from4, config.n_from4, ip->saddr);
		o->has_options = ip->ihl != 5;
		o->is_fragment = p->fragment != PACKET_FRAG_NONE;
		*is_wrong = !o->has_options && header_sum(ip);
		c->at = ip + 1;
	} else {
		ip6 = parse_ipv6(c, p);
		if (!ip6)
			return -1;
		o->v6 = 1;
		o->bytes = sizeof(*ip6);
		o->ecn = ip6->flow_lbl[0] >> 4 & 3;
		o->is_ours = to_all || in_nets6(config.to6, config.n_to6, &ip6->daddr);
		o->is_known = in_nets6(config.from6, config.n_from6, &ip6->saddr);
		o->is_fragment = p->proto.nr == IP_PROTO_FRAGMENT;
		o->has_options = p->proto.nr == IP_PROTO_HOPOPTS || p->proto.nr == IP_PROTO_ROUTING ||
				 p->proto.nr == IP_PROTO_DSTOPTS;
	}
	o->payload = p->l4_bytes;
	o->proto = p->proto.nr;
	return 0;
}

/* MAYBE: where it would say is not looked into, or not there. */
static __always_inline __u32 is_tunnel(const struct cursor *c, const struct outer *o)
{
	const struct encap_udp *udp = c->at;

	if (o->proto == ENCAP_IPIP || o->proto == ENCAP_IPV6)
		return TUNNEL_YES;
	if (o->v6 && (o->is_fragment || o->has_options))
		return TUNNEL_MAYBE;
	if (o->proto != ENCAP_UDP || !config.gue_port)
		return TUNNEL_NO;
	if (o->is_fragment || o->has_options || (void *)(udp + 1) > c->end)
		return TUNNEL_MAYBE;
	return udp->dport == config.gue_port ? TUNNEL_YES : TUNNEL_NO;
}

/* What is inside has room bytes, and an IP header that fits in. Returns a reason: DECAP_IP is all right. */
static __always_inline enum decap_reason inside(const struct cursor *c, const struct outer *o, __u32 room)
{
	const struct iphdr *ip = c->at;
	const struct ipv6hdr *ip6 = c->at;
	__u32 total;

	if (room < sizeof(*ip) || (void *)(ip + 1) > c->end)
		return DECAP_DAMAGED;
	if (o->inner6) {
		if (ip->version != 6)
			return DECAP_INSIDE;
		if ((void *)(ip6 + 1) > c->end)
			return DECAP_DAMAGED;
		total = sizeof(*ip6) + PARSE_BE16(ip6->payload_len);
	} else {
		if (ip->version != 4)
			return DECAP_INSIDE;
		total = PARSE_BE16(ip->tot_len);
		if (ip->ihl < 5 || total < ip->ihl * 4u)
			return DECAP_DAMAGED;
	}
	return total <= room ? DECAP_IP : DECAP_DAMAGED;
}

/* The headers between outer and inner IP header: none, or UDP. The cursor is left at the inner one. */
static __always_inline enum decap_reason between(struct cursor *c, struct outer *o)
{
	struct encap_udp *udp = c->at;
	const __u8 *first;
	__u32 room;

	if (o->proto != ENCAP_UDP) {
		o->inner6 = o->proto == ENCAP_IPV6;
		return inside(c, o, o->payload);
	}
	if ((void *)(udp + 1) > c->end)
		return DECAP_DAMAGED;
	room = PARSE_BE16(udp->len);
	if (room < sizeof(*udp) || room > o->payload)
		return DECAP_DAMAGED;
	if (udp->check)
		return DECAP_CHECKSUM;
	o->bytes += sizeof(*udp);
	first = c->at = udp + 1;
	if ((void *)(first + 1) > c->end)
		return DECAP_DAMAGED;
	o->inner6 = *first >> 4 == 6;
	return inside(c, o, room - sizeof(*udp));
}

/* Marks of congestion come along, with the sum of an IPv4 header (RFC 1624, eqn. 3). Returns 0: to be dropped. */
static __always_inline int congestion(void *at, void *end, const struct outer *o)
{
	struct iphdr *ip = at;
	__u32 old, now, inner;

	if ((void *)(ip + 1) > end)
		return 1;
	old = ENCAP_BE16(*(__be16 *)at); /* IPv4: version, length, TOS; IPv6: version, traffic class, label */
	inner = (o->inner6 ? old >> 4 : old) & 3;
	if (o->ecn == ECN_CE && inner == ECN_NONE)
		return 0;
	if (o->ecn == ECN_CE)
		now = ECN_CE;
	else if (o->ecn == ECN_ECT1 && inner == ECN_ECT0)
		now = ECN_ECT1;
	else
		return 1;
	now ^= inner;
	now = old ^ (o->inner6 ? now << 4 : now);
	*(__be16 *)at = ENCAP_BE16(now);
	if (!o->inner6)
		ip->check = encap_fold((__u32)(__u16)~ip->check + (__u16)~ENCAP_BE16(old) + ENCAP_BE16(now));
	return 1;
}

/* Takes the outer headers away from behind MAC addresses and tags. Returns 0 if the frame is not to be had. */
static __always_inline int take_off(struct xdp_md *ctx, const struct outer *o, __u32 n_tags)
{
	__u32 macs[3], tags[PARSE_MAX_TAGS], i;
	char *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (at + sizeof(macs) + sizeof(tags) > end)
		return 0;
	__builtin_memcpy(macs, at, sizeof(macs));
	__builtin_memcpy(tags, at + sizeof(macs), sizeof(tags));
	if (bpf_xdp_adjust_head(ctx, (int)o->bytes))
		return 0;
	at = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (at + sizeof(macs) > end)
		return 0;
	__builtin_memcpy(at, macs, sizeof(macs));
	at += sizeof(macs);
#pragma GCC unroll 4
	for (i = 0; i < PARSE_MAX_TAGS; i++) {
		if (i >= n_tags)
			break;
		if (at + sizeof(tags[i]) > end)
			return 0;
		*(__u32 *)at = tags[i];
		at += sizeof(tags[i]);
	}
	if (at + 2 > end)
		return 0;
	*(__be16 *)at = o->inner6 ? ENCAP_BE16(ETH_P_IPV6) : ENCAP_BE16(ETH_P_IP);
	return 1;
}

/* Which reason a packet has; if it is DECAP_IP or DECAP_GUE, the outer headers can go. */
static __always_inline enum decap_reason look(struct xdp_md *ctx, struct cursor *c, struct packet *p,
					      struct outer *o)
{
	enum decap_reason why;
	__u8 is_wrong = 0;
	__u32 tunnel;

	parse_ethernet(c, p);
	if (p->kind != PACKET_IPV4 && p->kind != PACKET_IPV6)
		return DECAP_OTHER;
	if (outer_ip(c, p, o, &is_wrong))
		return DECAP_OTHER;
	tunnel = is_tunnel(c, o);
	if (tunnel == TUNNEL_NO)
		return DECAP_OTHER;
	if (!o->is_ours)
		return tunnel == TUNNEL_YES ? DECAP_NOT_OURS : DECAP_OTHER;
	if (!o->is_known)
		return tunnel == TUNNEL_YES ? DECAP_SOURCE : DECAP_OTHER;
	if (o->is_fragment)
		return DECAP_FRAGMENT;
	if (o->has_options)
		return DECAP_OPTIONS;
	if (is_wrong || 14 + p->n_tags * 4 + o->bytes + o->payload > bpf_xdp_get_buff_len(ctx))
		return DECAP_DAMAGED;
	why = between(c, o);
	if (why == DECAP_IP && !congestion(c->at, c->end, o))
		return DECAP_CONGESTED;
	return why == DECAP_IP && o->proto == ENCAP_UDP ? DECAP_GUE : why;
}

SEC("xdp.frags")
int decap(struct xdp_md *ctx)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct outer o = {0};
	enum decap_reason why;
	struct packet p;

	why = look(ctx, &c, &p, &o);
	if ((why == DECAP_IP || why == DECAP_GUE) && !take_off(ctx, &o, p.n_tags))
		why = DECAP_DAMAGED;
	count(why);
	return why == DECAP_CONGESTED ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "GPL";
