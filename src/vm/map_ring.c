// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Ring buffer in the kernel's layout, in the map's memfd:
 *
 *     page 0     consumer position, written by user space
 *     page 1     producer position
 *     then       data, and behind it the room where records that wrap around go on: the kernel maps data twice
 *
 * A file cannot hold one page at two offsets, so that the engine maps data twice for itself and, when a record that
 * wraps is finished, copies its second part to where user space's mapping looks for it.
 *
 * The kernel refuses writable mappings of all but page 0; a memfd cannot. So producer position and headers are written
 * there for readers and never read back: the position, and length and owner of each record in flight, are kept in
 * memory of the engine's own. Of what user space writes only its own position counts, and that may be anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm/lock.h"
#include "vm/map_ring.h"
#include "vm/wait.h"

#define BUSY BPF_RINGBUF_BUSY_BIT
#define DONE BPF_RINGBUF_DISCARD_BIT /* with BUSY: somebody finishes it at this moment */

/* A record, at the number of the 8 bytes that its header begins at. */
struct flight {
	uint32_t len; /* with BUSY as long as it is not finished */
	const void *owner;
};

struct ring {
	struct map map;
	uint8_t *pages; /* consumer, producer, data, data again */
	uint8_t *mirror;
	struct flight *flight;
	uint64_t page, produced, pending; /* pending: first record that is not finished */
	uint32_t lock;
	bool has_wait;
	struct wait wait;
};

static uint64_t *consumer(struct ring *r)
{
	return (uint64_t *)(void *)r->pages;
}

static uint64_t *producer(struct ring *r)
{
	return (uint64_t *)(void *)(r->pages + r->page);
}

static int check(union bpf_attr *attr, uint32_t n_cpus)
{
	(void)n_cpus;
	return attr->map_flags & ~BPF_F_NUMA_NODE || attr->key_size || attr->value_size || !attr->max_entries ||
			       attr->max_entries & (attr->max_entries - 1) ||
			       attr->max_entries % (uint32_t)sysconf(_SC_PAGESIZE)
		       ? -EINVAL
		       : 0;
}

static void fini(struct map *map)
{
	struct ring *r = (struct ring *)map;

	if (r->pages)
		munmap(r->pages, 2 * r->page + 2 * (uint64_t)map->max_entries);
	if (r->mirror)
		munmap(r->mirror, map->max_entries);
	map_release(r->flight, map->max_entries / 8 * sizeof(*r->flight));
	if (r->has_wait)
		wait_free(&r->wait);
}

