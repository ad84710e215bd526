// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From rules to tables: goes through the rules, has the lookup compiled, lays the tables out in one memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>

#include "abi/classify.h"
#include "base/err.h"
#include "filter/limit.h"
#include "filter/work.h"

#define CPUS_MAX 65536

struct compile {
	const struct policy *p;
	const struct policy_ruleset *set;
	const struct filter_opts *opts;
	struct filter_tables *t;
	struct filter_boxes boxes;
	struct filter_expressions expressions;
	struct buf rules, rows, limits, other, cpus; /* struct filter_rule, filter_row, limit; u32; u32 */
	struct filter_bits_set bits_sets[FILTER_BITS_SETS];
	struct buf does, bits_do; /* u8 by rule: struct filter_config's, struct filter_bits' */
	bool other_ends;			     /* a rule decided for all that is no IP */
	uint32_t n_keyed;
	uint8_t cpu_used[CPUS_MAX / 8];
	struct sluice_err *err;
};

static int add_limit(struct compile *c, const struct policy_rule *rule, const struct policy_rate *rate,
		     uint64_t burst, bool keyed, uint32_t *number)
{
	struct filter_rate r = {.amount = rate->amount,
				.seconds = rate->seconds,
				.bits = rate->bits,
				.burst = burst};
	struct limit limit;
	int e = filter_limit(&r, c->opts->jiffy_ns, &limit, c->err);

	if (e)
		return err_prefix(c->err, "rule %u", rule->index + 1);
	limit.keyed = keyed;
	c->n_keyed += keyed;
	*number = (uint32_t)(c->limits.len / sizeof(limit));
	buf_put(&c->limits, &limit, sizeof(limit));
	c->t->config.has_limits = 1;
	if (limit.clock == LIMIT_KTIME)
		c->t->config.clock_ktime = 1;
	return 0;
}

static uint64_t mask64(uint32_t len)
{
	return len == 0 ? 0 : len >= 64 ? UINT64_MAX : UINT64_MAX << (64 - len);
}

static int limit_of(struct compile *c, const struct policy_rule *r, struct filter_rule *to)
{
	const struct policy_limit *l = &r->stmt->limit;
	static const uint8_t pers[] = {[POLICY_PER_RULE] = PER_RULE,
				       [POLICY_PER_SOURCE] = PER_SOURCE,
				       [POLICY_PER_DESTINATION] = PER_DESTINATION,
				       [POLICY_PER_FLOW] = PER_FLOW};

	to->does |= RULE_LIMIT | RULE_GOES_ON;
	to->per = pers[l->per];
	to->mask4 = (uint32_t)(mask64(l->len4 < 32 ? l->len4 : 32) >> 32);
	to->mask6[0] = mask64(l->len6);
	to->mask6[1] = mask64(l->len6 > 64 ? l->len6 - 64u : 0);
	return add_limit(c, r, &l->rate, l->burst, l->per != POLICY_PER_RULE, &to->limit);
}

static int log_of(struct compile *c, const struct policy_rule *r, struct filter_rule *to)
{
	const struct policy_stmt *s = r->stmt;
	uint64_t burst = s->log_max.amount / s->log_max.seconds;

	to->does |= RULE_LOG;
	to->log_every = s->log_every;
	c->t->config.has_logs = 1;
	return add_limit(c, r, &s->log_max, burst ? burst : 1, false, &to->log_limit);
}

static int interface_of(struct compile *c, const struct policy_rule *r, struct filter_rule *to)
{
	uint32_t i;

	for (i = 0; i < c->opts->n_interfaces; i++)
		if (!strcmp(c->opts->interfaces[i].name, r->stmt->redirect)) {
			to->verdict = FILTER_REDIRECT;
			to->target = c->opts->interfaces[i].index;
			return 0;
		}
	return err_set(c->err, -ENODEV, "rule %u redirects to %s: there is no such interface", r->index + 1,
		       r->stmt->redirect);
}

