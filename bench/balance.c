// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-balance DIR: what a balancer computes. Tables: how long they take, how even they are, how many slots stay; 100
 * services of 100 backends: a change of one backend, from the difference of two models to memory that a data path reads.
 * And the choice of a backend in the kernel over the same program without it (DIR holds balance.bpf.o): 65,536 different
 * flows, spread over the services.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "balance/ring.h"
#include "base/clock.h"
#include "bench/balance.h"
#include "bench/bench.h"
#include "port/traffic_host.h"

#define ROUNDS 31
#define N_SERVICES 100u
#define REPEAT 8192

static struct maglev_backend some[MAGLEV_BACKENDS];
static uint16_t table[MAGLEV_SLOTS], other[MAGLEV_SLOTS];
static struct balance_bench *shared;

static void check(int e, const struct sluice_err *err)
{
	if (e)
		die("%s", err->text);
}

static void make(size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		some[i] = (struct maglev_backend){.addr.bytes = {10, 1, (uint8_t)(i >> 8), (uint8_t)i},
						  .weight = 10};
}

static void build(size_t n, uint16_t *to)
{
	struct sluice_err err;

	check(maglev_build(some, n, MAGLEV_SLOTS, to, &err), &err);
}

static double build_ms(size_t n)
{
	double ms[ROUNDS];
	uint64_t began;
	size_t i;

	for (i = 0; i < ROUNDS; i++) {
		began = clock_mono_ns();
		build(n, table);
		ms[i] = (double)(clock_mono_ns() - began) / 1e6;
	}
	return bench_median(ms, ROUNDS);
}

/* Percent of slots that are the same in both tables. */
static double kept(void)
{
	uint32_t i, n = 0;

	for (i = 0; i < MAGLEV_SLOTS; i++)
		n += table[i] == other[i];
	return n * 100.0 / MAGLEV_SLOTS;
}

/* The worst over all backends: its weight is set to another and back. */
static double worst_kept(size_t n, uint32_t weight)
{
	double worst = 100, k;
	size_t i;

	make(n);
	build(n, table);
	for (i = 0; i < n; i++) {
		some[i].weight = weight;
		build(n, other);
		some[i].weight = 10;
		k = kept();
		worst = k < worst ? k : worst;
	}
	return worst;
}

/* Percent by which the largest share is above the smallest. */
static double unevenness(size_t n)
{
	static uint32_t count[MAGLEV_BACKENDS];
	uint32_t least = UINT32_MAX, most = 0;
	size_t i;

	make(n);
	build(n, table);
	memset(count, 0, sizeof(count));
	for (i = 0; i < MAGLEV_SLOTS; i++)
		count[table[i]]++;
	for (i = 0; i < n; i++) {
		least = count[i] < least ? count[i] : least;
		most = count[i] > most ? count[i] : most;
	}
	return (most - least) * 100.0 / least;
}

static void tables(void)
{
	size_t i;

	make(100);
	bench_note("balance_table_100_backends", build_ms(100), "ms");
	make(MAGLEV_BACKENDS);
	bench_figure("balance_table_4000_backends", build_ms(4000), "ms", "<=", 50);
	for (i = 0; i < MAGLEV_BACKENDS; i++)
		some[i].weight = 1 + (uint32_t)i * 7919 % 65535;
	bench_figure("balance_table_4000_backends_weights", build_ms(4000), "ms", "<=", 50);
	bench_figure("balance_uneven_100_backends", unevenness(100), "percent", "<=", 1);
	bench_figure("balance_uneven_655_backends", unevenness(655), "percent", "<=", 1);
	bench_figure("balance_slots_kept_one_of_100_gone", worst_kept(100, 0), "percent", ">=", 98);
	bench_figure("balance_slots_kept_weight_doubled", worst_kept(100, 20), "percent", ">=", 98);
	bench_note("balance_slots_kept_weight_a_tenth_more", worst_kept(100, 11), "percent");
}

