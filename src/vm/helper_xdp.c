// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Helpers on packets. */
#include <errno.h>
#include <net/ethernet.h>
#include <string.h>

#include "vm/helper_fn.h"
#include "vm/perf.h"
#include "vm/sys_prog.h"

#define MOST_META 255

static struct vm_packet *packet(uint64_t ctx)
{
	return (struct vm_packet *)(uintptr_t)ctx;
}

void helper_packet_region(struct vm_run *run)
{
	const struct xdp_md *ctx = &((struct vm_host *)run->host)->packet->ctx;

	vm_run_region(run, VM_REGION_PACKET, (void *)(uintptr_t)ctx->data_meta, ctx->data_end - ctx->data_meta, true);
}

static uint64_t refuse(int e)
{
	return (uint64_t)(int64_t)-e;
}

static uint32_t first_byte(const struct vm_packet *p)
{
	return (uint32_t)(uintptr_t)p->frame + HELPER_FRAME_HEAD;
}

DEFINE(xdp_adjust_head)
{
	struct vm_packet *p = packet(a1);
	struct xdp_md *c = &p->ctx;
	int64_t by = (int32_t)a2, meta = c->data - c->data_meta, data = (int64_t)c->data + by;

	if (data < (int64_t)first_byte(p) + meta || data > (int64_t)c->data_end - ETH_HLEN)
		return refuse(EINVAL);
	if (meta)
		memmove((void *)(uintptr_t)(data - meta), (void *)(uintptr_t)c->data_meta, (size_t)meta);
	c->data = (uint32_t)data;
	c->data_meta = (uint32_t)(data - meta);
	helper_packet_region(run);
	return 0;
}

DEFINE(xdp_adjust_tail)
{
	struct vm_packet *p = packet(a1);
	struct xdp_md *c = &p->ctx;
	int64_t end = (int64_t)c->data_end + (int32_t)a2;

	if (end > (int64_t)(uintptr_t)p->frame + p->frame_bytes || end < (int64_t)c->data + ETH_HLEN)
		return refuse(EINVAL);
	if (end > (int64_t)c->data_end)
		memset((void *)(uintptr_t)c->data_end, 0, (size_t)(end - c->data_end));
	c->data_end = (uint32_t)end;
	helper_packet_region(run);
	return 0;
}

DEFINE(xdp_adjust_meta)
{
	struct vm_packet *p = packet(a1);
	struct xdp_md *c = &p->ctx;
	int64_t meta = (int64_t)c->data_meta + (int32_t)a2, len = (int64_t)c->data - meta;

	if (meta < (int64_t)first_byte(p) || len < 0)
		return refuse(EINVAL);
	if (len % 4 || len > MOST_META)
		return refuse(EACCES);
	c->data_meta = (uint32_t)meta;
	helper_packet_region(run);
	return 0;
}

DEFINE(xdp_get_buff_len)
{
	return packet(a1)->ctx.data_end - packet(a1)->ctx.data;
}

/* Offset and length reach no further than a packet can; *e is the kernel's word for what is wrong. */
static uint8_t *part(uint64_t ctx, uint64_t off, uint64_t len, int *e)
{
	const struct xdp_md *c = &packet(ctx)->ctx;
	uint32_t at = (uint32_t)off, n = (uint32_t)len;

	*e = at > 0xffff || n > 0xffff ? EFAULT : at + n > c->data_end - c->data ? EINVAL : 0;
	return (uint8_t *)(uintptr_t)c->data + at;
}

DEFINE(xdp_load_bytes)
{
	int e;
	const uint8_t *from = part(a1, a2, a4, &e);

	if (e)
		return refuse(e);
	memcpy((void *)(uintptr_t)a3, from, (uint32_t)a4);
	return 0;
}

DEFINE(xdp_store_bytes)
{
	int e;
	uint8_t *to = part(a1, a2, a4, &e);

	if (e)
		return refuse(e);
	memcpy(to, (const void *)(uintptr_t)a3, (uint32_t)a4);
	return 0;
}

/* One's complement sum in 32 bits, end-around carry; what is missing in the last word counts as zero. */
static uint32_t sum(uint64_t at, uint64_t len, uint32_t seed)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)at;
	uint64_t s = seed, i;
	uint32_t v;

	for (i = 0; i + 4 <= len; i += 4) {
		memcpy(&v, p + i, sizeof(v));
		s += v;
	}
	if (i < len) {
		v = 0;
		memcpy(&v, p + i, len - i);
		s += v;
	}
	s = (s & 0xffffffffu) + (s >> 32);
	return (uint32_t)(s + (s >> 32));
}

DEFINE(csum_diff)
{
	uint64_t t = (uint32_t)a5;
	uint32_t s;

	if (a4)
		t = (uint64_t)sum(a3, a4, (uint32_t)a5) + (a2 ? (uint32_t)~sum(a1, a2, 0) : 0);
	else if (a2) /* of the two zeroes of one's complement this is another than the sum of differences gives */
		t = (uint32_t)~sum(a1, a2, ~(uint32_t)a5);
	s = (uint32_t)((t & 0xffffffffu) + (t >> 32));
	s = (s & 0xffff) + (s >> 16);
	return (s & 0xffff) + (s >> 16); /* 16 bits, as the kernel since 6.13 */
}

DEFINE(perf_event_output)
{
	const struct xdp_md *c = &packet(a1)->ctx;
	uint64_t index = a3 & BPF_F_INDEX_MASK, bytes = (a3 & BPF_F_CTXLEN_MASK) >> 32;
	uint32_t cpu = host_of(run)->cpu;
	struct map *map = map_of(a2);
	struct obj *perf;

	if (a3 & ~(BPF_F_INDEX_MASK | BPF_F_CTXLEN_MASK) || map->type != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		return refuse(EINVAL);
	if (bytes > c->data_end - c->data)
		return refuse(EFAULT);
	if (index == BPF_F_CURRENT_CPU)
		index = cpu;
	if (index >= map->max_entries)
		return refuse(E2BIG);
	perf = map_perf_event(map, (uint32_t)index);
	return perf ? answer(perf_output(perf, cpu, ptr(a4), a5, ptr(c->data), bytes)) : refuse(ENOENT);
}

static uint64_t redirect(struct vm_run *run, struct map *map, uint64_t index, uint64_t flags)
{
	struct vm_host *host = run->host;

	host->redirect_map = map;
	host->redirect_index = index;
	host->redirect_flags = flags;
	host->redirect_asked = true;
	return XDP_REDIRECT;
}

DEFINE(redirect)
{
	return a2 ? XDP_ABORTED : redirect(run, NULL, (uint32_t)a1, 0);
}

DEFINE(redirect_map)
{
	struct map *map = (struct map *)(uintptr_t)a1;
	bool dev = map->ops == &map_devmap_ops || map->ops == &map_devmap_hash_ops;
	uint64_t more = dev ? BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS : 0;
	uint32_t key = (uint32_t)a2;

	if (!dev && map->ops != &map_cpumap_ops && map->ops != &map_xskmap_ops)
		return refuse(EINVAL);
	if (a3 & ~(more | 3))
		return XDP_ABORTED;
	if (!(a3 & BPF_F_BROADCAST) && !map->lookup(map, &key, 0)) {
		/* as in the kernel: what an earlier call asked for is an interface's number from now on */
		redirect(run, NULL, ((struct vm_host *)run->host)->redirect_index, 0);
		return a3 & 3;
	}
	return redirect(run, map, key, a3 & ~3ull);
}