static int cpus_of(struct compile *c, const struct policy_rule *r, struct filter_rule *to)
{
	const struct policy_list *list = &r->stmt->cpus;
	uint32_t i, cpu;

	to->verdict = FILTER_CPU;
	to->target = (uint32_t)c->cpus.len; /* from the start of the table; put_tables() adds where that is */
	for (i = 0; i < list->n; i++)
		for (cpu = list->v[i].num.lo; cpu <= list->v[i].num.hi; cpu++) {
			if (cpu >= CPUS_MAX)
				return err_set(c->err, -ERANGE,
					       "rule %u names CPU %u, the largest number is %u", r->index + 1,
					       cpu, CPUS_MAX - 1);
			buf_u32(&c->cpus, cpu);
			to->n_targets++;
			c->cpu_used[cpu / 8] |= (uint8_t)(1u << cpu % 8);
		}
	return 0;
}

static int act(struct compile *c, const struct policy_rule *r, struct filter_rule *to)
{
	const struct policy_stmt *s = r->stmt;
	int e = s->log ? log_of(c, r, to) : 0;

	if (e)
		return e;
	switch ((enum policy_action)s->action) {
	case POLICY_PASS:
		to->verdict = FILTER_PASS;
		return 0;
	case POLICY_DROP:
		to->verdict = FILTER_DROP;
		return 0;
	case POLICY_REDIRECT:
		return interface_of(c, r, to);
	case POLICY_CPU:
		return cpus_of(c, r, to);
	case POLICY_COUNT:
	case POLICY_LOG:
		to->does |= RULE_GOES_ON;
		return 0;
	case POLICY_LIMIT:
		return limit_of(c, r, to);
	}
	return err_set(c->err, -EINVAL, "rule %u has an action that is none", r->index + 1);
}

/* A byte for what a rule does, if that is all. limits: whoever reads it keeps rates, too */
static void put_does(struct buf *to, const struct filter_rule *r, bool certain, bool limits)
{
	uint8_t b;

	if (limits && certain && r->does == (RULE_LIMIT | RULE_GOES_ON) && r->per != PER_FLOW)
		b = FILTER_ON | FILTER_LIMIT;
	else if (!certain || r->does & (RULE_LIMIT | RULE_LOG))
		b = FILTER_WALK;
	else if (r->does & RULE_GOES_ON)
		b = FILTER_ON;
	else
		b = r->verdict == FILTER_PASS ? XDP_PASS : r->verdict == FILTER_DROP ? XDP_DROP : FILTER_WALK;
	if (b == FILTER_WALK && (!certain || r->does & RULE_GOES_ON))
		b |= FILTER_ON;
	buf_put(to, &b, 1);
}

/* How many of the rows from byte `from` on ask a run-time set. */
static uint32_t n_questions(const struct buf *rows, size_t from)
{
	const struct filter_row *v = (const struct filter_row *)(const void *)rows->data;
	uint32_t n = 0;
	size_t i;

	for (i = from / sizeof(*v); i < rows->len / sizeof(*v); i++)
		n += v[i].set != 0;
	return n;
}

/*
 * Can words of bits tell what rows from byte `from` on ask of run-time sets? One set a rule, without counters,
 * which are of packets that come to the rule; not more than there is room for.
 */
static bool in_line(struct compile *c, uint32_t rule, const struct buf *rows, size_t from)
{
	const struct filter_row *v = (const struct filter_row *)(const void *)rows->data;
	uint32_t n = n_questions(rows, from), k;

	if (n != 1)
		return !n;
	v += rows->len / sizeof(*v) - 1; /* sets are asked last */
	if (!v->set || c->opts->sets->config.flags & SET_COUNTS || rule >= FILTER_BITS)
		return false;
	for (k = 0; k < c->t->config.bits_sets && c->bits_sets[k].ask != v->set; k++)
		;
	if (k == FILTER_BITS_SETS)
		return false;
	c->bits_sets[k].ask = v->set;
	*(v->then == FILTER_MATCH ? &c->bits_sets[k].in : &c->bits_sets[k].out) |= 1ull << rule;
	if (k == c->t->config.bits_sets)
		c->t->config.bits_sets++;
	return true;
}

