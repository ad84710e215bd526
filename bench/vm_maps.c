// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-vm_maps DIR: what a lookup costs compiled programs, in the kernel and in the user-space engine, and
 * what loading an object of 2,400 instructions and more does. Programs of vm_maps.bpf.o do 256 lookups a run;
 * the same loop without a lookup is subtracted. The three ways are interleaved, medians of the rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "bench.h"
#include "bpf/seam.h"
#include "vm/vm.h"

#define ROUNDS 9
#define LOOKUPS 256 /* of one run, as in vm_maps.bpf.c */
#define FILL 65536

enum way { KERNEL, TRUSTED, CHECKED, N_WAYS };
static const char *dir;

/* Keys as the programs make them. */
static void make_key(void *key, uint32_t bytes, bool lpm, uint32_t i)
{
	uint32_t word[4] = {i * 2654435761u, 0, 0, 0};

	if (lpm) { /* prefixes of 16 to 32 bits */
		word[1] = word[0];
		word[0] = 16 + i * 40503u % 17;
	} else if (bytes == 16) {
		word[2] = i;
	}
	memcpy(key, word, bytes);
}

static void fill(struct bpf_object *obj, const char *name, uint32_t n)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, name);
	uint32_t bytes = bpf_map__key_size(map), i, part, k;
	uint8_t *keys = malloc((size_t)FILL * bytes);
	uint64_t *values = calloc(FILL, sizeof(*values));

	if (!keys || !values)
		die("out of memory");
	for (i = 0; i < n; i += part) {
		part = n - i < FILL ? n - i : FILL;
		for (k = 0; k < part; k++)
			make_key(keys + (size_t)k * bytes, bytes, bpf_map__type(map) == BPF_MAP_TYPE_LPM_TRIE,
				 i + k);
		k = part;
		if (bpf_map_update_batch(bpf_map__fd(map), keys, values, &k, NULL) || k != part)
			die("map %s: filling stopped at entry %u", name, i + k);
	}
	free(keys);
	free(values);
}

/* The object, with that many keys in the map of that name, loaded by whoever answers this thread's calls. */
static struct bpf_object *load(const char *map, uint32_t n)
{
	struct bpf_object *obj;
	struct bpf_map *m;
	char path[4096];
	uint32_t *entries;
	size_t size;

	snprintf(path, sizeof(path), "%s/vm_maps.bpf.o", dir);
	obj = bpf_object__open(path);
	if (!obj)
		die("cannot open %s", path);
	m = bpf_object__find_map_by_name(obj, map);
	if (bpf_map__max_entries(m) < n)
		bpf_map__set_max_entries(m, n);
	m = bpf_object__find_map_by_name(obj, ".rodata");
	entries = m ? (void *)(uintptr_t)bpf_map__initial_value(m, &size) : NULL;
	if (!entries || size < sizeof(*entries))
		die("%s has no constant \"entries\"", path);
	*entries = n;
	if (bpf_object__load(obj))
		die("cannot load %s", path);
	if (bpf_map__max_entries(bpf_object__find_map_by_name(obj, map)) ==
	    n) /* arrays are full as they are */
		fill(obj, map, n);
	return obj;
}

static double time_of(struct bpf_object *obj, const char *prog, uint32_t repeat)
{
	const struct bpf_program *p = bpf_object__find_program_by_name(obj, prog);
	uint8_t packet[64];

	if (!p)
		die("there is no program %s", prog);
	bench_packet(packet, sizeof(packet));
	return bench_run_ns(bpf_program__fd(p), packet, sizeof(packet), repeat) / LOOKUPS;
}

/* Nanoseconds a lookup, each way; the loop without it is measured beside it. */
static void measure(struct vm *vm[N_WAYS], const char *map, uint32_t n, const char *bare, double ns[N_WAYS])
{
	struct bpf_object *obj[N_WAYS];
	double v[N_WAYS][ROUNDS];
	char look[64];
	enum way w;
	int i;

	snprintf(look, sizeof(look), "look_%s", map);
	for (w = 0; w < N_WAYS; w++) {
		seam_engine(vm[w]);
		obj[w] = load(map, n);
	}
	for (i = 0; i < ROUNDS; i++)
		for (w = 0; w < N_WAYS; w++) {
			seam_engine(vm[w]);
			v[w][i] = time_of(obj[w], look, 1000) - time_of(obj[w], bare, 1000);
		}
	for (w = 0; w < N_WAYS; w++) {
		seam_engine(vm[w]);
		bpf_object__close(obj[w]);
		ns[w] = bench_median(v[w], ROUNDS);
	}
	seam_engine(NULL);
	printf("%-8s %9u %9.1f %9.1f %9.1f\n", map, n, ns[KERNEL], ns[TRUSTED], ns[CHECKED]);
	fflush(stdout);
}

