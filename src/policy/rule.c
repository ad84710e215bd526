// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rules in their normal form: what is written becomes sorted spans and bits, families apart, nothing negated. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "policy/policy.h"
#include "policy/words.h"

#define BIT(field) (1u << (field))

static void bytes_add(struct policy_bytes *b, uint32_t lo, uint32_t hi)
{
	for (; lo <= hi && lo < 256; lo++)
		b->w[lo / 64] |= UINT64_C(1) << (lo % 64);
}

static void bytes_not(struct policy_bytes *b)
{
	size_t i;

	for (i = 0; i < 4; i++)
		b->w[i] = ~b->w[i];
}

static bool bytes_none(const struct policy_bytes *b)
{
	return !(b->w[0] | b->w[1] | b->w[2] | b->w[3]);
}

static bool bytes_and(struct policy_bytes *a, const struct policy_bytes *b)
{
	size_t i;

	for (i = 0; i < 4; i++)
		a->w[i] &= b->w[i];
	return !bytes_none(a);
}

/* Numbers of a match, sorted and merged; negated within 0 to max. In host memory, freed by
 * policy_spans_free(). */
static void numbers(const struct policy_match *m, uint32_t max, struct policy_spans *out)
{
	struct policy_spans in = {0};
	struct policy_range r = {0};
	uint32_t i;

	for (i = 0; i < m->list.n; i++) {
		r.first.lo = m->list.v[i].num.lo;
		r.last.lo = m->list.v[i].num.hi;
		policy_spans_add(&in, &r);
	}
	policy_spans_sort(&in);
	if (!m->negated) {
		*out = in;
		return;
	}
	policy_spans_not(&in, false, out);
	out->failed |= in.failed;
	policy_spans_free(&in);
	while (out->n4 && out->v4[out->n4 - 1].first > max)
		out->n4--;
	if (out->n4 && out->v4[out->n4 - 1].last > max)
		out->v4[out->n4 - 1].last = max;
}

static void spans16(struct policy *p, const struct policy_match *m, uint32_t max, struct policy_spans16 *to)
{
	struct policy_span16 *v;
	struct policy_spans s = {0};
	uint32_t i;

	numbers(m, max, &s);
	v = arena_add(&p->arena, (s.n4 + 1) * sizeof(*v));
	for (i = 0; v && i < s.n4; i++)
		v[i] = (struct policy_span16){(uint16_t)s.v4[i].first, (uint16_t)s.v4[i].last};
	p->arena.failed |= s.failed;
	to->v = v;
	to->n = s.n4;
	policy_spans_free(&s);
}

static void bytes(const struct policy_match *m, struct policy_bytes *to)
{
	uint32_t i;

	for (i = 0; i < m->list.n; i++)
		bytes_add(to, m->list.v[i].num.lo, m->list.v[i].num.hi);
	if (m->negated)
		bytes_not(to);
}

/* --- addresses --- */

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void sets(struct policy *p, const struct policy_match *m, struct policy_addrs *to)
{
	uint32_t *v = NULL, i, n = 0;

	for (i = 0; i < m->list.n; i++)
		n += m->list.v[i].kind == POLICY_SET;
	if (n)
		v = arena_add(&p->arena, n * sizeof(*v));
	for (i = 0, n = 0; v && i < m->list.n; i++)
		if (m->list.v[i].kind == POLICY_SET)
			v[n++] = m->list.v[i].set;
	if (n)
		qsort(v, n, sizeof(*v), by_number);
	for (i = 0; v && i < n; i++)
		if (!i || v[i] != v[to->n_sets - 1])
			v[to->n_sets++] = v[i];
	to->sets = v;
}

/* Whether any of the sets may ever hold something: it does, or is filled at run time. */
static bool sets_possible(const struct policy *p, const struct policy_addrs *a)
{
	const struct policy_set *s;
	uint32_t i;

	for (i = 0; i < a->n_sets; i++) {
		s = &p->sets[a->sets[i]];
		if (s->spans.n4 || s->spans.n6 || policy_set_is_runtime(s))
			return true;
	}
	return false;
}

