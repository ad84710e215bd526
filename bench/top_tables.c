// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench/top_tables [ROUNDS [PACKETS [NAME]]]: what counting per source costs with different tables (those
 * whose title contains NAME).
 *
 *     live frames --generate--> va ===veth=== vb  program under test: count, then drop
 *
 * Generator and receiver share one CPU; the figure is packets per second of that CPU, as a ratio to a bare
 * `return XDP_DROP` in the same round, median of the rounds. For the table of our own, a second thread on
 * another CPU reads it as `sluice top` does. Everything happens in a network namespace of its own that ends
 * with the process.
 */
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <sluice/chain.h>
#include <sluice/top.h>

#include "base/clock.h"
#include "bench/bench.h"

extern const unsigned char embedded_top_tables[];
extern const unsigned long embedded_top_tables_len;

#define MAX_ROUNDS 31
#define N(a) (sizeof(a) / sizeof(*(a)))

struct gen { /* .data.gen of top_tables.bpf.c */
	uint32_t n_sources, to_ifindex;
	uint64_t random_state;
};

static const uint32_t sources[] = {16, 100000, 1000000, 16000000};

static const struct variant {
	const char *name; /* of the program in top_tables.bpf.c; NULL: sluice_top */
	bool observer;	  /* attached as `sluice top` does, with a chain around it */
	enum sluice_top_by by;
	uint32_t table_mib; /* 0: the default */
	const char *title;
} variants[] = {
	{"drop", false, 0, 0, "bare XDP_DROP"},
	{"parse", false, 0, 0, "parse and hash only"},
	{NULL, false, SLUICE_TOP_BY_SRC, 0, "own table (chosen)"},
	{NULL, true, SLUICE_TOP_BY_SRC, 0, "own table, as an observer"},
	{NULL, false, SLUICE_TOP_BY_FLOW, 0, "own table, by flow"},
	{NULL, false, SLUICE_TOP_BY_SRC, 8, "own table of 8 MiB"},
	{NULL, false, SLUICE_TOP_BY_SRC, 32, "own table of 32 MiB"},
	{NULL, false, SLUICE_TOP_BY_SRC, 128, "own table of 128 MiB"},
	{"lru", false, 0, 0, "LRU hash, 1M entries"},
	{"lru_percpu", false, 0, 0, "LRU hash per CPU, 1M entries"},
	{"sketch2", false, 0, 0, "count-min, 2 rows of 512k"},
	{"sketch4", false, 0, 0, "count-min, 4 rows of 512k"},
};

static struct bpf_object *obj;
static struct gen *gen;
static int gen_fd, peer;
static uint64_t n_packets = 1000000;

static void run(const char *const argv[])
{
	extern char **environ;
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ) ||
	    waitpid(pid, &status, 0) != pid || status)
		die("%s failed", argv[0]);
}

static void build_lab(void)
{
	static const char *const add[] = {"ip",	  "link", "add",  "va", "type",
					  "veth", "peer", "name", "vb", NULL};
	static const char *const up_a[] = {"ip", "link", "set", "va", "up", NULL};
	static const char *const up_b[] = {"ip", "link", "set", "vb", "up", NULL};

	FILE *f;

	if (unshare(CLONE_NEWNET))
		die("a network namespace: %s", strerror(errno));
	f = fopen("/proc/sys/net/ipv6/conf/default/disable_ipv6",
		  "we"); /* no neighbour discovery among our packets */
	if (f) {
		fputs("1", f);
		fclose(f);
	}
	run(add);
	run(up_a);
	run(up_b);
	peer = (int)if_nametoindex("vb");
}

static void load(void)
{
	struct bpf_map *map;

	obj = bpf_object__open_mem(embedded_top_tables, embedded_top_tables_len, NULL);
	if (!obj || bpf_object__load(obj))
		die("top_tables.bpf.o: %s", strerror(errno));
	map = bpf_object__find_map_by_name(obj, ".data.gen");
	gen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (gen == MAP_FAILED)
		die(".data.gen: %s", strerror(errno));
	gen->to_ifindex = if_nametoindex("va");
	gen_fd = bpf_program__fd(bpf_object__find_program_by_name(obj, "generate"));
}

