// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Networks as text: what is understood, what is refused with which sentence, and the helper's bad arguments. */
#include <arpa/inet.h>

#include "vm/fib.h"
#include "vm/helper_test.h"

#define LINKS                                                                                   \
	"1: lo: <LOOPBACK,UP> mtu 65536 qdisc noqueue link/loopback 00:00:00:00:00:00 brd "     \
	"00:00:00:00:00:00\n"                                                                   \
	"2: a@if7: <UP> mtu 1500 qdisc noqueue state UP\\    link/ether 02:00:00:00:00:0a brd " \
	"ff:ff:ff:ff:ff:ff\n"                                                                   \
	"3: b: <UP> mtu 9000 link/ether 02:00:00:00:00:0b\n"

static int set(const char *text, struct sluice_err *err)
{
	return vm_set_network(vm, text, strlen(text), err);
}

static void refuse(const char *line, const char *why)
{
	struct sluice_err err;
	char text[1024], want[512];

	snprintf(text, sizeof(text), "%s# a comment\n\n%s\n", LINKS, line);
	assert_int_equal(set(text, &err), -EINVAL);
	snprintf(want, sizeof(want), "line 6: %s", why);
	assert_string_equal(err.text, want);
}

static void mistakes(void **unused)
{
	struct sluice_err err;

	(void)unused;
	refuse("2: c: mtu 1500", "interface 2 or the name 'c' is there already");
	refuse("4: a: mtu 1500", "interface 4 or the name 'a' is there already");
	refuse("x: c: mtu 1500", "'x:' stands where an address was expected");
	refuse("0: c: mtu 1500", "'0' stands where an interface's number was expected");
	refuse("4: averyveryverylongname: mtu 1",
	       "'averyveryverylongname:' stands where an interface's name was expected");
	refuse("4: c: mtu many", "'many' stands where an MTU was expected");
	refuse("4: c: link/ether 02:00", "'02:00' stands where a MAC address was expected");
	refuse("9: z    inet 10.0.0.1/24", "there is no interface 9 in the lines before");
	refuse("2: a    inet", "'' stands where an address was expected");
	refuse("2: a    inet 10.0.0.1/33", "'10.0.0.1/33' stands where an address was expected");
	refuse("2: a    ipx 1", "'ipx' stands where 'inet' or 'inet6' was expected");
	refuse("2: a inet 10.0.0.1/24 scope wide", "'wide' stands where a scope was expected");
	refuse("10.0.0.0/24 dev eth0", "there is no interface 'eth0' in the lines before");
	refuse("10.0.0.0/24 dev a quickly", "'quickly' stands where a word of a route was expected");
	refuse("10.0.0.0/24 via", "'' stands where a gateway was expected");
	refuse("10.0.0.0/24 dev a metric -1", "'-1' stands where a metric was expected");
	refuse("10.0.0.0/24 dev a table 0", "'0' stands where a table was expected");
	refuse("unreachable", "'' stands where a prefix was expected");
	refuse("nexthop dev a", "'nexthop' without a route before it");
	refuse("10.0.0.0/24 nexthop dev a weight 0", "a next hop needs an interface and a weight above 0");
	refuse("10.0.0.0/24 nexthop dev a fast", "'fast' stands where a word of a next hop was expected");
	refuse("10.0.0.2 dev a lladdr 02:xx REACHABLE", "'02:xx' stands where a MAC address was expected");
	refuse("forwarding c off", "there is no interface 'c' in the lines before");
	refuse("forwarding a maybe", "'maybe' stands where 'on' or 'off' was expected");
	refuse("forwarding a off ipx", "'ipx' stands where 'inet' or 'inet6' was expected");
	refuse("\x1b[31m", "'?[31m' stands where an address was expected");
	assert_int_equal(set("", &err), 0);
}

static struct fib *parsed(const char *text)
{
	struct fib *f = fib_new();
	struct sluice_err err;