static void address(struct policy *p, struct policy_rule *r, const struct policy_match *m)
{
	struct policy_addrs *a4 = m->field == POLICY_FROM ? &r->ip[0].from : &r->ip[0].to, *a6;
	struct policy_spans in = {0}, out = {0}, *s = &in;
	uint32_t i;

	a6 = m->field == POLICY_FROM ? &r->ip[1].from : &r->ip[1].to;
	for (i = 0; i < m->list.n; i++)
		if (m->list.v[i].kind == POLICY_ADDR)
			policy_spans_add(&in, &m->list.v[i].addr);
	policy_spans_sort(&in);
	sets(p, m, a4);
	a4->negated = m->negated && a4->n_sets;
	if (m->negated && !a4->n_sets) {
		policy_spans_not(&in, false, &out);
		policy_spans_not(&in, true, &out);
		s = &out;
	}
	*a6 = *a4;
	a4->v4 = arena_copy(&p->arena, s->v4, s->n4 * sizeof(*s->v4));
	a4->n = s->n4;
	a6->v6 = arena_copy(&p->arena, s->v6, s->n6 * sizeof(*s->v6));
	a6->n = s->n6;
	p->arena.failed |= in.failed | out.failed;
	if (!a4->negated && !sets_possible(p, a4)) {
		r->families &= (uint8_t) ~(a4->n ? 0 : POLICY_V4);
		r->families &= (uint8_t) ~(a6->n ? 0 : POLICY_V6);
	}
	policy_spans_free(&in);
	policy_spans_free(&out);
}

/* --- protocols --- */

static void only(struct policy_rule *r, const struct policy_bytes *which)
{
	if (!(r->fields & BIT(POLICY_PROTO))) {
		r->fields |= BIT(POLICY_PROTO);
		r->ip[0].proto = r->ip[1].proto = *which;
	}
	if (!bytes_and(&r->ip[0].proto, which))
		r->families &= (uint8_t)~POLICY_V4;
	if (!bytes_and(&r->ip[1].proto, which))
		r->families &= (uint8_t)~POLICY_V6;
}

static void proto(struct policy_rule *r, const struct policy_match *m)
{
	uint32_t i, lo, hi;

	for (i = 0; i < m->list.n; i++) {
		lo = m->list.v[i].num.lo;
		hi = m->list.v[i].num.hi;
		if (lo == POLICY_PROTO_ICMP || lo == POLICY_PROTO_ICMP4)
			bytes_add(&r->ip[0].proto, 1, 1);
		if (lo == POLICY_PROTO_ICMP || lo == POLICY_PROTO_ICMP6)
			bytes_add(&r->ip[1].proto, 58, 58);
		if (lo < POLICY_PROTO_ICMP) {
			bytes_add(&r->ip[0].proto, lo, hi);
			bytes_add(&r->ip[1].proto, lo, hi);
		}
	}
	for (i = 0; i < 2; i++) {
		if (m->negated)
			bytes_not(&r->ip[i].proto);
		if (bytes_none(&r->ip[i].proto))
			r->families &= (uint8_t) ~(i ? POLICY_V6 : POLICY_V4);
	}
}

static void icmp_type(struct policy_rule *r, const struct policy_match *m)
{
	const struct policy_word *w;
	uint32_t i, lo, hi;

	for (i = 0; i < m->list.n; i++) {
		lo = m->list.v[i].num.lo;
		hi = m->list.v[i].num.hi;
		if (m->list.v[i].kind == POLICY_ICMP) {
			w = words_row(WORDS_ICMP_TYPES, lo);
			bytes_add(&r->ip[0].icmp_type, w->lo, w->lo);
			bytes_add(&r->ip[1].icmp_type, w->hi, w->hi);
		} else {
			bytes_add(&r->ip[0].icmp_type, lo, hi);
			bytes_add(&r->ip[1].icmp_type, lo, hi);
		}
	}
	for (i = 0; i < 2; i++) {
		if (m->negated)
			bytes_not(&r->ip[i].icmp_type);
		if (bytes_none(&r->ip[i].icmp_type))
			r->families &= (uint8_t) ~(i ? POLICY_V6 : POLICY_V4);
	}
}

static void flags(struct policy_rule *r, const struct policy_match *m)
{
	uint32_t v, mask = m->list.v->flags.mask;

	for (v = 0; v < 256; v++)
		if ((v & mask) == m->list.v->flags.value)
			bytes_add(&r->flags, v, v);
	if (m->negated)
		bytes_not(&r->flags);
}

/* --- the rest --- */

