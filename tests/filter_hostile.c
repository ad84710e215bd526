// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Frames that want to get past the rules: tags, options, extension headers, fragments, what is cut short or
 * lies about its length, protocols nobody thinks of. Each has to be met by the rule that the table says, by
 * the oracle and by the compiled filter.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter_pair.h"
#include "net/packet.h"

static const char policy_text[] = "filter on eth0 {\n"
				  "	drop malformed short as \"short\"\n"
				  "	drop malformed tags as \"tags\"\n"
				  "	drop malformed header as \"header\"\n"
				  "	drop malformed cut as \"cut\"\n"
				  "	drop malformed deep as \"deep\"\n"
				  "	drop fragment later as \"later\"\n"
				  "	drop udp to port 53 as \"dns\"\n"
				  "	drop tcp flags syn/syn,ack to port 22 as \"ssh\"\n"
				  "	drop icmp type unreachable as \"unreachable\"\n"
				  "	drop proto gre as \"gre\"\n"
				  "	drop proto esp as \"esp\"\n"
				  "	drop sctp to port 53 as \"sctp\"\n"
				  "	drop proto 0 as \"proto 0\"\n"
				  "	drop proto 255 as \"proto 255\"\n"
				  "	drop proto 59 as \"no next\"\n"
				  "	drop proto 51 as \"ah\"\n"
				  "	drop udp as \"udp\"\n"
				  "	drop ip as \"other ip\"\n"
				  "	drop ether type arp as \"arp\"\n"
				  "	drop ether type lldp as \"lldp\"\n"
				  "	drop ether type < 1536 as \"802.3\"\n"
				  "	default pass\n"
				  "}\n";

#define D4 "udp 192.0.2.1:9 > 192.0.2.2:53"
#define D6 "udp [2001:db8::1]:9 > [2001:db8::2]:53"

/* A packet in words, then bytes changed in it and cut to length; last IPv6 extension headers put in. */
static const struct {
	const char *what, *words;
	struct {
		uint16_t at;
		uint8_t v;
	} patch[3];	 /* at 0: no more */
	uint32_t len;	 /* 0: as it is */
	const char *ext; /* protocol numbers, with a comma behind each; +: a later fragment */
	const char *rule;
} cases[] = {
	{"plain", D4, .rule = "dns"},
	{"plain, IPv6", D6, .rule = "dns"},
	{"a tag", D4 " vlan 7", .rule = "dns"},
	{"a priority tag", D4 " vlan 0", .rule = "dns"},
	{"two tags", D4 " vlan 7 vlan 8", .rule = "dns"},
	{"two tags, IPv6", D6 " vlan 7 vlan 8", .rule = "dns"},
	{"three tags", D4 " vlan 7 vlan 8 vlan 9", {{12, 0x91}, {13, 0x00}}, .rule = "dns"},
	{"four tags", D4 " vlan 7 vlan 8 vlan 9 vlan 1", .rule = "dns"},
	{"five tags", D4 " vlan 7 vlan 8 vlan 9 vlan 1", {{28, 0x81}, {29, 0x00}}, .rule = "tags"},
	{"IPv4 options", D4, {{14, 0x46}, {36, 0}, {38, 0}}, .rule = "udp"},
	{"header length 4", D4, {{14, 0x44}}, .rule = "header"},
	{"header length 15 beyond the end", D4, {{14, 0x4f}}, 60, .rule = "header"},
	{"version 5", D4, {{14, 0x55}}, .rule = "header"},
	{"version 4 in an IPv6 frame", D6, {{14, 0x45}}, .rule = "header"},
	{"IPv4 header cut", D4, {{0}}, 33, .rule = "header"},
	{"IPv6 header cut", D6, {{0}}, 53, .rule = "header"},
	{"UDP header cut", D4, {{0}}, 37, .rule = "cut"},
	{"nothing behind the IPv4 header", D4, {{0}}, 34, .rule = "cut"},
	{"total length without UDP", D4, {{16, 0}, {17, 20}}, .rule = "cut"},
	{"total length below the header's", D4, {{16, 0}, {17, 3}}, .rule = "cut"},
	{"total length too large", D4, {{16, 0xff}, {17, 0xff}}, .rule = "dns"},
	{"total length 0", D4, {{16, 0}, {17, 0}}, .rule = "dns"},
	{"payload length 0", D6, {{18, 0}, {19, 0}}, .rule = "dns"},
	{"payload length 3", D6, {{18, 0}, {19, 3}}, .rule = "cut"},
	{"first fragment", D4 " fragment first", .rule = "dns"},
	{"later fragment", D4 " fragment later", .rule = "later"},
	{"overlapping fragment at 8", D4, {{20, 0x20}, {21, 1}}, .rule = "later"},
	{"tiny first fragment", D4, {{16, 0}, {17, 22}, {20, 0x20}}, .rule = "cut"},
	{"evil bit and don't fragment", D4, {{20, 0xc0}}, .rule = "dns"},
	{"SYN with ECE and CWR", "tcp 192.0.2.1:9 > 192.0.2.2:22 syn,ece,cwr", .rule = "ssh"},
	{"TCP without flags", "tcp 192.0.2.1:9 > 192.0.2.2:22 syn", {{16, 0}, {17, 32}}, .rule = "other ip"},
	{"ICMP error", "icmp 192.0.2.1 > 192.0.2.2 type unreachable code 4", .rule = "unreachable"},
	{"ICMPv6 error", "icmp6 2001:db8::1 > 2001:db8::2 type unreachable", .rule = "unreachable"},
	{"ICMP in IPv6", D6, {{20, 1}}, .rule = "other ip"},
	{"ICMPv6 in IPv4", D4, {{23, 58}}, .rule = "other ip"},
	{"GRE", D4, {{23, 47}}, .rule = "gre"},
	{"ESP", D4, {{23, 50}}, .rule = "esp"},
	{"AH in IPv4", D4, {{23, 51}}, .rule = "ah"},
	{"SCTP", D4, {{23, 132}}, .rule = "sctp"},
	{"protocol 0 in IPv4", D4, {{23, 0}}, .rule = "proto 0"},
	{"protocol 255", D4, {{23, 255}}, .rule = "proto 255"},
	{"ARP", "arp", .rule = "arp"},
	{"LLDP", "lldp", .rule = "lldp"},
	{"a length in place of a type", "arp", {{12, 0}, {13, 46}}, .rule = "802.3"},
	{"an empty frame", D4, {{0}}, 14, .rule = "header"},
	{"an empty ARP", "arp", {{0}}, 14, .rule = "arp"},
	{"a frame cut in its tag", D4 " vlan 7", {{0}}, 17, .rule = "short"},
	{"a frame cut in its type", D4, {{0}}, 13, .rule = "short"},
	{"one byte", D4, {{0}}, 1, .rule = "short"},
	{"jumbo", D4 " length 9000", .rule = "dns"},
	{"jumbo, IPv6", D6 " length 9000", .rule = "dns"},
	{"hop-by-hop", D6, .ext = "0,", .rule = "dns"},
	{"routing", D6, .ext = "43,", .rule = "dns"},
	{"atomic fragment", D6, .ext = "44,", .rule = "dns"},
	{"AH", D6, .ext = "51,", .rule = "dns"},
	{"destination options", D6, .ext = "60,", .rule = "dns"},
	{"mobility", D6, .ext = "135,", .rule = "dns"},
	{"HIP", D6, .ext = "139,", .rule = "dns"},
	{"shim6", D6, .ext = "140,", .rule = "dns"},
	{"all of them", D6, .ext = "0,60,43,44,51,135,139,140,", .rule = "dns"},
	{"hop-by-hop where it must not be", D6, .ext = "60,0,0,", .rule = "dns"},
	{"eight", D6, .ext = "60,60,60,60,60,60,60,60,", .rule = "dns"},
	{"nine", D6, .ext = "60,60,60,60,60,60,60,60,60,", .rule = "deep"},
	{"later fragment, IPv6", D6, .ext = "0,44+,", .rule = "later"},
	{"no next header", D6, {{20, 59}}, .rule = "no next"},
	{"extension header cut", D6, {{20, 60}}, 58, .rule = "cut"},
	{"extension header of 2048 bytes", D6, {{20, 60}, {55, 255}}, .rule = "cut"},
};

