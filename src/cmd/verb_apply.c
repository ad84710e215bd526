// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice apply: a policy into force, on live interfaces, between two packets. */
#include <errno.h>

#include "base/err.h"
#include "cmd/policy_say.h"

static uint64_t trial_ns;
static bool dry_run, force, trial;

static const struct cli_opt opts[] = {
	{.name = "confirm", .letter = 'c', .kind = OPT_TIME, .arg = "TIME", .to = &trial_ns, .given = &trial,
	 .help = "take it back after TIME unless sluice confirm comes"},
	{.name = "dry-run", .letter = 'n', .kind = OPT_FLAG, .to = &dry_run,
	 .help = "check, compile and load it, print the plan, change nothing"},
	{.name = "force", .letter = 'f', .kind = OPT_FLAG, .to = &force,
	 .help = "even if it would cut off who is logged in"},
	{0},
};

static const struct cli_verb verb = {
	.name = "apply",
	.usage = "[FILE] [OPTION...]",
	.summary = "put a policy into force, in one atomic switch",
	.text = "FILE is " POLICY_FILE " if none is given. Packets meet the old policy or the new one, never\n"
		"half of each. What goes wrong leaves the old one in force.\n\n"
		"  sluice apply --dry-run\n"
		"  sluice apply --confirm 60s        and within the minute: sluice confirm\n"
		"  sluice apply new.conf\n",
	.opts = opts,
	.max_args = 1,
};

int verb_apply(int argc, char **argv)
{
	struct policy_guarded guarded;
	struct control_opts o = {.wait_ns = CONTROL_WAIT_NS, .ready = policy_say_ready, .ctx = &guarded};
	struct control_done done;
	struct sluice_err err = {0};
	struct store_policy p;
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args), e;

	if (rc >= 0)
		return rc;
	if (trial && (trial_ns < POLICY_TRIAL_LEAST || trial_ns > POLICY_TRIAL_MOST))
		return cli_usage(&verb, "--confirm takes a time from 100ms to 168h");
	o.bpffs = cli.bpffs;
	o.trial_ns = trial_ns;
	o.dry_run = dry_run;
	guarded = (struct policy_guarded){&verb, force, trial_ns};
	e = control_apply(&o, n_args ? args[0] : POLICY_FILE, &p, &done, &err);
	if (p.policy)
		policy_say_mistakes(p.policy);
	/* mistakes in a file are no mistake of the command line */
	if (e == -EINVAL)
		err.code = -EBADMSG;
	if (e)
		rc = cli_fail(&verb, &err);
	else if (dry_run && !cli.json)
		rc = printf("nothing was changed\n") < 0 ? EXIT_FAILED : EXIT_DONE;
	else
		rc = policy_say_done(dry_run ? "dry_run" : "apply", &done);
	store_free(&p);
	return rc;
}
