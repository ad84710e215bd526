// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the benchmarks share. */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench/bench.h"

#define OBJECT_MOST (8u << 20)
#define ROUNDS_MOST 32

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double bench_median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), by_value);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static double fastest(double *values, size_t n)
{
	double sum = 0;
	size_t i;

	qsort(values, n, sizeof(*values), by_value);
	for (i = 0; i < n / 4; i++)
		sum += values[i];
	return sum / (double)(n / 4);
}

void bench_figure(const char *name, double value, const char *unit, const char *relation, double limit)
{
	int met = relation[0] == '>' ? value >= limit : value <= limit;

	printf("figure %s %.3g %s target %s %.3g %s\n", name, value, unit, relation, limit, met ? "met" : "missed");
	fflush(stdout);
}

void bench_note(const char *name, double value, const char *unit)
{
	printf("figure %s %.3g %s\n", name, value, unit);
	fflush(stdout);
}

double bench_run_ns(int prog_fd, const void *packet, size_t len, uint32_t repeat)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	uint8_t out[4096];

	opts.data_in = packet;
	opts.data_size_in = (uint32_t)len;
	opts.data_out = out;
	opts.data_size_out = sizeof(out);
	opts.repeat = (int)repeat;
	if (bpf_prog_test_run_opts(prog_fd, &opts))
		die("running a program: %s", strerror(errno));
	return opts.duration;
}

double bench_over(int base_fd, int prog_fd, const void *packet, size_t len, uint32_t repeat, int rounds,
		  int warm, double *median)
{
	double v[ROUNDS_MOST], a[ROUNDS_MOST], b[ROUNDS_MOST];
	int i, k;

	if (rounds < 4 || rounds > ROUNDS_MOST)
		abort();
	for (i = -warm; i < rounds; i++) {
		k = i < 0 ? 0 : i;
		a[k] = bench_run_ns(prog_fd, packet, len, repeat);
		b[k] = bench_run_ns(base_fd, packet, len, repeat);
		v[k] = a[k] - b[k];
	}
	*median = bench_median(v, (size_t)rounds);
	return fastest(a, (size_t)rounds) - fastest(b, (size_t)rounds);
}

static uint16_t ip_checksum(const uint8_t *h)
{
	uint32_t sum = 0;
	int i;

	for (i = 0; i < 20; i += 2)
		sum += (uint32_t)(h[i] << 8 | h[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

void bench_packet(uint8_t *to, size_t len)
{
	static const uint8_t head[42] = {
		0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0, /* Ethernet */
		0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2, /* IPv4 */
		0x30, 0x39, 0, 9, 0, 0, 0, 0, /* UDP, no checksum */
	};
	uint16_t sum;

	memset(to, 0, len);
	memcpy(to, head, sizeof(head));
	to[16] = (uint8_t)((len - 14) >> 8);
	to[17] = (uint8_t)(len - 14);
	to[38] = (uint8_t)((len - 34) >> 8);
	to[39] = (uint8_t)(len - 34);
	sum = ip_checksum(to + 14);
	to[24] = (uint8_t)(sum >> 8);
	to[25] = (uint8_t)sum;
}

void *bench_read(const char *dir, const char *name, size_t *len)
{
	void *bytes = malloc(OBJECT_MOST);
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	if (!f || !bytes)
		die("cannot read %s: %s", path, strerror(errno));
	*len = fread(bytes, 1, OBJECT_MOST, f);
	fclose(f);
	return bytes;
}

int bench_prog(const struct bpf_object *object, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(object, name);

	if (!p)
		die("no program %s", name);
	return bpf_program__fd(p);
}

void *bench_bss(const struct bpf_object *object, size_t *len)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".bss");
	void *bss;

	if (!map)
		die("no .bss");
	*len = bpf_map__value_size(map);
	bss = mmap(NULL, *len, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (bss == MAP_FAILED)
		die("mapping .bss: %s", strerror(errno));
	return bss;
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("pinning to CPU %d: %s", cpu, strerror(errno));
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}
