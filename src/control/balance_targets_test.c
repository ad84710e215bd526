// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What of a policy is checked: what cannot be checked is told, and takes nothing else along. */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/test.h"
#include "control/balance_targets.h"

struct told {
	char sentences[8][512];
	size_t n;
};

static void tell(void *ctx, const char *sentence)
{
	struct told *t = ctx;

	assert_true(t->n < 8);
	snprintf(t->sentences[t->n++], sizeof(t->sentences[0]), "%s", sentence);
}

static int from_memory(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	(void)path;
	(void)max;
	(void)err;
	buf_put(to, ctx, strlen(ctx));
	return 0;
}

/* Two services, of which the first is checked as it says there; *p has to be freed. */
static void read_two(const char *check, struct policy **p)
{
	char text[4096];
	struct policy_files files = {.read = from_memory, .ctx = text};
	struct sluice_err err = {0};

	snprintf(text, sizeof(text),
		 "balance first on eth0 { virtual 203.0.113.10 tcp port 80; forward l2; backend { 10.1.0.1, "
		 "10.1.0.2 }; check %s }\n"
		 "balance second on eth0 { virtual 203.0.113.11 tcp port 80; forward l2; backend 10.1.0.3; "
		 "check tcp }\n",
		 check);
	if (policy_read("memory", &files, p, &err))
		fail_msg("%s", err.text);
}

/* The second service is checked whatever is wrong with the first, of which one sentence is told. */
static void second_alone(const struct policy *p, const char *sentence)
{
	struct targets none = {0}, t;
	struct told told = {.n = 0};
	struct sluice_err err = {0};
	struct health_options o = {.on_change = NULL};
	struct health *h;

	assert_int_equal(targets_make(&p->services, p, &none, false, tell, &told, &t, &err), 0);
	assert_int_equal(told.n, sentence ? 1 : 0);
	if (sentence)
		assert_string_equal(told.sentences[0], sentence);
	assert_int_equal(t.n, 3);
	assert_int_equal(t.n_targets, sentence ? 1 : 3);
	assert_int_equal(t.targets[t.n_targets - 1].addr.bytes[3], 3);
	assert_int_equal(health_new(&o, &h, &err), 0);
	if (health_apply(h, t.probes, t.n_probes, t.targets, t.n_targets, NULL, &err))
		fail_msg("%s", err.text);
	health_free(h);
	targets_drop(&none, &t);
}

static void test_all(void **state)
{
	static const char *const checks[] = {"tcp",
					     "icmp",
					     "http \"/\" host \"a\"",
					     "https \"/\"",
					     "command \"/bin/true a b\"",
					     "command \"true\""};
	struct policy *p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
		read_two(checks[i], &p);
		second_alone(p, NULL);
		policy_free(p);
	}
}

/* Texts that the language does not let through. */
static void test_texts(void **state)
{
	char text[1200] = "/";
	struct policy *p;
	size_t i;

	(void)state;
	memset(text + 1, 'x', 1024);
	read_two("http \"/\"", &p);
	p->balances[0].health.text = text;
	second_alone(p, "service first, 10.1.0.1 cannot be checked: a path begins with '/', has no blanks "
			"and at most 1024 bytes");
	p->balances[0].health.text = "/";
	p->balances[0].health.host = text;
	second_alone(p,
		     "service first, 10.1.0.1 cannot be checked: a host has no blanks and 1 to 1024 bytes");
	policy_free(p);
	read_two("command \"/bin/true\"", &p);
	p->balances[0].health.text = text;
	second_alone(p,
		     "service first, 10.1.0.1 cannot be checked: a word of a command has at most 1024 bytes");
	p->balances[0].health.text = "  ";
	second_alone(p, "service first, 10.1.0.1 cannot be checked: a command has 1 to 32 words, not 0");
	for (i = 0; i < 33; i++)
		memcpy(text + 2 * i, i ? " x" : "/x", 3);
	p->balances[0].health.text = text;
	second_alone(p, "service first, 10.1.0.1 cannot be checked: a command has 1 to 32 words, not 33");
	p->balances[0].health.text = "no-such-program-anywhere";
	second_alone(p, "service first, 10.1.0.1 cannot be checked: there is no such program in "
			"/usr/local/sbin and so on; give its path");
	policy_free(p);
}

static void test_answers(void **state)
{
	struct targets none = {0}, t;
	struct told told = {.n = 0};
	struct sluice_err err;
	struct policy *p;

	(void)state;
	read_two("https \"/x\" verify host \"a.example\" body \"it is up\" status 200", &p);
	assert_int_equal(targets_make(&p->services, p, &none, false, tell, &told, &t, &err), 0);
	assert_int_equal(t.probes[0].kind, HEALTH_HTTPS);
	assert_true(t.probes[0].verify);
	assert_string_equal(t.probes[0].path, "/x");
	assert_string_equal(t.probes[0].host, "a.example");
	assert_string_equal(t.probes[0].body, "it is up");
	targets_drop(&none, &t);
	policy_free(p);
}

/* Another virtual address, or another port of the tunnel, is another way for the same mark. */
static void test_tunnels(void **state)
{
	struct targets none = {0}, t;
	struct told told = {.n = 0};
	struct sluice_err err;
	struct policy *p;

	(void)state;
	read_two("tcp", &p);
	p->services.services[0]->mode = BALANCE_GUE;
	p->services.services[0]->gue_port = 6080;
	assert_int_equal(targets_make(&p->services, p, &none, true, tell, &told, &t, &err), 0);
	assert_int_equal(told.n, 0);
	assert_int_equal(t.n_targets, 3);
	assert_int_equal(t.n_inner, 2);
	assert_true(t.targets[0].mark && t.targets[0].mark != t.targets[1].mark);
	assert_memory_equal(t.targets[0].through.bytes, ((uint8_t[]){203, 0, 113, 10}), 4);
	assert_int_equal(t.targets[0].through_port, 6080);
	assert_int_equal(t.targets[2].mark + t.targets[2].through.bytes[0], 0);
	targets_drop(&none, &t);
	policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_tunnels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