	assert_non_null(f);
	if (fib_parse(f, text, strlen(text), &err))
		fail_msg("%s", err.text);
	assert_int_equal(fib_seal(f), 0);
	return f;
}

/* Any bytes in any place: understood or refused, nothing else. */
static void damaged(void **unused)
{
	static const char good[] =
		LINKS "2: a    inet 10.0.0.1/24 brd 10.0.0.255 scope global a\n"
		      "10.1.0.0/16 proto static metric 20 \n\tnexthop via inet6 fe80::1 dev b weight 2\n"
		      "10.5.0.0/24  encap ip id 5 dst 10.9.9.9 dev a scope link mtu lock 1300 src 10.0.0.1\n"
		      "fe80::9 dev b lladdr 02:00:00:00:00:09 router STALE\nforwarding a off inet6\n";
	static const char bytes[] = " \n\t\\:/.0159afx-\xff\0@";
	char text[sizeof(good)];
	struct sluice_err err;
	unsigned int i, n, refused = 0;

	(void)unused;
	for (i = 0; i < 20000; i++) {
		memcpy(text, good, sizeof(good));
		for (n = 1 + rnd(4); n; n--)
			text[rnd(sizeof(text) - 1)] = bytes[rnd(sizeof(bytes) - 1)];
		refused += vm_set_network(vm, text, rnd(3) ? sizeof(text) - 1 : rnd(sizeof(text)), &err) != 0;
	}
	assert_in_range(refused, 2000, 19000);
}

/* "IF GATEWAY metric" of the way to an address, "none", or a type. */
static const char *way(const struct fib *f, const char *to, uint32_t table)
{
	static char text[128];
	struct fib_query q = {.table = table};
	const struct fib_hop *hop;
	const struct fib_route *r;
	char via[NET_ADDR_TEXT] = "-";

	assert_int_equal(net_addr_parse(to, &q.dst, NULL), 0);
	q.src.v6 = q.dst.v6;
	r = fib_find(f, &q, &hop);
	if (!r)
		return "none";
	if (hop && hop->has_via)
		net_addr_format(&hop->via, via, sizeof(via));
	snprintf(text, sizeof(text), "%u %u %s %u", r->type, hop ? hop->index : 0, via, r->metric);
	return text;
}

static void understood(void **unused)
{
	struct fib *f = parsed(
		LINKS
		"2: a    inet 10.0.0.1/24 brd 10.0.0.255 scope global a\\       valid_lft forever\n"
		"default via 10.0.0.2 dev a proto dhcp src 10.0.0.1 metric 100 \n"
		"10.1.0.0/16 proto static metric 20 \n"
		"\tnexthop via 10.0.0.3 dev a weight 1 dead linkdown\n"
		"\tnexthop dev b weight 200\n"
		"10.2.0.0/16 proto bird nexthop via 10.0.0.4 dev a weight 1 nexthop via inet6 fe80::1 dev b\n"
		"default via fe80::9 dev b proto ra metric 1024 expires 1700sec hoplimit 64 pref medium\n"
		"unreachable default dev lo metric 4294967295 error -101 pref medium\n"
		"2001:db8::/33 dev b\n"
		"throw 10.3.0.0/16\n"
		"10.3.0.0/24 dev b table 5\n"
		"10.0.0.2 dev a lladdr 02:00:00:00:00:02 REACHABLE\n"
		"10.0.0.3 dev a  FAILED\n"
		"fe80::9 dev b lladdr 02:00:00:00:00:09 router STALE\n");
	struct net_addr a;
	unsigned int i, first = 0;
	char text[32];

	(void)unused;
	assert_string_equal(way(f, "10.9.9.9", 0), "1 2 10.0.0.2 100");
	assert_string_equal(way(f, "10.0.0.1", 0), "2 2 - 0");
	assert_string_equal(way(f, "10.0.0.255", 0), "3 2 - 0");
	assert_string_equal(way(f, "10.1.2.3", 0), "1 3 - 20");
	assert_string_equal(way(f, "10.3.0.1", 5), "1 3 - 0");
	assert_string_equal(way(f, "10.3.1.1", 5), "none");
	assert_string_equal(way(f, "10.3.0.1", FIB_MAIN), "9 0 - 0");
	assert_string_equal(way(f, "10.3.0.1", 0), "none");
	assert_string_equal(way(f, "2001:db8:7fff::1", 0), "1 3 - 1024");
	assert_string_equal(way(f, "2001:db8:8000::1", 0), "1 3 fe80::9 1024");
	/* two hops of equal weight: each address has one of them, always */
	for (i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "10.2.%u.%u", i / 250, i % 250);
		first += strcmp(way(f, text, 0), "1 2 10.0.0.4 0") == 0;
		assert_string_equal(way(f, text, 0), way(f, text, 0));
	}
	assert_in_range(first, 400, 600);
	assert_int_equal(net_addr_parse("10.0.0.2", &a, NULL), 0);
	assert_int_equal(fib_neigh_find(f, 2, &a)->mac[5], 2);
	assert_null(fib_neigh_find(f, 3, &a));
	a.bytes[3] = 3;
	assert_null(fib_neigh_find(f, 2, &a));
	assert_int_equal(fib_link_named(f, "a")->mac[5], 10);
	assert_int_equal(fib_link_of(f, 3)->mtu, 9000);
	fib_free(f);
}

