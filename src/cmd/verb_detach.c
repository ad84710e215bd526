// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice detach: members out of chains, or whole chains off interfaces. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "cmd/cli.h"
#include "net/ifs.h"
#include <sluice/chain.h>

static struct sluice_attach_opts attach_opts;
static uint64_t expect_id;
static bool all;

static const struct cli_opt opts[] = {
	{.name = "all", .letter = 'a', .kind = OPT_FLAG, .to = &all, .help = "every program of Sluice on the interface"},
	{.name = "owner", .letter = 'o', .kind = OPT_TEXT, .arg = "OWNER", .to = &attach_opts.owner,
	 .help = "act as this owner"},
	{.name = "expect-id", .kind = OPT_U64, .arg = "ID", .to = &expect_id, .min = 1, .max = UINT32_MAX,
	 .help = "fail unless program ID is what is attached now"},
	{.name = "force", .letter = 'f', .kind = OPT_FLAG, .to = &attach_opts.force,
	 .help = "with --all also what is not Sluice's; other owners' members too"},
	{0},
};

static const struct cli_verb verb = {
	.name = "detach",
	.changes = true,
	.usage = "IF[,IF...] NAME... | IF[,IF...] --all",
	.summary = "take programs off interfaces",
	.text = "NAME is what `sluice list` shows. The others go on without losing a packet; with the last one the link goes too.\n",
	.opts = opts,
	.min_args = 1,
	.max_args = -1,
};

static bool nothing_there(int ifindex)
{
	struct sluice_chain_info *info;
	bool nothing;

	if (sluice_chain_read(ifindex, &info, NULL))
		return false;
	nothing = info->owner == SLUICE_OWNER_NONE;
	sluice_chain_info_free(info);
	return nothing;
}

int verb_detach(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct net_if *ifs = NULL;
	json_t *list = json_array();
	size_t n_ifs = 0, i, done = 0;
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args), e, one;

	if (rc >= 0)
		goto out;
	if (all == (n_args > 1)) {
		rc = cli_usage(&verb, all ? "either names or --all, not both" : "which one? Give names, or --all");
		goto out;
	}
	attach_opts.bpffs = cli.bpffs;
	attach_opts.expect_prog_id = (uint32_t)expect_id;
	rc = EXIT_DONE;
	e = net_ifs_find(args[0], &ifs, &n_ifs, &err);
	if (e)
		rc = cli_fail(&verb, &err);
	for (i = 0; i < n_ifs; i++) { /* each interface by itself: what can go, goes */
		if (n_ifs > 1 && n_args == 1 && nothing_there(ifs[i].index))
			continue; /* of several, those with nothing on them are done */
		e = sluice_chain_detach(ifs[i].index, (const char *const *)args + 1, (size_t)n_args - 1, &attach_opts, &err);
		if (e) {
			err_prefix(&err, "%s", ifs[i].name);
			one = cli_fail(&verb, &err);
			rc = rc == EXIT_DONE || one == EXIT_FAILED ? one : rc; /* a refusal weighs more than nothing found */
			continue;
		}
		done++;
		json_array_append_new(list, json_pack("{s:s, s:i}", "interface", ifs[i].name, "ifindex", ifs[i].index));
		if (!cli.json)
			printf("%s: detached\n", ifs[i].name);
	}
	if (n_ifs > 1 && !done && rc == EXIT_DONE) {
		err_set(&err, -ENOENT, "%s: nothing is attached to any of these %zu interfaces", args[0], n_ifs);
		rc = cli_fail(&verb, &err);
	}
	if (cli.json && done && cli_json(json_incref(list)))
		rc = EXIT_FAILED;
	free(ifs);
out:
	json_decref(list);
	return rc;
}
