// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One rule: what is done, to which packets, under which name. */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "policy/parse.h"

struct reading {
	struct policy_stmt s;
	struct policy_match m[POLICY_N_FIELDS];
	bool have[POLICY_N_FIELDS];
	bool rate, per, burst;
	struct policy_pos burst_pos;
};

static const struct {
	const char *word;
	enum policy_action action;
} actions[] = {
	{"pass", POLICY_PASS},	 {"drop", POLICY_DROP},	  {"redirect", POLICY_REDIRECT}, {"cpu", POLICY_CPU},
	{"count", POLICY_COUNT}, {"limit", POLICY_LIMIT}, {"log", POLICY_LOG},
};

/* What stands in front of its values and is nothing else. */
static const struct {
	const char *word;
	enum policy_field field;
} plain[] = {
	{"proto", POLICY_PROTO},
	{"flags", POLICY_FLAGS},
	{"type", POLICY_ICMP_TYPE},
	{"code", POLICY_ICMP_CODE},
	{"length", POLICY_LENGTH},
	{"ttl", POLICY_TTL},
	{"hoplimit", POLICY_TTL},
	{"dscp", POLICY_DSCP},
	{"vlan", POLICY_VLAN},
	{"inner-vlan", POLICY_INNER_VLAN},
	{"in", POLICY_IN},
	{"matching", POLICY_MATCHING},
	{"fragment", POLICY_FRAGMENT},
	{"malformed", POLICY_MALFORMED},
};

#define EXPECTED_ACTION \
	"pass, drop, count, log, limit, redirect, cpu, default, shadow, include, define or '}'"
#define EXPECTED_MATCH "a condition (from, to, port, tcp, length...), as \"NAME\" or the end of the line"

