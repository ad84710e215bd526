// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Few rules as bits: for each thing a packet has, words with the bits of the rules it suits. A rule of the
 * language is a product (sources and destinations and services...), so that the words ANDed are exactly the
 * rules that match.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filter/work.h"

#define EDGES_MAX 8192 /* ends of spans on one side */
#define BYTES_MAX (512u << 10)

/* From `at` on other rules suit: those of bits are turned round. */
struct edge {
	uint64_t at;
	uint64_t bits;
};

/* Spans of numbers with words: until the next edge. */
struct line {
	struct edge *v;
	uint32_t n;
};

static int by_place(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static void add_span(struct buf *to, uint64_t first, uint64_t last, uint64_t bit)
{
	struct edge on = {first, bit}, off = {last + 1, bit};

	buf_put(to, &on, sizeof(on));
	buf_put(to, &off, sizeof(off));
}

/* Edges in any order to words by place, beginning at 0. */
static void straighten(struct buf *edges, struct line *l)
{
	uint64_t word = 0;
	uint32_t i, n;

	l->v = (struct edge *)(void *)edges->data;
	l->n = 0;
	n = (uint32_t)(edges->len / sizeof(*l->v));
	qsort(l->v, n, sizeof(*l->v), by_place);
	for (i = 0; i < n; i++) {
		word ^= l->v[i].bits;
		if (l->n && l->v[l->n - 1].at == l->v[i].at)
			l->v[l->n - 1].bits = word;
		else
			l->v[l->n++] = (struct edge){l->v[i].at, word};
	}
	for (i = 1, n = 1; i < l->n; i++)
		if (l->v[i].bits != l->v[n - 1].bits)
			l->v[n++] = l->v[i];
	l->n = n;
}

/* The edge that says what is at a place. */
static uint32_t edge_of(const struct line *l, uint64_t at)
{
	uint32_t low = 0, high = l->n, mid;

	while (high - low > 1) {
		mid = (low + high) / 2;
		if (l->v[mid].at <= at)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static bool is_even(const struct line *l, uint64_t first, uint64_t last)
{
	return edge_of(l, first) == edge_of(l, last);
}

static uint32_t log2_of(uint32_t n)
{
	return 31 - (uint32_t)__builtin_clz(n);
}

/* How many values in a row are always the same, as a power of two, of n of some bytes each. */
static uint32_t same_run(const uint8_t *v, uint32_t n, size_t each)
{
	uint32_t run = n, i;

	for (; run > 1; run /= 2) {
		for (i = 0; i < n; i++)
			if (memcmp(v + i * each, v + i / run * run * each, each) != 0)
				break;
		if (i == n)
			break;
	}
	return run;
}

/* n values as a table of those that differ, and the cell that leads to it. */
static uint32_t put_table(struct buf *to, const void *v, uint32_t n, size_t each)
{
	uint32_t run = same_run(v, n, each), i, at;

	buf_add(to, (each - to->len % each) % each);
	at = (uint32_t)to->len;
	for (i = 0; i < n; i += run)
		buf_put(to, (const uint8_t *)v + i * each, each);
	/* so many bits of 64, times the size of an entry */
	return FILTER_CELL(at, 64 - log2_of(n / run) - (each == 8 ? 3 : 2));
}

/* How many bits each step looks at, the last first. */
struct steps {
	uint32_t n, bits[4];
};
static const struct steps steps[2] = {{3, {10, 10, FILTER_ROOT}}, {4, {8, 8, 8, 8}}};
#define STEP_MOST 1024 /* values of a step behind the root */

/* A stretch of addresses that all suit the same rules needs a table only once, for each step. */
struct known {
	const struct steps *steps;
	struct {
		uint64_t word;
		uint32_t cell;
	} v[3][512];
	uint32_t n[3];
	size_t most; /* bytes in `to` */
	uint64_t words[STEP_MOST];
	uint32_t cells[2][STEP_MOST];
};

/* The cell of the addresses from first on that steps 0 to `step` tell apart. */
static uint32_t put_addresses(struct buf *to, const struct line *l, struct known *k, uint32_t first,
			      uint32_t step)
{
	uint64_t word = l->v[edge_of(l, first)].bits;
	uint32_t n = 1u << k->steps->bits[step], below = 0, *cells, i, cell;
	bool even;

	for (i = 0; i < step; i++)
		below += k->steps->bits[i];
	even = is_even(l, first, first + ((uint64_t)n << below) - 1);
	for (i = 0; even && i < k->n[step]; i++)
		if (k->v[step][i].word == word)
			return k->v[step][i].cell;
	if (to->len > k->most)
		return 0;
	if (!step) {
		for (i = 0; i < n; i++)
			k->words[i] = l->v[edge_of(l, first + i)].bits;
		cell = put_table(to, k->words, n, 8);
	} else {
		cells = k->cells[step - 1];
		for (i = 0; i < n; i++)
			cells[i] = put_addresses(to, l, k, first + (i << below), step - 1);
		cell = put_table(to, cells, n, 4);
	}
	if (even && k->n[step] < 512) {
		k->v[step][k->n[step]].word = word;
		k->v[step][k->n[step]++].cell = cell;
	}
	return cell;
}

/* Words of 2^8 numbers for each of n cells. */
static void put_numbers(struct buf *to, const struct line *l, uint32_t *cells, uint32_t n)
{
	uint64_t words[256];
	uint32_t i, k;

	for (i = 0; i < n; i++) {
		if (i && is_even(l, ((uint64_t)i - 1) << 8, (uint64_t)i << 8 | 255)) {
			cells[i] = cells[i - 1];
			continue;
		}
		for (k = 0; k < 256; k++)
			words[k] = l->v[edge_of(l, (uint64_t)i << 8 | k)].bits;
		cells[i] = put_table(to, words, 256, 8);
	}
}

struct bits {
	const struct policy *p;
	const struct filter_sets *sets;
	const struct policy_ruleset *set;
	bool v6;
	const uint8_t *does;
	bool deep;
	struct filter_bits *b;
	struct filter_side6 *sides;
	uint8_t *asks;
	struct buf *to;
};

static bool asked_here(const struct bits *c, const struct policy_rule *r)
{
	return c->does[r->index] && r->families & (c->v6 ? POLICY_V6 : POLICY_V4);
}

static int addresses(struct bits *c, uint32_t side)
{
	struct known *known = calloc(1, sizeof(*known));
	struct buf edges = {0};
	struct policy_spans s;
	const struct policy_rule *r;
	struct line l;
	uint32_t i, k, root;
	int e = known ? 0 : -ENOMEM;

	add_span(&edges, 0, UINT32_MAX, 0);
	for (r = c->set->rules; !e && r < c->set->rules + c->set->n; r++) {
		if (!asked_here(c, r))
			continue;
		if (!FILTER_HAS_FIELD(r, side ? POLICY_TO : POLICY_FROM)) {
			add_span(&edges, 0, UINT32_MAX, 1ull << r->index);
			continue;
		}
		*c->asks |= side ? FILTER_ASKS_TO : FILTER_ASKS_FROM;
		e = filter_spans(c->p, c->sets, side ? &r->ip[0].to : &r->ip[0].from, false, &s);
		for (k = 0; !e && k < s.n4; k++)
			add_span(&edges, s.v4[k].first, s.v4[k].last, 1ull << r->index);
		policy_spans_free(&s);
		if (!e && edges.len > EDGES_MAX * sizeof(struct edge))
			e = -EFBIG;
	}
	if (!e && edges.failed)
		e = -ENOMEM;
	if (!e) {
		straighten(&edges, &l);
		known->most = c->to->len + BYTES_MAX;
		known->steps = &steps[c->deep];
		root = known->steps->bits[known->steps->n - 1];
		for (i = 0; i < 1u << root; i++)
			c->b->root[side][i] = put_addresses(c->to, &l, known, i << (32 - root),
							    known->steps->n - 2);
	}
	buf_free(&edges);
	free(known);
	return e;
}

static int ports(struct bits *c, uint32_t side)
{
	enum policy_field field = side ? POLICY_TO_PORT : POLICY_FROM_PORT;
	const struct policy_spans16 *s;
	const struct policy_rule *r;
	struct buf edges = {0};
	struct line l;
	uint32_t i;

	add_span(&edges, 0, 65535, 0);
	for (r = c->set->rules; r < c->set->rules + c->set->n; r++) {
		s = side ? &r->to_port : &r->from_port;
		if (asked_here(c, r) && !FILTER_HAS_FIELD(r, field))
			add_span(&edges, 0, 65535, 1ull << r->index);
		else if (asked_here(c, r))
			*c->asks |= side ? FILTER_ASKS_DPORT : FILTER_ASKS_SPORT;
		for (i = 0; asked_here(c, r) && FILTER_HAS_FIELD(r, field) && i < s->n; i++)
			add_span(&edges, s->v[i].first, s->v[i].last, 1ull << r->index);
	}
	if (!edges.failed) {
		straighten(&edges, &l);
		put_numbers(c->to, &l, c->b->ports[side], 256);
	}
	buf_free(&edges);
	return edges.failed ? -ENOMEM : 0;
}

/* Does a word for FILTER_LENGTHS say what is right for all beyond, too? */
static bool lengths_fit(const struct policy_rule *r)
{
	uint32_t i;

	for (i = 0; i < r->n_length; i++)
		if (r->length[i].first > FILTER_LENGTHS ||
		    (r->length[i].last >= FILTER_LENGTHS && r->length[i].last != UINT32_MAX))
			return false;
	return true;
}

static int lengths(struct bits *c)
{
	const struct policy_rule *r;
	struct buf edges = {0};
	struct line l;
	uint32_t i;

	add_span(&edges, 0, UINT32_MAX, 0);
	for (r = c->set->rules; r < c->set->rules + c->set->n; r++) {
		if (!asked_here(c, r))
			continue;
		if (!FILTER_HAS_FIELD(r, POLICY_LENGTH) || !lengths_fit(r)) {
			add_span(&edges, 0, UINT32_MAX, 1ull << r->index);
			continue;
		}
		*c->asks |= FILTER_ASKS_LENGTH;
		for (i = 0; i < r->n_length; i++)
			add_span(&edges, r->length[i].first, r->length[i].last, 1ull << r->index);
	}
	if (!edges.failed) {
		straighten(&edges, &l);
		put_numbers(c->to, &l, c->b->lengths, FILTER_LENGTHS / 256 + 1);
	}
	buf_free(&edges);
	return edges.failed ? -ENOMEM : 0;
}

/* What a plain packet of a protocol has behind its IP header. */
static uint32_t plain_has(bool v6, uint32_t proto)
{
	switch (proto) {
	case 6:
		return HAS_PORTS_FLAGS;
	case 17:
	case 33:
	case 132:
	case 136:
		return HAS_PORTS;
	}
	return proto == (v6 ? 58 : 1) ? HAS_ICMP : HAS_NOTHING;
}

static void services(struct bits *c, const struct policy_rule *r)
{
	uint64_t bit = 1ull << r->index;
	uint32_t extras, v, proto;
	bool ask_proto, flags = FILTER_HAS_FIELD(r, POLICY_FLAGS), type = FILTER_HAS_FIELD(r, POLICY_ICMP_TYPE),
			code = FILTER_HAS_FIELD(r, POLICY_ICMP_CODE);

	extras = filter_extras(r, c->v6, &ask_proto);
	for (proto = 0; proto < 256; proto++) {
		if (ask_proto && !policy_bytes_has(&r->ip[c->v6].proto, (uint8_t)proto))
			continue;
		if (extras >> plain_has(c->v6, proto) & 1)
			c->b->plain[proto] |= bit;
		for (v = 0; v < 16; v++)
			if (extras >> v & 1)
				c->b->odd[v << 8 | proto] |= bit;
	}
	for (v = 0; v < 256; v++) {
		if (!flags || policy_bytes_has(&r->flags, (uint8_t)v))
			c->b->flags[v] |= bit;
		if (!type || policy_bytes_has(&r->ip[c->v6].icmp_type, (uint8_t)v))
			c->b->type[v] |= bit;
		if (!code || policy_bytes_has(&r->icmp_code, (uint8_t)v))
			c->b->code[v] |= bit;
	}
	*c->asks |= (uint8_t)((flags ? FILTER_ASKS_FLAGS : 0) | (type || code ? FILTER_ASKS_ICMP : 0));
}

static void actions(struct bits *c)
{
	struct filter_bits *b = c->b;
	uint32_t i, slot;
	uint64_t bit;

	memset(b->rule, (int)c->set->n, sizeof(b->rule));
	memset(b->does, c->does[c->set->n], sizeof(b->does));
	for (i = 0; i < c->set->n; i++) {
		bit = 1ull << i;
		slot = (uint32_t)FILTER_BITS_SLOT(bit);
		b->rule[slot] = (uint8_t)i;
		b->does[slot] = c->does[i];
		if (c->does[i] & FILTER_ON)
			b->on |= bit;
		if (c->v6 && c->does[i] & FILTER_LIMIT)
			b->does[slot] = FILTER_WALK | FILTER_ON; /* keeping rates by the way is for IPv4 */
		if (b->does[slot] & FILTER_WALK)
			b->walk |= bit;
	}
}

bool filter_bits_suffice(const struct policy_rule *r)
{
	uint32_t known = 1u << POLICY_FAMILY | 1u << POLICY_FROM | 1u << POLICY_TO | 1u << POLICY_FROM_PORT | 1u << POLICY_TO_PORT |
			 1u << POLICY_PROTO | 1u << POLICY_FLAGS | 1u << POLICY_ICMP_TYPE |
			 1u << POLICY_ICMP_CODE | 1u << POLICY_FRAGMENT | 1u << POLICY_LENGTH;

	return !(r->fields & ~known) && (!FILTER_HAS_FIELD(r, POLICY_LENGTH) || lengths_fit(r));
}

int filter_bits(const struct policy *p, const struct filter_sets *sets, const struct policy_ruleset *set,
		bool v6, const uint8_t *does, const struct filter_bits_set *asked, bool deep, struct buf *to,
		uint32_t *at, struct filter_side6 *sides, uint8_t *asks)
{
	struct bits c = {p, sets, set, v6, does, deep, calloc(1, sizeof(*c.b)), sides, asks, to};
	size_t before = to->len, place;
	uint32_t side, i;
	int e = c.b ? 0 : -ENOMEM;

	*at = 0;
	if (set->n > FILTER_BITS) {
		free(c.b);
		return e;
	}
	buf_add(to, (64 - to->len % 64) % 64);
	place = to->len;
	buf_add(to, sizeof(*c.b));
	for (side = 0; !e && side < 2; side++) {
		e = v6 ? filter_bits6(p, sets, set, does, side, to, c.b->root[side], &sides[side], asks)
		       : addresses(&c, side);
		if (!e)
			e = ports(&c, side);
	}
	if (!e)
		e = lengths(&c);
	for (i = 0; !e && i < set->n; i++)
		if (asked_here(&c, &set->rules[i]))
			services(&c, &set->rules[i]);
	if (!e && to->failed)
		e = -ENOMEM;
	if (!e && to->len - before > BYTES_MAX)
		e = -EFBIG;
	if (!e) {
		actions(&c);
		memcpy(c.b->set, asked, sizeof(c.b->set));
		memcpy(to->data + place, c.b, sizeof(*c.b));
		*at = (uint32_t)place;
	} else {
		to->len = before;
	}
	free(c.b);
	return e == -EFBIG ? 0 : e;
}
