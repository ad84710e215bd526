// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The flat memory of a data path: places, services, and the order of changes. Virtual addresses: vips.c. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/tables.h"
#include "balance/vips.h"
#include "base/err.h"

/* A stretch of one of the parts; n 0: none. */
struct stretch {
	uint32_t first, n;
};

struct service {
	char name[BALANCE_NAME]; /* empty: none */
	struct ring *ring;
	struct balance_service last; /* as published; only what a ring is made of, its own copy of backends */
	struct stretch slots, changes, targets;
	uint32_t gone; /* removed with that change of virtual addresses: its places rest until the next */
};

struct tables {
	struct balance_config config;
	struct tables_room room;
	size_t len;
	char *memory;
	struct service *services;
	struct maglev_memo memo;
	struct vips vips; /* as published */
	uint64_t flipped_ns;
	uint32_t flips;
};

static void drop(struct service *s)
{
	ring_free(s->ring);
	free(s->last.backends);
	*s = (struct service){0};
}

static uint32_t power(uint32_t n, uint32_t least)
{
	uint32_t p = least;

	while (p < n)
		p *= 2;
	return p;
}

static bool wants_wide(const struct balance_service *s)
{
	return s->n_backends > TABLES_NARROW;
}

static uint32_t slot_bytes(const struct balance_service *s)
{
	/* an even number: wide slots are aligned */
	return wants_wide(s) ? s->n_slots * 2 : (s->n_slots + 1) & ~1u;
}

/* With those that went, whose numbers rest (ring.c), and so that there can be twice as many. */
static uint32_t n_targets(const struct balance_service *s)
{
	uint32_t n = (uint32_t)s->n_backends * 4 + 512;

	if (!wants_wide(s))
		return BALANCE_ID_NARROW + 1;
	return n > BALANCE_ID_MAX + 1 ? BALANCE_ID_MAX + 1 : n;
}

void tables_room(const struct balance_model *m, struct tables_room *room)
{
	size_t i;

	*room = (struct tables_room){.services = 8,
				     .vips = 64,
				     .targets = 512,
				     .slots = 131074,
				     .slot_bytes = 262148,
				     .hops = 256};
	for (i = 0; i < m->n_services; i++) {
		const struct balance_service *s = m->services[i];

		room->services++;
		room->vips += vips_blocks(s);
		room->targets += n_targets(s);
		room->slots += s->n_slots;
		room->slot_bytes += slot_bytes(s);
		room->hops += (uint32_t)s->n_backends;
	}
	room->services += room->services / 2;
	room->vips += room->vips / 2;
	room->targets += room->targets / 2;
	room->slots += room->slots / 2;
	room->slot_bytes += room->slot_bytes / 2;
	room->services = room->services > BALANCE_SERVICES ? BALANCE_SERVICES : room->services;
	room->hops = room->hops > 32768 ? 32768 : room->hops;
}

/* Parts one after the other, each from a cache line on. */
static uint32_t part(struct tables *t, size_t bytes)
{
	size_t at = t->len;

	t->len = (at + bytes + 63) / 64 * 64;
	return (uint32_t)at;
}

int tables_new(const struct tables_room *room, const char *seed, struct tables **to, struct sluice_err *err)
{
	struct balance_config *c;
	__u64 seeds[BALANCE_SEED_WORDS];
	struct tables *t;
	size_t i;

	*to = NULL;
	if (room->services > BALANCE_SERVICES || room->hops > 65536)
		return err_set(err, -EINVAL, "room for %u services and %u ways; there can be %u and 65536",
			       room->services, room->hops, BALANCE_SERVICES);
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_nomem(err);
	t->room = *room;
	c = &t->config;
	balance_seed(seed, seeds);
	memcpy(c->seed, seeds, sizeof(c->seed));
	/* others, from the same text: nothing is gained by aiming at them, but they are there */
	for (i = 0; i < sizeof(c->vip_seed) / sizeof(*c->vip_seed); i++)
		c->vip_seed[i] = seeds[i] * 0xd1342543de82ef95u + seeds[i + 1];
	c->vip_buckets = power(room->vips * 2, 8);
	c->n_services = power(room->services, 1);
	c->n_targets = room->targets;
	c->n_hops = power(room->hops, 2);
	c->slot_bytes = room->slot_bytes + 2;
	c->n_changes = room->slots;
	part(t, sizeof(struct balance_head));
	c->vips = part(t, (size_t)c->vip_buckets * 2 * BALANCE_VIP_WAYS * sizeof(struct balance_vip));
	c->services = part(t, c->n_services * sizeof(struct balance_ring));
	c->targets = part(t, c->n_targets * sizeof(struct balance_target));
	c->hops = part(t, c->n_hops * sizeof(struct balance_hop));
	c->slots = part(t, c->slot_bytes);
	c->changes = part(t, c->n_changes * sizeof(uint16_t));
	t->services = calloc(room->services + 1, sizeof(*t->services));
	if (!t->services) {
		tables_free(t);
		return err_nomem(err);
	}
	*to = t;
	return 0;
}

