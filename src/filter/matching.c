// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Classic BPF to eBPF: McCanne and Jacobson, "The BSD Packet Filter" (1993), into RFC 9669. Jumps lead
 * forward, so each pass over an expression is one walk.
 *
 * Every expression is there twice. The fast one reads the packet's first buffer directly; where it finds that
 * too short it gives up: no match if there is no other buffer, otherwise on to the slow one, which starts
 * again and has a helper read. An expression without loads has no slow one.
 *
 *     r6 context   r7 A   r8 X   r9 struct filter_matching   r2, r3 (fast): data, its end   r0, r1, r4: passing
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "filter/matching.h"
#include "isa/build.h"
#include "policy/cbpf.h"

enum { CTX = 6, A = 7, X = 8, WORK = 9, DATA = 2, END = 3 };
enum { BIT_A = 1, BIT_X = 2, BIT_M = 4 }; /* what an instruction reads or writes; of M: BIT_M << k */

#define FAST_REACH 0x4000u /* beyond it the fast one does not read: offsets of instructions have 15 bits */
#define FAST_INDEX 0x7fffu /* the verifier follows offsets from the packet's start up to 0xffff */
#define SLOW_REACH 0xffffu /* of bpf_xdp_load_bytes() */
#define NEVER UINT32_MAX

#define RET_VALUE(code) ((code)&0x18) /* <linux/filter.h> BPF_RVAL, and BPF_X */
#define RET_A 0x10
#define IS_TXA(code) ((code)&0x80)

/* What is known of a classic instruction, before it is translated. */
struct fact {
	uint32_t need;	 /* bytes without which it can only end in "no match"; NEVER: it always does */
	uint32_t have;	 /* bytes that were found to be there on all ways to it */
	uint32_t is_set; /* BIT_*, written on all ways to it */
	uint32_t label;
	bool reached;
};

struct one {
	struct isa_build *b;
	const struct policy_cbpf *c;
	struct fact *f; /* one for each instruction */
	uint32_t unset; /* BIT_* that are read where they may not have been written */
	bool slow;
	bool no_fast; /* it reads far inside */
	bool goes_slow, fails, sets, asks_len;
	uint32_t to_slow, to_fail, to_set, to_next; /* labels */
};

static bool is_packet_load(const struct policy_insn *i)
{
	uint32_t mode = BPF_MODE(i->code);

	return BPF_CLASS(i->code) == BPF_LD ? mode == BPF_ABS || mode == BPF_IND
					    : BPF_CLASS(i->code) == BPF_LDX && mode == BPF_MSH;
}

static uint32_t size_of(const struct policy_insn *i)
{
	return BPF_SIZE(i->code) == BPF_W ? 4 : BPF_SIZE(i->code) == BPF_H ? 2 : 1;
}

/* The end of what a load at a constant offset reads, or 0. */
static uint64_t end_of(const struct policy_insn *i)
{
	return is_packet_load(i) && BPF_MODE(i->code) != BPF_IND ? (uint64_t)i->k + size_of(i) : 0;
}

static uint32_t reads(const struct policy_insn *i)
{
	uint32_t x = BPF_SRC(i->code) == BPF_X ? BIT_X : 0;

	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
	case BPF_LDX:
		if (BPF_MODE(i->code) == BPF_MEM)
			return BIT_M << i->k;
		return BPF_MODE(i->code) == BPF_IND ? BIT_X : 0;
	case BPF_ST:
		return BIT_A;
	case BPF_STX:
		return BIT_X;
	case BPF_ALU:
		return BIT_A | (BPF_OP(i->code) == BPF_NEG ? 0 : x);
	case BPF_JMP:
		return BPF_OP(i->code) == BPF_JA ? 0 : BIT_A | x;
	case BPF_RET:
		return RET_VALUE(i->code) == RET_A ? BIT_A : RET_VALUE(i->code) == BPF_X ? BIT_X : 0;
	default:
		return IS_TXA(i->code) ? BIT_X : BIT_A;
	}
}

