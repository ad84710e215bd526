// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * x86-64: one template per form of instruction.
 *
 *   r0 rax   r1 rdi   r2 rsi   r3 rdx   r4 rcx   r5 r8   r6 rbx   r7 r13   r8 r14   r9 r15   r10
 * rbp r12 struct vm_run; r9, r10, r11 scratch. Helpers get BPF's arguments where C expects its own.
 */
#if defined(__x86_64__)
#include "vm/exec_jit_x86.h"

const uint8_t x_reg_of[16] = {RAX, RDI, RSI, RDX, RCX, R8, RBX, R13, R14, R15, RBP};

#define RUN(field) ((int32_t)offsetof(struct vm_run, field))

/* -------- arithmetic -------- */

#define EMIT(form)               \
	static void emit_##form( \
		struct jit *j, uint32_t pc, const struct bpf_insn *i, enum isa_id id)
#define UNUSED (void)j, (void)pc, (void)i, (void)id

EMIT(ALU64_K)
{
	UNUSED;
	x_alu_k(j, i, true);
}

EMIT(ALU64_X)
{
	UNUSED;
	x_alu_x(j, i, true);
}

EMIT(ALU32_K)
{
	UNUSED;
	x_alu_k(j, i, false);
}

EMIT(ALU32_X)
{
	UNUSED;
	x_alu_x(j, i, false);
}

EMIT(MOV_K)
{
	UNUSED;
	x_const(j, x_dst(i), id == ISA_MOV64_K ? (uint64_t)(int64_t)i->imm : (uint32_t)i->imm);
}

EMIT(MOV_X)
{
	bool w = BPF_CLASS(i->code) == BPF_ALU64;

	UNUSED;
	switch (i->off) {
	case 8:
		x_0f_rr(j, w, 0xbe, x_dst(i), x_src(i), true);
		break;
	case 16:
		x_0f_rr(j, w, 0xbf, x_dst(i), x_src(i), false);
		break;
	case 32:
		x_rr(j, true, 0x63, x_dst(i), x_src(i));
		break;
	default:
		x_mov(j, w, x_dst(i), x_src(i));
	}
}

EMIT(UNARY)
{
	UNUSED;
	if (BPF_OP(i->code) == BPF_NEG) {
		x_rex(j, id == ISA_NEG64, 0, x_dst(i), false);
		x_byte(j, 0xf7);
		x_byte(j, 0xd8 | (x_dst(i) & 7));
	} else if (i->code != (BPF_ALU | BPF_END | BPF_TO_LE)) {
		x_bswap(j, x_dst(i), i->imm);
	} else if (i->imm == 16) {
		x_0f_rr(j, false, 0xb7, x_dst(i), x_dst(i), false);
	} else if (i->imm == 32) {
		x_mov(j, false, x_dst(i), x_dst(i));
	}
}

/* -------- jumps -------- */

static int cc_of(uint8_t op)
{
	static const uint8_t cc[] = {
		[BPF_JEQ >> 4] = CC_E,
		[BPF_JNE >> 4] = CC_NE,
		[BPF_JGT >> 4] = CC_A,
		[BPF_JGE >> 4] = CC_AE,
		[BPF_JLT >> 4] = CC_B,
		[BPF_JLE >> 4] = CC_BE,
		[BPF_JSGT >> 4] = CC_G,
		[BPF_JSGE >> 4] = CC_GE,
		[BPF_JSLT >> 4] = CC_L,
		[BPF_JSLE >> 4] = CC_LE,
		[BPF_JSET >> 4] = CC_NE,
	};

	return cc[op >> 4];
}

static void jump(struct jit *j, uint32_t pc, int cc)
{
	uint32_t to = (uint32_t)isa_target(j->prog->insns, pc);

	if (to <= pc) {
		x_jump_back(j, cc, j->addr[to]);
		return;
	}
	j->fix[j->n_fix].at = x_jump(j, cc);
	j->fix[j->n_fix++].pc = to;
}

