// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Joining: layout of small hand-made codes, and, as root, random chains run by the kernel against an evaluator that
 * follows the rules of a chain one by one.
 */
#include <stdio.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/test.h"
#include "hook/join.h"

#define MOVI(d, i) ((struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i})
#define LDXW(d, s, o) ((struct bpf_insn){BPF_LDX | BPF_MEM | BPF_W, d, s, o, 0})
#define LDXDW(d, s, o) ((struct bpf_insn){BPF_LDX | BPF_MEM | BPF_DW, d, s, o, 0})
#define STXDW(d, s, o) ((struct bpf_insn){BPF_STX | BPF_MEM | BPF_DW, d, s, o, 0})
#define ALUX(op, d, s) ((struct bpf_insn){BPF_ALU64 | (op) | BPF_X, d, s, 0, 0})
#define JEQI(d, i, o) ((struct bpf_insn){BPF_JMP | BPF_JEQ | BPF_K, d, 0, o, i})
#define CALLF(to) ((struct bpf_insn){BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, to})
#define HELPER(f) ((struct bpf_insn){BPF_JMP | BPF_CALL, 0, 0, 0, f})
#define EXIT ((struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0})

#define CHAINS 150

static struct code *code_of(const struct bpf_insn *insns, uint32_t n)
{
	struct code *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->insns = calloc(n, sizeof(*insns));
	assert_non_null(c->insns);
	memcpy(c->insns, insns, n * sizeof(*insns));
	c->n_insns = n;
	snprintf(c->license, sizeof(c->license), "GPL");
	return c;
}

static struct code *join(struct join_part *part, uint32_t n, bool may_inline, uint32_t counts)
{
	struct join_input in = {.part = part, .n_parts = n, .may_inline = may_inline, .counts_map_id = counts};
	struct sluice_err err = {0};
	struct code *c = NULL;

	if (join_codes(&in, &c, &err))
		fail_msg("%s", err.text);
	assert_non_null(c);
	return c;
}

static uint32_t count(const struct code *c, uint8_t code, uint8_t src)
{
	uint32_t i, n = 0;

	for (i = 0; i < c->n_insns; i++)
		n += c->insns[i].code == code && c->insns[i].src_reg == src;
	return n;
}

static void exits_become_jumps(void **state)
{
	const struct bpf_insn a[] = {LDXW(0, 1, 0), JEQI(0, 7, 2), MOVI(0, 1), EXIT, MOVI(0, 2), EXIT};
	struct join_part part[2] = {{.name = "a", .go_on = 4}, {.name = "b", .go_on = 4}};
	struct code *c, *one = code_of(a, 6);

	(void)state;
	part[0].code = part[1].code = one;
	c = join(part, 2, true, 0);
	assert_true(part[0].inlined && part[1].inlined);
	assert_int_equal(count(c, BPF_JMP | BPF_EXIT, 0), 1);
	assert_int_equal(count(c, BPF_JMP | BPF_CALL, BPF_PSEUDO_CALL), 0);
	assert_int_equal(c->n_funcs, 1);
	assert_true(c->n_lines == 0 || c->lines[0].insn_off == 0);
	code_free(c);
	c = join(part, 2, false, 0);
	assert_false(part[0].inlined || part[1].inlined);
	assert_int_equal(count(c, BPF_JMP | BPF_CALL, BPF_PSEUDO_CALL), 2);
	assert_int_equal(count(c, BPF_JMP | BPF_EXIT, 0), 5);
	assert_int_equal(c->n_funcs, 3);
	code_free(c);
	code_free(one);
}

static void calls_move(void **state)
{
	/* main calls f at 5, f calls g at 7 */
	const struct bpf_insn a[] = {MOVI(6, 0), CALLF(3), MOVI(7, 0), MOVI(7, 1), EXIT, CALLF(1), EXIT, MOVI(0, 2), EXIT};
	struct join_part part[2] = {{.name = "a", .go_on = 4}, {.name = "b", .go_on = 4}};
	struct code *c, *one = code_of(a, 9);
	uint32_t i, calls = 0;

	(void)state;
	part[0].code = part[1].code = one;
	c = join(part, 2, true, 0);
	for (i = 0; i < c->n_insns; i++) {
		uint32_t to;

		if (c->insns[i].code != (BPF_JMP | BPF_CALL))
			continue;
		to = i + 1 + (uint32_t)c->insns[i].imm;
		assert_true(to < c->n_insns);
		calls++;
		/* in f a call leads to g; in main, to f */
		if (c->insns[i + 1].code == (BPF_JMP | BPF_EXIT))
			assert_int_equal(c->insns[to].imm, 2);
		else
			assert_int_equal(c->insns[to].code, BPF_JMP | BPF_CALL);
	}
	assert_int_equal(calls, 4);
	assert_int_equal(c->n_funcs, 5);
	code_free(c);
	code_free(one);
}

