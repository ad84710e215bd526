/* SPDX-License-Identifier: GPL-2.0-only */
/* Last phase of balance.bpf.c: the packet goes to its backend, or an ICMP error back to its sender. */
#ifndef DATAPATH_BALANCE_OUT_H
#define DATAPATH_BALANCE_OUT_H

#include "datapath/balance_choose.h"
#include "datapath/lib/encap.h"

enum { MODE_IPIP, MODE_GUE, MODE_L2 }; /* as enum balance_mode */

#define QUOTE 128 /* bytes of a packet that is too big, in the error that says so */

struct tags {
	__u32 tag
		[PARSE_MAX_TAGS]; /* as they lie there: type and TCI, the first type is behind the MAC addresses */
};

/* What stands between MAC addresses and IP header: the tags, then the type. Returns 0 if it is not there. */
static __always_inline int tags_save(struct xdp_md *ctx, const struct view *v, struct tags *t)
{
	char *at = (char *)(long)ctx->data + 12, *end = (void *)(long)ctx->data_end;
	__u32 i;

#pragma GCC unroll 4
	for (i = 0; i < PARSE_MAX_TAGS; i++) {
		if (i >= v->n_tags)
			break;
		if (at + 4 > end)
			return 0;
		t->tag[i] = *(__u32 *)at;
		at += 4;
	}
	return 1;
}

/* The frame's first bytes, up to its IP header, which is returned; size of it and what follows must be there. */
static __always_inline void *front_put(struct xdp_md *ctx, const __u8 dmac[6], const __u8 smac[6],
				       const struct tags *t, __u32 n_tags, __be16 type, __u32 size)
{
	char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *at;
	__u32 i;

	if (data + 14 > end)
		return 0;
	__builtin_memcpy(data, dmac, 6);
	__builtin_memcpy(data + 6, smac, 6);
	at = data + 12;
#pragma GCC unroll 4
	for (i = 0; i < PARSE_MAX_TAGS; i++) {
		if (i >= n_tags)
			break;
		if (at + 4 > end)
			return 0;
		*(__u32 *)at = t->tag[i];
		at += 4;
	}
	if (at + 2 + size > end)
		return 0;
	*(__be16 *)at = type;
	return at + 2;
}

static __always_inline int leave(struct xdp_md *ctx, __u32 ifindex)
{
	return ifindex == ctx->ingress_ifindex ? XDP_TX : (int)bpf_redirect(ifindex, 0);
}

/* The way to a target for whom nobody has looked it up: costs more than all the rest. */
static __always_inline int hop_lookup(struct xdp_md *ctx, const struct balance_target *t,
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
				  const struct balance_target *t, struct balance_hop *to)
{
	const struct balance_hop *h;

	if (!t->hop) {
		note(v->service, BALANCE_NOTE_LOOKUP);
		return hop_lookup(ctx, t, to);
	}
	h = AT(m, struct balance_hop, config.hops + (t->hop & (config.n_hops - 1)) * sizeof(*h));
	*to = *h;
	return to->ifindex ? -1 : BALANCE_DROP_NO_NEIGH;
}

/* So many errors a second and no more; with a coarse second. */
static __always_inline int paced(void)
{
	__u64 second = bpf_ktime_get_coarse_ns() >> 30;
	__u32 zero = 0;
	struct pace *p = bpf_map_lookup_elem(&balance_pace, &zero);

	if (!p)
		return 0;
	if (p->second != second) {
		p->second = second;
		p->n = 0;
	}
	return p->n++ < config.icmp_per_s;
}

struct icmp {
	__u8 type, code;
	__be16 check;
	__be32 mtu;
};

static __always_inline void icmp_head4(struct iphdr *ip, struct icmp *icmp, __u32 mtu)
{
	struct iphdr *old = (void *)(icmp + 1);

	encap_ipv4(ip, sizeof(*ip) + sizeof(*icmp) + QUOTE, 0xc0, IP_PROTO_ICMP, old->daddr, old->saddr);
	*icmp = (struct icmp){3, 4, 0, ENCAP_BE32(mtu)};
	icmp->check = encap_fold(encap_sum32((__u32)bpf_csum_diff(0, 0, (void *)icmp, 8 + QUOTE, 0), 0));
}

