/* SPDX-License-Identifier: GPL-2.0-only */
/* What happens when a rule of the filter has matched, or none: limits, counters, samples, verdicts. */
#ifndef DATAPATH_LIB_FILTER_HAPPEN_H
#define DATAPATH_LIB_FILTER_HAPPEN_H

#include "datapath/lib/filter_maps.h"
#include "datapath/lib/hash.h"

static __always_inline __u64 hash_flow(const struct view *v)
{
	const volatile __u64 *seed = config.seed;

	return hash_word(v->src[0], seed) + hash_word(v->src[1], seed + 2) + hash_word(v->dst[0], seed + 4) +
	       hash_word(v->dst[1], seed + 6) +
	       hash_word((__u64)v->service.proto << 32 | (__u32)v->service.sport << 16 | v->service.dport,
			 seed + 8);
}

static __always_inline __u64 key_of_address(__u64 hi, __u64 lo, __u64 who)
{
	const volatile __u64 *seed = config.seed;

	return hash_fold(hash_word(hi, seed) + hash_word(lo, seed + 2) + hash_word(who, seed + 4));
}

/* What a limit counts by. The family takes part: an IPv6 address may look like an IPv4 one. */
static __always_inline __u64 key_of(const struct view *v, const struct filter_rule *r)
{
	const volatile __u64 *seed = config.seed;
	const __u64 *a = r->per == PER_DESTINATION ? v->dst : v->src;
	__u64 hi = a[0] & (v->is_ip6 ? r->mask6[0] : (__u64)r->mask4 << 32);
	__u64 who = v->has_ip << 1 | v->is_ip6;

	if (r->per == PER_FLOW)
		return hash_fold(hash_flow(v) + hash_word(who, seed + 1));
	return key_of_address(hi, a[1] & r->mask6[1], who);
}

static __always_inline __u64 clock_of(const volatile struct limit *l)
{
	return config.clock_ktime && l->clock == LIMIT_KTIME ? bpf_ktime_get_ns() : bpf_jiffies64() * config.jiffy_ns;
}

/* Is the packet over a limit? of: what it is counted by; NULL: all packets together */
static __always_inline int over(const struct view *v, void *m, const struct filter_rule *of, __u32 limit)
{
	struct limit *l = TABLE(m, struct limit, config.limits + limit * (__u32)sizeof(struct limit));
	__u32 now, cost;
	__u64 *cell, hash;

	cell = bpf_map_lookup_elem(&filter_cells, &map_first);
	if (!cell)
		return 0;
	now = limit_now(l, clock_of(l));
	cost = limit_cost(l, v->bytes);
	if (!of || !l->keyed)
		return !limit_one(cell + (l->first & config.cells_mask), 1, now, l->depth, cost);
	hash = key_of(v, of);
	return !limit_keyed(cell + (limit_bucket(l, hash) & config.cells_mask & ~(LIMIT_WAYS - 1u)), hash,
			    now, l->depth, cost);
}

static __always_inline int verdict_of(const struct view *v, void *m, const struct filter_rule *r)
{
	__u32 nr, cpu;
	void *cpus;

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
	cpu = *TABLE(m, __u32, r->target + 4 * nr);
	cpus = bpf_map_lookup_elem(&filter_cpus, &map_first);
	return cpus ? (int)bpf_redirect_map(cpus, cpu, XDP_PASS) : XDP_PASS;
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
	e->over = (__u8)is_over;
	e->generation = filter_generation;
	e->captured = n;
	if (!n || n > FILTER_SAMPLE || bpf_xdp_load_bytes(ctx, 0, e->bytes, n))
		e->captured = 0;
	bpf_ringbuf_output(&filter_samples, e, sizeof(*e), 0);
}

/* What has matched a rule on this CPU; NULL: there is no such rule. */
static __always_inline struct filter_hits *hits_of(__u32 rule)
{
	__u64 at = (__u64)bpf_get_smp_processor_id() * config.hits_stride + rule * sizeof(struct filter_hits);
	void *hits = bpf_map_lookup_elem(&filter_hits, &map_first);

	asm volatile("" : "+r"(at));
	return hits && at <= config.hits_last ? hits + at : 0;
}

