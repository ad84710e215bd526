// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The oracle: first match, limits in virtual time, and a list of hostile packets with what rules say about
 * each. */
#include <stdio.h>

#include "base/test.h"
#include "policy/oracle.h"

#define SECOND UINT64_C(1000000000)

static struct buf text;

static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	(void)ctx;
	(void)path;
	(void)max;
	(void)err;
	buf_put(to, text.data, text.len);
	return 0;
}

static struct policy *policy_of(const char *rules)
{
	static const struct policy_files files = {.read = read_text};
	struct sluice_err err = {0};
	struct policy *p;

	text.len = 0;
	buf_printf(&text, "set few { 198.51.100.0/24 }\nfilter on eth0 {\n%s\n}\n", rules);
	if (policy_read("x", &files, &p, &err))
		fail_msg("%s: %s", rules, p && p->n_diags ? p->diags[0].text : err.text);
	return p;
}

static struct policy_packet words(const char *sentence)
{
	static uint8_t frame[PACKET_WORDS_MAX];
	struct policy_packet k;
	struct sluice_err err = {0};

	if (packet_words(sentence, frame, sizeof(frame), &k, &err))
		fail_msg("%s: %s", sentence, err.text);
	return k;
}

/* Which rule decides for a packet with full buckets; -1: default. */
static int rule_for(const char *rules, const struct policy_packet *k)
{
	struct policy *p = policy_of(rules);
	struct policy_oracle *o;
	struct policy_answer a;

	assert_int_equal(policy_oracle_new(p, 0, &o, NULL), 0);
	assert_int_equal(policy_oracle_decide(o, k, 0, NULL, &a, NULL), 0);
	policy_oracle_free(o);
	policy_free(p);
	return a.rule == ORACLE_DEFAULT ? -1 : (int)a.rule;
}

static void decides(const char *rules, const char *sentence, int rule)
{
	struct policy_packet k = words(sentence);

	if (rule_for(rules, &k) != rule)
		fail_msg("%s: rule %d, wanted %d", sentence, rule_for(rules, &k), rule);
}

static void order(void **state)
{
	static const char rules[] =
		"count tcp\n drop tcp to port 22\n pass from @few\n drop udp\n redirect to eth1 icmp\n";

	(void)state;
	decides(rules, "tcp 198.51.100.1:5 > 10.0.0.1:22", 1);
	decides(rules, "tcp 198.51.100.1:5 > 10.0.0.1:23", 2);
	decides(rules, "udp 198.51.100.1:5 > 10.0.0.1:22", 2);
	decides(rules, "udp 198.51.101.1:5 > 10.0.0.1:22", 3);
	decides(rules, "icmp ::1 > ::2", 4);
	decides(rules, "tcp [::1]:1 > [::2]:23", -1);
	decides(rules, "arp", -1);
}

/* "not" speaks of packets that have the field. */
static void negation(void **state)
{
	(void)state;
	decides("drop from not 10.0.0.0/8", "tcp 10.0.0.1:1 > 10.0.0.2:2", -1);
	decides("drop from not 10.0.0.0/8", "tcp 11.0.0.1:1 > 10.0.0.2:2", 0);
	decides("drop from not 10.0.0.0/8", "tcp [::1]:1 > [::2]:2", 0);
	decides("drop from not 10.0.0.0/8", "arp", -1);
	decides("drop not tcp", "udp 10.0.0.1:1 > 10.0.0.2:2", 0);
	decides("drop not tcp", "arp", -1);
	decides("drop not icmp", "icmp 10.0.0.1 > 10.0.0.2", -1);
	decides("drop not icmp4", "icmp ::1 > ::2", 0);
	decides("drop vlan not 7", "arp", -1);
	decides("drop vlan not 7", "arp vlan 8", 0);
	decides("drop vlan none", "arp", 0);
	decides("drop vlan { none, 8 }", "arp vlan 8", 0);
	decides("drop tcp flags not syn", "tcp 10.0.0.1:1 > 10.0.0.2:2 syn,ack", -1);
	decides("drop tcp flags syn/syn,ack", "tcp 10.0.0.1:1 > 10.0.0.2:2 syn,ack", -1);
	decides("drop tcp flags syn/syn,ack", "tcp 10.0.0.1:1 > 10.0.0.2:2 syn,psh", 0);
	decides("drop tcp flags none", "tcp 10.0.0.1:1 > 10.0.0.2:2 none", 0);
	decides("drop tcp flags syn,rst,fin/syn,ack,rst,fin", "tcp 10.0.0.1:1 > 10.0.0.2:2 rst syn flags fin", 0);
	decides("drop not fragment", "udp 10.0.0.1:1 > 10.0.0.2:2", 0);
	decides("drop not fragment", "udp 10.0.0.1:1 > 10.0.0.2:2 fragment later", -1);
	decides("drop udp to port 0-65535", "udp 10.0.0.1:1 > 10.0.0.2:2 fragment later", -1);
	decides("drop udp to port 0-65535", "udp 10.0.0.1:1 > 10.0.0.2:2 fragment first", 0);
	decides("drop icmp type echo-request", "icmp ::1 > ::2 echo-request", 0);
	decides("drop icmp4 type 8", "icmp ::1 > ::2 echo-request", -1);
}

