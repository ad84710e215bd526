// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What iptables-save and ip6tables-save print: *table, :CHAIN POLICY, -A CHAIN matches -j TARGET. See iptables-extensions(8). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "policy/import_parts.h"
#include "policy/words.h"

#define WORDS_MAX 256

struct word {
	const char *s;
	size_t len;
};

struct args {
	struct import *m;
	struct import_rule *r;
	bool v6, negated;
	struct word w[WORDS_MAX];
	size_t n, i;
	bool more; /* than WORDS_MAX */
};

static bool is(const struct word *w, const char *s)
{
	return w->len == strlen(s) && !memcmp(w->s, s, w->len);
}

static void no(struct args *x, const char *why)
{
	if (!x->r->why)
		x->r->why = why;
}

/* Words of a line; those in quotes without them, escapes undone in the arena. */
static void split(struct args *x, const char *s, size_t len)
{
	size_t at = 0, from, n;
	char *to;

	x->n = 0;
	while (at < len) {
		if (s[at] == ' ' || s[at] == '\t' || s[at] == '\r') {
			at++;
			continue;
		}
		x->more = x->n == WORDS_MAX;
		if (x->more)
			return;
		from = at;
		if (s[at] != '"') {
			while (at < len && s[at] != ' ' && s[at] != '\t' && s[at] != '\r')
				at++;
			x->w[x->n++] = (struct word){s + from, at - from};
			continue;
		}
		to = arena_add(&x->m->arena, len - at + 1);
		if (!to)
			return;
		for (n = 0, at++; at < len && s[at] != '"'; at++) {
			at += s[at] == '\\' && at + 1 < len;
			to[n++] = s[at];
		}
		at++;
		x->w[x->n++] = (struct word){to, n};
	}
}

static const struct word *arg(struct args *x)
{
	static const struct word none = {"", 0};

	if (x->i < x->n)
		return &x->w[x->i++];
	no(x, "it ends too early");
	return &none;
}

static void set(struct args *x, enum policy_field f, const char *value)
{
	if (value)
		import_set_field(x->m, x->r, f, x->negated, value);
	else
		no(x, "a value has no counterpart");
}

static void value(struct args *x, enum import_kind kind, enum policy_field f)
{
	const struct word *w = arg(x);

	set(x, f, import_value(x->m, kind, w->s, w->len));
}

/* 80,443,8000:8999 */
static void ports(struct args *x, enum policy_field f)
{
	const struct word *w = arg(x);
	const char *s = w->s, *stop = w->s + w->len, *comma, *colon, *v = "";
	char one[24];
	struct buf list = {0};
	uint32_t n = 0;

	for (; s <= stop && v; s = comma + 1) {
		comma = memchr(s, ',', (size_t)(stop - s));
		comma = comma ? comma : stop;
		colon = memchr(s, ':', (size_t)(comma - s));
		if (colon)
			snprintf(one, sizeof(one), "%.*s-%.*s", colon == s ? 1 : (int)(colon - s), colon == s ? "0" : s,
				 colon + 1 == comma ? 5 : (int)(comma - colon - 1),
				 colon + 1 == comma ? "65535" : colon + 1);
		else
			snprintf(one, sizeof(one), "%.*s", (int)(comma - s), s);
		v = import_value(x->m, IMPORT_PORT, one, strlen(one));
		if (v)
			buf_printf(&list, "%s%s", n++ ? ", " : "", v);
	}
	set(x, f, v ? import_say(x->m, n > 1 ? "{ %.*s }" : "%.*s", (int)list.len, (const char *)list.data) : NULL);
	x->m->arena.failed |= list.failed;
	buf_free(&list);
}

static bool flag_bits(const struct word *w, uint8_t *bits)
{
	const char *s = w->s, *stop = s + w->len, *comma;
	char name[8];
	const struct policy_word *row;
	size_t i, n;

	for (*bits = 0; s < stop; s = comma + 1) {
		comma = memchr(s, ',', (size_t)(stop - s));
		comma = comma ? comma : stop;
		n = (size_t)(comma - s);
		if (!n || n >= sizeof(name))
			return false;
		for (i = 0; i < n; i++)
			name[i] = (char)(s[i] | 32);
		name[n] = 0;
		row = words_find(WORDS_FLAGS, name, n);
		if (!row && strcmp(name, "all") != 0 && strcmp(name, "none") != 0)
			return false;
		*bits |= row ? (uint8_t)row->lo : !strcmp(name, "all") ? 0x3f : 0;
	}
	return true;
}

