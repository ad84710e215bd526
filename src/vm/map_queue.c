// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Queue, stack and bloom filter: maps without keys. */
#include <errno.h>
#include <string.h>

#include "vm/lock.h"
#include "vm/map.h"
#include "vm/sys.h"

struct queue {
	struct map map;
	uint32_t lock, first, count;
};

struct bloom {
	struct map map;
	uint32_t n_hashes;
	uint32_t bits_log2;
	uint64_t seed;
};

static int queue_check(union bpf_attr *attr, uint32_t n_cpus)
{
	(void)n_cpus;
	if (!attr->max_entries || attr->key_size || !attr->value_size ||
	    attr->map_flags & ~(BPF_F_NUMA_NODE | MAP_ACCESS) || !map_access_ok(attr->map_flags))
		return -EINVAL;
	return attr->value_size > MAP_MOST_BYTES ? -E2BIG : 0;
}

static int bloom_check(union bpf_attr *attr, uint32_t n_cpus)
{
	(void)n_cpus;
	if (attr->value_size > MAP_MOST_BYTES)
		return -E2BIG;
	return attr->key_size || !attr->value_size || !attr->max_entries ||
			       attr->map_flags & ~(BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | MAP_ACCESS) ||
			       !map_access_ok(attr->map_flags) || attr->map_extra & ~0xfull
		       ? -EINVAL
		       : 0;
}

static int queue_init(struct map *map, const union bpf_attr *attr)
{
	(void)attr;
	map->stride = map->value_size;
	map->data_bytes = (uint64_t)map->max_entries * map->stride;
	map->data = map_reserve(map->data_bytes);
	return map->data ? 0 : -ENOMEM;
}

/* n entries with k hashes give the fewest false answers in n * k / ln 2 bits; rounded up to a power of two. */
static int bloom_init(struct map *map, const union bpf_attr *attr)
{
	struct bloom *b = (struct bloom *)map;
	uint64_t bits;

	b->n_hashes = attr->map_extra ? (uint32_t)attr->map_extra : 5;
	b->seed = map->flags & BPF_F_ZERO_SEED ? 0 : map->vm->seed;
	bits = (uint64_t)map->max_entries * b->n_hashes * 7 / 5;
	for (b->bits_log2 = 6; b->bits_log2 < 32 && (uint64_t)1 << b->bits_log2 < bits; b->bits_log2++)
		;
	map->data_bytes = ((uint64_t)1 << b->bits_log2) / 8;
	map->data = map_reserve(map->data_bytes);
	return map->data ? 0 : -ENOMEM;
}

static void fini(struct map *map)
{
	map_release(map->data, map->data_bytes);
}

static void *no_lookup(struct map *map, const void *key, uint32_t cpu)
{
	(void)map, (void)key, (void)cpu;
	return NULL;
}

static int no_update(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	(void)map, (void)key, (void)value, (void)flags, (void)cpu;
	return -EINVAL;
}

static int no_del(struct map *map, const void *key)
{
	(void)map, (void)key;
	return -EINVAL;
}

static int no_next(struct map *map, const void *key, void *next)
{
	(void)map, (void)key, (void)next;
	return -EINVAL;
}

static uint8_t *item(struct queue *q, uint32_t i)
{
	return q->map.data + (uint64_t)(((uint64_t)q->first + i) % q->map.max_entries) * q->map.stride;
}

static int push(struct map *map, const void *value, uint64_t flags)
{
	struct queue *q = (struct queue *)map;
	int e = 0;

	if (flags & BPF_NOEXIST || flags > BPF_EXIST)
		return -EINVAL;
	spin_take(&q->lock);
	if (q->count == map->max_entries && flags != BPF_EXIST) {
		e = -E2BIG;
	} else {
		if (q->count == map->max_entries) { /* the oldest gives way */
			q->first = (uint32_t)(((uint64_t)q->first + 1) % map->max_entries);
			q->count--;
		}
		memcpy(item(q, q->count), value, map->value_size);
		q->count++;
	}
	spin_drop(&q->lock);
	return e;
}

