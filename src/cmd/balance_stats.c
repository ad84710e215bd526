// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice balance stats: what services and their backends get, live. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "cmd/balance_stats.h"
#include "cmd/live.h"

static struct {
	struct live_opts live;
	uint64_t limit;
	const char *sort;
} o;

static const struct cli_opt opts[] = {
	LIVE_OPTIONS(o.live),
	{.name = "limit",
	 .letter = 'n',
	 .kind = OPT_U64,
	 .arg = "ROWS",
	 .to = &o.limit,
	 .max = 1u << 20,
	 .help = "backends of each service (default all)"},
	{.name = "sort",
	 .letter = 's',
	 .kind = OPT_TEXT,
	 .arg = "COLUMN",
	 .to = &o.sort,
	 .help = "policy, packets, bytes, pps, bps, new or flows (default policy: its order)"},
	LIVE_OPTION_LINES(o.live),
	{0},
};

const struct cli_verb balance_stats_verb = {
	.name = "balance stats",
	.usage = "[SERVICE...] [OPTION...]",
	.summary = "what services and their backends get, live",
	.text = "NEW counts packets that open a connection (TCP: SYN without ACK; with quic Initial ones, too), "
		"ACTIVE flows in\n"
		"the flow table with a packet within the last minute. Packets of TABLE were decided by the flow table, those of SLOT by the slot of "
		"their hash alone.\n"
		"On a terminal q quits and h tells the other keys. Elsewhere it is one report, unless "
		"--interval or\n"
		"--count ask for more; a report has rates if --interval was given.\n",
	.opts = opts,
	.max_args = -1,
};

static int read_stats(void *ctx, struct sluice_err *err)
{
	return balance_stats_read(ctx, err);
}

static int print(void *ctx)
{
	return cli.json ? balance_stats_json(ctx) : balance_stats_plain(ctx);
}

static const struct live_view view = {
	.read = read_stats,
	.print = print,
	.open = stats_screen_open,
	.show = stats_screen_show,
	.keys = stats_screen_keys,
};

int balance_stats_run(int argc, char **argv)
{
	struct balance_stats s = {.is_open = false};
	struct sluice_err err = {0};
	char **args;
	int n, rc, sort = STATS_POLICY, e;

	o.live.interval_ns = 1000000000;
	rc = cli_parse(&balance_stats_verb, argc, argv, &args, &n);
	if (rc >= 0)
		return rc;
	if (o.sort)
		sort = balance_stats_sort_of(o.sort);
	if (sort < 0)
		return cli_usage(&balance_stats_verb,
				 "cannot sort by '%s': policy, packets, bytes, pps, bps, new or flows",
				 o.sort);
	rc = live_opts_check(&balance_stats_verb, &o.live);
	if (rc >= 0)
		return rc;
	s.wanted = (const char *const *)args;
	s.n_wanted = (uint32_t)n;
	s.interval_ns = o.live.interval_ns;
	s.limit = o.limit;
	s.sort = (enum stats_sort)sort;
	cli_catch_signals();
	e = live_run(&balance_stats_verb, &o.live, &view, &s, &err);
	balance_stats_free(&s);
	return e ? cli_fail(&balance_stats_verb, &err) : EXIT_DONE;
}
