// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-filter DIR [FILTER]: what the whole filter costs a packet, in nanoseconds over a run of the same
 * program that only parses it. DIR holds filter.bpf.o and filter_small.bpf.o. 65,536 different headers,
 * each inside a rule drawn evenly from all, in random order; "hot": 1,024 of them. Rules are made in
 * ClassBench's manner; of "mixed" ones a fifth only counts, and a fifth asks for a length, too.
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
#include "bench/filter.h"
#include "control/filter.h"
#include "port/traffic_host.h"
#include "tests/classify_rules.h"
#include "tests/filter_rules.h"

#define ROUNDS 21
#define REPEAT (4 * FILTER_HEADERS) /* shorter runs measure how caches and predictors begin after a system call */
#define WARM 2
#define HOT 1024

struct object {
	void *bytes;
	size_t len;
};

static struct object objects[2]; /* small, large */
static const char *filter;
static struct traffic_hold hold;
static int held;

static struct object read_object(const char *dir, const char *name)
{
	struct object o = {.len = 0};
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	o.bytes = malloc(8 << 20);
	if (!f || !o.bytes)
		die("cannot read %s", path);
	o.len = fread(o.bytes, 1, 8 << 20, f);
	fclose(f);
	return o;
}

/* From memory, as struct policy_files asks. */
static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const struct buf *text = ctx;

	(void)path, (void)max, (void)err;
	buf_put(to, text->data, text->len);
	return 0;
}

static struct policy *policy_of(struct buf *text)
{
	struct policy_files files = {.read = read_text, .ctx = text};
	struct sluice_err err;
	struct policy *p;

	if (policy_read("bench", &files, &p, &err))
		die("%s: %s", err.text, p && p->n_diags ? p->diags[0].text : "");
	return p;
}

static struct filter_headers *headers_of(struct control_filter *f)
{
	struct bpf_map *map = bpf_object__find_map_by_name(sluice_object_libbpf(f->obj), ".bss");
	void *p = map ? mmap(NULL, bpf_map__value_size(map), PROT_READ | PROT_WRITE, MAP_SHARED,
			     bpf_map__fd(map), 0)
		      : MAP_FAILED;

	if (p == MAP_FAILED)
		die("no .bss");
	return p;
}

static void put_headers(struct filter_headers *to, const struct rule_set *set)
{
	uint64_t state = 20;
	struct filter_header *v;
	struct header h;
	size_t i;

	for (i = 0; i < FILTER_HEADERS; i++) {
		if (set->n)
			rules_header(set, rules_below(&state, (uint32_t)set->n), 0, &state, &h);
		else
			rules_any_header(4, &state, &h);
		v = &to->v[i];
		memcpy(&v->src, h.src, 4);
		memcpy(&v->dst, h.dst, 4);
		v->sport = __builtin_bswap16(h.sport);
		v->dport = __builtin_bswap16(h.dport);
		v->proto = h.proto;
		v->flags = (uint8_t)(h.flags >> 8);
	}
}

/* The mean of the fastest quarter: what the kernel says are whole nanoseconds. */
static double fastest(double *v)
{
	double sum = 0;
	int i;

	bench_median(v, ROUNDS);
	for (i = 0; i < ROUNDS / 4; i++)
		sum += v[i];
	return sum / (ROUNDS / 4);
}

/* *least: the fastest runs of the program over the fastest ones of the base */
static double median_over(int base, int prog, const uint8_t *packet, size_t len, double *least)
{
	double v[ROUNDS], a[ROUNDS], b[ROUNDS];
	int i, k;

	for (i = -WARM; i < ROUNDS; i++) {
		k = i < 0 ? 0 : i;
		a[k] = bench_run_ns(prog, packet, len, REPEAT);
		b[k] = bench_run_ns(base, packet, len, REPEAT);
		v[k] = a[k] - b[k];
	}
	*least = fastest(a) - fastest(b);
	return bench_median(v, ROUNDS);
}

/* A figure is of many rules only if many were met. */
static uint32_t rules_met(struct control_filter *f)
{
	struct filter_count *counts = calloc(f->n_rules + 1ul, sizeof(*counts));
	struct sluice_err err;
	uint32_t i, met = 0;

	if (!counts || control_filter_counts(f, counts, &err))
		die("no counters");
	for (i = 0; i < f->n_rules; i++)
		met += counts[i].packets != 0;
	free(counts);
	return met;
}

