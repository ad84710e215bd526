// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The parser as plain C against packets made by hand. Every packet is parsed at every length it can be cut
 * to, ending right in front of a page that cannot be read: one byte too far is a crash.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/test.h"
#include "datapath/lib/parse.h"

#define PAGE 4096

struct built {
	uint8_t b[2048];
	size_t n;
};

static uint8_t *guarded; /* the last byte before the page that cannot be read is guarded[PAGE - 1] */

static int guard(void **state)
{
	(void)state;
	guarded = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return guarded == MAP_FAILED || mprotect(guarded + PAGE, PAGE, PROT_NONE);
}

static struct packet parse_cut(const struct built *f, size_t len)
{
	uint8_t *at = guarded + PAGE - len;
	struct cursor c = cursor_of(at, at + len);
	struct packet p;

	memcpy(at, f->b, len);
	parse_ethernet(&c, &p);
	if (p.kind == PACKET_IPV4 && parse_ipv4(&c, &p)) {
		parse_l4(&c, &p);
	} else if (p.kind == PACKET_IPV6 && parse_ipv6(&c, &p)) {
		parse_ipv6_extensions(&c, &p);
		parse_l4(&c, &p);
	}
	return p;
}

static struct packet parse_all(const struct built *f)
{
	return parse_cut(f, f->n);
}

static void put(struct built *f, const void *bytes, size_t n)
{
	memcpy(f->b + f->n, bytes, n);
	f->n += n;
}

static void put16(struct built *f, unsigned int v)
{
	uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	put(f, b, 2);
}

static void put_zeroes(struct built *f, size_t n)
{
	memset(f->b + f->n, 0, n);
	f->n += n;
}

/* Ethernet with the given tags in front of type. */
static struct built ethernet(const uint16_t *tags, size_t n_tags, unsigned int tag_type, unsigned int type)
{
	struct built f = {0};
	size_t i;

	put_zeroes(&f, 12);
	for (i = 0; i < n_tags; i++) {
		put16(&f, tag_type);
		put16(&f, tags[i]);
	}
	put16(&f, type);
	return f;
}

