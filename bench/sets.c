// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-sets DIR [N [NAME]]: what a set of N (1M) addresses or prefixes costs a packet, over P: fetching one
 * of 65,536 headers and parsing it. Beside it in the same rounds the kernel's hash and LPM trie with the same
 * elements. Then what it costs the host: building, changing, applying a difference; and the memory. N
 * elements instead of a million, only the sets whose name contains NAME.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "sets/set.h"

#define HEADERS 65536
#define ROUNDS 9
#define REPEAT 262144
#define PACKET 74
#define CHANGES 200000

struct run { /* .data.run of sets.bpf.c */
	uint64_t next, hits;
	struct {
		uint64_t hi, lo;
	} headers[HEADERS];
};

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

static const char *dir;
static size_t n_elems = 1000000;
static uint64_t state = 20261121;

static uint64_t rnd(void)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* A random address: IPv4 any, IPv6 of 2000::/3. */
static void random_addr(int family, uint64_t *hi, uint64_t *lo)
{
	*hi = family == 6 ? rnd() >> 3 | UINT64_C(1) << 61 : 0;
	*lo = family == 6 ? rnd() : rnd() >> 32;
}

static void cut(int family, struct sets_elem *e)
{
	unsigned int len = family == 6 ? e->len : e->len + 32u;

	if (family == 6 && len <= 64)
		e->hi &= len ? UINT64_MAX << (64 - len) : 0;
	e->lo &= len > 64      ? UINT64_MAX << (128 - len)
		 : family == 6 ? 0
		 : len > 32    ? UINT64_MAX << (64 - len)
			       : 0;
}

/*
 * "flat": lengths uniform over /8../32 or /16../128, but no length covers more than 1/64 of all. "lists": as
 * block lists are: /32, /24, some between, few shorter; IPv6 /48, /64, /56, /32, in 4,096 allocations of /32.
 */
static uint8_t random_len(int family, int flat, uint32_t *used)
{
	static const uint8_t lists6[] = {48, 48, 48, 48, 64, 64, 64, 64, 64, 56, 56, 40, 44, 32, 60, 128};
	unsigned int len;

	for (;;) {
		if (flat)
			len = family == 6 ? 16 + (unsigned int)(rnd() % 113) : 8 + (unsigned int)(rnd() % 25);
		else if (family == 6)
			len = lists6[rnd() % 16];
		else
			len = rnd() % 10 < 6 ? 32 : rnd() % 4 ? 24 : 16 + (unsigned int)(rnd() % 16);
		if (len < 40 && used[len] >= (1u << (len < 36 ? len : 36) % 32 >> 6) + 1 && len < 32)
			continue;
		used[len]++;
		return (uint8_t)len;
	}
}

static struct sets_elem *make(int family, int kind, int flat, size_t *n)
{
	struct sets_elem *e = calloc(n_elems, sizeof(*e));
	static uint64_t allocations[4096];
	uint32_t used[129] = {0};
	size_t i, k = 0;

	if (!e)
		die("out of memory");
	for (i = 0; i < 4096; i++)
		allocations[i] = (rnd() >> 3 | UINT64_C(1) << 61) & ~UINT64_C(0xffffffff);
	for (i = 0; i < n_elems; i++) {
		random_addr(family, &e[i].hi, &e[i].lo);
		if (kind == SET_PREFIXES && family == 6 && !flat)
			e[i].hi = allocations[rnd() % 4096] | (uint32_t)rnd();
		e[i].len = kind == SET_ADDRS ? (family == 6 ? 128 : 32) : random_len(family, flat, used);
		cut(family, &e[i]);
	}
	qsort(e, n_elems, sizeof(*e), sets_order);
	for (i = 0; i < n_elems; i++)
		if (!k || sets_order(&e[k - 1], &e[i]))
			e[k++] = e[i];
	*n = k;
	return e;
}

static size_t pages(size_t bytes)
{
	return (bytes + 4095) & ~(size_t)4095;
}

static void *map_memory(struct bpf_object *obj, const char *name, size_t bytes)
{
	void *p = mmap(NULL, pages(bytes), PROT_READ | PROT_WRITE, MAP_SHARED,
		       bpf_map__fd(bpf_object__find_map_by_name(obj, name)), 0);

	if (p == MAP_FAILED)
		die("mmap of %s: %s", name, strerror(errno));
	return p;
}

