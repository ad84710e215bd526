// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counters shown again and again. See live.h. */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "cmd/live.h"

#define POLL_NS 50000000u
#define LEAST_NS 10000000u

/* Waits for the next reading; false: the user wants to quit. */
static bool wait_until(const struct live_view *view, struct screen *screen, uint64_t next_ns)
{
	struct timespec t = {0};
	uint64_t now;

	while (!cli_stop && (now = clock_mono_ns()) < next_ns) {
		t.tv_nsec = next_ns - now < POLL_NS ? (long)(next_ns - now) : POLL_NS;
		if (!screen)
			nanosleep(&t, NULL);
		else if (!view->keys(screen, (int)(t.tv_nsec / 1000000) + 1))
			return false;
	}
	return !cli_stop;
}

static int report(const struct live_view *view, struct screen *screen, void *ctx, struct sluice_err *err)
{
	int e = view->read(ctx, err);

	if (e)
		return e;
	if (!screen)
		return view->print(ctx) ? cli_gone(err) : 0;
	view->show(screen);
	return 0;
}

int live_run(const struct cli_verb *verb, const struct live_opts *o, const struct live_view *view, void *ctx,
	     struct sluice_err *err)
{
	bool live = cli_is_tty() && !o->lines && !cli.json && !o->count && !o->once;
	uint64_t count = o->once || (!live && !o->interval_given && !o->count) ? 1 : o->count, next, n = 0;
	struct screen *screen = NULL;
	int e = view->read(ctx, err);

	if (e)
		return e;
	if (live && view->open(ctx, &screen))
		cli_warn(verb, "terminal type '%s' is not known here: lines instead of the screen", getenv("TERM") ?: "");
	next = clock_mono_ns();
	/* without rates to wait for, what has just been read is the first report */
	if (!screen && !o->interval_given) {
		e = view->print(ctx) ? cli_gone(err) : 0;
		n++;
	}
	while (!e && (!count || n < count)) {
		next += o->interval_ns;
		if (next < clock_mono_ns())
			next = clock_mono_ns() + o->interval_ns;
		if (!wait_until(view, screen, next))
			break;
		if (screen && screen->paused)
			continue;
		e = report(view, screen, ctx, err);
		n++;
	}
	screen_free(screen);
	return e;
}

int live_opts_check(const struct cli_verb *verb, const struct live_opts *o)
{
	if (o->interval_ns < LEAST_NS)
		return cli_usage(verb, "--interval must be at least 10ms");
	if (o->once && o->count)
		return cli_usage(verb, "--once and --count exclude each other");
	return -1;
}