/* --- limits --- */

struct run {
	struct policy *p;
	struct policy_oracle *o;
};

static struct run start(const char *rules)
{
	struct run r = {.p = policy_of(rules)};

	assert_int_equal(policy_oracle_new(r.p, 0, &r.o, NULL), 0);
	return r;
}

static bool passes(const struct run *r, const struct policy_packet *k, uint64_t now_ns)
{
	struct policy_answer a;

	assert_int_equal(policy_oracle_decide(r->o, k, now_ns, NULL, &a, NULL), 0);
	return a.verdict == VERDICT_PASS;
}

static void stop(struct run *r)
{
	policy_oracle_free(r->o);
	policy_free(r->p);
}

static void limit_rate(void **state)
{
	struct run r = start("limit udp to 1k/s burst 200");
	struct policy_packet k = words("udp 10.0.0.1:1 > 10.0.0.2:2");
	uint64_t i, passed = 0;

	(void)state;
	for (i = 0; i < 1000; i++) /* at once: just the burst */
		passed += passes(&r, &k, 0);
	assert_int_equal(passed, 200);
	for (i = 1; i <= 1000000; i++) /* ten times the rate for 100 s */
		passed += passes(&r, &k, i * 100000);
	assert_int_equal(passed, 200 + 100000);
	assert_int_equal(policy_oracle_count(r.o, 0)->packets, passed);
	assert_int_equal(policy_oracle_count(r.o, 0)->over_packets, 1001000 - passed);
	stop(&r);
}

static void limit_odd(void **state)
{
	struct run r =
		start("limit udp to 7/m burst 2"); /* of 1, what comes in the last nanosecond would not fit */
	struct policy_packet k = words("udp 10.0.0.1:1 > 10.0.0.2:2");
	uint64_t at = 0, i;

	(void)state;
	assert_true(passes(&r, &k, 0));
	assert_true(passes(&r, &k, 0));
	/* a seventh of a minute, rounded up: not a nanosecond earlier */
	for (i = 1; i < 100; i++) {
		at = (i * 60 * SECOND + 6) / 7;
		assert_false(passes(&r, &k, at - 1));
		assert_true(passes(&r, &k, at));
	}
	stop(&r);
}

static void limit_bits(void **state)
{
	struct run r = start("limit udp to 1Mbit/s burst 100kB");
	struct policy_packet k = words("udp 10.0.0.1:1 > 10.0.0.2:2 length 1000");
	uint64_t i, passed = 0;

	(void)state;
	for (i = 0; i < 200; i++)
		passed += passes(&r, &k, 0);
	assert_int_equal(passed, 100);
	for (i = 1; i <= 10000; i++)
		passed += passes(&r, &k, i * SECOND / 1000);
	assert_int_equal(passed, 100 + 10 * 125);
	stop(&r);
}

static void limit_keys(void **state)
{
	struct run r = start("limit udp to 1/s per source/24 burst 2");
	struct policy_packet k = words("udp 10.0.0.1:1 > 10.0.0.2:2");

	(void)state;
	assert_true(passes(&r, &k, 0));
	k = words("udp 10.0.0.99:1 > 10.0.0.2:2");
	assert_true(passes(&r, &k, 0));
	assert_false(passes(&r, &k, 0));
	k = words("udp 10.0.1.1:1 > 10.0.0.2:2");
	assert_true(passes(&r, &k, 0));
	k = words("udp [2001:db8:0:1::1]:1 > [::1]:2");
	assert_true(passes(&r, &k, 0));
	k = words("udp [2001:db8:0:2::1]:1 > [::1]:2"); /* the same /48 */
	assert_true(passes(&r, &k, 0));
	assert_false(passes(&r, &k, 0));
	stop(&r);
	r = start("limit to 1/s per flow burst 1");
	k = words("tcp 10.0.0.1:1 > 10.0.0.2:2");
	assert_true(passes(&r, &k, 0));
	assert_false(passes(&r, &k, 0));
	k = words("tcp 10.0.0.1:1 > 10.0.0.2:3");
	assert_true(passes(&r, &k, 0));
	k = words("arp");
	assert_true(passes(&r, &k, 0));
	assert_false(passes(&r, &k, 0));
	stop(&r);
}

