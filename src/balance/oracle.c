// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which backend gets a packet: written down as it is said, not as it is fast. */
#include <stdlib.h>
#include <string.h>

#include "balance/oracle.h"
#include "base/err.h"

/* A backend by what it is; number -1 is nobody. */
struct who {
	struct net_addr addr;
	uint16_t port;
	bool is;
};

struct slot {
	struct who current, previous;
	uint64_t until;
	bool changed;
};

struct ring_of {
	char name[BALANCE_NAME];
	struct slot *slots;
	uint32_t n_slots;
	bool affinity;
};

struct known { /* a flow, or a packet in fragments */
	char service[BALANCE_NAME]; /* "": none, the first fragment passed */
	struct oracle_packet flow;
	bool fragments;
	struct who at;
};

struct oracle {
	const struct balance_model *m;
	char seed[sizeof(((struct balance_model *)0)->seed)];
	struct ring_of *rings;
	size_t n_rings;
	struct known *known;
	size_t n_known;
};

int oracle_new(struct oracle **o, struct sluice_err *err)
{
	*o = calloc(1, sizeof(**o));
	return *o ? 0 : err_nomem(err);
}

void oracle_free(struct oracle *o)
{
	size_t i;

	for (i = 0; o && i < o->n_rings; i++)
		free(o->rings[i].slots);
	if (o) {
		free(o->rings);
		free(o->known);
	}
	free(o);
}

static bool same_who(const struct who *a, const struct who *b)
{
	return a->is && b->is && a->port == b->port && net_addr_same(&a->addr, &b->addr);
}

/* Does a take its turn k before b its turn l? At the same time the order of backends decides. */
static bool before(const struct maglev_backend *a, uint64_t k, const struct maglev_backend *b, uint64_t l)
{
	uint64_t left = k * b->weight, right = l * a->weight;

	return left < right || (left == right && maglev_compare(a, b) < 0);
}

int oracle_table(const struct maglev_backend *b, size_t n, uint32_t n_slots, uint16_t *table,
		 struct sluice_err *err)
{
	uint64_t *turns = calloc(n + 1, sizeof(*turns)), *tried = calloc(n + 1, sizeof(*tried));
	uint32_t filled, offset, skip, slot;
	size_t i, best;

	if (!turns || !tried) {
		free(turns);
		free(tried);
		return err_nomem(err);
	}
	memset(table, 0xff, n_slots * sizeof(*table));
	for (filled = 0; filled < n_slots; filled++) {
		best = n;
		for (i = 0; i < n; i++)
			if (b[i].weight && (best == n || before(&b[i], turns[i], &b[best], turns[best])))
				best = i;
		if (best == n)
			break;
		maglev_permutation(&b[best], n_slots, &offset, &skip);
		do
			slot = (uint32_t)((offset + tried[best]++ * skip) % n_slots);
		while (table[slot] != MAGLEV_NONE);
		table[slot] = (uint16_t)best;
		turns[best]++;
	}
	free(turns);
	free(tried);
	return 0;
}

static const struct balance_backend *backend_of(const struct balance_service *s, const struct who *w)
{
	size_t i;

	for (i = 0; w->is && i < s->n_backends; i++)
		if (s->backends[i].port == w->port && net_addr_same(&s->backends[i].addr, &w->addr))
			return &s->backends[i];
	return NULL;
}

static bool takes_new(const struct balance_service *s, const struct balance_backend *b)
{
	size_t i;

	if (b->drain || !b->weight)
		return false;
	if (b->health == BALANCE_UP)
		return true;
	for (i = 0; i < s->n_backends; i++)
		if (s->backends[i].health == BALANCE_UP && s->backends[i].weight && !s->backends[i].drain)
			return false;
	return s->fallback == BALANCE_OPEN;
}

/* Flows that are there may go on being there. */
static bool serves(const struct balance_service *s, const struct who *w)
{
	const struct balance_backend *b = backend_of(s, w);

	return b && (b->health == BALANCE_UP || takes_new(s, b));
}