/* IPv4 with ihl words of header; rest: bytes that follow it. */
static void ipv4(struct built *f, unsigned int ihl, unsigned int frag, unsigned int proto, size_t rest)
{
	uint8_t first[2] = {(uint8_t)(0x40 | ihl), 0}, ttl[2] = {64, (uint8_t)proto};

	put(f, first, 2);
	put16(f, (unsigned int)(ihl * 4 + rest));
	put16(f, 7);
	put16(f, frag);
	put(f, ttl, 2);
	put16(f, 0);
	put(f, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
	put_zeroes(f, ihl > 5 ? (ihl - 5) * 4 : 0);
}

static void ipv6(struct built *f, unsigned int next, size_t payload)
{
	uint8_t hop[2] = {(uint8_t)next, 64};

	put(f, "\x60\0\0\0", 4);
	put16(f, (unsigned int)payload);
	put(f, hop, 2);
	put_zeroes(f, 32);
}

static void extension(struct built *f, unsigned int next, unsigned int len, size_t bytes)
{
	uint8_t head[2] = {(uint8_t)next, (uint8_t)len};

	put(f, head, 2);
	put_zeroes(f, bytes - 2);
}

static void ports(struct built *f, unsigned int sport, unsigned int dport)
{
	put16(f, sport);
	put16(f, dport);
	put_zeroes(f, 4);
}

static void assert_ports(const struct packet *p, unsigned int proto, unsigned int sport, unsigned int dport)
{
	assert_int_equal(p->l4, L4_PORTS);
	assert_int_equal(p->proto.nr, proto);
	assert_int_equal(ntohs(p->sport), sport);
	assert_int_equal(ntohs(p->dport), dport);
}

static void plain_ipv4(void **state)
{
	struct built f = ethernet(NULL, 0, 0, 0x0800);
	struct packet p;
	size_t len;

	(void)state;
	ipv4(&f, 5, 0, 17, 8);
	ports(&f, 1000, 53);
	p = parse_all(&f);
	assert_int_equal(p.kind, PACKET_IPV4);
	assert_int_equal(p.n_tags, 0);
	assert_int_equal(p.fragment, PACKET_FRAG_NONE);
	assert_ports(&p, 17, 1000, 53);
	for (len = 0; len < f.n; len++) {
		p = parse_cut(&f, len);
		assert_int_equal(p.kind, len < 14 ? PACKET_SHORT : len < 34 ? PACKET_BAD_IP : PACKET_IPV4);
		assert_int_equal(p.l4, len < 34 ? L4_NONE : len < 38 ? L4_CUT : L4_PORTS);
	}
}

static void ipv4_options(void **state)
{
	unsigned int ihl;
	struct packet p;

	(void)state;
	for (ihl = 0; ihl < 16; ihl++) {
		struct built f = ethernet(NULL, 0, 0, 0x0800);
		size_t len;

		ipv4(&f, ihl, 0, 6, 20);
		ports(&f, 1, 65535);
		put_zeroes(&f, 12);
		p = parse_all(&f);
		assert_int_equal(p.kind, ihl < 5 ? PACKET_BAD_IP : PACKET_IPV4);
		if (ihl >= 5)
			assert_ports(&p, 6, 1, 65535);
		for (len = 34; ihl > 5 && len < f.n; len++) {
			p = parse_cut(&f, len);
			assert_int_equal(p.kind, len < 14 + ihl * 4 ? PACKET_BAD_IP : PACKET_IPV4);
		}
	}
}

static void ipv4_fragments(void **state)
{
	static const struct {
		unsigned int frag;
		enum packet_fragment fragment;
		enum packet_l4 l4;
	} cases[] = {
		{0x0000, PACKET_FRAG_NONE, L4_PORTS},
		{0x4000, PACKET_FRAG_NONE, L4_PORTS}, /* don't fragment */
		{0x2000, PACKET_FRAG_FIRST, L4_PORTS},
		{0x2001, PACKET_FRAG_LATER, L4_FRAGMENT},
		{0x0001, PACKET_FRAG_LATER, L4_FRAGMENT},
		{0x1fff, PACKET_FRAG_LATER, L4_FRAGMENT},
		{0x8000, PACKET_FRAG_NONE, L4_PORTS}, /* the reserved bit */
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct built f = ethernet(NULL, 0, 0, 0x0800);
		struct packet p;

		ipv4(&f, 5, cases[i].frag, 17, 8);
		ports(&f, 5, 6);
		p = parse_all(&f);
		assert_int_equal(p.fragment, cases[i].fragment);
		assert_int_equal(p.l4, cases[i].l4);
		assert_int_equal(p.proto.nr, 17);
		if (p.l4 != L4_PORTS)
			assert_int_equal(p.sport | p.dport, 0);
	}
}

/* Bytes behind what the IP header says is there are padding, not ports. */
static void stated_length(void **state)
{
	size_t rest;

	(void)state;
	for (rest = 0; rest < 9; rest++) {
		struct built f = ethernet(NULL, 0, 0, 0x0800), g = ethernet(NULL, 0, 0, 0x86dd);
		struct packet p;

		ipv4(&f, 5, 0, 6, rest);
		ports(&f, 7, 8);
		p = parse_all(&f);
		assert_int_equal(p.l4, rest < 4 ? L4_CUT : L4_PORTS);
		ipv6(&g, 6, rest);
		ports(&g, 7, 8);
		p = parse_all(&g);
		assert_int_equal(p.l4,
				 rest && rest < 4 ? L4_CUT : L4_PORTS); /* 0: the frame's length counts */
	}
}

static void short_total_length(void **state)
{
	struct built f = ethernet(NULL, 0, 0, 0x0800);

	(void)state;
	ipv4(&f, 5, 0, 17, 8);
	ports(&f, 1, 2);
	f.b[16] = 0;
	f.b[17] = 12; /* less than the header alone */
	assert_int_equal(parse_all(&f).l4, L4_CUT);
	f.b[17] = 0;
	assert_int_equal(parse_all(&f).l4, L4_PORTS);
}

static void tags(void **state)
{
	static const unsigned int types[] = {0x8100, 0x88a8, 0x9100};
	static const uint16_t tci[] = {0xe00a, 0x0014, 0x001e, 0x0028, 0x0032, 0x003c};
	size_t n, t, len;

	(void)state;
	for (t = 0; t < 3; t++) {
		for (n = 1; n <= 6; n++) {
			struct built f = ethernet(tci, n, types[t], 0x0800);
			struct packet p;

			ipv4(&f, 5, 0, 6, 8);
			ports(&f, 9, 10);
			p = parse_all(&f);
			assert_int_equal(ntohs(p.tci[0]), 0xe00a);
			assert_int_equal(ntohs(p.tci[1]), n > 1 ? 0x0014 : 0);
			if (n > PARSE_MAX_TAGS) {
				assert_int_equal(p.kind, PACKET_TAGS);
				assert_int_equal(p.n_tags, PARSE_MAX_TAGS + 1);
				continue;
			}
			assert_int_equal(p.kind, PACKET_IPV4);
			assert_int_equal(p.n_tags, n);
			assert_ports(&p, 6, 9, 10);
			for (len = 0; len < 14 + 4 * n; len++)
				assert_int_equal(parse_cut(&f, len).kind, PACKET_SHORT);
			assert_int_equal(parse_cut(&f, 14 + 4 * n).kind, PACKET_BAD_IP);
		}
	}
}

static void others(void **state)
{
	static const unsigned int types[] = {0x0806, 0x88cc, 0x0027, 0x0000, 0xffff, 0x0008, 0xdd86};
	struct packet p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct built f = ethernet(NULL, 0, 0, types[i]);

		p = parse_all(&f);
		assert_int_equal(p.kind, PACKET_OTHER);
		assert_int_equal(ntohs(p.type.be), types[i]);
	}
}

