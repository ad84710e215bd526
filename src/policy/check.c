// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the words of a policy mean together: sets by name, conditions that need each other, interfaces. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "policy/policy.h"
#include "policy/words.h"

#define HINTS_MAX \
	1000000 /* comparisons that are only made to warn; a text full of patterns gets fewer warnings */

/* Numbers of sets, or of anything else with a name, in the order of the names. */
struct index_of {
	const char *name;
	uint32_t i;
	struct policy_pos pos;
};

static int by_name(const void *a, const void *b)
{
	const struct index_of *x = a, *y = b;
	int d = strcmp(x->name, y->name);

	return d ? d : x->i < y->i ? -1 : x->i > y->i;
}

static int to_name(const void *key, const void *b)
{
	return strcmp(key, ((const struct index_of *)b)->name);
}

static const struct index_of *find(const struct index_of *all, uint32_t n, const char *name)
{
	return n ? bsearch(name, all, n, sizeof(*all), to_name) : NULL;
}

/* The set whose name is nearest, among the first hundred: enough for a hint. */
static const char *nearest_set(const struct policy *p, const char *name)
{
	const char *names[100];
	size_t n;
	int i;

	for (n = 0; n < p->n_sets && n < 100; n++)
		names[n] = p->sets[n].name;
	i = text_nearest(name, names, n);
	return i < 0 ? NULL : names[i];
}

static void resolve(struct policy *p, const struct index_of *sets, struct policy_value *v)
{
	const struct index_of *found = find(sets, p->n_sets, v->text);
	const char *near;

	if (found) {
		v->set = found->i;
		p->sets[found->i].used = true;
		return;
	}
	near = p->n_errors < POLICY_DIAGS_MAX ? nearest_set(p, v->text) : NULL;
	if (near)
		policy_error(p, v->pos, "no set '%s', did you mean '@%s'?", v->text, near);
	else
		policy_error(p, v->pos, "no set '%s'; sets are made by: set %s { ... }", v->text, v->text);
}

/* --- sets --- */

static int load_file(struct policy *p, struct policy_set *s, const struct policy_files *files,
		     struct sluice_err *err)
{
	const char *path = policy_path(p, p->sources[0].path, s->file);
	struct policy_netset_stat stat;
	struct sluice_err why = {0};
	struct buf text = {0};
	int e;

	if (!path)
		return err_nomem(err);
	e = files->read(files->ctx, path, POLICY_SET_MAX, &text, &why);
	if (!e && text.failed)
		e = -ENOMEM;
	if (!e) {
		e = policy_netset_read((const char *)text.data, text.len, &s->listed, &stat, &why);
		if (e == -EINVAL)
			policy_error(p, s->file_pos, "%s:%u: %s", path, stat.bad_line, why.text);
		else if (!e && stat.loose)
			policy_warn(p, s->file_pos,
				    "%s: %llu prefixes have bits beyond their length, taken as 0", path,
				    (unsigned long long)stat.loose);
	} else if (e != -ENOMEM) {
		policy_error(p, s->file_pos, "%s", why.text);
	}
	buf_free(&text);
	return e == -ENOMEM ? err_nomem(err) : 0;
}

static int load_set(struct policy *p, struct policy_set *s, const struct policy_files *files,
		    struct sluice_err *err)
{
	bool failed;
	uint64_t n;
	uint32_t i;

	for (i = 0; i < s->list.n; i++) {
		if (s->list.v[i].kind == POLICY_SET)
			policy_error(p, s->list.v[i].pos,
				     "a set holds addresses, prefixes and ranges, no other sets");
		else
			policy_spans_add(&s->listed, &s->list.v[i].addr);
	}
	failed = s->listed.failed;
	if (s->file && load_file(p, s, files, err))
		return -ENOMEM;
	if (failed || policy_spans_copy(&s->spans, &s->listed))
		return err_nomem(err);
	policy_spans_sort(&s->spans);
	if (s->size && policy_spans_prefixes(&s->listed, s->size, &n))
		return err_nomem(err);
	if (s->size && n > s->size)
		policy_error(p, s->pos, "set '%s' has %llu elements, more than its size of %llu", s->name,
			     (unsigned long long)n, (unsigned long long)s->size);
	if (!s->used)
		policy_warn(p, s->pos, "set '%s' is never used", s->name);
	return 0;
}

/* --- conditions --- */

static bool has_ports(uint32_t proto)
{
	return policy_bytes_has(&policy_with_ports, (uint8_t)proto);
}

