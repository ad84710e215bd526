// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* XDP_REDIRECT resolved: one target or many, and the programs of map entries that run on the way. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/helper_fn.h"
#include "vm/map_dev.h"
#include "vm/redirect.h"
#include "vm/sys_prog.h"

#define SAVED_BYTES 2048 /* packets of ordinary size need no allocation */

typedef void (*deliver_fn)(void *arg, const struct vm_target *target, const struct vm_packet *packet);

struct way {
	struct vm_run *run;
	struct vm_host *host;
	deliver_fn deliver;
	void *arg;
	int n; /* delivered so far */
	uint32_t hops;
};

/* A packet put aside while a program of one target works on it. */
struct saved {
	struct xdp_md ctx;
	uint8_t *bytes, small[SAVED_BYTES];
};

static int save(struct saved *s, const struct vm_packet *p)
{
	uint32_t len = p->ctx.data_end - p->ctx.data_meta;

	s->ctx = p->ctx;
	s->bytes = len <= sizeof(s->small) ? s->small : malloc(len);
	if (!s->bytes)
		return -ENOMEM;
	memcpy(s->bytes, (const void *)(uintptr_t)p->ctx.data_meta, len);
	return 0;
}

static void restore(const struct saved *s, struct vm_packet *p)
{
	p->ctx = s->ctx;
	memcpy((void *)(uintptr_t)s->ctx.data_meta, s->bytes, s->ctx.data_end - s->ctx.data_meta);
}

static void forget(struct saved *s)
{
	if (s->bytes != s->small)
		free(s->bytes);
}

/* Runs a map entry's program: of a frame that is on its way the receive queue is not known any more. */
static int run_entry(struct way *w, struct obj *prog, uint32_t egress, uint32_t *verdict)
{
	struct xdp_md *ctx = &w->host->packet->ctx;
	uint64_t ret;
	int e;

	ctx->rx_queue_index = 0;
	ctx->egress_ifindex = egress;
	helper_packet_region(w->run);
	e = vm_exec(w->run, ((struct vm_program *)prog)->code, (uintptr_t)ctx, 0, &ret);
	ctx->egress_ifindex = 0;
	*verdict = (uint32_t)ret;
	return e;
}

static int give(struct way *w, struct vm_target *target, struct obj *prog)
{
	uint32_t queue = w->host->packet->ctx.rx_queue_index;
	int e = prog ? run_entry(w, prog, target->kind == VM_TO_IF ? target->index : 0, &target->verdict) : 0;

	target->rx_queue = queue;
	w->host->packet->ctx.rx_queue_index = queue;
	if (e)
		return e;
	w->n++;
	w->deliver(w->arg, target, w->host->packet);
	return 0;
}

static struct map_dev *entry(struct map *map, const void *key)
{
	return map->lookup(map, key, 0);
}

static int to_interface(struct way *w, struct map *map, const struct map_dev *dev)
{
	struct vm_target to = {VM_TO_IF, dev->value.first, 0, map->name, XDP_PASS};

	return give(w, &to, dev->prog);
}

static int to_all(struct way *w, struct map *map, bool but_ingress)
{
	uint32_t ingress = w->host->packet->ctx.ingress_ifindex, key, next;
	struct saved saved;
	int e = save(&saved, w->host->packet);

	if (e)
		return e;
	for (e = map->ops->next(map, NULL, &next); !e; e = map->ops->next(map, &key, &next)) {
		struct map_dev *dev = entry(map, &next);

		key = next;
		if (!dev || (but_ingress && dev->value.first == ingress))
			continue;
		e = to_interface(w, map, dev);
		if (dev->prog)
			restore(&saved, w->host->packet);
		if (e)
			break;
	}
	forget(&saved);
	return e == -ENOENT ? 0 : e;
}

static int resolve(struct way *w);

static int to_cpu(struct way *w, struct map *map, uint32_t cpu, const struct map_dev *dev)
{
	struct vm_target to = {VM_TO_CPU, cpu, 0, map->name, XDP_PASS};
	uint32_t here = w->host->cpu;
	int e;

	w->host->cpu = cpu;
	e = give(w, &to, dev->prog);
	if (!e && to.verdict == XDP_REDIRECT)
		e = ++w->hops < VM_REDIRECT_HOPS ? resolve(w) : -ELOOP;
	w->host->cpu = here;
	return e;
}

static int to_socket(struct way *w, struct map *map, uint32_t slot)
{
	struct vm_target to = {VM_TO_XSK, slot, 0, map->name, XDP_PASS};

	return give(w, &to, NULL);
}

static int resolve(struct way *w)
{
	struct vm_host *h = w->host;
	struct map *map = h->redirect_map;
	uint32_t key = (uint32_t)h->redirect_index;
	struct vm_target plain = {VM_TO_IF, key, 0, NULL, XDP_PASS};
	bool asked = h->redirect_asked;
	struct map_dev *dev;

	h->redirect_asked = false;
	h->redirect_map = NULL;
	if (!asked)
		return -EBADRQC;
	if (!map)
		return give(w, &plain, NULL);
	if (h->redirect_flags & BPF_F_BROADCAST)
		return to_all(w, map, h->redirect_flags & BPF_F_EXCLUDE_INGRESS);
	dev = entry(map, &key);
	if (!dev)
		return -ENOENT;
	if (map->ops == &map_cpumap_ops)
		return to_cpu(w, map, key, dev);
	return map->ops == &map_xskmap_ops ? to_socket(w, map, key) : to_interface(w, map, dev);
}

int vm_redirect(struct vm_run *run, deliver_fn deliver, void *arg)
{
	struct way w = {.run = run, .host = run->host, .deliver = deliver, .arg = arg};
	int e = resolve(&w);

	return e ? e : w.n;
}
