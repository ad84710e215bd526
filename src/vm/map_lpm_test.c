// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Longest prefix match against a list that is searched from end to end. */
#include <pthread.h>
#include <stdatomic.h>

#include "vm/map_test.h"

#define MOST 600

struct prefix {
	uint32_t bits;
	uint8_t key[16];
	uint32_t value;
};

static struct prefix list[MOST];
static uint32_t n_list;

static bool covers(const struct prefix *p, const uint8_t *key, uint32_t bits)
{
	uint32_t i;

	if (p->bits > bits)
		return false;
	for (i = 0; i < p->bits; i++)
		if ((p->key[i / 8] ^ key[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static int slow(const uint8_t *key, uint32_t bits)
{
	int best = -1;
	uint32_t i;

	for (i = 0; i < n_list; i++)
		if (covers(&list[i], key, bits) && (best < 0 || list[i].bits > list[best].bits))
			best = (int)i;
	return best;
}

static int exact(const uint8_t *key, uint32_t bits)
{
	uint32_t i;

	for (i = 0; i < n_list; i++)
		if (list[i].bits == bits && covers(&list[i], key, bits))
			return (int)i;
	return -1;
}

/* Keys that lie close together, so that prefixes nest and fork. */
static void draw(uint32_t bytes, uint8_t *arg)
{
	uint32_t bits = rnd(bytes * 8 + 1), i;

	memcpy(arg, &bits, 4);
	for (i = 0; i < bytes; i++)
		arg[4 + i] = rnd(3) ? (uint8_t)(0x80u >> rnd(8)) : rnd(4) ? 0 : (uint8_t)rnd(256);
}

static void against(uint32_t bytes)
{
	uint8_t arg[20];
	struct map *map;
	uint32_t i, *p;
	int fd, at;

	n_list = 0;
	map = make(BPF_MAP_TYPE_LPM_TRIE, 4 + bytes, 4, MOST, BPF_F_NO_PREALLOC, &fd);
	for (i = 0; i < 60000; i++) {
		uint32_t bits, what = rnd(10), full = bytes * 8;

		draw(bytes, arg);
		memcpy(&bits, arg, 4);
		at = exact(arg + 4, bits);
		if (what < 3 + (i / 10000) % 2 * 2) { /* it grows and shrinks by turns */
			int want = at < 0 && n_list == MOST ? -ENOSPC : 0;

			assert_int_equal(map->ops->update(map, arg, &i, BPF_ANY, 0), want);
			if (want)
				continue;
			if (at < 0)
				at = (int)n_list++;
			list[at].bits = bits;
			memcpy(list[at].key, arg + 4, bytes);
			list[at].value = i;
		} else if (what < 7) {
			if (n_list && rnd(2)) {
				at = (int)rnd(n_list);
				memcpy(arg, &list[at].bits, 4);
				memcpy(arg + 4, list[at].key, bytes);
			}
			assert_int_equal(map->ops->del(map, arg), at < 0 ? -ENOENT : 0);
			if (at >= 0)
				list[at] = list[--n_list];
		} else {
			if (rnd(3))
				memcpy(arg, &full, 4);
			memcpy(&bits, arg, 4);
			at = slow(arg + 4, bits);
			p = map->lookup(map, arg, 0);
			if (at < 0)
				assert_null(p);
			else
				assert_true(p && *p == list[at].value);
		}
	}
	assert_true(n_list > 20);
	close(fd);
}

static void against_list(void **unused)
{
	(void)unused;
	against(1);
	against(2);
	against(3);
	against(4);
	against(16);
}

static struct map *shared;
static atomic_bool stop;

static void *churn(void *unused)
{
	uint8_t arg[8] = {0};
	uint32_t v = 1;

	while (!stop) {
		uint32_t bits;

		draw(4, arg);
		memcpy(&bits, arg, 4);
		if (bits < 8 || arg[4] == 10)
			continue;
		shared->ops->update(shared, arg, &v, BPF_ANY, 0);
		draw(4, arg);
		memcpy(&bits, arg, 4);
		if (bits >= 8 && arg[4] != 10)
			shared->ops->del(shared, arg);
	}
	return unused;
}

/* 10.0.0.0/8 and 10.1.0.0/16 stay, everything else changes: both answer right all the time. */
static void readers_beside_a_writer(void **unused)
{
	uint8_t eight[] = {8, 0, 0, 0, 10, 0, 0, 0}, sixteen[] = {16, 0, 0, 0, 10, 1, 0, 0};
	uint8_t ask[] = {32, 0, 0, 0, 10, 1, 2, 3};
	uint32_t v = 88, i, *p;
	pthread_t t;
	int fd;

	(void)unused;
	shared = make(BPF_MAP_TYPE_LPM_TRIE, 8, 4, MOST, BPF_F_NO_PREALLOC, &fd);
	assert_int_equal(shared->ops->update(shared, eight, &v, 0, 0), 0);
	v = 1616;
	assert_int_equal(shared->ops->update(shared, sixteen, &v, 0, 0), 0);
	stop = false;
	assert_int_equal(pthread_create(&t, NULL, churn, NULL), 0);
	for (i = 0; i < 300000; i++) {
		ask[5] = (uint8_t)(1 + i % 2);
		p = shared->lookup(shared, ask, 0);
		assert_true(p && *p == (i % 2 ? 88u : 1616u));
	}
	stop = true;
	pthread_join(t, NULL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(against_list, engine_new, engine_free),
		cmocka_unit_test_setup_teardown(readers_beside_a_writer, engine_new, engine_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
