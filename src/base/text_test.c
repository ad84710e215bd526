// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/test.h"
#include "base/text.h"

static void numbers(void **state)
{
	struct sluice_err err;
	uint64_t v = 7;

	(void)state;
	assert_int_equal(text_u64("0x10", 0, 255, &v, &err), 0);
	assert_int_equal(v, 16);
	assert_int_equal(text_u64("256", 0, 255, &v, &err), -EINVAL);
	assert_int_equal(text_u64("-1", 0, 255, &v, &err), -EINVAL);
	assert_string_equal(err.text, "-1 is out of range, 0 to 255 is possible");
	assert_int_equal(text_u64("-x", 0, 255, &v, &err), -EINVAL);
	assert_string_equal(err.text, "'-x' is not a number");
	assert_int_equal(text_u64("", 0, 255, &v, &err), -EINVAL);
	assert_int_equal(text_u64("12x", 0, 255, &v, &err), -EINVAL);
	assert_int_equal(text_count("100k", 1, UINT64_MAX, &v, &err), 0);
	assert_int_equal(v, 100000);
	assert_int_equal(text_count("0k", 1, UINT64_MAX, &v, &err), -EINVAL);
	assert_int_equal(text_count("16", 1, UINT64_MAX, &v, &err), 0);
	assert_int_equal(text_u64("99999999999999999999", 0, UINT64_MAX, &v, &err), -EINVAL);
	assert_int_equal(v, 16);
}

static void units(void **state)
{
	struct sluice_err err;
	uint64_t v;

	(void)state;
	assert_int_equal(text_time("500ms", &v, &err), 0);
	assert_int_equal(v, 500000000);
	assert_int_equal(text_time("1.5", &v, &err), 0);
	assert_int_equal(v, 1500000000);
	assert_int_equal(text_time("5m", &v, &err), 0);
	assert_int_equal(v, 300000000000);
	assert_int_equal(text_time("5 m", &v, &err), -EINVAL);
	assert_int_equal(text_time("nan", &v, &err), -EINVAL);
	assert_int_equal(text_time("1e30", &v, &err), -EINVAL);
	assert_int_equal(text_rate("10k/s", &v, &err), 0);
	assert_int_equal(v, 10000);
	assert_int_equal(text_rate("1.5Mpps", &v, &err), 0);
	assert_int_equal(v, 1500000);
	assert_int_equal(text_rate("k", &v, &err), -EINVAL);
	assert_int_equal(text_size("64k", &v, &err), 0);
	assert_int_equal(v, 65536);
}

static void readable(void **state)
{
	static const struct {
		double v;
		const char *text;
	} cases[] = {{0, "0"}, {999, "999"}, {1000, "1.00k"}, {999499, "999k"}, {999999, "1.00M"}, {12345678, "12.3M"}};
	char to[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(text_si(cases[i].v, to, sizeof(to)), cases[i].text);
	static const struct {
		const char *s, *want;
	} harm[] = {
		{"Grüße €\U0001F980", "Grüße €\U0001F980"}, {"a\033[2J\x7f\n", "a?[2J??"}, {"\xc2\x9b" "2J", "??2J"},
		{"\xc3", "?"}, {"\xe0\x80\x80", "???"}, {"\xed\xa0\x80", "???"}, {"\xf5\x80\x80\x80", "????"},
		{"\xf0\x80\x80\x80", "????"}, {"\xf4\x90\x80\x80", "????"}, {"\xc1\xbf", "??"}, {"\xff" "a", "?a"},
		{"\xe2\x82", "??"}, {"\xc2\xa0", "\xc2\xa0"},
	};
	char harmless[64];
	size_t h;

	for (h = 0; h < sizeof(harm) / sizeof(*harm); h++) {
		snprintf(harmless, sizeof(harmless), "%s", harm[h].s);
		assert_string_equal(text_harmless(harmless), harm[h].want);
	}
	assert_string_equal(text_printable("a\033[2J", to, sizeof(to)), "a?[2J");
}

static void nearest(void **state)
{
	static const char *const words[] = {"attach", "detach", "list", "top"};

	(void)state;
	assert_int_equal(text_nearest("atach", words, 4), 0);
	assert_int_equal(text_nearest("lsit", words, 4), 2);
	assert_int_equal(text_nearest("det", words, 4), 1);
	assert_int_equal(text_nearest("xyzzy", words, 4), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(units),
		cmocka_unit_test(readable),
		cmocka_unit_test(nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