static int get(struct map *map, void *value, bool stack, bool take)
{
	struct queue *q = (struct queue *)map;
	int e = 0;

	spin_take(&q->lock);
	if (!q->count) {
		memset(value, 0, map->value_size);
		e = -ENOENT;
	} else {
		memcpy(value, item(q, stack ? q->count - 1 : 0), map->value_size);
		if (take && !stack)
			q->first = (uint32_t)(((uint64_t)q->first + 1) % map->max_entries);
		q->count -= take;
	}
	spin_drop(&q->lock);
	return e;
}

static int queue_pop(struct map *map, void *value)
{
	return get(map, value, false, true);
}

static int queue_peek(struct map *map, void *value)
{
	return get(map, value, false, false);
}

static int stack_pop(struct map *map, void *value)
{
	return get(map, value, true, true);
}

static int stack_peek(struct map *map, void *value)
{
	return get(map, value, true, false);
}

static uint64_t bloom_hash(const struct bloom *b, const uint8_t *p)
{
	uint32_t n = b->map.value_size;
	uint64_t x = b->seed ^ 0x9e3779b97f4a7c15ull, v;

	for (; n; n -= n < 8 ? n : 8, p += 8) {
		v = 0;
		memcpy(&v, p, n < 8 ? n : 8);
		x = (x ^ v) * 0xbb67ae8584caa73bull;
		x ^= x >> 29;
	}
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 32;
}

/* The k-th bit of a value: double hashing. */
static uint64_t *bloom_bit(struct bloom *b, uint64_t hash, uint32_t k, uint64_t *mask)
{
	uint64_t i = (hash + k * (hash >> 32 | 1)) & (((uint64_t)1 << b->bits_log2) - 1);

	*mask = (uint64_t)1 << i % 64;
	return (uint64_t *)(void *)b->map.data + i / 64;
}

static int bloom_push(struct map *map, const void *value, uint64_t flags)
{
	struct bloom *b = (struct bloom *)map;
	uint64_t hash, mask, *at;
	uint32_t k;

	if (flags != BPF_ANY)
		return -EINVAL;
	hash = bloom_hash(b, value);
	for (k = 0; k < b->n_hashes; k++) {
		at = bloom_bit(b, hash, k, &mask);
		__atomic_fetch_or(at, mask, __ATOMIC_RELAXED);
	}
	return 0;
}

static int bloom_peek(struct map *map, void *value)
{
	struct bloom *b = (struct bloom *)map;
	uint64_t hash = bloom_hash(b, value), mask, *at;
	uint32_t k;

	for (k = 0; k < b->n_hashes; k++) {
		at = bloom_bit(b, hash, k, &mask);
		if (!(__atomic_load_n(at, __ATOMIC_RELAXED) & mask))
			return -ENOENT;
	}
	return 0;
}

static int no_pop(struct map *map, void *value)
{
	(void)map, (void)value;
	return -EOPNOTSUPP;
}

static int bloom_next(struct map *map, const void *key, void *next)
{
	(void)map, (void)key, (void)next;
	return -EOPNOTSUPP;
}

static int bloom_del(struct map *map, const void *key)
{
	(void)map, (void)key;
	return -EOPNOTSUPP;
}

#define KEYLESS .fini = fini, .lookup = no_lookup, .update = no_update, .peeks = true

const struct map_ops map_queue_ops = {
	KEYLESS,
	.bytes = sizeof(struct queue),
	.check = queue_check,
	.init = queue_init,
	.del = no_del,
	.next = no_next,
	.push = push,
	.pop = queue_pop,
	.peek = queue_peek,
};
const struct map_ops map_stack_ops = {
	KEYLESS,
	.bytes = sizeof(struct queue),
	.check = queue_check,
	.init = queue_init,
	.del = no_del,
	.next = no_next,
	.push = push,
	.pop = stack_pop,
	.peek = stack_peek,
};
const struct map_ops map_bloom_ops = {
	KEYLESS,
	.bytes = sizeof(struct bloom),
	.check = bloom_check,
	.init = bloom_init,
	.del = bloom_del,
	.next = bloom_next,
	.push = bloom_push,
	.pop = no_pop,
	.peek = bloom_peek,
};
