// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Jumps that are decided, and what nobody reads any more. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "isa/fold_inside.h"

#define ARGUMENTS 0x3eu /* r1 to r5 as bits */

/* Decides jumps, function by function. By instruction: */
struct straight {
	struct fold *f;
	struct bpf_insn *was; /* the program before */
	uint8_t *
		seen; /* the kernel finds a way to it, whatever is decided: it refuses a program with others */
	uint8_t *starts; /* a function begins here */
	uint32_t *lead;	 /* the jump that led here until it was decided, plus 1 */
	uint32_t *slots; /* those that never run, are found, and could be jumps instead */
	uint32_t n_slots;
	uint32_t *todo;
	uint32_t end; /* of the function */
};

/* Where functions begin: what calls and addresses name. */
static void mark_starts(const struct fold *f, uint8_t *starts)
{
	int64_t target;
	uint32_t pc;

	for (pc = 0; pc < f->n; pc = fold_behind(f, pc)) {
		target = fold_names(&f->insns[pc]) ? isa_target(f->insns, pc) : -1;
		if (target >= 0 && target < f->n)
			starts[target] = 1;
	}
}

/* What never runs and does nothing but go on to the next instruction. */
static bool is_slot(const struct straight *s, uint32_t pc)
{
	const struct bpf_insn *i = &s->f->insns[pc];

	return !fold_is_reached(s->f, pc) && pc + 1 < s->end && isa_decode(i) != ISA_UNKNOWN &&
	       !fold_is_end(i) && !fold_names(i) && isa_target(s->f->insns, pc) < 0;
}

/* Finds what can be reached from pc on. */
static void find(struct straight *s, uint32_t pc)
{
	const struct fold *f = s->f;
	uint32_t n = 0, next[2], k;
	const struct bpf_insn *i;
	int64_t target;

	s->seen[pc] = 1;
	for (s->todo[n++] = pc; n > 0;) {
		pc = s->todo[--n];
		i = &f->insns[pc];
		if (is_slot(s, pc))
			s->slots[s->n_slots++] = pc;
		target = fold_names(i) ? -1 : isa_target(f->insns, pc);
		next[0] = fold_is_end(i) ? s->end : fold_behind(f, pc);
		next[1] = target >= 0 && target < s->end ? (uint32_t)target : s->end;
		for (k = 0; k < 2; k++)
			if (next[k] < s->end && !s->seen[next[k]]) {
				s->seen[next[k]] = 1;
				s->todo[n++] = next[k];
			}
	}
}

/* Jumps that are always taken go without asking, those that never are go. */
static uint32_t decide(struct straight *s, uint32_t start)
{
	struct fold *f = s->f;
	uint32_t pc, count = 0;
	bool goes;

	for (pc = start; pc < s->end; pc = fold_behind(f, pc)) {
		struct bpf_insn *i = &f->insns[pc];
		int16_t off = i->off;

		if (!fold_is_reached(f, pc) || !fold_is_decided(i, f->regs[pc], &goes))
			continue;
		s->lead[goes ? pc + 1 : (uint32_t)isa_target(f->insns, pc)] = pc + 1;
		*i = isa_make(ISA_GOTO);
		i->off = goes ? off : 0;
		count++;
	}
	return count;
}

/*
 * A way to pc, which never runs and is found no more: from another place that never runs, or by the jump that led there as it was. So
 * all of a function that never runs hangs on one jump that still asks. false: there is none
 */
static bool lead_to(struct straight *s, uint32_t pc, uint32_t *count)
{
	struct fold *f = s->f;
	uint32_t at, k;
	int64_t off;

	for (k = s->n_slots; k-- > 0;) {
		at = s->slots[k];
		off = (int64_t)pc - at - 1;
		if (off < INT16_MIN || off > INT16_MAX)
			continue;
		s->slots[k] = s->slots[--s->n_slots];
		f->insns[at] = isa_make(ISA_JEQ64_K);
		f->insns[at].dst_reg = BPF_REG_10;
		f->insns[at].off = (int16_t)off;
		return true;
	}
	at = s->lead[pc];
	if (!at)
		return false;
	f->insns[at - 1] = s->was[at - 1];
	--*count;
	return true;
}

/* Leads to what is found no more; what leads there may come behind it. false: nothing leads to some of it */
static bool lead_to_all(struct straight *s, uint32_t start, uint32_t *count)
{
	bool more = true, all = false;
	uint32_t pc;

	while (more && !all)
		for (more = false, all = true, pc = start; pc < s->end; pc = fold_behind(s->f, pc)) {
			if (s->seen[pc])
				continue;
			if (lead_to(s, pc, count)) {
				find(s, pc);
				more = true;
			} else {
				all = false;
			}
		}
	return all;
}

/* The function that begins here: jumps that are decided. Where not all of it could be found any more, it stays as it was. */
static uint32_t straighten(struct straight *s, uint32_t start)
{
	struct fold *f = s->f;
	uint32_t count;

	s->n_slots = 0;
	count = decide(s, start);
	if (!count)
		return 0;
	find(s, start);
	if (lead_to_all(s, start, &count))
		return count;
	memcpy(f->insns + start, s->was + start, (s->end - start) * sizeof(*f->insns));
	return 0;
}

static int drop_jumps(struct fold *f, uint32_t *count, struct sluice_err *err)
{
	struct straight s = {
		.f = f,
		.was = malloc((f->n + 1ul) * sizeof(*s.was)),
		.seen = calloc(f->n + 1ul, 1),
		.starts = calloc(f->n + 1ul, 1),
		.lead = calloc(f->n + 1ul, sizeof(*s.lead)),
		.slots = calloc(f->n + 1ul, sizeof(*s.slots)),
		.todo = calloc(f->n + 1ul, sizeof(*s.todo)),
	};
	bool room = s.was && s.seen && s.starts && s.lead && s.slots && s.todo;
	uint32_t pc;

	if (room) {
		memcpy(s.was, f->insns, f->n * sizeof(*s.was));
		mark_starts(f, s.starts);
	}
	for (pc = 0; room && pc < f->n; pc = s.end) {
		for (s.end = pc + 1; s.end < f->n && !s.starts[s.end];)
			s.end++;
		*count += straighten(&s, pc);
	}
	free(s.was);
	free(s.seen);
	free(s.starts);
	free(s.lead);
	free(s.slots);
	free(s.todo);
	return room ? 0 : err_nomem(err);
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

/* By instruction: does what runs of its function make registers of r10, by which others could read its frame? NULL: out of memory */
static uint8_t *shown_frames(const struct fold *f)
{
	uint8_t *starts = calloc(f->n + 1ul, 1), *shown = calloc(f->n + 1ul, 1);
	uint32_t pc, of = 0, end;

	if (starts && shown)
		mark_starts(f, starts);
	for (pc = 0; starts && shown && pc < f->n; pc = fold_behind(f, pc)) {
		of = starts[pc] ? pc : of;
		shown[of] |= fold_is_reached(f, pc) && frame_shows(&f->insns[pc]);
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