static void against_kernel(const char *map, const char *size, const double ns[N_WAYS])
{
	char name[64];

	snprintf(name, sizeof(name), "vm_%s_%s_to_kernel", map, size);
	bench_figure(name, ns[TRUSTED] / ns[KERNEL], "ratio", "<=", 1);
	snprintf(name, sizeof(name), "vm_%s_%s_checked", map, size);
	bench_note(name, ns[CHECKED], "ns");
}

static void large_object(struct vm *vm[N_WAYS])
{
	struct bpf_object *obj;
	double v[N_WAYS][ROUNDS];
	char path[4096];
	size_t n = 0;
	enum way w;
	int i;

	snprintf(path, sizeof(path), "%s/vm_large.bpf.o", dir);
	for (i = 0; i < ROUNDS; i++)
		for (w = 0; w < N_WAYS; w++) {
			uint64_t start = clock_mono_ns();

			seam_engine(vm[w]);
			obj = bpf_object__open(path);
			if (!obj || bpf_object__load(obj))
				die("cannot load %s", path);
			n = bpf_program__insn_cnt(bpf_object__find_program_by_name(obj, "large"));
			v[w][i] = (double)(clock_mono_ns() - start) / 1e6;
			bpf_object__close(obj);
		}
	seam_engine(NULL);
	printf("\nopening and loading an object of %zu instructions: kernel %.1f ms, compiled %.1f, checked "
	       "%.1f\n",
	       n, bench_median(v[KERNEL], ROUNDS), bench_median(v[TRUSTED], ROUNDS),
	       bench_median(v[CHECKED], ROUNDS));
	if (n < 2400)
		die("%s has %zu instructions only", path, n);
	bench_figure("vm_load_2400", bench_median(v[CHECKED], ROUNDS), "ms", "<=", 5);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint32_t n;
	} sizes[] = {{"1k", 1000}, {"100k", 100000}, {"1M", 1000000}};
	struct vm_config config = {.engine = VM_ENGINE_JIT, .trusted = true};
	struct vm *vm[N_WAYS] = {NULL};
	struct sluice_err err;
	double ns[N_WAYS];
	size_t i;

	if (argc != 2)
		die("usage: bench-vm_maps DIR");
	dir = argv[1];
	if (vm_new(&config, &vm[TRUSTED], &err))
		die("%s", err.text);
	config.trusted = false;
	if (vm_new(&config, &vm[CHECKED], &err))
		die("%s", err.text);
	bench_pin(0);
	libbpf_set_print(NULL);
	printf("%-8s %9s %9s %9s %9s\n", "a lookup", "keys", "kernel", "compiled", "checked");
	measure(vm, "array", 200, "bare_index", ns);
	bench_figure("vm_array_lookup", ns[TRUSTED], "ns", "<=", 1);
	bench_figure("vm_array_lookup_checked", ns[CHECKED], "ns", "<=", 2);
	measure(vm, "cpus", 200, "bare_index", ns);
	bench_figure("vm_percpu_array_lookup", ns[TRUSTED], "ns", "<=", 1);
	measure(vm, "hash4", 1, "bare4", ns);
	bench_figure("vm_hash_hot", ns[TRUSTED], "ns", "<=", 8);
	bench_figure("vm_hash_hot_to_kernel", ns[TRUSTED] / ns[KERNEL], "ratio", "<=", 1);
	measure(vm, "hash8", 1, "bare8", ns);
	bench_figure("vm_hash8_hot", ns[TRUSTED], "ns", "<=", 8);
	measure(vm, "hash16", 1, "bare16", ns);
	bench_figure("vm_hash16_hot", ns[TRUSTED], "ns", "<=", 8);
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		measure(vm, "hash4", sizes[i].n, "bare4", ns);
		against_kernel("hash", sizes[i].name, ns);
		measure(vm, "lru", sizes[i].n, "bare4", ns);
		against_kernel("lru", sizes[i].name, ns);
		measure(vm, "lpm", sizes[i].n, "bare8", ns);
		against_kernel("lpm", sizes[i].name, ns);
	}
	large_object(vm);
	vm_free(vm[TRUSTED]);
	vm_free(vm[CHECKED]);
	return 0;
}
