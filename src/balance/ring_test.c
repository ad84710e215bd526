// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Slots over time: each transition by hand, flows through random changes, a reader beside the writer. */
#include <pthread.h>
#include <stdio.h>

#include "balance/ring.h"
#include "base/test.h"
#include "datapath/lib/balance.h"

#define N_SLOTS 1009
#define S UINT64_C(1000000000)

static uint64_t state;

static uint32_t below(uint32_t n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((state >> 33) % n);
}

struct bed {
	struct balance_model m;
	struct balance_service *s;
	struct ring *r;
	struct balance_ring ring; /* published */
	uint16_t raw[N_SLOTS + 1], changes[N_SLOTS]; /* as a data path has them */
	uint8_t marks[N_SLOTS / 8 + 2];
	uint32_t slots[N_SLOTS];		      /* as it puts them together */
	struct balance_target targets[BALANCE_ID_MAX + 2];
	struct ring_report report;
};

static struct balance_backend *add(struct bed *b, uint32_t n)
{
	struct net_addr a = {.bytes = {10, 1, (uint8_t)(n >> 8), (uint8_t)n}};

	return balance_backend_add(b->s, &a);
}

static void bed_open(struct bed *b, uint32_t n)
{
	uint32_t i;

	memset(b, 0, sizeof(*b));
	b->s = balance_service_add(&b->m, "s");
	b->s->n_slots = N_SLOTS;
	b->s->hold_s = 10;
	for (i = 0; i < n; i++)
		assert_non_null(add(b, i));
	assert_int_equal(ring_new(N_SLOTS, !n || n > 100, &b->r, NULL), 0);
}

static void bed_close(struct bed *b)
{
	ring_free(b->r);
	balance_model_free(&b->m);
}

#define MARK 5u /* the first slot's: those of another service may end there */
static struct ring_memory memory_of(struct bed *b)
{
	return (struct ring_memory){b->raw, b->changes, b->marks, MARK, b->targets, BALANCE_ID_MAX + 1};
}

/* What comes back to a backend keeps its change: the same as nobody to go back to. */
static uint32_t word_of(const struct bed *b, uint32_t slot)
{
	uint32_t word, mark = b->marks[(MARK + slot) / 8] >> (MARK + slot) % 8 & 1;
	uint16_t two;

	memcpy(&two, (const char *)b->raw + balance_slot_at(&b->ring, slot), sizeof(two));
	word = balance_word(balance_slot_id(b->ring.flags, two), mark ? b->changes[slot] : 0);
	assert_int_equal(!balance_settled(word), mark);
	if (BALANCE_CURRENT(word) && BALANCE_PREVIOUS(word) == BALANCE_CURRENT(word))
		return BALANCE_SLOT(BALANCE_CURRENT(word), BALANCE_ID_NOBODY, 0);
	return word;
}

static void publish(struct bed *b)
{
	struct ring_memory m = memory_of(b);
	bool changes = false;
	uint32_t i;

	assert_int_equal(ring_publish(b->r, false, &b->ring, &m, NULL), 0);
	for (i = 0; i < N_SLOTS; i++) {
		b->slots[i] = word_of(b, i);
		changes |= !balance_settled(b->slots[i]);
	}
	assert_int_equal(b->ring.flags & 12, changes * BALANCE_FLAG_CHANGES + ring_wide(b->r) * BALANCE_FLAG_WIDE);
	assert_memory_equal(b->slots, b->r->slots, sizeof(b->slots));
	for (i = 1; i < b->r->n_backends; i++) {
		assert_int_equal(b->targets[i].state, b->r->backends[i].state);
		assert_memory_equal(b->targets[i].addr, b->r->backends[i].addr.bytes, 16);
	}
}

static void change(struct bed *b, uint64_t now)
{
	struct sluice_err err = {0};

	if (ring_change(b->r, b->s, now, NULL, &b->report, &err))
		fail_msg("%s", err.text);
	publish(b);
}

