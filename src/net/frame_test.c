// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Packets in words: known frames byte by byte, every frame back to its bytes, expectations, fragments, and
 * the sentences about what is not understood.
 */
#include <stdio.h>

#include "base/test.h"
#include "net/frame.h"

static uint64_t state = 3;

static uint32_t rnd(uint32_t n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(((state >> 33) * n) >> 31);
}

static void hex_of(const uint8_t *b, size_t len, char *to)
{
	size_t i;

	for (i = 0; i < len; i++)
		snprintf(to + 2 * i, 3, "%02x", b[i]);
	to[2 * len] = '\0';
}

/* text makes these bytes; said is what is said of them. */
static void makes(const char *text, const char *hex, const char *said)
{
	uint8_t b[2048];
	char got[4097], *back;
	struct sluice_err err = {0};
	size_t len = 0;

	if (sluice_packet_build(text, b, sizeof(b), &len, &err))
		fail_msg("%s: %s", text, err.text);
	if (hex) {
		hex_of(b, len, got);
		assert_string_equal(got, hex);
	}
	back = sluice_packet_text(b, len);
	assert_string_equal(back, said ? said : text);
	free(back);
}

/* Sums worked out by another program. */
static void known_frames(void **unused)
{
	(void)unused;
	makes("eth", "02000000000202000000000188b5", "eth");
	makes("eth dst ff:ff:ff:ff:ff:ff type 0x0806 / hex 0102", "ffffffffffff02000000000108060102",
	      "eth dst ff:ff:ff:ff:ff:ff type 0x0806 / hex 0102");
	makes("eth / arp",
	      "0200000000020200000000010806"
	      "0001080006040001"
	      "020000000001c0000201"
	      "000000000000c6336401",
	      "eth / arp op 1 spa 192.0.2.1 tpa 198.51.100.1");
	makes("eth / vlan id 7 prio 5 / ipv4 ttl 3 / udp dport 53 / text \"a\\\"b\"",
	      "0200000000020200000000018100"
	      "a0070800"
	      "4500001f000000000311cb98c0000201c6336401"
	      "9c400035000bb409612262",
	      "eth / vlan prio 5 id 7 / ipv4 ttl 3 src 192.0.2.1 dst 198.51.100.1 / udp sport 40000 dport 53 "
	      "/ text \"a\\\"b\"");
	makes("eth type 0 / ipv6 / sctp tag 7 / hex 0003",
	      "0200000000020200000000010000"
	      "60000000000e8440"
	      "20010db8000000000000000000000001"
	      "20010db8000000000000000000000002"
	      "9c40000900000007a92969790003",
	      "eth type 0x0000 / hex "
	      "60000000000e844020010db800000000000000000000000120010db8000000000000000000000002"
	      "9c40000900000007a92969790003");
}

static void good(const char *pattern, const char *text)
{
	struct sluice_err err = {0};
	uint8_t b[2048];
	size_t len = 0;

	assert_int_equal(sluice_packet_build(text, b, sizeof(b), &len, &err), 0);
	if (sluice_packet_match(pattern, b, len, &err))
		fail_msg("%s: %s", pattern, err.text);
}

static void bad(const char *pattern, const char *text, const char *sentence)
{
	struct sluice_err err = {0};
	uint8_t b[2048];
	size_t len = 0;

	assert_int_equal(sluice_packet_build(text, b, sizeof(b), &len, &err), 0);
	assert_int_equal(sluice_packet_match(pattern, b, len, &err), -ENOENT);
	assert_string_equal(err.text, sentence);
}

