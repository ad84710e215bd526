// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Perf events: opening one, finding out how large a ring its reader mapped, and writing records. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <linux/perf_event.h>

#include "vm/lock.h"
#include "vm/perf.h"
#include "vm/sys.h"
#include "vm/user.h"
#include "vm/wait.h"

#define MOST_RING (256u << 20) /* of the file, which takes no room until it is used */
#define MOST_RECORD 0xffff     /* what the header's size can say */

struct perf {
	struct obj obj;
	uint32_t cpu, lock;
	struct wait wait;
	uint64_t page, size; /* size 0: not mapped yet */
	uint8_t *pages;	     /* the engine's mapping */
	uint64_t head, lost;
	uint64_t id;
};

static void drop(struct obj *obj)
{
	struct perf *p = (struct perf *)obj;

	if (p->pages)
		munmap(p->pages, p->page + p->size);
	wait_free(&p->wait);
}

static int refuse(struct perf *p, int fd, int e)
{
	if (fd >= 0) {
		close(p->obj.fd);
		close(fd);
	}
	wait_free(&p->wait);
	free(p);
	return e;
}

int vm_perf_open(struct vm *vm, const void *attr, int pid, int cpu, int group_fd, unsigned long flags)
{
	struct perf_event_attr a = {0};
	struct perf *p;
	uint32_t size;
	int fd, e;

	if (user_read(&size, (uintptr_t)attr + offsetof(struct perf_event_attr, size), sizeof(size)))
		return -EFAULT;
	size = size ? size : PERF_ATTR_SIZE_VER0;
	if (size < PERF_ATTR_SIZE_VER0 || size > 4096)
		return -E2BIG;
	if (user_read(&a, (uintptr_t)attr, size < sizeof(a) ? size : sizeof(a)))
		return -EFAULT;
	if (a.type != PERF_TYPE_SOFTWARE || a.config != PERF_COUNT_SW_BPF_OUTPUT)
		return -ENOENT;
	if (pid != -1 || cpu < 0 || (uint32_t)cpu >= vm->n_cpus || group_fd != -1 ||
	    flags & ~(unsigned long)PERF_FLAG_FD_CLOEXEC || a.sample_type != PERF_SAMPLE_RAW ||
	    a.write_backward)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->cpu = (uint32_t)cpu;
	p->page = (uint64_t)sysconf(_SC_PAGESIZE);
	e = wait_new(&p->wait);
	if (e) {
		free(p);
		return e;
	}
	fd = obj_memfd("bpf-perf", &p->obj.fd);
	if (fd < 0)
		return refuse(p, fd, fd);
	p->obj.kind = OBJ_PERF;
	p->obj.drop = drop;
	if (ftruncate(p->obj.fd, (off_t)(p->page + MOST_RING)) ||
	    fcntl(p->obj.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return refuse(p, fd, -errno);
	e = obj_add(vm, &p->obj);
	if (e)
		return refuse(p, fd, e);
	p->id = p->obj.id;
	return fd;
}

int vm_perf_control(struct vm *vm, int fd, unsigned long request)
{
	struct obj *obj;
	int e = obj_of_fd(vm, fd, OBJ_PERF, &obj);

	if (e)
		return e;
	obj_put(obj);
	return request == PERF_EVENT_IOC_ENABLE || request == PERF_EVENT_IOC_DISABLE ||
			       request == PERF_EVENT_IOC_RESET
		       ? 0
		       : -ENOTTY;
}

int perf_wait_fd(const struct obj *obj)
{
	return ((const struct perf *)obj)->wait.fd;
}

/* The longest mapping of the file from its start that this process has: its reader's. 0: there is none. */
static uint64_t mapped_bytes(const struct obj *obj)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long long from, to, off, ino;
	unsigned int major, minor;
	uint64_t most = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%llx %*s %llx %x:%x %llu", &from, &to, &off, &major, &minor, &ino) ==
			    6 &&
		    !off && ino == obj->ino && makedev(major, minor) == obj->dev && to - from > most)
			most = to - from;
	if (f)
		fclose(f);
	return most;
}

/* A reader maps one page and a power of two of pages. */
static int find_ring(struct perf *p)
{
	uint64_t bytes = mapped_bytes(&p->obj), size = bytes > p->page ? bytes - p->page : 0;
	struct perf_event_mmap_page *page;
	void *at;

	if (!size || size & (size - 1) || size > MOST_RING)
		return -ENOSPC;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->obj.fd, 0);
	if (at == MAP_FAILED)
		return -ENOSPC;
	p->pages = at;
	p->size = size;
	page = at;
	page->data_offset = p->page;
	page->data_size = size;
	return 0;
}

static void append(struct perf *p, uint64_t *at, const void *from, uint64_t n)
{
	uint64_t off = *at & (p->size - 1), first = n < p->size - off ? n : p->size - off;
	uint8_t *data = p->pages + p->page;

	if (n) {
		memcpy(data + off, from, first);
		memcpy(data, (const uint8_t *)from + first, n - first);
	}
	*at += n;
}

static void write_lost(struct perf *p, uint64_t *at)
{
	const struct {
		struct perf_event_header head;
		uint64_t id, lost;
	} record = {{PERF_RECORD_LOST, 0, sizeof(record)}, p->id, p->lost};

	append(p, at, &record, sizeof(record));
	p->lost = 0;
}

static int write_sample(struct perf *p, const void *meta, uint64_t n, const void *packet, uint64_t m)
{
	static const uint8_t zeros[8];
	struct perf_event_mmap_page *page = (void *)p->pages;
	uint64_t bytes = (sizeof(struct perf_event_header) + 4 + n + m + 7) & ~7ull, at = p->head;
	uint64_t need = bytes + (p->lost ? 24 : 0),
		 tail = __atomic_load_n(&page->data_tail, __ATOMIC_ACQUIRE);
	struct perf_event_header head = {PERF_RECORD_SAMPLE, 0, (uint16_t)bytes};
	uint32_t raw = (uint32_t)(bytes - sizeof(head) - 4);

	if (bytes > MOST_RECORD)
		return -E2BIG;
	/* the reader may have written anything as its place: it may lose records by that, nothing else */
	if (at - tail > p->size || need > p->size - (at - tail)) {
		p->lost++;
		return -ENOSPC;
	}
	if (p->lost)
		write_lost(p, &at);
	append(p, &at, &head, sizeof(head));
	append(p, &at, &raw, sizeof(raw));
	append(p, &at, meta, n);
	append(p, &at, packet, m);
	append(p, &at, zeros, raw - n - m);
	p->head = at;
	__atomic_store_n(&page->data_head, at, __ATOMIC_RELEASE);
	wait_wake(&p->wait);
	return 0;
}

int perf_output(struct obj *obj, uint32_t cpu, const void *meta, uint64_t n, const void *packet, uint64_t m)
{
	struct perf *p = (struct perf *)obj;
	int e = 0;

	if (p->cpu != cpu)
		return -EOPNOTSUPP;
	spin_take(&p->lock);
	if (!p->size)
		e = find_ring(p);
	if (!e)
		e = write_sample(p, meta, n, packet, m);
	spin_drop(&p->lock);
	return e;
}
