/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What balance.bpf.c answers itself, from the virtual address: ICMP errors about packets that are too large, refusals while
 * no backend is up. A packet becomes its answer and leaves where it came in; so many a second and no more.
 */
#ifndef DATAPATH_BALANCE_TELL_H
#define DATAPATH_BALANCE_TELL_H

#include "datapath/balance_choose.h"
#include "datapath/lib/encap.h"

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

/* So many a second and no more, with a coarse second; which: PACE_. */
static __always_inline int paced(__u32 which)
{
	__u64 second = bpf_ktime_get_coarse_ns() >> 30;
	struct pace *p = bpf_map_lookup_elem(&balance_pace, &which);

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
	__be32 rest;
};

static __always_inline __u32 sum_icmp(struct icmp *icmp, __u32 quote)
{
	return encap_sum32((__u32)bpf_csum_diff(0, 0, (void *)icmp, 8 + quote, 0), 0);
}

static __always_inline void icmp_head4(struct iphdr *ip, struct icmp *icmp, __u8 code, __u32 mtu, __u32 quote)
{
	struct iphdr *old = (void *)(icmp + 1);

	encap_ipv4(ip, sizeof(*ip) + sizeof(*icmp) + quote, 0xc0, IP_PROTO_ICMP, old->daddr, old->saddr);
	*icmp = (struct icmp){3, code, 0, ENCAP_BE32(mtu)};
	icmp->check = encap_fold(sum_icmp(icmp, quote));
}

/* Of addresses, as part of a sum. */
static __always_inline __u32 sum_ipv6(const __u64 src[2], const __u64 dst[2])
{
	return encap_sum32((__u32)src[0], (__u32)(src[0] >> 32)) +
	       encap_sum32((__u32)src[1], (__u32)(src[1] >> 32)) +
	       encap_sum32((__u32)dst[0], (__u32)(dst[0] >> 32)) +
	       encap_sum32((__u32)dst[1], (__u32)(dst[1] >> 32));
}

static __always_inline void icmp_head6(struct ipv6hdr *ip, struct icmp *icmp, __u8 type, __u8 code, __u32 mtu,
				       __u32 quote)
{
	struct ipv6hdr *old = (void *)(icmp + 1);
	__u64 src[2] = {((__u64 *)&old->daddr)[0], ((__u64 *)&old->daddr)[1]};
	__u64 dst[2] = {((__u64 *)&old->saddr)[0], ((__u64 *)&old->saddr)[1]};
	__u32 sum = ENCAP_BE16(8 + quote) + ENCAP_BE16(IP_PROTO_ICMPV6);

	encap_ipv6(ip, 8 + quote, 0, 0, IP_PROTO_ICMPV6, src, dst);
	*icmp = (struct icmp){type, code, 0, ENCAP_BE32(mtu)};
	icmp->check = encap_fold(sum + sum_ipv6(src, dst) + sum_icmp(icmp, quote));
}

/* The IP packet becomes one of keep bytes behind a new header of front bytes; its front stays but for the MAC addresses, which
 * swap. Returns where the new header is, with room bytes from there on; 0: it cannot be, or not now. */
static __always_inline void *answer(struct xdp_md *ctx, const struct view *v, __u32 keep, __u32 front, __u32 room,
				    __u32 pace)
{
	char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 len = (__u32)bpf_xdp_get_buff_len(ctx);
	struct tags t = {0};
	__u8 macs[12];

	if (data + 12 > end || !tags_save(ctx, v, &t) || len < v->l3 + keep || !paced(pace))
		return 0;
	__builtin_memcpy(macs, data, 12);
	if (bpf_xdp_adjust_tail(ctx, (int)(v->l3 + keep) - (int)len) ||
	    (front && bpf_xdp_adjust_head(ctx, -(int)front)))
		return 0;
	return front_put(ctx, macs + 6, macs, &t, v->n_tags,
			 v->v6 ? ENCAP_BE16(ETH_P_IPV6) : ENCAP_BE16(ETH_P_IP), room);
}

/*
 * Nobody's (RFC 1122, 3.2.1.3; RFC 4443, 2.4 e): the packet of the view in balance_scratch is from where no answer gets, or from a
 * virtual address, to which an answer would come around in here.
 */
