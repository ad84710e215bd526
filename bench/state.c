// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What it costs to change a balancer that runs, with its state in files: 100 services of 65,537 slots and 100 backends. CPU
 * time, since nothing is waited for but a disk, if /run is on one. state FOLDER
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "control/balance_inside.h"
#include "control/files.h"

#define ROUNDS 5
#define SERVICES 100
#define BACKENDS 100

static struct sluice_err err;

static void must(int e)
{
	if (e)
		die("%s", err.text);
}

/* same: all services have the same backends */
static void make_model(struct balance_model *m, bool same)
{
	struct balance_service *s;
	char name[16];
	uint32_t i, k;

	for (i = 0; i < SERVICES; i++) {
		struct net_addr v = {.bytes = {203, 0, 113, (uint8_t)i}};

		snprintf(name, sizeof(name), "s%u", i);
		s = balance_service_add(m, name);
		if (!s || !balance_virtual_add(s, &v, 6, 80, 80))
			die("out of memory");
		for (k = 0; k < BACKENDS; k++) {
			struct net_addr b = {.bytes = {10, 1, (uint8_t)(same ? 0 : i), (uint8_t)k}};

			if (!balance_backend_add(s, &b))
				die("out of memory");
		}
	}
}

static int map_of(size_t bytes)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bench", 4, (uint32_t)bytes, 1, &o);

	if (fd < 0)
		die("a map of %zu bytes: %s", bytes, strerror(-fd));
	return fd;
}

static double since(uint64_t t)
{
	return (double)(clock_cpu_ns() - t) / 1e6;
}

/* One backend of services from..to goes down, or comes back. */
static double change_ms(struct balance_live *b, uint32_t from, uint32_t to, uint32_t round)
{
	uint64_t t = clock_cpu_ns();
	uint32_t i;

	for (i = from; i < to; i++)
		must(balance_live_health(b, i, 3, round & 1, BALANCE_WHO_HEALTH, &err));
	must(balance_live_commit(b, clock_mono_ns(), NULL, &err));
	return since(t);
}

static void run(const char *top, bool same)
{
	double open_ms[ROUNDS], one[ROUNDS], all[ROUNDS], settle[ROUNDS], next[ROUNDS];
	struct balance_config config = {.flow_shift = 64 - 19, .fragment_shift = 64 - 10, .tick_shift = 10, .idle = 75};
	struct balance_maps maps = {-1, -1, -1, -1, -1};
	struct balance_model m = {0};
	struct balance_live *b, *n;
	char dir[512];
	uint64_t t;
	uint32_t i;

	make_model(&m, same);
	snprintf(dir, sizeof(dir), "%s/services", top);
	must(files_mkdir(dir, &err));
	must(live_prepare(&m, NULL, NULL, clock_mono_ns(), &b, &err));
	maps.memory = map_of(tables_bytes(balance_live_tables(b)));
	maps.flows = map_of(64ul << 19);
	must(live_place(b, NULL, "1-0123456789ab", dir, &config, &maps, &err));
	for (i = 0; i < ROUNDS; i++) {
		balance_live_close(b);
		t = clock_cpu_ns();
		must(balance_live_open_at(dir, &maps, &b, &err));
		open_ms[i] = since(t);
		one[i] = change_ms(b, SERVICES / 2, SERVICES / 2 + 1, i);
		all[i] = change_ms(b, 0, SERVICES, i);
		t = clock_cpu_ns();
		must(balance_live_settle(b, clock_mono_ns(), NULL, &err));
		settle[i] = since(t);
		m.services[7]->backends[5].weight = 1 + i % 2;
		t = clock_cpu_ns();
		must(live_prepare(&m, NULL, b, clock_mono_ns(), &n, &err));
		next[i] = since(t);
		balance_live_close(n);
	}
	if (!same) {
		bench_note("state_open_100_services", bench_median(open_ms, ROUNDS), "ms");
		bench_figure("state_change_one_service", bench_median(one, ROUNDS), "ms", "<=", 20);
		bench_note("state_change_100_services_of_other_backends", bench_median(all, ROUNDS), "ms");
		bench_note("state_settle_table_of_1M_flows", bench_median(settle, ROUNDS), "ms");
		bench_note("state_next_generation", bench_median(next, ROUNDS), "ms");
	} else {
		bench_note("state_change_100_services_of_the_same", bench_median(all, ROUNDS), "ms");
	}
	balance_live_close(b);
	close(maps.memory);
	close(maps.flows);
	balance_model_free(&m);
	files_remove(dir);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		die("usage: bench-state FOLDER");
	run(argv[1], false);
	run(argv[1], true);
	return 0;
}
