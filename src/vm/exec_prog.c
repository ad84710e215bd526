// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From instructions to a loaded program: check, link against maps, helpers and functions, decode,
 * compile. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/clock.h"
#include "vm/exec_plan.h"

static int link_address(struct vm_prog *p, const struct vm_prog_spec *spec, uint32_t pc,
			struct sluice_err *err)
{
	struct bpf_insn *i = &p->insns[pc];
	uint64_t value = 0;
	enum isa_id id = isa_decode(i);
	uint32_t k;
	int e = 0;

	if (id == ISA_LD64) {
		value = (uint64_t)(uint32_t)i[1].imm << 32 | (uint32_t)i->imm;
	} else if (id == ISA_LD64_FUNC) {
		for (k = 0; p->funcs[k].pc != (uint32_t)isa_target(p->insns, pc); k++)
			;
		value = (uintptr_t)&p->funcs[k];
	} else if (!spec->linker || !spec->linker->address) {
		e = err_set(err, -EINVAL, "there are no maps here");
	} else {
		e = spec->linker->address(spec->owner, i, &value, err);
	}
	p->ops[pc + 1].value = value;
	return e;
}

static int link_call(struct vm_prog *p, const struct vm_prog_spec *spec, uint32_t pc, struct sluice_err *err)
{
	const struct bpf_insn *i = &p->insns[pc];
	const struct vm_linker *l = spec->linker;
	const struct vm_helper *h = NULL;
	const char *name = isa_helper_name(i->imm);
	int e;

	if (i->src_reg == BPF_PSEUDO_KFUNC_CALL) {
		e = l && l->kfunc ? l->kfunc(spec->owner, i->imm, i->off, &h, err)
				  : err_set(err, -EINVAL, "there are no kernel functions here");
	} else {
		e = l && l->helper ? l->helper(spec->owner, i->imm, &h, err)
				   : err_set(err, -EINVAL, "there is no helper %s#%d here",
					     name ? name : "unknown", i->imm);
	}
	if (e)
		return e;
	p->ops[pc].imm = (int32_t)p->n_calls;
	p->calls[p->n_calls++] = h;
	return 0;
}

static uint32_t func_len(const struct vm_prog *p, uint32_t pc)
{
	uint32_t k;

	for (k = 0; k < p->n_funcs && p->funcs[k].pc != pc; k++)
		;
	return k < p->n_funcs ? p->funcs[k].len : 1;
}

static void set_op(struct vm_prog *p, uint32_t pc, enum isa_id id, const void *const *handlers)
{
	const struct bpf_insn *i = &p->insns[pc];
	struct vm_op *op = &p->ops[pc];
	int64_t to = isa_op(id)->fields & (ISA_J | ISA_L) ? isa_target(p->insns, pc) : -1;
	uint32_t len;

	p->which[pc] = (uint16_t)(to >= 0 && to <= pc && id != ISA_CALL_LOCAL ? VM_HANDLER_BACK + id
									      : (unsigned int)id);
	if (id == ISA_CALL && i->imm == BPF_FUNC_tail_call)
		p->which[pc] = VM_HANDLER_TAIL;
	op->handler = handlers[p->which[pc]];
	op->dst = i->dst_reg;
	op->src = i->src_reg;
	op->off = i->off;
	op->imm = i->imm;
	if (id == ISA_CALL_LOCAL) {
		len = func_len(p, (uint32_t)to);
		op->off = (int16_t)(len < INT16_MAX ? len : INT16_MAX);
	}
}

