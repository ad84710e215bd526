// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The rest of balance-check: errors, fragments, damaged and oversized packets, ways that are not there, counters. */
#include <stdio.h>
#include <string.h>

#include "balance_expect.h"

/* An ICMP error of type and code about the packet inner, which is cut to n bytes from its IP header on. */
static void error_frame(struct frame *f, const char *src, const char *dst, uint8_t type, uint8_t code,
			const struct make *inner, uint32_t n)
{
	bool six = strchr(src, ':');
	struct make m = {.src = src, .dst = dst, .proto = six ? 58 : 1};
	struct frame quoted;

	frame_make(&quoted, inner);
	if (n > quoted.len - quoted.l3)
		n = quoted.len - quoted.l3;
	m.payload = 8 + n;
	frame_make(f, &m);
	memset(f->b + f->l4, 0, 8);
	f->b[f->l4] = type;
	f->b[f->l4 + 1] = code;
	memcpy(f->b + f->l4 + 8, quoted.b + quoted.l3, n);
}

/* Errors about what a backend has sent to a client go to that backend. */
static void errors(void)
{
	struct make answer = {.src = "203.0.113.10",
			      .dst = "198.51.100.7",
			      .sport = 80,
			      .dport = 4711,
			      .proto = 6,
			      .payload = 600};
	struct make flow = tcp4, flow6 = tcp6;
	struct make answer6 = {.src = "2001:db8::12",
			       .dst = "2001:db8:3::7",
			       .sport = 80,
			       .dport = 4711,
			       .proto = 6,
			       .payload = 600};
	static const uint8_t types4[] = {3, 4, 11, 12}, types6[] = {1, 2, 3, 4};
	struct frame in, want;
	size_t i;

	for (i = 0; i < 4; i++) {
		what = "an ICMP error";
		error_frame(&in, "192.0.2.254", "203.0.113.10", types4[i], 4, &answer, 28);
		front(&want, &in, 0x0800, false);
		outer(&want, &in, &flow, false, 0);
		frame_put(&want, in.b + in.l3, in.len - in.l3);
		expect(&in, TX, &want);
		what = "an ICMPv6 error";
		error_frame(&in, "2001:db8:9::1", "2001:db8::12", types6[i], 0, &answer6, 400);
		front(&want, &in, 0x86dd, false);
		outer(&want, &in, &flow6, true, 0);
		frame_put(&want, in.b + in.l3, in.len - in.l3);
		expect(&in, TX, &want);
	}
	what = "an error about a packet of another address";
	answer.src = "203.0.113.99";
	error_frame(&in, "192.0.2.254", "203.0.113.10", 3, 4, &answer, 28);
	expect(&in, PASS, &in);
	what = "an error about another port";
	answer.src = "203.0.113.10";
	answer.sport = 81;
	error_frame(&in, "192.0.2.254", "203.0.113.10", 3, 4, &answer, 28);
	expect(&in, PASS, &in);
	what = "an error that quotes too little";
	answer.sport = 80;
	error_frame(&in, "192.0.2.254", "203.0.113.10", 3, 4, &answer, 22);
	expect_drop(&in, -1, BALANCE_DROP_DAMAGED);
	what = "an error that quotes less than a header";
	error_frame(&in, "192.0.2.254", "203.0.113.10", 3, 4, &answer, 12);
	expect(&in, PASS, &in);
	what = "an echo request";
	error_frame(&in, "192.0.2.254", "203.0.113.10", 8, 0, &answer, 28);
	expect(&in, PASS, &in);
}

