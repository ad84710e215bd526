// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice top: who is sending, live. Attaches an observer to each interface, reads once an interval, shows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "cmd/cli.h"
#include "cmd/if_args.h"
#include "cmd/top_run.h"

#define CHECK_NS 500000000u /* how often an interface is looked at: still there, chain changed? */
#define DEFAULT_ROWS 20

static struct {
	uint64_t interval_ns, count, limit;
	const char *by, *sort, *mode;
	bool once, per_if, lines;
	bool count_given, limit_given;
} o;

static const struct cli_opt options[] = {
	{.name = "by",
	 .letter = 'b',
	 .kind = OPT_TEXT,
	 .arg = "KEY",
	 .to = &o.by,
	 .help = "src, dst, prefix/N[/N6], flow, port, proto, vlan or if (default src)"},
	{.name = "interval",
	 .letter = 'i',
	 .kind = OPT_TIME,
	 .arg = "TIME",
	 .to = &o.interval_ns,
	 .help = "between two reports (default 1s)"},
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
	 .min = 0,
	 .max = 1000000,
	 .given = &o.limit_given,
	 .help = "rows of a report (default 20; on a screen what fits)"},
	{.name = "sort",
	 .letter = 's',
	 .kind = OPT_TEXT,
	 .arg = "COLUMN",
	 .to = &o.sort,
	 .help = "packets, bytes, pps, bps or addr (default packets)"},
	{.name = "per-if", .kind = OPT_FLAG, .to = &o.per_if, .help = "keep the interfaces apart"},
	{.name = "mode",
	 .letter = 'm',
	 .kind = OPT_TEXT,
	 .arg = "MODE",
	 .to = &o.mode,
	 .help = "auto, native, generic or offload (default auto)"},
	{.name = "lines",
	 .letter = 'l',
	 .kind = OPT_FLAG,
	 .to = &o.lines,
	 .help = "plain lines on a terminal too"},
	{0},
};

static const struct cli_verb verb = {
	.name = "top",
	.usage = "IF[,IF...]... [OPTION...]",
	.summary = "who is sending, live",
	.text = "Interfaces are names and globs: sluice top eth0 'veth*'. On a terminal q quits and h tells "
		"the other keys.\n"
		"Figures add up: packets seen = all keys + overflow (no place in the kernel's table) + "
		"untracked\n"
		"(keys given up). Bytes are those of whole frames with the Ethernet header.\n\n"
		"  sluice top eth0                     the largest senders, every second\n"
		"  sluice top eth0 --by prefix/24      by network\n"
		"  sluice top eth0 --once --json       one report for a program\n",
	.opts = options,
	.min_args = 1,
	.max_args = -1,
};

/* All interfaces that the arguments name, each once. */
static int find_ifs(struct top_run *run, char **args, int n_args, struct sluice_err *err)
{
	struct net_if *ifs = NULL;
	size_t n, i;
	int rc = if_args(args, n_args, &ifs, &n, err);

	if (rc)
		return rc;
	run->ifs = calloc(n, sizeof(*run->ifs));
	if (!run->ifs) {
		free(ifs);
		return err_nomem(err);
	}
	for (i = 0; i < n; i++)
		run->ifs[i].id = ifs[i];
	run->n_ifs = n;
	free(ifs);
	return 0;
}

static int attach(struct top_run *run, enum sluice_mode mode, struct sluice_err *err)
{
	struct sluice_attach_opts opts = {.mode = mode, .bpffs = cli.bpffs};
	struct top_if *f;
	size_t i;
	int rc;

	for (i = 0; i < run->n_ifs; i++) {
		f = &run->ifs[i];
		rc = sluice_observer_open(f->id.index, sluice_top_program(run->top, false),
					  sluice_top_program(run->top, true), &opts, &f->obs, &f->got, err);
		if (rc) {
			err_prefix(err, "attaching to %s", f->id.name);
			return rc;
		}
		run->n_alive++;
		if (f->got.mode != SLUICE_MODE_NATIVE && mode != f->got.mode)
			cli_warn(&verb, "%s: counting in %s mode%s%s", f->id.name,
				 sluice_mode_name(f->got.mode), f->got.why[0] ? ": " : "", f->got.why);
	}
	return 0;
}

static void detach(struct top_run *run)
{
	size_t i;

	for (i = 0; i < run->n_ifs; i++) {
		sluice_observer_close(run->ifs[i].obs);
		run->ifs[i].obs = NULL;
	}
}

/*
 * Mends observers whose chain was changed, and lets go of interfaces that are no more. -ENODEV when none is
 * left.
 */
static int look_after(struct top_run *run, bool on_screen, struct sluice_err *err)
{
	struct top_if *f;
	size_t i;
	int rc;

	for (i = 0; i < run->n_ifs; i++) {
		f = &run->ifs[i];
		if (!f->obs)
			continue;
		rc = sluice_observer_check(f->obs, err);
		if (!rc)
			continue;
		if (rc != -ENODEV) {
			err_prefix(err, "%s", f->id.name);
			return rc;
		}
		sluice_observer_close(f->obs);
		f->obs = NULL;
		run->n_alive--;
		if (!run->n_alive)
			return err_set(err, -ENODEV, "interface %s is gone, none is left to watch",
				       f->id.name);
		snprintf(run->message, sizeof(run->message),
			 "interface %s is gone, going on with the other%s", f->id.name,
			 run->n_alive > 1 ? "s" : "");
		if (!on_screen)
			cli_warn(&verb, "%s", run->message);
	}
	return 0;
}

