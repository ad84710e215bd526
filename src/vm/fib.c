// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Routes and neighbours: kept in arrays, found through one hash by (table, prefix length, prefix). */
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <linux/rtnetlink.h>

#include "vm/fib.h"

struct fib *fib_new(void)
{
	return calloc(1, sizeof(struct fib));
}

void fib_free(struct fib *f)
{
	if (!f)
		return;
	free(f->link);
	free(f->addr);
	free(f->hop);
	free(f->route);
	free(f->neigh);
	free(f->route_bucket);
	free(f->neigh_bucket);
	free(f);
}

static void *add(void **array, uint32_t *n, uint32_t *cap, size_t bytes, const void *one)
{
	uint32_t more = *cap ? *cap * 2 : 16;
	void *p;

	if (*n >= FIB_MOST)
		return NULL;
	if (*n == *cap) {
		p = reallocarray(*array, more, bytes);
		if (!p)
			return NULL;
		*array = p;
		*cap = more;
	}
	p = (char *)*array + bytes * (*n)++;
	memcpy(p, one, bytes);
	return p;
}

#define ADD(kind, one) add((void **)&f->kind, &f->n_##kind##s, &f->cap_##kind##s, sizeof(*f->kind), one)

struct fib_link *fib_link_add(struct fib *f, const struct fib_link *link)
{
	return ADD(link, link);
}

struct fib_hop *fib_hop_add(struct fib *f, const struct fib_hop *hop)
{
	struct fib_hop *new = ADD(hop, hop);

	if (new && f->n_routes)
		f->route[f->n_routes - 1].n_hops++;
	return new;
}

struct fib_route *fib_route_add(struct fib *f, const struct fib_route *route)
{
	struct fib_route *new = ADD(route, route);

	if (new) {
		new->first_hop = f->n_hops;
		new->n_hops = 0;
	}
	return new;
}

struct fib_addr *fib_addr_add(struct fib *f, const struct fib_addr *addr)
{
	struct fib_route r = {.dst = addr->addr,
			      .plen = addr->addr.v6 ? 128 : 32,
			      .type = RTN_LOCAL,
			      .scope = RT_SCOPE_HOST,
			      .table = FIB_LOCAL};
	struct fib_hop hop = {.index = addr->index, .weight = 1};

	if (!fib_route_add(f, &r) || !fib_hop_add(f, &hop))
		return NULL;
	return ADD(addr, addr);
}

struct fib_neigh *fib_neigh_add(struct fib *f, const struct fib_neigh *neigh)
{
	return ADD(neigh, neigh);
}

static uint32_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15ull; /* 2^64 over the golden ratio: Knuth, TAOCP 3, 6.4 */
	return (uint32_t)(h >> 32);
}

static uint32_t hash_addr(const struct net_addr *a, uint64_t with)
{
	uint64_t hi, lo;

	net_addr_words(a, &hi, &lo);
	return mix(hi * 3 + mix(lo + with) + ((uint64_t)a->v6 << 40) + with * 7);
}

static struct net_addr masked(const struct net_addr *a, uint8_t plen)
{
	struct net_addr m = *a;
	unsigned int i, bytes = a->v6 ? 16 : 4;

	for (i = plen / 8u; i < bytes; i++)
		m.bytes[i] = i == plen / 8u ? m.bytes[i] & (uint8_t)(0xff00 >> plen % 8) : 0;
	return m;
}

static bool same(const struct net_addr *a, const struct net_addr *b)
{
	return a->v6 == b->v6 && memcmp(a->bytes, b->bytes, a->v6 ? 16 : 4) == 0;
}

/* Which of two routes to one prefix is asked first: that with a type of service, then the lower metric. */
static bool before(const struct fib_route *a, const struct fib_route *b)
{
	return a->tos != b->tos ? a->tos > b->tos : a->metric < b->metric;
}

static uint32_t buckets(uint32_t n)
{
	uint32_t size = 16;

	while (size < n)
		size *= 2;
	return size;
}

