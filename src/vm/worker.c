// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One thread's packets through a loaded program. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "vm/packet.h"
#include "vm/sys.h"
#include "vm/sys_prog.h"
#include "vm/timer.h"
#include "vm/worker.h"

struct vm_worker {
	struct vm_run run;
	struct vm_host host;
	struct vm_arena arena;
	struct vm_program *prog;
	int64_t budget;
	uint32_t started; /* where the last packet, with its metadata, began before it ran */
	void (*deliver)(void *arg, const struct vm_target *target, const struct vm_packet *packet);
	void *arg;
};

static void drop(void *arg, const struct vm_target *target, const struct vm_packet *packet)
{
	(void)arg, (void)target, (void)packet;
}

static int check(struct vm *vm, const struct vm_program *p, const struct vm_worker_config *c,
		 struct sluice_err *err)
{
	if (p->shape.type != BPF_PROG_TYPE_XDP || p->shape.attach_type == BPF_XDP_DEVMAP ||
	    p->shape.attach_type == BPF_XDP_CPUMAP)
		return err_set(err, -EOPNOTSUPP,
			       "program %s cannot be run on packets as they arrive: an XDP program for an "
			       "interface is wanted",
			       p->name);
	if (c->cpu >= vm->n_cpus)
		return err_set(err, -EINVAL, "CPU %u: the engine has %u", c->cpu, vm->n_cpus);
	if (c->longest > PACKET_MOST_BYTES + HELPER_HEADROOM)
		return err_set(err, -EINVAL, "packets of %u bytes: at most %u are possible", c->longest,
			       PACKET_MOST_BYTES);
	return 0;
}

int vm_worker_new(struct vm *vm, int prog_fd, const struct vm_worker_config *config,
		  struct vm_worker **worker, struct sluice_err *err)
{
	static const struct vm_worker_config defaults;
	const struct vm_worker_config *c = config ? config : &defaults;
	struct vm_worker *w = NULL;
	struct obj *prog;
	int e;

	*worker = NULL;
	e = obj_of_fd(vm, prog_fd, OBJ_PROG, &prog);
	if (e)
		return err_set(err, e, "descriptor %d is no program of this engine", prog_fd);
	e = check(vm, (struct vm_program *)prog, c, err);
	if (!e && posix_memalign((void **)&w, 64, sizeof(*w)))
		e = err_nomem(err);
	if (!e && packet_arena_new(&w->arena, c->longest ? c->longest : PACKET_MOST_BYTES))
		e = err_nomem(err);
	if (e) {
		free(w);
		obj_put(prog);
		return e;
	}
	obj_run_begin(vm);
	w->prog = (struct vm_program *)prog;
	w->host = (struct vm_host){.vm = vm,
				   .packet = w->arena.packet,
				   .cpu = c->cpu,
				   .random = c->seed ? c->seed : vm->seed};
	w->budget = c->budget ? c->budget : VM_BUDGET;
	w->deliver = c->deliver ? c->deliver : drop;
	w->arg = c->arg;
	vm_run_init(&w->run, &prog_env, &w->host);
	vm_run_region(&w->run, VM_REGION_CTX, &w->arena.packet->ctx, sizeof(struct xdp_md), false);
	w->run.watch = c->watch;
	*worker = w;
	return 0;
}

void vm_worker_free(struct vm_worker *w)
{
	if (!w)
		return;
	obj_run_end(w->host.vm);
	obj_put(&w->prog->obj);
	packet_arena_free(&w->arena);
	free(w);
}

void vm_worker_watch(struct vm_worker *w, struct vm_watch *watch)
{
	w->run.watch = watch;
}

void vm_worker_cpu(struct vm_worker *w, uint32_t cpu)
{
	w->host.cpu = cpu < w->host.vm->n_cpus ? cpu : 0;
}

/* The packet's region is most often what it was: packets of one size, in the same frame. */
static inline void set_region(struct vm_run *run, const struct xdp_md *ctx)
{
	const struct vm_region *r = &run->region[VM_REGION_PACKET];

	if (r->start != ctx->data_meta || r->len != ctx->data_end - ctx->data_meta)
		helper_packet_region(run);
}

void vm_worker_run(struct vm_worker *w, const struct vm_frame *in, const struct vm_frame *next,
		   struct vm_done *out)
{
	struct vm_packet *p = w->arena.packet;
	uint64_t r0;
	int n;

	if (next) {
		__builtin_prefetch(next->data);
		__builtin_prefetch((const char *)next->data + 64);
	}
	/* what the packet before had in front of itself is not this one's */
	if (__builtin_expect(p->ctx.data_meta < w->started, 0))
		memset(p->frame, 0, HELPER_HEADROOM);
	packet_place(p, in->data, in->len, in->meta_len);
	w->started = p->ctx.data_meta;
	p->ctx.ingress_ifindex = in->ifindex;
	p->ctx.rx_queue_index = in->rx_queue;
	p->ctx.egress_ifindex = 0;
	w->host.now_ns = in->time_ns;
	w->host.redirect_asked = false; /* by the packet before, which went elsewhere */
	w->run.budget = w->budget;
	out->error = timer_run(&w->run); /* those that are due before this packet */
	set_region(&w->run, &p->ctx);
	w->run.budget = w->budget;
	if (!out->error)
		out->error = vm_exec(&w->run, w->prog->code, (uintptr_t)&p->ctx, 0, &r0);
	helper_give_back(&w->host);
	out->verdict = out->error ? XDP_ABORTED : (uint32_t)r0;
	out->n_targets = 0;
	if (out->verdict == XDP_REDIRECT) {
		n = vm_redirect(&w->run, w->deliver, w->arg);
		out->error = n < 0 ? n : 0;
		out->n_targets = n < 0 ? 0 : n;
	}
	out->fault = out->error == -EFAULT ? &w->run.fault : NULL;
	out->data = (const uint8_t *)(uintptr_t)p->ctx.data;
	out->len = p->ctx.data_end - p->ctx.data;
	out->meta_len = p->ctx.data - p->ctx.data_meta;
}
