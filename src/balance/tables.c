// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The flat memory of a data path: where everything is. Changes: tables_set.c; virtual addresses: vips.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/tables_inside.h"
#include "base/err.h"

#define MEMORY_MAX (2u << 30) /* bytes: places are 32 bits */

void tables_drop_service(struct service *s)
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

bool tables_wants_wide(const struct balance_service *s)
{
	return s->n_backends > TABLES_NARROW;
}

static uint32_t slot_bytes(const struct balance_service *s)
{
	/* an even number: wide slots are aligned */
	return tables_wants_wide(s) ? s->n_slots * 2 : (s->n_slots + 1) & ~1u;
}

/* With those that went, whose numbers rest (ring.c), and so that there can be twice as many. */
uint32_t tables_targets_of(const struct balance_service *s)
{
	uint32_t n = (uint32_t)s->n_backends * 4 + 512;

	if (!tables_wants_wide(s))
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
		room->targets += tables_targets_of(s);
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

int tables_layout(struct tables *t, struct sluice_err *err)
{
	const struct tables_room *room = &t->room;
	struct balance_config *c = &t->config;
	uint64_t bytes;

	if (room->services > BALANCE_SERVICES || room->hops > 65536)
		return err_set(err, -EINVAL, "room for %u services and %u ways; there can be %u and 65536",
			       room->services, room->hops, BALANCE_SERVICES);
	bytes = (uint64_t)room->vips * 4 * BALANCE_VIP_WAYS * 2 * sizeof(struct balance_vip) +
		(uint64_t)room->targets * sizeof(struct balance_target) + (uint64_t)room->slots * (sizeof(uint16_t) + 1) +
		room->slot_bytes;
	if (bytes > MEMORY_MAX)
		return err_set(err, -EINVAL, "room for %u blocks of ports, %u backends and %u slots: %llu MB; there can be %u",
			       room->vips, room->targets, room->slots, (unsigned long long)(bytes >> 20),
			       MEMORY_MAX >> 20);
	t->len = 0;
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
	c->marks = part(t, c->n_changes / 8 + 1);
	return 0;
}

int tables_new(const struct tables_room *room, const char *seed, struct tables **to, struct sluice_err *err)
{
	__u64 seeds[BALANCE_SEED_WORDS];
	struct tables *t = calloc(1, sizeof(*t));
	size_t i;
	int e;

	*to = NULL;
	if (!t)
		return err_nomem(err);
	t->room = *room;
	snprintf(t->seed, sizeof(t->seed), "%s", seed);
	balance_seed(t->seed, seeds);
	memcpy(t->config.seed, seeds, sizeof(t->config.seed));
	/* others, from the same text: nothing is gained by aiming at them, but they are there */
	for (i = 0; i < sizeof(t->config.vip_seed) / sizeof(*t->config.vip_seed); i++)
		t->config.vip_seed[i] = seeds[i] * 0xd1342543de82ef95u + seeds[i + 1];
	e = tables_layout(t, err);
	t->services = e ? NULL : calloc(room->services + 1, sizeof(*t->services));
	if (!e && !t->services)
		e = err_nomem(err);
	if (e)
		tables_free(t);
	else
		*to = t;
	return e;
}

void tables_free(struct tables *t)
{
	uint32_t i;

	if (!t)
		return;
	for (i = 0; t->services && i < t->room.services; i++)
		tables_drop_service(&t->services[i]);
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
	if (t->flips) /* the last store of a change of virtual addresses */
		t->vips_pending = ((struct balance_head *)memory)->half != (t->flips & 1);
}

int tables_service(const struct tables *t, const char *name)
{
	uint32_t i;

	for (i = 0; i < t->room.services; i++)
		if (t->services[i].name[0] && !t->services[i].gone && !strcmp(t->services[i].name, name))
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

uint32_t tables_slots(const struct tables *t, uint32_t service)
{
	return t->services[service].slots.first;
}

uint32_t tables_changes(const struct tables *t, uint32_t service)
{
	return t->services[service].changes.first;
}

uint32_t tables_n_targets(const struct tables *t, uint32_t service)
{
	return t->services[service].targets.n;
}

const char *tables_name(const struct tables *t, uint32_t service)
{
	return t->services[service].name;
}

uint32_t tables_n_services(const struct tables *t)
{
	return t->room.services;
}

uint32_t tables_serial(const struct tables *t, uint32_t number)
{
	return t->services[number].serial;
}

bool tables_pending(const struct tables *t, uint32_t number)
{
	return t->services[number].pending;
}

void tables_hop(struct tables *t, uint32_t hop, const struct balance_hop *way)
{
	memcpy(tables_at(t, t->config.hops, hop, sizeof(*way)), way, sizeof(*way));
}

void tables_way(struct tables *t, uint32_t service, uint32_t id, uint32_t hop)
{
	struct balance_target *to =
		tables_at(t, t->config.targets, t->services[service].targets.first + id, sizeof(*to));

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

		if (s->name[0])
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

int tables_stretches(struct tables *t, const struct balance_service *m, struct service *s, struct sluice_err *err)
{
	struct stretch slots, changes, targets;
	int e = place(t, SLOTS, t->config.slot_bytes - 2, slot_bytes(m), &slots, err);

	if (!e)
		e = place(t, CHANGES, t->config.n_changes, m->n_slots, &changes, err);
	if (!e)
		e = place(t, TARGETS, t->config.n_targets, tables_targets_of(m), &targets, err);
	if (e)
		return e;
	s->slots = slots;
	s->changes = changes;
	s->targets = targets;
	return 0;
}

bool tables_fits(const struct service *s, const struct balance_service *m)
{
	if (!ring_wide(s->ring))
		return !tables_wants_wide(m);
	return s->targets.n >= m->n_backends * 2 + 128 || s->targets.n > BALANCE_ID_MAX;
}

int tables_remember(struct service *s, const struct balance_service *m, struct sluice_err *err)
{
	struct balance_backend *copy = calloc(m->n_backends + 1, sizeof(*copy));

	if (!copy)
		return err_nomem(err);
	if (m->n_backends)
		memcpy(copy, m->backends, m->n_backends * sizeof(*copy));
	free(s->last.backends);
	s->last = *m;
	s->last.backends = copy;
	s->last.virtuals = NULL;
	s->last.n_virtuals = 0;
	s->last.pools = NULL;
	s->last.n_pools = 0;
	return 0;
}