/* Whether a list of protocols leaves one for which is() holds. */
static bool any_proto(const struct policy_match *m, bool (*is)(uint32_t))
{
	uint32_t i, v;
	bool in;

	for (v = 0; v < 256; v++) {
		if (!is(v))
			continue;
		for (i = 0, in = false; i < m->list.n; i++)
			in |= m->list.v[i].num.lo <= v && v <= m->list.v[i].num.hi;
		if (in != m->negated)
			return true;
	}
	return false;
}

static bool is_tcp(uint32_t proto)
{
	return proto == 6;
}

static void check_ports(struct policy *p, const struct policy_stmt *s)
{
	const struct policy_match *proto = policy_match_of(s, POLICY_PROTO),
				  *flags = policy_match_of(s, POLICY_FLAGS);
	const struct policy_match *port = policy_match_of(s, POLICY_FROM_PORT);

	port = port ? port : policy_match_of(s, POLICY_TO_PORT);
	if (port && !proto && !flags)
		policy_warn(p, port->pos,
			    "a port without a protocol means TCP, UDP, UDP-Lite, SCTP and DCCP");
	if (port && proto && !any_proto(proto, has_ports))
		policy_error(p, port->pos,
			     "the protocols of this rule have no ports; tcp, udp, udplite, sctp and dccp "
			     "have");
	if (flags && proto && !any_proto(proto, is_tcp))
		policy_error(p, flags->pos, "'flags' belongs to tcp, the protocols of this rule are others");
}

static void check_icmp_type(struct policy *p, const struct policy_value *v, uint32_t proto)
{
	const struct policy_word *w = v->kind == POLICY_ICMP ? words_row(WORDS_ICMP_TYPES, v->num.lo) : NULL;

	if (!w && proto == POLICY_PROTO_ICMP)
		policy_error(p, v->pos,
			     "a number means different things in ICMP and ICMPv6; write a name, icmp4 or "
			     "icmp6");
	else if (w && proto == POLICY_PROTO_ICMP4 && w->lo > 255)
		policy_error(p, v->pos, "'%s' is a type of ICMPv6, ICMP has none like it", w->name);
	else if (w && proto == POLICY_PROTO_ICMP6 && w->hi > 255)
		policy_error(p, v->pos, "'%s' is a type of ICMP, ICMPv6 has none like it", w->name);
}

static void check_icmp(struct policy *p, const struct policy_stmt *s)
{
	const struct policy_match *proto = policy_match_of(s, POLICY_PROTO),
				  *type = policy_match_of(s, POLICY_ICMP_TYPE);
	const struct policy_match *code = policy_match_of(s, POLICY_ICMP_CODE);
	uint32_t i, nr;

	if (!type && !code)
		return;
	nr = proto && !proto->negated && proto->list.n == 1 ? proto->list.v[0].num.lo : 0;
	if (nr < POLICY_PROTO_ICMP) {
		policy_error(p, type ? type->pos : code->pos,
			     "'%s' belongs to icmp, icmp4 or icmp6, expected one of them in this rule",
			     type ? "type" : "code");
		return;
	}
	for (i = 0; type && i < type->list.n; i++)
		check_icmp_type(p, &type->list.v[i], nr);
}

static void check_in(struct policy *p, const struct policy_filter *f, const struct policy_match *m)
{
	uint32_t i, j;

	for (i = 0; i < m->list.n; i++) {
		for (j = 0; j < f->on.n && p->n_hints++ < HINTS_MAX; j++)
			if (!fnmatch(f->on.v[j].text, m->list.v[i].text, 0) ||
			    !fnmatch(m->list.v[i].text, f->on.v[j].text, 0) || strpbrk(f->on.v[j].text, "*?"))
				break;
		if (j == f->on.n)
			policy_warn(p, m->list.v[i].pos, "this filter is not on '%s'", m->list.v[i].text);
	}
}

/* A packet that goes back where it came from: hardly what was meant, and a loop if the other end does so, too. */
static void check_redirect(struct policy *p, const struct policy_filter *f, const struct policy_stmt *s)
{
	uint32_t i;

	if (!s->redirect || policy_match_of(s, POLICY_IN))
		return;
	for (i = 0; i < f->on.n && p->n_hints++ < HINTS_MAX; i++)
		if (!strcmp(f->on.v[i].text, s->redirect)) {
			policy_warn(p, s->pos,
				    "this filter is on '%s' itself: what comes in there is sent back",
				    s->redirect);
			return;
		}
}