int fib_seal(struct fib *f)
{
	uint32_t i, *at;

	f->route_mask = buckets(f->n_routes) - 1;
	f->neigh_mask = buckets(f->n_neighs) - 1;
	f->route_bucket = calloc(f->route_mask + 1, sizeof(uint32_t));
	f->neigh_bucket = calloc(f->neigh_mask + 1, sizeof(uint32_t));
	if (!f->route_bucket || !f->neigh_bucket)
		return -ENOMEM;
	for (i = 0; i < f->n_routes; i++) {
		struct fib_route *r = &f->route[i];

		r->dst = masked(&r->dst, r->plen);
		f->plens[r->dst.v6][r->plen] = 1;
		at = &f->route_bucket[hash_addr(&r->dst, (uint64_t)r->table << 8 | r->plen) & f->route_mask];
		while (*at && !before(r, &f->route[*at - 1])) /* those that came first stay first */
			at = &f->route[*at - 1].next;
		r->next = *at;
		*at = i + 1;
	}
	for (i = 0; i < f->n_neighs; i++) {
		struct fib_neigh *n = &f->neigh[i];

		at = &f->neigh_bucket[hash_addr(&n->addr, n->index) & f->neigh_mask];
		n->next = *at;
		*at = i + 1;
	}
	return 0;
}

const struct fib_link *fib_link_of(const struct fib *f, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < f->n_links; i++)
		if (f->link[i].index == index)
			return &f->link[i];
	return NULL;
}

const struct fib_link *fib_link_named(const struct fib *f, const char *name)
{
	uint32_t i;

	for (i = 0; i < f->n_links; i++)
		if (strcmp(f->link[i].name, name) == 0)
			return &f->link[i];
	return NULL;
}

const struct fib_neigh *fib_neigh_find(const struct fib *f, uint32_t index, const struct net_addr *addr)
{
	uint32_t i = f->neigh_bucket[hash_addr(addr, index) & f->neigh_mask];

	for (; i; i = f->neigh[i - 1].next)
		if (f->neigh[i - 1].index == index && same(&f->neigh[i - 1].addr, addr))
			return f->neigh[i - 1].valid ? &f->neigh[i - 1] : NULL;
	return NULL;
}

static bool usable(const struct fib_hop *h, const struct fib_query *q)
{
	return !h->dead && (!q->oif || h->index == q->oif);
}

/* A hop of the route that may be used: of several one by weight and the addresses. */
static const struct fib_hop *choose(const struct fib *f, const struct fib_route *r, const struct fib_query *q)
{
	uint64_t sum = 0, pick;
	const struct fib_hop *h;
	uint32_t i;

	for (i = 0; i < r->n_hops; i++) {
		h = &f->hop[r->first_hop + i];
		sum += usable(h, q) ? h->weight : 0;
	}
	if (!sum)
		return NULL;
	pick = r->n_hops == 1 ? 0 : (uint64_t)hash_addr(&q->dst, hash_addr(&q->src, 0)) * sum >> 32;
	for (i = 0; i < r->n_hops; i++) {
		h = &f->hop[r->first_hop + i];
		if (!usable(h, q))
			continue;
		if (pick < h->weight)
			return h;
		pick -= h->weight;
	}
	return NULL;
}

/* These need no hop: they are answers by themselves. */
static bool is_answer(const struct fib_route *r)
{
	return r->type == RTN_UNREACHABLE || r->type == RTN_PROHIBIT || r->type == RTN_BLACKHOLE ||
	       r->type == RTN_THROW;
}

static const struct fib_route *in_table(const struct fib *f, const struct fib_query *q, uint32_t table,
					uint8_t plen, const struct fib_hop **hop)
{
	struct net_addr dst = masked(&q->dst, plen);
	uint32_t i = f->route_bucket[hash_addr(&dst, (uint64_t)table << 8 | plen) & f->route_mask];
	const struct fib_route *found = NULL;

	for (; i; i = f->route[i - 1].next) {
		const struct fib_route *r = &f->route[i - 1];
		const struct fib_hop *h;

		if (r->table != table || r->plen != plen || !same(&r->dst, &dst) ||
		    (r->tos && r->tos != q->tos))
			continue;
		if (found && (before(found, r) || !q->dst.v6))
			break;
		h = choose(f, r, q);
		if (!h && !is_answer(r))
			continue;
		if (!found || (h && *hop && h->index == q->iif && (*hop)->index != q->iif))
			found = r, *hop = h;
	}
	return found;
}

static const struct fib_route *in_tables(const struct fib *f, const struct fib_query *q,
					 const uint32_t *table, size_t n, const struct fib_hop **hop)
{
	int plen;
	size_t i;

	for (plen = q->dst.v6 ? 128 : 32; plen >= 0; plen--) {
		if (!f->plens[q->dst.v6][plen])
			continue;
		for (i = 0; i < n; i++) {
			const struct fib_route *r = in_table(f, q, table[i], (uint8_t)plen, hop);

			if (r)
				return r;
		}
	}
	return NULL;
}

