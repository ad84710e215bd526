// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sets of addresses as sorted lists of spans. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/spans.h"

struct policy_addr6 policy_addr6_of(const struct net_addr *addr)
{
	struct policy_addr6 a;

	net_addr_words(addr, &a.hi, &a.lo);
	return a;
}

int policy_addr6_cmp(struct policy_addr6 a, struct policy_addr6 b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	return a.lo < b.lo ? -1 : a.lo > b.lo;
}

/* The address behind a; wraps to 0 at the end. */
static struct policy_addr6 next6(struct policy_addr6 a)
{
	a.lo++;
	a.hi += !a.lo;
	return a;
}

static struct policy_addr6 before6(struct policy_addr6 a)
{
	a.hi -= !a.lo;
	a.lo--;
	return a;
}

static bool is_end6(struct policy_addr6 a)
{
	return a.hi == UINT64_MAX && a.lo == UINT64_MAX;
}

/* Room for one more of n elements of size bytes; false (and failed) without memory. */
static bool grow(struct policy_spans *s, void **at, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t more = *cap ? *cap * 2 : 8;
	void *p;

	if (n < *cap)
		return true;
	p = more > *cap && !s->failed ? reallocarray(*at, more, size) : NULL;
	if (!p) {
		s->failed = true;
		return false;
	}
	*at = p;
	*cap = more;
	return true;
}

void policy_spans_add(struct policy_spans *s, const struct policy_range *r)
{
	void *at = r->v6 ? (void *)s->v6 : (void *)s->v4;

	if (r->v6 && grow(s, &at, s->n6, &s->cap6, sizeof(*s->v6))) {
		s->v6 = at;
		s->v6[s->n6++] = (struct policy_span6){r->first, r->last};
	} else if (!r->v6 && grow(s, &at, s->n4, &s->cap4, sizeof(*s->v4))) {
		s->v4 = at;
		s->v4[s->n4++] = (struct policy_span4){(uint32_t)r->first.lo, (uint32_t)r->last.lo};
	}
}

