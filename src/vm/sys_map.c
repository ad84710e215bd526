// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* BPF_MAP_CREATE, the commands on one element, and BPF_MAP_FREEZE. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm/sys.h"
#include "vm/timer.h"
#include "vm/sys_prog.h"
#include "vm/user.h"

static void drop_map(struct obj *obj)
{
	struct map *map = (struct map *)obj;

	timer_map_gone(map);
	map->ops->fini(map);
	obj_put(map->btf);
}

static bool empty_map(struct obj *obj)
{
	return map_fd_clear((struct map *)obj);
}

static int check_attr(struct vm *vm, union bpf_attr *attr, const struct map_ops **ops)
{
	int e;

	if (attr->btf_vmlinux_value_type_id || (attr->btf_key_type_id && !attr->btf_value_type_id))
		return -EINVAL;
	if (attr->map_type != BPF_MAP_TYPE_BLOOM_FILTER && attr->map_extra)
		return -EINVAL;
	if ((attr->map_flags & (BPF_F_RDONLY | BPF_F_WRONLY)) == (BPF_F_RDONLY | BPF_F_WRONLY))
		return -EINVAL;
	if (attr->map_flags & BPF_F_NUMA_NODE ? attr->numa_node != 0 : 0)
		return -EINVAL; /* memory is the system's to place: there is one node */
	*ops = map_ops_of(attr->map_type);
	if (!*ops || attr->map_ifindex)
		return -EINVAL;
	e = (*ops)->check(attr, vm->n_cpus);
	return e;
}

static void set_up(struct map *map, struct vm *vm, const struct map_ops *ops, const union bpf_attr *attr)
{
	map->ops = ops;
	map->lookup = ops->lookup;
	map->vm = vm;
	map->n_cpus = vm->n_cpus;
	map->type = attr->map_type;
	map->key_size = attr->key_size;
	map->value_size = attr->value_size;
	map->max_entries = attr->max_entries;
	map->flags = attr->map_flags & ~(uint32_t)(BPF_F_RDONLY | BPF_F_WRONLY); /* those are the descriptor's */
	map->numa_node = attr->map_flags & BPF_F_NUMA_NODE ? attr->numa_node : (uint32_t)-1;
	map->extra = attr->map_extra;
	map->limited = attr->map_flags & (BPF_F_RDONLY | BPF_F_WRONLY);
	map->obj.kind = OBJ_MAP;
	map->obj.drop = drop_map;
	map->obj.orphan = ops == &map_prog_array_ops ? empty_map : NULL;
}

/* The descriptor as map_flags want it. */
static int with_mode(struct map *map, uint32_t flags, int fd)
{
	int limited;

	if (!map->limited)
		return fd;
	pthread_mutex_lock(&map->vm->lock);
	limited = obj_open(&map->obj, flags & BPF_F_RDONLY ? O_RDONLY : O_WRONLY);
	pthread_mutex_unlock(&map->vm->lock);
	close(fd);
	return limited;
}

long sys_map_create(struct vm *vm, union bpf_attr *attr)
{
	const struct map_ops *ops;
	struct map *map;
	int fd, e = check_attr(vm, attr, &ops);

	if (e)
		return e;
	obj_sweep(vm);
	map = calloc(1, ops->bytes);
	if (!map)
		return -ENOMEM;
	set_up(map, vm, ops, attr);
	fd = obj_memfd("bpf-map", &map->obj.fd);
	if (fd < 0) {
		free(map);
		return fd;
	}
	e = ops->init(map, attr);
	if (e)
		goto no_init;
	e = sys_name(map->name, attr->map_name, sizeof(map->name));
	if (!e)
		e = sys_map_btf(map, attr);
	if (!e)
		e = obj_add(vm, &map->obj);
	if (e)
		goto no_add;
	return with_mode(map, attr->map_flags, fd);
no_add:
	ops->fini(map);
	obj_put(map->btf);
no_init:
	close(map->obj.fd);
	close(fd);
	free(map);
	return e;
}

int sys_map_perms(struct map *map, int fd)
{
	int mode = map->limited ? obj_mode(fd) : O_RDWR;
	int perms = mode == O_RDWR ? SYS_MAY_READ | SYS_MAY_WRITE : mode == O_RDONLY ? SYS_MAY_READ : SYS_MAY_WRITE;

	return __atomic_load_n(&map->frozen, __ATOMIC_ACQUIRE) ? perms & ~SYS_MAY_WRITE : perms;
}

/* What comes back is written where the caller wants it only when all went well. */
static int lookup(struct map *map, const void *key, const union bpf_attr *attr)
{
	uint64_t bytes = map_value_bytes(map);
	struct user_buf value;
	void *tmp;
	int e;

	if (map->ops->no_lookup)
		return -MAP_NOT_SUPPORTED;
	if (!map->ops->peek) {
		e = user_out(&value, attr->value, bytes);
		if (e)
			return e;
		e = map_read(map, key, value.p, attr->flags);
		if (e)
			user_in_done(&value);
		return e ? e : user_out_done(&value, bytes);
	}
	tmp = malloc(bytes);
	if (!tmp)
		return -ENOMEM;
	e = user_read(tmp, attr->value, bytes);
	if (!e)
		e = map->ops->peek(map, tmp);
	if (!e)
		e = user_write(attr->value, tmp, bytes);
	free(tmp);
	return e;
}

