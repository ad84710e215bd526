// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Addresses, prefixes and ranges as text, and sets of them against a table of every address of a small net. */
#include <stdio.h>

#include "base/test.h"
#include "base/clock.h"
#include "policy/spans.h"

static void reads(const char *text, const char *printed)
{
	struct policy_range r;
	char said[POLICY_RANGE_TEXT];

	assert_int_equal(policy_range_parse(text, strlen(text), &r, NULL, NULL), 0);
	assert_string_equal(policy_range_format(&r, said, sizeof(said)), printed);
}

static void refuses(const char *text, const char *sentence)
{
	struct sluice_err err = {0};
	struct policy_range r;

	assert_int_equal(policy_range_parse(text, strlen(text), &r, NULL, &err), -EINVAL);
	assert_string_equal(err.text, sentence);
}

static void ranges(void **state)
{
	(void)state;
	reads("192.0.2.1", "192.0.2.1");
	reads("192.0.2.1/32", "192.0.2.1");
	reads("0.0.0.0/0", "0.0.0.0/0");
	reads("10.0.0.0-10.0.0.255", "10.0.0.0/24");
	reads("10.0.0.1-10.0.0.255", "10.0.0.1-10.0.0.255");
	reads("255.255.255.255", "255.255.255.255");
	reads("2001:DB8::/32", "2001:db8::/32");
	reads("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0");
	reads("::1-::2", "::1-::2");
	reads("::ffff:10.0.0.1", "10.0.0.1");
	reads("::ffff:a00:1/128", "10.0.0.1");
	reads("::FFFF:10.1.2.0/120", "10.1.2.0/24");
	reads("::ffff:128.0.0.0/97", "128.0.0.0/1");
	reads("::ffff:10.0.0.1-::ffff:10.0.0.9", "10.0.0.1-10.0.0.9");
	reads("::ffff:0:0/96", "::ffff:0.0.0.0/96");
	reads("::fffe:0:0/95", "::fffe:0:0/95");
	reads("::ffff:0:0-::1:0:0:0", "::ffff:0.0.0.0-::1:0:0:0");
	reads("::10.0.0.1", "::10.0.0.1");
	reads("64:ff9b::10.0.0.1", "64:ff9b::a00:1");
	refuses("10.0.0.256", "'10.0.0.256' is not an address, a prefix or a range");
	refuses("010.0.0.1", "'010.0.0.1' is not an address, a prefix or a range");
	refuses("10.0.0", "'10.0.0' is not an address, a prefix or a range");
	refuses("10.0.0.1.", "'10.0.0.1.' is not an address, a prefix or a range");
	refuses("10.0.0.0/33", "'10.0.0.0/33' has no prefix length of 0 to 32");
	refuses("10.0.0.0/", "'10.0.0.0/' has no prefix length of 0 to 32");
	refuses("::/129", "'::/129' has no prefix length of 0 to 128");
	refuses("10.0.0.1/24", "'10.0.0.1/24' has bits beyond its length of 24; 10.0.0.0/24 is the prefix");
	refuses("2001:db8::1/64",
		"'2001:db8::1/64' has bits beyond its length of 64; 2001:db8::/64 is the prefix");
	refuses("10.0.0.2-10.0.0.1", "'10.0.0.2-10.0.0.1' ends before it begins");
	refuses("10.0.0.1-::1", "'10.0.0.1-::1' mixes IPv4 and IPv6");
	refuses("", "'' is not an address, a prefix or a range");
	refuses(":", "':' is not an address, a prefix or a range");
}

static uint64_t rng = 7;

static uint32_t below(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 20) % n;
}

/* One address of the small net: 256 at each end of the number space, in either family. */
static struct policy_addr6 place(uint32_t i, bool v6)
{
	if (!v6)
		return (struct policy_addr6){0, i < 256 ? i : UINT32_MAX - 511 + i};
	return i < 256 ? (struct policy_addr6){0, i}
		       : (struct policy_addr6){UINT64_MAX, UINT64_MAX - 511 + i};
}

static struct net_addr addr_of(struct policy_addr6 a, bool v6)
{
	struct net_addr out = {.v6 = v6};
	int i;

	for (i = 0; i < 16 && v6; i++)
		out.bytes[i] = (uint8_t)((i < 8 ? a.hi : a.lo) >> (56 - 8 * (i % 8)));
	for (i = 0; i < 4 && !v6; i++)
		out.bytes[i] = (uint8_t)(a.lo >> (24 - 8 * i));
	return out;
}

