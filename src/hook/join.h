/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Joining programs: several codes in, one code out that runs them in order. Pure: nothing here calls the kernel.
 *
 *     observers   each a small function that tail-calls what sits in its prog array, if anything does
 *     member 1    inlined (its exits become jumps), or called as a function where it tail-calls itself
 *     go on?      the verdict is in the member's go-on set: next member; otherwise leave
 *     ...
 *     leave       count (who ended the chain, with what), return the verdict
 *
 * The context is kept in a stack slot below what inlined members use. The verifier judges the result as any other
 * program: a mistake here is a refused load, never a wrong packet.
 */
#ifndef HOOK_JOIN_H
#define HOOK_JOIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

#include "bpf/code.h"

#define JOIN_MAX_PARTS 64
#define JOIN_MAX_OBSERVERS 4
#define JOIN_MAX_MAPS 64 /* that instructions of one program may name (MAX_USED_MAPS in the kernel), counters included */
#define JOIN_COUNTS 8 /* counters per member: one per verdict (0..4), [5] any other value */

struct join_part {
	const struct code *code;
	const char *name; /* for the run configuration written into the BTF */
	uint32_t priority, go_on;
	bool inlined; /* out: how it was joined */
};

struct join_input {
	struct join_part *part;
	uint32_t n_parts;
	uint32_t observer_map_id[JOIN_MAX_OBSERVERS]; /* prog arrays of one slot */
	uint32_t n_observers;
	uint32_t counts_map_id; /* per-CPU array of u64, index = position * JOIN_COUNTS + verdict; 0: do not count */
	bool frags_if_empty;	/* is a chain without members multi-buffer aware? */
	bool may_inline;	/* false: call every member */
};

/*
 * join_codes() makes the joined program.
 *
 * out:     *code, for the caller to free with code_free(); in->part[].inlined
 * errors:  -ENOSPC more instructions or maps than a program may have, -EBADMSG a part's BTF cannot be read, -ENOMEM
 */
int join_codes(struct join_input *in, struct code **code, struct sluice_err *err);

#endif