/* Spoofed sources by the hundred thousand leave a real one its budget. */
static void limit_spoofed(void **state)
{
	struct run r = start("limit udp to 10/s per source burst 10");
	struct policy_packet real = words("udp 10.0.0.1:1 > 10.0.0.2:2"), k = real;
	uint64_t i, passed = 0;

	(void)state;
	for (i = 0; i < 200000; i++) {
		k.from.bytes[0] = 99;
		k.from.bytes[1] = (uint8_t)(i >> 16);
		k.from.bytes[2] = (uint8_t)(i >> 8);
		k.from.bytes[3] = (uint8_t)i;
		assert_true(passes(&r, &k, i * 50000));
		if (i % 2000 == 0)
			passed += passes(&r, &real, i * 50000);
	}
	assert_int_equal(passed, 100);
	stop(&r);
}

static void logs(void **state)
{
	struct run r = start("log 1/10 max 5/s drop udp\n count tcp");
	struct policy_packet k = words("udp 10.0.0.1:1 > 10.0.0.2:2");
	uint64_t i;

	(void)state;
	for (i = 0; i < 1000; i++)
		assert_false(passes(&r, &k, 0));
	assert_int_equal(policy_oracle_count(r.o, 0)->logged, 5);
	assert_int_equal(policy_oracle_count(r.o, 0)->packets, 1000);
	assert_int_equal(policy_oracle_count(r.o, 0)->bytes, 60000);
	k = words("tcp 10.0.0.1:1 > 10.0.0.2:2");
	assert_true(passes(&r, &k, 0));
	assert_int_equal(policy_oracle_count(r.o, 1)->packets, 1);
	assert_int_equal(policy_oracle_count(r.o, ORACLE_DEFAULT)->packets, 1);
	stop(&r);
}

/* --- hostile packets --- */

#define ETH "020000000002020000000001"
#define V4(ihl, len, frag, proto) "4" ihl "00" len "0001" frag "40" proto "00000a0000010a000002"
#define V6(len, next)                      \
	"60000000" len next "40"           \
	"20010db8000000000000000000000001" \
	"20010db8000000000000000000000002"
#define UDP "1267003500080000"
#define TCP                                    \
	"126700160000000000000000500200000000" \
	"0000"

