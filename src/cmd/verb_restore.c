// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice restore: the last confirmed policy, after a boot. */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/policy_say.h"
#include "control/build.h"

static bool boot;

static const struct cli_opt opts[] = {
	{.name = "boot", .letter = 'b', .kind = OPT_FLAG, .to = &boot,
	 .help = "at boot: nothing to restore is no failure"},
	{0},
};

static const struct cli_verb verb = {
	.name = "restore",
	.changes = true,
	.usage = "[OPTION...]",
	.summary = "put the last confirmed policy back, after a boot",
	.text = "Interfaces that are not there yet are named and left; once they are there, say it again.\n"
		"It can be said at any time: what is in force already stays untouched.\n",
	.opts = opts,
};

/* Interfaces that the policy names and that are not there, or by a name that is not their own; and those that have another one by now. */
static int plan(void *ctx, const struct control_ready *r, struct sluice_err *err)
{
	struct control_generation g = {.n_parts = 0};
	struct sluice_err why = {0};
	char name[IF_NAMESIZE];
	uint32_t i;

	for (i = 0; i < r->next->n_all; i++)
		if (if_indextoname((unsigned int)r->next->parts[i].ifindex, name) &&
		    strcmp(name, r->next->parts[i].ifname) != 0)
			cli_warn(
				&verb,
				"%s was %s: what the policy has on %s stays there; write its new name into the policy",
				name, r->next->parts[i].ifname, r->next->parts[i].ifname);
	if (r->policy && build_parts(r->policy, false, NULL, &g, &why))
		cli_warn(&verb, "%s%s", why.text, why.code == -ENODEV ? "; they are left for later" : "");
	free(g.parts);
	free(g.on);
	(void)ctx;
	return policy_say_plan(r, err);
}

int verb_restore(int argc, char **argv)
{
	struct control_opts o = {.wait_ns = CONTROL_WAIT_NS, .ready = plan};
	struct control_done done;
	struct sluice_err err = {0};
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	o.bpffs = cli.bpffs;
	o.any = boot;
	if (control_restore(&o, &done, &err))
		return policy_fail(&verb, &err);
	return policy_say_done("restore", &done);
}