/* The host's own traffic at a virtual address: later fragments go where the first one went, which passed. */
static void later_passes(void)
{
	static const struct make firsts[] = {
		{.src = "198.51.100.9", .dst = "203.0.113.10", .sport = 500, .dport = 500, .proto = 17},
		{.src = "198.51.100.9", .dst = "203.0.113.10", .proto = 1},
		{.src = "2001:db8:3::9", .dst = "2001:db8::12", .sport = 500, .dport = 500, .proto = 17},
		{.src = "2001:db8:3::9", .dst = "2001:db8::12", .proto = 58},
		{.src = "198.51.100.9", .dst = "203.0.113.10", .proto = 50},
	};
	struct make m, to_service;
	struct frame in;
	size_t i;

	for (i = 0; i < sizeof(firsts) / sizeof(*firsts); i++) {
		what = "a later fragment before its first, which will pass";
		m = firsts[i];
		m.payload = 64;
		m.ident = 4242 + 16 * (uint32_t)i; /* of IPv6, protocols are not told apart */
		m.offset = 8;
		frame_make(&in, &m);
		expect_drop(&in, -1, BALANCE_DROP_NO_FIRST);
		what = "a first fragment for no service";
		m.offset = 0;
		m.more = true;
		frame_make(&in, &m);
		expect(&in, PASS, &in);
		what = "a later fragment whose first one passed";
		m.offset = 8;
		frame_make(&in, &m);
		expect(&in, PASS, &in);
		m.offset = 16;
		m.more = false;
		frame_make(&in, &m);
		expect(&in, PASS, &in);
		what = "a later fragment of another packet, whose first one did not come";
		m.ident++;
		frame_make(&in, &m);
		expect_drop(&in, -1, BALANCE_DROP_NO_FIRST);
	}
	what = "the same identification, of a packet to a service";
	m = (struct make){.src = "198.51.100.9", .dst = "203.0.113.10", .sport = 7, .dport = 81, .proto = 6, .more = true};
	m.payload = 64;
	to_service = m;
	to_service.dport = 80;
	frame_make(&in, &m);
	expect(&in, PASS, &in);
	encapsulated(&to_service, false, 0);
	m.more = false;
	m.offset = 8;
	frame_make(&in, &m);
	expect(&in, TX, NULL);
}

static void fragments(void)
{
	struct make m = {.src = "198.51.100.7",
			 .dst = "203.0.113.10",
			 .sport = 4711,
			 .dport = 80,
			 .proto = 6,
			 .flags = 0x10,
			 .payload = 44,
			 .more = true,
			 .ident = 77},
		    first = m;
	struct frame in, want;
	uint32_t v6;

	for (v6 = 0; v6 < 2; v6++) {
		if (v6)
			first = m = (struct make){.src = "2001:db8:3::7",
						  .dst = "2001:db8::12",
						  .sport = 4711,
						  .dport = 80,
						  .proto = 6,
						  .payload = 44,
						  .more = true,
						  .ident = 0x12345678};
		what = "a later fragment before its first";
		m.more = false;
		m.offset = 8;
		frame_make(&in, &m);
		expect_drop(&in, -1, BALANCE_DROP_NO_FIRST);
		what = "a first fragment";
		encapsulated(&first, v6, 0);
		what = "a later fragment";
		front(&want, &in, v6 ? 0x86dd : 0x0800, false);
		/* it hashes without ports */
		outer(&want, &in, &(struct make){.src = m.src, .dst = m.dst, .proto = 6}, v6, 0);
		frame_put(&want, in.b + in.l3, in.len - in.l3);
		expect(&in, TX, &want);
		what = "a later fragment of another packet";
		m.ident++;
		frame_make(&in, &m);
		expect_drop(&in, -1, BALANCE_DROP_NO_FIRST);
		m.ident--;
		what = "a later fragment of another sender";
		m.src = v6 ? "2001:db8:3::8" : "198.51.100.8";
		frame_make(&in, &m);
		expect_drop(&in, -1, BALANCE_DROP_NO_FIRST);
	}
	later_passes();
	what = "an atomic fragment";
	m = tcp6;
	m.fragment = true;
	encapsulated(&m, true, 0);
}

static void damaged(void)
{
	struct make m = tcp4;
	struct frame in;
	uint32_t n;

	what = "ports cut off";
	frame_make(&in, &m);
	for (n = 0; n < 4; n++) {
		in.len = in.l4 + n;
		expect_drop(&in, -1, BALANCE_DROP_DAMAGED);
	}
	what = "shorter than its IP header says";
	for (; n < 20; n++) {
		in.len = in.l4 + n;
		expect_drop(&in, S44, BALANCE_DROP_DAMAGED);
	}
	what = "no length";
	frame_make(&in, &m);
	in.b[in.l3 + 2] = in.b[in.l3 + 3] = 0;
	expect_drop(&in, S44, BALANCE_DROP_DAMAGED);
	what = "cut before the ports";
	for (n = 14; n < in.l4; n++) {
		in.len = n;
		expect(&in, PASS, &in);
	}
	what = "IPv6, ports cut off";
	frame_make(&in, &tcp6);
	in.len = in.l4 + 3;
	expect_drop(&in, -1, BALANCE_DROP_DAMAGED);
	what = "IPv6, too many extension headers";
	m = tcp6;
	m.options = 9;
	frame_make(&in, &m);
	expect_drop(&in, -1, BALANCE_DROP_DAMAGED);
	what = "IPv6, ends in an extension header";
	m.options = 1;
	frame_make(&in, &m);
	in.len = in.l3 + 44;
	expect_drop(&in, -1, BALANCE_DROP_DAMAGED);
}

