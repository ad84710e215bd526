// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A filter as an nftables ruleset: sets, the chain, what is done with a packet. Conditions are nft_cond.c's. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "policy/nft_parts.h"

#define PORTED "{ 6, 17, 33, 132, 136 }" /* the protocols with ports: TCP, UDP, DCCP, SCTP, UDP-Lite */
#define KEYS_MAX 65536			 /* that a limit per source remembers */

static const char head[] =
	"# A policy of Sluice as nftables rules: the same for packets that are whole and sound, with at most one\n"
	"# 802.1Q or 802.1ad tag. Behind a second tag, and of damaged packets, nft sees less; of extension headers it\n"
	"# knows hop-by-hop, routing, fragment and destination options. Counters have the names of the rules.\n"
	"table netdev sluice\n"
	"delete table netdev sluice\n"
	"table netdev sluice {\n";

/* In one line, and without what would end a string of nft's. */
static void clean(struct buf *to, const char *s, size_t len)
{
	size_t i;
	char c;

	for (i = 0; i < len; i++) {
		c = (unsigned char)s[i] < ' ' || s[i] == 0x7f ? '?' : s[i] == '"' ? '\'' : s[i];
		buf_put(to, &c, 1);
	}
}

static void comment(struct nft *x, const char *suffix)
{
	const struct policy_stmt *s = x->rule->stmt;

	buf_printf(&x->rules, " comment \"");
	if (s->name)
		clean(&x->rules, s->name, strlen(s->name));
	else
		buf_printf(&x->rules, "#%u", x->rule->index + 1);
	buf_printf(&x->rules, "%s\"\n", suffix);
}

/* A comment in place and a line of the notes. */
static void note(struct nft *x, const char *what, const char *why)
{
	const struct policy_stmt *s = x->rule->stmt;
	struct policy_where w = policy_where(x->p, s->pos);
	struct buf text = {0};

	policy_stmt_print(s, &text);
	x->to->n_notes++;
	buf_printf(&x->rules, "\t\t# %s, %s: ", what, why);
	clean(&x->rules, (const char *)text.data, text.len);
	buf_printf(&x->rules, "\n");
	buf_printf(&x->to->notes, "%s:%u: %s, %s: ", w.path, w.line, what, why);
	buf_put(&x->to->notes, text.data, text.len);
	buf_printf(&x->to->notes, "\n");
	x->to->notes.failed |= text.failed;
	buf_free(&text);
}

/* --- one rule in each of its variants --- */

static uint32_t variants(const struct nft_cond *c)
{
	uint32_t n = 1, i;

	for (i = 0; i < c->n && n <= NFT_VARIANTS_MAX; i++)
		n *= c->factors[i].n;
	return n;
}

/* Conditions of variant number nr, with a blank behind each. */
static void condition(struct nft *x, const struct nft_cond *c, uint32_t nr)
{
	uint32_t i;

	buf_printf(&x->rules, "\t\t");
	for (i = 0; i < c->n; i++) {
		buf_printf(&x->rules, "%s ", c->factors[i].v[nr % c->factors[i].n]);
		nr /= c->factors[i].n;
	}
}

static const char *unit(const struct policy_rate *r)
{
	return r->seconds == 1 ? "second" : r->seconds == 60 ? "minute" : r->seconds == 3600 ? "hour" : "day";
}

/* "rate over 100/second burst 10 packets" */
static void rate(struct buf *to, const struct policy_limit *l)
{
	if (l->rate.bits)
		buf_printf(to, "rate over %" PRIu64 " bytes/second burst %" PRIu64 " bytes",
			   l->rate.amount / 8 ? l->rate.amount / 8 : 1, l->burst / 8 ? l->burst / 8 : 1);
	else
		buf_printf(to, "rate over %" PRIu64 "/%s burst %" PRIu64 " packets", l->rate.amount,
			   unit(&l->rate), l->burst);
}

static void logging(struct nft *x, struct buf *to)
{
	const struct policy_stmt *s = x->rule->stmt;
	uint64_t burst;

	if (s->log_every != 1)
		buf_printf(to, "numgen inc mod %u == 0 ", s->log_every);
	burst = s->log_max.amount / s->log_max.seconds;
	buf_printf(to, "limit rate %" PRIu64 "/%s burst %" PRIu64 " packets log prefix \"", s->log_max.amount,
		   unit(&s->log_max), burst ? burst : 1);
	if (s->name)
		clean(to, s->name, strlen(s->name));
	else
		buf_printf(to, "#%u", x->rule->index + 1);
	buf_printf(to, ": \"");
}

