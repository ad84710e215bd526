// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice rules: what each rule of the policy in force has met, live. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "cmd/cli.h"
#include "cmd/if_args.h"
#include "cmd/live.h"
#include "cmd/rules_run.h"

static struct {
	struct live_opts live;
	uint64_t limit;
	const char *sort;
	bool per_if;
} o;

static const struct cli_opt opts[] = {
	LIVE_OPTIONS(o.live),
	{.name = "limit",
	 .letter = 'n',
	 .kind = OPT_U64,
	 .arg = "ROWS",
	 .to = &o.limit,
	 .max = 1u << 20,
	 .help = "rows of each filter (default all)"},
	{.name = "sort",
	 .letter = 's',
	 .kind = OPT_TEXT,
	 .arg = "COLUMN",
	 .to = &o.sort,
	 .help = "text, packets, bytes, pps or bps (default text: as in the policy)"},
	{.name = "per-if", .kind = OPT_FLAG, .to = &o.per_if, .help = "keep the interfaces apart"},
	LIVE_OPTION_LINES(o.live),
	{0},
};

static const struct cli_verb verb = {
	.name = "rules",
	.usage = "[IF[,IF...]...] [OPTION...]",
	.summary = "what each rule of the policy in force has met, live",
	.text = "Interfaces are names and globs; without one, all that the policy is on. On a terminal q "
		"quits and h\n"
		"tells the other keys. Elsewhere it is one report, unless --interval or --count ask for "
		"more; a report\n"
		"has rates if --interval was given.\n"
		"\n"
		"  sluice rules                        live\n"
		"  sluice rules eth0 --once            totals\n"
		"  sluice rules -i 1s -c 1 -s pps -n 10    the ten busiest\n",
	.opts = opts,
	.max_args = -1,
};

static int read_rules(void *ctx, struct sluice_err *err)
{
	return rules_run_read(ctx, err);
}

static int print(void *ctx)
{
	return cli.json ? rules_json(ctx) : rules_plain(ctx);
}

static const struct live_view view = {
	.read = read_rules,
	.print = print,
	.open = rules_screen_open,
	.show = rules_screen_show,
	.keys = rules_screen_keys,
};

int verb_rules(int argc, char **argv)
{
	struct rules_run run = {.bpffs = NULL};
	struct net_if *ifs = NULL;
	struct sluice_err err = {0};
	char **args;
	int n_args, rc, sort = RULES_TEXT, e = 0;

	o.live.interval_ns = 1000000000;
	rc = cli_parse(&verb, argc, argv, &args, &n_args);
	if (rc >= 0)
		return rc;
	if (o.sort)
		sort = rules_sort_of(o.sort);
	if (sort < 0)
		return cli_usage(&verb, "cannot sort by '%s': text, packets, bytes, pps or bps", o.sort);
	rc = live_opts_check(&verb, &o.live);
	if (rc >= 0)
		return rc;
	run.bpffs = cli.bpffs;
	run.per_if = o.per_if;
	run.interval_ns = o.live.interval_ns;
	run.limit = o.limit;
	run.sort = (enum rules_sort)sort;
	cli_catch_signals();
	if (n_args)
		e = if_args(args, n_args, &ifs, &run.n_ifs, &err);
	run.ifs = ifs;
	e = e ?: live_run(&verb, &o.live, &view, &run, &err);
	rules_run_free(&run);
	free(ifs);
	return e ? cli_fail(&verb, &err) : EXIT_DONE;
}
