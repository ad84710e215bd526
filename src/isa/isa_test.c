// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The instruction set: every row decodes, prints and parses back; unsound programs are refused with
 * the right words. */
#include "base/test.h"
#include "isa/build.h"
#include "isa/isa.h"

static void each_row_is_itself(void **state)
{
	struct bpf_insn insn[2], *back;
	struct sluice_err err;
	enum isa_id id;
	char text[96];
	uint32_t n;

	(void)state;
	for (id = 0; id < ISA_N_OPS; id++) {
		memset(insn, 0, sizeof(insn));
		insn[0] = isa_make(id);
		if (isa_op(id)->fields & (ISA_R | ISA_W))
			insn[0].dst_reg = 7;
		if (isa_op(id)->fields & ISA_S)
			insn[0].src_reg = 3;
		if (isa_op(id)->fields & (ISA_O | ISA_J) && isa_op(id)->form != ISA_FORM_REFUSED)
			insn[0].off = -20;
		if (isa_op(id)->fields & (ISA_I | ISA_L))
			insn[0].imm = 77;
		if (id == ISA_LD64 || id == ISA_LD64_MAP_VALUE)
			insn[1].imm = 0x1234;
		if (id == ISA_CALLX || (id >= ISA_ABS8 && id <= ISA_ABS32))
			insn[0].src_reg = 0, insn[0].imm = id == ISA_CALLX ? 0 : 77;
		if (id >= ISA_ABS8)
			insn[0].dst_reg = 0;
		assert_int_equal(isa_decode(&insn[0]), id);
		isa_print(insn, 2, text, sizeof(text));
		if (isa_parse(text, &back, &n, &err))
			fail_msg("%s: %s", isa_op(id)->name, err.text);
		assert_int_equal(n, isa_is_wide(insn) ? 2 : 1);
		if (memcmp(back, insn, n * sizeof(*insn)) != 0)
			fail_msg("%s: \"%s\" parses as something else", isa_op(id)->name, text);
		free(back);
	}
}

/* 256 codes, with variants around the known ones: what decodes has exactly that code and variant. */
static void nothing_else_decodes(void **state)
{
	static const int32_t imms[] = {0,    1,	   8,	 16,   32,    64,    0x40,  0x41,  0x50, 0xa0,
				       0xe0, 0xe1, 0xf0, 0xf1, 0x100, 0x101, 0x110, 0x111, -1};
	struct bpf_insn insn, want;
	unsigned int code, i, off, src, known = 0;
	enum isa_id id;

	(void)state;
	for (code = 0; code < 256; code++) {
		for (i = 0; i < sizeof(imms) / sizeof(*imms); i++)
			for (off = 0; off < 40; off++)
				for (src = 0; src < 16; src++) {
					insn = (struct bpf_insn){.code = (uint8_t)code,
								 .src_reg = src & 15,
								 .off = (int16_t)off,
								 .imm = imms[i]};
					id = isa_decode(&insn);
					if (id == ISA_UNKNOWN)
						continue;
					want = isa_make(id);
					assert_int_equal(want.code, code);
					if (isa_by(want.code) == ISA_BY_OFF)
						assert_int_equal(want.off, off);
					if (isa_by(want.code) == ISA_BY_IMM)
						assert_int_equal(want.imm, imms[i]);
					if (isa_by(want.code) == ISA_BY_SRC)
						assert_int_equal(want.src_reg, src);
				}
		insn = (struct bpf_insn){.code = (uint8_t)code};
		known += isa_decode(&insn) != ISA_UNKNOWN;
	}
	assert_int_equal(known, 124);
}