static int decode(struct vm_prog *p, const struct vm_prog_spec *spec, struct sluice_err *err)
{
	const void *const *handlers =
		(p->trusted ? vm_interp_trusted : vm_interp_checked)(NULL, NULL, NULL, NULL);
	enum isa_id id;
	uint32_t pc;
	int e = 0;

	for (pc = 0; pc < p->n_insns; pc++) {
		id = isa_decode(&p->insns[pc]);
		set_op(p, pc, id, handlers);
		if ((id == ISA_CALL && p->which[pc] != VM_HANDLER_TAIL) || id == ISA_CALL_KFUNC)
			e = link_call(p, spec, pc, err);
		else if (isa_op(id)->fields & ISA_WIDE)
			e = link_address(p, spec, pc, err);
		if (e) {
			err_prefix(err, "instruction %u", pc);
			return e;
		}
		if (isa_op(id)->fields & ISA_WIDE)
			pc++;
	}
	return 0;
}

static int make(struct vm_prog *p, const struct vm_prog_spec *spec, struct sluice_err *err)
{
	struct isa_funcs f;
	uint32_t i;
	int e;

	e = (spec->rfc ? isa_check_rfc : isa_check)(spec->insns, spec->n_insns, &f, err);
	if (e)
		return e;
	p->insns = malloc(spec->n_insns * sizeof(*p->insns));
	p->ops = calloc(spec->n_insns, sizeof(*p->ops));
	p->which = malloc(spec->n_insns * sizeof(*p->which));
	p->calls = calloc(spec->n_insns, sizeof(*p->calls));
	p->funcs = calloc(f.n, sizeof(*p->funcs));
	if (!p->insns || !p->ops || !p->which || !p->calls || !p->funcs)
		return err_nomem(err);
	memcpy(p->insns, spec->insns, spec->n_insns * sizeof(*p->insns));
	p->n_insns = spec->n_insns;
	p->n_funcs = f.n;
	p->stack_bytes = plan_stack_bytes(p->insns, p->n_insns);
	p->stamp = clock_mono_ns();
	for (i = 0; i < f.n; i++)
		p->funcs[i] =
			(struct vm_func){p, f.start[i],
					 (i + 1 < f.n ? f.start[i + 1] : p->n_insns) - f.start[i], NULL};
	e = decode(p, spec, err);
	if (e || spec->engine == VM_ENGINE_INTERP || (spec->engine == VM_ENGINE_BEST && !vm_engine_has_jit()))
		return e;
	p->engine = VM_ENGINE_JIT;
	return vm_jit_compile(p, spec, err);
}

int vm_prog_new(const struct vm_prog_spec *spec, struct vm_prog **prog, struct sluice_err *err)
{
	struct vm_prog *p = calloc(1, sizeof(*p));
	int e;

	*prog = NULL;
	if (!p)
		return err_nomem(err);
	p->trusted = spec->trusted;
	p->engine = VM_ENGINE_INTERP;
	p->owner = spec->owner;
	p->line = spec->line;
	snprintf(p->name, sizeof(p->name), "%s", spec->name ? spec->name : "");
	e = make(p, spec, err);
	if (e)
		vm_prog_free(p);
	else
		*prog = p;
	return e;
}

void vm_prog_free(struct vm_prog *prog)
{
	if (!prog)
		return;
	vm_jit_free(prog);
	free(prog->insns);
	free(prog->ops);
	free(prog->which);
	free(prog->calls);
	free(prog->funcs);
	free(prog);
}

void *vm_prog_owner(const struct vm_prog *prog)
{
	return prog->owner;
}

const char *vm_prog_name(const struct vm_prog *prog)
{
	return prog->name;
}

bool vm_prog_trusted(const struct vm_prog *prog)
{
	return prog->trusted;
}

enum vm_engine vm_prog_engine(const struct vm_prog *prog)
{
	return prog->engine;
}

const struct bpf_insn *vm_prog_insns(const struct vm_prog *prog, uint32_t *n)
{
	*n = prog->n_insns;
	return prog->insns;
}

bool vm_prog_line(const struct vm_prog *prog, uint32_t pc, char *to, size_t size)
{
	return prog->line && prog->line(prog->owner, pc, to, size);
}

uint32_t vm_prog_code_bytes(const struct vm_prog *prog)
{
	return prog->code_bytes;
}
