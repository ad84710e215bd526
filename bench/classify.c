// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-classify DIR [FILTER]: what finding a packet's rule costs, in nanoseconds over a run of the same
 * program that parses the packet and fetches a header but looks nothing up. DIR holds classify.bpf.o. 65,536
 * different headers, each inside a rule drawn evenly from all, in random order; "hot": 1,024 of them. Rules
 * are made in ClassBench's manner, and read from the ClassBench files that the environment's CLASSBENCH names
 * (a folder), if it is set.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/classify.h"
#include "port/traffic_host.h"
#include "tests/classify_rules.h"

#define ROUNDS 11
/* long: after every system call caches and predictors begin anew, which costs 20 ns a packet at 65,536 runs */
#define REPEAT (4 * CLASSIFY_HEADERS)
#define WARM 1
#define HOT 1024

static struct classify_bench *shared;
static struct bpf_object *obj;
static const char *filter;

static void open_programs(const char *dir)
{
	char path[4096];
	struct bpf_map *map;

	snprintf(path, sizeof(path), "%s/classify.bpf.o", dir);
	obj = bpf_object__open(path);
	if (!obj || bpf_object__load(obj))
		die("cannot load %s", path);
	map = bpf_object__find_map_by_name(obj, ".bss");
	if (!map)
		die("%s has no .bss", path);
	shared =
		mmap(NULL, bpf_map__value_size(map), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (shared == MAP_FAILED)
		die("mapping .bss: %s", strerror(errno));
}

static int prog(const char *name, int family)
{
	struct bpf_program *p;
	char full[32];

	snprintf(full, sizeof(full), "%s%d", name, family);
	p = bpf_object__find_program_by_name(obj, full);
	if (!p)
		die("no program %s", full);
	return bpf_program__fd(p);
}

/* Zeroes where headers differ. */
static size_t packet(uint8_t *to, int family)
{
	memset(to, 0, 64);
	to[12] = family == 4 ? 0x08 : 0x86;
	to[13] = family == 4 ? 0x00 : 0xdd;
	to[14] = family == 4 ? 0x45 : 0x60;
	if (family == 4) {
		to[17] = 28;
		to[23] = 17;
	} else {
		to[19] = 8;
		to[20] = 17;
	}
	return 64;
}

static void put_headers(const struct rule_set *set)
{
	uint64_t state = 20;
	struct header h;
	size_t i;

	for (i = 0; i < CLASSIFY_HEADERS; i++) {
		rules_header(set, rules_below(&state, (uint32_t)set->n), 0, &state, &h);
		classify_bench_put(shared, (uint32_t)i, &h);
	}
}

/* Over the base, with so many headers; *median: as of bench_over() */
static double over(int family, uint32_t n_headers, double *median)
{
	uint8_t p[64];
	size_t len = packet(p, family);

	shared->n_headers = n_headers;
	return bench_over(prog("base", family), prog("lookup", family), p, len, REPEAT, ROUNDS, WARM, median);
}

static const char *structure_name(const struct classify_part_report *r)
{
	static const char *const names[] = {"none", "pair table", "split"};

	return names[r->structure];
}

static void one(const char *name, const struct rule_set *set, int family, const struct classify_opts *opts)
{
	struct classify_report report;
	struct sluice_err err;
	double ms, spread, hot, median[2],
		target = set->n <= 64	   ? 20
			 : set->n <= 1100  ? 30
			 : set->n <= 11000 ? 80
					   : 150;
	struct classify_part_report *r = &report.part[family == 6];
	char figure[128];
	uint64_t began;
	void *image;
	size_t bytes;

	if (filter && !strstr(name, filter))
		return;
	began = clock_mono_ns();
	if (classify_compile(set->rules, set->n, opts, &image, &bytes, &report, &err))
		die("%s: %s", name, err.text);
	ms = (double)(clock_mono_ns() - began) / 1e6;
	if (bytes > sizeof(shared->image) - 64)
		die("%s: %zu bytes", name, bytes);
	memcpy(shared->image, image, bytes);
	free(image);
	put_headers(set);
	spread = over(family, CLASSIFY_HEADERS, &median[0]);
	hot = over(family, HOT, &median[1]);
	if (family == 6)
		target *= 1.4;
	printf("%-14s %6zu rules  %-10s %8.2f MB (front %.2f, services %.2f, rules %.2f)  %5u + %5u classes, "
	       "%5u services  compiled in %.0f ms, medians +%.0f, hot +%.0f ns\n",
	       name, set->n, structure_name(r), (double)bytes / 1e6, (double)r->front_bytes / 1e6,
	       (double)r->service_bytes / 1e6, (double)r->rule_bytes / 1e6, r->n_classes[0], r->n_classes[1],
	       r->n_services, ms, median[0], median[1]);
	snprintf(figure, sizeof(figure), "classify_%s", name);
	bench_figure(figure, spread, "ns-over-parse", "<=", target);
	snprintf(figure, sizeof(figure), "classify_%s_hot", name);
	if (set->n > 1100 && set->n <= 11000)
		bench_figure(figure, hot, "ns-over-parse", "<=", family == 6 ? 42 : 30);
	else
		bench_note(figure, hot, "ns-over-parse");
	if (set->n > 1100) {
		snprintf(figure, sizeof(figure), "classify_%s_compile", name);
		bench_figure(figure, ms, "ms", "<=", set->n <= 11000 ? 1000 : 5000);
	}
}

static void made(int family, const struct classify_opts *opts)
{
	static const struct {
		size_t n;
		const char *name;
	} sizes[] = {{64, "64"}, {1000, "1k"}, {10000, "10k"}, {85000, "85k"}};
	static const char *const kinds[] = {"acl", "fw", "ipc"};
	struct rule_set set;
	char name[64];
	size_t i, k;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (k = 0; k < 3; k++) {
			rules_make(&set, kinds[k], (uint8_t)family, sizes[i].n, 1);
			snprintf(name, sizeof(name), "v%d_%s_%s", family, kinds[k], sizes[i].name);
			one(name, &set, family, opts);
			rules_free(&set);
		}
}

struct given {
	int family;
	const struct classify_opts *opts;
};

static void one_given(void *arg, const char *file, const struct rule_set *set)
{
	const struct given *g = arg;
	char name[64];

	snprintf(name, sizeof(name), "v%d_given_%s", g->family, file);
	one(name, set, g->family, g->opts);
}

int main(int argc, char **argv)
{
	struct classify_opts opts = {0};
	struct traffic_hold hold;
	uint8_t p[64];
	int held, i;

	for (i = 3; i < argc; i++) {
		if (!strcmp(argv[i], "cross"))
			opts.structure = CLASSIFY_ONLY_CROSS;
		else if (!strcmp(argv[i], "split"))
			opts.structure = CLASSIFY_ONLY_SPLIT;
		else if (!strcmp(argv[i], "nocache"))
			opts.cache = -1;
		else if (!strcmp(argv[i], "cells"))
			opts.fronts = CLASSIFY_FRONTS_CELLS;
		else if (!strcmp(argv[i], "leaves"))
			opts.fronts = CLASSIFY_FRONTS_LEAVES;
		else if (!strcmp(argv[i], "forks"))
			opts.fronts = CLASSIFY_FRONTS_FORKS;
		else
			die("usage: bench-classify DIR [NAME [cross|split] [cells|leaves|forks] [nocache]]");
	}
	if (argc < 2)
		die("usage: bench-classify DIR [NAME [cross|split] [cells|leaves|forks] [nocache]]");
	filter = argc > 2 ? argv[2] : NULL;
	bench_pin(0);
	open_programs(argv[1]);
	held = !traffic_hold_open(&hold, prog("lookup", 4));
	shared->n_headers = CLASSIFY_HEADERS;
	printf("parse and fetch: %.1f ns\n", bench_run_ns(prog("base", 4), p, packet(p, 4), REPEAT));
	for (i = 4; i <= 6; i += 2) {
		rules_given((uint8_t)i, one_given, &(struct given){i, &opts});
		made(i, &opts);
	}
	if (held)
		traffic_hold_close(&hold);
	bpf_object__close(obj);
	return 0;
}
