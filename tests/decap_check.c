// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * decap-check ENGINE [SEED N]: packets through the backends' program, each compared byte by byte with what should come
 * out of it, and counted for the one reason that it has; then N damaged ones, against a decapsulation that is written
 * here the obvious way.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <sluice/packet.h>

#include "base/embedded.h"
#include "bpf/seam.h"
#include "control/decap.h"
#include "port/traffic_host.h"
#include "vm/vm.h"

#define ROOM 4096

static struct vm *vm; /* NULL: the kernel */
static struct sluice_object *obj;
static struct traffic_hold hold;
static bool held;
static int prog_fd, counts_fd;
static uint64_t counted[DECAP_REASONS];
static unsigned int n_checked;

struct bytes {
	uint8_t b[ROOM];
	size_t len;
};

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

static void engine_open(const char *name)
{
	struct vm_config config = {.n_cpus = 4, .seed = 7};
	struct sluice_err err;

	if (!strcmp(name, "kernel"))
		return;
	config.engine = !strcmp(name, "jit") ? VM_ENGINE_JIT : VM_ENGINE_INTERP;
	if (vm_new(&config, &vm, &err))
		fail("%s", err.text);
	seam_engine(vm);
}

static struct net_addr addr(const char *text)
{
	struct sluice_err err;
	struct net_addr a;

	if (net_addr_parse(text, &a, &err))
		fail("%s", err.text);
	return a;
}

static void build(const char *text, struct bytes *to)
{
	struct sluice_err err;

	if (sluice_packet_build(text, to->b, sizeof(to->b), &to->len, &err))
		fail("%s: %s", text, err.text);
}

static void load(void)
{
	const struct net_addr to[] = {addr("10.1.0.1"), addr("2001:db8:1::1")};
	const struct control_decap_opts opts = {.to = to, .n_to = 2};
	struct sluice_program *prog;
	struct decap_config config;
	struct sluice_err err;
	int e = control_decap_config("none", &opts, &config, &err);

	e = e ?: sluice_object_open_mem(embedded_decap, embedded_decap_len, "decap", &obj, &err);
	e = e ?: sluice_object_set_bytes(obj, "config", &config, sizeof(config), &err);
	e = e ?: sluice_object_program(obj, "decap", &prog, &err);
	e = e ?: sluice_object_load(obj, &err);
	if (e == -EPERM)
		exit(4);
	if (e)
		fail("loading: %s", err.text);
	prog_fd = sluice_program_fd(prog);
	counts_fd = sluice_object_map_fd(obj, "decap_counts", &err);
	held = !vm && !traffic_hold_open(&hold, prog_fd);
}

static void unload(void)
{
	if (held)
		traffic_hold_close(&hold);
	sluice_object_free(obj);
}

static void read_counts(uint64_t to[DECAP_REASONS])
{
	static uint64_t all[1024][DECAP_REASONS];
	int cpus = seam_n_cpus(), cpu;
	uint32_t zero = 0, i;

	if (cpus < 1 || cpus > 1024 || bpf_map_lookup_elem(counts_fd, &zero, all))
		fail("the counters: %s", strerror(errno));
	memset(to, 0, DECAP_REASONS * sizeof(*to));
	for (cpu = 0; cpu < cpus; cpu++)
		for (i = 0; i < DECAP_REASONS; i++)
			to[i] += all[cpu][i];
}

static void show(const char *name, const struct bytes *p)
{
	char *text = sluice_packet_text(p->b, p->len);
	size_t i;

	printf("%s, %zu bytes: %s", name, p->len, text ? text : "?");
	for (i = 0; i < p->len && i < 160; i++)
		printf("%s%02x", i % 16 ? " " : "\n  ", p->b[i]);
	putchar('\n');
	free(text);
}

