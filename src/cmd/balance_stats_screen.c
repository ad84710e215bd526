// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* `sluice balance stats` on a terminal: the full screen, with its own keys for scrolling and order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cmd/balance_stats.h"
#include "cmd/screen.h"

#define HEAD_LINES 2
#define REASONS_TEXT 256

struct stats_screen {
	struct screen screen; /* first */
	struct balance_stats *stats;
};

int stats_screen_open(void *ctx, struct screen **screen)
{
	int e = screen_new(sizeof(struct stats_screen), screen);

	if (e)
		return e;
	((struct stats_screen *)*screen)->stats = ctx;
	stats_screen_show(*screen);
	return 0;
}

static void head(const struct stats_screen *s)
{
	static const char *const columns[] = {"", "PACKETS", "BYTES", "PPS", "BIT/S", "NEW", "ACTIVE"};
	const struct balance_stats *stats = s->stats;
	char name[7][12];
	int i;

	mvprintw(0, 0, "sluice balance stats  policy %s  every %gs%s", stats->run.name,
		 (double)stats->interval_ns / 1e9, s->screen.paused ? "  [paused]" : "");
	if (stats->run.trial_ns)
		printw("  [on trial for %.0fs]", (double)stats->run.trial_ns / 1e9);
	if (s->screen.filter[0])
		printw("  filter: %s", s->screen.filter);
	for (i = 0; i < 7; i++)
		snprintf(name[i], sizeof(name[i]), "%s%s", (int)stats->sort == i && i ? "*" : "", columns[i]);
	screen_bar(HEAD_LINES - 1);
	attron(A_REVERSE);
	mvprintw(HEAD_LINES - 1, 0, "%-24s %-8s %8s %8s %8s %8s %8s %8s %8s %8s %6s",
		 stats->sort == STATS_POLICY ? "*BACKEND" : "BACKEND", "STATE", name[1], name[2], name[3],
		 name[4], name[5], name[6], "TABLE", "SLOT", "SHARE");
	attroff(A_REVERSE);
}

static void print_figures(const struct stats_figures *f)
{
	char t[8][8];

	printw(" %8s %8s %8s %8s %8s %8s %8s %8s", text_si((double)f->now.packets, t[0], 8),
	       text_si((double)f->now.bytes, t[1], 8), text_si(f->pps, t[2], 8), text_si(f->bps, t[3], 8),
	       text_si((double)f->now.opened, t[4], 8),
	       text_si((double)f->flows.kept + f->flows.fresh, t[5], 8),
	       text_si((double)f->now.known, t[6], 8),
	       text_si((double)(f->now.packets - f->now.known), t[7], 8));
}

/* Where the next line goes, if it is on the screen; counts it either way. */
static bool next_line(struct stats_screen *s, int *line)
{
	uint32_t at = s->screen.n_lines++;

	*line = HEAD_LINES + (int)(at - s->screen.top);
	return at >= s->screen.top && at - s->screen.top < (uint32_t)screen_room(HEAD_LINES);
}

static void print_service(struct stats_screen *s, const struct stats_service *v)
{
	int line;

	if (!next_line(s, &line))
		return;
	attron(A_BOLD);
	mvprintw(line, 0, "%-24s %-8s", v->name, "");
	print_figures(&v->all);
	attroff(A_BOLD);
}

static void print_row(struct stats_screen *s, const struct stats_row *row)
{
	bool dim = strcmp(row->state, "up") != 0;
	int line;

	if (!next_line(s, &line))
		return;
	if (dim)
		attron(A_DIM);
	mvprintw(line, 0, "  %-22s %-8s", row->name, row->state);
	print_figures(&row->f);
	printw(" %5.1f%%", 100 * row->f.share);
	attroff(A_DIM);
}

static void print_reasons(struct stats_screen *s, const char *what, const uint64_t *reasons)
{
	char text[REASONS_TEXT];
	int line;

	if (stats_reasons_text(reasons, true, text, sizeof(text)) && next_line(s, &line))
		mvprintw(line, 0, "%s dropped: %.*s", what, COLS > 40 ? COLS - 25 : 15, text);
	if (stats_reasons_text(reasons, false, text, sizeof(text)) && next_line(s, &line))
		mvprintw(line, 0, "%s notes: %.*s", what, COLS > 40 ? COLS - 25 : 15, text);
}

static void rows(struct stats_screen *s)
{
	const struct balance_stats *stats = s->stats;
	const char *filter = screen_filter(&s->screen);
	const struct stats_service *v;
	bool all;
	uint32_t i;

	s->screen.n_lines = 0;
	for (v = stats->services; v < stats->services + stats->n_services; v++) {
		all = !filter[0] || strstr(v->name, filter);
		print_service(s, v);
		for (i = 0; i < v->n_rows && (!stats->limit || i < stats->limit); i++)
			if (all || strstr(v->order[i]->name, filter) || strstr(v->order[i]->state, filter))
				print_row(s, v->order[i]);
		print_reasons(s, " ", v->reasons);
	}
	if (!stats->n_wanted)
		print_reasons(s, "no service:", stats->unserved);
}

static void draw(struct stats_screen *s)
{
	static const char *const help[] = {
		"q            quit",
		"1 to 7       sort by policy, packets, bytes, pps, bit/s, new, active; s the next of them",
		"r            by the policy's order or by rate",
		"Up, Down, PgUp, PgDn, Home, End   scroll",
		"p            pause: the screen stands still, counting goes on",
		"/            show only backends and services that contain a text; Enter keeps it, Esc drops "
		"it",
		"h            this help, on and off",
		"",
		"NEW: connections that were opened; ACTIVE: flows in the flow table, of the last minute",
		"TABLE, SLOT: packets that the flow table decided, and that the slot of their hash did",
		"SHARE: of the packets of the service",
	};

	erase();
	head(s);
	if (s->screen.help)
		screen_help(HEAD_LINES, help, sizeof(help) / sizeof(*help));
	else
		rows(s);
	screen_foot(&s->screen, "", "q quit  s sort  r by rate  p pause  / filter  h help");
	refresh();
}

void stats_screen_show(struct screen *screen)
{
	draw((struct stats_screen *)screen);
}

static void sort_by(struct stats_screen *s, enum stats_sort sort)
{
	s->stats->sort = sort;
	balance_stats_order(s->stats);
}

bool stats_screen_keys(struct screen *screen, int wait_ms)
{
	struct stats_screen *s = (struct stats_screen *)screen;
	int key = screen_key(&s->screen, wait_ms);

	switch (key) {
	case SCREEN_QUIT:
		return false;
	case SCREEN_NOTHING:
		return true;
	case SCREEN_DRAW: /* fewer lines may be left, or more room */
		draw(s);
		screen_scroll(&s->screen, 0, screen_room(HEAD_LINES));
		break;
	case 's':
		sort_by(s, (enum stats_sort)((s->stats->sort + 1) % STATS_SORTS));
		break;
	case 'r':
		sort_by(s, s->stats->sort == STATS_POLICY ? STATS_PPS : STATS_POLICY);
		break;
	default: /* a number of a column; anything else is only drawn anew */
		if (key >= '1' && key < '1' + STATS_SORTS)
			sort_by(s, (enum stats_sort)(key - '1'));
		else
			screen_scroll(&s->screen, key, screen_room(HEAD_LINES));
		break;
	}
	draw(s);
	return true;
}