static uint32_t writes(const struct policy_insn *i)
{
	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
	case BPF_ALU:
		return BIT_A;
	case BPF_LDX:
		return BIT_X;
	case BPF_ST:
	case BPF_STX:
		return BIT_M << i->k;
	case BPF_MISC:
		return IS_TXA(i->code) ? BIT_A : BIT_X;
	default:
		return 0;
	}
}

/* Where a jump at `at` leads to: *yes and *no, the same if it is none; false: nowhere, it returns. */
static bool successors(const struct policy_insn *i, uint32_t at, uint32_t *yes, uint32_t *no)
{
	*yes = *no = at + 1;
	if (BPF_CLASS(i->code) == BPF_RET)
		return false;
	if (BPF_CLASS(i->code) != BPF_JMP)
		return true;
	if (BPF_OP(i->code) == BPF_JA) {
		*yes = *no = at + 1 + i->k;
	} else {
		*yes = at + 1 + i->jt;
		*no = at + 1 + i->jf;
	}
	return true;
}

static bool returns_constant(const struct policy_insn *i)
{
	return BPF_CLASS(i->code) == BPF_RET && RET_VALUE(i->code) == 0;
}

/*
 * Backwards: what each instruction needs. A packet that is shorter is no match whatever way it would take, and so
 * one check stands for all that follow. To return 0 needs more than any packet has.
 */
