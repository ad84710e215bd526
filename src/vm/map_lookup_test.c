// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Lookups from compiled code, which follows chains of hash tables itself: against the map's own, and under threads. */
#include <pthread.h>

#include "vm/helper_test.h"
#include "vm/map_hash.h"
#include "vm/worker.h"

#define DOMAIN 400
#define MISS 0xffffffffu
#define PACKET 64
#define VALUE 100 /* of key 0: no verdict means anything */
#define CPUS 2

static void new_engine(bool trusted)
{
	const struct vm_config config = {.n_cpus = CPUS, .seed = 7, .trusted = trusted};
	struct sluice_err err;

	assert_int_equal(vm_new(&config, &vm, &err), 0);
}

/* The packet starts with the key (copied to the frame first, or not); the verdict is the value's first half. */
static int program(int map, uint32_t key_bytes, bool copied)
{
	char copy[256] = "";
	uint32_t i;
	int n = 0;

	for (i = 0; copied && i < key_bytes; i += 4)
		n += snprintf(copy + n, sizeof(copy) - (size_t)n, "r3 = *(u32 *)(r2 +%u)\n*(u32 *)(r10 -%u) = r3\n",
			      i, 16 - i);
	if (copied)
		snprintf(copy + n, sizeof(copy) - (size_t)n, "r2 = r10\nr2 += -16\n");
	return load("r2 = *(u32 *)(r1 +0)\n%sr1 = map[fd:%d]\ncall bpf_map_lookup_elem\nif r0 == 0x0 goto +2\n"
		    "r0 = *(u64 *)(r0 +0)\nexit\nr0 = -1\nexit",
		    copy, map);
}

static struct vm_worker *worker_of(int prog, uint32_t cpu)
{
	const struct vm_worker_config config = {.cpu = cpu};
	struct vm_worker *w;
	struct sluice_err err;

	if (vm_worker_new(vm, prog, &config, &w, &err))
		fail_msg("%s", err.text);
	return w;
}

static void key_of(uint32_t n, uint32_t size, uint8_t *key)
{
	memset(key, (int)(n * 7), size);
	memcpy(key + size - 4, &n, 4);
}

/* What a compiled lookup of that key finds. */
static uint32_t found(struct vm_worker *w, uint32_t k, uint32_t size)
{
	uint8_t bytes[PACKET] = {0};
	struct vm_frame in = {.data = bytes, .len = sizeof(bytes), .ifindex = 1};
	struct vm_done out;

	key_of(k, size, bytes);
	vm_worker_run(w, &in, NULL, &out);
	return out.error ? 0xbad : out.verdict;
}

/* The byte that says an entry was used lately; NULL if it is not in the map. */
static uint8_t *used_byte(struct map_hash *h, uint32_t k)
{
	uint8_t key[16], *e;
	uint32_t i;

	key_of(k, h->map.key_size, key);
	for (i = 0; i < h->touched; i++) {
		e = h->slab + (uint64_t)i * h->elem_bytes;
		if (((struct hash_elem *)(void *)e)->tag && !memcmp(e + 8, key, h->map.key_size))
			return e + h->ref_off;
	}
	return NULL;
}

static void same_as_list(struct map *map, struct vm_worker *const w[CPUS], const bool have[DOMAIN])
{
	struct map_hash *h = (struct map_hash *)map;
	uint32_t k, cpu, want, n = 0;
	uint8_t *used;

	for (k = 0; k < DOMAIN; k++) {
		used = used_byte(h, k);
		assert_true(h->lru ? have[k] || !used : have[k] == !!used);
		n += !!used;
		for (cpu = 0; cpu < CPUS; cpu++) {
			if (used && h->lru)
				*used = 0;
			want = !used ? MISS : VALUE + k + (map->ops->percpu ? 1000 * cpu : 1000);
			assert_int_equal(found(w[cpu], k, map->key_size), want);
			if (used && h->lru)
				assert_int_equal(*used, 1);
		}
	}
	assert_int_equal(n, h->count);
}

