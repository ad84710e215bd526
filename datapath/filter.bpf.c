// SPDX-License-Identifier: GPL-2.0-only
/*
 * The firewall: what src/filter compiled of a policy's rules, looked up for every packet.
 *
 *     parse (lib/parse.h) --> lib/filter_facts.h --> lib/filter_find.h --> lib/filter_walk.h, filter_happen.h
 *                             facts, service         the lookup           rows of tests, limits, verdict
 *
 * Nothing passes unexamined: what is damaged, tagged, fragmented or no IP at all goes through the rules
 * that can match it. abi/filter.h has the tables. filter_small.bpf.c is the same with little room for them.
 */
#include "datapath/lib/filter_facts.h"
#include "datapath/lib/filter_find.h"
#include "datapath/lib/filter_walk.h"

static __always_inline int decide(struct xdp_md *ctx)
{
	struct walk walk = {ctx};
	__u32 zero = 0, rule;
	struct view *v = bpf_map_lookup_elem(&filter_scratch, &zero);
	void *m = bpf_map_lookup_elem(&filter_tables, &zero);

	if (!v || !m)
		return XDP_ABORTED;
	look(v, ctx);
	v->verdict = XDP_ABORTED; /* no walk ends without another */
	if (!config.lists && v->has_ip) {
		rule = v->is_ip6 ? sure6(v, m) : sure4(v, m);
		if (rule == CLASSIFY_NONE)
			no_rule(v);
		else
			happens(v, ctx, m, rule);
		return config.shadow ? XDP_PASS : v->verdict;
	}
	v->row = FILTER_NEXT;
	v->at = v->has_ip ? config.nothing : config.other;
	v->final = FILTER_END;
	if (v->has_ip)
		look_up(v, m);
	if (!turn(v, ctx, m))
		bpf_loop(config.turns, again, &walk, 0);
	return config.shadow ? XDP_PASS : v->verdict;
}

SEC("xdp.frags")
int filter(struct xdp_md *ctx)
{
	return decide(ctx);
}

char filter_license[] SEC("license") = "GPL";
