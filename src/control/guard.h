/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guard against locking oneself out: would a policy cut off those who administer this machine just now?
 *
 *     sessions (sessions.h) --> where their packets come in --> those packets --> oracle: does it let them in?
 */
#ifndef CONTROL_GUARD_H
#define CONTROL_GUARD_H

#include <stddef.h>
#include <sluice/err.h>
#include "control/sessions.h"
#include "net/ifs.h"
#include "policy/policy.h"

struct control_guard_opts {
	const char *ssh_connection; /* of the environment; NULL or "": none */
	const char *proc;	    /* NULL: "/proc" */
	/* where the policy will be: other interfaces let everything in. NULL: each that it has a filter for */
	const struct net_if *interfaces;
	size_t n_interfaces;
	/*
	 * Whether an address will be in the set of that name when the policy runs: 1, 0; -ENOENT: what the policy's
	 * text and files say holds. For sets whose contents are from elsewhere. NULL: that holds for all
	 */
	int (*in_set)(void *ctx, const char *set, const struct net_addr *addr);
	void *ctx;
	/* what was not looked at, in a sentence; NULL: nobody is told */
	void (*warn)(void *ctx, const char *sentence);
	void *warn_ctx;
	const char *advice; /* the end of the sentence; NULL: "use --force, or --confirm 60s to try" */
};

/*
 * control_guard() asks whether a policy lets the packets of every session in: a segment of the connection, with
 * and without data, the SYN of a new one, and what neighbours find each other by (ARP, neighbour discovery), without
 * which a session ends a minute later: the neighbour's question, as it is asked of the whole link, and its answer to
 * this host's. They are those that come in on the interface through which the peer is reached, or on what carries that
 * (bridge port, bond, VLAN device); on all of the policy's if that cannot be told. Buckets of limits are full.
 * What comes out of a tunnel is asked for where it comes out alone: whether the packets that the tunnel is made of are
 * let in on other interfaces of the policy is not found out, and warned of.
 *
 * in:      p       without mistakes
 * errors:  -EBUSY  refused: err names rule, session and what to do; -EINVAL of SSH_CONNECTION, and others of
 *          control_sessions_read(): nothing was found out, which is no leave to go on
 * cost:    a search through all rules for each packet of each session
 * thread:  looks at the network namespace of the calling thread
 */
int control_guard(const struct policy *p, const struct control_guard_opts *opts, struct sluice_err *err);

/* control_guard_sessions() does the same for sessions that are given. */
int control_guard_sessions(const struct policy *p, const struct control_guard_opts *opts,
			   const struct control_sessions *sessions, struct sluice_err *err);

#endif