static void check_stmt(struct policy *p, const struct index_of *sets, const struct policy_filter *f,
		       const struct policy_stmt *s)
{
	const struct policy_match *m;
	uint32_t i;

	for (m = s->matches; m < s->matches + s->n_matches; m++) {
		for (i = 0; i < m->list.n; i++)
			if (m->list.v[i].kind == POLICY_SET)
				resolve(p, sets, &m->list.v[i]);
		if (m->field == POLICY_IN)
			check_in(p, f, m);
	}
	check_ports(p, s);
	check_icmp(p, s);
	check_redirect(p, f, s);
}

/* --- interfaces --- */

/* Two of the same name. */
static void twice(struct policy *p, struct index_of *all, uint32_t n, const char *before, const char *behind)
{
	uint32_t i;

	if (n)
		qsort(all, n, sizeof(*all), by_name);
	for (i = 1; i < n; i++)
		if (!strcmp(all[i - 1].name, all[i].name))
			policy_error(p, all[i].pos, "%s '%s' %s", before, all[i].name, behind);
}

/* Whether some rule sends packets out there. */
static bool is_target(const struct policy *p, const char *name)
{
	uint32_t f, i;

	for (f = 0; f < p->n_filters; f++)
		for (i = 0; i < p->filters[f].n_stmts; i++)
			if (p->filters[f].stmts[i].redirect && !strcmp(p->filters[f].stmts[i].redirect, name))
				return true;
	return false;
}

/* Interfaces that are described although no filter or balance block is on them and nothing is sent there. */
static void unused(struct policy *p, const struct index_of *on, uint32_t n)
{
	uint32_t i, j;
	bool used;

	for (i = 0; i < p->n_interfaces && p->n_hints < HINTS_MAX; i++) {
		used = find(on, n, p->interfaces[i].name);
		for (j = 0; j < n && !used; j++)
			used = strpbrk(on[j].name, "*?") && !fnmatch(on[j].name, p->interfaces[i].name, 0);
		p->n_hints += n;
		if (!used) {
			p->n_hints += p->n_rules;
			used = is_target(p, p->interfaces[i].name);
		}
		if (!used)
			policy_warn(p, p->interfaces[i].pos, "no filter or balance block is on '%s'", p->interfaces[i].name);
	}
}

static int check_interfaces(struct policy *p, struct sluice_err *err)
{
	uint32_t i, j, n = 0, n_on = 0;
	struct index_of *all, *on;

	for (i = 0; i < p->n_filters; i++)
		n_on += p->filters[i].on.n;
	for (i = 0; i < p->n_balances; i++)
		n_on += p->balances[i].on.n;
	all = calloc((size_t)p->n_interfaces + 1, sizeof(*all));
	on = calloc((size_t)n_on + 1, sizeof(*on));
	if (all && on) {
		for (i = 0; i < p->n_interfaces; i++)
			all[i] = (struct index_of){p->interfaces[i].name, i, p->interfaces[i].pos};
		for (i = 0; i < p->n_filters; i++)
			for (j = 0; j < p->filters[i].on.n; j++, n++)
				on[n] = (struct index_of){p->filters[i].on.v[j].text, n,
							  p->filters[i].on.v[j].pos};
		twice(p, all, p->n_interfaces, "interface", "is described already");
		twice(p, on, n, "a filter on", "is there already; an interface has one");
		for (i = 0; i < p->n_balances; i++)
			for (j = 0; j < p->balances[i].on.n; j++, n++)
				on[n] = (struct index_of){p->balances[i].on.v[j].text, n,
							  p->balances[i].on.v[j].pos};
		if (n)
			qsort(on, n, sizeof(*on), by_name);
		unused(p, on, n);
	}
	free(on);
	free(all);
	return all && on ? 0 : err_nomem(err);
}

int policy_check(struct policy *p, const struct policy_files *files, struct sluice_err *err)
{
	struct index_of *sets = calloc((size_t)p->n_sets + 1, sizeof(*sets));
	uint32_t i, j;
	int e = 0;

	if (!sets)
		return err_nomem(err);
	for (i = 0; i < p->n_sets; i++)
		sets[i] = (struct index_of){p->sets[i].name, i, p->sets[i].pos};
	if (p->n_sets)
		qsort(sets, p->n_sets, sizeof(*sets), by_name);
	for (i = 0; i < p->n_filters; i++)
		for (j = 0; j < p->filters[i].n_stmts; j++)
			check_stmt(p, sets, &p->filters[i], &p->filters[i].stmts[j]);
	for (i = 0; i < p->n_sets && !e; i++)
		e = load_set(p, &p->sets[i], files, err);
	if (!e)
		e = check_interfaces(p, err);
	if (!e && !p->n_filters && !p->n_balances && !p->n_errors)
		policy_warn(p, (struct policy_pos){.at = 0}, "no filter: nothing is examined");
	free(sets);
	return e;
}