static struct bpf_object *load(size_t bytes, size_t n, struct run **run, void **mem)
{
	char path[4096];
	struct bpf_object *obj;
	struct bpf_map *m;
	uint64_t limit;

	snprintf(path, sizeof(path), "%s/sets.bpf.o", dir);
	obj = bpf_object__open(path);
	if (!obj)
		die("cannot open %s", path);
	bpf_map__set_value_size(bpf_object__find_map_by_name(obj, "set_memory"), (uint32_t)bytes);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, "hash4"), (uint32_t)n);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, "hash6"), (uint32_t)n);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, "lpm4"), (uint32_t)n);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, "lpm6"), (uint32_t)n);
	m = bpf_object__find_map_by_name(obj, ".rodata.limit");
	if (!m)
		die("no .rodata.limit");
	limit = bytes - SET_LINE;
	if (bpf_map__set_initial_value(m, &limit, sizeof(limit)))
		die("cannot set .rodata.limit");
	if (bpf_object__load(obj))
		die("cannot load %s", path);
	*run = map_memory(obj, ".data.run", sizeof(**run));
	*mem = map_memory(obj, "set_memory", bytes);
	return obj;
}

static double ns_of(struct bpf_object *obj, struct run *run, const char *name, const uint8_t *packet)
{
	struct bpf_program *p = bpf_object__find_program_by_name(obj, name);

	run->hits = 0;
	return bench_run_ns(bpf_program__fd(p), packet, PACKET, REPEAT);
}

static void packet_of(int family, uint8_t *to)
{
	bench_packet(to, PACKET);
	if (family == 4)
		return;
	to[12] = 0x86, to[13] = 0xdd;
	memset(to + 14, 0, 40);
	to[14] = 0x60, to[19] = 20, to[20] = 17, to[21] = 64, to[38] = 0x20;
	to[54] = 0x30, to[56] = 0, to[57] = 9, to[59] = 20;
}

enum sources { RANDOM, MEMBERS, MIXED };
static const char *const source_names[] = {"random", "members", "mixed"};

/* Fills the headers; returns how many of them the set has, by the host's own look. */
static uint64_t sources(struct run *run, struct sets *set, int family, const struct sets_elem *e, size_t n,
			enum sources s)
{
	struct sets_elem found;
	uint64_t hi, lo, hits = 0;
	size_t i, k;

	for (i = 0; i < HEADERS; i++) {
		random_addr(family, &hi, &lo);
		if (s == MEMBERS || (s == MIXED && rnd() & 1)) {
			struct sets_elem mask = {.hi = UINT64_MAX,
						 .lo = family == 6 ? UINT64_MAX : UINT32_MAX};

			k = rnd() % n;
			mask.len = e[k].len;
			cut(family, &mask);
			hi = e[k].hi | (hi & ~mask.hi);
			lo = e[k].lo | (lo & ~mask.lo);
			if (family == 4)
				lo &= UINT32_MAX, hi = 0;
		}
		hits += !sets_test(set, hi, lo, &found);
		run->headers[i].hi = __builtin_bswap64(hi);
		run->headers[i].lo = family == 6 ? __builtin_bswap64(lo) : __builtin_bswap32((uint32_t)lo);
	}
	return hits;
}

static void fill_kernel(struct bpf_object *obj, int family, int kind, const struct sets_elem *e, size_t n)
{
	const char *name = kind == SET_ADDRS ? (family == 6 ? "hash6" : "hash4")
			   : family == 6     ? "lpm6"
					     : "lpm4";
	int fd = bpf_map__fd(bpf_object__find_map_by_name(obj, name));
	uint64_t value = 1, start = clock_mono_ns();
	size_t i;

	for (i = 0; i < n; i++) {
		struct {
			uint32_t len, w[4];
		} lpm = {e[i].len};
		uint64_t key[2] = {e[i].hi, e[i].lo};
		uint32_t key4 = (uint32_t)e[i].lo;
		const void *k = kind == SET_PREFIXES ? (void *)&lpm
				: family == 6	     ? (void *)key
						     : (void *)&key4;

		lpm.w[0] = __builtin_bswap32(family == 6 ? (uint32_t)(e[i].hi >> 32) : key4);
		lpm.w[1] = __builtin_bswap32((uint32_t)e[i].hi);
		lpm.w[2] = __builtin_bswap32((uint32_t)(e[i].lo >> 32));
		lpm.w[3] = __builtin_bswap32((uint32_t)e[i].lo);
		if (bpf_map_update_elem(fd, k, &value, 0))
			die("filling %s: %s", name, strerror(errno));
	}
	printf("  kernel's %s filled in %.2f s\n", name, (double)(clock_mono_ns() - start) / 1e9);
}