static uint32_t id_of(const struct bed *b, uint32_t n)
{
	struct net_addr a = {.bytes = {10, 1, (uint8_t)(n >> 8), (uint8_t)n}};

	return ring_find(b->r, &a, 0);
}

static struct balance_choice choose(const struct bed *b, uint32_t slot, uint32_t kind, uint32_t known,
				    uint64_t now)
{
	uint32_t word = b->slots[slot], previous = BALANCE_PREVIOUS(word) % BALANCE_ID_NOBODY;

	return balance_choose(&b->ring, word, kind, known, b->targets[known].state, b->targets[previous].state,
			      now);
}

/* A slot that is a's now; and goes to c when a is out. */
static uint32_t slot_of(const struct bed *b, uint32_t a)
{
	uint32_t i;

	for (i = 0; i < N_SLOTS; i++)
		if (BALANCE_CURRENT(b->slots[i]) == id_of(b, a))
			return i;
	fail_msg("backend %u has no slot", a);
	return 0;
}

static void assert_choice(struct balance_choice c, uint32_t id, enum balance_why why, bool record)
{
	assert_int_equal(c.why, why);
	assert_int_equal(c.id, id);
	assert_int_equal(c.record, record);
}

static void starts_settled(void **unused)
{
	struct bed b;
	uint32_t i;

	(void)unused;
	bed_open(&b, 3);
	publish(&b);
	assert_choice(choose(&b, 5, BALANCE_PACKET_OPENS, 0, 0), 0, BALANCE_WHY_NO_BACKEND, false);
	change(&b, S);
	assert_int_equal(b.report.moved, N_SLOTS);
	assert_int_equal(b.report.changed, 0);
	assert_int_equal(b.report.until, 0);
	for (i = 0; i < N_SLOTS; i++)
		assert_true(balance_settled(b.slots[i]));
	assert_choice(choose(&b, 5, BALANCE_PACKET_GOES_ON, 0, 0), BALANCE_CURRENT(b.slots[5]),
		      BALANCE_WHY_HASH, false);
	change(&b, 2 * S); /* the same again */
	assert_int_equal(b.report.moved, 0);
	assert_int_equal(ring_bytes(b.r), 3 * N_SLOTS + 4 * 32 + 128);
	bed_close(&b);
}

/* A backend drains: its flows stay, new ones go elsewhere, and after the deadline only the table knows it. */
static void drains(void **unused)
{
	uint32_t slot, a, c;
	struct bed b;
	uint64_t end = 12 * S;

	(void)unused;
	bed_open(&b, 3);
	change(&b, S);
	slot = slot_of(&b, 1);
	a = id_of(&b, 1);
	b.s->backends[1].drain = true;
	change(&b, 2 * S);
	assert_int_equal(b.targets[a].state, BALANCE_TARGET_DRAINING);
	assert_int_equal(b.report.until, end);
	assert_in_range(b.report.moved, N_SLOTS / 3, N_SLOTS / 3 + N_SLOTS / 20);
	assert_int_equal(b.report.changed, b.report.moved);
	assert_int_equal(b.report.waiting, b.report.moved);
	c = BALANCE_CURRENT(b.slots[slot]);
	assert_int_not_equal(c, a);
	assert_choice(choose(&b, slot, BALANCE_PACKET_OPENS, 0, 3 * S), c, BALANCE_WHY_NEW, true);
	assert_choice(choose(&b, slot, BALANCE_PACKET_OPENS, a, 3 * S), c, BALANCE_WHY_NEW, true);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, c, 3 * S), c, BALANCE_WHY_TABLE, false);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, 0, end - 1), a, BALANCE_WHY_PREVIOUS, true);
	assert_choice(choose(&b, slot, BALANCE_PACKET_ERROR, 0, end - 1), a, BALANCE_WHY_PREVIOUS, false);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, a, end), a, BALANCE_WHY_TABLE, false);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, 0, end), c, BALANCE_WHY_CURRENT, true);
	assert_choice(choose(&b, slot, BALANCE_PACKET_FRAGMENT, 0, 3 * S), 0, BALANCE_WHY_NO_FIRST, false);
	assert_choice(choose(&b, slot, BALANCE_PACKET_FRAGMENT, a, 3 * S), a, BALANCE_WHY_TABLE, false);
	ring_expire(b.r, end - 1, &b.report);
	assert_int_not_equal(b.report.waiting, 0);
	ring_expire(b.r, end, &b.report);
	assert_int_equal(b.report.waiting, 0);
	assert_int_not_equal(b.report.changed, 0);
	publish(&b);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, a, end), a, BALANCE_WHY_TABLE, false);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, 0, 3 * S), c, BALANCE_WHY_CURRENT, true);
	bed_close(&b);
}

