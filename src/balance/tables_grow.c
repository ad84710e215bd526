// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From one memory to the next: numbers stay, places do if everything fits where it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/tables_inside.h"
#include "base/err.h"

/* A copy of a service's host side; its places stay empty. */
static int copy_service(const struct service *from, struct service *to, struct sluice_err *err)
{
	struct buf bytes = {0};
	struct view v;
	int e;

	*to = (struct service){.serial = from->serial, .gone = from->gone};
	e = tables_remember(to, &from->last, err);
	if (e)
		return e;
	ring_save(from->ring, &bytes);
	v = view_of(bytes.data, bytes.len);
	e = bytes.failed ? err_nomem(err) : ring_load(&v, &to->ring, err);
	buf_free(&bytes);
	if (e) {
		tables_drop_service(to);
		return e;
	}
	/* another memory: no reader has seen these numbers there, those of the old one have what was published */
	to->ring->n_published = to->ring->n_changes;
	to->pending = to->unseen = true;
	memcpy(to->name, from->name, sizeof(to->name));
	return 0;
}

/* What a service that goes on is going to be: as large as it is, and as the model wants it. */
static struct balance_service wanted(const struct service *s, const struct balance_model *m)
{
	const struct balance_service *now = balance_service_find(m, s->name);
	struct balance_service w = s->last;

	if (now && now->n_backends > w.n_backends && !s->gone)
		w.n_backends = now->n_backends;
	if (ring_wide(s->ring) && w.n_backends <= TABLES_NARROW)
		w.n_backends = TABLES_NARROW + 1;
	return w;
}

/* Its old place if that fits, else another one. -ENOSPC: there is none */
static int settle_in(struct tables *t, uint32_t number, const struct service *from, const struct balance_model *m, bool stay,
		     struct sluice_err *err)
{
	struct balance_service w = wanted(from, m);
	struct service s;
	int e = copy_service(from, &s, err);

	if (e)
		return e;
	if (stay && tables_fits(from, &w)) {
		s.slots = from->slots;
		s.changes = from->changes;
		s.targets = from->targets;
	} else {
		if (tables_wants_wide(&w))
			ring_widen(s.ring);
		e = tables_stretches(t, &w, &s, err);
	}
	/* backends that came and went have numbers, too */
	if (!e && s.ring->n_backends > s.targets.n)
		e = err_set(err, -ENOSPC, "no room for %u backends", s.ring->n_backends);
	if (e)
		tables_drop_service(&s);
	else
		t->services[number] = s;
	return e;
}

/* First those that stay where they are, so that nobody else takes their place. */
static int settle_all(const struct tables *from, struct tables *t, const struct balance_model *m, bool stay,
		      struct sluice_err *err)
{
	uint32_t i, round;
	int e = 0;

	for (round = 0; round < 2; round++)
		for (i = 0; !e && i < from->room.services; i++) {
			const struct service *s = &from->services[i];
			struct balance_service w;

			if (!s->name[0] || s->gone)
				continue;
			if (!s->ring)
				return err_set(err, -EINVAL, "service %s has not been loaded", s->name);
			w = wanted(s, m);
			if ((stay && tables_fits(s, &w)) == !round)
				e = settle_in(t, i, s, m, stay, err);
		}
	return e;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Of the model, and of what goes on under its number until the next change of virtual addresses, besides. */
static void room_for(const struct tables *from, const struct balance_model *m, uint32_t times, struct tables_room *room)
{
	const struct tables_room *old = &from->room;

	tables_room(m, room);
	room->services = larger(room->services, old->services);
	room->vips = larger(room->vips, old->vips) * times;
	room->targets = (room->targets + old->targets) * times;
	room->slots = (room->slots + old->slots) * times;
	room->slot_bytes = ((room->slot_bytes + old->slot_bytes) * times + 1) & ~1u;
	room->hops = larger(room->hops, old->hops);
	room->services = larger(room->services, BALANCE_SERVICES < room->services * times ? BALANCE_SERVICES
											      : room->services * times);
}

static int attempt(const struct tables *from, const struct tables_room *room, bool stay, const struct balance_model *m,
		   const uint32_t *on, uint64_t now, struct tables **to, struct ring_report *report, struct sluice_err *err)
{
	struct tables *t;
	int e = tables_new(room, m->seed, &t, err);

	if (e)
		return e;
	t->turn = from->turn % room->services;
	t->serial = from->serial;
	e = settle_all(from, t, m, stay, err);
	if (!e)
		e = tables_set(t, m, on, now, report, err);
	if (e)
		tables_free(t);
	else
		*to = t;
	return e;
}

static bool same_places(const struct tables *a, const struct tables *b)
{
	uint32_t i;

	if (memcmp(&a->room, &b->room, sizeof(a->room)) != 0)
		return false;
	for (i = 0; i < a->room.services; i++)
		if (a->services[i].name[0] && b->services[i].name[0] &&
		    !strcmp(a->services[i].name, b->services[i].name) &&
		    (a->services[i].targets.first != b->services[i].targets.first))
			return false;
	return true;
}

int tables_grow(const struct tables *from, const struct balance_model *m, const uint32_t *on, uint64_t now,
		struct tables **to, bool *same, struct ring_report *report, struct sluice_err *err)
{
	struct sluice_err why = {0};
	struct tables_room room = from->room;
	uint32_t times;
	int e = strcmp(from->seed, m->seed) ? -ENOSPC : attempt(from, &room, true, m, on, now, to, report, &why);

	*same = false;
	for (times = 1; e == -ENOSPC && times <= 4 && !strcmp(from->seed, m->seed); times *= 2) {
		room_for(from, m, times, &room);
		e = attempt(from, &room, false, m, on, now, to, report, &why);
	}
	if (strcmp(from->seed, m->seed) != 0) { /* another hash: flows are all elsewhere, nothing can go on */
		tables_room(m, &room);
		e = tables_new(&room, m->seed, to, &why);
		if (!e)
			e = tables_set(*to, m, on, now, report, &why);
		if (e)
			tables_free(*to);
	}
	if (e) {
		*to = NULL;
		return err_set(err, e, "%s", why.text);
	}
	*same = same_places(from, *to);
	return 0;
}

int tables_prepare_return(struct tables *t, uint32_t number, const struct tables *to, bool *any, struct sluice_err *err)
{
	struct service *s = &t->services[number];
	int e;

	*any = false;
	if (!s->ring || number >= to->room.services || !to->services[number].ring ||
	    strcmp(s->name, to->services[number].name) != 0)
		return 0;
	e = ring_prepare_return(s->ring, to->services[number].ring, s->targets.n, any, err);
	if (!e && *any) {
		s->pending = true;
		s->serial = ++t->serial;
	}
	return e;
}

bool tables_take_turn(struct tables *t, const struct tables *to)
{
	uint32_t turn = to->turn % t->room.services;

	if (t->turn == turn)
		return false;
	t->turn = turn;
	return true;
}
