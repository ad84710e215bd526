/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The short way of translated packets: TCP or UDP of a known flow, plain (balance_plain.h), in the place where most flows are, to
 * where the way is known. Nothing of it is kept in maps meanwhile. What this is not sure about, and what begins or is dropped,
 * goes the long way (balance_nat.h), which looks at everything again. What comes out is the same.
 */
#ifndef DATAPATH_BALANCE_NAT_PLAIN_H
#define DATAPATH_BALANCE_NAT_PLAIN_H

#include "datapath/balance_nat.h"

/* A hop is taken off, so there have to be two. Of TCP the sum lies within 20 bytes. */
static __always_inline int nat_plain_is(struct xdp_md *ctx, const struct view *v, __u32 *event, __u32 back)
{
	char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u8 *ip = (void *)(data + sizeof(struct ethhdr)),
	     *l4 = ip + (v->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));

	if ((void *)(l4 + 20) > (void *)end || (v->v6 ? ip[7] : ip[8]) <= 1)
		return 0;
	*event = v->proto == IP_PROTO_TCP ? nat_event(back, l4[13]) : NAT_NO_TCP;
	return v->proto != IP_PROTO_TCP || v->bytes >= (__u32)(l4 - ip) + 20;
}

/* Everything is known: the packet gets its addresses, ports and neighbours. */
static __always_inline int nat_plain_send(struct xdp_md *ctx, const struct view *v, const __u8 *macs,
					  __u32 ifindex, const union nat_addr *src, const union nat_addr *dst,
					  __be32 to, __u32 six)
{
	char *ip = plain_front(ctx, macs, 0, six ? sizeof(struct ipv6hdr) + 20 : sizeof(struct iphdr) + 20,
			       six ? ENCAP_BE16(ETH_P_IPV6) : ENCAP_BE16(ETH_P_IP));
	__u64 addrs;

	if (!ip) {
		note(v->service, BALANCE_DROP_TABLES);
		return XDP_DROP;
	}
	if (six) {
		((struct ipv6hdr *)ip)->hop_limit--;
		addrs = nat_put6((struct ipv6hdr *)ip, src->v6, dst->v6);
		nat_put_l4(v, ip + sizeof(struct ipv6hdr), 1, to, addrs);
	} else {
		struct iphdr *h = (struct iphdr *)ip;

		addrs = nat_put4(h, src->v4, dst->v4);
		h->check = nat_sum(h->check, addrs + nat_put16((__u16 *)&h->ttl,
							       *(__u16 *)&h->ttl - ENCAP_BE16(0x0100)));
		nat_put_l4(v, ip + sizeof(struct iphdr), 1, to, addrs);
	}
	return leave(ctx, ifindex);
}

/* The flow of a place, which somebody else may be writing: nat_plain_whole() says in the end that nobody was. */
static __always_inline int nat_plain_whole(__u32 six, char *b, __u32 way, __u32 word)
{
	nat_barrier();
	return NAT_TAG(*nat_word_at(six, b, way)) == NAT_TAG(word);
}

static __always_inline int nat_plain_forth_of(struct xdp_md *ctx, void *m, struct view *v,
					      const struct balance_ring *r, __u32 six)
{
	const volatile struct nat_pool *pool = nat_pool(v->service);
	__u32 bucket, way, word, event, target, port, who, check, number, ifindex;
	const struct balance_target *t;
	const struct balance_hop *hop;
	union nat_addr src, dst;
	__u64 same;
	char *b;

	if (!pool->n[six] || v->kind == BALANCE_PACKET_OPENS || !nat_plain_is(ctx, v, &event, 0))
		return DOES_NOT_KNOW;
	v->hash = view_hash(v, 0);
	bucket = nat_bucket(pool, six, v->hash);
	way = nat_first(v->hash);
	b = nat_bucket_at(six, bucket);
	if (!b)
		return DOES_NOT_KNOW;
	word = *nat_word_at(six, b, way);
	if (NAT_TAG(word) != nat_tag(v->hash))
		return DOES_NOT_KNOW;
	nat_barrier();
	if (six) {
		const struct nat_place6 *p = (void *)nat_word_at(1, b, way);

		same = (p->client[0] ^ v->src[0]) | (p->client[1] ^ v->src[1]) | (p->virtual[0] ^ v->dst[0]) |
		       (p->virtual[1] ^ v->dst[1]) | (p->f.ports ^ v->ports);
		who = p->f.who;
		check = p->f.check;
	} else {
		const struct nat_place4 *p = (void *)nat_word_at(0, b, way);

		same = (p->client ^ (__u32)v->src[1]) | (p->virtual ^ (__u32)v->dst[1]) |
		       (p->f.ports ^ v->ports);
		who = p->f.who;
		check = p->f.check;
	}
	if (!nat_plain_whole(six, b, way, word) || same || NAT_WHO_PROTO(who) != v->proto ||
	    NAT_WHO_SERVICE(who) != v->service || NAT_WHO_ID(who) >= r->n_targets)
		return DOES_NOT_KNOW;
	target = r->targets + NAT_WHO_ID(who);
	if (target >= config.n_targets)
		return DOES_NOT_KNOW;
	t = AT(m, struct balance_target, config.targets + target * sizeof(*t));
	hop = AT(m, struct balance_hop, config.hops + (t->hop & (config.n_hops - 1)) * sizeof(*hop));
	ifindex = *(const volatile __u32 *)&hop
			   ->ifindex; /* it may be withdrawn meanwhile; hop 0 has none either */
	if (t->v6 != six || !balance_usable(*(volatile __u8 *)&t->state) || nat_target_check(v, t) != check ||
	    !ifindex || v->bytes > hop->mtu)
		return DOES_NOT_KNOW;
	count(v, target, BALANCE_WHY_TABLE);
	nat_touch_at(b, six, way, word, 0, event);
	number = bucket / NAT_BUCKETS & (NAT_ADDRS - 1);
	if (six) {
		src.v6[0] = nat.addr6[number][0];
		src.v6[1] = nat.addr6[number][1];
		dst.v6[0] = ((const __u64 *)t->addr)[0];
		dst.v6[1] = ((const __u64 *)t->addr)[1];
	} else {
		src.v4 = nat.addr4[number];
		dst.v4 = *(const __be32 *)t->addr;
	}
	port = t->port ? BALANCE_HOST16(t->port) : v->ports & 0xffff;
	return nat_plain_send(ctx, v, hop->dmac, ifindex, &src, &dst,
			      ENCAP_BE32((bucket * NAT_WAYS + way) << 16 | port), six);
}

