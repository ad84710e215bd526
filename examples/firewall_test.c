// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What firewall.bpf.c is meant to do, in 60 lines. Without privilege, in this process; or with "kernel" in
 * the kernel.
 *
 *     cc firewall_test.c $(pkg-config --cflags --libs sluice) -o firewall_test
 *     ./firewall_test firewall.bpf.o [kernel]
 */
#include <linux/bpf.h>
#include <sluice/test.h>

static void set_up(struct sluice_test *t)
{
	sluice_test_set(t, "only_vlan", "7");
	sluice_test_put(t, "allowed4", "192.0.2.0/24", "1");
	sluice_test_put(t, "allowed6", "2001:db8::/64", "1");
	sluice_test_put(t, "blocked_ports", "23", "1");
}

static void sources(struct sluice_test *t)
{
	sluice_test_expect(t, XDP_PASS, "eth / vlan id 7 / ipv4 src 192.0.2.255 / udp dport 53");
	sluice_test_expect(t, XDP_DROP, "eth / vlan id 7 / ipv4 src 192.0.3.0 / udp dport 53");
	sluice_test_expect(t, XDP_PASS, "eth / vlan id 7 / ipv6 src 2001:db8::ffff / icmp6");
	sluice_test_expect(t, XDP_DROP, "eth / vlan id 7 / ipv6 src 2001:db8:0:1:: / icmp6");
	sluice_test_value(t, "reasons", "ALLOWED", "2");
	sluice_test_value(t, "reasons", "NOT_ALLOWED", "2");
}

static void ports(struct sluice_test *t)
{
	sluice_test_expect(t, XDP_DROP, "eth / vlan id 7 / ipv4 / tcp dport 23 flags syn");
	sluice_test_expect(t, XDP_DROP, "eth / vlan id 7 / ipv4 options 01010101 / tcp dport 23");
	sluice_test_expect(t, XDP_DROP, "eth / vlan id 7 / ipv6 / hopopts / dstopts / udp dport 23");
	sluice_test_expect(t, XDP_PASS, "eth / vlan id 7 / ipv4 / tcp sport 23 dport 80 / text \"GET /\"");
	sluice_test_unchanged(t);
	sluice_test_value(t, "reasons", "BLOCKED_PORT", "3");
}

static void tags(struct sluice_test *t)
{
	for (int id = 0; id < 16; id++)
		sluice_test_expect(t, id == 7 ? XDP_PASS : XDP_DROP, "eth / vlan id %d prio 5 / arp", id);
	sluice_test_expect(t, XDP_DROP, "eth / ipv4 / udp");
	sluice_test_expect(t, XDP_DROP, "eth / svlan id 7 / vlan id 7 / ipv4 / udp");
	sluice_test_value(t, "reasons", "WRONG_VLAN", "17");
}

static void damaged(struct sluice_test *t)
{
	sluice_test_expect(t, XDP_DROP, "eth / vlan id 7 / ipv4 / tcp dport 80 / cut 37");
	sluice_test_expect(t, XDP_DROP, "eth / vlan id 7 / ipv4 ihl 4 / tcp dport 80");
	sluice_test_send_fragment(t, 576, 1, "eth / vlan id 7 / ipv4 / udp dport 23 / zeros 1000");
	sluice_test_verdict(t, XDP_PASS);
	sluice_test_value(t, "reasons", "FRAGMENT", "1");
	sluice_test_value(t, "reasons", "MALFORMED", "2");
}

int main(int argc, char **argv)
{
	struct sluice_test_config config = {.object = argc > 1 ? argv[1] : "firewall.bpf.o",
					    .engine = argc > 2 ? argv[2] : "vm"};
	struct sluice_test_case cases[] = {SLUICE_TEST_CASE(sources), SLUICE_TEST_CASE(ports),
					   SLUICE_TEST_CASE(tags), SLUICE_TEST_CASE(damaged)};

	return sluice_test_run_all(&config, set_up, cases, 4, stdout);
}