/* Runs it: verdict, packet, and one more of just that reason. */
static void expect(const char *what, const struct bytes *in, unsigned int reason, const struct bytes *want)
{
	uint32_t verdict = reason == DECAP_CONGESTED ? XDP_DROP : XDP_PASS;
	struct bytes out = {.len = ROOM};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in->b, .data_size_in = (uint32_t)in->len,
		    .data_out = out.b, .data_size_out = ROOM, .repeat = 1);
	int e = bpf_prog_test_run_opts(prog_fd, &o);
	uint64_t now[DECAP_REASONS];
	unsigned int i;

	if (e)
		fail("%s: running it: %s", what, strerror(-e));
	out.len = o.data_size_out;
	n_checked++;
	if (o.retval != verdict || out.len != want->len || memcmp(out.b, want->b, want->len)) {
		show("in", in);
		show("out", &out);
		show("expected", want);
		fail("%s: verdict %u, should be %u", what, o.retval, verdict);
	}
	read_counts(now);
	for (i = 0; i < DECAP_REASONS; i++) {
		if (now[i] - counted[i] != (i == reason)) {
			show("in", in);
			fail("%s: '%s' was counted %llu times; its reason should be '%s'", what,
			     control_decap_reason(i), (unsigned long long)(now[i] - counted[i]),
			     control_decap_reason(reason));
		}
		counted[i] = now[i];
	}
}

/* --- packets in words: what comes out, NULL: the same as went in --- */

#define V4 "src 198.18.7.9 dst 10.1.0.1"
#define V6 "src 100::abcd dst 2001:db8:1::1"
#define IN4 "ipv4 src 192.0.2.7 dst 203.0.113.10 id 77 ttl 1"
#define IN6 "ipv6 src 2001:db8:3::7 dst 2001:db8::12 hop 1 flow 0x12345"
#define TCP "tcp sport 4711 dport 80 flags syn options 020405b4 / text \"abc\""
#define GUE "udp sport 50000 dport 6080 checksum 0"

