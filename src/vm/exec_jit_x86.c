// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * x86-64: the program around the templates of exec_jit_x86_insn.c - functions, the way in and out,
 * what compiled code calls back, and memory that is written first and executable afterwards, never
 * both.
 *
 *     one mapping:  | hints, two bytes a site (read, write) | code (read, execute) |
 *
 * One pass: a jump backward knows its distance and is short where it can be, one forward has 32
 * bits, filled in last. A program with loops is written a second time, now knowing how long everything is
 * (exec_jit_x86_place.c).
 */
#if defined(__x86_64__)
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "vm/exec_jit_x86.h"

static const uint8_t saved_reg[] = {RBX, R13, R14, R15};

uint32_t x_site(struct jit *j, struct vm_site site)
{
	j->prog->sites[j->n_site] = site;
	return j->n_site++;
}

struct stub *x_stub(struct jit *j, int cc, uint32_t site)
{
	struct stub *s = &j->stub[j->n_stub++];

	*s = (struct stub){.at = {x_jump(j, cc)}, .site = site, .slow = UINT32_MAX};
	s->back = j->len;
	return s;
}

static bool padded(const struct jit *j)
{
	/* at a call the stack pointer is a multiple of 16: the return address and an odd number of
	 * registers */
	return __builtin_popcount(j->saved) % 2 == 0;
}

static void prologue(struct jit *j)
{
	unsigned int k;

	for (k = 0; k < 4; k++)
		if (j->saved & 1u << k)
			x_push(j, saved_reg[k]);
	if (padded(j))
		x_ri(j, true, 5, RSP, 8);
}

void x_epilogue(struct jit *j)
{
	unsigned int k;

	if (padded(j))
		x_ri(j, true, 0, RSP, 8);
	for (k = 4; k-- > 0;)
		if (j->saved & 1u << k)
			x_pop(j, saved_reg[k]);
	x_byte(j, 0xc3);
}

/* From C: (run, args, code, top of the frame). */
static void way_in(struct jit *j)
{
	static const uint8_t kept[] = {RBP, RBX, R12, R13, R14, R15};
	static const uint8_t arg[] = {RDI, RSI, RDX, RCX, R8};
	uint32_t out;
	unsigned int k;

	for (k = 0; k < 6; k++)
		x_push(j, kept[k]);
	x_lea(j, R12, RDI, RUN_AT);
	x_rex(j, false, 6, R12, false);
	x_byte(j, 0xff);
	x_mem(j, 6, R12, RUN(unwind));
	x_store(j, R12, RUN(unwind), RSP);
	x_mov(j, true, R9, RDX);
	x_mov(j, true, RBP, RCX);
	x_mov(j, true, R10, RSI);
	for (k = 0; k < 5; k++)
		x_load(j, arg[k], R10, (int32_t)k * 8);
	x_budget_in(j);
	/* what the program has not set is 0, as in the interpreter */
	x_const(j, RAX, 0);
	for (k = 0; k < 4; k++)
		x_const(j, saved_reg[k], 0);
	x_byte(j, 0x41); /* call r9 */
	x_byte(j, 0xff);
	x_byte(j, 0xd1);
	out = j->len;
	x_budget_out(j);
	x_rex(j, false, 0, R12, false);
	x_byte(j, 0x8f);
	x_mem(j, 0, R12, RUN(unwind));
	for (k = 6; k-- > 0;)
		x_pop(j, kept[k]);
	x_byte(j, 0xc3);
	j->fault = j->len;
	x_load(j, RSP, R12, RUN(unwind));
	x_rr(j, false, 0x31, RAX, RAX);
	x_jump_back(j, -1, out);
	/* a tail call ended in another engine: its result is this function's */
	j->handed = j->len;
	x_load(j, RAX, R12, RUN(handed));
	x_byte(j, 0xc3);
}

/* r10 address, r9d site, which becomes the answer: vm_jit_slow() with every register of the program kept;
 * comes back only if it says so. */