static void find_needs(struct one *o)
{
	const struct policy_insn *i;
	uint32_t at, yes, no, need;
	uint64_t end;

	for (at = o->c->n; at-- > 0;) {
		i = &o->c->insns[at];
		if (successors(i, at, &yes, &no)) {
			need = o->f[yes].need < o->f[no].need ? o->f[yes].need : o->f[no].need;
			end = end_of(i);
			o->f[at].need = end <= need ? need : end < NEVER ? (uint32_t)end : NEVER;
		} else {
			o->f[at].need = returns_constant(i) && !i->k ? NEVER : 0;
		}
	}
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void flow_to(struct one *o, uint32_t at, uint32_t have, uint32_t is_set)
{
	struct fact *f = &o->f[at];

	f->have = f->reached ? least(f->have, have) : have;
	f->is_set = f->reached ? f->is_set & is_set : is_set;
	f->reached = true;
}

/* Forwards: which instructions are reached, with what found and written. */
static void find_ways(struct one *o)
{
	const struct policy_insn *i;
	uint32_t at, yes, no, have, is_set;
	struct fact *f;

	flow_to(o, 0, 0, 0);
	for (at = 0; at < o->c->n; at++) {
		i = &o->c->insns[at];
		f = &o->f[at];
		if (!f->reached || f->need == NEVER)
			continue;
		o->unset |= reads(i) & ~f->is_set;
		o->no_fast |= end_of(i) > FAST_REACH || (is_packet_load(i) && f->need > FAST_REACH);
		have = end_of(i) > f->have ? f->need : f->have;
		is_set = f->is_set | writes(i);
		if (!successors(i, at, &yes, &no))
			continue;
		flow_to(o, yes, have, is_set);
		flow_to(o, no, have, is_set);
	}
}

static void put(struct one *o, enum isa_id id, uint8_t dst, uint8_t src, int16_t off, uint32_t imm)
{
	isa_put(o->b, id, dst, src, off, (int32_t)imm);
}

static void jump(struct one *o, enum isa_id id, uint8_t dst, uint8_t src, uint32_t imm, uint32_t label)
{
	o->sets |= label == o->to_set;
	o->goes_slow |= label == o->to_slow;
	o->fails |= label == o->to_fail;
	isa_put_jump(o->b, id, dst, src, (int32_t)imm, label);
}

/* The label of a classic instruction: what it amounts to, if that is known. */
static uint32_t label_of(const struct one *o, uint32_t at)
{
	if (o->f[at].need == NEVER)
		return o->to_next;
	return returns_constant(&o->c->insns[at]) ? o->to_set : o->f[at].label;
}

/* Goes on at a classic instruction, behind the one that was just written. */
static void go_on(struct one *o, uint32_t from, uint32_t to)
{
	if (to != from + 1 || label_of(o, to) != o->f[to].label)
		jump(o, ISA_GOTO, 0, 0, 0, label_of(o, to));
}

static void put_read(struct one *o, uint8_t dst, uint8_t base, int16_t off, uint32_t size)
{
	static const enum isa_id ids[] = {[1] = ISA_LDX8, [2] = ISA_LDX16, [4] = ISA_LDX32};

	put(o, ids[size], dst, base, off, 0);
	if (size > 1)
		put(o, size == 2 ? ISA_BE16 : ISA_BE32, dst, 0, 0, 0);
}

/* Bytes of the packet, by the helper, which says whether they are there. */
static void put_slow_load(struct one *o, const struct policy_insn *i, uint8_t dst)
{
	bool indirect = BPF_MODE(i->code) == BPF_IND, far = i->k > SLOW_REACH;

	if (indirect && !far) {
		put(o, ISA_MOV32_X, 2, X, 0, 0);
		if (i->k)
			put(o, ISA_ADD64_K, 2, 0, 0, i->k);
		jump(o, ISA_JGT64_K, 2, 0, SLOW_REACH, o->to_next);
	} else {
		put(o, ISA_MOV32_K, 2, 0, 0, far ? UINT32_MAX : i->k);
	}
	put(o, ISA_MOV64_X, 1, CTX, 0, 0);
	put(o, ISA_MOV64_X, 3, WORK, 0, 0);
	put(o, ISA_MOV32_K, 4, 0, 0, size_of(i));
	put(o, ISA_CALL, 0, 0, 0, BPF_FUNC_xdp_load_bytes);
	jump(o, ISA_JNE64_K, 0, 0, 0, o->to_next);
	put_read(o, dst, WORK, offsetof(struct filter_matching, loaded), size_of(i));
}

static void put_fast_load(struct one *o, const struct policy_insn *i, uint8_t dst, const struct fact *f)
{
	if (BPF_MODE(i->code) != BPF_IND) {
		if (end_of(i) > f->have) {
			put(o, ISA_MOV64_X, 4, DATA, 0, 0);
			put(o, ISA_ADD64_K, 4, 0, 0, f->need);
			jump(o, ISA_JGT64_X, 4, END, 0, o->to_fail);
		}
		put_read(o, dst, DATA, (int16_t)i->k, size_of(i));
		return;
	}
	if (i->k > FAST_INDEX) {
		/* the verifier must not see the rest, and a jump that is always taken lets it */
		put(o, ISA_MOV32_K, 1, 0, 0, FAST_INDEX + 1);
	} else {
		put(o, ISA_MOV32_X, 1, X, 0, 0);
		if (i->k)
			put(o, ISA_ADD64_K, 1, 0, 0, i->k);
	}
	jump(o, ISA_JGT64_K, 1, 0, FAST_INDEX, o->to_slow);
	put(o, ISA_MOV64_X, 4, DATA, 0, 0);
	put(o, ISA_ADD64_X, 4, 1, 0, 0);
	put(o, ISA_MOV64_X, 1, 4, 0, 0);
	put(o, ISA_ADD64_K, 1, 0, 0, size_of(i));
	jump(o, ISA_JGT64_X, 1, END, 0, o->to_fail);
	put_read(o, dst, 4, 0, size_of(i));
}

static int16_t cell(uint32_t k)
{
	return (int16_t)(offsetof(struct filter_matching, m) + 4 * k);
}

static void put_load(struct one *o, const struct policy_insn *i, const struct fact *f)
{
	uint8_t dst = BPF_CLASS(i->code) == BPF_LD ? A : X;

	switch (BPF_MODE(i->code)) {
	case BPF_IMM:
		put(o, ISA_MOV32_K, dst, 0, 0, i->k);
		return;
	case BPF_LEN:
		put(o, ISA_LDX32, dst, WORK, offsetof(struct filter_matching, whole), 0);
		o->asks_len = true;
		return;
	case BPF_MEM:
		put(o, ISA_LDX32, dst, WORK, cell(i->k), 0);
		return;
	default:
		break;
	}
	if (o->slow)
		put_slow_load(o, i, dst);
	else
		put_fast_load(o, i, dst, f);
	if (BPF_MODE(i->code) == BPF_MSH) {
		put(o, ISA_AND32_K, X, 0, 0, 15);
		put(o, ISA_LSH32_K, X, 0, 0, 2);
	}
}

/* A shift by the width or more leaves nothing, where eBPF would take the rest of it. */
static void put_shift(struct one *o, const struct policy_insn *i)
{
	bool left = BPF_OP(i->code) == BPF_LSH;
	uint32_t all, done;

	if (BPF_SRC(i->code) == BPF_K) {
		if (i->k < 32)
			put(o, left ? ISA_LSH32_K : ISA_RSH32_K, A, 0, 0, i->k);
		else
			put(o, ISA_MOV32_K, A, 0, 0, 0);
		return;
	}
	all = isa_label(o->b);
	done = isa_label(o->b);
	jump(o, ISA_JGT32_K, X, 0, 31, all);
	put(o, left ? ISA_LSH32_X : ISA_RSH32_X, A, X, 0, 0);
	jump(o, ISA_GOTO, 0, 0, 0, done);
	isa_here(o->b, all);
	put(o, ISA_MOV32_K, A, 0, 0, 0);
	isa_here(o->b, done);
}

static void put_alu(struct one *o, const struct policy_insn *i)
{
	static const enum isa_id ids[][2] = {
		[BPF_ADD >> 4] = {ISA_ADD32_K, ISA_ADD32_X}, [BPF_SUB >> 4] = {ISA_SUB32_K, ISA_SUB32_X},
		[BPF_MUL >> 4] = {ISA_MUL32_K, ISA_MUL32_X}, [BPF_DIV >> 4] = {ISA_DIV32_K, ISA_DIV32_X},
		[BPF_OR >> 4] = {ISA_OR32_K, ISA_OR32_X},    [BPF_AND >> 4] = {ISA_AND32_K, ISA_AND32_X},
		[BPF_NEG >> 4] = {ISA_NEG32, ISA_NEG32},     [BPF_MOD >> 4] = {ISA_MOD32_K, ISA_MOD32_X},
		[BPF_XOR >> 4] = {ISA_XOR32_K, ISA_XOR32_X},
	};
	uint32_t op = BPF_OP(i->code);
	bool x = BPF_SRC(i->code) == BPF_X && op != BPF_NEG;

	if (op == BPF_LSH || op == BPF_RSH) {
		put_shift(o, i);
		return;
	}
	if (x && (op == BPF_DIV || op == BPF_MOD))
		jump(o, ISA_JEQ32_K, X, 0, 0, o->to_next);
	put(o, ids[op >> 4][x], A, x ? X : 0, 0, x || op == BPF_NEG ? 0 : i->k);
}

static void put_jump(struct one *o, const struct policy_insn *i, uint32_t at)
{
	/* itself, and its opposite */
	static const enum isa_id ids[][2][2] = {
		[BPF_JEQ >> 4] = {{ISA_JEQ32_K, ISA_JEQ32_X}, {ISA_JNE32_K, ISA_JNE32_X}},
		[BPF_JGT >> 4] = {{ISA_JGT32_K, ISA_JGT32_X}, {ISA_JLE32_K, ISA_JLE32_X}},
		[BPF_JGE >> 4] = {{ISA_JGE32_K, ISA_JGE32_X}, {ISA_JLT32_K, ISA_JLT32_X}},
		[BPF_JSET >> 4] = {{ISA_JSET32_K, ISA_JSET32_X}},
	};
	uint32_t op = BPF_OP(i->code), yes, no;
	bool x = BPF_SRC(i->code) == BPF_X, turned;

	successors(i, at, &yes, &no);
	if (label_of(o, yes) == label_of(o, no)) {
		go_on(o, at, yes);
		return;
	}
	turned = op != BPF_JSET && yes == at + 1;
	jump(o, ids[op >> 4][turned][x], A, x ? X : 0, x ? 0 : i->k, label_of(o, turned ? no : yes));
	go_on(o, at, turned ? yes : no);
}

static void put_insn(struct one *o, uint32_t at)
{
	const struct policy_insn *i = &o->c->insns[at];

	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
	case BPF_LDX:
		put_load(o, i, &o->f[at]);
		break;
	case BPF_ST:
		put(o, ISA_ST32_X, WORK, A, cell(i->k), 0);
		break;
	case BPF_STX:
		put(o, ISA_ST32_X, WORK, X, cell(i->k), 0);
		break;
	case BPF_ALU:
		put_alu(o, i);
		break;
	case BPF_JMP:
		if (BPF_OP(i->code) == BPF_JA)
			go_on(o, at, at + 1 + i->k);
		else
			put_jump(o, i, at);
		return;
	case BPF_RET: /* a register's value; constants have become labels */
		jump(o, ISA_JNE32_K, RET_VALUE(i->code) == RET_A ? A : X, 0, 0, o->to_set);
		jump(o, ISA_GOTO, 0, 0, 0, o->to_next);
		return;
	default:
		put(o, ISA_MOV32_X, IS_TXA(i->code) ? A : X, IS_TXA(i->code) ? X : A, 0, 0);
	}
	go_on(o, at, at + 1);
}

