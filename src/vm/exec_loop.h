/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The interpreter's body; exec_interp.c includes it once for each profile, with
 *   LOOP_NAME     the function's name
 *   LOOP_CHECKED  1: every access is held against the live regions
 *   LOOP_WATCHED  1: run->watch is told of each instruction; needs LOOP_CHECKED
 * It is text and not an inline function because the addresses of labels belong to one function.
 */

#if LOOP_WATCHED
/* the decoded handlers are those of the program's own profile: this text goes by their numbers */
#define NEXT               \
	do {               \
		ip++;      \
		goto step; \
	} while (0)
#define GO goto step
#define CALLED(h, args)                                                     \
	do {                                                                \
		if (run->watch->called)                                     \
			run->watch->called(run->watch, run, h, args, r[0]); \
	} while (0)
#else
#define NEXT goto *(++ip)->handler
#define GO goto * ip->handler
#define CALLED(h, args) (void)0
#endif
#define PC ((uint32_t)(ip - prog->ops))
#define D r[ip->dst]
#define S r[ip->src]

/* Where an access goes; in the checked profile to fault if nowhere. */
#if LOOP_CHECKED
#define AT(base, lg, kind)                                                           \
	({                                                                           \
		uint64_t at_ = (base) + (uint64_t)(int64_t)ip->off;                  \
		const struct vm_region *g_ = &run->region[ip->hint];                 \
		if (unlikely(at_ - g_->start >= g_->kind[lg])) {                     \
			if (!miss(run, prog, ip, at_, lg, &g_->kind == &g_->writes)) \
				goto fault;                                          \
		}                                                                    \
		(void *)(uintptr_t)at_;                                              \
	})
#define ATOMIC_AT(base, lg, kind)                                                              \
	({                                                                                     \
		void *a_ = AT(base, lg, kind);                                                 \
		if (unlikely((uintptr_t)a_ & ((1u << (lg)) - 1))) {                            \
			vm_fault_at(run, prog, PC, VM_FAULT_ALIGN, (uintptr_t)a_, 1u << (lg)); \
			goto fault;                                                            \
		}                                                                              \
		a_;                                                                            \
	})
#else
#define AT(base, lg, kind) ((void *)(uintptr_t)((base) + (uint64_t)(int64_t)ip->off))
#define ATOMIC_AT(base, lg, kind) AT(base, lg, kind)
#endif

#define ALU(n, e64, e32)                                         \
	op_##n##64_K:                                            \
	{                                                        \
		uint64_t a = D, b = (uint64_t)(int64_t)ip->imm;  \
		D = (e64);                                       \
		NEXT;                                            \
	}                                                        \
	op_##n##64_X:                                            \
	{                                                        \
		uint64_t a = D, b = S;                           \
		D = (e64);                                       \
		NEXT;                                            \
	}                                                        \
	op_##n##32_K:                                            \
	{                                                        \
		uint32_t a = (uint32_t)D, b = (uint32_t)ip->imm; \
		D = (uint32_t)(e32);                             \
		NEXT;                                            \
	}                                                        \
	op_##n##32_X:                                            \
	{                                                        \
		uint32_t a = (uint32_t)D, b = (uint32_t)S;       \
		D = (uint32_t)(e32);                             \
		NEXT;                                            \
	}

#define SET(n, e)      \
	op_##n:        \
	{              \
		D = e; \
		NEXT;  \
	}

#define JUMP(n, type, a, b, op)                   \
	op_##n:                                   \
	{                                         \
		if ((type)(a)op(type)(b))         \
			ip += ip->off;            \
		NEXT;                             \
	}                                         \
	back_##n:                                 \
	{                                         \
		if ((type)(a)op(type)(b)) {       \
			budget += ip->off;        \
			if (unlikely(budget < 0)) \
				goto exhausted;   \
			ip += ip->off;            \
		}                                 \
		NEXT;                             \
	}
