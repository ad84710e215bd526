// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * balance-check ENGINE: packets through the balancer, each compared byte by byte with what should come out. The expected
 * packets are written down here, with sums computed word by word.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance_expect.h"
#include "datapath/lib/balance.h"

struct bed bed;
const char *what = "?";
static uint32_t n_checked;

const char *const backend4 = "10.1.0.1", *const backend6 = "2001:db8:1::1";

/* A service with one backend: where packets go is no question. */
static struct balance_service *service(const char *name, enum balance_mode mode, const char *virtual,
				       uint8_t proto, uint16_t first, uint16_t last, const char *backend)
{
	struct balance_service *s = balance_service_add(&bed.m, name);
	struct net_addr v = addr(virtual), b = addr(backend);

	s->mode = mode;
	s->n_slots = 1009;
	if (!balance_virtual_add(s, &v, proto, first, last) || !balance_backend_add(s, &b))
		fail("out of memory");
	return s;
}

void services(void)
{
	struct net_addr six = addr("2001:db8::1c");
	struct balance_service *s;

	service("s44", BALANCE_IPIP, "203.0.113.10", 6, 80, 80, backend4);
	service("s46", BALANCE_IPIP, "203.0.113.11", 6, 80, 80, backend6);
	service("s66", BALANCE_IPIP, "2001:db8::12", 6, 80, 80, backend6);
	service("s64", BALANCE_IPIP, "2001:db8::13", 6, 80, 80, backend4);
	service("g4", BALANCE_GUE, "203.0.113.14", 17, 53, 53, backend4);
	service("g6", BALANCE_GUE, "2001:db8::15", 17, 53, 53, backend6)->gue_port = 6666;
	s = service("l2", BALANCE_L2, "203.0.113.16", 6, 80, 80, backend4);
	balance_virtual_add(s, &six, 6, 80, 80);
	service("all", BALANCE_IPIP, "203.0.113.17", 0, 0, 65535, backend4);
	service("block", BALANCE_IPIP, "203.0.113.18", 17, 1000, 1999, backend4);
	service("all6", BALANCE_IPIP, "2001:db8::19", 0, 0, 65535, backend6);
}

static void open_bed(void)
{
	struct control_balance_opts opts = {.flows = 1024,
					    .flows_fd = -1,
					    .source4 = addr("192.0.2.1"),
					    .source4_bits = 32,
					    .source6 = addr("2001:db8:2::1"),
					    .source6_bits = 128};

	services();
	bed_open(&bed, &opts);
	bed_ways(&bed, HOP_IN);
}

static void show(const char *name, const struct frame *f)
{
	uint32_t i;

	printf("%s, %u bytes:", name, f->len);
	for (i = 0; i < f->len && i < 200; i++)
		printf("%s%02x", i % 16 ? " " : "\n  ", f->b[i]);
	putchar('\n');
}

void expect(const struct frame *in, uint32_t verdict, const struct frame *want)
{
	struct frame out = {.len = 0};
	uint32_t got = bed_run(&bed, in, &out);

	n_checked++;
	if (got == verdict && (!want || (out.len == want->len && !memcmp(out.b, want->b, want->len))))
		return;
	show("in", in);
	show("out", &out);
	if (want)
		show("expected", want);
	fail("%s: verdict %u, should be %u", what, got, verdict);
}

/* One more drop for that reason, and nothing else. */
void expect_drop(const struct frame *in, int s, enum balance_reason reason)
{
	uint64_t before[BALANCE_REASONS], now;
	uint32_t r;

	for (r = 0; r < BALANCE_REASONS; r++)
		before[r] = bed_reason(&bed, s, (enum balance_reason)r);
	expect(in, DROP, NULL);
	for (r = 0; r < BALANCE_REASONS; r++) {
		now = bed_reason(&bed, s, (enum balance_reason)r);
		if (now != before[r] + (r == reason))
			fail("%s: reason %u was counted %llu times", what, r,
			     (unsigned long long)(now - before[r]));
	}
}

