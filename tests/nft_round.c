// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * nft-round SEED RULES: random rules that one nft rule says in full, exported and imported again: the normal form is the
 * same. Rules that become several nft rules, or none, are counted and left out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_random.h"
#include "policy/import.h"
#include "policy/nft.h"

#define BIT(field) (1u << (field))

static uint64_t seed, n_same, n_left_out;

static void fail(const char *what, const struct buf *a, const struct buf *b)
{
	printf("seed %llu: %s\n%.*s\n%.*s\n", (unsigned long long)seed, what, a ? (int)a->len : 0,
	       a ? (const char *)a->data : "", b ? (int)b->len : 0, b ? (const char *)b->data : "");
	exit(1);
}

static struct policy *parse(const struct buf *text)
{
	struct policy_files files = {.read = random_files_read, .ctx = (void *)(uintptr_t)text};
	struct sluice_err err = {0};
	struct policy *p;

	if (policy_read("random.conf", &files, &p, &err))
		fail(err.text, text, NULL);
	return p;
}

static bool common(const struct policy_match *m)
{
	uint32_t i;

	switch ((enum policy_field)m->field) {
	case POLICY_FROM:
	case POLICY_TO:
		for (i = 0; i < m->list.n; i++)
			if (m->list.v[i].kind == POLICY_SET)
				return false;
		return true;
	case POLICY_PROTO:
	case POLICY_FLAGS:
	case POLICY_ICMP_TYPE:
	case POLICY_ICMP_CODE:
	case POLICY_FROM_PORT:
	case POLICY_TO_PORT:
	case POLICY_TTL:
	case POLICY_DSCP:
	case POLICY_VLAN:
	case POLICY_FRAGMENT:
		return true;
	default:
		return false;
	}
}

/* One rule of IPv4 out of a random policy. */
static struct policy *one_rule(struct random_state *r, struct buf *text)
{
	struct policy *tree = calloc(1, sizeof(*tree)), *p;
	struct policy_value v4 = {.kind = POLICY_NUM, .num = {4, 4}};
	struct policy_stmt *s;
	uint32_t i, n = 1;

	do {
		arena_free(&tree->arena);
		memset(tree, 0, sizeof(*tree));
		random_policy(r, tree, 1);
	} while (!tree->filters[0].n_stmts);
	s = tree->filters[0].stmts;
	tree->n_filters = 1;
	tree->filters[0].shadow = false;
	for (i = 0; i < s->n_matches; i++)
		if (s->matches[i].field != POLICY_FAMILY && common(&s->matches[i]))
			s->matches[n++ - 1] = s->matches[i];
	/* ip4 goes in front, in room of its own */
	n--;
	struct policy_match *m = arena_add(&tree->arena, (n + 1) * sizeof(*m));
	m[0] = (struct policy_match){.field = POLICY_FAMILY, .list = {&v4, 1}};
	memcpy(m + 1, s->matches, n * sizeof(*m));
	s->matches = m;
	s->n_matches = n + 1;
	s->log = false;
	if (s->action == POLICY_REDIRECT || s->action == POLICY_CPU || s->action == POLICY_LOG)
		s->action = POLICY_DROP;
	s->limit.per = POLICY_PER_RULE;
	s->limit.rate = (struct policy_rate){.amount = 1 + random_below(r, 1000), .seconds = 60};
	policy_print(tree, text);
	p = parse(text);
	arena_free(&tree->arena);
	free(tree);
	return p;
}