/* Sends n frames; returns nanoseconds of CPU a packet. */
static double send_frames(uint64_t n)
{
	static uint8_t frame[60] = {
		2,    0, 0, 0,	0, 1,  2, 0, 0,	 0,  0, 2, 8,  0,		     /* Ethernet */
		0x45, 0, 0, 46, 0, 0,  0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, /* IPv4 */
		0,    9, 0, 9,	0, 26, 0, 0,					     /* UDP */
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64, .repeat = (int)n);
	uint64_t began = clock_of(CLOCK_THREAD_CPUTIME_ID);
	int rc = bpf_prog_test_run_opts(gen_fd, &opts);

	if (rc)
		die("sending live frames: %s", strerror(-rc));
	return (double)(clock_of(CLOCK_THREAD_CPUTIME_ID) - began) / (double)n;
}

struct reader {
	struct sluice_top *top;
	volatile bool stop;
	uint64_t seen, overflow, untracked;
};

static void *read_on(void *arg)
{
	struct reader *r = arg;
	struct sluice_top_report *report;
	uint64_t next = clock_mono_ns() + 1000000000;
	bool last = false;

	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		bench_pin(1);
	while (!last) {
		last = r->stop;
		usleep(SLUICE_TOP_POLL_MS * 1000);
		sluice_top_poll(r->top, NULL);
		if (!last && clock_mono_ns() < next)
			continue;
		next += 1000000000;
		if (sluice_top_read(r->top, SLUICE_TOP_SORT_PACKETS, 20, &report, NULL))
			continue;
		r->seen = report->total.seen.packets;
		r->overflow = report->total.overflow.packets;
		r->untracked = report->total.untracked.packets;
		free(report);
	}
	return NULL;
}

static int link_to(int prog_fd)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int fd = bpf_link_create(prog_fd, peer, BPF_XDP, &opts);

	if (fd < 0)
		die("attaching to vb: %s", strerror(-fd));
	return fd;
}

static double measure_top(const struct variant *v, double *overflow)
{
	struct sluice_top_opts opts = {.by = v->by, .drop = true, .table_bytes = (size_t)v->table_mib << 20};
	struct sluice_observer *obs = NULL;
	struct sluice_err err = {0};
	struct reader r = {0};
	pthread_t thread;
	int link = -1;
	double ns;

	if (sluice_top_open(&opts, &r.top, &err))
		die("opening top: %s", err.text);
	if (!v->observer)
		link = link_to(sluice_program_fd(sluice_top_program(r.top, false)));
	else if (sluice_observer_open(peer, sluice_top_program(r.top, false), sluice_top_program(r.top, true),
				      NULL, &obs, NULL, &err))
		die("observing vb: %s", err.text);
	if (pthread_create(&thread, NULL, read_on, &r))
		die("a thread to read with: %s", strerror(errno));
	send_frames(n_packets / 2);
	ns = send_frames(n_packets);
	r.stop = true;
	pthread_join(thread, NULL);
	if (r.seen != n_packets + n_packets / 2)
		fprintf(stderr, "bench/top_tables: sent %llu packets, counted %llu\n",
			(unsigned long long)(n_packets + n_packets / 2), (unsigned long long)r.seen);
	*overflow = (double)r.overflow / (double)r.seen;
	sluice_observer_close(obs);
	if (link >= 0)
		close(link);
	sluice_top_close(r.top);
	return ns;
}

static double measure(const struct variant *v, double *overflow)
{
	double ns;
	int link;

	if (!v->name)
		return measure_top(v, overflow);
	link = link_to(bpf_program__fd(bpf_object__find_program_by_name(obj, v->name)));
	send_frames(n_packets / 2);
	ns = send_frames(n_packets);
	close(link);
	return ns;
}