void front(struct frame *f, const struct frame *in, uint32_t type, bool out)
{
	static const uint8_t macs[2][12] = {{2, 0, 0, 0, 0, 0xb1, 2, 0, 0, 0, 0, 0xb2},
					    {2, 0, 0, 0, 0, 0xc1, 2, 0, 0, 0, 0, 0xc2}};

	f->len = 0;
	frame_put(f, macs[out], 12);
	if (!out)
		frame_put(f, in->b + 12, in->l3 - 14);
	frame_be16(f, type);
}

static uint32_t ip_bytes(const struct frame *in)
{
	const uint8_t *ip = in->b + in->l3;

	return ip[0] >> 4 == 4 ? ip[2] * 256u + ip[3] : ip[4] * 256u + ip[5] + 40;
}

static uint64_t hash_of(const struct make *m)
{
	struct net_addr src = addr(m->src), dst = addr(m->dst);
	__u64 s[2], d[2], words[BALANCE_SEED_WORDS];
	uint64_t hi, lo;
	__u32 ports = balance_ports(htobe16(m->sport), htobe16(m->dport));

	balance_seed("", words);
	net_addr_words(&src, &hi, &lo);
	s[0] = hi;
	s[1] = lo;
	net_addr_words(&dst, &hi, &lo);
	d[0] = hi;
	d[1] = lo;
	return src.v6 ? balance_hash6(0, s, d, ports, m->proto, words)
		      : balance_hash4(0, (__u32)s[1], (__u32)d[1], ports, m->proto, words);
}

/* The outer headers as RFC 791, 8200, 768 have them; gue: the port, 0 for none. */
void outer(struct frame *f, const struct frame *in, const struct make *m, bool six, uint32_t gue)
{
	const uint8_t *ip = in->b + in->l3;
	bool inner6 = ip[0] >> 4 == 6;
	uint32_t tos = inner6 ? (ip[0] << 4 | ip[1] >> 4) & 0xff : ip[1],
		 bytes = ip_bytes(in) + (gue ? 8 : 0);
	uint32_t proto = gue ? 17 : inner6 ? 41 : 4, at = f->len;
	struct net_addr src = addr(six ? "2001:db8:2::1" : "192.0.2.1"),
			dst = addr(six ? backend6 : backend4);
	uint64_t hash = hash_of(m);
	uint16_t sum;

	if (six) {
		frame_be32(f, 6u << 28 | tos << 20 | (uint32_t)(hash >> 12 & 0xfffff));
		frame_be16(f, bytes);
		frame_be16(f, proto << 8 | 64);
	} else {
		frame_be16(f, 0x4500 | tos);
		frame_be16(f, bytes + 20);
		frame_be32(f, 0x00004000);
		frame_be16(f, 64 << 8 | proto);
		frame_be16(f, 0);
	}
	frame_put(f, src.bytes, six ? 16 : 4);
	frame_put(f, dst.bytes, six ? 16 : 4);
	if (!six) {
		sum = frame_sum(f->b + at, 20, 0);
		f->b[at + 10] = (uint8_t)(sum >> 8);
		f->b[at + 11] = (uint8_t)sum;
	}
	if (gue) {
		frame_be16(f, 0xc000 | (hash >> 16 & 0x3fff));
		frame_be16(f, gue);
		frame_be16(f, bytes);
		frame_be16(f, 0);
	}
}

void encapsulated(const struct make *m, bool six, uint32_t gue)
{
	struct frame in, want;

	frame_make(&in, m);
	front(&want, &in, six ? 0x86dd : 0x0800, false);
	outer(&want, &in, m, six, gue);
	frame_put(&want, in.b + in.l3, in.len - in.l3);
	expect(&in, TX, &want);
	/* the same by another interface: no tags */
	bed_ways(&bed, HOP_OUT);
	front(&want, &in, six ? 0x86dd : 0x0800, true);
	outer(&want, &in, m, six, gue);
	frame_put(&want, in.b + in.l3, in.len - in.l3);
	expect(&in, REDIRECT, &want);
	bed_ways(&bed, HOP_IN);
}