static bool same_bytes(const struct policy_bytes *a, const struct policy_bytes *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool same_spans(const struct policy_spans16 *a, const struct policy_spans16 *b)
{
	return a->n == b->n && (!a->n || !memcmp(a->v, b->v, a->n * sizeof(*a->v)));
}

static bool same_addrs(const struct policy_addrs *a, const struct policy_addrs *b)
{
	return a->n == b->n && (!a->n || !memcmp(a->v4, b->v4, a->n * sizeof(*a->v4)));
}

#define UPPER \
	(BIT(POLICY_FROM_PORT) | BIT(POLICY_TO_PORT) | BIT(POLICY_FLAGS) | BIT(POLICY_ICMP_TYPE) | BIT(POLICY_ICMP_CODE))

/* What has ports and the like is no later fragment. */
static uint8_t fragments(const struct policy_rule *r)
{
	return r->fields & UPPER ? r->fragment & 3 : r->fragment;
}

/* Without the conditions that all packets meet: what is not asked for need not be said. */
static uint32_t fields(const struct policy_rule *r)
{
	static const struct policy_bytes all = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
	uint32_t f = r->fields;

	if (f & BIT(POLICY_FROM) && r->ip[0].from.n == 1 && !r->ip[0].from.v4->first &&
	    r->ip[0].from.v4->last == UINT32_MAX)
		f &= ~BIT(POLICY_FROM);
	if (f & BIT(POLICY_TO) && r->ip[0].to.n == 1 && !r->ip[0].to.v4->first && r->ip[0].to.v4->last == UINT32_MAX)
		f &= ~BIT(POLICY_TO);
	if (r->vlan.n == 1 && !r->vlan.v->first && r->vlan.v->last == POLICY_VLAN_NONE)
		f &= ~BIT(POLICY_VLAN);
	if (same_bytes(&r->ttl, &all))
		f &= ~BIT(POLICY_TTL);
	if (same_bytes(&r->icmp_code, &all))
		f &= ~BIT(POLICY_ICMP_CODE);
	if (same_bytes(&r->ip[0].proto, &all))
		f &= ~BIT(POLICY_PROTO);
	if (r->dscp == UINT64_MAX)
		f &= ~BIT(POLICY_DSCP);
	if (f & BIT(POLICY_ICMP_CODE) || same_bytes(&r->ip[0].icmp_type, &all))
		f &= ~BIT(POLICY_ICMP_TYPE); /* a code alone is a code of any type */
	if (fragments(r) == 7 || (fragments(r) == 3 && r->fields & UPPER))
		f &= ~BIT(POLICY_FRAGMENT);
	return f;
}

static const char *differs(const struct policy_rule *a, const struct policy_rule *b)
{
	uint32_t f = fields(a);

	if (a->stmt->action != b->stmt->action)
		return "another action";
	if (a->families != b->families || f != fields(b))
		return "other fields";
	if ((f & BIT(POLICY_FROM) && !same_addrs(&a->ip[0].from, &b->ip[0].from)) ||
	    (f & BIT(POLICY_TO) && !same_addrs(&a->ip[0].to, &b->ip[0].to)))
		return "other addresses";
	if (!same_bytes(&a->flags, &b->flags) || (f & BIT(POLICY_PROTO) && !same_bytes(&a->ip[0].proto, &b->ip[0].proto)))
		return "other protocols or flags";
	if (!same_spans(&a->from_port, &b->from_port) || !same_spans(&a->to_port, &b->to_port) ||
	    (f & BIT(POLICY_VLAN) && !same_spans(&a->vlan, &b->vlan)))
		return "other ports or tags";
	if ((f & BIT(POLICY_TTL) && !same_bytes(&a->ttl, &b->ttl)) ||
	    (f & BIT(POLICY_ICMP_TYPE) && !same_bytes(&a->ip[0].icmp_type, &b->ip[0].icmp_type)) ||
	    (f & BIT(POLICY_ICMP_CODE) && !same_bytes(&a->icmp_code, &b->icmp_code)))
		return "another TTL, type or code";
	if ((f & BIT(POLICY_DSCP) && a->dscp != b->dscp) || (f & BIT(POLICY_FRAGMENT) && fragments(a) != fragments(b)))
		return "another DSCP or fragment";
	if (a->stmt->action == POLICY_LIMIT &&
	    (a->stmt->limit.rate.amount != b->stmt->limit.rate.amount || a->stmt->limit.burst != b->stmt->limit.burst))
		return "another limit";
	return NULL;
}

static uint32_t count(const struct buf *b, const char *word)
{
	const char *at = (const char *)b->data;
	uint32_t n = 0;

	while ((at = memmem(at, b->len - (size_t)(at - (const char *)b->data), word, strlen(word)))) {
		n++;
		at++;
	}
	return n;
}

static void one(struct random_state *r)
{
	struct nft_text out = {0};
	struct import_text in = {0};
	struct sluice_err err = {0};
	struct buf text = {0};
	struct policy *a = one_rule(r, &text), *b;
	const char *what;

	if (nft_export(a, 0, "eth0", &out, &err))
		fail(err.text, &text, NULL);
	if (out.n_notes || count(&out.ruleset, " comment \"") != (a->filters[0].stmts->action == POLICY_LIMIT ? 3u : 2u)) {
		n_left_out++;
	} else {
		if (import_read(IMPORT_NFT, "out", (const char *)out.ruleset.data, out.ruleset.len, NULL, &in, &err))
			fail(err.text, &out.ruleset, NULL);
		b = parse(&in.policy);
		/* the rule, and the counter of the default */
		what = in.n_notes || b->filters[0].n_stmts != 2
			       ? "it did not come back"
			       : differs(&a->rulesets[0].rules[0], &b->rulesets[0].rules[0]);
		if (!what && a->filters[0].default_drop != b->filters[0].default_drop)
			what = "another default";
		if (what) {
			printf("%.*s", (int)text.len, (const char *)text.data);
			fail(what, &out.ruleset, &in.policy);
		}
		n_same++;
		policy_free(b);
	}
	nft_text_free(&out);
	import_text_free(&in);
	policy_free(a);
	buf_free(&text);
}

int main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 2000, i;
	struct random_state r;

	for (i = 0; i < n; i++) {
		seed = first + i;
		r.s = seed * 0x9e3779b97f4a7c15 | 1;
		one(&r);
	}
	printf("%u rules, %llu the same, %llu left out\n", n, (unsigned long long)n_same, (unsigned long long)n_left_out);
	return n_same * 2 > n ? 0 : 1;
}