static const char *verdict(struct nft *x)
{
	const struct policy_stmt *s = x->rule->stmt;
	bool shadow = x->p->filters[x->filter].shadow;

	switch ((enum policy_action)s->action) {
	case POLICY_PASS:
	case POLICY_CPU:
		return " accept";
	case POLICY_DROP:
		return shadow ? " accept" : " drop";
	case POLICY_REDIRECT:
		return shadow ? " accept" : nft_say(x, " fwd to \"%s\"", s->redirect);
	default:
		return "";
	}
}

static void plain(struct nft *x, const struct nft_cond *c)
{
	const char *v = verdict(x);
	uint32_t nr, n = variants(c);

	for (nr = 0; nr < n && v; nr++) {
		if (x->rule->stmt->log) {
			condition(x, c, nr);
			logging(x, &x->rules);
			buf_printf(&x->rules, "\n");
		}
		condition(x, c, nr);
		buf_printf(&x->rules, "counter%s", v);
		comment(x, "");
	}
}

/* --- limits --- */

struct key {
	char text[160]; /* what buckets are told apart by; empty: one bucket for all */
	char also[80];	/* a condition more */
	char name[64];	/* of the set, or of the limit */
};

static void masked(char *to, size_t size, const char *word, unsigned int len, bool v6)
{
	struct net_addr mask = {.v6 = v6};
	char said[NET_ADDR_TEXT];
	unsigned int i;

	for (i = 0; i < len; i++)
		mask.bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
	if (len == (v6 ? 128u : 32u))
		snprintf(to, size, "%s", word);
	else
		snprintf(to, size, "%s & %s", word, net_addr_format(&mask, said, sizeof(said)));
}

/* The keys of one family; flows with ports apart from those without. */
static uint32_t keys(struct nft *x, uint8_t fam, struct key k[2])
{
	const struct policy_limit *l = &x->rule->stmt->limit;
	bool v6 = fam == POLICY_V6, by_ip = fam == POLICY_V4 || v6;
	const char *ip = v6 ? "ip6" : "ip", *word;
	uint32_t i;

	memset(k, 0, 2 * sizeof(*k));
	snprintf(k[0].name, sizeof(k[0].name), "limit_%u_%u%s", x->filter + 1, x->rule->index + 1,
		 l->per == POLICY_PER_RULE || !by_ip ? "" : v6 ? "_v6" : "_v4");
	if (l->per == POLICY_PER_RULE || !by_ip)
		return 1;
	if (l->per != POLICY_PER_FLOW) {
		word = l->per == POLICY_PER_SOURCE ? (v6 ? "ip6 saddr" : "ip saddr")
						   : (v6 ? "ip6 daddr" : "ip daddr");
		masked(k[0].text, sizeof(k[0].text), word, v6 ? l->len6 : l->len4, v6);
		return 1;
	}
	snprintf(k[1].name, sizeof(k[1].name), "%.50s_other", k[0].name);
	for (i = 0; i < 2; i++) {
		snprintf(k[i].text, sizeof(k[i].text), "%s saddr . %s daddr . meta l4proto%s", ip, ip,
			 i ? "" : " . th sport . th dport");
		snprintf(k[i].also, sizeof(k[i].also), i    ? "meta l4proto != " PORTED " "
			 : v6 ? "meta l4proto " PORTED " exthdr frag missing "
			      : "meta l4proto " PORTED " ip frag-off & 0x1fff == 0 ");
	}
	return 2;
}

/* The set or limit that a bucket needs. */
static void bucket(struct nft *x, const struct key *k, bool v6)
{
	const struct policy_limit *l = &x->rule->stmt->limit;
	uint64_t idle = l->burst * l->rate.seconds / l->rate.amount + 1; /* then it is full again */

	if (!k->text[0]) {
		buf_printf(&x->objects, "\tlimit %s { ", k->name);
		rate(&x->objects, l);
		buf_printf(&x->objects, "; }\n");
		return;
	}
	buf_printf(&x->objects, "\tset %s { ", k->name);
	if (l->per == POLICY_PER_FLOW)
		buf_printf(&x->objects, "typeof %s", k->text);
	else
		buf_printf(&x->objects, "type %s", v6 ? "ipv6_addr" : "ipv4_addr");
	buf_printf(&x->objects, "; size %d; flags dynamic, timeout; timeout %" PRIu64 "s; }\n", KEYS_MAX,
		   idle < 60 ? 60 : idle > 86400 ? 86400 : idle);
}