static void one(uint32_t type, uint32_t size, uint32_t most, bool copied)
{
	bool have[DOMAIN] = {false};
	struct vm_worker *w[CPUS];
	uint32_t i, k, cpu;
	struct map *map;
	uint8_t key[16];
	uint64_t v[125] = {0};
	int fd, prog;

	map = make(type, size, copied ? sizeof(v) : 12, most, 0, &fd);
	prog = program(fd, size, copied);
	for (cpu = 0; cpu < CPUS; cpu++)
		w[cpu] = worker_of(prog, cpu);
	for (i = 0; i < 1500; i++) {
		k = rnd(DOMAIN);
		key_of(k, size, key);
		if (rnd(3) == 0) {
			map->ops->del(map, key);
			have[k] = false;
		} else {
			for (cpu = 0; cpu < CPUS; cpu++) {
				v[0] = VALUE + k + 1000 * cpu;
				if (!map->ops->update(map, key, v, BPF_ANY, cpu))
					have[k] = true;
			}
		}
		if (i % 250 == 249)
			same_as_list(map, w, have);
	}
	for (cpu = 0; cpu < CPUS; cpu++)
		vm_worker_free(w[cpu]);
	close(prog);
	close(fd);
}

static void against_list(void **unused)
{
	static const uint32_t types[] = {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_LRU_HASH,
					 BPF_MAP_TYPE_LRU_PERCPU_HASH};
	static const uint32_t sizes[] = {4, 8, 16, 12}, most[] = {1, 60, 300};
	uint32_t t, s, m, how;

	(void)unused;
	for (how = 0; how < 4; how++) {
		new_engine(how & 1);
		for (t = 0; t < 4; t++)
			for (s = 0; s < 4; s++)
				for (m = 0; m < 3; m++)
					one(types[t], sizes[s], most[m], how & 2);
		vm_free(vm);
	}
}

struct thread {
	struct map *map;
	struct vm_worker *worker;
	uint32_t first, size;
	unsigned long bad;
};

/* Each thread owns its keys: what it put in must be there, what it took out must not, whatever others do beside it. */
static void *work(void *arg)
{
	struct thread *t = arg;
	uint64_t state = t->first + 1, v[2] = {0};
	uint8_t key[16];
	uint32_t turn, k;

	for (turn = 0; turn < 60000; turn++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		k = t->first + (uint32_t)(state >> 33) % 100;
		v[0] = VALUE + k;
		key_of(k, t->size, key);
		t->bad += t->map->ops->update(t->map, key, v, BPF_ANY, 0) != 0;
		t->bad += found(t->worker, k, t->size) != VALUE + k;
		t->bad += found(t->worker, k + 500, t->size) != MISS;
		if (state >> 62 == 0) {
			t->bad += t->map->ops->del(t->map, key) != 0;
			t->bad += found(t->worker, k, t->size) != MISS;
		}
	}
	return NULL;
}

static void threads(void **unused)
{
	static const uint32_t sizes[] = {4, 8, 16};
	struct thread t[3];
	pthread_t id[3];
	struct map *map;
	uint32_t i, s;
	int fd, prog;

	(void)unused;
	for (s = 0; s < 6; s++) {
		new_engine(s & 1);
		map = make(BPF_MAP_TYPE_HASH, sizes[s / 2], 16, 300, 0, &fd);
		prog = program(fd, sizes[s / 2], false);
		for (i = 0; i < 3; i++) {
			t[i] = (struct thread){map, worker_of(prog, 0), i * 1000, sizes[s / 2], 0};
			assert_int_equal(pthread_create(&id[i], NULL, work, &t[i]), 0);
		}
		for (i = 0; i < 3; i++) {
			pthread_join(id[i], NULL);
			assert_int_equal(t[i].bad, 0);
			vm_worker_free(t[i].worker);
		}
		close(prog);
		close(fd);
		vm_free(vm);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_list),
		cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