static void macs(struct policy *p, const struct policy_match *m, struct policy_macs *to)
{
	struct policy_mac *v = arena_add(&p->arena, m->list.n * sizeof(*v));
	uint32_t i;

	for (i = 0; v && i < m->list.n; i++) {
		memcpy(v[i].value, m->list.v[i].mac.value, 6);
		memcpy(v[i].mask, m->list.v[i].mac.mask, 6);
	}
	*to = (struct policy_macs){v, m->list.n, m->negated};
}

static void names(struct policy *p, const struct policy_match *m, struct policy_names *to)
{
	const char **v = arena_add(&p->arena, m->list.n * sizeof(*v));
	uint32_t i;

	for (i = 0; v && i < m->list.n; i++)
		v[i] = m->list.v[i].text;
	*to = (struct policy_names){v, m->list.n, m->negated};
}

static void length(struct policy *p, struct policy_rule *r, const struct policy_match *m)
{
	struct policy_spans s = {0};

	numbers(m, 262143, &s);
	/* the largest length that can be written stands for anything beyond it, too */
	if (s.n4 && s.v4[s.n4 - 1].last == 262143)
		s.v4[s.n4 - 1].last = UINT32_MAX;
	r->length = arena_copy(&p->arena, s.v4, s.n4 * sizeof(*s.v4));
	r->n_length = s.n4;
	p->arena.failed |= s.failed;
	policy_spans_free(&s);
}

static uint64_t bits(const struct policy_match *m, unsigned int n)
{
	struct policy_bytes b = {{0}};

	bytes(m, &b);
	return n == 64 ? b.w[0] : b.w[0] & ((UINT64_C(1) << n) - 1);
}

const struct policy_bytes policy_with_ports = {
	{1u << 6 | 1u << 17 | UINT64_C(1) << 33, 0, 1u << (132 - 128) | 1u << (136 - 128)}};

/* What the fields say about each other. */
static void together(struct policy_rule *r)
{
	static const struct policy_bytes tcp = {{1u << 6}};

	if (r->fields & BIT(POLICY_FLAGS))
		only(r, &tcp);
	if (r->fields & (BIT(POLICY_FROM_PORT) | BIT(POLICY_TO_PORT)))
		only(r, &policy_with_ports);
	if (r->fields & BIT(POLICY_MALFORMED) &&
	    !(r->malformed & (1 << POLICY_WELL_FORMED | 1 << POLICY_MAL_CUT | 1 << POLICY_MAL_DEEP)))
		r->families &= POLICY_NO_IP;
	if (r->fields & BIT(POLICY_ETHER_TYPE) && !policy_spans16_have(&r->ether_type, 0x0800))
		r->families &= (uint8_t)~POLICY_V4;
	if (r->fields & BIT(POLICY_ETHER_TYPE) && !policy_spans16_have(&r->ether_type, 0x86dd))
		r->families &= (uint8_t)~POLICY_V6;
}

static bool has_none(const struct policy_rule *r)
{
	uint32_t f = r->fields;

	return !r->families || (f & BIT(POLICY_FROM_PORT) && !r->from_port.n) ||
	       (f & BIT(POLICY_TO_PORT) && !r->to_port.n) || (f & BIT(POLICY_VLAN) && !r->vlan.n) ||
	       (f & BIT(POLICY_INNER_VLAN) && !r->inner_vlan.n) ||
	       (f & BIT(POLICY_ETHER_TYPE) && !r->ether_type.n) ||
	       (f & BIT(POLICY_FLAGS) && bytes_none(&r->flags)) ||
	       (f & BIT(POLICY_ICMP_CODE) && bytes_none(&r->icmp_code)) ||
	       (f & BIT(POLICY_TTL) && bytes_none(&r->ttl)) || (f & BIT(POLICY_DSCP) && !r->dscp) ||
	       (f & BIT(POLICY_LENGTH) && !r->n_length) || (f & BIT(POLICY_FRAGMENT) && !r->fragment) ||
	       (f & BIT(POLICY_MALFORMED) && !r->malformed);
}