static int update(struct map *map, const void *key, const union bpf_attr *attr)
{
	struct user_buf value;
	int e = user_in(&value, attr->value, map_value_bytes(map));

	if (e)
		return e;
	if (map->ops->push)
		e = map->ops->push(map, value.p, attr->flags);
	else
		e = map_write(map, key, value.p, attr->flags);
	user_in_done(&value);
	return e;
}

static int next_key(struct map *map, const void *key, const union bpf_attr *attr)
{
	struct user_buf next;
	int e = user_out(&next, attr->next_key, map->key_size);

	if (e)
		return e;
	e = map->ops->next(map, key, next.p);
	if (e)
		user_in_done(&next);
	return e ? e : user_out_done(&next, map->key_size);
}

static int take(struct map *map, const void *key, const union bpf_attr *attr)
{
	uint64_t bytes = map_value_bytes(map);
	void *tmp;
	int e;

	if (map->ops->pop && attr->flags)
		return -EINVAL;
	if (!map->ops->pop && !map->ops->take)
		return -MAP_NOT_SUPPORTED;
	tmp = malloc(bytes);
	if (!tmp)
		return -ENOMEM;
	e = map->ops->pop ? map->ops->pop(map, tmp) : map->ops->take(map, key, tmp, attr->flags);
	if (!e)
		e = user_write(attr->value, tmp, bytes);
	free(tmp);
	return e;
}

static int command(struct map *map, int cmd, const void *key, const union bpf_attr *attr)
{
	switch (cmd) {
	case BPF_MAP_LOOKUP_ELEM:
		return lookup(map, key, attr);
	case BPF_MAP_UPDATE_ELEM:
		return update(map, key, attr);
	case BPF_MAP_DELETE_ELEM:
		return map->ops->del(map, key);
	case BPF_MAP_GET_NEXT_KEY:
		return next_key(map, key, attr);
	}
	return map->ops == &map_bloom_ops ? -MAP_NOT_SUPPORTED : take(map, key, attr);
}

static int elem(struct map *map, int cmd, const union bpf_attr *attr)
{
	bool reads = cmd != BPF_MAP_UPDATE_ELEM && cmd != BPF_MAP_DELETE_ELEM;
	bool writes = cmd != BPF_MAP_LOOKUP_ELEM && cmd != BPF_MAP_GET_NEXT_KEY;
	bool has_flags = cmd != BPF_MAP_DELETE_ELEM && cmd != BPF_MAP_GET_NEXT_KEY;
	int perms = sys_map_perms(map, (int)attr->map_fd), e;
	struct user_buf key;

	if ((reads && !(perms & SYS_MAY_READ)) || (writes && !(perms & SYS_MAY_WRITE)))
		return -EPERM;
	if (has_flags && attr->flags & BPF_F_LOCK && !map->has_lock)
		return -EINVAL;
	if (cmd == BPF_MAP_LOOKUP_AND_DELETE_ELEM && map->ops->pop && map->ops != &map_bloom_ops && attr->flags)
		return -EINVAL;
	if (!map->key_size) /* no key then, and none is given */
		return attr->key ? -EINVAL : command(map, cmd, NULL, attr);
	if (cmd == BPF_MAP_GET_NEXT_KEY && !attr->key) /* the first one */
		return command(map, cmd, NULL, attr);
	e = user_in(&key, attr->key, map->key_size);
	if (e)
		return e;
	e = command(map, cmd, key.p, attr);
	user_in_done(&key);
	return e;
}

long sys_map_elem(struct vm *vm, int cmd, union bpf_attr *attr)
{
	struct obj *obj;
	struct map *map;
	int e;

	if ((cmd == BPF_MAP_LOOKUP_ELEM || cmd == BPF_MAP_LOOKUP_AND_DELETE_ELEM) && attr->flags & ~(uint64_t)BPF_F_LOCK)
		return -EINVAL;
	e = obj_of_fd(vm, (int)attr->map_fd, OBJ_MAP, &obj);
	if (e)
		return e;
	map = (struct map *)obj;
	__atomic_fetch_add(&map->writers, 1, __ATOMIC_ACQUIRE);
	e = elem(map, cmd, attr);
	__atomic_fetch_sub(&map->writers, 1, __ATOMIC_RELEASE);
	obj_put(obj);
	return e;
}

long sys_map_freeze(struct vm *vm, union bpf_attr *attr)
{
	struct obj *obj;
	struct map *map;
	int e = obj_of_fd(vm, (int)attr->map_fd, OBJ_MAP, &obj);

	if (e)
		return e;
	map = (struct map *)obj;
	if (map->has_special)
		e = -MAP_NOT_SUPPORTED;
	else if (!(sys_map_perms(map, (int)attr->map_fd) & SYS_MAY_WRITE))
		e = -EPERM;
	else if (__atomic_load_n(&map->writers, __ATOMIC_ACQUIRE))
		e = -EBUSY;
	else
		__atomic_store_n(&map->frozen, true, __ATOMIC_RELEASE);
	if (!e && map->flags & BPF_F_MMAPABLE) /* no new writable mappings either */
		fcntl(map->obj.fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
	obj_put(obj);
	return e;
}