static void packets(struct bpf_object *obj, struct run *run, struct sets *set, const char *what, int family,
		    int kind, const struct sets_elem *e, size_t n, double target, int kernel)
{
	const char *ours = kind == SET_ADDRS ? "addrs" : "prefixes",
		   *theirs = kind == SET_ADDRS ? "kernel_hash" : "kernel_lpm";
	const char *names[] = {"none", ours, "either", theirs};
	double v[4][ROUNDS], ns[4];
	int n_names = kernel ? 4 : 3;
	uint8_t packet[PACKET];
	char name[64];
	int r, i;
	enum sources s;

	packet_of(family, packet);
	for (s = RANDOM; s <= MIXED; s++) {
		uint64_t want = sources(run, set, family, e, n, s), got;

		for (r = 0; r < ROUNDS; r++)
			for (i = 0; i < n_names; i++) {
				snprintf(name, sizeof(name), "%s%d", names[i], family);
				v[i][r] = ns_of(obj, run, name, packet);
				if (r || !i)
					continue;
				/* every header once */
				run->hits = 0;
				bench_run_ns(bpf_program__fd(bpf_object__find_program_by_name(obj, name)),
					     packet, PACKET, HEADERS);
				got = run->hits;
				if (got != want)
					die("%s, %s: %llu of %d headers found, %llu are in the set", what,
					    name, (unsigned long long)got, HEADERS, (unsigned long long)want);
			}
		for (i = 0; i < n_names; i++)
			ns[i] = bench_median(v[i], ROUNDS);
		printf("  %-8s %5.1f %% hits: P %.0f ns, set +%.0f, either kind +%.0f", source_names[s],
		       100.0 * (double)want / HEADERS, ns[0], ns[1] - ns[0], ns[2] - ns[0]);
		if (kernel)
			printf(", kernel +%.0f", ns[3] - ns[0]);
		printf("\n");
		snprintf(name, sizeof(name), "sets_%s_%s", what, source_names[s]);
		if (s == RANDOM)
			bench_figure(name, ns[1] - ns[0], "ns", "<=", target);
		else
			bench_note(name, ns[1] - ns[0], "ns");
		snprintf(name, sizeof(name), "sets_%s_%s_kernel", what, source_names[s]);
		if (kernel)
			bench_note(name, ns[3] - ns[0], "ns");
	}
}

