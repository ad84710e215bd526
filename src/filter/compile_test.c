// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What is refused and how; that the same policy gives the same bytes; what is reported. Meaning:
 * tests/filter_check.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "abi/limit.h"
#include "base/test.h"
#include "filter/compile.h"

static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	(void)path, (void)max, (void)err;
	buf_put(to, ctx, strlen(ctx));
	return 0;
}

static struct policy *policy_of(const char *text)
{
	struct policy_files files = {.read = read_text, .ctx = (void *)(uintptr_t)text};
	struct sluice_err err;
	struct policy *p;

	assert_int_equal(policy_read("test.conf", &files, &p, &err), 0);
	return p;
}

static struct filter_tables *compile(const char *text, const struct filter_opts *opts)
{
	struct policy *p = policy_of(text);
	struct filter_tables *t;
	struct sluice_err err = {0};
	int e = filter_compile(p, 0, opts, &t, &err);

	if (e)
		fail_msg("%s", err.text);
	policy_free(p);
	return t;
}

static void refused(const char *text, int code, const char *says)
{
	struct policy *p = policy_of(text);
	struct sluice_err err = {0};
	struct filter_tables *t = (void *)&err;

	assert_int_equal(filter_compile(p, 0, NULL, &t, &err), code);
	assert_int_equal(err.code, code);
	assert_string_equal(err.text, says);
	assert_null(t);
	policy_free(p);
}

static void test_refused(void **state)
{
	struct buf text = {0};
	int i;

	(void)state;
	refused("filter on eth0 {\n redirect to eth7 udp\n}\n", -ENODEV,
		"rule 1 redirects to eth7: there is no such interface");
	/* every second address on both sides */
	buf_printf(&text, "set odd {");
	for (i = 0; i < 400; i++)
		buf_printf(&text, " 10.0.%d.%d", i / 100, i % 100 * 2 + 1);
	buf_printf(&text, " }\nfilter on eth0 {\n drop udp from @odd to @odd port { 53, 123 }\n}\n");
	assert_false(text.failed);
	refused((const char *)text.data, -ENOSPC,
		"the rule in test.conf:3 combines 400 prefixes of sources, 400 of destinations and 2 services: 320000 boxes "
		"after 0 of the rules before it, at most 131000 fit; 'not', ranges and lists of addresses become many "
		"prefixes: fewer of them on one side, or sets that have a file, a timeout or a size, are needed");
	/* more rules than bits are for, each but two of 32 x 32 boxes that go on */
	text.len = 0;
	buf_printf(&text, "filter on eth0 {\n");
	for (i = 0; i < 80; i++)
		buf_printf(&text, " count from not 10.0.%d.1 to not 10.1.%d.1\n", i, i);
	buf_printf(&text, " count proto 0-2 from not 10.2.0.1 to not 10.3.0.1\n drop tcp\n}\n");
	assert_false(text.failed);
	refused((const char *)text.data, -ENOSPC,
		"IPv4: lists of 83968 boxes would take about 83968 numbers, at most 65535 are allowed; 81 of the filter's "
		"82 rules go on, and of their boxes the one in test.conf:82 has the most, 2048: needed are fewer rules that "
		"go on (count, log, limit, and whatever asks for more than addresses, protocol, ports, flags, types and "
		"fragments), fewer 'not', ranges and lists in them, or no more than 64 rules in the filter, which hardly "
		"ever take lists");
	buf_free(&text);
}

/* Boxes of one rule make no lists of their own: 66 rules of 144 boxes each, all of which go on, fit. */
static void test_lists(void **state)
{
	struct filter_tables *t;
	struct buf text = {0};
	int i;

	(void)state;
	buf_printf(&text, "filter on eth0 {\n");
	for (i = 0; i < 66; i++)
		buf_printf(&text, " count from not %d.16.0.0/12 to not %d.16.0.0/12\n", 11 + i, 101 + i);
	buf_printf(&text, " drop tcp\n}\n");
	assert_false(text.failed);
	t = compile((const char *)text.data, NULL);
	assert_int_equal(t->report.n_boxes, 66 * (144 + 1) + 2); /* and one of IPv6 each */
	assert_true(t->config.lists && t->len <= FILTER_ROOM);
	filter_tables_free(t);
	buf_free(&text);
}

/* A filter of n rules, each with an expression of its own, so many words long. */
static void say_expressions(struct buf *text, uint32_t n, uint32_t words)
{
	uint32_t i, k;

	text->len = 0;
	buf_printf(text, "filter on eth0 {\n");
	for (i = 0; i < n; i++) {
		buf_printf(text, " drop matching \"len = %u", i);
		for (k = 0; k < words; k++)
			buf_printf(text, " or ip[ip[%u]] = %u", k, i);
		buf_printf(text, "\"\n");
	}
	buf_printf(text, "}\n");
	assert_false(text->failed);
}

