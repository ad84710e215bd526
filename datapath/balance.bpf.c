// SPDX-License-Identifier: GPL-2.0-only
/*
 * The load balancer: packets to virtual addresses go to a backend, by the tables that src/balance makes.
 *
 *     view (lib/parse.h) --> service, slot, flow table (lib/balance.h, lib/flow.h) --> out (lib/encap.h)
 *     balance_plain.h: the same of most packets, in a straight line
 *
 * What is for no virtual address passes. Everything that is dropped is counted with its reason. No packet is changed
 * before it is clear where it goes. abi/balance.h has the tables.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "datapath/balance_plain.h"
#include "datapath/balance_quic.h"

/*
 * What few packets need is a global function each: the verifier goes through it once, for any packet, and not again for each way that
 * leads there, and behind it has forgotten what kind of packet it is.
 */

/* The packet that an ICMP error quotes: the rest of its view. */
__noinline int see_quoted(struct xdp_md *ctx)
{
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);

	return v && view_quoted(ctx, v) == VIEW_GO;
}

/* Everything, of any packet: its view. */
__noinline int see(struct xdp_md *ctx)
{
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	int is = v ? view_of(ctx, v) : VIEW_PASS;

	return is == VIEW_QUOTES ? see_quoted(ctx) : is == VIEW_GO;
}

/* The packet of the view in balance_scratch. */
__noinline int balanced_odd(struct xdp_md *ctx)
{
	__u32 target, named = 0;
	void *m = bpf_map_lookup_elem(&balance_tables, &map_first);
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	const struct balance_ring *r;
	__u8 why = 0;
	int e;

	if (!m || !v)
		return XDP_PASS;
	v->id = 0;
	e = service_of(m, v);
	if (e < 0)
		return XDP_PASS;
	r = ring_of(m, v);
	if (NAT_ON && !e && r->mode == MODE_NAT && v->bytes && v->bytes + v->l3 <= bpf_xdp_get_buff_len(ctx))
		return DOES_TO_BACKEND;
	if (!e && v->proto == IP_PROTO_UDP && r->quic_bytes)
		named = quic_target(ctx);
	if (named) {
		v->id = named;
		why = BALANCE_WHY_SERVER;
		v->hash = view_hash(v, 0);
	} else if (!e) {
		e = choose(m, v, r, &why);
	}
	if (e == 1 + BALANCE_DROP_NO_BACKEND && r->fallback == FALLBACK_RESET)
		return DOES_REFUSE;
	if (e) {
		note(v->service, e == 1 + CHOOSE_AGAIN ? BALANCE_DROP_TABLES : (__u32)e - 1);
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
	return DOES_FORWARD;
}

static __always_inline int plain(struct xdp_md *ctx)
{
	void *m = bpf_map_lookup_elem(&balance_tables, &map_first);
	struct view v;

	if (!m)
		return XDP_PASS;
	if (plain4(ctx, &v))
		return plain_balanced(ctx, m, &v);
	if (plain6(ctx, &v))
		return plain_balanced(ctx, m, &v);
	return DOES_NOT_KNOW;
}

/* Where addresses are translated besides, the stack does not suffice for this below that. */
static __noinline int plain_apart(struct xdp_md *ctx)
{
	return plain(ctx);
}

static __always_inline int balanced(struct xdp_md *ctx)
{
	int does = NAT_ON ? plain_apart(ctx) : plain(ctx);

	if (does == DOES_NOT_KNOW)
		does = !see(ctx) ? XDP_PASS : NAT_ON && nat_is_back(ctx) ? DOES_TO_CLIENT : balanced_odd(ctx);
	if (NAT_ON && (does == DOES_TO_CLIENT || does == DOES_TO_BACKEND))
		does = nat_does(ctx, does);
	if (does == DOES_FORWARD)
		return forward(ctx);
	return does == DOES_REFUSE ? refuse(ctx) : does;
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
