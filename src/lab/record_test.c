// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/test.h"
#include "lab/record.h"

static void same(const struct lab *a, const struct lab *b)
{
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->n_hosts, b->n_hosts);
	assert_int_equal(a->n_queues, b->n_queues);
	assert_int_equal(a->mtu, b->mtu);
	assert_int_equal(a->ipv6, b->ipv6);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->maker, b->maker);
}

static void round_trip(void **state)
{
	struct lab lab = {.name = "x",
			  .n_hosts = 64,
			  .n_queues = 4,
			  .mtu = 9000,
			  .ipv6 = true,
			  .state = LAB_READY,
			  .maker = 77};
	struct lab back = {.name = "x"};
	struct sluice_err err;
	char text[160];

	(void)state;
	assert_true(lab_record_format(&lab, text, sizeof(text)) > 0);
	assert_int_equal(lab_record_parse(text, &back, &err), 0);
	same(&lab, &back);
	lab.state = LAB_BROKEN;
	lab.ipv6 = false;
	assert_true(lab_record_format(&lab, text, sizeof(text)) > 0);
	assert_int_equal(lab_record_parse(text, &back, &err), 0);
	same(&lab, &back);
	assert_int_equal(lab_record_format(&lab, text, 20), -ENOSPC);
}

/* Cut anywhere or changed anywhere, a record is refused. */
static void damaged(void **state)
{
	struct lab lab = {.name = "x",
			  .n_hosts = 2,
			  .n_queues = 1,
			  .mtu = 1500,
			  .ipv6 = true,
			  .state = LAB_READY,
			  .maker = 5};
	struct lab back = {.name = "x"};
	struct sluice_err err;
	char text[160], bad[160];
	int n, i;

	(void)state;
	n = lab_record_format(&lab, text, sizeof(text));
	for (i = 0; i < n; i++) {
		memcpy(bad, text, sizeof(bad));
		bad[i] = '\0';
		assert_int_equal(lab_record_parse(bad, &back, &err), -EBADMSG);
		assert_string_equal(err.text, "the record of lab x is damaged");
		memcpy(bad, text, sizeof(bad));
		bad[i] = ':';
		assert_int_equal(lab_record_parse(bad, &back, &err), -EBADMSG);
	}
	lab.n_hosts = 65;
	lab_record_format(&lab, text, sizeof(text));
	assert_int_equal(lab_record_parse(text, &back, &err), -EBADMSG);
}

static void names(void **state)
{
	static const char *const good[] = {"a", "lab_1", "123", "abcdefghijklmnopqrstuvwx"};
	static const char *const bad[] = {"", "A", "a-b", "..", "a/b", "a b", "abcdefghijklmnopqrstuvwxy"};
	struct sluice_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(lab_record_name_check(good[i], &err), 0);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(lab_record_name_check(bad[i], &err), -EINVAL);
}

static void ends(void **state)
{
	struct lab lab = {.name = "x", .n_hosts = 12, .ipv6 = true};
	struct lab_end end;

	(void)state;
	lab_end(&lab, 12, true, &end);
	assert_string_equal(end.netns, "sluice-x-box");
	assert_string_equal(end.ifname, "to12");
	assert_string_equal(end.ipv4, "198.18.12.1/24");
	assert_string_equal(end.ipv6, "2001:db8:12::1/64");
	assert_string_equal(end.mac, "02:00:c6:12:0c:01");
	lab.ipv6 = false;
	lab_end(&lab, 12, false, &end);
	assert_string_equal(end.netns, "sluice-x-h12");
	assert_string_equal(end.ifname, "eth0");
	assert_string_equal(end.ipv4, "198.18.12.2/24");
	assert_string_equal(end.ipv6, "");
	assert_string_equal(end.mac, "02:00:c6:12:0c:02");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(damaged),
		cmocka_unit_test(names),
		cmocka_unit_test(ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
