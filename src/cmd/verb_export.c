// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice export nft: a policy as the nearest nftables ruleset, to compare it with and to leave with. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "cmd/policy_say.h"
#include "policy/nft.h"

static const char *filter_name, *on;
static bool partial;

static const struct cli_opt opts[] = {
	{.name = "filter", .kind = OPT_TEXT, .arg = "NAME", .to = &filter_name, .help = "only the filter that is on NAME, as it is written"},
	{.name = "on", .kind = OPT_TEXT, .arg = "IF", .to = &on, .help = "only the filter of this interface, and for it alone"},
	{.name = "partial", .kind = OPT_FLAG, .to = &partial, .help = "exit 0 also if something could not be said"},
	{0},
};

static const struct cli_verb verb = {
	.name = "export",
	.usage = "nft FILE [--filter NAME|--on IF] [--partial]",
	.summary = "a policy as the nearest nftables ruleset",
	.text = "The ruleset goes to standard output; what nft cannot say goes to standard error, one line each.\n"
		"\n"
		"  sluice export nft sluice.conf --on eth0 >eth0.nft\n"
		"  nft -c -f eth0.nft\n",
	.opts = opts,
	.min_args = 2,
	.max_args = 2,
};

static bool named(const struct policy_filter *f)
{
	uint32_t i;

	if (on)
		return policy_filter_names(f, on);
	for (i = 0; i < f->on.n; i++)
		if (!strcmp(f->on.v[i].text, filter_name))
			return true;
	return false;
}

static int choose(const struct policy *p, uint32_t *filter, struct sluice_err *err)
{
	uint32_t i;

	*filter = UINT32_MAX;
	if (!p->n_filters)
		return err_set(err, -ENOENT, "there is no filter in the policy");
	if (!on && !filter_name)
		return 0;
	for (i = 0; i < p->n_filters && *filter == UINT32_MAX; i++)
		if (named(&p->filters[i]))
			*filter = i;
	if (*filter == UINT32_MAX)
		return err_set(err, -ENOENT, "no filter of the policy is on %s", on ? on : filter_name);
	return 0;
}

static int show(const struct nft_text *t)
{
	if (cli.json) {
		if (cli_json(json_pack("{s:s%, s:I, s:s%}", "ruleset", (const char *)t->ruleset.data,
				       t->ruleset.len, "n_notes", (json_int_t)t->n_notes, "notes",
				       t->notes.data ? (const char *)t->notes.data : "", t->notes.len)))
			return EXIT_FAILED;
	} else {
		fwrite(t->ruleset.data, 1, t->ruleset.len, stdout);
		if (t->notes.len)
			fwrite(t->notes.data, 1, t->notes.len, stderr);
	}
	return t->n_notes && !partial ? EXIT_FAILED : EXIT_DONE;
}

int verb_export(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct nft_text t = {0};
	struct policy *p;
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args), e;
	uint32_t filter = UINT32_MAX;

	if (rc >= 0)
		return rc;
	if (strcmp(args[0], "nft") != 0)
		return cli_usage(&verb, "'%s' is no form to export to, expected nft", args[0]);
	if (on && filter_name)
		return cli_usage(&verb, "--on and --filter exclude each other");
	if (on && (!*on || strlen(on) > 15 || strpbrk(on, "*?/\" ")))
		return cli_usage(&verb, "'%s' is no name of an interface", on);
	e = policy_read(args[1], &policy_once, &p, &err);
	if (!p)
		return cli_fail(&verb, &err);
	policy_say_errors(p); /* none where all is well */
	if (!e)
		e = choose(p, &filter, &err);
	if (!e)
		e = nft_export(p, filter, on, &t, &err);
	rc = e == -EINVAL ? (cli_fail(&verb, &err), EXIT_FAILED) : e ? cli_fail(&verb, &err) : show(&t);
	nft_text_free(&t);
	policy_free(p);
	return rc;
}
