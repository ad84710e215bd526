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
#define BUCKETS (1u << FILTER_ROOT)
#define N_WIDTHS 3
#define WIDEST 8
#define PLACES 122 /* of a field of 4 bits in either half of an address */
/* instructions (datapath/lib/filter_find.h) */
#define CHAIN_PRICE 6u
#define KEY_PRICE 4u
#define HIGH_PRICE 9u
#define WHOLE_PRICE 9u
#define DEEP_PRICE 14u

struct prefix {
	struct policy_addr6 first, last;
	uint32_t len;
	uint32_t depth;	       /* of how many it and those around it are */
	uint64_t word, change; /* change: from the word of the smallest one around it */
};

/* Of less than 64 bits: in the chain or not; of 64, of more. LONG counts the latter two together. */
enum { CHAIN, HIGH, WHOLE, DEEP, LONG, KINDS };

/* Prefixes by number, a bit each; the deepest come first. */
struct some {
	uint64_t w[PREFIXES_MAX / 64 + 1];
};

/* Bits of an address, and what it may be in by their values: each set of prefixes once, the largest, which say most of a price, first. */
struct field {
	uint32_t skip, width;
	uint32_t n;
	struct some *sets;
};

/* Of fields: the first and the last together are FILTER_ROOT, and so on. */
static const uint32_t widths[N_WIDTHS] = {4, 6, 8};

struct span {
	struct policy_span6 is;
	uint64_t bit;
};

