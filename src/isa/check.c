// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Is a sequence of instructions sound? What it does is a verifier's question, not this file's. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "isa/isa.h"

struct check {
	const struct bpf_insn *insns;
	uint32_t n;
	bool rfc;      /* constants may be any */
	uint8_t *mark; /* per instruction, enum mark */
	struct sluice_err *err;
};

enum mark { START = 1 /* first slot of an instruction */, FUNC = 2 /* a function starts here */ };

__attribute__((format(printf, 4, 5))) static int refuse(const struct check *c, uint32_t pc, int code,
							const char *fmt, ...)
{
	char text[96], why[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(c->err, code, "instruction %u, %s: %s", pc,
		       isa_print(&c->insns[pc], c->n - pc, text, sizeof(text)), why);
}

static int check_registers(const struct check *c, uint32_t pc, uint16_t fields)
{
	const struct bpf_insn *i = &c->insns[pc];

	if (i->dst_reg >= ISA_REGS || (fields & ISA_S && i->src_reg >= ISA_REGS))
		return refuse(c, pc, -EINVAL, "there are registers r0 to r10 only");
	if ((fields & ISA_W && i->dst_reg == 10) || (fields & ISA_WS && i->src_reg == 10))
		return refuse(c, pc, -EINVAL, "r10, the frame pointer, cannot be written");
	if (!(fields & (ISA_R | ISA_W)) && i->dst_reg)
		return refuse(c, pc, -EINVAL, "the destination register means nothing here and must be 0");
	return 0;
}

static int check_reserved(const struct check *c, uint32_t pc, uint16_t fields)
{
	const struct bpf_insn *i = &c->insns[pc];
	enum isa_by by = isa_by(i->code);

	if (!(fields & ISA_S) && by != ISA_BY_SRC && i->src_reg)
		return refuse(c, pc, -EINVAL, "the source register means nothing here and must be 0");
	if (!(fields & (ISA_O | ISA_J | ISA_ANY_OFF)) && by != ISA_BY_OFF && i->off)
		return refuse(c, pc, -EINVAL, "the offset means nothing here and must be 0, not %d", i->off);
	if (!(fields & (ISA_I | ISA_L)) && by != ISA_BY_IMM && i->imm)
		return refuse(c, pc, -EINVAL, "the immediate means nothing here and must be 0, not %d",
			      i->imm);
	return 0;
}

static int check_wide(const struct check *c, uint32_t pc, enum isa_id id)
{
	const struct bpf_insn *i = &c->insns[pc];

	if (pc + 1 >= c->n)
		return refuse(c, pc, -EINVAL, "its second half is missing");
	if (i[1].code || i[1].dst_reg || i[1].src_reg || i[1].off)
		return refuse(c, pc, -EINVAL, "its second half has more in it than an immediate");
	if ((id == ISA_LD64_MAP_FD || id == ISA_LD64_MAP_IDX || id == ISA_LD64_FUNC) && i[1].imm)
		return refuse(c, pc, -EINVAL, "the second half's immediate means nothing here and must be 0");
	return 0;
}

static int check_constant(const struct check *c, uint32_t pc, enum isa_id id)
{
	const struct bpf_insn *i = &c->insns[pc];
	uint8_t form = isa_op(id)->form;
	bool wide = form == ISA_FORM_ALU64_K;

	if (c->rfc || (form != ISA_FORM_ALU64_K && form != ISA_FORM_ALU32_K))
		return 0;
	switch (BPF_OP(i->code)) {
	case BPF_DIV:
	case BPF_MOD:
		if (!i->imm)
			return refuse(c, pc, -EINVAL, "division by zero");
		break;
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH:
		if (i->imm < 0 || i->imm >= (wide ? 64 : 32))
			return refuse(c, pc, -EINVAL, "a shift by %d is wider than the register", i->imm);
	}
	return 0;
}

/* Each instruction for itself; marks where instructions and functions start. */
static int check_each(struct check *c)
{
	const struct isa_op *op;
	enum isa_id id;
	uint32_t pc;
	int e;

	for (pc = 0; pc < c->n; pc++) {
		c->mark[pc] |= START;
		id = isa_decode(&c->insns[pc]);
		if (id == ISA_UNKNOWN)
			return refuse(c, pc, -EINVAL, "there is no such instruction");
		op = isa_op(id);
		if (op->form == ISA_FORM_REFUSED)
			return refuse(c, pc, -EOPNOTSUPP,
				      id == ISA_CALLX ? "calls through a register are not supported"
						      : "loads from a socket buffer are not supported; "
							"load through data and data_end");
		e = check_registers(c, pc, op->fields);
		e = e ? e : check_reserved(c, pc, op->fields);
		e = e ? e : check_constant(c, pc, id);
		if (!e && op->fields & ISA_WIDE) {
			e = check_wide(c, pc, id);
			pc++;
		}
		if (e)
			return e;
	}
	return 0;
}

static int find_functions(struct check *c, struct isa_funcs *f)
{
	int64_t to;
	uint32_t pc;
	enum isa_id id;

	c->mark[0] |= FUNC;
	for (pc = 0; pc < c->n; pc++) {
		id = c->mark[pc] & START ? isa_decode(&c->insns[pc]) : ISA_UNKNOWN;
		if (id != ISA_CALL_LOCAL && id != ISA_LD64_FUNC)
			continue;
		to = isa_target(c->insns, pc);
		if (to < 0 || to >= c->n)
			return refuse(c, pc, -EINVAL, "there is no instruction %lld to call, only 0 to %u",
				      (long long)to, c->n - 1);
		if (!(c->mark[to] & START))
			return refuse(c, pc, -EINVAL, "calls into the second half of an instruction");
		c->mark[to] |= FUNC;
	}
	f->n = 0;
	for (pc = 0; pc < c->n; pc++) {
		if (!(c->mark[pc] & FUNC))
			continue;
		if (f->n == ISA_MAX_FUNCS)
			return err_set(c->err, -E2BIG, "there are more than %d functions", ISA_MAX_FUNCS);
		f->start[f->n++] = pc;
	}
	return 0;
}

/* Jumps of the function in [from, end), and how it ends. */
static int check_function(const struct check *c, uint32_t from, uint32_t end)
{
	uint32_t pc, last = from;
	enum isa_id id;
	int64_t to;

	for (pc = from; pc < end; pc++) {
		if (!(c->mark[pc] & START))
			continue;
		last = pc;
		id = isa_decode(&c->insns[pc]);
		if (id == ISA_CALL_LOCAL || id == ISA_LD64_FUNC)
			continue;
		to = isa_target(c->insns, pc);
		if (!(isa_op(id)->fields & (ISA_J | ISA_L)))
			continue;
		if (to < 0 || to >= c->n)
			return refuse(c, pc, -EINVAL, "there is no instruction %lld to jump to, only 0 to %u",
				      (long long)to, c->n - 1);
		if (to < from || to >= end)
			return refuse(c, pc, -EINVAL, "jumps out of its function (%u to %u) to %lld", from,
				      end - 1, (long long)to);
		if (!(c->mark[to] & START))
			return refuse(c, pc, -EINVAL, "jumps into the second half of an instruction");
	}
	id = isa_decode(&c->insns[last]);
	if (id != ISA_EXIT && id != ISA_GOTO && id != ISA_GOTOL)
		return refuse(c, last, -EINVAL, "the last instruction of a function must be exit or a jump");
	return 0;
}

static int check_all(bool rfc, const struct bpf_insn *insns, uint32_t n, struct isa_funcs *funcs,
		     struct sluice_err *err)
{
	struct check c = {insns, n, rfc, NULL, err};
	struct isa_funcs own, *f = funcs ? funcs : &own;
	uint32_t i;
	int e;

	if (!n)
		return err_set(err, -EINVAL, "a program of no instructions");
	if (n > ISA_MAX_INSNS)
		return err_set(err, -E2BIG, "%u instructions, at most %d are allowed", n, ISA_MAX_INSNS);
	c.mark = calloc(n, 1);
	if (!c.mark)
		return err_nomem(err);
	e = check_each(&c);
	e = e ? e : find_functions(&c, f);
	for (i = 0; !e && i < f->n; i++)
		e = check_function(&c, f->start[i], i + 1 < f->n ? f->start[i + 1] : n);
	free(c.mark);
	return e;
}

int isa_check(const struct bpf_insn *insns, uint32_t n, struct isa_funcs *funcs, struct sluice_err *err)
{
	return check_all(false, insns, n, funcs, err);
}

int isa_check_rfc(const struct bpf_insn *insns, uint32_t n, struct isa_funcs *funcs, struct sluice_err *err)
{
	return check_all(true, insns, n, funcs, err);
}
