// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The loopback is the one interface every machine and namespace has. */
#include <net/if.h>

#include "base/test.h"
#include "net/ifs.h"

static void found(void **state)
{
	struct sluice_err err;
	struct net_if *ifs;
	size_t n, i;

	(void)state;
	assert_int_equal(net_ifs_find("lo", &ifs, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_string_equal(ifs[0].name, "lo");
	assert_int_equal(ifs[0].index, if_nametoindex("lo"));
	free(ifs);
	assert_int_equal(net_ifs_find("lo,l?,l*,[l]o", &ifs, &n, &err), 0);
	for (i = 1; i < n; i++)
		assert_string_not_equal(ifs[i].name, "lo");
	free(ifs);
	assert_int_equal(net_ifs_find("*", &ifs, &n, &err), 0);
	assert_true(n >= 1);
	free(ifs);
}

static void refused(void **state)
{
	static const struct {
		const char *list;
		int code;
		const char *text;
	} cases[] = {
		{"loo", -ENODEV, "no interface 'loo', did you mean lo?"},
		{"lo,no-such-if", -ENODEV, "no interface 'no-such-if' (ip link shows the ones there are)"},
		{"zz*", -ENODEV, "no interface fits 'zz*' (ip link shows the ones there are)"},
		{"a\033b", -ENODEV, "no interface 'a?b' (ip link shows the ones there are)"},
		{"sixteen-letters!", -EINVAL,
		 "'sixteen-letters!' has 16 characters, an interface name has at most 15"},
	};
	static const char *const empty[] = {"", ",", "lo,", ",lo", "lo,,lo"};
	char longest[300];
	struct sluice_err err;
	struct net_if *ifs;
	size_t n, i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(net_ifs_find(cases[i].list, &ifs, &n, &err), cases[i].code);
		assert_string_equal(err.text, cases[i].text);
		assert_null(ifs);
	}
	for (i = 0; i < sizeof(empty) / sizeof(*empty); i++)
		assert_int_equal(net_ifs_find(empty[i], &ifs, &n, NULL), -EINVAL);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(net_ifs_find(longest, &ifs, &n, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(found), cmocka_unit_test(refused)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
