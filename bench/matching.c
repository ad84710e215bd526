// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-matching: what a pcap expression costs a packet in the kernel, in nanoseconds: ten different ones of a
 * kind in ten rules, over ten rules that ask for a TTL, divided by ten. The packet is UDP, IPv4, of 64 bytes,
 * and matches none of them: what counting costs is not in the figures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "control/filter.h"
#include "port/traffic_host.h"

#define EACH 10
#define ROUNDS 15
#define REPEAT 262144

static struct traffic_hold hold;

static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const struct buf *text = ctx;

	(void)path, (void)max, (void)err;
	buf_put(to, text->data, text->len);
	return 0;
}

/* One rule for each; a % in it becomes the rule's number. Returns how many instructions. */
static uint32_t load(const char *rule, struct control_filter *f, double *ms)
{
	struct policy_files files = {.read = read_text};
	struct filter_tables *t;
	struct buf text = {0};
	struct sluice_err err;
	struct policy *p;
	uint32_t i, n;
	uint64_t began;
	const char *c;

	buf_printf(&text, "filter on eth0 {\n");
	for (i = 1; i <= EACH; i++) {
		buf_printf(&text, "count ");
		for (c = rule; *c; c++)
			buf_printf(&text, *c == '%' ? "%u" : "%c", *c == '%' ? i : (uint32_t)*c);
		buf_printf(&text, "\n");
	}
	buf_printf(&text, "}\n");
	files.ctx = &text;
	if (policy_read("bench", &files, &p, &err))
		die("%s: %s", err.text, p && p->n_diags ? p->diags[0].text : "");
	if (filter_compile(p, 0, NULL, &t, &err))
		die("%s", err.text);
	began = clock_mono_ns();
	if (control_filter_load(t, f, &err))
		die("%s", err.text);
	*ms = (double)(clock_mono_ns() - began) / 1e6;
	n = t->n_matching;
	filter_tables_free(t);
	policy_free(p);
	buf_free(&text);
	return n;
}

int main(void)
{
	static const struct {
		const char *name, *rule;
	} kinds[] = {
		{"proto", "matching \"udp and ip[1] = %\""},
		{"tcp_port", "matching \"tcp port %\""},
		{"udp_port", "matching \"udp port %\""},
		{"host", "matching \"host 192.0.2.%\""},
		{"net", "matching \"src net 192.%.0.0/16\""},
		{"payload", "matching \"udp[8:4] = %\""},
		{"len", "matching \"len > 60%\""},
		{"8_hosts",
		 "matching \"host 192.0.%.1 or host 192.0.%.2 or host 192.0.%.3 or host 192.0.%.4 or host "
		 "192.0.%.5 or host 192.0.%.6 or host 192.0.%.7 or host 192.0.%.8\""},
	};
	struct control_filter base, f;
	double ms, base_ms, v[ROUNDS];
	uint8_t packet[64];
	char figure[64];
	uint32_t k, i, n;

	bench_pin(0);
	bench_packet(packet, sizeof(packet));
	load("ttl %", &base, &base_ms);
	if (traffic_hold_open(&hold, base.prog_fd))
		die("no XDP here");
	printf("without expressions loaded in %.0f ms\n", base_ms);
	for (k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		n = load(kinds[k].rule, &f, &ms);
		for (i = 0; i < ROUNDS; i++)
			v[i] = (bench_run_ns(f.prog_fd, packet, sizeof(packet), REPEAT) -
				bench_run_ns(base.prog_fd, packet, sizeof(packet), REPEAT)) /
			       EACH;
		printf("%-10s %u instructions each, loaded in %.0f ms\n", kinds[k].name, n / EACH, ms);
		snprintf(figure, sizeof(figure), "matching_%s", kinds[k].name);
		bench_note(figure, bench_median(v, ROUNDS), "ns");
		control_filter_close(&f);
	}
	traffic_hold_close(&hold);
	control_filter_close(&base);
	return 0;
}