struct side {
	struct buf spans, prefixes;
	const struct prefix *p;
	uint32_t n;
	uint32_t skip[2], width[2];   /* of the fields that lead to a bucket */
	uint32_t most[KINDS];	      /* prefixes of a bucket */
	uint64_t outside;	      /* the word of what is in none */
	uint64_t any;		      /* rules that do not ask for the address */
	uint32_t number[PREFIXES_MAX + 1]; /* by prefix */
	uint32_t depth[PREFIXES_MAX + 1];  /* by number */
	struct some of[KINDS];
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

/* What `width` bits behind `skip` may be in a prefix: *n values from the one that is returned on. */
static uint32_t field_of(const struct prefix *p, uint32_t skip, uint32_t width, uint32_t *n)
{
	uint64_t half = skip < 64 ? p->first.hi : p->first.lo;

	*n = p->len <= skip ? 1u << width : p->len >= skip + width ? 1 : 1u << (skip + width - p->len);
	return p->len <= skip ? 0 : (uint32_t)(half << skip % 64 >> (64 - width));
}

static uint32_t kind_of(const struct prefix *p)
{
	return p->len < 64 ? HIGH : p->len == 64 ? WHOLE : DEEP;
}

/* Prefixes of 64 bits can be asked for as longer ones are: where that costs less, or the others have no room. */
static bool is_long_better(const uint32_t most[KINDS])
{
	return DEEP_PRICE * most[LONG] < WHOLE_PRICE * most[WHOLE] + DEEP_PRICE * most[DEEP] ||
	       most[CHAIN] + most[HIGH] + most[WHOLE] + most[DEEP] > FILTER_NEAR;
}

/* What a packet pays for a record. UINT32_MAX: it has no room. */
static uint32_t price(const uint32_t most[KINDS])
{
	uint32_t n = most[CHAIN] + most[HIGH],
		 cost = CHAIN_PRICE * most[CHAIN] + (most[CHAIN] ? KEY_PRICE : 0) + HIGH_PRICE * most[HIGH];

	if (is_long_better(most)) {
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

static uint32_t n_words(const struct side *s)
{
	return s->n / 64 + 1;
}

static uint32_t n_of(const struct side *s, const struct some *of)
{
	uint32_t k, n = 0;

	for (k = 0; k < n_words(s); k++)
		n += (uint32_t)__builtin_popcountll(of->w[k]);
	return n;
}

static void put(struct some *to, uint32_t number)
{
	to->w[number / 64] |= 1ull << number % 64;
}

static void put_numbers(struct side *s)
{
	uint32_t depth, i, n = 0;

	for (depth = s->n; depth > 0; depth--)
		for (i = 0; i < s->n; i++)
			if (s->p[i].depth == depth) {
				s->number[i] = n;
				s->depth[n++] = depth;
			}
	for (i = 0; i < s->n; i++) {
		put(&s->of[kind_of(&s->p[i])], s->number[i]);
		if (kind_of(&s->p[i]) != HIGH)
			put(&s->of[LONG], s->number[i]);
	}
}

/* The most of each kind, with another bucket. Whatever is around a prefix is there, too: the chain is as long as the deepest is deep. */
static void count_bucket(const struct side *s, const struct some *in, uint32_t most[KINDS])
{
	uint32_t n[KINDS] = {0}, kind, k;
	uint64_t high;

	for (k = n_words(s); k-- > 0;) {
		for (kind = HIGH; kind < KINDS; kind++)
			n[kind] += (uint32_t)__builtin_popcountll(in->w[k] & s->of[kind].w[k]);
		high = in->w[k] & s->of[HIGH].w[k];
		if (high)
			n[CHAIN] = s->depth[64 * k + (uint32_t)__builtin_ctzll(high)];
	}
	n[HIGH] -= n[CHAIN];
	for (kind = 0; kind < KINDS; kind++)
		most[kind] = larger(most[kind], n[kind]);
}

/* The most prefixes of each kind that one bucket of two fields has, if their price is below `enough`; else anything above that. */
static void most_in(const struct side *s, const struct field *a, const struct field *b, uint32_t enough,
		    uint32_t most[KINDS])
{
	struct some both;
	uint32_t i, j, k;

	memset(most, 0, KINDS * sizeof(*most));
	for (i = 0; i < a->n; i++)
		for (j = 0; j < b->n && price(most) < enough; j++) {
			for (k = 0; k < n_words(s); k++)
				both.w[k] = a->sets[i].w[k] & b->sets[j].w[k];
			count_bucket(s, &both, most);
		}
}

/* One more set, if it is another. */
static void put_set(const struct side *s, struct field *f, const struct some *set)
{
	uint32_t i, size = n_of(s, set);

	for (i = 0; i < f->n; i++)
		if (!memcmp(&f->sets[i], set, n_words(s) * 8))
			return;
	for (i = f->n++; i > 0 && n_of(s, &f->sets[i - 1]) < size; i--)
		f->sets[i] = f->sets[i - 1];
	f->sets[i] = *set;
}

/* A field and what it tells apart; sets is the caller's to free. -ENOMEM */
static int put_field(const struct side *s, struct field *f, uint32_t skip, uint32_t width)
{
	struct some by_value[1u << WIDEST];
	uint32_t i, first, n, v;

	*f = (struct field){.skip = skip, .width = width, .sets = malloc(sizeof(*f->sets) << width)};
	if (!f->sets)
		return -ENOMEM;
	memset(by_value, 0, sizeof(*by_value) << width);
	for (i = 0; i < s->n; i++) {
		first = field_of(&s->p[i], skip, width, &n);
		for (v = first; v < first + n; v++)
			put(&by_value[v], s->number[i]);
	}
	for (v = 0; v < 1u << width; v++)
		if (!v || memcmp(&by_value[v], &by_value[v - 1], n_words(s) * 8) != 0)
			put_set(s, f, &by_value[v]);
	return 0;
}

/* The fields of a width: those that tell prefixes apart, and the first. */
static int put_fields(const struct side *s, uint32_t width, struct field *to, uint32_t *n)
{
	uint32_t skip;
	int e = 0;

	for (skip = *n = 0; !e && skip <= 128 - width; skip++) {
		if (skip < 64 && skip + width > 64)
			continue;
		e = put_field(s, &to[*n], skip, width);
		if (!e && *n && to[*n].n == 1) {
			free(to[*n].sets);
			to[*n].sets = NULL;
		} else {
			++*n;
		}
	}
	return e;
}

static void choose_of(struct side *s, const struct field *a, const struct field *b, uint32_t *best)
{
	uint32_t most[KINDS];

	most_in(s, a, b, *best, most);
	if (price(most) >= *best)
		return;
	*best = price(most);
	memcpy(s->most, most, sizeof(most));
	s->skip[0] = a->skip;
	s->width[0] = a->width;
	s->skip[1] = b->skip;
	s->width[1] = b->width;
}

/* The two fields that a packet pays least for. -ENOMEM; -EFBIG: there are none with room enough */
static int choose(struct side *s)
{
	struct field *fields = calloc(N_WIDTHS * PLACES, sizeof(*fields)), *f[N_WIDTHS];
	uint32_t n[N_WIDTHS] = {0}, best = UINT32_MAX, w, other, i, j;
	int e = fields ? 0 : -ENOMEM;

	for (w = 0; w < N_WIDTHS && !e; w++) {
		f[w] = fields + w * PLACES;
		e = put_fields(s, widths[w], f[w], &n[w]);
	}
	for (w = 0, other = N_WIDTHS - 1; w <= other && !e; w++, other--)
		for (i = 0; i < n[w]; i++)
			for (j = w == other ? i : 0; j < n[other]; j++)
				choose_of(s, &f[w][i], &f[other][j], &best);
	for (i = 0; fields && i < N_WIDTHS * PLACES; i++)
		free(fields[i].sets);
	free(fields);
	if (!e && is_long_better(s->most)) {
		s->most[WHOLE] = 0;
		s->most[DEEP] = s->most[LONG];
	}
	return e ?: best == UINT32_MAX ? -EFBIG : 0;
}

static bool is_in_bucket(const struct side *s, const struct prefix *p, uint32_t bucket)
{
	uint32_t value[2] = {bucket >> s->width[1], bucket & ((1u << s->width[1]) - 1)}, k, n, first, in = 0;

	for (k = 0; k < 2; k++) {
		first = field_of(p, s->skip[k], s->width[k], &n);
		in += value[k] - first < n;
	}
	return in == 2;
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

	for (p = s->p; p < s->p + s->n; p++) {
		if (!is_in_bucket(s, p, b))
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
		put_numbers(s);
		e = choose(s);
	}
	if (!e) {
		*how = (struct filter_side6){.skip = {(__u8)s->skip[0], (__u8)s->skip[1]},
					     .width = {(__u8)s->width[0], (__u8)s->width[1]},
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
