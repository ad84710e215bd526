/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Maps of the running kernel, typed: found by id, name or pin; read, written and walked over, whatever
 * their kind.
 *
 *     open -> sluice_map_types() -> get, set, del, iter -> close
 *
 * Keys and values are bytes; sluice/value.h makes text of them and back. What a map means beyond its bytes is
 * handled here: a value per CPU, programs in a prog array, maps in a map, devices in a devmap, queues
 * without keys.
 */
#ifndef SLUICE_MAP_H
#define SLUICE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>
#include <sluice/value.h>

struct sluice_map;

/*
 * What a value stands for. Read from the kernel, these are ids; written, descriptors (sluice_map_set_text()
 * does it).
 */
enum sluice_map_holds {
	SLUICE_MAP_DATA,
	SLUICE_MAP_PROGRAM, /* prog array: program id */
	SLUICE_MAP_MAP,	    /* array of maps, hash of maps: map id */
	SLUICE_MAP_DEVICE,  /* devmap: ifindex, and a program id if value_size is 8 */
	SLUICE_MAP_CPU,	    /* cpumap: queue size, and a program id if value_size is 8 */
	SLUICE_MAP_SOCKET,  /* sockmap, sockhash: socket cookie */
};

struct sluice_map_info {
	uint32_t id, type;
	char type_name[24]; /* "lru_percpu_hash"; "type 40" if newer than Sluice */
	char name[16];
	uint32_t key_size, value_size, max_entries, flags;
	uint64_t extra;
	uint64_t memlock_bytes; /* 0: /proc did not tell */
	enum sluice_map_holds holds;
	uint32_t n_values;    /* values of one entry: possible CPUs for a per-CPU map, otherwise 1 */
	uint32_t stride;      /* bytes from one of them to the next */
	uint32_t value_bytes; /* n_values * stride: what sluice_map_get() fills */
	bool per_cpu, frozen, has_btf;
	bool indexed;	     /* keys are 0..max_entries-1 */
	bool keyless;	     /* queue, stack, bloom filter */
	bool walkable;	     /* entries can be listed */
	bool deletable;	     /* entries can be deleted */
	const char *why_not; /* of a map whose entries cannot be listed: the reason; otherwise NULL */
};

/*
 * sluice_map_open() finds a map: "17" or "id 17" by id, anything with a slash by pin path, everything else
 * by name.
 * sluice_map_open_fd() takes a descriptor of a map, which it duplicates.
 *
 * out:     *map  NULL on failure
 * owns:    the caller closes *map
 * errors:  -ENOENT no such map (err has the nearest name), -EINVAL several of that name (err lists their
 *          ids), -ENOEXEC the pin is not a map, -EPERM privilege missing (named)
 * thread:  a map is for one thread at a time
 */
SLUICE_API int sluice_map_open(const char *which, struct sluice_map **map, struct sluice_err *err);
SLUICE_API int sluice_map_open_fd(int fd, struct sluice_map **map, struct sluice_err *err);
SLUICE_API int sluice_map_open_id(uint32_t id, struct sluice_map **map, struct sluice_err *err);
SLUICE_API void sluice_map_close(struct sluice_map *map);

SLUICE_API const struct sluice_map_info *sluice_map_info(const struct sluice_map *map);
SLUICE_API int sluice_map_fd(const struct sluice_map *map); /* owned by the map */

/* The types of key and value; the caller may set as and member in them until the map is closed. */
SLUICE_API void sluice_map_types(
	struct sluice_map *map, struct sluice_type **key, struct sluice_type **value);

/*
 * sluice_map_get() reads the value of a key; of a queue or stack (key NULL) the head, which stays; a bloom
 * filter is asked whether it may hold what *value has.
 * sluice_map_pop() takes the head of a queue or stack out.
 *
 * out:     value  info->value_bytes: for a per-CPU map one value per possible CPU, stride bytes apart
 * errors:  -ENOENT no such entry, -EPERM not readable, -EOPNOTSUPP this type of map cannot be read so
 */
