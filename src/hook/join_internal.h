/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the two files that join programs share. */
#ifndef HOOK_JOIN_INTERNAL_H
#define HOOK_JOIN_INTERNAL_H

#include "base/buf.h"
#include "hook/join.h"

/* Where the two pieces of a part ended up: its main function, and all functions behind it. */
struct piece {
	uint32_t main_len;
	uint32_t main_at, rest_at;
};

static inline uint32_t piece_place(const struct piece *p, uint32_t insn)
{
	return insn < p->main_len ? p->main_at + insn : p->rest_at + insn - p->main_len;
}

struct join {
	struct join_input *in;
	struct code *out;
	struct buf insns;
	struct piece piece[JOIN_MAX_PARTS];
	uint32_t main_len; /* the dispatcher with all that is inlined */
	uint32_t leave_jump[JOIN_MAX_PARTS], n_leave_jumps;
	uint32_t part_call[JOIN_MAX_PARTS];
	uint32_t observer_call[JOIN_MAX_OBSERVERS], observer_at[JOIN_MAX_OBSERVERS], n_observer_funcs;
	bool too_many_refs;
};

/* join_btf() fills in funcs, lines and btf of j->out, whose instructions have their places. */
int join_btf(struct join *j, struct sluice_err *err);

#endif