static void flags(struct args *x)
{
	const struct word *mask = arg(x), *want = arg(x);
	uint8_t part[2];
	struct buf b = {0};
	uint32_t i, j;

	if (!flag_bits(want, &part[0]) || !flag_bits(mask, &part[1]) || !part[1] || part[0] & ~part[1]) {
		no(x, "its flags have no counterpart");
		return;
	}
	for (j = 0; j < 2; j++) {
		buf_printf(&b, part[j] ? (j ? "/" : "") : "none");
		for (i = 0; i < 8; i++)
			if (part[j] >> i & 1)
				buf_printf(&b, "%s%s", part[j] & ((1u << i) - 1) ? "," : "",
					   words_name(WORDS_FLAGS, 1u << i, 1u << i));
	}
	set(x, POLICY_FLAGS, import_say(x->m, "%.*s", (int)b.len, b.data ? (const char *)b.data : ""));
	x->m->arena.failed |= b.failed;
	buf_free(&b);
}

/* TYPE or TYPE/CODE */
static void icmp(struct args *x)
{
	const struct word *w = arg(x);
	const char *slash = memchr(w->s, '/', w->len);
	size_t len = slash ? (size_t)(slash - w->s) : w->len;

	if (is(w, "any") || (is(w, "255") && !x->v6)) /* 255 stands for any */
		return;
	if (slash && x->negated) {
		no(x, "not a type and code at once has no counterpart");
		return;
	}
	set(x, POLICY_ICMP_TYPE, import_value(x->m, x->v6 ? IMPORT_TYPE6 : IMPORT_TYPE4, w->s, len));
	if (slash)
		set(x, POLICY_ICMP_CODE, import_value(x->m, IMPORT_CODE, slash + 1, w->len - len - 1));
}

static void protocol(struct args *x)
{
	const struct word *w = arg(x);

	if (is(w, "all") || is(w, "0"))
		return;
	set(x, POLICY_PROTO, import_value(x->m, IMPORT_PROTO, w->s, w->len));
}

/* eth+ is eth*; not more than a name can hold */
static void interface(struct args *x)
{
	const struct word *w = arg(x);
	bool many = w->len && w->s[w->len - 1] == '+';
	const char *s = many ? import_say(x->m, "%.*s*", (int)w->len - 1, w->s) : w->s;

	set(x, POLICY_IN, import_value(x->m, IMPORT_IF, s, w->len));
}

static void rate(struct args *x)
{
	static const char *const units[][2] = {{"sec", "s"}, {"min", "m"}, {"hour", "h"}, {"day", "d"}, {"second", "s"},
					       {"minute", "m"}};
	const struct word *w = arg(x);
	const char *slash = memchr(w->s, '/', w->len);
	size_t len = slash ? (size_t)(slash - w->s) : 0, i, j;

	for (j = 0; j < len; j++)
		if (w->s[j] < '0' || w->s[j] > '9')
			len = 0;
	for (i = 0; len && len < 10 && w->s[0] != '0' && i < 6; i++) {
		if (strlen(units[i][0]) != w->len - len - 1 || memcmp(slash + 1, units[i][0], w->len - len - 1) != 0)
			continue;
		x->r->log_max = import_say(x->m, "%.*s/%s", (int)len, w->s, units[i][1]);
		return;
	}
	no(x, "its rate has no counterpart");
}

static void target(struct args *x, bool go)
{
	const struct word *w = arg(x);

	x->r->target = import_say(x->m, "%.*s", (int)w->len, w->s);
	x->r->verdict = is(w, "ACCEPT")	  ? IMPORT_ACCEPT
			: is(w, "DROP")	  ? IMPORT_DROP
			: is(w, "RETURN") ? IMPORT_RETURN
			: is(w, "LOG")	  ? IMPORT_GOES_ON
					  : IMPORT_JUMP;
	x->r->log = is(w, "LOG");
	if (go)
		no(x, "a jump that does not come back has no counterpart");
	if (x->r->verdict == IMPORT_JUMP &&
	    (is(w, "REJECT") || is(w, "NOTRACK") || is(w, "CT") || is(w, "MARK") || is(w, "NFLOG") || is(w, "NFQUEUE") ||
	     is(w, "TCPMSS") || is(w, "SET") || is(w, "CONNMARK") || is(w, "TRACE") || is(w, "DNAT") ||
	     is(w, "REDIRECT") || is(w, "MASQUERADE") || is(w, "SNAT")))
		no(x, import_say(x->m, "the target %.*s has no counterpart", (int)w->len, w->s));
}

