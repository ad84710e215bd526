// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Arrays and per-CPU arrays. An array that user space may map keeps its values in its own memfd. */
#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm/map_index.h"
#include "vm/timer.h"

int map_index_check(union bpf_attr *attr, uint32_t flags)
{
	if (!attr->max_entries || attr->key_size != 4 || !attr->value_size || attr->map_flags & ~flags ||
	    !map_access_ok(attr->map_flags))
		return -EINVAL;
	return attr->value_size > INT_MAX ? -E2BIG : 0;
}

int map_index_next(struct map *map, const void *key, void *next)
{
	uint32_t i = key ? map_u32(key) : UINT32_MAX, to = i < map->max_entries ? i + 1 : 0;

	if (to >= map->max_entries)
		return -ENOENT;
	memcpy(next, &to, 4);
	return 0;
}

static int array_check(union bpf_attr *attr, uint32_t n_cpus)
{
	(void)n_cpus;
	return map_index_check(attr, BPF_F_NUMA_NODE | MAP_ACCESS | BPF_F_MMAPABLE | BPF_F_INNER_MAP);
}

static int percpu_check(union bpf_attr *attr, uint32_t n_cpus)
{
	int e = map_index_check(attr, MAP_ACCESS);

	(void)n_cpus;
	return !e && map_round8(attr->value_size) > MAP_MOST_CPU_BYTES ? -E2BIG : e;
}

static int array_init(struct map *map, const union bpf_attr *attr)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	(void)attr;
	map->stride = map_round8(map->value_size);
	map->data_bytes = ((uint64_t)map->stride * map->max_entries + page - 1) & ~(page - 1);
	map->cpu_stride = map->data_bytes;
	if (map->ops->percpu && __builtin_mul_overflow(map->data_bytes, map->n_cpus, &map->data_bytes))
		return -ENOMEM;
	if (map->flags & BPF_F_MMAPABLE) {
		if (ftruncate(map->obj.fd, (off_t)map->data_bytes) ||
		    fcntl(map->obj.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
			return -ENOMEM;
		map->data = mmap(NULL, map->data_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, map->obj.fd, 0);
		if (map->data == MAP_FAILED)
			map->data = NULL;
	} else {
		map->data = map_reserve(map->data_bytes);
	}
	return map->data ? 0 : -ENOMEM;
}

static void array_fini(struct map *map)
{
	map_release(map->data, map->data_bytes);
}

static void *array_lookup(struct map *map, const void *key, uint32_t cpu)
{
	uint32_t i = map_u32(key);

	(void)cpu;
	return i < map->max_entries ? map->data + (uint64_t)i * map->stride : NULL;
}

static void *percpu_lookup(struct map *map, const void *key, uint32_t cpu)
{
	uint32_t i = map_u32(key);

	return i < map->max_entries ? map->data + cpu * map->cpu_stride + (uint64_t)i * map->stride : NULL;
}

static int may_update(const struct map *map, const void *key, uint64_t flags)
{
	if ((flags & ~(uint64_t)BPF_F_LOCK) > BPF_EXIST)
		return -EINVAL;
	if (map_u32(key) >= map->max_entries)
		return -E2BIG;
	if (flags & BPF_NOEXIST)
		return -EEXIST;
	return flags & BPF_F_LOCK && !map->has_lock ? -EINVAL : 0;
}

static int array_update(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	uint8_t *to = map->ops->lookup(map, key, cpu);
	int e = may_update(map, key, flags);

	if (e)
		return e;
	if (flags & BPF_F_LOCK)
		map_copy_locked(map, to, value, to);
	else
		map_copy(map, to, value);
	if (map->has_special)
		timer_value_gone(map, to);
	return 0;
}

static int array_del(struct map *map, const void *key)
{
	(void)map, (void)key;
	return -EINVAL;
}

static int percpu_read(struct map *map, const void *key, void *value, uint64_t flags)
{
	uint32_t cpu;

	(void)flags;
	if (map_u32(key) >= map->max_entries)
		return -ENOENT;
	for (cpu = 0; cpu < map->n_cpus; cpu++)
		memcpy((uint8_t *)value + (uint64_t)cpu * map->stride, percpu_lookup(map, key, cpu), map->stride);
	return 0;
}

static int percpu_write(struct map *map, const void *key, const void *value, uint64_t flags)
{
	uint32_t cpu;

	if (flags > BPF_EXIST)
		return -EINVAL;
	if (map_u32(key) >= map->max_entries)
		return -E2BIG;
	if (flags == BPF_NOEXIST)
		return -EEXIST;
	for (cpu = 0; cpu < map->n_cpus; cpu++)
		memcpy(percpu_lookup(map, key, cpu), (const uint8_t *)value + (uint64_t)cpu * map->stride, map->stride);
	return 0;
}

static bool array_region(struct map *map, uint64_t addr, uint64_t *start, uint64_t *len)
{
	uint64_t off = addr - (uint64_t)(uintptr_t)map->data, part = off;

	if (off >= map->data_bytes)
		return false;
	if (map->ops->percpu)
		part = off % map->cpu_stride;
	if (part / map->stride >= map->max_entries)
		return false;
	*start = addr - part % map->stride;
	*len = map->value_size;
	return true;
}

const struct map_ops map_array_ops = {
	.bytes = sizeof(struct map),
	.check = array_check,
	.init = array_init,
	.fini = array_fini,
	.lookup = array_lookup,
	.update = array_update,
	.del = array_del,
	.next = map_index_next,
	.region = array_region,
	.batches = MAP_BATCH_LOOKUP | MAP_BATCH_UPDATE,
};

const struct map_ops map_percpu_array_ops = {
	.bytes = sizeof(struct map),
	.check = percpu_check,
	.init = array_init,
	.fini = array_fini,
	.lookup = percpu_lookup,
	.update = array_update,
	.del = array_del,
	.next = map_index_next,
	.read = percpu_read,
	.write = percpu_write,
	.region = array_region,
	.batches = MAP_BATCH_LOOKUP | MAP_BATCH_UPDATE,
	.percpu = true,
};
