/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Builds programs: instructions one after another, jumps to labels that come later. After a failure
 * the builder stays failed and ignores what follows: ask isa_build_take() once, at the end.
 *
 *     struct isa_build b = {0};
 *     uint32_t out = isa_label(&b);
 *     isa_put(&b, ISA_MOV64_K, 0, 0, 0, XDP_PASS);
 *     isa_put_jump(&b, ISA_JEQ64_K, 1, 0, 0, out);
 *     isa_put(&b, ISA_MOV64_K, 0, 0, 0, XDP_DROP);
 *     isa_here(&b, out);
 *     isa_put(&b, ISA_EXIT, 0, 0, 0, 0);
 */
#ifndef ISA_BUILD_H
#define ISA_BUILD_H

#include "base/buf.h"
#include "isa/isa.h"

struct isa_build {
	struct buf insns, labels, uses;
};

/* The number of the next instruction. */
static inline uint32_t isa_build_pc(const struct isa_build *b)
{
	return (uint32_t)(b->insns.len / sizeof(struct bpf_insn));
}

/* isa_put() appends one; src, off or imm are ignored where they choose the variant. */
void isa_put(struct isa_build *b, enum isa_id id, uint8_t dst, uint8_t src, int16_t off, int32_t imm);
/* A 64-bit immediate (ISA_LD64*: low is the first half's). */
void isa_put64(struct isa_build *b, enum isa_id id, uint8_t dst, uint64_t value);
/* isa_label() makes a label; isa_here() says that it is the next instruction. */
uint32_t isa_label(struct isa_build *b);
void isa_here(struct isa_build *b, uint32_t label);
/* A jump, call or function address to a label. A GOTO becomes a long jump if the label turns out to
 * be far away. */
void isa_put_jump(struct isa_build *b, enum isa_id id, uint8_t dst, uint8_t src, int32_t imm, uint32_t label);

/*
 * isa_build_take() fills the labels in and hands the program over; the builder is empty then, also
 * on failure. errors: -ERANGE a label is too far away for a conditional jump, -EINVAL a label was
 * never placed, -ENOMEM
 */
int isa_build_take(struct isa_build *b, struct bpf_insn **insns, uint32_t *n, struct sluice_err *err);
void isa_build_free(struct isa_build *b);

#endif
