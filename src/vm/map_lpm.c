// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Longest prefix match: a binary trie with one-way paths left out, built for few cache misses.
 *
 * A lookup walks down by the key's bits alone, over nodes of 16 bytes, and looks at the prefix of the last node only
 * once: everything on the way is a prefix of that one, so what both have in common says which nodes match. A
 * table over the first 16 bits skips the top of the trie. Readers take no lock: they walk again if a writer came
 * between, which the sequence number tells.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "vm/lock.h"
#include "vm/map.h"

#define MAX_BYTES 256
#define MAX_DEPTH (MAX_BYTES * 8 + 1)
#define SPARE 64
#define TOP_BITS 16

struct node {
	uint32_t child[2];
	uint32_t slot; /* value + 1; 0: none, the node only branches */
	uint32_t bits; /* length of the prefix */
};

struct top {
	uint32_t best;	/* longest prefix below TOP_BITS bits that matches these bits */
	uint32_t start; /* first node on the way whose prefix has TOP_BITS bits or more */
};

struct lpm {
	struct map map;
	struct node *node; /* 0 is none */
	uint8_t *key;	   /* prefix of each node */
	struct top *top;   /* NULL: keys are shorter */
	uint32_t bytes, root, lock, seq, count;
	uint32_t n_nodes, used_nodes, n_free_nodes, *free_nodes;
	uint32_t n_slots, used_slots, n_free_slots, *free_slots;
};

static int check(union bpf_attr *attr, uint32_t n_cpus)
{
	(void)n_cpus;
	if (!attr->max_entries || !(attr->map_flags & BPF_F_NO_PREALLOC) ||
	    attr->map_flags & ~(BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | MAP_ACCESS) || !map_access_ok(attr->map_flags) ||
	    attr->key_size < 5 || attr->key_size > 4 + MAX_BYTES || !attr->value_size ||
	    attr->value_size > MAP_MOST_BYTES - MAX_BYTES - 40)
		return -EINVAL;
	return 0;
}

static void fini(struct map *map)
{
	struct lpm *t = (struct lpm *)map;

	map_release(t->node, (uint64_t)t->n_nodes * sizeof(*t->node));
	map_release(t->key, (uint64_t)t->n_nodes * t->bytes);
	map_release(t->free_nodes, (uint64_t)t->n_nodes * 4);
	map_release(t->free_slots, (uint64_t)t->n_slots * 4);
	map_release(t->top, sizeof(*t->top) << TOP_BITS);
	map_release(map->data, map->data_bytes);
}

static int init(struct map *map, const union bpf_attr *attr)
{
	struct lpm *t = (struct lpm *)map;

	(void)attr;
	if (map->max_entries > 1u << 30) /* no machine has the memory; nodes are numbered with 32 bits */
		return -ENOMEM;
	t->bytes = map->key_size - 4;
	t->n_nodes = 2 * map->max_entries + 1;
	t->used_nodes = 1;
	t->n_slots = map->max_entries + SPARE;
	t->node = map_reserve((uint64_t)t->n_nodes * sizeof(*t->node));
	t->key = map_reserve((uint64_t)t->n_nodes * t->bytes);
	t->free_nodes = map_reserve((uint64_t)t->n_nodes * 4);
	t->free_slots = map_reserve((uint64_t)t->n_slots * 4);
	map->stride = map_round8(map->value_size);
	map->data_bytes = (uint64_t)t->n_slots * map->stride;
	map->data = map_reserve(map->data_bytes);
	if (t->bytes * 8 >= TOP_BITS)
		t->top = map_reserve(sizeof(*t->top) << TOP_BITS);
	if (t->node && t->key && t->free_nodes && t->free_slots && map->data && (t->top || t->bytes < 2))
		return 0;
	fini(map);
	return -ENOMEM;
}

static inline uint32_t bit(const uint8_t *key, uint32_t i)
{
	return key[i / 8] >> (7 - i % 8) & 1;
}

