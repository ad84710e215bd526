// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice rollback: an earlier policy again. */
#include "base/err.h"
#include "base/text.h"
#include "cmd/policy_say.h"

static uint64_t trial_ns;
static bool dry_run, force, trial;

static const struct cli_opt opts[] = {
	{.name = "confirm", .letter = 'c', .kind = OPT_TIME, .arg = "TIME", .to = &trial_ns, .given = &trial,
	 .help = "take it back after TIME unless sluice confirm comes"},
	{.name = "dry-run", .letter = 'n', .kind = OPT_FLAG, .to = &dry_run,
	 .help = "load it, print the plan, change nothing"},
	{.name = "force", .letter = 'f', .kind = OPT_FLAG, .to = &force,
	 .help = "even if it would cut off who is logged in"},
	{0},
};

static const struct cli_verb verb = {
	.name = "rollback",
	.changes = true,
	.usage = "[N] [OPTION...]",
	.summary = "put an earlier policy back",
	.text = "N is a number of the history (sluice status); without it, the policy before this one. Ends a trial.\n\n"
		"  sluice rollback\n"
		"  sluice rollback 12\n",
	.opts = opts,
	.max_args = 1,
};

int verb_rollback(int argc, char **argv)
{
	struct policy_guarded guarded;
	struct control_opts o = {.wait_ns = CONTROL_WAIT_NS, .ready = policy_say_ready, .ctx = &guarded};
	struct control_done done;
	struct sluice_err err = {0};
	uint64_t number = 0;
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	if (n_args && text_u64(args[0], 1, UINT32_MAX, &number, &err))
		return cli_usage(&verb, "%s", err.text);
	if (trial && (trial_ns < POLICY_TRIAL_LEAST || trial_ns > POLICY_TRIAL_MOST))
		return cli_usage(&verb, "--confirm takes a time from 100ms to 168h");
	o.bpffs = cli.bpffs;
	o.trial_ns = trial_ns;
	o.dry_run = dry_run;
	guarded = (struct policy_guarded){&verb, force, trial_ns};
	if (control_rollback(&o, (uint32_t)number, &done, &err))
		return policy_fail(&verb, &err);
	policy_say_rest();
	if (dry_run && !cli.json)
		return printf("nothing was changed\n") < 0 ? EXIT_FAILED : EXIT_DONE;
	return policy_say_done(dry_run ? "dry_run" : "rollback", &done);
}
