// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Loads of constants become the constants, lookups addresses: which registers point into constant memory is followed forward through the
 * program, along all ways, until nothing changes any more (Kildall, "A unified approach to global program optimization",
 * POPL 1973).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "isa/fold.h"
#include "isa/isa.h"

/* What a register holds before an instruction. */
#define UNSEEN 0ull   /* no way leads here, as far as is known */
#define ANYTHING 1ull /* or a pointer: number of the memory + 2 in the upper half, offset in the lower one */
#define POINTER(memory, off) (((uint64_t)(memory) + 2) << 32 | (uint32_t)(off))
#define CALLER_SAVED 6 /* r0 to r5 */
#define FOLD_BETWEEN 4 /* instructions between a map and the lookup in it, and the lookup */

struct fold {
	const struct bpf_insn *insns;
	uint32_t n;
	const struct isa_memory *v;
	size_t n_v;
	uint64_t (*regs)[ISA_REGS];
	uint8_t *is_target; /* somebody jumps here */
	bool changed;
};

static bool is_pointer(uint64_t reg)
{
	return reg > ANYTHING;
}

static uint64_t pointer_of(const struct fold *f, uint32_t pc)
{
	const struct bpf_insn *i = &f->insns[pc];
	size_t k;

	if (i->src_reg == BPF_PSEUDO_MAP_VALUE)
		for (k = 0; k < f->n_v; k++)
			if (f->v[k].bytes && f->v[k].imm == i->imm)
				return POINTER(k, i[1].imm);
	return ANYTHING;
}

static void meet(struct fold *f, int64_t pc, const uint64_t *regs)
{
	uint64_t *to;
	int r;

	if (pc < 0 || pc >= f->n)
		return;
	to = f->regs[pc];
	for (r = 0; r < ISA_REGS; r++) {
		if (to[r] == regs[r] || to[r] == ANYTHING)
			continue;
		to[r] = to[r] == UNSEEN ? regs[r] : ANYTHING;
		f->changed = true;
	}
}

static void enter(struct fold *f, int64_t pc)
{
	uint64_t regs[ISA_REGS];
	int r;

	for (r = 0; r < ISA_REGS; r++)
		regs[r] = ANYTHING;
	meet(f, pc, regs);
}

/* What the registers hold behind an instruction. */
static void step(const struct fold *f, uint32_t pc, uint64_t *regs)
{
	const struct bpf_insn *i = &f->insns[pc];
	enum isa_id id = isa_decode(i);
	uint16_t fields = id == ISA_UNKNOWN ? ISA_W : isa_op(id)->fields;
	uint64_t was = regs[i->dst_reg];
	int r;

	if (i->code == (BPF_JMP | BPF_CALL)) {
		for (r = 0; r < CALLER_SAVED; r++)
			regs[r] = ANYTHING;
		return;
	}
	if (fields & ISA_WS)
		regs[i->src_reg] = ANYTHING;
	/* compare and exchange answers in r0, without a field that says so */
	if (BPF_CLASS(i->code) == BPF_STX && BPF_MODE(i->code) == BPF_ATOMIC)
		regs[BPF_REG_0] = ANYTHING;
	if (!(fields & ISA_W))
		return;
	regs[i->dst_reg] = ANYTHING;
	if (isa_is_wide(i))
		regs[i->dst_reg] = pointer_of(f, pc);
	else if (id == ISA_MOV64_X)
		regs[i->dst_reg] = regs[i->src_reg];
	else if (id == ISA_ADD64_K && is_pointer(was))
		regs[i->dst_reg] = (was & ~0xffffffffull) | (uint32_t)((uint32_t)was + (uint32_t)i->imm);
}

static void go(struct fold *f, uint32_t pc)
{
	const struct bpf_insn *i = &f->insns[pc];
	uint64_t regs[ISA_REGS];
	int64_t target = isa_target(f->insns, pc);
	bool is_jump = BPF_CLASS(i->code) == BPF_JMP || BPF_CLASS(i->code) == BPF_JMP32;

	if (f->regs[pc][BPF_REG_10] == UNSEEN)
		return;
	memcpy(regs, f->regs[pc], sizeof(regs));
	step(f, pc, regs);
	if (target >= 0 && (!is_jump || i->code == (BPF_JMP | BPF_CALL)))
		enter(f, target);
	else if (target >= 0)
		meet(f, target, regs);
	if (i->code == (BPF_JMP | BPF_EXIT) || i->code == (BPF_JMP | BPF_JA) || i->code == (BPF_JMP32 | BPF_JA))
		return;
	meet(f, pc + (isa_is_wide(i) ? 2 : 1), regs);
}

