// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Walks over real maps while a thread changes them. Needs root. */
#include <dirent.h>
#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/clock.h"
#include "base/test.h"
#include "bpf/map.h"

#define ENTRIES 6000

static unsigned int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static struct sluice_map *make(
	enum bpf_map_type type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	struct sluice_map *map;
	struct sluice_err err;
	int fd;

	if (geteuid() != 0)
		skip();
	fd = bpf_map_create(type, "sluice_test", key, value, entries, &opts);
	assert_true(fd >= 0);
	assert_int_equal(sluice_map_open_fd(fd, &map, &err), 0);
	close(fd);
	return map;
}

/* Every second key stays, the others come and go. The key's number is its last four bytes. */
struct churn {
	struct sluice_map *map;
	pthread_t thread;
	atomic_bool stop;
	unsigned long changes;
};

static void key_of(struct sluice_map *map, uint32_t n, uint8_t key[8])
{
	uint32_t full = 32, wire = htobe32(n);

	if (map->info.key_size == 4) {
		memcpy(key, &n, 4);
		return;
	}
	memcpy(key, &full, 4);
	memcpy(key + 4, &wire, 4);
}

static uint32_t number_of(struct sluice_map *map, const uint8_t *key)
{
	uint32_t n;

	memcpy(&n, key + map->info.key_size - 4, 4);
	return map->info.key_size == 4 ? n : be32toh(n);
}

static void *churning(void *arg)
{
	struct churn *c = arg;
	uint32_t x = 1, value[16] = {1};
	uint8_t key[8];

	while (!c->stop) {
		x = x * 1664525 + 1013904223;
		key_of(c->map, (x >> 8) % (ENTRIES / 2) * 2 + 1, key);
		if (x >> 31)
			bpf_map_update_elem(c->map->fd, key, value, BPF_ANY);
		else
			bpf_map_delete_elem(c->map->fd, key);
		c->changes++;
	}
	return NULL;
}

static void walk_under_change(struct sluice_map *map, unsigned int rounds)
{
	struct churn c = {.map = map};
	uint32_t n, value[16] = {1}, stayed, total, cuts = 0, tries = rounds;
	static uint8_t seen[ENTRIES];
	struct sluice_map_iter *it;
	struct sluice_err err;
	const void *k, *v;
	uint8_t key[8];
	int rc;

	for (n = 0; n < ENTRIES; n++) {
		key_of(map, n, key);
		assert_int_equal(bpf_map_update_elem(map->fd, key, value, BPF_ANY), 0);
	}
	assert_int_equal(pthread_create(&c.thread, NULL, churning, &c), 0);
	for (; rounds; rounds--) {
		memset(seen, 0, sizeof(seen));
		stayed = total = 0;
		assert_int_equal(sluice_map_iter_new(map, &it, &err), 0);
		while ((rc = sluice_map_iter_next(it, &k, &v, &err)) == 1) {
			n = number_of(map, k);
			assert_in_range(n, 0, ENTRIES - 1);
			assert_false(seen[n]);
			seen[n] = 1;
			stayed += n % 2 == 0;
			total++;
		}
		assert_int_equal(rc, 0);
		cuts += sluice_map_iter_cut(it);
		if (!sluice_map_iter_cut(it))
			assert_int_equal(stayed, ENTRIES / 2);
		assert_true(total >= stayed && total <= ENTRIES);
		sluice_map_iter_free(it);
	}
	assert_true(cuts < tries);
	c.stop = true;
	pthread_join(c.thread, NULL);
	assert_true(c.changes > 0);
	sluice_map_close(map);
}

static void hash_in_batches(void **state)
{
	unsigned int before = descriptors();

	(void)state;
	walk_under_change(make(BPF_MAP_TYPE_HASH, 4, 4, ENTRIES, 0), 30);
	walk_under_change(make(BPF_MAP_TYPE_HASH, 4, 64, ENTRIES, BPF_F_NO_PREALLOC), 10);
	assert_int_equal(descriptors(), before);
}

/* Whenever the key stood on is deleted, these walks start again in front. */
static void trie_and_next_key(void **state)
{
	unsigned int before = descriptors();
	uint64_t start = clock_mono_ns();

	(void)state;
	walk_under_change(make(BPF_MAP_TYPE_LPM_TRIE, 8, 4, ENTRIES, BPF_F_NO_PREALLOC), 5);
	assert_int_equal(descriptors(), before);
	assert_true(clock_mono_ns() - start < 60000000000u);
}

static void key_by_key(void **state)
{
	struct sluice_map *map = make(BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, ENTRIES, 0);

	(void)state;
	assert_int_equal(map->info.holds, SLUICE_MAP_DEVICE);
	walk_under_change(map, 5);
}

/* All entries in one bucket's reach: values so large that a batch holds few. */
static void large_values(void **state)
{
	struct sluice_map *map = make(BPF_MAP_TYPE_HASH, 4, 200000, 64, 0);
	struct sluice_map_iter *it;
	struct sluice_err err;
	const void *k, *v;
	uint8_t *value = calloc(1, 200000);
	uint32_t n, count = 0, sum = 0;

	(void)state;
	for (n = 0; n < 64; n++) {
		memcpy(value + 199996, &n, 4);
		assert_int_equal(sluice_map_set(map, &n, value, SLUICE_MAP_NEW, &err), 0);
	}
	assert_int_equal(sluice_map_iter_new(map, &it, &err), 0);
	while (sluice_map_iter_next(it, &k, &v, &err) == 1) {
		memcpy(&n, (const uint8_t *)v + 199996, 4);
		assert_memory_equal(&n, k, 4);
		sum += n;
		count++;
	}
	assert_int_equal(count, 64);
	assert_int_equal(sum, 64 * 63 / 2);
	sluice_map_iter_free(it);
	sluice_map_close(map);
	free(value);
}

static void every_cpu(void **state)
{
	struct sluice_map *map = make(BPF_MAP_TYPE_PERCPU_HASH, 4, 4, 8, 0);
	uint32_t key = 5, cpu, v, *values = calloc(1, map->info.value_bytes);
	struct sluice_err err;
	char *text, want[32];

	(void)state;
	assert_int_equal(map->info.stride, 8);
	assert_int_equal(map->info.value_bytes, 8 * map->info.n_values);
	for (cpu = 0; cpu < map->info.n_values; cpu++)
		values[cpu * 2] = UINT32_MAX;
	assert_int_equal(sluice_map_set(map, &key, values, SLUICE_MAP_ANY, &err), 0);
	memset(values, 0, map->info.value_bytes);
	assert_int_equal(sluice_map_get(map, &key, values, &err), 0);
	memcpy(&v, values, 4);
	assert_int_equal(v, UINT32_MAX);
	assert_int_equal(sluice_map_sum_print(map, values, &text, &err), 0);
	snprintf(want, sizeof(want), "%llu", (unsigned long long)UINT32_MAX * map->info.n_values);
	assert_string_equal(text, want);
	free(text);
	free(values);
	sluice_map_close(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_in_batches),
		cmocka_unit_test(trie_and_next_key),
		cmocka_unit_test(key_by_key),
		cmocka_unit_test(large_values),
		cmocka_unit_test(every_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