static const uint8_t *key_of(const struct lpm *t, uint32_t node)
{
	return t->key + (uint64_t)node * t->bytes;
}

/* How many leading bits two keys have in common. */
static inline uint32_t common(const uint8_t *a, const uint8_t *b, uint32_t bytes)
{
	uint32_t i = 0;

	for (; i + 4 <= bytes; i += 4) {
		uint32_t x, y;

		memcpy(&x, a + i, 4);
		memcpy(&y, b + i, 4);
		if (x != y)
			return i * 8 + (uint32_t)__builtin_clz(be32toh(x ^ y));
	}
	for (; i < bytes; i++)
		if (a[i] != b[i])
			return i * 8 + (uint32_t)__builtin_clz((uint32_t)(a[i] ^ b[i])) - 24;
	return bytes * 8;
}

static uint32_t top_of(const uint8_t *key)
{
	return (uint32_t)key[0] << 8 | key[1];
}

/* The node of the longest prefix that matches the first `most` bits of key. */
static inline uint32_t match(const struct lpm *t, const uint8_t *key, uint32_t most)
{
	uint32_t at, last = 0, best = 0, start, len, depth = 0;

	if (t->top && most >= TOP_BITS) {
		best = t->top[top_of(key)].best;
		start = t->top[top_of(key)].start;
	} else {
		start = __atomic_load_n(&t->root, __ATOMIC_ACQUIRE);
	}
	for (at = start; at && t->node[at].bits <= most; at = t->node[at].child[bit(key, t->node[at].bits)]) {
		last = at;
		if (t->node[at].bits == t->bytes * 8 || ++depth > t->bytes * 8)
			break;
	}
	if (!last)
		return best;
	len = common(key, key_of(t, last), t->bytes);
	if (len > most)
		len = most;
	if (t->node[last].bits <= len && t->node[last].slot)
		return last;
	for (at = start, depth = 0; at && t->node[at].bits <= len; at = t->node[at].child[bit(key, t->node[at].bits)]) {
		if (t->node[at].slot)
			best = at;
		if (at == last || ++depth > t->bytes * 8)
			break;
	}
	return best;
}