static __always_inline void count(__u32 rule, __u32 bytes)
{
	struct filter_hits *n = hits_of(rule);

	if (n) {
		n->packets++;
		n->bytes += bytes;
	}
}

/*
 * Is an IPv4 packet over the rate of a rule with FILTER_LIMIT? addresses: source in the upper half; to: the destination
 * counts, as much of it as mask4 has
 */
static __always_inline int over4(const volatile struct limit *l, __u64 addresses, __u32 to, __u32 mask4, __u32 bytes)
{
	__u64 *cells = bpf_map_lookup_elem(&filter_cells, &map_first), addr, hash;
	__u32 now = limit_now(l, clock_of(l)), cost = limit_cost(l, bytes);

	if (!cells)
		return 0;
	if (!l->keyed)
		return !limit_one(cells + (l->first & config.cells_mask), 1, now, l->depth, cost);
	addr = to ? addresses << 32 : addresses & 0xffffffff00000000;
	hash = hash_fold(hash_word(addr & (__u64)mask4 << 32, config.seed) + config.key4);
	return !limit_keyed(cells + (limit_bucket(l, hash) & config.cells_mask & ~(LIMIT_WAYS - 1u)), hash, now,
			    l->depth, cost);
}

static __always_inline int count_over(__u32 rule, __u32 bytes)
{
	struct filter_more *more = bpf_map_lookup_elem(&filter_more, &rule);

	if (more) {
		more->over_packets++;
		more->over_bytes += bytes;
	}
	return 1;
}

/* Over the first such rate? If so it is counted there. */
static __always_inline int over_in_line(__u64 addresses, __u32 bytes)
{
	const volatile struct filter_in_line *in = &config.in_line;

	return over4(&in->limit, addresses, in->to, in->mask4, bytes) && count_over(in->rule, bytes);
}

/* Over another one's? A global function: the verifier goes through it once, and not for each bit of a word. */
__attribute__((noinline)) int filter_over4(__u64 addresses, __u32 rule, __u32 bytes)
{
	void *m = bpf_map_lookup_elem(&filter_tables, &map_first);
	struct filter_rule *r;
	struct limit *l;

	if (!config.in_line.others || !m)
		return 0;
	r = TABLE(m, struct filter_rule, config.rules + rule * (__u32)sizeof(*r));
	l = TABLE(m, struct limit, config.limits + r->limit * (__u32)sizeof(*l));
	return over4(l, addresses, r->per == PER_DESTINATION, r->mask4, bytes) && count_over(rule, bytes);
}

/* The rule has matched: limits, counters, samples. Returns 1 when that decides. */
static __always_inline int happens(struct view *v, struct xdp_md *ctx, void *m, __u32 rule)
{
	struct filter_rule *r = TABLE(m, struct filter_rule, config.rules + rule * (__u32)sizeof(*r));
	struct filter_hits *hits = hits_of(rule);
	struct filter_more *more;
	__u64 *packets;
	int is_over = 0;

	if (!hits)
		return 1;
	packets = &hits->packets;
	if (config.has_limits && r->does & RULE_LIMIT)
		is_over = over(v, m, r, r->limit);
	if (is_over || (config.has_logs && r->does & RULE_LOG)) {
		more = bpf_map_lookup_elem(&filter_more, &rule);
		if (!more)
			return 1;
		if (is_over)
			packets = &more->over_packets;
		if (config.has_logs && r->does & RULE_LOG && (is_over || !(r->does & RULE_LIMIT)) &&
		    r->log_every && *packets % r->log_every == 0 && !over(v, m, 0, r->log_limit)) {
			more->logged++;
			sample(v, ctx, r, is_over, rule);
		}
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
	count(config.n_rules, v->bytes);
	v->verdict = config.default_drop ? XDP_DROP : XDP_PASS;
	return 1;
}

#endif