/* The whole expression, once: fast or slow. */
static void put_once(struct one *o)
{
	uint32_t at, k;

	if (!o->slow) {
		put(o, ISA_LDX32, DATA, CTX, offsetof(struct xdp_md, data), 0);
		put(o, ISA_LDX32, END, CTX, offsetof(struct xdp_md, data_end), 0);
	}
	if (o->unset & BIT_A)
		put(o, ISA_MOV32_K, A, 0, 0, 0);
	if (o->unset & BIT_X)
		put(o, ISA_MOV32_K, X, 0, 0, 0);
	for (k = 0; k < 16; k++)
		if (o->unset & BIT_M << k)
			put(o, ISA_ST32_K, WORK, 0, cell(k), 0);
	for (at = 0; at < o->c->n; at++)
		o->f[at].label = isa_label(o->b);
	if (label_of(o, 0) != o->f[0].label)
		jump(o, ISA_GOTO, 0, 0, 0, label_of(o, 0));
	for (at = 0; at < o->c->n; at++) {
		if (!o->f[at].reached || label_of(o, at) != o->f[at].label)
			continue;
		isa_here(o->b, o->f[at].label);
		put_insn(o, at);
	}
}

/* The first buffer is too short: is it all there is? */
static void put_fail(struct one *o)
{
	isa_here(o->b, o->to_fail);
	put(o, ISA_MOV64_X, 1, CTX, 0, 0);
	put(o, ISA_CALL, 0, 0, 0, BPF_FUNC_xdp_get_buff_len);
	put(o, ISA_LDX32, DATA, CTX, offsetof(struct xdp_md, data), 0);
	put(o, ISA_LDX32, END, CTX, offsetof(struct xdp_md, data_end), 0);
	put(o, ISA_SUB64_X, END, DATA, 0, 0);
	jump(o, ISA_JLE64_X, 0, END, 0, o->to_next);
	o->goes_slow = true; /* which follows */
}

