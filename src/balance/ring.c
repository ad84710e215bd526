// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Slots, their transitions, and the order in which a data path gets to see them. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/ring.h"
#include "base/err.h"

/* So many numbers rest at least, so that flows which the table still has do not get to a backend they do not know. */
#define SPARE 95

/* What is prepared before anything changes. */
struct next {
	struct maglev_backend *weights; /* in the service's order */
	uint16_t *table;		/* numbers in the service's order */
	uint16_t *ids;			/* by number in the service's order */
	struct ring_backend *backends;
	uint32_t n_backends;
};

int ring_new(uint32_t n_slots, bool wide, struct ring **to, struct sluice_err *err)
{
	struct ring *r;
	int e = maglev_check_slots(n_slots, err);

	*to = NULL;
	if (e)
		return e;
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_nomem(err);
	r->n_slots = n_slots;
	r->id_max = wide ? BALANCE_ID_MAX : BALANCE_ID_NARROW;
	r->n_backends = 1;
	r->slots = calloc(n_slots, sizeof(*r->slots));
	r->dirty = calloc(n_slots, sizeof(*r->dirty));
	r->is_dirty = calloc(n_slots, 1);
	r->backends = calloc(1, sizeof(*r->backends));
	if (!r->slots || !r->dirty || !r->is_dirty || !r->backends) {
		ring_free(r);
		return err_nomem(err);
	}
	*to = r;
	return 0;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	free(r->slots);
	free(r->dirty);
	free(r->is_dirty);
	free(r->backends);
	free(r);
}

uint32_t ring_find(const struct ring *r, const struct net_addr *addr, uint16_t port)
{
	struct maglev_backend a = {*addr, port, 0}, b;
	uint32_t id;

	for (id = 1; id < r->n_backends; id++) {
		b = (struct maglev_backend){r->backends[id].addr, r->backends[id].port, 0};
		if (r->backends[id].state != BALANCE_TARGET_GONE && !maglev_compare(&a, &b))
			return id;
	}
	return 0;
}

bool ring_wide(const struct ring *r)
{
	return r->id_max != BALANCE_ID_NARROW;
}

size_t ring_bytes(const struct ring *r)
{
	return r->n_slots * (ring_wide(r) ? 2 : 1) + r->n_slots * sizeof(uint16_t) +
	       r->n_backends * sizeof(struct balance_target) + sizeof(struct balance_ring);
}

static bool waits(uint32_t word)
{
	return BALANCE_PREVIOUS(word) && BALANCE_PREVIOUS(word) != BALANCE_ID_NOBODY;
}

static void tally(struct ring *r, uint32_t word, uint32_t n)
{
	if (BALANCE_PREVIOUS(word))
		r->n_unsettled += n;
	if (waits(word))
		r->n_waiting[BALANCE_EPOCH(word)] += n;
}

static void put(struct ring *r, uint32_t slot, uint32_t word)
{
	if (r->slots[slot] == word)
		return;
	tally(r, r->slots[slot], -1u);
	tally(r, word, 1);
	r->slots[slot] = word;
	if (!r->is_dirty[slot]) {
		r->is_dirty[slot] = 1;
		r->dirty[r->n_dirty++] = slot;
	}
}

static bool usable(const struct ring *r, uint32_t id)
{
	return r->backends[id].state & 1;
}

static bool expired(const struct ring *r, uint32_t word, uint64_t now)
{
	return now >= r->until[BALANCE_EPOCH(word)];
}

/* Changed, but nobody to go back to. */
static uint32_t alone(uint32_t current)
{
	return BALANCE_SLOT(current, BALANCE_ID_NOBODY, 0);
}

static void report_on(const struct ring *r, uint32_t moved, struct ring_report *report)
{
	uint32_t e;

	if (!report)
		return;
	*report = (struct ring_report){.moved = moved, .changed = r->n_unsettled};
	for (e = 0; e < BALANCE_EPOCHS; e++) {
		report->waiting += r->n_waiting[e];
		if (r->n_waiting[e] && r->until[e] > report->until)
			report->until = r->until[e];
	}
}

/* The backends of service and ring as keys, to find each other in n log n. */
struct key {
	struct maglev_backend b;
	uint32_t number;
	bool wanted;
};

static int compare_keys(const void *a, const void *b)
{
	return maglev_compare(&((const struct key *)a)->b, &((const struct key *)b)->b);
}

static uint8_t state_of(const struct balance_backend *b, uint32_t weight)
{
	if (weight)
		return BALANCE_TARGET_UP;
	return b->health == BALANCE_UP ? BALANCE_TARGET_DRAINING : BALANCE_TARGET_DOWN;
}