/* Before a jump that goes backward: the checked profile charges it, taken or not. */
static void charge(struct jit *j, uint32_t pc)
{
	int64_t to = isa_target(j->prog->insns, pc);

	if (!j->checked || to > pc)
		return;
	x_rex(j, true, 0, R12, false);
	x_byte(j, 0x81);
	x_mem(j, 5, R12, RUN(budget));
	x_u32(j, (uint32_t)(pc + 1 - to));
	x_stub(j, CC_S, x_site(j, (struct vm_site){.pc = pc, .kind = SITE_BUDGET}));
}

static void jump_k(struct jit *j, uint32_t pc, const struct bpf_insn *i, bool w)
{
	unsigned int d = x_dst(i);

	charge(j, pc);
	if (BPF_OP(i->code) == BPF_JSET) {
		x_rex(j, w, 0, d, false);
		x_byte(j, 0xf7);
		x_byte(j, 0xc0 | (d & 7));
		x_u32(j, (uint32_t)i->imm);
	} else if (!i->imm && (BPF_OP(i->code) == BPF_JEQ || BPF_OP(i->code) == BPF_JNE)) {
		x_rr(j, w, 0x85, d, d);
	} else {
		x_ri(j, w, 7, d, i->imm);
	}
	jump(j, pc, cc_of(BPF_OP(i->code)));
}

static void jump_x(struct jit *j, uint32_t pc, const struct bpf_insn *i, bool w)
{
	charge(j, pc);
	x_rr(j, w, BPF_OP(i->code) == BPF_JSET ? 0x85 : 0x39, x_src(i), x_dst(i));
	jump(j, pc, cc_of(BPF_OP(i->code)));
}

EMIT(JUMP64_K)
{
	UNUSED;
	jump_k(j, pc, i, true);
}

EMIT(JUMP64_X)
{
	UNUSED;
	jump_x(j, pc, i, true);
}

EMIT(JUMP32_K)
{
	UNUSED;
	jump_k(j, pc, i, false);
}

EMIT(JUMP32_X)
{
	UNUSED;
	jump_x(j, pc, i, false);
}

EMIT(GOTO)
{
	UNUSED;
	charge(j, pc);
	jump(j, pc, -1);
}

EMIT(GOTOL)
{
	UNUSED;
	charge(j, pc);
	jump(j, pc, -1);
}

/* Counted down whether it is taken or not, and taken from then on. */
EMIT(MAY_GOTO)
{
	UNUSED;
	charge(j, pc);
	x_rex(j, true, 0, R12, false);
	x_byte(j, 0x83);
	x_mem(j, 5, R12, RUN(may_goto));
	x_byte(j, 1);
	jump(j, pc, CC_S);
}

/* -------- calls -------- */

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
	x_mov(j, true, R9, R12);
	x_call_c(j, (uintptr_t)vm_jit_tail);
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
	unsigned int k;

	UNUSED;
	set_pc(j, pc);
	if (id == ISA_CALL && i->imm == BPF_FUNC_tail_call) {
		tail_call(j);
		return;
	}
	h = j->prog->calls[j->prog->ops[pc].imm];
	x_mov(j, true, R9, R12);
	if (j->checked) {
		x_const(j, RAX, (uintptr_t)h);
		x_push(j, RAX);
		x_push(j, RAX);
		x_call_c(j, (uintptr_t)vm_jit_call);
		x_ri(j, true, 0, RSP, 16);
		/* what C left in them must not matter */
		for (k = 1; k <= 5; k++)
			x_const(j, x_reg_of[k], 0);
	} else {
		x_call_c(j, (uintptr_t)h->fn);
	}
	leave_on_fault(j);
}

EMIT(CALL_KFUNC)
{
	emit_CALL(j, pc, i, id);
}

static void slow_call(struct jit *j, uint32_t site)
{
	x_const(j, R11, site);
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
		x_const(j, R11, (uintptr_t)j->prog);
		x_store(j, R12, RUN(prog), R11);
	}
}

EMIT(EXIT)
{
	UNUSED;
	x_epilogue(j);
}

EMIT(LD64)
{
	UNUSED;
	x_const(j, x_dst(i), j->prog->ops[pc + 1].value);
}

/* -------- memory -------- */

static unsigned int lg_of(uint8_t code)
{
	switch (BPF_SIZE(code)) {
	case BPF_B:
		return 0;
	case BPF_H:
		return 1;
	case BPF_W:
		return 2;
	}
	return 3;
}

