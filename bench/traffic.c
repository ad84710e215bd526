// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What making packets costs: the smallest live-frames loop against sluice traffic, packets per CPU-second, one after
 * the other in every round. Both send through a veth pair in a network namespace of the bench's own, whose other end
 * drops them by XDP; generator and receiver share the CPU.
 */
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <sluice/traffic.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "port/traffic_host.h"

#define ROUNDS 9
#define PACKETS 1500000u

extern char **environ;

static const struct {
	const char *name;
	struct sluice_traffic_opts opts;
	double target; /* of the floor's rate; 0: none, told for comparison */
} cases[] = {
	{"fixed", {.kind = SLUICE_TRAFFIC_UDP}, 0.9},
	{"sequential", {.src = "10.0.0.0/16"}, 0.9},
	{"random", {.src = "10.0.0.0/8", .random = SLUICE_RANDOM_SRC}, 0.9},
	{"random_all",
	 {.src = "10.0.0.0/8", .dst = "11.0.0.0/8", .sport = "0-65535", .dport = "1-1000", .random = 31}},
	{"random_v6", {.src = "2001:db8::/64", .random = SLUICE_RANDOM_SRC}},
	{"random_tcp", {.kind = SLUICE_TRAFFIC_TCP, .src = "10.0.0.0/8", .sport = "1-65535", .random = 31}},
};
#define N_CASES (sizeof(cases) / sizeof(*cases))

static void run(char *const argv[])
{
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) || waitpid(pid, &status, 0) != pid ||
	    status)
		die("%s %s %s failed", argv[0], argv[1], argv[2]);
}

static struct bpf_object *set_up(const char *folder)
{
	char *add[] = {"ip", "link", "add", "bench0", "type", "veth", "peer", "name", "bench1", NULL};
	char *up[2][6] = {{"ip", "link", "set", "bench0", "up", NULL},
			  {"ip", "link", "set", "bench1", "up", NULL}};
	struct bpf_object *obj;
	uint32_t slot = 0, index;
	char path[512];

	if (unshare(CLONE_NEWNET))
		die("a network namespace of its own: %s", strerror(errno));
	run(add);
	run(up[0]);
	run(up[1]);
	snprintf(path, sizeof(path), "%s/floor.bpf.o", folder);
	obj = bpf_object__open(path);
	if (!obj || bpf_object__load(obj))
		die("%s: %s", path, strerror(errno));
	index = if_nametoindex("bench0");
	if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(obj, "floor_port"), &slot, &index, 0) ||
	    bpf_xdp_attach((int)if_nametoindex("bench1"),
			   bpf_program__fd(bpf_object__find_program_by_name(obj, "floor_drop")),
			   XDP_FLAGS_DRV_MODE, NULL))
		die("setting up bench0 and bench1: %s", strerror(errno));
	return obj;
}

static double floor_rate(int fd)
{
	uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = (int)PACKETS, .batch_size = 64, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	uint64_t cpu = clock_cpu_ns();

	if (bpf_prog_test_run_opts(fd, &opts))
		die("live frames: %s", strerror(errno));
	return PACKETS * 1e9 / (double)(clock_cpu_ns() - cpu);
}

static double traffic_rate(const struct sluice_traffic_opts *wanted)
{
	struct sluice_traffic_opts opts = *wanted;
	struct sluice_traffic_report r;
	struct sluice_err err = {0};
	struct sluice_traffic *t;
	int e;

	opts.count = PACKETS;
	opts.cpu = -1;
	if (sluice_traffic_open("bench0", &opts, &t, &err))
		die("%s", err.text);
	do
		e = sluice_traffic_run(t, UINT64_MAX, &err);
	while (e == 1);
	if (e || sluice_traffic_report(t, &r, &err) || r.sent != PACKETS)
		die("%s", err.text);
	sluice_traffic_close(t);
	return (double)r.sent * 1e9 / (double)r.cpu_ns;
}

int main(int argc, char **argv)
{
	double rate[N_CASES + 1][ROUNDS], ratio[ROUNDS], base;
	struct traffic_hold hold;
	struct bpf_object *obj;
	char name[64];
	size_t i, r;
	int fd;

	if (argc < 2)
		die("usage: bench-traffic FOLDER-OF-OBJECTS");
	obj = set_up(argv[1]);
	fd = bpf_program__fd(bpf_object__find_program_by_name(obj, "floor_send"));
	if (traffic_hold_open(&hold, fd))
		die("holding the floor's program: %s", strerror(errno));
	bench_pin(0);
	for (r = 0; r < ROUNDS; r++) {
		rate[N_CASES][r] = floor_rate(fd);
		for (i = 0; i < N_CASES; i++)
			rate[i][r] = traffic_rate(&cases[i].opts);
	}
	for (i = 0; i < N_CASES; i++) {
		for (r = 0; r < ROUNDS; r++)
			ratio[r] = rate[i][r] / rate[N_CASES][r];
		snprintf(name, sizeof(name), "traffic_%s_of_floor", cases[i].name);
		if (cases[i].target > 0)
			bench_figure(name, bench_median(ratio, ROUNDS), "ratio", ">=", cases[i].target);
		else
			bench_note(name, bench_median(ratio, ROUNDS), "ratio");
	}
	base = bench_median(rate[N_CASES], ROUNDS);
	bench_note("traffic_floor", base / 1e6, "Mpps_per_cpu");
	for (i = 0; i < N_CASES; i++) {
		double v = bench_median(rate[i], ROUNDS);

		printf("%-12s %6.2f M packets per CPU-second, %+5.1f ns a packet over the floor's %.1f\n",
		       cases[i].name, v / 1e6, 1e9 / v - 1e9 / base, 1e9 / base);
	}
	traffic_hold_close(&hold);
	bpf_object__close(obj);
	return 0;
}