static void wrong_version(void **state)
{
	struct built f = ethernet(NULL, 0, 0, 0x86dd), g = ethernet(NULL, 0, 0, 0x0800);

	(void)state;
	ipv4(&f, 5, 0, 17, 28);
	put_zeroes(&f, 28);
	assert_int_equal(parse_all(&f).kind, PACKET_BAD_IP);
	ipv6(&g, 17, 8);
	ports(&g, 1, 2);
	assert_int_equal(parse_all(&g).kind, PACKET_BAD_IP);
}

static void ipv6_extensions(void **state)
{
	/* hop-by-hop, routing of 24 bytes, destination, AH of 16, mobility, HIP, shim6, then UDP */
	struct built f = ethernet(NULL, 0, 0, 0x86dd);
	struct packet p;
	size_t len;

	(void)state;
	ipv6(&f, 0, 8 + 24 + 8 + 16 + 8 + 8 + 8 + 8);
	extension(&f, 43, 0, 8);
	extension(&f, 60, 2, 24);
	extension(&f, 51, 0, 8);
	extension(&f, 135, 2, 16);
	extension(&f, 139, 0, 8);
	extension(&f, 140, 0, 8);
	extension(&f, 17, 0, 8);
	ports(&f, 4000, 4001);
	p = parse_all(&f);
	assert_ports(&p, 17, 4000, 4001);
	for (len = 54; len < f.n; len++) {
		p = parse_cut(&f, len);
		assert_int_equal(p.kind, PACKET_IPV6);
		assert_int_equal(p.l4, len < f.n - 4 ? L4_CUT : L4_PORTS);
	}
	for (len = 14; len < 54; len++)
		assert_int_equal(parse_cut(&f, len).kind, PACKET_BAD_IP);
}

static void ipv6_stated_length(void **state)
{
	size_t payload;

	(void)state;
	for (payload = 1; payload < 24; payload++) {
		struct built f = ethernet(NULL, 0, 0, 0x86dd);

		ipv6(&f, 60, payload);
		extension(&f, 17, 0, 8);
		ports(&f, 1, 2);
		assert_int_equal(parse_all(&f).l4, payload < 12 ? L4_CUT : L4_PORTS);
	}
}

static void ipv6_many_extensions(void **state)
{
	unsigned int n, i;

	(void)state;
	for (n = 0; n < 12; n++) {
		struct built f = ethernet(NULL, 0, 0, 0x86dd);
		struct packet p;

		ipv6(&f, n ? 60 : 6, 8 * n + 8);
		for (i = 0; i < n; i++)
			extension(&f, i + 1 < n ? 60 : 6, 0, 8);
		ports(&f, 3, 4);
		p = parse_all(&f);
		if (n <= PARSE_MAX_EXT)
			assert_ports(&p, 6, 3, 4);
		else
			assert_int_equal(p.l4, L4_DEEP);
		assert_int_equal(p.proto.nr, n <= PARSE_MAX_EXT ? 6 : 60);
	}
}

