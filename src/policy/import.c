// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Chains of rules become the rules of a filter: chains that are jumped to are written in place of the jump. */
#include <errno.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "policy/import_parts.h"
#include "policy/parse.h"

#define BIT(field) (1u << (field))
#define UPPER \
	(BIT(POLICY_FROM_PORT) | BIT(POLICY_TO_PORT) | BIT(POLICY_FLAGS) | BIT(POLICY_ICMP_TYPE) | BIT(POLICY_ICMP_CODE))
#define LINE_MAX_SHOWN 200

const char *import_say(struct import *m, const char *fmt, ...)
{
	va_list ap;
	char *to;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	to = n < 0 ? NULL : arena_add(&m->arena, (size_t)n + 1);
	if (!to)
		return "";
	va_start(ap, fmt);
	vsnprintf(to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return to;
}

const char *import_line(struct import *m, const char *s, size_t len)
{
	size_t n = len > LINE_MAX_SHOWN ? LINE_MAX_SHOWN : len, i;
	char *to = arena_text(&m->arena, s, n);

	for (i = 0; to && i < n; i++)
		if (to[i] == '\t' || to[i] == '\r')
			to[i] = ' ';
	if (to)
		text_harmless(to);
	return !to ? "" : len > n ? import_say(m, "%s...", to) : to;
}

void import_set_field(struct import *m, struct import_rule *r, enum policy_field f, bool negated, const char *value)
{
	bool same = r->c.value[f] && !strcmp(r->c.value[f], value) && (r->c.negated >> f & 1) == negated;

	if (r->c.value[f] && !same)
		r->why = import_say(m, "two conditions about '%s'", parse_fields[f].words);
	r->c.value[f] = value;
	r->c.negated |= negated ? BIT(f) : 0;
}

void import_fams(struct import_rule *r, uint8_t fams)
{
	r->c.fams &= fams;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct chain_name {
	const char *key;
	size_t index;
};

struct import_chain *import_chain_find(struct import *m, const char *table, const char *name)
{
	struct chain_name key = {import_say(m, "%s\n%s", table, name), 0};
	struct chain_name **found = tfind(&key, &m->chain_names, by_name);

	return found ? (struct import_chain *)(void *)m->chains.data + (*found)->index : NULL;
}

struct import_chain *import_chain_add(struct import *m, const char *table, const char *name)
{
	struct import_chain *c = import_chain_find(m, table, name), fresh = {.table = table, .name = name};
	struct chain_name *n;

	if (c)
		return c;
	n = arena_add(&m->arena, sizeof(*n));
	if (!n)
		return NULL;
	*n = (struct chain_name){import_say(m, "%s\n%s", table, name), m->chains.len / sizeof(fresh)};
	buf_put(&m->chains, &fresh, sizeof(fresh));
	if (m->chains.failed || !tsearch(n, &m->chain_names, by_name)) {
		m->arena.failed = true;
		return NULL;
	}
	return (struct import_chain *)(void *)m->chains.data + n->index;
}

/* --- writing --- */

static void skipped(struct import *m, uint32_t line, const char *why, const char *text, bool again)
{
	buf_printf(&m->to->policy, "\t# line %u is not imported, %s: %s\n", line, why, text);
	if (again)
		return;
	m->to->n_notes++;
	buf_printf(&m->to->notes, "%s:%u: %s: %s\n", m->name, line, why, text);
}

/* The conditions into the scratch buffer, with a blank in front of each. */
static void conditions(struct import *m, const struct import_conds *c)
{
	static const char *const families[8] = {[1] = " ip4", [2] = " ip6", [3] = " ip"};
	struct buf *b = &m->scratch;
	uint32_t f, have = 0;
	const char *v;

	b->len = 0;
	for (f = 0; f < POLICY_N_FIELDS; f++)
		have |= c->value[f] ? BIT(f) : 0;
	buf_printf(b, "%s", families[c->fams & 7] ? families[c->fams & 7] : "");
	for (f = 0; f < POLICY_N_FIELDS; f++) {
		v = c->value[f];
		if (!v || (f == POLICY_FRAGMENT && have & UPPER && !strcmp(v, "{ none, first }")))
			continue;
		if (f == POLICY_PROTO && !(c->negated & BIT(f))) {
			v = !strcmp(v, "1") && (c->fams == POLICY_V4 || have & BIT(POLICY_ICMP_TYPE))    ? "icmp4"
			    : !strcmp(v, "58") && (c->fams == POLICY_V6 || have & BIT(POLICY_ICMP_TYPE)) ? "icmp6"
															  : v;
			buf_printf(b, strchr("{0123456789", v[0]) ? " proto %s" : " %s", v);
			continue;
		}
		buf_printf(b, " %s %s%s", parse_fields[f].words, c->negated & BIT(f) ? "not " : "", v);
	}
}

/* as "NAME", if it can be one and no other rule has it. */
static void named(struct import *m, const struct import_rule *r)
{
	char **found, *name;
	size_t i, n = r->name ? strlen(r->name) : 0, glyph;
	struct buf *to = &m->to->policy;

	if (!n || n > POLICY_NAME_MAX)
		return;
	for (i = 0; i < n; i += glyph) {
		glyph = text_glyph(r->name + i, r->name + n);
		if (!glyph)
			return;
	}
	name = arena_text(&m->arena, r->name, n);
	found = name ? tsearch(arena_copy(&m->arena, &name, sizeof(name)), &m->rule_names, by_name) : NULL;
	if (!found || *(char **)*(void **)found != name)
		return;
	buf_printf(to, " as \"");
	for (i = 0; i < n; i++)
		buf_printf(to, r->name[i] == '"' || r->name[i] == '\\' ? "\\%c" : "%c", r->name[i]);
	buf_printf(to, "\"");
}

static void emit(struct import *m, const struct import_rule *r, const struct import_conds *c)
{
	static const char *const actions[] = {[IMPORT_ACCEPT] = "pass", [IMPORT_DROP] = "drop"};
	struct buf *to = &m->to->policy;

	conditions(m, c);
	/* what is exported of a limit: those over it, then a counter of those within */
	if (r->verdict == IMPORT_GOES_ON && !r->log && !r->limit && m->last_limit && r->tag && m->last_tag &&
	    !strcmp(r->tag, m->last_tag) && strlen(m->last_limit) == m->scratch.len &&
	    !memcmp(m->last_limit, m->scratch.data, m->scratch.len))
		return;
	buf_printf(to, "\t");
	if (r->log && (r->verdict == IMPORT_GOES_ON && !r->limit))
		buf_printf(to, "log%s%s", r->log_max ? " max " : "", r->log_max ? r->log_max : "");
	else if (r->log)
		buf_printf(to, "log%s%s ", r->log_max ? " max " : "", r->log_max ? r->log_max : "");
	if (r->limit)
		buf_printf(to, "limit");
	else if (r->verdict == IMPORT_REDIRECT)
		buf_printf(to, "redirect to %s", r->target);
	else if (r->verdict != IMPORT_GOES_ON)
		buf_printf(to, "%s", actions[r->verdict]);
	else if (!r->log)
		buf_printf(to, "count");
	buf_put(to, m->scratch.data, m->scratch.len);
	m->last_limit = NULL;
	if (r->limit) {
		buf_printf(to, " to %s", r->limit);
		m->last_limit = arena_text(&m->arena, (const char *)m->scratch.data, m->scratch.len);
		m->last_tag = r->tag;
	}
	named(m, r);
	buf_printf(to, "  # line %u\n", r->line);
	m->to->n_rules++;
}

static struct import_rule *rules_of(const struct import_chain *c, size_t *n)
{
	*n = c->rules.len / sizeof(struct import_rule);
	return (struct import_rule *)(void *)c->rules.data;
}

static bool without_conditions(const struct import_rule *r, const struct import_chain *c)
{
	uint32_t f;

	for (f = 0; f < POLICY_N_FIELDS; f++)
		if (r->c.value[f])
			return false;
	return r->c.fams == c->fams && !r->limit;
}

/* A return at the very end is none; elsewhere what is behind it would have to be turned round. */
static bool returns(const struct import_chain *c)
{
	size_t n, i;
	struct import_rule *r = rules_of(c, &n);

	for (i = 0; i < n; i++)
		if (r[i].verdict == IMPORT_RETURN && !(i + 1 == n && without_conditions(&r[i], c)))
			return true;
	return false;
}

static bool lists(const char *list, const char *name)
{
	size_t n;

	for (list += strspn(list, "{ ,}"); *list; list += n, list += strspn(list, "{ ,}")) {
		n = strcspn(list, " ,}");
		if (n == strlen(name) && !memcmp(list, name, n))
			return true;
	}
	return false;
}

/* Fields of a protocol beside another protocol: jumps bring them together, and texts that nobody's tool printed. */
static const char *not_of_proto(const struct import_conds *c)
{
	const char *proto = c->value[POLICY_PROTO], *icmp = c->fams == POLICY_V4 ? "1" : "58";
	bool negated = c->negated & BIT(POLICY_PROTO);

	if (c->value[POLICY_ICMP_TYPE] || c->value[POLICY_ICMP_CODE]) {
		if ((c->fams != POLICY_V4 && c->fams != POLICY_V6) || !proto || negated || strcmp(proto, icmp) != 0)
			return "a type of ICMP without ICMP";
	}
	if (c->value[POLICY_FLAGS] && proto && (negated || strcmp(proto, "tcp") != 0))
		return "flags without tcp";
	if ((c->value[POLICY_FROM_PORT] || c->value[POLICY_TO_PORT]) && proto &&
	    (negated || !(lists(proto, "tcp") || lists(proto, "udp") || lists(proto, "sctp") ||
			  lists(proto, "dccp") || lists(proto, "udplite"))))
		return "ports without a protocol that has them";
	return NULL;
}

/* Both at once; the field that both ask for, or POLICY_N_FIELDS. */
static uint32_t both(const struct import_conds *a, const struct import_conds *b, struct import_conds *out)
{
	uint32_t f;

	*out = *a;
	out->fams &= b->fams;
	for (f = 0; f < POLICY_N_FIELDS; f++) {
		if (!b->value[f])
			continue;
		if (a->value[f] && (strcmp(a->value[f], b->value[f]) != 0 || ((a->negated ^ b->negated) & BIT(f))))
			return f;
		out->value[f] = b->value[f];
		out->negated |= b->negated & BIT(f);
	}
	return POLICY_N_FIELDS;
}

static int flatten(struct import *m, size_t index, const struct import_conds *before, int depth, bool drops,
		   struct sluice_err *err);

static int jump(struct import *m, const struct import_chain *from, const struct import_rule *r,
		const struct import_conds *c, int depth, bool drops, struct sluice_err *err)
{
	struct import_chain *to = import_chain_find(m, from->table, r->target);
	const char *why = !to			     ? "there is no such chain"
			  : to->base		     ? "it jumps to a chain of a hook"
			  : to->busy		     ? "the chains jump in a circle"
			  : depth == IMPORT_DEPTH_MAX ? "the chains jump too deep"
			  : to->has_return	     ? "the chain it jumps to returns before its end"
						     : NULL;

	if (why) {
		skipped(m, r->line, why, r->text, from->listed);
		return 0;
	}
	return flatten(m, (size_t)(to - (struct import_chain *)(void *)m->chains.data), c, depth + 1, drops, err);
}

/* What is logged before it goes elsewhere: a rule of its own. */
static void emit_log(struct import *m, const struct import_rule *r, const struct import_conds *c)
{
	struct import_rule log = *r;

	log.verdict = IMPORT_GOES_ON;
	if (r->log)
		emit(m, &log, c);
}

static int flatten(struct import *m, size_t index, const struct import_conds *before, int depth, bool drops,
		   struct sluice_err *err)
{
	struct import_chain *chain = (struct import_chain *)(void *)m->chains.data + index;
	struct import_conds c;
	struct import_rule *r, as;
	size_t n, i;
	uint32_t f;
	int e = 0;

	chain->busy = true;
	r = rules_of(chain, &n);
	for (i = 0; i < n && !e; i++) {
		if (++*(r[i].verdict == IMPORT_JUMP ? &m->jumps : &m->emitted) > IMPORT_RULES_MAX)
			return err_set(err, -ENOSPC, "%s: more than %d rules, counting those of chains as often as they "
				       "are jumped to", m->name, IMPORT_RULES_MAX);
		f = r[i].why ? POLICY_N_FIELDS : both(before, &r[i].c, &c);
		if (r[i].why) {
			skipped(m, r[i].line, r[i].why, r[i].text, chain->listed);
		} else if (f != POLICY_N_FIELDS) {
			skipped(m, r[i].line,
				import_say(m, "the jump to its chain has a condition about '%s', too", parse_fields[f].words),
				r[i].text, false);
		} else if (!(c.fams & 7)) {
			buf_printf(&m->to->policy, "\t# line %u can never match: %s\n", r[i].line, r[i].text);
		} else if (not_of_proto(&c)) {
			skipped(m, r[i].line, not_of_proto(&c), r[i].text, false);
		} else if (r[i].verdict == IMPORT_JUMP) {
			emit_log(m, &r[i], &c);
			e = jump(m, chain, &r[i], &c, depth, drops, err);
		} else if (r[i].verdict == IMPORT_RETURN) {
			as = r[i];
			as.verdict = drops ? IMPORT_DROP : IMPORT_ACCEPT;
			if (depth == 0)
				emit(m, &as, &c);
			else
				emit_log(m, &r[i], &c);
		} else {
			emit(m, &r[i], &c);
		}
	}
	chain->busy = false;
	chain->listed = true;
	return e;
}

/* --- which chains --- */

static bool accepts(const struct import *m)
{
	const struct import_chain *c = (const struct import_chain *)(const void *)m->chains.data;
	size_t n_chains = m->chains.len / sizeof(*c), n, i, j;
	const struct import_rule *r;

	for (i = 0; i < n_chains; i++) {
		r = rules_of(&c[i], &n);
		for (j = 0; j < n; j++)
			if (r[j].verdict == IMPORT_ACCEPT || r[j].verdict == IMPORT_RETURN)
				return true;
	}
	return false;
}

static int by_priority(const void *a, const void *b)
{
	const struct import_chain *x = *(struct import_chain *const *)a, *y = *(struct import_chain *const *)b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return x < y ? -1 : x > y;
}

static void sets(struct import *m)
{
	const struct import_set *s = (const struct import_set *)(const void *)m->sets.data;
	size_t n = m->sets.len / sizeof(*s), i;

	for (i = 0; i < n; i++)
		if (s[i].used)
			buf_printf(&m->to->policy, "set %s %s  # line %u\n", s[i].name, s[i].values, s[i].line);
}

struct writing {
	const char *on;	   /* of the filter that is open; NULL: none */
	uint8_t fams;	   /* that chains of it speak of */
	bool drops, all;   /* default drop; a chain before ends with a verdict for all */
	bool accepts;	   /* some rule of some chain */
	struct buf all_on; /* of all filters */
};

static void finish(struct import *m, struct writing *w)
{
	if (w->on)
		buf_printf(&m->to->policy, "\tdefault %s\n}\n", w->drops ? "drop" : "pass");
	w->on = NULL;
}

/* All devices are named, none is a pattern, and none has a filter already. */
static bool disjoint(const struct writing *w, const struct import_chain *c)
{
	const char *used = (const char *)w->all_on.data, *at, *name;
	size_t len;

	if (!c->on || strpbrk(c->on, "*?") || strpbrk(used, "*?"))
		return false;
	for (at = c->on; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 2 : NULL) {
		len = strcspn(at, ",");
		for (name = used; (name = strstr(name, "\"")); name++)
			if (!strncmp(name, at, len))
				return false;
	}
	return true;
}

static const char *not_taken(const struct writing *w, const struct import_chain *c, const char *on)
{
	if (c->why)
		return c->why;
	if (!w->all_on.len || (w->on && !strcmp(w->on, on) && !(c->fams & w->fams)))
		return NULL;
	if (!w->on || strcmp(w->on, on) != 0)
		return disjoint(w, c) ? NULL : "an interface has one filter";
	return w->all || w->accepts ? "what a chain in front of it accepts would still have to go through it" : NULL;
}

static int one_chain(struct import *m, struct writing *w, struct import_chain *c, struct sluice_err *err)
{
	static const char *const families[8] = {[1] = "ip4", [2] = "ip6", [3] = "ip"};
	const char *on = c->on ? c->on : m->on ? m->on : "*", *why;
	struct import_conds all = {.fams = 7};
	int e;

	if (!c->rules.len && !c->drops)
		return 0;
	why = not_taken(w, c, on);
	if (why) {
		skipped(m, c->line, why, import_say(m, "chain %s of table %s, %zu rules", c->name, c->table,
						    c->rules.len / sizeof(struct import_rule)), false);
		return 0;
	}
	if (w->on && strcmp(w->on, on) != 0)
		finish(m, w);
	if (!w->on) {
		buf_printf(&m->to->policy, "filter on %s {\n", on);
		buf_printf(&w->all_on, "%s ", on);
		w->fams = 0;
		w->all = w->drops = false;
	}
	w->on = on;
	w->fams |= c->fams;
	buf_printf(&m->to->policy, "\t# chain %s of table %s, line %u\n", c->name, c->table, c->line);
	e = flatten(m, (size_t)(c - (struct import_chain *)(void *)m->chains.data), &all, 0, c->drops, err);
	w->all |= c->drops;
	if (c->drops && c->fams == 7)
		w->drops = true;
	else if (c->drops)
		buf_printf(&m->to->policy, "\tdrop %s  # the policy of the chain\n", families[c->fams & 3]);
	return e;
}

static int write_policy(struct import *m, struct sluice_err *err)
{
	struct import_chain *c = (struct import_chain *)(void *)m->chains.data, **order;
	size_t n = m->chains.len / sizeof(*c), n_base = 0, i;
	struct writing w = {0};
	int e = 0;

	order = arena_add(&m->arena, (n + 1) * sizeof(*order));
	if (!order)
		return err_nomem(err);
	for (i = 0; i < n; i++)
		c[i].has_return = returns(&c[i]);
	for (i = 0; i < n; i++)
		if (c[i].base)
			order[n_base++] = &c[i];
	qsort(order, n_base, sizeof(*order), by_priority);
	buf_printf(&m->to->policy,
		   "# Rules of others as a policy. Sluice sees packets first, and those that are forwarded as well;\n"
		   "# it does not put fragments together. What could not be said is named where it would stand.\n");
	sets(m);
	w.accepts = accepts(m);
	for (i = 0; i < n_base && !e; i++)
		e = one_chain(m, &w, order[i], err);
	finish(m, &w);
	m->arena.failed |= w.all_on.failed;
	buf_free(&w.all_on);
	return e;
}

int import_read(enum import_form form, const char *name, const char *text, size_t len, const char *on,
		struct import_text *to, struct sluice_err *err)
{
	struct import m = {.len = len, .name = name, .on = on, .to = to};
	struct import_chain *c;
	size_t i;
	int e;

	if (len > IMPORT_TEXT_MAX)
		return err_set(err, -EFBIG, "%s: %zu bytes, at most %u are read", name, len, IMPORT_TEXT_MAX);
	if (len && memchr(text, 0, len))
		return err_set(err, -EBADMSG, "%s: a byte of value 0, expected text", name);
	m.text = arena_text(&m.arena, text ? text : "", len);
	if (!m.text)
		return err_nomem(err);
	e = form == IMPORT_NFT ? import_nft(&m, err) : import_tables(&m, form == IMPORT_IP6TABLES, err);
	if (!e)
		e = write_policy(&m, err);
	if (!e && (m.arena.failed || m.chains.failed || m.sets.failed || m.scratch.failed || to->policy.failed ||
		   to->notes.failed))
		e = err_nomem(err);
	c = (struct import_chain *)(void *)m.chains.data;
	for (i = 0; i < m.chains.len / sizeof(*c); i++)
		buf_free(&c[i].rules);
	while (m.chain_names)
		tdelete(*(void **)m.chain_names, &m.chain_names, by_name);
	while (m.rule_names)
		tdelete(*(void **)m.rule_names, &m.rule_names, by_name);
	buf_free(&m.chains);
	buf_free(&m.sets);
	buf_free(&m.scratch);
	arena_free(&m.arena);
	return e;
}

void import_text_free(struct import_text *t)
{
	buf_free(&t->policy);
	buf_free(&t->notes);
}

enum import_form import_form_of(const char *text, size_t len)
{
	static const char v6[] = "# Generated by ip6tables-save";
	size_t at = 0;

	if (len >= sizeof(v6) - 1 && !memcmp(text, v6, sizeof(v6) - 1))
		return IMPORT_IP6TABLES;
	/* the first line that is no comment */
	while (at < len && (text[at] == '#' || text[at] == '\n')) {
		while (at < len && text[at] != '\n')
			at++;
		at++;
	}
	return at < len && text[at] == '*' ? IMPORT_IPTABLES : IMPORT_NFT;
}