static void expectations(void **unused)
{
	static const char tcp[] = "eth / ipv4 ttl 63 / tcp dport 22 flags syn / text \"hi\"";

	(void)unused;
	good("eth", tcp);
	good("eth / ipv4 ttl 63", tcp);
	good("eth / ipv4 / tcp dport 22 flags syn / text \"hi\" / end", tcp);
	bad("eth / ipv4 ttl 64", tcp, "ipv4 ttl is 63, expected 64");
	bad("eth / ipv6", tcp, "layer 2 is ipv4, expected ipv6");
	bad("eth / ipv4 / tcp / end", tcp, "layer 4 is payload, expected the end");
	bad("eth / ipv4 / tcp / text \"ho\"", tcp,
	    "payload is 2 bytes, text \"hi\", expected 2 bytes, text \"ho\"");
	bad("eth / ipv4 / tcp / text \"hi\" / udp", tcp, "layer 5 is the end, expected udp");
	bad("eth / ipv4 / tcp flags syn,ack", tcp, "tcp flags is syn, expected syn,ack");
	bad("eth src 02:00:00:00:00:09", tcp, "eth src is 02:00:00:00:00:01, expected 02:00:00:00:00:09");
	bad("eth / ipv4 src 10.0.0.1", tcp, "ipv4 src is 192.0.2.1, expected 10.0.0.1");
	bad("eth / ipv6 dst 2001:db8::3", "eth / ipv6", "ipv6 dst is 2001:db8::2, expected 2001:db8::3");
	bad("eth / ipv4 / tcp options 01010101", tcp, "tcp options is empty, expected 01010101");
	/* sums and lengths are checked unless the text says otherwise */
	bad("eth / ipv4", "eth / ipv4 checksum 1", "ipv4 checksum is 0x0001, right is 0x8db7");
	good("eth / ipv4 checksum any", "eth / ipv4 checksum 1");
	good("eth / ipv4 checksum 1", "eth / ipv4 checksum 1");
	bad("eth / ipv4 / udp", "eth / ipv4 / udp len 9 / text \"ab\"", "udp len is 9, right is 10");
	good("eth / ipv4 / udp", "eth / ipv4 / udp checksum 0");
	bad("eth / ipv6 / udp", "eth / ipv6 / udp checksum 0", "udp checksum is 0x0000, right is 0x0820");
	good("eth / ipv4 mf 1 / tcp", "eth / ipv4 mf 1 / tcp checksum 5");
}

static void refused(const char *text, const char *sentence)
{
	struct sluice_err err = {0};
	uint8_t b[100];
	size_t len = 77;

	assert_true(sluice_packet_build(text, b, sizeof(b), &len, &err) < 0);
	assert_string_equal(err.text, sentence);
	assert_int_equal(len, 77);
}

static void mistakes(void **unused)
{
	struct sluice_err err = {0};

	(void)unused;
	refused("", "packet text, column 1: a layer is missing here");
	refused("eth /", "packet text, column 6: a layer is missing here");
	refused("eth / ip4", "packet text, column 7: there is no layer 'ip4', did you mean ipv4?");
	refused("eth / ipv4 tll 3", "packet text, column 12: ipv4 has no field 'tll', did you mean ttl?");
	refused("eth / ipv4 ttl", "packet text, column 15: a number is missing here");
	refused("eth / ipv4 ttl 256", "packet text, column 16: 256 is out of range, 0 to 255 is possible");
	refused("eth / ipv4 src 2001:db8::1", "packet text, column 16: an IPv4 address was expected");
	refused("eth / tcp flags syn,akc", "packet text, column 17: 'akc' is no TCP flag: fin, syn, rst, "
					   "psh, ack, urg, ece, cwr or none");
	refused("eth / hex 012", "packet text, column 11: an odd number of hex digits");
	refused("eth / hex 0g", "packet text, column 12: a hex digit was expected");
	refused("eth / text hi", "packet text, column 12: text in double quotes was expected");
	refused("eth / text \"hi", "packet text, column 12: this text has no closing quote");
	refused("eth / text \"\\q\"",
		"packet text, column 14: after a backslash n, t, \", \\ or xNN was expected");
	refused("eth / text \"a\" b", "packet text, column 16: a / was expected between layers");
	refused("eth / pad 60 / ipv4", "packet text, column 16: layers come before what is about the frame");
	refused("eth / end", "packet text, column 7: `end` is for expectations only");
	refused("eth / zeros 90", "the packet has 104 bytes, there is room for 100");
	refused("eth / zeros 65536", "packet text: more than 65536 bytes");
	refused("eth / ipv4 options 01 options 02", "packet text, column 23: these bytes were given already");
	assert_int_equal(sluice_packet_match("eth / cut 3", "", 0, &err), -EINVAL);
	assert_string_equal(err.text,
			    "packet text, column 7: an expectation has layers, and `end` behind them");
}

