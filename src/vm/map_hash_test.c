// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The hash family against a plain list, and under threads. */
#include <pthread.h>
#include <stdatomic.h>

#include "vm/map_test.h"

#define DOMAIN 400

/* What must be in the map: have[k] and its value. */
struct oracle {
	bool have[DOMAIN];
	uint64_t value[DOMAIN];
	uint32_t count;
};

static void key_of(uint32_t n, uint32_t size, uint8_t *key)
{
	memset(key, (int)(n * 7), size);
	memcpy(key, &n, size < 4 ? size : 4);
}

static void compare(struct map *map, const struct oracle *o, uint32_t size)
{
	uint8_t key[300], next[300];
	uint32_t k, n = 0, first = 1;
	uint64_t v;

	for (k = 0; k < DOMAIN; k++) {
		key_of(k, size, key);
		if (o->have[k]) {
			assert_int_equal(map_read(map, key, &v, 0), 0);
			assert_int_equal(v, o->value[k]);
			assert_non_null(map->lookup(map, key, 0));
		} else {
			assert_int_equal(map_read(map, key, &v, 0), -ENOENT);
			assert_null(map->lookup(map, key, 0));
		}
	}
	while (map->ops->next(map, first ? NULL : key, next) == 0) {
		memcpy(&k, next, 4);
		assert_true(k < DOMAIN && o->have[k]);
		memcpy(key, next, size);
		first = 0;
		assert_true(++n <= o->count);
	}
	assert_int_equal(n, o->count);
}

static void one_size(uint32_t size, uint32_t most)
{
	static struct oracle o;
	uint8_t key[300];
	struct map *map;
	int fd, e, want;
	uint32_t i;

	memset(&o, 0, sizeof(o));
	map = make(BPF_MAP_TYPE_HASH, size, 8, most, 0, &fd);
	for (i = 0; i < 20000; i++) {
		uint32_t k = rnd(DOMAIN), how = rnd(3);
		uint64_t v = i;

		key_of(k, size, key);
		if (rnd(3) == 0) {
			e = map->ops->del(map, key);
			assert_int_equal(e, o.have[k] ? 0 : -ENOENT);
			o.count -= o.have[k];
			o.have[k] = false;
			continue;
		}
		want = o.have[k] ? (how == BPF_NOEXIST ? -EEXIST : 0)
				 : (how == BPF_EXIST ? -ENOENT : o.count == most ? -E2BIG : 0);
		assert_int_equal(map->ops->update(map, key, &v, how, 0), want);
		if (!want) {
			o.count += !o.have[k];
			o.have[k] = true;
			o.value[k] = v;
		}
		if (i % 500 == 0)
			compare(map, &o, size);
	}
	compare(map, &o, size);
	close(fd);
}

static void against_list(void **unused)
{
	static const uint32_t sizes[] = {4, 8, 16, 5, 12, 40, 300};
	uint32_t i;

	(void)unused;
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		one_size(sizes[i], 100);
		one_size(sizes[i], 1000);
	}
}

/* Never more than max_entries, never an update refused, and what is used all the time stays. */
static void lru_keeps_what_is_used(void **unused)
{
	struct map *map;
	uint32_t k, i, n = 0, next, key = 0;
	uint64_t v = 0;
	int fd;

	(void)unused;
	map = make(BPF_MAP_TYPE_LRU_HASH, 4, 8, 100, 0, &fd);
	for (k = 0; k < 10; k++)
		assert_int_equal(map->ops->update(map, &k, &v, 0, 0), 0);
	for (i = 1000; i < 50000; i++) {
		for (k = 0; k < 10; k++)
			assert_non_null(map->lookup(map, &k, 0));
		assert_int_equal(map->ops->update(map, &i, &v, BPF_NOEXIST, 0), 0);
	}
	while (map->ops->next(map, n ? &key : NULL, &next) == 0)
		key = next, n++;
	assert_int_equal(n, 100);
	close(fd);
}

struct worker {
	struct map *map;
	uint32_t first, n;
	bool lru;
	unsigned long bad;
	atomic_bool *stop;
};

/* Each worker owns its keys: what it put in must be there, with its value, whatever others do beside it. */
static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t state = w->first + 1, v[2];
	uint32_t turn;

	for (turn = 0; turn < 200000; turn++) {
		uint32_t key;
		uint64_t *p;

		state = state * 6364136223846793005ull + 1442695040888963407ull;
		key = w->first + (uint32_t)(state >> 33) % w->n;
		v[0] = v[1] = key;
		if (w->map->ops->update(w->map, &key, v, BPF_ANY, 0))
			w->bad++;
		p = w->map->lookup(w->map, &key, 0);
		if (!p ? !w->lru : p[0] != key && !w->lru)
			w->bad++;
		if (map_read(w->map, &key, v, 0) ? !w->lru : v[0] != key || v[1] != key)
			w->bad++;
		if (state >> 62 == 0 && w->map->ops->del(w->map, &key) && !w->lru)
			w->bad++;
	}
	return NULL;
}

static void threads_on(uint32_t type, uint32_t most)
{
	struct worker w[4];
	pthread_t t[4];
	struct map *map;
	uint32_t i;
	int fd;

	map = make(type, 4, 16, most, 0, &fd);
	for (i = 0; i < 4; i++) {
		w[i] = (struct worker){map, i * 1000, 300, type == BPF_MAP_TYPE_LRU_HASH, 0, NULL};
		assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(w[i].bad, 0);
	}
	close(fd);
}

static void threads(void **unused)
{
	(void)unused;
	threads_on(BPF_MAP_TYPE_HASH, 1200);
	threads_on(BPF_MAP_TYPE_LRU_HASH, 2000);
	threads_on(BPF_MAP_TYPE_LRU_HASH, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(against_list, engine_new, engine_free),
		cmocka_unit_test_setup_teardown(lru_keeps_what_is_used, engine_new, engine_free),
		cmocka_unit_test_setup_teardown(threads, engine_new, engine_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
