/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Services that translate addresses (`forward nat`), in balance.bpf.c:
 *
 *     client -> virtual address   nat_forth(): the flow, if it is known, else as all services choose; to the backend, from an
 *                                 address and port of the service's pool, which is the flow's place
 *     backend -> pool             nat_is_back(), nat_home(): the flow in that place, from the virtual address to the client
 *
 * TCP, UDP, ICMP echo, ICMP errors about them, fragments. Whatever else is to a pool's address is no business of the
 * balancer's: it passes.
 */
#ifndef DATAPATH_BALANCE_NAT_H
#define DATAPATH_BALANCE_NAT_H

#include "datapath/balance_nat_maps.h"
#include "datapath/balance_nat_way.h"
#include "datapath/balance_nat_write.h"

#define MODE_NAT 3 /* as enum balance_mode */

/* An echo that is translated: a request from clients, a reply from backends; an error quotes what it answers. */
static __always_inline int nat_look_echo(const struct view *v, struct nat_work *w, const __u8 *icmp, __u32 back)
{
	__u32 request = back == (v->kind == BALANCE_PACKET_ERROR);
	__u32 ident = (__u32)icmp[4] << 8 | icmp[5];

	if (icmp[0] != nat_echo(v->v6, request) || icmp[1])
		return BALANCE_DROP_MODE;
	w->ports = back ? ident : ident << 16;
	return NAT_GO;
}

/* What of a packet the view does not say, and whether it can be translated: NAT_GO or a reason. */
static __always_inline int nat_look(struct xdp_md *ctx, const struct view *v, struct nat_work *w, __u32 back)
{
	char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *l4;
	__u32 is_tcp = v->proto == IP_PROTO_TCP, error = v->kind == BALANCE_PACKET_ERROR;
	__u32 at = (error ? v->inner : v->l4) & 0x3fff, need = is_tcp && !error ? 20 : 8;
	__u8 *ip = (void *)(data + (v->l3 & 63));

	w->ports = v->ports;
	w->event = NAT_NO_TCP;
	if (v->kind != BALANCE_PACKET_FRAGMENT)
		w->ident = NAT_NOWHERE;
	if ((void *)(ip + 20) > (void *)end || v->damaged)
		return BALANCE_DROP_DAMAGED;
	w->ttl = v->v6 ? ip[7] : ip[8];
	if (v->kind == BALANCE_PACKET_FRAGMENT)
		return NAT_GO;
	l4 = data + at;
	if (at + need > v->l3 + v->bytes || (void *)(l4 + 20) > (void *)end) {
		if (at + need > v->l3 + v->bytes || need > 8 || (void *)(l4 + 8) > (void *)end)
			return BALANCE_DROP_DAMAGED;
	} else if (is_tcp && !error) {
		w->event = nat_event(back, (__u8)l4[13]);
	}
	if (is_tcp || v->proto == IP_PROTO_UDP)
		return NAT_GO;
	if (!nat_is_translated(v->v6, v->proto))
		return BALANCE_DROP_MODE;
	return nat_look_echo(v, w, (__u8 *)l4, back);
}

static __always_inline __u32 nat_target_check(const struct view *v, const struct balance_target *t)
{
	__u32 port = t->port ? BALANCE_HOST16(t->port) : v->ports & 0xffff;
	__u64 a[2] = {0, BALANCE_HOST32(*(const __be32 *)t->addr)};

	if (v->v6) {
		a[0] = BALANCE_HOST64(((const __u64 *)t->addr)[0]);
		a[1] = BALANCE_HOST64(((const __u64 *)t->addr)[1]);
	}
	return nat_check(v->v6, a, nat_is_echo(v) ? 0 : port, config.seed);
}

