// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Trees back to text, in one canonical form that parses to the same tree. */
#include <inttypes.h>
#include <string.h>

#include "policy/parse.h"
#include "policy/print.h"

static void text(struct buf *to, const char *s)
{
	buf_put(to, s, strlen(s));
}

void print_quoted(struct buf *to, const char *s)
{
	text(to, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			text(to, "\\");
		buf_put(to, s, 1);
	}
	text(to, "\"");
}

/* Names of interfaces stand without quotes where they read as one word that means nothing else. */
static void interface(struct buf *to, const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-*?+");

	if (s[n] || !strcmp(s, "not") || !strcmp(s, "any"))
		print_quoted(to, s);
	else
		text(to, s);
}

static void mac(struct buf *to, const struct policy_value *v)
{
	char said[NET_MAC_TEXT];
	int bits = 0, i;

	for (i = 0; i < 48 && v->mac.mask[i / 8] & 0x80 >> i % 8; i++)
		bits++;
	if (v->mac.value[0] == 1 && v->mac.mask[0] == 1 && !bits) {
		text(to, "multicast");
		return;
	}
	text(to, net_mac_format(v->mac.value, said, sizeof(said)));
	if (bits < 48)
		buf_printf(to, "/%d", bits);
}

static void flags(struct buf *to, uint8_t bits)
{
	bool first = true;
	unsigned int i;

	if (!bits)
		text(to, "none");
	for (i = 0; i < 8; i++) {
		if (!(bits >> i & 1))
			continue;
		buf_printf(to, "%s%s", first ? "" : ",", words_name(WORDS_FLAGS, 1u << i, 1u << i));
		first = false;
	}
}

static void number(struct buf *to, enum policy_field field, uint32_t lo, uint32_t hi)
{
	const struct parse_field *f = &parse_fields[field];
	/* ports as numbers: not everybody knows epmap by heart */
	const char *name = f->names == WORDS_PORTS ? NULL : words_name(f->names, lo, hi);

	if (name)
		text(to, name);
	else if (lo == hi)
		buf_printf(to, field == POLICY_ETHER_TYPE ? "0x%04x" : "%u", lo);
	else if ((field == POLICY_LENGTH || field == POLICY_TTL) && hi == f->max && lo)
		buf_printf(to, "> %u", lo - 1);
	else if ((field == POLICY_LENGTH || field == POLICY_TTL) && !lo && hi < f->max)
		buf_printf(to, "< %u", hi + 1);
	else
		buf_printf(to, field == POLICY_ETHER_TYPE ? "0x%04x-0x%04x" : "%u-%u", lo, hi);
}

static void value(struct buf *to, enum policy_field field, const struct policy_value *v)
{
	char said[POLICY_RANGE_TEXT];

	switch ((enum policy_kind)v->kind) {
	case POLICY_NUM:
		/* a type given by its number is one family's: its name could be read as something else */
		if (field == POLICY_ICMP_TYPE)
			buf_printf(to, v->num.lo == v->num.hi ? "%u" : "%u-%u", v->num.lo, v->num.hi);
		else
			number(to, field, v->num.lo, v->num.hi);
		return;
	case POLICY_ICMP:
		text(to, words_row(WORDS_ICMP_TYPES, v->num.lo)->name);
		return;
	case POLICY_ADDR:
		text(to, policy_range_format(&v->addr, said, sizeof(said)));
		return;
	case POLICY_SET:
		buf_printf(to, "@%s", v->text);
		return;
	case POLICY_TEXT:
		if (field == POLICY_IN)
			interface(to, v->text);
		else
			print_quoted(to, v->text);
		return;
	case POLICY_MAC:
		mac(to, v);
		return;
	case POLICY_BITS:
		flags(to, v->flags.value);
		if (v->flags.mask != v->flags.value) {
			text(to, "/");
			flags(to, v->flags.mask);
		}
		return;
	}
}

void print_list(struct buf *to, enum policy_field field, const struct policy_list *l)
{
	uint32_t i;

	if (l->n == 1) {
		value(to, field, l->v);
		return;
	}
	text(to, "{ ");
	for (i = 0; i < l->n; i++) {
		if (i)
			text(to, ", ");
		value(to, field, &l->v[i]);
	}
	text(to, l->n ? " }" : "}");
}

static void match(const struct policy_match *m, const char *words, struct buf *to)
{
	bool is_bare = m->field == POLICY_FAMILY ||
		       (m->field == POLICY_PROTO && m->list.n == 1 && !m->negated &&
			words_name(WORDS_PROTOS, m->list.v[0].num.lo, m->list.v[0].num.hi));

	if (!is_bare)
		buf_printf(to, "%s ", words);
	if (m->negated)
		text(to, "not ");
	print_list(to, m->field, &m->list);
}

void policy_match_print(const struct policy_match *m, struct buf *to)
{
	match(m, parse_fields[m->field].words, to);
}

/* from ADDRESS port PORT, rather than from ADDRESS from port PORT. */
static bool is_behind(const struct policy_stmt *s, uint32_t i)
{
	return i && ((s->matches[i].field == POLICY_FROM_PORT && s->matches[i - 1].field == POLICY_FROM) ||
		     (s->matches[i].field == POLICY_TO_PORT && s->matches[i - 1].field == POLICY_TO));
}

/* The largest unit that divides it. */
static void amount(struct buf *to, uint64_t v)
{
	static const char units[] = {0, 'k', 'M', 'G'};
	size_t i = 0;

	while (v && v % 1000 == 0 && i < 3) {
		v /= 1000;
		i++;
	}
	buf_printf(to, "%" PRIu64, v);
	if (i)
		buf_put(to, &units[i], 1);
}

