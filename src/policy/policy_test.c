// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Policies as a whole: how long large and hostile ones take, where files come from, keys of rules. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/test.h"
#include "policy/policy.h"
#include "policy/words.h"

static struct buf text, other;

/* main.conf is text, anything else other. */
static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const struct buf *from = strcmp(path, "main.conf") ? &other : &text;

	(void)ctx;
	(void)err;
	if (from->len > max)
		return -EFBIG;
	buf_put(to, from->data, from->len);
	return 0;
}

static uint64_t took_ms;

static struct policy *read_policy(int *e)
{
	static const struct policy_files files = {.read = read_text};
	struct sluice_err err = {0};
	struct policy *p;
	uint64_t from = clock_cpu_ns();

	*e = policy_read("main.conf", &files, &p, &err);
	took_ms = (clock_cpu_ns() - from) / 1000000;
	assert_non_null(p);
	return p;
}

/* Sanitizers make everything slow: then it is only looked at whether it ends. */
static void within(uint64_t ms, const char *what)
{
	print_message("# %s: %u ms\n", what, (unsigned int)took_ms);
#if !defined(__SANITIZE_ADDRESS__)
	if (took_ms > ms)
		fail_msg("%s took %u ms, at most %u are allowed", what, (unsigned int)took_ms,
			 (unsigned int)ms);
#else
	(void)ms;
#endif
}

static uint64_t rng = 5;

static uint32_t below(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 20) % n;
}

static void put_prefix(struct buf *to)
{
	static const unsigned int lengths[] = {8, 16, 20, 24, 24, 28, 32, 32};
	unsigned int len = lengths[below(8)];
	uint32_t a = (below(1u << 31) << 1) & UINT32_MAX << (32 - len);

	buf_printf(to, "%u.%u.%u.%u/%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255, len);
}

/* Five fields a rule, the shape of ClassBench's. */
static void five_fields(struct buf *to)
{
	buf_printf(to, "\t%s %s from ", below(2) ? "pass" : "drop", below(2) ? "tcp" : "udp");
	put_prefix(to);
	buf_printf(to, " to ");
	put_prefix(to);
	buf_printf(to, " port %u\n", below(65536));
}

static void ports_and_ttl(struct buf *to)
{
	uint32_t first = below(60000);

	buf_printf(to, "\tdrop tcp to port %u-%u ttl %u\n", first, first + below(5000), below(256));
}

static void with_names(struct buf *to)
{
	static unsigned int n;

	buf_printf(to, "\tcount udp from { ");
	put_prefix(to);
	buf_printf(to, ", ");
	put_prefix(to);
	buf_printf(to, " } as \"rule %u\"\n", n++);
}

static void with_ipv6(struct buf *to)
{
	buf_printf(to, "\tdrop tcp from 2001:db8:%x::/48 to 2001:db8:%x:%x::/64 port { 80, %u }\n",
		   below(65536), below(65536), below(65536), below(65536));
}

static void hundred_thousand(void **state)
{
	static void (*const rules[])(struct buf *) = {five_fields, ports_and_ttl, with_names, with_ipv6};
	static const char *const names[] = {"five fields", "port ranges", "names and lists", "IPv6"};
	struct policy *p;
	size_t i;
	int n, e;

	(void)state;
	for (i = 0; i < 4; i++) {
		text.len = 0;
		buf_printf(&text, "filter on eth0 {\n");
		for (n = 0; n < 100000; n++)
			rules[i](&text);
		buf_printf(&text, "}\n");
		p = read_policy(&e);
		assert_int_equal(e, 0);
		assert_int_equal(p->rulesets[0].n, 100000);
		within(1000, names[i]);
		policy_free(p);
	}
}

/* The same bytes again and again between a beginning and an end. */
static void repeat(const char *begin, const char *again, size_t n, const char *end)
{
	text.len = 0;
	buf_printf(&text, "%s", begin);
	while (n--)
		buf_put(&text, again, strlen(again));
	buf_printf(&text, "%s", end);
}

static void hostile(void **state)
{
	static const struct {
		const char *what, *begin, *again;
		size_t n;
		const char *end;
	} texts[] = {
		{"braces", "", "{", 2000000, ""},
		{"braces in a rule", "filter on eth0 {\ndrop from ", "{ ", 1000000, "\n}\n"},
		{"quotes", "filter on eth0 {\n", "\"", 2000000, "\n}\n"},
		{"mistakes", "filter on eth0 {\n", "x\n", 1000000, "}\n"},
		{"mistakes in a list", "filter on eth0 {\ndrop from {", "x ", 1000000, "}\n}\n"},
		{"unknown sets", "filter on eth0 {\n", "drop from @nosuchset\n", 100000, "}\n"},
		{"one line", "filter on eth0 {\ndrop from {", "10.0.0.1, ", 500000, "}\n}\n"},
		{"nots", "filter on eth0 {\ndrop ", "not ", 1000000, "\n}\n"},
		{"control characters", "", "\x01\x02", 1000000, ""},
		{"blank lines", "", "\n", 4000000, ""},
		{"rules for nothing", "filter on eth0 {\n", "drop\n", 300000, "}\n"},
		{"the same rule", "filter on eth0 {\n", "drop tcp from 10.0.0.0/8 to port 80\n", 200000,
		 "}\n"},
		{"one list again and again",
		 "define l = { 10.0.0.1, 10.0.0.3, 10.0.0.5, 10.0.0.7, 10.0.0.9, 10.0.0.11 }\nfilter on eth0 "
		 "{\n",
		 "drop udp from $l to not $l\n", 50000, "}\n"},
		{"the same expression", "filter on eth0 {\n", "drop matching \"udp port 53\"\n", 100000,
		 "}\n"},
		{"interfaces", "filter on { ", "eth* ", 100000, "} {\n}\n"},
		{"filters", "", "filter on eth0 { }\n", 100000, ""},
		{"sets", "", "set a { }\n", 200000, ""},
		{"patterns", "filter on { a*, b*, c*, d*, e* } {\n",
		 "drop in { f, g, h, i, j, k, l, m, n, o, p }\n", 20000, "}\n"},
		{"wide rules", "filter on eth0 {\n", "drop tcp from not 10.0.0.1 to not 10.0.0.2 ttl not 3\n",
		 100000, "}\n"},
	};
	struct policy *p;
	size_t i;
	int e;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		repeat(texts[i].begin, texts[i].again, texts[i].n, texts[i].end);
		p = read_policy(&e);
		within(1500, texts[i].what);
		assert_in_range(p->n_diags, 0, POLICY_DIAGS_MAX);
		policy_free(p);
	}
}