static void tail_callers_are_called(void **state)
{
	const struct bpf_insn a[] = {MOVI(2, 0), MOVI(3, 0), HELPER(BPF_FUNC_tail_call), MOVI(0, 2), EXIT};
	const struct bpf_insn b[] = {STXDW(10, 1, -512), MOVI(0, 2), EXIT};
	struct join_part part[2] = {{.name = "a", .go_on = 4}, {.name = "b", .go_on = 4}};
	struct code *c;

	(void)state;
	part[0].code = code_of(a, 5);
	part[1].code = code_of(b, 3);
	c = join(part, 2, true, 0);
	assert_false(part[0].inlined); /* it tail-calls */
	assert_false(part[1].inlined); /* its stack has no room left */
	code_free(c);
	code_free((struct code *)part[0].code);
	code_free((struct code *)part[1].code);
}

/* The frames of who is called lie beside what is inlined: of 512 bytes both together. */
static void stacks_fit_together(void **state)
{
	struct bpf_insn a[] = {MOVI(6, 0), MOVI(2, 0), MOVI(3, 0), HELPER(BPF_FUNC_tail_call), CALLF(2), MOVI(0, 2), EXIT,
			       STXDW(10, 6, -104), EXIT};
	const struct bpf_insn b[] = {STXDW(10, 1, -200), MOVI(0, 2), EXIT};
	struct join_part part[2] = {{.name = "a", .go_on = 4}, {.name = "b", .go_on = 4}};
	struct code *c, *one;
	int deep;

	(void)state;
	part[1].code = code_of(b, 3);
	for (deep = 0; deep < 2; deep++) {
		/* 128 in a and 224 in b; then 320 in a */
		if (deep)
			a[0] = STXDW(10, 1, -296);
		one = code_of(a, 9);
		part[0].code = one;
		c = join(part, 2, true, 0);
		assert_false(part[0].inlined);
		assert_int_equal(part[1].inlined, !deep);
		code_free(c);
		code_free(one);
	}
	code_free((struct code *)part[1].code);
}

static uint64_t seed = 0x5eed;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed * 0x2545f4914f6cdd1dull) >> 33) % below;
}

/* A member: a verdict for each value of the packet's first byte (0..3), reached in one of several ways. */
struct member {
	int32_t verdict[4];
	uint32_t go_on;
};

static struct code *make(struct member *m)
{
	struct bpf_insn insns[64];
	uint32_t n = 0, i, jump[4], way = draw(3);

	for (i = 0; i < 4; i++)
		m->verdict[i] = (int32_t)draw(12) < 11 ? (int32_t)draw(5) : 77;
	m->go_on = draw(32);
	insns[n++] = LDXW(2, 1, 0);
	insns[n++] = LDXW(3, 1, 4);
	insns[n++] = MOVI(4, 1);
	insns[n++] = ALUX(BPF_ADD, 4, 2);
	insns[n++] = MOVI(0, 0);
	insns[n++] = (struct bpf_insn){BPF_JMP | BPF_JLE | BPF_X, 4, 3, 1, 0}; /* a bound that the verifier wants */
	insns[n++] = EXIT;
	insns[n++] = (struct bpf_insn){BPF_LDX | BPF_MEM | BPF_B, 5, 2, 0, 0};
	if (way == 1) { /* through the stack, from a depth of its own */
		int16_t off = (int16_t)(-8 * (int)(1 + draw(20)));

		insns[n++] = STXDW(10, 5, off);
		insns[n++] = MOVI(5, 99);
		insns[n++] = LDXDW(5, 10, off);
	}
	if (way == 2) { /* through registers that a dispatcher might use */
		insns[n++] = ALUX(BPF_MOV, 6, 5);
		insns[n++] = MOVI(7, 1234);
		insns[n++] = MOVI(8, 4321);
		insns[n++] = MOVI(9, -1);
		insns[n++] = ALUX(BPF_MOV, 5, 6);
	}
	for (i = 0; i < 4; i++) {
		jump[i] = n;
		insns[n++] = JEQI(5, (int32_t)i, 0);
	}
	insns[n++] = MOVI(0, 0);
	insns[n++] = EXIT;
	for (i = 0; i < 4; i++) {
		insns[jump[i]].off = (int16_t)(n - jump[i] - 1);
		insns[n++] = MOVI(0, m->verdict[i]);
		insns[n++] = EXIT;
	}
	return code_of(insns, n);
}

