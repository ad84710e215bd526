// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rules that are never reached, because an earlier one decides for every packet they match.
 *
 * Comparing each with each would take hours for a hundred thousand. An earlier rule that covers a later one
 * covers any single one of its addresses, too. So every rule that decides is filed under its prefixes
 * (source, destination; any is the prefix of no bits), and a later rule looks under the prefixes that hold
 * its first source and its first destination: as many look-ups as there are pairs of prefix lengths in use
 * that exist for both. Inside a cell rules are told apart by their first destination port. What has sets, or
 * too many prefixes to be filed under each, waits in one short list. The work is bounded; beyond the bound
 * there are fewer warnings, never wrong ones.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "policy/policy.h"

#define NONE UINT32_MAX
#define WIDE_MAX 64	     /* rules that are compared with every later one */
#define PLACES_MAX 16	     /* cells that one rule is filed in */
#define CHAIN_MAX 64	     /* comparisons within a cell */
#define STEPS_MAX 40000000ul /* comparisons, each in units of 16 spans, and look-ups */

/* A prefix: address and length, 0 to 128. IPv4 is ::ffff:0:0/96 here, any is the prefix of no bits. */
struct key {
	struct policy_addr6 from, to;
	uint8_t from_len, to_len;
	bool has_port;
	uint16_t port;
};

struct entry {
	struct key key;
	uint32_t rule, next; /* the next of this cell */
};

struct reach {
	struct policy *p;
	const struct policy_ruleset *set;
	uint32_t *heads; /* n_heads, a power of two */
	uint32_t n_heads;
	struct entry *entries;
	uint32_t n, cap;
	uint32_t from_used[129]; /* rules filed under a source prefix of this length */
	bool pair_used[129 * 129];
	uint32_t wide[WIDE_MAX], n_wide;
	uint64_t steps;
	uint64_t *from_known; /* a filter: hashes of the source prefixes that occur */
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15;
	return h ^ h >> 29;
}

static uint64_t hash_from(const struct key *k)
{
	return mix(mix(mix(0x51ab, k->from.hi), k->from.lo), k->from_len);
}

static uint64_t hash(const struct key *k)
{
	return mix(mix(mix(hash_from(k), k->to.hi), k->to.lo),
		   (uint64_t)k->to_len << 32 | k->has_port << 16 | k->port);
}

static bool same_key(const struct key *a, const struct key *b)
{
	return !policy_addr6_cmp(a->from, b->from) && !policy_addr6_cmp(a->to, b->to) &&
	       a->from_len == b->from_len && a->to_len == b->to_len && a->has_port == b->has_port &&
	       a->port == b->port;
}

static struct policy_addr6 cut(struct policy_addr6 a, uint32_t len)
{
	a.hi &= len ? len < 64 ? UINT64_MAX << (64 - len) : UINT64_MAX : 0;
	a.lo &= len > 64 ? UINT64_MAX << (128 - len) : 0;
	return a;
}

static struct policy_addr6 mapped(uint32_t v4)
{
	return (struct policy_addr6){0, UINT64_C(0xffff00000000) | v4};
}

struct prefix {
	struct policy_addr6 addr;
	uint8_t len;
};

/*
 * The prefixes of one side in one family, at most max; -1 if there are more, or sets. A negated side with
 * sets has no prefixes either.
 */
static int prefixes(const struct policy_rule *r, bool v6, enum policy_field field, struct prefix *out,
		    int max)
{
	const struct policy_addrs *a = field == POLICY_FROM ? &r->ip[v6].from : &r->ip[v6].to;
	struct policy_span4 s4 = {0};
	struct policy_span6 s6 = {{0}};
	bool more;
	int n = 0;
	uint32_t i;

	if (!(r->fields >> field & 1)) {
		out[0] = (struct prefix){{0, 0}, 0};
		return 1;
	}
	if (a->n_sets)
		return -1;
	for (i = 0; i < a->n; i++) {
		if (v6)
			s6 = a->v6[i];
		else
			s4 = a->v4[i];
		for (more = true; more; n++) {
			if (n == max)
				return -1;
			out[n].addr = v6 ? s6.first : mapped(s4.first);
			out[n].len = (uint8_t)(v6 ? policy_span6_take(&s6, &more)
						  : 96 + policy_span4_take(&s4, &more));
		}
	}
	return n;
}