/* The notation, against lines as the kernel's log has them. */
static void notation(void **state)
{
	static const struct {
		struct bpf_insn insn;
		const char *text;
	} rows[] = {
		{{0xbf, 6, 1, 0, 0}, "(bf) r6 = r1"},
		{{0x07, 2, 0, 0, -4}, "(07) r2 += -4"},
		{{0xb4, 0, 0, 0, 1}, "(b4) w0 = 1"},
		{{0xbf, 1, 2, 8, 0}, "(bf) r1 = (s8)r2"},
		{{0x3f, 1, 2, 1, 0}, "(3f) r1 s/= r2"},
		{{0xc7, 1, 0, 0, 32}, "(c7) r1 s>>= 32"},
		{{0x9c, 1, 2, 0, 0}, "(9c) w1 %= w2"},
		{{0x87, 1, 0, 0, 0}, "(87) r1 = -r1"},
		{{0xdc, 0, 0, 0, 16}, "(dc) r0 = be16 r0"},
		{{0xd7, 0, 0, 0, 64}, "(d7) r0 = bswap64 r0"},
		{{0x7b, 10, 1, -8, 0}, "(7b) *(u64 *)(r10 -8) = r1"},
		{{0x62, 10, 0, -4, 7}, "(62) *(u32 *)(r10 -4) = 7"},
		{{0x61, 2, 1, 0, 0}, "(61) r2 = *(u32 *)(r1 +0)"},
		{{0x91, 2, 1, 3, 0}, "(91) r2 = *(s8 *)(r1 +3)"},
		{{0xdb, 1, 2, 0, 0}, "(db) lock *(u64 *)(r1 +0) += r2"},
		{{0xdb, 1, 2, 0, 1}, "(db) r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)"},
		{{0xc3, 1, 2, 0, 0xe1}, "(c3) r2 = atomic_xchg((u32 *)(r1 +0), r2)"},
		{{0xdb, 1, 2, 0, 0xf1}, "(db) r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2)"},
		{{0x15, 1, 0, 5, 0}, "(15) if r1 == 0x0 goto pc+5"},
		{{0x6d, 1, 2, -2, 0}, "(6d) if r1 s> r2 goto pc-2"},
		{{0x16, 1, 0, 5, -1}, "(16) if w1 == 0xffffffff goto pc+5"},
		{{0x45, 1, 0, 5, 8}, "(45) if r1 & 0x8 goto pc+5"},
		{{0x05, 0, 0, -3, 0}, "(05) goto pc-3"},
		{{0x06, 0, 0, 0, 70000}, "(06) gotol pc+70000"},
		{{0xe5, 0, 0, 4, 0}, "(e5) may_goto pc+4"},
		{{0xdb, 1, 2, 8, 0x100}, "(db) r1 = load_acquire((u64 *)(r2 +8))"},
		{{0xcb, 1, 2, -2, 0x110}, "(cb) store_release((u16 *)(r1 -2), r2)"},
		{{0x85, 0, 0, 0, 1}, "(85) call bpf_map_lookup_elem#1"},
		{{0x85, 0, 1, 0, 9}, "(85) call pc+9"},
		{{0x95, 0, 0, 0, 0}, "(95) exit"},
		{{0xff, 1, 2, 3, 4}, "(ff) unknown: dst 1, src 2, off 3, imm 4"},
	};
	char text[96];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_string_equal(isa_print(&rows[i].insn, 1, text, sizeof(text)), rows[i].text);
}

static void refused(const char *text, int code, const char *want)
{
	struct sluice_err err = {0};
	struct bpf_insn *insns;
	uint32_t n;

	if (isa_parse(text, &insns, &n, &err))
		fail_msg("%s", err.text);
	assert_int_equal(isa_check(insns, n, NULL, &err), code);
	assert_string_equal(err.text, want);
	free(insns);
}

