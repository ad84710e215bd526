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
static uint32_t registers_before(const struct bpf_insn *i, uint32_t live)
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

/* What matters: registers, and bytes of the frame, a bit each. */
struct live {
	uint64_t frame[FRAME_BYTES / 64];
	uint32_t regs;
};

static void live_add(struct live *to, const struct live *from)
{
	uint32_t k;

	to->regs |= from->regs;
	for (k = 0; k < FRAME_BYTES / 64; k++)
		to->frame[k] |= from->frame[k];
}

static struct live live_behind(const struct fold *f, uint32_t pc, const struct live *live)
{
	int64_t to = isa_target(f->insns, pc);
	struct live of = {.regs = 0};
	bool next, target;

	fold_goes(f, pc, &next, &target);
	if (next)
		of = live[fold_behind(f, pc)];
	if (target && to < f->n && !fold_names(&f->insns[pc]))
		live_add(&of, &live[to]);
	return of;
}

/* Loads from the frame and stores to it that can be told apart by offset and size. */
static bool is_of_frame(const struct bpf_insn *i, uint8_t reg)
{
	return reg == BPF_REG_10 && BPF_MODE(i->code) != BPF_ATOMIC && i->off < 0 && i->off >= -FRAME_BYTES;
}

static bool is_store(const struct bpf_insn *i)
{
	return BPF_CLASS(i->code) == BPF_ST || BPF_CLASS(i->code) == BPF_STX;
}

static bool any_bytes(const struct live *l, const struct bpf_insn *i)
{
	uint32_t at = (uint32_t)(i->off + FRAME_BYTES), k;

	for (k = at; k < at + fold_size(i) && k < FRAME_BYTES; k++)
		if (l->frame[k / 64] >> k % 64 & 1)
			return true;
	return false;
}

static void set_bytes(struct live *l, const struct bpf_insn *i, bool on)
{
	uint32_t at = (uint32_t)(i->off + FRAME_BYTES), k;

	for (k = at; k < at + fold_size(i) && k < FRAME_BYTES; k++) {
		l->frame[k / 64] &= ~(1ull << k % 64);
		l->frame[k / 64] |= (uint64_t)on << k % 64;
	}
}

/* A store to bytes of the frame that nobody reads. */
static bool is_for_nobody(const struct bpf_insn *i, const struct live *behind)
{
	return is_store(i) && is_of_frame(i, i->dst_reg) && !any_bytes(behind, i);
}

static void live_before(const struct bpf_insn *i, struct live *l)
{
	if (is_for_nobody(i, l))
		return;
	if (i->code == (BPF_JMP | BPF_EXIT))
		memset(l->frame, 0, sizeof(l->frame));
	else if (is_store(i) && is_of_frame(i, i->dst_reg))
		set_bytes(l, i, false);
	else if (BPF_CLASS(i->code) == BPF_LDX && is_of_frame(i, i->src_reg) &&
		 (l->regs >> i->dst_reg & 1 || !is_pure(i)))
		set_bytes(l, i, true);
	else if (BPF_CLASS(i->code) == BPF_STX && i->dst_reg == BPF_REG_10) /* an atomic reads, too */
		memset(l->frame, 0xff, sizeof(l->frame));
	l->regs = registers_before(i, l->regs);
}

/* By instruction: does its function make registers of r10, by which others could read its frame? NULL: out of memory */
static uint8_t *shown_frames(const struct fold *f)
{
	uint8_t *starts = calloc(f->n + 1ul, 1), *shown = calloc(f->n + 1ul, 1);
	uint32_t pc, of = 0, end;
	int64_t target;

	for (pc = 0; starts && shown && pc < f->n; pc = fold_behind(f, pc)) {
		target = fold_names(&f->insns[pc]) ? isa_target(f->insns, pc) : -1;
		if (target >= 0 && target < f->n)
			starts[target] = 1;
	}
	for (pc = 0; starts && shown && pc < f->n; pc = fold_behind(f, pc)) {
		of = starts[pc] ? pc : of;
		shown[of] |= frame_shows(&f->insns[pc]);
	}
	for (pc = 0; starts && shown && pc < f->n; pc = end)
		for (of = pc, end = pc + 1; end < f->n && !starts[end]; end++)
			shown[end] = shown[of];
	free(starts);
	if (!starts) {
		free(shown);
		shown = NULL;
	}
	return shown;
}

static bool is_unread(const struct fold *f, uint32_t pc, const struct live *live, bool shown)
{
	const struct bpf_insn *i = &f->insns[pc];
	struct live behind = live_behind(f, pc, live);

	return (is_pure(i) && !(behind.regs >> i->dst_reg & 1)) || (!shown && is_for_nobody(i, &behind));
}

/* What nobody reads is not computed (Kildall, as above, backward). */
static int drop_unread(struct fold *f, uint32_t *count, struct sluice_err *err)
{
	struct live *live = calloc(f->n + 2ul, sizeof(*live)), now;
	uint8_t *shown = shown_frames(f);
	bool changed = live && shown;
	uint32_t pc;

	while (changed)
		for (changed = false, pc = f->n; pc-- > 0;) {
			if (!fold_is_reached(f, pc))
				continue;
			now = live_behind(f, pc, live);
			if (shown[pc])
				memset(now.frame, 0xff, sizeof(now.frame));
			live_before(&f->insns[pc], &now);
			changed |= memcmp(&now, &live[pc], sizeof(now)) != 0;
			live[pc] = now;
		}
	for (pc = 0; live && shown && pc < f->n; pc = fold_behind(f, pc)) {
		if (!fold_is_reached(f, pc) || !is_unread(f, pc, live, shown[pc]))
			continue;
		if (isa_is_wide(&f->insns[pc]))
			f->insns[pc + 1] = isa_make(ISA_GOTO);
		f->insns[pc] = isa_make(ISA_GOTO);
		++*count;
	}
	free(live);
	free(shown);
	return live && shown ? 0 : err_nomem(err);
}

int fold_trim(struct fold *f, uint32_t *count, struct sluice_err *err)
{
	int e = drop_jumps(f, count, err);

	return e ?: drop_unread(f, count, err);
}
