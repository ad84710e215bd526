// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* BPF_PROG_TEST_RUN of XDP programs, and what a running program asks the engine. */
#include <errno.h>
#include <net/ethernet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "vm/helper_fn.h"
#include "vm/map_ring.h"
#include "vm/packet.h"
#include "vm/sys.h"
#include "vm/sys_prog.h"
#include "vm/timer.h"
#include "vm/user.h"

/* The map that addr lies in, or that lies at addr: the program's own first, then what those hold. */
static struct map *find_map(struct vm_run *run, bool (*is)(struct map *, uint64_t, void *), uint64_t addr, void *arg)
{
	struct vm_program *p = vm_prog_owner(run->prog);
	struct obj *obj;
	struct map *found = NULL;
	uint32_t i;

	for (i = 0; i < p->n_maps; i++)
		if (is(p->map[i], addr, arg))
			return p->map[i];
	pthread_mutex_lock(&p->vm->lock);
	for (obj = p->vm->first[OBJ_MAP]; obj && !found; obj = obj->next)
		if (is((struct map *)obj, addr, arg))
			found = (struct map *)obj;
	pthread_mutex_unlock(&p->vm->lock);
	return found;
}

static bool is_map(struct map *map, uint64_t addr, void *arg)
{
	(void)arg;
	return (uintptr_t)map == addr;
}

struct span {
	const struct vm_run *run;
	uint64_t start, len;
};

static bool has_value(struct map *map, uint64_t addr, void *arg)
{
	struct span *s = arg;

	if (map->ops == &map_ring_ops)
		return ring_record(map, s->run, addr, &s->start, &s->len);
	return map->ops->region && map->ops->region(map, addr, &s->start, &s->len);
}

static bool region(struct vm_run *run, uint64_t addr, struct vm_region *to)
{
	struct span s = {.run = run};
	struct map *map = find_map(run, has_value, addr, &s);
	bool ring = map && map->ops == &map_ring_ops;

	if (!map || addr - s.start >= s.len)
		return false;
	*to = vm_region_make(ring ? VM_REGION_RECORD : VM_REGION_VALUE, (void *)(uintptr_t)s.start, s.len,
			     !(map->flags & BPF_F_RDONLY_PROG), map->name);
	if (map->flags & BPF_F_WRONLY_PROG) { /* and no check of several accesses at once, some of which may read */
		memset(to->reads, 0, sizeof(to->reads));
		to->read_end = to->write_end = 0;
	}
	return true;
}

static bool map_sizes(struct vm_run *run, uint64_t addr, uint32_t *key, uint32_t *value)
{
	struct map *map = find_map(run, is_map, addr, NULL);

	if (!map)
		return false;
	*key = map->key_size;
	*value = map->value_size;
	return true;
}

static const struct vm_prog *tail(struct vm_run *run, uint64_t addr, uint32_t index)
{
	struct map *map = find_map(run, is_map, addr, NULL);
	uint64_t slot;

	if (!map || map->ops != &map_prog_array_ops || index >= map->max_entries)
		return NULL;
	slot = __atomic_load_n((uint64_t *)(void *)map->data + index, __ATOMIC_ACQUIRE);
	return slot ? ((struct vm_program *)(uintptr_t)slot)->code : NULL;
}

const struct vm_env prog_env = {region, tail, map_sizes};

struct map *host_ring_of(struct vm_run *run, uint64_t record)
{
	struct span s = {.run = run};
	struct map *map = find_map(run, has_value, record, &s);

	return map && map->ops == &map_ring_ops && s.start == record ? map : NULL;
}

/* The kernel's order: what the context says must fit the data. */
static int read_ctx(const union bpf_attr *attr, struct xdp_md *ctx)
{
	uint32_t n = attr->test.ctx_size_in;
	uint64_t from = attr->test.ctx_in;
	int e;

	memset(ctx, 0, sizeof(*ctx));
	if (!from && !attr->test.ctx_out)
		return 0;
	if (from) {
		e = n > 4096 ? 0 : n > sizeof(*ctx) ? user_zero(from + sizeof(*ctx), n - sizeof(*ctx)) : 1;
		if (e > 0)
			e = user_read(ctx, from, n < sizeof(*ctx) ? n : sizeof(*ctx));
		else if (!e)
			e = -E2BIG;
		if (e)
			return e;
	}
	if (!from)
		ctx->data_end = attr->test.data_size_in;
	if (ctx->data_meta || ctx->data_end != attr->test.data_size_in || ctx->data > ctx->data_end || ctx->data % 4 ||
	    ctx->data > 255 || ctx->egress_ifindex)
		return -EINVAL;
	return 1;
}

static int fill(struct vm_packet *p, const struct xdp_md *in, uint64_t from, uint32_t size, bool has_ctx)
{
	struct user_buf data;
	int e = user_in(&data, from, size);

	if (e)
		return e;
	p->ctx = *in;
	packet_place(p, data.p, size, in->data);
	user_in_done(&data);
	if (!has_ctx || !in->ingress_ifindex)
		p->ctx.ingress_ifindex = 1; /* lo */
	return 0;
}