static void match(struct args *x)
{
	static const char *const known[] = {"tcp", "udp", "icmp", "icmp6", "ipv6-icmp", "multiport", "comment", "mac", "ttl",
					    "hl", "dscp", "iprange", "limit", "sctp", "dccp", "udplite"};
	const struct word *w = arg(x);
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (is(w, known[i]))
			return;
	no(x, import_say(x->m, "the match %.*s has no counterpart", w->len > 40 ? 40 : (int)w->len, w->s));
}

static void ttl(struct args *x, int way)
{
	const struct word *w = arg(x);
	const char *v = import_value(x->m, IMPORT_BYTE, w->s, w->len);

	if (v && way)
		v = strchr(v, '-') || (way < 0 && !strcmp(v, "0")) || (way > 0 && !strcmp(v, "255"))
			    ? NULL : import_say(x->m, way < 0 ? "< %s" : "> %s", v);
	set(x, POLICY_TTL, v);
}

static const struct {
	const char *name;
	enum import_kind kind;
	enum policy_field field;
} simple[] = {
	{"--src-range", IMPORT_ADDR4, POLICY_FROM},	 {"--dst-range", IMPORT_ADDR4, POLICY_TO},
	{"-s", IMPORT_ADDR4, POLICY_FROM},		 {"-d", IMPORT_ADDR4, POLICY_TO},
	{"--mac-source", IMPORT_MAC, POLICY_ETHER_FROM}, {"--dscp", IMPORT_DSCP, POLICY_DSCP},
};

/* One option; false if it is not known. */
static bool option(struct args *x, const struct word *w)
{
	size_t i;

	for (i = 0; i < sizeof(simple) / sizeof(*simple); i++) {
		if (!is(w, simple[i].name))
			continue;
		value(x, simple[i].kind == IMPORT_ADDR4 && x->v6 ? IMPORT_ADDR6 : simple[i].kind, simple[i].field);
		return true;
	}
	if (is(w, "-p"))
		protocol(x);
	else if (is(w, "-i"))
		interface(x);
	else if (is(w, "-f") && !x->v6)
		import_set_field(x->m, x->r, POLICY_FRAGMENT, false, x->negated ? "{ none, first }" : "later");
	else if (is(w, "-m"))
		match(x);
	else if (is(w, "-j") || is(w, "-g"))
		target(x, is(w, "-g"));
	else if (is(w, "--dport") || is(w, "--dports"))
		ports(x, POLICY_TO_PORT);
	else if (is(w, "--sport") || is(w, "--sports"))
		ports(x, POLICY_FROM_PORT);
	else if (is(w, "--tcp-flags"))
		flags(x);
	else if (is(w, "--icmp-type") || is(w, "--icmpv6-type"))
		icmp(x);
	else if (is(w, "--ttl-eq") || is(w, "--hl-eq"))
		ttl(x, 0);
	else if (is(w, "--ttl-lt") || is(w, "--hl-lt"))
		ttl(x, -1);
	else if (is(w, "--ttl-gt") || is(w, "--hl-gt"))
		ttl(x, 1);
	else if (is(w, "--limit"))
		rate(x);
	else if (is(w, "--limit-burst") || is(w, "--log-prefix") || is(w, "--log-level"))
		arg(x);
	else if (is(w, "--comment")) {
		w = arg(x);
		x->r->name = import_say(x->m, "%.*s", (int)w->len, w->s);
	} else
		return false;
	return true;
}

static void rule(struct args *x)
{
	const struct word *w;

	while (x->i < x->n && !x->r->why) {
		x->negated = is(&x->w[x->i], "!");
		x->i += x->negated;
		w = arg(x);
		if (!x->r->why && !option(x, w))
			no(x, import_say(x->m, "%.*s has no counterpart", w->len > 40 ? 40 : (int)w->len, w->s));
	}
	if (x->more)
		no(x, "it has too many words");
	if (x->r->log_max && !x->r->log)
		no(x, "a limit under which something is done has no counterpart");
	if (x->r->c.negated >> POLICY_PROTO & 1 && x->r->c.value[POLICY_TO_PORT])
		no(x, "ports of any protocol have no counterpart");
}

