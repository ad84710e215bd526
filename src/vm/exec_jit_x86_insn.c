// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * x86-64: one template per form of instruction.
 *
 *   r0 rax   r1 rdi   r2 rsi   r3 rdx   r4 rcx   r5 r8   r6 rbx   r7 r13   r8 r14   r9 r15   r10
 * rbp r12 struct vm_run; r9, r10 scratch; r11 the budget in checked code, scratch in trusted. Helpers get
 * BPF's arguments where C expects its own. Memory is in exec_jit_x86_mem.c, calls are in exec_jit_x86_call.c.
 */
#if defined(__x86_64__)
#include "vm/exec_jit_x86.h"

const uint8_t x_reg_of[16] = {RAX, RDI, RSI, RDX, RCX, R8, RBX, R13, R14, R15, RBP};

/* -------- arithmetic -------- */

EMIT(ALU64_K)
{
	UNUSED;
	x_alu_k(j, i, true);
}

EMIT(ALU64_X)
{
	UNUSED;
	x_alu_x(j, i, true);
}

EMIT(ALU32_K)
{
	UNUSED;
	x_alu_k(j, i, false);
}

EMIT(ALU32_X)
{
	UNUSED;
	x_alu_x(j, i, false);
}

EMIT(MOV_K)
{
	UNUSED;
	x_const(j, x_dst(i), id == ISA_MOV64_K ? (uint64_t)(int64_t)i->imm : (uint32_t)i->imm);
}

EMIT(MOV_X)
{
	bool w = BPF_CLASS(i->code) == BPF_ALU64;

	UNUSED;
	switch (i->off) {
	case 8:
		x_0f_rr(j, w, 0xbe, x_dst(i), x_src(i), true);
		break;
	case 16:
		x_0f_rr(j, w, 0xbf, x_dst(i), x_src(i), false);
		break;
	case 32:
		x_rr(j, true, 0x63, x_dst(i), x_src(i));
		break;
	default:
		x_mov(j, w, x_dst(i), x_src(i));
	}
}

EMIT(UNARY)
{
	UNUSED;
	if (BPF_OP(i->code) == BPF_NEG) {
		x_rex(j, id == ISA_NEG64, 0, x_dst(i), false);
		x_byte(j, 0xf7);
		x_byte(j, 0xd8 | (x_dst(i) & 7));
	} else if (i->code != (BPF_ALU | BPF_END | BPF_TO_LE)) {
		x_bswap(j, x_dst(i), i->imm);
	} else if (i->imm == 16) {
		x_0f_rr(j, false, 0xb7, x_dst(i), x_dst(i), false);
	} else if (i->imm == 32) {
		x_mov(j, false, x_dst(i), x_dst(i));
	}
}

/* -------- jumps -------- */

static int cc_of(uint8_t op)
{
	static const uint8_t cc[] = {
		[BPF_JEQ >> 4] = CC_E,	 [BPF_JNE >> 4] = CC_NE,  [BPF_JGT >> 4] = CC_A,
		[BPF_JGE >> 4] = CC_AE,	 [BPF_JLT >> 4] = CC_B,	  [BPF_JLE >> 4] = CC_BE,
		[BPF_JSGT >> 4] = CC_G,	 [BPF_JSGE >> 4] = CC_GE, [BPF_JSLT >> 4] = CC_L,
		[BPF_JSLE >> 4] = CC_LE, [BPF_JSET >> 4] = CC_NE,
	};

	return cc[op >> 4];
}

static void jump(struct jit *j, uint32_t pc, int cc)
{
	uint32_t to = (uint32_t)isa_target(j->prog->insns, pc);

	if (to <= pc) {
		x_jump_back(j, cc, j->addr[to]);
		if (!j->placing) {
			j->n_loops += !j->loop[to];
			j->loop[to] = j->len;
		}
		return;
	}
	j->fix[j->n_fix++] = (struct fix){
		.at = j->near[pc] ? x_short(j, cc) : x_jump(j, cc), .pc = to, .from = pc, .near = j->near[pc]};
}

/* A conditional jump at pc, if it is not taken, leads straight to what is returned, a goto backward; UINT32_MAX: it does
 * not. */