/* A failure keeps what was there; without a network there are only the engine's interfaces. */
static void helper_arguments(void **unused)
{
	static const char ask[] =
		"r6 = r1\nr2 = *(u32 *)(r6 +0)\nr2 += 0\nr3 = %d\nr4 = %d\ncall bpf_fib_lookup\nexit";
	struct bpf_fib_lookup *p = (void *)&packet->frame[HELPER_HEADROOM];
	struct sluice_err err;

	(void)unused;
	memset(p, 0, sizeof(*p));
	p->family = AF_INET;
	p->ifindex = 1;
	assert_int_equal(say(load(ask, 64, 0)), BPF_FIB_LKUP_RET_NOT_FWDED);
	p->ifindex = 2;
	assert_int_equal(say(load(ask, 64, 0)), -ENODEV);
	assert_int_equal(say(load(ask, 63, 0)), -EINVAL);
	assert_int_equal(say(load(ask, 64, 64)), -EINVAL);
	p->family = AF_UNIX;
	assert_int_equal(say(load(ask, 64, 0)), -EAFNOSUPPORT);
	assert_non_null(
		strstr(fault(load(ask, 65, 0)), "argument 2 of fib_lookup must point to 65 writable bytes"));
	assert_non_null(strstr(fault(load("r2 = 0\nr3 = 64\nr4 = 0\ncall bpf_fib_lookup\nexit")),
			       "argument 2 of fib_lookup"));
	assert_non_null(strstr(fault(load("r1 = 0\ncall bpf_fib_lookup\nexit")),
			       "argument 1 of fib_lookup must be the context"));
	assert_non_null(strstr(fault(load("r2 = 0\nr3 = r10\nr4 = 0\nr5 = 0\ncall bpf_check_mtu\nexit")),
			       "argument 3 of check_mtu must point to 4 writable bytes"));

	p->family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::5", p->ipv6_dst), 1);
	assert_int_equal(set(LINKS "2001:db8::/64 dev a\n", &err), 0);
	assert_int_equal(set("nonsense", &err), -EINVAL);
	/* no address to send from */
	assert_int_equal(say(load(ask, 64, 1 << 4 | BPF_FIB_LOOKUP_SKIP_NEIGH)), 9);
	assert_int_equal(p->ifindex, 2);
	p->ifindex = 3;
	assert_int_equal(say(load(ask, 64, BPF_FIB_LOOKUP_SKIP_NEIGH)), 0);
	assert_int_equal(p->mtu_result, 1500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mistakes, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(damaged, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(understood, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(helper_arguments, fixture_new, fixture_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