static void head(size_t rounds)
{
	char line[256] = "", cpu[128] = "unknown CPU";
	FILE *f = fopen("/proc/cpuinfo", "re");
	struct utsname u;
	size_t i;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "model name", 10) && strchr(line, ':'))
			snprintf(cpu, sizeof(cpu), "%.*s", (int)strcspn(strchr(line, ':') + 2, "\n"),
				 strchr(line, ':') + 2);
	if (f)
		fclose(f);
	uname(&u);
	printf("Linux %s, %s, %ld CPUs; %llu packets a run, median of %zu rounds\n", u.release, cpu,
	       sysconf(_SC_NPROCESSORS_ONLN), (unsigned long long)n_packets, rounds);
	printf("ratio to a bare XDP_DROP, packets per CPU-second (added ns a packet)\n\n| sources |");
	for (i = 0; i < N(sources); i++)
		printf(" %u |", sources[i]);
	printf("\n|---|");
	for (i = 0; i < N(sources); i++)
		printf("---|");
	printf("\n");
}

static double ns[N(sources)][N(variants)][MAX_ROUNDS], over[N(sources)][N(variants)][MAX_ROUNDS];

static void print_row(size_t v, size_t rounds)
{
	double ratio[MAX_ROUNDS], added[MAX_ROUNDS];
	size_t s, r;

	printf("| %s |", variants[v].title);
	for (s = 0; s < N(sources); s++) {
		for (r = 0; r < rounds; r++) {
			ratio[r] = ns[s][0][r] / ns[s][v][r];
			added[r] = ns[s][v][r] - ns[s][0][r];
		}
		if (!v)
			printf(" %.2fM/s |",
			       1e3 / bench_median(memcpy(added, ns[s][0], rounds * sizeof(added[0])),
						  rounds));
		else
			printf(" %.2f (%+.0f)%s |", bench_median(ratio, rounds), bench_median(added, rounds),
			       bench_median(over[s][v], rounds) > 0.0005 ? " *" : "");
	}
	printf("\n");
}

/* The targets: the chosen table, by itself and in front of a chain, as `sluice top` runs it. */
static void figures(size_t rounds)
{
	static const struct {
		const char *name, *title;
		size_t sources;
		double target;
	} wanted[] = {
		{"top_16_sources_of_drop", "own table (chosen)", 0, 0.85},
		{"top_1M_sources_of_drop", "own table (chosen)", 2, 0.55},
		{"top_observer_16_sources_of_drop", "own table, as an observer", 0, 0.85},
		{"top_observer_1M_sources_of_drop", "own table, as an observer", 2, 0.55},
	};
	double ratio[MAX_ROUNDS];
	size_t i, v, r;

	for (i = 0; i < N(wanted); i++)
		for (v = 0; v < N(variants); v++) {
			if (strcmp(variants[v].title, wanted[i].title) != 0)
				continue;
			for (r = 0; r < rounds; r++)
				ratio[r] = ns[wanted[i].sources][0][r] / ns[wanted[i].sources][v][r];
			bench_figure(wanted[i].name, bench_median(ratio, rounds), "ratio",
				     ">=", wanted[i].target);
		}
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 5, r, s, v;
	const char *name = argc > 3 ? argv[3] : "";

	if (argc > 2)
		n_packets = strtoull(argv[2], NULL, 10);
	if (rounds < 1 || rounds > MAX_ROUNDS || n_packets < 1000 || n_packets > 1000000000)
		die("usage: bench-top_tables [ROUNDS 1..31 [PACKETS 1000..1000000000 [NAME]]]");
	if (geteuid()) {
		printf("bench/top_tables: skipped, needs root\n");
		return 0;
	}
	libbpf_set_print(NULL);
	build_lab();
	load();
	bench_pin(0);
	for (r = 0; r < rounds; r++) {
		for (s = 0; s < N(sources); s++) {
			gen->n_sources = sources[s];
			for (v = 0; v < N(variants); v++)
				if (!v || strstr(variants[v].title, name))
					ns[s][v][r] = measure(&variants[v], &over[s][v][r]);
		}
	}
	head(rounds);
	for (v = 0; v < N(variants); v++)
		if (!v || strstr(variants[v].title, name))
			print_row(v, rounds);
	printf("\n");
	for (s = 0; s < N(sources); s++)
		for (v = 0; v < N(variants); v++)
			if (bench_median(over[s][v], rounds) > 0.0005)
				printf("* %s, %u sources: %.1f%% of the packets counted as overflow\n",
				       variants[v].title, sources[s], 100 * bench_median(over[s][v], rounds));
	if (!*name)
		figures(rounds);
	bpf_object__close(obj);
	return 0;
}
