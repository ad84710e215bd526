// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Words of bits for IPv6 addresses of few rules. 128 bits are too many for steps of tables, but few rules have few
 * prefixes: two fields of the address, from where they tell the prefixes apart best, lead to a handful of prefixes, each of
 * which changes the word if the address is in it. Those one inside the other are a chain: compared with one key, they cost less.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filter/work.h"

#define PREFIXES_MAX 256 /* of all rules on one side */
#define FIELD_LEAST 4	 /* bits of a field */
#define FIELD_STEP 2
#define WHOLE_PRICE 9u /* instructions */
#define DEEP_PRICE 14u
#define BUCKETS (1u << FILTER_ROOT)

struct prefix {
	struct policy_addr6 first, last;
	uint32_t len;
	uint32_t depth;	       /* of how many it and those around it are */
	uint64_t word, change; /* change: from the word of the smallest one around it */
};

/* Of less than 64 bits: in the chain or not; of 64, of more. LONG counts the latter two together. */
enum { CHAIN, HIGH, WHOLE, DEEP, LONG, KINDS };

/* Two fields of an address that lead to a bucket. */
struct fields {
	uint32_t skip[2], width[2];
};

struct span {
	struct policy_span6 is;
	uint64_t bit;
};

struct side {
	struct buf spans, prefixes;
	const struct prefix *p;
	uint32_t n;
	struct fields fields;
	uint32_t most[KINDS];	      /* prefixes of a bucket */
	uint64_t outside;	      /* the word of what is in none */
	uint64_t any;		      /* rules that do not ask for the address */
	uint8_t n_in[KINDS]
		    [BUCKETS]; /* how many of each kind a bucket has, up to 255; HIGH: the chain's, too */
};

static int by_place(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;
	int c = policy_addr6_cmp(x->first, y->first);

	return c ? c : (int)x->len - (int)y->len;
}

static uint64_t mask64(uint32_t len)
{
	return len == 0 ? 0 : len >= 64 ? UINT64_MAX : UINT64_MAX << (64 - len);
}

static void put_prefix(struct side *s, struct policy_addr6 first, uint32_t len)
{
	uint64_t hi = mask64(len), lo = len > 64 ? mask64(len - 64) : 0;
	struct prefix p = {.first = first, .last = {first.hi | ~hi, first.lo | ~lo}, .len = len};

	buf_put(&s->prefixes, &p, sizeof(p));
}

/* How many of the spans are more than one prefix. */
static uint32_t n_ragged(const struct policy_spans *s)
{
	struct policy_span6 span;
	uint32_t i, n = 0;
	bool more;

	for (i = 0; i < s->n6; i++) {
		span = s->v6[i];
		policy_span6_take(&span, &more);
		n += more;
	}
	return n;
}

/*
 * The prefixes at whose edges the rule's word changes: those of its spans, or of what is between them, if that is
 * fewer (`not`).
 */
static void put_prefixes(struct side *s, const struct policy_spans *spans)
{
	struct policy_spans none = {0}; /* of the rule's */
	const struct policy_spans *from = spans;
	struct policy_span6 span;
	struct policy_addr6 first;
	bool more = true;
	uint32_t i;

	policy_spans_not(spans, true, &none);
	if (!none.failed && n_ragged(&none) < n_ragged(spans))
		from = &none;
	for (i = 0; i < from->n6 && s->prefixes.len <= PREFIXES_MAX * sizeof(struct prefix); i++)
		for (span = from->v6[i], more = true; more;) {
			first = span.first;
			put_prefix(s, first, policy_span6_take(&span, &more));
		}
	policy_spans_free(&none);
}

static int gather(struct side *s, const struct policy *p, const struct filter_sets *sets,
		  const struct policy_ruleset *set, const uint8_t *does, uint32_t side, uint8_t *asks)
{
	struct policy_spans spans;
	const struct policy_rule *r;
	struct span span;
	uint32_t i;
	int e = 0;

	for (r = set->rules; r < set->rules + set->n && !e; r++) {
		if (!does[r->index] || !(r->families & POLICY_V6))
			continue;
		if (!FILTER_HAS_FIELD(r, side ? POLICY_TO : POLICY_FROM)) {
			s->any |= 1ull << r->index;
			continue;
		}
		*asks |= side ? FILTER_ASKS_TO : FILTER_ASKS_FROM;
		e = filter_spans(p, sets, side ? &r->ip[1].to : &r->ip[1].from, true, &spans);
		for (i = 0; i < spans.n6 && !e; i++) {
			span = (struct span){spans.v6[i], 1ull << r->index};
			buf_put(&s->spans, &span, sizeof(span));
		}
		if (!e)
			put_prefixes(s, &spans);
		policy_spans_free(&spans);
		if (!e && s->prefixes.len > PREFIXES_MAX * sizeof(struct prefix))
			e = -EFBIG;
	}
	return e ?: s->spans.failed || s->prefixes.failed ? -ENOMEM : 0;
}

