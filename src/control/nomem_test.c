// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Out of memory in the 1st, 2nd, 3rd... allocation of a plan and of the guard: a whole answer or -ENOMEM, and nothing
 * is left.
 */
#include <stdio.h>

#include "base/test_nomem.h"
#include "control/guard.h"
#include "control/plan.h"

#if !NOMEM_TEST
int main(void)
{
	puts("1..1\nok 1 - out of memory # SKIP the sanitizer has its own malloc()");
	return 0;
}
#else
static const char old_text[] =
	"set a { 10.0.0.1 }\nset b { 10.0.0.2 }\nfilter on lo {\n drop from @a\n drop from @b\n"
	" count tcp\n limit udp to 1/s per source as \"udp\"\n}\n";
static const char new_text[] = "set a { 10.0.0.3 }\nfilter on { lo, eth9 } {\n count tcp\n drop from @a\n"
			       " limit tcp to 1/s per source\n limit udp to 2/s as \"udp\"\n}\n";
static struct policy *old, *now;

static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	(void)path;
	(void)max;
	(void)err;
	buf_put(to, ctx, strlen(ctx));
	return 0;
}

static int in_set(void *ctx, const char *set, const struct net_addr *addr)
{
	(void)ctx;
	(void)set;
	(void)addr;
	return 1;
}

static int plan(void)
{
	struct control_plan *made;
	struct buf text = {0};
	int e = control_plan_new(old, now, NULL, &made, NULL);

	if (!e)
		control_plan_print(made, true, &text);
	if (text.failed)
		e = -ENOMEM;
	buf_free(&text);
	control_plan_free(made);
	return e;
}

/*
 * The session is dropped by @a, which has every address when the policy runs. It is given: the C library's getline()
 * has memory from within, which cannot be counted here.
 */
static int guard(void)
{
	static const struct net_if lo[] = {{.index = 1, .name = "lo"}};
	struct control_guard_opts o = {.interfaces = lo, .n_interfaces = 1, .in_set = in_set};
	struct control_session s = {.own = false};
	struct control_sessions all = {.v = &s, .n = 1};

	if (control_session_parse("127.0.0.7 50022 127.0.0.1 22", &s, NULL))
		return 0;
	return control_guard_sessions(now, &o, &all, NULL);
}

/* want: the answer with memory, and the only other one than -ENOMEM */
static void each_allocation(const char *what, int (*ask)(void), int want)
{
	long n, before;
	bool failed = true;
	int e;

	assert_int_equal(ask(), want); /* what libraries keep for good, they have now */
	for (n = 0; failed; n++) {
		before = nomem_live;
		nomem_begin(n);
		e = ask();
		failed = nomem_end();
		if (e != want && e != -ENOMEM)
			fail_msg("%s: allocation %ld failed, and the answer was %d", what, n, e);
		if (nomem_live != before)
			fail_msg("%s: allocation %ld failed, and %ld pieces of memory are left", what, n,
				 nomem_live - before);
	}
	assert_int_equal(e, want);
	assert_in_range(n, 10, 100000);
	print_message("# %s: %ld allocations\n", what, n - 1);
}

static void plans(void **state)
{
	(void)state;
	each_allocation("plan", plan, 0);
}

static void guards(void **state)
{
	(void)state;
	each_allocation("guard", guard, -EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(plans), cmocka_unit_test(guards)};
	struct policy_files files = {.read = read_text, .ctx = (void *)(uintptr_t)old_text};
	int rc;

	if (policy_read("old.conf", &files, &old, NULL))
		return 1;
	files.ctx = (void *)(uintptr_t)new_text;
	if (policy_read("new.conf", &files, &now, NULL))
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	policy_free(old);
	policy_free(now);
	return rc;
}
#endif