void tables_free(struct tables *t)
{
	uint32_t i;

	if (!t)
		return;
	for (i = 0; t->services && i < t->room.services; i++)
		drop(&t->services[i]);
	free(t->services);
	vips_free(&t->vips);
	maglev_memo_free(&t->memo);
	free(t);
}

const struct balance_config *tables_config(const struct tables *t)
{
	return &t->config;
}

size_t tables_bytes(const struct tables *t)
{
	return t->len;
}

void tables_attach(struct tables *t, void *memory)
{
	t->memory = memory;
}

int tables_service(const struct tables *t, const char *name)
{
	uint32_t i;

	for (i = 0; i < t->room.services; i++)
		if (t->services[i].ring && !t->services[i].gone && !strcmp(t->services[i].name, name))
			return (int)i;
	return -1;
}

const struct ring *tables_ring(const struct tables *t, uint32_t service)
{
	return t->services[service].ring;
}

uint32_t tables_first(const struct tables *t, uint32_t service)
{
	return t->services[service].targets.first;
}

static void *at(const struct tables *t, uint32_t part, uint32_t n, size_t size)
{
	return t->memory + part + n * size;
}

void tables_hop(struct tables *t, uint32_t hop, const struct balance_hop *way)
{
	memcpy(at(t, t->config.hops, hop, sizeof(*way)), way, sizeof(*way));
}

void tables_way(struct tables *t, uint32_t service, uint32_t id, uint32_t hop)
{
	struct balance_target *to =
		at(t, t->config.targets, t->services[service].targets.first + id, sizeof(*to));

	__atomic_store_n(&to->hop, (uint16_t)hop, __ATOMIC_RELEASE);
}

/* --- places --- */

