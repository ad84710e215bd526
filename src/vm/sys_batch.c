// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The commands on many elements at once. Where a call of the hash family goes on is an element's number, 4 bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/sys.h"

struct batch {
	struct map *map;
	uint8_t *keys, *values;
	uint32_t most, done;
	uint64_t value_bytes, flags;
	const void *from;
	void *to;
};

/* What is asked of flags; > 0: nothing to do. */
static int check(const struct batch *b, const union bpf_attr *attr, bool reads)
{
	if (b->flags & ~(uint64_t)BPF_F_LOCK || (b->flags & BPF_F_LOCK && !b->map->has_lock))
		return -EINVAL;
	if (reads && b->map->ops->walk && attr->batch.flags)
		return -EINVAL;
	return !b->most;
}

static int put_all(struct batch *b)
{
	int e = 0;

	for (; b->done < b->most && !e; b->done += !e) {
		if (!sys_ok(b->keys) || !sys_ok(b->values))
			return -EFAULT;
		e = map_write(b->map, b->keys + (uint64_t)b->done * b->map->key_size, b->values + b->done * b->value_bytes,
			      b->flags);
	}
	return e;
}

static int delete_all(struct batch *b)
{
	int e = 0;

	for (; b->done < b->most && !e; b->done += !e) {
		if (!sys_ok(b->keys))
			return -EFAULT;
		e = b->map->ops->del(b->map, b->keys + (uint64_t)b->done * b->map->key_size);
	}
	return e;
}

/* By get_next_key: from and to are keys. */
static int get_by_key(struct batch *b)
{
	uint32_t n = b->map->key_size;
	uint8_t *key = malloc(2 * (size_t)n + 2), *at = NULL;
	int e = 0;

	if (!key)
		return -ENOMEM;
	if (b->from)
		at = memcpy(key, b->from, n);
	while (b->done < b->most) {
		uint8_t *next = at == key ? key + n : key;

		e = b->map->ops->next(b->map, at, next);
		if (e)
			break;
		at = next;
		if (!sys_ok(b->keys) || !sys_ok(b->values)) {
			e = -EFAULT;
			break;
		}
		e = map_read(b->map, at, b->values + b->done * b->value_bytes, b->flags);
		if (e == -ENOENT) /* it went meanwhile, or the slot is empty */
			continue;
		if (e)
			break;
		memcpy(b->keys + (uint64_t)b->done * n, at, n);
		b->done++;
	}
	if (b->done && at && e != -EFAULT)
		memcpy(b->to, at, n);
	free(key);
	return e;
}

/* The hash family's: from and to are 4 bytes. */
static int get_by_number(struct batch *b, bool taking)
{
	uint32_t at = 0;
	int e = 0;

	if (b->from)
		memcpy(&at, b->from, sizeof(at));
	for (; b->done < b->most && !e; b->done += !e)
		e = b->map->ops->walk(b->map, &at, b->keys + (uint64_t)b->done * b->map->key_size,
				      b->values + b->done * b->value_bytes, b->flags, taking);
	memcpy(b->to, &at, sizeof(at));
	return e;
}

static int get_all(struct batch *b, bool taking)
{
	if (!sys_ok(b->to) || (b->from && !sys_ok(b->from)))
		return -EFAULT;
	if (!b->map->ops->walk)
		return get_by_key(b);
	if (!sys_ok(b->keys) || !sys_ok(b->values))
		return -EFAULT;
	return get_by_number(b, taking);
}

static const uint8_t form[] = {
	[BPF_MAP_LOOKUP_BATCH] = MAP_BATCH_LOOKUP,
	[BPF_MAP_LOOKUP_AND_DELETE_BATCH] = MAP_BATCH_TAKE,
	[BPF_MAP_UPDATE_BATCH] = MAP_BATCH_UPDATE,
	[BPF_MAP_DELETE_BATCH] = MAP_BATCH_DELETE,
};

static int batch(struct map *map, int cmd, union bpf_attr *attr)
{
	bool reads = form[cmd] & (MAP_BATCH_LOOKUP | MAP_BATCH_TAKE), writes = form[cmd] != MAP_BATCH_LOOKUP;
	int perms = sys_map_perms(map, (int)attr->batch.map_fd), e;
	struct batch b = {.map = map,
			  .keys = sys_ptr(attr->batch.keys),
			  .values = sys_ptr(attr->batch.values),
			  .most = attr->batch.count,
			  .value_bytes = map_value_bytes(map),
			  .flags = attr->batch.elem_flags,
			  .from = sys_ptr(attr->batch.in_batch),
			  .to = sys_ptr(attr->batch.out_batch)};

	if ((reads && !(perms & SYS_MAY_READ)) || (writes && !(perms & SYS_MAY_WRITE)))
		return -EPERM;
	if (!(map->ops->batches & form[cmd]))
		return -MAP_NOT_SUPPORTED;
	e = check(&b, attr, reads);
	if (e)
		return e < 0 ? e : 0;
	if (form[cmd] == MAP_BATCH_UPDATE)
		e = put_all(&b);
	else if (form[cmd] == MAP_BATCH_DELETE)
		e = delete_all(&b);
	else
		e = get_all(&b, form[cmd] == MAP_BATCH_TAKE);
	attr->batch.count = b.done;
	return e;
}

long sys_map_batch(struct vm *vm, int cmd, union bpf_attr *attr)
{
	struct obj *obj;
	struct map *map;
	int e = obj_of_fd(vm, (int)attr->batch.map_fd, OBJ_MAP, &obj);

	if (e)
		return e;
	map = (struct map *)obj;
	__atomic_fetch_add(&map->writers, 1, __ATOMIC_ACQUIRE);
	e = batch(map, cmd, attr);
	__atomic_fetch_sub(&map->writers, 1, __ATOMIC_RELEASE);
	obj_put(obj);
	return e;
}
