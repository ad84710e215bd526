// SPDX-License-Identifier: GPL-2.0-only
/*
 * The firewall: what src/filter compiled of a policy's rules, looked up for every packet.
 *
 *     parse (lib/parse.h) --> facts --> lookup (lib/classify.h) --> turn(): rows of tests, limits, verdict
 *
 * Nothing passes unexamined: what is damaged, tagged, fragmented or no IP at all goes through the rules
 * that can match it. abi/filter.h has the tables. filter_small.bpf.c is the same with little room for them.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/filter.h"
#include "datapath/lib/classify.h"
#include "datapath/lib/hash.h"
#include "datapath/lib/limit.h"
#include "datapath/lib/parse.h"

#define DSCP6(ip) (((ip)->priority << 4 | (ip)->flow_lbl[0] >> 4) >> 2)

const volatile struct filter_config config = {.n_rules = 1, .uses = 0xffff, .cells_mask = 3};

/* value: the tables, as src/filter lays them out; writer: host, and the class cache; reader: this program */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, CLASSIFY_ROOM + CLASSIFY_SLACK);
} filter_tables SEC(".maps");

/* value: cells of the limits, tag and time each (abi/limit.h); writer: this program */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 8 * LIMIT_WAYS);
} filter_cells SEC(".maps");

/* key: rule, the last: none; writer: this program; reader: host */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct filter_count);
} filter_counts SEC(".maps");

/* struct filter_event; full: the sample is lost, the packet is not held up */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} filter_samples SEC(".maps");

/* key: CPU; value: length of its queue; writer: host; miss: the packet passes here */
struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} filter_cpus SEC(".maps");

struct view {
	__u32 bytes;
	__u32 is_ip6, has_ip;
	__u64 src[2], dst[2]; /* host order; IPv4: in the upper half of [0] */
	struct classify_service service;
	__u32 facts[FILTER_FACTS];
	__u32 at;    /* where in its list the packet is */
	__u32 final; /* the rule that decides, if none of the list did; FILTER_END: the default */
	__u32 row;   /* the one under way, of the rule before `at` */
	__u32 rule;
	int verdict;
	struct filter_event sample;
};

/*
 * value: the packet under way; writer, reader: this program. Not on the stack: what comes from a map is any
 * number to the verifier, where on the stack it would tell apart every kind of packet and go through all
 * that follows for each.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct view);
} filter_scratch SEC(".maps");

#define USES(fact) (config.uses & 1u << (fact))
#define TABLE(m, type, off) CLASSIFY_AT(m, type, off)

static __always_inline void facts_of_frame(struct view *v, struct xdp_md *ctx, const struct packet *p,
					   void *data, void *end)
{
	struct ethhdr *eth = data;

	if (USES(FACT_LENGTH))
		v->facts[FACT_LENGTH] = v->bytes;
	if (USES(FACT_MALFORMED))
		v->facts[FACT_MALFORMED] = p->kind == PACKET_SHORT    ? 1
					   : p->kind == PACKET_TAGS   ? 2
					   : p->kind == PACKET_BAD_IP ? 3
								      : 0;
	if (USES(FACT_IN))
		v->facts[FACT_IN] = ctx->ingress_ifindex;
	if (USES(FACT_VLAN))
		v->facts[FACT_VLAN] = p->n_tags ? bpf_ntohs(p->tci[0]) & 0xfff : FILTER_NO_VLAN;
	if (USES(FACT_INNER_VLAN))
		v->facts[FACT_INNER_VLAN] = p->n_tags > 1 ? bpf_ntohs(p->tci[1]) & 0xfff : FILTER_NO_VLAN;
	if (USES(FACT_ETHER_TYPE))
		v->facts[FACT_ETHER_TYPE] = p->kind == PACKET_SHORT ? FILTER_ABSENT : bpf_ntohs(p->type.be);
	if (!USES(FACT_MAC_FROM_HI) && !USES(FACT_MAC_TO_HI))
		return;
	v->facts[FACT_MAC_FROM_HI] = v->facts[FACT_MAC_FROM_LO] = FILTER_ABSENT;
	v->facts[FACT_MAC_TO_HI] = v->facts[FACT_MAC_TO_LO] = FILTER_ABSENT;
	if ((void *)(eth + 1) <= end) {
		v->facts[FACT_MAC_FROM_HI] =
			eth->h_source[0] << 16 | eth->h_source[1] << 8 | eth->h_source[2];
		v->facts[FACT_MAC_FROM_LO] =
			eth->h_source[3] << 16 | eth->h_source[4] << 8 | eth->h_source[5];
		v->facts[FACT_MAC_TO_HI] = eth->h_dest[0] << 16 | eth->h_dest[1] << 8 | eth->h_dest[2];
		v->facts[FACT_MAC_TO_LO] = eth->h_dest[3] << 16 | eth->h_dest[4] << 8 | eth->h_dest[5];
	}
}

static __always_inline void facts_of_ip(struct view *v, const struct packet *p, __u32 ttl, __u32 dscp)
{
	if (USES(FACT_TTL))
		v->facts[FACT_TTL] = ttl;
	if (USES(FACT_DSCP))
		v->facts[FACT_DSCP] = dscp;
	if (USES(FACT_MALFORMED))
		v->facts[FACT_MALFORMED] = p->l4 == L4_CUT ? 4 : p->l4 == L4_DEEP ? 5 : 0;
}

/* What the upper protocol's header says. c stands at its start. */
static __always_inline void service_of(struct view *v, const struct packet *p, struct cursor c)
{
	struct classify_service *s = &v->service;
	__u8 *tcp = c.at;
	__u32 has = HAS_NOTHING;

	s->proto = p->proto.nr;
	s->sport = s->dport = s->flags = 0;
	if (p->l4 == L4_PORTS) {
		has = HAS_PORTS;
		s->sport = bpf_ntohs(p->sport);
		s->dport = bpf_ntohs(p->dport);
		if (s->proto == IP_PROTO_TCP && p->l4_bytes >= 14 && (void *)(tcp + 14) <= c.end) {
			has = HAS_PORTS_FLAGS;
			s->flags = (__u16)(tcp[13] << 8);
		}
	} else if (p->l4 == L4_ICMP && s->proto == (v->is_ip6 ? IP_PROTO_ICMPV6 : IP_PROTO_ICMP)) {
		has = HAS_ICMP;
		s->flags = (__u16)(p->icmp_type << 8 | p->icmp_code);
	}
	s->extra = (__u8)FILTER_EXTRA(has, p->fragment);
}