static int load(const struct code *c, int counts_fd)
{
	LIBBPF_OPTS(bpf_prog_load_opts, o, .expected_attach_type = BPF_XDP);
	int btf_fd = bpf_btf_load(c->btf, c->btf_len, NULL), fd;
	uint32_t i;

	assert_true(btf_fd >= 0);
	for (i = 0; i < c->n_insns; i++)
		if (code_is_map(&c->insns[i]))
			c->insns[i].imm = counts_fd;
	o.prog_btf_fd = (uint32_t)btf_fd;
	o.func_info = c->funcs;
	o.func_info_cnt = c->n_funcs;
	o.func_info_rec_size = sizeof(*c->funcs);
	o.line_info = c->lines;
	o.line_info_cnt = c->n_lines;
	o.line_info_rec_size = sizeof(*c->lines);
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "joined", "GPL", c->insns, c->n_insns, &o);
	close(btf_fd);
	return fd;
}

/* The rules, slowly. */
static uint32_t evaluate(const struct member *m, uint32_t n, uint8_t byte, uint64_t *counts)
{
	uint32_t i, v = 0;

	for (i = 0; i < n; i++) {
		v = (uint32_t)m[i].verdict[byte];
		if (i + 1 == n || v > 4 || !(m[i].go_on & 1u << v))
			break;
	}
	counts[i * JOIN_COUNTS + (v > 4 ? 5 : v)]++;
	return v;
}

static void run(const struct code *c, const struct member *m, uint32_t n, int counts_fd, int n_cpus)
{
	uint64_t want[JOIN_MAX_PARTS * JOIN_COUNTS] = {0}, *got = calloc((size_t)n_cpus, 8), sum;
	uint8_t packet[64] = {0};
	uint32_t i, k;
	int fd = load(c, counts_fd), cpu;

	assert_non_null(got);
	if (fd < 0)
		fail_msg("a chain of %u was refused: %s", n, strerror(errno));
	for (i = 0; i < 12; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet), .repeat = 1);

		packet[0] = (uint8_t)(i % 4);
		assert_int_equal(bpf_prog_test_run_opts(fd, &o), 0);
		assert_int_equal(o.retval, evaluate(m, n, packet[0], want));
	}
	for (k = 0; k < n * JOIN_COUNTS; k++) {
		assert_int_equal(bpf_map_lookup_elem(counts_fd, &k, got), 0);
		for (sum = 0, cpu = 0; cpu < n_cpus; cpu++)
			sum += got[cpu];
		assert_int_equal(sum, want[k]);
		memset(got, 0, (size_t)n_cpus * 8);
		bpf_map_update_elem(counts_fd, &k, got, BPF_ANY);
	}
	close(fd);
	free(got);
}

static void random_chains(void **state)
{
	struct member m[12];
	struct join_part part[12];
	int counts_fd, n_cpus = libbpf_num_possible_cpus(), i;
	uint32_t n, k;

	(void)state;
	if (geteuid() != 0)
		skip();
	counts_fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "counts", 4, 8, JOIN_MAX_PARTS * JOIN_COUNTS, NULL);
	assert_true(counts_fd >= 0);
	for (i = 0; i < CHAINS; i++) {
		n = 1 + draw(i % 10 == 0 ? 12 : 5);
		memset(part, 0, sizeof(part));
		for (k = 0; k < n; k++) {
			part[k].code = make(&m[k]);
			part[k].go_on = m[k].go_on;
			part[k].name = "part";
		}
		for (k = 0; k < 2; k++) {
			struct code *c = join(part, n, k, 1);

			run(c, m, n, counts_fd, n_cpus);
			code_free(c);
		}
		for (k = 0; k < n; k++)
			code_free((struct code *)part[k].code);
	}
	close(counts_fd);
}

static void too_many_maps(void **state)
{
	struct bpf_insn insns[2 * 40 + 2];
	struct join_part part[2] = {{.name = "a", .go_on = 4}, {.name = "b", .go_on = 4}};
	struct join_input in = {.part = part, .n_parts = 2, .may_inline = true};
	struct code *c[2], *joined;
	struct sluice_err err;
	uint32_t i, p;

	(void)state;
	for (p = 0; p < 2; p++) {
		for (i = 0; i < 40; i++) {
			insns[2 * i] = (struct bpf_insn){BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, (int32_t)i};
			insns[2 * i + 1] = (struct bpf_insn){0};
		}
		insns[80] = MOVI(0, 2);
		insns[81] = EXIT;
		c[p] = code_of(insns, 82);
		for (i = 0; i < 40; i++)
			c[p]->ref[i] = (struct code_ref){CODE_REF_MAP, 1 + p * 40 + i};
		c[p]->n_refs = 40;
		part[p].code = c[p];
	}
	assert_int_equal(join_codes(&in, &joined, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "more than 63 maps"));
	code_free(c[0]);
	code_free(c[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exits_become_jumps), cmocka_unit_test(calls_move),
		cmocka_unit_test(tail_callers_are_called), cmocka_unit_test(stacks_fit_together), cmocka_unit_test(too_many_maps),
		cmocka_unit_test(random_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