static uint64_t word_at(const struct side *s, struct policy_addr6 a)
{
	const struct span *v = (const struct span *)(const void *)s->spans.data;
	size_t n = s->spans.len / sizeof(*v), i;
	uint64_t word = s->any;

	for (i = 0; i < n; i++)
		if (policy_addr6_cmp(v[i].is.first, a) <= 0 && policy_addr6_cmp(v[i].is.last, a) >= 0)
			word |= v[i].bit;
	return word;
}

/* The one behind an address; false: there is none. */
static bool behind(struct policy_addr6 *a)
{
	return ++a->lo || ++a->hi;
}

/* The word of what is from first to last and in none of the prefixes from number i on, which lie in there. */
static uint64_t word_between(const struct side *s, struct policy_addr6 first, struct policy_addr6 last, uint32_t i)
{
	struct policy_addr6 a = first;

	for (; i < s->n && policy_addr6_cmp(s->p[i].first, a) <= 0; i++) {
		if (policy_addr6_cmp(s->p[i].last, a) < 0)
			continue;
		a = s->p[i].last;
		if (policy_addr6_cmp(a, last) >= 0 || !behind(&a))
			return 0; /* all of it is in others */
	}
	return word_at(s, a);
}

/* The smallest prefix around number i: those around it come before it. NULL: there is none */
static const struct prefix *around(const struct side *s, uint32_t i)
{
	uint32_t k;

	for (k = i; k-- > 0;)
		if (policy_addr6_cmp(s->p[k].last, s->p[i].last) >= 0)
			return &s->p[k];
	return NULL;
}

/* Sorted, each once, with their words; one for all addresses is what is outside of the others. */
static void order(struct side *s)
{
	struct policy_addr6 zero = {0, 0}, end = {UINT64_MAX, UINT64_MAX};
	struct prefix *p = (struct prefix *)(void *)s->prefixes.data;
	uint32_t n = (uint32_t)(s->prefixes.len / sizeof(*p)), i, kept = 0;

	if (n)
		qsort(p, n, sizeof(*p), by_place);
	for (i = 0; i < n; i++)
		if (p[i].len && (!kept || by_place(&p[kept - 1], &p[i])))
			p[kept++] = p[i];
	s->p = p;
	s->n = kept;
	s->outside = word_between(s, zero, end, 0);
	for (i = 0; i < kept; i++)
		p[i].word = word_between(s, p[i].first, p[i].last, i + 1);
	for (i = 0; i < kept; i++) {
		const struct prefix *of = around(s, i);

		p[i].change = p[i].word ^ (of ? of->word : s->outside);
		p[i].depth = of ? of->depth + 1 : 1;
	}
}

/* What a field of `width` bits behind `skip` may be in a prefix: *n values from the one that is returned on. */
static uint32_t field_of(const struct prefix *p, uint32_t skip, uint32_t width, uint32_t *n)
{
	*n = p->len <= skip ? 1u << width : p->len >= skip + width ? 1 : 1u << (skip + width - p->len);
	return p->len <= skip ? 0 : (uint32_t)(p->first.hi << skip >> (64 - width));
}

/* The buckets that a prefix has part in. */
struct part {
	uint32_t first[2], n[2];
};

static struct part part_of(const struct prefix *p, const struct fields *f)
{
	struct part part;

	part.first[0] = field_of(p, f->skip[0], f->width[0], &part.n[0]);
	part.first[1] = field_of(p, f->skip[1], f->width[1], &part.n[1]);
	return part;
}

static uint32_t kind_of(const struct prefix *p)
{
	return p->len < 64 ? HIGH : p->len == 64 ? WHOLE : DEEP;
}

/* Prefixes of 64 bits can be asked for as longer ones are: where that costs less. */
static bool is_long_cheaper(const uint32_t most[KINDS])
{
	return DEEP_PRICE * most[LONG] < WHOLE_PRICE * most[WHOLE] + DEEP_PRICE * most[DEEP];
}