/* IP says there is more than the first buffer has, or nothing is known: ask, which costs a call. */
static __always_inline void whole_length(struct view *v, struct xdp_md *ctx, __u32 said)
{
	if (said > v->bytes)
		v->bytes = (__u32)bpf_xdp_get_buff_len(ctx);
}

static __always_inline void look(struct view *v, struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct cursor c = cursor_of(data, end);
	struct ipv6hdr *ip6;
	struct iphdr *ip4;
	struct packet p;

	v->bytes = (__u32)(end - data);
	v->src[0] = v->src[1] = v->dst[0] = v->dst[1] = 0;
	v->service = (struct classify_service){.extra = 0};
	v->has_ip = v->is_ip6 = 0;
	v->facts[FACT_TTL] = v->facts[FACT_DSCP] = FILTER_ABSENT;
	v->facts[FACT_CERTAIN] = 0;
	parse_ethernet(&c, &p);
	if (p.kind == PACKET_IPV4) {
		ip4 = parse_ipv4(&c, &p);
		if (ip4) {
			whole_length(v, ctx, bpf_ntohs(ip4->tot_len));
			parse_l4(&c, &p);
			facts_of_frame(v, ctx, &p, data, end);
			v->has_ip = 1;
			v->src[0] = (__u64)bpf_ntohl(ip4->saddr) << 32;
			v->dst[0] = (__u64)bpf_ntohl(ip4->daddr) << 32;
			facts_of_ip(v, &p, ip4->ttl, ip4->tos >> 2);
			service_of(v, &p, c);
			return;
		}
	} else if (p.kind == PACKET_IPV6) {
		ip6 = parse_ipv6(&c, &p);
		if (ip6) {
			whole_length(v, ctx, bpf_ntohs(ip6->payload_len));
			parse_ipv6_extensions(&c, &p);
			parse_l4(&c, &p);
			facts_of_frame(v, ctx, &p, data, end);
			v->has_ip = v->is_ip6 = 1;
			v->src[0] = bpf_be64_to_cpu(*(__u64 *)&ip6->saddr.in6_u.u6_addr32[0]);
			v->src[1] = bpf_be64_to_cpu(*(__u64 *)&ip6->saddr.in6_u.u6_addr32[2]);
			v->dst[0] = bpf_be64_to_cpu(*(__u64 *)&ip6->daddr.in6_u.u6_addr32[0]);
			v->dst[1] = bpf_be64_to_cpu(*(__u64 *)&ip6->daddr.in6_u.u6_addr32[2]);
			facts_of_ip(v, &p, ip6->hop_limit, DSCP6(ip6));
			service_of(v, &p, c);
			return;
		}
	}
	whole_length(v, ctx, 0xffffffff);
	facts_of_frame(v, ctx, &p, data, end);
}

