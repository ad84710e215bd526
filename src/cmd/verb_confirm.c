// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice confirm: what is on trial stays. */
#include "cmd/policy_say.h"

static const struct cli_opt opts[] = {{0}};

static const struct cli_verb verb = {
	.name = "confirm",
	.changes = true,
	.usage = "",
	.summary = "keep the policy that is on trial",
	.text = "After sluice apply --confirm TIME, within that time. What is in force for good stays so. "
		"Exit status 3\n"
		"if the trial is over, or no policy is in force.\n",
	.opts = opts,
};

int verb_confirm(int argc, char **argv)
{
	struct control_opts o = {.wait_ns = CONTROL_WAIT_NS};
	struct control_done done;
	struct sluice_err err = {0};
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	o.bpffs = cli.bpffs;
	if (control_confirm(&o, &done, &err))
		return cli_fail(&verb, &err);
	return policy_say_done("confirm", &done);
}
