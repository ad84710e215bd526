// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice down: no policy any more. */
#include "cmd/policy_say.h"

static bool force;

static const struct cli_opt opts[] = {
	{.name = "force", .letter = 'f', .kind = OPT_FLAG, .to = &force,
	 .help = "even if nothing is known to be in force, or the record of it is damaged"},
	{0},
};

static const struct cli_verb verb = {
	.name = "down",
	.changes = true,
	.usage = "[OPTION...]",
	.summary = "take the policy off all interfaces",
	.text = "Other programs of the chains stay. The history stays: sluice rollback puts the policy back.\n"
		"It stays off after a boot, too.\n",
	.opts = opts,
};

int verb_down(int argc, char **argv)
{
	struct control_opts o = {.wait_ns = CONTROL_WAIT_NS, .ready = policy_say_ready};
	struct control_done done;
	struct sluice_err err = {0};
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	o.bpffs = cli.bpffs;
	if (control_down(&o, force, &done, &err))
		return policy_fail(&verb, &err);
	return policy_say_done("down", &done);
}