static const struct {
	const char *what, *hex, *rule; /* the rule that matches it; those of all[] in front of it do not */
} hostile[] = {
	{"nothing", "", "malformed short"},
	{"13 bytes", "0200000000020200000000010", "malformed short"},
	{"14 bytes of IPv4", ETH "0800", "malformed header"},
	{"14 bytes of ARP", ETH "0806", "ether type arp"},
	{"LLDP",
	 ETH "88cc"
	     "0207",
	 "ether type lldp"},
	{"802.3 length",
	 ETH "0026"
	     "4242",
	 "ether type 38"},
	{"VLAN",
	 ETH "81000007"
	     "0800" V4("5", "001c", "0000", "11") UDP,
	 "udp to port 53 vlan 7"},
	{"priority tag",
	 ETH "8100e000"
	     "0800" V4("5", "001c", "0000", "11") UDP,
	 "udp to port 53 vlan 0"},
	{"QinQ",
	 ETH "88a80009"
	     "81000007"
	     "0800" V4("5", "001c", "0000", "11") UDP,
	 "udp to port 53 vlan 9 inner-vlan 7"},
	{"three tags",
	 ETH "91000009"
	     "81000007"
	     "81000008"
	     "0800" V4("5", "001c", "0000", "11") UDP,
	 "udp to port 53 vlan 9"},
	{"five tags",
	 ETH "81000001"
	     "81000002"
	     "81000003"
	     "81000004"
	     "81000005"
	     "0800" V4("5", "001c", "0000", "11") UDP,
	 "malformed tags vlan 1"},
	{"tag cut short",
	 ETH "8100"
	     "00",
	 "malformed short vlan none"},
	{"IPv4 options", ETH "0800" V4("6", "0020", "0000", "11") "01010100" UDP, "udp to port 53"},
	{"IPv4 options beyond the end", ETH "0800" V4("f", "001c", "0000", "11") UDP, "malformed header"},
	{"IHL of 4", ETH "0800" V4("4", "001c", "0000", "11") UDP, "malformed header"},
	{"version 5",
	 ETH "0800"
	     "55"
	     "00001c000100004011"
	     "00000a0000010a000002" UDP,
	 "malformed header"},
	{"total length 20: no UDP", ETH "0800" V4("5", "0014", "0000", "11") UDP, "malformed cut udp"},
	{"total length 10", ETH "0800" V4("5", "000a", "0000", "11") UDP, "malformed cut udp"},
	{"total length 0", ETH "0800" V4("5", "0000", "0000", "11") UDP, "udp to port 53"},
	{"total length 65535", ETH "0800" V4("5", "ffff", "0000", "11") UDP, "udp to port 53"},
	{"three bytes of UDP", ETH "0800" V4("5", "001c", "0000", "11") "126700", "malformed cut udp"},
	{"13 bytes of TCP: ports, no flags",
	 ETH "0800" V4("5", "0028", "0000", "06") "12670016000000000000000050", "tcp to port 22"},
	{"14 bytes of TCP", ETH "0800" V4("5", "0028", "0000", "06") "1267001600000000000000005002",
	 "tcp flags syn"},
	{"first fragment", ETH "0800" V4("5", "001c", "2000", "11") UDP, "udp to port 53 fragment first"},
	{"middle fragment", ETH "0800" V4("5", "001c", "2001", "11") UDP, "udp fragment later"},
	{"last fragment", ETH "0800" V4("5", "001c", "00b9", "11") UDP, "udp fragment later"},
	{"tiny first fragment of TCP", ETH "0800" V4("5", "001c", "2000", "06") "1267001600000000",
	 "tcp to port 22 fragment first"},
	{"fragment over the flags", ETH "0800" V4("5", "001c", "0001", "06") "0000000050020000",
	 "tcp fragment later"},
	{"GRE", ETH "0800" V4("5", "001c", "0000", "2f") UDP, "proto gre"},
	{"ESP", ETH "0800" V4("5", "001c", "0000", "32") UDP, "proto esp"},
	{"AH in IPv4 is a protocol", ETH "0800" V4("5", "001c", "0000", "33") UDP, "proto ah"},
	{"SCTP", ETH "0800" V4("5", "001c", "0000", "84") UDP, "sctp to port 53"},
	{"protocol 0", ETH "0800" V4("5", "001c", "0000", "00") UDP, "proto 0"},
	{"protocol 255", ETH "0800" V4("5", "001c", "0000", "ff") UDP, "proto 255"},
	{"ICMP error",
	 ETH "0800" V4("5", "0038", "0000", "01") "03030000"
						  "00000000" V4("5", "001c", "0000", "11") UDP,
	 "icmp type unreachable code 3"},
	{"ICMPv6 in IPv4", ETH "0800" V4("5", "001c", "0000", "3a") "8000000000000000", "ip4 proto 58"},
	{"ICMP in IPv6", ETH "86dd" V6("0008", "01") "0800000000000000", "ip6 proto 1"},
	{"ICMPv6 echo", ETH "86dd" V6("0008", "3a") "8000000000000000", "icmp type echo-request"},
	{"IPv6 of 39 bytes",
	 ETH "86dd"
	     "60000000000011402001",
	 "malformed header"},
	{"IPv6 with version 4",
	 ETH "86dd"
	     "40000000"
	     "00081140"
	     "20010db8000000000000000000000001"
	     "20010db8000000000000000000000002" UDP,
	 "malformed header"},
	{"IPv6 no next header", ETH "86dd" V6("0000", "3b"), "proto no-next"},
	{"IPv6 hop-by-hop", ETH "86dd" V6("0010", "00") "1100000000000000" UDP, "udp to port 53"},
	{"IPv6 routing", ETH "86dd" V6("0010", "2b") "1100000000000000" UDP, "udp to port 53"},
	{"IPv6 destination options of 16", ETH "86dd" V6("0018", "3c") "11010000000000000000000000000000" UDP,
	 "udp to port 53"},
	{"IPv6 AH", ETH "86dd" V6("0014", "33") "110100000000000000000000" UDP, "udp to port 53"},
	{"IPv6 mobility, HIP, shim6",
	 ETH "86dd" V6("0020", "87") "8b00000000000000"
				     "8c00000000000000"
				     "1100000000000000" UDP,
	 "udp to port 53"},
	{"IPv6 first fragment", ETH "86dd" V6("0010", "2c") "1100000100000001" UDP,
	 "udp to port 53 fragment first"},
	{"IPv6 later fragment", ETH "86dd" V6("0010", "2c") "1100000900000001" UDP, "udp fragment later"},
	{"IPv6 atomic fragment", ETH "86dd" V6("0010", "2c") "1100000000000001" UDP,
	 "udp to port 53 fragment none"},
	{"IPv6 later fragment of options", ETH "86dd" V6("0010", "2c") "3c00000900000001" UDP,
	 "proto 60 fragment later"},
	{"IPv6 extension beyond payload length", ETH "86dd" V6("0007", "00") "1100000000000000" UDP,
	 "malformed cut proto 0"},
	{"IPv6 extension cut short", ETH "86dd" V6("0010", "00") "1100", "malformed cut proto 0"},
	{"IPv6 eight extensions",
	 ETH "86dd" V6("0048", "3c") "3c00000000000000"
				     "3c00000000000000"
				     "3c00000000000000"
				     "3c00000000000000"
				     "3c00000000000000"
				     "3c00000000000000"
				     "3c00000000000000"
				     "1100000000000000" UDP,
	 "udp to port 53"},
	{"IPv6 nine extensions",
	 ETH "86dd" V6("0050", "3c") "3c00000000000000"
				     "3c00000000000000"
				     "3c00000000000000"
				     "3c00000000000000"
				     "3c00000000000000"
				     "3c00000000000000"
				     "3c00000000000000"
				     "3c00000000000000"
				     "1100000000000000" UDP,
	 "malformed deep proto 60"},
	{"IPv6 payload length 0 (jumbo)", ETH "86dd" V6("0000", "11") UDP, "udp to port 53"},
	{"tagged IPv6",
	 ETH "81000007"
	     "86dd" V6("0008", "11") UDP,
	 "udp to port 53 vlan 7"},
	{"TCP in full", ETH "0800" V4("5", "0028", "0000", "06") TCP, "tcp to port 22 flags syn/syn,ack"},
};

