// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * vm-random SEED PROGRAMS EVERY: random programs of arithmetic, byte swaps, forward jumps, stack
 * accesses and atomics, on all engines; every EVERYth also in the kernel (0: none). All must agree
 * on r0, which folds all registers and the stack. Prints the program that they disagree on and
 * exits 1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isa/build.h"
#include "vm_engines.h"

#define BODY 24
#define WORDS 6 /* of the stack that programs use */

static uint64_t state;

static uint64_t rnd(void)
{
	/* xorshift64* */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)(rnd() >> 33) % n;
}

/* Values at which arithmetic goes wrong, and any others. */
static uint64_t value(void)
{
	static const uint64_t edge[] = {0,
					1,
					2,
					31,
					32,
					33,
					63,
					64,
					0x7f,
					0x80,
					0xff,
					0x7fff,
					0x8000,
					0xffff,
					0x7fffffff,
					0x80000000,
					0xffffffff,
					0x100000000,
					0x7fffffffffffffff,
					0x8000000000000000,
					0xffffffff80000000,
					0xffffffffffffffff};

	switch (below(4)) {
	case 0:
		return edge[below(sizeof(edge) / sizeof(*edge))];
	case 1:
		return 0 - edge[below(sizeof(edge) / sizeof(*edge))];
	case 2:
		return rnd() >> below(64);
	}
	return rnd();
}

/* The kernel that judges does not know the latest instructions: then they are left out. */
static bool old_kernel;

static bool usable(enum isa_id id)
{
	switch ((enum isa_form)isa_op(id)->form) {
	case ISA_FORM_MAY_GOTO:
	case ISA_FORM_ACQUIRE:
	case ISA_FORM_RELEASE:
		return !old_kernel;
	case ISA_FORM_ALU64_K:
	case ISA_FORM_ALU64_X:
	case ISA_FORM_ALU32_K:
	case ISA_FORM_ALU32_X:
	case ISA_FORM_MOV_K:
	case ISA_FORM_MOV_X:
	case ISA_FORM_UNARY:
	case ISA_FORM_JUMP64_K:
	case ISA_FORM_JUMP64_X:
	case ISA_FORM_JUMP32_K:
	case ISA_FORM_JUMP32_X:
	case ISA_FORM_GOTO:
	case ISA_FORM_GOTOL:
	case ISA_FORM_LOAD:
	case ISA_FORM_STORE_K:
	case ISA_FORM_STORE_X:
	case ISA_FORM_ATOMIC:
	case ISA_FORM_FETCH:
	case ISA_FORM_CMPXCHG:
		return true;
	case ISA_FORM_LD64:
		return id == ISA_LD64;
	default:
		return false;
	}
}

static unsigned int access_bytes(uint8_t code)
{
	static const uint8_t bytes[] = {[BPF_W >> 3] = 4,
					[BPF_H >> 3] = 2,
					[BPF_B >> 3] = 1,
					[BPF_DW >> 3] = 8};

	return bytes[BPF_SIZE(code) >> 3];
}

/* next: the label behind this one; the kernel refuses code that a goto makes unreachable */
static void random_insn(struct isa_build *b, uint32_t label, uint32_t next)
{
	uint8_t dst = (uint8_t)below(10), src = (uint8_t)below(10), op;
	int32_t imm = (int32_t)value();
	enum isa_id id;
	uint16_t f;
	int16_t off;
	uint32_t bytes;

	do
		id = below(ISA_N_OPS);
	while (!usable(id));
	f = isa_op(id)->fields;
	op = BPF_OP(isa_op(id)->code);
	if (!(f & ISA_S))
		src = 0;
	if (f & (ISA_J | ISA_L)) {
		isa_put_jump(b, id, f & ISA_R ? dst : 0, src, f & ISA_I ? imm : 0,
			     id != ISA_GOTO && id != ISA_GOTOL ? label : next);
		return;
	}
	if (f & ISA_WIDE) {
		isa_put64(b, id, dst, value());
		return;
	}
	if (f & ISA_O) {
		bytes = access_bytes(isa_op(id)->code);
		off = (int16_t)(-8 * WORDS + (int)(below(8 * WORDS / bytes) * bytes));
		if (f & ISA_W)
			src = 10;
		else
			dst = 10;
		isa_put(b, id, dst, src, off, f & ISA_I ? imm : 0);
		return;
	}
	if (isa_op(id)->form == ISA_FORM_ALU64_K || isa_op(id)->form == ISA_FORM_ALU32_K) {
		if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
			imm = (int32_t)below(isa_op(id)->form == ISA_FORM_ALU64_K ? 64 : 32);
		if ((op == BPF_DIV || op == BPF_MOD) && !imm)
			imm = -1;
	}
	isa_put(b, id, dst, src, 0, f & ISA_I ? imm : 0);
}

