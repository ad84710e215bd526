// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Numbers of addresses that services translate to, from one plan to the next: who keeps them, who gets which, how many there are. */
#include <stdio.h>

#include "balance/nat.h"
#include "base/test.h"

/* Services as one text: "a 192.0.2.1+4 2001:db8::1, b 192.0.2.9". */
static void plan(const char *services, const struct nat_config *before, struct nat_config *c)
{
	struct balance_model m = {.n_services = 0};
	char text[4096], *word, *save = NULL;
	struct balance_service *s = NULL;
	struct sluice_err err = {0};

	snprintf(text, sizeof(text), "%s", services);
	for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *n = strchr(word, '+'), *end = strchr(word, ',');
		struct net_addr a;

		if (end)
			*end = '\0';
		if (n)
			*n++ = '\0';
		if (!s) {
			s = balance_service_add(&m, word);
			assert_non_null(s);
			s->mode = BALANCE_NAT;
		} else {
			assert_int_equal(net_addr_parse(word, &a, NULL), 0);
			assert_non_null(balance_pool_add(s, &a, n ? (uint32_t)strtoul(n, NULL, 10) : 1));
		}
		if (end)
			s = NULL;
	}
	if (nat_plan(&m, before, c, NULL, &err))
		fail_msg("%s: %s", services, err.text);
	balance_model_free(&m);
}

/* The number of an address; NAT_ADDRS: it has none. */
static uint32_t at(const struct nat_config *c, const char *text)
{
	struct net_addr a;
	uint64_t given;
	uint32_t i;

	assert_int_equal(net_addr_parse(text, &a, NULL), 0);
	given = nat_given(c, a.v6);
	for (i = 0; i < NAT_ADDRS; i++)
		if (given >> i & 1 && !memcmp(a.bytes, a.v6 ? (const void *)c->addr6[i] : &c->addr4[i], a.v6 ? 16 : 4))
			return i;
	return NAT_ADDRS;
}

/* b's address changes again and again: numbers that it had are taken again, a's stays, and memory grows once. */
static void test_one_changes(void **state)
{
	struct nat_config c, next;
	char text[96], addr[24];
	uint32_t i;

	(void)state;
	plan("a 192.0.2.1 2001:db8::1, b 192.0.2.2", NULL, &c);
	assert_int_equal(c.n_addrs[0], 2);
	assert_int_equal(c.n_addrs[1], 1);
	for (i = 3; i < 200; i++) {
		snprintf(addr, sizeof(addr), "192.0.2.%u", i);
		snprintf(text, sizeof(text), "a 192.0.2.1 2001:db8::1, b %s", addr);
		plan(text, &c, &next);
		assert_int_equal(next.n_addrs[0], 4);
		assert_int_equal(next.n_addrs[1], 1);
		assert_int_equal(at(&next, "192.0.2.1"), 0);
		assert_int_equal(at(&next, addr), i & 1 ? 2 : 1);
		/* its flows go on in the same memory, or are copied once */
		assert_int_equal(nat_goes_on(&c, &next, false), i > 3);
		assert_true(nat_goes_on(&c, &next, true));
		assert_int_equal(nat_kept(&c, &next, false), 1);
		assert_int_equal(nat_kept(&c, &next, true), 1);
		c = next;
	}
}

/* Flows that another version of the program wrote otherwise are not read. */
static void test_other_layout(void **state)
{
	struct nat_config c, next;

	(void)state;
	plan("a 192.0.2.1 2001:db8::1", NULL, &c);
	assert_int_equal(c.layout, NAT_LAYOUT);
	c.layout--;
	plan("a 192.0.2.1 2001:db8::1", &c, &next);
	assert_int_equal(at(&next, "192.0.2.1"), at(&c, "192.0.2.1"));
	assert_false(nat_goes_on(&c, &next, false));
	assert_false(nat_goes_on(&c, &next, true));
	assert_int_equal(nat_kept(&c, &next, false), 0);
}

/* A number that was never given is, before memory grows. */
static void test_gaps(void **state)
{
	struct nat_config c, next;

	(void)state;
	plan("a 192.0.2.1+3", NULL, &c);
	assert_int_equal(c.n_addrs[0], 4);
	plan("a 192.0.2.1+3, b 192.0.2.9", &c, &next);
	assert_int_equal(at(&next, "192.0.2.9"), 3);
	assert_int_equal(next.n_addrs[0], 4);
	assert_true(nat_goes_on(&c, &next, false));
	/* two in a row are not there */
	plan("a 192.0.2.1+3, b 192.0.2.10+2", &c, &next);
	assert_int_equal(at(&next, "192.0.2.10"), 3);
	assert_int_equal(next.n_addrs[0], 8);
	assert_false(nat_goes_on(&c, &next, false));
	assert_int_equal(nat_kept(&c, &next, false), 7);
}