static void change_slot(const struct balance_service *s, struct slot *slot, struct who want, uint64_t now)
{
	uint64_t until = now + s->hold_s * UINT64_C(1000000000);

	if (!serves(s, &slot->previous) || now >= slot->until)
		slot->previous.is = false;
	if (s->stateless) {
		*slot = (struct slot){.current = want};
	} else if (same_who(&slot->current, &want) || (!slot->current.is && !want.is)) {
		return;
	} else if (slot->previous.is) {
		slot->current = want;
		if (same_who(&slot->previous, &want))
			slot->previous.is = false;
	} else if (serves(s, &slot->current)) {
		*slot = (struct slot){.current = want,
				      .previous = slot->current,
				      .until = until,
				      .changed = true};
	} else {
		slot->current = want;
	}
}

static struct ring_of *ring_of(struct oracle *o, const struct balance_service *s)
{
	struct ring_of *r;
	size_t i;

	for (i = 0; i < o->n_rings; i++)
		if (!strcmp(o->rings[i].name, s->name))
			break;
	if (i == o->n_rings) {
		r = reallocarray(o->rings, i + 1, sizeof(*r));
		if (!r)
			return NULL;
		o->rings = r;
		o->n_rings++;
		r[i] = (struct ring_of){.affinity = s->affinity};
		memcpy(r[i].name, s->name, sizeof(r[i].name));
	}
	r = &o->rings[i];
	if (r->n_slots == s->n_slots && r->affinity == s->affinity)
		return r;
	free(r->slots);
	r->slots = calloc(s->n_slots, sizeof(*r->slots));
	r->n_slots = r->slots ? s->n_slots : 0;
	r->affinity = s->affinity;
	return r->slots ? r : NULL;
}

static int change_service(struct oracle *o, const struct balance_service *s, uint64_t now,
			  struct sluice_err *err)
{
	struct maglev_backend *b = calloc(s->n_backends + 1, sizeof(*b));
	uint16_t *table = calloc(s->n_slots, sizeof(*table));
	struct ring_of *r = ring_of(o, s);
	int e = b && table && r ? 0 : err_nomem(err);
	size_t i;

	for (i = 0; !e && i < s->n_backends; i++)
		b[i] = (struct maglev_backend){s->backends[i].addr, s->backends[i].port,
					       takes_new(s, &s->backends[i]) ? s->backends[i].weight : 0};
	if (!e)
		e = oracle_table(b, s->n_backends, s->n_slots, table, err);
	for (i = 0; !e && i < s->n_slots; i++) {
		struct who want = {0};

		if (table[i] != MAGLEV_NONE)
			want = (struct who){b[table[i]].addr, b[table[i]].port, true};
		change_slot(s, &r->slots[i], want, now);
	}
	free(table);
	free(b);
	return e;
}

int oracle_change(struct oracle *o, const struct balance_model *m, uint64_t now_ns, struct sluice_err *err)
{
	size_t i;
	int e = 0;

	for (i = 0; i < o->n_rings; i++)
		if (strcmp(o->seed, m->seed) || !balance_service_find(m, o->rings[i].name))
			o->rings[i].n_slots = 0; /* afresh, if it comes again */
	memcpy(o->seed, m->seed, sizeof(o->seed));
	o->m = m;
	for (i = 0; !e && i < m->n_services; i++)
		e = change_service(o, m->services[i], now_ns, err);
	return e;
}

/* A later fragment has no ports: what it is for can be told where all ports are one service's. */
static const struct balance_service *service_of(const struct oracle *o, const struct oracle_packet *p)
{
	bool later = p->kind == BALANCE_PACKET_FRAGMENT;
	size_t i, k;

	for (i = 0; i < o->m->n_services; i++)
		for (k = 0; k < o->m->services[i]->n_virtuals; k++) {
			const struct balance_virtual *v = &o->m->services[i]->virtuals[k];

			if (!net_addr_same(&v->addr, &p->dst) || (v->proto && v->proto != p->proto))
				continue;
			if ((!v->first && v->last == 65535) ||
			    (!later && p->dport >= v->first && p->dport <= v->last))
				return o->m->services[i];
		}
	return NULL;
}

/* Is there any service at the packet's address? */
static bool is_served(const struct oracle *o, const struct oracle_packet *p)
{
	size_t i, k;

	for (i = 0; i < o->m->n_services; i++)
		for (k = 0; k < o->m->services[i]->n_virtuals; k++)
			if (net_addr_same(&o->m->services[i]->virtuals[k].addr, &p->dst))
				return true;
	return false;
}

