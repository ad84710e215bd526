/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What balance blocks meet on this host that was hardly meant: before they are put into force.
 *
 *     sessions (sessions.h) ──> balance_guard()    would a virtual address take the session away from this host?
 *     addresses, routes ──────> balance_care()     warnings: own addresses, backends that cannot be reached, MTU, drivers
 */
#ifndef CONTROL_BALANCE_CARE_H
#define CONTROL_BALANCE_CARE_H

#include <sluice/err.h>

#include "control/state.h"
#include "policy/policy.h"

/*
 * balance_guard() refuses a policy that would send packets of a session through which this host is administered to a
 * backend. Own addresses are fair virtual addresses otherwise.
 *
 * in:      ssh_connection  of the environment; NULL or "": none
 *          advice          the end of the sentence; NULL: "use --force, or --confirm 60s to try"
 * errors:  -EBUSY refused: err names block, session and what to do; those of control_sessions_read()
 */
int balance_guard(const struct policy *p, const char *ssh_connection, const char *advice, struct sluice_err *err);

/*
 * balance_care() says what is amiss on this host; it waits for neighbours to answer, for half a second at most.
 *
 * in:      old  the policy in force, NULL: none; of blocks that are the same there nothing is said again
 *          g    the policy's parts: where the balancer will be
 *          say  is given a sentence without a full stop for each; what is alike is said once
 * errors:  -ENOMEM; of netlink sockets. What cannot be asked is not said
 * thread:  looks at the network namespace of the calling thread
 */
int balance_care(const struct policy *p, const struct policy *old, const struct control_generation *g,
		 void (*say)(void *arg, const char *sentence), void *arg, struct sluice_err *err);

#endif