static void unsound_programs(void **state)
{
	(void)state;
	refused("", -EINVAL, "a program of no instructions");
	refused("r0 = 0", -EINVAL,
		"instruction 0, (b7) r0 = 0: the last instruction of a function must be exit or a "
		"jump");
	refused("r11 = 0\nexit", -EINVAL, "instruction 0, (b7) r11 = 0: there are registers r0 to r10 only");
	refused("r0 = r12\nexit", -EINVAL,
		"instruction 0, (bf) r0 = r12: there are registers r0 to r10 only");
	refused("r10 += 8\nexit", -EINVAL,
		"instruction 0, (07) r10 += 8: r10, the frame pointer, cannot be written");
	refused("r10 = atomic64_xchg((u64 *)(r1 +0), r10)\nexit", -EINVAL,
		"instruction 0, (db) r10 = atomic64_xchg((u64 *)(r1 +0), r10): r10, the frame "
		"pointer, cannot be written");
	refused("r0 /= 0\nexit", -EINVAL, "instruction 0, (37) r0 /= 0: division by zero");
	refused("w0 s%= 0\nexit", -EINVAL, "instruction 0, (94) w0 s%= 0: division by zero");
	refused("w0 <<= 32\nexit", -EINVAL,
		"instruction 0, (64) w0 <<= 32: a shift by 32 is wider than the register");
	refused("r0 s>>= -1\nexit", -EINVAL,
		"instruction 0, (c7) r0 s>>= -1: a shift by -1 is wider than the register");
	refused("goto pc+1\nexit", -EINVAL,
		"instruction 0, (05) goto pc+1: there is no instruction 2 to jump to, only 0 to 1");
	refused("goto pc-2\nexit", -EINVAL,
		"instruction 0, (05) goto pc-2: there is no instruction -1 to jump to, only 0 to "
		"1");
	refused("gotol pc+2147483647\nexit", -EINVAL,
		"instruction 0, (06) gotol pc+2147483647: there is no instruction 2147483648 to "
		"jump to, only 0 to 1");
	refused("goto pc+1\nr1 = 0x123456789\nexit", -EINVAL,
		"instruction 0, (05) goto pc+1: jumps into the second half of an instruction");
	refused("call pc+1\nr1 = 0x123456789\nexit", -EINVAL,
		"instruction 0, (85) call pc+1: calls into the second half of an instruction");
	refused("call pc+7\nexit", -EINVAL,
		"instruction 0, (85) call pc+7: there is no instruction 8 to call, only 0 to 1");
	refused("call f\nexit\nf: if r1 == 0 goto pc-3\nexit", -EINVAL,
		"instruction 2, (15) if r1 == 0x0 goto pc-3: jumps out of its function (2 to 3) to "
		"0");
	refused("call f\nf: exit", -EINVAL,
		"instruction 0, (85) call pc+0: the last instruction of a function must be exit or "
		"a jump");
	refused("may_goto pc+3\nexit", -EINVAL,
		"instruction 0, (e5) may_goto pc+3: there is no instruction 4 to jump to, only 0 to 1");
	refused("r0 = 0\nmay_goto pc-2", -EINVAL,
		"instruction 1, (e5) may_goto pc-2: the last instruction of a function must be exit or a "
		"jump");
	refused("r10 = load_acquire((u8 *)(r1 +0))\nexit", -EINVAL,
		"instruction 0, (d3) r10 = load_acquire((u8 *)(r1 +0)): r10, the frame pointer, cannot be "
		"written");
	refused("callx r1\nexit", -EOPNOTSUPP,
		"instruction 0, (8d) callx r1: calls through a register are not supported");
	refused("r0 = *(u8 *)skb[14]\nexit", -EOPNOTSUPP,
		"instruction 0, (30) r0 = *(u8 *)skb[14]: loads from a socket "
		"buffer are not supported; load through data and data_end");
}

/* What Linux refuses and the RFC does not. */
static void only_by_rfc(void **state)
{
	static const char text[] = "r0 /= 0\nw0 s%= 0\nw0 <<= 32\nr0 s>>= -1\nexit";
	struct sluice_err err = {0};
	struct bpf_insn *insns;
	uint32_t n;

	(void)state;
	assert_int_equal(isa_parse(text, &insns, &n, &err), 0);
	assert_int_equal(isa_check(insns, n, NULL, &err), -EINVAL);
	assert_int_equal(isa_check_rfc(insns, n, NULL, &err), 0);
	insns[0].off = 2;
	assert_int_equal(isa_check_rfc(insns, n, NULL, &err), -EINVAL);
	free(insns);
}

static void refused_raw(const struct bpf_insn *insns, uint32_t n, const char *want)
{
	struct sluice_err err = {0};

	assert_int_equal(isa_check(insns, n, NULL, &err), -EINVAL);
	assert_string_equal(err.text, want);
}