static __always_inline __u64 hash_flow(const struct view *v)
{
	const volatile __u64 *seed = config.seed;

	return hash_word(v->src[0], seed) + hash_word(v->src[1], seed + 2) + hash_word(v->dst[0], seed + 4) +
	       hash_word(v->dst[1], seed + 6) +
	       hash_word((__u64)v->service.proto << 32 | (__u32)v->service.sport << 16 | v->service.dport,
			 seed + 8);
}

/* What a limit counts by. The family takes part: an IPv6 address may look like an IPv4 one. */
static __always_inline __u64 key_of(const struct view *v, const struct filter_rule *r)
{
	const volatile __u64 *seed = config.seed;
	const __u64 *a = r->per == PER_DESTINATION ? v->dst : v->src;
	__u64 hi = a[0] & (v->is_ip6 ? r->mask6[0] : (__u64)r->mask4 << 32);
	__u64 who = (__u64)r->limit << 32 | v->has_ip << 1 | v->is_ip6;

	if (r->per == PER_FLOW)
		return hash_fold(hash_flow(v) + hash_word(who, seed + 1));
	return hash_fold(hash_word(hi, seed) + hash_word(a[1] & r->mask6[1], seed + 2) +
			 hash_word(who, seed + 4));
}

/* Is the packet over a limit? of: what it is counted by; NULL: all packets together */
static __always_inline int over(const struct view *v, void *m, const struct filter_rule *of, __u32 limit)
{
	struct limit *l = TABLE(m, struct limit, config.limits + limit * (__u32)sizeof(struct limit));
	__u32 zero = 0, now, cost;
	__u64 *cell, hash, ns;

	cell = bpf_map_lookup_elem(&filter_cells, &zero);
	if (!cell)
		return 0;
	if (config.clock_ktime && l->clock == LIMIT_KTIME)
		ns = bpf_ktime_get_ns();
	else
		ns = bpf_jiffies64() * config.jiffy_ns;
	now = limit_now(l, ns);
	cost = limit_cost(l, v->bytes);
	if (!of || !l->keyed)
		return !limit_one(cell + (l->first & config.cells_mask), 1, now, l->depth, cost);
	hash = key_of(v, of);
	return !limit_keyed(cell + (limit_bucket(l, hash) & config.cells_mask & ~(LIMIT_WAYS - 1u)), hash,
			    now, l->depth, cost);
}

static __always_inline int verdict_of(const struct view *v, void *m, const struct filter_rule *r)
{
	__u32 nr;

	switch (r->verdict) {
	case FILTER_PASS:
		return XDP_PASS;
	case FILTER_DROP:
		return XDP_DROP;
	}
	if (config.shadow)
		return XDP_PASS;
	if (r->verdict == FILTER_REDIRECT)
		return (int)bpf_redirect(r->target, 0);
	nr = (__u32)((hash_fold(hash_flow(v)) >> 32) * r->n_targets >> 32);
	return (int)bpf_redirect_map(&filter_cpus, *TABLE(m, __u32, r->target + 4 * nr), XDP_PASS);
}

static __always_inline void sample(struct view *v, struct xdp_md *ctx, const struct filter_rule *r,
				   int is_over, __u32 rule)
{
	struct filter_event *e = &v->sample;
	__u32 n = v->bytes < FILTER_SAMPLE ? v->bytes : FILTER_SAMPLE;

	e->ns = bpf_ktime_get_ns();
	e->rule = rule;
	e->ifindex = ctx->ingress_ifindex;
	e->length = v->bytes;
	e->verdict = r->verdict;
	e->over = (__u32)is_over;
	e->captured = n;
	if (!n || n > FILTER_SAMPLE || bpf_xdp_load_bytes(ctx, 0, e->bytes, n))
		e->captured = 0;
	bpf_ringbuf_output(&filter_samples, e, sizeof(*e), 0);
}

/* The rule has matched: limits, counters, samples. Returns 1 when that decides. */
static __always_inline int happens(struct view *v, struct xdp_md *ctx, void *m, __u32 rule)
{
	struct filter_rule *r = TABLE(m, struct filter_rule, config.rules + rule * (__u32)sizeof(*r));
	struct filter_count *n = bpf_map_lookup_elem(&filter_counts, &rule);
	__u64 *packets;
	int is_over = 0;

	if (!n)
		return 1;
	if (config.has_limits && r->does & RULE_LIMIT)
		is_over = over(v, m, r, r->limit);
	packets = is_over ? &n->over_packets : &n->packets;
	if (config.has_logs && r->does & RULE_LOG && (is_over || !(r->does & RULE_LIMIT)) && r->log_every &&
	    *packets % r->log_every == 0 && !over(v, m, 0, r->log_limit)) {
		n->logged++;
		sample(v, ctx, r, is_over, rule);
	}
	packets[0]++;
	packets[1] += v->bytes;
	if (is_over) {
		v->verdict = XDP_DROP;
		return 1;
	}
	if (r->does & RULE_GOES_ON)
		return 0;
	v->verdict = verdict_of(v, m, r);
	return 1;
}