static uint32_t goto_behind(const struct jit *j, uint32_t pc)
{
	const struct bpf_insn *insns = j->prog->insns;
	uint32_t left = j->prog->n_insns - pc, end = pc + (left < 8 ? left : 8);
	enum isa_id id = isa_decode(&insns[pc]);

	if (id == ISA_GOTO || id == ISA_GOTOL)
		return UINT32_MAX;
	for (pc++; pc < end && !j->plan.leader[pc]; pc += 1u + isa_is_wide(&insns[pc])) {
		if (isa_decode(&insns[pc]) == ISA_GOTO)
			return isa_target(insns, pc) <= pc ? pc : UINT32_MAX;
		if (BPF_CLASS(insns[pc].code) == BPF_JMP || BPF_CLASS(insns[pc].code) == BPF_JMP32)
			return UINT32_MAX;
	}
	return UINT32_MAX;
}

/* Before a jump that goes backward: the checked profile charges it, taken or not, and with it the goto behind. */
static void charge(struct jit *j, uint32_t pc)
{
	int64_t to = isa_target(j->prog->insns, pc), cost = pc + 1 - to, other;

	if (!j->checked || to > pc || j->charged == pc)
		return;
	j->charged = goto_behind(j, pc);
	other = j->charged == UINT32_MAX ? 0 : j->charged + 1 - isa_target(j->prog->insns, j->charged);
	x_ri(j, true, 5, R11, (int32_t)(other > cost ? other : cost));
	x_stub(j, CC_S, x_site(j, (struct vm_site){.pc = pc, .kind = SITE_BUDGET}));
}

static void jump_k(struct jit *j, uint32_t pc, const struct bpf_insn *i, bool w)
{
	unsigned int d = x_dst(i);

	charge(j, pc);
	if (BPF_OP(i->code) == BPF_JSET) {
		x_rex(j, w, 0, d, false);
		x_byte(j, 0xf7);
		x_byte(j, 0xc0 | (d & 7));
		x_u32(j, (uint32_t)i->imm);
	} else if (!i->imm && (BPF_OP(i->code) == BPF_JEQ || BPF_OP(i->code) == BPF_JNE)) {
		x_rr(j, w, 0x85, d, d);
	} else {
		x_ri(j, w, 7, d, i->imm);
	}
	jump(j, pc, cc_of(BPF_OP(i->code)));
}

static void jump_x(struct jit *j, uint32_t pc, const struct bpf_insn *i, bool w)
{
	charge(j, pc);
	x_rr(j, w, BPF_OP(i->code) == BPF_JSET ? 0x85 : 0x39, x_src(i), x_dst(i));
	jump(j, pc, cc_of(BPF_OP(i->code)));
}

EMIT(JUMP64_K)
{
	UNUSED;
	jump_k(j, pc, i, true);
}

EMIT(JUMP64_X)
{
	UNUSED;
	jump_x(j, pc, i, true);
}

EMIT(JUMP32_K)
{
	UNUSED;
	jump_k(j, pc, i, false);
}

EMIT(JUMP32_X)
{
	UNUSED;
	jump_x(j, pc, i, false);
}

EMIT(GOTO)
{
	UNUSED;
	charge(j, pc);
	jump(j, pc, -1);
}

EMIT(GOTOL)
{
	UNUSED;
	charge(j, pc);
	jump(j, pc, -1);
}

/* Counted down whether it is taken or not, and taken from then on. */
EMIT(MAY_GOTO)
{
	UNUSED;
	charge(j, pc);
	x_rex(j, true, 0, R12, false);
	x_byte(j, 0x83);
	x_mem(j, 5, R12, RUN(may_goto));
	x_byte(j, 1);
	jump(j, pc, CC_S);
}

EMIT(EXIT)
{
	UNUSED;
	x_epilogue(j);
}

EMIT(LD64)
{
	UNUSED;
	x_const(j, x_dst(i), j->prog->ops[pc + 1].value);
}

EMIT(REFUSED)
{
	UNUSED;
	__builtin_unreachable(); /* isa_check() */
}

static void (*const emit[])(struct jit *j, uint32_t pc, const struct bpf_insn *i, enum isa_id id) = {
#define ISA_OP(name, code, variant, form, text) [ISA_##name] = x_emit_##form,
#include "isa/isa.def"
};

void x_insn(struct jit *j, uint32_t pc)
{
	const struct bpf_insn *i = &j->prog->insns[pc];
	enum isa_id id = isa_decode(i);

	emit[id](j, pc, i, id);
}
#endif