/* Whether the flow's backend is still there for it: the same one, and if the flow opens anew, one that takes new ones. */
static __always_inline int nat_stays(void *m, const struct balance_ring *r, const struct view *v, const struct nat_work *w)
{
	__u32 target = r->targets + NAT_WHO_ID(w->f.who);
	struct balance_target *t;
	__u8 state;

	if (NAT_WHO_SERVICE(w->f.who) != v->service || NAT_WHO_ID(w->f.who) >= r->n_targets ||
	    target >= config.n_targets)
		return 0;
	t = AT(m, struct balance_target, config.targets + target * sizeof(*t));
	state = *(volatile __u8 *)&t->state;
	if (!balance_usable(state))
		return 0;
	if (v->kind == BALANCE_PACKET_OPENS && (state != BALANCE_TARGET_UP || NAT_STATE(w->word) == NAT_CLOSED))
		return 0;
	return v->kind == BALANCE_PACKET_FRAGMENT || nat_target_check(v, t) == w->f.check;
}

/* Seldom gone ways are not inline: the verifier goes through each once, and what is around them stays short. */

/* To a backend, whose address is in the work, and whose way nobody has looked up. */
static __noinline int nat_find_hop(struct xdp_md *ctx)
{
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	struct nat_work *w = nat_work();
	long e;

	if (!v || !w)
		return BALANCE_DROP_TABLES;
	w->src.v6[0] = w->src.v6[1] = 0;
	e = nat_ask(ctx, v, w, &v->hop);
	return e == BPF_FIB_LKUP_RET_NO_NEIGH ? BALANCE_DROP_NO_NEIGH : e ? BALANCE_DROP_NO_ROUTE : NAT_GO;
}

static __noinline int nat_find_fragment(void)
{
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	struct nat_work *w = nat_work();

	if (!v || !w)
		return 0;
	return v->v6 ? nat_fragment_find(v, w, 1) : nat_fragment_find(v, w, 0);
}

/* forth: the balancer's own table has it, too: it says which service a later one is for. Returns 0: another CPU was faster. */
static __noinline int nat_record_fragment(__u32 forth)
{
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	struct nat_work *w = nat_work();

	if (!v || !w || !nat_fragment_record(v, w))
		return 0;
	if (forth)
		fragment_record(v);
	return 1;
}

/* The client's flow: known, with v->id its backend. Returns 0, a reason to drop plus one, -1: it passes, or NAT_BEGIN. */
static __always_inline int nat_choose(void *m, struct view *v, const struct balance_ring *r, struct nat_work *w)
{
	const volatile struct nat_pool *pool = nat_pool(v->service);
	int known;

	v->hash = view_hash(v, 0);
	if (v->kind == BALANCE_PACKET_FRAGMENT) {
		known = nat_find_fragment();
		w->ports = w->f.ports;
		known = known && nat_same(v, w);
	} else {
		known = v->v6 ? nat_find(v, pool, w, 1) : nat_find(v, pool, w, 0);
	}
	if (known && nat_stays(m, r, v, w)) {
		v->id = NAT_WHO_ID(w->f.who);
		return 0;
	}
	if (v->kind == BALANCE_PACKET_FRAGMENT)
		return 1 + BALANCE_DROP_NO_FIRST;
	if (v->kind == BALANCE_PACKET_ERROR) {
		note(v->service, BALANCE_NOTE_UNCLAIMED);
		return -1;
	}
	if (known) {
		if (v->v6)
			nat_free(w, 1);
		else
			nat_free(w, 0);
	}
	w->place = NAT_NOWHERE;
	return NAT_BEGIN;
}

/* --- out --- */

static __always_inline int nat_drop(const struct view *v, __u32 reason)
{
	note(v->service, reason);
	return XDP_DROP;
}

/* The packet has its addresses; it gets its neighbours, and goes. */
static __always_inline int nat_send(struct xdp_md *ctx, const struct view *v, const struct balance_hop *hop)
{
	__u32 off = hop->ifindex == ctx->ingress_ifindex ? 0 : v->n_tags * 4;
	struct ethhdr *eth;

	if (off && bpf_xdp_adjust_head(ctx, (int)(off & 31)))
		return nat_drop(v, BALANCE_DROP_HEADROOM);
	eth = (void *)(long)ctx->data;
	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return nat_drop(v, BALANCE_DROP_TABLES);
	__builtin_memcpy(eth->h_dest, hop->dmac, 6);
	__builtin_memcpy(eth->h_source, hop->smac, 6);
	if (off)
		eth->h_proto = v->v6 ? ENCAP_BE16(ETH_P_IPV6) : ENCAP_BE16(ETH_P_IP);
	return leave(ctx, hop->ifindex);
}