static void settles(void **unused)
{
	uint8_t elsewhere[N_SLOTS / 8 + 1] = {0};
	uint32_t slot;
	struct bed b;

	(void)unused;
	bed_open(&b, 3);
	change(&b, S);
	slot = slot_of(&b, 1);
	b.s->backends[1].weight = 0;
	change(&b, 2 * S);
	elsewhere[slot / 8] |= (uint8_t)(1 << slot % 8);
	ring_settle(b.r, 11 * S, elsewhere, &b.report); /* too early: nothing happens */
	assert_int_equal(b.report.waiting, b.report.changed);
	ring_settle(b.r, 12 * S, elsewhere, &b.report);
	assert_int_equal(b.report.waiting, 0);
	assert_int_equal(b.report.changed, 1);
	publish(&b);
	assert_false(balance_settled(b.slots[slot]));
	elsewhere[slot / 8] = 0;
	ring_settle(b.r, 12 * S, elsewhere, &b.report);
	assert_int_equal(b.report.changed, 0);
	publish(&b);
	assert_true(balance_settled(b.slots[slot]));
	bed_close(&b);
}

/* a -> c -> d before the deadline: who is unknown is a's; then a dies; then d. */
static void changes_in_a_row(void **unused)
{
	uint32_t slot, a, c, d;
	struct bed b;

	(void)unused;
	bed_open(&b, 5);
	change(&b, S);
	slot = slot_of(&b, 0);
	a = id_of(&b, 0);
	b.s->backends[0].weight = 0;
	change(&b, 2 * S);
	c = BALANCE_CURRENT(b.slots[slot]);
	b.s->backends[c - 1].drain = true;
	change(&b, 5 * S);
	d = BALANCE_CURRENT(b.slots[slot]);
	assert_true(d != c && d != a);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, 0, 6 * S), a, BALANCE_WHY_PREVIOUS, true);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, c, 6 * S), c, BALANCE_WHY_TABLE, false);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, 0, 12 * S), d, BALANCE_WHY_CURRENT, true);
	b.s->backends[0].health = BALANCE_DOWN;
	change(&b, 7 * S);
	assert_int_equal(BALANCE_CURRENT(b.slots[slot]), d);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, 0, 8 * S), d, BALANCE_WHY_CURRENT, true);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, a, 8 * S), d, BALANCE_WHY_CURRENT, true);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, c, 8 * S), c, BALANCE_WHY_TABLE, false);
	b.s->backends[d - 1].health = BALANCE_DOWN;
	change(&b, 9 * S);
	assert_int_not_equal(BALANCE_CURRENT(b.slots[slot]), d);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, c, 9 * S), c, BALANCE_WHY_TABLE, false);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, d, 9 * S), BALANCE_CURRENT(b.slots[slot]),
		      BALANCE_WHY_CURRENT, true);
	bed_close(&b);
}

