/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The eBPF instruction set: what an instruction is called, which fields it uses, how it is written,
 * whether a sequence of them is sound. All of it derived from isa.def. Instructions are the
 * kernel's struct bpf_insn.
 */
#ifndef ISA_ISA_H
#define ISA_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>
#include <sluice/err.h>

#define ISA_MAX_INSNS 1000000  /* the kernel's limit for privileged programs */
#define ISA_MAX_FUNCS 256      /* as in the kernel */
#define ISA_LOAD_ACQUIRE 0x100 /* immediate of an atomic instruction; newer headers: BPF_LOAD_ACQ */
#define ISA_REGS 11	       /* r0 to r10 */

enum isa_id {
#define ISA_OP(name, code, variant, form, text) ISA_##name,
#include "isa/isa.def"
	ISA_N_OPS,
	ISA_UNKNOWN = ISA_N_OPS,
};

enum isa_form {
#define ISA_FORM(name, fields) ISA_FORM_##name,
#include "isa/isa.def"
	ISA_N_FORMS,
};

/* Which fields of an instruction mean something. */
enum isa_field {
	ISA_R = 1,	   /* destination register, read */
	ISA_W = 2,	   /* destination register, written */
	ISA_S = 4,	   /* source register, read */
	ISA_WS = 8,	   /* source register, written */
	ISA_O = 16,	   /* offset: of memory */
	ISA_J = 32,	   /* offset: of a jump */
	ISA_I = 64,	   /* immediate: a value */
	ISA_L = 128,	   /* immediate: of a jump */
	ISA_WIDE = 256,	   /* takes two slots */
	ISA_ANY_OFF = 512, /* offset: an index */
};

/* How the variants of one opcode byte are told apart. */
enum isa_by { ISA_BY_NOTHING, ISA_BY_OFF, ISA_BY_IMM, ISA_BY_SRC };

struct isa_op {
	const char *name, *text;
	uint8_t code;
	uint8_t form; /* enum isa_form */
	int16_t variant;
	uint16_t fields; /* enum isa_field */
};

enum isa_by isa_by(uint8_t code);

/* isa_op() describes an id below ISA_N_OPS. */
const struct isa_op *isa_op(enum isa_id id);
/* isa_decode() finds out which one this is; ISA_UNKNOWN if none. Looks at code and variant, at no
 * other field. */
enum isa_id isa_decode(const struct bpf_insn *insn);
/* isa_make() is the other direction: opcode and variant set, the rest zero. */
struct bpf_insn isa_make(enum isa_id id);

static inline bool isa_is_wide(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_IMM | BPF_DW);
}

/* isa_target() is where the instruction at pc jumps, calls or points to (no range check); -1 if it
 * does not. */
int64_t isa_target(const struct bpf_insn *insns, uint32_t pc);

/* Where the functions of a program start, ascending; the first is 0. */
struct isa_funcs {
	uint32_t start[ISA_MAX_FUNCS];
	uint32_t n;
};

/*
 * isa_check() says whether instructions are sound as a sequence, before anybody looks at what they
 * do.
 *
 * checked: opcodes known; register numbers; r10 not written; fields that mean nothing are zero; no
 * constant division by zero, no shift beyond the width; jumps and calls land in the program, on the
 * first half of an instruction, jumps within their function; functions end in exit or a jump out:
 * *funcs   may be NULL errors:  -EINVAL  err: "instruction 7, (0f) r1 += r2: ...", -E2BIG too many
 * instructions or functions, -EOPNOTSUPP callx, loads from socket buffers; -ENOMEM
 */
int isa_check(const struct bpf_insn *insns, uint32_t n, struct isa_funcs *funcs, struct sluice_err *err);
/* isa_check_rfc() is the same by RFC 9669 alone, which lets through what Linux refuses: constant division
 * by zero (0, or the dividend) and constant shifts beyond the width (masked). */
int isa_check_rfc(const struct bpf_insn *insns, uint32_t n, struct isa_funcs *funcs, struct sluice_err *err);

/*
 * isa_print() writes the instruction at insns (two slots if it is wide and left > 1) as the
 * kernel's log does:
 * "(61) r2 = *(u32 *)(r1 +4)". Returns to; size 96 holds any.
 */
char *isa_print(const struct bpf_insn *insns, uint32_t left, char *to, size_t size);

/*
 * isa_parse() reads a program in the same notation, one instruction a line; "(61)" and a number
 * with colon in front
 * ("7:", "L1:") are allowed, "; ..." and "# ..." are comments. "NAME:" makes a label, and "goto
 * NAME", "call NAME", "subprog[NAME]" use one.
 *
 * out:     *insns, *n   the caller frees insns
 * errors:  -EINVAL      err: "line 3: ..."
 */
int isa_parse(const char *text, struct bpf_insn **insns, uint32_t *n, struct sluice_err *err);

/* isa_helper_name() names a helper ("bpf_map_lookup_elem"), NULL if this version does not know it. */
const char *isa_helper_name(int32_t number);
/* isa_helper_number() is the other direction; -1 if unknown. */
int32_t isa_helper_number(const char *name, size_t len);

#endif
