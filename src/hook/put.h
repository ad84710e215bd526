/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Members of one owner, put into a chain as code, taken out again: for whoever keeps the code of what it attaches
 * and puts older code back (src/control). The verifier sees it when it has been joined.
 */
#ifndef HOOK_PUT_H
#define HOOK_PUT_H

#include <sluice/chain.h>

#include "bpf/code.h"

struct put_member {
	const char *owner, *object; /* the member's; a chain has one of both */
	const char *name;	    /* made unique when it comes anew */
	uint32_t priority, go_on;   /* when it comes anew */
	const struct code *code;    /* NULL: it is taken out, if it is there */
};

/*
 * put_members() makes each code what its member runs: in its place if there is one, else as a new member; all n in one
 * atomic step.
 *
 * in:      last  called once all is ready, before that step; may be NULL
 * errors:  as sluice_chain_attach()
 */
int put_members(int ifindex, const struct put_member *members, uint32_t n, const struct sluice_attach_opts *opts,
		void (*last)(void *ctx), void *ctx, struct sluice_attached *got, struct sluice_err *err);

static inline int put_member(int ifindex, const struct put_member *member, const struct sluice_attach_opts *opts,
			     void (*last)(void *ctx), void *ctx, struct sluice_attached *got, struct sluice_err *err)
{
	return put_members(ifindex, member, 1, opts, last, ctx, got, err);
}

/* put_verify() does all of that but the step itself: nothing changes. */
int put_verify(int ifindex, const struct put_member *members, uint32_t n, const struct sluice_attach_opts *opts,
	       struct sluice_err *err);

/* put_remove() takes all of the owner's members out. errors: -ENOENT there is none, -ENODEV */
int put_remove(int ifindex, const char *owner, const struct sluice_attach_opts *opts, struct sluice_err *err);

/* put_frags(): will a chain in which the owner's members are multi-buffer aware be so? All others must be. */
int put_frags(int ifindex, const char *owner, bool *frags, struct sluice_err *err);

#endif