static __always_inline int no_rule(struct view *v)
{
	__u32 last = config.n_rules;
	struct filter_count *n = bpf_map_lookup_elem(&filter_counts, &last);

	if (n) {
		n->packets++;
		n->bytes += v->bytes;
	}
	v->verdict = config.default_drop ? XDP_DROP : XDP_PASS;
	return 1;
}

/*
 * 1 if a < b, as arithmetic on 64 bits: the compiler makes comparisons branches, each of which doubles the
 * verifier's work.
 */
static __always_inline __u64 below(__u64 a, __u64 b)
{
	__u64 d = a - b;

	asm volatile("" : "+r"(d));
	return d >> 63;
}

static __always_inline __u64 holds(const struct view *v, const struct filter_test *t)
{
	__u32 fact = v->facts[t->fact & (FILTER_FACTS - 1)];

	return below((__u32)((fact & t->mask) - t->lo), (__u64)t->span + 1) & below(fact, FILTER_ABSENT);
}

/*
 * Goes on from row to row, rule to rule, until something happens, and sees to it. Returns 1 when the packet's
 * fate is decided.
 */
static __always_inline int turn(struct view *v, struct xdp_md *ctx, void *m)
{
	struct filter_rule *r;
	struct filter_row *row;
	__u32 i, to = v->row;
	__u64 ok;

#pragma clang loop unroll(disable)
	for (i = 0; i < FILTER_ROWS; i++) {
		if (to == FILTER_NEXT) {
			v->rule = *TABLE(m, __u32, v->at);
			v->at += 4;
			if (v->rule >= v->final)
				v->rule = v->final;
			if (v->rule == FILTER_END)
				return no_rule(v);
			r = TABLE(m, struct filter_rule, config.rules + v->rule * (__u32)sizeof(*r));
			to = r->row;
		}
		if (to == FILTER_MATCH) {
			v->row = FILTER_NEXT;
			return happens(v, ctx, m, v->rule);
		}
		row = TABLE(m, struct filter_row, config.rows + to * (__u32)sizeof(*row));
		ok = holds(v, &row->test[0]) & holds(v, &row->test[1]) & holds(v, &row->test[2]);
		to = ok ? row->then : row->otherwise;
	}
	v->row = to;
	return 0;
}

struct walk {
	struct xdp_md *ctx;
};

static long again(__u32 i, struct walk *walk)
{
	__u32 zero = 0;
	struct view *v = bpf_map_lookup_elem(&filter_scratch, &zero);
	void *m = bpf_map_lookup_elem(&filter_tables, &zero);

	(void)i;
	return !v || !m || turn(v, walk->ctx, m);
}

/* A rule, or a list of some that come before it or instead of it. */
static __always_inline void found(struct view *v, void *m, const struct classify_part *p, __u32 what)
{
	if (what == CLASSIFY_NONE)
		return;
	if (p->structure == CLASSIFY_CROSS && p->cross.lists)
		v->at = *TABLE(m, __u32, p->cross.lists + 4 * what);
	else
		v->final = what;
}

static __always_inline void look_up(struct view *v, void *m)
{
	const struct classify_part *p = ((const struct classify_image *)m)->part;

	if (config.ip4 && !v->is_ip6) {
		found(v, m, p,
		      classify_part4(m, p, (__u32)(v->src[0] >> 32), (__u32)(v->dst[0] >> 32), &v->service));
		if (config.apart)
			found(v, m, p + 2,
			      classify_part4(m, p + 2, (__u32)(v->src[0] >> 32), (__u32)(v->dst[0] >> 32),
					     &v->service));
	}
	if (config.ip6 && v->is_ip6) {
		found(v, m, p + 1,
		      classify_part6(m, p + 1, v->src[0], v->src[1], v->dst[0], v->dst[1], &v->service));
		if (config.apart)
			found(v, m, p + 3,
			      classify_part6(m, p + 3, v->src[0], v->src[1], v->dst[0], v->dst[1],
					     &v->service));
	}
}

/* Where all rules are certain and final, and where one is for all packets. */
static __always_inline __u32 sure4(const struct view *v, void *m)
{
	if (!config.ip4)
		return config.all4;
	return classify_ipv4(m, (__u32)(v->src[0] >> 32), (__u32)(v->dst[0] >> 32), &v->service);
}

static __always_inline __u32 sure6(const struct view *v, void *m)
{
	if (!config.ip6)
		return config.all6;
	return classify_ipv6(m, v->src[0], v->src[1], v->dst[0], v->dst[1], &v->service);
}

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