static void says(const struct policy *p, const char *sentence)
{
	uint32_t i;

	for (i = 0; i < p->n_diags; i++)
		if (!strcmp(p->diags[i].text, sentence))
			return;
	fail_msg("not said: %s", sentence);
}

/* Variables that grow by being put into each other, files that include two more each. */
static void bombs(void **state)
{
	struct policy *p;
	int i, e;

	(void)state;
	text.len = 0;
	buf_printf(&text, "define v0 = 1 2 3 4 5 6 7 8\n");
	for (i = 1; i < 60; i++)
		buf_printf(&text, "define v%d = $v%d $v%d $v%d $v%d\n", i, i - 1, i - 1, i - 1, i - 1);
	p = read_policy(&e);
	assert_int_equal(e, -EINVAL);
	says(p, "variables are more than 4194304 words when written out");
	within(1500, "variables");
	policy_free(p);

	text.len = other.len = 0;
	buf_printf(&text, "include \"a/x\"\n");
	buf_printf(&other, "include \"a/x\"\ninclude \"b/x\"\n");
	p = read_policy(&e);
	assert_int_equal(e, -EINVAL);
	says(p, "files include each other more than 16 deep");
	within(1500, "files");
	assert_in_range(p->n_sources, 17, POLICY_FILES_MAX);
	policy_free(p);
}

/* A rule keeps its key when others come and go, or when it has a name and changes. */
static void keys(void **state)
{
	struct buf scratch = {0};
	uint64_t a, b, c;
	struct policy *p;
	int e;

	(void)state;
	text.len = 0;
	buf_printf(&text,
		   "filter on eth0 {\n drop tcp  from { 10.0.0.0/8 }\n pass udp as \"x\"\n pass icmp\n}\n");
	p = read_policy(&e);
	a = policy_rule_key(&p->filters[0].stmts[0], &scratch);
	b = policy_rule_key(&p->filters[0].stmts[1], &scratch);
	c = policy_rule_key(&p->filters[0].stmts[2], &scratch);
	policy_free(p);
	text.len = 0;
	buf_printf(&text,
		   "filter on eth0 {\n drop sctp as \"x\"\n drop from 10.0.0.0/8 tcp\n drop icmp\n}\n");
	p = read_policy(&e);
	assert_true(b == policy_rule_key(&p->filters[0].stmts[0], &scratch));
	assert_true(a == policy_rule_key(&p->filters[0].stmts[1], &scratch));
	assert_true(c != policy_rule_key(&p->filters[0].stmts[2], &scratch));
	policy_free(p);
	buf_free(&scratch);
}