static void over(struct nft *x, const struct nft_cond *c, const struct key *k, bool named)
{
	const struct policy_stmt *s = x->rule->stmt;
	const char *verdict_word = x->p->filters[x->filter].shadow ? "accept" : "drop";
	uint32_t nr, n = variants(c);

	for (nr = 0; nr < n; nr++) {
		condition(x, c, nr);
		buf_printf(&x->rules, "%s", k->also);
		if (k->text[0]) {
			buf_printf(&x->rules, "update @%s { %s limit ", k->name, k->text);
			rate(&x->rules, &s->limit);
			buf_printf(&x->rules, " } ");
		} else if (named) {
			buf_printf(&x->rules, "limit name \"%s\" ", k->name);
		} else {
			buf_printf(&x->rules, "limit ");
			rate(&x->rules, &s->limit);
			buf_printf(&x->rules, " ");
		}
		if (s->log)
			buf_printf(&x->rules, "counter jump log_%u_%u", x->filter + 1, x->rule->index + 1);
		else
			buf_printf(&x->rules, "counter %s", verdict_word);
		comment(x, ": over");
	}
}

/* What is over the rate is dropped and counted apart; what is within goes on. */
static void limiting(struct nft *x, const struct nft_cond *conds, const uint8_t *fams, uint32_t n_fams)
{
	const struct policy_stmt *s = x->rule->stmt;
	uint32_t i, j, n, nr, total = 0;
	bool told = false, named;
	struct key k[2];

	for (i = 0; i < n_fams; i++)
		total += s->limit.per == POLICY_PER_RULE || fams[i] == POLICY_NO_IP ? variants(&conds[i]) : 0;
	named = total > 1;
	if (s->log) {
		buf_printf(&x->objects, "\tchain log_%u_%u {\n\t\t", x->filter + 1, x->rule->index + 1);
		logging(x, &x->objects);
		buf_printf(&x->objects, "\n\t\t%s\n\t}\n", x->p->filters[x->filter].shadow ? "accept" : "drop");
	}
	for (i = 0; i < n_fams; i++) {
		n = keys(x, fams[i], k);
		for (j = 0; j < n; j++) {
			if (k[j].text[0] || (named && !told))
				bucket(x, &k[j], fams[i] == POLICY_V6);
			told |= !k[j].text[0];
			over(x, &conds[i], &k[j], named);
		}
	}
	for (i = 0; i < n_fams; i++) {
		for (nr = 0; nr < variants(&conds[i]); nr++) {
			condition(x, &conds[i], nr);
			buf_printf(&x->rules, "counter");
			comment(x, "");
		}
	}
	if (s->limit.rate.bits)
		note(x, "not exact", "nft counts bytes from the IP header on");
	if (s->limit.per == POLICY_PER_FLOW)
		note(x, "not exact", "nft does not limit fragments by flow");
}

/* --- rules, sets, the chain --- */

static uint32_t families(const struct policy_rule *r, uint8_t fams[3])
{
	bool limited = r->stmt->action == POLICY_LIMIT && r->stmt->limit.per != POLICY_PER_RULE;
	uint32_t n = 0;
	uint8_t bit;

	if (!nft_needs_ip(r) && !limited) {
		fams[0] = 7;
		return 1;
	}
	if (!nft_splits(r) && !limited && (r->families & 3) == 3) {
		fams[0] = POLICY_V4 | POLICY_V6;
		return 1;
	}
	for (bit = POLICY_V4; bit <= POLICY_NO_IP; bit <<= 1)
		if (r->families & bit)
			fams[n++] = bit;
	return n;
}

static void rule(struct nft *x)
{
	struct nft_cond conds[3];
	uint8_t fams[3];
	uint32_t i, n = families(x->rule, fams), total = 0;

	if (x->rule->never) {
		buf_printf(&x->rules, "\t\t# no packet can match rule #%u\n", x->rule->index + 1);
		return;
	}
	for (i = 0; i < n; i++) {
		nft_condition(x, fams[i], &conds[i]);
		if (!x->why && (total += variants(&conds[i])) > NFT_VARIANTS_MAX)
			x->why = "it takes too many nft rules";
		if (x->why) {
			note(x, "not exported", x->why);
			return;
		}
	}
	if (x->rule->stmt->action == POLICY_LIMIT) {
		limiting(x, conds, fams, n);
		return;
	}
	for (i = 0; i < n; i++)
		plain(x, &conds[i]);
	if (x->rule->stmt->action == POLICY_CPU)
		note(x, "not exact", "nft does not spread packets over CPUs, they pass");
}

