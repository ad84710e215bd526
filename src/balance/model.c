// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The model: memory, names, weights that count, seeds. What makes sense is check.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/balance.h"

/* Room for one more entry in an array that doubles; NULL: out of memory. */
static void *grow(void **array, size_t *n, size_t size)
{
	char *p = *array;

	if (!(*n & (*n - 1))) { /* full at every power of two */
		p = reallocarray(p, *n ? *n * 2 : 1, size);
		if (!p)
			return NULL;
		*array = p;
	}
	p += (*n)++ * size;
	memset(p, 0, size);
	return p;
}

void balance_model_free(struct balance_model *m)
{
	size_t i;

	for (i = 0; i < m->n_services; i++) {
		free(m->services[i]->virtuals);
		free(m->services[i]->backends);
		free(m->services[i]->pools);
		free(m->services[i]);
	}
	free(m->services);
	*m = (struct balance_model){0};
}

struct balance_service *balance_service_add(struct balance_model *m, const char *name)
{
	struct balance_service *s = calloc(1, sizeof(*s));
	void *array = m->services;
	struct balance_service **at;

	at = s ? grow(&array, &m->n_services, sizeof(*at)) : NULL;
	m->services = array;
	if (!at) {
		free(s);
		return NULL;
	}
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->gue_port = BALANCE_GUE_PORT;
	s->n_slots = MAGLEV_SLOTS;
	s->hold_s = BALANCE_HOLD_S;
	*at = s;
	return s;
}

struct balance_virtual *balance_virtual_add(struct balance_service *s, const struct net_addr *addr,
					    uint8_t proto, uint16_t first, uint16_t last)
{
	void *array = s->virtuals;
	struct balance_virtual *v = grow(&array, &s->n_virtuals, sizeof(*v));

	s->virtuals = array;
	if (v)
		*v = (struct balance_virtual){.addr = *addr, .proto = proto, .first = first, .last = last};
	return v;
}

struct balance_backend *balance_backend_add(struct balance_service *s, const struct net_addr *addr)
{
	void *array = s->backends;
	struct balance_backend *b = grow(&array, &s->n_backends, sizeof(*b));

	s->backends = array;
	if (b)
		*b = (struct balance_backend){.addr = *addr, .weight = 1};
	return b;
}

struct balance_pool *balance_pool_add(struct balance_service *s, const struct net_addr *first, uint32_t n)
{
	void *array = s->pools;
	struct balance_pool *p = grow(&array, &s->n_pools, sizeof(*p));

	s->pools = array;
	if (p)
		*p = (struct balance_pool){.first = *first, .n = n};
	return p;
}

struct balance_service *balance_service_find(const struct balance_model *m, const char *name)
{
	size_t i;

	for (i = 0; i < m->n_services; i++)
		if (!strcmp(m->services[i]->name, name))
			return m->services[i];
	return NULL;
}

void balance_weights(const struct balance_service *s, struct maglev_backend *to)
{
	bool any = false;
	size_t i;

	for (i = 0; i < s->n_backends; i++)
		any |= s->backends[i].weight && !s->backends[i].drain && s->backends[i].health == BALANCE_UP;
	for (i = 0; i < s->n_backends; i++) {
		const struct balance_backend *b = &s->backends[i];
		bool up = b->health == BALANCE_UP || (!any && s->fallback == BALANCE_OPEN);

		to[i] = (struct maglev_backend){b->addr, b->port, up && !b->drain ? b->weight : 0};
	}
}

static const char *proto_name(uint8_t proto)
{
	return proto == 6 ? " tcp" : proto == 17 ? " udp" : "";
}

char *balance_virtual_text(const struct balance_virtual *v, char *to, size_t size)
{
	char addr[NET_ADDR_TEXT], ports[24] = "";

	net_addr_format(&v->addr, addr, sizeof(addr));
	if (v->first == v->last)
		snprintf(ports, sizeof(ports), " port %u", v->first);
	else if (v->first || v->last != 65535)
		snprintf(ports, sizeof(ports), " port %u-%u", v->first, v->last);
	if (v->proto == 6 || v->proto == 17 || v->proto == BALANCE_PROTO_ANY)
		snprintf(to, size, "%s%s%s", addr, proto_name(v->proto), ports);
	else
		snprintf(to, size, "%s protocol %u%s", addr, v->proto, ports);
	return to;
}

char *balance_backend_text(const struct balance_backend *b, char *to, size_t size)
{
	char addr[NET_ADDR_TEXT];

	net_addr_format(&b->addr, addr, sizeof(addr));
	if (b->port)
		snprintf(to, size, "%s port %u", addr, b->port);
	else
		snprintf(to, size, "%s", addr);
	return to;
}

/* FNV-1a (Fowler, Noll, Vo) over the text, then SplitMix64's sequence from there. */
void balance_seed(const char *seed, __u64 to[BALANCE_SEED_WORDS])
{
	uint64_t h = 0xcbf29ce484222325u, x;
	size_t i;

	for (; *seed; seed++)
		h = (h ^ (uint8_t)*seed) * 0x100000001b3u;
	for (i = 0; i < BALANCE_SEED_WORDS; i++) {
		x = h += 0x9e3779b97f4a7c15u;
		x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
		x = (x ^ x >> 27) * 0x94d049bb133111ebu;
		to[i] = x ^ x >> 31;
	}
}