static void thunk(struct jit *j)
{
	static const uint8_t kept[] = {RAX, RDI, RSI, RDX, RCX, R8, R10};
	unsigned int k;

	j->thunk = j->len;
	for (k = 0; k < 7; k++)
		x_push(j, kept[k]);
	x_lea(j, RDI, R12, -RUN_AT);
	x_mov(j, true, RSI, R10);
	x_mov(j, false, RDX, R9);
	x_const(j, RCX, (uintptr_t)j->prog);
	x_budget_out(j);
	x_call_c(j, (uintptr_t)vm_jit_slow);
	x_budget_in(j);
	x_mov(j, false, R9, RAX);
	for (k = 7; k-- > 0;)
		x_pop(j, kept[k]);
	x_rr(j, false, 0x85, R9, R9);
	x_aim(j, x_jump(j, CC_E), j->fault);
	x_byte(j, 0xc3);
}

/* The same instructions once more, from the first of a group to where no group is under way: see
 * exec_jit_x86_mem.c. */
static void slow_text(struct jit *j, uint32_t from, uint32_t end)
{
	const struct bpf_insn *insns = j->prog->insns;
	const struct plan *p = &j->plan;
	const struct plan_group *g;
	uint32_t pc, last;

	j->slow = true;
	for (pc = from; pc < end; pc += 1u + isa_is_wide(&insns[pc])) {
		if (!p->note[pc] || p->note[pc] == PLAN_COVERED || BPF_CLASS(insns[pc].code) == BPF_JMP)
			continue;
		for (last = pc; pc <= last; pc += 1u + isa_is_wide(&insns[pc])) {
			if (p->note[pc] && p->note[pc] != PLAN_COVERED) {
				g = &p->groups[p->note[pc] - 1];
				last = g->end > last ? g->end : last;
			}
			j->slow_addr[pc] = j->len;
			x_insn(j, pc);
		}
		x_jump_back(j, -1, j->addr[pc]);
		pc--;
	}
	j->slow = false;
}

static void function(struct jit *j, uint32_t k)
{
	const struct vm_func *f = &j->prog->funcs[k];
	const struct bpf_insn *insns = j->prog->insns;
	uint32_t pc;

	j->func = k;
	j->saved = 0;
	for (pc = f->pc; pc < f->pc + f->len; pc++) {
		if (insns[pc].dst_reg >= 6 && insns[pc].dst_reg <= 9)
			j->saved |= (uint8_t)(1u << (insns[pc].dst_reg - 6));
		if (insns[pc].src_reg >= 6 && insns[pc].src_reg <= 9)
			j->saved |= (uint8_t)(1u << (insns[pc].src_reg - 6));
	}
	j->entry[k] = j->len;
	prologue(j);
	for (pc = f->pc; pc < f->pc + f->len; pc++) {
		x_place(j, pc);
		j->addr[pc] = j->len;
		x_insn(j, pc);
		if (isa_is_wide(&insns[pc]))
			pc++;
	}
	if (j->checked)
		slow_text(j, f->pc, f->pc + f->len);
}

static void finish(struct jit *j)
{
	uint32_t i;

	for (i = 0; i < j->n_stub; i++) {
		const struct stub *s = &j->stub[i];

		x_aim(j, s->at[0], j->len);
		if (s->at[1])
			x_aim(j, s->at[1], j->len);
		if (s->has_address)
			x_lea(j, R10, s->base, s->off);
		x_const(j, R9, s->site);
		x_jump_back(j, -2, j->thunk);
		if (s->slow != UINT32_MAX) {
			x_ri(j, false, 7, R9, 2);
			x_jump_back(j, CC_E, j->slow_addr[s->slow]);
		}
		x_jump_back(j, -1, s->back);
	}
	for (i = 0; i < j->n_detour; i++)
		x_aim(j, j->detour[i].at, j->slow_addr[j->detour[i].pc]);
	for (i = 0; i < j->n_fix; i++) {
		const struct fix *f = &j->fix[i];

		if (f->near)
			j->code[f->at - 1] = (uint8_t)(j->addr[f->pc] - f->at);
		else
			x_aim(j, f->at, j->addr[f->pc]);
	}
	for (i = 0; i < j->n_calls; i++)
		x_aim(j, j->calls[i].at, j->entry[j->calls[i].pc]);
}