__noinline int is_forged(void)
{
	void *m = bpf_map_lookup_elem(&balance_tables, &map_first);
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	struct balance_head *head = m;

	return !m || !v || !balance_is_sender(v->v6, v->src) ||
	       vip_find(m, v->src[0], v->src[1], head->half & 1,
			BALANCE_VIP_KEY(v->v6, 0, BALANCE_VIP_ADDR, 0)) != VIP_NONE;
}

/* Whether an ICMP message is an error, or a redirect: of a first fragment, too, which the view does not say. */
static __always_inline int is_icmp_error(struct xdp_md *ctx, const struct view *v)
{
	__u8 type = 0;

	if (v->proto != (v->v6 ? IP_PROTO_ICMPV6 : IP_PROTO_ICMP))
		return 0;
	if (bpf_xdp_load_bytes(ctx, v->l4, &type, 1))
		return 1;
	return balance_is_unanswered(v->v6, type);
}

/*
 * Whether the packet of the view in balance_scratch may be answered by an error or a reset: not later fragments, nor ICMP errors
 * and redirects (RFC 1122, 3.2.2; RFC 4443, 2.4 e), nor what is nobody's.
 */
static __always_inline int may_answer(struct xdp_md *ctx, const struct view *v)
{
	return v->kind != BALANCE_PACKET_FRAGMENT && v->kind != BALANCE_PACKET_ERROR &&
	       !is_icmp_error(ctx, v) && !is_forged();
}

/*
 * An ICMP error with the first quote bytes of the packet, which a constant has to be for the caller's sake: 3 / code (RFC 792,
 * 1191) or type6 / code6 (RFC 4443, 8201). may_answer() has been asked. Returns 0 if none was sent.
 */
static __always_inline int tell(struct xdp_md *ctx, const struct view *v, __u8 code, __u8 type6, __u8 code6, __u32 mtu,
				__u32 quote, __u32 pace)
{
	void *ip;

	if (v->bytes < quote)
		return 0;
	if (v->v6) {
		ip = answer(ctx, v, quote, sizeof(struct ipv6hdr) + 8, sizeof(struct ipv6hdr) + 8 + quote, pace);
		if (ip)
			icmp_head6(ip, ip + sizeof(struct ipv6hdr), type6, code6, mtu, quote);
	} else {
		ip = answer(ctx, v, quote, sizeof(struct iphdr) + 8, sizeof(struct iphdr) + 8 + quote, pace);
		if (ip)
			icmp_head4(ip, ip + sizeof(struct iphdr), code, mtu, quote);
	}
	return ip != 0;
}

/*
 * The packet does not fit on the way: its sender is told what would. Without DF, too: the packet cannot be forwarded, and
 * most senders listen. v: in balance_scratch. Returns a verdict.
 */
static __always_inline int too_big(struct xdp_md *ctx, const struct view *v, __u32 mtu)
{
	int told = may_answer(ctx, v) && tell(ctx, v, 4, 2, 0, mtu, BALANCE_QUOTE, PACE_TOO_BIG);

	note(v->service, told ? BALANCE_DROP_TOO_BIG_TOLD : BALANCE_DROP_TOO_BIG);
	return told ? XDP_TX : XDP_DROP;
}

enum { FALLBACK_RESET = 1 }; /* as enum balance_fallback */

struct tcp {
	__be16 sport, dport;
	__be32 seq, ack;
	__u8 offset, flags;
	__be16 window, check, urgent;
};

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

/* The segment's answer while nobody listens: RFC 9293, 3.10.7.1. Returns 0 if it has none. */
static __always_inline int reset_of(const struct tcp *in, __u32 bytes, struct tcp *out)
{
	__u32 head = (in->offset >> 4) * 4u;

	if (in->flags & TCP_RST || head < sizeof(*in) || head > bytes)
		return 0;
	*out = (struct tcp){.sport = in->dport, .dport = in->sport, .offset = 5 << 4, .flags = TCP_RST};
	if (in->flags & TCP_ACK) {
		out->seq = in->ack;
		return 1;
	}
	out->flags = TCP_RST | TCP_ACK;
	out->ack = ENCAP_BE32(BALANCE_HOST32(in->seq) + (bytes - head) + !!(in->flags & TCP_SYN) +
			      (in->flags & TCP_FIN));
	return 1;
}