SLUICE_API int sluice_map_get(struct sluice_map *map, const void *key, void *value, struct sluice_err *err);
SLUICE_API int sluice_map_pop(struct sluice_map *map, void *value, struct sluice_err *err);

enum sluice_map_how { SLUICE_MAP_ANY, SLUICE_MAP_NEW, SLUICE_MAP_EXIST };

/*
 * sluice_map_set() writes bytes (info->value_bytes; descriptors in maps of programs, maps and devices).
 * sluice_map_set_text() writes typed text: one value, or for a per-CPU map one for every CPU. In a prog
 * array the text is `prog ID` or `pin PATH`, in a map of maps `map ID` or `pin PATH`, in a devmap an
 * interface (`veth0`, `veth0 prog ID`), in a cpumap a queue size (`192`, `192 prog ID`).
 * key NULL pushes on a queue or stack or adds to a bloom filter.
 *
 * errors:  -EINVAL the text does not fit (as sluice_type_parse()), -EEXIST NEW and it is there, -ENOENT
 *          EXIST and it is not, or no such program, map or interface, -ENOSPC full or beyond an array's
 *          end, -EPERM frozen
 */
SLUICE_API int sluice_map_set(struct sluice_map *map, const void *key, const void *value,
	enum sluice_map_how how, struct sluice_err *err);
SLUICE_API int sluice_map_set_text(struct sluice_map *map, const void *key, const char *const *values,
	size_t n, enum sluice_map_how how, struct sluice_err *err);

/*
 * sluice_map_del() removes an entry. errors: -ENOENT none there, -EOPNOTSUPP entries of this type stay,
 * -EPERM frozen
 */
SLUICE_API int sluice_map_del(struct sluice_map *map, const void *key, struct sluice_err *err);

/*
 * sluice_map_value_print() is sluice_type_print() that knows what a value stands for: "prog 17", "veth0".
 * sluice_map_sum_print() prints the values of all CPUs as one: integers and floats added up without
 * overflow, every other member as on the first CPU that has one.
 */
SLUICE_API int sluice_map_value_print(
	struct sluice_map *map, const void *value, char **text, struct sluice_err *err);
SLUICE_API int sluice_map_sum_print(
	struct sluice_map *map, const void *values, char **text, struct sluice_err *err);

/*
 * An iterator over the entries, in batches where the kernel can. Whatever others do to the map meanwhile,
 * every key comes at most once, the walk ends, and entries that are there all the time are found; what
 * others add or delete may or may not be seen. Only where entries are deleted much faster than they can be
 * read, it ends before.
 *
 * sluice_map_iter_next() returns 1 and an entry (valid until the next call), 0 at the end, or a negative
 * errno.
 * sluice_map_iter_cut() tells after the end whether it was such an early one.
 */
struct sluice_map_iter;
SLUICE_API int sluice_map_iter_new(
	struct sluice_map *map, struct sluice_map_iter **it, struct sluice_err *err);
SLUICE_API int sluice_map_iter_next(
	struct sluice_map_iter *it, const void **key, const void **value, struct sluice_err *err);
SLUICE_API bool sluice_map_iter_cut(const struct sluice_map_iter *it);
SLUICE_API void sluice_map_iter_free(struct sluice_map_iter *it);

/* All map ids there are now; the caller frees *ids with free(). errors: -EPERM needs CAP_SYS_ADMIN */
SLUICE_API int sluice_map_ids(uint32_t **ids, size_t *n, struct sluice_err *err);

/* Who holds on to maps: programs that use them, and pins under a bpffs directory. */
struct sluice_map_ref {
	uint32_t map_id;
	uint32_t prog_id; /* 0: a pin */
	char prog_name[16];
	char *pin; /* NULL: a program */
};
struct sluice_map_refs {
	struct sluice_map_ref *ref;
	size_t n, cap;
};

/*
 * bpffs NULL: /sys/fs/bpf; a directory that is not there holds no pins. The caller calls free, also after
 * failure.
 */
SLUICE_API int sluice_map_refs_read(const char *bpffs, struct sluice_map_refs *refs, struct sluice_err *err);
SLUICE_API void sluice_map_refs_free(struct sluice_map_refs *refs);

#endif