/* a -> c -> a before the deadline: unknown flows are at home, flows of c are in the table. */
static void there_and_back(void **unused)
{
	uint32_t slot, a, c;
	struct bed b;

	(void)unused;
	bed_open(&b, 3);
	change(&b, S);
	slot = slot_of(&b, 0);
	a = id_of(&b, 0);
	b.s->backends[0].drain = true;
	change(&b, 2 * S);
	c = BALANCE_CURRENT(b.slots[slot]);
	b.s->backends[0].drain = false;
	change(&b, 3 * S);
	assert_int_equal(BALANCE_CURRENT(b.slots[slot]), a);
	assert_int_equal(b.report.waiting, 0);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, c, 4 * S), c, BALANCE_WHY_TABLE, false);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, 0, 4 * S), a, BALANCE_WHY_CURRENT, true);
	bed_close(&b);
}

/* Nobody is left: the table still counts for who drains; a backend that went and came has its number again. */
static void nobody_left(void **unused)
{
	uint32_t slot, a, i;
	struct bed b;

	(void)unused;
	bed_open(&b, 2);
	change(&b, S);
	slot = slot_of(&b, 0);
	a = id_of(&b, 0);
	b.s->backends[0].drain = true;
	change(&b, 2 * S);
	b.s->backends[1].health = BALANCE_DOWN;
	change(&b, 20 * S);
	for (i = 0; i < N_SLOTS; i++)
		assert_int_equal(BALANCE_CURRENT(b.slots[i]), 0);
	assert_choice(choose(&b, slot, BALANCE_PACKET_OPENS, 0, 21 * S), 0, BALANCE_WHY_NO_BACKEND, false);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, 0, 21 * S), 0, BALANCE_WHY_NO_BACKEND, false);
	assert_choice(choose(&b, slot, BALANCE_PACKET_GOES_ON, a, 21 * S), a, BALANCE_WHY_TABLE, false);
	b.s->n_backends = 1;
	change(&b, 22 * S);
	assert_int_equal(b.targets[2].state, BALANCE_TARGET_GONE);
	add(&b, 7);
	change(&b, 23 * S);
	assert_int_equal(id_of(&b, 7), 3);
	add(&b, 1);
	change(&b, 24 * S);
	assert_int_equal(id_of(&b, 1), 2);
	bed_close(&b);
}

static void stateless(void **unused)
{
	uint32_t i;
	struct bed b;

	(void)unused;
	bed_open(&b, 4);
	b.s->stateless = true;
	change(&b, S);
	assert_int_equal(b.ring.flags, BALANCE_FLAG_STATELESS);
	b.s->backends[0].drain = true;
	change(&b, 2 * S);
	assert_int_not_equal(b.report.moved, 0);
	assert_int_equal(b.report.changed, 0);
	for (i = 0; i < N_SLOTS; i++)
		assert_true(balance_settled(b.slots[i]));
	bed_close(&b);
}

static void affinity_fragments(void **unused)
{
	struct bed b;

	(void)unused;
	bed_open(&b, 4);
	b.s->affinity = true;
	change(&b, S);
	assert_choice(choose(&b, 9, BALANCE_PACKET_FRAGMENT, 0, S), BALANCE_CURRENT(b.slots[9]),
		      BALANCE_WHY_HASH, false);
	bed_close(&b);
}

/* Backends come and go for long: numbers stay below their bound and are never another's while a slot has them. */
static void numbers(void **unused)
{
	struct bed b;
	struct net_addr was[BALANCE_ID_MAX + 1];
	uint32_t round, i, n = 0;

	(void)unused;
	bed_open(&b, 0);
	memset(was, 0, sizeof(was));
	for (round = 1; round < 60; round++) {
		for (i = 0; i < b.s->n_backends; i++)
			was[id_of(&b, n - (uint32_t)b.s->n_backends + i)] = b.s->backends[i].addr;
		b.s->n_backends = 0;
		for (i = 0; i < 400; i++)
			add(&b, n++ % 65536);
		assert_int_equal(ring_change(b.r, b.s, round * S, NULL, NULL, NULL), 0);
		for (i = 0; i < N_SLOTS; i++) {
			uint32_t id = BALANCE_CURRENT(b.slots[i]);

			if (id) /* still in the reader's memory */
				assert_memory_equal(b.r->backends[id].addr.bytes, was[id].bytes, 16);
		}
		publish(&b);
	}
	assert_in_range(b.r->n_backends, 801, 1000);
	bed_close(&b);
}