/* The product of (seed + lower half) and (seed + upper half) of each 64-bit word, as datapath/lib/hash.h says. */
static uint64_t word_hash(uint64_t word, const __u64 *seed)
{
	return (seed[0] + (uint32_t)word) * (seed[1] + (word >> 32));
}

static uint32_t slot_of(const struct oracle *o, const struct balance_service *s,
			const struct oracle_packet *p)
{
	uint64_t src[2], dst[2], sum;
	__u64 seed[BALANCE_SEED_WORDS];
	uint64_t rest = (uint64_t)p->proto << 32 | (uint64_t)p->sport << 16 | p->dport;

	balance_seed(o->m->seed, seed);
	net_addr_words(&p->src, &src[0], &src[1]);
	net_addr_words(&p->dst, &dst[0], &dst[1]);
	if (p->src.v6) {
		sum = word_hash(src[0], seed) + word_hash(src[1], seed + 2);
		if (!s->affinity)
			sum += word_hash(dst[0], seed + 4) + word_hash(dst[1], seed + 6) +
			       word_hash(rest, seed + 8);
	} else if (s->affinity) {
		sum = (seed[0] + src[1]) * (seed[1] | 1);
	} else {
		sum = word_hash(dst[1] << 32 | src[1], seed) + word_hash(rest, seed + 2);
	}
	sum = (sum ^ sum >> 32) * 0x9e3779b97f4a7c15u;
	return (uint32_t)((sum >> 32) * s->n_slots / (UINT64_C(1) << 32));
}

/* s: NULL for any service, and for none */
static struct known *find_known(struct oracle *o, const struct balance_service *s,
				const struct oracle_packet *p, bool fragments)
{
	size_t i;

	for (i = 0; i < o->n_known; i++) {
		struct known *k = &o->known[i];

		if ((s && strcmp(k->service, s->name)) || k->fragments != fragments ||
		    k->flow.proto != p->proto || !net_addr_same(&k->flow.src, &p->src) ||
		    !net_addr_same(&k->flow.dst, &p->dst))
			continue;
		if (fragments ? k->flow.ident == p->ident
			      : k->flow.sport == p->sport && k->flow.dport == p->dport)
			return k;
	}
	return NULL;
}

/* s: NULL if the packet passes, at: nobody then */
static int remember(struct oracle *o, const struct balance_service *s, const struct oracle_packet *p,
		    bool fragments, const struct who *at, struct sluice_err *err)
{
	struct known *k = find_known(o, fragments ? NULL : s, p, fragments);

	if (!k) {
		k = reallocarray(o->known, o->n_known + 1, sizeof(*k));
		if (!k)
			return err_nomem(err);
		o->known = k;
		k += o->n_known++;
		*k = (struct known){.flow = *p, .fragments = fragments};
	}
	memcpy(k->service, s ? s->name : "", s ? sizeof(k->service) : 1);
	k->at = *at;
	return 0;
}

static int fragment(struct oracle *o, const struct balance_service *s, const struct oracle_packet *p,
		    const struct slot *slot, struct oracle_answer *a)
{
	struct known *k = find_known(o, s, p, true);

	if (s->affinity && !slot->changed) {
		a->backend = backend_of(s, &slot->current);
		a->why = a->backend ? BALANCE_WHY_HASH : BALANCE_WHY_NO_BACKEND;
	} else if (k && serves(s, &k->at)) {
		a->backend = backend_of(s, &k->at);
		a->why = BALANCE_WHY_TABLE;
	} else {
		a->why = BALANCE_WHY_NO_FIRST;
	}
	return 0;
}

/* Where a packet with ports goes; what is to be remembered is the caller's. */
static struct who choose(const struct balance_service *s, const struct slot *slot, const struct known *known,
			 enum balance_packet kind, uint64_t now, enum balance_why *why)
{
	bool opens = kind == BALANCE_PACKET_OPENS;

