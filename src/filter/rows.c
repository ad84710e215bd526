// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a rule asks beyond addresses and service, as rows of tests. Single questions come first, three to a
 * row; then each question with several answers, an answer to a row, the next row being for whom it is not.
 */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "base/err.h"
#include "filter/work.h"

/* Tests of one rule: those that all must hold, and groups of which one answer must (or none may). */
struct asked {
	struct buf all;	   /* struct filter_test */
	struct buf groups; /* struct group */
	uint32_t uses;
};

struct group {
	struct filter_test *v; /* two to an answer; of sets one number each, as struct filter_row has it */
	uint32_t *sets;
	uint32_t n; /* answers */
	bool negated;
};

static const struct filter_test always = {.fact = FACT_CERTAIN};

static struct filter_test test_of(enum filter_fact fact, uint32_t first, uint32_t last)
{
	return (struct filter_test){.mask = UINT32_MAX, .lo = first, .span = last - first, .fact = fact};
}

static void ask(struct asked *a, struct filter_test t)
{
	buf_put(&a->all, &t, sizeof(t));
	a->uses |= 1u << t.fact;
}

/* One of n answers, as ask_one() adds them. */
static void ask_group(struct asked *a, struct buf *answers, bool negated)
{
	struct group g = {.v = (struct filter_test *)(void *)answers->data,
			  .n = (uint32_t)(answers->len / 32),
			  .negated = negated};

	if (answers->failed)
		a->groups.failed = true;
	if (g.n == 1 && !negated) {
		buf_put(&a->all, g.v, sizeof(*g.v));
		if (g.v[1].fact != FACT_CERTAIN)
			buf_put(&a->all, g.v + 1, sizeof(*g.v));
		buf_free(answers);
	} else {
		buf_put(&a->groups, &g, sizeof(g));
		if (a->groups.failed)
			buf_free(answers);
	}
}

static void answer(struct asked *a, struct buf *answers, struct filter_test one, struct filter_test two)
{
	buf_put(answers, &one, sizeof(one));
	buf_put(answers, &two, sizeof(two));
	a->uses |= 1u << one.fact | 1u << two.fact;
}

static void spans16(struct asked *a, enum filter_fact fact, const struct policy_spans16 *s)
{
	struct buf answers = {0};
	uint32_t i;

	for (i = 0; i < s->n; i++)
		answer(a, &answers, test_of(fact, s->v[i].first, s->v[i].last), always);
	ask_group(a, &answers, false);
}

/* Numbers below n as bits. */
static void bits(struct asked *a, enum filter_fact fact, const uint64_t *set, uint32_t n)
{
	struct buf answers = {0};
	uint32_t first, v;

	for (v = 0; v < n; v++) {
		if (!(set[v / 64] >> v % 64 & 1))
			continue;
		for (first = v; v + 1 < n && set[(v + 1) / 64] >> (v + 1) % 64 & 1; v++)
			;
		answer(a, &answers, test_of(fact, first, v), always);
	}
	ask_group(a, &answers, false);
}

static uint32_t word24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static void macs(struct asked *a, enum filter_fact hi, const struct policy_macs *m)
{
	struct filter_test half[2], there = {.fact = hi};
	struct buf answers = {0};
	uint32_t i, k;

	for (i = 0; i < m->n; i++) {
		for (k = 0; k < 2; k++)
			half[k] = (struct filter_test){.mask = word24(m->v[i].mask + 3 * k),
						       .lo = word24(m->v[i].value + 3 * k),
						       .fact = hi + k};
		answer(a, &answers, half[0], half[1]);
	}
	if (m->negated)
		ask(a, there);
	ask_group(a, &answers, m->negated);
}

/* Interfaces by number, as far as they are there; false if none could ever be right. */
static bool interfaces(struct asked *a, const struct policy_names *names, const struct filter_opts *opts)
{
	struct buf answers = {0};
	uint32_t i, k;

	if (opts->any_interface)
		return true;
	for (i = 0; i < opts->n_interfaces; i++) {
		for (k = 0; k < names->n; k++)
			if (!fnmatch(names->v[k], opts->interfaces[i].name, 0))
				break;
		if (k < names->n)
			answer(a, &answers,
			       test_of(FACT_IN, opts->interfaces[i].index, opts->interfaces[i].index),
			       always);
	}
	if (!answers.len)
		return names->negated;
	ask_group(a, &answers, names->negated);
	return true;
}

/* One bit of the answers: set, or not. */
static void ask_expression(struct asked *a, uint32_t number, bool negated)
{
	uint32_t bit = 1u << number % FILTER_MATCHING_BITS;

	ask(a, (struct filter_test){.mask = bit,
				    .lo = negated ? 0 : bit,
				    .fact = FACT_MATCHING_LO + number / FILTER_MATCHING_BITS});
}

/*
 * One side's run-time sets, any of which is an answer; the constants beside them are one too, in a set of their
 * own. (Negated, the constants are in the boxes.)
 */
static void ask_sets(struct asked *a, const struct policy_rule *r, bool to, const struct filter_sets *sets)
{
	const struct policy_ip *ip = &r->ip[!(r->families & POLICY_V4)];
	const struct policy_addrs *addrs = to ? &ip->to : &ip->from;
	uint32_t side = to ? FILTER_ASK_TO : 0, part = filter_sets_part(sets, r, to), i;
	struct buf numbers = {0};
	struct group g = {.negated = addrs->negated};

	for (i = 0; i < addrs->n_sets; i++)
		if (sets->number[addrs->sets[i]] != FILTER_SETS_NONE)
			buf_u32(&numbers, (sets->number[addrs->sets[i]] + 1) | side);
	if (!numbers.len && !numbers.failed)
		return;
	if (part != FILTER_SETS_NONE)
		buf_u32(&numbers, (part + 1) | side);
	g.sets = (uint32_t *)(void *)numbers.data;
	g.n = (uint32_t)(numbers.len / 4);
	a->groups.failed |= numbers.failed;
	buf_put(&a->groups, &g, sizeof(g));
	if (a->groups.failed)
		buf_free(&numbers);
}

