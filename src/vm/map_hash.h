/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hash family's inside, for the maps built on it (hash of maps, devmap_hash). */
#ifndef VM_MAP_HASH_H
#define VM_MAP_HASH_H

#include "vm/map.h"

#define HASH_LOCKS 256
#define HASH_SPARE 64 /* elements beyond max_entries: an update puts a new one in the old one's place */

/*
 * Elements lie in one slab, chained from buckets by index + 1. The last of a chain carries HASH_END and its bucket's
 * number, by which a reader that an element recycled meanwhile led into another chain notices. Readers take no lock.
 */
struct hash_elem {
	uint32_t next;
	uint32_t tag; /* HASH_LIVE and 31 bits of the hash; 0: free */
	uint8_t key[];
};
#define HASH_END 0x80000000u
#define HASH_LIVE 0x80000000u

/* Two odd constants without pattern: the fractional digits of the golden ratio and of the square root of 3. */
#define HASH_K0 0x9e3779b97f4a7c15ull
#define HASH_K1 0xbb67ae8584caa73bull

struct map_hash {
	struct map map;
	uint32_t *bucket, mask;
	uint8_t *slab;
	uint32_t elem_bytes, value_off, ref_off, value_bytes;
	uint64_t seed;
	uint8_t *percpu; /* values, all of CPU 0 first */
	uint64_t cpu_bytes;
	bool lru;
	uint32_t n_slab, touched; /* elements there are, were ever used */
	uint32_t *free, n_free, free_lock;
	uint32_t count, hand;
	void (*drop)(void *value); /* of an entry that goes */
	uint32_t lock[HASH_LOCKS];
};

int map_hash_check_size(const union bpf_attr *attr, bool percpu);
int map_hash_init(struct map *map, const union bpf_attr *attr);
void map_hash_fini(struct map *map);
void *map_hash_lookup(struct map *map, const void *key, uint32_t cpu);
int map_hash_del(struct map *map, const void *key);
int map_hash_next(struct map *map, const void *key, void *next);
/* value: as long as the family says it is (value_bytes); all_cpus: of every CPU, else of cpu alone */
int map_hash_put(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu, bool all_cpus);
int map_hash_walk(struct map *map, uint32_t *cursor, void *key, void *value, uint64_t flags, bool take);
int map_hash_take(struct map *map, const void *key, void *value, uint64_t flags);
bool map_hash_region(struct map *map, uint64_t addr, uint64_t *start, uint64_t *len);

#endif