static void set(struct buf *to, const struct policy_set *s, bool v6)
{
	uint32_t n = v6 ? s->spans.n6 : s->spans.n4, i;
	struct policy_range r = {.v6 = v6};
	char said[POLICY_RANGE_TEXT];

	if (s->timeout_ns)
		buf_printf(to, "\t# elements that are added get a timeout of %" PRIu64 "s each\n",
			   s->timeout_ns / 1000000000);
	buf_printf(to, "\tset %s_v%d {\n\t\ttype %s\n\t\tflags interval%s\n%s", s->name, v6 ? 6 : 4,
		   v6 ? "ipv6_addr" : "ipv4_addr", s->timeout_ns ? ", timeout" : "", s->counters ? "\t\tcounter\n" : "");
	for (i = 0; i < n; i++) {
		if (v6) {
			r.first = s->spans.v6[i].first;
			r.last = s->spans.v6[i].last;
		} else {
			r.first.lo = s->spans.v4[i].first;
			r.last.lo = s->spans.v4[i].last;
		}
		buf_printf(to, "%s%s", !i ? "\t\telements = { " : i % 4 ? ", " : ",\n\t\t\t     ",
			   policy_range_format(&r, said, sizeof(said)));
	}
	buf_printf(to, n ? " }\n\t}\n" : "\t}\n");
}

static int chain(struct nft *x, const char *device, struct sluice_err *err)
{
	const struct policy_filter *f = &x->p->filters[x->filter];
	const struct policy_ruleset *set = &x->p->rulesets[x->filter];
	uint32_t i;

	buf_printf(&x->rules, "\tchain filter_%u {\n\t\ttype filter hook ingress devices = { ", x->filter + 1);
	for (i = 0; i < (device ? 1 : f->on.n); i++) {
		if (!device && strpbrk(f->on.v[i].text, "*?"))
			return err_set(err, -EINVAL,
				       "the filter on %s: nft wants the name of an interface, give one with --on",
				       f->on.v[i].text);
		buf_printf(&x->rules, "%s\"%s\"", i ? ", " : "", device ? device : f->on.v[i].text);
	}
	buf_printf(&x->rules, " } priority filter; policy %s;\n", f->default_drop && !f->shadow ? "drop" : "accept");
	if (f->shadow)
		buf_printf(&x->rules, "\t\t# in shadow: everything is counted, all packets pass\n");
	for (i = 0; i < set->n; i++) {
		x->rule = &set->rules[i];
		rule(x);
		if (x->arena.failed || x->rules.failed)
			return err_nomem(err);
		arena_free(&x->arena);
		memset(&x->arena, 0, sizeof(x->arena));
	}
	buf_printf(&x->rules, "\t\tcounter comment \"default\"\n\t}\n");
	buf_put(&x->to->ruleset, x->objects.data, x->objects.len);
	buf_put(&x->to->ruleset, x->rules.data, x->rules.len);
	x->objects.len = x->rules.len = 0;
	return 0;
}

int nft_export(const struct policy *p, uint32_t filter, const char *device, struct nft_text *to,
	       struct sluice_err *err)
{
	struct nft x = {.p = p, .to = to};
	uint32_t i;
	int e = 0;

	for (i = 0; i < p->n_balances; i++)
		buf_printf(&to->ruleset, "# Not here: balance %s\n", p->balances[i].name);
	buf_printf(&to->ruleset, "%s", head);
	for (i = 0; i < p->n_sets; i++) {
		set(&to->ruleset, &p->sets[i], false);
		set(&to->ruleset, &p->sets[i], true);
	}
	for (i = 0; i < p->n_filters && !e; i++) {
		x.filter = i;
		if (filter == UINT32_MAX || filter == i)
			e = chain(&x, device, err);
	}
	buf_printf(&to->ruleset, "}\n");
	if (!e && (to->ruleset.failed || to->notes.failed || x.objects.failed || x.scratch.failed))
		e = err_nomem(err);
	arena_free(&x.arena);
	buf_free(&x.scratch);
	buf_free(&x.objects);
	buf_free(&x.rules);
	return e;
}

void nft_text_free(struct nft_text *t)
{
	buf_free(&t->ruleset);
	buf_free(&t->notes);
}
