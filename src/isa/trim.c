// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Jumps that are decided, and what nobody reads any more. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "isa/fold_inside.h"

#define ARGUMENTS 0x3eu /* r1 to r5 as bits */

static bool mark(uint8_t *seen, uint32_t pc)
{
	bool is_new = !seen[pc];

	seen[pc] = 1;
	return is_new;
}

/* Which instructions the kernel finds ways to, whatever is decided: it refuses a program that has others. */
static bool reach(const struct fold *f, uint8_t *seen)
{
	bool changed = true, all = true;
	uint32_t pc, to;
	int64_t target;

	memset(seen, 0, f->n + 1ul);
	seen[0] = 1;
	while (changed)
		for (changed = false, pc = 0; pc < f->n; pc = fold_behind(f, pc)) {
			if (!seen[pc])
				continue;
			target = isa_target(f->insns, pc);
			to = fold_behind(f, pc);
			if (target >= 0 && target < f->n)
				changed |= mark(seen, (uint32_t)target);
			if (to < f->n && !fold_is_end(&f->insns[pc]))
				changed |= mark(seen, to);
		}
	for (pc = 0; pc < f->n; pc = fold_behind(f, pc))
		all = all && seen[pc];
	return all;
}

/* Jumps that are never taken go, unless they are the only way to where they lead. */
static int drop_jumps(struct fold *f, uint32_t *count, struct sluice_err *err)
{
	struct bpf_insn *was = calloc(f->n + 1ul, sizeof(*was));
	uint8_t *seen = calloc(f->n + 1ul, 1);
	int e = was && seen ? 0 : err_nomem(err);
	int64_t target;
	uint32_t pc;
	bool goes, back;

	for (pc = 0; !e && pc < f->n; pc = fold_behind(f, pc))
		if (fold_is_reached(f, pc) && fold_is_decided(&f->insns[pc], f->regs[pc], &goes) && !goes) {
			was[pc] = f->insns[pc];
			f->insns[pc] = isa_make(ISA_GOTO);
			++*count;
		}
	for (back = true; !e && back && !reach(f, seen);)
		for (back = false, pc = 0; pc < f->n; pc = fold_behind(f, pc)) {
			target = was[pc].code ? (int64_t)pc + 1 + was[pc].off : -1;
			if (target < 0 || target >= f->n || seen[target])
				continue;
			f->insns[pc] = was[pc];
			was[pc].code = 0;
			--*count;
			back = true;
		}
	free(was);
	free(seen);
	return e;
}

/* Nothing comes of it but what it writes to its register. */
static bool is_pure(const struct bpf_insn *i)
{
	enum isa_id id = isa_decode(i);
	uint8_t class = BPF_CLASS(i->code);

	return id != ISA_UNKNOWN &&
	       (class == BPF_ALU || class == BPF_ALU64 || isa_op(id)->form == ISA_FORM_LOAD ||
		(isa_is_wide(i) && id != ISA_LD64_FUNC));
}

/* The registers that matter before an instruction, as bits, by those behind it. */
static uint32_t live_before(const struct bpf_insn *i, uint32_t live)
{
	enum isa_id id = isa_decode(i);
	uint16_t fields;

	if (id == ISA_UNKNOWN || isa_op(id)->form == ISA_FORM_REFUSED)
		return ~0u;
	fields = isa_op(id)->fields;
	if (i->code == (BPF_JMP | BPF_CALL))
		return (live & ~((1u << CALLER_SAVED) - 1)) | ARGUMENTS;
	if (i->code == (BPF_JMP | BPF_EXIT))
		return 1;
	if (is_pure(i) && !(live >> i->dst_reg & 1))
		return live;
	if (fields & ISA_W)
		live &= ~(1u << i->dst_reg);
	if (fields & ISA_R)
		live |= 1u << i->dst_reg;
	if (fields & ISA_S)
		live |= 1u << i->src_reg;
	/* compare and exchange has r0, too, without a field that says so */
	return BPF_CLASS(i->code) == BPF_STX && BPF_MODE(i->code) == BPF_ATOMIC ? live | 1 : live;
}

static uint32_t live_behind(const struct fold *f, uint32_t pc, const uint16_t *live)
{
	int64_t to = isa_target(f->insns, pc);
	bool next, target;
	uint32_t of = 0;

	fold_goes(f, pc, &next, &target);
	if (next)
		of = live[fold_behind(f, pc)];
	if (target && to < f->n && !fold_names(&f->insns[pc]))
		of |= live[to];
	return of;
}

/* What nobody reads is not computed (Kildall, as above, backward). */
static int drop_unread(struct fold *f, uint32_t *count, struct sluice_err *err)
{
	uint16_t *live = calloc(f->n + 2ul, sizeof(*live)), now;
	bool changed = true;
	uint32_t pc;

	if (!live)
		return err_nomem(err);
	while (changed)
		for (changed = false, pc = f->n; pc-- > 0;) {
			if (!fold_is_reached(f, pc))
				continue;
			now = (uint16_t)live_before(&f->insns[pc], live_behind(f, pc, live));
			changed |= now != live[pc];
			live[pc] = now;
		}
	for (pc = 0; pc < f->n; pc = fold_behind(f, pc)) {
		if (!fold_is_reached(f, pc) || !is_pure(&f->insns[pc]) ||
		    live_behind(f, pc, live) >> f->insns[pc].dst_reg & 1)
			continue;
		if (isa_is_wide(&f->insns[pc]))
			f->insns[pc + 1] = isa_make(ISA_GOTO);
		f->insns[pc] = isa_make(ISA_GOTO);
		++*count;
	}
	free(live);
	return 0;
}

int fold_trim(struct fold *f, uint32_t *count, struct sluice_err *err)
{
	int e = drop_jumps(f, count, err);

	return e ?: drop_unread(f, count, err);
}