/* clang-format off */
static const struct line {
	const char *in;
	enum decap_reason reason;
	const char *out;
} lines[] = {
	/* each in each */
	{"eth / ipv4 " V4 " df 1 / " IN4 " / " TCP, DECAP_IP, "eth / " IN4 " / " TCP},
	{"eth / ipv4 " V4 " / " IN6 " / " TCP, DECAP_IP, "eth / " IN6 " / " TCP},
	{"eth / ipv6 " V6 " / " IN4 " / " TCP, DECAP_IP, "eth / " IN4 " / " TCP},
	{"eth / ipv6 " V6 " / " IN6 " / " TCP, DECAP_IP, "eth / " IN6 " / " TCP},
	{"eth / ipv4 " V4 " / " GUE " / " IN4 " / " TCP, DECAP_GUE, "eth / " IN4 " / " TCP},
	{"eth / ipv4 " V4 " / " GUE " / " IN6 " / " TCP, DECAP_GUE, "eth / " IN6 " / " TCP},
	{"eth / ipv6 " V6 " / " GUE " / " IN4 " / " TCP, DECAP_GUE, "eth / " IN4 " / " TCP},
	{"eth / ipv6 " V6 " / " GUE " / " IN6 " / " TCP, DECAP_GUE, "eth / " IN6 " / " TCP},
	/* MAC addresses and tags stay */
	{"eth src 02:aa:bb:cc:dd:ee dst 02:11:22:33:44:55 / vlan id 7 prio 5 / ipv4 " V4 " / " IN6 " / " TCP, DECAP_IP,
	 "eth src 02:aa:bb:cc:dd:ee dst 02:11:22:33:44:55 / vlan id 7 prio 5 / " IN6 " / " TCP},
	{"eth / svlan id 9 / vlan id 7 / ipv6 " V6 " / " GUE " / " IN4 " / " TCP, DECAP_GUE,
	 "eth / svlan id 9 / vlan id 7 / " IN4 " / " TCP},
	{"eth / vlan id 1 / vlan id 2 / vlan id 3 / vlan id 4 / ipv4 " V4 " / " IN4 " / " TCP, DECAP_IP,
	 "eth / vlan id 1 / vlan id 2 / vlan id 3 / vlan id 4 / " IN4 " / " TCP},
	{"eth / vlan id 1 / vlan id 2 / vlan id 3 / vlan id 4 / vlan id 5 / ipv4 " V4 " / " IN4 " / " TCP, DECAP_OTHER, NULL},
	/* TTLs, types of service and flow labels outside do not matter; inside nothing changes */
	{"eth / ipv4 " V4 " ttl 0 tos 0xfc / " IN4 " / " TCP, DECAP_IP, "eth / " IN4 " / " TCP},
	{"eth / ipv4 " V4 " ttl 1 id 9 / ipv4 src 192.0.2.7 dst 203.0.113.10 ttl 0 / " TCP, DECAP_IP,
	 "eth / ipv4 src 192.0.2.7 dst 203.0.113.10 ttl 0 / " TCP},
	{"eth / ipv6 " V6 " hop 0 class 0xfc flow 0xfffff / " IN6 " / " TCP, DECAP_IP, "eth / " IN6 " / " TCP},
	/* inside may be whatever IP can be */
	{"eth / ipv4 " V4 " / ipv4 src 192.0.2.7 dst 203.0.113.10 options 01010101 / " TCP, DECAP_IP,
	 "eth / ipv4 src 192.0.2.7 dst 203.0.113.10 options 01010101 / " TCP},
	{"eth / ipv4 " V4 " / ipv4 src 192.0.2.7 dst 203.0.113.10 offset 100 mf 1 / zeros 64", DECAP_IP,
	 "eth / ipv4 src 192.0.2.7 dst 203.0.113.10 offset 100 mf 1 / zeros 64"},
	{"eth / ipv4 " V4 " / ipv4 src 192.0.2.7 dst 203.0.113.10 checksum 1 / " TCP, DECAP_IP,
	 "eth / ipv4 src 192.0.2.7 dst 203.0.113.10 checksum 1 / " TCP},
	{"eth / ipv6 " V6 " / ipv6 next 59", DECAP_IP, "eth / ipv6 next 59"},
	{"eth / ipv6 " V6 " / ipv6 / hopopts / dstopts / " TCP, DECAP_IP, "eth / ipv6 / hopopts / dstopts / " TCP},
	{"eth / ipv4 " V4 " / " GUE " / ipv4 proto 47", DECAP_GUE, "eth / ipv4 proto 47"},
	/* one layer, never two */
	{"eth / ipv4 " V4 " / ipv4 " V4 " / " IN4 " / " TCP, DECAP_IP, "eth / ipv4 " V4 " / " IN4 " / " TCP},
	{"eth / ipv4 " V4 " / " GUE " / ipv4 " V4 " / " GUE " / " IN4 " / " TCP, DECAP_GUE,
	 "eth / ipv4 " V4 " / " GUE " / " IN4 " / " TCP},
	{"eth / ipv6 " V6 " / ipv6 " V6 " / ipv6 " V6 " / " IN6 " / " TCP, DECAP_IP,
	 "eth / ipv6 " V6 " / ipv6 " V6 " / " IN6 " / " TCP},
	/* what stands behind the inner packet stays there */
	{"eth / ipv4 " V4 " / ipv4 src 192.0.2.7 dst 203.0.113.10 len 40 / tcp / zeros 9", DECAP_IP,
	 "eth / ipv4 src 192.0.2.7 dst 203.0.113.10 len 40 / tcp / zeros 9"},
	{"eth / ipv4 " V4 " / " IN4 " / icmp / trailer 0102030405", DECAP_IP, "eth / " IN4 " / icmp / trailer 0102030405"},
	{"eth / ipv4 " V4 " / udp dport 6080 checksum 0 len 48 / ipv4 len 40 / tcp / zeros 5", DECAP_GUE,
	 "eth / ipv4 len 40 / tcp / zeros 5"},
	/* no tunnel */
	{"eth / arp", DECAP_OTHER, NULL},
	{"eth / " IN4 " / " TCP, DECAP_OTHER, NULL},
	{"eth / ipv4 " V4 " / " TCP, DECAP_OTHER, NULL},
	{"eth / ipv4 " V4 " / udp dport 6081 checksum 0 / " IN4 " / " TCP, DECAP_OTHER, NULL},
	{"eth / ipv4 " V4 " / udp sport 6080 dport 53 checksum 0 / " IN4 " / " TCP, DECAP_OTHER, NULL},
	{"eth / ipv4 " V4 " / gre / " IN4 " / " TCP, DECAP_OTHER, NULL},
	{"eth / ipv6 " V6 " / icmp6", DECAP_OTHER, NULL},
	{"eth / ipv6 " V6 " / ah / " IN4 " / " TCP, DECAP_OTHER, NULL},
	{"eth / ipv4 " V4 " version 5 / " IN4 " / " TCP, DECAP_OTHER, NULL},
	{"eth / ipv4 " V4 " ihl 4 / " IN4 " / " TCP, DECAP_OTHER, NULL},
	{"eth type 0x86dd / ipv4 " V4 " / " IN4 " / " TCP, DECAP_OTHER, NULL},
	{"eth / vlan type 0x0800 / cut 18", DECAP_OTHER, NULL},
	{"eth / ipv4 " V4 " / " IN4 " / cut 33", DECAP_OTHER, NULL},
	{"eth / ipv6 " V6 " / " IN6 " / cut 53", DECAP_OTHER, NULL},
	/* they end elsewhere */
	{"eth / ipv4 src 198.18.7.9 dst 10.1.0.2 / " IN4 " / " TCP, DECAP_NOT_OURS, NULL},
	{"eth / ipv4 src 198.18.7.9 dst 203.0.113.10 / " GUE " / " IN4 " / " TCP, DECAP_NOT_OURS, NULL},
	{"eth / ipv6 src 100::1 dst 2001:db8:1::2 / " IN6 " / " TCP, DECAP_NOT_OURS, NULL},
	{"eth / ipv6 src 100::1 dst 2001:db8:1:1::1 / " IN6 " / " TCP, DECAP_NOT_OURS, NULL},
	{"eth / ipv4 src 192.0.2.1 dst 10.1.0.2 / " IN4 " / " TCP, DECAP_NOT_OURS, NULL},
	/* they come from elsewhere */
	{"eth / ipv4 src 198.17.255.255 dst 10.1.0.1 / " IN4 " / " TCP, DECAP_SOURCE, NULL},
	{"eth / ipv4 src 198.19.0.0 dst 10.1.0.1 / " IN4 " / " TCP, DECAP_SOURCE, NULL},
	{"eth / ipv4 src 198.18.0.0 dst 10.1.0.1 / " IN4 " / " TCP, DECAP_IP, "eth / " IN4 " / " TCP},
	{"eth / ipv4 src 198.18.255.255 dst 10.1.0.1 / " IN4 " / " TCP, DECAP_IP, "eth / " IN4 " / " TCP},
	{"eth / ipv4 src 0.0.0.0 dst 10.1.0.1 / " GUE " / " IN4 " / " TCP, DECAP_SOURCE, NULL},
	{"eth / ipv6 src 100:0:0:1:: dst 2001:db8:1::1 / " IN6 " / " TCP, DECAP_SOURCE, NULL},
	{"eth / ipv6 src 100::ffff:ffff:ffff:ffff dst 2001:db8:1::1 / " IN6 " / " TCP, DECAP_IP, "eth / " IN6 " / " TCP},
	{"eth / ipv6 src ::ffff:198.18.7.9 dst 2001:db8:1::1 / " IN6 " / " TCP, DECAP_SOURCE, NULL},
	/* fragments, options, extension headers outside */
	{"eth / ipv4 " V4 " mf 1 / " IN4 " / " TCP, DECAP_FRAGMENT, NULL},
	{"eth / ipv4 " V4 " offset 1 proto 4 / zeros 64", DECAP_FRAGMENT, NULL},
	{"eth / ipv4 " V4 " offset 1 proto 17 / zeros 64", DECAP_FRAGMENT, NULL},
	{"eth / ipv4 " V4 " mf 1 / " GUE " / " IN4 " / " TCP, DECAP_FRAGMENT, NULL},
	{"eth / ipv4 src 192.0.2.1 dst 10.1.0.1 offset 1 proto 17 / zeros 64", DECAP_OTHER, NULL},
	{"eth / ipv4 " V4 " offset 1 proto 6 / zeros 64", DECAP_OTHER, NULL},
	{"eth / ipv6 " V6 " / fragment offset 0 more 0 / " IN6 " / " TCP, DECAP_FRAGMENT, NULL},
	{"eth / ipv6 " V6 " / fragment offset 3 more 1 / zeros 64", DECAP_FRAGMENT, NULL},
	{"eth / ipv4 " V4 " options 01010101 / " IN4 " / " TCP, DECAP_OPTIONS, NULL},
	{"eth / ipv4 " V4 " options 01010101 / " GUE " / " IN4 " / " TCP, DECAP_OPTIONS, NULL},
	{"eth / ipv6 " V6 " / hopopts / " IN6 " / " TCP, DECAP_OPTIONS, NULL},
	{"eth / ipv6 " V6 " / dstopts / " GUE " / " IN6 " / " TCP, DECAP_OPTIONS, NULL},
	{"eth / ipv6 " V6 " / routing / " IN6 " / " TCP, DECAP_OPTIONS, NULL},
	{"eth / ipv6 src 2001:db8:9::1 dst 2001:db8:1::1 / hopopts / " IN6 " / " TCP, DECAP_OTHER, NULL},
	/* lengths */
	{"eth / ipv4 " V4 " len 19 / " IN4 " / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " len 20 / " IN4 " / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " len 0 / " IN4 " / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " len 66 / " IN4 " / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " len 9999 / " IN4 " / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / " IN4 " / " TCP " / cut 80", DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / " IN4 " / " TCP " / cut 34", DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " proto 4 len 39 / zeros 19", DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / ipv4 len 19 / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / ipv4 len 0 / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / ipv4 len 48 / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / ipv4 ihl 4 / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / ipv4 ihl 15 / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv6 " V6 " len 0 / " IN6 " / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv6 " V6 " / ipv6 len 28 / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv6 " V6 " next 41 len 39 / ipv6 next 59", DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / udp dport 6080 checksum 0 len 7 / " IN4 " / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / udp dport 6080 checksum 0 len 8 / " IN4 " / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / udp dport 6080 checksum 0 len 54 / " IN4 " / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / udp dport 6080 checksum 0 len 56 / " IN4 " / " TCP, DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / udp dport 6080 checksum 0", DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " / " GUE " / cut 41", DECAP_DAMAGED, NULL},
	{"eth / ipv4 " V4 " checksum 0x1234 / " IN4 " / " TCP, DECAP_DAMAGED, NULL},
	/* the stack looks at UDP checksums */
	{"eth / ipv4 " V4 " / udp dport 6080 / " IN4 " / " TCP, DECAP_CHECKSUM, NULL},
	{"eth / ipv6 " V6 " / udp dport 6080 checksum 1 / " IN4 " / " TCP, DECAP_CHECKSUM, NULL},
	/* not what was said to be inside; GUE of variant 0 */
	{"eth / ipv4 " V4 " proto 4 / " IN6 " / " TCP, DECAP_INSIDE, NULL},
	{"eth / ipv4 " V4 " proto 41 / " IN4 " / " TCP, DECAP_INSIDE, NULL},
	{"eth / ipv6 " V6 " next 4 / zeros 40", DECAP_INSIDE, NULL},
	{"eth / ipv4 " V4 " / " GUE " / hex 00040000 / " IN4 " / " TCP, DECAP_INSIDE, NULL},
	{"eth / ipv4 " V4 " / " GUE " / zeros 40", DECAP_INSIDE, NULL},
	/* congestion, RFC 6040, figure 4: outer Not-ECT 0, ECT(0) 2, ECT(1) 1, CE 3 */
	{"eth / ipv4 " V4 " tos 2 / ipv4 tos 0 / " TCP, DECAP_IP, "eth / ipv4 tos 0 / " TCP},
	{"eth / ipv4 " V4 " tos 1 / ipv4 tos 0 / " TCP, DECAP_IP, "eth / ipv4 tos 0 / " TCP},
	{"eth / ipv4 " V4 " tos 3 / ipv4 tos 0 / " TCP, DECAP_CONGESTED, NULL},
	{"eth / ipv4 " V4 " tos 0 / ipv4 tos 0xba / " TCP, DECAP_IP, "eth / ipv4 tos 0xba / " TCP},
	{"eth / ipv4 " V4 " tos 2 / ipv4 tos 0xba / " TCP, DECAP_IP, "eth / ipv4 tos 0xba / " TCP},
	{"eth / ipv4 " V4 " tos 1 / ipv4 tos 0xba / " TCP, DECAP_IP, "eth / ipv4 tos 0xb9 / " TCP},
	{"eth / ipv4 " V4 " tos 0xff / ipv4 tos 0xba / " TCP, DECAP_IP, "eth / ipv4 tos 0xbb / " TCP},
	{"eth / ipv4 " V4 " tos 2 / ipv4 tos 1 / " TCP, DECAP_IP, "eth / ipv4 tos 1 / " TCP},
	{"eth / ipv4 " V4 " tos 3 / ipv4 tos 1 / " TCP, DECAP_IP, "eth / ipv4 tos 3 / " TCP},
	{"eth / ipv4 " V4 " tos 1 / ipv4 tos 3 / " TCP, DECAP_IP, "eth / ipv4 tos 3 / " TCP},
	{"eth / ipv4 " V4 " tos 3 / ipv4 tos 3 / " TCP, DECAP_IP, "eth / ipv4 tos 3 / " TCP},
	{"eth / ipv6 " V6 " class 3 / ipv6 class 0xba flow 0xabcde / " TCP, DECAP_IP, "eth / ipv6 class 0xbb flow 0xabcde / " TCP},
	{"eth / ipv6 " V6 " class 1 / ipv6 class 2 flow 0xabcde / " TCP, DECAP_IP, "eth / ipv6 class 1 flow 0xabcde / " TCP},
	{"eth / ipv6 " V6 " class 3 / ipv6 class 0xfc / " TCP, DECAP_CONGESTED, NULL},
	{"eth / ipv6 " V6 " class 3 / " GUE " / ipv4 tos 2 / " TCP, DECAP_GUE, "eth / ipv4 tos 3 / " TCP},
	{"eth / ipv4 " V4 " tos 3 / " GUE " / ipv6 class 2 / " TCP, DECAP_GUE, "eth / ipv6 class 3 / " TCP},
	/* marked while its own sum is wrong: it is as wrong as before */
	{"eth / ipv4 " V4 " tos 3 / ipv4 tos 2 checksum 0 / " TCP, DECAP_IP, "eth / ipv4 tos 3 checksum 0xfffe / " TCP},
};
/* clang-format on */