struct loop {
	struct top_screen *screen;
	uint64_t next_ns, check_ns, n_reports;
};

/* Waits for a moment, or a key; false: the user wants to quit. */
static bool wait_a_while(struct loop *l)
{
	uint64_t now = clock_mono_ns(), left = l->next_ns > now ? l->next_ns - now : 0;
	struct timespec t = {0};

	if (left > SLUICE_TOP_POLL_MS * 1000000u)
		left = SLUICE_TOP_POLL_MS * 1000000u;
	if (l->screen)
		return top_screen_keys(l->screen, (int)(left / 1000000u) + 1);
	t.tv_nsec = (long)left;
	nanosleep(&t, NULL);
	return true;
}

static int report_now(struct top_run *run, struct loop *l, struct sluice_err *err)
{
	size_t rows = run->limit;
	struct sluice_top_report *report;
	int rc;

	if (l->screen)
		rows = top_screen_rows_wanted(l->screen);
	rc = sluice_top_read(run->top, run->sort, rows, &report, err);
	if (rc)
		return rc;
	l->n_reports++;
	if (l->screen) {
		top_screen_show(l->screen, report);
		return 0;
	}
	rc = cli.json ? top_json_report(run, report) : top_plain_report(run, report);
	free(report);
	return rc ? cli_gone(err) : 0;
}

static int run_loop(struct top_run *run, struct loop *l, struct sluice_err *err)
{
	uint64_t now = clock_mono_ns();
	int rc = 0;

	l->next_ns = now + run->interval_ns;
	l->check_ns = now + CHECK_NS;
	while (!cli_stop && !rc && (!run->count || l->n_reports < run->count)) {
		if (!wait_a_while(l) || cli_stop)
			break;
		rc = sluice_top_poll(run->top, err);
		now = clock_mono_ns();
		if (!rc && now >= l->check_ns) {
			rc = look_after(run, l->screen != NULL, err);
			l->check_ns = now + CHECK_NS;
		}
		if (rc || now < l->next_ns)
			continue;
		if (!l->screen || !top_screen_paused(l->screen))
			rc = report_now(run, l, err);
		l->next_ns += run->interval_ns;
		if (l->next_ns < now) /* the machine slept, or the interval is shorter than a report takes */
			l->next_ns = now + run->interval_ns;
	}
	return rc;
}

static int show(struct top_run *run, struct sluice_err *err)
{
	struct loop l = {0};
	int rc;

	if (cli_is_tty() && !o.lines && !cli.json && !run->count)
		if (top_screen_open(run, &l.screen))
			cli_warn(&verb, "terminal type '%s' is not known here: lines instead of the screen", getenv("TERM"));
	if (l.screen && !o.limit_given)
		run->limit = 0; /* what fits */
	if (!l.screen && !cli.json && top_plain_head(run))
		return cli_gone(err);
	rc = run_loop(run, &l, err);
	top_screen_close(l.screen);
	if (l.screen && run->message[0])
		cli_warn(&verb, "%s", run->message);
	return rc;
}

static int settle(struct top_run *run, enum sluice_mode *mode, struct sluice_err *err)
{
	int rc = 0;

	if (o.by)
		rc = sluice_top_by_parse(o.by, &run->opts, err);
	if (!rc && o.sort)
		rc = sluice_top_sort_parse(o.sort, &run->sort, err);
	if (!rc && o.mode)
		rc = sluice_mode_parse(o.mode, mode, err);
	if (!rc && run->interval_ns < 10000000)
		rc = err_set(err, -EINVAL, "--interval must be at least 10ms");
	if (!rc && o.once && o.count_given)
		rc = err_set(err, -EINVAL, "--once and --count exclude each other");
	return rc;
}

int verb_top(int argc, char **argv)
{
	enum sluice_mode mode = SLUICE_MODE_AUTO;
	struct top_run run = {0};
	struct sluice_err err = {0};
	char **args;
	int n_args, rc;

	o.interval_ns = 1000000000;
	o.limit = DEFAULT_ROWS;
	rc = cli_parse(&verb, argc, argv, &args, &n_args);
	if (rc >= 0)
		return rc;
	run.interval_ns = o.interval_ns;
	run.count = o.once ? 1 : o.count;
	run.limit = o.limit;
	run.opts.per_if = o.per_if;
	if (settle(&run, &mode, &err))
		return cli_usage(&verb, "%s", err.text);
	cli_catch_signals();
	rc = find_ifs(&run, args, n_args, &err);
	if (!rc)
		rc = sluice_top_open(&run.opts, &run.top, &err);
	if (!rc)
		rc = attach(&run, mode, &err);
	if (!rc)
		rc = show(&run, &err);
	detach(&run);
	sluice_top_close(run.top);
	free(run.ifs);
	return rc ? cli_fail(&verb, &err) : EXIT_DONE;
}
