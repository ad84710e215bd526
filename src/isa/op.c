// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The table of isa.def as data, and which row an instruction is. */
#include <string.h>

#include "isa/isa.h"

enum {
#define ISA_FORM(name, fields) FIELDS_##name = fields,
#include "isa/isa.def"
};

/* By code alone, so that an impossible variant is found to be one. */
enum isa_by isa_by(uint8_t code)
{
	switch (BPF_CLASS(code)) {
	case BPF_ALU:
	case BPF_ALU64:
		switch (BPF_OP(code)) {
		case BPF_DIV:
		case BPF_MOD:
			return ISA_BY_OFF;
		case BPF_MOV:
			return BPF_SRC(code) == BPF_X ? ISA_BY_OFF : ISA_BY_NOTHING;
		case BPF_END:
			return ISA_BY_IMM;
		}
		return ISA_BY_NOTHING;
	case BPF_STX:
		return BPF_MODE(code) == BPF_ATOMIC ? ISA_BY_IMM : ISA_BY_NOTHING;
	case BPF_JMP:
		return code == (BPF_JMP | BPF_CALL) ? ISA_BY_SRC : ISA_BY_NOTHING;
	case BPF_LD:
		return code == (BPF_LD | BPF_IMM | BPF_DW) ? ISA_BY_SRC : ISA_BY_NOTHING;
	}
	return ISA_BY_NOTHING;
}

static int32_t variant(const struct bpf_insn *insn)
{
	switch (isa_by(insn->code)) {
	case ISA_BY_OFF:
		return insn->off;
	case ISA_BY_IMM:
		return insn->imm;
	case ISA_BY_SRC:
		return insn->src_reg;
	case ISA_BY_NOTHING:
		break;
	}
	return 0;
}

#define KEY(code, variant) ((uint64_t)(uint32_t)(variant) << 8 | (uint8_t)(code))

enum isa_id isa_decode(const struct bpf_insn *insn)
{
	/* two rows of one code and variant do not compile */
	switch (KEY(insn->code, variant(insn))) {
#define ISA_OP(name, code, variant, form, text) \
	case KEY(code, variant):                \
		return ISA_##name;
#include "isa/isa.def"
	}
	return ISA_UNKNOWN;
}

static const struct isa_op ops[] = {
#define ISA_OP(name, code, variant, form, text) \
	[ISA_##name] = {#name, text, code, ISA_FORM_##form, variant, FIELDS_##form},
#include "isa/isa.def"
};

const struct isa_op *isa_op(enum isa_id id)
{
	return &ops[id];
}

struct bpf_insn isa_make(enum isa_id id)
{
	struct bpf_insn insn = {.code = ops[id].code};

	switch (isa_by(insn.code)) {
	case ISA_BY_OFF:
		insn.off = ops[id].variant;
		break;
	case ISA_BY_IMM:
		insn.imm = ops[id].variant;
		break;
	case ISA_BY_SRC:
		insn.src_reg = (uint8_t)(ops[id].variant & 15);
		break;
	case ISA_BY_NOTHING:
		break;
	}
	return insn;
}

int64_t isa_target(const struct bpf_insn *insns, uint32_t pc)
{
	enum isa_id id = isa_decode(&insns[pc]);

	if (id == ISA_UNKNOWN)
		return -1;
	if (ops[id].fields & ISA_J)
		return (int64_t)pc + 1 + insns[pc].off;
	if (ops[id].fields & ISA_L || id == ISA_LD64_FUNC)
		return (int64_t)pc + 1 + insns[pc].imm;
	return -1;
}