static void translate(struct one *o, uint32_t number)
{
	int16_t result =
		(int16_t)(offsetof(struct filter_matching, result) + 4 * (number / FILTER_MATCHING_BITS));

	o->to_slow = isa_label(o->b);
	o->to_fail = isa_label(o->b);
	o->to_set = isa_label(o->b);
	o->to_next = isa_label(o->b);
	find_needs(o);
	find_ways(o);
	if (!o->no_fast) {
		put_once(o);
		if (o->fails)
			put_fail(o);
	}
	if (o->no_fast || o->goes_slow) {
		isa_here(o->b, o->to_slow);
		o->slow = true;
		put_once(o);
	}
	if (o->sets) {
		isa_here(o->b, o->to_set);
		put(o, ISA_LDX32, 1, WORK, result, 0);
		put(o, ISA_OR32_K, 1, 0, 0, 1u << number % FILTER_MATCHING_BITS);
		put(o, ISA_ST32_X, WORK, 1, result, 0);
	}
	isa_here(o->b, o->to_next);
}

int filter_expression(struct filter_expressions *all, const struct policy_cbpf *cbpf, uint32_t *number,
		      struct sluice_err *err)
{
	const struct policy_cbpf *c;
	uint32_t i;

	for (i = 0; i < all->n; i++) {
		c = all->v[i];
		if (c == cbpf ||
		    (c->n == cbpf->n && !memcmp(c->insns, cbpf->insns, c->n * sizeof(*c->insns))))
			break;
	}
	if (i == FILTER_MATCHING_MOST)
		return err_set(err, -ENOSPC, "a filter has at most %d different pcap expressions",
			       FILTER_MATCHING_MOST);
	*number = i;
	all->v[i] = i < all->n ? all->v[i] : cbpf;
	all->n += i == all->n;
	return 0;
}