static int compare_freed(const void *a, const void *b)
{
	const struct ring_backend *x = *(const struct ring_backend *const *)a;
	const struct ring_backend *y = *(const struct ring_backend *const *)b;

	if (x->freed != y->freed)
		return x->freed < y->freed ? -1 : 1;
	return (x > y) - (x < y);
}

/*
 * Numbers for backends that have none: the one that is free longest if more than SPARE are, else one more. A
 * number that a reader may still find in a slot is not free: its address must not change under him.
 */
static int number_new(const struct ring *r, struct next *to, const struct balance_service *s,
		      struct sluice_err *err)
{
	struct ring_backend **freed = calloc(to->n_backends, sizeof(*freed));
	uint32_t n_freed = 0, taken = 0, id;
	size_t i;

	if (!freed)
		return err_nomem(err);
	for (id = 1; id < to->n_backends; id++)
		if (to->backends[id].state == BALANCE_TARGET_GONE && to->backends[id].freed <= r->n_published)
			freed[n_freed++] = &to->backends[id];
	qsort(freed, n_freed, sizeof(*freed), compare_freed);
	for (i = 0; i < s->n_backends; i++) {
		const struct balance_backend *b = &s->backends[i];

		if (to->ids[i])
			continue;
		if (n_freed - taken > SPARE || (to->n_backends > r->id_max && taken < n_freed))
			id = (uint32_t)(freed[taken++] - to->backends);
		else
			id = to->n_backends++;
		if (id > r->id_max) {
			free(freed);
			return err_set(err, -ENOSPC,
				       "service %s: all %u numbers of backends are in use; publish earlier "
				       "changes "
				       "first",
				       s->name, r->id_max);
		}
		to->backends[id] = (struct ring_backend){.addr = b->addr, .port = b->port};
		to->ids[i] = (uint16_t)id;
	}
	free(freed);
	return 0;
}

static int number(const struct ring *r, const struct balance_service *s, struct next *to,
		  struct sluice_err *err)
{
	struct key *keys = calloc(r->n_backends, sizeof(*keys)), *found, key = {0};
	uint32_t n = r->n_backends - 1, i;
	size_t k;
	int e;

	if (!keys)
		return err_nomem(err);
	memcpy(to->backends, r->backends, r->n_backends * sizeof(*to->backends));
	to->n_backends = r->n_backends;
	for (i = 0; i < n; i++)
		keys[i] = (struct key){{r->backends[i + 1].addr, r->backends[i + 1].port, 0}, i + 1, false};
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (k = 0; k < s->n_backends; k++) {
		key.b = to->weights[k];
		found = bsearch(&key, keys, n, sizeof(*keys), compare_keys);
		if (!found)
			continue;
		found->wanted = true;
		to->ids[k] = (uint16_t)found->number;
		to->backends[found->number].state = BALANCE_TARGET_UP; /* its number is not free */
	}
	for (i = 0; i < n; i++) {
		struct ring_backend *b = &to->backends[keys[i].number];

		if (keys[i].wanted || b->state == BALANCE_TARGET_GONE)
			continue;
		b->state = BALANCE_TARGET_GONE;
		b->freed = r->n_changes + 1;
	}
	free(keys);
	e = number_new(r, to, s, err);
	for (k = 0; !e && k < s->n_backends; k++)
		to->backends[to->ids[k]].state = state_of(&s->backends[k], to->weights[k].weight);
	return e;
}

/*
 * The epoch for flows that move now: another one, if no slot waits under it, in a reader's memory neither; else
 * the latest gets more time.
 */
static void open_epoch(struct ring *r, uint64_t until)
{
	uint32_t next = (r->epoch + 1) % BALANCE_EPOCHS;

	if (r->n_dirty || r->n_waiting[next])
		next = r->epoch;
	r->epoch = next;
	if (until > r->until[next])
		r->until[next] = until;
}

static uint32_t transition(const struct ring *r, uint32_t word, uint32_t want, uint64_t now)
{
	uint32_t current = BALANCE_CURRENT(word), previous = BALANCE_PREVIOUS(word);
	bool waiting = waits(word) && usable(r, previous) && !expired(r, word, now);

	if (r->flags & BALANCE_FLAG_STATELESS)
		return BALANCE_SLOT(want, 0, 0);
	if (want == current)
		return previous && !waiting ? alone(current) : word;
	if (waiting)
		return want == previous ? alone(want) : BALANCE_SLOT(want, previous, BALANCE_EPOCH(word));
	if (usable(r, current))
		return BALANCE_SLOT(want, current, r->epoch);
	return previous ? alone(want) : BALANCE_SLOT(want, 0, 0);
}

static int prepare(const struct ring *r, const struct balance_service *s, struct maglev_memo *memo,
		   struct next *to, struct sluice_err *err)
{
	size_t n = s->n_backends;

