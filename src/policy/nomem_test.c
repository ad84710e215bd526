// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Out of memory in the 1st, 2nd, 3rd... allocation: a policy is read, or the answer is -ENOMEM, and nothing
 * is left. libpcap's and tsearch()'s calls count, too.
 */
#include <stdio.h>

#include "base/test_nomem.h"
#include "policy/oracle.h"
#include "policy/policy.h"

#if !NOMEM_TEST
int main(void)
{
	puts("1..1\nok 1 - out of memory # SKIP the sanitizer has its own malloc()");
	return 0;
}
#else
static const char text[] =
	"define web = { 80, 443 }\n"
	"interface eth0 { mode auto }\n"
	"set a { 10.0.0.0/8, 2001:db8::/32 }\n"
	"set b from \"list\"\n"
	"include \"more\"\n"
	"filter on eth0 {\n"
	"\tdrop tcp from not { 10.0.0.1, 10.0.0.3 } to port $web as \"a\"\n"
	"\tlimit udp to 1k/s per source\n"
	"\tpass from @a to @b\n"
	"\tdrop matching \"tcp port 22 and ip[8] > 3\"\n"
	"\tdrop vlan { 1, 3 } ether from { multicast, 02:00:00:00:00:01 } in eth0 length { 60, 70 }\n"
	"}\n"
	"balance seed \"s\"\n"
	"balance web on eth0 {\n"
	"\tvirtual { 10.0.0.1, 2001:db8::1 } tcp port $web\n"
	"\tforward ipip\n"
	"\tbackend { 10.1.0.1, 10.1.0.2 } weight 3\n"
	"\tbackend 10.1.0.3\n"
	"\tcheck http \"/\" host \"h\" direct\n"
	"}\n";

static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const char *what = strstr(path, "list")	  ? "10.0.0.1\n10.0.0.9\n"
			   : strstr(path, "more") ? "# nothing\n"
						  : text;

	(void)ctx;
	(void)max;
	(void)err;
	buf_put(to, what, strlen(what));
	return to->failed ? -ENOMEM : 0;
}

static int everything(void)
{
	static const struct policy_files files = {.read = read_text};
	struct policy_oracle *o = NULL;
	struct policy_packet k;
	struct policy_answer a;
	struct policy *p;
	uint8_t frame[128];
	int e = policy_read("x", &files, &p, NULL);

	if (!e)
		e = policy_oracle_new(p, 0, &o, NULL);
	if (!e)
		e = packet_words("udp 10.1.0.1:1 > 10.0.0.2:2", frame, sizeof(frame), &k, NULL);
	if (!e)
		e = policy_oracle_decide(o, &k, 0, NULL, &a, NULL);
	policy_oracle_free(o);
	/* libpcap says "out of memory" as one of its mistakes: then the text has one more */
	if (e == -EINVAL && p && p->n_errors == 1 && !strncmp(p->diags[0].text, "libpcap: ", 9))
		e = -ENOMEM;
	policy_free(p);
	return e;
}

static void nth(void **state)
{
	long n, before;
	int e = -ENOMEM;

	(void)state;
	assert_int_equal(everything(), 0); /* what libraries keep for good, they have now */
	for (n = 0; e && n < 100000; n++) {
		before = nomem_live;
		nomem_begin(n);
		e = everything();
		nomem_end();
		if (e && e != -ENOMEM)
			fail_msg("allocation %ld failed, and the answer was %d", n, e);
		if (nomem_live != before)
			fail_msg("allocation %ld failed, and %ld pieces of memory are left", n,
				 nomem_live - before);
	}
	assert_int_equal(e, 0);
	assert_in_range(n, 30, 100000);
	print_message("# %ld allocations\n", n - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(nth)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
