// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Server ids in the flat memory: all that a service may have find a cell, and are found there as a data path looks for them. */
#include <stdio.h>

#include "balance/tables.h"
#include "base/test.h"
#include "datapath/lib/balance.h"

static uint64_t rng = 1;

static uint32_t random32(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32);
}

/* 0x9e3779b1 times it is n: with mix 0 they all begin in the first cell. */
static uint32_t in_first_cell(uint32_t n)
{
	uint32_t inverse = 0x9e3779b1u, i;

	for (i = 0; i < 5; i++)
		inverse *= 2 - 0x9e3779b1u * inverse;
	return inverse * n;
}

static void service(struct balance_model *m, uint32_t n)
{
	struct balance_service *s = balance_service_add(m, "quic");
	struct net_addr v = {.bytes = {203, 0, 113, 1}};
	uint32_t k;

	s->quic_bytes = 4;
	balance_virtual_add(s, &v, 17, 443, 443);
	for (k = 0; k < n; k++) {
		struct net_addr a = {.bytes = {10, 0, (uint8_t)(k >> 8), (uint8_t)k}};

		balance_backend_add(s, &a)->has_server = true;
	}
}

/* As datapath/balance_quic.h does. */
static uint32_t find(const struct tables *t, const void *memory, uint32_t server)
{
	const struct balance_config *c = tables_config(t);
	const struct balance_ring *r = (const void *)((const char *)memory + c->services);
	const struct balance_target *targets = (const void *)((const char *)memory + c->targets);
	uint32_t at = balance_server_at(server, r->n_targets, r->server_mix), i;

	for (i = 0; i < BALANCE_SERVER_PROBES; i++) {
		uint64_t cell = targets[r->targets + at].server;

		if (BALANCE_SERVER_IS(cell, server))
			return BALANCE_SERVER_ID(cell);
		at = at + 1 < r->n_targets ? at + 1 : 0;
	}
	return 0;
}

static void all_found(const struct tables *t, const void *memory, const struct balance_service *s)
{
	size_t k;

	for (k = 0; k < s->n_backends; k++)
		assert_int_equal(find(t, memory, s->backends[k].server),
				 ring_find(tables_ring(t, 0), &s->backends[k].addr, 0));
}

static void placed(uint32_t n, uint32_t (*id)(uint32_t n), uint32_t changes)
{
	struct balance_model m = {.n_services = 0};
	struct sluice_err err = {0};
	struct tables_room room;
	struct tables *t;
	uint32_t turn, k;
	void *memory;

	service(&m, n);
	for (k = 0; k < n; k++)
		m.services[0]->backends[k].server = id(k);
	tables_room(&m, &room);
	assert_int_equal(tables_new(&room, "", &t, &err), 0);
	memory = calloc(1, tables_bytes(t));
	assert_non_null(memory);
	tables_attach(t, memory);
	for (turn = 0; turn <= changes; turn++) {
		if (balance_check(&m, NULL, NULL, &err) || tables_change(t, &m, NULL, 1, NULL, &err))
			fail_msg("%u ids, turn %u: %s", n, turn, err.text);
		all_found(t, memory, m.services[0]);
		for (k = turn % 3; k < n; k += 1 + turn % 2)
			m.services[0]->backends[k].server = id(n * (turn + 1) + k);
	}
	tables_free(t);
	free(memory);
	balance_model_free(&m);
}

static uint32_t any(uint32_t n)
{
	(void)n;
	return random32();
}

static uint32_t in_order(uint32_t n)
{
	return n;
}

static void random_ids(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < 20; i++)
		placed(120, any, 4);
	for (i = 0; i < 3; i++)
		placed(MAGLEV_BACKENDS, any, 2);
}

static void other_ids(void **state)
{
	(void)state;
	placed(100, in_first_cell, 6);
	placed(MAGLEV_BACKENDS, in_first_cell, 2);
	placed(MAGLEV_BACKENDS, in_order, 2);
}

static void no_room(void **state)
{
	uint32_t servers[40], i, mix;

	(void)state;
	for (i = 0; i < 40; i++)
		servers[i] = random32();
	assert_int_equal(tables_server_mix(servers, 40, 40, &mix), 0);
	assert_int_equal(tables_server_mix(servers, 40, 39, &mix), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_ids),
		cmocka_unit_test(other_ids),
		cmocka_unit_test(no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
