// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Expressions as a policy compiles and runs them, against libpcap's own filter, on generated and damaged
 * packets. */
#include <stdio.h>
#include <pcap/pcap.h>

#include "base/test.h"
#include "net/packet.h"
#include "policy/cbpf.h"
#include "policy/policy.h"

static const char *const expressions[] = {
	"udp",
	"tcp port 80",
	"ip[6:2] & 0x2000 != 0 and udp",
	"ip6",
	"icmp6",
	"arp",
	"vlan 7",
	"vlan and tcp",
	"tcp[tcpflags] & (tcp-syn|tcp-fin) == tcp-syn",
	"src net 10.0.0.0/8",
	"dst host 10.1.0.7 or port 53",
	"greater 120",
	"len <= 80",
	"ether multicast",
	"ether src 02:00:00:00:00:01",
	"ip proto 17",
	"ip[0] & 0xf > 5",
	"not ip",
	"portrange 50-60",
	"ip6 and tcp dst port 443",
	"tcp[12] >> 4 == 5",
	"ip[2:2] - 20 > 40",
	"ip[8] % 2 == 0",
	"ip[8] * 2 == 128",
	"ether[14] ^ 0x45 == 0",
	"ip[1] / 4 == 0",
	"ip6 net 2001:db8::/32",
	"ether broadcast or ip multicast",
	"tcp[((tcp[12] & 0xf0) >> 2):2] = 0x4745",
	"ether proto 0x88cc",
	"ip proto 6",
	"src port domain",
	"host fe80::1",
};

static struct buf main_text;

static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	(void)ctx;
	(void)path;
	(void)max;
	(void)err;
	buf_put(to, main_text.data, main_text.len);
	return 0;
}

static struct policy *policy_of(const char *expression)
{
	static const struct policy_files files = {.read = read_text};
	struct sluice_err err = {0};
	struct policy *p;

	main_text.len = 0;
	buf_printf(&main_text, "filter on eth0 {\n drop matching \"%s\"\n}\n", expression);
	if (policy_read("x", &files, &p, &err)) {
		print_message("# %s: %s\n", expression, p && p->n_diags ? p->diags[0].text : err.text);
		policy_free(p);
		return NULL;
	}
	return p;
}

static uint64_t rng = 11;

static uint32_t below(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 20) % n;
}

static uint32_t packet(uint8_t *to)
{
	static const uint16_t ports[] = {53, 80, 443, 55, 4711};
	struct net_packet p = {.src_mac = {2, 0, 0, 0, 0, 1},
			       .ttl = (uint8_t)(60 + below(8)),
			       .tos = (uint8_t)below(8)};
	struct net_layout layout;
	struct sluice_err err = {0};
	uint32_t n, i;

	p.l4 = (enum net_l4)below(3);
	p.dst_mac[0] = below(4) ? 2 : 1;
	p.src.v6 = p.dst.v6 = !below(3);
	if (p.src.v6) {
		memcpy(p.src.bytes, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0", 15);
		memcpy(p.dst.bytes, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	} else {
		memcpy(p.src.bytes, below(2) ? "\x0a\0\0\x01" : "\xc0\0\x02\x01", 4);
		memcpy(p.dst.bytes, below(4) ? "\x0a\x01\0\x07" : "\xff\xff\xff\xff", 4);
	}
	p.sport = ports[below(5)];
	p.dport = ports[below(5)];
	p.tcp_flags = (uint8_t)below(256);
	p.icmp_type = p.src.v6 ? 128 : 8;
	p.n_vlan = below(4) ? 0 : 1 + below(2);
	p.vlan[0] = below(2) ? 7 : 9;
	p.vlan[1] = 7;
	assert_int_equal(net_packet_build(&p, 100 + below(100), to, 2048, &layout, &err), 0);
	n = layout.frame_len;
	if (!below(3)) /* fragments */
		to[layout.l3 + 6] = (uint8_t)(p.src.v6 ? 44 : 0x20);
	if (!below(6))
		n = below(n + 1);
	for (i = below(5) ? 0 : below(4); i && n; i--)
		to[below(n)] = (uint8_t)below(256);
	return n;
}

static void one(const char *expression, uint64_t *yes)
{
	struct policy *p = policy_of(expression);
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 262144);
	const struct policy_cbpf *c;
	struct bpf_program prog;
	struct pcap_pkthdr h;
	uint8_t frame[2048];
	uint32_t i, wire;
	bool theirs, ours;

	assert_non_null(p);
	c = p->rulesets[0].rules[0].matching;
	/* optimised like ours: without it libpcap reads more of a packet, and says no to some that end early */
	assert_int_equal(pcap_compile(pcap, &prog, expression, 1, PCAP_NETMASK_UNKNOWN), 0);
	for (i = 0; i < 20000; i++) {
		h.caplen = packet(frame);
		wire = h.caplen + (below(4) ? 0 : below(100));
		h.len = wire;
		theirs = pcap_offline_filter(&prog, &h, frame) != 0;
		ours = cbpf_run(c->insns, c->n, frame, h.caplen, wire) != 0;
		if (theirs != ours)
			fail_msg("%s: packet %u of %u bytes: libpcap says %d", expression, i, h.caplen,
				 theirs);
		*yes += ours;
	}
	pcap_freecode(&prog);
	pcap_close(pcap);
	policy_free(p);
}

static void libpcap(void **state)
{
	uint64_t yes = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(expressions) / sizeof(*expressions); i++)
		one(expressions[i], &yes);
	print_message("# %u matches\n", (unsigned int)yes);
	assert_true(yes > 10000);
}

/* Damaged programs are refused or run without harm; sanitizers watch. */
static void hostile(void **state)
{
	struct policy *p = policy_of("tcp[((tcp[12] & 0xf0) >> 2):2] = 0x4745 or udp");
	const struct policy_cbpf *c;
	struct policy_insn insns[64];
	uint32_t i, j, n, sound = 0;
	uint8_t frame[2048];

	(void)state;
	assert_non_null(p);
	c = p->rulesets[0].rules[0].matching;
	assert_in_range(c->n, 8, 64);
	for (i = 0; i < 200000; i++) {
		memcpy(insns, c->insns, c->n * sizeof(*insns));
		for (j = 1 + below(4); j; j--)
			((uint8_t *)insns)[below(c->n * 8)] = (uint8_t)below(256);
		n = 1 + below(c->n);
		if (!cbpf_check(insns, n))
			continue;
		sound++;
		cbpf_run(insns, n, frame, packet(frame), 100);
	}
	assert_true(sound > 1000);
	policy_free(p);
}

static void refuses(void **state)
{
	static const struct policy_insn ret = {6, 0, 0, 1}, back = {5, 0, 0, 0xffffffff},
					by_zero[] = {{0x34, 0, 0, 0}, {6, 0, 0, 1}},
					mem[] = {{2, 0, 0, 16}, {6, 0, 0, 1}},
					out[] = {{0x15, 1, 0, 0}, {6, 0, 0, 1}};

	(void)state;
	assert_true(cbpf_check(&ret, 1));
	assert_false(cbpf_check(&ret, 0));
	assert_false(cbpf_check(&back, 1));
	assert_false(cbpf_check(by_zero, 2));
	assert_false(cbpf_check(mem, 2));
	assert_false(cbpf_check(out, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libpcap),
		cmocka_unit_test(hostile),
		cmocka_unit_test(refuses),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	buf_free(&main_text);
	return rc;
}