	*why = slot->current.is ? BALANCE_WHY_HASH : BALANCE_WHY_NO_BACKEND;
	if (!slot->changed)
		return slot->current;
	if (known && serves(s, &known->at) && (!opens || takes_new(s, backend_of(s, &known->at)))) {
		*why = BALANCE_WHY_TABLE;
		return known->at;
	}
	if (!opens && slot->previous.is && serves(s, &slot->previous) && now < slot->until) {
		*why = BALANCE_WHY_PREVIOUS;
		return slot->previous;
	}
	if (slot->current.is)
		*why = opens ? BALANCE_WHY_NEW : BALANCE_WHY_CURRENT;
	return slot->current;
}

/* The number of n bytes in the order of the network. */
static uint64_t number(const uint8_t *b, uint32_t n)
{
	uint64_t x = 0;

	while (n--)
		x = x * 256 + *b++;
	return x;
}

/* The backend that a QUIC packet's connection id names, if it is one that servers make; initial: it is the client's first. */
static const struct balance_backend *named(const struct balance_service *s, const struct oracle_packet *p, bool *initial)
{
	uint64_t version = number(p->payload + 1, 4);
	uint32_t at = 1, type = p->payload[0] / 16 % 4, i;
	struct who w;

	*initial = false;
	if (!s->quic_bytes || p->proto != 17 || p->kind != BALANCE_PACKET_GOES_ON || !p->n_payload)
		return NULL;
	if (p->payload[0] >= 128) {
		if (p->n_payload < 6 || (version != 1 && version != 0x6b3343cf))
			return NULL;
		type = (type + (version == 1 ? 0 : 3)) % 4; /* version 2 counts from 1 */
		*initial = type == 0;
		if (type != 2 || p->payload[5] <= s->quic_bytes || p->payload[5] > 20)
			return NULL;
		at = 6;
	}
	if (p->n_payload < at + 1 + s->quic_bytes || p->payload[at] / 32 != s->quic_config)
		return NULL;
	for (i = 0; i < s->n_backends; i++) {
		const struct balance_backend *b = &s->backends[i];

		w = (struct who){b->addr, b->port, true};
		if (b->has_server && b->server == number(p->payload + at + 1, s->quic_bytes))
			return serves(s, &w) ? b : NULL;
	}
	return NULL;
}

int oracle_packet(struct oracle *o, const struct oracle_packet *given, uint64_t now_ns,
		  struct oracle_answer *a, struct sluice_err *err)
{
	struct oracle_packet packet = *given, *p = &packet;
	const struct slot *slot;
	bool initial, passed = false;
	struct who at = {.is = false};
	int e = 0;

	if (given->kind == BALANCE_PACKET_ERROR) {
		packet.src = given->dst;
		packet.dst = given->src;
		packet.sport = given->dport;
		packet.dport = given->sport;
	}
	*a = (struct oracle_answer){.service = service_of(o, p)};
	if (p->kind == BALANCE_PACKET_FRAGMENT) {
		struct known *first = find_known(o, NULL, p, true);

		passed = first && !*first->service;
		if (passed)
			a->service = NULL;
		else if (first && balance_service_find(o->m, first->service))
			a->service = balance_service_find(o->m, first->service);
		p->sport = p->dport = 0;
	}
	if (!a->service) {
		if (p->kind == BALANCE_PACKET_FRAGMENT)
			a->why = passed ? BALANCE_WHY_HASH : BALANCE_WHY_NO_FIRST;
		else if (p->more && is_served(o, p))
			return remember(o, NULL, p, true, &at, err);
		return 0;
	}
	a->backend = named(a->service, p, &initial);
	if (a->backend) {
		a->why = BALANCE_WHY_SERVER;
		at = (struct who){a->backend->addr, a->backend->port, true};
		return p->more ? remember(o, a->service, p, true, &at, err) : 0;
	}
	p->kind = initial ? BALANCE_PACKET_OPENS : p->kind;
	slot = &ring_of(o, a->service)->slots[slot_of(o, a->service, p)];
	if (p->kind == BALANCE_PACKET_FRAGMENT)
		return fragment(o, a->service, p, slot, a);
	at = choose(a->service, slot, find_known(o, a->service, p, false), p->kind, now_ns, &a->why);
	a->backend = backend_of(a->service, &at);
	if (p->kind == BALANCE_PACKET_ERROR || !at.is)
		return 0;
	if (slot->changed)
		e = remember(o, a->service, p, false, &at, err);
	if (!e && p->more)
		e = remember(o, a->service, p, true, &at, err);
	return e;
}
