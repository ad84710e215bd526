// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* XDP_RUN_CONFIG written by us is read by us, for every set of verdicts and priorities of any size. */
#include <bpf/btf.h>

#include "base/test.h"
#include "bpf/run_config.h"

static void round_trip(void **state)
{
	static const uint32_t priorities[] = {0, 1, 50, 65536, (1u << 29) - 1, 1u << 29, 3000000000u};
	struct run_config c[7];
	uint32_t set, i, priority, go_on;

	(void)state;
	for (set = 1; set < 32; set++) {
		struct btf *btf = btf__new_empty(), *again;
		const void *raw;
		uint32_t len;

		for (i = 0; i < 7; i++)
			c[i] = (struct run_config){(const char *[]){"a", "bb", "c_3", "d", "e", "f", "g"}[i], priorities[i], set};
		assert_int_equal(run_config_write(btf, c, 7), 0);
		raw = btf__raw_data(btf, &len);
		again = btf__new(raw, len); /* as it comes back from the kernel */
		for (i = 0; i < 7; i++) {
			priority = go_on = 99;
			run_config_read(again, c[i].program, &priority, &go_on);
			assert_int_equal(priority, priorities[i]);
			assert_int_equal(go_on, set);
		}
		btf__free(again);
		btf__free(btf);
	}
}

static void silent_about_others(void **state)
{
	struct run_config c[2] = {{"known", 7, 4}, {"no identifier", 8, 4}};
	struct btf *btf = btf__new_empty();
	uint32_t priority = 50, go_on = 4;

	(void)state;
	run_config_read(NULL, "known", &priority, &go_on);
	run_config_read(btf, "known", &priority, &go_on);
	assert_int_equal(run_config_write(btf, c, 2), 0);
	run_config_read(btf, "unknown", &priority, &go_on);
	run_config_read(btf, "no identifier", &priority, &go_on);
	assert_int_equal(priority, 50);
	assert_int_equal(go_on, 4);
	run_config_read(btf, "known", &priority, &go_on);
	assert_int_equal(priority, 7);
	btf__free(btf);
}

/* A section that is there already steps aside: the one that was written last is read. */
static void written_twice(void **state)
{
	struct run_config first = {"p", 1, 4}, second = {"p", 2, 2};
	struct btf *btf = btf__new_empty();
	uint32_t priority = 0, go_on = 0;

	(void)state;
	assert_int_equal(run_config_write(btf, &first, 1), 0);
	assert_int_equal(run_config_write(btf, &second, 1), 0);
	run_config_read(btf, "p", &priority, &go_on);
	assert_int_equal(priority, 2);
	assert_int_equal(go_on, 2);
	btf__free(btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(silent_about_others),
		cmocka_unit_test(written_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
