// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Hash, per-CPU hash, LRU hash and per-CPU LRU hash.
 *
 * Least recently used is told by a clock: a lookup marks its element, a hand that goes round when the map is full
 * unmarks what it passes and evicts the first that was not marked since its last visit.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "vm/lock.h"
#include "vm/map_hash.h"
#include "vm/timer.h"
#include "vm/sys.h"

#define FLAGS (BPF_F_NO_PREALLOC | BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE | MAP_ACCESS | BPF_F_ZERO_SEED)

int map_hash_check_size(const union bpf_attr *attr, bool percpu)
{
	if (!attr->max_entries || !attr->key_size || !attr->value_size)
		return -EINVAL;
	if ((uint64_t)attr->key_size + attr->value_size >= MAP_MOST_BYTES - 48)
		return -E2BIG;
	if (percpu && map_round8(attr->value_size) > MAP_MOST_CPU_BYTES)
		return -E2BIG;
	return attr->max_entries > 1u << 31 ? -E2BIG : 0;
}

static int check(union bpf_attr *attr, uint32_t n_cpus)
{
	bool percpu = attr->map_type == BPF_MAP_TYPE_PERCPU_HASH || attr->map_type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
	bool lru = attr->map_type == BPF_MAP_TYPE_LRU_HASH || attr->map_type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
	uint32_t flags = attr->map_flags, more;

	if (flags & ~FLAGS || !map_access_ok(flags) || (!lru && flags & BPF_F_NO_COMMON_LRU))
		return -EINVAL;
	if (lru && flags & BPF_F_NO_PREALLOC)
		return -MAP_NOT_SUPPORTED;
	if (flags & BPF_F_NUMA_NODE && (percpu || flags & BPF_F_NO_COMMON_LRU))
		return -EINVAL;
	if (flags & BPF_F_NO_COMMON_LRU && attr->max_entries) { /* as many for each CPU */
		more = attr->max_entries % n_cpus ? n_cpus - attr->max_entries % n_cpus : 0;
		if (attr->max_entries + more < attr->max_entries)
			more = 0 - attr->max_entries % n_cpus;
		attr->max_entries += more;
	}
	return map_hash_check_size(attr, percpu);
}

int map_hash_init(struct map *map, const union bpf_attr *attr)
{
	struct map_hash *h = (struct map_hash *)map;
	uint64_t n_buckets = 1, value_bytes = map->ops->percpu ? 0 : map->ops->values_are_fds ? 8 : map->value_size;

	(void)attr;
	h->lru = map->type == BPF_MAP_TYPE_LRU_HASH || map->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
	while (n_buckets < map->max_entries)
		n_buckets *= 2;
	h->mask = (uint32_t)(n_buckets - 1);
	h->value_bytes = (uint32_t)value_bytes;
	h->ref_off = (uint32_t)sizeof(struct hash_elem) + map->key_size;
	h->value_off = map_round8(h->ref_off + h->lru);
	h->elem_bytes = h->value_off + map_round8((uint32_t)value_bytes);
	h->n_slab = map->max_entries <= HASH_END - 2 - HASH_SPARE ? map->max_entries + HASH_SPARE : HASH_END - 2;
	h->seed = map->flags & BPF_F_ZERO_SEED ? 0 : map->vm->seed;
	h->bucket = map_reserve(n_buckets * sizeof(*h->bucket));
	map->data_bytes = (uint64_t)h->n_slab * h->elem_bytes;
	h->slab = map_reserve(map->data_bytes);
	h->free = map_reserve((uint64_t)h->n_slab * sizeof(*h->free));
	map->data = h->slab;
	map->stride = h->elem_bytes;
	if (map->ops->percpu) {
		h->cpu_bytes = ((uint64_t)h->n_slab * map_round8(map->value_size) + 4095) & ~4095ull;
		h->percpu = map_reserve(h->cpu_bytes * map->n_cpus);
	}
	if (h->bucket && h->slab && h->free && (h->percpu || !map->ops->percpu))
		return 0;
	map_hash_fini(map);
	return -ENOMEM;
}

static struct hash_elem *elem_at(const struct map_hash *h, uint32_t i)
{
	return (struct hash_elem *)(h->slab + (uint64_t)i * h->elem_bytes);
}