/* An ICMP error from the virtual address to the sender, with 128 bytes of the packet. */
static void told(struct frame *want, const struct frame *in, uint32_t mtu)
{
	bool six = in->b[in->l3] >> 4 == 6;
	uint32_t at, sum, start = 0;
	const uint8_t *ip = in->b + in->l3;

	want->len = 0;
	frame_put(want, in->b + 6, 6);
	frame_put(want, in->b, 6);
	frame_put(want, in->b + 12, in->l3 - 12);
	at = want->len;
	if (six) {
		frame_be32(want, 6u << 28);
		frame_be16(want, 136);
		frame_be16(want, 58 << 8 | 64);
		frame_put(want, ip + 24, 16);
		frame_put(want, ip + 8, 16);
		start = (uint16_t)~frame_sum(want->b + at + 8, 32, 136 + 58);
	} else {
		frame_be32(want, 0x45c00000 | (20 + 136));
		frame_be32(want, 0x00004000);
		frame_be32(want, 64 << 24 | 1 << 16);
		frame_put(want, ip + 16, 4);
		frame_put(want, ip + 12, 4);
		sum = frame_sum(want->b + at, 20, 0);
		want->b[at + 10] = (uint8_t)(sum >> 8);
		want->b[at + 11] = (uint8_t)sum;
	}
	at = want->len;
	frame_be32(want, six ? 2u << 24 : 3u << 24 | 4u << 16);
	frame_be32(want, mtu);
	frame_put(want, ip, 128);
	sum = frame_sum(want->b + at, 136, start);
	want->b[at + 2] = (uint8_t)(sum >> 8);
	want->b[at + 3] = (uint8_t)sum;
}

static void too_big(void)
{
	static const struct {
		const char *src, *dst;
		uint8_t proto;
		uint16_t port;
		uint32_t head, overhead;
		bool six; /* outside */
		uint32_t gue;
		int service;
	} cases[] = {
		{"198.51.100.7", "203.0.113.10", 6, 80, 40, 20, false, 0, S44},
		{"198.51.100.7", "203.0.113.11", 6, 80, 40, 40, true, 0, S46},
		{"2001:db8:3::7", "2001:db8::12", 6, 80, 60, 40, true, 0, S66},
		{"2001:db8:3::7", "2001:db8::13", 6, 80, 60, 20, false, 0, S64},
		{"198.51.100.7", "203.0.113.14", 17, 53, 28, 28, false, 6080, G4},
		{"2001:db8:3::7", "2001:db8::15", 17, 53, 48, 48, true, 6666, G6},
	};
	struct frame in, want;
	struct make m;
	uint32_t tags;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (tags = 0; tags <= 4; tags += 2) {
			uint64_t before = bed_reason(&bed, cases[i].service, BALANCE_DROP_TOO_BIG_TOLD);

			m = (struct make){.src = cases[i].src,
					  .dst = cases[i].dst,
					  .proto = cases[i].proto,
					  .sport = 5,
					  .dport = cases[i].port,
					  .n_tags = tags,
					  .df = tags != 2,
					  .payload = 1500 - cases[i].overhead - cases[i].head};
			what = "as large as it can be";
			encapsulated(&m, cases[i].six, cases[i].gue);
			what = "a byte too large";
			m.payload++;
			frame_make(&in, &m);
			told(&want, &in, 1500 - cases[i].overhead);
			expect(&in, TX, &want);
			m.payload = 3300;
			frame_make(&in, &m);
			told(&want, &in, 1500 - cases[i].overhead);
			expect(&in, TX, &want);
			if (bed_reason(&bed, cases[i].service, BALANCE_DROP_TOO_BIG_TOLD) != before + 2)
				fail("%s: not counted", what);
		}
	what = "layer 2, a byte too large";
	m = tcp4;
	m.dst = "203.0.113.16";
	m.payload = 1461;
	frame_make(&in, &m);
	told(&want, &in, 1500);
	expect(&in, TX, &want);
	what = "a later fragment that is too big";
	m = tcp4;
	m.more = true;
	m.ident = 99;
	frame_make(&in, &m);
	expect(&in, TX, NULL);
	m.offset = 8;
	m.payload = 1480;
	frame_make(&in, &m);
	expect_drop(&in, S44, BALANCE_DROP_TOO_BIG);
	what = "an ICMP error that is too big";
	error_frame(&in, "192.0.2.254", "203.0.113.10", 3, 4,
		    &(struct make){.src = "203.0.113.10",
				   .dst = "198.51.100.7",
				   .sport = 80,
				   .dport = 4711,
				   .proto = 6,
				   .payload = 1600},
		    1500);
	expect_drop(&in, S44, BALANCE_DROP_TOO_BIG);
}

