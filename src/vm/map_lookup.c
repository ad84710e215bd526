// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How compiled code looks up a map that it knows: arrays and tables of short keys without a call, the others by
 * their own function. */
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

_Static_assert(HASH_END == 1u << 31 && HASH_LIVE == 1u << 31 && offsetof(struct hash_elem, next) == 0 &&
		       offsetof(struct hash_elem, tag) == 4 && offsetof(struct hash_elem, key) == 8,
	       "what VM_LOOKUP_HASH says of elements");

/* hash_of() and find() of map_hash.c in numbers */
static void hash_plan(const struct map_hash *h, struct vm_lookup *how)
{
	uint64_t x = h->seed ^ h->map.key_size;

	how->kind = VM_LOOKUP_HASH;
	how->bucket = h->bucket;
	how->mask = h->mask;
	how->data = h->slab;
	how->stride = h->elem_bytes;
	how->mix[0] = x ^ HASH_K0;
	how->mix[1] = h->map.key_size == 16 ? x ^ HASH_K1 : HASH_K1;
	how->mix[2] = HASH_K0;
	how->ref_off = h->lru ? h->ref_off : 0;
	how->value_off = h->value_off;
	if (h->percpu) {
		how->values = h->percpu;
		how->cpu_stride = h->cpu_bytes;
		how->value_stride = map_round8(h->map.value_size);
	}
}

static bool is_hash(const struct map *map)
{
	return map->ops == &map_hash_ops || map->ops == &map_percpu_hash_ops || map->ops == &map_lru_ops ||
	       map->ops == &map_percpu_lru_ops;
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
	} else if (is_hash(map) && (map->key_size == 4 || map->key_size == 8 || map->key_size == 16)) {
		hash_plan((const struct map_hash *)map, how);
	}
	/* values that may not be read are for the slow check, which tells reading from writing */
	return map->lookup && map->key_size && !(map->flags & BPF_F_WRONLY_PROG);
}