static uint32_t unhex(const char *hex, uint8_t *to)
{
	uint32_t n = 0;
	unsigned int v;

	for (; hex[0] && hex[1]; hex += 2, n++) {
		assert_int_equal(sscanf(hex, "%2x", &v), 1);
		to[n] = (uint8_t)v;
	}
	return n;
}

static void hostile_list(void **state)
{
	struct policy_packet k;
	uint8_t bytes[512], *exact;
	char rules[256];
	uint32_t n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
		n = unhex(hostile[i].hex, bytes);
		exact = malloc(n + 1); /* of just this size, so that a sanitizer sees a read beyond it */
		assert_non_null(exact);
		memcpy(exact, bytes, n);
		packet_read(&k, exact, n, n, "eth0");
		snprintf(rules, sizeof(rules), "drop %s", hostile[i].rule);
		if (rule_for(rules, &k) != 0)
			fail_msg("%s: '%s' does not match", hostile[i].what, hostile[i].rule);
		/* and it is malformed only where the rule says so */
		if (!strstr(hostile[i].rule, "malformed") && rule_for("drop malformed", &k) == 0)
			fail_msg("%s: malformed", hostile[i].what);
		/* what has no ports, or may not be read for them, matches no rule about ports */
		if (!strstr(hostile[i].rule, "port") && !k.has_ports &&
		    (rule_for("drop udp to port 0-65535", &k) == 0 ||
		     rule_for("drop tcp to port not 1", &k) == 0))
			fail_msg("%s: has ports", hostile[i].what);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order),	 cmocka_unit_test(negation),   cmocka_unit_test(limit_rate),
		cmocka_unit_test(limit_odd),	 cmocka_unit_test(limit_bits), cmocka_unit_test(limit_keys),
		cmocka_unit_test(limit_spoofed), cmocka_unit_test(logs),       cmocka_unit_test(hostile_list),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	buf_free(&text);
	return rc;
}
