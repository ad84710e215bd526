// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Joining programs: layout, the generated dispatcher, moved calls. BTF and records: join_btf.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hook/join.h"
#include "hook/join_internal.h"

/* Instructions by name, as in the kernel's documentation (Documentation/bpf/standardization/instruction-set.rst). */
#define R(n) ((uint8_t)(n))
#define MOV(d, s) ((struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_X, R(d), R(s), 0, 0})
#define MOV32(d, s) ((struct bpf_insn){BPF_ALU | BPF_MOV | BPF_X, R(d), R(s), 0, 0})
#define MOVI(d, i) ((struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, R(d), 0, 0, (i)})
#define ADDI(d, i) ((struct bpf_insn){BPF_ALU64 | BPF_ADD | BPF_K, R(d), 0, 0, (i)})
#define ADD32(d, s) ((struct bpf_insn){BPF_ALU | BPF_ADD | BPF_X, R(d), R(s), 0, 0})
#define LDX(d, s, o) ((struct bpf_insn){BPF_LDX | BPF_MEM | BPF_DW, R(d), R(s), (o), 0})
#define STX(d, s, o) ((struct bpf_insn){BPF_STX | BPF_MEM | BPF_DW, R(d), R(s), (o), 0})
#define STX32(d, s, o) ((struct bpf_insn){BPF_STX | BPF_MEM | BPF_W, R(d), R(s), (o), 0})
#define JMP32I(op, d, i, o) ((struct bpf_insn){BPF_JMP32 | (op) | BPF_K, R(d), 0, (o), (i)})
#define JEQ0(d, o) ((struct bpf_insn){BPF_JMP | BPF_JEQ | BPF_K, R(d), 0, (o), 0})
#define JA(o) ((struct bpf_insn){BPF_JMP | BPF_JA, 0, 0, (o), 0})
#define HELPER(f) ((struct bpf_insn){BPF_JMP | BPF_CALL, 0, 0, 0, (f)})
#define CALL ((struct bpf_insn){BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0})
#define EXIT ((struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0})

#define XDP_VERDICTS 5
#define XDP_PASS 2

static bool is_call(const struct bpf_insn *i)
{
	return i->code == (BPF_JMP | BPF_CALL) && i->src_reg == BPF_PSEUDO_CALL;
}

static bool is_func_ref(const struct bpf_insn *i)
{
	return i->code == (BPF_LD | BPF_IMM | BPF_DW) && i->src_reg == BPF_PSEUDO_FUNC;
}

