// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* BPF_BTF_LOAD, and what a map's types say about its keys and values. */
#include <errno.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/btf.h>

#include "vm/sys.h"
#include "vm/user.h"

#define MOST_BYTES (16u << 20) /* the kernel's BTF_MAX_SIZE */

static void drop_btf(struct obj *obj)
{
	struct vm_btf *b = (struct vm_btf *)obj;

	btf__free(b->btf);
	free(b->raw);
}

/* What libbpf believes but the kernel does not. The log stays empty: the answer is the errno. */
static int check_header(const struct btf_header *h, uint32_t bytes)
{
	if (bytes < sizeof(*h) || h->hdr_len < sizeof(*h) || h->hdr_len > bytes)
		return -EINVAL;
	if (h->magic != BTF_MAGIC)
		return -EINVAL;
	if (h->version != BTF_VERSION || h->flags)
		return -MAP_NOT_SUPPORTED;
	if (!sys_tail_zero((const uint8_t *)h + sizeof(*h), h->hdr_len - sizeof(*h)))
		return -E2BIG;
	if ((uint64_t)h->hdr_len + h->type_len + h->str_len > bytes || !h->str_len)
		return -EINVAL;
	return 0;
}

static int take_types(struct vm_btf *b, uint64_t from)
{
	int e;

	b->raw = malloc(b->bytes ? b->bytes : 1);
	if (!b->raw)
		return -ENOMEM;
	e = user_read(b->raw, from, b->bytes);
	if (!e)
		e = check_header(b->raw, b->bytes);
	if (e)
		return e;
	b->btf = btf__new(b->raw, b->bytes);
	return b->btf ? 0 : -EINVAL;
}

long sys_btf_load(struct vm *vm, union bpf_attr *attr)
{
	struct vm_btf *b;
	int fd, e;

	if (attr->btf_size > MOST_BYTES)
		return -E2BIG;
	if (attr->btf_log_level && attr->btf_log_buf && attr->btf_log_size) {
		e = user_write(attr->btf_log_buf, "", 1);
		if (e)
			return e;
	}
	obj_sweep(vm);
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->bytes = attr->btf_size;
	e = take_types(b, attr->btf);
	fd = e ? e : obj_memfd("bpf-btf", &b->obj.fd);
	if (fd < 0) {
		drop_btf(&b->obj);
		free(b);
		return fd;
	}
	b->obj.kind = OBJ_BTF;
	b->obj.drop = drop_btf;
	e = obj_add(vm, &b->obj);
	if (e) {
		close(b->obj.fd);
		close(fd);
		drop_btf(&b->obj);
		free(b);
		return e;
	}
	return fd;
}

/* Parts of a value that are the engine's: the lock, timers. Sorted by offset. */
static int add_hole(struct map *map, uint32_t off, uint32_t len)
{
	uint32_t i = map->n_holes;

	if (i == MAP_HOLES || off + len > map->value_size)
		return -E2BIG;
	for (; i && map->hole[i - 1].off > off; i--)
		map->hole[i] = map->hole[i - 1];
	map->hole[i].off = off;
	map->hole[i].len = len;
	map->n_holes++;
	return 0;
}

static int special(struct map *map, const struct btf *btf, uint32_t value_id)
{
	int id = btf__resolve_type(btf, value_id), i, e;
	const struct btf_type *t = id < 0 ? NULL : btf__type_by_id(btf, (uint32_t)id);
	uint32_t n_locks = 0, n_timers = 0;

	if (!t || !btf_is_struct(t))
		return 0;
	for (i = 0; i < btf_vlen(t); i++) {
		const struct btf_type *m = btf__type_by_id(btf, btf_members(t)[i].type);
		const char *name = m && btf_is_struct(m) ? btf__name_by_offset(btf, m->name_off) : NULL;
		uint32_t off = btf_member_bit_offset(t, (uint32_t)i) / 8;

		if (!name || (strcmp(name, "bpf_spin_lock") != 0 && strcmp(name, "bpf_timer") != 0))
			continue;
		n_locks += !strcmp(name, "bpf_spin_lock");
		n_timers += !strcmp(name, "bpf_timer");
		if (n_locks > 1 || n_timers > 1)
			return -E2BIG;
		if (off % (!strcmp(name, "bpf_spin_lock") ? 4 : 8))
			return -EINVAL;
		e = add_hole(map, off, m->size);
		if (e)
			return e;
		map->has_special = true;
		if (!strcmp(name, "bpf_spin_lock"))
			map->lock_off = off;
	}
	if (n_locks && map->type != BPF_MAP_TYPE_HASH && map->type != BPF_MAP_TYPE_ARRAY)
		return -MAP_NOT_SUPPORTED;
	if (n_timers && map->type != BPF_MAP_TYPE_HASH && map->type != BPF_MAP_TYPE_ARRAY && map->type != BPF_MAP_TYPE_LRU_HASH)
		return -MAP_NOT_SUPPORTED;
	map->has_lock = n_locks;
	return 0;
}

static int check_types(struct map *map, const struct btf *btf)
{
	const struct btf_type *t = btf__type_by_id(btf, map->btf_key), *v = btf__type_by_id(btf, map->btf_value);
	int id;

	if (map->ops->no_btf)
		return -MAP_NOT_SUPPORTED;
	if (!v || btf__resolve_size(btf, map->btf_value) != (int64_t)map->value_size)
		return -EINVAL;
	if (map->btf_key) {
		if (!t || map->type == BPF_MAP_TYPE_BLOOM_FILTER || btf__resolve_size(btf, map->btf_key) != (int64_t)map->key_size)
			return -EINVAL;
		id = btf__resolve_type(btf, map->btf_key);
		t = id < 0 ? NULL : btf__type_by_id(btf, (uint32_t)id);
		if (map->type == BPF_MAP_TYPE_LPM_TRIE && (!t || !btf_is_struct(t)))
			return -EINVAL;
		if ((map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY) &&
		    (!t || !btf_is_int(t) || t->size != 4))
			return -EINVAL;
	} else if (map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY) {
		if (map->max_entries != 1 || !btf_is_datasec(v)) /* global variables */
			return -EINVAL;
	} else if (map->type != BPF_MAP_TYPE_BLOOM_FILTER) { /* the one that may have a value without a key */
		return -EINVAL;
	}
	return special(map, btf, map->btf_value);
}

int sys_map_btf(struct map *map, const union bpf_attr *attr)
{
	int e;

	if (!attr->btf_key_type_id && !attr->btf_value_type_id)
		return 0;
	e = obj_of_fd(map->vm, (int)attr->btf_fd, OBJ_BTF, &map->btf);
	if (e)
		return e;
	map->btf_key = attr->btf_key_type_id;
	map->btf_value = attr->btf_value_type_id;
	return attr->btf_value_type_id ? check_types(map, ((struct vm_btf *)map->btf)->btf) : 0;
}