static void in_words(void)
{
	struct bytes in, want;
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		build(lines[i].in, &in);
		build(lines[i].out ? lines[i].out : lines[i].in, &want);
		expect(lines[i].in, &in, lines[i].reason, &want);
	}
}

/* Every length that a frame can be cut to. The kernel runs none below 14 bytes. */
static void cut_off(void)
{
	static const struct {
		const char *in;
		size_t headers; /* with fewer bytes it is not even an outer IP packet */
	} whole[] = {
		{"eth / vlan id 7 / ipv4 " V4 " / " IN4 " / tcp", 14 + 4 + 20},
		{"eth / ipv6 " V6 " / " GUE " / " IN6 " / tcp", 14 + 40},
	};
	struct bytes in;
	size_t i, len;

	for (i = 0; i < sizeof(whole) / sizeof(*whole); i++) {
		build(whole[i].in, &in);
		for (len = in.len - 1; len >= 14; len--) {
			in.len = len;
			expect(whole[i].in, &in, len < whole[i].headers ? DECAP_OTHER : DECAP_DAMAGED, &in);
		}
	}
}

/* --- damaged at random, against the obvious --- */

static uint64_t seed;

static uint32_t dice(uint32_t n) /* splitmix64 */
{
	uint64_t z = seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ z >> 31) >> 32) % n;
}