/* Which rule covers which: the second matches nothing that the first does not, whatever is in the sets. */
static void covers(void **state)
{
	static const struct {
		const char *a, *b;
		bool covers;
	} pairs[] = {
		{"", "arp", true},
		{"ip", "arp", false},
		{"ip", "tcp", true},
		{"tcp", "tcp from 10.0.0.1 to port 80", true},
		{"tcp to port 80", "tcp", false},
		{"tcp to port { 80, 443 }", "tcp to port 443", true},
		{"tcp to port 80-90", "tcp to port { 80, 85-91 }", false},
		{"proto not udp", "proto { tcp, gre }", true},
		{"icmp", "icmp4 type 8", true},
		{"icmp4", "icmp type echo-request", false},
		{"from 10.0.0.0/8", "from { 10.1.0.0/16, 10.2.0.1 }", true},
		{"from 10.0.0.0/8", "from { 10.1.0.0/16, 2001:db8::/32 }", false},
		{"from { 10.0.0.0/8, 2001:db8::/32 }", "from { 10.1.0.0/16, 2001:db8:1::/48 }", true},
		{"from not 10.0.0.0/8", "from 11.0.0.1", true},
		{"from not 10.0.0.0/8", "from 10.0.0.1", false},
		{"from @s", "udp from @s", true},
		{"from { @s, @t }", "from @s", true},
		{"from @s", "from { @s, @t }", false},
		{"from @s", "from 198.51.100.1", false}, /* which is in it, but may not stay there */
		{"from 198.51.100.0/24", "from @s", false},
		{"from not @s", "from not @s", true},
		{"from not @s", "from not { @s, 10.0.0.1 }", true},
		{"from not { @s, 10.0.0.1 }", "from not @s", false},
		{"from not @s", "from not { @s, @t }", true},
		{"from not { @s, @t }", "from not @s", false},
		{"from not @s", "from @t", false},
		{"tcp flags syn", "tcp flags syn,fin", true},
		{"tcp flags syn/syn,ack", "tcp flags syn", false},
		{"length > 100", "length 200-300", true},
		{"length > 100", "length > 99", false},
		{"vlan any", "vlan 7", true},
		{"vlan any", "vlan { 7, none }", false},
		{"fragment", "fragment later", true},
		{"in eth0", "tcp in eth0", true},
		{"in eth0", "in eth*", false},
		{"matching \"udp\"", "ip4 matching \"udp\"", true},
		{"matching \"udp\"", "udp", false},
		{"matching \"udp\"", "not matching \"udp\"", false},
		{"malformed", "malformed cut", true},
		{"ether type arp", "ether type { arp, lldp }", false},
	};
	const struct policy_rule *r;
	struct policy *p;
	size_t i;
	int e;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		text.len = 0;
		buf_printf(&text,
			   "set s { 198.51.100.0/24 }\nset t { 192.0.2.0/24 }\nfilter on eth0 {\ncount "
			   "%s\ncount %s\n}\n",
			   pairs[i].a, !strcmp(pairs[i].b, "arp") ? "ether type arp" : pairs[i].b);
		p = read_policy(&e);
		assert_int_equal(e, 0);
		r = p->rulesets[0].rules;
		if (policy_rule_covers(&r[0], &r[1]) != pairs[i].covers)
			fail_msg("'%s' covers '%s': not %d", pairs[i].a, pairs[i].b, pairs[i].covers);
		policy_free(p);
	}
}

/* What a text holds does not reach the terminal as it is; a line of nothing but parts of characters is a
 * line, too. */
