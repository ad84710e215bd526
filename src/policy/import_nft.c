// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What nft list ruleset prints: tables, sets, chains. Rules are import_expr.c's. The grammar: nft(8). */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "policy/import_nft.h"

#define NAME_MAX_READ 128

/* --- words --- */

static bool word_char(char c)
{
	return c && !strchr(" \t\r\n{};,=!<>&|()\"#", c) && (unsigned char)c > ' ';
}

static void next(struct nft_lex *x)
{
	const char *s = x->text;
	size_t start;

	while (x->at < x->len) {
		if (s[x->at] == '\\' && x->at + 1 < x->len && s[x->at + 1] == '\n') {
			x->line++;
			x->at += 2;
		} else if (s[x->at] == ' ' || s[x->at] == '\t' || s[x->at] == '\r') {
			x->at++;
		} else if (s[x->at] == '#') {
			while (x->at < x->len && s[x->at] != '\n')
				x->at++;
		} else {
			break;
		}
	}
	start = x->at;
	x->t = (struct nft_token){.kind = 0, .s = s + start, .line = x->line};
	if (x->at == x->len)
		return;
	x->t.kind = s[x->at];
	if (s[x->at] == '"') {
		for (x->at++; x->at < x->len && s[x->at] != '"' && s[x->at] != '\n'; x->at++)
			;
		x->t.s++;
		x->t.len = (uint32_t)(x->at - start - 1);
		x->at += x->at < x->len && s[x->at] == '"';
		return;
	}
	if (!word_char(s[x->at])) {
		x->line += s[x->at] == '\n';
		x->at++;
		/* != == <= >= */
		if (x->at < x->len && s[x->at] == '=' && strchr("!=<>", s[start]))
			x->at++;
	} else {
		bool raw = s[x->at] == '@' && x->at + 1 < x->len && strchr("lnt", s[x->at + 1]);

		x->t.kind = 'w';
		/* @ll,96,16 is one word */
		while (x->at < x->len && (word_char(s[x->at]) || (raw && s[x->at] == ',')))
			x->at++;
	}
	x->t.len = (uint32_t)(x->at - start);
}

bool nft_is(const struct nft_token *t, const char *word)
{
	return t->kind == 'w' && t->len == strlen(word) && !memcmp(t->s, word, t->len);
}

static bool at(const struct nft_lex *x, const char *word)
{
	return nft_is(&x->t, word);
}

static bool is_name(const struct nft_lex *x)
{
	return (x->t.kind == 'w' || x->t.kind == '"') && x->t.len && x->t.len < NAME_MAX_READ;
}

/* In one line: names are said in comments. */
static const char *text(struct nft_lex *x)
{
	return import_line(x->m, x->t.s, x->t.len);
}

static int unexpected(struct nft_lex *x, const char *wanted, struct sluice_err *err)
{
	return err_set(err, -EBADMSG, "%s:%u: '%.*s', expected %s", x->m->name, x->t.line,
		       x->t.len > 40 ? 40 : (int)x->t.len, x->t.kind == '\n' || !x->t.kind ? "" : x->t.s, wanted);
}

/* Over what is in braces, from the opening one on. */
static void skip_braces(struct nft_lex *x)
{
	uint32_t depth = 0;

	do {
		depth += x->t.kind == '{';
		depth -= x->t.kind == '}';
		next(x);
	} while (depth && x->t.kind);
}

/* Words up to the end of a statement, into x->tokens; braces of values count as part of it. */
static void statement(struct nft_lex *x)
{
	uint32_t depth = 0;

	x->tokens.len = 0;
	while (x->t.kind && (depth || (x->t.kind != ';' && x->t.kind != '\n' && x->t.kind != '}'))) {
		depth += x->t.kind == '{';
		depth -= x->t.kind == '}';
		if (x->t.kind != '\n')
			buf_put(&x->tokens, &x->t, sizeof(x->t));
		next(x);
	}
}

static struct nft_token *tokens(const struct nft_lex *x, size_t *n)
{
	*n = x->tokens.len / sizeof(struct nft_token);
	return (struct nft_token *)(void *)x->tokens.data;
}

/* --- sets --- */

/* elements = { a, b counter packets 0 bytes 0 } */
static void elements(struct nft_lex *x, enum import_kind kind, struct buf *to, bool *bad)
{
	size_t n, i;
	struct nft_token *t = tokens(x, &n);
	const char *v;

	for (i = 3; i + 1 < n; i++) {
		v = t[i].kind == 'w' ? import_value(x->m, kind, t[i].s, t[i].len) : NULL;
		if (!v) {
			*bad = true;
			return;
		}
		buf_printf(to, "%s%s", to->len ? ", " : "", v);
		if (i + 5 < n && nft_is(&t[i + 1], "counter") && nft_is(&t[i + 2], "packets"))
			i += 5;
		i++;
		if (i + 1 < n && t[i].kind != ',') {
			*bad = true;
			return;
		}
	}
}