static void *value_at(const struct map_hash *h, const struct hash_elem *e, uint32_t cpu)
{
	uint64_t i;

	if (!h->percpu)
		return (uint8_t *)e + h->value_off;
	i = (uint64_t)((const uint8_t *)e - h->slab) / h->elem_bytes;
	return h->percpu + cpu * h->cpu_bytes + i * map_round8(h->map.value_size);
}

void map_hash_fini(struct map *map)
{
	struct map_hash *h = (struct map_hash *)map;
	uint32_t i;

	for (i = 0; h->drop && h->slab && i < h->touched; i++)
		if (elem_at(h, i)->tag)
			h->drop(value_at(h, elem_at(h, i), 0));
	map_release(h->bucket, ((uint64_t)h->mask + 1) * sizeof(*h->bucket));
	map_release(h->slab, map->data_bytes);
	map_release(h->free, (uint64_t)h->n_slab * sizeof(*h->free));
	map_release(h->percpu, h->cpu_bytes * map->n_cpus);
	h->bucket = NULL, h->slab = NULL, h->free = NULL, h->percpu = NULL;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 p = (unsigned __int128)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* n bytes, at most 8, wherever they lie. */
static inline uint64_t load(const uint8_t *p, uint32_t n)
{
	uint64_t v = 0;
	uint32_t a, b;

	if (n == 8) {
		memcpy(&v, p, 8);
	} else if (n >= 4) { /* two that overlap */
		memcpy(&a, p, 4);
		memcpy(&b, p + n - 4, 4);
		v = (uint64_t)b << 32 | a;
	} else if (n) {
		v = (uint64_t)p[0] | (uint64_t)p[n / 2] << 8 | (uint64_t)p[n - 1] << 16;
	}
	return v;
}

/* map_lookup.c tells compiled code the same for keys of 4, 8 and 16 bytes. */
static inline uint64_t hash_of(const struct map_hash *h, const uint8_t *key, uint32_t n)
{
	uint64_t x = h->seed ^ n;

	for (; n > 16; n -= 16, key += 16)
		x = fold(load(key, 8) ^ HASH_K0 ^ x, load(key + 8, 8) ^ HASH_K1);
	if (n > 8)
		return fold(fold(load(key, 8) ^ HASH_K0 ^ x, load(key + 8, n - 8) ^ HASH_K1 ^ x), HASH_K0);
	return fold(fold(load(key, n) ^ x ^ HASH_K0, HASH_K1), HASH_K0);
}

static inline bool same(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	if (n == 4)
		return load(a, 4) == load(b, 4);
	if (n == 8)
		return load(a, 8) == load(b, 8);
	if (n == 16)
		return !((load(a, 8) ^ load(b, 8)) | (load(a + 8, 8) ^ load(b + 8, 8)));
	return !memcmp(a, b, n);
}

static inline struct hash_elem *find(const struct map_hash *h, const void *key, uint64_t hash, uint32_t n)
{
	uint32_t b = (uint32_t)hash & h->mask, tag = HASH_LIVE | (uint32_t)(hash >> 32), at;

again:
	at = __atomic_load_n(&h->bucket[b], __ATOMIC_ACQUIRE);
	while (at && !(at & HASH_END)) {
		struct hash_elem *e = elem_at(h, at - 1);

		if (__atomic_load_n(&e->tag, __ATOMIC_ACQUIRE) == tag && same(e->key, key, n))
			return e;
		at = __atomic_load_n(&e->next, __ATOMIC_ACQUIRE);
	}
	if (at && at != (HASH_END | b))
		goto again;
	return NULL;
}

static struct hash_elem *find_any(const struct map_hash *h, const void *key)
{
	return find(h, key, hash_of(h, key, h->map.key_size), h->map.key_size);
}

static inline void mark(const struct map_hash *h, struct hash_elem *e)
{
	uint8_t *ref = (uint8_t *)e + h->ref_off;

	if (!__atomic_load_n(ref, __ATOMIC_RELAXED))
		__atomic_store_n(ref, 1, __ATOMIC_RELAXED);
}

void *map_hash_lookup(struct map *map, const void *key, uint32_t cpu)
{
	const struct map_hash *h = (const struct map_hash *)map;
	struct hash_elem *e = find_any(h, key);

	return e ? value_at(h, e, cpu) : NULL;
}

static void *lru_lookup(struct map *map, const void *key, uint32_t cpu)
{
	const struct map_hash *h = (const struct map_hash *)map;
	struct hash_elem *e = find_any(h, key);

	if (!e)
		return NULL;
	mark(h, e);
	return value_at(h, e, cpu);
}

/* The same for the sizes of key that most programs have, with the size known to the compiler. */
#define FIND(size)                                                                \
	static void *lookup##size(struct map *map, const void *key, uint32_t cpu) \
	{                                                                         \
		const struct map_hash *h = (const struct map_hash *)map;          \
		struct hash_elem *e = find(h, key, hash_of(h, key, size), size);  \
                                                                                  \
		if (e && h->lru)                                                  \
			mark(h, e);                                               \
		if (h->percpu)                                                    \
			return e ? value_at(h, e, cpu) : NULL;                    \
		return e ? (uint8_t *)e + h->value_off : NULL;                    \
	}
FIND(4)
FIND(8)
FIND(16)

static int hash_init(struct map *map, const union bpf_attr *attr)
{
	if (map->key_size == 4)
		map->lookup = lookup4;
	else if (map->key_size == 8)
		map->lookup = lookup8;
	else if (map->key_size == 16)
		map->lookup = lookup16;
	return map_hash_init(map, attr);
}

static uint32_t *lock_of(struct map_hash *h, uint64_t hash)
{
	return &h->lock[((uint32_t)hash & h->mask) % HASH_LOCKS];
}

static struct hash_elem *alloc(struct map_hash *h)
{
	struct hash_elem *e = NULL;

	spin_take(&h->free_lock);
	if (h->n_free)
		e = elem_at(h, h->free[--h->n_free]);
	else if (h->touched < h->n_slab) {
		e = elem_at(h, h->touched);
		__atomic_store_n(&h->touched, h->touched + 1, __ATOMIC_RELEASE);
	}
	spin_drop(&h->free_lock);
	return e;
}

static void release(struct map_hash *h, struct hash_elem *e)
{
	if (h->map.has_special)
		timer_value_gone(&h->map, value_at(h, e, 0));
	__atomic_store_n(&e->tag, 0, __ATOMIC_RELEASE);
	spin_take(&h->free_lock);
	h->free[h->n_free++] = (uint32_t)((uint64_t)((uint8_t *)e - h->slab) / h->elem_bytes);
	spin_drop(&h->free_lock);
}

/* With the bucket's lock held. */
static void unchain(struct map_hash *h, struct hash_elem *e, uint32_t b)
{
	uint32_t *at = &h->bucket[b], self = (uint32_t)((uint64_t)((uint8_t *)e - h->slab) / h->elem_bytes) + 1;

	while (*at != self)
		at = &elem_at(h, *at - 1)->next;
	__atomic_store_n(at, at == &h->bucket[b] && e->next & HASH_END ? 0 : e->next, __ATOMIC_RELEASE);
}

static void chain(struct map_hash *h, struct hash_elem *e, uint32_t b)
{
	uint32_t self = (uint32_t)((uint64_t)((uint8_t *)e - h->slab) / h->elem_bytes) + 1;

	__atomic_store_n(&e->next, h->bucket[b] ? h->bucket[b] : HASH_END | b, __ATOMIC_RELEASE);
	__atomic_store_n(&h->bucket[b], self, __ATOMIC_RELEASE);
}

/* Takes an element that was not used lately out of a full map. */
static void evict(struct map_hash *h)
{
	uint32_t n = __atomic_load_n(&h->touched, __ATOMIC_ACQUIRE), tries;

	for (tries = 0; tries < 2 * n + HASH_SPARE; tries++) {
		struct hash_elem *e = elem_at(h, __atomic_fetch_add(&h->hand, 1, __ATOMIC_RELAXED) % n);
		uint8_t *ref = (uint8_t *)e + h->ref_off;
		uint64_t hash;
		bool mine;

		if (!__atomic_load_n(&e->tag, __ATOMIC_ACQUIRE))
			continue;
		if (__atomic_exchange_n(ref, 0, __ATOMIC_RELAXED))
			continue;
		hash = hash_of(h, e->key, h->map.key_size);
		spin_take(lock_of(h, hash));
		mine = find(h, e->key, hash, h->map.key_size) == e;
		if (mine)
			unchain(h, e, (uint32_t)hash & h->mask);
		spin_drop(lock_of(h, hash));
		if (!mine)
			continue;
		release(h, e);
		__atomic_fetch_sub(&h->count, 1, __ATOMIC_RELAXED);
		return;
	}
}

static void set_value(struct map_hash *h, struct hash_elem *e, const void *value, uint32_t cpu, bool all, bool fresh)
{
	uint32_t bytes = map_round8(h->map.value_size), i;

	if (!h->percpu) {
		uint8_t *to = value_at(h, e, 0);

		if (fresh && h->map.n_holes)
			memset(to, 0, h->value_bytes);
		if (h->map.n_holes)
			map_copy(&h->map, to, value);
		else
			memcpy(to, value, h->value_bytes);
		return;
	}
	for (i = 0; i < h->map.n_cpus; i++) {
		if (all)
			memcpy(value_at(h, e, i), (const uint8_t *)value + (uint64_t)i * bytes, bytes);
		else if (i == cpu)
			memcpy(value_at(h, e, i), value, h->map.value_size);
		else if (fresh)
			memset(value_at(h, e, i), 0, bytes);
	}
}

/* Counts one more if there is room for it. */
static bool count_up(struct map_hash *h)
{
	if (__atomic_add_fetch(&h->count, 1, __ATOMIC_RELAXED) <= h->map.max_entries)
		return true;
	__atomic_fetch_sub(&h->count, 1, __ATOMIC_RELAXED);
	return false;
}

int map_hash_put(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu, bool all_cpus)
{
	struct map_hash *h = (struct map_hash *)map;
	uint64_t hash = hash_of(h, key, map->key_size), how = flags & ~(uint64_t)BPF_F_LOCK;
	struct hash_elem *old, *new;
	uint32_t b = (uint32_t)hash & h->mask;
	int e = 0;

	if (how > BPF_EXIST || (flags & BPF_F_LOCK && !map->has_lock))
		return -EINVAL;
	while (h->lru && __atomic_load_n(&h->count, __ATOMIC_RELAXED) >= map->max_entries &&
	       !find(h, key, hash, map->key_size))
		evict(h);
	spin_take(lock_of(h, hash));
	old = find(h, key, hash, map->key_size);
	if ((old && how == BPF_NOEXIST) || (!old && how == BPF_EXIST)) {
		e = old ? -EEXIST : -ENOENT;
	} else if (old && flags & BPF_F_LOCK) {
		map_copy_locked(map, value_at(h, old, 0), value, value_at(h, old, 0));
	} else if (old && h->percpu) {
		set_value(h, old, value, cpu, all_cpus, false);
		if (h->lru)
			mark(h, old);
	} else if (!old && !count_up(h)) {
		e = h->lru ? -EAGAIN : -E2BIG;
	} else {
		new = alloc(h);
		if (!new && old) { /* every spare is in another thread's hands */
			set_value(h, old, value, cpu, all_cpus, false);
		} else if (!new) {
			__atomic_fetch_sub(&h->count, 1, __ATOMIC_RELAXED);
			e = -ENOMEM;
		} else {
			memcpy(new->key, key, map->key_size);
			set_value(h, new, value, cpu, all_cpus, true);
			if (h->lru)
				*((uint8_t *)new + h->ref_off) = 0;
			__atomic_store_n(&new->tag, HASH_LIVE | (uint32_t)(hash >> 32), __ATOMIC_RELEASE);
			chain(h, new, b);
			if (old) {
				unchain(h, old, b);
				if (h->drop)
					h->drop(value_at(h, old, 0));
				release(h, old);
			}
		}
	}
	spin_drop(lock_of(h, hash));
	return e == -EAGAIN ? map_hash_put(map, key, value, flags, cpu, all_cpus) : e;
}

static int update(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	return map_hash_put(map, key, value, flags, cpu, false);
}

static int write_all(struct map *map, const void *key, const void *value, uint64_t flags)
{
	return flags > BPF_EXIST ? -EINVAL : map_hash_put(map, key, value, flags, 0, true);
}

/* The value as the system call wants it. */
static void value_out(struct map_hash *h, struct hash_elem *e, void *value, uint64_t flags)
{
	uint32_t bytes = map_round8(h->map.value_size), i;

	if (!h->percpu && h->map.ops->values_are_fds)
		memcpy(value, value_at(h, e, 0), h->value_bytes);
	else if (!h->percpu)
		map_copy_out(&h->map, value, value_at(h, e, 0), flags);
	for (i = 0; h->percpu && i < h->map.n_cpus; i++)
		memcpy((uint8_t *)value + (uint64_t)i * bytes, value_at(h, e, i), bytes);
}

/* Under the bucket's lock, so that no update comes between. take: and out of the map. */
static int get_out(struct map_hash *h, const void *key, void *value, uint64_t flags, bool take)
{
	uint64_t hash = hash_of(h, key, h->map.key_size);
	struct hash_elem *e;

	spin_take(lock_of(h, hash));
	e = find(h, key, hash, h->map.key_size);
	if (e && value)
		value_out(h, e, value, flags);
	if (e && take) {
		unchain(h, e, (uint32_t)hash & h->mask);
		if (h->drop)
			h->drop(value_at(h, e, 0));
		release(h, e);
		__atomic_fetch_sub(&h->count, 1, __ATOMIC_RELAXED);
	}
	spin_drop(lock_of(h, hash));
	return e ? 0 : -ENOENT;
}

int map_hash_del(struct map *map, const void *key)
{
	return get_out((struct map_hash *)map, key, NULL, 0, true);
}

static int read(struct map *map, const void *key, void *value, uint64_t flags)
{
	return get_out((struct map_hash *)map, key, value, flags, false);
}

int map_hash_take(struct map *map, const void *key, void *value, uint64_t flags)
{
	return get_out((struct map_hash *)map, key, value, flags, true);
}

/* Copies the key of the first live element at or behind *i; *i is then that element. */
static int live_from(struct map_hash *h, uint32_t *i, void *key)
{
	uint32_t n = __atomic_load_n(&h->touched, __ATOMIC_ACQUIRE);

	for (; *i < n; ++*i) {
		struct hash_elem *e = elem_at(h, *i);
		uint32_t tag = __atomic_load_n(&e->tag, __ATOMIC_ACQUIRE);

		if (!tag)
			continue;
		memcpy(key, e->key, h->map.key_size);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&e->tag, __ATOMIC_RELAXED) == tag)
			return 0;
	}
	return -ENOENT;
}

