// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a rule asks about addresses and service, as boxes for the lookup. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "filter/work.h"

struct prefix {
	struct policy_addr6 addr; /* IPv4: the first 32 bits of the 128 */
	uint8_t len;
};

/* Of a byte: those in which the bits of mask are as in value. */
struct cube {
	uint8_t value, mask;
};

/* One rule in one family, each part a list of alternatives. */
struct parts {
	struct buf from, to;		     /* struct prefix */
	struct buf proto, flags, type, code; /* struct cube */
	uint32_t extras;
};

/* --- addresses to prefixes --- */

/* A span is a union of prefixes. */
static void add_span(struct buf *to, struct policy_span6 span)
{
	struct prefix prefix;
	bool more = true;

	while (more && !to->failed) {
		prefix.addr = span.first;
		prefix.len = (uint8_t)policy_span6_take(&span, &more);
		buf_put(to, &prefix, sizeof(prefix));
	}
}

/* rest: what the bits behind the first 32 are. */
static struct policy_addr6 high4(uint32_t v4, uint64_t rest)
{
	return (struct policy_addr6){(uint64_t)v4 << 32 | (rest >> 32), rest};
}

/* Sets that change at run time are asked by rows: src/filter/rows.c. */
static bool asked_later(const struct filter_sets *sets, uint32_t set)
{
	return sets && sets->number[set] != FILTER_SETS_NONE;
}

int filter_spans(const struct policy *p, const struct filter_sets *sets, const struct policy_addrs *a, bool v6,
		 struct policy_spans *to)
{
	static const struct policy_range any[] = {{.last = {0, UINT32_MAX}},
						  {.last = {UINT64_MAX, UINT64_MAX}, .v6 = true}};
	struct policy_spans s = {0};
	struct policy_range r = {.v6 = v6};
	const struct policy_spans *set;
	uint32_t i, k;

	/* what such sets add may be anywhere; of what they take away, the constants are the rest */
	for (k = 0; k < a->n_sets && !a->negated; k++)
		if (asked_later(sets, a->sets[k])) {
			policy_spans_add(&s, &any[v6]);
			*to = s;
			return to->failed ? -ENOMEM : 0;
		}
	for (i = 0; i < a->n; i++) {
		r.first = v6 ? a->v6[i].first : (struct policy_addr6){0, a->v4[i].first};
		r.last = v6 ? a->v6[i].last : (struct policy_addr6){0, a->v4[i].last};
		policy_spans_add(&s, &r);
	}
	for (k = 0; k < a->n_sets; k++) {
		if (asked_later(sets, a->sets[k]))
			continue;
		set = &p->sets[a->sets[k]].spans;
		for (i = 0; i < (v6 ? set->n6 : set->n4); i++) {
			r.first = v6 ? set->v6[i].first : (struct policy_addr6){0, set->v4[i].first};
			r.last = v6 ? set->v6[i].last : (struct policy_addr6){0, set->v4[i].last};
			policy_spans_add(&s, &r);
		}
	}
	policy_spans_sort(&s);
	*to = s;
	if (a->negated) {
		memset(to, 0, sizeof(*to));
		policy_spans_not(&s, v6, to);
		to->failed |= s.failed;
		policy_spans_free(&s);
	}
	return to->failed ? -ENOMEM : 0;
}

static int prefixes(const struct policy *p, const struct filter_opts *opts, const struct policy_addrs *a,
		    bool v6, struct buf *to)
{
	struct policy_spans s;
	uint32_t i;
	int e = filter_spans(p, opts->sets, a, v6, &s);

	for (i = 0; i < (v6 ? s.n6 : s.n4); i++) {
		if (v6)
			add_span(to, s.v6[i]);
		else
			add_span(to, (struct policy_span6){high4(s.v4[i].first, 0),
							   high4(s.v4[i].last, UINT64_MAX)});
	}
	policy_spans_free(&s);
	return e || to->failed ? -ENOMEM : 0;
}