static void set(struct nft_lex *x, const char *table)
{
	struct import_set s = {.table = table, .line = x->t.line};
	struct buf values = {0};
	enum import_kind kind = IMPORT_ADDR4;
	bool bad = false, typed = false, counters = false;
	const char *c;
	struct nft_token *t;
	size_t n;

	next(x);
	s.name = text(x);
	for (c = s.name; *c; c++)
		bad |= strchr("./:*?+@", *c) || (unsigned char)*c >= 0x7f;
	bad |= c == s.name || c - s.name > POLICY_NAME_MAX;
	next(x);
	if (x->t.kind != '{')
		return;
	next(x);
	while (x->t.kind && x->t.kind != '}') {
		if (x->t.kind == '\n' || x->t.kind == ';') {
			next(x);
			continue;
		}
		statement(x);
		t = tokens(x, &n);
		if (n == 2 && nft_is(&t[0], "type") && (nft_is(&t[1], "ipv4_addr") || nft_is(&t[1], "ipv6_addr"))) {
			kind = nft_is(&t[1], "ipv6_addr") ? IMPORT_ADDR6 : IMPORT_ADDR4;
			typed = true;
		} else if (n > 4 && nft_is(&t[0], "elements") && typed) {
			elements(x, kind, &values, &bad);
		} else if (n == 1 && nft_is(&t[0], "counter")) {
			counters = true;
		} else if (!n || !(nft_is(&t[0], "flags") || nft_is(&t[0], "auto-merge") ||
				   nft_is(&t[0], "size") || nft_is(&t[0], "comment"))) {
			bad = true;
		}
	}
	next(x);
	if (!bad && typed)
		s.values = import_say(x->m, "{ %.*s%s}%s", (int)values.len, values.len ? (char *)values.data : "",
				      values.len ? " " : "", counters ? " counters" : "");
	x->m->arena.failed |= values.failed;
	buf_free(&values);
	if (x->m->sets.len < IMPORT_SETS_MAX * sizeof(s))
		buf_put(&x->m->sets, &s, sizeof(s));
}

/* --- chains --- */

static int priority(const struct nft_token *t, size_t n)
{
	static const struct {
		const char *name;
		int v;
	} names[] = {{"raw", -300}, {"mangle", -150}, {"dstnat", -100}, {"filter", 0}, {"security", 50}, {"srcnat", 100}};
	int v = 0, sign = 1, number = 0;
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < sizeof(names) / sizeof(*names); j++)
			if (nft_is(&t[i], names[j].name))
				v = names[j].v;
		for (j = 0, number = 0; j < t[i].len && j < 9; j++) {
			if (t[i].s[j] == '-')
				sign = -1;
			else if (t[i].s[j] >= '0' && t[i].s[j] <= '9')
				number = number * 10 + (t[i].s[j] - '0');
		}
		v += sign * number;
	}
	return v;
}

/* type filter hook ingress devices = { "a", "b" } priority filter */
static void hook(struct nft_lex *x, struct import_chain *c)
{
	size_t n, i;
	struct nft_token *t = tokens(x, &n);
	struct buf on = {0};
	const char *v;
	bool ingress;

	c->base = true;
	if (n < 4 || !nft_is(&t[1], "filter") || !nft_is(&t[2], "hook")) {
		c->why = "only chains of type filter have a counterpart";
		return;
	}
	ingress = nft_is(&t[3], "ingress");
	if (!ingress && !nft_is(&t[3], "prerouting") && !nft_is(&t[3], "input"))
		c->why = "only the hooks ingress, prerouting and input see packets as they come in";
	for (i = 4; ingress && i < n && !nft_is(&t[i], "priority"); i++) {
		if (t[i].kind != '"' && (t[i].kind != 'w' || nft_is(&t[i], "device") || nft_is(&t[i], "devices")))
			continue;
		v = import_value(x->m, IMPORT_IF, t[i].s, t[i].len);
		if (!v || (on.len && strstr((const char *)on.data, v)))
			c->why = "its device cannot be named";
		else
			buf_printf(&on, "%s%s", on.len ? ", " : "", v);
	}
	c->priority = priority(t + i, n - i) + (ingress ? -2000000 : nft_is(&t[3], "prerouting") ? -1000000 : 0);
	if (on.len)
		c->on = import_say(x->m, "%.*s", (int)on.len, (const char *)on.data);
	x->m->arena.failed |= on.failed;
	buf_free(&on);
}