/* OP reg, [r12 + r11 + off] */
static void run_slot(struct jit *j, unsigned int op, unsigned int reg, int32_t off)
{
	x_byte(j, 0x48 | (reg >> 3) << 2 | 3);
	x_byte(j, op);
	x_byte(j, 0x84 | (reg & 7) << 3);
	x_byte(j, 0x1c); /* base r12, index r11 */
	x_u32(j, (uint32_t)off);
}

/*
 * The checked profile, before an access through base + off: the region that this instruction hit
 * last is held against the address; a miss goes to vm_jit_slow(). Within the own frame nothing
 * needs to be looked at.
 */
static void check(struct jit *j, uint32_t pc, const struct bpf_insn *i, unsigned int base,
	bool write, bool atomic)
{
	unsigned int lg = lg_of(i->code);
	struct vm_site site = {.pc = pc, .kind = SITE_MISS, .lg = (uint8_t)lg, .write = write};
	int32_t size = 1 << lg;
	bool own = base == RBP && i->off >= -VM_FRAME_BYTES && i->off <= -size;
	uint32_t n;

	if (!j->checked)
		return;
	if (!own || (atomic && i->off & (size - 1))) {
		x_rex(j, true, R10, base, false);
		x_byte(j, 0x8d);
		x_mem(j, R10, base, i->off);
	}
	if (!own) {
		n = x_site(j, site);
		/* movzx r11d, word [rip + distance to hint n] */
		x_byte(j, 0x44);
		x_byte(j, 0x0f);
		x_byte(j, 0xb7);
		x_byte(j, 0x1d);
		x_u32(j, n * 2 - j->data_bytes - (j->len + 4));
		x_mov(j, true, R9, R10);
		run_slot(j, 0x2b, R9, RUN(region[0].start));
		run_slot(j, 0x3b, R9,
			write ? RUN(region[0].writes) + 8 * (int32_t)lg
			      : RUN(region[0].reads) + 8 * (int32_t)lg);
		x_stub(j, CC_AE, n);
	}
	if (atomic && !(own && !(i->off & (size - 1)))) {
		/* test r10b, size - 1 */
		x_byte(j, 0x41);
		x_byte(j, 0xf6);
		x_byte(j, 0xc2);
		x_byte(j, (uint8_t)(size - 1));
		site.kind = SITE_ALIGN;
		x_stub(j, CC_NE, x_site(j, site));
	}
}

static void load(struct jit *j, const struct bpf_insn *i, bool sign)
{
	unsigned int d = x_dst(i), s = x_src(i);

	x_rex(j, sign || lg_of(i->code) == 3, d, s, false);
	switch (BPF_SIZE(i->code)) {
	case BPF_B:
		x_byte(j, 0x0f);
		x_byte(j, sign ? 0xbe : 0xb6);
		break;
	case BPF_H:
		x_byte(j, 0x0f);
		x_byte(j, sign ? 0xbf : 0xb7);
		break;
	default:
		x_byte(j, sign ? 0x63 : 0x8b);
	}
	x_mem(j, d, s, i->off);
}

EMIT(LOAD)
{
	UNUSED;
	check(j, pc, i, x_src(i), false, false);
	load(j, i, BPF_MODE(i->code) == 0x80);
}

EMIT(STORE_K)
{
	unsigned int lg = lg_of(i->code), d = x_dst(i);

	UNUSED;
	check(j, pc, i, d, true, false);
	if (lg == 1)
		x_byte(j, 0x66);
	x_rex(j, lg == 3, 0, d, false);
	x_byte(j, lg ? 0xc7 : 0xc6);
	x_mem(j, 0, d, i->off);
	if (lg == 0) {
		x_byte(j, (uint8_t)i->imm);
	} else if (lg == 1) {
		x_byte(j, (uint8_t)i->imm);
		x_byte(j, (uint8_t)(i->imm >> 8));
	} else {
		x_u32(j, (uint32_t)i->imm);
	}
}

static void store(struct jit *j, const struct bpf_insn *i)
{
	unsigned int lg = lg_of(i->code), d = x_dst(i), s = x_src(i);

	if (lg == 1)
		x_byte(j, 0x66);
	x_rex(j, lg == 3, s, d, lg == 0);
	x_byte(j, lg ? 0x89 : 0x88);
	x_mem(j, s, d, i->off);
}

