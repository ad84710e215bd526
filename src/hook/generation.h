/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One generation of a chain: the joined program of a state, loaded, with everything bound to it that must live with it. */
#ifndef HOOK_GENERATION_H
#define HOOK_GENERATION_H

#include <stdint.h>
#include <sluice/err.h>

#include "hook/state.h"

/*
 * generation_load() joins the members of a state, loads the result, and binds the state to it.
 *
 * in:      s      members and observers as wanted; out: counts_map_id, frags and member[].inlined are filled in
 * out:     *prog_fd, for the caller to close
 * errors:  -EACCES the verifier refused (err has the lines that matter), -ENOSPC, -EPERM, -ENOMEM
 */
int generation_load(struct state *s, int *prog_fd, struct sluice_err *err);

/*
 * generation_load_code() loads the code of one program alone, as a multi-buffer aware one or not.
 * out: *prog_fd, for the caller to close; errors: as generation_load()
 */
int generation_load_code(const struct code *code, const char *name, bool frags, int *prog_fd, struct sluice_err *err);

/* What a member did so far, carried-over counts included. */
struct generation_counts {
	uint64_t ended[6]; /* by verdict, [5] any other value */
	uint64_t passed_on;
};
/* generation_counts() reads the counters of all members; -ENOENT if the program has none. */
int generation_counts(const struct state *s, struct generation_counts *counts, struct sluice_err *err);

/*
 * generation_wait() returns when no CPU runs a program that was taken off before: XDP programs run inside an RCU read
 * section.
 */
void generation_wait(void);

/*
 * generation_carry() makes what members show under the new program begin with what they did under the old one. Exact
 * once the old program has been switched off; may be called before that as well, and again.
 */
void generation_carry(const struct state *old, const struct state *now, bool switched);

#endif