/* --- sets of bytes to cubes --- */

/*
 * Does the set say the same of a byte with and without this bit, for the bytes that have value in the bits
 * of mask?
 */
static bool indifferent(const struct policy_bytes *b, uint32_t value, uint32_t mask, uint32_t bit)
{
	uint32_t v;

	for (v = 0; v < 256; v++)
		if ((v & mask) == value &&
		    policy_bytes_has(b, (uint8_t)v) != policy_bytes_has(b, (uint8_t)(v ^ bit)))
			return false;
	return true;
}

/* Disjoint cubes of the members that have value in the bits of mask; splits at the first bit that matters. */
static void add_cubes(struct buf *to, const struct policy_bytes *b, uint32_t value, uint32_t mask)
{
	struct cube cube = {(uint8_t)value, (uint8_t)mask};
	uint32_t bit;

	for (bit = 128; bit; bit >>= 1) {
		if (mask & bit || indifferent(b, value, mask, bit))
			continue;
		add_cubes(to, b, value, mask | bit);
		add_cubes(to, b, value | bit, mask | bit);
		return;
	}
	if (policy_bytes_has(b, (uint8_t)value))
		buf_put(to, &cube, sizeof(cube));
}

static void cubes(struct buf *to, const struct policy_bytes *b, bool asked)
{
	static const struct cube any;

	if (asked)
		add_cubes(to, b, 0, 0);
	else
		buf_put(to, &any, sizeof(any));
}

/* --- service --- */

static bool all_in(const struct policy_bytes *in, const struct policy_bytes *of)
{
	uint32_t i;

	for (i = 0; i < 4; i++)
		if (in->w[i] & ~of->w[i])
			return false;
	return true;
}

uint32_t filter_extras(const struct policy_rule *r, bool v6, bool *ask_proto)
{
	bool ports = FILTER_HAS_FIELD(r, POLICY_FROM_PORT) || FILTER_HAS_FIELD(r, POLICY_TO_PORT);
	bool flags = FILTER_HAS_FIELD(r, POLICY_FLAGS);
	bool icmp = FILTER_HAS_FIELD(r, POLICY_ICMP_TYPE) || FILTER_HAS_FIELD(r, POLICY_ICMP_CODE);
	uint32_t has = (1u << FILTER_HAS) - 1, extras = 0, fragment;
	const struct policy_bytes *proto = &r->ip[v6].proto;

	*ask_proto = FILTER_HAS_FIELD(r, POLICY_PROTO);
	if (ports)
		has &= 1u << HAS_PORTS | 1u << HAS_PORTS_FLAGS;
	if (flags)
		has &= 1u << HAS_PORTS_FLAGS;
	if (icmp)
		has &= 1u << HAS_ICMP;
	if ((ports && all_in(&policy_with_ports, proto)) || (flags && policy_bytes_has(proto, 6)) ||
	    (icmp && policy_bytes_has(proto, v6 ? 58 : 1)))
		*ask_proto = false;
	for (fragment = 0; fragment < 3; fragment++)
		if (!FILTER_HAS_FIELD(r, POLICY_FRAGMENT) || r->fragment >> fragment & 1)
			extras |= has << FILTER_EXTRA(0, fragment);
	return extras;
}

static void free_parts(struct parts *t)
{
	buf_free(&t->from);
	buf_free(&t->to);
	buf_free(&t->proto);
	buf_free(&t->flags);
	buf_free(&t->type);
	buf_free(&t->code);
}

