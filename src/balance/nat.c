// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Pools of addresses: numbers, ranges, times. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/nat.h"
#include "base/err.h"

/* A service's addresses of one family; services with the same share them. */
struct group {
	const struct balance_service *s;
	struct net_addr addr[NAT_ADDRS];
	uint32_t n, number;
	bool placed;
};

struct plan {
	struct group group[NAT_ADDRS];
	uint32_t n;
};

/* Seconds of silence: RFC 5382, 5 (TCP: 2 h 4 min, 4 min while it opens or ends), RFC 4787, 4.3 (UDP: 5 min). */
void nat_times(struct nat_config *c, uint64_t tick_ns)
{
	static const uint16_t seconds[NAT_STATES] = {
		[NAT_NEW] = 30,		 [NAT_ANSWERED] = 60,	  [NAT_KEPT] = 7440,
		[NAT_TALKS] = 300,	 [NAT_CLIENT_ENDS] = 240, [NAT_BACKEND_ENDS] = 240,
	};
	uint32_t i;

	for (i = 0; i < NAT_STATES; i++)
		c->idle[i] = seconds[i] ? (uint16_t)((seconds[i] * 1000000000ull + tick_ns - 1) / tick_ns) : NAT_TIME;
}

static void ranks(struct nat_config *c)
{
	c->rank[NAT_FREE] = 7;
	c->rank[NAT_CLOSED] = 3;
	c->rank[NAT_NEW] = c->rank[NAT_ANSWERED] = 1;
}

struct net_addr nat_nth(const struct net_addr *first, uint32_t n)
{
	struct net_addr a = *first;
	uint32_t i = a.v6 ? 16 : 4;

	while (n && i--) {
		n += a.bytes[i];
		a.bytes[i] = (uint8_t)n;
		n >>= 8;
	}
	return a;
}