static int one_rule(struct compile *c, const struct policy_rule *r)
{
	struct filter_rule *to = buf_add(&c->rules, sizeof(*to)), made = {.row = FILTER_MATCH};
	size_t rows = c->rows.len;
	bool never = r->never;
	int e = never ? 0 : filter_rows(r, c->opts, &c->expressions, &c->rows, &made.row,
					  &c->t->config.uses, &never, c->err);
	bool goes_on;

	if (!e && !never)
		e = act(c, r, &made);
	if (never) {
		buf_add(&c->does, 1);
		buf_add(&c->bits_do, 1);
	} else {
		put_does(&c->does, &made, made.row == FILTER_MATCH, false);
		put_does(&c->bits_do, &made,
			 made.row == FILTER_MATCH ||
				 (filter_bits_suffice(r) && in_line(c, r->index, &c->rows, rows)),
			 true);
	}
	if (e || never)
		return e;
	goes_on = made.does & RULE_GOES_ON || made.row != FILTER_MATCH;
	if (to)
		*to = made;
	if (r->families & POLICY_NO_IP && !c->other_ends) {
		buf_u32(&c->other, r->index);
		c->other_ends = !goes_on;
	}
	c->t->report.n_certain += made.row == FILTER_MATCH;
	if (goes_on && r->families & (POLICY_V4 | POLICY_V6))
		c->t->config.lists = 1;
	return filter_box(c->p, c->set, c->opts, r, goes_on, &c->boxes, c->err);
}

/* The first of the rules whose rates words of bits keep, for the packet path's constants. */
static void lay_in_line(struct compile *c)
{
	const struct filter_rule *r = (const struct filter_rule *)(const void *)c->rules.data;
	const struct limit *limits = (const struct limit *)(const void *)c->limits.data;
	struct filter_in_line *to = &c->t->config.in_line;
	uint32_t i;

	for (i = 0; i < c->set->n && i < FILTER_BITS; i++) {
		if (c->bits_do.data[i] != (FILTER_ON | FILTER_LIMIT))
			continue;
		to->others = to->bit != 0;
		if (to->others)
			return;
		to->bit = 1ull << i;
		to->limit = limits[r[i].limit];
		to->rule = i;
		to->mask4 = r[i].mask4;
		to->to = r[i].per == PER_DESTINATION;
	}
}

static uint32_t put(struct buf *to, const struct buf *table)
{
	uint32_t at;

	/* a row or rule is one line of cache */
	buf_add(to, (64 - to->len % 64) % 64);
	at = (uint32_t)to->len;
	buf_put(to, table->data, table->len);
	return at;
}

static int put_tables(struct compile *c, struct buf *to)
{
	struct filter_config *config = &c->t->config;
	struct filter_rule *v = (struct filter_rule *)(void *)c->rules.data;
	struct buf end = {0};
	uint32_t cpus, i;

	buf_u32(&end, FILTER_END);
	buf_u32(&c->other, FILTER_END);
	cpus = put(to, &c->cpus);
	for (i = 0; i < c->set->n; i++)
		if (v[i].verdict == FILTER_CPU)
			v[i].target += cpus;
	config->rules = put(to, &c->rules);
	config->rows = put(to, &c->rows);
	config->does = put(to, &c->does);
	config->limits = put(to, &c->limits);
	config->other = put(to, &c->other);
	config->nothing = put(to, &end);
	buf_add(to, 8);
	to->failed |= end.failed;
	buf_free(&end);
	if (to->failed)
		return err_nomem(c->err);
	if (to->len > FILTER_ROOM)
		return err_set(c->err, -ENOSPC,
			       "%u rules take %zu bytes (%zu of them for %u boxes to be looked up), at most "
			       "%u fit: fewer prefixes and ports in one rule, or long lists in sets that have a file, "
			       "a timeout or a size, are needed",
			       c->set->n, to->len, c->t->report.classify, c->t->report.n_boxes, FILTER_ROOM);
	return 0;
}

