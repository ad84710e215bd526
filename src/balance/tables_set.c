// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Changes of the flat memory: first what it is to say, then, in an order in which every state is right, saying it. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/tables_inside.h"
#include "base/err.h"

static int add(struct tables *t, const struct balance_service *m, struct service **to, struct sluice_err *err)
{
	struct service *s = NULL;
	uint32_t i, at = 0;
	int e;

	for (i = 0; i < t->room.services && !s; i++) {
		at = (t->turn + i) % t->room.services;
		s = t->services[at].name[0] ? NULL : &t->services[at];
	}
	if (!s)
		return err_set(err, -ENOSPC, "no room for another service than %u", t->room.services);
	*s = (struct service){0};
	e = tables_stretches(t, m, s, err);
	if (!e)
		e = ring_new(m->n_slots, tables_wants_wide(m), &s->ring, err);
	if (e)
		return e;
	memcpy(s->name, m->name, sizeof(s->name));
	s->unseen = s->pending = true;
	t->turn = at + 1;
	*to = s;
	return 0;
}

static bool keeps_ring(const struct service *s, const struct balance_service *m)
{
	return tables_fits(s, m) && s->ring->n_slots == m->n_slots &&
	       !(s->ring->flags & BALANCE_FLAG_AFFINITY) == !m->affinity;
}

/* Whether a ring would be the same. */
static bool unchanged(const struct balance_service *a, const struct balance_service *b)
{
	size_t i;

	if (a->n_backends != b->n_backends || a->mode != b->mode || a->fallback != b->fallback ||
	    a->gue_port != b->gue_port || a->stateless != b->stateless || a->hold_s != b->hold_s ||
	    a->quic_bytes != b->quic_bytes || a->quic_config != b->quic_config)
		return false;
	for (i = 0; i < a->n_backends; i++) {
		const struct balance_backend *x = &a->backends[i], *y = &b->backends[i];

		if (x->port != y->port || x->drain != y->drain || x->health != y->health ||
		    x->weight != y->weight || x->has_server != y->has_server || x->server != y->server || x->addr.v6 != y->addr.v6 ||
		    memcmp(x->addr.bytes, y->addr.bytes, sizeof(x->addr.bytes)))
			return false;
	}
	return true;
}

/* The report of a service that did not change says nothing: its slots are as they were. */
static int update(struct tables *t, struct service *s, const struct balance_service *m, bool is_new,
		  uint64_t now, struct ring_report *sum, struct sluice_err *err)
{
	struct ring_report report;
	int e;

	if (!is_new && unchanged(&s->last, m))
		return 0;
	e = tables_remember(s, m, err);
	if (!e)
		e = ring_change(s->ring, m, now, &t->memo, &report, err);
	if (e)
		return e;
	s->pending = true;
	s->serial = ++t->serial;
	sum->moved += report.moved;
	sum->changed += report.changed;
	sum->waiting += report.waiting;
	sum->until = report.until > sum->until ? report.until : sum->until;
	return 0;
}

/* Services that went with an earlier change: no packet is looked up in them any more. */
static void bury(struct tables *t)
{
	uint32_t i;

	for (i = 0; i < t->room.services; i++)
		if (t->services[i].name[0] && t->services[i].gone)
			tables_drop_service(&t->services[i]);
}

/* The service of each of the model's; those that need another ring are new, and the old one goes. */
static int assign(struct tables *t, const struct balance_model *m, struct service **to, bool *is_new,
		  struct sluice_err *err)
{
	size_t i;
	int e = 0, at;

	for (i = 0; !e && i < m->n_services; i++) {
		at = tables_service(t, m->services[i]->name);
		if (at >= 0 && !t->services[at].ring)
			return err_set(err, -EINVAL, "service %s has not been loaded", m->services[i]->name);
		is_new[i] = at < 0 || !keeps_ring(&t->services[at], m->services[i]);
		if (!is_new[i])
			to[i] = &t->services[at];
		else
			e = add(t, m->services[i], &to[i], err);
	}
	for (i = 0; e && i < m->n_services; i++)
		if (to[i] && is_new[i])
			tables_drop_service(to[i]);
	return e;
}

static void retire(struct tables *t, struct service *const *kept, size_t n)
{
	uint32_t i;
	size_t k;

	for (i = 0; i < t->room.services; i++) {
		for (k = 0; k < n && kept[k] != &t->services[i]; k++)
			;
		if (k == n && t->services[i].name[0])
			t->services[i].gone = 1;
	}
}

static void set_vips(struct tables *t, struct vips *v, uint64_t now)
{
	t->levels_before = t->vips.levels;
	vips_free(&t->vips);
	t->vips = *v;
	*v = (struct vips){0};
	t->flips++;
	t->flipped_ns = now;
	t->vips_pending = true;
}

