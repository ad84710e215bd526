// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sets that change, as lists. One that did not change yet is asked as it was loaded. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/live.h"

struct element {
	struct policy_range prefix;
	uint32_t expires;
};

struct live_set {
	bool changed;
	struct buf elements; /* struct element, once changed */
};

struct policy_live {
	const struct policy *p;
	struct live_set *sets;
};

struct policy_live *policy_live_new(const struct policy *p)
{
	struct policy_live *l = calloc(1, sizeof(*l));

	if (l) {
		l->p = p;
		l->sets = calloc(p->n_sets + 1ul, sizeof(*l->sets));
	}
	if (l && !l->sets) {
		free(l);
		return NULL;
	}
	return l;
}

void policy_live_free(struct policy_live *l)
{
	uint32_t i;

	for (i = 0; l && i < l->p->n_sets; i++)
		buf_free(&l->sets[i].elements);
	if (l)
		free(l->sets);
	free(l);
}

static bool same(const struct policy_range *a, const struct policy_range *b)
{
	return a->v6 == b->v6 && !policy_addr6_cmp(a->first, b->first) && !policy_addr6_cmp(a->last, b->last);
}

static struct element *find(struct live_set *s, const struct policy_range *prefix)
{
	struct element *v = (struct element *)(void *)s->elements.data;
	size_t n = s->elements.len / sizeof(*v), i;

	for (i = 0; i < n; i++)
		if (same(&v[i].prefix, prefix))
			return &v[i];
	return NULL;
}

static void put(struct live_set *s, const struct policy_range *prefix, uint32_t expires)
{
	struct element e, *old = find(s, prefix);

	memset(&e, 0, sizeof(e));
	e.prefix = *prefix;
	e.expires = expires;
	if (old)
		old->expires = expires;
	else
		buf_put(&s->elements, &e, sizeof(e));
}

/* What was listed, in prefixes. */
static int begin(struct policy_live *l, uint32_t set)
{
	const struct policy_spans *of = &l->p->sets[set].listed;
	struct live_set *s = &l->sets[set];
	struct policy_range r = {.v6 = false};
	struct policy_span4 s4;
	struct policy_span6 s6;
	unsigned __int128 last;
	unsigned int len;
	uint32_t i;
	bool more;

	if (s->changed)
		return 0;
	for (i = 0; i < of->n4; i++)
		for (s4 = of->v4[i], more = true; more;) {
			r.first.lo = s4.first;
			len = policy_span4_take(&s4, &more);
			r.last.lo = r.first.lo | (len ? UINT32_MAX >> (len - 1) >> 1 : UINT32_MAX);
			put(s, &r, 0);
		}
	r.v6 = true;
	for (i = 0; i < of->n6; i++)
		for (s6 = of->v6[i], more = true; more;) {
			r.first = s6.first;
			len = policy_span6_take(&s6, &more);
			last = (unsigned __int128)r.first.hi << 64 | r.first.lo;
			last |= len ? ~(unsigned __int128)0 >> (len - 1) >> 1 : ~(unsigned __int128)0;
			r.last = (struct policy_addr6){(uint64_t)(last >> 64), (uint64_t)last};
			put(s, &r, 0);
		}
	s->changed = !s->elements.failed;
	return s->changed ? 0 : -ENOMEM;
}

int policy_live_add(struct policy_live *l, uint32_t set, const struct policy_range *prefix, uint32_t expires)
{
	int e = begin(l, set);

	if (!e)
		put(&l->sets[set], prefix, expires);
	return l->sets[set].elements.failed ? -ENOMEM : e;
}

int policy_live_del(struct policy_live *l, uint32_t set, const struct policy_range *prefix)
{
	struct live_set *s = &l->sets[set];
	struct element *e, *last;

	if (begin(l, set))
		return -ENOMEM;
	e = find(s, prefix);
	if (!e)
		return -ENOENT;
	s->elements.len -= sizeof(*e);
	last = (struct element *)(void *)(s->elements.data + s->elements.len);
	if (e != last)
		*e = *last;
	return 0;
}

bool policy_live_has(const struct policy_live *l, uint32_t set, const struct net_addr *addr, uint64_t now_s)
{
	const struct live_set *s = &l->sets[set];
	const struct element *v = (const struct element *)(const void *)s->elements.data;
	struct policy_addr6 a = policy_addr6_of(addr);
	size_t n = s->elements.len / sizeof(*v), i;

	if (!s->changed)
		return policy_spans_has(&l->p->sets[set].spans, addr);
	for (i = 0; i < n; i++)
		if (v[i].prefix.v6 == addr->v6 && (!v[i].expires || v[i].expires > now_s) &&
		    policy_addr6_cmp(v[i].prefix.first, a) <= 0 && policy_addr6_cmp(a, v[i].prefix.last) <= 0)
			return true;
	return false;
}
