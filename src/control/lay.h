/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs of generations onto interfaces: what switch.c does to chains, through hook/put.h. */
#ifndef CONTROL_LAY_H
#define CONTROL_LAY_H

#include "control/state.h"

struct lay_want {
	const struct policy *policy; /* for the modes it wants; NULL: any */
	bool only_verify;	     /* ask the verifier, change nothing */
};

/*
 * lay_direct() makes the programs of generation `to` run on its interfaces, and takes what is on those of `from` alone
 * off; "" stands for a generation without interfaces. Already so: nothing happens.
 *
 * in:      want  NULL: chains keep their modes, and interfaces that are gone are passed over
 * errors:  of sluice_chain_attach(), with the interface; with several interfaces those before are done then
 */
int lay_direct(const struct control_state *st, const char *to, const char *from, const struct lay_want *want,
	       struct sluice_err *err);

/* lay_detours() puts a detour on all interfaces of both: to `next` until its deadline, else to `live`. */
int lay_detours(const struct control_state *st, const char *next, const char *live, const struct lay_want *want,
		struct sluice_err *err);

/* lay_nowhere() takes the policy's member off every interface of the namespace. */
int lay_nowhere(const struct control_state *st, struct sluice_err *err);

/* lay_count() is how many interfaces both have together. */
int lay_count(const struct control_state *st, const char *a, const char *b, uint32_t *n, struct sluice_err *err);

/* lay_why() is why an interface did not get native mode, "" if it did or nobody knows. */
void lay_why(const struct control_state *st, const char *name, uint32_t part, char *to, size_t size);

#endif
