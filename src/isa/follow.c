// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What registers hold is followed forward through the program, along the ways that can be gone, until nothing changes any more
 * (Kildall, "A unified approach to global program optimization", POPL 1973; Wegman and Zadeck, "Constant propagation with
 * conditional branches", TOPLAS 1991).
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "isa/fold_inside.h"

static const struct value anything = {0, ANYTHING};

static struct value wide_of(const struct fold *f, uint32_t pc)
{
	const struct bpf_insn *i = &f->insns[pc];
	size_t k;

	if (!i->src_reg)
		return fold_number((uint32_t)i->imm | (uint64_t)(uint32_t)i[1].imm << 32);
	if (i->src_reg == BPF_PSEUDO_MAP_VALUE)
		for (k = 0; k < f->n_v; k++)
			if (f->v[k].imm == i->imm)
				return (struct value){(uint32_t)i[1].imm, POINTER + (uint32_t)k};
	return anything;
}

/* To pc, if it is in the program, a way leads with these registers and this frame. */
static void meet(struct fold *f, int64_t pc, const struct value *regs, const struct frame *frame)
{
	struct value *to;
	int r;

	if (pc < 0 || pc >= f->n)
		return;
	to = f->regs[pc];
	for (r = 0; r < ISA_REGS; r++) {
		if (to[r].holds == ANYTHING || (to[r].holds == regs[r].holds && to[r].v == regs[r].v))
			continue;
		to[r] = to[r].holds == UNSEEN ? regs[r] : anything;
		f->changed = true;
	}
	if (f->frame_of[pc])
		f->changed |= frame_meet(&f->frames[f->frame_of[pc]], frame);
}

static void enter(struct fold *f, int64_t pc)
{
	struct value regs[ISA_REGS];
	struct frame frame;
	int r;

	for (r = 0; r < ISA_REGS; r++)
		regs[r] = anything;
	frame_enter(&frame);
	meet(f, pc, regs, &frame);
}

/* The constant of `size` bytes at a pointer and an offset; false: not known. */
bool fold_constant(const struct fold *f, struct value pointer, int32_t off, uint32_t size, uint64_t *value)
{
	const struct isa_memory *v;
	int64_t at;

	if (pointer.holds < POINTER || !f->v[pointer.holds - POINTER].bytes)
		return false;
	v = &f->v[pointer.holds - POINTER];
	at = (int64_t)pointer.v + off;
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

bool fold_is_load(const struct bpf_insn *i)
{
	return BPF_CLASS(i->code) == BPF_LDX && BPF_MODE(i->code) == BPF_MEM;
}

uint32_t fold_size(const struct bpf_insn *i)
{
	return BPF_SIZE(i->code) == BPF_B   ? 1
	       : BPF_SIZE(i->code) == BPF_H ? 2
	       : BPF_SIZE(i->code) == BPF_W ? 4
					    : 8;
}

/* What an instruction computes of two numbers, RFC 9669, 4.1; false: none of those that are known here. */
static bool compute(const struct bpf_insn *i, uint64_t d, uint64_t s, uint64_t *to)
{
	bool wide = BPF_CLASS(i->code) == BPF_ALU64;
	uint32_t most = wide ? 63 : 31;

	if (!wide)
		d = (uint32_t)d;
	switch (BPF_OP(i->code)) {
	case BPF_MOV:
		*to = s;
		break;
	case BPF_ADD:
		*to = d + s;
		break;
	case BPF_SUB:
		*to = d - s;
		break;
	case BPF_MUL:
		*to = d * s;
		break;
	case BPF_OR:
		*to = d | s;
		break;
	case BPF_AND:
		*to = d & s;
		break;
	case BPF_XOR:
		*to = d ^ s;
		break;
	case BPF_LSH:
		*to = d << (s & most);
		break;
	case BPF_RSH:
		*to = d >> (s & most);
		break;
	case BPF_ARSH:
		*to = wide ? (uint64_t)((int64_t)d >> (s & most))
			   : (uint64_t)(int64_t)((int32_t)d >> (s & most));
		break;
	case BPF_NEG:
		*to = 0 - d;
		break;
	default:
		return false;
	}
	if (!wide)
		*to = (uint32_t)*to;
	return !i->off;
}

/* Does a jump go on two numbers? RFC 9669, 4.3 */
static bool jumps(const struct bpf_insn *i, uint64_t d, uint64_t s)
{
	bool wide = BPF_CLASS(i->code) == BPF_JMP;
	int64_t sd, ss;

	if (!wide) {
		d = (uint32_t)d;
		s = (uint32_t)s;
	}
	sd = wide ? (int64_t)d : (int32_t)d;
	ss = wide ? (int64_t)s : (int32_t)s;
	switch (BPF_OP(i->code)) {
	case BPF_JEQ:
		return d == s;
	case BPF_JNE:
		return d != s;
	case BPF_JGT:
		return d > s;
	case BPF_JGE:
		return d >= s;
	case BPF_JLT:
		return d < s;
	case BPF_JLE:
		return d <= s;
	case BPF_JSET:
		return d & s;
	case BPF_JSGT:
		return sd > ss;
	case BPF_JSGE:
		return sd >= ss;
	case BPF_JSLT:
		return sd < ss;
	default:
		return sd <= ss;
	}
}

static struct value source(const struct bpf_insn *i, const struct value *regs)
{
	return BPF_SRC(i->code) == BPF_X ? regs[i->src_reg] : fold_number((uint64_t)(int64_t)i->imm);
}

/* Can an immediate hold it? Of what none can, the verifier need not know what it is: it stays a load. */
bool fold_fits(uint64_t v)
{
	return v <= UINT32_MAX || (int64_t)v == (int32_t)v;
}

/* Is it foreseen where a conditional jump goes, by the verifier, too? */
bool fold_is_decided(const struct bpf_insn *i, const struct value *regs, bool *goes)
{
	struct value s;
	enum isa_id id = isa_decode(i);

	if (id == ISA_UNKNOWN || (isa_op(id)->fields & (ISA_R | ISA_J)) != (ISA_R | ISA_J))
		return false;
	s = source(i, regs);
	if (regs[i->dst_reg].holds >= POINTER && s.holds == NUMBER && !s.v &&
	    (id == ISA_JEQ64_K || id == ISA_JNE64_K)) {
		*goes = id == ISA_JNE64_K;
		return true;
	}
	if (regs[i->dst_reg].holds != NUMBER || s.holds != NUMBER || !fold_fits(regs[i->dst_reg].v) ||
	    !fold_fits(s.v))
		return false;
	*goes = jumps(i, regs[i->dst_reg].v, s.v);
	return true;
}

/* A pointer and a number: within 2 GB of where the memory begins. */
static struct value add(struct value pointer, uint64_t n)
{
	int64_t at = (int32_t)(uint32_t)pointer.v + (int64_t)n;

	if ((int64_t)n != (int32_t)n || at != (int32_t)at)
		return anything;
	return (struct value){(uint32_t)at, pointer.holds};
}

struct value fold_written(const struct fold *f, uint32_t pc, const struct value *regs)
{
	const struct bpf_insn *i = &f->insns[pc];
	enum isa_id id = isa_decode(i);
	struct value was = regs[i->dst_reg], s;
	uint64_t v;

	if (isa_is_wide(i))
		return wide_of(f, pc);
	if (id == ISA_MOV64_X)
		return regs[i->src_reg];
	if (fold_is_load(i) && i->src_reg == BPF_REG_10)
		return f->loaded[pc];
	if (fold_is_load(i) && fold_constant(f, regs[i->src_reg], i->off, fold_size(i), &v))
		return fold_number(v);
	if (BPF_CLASS(i->code) != BPF_ALU && BPF_CLASS(i->code) != BPF_ALU64)
		return anything;
	s = source(i, regs);
	if ((id == ISA_ADD64_K || id == ISA_ADD64_X) && was.holds >= POINTER && s.holds == NUMBER)
		return add(was, s.v);
	if (id == ISA_ADD64_X && was.holds == NUMBER && s.holds >= POINTER)
		return add(s, was.v);
	if (s.holds == NUMBER && (was.holds == NUMBER || BPF_OP(i->code) == BPF_MOV) &&
	    compute(i, was.v, s.v, &v))
		return fold_number(v);
	if ((BPF_OP(i->code) == BPF_AND || BPF_OP(i->code) == BPF_MUL) &&
	    ((s.holds == NUMBER && !s.v) || (was.holds == NUMBER && !was.v)))
		return fold_number(0);
	return anything;
}

/* What the registers hold behind an instruction. */
static void step(const struct fold *f, uint32_t pc, struct value *regs)
{
	const struct bpf_insn *i = &f->insns[pc];
	enum isa_id id = isa_decode(i);
	uint16_t fields = id == ISA_UNKNOWN ? ISA_W : isa_op(id)->fields;
	struct value to;
	int r;

	if (i->code == (BPF_JMP | BPF_CALL)) {
		for (r = 0; r < CALLER_SAVED; r++)
			regs[r] = anything;
		return;
	}
	to = id == ISA_UNKNOWN ? anything : fold_written(f, pc, regs);
	if (fields & ISA_WS)
		regs[i->src_reg] = anything;
	/* compare and exchange answers in r0, without a field that says so */
	if (BPF_CLASS(i->code) == BPF_STX && BPF_MODE(i->code) == BPF_ATOMIC)
		regs[BPF_REG_0] = anything;
	if (fields & ISA_W)
		regs[i->dst_reg] = to;
}

/* Nothing follows but where it jumps to, if anywhere. */
bool fold_is_end(const struct bpf_insn *i)
{
	return i->code == (BPF_JMP | BPF_EXIT) || i->code == (BPF_JMP | BPF_JA) ||
	       i->code == (BPF_JMP32 | BPF_JA);
}

/* Does the instruction behind follow, and the one that is jumped to? */
void fold_goes(const struct fold *f, uint32_t pc, bool *next, bool *target)
{
	const struct bpf_insn *i = &f->insns[pc];
	bool goes;

	*next = !fold_is_end(i);
	*target = isa_target(f->insns, pc) >= 0;
	if (fold_is_decided(i, f->regs[pc], &goes)) {
		*next = !goes;
		*target = goes;
	}
}

/* What it names is a function. */
bool fold_names(const struct bpf_insn *i)
{
	return i->code == (BPF_JMP | BPF_CALL) || isa_is_wide(i);
}

/* frame: that before pc, unless ways meet there; afterwards that behind it. */
static void go(struct fold *f, uint32_t pc, struct frame *frame)
{
	const struct bpf_insn *i = &f->insns[pc];
	struct value regs[ISA_REGS];
	bool next, target;

	if (!fold_is_reached(f, pc))
		return;
	if (f->frame_of[pc])
		*frame = f->frames[f->frame_of[pc]];
	fold_goes(f, pc, &next, &target);
	memcpy(regs, f->regs[pc], sizeof(regs));
	if (fold_is_load(i) && i->src_reg == BPF_REG_10)
		f->loaded[pc] = frame_load(frame, i);
	frame_step(frame, i, regs);
	step(f, pc, regs);
	if (target && fold_names(i))
		enter(f, isa_target(f->insns, pc));
	else if (target)
		meet(f, isa_target(f->insns, pc), regs, frame);
	if (next)
		meet(f, fold_behind(f, pc), regs, frame);
}

/* Where somebody jumps to, and a frame for each such place and the beginning. */
static int begin(struct fold *f, struct sluice_err *err)
{
	uint32_t pc, n = 2;
	int64_t target;

	fold_free(f);
	f->regs = calloc(f->n + 1ul, sizeof(*f->regs));
	f->is_target = calloc(f->n + 1ul, 1);
	f->loaded = calloc(f->n + 1ul, sizeof(*f->loaded));
	f->frame_of = calloc(f->n + 1ul, sizeof(*f->frame_of));
	if (!f->regs || !f->is_target || !f->loaded || !f->frame_of)
		return err_nomem(err);
	f->frame_of[0] = 1;
	for (pc = 0; pc < f->n; pc = fold_behind(f, pc)) {
		target = isa_target(f->insns, pc);
		if (target < 0 || target >= f->n)
			continue;
		f->is_target[target] = 1;
		if (!f->frame_of[target])
			f->frame_of[target] = n++;
	}
	f->frames = calloc(n, sizeof(*f->frames));
	return f->frames ? 0 : err_nomem(err);
}

void fold_free(struct fold *f)
{
	free(f->regs);
	free(f->is_target);
	free(f->loaded);
	free(f->frames);
	free(f->frame_of);
	f->regs = NULL;
	f->is_target = NULL;
	f->loaded = NULL;
	f->frames = NULL;
	f->frame_of = NULL;
}

/* What is known of registers, everywhere. */
int fold_follow(struct fold *f, struct sluice_err *err)
{
	struct frame frame;
	uint32_t pc;
	int e = begin(f, err);

	if (e)
		return e;
	enter(f, 0);
	do {
		f->changed = false;
		for (pc = 0; pc < f->n; pc = fold_behind(f, pc))
			go(f, pc, &frame);
	} while (f->changed);
	return 0;
}
