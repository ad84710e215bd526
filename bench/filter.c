// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-filter DIR [NAME [SEED]]: what the whole filter costs a packet, in nanoseconds over a run of the same
 * program that only parses it. DIR holds filter.bpf.o and filter_small.bpf.o. 65,536 different headers,
 * each inside a rule drawn evenly from all, in random order; "hot": 1,024 of them. Rules are made in
 * ClassBench's manner, others by each seed, and IPv6 in one of three manners by it (tests/classify_rules.c); of "mixed" ones
 * a fifth only counts, and a fifth asks for a length, too. "given": the files of the folder that the environment's CLASSBENCH
 * names.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/filter.h"
#include "control/filter.h"
#include "control/sets.h"
#include "filter/sets.h"
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
static uint64_t seed = 1;
static struct traffic_hold hold;
static int held;

/* What the file of a set holds. */
static struct buf elements;

/* From memory, as struct policy_files asks. */
static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const struct buf *text = ctx;

	(void)max, (void)err;
	if (strcmp(path, "bench") != 0)
		text = &elements;
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
	size_t len;

	return bench_bss(sluice_object_libbpf(f->obj), &len);
}

static void put_headers(struct filter_headers *to, const struct rule_set *set)
{
	uint64_t state = 20;
	struct filter_header6 *v6;
	struct filter_header *v;
	struct header h;
	size_t i;

	for (i = 0; i < FILTER_HEADERS; i++) {
		if (set->n)
			rules_header(set, rules_below(&state, (uint32_t)set->n), 0, &state, &h);
		else
			rules_any_header(6, &state, &h); /* of which the beginning is one of IPv4 */
		v = &to->v[i];
		v6 = &to->v6[i];
		memcpy(v6->src, h.src, 16);
		memcpy(v6->dst, h.dst, 16);
		v6->sport = __builtin_bswap16(h.sport);
		v6->dport = __builtin_bswap16(h.dport);
		v6->proto = h.proto;
		v6->flags = (uint8_t)(h.flags >> 8);
		memcpy(&v->src, h.src, 4);
		memcpy(&v->dst, h.dst, 4);
		v->sport = __builtin_bswap16(h.sport);
		v->dport = __builtin_bswap16(h.dport);
		v->proto = h.proto;
		v->flags = (uint8_t)(h.flags >> 8);
	}
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

struct row {
	const char *name;
	struct buf *text;
	const struct rule_set *set; /* that headers are made for */
	uint8_t family;
	uint32_t spread;
	double target, hot; /* 0: a note */
};

/* A packet of the family; headers are written into it. */
static void put_packet(const struct row *row, uint8_t *packet, size_t len)
{
	static const uint8_t head[] = {0x86, 0xdd, 0x60, 0, 0, 0, 0, 26, 17, 64};

	bench_packet(packet, len);
	if (row->family == 6)
		memcpy(packet + 12, head, sizeof(head));
}

static void say(const struct row *row, struct control_filter *f, const struct filter_tables *t,
		double compiled, double loaded, const double *median)
{
	printf("%-12s %6u rules, %u boxes, %zu bytes (lookup %zu), %s; compiled in %.1f ms, loaded in %.0f "
	       "ms; %u rules met; medians %.1f, hot %.1f ns\n",
	       row->name, t->report.n_rules, t->report.n_boxes, t->len, t->report.classify,
	       t->config.apart			  ? "rules that go on apart"
	       : t->config.bits[row->family == 6] ? "bits"
	       : t->config.lists		  ? "lists"
						  : "first match",
	       compiled, loaded, rules_met(f), median[0], median[1]);
}

static void figure(const struct row *row, const char *suffix, double value, double target)
{
	char name[128];

	snprintf(name, sizeof(name), "filter_%s%s", row->name, suffix);
	if (target > 0)
		bench_figure(name, value, "ns-over-parse", "<=", target);
	else
		bench_note(name, value, "ns-over-parse");
}

static void measure(const struct row *row, struct control_filter *f, double *ns, double *median)
{
	struct filter_headers *h[2] = {headers_of(&f[0]), headers_of(&f[1])};
	uint8_t packet[80];
	size_t len = row->family == 6 ? 80 : 64;
	int i, k;

	put_packet(row, packet, len);
	for (i = 0; i < 2; i++) {
		put_headers(h[i], row->set);
		h[i]->spread = row->spread;
	}
	for (k = 0; k < 2; k++) {
		h[0]->n = h[1]->n = k ? HOT : FILTER_HEADERS;
		ns[k] = bench_over(f[0].prog_fd, f[1].prog_fd, packet, len, REPEAT, ROUNDS, WARM, &median[k]);
	}
	for (i = 0; i < 2; i++)
		munmap(h[i], sizeof(*h[i]));
}

static void one(const struct row *row)
{
	struct filter_opts opts = {.seed = {3, 5, 7, 11, 13, 17, 19, 23, 29, 31}, .jiffy_ns = 4000000};
	const char *const names[2][2] = {{"base", "varied"}, {"base6", "varied6"}};
	struct control_filter f[2];
	struct filter_sets *plan;
	struct filter_tables *t;
	struct sluice_err err;
	struct policy *p;
	const struct object *o;
	uint64_t began, compiled, loaded;
	double ns[2], median[2];
	int i, sets;

	if (filter && !strstr(row->name, filter))
		return;
	p = policy_of(row->text);
	if (filter_sets_plan(p, &plan, &err) || control_sets_make(plan, -1, &sets, &err))
		die("%s: %s", row->name, err.text);
	opts.sets = plan;
	began = clock_mono_ns();
	if (filter_compile(p, 0, &opts, &t, &err))
		die("%s: %s", row->name, err.text);
	compiled = clock_mono_ns();
	o = &objects[t->room != FILTER_ROOM_SMALL];
	for (i = 1, loaded = 0; i >= 0; i--) {
		if (control_filter_load_from(t, o->bytes, o->len, names[row->family == 6][i], sets, &f[i], &err))
			die("%s: %s", row->name, err.text);
		loaded = i ? clock_mono_ns() : loaded;
	}
	if (!held)
		held = !traffic_hold_open(&hold, f[1].prog_fd);
	measure(row, f, ns, median);
	say(row, &f[1], t, (double)(compiled - began) / 1e6, (double)(loaded - compiled) / 1e6, median);
	figure(row, "", ns[0], row->target);
	figure(row, "_hot", ns[1], row->hot);
	control_filter_close(&f[0]);
	control_filter_close(&f[1]);
	filter_tables_free(t);
	filter_sets_free(plan);
	if (sets >= 0)
		close(sets);
	policy_free(p);
}

static void of_rules(const char *name, const struct rule_set *set, uint8_t family, uint32_t goes_on,
		     double target, double hot)
{
	struct buf text = {0};
	struct row row = {name, &text, set, family, 0, target, hot};
	uint64_t state = 5;
	size_t i;

	buf_printf(&text, "filter on eth0 {\n");
	for (i = 0; i < set->n; i++)
		rules_say(&text, &set->rules[i], &state, goes_on);
	buf_printf(&text, "default drop\n}\n");
	one(&row);
	buf_free(&text);
}

static void made(const char *kind, uint8_t family, size_t n, uint32_t goes_on, const char *size, double target,
		 double hot)
{
	char name[64];
	struct rule_set set;

	snprintf(name, sizeof(name), "%s%s_%s", kind, family == 6 ? "6" : "", size);
	if (filter && !strstr(name, filter))
		return;
	rules_make(&set, kind, family, n, seed);
	of_rules(name, &set, family, goes_on, target, hot);
	rules_free(&set);
}

static void given(void *arg, const char *file, const struct rule_set *set)
{
	uint8_t family = *(const uint8_t *)arg;
	double times = family == 6 ? 1.4 : 1;
	bool large = set->n > 1100;
	char name[80];

	snprintf(name, sizeof(name), "given%s_%s", family == 6 ? "6" : "", file);
	if (!filter || strstr(name, filter))
		of_rules(name, set, family, UINT32_MAX,
			 (set->n > 11000 ? 150
			  : large	 ? 80
					 : 30) *
				 times,
			 large && set->n <= 11000 ? 30 * times : 0);
}

/* An address anywhere, or the prefix of 24 or 48 bits that it is in. */
static void put_element(uint8_t family, bool prefix, uint64_t *state)
{
	uint64_t a = rules_random(state), b = rules_random(state);

	if (family == 4)
		buf_printf(&elements, "%u.%u.%u.%u%s\n", (unsigned int)a & 255, (unsigned int)(a >> 8) & 255,
			   (unsigned int)(a >> 16) & 255, prefix ? 0 : (unsigned int)(a >> 24) & 255,
			   prefix ? "/24" : "");
	else
		buf_printf(&elements, "%x:%x:%x:", (unsigned int)a & 0xffff, (unsigned int)(a >> 16) & 0xffff,
			   (unsigned int)(a >> 32) & 0xffff);
	if (family == 6 && prefix)
		buf_printf(&elements, ":/48\n");
	else if (family == 6)
		buf_printf(&elements, "%x:%x:%x:%x:%x\n", (unsigned int)(a >> 48), (unsigned int)b & 0xffff,
			   (unsigned int)(b >> 16) & 0xffff, (unsigned int)(b >> 32) & 0xffff,
			   (unsigned int)(b >> 48));
}

/* Sources that come from anywhere: one rule for all, limits, sets of a million. */
static void said(const char *name, uint8_t family, const char *rules, uint32_t spread, uint32_t n_elements,
		 bool prefixes, double target)
{
	struct rule_set none = {.n = 0};
	struct buf text = {0};
	struct row row = {name, &text, &none, family, spread, target, 0};
	uint64_t state = 77;
	uint32_t i;

	if (filter && !strstr(name, filter))
		return;
	for (i = 0; i < n_elements; i++)
		put_element(family, prefixes, &state);
	buf_printf(&text, "%sfilter on eth0 {\n%s\n}\n", n_elements ? "set bad from \"bad\"\n" : "", rules);
	one(&row);
	buf_free(&text);
	buf_free(&elements);
}

static void family(uint8_t family, double times)
{
	static const char *const kinds[] = {"acl", "fw", "ipc"};
	size_t k;

	for (k = 0; k < 3; k++) {
		made(kinds[k], family, 10, 5, "10_mixed", 10 * times, 0);
		made(kinds[k], family, 64, 5, "64_mixed", 20 * times, 0);
		made(kinds[k], family, 1000, UINT32_MAX, "1k", 30 * times, 0);
		made(kinds[k], family, 10000, UINT32_MAX, "10k", 80 * times, 30 * times);
		made(kinds[k], family, 85000, UINT32_MAX, "85k", 150 * times, 0);
	}
	rules_given(family, given, &family);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage: bench-filter DIR [NAME [SEED]]");
	filter = argc > 2 ? argv[2] : NULL;
	seed = argc > 3 ? strtoull(argv[3], NULL, 10) : seed;
	bench_pin(0);
	objects[0].bytes = bench_read(argv[1], "filter_small.bpf.o", &objects[0].len);
	objects[1].bytes = bench_read(argv[1], "filter.bpf.o", &objects[1].len);
	said("drop_all", 4, "drop ip", 0, 0, false, 10);
	family(4, 1);
	family(6, 1.4);
	/* limits: 65,536 sources, and others each time they have been through; slower ones have the most cells there are */
	said("set_1m", 4, "drop from @bad\ndefault pass", 0, 1000000, false, 50);
	said("set_1m_prefixes", 4, "drop from @bad\ndefault pass", 0, 1000000, true, 100);
	said("limit_16m", 4, "limit ip4 to 1000/s per source burst 50\ndefault pass", 0x00010203, 0, false,
	     60);
	said("limit_16m_slow", 4, "limit ip4 to 10/s per source burst 50\ndefault pass", 0x00010203, 0, false,
	     60);
	said("set6_1m", 6, "drop from @bad\ndefault pass", 0, 1000000, false, 70);
	said("set6_1m_prefixes", 6, "drop from @bad\ndefault pass", 0, 1000000, true, 140);
	said("limit6_16m", 6, "limit ip6 to 1000/s per source burst 50\ndefault pass", 0x00010203, 0, false,
	     84);
	if (held)
		traffic_hold_close(&hold);
	free(objects[0].bytes);
	free(objects[1].bytes);
	return 0;
}