static int by_first(const void *a, const void *b)
{
	const struct stretch *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* The first gap between n_taken stretches below room where n fit; -1: none. */
static int64_t gap(struct stretch *taken, size_t n_taken, uint32_t room, uint32_t n)
{
	uint32_t at = 0;
	size_t i;

	qsort(taken, n_taken, sizeof(*taken), by_first);
	for (i = 0; i < n_taken; i++) {
		if (taken[i].first - at >= n)
			break;
		at = taken[i].first + taken[i].n;
	}
	return room - at >= n ? (int64_t)at : -1;
}

enum which { SLOTS, CHANGES, TARGETS };

static int place(const struct tables *t, enum which which, uint32_t room, uint32_t n, struct stretch *to,
		 struct sluice_err *err)
{
	static const char *const names[] = {"slots", "slots", "backends"};
	struct stretch *taken = calloc(t->room.services + 1, sizeof(*taken));
	size_t n_taken = 0;
	int64_t first;
	uint32_t i;

	if (!taken)
		return err_nomem(err);
	for (i = 0; i < t->room.services; i++) {
		const struct service *s = &t->services[i];

		if (s->ring)
			taken[n_taken++] = which == SLOTS     ? s->slots
					   : which == CHANGES ? s->changes
							      : s->targets;
	}
	first = gap(taken, n_taken, room, n);
	free(taken);
	if (first < 0)
		return err_set(err, -ENOSPC, "no room for %u %s of another service", n, names[which]);
	*to = (struct stretch){(uint32_t)first, n};
	return 0;
}

static void clear(const struct tables *t, const struct service *s)
{
	memset(at(t, t->config.slots, s->slots.first, 1), 0, s->slots.n);
	memset(at(t, t->config.changes, s->changes.first, sizeof(uint16_t)), 0,
	       s->changes.n * sizeof(uint16_t));
	memset(at(t, t->config.targets, s->targets.first, sizeof(struct balance_target)), 0,
	       s->targets.n * sizeof(struct balance_target));
}

static int add(struct tables *t, const struct balance_service *m, struct service **to, struct sluice_err *err)
{
	struct service *s = NULL;
	uint32_t i;
	int e;

	for (i = 0; i < t->room.services && !s; i++)
		s = t->services[i].ring ? NULL : &t->services[i];
	if (!s)
		return err_set(err, -ENOSPC, "no room for another service than %u", t->room.services);
	*s = (struct service){0};
	memcpy(s->name, m->name, sizeof(s->name));
	e = place(t, SLOTS, t->config.slot_bytes - 2, slot_bytes(m), &s->slots, err);
	if (!e)
		e = place(t, CHANGES, t->config.n_changes, m->n_slots, &s->changes, err);
	if (!e)
		e = place(t, TARGETS, t->config.n_targets, n_targets(m), &s->targets, err);
	if (!e)
		e = ring_new(m->n_slots, wants_wide(m), &s->ring, err);
	if (e)
		return e;
	clear(t, s);
	*to = s;
	return 0;
}

/* --- changes --- */

static bool keeps_ring(const struct service *s, const struct balance_service *m)
{
	const struct ring *r = s->ring;

	bool fits = ring_wide(r) ? s->targets.n >= m->n_backends * 2 + 128 || s->targets.n > BALANCE_ID_MAX
				 : !wants_wide(m);

	return fits && r->n_slots == m->n_slots && !(r->flags & BALANCE_FLAG_AFFINITY) == !m->affinity;
}

/* Whether a ring would be the same. */
static bool unchanged(const struct balance_service *a, const struct balance_service *b)
{
	size_t i;

	if (a->n_backends != b->n_backends || a->mode != b->mode || a->fallback != b->fallback ||
	    a->gue_port != b->gue_port || a->stateless != b->stateless || a->hold_s != b->hold_s)
		return false;
	for (i = 0; i < a->n_backends; i++) {
		const struct balance_backend *x = &a->backends[i], *y = &b->backends[i];

		if (x->port != y->port || x->drain != y->drain || x->health != y->health ||
		    x->weight != y->weight || x->addr.v6 != y->addr.v6 ||
		    memcmp(x->addr.bytes, y->addr.bytes, sizeof(x->addr.bytes)))
			return false;
	}
	return true;
}

static int remember(struct service *s, const struct balance_service *m, struct sluice_err *err)
{
	struct balance_backend *copy = calloc(m->n_backends + 1, sizeof(*copy));

	if (!copy)
		return err_nomem(err);
	memcpy(copy, m->backends, m->n_backends * sizeof(*copy));
	free(s->last.backends);
	s->last = *m;
	s->last.backends = copy;
	s->last.virtuals = NULL;
	return 0;
}

/* The report of a service that did not change says nothing: its slots are as they were. */
static int update(struct tables *t, struct service *s, const struct balance_service *m, bool is_new,
		  uint64_t now, struct ring_report *sum, struct sluice_err *err)
{
	struct balance_ring *to = at(t, t->config.services, (uint32_t)(s - t->services), sizeof(*to));
	struct ring_memory memory = {at(t, t->config.slots, s->slots.first, 1),
				     at(t, t->config.changes, s->changes.first, sizeof(uint16_t)),
				     at(t, t->config.targets, s->targets.first,
					sizeof(struct balance_target)),
				     s->targets.n};
	struct ring_report report;
	int e;

	if (!is_new && unchanged(&s->last, m))
		return 0;
	e = remember(s, m, err);
	if (!e)
		e = ring_change(s->ring, m, now, &t->memo, &report, err);
	if (e)
		return e;
	if (is_new)
		*to = (struct balance_ring){.first = s->slots.first,
					    .targets = s->targets.first,
					    .change = s->changes.first};
	to->mode = (__u8)m->mode;
	to->fallback = (__u8)m->fallback;
	to->gue_port = htobe16(m->gue_port);
	sum->moved += report.moved;
	sum->changed += report.changed;
	sum->waiting += report.waiting;
	sum->until = report.until > sum->until ? report.until : sum->until;
	return ring_publish(s->ring, is_new, to, &memory, err);
}

/* Services that went with an earlier change: no packet is looked up in them any more. */
static void bury(struct tables *t)
{
	uint32_t i;

	for (i = 0; i < t->room.services; i++)
		if (t->services[i].ring && t->services[i].gone)
			drop(&t->services[i]);
}

/* The service of each of the model's; those that need another ring are new, and the old one goes. */
static int assign(struct tables *t, const struct balance_model *m, struct service **to, bool *is_new,
		  struct sluice_err *err)
{
	size_t i;
	int e = 0, at;

	for (i = 0; !e && i < m->n_services; i++) {
		at = tables_service(t, m->services[i]->name);
		is_new[i] = at < 0 || !keeps_ring(&t->services[at], m->services[i]);
		if (!is_new[i])
			to[i] = &t->services[at];
		else
			e = add(t, m->services[i], &to[i], err);
	}
	for (i = 0; e && i < m->n_services; i++)
		if (to[i] && is_new[i])
			drop(to[i]);
	return e;
}

static void retire(struct tables *t, struct service *const *kept, size_t n)
{
	uint32_t i;
	size_t k;

	for (i = 0; i < t->room.services; i++) {
		for (k = 0; k < n && kept[k] != &t->services[i]; k++)
			;
		if (k == n && t->services[i].ring)
			t->services[i].gone = 1;
	}
}

static int switch_vips(struct tables *t, struct vips *v, uint64_t now, struct sluice_err *err)
{
	struct balance_head *head = (struct balance_head *)t->memory;
	uint32_t half = t->flips & 1;
	int e = vips_write(v, &t->config, half ^ 1, at(t, t->config.vips, 0, 1), err);

	if (e)
		return e;
	__atomic_store_n(&head->levels, t->vips.levels | v->levels, __ATOMIC_RELEASE);
	__atomic_store_n(&head->half, half ^ 1, __ATOMIC_RELEASE);
	vips_free(&t->vips);
	t->vips = *v;
	*v = (struct vips){0};
	t->flips++;
	t->flipped_ns = now;
	return 0;
}

int tables_change(struct tables *t, const struct balance_model *m, const uint32_t *on, uint64_t now,
		  struct ring_report *report, struct sluice_err *err)
{
	struct service **to = calloc(m->n_services + 1, sizeof(*to));
	bool *is_new = calloc(m->n_services + 1, sizeof(*is_new)), other;
	uint32_t *numbers = calloc(m->n_services + 1, sizeof(*numbers));
	struct ring_report sum = {0};
	struct vips v = {0};
	size_t i;
	int e = to && is_new && numbers ? 0 : err_nomem(err);

	if (!e && (!t->flips || now - t->flipped_ns >= TABLES_GRACE_NS))
		bury(t);
	if (!e)
		e = assign(t, m, to, is_new, err);
	for (i = 0; !e && i < m->n_services; i++)
		numbers[i] = (uint32_t)(to[i] - t->services);
	if (!e)
		e = vips_of(m, numbers, on, &v, err);
	other = !e && (!t->flips || !vips_same(&v, &t->vips));
	if (other && t->flips && now - t->flipped_ns < TABLES_GRACE_NS)
		e = err_set(err, -EAGAIN,
			    "virtual addresses were changed less than %u ms ago; wait and try again",
			    TABLES_GRACE_NS / 1000000);
	if (other && !e)
		e = vips_fit(&v, &t->config, err);
	for (i = 0; !e && i < m->n_services; i++)
		e = update(t, to[i], m->services[i], is_new[i], now, &sum, err);
	if (!e && other)
		e = switch_vips(t, &v, now, err);
	if (!e)
		retire(t, to, m->n_services);
	for (i = 0; e && to && is_new && i < m->n_services; i++)
		if (to[i] && is_new[i] && to[i]->ring)
			drop(to[i]);
	if (!e && report)
		*report = sum;
	vips_free(&v);
	free(numbers);
	free(is_new);
	free(to);
	return e;
}
