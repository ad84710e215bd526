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

#define ROW_TEXT 256
#define STATE_WIDTH 8
#define WIDE 8	 /* of a column, without the blank before it; */
#define NARROW 6 /* where not all fit: no figure has more than five characters */

struct stats_screen {
	struct screen screen; /* first */
	struct balance_stats *stats;
	int first;		/* column that is shown, of those that do not all fit */
	int name, width, shown; /* width of names and columns, and how many there is room for */
};

/* Those that one asks for least come last: they are behind Right where there is no room. */
static const struct column {
	const char *wide, *narrow;
	enum stats_sort sort; /* by it; STATS_SORTS: none does */
} columns[] = {
	{"PACKETS", "PKTS", STATS_PACKETS}, {"BYTES", "BYTES", STATS_BYTES},
	{"PPS", "PPS", STATS_PPS},	    {"BIT/S", "BIT/S", STATS_BPS},
	{"NEW", "NEW", STATS_NEW},	    {"ACTIVE", "ACTIVE", STATS_FLOWS},
	{"SHARE", "SHARE", STATS_SORTS},    {"TABLE", "TABLE", STATS_SORTS},
	{"SLOT", "SLOT", STATS_SORTS},
};
#define COLUMNS ((int)(sizeof(columns) / sizeof(*columns)))

/* What there is room for, by the longest name. */
static void fit(struct stats_screen *s)
{
	const struct balance_stats *stats = s->stats;
	const struct stats_service *v;
	size_t longest = 20;
	int room;
	uint32_t i;

	for (v = stats->services; v < stats->services + stats->n_services; v++)
		for (i = 0; i < v->n_rows; i++)
			longest = strlen(v->rows[i].name) > longest ? strlen(v->rows[i].name) : longest;
	s->name = (int)longest + 2;
	room = COLS - s->name - 1 - STATE_WIDTH;
	s->width = room >= COLUMNS * (WIDE + 1) ? WIDE : NARROW;
	s->shown = room / (s->width + 1);
	s->shown = s->shown > COLUMNS ? COLUMNS : s->shown < 1 ? 1 : s->shown;
	if (s->first > COLUMNS - s->shown)
		s->first = COLUMNS - s->shown;
}

int stats_screen_open(void *ctx, struct screen **screen)
{
	int e = screen_new(sizeof(struct stats_screen), screen);

	if (e)
		return e;
	((struct stats_screen *)*screen)->stats = ctx;
	stats_screen_show(*screen);
	return 0;
}