static bool single_port(const struct policy_rule *r, uint16_t *port)
{
	*port = 0;
	if (!(r->fields >> POLICY_TO_PORT & 1) || r->to_port.n != 1 ||
	    r->to_port.v->first != r->to_port.v->last)
		return false;
	*port = r->to_port.v->first;
	return true;
}

static int file_one(struct reach *c, const struct key *key, uint32_t rule)
{
	struct entry *e;
	uint64_t h;

	if (c->n == c->cap) {
		e = reallocarray(c->entries, c->cap ? c->cap * 2ul : 1024, sizeof(*e));
		if (!e)
			return -ENOMEM;
		c->entries = e;
		c->cap = c->cap ? c->cap * 2 : 1024;
	}
	h = hash(key) & (c->n_heads - 1);
	c->entries[c->n] = (struct entry){*key, rule, c->heads[h]};
	c->heads[h] = c->n++;
	c->from_used[key->from_len]++;
	c->pair_used[key->from_len * 129 + key->to_len] = true;
	h = hash_from(key) & (c->n_heads * 64ul - 1);
	c->from_known[h / 64] |= UINT64_C(1) << (h % 64);
	return 0;
}

/* Files a rule that decides. Families apart; rules about anything but IP count as IPv6, they have no
 * addresses. */
static int file(struct reach *c, uint32_t i)
{
	const struct policy_rule *r = &c->set->rules[i];
	struct prefix from[PLACES_MAX], to[PLACES_MAX];
	struct key key = {.has_port = false};
	int n_from, n_to, a, b, e = 0, places = 0;
	bool v6;

	key.has_port = single_port(r, &key.port);
	for (v6 = false;; v6 = true) {
		if (r->families & (v6 ? POLICY_V6 | POLICY_NO_IP : POLICY_V4)) {
			n_from = prefixes(r, v6, POLICY_FROM, from, PLACES_MAX);
			n_to = prefixes(r, v6, POLICY_TO, to, PLACES_MAX);
			if (n_from < 0 || n_to < 0 || (places += n_from * n_to) > PLACES_MAX) {
				if (c->n_wide < WIDE_MAX)
					c->wide[c->n_wide++] = i;
				return 0;
			}
			for (a = 0; a < n_from && !e; a++) {
				for (b = 0; b < n_to && !e; b++) {
					key.from = from[a].addr;
					key.from_len = from[a].len;
					key.to = to[b].addr;
					key.to_len = to[b].len;
					e = file_one(c, &key, i);
				}
			}
		}
		if (v6 || e)
			return e;
	}
}

static uint64_t weight(const struct policy_rule *r)
{
	return 1 + (r->ip[0].from.n + r->ip[0].to.n + r->ip[1].from.n + r->ip[1].to.n + r->to_port.n +
		    r->from_port.n) /
			   16;
}

static bool covers(struct reach *c, uint32_t earlier, const struct policy_rule *r)
{
	c->steps += weight(r) + weight(&c->set->rules[earlier]);
	return policy_rule_covers(&c->set->rules[earlier], r);
}

static uint32_t look(struct reach *c, const struct key *key, const struct policy_rule *r)
{
	uint32_t at, tried = 0;

	c->steps++;
	for (at = c->heads[hash(key) & (c->n_heads - 1)]; at != NONE && tried < CHAIN_MAX;
	     at = c->entries[at].next) {
		tried++;
		if (same_key(&c->entries[at].key, key) && covers(c, c->entries[at].rule, r))
			return c->entries[at].rule;
	}
	return NONE;
}

