// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Links: XDP programs on the engine's interfaces. What is refused, and in which order, is the kernel's
 * dev_xdp_attach(), link_create() and link_update().
 */
#include <errno.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/sys.h"
#include "vm/sys_prog.h"
#include "vm/user.h"

#define LO 1
/* What fits a page beside headroom and what the kernel keeps behind a frame: veth's limit for a program without frags. */
#define NATIVE_MTU (4096 - 256 - 320 - 14)

struct vm_link {
	struct obj obj;
	struct vm *vm;
	struct obj *prog;
	uint32_t ifindex; /* 0: taken off */
	uint32_t flags;
};

static uint32_t mode_of(uint32_t ifindex, uint32_t flags)
{
	if (flags & XDP_FLAGS_MODES)
		return flags & XDP_FLAGS_MODES;
	return ifindex == LO ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE; /* lo has no driver that could */
}

/* The caller holds vm->lock; a sweep does, and vm_free() needs none. */
static void take_off(struct vm_link *l)
{
	struct sys_if *i = l->ifindex ? sys_if_find(l->vm, l->ifindex) : NULL;

	if (i && i->link == l)
		i->link = NULL;
	l->ifindex = 0;
}

static void drop_link(struct obj *obj)
{
	struct vm_link *l = (struct vm_link *)obj;

	take_off(l);
	obj_put(l->prog);
}

/* Does the interface take that program in that mode? */
static int check_program(const struct sys_if *i, uint32_t mode, const struct prog_shape *shape)
{
	if (shape->attach_type == BPF_XDP_DEVMAP || shape->attach_type == BPF_XDP_CPUMAP)
		return -EINVAL;
	if (i->about.ifindex == LO && mode != XDP_FLAGS_SKB_MODE)
		return -EOPNOTSUPP;
	if (mode == XDP_FLAGS_HW_MODE)
		return -EINVAL; /* what veth says */
	if (mode == XDP_FLAGS_DRV_MODE && i->about.mtu > NATIVE_MTU && !(shape->flags & BPF_F_XDP_HAS_FRAGS))
		return -ERANGE;
	return 0;
}

static const struct prog_shape *shape_of(const struct obj *prog)
{
	return &((const struct vm_program *)prog)->shape;
}

static int put_on(struct vm_link *l, uint32_t ifindex)
{
	struct sys_if *i = sys_if_find(l->vm, ifindex);
	uint32_t mode = mode_of(ifindex, l->flags), other;
	int e;

	if (!i)
		return -EINVAL;
	if (l->flags & ~(uint32_t)XDP_FLAGS_MODES || __builtin_popcount(l->flags & XDP_FLAGS_MODES) > 1)
		return -EINVAL;
	if (i->link && !obj_held(&i->link->obj))
		take_off(i->link);
	other = i->link ? mode_of(ifindex, i->link->flags) : 0;
	if (other == mode)
		return -EBUSY;
	if (other && mode != XDP_FLAGS_HW_MODE)
		return -EEXIST;
	e = check_program(i, mode, shape_of(l->prog));
	if (e)
		return e;
	i->link = l;
	l->ifindex = ifindex;
	return 0;
}

static int attach(struct vm *vm, struct vm_link *l, uint32_t ifindex)
{
	/* bpftool tells a link by its name in /proc, and looks for a dash where the kernel writes the other */
	int fd = obj_memfd("bpf-link bpf_link", &l->obj.fd), e;

	if (fd < 0)
		return fd;
	l->obj.kind = OBJ_LINK;
	l->obj.drop = drop_link;
	l->vm = vm;
	pthread_mutex_lock(&vm->lock);
	e = put_on(l, ifindex);
	pthread_mutex_unlock(&vm->lock);
	if (!e)
		e = obj_add(vm, &l->obj);
	if (!e)
		return fd;
	pthread_mutex_lock(&vm->lock);
	take_off(l);
	pthread_mutex_unlock(&vm->lock);
	close(l->obj.fd);
	close(fd);
	return e;
}

