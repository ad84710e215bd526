// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What all maps share: the table of types, memory, and copies of values. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "vm/lock.h"
#include "vm/map.h"
#include "vm/sys.h"

static const struct map_ops *const types[] = {
	[BPF_MAP_TYPE_HASH] = &map_hash_ops,
	[BPF_MAP_TYPE_ARRAY] = &map_array_ops,
	[BPF_MAP_TYPE_PROG_ARRAY] = &map_prog_array_ops,
	[BPF_MAP_TYPE_PERF_EVENT_ARRAY] = &map_perf_ops,
	[BPF_MAP_TYPE_PERCPU_HASH] = &map_percpu_hash_ops,
	[BPF_MAP_TYPE_PERCPU_ARRAY] = &map_percpu_array_ops,
	[BPF_MAP_TYPE_LRU_HASH] = &map_lru_ops,
	[BPF_MAP_TYPE_LRU_PERCPU_HASH] = &map_percpu_lru_ops,
	[BPF_MAP_TYPE_LPM_TRIE] = &map_lpm_ops,
	[BPF_MAP_TYPE_ARRAY_OF_MAPS] = &map_array_of_maps_ops,
	[BPF_MAP_TYPE_HASH_OF_MAPS] = &map_hash_of_maps_ops,
	[BPF_MAP_TYPE_DEVMAP] = &map_devmap_ops,
	[BPF_MAP_TYPE_CPUMAP] = &map_cpumap_ops,
	[BPF_MAP_TYPE_XSKMAP] = &map_xskmap_ops,
	[BPF_MAP_TYPE_QUEUE] = &map_queue_ops,
	[BPF_MAP_TYPE_STACK] = &map_stack_ops,
	[BPF_MAP_TYPE_DEVMAP_HASH] = &map_devmap_hash_ops,
	[BPF_MAP_TYPE_RINGBUF] = &map_ring_ops,
	[BPF_MAP_TYPE_BLOOM_FILTER] = &map_bloom_ops,
};

const struct map_ops *map_ops_of(uint32_t type)
{
	return type < sizeof(types) / sizeof(*types) ? types[type] : NULL;
}

uint64_t map_value_bytes(const struct map *map)
{
	if (map->ops->percpu)
		return (uint64_t)map_round8(map->value_size) * map->n_cpus;
	return map->ops->values_are_fds ? 4 : map->value_size;
}

void map_copy(const struct map *map, void *to, const void *from)
{
	uint32_t i, at = 0;

	for (i = 0; i < map->n_holes; i++) {
		memcpy((uint8_t *)to + at, (const uint8_t *)from + at, map->hole[i].off - at);
		at = map->hole[i].off + map->hole[i].len;
	}
	memcpy((uint8_t *)to + at, (const uint8_t *)from + at, map->value_size - at);
}

void map_copy_locked(const struct map *map, void *to, const void *from, void *in)
{
	uint32_t *lock = value_lock(&map->vm->value_locks, (uint8_t *)in + map->lock_off);

	spin_take(lock);
	map_copy(map, to, from);
	spin_drop(lock);
}

void map_copy_out(const struct map *map, void *to, void *from, uint64_t flags)
{
	uint32_t i;

	if (flags & BPF_F_LOCK)
		map_copy_locked(map, to, from, from);
	else
		map_copy(map, to, from);
	for (i = 0; i < map->n_holes; i++)
		memset((uint8_t *)to + map->hole[i].off, 0, map->hole[i].len);
}

int map_read(struct map *map, const void *key, void *value, uint64_t flags)
{
	void *p;

	if (map->ops->read)
		return map->ops->read(map, key, value, flags);
	p = map->ops->lookup(map, key, 0);
	if (!p)
		return -ENOENT;
	map_copy_out(map, value, p, flags);
	return 0;
}

int map_write(struct map *map, const void *key, const void *value, uint64_t flags)
{
	if (map->ops->write)
		return map->ops->write(map, key, value, flags);
	return map->ops->update(map, key, value, flags, 0);
}

void *map_reserve(uint64_t bytes)
{
	void *p = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		       0);

	return p == MAP_FAILED ? NULL : p;
}

void map_release(void *p, uint64_t bytes)
{
	if (p)
		munmap(p, bytes ? bytes : 1);
}