static int action_of(const struct token *t)
{
	size_t i;

	for (i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		if (token_is(t, actions[i].word))
			return (int)actions[i].action;
	return -1;
}

bool parse_action_word(const struct token *t)
{
	return action_of(t) >= 0;
}

static bool is_not(const struct token *t)
{
	return t->kind == TOKEN_NOT || token_is(t, "not");
}

/* The place of one field; NULL after a diagnostic if it has one already. */
static struct policy_match *place(struct parse *c, struct reading *r, enum policy_field field,
				  struct policy_pos pos)
{
	struct policy_match *m = &r->m[field];

	if (r->have[field]) {
		policy_error(c->p, pos, "'%s' is given twice in this rule; several values stand in { }",
			     field == POLICY_FAMILY ? "ip" : parse_fields[field].words);
		return NULL;
	}
	r->have[field] = true;
	m->field = (uint8_t)field;
	m->pos = pos;
	return m;
}

static bool one_number(struct parse *c, struct policy_match *m, const struct policy_word *w,
		       struct policy_pos pos)
{
	struct policy_value v = {.kind = POLICY_NUM, .pos = pos, .num = {w->lo, w->hi}};

	m->list.n = 1;
	m->list.v = arena_copy(&c->p->arena, &v, sizeof(v));
	m->pos = parse_span(c, m->pos);
	if (!m->list.v)
		c->fatal = -ENOMEM;
	return !c->fatal;
}

/* [not] VALUE | { VALUES } of a field whose words were read from pos on. */
static bool values(struct parse *c, struct reading *r, enum policy_field field, struct policy_pos pos,
		   bool negated)
{
	struct policy_match *m;

	if (is_not(&c->t)) {
		negated = !negated;
		parse_next(c);
	}
	m = place(c, r, field, pos);
	if (!m || !parse_list(c, field, &m->list))
		return false;
	m->negated = negated;
	m->pos = parse_span(c, pos);
	if (m->list.n)
		return true;
	policy_error(c->p, m->pos, "an empty list matches nothing, expected %s",
		     parse_fields[field].expected);
	return false;
}

/* fragment, malformed: alone they mean any. */
static bool optional(struct parse *c, struct reading *r, enum policy_field field, struct policy_pos pos,
		     bool negated)
{
	const struct policy_word *any = words_find(parse_fields[field].names, "any", 3);
	struct policy_match *m;

	if (is_not(&c->t) || c->t.kind == TOKEN_OPEN ||
	    (c->t.kind == TOKEN_WORD && (words_find(parse_fields[field].names, c->t.s, c->t.len) ||
					 (c->t.s[0] >= '0' && c->t.s[0] <= '9'))))
		return values(c, r, field, pos, negated);
	m = place(c, r, field, pos);
	if (!m || !one_number(c, m, any, pos))
		return false;
	m->negated = negated;
	return true;
}

/* from, to: [not] ADDRESSES [port PORTS] | port PORTS */
static bool side(struct parse *c, struct reading *r, bool to)
{
	enum policy_field addr = to ? POLICY_TO : POLICY_FROM, port = to ? POLICY_TO_PORT : POLICY_FROM_PORT;
	struct policy_pos pos = c->t.pos, port_pos;

	parse_next(c);
	if (token_is(&c->t, "port")) {
		parse_next(c);
		return values(c, r, port, pos, false);
	}
	if (token_is(&c->t, "any")) {
		if (r->have[addr])
			return place(c, r, addr, pos) != NULL;
		parse_next(c);
	} else if (!values(c, r, addr, pos, false)) {
		return false;
	}
	if (!token_is(&c->t, "port"))
		return true;
	port_pos = c->t.pos;
	parse_next(c);
	return values(c, r, port, port_pos, false);
}

static bool ether(struct parse *c, struct reading *r)
{
	struct policy_pos pos = c->t.pos;
	enum policy_field field;

	parse_next(c);
	if (token_is(&c->t, "type"))
		field = POLICY_ETHER_TYPE;
	else if (token_is(&c->t, "from"))
		field = POLICY_ETHER_FROM;
	else if (token_is(&c->t, "to"))
		field = POLICY_ETHER_TO;
	else
		return parse_expected(c, "type, from or to behind 'ether'");
	parse_next(c);
	return values(c, r, field, pos, false);
}

/* A protocol or family by its bare name; 0: it is none, 1: read, -1: a mistake. */
static int bare(struct parse *c, struct reading *r, struct policy_pos pos, bool negated)
{
	const struct policy_word *w;
	struct policy_match *m;

	if (c->t.kind != TOKEN_WORD)
		return 0;
	w = words_find(WORDS_FAMILIES, c->t.s, c->t.len);
	if (w && negated) {
		policy_error(c->p, c->t.pos,
			     "'not' cannot stand in front of '%s'; write ip4, ip6, or ether type not ip",
			     w->name);
		return -1;
	}
	m = NULL;
	if (w)
		m = place(c, r, POLICY_FAMILY, pos);
	else if ((w = words_find(WORDS_PROTOS, c->t.s, c->t.len)))
		m = place(c, r, POLICY_PROTO, pos);
	else
		return 0;
	if (!m)
		return -1;
	m->negated = negated;
	pos = c->t.pos;
	parse_next(c);
	return one_number(c, m, w, pos) ? 1 : -1;
}

static bool negation(struct parse *c, struct reading *r)
{
	struct policy_pos pos = c->t.pos;
	int got;

	parse_next(c);
	got = bare(c, r, pos, true);
	if (got)
		return got > 0;
	if (token_is(&c->t, "fragment") || token_is(&c->t, "malformed")) {
		enum policy_field field = token_is(&c->t, "fragment") ? POLICY_FRAGMENT : POLICY_MALFORMED;

		parse_next(c);
		return optional(c, r, field, pos, true);
	}
	if (token_is(&c->t, "matching")) {
		parse_next(c);
		return values(c, r, POLICY_MATCHING, pos, true);
	}
	return parse_expected(c, "a protocol, fragment, malformed or matching behind 'not'; elsewhere 'not' "
				 "stands in "
				 "front of the value (from not 192.0.2.1)");
}

/* source/24/48 */
static bool per(struct parse *c, struct reading *r)
{
	const char *s, *slash, *second;
	struct policy_limit *l = &r->s.limit;
	uint32_t bits4, bits6;
	struct token t;
	size_t len;

	r->per = true;
	if (token_is(&c->t, "flow") || token_is(&c->t, "rule")) {
		l->per = token_is(&c->t, "flow") ? POLICY_PER_FLOW : POLICY_PER_RULE;
		parse_next(c);
		return true;
	}
	s = c->t.kind == TOKEN_WORD ? c->t.s : "";
	len = c->t.kind == TOKEN_WORD ? c->t.len : 0;
	slash = memchr(s, '/', len);
	t = (struct token){.kind = TOKEN_WORD, .s = s, .len = slash ? (uint32_t)(slash - s) : (uint32_t)len};
	if (!t.len || (!token_is(&t, "source") && !token_is(&t, "destination")))
		return parse_expected(c, "source, destination (with /BITS behind if wanted), flow or rule");
	l->per = token_is(&t, "source") ? POLICY_PER_SOURCE : POLICY_PER_DESTINATION;
	l->len4 = 32;
	l->len6 = 128;
	if (slash) {
		second = memchr(slash + 1, '/', (size_t)(s + len - slash - 1));
		t.s = slash + 1;
		t.len = (uint32_t)((second ? second : s + len) - t.s);
		if (!parse_number(&t, 32, &bits4) || !bits4)
			return parse_expected(c, "a prefix length of IPv4 (1 to 32) and, if wanted, one of "
						 "IPv6 (source/24/48)");
		bits6 = bits4 * 2;
		t.s = second ? second + 1 : "";
		t.len = second ? (uint32_t)(s + len - t.s) : 0;
		if (second && (!parse_number(&t, 128, &bits6) || !bits6))
			return parse_expected(c, "a prefix length of IPv6 (1 to 128) behind the one of IPv4 "
						 "(source/24/48)");
		l->len4 = (uint8_t)bits4;
		l->len6 = (uint8_t)bits6;
	}
	parse_next(c);
	return true;
}

/* to RATE, per KEY, burst N of a limit; 0: it is none of them. */
static int limiting(struct parse *c, struct reading *r)
{
	bool is_to = token_is(&c->t, "to"), is_per = token_is(&c->t, "per"),
	     is_burst = token_is(&c->t, "burst");
	struct policy_pos pos = c->t.pos;
	bool *have = is_to ? &r->rate : is_per ? &r->per : &r->burst;

	if (!is_to && !is_per && !is_burst)
		return 0;
	if (r->s.action != POLICY_LIMIT && !is_to) {
		policy_error(c->p, pos, "'%s' belongs to 'limit'", is_per ? "per" : "burst");
		return -1;
	}
	if (is_to) {
		/* an address behind it makes it a condition */
		struct token_lex ahead = c->lex;
		struct token t;

		token_next(&ahead, &t);
		if (t.kind == TOKEN_BAD || !parse_is_rate(&t, r->s.action == POLICY_LIMIT && !r->rate))
			return 0;
		if (r->s.action != POLICY_LIMIT) {
			parse_next(c);
			policy_error(c->p, c->t.pos, "a rate belongs to 'limit'");
			return -1;
		}
	}
	if (*have) {
		policy_error(c->p, pos, "'%s' is given twice in this rule",
			     is_to    ? "to RATE"
			     : is_per ? "per"
				      : "burst");
		return -1;
	}
	*have = true;
	parse_next(c);
	if (is_to)
		return parse_rate(c, &r->s.limit.rate, true) ? 1 : -1;
	if (is_per)
		return per(c, r) ? 1 : -1;
	if (!r->rate) {
		policy_error(c->p, pos, "'burst' stands behind the rate, expected 'to RATE' in front of it");
		return -1;
	}
	return parse_amount(c, r->s.limit.rate.bits, &r->s.limit.burst) ? 1 : -1;
}

static bool unknown(struct parse *c)
{
	static const char *const words[] = {
		"from",	    "to",   "port", "proto",	  "flags",    "type",	   "code",  "length",
		"ttl",	    "dscp", "vlan", "inner-vlan", "fragment", "malformed", "ether", "in",
		"matching", "as",   "not",  "per",	  "burst",    "tcp",	   "udp",   "icmp",
	};
	char word[32];
	int i = -1;

	if (c->t.kind == TOKEN_WORD && c->t.len < sizeof(word)) {
		snprintf(word, sizeof(word), "%.*s", (int)c->t.len, c->t.s);
		i = text_nearest(word, words, sizeof(words) / sizeof(*words));
	}
	if (i < 0)
		return parse_expected(c, EXPECTED_MATCH);
	policy_error(c->p, c->t.pos, "unknown word '%s', did you mean '%s'? Expected " EXPECTED_MATCH, word,
		     words[i]);
	return false;
}

/* One condition, or part of what is done. */
static bool clause(struct parse *c, struct reading *r)
{
	struct policy_pos pos = c->t.pos;
	size_t i;
	int got = limiting(c, r);

	if (!got)
		got = bare(c, r, pos, false);
	if (got)
		return got > 0;
	if (is_not(&c->t))
		return negation(c, r);
	if (token_is(&c->t, "from") || token_is(&c->t, "to"))
		return side(c, r, token_is(&c->t, "to"));
	if (token_is(&c->t, "ether"))
		return ether(c, r);
	if (token_is(&c->t, "any") || token_is(&c->t, "all")) {
		parse_next(c);
		return true;
	}
	if (token_is(&c->t, "port")) {
		parse_next(c);
		return values(c, r, POLICY_TO_PORT, pos, false);
	}
	if (token_is(&c->t, "as")) {
		parse_next(c);
		if (r->s.name) {
			policy_error(c->p, pos, "this rule has a name already");
			return false;
		}
		r->s.name_pos = c->t.pos;
		r->s.name = parse_name(c, "the rule's name in quotes");
		if (r->s.name)
			parse_next(c);
		return r->s.name != NULL;
	}
	for (i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		if (!token_is(&c->t, plain[i].word))
			continue;
		parse_next(c);
		if (plain[i].field == POLICY_FRAGMENT || plain[i].field == POLICY_MALFORMED)
			return optional(c, r, plain[i].field, pos, false);
		return values(c, r, plain[i].field, pos, false);
	}
	return unknown(c);
}

/* log [1/N] [max RATE] */
static bool logging(struct parse *c, struct policy_stmt *s)
{
	struct token t;

	parse_next(c);
	s->log = true;
	s->log_every = 1;
	s->log_max = (struct policy_rate){.amount = 100, .seconds = 1};
	if (c->t.kind == TOKEN_WORD && c->t.len > 2 && !memcmp(c->t.s, "1/", 2)) {
		t = c->t;
		t.s += 2;
		t.len -= 2;
		if (!parse_number(&t, 1000000000, &s->log_every) || !s->log_every)
			return parse_expected(c, "one packet in so many (1/1000)");
		parse_next(c);
	}
	if (token_is(&c->t, "max")) {
		parse_next(c);
		return parse_rate(c, &s->log_max, false);
	}
	return true;
}

static bool no_action(struct parse *c)
{
	static const char *const words[] = {"pass", "drop",    "count",	 "log",	    "limit", "redirect",
					    "cpu",  "default", "shadow", "include", "define"};
	static const char *const others[][2] = {
		{"accept", "pass"}, {"allow", "pass"},	{"permit", "pass"},  {"deny", "drop"},
		{"block", "drop"},  {"reject", "drop"}, {"discard", "drop"}, {"policy", "default"},
	};
	const char *near = NULL;
	char word[32];
	size_t i;
	int n;

	if (c->t.kind == TOKEN_WORD && c->t.len < sizeof(word)) {
		snprintf(word, sizeof(word), "%.*s", (int)c->t.len, c->t.s);
		for (i = 0; i < sizeof(others) / sizeof(*others); i++)
			if (!strcmp(word, others[i][0]))
				near = others[i][1];
		n = near ? -1 : text_nearest(word, words, sizeof(words) / sizeof(*words));
		near = n >= 0 ? words[n] : near;
	}
	if (!near)
		return parse_expected(c, EXPECTED_ACTION);
	policy_error(c->p, c->t.pos, "unknown word '%s', did you mean '%s'? Expected " EXPECTED_ACTION, word,
		     near);
	return false;
}

static bool action(struct parse *c, struct policy_stmt *s)
{
	int a;

	if (token_is(&c->t, "log")) {
		s->action = POLICY_LOG;
		if (!logging(c, s))
			return false;
		if (!parse_action_word(&c->t))
			return true;
	}
	a = action_of(&c->t);
	if (a < 0)
		return no_action(c);
	if (a == POLICY_LOG) {
		policy_error(c->p, c->t.pos, "'log' is given twice in this rule");
		return false;
	}
	s->action = (uint8_t)a;
	parse_next(c);
	if (a == POLICY_CPU)
		return parse_list(c, PARSE_CPUS, &s->cpus) &&
		       (s->cpus.n || parse_expected(c, "at least one CPU in front of this"));
	if (a != POLICY_REDIRECT)
		return true;
	if (!token_is(&c->t, "to"))
		return parse_expected(c, "'to' and the name of an interface");
	parse_next(c);
	s->redirect = parse_interface(c, false, "the name of an interface");
	if (s->redirect)
		parse_next(c);
	return s->redirect != NULL;
}

static bool finish_limit(struct parse *c, struct reading *r, struct policy_pos pos)
{
	struct policy_limit *l = &r->s.limit;
	uint64_t least = l->rate.bits ? 10 * 1514 * 8 : 10;

	if (!r->rate) {
		policy_error(c->p, parse_span(c, pos),
			     "a limit without a rate, expected 'to RATE' (to 1k/s)");
		return false;
	}
	if (!r->burst) {
		l->burst = l->rate.amount / l->rate.seconds / 10;
		l->burst = l->burst < least			    ? least
			   : l->burst > 1000000000 && !l->rate.bits ? 1000000000
								    : l->burst;
	}
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct policy_stmt *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Counters are told apart by name. Keeps a copy, as the rule itself may move. */
static void remember_name(struct parse *c, const struct policy_stmt *s)
{
	struct policy_stmt *copy = arena_copy(&c->p->arena, s, sizeof(*s)), **found;

	found = copy ? tsearch(copy, &c->rule_names, by_name) : NULL;
	if (!found)
		c->fatal = -ENOMEM;
	else if (*found != copy)
		policy_error(c->p, s->name_pos,
			     "another rule of this filter is called \"%s\"; its counters could not be told "
			     "apart",
			     s->name);
}

void parse_stmt(struct parse *c)
{
	struct policy_pos pos = c->t.pos;
	struct reading r = {0};
	bool ok = action(c, &r.s);
	uint32_t i, n = 0;

	while (ok && c->t.kind != TOKEN_LINE && c->t.kind != TOKEN_CLOSE && c->t.kind != TOKEN_END)
		ok = clause(c, &r);
	if (ok && r.s.action == POLICY_LIMIT)
		ok = finish_limit(c, &r, pos);
	if (!ok || c->fatal) {
		parse_skip_line(c);
		return;
	}
	r.s.pos = parse_span(c, pos);
	for (i = 0; i < POLICY_N_FIELDS; i++)
		if (r.have[i])
			r.m[n++] = r.m[i];
	r.s.matches = arena_copy(&c->p->arena, r.m, n * sizeof(*r.m));
	r.s.n_matches = n;
	if (r.s.name)
		remember_name(c, &r.s);
	if (++c->p->n_rules == POLICY_RULES_MAX + 1ul)
		policy_error(c->p, r.s.pos, "more than %u rules", POLICY_RULES_MAX);
	if (c->p->n_rules <= POLICY_RULES_MAX)
		buf_put(&c->stmts, &r.s, sizeof(r.s));
	if (c->stmts.failed || c->p->arena.failed)
		c->fatal = -ENOMEM;
}