static __always_inline void icmp_head6(struct ipv6hdr *ip, struct icmp *icmp, __u32 mtu)
{
	struct ipv6hdr *old = (void *)(icmp + 1);
	__u64 src[2] = {((__u64 *)&old->daddr)[0], ((__u64 *)&old->daddr)[1]};
	__u64 dst[2] = {((__u64 *)&old->saddr)[0], ((__u64 *)&old->saddr)[1]};
	__u32 sum = ENCAP_BE16(8 + QUOTE) + ENCAP_BE16(IP_PROTO_ICMPV6);

	encap_ipv6(ip, 8 + QUOTE, 0, 0, IP_PROTO_ICMPV6, src, dst);
	*icmp = (struct icmp){2, 0, 0, ENCAP_BE32(mtu)};
	sum += encap_sum32((__u32)src[0], (__u32)(src[0] >> 32)) +
	       encap_sum32((__u32)src[1], (__u32)(src[1] >> 32)) +
	       encap_sum32((__u32)dst[0], (__u32)(dst[0] >> 32)) +
	       encap_sum32((__u32)dst[1], (__u32)(dst[1] >> 32));
	icmp->check =
		encap_fold(sum + encap_sum32((__u32)bpf_csum_diff(0, 0, (void *)icmp, 8 + QUOTE, 0), 0));
}

/*
 * The packet does not fit on the way: its sender is told what would (RFC 792, 1191; RFC 4443, 8201), from the
 * virtual address. Without DF, too: the packet cannot be forwarded, and most senders listen. Not about later fragments
 * and ICMP errors (RFC 1122, 3.2.2). Returns a verdict.
 */
static __always_inline int too_big(struct xdp_md *ctx, const struct view *v, __u32 mtu)
{
	__u32 head = v->v6 ? sizeof(struct ipv6hdr) + 8 : sizeof(struct iphdr) + 8, len;
	char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct tags t = {0};
	__u8 macs[12];
	void *ip;

	if (v->kind == BALANCE_PACKET_FRAGMENT || v->kind == BALANCE_PACKET_ERROR || v->bytes < QUOTE ||
	    !paced())
		goto drop;
	if (data + 12 > end || !tags_save(ctx, v, &t))
		goto drop;
	__builtin_memcpy(macs, data, 12);
	len = (__u32)bpf_xdp_get_buff_len(ctx);
	if (len < v->l3 + QUOTE || bpf_xdp_adjust_tail(ctx, (int)(v->l3 + QUOTE) - (int)len) ||
	    bpf_xdp_adjust_head(ctx, -(int)head))
		goto drop;
	ip = front_put(ctx, macs + 6, macs, &t, v->n_tags,
		       v->v6 ? ENCAP_BE16(ETH_P_IPV6) : ENCAP_BE16(ETH_P_IP),
		       sizeof(struct ipv6hdr) + 8 + QUOTE - (v->v6 ? 0 : 20));
	if (!ip)
		goto drop;
	if (v->v6) {
		if (ip + sizeof(struct ipv6hdr) + 8 + QUOTE > (void *)(long)ctx->data_end)
			goto drop;
		icmp_head6(ip, ip + sizeof(struct ipv6hdr), mtu);
	} else {
		if (ip + sizeof(struct iphdr) + 8 + QUOTE > (void *)(long)ctx->data_end)
			goto drop;
		icmp_head4(ip, ip + sizeof(struct iphdr), mtu);
	}
	note(v->service, BALANCE_DROP_TOO_BIG_TOLD);
	return XDP_TX;
drop:
	note(v->service, BALANCE_DROP_TOO_BIG);
	return XDP_DROP;
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
 * The packet of the view in balance_scratch goes to its target. Returns a verdict; a drop is counted. Not inline: two ways
 * lead here, of which one is seldom gone.
 */
static __noinline int forward(struct xdp_md *ctx)
{
	__u32 zero = 0, gue, head, is_l2, n_tags, target;
	void *m = bpf_map_lookup_elem(&balance_tables, &zero), *ip;
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &zero);
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
	head = (t->v6 ? 40 : 20) + (gue ? 8 : 0);
	is_l2 = r->mode == MODE_L2;
	if (r->mode > MODE_L2) {
		note(v->service, BALANCE_DROP_MODE);
		return XDP_DROP;
	}
	hop = &v->hop;
	e = hop_of(ctx, m, v, t, hop);
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