static void field(struct policy *p, struct policy_rule *r, const struct policy_match *m)
{
	static const uint32_t needs_ip = BIT(POLICY_FAMILY) | BIT(POLICY_PROTO) | BIT(POLICY_FLAGS) |
					 BIT(POLICY_ICMP_TYPE) | BIT(POLICY_ICMP_CODE) | BIT(POLICY_FROM) |
					 BIT(POLICY_TO) | BIT(POLICY_FROM_PORT) | BIT(POLICY_TO_PORT) |
					 BIT(POLICY_TTL) | BIT(POLICY_DSCP) | BIT(POLICY_FRAGMENT);

	r->fields |= BIT(m->field);
	if (needs_ip & BIT(m->field))
		r->families &= POLICY_V4 | POLICY_V6;
	switch ((enum policy_field)m->field) {
	case POLICY_FAMILY:
		r->families &= m->list.v->num.lo == 6 ? POLICY_V6 : m->list.v->num.hi == 4 ? POLICY_V4 : 7;
		r->fields &= ~BIT(POLICY_FAMILY); /* families says it all */
		return;
	case POLICY_PROTO:
		proto(r, m);
		return;
	case POLICY_FLAGS:
		flags(r, m);
		return;
	case POLICY_ICMP_TYPE:
		icmp_type(r, m);
		return;
	case POLICY_ICMP_CODE:
		bytes(m, &r->icmp_code);
		return;
	case POLICY_FROM:
	case POLICY_TO:
		address(p, r, m);
		return;
	case POLICY_FROM_PORT:
		spans16(p, m, 65535, &r->from_port);
		return;
	case POLICY_TO_PORT:
		spans16(p, m, 65535, &r->to_port);
		return;
	case POLICY_LENGTH:
		length(p, r, m);
		return;
	case POLICY_TTL:
		bytes(m, &r->ttl);
		return;
	case POLICY_DSCP:
		r->dscp = bits(m, 64);
		return;
	case POLICY_FRAGMENT:
		r->fragment = (uint8_t)bits(m, 3);
		return;
	case POLICY_VLAN:
		spans16(p, m, 4095, &r->vlan);
		return;
	case POLICY_INNER_VLAN:
		spans16(p, m, 4095, &r->inner_vlan);
		return;
	case POLICY_ETHER_TYPE:
		spans16(p, m, 65535, &r->ether_type);
		return;
	case POLICY_ETHER_FROM:
		macs(p, m, &r->ether_from);
		return;
	case POLICY_ETHER_TO:
		macs(p, m, &r->ether_to);
		return;
	case POLICY_IN:
		names(p, m, &r->in);
		return;
	case POLICY_MALFORMED:
		r->malformed = (uint8_t)bits(m, 6);
		return;
	case POLICY_MATCHING:
		r->matching = m->cbpf;
		r->matching_negated = m->negated;
		return;
	case POLICY_N_FIELDS:
		return;
	}
}

int policy_compile(struct policy *p, struct sluice_err *err)
{
	const struct policy_match *m;
	struct policy_ruleset *set;
	struct policy_rule *r;
	uint32_t f, i;

	p->rulesets = arena_add(&p->arena, p->n_filters * sizeof(*p->rulesets));
	for (f = 0; p->rulesets && f < p->n_filters; f++) {
		set = &p->rulesets[f];
		set->filter = &p->filters[f];
		set->n = p->filters[f].n_stmts;
		set->rules = arena_add(&p->arena, set->n * sizeof(*set->rules));
		for (i = 0; set->rules && i < set->n; i++) {
			r = &set->rules[i];
			r->stmt = &p->filters[f].stmts[i];
			r->index = i;
			r->families = POLICY_V4 | POLICY_V6 | POLICY_NO_IP;
			for (m = r->stmt->matches; m < r->stmt->matches + r->stmt->n_matches; m++)
				field(p, r, m);
			together(r);
			r->never = has_none(r);
			if (r->never)
				policy_warn(p, r->stmt->pos,
					    "no packet can match this rule: its conditions exclude each other");
		}
	}
	return p->arena.failed ? err_nomem(err) : 0;
}

uint64_t policy_rule_key(const struct policy_stmt *s, struct buf *scratch)
{
	uint64_t h = 0xcbf29ce484222325; /* FNV-1a, 64 bits */
	size_t i;

	scratch->len = 0;
	if (s->name)
		buf_printf(scratch, "\"%s\"", s->name);
	else
		policy_stmt_print(s, scratch);
	for (i = 0; i < scratch->len; i++)
		h = (h ^ scratch->data[i]) * 0x100000001b3;
	return h;
}
