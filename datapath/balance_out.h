/* SPDX-License-Identifier: GPL-2.0-only */
/* Last phase of balance.bpf.c: the packet goes to its backend, or an ICMP error back to its sender. */
#ifndef DATAPATH_BALANCE_OUT_H
#define DATAPATH_BALANCE_OUT_H

#include "datapath/balance_tell.h"

enum { MODE_IPIP, MODE_GUE, MODE_L2 }; /* as enum balance_mode */

static __always_inline int leave(struct xdp_md *ctx, __u32 ifindex)
{
	return ifindex == ctx->ingress_ifindex ? XDP_TX : (int)bpf_redirect(ifindex, 0);
}

/* Puts head bytes in front, both MAC addresses and type; room: from the IP header on. Returns where that is; 0: no room. */
static __always_inline void *plain_front(struct xdp_md *ctx, const __u8 *both, __u32 head, __u32 room,
					 __be16 type)
{
	__u64 macs = *(const volatile __u64 *)both;
	__u32 rest = *(const volatile __u32 *)(both + 8);
	void *data;

	if (head && bpf_xdp_adjust_head(ctx, -(int)head))
		return 0;
	data = (void *)(long)ctx->data;
	if (data + sizeof(struct ethhdr) + room > (void *)(long)ctx->data_end)
		return 0;
	*(__u64 *)data = macs;
	*(__u32 *)(data + 8) = rest;
	*(__be16 *)(data + 12) = type;
	return data + sizeof(struct ethhdr);
}

/* Does the way lead by a router? bpf_fib_lookup() has put its address, of either family, where the target's was. */
static __always_inline int is_routed(const struct bpf_fib_lookup *f, const struct balance_target *t)
{
	const __u32 *to = (const __u32 *)t->addr;
	__u32 other = f->ipv6_dst[0] ^ to[0];

	if (t->v6)
		other |= (f->ipv6_dst[1] ^ to[1]) | (f->ipv6_dst[2] ^ to[2]) | (f->ipv6_dst[3] ^ to[3]);
	return other || f->family != (t->v6 ? 10 : 2);
}

/*
 * The way to a target for whom nobody has looked it up: costs more than all the rest. direct: the packet stays for the virtual address,
 * so that a router would send it back to here, again and again.
 */
static __always_inline int hop_lookup(struct xdp_md *ctx, const struct balance_target *t, __u32 direct,
				      struct balance_hop *to)
{
	struct bpf_fib_lookup f = {.ifindex = ctx->ingress_ifindex};
	long e;

	if (t->v6) {
		f.family = 10;
		__builtin_memcpy(f.ipv6_dst, t->addr, 16);
	} else {
		f.family = 2;
		__builtin_memcpy(&f.ipv4_dst, t->addr, 4);
	}
	e = bpf_fib_lookup(ctx, &f, sizeof(f), 0);
	if (direct && (!e || e == BPF_FIB_LKUP_RET_NO_NEIGH) && is_routed(&f, t))
		return BALANCE_DROP_NO_ROUTE;
	if (e == BPF_FIB_LKUP_RET_NO_NEIGH)
		return BALANCE_DROP_NO_NEIGH;
	if (e)
		return BALANCE_DROP_NO_ROUTE;
	to->ifindex = f.ifindex;
	to->mtu = f.tot_len; /* where it says how large packets may be */
	__builtin_memcpy(to->dmac, f.dmac, 6);
	__builtin_memcpy(to->smac, f.smac, 6);
	return -1;
}

/* -1: it is there; else why not */
static __always_inline int hop_of(struct xdp_md *ctx, void *m, const struct view *v,
				  const struct balance_target *t, __u32 direct, struct balance_hop *to)
{
	const struct balance_hop *h;

	if (!t->hop) {
		note(v->service, BALANCE_NOTE_LOOKUP);
		return hop_lookup(ctx, t, direct, to);
	}
	h = AT(m, struct balance_hop, config.hops + (t->hop & (config.n_hops - 1)) * sizeof(*h));
	*to = *h;
	return to->ifindex ? -1 : BALANCE_DROP_NO_NEIGH;
}

