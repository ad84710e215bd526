// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The commands on many elements at once. Where a call of the hash family goes on is an element's number, 4 bytes. */
#include <errno.h>
#include <stdlib.h>

#include "vm/sys.h"
#include "vm/user.h"

#define PIECE (64u << 10) /* bytes of keys or values that are fetched at once */

struct batch {
	struct map *map;
	uint64_t keys, values, from, to; /* the caller's */
	uint32_t most, done, key_bytes;
	uint64_t value_bytes, flags;
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

static uint64_t key_at(const struct batch *b)
{
	return b->keys + (uint64_t)b->done * b->key_bytes;
}

static uint64_t value_at(const struct batch *b)
{
	return b->values + b->done * b->value_bytes;
}

/* The next n keys, and values if wanted. */
static int fetch(const struct batch *b, uint32_t n, struct user_buf *key, struct user_buf *value, bool values)
{
	int e = user_in(key, key_at(b), (uint64_t)n * b->key_bytes);

	if (e || !values)
		return e;
	e = user_in(value, value_at(b), n * b->value_bytes);
	if (e)
		user_in_done(key);
	return e;
}

static int change(struct batch *b, uint32_t n, const uint8_t *key, const uint8_t *value)
{
	int e = 0;

	for (; n && !e; n--, key += b->key_bytes) {
		e = value ? map_write(b->map, key, value, b->flags) : b->map->ops->del(b->map, key);
		value = value ? value + b->value_bytes : NULL;
		b->done += !e;
	}
	return e;
}

/* In pieces; where one cannot be fetched whole, those in front of the bad address are still changed. */
static int change_all(struct batch *b, bool values)
{
	uint64_t bytes = (values && b->value_bytes > b->key_bytes ? b->value_bytes : b->key_bytes) + 1;
	uint32_t piece = bytes < PIECE ? (uint32_t)(PIECE / bytes) : 1, n;
	struct user_buf key, value;
	int e = 0;

	while (b->done < b->most && !e) {
		n = b->most - b->done < piece ? b->most - b->done : piece;
		e = fetch(b, n, &key, &value, values);
		if (e == -EFAULT && piece > 1) {
			piece = 1;
			e = 0;
			continue;
		}
		if (e)
			break;
		e = change(b, n, key.p, values ? value.p : NULL);
		user_in_done(&key);
		if (values)
			user_in_done(&value);
	}
	return e;
}

/* By get_next_key: from and to are keys. */
static int get_by_key(struct batch *b)
{
	uint32_t n = b->key_bytes;
	uint8_t *key = malloc(2 * (size_t)n + 2), *at = NULL;
	struct user_buf value;
	int e = key ? 0 : -ENOMEM;

	if (!e && b->from) {
		e = user_read(key, b->from, n);
		at = key;
	}
	while (!e && b->done < b->most) {
		uint8_t *next = at == key ? key + n : key;

		e = b->map->ops->next(b->map, at, next);
		if (e)
			break;
		at = next;
		e = user_out(&value, value_at(b), b->value_bytes);
		if (e)
			break;
		e = map_read(b->map, at, value.p, b->flags);
		if (e)
			user_in_done(&value);
		if (e == -ENOENT) { /* it went meanwhile, or the slot is empty */
			e = 0;
			continue;
		}
		if (!e)
			e = user_out_done(&value, b->value_bytes);
		if (!e)
			e = user_write(key_at(b), at, n);
		b->done += !e;
	}
	if (b->done && at && e != -EFAULT && user_write(b->to, at, n))
		e = -EFAULT;
	free(key);
	return e;
}

/* The hash family's: from and to are 4 bytes. */
static int get_by_number(struct batch *b, bool taking)
{
	struct user_buf key, value;
	uint32_t at = 0;
	int e = b->from ? user_read(&at, b->from, sizeof(at)) : 0;

	while (!e && b->done < b->most) {
		e = user_out(&key, key_at(b), b->key_bytes);
		if (e)
			break;
		e = user_out(&value, value_at(b), b->value_bytes);
		if (!e)
			e = b->map->ops->walk(b->map, &at, key.p, value.p, b->flags, taking);
		if (e) {
			user_in_done(&key);
			user_in_done(&value);
			break;
		}
		e = user_out_done(&key, b->key_bytes);
		if (user_out_done(&value, b->value_bytes))
			e = -EFAULT;
		b->done += !e;
	}
	if (e == -EFAULT || !user_write(b->to, &at, sizeof(at)))
		return e;
	return -EFAULT;
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
			  .keys = attr->batch.keys,
			  .values = attr->batch.values,
			  .most = attr->batch.count,
			  .key_bytes = map->key_size,
			  .value_bytes = map_value_bytes(map),
			  .flags = attr->batch.elem_flags,
			  .from = attr->batch.in_batch,
			  .to = attr->batch.out_batch};

	if ((reads && !(perms & SYS_MAY_READ)) || (writes && !(perms & SYS_MAY_WRITE)))
		return -EPERM;
	if (!(map->ops->batches & form[cmd]))
		return -MAP_NOT_SUPPORTED;
	e = check(&b, attr, reads);
	if (e)
		return e < 0 ? e : 0;
	if (!reads)
		e = change_all(&b, form[cmd] == MAP_BATCH_UPDATE);
	else
		e = map->ops->walk ? get_by_number(&b, form[cmd] == MAP_BATCH_TAKE) : get_by_key(&b);
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