/* When the last one goes, so does the memory; of each family by itself. */
static void test_none_left(void **state)
{
	struct nat_config c, next;

	(void)state;
	plan("a 192.0.2.1+9 2001:db8::1+20", NULL, &c);
	assert_int_equal(c.n_addrs[0], 16);
	assert_int_equal(c.n_addrs[1], 32);
	plan("a 192.0.2.1+9", &c, &next);
	assert_int_equal(next.n_addrs[0], 16);
	assert_int_equal(next.n_addrs[1], 0);
	assert_true(nat_goes_on(&c, &next, false));
	assert_false(nat_goes_on(&c, &next, true));
	plan("", &next, &c);
	assert_int_equal(c.n_addrs[0], 0);
	assert_int_equal(nat_given(&c, false), 0);
}

/* All 64: others get the numbers of those that went, in memory of their own; also if nothing lies together. */
static void test_full(void **state)
{
	char text[4096];
	struct nat_config c, next;
	size_t n = 0;
	uint32_t i;

	(void)state;
	plan("a 192.0.2.0+64", NULL, &c);
	assert_int_equal(nat_given(&c, false), ~0ull);
	plan("a 192.0.2.64+64", &c, &next);
	assert_int_equal(next.n_addrs[0], 64);
	assert_int_equal(nat_kept(&c, &next, false), 0);
	assert_false(nat_goes_on(&c, &next, false));
	/* eight stretches of eight; then every other one goes, and sixteen in a row come */
	for (i = 0; i < 8; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%ss%u 192.0.2.%u+8", i ? ", " : "", i, i * 16);
	plan(text, NULL, &c);
	plan("s0 192.0.2.0+8, s2 192.0.2.32+8, s4 192.0.2.64+8, s6 192.0.2.96+8, t 198.51.100.0+16", &c, &next);
	assert_int_equal(at(&next, "192.0.2.0"), 0);
	assert_int_equal(at(&next, "198.51.100.15"), at(&next, "198.51.100.0") + 15);
	assert_int_equal(nat_given(&next, false), 0xffffffffffffull);
	assert_false(nat_goes_on(&c, &next, false));
	assert_int_equal(nat_kept(&c, &next, false), 0xff);
}

static uint32_t chance(uint32_t n)
{
	static uint64_t seed = 3;

	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

/*
 * Plans at random, of up to eight addresses: who stays keeps its number, nobody has a number that another one had just before unless the
 * memory is another one, and there is memory for four times as many at most.
 */
static void test_random(void **state)
{
	struct nat_config c, next;
	char text[256], addr[24];
	uint32_t i, k, size[4] = {0}, first[4] = {0};
	size_t n;

	(void)state;
	plan("", NULL, &c);
	for (i = 0; i < 20000; i++) {
		k = chance(4);
		size[k] = chance(3);
		first[k] = k * 64 + 2 * chance(30);
		for (k = 0, n = 0, text[0] = '\0'; k < 4; k++)
			if (size[k])
				n += (size_t)snprintf(text + n, sizeof(text) - n, "%ss%u 192.0.2.%u+%u", n ? ", " : "", k, first[k],
						      size[k]);
		plan(text, &c, &next);
		assert_true(next.n_addrs[0] <= 32);
		assert_true(!(next.n_addrs[0] & (next.n_addrs[0] - 1)));
		assert_int_equal(next.n_addrs[0] ? nat_given(&next, false) >> (next.n_addrs[0] - 1) >> 1 : 0, 0);
		assert_int_equal(!next.n_addrs[0], !n);
		for (k = 0; k < 4; k++) {
			if (!size[k])
				continue;
			snprintf(addr, sizeof(addr), "192.0.2.%u", first[k]);
			assert_true(at(&next, addr) < next.n_addrs[0]);
			assert_int_equal(next.addr4[at(&next, addr)] >> 24, first[k]);
		}
		/* with so few there is always room beside those of before */
		assert_int_equal(nat_given(&c, false) & nat_given(&next, false), nat_kept(&c, &next, false));
		assert_int_equal(nat_goes_on(&c, &next, false), c.n_addrs[0] == next.n_addrs[0]);
		c = next;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_changes), cmocka_unit_test(test_other_layout),
		cmocka_unit_test(test_gaps),	    cmocka_unit_test(test_none_left),
		cmocka_unit_test(test_full),	    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
