// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The maps of bench/balance_lru.bpf.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench/balance_lru.h"
#include "bench/bench.h"

static int map_of(const struct lru_bed *bed, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(bed->object, name);

	if (fd < 0)
		die("no map %s", name);
	return fd;
}

static void put(int fd, const void *key, const void *value)
{
	if (bpf_map_update_elem(fd, key, value, BPF_ANY))
		die("filling a map: %s", strerror(errno));
}

/* Every service has the same spread of its backends over its slots: which one a slot has does not matter here. */
static void fill_slots(const struct lru_bed *bed)
{
	__u32 n = LRU_SERVICES * LRU_SLOTS, i, *at = calloc(n, sizeof(*at)), *value = calloc(n, sizeof(*value));
	LIBBPF_OPTS(bpf_map_batch_opts, opts);

	if (!at || !value)
		die("out of memory");
	for (i = 0; i < n; i++) {
		at[i] = i;
		value[i] = 1 + i / LRU_SLOTS * LRU_BACKENDS + (i % LRU_SLOTS * 2654435761u >> 16) % LRU_BACKENDS;
	}
	if (bpf_map_update_batch(map_of(bed, "lru_slots"), at, value, &n, &opts))
		die("filling slots: %s", strerror(errno));
	free(at);
	free(value);
}

static void fill(const struct lru_bed *bed, __u32 flows)
{
	struct lru_virtual key = {.port = htons(443), .proto = IPPROTO_TCP};
	struct lru_service s = {0};
	struct lru_backend b = {0};
	__u32 cpu = 0, i;
	int own = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "lru_flows", sizeof(struct lru_flow),
				 sizeof(struct lru_known), flows, NULL);

	if (own < 0)
		die("making an LRU of %u flows: %s", flows, strerror(errno));
	put(map_of(bed, "lru_flows_of_cpu"), &cpu, &own);
	for (i = 0; i < LRU_SERVICES; i++) {
		key.addr[0] = htonl(0xcb007100 + i);
		s.number = i;
		put(map_of(bed, "lru_virtuals"), &key, &s);
	}
	for (i = 1; i <= LRU_SERVICES * LRU_BACKENDS; i++) {
		b.addr[0] = htonl(0x0a010000 + i);
		put(map_of(bed, "lru_backends"), &i, &b);
	}
	fill_slots(bed);
}

void lru_open(struct lru_bed *bed, const char *dir, __u32 flows)
{
	size_t len;
	void *bytes = bench_read(dir, "balance_lru.bpf.o", &len);

	bed->object = bpf_object__open_mem(bytes, len, NULL);
	if (!bed->object || bpf_object__load(bed->object))
		die("balance_lru.bpf.o: %s", strerror(errno));
	free(bytes);
	bed->prog = bench_prog(bed->object, "lru");
	bed->bss = bench_bss(bed->object, &bed->bss_len);
	fill(bed, flows);
}

void lru_headers(struct lru_bed *bed, const struct balance_bench *of)
{
	memcpy(bed->bss->headers, of->headers, sizeof(of->headers));
	bed->bss->n = of->n;
	bed->bss->again = of->again;
	bed->bss->flags = of->flags;
}

void lru_close(struct lru_bed *bed)
{
	munmap(bed->bss, bed->bss_len);
	bpf_object__close(bed->object);
}
