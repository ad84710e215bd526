// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Maps that packets are redirected through: devmap, devmap_hash, cpumap, xskmap.
 *
 * An interface is whatever number the caller writes, real or not: there is no network here to hold it against.
 * xskmap takes any socket's descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/lock.h"
#include "vm/map_dev.h"
#include "vm/map_index.h"
#include "vm/sys.h"
#include "vm/sys_prog.h"
#include "vm/user.h"

struct dev_map {
	struct map map;
	uint8_t *used; /* one byte an entry: which of its two places counts, and LIVE if there is one */
	uint32_t lock; /* of writers */
};

#define LIVE 2

static int dev_check(union bpf_attr *attr, uint32_t n_cpus)
{
	(void)n_cpus;
	if (!attr->max_entries || attr->key_size != 4 || (attr->value_size != 4 && attr->value_size != 8) ||
	    attr->map_flags & ~(BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY))
		return -EINVAL;
	if (attr->map_type == BPF_MAP_TYPE_DEVMAP_HASH && attr->max_entries > 1u << 31)
		return -EINVAL;
	attr->map_flags |= BPF_F_RDONLY_PROG; /* programs may look an entry up, not change it */
	return 0;
}

static int cpu_check(union bpf_attr *attr, uint32_t n_cpus)
{
	(void)n_cpus;
	if (!attr->max_entries || attr->key_size != 4 || (attr->value_size != 4 && attr->value_size != 8) ||
	    attr->map_flags & ~BPF_F_NUMA_NODE)
		return -EINVAL;
	return attr->max_entries > MAP_MOST_CPUS ? -E2BIG : 0;
}

static int xsk_check(union bpf_attr *attr, uint32_t n_cpus)
{
	(void)n_cpus;
	return !attr->max_entries || attr->key_size != 4 || attr->value_size != 4 ||
			       attr->map_flags & ~(BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY)
		       ? -EINVAL
		       : 0;
}

static int init(struct map *map, const union bpf_attr *attr)
{
	struct dev_map *d = (struct dev_map *)map;

	(void)attr;
	map->stride = sizeof(struct map_dev);
	map->data_bytes = (uint64_t)map->max_entries * 2 * map->stride;
	map->data = map_reserve(map->data_bytes);
	d->used = map_reserve(map->max_entries);
	if (map->data && d->used)
		return 0;
	map_release(map->data, map->data_bytes);
	map_release(d->used, map->max_entries);
	return -ENOMEM;
}

static struct map_dev *dev_at(struct map *map, uint32_t i, uint8_t used)
{
	return (struct map_dev *)(void *)map->data + 2 * (uint64_t)i + (used & 1);
}

static void fini(struct map *map)
{
	struct dev_map *d = (struct dev_map *)map;
	uint32_t i;

	for (i = 0; map->data && d->used && i < map->max_entries; i++)
		if (d->used[i] & LIVE)
			obj_put(dev_at(map, i, d->used[i])->prog);
	map_release(map->data, map->data_bytes);
	map_release(d->used, map->max_entries);
}

static void *lookup(struct map *map, const void *key, uint32_t cpu)
{
	struct dev_map *d = (struct dev_map *)map;
	uint32_t i = map_u32(key);
	uint8_t used = i < map->max_entries ? __atomic_load_n(&d->used[i], __ATOMIC_ACQUIRE) : 0;

	(void)cpu;
	return used & LIVE ? dev_at(map, i, used) : NULL;
}

static int no_update(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	(void)map, (void)key, (void)value, (void)flags, (void)cpu;
	return -EINVAL;
}

/* Who reads the entry sees the old one or the new one, whole: it is written where the present one is not. */
static int put(struct map *map, uint32_t i, const struct map_dev *dev, uint64_t flags)
{
	struct dev_map *d = (struct dev_map *)map;
	struct obj *old = NULL;
	uint8_t used;
	int e = 0;

	spin_take(&d->lock);
	used = d->used[i];
	if (flags == BPF_NOEXIST && used & LIVE)
		e = -EEXIST;
	else if (flags == BPF_EXIST && !(used & LIVE))
		e = -ENOENT;
	if (!e) {
		if (used & LIVE)
			old = dev_at(map, i, used)->prog;
		used = LIVE | ((used & 1) ^ 1);
		*dev_at(map, i, used) = *dev;
		__atomic_store_n(&d->used[i], used, __ATOMIC_RELEASE);
	}
	spin_drop(&d->lock);
	obj_put(old);
	return e;
}

static int del(struct map *map, const void *key)
{
	struct dev_map *d = (struct dev_map *)map;
	uint32_t i = map_u32(key);
	struct obj *old = NULL;
	uint8_t used;

	if (i >= map->max_entries)
		return -EINVAL;
	spin_take(&d->lock);
	used = d->used[i];
	if (used & LIVE)
		old = dev_at(map, i, used)->prog;
	__atomic_store_n(&d->used[i], used & 1, __ATOMIC_RELEASE);
	spin_drop(&d->lock);
	obj_put(old);
	return 0;
}

/* A program in a map runs where it was loaded to run: expected_attach_type says so. */
static int with_program(struct map *map, int fd, uint32_t attach_type, struct map_dev *dev)
{
	int e = prog_of_fd(map->vm, fd, BPF_PROG_TYPE_XDP, attach_type, &dev->prog);

	if (!e)
		dev->value.prog_id = dev->prog->id;
	return e;
}