static int copy_out(uint64_t to, uint32_t room, const void *from, uint32_t bytes)
{
	uint32_t n = room && room < bytes ? room : bytes;

	int e = to ? user_write(to, from, n) : 0;

	return e ? e : to && n < bytes ? -ENOSPC : 0;
}

static int results(union bpf_attr *attr, const struct vm_packet *p, const struct xdp_md *in, bool has_ctx)
{
	uint32_t size = p->ctx.data_end - p->ctx.data_meta;
	struct xdp_md out = *in;
	int e;

	e = copy_out(attr->test.data_out, attr->test.data_size_out, (void *)(uintptr_t)p->ctx.data_meta, size);
	attr->test.data_size_out = size;
	if (e || !has_ctx)
		return e;
	out.data_end = size;
	out.data = p->ctx.data - p->ctx.data_meta;
	out.data_meta = 0;
	if (attr->test.ctx_out) {
		e = copy_out(attr->test.ctx_out, attr->test.ctx_size_out, &out, sizeof(out));
		attr->test.ctx_size_out = sizeof(out);
	}
	return e;
}

#define RUNS_BETWEEN 4096 /* two questions of whether anybody still waits for them */

static int run_all(struct vm *vm, struct vm_program *prog, union bpf_attr *attr, struct vm_packet *p)
{
	uint32_t repeat = attr->test.repeat ? attr->test.repeat : 1, i;
	struct vm_host host = {.vm = vm, .packet = p, .random = vm->seed};
	struct vm_run *run = malloc(sizeof(*run));
	uint64_t start, ns, ret = 0;
	int e = 0;

	if (!run)
		return -ENOMEM;
	vm_run_init(run, &prog_env, &host);
	vm_run_region(run, VM_REGION_CTX, &p->ctx, sizeof(p->ctx), false);
	obj_run_begin(vm); /* and not before: the caller's data may be long in coming */
	start = clock_mono_ns();
	for (i = 0; i < repeat && !e; i++) {
		if (i % RUNS_BETWEEN == RUNS_BETWEEN - 1 && user_gone()) {
			e = -EINTR;
			break;
		}
		run->budget = VM_BUDGET;
		e = timer_run(run);
		if (e)
			break;
		helper_packet_region(run);
		e = vm_exec(run, prog->code, (uintptr_t)&p->ctx, 0, &ret);
		helper_give_back(&host);
	}
	ns = clock_mono_ns() - start;
	obj_run_end(vm);
	if (obj_any(vm, OBJ_STATS)) {
		__atomic_fetch_add(&prog->runs, i, __ATOMIC_RELAXED);
		__atomic_fetch_add(&prog->run_ns, ns, __ATOMIC_RELAXED);
	}
	attr->test.retval = (uint32_t)ret;
	attr->test.duration = ns / repeat > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / repeat);
	free(run);
	return e;
}

static int test_run(struct vm *vm, struct vm_program *prog, union bpf_attr *attr)
{
	uint32_t size = attr->test.data_size_in;
	struct xdp_md ctx;
	struct vm_arena a;
	int has_ctx, e;

	if (prog->shape.type != BPF_PROG_TYPE_XDP)
		return -MAP_NOT_SUPPORTED;
	if (prog->shape.attach_type == BPF_XDP_DEVMAP || prog->shape.attach_type == BPF_XDP_CPUMAP)
		return -EINVAL;
	if (attr->test.flags & BPF_F_TEST_XDP_LIVE_FRAMES)
		return -EOPNOTSUPP;
	if (attr->test.flags || attr->test.batch_size)
		return -EINVAL;
	has_ctx = read_ctx(attr, &ctx);
	if (has_ctx < 0)
		return has_ctx;
	if (size < ETH_HLEN + ctx.data || size > PACKET_MOST_BYTES)
		return -EINVAL;
	e = packet_arena_new(&a, size);
	if (e)
		return e;
	e = fill(a.packet, &ctx, attr->test.data_in, size, has_ctx);
	if (!e)
		e = run_all(vm, prog, attr, a.packet);
	if (!e)
		e = results(attr, a.packet, &ctx, has_ctx);
	packet_arena_free(&a);
	return e;
}

long sys_prog_run(struct vm *vm, union bpf_attr *attr)
{
	struct obj *prog;
	int e;

	if ((attr->test.ctx_size_in && !attr->test.ctx_in) || (!attr->test.ctx_size_in && attr->test.ctx_in) ||
	    (attr->test.ctx_size_out && !attr->test.ctx_out) || (!attr->test.ctx_size_out && attr->test.ctx_out))
		return -EINVAL;
	if (obj_any(vm, OBJ_STATS)) /* is it still wanted? */
		obj_sweep(vm);
	e = obj_of_fd(vm, (int)attr->test.prog_fd, OBJ_PROG, &prog);
	if (e)
		return e;
	e = test_run(vm, (struct vm_program *)prog, attr);
	obj_put(prog);
	return e;
}