/* What is not answered, and takes nothing of the pace: from nobody, errors and redirects, whole and in fragments. */
static void too_big_silent(void)
{
	static const char *const nobody4[] = {"0.0.0.0",	 "127.0.0.1",	 "224.0.0.1",
					      "255.255.255.255", "203.0.113.10", "203.0.113.14"};
	static const char *const nobody6[] = {"::", "::1", "ff02::1", "2001:db8::12", "2001:db8::19"};
	static const uint8_t types4[] = {3, 4, 5, 11, 12}, types6[] = {1, 2, 3, 4, 127};
	struct make m = tcp4;
	uint64_t before;
	struct frame in;
	size_t i;

	m.payload = 1600;
	what = "too big, and from nobody";
	for (i = 0; i < sizeof(nobody4) / sizeof(*nobody4); i++) {
		m.src = nobody4[i];
		frame_make(&in, &m);
		expect_drop(&in, S44, BALANCE_DROP_TOO_BIG);
	}
	m = tcp6;
	m.payload = 1600;
	for (i = 0; i < sizeof(nobody6) / sizeof(*nobody6); i++) {
		m.src = nobody6[i];
		frame_make(&in, &m);
		expect_drop(&in, S66, BALANCE_DROP_TOO_BIG);
	}
	what = "a first fragment of an ICMP error, or a redirect, that is too big";
	for (i = 0; i < sizeof(types4); i++) {
		m = (struct make){.src = "198.51.100.7",
				  .dst = "203.0.113.17",
				  .proto = 1,
				  .payload = 1600,
				  .more = types4[i] != 5};
		frame_make(&in, &m);
		in.b[in.l4] = types4[i];
		expect_drop(&in, ALL, BALANCE_DROP_TOO_BIG);
	}
	for (i = 0; i < sizeof(types6); i++) {
		m = (struct make){.src = "2001:db8:3::7",
				  .dst = "2001:db8::19",
				  .proto = 58,
				  .payload = 1600,
				  .more = true};
		frame_make(&in, &m);
		in.b[in.l4] = types6[i];
		expect_drop(&in, ALL6, BALANCE_DROP_TOO_BIG);
	}
	what = "an echo request that is too big";
	before = bed_reason(&bed, ALL, BALANCE_DROP_TOO_BIG_TOLD);
	m = (struct make){.src = "198.51.100.7", .dst = "203.0.113.17", .proto = 1, .payload = 1600};
	frame_make(&in, &m);
	in.b[in.l4] = 8;
	expect(&in, TX, NULL);
	if (bed_reason(&bed, ALL, BALANCE_DROP_TOO_BIG_TOLD) != before + 1)
		fail("%s: not counted", what);
}

/* Errors are sent at a pace. */
static void pace(void)
{
	struct make m = tcp4;
	uint32_t i, n[5] = {0};
	struct frame in, out;

	what = "pace";
	m.payload = 2000;
	frame_make(&in, &m);
	for (i = 0; i < 3000; i++)
		n[bed_run(&bed, &in, &out)]++;
	/* in the kernel errors were sent in this second before, it may end meanwhile, and this thread may move to another CPU */
	if (n[TX] < (kernel ? 700 : 900) || (!kernel && n[TX] > 1000) || n[TX] + n[DROP] != 3000)
		fail("%u errors were sent for 3000 packets", n[TX]);
	bed.now += 2000000000;
	if (!kernel && bed_run(&bed, &in, &out) != TX)
		fail("no error after a pause");
}