static void ipv6_fragments(void **state)
{
	static const struct {
		unsigned int offset;
		enum packet_fragment fragment;
		enum packet_l4 l4;
	} cases[] = {
		{0x0000, PACKET_FRAG_NONE, L4_PORTS}, /* atomic */
		{0x0001, PACKET_FRAG_FIRST, L4_PORTS},
		{0x0006, PACKET_FRAG_NONE, L4_PORTS}, /* reserved bits */
		{0x0008, PACKET_FRAG_LATER, L4_FRAGMENT},
		{0xfff9, PACKET_FRAG_LATER, L4_FRAGMENT},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct built f = ethernet(NULL, 0, 0, 0x86dd);
		struct packet p;

		ipv6(&f, 0, 24);
		extension(&f, 44, 0, 8);
		extension(&f, 17, 255, 2); /* the reserved byte is not a length */
		put16(&f, cases[i].offset);
		put_zeroes(&f, 4);
		ports(&f, 11, 12);
		p = parse_all(&f);
		assert_int_equal(p.fragment, cases[i].fragment);
		assert_int_equal(p.l4, cases[i].l4);
		assert_int_equal(p.proto.nr, 17);
	}
}

/* A later fragment whose payload starts like an extension header: the walk must not go on into it. */
static void ipv6_fragment_of_options(void **state)
{
	struct built f = ethernet(NULL, 0, 0, 0x86dd);
	struct packet p;

	(void)state;
	ipv6(&f, 44, 24);
	extension(&f, 60, 0, 2);
	put16(&f, 0x0100);
	put_zeroes(&f, 4);
	extension(&f, 17, 0, 8);
	ports(&f, 11, 12);
	p = parse_all(&f);
	assert_int_equal(p.l4, L4_FRAGMENT);
	assert_int_equal(p.proto.nr, 60);
}

static void protocols(void **state)
{
	unsigned int proto;

	(void)state;
	for (proto = 0; proto < 256; proto++) {
		struct built f = ethernet(NULL, 0, 0, 0x0800);
		struct packet p;

		ipv4(&f, 5, 0, proto, 8);
		put(&f, "\x08\x03\x00\x01\0\0\0\0", 8);
		p = parse_all(&f);
		assert_int_equal(p.proto.nr, proto);
		if (proto == 1 || proto == 58) {
			assert_int_equal(p.l4, L4_ICMP);
			assert_int_equal(p.icmp_type, 8);
			assert_int_equal(p.icmp_code, 3);
		} else if (proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136) {
			assert_ports(&p, proto, 0x0803, 1);
		} else {
			assert_int_equal(p.l4, L4_NONE);
		}
	}
}

/* Whatever the bytes: no read beyond the end, and a defined answer. */
static void noise(void **state)
{
	static const unsigned int types[] = {0x0800, 0x86dd, 0x8100};
	uint32_t seed = 12345, i, j;

	(void)state;
	for (i = 0; i < 300000; i++) {
		struct built f = {0};
		struct packet p;

		f.n = seed % 160;
		for (j = 0; j < f.n; j++) {
			seed = seed * 1664525 + 1013904223;
			f.b[j] = (uint8_t)(seed >> 24);
		}
		if (f.n > 14) {
			f.b[12] = (uint8_t)(types[i % 3] >> 8);
			f.b[13] = (uint8_t)types[i % 3];
			f.b[14] = i % 3 == 1 ? 0x60 : 0x45 + (i % 7);
		}
		if (f.n > 20 && i % 3 == 1)
			f.b[20] = (uint8_t) "\0\x2b\x2c\x33\x3c\x87\x11\x06"[i % 8];
		p = parse_all(&f);
		assert_true(p.kind <= PACKET_IPV6 && p.l4 <= L4_DEEP && p.n_tags <= PARSE_MAX_TAGS + 1);
		seed = seed * 1664525 + 1013904223;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_ipv4),
		cmocka_unit_test(ipv4_options),
		cmocka_unit_test(ipv4_fragments),
		cmocka_unit_test(stated_length),
		cmocka_unit_test(short_total_length),
		cmocka_unit_test(tags),
		cmocka_unit_test(others),
		cmocka_unit_test(wrong_version),
		cmocka_unit_test(ipv6_extensions),
		cmocka_unit_test(ipv6_stated_length),
		cmocka_unit_test(ipv6_many_extensions),
		cmocka_unit_test(ipv6_fragments),
		cmocka_unit_test(ipv6_fragment_of_options),
		cmocka_unit_test(protocols),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, guard, NULL);
}
