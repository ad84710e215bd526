// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice rules: what each rule of the policy in force has met, live. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "cmd/cli.h"
#include "cmd/if_args.h"
#include "cmd/rules_run.h"

#define POLL_NS 50000000u

static struct {
	uint64_t interval_ns, count, limit;
	const char *sort;
	bool once, per_if, lines;
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
	 .help = "rows of each filter (default all)"},
	{.name = "sort",
	 .letter = 's',
	 .kind = OPT_TEXT,
	 .arg = "COLUMN",
	 .to = &o.sort,
	 .help = "text, packets, bytes, pps or bps (default text: as in the policy)"},
	{.name = "per-if", .kind = OPT_FLAG, .to = &o.per_if, .help = "keep the interfaces apart"},
	{.name = "lines",
	 .letter = 'l',
	 .kind = OPT_FLAG,
	 .to = &o.lines,
	 .help = "plain lines on a terminal too"},
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

/* Waits for the next reading; false: the user wants to quit. */
static bool wait_until(struct rules_screen *screen, uint64_t next_ns)
{
	struct timespec t = {0};
	uint64_t now;

	while (!cli_stop && (now = clock_mono_ns()) < next_ns) {
		t.tv_nsec = next_ns - now < POLL_NS ? (long)(next_ns - now) : POLL_NS;
		if (!screen)
			nanosleep(&t, NULL);
		else if (!rules_screen_keys(screen, (int)(t.tv_nsec / 1000000) + 1))
			return false;
	}
	return !cli_stop;
}

static int report(struct rules_run *run, struct rules_screen *screen, struct sluice_err *err)
{
	int e = rules_run_read(run, err);

	if (e)
		return e;
	if (screen) {
		rules_screen_show(screen);
		return 0;
	}
	return (cli.json ? rules_json(run) : rules_plain(run)) ? cli_gone(err) : 0;
}

static int show(struct rules_run *run, struct sluice_err *err)
{
	bool live = cli_is_tty() && !o.lines && !cli.json && !o.count && !o.once;
	uint64_t count = o.once || (!live && !o.interval_given && !o.count) ? 1 : o.count, next, n = 0;
	struct rules_screen *screen = NULL;
	int e = rules_run_read(run, err);

	if (e)
		return e;
	if (live && rules_screen_open(run, &screen))
		cli_warn(&verb, "terminal type '%s' is not known here: lines instead of the screen",
			 getenv("TERM"));
	next = clock_mono_ns();
	/* without rates to wait for, what has just been read is the first report */
	if (!screen && !o.interval_given) {
		e = (cli.json ? rules_json(run) : rules_plain(run)) ? cli_gone(err) : 0;
		n++;
	}
	while (!e && (!count || n < count)) {
		next += run->interval_ns;
		if (next < clock_mono_ns())
			next = clock_mono_ns() + run->interval_ns;
		if (!wait_until(screen, next))
			break;
		if (screen && rules_screen_paused(screen))
			continue;
		e = report(run, screen, err);
		n++;
	}
	rules_screen_close(screen);
	return e;
}

int verb_rules(int argc, char **argv)
{
	struct rules_run run = {.bpffs = NULL};
	struct net_if *ifs = NULL;
	struct sluice_err err = {0};
	char **args;
	int n_args, rc, sort = RULES_TEXT, e = 0;

	o.interval_ns = 1000000000;
	rc = cli_parse(&verb, argc, argv, &args, &n_args);
	if (rc >= 0)
		return rc;
	if (o.sort)
		sort = rules_sort_of(o.sort);
	if (sort < 0)
		return cli_usage(&verb, "cannot sort by '%s': text, packets, bytes, pps or bps", o.sort);
	if (o.interval_ns < 10000000)
		return cli_usage(&verb, "--interval must be at least 10ms");
	if (o.once && o.count_given)
		return cli_usage(&verb, "--once and --count exclude each other");
	run.bpffs = cli.bpffs;
	run.per_if = o.per_if;
	run.interval_ns = o.interval_ns;
	run.limit = o.limit;
	run.sort = (enum rules_sort)sort;
	cli_catch_signals();
	if (n_args)
		e = if_args(args, n_args, &ifs, &run.n_ifs, &err);
	run.ifs = ifs;
	e = e ?: show(&run, &err);
	rules_run_free(&run);
	free(ifs);
	return e ? cli_fail(&verb, &err) : EXIT_DONE;
}