/* A line that begins with a name and a state, with figures; what does not fit is cut, not wrapped. */
static void put_line(const struct stats_screen *s, int line, const char *name, const char *state,
		     const char *const *figures)
{
	char text[ROW_TEXT];
	size_t n = (size_t)snprintf(text, sizeof(text), "%-*s %-*s", s->name, name, STATE_WIDTH, state);
	int i;

	for (i = s->first; i < s->first + s->shown && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %*s", s->width, figures[i]);
	mvaddnstr(line, 0, text, COLS);
}

static void head(const struct stats_screen *s)
{
	const struct balance_stats *stats = s->stats;
	const char *names[COLUMNS];
	char name[COLUMNS][12];
	int i;

	mvprintw(0, 0, "sluice balance stats  policy %s  every %gs%s", stats->run.name,
		 (double)stats->interval_ns / 1e9, s->screen.paused ? "  [paused]" : "");
	if (stats->run.trial_ns)
		printw("  [on trial for %.0fs]", (double)stats->run.trial_ns / 1e9);
	if (s->screen.filter[0])
		printw("  filter: %s", s->screen.filter);
	for (i = 0; i < COLUMNS; i++) {
		snprintf(name[i], sizeof(name[i]), "%s%s", stats->sort == columns[i].sort ? "*" : "",
			 s->width == WIDE ? columns[i].wide : columns[i].narrow);
		names[i] = name[i];
	}
	screen_bar(HEAD_LINES - 1);
	attron(A_REVERSE);
	put_line(s, HEAD_LINES - 1, stats->sort == STATS_POLICY ? "*BACKEND" : "BACKEND", "STATE", names);
	attroff(A_REVERSE);
}

static void put_figures(const struct stats_screen *s, int line, const char *name, const char *state,
			const struct stats_figures *f, bool share)
{
	const double v[] = {(double)f->now.packets,
			    (double)f->now.bytes,
			    f->pps,
			    f->bps,
			    (double)f->now.opened,
			    (double)f->flows.kept + f->flows.fresh,
			    0,
			    (double)f->now.known,
			    (double)(f->now.packets - f->now.known)};
	const char *words[COLUMNS];
	char text[COLUMNS][8];
	int i;

	for (i = 0; i < COLUMNS; i++)
		words[i] = text_si(v[i], text[i], sizeof(text[i]));
	words[6] = share ? balance_share(f->share, text[6]) : "";
	put_line(s, line, name, state, words);
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
	put_figures(s, line, v->name, "", &v->all, false);
	attroff(A_BOLD);
}

static void print_row(struct stats_screen *s, const struct stats_row *row)
{
	bool dim = strcmp(row->state, "up") != 0;
	char name[BACKEND_NAME + 2];
	int line;

	if (!next_line(s, &line))
		return;
	snprintf(name, sizeof(name), "  %s", row->name);
	if (dim)
		attron(A_DIM);
	put_figures(s, line, name, row->state, &row->f, true);
	attroff(A_DIM);
}

static void print_reasons(struct stats_screen *s, const char *what, const uint64_t *reasons)
{
	static const char *const words[] = {"notes", "dropped"};
	char text[REASONS_TEXT], all[REASONS_TEXT + 40];
	int line, drops;

	for (drops = 1; drops >= 0; drops--) {
		if (!stats_reasons_text(reasons, drops, text, sizeof(text)) || !next_line(s, &line))
			continue;
		snprintf(all, sizeof(all), "%s %s: %s", what, words[drops], text);
		mvaddnstr(line, 0, all, COLS);
	}
}

/* Is a row to be shown? Of a service whose own name has the text, all are. */
static bool is_wanted(const struct stats_service *v, const struct stats_row *row, const char *filter)
{
	return strstr(v->name, filter) || strstr(row->name, filter) || strstr(row->state, filter);
}

static void print_all(struct stats_screen *s, const struct stats_service *v, const char *filter)
{
	uint32_t i,
		n = s->stats->limit && s->stats->limit < v->n_rows ? (uint32_t)s->stats->limit : v->n_rows;

	for (i = 0; i < n && !is_wanted(v, v->order[i], filter); i++)
		;
	if (i == n && !strstr(v->name, filter))
		return;
	print_service(s, v);
	for (i = 0; i < n; i++)
		if (is_wanted(v, v->order[i], filter))
			print_row(s, v->order[i]);
	print_reasons(s, " ", v->reasons);
}

static void rows(struct stats_screen *s)
{
	const struct balance_stats *stats = s->stats;
	const char *filter = screen_filter(&s->screen);
	uint32_t i;

	s->screen.n_lines = 0;
	for (i = 0; i < stats->n_services; i++)
		print_all(s, &stats->services[i], filter);
	if (!stats->n_wanted && strstr("no service", filter))
		print_reasons(s, "no service", stats->unserved);
}

static void draw(struct stats_screen *s)
{
	static const char *const help[] = {
		"q            quit",
		"1 to 7       sort by policy, packets, bytes, pps, bit/s, new, active; s the next of them",
		"r            by the policy's order or by rate",
		"Up, Down, PgUp, PgDn, Home, End   scroll; Left, Right: columns that there is no room for",
		"p            pause: the screen stands still, counting goes on",
		"/            show only backends and services that contain a text; Enter keeps it, Esc drops "
		"it",
		"h            this help, on and off",
		"",
		"NEW: packets that open connections; ACTIVE: flows in the flow table, of the last minute",
		"TABLE, SLOT: packets that the flow table decided, and that the slot of their hash did",
		"SHARE: of the packets of the service",
	};

	erase();
	fit(s);
	head(s);
	if (s->screen.help)
		screen_help(HEAD_LINES, help, sizeof(help) / sizeof(*help));
	else
		rows(s);
	screen_foot(&s->screen, "",
		    s->shown < COLUMNS
			    ? "q quit  s sort  r by rate  p pause  / filter  Left, Right columns  h help"
			    : "q quit  s sort  r by rate  p pause  / filter  h help");
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
	case KEY_LEFT:
		s->first -= s->first > 0;
		break;
	case KEY_RIGHT: /* no further than to the last: fit() */
		s->first++;
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