/* What a packet pays for a record: instructions (datapath/lib/filter_find.h). UINT32_MAX: it has no room. */
static uint32_t price(const uint32_t most[KINDS])
{
	uint32_t n = most[CHAIN] + most[HIGH],
		 cost = 6 * most[CHAIN] + (most[CHAIN] ? 4 : 0) + 9 * most[HIGH];

	if (is_long_cheaper(most)) {
		n += most[LONG];
		cost += DEEP_PRICE * most[LONG];
	} else {
		n += most[WHOLE] + most[DEEP];
		cost += WHOLE_PRICE * most[WHOLE] + DEEP_PRICE * most[DEEP];
	}
	return n > FILTER_NEAR ? UINT32_MAX : cost;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/*
 * The most prefixes of each kind that one bucket has, if their price is below `enough`; else anything above that. Whatever is around a
 * prefix is in all of its buckets, so a bucket's chain is as long as its deepest prefix is deep.
 */
static void most_in(struct side *s, const struct fields *f, uint32_t enough, uint32_t most[KINDS])
{
	uint32_t i, k, j, b, kind, all = 0, chain = 0;
	struct part part;

	memset(s->n_in, 0, sizeof(s->n_in));
	memset(most, 0, KINDS * sizeof(*most));
	for (i = 0; i < s->n; i++) { /* what is in every bucket is not counted in each */
		part = part_of(&s->p[i], f);
		if (part.n[0] * part.n[1] != BUCKETS)
			continue;
		all++;
		chain = larger(chain, s->p[i].depth);
	}
	most[CHAIN] = chain;
	most[HIGH] = all - chain;
	for (i = 0; i < s->n && price(most) < enough; i++) {
		part = part_of(&s->p[i], f);
		kind = kind_of(&s->p[i]);
		for (k = 0; k < part.n[0] && part.n[0] * part.n[1] != BUCKETS; k++)
			for (j = 0; j < part.n[1]; j++) {
				b = (part.first[0] + k) << f->width[1] | (part.first[1] + j);
				s->n_in[kind][b] += s->n_in[kind][b] < 255;
				if (kind != HIGH) {
					most[kind] = larger(most[kind], s->n_in[kind][b]);
					s->n_in[LONG][b] += s->n_in[LONG][b] < 255;
					most[LONG] = larger(most[LONG], s->n_in[LONG][b]);
					continue;
				}
				s->n_in[CHAIN][b] =
					(uint8_t)larger(s->n_in[CHAIN][b], larger(chain, s->p[i].depth));
				most[CHAIN] = larger(most[CHAIN], s->n_in[CHAIN][b]);
				most[HIGH] = larger(most[HIGH], all + s->n_in[HIGH][b] - s->n_in[CHAIN][b]);
			}
	}
}

static void choose(struct side *s)
{
	uint32_t most[KINDS], best = UINT32_MAX, first;
	struct fields f;

	for (first = FIELD_LEAST; first <= FILTER_ROOT - FIELD_LEAST; first += FIELD_STEP) {
		f.width[0] = first;
		f.width[1] = FILTER_ROOT - first;
		for (f.skip[0] = 0; f.skip[0] <= 64 - f.width[0]; f.skip[0]++)
			for (f.skip[1] = f.skip[0]; f.skip[1] <= 64 - f.width[1]; f.skip[1]++) {
				most_in(s, &f, best, most);
				if (price(most) >= best)
					continue;
				best = price(most);
				s->fields = f;
				memcpy(s->most, most, sizeof(most));
			}
	}
	if (best == UINT32_MAX)
		s->most[HIGH] = FILTER_NEAR + 1;
	if (is_long_cheaper(s->most)) {
		s->most[WHOLE] = 0;
		s->most[DEEP] = s->most[LONG];
	}
}

/* Is prefix p in the chain that ends with `end`? */
static bool is_in_chain(const struct prefix *p, const struct prefix *end)
{
	return end && policy_addr6_cmp(p->first, end->first) <= 0 &&
	       policy_addr6_cmp(p->last, end->last) >= 0;
}

/* Into a record, as number n of its kind; end: of the bucket's chain. */
static void put_prefix_in(const struct side *s, uint64_t *record, const uint32_t n[KINDS], uint32_t kind,
			  const struct prefix *p, const struct prefix *end)
{
	struct filter_near_chain *c = (struct filter_near_chain *)(record + 2);
	struct filter_near_high *h = (struct filter_near_high *)(c + s->most[CHAIN]);
	struct filter_near_whole *w = (struct filter_near_whole *)(h + s->most[HIGH]);
	struct filter_near_deep *d = (struct filter_near_deep *)(w + s->most[WHOLE]);

	switch (kind) {
	case CHAIN:
		record[0] ^= p->change;
		record[1] = end->first.hi;
		c[n[CHAIN]] =
			(struct filter_near_chain){.limit = UINT64_MAX >> p->len >> 1, .change = p->change};
		break;
	case HIGH:
		h[n[HIGH]] = (struct filter_near_high){.hi = p->first.hi,
						       .change = p->change,
						       .shift = 64 - p->len};
		break;
	case WHOLE:
		record[0] ^= p->change;
		w[n[WHOLE]] = (struct filter_near_whole){.hi = p->first.hi, .change = p->change};
		break;
	default:
		record[0] ^= p->change;
		d[n[DEEP]] = (struct filter_near_deep){.hi = p->first.hi,
						       .lo = p->first.lo,
						       .change = p->change,
						       .mask = mask64(p->len - 64)};
	}
}

/* A bucket's record, once for all that are the same. */
static uint32_t put_near(struct buf *to, size_t from, const void *record, size_t size)
{
	size_t at;

	for (at = from; at < to->len; at += size)
		if (!memcmp(to->data + at, record, size))
			return (uint32_t)at;
	buf_put(to, record, size);
	return (uint32_t)at;
}

/* The prefixes of a bucket, into its record. */
static void put_bucket(struct side *s, uint32_t b, uint64_t *record)
{
	const struct prefix *p, *end = NULL, *in[FILTER_NEAR];
	uint32_t i, kind, n_in = 0, n[KINDS] = {0};
	struct part part;

	for (p = s->p; p < s->p + s->n; p++) {
		part = part_of(p, &s->fields);
		if ((b >> s->fields.width[1]) - part.first[0] >= part.n[0] ||
		    (b & ((1u << s->fields.width[1]) - 1)) - part.first[1] >= part.n[1])
			continue;
		in[n_in++] = p; /* no more than there is room for: choose() */
		if (kind_of(p) == HIGH && (!end || p->depth > end->depth))
			end = p;
	}
	record[0] = s->outside; /* changes of 0 change nothing */
	for (i = 0; i < n_in; i++) {
		kind = kind_of(in[i]);
		if (kind == HIGH && is_in_chain(in[i], end))
			kind = CHAIN;
		if (kind == WHOLE && !s->most[WHOLE])
			kind = DEEP;
		put_prefix_in(s, record, n, kind, in[i], end);
		n[kind]++;
	}
}

static void put_buckets(struct side *s, struct buf *to, uint32_t *root)
{
	size_t words = 2 + (s->most[CHAIN] * sizeof(struct filter_near_chain) +
			    s->most[HIGH] * sizeof(struct filter_near_high) +
			    s->most[WHOLE] * sizeof(struct filter_near_whole) +
			    s->most[DEEP] * sizeof(struct filter_near_deep)) /
				   8,
	       from;
	uint64_t *records = calloc(BUCKETS, words * 8);
	uint32_t b;

	to->failed |= !records;
	if (!to->failed) {
		for (b = 0; b < BUCKETS; b++)
			put_bucket(s, b, records + b * words);
		buf_add(to, (64 - to->len % 64) % 64);
		from = to->len;
		for (b = 0; b < BUCKETS && !to->failed; b++)
			root[b] = put_near(to, from, records + b * words, words * 8);
	}
	free(records);
}

int filter_bits6(const struct policy *p, const struct filter_sets *sets, const struct policy_ruleset *set,
		 const uint8_t *does, uint32_t side, struct buf *to, uint32_t *root, struct filter_side6 *how,
		 uint8_t *asks)
{
	struct side *s = calloc(1, sizeof(*s));
	int e = s ? gather(s, p, sets, set, does, side, asks) : -ENOMEM;

	*how = (struct filter_side6){.width = {FILTER_ROOT / 2, FILTER_ROOT / 2}};
	if (!e) {
		order(s);
		choose(s);
		if (price(s->most) == UINT32_MAX)
			e = -EFBIG;
	}
	if (!e) {
		*how = (struct filter_side6){.skip = {(__u8)s->fields.skip[0], (__u8)s->fields.skip[1]},
					     .width = {(__u8)s->fields.width[0], (__u8)s->fields.width[1]},
					     .chain = (__u8)s->most[CHAIN],
					     .high = (__u8)s->most[HIGH],
					     .whole = (__u8)s->most[WHOLE],
					     .deep = (__u8)s->most[DEEP]};
		put_buckets(s, to, root);
		e = to->failed ? -ENOMEM : 0;
	}
	if (s) {
		buf_free(&s->spans);
		buf_free(&s->prefixes);
	}
	free(s);
	return e;
}
