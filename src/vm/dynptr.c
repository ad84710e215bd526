// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Dynamic pointers and the helpers on them; rules and errors of Linux' kernel/bpf/helpers.c. */
#include <errno.h>
#include <string.h>

#include "vm/dynptr.h"
#include "vm/map_ring.h"

#define KIND_SHIFT 28
#define MOST_PACKET 0xffff /* what offset and length of an access to a packet may be */

struct dynptr dynptr_get(uint64_t addr)
{
	struct dynptr d;

	memcpy(&d, ptr(addr), sizeof(d));
	return d;
}

void dynptr_set(uint64_t addr, const struct dynptr *d)
{
	memcpy(ptr(addr), d, sizeof(*d));
}

void dynptr_null(uint64_t addr)
{
	memset(ptr(addr), 0, sizeof(struct dynptr));
}

struct dynptr dynptr_make(enum dynptr_kind kind, uint64_t data, uint32_t size)
{
	return (struct dynptr){data, size | (uint32_t)kind << KIND_SHIFT, 0};
}

uint32_t dynptr_size(const struct dynptr *d)
{
	return d->size & DYNPTR_MOST;
}

static void *in_packet(struct vm_run *run, uint32_t offset, uint32_t len, int *e)
{
	const struct xdp_md *c = &host_of(run)->packet->ctx;

	*e = offset > MOST_PACKET || len > MOST_PACKET ? -EFAULT
	     : offset + len > c->data_end - c->data    ? -EINVAL
						       : 0;
	return *e ? NULL : ptr((uint64_t)c->data + offset);
}

void *dynptr_at(struct vm_run *run, const char *name, const struct dynptr *d, uint32_t offset, uint32_t len,
		bool write, int *e)
{
	uint32_t size = dynptr_size(d), kind = d->size >> KIND_SHIFT & 7;

	*e = -E2BIG;
	if (len > size || offset > size - len)
		return NULL;
	*e = 0;
	if (kind == DYNPTR_XDP)
		return in_packet(run, d->offset + offset, len, e);
	return host_mem(run, name, d->data + d->offset + offset, len, write, 0)
		       ? ptr(d->data + d->offset + offset)
		       : NULL;
}

DEFINE(dynptr_from_mem)
{
	uint32_t size = (uint32_t)a2;
	struct dynptr d = dynptr_make(DYNPTR_LOCAL, a1, size);
	int e = size > DYNPTR_MOST ? -E2BIG : a3 ? -EINVAL : 0;

	if (e)
		dynptr_null(a4);
	else
		dynptr_set(a4, &d);
	return answer(e);
}

DEFINE(dynptr_read)
{
	struct dynptr d = dynptr_get(a3);
	void *from;
	int e;

	if (!d.data || a5)
		return answer(-EINVAL);
	from = dynptr_at(run, NAME, &d, (uint32_t)a4, (uint32_t)a2, false, &e);
	if (from)
		memmove(ptr(a1), from, (uint32_t)a2);
	return answer(e);
}

DEFINE(dynptr_write)
{
	struct dynptr d = dynptr_get(a1);
	void *to;
	int e;

	if (!d.data || d.size & DYNPTR_RDONLY)
		return answer(-EINVAL);
	to = dynptr_at(run, NAME, &d, (uint32_t)a2, (uint32_t)a4, true, &e);
	if (e != -E2BIG && a5)
		return answer(-EINVAL);
	if (to)
		memmove(to, ptr(a3), (uint32_t)a4);
	return answer(e);
}

DEFINE(dynptr_data)
{
	struct dynptr d = dynptr_get(a1);
	int e;

	if (!d.data || d.size & DYNPTR_RDONLY || (d.size >> KIND_SHIFT & 7) == DYNPTR_XDP)
		return 0;
	return (uintptr_t)dynptr_at(run, NAME, &d, (uint32_t)a2, (uint32_t)a3, true, &e);
}

DEFINE(ringbuf_reserve_dynptr)
{
	uint32_t size = (uint32_t)a2;
	struct map *map = map_of(a1);
	struct dynptr d;
	void *record;

	dynptr_null(a4);
	if (a3 || map->ops != &map_ring_ops)
		return answer(-EINVAL);
	if (size > DYNPTR_MOST)
		return answer(-E2BIG);
	record = ring_reserve(map, run, size, 0);
	if (!record)
		return answer(-EINVAL);
	d = dynptr_make(DYNPTR_RING, (uintptr_t)record, size);
	dynptr_set(a4, &d);
	return 0;
}

static uint64_t finish(struct vm_run *run, uint64_t addr, uint64_t flags, bool discard)
{
	struct dynptr d = dynptr_get(addr);

	if (d.data)
		host_ring_finish(run, d.data, flags, discard);
	dynptr_null(addr);
	return 0;
}

DEFINE(ringbuf_submit_dynptr)
{
	return finish(run, a1, a2, false);
}

DEFINE(ringbuf_discard_dynptr)
{
	return finish(run, a1, a2, true);
}
