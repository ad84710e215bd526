// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-balance DIR: what a balancer computes. Tables: how long they take, how even they are, how many slots stay; 100
 * services of 100 backends: a change of one backend, from a new model to memory that a data path reads. And whole
 * packets in the kernel, IP in IP, over a program that only looks at the same packets and leaves them as they were (DIR
 * holds balance.bpf.o): flows are spread evenly over all services, the worst there is for caches.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "balance/tables.h"
#include "base/clock.h"
#include "bench/balance.h"
#include "bench/balance_lru.h"
#include "bench/bench.h"
#include "control/balance.h"
#include "port/traffic_host.h"

#define ROUNDS 15
#define N_SERVICES 100u
#define REPEAT 65536u

static struct maglev_backend some[MAGLEV_BACKENDS];
static uint16_t table[MAGLEV_SLOTS], other[MAGLEV_SLOTS];

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

/*
 * 100 services of 100 backends on both families; same: all have the same ones; else each has its own, but for the first.
 * Backends of IPv6 services are IPv6.
 */
static void make_model(struct balance_model *m, uint32_t n_slots, bool six, bool same)
{
	struct net_addr a = six ? (struct net_addr){{0x20, 1, 0x0d, 0xb8, [12] = 203, 0, 113, 0}, true}
				: (struct net_addr){{203, 0, 113, 0}, false};
	struct balance_service *s;
	char name[16];
	uint32_t i, k;

	for (i = 0; i < N_SERVICES; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		s = balance_service_add(m, name);
		a.bytes[six ? 15 : 3] = (uint8_t)i;
		if (!s || !balance_virtual_add(s, &a, 6, 443, 443))
			die("out of memory");
		s->n_slots = n_slots;
		for (k = 0; k < 100; k++) {
			struct net_addr b = {.bytes = {10, 1, (uint8_t)(same || !k ? 0 : i), (uint8_t)k},
					     .v6 = six};

			if (!balance_backend_add(s, &b))
				die("out of memory");
		}
	}
}

static struct tables *tables_for(const struct balance_model *m)
{
	struct tables_room room;
	struct sluice_err err;
	struct tables *t;

	tables_room(m, &room);
	check(tables_new(&room, m->seed, &t, &err), &err);
	return t;
}

static uint64_t now = 1;

/* From the new model on: checked, compared, what differs computed and published. */
static void apply(struct tables *t, const struct balance_model *m, struct ring_report *report)
{
	struct sluice_err err;

	check(balance_check(m, NULL, NULL, &err), &err);
	check(tables_change(t, m, NULL, now, report, &err), &err);
}

/* Backend k of the services from..to starts or stops draining; each round there and back, the deadline over in between. */
static double change_ms(struct tables *t, struct balance_model *m, uint32_t from, uint32_t to, uint32_t k)
{
	double ms[ROUNDS];
	uint32_t i, round;
	uint64_t began;

	for (round = 0; round < ROUNDS; round++) {
		now += 1000000000000;
		for (i = from; i < to; i++)
			m->services[i]->backends[k].drain ^= true;
		began = clock_mono_ns();
		apply(t, m, NULL);
		ms[round] = (double)(clock_mono_ns() - began) / 1e6;
	}
	return bench_median(ms, ROUNDS);
}

static void *zeroes(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mapping memory: %s", strerror(errno));
	return p;
}

static void changes(void)
{
	struct balance_model own = {0}, same = {0};
	struct ring_report report;
	struct tables *t;
	void *memory;

	make_model(&own, MAGLEV_SLOTS, false, false);
	t = tables_for(&own);
	memory = zeroes(tables_bytes(t));
	tables_attach(t, memory);
	apply(t, &own, NULL);
	bench_figure("balance_change_one_of_100_services", change_ms(t, &own, 7, 8, 50), "ms", "<=", 20);
	bench_note("balance_change_in_100_services_of_other_backends", change_ms(t, &own, 0, 100, 0), "ms");
	munmap(memory, tables_bytes(t));
	tables_free(t);
	make_model(&same, MAGLEV_SLOTS, false, true);
	t = tables_for(&same);
	memory = zeroes(tables_bytes(t));
	tables_attach(t, memory);
	apply(t, &same, NULL);
	bench_figure("balance_change_in_100_services_of_the_same", change_ms(t, &same, 0, 100, 50), "ms",
		     "<=", 20);
	bench_figure("balance_bytes_a_service_100_backends", (double)ring_bytes(tables_ring(t, 0)) / 1e3,
		     "kB", "<=", 300);
	now += 1000000000000;
	same.services[0]->backends[3].weight = 0;
	apply(t, &same, &report);
	printf("one of 100 drains: %u of %u slots move, %u are changed, of them %u wait for a deadline\n",
	       report.moved, MAGLEV_SLOTS, report.changed, report.waiting);
	munmap(memory, tables_bytes(t));
	tables_free(t);
	balance_model_free(&own);
	balance_model_free(&same);
}