/* Puts extension headers of eight bytes each behind the IPv6 header. */
static uint32_t extend(uint8_t *frame, uint32_t len, const char *ext)
{
	uint32_t at = 54, next_at = 20, upper = frame[20], payload;
	char *end;

	for (; *ext; ext = end + 1) {
		memmove(frame + at + 8, frame + at, len - at);
		memset(frame + at, 0, 8);
		frame[next_at] = (uint8_t)strtoul(ext, &end, 10);
		if (*end == '+') {
			frame[at + 3] = 8; /* offset 1 */
			end++;
		}
		frame[at] = (uint8_t)upper;
		next_at = at;
		at += 8;
		len += 8;
	}
	payload = len - 54;
	frame[18] = (uint8_t)(payload >> 8);
	frame[19] = (uint8_t)payload;
	return len;
}

void hostile(void)
{
	static uint8_t frame[ROOM];
	struct buf text = {0};
	struct sluice_err err;
	struct policy_packet k;
	const char *name;
	struct policy *p;
	uint32_t i, j, len, rule;
	struct pair a;

	buf_printf(&text, "%s", policy_text);
	p = pair_parse(&text);
	text_now = NULL;
	if (!pair_start(&a, p, 0))
		fail("refused");
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (packet_words(cases[i].words, frame, sizeof(frame), &k, &err))
			fail("%s: %s", cases[i].what, err.text);
		len = cases[i].len ? cases[i].len : k.length;
		for (j = 0; j < 3 && cases[i].patch[j].at; j++)
			frame[cases[i].patch[j].at] = cases[i].patch[j].v;
		if (cases[i].ext)
			len = extend(frame, len, cases[i].ext);
		if (kernel && len < 14)
			continue;
		rule = pair_ask(&a, frame, len, 1, NOW);
		name = rule == ORACLE_DEFAULT ? "default" : p->filters[0].stmts[rule].name;
		if (strcmp(name, cases[i].rule) != 0)
			fail("%s: met by %s, should be %s", cases[i].what, name, cases[i].rule);
	}
	pair_stop(&a);
	policy_free(p);
	buf_free(&text);
}
