/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writing x86-64 instructions: what the compiler's two files share. */
#ifndef VM_EXEC_JIT_X86_H
#define VM_EXEC_JIT_X86_H

#include "vm/exec_plan.h"

enum x86 { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* Condition codes, as in the low half of Jcc's opcode; odd is the contrary of even. */
enum cc { CC_B = 2, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_L = 12, CC_GE, CC_LE, CC_G, CC_NONE };

/* A place where compiled code calls back: an access that missed, a call, a budget that is used up.
 */
enum site_kind {
	SITE_MISS,
	SITE_SPAN, /* the check of a group: look for another region, or take the slow text */
	SITE_KEY,  /* of a lookup */
	SITE_ALIGN,
	SITE_BUDGET,
	SITE_FRAMES,
	SITE_CALL,
	SITE_LEAVE,
};

struct vm_site {
	uint32_t pc;
	uint8_t kind, lg, write;
	uint32_t len; /* of a call: what it charges; of a group or key: bytes */
};

/* A jump forward whose target is not there yet; stub: out-of-line code for a site that comes behind
 * the program. */
struct fix {
	uint32_t at, pc; /* at: the 32-bit distance, or behind the 8-bit one */
	uint32_t from;
	bool near;
};
struct stub {
	uint32_t at[2], back, site;
	bool has_address; /* the site wants to know where [base + off] is */
	uint8_t base;
	int32_t off;
	uint32_t slow; /* pc to go on at in the slow text if the answer is 2; UINT32_MAX: there is none */
};

struct jit {
	struct vm_prog *prog;
	uint8_t *code;
	uint32_t len, cap;
	uint32_t *addr;	    /* per instruction: where its code starts */
	uint32_t *entry;    /* per function */
	struct fix *fix;    /* jumps */
	struct fix *calls;  /* local calls; pc is the function's number */
	struct fix *detour; /* jumps to the slow text of pc */
	struct stub *stub;
	struct plan plan;
	uint32_t *slow_addr; /* per instruction: where it is in the slow text */
	uint32_t n_detour;
	uint32_t n_fix, n_calls, n_stub, n_site, data_bytes;
	uint32_t fault, thunk, handed; /* shared pieces of code */
	uint32_t func;		       /* number of the function that is being compiled */
	uint8_t saved;		       /* its callee-saved registers: bit n is r6 + n */
	uint8_t *near;	     /* per instruction: its jump forward has 8 bits */
	uint32_t *loop;	     /* per instruction that a jump backward leads to: first where the last of them ends,
			      * then the bytes from here to there */
	uint32_t n_loops;
	uint32_t charged; /* this goto is charged already */
	bool checked, tails;
	bool placing; /* the second time */
	bool slow; /* writing the slow text: each access is checked by itself */
};

static inline void x_byte(struct jit *j, unsigned int b)
{
	j->code[j->len++] = (uint8_t)b;
}

static inline void x_u32(struct jit *j, uint32_t v)
{
	__builtin_memcpy(j->code + j->len, &v, 4);
	j->len += 4;
}

static inline void x_u64(struct jit *j, uint64_t v)
{
	__builtin_memcpy(j->code + j->len, &v, 8);
	j->len += 8;
}

/* REX prefix; left out where it says nothing, unless force (byte registers). */
static inline void x_rex(struct jit *j, bool w, unsigned int reg, unsigned int rm, bool force)
{
	unsigned int rex = 0x40 | (unsigned int)w << 3 | (reg >> 3) << 2 | rm >> 3;

	if (rex != 0x40 || force)
		x_byte(j, rex);
}

/* OP rm, reg */
static inline void x_rr(struct jit *j, bool w, unsigned int op, unsigned int reg, unsigned int rm)
{
	x_rex(j, w, reg, rm, false);
	x_byte(j, op);
	x_byte(j, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* 0F OP reg, rm */
static inline void x_0f_rr(struct jit *j, bool w, unsigned int op, unsigned int reg, unsigned int rm,
			   bool force)
{
	x_rex(j, w, reg, rm, force);
	x_byte(j, 0x0f);
	x_byte(j, op);
	x_byte(j, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* ModRM (and SIB, displacement) of [base + off] */
static inline void x_mem(struct jit *j, unsigned int reg, unsigned int base, int32_t off)
{
	unsigned int mod = off == 0 && (base & 7) != RBP ? 0 : off >= -128 && off < 128 ? 1 : 2;

	x_byte(j, mod << 6 | (reg & 7) << 3 | (base & 7));
	if ((base & 7) == RSP)
		x_byte(j, 0x24);
	if (mod == 1)
		x_byte(j, (uint8_t)off);
	else if (mod == 2)
		x_u32(j, (uint32_t)off);
}

static inline void x_load(struct jit *j, unsigned int reg, unsigned int base, int32_t off)
{
	x_rex(j, true, reg, base, false);
	x_byte(j, 0x8b);
	x_mem(j, reg, base, off);
}

static inline void x_store(struct jit *j, unsigned int base, int32_t off, unsigned int reg)
{
	x_rex(j, true, reg, base, false);
	x_byte(j, 0x89);
	x_mem(j, reg, base, off);
}

static inline void x_mov(struct jit *j, bool w, unsigned int to, unsigned int from)
{
	x_rr(j, w, 0x89, from, to);
}

static inline void x_push(struct jit *j, unsigned int reg)
{
	x_rex(j, false, 0, reg, false);
	x_byte(j, 0x50 | (reg & 7));
}

static inline void x_pop(struct jit *j, unsigned int reg)
{
	x_rex(j, false, 0, reg, false);
	x_byte(j, 0x58 | (reg & 7));
}

/* The shortest that loads 64 bits. */
static inline void x_const(struct jit *j, unsigned int reg, uint64_t v)
{
	if (!v) {
		x_rr(j, false, 0x31, reg, reg);
	} else if (v <= UINT32_MAX) {
		x_rex(j, false, 0, reg, false);
		x_byte(j, 0xb8 | (reg & 7));
		x_u32(j, (uint32_t)v);
	} else if ((int64_t)v == (int32_t)v) {
		x_rex(j, true, 0, reg, false);
		x_byte(j, 0xc7);
		x_byte(j, 0xc0 | (reg & 7));
		x_u32(j, (uint32_t)v);
	} else {
		x_rex(j, true, 0, reg, false);
		x_byte(j, 0xb8 | (reg & 7));
		x_u64(j, v);
	}
}

/* ADD 0, OR 1, AND 4, SUB 5, XOR 6, CMP 7 with an immediate */
static inline void x_ri(struct jit *j, bool w, unsigned int which, unsigned int reg, int32_t imm)
{
	x_rex(j, w, 0, reg, false);
	x_byte(j, imm >= -128 && imm < 128 ? 0x83 : 0x81);
	x_byte(j, 0xc0 | which << 3 | (reg & 7));
	if (imm >= -128 && imm < 128)
		x_byte(j, (uint8_t)imm);
	else
		x_u32(j, (uint32_t)imm);
}

/* A jump or call whose distance is filled in later; returns where that is. cc < 0: unconditional,
 * -2: call */
static inline uint32_t x_jump(struct jit *j, int cc)
{
	if (cc >= 0) {
		x_byte(j, 0x0f);
		x_byte(j, 0x80u | (unsigned int)cc);
	} else {
		x_byte(j, cc == -2 ? 0xe8 : 0xe9);
	}
	x_u32(j, 0);
	return j->len - 4;
}

static inline void x_aim(struct jit *j, uint32_t at, uint32_t to)
{
	uint32_t d = to - (at + 4);

	__builtin_memcpy(j->code + at, &d, 4);
}

/* A jump to code that is there, as short as it gets. */
static inline void x_jump_back(struct jit *j, int cc, uint32_t to)
{
	int32_t d = (int32_t)(to - (j->len + 2));

	if (d < -128 || cc == -2) {
		x_aim(j, x_jump(j, cc), to);
		return;
	}
	x_byte(j, cc < 0 ? 0xeb : 0x70u | (unsigned int)cc);
	x_byte(j, (uint8_t)d);
}

static inline uint32_t x_short(struct jit *j, int cc)
{
	x_byte(j, cc < 0 ? 0xeb : 0x70u | (unsigned int)cc);
	x_byte(j, 0);
	return j->len;
}

static inline void x_aim_short(struct jit *j, uint32_t from)
{
	j->code[from - 1] = (uint8_t)(j->len - from);
}

static inline void x_call_c(struct jit *j, uint64_t f)
{
	x_const(j, RAX, f);
	x_byte(j, 0xff);
	x_byte(j, 0xd0);
}

extern const uint8_t x_reg_of[16];

static inline unsigned int x_dst(const struct bpf_insn *i)
{
	return x_reg_of[i->dst_reg];
}

static inline unsigned int x_src(const struct bpf_insn *i)
{
	return x_reg_of[i->src_reg];
}

/* exec_jit_x86_alu.c: arithmetic with an immediate, with a register; byte swaps */
void x_alu_k(struct jit *j, const struct bpf_insn *i, bool w);
void x_alu_x(struct jit *j, const struct bpf_insn *i, bool w);
void x_bswap(struct jit *j, unsigned int d, int bits);

/* Bytes of code that one instruction can become at most, its stubs and its place in the slow text included.
 */
#define JIT_INSN_BYTES 544
/* Sites, stubs and detours that it can have. */
#define JIT_INSN_SITES 6

/* exec_jit_x86_place.c: between the two passes, what becomes short and how long loops are; before the instruction at
 * pc, in the second, what keeps a loop in as few cache lines as it can. */
void x_place_plan(struct jit *j);
void x_place(struct jit *j, uint32_t pc);
#define JIT_LINE 64u
#define JIT_LOOP_BYTES 256 /* of a longer one a line more or less does not matter */

/* x_insn() compiles the instruction at pc. */
void x_insn(struct jit *j, uint32_t pc);
/* What exec_jit_x86_insn.c calls for a function's end. */
void x_epilogue(struct jit *j);
uint32_t x_site(struct jit *j, struct vm_site site);
/* A conditional jump to a stub that reports site and comes back here; fill in the rest of what is returned.
 */
struct stub *x_stub(struct jit *j, int cc, uint32_t site);

/* r12 points into struct vm_run, so that the edges of context and packet are within an 8-bit distance: with longer
 * ones the checks of a loop take more room in the cache of decoded instructions than it has for a line. */
#define RUN_AT ((int32_t)offsetof(struct vm_run, region[VM_REGION_CTX].read_end))
#define RUN(field) ((int32_t)offsetof(struct vm_run, field) - RUN_AT)

/* lea to, [from + off] */
static inline void x_lea(struct jit *j, unsigned int to, unsigned int from, int32_t off)
{
	x_rex(j, true, to, from, false);
	x_byte(j, 0x8d);
	x_mem(j, to, from, off);
}

/* A template for each form; they are in exec_jit_x86_insn.c, _mem.c and _call.c. */
#define ISA_FORM(name, fields) \
	void x_emit_##name(struct jit *j, uint32_t pc, const struct bpf_insn *i, enum isa_id id);
#include "isa/isa.def"
#define EMIT(form) void x_emit_##form(struct jit *j, uint32_t pc, const struct bpf_insn *i, enum isa_id id)
#define UNUSED (void)j, (void)pc, (void)i, (void)id

/* exec_jit_x86_mem.c: the region that hint n remembers must have [base + off, base + off + len); goes to
 * vm_jit_slow() otherwise */
struct stub *x_check_span(struct jit *j, struct vm_site site, unsigned int base, int32_t off, bool write);

/* exec_jit_x86_lookup.c: bpf_map_lookup_elem() of a map that is known */
void x_lookup(struct jit *j, uint32_t pc, const struct plan_lookup *l);
/* exec_jit_x86_call.c: what a call left in r1 to r5 must not matter in checked code. */
void x_forget_arguments(struct jit *j);
/* The budget lives in r11 while checked code runs; C sees run->budget. */
void x_budget_out(struct jit *j);
void x_budget_in(struct jit *j);

/* Called by compiled code. */
uint64_t vm_jit_call(uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, struct vm_run *run,
		     const struct vm_helper *helper);
const void *vm_jit_tail(uint64_t ctx, uint64_t map, uint64_t index, uint64_t a4, uint64_t a5,
			struct vm_run *run, const struct vm_prog *prog);
/* 0 a fault, 1 all is well, 2 take the slow text */
unsigned int vm_jit_slow(struct vm_run *run, uint64_t addr, uint32_t site, const struct vm_prog *prog);

#endif
