// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Maps whose values are objects: program array, array of maps, hash of maps, perf event array. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vm/map_hash.h"
#include "vm/map_index.h"
#include "vm/sys.h"
#include "vm/sys_prog.h"
#include "vm/user.h"

/* Slots of 8 bytes: struct obj *, or for the kernel's perf events a descriptor + 1. */
struct map_fd {
	struct map map;
	struct map_shape inner;
	struct prog_shape owner; /* of the first program that went in */
};

struct map_shape *map_inner_shape(struct map *map)
{
	if (map->type == BPF_MAP_TYPE_ARRAY_OF_MAPS)
		return &((struct map_fd *)map)->inner;
	return &((struct map_of_hash *)map)->inner;
}

static int check(union bpf_attr *attr, uint32_t n_cpus)
{
	uint32_t more = attr->map_type == BPF_MAP_TYPE_PERF_EVENT_ARRAY ? BPF_F_PRESERVE_ELEMS : 0;

	(void)n_cpus;
	if (attr->value_size != 4 || attr->map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
		return -EINVAL;
	return map_index_check(attr, BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | more);
}

static int init(struct map *map, const union bpf_attr *attr)
{
	(void)attr;
	map->stride = 8;
	map->data_bytes = (uint64_t)map->max_entries * 8;
	map->data = map_reserve(map->data_bytes);
	return map->data ? 0 : -ENOMEM;
}

#define MOST_FD UINT32_MAX /* no address of an object is so small */

static void drop_slot(uint64_t v)
{
	if (v > MOST_FD)
		obj_put((struct obj *)(uintptr_t)v);
	else if (v)
		close((int)v - 1);
}

struct obj *map_perf_event(struct map *map, uint32_t index)
{
	uint64_t v = index < map->max_entries ? __atomic_load_n((uint64_t *)(void *)map->data + index, __ATOMIC_ACQUIRE) : 0;

	return v > MOST_FD ? (struct obj *)(uintptr_t)v : NULL;
}

/* The shape that every inner map must have, from the example given. */
static int inner_shape(struct map *map, const union bpf_attr *attr, struct map_shape *shape)
{
	struct obj *obj;
	struct map *inner;
	int e = obj_of_fd(map->vm, (int)attr->inner_map_fd, OBJ_MAP, &obj);

	if (e)
		return e;
	inner = (struct map *)obj;
	if (inner->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || inner->type == BPF_MAP_TYPE_HASH_OF_MAPS)
		e = -EINVAL;
	else if (inner->ops->not_inner)
		e = -MAP_NOT_SUPPORTED;
	*shape = (struct map_shape){inner->type, inner->key_size, inner->value_size, inner->max_entries, inner->flags};
	obj_put(obj);
	return e;
}

static bool fits(const struct map_shape *shape, const struct map *m)
{
	return m->type == shape->type && m->key_size == shape->key_size && m->value_size == shape->value_size &&
	       m->flags == shape->flags &&
	       (m->type != BPF_MAP_TYPE_ARRAY || shape->flags & BPF_F_INNER_MAP || m->max_entries == shape->max_entries);
}

static int of_maps_init(struct map *map, const union bpf_attr *attr)
{
	int e = inner_shape(map, attr, &((struct map_fd *)map)->inner);

	return e ? e : init(map, attr);
}

static uint64_t *slot(struct map *map, const void *key)
{
	uint32_t i = map_u32(key);

	return i < map->max_entries ? (uint64_t *)(void *)map->data + i : NULL;
}

static void fini(struct map *map)
{
	uint32_t i;

	for (i = 0; map->data && i < map->max_entries; i++)
		drop_slot(*((uint64_t *)(void *)map->data + i));
	map_release(map->data, map->data_bytes);
}

static int del_slot(struct map *map, const void *key);

bool map_fd_clear(struct map *map)
{
	bool any = false;
	uint32_t i;

	for (i = 0; i < map->max_entries; i++)
		any |= del_slot(map, &i) == 0;
	return any;
}

static void *no_lookup(struct map *map, const void *key, uint32_t cpu)
{
	(void)map, (void)key, (void)cpu;
	return NULL;
}

static void *of_maps_lookup(struct map *map, const void *key, uint32_t cpu)
{
	uint64_t *at = slot(map, key);

	(void)cpu;
	return at ? (void *)(uintptr_t)__atomic_load_n(at, __ATOMIC_ACQUIRE) : NULL;
}

static int no_update(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	(void)map, (void)key, (void)value, (void)flags, (void)cpu;
	return -EINVAL;
}

static int read_id(struct map *map, const void *key, void *value, uint64_t flags)
{
	uint64_t *at = slot(map, key), v;

	(void)flags;
	pthread_mutex_lock(&map->vm->lock); /* no sweep frees what has just been taken out */
	v = at ? __atomic_load_n(at, __ATOMIC_ACQUIRE) : 0;
	if (v)
		memcpy(value, &((struct obj *)(uintptr_t)v)->id, 4);
	pthread_mutex_unlock(&map->vm->lock);
	return v ? 0 : -ENOENT;
}

/* A reference to a map that may go into `map`. */
static int inner_of_fd(struct map *map, const struct map_shape *shape, const void *value, struct obj **obj)
{
	int e = obj_of_fd(map->vm, (int)map_u32(value), OBJ_MAP, obj);

	if (!e && !fits(shape, (struct map *)*obj)) {
		obj_put(*obj);
		e = -EINVAL;
	}
	return e;
}

static int swap_obj(struct map *map, const void *key, struct obj *obj)
{
	obj_put((struct obj *)(uintptr_t)__atomic_exchange_n(slot(map, key), (uint64_t)(uintptr_t)obj, __ATOMIC_ACQ_REL));
	return 0;
}

static int write_fd(struct map *map, const void *key, const void *value, uint64_t flags)
{
	struct obj *obj;
	int e;

	if (flags != BPF_ANY)
		return -EINVAL;
	if (!slot(map, key))
		return -E2BIG;
	if (map->type == BPF_MAP_TYPE_PROG_ARRAY)
		e = prog_for_map(map, &((struct map_fd *)map)->owner, (int)map_u32(value), &obj);
	else
		e = inner_of_fd(map, &((struct map_fd *)map)->inner, value, &obj);
	return e ? e : swap_obj(map, key, obj);
}

static int del_slot(struct map *map, const void *key)
{
	uint64_t old;

	if (!slot(map, key))
		return -E2BIG;
	old = __atomic_exchange_n(slot(map, key), 0, __ATOMIC_ACQ_REL);
	if (!old)
		return -ENOENT;
	drop_slot(old);
	return 0;
}

static int write_perf(struct map *map, const void *key, const void *value, uint64_t flags)
{
	char path[64], target[64];
	ssize_t n;
	uint64_t old;
	struct obj *perf;
	int fd;

	if (flags != BPF_ANY)
		return -EINVAL;
	if (!slot(map, key))
		return -E2BIG;
	if (obj_of_fd(map->vm, (int)map_u32(value), OBJ_PERF, &perf) == 0) {
		drop_slot(__atomic_exchange_n(slot(map, key), (uint64_t)(uintptr_t)perf, __ATOMIC_ACQ_REL));
		return 0;
	}
	fd = user_fd_dup((int)map_u32(value));
	if (fd < 0)
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	if (strncmp(target, "anon_inode:[perf_event]", sizeof(target)) != 0) {
		close(fd);
		return -EBADF;
	}
	old = __atomic_exchange_n(slot(map, key), (uint64_t)fd + 1, __ATOMIC_ACQ_REL);
	drop_slot(old);
	return 0;
}

static void drop(void *value)
{
	obj_put(*(struct obj **)value);
}

static int hash_check(union bpf_attr *attr, uint32_t n_cpus)
{
	if (attr->value_size != 4)
		return -EINVAL;
	return map_hash_ops.check(attr, n_cpus);
}

static int hash_init(struct map *map, const union bpf_attr *attr)
{
	struct map_of_hash *h = (struct map_of_hash *)map;
	int e = inner_shape(map, attr, &h->inner);

	h->hash.drop = drop;
	return e ? e : map_hash_init(map, attr);
}

static void *hash_lookup(struct map *map, const void *key, uint32_t cpu)
{
	struct obj **at = map_hash_lookup(map, key, cpu);

	return at ? *at : NULL;
}

static int hash_read(struct map *map, const void *key, void *value, uint64_t flags)
{
	struct obj *obj;

	(void)flags;
	pthread_mutex_lock(&map->vm->lock);
	obj = hash_lookup(map, key, 0);
	if (obj)
		memcpy(value, &obj->id, 4);
	pthread_mutex_unlock(&map->vm->lock);
	return obj ? 0 : -ENOENT;
}

static int hash_write(struct map *map, const void *key, const void *value, uint64_t flags)
{
	struct map_of_hash *h = (struct map_of_hash *)map;
	struct obj *obj;
	int e = inner_of_fd(map, &h->inner, value, &obj);

	if (e)
		return e;
	e = map_hash_put(map, key, &obj, flags, 0, false);
	if (e)
		obj_put(obj);
	return e;
}

static int hash_walk(struct map *map, uint32_t *cursor, void *key, void *value, uint64_t flags, bool take)
{
	struct obj *obj;
	int e;

	pthread_mutex_lock(&map->vm->lock); /* objects outlive their place in a map until the next sweep */
	e = map_hash_walk(map, cursor, key, &obj, flags, take);
	if (!e)
		memcpy(value, &obj->id, 4);
	pthread_mutex_unlock(&map->vm->lock);
	return e;
}

#define SLOTS                                                                                                        \
	.bytes = sizeof(struct map_fd), .check = check, .fini = fini, .update = no_update, .del = del_slot, \
	.next = map_index_next, .no_btf = true, .values_are_fds = true

const struct map_ops map_prog_array_ops = {
	SLOTS, .init = init, .lookup = no_lookup, .read = read_id, .write = write_fd, .not_inner = true,
};
const struct map_ops map_array_of_maps_ops = {
	SLOTS,
	.init = of_maps_init,
	.lookup = of_maps_lookup,
	.read = read_id,
	.write = write_fd,
	.batches = MAP_BATCH_LOOKUP | MAP_BATCH_UPDATE,
};
const struct map_ops map_perf_ops = {
	SLOTS, .init = init, .lookup = no_lookup, .write = write_perf, .no_lookup = true,
};
const struct map_ops map_hash_of_maps_ops = {
	.bytes = sizeof(struct map_of_hash),
	.check = hash_check,
	.init = hash_init,
	.fini = map_hash_fini,
	.lookup = hash_lookup,
	.update = no_update,
	.del = map_hash_del,
	.next = map_hash_next,
	.read = hash_read,
	.write = hash_write,
	.walk = hash_walk,
	.batches = MAP_BATCH_LOOKUP | MAP_BATCH_TAKE | MAP_BATCH_UPDATE | MAP_BATCH_DELETE,
	.no_btf = true,
	.values_are_fds = true,
};