/* 100 services of 100 backends; same: all have the same ones; else each has its own, but for the first. */
static void make_model(struct balance_model *m, bool same)
{
	struct net_addr a = {.bytes = {203, 0, 113, 0}};
	struct balance_service *s;
	char name[16];
	uint32_t i, k;

	for (i = 0; i < N_SERVICES; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		s = balance_service_add(m, name);
		a.bytes[3] = (uint8_t)i;
		if (!s || !balance_virtual_add(s, &a, 6, 443, 443))
			die("out of memory");
		for (k = 0; k < 100; k++) {
			struct net_addr b = {.bytes = {10, 1, (uint8_t)(same || !k ? 0 : i), (uint8_t)k}};

			if (!balance_backend_add(s, &b))
				die("out of memory");
		}
	}
}

struct set {
	struct balance_model before, after;
	struct ring *ring[N_SERVICES];
	struct maglev_memo memo;
	uint64_t now;
};

static void apply_one(struct set *set, uint32_t i, struct ring_report *report)
{
	struct balance_service *s = set->after.services[i];
	struct sluice_err err;

	check(ring_change(set->ring[i], s, set->now, &set->memo, report, &err), &err);
	check(ring_publish(set->ring[i], false, &shared->rings[i], shared->slots + shared->rings[i].first,
			   shared->targets + shared->rings[i].targets, 128, &err),
	      &err);
}

static void open_set(struct set *set, bool same)
{
	struct sluice_err err;
	uint32_t i;

	*set = (struct set){.now = 1};
	make_model(&set->before, same);
	make_model(&set->after, same);
	for (i = 0; i < N_SERVICES; i++) {
		check(ring_new(MAGLEV_SLOTS, &set->ring[i], &err), &err);
		shared->rings[i] = (struct balance_ring){.first = i * MAGLEV_SLOTS, .targets = i * 128};
		apply_one(set, i, NULL);
		check(ring_publish(set->ring[i], true, &shared->rings[i],
				   shared->slots + shared->rings[i].first,
				   shared->targets + shared->rings[i].targets, 128, &err),
		      &err);
	}
}

static void close_set(struct set *set)
{
	uint32_t i;

	for (i = 0; i < N_SERVICES; i++)
		ring_free(set->ring[i]);
	balance_model_free(&set->before);
	balance_model_free(&set->after);
	maglev_memo_free(&set->memo);
}

/* From the new model on: checked, compared, what differs computed and published. */
static void apply(struct set *set, size_t expected)
{
	struct balance_change *changes;
	struct sluice_err err;
	size_t n, i, k;

	check(balance_check(&set->after, NULL, NULL, &err), &err);
	check(balance_diff(&set->before, &set->after, &changes, &n, NULL, &err), &err);
	if (n != expected)
		die("%zu services differ, not %zu", n, expected);
	for (i = 0; i < n; i++)
		for (k = 0; k < N_SERVICES; k++)
			if (set->after.services[k] == changes[i].after)
				apply_one(set, (uint32_t)k, NULL);
	free(changes);
}

/* Backend k of the services from..to starts or stops draining; each round there and back, the deadline over in between. */
static double change_ms(struct set *set, uint32_t from, uint32_t to, uint32_t k)
{
	double ms[ROUNDS];
	uint32_t i, round;
	uint64_t began;

	for (round = 0; round < ROUNDS; round++) {
		set->now += 1000000000000;
		for (i = from; i < to; i++)
			set->after.services[i]->backends[k].drain ^= true;
		began = clock_mono_ns();
		apply(set, to - from);
		ms[round] = (double)(clock_mono_ns() - began) / 1e6;
		for (i = from; i < to; i++)
			set->before.services[i]->backends[k].drain ^= true;
	}
	return bench_median(ms, ROUNDS);
}

