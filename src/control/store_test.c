// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Policies on disk: what was written comes back, what is damaged does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <errno.h>

#include "control/files.h"
#include "control/inside.h"
#include "control/store.h"

struct box {
	char dir[64];
	struct control_state st;
};

static int make(void **state)
{
	struct box *b = calloc(1, sizeof(*b));

	snprintf(b->dir, sizeof(b->dir), "/tmp/sluice-store-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->st.lib, sizeof(b->st.lib), "%s/lib", b->dir);
	assert_int_equal(files_mkdir(b->st.lib, NULL), 0);
	*state = b;
	return 0;
}

static int drop(void **state)
{
	struct box *b = *state;

	files_remove(b->dir);
	assert_int_not_equal(access(b->dir, F_OK), 0);
	free(b);
	return 0;
}

static void put(const struct box *b, const char *name, const char *text)
{
	assert_int_equal(files_write(b->dir, name, text, strlen(text), false, NULL), 0);
}

/* Reads DIR/NAME as apply does, and keeps it. */
static struct store_entry keep(struct box *b, const char *name)
{
	struct store_policy p;
	struct store_entry e;
	struct sluice_err err = {0};
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", b->dir, name);
	if (store_read(&b->st, path, NULL, true, &p, &err))
		fail_msg("%s", err.text);
	assert_int_equal(store_name(&b->st, &p, "", &e, &err), 0);
	assert_int_equal(store_put(&b->st, &p, &e, &err), 0);
	store_free(&p);
	return e;
}

static void round_trip(void **state)
{
	struct box *b = *state;
	struct store_entry first, second, *v;
	struct store_policy p;
	struct sluice_err err = {0};
	uint32_t n;

	put(b, "x.netset", "192.0.2.0/24\n2001:db8::/32\n");
	put(b, "x.conf", "set s from \"x.netset\"\nfilter on eth0 {\n drop from @s\n default pass\n}\n");
	first = keep(b, "x.conf");
	assert_int_equal(first.number, 1);
	put(b, "x.netset", "192.0.2.0/24\n");
	second = keep(b, "x.conf");
	assert_int_equal(second.number, 2);
	assert_string_not_equal(first.hash, second.hash);
	assert_int_equal(store_again(&b->st, first.name, &p, &err), 0);
	assert_string_equal(p.hash, first.hash);
	assert_int_equal(p.policy->sets[0].spans.n6, 1);
	store_free(&p);
	assert_int_equal(store_again(&b->st, second.name, &p, &err), 0);
	assert_int_equal(p.policy->sets[0].spans.n6, 0);
	store_free(&p);
	assert_int_equal(store_history(&b->st, &v, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(v[0].name, second.name);
	free(v);
}

static void damage(void **state)
{
	struct box *b = *state;
	struct store_entry e;
	struct store_policy p;
	struct sluice_err err = {0};
	char dir[256];

	put(b, "y.conf", "filter on eth0 {\n default drop\n}\n");
	e = keep(b, "y.conf");
	snprintf(dir, sizeof(dir), "%s/generations/%s", b->st.lib, e.name);
	assert_int_equal(files_write(dir, "policy", "filter on eth0 {\n\tdefault pass\n}\n", 34, false, NULL), 0);
	assert_int_equal(store_again(&b->st, e.name, &p, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "is damaged: it is not the policy that was applied"));
	store_free(&p);
	assert_int_equal(files_write(dir, "meta", "number x\n", 9, false, NULL), 0);
	assert_int_equal(store_again(&b->st, e.name, &p, &err), -EBADMSG);
	store_free(&p);
	assert_int_equal(store_again(&b->st, "../../etc", &p, &err), -EBADMSG);
	store_free(&p);
}

/* What became of a set's file is made good by whoever has its contents again. */
static void repair(void **state)
{
	static const char *const wrong[] = {"198.51.100.9\n", "198.51.100", ""};
	struct box *b = *state;
	struct store_policy p;
	struct store_entry e;
	struct sluice_err err = {0};
	char dir[sizeof(b->st.lib) + 8], hash[65];
	size_t i;

	put(b, "z.netset", "198.51.100.7\n");
	put(b, "z.conf", "set s from \"z.netset\"\nfilter on eth0 {\n drop from @s\n default pass\n}\n");
	e = keep(b, "z.conf");
	assert_int_equal(store_again(&b->st, e.name, &p, &err), 0);
	memcpy(hash, p.files[0].hash, sizeof(hash));
	store_free(&p);
	snprintf(dir, sizeof(dir), "%s/files", b->st.lib);
	for (i = 0; i < 3; i++) {
		assert_int_equal(files_write(dir, hash, wrong[i], strlen(wrong[i]), false, NULL), 0);
		assert_int_equal(store_again(&b->st, e.name, &p, &err), -EBADMSG);
		store_free(&p);
		keep(b, "z.conf");
		if (store_again(&b->st, e.name, &p, &err))
			fail_msg("%s", err.text);
		store_free(&p);
	}
}

static void confirmed(void **state)
{
	struct box *b = *state;
	char name[CONTROL_NAME], temp[160];
	struct sluice_err err = {0};
	struct store_entry e;

	assert_int_equal(store_confirmed(&b->st, name, NULL), -ENOENT);
	/* what restore could not read is not noted */
	assert_int_equal(store_confirm(&b->st, "7-0123456789ab", &err), -ENOENT);
	assert_non_null(strstr(err.text, "policy 7-0123456789ab is not in the history"));
	assert_int_equal(store_confirmed(&b->st, name, NULL), -ENOENT);
	put(b, "a.conf", "filter on eth0 {\n drop icmp\n}\n");
	e = keep(b, "a.conf");
	snprintf(temp, sizeof(temp), "%s/.confirmed.new", b->st.lib);
	assert_int_equal(store_ready(&b->st, e.name, NULL), 0);
	assert_int_equal(access(temp, F_OK), 0);
	assert_int_equal(store_confirmed(&b->st, name, NULL), -ENOENT);
	assert_int_equal(store_confirm(&b->st, e.name, NULL), 0);
	assert_int_equal(access(temp, F_OK), -1);
	assert_int_equal(store_confirmed(&b->st, name, NULL), 0);
	assert_string_equal(name, e.name);
	/* it says so already: nothing is written */
	assert_int_equal(store_ready(&b->st, e.name, NULL), 0);
	assert_int_equal(access(temp, F_OK), -1);
	/* what was made ready for another one, or torn, is not taken */
	assert_int_equal(files_write(b->st.lib, ".confirmed.new", "2-01", 4, false, NULL), 0);
	assert_int_equal(store_confirm(&b->st, "", NULL), 0);
	assert_int_equal(store_confirmed(&b->st, name, NULL), 0);
	assert_string_equal(name, "");
	assert_int_equal(files_write(b->st.lib, "confirmed", "../../x\n", 8, false, NULL), 0);
	assert_int_equal(store_confirmed(&b->st, name, NULL), -EBADMSG);
}

/* Sixteen stay, and what is named; files that nobody needs go. */
static void prune(void **state)
{
	struct box *b = *state;
	struct store_entry first = {.number = 0}, *v;
	char text[128], path[256];
	const char *named[2];
	struct stat st;
	uint32_t i, n;

	put(b, "z.netset", "192.0.2.7\n");
	put(b, "z.conf", "set s from \"z.netset\"\nfilter on eth0 {\n drop from @s\n}\n");
	first = keep(b, "z.conf");
	for (i = 1; i <= 20; i++) {
		snprintf(text, sizeof(text), "filter on eth0 {\n drop udp to port %u\n}\n", i);
		put(b, "z.conf", text);
		keep(b, "z.conf");
	}
	assert_int_equal(store_confirm(&b->st, first.name, NULL), 0);
	named[0] = "";
	store_prune(&b->st, named, 1);
	assert_int_equal(store_history(&b->st, &v, &n, NULL), 0);
	assert_int_equal(n, STORE_KEPT + 1);
	assert_string_equal(v[n - 1].name, first.name); /* restore wants it */
	free(v);
	assert_int_equal(store_confirm(&b->st, "", NULL), 0);
	named[0] = first.name;
	named[1] = "";
	store_prune(&b->st, named, 2);
	assert_int_equal(store_history(&b->st, &v, &n, NULL), 0);
	assert_int_equal(n, STORE_KEPT + 1);
	assert_string_equal(v[n - 1].name, first.name);
	free(v);
	snprintf(path, sizeof(path), "%s/files", b->st.lib);
	assert_int_equal(stat(path, &st), 0);
	store_prune(&b->st, named + 1, 1);
	assert_int_equal(store_history(&b->st, &v, &n, NULL), 0);
	assert_int_equal(n, STORE_KEPT);
	free(v);
	assert_int_equal(rmdir(path), 0); /* it is empty */
}

static void lines(void **state)
{
	uint64_t v = 5;
	char word[8];

	(void)state;
	assert_true(files_line("a 1\nab xyz\n", "ab", word, sizeof(word)));
	assert_string_equal(word, "xyz");
	assert_false(files_line("a 1\nab waytoolong\n", "ab", word, sizeof(word)));
	assert_false(files_line("abc 1\n", "ab", word, sizeof(word)));
	assert_true(files_number("n 18446744073709551615\n", "n", &v));
	assert_true(v == UINT64_MAX);
	assert_false(files_number("n 18446744073709551616\n", "n", &v));
	assert_false(files_number("n -1\n", "n", &v));
	assert_true(control_name_ok("7-0123456789ab"));
	assert_false(control_name_ok("7-0123456789a"));
	assert_false(control_name_ok("-0123456789ab"));
	assert_false(control_name_ok("7-0123456789ab/"));
	assert_false(control_name_ok("77777777777-0123456789ab"));
	assert_false(control_name_ok(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, make, drop),
		cmocka_unit_test_setup_teardown(damage, make, drop),
		cmocka_unit_test_setup_teardown(repair, make, drop),
		cmocka_unit_test_setup_teardown(confirmed, make, drop),
		cmocka_unit_test_setup_teardown(prune, make, drop),
		cmocka_unit_test(lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