static bool is_all(const struct classify_rule *r)
{
	uint32_t extras = (1u << FILTER_EXTRA(0, 3)) - 1;

	return !r->src_len && !r->dst_len && !r->proto_mask && !r->flags_mask && !r->sport.first &&
	       !r->dport.first && r->sport.last == 65535 && r->dport.last == 65535 &&
	       (r->extras & extras) == extras;
}

static void drop_family(struct compile *c, uint8_t family)
{
	struct classify_rule *v = (struct classify_rule *)(void *)c->boxes.rules.data;
	uint32_t *ids = (uint32_t *)(void *)c->boxes.ids.data;
	uint8_t *goes_on = c->boxes.goes_on.data;
	size_t n = c->boxes.ids.len / 4, i, kept;

	for (i = 0, kept = 0; i < n; i++)
		if (v[i].family != family) {
			v[kept] = v[i];
			goes_on[kept] = goes_on[i];
			ids[kept++] = ids[i];
		}
	c->boxes.rules.len = kept * sizeof(*v);
	c->boxes.ids.len = kept * 4;
	c->boxes.goes_on.len = kept;
}

static size_t n_of_family(const struct compile *c, uint8_t family)
{
	const struct classify_rule *v = (const void *)c->boxes.rules.data;
	size_t n = c->boxes.ids.len / 4, i, of = 0;

	for (i = 0; i < n; i++)
		of += v[i].family == family;
	return of;
}

/* A family whose first rule is for all its packets, or that has none, needs no lookup. */
static void spare_family(struct compile *c, uint8_t family, uint32_t *all)
{
	struct classify_rule *v = (struct classify_rule *)(void *)c->boxes.rules.data;
	uint32_t *ids = (uint32_t *)(void *)c->boxes.ids.data;
	size_t n = c->boxes.ids.len / 4, i;

	*all = CLASSIFY_NONE;
	for (i = 0; i < n && v[i].family != family; i++)
		;
	if (i == n || !is_all(&v[i]))
		return;
	*all = ids[i];
	drop_family(c, family);
}

/* Where no rate is kept in line: rules that only count, if they are few. */
static void lay_sums(struct compile *c)
{
	struct filter_sums *to = &c->t->config.sums;
	uint32_t i, n = 0;

	if (c->set->n > FILTER_BITS || c->t->config.in_line.bit)
		return;
	for (i = 0; i < c->set->n; i++)
		if (c->bits_do.data[i] == FILTER_ON && n++ < FILTER_SUMS)
			to->rule[n - 1] = (uint8_t)i;
	to->n = n <= FILTER_SUMS ? (uint8_t)n : 0;
}

static int put_bits(struct compile *c, bool v6, struct buf *to)
{
	struct filter_config *config = &c->t->config;
	int e = filter_bits(c->p, c->opts->sets, c->set, v6, c->bits_do.data, c->bits_sets, config->deep,
			    to, &config->bits[v6], config->side6, &config->asks);

	return e ? err_nomem(c->err) : 0;
}

/* Families whose rules are few are not for the lookup. */
static int try_bits(struct compile *c, bool v6)
{
	struct buf trial = {0};
	int e;

	buf_add(&trial, 64);
	e = put_bits(c, v6, &trial);
	if (!e && !v6 && !c->t->config.bits[v6]) {
		c->t->config.deep = 1;
		e = put_bits(c, v6, &trial);
		c->t->config.deep = c->t->config.bits[v6] != 0;
	}
	buf_free(&trial);
	if (!e && c->t->config.bits[v6]) {
		drop_family(c, v6 ? 6 : 4);
		*(v6 ? &c->t->config.ip6 : &c->t->config.ip4) = 1;
	}
	return e;
}