int tables_set(struct tables *t, const struct balance_model *m, const uint32_t *on, uint64_t now,
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
		set_vips(t, &v, now);
	if (!e)
		retire(t, to, m->n_services);
	for (i = 0; e && to && is_new && i < m->n_services; i++)
		if (to[i] && is_new[i] && to[i]->name[0])
			tables_drop_service(to[i]);
	if (!e && report)
		*report = sum;
	vips_free(&v);
	free(numbers);
	free(is_new);
	free(to);
	return e;
}

int tables_set_service(struct tables *t, uint32_t number, const struct balance_service *m, uint64_t now,
		       struct ring_report *report, struct sluice_err *err)
{
	struct ring_report sum = {0};
	struct service *s = &t->services[number];
	int e;

	if (!s->ring || strcmp(s->name, m->name) != 0 || !keeps_ring(s, m))
		return err_set(err, -EINVAL, "service %s cannot be changed in its place", m->name);
	e = update(t, s, m, false, now, &sum, err);
	if (!e && !s->pending) {
		s->pending = true;
		s->serial = ++t->serial;
	}
	if (!e && report)
		*report = sum;
	return e;
}

void tables_settle_service(struct tables *t, uint32_t number, uint64_t now, const uint8_t *elsewhere,
			   struct ring_report *report)
{
	struct service *s = &t->services[number];

	ring_expire(s->ring, now, report);
	if (elsewhere)
		ring_settle(s->ring, now, elsewhere, report);
	if (s->ring->n_dirty) {
		s->pending = true;
		s->serial = ++t->serial;
	}
}

/* --- into the memory --- */

static struct balance_ring *ring_at(const struct tables *t, uint32_t number)
{
	return tables_at(t, t->config.services, number, sizeof(struct balance_ring));
}

/* A store that does not take the cache line from its readers for nothing. */
#define PUT(where, what)                                                                    \
	do {                                                                                \
		if ((where) != (what))                                                      \
			__atomic_store_n(&(where), (what), __ATOMIC_RELAXED);               \
	} while (0)

int tables_publish_service(struct tables *t, uint32_t number, struct sluice_err *err)
{
	struct service *s = &t->services[number];
	struct balance_ring *to = ring_at(t, number);
	struct ring_memory memory = {tables_at(t, t->config.slots, s->slots.first, 1),
				     tables_at(t, t->config.changes, s->changes.first, sizeof(uint16_t)),
				     tables_at(t, t->config.marks, 0, 1), s->changes.first,
				     tables_at(t, t->config.targets, s->targets.first,
					       sizeof(struct balance_target)),
				     s->targets.n};
	int e;

	if (!s->ring || !s->pending)
		return 0;
	PUT(to->first, s->slots.first);
	PUT(to->targets, s->targets.first);
	PUT(to->n_targets, s->targets.n);
	PUT(to->change, s->changes.first);
	PUT(to->mode, (__u8)s->last.mode);
	PUT(to->fallback, (__u8)s->last.fallback);
	PUT(to->gue_port, htobe16(s->last.gue_port));
	e = ring_publish(s->ring, s->unseen, to, &memory, err);
	if (!e)
		e = tables_servers(&s->last, s->ring, to, memory.targets, memory.n_targets, err);
	PUT(to->quic_config, s->last.quic_config);
	PUT(to->quic_bytes, s->last.quic_bytes);
	if (e)
		return e;
	__atomic_store_n(&to->serial, s->serial, __ATOMIC_RELEASE);
	s->pending = s->unseen = false;
	return 0;
}

bool tables_published(const struct tables *t, uint32_t number, uint32_t serial)
{
	return __atomic_load_n(&ring_at(t, number)->serial, __ATOMIC_ACQUIRE) == serial;
}

/* The half that counts is that of the number of flips; what was written before a process died is written again. */
static int publish_vips(struct tables *t, struct sluice_err *err)
{
	struct balance_head *head = (struct balance_head *)t->memory;
	uint32_t half = t->flips & 1;
	int e;

	if (!t->vips_pending)
		return 0;
	e = vips_write(&t->vips, &t->config, half, tables_at(t, t->config.vips, 0, 1), err);
	if (e)
		return e;
	__atomic_store_n(&head->levels, t->levels_before | t->vips.levels, __ATOMIC_RELEASE);
	__atomic_store_n(&head->half, half, __ATOMIC_RELEASE);
	t->vips_pending = false;
	return 0;
}

int tables_publish(struct tables *t, struct sluice_err *err)
{
	uint32_t i;
	int e = 0;

	for (i = 0; !e && i < t->room.services; i++)
		e = tables_publish_service(t, i, err);
	return e ? e : publish_vips(t, err);
}

int tables_change(struct tables *t, const struct balance_model *m, const uint32_t *on, uint64_t now,
		  struct ring_report *report, struct sluice_err *err)
{
	int e = tables_set(t, m, on, now, report, err);

	return e ? e : tables_publish(t, err);
}
