// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice balance stats: what services and their backends get, live. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "cmd/balance_stats.h"

#define POLL_NS 50000000u

static struct {
	uint64_t interval_ns, count, limit;
	const char *sort;
	bool once, lines;
	bool interval_given, count_given;
} o;

static const struct cli_opt opts[] = {
	{.name = "interval",
	 .letter = 'i',
	 .kind = OPT_TIME,
	 .arg = "TIME",
	 .to = &o.interval_ns,
	 .given = &o.interval_given,
	 .help = "between two readings (default 1s)"},
	{.name = "count",
	 .letter = 'c',
	 .kind = OPT_U64,
	 .arg = "N",
	 .to = &o.count,
	 .min = 1,
	 .given = &o.count_given,
	 .help = "stop after N reports"},
	{.name = "once", .letter = '1', .kind = OPT_FLAG, .to = &o.once, .help = "one report, then stop"},
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
	{.name = "lines",
	 .letter = 'l',
	 .kind = OPT_FLAG,
	 .to = &o.lines,
	 .help = "plain lines on a terminal too"},
	{0},
};

const struct cli_verb balance_stats_verb = {
	.name = "balance stats",
	.usage = "[SERVICE...] [OPTION...]",
	.summary = "what services and their backends get, live",
	.text = "NEW counts connections that were opened (TCP), ACTIVE flows in the flow table with a packet "
		"within the\n"
		"last minute. Packets of TABLE were decided by the flow table, those of SLOT by the slot of "
		"their hash alone.\n"
		"On a terminal q quits and h tells the other keys. Elsewhere it is one report, unless "
		"--interval or\n"
		"--count ask for more; a report has rates if --interval was given.\n",
	.opts = opts,
	.max_args = -1,
};

/* Waits for the next reading; false: the user wants to quit. */
static bool wait_until(struct stats_screen *screen, uint64_t next_ns)
{
	struct timespec t = {0};
	uint64_t now;

	while (!cli_stop && (now = clock_mono_ns()) < next_ns) {
		t.tv_nsec = next_ns - now < POLL_NS ? (long)(next_ns - now) : POLL_NS;
		if (!screen)
			nanosleep(&t, NULL);
		else if (!stats_screen_keys(screen, (int)(t.tv_nsec / 1000000) + 1))
			return false;
	}
	return !cli_stop;
}

static int print(struct balance_stats *s, struct sluice_err *err)
{
	return (cli.json ? balance_stats_json(s) : balance_stats_plain(s)) ? cli_gone(err) : 0;
}

static int show(struct balance_stats *s, struct sluice_err *err)
{
	bool live = cli_is_tty() && !o.lines && !cli.json && !o.count && !o.once;
	uint64_t count = o.once || (!live && !o.interval_given && !o.count) ? 1 : o.count, next, n = 0;
	struct stats_screen *screen = NULL;
	int e = balance_stats_read(s, err);

	if (e)
		return e;
	if (live && stats_screen_open(s, &screen))
		cli_warn(&balance_stats_verb,
			 "terminal type '%s' is not known here: lines instead of the screen", getenv("TERM"));
	next = clock_mono_ns();
	/* without rates to wait for, what has just been read is the first report */
	if (!screen && !o.interval_given) {
		e = print(s, err);
		n++;
	}
	while (!e && (!count || n < count)) {
		next += s->interval_ns;
		if (next < clock_mono_ns())
			next = clock_mono_ns() + s->interval_ns;
		if (!wait_until(screen, next))
			break;
		if (screen && stats_screen_paused(screen))
			continue;
		e = balance_stats_read(s, err);
		if (!e && screen)
			stats_screen_show(screen);
		else if (!e)
			e = print(s, err);
		n++;
	}
	stats_screen_close(screen);
	return e;
}

int balance_stats_run(int argc, char **argv)
{
	struct balance_stats s = {.is_open = false};
	struct sluice_err err = {0};
	char **args;
	int n, rc, sort = STATS_POLICY, e;

	o.interval_ns = 1000000000;
	rc = cli_parse(&balance_stats_verb, argc, argv, &args, &n);
	if (rc >= 0)
		return rc;
	if (o.sort)
		sort = balance_stats_sort_of(o.sort);
	if (sort < 0)
		return cli_usage(&balance_stats_verb,
				 "cannot sort by '%s': policy, packets, bytes, pps, bps, new or flows",
				 o.sort);
	if (o.interval_ns < 10000000)
		return cli_usage(&balance_stats_verb, "--interval must be at least 10ms");
	if (o.once && o.count_given)
		return cli_usage(&balance_stats_verb, "--once and --count exclude each other");
	s.wanted = (const char *const *)args;
	s.n_wanted = (uint32_t)n;
	s.interval_ns = o.interval_ns;
	s.limit = o.limit;
	s.sort = (enum stats_sort)sort;
	cli_catch_signals();
	e = show(&s, &err);
	balance_stats_free(&s);
	return e ? cli_fail(&balance_stats_verb, &err) : EXIT_DONE;
}
