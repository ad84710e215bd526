/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The short way of balance.bpf.c: most packets are TCP or UDP without tags, options, extension headers or fragments, whole,
 * and their backend's way is known. Those are read here in a straight line, and their view stays in registers; all others,
 * and all that this is not sure about, go the long way (balance_view.h, balance_out.h). What comes out is the same.
 *
 * Known flows that are translated are in balance_nat_plain.h.
 *
 * What costs time is memory that is not in a cache: nothing branches on a backend before the packet is written but what goes
 * the same way for nearly all packets, so that the CPU runs ahead while a slot and its target are on their way.
 */
#ifndef DATAPATH_BALANCE_PLAIN_H
#define DATAPATH_BALANCE_PLAIN_H

#include "datapath/balance_nat_plain.h"
#include "datapath/balance_out.h"

#define PLAIN_L4 14 /* bytes behind the IP header, so that TCP's flags are among them */

static __always_inline void plain_l4(struct view *v, const __u8 *l4)
{
	v->ports = balance_ports(*(__be16 *)l4, *(__be16 *)(l4 + 2));
	v->kind = v->proto == IP_PROTO_TCP && (l4[13] & 0x12) == 0x02 ? BALANCE_PACKET_OPENS
								      : BALANCE_PACKET_GOES_ON;
	v->damaged = 0;
	v->more = v->ident = v->n_tags = 0;
	v->l3 = sizeof(struct ethhdr);
	v->service = v->id = 0;
}

/* These read a plain packet; 0: it is none, and nothing is known of it. */
static __always_inline int plain4(struct xdp_md *ctx, struct view *v)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);

	if (data + sizeof(struct ethhdr) + sizeof(*ip) + PLAIN_L4 > end ||
	    *(__be16 *)(data + 12) != PARSE_BE16(ETH_P_IP) || *(__u8 *)data & 1 || *(__u8 *)ip != 0x45 ||
	    ip->frag_off & PARSE_BE16(0x3fff))
		return 0;
	v->proto = ip->protocol;
	v->bytes = PARSE_BE16(ip->tot_len);
	if ((v->proto != IP_PROTO_TCP && v->proto != IP_PROTO_UDP) || v->bytes < sizeof(*ip) + PLAIN_L4 ||
	    v->bytes + sizeof(struct ethhdr) > (__u64)(end - data))
		return 0;
	v->v6 = 0;
	v->tos = ip->tos;
	view_addresses4(v, ip->saddr, ip->daddr);
	v->l4 = sizeof(struct ethhdr) + sizeof(*ip);
	plain_l4(v, (__u8 *)(ip + 1));
	return 1;
}

static __always_inline int plain6(struct xdp_md *ctx, struct view *v)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = data + sizeof(struct ethhdr);

	if (data + sizeof(struct ethhdr) + sizeof(*ip) + PLAIN_L4 > end ||
	    *(__be16 *)(data + 12) != PARSE_BE16(ETH_P_IPV6) || *(__u8 *)data & 1 || *(__u8 *)ip >> 4 != 6)
		return 0;
	v->proto = ip->nexthdr;
	v->bytes = PARSE_BE16(ip->payload_len) + sizeof(*ip);
	if ((v->proto != IP_PROTO_TCP && v->proto != IP_PROTO_UDP) || v->bytes < sizeof(*ip) + PLAIN_L4 ||
	    v->bytes + sizeof(struct ethhdr) > (__u64)(end - data))
		return 0;
	v->v6 = 1;
	v->tos = (__u8)(BALANCE_HOST32(*(__be32 *)ip) >> 20);
	view_addresses6(v, &ip->saddr, &ip->daddr);
	v->l4 = sizeof(struct ethhdr) + sizeof(*ip);
	plain_l4(v, (__u8 *)(ip + 1));
	return 1;
}

/* The long ways out: the view goes to the map that it is read from there. */
static __always_inline int plain_odd(const struct view *v, int does)
{
	struct view *to = bpf_map_lookup_elem(&balance_scratch, &map_first);

	if (!to)
		return XDP_DROP;
	*to = *v;
	return does;
}