static void test_expressions(void **state)
{
	struct filter_tables *t;
	struct buf text = {0};

	(void)state;
	t = compile("filter on eth0 {\n drop udp\n}\n", NULL);
	assert_int_equal(t->config.matching, FILTER_MATCHING_NONE);
	assert_int_equal(t->n_matching, 0);
	assert_null(t->matching);
	filter_tables_free(t);
	t = compile("filter on eth0 {\n drop matching \"udp\"\n pass not matching \"udp\"\n"
		    " count matching \"ip6 and udp\" to 2001:db8::1\n drop matching \"udp \"\n}\n",
		    NULL);
	/* the third is another, the fourth another text of the first */
	assert_int_equal(t->report.n_expressions, 2);
	assert_int_equal(t->config.matching, FILTER_MATCHING_SOME);
	assert_int_equal(t->report.n_rows, 4);
	assert_int_equal(t->config.uses, 1u << FACT_MATCHING_LO);
	filter_tables_free(t);
	t = compile("filter on eth0 {\n drop matching \"greater 100\"\n}\n", NULL);
	assert_int_equal(t->config.matching, FILTER_MATCHING_LEN);
	filter_tables_free(t);
	say_expressions(&text, FILTER_MATCHING_MOST, 0);
	t = compile((const char *)text.data, NULL);
	assert_int_equal(t->report.n_expressions, FILTER_MATCHING_MOST);
	assert_int_equal(t->config.uses, 1u << FACT_MATCHING_LO | 1u << FACT_MATCHING_HI);
	filter_tables_free(t);
	say_expressions(&text, FILTER_MATCHING_MOST + 1, 0);
	refused((const char *)text.data, -ENOSPC,
		"rule 63: a filter has at most 62 different pcap expressions");
	say_expressions(&text, 60, 20);
	refused((const char *)text.data, -ENOSPC, "60 pcap expressions become 41342 instructions, at most 16384 fit");
	buf_free(&text);
}

/* The place is found in a program that has one, and only there. */
static void test_place(void **state)
{
	static struct bpf_insn program[2 * FILTER_MATCHING_ROOM + 8];
	const uint32_t n = sizeof(program) / sizeof(*program), room = FILTER_MATCHING_ROOM;
	const struct bpf_insn nothing = {.code = BPF_JMP | BPF_JA}, other = {.code = BPF_JMP | BPF_EXIT},
			      made[2] = {{.code = 1}, {.code = 2}};
	struct sluice_err err = {0};
	uint32_t i;

	(void)state;
	for (i = 0; i < n; i++)
		program[i] = i >= 3 && i < 3 + room ? nothing : other;
	assert_int_equal(filter_matching_place(program, n, made, 2, &err), 0);
	assert_int_equal(program[2].code, other.code);
	assert_memory_equal(&program[3], made, sizeof(made));
	/* w0 = 0; if w0 == 0 goto behind the place */
	assert_int_equal(program[5].code, BPF_ALU | BPF_MOV | BPF_K);
	assert_int_equal(program[6].code, BPF_JMP32 | BPF_JEQ | BPF_K);
	assert_int_equal(6 + 1 + program[6].off, 3 + room);
	assert_memory_equal(&program[7], &nothing, sizeof(nothing));
	assert_int_equal(program[3 + room].code, other.code);
	assert_int_equal(filter_matching_place(program, n, made, 2, &err), -EBADMSG);
	assert_string_equal(err.text,
			    "the program has 0 places for pcap expressions, expected one of 16384 instructions");
	for (i = 0; i < n; i++)
		program[i] = i % (room + 1) ? nothing : other;
	assert_int_equal(filter_matching_place(program, n, made, 2, &err), -EBADMSG);
	assert_string_equal(err.text,
			    "the program has 2 places for pcap expressions, expected one of 16384 instructions");
}