static int take_apart(const struct policy *p, const struct filter_opts *opts, const struct policy_rule *r,
		      bool v6, struct parts *t)
{
	static const struct prefix any;
	const struct policy_ip *ip = &r->ip[v6];
	bool ask_proto;
	int e = 0;

	memset(t, 0, sizeof(*t));
	t->extras = filter_extras(r, v6, &ask_proto);
	if (FILTER_HAS_FIELD(r, POLICY_FROM))
		e = prefixes(p, opts, &ip->from, v6, &t->from);
	else
		buf_put(&t->from, &any, sizeof(any));
	if (!e && FILTER_HAS_FIELD(r, POLICY_TO))
		e = prefixes(p, opts, &ip->to, v6, &t->to);
	else
		buf_put(&t->to, &any, sizeof(any));
	cubes(&t->proto, &ip->proto, ask_proto);
	cubes(&t->flags, &r->flags, FILTER_HAS_FIELD(r, POLICY_FLAGS));
	cubes(&t->type, &ip->icmp_type, FILTER_HAS_FIELD(r, POLICY_ICMP_TYPE));
	cubes(&t->code, &r->icmp_code, FILTER_HAS_FIELD(r, POLICY_ICMP_CODE));
	return e || t->from.failed || t->to.failed || t->proto.failed || t->flags.failed || t->type.failed ||
			       t->code.failed
		       ? -ENOMEM
		       : 0;
}

static void bytes_of(struct policy_addr6 a, uint8_t to[16])
{
	int i;

	for (i = 0; i < 8; i++) {
		to[i] = (uint8_t)(a.hi >> (56 - 8 * i));
		to[8 + i] = (uint8_t)(a.lo >> (56 - 8 * i));
	}
}

#define N(buf, type) ((buf).len / sizeof(type))
#define AT(buf, type, i) (&((const type *)(const void *)(buf).data)[i])

/* Ports and service of one box; addresses are there already. */
static void put_services(const struct parts *t, struct classify_rule box, uint32_t id, bool goes_on,
			 struct filter_boxes *to)
{
	const struct cube *proto, *flags, *type, *code;
	size_t i, k, l, m;

	box.extras = t->extras;
	for (i = 0; i < N(t->proto, *proto); i++)
		for (k = 0; k < N(t->flags, *flags); k++)
			for (l = 0; l < N(t->type, *type); l++)
				for (m = 0; m < N(t->code, *code); m++) {
					proto = AT(t->proto, struct cube, i);
					flags = AT(t->flags, struct cube, k);
					type = AT(t->type, struct cube, l);
					code = AT(t->code, struct cube, m);
					box.proto = proto->value;
					box.proto_mask = proto->mask;
					box.flags =
						(uint16_t)((flags->value | type->value) << 8 | code->value);
					box.flags_mask =
						(uint16_t)((flags->mask | type->mask) << 8 | code->mask);
					buf_put(&to->rules, &box, sizeof(box));
					buf_u32(&to->ids, id);
					buf_put(&to->goes_on, &goes_on, 1);
				}
}

static void put_ports(const struct policy_rule *r, const struct parts *t, struct classify_rule box,
		      bool goes_on, struct filter_boxes *to)
{
	static const struct policy_span16 any = {0, 65535};
	bool from = FILTER_HAS_FIELD(r, POLICY_FROM_PORT), dest = FILTER_HAS_FIELD(r, POLICY_TO_PORT);
	const struct policy_span16 *s = from ? r->from_port.v : &any, *d = dest ? r->to_port.v : &any;
	uint32_t n_s = from ? r->from_port.n : 1, n_d = dest ? r->to_port.n : 1, i, k;

	for (i = 0; i < n_s; i++)
		for (k = 0; k < n_d; k++) {
			box.sport = (struct classify_ports){s[i].first, s[i].last};
			box.dport = (struct classify_ports){d[k].first, d[k].last};
			put_services(t, box, r->index, goes_on, to);
		}
}

