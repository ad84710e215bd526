// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Tables as bytes, of the machine's own order, and checked as if somebody else had written them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/tables_inside.h"
#include "base/err.h"

#define VIPS_MAX (1u << 22)

void tables_save(const struct tables *t, struct buf *to)
{
	uint32_t i, n = 0;

	for (i = 0; i < t->room.services; i++)
		n += t->services[i].name[0] != '\0';
	buf_put(to, &t->room, sizeof(t->room));
	buf_str(to, t->seed);
	buf_u64(to, t->flipped_ns);
	buf_u32(to, t->flips);
	buf_u32(to, t->turn);
	buf_u32(to, t->levels_before);
	buf_u32(to, n);
	for (i = 0; i < t->room.services; i++) {
		const struct service *s = &t->services[i];

		if (!s->name[0])
			continue;
		buf_u32(to, i);
		buf_str(to, s->name);
		buf_u32(to, s->gone);
		buf_put(to, &s->slots, sizeof(s->slots));
		buf_put(to, &s->changes, sizeof(s->changes));
		buf_put(to, &s->targets, sizeof(s->targets));
	}
	buf_u32(to, t->vips.n);
	if (t->vips.n)
		buf_put(to, t->vips.v, t->vips.n * sizeof(*t->vips.v));
}

void tables_save_service(const struct tables *t, uint32_t number, struct buf *to)
{
	const struct service *s = &t->services[number];
	const struct balance_service *m = &s->last;
	size_t i;

	buf_str(to, s->name);
	buf_u32(to, s->serial);
	buf_u32(to, m->mode);
	buf_u32(to, m->fallback);
	buf_u32(to, m->gue_port);
	buf_u32(to, m->stateless);
	buf_u32(to, m->hold_s);
	buf_u32(to, (uint32_t)m->quic_config << 8 | m->quic_bytes);
	buf_u32(to, (uint32_t)m->n_backends);
	for (i = 0; i < m->n_backends; i++) {
		const struct balance_backend *b = &m->backends[i];

		buf_put(to, b->addr.bytes, sizeof(b->addr.bytes));
		buf_u32(to, (uint32_t)b->port << 16 | (uint32_t)b->has_server << 3 | (uint32_t)b->addr.v6 << 2 | (uint32_t)b->drain << 1 |
				    (b->health == BALANCE_DOWN));
		buf_u32(to, b->weight);
		buf_u32(to, b->server);
	}
	ring_save(s->ring, to);
}

static bool name_ok(const char *name)
{
	return name[0] && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == strlen(name);
}

static bool overlap(const struct stretch *a, const struct stretch *b)
{
	return a->first < b->first + b->n && b->first < a->first + a->n;
}

static bool within(const struct stretch *s, uint32_t room)
{
	return s->n && s->n <= room && s->first <= room - s->n;
}

/* Is it in a place of its own, and called otherwise than those that count? */
static bool service_ok(const struct tables *t, uint32_t number)
{
	const struct service *s = &t->services[number], *o;
	uint32_t i;

	if (!name_ok(s->name) || s->gone > 1 || !within(&s->slots, t->config.slot_bytes - 2) ||
	    !within(&s->changes, t->config.n_changes) || !within(&s->targets, t->config.n_targets) ||
	    s->slots.first & 1)
		return false;
	for (i = 0; i < t->room.services; i++) {
		o = &t->services[i];
		if (i == number || !o->name[0])
			continue;
		if (overlap(&o->slots, &s->slots) || overlap(&o->changes, &s->changes) ||
		    overlap(&o->targets, &s->targets) || (!o->gone && !s->gone && !strcmp(o->name, s->name)))
			return false;
	}
	return true;
}

static int load_services(struct view *v, struct tables *t, struct sluice_err *err)
{
	uint32_t n = view_u32(v), number, i;
	struct service *s;

	for (i = 0; i < n; i++) {
		number = view_u32(v);
		if (!view_ok(v) || number >= t->room.services || t->services[number].name[0])
			return err_set(err, -EBADMSG, "there is no place for service number %u", number);
		s = &t->services[number];
		view_str(v, s->name, sizeof(s->name));
		s->gone = view_u32(v);
		view_copy(v, &s->slots, sizeof(s->slots));
		view_copy(v, &s->changes, sizeof(s->changes));
		view_copy(v, &s->targets, sizeof(s->targets));
		if (!view_ok(v) || !service_ok(t, number)) {
			s->name[0] = '\0';
			return err_set(err, -EBADMSG, "service number %u is in an impossible place", number);
		}
	}
	return 0;
}

static int load_vips(struct view *v, struct tables *t, struct sluice_err *err)
{
	uint32_t n = view_u32(v), i, level;
	struct balance_vip *e;
	int fits;

	if (!view_ok(v) || n > VIPS_MAX || v->left != n * sizeof(*e))
		return err_set(err, -EBADMSG, "virtual addresses are cut off");
	t->vips.v = calloc(n + 1ul, sizeof(*t->vips.v));
	if (!t->vips.v)
		return err_nomem(err);
	t->vips.n = n;
	view_copy(v, t->vips.v, n * sizeof(*t->vips.v));
	for (i = 0; i < n; i++) {
		e = &t->vips.v[i];
		level = e->key >> 24 & 31;
		if (!(e->key >> 31) || level > BALANCE_VIP_ADDR || e->more ||
		    (e->service != BALANCE_VIP_NOBODY &&
		     (e->service >= t->room.services || !t->services[e->service].name[0])))
			return err_set(err, -EBADMSG, "virtual address %u is of no service", i);
		if (level < BALANCE_VIP_LEVELS)
			t->vips.levels |= 1u << level;
	}
	fits = vips_fit(&t->vips, &t->config, err);
	return fits == -ENOSPC ? -EBADMSG : fits;
}