/* One element in, one out, at random; then a list of which one in a hundred is another. */
static void changes(struct sets *set, const char *what, int family, int kind, const struct sets_elem *e,
		    size_t n)
{
	struct sets_elem *now = malloc((n + n / 100) * sizeof(*now)), x;
	uint64_t start, one, sum = 0, most = 0;
	struct sets_change done;
	struct sluice_err err;
	uint32_t used[129] = {0};
	size_t i, k = 0, n_old = n;
	bool added = false;
	char name[64];

	if (!now)
		die("out of memory");
	for (i = 0; i < 2 * CHANGES; i++) {
		if (i % 2 == 0) {
			random_addr(family, &x.hi, &x.lo);
			x.expires = 0;
			x.len = kind == SET_ADDRS ? (family == 6 ? 128 : 32) : random_len(family, 0, used);
			cut(family, &x);
		}
		start = clock_mono_ns();
		if (i % 2 == 0 ? sets_add(set, &x, &added, &err) : added && sets_del(set, &x, &err))
			die("%s: %s", what, err.text);
		one = clock_mono_ns() - start;
		sum += one;
		most = one > most ? one : most;
	}
	for (i = 0; i < n; i++)
		if (i % 100)
			now[k++] = e[i];
	for (i = 0; i < n / 100; i++, k++) {
		now[k] = e[rnd() % n];
		random_addr(family, &now[k].hi, &now[k].lo);
		cut(family, &now[k]);
	}
	qsort(now, k, sizeof(*now), sets_order);
	for (i = 1, n = k, k = 1; i < n; i++)
		if (sets_order(&now[k - 1], &now[i]))
			now[k++] = now[i];
	start = clock_mono_ns();
	if (sets_apply(set, e, n_old, now, k, &done, &err))
		die("%s: %s", what, err.text);
	one = clock_mono_ns() - start;
	printf("  a change %.2f us, the longest %.2f ms; a difference of %llu in, %llu out in %.1f ms\n",
	       (double)sum / 2e3 / CHANGES, (double)most / 1e6, (unsigned long long)done.added,
	       (unsigned long long)done.removed, (double)one / 1e6);
	snprintf(name, sizeof(name), "sets_%s_change", what);
	bench_figure(name, (double)sum / 2e6 / CHANGES, "ms", "<=", 1);
	snprintf(name, sizeof(name), "sets_%s_difference", what);
	bench_note(name, (double)one / 1e6, "ms");
	free(now);
}

static const char *only = "";

static void scenario(const char *what, int family, int kind, int flat, double target, int kernel)
{
	struct sets_spec spec = {.family = (uint8_t)family, .seed = rnd()};
	struct sets_stats stats;
	struct sluice_err err;
	struct bpf_object *obj;
	struct sets_elem *e;
	struct sets *set;
	struct run *run;
	uint64_t start;
	size_t n, bytes;
	double build;
	char name[64];
	void *mem;

	if (!strstr(what, only))
		return;
	e = make(family, kind, flat, &n);
	start = clock_mono_ns();
	sets_plan(&spec, e, n);
	if (spec.kind != kind || sets_bytes(&spec, &bytes, &err))
		die("planning %s: %s", what, err.text);
	obj = load(bytes, n, &run, &mem);
	start = clock_mono_ns();
	if (sets_create(mem, bytes, &spec, &set, &err) || sets_build(set, e, n, &err))
		die("building %s: %s", what, err.text);
	build = (double)(clock_mono_ns() - start) / 1e9;
	sets_stats(set, &stats);
	printf("%s: %zu elements, %llu cells, %llu spilled, built in %.3f s, %.1f MB, %.1f MB read by "
	       "misses\n",
	       what, n, (unsigned long long)stats.cells, (unsigned long long)stats.spilled, build,
	       (double)stats.bytes / 1e6, (double)stats.read / 1e6);
	snprintf(name, sizeof(name), "sets_%s_build", what);
	bench_figure(name, build, "s", "<=", 0.4);
	snprintf(name, sizeof(name), "sets_%s_memory", what);
	bench_note(name, (double)stats.bytes / 1e6, "MB");
	if (kernel)
		fill_kernel(obj, family, kind, e, n);
	packets(obj, run, set, what, family, kind, e, n, target, kernel);
	changes(set, what, family, kind, e, n);
	sets_free(set);
	munmap(mem, pages(bytes));
	munmap(run, pages(sizeof(*run)));
	bpf_object__close(obj);
	free(e);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage: bench-sets DIR [N [NAME]]");
	dir = argv[1];
	if (argc > 2)
		n_elems = strtoul(argv[2], NULL, 10);
	if (argc > 3)
		only = argv[3];
	if (n_elems < 100 || n_elems > 10000000)
		die("100 to 10000000 elements");
	bench_pin(0);
	libbpf_set_print(silent);
	scenario("addrs4", 4, SET_ADDRS, 0, 50, 1);
	scenario("addrs6", 6, SET_ADDRS, 0, 70, 1);
	scenario("prefixes4_lists", 4, SET_PREFIXES, 0, 100, 1);
	scenario("prefixes6_lists", 6, SET_PREFIXES, 0, 140, 1);
	scenario("prefixes4_flat", 4, SET_PREFIXES, 1, 100, 0);
	scenario("prefixes6_flat", 6, SET_PREFIXES, 1, 140, 0);
	return 0;
}
