/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loads of constants become the constants, lookups of a map's only value its address, and what is computed of constants alone goes. A
 * program's `const volatile` variables are settled before it is loaded; the kernel's verifier takes them for what they are, and
 * removes what is behind branches by them, but leaves the loads, what is computed of them, and branches that skip what stays. Of memory that
 * others could write to, and never do, it knows nothing.
 */
#ifndef ISA_FOLD_H
#define ISA_FOLD_H

#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>
#include <sluice/err.h>

/*
 * Memory of a map of one value: what `rX = map_value[imm]+off` with this imm points into. The first len bytes of it never change while
 * the program lives. A lookup with a constant key of 0 becomes the value's address.
 */
struct isa_memory {
	int32_t imm;
	const void *bytes; /* NULL: none that never change */
	size_t len;
};

/*
 * isa_fold() rewrites loads whose address is known on every way to them, and what is computed of known numbers, where an immediate can
 * hold the value; and lookups of maps in v whose key is a constant 0, with the map loaded shortly before the call. Jumps that are
 * always taken no longer ask; those that never are, and what writes registers or stores to the frame what nobody reads, become
 * `goto +0`, which the kernel takes out. The number of instructions stays, and every instruction can still be reached for all that
 * who follows jumps alone can tell: in each function a jump (more, where that is far away) asks as before, and of what is behind it
 * and never runs some becomes jumps to the rest.
 *
 * in:      insns  passes isa_check(); relocated
 *          v      maps of type array with one entry, also if it is not constant
 * out:     *n_folded  how often one was rewritten; may be NULL
 * errors:  -ENOMEM; what is changed until then means the same
 * cost:    a few passes over the program; 200 bytes an instruction and 1 kB for each place that is jumped to meanwhile
 */
int isa_fold(struct bpf_insn *insns, uint32_t n, const struct isa_memory *v, size_t n_v, uint32_t *n_folded,
	     struct sluice_err *err);

#endif