int map_hash_next(struct map *map, const void *key, void *next)
{
	struct map_hash *h = (struct map_hash *)map;
	struct hash_elem *e = key ? find_any(h, key) : NULL;
	uint32_t i = e ? (uint32_t)((uint64_t)((uint8_t *)e - h->slab) / h->elem_bytes) + 1 : 0;

	return live_from(h, &i, next);
}

int map_hash_walk(struct map *map, uint32_t *cursor, void *key, void *value, uint64_t flags, bool take)
{
	struct map_hash *h = (struct map_hash *)map;

	while (!live_from(h, cursor, key)) {
		++*cursor;
		if (!get_out(h, key, value, flags, take))
			return 0;
	}
	return -ENOENT;
}

bool map_hash_region(struct map *map, uint64_t addr, uint64_t *start, uint64_t *len)
{
	struct map_hash *h = (struct map_hash *)map;
	uint64_t off = addr - (uint64_t)(uintptr_t)h->slab, i;

	if (h->percpu) {
		uint32_t bytes = map_round8(map->value_size);

		off = addr - (uint64_t)(uintptr_t)h->percpu;
		if (off >= h->cpu_bytes * map->n_cpus)
			return false;
		i = off % h->cpu_bytes / bytes;
		*start = addr - off % h->cpu_bytes % bytes;
	} else {
		i = off / h->elem_bytes;
		if (off >= map->data_bytes || off % h->elem_bytes < h->value_off)
			return false;
		*start = addr - off % h->elem_bytes + h->value_off;
	}
	*len = map->value_size;
	return i < h->touched;
}

#define COMMON                                                                                      \
	.bytes = sizeof(struct map_hash), .check = check, .init = hash_init, .fini = map_hash_fini, \
	.update = update, .del = map_hash_del, .next = map_hash_next, .read = read, .take = map_hash_take, \
	.walk = map_hash_walk, .region = map_hash_region,                                           \
	.batches = MAP_BATCH_LOOKUP | MAP_BATCH_TAKE | MAP_BATCH_UPDATE | MAP_BATCH_DELETE

const struct map_ops map_hash_ops = {COMMON, .lookup = map_hash_lookup};
const struct map_ops map_percpu_hash_ops = {COMMON, .lookup = map_hash_lookup, .write = write_all, .percpu = true};
const struct map_ops map_lru_ops = {COMMON, .lookup = lru_lookup};
const struct map_ops map_percpu_lru_ops = {COMMON, .lookup = lru_lookup, .write = write_all, .percpu = true};