/* --- packets in the kernel --- */

struct bed {
	struct balance_model m;
	struct tables *t;
	struct control_balance b;
	struct balance_bench *bss;
	size_t bss_len;
	int base, varied;
	struct traffic_hold hold;
	bool held, six;
	uint8_t packet[74];
	size_t len;
};

static void packet(struct bed *bed)
{
	uint8_t *p = bed->packet, *tcp;

	memset(p, 2, 12);
	p[12] = bed->six ? 0x86 : 0x08;
	p[13] = bed->six ? 0xdd : 0x00;
	if (bed->six) {
		p[14] = 0x60;
		p[19] = 20;
		p[20] = 6;
		p[21] = 64;
		memcpy(p + 22, (uint8_t[]){0x20, 1, 0x0d, 0xb8, 0, 1}, 6);
		memcpy(p + 38, (uint8_t[]){0x20, 1, 0x0d, 0xb8}, 4);
		tcp = p + 54;
	} else {
		p[14] = 0x45;
		p[17] = 40;
		p[22] = 64;
		p[23] = 6;
		tcp = p + 34;
	}
	tcp[12] = 0x50;
	tcp[13] = 0x10;
	bed->len = (size_t)(tcp - p) + 20;
}

static void open_bed(struct bed *bed, const char *dir, uint32_t n_slots, uint32_t flows, bool six)
{
	struct control_balance_opts opts = {.flows = flows, .flows_fd = -1};
	struct balance_hop hop = {.ifindex = 1,
				  .mtu = 1500,
				  .dmac = {2, 2, 2, 2, 2, 2},
				  .smac = {2, 2, 2, 2, 2, 2}};
	struct sluice_err err;
	size_t len;
	void *object = bench_read(dir, "balance.bpf.o", &len);
	uint32_t i, k;

	memset(bed, 0, sizeof(*bed));
	bed->six = six;
	make_model(&bed->m, n_slots, six, false);
	bed->t = tables_for(&bed->m);
	check(control_balance_load_from(bed->t, &opts, object, len, "varied", &bed->b, &err), &err);
	free(object);
	bed->bss = bench_bss(sluice_object_libbpf(bed->b.obj), &bed->bss_len);
	apply(bed->t, &bed->m, NULL);
	tables_hop(bed->t, 1, &hop);
	for (i = 0; i < N_SERVICES; i++)
		for (k = 1; k <= 100; k++)
			tables_way(bed->t, i, k, 1);
	bed->base = bench_prog(sluice_object_libbpf(bed->b.obj), six ? "base6" : "base");
	bed->varied = bench_prog(sluice_object_libbpf(bed->b.obj), six ? "varied6" : "varied");
	bed->held = !traffic_hold_open(&bed->hold, bed->base);
	packet(bed);
}

static void close_bed(struct bed *bed)
{
	if (bed->held)
		traffic_hold_close(&bed->hold);
	munmap(bed->bss, bed->bss_len);
	tables_free(bed->t);
	control_balance_close(&bed->b);
	balance_model_free(&bed->m);
}

/* n flows (65,536 headers, or fewer, which come again with `again` + 1 different sources), over so many services. */
static void flows(struct bed *bed, uint32_t n, uint32_t again, uint32_t n_services)
{
	uint64_t x = 1;
	uint32_t i;

	bed->bss->n = n;
	bed->bss->again = again;
	bed->bss->flags = 0x10;
	for (i = 0; i < n; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		bed->bss->headers[i] =
			(struct bench_header){htonl((uint32_t)(x >> 32)),
					      htonl(0xcb007100 + (uint32_t)(x >> 33) % n_services),
					      htonl((uint32_t)(x >> 40) << 16 | 443)};
	}
}

/* Nanoseconds of a program over the base: minima of interleaved rounds, since whatever else runs only adds. */
static double over_of(struct bed *bed, int prog, const struct balance_bench *bss, uint32_t repeat)
{
	double with = 1e9, without = 1e9, ns;
	uint64_t before = bss->lost;
	int i;

	for (i = -3; i < ROUNDS; i++) {
		ns = bench_run_ns(prog, bed->packet, bed->len, repeat);
		with = i >= 0 && ns < with ? ns : with;
		ns = bench_run_ns(bed->base, bed->packet, bed->len, repeat);
		without = i >= 0 && ns < without ? ns : without;
	}
	if (bss->lost != before)
		die("%llu packets were not forwarded", (unsigned long long)(bss->lost - before));
	return with - without;
}

