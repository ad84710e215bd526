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
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm/lock.h"
#include "vm/map_ring.h"

struct ring {
	struct map map;
	uint8_t *pages; /* consumer, producer, data, data again */
	uint8_t *mirror;
	uint64_t page, pending; /* pending: first record that is not finished */
	uint32_t lock;
	int wait_fd;
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
	if (r->wait_fd >= 0)
		close(r->wait_fd);
}

static int init(struct map *map, const union bpf_attr *attr)
{
	struct ring *r = (struct ring *)map;
	uint64_t size = map->max_entries, all;
	void *p;

	(void)attr;
	r->page = (uint64_t)sysconf(_SC_PAGESIZE);
	all = 2 * r->page + 2 * size;
	r->wait_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->wait_fd < 0)
		return -errno;
	if (ftruncate(map->obj.fd, (off_t)all) || fcntl(map->obj.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
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
	return ((const struct ring *)map)->wait_fd;
}

static uint32_t *head(struct ring *r, uint64_t pos)
{
	return (uint32_t *)(void *)(r->map.data + (pos & (r->map.max_entries - 1)));
}

static uint64_t record_bytes(uint32_t len)
{
	return ((uint64_t)(len & ~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)) + BPF_RINGBUF_HDR_SZ + 7) & ~7ull;
}

void *ring_reserve(struct map *map, uint64_t bytes, uint64_t flags)
{
	struct ring *r = (struct ring *)map;
	uint64_t need, pos, cons;
	uint32_t *h, len;

	if (flags || bytes > (UINT32_MAX / 4) || ((bytes + 7) & ~7ull) + BPF_RINGBUF_HDR_SZ > map->max_entries)
		return NULL;
	need = (bytes + BPF_RINGBUF_HDR_SZ + 7) & ~7ull;
	cons = __atomic_load_n(consumer(r), __ATOMIC_ACQUIRE);
	spin_take(&r->lock);
	pos = *producer(r);
	while (r->pending < pos) {
		len = __atomic_load_n(head(r, r->pending), __ATOMIC_ACQUIRE);
		if (len & BPF_RINGBUF_BUSY_BIT)
			break;
		r->pending += record_bytes(len);
	}
	/* user space may have written anything as its position: it may lose records by that, nothing else */
	if (pos + need - cons > map->max_entries - 1 || pos + need - r->pending > map->max_entries - 1) {
		spin_drop(&r->lock);
		return NULL;
	}
	h = head(r, pos);
	h[1] = (uint32_t)(((uint8_t *)h - r->pages) / r->page);
	__atomic_store_n(h, (uint32_t)bytes | BPF_RINGBUF_BUSY_BIT, __ATOMIC_RELAXED);
	__atomic_store_n(producer(r), pos + need, __ATOMIC_RELEASE);
	spin_drop(&r->lock);
	return h + 2;
}

void ring_submit(struct map *map, void *record, uint64_t flags, bool discard)
{
	struct ring *r = (struct ring *)map;
	uint32_t *h = (uint32_t *)record - 2, len = *h & ~(uint32_t)BPF_RINGBUF_BUSY_BIT;
	uint64_t off = (uint64_t)((uint8_t *)record - map->data), at;
	uint64_t one = 1;

	if (off + len > map->max_entries) /* it wraps: where user space looks for the rest */
		memcpy(r->mirror, map->data, off + len - map->max_entries);
	at = (uint64_t)((uint8_t *)h - map->data);
	__atomic_exchange_n(h, len | (discard ? BPF_RINGBUF_DISCARD_BIT : 0), __ATOMIC_ACQ_REL);
	if (flags & BPF_RB_FORCE_WAKEUP ||
	    ((__atomic_load_n(consumer(r), __ATOMIC_ACQUIRE) & (map->max_entries - 1)) == at && !(flags & BPF_RB_NO_WAKEUP)))
		if (write(r->wait_fd, &one, sizeof(one)) < 0)
			return; /* EAGAIN: it has been woken 2^64 times and not looked */
}

int ring_output(struct map *map, const void *data, uint64_t bytes, uint64_t flags)
{
	void *to;

	if (flags & ~(uint64_t)(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP))
		return -EINVAL;
	to = ring_reserve(map, bytes, 0);
	if (!to)
		return -EAGAIN;
	memcpy(to, data, bytes);
	ring_submit(map, to, flags, false);
	return 0;
}

uint64_t ring_query(struct map *map, uint64_t flags)
{
	struct ring *r = (struct ring *)map;
	uint64_t cons = __atomic_load_n(consumer(r), __ATOMIC_ACQUIRE), prod = __atomic_load_n(producer(r), __ATOMIC_ACQUIRE);

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

static bool region(struct map *map, uint64_t addr, uint64_t *start, uint64_t *len)
{
	struct ring *r = (struct ring *)map;
	uint64_t off = addr - (uint64_t)(uintptr_t)map->data, pos, size = map->max_entries;
	bool found = false;

	if (off >= map->data_bytes)
		return false;
	spin_take(&r->lock);
	for (pos = r->pending; pos < *producer(r) && !found; pos += record_bytes(*head(r, pos))) {
		uint64_t at = (pos & (size - 1)) + BPF_RINGBUF_HDR_SZ;
		uint32_t n = *head(r, pos);

		if (!(n & BPF_RINGBUF_BUSY_BIT))
			continue;
		n &= ~(uint32_t)BPF_RINGBUF_BUSY_BIT;
		if (off == at || (off > at && off < at + n)) { /* one of no bytes is one, too */
			*start = (uint64_t)(uintptr_t)map->data + at;
			*len = n;
			found = true;
		}
	}
	spin_drop(&r->lock);
	return found;
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
	.region = region,
	.no_lookup = true,
};
