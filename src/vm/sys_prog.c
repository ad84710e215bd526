// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* BPF_PROG_LOAD and BPF_PROG_BIND_MAP: programs as objects. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "isa/isa.h"
#include "vm/helper.h"
#include "vm/map_lookup.h"
#include "vm/kfunc.h"
#include "vm/prog.h"
#include "vm/sys.h"
#include "vm/sys_prog.h"
#include "vm/timer.h"
#include "vm/user.h"

#define LOAD_FLAGS                                                                                             \
	(BPF_F_STRICT_ALIGNMENT | BPF_F_ANY_ALIGNMENT | BPF_F_TEST_RND_HI32 | BPF_F_TEST_STATE_FREQ |          \
	 BPF_F_XDP_HAS_FRAGS)

static void drop_prog(struct obj *obj)
{
	struct vm_program *p = (struct vm_program *)obj;
	uint32_t i;

	timer_prog_gone(p);
	vm_prog_free(p->code);
	lines_free(&p->lines);
	for (i = 0; i < p->n_maps; i++)
		obj_put(&p->map[i]->obj);
	free(p->map);
	free(p->use);
	obj_put(p->btf);
}

/* Takes over the reference; a map that is there already is there once. */
static int keep_map(struct vm_program *p, struct map *map)
{
	struct map **more;
	uint32_t i;

	for (i = 0; i < p->n_maps; i++)
		if (p->map[i] == map) {
			obj_put(&map->obj);
			return 0;
		}
	more = realloc(p->map, (p->n_maps + 1) * sizeof(*more));
	if (!more) {
		obj_put(&map->obj);
		return -ENOMEM;
	}
	p->map = more;
	p->map[p->n_maps++] = map;
	p->nests |= map->ops == &map_array_of_maps_ops || map->ops == &map_hash_of_maps_ops;
	return 0;
}