int tables_load(struct view *v, struct tables **to, struct sluice_err *err)
{
	char seed[sizeof(((struct balance_model *)0)->seed)];
	struct sluice_err why = {0};
	struct tables_room room;
	struct tables *t;
	int e;

	*to = NULL;
	view_copy(v, &room, sizeof(room));
	view_str(v, seed, sizeof(seed));
	if (!view_ok(v) || !room.services || !room.targets || room.slots > UINT32_MAX / 2 ||
	    room.vips > VIPS_MAX)
		return err_set(err, -EBADMSG, "it does not say how much room there is");
	e = tables_new(&room, seed, &t, &why);
	if (e == -EINVAL)
		return err_set(err, -EBADMSG, "%s", why.text);
	if (e)
		return err_nomem(err);
	t->flipped_ns = view_u64(v);
	t->flips = view_u32(v);
	t->turn = view_u32(v) % room.services;
	t->levels_before = view_u32(v) & ((1u << BALANCE_VIP_LEVELS) - 1);
	e = view_ok(v) ? load_services(v, t, err) : err_set(err, -EBADMSG, "it is cut off");
	if (!e)
		e = load_vips(v, t, err);
	if (e)
		tables_free(t);
	else
		*to = t;
	return e;
}

static int load_last(struct view *v, struct balance_service *m, struct sluice_err *err)
{
	uint32_t mode = view_u32(v), fallback = view_u32(v), port = view_u32(v), stateless = view_u32(v),
		 hold = view_u32(v), quic = view_u32(v), n = view_u32(v), i, word;

	if (!view_ok(v) || mode > BALANCE_NAT || fallback > BALANCE_OPEN || port > 65535 || stateless > 1 ||
	    hold > BALANCE_HOLD_MAX_S || n > MAGLEV_BACKENDS || (quic & 255) > 4 ||
	    quic >> 8 > 6 || v->left < n * 28ul)
		return err_set(err, -EBADMSG, "what it says of its service cannot be");
	m->mode = (enum balance_mode)mode;
	m->fallback = (enum balance_fallback)fallback;
	m->gue_port = (uint16_t)port;
	m->stateless = stateless;
	m->hold_s = hold;
	m->quic_bytes = (uint8_t)quic;
	m->quic_config = (uint8_t)(quic >> 8);
	m->backends = calloc(n + 1ul, sizeof(*m->backends));
	if (!m->backends)
		return err_nomem(err);
	m->n_backends = n;
	for (i = 0; i < n; i++) {
		struct balance_backend *b = &m->backends[i];

		view_copy(v, b->addr.bytes, sizeof(b->addr.bytes));
		word = view_u32(v);
		b->weight = view_u32(v);
		b->server = view_u32(v);
		b->has_server = word >> 3 & 1;
		b->port = (uint16_t)(word >> 16);
		b->addr.v6 = word >> 2 & 1;
		b->drain = word >> 1 & 1;
		b->health = word & 1 ? BALANCE_DOWN : BALANCE_UP;
		if (word & 0xfff0 || b->weight > MAGLEV_WEIGHT_MAX)
			return err_set(err, -EBADMSG, "what it says of backend %u cannot be", i);
	}
	return 0;
}

/* Does the ring fit the places that the service has? */
static bool ring_fits(const struct service *s, const struct ring *r)
{
	return r->n_slots == s->changes.n && r->n_backends <= s->targets.n &&
	       s->slots.n >= r->n_slots * (ring_wide(r) ? 2ul : 1ul);
}

int tables_load_service(struct tables *t, uint32_t number, struct view *v, uint32_t *serial, struct sluice_err *err)
{
	struct service *s = &t->services[number];
	struct balance_service m = {0};
	struct ring *r = NULL;
	uint32_t n;
	int e;

	view_str(v, m.name, sizeof(m.name));
	n = view_u32(v);
	if (!view_ok(v) || !s->name[0] || strcmp(s->name, m.name) != 0 || !n)
		return err_set(err, -EBADMSG, "it is not of service %s", s->name);
	e = load_last(v, &m, err);
	if (!e)
		e = ring_load(v, &r, err);
	if (!e && (v->left || !ring_fits(s, r)))
		e = err_set(err, -EBADMSG, "its slots do not fit their place");
	if (e) {
		ring_free(r);
		free(m.backends);
		return e;
	}
	m.n_slots = r->n_slots;
	m.affinity = r->flags & BALANCE_FLAG_AFFINITY;
	ring_free(s->ring);
	free(s->last.backends);
	s->ring = r;
	s->last = m;
	s->serial = n;
	s->pending = s->unseen = !t->memory || !tables_published(t, number, n);
	t->serial = n > t->serial ? n : t->serial;
	if (serial)
		*serial = n;
	return 0;
}

void tables_unload_service(struct tables *t, uint32_t number)
{
	struct service *s = &t->services[number];

	ring_free(s->ring);
	free(s->last.backends);
	s->ring = NULL;
	s->last = (struct balance_service){0};
	s->pending = s->unseen = false;
}
