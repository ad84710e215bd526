// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* x86-64: calls of helpers, of functions, of other programs. */
#if defined(__x86_64__)
#include "vm/exec_jit_x86.h"

void x_budget_out(struct jit *j)
{
	if (j->checked)
		x_store(j, R12, RUN(budget), R11);
}

void x_budget_in(struct jit *j)
{
	if (j->checked)
		x_load(j, R11, R12, RUN(budget));
}

void x_forget_arguments(struct jit *j)
{
	unsigned int k;

	for (k = 1; j->checked && k <= 5; k++)
		x_const(j, x_reg_of[k], 0);
}

/* cmp byte [run->fault.reason], 0; jne fault */
static void leave_on_fault(struct jit *j)
{
	x_rex(j, false, 7, R12, false);
	x_byte(j, 0x80);
	x_mem(j, 7, R12, RUN(fault.reason));
	x_byte(j, 0);
	x_aim(j, x_jump(j, CC_NE), j->fault);
}

static void set_pc(struct jit *j, uint32_t pc)
{
	x_rex(j, false, 0, R12, false);
	x_byte(j, 0xc7);
	x_mem(j, 0, R12, RUN(pc));
	x_u32(j, pc);
}

static void tail_call(struct jit *j)
{
	uint32_t not_taken;

	x_push(j, RDI);
	x_const(j, RAX, (uintptr_t)j->prog);
	x_push(j, RAX);
	x_lea(j, R9, R12, -RUN_AT);
	x_budget_out(j);
	x_call_c(j, (uintptr_t)vm_jit_tail);
	x_budget_in(j);
	x_pop(j, R9);
	x_pop(j, RDI);
	x_rr(j, true, 0x85, RAX, RAX);
	not_taken = x_jump(j, CC_E);
	/* leave this function's frame, but go on in the other program */
	x_epilogue(j);
	j->len--; /* its ret */
	x_byte(j, 0xff);
	x_byte(j, 0xe0);
	x_aim(j, not_taken, j->len);
	leave_on_fault(j);
	x_const(j, RAX, (uint64_t)-2); /* -ENOENT */
}

EMIT(CALL)
{
	const struct vm_helper *h;

	UNUSED;
	if (id == ISA_CALL && j->plan.note[pc]) {
		x_lookup(j, pc, &j->plan.lookups[j->plan.note[pc] - 1]);
		return;
	}
	set_pc(j, pc);
	if (id == ISA_CALL && i->imm == BPF_FUNC_tail_call) {
		tail_call(j);
		return;
	}
	h = j->prog->calls[j->prog->ops[pc].imm];
	x_lea(j, R9, R12, -RUN_AT);
	if (j->checked) {
		x_const(j, RAX, (uintptr_t)h);
		x_push(j, RAX);
		x_push(j, RAX);
		x_budget_out(j);
		x_call_c(j, (uintptr_t)vm_jit_call);
		x_budget_in(j);
		x_ri(j, true, 0, RSP, 16);
		x_forget_arguments(j);
	} else {
		x_call_c(j, (uintptr_t)h->fn);
	}
	leave_on_fault(j);
}

EMIT(CALL_KFUNC)
{
	x_emit_CALL(j, pc, i, id);
}

static void slow_call(struct jit *j, uint32_t site)
{
	x_const(j, R9, site);
	x_jump_back(j, -2, j->thunk);
}

static void frame_step(struct jit *j, unsigned int which)
{
	x_ri(j, true, which, RBP, VM_FRAME_BYTES);
}

EMIT(CALL_LOCAL)
{
	uint32_t k;

	UNUSED;
	for (k = 0; j->prog->funcs[k].pc != (uint32_t)isa_target(j->prog->insns, pc); k++)
		;
	if (j->checked) {
		slow_call(j, x_site(j, (struct vm_site){.pc = pc,
							.kind = SITE_CALL,
							.len = j->prog->funcs[k].len}));
	} else {
		x_rex(j, false, 7, R12, false);
		x_byte(j, 0x83);
		x_mem(j, 7, R12, RUN(depth));
		x_byte(j, VM_FRAMES);
		x_stub(j, CC_E, x_site(j, (struct vm_site){.pc = pc, .kind = SITE_FRAMES}));
		x_rex(j, false, 0, R12, false);
		x_byte(j, 0xff);
		x_mem(j, 0, R12, RUN(depth));
	}
	frame_step(j, 5);
	j->calls[j->n_calls].at = x_jump(j, -2);
	j->calls[j->n_calls++].pc = k;
	frame_step(j, 0);
	if (j->checked) {
		slow_call(j, x_site(j, (struct vm_site){.pc = pc, .kind = SITE_LEAVE}));
	} else {
		x_rex(j, false, 1, R12, false);
		x_byte(j, 0xff);
		x_mem(j, 1, R12, RUN(depth));
	}
	if (j->tails) {
		/* the function may have gone on in another program */
		x_const(j, R9, (uintptr_t)j->prog);
		x_store(j, R12, RUN(prog), R9);
	}
}

#endif
