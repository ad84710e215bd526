// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Words in, rows and text out. */
#include <arpa/inet.h>

#include "base/test.h"
#include "observe/top_row.h"

static void words(void **state)
{
	static const struct {
		const char *text;
		enum sluice_top_by by;
		unsigned int p4, p6;
	} good[] = {
		{"src", SLUICE_TOP_BY_SRC, 0, 0},
		{"dst", SLUICE_TOP_BY_DST, 0, 0},
		{"flow", SLUICE_TOP_BY_FLOW, 0, 0},
		{"port", SLUICE_TOP_BY_PORT, 0, 0},
		{"proto", SLUICE_TOP_BY_PROTO, 0, 0},
		{"vlan", SLUICE_TOP_BY_VLAN, 0, 0},
		{"if", SLUICE_TOP_BY_IF, 0, 0},
		{"prefix", SLUICE_TOP_BY_PREFIX, 24, 64},
		{"prefix/16", SLUICE_TOP_BY_PREFIX, 16, 64},
		{"prefix/8/32", SLUICE_TOP_BY_PREFIX, 8, 32},
		{"prefix/0/128", SLUICE_TOP_BY_PREFIX, 0, 128},
	};
	static const char *const bad[] = {"",		"source",	  "prefix/",
					  "prefix/129", "prefix/33", "prefix/33/64",	  "prefix/8/129",
					  "prefix/x",	"prefix/24/64/1", "prefix/-1",
					  "SRC"};
	struct sluice_top_opts opts;
	struct sluice_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
		memset(&opts, 0, sizeof(opts));
		assert_int_equal(sluice_top_by_parse(good[i].text, &opts, &err), 0);
		assert_int_equal(opts.by, good[i].by);
		assert_int_equal(opts.prefix4, good[i].p4);
		assert_int_equal(opts.prefix6, good[i].p6);
	}
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(sluice_top_by_parse(bad[i], &opts, &err), -EINVAL);
	assert_int_equal(sluice_top_by_parse("flwo", &opts, &err), -EINVAL);
	assert_string_equal(err.text,
			    "cannot count by 'flwo', did you mean flow (src, dst, prefix/N[/N6], flow, port, "
			    "proto, vlan or if)");
}

static union {
	struct top_key key;
	uint8_t room[sizeof(struct top_key) + 5 * sizeof(uint64_t)];
} k;

static const char *text_of(enum sluice_top_by by, uint32_t tag, const uint64_t *words_of)
{
	static char to[SLUICE_TOP_TEXT_MAX];
	struct sluice_top_opts opts = {.by = by, .prefix4 = 24, .prefix6 = 64};
	struct sluice_top_row row;

	k.key.tag = tag;
	memcpy(k.key.k, words_of, 5 * sizeof(uint64_t));
	top_row_of(&opts, &k.key, &row);
	return sluice_top_row_text(&row, to, sizeof(to));
}

#define L4(l4, proto, sport, dport) \
	((uint64_t)(l4) << 40 | (uint64_t)(proto) << 32 | (uint64_t)(sport) << 16 | (dport))

static void texts(void **state)
{
	uint64_t v4[5] = {htonl(0x0a000001), 0, htonl(0x0a000002), 0, L4(1, 6, 80, 4711)}, v6[5] = {0},
		 w[5] = {0};

	(void)state;
	inet_pton(AF_INET6, "2001:db8::1", &v6[0]);
	inet_pton(AF_INET6, "2001:db8::2", &v6[2]);
	assert_string_equal(text_of(SLUICE_TOP_BY_SRC, 1, v4), "10.0.0.1");
	assert_string_equal(text_of(SLUICE_TOP_BY_PREFIX, 1, v4), "10.0.0.1/24");
	assert_string_equal(text_of(SLUICE_TOP_BY_FLOW, 1, v4), "tcp 10.0.0.1:80 > 10.0.0.2:4711");
	assert_string_equal(text_of(SLUICE_TOP_BY_DST, 2, v6), "2001:db8::1");
	v6[4] = L4(1, 17, 53, 99);
	assert_string_equal(text_of(SLUICE_TOP_BY_FLOW, 2, v6), "udp [2001:db8::1]:53 > [2001:db8::2]:99");
	v6[4] = L4(2, 58, 128, 0);
	assert_string_equal(text_of(SLUICE_TOP_BY_FLOW, 2, v6), "icmpv6 128/0 2001:db8::1 > 2001:db8::2");
	v4[4] = L4(3, 17, 0, 0);
	assert_string_equal(text_of(SLUICE_TOP_BY_FLOW, 1, v4), "udp fragment 10.0.0.1 > 10.0.0.2");
	w[0] = 0x0806;
	assert_string_equal(text_of(SLUICE_TOP_BY_SRC, 3, w), "arp");
	w[0] = 0x1234;
	assert_string_equal(text_of(SLUICE_TOP_BY_SRC, 3, w), "ethertype 0x1234");
	w[0] = 100;
	assert_string_equal(text_of(SLUICE_TOP_BY_SRC, 3, w), "802.3 frame");
	w[0] = 6;
	assert_string_equal(text_of(SLUICE_TOP_BY_SRC, 6, w), "damaged ipv6");
	assert_string_equal(text_of(SLUICE_TOP_BY_PROTO, 8, w), "tcp");
	w[0] = 200;
	assert_string_equal(text_of(SLUICE_TOP_BY_PROTO, 8, w), "proto-200");
	w[0] = L4(1, 17, 0, 53);
	assert_string_equal(text_of(SLUICE_TOP_BY_PORT, 7, w), "udp/53");
	w[0] = L4(4, 6, 0, 0);
	assert_string_equal(text_of(SLUICE_TOP_BY_PORT, 7, w), "tcp cut short");
	w[0] = 0;
	assert_string_equal(text_of(SLUICE_TOP_BY_VLAN, 9, w), "untagged");
	w[0] = 1ull << 32 | 10 << 16;
	assert_string_equal(text_of(SLUICE_TOP_BY_VLAN, 9, w), "vlan 10");
	w[0] = 2ull << 32 | 10 << 16 | 20;
	assert_string_equal(text_of(SLUICE_TOP_BY_VLAN, 9, w), "vlan 10.20");
	w[0] = 5ull << 32 | 10 << 16 | 20;
	assert_string_equal(text_of(SLUICE_TOP_BY_VLAN, 9, w), "vlan 10.20 and more");
}

static void ordered(void **state)
{
	static union {
		struct top_key key;
		uint8_t room[sizeof(struct top_key) + 2 * sizeof(uint64_t)];
	} a, b;

	(void)state;
	a.key.tag = b.key.tag = 1;
	a.key.k[0] = htonl(0x0a000001);
	b.key.k[0] = htonl(0x0a000100);
	assert_true(top_row_compare(&a.key, &b.key, 2) < 0);
	assert_true(top_row_compare(&b.key, &a.key, 2) > 0);
	assert_int_equal(top_row_compare(&a.key, &a.key, 2), 0);
	b.key = a.key;
	b.key.k[0] = a.key.k[0];
	b.key.tag = 2;
	assert_true(top_row_compare(&a.key, &b.key, 2) < 0);
	b.key.tag = 1 | 7 << 4; /* the same on another interface */
	assert_true(top_row_compare(&a.key, &b.key, 2) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(texts),
		cmocka_unit_test(ordered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