/* Where the code will live: written now, executable only once nothing is written any more. */
static int place(struct jit *j, struct sluice_err *err)
{
	struct vm_prog *p = j->prog;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), code = (j->len + page - 1) / page * page;
	uint8_t *map;
	uint32_t k;

	map = mmap(NULL, j->data_bytes + code, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return err_nomem(err);
	memcpy(map + j->data_bytes, j->code, j->len);
	if (mprotect(map + j->data_bytes, code, PROT_READ | PROT_EXEC)) {
		munmap(map, j->data_bytes + code);
		return err_set(err, -EPERM, "memory cannot be made executable here; use the interpreter");
	}
	p->map = map;
	p->map_bytes = j->data_bytes + code;
	p->code_bytes = j->len;
	p->way_in = map + j->data_bytes;
	p->handed = map + j->data_bytes + j->handed;
	for (k = 0; k < p->n_funcs; k++)
		p->funcs[k].code = map + j->data_bytes + j->entry[k];
	return 0;
}

static bool has_tail_call(const struct vm_prog *p)
{
	uint32_t pc;

	for (pc = 0; pc < p->n_insns; pc++)
		if (isa_decode(&p->insns[pc]) == ISA_CALL && p->insns[pc].imm == BPF_FUNC_tail_call)
			return true;
	return false;
}

static int room(struct jit *j, struct sluice_err *err)
{
	struct vm_prog *p = j->prog;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = p->n_insns;

	/* memory that is not touched costs nothing */
	j->data_bytes = (uint32_t)((2 * JIT_INSN_SITES * n + page - 1) / page * page);
	j->cap = (uint32_t)(JIT_INSN_BYTES * n + 64 * p->n_funcs + 1024);
	j->code = malloc(j->cap);
	j->addr = malloc(n * sizeof(*j->addr));
	j->entry = malloc(p->n_funcs * sizeof(*j->entry));
	j->fix = malloc(n * sizeof(*j->fix));
	j->calls = malloc(n * sizeof(*j->calls));
	j->detour = malloc(JIT_INSN_SITES * n * sizeof(*j->detour));
	j->slow_addr = malloc(n * sizeof(*j->slow_addr));
	j->near = calloc(n, sizeof(*j->near));
	j->loop = calloc(n, sizeof(*j->loop));
	j->stub = malloc(JIT_INSN_SITES * n * sizeof(*j->stub));
	p->sites = malloc(JIT_INSN_SITES * n * sizeof(*p->sites));
	return j->near && j->loop && j->detour && j->slow_addr && j->code && j->addr && j->entry && j->fix &&
			       j->calls && j->stub && p->sites
		       ? 0
		       : err_nomem(err);
}

/* What run->value starts with: for each lookup an address that may be touched as what it will find. */
static void values(struct jit *j)
{
	uint32_t i;

	for (i = 0; i < j->plan.n_lookups; i++)
		if (j->plan.lookups[i].value < PLAN_VALUES)
			j->prog->value[j->plan.lookups[i].value] =
				(uintptr_t)j->plan.lookups[i].how.any_value;
}

static void write_text(struct jit *j)
{
	uint32_t k;

	j->len = j->n_fix = j->n_calls = j->n_stub = j->n_site = j->n_detour = 0;
	j->charged = UINT32_MAX;
	way_in(j);
	thunk(j);
	for (k = 0; k < j->prog->n_funcs; k++)
		function(j, k);
}

int vm_jit_compile(struct vm_prog *prog, const struct vm_prog_spec *spec, struct sluice_err *err)
{
	struct jit j = {.prog = prog, .checked = !prog->trusted, .tails = has_tail_call(prog)};
	struct vm_site *fewer;
	int e = room(&j, err);

	if (!e && plan_make(&j.plan, prog, spec))
		e = err_nomem(err);
	if (!e) {
		values(&j);
		write_text(&j);
		if (j.n_loops) {
			x_place_plan(&j);
			write_text(&j);
		}
		finish(&j);
		e = place(&j, err);
		fewer = realloc(prog->sites, (j.n_site ? j.n_site : 1) * sizeof(*fewer));
		prog->sites = fewer ? fewer : prog->sites;
	}
	plan_free(&j.plan);
	free(j.code);
	free(j.detour);
	free(j.slow_addr);
	free(j.addr);
	free(j.entry);
	free(j.fix);
	free(j.calls);
	free(j.stub);
	free(j.near);
	free(j.loop);
	return e;
}