static double over(struct bed *bed, uint32_t repeat)
{
	return over_of(bed, bed->varied, bed->bss, repeat);
}

/* Beside it, the same packets through a balancer of the kernel's maps, in which all flows were before: its nanoseconds, and its part. */
static void beside_lru(struct bed *bed, struct lru_bed *lru, const char *name, double own, uint32_t repeat)
{
	double theirs;
	char row[80];

	lru_headers(lru, bed->bss);
	bench_run_ns(lru->prog, bed->packet, bed->len, 8 * repeat);
	theirs = over_of(bed, lru->prog, lru->bss, repeat);
	snprintf(row, sizeof(row), "balance_%s_kernel_lru", name);
	bench_note(row, theirs, "ns-over-parse");
	snprintf(row, sizeof(row), "balance_%s_of_kernel_lru", name);
	bench_note(row, own / theirs, "ratio");
}

/* A row with its limit, and the same packets through the kernel's LRU; lru: or NULL. */
static double row(struct bed *bed, struct lru_bed *lru, const char *name, uint32_t repeat, double limit)
{
	char full[80];
	double own = over(bed, repeat);

	snprintf(full, sizeof(full), "balance_%s", name);
	bench_figure(full, own, "ns-over-parse", "<=", limit);
	if (lru)
		beside_lru(bed, lru, name, own, repeat);
	return own;
}

/* Every slot of every service changed; flows that nobody knows go to its previous backend. */
static void change_all(struct bed *bed)
{
	const struct balance_config *c = &bed->b.config;
	uint16_t *changes = (uint16_t *)((char *)bed->b.memory + c->changes);
	struct balance_ring *r = (struct balance_ring *)((char *)bed->b.memory + c->services);
	uint32_t i, k;

	memset((char *)bed->b.memory + c->marks, 0xff, c->n_changes / 8);
	for (i = 0; i < N_SERVICES; i++) {
		for (k = 0; k < r[i].n_slots; k++)
			changes[r[i].change + k] = (uint16_t)(1 + k % 100);
		r[i].until[0] = UINT64_MAX;
		r[i].flags |= BALANCE_FLAG_CHANGES;
	}
}

static void unchanged_slots(const char *dir)
{
	struct lru_bed lru;
	struct bed bed;
	double four;

	open_bed(&bed, dir, MAGLEV_SLOTS, 0, false);
	lru_open(&lru, dir, 1 << 17);
	flows(&bed, 4, 0, 1);
	row(&bed, &lru, "packet_4_flows", REPEAT, 25);
	flows(&bed, BENCH_HEADERS, 0, 1);
	row(&bed, &lru, "packet_64k_flows_1_service", REPEAT, 25);
	flows(&bed, BENCH_HEADERS, 0, N_SERVICES);
	four = row(&bed, &lru, "packet_64k_flows_100_services", REPEAT, 25);
	lru_close(&lru);
	flows(&bed, BENCH_HEADERS, 15, N_SERVICES);
	bench_note("balance_packet_1M_flows_100_services", over(&bed, 4 * REPEAT), "ns-over-parse");
	close_bed(&bed);
	open_bed(&bed, dir, 16381, 0, false);
	flows(&bed, BENCH_HEADERS, 0, N_SERVICES);
	bench_note("balance_packet_64k_flows_100_services_16381_slots", over(&bed, REPEAT), "ns-over-parse");
	close_bed(&bed);
	open_bed(&bed, dir, MAGLEV_SLOTS, 0, true);
	flows(&bed, BENCH_HEADERS, 0, N_SERVICES);
	bench_figure("balance_packet_64k_flows_100_services_ipv6_to_ipv4", over(&bed, REPEAT) / four, "ratio",
		     "<=", 1.4);
	close_bed(&bed);
}

/* One backend of 100 drains in every service: what a packet costs meanwhile. */
static void transition(const char *dir)
{
	struct bed bed;
	uint32_t i;

	open_bed(&bed, dir, MAGLEV_SLOTS, 0, false);
	flows(&bed, BENCH_HEADERS, 0, N_SERVICES);
	for (i = 0; i < N_SERVICES; i++)
		bed.m.services[i]->backends[3].drain = true;
	now = clock_mono_ns();
	apply(bed.t, &bed.m, NULL);
	bench_note("balance_packet_while_one_of_100_drains_in_all_services", over(&bed, REPEAT),
		   "ns-over-parse");
	close_bed(&bed);
}