/* Where the first function behind the main one starts: n_insns if there is none. */
static uint32_t main_end(const struct code *c)
{
	uint32_t end = c->n_insns, i;
	int64_t to;

	for (i = 0; i < c->n_insns; i++) {
		if (is_call(&c->insns[i]) || is_func_ref(&c->insns[i])) {
			to = (int64_t)i + 1 + c->insns[i].imm;
			if (to > 0 && to < end)
				end = (uint32_t)to;
		}
		if (c->insns[i].code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
	}
	for (i = 0; i < c->n_funcs; i++)
		if (c->funcs[i].insn_off > 0 && c->funcs[i].insn_off < end)
			end = c->funcs[i].insn_off;
	return end;
}

/*
 * How far below r10 the main function may write, as far as can be seen: the lowest direct offset, and the lowest
 * constant that is added anywhere in a function that copies r10. Too high an estimate wastes stack; too low a one
 * makes the verifier refuse the inlined form, and the member is called instead.
 */
static int stack_depth(const struct code *c, uint32_t end)
{
	int lowest = 0, added = 0, x;
	bool copied = false;
	uint32_t i;

	for (i = 0; i < end; i++) {
		const struct bpf_insn *n = &c->insns[i];
		uint8_t class = BPF_CLASS(n->code);

		if (((class == BPF_STX || class == BPF_ST) && n->dst_reg == 10) || (class == BPF_LDX && n->src_reg == 10))
			lowest = n->off < lowest ? n->off : lowest;
		if (n->code == (BPF_ALU64 | BPF_MOV | BPF_X) && n->src_reg == 10)
			copied = true;
		x = n->code == (BPF_ALU64 | BPF_ADD | BPF_K) ? n->imm : 0;
		if (x < added && x >= -512)
			added = x;
		if (n->code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
	}
	if (copied && added < lowest)
		lowest = added;
	return (-lowest + 7) & ~7;
}

/* A main function whose exits can become jumps, and that leaves `beside` bytes of the stack free. */
static bool can_inline(const struct code *c, uint32_t end, int beside)
{
	uint32_t i;

	if (end > 30000) /* a jump reaches 32767 instructions */
		return false;
	for (i = 0; i < end; i++) {
		const struct bpf_insn *n = &c->insns[i];

		if (n->code == (BPF_JMP | BPF_CALL) && n->src_reg == 0 && n->imm == BPF_FUNC_tail_call)
			return false;
		if (n->code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
	}
	return stack_depth(c, end) + beside <= 512;
}

/* Only what runs after something else has to find the context again. */
static bool keeps_ctx(const struct join_input *in)
{
	return in->n_parts + in->n_observers > 1;
}

/* --- the stack of all frames together: 512 bytes (MAX_BPF_STACK) --- */

#define FRAMES 8 /* of calls in calls, MAX_CALL_FRAMES */

/* As the verifier counts a frame, where it is least generous. */
static int frame(int depth)
{
	return depth < 1 ? 32 : (depth + 31) & ~31;
}

static uint32_t function_end(const struct code *c, uint32_t f)
{
	return f + 1 < c->n_funcs ? c->funcs[f + 1].insn_off : c->n_insns;
}

/* Of function f and what it calls; known: of functions, -1: not yet. */
static int deepest(const struct code *c, uint32_t f, uint32_t level, int *known)
{
	uint32_t i, k, from = c->funcs[f].insn_off, end = function_end(c, f);
	struct code part = {.insns = c->insns + from};
	int below = 0, d;

	if (known[f] >= 0 || level == FRAMES || from > end || end > c->n_insns)
		return known[f] < 0 ? 0 : known[f];
	for (i = from; i < end; i++) {
		for (k = 0; is_call(&c->insns[i]) && k < c->n_funcs; k++) {
			if (c->funcs[k].insn_off != (uint32_t)((int64_t)i + 1 + c->insns[i].imm))
				continue;
			d = deepest(c, k, level + 1, known);
			below = d > below ? d : below;
		}
		if (c->insns[i].code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
	}
	return known[f] = frame(stack_depth(&part, end - from)) + below;
}

/* What a member takes that is called. */
static int called_depth(const struct code *c)
{
	int *known = malloc((c->n_funcs + 1ul) * sizeof(*known)), d = frame(stack_depth(c, c->n_insns));

	if (known && c->n_funcs) {
		memset(known, 0xff, (c->n_funcs + 1ul) * sizeof(*known));
		d = deepest(c, 0, 0, known);
	}
	free(known);
	return d;
}

/* Members that are inlined have their stack for as long as those that are called have theirs: the largest gives way. */
static void keep_stack(const struct join *j)
{
	const struct join_input *in = j->in;
	int called, inlined, d;
	uint32_t i, most;

	do {
		called = inlined = 0;
		for (i = most = 0; i < in->n_parts; i++) {
			d = in->part[i].inlined ? stack_depth(in->part[i].code, j->piece[i].main_len) : called_depth(in->part[i].code);
			if (!in->part[i].inlined && d > called)
				called = d;
			if (in->part[i].inlined && d >= inlined) {
				inlined = d;
				most = i;
			}
		}
		if (called + frame(inlined + 8) <= 512 || !in->part[most].inlined)
			return;
		in->part[most].inlined = false;
	} while (true);
}

static struct bpf_insn *emit(struct join *j, struct bpf_insn insn)
{
	struct bpf_insn *to = buf_add(&j->insns, sizeof(insn));

	if (to)
		*to = insn;
	return to;
}

static uint32_t here(const struct join *j)
{
	return (uint32_t)(j->insns.len / sizeof(struct bpf_insn));
}

static struct bpf_insn *at(struct join *j, uint32_t i)
{
	return (struct bpf_insn *)j->insns.data + i;
}

static uint32_t ref_map(struct join *j, uint32_t kind, uint32_t id)
{
	struct code *c = j->out;
	uint32_t i;

	for (i = 0; i < c->n_refs; i++)
		if (c->ref[i].kind == kind && c->ref[i].id == id)
			return i;
	if (i == CODE_MAX_REFS) {
		j->too_many_refs = true;
		return 0;
	}
	c->ref[c->n_refs++] = (struct code_ref){kind, id};
	return i;
}

static void emit_map(struct join *j, uint8_t reg, uint32_t map_id)
{
	emit(j, (struct bpf_insn){BPF_LD | BPF_IMM | BPF_DW, reg, BPF_PSEUDO_MAP_FD, 0,
				  (int32_t)ref_map(j, CODE_REF_MAP, map_id)});
	emit(j, (struct bpf_insn){0});
}

/* Copies instructions [from, end) of a part, references renumbered. Calls are mended once everything has its place. */
static void copy_insns(struct join *j, uint32_t part, uint32_t from, uint32_t end)
{
	const struct code *c = j->in->part[part].code;
	uint32_t i;

	for (i = from; i < end; i++) {
		struct bpf_insn insn = c->insns[i];

		if (code_is_map(&insn))
			insn.imm = (int32_t)ref_map(j, CODE_REF_MAP, c->ref[insn.imm].id);
		else if (code_is_module_call(&insn))
			insn.off = (int16_t)(1 + ref_map(j, CODE_REF_BTF, c->ref[insn.off - 1].id));
		emit(j, insn);
		if (insn.code == (BPF_LD | BPF_IMM | BPF_DW) && i + 1 < end)
			emit(j, c->insns[++i]);
	}
}

/* Between moved pieces of one part, calls must follow: main sits at p->main_at, the rest at p->rest_at. */
static void mend_calls(struct join *j, uint32_t part)
{
	const struct code *c = j->in->part[part].code;
	const struct piece *p = &j->piece[part];
	uint32_t i;

	for (i = 0; i < c->n_insns; i++) {
		if (is_call(&c->insns[i]) || is_func_ref(&c->insns[i])) {
			int64_t to = (int64_t)i + 1 + c->insns[i].imm;
			uint32_t now = piece_place(p, i);

			if (to >= 0 && to < c->n_insns)
				at(j, now)->imm = (int32_t)((int64_t)piece_place(p, (uint32_t)to) - now - 1);
		}
		if (c->insns[i].code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
	}
}

/* w0 is a verdict: fall through to the next member if it is in the set, otherwise leave as member `part`. */
static void emit_decision(struct join *j, uint32_t part, uint32_t go_on, bool last)
{
	uint32_t jumps[XDP_VERDICTS], n = 0, v;

	for (v = 0; v < XDP_VERDICTS && !last; v++) {
		if (!(go_on & 1u << v))
			continue;
		jumps[n++] = here(j);
		emit(j, JMP32I(BPF_JEQ, 0, (int32_t)v, 0));
	}
	if (!n && !last) { /* the kernel refuses code that no jump leads to: one that is never taken will do */
		emit(j, MOVI(1, 1));
		jumps[n++] = here(j);
		emit(j, JEQ0(1, 0));
	}
	if (j->in->counts_map_id)
		emit(j, MOVI(7, (int32_t)(part * JOIN_COUNTS)));
	j->leave_jump[j->n_leave_jumps++] = here(j);
	emit(j, JA(0));
	while (n-- > 0)
		if (!j->insns.failed)
			at(j, jumps[n])->off = (int16_t)(here(j) - jumps[n] - 1);
}

static void emit_inlined(struct join *j, uint32_t part)
{
	struct piece *p = &j->piece[part];
	uint32_t i, end;

	p->main_at = here(j);
	copy_insns(j, part, 0, p->main_len);
	end = here(j);
	for (i = p->main_at; i < end && !j->insns.failed; i++) {
		if (at(j, i)->code == (BPF_JMP | BPF_EXIT))
			*at(j, i) = JA((int16_t)(end - i - 1));
		else if (at(j, i)->code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
	}
}

static void emit_leave(struct join *j)
{
	const int16_t key_off = -8; /* the members are done with their stack */
	uint32_t i, jump;

	for (i = 0; i < j->n_leave_jumps && !j->insns.failed; i++)
		at(j, j->leave_jump[i])->off = (int16_t)(here(j) - j->leave_jump[i] - 1);
	if (j->in->counts_map_id) {
		emit(j, MOV(6, 0));
		emit(j, MOV32(1, 0));
		emit(j, JMP32I(BPF_JLT, 1, XDP_VERDICTS, 1));
		emit(j, MOVI(1, XDP_VERDICTS));
		emit(j, ADD32(1, 7));
		emit(j, STX32(10, 1, key_off));
		emit(j, MOV(2, 10));
		emit(j, ADDI(2, key_off));
		emit_map(j, 1, j->in->counts_map_id);
		emit(j, HELPER(BPF_FUNC_map_lookup_elem));
		jump = here(j);
		emit(j, JEQ0(0, 0));
		emit(j, LDX(1, 0, 0));
		emit(j, ADDI(1, 1));
		emit(j, STX(0, 1, 0));
		if (!j->insns.failed)
			at(j, jump)->off = (int16_t)(here(j) - jump - 1);
		emit(j, MOV(0, 6));
	}
	emit(j, EXIT);
}

/* The dispatcher and what is inlined in it. */
static void emit_main(struct join *j)
{
	const struct join_input *in = j->in;
	int depth = 0, ctx_off, d;
	uint32_t i;

	for (i = 0; i < in->n_parts; i++) {
		if (!in->part[i].inlined)
			continue;
		d = stack_depth(in->part[i].code, j->piece[i].main_len);
		depth = d > depth ? d : depth;
	}
	ctx_off = -depth - 8;
	if (in->n_parts == 0) { /* nothing but observers: the last one's verdict is the chain's */
		for (i = 0; i < in->n_observers; i++) {
			if (i == 0 && in->n_observers > 1)
				emit(j, STX(10, 1, (int16_t)ctx_off));
			if (i > 0)
				emit(j, LDX(1, 10, (int16_t)ctx_off));
			if (i + 1 < in->n_observers) {
				j->observer_call[i] = here(j);
				emit(j, CALL);
				continue;
			}
			emit_map(j, 2, in->observer_map_id[i]);
			emit(j, MOVI(3, 0));
			emit(j, HELPER(BPF_FUNC_tail_call));
		}
		emit(j, MOVI(0, XDP_PASS));
		emit(j, EXIT);
		return;
	}
	if (keeps_ctx(in))
		emit(j, STX(10, 1, (int16_t)ctx_off));
	for (i = 0; i < in->n_observers; i++) {
		j->observer_call[i] = here(j);
		emit(j, CALL);
		emit(j, LDX(1, 10, (int16_t)ctx_off));
	}
	for (i = 0; i < in->n_parts; i++) {
		if (i > 0)
			emit(j, LDX(1, 10, (int16_t)ctx_off));
		if (in->part[i].inlined) {
			emit_inlined(j, i);
		} else {
			j->part_call[i] = here(j);
			emit(j, CALL);
		}
		emit_decision(j, i, in->part[i].go_on, i + 1 == in->n_parts);
	}
	emit_leave(j);
}

static void emit_observers(struct join *j)
{
	uint32_t i, n = j->in->n_parts ? j->in->n_observers : j->in->n_observers ? j->in->n_observers - 1 : 0;

	for (i = 0; i < n; i++) {
		j->observer_at[i] = here(j);
		if (!j->insns.failed)
			at(j, j->observer_call[i])->imm = (int32_t)(here(j) - j->observer_call[i] - 1);
		emit_map(j, 2, j->in->observer_map_id[i]);
		emit(j, MOVI(3, 0));
		emit(j, HELPER(BPF_FUNC_tail_call));
		emit(j, MOVI(0, XDP_PASS));
		emit(j, EXIT);
	}
	j->n_observer_funcs = n;
}

static void emit_rest(struct join *j)
{
	uint32_t i;

	for (i = 0; i < j->in->n_parts; i++) {
		struct piece *p = &j->piece[i];
		const struct code *c = j->in->part[i].code;

		if (!j->in->part[i].inlined) {
			p->main_at = here(j);
			if (!j->insns.failed)
				at(j, j->part_call[i])->imm = (int32_t)(here(j) - j->part_call[i] - 1);
			copy_insns(j, i, 0, p->main_len);
		}
		p->rest_at = here(j);
		copy_insns(j, i, p->main_len, c->n_insns);
		if (!j->insns.failed)
			mend_calls(j, i);
	}
}

/* The kernel asks one question of a licence: may it use GPL-only helpers? All parts must agree to yes. */
static void choose_license(struct join *j)
{
	static const char *const compatible[] = {"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL",
						 "Dual MIT/GPL", "Dual MPL/GPL"};
	const char *take = "GPL";
	uint32_t i, k;

	for (i = 0; i < j->in->n_parts; i++) {
		for (k = 0; k < 6; k++)
			if (!strcmp(compatible[k], j->in->part[i].code->license))
				break;
		if (k == 6)
			take = j->in->part[i].code->license;
	}
	snprintf(j->out->license, sizeof(j->out->license), "%s", take);
}

static uint32_t count_maps(const struct code *c)
{
	uint32_t i, n = 0;

	for (i = 0; i < c->n_refs; i++)
		n += c->ref[i].kind == CODE_REF_MAP;
	return n;
}

int join_codes(struct join_input *in, struct code **code, struct sluice_err *err)
{
	struct join *j = calloc(1, sizeof(*j));
	uint32_t i;
	int e = 0;

	*code = NULL;
	if (!j || !(j->out = calloc(1, sizeof(*j->out)))) {
		free(j);
		return err_nomem(err);
	}
	j->in = in;
	j->out->frags = in->n_parts || in->frags_if_empty;
	for (i = 0; i < in->n_parts; i++) {
		j->piece[i].main_len = main_end(in->part[i].code);
		in->part[i].inlined = in->may_inline && can_inline(in->part[i].code, j->piece[i].main_len, keeps_ctx(in) ? 8 : 0);
		j->out->frags &= in->part[i].code->frags;
	}
	keep_stack(j);
	choose_license(j);
	emit_main(j);
	j->main_len = here(j);
	emit_observers(j);
	emit_rest(j);
	j->out->insns = (struct bpf_insn *)j->insns.data;
	j->out->n_insns = here(j);
	if (j->insns.failed)
		e = err_nomem(err);
	else if (j->too_many_refs || count_maps(j->out) > JOIN_MAX_MAPS)
		e = err_set(err, -ENOSPC, "the chain's programs together use more than %d maps, the kernel's limit for one program; "
			    "share maps between them (--map), or use fewer programs", JOIN_MAX_MAPS - 1);
	else if (j->out->n_insns > CODE_MAX_INSNS || j->main_len > 32000)
		e = err_set(err, in->may_inline ? -E2BIG : -ENOSPC, "the chain would have %u instructions", j->out->n_insns);
	if (!e)
		e = join_btf(j, err);
	if (e)
		code_free(j->out);
	else
		*code = j->out;
	free(j);
	return e;
}