int filter_matching_make(const struct filter_expressions *all, struct bpf_insn **insns, uint32_t *n,
			 uint8_t *how, struct sluice_err *err)
{
	struct isa_build b = {0};
	uint32_t i, taken;

	*insns = NULL;
	*n = 0;
	*how = FILTER_MATCHING_NONE;
	if (!all->n)
		return 0;
	*how = FILTER_MATCHING_SOME;
	isa_put(&b, ISA_MOV64_X, CTX, 1, 0, 0);
	isa_put(&b, ISA_MOV64_X, WORK, 2, 0, 0);
	for (i = 0; i < all->n; i++) {
		struct one o = {.b = &b, .c = all->v[i]};

		o.f = calloc(o.c->n, sizeof(*o.f));
		if (!o.f) {
			isa_build_free(&b);
			return err_nomem(err);
		}
		translate(&o, i);
		free(o.f);
		if (o.asks_len)
			*how = FILTER_MATCHING_LEN;
	}
	taken = isa_build_pc(&b);
	if (taken > FILTER_MATCHING_ROOM && !b.insns.failed) {
		isa_build_free(&b);
		return err_set(err, -ENOSPC, "%u pcap expressions become %u instructions, at most %d fit",
			       all->n, taken, FILTER_MATCHING_ROOM);
	}
	return isa_build_take(&b, insns, n, err);
}

static bool does_nothing(const struct bpf_insn *i)
{
	static const struct bpf_insn nothing = {.code = BPF_JMP | BPF_JA};

	return !memcmp(i, &nothing, sizeof(nothing));
}

int filter_matching_place(struct bpf_insn *program, uint32_t n_program, const struct bpf_insn *insns,
			  uint32_t n, struct sluice_err *err)
{
	uint32_t at, end, found = UINT32_MAX, places = 0, left = FILTER_MATCHING_ROOM - n;
	struct bpf_insn *rest;

	for (at = 0; at < n_program; at = end + 1) {
		for (end = at; end < n_program && does_nothing(&program[end]); end++)
			;
		if (end - at != FILTER_MATCHING_ROOM)
			continue;
		found = at;
		places++;
	}
	if (places != 1 || n > FILTER_MATCHING_ROOM)
		return err_set(err, -EBADMSG,
			       "the program has %u places for pcap expressions, expected one of %d "
			       "instructions",
			       places, FILTER_MATCHING_ROOM);
	memcpy(program + found, insns, n * sizeof(*insns));
	if (left < 2)
		return 0;
	/* a condition that always holds: the kernel refuses instructions that nothing leads to */
	rest = program + found + n;
	rest[0] = isa_make(ISA_MOV32_K);
	rest[1] = isa_make(ISA_JEQ32_K);
	rest[1].off = (int16_t)(left - 2);
	return 0;
}
