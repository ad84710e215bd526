// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* x86-64: arithmetic, of which division and shifts want registers that BPF has other uses for. */
#if defined(__x86_64__)
#include "vm/exec_jit_x86.h"

/* rax and rdx are what division works on; they are saved, unless they are the destination. r11 is not free:
 * it holds the budget. */
static void divide(struct jit *j, bool w, unsigned int d, bool is_signed, bool mod, bool may_be_0)
{
	uint32_t zero = 0, minus = 0, done;

	if (may_be_0) {
		x_rr(j, w, 0x85, R9, R9);
		zero = x_short(j, CC_E);
	}
	if (is_signed) {
		x_ri(j, w, 7, R9, -1);
		minus = x_short(j, CC_E);
	}
	if (d != RAX)
		x_mov(j, true, R10, RAX);
	if (d != RDX)
		x_push(j, RDX);
	if (d != RAX)
		x_mov(j, w, RAX, d);
	if (is_signed) {
		x_rex(j, w, 0, 0, false);
		x_byte(j, 0x99);
	} else {
		x_rr(j, false, 0x31, RDX, RDX);
	}
	x_rex(j, w, 0, R9, false);
	x_byte(j, 0xf7);
	x_byte(j, 0xc0 | (is_signed ? 7 : 6) << 3 | (R9 & 7));
	x_mov(j, w, R9, mod ? RDX : RAX);
	if (d != RAX)
		x_mov(j, true, RAX, R10);
	if (d != RDX)
		x_pop(j, RDX);
	x_mov(j, w, d, R9);
	if (!may_be_0 && !is_signed)
		return;
	done = x_short(j, -1);
	if (is_signed) {
		x_aim_short(j, minus);
		if (mod) {
			x_rr(j, false, 0x31, d, d);
		} else {
			x_rex(j, w, 0, d, false);
			x_byte(j, 0xf7);
			x_byte(j, 0xc0 | 3 << 3 | (d & 7));
		}
		if (may_be_0) {
			uint32_t done2 = x_short(j, -1);

			x_aim_short(j, zero);
			if (!mod)
				x_rr(j, false, 0x31, d, d);
			else if (!w)
				x_mov(j, false, d, d);
			x_aim_short(j, done2);
		}
	} else {
		x_aim_short(j, zero);
		if (!mod)
			x_rr(j, false, 0x31, d, d);
		else if (!w)
			x_mov(j, false, d, d);
	}
	x_aim_short(j, done);
}

static unsigned int shift_of(uint8_t op)
{
	return op == BPF_LSH ? 4 : op == BPF_RSH ? 5 : 7;
}

/* By register: the count must be in cl, which is r4. */
static void shift(struct jit *j, bool w, uint8_t op, unsigned int d, unsigned int s)
{
	unsigned int what = d;

	if (s != RCX) {
		x_mov(j, true, R10, RCX);
		x_mov(j, false, RCX, s);
		if (d == RCX)
			what = R10;
	}
	x_rex(j, w, 0, what, false);
	x_byte(j, 0xd3);
	x_byte(j, 0xc0 | shift_of(op) << 3 | (what & 7));
	if (s != RCX)
		x_mov(j, true, RCX, R10);
}

void x_alu_k(struct jit *j, const struct bpf_insn *i, bool w)
{
	static const uint8_t which[] = {[BPF_ADD >> 4] = 0,
					[BPF_OR >> 4] = 1,
					[BPF_AND >> 4] = 4,
					[BPF_SUB >> 4] = 5,
					[BPF_XOR >> 4] = 6};
	unsigned int d = x_dst(i);
	bool byte = i->imm >= -128 && i->imm < 128;

	switch (BPF_OP(i->code)) {
	case BPF_MUL:
		x_rex(j, w, d, d, false);
		x_byte(j, byte ? 0x6b : 0x69);
		x_byte(j, 0xc0 | (d & 7) << 3 | (d & 7));
		if (byte)
			x_byte(j, (uint8_t)i->imm);
		else
			x_u32(j, (uint32_t)i->imm);
		break;
	case BPF_DIV:
	case BPF_MOD:
		x_const(j, R9, w ? (uint64_t)(int64_t)i->imm : (uint32_t)i->imm);
		divide(j, w, d, i->off, BPF_OP(i->code) == BPF_MOD, !i->imm);
		break;
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH:
		x_rex(j, w, 0, d, false);
		x_byte(j, 0xc1);
		x_byte(j, 0xc0 | shift_of(BPF_OP(i->code)) << 3 | (d & 7));
		x_byte(j, (uint8_t)i->imm);
		if (!w && !(i->imm & 31))
			x_mov(j, false, d, d);
		break;
	default:
		x_ri(j, w, which[BPF_OP(i->code) >> 4], d, i->imm);
	}
}

void x_alu_x(struct jit *j, const struct bpf_insn *i, bool w)
{
	static const uint8_t code[] = {[BPF_ADD >> 4] = 0x01,
				       [BPF_OR >> 4] = 0x09,
				       [BPF_AND >> 4] = 0x21,
				       [BPF_SUB >> 4] = 0x29,
				       [BPF_XOR >> 4] = 0x31};
	unsigned int d = x_dst(i), s = x_src(i);

	switch (BPF_OP(i->code)) {
	case BPF_MUL:
		x_0f_rr(j, w, 0xaf, d, s, false);
		break;
	case BPF_DIV:
	case BPF_MOD:
		x_mov(j, w, R9, s);
		divide(j, w, d, i->off, BPF_OP(i->code) == BPF_MOD, true);
		break;
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH:
		shift(j, w, BPF_OP(i->code), d, s);
		/* a 32-bit shift by 0 leaves the upper half as it was */
		if (!w)
			x_mov(j, false, d, d);
		break;
	default:
		x_rr(j, w, code[BPF_OP(i->code) >> 4], s, d);
	}
}

void x_bswap(struct jit *j, unsigned int d, int bits)
{
	if (bits == 16) {
		/* ror word by 8, zero the rest */
		x_byte(j, 0x66);
		x_rex(j, false, 0, d, false);
		x_byte(j, 0xc1);
		x_byte(j, 0xc8 | (d & 7));
		x_byte(j, 8);
		x_0f_rr(j, false, 0xb7, d, d, false);
		return;
	}
	x_rex(j, bits == 64, 0, d, false);
	x_byte(j, 0x0f);
	x_byte(j, 0xc8 | (d & 7));
}
#endif