static int check(const struct policy *p, const struct policy_ruleset *set, const struct policy_rule *r,
		 const struct parts *t, size_t before, struct sluice_err *err)
{
	struct policy_where w;
	double from = (double)N(t->from, struct prefix), dest = (double)N(t->to, struct prefix), rest;

	rest = (double)N(t->proto, struct cube) * (double)N(t->flags, struct cube) *
	       (double)N(t->type, struct cube) * (double)N(t->code, struct cube);
	rest *= FILTER_HAS_FIELD(r, POLICY_FROM_PORT) ? r->from_port.n : 1;
	rest *= FILTER_HAS_FIELD(r, POLICY_TO_PORT) ? r->to_port.n : 1;
	if (from * dest * rest + (double)before <= CLASSIFY_MAX_RULES)
		return 0;
	w = policy_rule_where(p, set->filter, r->stmt);
	return err_set(
		err, -ENOSPC,
		"the rule in %s:%u combines %.0f prefixes of sources, %.0f of destinations and %.0f services: "
		"%.0f boxes after %zu of the rules before it, at most %u fit; 'not', ranges and lists of addresses "
		"become many prefixes: fewer of them on one side, or sets that have a file, a timeout or a size, "
		"are needed",
		w.path, w.line, from, dest, rest, from * dest * rest, before, CLASSIFY_MAX_RULES);
}

static int one_family(const struct policy *p, const struct policy_ruleset *set,
		      const struct filter_opts *opts, const struct policy_rule *r, bool v6, bool goes_on,
		      struct filter_boxes *to, struct sluice_err *err)
{
	struct classify_rule box = {.family = v6 ? 6 : 4};
	const struct prefix *a, *b;
	struct parts t;
	size_t i, k;
	int e = take_apart(p, opts, r, v6, &t) ? err_nomem(err)
					       : check(p, set, r, &t, N(to->ids, uint32_t), err);

	for (i = 0; !e && t.extras && i < N(t.from, *a); i++)
		for (k = 0; k < N(t.to, *b); k++) {
			a = AT(t.from, struct prefix, i);
			b = AT(t.to, struct prefix, k);
			bytes_of(a->addr, box.src);
			bytes_of(b->addr, box.dst);
			box.src_len = a->len;
			box.dst_len = b->len;
			put_ports(r, &t, box, goes_on, to);
		}
	free_parts(&t);
	return e;
}

int filter_box(const struct policy *p, const struct policy_ruleset *set, const struct filter_opts *opts,
	       const struct policy_rule *r, bool goes_on, struct filter_boxes *to, struct sluice_err *err)
{
	int e = 0;

	if (r->families & POLICY_V4)
		e = one_family(p, set, opts, r, false, goes_on, to, err);
	if (!e && r->families & POLICY_V6)
		e = one_family(p, set, opts, r, true, goes_on, to, err);
	if (!e && (to->rules.failed || to->ids.failed || to->goes_on.failed))
		e = err_nomem(err);
	return e;
}

void filter_box_lists(const struct policy *p, const struct policy_ruleset *set,
		      const struct filter_boxes *boxes, bool v6, struct sluice_err *err)
{
	uint32_t i, n = 0, rules = 0, most = 0, id, of = 0, last = UINT32_MAX;
	struct sluice_err why = *err;
	struct policy_where w;

	for (i = 0; i < N(boxes->ids, uint32_t); i++) {
		id = *AT(boxes->ids, uint32_t, i);
		if (!boxes->goes_on.data[i] ||
		    AT(boxes->rules, struct classify_rule, i)->family != (v6 ? 6 : 4))
			continue;
		n = id == last ? n + 1 : 1;
		rules += id != last;
		last = id;
		if (n > most) {
			most = n;
			of = id;
		}
	}
	w = policy_rule_where(p, set->filter, set->rules[of].stmt);
	err_set(err, why.code,
		"%.500s; %u of the filter's %u rules go on, and of their boxes the one in %s:%u has the most, %u: "
		"needed are fewer rules that go on (count, log, limit, and whatever asks for more than addresses, "
		"protocol, ports, flags, types and fragments), fewer 'not', ranges and lists in them, or no more than 64 "
		"rules in the filter, which hardly ever take lists",
		why.text, rules, set->n, w.path, w.line, most);
}