/* What a new entry is made of; prog_fd 0 and below: none. */
static int dev_of(struct map *map, const void *value, uint64_t flags, struct map_dev *dev)
{
	struct bpf_devmap_val v = {.bpf_prog.fd = -1};

	if (flags > BPF_EXIST)
		return -EINVAL;
	memcpy(&v, value, map->value_size);
	*dev = (struct map_dev){.value.first = v.ifindex};
	if (!v.ifindex)
		return v.bpf_prog.fd > 0 ? -EINVAL : 0;
	return v.bpf_prog.fd > 0 ? with_program(map, v.bpf_prog.fd, BPF_XDP_DEVMAP, dev) : 0;
}

static int dev_write(struct map *map, const void *key, const void *value, uint64_t flags)
{
	uint32_t i = map_u32(key);
	struct map_dev dev;
	int e;

	if (flags > BPF_EXIST)
		return -EINVAL;
	if (i >= map->max_entries)
		return -E2BIG;
	if (flags == BPF_NOEXIST)
		return -EEXIST;
	e = dev_of(map, value, flags, &dev);
	if (e)
		return e;
	return dev.value.first ? put(map, i, &dev, BPF_ANY) : del(map, key);
}

static int cpu_write(struct map *map, const void *key, const void *value, uint64_t flags)
{
	struct bpf_cpumap_val v = {.bpf_prog.fd = -1};
	uint32_t i = map_u32(key);
	struct map_dev dev = {.prog = NULL};
	int e = 0;

	memcpy(&v, value, map->value_size);
	if (flags > BPF_EXIST)
		return -EINVAL;
	if (i >= map->max_entries)
		return -E2BIG;
	if (flags == BPF_NOEXIST)
		return -EEXIST;
	if (v.qsize > 16384)
		return -EOVERFLOW;
	if (i >= map->n_cpus)
		return -ENODEV;
	if (!v.qsize)
		return del(map, key);
	dev.value.first = v.qsize;
	if (v.bpf_prog.fd > 0)
		e = with_program(map, v.bpf_prog.fd, BPF_XDP_CPUMAP, &dev);
	return e ? -ENOMEM : put(map, i, &dev, BPF_ANY); /* as the kernel says it, whatever is wrong with the program */
}

static int xsk_write(struct map *map, const void *key, const void *value, uint64_t flags)
{
	uint32_t i = map_u32(key);
	struct map_dev dev = {.prog = NULL};
	int fd, failed;
	struct stat st;

	if (flags > BPF_EXIST)
		return -EINVAL;
	if (i >= map->max_entries)
		return -E2BIG;
	fd = user_fd((int)map_u32(value));
	failed = fstat(fd, &st);
	user_fd_done(fd);
	if (failed)
		return -EBADF;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	dev.value.first = map_u32(value);
	return put(map, i, &dev, flags);
}

static int xsk_read(struct map *map, const void *key, void *value, uint64_t flags)
{
	(void)map, (void)key, (void)value, (void)flags;
	return -EOPNOTSUPP;
}

static int dev_read(struct map *map, const void *key, void *value, uint64_t flags)
{
	struct dev_map *d = (struct dev_map *)map;
	struct map_dev *dev;

	(void)flags;
	spin_take(&d->lock);
	dev = lookup(map, key, 0);
	if (dev)
		memcpy(value, &dev->value, map->value_size);
	spin_drop(&d->lock);
	return dev ? 0 : -ENOENT;
}

/* Of interfaces by any number: a hash whose values are struct map_dev. */
static int hash_init(struct map *map, const union bpf_attr *attr)
{
	uint32_t value_size = map->value_size;
	int e;

	map->value_size = sizeof(struct map_dev);
	e = map_hash_init(map, attr);
	map->value_size = value_size;
	return e;
}

static void *hash_lookup(struct map *map, const void *key, uint32_t cpu)
{
	return map_hash_lookup(map, key, cpu);
}

static int hash_read(struct map *map, const void *key, void *value, uint64_t flags)
{
	struct map_dev *dev = map_hash_lookup(map, key, 0);

	(void)flags;
	if (!dev)
		return -ENOENT;
	memcpy(value, &dev->value, map->value_size);
	return 0;
}

static void hash_drop(void *value)
{
	obj_put(((struct map_dev *)value)->prog);
}

static int hash_write(struct map *map, const void *key, const void *value, uint64_t flags)
{
	struct map_dev dev;
	int e;

	((struct map_hash *)map)->drop = hash_drop;
	if (flags > BPF_EXIST || !map_u32(value))
		return -EINVAL;
	if (flags == BPF_NOEXIST && map_hash_lookup(map, key, 0))
		return -EEXIST;
	e = dev_of(map, value, flags, &dev);
	if (e)
		return e;
	e = map_hash_put(map, key, &dev, flags == BPF_EXIST ? BPF_ANY : flags, 0, false);
	if (e)
		obj_put(dev.prog);
	return e;
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

#define INDEXED                                                                                             \
	.bytes = sizeof(struct dev_map), .init = init, .fini = fini, .lookup = lookup, .update = no_update, \
	.del = del, .next = map_index_next, .region = region, .no_btf = true

const struct map_ops map_devmap_ops = {INDEXED, .read = dev_read, .check = dev_check, .write = dev_write};
const struct map_ops map_cpumap_ops = {INDEXED, .read = dev_read, .check = cpu_check, .write = cpu_write};
const struct map_ops map_xskmap_ops = {INDEXED, .read = xsk_read, .check = xsk_check, .write = xsk_write};
const struct map_ops map_devmap_hash_ops = {
	.bytes = sizeof(struct map_hash),
	.check = dev_check,
	.init = hash_init,
	.fini = map_hash_fini,
	.lookup = hash_lookup,
	.update = no_update,
	.del = map_hash_del,
	.next = map_hash_next,
	.read = hash_read,
	.write = hash_write,
	.region = map_hash_region,
	.no_btf = true,
};
