// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Classic BPF, slowly and obviously. */
#include "policy/cbpf.h"

/* The parts of an instruction's code, as in <linux/bpf_common.h>. */
enum { LD = 0, LDX, ST, STX, ALU, JMP, RET, MISC };
enum { IMM = 0x00, ABS = 0x20, IND = 0x40, MEM = 0x60, LEN = 0x80, MSH = 0xa0 };
enum { SIZE_W = 0x00, SIZE_H = 0x08, SIZE_B = 0x10 };
enum {
	ADD = 0x00,
	SUB = 0x10,
	MUL = 0x20,
	DIV = 0x30,
	OR = 0x40,
	AND = 0x50,
	LSH = 0x60,
	RSH = 0x70,
	NEG = 0x80,
	MOD = 0x90,
	XOR = 0xa0
};
enum { JA = 0x00, JEQ = 0x10, JGT = 0x20, JGE = 0x30, JSET = 0x40 };
enum { SRC_X = 0x08, RET_A = 0x10, TXA = 0x80, SCRATCH = 16 };

static bool check_alu(const struct policy_insn *i)
{
	unsigned int op = i->code & 0xf0;

	if (op > XOR)
		return false;
	return i->code & SRC_X || (op != DIV && op != MOD) || i->k;
}

static bool check_load(const struct policy_insn *i)
{
	unsigned int mode = i->code & 0xe0, size = i->code & 0x18;

	if ((i->code & 7) == LDX)
		return (mode == MSH && size == SIZE_B) ||
		       (size == SIZE_W && (mode == IMM || mode == LEN || (mode == MEM && i->k < SCRATCH)));
	if (mode == ABS || mode == IND)
		return size != 0x18;
	return size == SIZE_W && (mode == IMM || mode == LEN || (mode == MEM && i->k < SCRATCH));
}

bool cbpf_check(const struct policy_insn *insns, uint32_t n)
{
	const struct policy_insn *i;
	uint32_t at, left;

	if (!n || n > CBPF_INSNS_MAX || (insns[n - 1].code & 7) != RET)
		return false;
	for (at = 0; at < n; at++) {
		i = &insns[at];
		left = n - at - 1; /* instructions behind this one */
		if (i->code > 0xff)
			return false;
		switch (i->code & 7) {
		case LD:
		case LDX:
			if (!check_load(i))
				return false;
			break;
		case ST:
		case STX:
			if (i->code > STX || i->k >= SCRATCH)
				return false;
			break;
		case ALU:
			if (!check_alu(i))
				return false;
			break;
		case JMP:
			if ((i->code & 0xf0) > JSET)
				return false;
			if ((i->code & 0xf0) == JA ? i->k >= left : i->jt >= left || i->jf >= left)
				return false;
			break;
		case RET:
			if ((i->code & 0x18) > RET_A)
				return false;
			break;
		default:
			break;
		}
	}
	return true;
}

/* Big-endian bytes of the packet; false if they are not all there. */
static bool load(const uint8_t *bytes, uint32_t len, uint64_t at, unsigned int size, uint32_t *to)
{
	unsigned int n = size == SIZE_W ? 4 : size == SIZE_H ? 2 : 1, i;

	if (at + n > len)
		return false;
	for (*to = 0, i = 0; i < n; i++)
		*to = *to << 8 | bytes[at + i];
	return true;
}

/* false: division by 0 */
static bool alu(unsigned int op, uint32_t *a, uint32_t v)
{
	switch (op) {
	case ADD:
		*a += v;
		return true;
	case SUB:
		*a -= v;
		return true;
	case MUL:
		*a *= v;
		return true;
	case DIV:
		*a = v ? *a / v : 0;
		return v;
	case MOD:
		*a = v ? *a % v : 0;
		return v;
	case OR:
		*a |= v;
		return true;
	case AND:
		*a &= v;
		return true;
	case XOR:
		*a ^= v;
		return true;
	case LSH:
		*a = v < 32 ? *a << v : 0;
		return true;
	case RSH:
		*a = v < 32 ? *a >> v : 0;
		return true;
	default: /* NEG */
		*a = 0 - *a;
		return true;
	}
}

static bool jump(unsigned int op, uint32_t a, uint32_t v)
{
	return op == JEQ ? a == v : op == JGT ? a > v : op == JGE ? a >= v : (a & v) != 0;
}

uint32_t cbpf_run(const struct policy_insn *insns, uint32_t n, const uint8_t *bytes, uint32_t len,
		  uint32_t wire_len)
{
	uint32_t a = 0, x = 0, m[SCRATCH] = {0}, v, at;
	const struct policy_insn *i;
	unsigned int mode;

	for (at = 0; at < n; at++) {
		i = &insns[at];
		mode = i->code & 0xe0;
		v = i->code & SRC_X ? x : i->k;
		switch (i->code & 7) {
		case LD:
			if (mode == ABS || mode == IND) {
				if (!load(bytes, len, mode == IND ? (uint64_t)x + i->k : i->k,
					  i->code & 0x18, &a))
					return 0;
			} else {
				a = mode == IMM ? i->k : mode == LEN ? wire_len : m[i->k];
			}
			break;
		case LDX:
			if (mode == MSH) {
				if (!load(bytes, len, i->k, SIZE_B, &x))
					return 0;
				x = (x & 0xf) * 4;
			} else {
				x = mode == IMM ? i->k : mode == LEN ? wire_len : m[i->k];
			}
			break;
		case ST:
			m[i->k] = a;
			break;
		case STX:
			m[i->k] = x;
			break;
		case ALU:
			if (!alu(i->code & 0xf0, &a, v))
				return 0;
			break;
		case JMP:
			if ((i->code & 0xf0) == JA)
				at += i->k;
			else
				at += jump(i->code & 0xf0, a, v) ? i->jt : i->jf;
			break;
		case RET:
			return (i->code & 0x18) == RET_A ? a : (i->code & 0x18) == SRC_X ? x : i->k;
		default:
			if (i->code & TXA)
				a = x;
			else
				x = a;
		}
	}
	return 0;
}
