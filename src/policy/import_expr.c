// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One rule of nft: expressions that have an exact counterpart become conditions; the first that has none is why not. */
#include <stdio.h>
#include <string.h>

#include "policy/import_nft.h"
#include "policy/words.h"

struct rule_at {
	struct import *m;
	struct import_rule *r;
	const struct nft_token *t;
	size_t i, n;
	const char *table;
};

static const struct nft_token end = {.s = ""};

static const struct nft_token *cur(const struct rule_at *x)
{
	return x->i < x->n ? &x->t[x->i] : &end;
}

static bool take(struct rule_at *x, const char *word)
{
	if (!nft_is(cur(x), word))
		return false;
	x->i++;
	return true;
}

static bool take_op(struct rule_at *x, const char *op)
{
	const struct nft_token *t = cur(x);

	if (t->kind == 'w' || t->kind == '"' || t->len != strlen(op) || memcmp(t->s, op, t->len) != 0)
		return false;
	x->i++;
	return true;
}

static void no(struct rule_at *x, const char *why)
{
	if (!x->r->why)
		x->r->why = why;
}

static const char *set_name(struct rule_at *x, const struct nft_token *t)
{
	struct import_set *s = (struct import_set *)(void *)x->m->sets.data, *found = NULL;
	size_t n = x->m->sets.len / sizeof(*s), i;

	for (i = 0; i < n; i++) {
		if (strlen(s[i].name) != t->len - 1 || memcmp(s[i].name, t->s + 1, t->len - 1) != 0)
			continue;
		if (found) {
			no(x, "two tables have a set of that name");
			return NULL;
		}
		found = &s[i];
	}
	if (!found || strcmp(found->table, x->table) != 0 || !found->values) {
		no(x, found ? "its set has elements or options without a counterpart" : "there is no such set");
		return NULL;
	}
	found->used = true;
	return import_say(x->m, "@%s", found->name);
}

static uint32_t most(enum import_kind kind)
{
	return kind == IMPORT_PORT || kind == IMPORT_ETHER ? 65535 : kind == IMPORT_DSCP ? 63 : 255;
}

/* < 5, >= 1024 as ranges */
static const char *compared(struct rule_at *x, enum import_kind kind)
{
	bool below = cur(x)->kind == '<', open = cur(x)->len == 1;
	const char *v;
	uint32_t nr = 0;

	x->i++;
	v = kind < IMPORT_PORT || kind == IMPORT_MAC || kind == IMPORT_IF || cur(x)->kind != 'w'
		    ? NULL
		    : import_value(x->m, kind, cur(x)->s, cur(x)->len);
	x->i++;
	if (!v || v[0] < '0' || v[0] > '9' || strchr(v, '-') || strchr(v, 'x')) {
		no(x, "its comparison has no counterpart");
		return NULL;
	}
	for (; *v; v++)
		nr = nr * 10 + (uint32_t)(*v - '0');
	if (below)
		return open && !nr ? NULL : import_say(x->m, "0-%u", open ? nr - 1 : nr);
	return open && nr == most(kind) ? NULL : import_say(x->m, "%u-%u", open ? nr + 1 : nr, most(kind));
}

/* [==|!=] VALUE | { VALUES } | @SET of a field */
static void value(struct rule_at *x, enum import_kind kind, enum policy_field field)
{
	bool negated = take_op(x, "!=");
	struct buf list = {0};
	const char *v = NULL;
	uint32_t many = 0;

	if (!negated)
		take_op(x, "==");
	if (!negated && (cur(x)->kind == '<' || cur(x)->kind == '>')) {
		v = compared(x, kind);
		if (!v)
			no(x, "no value is beyond that");
	} else if (cur(x)->kind == '{') {
		for (x->i++; x->i < x->n && cur(x)->kind != '}'; x->i++) {
			if (cur(x)->kind == ',')
				continue;
			v = cur(x)->kind == 'w' || cur(x)->kind == '"'
				    ? import_value(x->m, kind, cur(x)->s, cur(x)->len) : NULL;
			if (!v)
				break;
			buf_printf(&list, "%s%s", many++ ? ", " : "", v);
		}
		if (v && x->i < x->n)
			v = import_say(x->m, many > 1 ? "{ %.*s }" : "%.*s", (int)list.len, (const char *)list.data);
		x->i++;
	} else if (cur(x)->kind == 'w' && cur(x)->s[0] == '@') {
		v = kind <= IMPORT_ADDR6 ? set_name(x, cur(x)) : NULL;
		x->i++;
	} else if (cur(x)->kind == 'w' || cur(x)->kind == '"') {
		v = import_value(x->m, kind, cur(x)->s, cur(x)->len);
		x->i++;
	}
	if (x->r->why)
		;
	else if (!v)
		no(x, "a value has no counterpart");
	else if (cur(x)->kind == '&' || cur(x)->kind == '|' || cur(x)->kind == '.')
		no(x, "its arithmetic has no counterpart");
	else
		import_set_field(x->m, x->r, field, negated, v);
	x->m->arena.failed |= list.failed;
	buf_free(&list);
}