/* Each kind by itself: what is constant in each is not waited for. */
static __always_inline int plain_send(struct xdp_md *ctx, const struct view *v, const struct balance_ring *r,
				      const struct balance_target *t, const struct balance_hop *hop,
				      __u32 ifindex, __u32 six, __u32 gue)
{
	__u32 head = (six ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) + (gue ? sizeof(struct encap_udp) : 0);
	void *ip =
		plain_front(ctx, hop->dmac, head, head, six ? ENCAP_BE16(ETH_P_IPV6) : ENCAP_BE16(ETH_P_IP));

	if (!ip) {
		note(v->service, BALANCE_DROP_HEADROOM);
		return XDP_DROP;
	}
	outer_put(ip, v, r, t, six, gue);
	return leave(ctx, ifindex);
}

static __always_inline int plain_forward(struct xdp_md *ctx, void *m, const struct view *v,
					 const struct balance_ring *r, const struct balance_target *t)
{
	const struct balance_hop *hop =
		AT(m, struct balance_hop, config.hops + (t->hop & (config.n_hops - 1)) * sizeof(*hop));
	__u32 ifindex = *(const volatile __u32 *)&hop->ifindex, mode = r->mode, gue = mode == MODE_GUE,
	      head = mode == MODE_L2 ? 0 : balance_outer(gue, t->v6);

	/* hop 0 has no interface either; one may be withdrawn meanwhile */
	if (mode > MODE_L2 || !ifindex || v->bytes + head > hop->mtu)
		return plain_odd(v, DOES_FORWARD);
	if (mode == MODE_IPIP)
		return t->v6 ? plain_send(ctx, v, r, t, hop, ifindex, 1, 0)
			     : plain_send(ctx, v, r, t, hop, ifindex, 0, 0);
	if (mode == MODE_GUE)
		return t->v6 ? plain_send(ctx, v, r, t, hop, ifindex, 1, 1)
			     : plain_send(ctx, v, r, t, hop, ifindex, 0, 1);
	if (!plain_front(ctx, hop->dmac, 0, 0, v->v6 ? ENCAP_BE16(ETH_P_IPV6) : ENCAP_BE16(ETH_P_IP)))
		return XDP_DROP;
	return leave(ctx, ifindex);
}

/* A packet that was read, the rest of the way. */
static __always_inline int plain_balanced(struct xdp_md *ctx, void *m, struct view *v)
{
	struct balance_head *head = m;
	const struct balance_ring *r;
	__u32 target, number, own = 0;
	__u8 why = 0;
	int e;

	if (NAT_ON) {
		number = nat_number(v, &own);
		e = number == NAT_NOWHERE ? DOES_NOT_KNOW : nat_plain_back(ctx, v, number, own);
		if (e != DOES_NOT_KNOW)
			return e;
		if (number != NAT_NOWHERE && nat_is_back_plain(v, number, own))
			return plain_odd(v, DOES_TO_CLIENT);
	}
	v->service = vip_find(m, v->dst[0], v->dst[1], head->half & 1,
			      BALANCE_VIP_KEY(v->v6, v->proto, 0, v->ports & 0xffff));
	if (v->service == VIP_NONE && head->levels >> 1)
		v->service = vip_blocks_call(v->dst[0], v->dst[1], (__u32)v->proto << 8 | v->v6 << 1 | 1,
					     v->ports & 0xffff);
	if (v->service == VIP_NONE)
		return XDP_PASS;
	r = ring_of(m, v);
	if (NAT_ON && r->mode == MODE_NAT) {
		e = nat_plain_forth(ctx, m, v, r);
		return e == DOES_NOT_KNOW ? plain_odd(v, DOES_TO_BACKEND) : e;
	}
	if (v->proto == IP_PROTO_UDP && r->quic_bytes)
		return DOES_NOT_KNOW;
	e = choose(m, v, r, &why);
	if (e == 1 + CHOOSE_AGAIN)
		return DOES_NOT_KNOW;
	if (e == 1 + BALANCE_DROP_NO_BACKEND && r->fallback == FALLBACK_RESET)
		return plain_odd(v, DOES_REFUSE);
	target = r->targets + v->id;
	if (e || target >= config.n_targets) {
		note(v->service, e ? (__u32)e - 1 : BALANCE_DROP_TABLES);
		return XDP_DROP;
	}
	count(v, target, why);
	return plain_forward(ctx, m, v, r,
			     AT(m, struct balance_target, config.targets + target * sizeof(struct balance_target)));
}

#endif
