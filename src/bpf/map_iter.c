// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Every entry of a map, while others change it. The kernel has two ways:
 *
 *   batches   one call for many entries. Hash tables go bucket by bucket and cannot loop; the rest of the
 *             kernel's batches is get_next_key in a loop
 *   next key  one key, then its value. When the key we stand on was deleted, the kernel starts again in front
 *
 * So for everything but hash batches and arrays the keys seen are remembered and passed over when they
 * come again: none is given twice, and what stays in the map all the time is found. Where entries are
 * deleted much faster than they are read, that could take forever: the walk then gives up and says so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/map.h"

#define BATCH_BYTES (1u << 20) /* of keys and values at a time: keeps a walk over any map in a few MiB */
#define BATCH_MAX 4096
#define AGAIN_TIMES \
	16 /* so often the keys seen may come again, and AGAIN_FREE more, before the walk gives up */
#define AGAIN_FREE 100000

/* Keys seen, in an open-addressed table of copies. */
struct seen {
	uint8_t *keys;
	uint32_t *slot; /* index into keys, plus one */
	size_t n, cap, slots;
};

struct sluice_map_iter {
	struct sluice_map *map;
	uint8_t *keys, *values;	     /* of the batch */
	uint8_t *place, *next_place; /* the kernel's cursor */
	uint32_t n_batch, at, n;
	bool batches, started, done, remember, cut;
	struct seen seen;
	uint64_t again; /* keys that came once more, or were gone when their value was asked for */
};

static bool in_hash_buckets(uint32_t type)
{
	return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

static bool has_batches(uint32_t type)
{
	return in_hash_buckets(type) || type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_LPM_TRIE;
}

static uint64_t hash_of(const uint8_t *p, uint32_t len)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	while (len--)
		h = (h ^ *p++) * 1099511628211u;
	return h ^ h >> 32;
}

static bool grow(struct seen *s, uint32_t key_size)
{
	size_t cap = s->cap ? s->cap * 2 : 256, slots = cap * 2, i, at;
	uint8_t *keys = realloc(s->keys, cap * key_size);
	uint32_t *slot;

	if (!keys)
		return false;
	s->keys = keys;
	slot = calloc(slots, sizeof(*slot));
	if (!slot)
		return false;
	for (i = 0; i < s->n; i++) {
		at = hash_of(keys + i * key_size, key_size) % slots;
		while (slot[at])
			at = (at + 1) % slots;
		slot[at] = (uint32_t)i + 1;
	}
	free(s->slot);
	s->slot = slot;
	s->cap = cap;
	s->slots = slots;
	return true;
}

/* 1 new, 0 seen before, -ENOMEM */
static int note(struct seen *s, const uint8_t *key, uint32_t key_size)
{
	size_t at;

	if (s->n == s->cap && !grow(s, key_size))
		return -ENOMEM;
	for (at = hash_of(key, key_size) % s->slots; s->slot[at]; at = (at + 1) % s->slots)
		if (!memcmp(s->keys + (size_t)(s->slot[at] - 1) * key_size, key, key_size))
			return 0;
	memcpy(s->keys + s->n * key_size, key, key_size);
	s->slot[at] = (uint32_t)++s->n;
	return 1;
}

static bool make_room(struct sluice_map_iter *it, uint32_t n)
{
	const struct sluice_map_info *i = &it->map->info;

	free(it->keys);
	free(it->values);
	it->keys = calloc(n, (size_t)i->key_size + 1);
	it->values = calloc(n, (size_t)i->value_bytes + 1);
	it->n_batch = n;
	return it->keys && it->values;
}

int sluice_map_iter_new(struct sluice_map *map, struct sluice_map_iter **out, struct sluice_err *err)
{
	const struct sluice_map_info *i = &map->info;
	struct sluice_map_iter *it;
	uint32_t n;

	*out = NULL;
	if (!i->walkable)
		return err_set(err, -EOPNOTSUPP, "entries of map %s (id %u) cannot be listed: %s", i->name,
			i->id, i->why_not);
	it = calloc(1, sizeof(*it));
	if (!it)
		return err_nomem(err);
	it->map = map;
	it->batches = has_batches(i->type);
	it->remember = !i->indexed && !(it->batches && in_hash_buckets(i->type));
	n = BATCH_BYTES / (i->key_size + i->value_bytes + 1) + 1;
	n = n < BATCH_MAX ? n : BATCH_MAX;
	n = n < i->max_entries ? n : i->max_entries;
	it->place = calloc(1, (size_t)i->key_size + 8);
	it->next_place = calloc(1, (size_t)i->key_size + 8);
	if (!make_room(it, n ? n : 1) || !it->place || !it->next_place) {
		sluice_map_iter_free(it);
		return err_nomem(err);
	}
	*out = it;
	return 0;
}

