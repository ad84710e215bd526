// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Loads of constants become the constants, lookups of a map's only value its address, and what is computed of numbers a number. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "isa/fold_inside.h"

#define BETWEEN 4 /* instructions between a map and the lookup in it, and the lookup */

/* An instruction becomes a number in its register, if an immediate can hold it. */
static bool put_number(struct bpf_insn *i, uint64_t v)
{
	struct bpf_insn made = isa_make(v <= UINT32_MAX ? ISA_MOV32_K : ISA_MOV64_K);

	if (!fold_fits(v))
		return false;
	made.dst_reg = i->dst_reg;
	made.imm = (int32_t)(uint32_t)v;
	*i = made;
	return true;
}

static bool fold_load(const struct fold *f, uint32_t pc)
{
	struct bpf_insn *i = &f->insns[pc];
	struct value v;

	if (!fold_is_load(i) || !fold_is_reached(f, pc))
		return false;
	v = fold_written(f, pc, f->regs[pc]);
	return v.holds == NUMBER && put_number(i, v.v);
}

/* A source register that holds a number becomes an immediate: of what the kernel takes with any. */
static bool put_immediate(struct bpf_insn *i, uint64_t v)
{
	uint8_t class = BPF_CLASS(i->code), op = BPF_OP(i->code);
	bool wide = class == BPF_ALU64 || class == BPF_JMP, shift = false;

	if (class == BPF_ALU || class == BPF_ALU64) {
		shift = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
		if (op == BPF_DIV || op == BPF_MOD || op == BPF_MOV || op == BPF_NEG || op == BPF_END)
			return false;
	}
	v = shift ? v & (wide ? 63 : 31) : wide ? v : (uint64_t)(int32_t)(uint32_t)v;
	if ((int64_t)v != (int32_t)v)
		return false;
	i->code = (uint8_t)(i->code & ~BPF_X);
	i->src_reg = 0;
	i->imm = (int32_t)v;
	return true;
}

/* A number that changes nothing of what it is computed with: 0, or for `and` all ones. */
static bool is_neutral(uint8_t op, bool wide, uint64_t v)
{
	if (op == BPF_AND)
		return wide ? v == UINT64_MAX : (uint32_t)v == UINT32_MAX;
	return (op == BPF_ADD || op == BPF_OR || op == BPF_XOR) && (wide ? !v : !(uint32_t)v);
}

/* `x += 0` and the like go, in 64 bits: 32 clear the upper half. With the number in the destination it is a copy. */
static bool fold_neutral(const struct fold *f, uint32_t pc)
{
	struct bpf_insn *i = &f->insns[pc];
	const struct value *regs = f->regs[pc];
	bool wide = BPF_CLASS(i->code) == BPF_ALU64, with_register = BPF_SRC(i->code) == BPF_X;
	struct value s = with_register ? regs[i->src_reg] : fold_number((uint64_t)(int64_t)i->imm);
	uint8_t op = BPF_OP(i->code), dst = i->dst_reg, src = i->src_reg;

	if (wide && s.holds == NUMBER && is_neutral(op, true, s.v)) {
		*i = isa_make(ISA_GOTO);
		return true;
	}
	if (!with_register || regs[dst].holds != NUMBER || !is_neutral(op, wide, regs[dst].v))
		return false;
	*i = isa_make(wide ? ISA_MOV64_X : ISA_MOV32_X);
	i->dst_reg = dst;
	i->src_reg = src;
	return true;
}

/* What is computed of numbers alone, or with one. */
static bool fold_sum(const struct fold *f, uint32_t pc)
{
	struct bpf_insn *i = &f->insns[pc];
	uint8_t class = BPF_CLASS(i->code);
	enum isa_id id = isa_decode(i);
	struct value v;

	if (id == ISA_UNKNOWN || !fold_is_reached(f, pc))
		return false;
	if (class == BPF_ALU || class == BPF_ALU64) {
		v = fold_written(f, pc, f->regs[pc]);
		if (v.holds == NUMBER && id != ISA_MOV32_K && id != ISA_MOV64_K && put_number(i, v.v))
			return true;
		if (fold_neutral(f, pc))
			return true;
	} else if ((isa_op(id)->fields & (ISA_R | ISA_S | ISA_J)) != (ISA_R | ISA_S | ISA_J)) {
		return false;
	}
	return BPF_SRC(i->code) == BPF_X && f->regs[pc][i->src_reg].holds == NUMBER &&
	       put_immediate(i, f->regs[pc][i->src_reg].v);
}

/* The call that takes the map which is loaded at pc, if nothing in between is in the way of its answer; 0: none. */
static uint32_t call_of(const struct fold *f, uint32_t pc)
{
	const struct bpf_insn *i;
	enum isa_id id;
	uint32_t k;

	for (pc += 2, k = 0; pc < f->n && k < BETWEEN && !f->is_target[pc]; k++) {
		i = &f->insns[pc];
		if (BPF_CLASS(i->code) == BPF_JMP || BPF_CLASS(i->code) == BPF_JMP32)
			return i->code == (BPF_JMP | BPF_CALL) && !i->src_reg && i->imm == BPF_FUNC_map_lookup_elem ? pc : 0;
		id = isa_decode(i);
		if (id == ISA_UNKNOWN || i->dst_reg <= BPF_REG_1 || BPF_CLASS(i->code) == BPF_STX ||
		    (isa_op(id)->fields & (ISA_S | ISA_WS) && i->src_reg <= BPF_REG_1))
			return 0;
		pc = fold_behind(f, pc);
	}
	return 0;
}

/* `r1 = map; r0 = lookup(r1, key)` becomes `r0 = value of map`, and an instruction that the kernel takes out. */
static bool fold_lookup(const struct fold *f, uint32_t pc)
{
	struct bpf_insn *i = &f->insns[pc];
	uint32_t call;
	uint64_t key;
	size_t k;

	if (i->code != (BPF_LD | BPF_IMM | BPF_DW) || i->src_reg != BPF_PSEUDO_MAP_FD || i->dst_reg != BPF_REG_1)
		return false;
	call = call_of(f, pc);
	if (!call || !fold_constant(f, f->regs[call][BPF_REG_2], 0, 4, &key) || key)
		return false;
	for (k = 0; k < f->n_v; k++)
		if (f->v[k].imm == i->imm) {
			i->dst_reg = BPF_REG_0;
			i->src_reg = BPF_PSEUDO_MAP_VALUE;
			i[1].imm = 0;
			f->insns[call] = isa_make(ISA_GOTO);
			return true;
		}
	return false;
}

int isa_fold(struct bpf_insn *insns, uint32_t n, const struct isa_memory *v, size_t n_v, uint32_t *n_folded,
	     struct sluice_err *err)
{
	struct fold f = {.insns = insns, .n = n, .v = v, .n_v = n_v};
	uint32_t pc, count = 0;
	int e;

	e = fold_follow(&f, err);
	for (pc = 0; pc < n && !e; pc = fold_behind(&f, pc))
		count += fold_load(&f, pc) || fold_lookup(&f, pc);
	e = e ?: fold_follow(&f, err); /* lookups that are addresses are not NULL */
	for (pc = 0; pc < n && !e; pc = fold_behind(&f, pc))
		count += fold_load(&f, pc) || fold_sum(&f, pc);
	e = e ?: fold_trim(&f, &count, err);
	fold_free(&f);
	if (n_folded)
		*n_folded = count;
	return e;
}