/* Whatever the bytes are: their text makes them again. */
static void round_trips(void **unused)
{
	static const char *const seeds[] = {
		"eth / ipv4 / tcp flags syn options 020405b4 / text \"hello\"",
		"eth / svlan id 3 / vlan id 4 / ipv6 / hopopts / routing / fragment / dstopts data 010203 / "
		"udp / zeros 7",
		"eth / ipv4 options 0101 / gre flags 0xb000 data 000000010000000200000003 / ipv6 / icmp6 "
		"type 135",
		"eth / ipv4 / ipv4 / ah icv 00112233 / esp / zeros 40",
		"eth / arp / pad 60",
		"eth / ipv4 / sctp / hex 0003 / trailer 0102",
		"eth / ipv6 / ipv4 / udp dport 53 / text \"x\" / cut 70",
	};
	uint8_t b[400], c[400];
	size_t i, len = 0, again;
	struct sluice_err err;
	char *text;

	(void)unused;
	for (i = 0; i < 200000; i++) {
		uint32_t n = rnd(6);

		if (rnd(20)) {
			assert_int_equal(sluice_packet_build(seeds[rnd(7)], b, 300, &len, &err), 0);
		} else {
			for (len = 0; len < rnd(200); len++)
				b[len] = (uint8_t)rnd(256);
		}
		while (n-- && len)
			b[rnd(2) ? rnd((uint32_t)len) : rnd((uint32_t)(len < 60 ? len : 60))] =
				(uint8_t)(rnd(2) ? rnd(256) : 1u << rnd(8));
		if (!rnd(3))
			len = rnd((uint32_t)len + 1);
		text = sluice_packet_text(b, len);
		assert_non_null(text);
		if (sluice_packet_build(text, c, sizeof(c), &again, &err))
			fail_msg("%s: %s", text, err.text);
		if (again != len || memcmp(b, c, len) != 0) {
			char h[801];

			hex_of(b, len, h);
			fail_msg("%s is not %s", text, h);
		}
		free(text);
	}
}

/* Fragments hold the content in order, with right headers, and nothing else. */
static void fragments_of(const char *text, size_t mtu, unsigned int n, const char *first, const char *last)
{
	uint8_t whole[3000], part[3000], content[3000];
	size_t len, got = 0, k, at, head = 0;
	struct sluice_err err = {0};
	unsigned int i;
	struct frame f;
	int e;

	assert_int_equal(sluice_packet_build(text, whole, sizeof(whole), &len, &err), 0);
	for (i = 0; !(e = sluice_packet_fragment(whole, len, mtu, 99, i, part, sizeof(part), &k, &err));
	     i++) {
		assert_int_equal(frame_decode(part, k, &f), 0);
		for (at = 0; at < f.n && f.layer[at].id != FRAME_fragment && f.layer[at].id != FRAME_ipv4;
		     at++)
			;
		at = f.layer[at].at + f.layer[at].bytes;
		if (!i)
			head = at - (f.layer[1].id == FRAME_ipv6 ? 8 : 0);
		assert_true(k - 14 <= mtu && ((k - at) % 8 == 0 || i == n - 1));
		memcpy(content + got, part + at, k - at);
		got += k - at;
		if (sluice_packet_match(i ? i == n - 1 ? last : "eth" : first, part, k, &err))
			fail_msg("fragment %u: %s", i, err.text);
		frame_free(&f);
	}
	assert_int_equal(e, -ENOENT);
	assert_int_equal(i, n);
	assert_int_equal(got, len - head);
	assert_memory_equal(content, whole + head, got);
}

static void fragments(void **unused)
{
	struct sluice_err err = {0};
	uint8_t b[200];
	size_t len, n;

	(void)unused;
	fragments_of("eth / ipv4 / udp dport 53 / zeros 2000", 600, 4,
		     "eth / ipv4 mf 1 offset 0 id 99 len 596 / udp dport 53 / zeros 568 / end",
		     "eth / ipv4 mf 0 offset 216 id 99 proto 17");
	fragments_of("eth / ipv6 / hopopts / udp dport 53 / zeros 1000", 576, 2,
		     "eth / ipv6 / hopopts / fragment more 1 offset 0 id 99 / udp dport 53",
		     "eth / ipv6 / hopopts / fragment more 0 offset 65 id 99 next 17 / zeros 488 / end");
	assert_int_equal(sluice_packet_build("eth / arp", b, sizeof(b), &len, &err), 0);
	assert_int_equal(sluice_packet_fragment(b, len, 100, 0, 0, b, sizeof(b), &n, &err), -EINVAL);
	assert_string_equal(err.text, "only IP packets have fragments, this frame is none");
	assert_int_equal(sluice_packet_build("eth / ipv4 mf 1 / udp", b, sizeof(b), &len, &err), 0);
	assert_int_equal(sluice_packet_fragment(b, len, 100, 0, 0, b, sizeof(b), &n, &err), -EINVAL);
	assert_string_equal(err.text, "this frame is a fragment already");
	assert_int_equal(sluice_packet_build("eth / ipv4 / udp", b, sizeof(b), &len, &err), 0);
	assert_int_equal(sluice_packet_fragment(b, len, 27, 0, 0, b, sizeof(b), &n, &err), -EINVAL);
	assert_string_equal(err.text, "an MTU of 27 leaves no room for content: the headers take 20 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_frames), cmocka_unit_test(expectations), cmocka_unit_test(mistakes),
		cmocka_unit_test(round_trips),	cmocka_unit_test(fragments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