static void flow_table(const char *dir)
{
	struct lru_bed lru;
	struct bed bed;

	open_bed(&bed, dir, MAGLEV_SLOTS, 1 << 16, false);
	change_all(&bed);
	flows(&bed, BENCH_HEADERS, 0, 1);
	row(&bed, NULL, "flow_hit_64k_flows_1_service", REPEAT, 45);
	flows(&bed, BENCH_HEADERS, 0, N_SERVICES);
	row(&bed, NULL, "flow_hit_64k_flows", REPEAT, 45);
	close_bed(&bed);
	open_bed(&bed, dir, MAGLEV_SLOTS, 1 << 20, false);
	lru_open(&lru, dir, 1 << 21);
	change_all(&bed);
	flows(&bed, BENCH_HEADERS, 0, N_SERVICES);
	bench_note("balance_flow_hit_64k_flows_room_for_1M", over(&bed, REPEAT), "ns-over-parse");
	flows(&bed, BENCH_HEADERS, 15, N_SERVICES);
	bench_run_ns(bed.varied, bed.packet, bed.len, 32 * REPEAT);
	row(&bed, &lru, "flow_hit_1M_flows", 4 * REPEAT, 100);
	flows(&bed, BENCH_HEADERS, ~0u >> 16, N_SERVICES);
	row(&bed, &lru, "flow_every_packet_new", 4 * REPEAT, 150);
	bed.bss->flags = 2;
	row(&bed, &lru, "flow_every_packet_a_syn", 4 * REPEAT, 150);
	lru_close(&lru);
	close_bed(&bed);
	open_bed(&bed, dir, MAGLEV_SLOTS, 1 << 16, true);
	flows(&bed, BENCH_HEADERS, 0, N_SERVICES);
	change_all(&bed);
	bench_note("balance_flow_hit_64k_flows_ipv6", over(&bed, REPEAT), "ns-over-parse");
	close_bed(&bed);
}

static uint64_t known(const struct bed *bed)
{
	struct balance_count c;
	struct sluice_err err;
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < bed->b.config.n_targets; i++) {
		check(control_balance_count(&bed->b, i, &c, &err), &err);
		n += c.known;
	}
	return n;
}

/* 8,192 flows that are known, each sends a packet after every 262,144 SYNs of others. */
static void flood(const char *dir)
{
	double quiet[ROUNDS], loud[ROUNDS];
	struct bench_header *kept = calloc(8192, sizeof(*kept)),
			    *others = calloc(BENCH_HEADERS, sizeof(*others));
	uint64_t before;
	struct bed bed;
	uint32_t i, lost;

	if (!kept || !others)
		die("out of memory");
	open_bed(&bed, dir, MAGLEV_SLOTS, 1 << 20, false);
	change_all(&bed);
	flows(&bed, BENCH_HEADERS, 0, N_SERVICES);
	memcpy(kept, bed.bss->headers, 8192 * sizeof(*kept));
	memcpy(others, bed.bss->headers, BENCH_HEADERS * sizeof(*others));
	flows(&bed, 8192, 0, N_SERVICES);
	for (i = 0; i < ROUNDS; i++)
		quiet[i] = bench_run_ns(bed.varied, bed.packet, bed.len, 8192);
	for (i = 0, lost = 0; i < ROUNDS; i++) {
		memcpy(bed.bss->headers, others, BENCH_HEADERS * sizeof(*others));
		bed.bss->n = BENCH_HEADERS;
		bed.bss->again = ~0u;
		bed.bss->flags = 2;
		bed.bss->turn |= 0xffff; /* no source of a known flow */
		bench_run_ns(bed.varied, bed.packet, bed.len, 4 * REPEAT);
		memcpy(bed.bss->headers, kept, 8192 * sizeof(*kept));
		bed.bss->n = 8192;
		bed.bss->again = 0;
		bed.bss->flags = 0x10;
		before = known(&bed);
		loud[i] = bench_run_ns(bed.varied, bed.packet, bed.len, 8192);
		lost += 8192 - (uint32_t)(known(&bed) - before);
	}
	bench_figure("balance_flood_known_flows_lost", lost, "flows", "<=", 0);
	bench_figure("balance_flood_known_flows_cost",
		     bench_median(loud, ROUNDS) / bench_median(quiet, ROUNDS), "ratio", "<=", 1.3);
	close_bed(&bed);
	free(kept);
	free(others);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		die("usage: bench-balance DIR");
	bench_pin(0);
	tables();
	changes();
	unchanged_slots(argv[1]);
	transition(argv[1]);
	flow_table(argv[1]);
	flood(argv[1]);
	return 0;
}
