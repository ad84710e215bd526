// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Logs as Linux 6.18 wrote them, and what is left of them. */
#include "base/test.h"
#include "bpf/log.h"

static void expect(const char *log, const char *wanted)
{
	char to[1024];

	assert_string_equal(log_digest(log, to, sizeof(to)), wanted);
}

static void pointer_arithmetic(void **state)
{
	(void)state;
	expect("0: R1=ctx() R10=fp0\n"
	       "; return b[0] + (ctx->data_end - ctx->data); } @ tail.c:7\n"
	       "15: (61) r0 = *(u32 *)(r1 +4)         ; R0=pkt_end() R1=ctx()\n"
	       "16: (0c) w0 += w2\n"
	       "R0 32-bit pointer arithmetic prohibited\n"
	       "processed 11 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n",
	       "  ; return b[0] + (ctx->data_end - ctx->data); } @ tail.c:7\n"
	       "  16: (0c) w0 += w2\n"
	       "  R0 32-bit pointer arithmetic prohibited");
}

static void the_last_source_line_counts(void **state)
{
	(void)state;
	expect("; int a = 1; @ x.c:1\n0: (b7) r1 = 1\n; *p = a; @ x.c:2\n1: (63) *(u32 *)(r2 +0) = r1\nR2 !read_ok\n",
	       "  ; *p = a; @ x.c:2\n  1: (63) *(u32 *)(r2 +0) = r1\n  R2 !read_ok");
}

static void without_instructions(void **state)
{
	(void)state;
	expect("", "");
	expect("processed 5 insns (limit 1000000) max_states_per_insn 0\n", "");
	expect("Invalid func_info rec size\n", "  Invalid func_info rec size");
}

static void a_success_is_no_complaint(void **state)
{
	(void)state;
	expect("Validating book() func#10...\n; return 1; @ b.h:3\n0: (b7) r0 = 1\n"
	       "Func#10 ('book') is safe for any args that match its prototype\n", "");
	expect("Func#1 ('one') is safe for any args that match its prototype\nValidating two() func#2...\n"
	       "0: (95) exit\nR0 !read_ok\n", "  0: (95) exit\n  R0 !read_ok");
}

static void long_complaints_keep_their_end(void **state)
{
	(void)state;
	expect("0: (95) exit\none\ntwo\nthree\nfour\n", "  0: (95) exit\n  two\n  three\n  four");
}

static void small_room(void **state)
{
	char to[8];

	(void)state;
	log_digest("0: (95) exit\nR0 !read_ok\n", to, sizeof(to));
	assert_true(strlen(to) < sizeof(to));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pointer_arithmetic),
		cmocka_unit_test(the_last_source_line_counts),
		cmocka_unit_test(without_instructions),
		cmocka_unit_test(a_success_is_no_complaint),
		cmocka_unit_test(long_complaints_keep_their_end),
		cmocka_unit_test(small_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