const struct fib_route *fib_find(const struct fib *f, const struct fib_query *q, const struct fib_hop **hop)
{
	static const uint32_t all[] = {FIB_LOCAL, FIB_MAIN, FIB_DEFAULT};
	const struct fib_route *r = NULL;
	size_t i;

	*hop = NULL;
	if (!f->route_bucket)
		return NULL;
	/* IPv4 keeps both in one trie as long as there are no rules, so that the longer prefix wins in
	 * whichever table */
	if (!q->dst.v6 && (!q->table || q->table == FIB_LOCAL || q->table == FIB_MAIN))
		r = in_tables(f, q, all, 2, hop);
	else if (q->table)
		r = in_tables(f, q, &q->table, 1, hop);
	if (q->table)
		return r;
	for (i = q->dst.v6 ? 0 : 2; i < 3 && (!r || r->type == RTN_THROW); i++) {
		*hop = NULL;
		r = in_tables(f, q, &all[i], 1, hop);
	}
	return r;
}

static bool matches(const struct fib_addr *a, const struct net_addr *of)
{
	struct net_addr x = masked(&a->addr, a->plen), y = masked(of, a->plen);

	return same(&x, &y);
}

static unsigned int common_bits(const struct net_addr *a, const struct net_addr *b)
{
	unsigned int i, n = a->v6 ? 16 : 4;

	for (i = 0; i < n && a->bytes[i] == b->bytes[i]; i++)
		;
	return i < n ? i * 8 + (unsigned int)__builtin_clz((unsigned int)(a->bytes[i] ^ b->bytes[i]) << 24)
		     : n * 8;
}

/* Bits in common with the destination, as far as the network goes (RFC 6724, rule 8, and its section 2.2). */
static unsigned int match(const struct fib_addr *a, const struct net_addr *dst)
{
	unsigned int n = common_bits(&a->addr, dst);

	return n < a->plen ? n : a->plen;
}

/* The first address of the interface in the gateway's network, else its first; then any other's. */
static const struct fib_addr *source4(const struct fib *f, const struct fib_route *route,
				      const struct fib_hop *hop)
{
	const struct fib_addr *best = NULL, *a;
	uint32_t i;

	for (i = 0; i < f->n_addrs; i++) {
		a = &f->addr[i];
		if (a->addr.v6 || a->scope > route->scope)
			continue;
		if (a->index == hop->index && hop->has_via && matches(a, &hop->via))
			return a;
		if (!best || (a->index == hop->index && best->index != hop->index))
			best = a;
	}
	return best;
}

/* RFC 6724's rules 1 (the destination itself), 2 (scope), 5 (the interface's own) and 8 (longest match), in
 * this order. */
static bool better6(const struct fib_addr *a, const struct fib_addr *b, const struct net_addr *dst,
		    uint32_t index)
{
	static const struct net_addr any = {.v6 = true};
	bool here = a->index == index, there = b->index == index;

	if (same(&a->addr, dst) != same(&b->addr, dst))
		return same(&a->addr, dst);
	if (a->scope != b->scope) /* wide, unless there is no scope to reach */
		return same(dst, &any) ? a->scope > b->scope : a->scope < b->scope;
	if (here != there)
		return here;
	return match(a, dst) > match(b, dst);
}

static const struct fib_addr *source6(const struct fib *f, const struct fib_hop *hop,
				      const struct net_addr *dst)
{
	const struct fib_addr *best = NULL, *a;
	uint32_t i;

	for (i = 0; i < f->n_addrs; i++) {
		a = &f->addr[i];
		/* a link-local one of another interface means nothing on this one */
		if (!a->addr.v6 || (a->index != hop->index && a->scope >= RT_SCOPE_LINK))
			continue;
		if (!best || better6(a, best, dst, hop->index))
			best = a;
	}
	return best;
}

bool fib_source(const struct fib *f, const struct fib_route *route, const struct fib_hop *hop,
		const struct net_addr *dst, struct net_addr *src)
{
	const struct fib_addr *best;

	if (route->has_src) {
		*src = route->src;
		return true;
	}
	best = dst->v6 ? source6(f, hop, dst) : source4(f, route, hop);
	if (best)
		*src = best->addr;
	return best != NULL;
}
