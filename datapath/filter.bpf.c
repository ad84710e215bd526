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

static __always_inline int by_family(struct view *v, struct xdp_md *ctx, void *m, const struct seen *s,
				     __u32 family)
{
	__u32 table = config.bits[family == PLAIN_IP6];

	if (family == PLAIN_IP4 && table)
		return by_bits(v, ctx, m, s, family, table);
	if (config.lists)
		return by_lookup(v, ctx, m, s, family);
	return by_first(v, ctx, m, s, family);
}

/* A packet that is not plain, as the parser has it. */
static __always_inline __u32 odd(struct seen *s, const struct view *v)
{
	s->src[0] = v->src[0];
	s->src[1] = v->src[1];
	s->dst[0] = v->dst[0];
	s->dst[1] = v->dst[1];
	s->bytes = v->bytes;
	s->proto = v->service.proto;
	s->extra = v->service.extra;
	s->flags = v->service.flags;
	s->sport = v->service.sport;
	s->dport = v->service.dport;
	return !v->has_ip ? NOT_PLAIN : v->is_ip6 ? PLAIN_IP6 : PLAIN_IP4;
}

static __always_inline int verdict(struct xdp_md *ctx)
{
	__u32 zero = 0, family;
	struct view *v = bpf_map_lookup_elem(&filter_scratch, &zero);
	void *m = bpf_map_lookup_elem(&filter_tables, &zero);
	struct seen s;

	if (!v || !m)
		return XDP_ABORTED;
	/* first: here the verifier has one state, behind the parser one for each kind of packet */
	if (config.matching && !matching_ask(ctx, config.matching, &v->facts[FACT_MATCHING_LO]))
		return XDP_ABORTED;
	family = plain(&s, v, ctx);
	if (family == NOT_PLAIN) {
		look(ctx);
		family = odd(&s, v);
	}
	if (family == PLAIN_IP4)
		return by_family(v, ctx, m, &s, PLAIN_IP4);
	if (family == PLAIN_IP6)
		return by_family(v, ctx, m, &s, PLAIN_IP6);
	v->table = 0;
	v->at = config.other;
	v->final = FILTER_END;
	return walk(ctx);
}

static __always_inline int decide(struct xdp_md *ctx)
{
	int does = verdict(ctx);

	return config.shadow ? XDP_PASS : does;
}

SEC("xdp.frags")
int filter(struct xdp_md *ctx)
{
	return decide(ctx);
}

char filter_license[] SEC("license") = "GPL";