static __always_inline void nat_pool_address(const struct view *v, __u32 place, union nat_addr *to)
{
	__u32 number = place >> 16 & (NAT_ADDRS - 1);

	if (v->v6) {
		to->v6[0] = nat.addr6[number][0];
		to->v6[1] = nat.addr6[number][1];
	} else {
		to->v4 = nat.addr4[number];
	}
}

/* To the backend: NAT_GO, with all that the packet gets. taken: the flow has just got its place, which is in the work. */
static __always_inline int nat_forth(struct xdp_md *ctx, struct view *v, struct nat_work *w, int taken)
{
	__u32 target, port;
	void *m = bpf_map_lookup_elem(&balance_tables, &map_first);
	const struct balance_target *t;
	const struct balance_ring *r;
	int e;

	if (!m)
		return BALANCE_DROP_TABLES;
	r = ring_of(m, v);
	if (!taken) {
		e = nat_look(ctx, v, w, 0);
		if (e != NAT_GO)
			return e;
		e = nat_choose(m, v, r, w);
		if (e)
			return e == NAT_BEGIN ? NAT_BEGIN : e < 0 ? NAT_DONE : e - 1;
	}
	nat_barrier();
	target = r->targets + v->id;
	if (target >= config.n_targets)
		return BALANCE_DROP_TABLES;
	t = AT(m, struct balance_target, config.targets + target * sizeof(*t));
	if (t->v6 != v->v6)
		return BALANCE_DROP_TABLES;
	count(v, target, taken ? BALANCE_WHY_HASH : BALANCE_WHY_TABLE);
	w->dst.v6[0] = ((const __u64 *)t->addr)[0];
	w->dst.v6[1] = ((const __u64 *)t->addr)[1];
	if (t->hop) {
		v->hop = *AT(m, struct balance_hop, config.hops + (t->hop & (config.n_hops - 1)) * sizeof(v->hop));
		if (!v->hop.ifindex)
			return BALANCE_DROP_NO_NEIGH;
	} else {
		e = nat_find_hop(ctx);
		if (e >= 0)
			return e;
	}
	if (v->bytes > v->hop.mtu)
		return NAT_TOO_BIG;
	if (w->ttl <= 1)
		return BALANCE_DROP_TTL;
	if (!taken && v->kind <= BALANCE_PACKET_OPENS) {
		if (v->v6)
			nat_touch(w, 1, 0);
		else
			nat_touch(w, 0, 0);
	}
	nat_pool_address(v, w->place, &w->src);
	port = t->port ? BALANCE_HOST16(t->port) : v->ports & 0xffff;
	w->to = ENCAP_BE32(w->place << 16 | port);
	return NAT_GO;
}

/* --- back --- */

/* The number of a pool's address; NAT_NOWHERE: it is none. own: of struct nat_range4. */
static __always_inline __u32 nat_number4(__u32 addr, __u32 *own)
{
	__u32 i;

#pragma GCC unroll 8
	for (i = 0; i < NAT_RANGES; i++)
		if (addr - nat.range4[i].first < nat.range4[i].n) {
			*own = nat.range4[i].own;
			return nat.range4[i].number + (addr - nat.range4[i].first);
		}
	return NAT_NOWHERE;
}

static __always_inline __u32 nat_number6(const __u64 addr[2], __u32 *own)
{
	__u32 i;

#pragma GCC unroll 8
	for (i = 0; i < NAT_RANGES; i++)
		if (addr[0] == nat.range6[i].hi && addr[1] - nat.range6[i].lo < nat.range6[i].n) {
			*own = nat.range6[i].own;
			return nat.range6[i].number + (__u32)(addr[1] - nat.range6[i].lo);
		}
	return NAT_NOWHERE;
}

