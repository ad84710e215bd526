// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How compiled code looks up a map that it knows: arrays without a call, the others by their own function. */
#include "vm/map_lookup.h"

/* An address at which a value lies as long as the map does; NULL where lookups find something else than
 * values. */
static void *any_value(struct map *map)
{
	const struct map_hash *h = (const struct map_hash *)map;

	if (map->ops == &map_array_ops || map->ops == &map_percpu_array_ops || map->ops == &map_lpm_ops)
		return map->data;
	if (map->ops == &map_hash_ops || map->ops == &map_lru_ops)
		return h->slab + h->value_off;
	if (map->ops == &map_percpu_hash_ops || map->ops == &map_percpu_lru_ops)
		return h->percpu;
	return NULL;
}

bool map_lookup_plan(struct map *map, struct vm_lookup *how)
{
	*how = (struct vm_lookup){
		.kind = VM_LOOKUP_CALL,
		.key_bytes = map->key_size,
		.value_bytes = map->value_size,
		.writable = !(map->flags & BPF_F_RDONLY_PROG),
		.any_value = any_value(map),
		.cpu_off = offsetof(struct vm_host, cpu),
	};
	/* the helper does nothing else */
	how->find = (void *(*)(void *, const void *, uint32_t))(void (*)(void))map->lookup;
	if (map->ops == &map_array_ops || map->ops == &map_percpu_array_ops) {
		how->kind = VM_LOOKUP_ARRAY;
		how->data = map->data;
		how->max_entries = map->max_entries;
		how->stride = map->stride;
		how->cpu_stride = map->ops->percpu ? map->cpu_stride : 0;
	}
	return map->lookup && map->key_size;
}
