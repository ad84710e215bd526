/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way to clients: the kernel's tables are asked once a tick for each flow; ways that were found are shared, so that a flow
 * needs four bytes for its own.
 */
#ifndef DATAPATH_BALANCE_NAT_WAY_H
#define DATAPATH_BALANCE_NAT_WAY_H

#include "datapath/balance_nat_maps.h"
#include "datapath/balance_out.h"

/* What is to be done with a packet, unless it is a reason to drop it. */
#define NAT_GO (-1)
#define NAT_PASS (-2) /* translated, and left to the kernel */
#define NAT_DONE (-3)
#define NAT_TOO_BIG (-4)
#define NAT_BEGIN (-6)

/* Both addresses, which lie one after the other, at a multiple of 4. */
static __always_inline int nat_same_macs(const __u8 *a, const __u8 *b)
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

/* A way that others have found is shared, so that a flow needs two bytes for it; 0: no room. */
static __always_inline __u32 nat_hop_keep(const struct balance_hop *hop, __u32 now)
{
	__u32 i, mark = (__u32)hop->dmac[5] << 8 ^ hop->smac[5] ^ (__u32)hop->dmac[4] << 4, word, at;
	struct nat_hop *h = bpf_map_lookup_elem(&balance_nathops, &map_first), *to;

	mark = (mark ^ hop->ifindex) * 0x9e3779b1u >> 22;
	for (i = 0; h && i < 4; i++) {
		at = (mark + i) & (NAT_HOPS - 1);
		to = h + at;
		word = *(volatile __u32 *)&to->word;
		if (NAT_STATE(word) == NAT_NEW && to->ifindex == hop->ifindex && to->mtu == hop->mtu &&
		    nat_same_macs(to->dmac, hop->dmac)) {
			if (NAT_AGE(word, now))
				nat_swap(&to->word, word, NAT_WORD(1, NAT_NEW, now));
			return at + 1;
		}
		if (NAT_STATE(word) == NAT_CLAIMED || (word && NAT_AGE(word, now) <= NAT_HOP_KEEP))
			continue;
		if (!nat_swap(&to->word, word, NAT_WORD(1, NAT_CLAIMED, now)))
			continue;
		to->ifindex = hop->ifindex;
		to->mtu = hop->mtu;
		__builtin_memcpy(to->dmac, hop->dmac, 12);
		nat_swap(&to->word, NAT_WORD(1, NAT_CLAIMED, now), NAT_WORD(1, NAT_NEW, now));
		return at + 1;
	}
	return 0;
}

/* What the kernel's tables say of the way to w->dst, from w->src. Returns what bpf_fib_lookup() does. */
static __always_inline long nat_ask(struct xdp_md *ctx, const struct view *v, struct nat_work *w, struct balance_hop *to)
{
	struct bpf_fib_lookup *f = &w->fib;
	long e;

	__builtin_memset(f, 0, sizeof(*f));
	f->ifindex = ctx->ingress_ifindex;
	if (v->v6) {
		f->family = 10;
		__builtin_memcpy(f->ipv6_src, w->src.v6, 16);
		__builtin_memcpy(f->ipv6_dst, w->dst.v6, 16);
	} else {
		f->family = 2;
		f->ipv4_src = w->src.v4;
		f->ipv4_dst = w->dst.v4;
	}
	note(v->service, BALANCE_NOTE_LOOKUP);
	e = bpf_fib_lookup(ctx, f, sizeof(*f), 0);
	to->ifindex = f->ifindex;
	to->mtu = f->tot_len; /* where it says how large packets may be */
	__builtin_memcpy(to->dmac, f->dmac, 6);
	__builtin_memcpy(to->smac, f->smac, 6);
	return e;
}

/* In one store, so that no packet finds a way with another one's time. */
static __always_inline void nat_set_hop(const struct nat_work *w, __u32 six, __u32 hop, __u32 now)
{
	union nat_flow_hop to = {.is = {(__u16)hop, (__u16)now}};
	char *b = nat_bucket_at(six, w->place / NAT_WAYS);

	if (b && NAT_TAG(*nat_word_at(six, b, w->place)) == NAT_TAG(w->word))
		*(volatile __u32 *)&nat_flow_at(six, b, w->place)->hop = to.word;
}

static __noinline int nat_find_way(struct xdp_md *ctx)
{
	__u32 now = nat_now(), hop;
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	struct nat_work *w = nat_work();
	long e;

	if (!v || !w)
		return BALANCE_DROP_TABLES;
	e = nat_ask(ctx, v, w, &v->hop);
	if (e == BPF_FIB_LKUP_RET_NO_NEIGH || e == BPF_FIB_LKUP_RET_NOT_FWDED || e == BPF_FIB_LKUP_RET_UNSUPP_LWT)
		return NAT_PASS;
	if (e)
		return BALANCE_DROP_NO_ROUTE;
	hop = nat_hop_keep(&v->hop, now);
	if (v->v6)
		nat_set_hop(w, 1, hop, now);
	else
		nat_set_hop(w, 0, hop, now);
	return NAT_GO;
}

/* How to get to the flow's client: asked once in a tick. */
static __always_inline int nat_way(struct xdp_md *ctx, const struct nat_work *w, struct balance_hop *to)
{
	__u32 now = nat_now();
	struct nat_hop *h;

	if (w->f.hop && w->f.hop_time == now) {
		h = bpf_map_lookup_elem(&balance_nathops, &map_first);
		if (!h)
			return BALANCE_DROP_TABLES;
		h += (w->f.hop - 1) & (NAT_HOPS - 1);
		to->ifindex = h->ifindex;
		to->mtu = h->mtu;
		__builtin_memcpy(to->dmac, h->dmac, 12);
		return NAT_GO;
	}
	return nat_find_way(ctx);
}

#endif