static void terminal(void **state)
{
	struct buf said = {0};
	struct policy *p;
	int e;

	(void)state;
	text.len = 0;
	buf_printf(&text, "filter on eth0 {\n\xc2\x9b\x1b[2J \xe2\x82\xac \xff\n}\n");
	p = read_policy(&e);
	assert_int_equal(e, -EINVAL);
	policy_diag_print(p, &p->diags[0], &said);
	buf_put(&said, "", 1);
	assert_string_equal((char *)said.data, "main.conf:2:1: error: a character that has no meaning here; "
					       "such stand in comments and strings only\n"
					       "    2 | ??[2J \xe2\x82\xac ?\n"
					       "      | ^\n");
	policy_free(p);
	repeat("", "\x85", 1000, "x");
	p = read_policy(&e);
	said.len = 0;
	policy_diag_print(p, &p->diags[p->n_diags - 1], &said);
	assert_in_range(said.len, 50, 400);
	policy_free(p);
	buf_free(&said);
}

/* Names of files are seen from the file they stand in; printed, from the outermost. */
static int read_tree(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	struct buf *asked = ctx;

	(void)max;
	(void)err;
	buf_printf(asked, "%s ", path);
	if (!strcmp(path, "conf/main.conf"))
		buf_printf(to, "set outer from \"o.netset\"\ninclude \"sub/rules\"\n");
	else if (!strcmp(path, "conf/sub/rules"))
		buf_printf(to, "set inner from \"i.netset\"\nset far from \"/far.netset\"\n");
	else
		buf_printf(to, "10.0.0.1\n");
	return 0;
}

static void paths(void **state)
{
	struct buf asked = {0}, printed = {0};
	struct policy_files files = {.read = read_tree, .ctx = &asked};
	struct policy *p;

	(void)state;
	assert_int_equal(policy_read("conf/main.conf", &files, &p, NULL), 0);
	assert_string_equal((char *)asked.data,
			    "conf/main.conf conf/sub/rules conf/o.netset conf/sub/i.netset /far.netset ");
	policy_print(p, &printed);
	buf_put(&printed, "", 1);
	assert_string_equal((char *)printed.data, "set outer from \"o.netset\"\nset inner from "
						  "\"sub/i.netset\"\nset far from \"/far.netset\"\n");
	policy_free(p);
	buf_free(&asked);
	buf_free(&printed);
}

/* A word is as long as it says, whatever bytes are in it. */
static void words(void **unused)
{
	(void)unused;
	assert_non_null(words_find(WORDS_PROTOS, "tcp", 3));
	assert_null(words_find(WORDS_PROTOS, "tcp", 2));
	assert_null(words_find(WORDS_PROTOS, "tcp\0\0\0\0\0\0\0\0\0\0\0\0\0", 16));
}

/* What has become a mistake since a policy was applied is read as it was, so that it comes back at boot, under its hash. */
static void kept(void **state)
{
	static const struct policy_files now = {.read = read_text}, again = {.read = read_text, .kept = true};
	static const char was[] = "filter on eth0 {\n"
				  "\tdrop from { ::ffff:192.0.2.1, ::ffff:10.0.0.0/104 }\n"
				  "\tdrop matching \"inbound and tcp\"\n"
				  "\tdefault pass\n"
				  "}\n";
	struct sluice_err err = {0};
	struct buf printed = {0};
	struct policy *p;

	(void)state;
	text.len = 0;
	buf_put(&text, was, strlen(was));
	assert_int_equal(policy_read("main.conf", &now, &p, &err), -EINVAL);
	assert_int_equal(p->n_errors, 3);
	policy_free(p);
	if (policy_read("main.conf", &again, &p, &err))
		fail_msg("%s", err.text);
	policy_print(p, &printed);
	buf_put(&printed, "", 1);
	assert_string_equal((char *)printed.data, was);
	policy_free(p);
	text.len = 0;
	buf_put(&text, "filter on eth0 { drop matching \"ip protochain 6\" }", 49);
	assert_int_equal(policy_read("main.conf", &again, &p, &err), -EINVAL);
	policy_free(p);
	buf_free(&printed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hundred_thousand),
		cmocka_unit_test(hostile),
		cmocka_unit_test(bombs),
		cmocka_unit_test(keys),
		cmocka_unit_test(covers),
		cmocka_unit_test(terminal),
		cmocka_unit_test(paths),
		cmocka_unit_test(kept),
		cmocka_unit_test(words),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	buf_free(&text);
	buf_free(&other);
	return rc;
}
