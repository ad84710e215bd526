/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Verbs that show counters again and again: reports one after the other, on a full screen where there is one. */
#ifndef CMD_LIVE_H
#define CMD_LIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

#include "cmd/cli.h"
#include "cmd/screen.h"

/* What the verb does at each turn; ctx is its own. */
struct live_view {
	int (*read)(void *ctx, struct sluice_err *err);
	int (*print)(void *ctx); /* a report as lines or JSON; not 0: stdout is gone */
	int (*open)(void *ctx, struct screen **screen); /* as screen_new(), and shows what was read */
	void (*show)(struct screen *screen);
	bool (*keys)(struct screen *screen, int wait_ms); /* false: the user wants to quit */
};

/* As the options say. */
struct live_opts {
	uint64_t interval_ns, count; /* count: 0 for ever */
	bool interval_given, once, lines;
};

/* The rows of a verb's options that fill one in. */
#define LIVE_OPTIONS(o)                                                                                     \
	{.name = "interval",                                                                                \
	 .letter = 'i',                                                                                     \
	 .kind = OPT_TIME,                                                                                  \
	 .arg = "TIME",                                                                                     \
	 .to = &(o).interval_ns,                                                                            \
	 .given = &(o).interval_given,                                                                      \
	 .help = "between two readings (default 1s)"},                                                      \
	{.name = "count",                                                                                   \
	 .letter = 'c',                                                                                     \
	 .kind = OPT_U64,                                                                                   \
	 .arg = "N",                                                                                        \
	 .to = &(o).count,                                                                                  \
	 .min = 1,                                                                                          \
	 .help = "stop after N reports"},                                                                   \
	{.name = "once", .letter = '1', .kind = OPT_FLAG, .to = &(o).once, .help = "one report, then stop"}
#define LIVE_OPTION_LINES(o)                                                                                \
	{.name = "lines", .letter = 'l', .kind = OPT_FLAG, .to = &(o).lines, .help = "plain lines on a terminal too"}

/*
 * live_run() reads and shows until that many reports are done, a signal comes (cli_stop) or the user quits. On a terminal it is
 * a screen, unless lines, JSON or a number of reports are asked for; elsewhere one report, unless an interval or a number is
 * given. Without an interval the first report is what is read first, without rates.
 */
int live_run(const struct cli_verb *verb, const struct live_opts *opts, const struct live_view *view, void *ctx,
	     struct sluice_err *err);

/* live_opts_check() complains about options that exclude each other; returns -1, or the exit code. */
int live_opts_check(const struct cli_verb *verb, const struct live_opts *opts);

#endif
