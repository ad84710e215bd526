/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What can be known about a program before it is compiled, in one pass over its instructions: which accesses
 * one check can cover, where registers probably point to, which calls look up a map that is known.
 *
 * Two kinds of knowledge are kept apart. What a register *probably* points to is carried along from branch to
 * branch without proof; it only decides which region a check asks first. What a register *holds* (a map's
 * address, a distance from the frame pointer) is proved, within instructions that control cannot enter but at
 * their start.
 */
#ifndef VM_EXEC_PLAN_H
#define VM_EXEC_PLAN_H

#include "vm/exec.h"

#define PLAN_VALUES VM_VALUES /* lookups whose result's place is remembered */
#define PLAN_REACH 64	      /* instructions that one check may cover */

enum plan_kind { PLAN_ANY, PLAN_STACK, PLAN_CTX, PLAN_PACKET, PLAN_VALUE /* and the lookup's number */ };

/* Accesses through one register that does not change meanwhile: one check of [base + min, base + max) covers
 * them. */
struct plan_group {
	uint32_t head, end; /* first and last of them */
	int32_t min, max;
	uint8_t base, kind; /* enum plan_kind */
	uint8_t n;
	bool write; /* one of them is a store */
};

struct plan_lookup {
	struct vm_lookup how;
	uint8_t value;	/* its number among VM_VALUES; VM_VALUES: none */
	bool key_known; /* the key lies in the own frame */
};

struct plan {
	const struct vm_prog *prog;
	const struct vm_prog_spec *spec;
	uint32_t *note;	    /* per instruction: PLAN_COVERED, or 1 + number of the group or lookup that starts
			       here */
	uint8_t *leader;    /* per instruction: jumps lead here */
	uint64_t *entering; /* per instruction that a jump forward leads to: kinds of registers there */
	struct plan_group *groups;
	struct plan_lookup *lookups;
	uint32_t n_groups, n_lookups, n_values;
	struct {
		uint32_t len;
		bool writable;
	} value[PLAN_VALUES];
};
#define PLAN_COVERED UINT32_MAX

/* plan_make() finds all that out. -ENOMEM; plan_free() in any case. */
int plan_make(struct plan *plan, const struct vm_prog *prog, const struct vm_prog_spec *spec);
void plan_free(struct plan *plan);

/* plan_access() is the register through which an instruction touches memory and how many bytes; false: it
 * does not. */
bool plan_access(const struct bpf_insn *insn, uint8_t *base, uint32_t *bytes, bool *write);
/* plan_own() says whether such an access stays in the own frame by its numbers alone. */
static inline bool plan_own(const struct vm_prog *prog, uint8_t base, int32_t off, uint32_t bytes)
{
	return base == 10 && off >= -(int32_t)prog->stack_bytes && off <= -(int32_t)bytes;
}

/* plan_stack_bytes() is how far down a program reaches into its frame as far as its constants tell. */
uint32_t plan_stack_bytes(const struct bpf_insn *insns, uint32_t n);

#endif