long sys_link_create(struct vm *vm, union bpf_attr *attr)
{
	struct vm_link *l;
	struct obj *prog;
	int fd, e = obj_of_fd(vm, (int)attr->link_create.prog_fd, OBJ_PROG, &prog);

	if (e)
		return e;
	if (attr->link_create.attach_type != BPF_XDP || shape_of(prog)->type != BPF_PROG_TYPE_XDP)
		e = -EINVAL;
	l = e ? NULL : calloc(1, sizeof(*l));
	if (!l) {
		obj_put(prog);
		return e ? e : -ENOMEM;
	}
	obj_sweep(vm);
	l->prog = prog;
	l->flags = attr->link_create.flags;
	fd = attach(vm, l, attr->link_create.target_ifindex);
	if (fd < 0) {
		obj_put(prog);
		free(l);
	}
	return fd;
}

static int exchange(struct vm_link *l, struct obj *new, const struct obj *old)
{
	struct sys_if *i = l->ifindex ? sys_if_find(l->vm, l->ifindex) : NULL;
	struct obj *before = l->prog;
	int e;

	if (!i)
		return -ENOLINK;
	if (old && old != before)
		return -EPERM;
	if (shape_of(before)->type != shape_of(new)->type || shape_of(before)->attach_type != shape_of(new)->attach_type)
		return -EINVAL;
	if (new == before)
		return 0;
	e = check_program(i, mode_of(l->ifindex, l->flags), shape_of(new));
	if (e)
		return e;
	obj_get(new);
	l->prog = new;
	obj_put(before);
	return 0;
}

static int update(struct vm *vm, struct vm_link *l, const union bpf_attr *attr)
{
	struct obj *new, *old = NULL;
	int e = obj_of_fd(vm, (int)attr->link_update.new_prog_fd, OBJ_PROG, &new);

	if (e)
		return e;
	if (attr->link_update.flags & BPF_F_REPLACE)
		e = obj_of_fd(vm, (int)attr->link_update.old_prog_fd, OBJ_PROG, &old);
	else if (attr->link_update.old_prog_fd)
		e = -EINVAL;
	if (!e) {
		pthread_mutex_lock(&vm->lock);
		e = exchange(l, new, old);
		pthread_mutex_unlock(&vm->lock);
	}
	obj_put(old);
	obj_put(new);
	return e;
}

long sys_link_update(struct vm *vm, union bpf_attr *attr)
{
	struct obj *link;
	int e;

	if (attr->link_update.flags & ~(uint32_t)BPF_F_REPLACE)
		return -EINVAL;
	e = obj_of_fd(vm, (int)attr->link_update.link_fd, OBJ_LINK, &link);
	if (e)
		return e;
	e = update(vm, (struct vm_link *)link, attr);
	obj_put(link);
	return e;
}

long sys_link_detach(struct vm *vm, union bpf_attr *attr)
{
	struct obj *link;
	int e = obj_of_fd(vm, (int)attr->link_detach.link_fd, OBJ_LINK, &link);

	if (e)
		return e;
	pthread_mutex_lock(&vm->lock);
	take_off((struct vm_link *)link);
	pthread_mutex_unlock(&vm->lock);
	obj_put(link);
	return 0;
}

void link_info(struct obj *link, struct bpf_link_info *info)
{
	struct vm_link *l = (struct vm_link *)link;

	info->type = BPF_LINK_TYPE_XDP;
	info->id = l->obj.id;
	pthread_mutex_lock(&l->vm->lock);
	info->prog_id = l->prog->id;
	info->xdp.ifindex = l->ifindex;
	pthread_mutex_unlock(&l->vm->lock);
}

struct obj *vm_if_program(struct vm *vm, uint32_t ifindex)
{
	struct obj *prog = NULL;
	struct sys_if *i;

	pthread_mutex_lock(&vm->lock);
	i = sys_if_find(vm, ifindex);
	if (i && i->link && !obj_held(&i->link->obj))
		take_off(i->link);
	if (i && i->link) {
		prog = i->link->prog;
		obj_get(prog);
	}
	pthread_mutex_unlock(&vm->lock);
	return prog;
}