static int look_up(struct compile *c, struct buf *to)
{
	struct classify_opts opts = {.limit_bytes = FILTER_ROOM,
				     .ids = (uint32_t *)(void *)c->boxes.ids.data,
				     .goes_on = c->boxes.goes_on.data};
	struct classify_report *report = &c->t->report.lookup;
	size_t n, bytes;
	uint32_t part;
	void *image;
	int e;

	c->t->config.all4 = c->t->config.all6 = CLASSIFY_NONE;
	if (!c->t->config.lists) {
		spare_family(c, 4, &c->t->config.all4);
		spare_family(c, 6, &c->t->config.all6);
	}
	c->t->report.n_boxes = (uint32_t)(c->boxes.ids.len / 4);
	e = n_of_family(c, 4) ? try_bits(c, false) : 0;
	if (!e && n_of_family(c, 6))
		e = try_bits(c, true);
	if (e)
		return e;
	n = c->boxes.ids.len / 4;
	opts.goes_on = c->t->config.lists ? opts.goes_on : NULL;
	e = classify_compile((const void *)c->boxes.rules.data, n, &opts, &image, &bytes, report, c->err);
	for (part = 0; e && c->err && part < 4; part++)
		if (report->part[part].lists_over)
			filter_box_lists(c->p, c->set, &c->boxes, part & 1, c->err);
	if (e)
		return e;
	to->data = image;
	to->len = to->cap = bytes;
	c->t->config.ip4 |= report->part[0].n_rules || report->part[2].n_rules;
	c->t->config.ip6 |= report->part[1].n_rules || report->part[3].n_rules;
	c->t->config.apart = report->part[2].n_rules || report->part[3].n_rules;
	c->t->report.classify = bytes;
	return 0;
}

static int put_cpus(struct compile *c)
{
	uint32_t *v, cpu, n = 0;

	for (cpu = 0; cpu < CPUS_MAX; cpu++)
		n += c->cpu_used[cpu / 8] >> cpu % 8 & 1;
	v = calloc(n + 1ul, sizeof(*v));
	if (!v)
		return err_nomem(c->err);
	for (cpu = 0, n = 0; cpu < CPUS_MAX; cpu++)
		if (c->cpu_used[cpu / 8] >> cpu % 8 & 1)
			v[n++] = cpu;
	c->t->cpus = v;
	c->t->n_cpus = n;
	return 0;
}

/* What the packet path has to look at. */
static void ask(struct compile *c)
{
	static const struct {
		enum policy_field field;
		uint8_t asks;
	} looks[] = {
		{POLICY_FROM_PORT, FILTER_ASKS_SPORT}, {POLICY_TO_PORT, FILTER_ASKS_DPORT},
		{POLICY_FLAGS, FILTER_ASKS_FLAGS},     {POLICY_ICMP_TYPE, FILTER_ASKS_ICMP},
		{POLICY_ICMP_CODE, FILTER_ASKS_ICMP},
	};
	const struct policy_rule *r = c->set->rules;
	uint32_t i, k;

	for (i = 0; i < c->set->n; i++) {
		c->t->config.walks |= (c->does.data[i] | c->bits_do.data[i]) >> 7;
		for (k = 0; k < sizeof(looks) / sizeof(*looks); k++)
			if (FILTER_HAS_FIELD(&r[i], looks[k].field))
				c->t->config.looks |= looks[k].asks;
	}
}

