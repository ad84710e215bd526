// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* `sluice rules` on a terminal: the full screen, with its own keys for scrolling and order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cmd/rule_text.h"
#include "cmd/rules_run.h"
#include "cmd/screen.h"

#define HEAD_LINES 2
#define RULE_SHOWN 200
#define WIDE 110 /* columns for which LOGGED, and blanks between the figures, leave enough for the text */

struct rules_screen {
	struct screen screen; /* first */
	struct rules_run *run;
};

int rules_screen_open(void *ctx, struct screen **screen)
{
	int e = screen_new(sizeof(struct rules_screen), screen);

	if (e)
		return e;
	((struct rules_screen *)*screen)->run = ctx;
	rules_screen_show(*screen);
	return 0;
}

static bool is_wide(void)
{
	return COLS >= WIDE;
}

/* Figures of a row, the columns' names, or NULL for none; returns how many columns are left behind them. */
static int figures(int line, const char *const cell[8])
{
	static const int wide[] = {6, 8, 8, 8, 8, 7, 7, 6}, narrow[] = {6, 8, 6, 6, 6, 6, 0, 6};
	const int *width = is_wide() ? wide : narrow;
	int i, at = 0;

	move(line, 0);
	for (i = 0; i < 8; i++) {
		if (!width[i])
			continue;
		printw("%s%*s", i ? " " : "", width[i], cell[i]);
		at += width[i] + (i != 0);
	}
	printw("  ");
	return COLS > at + 2 ? COLS - at - 2 : 0;
}

static void head(const struct rules_screen *s)
{
	static const char *const columns[] = {"", "PACKETS", "BYTES", "PPS", "BIT/S"};
	const struct rules_run *run = s->run;
	char name[5][12];
	int i;

	mvprintw(0, 0, "sluice rules  policy %s  every %gs%s", run->policy, (double)run->interval_ns / 1e9,
		 s->screen.paused ? "  [paused]" : "");
	if (run->trial_ns)
		printw("  [on trial for %.0fs]", (double)run->trial_ns / 1e9);
	if (s->screen.filter[0])
		printw("  filter: %s", s->screen.filter);
	for (i = 0; i < 5; i++)
		snprintf(name[i], sizeof(name[i]), "%s%s", (int)run->sort == i && i ? "*" : "", columns[i]);
	screen_bar(HEAD_LINES - 1);
	attron(A_REVERSE);
	i = figures(HEAD_LINES - 1,
		    (const char *const[]){run->sort == RULES_TEXT ? "*" : "", name[1], name[2], name[3],
					  name[4], "OVER", "LOGGED", "SHARE"});
	printw("%.*s", i, "RULE");
	attroff(A_REVERSE);
}

/* Line number `at` of all, if it is on the screen; returns whether to draw it. */
static bool is_shown(const struct rules_screen *s, uint32_t at, int *line)
{
	*line = HEAD_LINES + (int)(at - s->screen.top);
	return at >= s->screen.top && at - s->screen.top < (uint32_t)screen_room(HEAD_LINES);
}

static void print_group(const struct rules_group *g, int line)
{
	char a[8], b[8], c[8], d[8], text[RULE_SHOWN];
	int room;

	attron(A_BOLD);
	room = figures(line, (const char *const[]){"", text_si((double)g->packets, a, sizeof(a)),
						   text_si((double)g->bytes, b, sizeof(b)),
						   text_si(g->pps, c, sizeof(c)),
						   text_si(g->bps, d, sizeof(d)), "", "", ""});
	snprintf(text, sizeof(text), "%sfilter on %s", g->filter->shadow ? "in shadow: all pass, " : "",
		 g->interfaces);
	printw("%.*s", room, text);
	attroff(A_BOLD);
}

static void print_row(const struct rules_row *row, const char *text, int line)
{
	char a[8], b[8], c[8], d[8], e[8], f[8], number[12] = "-", share[12] = "never";
	int room;

	if (row->stmt)
		snprintf(number, sizeof(number), "%u", row->rule + 1);
	if (!rules_never(row))
		snprintf(share, sizeof(share), "%.1f%%", 100 * row->share);
	else
		attron(A_DIM);
	room = figures(line,
		       (const char *const[]){number, text_si((double)row->now.packets, a, sizeof(a)),
					     text_si((double)row->now.bytes, b, sizeof(b)),
					     text_si(row->pps, c, sizeof(c)), text_si(row->bps, d, sizeof(d)),
					     text_si((double)row->now.over_packets, e, sizeof(e)),
					     text_si((double)row->now.logged, f, sizeof(f)), share});
	printw("%.*s", room, text);
	attroff(A_DIM);
}

static void rows(struct rules_screen *s)
{
	const char *filter = screen_filter(&s->screen);
	const struct rules_group *g;
	char text[RULE_SHOWN];
	uint32_t at = 0, i;
	int line;

	for (g = s->run->groups; g < s->run->groups + s->run->n_groups; g++) {
		if (is_shown(s, at++, &line))
			print_group(g, line);
		for (i = 0; i < g->n_rows && (!s->run->limit || i < s->run->limit); i++) {
			if (filter[0] &&
			    !strstr(rule_named(g->filter, g->order[i]->stmt, text, sizeof(text)), filter))
				continue;
			if (!is_shown(s, at++, &line))
				continue;
			rule_named(g->filter, g->order[i]->stmt, text, sizeof(text));
			print_row(g->order[i], text, line);
		}
	}
	s->screen.n_lines = at;
}

static void draw(struct rules_screen *s)
{
	static const char *const help[] = {
		"q            quit",
		"1 to 5       sort by text, packets, bytes, pps, bit/s; s the next of them",
		"r            by text or by rate",
		"Up, Down, PgUp, PgDn, Home, End   scroll",
		"p            pause: the screen stands still, counting goes on",
		"/            show only rules that contain a text; Enter keeps it, Esc drops it",
		"h            this help, on and off",
		"",
		"never: no packet has matched since the rule is in force",
		"SHARE: of the packets of its filter",
		"OVER: packets beyond the rule's limit, dropped; PACKETS are those within",
		"LOGGED is shown where there are 110 columns",
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

void rules_screen_show(struct screen *screen)
{
	draw((struct rules_screen *)screen);
}

static void sort_by(struct rules_screen *s, enum rules_sort sort)
{
	uint32_t i;

	s->run->sort = sort;
	for (i = 0; i < s->run->n_groups; i++)
		rules_run_order(s->run, &s->run->groups[i]);
}

bool rules_screen_keys(struct screen *screen, int wait_ms)
{
	struct rules_screen *s = (struct rules_screen *)screen;
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
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
		sort_by(s, (enum rules_sort)(key - '1'));
		break;
	case 's':
		sort_by(s, (enum rules_sort)((s->run->sort + 1) % RULES_SORTS));
		break;
	case 'r':
		sort_by(s, s->run->sort == RULES_TEXT ? RULES_PPS : RULES_TEXT);
		break;
	default: /* anything else is only drawn anew */
		screen_scroll(&s->screen, key, screen_room(HEAD_LINES));
		break;
	}
	draw(s);
	return true;
}
