/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Maps: one file per family (map_*.c) behind one table of operations.
 *
 *     program ──> lookup, update, del ...   pointers into the map's memory, one CPU's part
 *     vm_bpf  ──> read, write, take, next   copies; of per-CPU maps the values of all CPUs
 *
 * Memory is reserved whole when a map is made and backed by the system page by page as it is touched. It stays
 * mapped until the map is freed: a pointer to a value that was deleted meanwhile reads something else, never nothing.
 * All operations may be called from several threads at once. They answer 0 or a negative errno, the kernel's.
 */
#ifndef VM_MAP_H
#define VM_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <linux/bpf.h>

#include "vm/obj.h"

#define MAP_HOLES 4
#define MAP_NOT_SUPPORTED 524 /* ENOTSUPP, which the kernel lets through to user space */

enum map_batch { MAP_BATCH_LOOKUP = 1, MAP_BATCH_TAKE = 2, MAP_BATCH_UPDATE = 4, MAP_BATCH_DELETE = 8 };

struct map;

struct map_ops {
	size_t bytes; /* of the family's struct, which starts with struct map */
	/* may a map be made from attr? max_entries and map_flags may be corrected */
	int (*check)(union bpf_attr *attr, uint32_t n_cpus);
	int (*init)(struct map *map, const union bpf_attr *attr);
	void (*fini)(struct map *map);

	void *(*lookup)(struct map *map, const void *key, uint32_t cpu);
	int (*update)(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu);
	int (*del)(struct map *map, const void *key);
	int (*next)(struct map *map, const void *key, void *next); /* key NULL: the first */
	int (*push)(struct map *map, const void *value, uint64_t flags);
	int (*pop)(struct map *map, void *value);
	int (*peek)(struct map *map, void *value);

	/* the system call's; NULL: made from the above */
	int (*read)(struct map *map, const void *key, void *value, uint64_t flags);
	int (*write)(struct map *map, const void *key, const void *value, uint64_t flags);
	int (*take)(struct map *map, const void *key, void *value, uint64_t flags);
	/* one entry at or behind *cursor, which moves behind it; -ENOENT: no more. The hash family's batches */
	int (*walk)(struct map *map, uint32_t *cursor, void *key, void *value, uint64_t flags, bool take);

	/* the value that addr lies in; of ring buffers ring_record() tells */
	bool (*region)(struct map *map, uint64_t addr, uint64_t *start, uint64_t *len);

	uint8_t batches;     /* enum map_batch */
	bool percpu;
	bool no_btf;	     /* types of key and value are refused */
	bool not_inner;	     /* cannot be an element of another map */
	bool peeks;	     /* reading has no key; bloom filters take the value as input */
	bool values_are_fds; /* u32 of a descriptor on the way in, of an id on the way out */
	bool no_lookup;	     /* -ENOTSUPP by system call */
};

/* What compiled code relies on: lookup, data, max_entries, stride; for arrays value i lies at data + i * stride, for
 * per-CPU arrays at data + cpu * cpu_stride + i * stride. */
struct map {
	struct obj obj;
	void *(*lookup)(struct map *map, const void *key, uint32_t cpu);
	uint8_t *data;
	uint32_t max_entries, stride;
	uint64_t cpu_stride;

	const struct map_ops *ops;
	struct vm *vm;
	uint32_t type, key_size, value_size, flags, numa_node, n_cpus;
	uint64_t extra;
	char name[BPF_OBJ_NAME_LEN];
	uint64_t data_bytes;

	struct obj *btf;
	uint32_t btf_key, btf_value, btf_vmlinux_value;
	/* parts of a value that user space neither reads nor writes, ascending */
	struct { uint32_t off, len; } hole[MAP_HOLES];
	uint32_t n_holes, lock_off;
	bool has_lock, has_special;

	bool frozen;
	uint32_t writers; /* system calls that are changing it */
	bool limited;	  /* some descriptors may only read, or only write */
};

extern const struct map_ops map_array_ops, map_percpu_array_ops, map_hash_ops, map_percpu_hash_ops, map_lru_ops,
	map_percpu_lru_ops, map_lpm_ops, map_prog_array_ops, map_perf_ops, map_array_of_maps_ops, map_hash_of_maps_ops,
	map_devmap_ops, map_devmap_hash_ops, map_cpumap_ops, map_xskmap_ops, map_queue_ops, map_stack_ops, map_bloom_ops,
	map_ring_ops;

/* NULL: there is no such type here. */
const struct map_ops *map_ops_of(uint32_t type);

/* map_value_bytes() is what a value takes in the system call's buffers. */
uint64_t map_value_bytes(const struct map *map);

/* Reading, writing, taking as the system call does them; flags are checked by the caller. */
int map_read(struct map *map, const void *key, void *value, uint64_t flags);
int map_write(struct map *map, const void *key, const void *value, uint64_t flags);

/* map_copy() copies a value but for its holes; map_copy_locked() does so holding the value's lock in `in`. */
void map_copy(const struct map *map, void *to, const void *from);
void map_copy_locked(const struct map *map, void *to, const void *from, void *in);
/* map_copy_out() is map_copy() or, with BPF_F_LOCK, map_copy_locked(), holes zeroed. */
void map_copy_out(const struct map *map, void *to, void *from, uint64_t flags);

static inline uint32_t map_round8(uint32_t n)
{
	return (n + 7u) & ~7u;
}

/* Keys and values come from callers, who need not align them. */
static inline uint32_t map_u32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* map_reserve() gets zeroed memory that costs nothing until touched; NULL if there is no address space for it. */
void *map_reserve(uint64_t bytes);
void map_release(void *p, uint64_t bytes);

/* Both RDONLY_PROG and WRONLY_PROG: nobody could use it. */
static inline bool map_access_ok(uint32_t flags)
{
	return (flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) != (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG);
}
#define MAP_ACCESS (BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)
#define MAP_MOST_BYTES (4u << 20)     /* the kernel's largest allocation, KMALLOC_MAX_SIZE */
#define MAP_MOST_CPU_BYTES (32u << 10) /* its largest per-CPU one, PCPU_MIN_UNIT_SIZE */

#endif