static __always_inline void outer_put(void *ip, const struct view *v, const struct balance_ring *r,
				      const struct balance_target *t, __u32 six, __u32 gue)
{
	__u32 inner = v->v6 ? ENCAP_IPV6 : ENCAP_IPIP, payload = v->bytes + (gue ? 8 : 0);
	__u64 src6[2], dst6[2];
	void *next;

	if (six) {
		src6[0] = BALANCE_HOST64(config.source6[0]);
		src6[1] = BALANCE_HOST64(config.source6[1] | (v->hash >> 8 & config.vary6));
		dst6[0] = ((const __u64 *)t->addr)[0];
		dst6[1] = ((const __u64 *)t->addr)[1];
		encap_ipv6(ip, payload, v->tos, (__u32)(v->hash >> 12), gue ? ENCAP_UDP : inner, src6, dst6);
		next = ip + sizeof(struct ipv6hdr);
	} else {
		encap_ipv4(ip, payload + sizeof(struct iphdr), v->tos, gue ? ENCAP_UDP : inner,
			   config.source4 | (ENCAP_BE32((__u32)(v->hash >> 16)) & config.vary4),
			   *(const __be32 *)t->addr);
		next = ip + sizeof(struct iphdr);
	}
	if (gue)
		encap_gue(next, v->bytes, v->hash, r->gue_port);
}

/*
 * The packet of the view in balance_scratch goes to its target. Returns a verdict; a drop is counted.
 */
__noinline int forward(struct xdp_md *ctx)
{
	__u32 gue, head, is_l2, n_tags, target;
	void *m = bpf_map_lookup_elem(&balance_tables, &map_first), *ip;
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	const struct balance_target *t;
	const struct balance_ring *r;
	struct balance_hop *hop;
	struct tags tags = {0};
	int e;

	if (!m || !v)
		return XDP_DROP;
	r = ring_of(m, v);
	target = r->targets + v->id;
	if (target >= config.n_targets) {
		note(v->service, BALANCE_DROP_TABLES);
		return XDP_DROP;
	}
	t = AT(m, struct balance_target, config.targets + target * sizeof(*t));
	gue = r->mode == MODE_GUE;
	head = balance_outer(gue, t->v6);
	is_l2 = r->mode == MODE_L2;
	if (r->mode > MODE_L2) {
		note(v->service, BALANCE_DROP_MODE);
		return XDP_DROP;
	}
	hop = &v->hop;
	e = hop_of(ctx, m, v, t, is_l2, hop);
	if (e >= 0) {
		note(v->service, (__u32)e);
		return XDP_DROP;
	}
	head = is_l2 ? 0 : head;
	if (v->bytes + head > hop->mtu)
		return too_big(ctx, v, hop->mtu - head);
	if (!tags_save(ctx, v, &tags)) {
		note(v->service, BALANCE_DROP_TABLES);
		return XDP_DROP;
	}
	/* tags stay where the packet came from: they say which network that is */
	n_tags = hop->ifindex == ctx->ingress_ifindex ? v->n_tags : 0;
	if (bpf_xdp_adjust_head(ctx, (int)((v->n_tags - n_tags) * 4) - (int)head)) {
		note(v->service, BALANCE_DROP_HEADROOM);
		return XDP_DROP;
	}
	ip = front_put(ctx, hop->dmac, hop->smac, &tags, n_tags,
		       (is_l2 ? v->v6 : t->v6) ? ENCAP_BE16(ETH_P_IPV6) : ENCAP_BE16(ETH_P_IP),
		       sizeof(struct iphdr));
	if (!ip) {
		note(v->service, BALANCE_DROP_TABLES);
		return XDP_DROP;
	}
	if (!is_l2) {
		if (ip + sizeof(struct ipv6hdr) + sizeof(struct encap_udp) > (void *)(long)ctx->data_end) {
			note(v->service, BALANCE_DROP_TABLES);
			return XDP_DROP;
		}
		outer_put(ip, v, r, t, t->v6, gue);
	}
	return leave(ctx, hop->ifindex);
}

#endif