static void rate(struct buf *to, const struct policy_rate *r)
{
	amount(to, r->amount);
	text(to, r->bits	      ? "bit/s"
		 : r->seconds == 1    ? "/s"
		 : r->seconds == 60   ? "/m"
		 : r->seconds == 3600 ? "/h"
				      : "/d");
}

static void limit(struct buf *to, const struct policy_limit *l)
{
	static const char *const keys[] = {"rule", "source", "destination", "flow"};

	text(to, " to ");
	rate(to, &l->rate);
	if (l->per != POLICY_PER_RULE)
		buf_printf(to, " per %s", keys[l->per]);
	if ((l->per == POLICY_PER_SOURCE || l->per == POLICY_PER_DESTINATION) &&
	    (l->len4 < 32 || l->len6 < 128))
		buf_printf(to, "/%u/%u", l->len4, l->len6);
	text(to, " burst ");
	amount(to, l->burst);
	if (l->rate.bits)
		text(to, "bit");
}

static void logging(struct buf *to, const struct policy_stmt *s)
{
	text(to, "log");
	if (s->log_every != 1)
		buf_printf(to, " 1/%u", s->log_every);
	if (s->log_max.amount != 100 || s->log_max.seconds != 1) {
		text(to, " max ");
		rate(to, &s->log_max);
	}
	if (s->action != POLICY_LOG)
		text(to, " ");
}

void policy_stmt_print(const struct policy_stmt *s, struct buf *to)
{
	static const char *const words[] = {
		[POLICY_PASS] = "pass",	  [POLICY_DROP] = "drop",   [POLICY_REDIRECT] = "redirect to ",
		[POLICY_CPU] = "cpu ",	  [POLICY_COUNT] = "count", [POLICY_LOG] = "",
		[POLICY_LIMIT] = "limit",
	};
	uint32_t i;

	if (s->log)
		logging(to, s);
	text(to, words[s->action]);
	if (s->action == POLICY_REDIRECT)
		interface(to, s->redirect);
	if (s->action == POLICY_CPU)
		print_list(to, PARSE_CPUS, &s->cpus);
	for (i = 0; i < s->n_matches; i++) {
		text(to, " ");
		match(&s->matches[i], is_behind(s, i) ? "port" : parse_fields[s->matches[i].field].words, to);
	}
	if (s->action == POLICY_LIMIT)
		limit(to, &s->limit);
	if (s->name) {
		text(to, " as ");
		print_quoted(to, s->name);
	}
}

void policy_rule_print(const struct policy_filter *f, const struct policy_stmt *s, size_t max, struct buf *to)
{
	size_t from = to->len;

	if (s)
		policy_stmt_print(s, to);
	else
		buf_printf(to, "default %s", f->default_drop ? "drop" : "pass");
	if (!max || to->failed || to->len - from <= max)
		return;
	to->len = from + max;
	while (to->len > from && (to->data[to->len] & 0xc0) == 0x80) /* not inside of a character */
		to->len--;
	text(to, "...");
}

static void set(struct buf *to, const struct policy_set *s)
{
	uint32_t i;

	buf_printf(to, "set %s ", s->name);
	if (s->file) {
		text(to, "from ");
		print_quoted(to, s->file);
	} else {
		text(to, "{");
		for (i = 0; i < s->list.n; i++) {
			text(to, s->list.n > 4 ? "\n\t" : i ? ", " : " ");
			value(to, POLICY_FROM, &s->list.v[i]);
		}
		text(to, s->list.n > 4 ? "\n}" : " }");
	}
	if (s->timeout_ns % 3600000000000 == 0 && s->timeout_ns)
		buf_printf(to, " timeout %" PRIu64 "h", s->timeout_ns / 3600000000000);
	else if (s->timeout_ns)
		buf_printf(to, " timeout %" PRIu64 "s", s->timeout_ns / 1000000000);
	if (s->size) {
		text(to, " size ");
		amount(to, s->size);
	}
	text(to, s->counters ? " counters\n" : "\n");
}

static void filter(struct buf *to, const struct policy_filter *f)
{
	uint32_t i;

	text(to, "filter on ");
	print_list(to, POLICY_IN, &f->on);
	text(to, f->shadow ? " {\n\tshadow\n" : " {\n");
	for (i = 0; i < f->n_stmts; i++) {
		text(to, "\t");
		policy_stmt_print(&f->stmts[i], to);
		text(to, "\n");
	}
	buf_printf(to, "\tdefault %s\n}\n", f->default_drop ? "drop" : "pass");
}

void policy_print(const struct policy *p, struct buf *to)
{
	uint32_t i;

	for (i = 0; i < p->n_interfaces; i++) {
		text(to, "interface ");
		interface(to, p->interfaces[i].name);
		buf_printf(to, " { mode %s }\n", p->interfaces[i].mode);
	}
	if (p->n_interfaces)
		text(to, "\n");
	for (i = 0; i < p->n_sets; i++)
		set(to, &p->sets[i]);
	for (i = 0; i < p->n_filters; i++) {
		if (i || p->n_sets)
			text(to, "\n");
		filter(to, &p->filters[i]);
	}
	if (p->balance_seed) {
		text(to, p->n_sets || p->n_filters ? "\nbalance seed " : "balance seed ");
		print_quoted(to, p->balance_seed);
		text(to, "\n");
	}
	for (i = 0; i < p->n_balances; i++) {
		if (i || p->n_sets || p->n_filters || p->balance_seed)
			text(to, "\n");
		print_balance(to, &p->balances[i]);
	}
}