static uint32_t be16(const uint8_t *b)
{
	return b[0] * 256u + b[1];
}

static uint32_t sum_of(const uint8_t *b, size_t len)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < len; i += 2)
		sum += be16(b + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void inner_mark(uint8_t *ip, bool six, unsigned int mark)
{
	uint32_t sum;

	if (six) {
		ip[1] = (uint8_t)((ip[1] & ~0x30u) | mark << 4);
		return;
	}
	/* ~(~HC + ~m + m'), RFC 1624 */
	sum = (~be16(ip + 10) & 0xffff) + (~be16(ip) & 0xffff);
	ip[1] = (uint8_t)((ip[1] & ~3u) | mark);
	sum += be16(ip);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	ip[10] = (uint8_t)(~sum >> 8);
	ip[11] = (uint8_t)~sum;
}

/* What is inside of the frame from `at` on, with room bytes, becomes the packet. */
static enum decap_reason open_up(const struct bytes *in, size_t l3, size_t at, size_t room, bool six,
				 unsigned int ecn, struct bytes *out)
{
	/* how an outer mark (column) changes an inner one (row); 9: drop */
	static const unsigned int marks[4][4] = {{0, 0, 0, 9}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
	const uint8_t *ip = in->b + at;
	unsigned int mark;

	if (room < 20)
		return DECAP_DAMAGED;
	if (ip[0] >> 4 != (six ? 6 : 4))
		return DECAP_INSIDE;
	if (six ? room < 40 || 40 + be16(ip + 4) > room
		: (ip[0] & 15) < 5 || be16(ip + 2) < (ip[0] & 15u) * 4 || be16(ip + 2) > room)
		return DECAP_DAMAGED;
	mark = six ? ip[1] >> 4 & 3u : ip[1] & 3u;
	if (marks[mark][ecn] == 9)
		return DECAP_CONGESTED;
	memcpy(out->b, in->b, l3);
	memcpy(out->b + l3, ip, in->len - at);
	out->len = l3 + in->len - at;
	out->b[l3 - 2] = six ? 0x86 : 0x08;
	out->b[l3 - 1] = six ? 0xdd : 0x00;
	if (marks[mark][ecn] != mark)
		inner_mark(out->b + l3, six, marks[mark][ecn]);
	return DECAP_IP;
}

static enum decap_reason obvious(const struct bytes *in, struct bytes *out)
{
	static const uint8_t end6[16] = {0x20, 1, 0x0d, 0xb8, 0, 1, [15] = 1}, from6[8] = {1};
	const uint8_t *ip;
	size_t l3 = 14, head, payload, at;
	bool six, ours, known, fragment, options, is_udp;
	unsigned int proto, tags, ecn;
	enum decap_reason why;

	*out = *in;
	for (tags = 0; be16(in->b + l3 - 2) == 0x8100 || be16(in->b + l3 - 2) == 0x88a8 ||
		       be16(in->b + l3 - 2) == 0x9100;
	     tags++, l3 += 4)
		if (tags == 4 || l3 + 4 > in->len)
			return DECAP_OTHER;
	ip = in->b + l3;
	six = be16(ip - 2) == 0x86dd;
	if ((!six && be16(ip - 2) != 0x0800) || in->len < l3 + (six ? 40 : 20) || ip[0] >> 4 != (six ? 6 : 4))
		return DECAP_OTHER;
	head = six ? 40 : (ip[0] & 15u) * 4;
	if (head < 20 || l3 + head > in->len)
		return DECAP_OTHER;
	proto = ip[six ? 6 : 9];
	ecn = six ? ip[1] >> 4 & 3u : ip[1] & 3u;
	ours = six ? !memcmp(ip + 24, end6, 16) : be16(ip + 16) == 0x0a01 && be16(ip + 18) == 1;
	known = six ? !memcmp(ip + 8, from6, 8) : be16(ip + 12) == 0xc612;
	fragment = six ? proto == 44 : be16(ip + 6) & 0x3fff;
	options = six ? proto == 0 || proto == 43 || proto == 60 : head > 20;
	is_udp = proto == 17;
	at = l3 + head;
	if (proto != 4 && proto != 41) {
		bool seen = is_udp && !fragment && !options && at + 8 <= in->len;

		if (!is_udp && !(six && (fragment || options)))
			return DECAP_OTHER;
		if (seen && be16(in->b + at + 2) != 6080)
			return DECAP_OTHER;
		if (!seen && !(ours && known))
			return DECAP_OTHER;
	}
	if (!ours)
		return DECAP_NOT_OURS;
	if (!known)
		return DECAP_SOURCE;
	if (fragment)
		return DECAP_FRAGMENT;
	if (options)
		return DECAP_OPTIONS;
	payload = six ? be16(ip + 4) : be16(ip + 2) < 20 ? 0 : be16(ip + 2) - 20;
	if ((six ? !payload : !be16(ip + 2)) || at + payload > in->len || (!six && sum_of(ip, 20) != 0xffff))
		return DECAP_DAMAGED;
	if (!is_udp)
		return open_up(in, l3, at, payload, proto == 41, ecn, out);
	if (at + 8 > in->len || be16(in->b + at + 4) < 8 || be16(in->b + at + 4) > payload)
		return DECAP_DAMAGED;
	if (be16(in->b + at + 6))
		return DECAP_CHECKSUM;
	payload = be16(in->b + at + 4) - 8;
	if (at + 8 + 1 > in->len)
		return DECAP_DAMAGED;
	why = open_up(in, l3, at + 8, payload, in->b[at + 8] >> 4 == 6, ecn, out);
	return why == DECAP_IP ? DECAP_GUE : why;
}

/* The sum of an outer IPv4 header is put right mostly, so that what is behind it is looked at. */
static void put_right(struct bytes *p)
{
	uint8_t *ip = p->b + 14;
	uint32_t sum;

	if (be16(p->b + 12) != 0x0800 || p->len < 34 || !dice(8))
		return;
	ip[10] = ip[11] = 0;
	sum = ~sum_of(ip, 20);
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

static void at_random(uint64_t n)
{
	static unsigned int seen[DECAP_REASONS];
	uint32_t hits, len, i;
	struct bytes in, want;
	enum decap_reason why;

	while (n--) {
		build(lines[dice(sizeof(lines) / sizeof(*lines))].in, &in);
		for (hits = dice(4); hits; hits--) { /* mostly in headers */
			i = dice((uint32_t)in.len < 100 ? (uint32_t)in.len : 100);
			in.b[i] = dice(3) ? (uint8_t)(in.b[i] ^ 1u << dice(8)) : (uint8_t)dice(256);
		}
		len = dice(16) ? (uint32_t)in.len : 14 + dice((uint32_t)in.len - 13);
		in.len = len;
		put_right(&in);
		why = obvious(&in, &want);
		seen[why]++;
		expect("damaged at random", &in, why, why == DECAP_CONGESTED ? &in : &want);
	}
	for (i = 0; i < DECAP_REASONS; i++)
		if (!seen[i])
			fail("no packet was '%s'", control_decap_reason(i));
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;

	if (argc < 2)
		fail("usage: decap-check interp|jit|kernel [SEED N]");
	seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	printf("seed %llu\n", (unsigned long long)seed);
	engine_open(argv[1]);
	load();
	in_words();
	cut_off();
	if (n)
		at_random(n);
	unload();
	seam_engine(NULL);
	vm_free(vm);
	printf("%u packets\n", n_checked);
	return 0;
}
