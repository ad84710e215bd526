// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>

#include "base/test.h"
#include "net/addr.h"

static void addresses(void **state)
{
	static const char *const good[] = {"0.0.0.0", "255.255.255.255", "192.0.2.1", "::", "2001:db8::1",
					   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
	static const char *const bad[] =
		{"",	     "1", "1.2.3", "1.2.3.4.5", "256.1.1.1",	    "01.2.3.4",	    " 1.2.3.4",
		 "1.2.3.4 ", ":", ":::",   "1::2::3",	"2001:db8::1%eth0", "host.example", "1.2.3.4/24"};
	char text[NET_ADDR_TEXT];
	struct sluice_err err;
	struct net_addr a, other;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(net_addr_parse(good[i], &a, &err), 0);
		assert_string_equal(net_addr_format(&a, text, sizeof(text)), good[i]);
		for (k = 0; k < sizeof(good) / sizeof(*good); k++) {
			assert_int_equal(net_addr_parse(good[k], &other, &err), 0);
			assert_int_equal(net_addr_same(&a, &other), i == k);
		}
	}
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(net_addr_parse(bad[i], &a, &err), -EINVAL);
}

static void ranges(void **state)
{
	static const struct {
		const char *text, *first;
		uint64_t n, random_hi;
	} good[] = {
		{"10.0.0.1", "10.0.0.1", 1, 0},
		{"10.0.0.0/8", "10.0.0.0", 1 << 24, 0},
		{"0.0.0.0/0", "0.0.0.0", UINT64_C(1) << 32, 0},
		{"10.0.0.7/32", "10.0.0.7", 1, 0},
		{"10.0.0.250-10.0.1.5", "10.0.0.250", 12, 0},
		{"10.0.0.1-10.0.0.1", "10.0.0.1", 1, 0},
		{"0.0.0.0-255.255.255.255", "0.0.0.0", UINT64_C(1) << 32, 0},
		{"2001:db8::/64", "2001:db8::", 0, 0},
		{"2001:db8::/65", "2001:db8::", UINT64_C(1) << 63, 0},
		{"2001:db8::/32", "2001:db8::", 0, 0xffffffff},
		{"::/0", "::", 0, UINT64_MAX},
		{"::/63", "::", 0, 1},
		{"::1/128", "::1", 1, 0},
		{"2001:db8::ffff:ffff:ffff:fffe-2001:db8:0:1::1", "2001:db8::ffff:ffff:ffff:fffe", 4, 0},
		{"::5-0:0:0:1::4", "::5", 0, 0},
	};
	static const char *const bad[] = {"",
					  "/",
					  "10.0.0.1/8",
					  "10.0.0.0/33",
					  "10.0.0.0/",
					  "10.0.0.0/-1",
					  "10.0.0.0/8/8",
					  "10.0.0.2-10.0.0.1",
					  "10.0.0.1-",
					  "-10.0.0.1",
					  "10.0.0.1-::1",
					  "::/129",
					  "2001:db8::1/32",
					  "::5-0:0:0:1::5",
					  "::-ffff::",
					  "10.0.0.0/8-10.0.0.9",
					  "111111111111111111111111111111111111111111111111111111111111111111"
					  "1111111111111111111111111111111111111"};
	char text[NET_ADDR_TEXT];
	struct net_range r;
	struct sluice_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(net_range_parse(good[i].text, &r, &err), 0);
		assert_string_equal(net_addr_format(&r.first, text, sizeof(text)), good[i].first);
		assert_int_equal(r.n, good[i].n);
		assert_int_equal(r.random_hi, good[i].random_hi);
	}
	memset(&r, 0x5a, sizeof(r));
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(net_range_parse(bad[i], &r, &err), -EINVAL);
		assert_int_equal(r.n, UINT64_C(0x5a5a5a5a5a5a5a5a));
	}
	assert_int_equal(net_range_parse("10.0.0.1/8", &r, &err), -EINVAL);
	assert_string_equal(err.text, "'10.0.0.1/8' has bits beyond its length of 8; leave them 0");
	assert_int_equal(net_range_parse("::-1::", &r, &err), -EINVAL);
	assert_string_equal(err.text, "'::-1::' spans more than 2^64 addresses; write it as a prefix");
}

static void ports(void **state)
{
	static const char *const bad[] = {"", "-", "65536", "1-65536", "2-1", "1-", "-1", "1-2-3", "http",
					  "00000000000000000000000000001-2"};
	struct net_ports p;
	struct sluice_err err;
	size_t i;

	(void)state;
	assert_int_equal(net_ports_parse("80", &p, &err), 0);
	assert_true(p.first == 80 && p.n == 1);
	assert_int_equal(net_ports_parse("0-65535", &p, &err), 0);
	assert_true(p.first == 0 && p.n == 65536);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(net_ports_parse(bad[i], &p, &err), -EINVAL);
}

static void macs(void **state)
{
	static const uint8_t want[6] = {0x02, 0x00, 0x5e, 0xaB, 0xff, 0x01};
	static const char *const bad[] = {"",
					  "02:00:5e:ab:ff",
					  "02:00:5e:ab:ff:0g",
					  "02:00:5e:ab:ff:01:",
					  "02:00-5e:ab:ff:01",
					  "2:0:5e:ab:ff:1",
					  "02005eabff01",
					  "020:0:5e:ab:ff:01"};
	char text[NET_MAC_TEXT];
	struct sluice_err err;
	uint8_t mac[6];
	size_t i;

	(void)state;
	assert_int_equal(net_mac_parse("02:00:5e:aB:FF:01", mac, &err), 0);
	assert_memory_equal(mac, want, 6);
	assert_string_equal(net_mac_format(mac, text, sizeof(text)), "02:00:5e:ab:ff:01");
	assert_int_equal(net_mac_parse("02-00-5e-ab-ff-01", mac, &err), 0);
	assert_memory_equal(mac, want, 6);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(net_mac_parse(bad[i], mac, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(ranges),
		cmocka_unit_test(ports),
		cmocka_unit_test(macs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