static void l4(struct rule_at *x, const char *nr)
{
	const char *have = x->r->c.value[POLICY_PROTO];

	/* icmp type 8 says that it is ICMP once more */
	if (!have || strcmp(have, nr) != 0 || x->r->c.negated >> POLICY_PROTO & 1)
		import_set_field(x->m, x->r, POLICY_PROTO, false, nr);
}

/* fin,syn or fin|syn or (fin | syn), or a number */
static bool flag_list(struct rule_at *x, uint32_t *bits)
{
	bool paren = take_op(x, "(");
	const struct policy_word *w;
	const char *v;
	char name[8];

	*bits = 0;
	do {
		if (cur(x)->kind != 'w' || cur(x)->len >= sizeof(name))
			return false;
		snprintf(name, sizeof(name), "%.*s", (int)cur(x)->len, cur(x)->s);
		w = words_find(WORDS_FLAGS, !strcmp(name, "ecn") ? "ece" : name, !strcmp(name, "ecn") ? 3 : cur(x)->len);
		v = w ? NULL : import_value(x->m, IMPORT_BYTE, cur(x)->s, cur(x)->len);
		if (!w && (!v || strchr(v, '-')))
			return false;
		for (*bits |= w ? w->lo : 0; v && *v; v++)
			*bits = (*bits & 0xff00) | (((*bits & 0xff) * 10 + (uint32_t)(*v - '0')) & 0xff);
		x->i++;
	} while (take_op(x, "|") || take_op(x, ","));
	return !paren || take_op(x, ")");
}

static const char *flags_said(struct import *m, uint32_t value, uint32_t mask)
{
	struct buf b = {0};
	uint32_t part[2] = {value, mask}, i, j;
	const char *said;

	for (j = 0; j < 2; j++) {
		buf_printf(&b, "%s", j ? "/" : "");
		if (!part[j])
			buf_printf(&b, "none");
		for (i = 0; i < 8; i++)
			if (part[j] >> i & 1)
				buf_printf(&b, "%s%s", part[j] & ((1u << i) - 1) ? "," : "",
					   words_name(WORDS_FLAGS, 1u << i, 1u << i));
	}
	said = import_say(m, "%.*s", (int)b.len, b.data ? (const char *)b.data : "");
	m->arena.failed |= b.failed;
	buf_free(&b);
	return said;
}

/* tcp flags [& MASK ==|!=] VALUE, VALUE / MASK, ==|!= VALUE; a bare list asks for any of them */
static void flags(struct rule_at *x)
{
	uint32_t value = 0, mask = 255;
	bool ok, negated = false;

	if (take_op(x, "&")) {
		ok = flag_list(x, &mask);
		negated = ok && take_op(x, "!=");
		ok = ok && (negated || take_op(x, "==")) && flag_list(x, &value);
	} else if ((negated = take_op(x, "!=")) || take_op(x, "==")) {
		ok = flag_list(x, &value);
		if (ok && take(x, "/"))
			ok = flag_list(x, &mask);
	} else {
		ok = flag_list(x, &value);
		if (ok && take(x, "/")) {
			ok = flag_list(x, &mask);
		} else if (ok) { /* any of them: not all of them missing */
			mask = value;
			negated = (value & (value - 1)) != 0;
			value = negated ? 0 : value;
		}
	}
	if (!ok || value & ~mask || !mask)
		no(x, "its flags have no counterpart");
	else
		import_set_field(x->m, x->r, POLICY_FLAGS, negated, flags_said(x->m, value, mask));
}