static int random_program(struct bpf_insn **insns, uint32_t *n)
{
	uint32_t label[BODY + 1], i;
	struct isa_build b = {0};
	struct sluice_err err;
	uint8_t r;

	for (i = 0; i <= BODY; i++)
		label[i] = isa_label(&b);
	for (r = 0; r < 10; r++)
		isa_put64(&b, ISA_LD64, r, value());
	for (i = 1; i <= WORDS; i++)
		isa_put(&b, ISA_ST64_X, 10, (uint8_t)i, (int16_t)(-8 * (int)i), 0);
	for (i = 0; i < BODY; i++) {
		isa_here(&b, label[i]);
		random_insn(&b, label[i + 1 + below(BODY - i)], label[i + 1]);
	}
	isa_here(&b, label[BODY]);
	for (r = 1; r < 10; r++) {
		isa_put(&b, ISA_MUL64_K, 0, 0, 0, 31);
		isa_put(&b, ISA_ADD64_X, 0, r, 0, 0);
	}
	for (i = 1; i <= WORDS; i++) {
		isa_put(&b, ISA_MUL64_K, 0, 0, 0, 31);
		isa_put(&b, ISA_LDX64, 1, 10, (int16_t)(-8 * (int)i), 0);
		isa_put(&b, ISA_XOR64_X, 0, 1, 0, 0);
	}
	isa_put(&b, ISA_EXIT, 0, 0, 0, 0);
	return isa_build_take(&b, insns, n, &err);
}

static void show(const struct bpf_insn *insns, uint32_t n)
{
	char text[96];
	uint32_t i;

	for (i = 0; i < n; i++) {
		printf("# %u: %s\n", i, isa_print(&insns[i], n - i, text, sizeof(text)));
		i += isa_is_wide(&insns[i]);
	}
}

static bool kernel_knows_latest(void)
{
	static const char text[] = "r0 = 0\n"
				   "may_goto pc+1\n"
				   "store_release((u16 *)(r10 -8), r0)\n"
				   "exit\n";
	struct bpf_insn *insns;
	struct sluice_err err;
	struct answer a;
	uint32_t n;
	bool knows;

	if (isa_parse(text, &insns, &n, &err))
		return false;
	knows = !kernel_run(insns, n, NULL, 0, &a);
	free(insns);
	return knows;
}

int main(int argc, char **argv)
{
	unsigned long seed, programs, every, i, kernel = 0;
	struct answer a[N_ENGINES], k;
	struct bpf_insn *insns;
	uint32_t n;
	int e, differ = 0;

	if (argc != 4)
		return 2;
	seed = strtoul(argv[1], NULL, 0);
	programs = strtoul(argv[2], NULL, 0);
	every = strtoul(argv[3], NULL, 0);
	old_kernel = every && !kernel_knows_latest();
	if (old_kernel)
		printf("# without may_goto, load_acquire and store_release: this kernel does not know "
		       "them\n");
	state = seed * 2654435761u + 88172645463325252ull;
	for (i = 0; i < programs && !differ; i++) {
		if (random_program(&insns, &n))
			return 1;
		for (enum engine g = 0; g < N_ENGINES; g++) {
			e = engine_run(g, false, insns, n, NULL, 0, &a[g]);
			if (e || a[g].fault || a[g].r0 != a[0].r0) {
				printf("# program %lu of seed %lu: %s says 0x%llx %s, %s 0x%llx\n", i, seed,
				       engine_names[0], (unsigned long long)a[0].r0, engine_names[g],
				       a[g].text, (unsigned long long)a[g].r0);
				differ = 1;
			}
		}
		if (every && i % every == 0) {
			e = kernel_run(insns, n, NULL, 0, &k);
			if (e || k.r0 != a[0].r0) {
				printf("# program %lu of seed %lu: kernel says 0x%llx (%s %s), we "
				       "0x%llx\n",
				       i, seed, (unsigned long long)k.r0, e ? strerror(-e) : "",
				       e ? k.text : "", (unsigned long long)a[0].r0);
				differ = 1;
			}
			kernel++;
		}
		if (differ)
			show(insns, n);
		free(insns);
	}
	printf("%lu programs, %lu of them in the kernel\n", i, kernel);
	return differ;
}