static void test_same_bytes(void **state)
{
	static const char text[] =
		"filter on eth0 {\n count ip length > 100\n limit udp to 10/s per source burst 5\n"
		" drop from { 10.0.0.0/8, 2001:db8::/32 }\n pass tcp port 22 flags syn/syn,ack\n default "
		"drop\n}\n";
	struct filter_opts opts = {.seed = {1, 2, 3}};
	struct filter_tables *a = compile(text, &opts), *b = compile(text, &opts);

	(void)state;
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->bytes, b->bytes, a->len);
	assert_memory_equal(&a->config, &b->config, sizeof(a->config));
	assert_int_equal(a->room, FILTER_ROOM_SMALL);
	assert_int_equal(a->report.n_rules, 4);
	assert_int_equal(a->report.n_certain, 3);
	assert_int_equal(a->report.n_rows, 1);
	assert_int_equal(a->report.n_limits, 1);
	assert_int_equal(a->report.bytes, a->len);
	assert_int_equal(a->config.uses, 1u << FACT_LENGTH);
	assert_int_equal(a->config.lists, 1);
	assert_int_equal(a->config.default_drop, 1);
	filter_tables_free(a);
	filter_tables_free(b);
}

/* What no rule asks for is not there for the verifier either. */
static void test_simple(void **state)
{
	struct filter_tables *t =
		compile("filter on eth0 {\n pass ip4 tcp port 22\n drop ip4 udp\n}\n", NULL);

	(void)state;
	assert_int_equal(t->config.lists, 0);
	assert_int_equal(t->config.apart, 0);
	assert_int_equal(t->config.uses, 0);
	assert_int_equal(t->config.ip4, 1);
	assert_int_equal(t->config.ip6, 0);
	assert_int_equal(t->config.has_limits, 0);
	assert_int_equal(t->n_cells, LIMIT_WAYS);
	/* 22 as destination port: of TCP, with and without the byte of flags; UDP */
	assert_int_equal(t->report.n_boxes, 2);
	filter_tables_free(t);
}

/* Interfaces that are not there: "in" never holds, "in not" always. */
static void test_interfaces(void **state)
{
	static const struct filter_interface ifs[] = {{"eth0", 3}, {"eth1", 4}, {"lo", 1}};
	struct filter_opts opts = {.interfaces = ifs, .n_interfaces = 3};
	struct filter_tables *t = compile("filter on eth* {\n drop in wlan0\n drop in not wlan0\n}\n", &opts);
	const struct filter_row *row;

	(void)state;
	assert_int_equal(t->report.n_rows, 0);
	assert_int_equal(t->report.n_certain, 1);
	filter_tables_free(t);
	t = compile("filter on eth* {\n drop in eth*\n}\n", &opts);
	assert_int_equal(t->report.n_rows, 2);
	row = (const void *)((const char *)t->bytes + t->config.rows);
	assert_int_equal(row[0].test[0].lo, 3);
	assert_int_equal(row[0].then, FILTER_MATCH);
	assert_int_equal(row[0].otherwise, 1);
	assert_int_equal(row[1].test[0].lo, 4);
	assert_int_equal(row[1].otherwise, FILTER_NEXT);
	filter_tables_free(t);
	opts.any_interface = true;
	t = compile("filter on eth* {\n drop in wlan0\n}\n", &opts);
	assert_int_equal(t->report.n_certain, 1);
	filter_tables_free(t);
}

/* What the size of a set counts is what is put into it. */
static void test_elements(void **state)
{
	uint64_t rnd = 1, n, many, got;
	struct filter_elems elems[2];
	struct policy_spans s;
	struct policy_range r;
	uint32_t i, k, v6;

	(void)state;
	for (i = 0; i < 3000; i++) {
		s = (struct policy_spans){0};
		for (k = 0; k < i % 40; k++) {
			rnd = rnd * 6364136223846793005u + 1442695040888963407u;
			r = (struct policy_range){.v6 = rnd >> 63};
			r.first.lo =
				r.v6 ? UINT64_MAX - 40 + (rnd >> 33) % 64 : 0x0a000000 + (rnd >> 33) % 64;
			r.first.hi = r.v6 && r.first.lo < 64;
			r.last.lo = r.first.lo + (rnd >> 40) % 9;
			r.last.hi = r.first.hi + (r.last.lo < r.first.lo);
			policy_spans_add(&s, &r);
		}
		for (v6 = 0, got = 0; v6 < 2; v6++) {
			assert_int_equal(filter_sets_elems(&s, v6, &elems[v6], NULL), 0);
			got += elems[v6].n;
			free(elems[v6].v);
		}
		assert_int_equal(policy_spans_prefixes(&s, 0, &n), 0);
		assert_int_equal(n, got);
		assert_int_equal(policy_spans_prefixes(&s, UINT64_MAX, &many), 0);
		assert_true(many >= n);
		policy_spans_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),	    cmocka_unit_test(test_lists),
		cmocka_unit_test(test_expressions), cmocka_unit_test(test_place),
		cmocka_unit_test(test_same_bytes),  cmocka_unit_test(test_simple),
		cmocka_unit_test(test_interfaces),  cmocka_unit_test(test_elements),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