static void *lookup(struct map *map, const void *arg, uint32_t cpu)
{
	const struct lpm *t = (const struct lpm *)map;
	const uint8_t *key = arg ? (const uint8_t *)arg + 4 : NULL;
	uint32_t most = map_u32(arg), seq, at, slot;

	(void)cpu;
	if (most > t->bytes * 8)
		return NULL;
	do {
		while ((seq = __atomic_load_n(&t->seq, __ATOMIC_ACQUIRE)) & 1)
			sched_yield();
		at = match(t, key, most);
		slot = at ? t->node[at].slot : 0;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (__atomic_load_n(&t->seq, __ATOMIC_RELAXED) != seq);
	return slot ? map->data + (uint64_t)(slot - 1) * map->stride : NULL;
}

static void begin(struct lpm *t)
{
	spin_take(&t->lock);
	__atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end(struct lpm *t)
{
	__atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELEASE);
	spin_drop(&t->lock);
}

/* Bits behind the prefix are kept as given, too: they come back with get_next_key. */
static void set_key(struct lpm *t, uint32_t node, const uint8_t *key)
{
	memcpy(t->key + (uint64_t)node * t->bytes, key, t->bytes);
}

static uint32_t new_node(struct lpm *t, const uint8_t *key, uint32_t bits, uint32_t slot)
{
	uint32_t n = t->n_free_nodes ? t->free_nodes[--t->n_free_nodes] : t->used_nodes++;

	set_key(t, n, key);
	t->node[n] = (struct node){.slot = slot, .bits = bits};
	return n;
}

/* Table entries of the 2^(16 - bits) tops below a short prefix. from: only those whose best is that node. */
static void top_range(struct lpm *t, const uint8_t *key, uint32_t bits, uint32_t from, uint32_t to)
{
	uint32_t n = 1u << (TOP_BITS - bits), first = bits ? top_of(key) & ~(n - 1) : 0, i;

	for (i = first; i < first + n; i++) {
		uint32_t have = t->top[i].best;

		if (from ? have == from : !have || t->node[have].bits < bits)
			t->top[i].best = to;
	}
}

/* Where the walk for these 16 bits enters the part of the trie that the table does not know. */
static void top_start(struct lpm *t, const uint8_t *key)
{
	uint32_t at = t->root;

	while (at && t->node[at].bits < TOP_BITS)
		at = t->node[at].child[bit(key, t->node[at].bits)];
	if (at && common(key, key_of(t, at), 2) < TOP_BITS)
		at = 0;
	t->top[top_of(key)].start = at;
}

/* The path to where key/bits belongs: way[0] is the root; returns its length. The last has all in common with key. */
static uint32_t walk(const struct lpm *t, const uint8_t *key, uint32_t bits, uint32_t *way)
{
	uint32_t at = t->root, n = 0;

	while (at) {
		way[n++] = at;
		if (common(key, key_of(t, at), t->bytes) < t->node[at].bits || t->node[at].bits >= bits)
			break;
		at = t->node[at].child[bit(key, t->node[at].bits)];
	}
	return n;
}

static bool is(const struct lpm *t, uint32_t node, const uint8_t *key, uint32_t bits)
{
	return t->node[node].bits == bits && common(key, key_of(t, node), t->bytes) >= bits;
}

static uint32_t *link_of(struct lpm *t, const uint32_t *way, uint32_t i)
{
	return i ? &t->node[way[i - 1]].child[t->node[way[i - 1]].child[1] == way[i]] : &t->root;
}

static void insert(struct lpm *t, const uint8_t *key, uint32_t bits, uint32_t slot, const uint32_t *way, uint32_t n)
{
	uint32_t new, last = n ? way[n - 1] : 0, len, fork;

	if (last && is(t, last, key, bits)) {
		new = last;
		set_key(t, new, key);
		t->node[new].slot = slot;
	} else {
		len = last ? common(key, key_of(t, last), t->bytes) : 0;
		if (len > bits)
			len = bits;
		new = new_node(t, key, bits, slot);
		if (!last) {
			t->root = new;
		} else if (len >= t->node[last].bits) { /* below it, where nothing was */
			t->node[last].child[bit(key, t->node[last].bits)] = new;
		} else if (len == bits) { /* above it */
			t->node[new].child[bit(key_of(t, last), bits)] = last;
			*link_of(t, way, n - 1) = new;
		} else {
			fork = new_node(t, key, len, 0);
			t->node[fork].child[bit(key, len)] = new;
			t->node[fork].child[bit(key_of(t, last), len)] = last;
			*link_of(t, way, n - 1) = fork;
		}
	}
	if (t->top && bits < TOP_BITS)
		top_range(t, key, bits, 0, new);
	else if (t->top)
		top_start(t, key);
}

static int update(struct map *map, const void *arg, const void *value, uint64_t flags, uint32_t cpu)
{
	struct lpm *t = (struct lpm *)map;
	const uint8_t *key = arg ? (const uint8_t *)arg + 4 : NULL;
	uint32_t bits = map_u32(arg), way[MAX_DEPTH], n, slot, old = 0;
	int e = 0;

	(void)cpu;
	if (flags > BPF_EXIST || bits > t->bytes * 8)
		return -EINVAL;
	begin(t);
	n = walk(t, key, bits, way);
	if (n && is(t, way[n - 1], key, bits))
		old = t->node[way[n - 1]].slot;
	if (old && flags == BPF_NOEXIST)
		e = -EEXIST;
	else if (!old && flags == BPF_EXIST)
		e = -ENOENT;
	else if (!old && t->count == map->max_entries)
		e = -ENOSPC;
	if (!e) {
		slot = (t->n_free_slots ? t->free_slots[--t->n_free_slots] : t->used_slots++) + 1;
		memcpy(map->data + (uint64_t)(slot - 1) * map->stride, value, map->value_size);
		if (old) {
			set_key(t, way[n - 1], key);
			t->node[way[n - 1]].slot = slot;
			t->free_slots[t->n_free_slots++] = old - 1;
		} else {
			insert(t, key, bits, slot, way, n);
			t->count++;
		}
	}
	end(t);
	return e;
}

/* Takes node way[i] out if it neither holds a value nor branches. */
static void prune(struct lpm *t, const uint32_t *way, uint32_t i)
{
	struct node *n = &t->node[way[i]];

	if (n->slot || (n->child[0] && n->child[1]))
		return;
	*link_of(t, way, i) = n->child[0] ? n->child[0] : n->child[1];
	t->free_nodes[t->n_free_nodes++] = way[i];
	if (i && !n->child[0] && !n->child[1])
		prune(t, way, i - 1);
}

static int del(struct map *map, const void *arg)
{
	struct lpm *t = (struct lpm *)map;
	const uint8_t *key = arg ? (const uint8_t *)arg + 4 : NULL;
	uint32_t bits = map_u32(arg), way[MAX_DEPTH], n, up = 0, i;
	int e = 0;

	if (bits > t->bytes * 8)
		return -EINVAL;
	begin(t);
	n = walk(t, key, bits, way);
	if (!n || !is(t, way[n - 1], key, bits) || !t->node[way[n - 1]].slot) {
		e = -ENOENT;
	} else {
		for (i = 0; i + 1 < n; i++)
			if (t->node[way[i]].slot)
				up = way[i];
		t->free_slots[t->n_free_slots++] = t->node[way[n - 1]].slot - 1;
		t->node[way[n - 1]].slot = 0;
		t->count--;
		if (t->top && bits < TOP_BITS)
			top_range(t, key, bits, way[n - 1], up);
		prune(t, way, n - 1);
		if (t->top && bits >= TOP_BITS)
			top_start(t, key);
	}
	end(t);
	return e;
}

/* In post-order, as the kernel: what is more specific comes first, 0 before 1. */
static uint32_t leftmost(const struct lpm *t, uint32_t at)
{
	while (t->node[at].child[0] || t->node[at].child[1])
		at = t->node[at].child[0] ? t->node[at].child[0] : t->node[at].child[1];
	return at;
}

static int next(struct map *map, const void *arg, void *to)
{
	struct lpm *t = (struct lpm *)map;
	const uint8_t *key = arg ? (const uint8_t *)arg + 4 : NULL;
	uint32_t bits = arg ? map_u32(arg) : UINT32_MAX, way[MAX_DEPTH], n = 0, at = 0;

	spin_take(&t->lock);
	if (bits <= t->bytes * 8)
		n = walk(t, key, bits, way);
	if (n && is(t, way[n - 1], key, bits) && t->node[way[n - 1]].slot) {
		for (; n > 1 && !at; n--) {
			const struct node *up = &t->node[way[n - 2]];

			if (up->child[0] == way[n - 1] && up->child[1])
				at = leftmost(t, up->child[1]);
			else if (up->slot)
				at = way[n - 2];
		}
	} else if (t->root) {
		at = leftmost(t, t->root);
	}
	if (at) {
		memcpy(to, &t->node[at].bits, 4);
		memcpy((uint8_t *)to + 4, key_of(t, at), t->bytes);
	}
	spin_drop(&t->lock);
	return at ? 0 : -ENOENT;
}

static bool region(struct map *map, uint64_t addr, uint64_t *start, uint64_t *len)
{
	uint64_t off = addr - (uint64_t)(uintptr_t)map->data;

	if (off >= map->data_bytes)
		return false;
	*start = addr - off % map->stride;
	*len = map->value_size;
	return true;
}

const struct map_ops map_lpm_ops = {
	.bytes = sizeof(struct lpm),
	.check = check,
	.init = init,
	.fini = fini,
	.lookup = lookup,
	.update = update,
	.del = del,
	.next = next,
	.region = region,
	.batches = MAP_BATCH_LOOKUP | MAP_BATCH_UPDATE | MAP_BATCH_DELETE,
};
