// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Names of numbers. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "policy/tree.h"
#include "policy/words.h"

#define W1(name, v)        \
	{                  \
		name, v, v \
	}

static const struct policy_word none[] = {{0}};

static const struct policy_word families[] = {{"ip", 4, 6}, W1("ip4", 4), W1("ip6", 6), {0}};

/* The first name of a number is the one that is printed. */
static const struct policy_word protos[] = {
	W1("tcp", 6),
	W1("udp", 17),
	W1("icmp", POLICY_PROTO_ICMP),
	W1("icmp4", POLICY_PROTO_ICMP4),
	W1("icmp6", POLICY_PROTO_ICMP6),
	W1("icmpv6", POLICY_PROTO_ICMP6),
	W1("sctp", 132),
	W1("gre", 47),
	W1("esp", 50),
	W1("ah", 51),
	W1("igmp", 2),
	W1("ipip", 4),
	W1("egp", 8),
	W1("dccp", 33),
	W1("ip6in4", 41),
	W1("eigrp", 88),
	W1("ospf", 89),
	W1("pim", 103),
	W1("vrrp", 112),
	W1("l2tp", 115),
	W1("udplite", 136),
	W1("mpls-in-ip", 137),
	W1("hopopt", 0),
	W1("ipv6-route", 43),
	W1("ipv6-frag", 44),
	W1("no-next", 59),
	W1("ipv6-opts", 60),
	W1("mobility", 135),
	W1("hip", 139),
	W1("shim6", 140),
	{0},
};

static const struct policy_word flags[] = {
	W1("fin", 1),  W1("syn", 2),  W1("rst", 4),  W1("psh", 8),   W1("push", 8),
	W1("ack", 16), W1("urg", 32), W1("ece", 64), W1("cwr", 128), {0},
};

static const struct policy_word icmp_types[] = {
	{"echo-request", 8, 128},
	{"echo-reply", 0, 129},
	{"unreachable", 3, 1},
	{"time-exceeded", 11, 3},
	{"parameter-problem", 12, 4},
	{"redirect", 5, 137},
	{"router-solicitation", 10, 133},
	{"router-advertisement", 9, 134},
	{"source-quench", 4, 256},
	{"timestamp-request", 13, 256},
	{"timestamp-reply", 14, 256},
	{"info-request", 15, 256},
	{"info-reply", 16, 256},
	{"mask-request", 17, 256},
	{"mask-reply", 18, 256},
	{"packet-too-big", 256, 2},
	{"listener-query", 256, 130},
	{"listener-report", 256, 131},
	{"listener-done", 256, 132},
	{"listener-report-v2", 256, 143},
	{"neighbour-solicitation", 256, 135},
	{"neighbor-solicitation", 256, 135},
	{"neighbour-advertisement", 256, 136},
	{"neighbor-advertisement", 256, 136},
	{0},
};

static const struct policy_word ports[] = {
	W1("echo", 7),
	W1("discard", 9),
	W1("daytime", 13),
	W1("qotd", 17),
	W1("chargen", 19),
	W1("ftp-data", 20),
	W1("ftp", 21),
	W1("ssh", 22),
	W1("telnet", 23),
	W1("smtp", 25),
	W1("time", 37),
	W1("whois", 43),
	W1("tacacs", 49),
	W1("domain", 53),
	W1("dns", 53),
	W1("bootps", 67),
	W1("bootpc", 68),
	W1("dhcp", 67),
	W1("tftp", 69),
	W1("http", 80),
	W1("kerberos", 88),
	W1("pop3", 110),
	W1("sunrpc", 111),
	W1("nntp", 119),
	W1("ntp", 123),
	W1("epmap", 135),
	W1("netbios-ns", 137),
	W1("netbios-dgm", 138),
	W1("netbios-ssn", 139),
	W1("imap", 143),
	W1("snmp", 161),
	W1("snmptrap", 162),
	W1("bgp", 179),
	W1("irc", 194),
	W1("ldap", 389),
	W1("https", 443),
	W1("microsoft-ds", 445),
	W1("submissions", 465),
	W1("isakmp", 500),
	W1("syslog", 514),
	W1("rip", 520),
	W1("ripng", 521),
	W1("dhcpv6-client", 546),
	W1("dhcpv6-server", 547),
	W1("rtsp", 554),
	W1("submission", 587),
	W1("ipp", 631),
	W1("ldaps", 636),
	W1("rsync", 873),
	W1("domain-s", 853),
	W1("ftps", 990),
	W1("imaps", 993),
	W1("pop3s", 995),
	W1("socks", 1080),
	W1("openvpn", 1194),
	W1("ms-sql-s", 1433),
	W1("ms-sql-m", 1434),
	W1("l2tp", 1701),
	W1("pptp", 1723),
	W1("radius", 1812),
	W1("radius-acct", 1813),
	W1("mqtt", 1883),
	W1("ssdp", 1900),
	W1("nfs", 2049),
	W1("mysql", 3306),
	W1("rdp", 3389),
	W1("stun", 3478),
	W1("ipsec-nat-t", 4500),
	W1("vxlan", 4789),
	W1("sip", 5060),
	W1("sips", 5061),
	W1("mdns", 5353),
	W1("postgresql", 5432),
	W1("amqp", 5672),
	W1("vnc", 5900),
	W1("geneve", 6081),
	W1("x11", 6000),
	W1("redis", 6379),
	W1("http-alt", 8080),
	W1("prometheus", 9090),
	W1("memcached", 11211),
	W1("wireguard", 51820),
	{0},
};