static bool same(const struct net_addr *a, const struct net_addr *b)
{
	return a->v6 == b->v6 && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static const char *family(bool six)
{
	return six ? "IPv6" : "IPv4";
}

static int collect(const struct balance_service *s, bool six, struct group *g, struct sluice_err *err)
{
	uint64_t n = 0;
	uint32_t k;
	size_t i;

	*g = (struct group){.s = s};
	for (i = 0; i < s->n_pools; i++)
		n += s->pools[i].first.v6 == six ? s->pools[i].n : 0;
	if (n > NAT_ADDRS)
		return err_set(err, -EINVAL,
			       "service %s has %llu %s addresses to translate to; there can be %u", s->name,
			       (unsigned long long)n, family(six), NAT_ADDRS);
	for (i = 0; i < s->n_pools; i++)
		for (k = 0; s->pools[i].first.v6 == six && k < s->pools[i].n; k++)
			g->addr[g->n++] = nat_nth(&s->pools[i].first, k);
	return 0;
}

static bool same_group(const struct group *a, const struct group *b)
{
	uint32_t i;

	for (i = 0; a->n == b->n && i < a->n; i++)
		if (!same(&a->addr[i], &b->addr[i]))
			return false;
	return a->n == b->n;
}

static const struct net_addr *common(const struct group *a, const struct group *b)
{
	uint32_t i, k;

	for (i = 0; i < a->n; i++)
		for (k = 0; k < b->n; k++)
			if (same(&a->addr[i], &b->addr[k]))
				return &a->addr[i];
	return NULL;
}

static int add(struct plan *p, const struct group *g, bool six, struct sluice_err *err)
{
	const struct net_addr *both;
	char text[NET_ADDR_TEXT];
	uint32_t i, n = g->n;

	if (!n)
		return 0;
	for (i = 0; i < p->n; i++) {
		if (same_group(&p->group[i], g))
			return 0;
		both = common(&p->group[i], g);
		if (both)
			return err_set(err, -EINVAL,
				       "services %s and %s both translate to %s, but not to the same addresses in all; "
				       "give them the same ones, or others",
				       p->group[i].s->name, g->s->name, net_addr_format(both, text, sizeof(text)));
		n += p->group[i].n;
	}
	if (n > NAT_ADDRS)
		return err_set(err, -EINVAL,
			       "service %s makes it %u %s addresses that services translate to; there can be %u",
			       g->s->name, n, family(six), NAT_ADDRS);
	p->group[p->n++] = *g;
	return 0;
}

static struct net_addr numbered(const struct nat_config *c, bool six, uint32_t number)
{
	struct net_addr a = {.v6 = six};

	if (six)
		memcpy(a.bytes, c->addr6[number], 16);
	else
		memcpy(a.bytes, &c->addr4[number], 4);
	return a;
}

static bool is_at(const struct nat_config *c, const struct group *g, bool six, uint32_t number)
{
	struct net_addr a;
	uint32_t i;

	for (i = 0; i < g->n && number + i < NAT_ADDRS; i++) {
		a = numbered(c, six, number + i);
		if (!same(&a, &g->addr[i]))
			return false;
	}
	return i == g->n;
}

_Static_assert(NAT_ADDRS == 64, "numbers are bits of a word");

static uint64_t bits(uint32_t number, uint32_t n)
{
	return n ? (~0ull >> (NAT_ADDRS - n)) << number : 0;
}

uint64_t nat_given(const struct nat_config *c, bool six)
{
	uint64_t all = 0;
	uint32_t i;

	for (i = 0; i < NAT_RANGES; i++)
		all |= six ? bits(c->range6[i].number, c->range6[i].n)
			   : bits(c->range4[i].number, c->range4[i].n);
	return all;
}

uint64_t nat_kept(const struct nat_config *before, const struct nat_config *c, bool six)
{
	uint64_t both = nat_given(before, six) & nat_given(c, six);
	struct net_addr a, b;
	uint32_t i;

	for (i = 0; i < NAT_ADDRS; i++) {
		a = numbered(before, six, i);
		b = numbered(c, six, i);
		if (!same(&a, &b))
			both &= ~(1ull << i);
	}
	return before->layout == c->layout ? both : 0;
}

bool nat_goes_on(const struct nat_config *before, const struct nat_config *c, bool six)
{
	return before->layout == c->layout && before->n_addrs[six] == c->n_addrs[six] &&
	       (nat_given(before, six) & nat_given(c, six)) == nat_kept(before, c, six);
}

/* The first of n numbers in a row that are not taken; NAT_ADDRS: there are none. */
static uint32_t row(uint64_t taken, uint32_t n)
{
	uint32_t k;

	for (k = 0; k + n <= NAT_ADDRS; k++)
		if (!(taken & bits(k, n)))
			return k;
	return NAT_ADDRS;
}

/* false: what stays where it was leaves no n numbers in a row. */
static bool place_rest(struct plan *p, uint64_t taken, uint64_t before)
{
	struct group *g;
	uint32_t i;

	for (i = 0; i < p->n; i++) {
		g = &p->group[i];
		if (g->placed)
			continue;
		g->number = row(taken | before, g->n);
		if (g->number == NAT_ADDRS)
			g->number = row(taken, g->n);
		if (g->number == NAT_ADDRS)
			return false;
		taken |= bits(g->number, g->n);
	}
	return true;
}

/*
 * Groups of the plan before stay where they were. Others take the lowest numbers that it gave to none: nobody uses their
 * places; else those that nobody has any more; and if these do not lie together, all begin anew.
 */
static void place(struct plan *p, const struct nat_config *before, bool six)
{
	uint64_t taken = 0;
	struct group *g;
	uint32_t i, k, top = 0;

	for (i = 0; before && i < p->n; i++)
		for (k = 0, g = &p->group[i]; k < before->n_addrs[six] && !g->placed; k++)
			if (is_at(before, g, six, k) && !(taken & bits(k, g->n))) {
				g->number = k;
				g->placed = true;
				taken |= bits(k, g->n);
			}
	if (place_rest(p, taken, before ? nat_given(before, six) : 0))
		return;
	for (i = 0; i < p->n; i++) {
		p->group[i].number = top;
		top += p->group[i].n;
	}
}

static void write_addr(struct nat_config *c, bool six, uint32_t number, const struct net_addr *a)
{
	if (six)
		memcpy(c->addr6[number], a->bytes, 16);
	else
		memcpy(&c->addr4[number], a->bytes, 4);
}

static int range(struct nat_config *c, const struct net_addr *first, uint32_t n, uint32_t number,
		 uint32_t own)
{
	uint64_t hi, lo;
	uint32_t i = 0;

	net_addr_words(first, &hi, &lo);
	if (first->v6) {
		while (i < NAT_RANGES && c->range6[i].n)
			i++;
		if (i < NAT_RANGES)
			c->range6[i] = (struct nat_range6){hi, lo, n, number, own, 0};
	} else {
		while (i < NAT_RANGES && c->range4[i].n)
			i++;
		if (i < NAT_RANGES)
			c->range4[i] = (struct nat_range4){(uint32_t)lo, n, number, own};
	}
	return i < NAT_RANGES ? 0 : -EINVAL;
}

static int write_group(struct nat_config *c, const struct group *g, bool six, struct sluice_err *err)
{
	uint32_t i, number = g->number, top = g->number + g->n;
	size_t k;

	for (i = 0; i < g->n; i++)
		write_addr(c, six, g->number + i, &g->addr[i]);
	for (k = 0; k < g->s->n_pools; k++) {
		const struct balance_pool *p = &g->s->pools[k];

		if (p->first.v6 != six)
			continue;
		if (range(c, &p->first, p->n, number, p->own))
			return err_set(err, -EINVAL,
				       "service %s makes it more than %u stretches of %s addresses that services "
				       "translate to; name prefixes instead of single addresses",
				       g->s->name, NAT_RANGES, family(six));
		number += p->n;
	}
	while (c->n_addrs[six] < top)
		c->n_addrs[six] = c->n_addrs[six] ? c->n_addrs[six] * 2 : 1;
	return 0;
}

static int plan_family(const struct balance_model *m, const struct nat_config *before, struct nat_config *c, bool six,
		       struct plan *p, const struct balance_service **whose, struct sluice_err *err)
{
	struct group *g = calloc(1, sizeof(*g));
	uint32_t k;
	size_t i;
	int e = g ? 0 : err_nomem(err);

	p->n = 0;
	for (i = 0; !e && i < m->n_services; i++) {
		*whose = m->services[i];
		if (m->services[i]->mode != BALANCE_NAT)
			continue;
		e = collect(m->services[i], six, g, err);
		if (!e)
			e = add(p, g, six, err);
	}
	free(g);
	if (!e)
		place(p, before, six);
	if (!p->n) /* memory grows by turns, and goes as a whole */
		c->n_addrs[six] = 0;
	for (k = 0; !e && k < p->n; k++) {
		*whose = p->group[k].s;
		e = write_group(c, &p->group[k], six, err);
	}
	return e;
}

int nat_plan(const struct balance_model *m, const struct nat_config *before, struct nat_config *c,
	     const struct balance_service **whose, struct sluice_err *err)
{
	const struct balance_service *of = NULL;
	struct plan *p = calloc(1, sizeof(*p));
	uint32_t six;
	int e = p ? 0 : err_nomem(err);

	memset(c, 0, sizeof(*c));
	c->layout = NAT_LAYOUT;
	ranks(c);
	for (six = 0; !e && six < 2; six++) {
		c->n_addrs[six] = before ? before->n_addrs[six] : 0;
		e = plan_family(m, before, c, six, p, &of, err);
	}
	free(p);
	if (whose)
		*whose = of;
	return e;
}

/* The number of an address; NAT_ADDRS: it has none. */
static uint32_t number_of(const struct nat_config *c, const struct net_addr *a)
{
	uint64_t hi, lo;
	uint32_t i;

	net_addr_words(a, &hi, &lo);
	for (i = 0; i < NAT_RANGES; i++) {
		if (a->v6 && c->range6[i].n && c->range6[i].hi == hi && lo - c->range6[i].lo < c->range6[i].n)
			return c->range6[i].number + (uint32_t)(lo - c->range6[i].lo);
		if (!a->v6 && (uint32_t)lo - c->range4[i].first < c->range4[i].n)
			return c->range4[i].number + ((uint32_t)lo - c->range4[i].first);
	}
	return NAT_ADDRS;
}

uint32_t nat_own(const struct nat_config *c, const struct net_addr *a)
{
	uint64_t hi, lo;
	uint32_t i;

	net_addr_words(a, &hi, &lo);
	for (i = 0; i < NAT_RANGES; i++) {
		if (a->v6 && c->range6[i].n && c->range6[i].hi == hi && lo - c->range6[i].lo < c->range6[i].n)
			return c->range6[i].own;
		if (!a->v6 && (uint32_t)lo - c->range4[i].first < c->range4[i].n)
			return c->range4[i].own;
	}
	return 0;
}

static void pool_of(const struct nat_config *c, const struct balance_service *s, struct nat_pool *to)
{
	uint32_t end = NAT_PORTS, number;
	size_t i;

	*to = (struct nat_pool){0};
	for (i = 0; s->mode == BALANCE_NAT && i < s->n_pools; i++) {
		const struct balance_pool *p = &s->pools[i];

		number = number_of(c, &p->first);
		if (number >= NAT_ADDRS)
			continue;
		if (!to->n[p->first.v6])
			to->first[p->first.v6] = (uint16_t)number;
		to->n[p->first.v6] = (uint16_t)(to->n[p->first.v6] + p->n);
		end = p->own && p->own < end ? p->own : end;
	}
	if (to->n[0] || to->n[1]) {
		to->bucket = NAT_PORT_FIRST / NAT_WAYS;
		to->n_buckets = (uint16_t)((end - NAT_PORT_FIRST) / NAT_WAYS);
	}
}

int nat_service(struct nat_config *c, uint32_t number, const struct balance_service *s, struct sluice_err *err)
{
	struct nat_pool pool;
	uint32_t i;

	pool_of(c, s, &pool);
	for (i = 0; i < NAT_POOLS; i++) {
		if (i && !c->pool[i].n_buckets)
			c->pool[i] = pool;
		if (!memcmp(&c->pool[i], &pool, sizeof(pool)))
			break;
	}
	if (number >= NAT_SERVICES || i == NAT_POOLS)
		return err_set(err, -EINVAL, "service %s makes it more than %u different pools", s->name, NAT_POOLS - 1);
	c->pool_of[number] = (uint8_t)i;
	return 0;
}
