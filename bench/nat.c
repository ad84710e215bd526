// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-nat DIR: what a packet of a translated flow costs in the kernel, both ways, over a program that only looks at the same
 * packets (DIR holds nat.bpf.o). 100 services of 100 backends, a pool of four addresses; flows are spread evenly over all. The way
 * to clients is asked of the network that bench/run makes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "balance/nat.h"
#include "balance/tables.h"
#include "base/clock.h"
#include "bench/bench.h"
#include "bench/nat.h"
#include "control/balance.h"
#include "port/traffic_host.h"

#define ROUNDS 9
#define REPEAT 262144u
#define N_SERVICES 100u

struct bed {
	struct balance_model m;
	struct tables *t;
	struct control_balance b;
	struct nat_bench *bss;
	struct traffic_hold hold;
	bool held;
	int base, forth, back;
	uint8_t packet[54];
};

static void check(int e, const struct sluice_err *err)
{
	if (e)
		die("%s", err->text);
}

static void model(struct balance_model *m)
{
	struct net_addr v = {{203, 0, 113, 0}, false}, pool = {{192, 0, 2, 16}, false};
	struct balance_service *s;
	char name[16];
	uint32_t i, k;

	for (i = 0; i < N_SERVICES; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		s = balance_service_add(m, name);
		v.bytes[3] = (uint8_t)i;
		if (!s || !balance_virtual_add(s, &v, 6, 443, 443) || !balance_pool_add(s, &pool, 4))
			die("out of memory");
		s->mode = BALANCE_NAT;
		for (k = 0; k < 100; k++) {
			struct net_addr b = {.bytes = {10, 1, (uint8_t)i, (uint8_t)k}};

			if (!balance_backend_add(s, &b))
				die("out of memory");
		}
	}
}

static void packet(uint8_t *p)
{
	memset(p, 2, 12);
	p[12] = 0x08;
	p[14] = 0x45;
	p[17] = 40;
	p[22] = 64;
	p[23] = 6;
	p[46] = 0x50;
	p[47] = 0x10;
}

static void open_bed(struct bed *bed, const char *dir)
{
	struct balance_hop hop = {.ifindex = 1, .mtu = 1500, .dmac = {2, 2, 2, 2, 2, 2}, .smac = {2, 2, 2, 2, 2, 2}};
	struct control_balance_opts opts = {.flows_fd = -1};
	struct tables_room room;
	struct nat_config plan;
	struct sluice_err err;
	size_t len;
	void *object = bench_read(dir, "nat.bpf.o", &len);
	uint32_t i, k;

	memset(bed, 0, sizeof(*bed));
	model(&bed->m);
	check(balance_check(&bed->m, NULL, NULL, &err), &err);
	tables_room(&bed->m, &room);
	check(tables_new(&room, bed->m.seed, &bed->t, &err), &err);
	check(nat_plan(&bed->m, NULL, &plan, NULL, &err), &err);
	for (i = 0; i < N_SERVICES; i++)
		check(nat_service(&plan, i, bed->m.services[i], &err), &err);
	opts.nat = &plan;
	check(control_balance_load_from(bed->t, &opts, object, len, "forth", &bed->b, &err), &err);
	free(object);
	check(tables_change(bed->t, &bed->m, NULL, clock_mono_ns(), NULL, &err), &err);
	tables_hop(bed->t, 1, &hop);
	for (i = 0; i < N_SERVICES; i++)
		for (k = 1; k <= 100; k++)
			tables_way(bed->t, i, k, 1);
	bed->bss = bench_bss(sluice_object_libbpf(bed->b.obj), &len);
	bed->base = bench_prog(sluice_object_libbpf(bed->b.obj), "base");
	bed->forth = bench_prog(sluice_object_libbpf(bed->b.obj), "forth");
	bed->back = bench_prog(sluice_object_libbpf(bed->b.obj), "back");
	bed->held = !traffic_hold_open(&bed->hold, bed->base);
	packet(bed->packet);
}

static void flows(struct bed *bed, uint32_t n, uint32_t again)
{
	uint64_t x = 1;
	uint32_t i;

	bed->bss->n = n;
	bed->bss->again = again;
	bed->bss->flags = 0x10;
	for (i = 0; i < n; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		bed->bss->forth[i] = (struct bench_nat_header){htonl(0x80000000 | (uint32_t)(x >> 34)), /* from where one may send */
							       htonl(0xcb007100 + (uint32_t)(x >> 33) % N_SERVICES),
							       htonl((uint32_t)(x >> 40) << 16 | 443), 0};
	}
}

static double run(const struct bed *bed, int fd)
{
	return bench_run_ns(fd, bed->packet, sizeof(bed->packet), REPEAT);
}

/* Nanoseconds over the base: minima of interleaved rounds, since whatever else runs only adds. */
static double over(struct bed *bed, int fd)
{
	double with = 1e9, without = 1e9, ns;
	int i;

	bed->bss->lost = 0;
	for (i = -2; i < ROUNDS; i++) {
		ns = run(bed, fd);
		with = i >= 0 && ns < with ? ns : with;
		ns = run(bed, bed->base);
		without = i >= 0 && ns < without ? ns : without;
	}
	if (bed->bss->lost)
		printf("%llu packets were not forwarded\n", (unsigned long long)bed->bss->lost);
	return with - without;
}

/* Every flow once, and what its backend answers is in `back`, which opens it. */
static void learn(struct bed *bed)
{
	bed->bss->flags = 2;
	bed->bss->learn = 1;
	bed->bss->turn = 0;
	run(bed, bed->forth);
	bed->bss->learn = 0;
	bed->bss->flags = 0x10;
	run(bed, bed->back);
	run(bed, bed->forth);
}

int main(int argc, char **argv)
{
	struct bed bed;

	if (argc != 2)
		die("usage: bench-nat DIR");
	bench_pin(0);
	open_bed(&bed, argv[1]);
	flows(&bed, 4, 0);
	learn(&bed);
	bench_figure("balance_nat_forth_4_flows", over(&bed, bed.forth), "ns-over-parse", "<=", 80);
	bench_figure("balance_nat_back_4_flows", over(&bed, bed.back), "ns-over-parse", "<=", 80);
	flows(&bed, BENCH_HEADERS, 0);
	learn(&bed);
	bench_figure("balance_nat_forth_64k_flows", over(&bed, bed.forth), "ns-over-parse", "<=", 80);
	bench_figure("balance_nat_back_64k_flows", over(&bed, bed.back), "ns-over-parse", "<=", 80);
	bench_figure("balance_nat_bytes_a_flow", (double)sizeof(struct nat_bucket4) / NAT_WAYS, "bytes", "<=", 64);
	bench_figure("balance_nat_bytes_a_flow_ipv6", (double)sizeof(struct nat_bucket6) / NAT_WAYS, "bytes", "<=", 64);
	flows(&bed, BENCH_HEADERS, ~0u >> 16);
	bed.bss->flags = 2;
	bench_note("balance_nat_every_packet_a_syn", over(&bed, bed.forth), "ns-over-parse");
	if (bed.held)
		traffic_hold_close(&bed.hold);
	tables_free(bed.t);
	control_balance_close(&bed.b);
	balance_model_free(&bed.m);
	return 0;
}
