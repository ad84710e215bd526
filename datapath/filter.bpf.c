// SPDX-License-Identifier: GPL-2.0-only
/*
 * The firewall: what src/filter compiled of a policy's rules, looked up for every packet.
 *
 *     plain packets: lib/filter_plain.h ──┐                        ┌──> pass, drop, count
 *     others: lib/parse.h, filter_facts.h ─┴──> lib/filter_find.h ─┴──> lib/filter_walk.h, filter_happen.h
 *                                               lookup, bits            rows of tests, limits, samples
 *
 * Nothing passes unexamined: what is damaged, tagged, fragmented or no IP at all goes through the rules
 * that can match it. abi/filter.h has the tables. filter_small.bpf.c is the same with little room for them.
 */
#include "datapath/lib/filter_find.h"
#include "datapath/lib/filter_matching.h"

static __always_inline int by_odd(struct xdp_md *ctx, void *m, const struct view *v, const struct seen *s,
				  __u32 family)
{
	__u32 table = config.bits[family == PLAIN_IP6];
	const struct filter_bits *b = m + table;

	return by_bits(ctx, m, s, family, table, b->odd[(v->service.extra & 15) << 8 | v->service.proto],
		       s->bytes < FILTER_LENGTHS ? s->bytes : FILTER_LENGTHS);
}

/* What is not plain, from the view; and plain IPv6 that is looked up. */
static __always_inline int by_view(struct xdp_md *ctx, void *m)
{
	struct classify_service service;
	struct seen s;
	struct view *v;

	if (!config.bits[1] && plain6(&s, 0, ctx)) {
		plain_service(&s, PLAIN_IP6, &service);
		service_trim(&service);
	} else {
		v = bpf_map_lookup_elem(&filter_scratch, &map_first);
		if (!v)
			return XDP_ABORTED;
		look(ctx);
		if (!v->has_ip)
			return hand_over(ctx, config.other, FILTER_END, 0, 0);
		s = (struct seen){.src = {v->src[0], v->src[1]},
				  .dst = {v->dst[0], v->dst[1]},
				  .bytes = v->bytes,
				  .sport = v->service.sport,
				  .dport = v->service.dport,
				  .tcp = v->service.flags >> 8,
				  .type = v->service.flags >> 8,
				  .code = v->service.flags & 255};
		service = v->service;
		service_trim(&service);
		if (!v->is_ip6 && config.bits[0])
			return by_odd(ctx, m, v, &s, PLAIN_IP4);
		if (!v->is_ip6)
			return by_tables(ctx, m, &s, PLAIN_IP4, &service);
		if (config.bits[1])
			return by_odd(ctx, m, v, &s, PLAIN_IP6);
	}
	return by_tables(ctx, m, &s, PLAIN_IP6, &service);
}

static __always_inline int verdict(struct xdp_md *ctx)
{
	__u32 table = config.bits[0];
	void *m = bpf_map_lookup_elem(&filter_tables, &map_first);
	const struct filter_bits *b = m + table;
	struct classify_service service;
	struct seen s;

	if (!m)
		return XDP_ABORTED;
	if (!plain4(&s, 0, ctx)) {
		if (!config.bits[1] || !plain6(&s, 0, ctx))
			return by_view(ctx, m);
		b = m + config.bits[1];
		return by_bits(ctx, m, &s, PLAIN_IP6, config.bits[1], b->plain[s.proto & 255], s.bytes);
	}
	if (table)
		return by_bits(ctx, m, &s, PLAIN_IP4, table, b->plain[s.proto & 255], s.bytes);
	plain_service(&s, PLAIN_IP4, &service);
	service_trim(&service);
	return by_tables(ctx, m, &s, PLAIN_IP4, &service);
}

/* Before all else, so that no jump has to reach across the room for the expressions. */
static __always_inline void match(struct xdp_md *ctx)
{
	struct view *v;

	if (!config.matching)
		return;
	v = bpf_map_lookup_elem(&filter_scratch, &map_first);
	if (v)
		matching_ask(ctx, config.matching, &v->facts[FACT_MATCHING_LO]);
}

static __always_inline int decide(struct xdp_md *ctx)
{
	int does;

	match(ctx);
	does = verdict(ctx);
	return config.shadow ? XDP_PASS : does;
}

SEC("xdp.frags")
int filter(struct xdp_md *ctx)
{
	return decide(ctx);
}

char filter_license[] SEC("license") = "GPL";