static void no_way(void)
{
	struct balance_hop nobody = {.mtu = 1500};
	struct balance_service *s;
	struct frame in;

	what = "the neighbour is not known";
	frame_make(&in, &tcp4);
	tables_hop(bed.t, 3, &nobody);
	bed_ways(&bed, 3);
	expect_drop(&in, S44, BALANCE_DROP_NO_NEIGH);
	what = "all backends are down";
	bed_ways(&bed, HOP_IN);
	s = bed.m.services[S44];
	s->backends[0].health = BALANCE_DOWN;
	bed.now += 1000000000;
	bed_change(&bed);
	expect_drop(&in, S44, BALANCE_DROP_NO_BACKEND);
	s->fallback = BALANCE_OPEN;
	bed_change(&bed);
	what = "all backends are down, open";
	encapsulated(&tcp4, false, 0);
	s->fallback = BALANCE_DROP;
	s->backends[0].health = BALANCE_UP;
	bed_change(&bed);
	what = "a way that is not translated";
	s->mode = BALANCE_NAT;
	bed_change(&bed);
	expect_drop(&in, S44, BALANCE_DROP_MODE);
	s->mode = BALANCE_IPIP;
	bed_change(&bed);
	encapsulated(&tcp4, false, 0);
}

/* Source addresses and ports outside differ from flow to flow, and stay within their prefix. */
static void varied(void)
{
	struct control_balance_opts opts = {.flows = 1024, .flows_fd = -1};
	bool seen4[256] = {false}, seen6[256] = {false};
	uint32_t i, n4 = 0, n6 = 0;
	struct frame in, out;
	struct make m;

	bed_close(&bed);
	services();
	bed_open(&bed, &opts);
	bed_ways(&bed, HOP_IN);
	what = "varied outer addresses";
	for (i = 0; i < 1000; i++) {
		m = tcp4;
		m.sport = (uint16_t)(1024 + i);
		frame_make(&in, &m);
		if (bed_run(&bed, &in, &out) != TX || out.b[26] != 198 || out.b[27] != 18 ||
		    frame_sum(out.b + 14, 20, 0))
			fail("%s: IPv4", what);
		n4 += !seen4[out.b[29]];
		seen4[out.b[29]] = true;
		m = tcp6;
		m.sport = (uint16_t)(1024 + i);
		frame_make(&in, &m);
		if (bed_run(&bed, &in, &out) != TX || memcmp(out.b + 22, "\1\0\0\0\0\0\0", 8))
			fail("%s: IPv6", what);
		n6 += !seen6[out.b[37]];
		seen6[out.b[37]] = true;
	}
	if (n4 < 240 || n6 < 240)
		fail("%s: 1000 flows have %u and %u last bytes", what, n4, n6);
}

static void counters(void)
{
	uint32_t target = tables_first(bed.t, S44) + 1;
	struct balance_count before, c;
	struct sluice_err err;
	struct make m = tcp4;
	struct frame in, out;

	what = "counters";
	if (control_balance_count(&bed.b, target, &before, &err))
		fail("%s", err.text);
	frame_make(&in, &m);
	bed_run(&bed, &in, &out);
	m.flags = 0x12;
	m.payload = 10;
	frame_make(&in, &m);
	bed_run(&bed, &in, &out);
	if (control_balance_count(&bed.b, target, &c, &err))
		fail("%s", err.text);
	if (c.packets - before.packets != 2 || c.bytes - before.bytes != 90 ||
	    c.opened - before.opened != 1 || c.known != before.known)
		fail("counted %llu packets, %llu bytes, %llu opened, %llu known",
		     (unsigned long long)c.packets, (unsigned long long)c.bytes, (unsigned long long)c.opened,
		     (unsigned long long)c.known);
}

void odd(void)
{
	errors();
	fragments();
	damaged();
	too_big();
	too_big_silent();
	refused();
	pace();
	no_way();
	varied();
	counters();
}