	if (s->n_slots != r->n_slots)
		return err_set(err, -EINVAL, "service %s has %u slots and its ring %u; it needs another ring",
			       s->name, s->n_slots, r->n_slots);
	to->weights = calloc(n + 1, sizeof(*to->weights));
	to->ids = calloc(n + 1, sizeof(*to->ids));
	to->table = calloc(r->n_slots, sizeof(*to->table));
	to->backends = calloc(r->n_backends + n, sizeof(*to->backends));
	if (!to->weights || !to->ids || !to->table || !to->backends)
		return err_nomem(err);
	balance_weights(s, to->weights);
	if (memo ? maglev_memo_build(memo, to->weights, n, r->n_slots, to->table, err)
		 : maglev_build(to->weights, n, r->n_slots, to->table, err))
		return err_prefix(err, "service %s", s->name);
	return number(r, s, to, err);
}

int ring_change(struct ring *r, const struct balance_service *s, uint64_t now_ns, struct maglev_memo *memo,
		struct ring_report *report, struct sluice_err *err)
{
	struct next next = {0};
	uint32_t i, moved = 0;
	int e = prepare(r, s, memo, &next, err);

	if (!e) {
		free(r->backends);
		r->backends = next.backends;
		r->n_backends = next.n_backends;
		next.backends = NULL;
		r->flags = (s->affinity ? BALANCE_FLAG_AFFINITY : 0) |
			   (s->stateless ? BALANCE_FLAG_STATELESS : 0);
		r->n_changes++;
		open_epoch(r, now_ns + s->hold_s * UINT64_C(1000000000));
		for (i = 0; i < r->n_slots; i++) {
			uint32_t want = next.table[i] == MAGLEV_NONE ? 0 : next.ids[next.table[i]];

			if (r->slots[i] == want) /* settled, and stays */
				continue;
			moved += want != BALANCE_CURRENT(r->slots[i]);
			put(r, i, transition(r, r->slots[i], want, now_ns));
		}
		report_on(r, moved, report);
	}
	free(next.backends);
	free(next.table);
	free(next.ids);
	free(next.weights);
	return e;
}

void ring_expire(struct ring *r, uint64_t now_ns, struct ring_report *report)
{
	uint32_t i;

	for (i = 0; i < r->n_slots; i++)
		if (waits(r->slots[i]) && expired(r, r->slots[i], now_ns))
			put(r, i, alone(BALANCE_CURRENT(r->slots[i])));
	report_on(r, 0, report);
}

void ring_settle(struct ring *r, uint64_t now_ns, const uint8_t *elsewhere, struct ring_report *report)
{
	uint32_t i;

	for (i = 0; i < r->n_slots; i++) {
		uint32_t word = r->slots[i];

		if (!BALANCE_PREVIOUS(word) || (waits(word) && !expired(r, word, now_ns)))
			continue;
		put(r, i,
		    elsewhere[i / 8] >> i % 8 & 1 ? alone(BALANCE_CURRENT(word)) : BALANCE_CURRENT(word));
	}
	report_on(r, 0, report);
}

int ring_prepare_return(struct ring *r, const struct ring *other, uint32_t n_max, bool *any, struct sluice_err *err)
{
	uint32_t n = other->n_backends < n_max ? other->n_backends : n_max, id, i;
	struct ring_backend *more;

	n = n > r->id_max + 1 ? r->id_max + 1 : n;
	*any = false;
	if (n > r->n_backends) {
		more = realloc(r->backends, n * sizeof(*more));
		if (!more)
			return err_nomem(err);
		memset(more + r->n_backends, 0, (n - r->n_backends) * sizeof(*more));
		r->backends = more;
		r->n_backends = n;
	}
	for (id = 1; id < n; id++) {
		struct ring_backend *b = &r->backends[id];
		const struct ring_backend *o = &other->backends[id];

		if (b->state != BALANCE_TARGET_GONE || (!memcmp(b->addr.bytes, o->addr.bytes, sizeof(b->addr.bytes)) &&
							b->addr.v6 == o->addr.v6 && b->port == o->port))
			continue;
		*b = (struct ring_backend){.addr = o->addr, .port = o->port, .freed = r->n_changes};
		*any = true;
	}
	for (i = 0; i < r->n_slots && r->n_slots == other->n_slots && !(r->flags & BALANCE_FLAG_STATELESS); i++)
		if (!BALANCE_PREVIOUS(r->slots[i]) && BALANCE_CURRENT(r->slots[i]) != BALANCE_CURRENT(other->slots[i]))
			put(r, i, alone(BALANCE_CURRENT(r->slots[i])));
	*any |= r->n_dirty != 0;
	return 0;
}

