// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A ring as bytes, of the machine's own order, and what becomes of rings between one memory and the next. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/ring.h"
#include "base/err.h"

/* Currents as wide as in a data path; what was before only if some slot is changed. */
void ring_save(const struct ring *r, struct buf *to)
{
	bool wide = ring_wide(r);
	uint32_t i;
	uint8_t *v;

	buf_u32(to, r->n_slots);
	buf_u32(to, ring_wide(r));
	buf_u32(to, r->flags);
	buf_u32(to, r->epoch);
	buf_u32(to, r->n_backends);
	buf_u32(to, r->n_unsettled);
	buf_u64(to, r->n_changes);
	buf_u64(to, r->n_published);
	buf_put(to, r->until, sizeof(r->until));
	for (i = 1; i < r->n_backends; i++) {
		const struct ring_backend *b = &r->backends[i];

		buf_put(to, b->addr.bytes, sizeof(b->addr.bytes));
		buf_u32(to, (uint32_t)b->port << 16 | (uint32_t)b->addr.v6 << 8 | b->state);
		buf_u64(to, b->freed);
	}
	v = buf_add(to, r->n_slots * (wide ? 2ul : 1ul));
	for (i = 0; v && wide && i < r->n_slots; i++)
		memcpy(v + i * 2ul, &(uint16_t){(uint16_t)r->slots[i]}, 2);
	for (i = 0; v && !wide && i < r->n_slots; i++)
		v[i] = (uint8_t)r->slots[i];
	v = r->n_unsettled ? buf_add(to, r->n_slots * 2ul) : NULL;
	for (i = 0; v && i < r->n_slots; i++)
		memcpy(v + i * 2ul, &(uint16_t){(uint16_t)(r->slots[i] >> BALANCE_PREVIOUS_SHIFT)}, 2);
}

static int load_backends(struct view *v, struct ring *r, struct sluice_err *err)
{
	uint32_t i, word;

	for (i = 1; i < r->n_backends; i++) {
		struct ring_backend *b = &r->backends[i];

		view_copy(v, b->addr.bytes, sizeof(b->addr.bytes));
		word = view_u32(v);
		b->port = (uint16_t)(word >> 16);
		b->addr.v6 = word >> 8 & 1;
		b->state = (uint8_t)word;
		b->freed = view_u64(v);
		if ((word & 0xfe00) || b->state > BALANCE_TARGET_DRAINING || b->freed > r->n_changes)
			return err_set(err, -EBADMSG, "backend %u of a service says what it cannot", i);
	}
	return 0;
}

/* Currents, and whether all of them can be; loops of their own, which compilers make vectors of. */
static bool load_currents(const uint8_t *from, struct ring *r)
{
	uint32_t i, bad = 0, n = r->n_backends;
	uint16_t wide;

	if (ring_wide(r))
		for (i = 0; i < r->n_slots; i++) {
			memcpy(&wide, from + i * 2ul, 2);
			r->slots[i] = wide;
			bad |= wide >= n;
		}
	else
		for (i = 0; i < r->n_slots; i++) {
			r->slots[i] = from[i];
			bad |= from[i] >= n;
		}
	return !bad;
}

/* What slots were before, and how many are changed. */
static bool load_changes(const uint8_t *from, struct ring *r)
{
	uint32_t i, word, previous;
	uint16_t high;

	for (i = 0; i < r->n_slots; i++) {
		memcpy(&high, from + i * 2ul, 2);
		if (!high)
			continue;
		word = r->slots[i] | (uint32_t)high << BALANCE_PREVIOUS_SHIFT;
		previous = BALANCE_PREVIOUS(word);
		if (!previous || (previous >= r->n_backends && previous != BALANCE_ID_NOBODY))
			return false;
		r->slots[i] = word;
		r->n_unsettled++;
		if (previous != BALANCE_ID_NOBODY)
			r->n_waiting[BALANCE_EPOCH(word)]++;
	}
	return true;
}

static int load_slots(struct view *v, struct ring *r, bool changes, struct sluice_err *err)
{
	const uint8_t *current = view_take(v, r->n_slots * (ring_wide(r) ? 2ul : 1ul)),
		      *before = changes ? view_take(v, r->n_slots * 2ul) : NULL;

	if (!view_ok(v))
		return err_set(err, -EBADMSG, "slots of a service are cut off");
	if (!load_currents(current, r) || (before && !load_changes(before, r)))
		return err_set(err, -EBADMSG, "a slot of a service names a backend that is not there");
	return 0;
}

int ring_load(struct view *v, struct ring **to, struct sluice_err *err)
{
	uint32_t n_slots = view_u32(v), wide = view_u32(v), flags = view_u32(v), epoch = view_u32(v),
		 n_backends = view_u32(v), n_unsettled = view_u32(v);
	struct sluice_err why = {0};
	struct ring *r = NULL;
	int e;

	*to = NULL;
	if (!view_ok(v) || wide > 1 || flags & ~(BALANCE_FLAG_AFFINITY | BALANCE_FLAG_STATELESS) ||
	    epoch >= BALANCE_EPOCHS || !n_backends || n_unsettled > n_slots ||
	    n_backends > (wide ? BALANCE_ID_MAX : BALANCE_ID_NARROW) + 1)
		return err_set(err, -EBADMSG, "the head of a service's slots is damaged");
	e = ring_new(n_slots, wide, &r, &why);
	if (e == -EINVAL)
		return err_set(err, -EBADMSG, "%s", why.text);
	if (e)
		return err_nomem(err);
	free(r->backends);
	r->backends = calloc(n_backends, sizeof(*r->backends));
	if (!r->backends) {
		ring_free(r);
		return err_nomem(err);
	}
	r->n_backends = n_backends;
	r->flags = flags;
	r->epoch = epoch;
	r->n_changes = view_u64(v);
	r->n_published = view_u64(v);
	view_copy(v, r->until, sizeof(r->until));
	if (r->n_published > r->n_changes)
		e = err_set(err, -EBADMSG, "the head of a service's slots is damaged");
	if (!e)
		e = load_backends(v, r, err);
	if (!e)
		e = load_slots(v, r, n_unsettled, err);
	if (!e && r->n_unsettled != n_unsettled)
		e = err_set(err, -EBADMSG, "%u slots of a service are changed and it says %u", r->n_unsettled,
			    n_unsettled);
	if (e)
		ring_free(r);
	else
		*to = r;
	return e;
}

void ring_widen(struct ring *r)
{
	r->id_max = BALANCE_ID_MAX;
}

struct numbered {
	struct maglev_backend b;
	uint32_t id;
};

static int compare_numbered(const void *a, const void *b)
{
	return maglev_compare(&((const struct numbered *)a)->b, &((const struct numbered *)b)->b);
}

int ring_ids(const struct ring *r, const struct balance_backend *b, size_t n, uint32_t *ids, struct sluice_err *err)
{
	struct numbered *v = calloc(r->n_backends, sizeof(*v)), key = {0}, *found;
	uint32_t id, n_v = 0;
	size_t i;

	if (!v)
		return err_nomem(err);
	for (id = 1; id < r->n_backends; id++)
		if (r->backends[id].state != BALANCE_TARGET_GONE)
			v[n_v++] = (struct numbered){{r->backends[id].addr, r->backends[id].port, 0}, id};
	qsort(v, n_v, sizeof(*v), compare_numbered);
	for (i = 0; i < n; i++) {
		key.b = (struct maglev_backend){b[i].addr, b[i].port, 0};
		found = bsearch(&key, v, n_v, sizeof(*v), compare_numbered);
		ids[i] = found ? found->id : 0;
	}
	free(v);
	return 0;
}