/* Which map the next instruction that names one means: prog_info() has to say it again. */
static int use_map(struct vm_program *p, struct map *map)
{
	struct map **more = realloc(p->use, (p->n_uses + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	p->use = more;
	p->use[p->n_uses++] = map;
	return 0;
}

static int address(void *owner, const struct bpf_insn insn[2], uint64_t *value, struct sluice_err *err)
{
	struct vm_program *p = owner;
	uint32_t how = insn->src_reg;
	bool index = how == BPF_PSEUDO_MAP_IDX || how == BPF_PSEUDO_MAP_IDX_VALUE;
	struct obj *obj;
	struct map *map;
	int fd = insn->imm, e;

	if (how == BPF_PSEUDO_BTF_ID)
		return err_set(err, -EINVAL, "the address of a kernel variable; the user-space engine has no kernel");
	if (index && (!p->fds || fd < 0))
		return err_set(err, -EPROTO, "map index %d without fd_array", fd);
	if (index && user_read(&fd, p->fds + (uint32_t)fd * sizeof(fd), sizeof(fd)))
		return err_set(err, -EFAULT, "fd_array has no place %d", insn->imm);
	e = obj_of_fd(p->vm, fd, OBJ_MAP, &obj);
	if (e)
		return err_set(err, e, "descriptor %d is no map of this engine", fd);
	map = (struct map *)obj;
	if (keep_map(p, map) || use_map(p, map))
		return err_nomem(err);
	*value = (uintptr_t)map;
	if (how == BPF_PSEUDO_MAP_FD || how == BPF_PSEUDO_MAP_IDX)
		return 0;
	if (map->type != BPF_MAP_TYPE_ARRAY || map->max_entries != 1)
		return err_set(err, -MAP_NOT_SUPPORTED, "map %s is no array of one value, whose address could be taken",
			       map->name);
	if ((uint32_t)insn[1].imm >= map->value_size)
		return err_set(err, -EINVAL, "offset %u lies behind the value of map %s, which has %u bytes",
			       (uint32_t)insn[1].imm, map->name, map->value_size);
	*value = (uintptr_t)map->data + (uint32_t)insn[1].imm;
	return 0;
}

static int helper(void *owner, int32_t number, const struct vm_helper **to, struct sluice_err *err)
{
	const char *name = isa_helper_name(number);

	*to = helper_find(number);
	if (*to && helper_is_gpl(number) && !((struct vm_program *)owner)->gpl)
		return err_set(err, -EINVAL, "helper %s is only for programs under a licence compatible with the GPL", name);
	if (*to)
		return 0;
	return err_set(err, -EINVAL, "the user-space engine has no helper %s (number %d)", name ? name : "of that number",
		       number);
}

static int kfunc(void *owner, int32_t btf_id, int16_t btf_index, const struct vm_helper **to, struct sluice_err *err)
{
	return kfunc_link(owner, btf_id, btf_index, to, err);
}

static bool lookup(void *owner, uint64_t map, struct vm_lookup *how)
{
	(void)owner;
	return map_lookup_plan((struct map *)(uintptr_t)map, how);
}

static const struct vm_linker linker = {address, helper, kfunc, lookup};

static int check_attr(const union bpf_attr *attr)
{
	if (attr->prog_flags & ~(uint32_t)(LOAD_FLAGS | BPF_F_SLEEPABLE))
		return -EINVAL;
	if (!attr->insn_cnt || attr->insn_cnt > ISA_MAX_INSNS)
		return -E2BIG;
	if (attr->prog_type == BPF_PROG_TYPE_UNSPEC || attr->prog_type > BPF_PROG_TYPE_SYSCALL || attr->prog_ifindex)
		return -EINVAL;
	if (attr->prog_type == BPF_PROG_TYPE_XDP && attr->expected_attach_type != 0 &&
	    attr->expected_attach_type != BPF_XDP && attr->expected_attach_type != BPF_XDP_DEVMAP &&
	    attr->expected_attach_type != BPF_XDP_CPUMAP)
		return -EINVAL;
	return 0;
}

/* What went wrong, where the kernel's verifier would say it. */
static void say(const union bpf_attr *attr, const struct sluice_err *err)
{
	char text[sizeof(err->text) + 2];
	uint32_t n = (uint32_t)snprintf(text, sizeof(text), "%s%s", err->text, *err->text ? "\n" : "");

	if (!attr->log_level || !attr->log_size)
		return;
	if (n >= attr->log_size)
		text[n = attr->log_size - 1] = '\0';
	user_write(attr->log_buf, text, n + 1);
}

/* The licence matters up to its 127th character, as to the kernel. */
static int take_licence(struct vm_program *p, uint64_t from)
{
	char licence[128] = "";
	int e = user_string(licence, from, sizeof(licence) - 1);

	p->gpl = helper_licence_is_gpl(licence);
	return e == -ENAMETOOLONG ? 0 : e;
}

static int make_code(struct vm *vm, const union bpf_attr *attr, struct vm_program *p)
{
	struct vm_prog_spec spec = {.n_insns = attr->insn_cnt,
				    .name = p->name,
				    .linker = &linker,
				    .owner = p,
				    .engine = vm->engine,
				    .trusted = vm->trusted,
				    .line = lines_say};
	struct sluice_err err = {0};
	struct user_buf insns;
	int e = user_in(&insns, attr->insns, (uint64_t)attr->insn_cnt * sizeof(*spec.insns));

	if (e)
		return e;
	spec.insns = insns.p;
	e = vm_prog_new(&spec, &p->code, &err);
	if (!e)
		e = helper_check(p, &err);
	user_in_done(&insns);
	say(attr, &err);
	return e;
}

static int make(struct vm *vm, const union bpf_attr *attr, struct vm_program *p)
{
	int e = sys_name(p->name, attr->prog_name, sizeof(p->name));

	if (!e)
		e = take_licence(p, attr->license);
	if (e)
		return e;
	p->obj.kind = OBJ_PROG;
	p->obj.drop = drop_prog;
	p->vm = vm;
	p->fds = attr->fd_array;
	p->shape = (struct prog_shape){true, attr->prog_type, attr->expected_attach_type,
				       attr->prog_flags & BPF_F_XDP_HAS_FRAGS};
	if (attr->prog_btf_fd) {
		e = obj_of_fd(vm, (int)attr->prog_btf_fd, OBJ_BTF, &p->btf);
		if (e)
			return e;
	}
	e = lines_take(&p->lines, attr, p->btf ? ((struct vm_btf *)p->btf)->btf : NULL);
	if (e)
		return e;
	e = make_code(vm, attr, p);
	p->fds = 0;
	return e;
}

long sys_prog_load(struct vm *vm, union bpf_attr *attr)
{
	struct vm_program *p;
	int fd, e = check_attr(attr);

	if (e)
		return e;
	obj_sweep(vm);
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	e = make(vm, attr, p);
	fd = e ? e : obj_memfd("bpf-prog", &p->obj.fd);
	if (fd < 0) {
		drop_prog(&p->obj);
		free(p);
		return fd;
	}
	p->load_ns = clock_of(CLOCK_BOOTTIME);
	e = obj_add(vm, &p->obj);
	if (e) {
		close(p->obj.fd);
		close(fd);
		drop_prog(&p->obj);
		free(p);
		return e;
	}
	return fd;
}

static void drop_nothing(struct obj *obj)
{
	(void)obj;
}

/* Programs count their runs as long as somebody holds the descriptor. */
long sys_enable_stats(struct vm *vm, union bpf_attr *attr)
{
	struct obj *obj;
	int fd, e;

	if (attr->enable_stats.type != BPF_STATS_RUN_TIME)
		return -EINVAL;
	obj = calloc(1, sizeof(*obj));
	if (!obj)
		return -ENOMEM;
	obj->kind = OBJ_STATS;
	obj->drop = drop_nothing;
	fd = obj_memfd("bpf-stats", &obj->fd);
	e = fd < 0 ? fd : obj_add(vm, obj);
	if (e && fd >= 0) {
		close(obj->fd);
		close(fd);
	}
	if (e)
		free(obj);
	return e ? e : fd;
}

long sys_prog_bind_map(struct vm *vm, union bpf_attr *attr)
{
	struct obj *prog, *map;
	int e;

	if (attr->prog_bind_map.flags)
		return -EINVAL;
	e = obj_of_fd(vm, (int)attr->prog_bind_map.prog_fd, OBJ_PROG, &prog);
	if (e)
		return e;
	e = obj_of_fd(vm, (int)attr->prog_bind_map.map_fd, OBJ_MAP, &map);
	if (!e) {
		pthread_mutex_lock(&vm->lock);
		e = __atomic_load_n(&vm->running, __ATOMIC_ACQUIRE) ? -EBUSY : keep_map((struct vm_program *)prog, (struct map *)map);
		pthread_mutex_unlock(&vm->lock);
		if (e == -EBUSY)
			obj_put(map);
	}
	obj_put(prog);
	return e;
}

int prog_for_map(struct map *map, struct prog_shape *owner, int fd, struct obj **prog)
{
	int e = obj_of_fd(map->vm, fd, OBJ_PROG, prog);
	struct prog_shape *shape;

	if (e)
		return e;
	shape = &((struct vm_program *)*prog)->shape;
	pthread_mutex_lock(&map->vm->lock);
	if (!owner->set)
		*owner = *shape;
	e = memcmp(owner, shape, sizeof(*shape)) ? -EINVAL : 0;
	pthread_mutex_unlock(&map->vm->lock);
	if (e)
		obj_put(*prog);
	return e;
}

int prog_of_fd(struct vm *vm, int fd, uint32_t type, uint32_t attach_type, struct obj **prog)
{
	int e = obj_of_fd(vm, fd, OBJ_PROG, prog);
	struct prog_shape *shape;

	if (e)
		return e;
	shape = &((struct vm_program *)*prog)->shape;
	if (shape->type == type && shape->attach_type == attach_type)
		return 0;
	obj_put(*prog);
	return -EINVAL;
}