static void numbers_run_out(void **unused)
{
	struct sluice_err err = {0};
	struct ring_memory m;
	uint32_t i, k, before;
	struct bed b;
	int e = 0;

	(void)unused;
	bed_open(&b, 0);
	for (k = 0; !e && k < 20; k++) {
		b.s->n_backends = 0;
		for (i = 0; i < 1000; i++)
			add(&b, k * 1000 + i);
		before = b.r->slots[7];
		e = ring_change(b.r, b.s, S, NULL, NULL, &err);
	}
	assert_int_equal(k, 9);
	assert_int_equal(e, -ENOSPC);
	assert_string_equal(err.text, "service s: all 8190 numbers of backends are in use; publish earlier "
				      "changes first");
	assert_int_equal(b.r->slots[7], before);
	m = memory_of(&b);
	m.n_targets = 7000;
	assert_int_equal(ring_publish(b.r, true, &b.ring, &m, &err), -ENOSPC);
	assert_string_equal(err.text, "8001 targets are needed and there is room for 7000");
	b.s->n_slots = 251;
	assert_int_equal(ring_change(b.r, b.s, S, NULL, NULL, &err), -EINVAL);
	assert_string_equal(err.text, "service s has 251 slots and its ring 1009; it needs another ring");
	bed_close(&b);
}

/*
 * More changes than epochs while slots wait: a deadline never comes earlier than asked for, and later only for slots
 * that wait under the latest epoch.
 */
static void epochs(void **unused)
{
	uint64_t asked[N_SLOTS] = {0}, until[BALANCE_EPOCHS];
	uint32_t old[N_SLOTS], round, i, latest, e;
	struct bed b;

	(void)unused;
	bed_open(&b, 40);
	change(&b, 0);
	for (round = 1; round < 200; round++) {
		uint64_t now = round * S / 3;

		state = round;
		b.s->backends[below(40)].weight = below(4);
		memcpy(old, b.slots, sizeof(old));
		memcpy(until, b.ring.until, sizeof(until));
		latest = b.r->epoch;
		change(&b, now);
		for (i = 0; i < N_SLOTS; i++) {
			uint32_t p = BALANCE_PREVIOUS(b.slots[i]);

			e = BALANCE_EPOCH(b.slots[i]);
			if (BALANCE_CURRENT(old[i]) != BALANCE_CURRENT(b.slots[i]) &&
			    p == BALANCE_CURRENT(old[i]))
				asked[i] = now + 10 * S;
			if (!p || p == BALANCE_ID_NOBODY)
				continue;
			assert_true(b.ring.until[e] >= asked[i]);
			if (old[i] == b.slots[i] && e != latest)
				assert_true(b.ring.until[e] == until[e]);
		}
	}
	bed_close(&b);
}

#define FLOWS 3000

/*
 * Flows through random changes. Each sends a packet now and then, never later than hold after the last one; the
 * table forgets nothing. While a flow's backend is there it never moves.
 */