static __always_inline int nat_plain_forth(struct xdp_md *ctx, void *m, struct view *v,
					   const struct balance_ring *r)
{
	return v->v6 ? nat_plain_forth_of(ctx, m, v, r, 1) : nat_plain_forth_of(ctx, m, v, r, 0);
}

static __always_inline int nat_plain_back_of(struct xdp_md *ctx, struct view *v, __u32 number, __u32 six)
{
	__u32 place = number << 16 | (v->ports & 0xffff), way = place & 7, word, event, who, check, ports,
	      way_to;
	union nat_addr src, dst;
	union nat_flow_hop to;
	struct nat_hop *h;
	char *b;

	b = nat_bucket_at(six, place / NAT_WAYS);
	if (!b || !nat_plain_is(ctx, v, &event, 1))
		return DOES_NOT_KNOW;
	word = *nat_word_at(six, b, way);
	nat_barrier();
	if (six) {
		const struct nat_place6 *p = (void *)nat_word_at(1, b, way);

		dst.v6[0] = BALANCE_HOST64(p->client[0]);
		dst.v6[1] = BALANCE_HOST64(p->client[1]);
		src.v6[0] = BALANCE_HOST64(p->virtual[0]);
		src.v6[1] = BALANCE_HOST64(p->virtual[1]);
		who = p->f.who;
		check = p->f.check;
		ports = p->f.ports;
		to.word = *(volatile __u32 *)&p->f.hop;
	} else {
		const struct nat_place4 *p = (void *)nat_word_at(0, b, way);

		dst.v4 = BALANCE_HOST32(p->client);
		src.v4 = BALANCE_HOST32(p->virtual);
		who = p->f.who;
		check = p->f.check;
		ports = p->f.ports;
		to.word = *(volatile __u32 *)&p->f.hop;
	}
	if (!NAT_TAG(word) || !nat_plain_whole(six, b, way, word) || NAT_WHO_PROTO(who) != v->proto ||
	    !to.is.hop || to.is.time != nat_now() ||
	    nat_check(six, v->src, v->ports >> 16, config.seed) != check)
		return DOES_NOT_KNOW;
	h = bpf_map_lookup_elem(&balance_nathops, &map_first);
	way_to = (to.is.hop - 1) & (NAT_HOPS - 1);
	if (!h || v->bytes > h[way_to].mtu)
		return DOES_NOT_KNOW;
	nat_touch_at(b, six, way, word, 1, event);
	return nat_plain_send(ctx, v, h[way_to].dmac, h[way_to].ifindex, &src, &dst,
			      ENCAP_BE32(ports << 16 | ports >> 16), six);
}

/* The same towards the client, of a packet to the pool's address of this number. */
static __always_inline int nat_plain_back(struct xdp_md *ctx, struct view *v, __u32 number, __u32 own)
{
	if (own && (v->ports & 0xffff) >= own)
		return DOES_NOT_KNOW;
	return v->v6 ? nat_plain_back_of(ctx, v, number, 1) : nat_plain_back_of(ctx, v, number, 0);
}

#endif