/* :INPUT DROP [0:0] */
static int chain(struct args *x, const char *table, uint32_t line, struct sluice_err *err)
{
	static const struct {
		const char *table, *chain;
		int priority;
	} hooks[] = {{"raw", "PREROUTING", -1000300}, {"mangle", "PREROUTING", -1000150}, {"mangle", "INPUT", -150},
		     {"filter", "INPUT", 0}, {"security", "INPUT", 50}};
	const struct word *name = &x->w[0], *policy = x->n > 1 ? &x->w[1] : name;
	struct import_chain *c;
	size_t i;

	c = import_chain_add(x->m, table, import_say(x->m, "%.*s", (int)name->len - 1, name->s + 1));
	if (!c)
		return err_nomem(err);
	c->line = line;
	c->fams = x->v6 ? POLICY_V6 : POLICY_V4;
	c->base = !is(policy, "-");
	c->drops = is(policy, "DROP");
	if (!c->base)
		return 0;
	c->why = "only PREROUTING and INPUT, nat left out, see packets as they come in";
	for (i = 0; i < sizeof(hooks) / sizeof(*hooks); i++) {
		if (strcmp(strchr(table, ' ') + 1, hooks[i].table) != 0 || strcmp(c->name, hooks[i].chain) != 0)
			continue;
		c->why = NULL;
		c->priority = hooks[i].priority;
	}
	return 0;
}

static int append(struct args *x, const char *table, uint32_t line, const char *s, size_t len, struct sluice_err *err)
{
	struct import_rule r = {.line = line, .verdict = IMPORT_GOES_ON, .text = import_line(x->m, s, len),
				.c.fams = x->v6 ? POLICY_V6 : POLICY_V4};
	size_t skip = x->n && x->w[0].s[0] == '['; /* counters of iptables-save -c */
	struct import_chain *c;

	if (x->n < skip + 2)
		return err_set(err, -EBADMSG, "%s:%u: a rule without a chain", x->m->name, line);
	c = import_chain_find(x->m, table, import_say(x->m, "%.*s", (int)x->w[skip + 1].len, x->w[skip + 1].s));
	if (!c)
		return err_set(err, -EBADMSG, "%s:%u: chain '%.*s' is not declared above, expected ':%.*s' in its table",
			       x->m->name, line, (int)x->w[skip + 1].len, x->w[skip + 1].s, (int)x->w[skip + 1].len,
			       x->w[skip + 1].s);
	x->r = &r;
	x->i = skip + 2;
	rule(x);
	buf_put(&c->rules, &r, sizeof(r));
	x->m->arena.failed |= c->rules.failed;
	return 0;
}

static int one_line(struct args *x, const char **table, uint32_t line, const char *s, size_t len, struct sluice_err *err)
{
	split(x, s, len);
	if (!x->n || s[0] == '#' || is(&x->w[0], "COMMIT"))
		return 0;
	if (s[0] == '*') {
		*table = import_say(x->m, "%s %.*s", x->v6 ? "ip6" : "ip", (int)x->w[0].len - 1, x->w[0].s + 1);
		return 0;
	}
	if (!*table)
		return err_set(err, -EBADMSG, "%s:%u: expected *TABLE (as iptables-save prints it)", x->m->name, line);
	if (s[0] == ':')
		return chain(x, *table, line, err);
	if (is(&x->w[0], "-A") || (s[0] == '[' && x->n > 1 && is(&x->w[1], "-A")))
		return append(x, *table, line, s, len, err);
	return err_set(err, -EBADMSG, "%s:%u: expected *TABLE, :CHAIN, -A or COMMIT", x->m->name, line);
}

int import_tables(struct import *m, bool v6, struct sluice_err *err)
{
	struct args *x = arena_add(&m->arena, sizeof(*x));
	const char *table = NULL, *s = m->text, *stop = m->text + m->len, *eol;
	uint32_t line = 0;
	int e = 0;

	if (!x)
		return err_nomem(err);
	for (; s < stop && !e; s = eol + 1) {
		eol = memchr(s, '\n', (size_t)(stop - s));
		eol = eol ? eol : stop;
		*x = (struct args){.m = m, .v6 = v6};
		e = one_line(x, &table, ++line, s, (size_t)(eol - s), err);
	}
	return e;
}