static __always_inline __u32 nat_number(const struct view *v, __u32 *own)
{
	return v->v6 ? nat_number6(v->dst, own) : nat_number4((__u32)v->dst[1], own);
}

/* The flow that a packet from a backend belongs to; it is looked at closely: anybody can send to a pool. */
static __always_inline int nat_back_find(const struct view *v, struct nat_work *w, __u32 number, __u32 six)
{
	if (v->kind == BALANCE_PACKET_FRAGMENT)
		return nat_find_fragment() && w->place >> 16 == number;
	return nat_load(w, six, number << 16 | (w->ports & 0xffff)) && NAT_WHO_PROTO(w->f.who) == v->proto &&
	       nat_check(six, v->src, v->ports >> 16, config.seed) == w->f.check;
}

/* From the pool to the client; returns as nat_forth() does, or NAT_PASS: the kernel has to find the way. */
static __always_inline int nat_home(struct xdp_md *ctx, struct view *v, struct nat_work *w)
{
	int e;

	v->service = NAT_WHO_SERVICE(w->f.who);
	e = nat_look(ctx, v, w, 1);
	if (e != NAT_GO)
		return e;
	if (w->ttl <= 1)
		return BALANCE_DROP_TTL;
	if (v->kind <= BALANCE_PACKET_OPENS) {
		if (v->v6)
			nat_touch(w, 1, 1);
		else
			nat_touch(w, 0, 1);
	}
	if (v->v6) {
		w->src.v6[0] = BALANCE_HOST64(w->virtual[0]);
		w->src.v6[1] = BALANCE_HOST64(w->virtual[1]);
		w->dst.v6[0] = BALANCE_HOST64(w->client[0]);
		w->dst.v6[1] = BALANCE_HOST64(w->client[1]);
	} else {
		w->src.v4 = BALANCE_HOST32((__u32)w->virtual[1]);
		w->dst.v4 = BALANCE_HOST32((__u32)w->client[1]);
	}
	/* from the virtual port to the client's; an echo gets the identifier that the client chose */
	w->to = nat_is_echo(v) ? ENCAP_BE32(w->f.ports) : ENCAP_BE32(w->f.ports << 16 | w->f.ports >> 16);
	e = nat_way(ctx, w, &v->hop);
	if (e == NAT_GO && v->bytes > v->hop.mtu)
		return NAT_TOO_BIG;
	return e;
}

/* A packet to an address of a pool, looked up by the ports in w: is it a flow's? */
static __always_inline int nat_is_flows(struct view *v, struct nat_work *w, __u32 number, __u32 own)
{
	__u32 found = v->v6 ? nat_back_find(v, w, number, 1) : nat_back_find(v, w, number, 0);

	/* there may be flows in Linux's ports, of when the address was not the balancer's own */
	if (found && !(own && (w->place & 0xffff) >= own))
		return 1;
	if (!own)
		note(config.n_services, BALANCE_NOTE_UNCLAIMED);
	return 0;
}

/* Is the packet from a backend, of a flow? Whatever else is to a pool's address is treated as if there were no pool. */
static __noinline int nat_is_back(struct xdp_md *ctx)
{
	__u32 own = 0, number;
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	struct nat_work *w = nat_work();

	if (!v || !w)
		return 0;
	number = nat_number(v, &own);
	if (number == NAT_NOWHERE)
		return 0;
	if (!v->bytes || v->bytes + v->l3 > bpf_xdp_get_buff_len(ctx) || nat_look(ctx, v, w, 1) != NAT_GO)
		return 0;
	return nat_is_flows(v, w, number, own);
}

/* The same of a packet with ports that was looked at, to the pool's address of this number. */
static __always_inline int nat_is_back_plain(struct view *v, __u32 number, __u32 own)
{
	struct nat_work *w = nat_work();

	if (!w)
		return 0;
	w->ports = v->ports;
	return nat_is_flows(v, w, number, own);
}