#define JUMPS(n, t64, t32, op)                                 \
	JUMP(n##64_K, t64, D, (uint64_t)(int64_t)ip->imm, op)  \
	JUMP(n##64_X, t64, D, S, op)                           \
	JUMP(n##32_K, t32, (uint32_t)D, (uint32_t)ip->imm, op) \
	JUMP(n##32_X, t32, (uint32_t)D, (uint32_t)S, op)

/* packed: BPF accesses need no alignment */
#define LOAD(n, lg, type)                                                          \
	op_##n:                                                                    \
	{                                                                          \
		D = (uint64_t)(int64_t)((struct mem_##type *)AT(S, lg, reads))->v; \
		NEXT;                                                              \
	}
#define STORE(bits, lg, type)                                                \
	op_ST##bits##_K:                                                     \
	{                                                                    \
		((struct mem_##type *)AT(D, lg, writes))->v = (type)ip->imm; \
		NEXT;                                                        \
	}                                                                    \
	op_ST##bits##_X:                                                     \
	{                                                                    \
		((struct mem_##type *)AT(D, lg, writes))->v = (type)S;       \
		NEXT;                                                        \
	}
#define ATOMIC(n, builtin)                                                                              \
	op_A##n##64:                                                                                    \
	{                                                                                               \
		__atomic_fetch_##builtin((uint64_t *)ATOMIC_AT(D, 3, writes), S, __ATOMIC_RELAXED);     \
		NEXT;                                                                                   \
	}                                                                                               \
	op_A##n##32:                                                                                    \
	{                                                                                               \
		__atomic_fetch_##builtin((uint32_t *)ATOMIC_AT(D, 2, writes), (uint32_t)S,              \
					 __ATOMIC_RELAXED);                                             \
		NEXT;                                                                                   \
	}                                                                                               \
	op_FETCH_##n##64:                                                                               \
	{                                                                                               \
		S = __atomic_fetch_##builtin((uint64_t *)ATOMIC_AT(D, 3, writes), S, __ATOMIC_SEQ_CST); \
		NEXT;                                                                                   \
	}                                                                                               \
	op_FETCH_##n##32:                                                                               \
	{                                                                                               \
		S = __atomic_fetch_##builtin((uint32_t *)ATOMIC_AT(D, 2, writes), (uint32_t)S,          \
					     __ATOMIC_SEQ_CST);                                         \
		NEXT;                                                                                   \
	}
#define ORDERED(bits, lg)                                                                         \
	op_LOAD_ACQ##bits:                                                                        \
	{                                                                                         \
		D = __atomic_load_n((uint##bits##_t *)ATOMIC_AT(S, lg, reads), __ATOMIC_ACQUIRE); \
		NEXT;                                                                             \
	}                                                                                         \
	op_STORE_REL##bits:                                                                       \
	{                                                                                         \
		__atomic_store_n((uint##bits##_t *)ATOMIC_AT(D, lg, writes), (uint##bits##_t)S,   \
				 __ATOMIC_RELEASE);                                               \
		NEXT;                                                                             \
	}

const void *const *LOOP_NAME(struct vm_run *run, const struct vm_func *func, const uint64_t args[5],
			     uint64_t *r0)
{
	static const void *const handlers[VM_N_HANDLERS] = {
#define ISA_OP(name, code, variant, form, text) \
	[ISA_##name] = &&op_##name, [VM_HANDLER_BACK + ISA_##name] = BACK_##form(name),
#include "isa/isa.def"
		[VM_HANDLER_TAIL] = &&op_TAIL,
	};
	struct frame frames[VM_FRAMES], *frame = frames;
	const struct vm_prog *prog, *target;
	const struct vm_op *ip;
	uint64_t r[16] = {0}; /* 16: a register field reaches no further */
	int64_t budget;

	if (!run)
		return handlers;
	prog = func->prog;
	ip = &prog->ops[func->pc];
	budget = run->budget;
	memcpy(&r[1], args, 5 * sizeof(*args));
	r[10] = (uintptr_t)frame_top(run);
	run->prog = prog;
	GO;

#if LOOP_WATCHED
step:
	run->pc = PC;
	run->watch->step(run->watch, run, prog, PC, r);
	if (unlikely(run->fault.reason))
		goto fault;
	goto *handlers[prog->which[PC]];
#endif

	ALU(ADD, a + b, a + b)
	ALU(SUB, a - b, a - b)
	ALU(MUL, a * b, a * b)
	ALU(DIV, b ? a / b : 0, b ? a / b : 0)
	ALU(MOD, b ? a % b : a, b ? a % b : a)
	ALU(SDIV, sdiv64(a, b), sdiv32(a, b))
	ALU(SMOD, smod64(a, b), smod32(a, b))
	ALU(OR, a | b, a | b)
	ALU(AND, a & b, a & b)
	ALU(XOR, a ^ b, a ^ b)
	ALU(LSH, a << (b & 63), a << (b & 31))
	ALU(RSH, a >> (b & 63), a >> (b & 31))
	ALU(ARSH, (uint64_t)((int64_t)a >> (b & 63)), (int32_t)a >> (b & 31))
	SET(MOV64_K, (uint64_t)(int64_t)ip->imm)
	SET(MOV64_X, S)
	SET(MOV32_K, (uint32_t)ip->imm)
	SET(MOV32_X, (uint32_t)S)
	SET(MOVSX64_8, (uint64_t)(int64_t)(int8_t)S)
	SET(MOVSX64_16, (uint64_t)(int64_t)(int16_t)S)
	SET(MOVSX64_32, (uint64_t)(int64_t)(int32_t)S)
	SET(MOVSX32_8, (uint32_t)(int8_t)S)
	SET(MOVSX32_16, (uint32_t)(int16_t)S)
	SET(NEG64, 0 - D)
	SET(NEG32, (uint32_t)(0 - (uint32_t)D))
	SET(LE16, htole16((uint16_t)D))
	SET(LE32, htole32((uint32_t)D))
	SET(LE64, htole64(D))
	SET(BE16, htobe16((uint16_t)D))
	SET(BE32, htobe32((uint32_t)D))
	SET(BE64, htobe64(D))
	SET(BSWAP16, __builtin_bswap16((uint16_t)D))
	SET(BSWAP32, __builtin_bswap32((uint32_t)D))
	SET(BSWAP64, __builtin_bswap64(D))

	JUMPS(JEQ, uint64_t, uint32_t, ==)
	JUMPS(JNE, uint64_t, uint32_t, !=)
	JUMPS(JGT, uint64_t, uint32_t, >)
	JUMPS(JGE, uint64_t, uint32_t, >=)
	JUMPS(JLT, uint64_t, uint32_t, <)
	JUMPS(JLE, uint64_t, uint32_t, <=)
	JUMPS(JSGT, int64_t, int32_t, >)
	JUMPS(JSGE, int64_t, int32_t, >=)
	JUMPS(JSLT, int64_t, int32_t, <)
	JUMPS(JSLE, int64_t, int32_t, <=)
	JUMPS(JSET, uint64_t, uint32_t, &)
op_GOTO:
	ip += ip->off;
	NEXT;
back_GOTO:
	budget += ip->off;
	if (unlikely(budget < 0))
		goto exhausted;
	ip += ip->off;
	NEXT;
op_GOTOL:
	ip += ip->imm;
	NEXT;
back_GOTOL:
	budget += ip->imm;
	if (unlikely(budget < 0))
		goto exhausted;
	ip += ip->imm;
	NEXT;
op_MAY_GOTO:
	if (unlikely(--run->may_goto < 0))
		ip += ip->off;
	NEXT;
back_MAY_GOTO:
	if (unlikely(--run->may_goto < 0)) {
		budget += ip->off;
		if (unlikely(budget < 0))
			goto exhausted;
		ip += ip->off;
	}
	NEXT;

op_LD64:
op_LD64_MAP_FD:
op_LD64_MAP_VALUE:
op_LD64_BTF_ID:
op_LD64_FUNC:
op_LD64_MAP_IDX:
op_LD64_MAP_IDX_VALUE:
	D = ip[1].value;
	ip++;
	NEXT;

	LOAD(LDX8, 0, uint8_t)
	LOAD(LDX16, 1, uint16_t)
	LOAD(LDX32, 2, uint32_t)
	LOAD(LDX64, 3, uint64_t)
	LOAD(LDSX8, 0, int8_t)
	LOAD(LDSX16, 1, int16_t)
	LOAD(LDSX32, 2, int32_t)
	STORE(8, 0, uint8_t)
	STORE(16, 1, uint16_t)
	STORE(32, 2, uint32_t)
op_ST64_K:
	((struct mem_uint64_t *)AT(D, 3, writes))->v = (uint64_t)(int64_t)ip->imm;
	NEXT;
op_ST64_X:
	((struct mem_uint64_t *)AT(D, 3, writes))->v = S;
	NEXT;
	ATOMIC(ADD, add)
	ATOMIC(OR, or)
	ATOMIC(AND, and)
	ATOMIC(XOR, xor)
op_XCHG64:
	S = __atomic_exchange_n((uint64_t *)ATOMIC_AT(D, 3, writes), S, __ATOMIC_SEQ_CST);
	NEXT;
op_XCHG32:
	S = __atomic_exchange_n((uint32_t *)ATOMIC_AT(D, 2, writes), (uint32_t)S, __ATOMIC_SEQ_CST);
	NEXT;
op_CMPXCHG64 : {
	uint64_t old = r[0];

	__atomic_compare_exchange_n((uint64_t *)ATOMIC_AT(D, 3, writes), &old, S, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	r[0] = old;
	NEXT;
}
op_CMPXCHG32 : {
	uint32_t old = (uint32_t)r[0];

	__atomic_compare_exchange_n((uint32_t *)ATOMIC_AT(D, 2, writes), &old, (uint32_t)S, false,
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	r[0] = old;
	NEXT;
}

	ORDERED(8, 0)
	ORDERED(16, 1)
	ORDERED(32, 2)
	ORDERED(64, 3)

op_CALL:
op_CALL_KFUNC : {
	const struct vm_helper *h = prog->calls[ip->imm];
#if LOOP_WATCHED
	uint64_t given[5];

	memcpy(given, &r[1], sizeof(given));
#endif

	run->pc = PC;
	run->budget = budget;
#if LOOP_CHECKED
	if (unlikely(!vm_args_ok(run, h, r))) /* which costs, too */
		goto fault;
#endif
	r[0] = h->fn(r[1], r[2], r[3], r[4], r[5], run);
	budget = run->budget;
	if (unlikely(run->fault.reason))
		goto fault;
	CALLED(h, given);
#if LOOP_CHECKED
	/* compiled code loses them: nothing may depend on it */
	memset(&r[1], 0, 5 * sizeof(*r));
#endif
	NEXT;
}
op_TAIL:
	run->pc = PC;
#if LOOP_CHECKED
	if (unlikely(!vm_tail_args_ok(run, r)))
		goto fault;
#endif
	target = NULL;
	if (run->tails < VM_TAIL_CALLS && run->env->tail)
		target = run->env->tail(run, r[2], (uint32_t)r[3]);
	if (!target) {
		r[0] = (uint64_t)-ENOENT;
		CALLED(&vm_tail_call, &r[1]);
		NEXT;
	}
	run->tails++;
	if (LOOP_WATCHED || (target->engine == VM_ENGINE_INTERP && target->trusted == !LOOP_CHECKED)) {
		prog = target;
		run->prog = prog;
		ip = prog->ops;
		GO;
	}
	/* another engine takes this frame over; what it returns is what this function returns */
	run->budget = budget;
	run->depth--;
	run->clean = VM_FRAME_BYTES; /* was said of the frame that is handed over, not of the caller's */
	vm_enter(run, target->funcs, &r[1], &r[0]);
	run->depth++;
	budget = run->budget;
	if (unlikely(run->fault.reason))
		goto fault;
	goto op_EXIT;

op_CALL_LOCAL:
	budget -= ip->off;
	if (unlikely(budget < 0))
		goto exhausted;
	if (unlikely(run->depth == VM_FRAMES)) {
		vm_fault_at(run, prog, PC, VM_FAULT_FRAMES, 0, 0);
		goto fault;
	}
	frame->ip = ip;
	frame->prog = prog;
	memcpy(frame->r, &r[6], sizeof(frame->r));
	frame++;
	run->depth++;
	r[10] = (uintptr_t)frame_top(run);
	LOOP_FRAME(run, prog);
	ip += ip->imm;
	NEXT;
op_EXIT:
	if (frame == frames) {
		run->budget = budget;
		*r0 = r[0];
		return NULL;
	}
	frame--;
	run->depth--;
#if LOOP_CHECKED
	vm_frame_close(run);
#endif
	memcpy(&r[6], frame->r, sizeof(frame->r));
	prog = frame->prog;
	run->prog = prog;
	ip = frame->ip;
	NEXT;

	/* refused by isa_check() */
op_CALLX:
op_ABS8:
op_ABS16:
op_ABS32:
op_IND8:
op_IND16:
op_IND32:
	__builtin_unreachable();

exhausted:
	vm_fault_at(run, prog, PC, VM_FAULT_BUDGET, 0, 0);
fault:
	run->depth -= (uint32_t)(frame - frames);
	run->budget = budget;
	*r0 = 0;
	return NULL;
}

#undef NEXT
#undef GO
#undef CALLED
#undef PC
#undef D
#undef S
#undef AT
#undef ATOMIC_AT
#undef ALU
#undef SET
#undef JUMP
#undef JUMPS
#undef LOAD
#undef STORE
#undef ATOMIC
#undef ORDERED
#undef LOOP_NAME
#undef LOOP_CHECKED
#undef LOOP_WATCHED
#undef LOOP_FRAME
