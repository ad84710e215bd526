// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Information about objects, and walks over their ids. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/btf.h>

#include "vm/sys.h"
#include "vm/sys_prog.h"
#include "vm/user.h"

static void map_info(const struct map *map, struct bpf_map_info *info)
{
	info->type = map->type;
	info->id = map->obj.id;
	info->key_size = map->key_size;
	info->value_size = map->value_size;
	info->max_entries = map->max_entries;
	info->map_flags = map->flags;
	info->map_extra = map->extra;
	memcpy(info->name, map->name, sizeof(info->name));
	if (map->btf) {
		info->btf_id = map->btf->id;
		info->btf_key_type_id = map->btf_key;
		info->btf_value_type_id = map->btf_value;
	}
}

/* As much of an answer as the caller has room for; what it has beyond must be zero, as the kernel wants it. */
static int give(union bpf_attr *attr, const void *info, uint32_t bytes)
{
	uint32_t len = attr->info.info_len;
	int e;

	if (len > 4096)
		return -E2BIG;
	if (len > bytes) {
		e = user_zero(attr->info.info + bytes, len - bytes);
		if (e <= 0)
			return e ? e : -E2BIG;
		len = bytes;
	}
	e = user_write(attr->info.info, info, len);
	if (!e)
		attr->info.info_len = len;
	return e;
}

/* What the caller wrote where the answer goes: its buffers. */
static int question(const union bpf_attr *attr, void *info, uint32_t bytes)
{
	uint32_t len = attr->info.info_len;

	return len > 4096 ? -E2BIG : user_read(info, attr->info.info, len < bytes ? len : bytes);
}


static int btf_info(struct vm_btf *btf, union bpf_attr *attr)
{
	struct bpf_btf_info info = {0}, in = {0};
	int e = question(attr, &in, sizeof(in));

	if (!e)
		e = user_write(in.btf, btf->raw, in.btf_size < btf->bytes ? in.btf_size : btf->bytes);
	if (!e && in.name_len)
		e = user_write(in.name, "", 1);
	if (e)
		return e;
	info = in;
	info.btf_size = btf->bytes;
	info.id = btf->obj.id;
	info.kernel_btf = 0;
	info.name_len = 0;
	return give(attr, &info, sizeof(info));
}

static int prog_answer(struct vm_program *prog, union bpf_attr *attr)
{
	struct bpf_prog_info info = {0};
	int e = question(attr, &info, sizeof(info));

	if (!e)
		e = prog_info(prog, &info);
	return e ? e : give(attr, &info, sizeof(info));
}

static int link_answer(struct obj *link, union bpf_attr *attr)
{
	union {
		struct bpf_link_info link;
		uint8_t bytes[VM_LINK_INFO_BYTES];
	} info = {.bytes = {0}};
	int e = question(attr, &info, sizeof(info));

	if (e)
		return e;
	link_info(link, &info.link);
	return give(attr, &info, sizeof(info));
}

long sys_info(struct vm *vm, union bpf_attr *attr)
{
	union {
		struct bpf_map_info map;
		uint8_t bytes[VM_MAP_INFO_BYTES];
	} info = {.bytes = {0}};
	struct obj *obj;
	int e = obj_any_of_fd(vm, (int)attr->info.bpf_fd, &obj);

	if (e)
		return e == -EBADF ? -EBADFD : e;
	if (obj->kind == OBJ_MAP) {
		map_info((struct map *)obj, &info.map);
		e = give(attr, &info, sizeof(info));
	} else if (obj->kind == OBJ_BTF) {
		e = btf_info((struct vm_btf *)obj, attr);
	} else if (obj->kind == OBJ_LINK) {
		e = link_answer(obj, attr);
	} else if (obj->kind == OBJ_STATS || obj->kind == OBJ_PERF) {
		e = -EINVAL;
	} else {
		e = prog_answer((struct vm_program *)obj, attr);
	}
	obj_put(obj);
	return e;
}

static enum obj_kind kind_of(int cmd)
{
	switch (cmd) {
	case BPF_MAP_GET_NEXT_ID:
	case BPF_MAP_GET_FD_BY_ID:
		return OBJ_MAP;
	case BPF_BTF_GET_NEXT_ID:
	case BPF_BTF_GET_FD_BY_ID:
		return OBJ_BTF;
	case BPF_LINK_GET_NEXT_ID:
	case BPF_LINK_GET_FD_BY_ID:
		return OBJ_LINK;
	}
	return OBJ_PROG;
}

long sys_next_id(struct vm *vm, int cmd, union bpf_attr *attr)
{
	if (attr->start_id >= INT_MAX)
		return -EINVAL;
	return obj_next_id(vm, kind_of(cmd), attr->start_id, &attr->next_id);
}

long sys_fd_by_id(struct vm *vm, int cmd, union bpf_attr *attr)
{
	uint32_t flags = attr->open_flags;
	struct obj *obj;
	int e;

	if (flags & ~(uint32_t)(BPF_F_RDONLY | BPF_F_WRONLY) || flags == (BPF_F_RDONLY | BPF_F_WRONLY) ||
	    (flags && cmd != BPF_MAP_GET_FD_BY_ID))
		return -EINVAL;
	e = obj_of_id(vm, attr->map_id, kind_of(cmd), &obj);
	if (e)
		return e;
	if (flags)
		((struct map *)obj)->limited = true;
	pthread_mutex_lock(&vm->lock);
	e = obj_open(obj, flags & BPF_F_RDONLY ? O_RDONLY : flags & BPF_F_WRONLY ? O_WRONLY : O_RDWR);
	pthread_mutex_unlock(&vm->lock);
	obj_put(obj);
	return e;
}