/*
 * The packet of the view in balance_scratch is translated and goes on: to its client, whose flow is in the work; to a backend;
 * or, of a flow that has just got its place there. Returns a verdict (a drop is counted), or what is to be done besides.
 */
static __noinline int nat_translate(struct xdp_md *ctx, int does)
{
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	struct nat_work *w = nat_work();
	int e;

	if (!v || !w)
		return XDP_DROP;
	e = does == DOES_TO_CLIENT ? nat_home(ctx, v, w) : nat_forth(ctx, v, w, does == DOES_BEGIN);
	if (e == NAT_DONE)
		return XDP_PASS;
	if (e == NAT_BEGIN)
		return DOES_BEGIN;
	if (e == NAT_TOO_BIG)
		return DOES_TOO_BIG;
	if (e >= 0)
		return nat_drop(v, (__u32)e);
	if (v->more && v->kind <= BALANCE_PACKET_OPENS && !nat_record_fragment(does != DOES_TO_CLIENT))
		return nat_drop(v, BALANCE_DROP_FULL);
	nat_barrier();
	if (!nat_write(ctx, v, w, e != NAT_PASS))
		return nat_drop(v, BALANCE_DROP_DAMAGED);
	return e == NAT_PASS ? XDP_PASS : nat_send(ctx, v, &v->hop);
}

/* --- new flows --- */

/* The backend of a new flow: into the view, and what is kept of it into the work. Returns DOES_BEGIN, or what becomes of the packet instead. */
static __noinline int nat_begin(void)
{
	void *m = bpf_map_lookup_elem(&balance_tables, &map_first);
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	struct nat_work *w = nat_work();
	const struct balance_ring *r;
	__u32 target;
	__u8 why = 0;
	int e;

	if (!m || !v || !w)
		return XDP_DROP;
	if (is_forged()) /* its flow would hold a place for nothing, or send what comes back around in here */
		return nat_drop(v, BALANCE_DROP_DAMAGED);
	r = ring_of(m, v);
	v->id = 0;
	e = choose(m, v, r, &why);
	nat_barrier();
	target = r->targets + v->id;
	if (!e && target < config.n_targets) {
		w->f.check = nat_target_check(v, AT(m, struct balance_target,
						    config.targets + target * sizeof(struct balance_target)));
		return DOES_BEGIN;
	}
	if (e == 1 + BALANCE_DROP_NO_BACKEND && r->fallback == FALLBACK_RESET)
		return DOES_REFUSE;
	return nat_drop(v, !e || e == 1 + CHOOSE_AGAIN ? BALANCE_DROP_TABLES : (__u32)e - 1);
}

/* It gets a place. Returns DOES_BEGIN, or a verdict; NAT_OTHER: it is of the other family. */
#define NAT_OTHER (-100)
static __always_inline int nat_settle(__u32 six)
{
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	struct nat_work *w = nat_work();

	if (!v || !w)
		return XDP_DROP;
	if (v->v6 != six)
		return NAT_OTHER;
	return nat_take(v, w, six, w->f.check) ? DOES_BEGIN : nat_drop(v, BALANCE_DROP_FULL);
}

static __noinline int nat_settle4(void)
{
	return nat_settle(0);
}

static __noinline int nat_settle6(void)
{
	return nat_settle(1);
}

static __noinline int nat_too_big(struct xdp_md *ctx)
{
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);

	return v ? too_big(ctx, v, v->hop.mtu) : XDP_DROP;
}

/* All of it, one after the other and not one in the other: so their stacks are not added up. */
static __always_inline int nat_does(struct xdp_md *ctx, int does)
{
	does = nat_translate(ctx, does);
	if (does == DOES_BEGIN) {
		does = nat_begin();
		if (does == DOES_BEGIN) {
			does = nat_settle4();
			if (does == NAT_OTHER)
				does = nat_settle6();
		}
		if (does == DOES_BEGIN)
			does = nat_translate(ctx, does);
	}
	return does == DOES_TOO_BIG ? nat_too_big(ctx) : does;
}

#endif