/*
 * A number that was another backend's: nobody goes there by now, but the way is still the other's. What is there already
 * is not stored again: that would take the cache line from its readers.
 */
static void put_target(struct balance_target *to, const struct ring_backend *b)
{
	bool other = memcmp(to->addr, b->addr.bytes, sizeof(to->addr)) || to->v6 != b->addr.v6;

	if (!other && to->port == htobe16(b->port) && to->state == b->state)
		return;
	if (other)
		__atomic_store_n(&to->hop, 0, __ATOMIC_RELAXED);
	memcpy(to->addr, b->addr.bytes, sizeof(to->addr));
	to->port = htobe16(b->port);
	to->v6 = b->addr.v6;
	/* last: who sees the state sees the address */
	__atomic_store_n(&to->state, b->state, __ATOMIC_RELEASE);
}

static void put_slot(const struct ring *r, const struct ring_memory *to, uint32_t at)
{
	uint16_t current = (uint16_t)BALANCE_CURRENT(r->slots[at]);

	if (ring_wide(r)) {
		if (((uint16_t *)to->slots)[at] != current)
			__atomic_store_n((uint16_t *)to->slots + at, current, __ATOMIC_RELEASE);
	} else if (((uint8_t *)to->slots)[at] != (uint8_t)current) {
		__atomic_store_n((uint8_t *)to->slots + at, (uint8_t)current, __ATOMIC_RELEASE);
	}
}

static void put_mark(const struct ring *r, const struct ring_memory *to, uint32_t at)
{
	uint8_t *byte = to->marks + (to->mark + at) / 8, bit = (uint8_t)(1u << (to->mark + at) % 8);

	if (!(*byte & bit) != !BALANCE_PREVIOUS(r->slots[at]))
		__atomic_store_n(byte, *byte ^ bit, __ATOMIC_RELEASE);
}

/*
 * A reader takes the slot first. What a slot comes back to may stay in its change: it says the same, and without it
 * a reader who has the slot as it was would send a flow of it elsewhere.
 */
static void put_word(const struct ring *r, const struct ring_memory *to, uint32_t at)
{
	uint32_t word = r->slots[at], old = (uint32_t)to->changes[at] << BALANCE_PREVIOUS_SHIFT;

	if (to->changes[at] != (uint16_t)(word >> BALANCE_PREVIOUS_SHIFT) &&
	    (BALANCE_PREVIOUS(word) != BALANCE_ID_NOBODY || !BALANCE_PREVIOUS(old) ||
	     BALANCE_PREVIOUS(old) != BALANCE_CURRENT(word)))
		__atomic_store_n(&to->changes[at], (uint16_t)(word >> BALANCE_PREVIOUS_SHIFT),
				 __ATOMIC_RELEASE);
	put_mark(r, to, at);
	put_slot(r, to, at);
}

int ring_publish(struct ring *r, bool all, struct balance_ring *to, const struct ring_memory *m,
		 struct sluice_err *err)
{
	uint32_t i, flags = r->flags | (ring_wide(r) ? BALANCE_FLAG_WIDE : 0);

	if (m->n_targets < r->n_backends)
		return err_set(err, -ENOSPC, "%u targets are needed and there is room for %u", r->n_backends,
			       m->n_targets);
	for (i = 1; i < r->n_backends; i++)
		if (usable(r, i))
			put_target(&m->targets[i], &r->backends[i]);
	__atomic_store_n(&to->n_slots, r->n_slots, __ATOMIC_RELAXED);
	for (i = 0; i < BALANCE_EPOCHS; i++)
		__atomic_store_n(&to->until[i], r->until[i], __ATOMIC_RELAXED);
	__atomic_store_n(&to->flags, flags | (r->n_unsettled ? BALANCE_FLAG_CHANGES : to->flags & BALANCE_FLAG_CHANGES),
			 __ATOMIC_RELAXED);
	for (i = 0; i < (all ? r->n_slots : r->n_dirty); i++)
		put_word(r, m, all ? i : r->dirty[i]);
	if (!r->n_unsettled)
		__atomic_store_n(&to->flags, flags, __ATOMIC_RELEASE);
	for (i = 1; i < r->n_backends; i++)
		if (!usable(r, i))
			put_target(&m->targets[i], &r->backends[i]);
	for (i = r->n_backends; all && i < m->n_targets; i++) /* another service's, that were here before */
		if (m->targets[i].state != BALANCE_TARGET_GONE)
			__atomic_store_n(&m->targets[i].state, BALANCE_TARGET_GONE, __ATOMIC_RELAXED);
	for (i = 0; i < r->n_dirty; i++)
		r->is_dirty[r->dirty[i]] = 0;
	r->n_dirty = 0;
	r->n_published = r->n_changes;
	return 0;
}
