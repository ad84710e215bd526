// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/test.h"
#include "bpf/probe.h"

static enum probe_answer judge(int error, bool privileged)
{
	struct probe_result r = {.answer = PROBE_YES, .why = "left over"};

	probe_judge(error, privileged, &r);
	/* a yes needs no reason, everything else does */
	assert_int_equal(r.answer == PROBE_YES, r.why[0] == '\0');
	assert_int_equal(r.refused, error == -EPERM && privileged);
	return r.answer;
}

static void errors(void **state)
{
	(void)state;
	assert_int_equal(judge(0, false), PROBE_YES);
	assert_int_equal(judge(17, true), PROBE_YES);
	assert_int_equal(judge(-EINVAL, true), PROBE_NO);
	assert_int_equal(judge(-EOPNOTSUPP, true), PROBE_NO);
	assert_int_equal(judge(-524, true), PROBE_NO);
	/* refused to a process that may nothing says nothing about the kernel */
	assert_int_equal(judge(-EPERM, false), PROBE_UNKNOWN);
	assert_int_equal(judge(-EPERM, true), PROBE_NO);
	assert_int_equal(judge(-ENOMEM, true), PROBE_UNKNOWN);
	assert_int_equal(judge(-EMFILE, true), PROBE_UNKNOWN);
}

static enum probe_answer helper(int error, const char *log, bool privileged)
{
	struct probe_result r;

	probe_judge_helper(error, log, privileged, &r);
	return r.answer;
}

static void helpers(void **state)
{
	(void)state;
	assert_int_equal(helper(-EINVAL, "0: (85) call unknown#999\ninvalid func unknown#999\n", true),
			 PROBE_NO);
	assert_int_equal(helper(-EINVAL, "unknown func bpf_loop#181\n", true), PROBE_NO);
	assert_int_equal(helper(-EINVAL, "program of this type cannot use helper bpf_bind#64\n", true),
			 PROBE_NO);
	assert_int_equal(helper(-EINVAL, "0: (85) call bpf_loop#181\nR1 type=ctx expected=scalar\n", true),
			 PROBE_YES);
	assert_int_equal(helper(-EACCES, "", true), PROBE_NO);
	assert_int_equal(helper(-EPERM, "", false), PROBE_UNKNOWN);
	assert_int_equal(helper(0, "", true), PROBE_YES);
}

static void lockdown(void **state)
{
	char word[32];

	(void)state;
	assert_true(probe_lockdown("none [integrity] confidentiality\n", word, sizeof(word)));
	assert_string_equal(word, "integrity");
	assert_true(probe_lockdown("[none] integrity confidentiality\n", word, sizeof(word)));
	assert_string_equal(word, "none");
	assert_false(probe_lockdown("none integrity\n", word, sizeof(word)));
	assert_false(probe_lockdown("[]", word, sizeof(word)));
	assert_false(probe_lockdown("[integrity", word, sizeof(word)));
	assert_false(probe_lockdown("", word, sizeof(word)));
	assert_false(probe_lockdown("[confidentiality]", word, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors),
		cmocka_unit_test(helpers),
		cmocka_unit_test(lockdown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