static int by_first4(const void *a, const void *b)
{
	const struct policy_span4 *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static int by_first6(const void *a, const void *b)
{
	const struct policy_span6 *x = a, *y = b;

	return policy_addr6_cmp(x->first, y->first);
}

static void sort4(struct policy_spans *s)
{
	uint32_t i, n = 0;
	bool sorted = true;

	for (i = 1; i < s->n4 && sorted; i++)
		sorted = s->v4[i - 1].first <= s->v4[i].first;
	if (!sorted)
		qsort(s->v4, s->n4, sizeof(*s->v4), by_first4);
	for (i = 0; i < s->n4; i++) {
		if (n && (s->v4[n - 1].last == UINT32_MAX || s->v4[i].first <= s->v4[n - 1].last + 1)) {
			if (s->v4[i].last > s->v4[n - 1].last)
				s->v4[n - 1].last = s->v4[i].last;
		} else {
			s->v4[n++] = s->v4[i];
		}
	}
	s->n4 = n;
}

static void sort6(struct policy_spans *s)
{
	uint32_t i, n = 0;
	bool sorted = true;

	for (i = 1; i < s->n6 && sorted; i++)
		sorted = by_first6(&s->v6[i - 1], &s->v6[i]) <= 0;
	if (!sorted)
		qsort(s->v6, s->n6, sizeof(*s->v6), by_first6);
	for (i = 0; i < s->n6; i++) {
		if (n && (is_end6(s->v6[n - 1].last) ||
			  policy_addr6_cmp(s->v6[i].first, next6(s->v6[n - 1].last)) <= 0)) {
			if (policy_addr6_cmp(s->v6[i].last, s->v6[n - 1].last) > 0)
				s->v6[n - 1].last = s->v6[i].last;
		} else {
			s->v6[n++] = s->v6[i];
		}
	}
	s->n6 = n;
}

void policy_spans_sort(struct policy_spans *s)
{
	sort4(s);
	sort6(s);
}

bool policy_spans_has(const struct policy_spans *s, const struct net_addr *addr)
{
	struct policy_addr6 a = policy_addr6_of(addr);
	uint32_t lo = 0, hi = addr->v6 ? s->n6 : s->n4, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (addr->v6 ? policy_addr6_cmp(s->v6[mid].last, a) < 0 : s->v4[mid].last < a.lo)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (addr->v6)
		return lo < s->n6 && policy_addr6_cmp(s->v6[lo].first, a) <= 0;
	return lo < s->n4 && s->v4[lo].first <= a.lo;
}

void policy_spans_free(struct policy_spans *s)
{
	free(s->v4);
	free(s->v6);
	memset(s, 0, sizeof(*s));
}

int policy_spans_copy(struct policy_spans *to, const struct policy_spans *from)
{
	to->v4 = malloc((from->n4 + 1ul) * sizeof(*to->v4));
	to->v6 = malloc((from->n6 + 1ul) * sizeof(*to->v6));
	to->failed = from->failed || !to->v4 || !to->v6;
	if (to->failed)
		return -ENOMEM;
	if (from->n4)
		memcpy(to->v4, from->v4, from->n4 * sizeof(*to->v4));
	if (from->n6)
		memcpy(to->v6, from->v6, from->n6 * sizeof(*to->v6));
	to->n4 = to->cap4 = from->n4;
	to->n6 = to->cap6 = from->n6;
	return 0;
}

static double number(struct policy_addr6 a)
{
	return (double)a.hi * 18446744073709551616.0 + (double)a.lo;
}

double policy_spans_count(const struct policy_spans *s, bool v6)
{
	double n = 0;
	uint32_t i;

	for (i = 0; i < (v6 ? s->n6 : s->n4); i++)
		n += v6 ? number(s->v6[i].last) - number(s->v6[i].first) + 1
			: (double)s->v4[i].last - (double)s->v4[i].first + 1;
	return n;
}

static void not4(const struct policy_spans *s, struct policy_spans *out)
{
	struct policy_range r = {.first = {0, 0}};
	uint32_t i;

	for (i = 0; i < s->n4; i++) {
		if (s->v4[i].first > r.first.lo) {
			r.last.lo = s->v4[i].first - 1;
			policy_spans_add(out, &r);
		}
		if (s->v4[i].last == UINT32_MAX)
			return;
		r.first.lo = s->v4[i].last + 1;
	}
	r.last.lo = UINT32_MAX;
	policy_spans_add(out, &r);
}

static void not6(const struct policy_spans *s, struct policy_spans *out)
{
	struct policy_range r = {.v6 = true};
	uint32_t i;

	for (i = 0; i < s->n6; i++) {
		if (policy_addr6_cmp(s->v6[i].first, r.first) > 0) {
			r.last = before6(s->v6[i].first);
			policy_spans_add(out, &r);
		}
		if (is_end6(s->v6[i].last))
			return;
		r.first = next6(s->v6[i].last);
	}
	r.last = (struct policy_addr6){UINT64_MAX, UINT64_MAX};
	policy_spans_add(out, &r);
}

void policy_spans_not(const struct policy_spans *s, bool v6, struct policy_spans *out)
{
	if (v6)
		not6(s, out);
	else
		not4(s, out);
}

unsigned int policy_span4_take(struct policy_span4 *span, bool *more)
{
	uint64_t first = span->first;
	unsigned int host = 0;

	while (host < 32 && !(first >> host & 1) && first + (UINT64_C(2) << host) - 1 <= span->last)
		host++;
	first += UINT64_C(1) << host;
	*more = first <= span->last;
	span->first = (uint32_t)first;
	return 32 - host;
}

unsigned int policy_span6_take(struct policy_span6 *span, bool *more)
{
	unsigned __int128 first = (unsigned __int128)span->first.hi << 64 | span->first.lo;
	unsigned __int128 last = (unsigned __int128)span->last.hi << 64 | span->last.lo, host_mask = 0, wider;
	unsigned int host = 0;

	while (host < 128) {
		wider = host_mask << 1 | 1;
		if (first & wider || last - first < wider)
			break;
		host_mask = wider;
		host++;
	}
	*more = first + host_mask != last;
	first += host_mask + 1;
	span->first = (struct policy_addr6){(uint64_t)(first >> 64), (uint64_t)first};
	return 128 - host;
}

struct prefix {
	struct policy_addr6 addr;
	unsigned int len; /* IPv4: from 129 on */
};

static int by_prefix(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;
	int c = policy_addr6_cmp(x->addr, y->addr);

	return c ? c : x->len < y->len ? -1 : x->len > y->len;
}

/* How many there are with doubles; to: room for them, or NULL. */
static uint64_t take_all(const struct policy_spans *s, struct prefix *to)
{
	struct policy_span4 s4;
	struct policy_span6 s6;
	struct prefix p;
	uint64_t n = 0;
	uint32_t i;
	bool more;

	for (i = 0; i < s->n4; i++)
		for (s4 = s->v4[i], more = true; more; n++) {
			p.addr = (struct policy_addr6){0, s4.first};
			p.len = 129 + policy_span4_take(&s4, &more);
			if (to)
				to[n] = p;
		}
	for (i = 0; i < s->n6; i++)
		for (s6 = s->v6[i], more = true; more; n++) {
			p.addr = s6.first;
			p.len = policy_span6_take(&s6, &more);
			if (to)
				to[n] = p;
		}
	return n;
}

int policy_spans_prefixes(const struct policy_spans *s, uint64_t enough, uint64_t *n)
{
	uint64_t all = take_all(s, NULL), i;
	struct prefix *v;

	*n = all;
	if (all <= enough)
		return 0;
	v = calloc(all, sizeof(*v));
	if (!v)
		return -ENOMEM;
	take_all(s, v);
	qsort(v, all, sizeof(*v), by_prefix);
	for (i = 1, *n = 1; i < all; i++)
		*n += by_prefix(&v[i - 1], &v[i]) != 0;
	free(v);
	return 0;
}
