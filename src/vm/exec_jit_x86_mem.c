// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * x86-64: loads, stores and atomic operations, and in the checked profile what stands before them.
 *
 * Where the analysis (exec_plan.h) says which region a register points to, that one is asked; a check that
 * covers several accesses asks for all their bytes at once. If the answer is no, the same instructions are
 * done once more out of line, in the slow text, each access by itself: there it shows which one fails, or
 * that another region was meant. Elsewhere each check remembers which region it found last (its hint).
 */
#if defined(__x86_64__)
#include "vm/exec_jit_x86.h"

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

/* OP reg, [r12 + r9 + off] */
static void hinted(struct jit *j, unsigned int op, unsigned int reg, int32_t off)
{
	x_byte(j, 0x48 | (reg >> 3) << 2 | 2 | 1);
	x_byte(j, op);
	x_byte(j, 0x84 | (reg & 7) << 3);
	x_byte(j, 0x0c); /* base r12, index r9 */
	x_u32(j, (uint32_t)off);
}

/* OP reg, [r12 + off] */
static void fixed(struct jit *j, unsigned int op, unsigned int reg, int32_t off)
{
	x_rex(j, true, reg, R12, false);
	x_byte(j, op);
	x_mem(j, reg, R12, off);
}

/* movzx r9d, word [hint n] */
static void load_hint(struct jit *j, uint32_t n)
{
	x_byte(j, 0x44);
	x_byte(j, 0x0f);
	x_byte(j, 0xb7);
	x_byte(j, 0x0d);
	x_u32(j, n * 2 - j->data_bytes - (j->len + 4));
}

struct stub *x_check_span(struct jit *j, struct vm_site site, unsigned int base, int32_t off, bool write)
{
	uint32_t n = x_site(j, site), before;
	struct stub *s;

	load_hint(j, n);
	x_lea(j, R10, base, off);
	/* signed, so that the sum below does not wrap: no region lies in the upper half */
	hinted(j, 0x3b, R10, RUN(region[0].start));
	before = x_jump(j, CC_L);
	if (site.len)
		x_ri(j, true, 0, R10, (int32_t)site.len);
	hinted(j, 0x3b, R10, write ? RUN(region[0].write_end) : RUN(region[0].read_end));
	s = x_stub(j, CC_A, n);
	s->at[1] = before;
	s->has_address = true;
	s->base = (uint8_t)base;
	s->off = off;
	return s;
}

/* One access by the region that it hit last. */
static void check_one(struct jit *j, uint32_t pc, const struct bpf_insn *i, unsigned int base, bool write)
{
	unsigned int lg = lg_of(i->code);
	struct vm_site site = {.pc = pc, .kind = SITE_MISS, .lg = (uint8_t)lg, .write = write};
	uint32_t n = x_site(j, site);
	struct stub *s;

	load_hint(j, n);
	x_lea(j, R10, base, i->off);
	hinted(j, 0x2b, R10, RUN(region[0].start));
	hinted(j, 0x3b, R10, (write ? RUN(region[0].writes) : RUN(region[0].reads)) + 8 * (int32_t)lg);
	s = x_stub(j, CC_AE, n);
	s->has_address = true;
	s->base = (uint8_t)base;
	s->off = i->off;
}

static void detour(struct jit *j, int cc, uint32_t pc)
{
	j->detour[j->n_detour].at = x_jump(j, cc);
	j->detour[j->n_detour++].pc = pc;
}

/* The accesses of a group by the one region that they are said to go to. */
static void check_group(struct jit *j, const struct plan_group *g)
{
	static const uint8_t slot[] = {
		[PLAN_STACK] = VM_REGION_STACK, [PLAN_CTX] = VM_REGION_CTX, [PLAN_PACKET] = VM_REGION_PACKET};
	unsigned int base = x_reg_of[g->base], k;
	int32_t at;

	if (g->kind >= PLAN_VALUE) {
		k = g->kind - PLAN_VALUE;
		x_lea(j, R10, base, g->min);
		fixed(j, 0x2b, R10, RUN(value) + 8 * (int32_t)k);
		x_ri(j, true, 7, R10, (int32_t)j->plan.value[k].len - (g->max - g->min));
		detour(j, CC_A, g->head);
	} else if (g->kind == PLAN_ANY) {
		x_check_span(j,
			     (struct vm_site){.pc = g->head,
					      .kind = SITE_SPAN,
					      .write = g->write,
					      .len = (uint32_t)(g->max - g->min)},
			     base, g->min, g->write)
			->slow = g->head;
	} else {
		at = (int32_t)slot[g->kind] * (int32_t)sizeof(struct vm_region);
		x_lea(j, R10, base, g->min);
		fixed(j, 0x3b, R10, at + RUN(region[0].start));
		detour(j, CC_L, g->head);
		x_lea(j, R10, base, g->max);
		fixed(j, 0x3b, R10, at + (g->write ? RUN(region[0].write_end) : RUN(region[0].read_end)));
		detour(j, CC_A, g->head);
	}
}

static void check_aligned(struct jit *j, uint32_t pc, const struct bpf_insn *i, unsigned int base)
{
	struct vm_site site = {.pc = pc, .kind = SITE_ALIGN, .lg = (uint8_t)lg_of(i->code)};
	struct stub *s;

	if (!site.lg)
		return;
	x_lea(j, R10, base, i->off);
	/* test r10b, size - 1 */
	x_byte(j, 0x41);
	x_byte(j, 0xf6);
	x_byte(j, 0xc2);
	x_byte(j, (1u << site.lg) - 1);
	s = x_stub(j, CC_NE, x_site(j, site));
	s->has_address = true;
	s->base = (uint8_t)base;
	s->off = i->off;
}

/* The checked profile, before an access through base + off. */
static void check(struct jit *j, uint32_t pc, const struct bpf_insn *i, unsigned int base, bool write,
		  bool atomic)
{
	int32_t size = 1 << lg_of(i->code);
	bool own = base == RBP && plan_own(j->prog, 10, i->off, (uint32_t)size);
	uint32_t note = j->plan.note[pc];

	if (!j->checked)
		return;
	if (own) {
		if (!atomic || !(i->off & (size - 1)))
			return;
	} else if (j->slow || !note) {
		check_one(j, pc, i, base, write);
	} else if (note != PLAN_COVERED) {
		check_group(j, &j->plan.groups[note - 1]);
	}
	if (atomic)
		check_aligned(j, pc, i, base);
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
	static const uint8_t code[] = {[BPF_OR >> 4] = 0x09, [BPF_AND >> 4] = 0x21, [BPF_XOR >> 4] = 0x31};
	unsigned int s = x_src(i), operand = s == RAX ? R10 : s;
	uint32_t again;

	x_push(j, R11);
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
	x_pop(j, R11);
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

#endif