/* target 0: a note */
static void one(const char *name, struct buf *text, const struct rule_set *set, double target,
		double hot_target)
{
	struct filter_opts opts = {.seed = {3, 5, 7, 11, 13, 17, 19, 23, 29, 31}};
	struct control_filter base, varied;
	struct sluice_err err;
	struct filter_headers *a, *b;
	struct filter_tables *t;
	struct policy *p;
	const struct object *o;
	uint64_t began, compiled, loaded;
	uint8_t packet[64];
	char figure[128];
	double spread, hot, least_spread, least_hot;

	if (filter && !strstr(name, filter))
		return;
	p = policy_of(text);
	began = clock_mono_ns();
	if (filter_compile(p, 0, &opts, &t, &err))
		die("%s: %s", name, err.text);
	compiled = clock_mono_ns();
	o = &objects[t->room != FILTER_ROOM_SMALL];
	if (control_filter_load_from(t, o->bytes, o->len, "varied", &varied, &err))
		die("%s: %s", name, err.text);
	loaded = clock_mono_ns();
	if (control_filter_load_from(t, o->bytes, o->len, "base", &base, &err))
		die("%s: %s", name, err.text);
	if (!held)
		held = !traffic_hold_open(&hold, varied.prog_fd);
	a = headers_of(&base);
	b = headers_of(&varied);
	put_headers(a, set);
	put_headers(b, set);
	bench_packet(packet, sizeof(packet));
	a->n = b->n = FILTER_HEADERS;
	spread = median_over(base.prog_fd, varied.prog_fd, packet, sizeof(packet), &least_spread);
	a->n = b->n = HOT;
	hot = median_over(base.prog_fd, varied.prog_fd, packet, sizeof(packet), &least_hot);
	printf("%-10s %6u rules, %u boxes, %zu bytes (lookup %zu), %s; compiled in %.1f ms, loaded in %.0f "
	       "ms; %u rules met; fastest runs: %.1f, hot %.1f ns\n",
	       name, t->report.n_rules, t->report.n_boxes, t->len, t->report.classify,
	       t->config.apart	 ? "rules that go on apart"
	       : t->config.bits[0] ? "bits"
	       : t->config.lists ? "lists"
				 : "first match",
	       (double)(compiled - began) / 1e6, (double)(loaded - compiled) / 1e6, rules_met(&varied),
	       least_spread, least_hot);
	snprintf(figure, sizeof(figure), "filter_%s", name);
	bench_figure(figure, spread, "ns-over-parse", "<=", target);
	snprintf(figure, sizeof(figure), "filter_%s_hot", name);
	if (hot_target > 0)
		bench_figure(figure, hot, "ns-over-parse", "<=", hot_target);
	else
		bench_note(figure, hot, "ns-over-parse");
	munmap(a, sizeof(*a));
	munmap(b, sizeof(*b));
	control_filter_close(&base);
	control_filter_close(&varied);
	filter_tables_free(t);
	policy_free(p);
}

static void made(const char *kind, size_t n, uint32_t goes_on, const char *size, double target, double hot)
{
	struct rule_set set;
	struct buf text = {0};
	uint64_t state = 5;
	char name[64];
	size_t i;

	rules_make(&set, kind, 4, n, 1);
	buf_printf(&text, "filter on eth0 {\n");
	for (i = 0; i < set.n; i++)
		rules_say(&text, &set.rules[i], &state, goes_on);
	buf_printf(&text, "default drop\n}\n");
	snprintf(name, sizeof(name), "%s_%s", kind, size);
	one(name, &text, &set, target, hot);
	buf_free(&text);
	rules_free(&set);
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = {"acl", "fw", "ipc"};
	struct rule_set none = {.n = 0};
	struct buf text = {0};
	size_t k;

	if (argc < 2)
		die("usage: bench-filter DIR [NAME]");
	filter = argc > 2 ? argv[2] : NULL;
	bench_pin(0);
	objects[0] = read_object(argv[1], "filter_small.bpf.o");
	objects[1] = read_object(argv[1], "filter.bpf.o");
	buf_printf(&text, "filter on eth0 {\ndrop ip\n}\n");
	one("drop_all", &text, &none, 10, 0);
	buf_free(&text);
	for (k = 0; k < 3; k++) {
		made(kinds[k], 10, 5, "10_mixed", 10, 0);
		made(kinds[k], 64, 5, "64_mixed", 20, 0);
		made(kinds[k], 1000, UINT32_MAX, "1k", 30, 0);
		made(kinds[k], 10000, UINT32_MAX, "10k", 80, 30);
	}
	if (held)
		traffic_hold_close(&hold);
	free(objects[0].bytes);
	free(objects[1].bytes);
	return 0;
}
