// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Tables whose writer is thrown away after every change, killed in the middle of storing, or followed by larger ones: packets
 * are answered as the oracle does, which forgets nothing. What is no saved state is refused.
 */
#include <stdio.h>

#include "balance/answer.h"
#include "balance/oracle.h"
#include "balance/tables.h"
#include "base/test.h"
#include "datapath/lib/flow.h"

#define S UINT64_C(1000000000)
#define SHIFT 52 /* 4,096 buckets */
#define N_FLOWS (8u << (64 - SHIFT))

static uint64_t rng;

static uint32_t below(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

struct bed {
	struct balance_model m;
	struct tables *t;
	struct balance_config config;
	void *memory;
	struct oracle *o;
	uint64_t *flows, now;
	uint32_t n_names;
};

static void *zeroes(size_t bytes)
{
	void *m = aligned_alloc(64, (bytes + 63) / 64 * 64);

	assert_non_null(m);
	memset(m, 0, bytes);
	return m;
}

static struct net_addr backend_addr(uint32_t service, uint32_t k)
{
	return (struct net_addr){.bytes = {10, (uint8_t)service, (uint8_t)(k >> 8), (uint8_t)k}};
}

static void add_service(struct bed *b, uint32_t n_backends)
{
	struct net_addr v = {.bytes = {203, 0, 113, (uint8_t)(10 + b->n_names)}};
	struct balance_service *s;
	char name[BALANCE_NAME];
	uint32_t k;

	snprintf(name, sizeof(name), "s%u", b->n_names);
	s = balance_service_add(&b->m, name);
	s->n_slots = b->n_names % 2 ? 251 : 1009;
	s->hold_s = 10;
	s->affinity = b->n_names % 3 == 2;
	s->fallback = b->n_names % 2 ? BALANCE_OPEN : BALANCE_DROP;
	if (b->n_names % 2)
		balance_virtual_add(s, &v, 6, 80, 700);
	else
		balance_virtual_add(s, &v, BALANCE_PROTO_ANY, 0, 65535);
	for (k = 0; k < n_backends; k++) {
		struct net_addr a = backend_addr(b->n_names, k);

		balance_backend_add(s, &a)->weight = 1 + k % 3;
	}
	b->n_names++;
}

static void use(struct bed *b, struct tables *t, void *memory)
{
	b->t = t;
	b->memory = memory;
	tables_attach(t, memory);
	b->config = *tables_config(t);
	b->config.flow_shift = b->config.fragment_shift = SHIFT;
	b->config.idle = 75;
}

static void must(int e, const struct sluice_err *err)
{
	if (e)
		fail_msg("%d: %s", e, err->text);
}

static void bed_open(struct bed *b, uint64_t seed)
{
	struct sluice_err err = {0};
	struct tables_room room;
	struct tables *t;
	uint32_t i;

	*b = (struct bed){.now = 1000 * S};
	rng = seed * 0x9e3779b97f4a7c15u + 1;
	snprintf(b->m.seed, sizeof(b->m.seed), "secret");
	for (i = 0; i < 4; i++)
		add_service(b, 6 + i * 5);
	tables_room(&b->m, &room);
	must(tables_new(&room, b->m.seed, &t, &err), &err);
	use(b, t, zeroes(tables_bytes(t)));
	must(oracle_new(&b->o, &err), &err);
	b->flows = calloc(N_FLOWS, sizeof(*b->flows));
	assert_non_null(b->flows);
}

static void bed_close(struct bed *b)
{
	tables_free(b->t);
	free(b->memory);
	free(b->flows);
	oracle_free(b->o);
	balance_model_free(&b->m);
}

/* --- packets --- */

static struct answer ask(const struct bed *b, const struct answer_packet *p)
{
	struct answer_memory m = {.memory = b->memory,
				  .flows = b->flows,
				  .config = &b->config,
				  .ticks = (uint32_t)(b->now / 4000000 >> 10) & 1023,
				  .now_ns = b->now};
	struct answer a;

	answer_packet(&m, p, 1, &a);
	return a;
}

/* The stores of a data path, for the answer that it came to. */
static void record(struct bed *b, const struct answer_packet *p, const struct answer *a)
{
	uint32_t now = (uint32_t)(b->now / 4000000 >> 10) & 1023;
	__u64 *bucket = (__u64 *)b->flows + (size_t)flow_bucket(a->hash, SHIFT) * BALANCE_FLOW_WAYS;
	__u64 key = BALANCE_FLOW_KEY(flow_tag(a->hash, SHIFT), a->service);
	struct flow_place place = flow_find(bucket, key, BALANCE_FLOW_KEY_MASK);

	if (!BALANCE_PREVIOUS(a->word) || !a->id || p->kind == BALANCE_PACKET_ERROR)
		return;
	if (a->why == BALANCE_WHY_TABLE) {
		bucket[place.at] = flow_touch(place.entry, now, p->kind == BALANCE_PACKET_OPENS);
		return;
	}
	if (place.at == FLOW_NOWHERE)
		flow_place(bucket, a->hash, now, 75, &place);
	assert_true(place.at < BALANCE_FLOW_WAYS);
	bucket[place.at] = BALANCE_FLOW(key, a->id, BALANCE_FLOW_NEW, now);
}

static struct answer_packet random_packet(const struct bed *b)
{
	const struct balance_service *s = b->m.services[below((uint32_t)b->m.n_services)];

	return (struct answer_packet){.src = {.bytes = {198, 51, 100, (uint8_t)below(20)}},
				      .dst = s->virtuals[0].addr,
				      .sport = (uint16_t)(1024 + below(20)),
				      .dport = (uint16_t)(80 + below(2) * 600),
				      .proto = 6,
				      .kind = below(4) ? BALANCE_PACKET_GOES_ON : BALANCE_PACKET_OPENS};
}

static struct net_addr where(const struct bed *b, const struct answer *a)
{
	return tables_ring(b->t, a->service)->backends[a->id].addr;
}

static uint32_t seen[8];

static void packets(struct bed *b, uint32_t n)
{
	struct sluice_err err = {0};
	struct oracle_answer want;
	struct oracle_packet q;
	struct answer_packet p;
	struct answer a;

	while (n--) {
		p = random_packet(b);
		a = ask(b, &p);
		q = (struct oracle_packet){.src = p.src,
					   .dst = p.dst,
					   .sport = p.sport,
					   .dport = p.dport,
					   .proto = p.proto,
					   .kind = p.kind};
		must(oracle_packet(b->o, &q, b->now, &want, &err), &err);
		assert_non_null(want.service);
		assert_true(a.service != ANSWER_NONE);
		assert_string_equal(tables_name(b->t, a.service), want.service->name);
		if (a.why != want.why || !a.id != !want.backend)
			fail_msg("service %s slot %u, %08x: why %u, backend %u; the oracle says %u", want.service->name,
				 a.slot, a.word, a.why, a.id, want.why);
		if (want.backend)
			assert_memory_equal(where(b, &a).bytes, want.backend->addr.bytes, 16);
		seen[a.why]++;
		record(b, &p, &a);
	}
}

/* --- changes --- */

static void random_change(struct bed *b, bool grow)
{
	uint32_t n, k, i;

	for (i = 0; i < b->m.n_services; i++) {
		struct balance_service *s = b->m.services[i];
		uint32_t id = (uint32_t)strtoul(s->name + 1, NULL, 10);

		for (n = below(3); n && s->n_backends; n--) {
			struct balance_backend *x = &s->backends[below((uint32_t)s->n_backends)];

			x->drain = !below(4);
			x->weight = below(4);
			x->health = below(4) ? BALANCE_UP : BALANCE_DOWN;
		}
		if (!grow)
			continue;
		for (n = below(4) ? 0 : below(60); n && s->n_backends < 200; n--) {
			struct net_addr a = backend_addr(id, (uint32_t)s->n_backends);

			balance_backend_add(s, &a)->weight = 1;
		}
		if (!below(5) && s->n_backends > 5) { /* the last goes, and may come back */
			k = (uint32_t)s->n_backends - 1;
			s->n_backends = k;
		}
	}
	/* more than eight changes within 10 s would share deadlines, which the oracle's do not */
	b->now += (2 + below(4)) * S + below(1000000);
}

static void tell_oracle(struct bed *b)
{
	struct sluice_err err = {0};

	must(oracle_change(b->o, &b->m, b->now, &err), &err);

}

/* --- a writer that is thrown away --- */

static struct buf *save(const struct tables *t)
{
	struct buf *v = calloc(tables_n_services(t) + 1ul, sizeof(*v));
	uint32_t i, n = tables_n_services(t);

	assert_non_null(v);
	tables_save(t, &v[n]);
	for (i = 0; i < n; i++)
		if (tables_name(t, i)[0] && tables_ring(t, i))
			tables_save_service(t, i, &v[i]);
	return v;
}

static void saved_free(struct buf *v, uint32_t n)
{
	uint32_t i;

	for (i = 0; i <= n; i++)
		buf_free(&v[i]);
	free(v);
}

static struct tables *load(struct buf *v, uint32_t n, void *memory)
{
	struct sluice_err err = {0};
	struct view view = view_of(v[n].data, v[n].len);
	struct tables *t;
	uint32_t i;

	must(tables_load(&view, &t, &err), &err);
	assert_int_equal(tables_n_services(t), n);
	if (memory)
		tables_attach(t, memory);
	for (i = 0; i < n; i++) {
		if (!v[i].len)
			continue;
		view = view_of(v[i].data, v[i].len);
		must(tables_load_service(t, i, &view, NULL, &err), &err);
	}
	return t;
}

/* Everything that is not in the memory is gone; what was set and not published is found by who comes next. */
static void die(struct bed *b, bool publish)
{
	uint32_t n = tables_n_services(b->t);
	struct sluice_err err = {0};
	struct buf *v;

	v = save(b->t);
	if (publish)
		must(tables_publish(b->t, &err), &err);
	tables_free(b->t);
	b->t = load(v, n, b->memory);
	saved_free(v, n);
	must(tables_publish(b->t, &err), &err);
}

static void writers_come_and_go(void **unused)
{
	struct sluice_err err = {0};
	uint32_t round, seed;
	struct bed b;

	(void)unused;
	for (seed = 1; seed < 5; seed++) {
		bed_open(&b, seed);
		for (round = 0; round < 60; round++) {
			tell_oracle(&b);
			must(tables_set(b.t, &b.m, NULL, b.now, NULL, &err), &err);
			die(&b, below(2));
			packets(&b, 400);
			random_change(&b, false);
		}
		bed_close(&b);
	}
	for (round = 0; round < BALANCE_WHY_NO_FIRST; round++) /* every answer there is */
		assert_true(seen[round] > 100);
}

/*
 * Killed while it stores: any mixture of words as they were and as they were to be, but the half of the virtual addresses
 * only with all of them, and a serial number not at all: both come last. Who comes next makes of it what it was to be.
 */
static void killed_while_storing(void **unused)
{
	struct sluice_err err = {0};
	uint32_t round, i, mixed = 0;
	uint64_t *old, *memory;
	size_t words, at;
	struct bed b;

	(void)unused;
	bed_open(&b, 77);
	words = tables_bytes(b.t) / 8;
	old = zeroes(words * 8);
	for (round = 0; round < 80; round++) {
		struct buf *v;
		uint32_t n = tables_n_services(b.t);

		tell_oracle(&b);
		memcpy(old, b.memory, words * 8);
		must(tables_set(b.t, &b.m, NULL, b.now, NULL, &err), &err);
		v = save(b.t);
		must(tables_publish(b.t, &err), &err);
		tables_free(b.t);
		memory = b.memory;
		for (i = 0; i < words; i++) {
			at = (size_t)i * 8;
			bool serial = at >= b.config.services && at < b.config.targets && (at - b.config.services) % 128 == 24;

			if (memory[i] == old[i] || (!serial && below(2)))
				continue;
			if (round && at < b.config.services) /* no change of virtual addresses then */
				continue;
			if (at < b.config.services && at >= 64)
				continue;
			memory[i] = old[i];
			mixed++;
		}
		b.t = load(v, n, b.memory);
		saved_free(v, n);
		must(tables_publish(b.t, &err), &err);
		packets(&b, 300);
		random_change(&b, false);
	}
	assert_true(mixed > 10000);
	free(old);
	bed_close(&b);
}

/* Each generation has memory of its own, of what the one before has; numbers stay, so the flow table does. */
static void grows(void **unused)
{
	struct sluice_err err = {0};
	uint32_t round, seed, n_same = 0, n_larger = 0, wide = 0, i;
	struct ring_report report;
	struct tables *t;
	struct bed b;
	bool same;

	(void)unused;
	for (seed = 11; seed < 15; seed++) {
		bed_open(&b, seed);
		tell_oracle(&b);
		must(tables_change(b.t, &b.m, NULL, b.now, NULL, &err), &err);
		for (round = 0; round < 40; round++) {
			packets(&b, 400);
			random_change(&b, true);
			if (!below(6) && b.n_names < 12)
				add_service(&b, 3);
			tell_oracle(&b);
			must(tables_grow(b.t, &b.m, NULL, b.now, &t, &same, &report, &err), &err);
			n_same += same;
			n_larger += tables_bytes(t) > tables_bytes(b.t);
			for (i = 0; i < tables_n_services(b.t); i++)
				if (tables_name(b.t, i)[0])
					assert_string_equal(tables_name(b.t, i), tables_name(t, i));
			tables_free(b.t);
			free(b.memory);
			use(&b, t, zeroes(tables_bytes(t)));
			must(tables_publish(b.t, &err), &err);
			for (i = 0; i < tables_n_services(t); i++)
				wide += tables_name(t, i)[0] && ring_wide(tables_ring(t, i));
			die(&b, true);
		}
		bed_close(&b);
	}
	assert_true(n_same > 20 && n_larger > 3 && wide > 20);
}

/*
 * Another generation counts for a while and the one before it comes back: what was opened meanwhile stays where it is, if
 * the backend is there; what the other one gave out is given to nobody.
 */
static void comes_back(void **unused)
{
	struct flow {
		struct answer_packet p;
		struct net_addr at;
	} *flows = calloc(2000, sizeof(*flows));
	struct sluice_err err = {0};
	struct bed b, other;
	uint32_t i, k, stayed = 0, gone = 0, number;
	struct tables *t;
	struct answer a;
	bool same, any;

	(void)unused;
	assert_non_null(flows);
	bed_open(&b, 5);
	must(tables_change(b.t, &b.m, NULL, b.now, NULL, &err), &err);
	for (k = 0; k < b.m.n_services; k++) {
		struct balance_service *s = b.m.services[k];

		s->backends[0].weight = 40;
		for (i = 0; i < 20; i++) {
			struct net_addr n = backend_addr(k, 500 + i);

			balance_backend_add(s, &n);
		}
	}
	must(tables_grow(b.t, &b.m, NULL, b.now, &t, &same, NULL, &err), &err);
	other = b;
	use(&other, t, zeroes(tables_bytes(t)));
	must(tables_publish(t, &err), &err);
	for (number = 0; number < tables_n_services(b.t); number++)
		if (tables_name(b.t, number)[0])
			must(tables_prepare_return(b.t, number, t, &any, &err), &err);
	must(tables_publish(b.t, &err), &err);
	for (i = 0; i < 2000; i++) {
		flows[i].p = random_packet(&other);
		flows[i].p.sport = (uint16_t)i;
		flows[i].p.kind = BALANCE_PACKET_OPENS;
		a = ask(&other, &flows[i].p);
		assert_true(a.id != 0);
		record(&other, &flows[i].p, &a);
		flows[i].at = where(&other, &a);
	}
	for (i = 0; i < 2000; i++) {
		flows[i].p.kind = BALANCE_PACKET_GOES_ON;
		a = ask(&b, &flows[i].p);
		assert_true(a.id != 0);
		if (flows[i].at.bytes[2]) { /* of a backend that is not there any more */
			assert_int_not_equal(a.why, BALANCE_WHY_TABLE);
			gone++;
			continue;
		}
		assert_memory_equal(where(&b, &a).bytes, flows[i].at.bytes, 16);
		stayed += a.why == BALANCE_WHY_TABLE;
	}
	assert_true(stayed > 200 && gone > 200);
	tables_free(t);
	free(other.memory);
	free(flows);
	bed_close(&b);
}

/* A way back from bytes: damaged ones are refused or make tables that can be used, and nothing is read beyond them. */
static void damaged(void **unused)
{
	struct sluice_err err = {0};
	uint32_t round, i, n, refused = 0, which;
	struct buf *v;
	struct bed b;

	(void)unused;
	bed_open(&b, 3);
	for (i = 0; i < 3; i++) {
		must(tables_change(b.t, &b.m, NULL, b.now, NULL, &err), &err);
		random_change(&b, false);
	}
	n = tables_n_services(b.t);
	v = save(b.t);
	for (round = 0; round < 6000; round++) {
		struct tables *t = NULL;
		struct view view;
		uint8_t *copy;
		size_t len, cut;
		int e;

		which = below(2) ? n : below(4);
		len = v[which].len;
		cut = below(8) ? len : below((uint32_t)len);
		copy = malloc(cut + 1);
		assert_non_null(copy);
		memcpy(copy, v[which].data, cut);
		for (i = 0; cut && i < below(3) + 1; i++)
			copy[below(below(2) || cut < 200 ? (uint32_t)cut : 200)] = below(2) ? (uint8_t)below(256) : (uint8_t)(0xff * below(2));
		err = (struct sluice_err){0};
		view = view_of(which == n ? copy : v[n].data, which == n ? cut : v[n].len);
		e = tables_load(&view, &t, &err);
		if (!e && which != n) {
			view = view_of(copy, cut);
			e = tables_load_service(t, which, &view, NULL, &err);
		}
		if (e) {
			assert_int_equal(e, -EBADMSG);
			assert_true(err.text[0]);
			refused++;
		} else if (tables_bytes(t) < 1u << 22) {
			void *memory = zeroes(tables_bytes(t));

			tables_attach(t, memory);
			tables_publish(t, NULL);
			free(memory);
		}
		tables_free(t);
		free(copy);
	}
	assert_true(refused > 2000 && refused < 6000);
	saved_free(v, n);
	bed_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writers_come_and_go), cmocka_unit_test(killed_while_storing),
		cmocka_unit_test(grows),	       cmocka_unit_test(comes_back),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