const struct make tcp4 =
	{.src = "198.51.100.7", .dst = "203.0.113.10", .sport = 4711, .dport = 80, .proto = 6, .flags = 0x02};
const struct make tcp6 = {.src = "2001:db8:3::7",
			  .dst = "2001:db8::12",
			  .sport = 4711,
			  .dport = 80,
			  .proto = 6,
			  .flags = 0x10,
			  .payload = 33};

static void tunnels(void)
{
	struct make m;
	uint32_t tags, options;

	for (tags = 0; tags <= 4; tags++)
		for (options = 0; options <= 8; options += options ? 7 : 1) {
			m = tcp4;
			m.n_tags = tags;
			m.options = options;
			m.tos = 0xb9;
			what = "IPv4 in IPv4";
			encapsulated(&m, false, 0);
			m.dst = "203.0.113.11";
			what = "IPv4 in IPv6";
			encapsulated(&m, true, 0);
			m = tcp6;
			m.n_tags = tags;
			m.options = options > 1 ? 7 : options;
			m.tos = 0x2e;
			what = "IPv6 in IPv6";
			encapsulated(&m, true, 0);
			m.dst = "2001:db8::13";
			what = "IPv6 in IPv4";
			encapsulated(&m, false, 0);
			what = "IPv4 in GUE";
			m = (struct make){.src = "198.51.100.7",
					  .dst = "203.0.113.14",
					  .sport = 999,
					  .dport = 53,
					  .proto = 17,
					  .payload = 77,
					  .n_tags = tags,
					  .options = options};
			encapsulated(&m, false, 6080);
			what = "IPv6 in GUE";
			m = (struct make){.src = "2001:db8:3::7",
					  .dst = "2001:db8::15",
					  .sport = 999,
					  .dport = 53,
					  .proto = 17,
					  .payload = 77,
					  .n_tags = tags,
					  .options = options > 1};
			encapsulated(&m, true, 6666);
		}
}

static void direct(void)
{
	struct make m = tcp4;
	struct frame in, want;
	uint32_t tags;

	what = "layer 2";
	for (tags = 0; tags <= 4; tags++) {
		m = tcp4;
		m.dst = "203.0.113.16";
		m.n_tags = tags;
		m.payload = 5;
		frame_make(&in, &m);
		front(&want, &in, 0x0800, false);
		frame_put(&want, in.b + in.l3, in.len - in.l3);
		expect(&in, TX, &want);
		bed_ways(&bed, HOP_OUT);
		front(&want, &in, 0x0800, true);
		frame_put(&want, in.b + in.l3, in.len - in.l3);
		expect(&in, REDIRECT, &want);
		bed_ways(&bed, HOP_IN);
		m = tcp6;
		m.dst = "2001:db8::1c";
		m.n_tags = tags;
		frame_make(&in, &m);
		front(&want, &in, 0x86dd, false);
		frame_put(&want, in.b + in.l3, in.len - in.l3);
		expect(&in, TX, &want);
	}
	what = "layer 2, padding stays";
	m = tcp4;
	m.dst = "203.0.113.16";
	frame_make(&in, &m);
	frame_put(&in, NULL, 6);
	front(&want, &in, 0x0800, false);
	frame_put(&want, in.b + in.l3, in.len - in.l3);
	expect(&in, TX, &want);
}