static void reserved_fields(void **state)
{
	struct bpf_insn exit_ = {0x95, 0, 0, 0, 0}, p[3] = {{0xb7, 0, 1, 0, 5}, exit_, exit_};

	(void)state;
	refused_raw(p, 2, "instruction 0, (b7) r0 = 5: the source register means nothing here and must be 0");
	p[0] = (struct bpf_insn){0xb7, 0, 0, 9, 5};
	refused_raw(p, 2, "instruction 0, (b7) r0 = 5: the offset means nothing here and must be 0, not 9");
	p[0] = (struct bpf_insn){0xbf, 0, 1, 0, 5};
	refused_raw(p, 2,
		    "instruction 0, (bf) r0 = r1: the immediate means nothing here and must be 0, not "
		    "5");
	p[0] = (struct bpf_insn){0x05, 3, 0, 0, 0};
	refused_raw(p, 2,
		    "instruction 0, (05) goto pc+0: the destination register means nothing here and "
		    "must be 0");
	p[0] = (struct bpf_insn){0xbf, 0, 1, 7, 0};
	refused_raw(p, 2,
		    "instruction 0, (bf) unknown: dst 0, src 1, off 7, imm 0: there is no such "
		    "instruction");
	p[0] = (struct bpf_insn){0xdb, 1, 2, 0, 0xe0};
	refused_raw(p, 2,
		    "instruction 0, (db) unknown: dst 1, src 2, off 0, imm 224: there is no such "
		    "instruction");
	p[0] = (struct bpf_insn){0x18, 1, 0, 0, 5};
	refused_raw(p, 3, "instruction 0, (18) r1 = 0x5: its second half has more in it than an immediate");
	refused_raw(p, 1, "instruction 0, (18) r1 = 0x5: its second half is missing");
}

static void builder(void **state)
{
	struct isa_build b = {0};
	struct sluice_err err = {0};
	struct bpf_insn *insns;
	uint32_t n, out = isa_label(&b), far = isa_label(&b), i;

	(void)state;
	isa_put_jump(&b, ISA_JEQ64_K, 1, 0, 7, out);
	isa_put_jump(&b, ISA_GOTO, 0, 0, 0, far);
	isa_here(&b, out);
	for (i = 0; i < 40000; i++)
		isa_put(&b, ISA_MOV64_K, 0, 0, 0, (int32_t)i);
	isa_here(&b, far);
	isa_put(&b, ISA_EXIT, 0, 0, 0, 0);
	assert_int_equal(isa_build_take(&b, &insns, &n, &err), 0);
	assert_int_equal(n, 40003);
	assert_int_equal(insns[0].off, 1);
	assert_int_equal(isa_decode(&insns[1]), ISA_GOTOL);
	assert_int_equal(insns[1].imm, 40000);
	assert_int_equal(isa_check(insns, n, NULL, &err), 0);
	free(insns);

	out = isa_label(&b);
	isa_put_jump(&b, ISA_JNE32_X, 1, 2, 0, out);
	for (i = 0; i < 40000; i++)
		isa_put(&b, ISA_MOV64_K, 0, 0, 0, 1);
	isa_here(&b, out);
	assert_int_equal(isa_build_take(&b, &insns, &n, &err), -ERANGE);
	assert_null(insns);
	isa_put_jump(&b, ISA_GOTO, 0, 0, 0, isa_label(&b));
	assert_int_equal(isa_build_take(&b, &insns, &n, &err), -EINVAL);
	assert_string_equal(err.text, "instruction 0: label 0 was never placed");
}

static void bad_text(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"exit\nfoo bar", "line 2: \"foo bar\" is no instruction"},
		{"goto nowhere", "line 1: no label \"nowhere\""},
		{"r1 = -r2", "line 1: \"r1 = -r2\" is no instruction"},
		{"r0 += 0xffffffff", "line 1: \"r0 += 0xffffffff\" is no instruction"},
		{"call bpf_no_such", "line 1: no label \"bpf_no_such\""},
		{"(07) r0 -= 1", "line 1: \"r0 -= 1\" is no instruction"},
		{"r0 = *(u32 *)(r1 +40000)", "line 1: \"r0 = *(u32 *)(r1 +40000)\" is no instruction"},
	};
	struct sluice_err err;
	struct bpf_insn *insns;
	uint32_t n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(isa_parse(rows[i].text, &insns, &n, &err), -EINVAL);
		assert_string_equal(err.text, rows[i].want);
		assert_null(insns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_is_itself),
		cmocka_unit_test(nothing_else_decodes),
		cmocka_unit_test(notation),
		cmocka_unit_test(unsound_programs),
		cmocka_unit_test(only_by_rfc),
		cmocka_unit_test(reserved_fields),
		cmocka_unit_test(builder),
		cmocka_unit_test(bad_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