static int compile(struct compile *c)
{
	struct filter_tables *t = c->t;
	struct filter_config *config = &t->config;
	struct buf bytes = {0};
	uint8_t default_does;
	uint32_t i;
	int e = 0;

	config->n_rules = c->set->n;
	config->shadow = c->set->filter->shadow;
	config->default_drop = c->set->filter->default_drop;
	config->jiffy_ns = c->opts->jiffy_ns;
	memcpy(config->seed, c->opts->seed, sizeof(config->seed));
	/* of the lower half of an address, which IPv4 has none of, and of 2, which says IPv4: datapath/lib/filter_happen.h */
	config->key4 = config->seed[2] * config->seed[3] + (config->seed[4] + 2) * config->seed[5];
	for (i = 0; !e && i < c->set->n; i++)
		e = one_rule(c, &c->set->rules[i]);
	if (!e &&
	    (c->rules.failed || c->rows.failed || c->limits.failed || c->other.failed || c->cpus.failed))
		e = err_nomem(c->err);
	if (!e)
		e = filter_matching_make(&c->expressions, &t->matching, &t->n_matching, &config->matching,
					 c->err);
	if (!e)
		e = filter_lay_cells((struct limit *)(void *)c->limits.data, (uint32_t)(c->limits.len / sizeof(struct limit)),
				     c->n_keyed, t, c->err);
	if (!e)
		e = put_cpus(c);
	default_does = config->default_drop ? XDP_DROP : XDP_PASS;
	buf_put(&c->does, &default_does, 1);
	buf_put(&c->bits_do, &default_does, 1);
	if (!e && (c->does.failed || c->bits_do.failed))
		e = err_nomem(c->err);
	if (!e)
		lay_in_line(c);
	if (!e)
		lay_sums(c);
	if (!e)
		e = look_up(c, &bytes);
	for (i = 0; !e && i < 2; i++)
		if (config->bits[i])
			e = put_bits(c, i, &bytes);
	if (!e)
		e = put_tables(c, &bytes);
	ask(c);
	config->has_rows = c->rows.len != 0;
	if (n_questions(&c->rows, 0))
		t->sets = c->opts->sets->config;
	t->report.n_rows = (uint32_t)(c->rows.len / sizeof(struct filter_row));
	/* no walk meets a rule or a row twice; a turn ends behind FILTER_ROWS of them or at a rule that matches */
	config->turns = 2 + t->report.n_rows / FILTER_ROWS + 2 * c->set->n + 2 * n_questions(&c->rows, 0);
	t->bytes = bytes.data;
	t->len = t->report.bytes = bytes.len;
	t->room = t->len <= FILTER_ROOM_SMALL ? FILTER_ROOM_SMALL : FILTER_ROOM;
	t->report.n_rules = c->set->n;
	t->report.n_expressions = c->expressions.n;
	t->report.n_limits = (uint32_t)(c->limits.len / sizeof(struct limit));
	t->report.n_cells = t->n_cells;
	return e;
}

int filter_compile(const struct policy *p, uint32_t filter, const struct filter_opts *opts,
		   struct filter_tables **tables, struct sluice_err *err)
{
	static const struct filter_opts none;
	struct compile *c = calloc(1, sizeof(*c));
	int e;

	*tables = calloc(1, sizeof(**tables));
	if (!c || !*tables) {
		e = err_nomem(err);
	} else {
		c->p = p;
		c->set = &p->rulesets[filter];
		c->opts = opts ? opts : &none;
		c->t = *tables;
		c->err = err;
		e = compile(c);
		if (e == -ERANGE || e == -EINVAL) /* what the text asks for, not what the caller does, or the kernel cannot */
			e = -EBADMSG;
		if (e && err)
			err->code = e;
		buf_free(&c->boxes.rules);
		buf_free(&c->boxes.ids);
		buf_free(&c->boxes.goes_on);
		buf_free(&c->rules);
		buf_free(&c->rows);
		buf_free(&c->limits);
		buf_free(&c->other);
		buf_free(&c->cpus);
		buf_free(&c->does);
		buf_free(&c->bits_do);
	}
	free(c);
	if (e) {
		filter_tables_free(*tables);
		*tables = NULL;
	}
	return e;
}

void filter_tables_free(struct filter_tables *t)
{
	if (!t)
		return;
	free((void *)(uintptr_t)t->cpus);
	free(t->matching);
	free(t->bytes);
	free(t);
}