static void rule(struct nft_lex *x, struct import_chain *c, const char *table)
{
	size_t n;
	struct nft_token *t = tokens(x, &n);
	struct import_rule r = {.line = t[0].line, .verdict = IMPORT_GOES_ON, .c.fams = c->fams};

	r.text = import_line(x->m, t[0].s - (t[0].kind == '"'),
			     (size_t)(t[n - 1].s + t[n - 1].len - t[0].s) + (t[n - 1].kind == '"'));
	nft_rule(x->m, &r, t, n, table);
	buf_put(&c->rules, &r, sizeof(r));
	x->m->arena.failed |= c->rules.failed;
}

static int chain(struct nft_lex *x, const char *table, uint8_t fams, struct sluice_err *err)
{
	struct import_chain *c;
	struct nft_token *t;
	uint32_t line = x->t.line;
	size_t n;

	next(x);
	if (!is_name(x))
		return unexpected(x, "the name of a chain", err);
	c = import_chain_add(x->m, table, text(x));
	if (!c)
		return err_nomem(err);
	c->line = line;
	c->fams = fams;
	next(x);
	if (x->t.kind != '{')
		return unexpected(x, "'{' behind the name of a chain", err);
	next(x);
	while (x->t.kind && x->t.kind != '}') {
		if (x->t.kind == '\n' || x->t.kind == ';') {
			next(x);
			continue;
		}
		statement(x);
		t = tokens(x, &n);
		if (x->tokens.failed)
			return err_nomem(err);
		if (!n)
			return unexpected(x, "a rule", err);
		if (nft_is(&t[0], "type"))
			hook(x, c);
		else if (nft_is(&t[0], "policy"))
			c->drops = n > 1 && nft_is(&t[1], "drop");
		else if (!nft_is(&t[0], "comment"))
			rule(x, c, table);
	}
	next(x);
	return 0;
}

static int table(struct nft_lex *x, struct sluice_err *err)
{
	static const struct {
		const char *name;
		uint8_t fams;
	} families[] = {{"ip", POLICY_V4}, {"ip6", POLICY_V6}, {"inet", POLICY_V4 | POLICY_V6}, {"netdev", 7}};
	const char *name, *family = text(x);
	uint8_t fams = 0;
	size_t i;
	int e = 0;

	if (!is_name(x))
		return unexpected(x, "the family of a table", err);
	for (i = 0; i < sizeof(families) / sizeof(*families); i++)
		if (!strcmp(family, families[i].name))
			fams = families[i].fams;
	next(x);
	if (!is_name(x))
		return unexpected(x, "the name of a table", err);
	name = import_say(x->m, "%s %s", family, text(x));
	next(x);
	if (x->t.kind != '{')
		return 0;
	if (!fams) { /* bridge, arp */
		buf_printf(&x->m->to->policy, "# line %u is not imported: table %s\n", x->t.line, name);
		buf_printf(&x->m->to->notes, "%s:%u: only tables of ip, ip6, inet and netdev have a counterpart: table %s\n",
			   x->m->name, x->t.line, name);
		x->m->to->n_notes++;
		skip_braces(x);
		return 0;
	}
	next(x);
	while (x->t.kind && x->t.kind != '}' && !e) {
		if (x->t.kind == '\n' || x->t.kind == ';') {
			next(x);
		} else if (at(x, "chain")) {
			e = chain(x, name, fams, err);
		} else if (at(x, "set")) {
			set(x, name);
		} else { /* maps, limits, counters: the rules that name them are listed */
			while (x->t.kind && x->t.kind != '{' && x->t.kind != '\n' && x->t.kind != '}')
				next(x);
			if (x->t.kind == '{')
				skip_braces(x);
		}
	}
	if (!e && x->t.kind != '}')
		return unexpected(x, "'}' at the end of the table", err);
	next(x);
	return e;
}

int import_nft(struct import *m, struct sluice_err *err)
{
	struct nft_lex x = {.m = m, .text = m->text, .len = m->len, .line = 1};
	int e = 0;

	next(&x);
	while (x.t.kind && !e) {
		if (x.t.kind == '\n' || x.t.kind == ';') {
			next(&x);
		} else if (at(&x, "table")) {
			next(&x);
			e = table(&x, err);
		} else if (at(&x, "flush") || at(&x, "delete")) {
			while (x.t.kind && x.t.kind != '\n' && x.t.kind != ';')
				next(&x);
		} else {
			e = unexpected(&x, "table (as nft list ruleset prints it)", err);
		}
	}
	if (!e && x.tokens.failed)
		e = err_nomem(err);
	buf_free(&x.tokens);
	return e;
}