/* A first address of one side; len: how long the longest prefix is that may cover it. */
static bool first_of(const struct policy_rule *r, bool v6, enum policy_field field, struct prefix *out)
{
	const struct policy_addrs *a = field == POLICY_FROM ? &r->ip[v6].from : &r->ip[v6].to;

	*out = (struct prefix){{0, 0}, 0};
	if (!(r->fields >> field & 1) || a->n_sets)
		return true;
	if (!a->n)
		return false;
	out->addr = v6 ? a->v6[0].first : mapped(a->v4[0].first);
	out->len = 128;
	return true;
}

/* An earlier rule that covers this one, or NONE. */
static uint32_t find(struct reach *c, const struct policy_rule *r)
{
	bool v6 = !(r->families & POLICY_V4);
	uint32_t i, found = NONE, f, t;
	struct prefix from, to;
	struct key key;
	uint16_t port;
	uint64_t h;
	bool has_port = single_port(r, &port);

	for (i = 0; i < c->n_wide; i++)
		if (covers(c, c->wide[i], r))
			return c->wide[i];
	if (!first_of(r, v6, POLICY_FROM, &from) || !first_of(r, v6, POLICY_TO, &to))
		return NONE;
	for (f = 0; f <= from.len && found == NONE; f++) {
		if (!c->from_used[f])
			continue;
		key = (struct key){.from = cut(from.addr, f), .from_len = (uint8_t)f};
		c->steps++;
		h = hash_from(&key) & (c->n_heads * 64ul - 1);
		if (!(c->from_known[h / 64] >> (h % 64) & 1))
			continue;
		for (t = 0; t <= to.len && found == NONE; t++) {
			if (!c->pair_used[f * 129 + t])
				continue;
			key.to = cut(to.addr, t);
			key.to_len = (uint8_t)t;
			key.has_port = false;
			key.port = 0;
			found = look(c, &key, r);
			key.has_port = true;
			key.port = port;
			if (found == NONE && has_port)
				found = look(c, &key, r);
		}
	}
	return found;
}

static bool decides(const struct policy_rule *r)
{
	return r->stmt->action == POLICY_PASS || r->stmt->action == POLICY_DROP ||
	       r->stmt->action == POLICY_REDIRECT || r->stmt->action == POLICY_CPU;
}

static int one_filter(struct reach *c)
{
	const struct policy_rule *r;
	struct policy_where w;
	uint32_t i, found;
	int e = 0;

	for (i = 0; i < c->set->n && !e && c->steps < STEPS_MAX; i++) {
		r = &c->set->rules[i];
		if (r->never)
			continue;
		found = find(c, r);
		if (found != NONE) {
			w = policy_where(c->p, c->set->rules[found].stmt->pos);
			policy_warn(c->p, r->stmt->pos,
				    "this rule is never reached: the one in %s:%u decides for all that it "
				    "matches",
				    w.path, w.line);
		} else if (decides(r)) {
			e = file(c, i);
		}
	}
	if (i < c->set->n && !e)
		policy_warn(c->p, c->set->rules[i].stmt->pos,
			    "from here on it was not looked for rules that are never reached, there are too "
			    "many lists");
	return e;
}

int policy_reach(struct policy *p, struct sluice_err *err)
{
	struct reach *c = calloc(1, sizeof(*c));
	uint32_t f;
	int e = c ? 0 : -ENOMEM;

	for (f = 0; f < p->n_filters && !e; f++) {
		memset(c, 0, sizeof(*c));
		c->p = p;
		c->set = &p->rulesets[f];
		for (c->n_heads = 64; c->n_heads < c->set->n * 2; c->n_heads *= 2)
			;
		c->heads = malloc(c->n_heads * sizeof(*c->heads));
		c->from_known = calloc(c->n_heads, sizeof(*c->from_known));
		if (c->heads && c->from_known) {
			memset(c->heads, 0xff, c->n_heads * sizeof(*c->heads));
			e = one_filter(c);
		} else {
			e = -ENOMEM;
		}
		free(c->heads);
		free(c->from_known);
		free(c->entries);
	}
	free(c);
	return e ? err_nomem(err) : 0;
}