/* False: no packet can match. */
static bool fields(struct asked *a, const struct policy_rule *r, const struct filter_opts *opts)
{
	struct buf answers = {0};
	uint64_t mal = r->malformed;
	uint32_t i;

	if (FILTER_HAS_FIELD(r, POLICY_LENGTH)) {
		for (i = 0; i < r->n_length; i++)
			answer(a, &answers, test_of(FACT_LENGTH, r->length[i].first, r->length[i].last),
			       always);
		ask_group(a, &answers, false);
	}
	if (FILTER_HAS_FIELD(r, POLICY_TTL))
		bits(a, FACT_TTL, r->ttl.w, 256);
	if (FILTER_HAS_FIELD(r, POLICY_DSCP))
		bits(a, FACT_DSCP, &r->dscp, 64);
	if (FILTER_HAS_FIELD(r, POLICY_VLAN))
		spans16(a, FACT_VLAN, &r->vlan);
	if (FILTER_HAS_FIELD(r, POLICY_INNER_VLAN))
		spans16(a, FACT_INNER_VLAN, &r->inner_vlan);
	if (FILTER_HAS_FIELD(r, POLICY_ETHER_TYPE))
		spans16(a, FACT_ETHER_TYPE, &r->ether_type);
	if (FILTER_HAS_FIELD(r, POLICY_MALFORMED))
		bits(a, FACT_MALFORMED, &mal, 6);
	if (FILTER_HAS_FIELD(r, POLICY_ETHER_FROM))
		macs(a, FACT_MAC_FROM_HI, &r->ether_from);
	if (FILTER_HAS_FIELD(r, POLICY_ETHER_TO))
		macs(a, FACT_MAC_TO_HI, &r->ether_to);
	return !FILTER_HAS_FIELD(r, POLICY_IN) || interfaces(a, &r->in, opts);
}

static struct filter_row *add_row(struct buf *to, uint32_t then, uint32_t otherwise)
{
	struct filter_row *row = buf_add(to, sizeof(*row));

	if (row)
		*row = (struct filter_row){.test = {always, always, always},
					   .then = then,
					   .otherwise = otherwise};
	return row;
}

static uint32_t next_row(const struct buf *to)
{
	return (uint32_t)(to->len / sizeof(struct filter_row));
}

static void put_rows(const struct asked *a, struct buf *to)
{
	const struct filter_test *all = (const void *)a->all.data;
	const struct group *groups = (const void *)a->groups.data, *g;
	uint32_t n = (uint32_t)(a->all.len / sizeof(*all)),
		 n_groups = (uint32_t)(a->groups.len / sizeof(*groups)), i, k, after, at;
	struct filter_row *row = NULL;
	bool last;

	for (i = 0; i < n; i++) {
		if (i % FILTER_ROW_TESTS == 0) {
			last = !n_groups && i + FILTER_ROW_TESTS >= n;
			row = add_row(to, last ? FILTER_MATCH : next_row(to) + 1, FILTER_NEXT);
		}
		if (row)
			row->test[i % FILTER_ROW_TESTS] = all[i];
	}
	for (g = groups; g < groups + n_groups; g++) {
		at = next_row(to);
		after = g + 1 == groups + n_groups ? FILTER_MATCH : at + g->n;
		for (k = 0; k < g->n; k++) {
			last = k + 1 == g->n;
			if (g->negated)
				row = add_row(to, FILTER_NEXT, last ? after : at + k + 1);
			else
				row = add_row(to, after, last ? FILTER_NEXT : at + k + 1);
			if (row && g->sets)
				row->set = g->sets[k];
			else if (row)
				memcpy(row->test, g->v + 2ul * k, 2 * sizeof(*g->v));
		}
	}
}

int filter_rows(const struct policy_rule *r, const struct filter_opts *opts,
		struct filter_expressions *expressions, struct buf *to, uint32_t *row, uint32_t *uses,
		bool *never, struct sluice_err *err)
{
	struct asked a = {.uses = 0};
	struct group *g;
	uint32_t number;
	size_t i;
	int e = 0;

	*row = next_row(to);
	if (FILTER_HAS_FIELD(r, POLICY_MATCHING)) {
		e = filter_expression(expressions, r->matching, &number, err);
		if (e)
			return err_prefix(err, "rule %u", r->index + 1);
		ask_expression(&a, number, r->matching_negated);
	}
	*never = !fields(&a, r, opts);
	/* last, since they cost most */
	if (opts->sets && FILTER_HAS_FIELD(r, POLICY_FROM))
		ask_sets(&a, r, false, opts->sets);
	if (opts->sets && FILTER_HAS_FIELD(r, POLICY_TO))
		ask_sets(&a, r, true, opts->sets);
	if (a.all.failed || a.groups.failed)
		e = -ENOMEM;
	else if (!*never)
		put_rows(&a, to);
	for (i = 0; i < a.groups.len / sizeof(*g); i++) {
		g = (struct group *)(void *)a.groups.data + i;
		buf_free(&(struct buf){.data = (void *)g->v});
		buf_free(&(struct buf){.data = (void *)g->sets});
	}
	*uses |= *never ? 0 : a.uses & ~(1u << FACT_CERTAIN);
	if (!a.all.len && !a.groups.len)
		*row = FILTER_MATCH;
	buf_free(&a.all);
	buf_free(&a.groups);
	return e || to->failed ? err_nomem(err) : 0;
}