void vm_jit_free(struct vm_prog *prog)
{
	if (prog->map)
		munmap(prog->map, prog->map_bytes);
	free(prog->sites);
}

bool vm_engine_has_jit(void)
{
	return true;
}

uint64_t vm_jit_run(struct vm_run *run, const struct vm_func *func, const uint64_t args[5])
{
	uint64_t (*in)(struct vm_run *, const uint64_t *, const void *, uint8_t *);

	memcpy(&in, &func->prog->way_in, sizeof(in));
	if (func->prog->trusted)
		run->pc = UINT32_MAX;
	return in(run, args, func->code, run->stack + (VM_FRAMES + 1 - run->depth) * VM_FRAME_BYTES);
}

uint64_t vm_jit_call(uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, struct vm_run *run,
		     const struct vm_helper *helper)
{
	uint64_t r[] = {0, a1, a2, a3, a4, a5};

	return vm_args_ok(run, helper, r) ? helper->fn(a1, a2, a3, a4, a5, run) : 0;
}

/* The code to go on in; NULL to stay (with a fault or without). */
const void *vm_jit_tail(uint64_t ctx, uint64_t map, uint64_t index, uint64_t a4, uint64_t a5,
			struct vm_run *run, const struct vm_prog *prog)
{
	uint64_t r[] = {0, ctx, map, index, a4, a5};
	const struct vm_prog *target = NULL;

	if (!prog->trusted && !vm_tail_args_ok(run, r))
		return NULL;
	if (run->tails < VM_TAIL_CALLS && run->env->tail)
		target = run->env->tail(run, map, (uint32_t)index);
	if (!target)
		return NULL;
	run->tails++;
	if (target->engine == VM_ENGINE_JIT && target->trusted == prog->trusted) {
		run->prog = target;
		vm_values(run, target);
		if (!prog->trusted)
			vm_frame_handed(run, target);
		return target->funcs[0].code;
	}
	run->depth--;
	run->clean = VM_FRAME_BYTES; /* was said of the frame that is handed over, not of the caller's */
	vm_enter(run, target->funcs, &r[1], &run->handed);
	run->depth++;
	return run->fault.reason ? NULL : prog->handed;
}

static bool enter_frame(struct vm_run *run, const struct vm_prog *prog, const struct vm_site *s)
{
	run->budget -= s->len;
	if (run->budget < 0 || run->depth == VM_FRAMES) {
		vm_fault_at(run, prog, s->pc, run->budget < 0 ? VM_FAULT_BUDGET : VM_FAULT_FRAMES, 0, 0);
		return false;
	}
	run->depth++;
	vm_frame_open(run, prog);
	return true;
}

unsigned int vm_jit_slow(struct vm_run *run, uint64_t addr, uint32_t site, const struct vm_prog *prog)
{
	const struct vm_site *s = &prog->sites[site];
	uint16_t *hint = (uint16_t *)prog->map + site;
	int slot = -1;

	switch ((enum site_kind)s->kind) {
	case SITE_MISS:
		slot = vm_find(run, prog, s->pc, addr, s->lg, s->write);
		break;
	case SITE_SPAN:
		slot = vm_find_span(run, addr, s->len, s->write);
		if (slot < 0)
			return 2;
		break;
	case SITE_KEY:
		slot = vm_key_find(run, s->pc, addr, s->len);
		break;
	case SITE_CALL:
		return enter_frame(run, prog, s);
	case SITE_LEAVE:
		run->depth--;
		vm_frame_close(run);
		vm_values(run, prog);
		return true;
	case SITE_ALIGN:
		vm_fault_at(run, prog, s->pc, VM_FAULT_ALIGN, addr, 1u << s->lg);
		return false;
	case SITE_FRAMES:
		vm_fault_at(run, prog, s->pc, VM_FAULT_FRAMES, 0, 0);
		return false;
	case SITE_BUDGET:
		vm_fault_at(run, prog, s->pc, VM_FAULT_BUDGET, 0, 0);
		return false;
	}
	if (slot < 0)
		return false;
	__atomic_store_n(hint, (uint16_t)((size_t)slot * sizeof(struct vm_region)), __ATOMIC_RELAXED);
	return true;
}
#endif