static bool hex_is(const struct nft_token *t, uint32_t v)
{
	uint32_t got = 0, i;
	bool hex = t->len > 2 && t->s[0] == '0' && t->s[1] == 'x';

	if (t->kind != 'w' || t->len > 8)
		return false;
	for (i = hex ? 2 : 0; i < t->len; i++) {
		char c = t->s[i];

		if (!(c >= '0' && c <= '9') && !(hex && (c | 32) >= 'a' && (c | 32) <= 'f'))
			return false;
		got = got * (hex ? 16 : 10) + (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
	}
	return got == v;
}

/* ip frag-off & 0x1fff != 0 and the like */
static void fragment(struct rule_at *x)
{
	const char *v = NULL;
	bool all, differs;

	if (!take_op(x, "&")) {
		no(x, "its fragment offset has no counterpart");
		return;
	}
	all = hex_is(cur(x), 0x3fff);
	if (all || hex_is(cur(x), 0x1fff)) {
		x->i++;
		differs = take_op(x, "!=");
		if (!differs)
			take_op(x, "==");
		if (hex_is(cur(x), 0))
			v = all ? (differs ? "any" : "none") : differs ? "later" : "{ none, first }";
		else if (all && hex_is(cur(x), 0x2000))
			v = differs ? "{ none, later }" : "first";
		x->i++;
	}
	if (v)
		import_set_field(x->m, x->r, POLICY_FRAGMENT, false, v);
	else
		no(x, "its fragment offset has no counterpart");
}

/* meta protocol, ether type: a family, two, or a type */
static void ether_type(struct rule_at *x)
{
	size_t before = x->i;
	bool differs = take_op(x, "!=");

	if (!differs && take(x, "ip")) {
		import_fams(x->r, POLICY_V4);
	} else if (!differs && take(x, "ip6")) {
		import_fams(x->r, POLICY_V6);
	} else if (x->i + 5 <= x->n && !differs && cur(x)->kind == '{' && nft_is(&x->t[x->i + 1], "ip") &&
		   nft_is(&x->t[x->i + 3], "ip6") && x->t[x->i + 4].kind == '}') {
		import_fams(x->r, POLICY_V4 | POLICY_V6);
		x->i += 5;
	} else {
		x->i = before;
		value(x, IMPORT_ETHER, POLICY_ETHER_TYPE);
	}
}

/* tag behind @ll,96,16, as the export writes it */
static void raw(struct rule_at *x)
{
	size_t from = x->i++;
	bool differs = take_op(x, "!=");

	if (!nft_is(&x->t[from], "@ll,96,16") || x->i + 7 > x->n || cur(x)->kind != '{' ||
	    !hex_is(&x->t[x->i + 1], 0x8100) || !hex_is(&x->t[x->i + 3], 0x88a8) || !hex_is(&x->t[x->i + 5], 0x9100)) {
		no(x, "bytes at an offset have no counterpart");
		return;
	}
	x->i += 7;
	if (differs) {
		import_set_field(x->m, x->r, POLICY_VLAN, false, "none");
	} else if (take(x, "@ll,116,12")) {
		value(x, IMPORT_PORT, POLICY_VLAN);
	} else if (take(x, "@ll,112,16")) {
		if (!take_op(x, "&") || !hex_is(cur(x), 0xfff))
			no(x, "bytes at an offset have no counterpart");
		x->i++;
		value(x, IMPORT_PORT, POLICY_VLAN);
	} else {
		import_set_field(x->m, x->r, POLICY_VLAN, false, "any");
	}
}

/* --- statements --- */

static bool unit_of(const struct nft_token *t, char *to, size_t size)
{
	static const char *const units[][2] = {{"second", "s"}, {"minute", "m"}, {"hour", "h"}, {"day", "d"}};
	const char *slash = memchr(t->s, '/', t->len);
	size_t i, len = slash ? (size_t)(slash - t->s) : 0;

	if (t->kind != 'w' || !len || len > 9 || strspn(t->s, "0123456789") != len || t->s[0] == '0')
		return false;
	for (i = 0; i < 4; i++) {
		if (strlen(units[i][0]) == t->len - len - 1 && !memcmp(slash + 1, units[i][0], t->len - len - 1)) {
			snprintf(to, size, "%.*s/%s", (int)len, t->s, units[i][1]);
			return true;
		}
	}
	return false;
}

/* limit rate [over] N/UNIT [burst N packets] */
static void limit(struct rule_at *x)
{
	char rate[32], burst[12] = "5"; /* nft's default */
	bool over;

	if (!take(x, "rate")) {
		no(x, "limits by name have no counterpart");
		return;
	}
	over = take(x, "over");
	if (!unit_of(cur(x), rate, sizeof(rate))) {
		no(x, "rates in bytes have no counterpart: nft leaves the Ethernet header out");
		return;
	}
	x->i++;
	if (take(x, "burst")) {
		if (cur(x)->kind != 'w' || cur(x)->len > 9 || strspn(cur(x)->s, "0123456789") < cur(x)->len ||
		    cur(x)->s[0] == '0') {
			no(x, "its burst has no counterpart");
			return;
		}
		snprintf(burst, sizeof(burst), "%.*s", (int)cur(x)->len, cur(x)->s);
		x->i++;
		take(x, "packets");
	}
	if (over)
		x->r->limit = import_say(x->m, "%s burst %s", rate, burst);
	else
		x->r->log_max = import_say(x->m, "%s", rate);
}

/* log [prefix "..."] [level ...] [flags ...] */
static void logging(struct rule_at *x)
{
	x->r->log = true;
	while (take(x, "prefix") || take(x, "level"))
		x->i++;
	if (nft_is(cur(x), "group") || nft_is(cur(x), "flags") || nft_is(cur(x), "snaplen"))
		no(x, "its way of logging has no counterpart");
}

static void comment(struct rule_at *x)
{
	const char *s = cur(x)->kind == '"' ? import_say(x->m, "%.*s", (int)cur(x)->len, cur(x)->s) : "";
	size_t len = strlen(s), tail = strlen(": over");

	x->i++;
	if (len > tail && x->r->limit && !strcmp(s + len - tail, ": over"))
		s = import_say(x->m, "%.*s", (int)(len - tail), s);
	x->r->name = x->r->tag = s;
}

static bool statement(struct rule_at *x)
{
	const char *name;

	if (take(x, "counter")) {
		if (take(x, "packets"))
			x->i++;
		if (take(x, "bytes"))
			x->i++;
		if (take(x, "name"))
			x->i++;
	} else if (take(x, "accept")) {
		x->r->verdict = IMPORT_ACCEPT;
	} else if (take(x, "drop")) {
		x->r->verdict = IMPORT_DROP;
	} else if (take(x, "return")) {
		x->r->verdict = IMPORT_RETURN;
	} else if (take(x, "continue")) {
		return true;
	} else if (take(x, "jump")) {
		x->r->verdict = IMPORT_JUMP;
		x->r->target = import_say(x->m, "%.*s", (int)cur(x)->len, cur(x)->len ? cur(x)->s : "");
		x->i++;
	} else if (take(x, "fwd")) {
		x->r->verdict = IMPORT_REDIRECT;
		take(x, "to");
		name = cur(x)->len ? import_value(x->m, IMPORT_IF, cur(x)->s, cur(x)->len) : NULL;
		x->r->target = name ? name : "";
		if (!name || strchr(name, '*'))
			no(x, "its interface cannot be named");
		x->i++;
	} else if (take(x, "limit")) {
		limit(x);
	} else if (take(x, "log")) {
		logging(x);
	} else if (take(x, "comment")) {
		comment(x);
	} else {
		return false;
	}
	return true;
}

/* --- expressions --- */

static void ip(struct rule_at *x, bool v6)
{
	import_fams(x->r, v6 ? POLICY_V6 : POLICY_V4);
	if (take(x, "saddr"))
		value(x, v6 ? IMPORT_ADDR6 : IMPORT_ADDR4, POLICY_FROM);
	else if (take(x, "daddr"))
		value(x, v6 ? IMPORT_ADDR6 : IMPORT_ADDR4, POLICY_TO);
	else if (!v6 && take(x, "protocol"))
		value(x, IMPORT_PROTO, POLICY_PROTO);
	else if (take(x, v6 ? "hoplimit" : "ttl"))
		value(x, IMPORT_BYTE, POLICY_TTL);
	else if (take(x, "dscp"))
		value(x, IMPORT_DSCP, POLICY_DSCP);
	else if (!v6 && take(x, "frag-off"))
		fragment(x);
	else
		no(x, import_say(x->m, "'%s %.*s' has no counterpart", v6 ? "ip6" : "ip", (int)cur(x)->len,
				 cur(x)->len ? cur(x)->s : ""));
}

static void upper(struct rule_at *x, const char *proto)
{
	if (proto)
		l4(x, proto);
	else
		x->r->any_port = true;
	if (take(x, "sport"))
		value(x, IMPORT_PORT, POLICY_FROM_PORT);
	else if (take(x, "dport"))
		value(x, IMPORT_PORT, POLICY_TO_PORT);
	else if (proto && !strcmp(proto, "tcp") && take(x, "flags"))
		flags(x);
	else
		no(x, "only ports and flags of protocols have a counterpart");
}

static void icmp(struct rule_at *x, bool v6)
{
	l4(x, v6 ? "58" : "1");
	import_fams(x->r, v6 ? POLICY_V6 : POLICY_V4);
	if (take(x, "type"))
		value(x, v6 ? IMPORT_TYPE6 : IMPORT_TYPE4, POLICY_ICMP_TYPE);
	else if (take(x, "code"))
		value(x, IMPORT_CODE, POLICY_ICMP_CODE);
	else
		no(x, "only types and codes of ICMP have a counterpart");
}

static bool meta(struct rule_at *x)
{
	if (take(x, "l4proto")) {
		value(x, IMPORT_PROTO, POLICY_PROTO);
		import_fams(x->r, POLICY_V4 | POLICY_V6);
	} else if (take(x, "protocol")) {
		ether_type(x);
	} else if (take(x, "nfproto")) {
		import_fams(x->r, take(x, "ipv4") ? POLICY_V4 : take(x, "ipv6") ? POLICY_V6 : 0);
	} else if (take(x, "iifname") || take(x, "iif")) {
		value(x, IMPORT_IF, POLICY_IN);
	} else {
		return false;
	}
	return true;
}

static bool expression(struct rule_at *x)
{
	static const char *const ported[] = {"tcp", "udp", "sctp", "dccp", "udplite"};
	size_t i;

	for (i = 0; i < 5; i++) {
		if (take(x, ported[i])) {
			import_fams(x->r, POLICY_V4 | POLICY_V6);
			upper(x, ported[i]);
			return true;
		}
	}
	if (take(x, "ip"))
		ip(x, false);
	else if (take(x, "ip6"))
		ip(x, true);
	else if (take(x, "th"))
		upper(x, NULL);
	else if (take(x, "icmp"))
		icmp(x, false);
	else if (take(x, "icmpv6"))
		icmp(x, true);
	else if (nft_is(cur(x), "iifname") || nft_is(cur(x), "iif"))
		return meta(x);
	else if (take(x, "meta"))
		return meta(x);
	else if (take(x, "ether")) {
		if (take(x, "saddr"))
			value(x, IMPORT_MAC, POLICY_ETHER_FROM);
		else if (take(x, "daddr"))
			value(x, IMPORT_MAC, POLICY_ETHER_TO);
		else if (take(x, "type"))
			ether_type(x);
		else
			return false;
	} else if (cur(x)->kind == 'w' && cur(x)->len > 4 && !memcmp(cur(x)->s, "@ll,", 4))
		raw(x);
	else
		return false;
	return true;
}

/* Every protocol of a list has ports in the language as well. */
static bool all_ported(const char *list)
{
	static const char *const ported[] = {"tcp", "udp", "sctp", "dccp", "udplite"};
	size_t n, i;

	for (list += strspn(list, "{ ,}"); *list; list += strspn(list, "{ ,}")) {
		n = strcspn(list, " ,}");
		for (i = 0; i < 5 && (strlen(ported[i]) != n || memcmp(list, ported[i], n) != 0); i++)
			;
		if (i == 5)
			return false;
		list += n;
	}
	return true;
}

/* What only the whole rule tells. */
static void whole(struct rule_at *x)
{
	struct import_rule *r = x->r;
	const char *proto = r->c.value[POLICY_PROTO];

	if (r->any_port && (!proto || r->c.negated >> POLICY_PROTO & 1 || !all_ported(proto)))
		no(x, "ports of any protocol have no counterpart");
	if (r->limit && r->verdict != IMPORT_DROP)
		no(x, "a limit that does not drop has no counterpart");
	if (r->log_max && (!r->log || r->verdict != IMPORT_GOES_ON))
		no(x, "a limit under which something is done has no counterpart");
	if (r->limit)
		r->verdict = IMPORT_GOES_ON;
	if (r->name && r->name[0] == '#' && r->name[1] && strspn(r->name + 1, "0123456789") == strlen(r->name + 1))
		r->name = NULL; /* the number of a rule without a name */
	if (r->c.fams != 7 && r->c.value[POLICY_ETHER_TYPE])
		no(x, "an Ethernet type beside IP has no counterpart");
}

void nft_rule(struct import *m, struct import_rule *r, const struct nft_token *t, size_t n, const char *table)
{
	struct rule_at x = {.m = m, .r = r, .t = t, .n = n, .table = table};

	while (x.i < n && !r->why) {
		bool late = r->limit || r->log_max || r->log;

		if (r->verdict != IMPORT_GOES_ON && !nft_is(cur(&x), "comment"))
			no(&x, "something stands behind its verdict");
		else if (expression(&x))
			late ? no(&x, "a condition stands behind its limit or log") : (void)0;
		else if (!statement(&x))
			no(&x, import_say(m, "'%.*s' has no counterpart", cur(&x)->len > 40 ? 40 : (int)cur(&x)->len,
					  cur(&x)->s));
	}
	if (!r->why)
		whole(&x);
}
