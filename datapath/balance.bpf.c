// SPDX-License-Identifier: GPL-2.0-only
/*
 * The load balancer: packets to virtual addresses go to a backend, by the tables that src/balance makes.
 *
 *     view (lib/parse.h) --> service, slot, flow table (lib/balance.h, lib/flow.h) --> out (lib/encap.h)
 *
 * What is for no virtual address passes. Everything that is dropped is counted with its reason. No packet is changed
 * before it is clear where it goes. abi/balance.h has the tables.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "datapath/balance_out.h"

static __always_inline void count(const struct view *v, __u32 target, __u8 why)
{
	struct balance_count *c = bpf_map_lookup_elem(&balance_counts, &target);

	if (!c)
		return;
	c->packets++;
	c->bytes += v->bytes;
	c->opened += v->kind == BALANCE_PACKET_OPENS;
	c->known += why == BALANCE_WHY_TABLE;
}

static __always_inline int balanced(struct xdp_md *ctx)
{
	__u32 zero = 0, target;
	void *m = bpf_map_lookup_elem(&balance_tables, &zero);
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &zero);
	struct balance_ring *r = 0;
	__u8 why = 0;
	int e;

	if (!m || !v || view_of(ctx, v) == VIEW_PASS)
		return XDP_PASS;
	e = choose(m, v, &r, &why);
	if (e < 0)
		return XDP_PASS;
	if (e || !r) {
		note(v->service, e ? (__u32)e - 1 : BALANCE_DROP_TABLES);
		return XDP_DROP;
	}
	target = r->targets + v->id;
	if (target >= config.n_targets) {
		note(v->service, BALANCE_DROP_TABLES);
		return XDP_DROP;
	}
	if (!v->bytes || v->bytes + v->l3 > bpf_xdp_get_buff_len(ctx)) {
		note(v->service, BALANCE_DROP_DAMAGED);
		return XDP_DROP;
	}
	if (v->more && v->kind != BALANCE_PACKET_ERROR)
		fragment_record(v);
	count(v, target, why);
	return forward(ctx, m, v, r,
		       AT(m, struct balance_target, config.targets + target * sizeof(struct balance_target)));
}

SEC("xdp.frags")
int balance(struct xdp_md *ctx)
{
	return balanced(ctx);
}

/* What time it is for the flow table: the verdict. */
SEC("xdp")
int balance_ticks(struct xdp_md *ctx)
{
	(void)ctx;
	return (int)now_ticks();
}

char _license[] SEC("license") = "GPL";
