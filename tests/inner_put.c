// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What marks of checks stand for while another policy takes over: in a network namespace of the test's own. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "abi/inner.h"
#include "base/test.h"
#include "control/inner.h"

static int map = -1; /* inner_ways of the one there is */

/* Of all maps that this process has. */
static int find_map(void)
{
	int fd;

	for (fd = 3; fd < 256; fd++) {
		struct bpf_map_info info = {.type = 0};
		uint32_t len = sizeof(info);
		char path[64], link[64] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, link, sizeof(link) - 1) < 0 || !strstr(link, "bpf-map"))
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &info, &len) && !strcmp(info.name, "inner_ways"))
			return fd;
	}
	return -1;
}

static struct inner_want want(uint32_t number, uint8_t virtual)
{
	return (struct inner_want){.mark = INNER_MARKS + number,
				   .backend.bytes = {10, 0, 0, 1},
				   .virtual.bytes = {203, 0, 113, virtual},
				   .timeout_ns = 1};
}

static void say(void *ctx, const char *sentence)
{
	(void)ctx;
	print_message("%s\n", sentence);
}

static void put(struct inner *in, const struct inner_want *v, size_t n)
{
	struct sluice_err err;

	if (inner_put(in, v, n, say, NULL, &err))
		fail_msg("%s", err.text);
}

/* The last number of the virtual address that a mark stands for; 0: it stands for nothing. */
static uint8_t stands_for(uint32_t number)
{
	uint32_t mark = INNER_MARKS + number;
	struct inner_way way;

	return bpf_map_lookup_elem(map, &mark, &way) ? 0 : ((uint8_t *)way.virtual)[3];
}

static void test_order(void **state)
{
	struct inner_want first[] = {want(5, 50), want(1, 10), want(3, 30)};
	struct inner_want second[] = {want(7, 70), want(3, 33), want(5, 50)},
			  third[] = {want(3, 34), want(9, 90)};
	struct sluice_err err;
	struct inner *in;

	(void)state;
	if (inner_new(&in, &err))
		fail_msg("%s", err.text);
	map = find_map();
	assert_true(map >= 0);
	put(in, first, 3);
	assert_int_equal(inner_settle(in, &err), 0);
	/* checks that are under way keep theirs */
	put(in, second, 3);
	assert_int_equal(stands_for(1), 10);
	assert_int_equal(stands_for(3), 30);
	assert_int_equal(stands_for(5), 50);
	assert_int_equal(stands_for(7), 70);
	/* it did not come into force, another one does */
	put(in, third, 2);
	assert_int_equal(stands_for(3), 30);
	assert_int_equal(stands_for(7), 0);
	assert_int_equal(stands_for(9), 90);
	put(in, second, 3);
	assert_int_equal(stands_for(9), 0);
	assert_int_equal(inner_settle(in, &err), 0);
	assert_int_equal(stands_for(1), 0);
	assert_int_equal(stands_for(3), 33);
	assert_int_equal(stands_for(5), 50);
	assert_int_equal(stands_for(7), 70);
	/* twice is once */
	assert_int_equal(inner_settle(in, &err), 0);
	assert_int_equal(stands_for(7), 70);
	put(in, NULL, 0);
	assert_int_equal(inner_settle(in, &err), 0);
	assert_int_equal(stands_for(3) + stands_for(5) + stands_for(7), 0);
	inner_free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
