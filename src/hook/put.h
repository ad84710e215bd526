/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One member per owner, put into a chain as code, taken out again: for whoever keeps the code of what it attaches
 * and puts older code back (src/control). The verifier sees it when it has been joined.
 */
#ifndef HOOK_PUT_H
#define HOOK_PUT_H

#include <sluice/chain.h>

#include "bpf/code.h"

struct put_member {
	const char *owner; /* the member's; it has one per chain */
	const char *name;  /* made unique when it comes anew */
	const char *object;
	uint32_t priority, go_on; /* when it comes anew */
	const struct code *code;
};

/*
 * put_member() makes code what the owner's member runs: in its place if there is one, else as a new member.
 *
 * in:      last  called once all is ready, before the one atomic step; may be NULL
 * errors:  as sluice_chain_attach()
 */
int put_member(int ifindex, const struct put_member *member, const struct sluice_attach_opts *opts,
	       void (*last)(void *ctx), void *ctx, struct sluice_attached *got, struct sluice_err *err);

/* put_verify() does all of that but the step itself: nothing changes. */
int put_verify(int ifindex, const struct put_member *member, const struct sluice_attach_opts *opts,
	       struct sluice_err *err);

/* put_remove() takes the owner's member out. errors: -ENOENT there is none, -ENODEV */
int put_remove(int ifindex, const char *owner, const struct sluice_attach_opts *opts, struct sluice_err *err);

/* put_frags(): will a chain in which the owner's member is multi-buffer aware be so? All others must be. */
int put_frags(int ifindex, const char *owner, bool *frags, struct sluice_err *err);

#endif
