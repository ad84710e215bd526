// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * x86-64: where loops lie. A turn of a loop takes a cycle for each line of 64 bytes that its instructions come
 * from, counted anew after each jump taken: a loop of two jumps and 55 bytes takes 2.1 cycles a turn in one line and 3.1
 * across two (Zen 3, bench/vm.c, compare256). So a short loop begins where it lies in as few lines as it can, and
 * jumps in it are short.
 */
#if defined(__x86_64__)
#include "vm/exec_jit_x86.h"

static bool may_go_back(const struct bpf_insn *i)
{
	return (BPF_CLASS(i->code) == BPF_JMP || BPF_CLASS(i->code) == BPF_JMP32) && (i->off < 0 || i->imm < 0);
}

/* A jump can be short if it is with the most that padding before loops can put between: itself, and 4 bytes for each
 * jump backward over it that is not short any more. */
static void shorten(struct jit *j, const struct fix *f)
{
	uint32_t far = j->addr[f->pc] - (f->at + 4), pc;

	for (pc = f->from + 1; far <= INT8_MAX && pc <= f->pc; pc++)
		far += (j->loop[pc] ? JIT_LINE - 1 : 0) + (may_go_back(&j->prog->insns[pc]) ? 4 : 0);
	j->near[f->from] = far <= INT8_MAX;
}

/* Bytes that a jump is shorter for being short: 5 to 2, with a condition 6 to 2. */
static uint32_t saved(const struct jit *j, const struct fix *f)
{
	return j->near[f->from] ? j->code[f->at - 1] == 0xe9 ? 3 : 4 : 0;
}

void x_place_plan(struct jit *j)
{
	uint32_t n = j->prog->n_insns, pc, k, first = 0, less;

	for (k = 0; k < j->n_fix; k++)
		shorten(j, &j->fix[k]);
	for (pc = 0; pc < n; pc++) {
		if (!j->loop[pc])
			continue;
		while (first < j->n_fix && j->fix[first].at < j->addr[pc])
			first++;
		j->loop[pc] -= j->addr[pc];
		if (j->loop[pc] > JIT_LOOP_BYTES * 2)
			continue;
		less = 0;
		for (k = first; k < j->n_fix && j->fix[k].at < j->addr[pc] + j->loop[pc]; k++)
			less += saved(j, &j->fix[k]);
		j->loop[pc] -= less;
	}
	j->placing = true;
}

static uint32_t lines(uint32_t bytes)
{
	return (bytes + JIT_LINE - 1) / JIT_LINE;
}

/* Instructions that do nothing, few and long ones, as the manuals of AMD and Intel spell them. */
static void pad(struct jit *j, uint32_t n)
{
	static const uint8_t nop[9] = {0x66, 0x0f, 0x1f, 0x84};
	uint32_t k;

	for (; n >= 9; n -= 9)
		for (k = 0; k < 9; k++)
			x_byte(j, nop[k]);
	for (; n >= 4; n -= 4) { /* nopl [rax + 0] */
		x_byte(j, 0x0f);
		x_byte(j, 0x1f);
		x_byte(j, 0x40);
		x_byte(j, 0);
	}
	for (; n > 0; n--)
		x_byte(j, n > 1 ? 0x66 : 0x90);
}

void x_place(struct jit *j, uint32_t pc)
{
	uint32_t bytes = j->loop[pc], at = j->len % JIT_LINE;

	if (j->placing && bytes && bytes <= JIT_LOOP_BYTES && lines(at + bytes) > lines(bytes))
		pad(j, JIT_LINE - at);
}
#endif