static int init(struct map *map, const union bpf_attr *attr)
{
	struct ring *r = (struct ring *)map;
	uint64_t size = map->max_entries, all;
	void *p;
	int e;

	(void)attr;
	r->page = (uint64_t)sysconf(_SC_PAGESIZE);
	all = 2 * r->page + 2 * size;
	e = wait_new(&r->wait);
	if (e)
		return e;
	r->has_wait = true;
	r->flight = map_reserve(size / 8 * sizeof(*r->flight));
	if (!r->flight || ftruncate(map->obj.fd, (off_t)all) ||
	    fcntl(map->obj.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto fail;
	p = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		goto fail;
	r->pages = p;
	if (mmap(p, 2 * r->page + size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, map->obj.fd, 0) == MAP_FAILED ||
	    mmap(r->pages + 2 * r->page + size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, map->obj.fd,
		 (off_t)(2 * r->page)) == MAP_FAILED)
		goto fail;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, map->obj.fd, (off_t)(2 * r->page + size));
	if (p == MAP_FAILED)
		goto fail;
	r->mirror = p;
	map->data = r->pages + 2 * r->page;
	map->data_bytes = 2 * size;
	return 0;
fail:
	fini(map);
	return -ENOMEM;
}

int ring_wait_fd(const struct map *map)
{
	return ((const struct ring *)map)->wait.fd;
}

static uint32_t *head(struct ring *r, uint64_t pos)
{
	return (uint32_t *)(void *)(r->map.data + (pos & (r->map.max_entries - 1)));
}

static struct flight *flight(struct ring *r, uint64_t pos)
{
	return &r->flight[(pos & (r->map.max_entries - 1)) / 8];
}

static uint64_t record_bytes(uint32_t len)
{
	return ((uint64_t)(len & ~(uint32_t)(BUSY | DONE)) + BPF_RINGBUF_HDR_SZ + 7) & ~7ull;
}

void *ring_reserve(struct map *map, const void *owner, uint64_t bytes, uint64_t flags)
{
	struct ring *r = (struct ring *)map;
	uint64_t need, pos, cons;
	uint32_t *h, len;

	if (flags || bytes > (UINT32_MAX / 4) || ((bytes + 7) & ~7ull) + BPF_RINGBUF_HDR_SZ > map->max_entries)
		return NULL;
	need = (bytes + BPF_RINGBUF_HDR_SZ + 7) & ~7ull;
	cons = __atomic_load_n(consumer(r), __ATOMIC_ACQUIRE);
	spin_take(&r->lock);
	pos = r->produced;
	while (r->pending < pos) {
		len = __atomic_load_n(&flight(r, r->pending)->len, __ATOMIC_ACQUIRE);
		if (len & BUSY)
			break;
		r->pending += record_bytes(len);
	}
	/* user space may have written anything as its position: it may lose records by that, nothing else */
	if (pos + need - cons > map->max_entries - 1 || pos + need - r->pending > map->max_entries - 1) {
		spin_drop(&r->lock);
		return NULL;
	}
	h = head(r, pos);
	*flight(r, pos) = (struct flight){(uint32_t)bytes | BUSY, owner};
	h[1] = (uint32_t)(((uint8_t *)h - r->pages) / r->page);
	__atomic_store_n(h, (uint32_t)bytes | BUSY, __ATOMIC_RELAXED);
	__atomic_store_n(&r->produced, pos + need, __ATOMIC_RELAXED);
	__atomic_store_n(producer(r), pos + need, __ATOMIC_RELEASE);
	spin_drop(&r->lock);
	return h + 2;
}

/* The record in flight that begins there; the caller holds the lock. */
static struct flight *in_flight(struct ring *r, uint64_t off)
{
	struct flight *f = flight(r, off - BPF_RINGBUF_HDR_SZ);

	return off >= BPF_RINGBUF_HDR_SZ && off - BPF_RINGBUF_HDR_SZ < r->map.max_entries && off % 8 == 0 &&
			       (f->len & (BUSY | DONE)) == BUSY
		       ? f
		       : NULL;
}

void ring_submit(struct map *map, void *record, uint64_t flags, bool discard)
{
	struct ring *r = (struct ring *)map;
	uint64_t off = (uint64_t)((uint8_t *)record - map->data);
	uint32_t *h = (uint32_t *)record - 2, len = 0;
	struct flight *f;

	spin_take(&r->lock);
	f = in_flight(r, off);
	if (f) {
		len = f->len & ~(uint32_t)BUSY;
		f->len |= DONE;
	}
	spin_drop(&r->lock);
	if (!f)
		return;
	if (off + len > map->max_entries) /* it wraps: where user space looks for the rest */
		memcpy(r->mirror, map->data, off + len - map->max_entries);
	__atomic_exchange_n(h, len | (discard ? BPF_RINGBUF_DISCARD_BIT : 0), __ATOMIC_ACQ_REL);
	__atomic_store_n(&f->len, len, __ATOMIC_RELEASE);
	off -= BPF_RINGBUF_HDR_SZ;
	if (flags & BPF_RB_FORCE_WAKEUP ||
	    ((__atomic_load_n(consumer(r), __ATOMIC_ACQUIRE) & (map->max_entries - 1)) == off && !(flags & BPF_RB_NO_WAKEUP)))
		wait_wake(&r->wait);
}

int ring_output(struct map *map, const void *data, uint64_t bytes, uint64_t flags)
{
	void *to;

	if (flags & ~(uint64_t)(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP))
		return -EINVAL;
	to = ring_reserve(map, NULL, bytes, 0);
	if (!to)
		return -EAGAIN;
	memcpy(to, data, bytes);
	ring_submit(map, to, flags, false);
	return 0;
}

uint64_t ring_query(struct map *map, uint64_t flags)
{
	struct ring *r = (struct ring *)map;
	uint64_t cons = __atomic_load_n(consumer(r), __ATOMIC_ACQUIRE), prod = __atomic_load_n(&r->produced, __ATOMIC_ACQUIRE);

	switch (flags) {
	case BPF_RB_AVAIL_DATA:
		return prod - cons;
	case BPF_RB_RING_SIZE:
		return map->max_entries;
	case BPF_RB_CONS_POS:
		return cons;
	case BPF_RB_PROD_POS:
		return prod;
	}
	return 0;
}

static void *no_lookup(struct map *map, const void *key, uint32_t cpu)
{
	(void)map, (void)key, (void)cpu;
	return NULL;
}

static int no_update(struct map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	(void)map, (void)key, (void)value, (void)flags, (void)cpu;
	return -MAP_NOT_SUPPORTED;
}

static int no_del(struct map *map, const void *key)
{
	(void)map, (void)key;
	return -MAP_NOT_SUPPORTED;
}

static int no_next(struct map *map, const void *key, void *next)
{
	(void)map, (void)key, (void)next;
	return -MAP_NOT_SUPPORTED;
}

bool ring_record(struct map *map, const void *owner, uint64_t addr, uint64_t *start, uint64_t *len)
{
	struct ring *r = (struct ring *)map;
	uint64_t off = addr - (uint64_t)(uintptr_t)map->data, at, pos;
	struct flight *f;
	uint32_t n;

	if (off >= map->data_bytes || !owner)
		return false;
	spin_take(&r->lock);
	f = in_flight(r, off); /* one of no bytes is one, too */
	at = off;
	for (pos = r->pending; !f && pos < r->produced; pos += record_bytes(n)) {
		at = (pos & (map->max_entries - 1)) + BPF_RINGBUF_HDR_SZ;
		n = flight(r, pos)->len;
		if (off > at && off < at + (n & ~(uint32_t)(BUSY | DONE)))
			f = in_flight(r, at);
	}
	if (f && f->owner == owner) {
		*start = (uint64_t)(uintptr_t)map->data + at;
		*len = f->len & ~(uint32_t)BUSY;
	} else {
		f = NULL;
	}
	spin_drop(&r->lock);
	return f;
}

const struct map_ops map_ring_ops = {
	.bytes = sizeof(struct ring),
	.check = check,
	.init = init,
	.fini = fini,
	.lookup = no_lookup,
	.update = no_update,
	.del = no_del,
	.next = no_next,
	.no_lookup = true,
};