/* The constant of `size` bytes at a pointer and an offset; false: not known. */
static bool constant(const struct fold *f, uint64_t pointer, int32_t off, uint32_t size, uint64_t *value)
{
	const struct isa_memory *v;
	int64_t at;

	if (!is_pointer(pointer))
		return false;
	v = &f->v[(pointer >> 32) - 2];
	at = (int64_t)(uint32_t)pointer + off;
	if (at < 0 || (uint64_t)at > v->len || v->len - (uint64_t)at < size)
		return false;
	*value = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(value, (const char *)v->bytes + at, size);
#else
	memcpy((char *)value + 8 - size, (const char *)v->bytes + at, size);
#endif
	return true;
}

static bool fold_load(const struct fold *f, struct bpf_insn *i, uint32_t pc)
{
	uint32_t size = BPF_SIZE(i->code) == BPF_B ? 1 : BPF_SIZE(i->code) == BPF_H ? 2 : BPF_SIZE(i->code) == BPF_W ? 4 : 8;
	struct bpf_insn made;
	uint64_t value;

	if (BPF_CLASS(i->code) != BPF_LDX || BPF_MODE(i->code) != BPF_MEM ||
	    !constant(f, f->regs[pc][i->src_reg], i->off, size, &value) ||
	    (value > UINT32_MAX && (int64_t)value != (int32_t)value))
		return false;
	made = isa_make(value <= UINT32_MAX ? ISA_MOV32_K : ISA_MOV64_K);
	made.dst_reg = i->dst_reg;
	made.imm = (int32_t)(uint32_t)value;
	*i = made;
	return true;
}

/* The call that takes the map which is loaded at pc, if nothing in between is in the way of its answer; 0: none. */
static uint32_t call_of(const struct fold *f, uint32_t pc)
{
	const struct bpf_insn *i;
	enum isa_id id;
	uint32_t k;

	for (pc += 2, k = 0; pc < f->n && k < FOLD_BETWEEN && !f->is_target[pc]; k++) {
		i = &f->insns[pc];
		if (BPF_CLASS(i->code) == BPF_JMP || BPF_CLASS(i->code) == BPF_JMP32)
			return i->code == (BPF_JMP | BPF_CALL) && !i->src_reg && i->imm == BPF_FUNC_map_lookup_elem ? pc : 0;
		id = isa_decode(i);
		if (id == ISA_UNKNOWN || i->dst_reg <= BPF_REG_1 || BPF_CLASS(i->code) == BPF_STX ||
		    (isa_op(id)->fields & (ISA_S | ISA_WS) && i->src_reg <= BPF_REG_1))
			return 0;
		pc += isa_is_wide(i) ? 2 : 1;
	}
	return 0;
}

/* `r1 = map; r0 = lookup(r1, key)` becomes `r0 = value of map`, and an instruction that the kernel takes out. */
static bool fold_lookup(const struct fold *f, struct bpf_insn *insns, uint32_t pc)
{
	struct bpf_insn *i = &insns[pc];
	uint32_t call;
	uint64_t key;
	size_t k;

	if (i->code != (BPF_LD | BPF_IMM | BPF_DW) || i->src_reg != BPF_PSEUDO_MAP_FD || i->dst_reg != BPF_REG_1)
		return false;
	call = call_of(f, pc);
	if (!call || !constant(f, f->regs[call][BPF_REG_2], 0, 4, &key) || key)
		return false;
	for (k = 0; k < f->n_v; k++)
		if (f->v[k].imm == i->imm) {
			i->dst_reg = BPF_REG_0;
			i->src_reg = BPF_PSEUDO_MAP_VALUE;
			i[1].imm = 0;
			insns[call] = isa_make(ISA_GOTO);
			return true;
		}
	return false;
}

static int follow(struct fold *f, struct sluice_err *err)
{
	int64_t target;
	uint32_t pc;

	f->regs = calloc(f->n + 1ul, sizeof(*f->regs));
	f->is_target = calloc(f->n + 1ul, 1);
	if (!f->regs || !f->is_target)
		return err_nomem(err);
	for (pc = 0; pc < f->n; pc += isa_is_wide(&f->insns[pc]) ? 2 : 1) {
		target = isa_target(f->insns, pc);
		if (target >= 0 && target < f->n)
			f->is_target[target] = 1;
	}
	enter(f, 0);
	do {
		f->changed = false;
		for (pc = 0; pc < f->n; pc += isa_is_wide(&f->insns[pc]) ? 2 : 1)
			go(f, pc);
	} while (f->changed);
	return 0;
}

int isa_fold(struct bpf_insn *insns, uint32_t n, const struct isa_memory *v, size_t n_v, uint32_t *n_folded,
	     struct sluice_err *err)
{
	struct fold f = {.insns = insns, .n = n, .v = v, .n_v = n_v};
	int e = follow(&f, err);
	uint32_t pc, count = 0;

	for (pc = 0; pc < n && !e; pc += isa_is_wide(&insns[pc]) ? 2 : 1)
		count += fold_load(&f, &insns[pc], pc) || fold_lookup(&f, insns, pc);
	free(f.regs);
	free(f.is_target);
	if (n_folded)
		*n_folded = count;
	return e;
}