static void changes(void)
{
	static struct set set;
	struct ring_report report;

	open_set(&set, false);
	bench_figure("balance_change_one_of_100_services", change_ms(&set, 7, 8, 50), "ms", "<=", 20);
	bench_note("balance_change_in_100_services_of_other_backends", change_ms(&set, 0, 100, 0), "ms");
	close_set(&set);
	open_set(&set, true);
	bench_figure("balance_change_in_100_services_of_the_same", change_ms(&set, 0, 100, 50), "ms",
		     "<=", 20);
	bench_figure("balance_bytes_a_service_100_backends", (double)ring_bytes(set.ring[0]) / 1e3, "kB",
		     "<=", 300);
	set.now += 1000000000000;
	set.after.services[0]->backends[3].weight = 0;
	apply_one(&set, 0, &report);
	printf("one of 100 drains: %u of %u slots move, %u are changed, of them %u wait for a deadline\n",
	       report.moved, MAGLEV_SLOTS, report.changed, report.waiting);
	close_set(&set);
}

static struct bpf_object *open_programs(const char *dir)
{
	struct bpf_object *obj;
	struct bpf_map *map;
	char path[4096];

	snprintf(path, sizeof(path), "%s/balance.bpf.o", dir);
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
	return obj;
}

static int prog(const struct bpf_object *obj, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(obj, name);

	if (!p)
		die("no program %s", name);
	return bpf_program__fd(p);
}

static double over(int fd, int base)
{
	double ns[ROUNDS];
	uint8_t p[64];
	int i;

	bench_packet(p, sizeof(p));
	for (i = -8; i < ROUNDS; i++)
		ns[i < 0 ? 0 : i] =
			bench_run_ns(fd, p, sizeof(p), REPEAT) - bench_run_ns(base, p, sizeof(p), REPEAT);
	return bench_median(ns, ROUNDS);
}

static void flows(uint32_t n, uint32_t n_services)
{
	uint64_t x = 1;
	uint32_t i;

	for (i = 0; i < BENCH_HEADERS; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		shared->headers[i] = (struct bench_header){.src = {0x20010db8u, (uint32_t)(x >> 32) % n},
							   .dst = {0x20010db8u, 0xcb007100u},
							   .ports = 0x12340050u,
							   .service = (uint32_t)(x >> 33) % n_services};
	}
}

/* Every slot of every service changed, its previous backend counts: no flow table is asked, the clock is. */
static void change_all(void)
{
	uint32_t i, k;

	for (i = 0; i < N_SERVICES; i++) {
		for (k = 0; k < MAGLEV_SLOTS; k++)
			shared->slots[i * MAGLEV_SLOTS + k] |= BALANCE_SLOT(0, 1 + k % 100, 0);
		shared->rings[i].until[0] = UINT64_MAX;
	}
}

static void choice(const struct bpf_object *obj)
{
	int four = prog(obj, "choose"), base = prog(obj, "base"), six = prog(obj, "choose6"),
	    base6 = prog(obj, "base6");
	static struct set set;

	open_set(&set, false);
	balance_seed("bench", shared->seed);
	flows(4, 1);
	bench_note("balance_choice_few_flows", over(four, base), "ns-over-parse");
	flows(UINT32_MAX, 1);
	bench_figure("balance_choice_64k_flows_1_service", over(four, base), "ns-over-parse", "<=", 25);
	flows(UINT32_MAX, 10);
	bench_note("balance_choice_64k_flows_10_services", over(four, base), "ns-over-parse");
	flows(UINT32_MAX, N_SERVICES);
	bench_figure("balance_choice_64k_flows_100_services", over(four, base), "ns-over-parse", "<=", 25);
	bench_note("balance_choice_64k_flows_100_services_ipv6", over(six, base6), "ns-over-parse");
	change_all();
	bench_note("balance_choice_changed_slots_previous", over(four, base), "ns-over-parse");
	close_set(&set);
}

int main(int argc, char **argv)
{
	struct traffic_hold hold;
	struct bpf_object *obj;
	int held;

	if (argc != 2)
		die("usage: bench-balance DIR");
	bench_pin(0);
	obj = open_programs(argv[1]);
	held = !traffic_hold_open(&hold, prog(obj, "choose"));
	tables();
	changes();
	choice(obj);
	if (held)
		traffic_hold_close(&hold);
	bpf_object__close(obj);
	return 0;
}