static void against_table(bool v6)
{
	struct policy_spans s = {0}, no = {0};
	struct policy_range r = {.v6 = v6};
	bool table[512] = {false};
	struct net_addr a;
	uint32_t i, n, at, len;

	for (n = below(12); n; n--) {
		at = below(512);
		len = 1 + below(40);
		len = at < 256 && at + len > 256 ? 256 - at : at + len > 512 ? 512 - at : len;
		r.first = place(at, v6);
		r.last = place(at + len - 1, v6);
		policy_spans_add(&s, &r);
		memset(table + at, true, len);
	}
	policy_spans_sort(&s);
	policy_spans_not(&s, v6, &no);
	for (i = 0; i < 512; i++) {
		a = addr_of(place(i, v6), v6);
		assert_int_equal(policy_spans_has(&s, &a), table[i]);
		assert_int_equal(policy_spans_has(&no, &a), !table[i]);
	}
	for (i = 1; !v6 && i < s.n4; i++)
		assert_true(s.v4[i - 1].last + 1 < s.v4[i].first);
	policy_spans_free(&s);
	policy_spans_free(&no);
}

static void sets(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 2000; i++)
		against_table(i % 2);
}

/* Prefixes taken off a span follow each other, fill it, and two of them never make a larger one. */
static void takes(uint64_t first, uint64_t last, bool v6)
{
	struct policy_span4 s4 = {(uint32_t)first, (uint32_t)last};
	struct policy_span6 s6 = {{first >> 32, first << 32}, {last >> 32, last << 32 | UINT32_MAX}};
	uint64_t at = first, n;
	unsigned int len;
	bool more = true;

	while (more) {
		assert_true(at == (v6 ? s6.first.hi << 32 | s6.first.lo >> 32 : s4.first));
		len = v6 ? policy_span6_take(&s6, &more) - 64 : policy_span4_take(&s4, &more);
		n = UINT64_C(1) << (32 - len);
		assert_true(at % n == 0 && at + n - 1 <= last);
		/* the next larger one would not be aligned, or too large */
		assert_true(len == 0 || at % (2 * n) != 0 || at + 2 * n - 1 > last);
		at += n;
	}
	assert_true(at == last + 1);
}

static void prefixes(void **state)
{
	uint64_t first;
	int i;

	(void)state;
	takes(0, UINT32_MAX, false);
	takes(0, UINT32_MAX, true);
	takes(1, UINT32_MAX - 1, false);
	takes(UINT32_MAX, UINT32_MAX, false);
	for (i = 0; i < 20000; i++) {
		first = below(UINT32_MAX);
		takes(first, first + below(((uint32_t)(UINT32_MAX - first) >> below(30)) + 1), i % 2);
	}
}

static void files(void **state)
{
	static const char text[] = "# a list\n192.0.2.1\r\n::ffff:192.0.2.1\n  10.0.0.0/8 # "
				   "ours\n\n10.1.2.3-10.1.2.9;x\n2001:db8::/32\n192.0.2.77/24";
	static const char wrong[] = "10.0.0.1\n10.0.0.2 10.0.0.3\n";
	struct policy_netset_stat stat;
	struct policy_spans s = {0};
	struct sluice_err err = {0};

	(void)state;
	assert_int_equal(policy_netset_read(text, sizeof(text) - 1, &s, &stat, &err), 0);
	policy_spans_sort(&s);
	assert_int_equal(stat.elements, 6);
	assert_int_equal(stat.loose, 1);
	assert_int_equal(s.n4, 2); /* the range is in the prefix */
	assert_int_equal(s.n6, 1);
	assert_true(policy_spans_count(&s, false) == (1 << 24) + 256.0);
	policy_spans_free(&s);
	assert_int_equal(policy_netset_read(wrong, sizeof(wrong) - 1, &s, &stat, &err), -EINVAL);
	assert_string_equal(err.text, "'10.0.0.2 10.0.0.3' is not an address, a prefix or a range");
	assert_int_equal(stat.bad_line, 2);
	policy_spans_free(&s);
}

/* A million random prefixes, unsorted: the worst that a list does to the sorting. */
static void million(void **state)
{
	struct policy_netset_stat stat;
	struct policy_spans s = {0};
	size_t room = 20u << 20, n = 0;
	char *text = malloc(room);
	uint64_t from;
	uint32_t a, i;

	(void)state;
	assert_non_null(text);
	for (i = 0; i < 1000000; i++) {
		a = below(UINT32_MAX);
		n += (size_t)snprintf(text + n, room - n, "%u.%u.%u.%u%s\n", a >> 24, a >> 16 & 255,
				      a >> 8 & 255, i % 2 ? 0 : a & 255, i % 2 ? "/24" : "");
	}
	from = clock_cpu_ns();
	assert_int_equal(policy_netset_read(text, n, &s, &stat, NULL), 0);
	policy_spans_sort(&s);
	from = clock_cpu_ns() - from;
	print_message("# a million prefixes in %u ms\n", (unsigned int)(from / 1000000));
	assert_int_equal(stat.elements, 1000000);
	assert_true(s.n4 > 900000);
#if !defined(__SANITIZE_ADDRESS__)
	assert_true(from < 500000000);
#endif
	policy_spans_free(&s);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges), cmocka_unit_test(sets),    cmocka_unit_test(prefixes),
		cmocka_unit_test(files),  cmocka_unit_test(million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