static __always_inline __u16 reset_sum(const struct tcp *t, __u32 addresses)
{
	return encap_fold(addresses + ENCAP_BE16(sizeof(*t)) + ENCAP_BE16(IP_PROTO_TCP) +
			  encap_sum32((__u32)t->sport | (__u32)t->dport << 16, t->seq) +
			  encap_sum32(t->ack, *(const __u32 *)&t->offset));
}

static __always_inline int reset4(struct xdp_md *ctx, const struct view *v, struct tcp *t)
{
	__u32 src = ENCAP_BE32((__u32)v->dst[1]), dst = ENCAP_BE32((__u32)v->src[1]), len = sizeof(struct iphdr) + sizeof(*t);
	/* a frame that was as long as the least stays so, with zeroes behind the packet */
	__u32 pad = bpf_xdp_get_buff_len(ctx) >= v->l3 + len + 6 ? 6 : 0;
	void *ip = answer(ctx, v, len + pad, 0, len, PACE_REFUSED);

	if (!ip)
		return 0;
	t->check = reset_sum(t, encap_sum32(src, dst));
	encap_ipv4(ip, len, 0, IP_PROTO_TCP, src, dst);
	*(struct tcp *)(ip + sizeof(struct iphdr)) = *t;
	if (pad && ip + len + 6 <= (void *)(long)ctx->data_end)
		__builtin_memset(ip + len, 0, 6);
	return 1;
}

static __always_inline int reset6(struct xdp_md *ctx, const struct view *v, struct tcp *t)
{
	__u64 src[2] = {BALANCE_HOST64(v->dst[0]), BALANCE_HOST64(v->dst[1])};
	__u64 dst[2] = {BALANCE_HOST64(v->src[0]), BALANCE_HOST64(v->src[1])};
	void *ip = answer(ctx, v, sizeof(struct ipv6hdr) + sizeof(*t), 0, sizeof(struct ipv6hdr) + sizeof(*t),
			  PACE_REFUSED);

	if (!ip)
		return 0;
	t->check = reset_sum(t, sum_ipv6(src, dst));
	encap_ipv6(ip, sizeof(*t), 0, 0, IP_PROTO_TCP, src, dst);
	*(struct tcp *)(ip + sizeof(struct ipv6hdr)) = *t;
	return 1;
}

/*
 * Refuses the packet of the view in balance_scratch: a TCP segment with a reset, others with port unreachable, which quotes 128
 * bytes, or the IP header and eight if it is shorter and has no options.
 */
__noinline int refuse(struct xdp_md *ctx)
{
	__u32 l3, bytes;
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	struct tcp in, out;
	int told = 0;

	if (!v)
		return XDP_DROP;
	l3 = v->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	bytes = v->bytes - (v->l4 - v->l3);
	if (!v->bytes || v->bytes + v->l3 > bpf_xdp_get_buff_len(ctx)) {
		note(v->service, BALANCE_DROP_DAMAGED);
		return XDP_DROP;
	}
	if (!may_answer(ctx, v))
		told = 0;
	else if (v->proto == IP_PROTO_TCP)
		told = !v->more && !bpf_xdp_load_bytes(ctx, v->l4, &in, sizeof(in)) && reset_of(&in, bytes, &out) &&
		       (v->v6 ? reset6(ctx, v, &out) : reset4(ctx, v, &out));
	else if (v->bytes >= BALANCE_QUOTE)
		told = tell(ctx, v, 3, 1, 4, 0, BALANCE_QUOTE, PACE_REFUSED);
	else if (v->l4 - v->l3 == l3)
		told = v->v6 ? tell(ctx, v, 3, 1, 4, 0, sizeof(struct ipv6hdr) + 8, PACE_REFUSED)
			     : tell(ctx, v, 3, 1, 4, 0, sizeof(struct iphdr) + 8, PACE_REFUSED);
	note(v->service, told ? BALANCE_DROP_REFUSED : BALANCE_DROP_NO_BACKEND);
	return told ? XDP_TX : XDP_DROP;
}

#endif
