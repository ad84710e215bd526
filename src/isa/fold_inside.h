/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What fold.c, follow.c and trim.c share.
 *
 *     follow.c   what registers hold, everywhere; frame.c what they were spilled to
 *     fold.c     what is known becomes a number
 *     trim.c     what nobody needs any more goes
 */
#ifndef ISA_FOLD_INSIDE_H
#define ISA_FOLD_INSIDE_H

#include "isa/fold.h"
#include "isa/isa.h"

/* What a register holds before an instruction. */
enum holds {
	UNSEEN, /* no way leads here, as far as is known */
	ANYTHING,
	NUMBER,	 /* this one */
	POINTER, /* and above: into memory number holds - POINTER, that far */
};
struct value {
	uint64_t v;
	uint32_t holds;
};

#define CALLER_SAVED 6 /* r0 to r5 */

#define FRAME_BYTES 512
#define FRAME_WORDS (FRAME_BYTES / 4)
struct frame_word {
	uint32_t v;
	uint32_t holds : 31; /* enum holds */
	uint32_t second : 1; /* of a pointer's words the one at the higher address */
};
struct frame {
	struct frame_word word[FRAME_WORDS];
	bool is_seen, is_shown; /* is_shown: a register was made of r10 */
};

struct fold {
	struct bpf_insn *insns;
	uint32_t n;
	const struct isa_memory *v;
	size_t n_v;
	struct value (*regs)[ISA_REGS];
	uint8_t *is_target; /* somebody jumps here */
	struct value *loaded; /* by load from the frame: what it gives */
	struct frame *frames; /* where ways meet: */
	uint32_t *frame_of;   /* which of frames, 0: nowhere, it is that behind the instruction before */
	bool changed;
};

static inline struct value fold_number(uint64_t v)
{
	return (struct value){v, NUMBER};
}

static inline bool fold_is_reached(const struct fold *f, uint32_t pc)
{
	return f->regs[pc][BPF_REG_10].holds != UNSEEN;
}

/* The instruction behind this one. */
static inline uint32_t fold_behind(const struct fold *f, uint32_t pc)
{
	return pc + (isa_is_wide(&f->insns[pc]) ? 2 : 1);
}

/* fold_follow() finds out regs, is_target and loaded. -ENOMEM */
int fold_follow(struct fold *f, struct sluice_err *err);
void fold_free(struct fold *f);
/* fold_written() is what the instruction at pc writes to its register, if it does. */
struct value fold_written(const struct fold *f, uint32_t pc, const struct value *regs);
/* fold_constant() is what `size` bytes at a pointer and an offset are; false: not known. */
bool fold_constant(const struct fold *f, struct value pointer, int32_t off, uint32_t size, uint64_t *v);
/* fold_is_load(): from memory, without a sign; fold_size(): bytes of it */
bool fold_is_load(const struct bpf_insn *i);
uint32_t fold_size(const struct bpf_insn *i);
/* fold_fits(): can an immediate hold a number? fold_is_decided(): is it foreseen where a conditional jump goes? */
bool fold_fits(uint64_t v);
bool fold_is_decided(const struct bpf_insn *i, const struct value *regs, bool *goes);
/* fold_is_end(): nothing follows it but where it jumps to, if anywhere. fold_names(): what it names is a function. */
bool fold_is_end(const struct bpf_insn *i);
bool fold_names(const struct bpf_insn *i);
/* fold_goes() says whether the instruction behind follows, and whether the one that it jumps to or names. */
void fold_goes(const struct fold *f, uint32_t pc, bool *next, bool *target);

/* frame_load() is what is read from a frame; frame_step() what an instruction does to it, by the registers before it. */
struct value frame_load(const struct frame *f, const struct bpf_insn *i);
void frame_step(struct frame *f, const struct bpf_insn *i, const struct value *regs);
/* frame_shows(): does an instruction make a register, or memory, of r10, by which others could reach the frame? */
bool frame_shows(const struct bpf_insn *i);
/* frame_enter(): a function begins. frame_meet(): another way leads here; has anything changed by that? */
void frame_enter(struct frame *f);
bool frame_meet(struct frame *to, const struct frame *from);

/* fold_trim() has decided jumps ask no longer, and drops what nobody reads; how many is added to *count. -ENOMEM */
int fold_trim(struct fold *f, uint32_t *count, struct sluice_err *err);

#endif