static const struct policy_word dscps[] = {
	W1("cs0", 0),	W1("cs1", 8),	W1("cs2", 16),	W1("cs3", 24),	W1("cs4", 32),	W1("cs5", 40),
	W1("cs6", 48),	W1("cs7", 56),	W1("af11", 10), W1("af12", 12), W1("af13", 14), W1("af21", 18),
	W1("af22", 20), W1("af23", 22), W1("af31", 26), W1("af32", 28), W1("af33", 30), W1("af41", 34),
	W1("af42", 36), W1("af43", 38), W1("ef", 46),	W1("va", 44),	W1("le", 1),	{0},
};

static const struct policy_word fragments[] = {
	{"any", 1, 2}, W1("none", 0), W1("first", 1), W1("later", 2), {0},
};

static const struct policy_word vlans[] = {{"any", 0, 4095}, W1("none", POLICY_VLAN_NONE), {0}};

static const struct policy_word ether_types[] = {
	W1("ip", 0x800),
	W1("ipv4", 0x800),
	W1("arp", 0x806),
	W1("wol", 0x842),
	W1("rarp", 0x8035),
	W1("ipv6", 0x86dd),
	W1("ethernet-control", 0x8808),
	W1("slow", 0x8809),
	W1("mpls", 0x8847),
	W1("mpls-multicast", 0x8848),
	W1("pppoe-discovery", 0x8863),
	W1("pppoe", 0x8864),
	W1("eapol", 0x888e),
	W1("profinet", 0x8892),
	W1("ethercat", 0x88a4),
	W1("lldp", 0x88cc),
	W1("macsec", 0x88e5),
	W1("ptp", 0x88f7),
	W1("cfm", 0x8902),
	W1("fcoe", 0x8906),
	W1("roce", 0x8915),
	{0},
};

static const struct policy_word malforms[] = {
	{"any", POLICY_MAL_SHORT, POLICY_MAL_DEEP},
	W1("none", POLICY_WELL_FORMED),
	W1("short", POLICY_MAL_SHORT),
	W1("tags", POLICY_MAL_TAGS),
	W1("header", POLICY_MAL_HEADER),
	W1("cut", POLICY_MAL_CUT),
	W1("deep", POLICY_MAL_DEEP),
	{0},
};

static const struct policy_word *const tables[WORDS_TABLES] = {
	[WORDS_NONE] = none,
	[WORDS_FAMILIES] = families,
	[WORDS_PROTOS] = protos,
	[WORDS_FLAGS] = flags,
	[WORDS_ICMP_TYPES] = icmp_types,
	[WORDS_PORTS] = ports,
	[WORDS_DSCPS] = dscps,
	[WORDS_FRAGMENTS] = fragments,
	[WORDS_VLANS] = vlans,
	[WORDS_ETHER_TYPES] = ether_types,
	[WORDS_MALFORMS] = malforms,
};

const struct policy_word *words_find(enum policy_table table, const char *name, size_t len)
{
	const struct policy_word *w;

	for (w = tables[table]; w->name; w++)
		if (w->name[0] == name[0] && strlen(w->name) == len && !memcmp(w->name, name, len))
			return w;
	return NULL;
}

const char *words_name(enum policy_table table, uint32_t lo, uint32_t hi)
{
	const struct policy_word *w;

	for (w = tables[table]; w->name; w++)
		if (w->lo == lo && w->hi == hi)
			return w->name;
	return NULL;
}

const struct policy_word *words_row(enum policy_table table, size_t i)
{
	return &tables[table][i];
}

size_t words_index(enum policy_table table, const struct policy_word *row)
{
	return (size_t)(row - tables[table]);
}

const char *words_nearest(enum policy_table table, const char *name, size_t len)
{
	const char *names[sizeof(ports) / sizeof(*ports)];
	char typed[32];
	size_t n;
	int i;

	if (!len || len >= sizeof(typed))
		return NULL;
	snprintf(typed, sizeof(typed), "%.*s", (int)len, name);
	for (n = 0; tables[table][n].name && n < sizeof(names) / sizeof(*names); n++)
		names[n] = tables[table][n].name;
	i = text_nearest(typed, names, n);
	return i < 0 ? NULL : names[i];
}

bool words_number(const char *s, size_t len, size_t max, uint64_t *out)
{
	bool hex = len > 2 && s[0] == '0' && s[1] == 'x';
	uint64_t v = 0;
	size_t i;

	if (!len || len > max)
		return false;
	for (i = hex ? 2 : 0; i < len; i++) {
		if (s[i] >= '0' && s[i] <= '9')
			v = v * (hex ? 16 : 10) + (uint64_t)(s[i] - '0');
		else if (hex && (s[i] | 32) >= 'a' && (s[i] | 32) <= 'f')
			v = v * 16 + (uint64_t)((s[i] | 32) - 'a' + 10);
		else
			return false;
	}
	*out = v;
	return true;
}