/* What is for nobody passes as it is. */
static void passes(void)
{
	static const struct make others[] = {
		{.src = "198.51.100.7", .dst = "203.0.113.10", .sport = 1, .dport = 81, .proto = 6},
		{.src = "198.51.100.7", .dst = "203.0.113.10", .sport = 1, .dport = 80, .proto = 17},
		{.src = "198.51.100.7", .dst = "203.0.113.10", .sport = 80, .dport = 336, .proto = 6},
		{.src = "198.51.100.7", .dst = "203.0.113.9", .sport = 1, .dport = 80, .proto = 6},
		{.src = "203.0.113.10", .dst = "198.51.100.7", .sport = 80, .dport = 1, .proto = 6},
		{.src = "198.51.100.7", .dst = "203.0.113.10", .proto = 47, .payload = 8},
		{.src = "198.51.100.7", .dst = "203.0.113.18", .sport = 1, .dport = 999, .proto = 17},
		{.src = "198.51.100.7", .dst = "203.0.113.18", .sport = 1, .dport = 2000, .proto = 17},
		{.src = "198.51.100.7", .dst = "203.0.113.18", .sport = 1, .dport = 1500, .proto = 6},
		{.src = "198.51.100.7", .dst = "203.0.113.18", .sport = 1, .dport = 0, .proto = 17},
		{.src = "2001:db8:3::7", .dst = "2001:db8::1", .sport = 1, .dport = 80, .proto = 6},
		{.src = "2001:db8:3::7", .dst = "2001:db8::12", .sport = 1, .dport = 8080, .proto = 6},
		{.src = "2001:db8:3::7", .dst = "2001:db8::12", .proto = 59},
		/* a later fragment to an address without services */
		{.src = "198.51.100.7", .dst = "203.0.113.9", .proto = 6, .offset = 100, .payload = 40},
		{.src = "198.51.100.7",
		 .dst = "203.0.113.10",
		 .sport = 1,
		 .dport = 80,
		 .proto = 6,
		 .n_tags = 5},
	};
	struct frame in;
	struct make m;
	uint32_t i;

	what = "no virtual address";
	for (i = 0; i < sizeof(others) / sizeof(*others); i++) {
		frame_make(&in, &others[i]);
		expect(&in, PASS, &in);
	}
	what = "a frame to many";
	for (i = 0; i < 4; i++) {
		m = i & 1 ? tcp6 : tcp4;
		m.n_tags = i / 2;
		frame_make(&in, &m);
		memcpy(in.b, i ? "\x33\x33\0\0\0\x01" : "\xff\xff\xff\xff\xff\xff", 6);
		expect(&in, PASS, &in);
	}
	what = "no IP";
	frame_make(&in, &tcp4);
	in.b[13] = 6;
	expect(&in, PASS, &in);
	what = "wrong version";
	frame_make(&in, &tcp4);
	in.b[in.l3] = 0x65;
	expect(&in, PASS, &in);
	what = "neighbour discovery to an address all of whose ports are balanced";
	frame_make(&in,
		   &(struct make){.src = "2001:db8:3::7", .dst = "2001:db8::19", .proto = 58, .payload = 24});
	in.b[in.l4] = 135;
	expect(&in, PASS, &in);
}

static void all_ports(void)
{
	static const uint16_t ports[] = {1000, 1001, 1003, 1004, 1023, 1024,
					 1535, 1536, 1983, 1984, 1998, 1999};
	struct make m = {.src = "198.51.100.7", .dst = "203.0.113.17", .sport = 7, .dport = 9, .proto = 17};
	size_t i;

	what = "all ports";
	encapsulated(&m, false, 0);
	m.proto = 6;
	m.dport = 65535;
	encapsulated(&m, false, 0);
	what = "all protocols";
	m = (struct make){.src = "198.51.100.7", .dst = "203.0.113.17", .proto = 47, .payload = 60};
	encapsulated(&m, false, 0);
	m = (struct make){.src = "2001:db8:3::7", .dst = "2001:db8::19", .proto = 50, .payload = 60};
	encapsulated(&m, true, 0);
	what = "echo requests";
	m = (struct make){.src = "198.51.100.7", .dst = "203.0.113.17", .proto = 1, .payload = 60};
	encapsulated(&m, false, 0); /* type 1, which is none */
	what = "a block of ports";
	for (i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		m = (struct make){.src = "198.51.100.7",
				  .dst = "203.0.113.18",
				  .sport = 7,
				  .dport = ports[i],
				  .proto = 17};
		encapsulated(&m, false, 0);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("usage: balance-check ENGINE");
	engine_open(argv[1]);
	open_bed();
	tunnels();
	direct();
	passes();
	all_ports();
	odd();
	bed_close(&bed);
	engine_close();
	printf("%u packets compared\n", n_checked);
	return 0;
}
