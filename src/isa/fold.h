/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loads of constants become the constants, lookups of a map's only value its address. A program's `const volatile` variables are settled before it is loaded; the
 * kernel's verifier takes them for what they are, and removes branches by them, but leaves the loads: an address of ten
 * bytes and a memory access each.
 */
#ifndef ISA_FOLD_H
#define ISA_FOLD_H

#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>
#include <sluice/err.h>

/*
 * Memory of a map of one value: what `rX = map_value[imm]+off` with this imm points into. Constants never change; of
 * other maps bytes is NULL, and a lookup with a constant key of 0 becomes the value's address.
 */
struct isa_memory {
	int32_t imm;
	const void *bytes;
	size_t len;
};

/*
 * isa_fold() rewrites the loads whose address is known on every way to them, and whose value an immediate can hold; and
 * lookups of maps in v whose key is a constant 0, with the map loaded shortly before the call. The number of instructions
 * stays, and so does what jumps where.
 *
 * in:      insns  passes isa_check(); relocated
 *          v      maps of type array with one entry, also if it is not constant
 * out:     *n_folded  loads and lookups that were rewritten; may be NULL
 * errors:  -ENOMEM; nothing has changed then
 * cost:    a few passes over the program; 88 bytes an instruction meanwhile
 */
int isa_fold(struct bpf_insn *insns, uint32_t n, const struct isa_memory *v, size_t n_v, uint32_t *n_folded,
	     struct sluice_err *err);

#endif