static void swap_places(struct sluice_map_iter *it)
{
	uint8_t *p = it->place;

	it->place = it->next_place;
	it->next_place = p;
}

static bool too_often(struct sluice_map_iter *it)
{
	if (it->map->info.indexed || ++it->again <= (uint64_t)it->seen.n * AGAIN_TIMES + AGAIN_FREE)
		return false;
	it->cut = it->done = true;
	return true;
}

/* -EAGAIN: no batches here, go on key by key. */
static int fill_batch(struct sluice_map_iter *it, struct sluice_err *err)
{
	const struct sluice_map_info *i = &it->map->info;
	uint32_t n;
	int rc;

	for (;;) {
		n = it->n_batch;
		rc = bpf_map_lookup_batch(it->map->fd, it->started ? it->place : NULL, it->next_place,
			it->keys, it->values, &n, NULL);
		if (!rc || errno == ENOENT) {
			it->done = rc != 0;
			it->n = n;
			it->started = true;
			swap_places(it);
			return 0;
		}
		if (errno == ENOSPC && it->n_batch < i->max_entries) { /* one bucket holds more */
			if (!make_room(
				    it, it->n_batch < i->max_entries / 4 ? it->n_batch * 4 : i->max_entries))
				return err_nomem(err);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (!it->started &&
			(errno == EINVAL || errno == EOPNOTSUPP || errno == 524 || errno == ENOSPC)) {
			it->batches = false;
			it->remember = !i->indexed;
			return -EAGAIN;
		}
		return map_failed(it->map, "reading", -errno, err);
	}
}

/* The entry behind the place; an entry that vanished in between is passed over. */
static int fill_one(struct sluice_map_iter *it, struct sluice_err *err)
{
	while (!bpf_map_get_next_key(it->map->fd, it->started ? it->place : NULL, it->next_place)) {
		swap_places(it);
		it->started = true;
		memcpy(it->keys, it->place, it->map->info.key_size);
		if (!bpf_map_lookup_elem(it->map->fd, it->keys, it->values)) {
			it->n = 1;
			return 0;
		}
		if (errno != ENOENT)
			return map_failed(it->map, "reading", -errno, err);
		if (too_often(it))
			return 0;
	}
	it->done = true;
	return errno == ENOENT ? 0 : map_failed(it->map, "reading", -errno, err);
}

int sluice_map_iter_next(
	struct sluice_map_iter *it, const void **key, const void **value, struct sluice_err *err)
{
	const struct sluice_map_info *i = &it->map->info;
	int rc;

	for (;;) {
		while (it->at < it->n) {
			const uint8_t *k = it->keys + (size_t)it->at * i->key_size;

			rc = it->remember ? note(&it->seen, k, i->key_size) : 1;
			if (rc < 0)
				return err_nomem(err);
			if (!rc) {
				it->at = too_often(it) ? it->n : it->at + 1;
				continue;
			}
			*key = k;
			*value = it->values + (size_t)it->at++ * i->value_bytes;
			return 1;
		}
		if (it->done)
			return 0;
		it->at = it->n = 0;
		rc = it->batches ? fill_batch(it, err) : -EAGAIN;
		if (rc == -EAGAIN)
			rc = fill_one(it, err);
		if (rc)
			return rc;
	}
}

bool sluice_map_iter_cut(const struct sluice_map_iter *it)
{
	return it->cut;
}

void sluice_map_iter_free(struct sluice_map_iter *it)
{
	if (!it)
		return;
	free(it->keys);
	free(it->values);
	free(it->place);
	free(it->next_place);
	free(it->seen.keys);
	free(it->seen.slot);
	free(it);
}
