// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* `sluice top` on a terminal: the full screen, its keys, and the terminal as it was afterwards. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cmd/screen.h"
#include "cmd/top_run.h"

#define HEAD_LINES 4	     /* above the rows */
#define ROWS_AT_HAND 1000    /* fetched, so that sorting anew shows at once */
#define ROWS_TO_SEARCH 65536 /* fetched when a filter is set */

struct top_screen {
	struct screen screen; /* first */
	struct top_run *run;
	struct sluice_top_report *report;    /* the one shown, NULL before the first */
	const struct sluice_top_row **shown; /* what of it, in what order */
	size_t n_shown;
	struct sluice_top_row *frozen; /* the order to keep; figures are not looked at */
	size_t n_frozen;
	bool freeze;
};

int top_screen_open(struct top_run *run, struct top_screen **screen)
{
	struct screen *s;
	int e = screen_new(sizeof(**screen), &s);

	*screen = (struct top_screen *)s;
	if (e)
		return e;
	(*screen)->run = run;
	top_screen_show(*screen, NULL);
	return 0;
}

void top_screen_close(struct top_screen *s)
{
	if (!s)
		return;
	free(s->report);
	free(s->shown);
	free(s->frozen);
	screen_free(&s->screen);
}

bool top_screen_paused(const struct top_screen *s)
{
	return s->screen.paused;
}

size_t top_screen_rows_wanted(const struct top_screen *s)
{
	return s->screen.filter[0] || s->freeze ? ROWS_TO_SEARCH : ROWS_AT_HAND;
}

static int order(const void *a, const void *b, void *context)
{
	const struct sluice_top_row *x = *(const struct sluice_top_row *const *)a;
	const struct sluice_top_row *y = *(const struct sluice_top_row *const *)b;
	enum sluice_top_sort sort = ((const struct top_screen *)context)->run->sort;
	uint64_t n = x->now.packets, m = y->now.packets;

	if (sort == SLUICE_TOP_SORT_ADDR)
		return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1)
					  : memcmp(x, y, offsetof(struct sluice_top_row, now));
	if (sort == SLUICE_TOP_SORT_BYTES || sort == SLUICE_TOP_SORT_BPS) {
		n = x->now.bytes;
		m = y->now.bytes;
	}
	return n != m ? (n > m ? -1 : 1) : (x > y) - (x < y);
}

static bool same_key(const struct sluice_top_row *a, const struct sluice_top_row *b)
{
	return !memcmp(a, b, offsetof(struct sluice_top_row, now));
}

/* Rows that were on the screen when the order was frozen go to their old places; the others follow. */
static void keep_order(struct top_screen *s)
{
	size_t at = 0, f, i;
	const struct sluice_top_row *row;

	for (f = 0; f < s->n_frozen; f++) {
		for (i = at; i < s->n_shown && !same_key(s->shown[i], &s->frozen[f]); i++)
			;
		if (i == s->n_shown)
			continue;
		row = s->shown[i];
		memmove(&s->shown[at + 1], &s->shown[at], (i - at) * sizeof(s->shown[0]));
		s->shown[at++] = row;
	}
}

/* Chooses the rows to show and their order. */
static void choose(struct top_screen *s)
{
	const char *filter = screen_filter(&s->screen);
	char key[SLUICE_TOP_TEXT_MAX + 32];
	size_t i;

	s->n_shown = 0;
	if (!s->report)
		return;
	free(s->shown);
	s->shown = calloc(s->report->n_rows + 1, sizeof(s->shown[0]));
	for (i = 0; s->shown && i < s->report->n_rows; i++)
		if (!filter[0] ||
		    strstr(top_run_key_text(s->run, &s->report->row[i], key, sizeof(key)), filter))
			s->shown[s->n_shown++] = &s->report->row[i];
	if (!s->shown)
		return;
	qsort_r(s->shown, s->n_shown, sizeof(s->shown[0]), order, s);
	if (s->freeze)
		keep_order(s);
}

static void head(const struct top_screen *s)
{
	const struct sluice_top_report *r = s->report;
	const struct top_run *run = s->run;
	char ifs[1024], by[24], a[8], b[8], c[8], d[8];
	double seconds, seen;

	mvprintw(0, 0, "sluice top  %s  by %s%s  every %gs%s%s", top_run_ifs_text(run, ifs, sizeof(ifs)),
		 top_run_by_text(run, by, sizeof(by)), run->opts.per_if ? " and interface" : "",
		 (double)run->interval_ns / 1e9, s->screen.paused ? "  [paused]" : "",
		 s->freeze ? "  [order frozen]" : "");
	if (!r) {
		mvprintw(1, 0, "counting...");
		return;
	}
	seconds = (double)r->ns / 1e9;
	seen = r->now.seen.packets ? (double)r->now.seen.packets : 1;
	mvprintw(1, 0, "now    %s packets/s  %sbit/s  %zu key%s",
		 text_si((double)r->now.seen.packets / seconds, a, sizeof(a)),
		 text_si((double)r->now.seen.bytes * 8 / seconds, b, sizeof(b)), r->n_keys, r->n_keys == 1 ? "" : "s");
	if (r->now.overflow.packets || r->now.untracked.packets)
		printw("  not by key: overflow %.1f%%, untracked %.1f%%",
		       100 * (double)r->now.overflow.packets / seen,
		       100 * (double)r->now.untracked.packets / seen);
	mvprintw(2, 0, "total  %s packets  %sB in %.0fs",
		 text_si((double)r->total.seen.packets, c, sizeof(c)),
		 text_si((double)r->total.seen.bytes, d, sizeof(d)), (double)r->start_ns / 1e9);
	if (s->screen.filter[0])
		printw("   filter: %s", s->screen.filter);
}

