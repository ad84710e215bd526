// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice ban, unban: addresses into and out of a run-time set. */
#include "cmd/set_run.h"

static bool force;

static const struct cli_opt ban_opts[] = {
	{"force", 0, OPT_FLAG, NULL, "also the address that this session comes from", &force, 0, 0, NULL},
	{0},
};

static const struct cli_verb ban_verb = {
	.name = "ban",
	.changes = true,
	.usage = "ADDR|PREFIX|FIRST-LAST|-... [for TIME] [in SET]",
	.summary = "put addresses into a set of the policy in force, for a time",
	.text = "Without TIME it is the set's timeout. Without SET it is the only set with a timeout, or the "
		"one that\n"
		"is called banned. Packets meet the change at once; nothing else of the policy is "
		"touched.\n"
		"- is what stands in standard input, as in files of sets.\n\n"
		"  sluice ban 198.51.100.7 for 1h\n"
		"  sluice ban 2001:db8:66::/48 203.0.113.0-203.0.113.9 in blocked\n",
	.opts = ban_opts,
	.min_args = 1,
	.max_args = -1,
};

static const struct cli_opt unban_opts[] = {
	{"force", 0, OPT_FLAG, NULL, "also the address that this session is let in by", &force, 0, 0, NULL},
	{0},
};

static const struct cli_verb unban_verb = {
	.name = "unban",
	.changes = true,
	.usage = "ADDR|PREFIX|FIRST-LAST|-... [in SET]",
	.summary = "take addresses out of a set of the policy in force",
	.text = "Just as they were banned: an address of a banned prefix cannot be taken out of it.\n"
		"Without SET it is the only set with a timeout, or the one that is called banned.\n",
	.opts = unban_opts,
	.min_args = 1,
	.max_args = -1,
};

int verb_ban(int argc, char **argv)
{
	struct filter_elems elems[2] = {{NULL, 0}, {NULL, 0}};
	struct sluice_err err = {0};
	struct set_words words;
	char **args;
	int n, rc = cli_parse(&ban_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	if (set_words(args, &n, true, &words, &err) || set_elems(args, n, elems, &err) ||
	    (!force && set_guard(elems, &err)))
		rc = cli_fail(&ban_verb, &err);
	else
		rc = set_put(&ban_verb, "banned", words.in, elems, words.for_ns);
	set_elems_free(elems);
	return rc;
}

int verb_unban(int argc, char **argv)
{
	struct filter_elems elems[2] = {{NULL, 0}, {NULL, 0}};
	struct sluice_err err = {0};
	struct set_words words;
	char **args;
	int n, rc = cli_parse(&unban_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	if (set_words(args, &n, true, &words, &err) || set_elems(args, n, elems, &err))
		rc = cli_fail(&unban_verb, &err);
	else if (words.for_ns)
		rc = cli_usage(&unban_verb, "'for' has no meaning here: what is unbanned is so at once");
	else
		rc = set_take(&unban_verb, "unbanned", words.in, elems, force);
	set_elems_free(elems);
	return rc;
}
