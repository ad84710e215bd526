/* SPDX-License-Identifier: GPL-2.0-only */
/* The walk through a list of rules and their rows of tests. */
#ifndef DATAPATH_LIB_FILTER_WALK_H
#define DATAPATH_LIB_FILTER_WALK_H

#include "datapath/lib/filter_happen.h"
#include "datapath/lib/filter_plain.h"

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

static __always_inline __u32 next(struct view *v, void *m)
{
	__u64 bit = v->bits & -v->bits;
	__u32 rule;

	if ((config.bits[0] | config.bits[1]) && v->table) {
		v->bits ^= bit;
		return bit ? *TABLE(m, __u8, v->table + (__u32)__builtin_offsetof(struct filter_bits, rule) +
						     (__u32)FILTER_BITS_SLOT(bit))
			   : FILTER_END;
	}
	rule = *TABLE(m, __u32, v->at);
	v->at += 4;
	return rule < v->final ? rule : v->final;
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
			v->rule = next(v, m);
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
		if (filter_sets_config.limit && row->set)
			break; /* again() asks */
		ok = holds(v, &row->test[0]) & holds(v, &row->test[1]) & holds(v, &row->test[2]);
		to = ok ? row->then : row->otherwise;
	}
	v->row = to;
	return 0;
}

struct walk {
	struct xdp_md *ctx;
};

/* Beside and not below the questions, which are deep in the stack themselves. */
static __noinline int turn_beside(struct xdp_md *ctx)
{
	struct view *v = bpf_map_lookup_elem(&filter_scratch, &map_first);
	void *m = bpf_map_lookup_elem(&filter_tables, &map_first);

	return !v || !m || turn(v, ctx, m);
}

/* If the walk stands at a row that asks a run-time set: asks, and goes on to the next. */
static __always_inline int asked(struct view *v, void *m)
{
	struct filter_row *row;
	__u64 in;

	if (v->row == FILTER_NEXT || v->row == FILTER_MATCH)
		return 0;
	row = TABLE(m, struct filter_row, config.rows + v->row * (__u32)sizeof(*row));
	if (!row->set)
		return 0;
	in = filter_set_asked(&v->sets, row->set, v->is_ip6, v->src, v->dst, v->bytes);
	v->row = in ? row->then : row->otherwise;
	return 1;
}

static long again(__u32 i, struct walk *walk)
{
	struct view *v = bpf_map_lookup_elem(&filter_scratch, &map_first);
	void *m = bpf_map_lookup_elem(&filter_tables, &map_first);

	(void)i;
	if (!v || !m)
		return 1;
	if (!filter_sets_config.limit)
		return turn(v, walk->ctx, m);
	return asked(v, m) ? 0 : turn_beside(walk->ctx);
}

static __always_inline void view_seen(struct view *v, const struct seen *s, __u32 family)
{
	v->bytes = s->bytes;
	v->is_ip6 = family == PLAIN_IP6;
	v->has_ip = 1;
	v->src[0] = s->src[0];
	v->src[1] = s->src[1];
	v->dst[0] = s->dst[0];
	v->dst[1] = s->dst[1];
	plain_service(s, family, &v->service);
	v->facts[FACT_CERTAIN] = 0;
	if (USES(FACT_LENGTH))
		v->facts[FACT_LENGTH] = s->bytes;
}

/* Put a plain packet into the view, and return 1; others are there since look(). */
static __always_inline int view_plain4(struct view *v, struct xdp_md *ctx)
{
	struct seen s;

	if (!plain4(&s, v, ctx))
		return 0;
	view_seen(v, &s, PLAIN_IP4);
	return 1;
}

static __always_inline int view_plain6(struct view *v, struct xdp_md *ctx)
{
	struct seen s;

	if (!plain6(&s, v, ctx))
		return 0;
	view_seen(v, &s, PLAIN_IP6);
	return 1;
}

/*
 * From where the view says on, to the verdict. Not inline: this is for rules that take their time anyway, and
 * what it needs would be kept for it by packets that do not come here.
 */
static __noinline int walk(struct xdp_md *ctx)
{
	struct walk walk = {ctx};
	struct view *v = bpf_map_lookup_elem(&filter_scratch, &map_first);
	void *m;

	if (!v)
		return XDP_ABORTED;
	if (!view_plain4(v, ctx))
		view_plain6(v, ctx);
	v->verdict = XDP_ABORTED; /* no walk ends without another */
	v->row = FILTER_NEXT;
	filter_set_begin(&v->sets);
	if (!filter_sets_config.limit) {
		m = bpf_map_lookup_elem(&filter_tables, &map_first);
		if (!m || turn(v, ctx, m) || turn(v, ctx, m))
			return v->verdict;
	}
	bpf_loop(config.turns, again, &walk, 0);
	return v->verdict;
}

#endif