static void columns(const struct top_screen *s, int width)
{
	static const char *const names[] = {"PACKETS", "BYTES", "PPS", "BIT/S"};
	char name[16];
	int i;

	screen_bar(HEAD_LINES - 1);
	attron(A_REVERSE);
	mvprintw(HEAD_LINES - 1, 0, "%sKEY", s->run->sort == SLUICE_TOP_SORT_ADDR ? "*" : "");
	for (i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "%s%s", (int)s->run->sort == i ? "*" : "", names[i]);
		mvprintw(HEAD_LINES - 1, width + i * 9, "%8s", name);
	}
	mvprintw(HEAD_LINES - 1, width + 36, "  SHARE");
	attroff(A_REVERSE);
}

static void rows(const struct top_screen *s)
{
	bool by_bytes = s->run->sort == SLUICE_TOP_SORT_BYTES || s->run->sort == SLUICE_TOP_SORT_BPS;
	int width = COLS - 44 > 15 ? COLS - 44 : 15, line;
	char key[SLUICE_TOP_TEXT_MAX + 32], a[8], b[8], c[8], d[8];
	const struct sluice_top_row *row;
	size_t i;

	if (width > 72)
		width = 72;
	columns(s, width);
	for (i = 0; i < s->n_shown; i++) {
		line = HEAD_LINES + (int)i;
		if (line >= LINES - 1 || (s->run->limit && i >= s->run->limit))
			break;
		row = s->shown[i];
		top_run_key_text(s->run, row, key, sizeof(key));
		mvprintw(line, 0, "%-*.*s %8s %8s %8s %8s %5.1f%%", width - 1, width - 1, key,
			 text_si((double)row->now.packets, a, sizeof(a)),
			 text_si((double)row->now.bytes, b, sizeof(b)), text_si(row->pps, c, sizeof(c)),
			 text_si(row->bps, d, sizeof(d)),
			 100 * (by_bytes ? row->share_bytes : row->share_packets));
	}
}

static void draw(struct top_screen *s)
{
	static const char *const help[] = {
		"q        quit",
		"1 to 5   sort by packets, bytes, pps, bit/s, key; s the next of them",
		"p        pause: the screen stands still, counting goes on",
		"f        freeze the order of the rows; figures go on changing",
		"/        show only keys that contain a text; Enter keeps it, Esc drops it",
		"h        this help, on and off",
		"",
		"packets seen = all keys + overflow (no place in the kernel's table) + untracked (given up)",
	};

	erase();
	choose(s);
	head(s);
	if (s->screen.help)
		screen_help(HEAD_LINES, help, sizeof(help) / sizeof(*help));
	else
		rows(s);
	screen_foot(&s->screen, s->run->message, "q quit  s sort  p pause  f freeze  / filter  h help");
	refresh();
}

void top_screen_show(struct top_screen *s, struct sluice_top_report *report)
{
	if (report) {
		free(s->report);
		s->n_shown = 0;
		s->report = report;
	}
	draw(s);
}

static void toggle_freeze(struct top_screen *s)
{
	size_t i, n = s->n_shown < (size_t)LINES ? s->n_shown : (size_t)LINES;

	s->freeze = !s->freeze;
	free(s->frozen);
	s->n_frozen = 0;
	s->frozen = s->freeze ? calloc(n + 1, sizeof(s->frozen[0])) : NULL;
	for (i = 0; s->frozen && i < n; i++)
		s->frozen[s->n_frozen++] = *s->shown[i];
}

bool top_screen_keys(struct top_screen *s, int wait_ms)
{
	int key = screen_key(&s->screen, wait_ms);

	switch (key) {
	case SCREEN_QUIT:
		return false;
	case SCREEN_NOTHING:
		return true;
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
		s->run->sort = (enum sluice_top_sort)(key - '1');
		break;
	case 's':
		s->run->sort = (enum sluice_top_sort)((s->run->sort + 1) % (SLUICE_TOP_SORT_ADDR + 1));
		break;
	case 'f':
		toggle_freeze(s);
		break;
	default: /* only drawn anew */
		break;
	}
	draw(s);
	return true;
}