EMIT(STORE_X)
{
	UNUSED;
	check(j, pc, i, x_dst(i), true, false);
	store(j, i);
}

static void locked(struct jit *j, bool w, unsigned int op, unsigned int op2, unsigned int reg,
	unsigned int base, int32_t off)
{
	x_byte(j, 0xf0);
	x_rex(j, w, reg, base, false);
	x_byte(j, op);
	if (op2)
		x_byte(j, op2);
	x_mem(j, reg, base, off);
}

EMIT(ATOMIC)
{
	static const uint8_t code[] = {[BPF_ADD >> 4] = 0x01,
		[BPF_OR >> 4] = 0x09,
		[BPF_AND >> 4] = 0x21,
		[BPF_XOR >> 4] = 0x31};

	UNUSED;
	check(j, pc, i, x_dst(i), true, true);
	locked(j, lg_of(i->code) == 3, code[i->imm >> 4], 0, x_src(i), x_dst(i), i->off);
}

/* and, or, xor that return what was there: a loop around cmpxchg, with rax put aside */
static void fetch_loop(struct jit *j, const struct bpf_insn *i, bool w)
{
	static const uint8_t code[] = {
		[BPF_OR >> 4] = 0x09, [BPF_AND >> 4] = 0x21, [BPF_XOR >> 4] = 0x31};
	unsigned int s = x_src(i), operand = s == RAX ? R10 : s;
	uint32_t again;

	x_rex(j, true, R9, x_dst(i), false);
	x_byte(j, 0x8d);
	x_mem(j, R9, x_dst(i), i->off);
	x_mov(j, true, R10, RAX);
	x_rex(j, w, RAX, R9, false);
	x_byte(j, 0x8b);
	x_mem(j, RAX, R9, 0);
	again = j->len;
	x_mov(j, true, R11, RAX);
	x_rr(j, w, code[i->imm >> 4], operand, R11);
	locked(j, w, 0x0f, 0xb1, R11, R9, 0);
	x_jump_back(j, CC_NE, again);
	/* a 32-bit move clears the upper half */
	x_mov(j, w, s, RAX);
	if (s != RAX)
		x_mov(j, true, RAX, R10);
}

EMIT(FETCH)
{
	bool w = lg_of(i->code) == 3;

	UNUSED;
	check(j, pc, i, x_dst(i), true, true);
	if (i->imm == BPF_XCHG) {
		x_rex(j, w, x_src(i), x_dst(i), false);
		x_byte(j, 0x87);
		x_mem(j, x_src(i), x_dst(i), i->off);
	} else if (i->imm == BPF_FETCH) {
		locked(j, w, 0x0f, 0xc1, x_src(i), x_dst(i), i->off);
	} else {
		fetch_loop(j, i, w);
	}
}

EMIT(CMPXCHG)
{
	bool w = lg_of(i->code) == 3;

	UNUSED;
	check(j, pc, i, x_dst(i), true, true);
	locked(j, w, 0x0f, 0xb1, x_src(i), x_dst(i), i->off);
	if (!w)
		x_mov(j, false, RAX, RAX);
}

/* Every load of this machine is an acquire, every store a release. */
EMIT(ACQUIRE)
{
	UNUSED;
	check(j, pc, i, x_src(i), false, true);
	load(j, i, false);
}

EMIT(RELEASE)
{
	UNUSED;
	check(j, pc, i, x_dst(i), true, true);
	store(j, i);
}

EMIT(REFUSED)
{
	UNUSED;
	__builtin_unreachable(); /* isa_check() */
}

static void (*const emit[])(
	struct jit *j, uint32_t pc, const struct bpf_insn *i, enum isa_id id) = {
#define ISA_OP(name, code, variant, form, text) [ISA_##name] = emit_##form,
#include "isa/isa.def"
};

void x_insn(struct jit *j, uint32_t pc)
{
	const struct bpf_insn *i = &j->prog->insns[pc];
	enum isa_id id = isa_decode(i);

	emit[id](j, pc, i, id);
}
#endif