static void flows_stay(void **unused)
{
	static struct flow {
		uint64_t hash, last;
		uint32_t at, known;
		bool open;
	} flows[FLOWS];
	uint32_t round, i, n_moved = 0, n_packets = 0, seed;
	struct bed b;
	uint64_t now = S;

	(void)unused;
	for (seed = 1; seed < 9; seed++) {
		state = seed;
		memset(flows, 0, sizeof(flows));
		bed_open(&b, 20);
		b.s->fallback = seed % 2 ? BALANCE_DROP : BALANCE_OPEN;
		change(&b, now);
		for (round = 0; round < 150; round++) {
			now += 1 + below(3) * S;
			for (i = 0; i <= below(3); i++) {
				struct balance_backend *x = &b.s->backends[below((uint32_t)b.s->n_backends)];

				x->drain = !below(4);
				x->weight = below(4);
				x->health = below(5) ? BALANCE_UP : BALANCE_DOWN;
			}
			if (!below(4) && b.s->n_backends > 5)
				b.s->n_backends--;
			if (!below(4) && b.s->n_backends < 30)
				add(&b, 100 + round);
			change(&b, now);
			if (!below(3)) {
				ring_expire(b.r, now, NULL);
				publish(&b);
			}
			for (i = 0; i < FLOWS; i++) {
				struct flow *f = &flows[i];
				uint32_t kind = BALANCE_PACKET_GOES_ON, slot;
				struct balance_choice c;

				f->open &= balance_usable(b.targets[f->at].state);
				if (f->open && below(4) && now + 3 * S < f->last + 10 * S)
					continue;
				if (!f->open) {
					*f = (struct flow){.hash = (uint64_t)below(1u << 31) << 33};
					kind = BALANCE_PACKET_OPENS;
				}
				slot = balance_slot(&b.ring, f->hash);
				c = choose(&b, slot, kind, balance_settled(b.slots[slot]) ? 0 : f->known,
					   now);
				n_packets++;
				if (f->open && c.id != f->at)
					fail_msg("seed %u round %u: flow %u moved from %u to %u", seed, round,
						 i, f->at, c.id);
				n_moved += c.id != BALANCE_CURRENT(b.slots[slot]);
				if (c.record)
					f->known = c.id;
				f->open = c.id != 0;
				f->at = c.id;
				f->last = now;
			}
		}
		bed_close(&b);
	}
	assert_true(n_packets > FLOWS * 100);
	assert_true(n_moved > n_packets / 50); /* it was not only settled slots that were looked at */
}

/* A reader while changes are published: what a slot names is there, with the address that belongs to it. */
static struct bed shared;
static bool done;

static void *reader(void *unused)
{
	uint64_t *errors = unused;
	uint32_t i, ids[2], k;

	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		for (i = 0; i < N_SLOTS; i++) {
			ids[0] = __atomic_load_n(&shared.raw[i], __ATOMIC_ACQUIRE);
			ids[1] = (__atomic_load_n(&shared.changes[i], __ATOMIC_ACQUIRE) & 8191) % BALANCE_ID_NOBODY;
			for (k = 0; k < 2; k++) {
				struct balance_target *t = &shared.targets[ids[k]];

				/* 10.1.x.x, but for nobody */
				*errors += ids[k] && (t->addr[0] != 10 || t->addr[1] != 1 || !shared.ring.n_slots);
			}
		}
	return NULL;
}

static void published_in_order(void **unused)
{
	uint64_t errors = 0;
	uint32_t round, n = 0, i;
	struct ring_memory m;
	pthread_t thread;

	(void)unused;
	done = false;
	bed_open(&shared, 0);
	m = memory_of(&shared);
	assert_int_equal(pthread_create(&thread, NULL, reader, &errors), 0);
	for (round = 1; round < 300; round++) {
		shared.s->n_backends = 0;
		for (i = 0; i < 30; i++)
			add(&shared, (n + i) % 5000);
		n += 7;
		assert_int_equal(ring_change(shared.r, shared.s, round * S, NULL, NULL, NULL), 0);
		assert_int_equal(ring_publish(shared.r, false, &shared.ring, &m, NULL), 0);
	}
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_int_equal(errors, 0);
	bed_close(&shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_settled),
		cmocka_unit_test(drains),
		cmocka_unit_test(settles),
		cmocka_unit_test(changes_in_a_row),
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(nobody_left),
		cmocka_unit_test(stateless),
		cmocka_unit_test(affinity_fragments),
		cmocka_unit_test(numbers),
		cmocka_unit_test(numbers_run_out),
		cmocka_unit_test(epochs),
		cmocka_unit_test(flows_stay),
		cmocka_unit_test(published_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
