/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the verbs that change the policy print alike. */
#ifndef CMD_POLICY_SAY_H
#define CMD_POLICY_SAY_H

#include "cmd/cli.h"
#include "control/apply.h"

#define POLICY_FILE "/etc/sluice/sluice.conf"
#define POLICY_TRIAL_LEAST 100000000ull /* the clock that programs read moves in steps of some milliseconds */
#define POLICY_TRIAL_MOST (168 * 3600000000000ull)

/* policy_file() is the path of a policy that was asked for on the command line: "-" is standard input. */
const char *policy_file(const char *arg);

/* policy_say_mistakes() prints all mistakes and warnings of a policy to stderr, as sluice check does. */
void policy_say_mistakes(const struct policy *p);

/* policy_say_errors() prints the mistakes that keep a policy from being read, if it has any. p: may be NULL */
void policy_say_errors(const struct policy *p);

/*
 * policy_say_plan() prints what is about to happen, unless JSON is wanted; what nobody reads within a second is left to
 * policy_say_rest(), when the lock is gone (policy_fail() and policy_say_done() call it).
 * policy_say_ready() is control_opts.ready: prints the plan, then asks the guard. ctx: a struct policy_guarded; NULL:
 * neither forced nor on trial. On trial, what the guard refuses is a warning.
 */
struct policy_guarded {
	const struct cli_verb *verb;
	bool force;
	uint64_t trial_ns;
};
int policy_say_plan(const struct control_ready *r, struct sluice_err *err);
void policy_say_rest(void);
int policy_say_ready(void *ctx, const struct control_ready *r, struct sluice_err *err);

/* policy_fail() is cli_fail() where a mistake is one of a policy's text or interfaces (-EINVAL), none of the command line. */
int policy_fail(const struct cli_verb *verb, const struct sluice_err *err);

/* policy_say_done() prints what happened: "policy 7-0f3a... is in force", or JSON; returns the exit code. */
int policy_say_done(const char *word, const struct control_done *done);

/* policy_time() writes a time of the wall clock, "2026-11-21 13:05:12"; returns to. */
char *policy_time(uint64_t wall_ns, char to[32]);

#endif
