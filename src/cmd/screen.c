// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A full screen of rows: the terminal, and the keys that mean the same wherever rows are counted. */
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/screen.h"

int screen_new(size_t size, struct screen **to)
{
	struct screen *s = calloc(1, size);

	*to = NULL;
	if (!s)
		return -ENOMEM;
	setlocale(LC_CTYPE, "");
	s->terminal = newterm(NULL, stdout, stdin);
	if (!s->terminal) {
		free(s);
		return -ENOTTY;
	}
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	*to = s;
	return 0;
}

void screen_free(struct screen *s)
{
	if (!s)
		return;
	endwin();
	delscreen(s->terminal);
	free(s);
}

int screen_room(int head)
{
	return LINES > head + 1 ? LINES - head - 1 : 0;
}

const char *screen_filter(const struct screen *s)
{
	return s->editing ? s->edited : s->filter;
}

static void edit(struct screen *s, int key)
{
	size_t n = strlen(s->edited);

	if (key == '\n' || key == '\r' || key == KEY_ENTER) {
		memcpy(s->filter, s->edited, sizeof(s->filter));
		s->editing = false;
	} else if (key == 27) {
		s->filter[0] = '\0';
		s->editing = false;
	} else if ((key == KEY_BACKSPACE || key == 127 || key == 8) && n) {
		s->edited[n - 1] = '\0';
	} else if (key > 0 && key < 128 && isprint(key) && n + 1 < sizeof(s->edited)) {
		s->edited[n] = (char)key;
		s->edited[n + 1] = '\0';
	}
}

int screen_key(struct screen *s, int wait_ms)
{
	int key;

	timeout(wait_ms);
	key = getch();
	if (key == ERR)
		return SCREEN_NOTHING;
	if (s->editing) {
		edit(s, key);
		return SCREEN_DRAW;
	}
	switch (key) {
	case 'q':
	case 'Q':
		return SCREEN_QUIT;
	case 'p':
		s->paused = !s->paused;
		return SCREEN_DRAW;
	case '/':
		s->editing = true;
		s->edited[0] = '\0';
		return SCREEN_DRAW;
	case 'h':
	case '?':
		s->help = !s->help;
		return SCREEN_DRAW;
	case 27:
		s->filter[0] = '\0';
		return SCREEN_DRAW;
	case KEY_RESIZE:
		return SCREEN_DRAW;
	default:
		return key;
	}
}

void screen_bar(int line)
{
	attron(A_REVERSE);
	mvhline(line, 0, ' ', COLS);
	attroff(A_REVERSE);
}

/* As much of a text as fits into room: up to a blank, if there is one. */
static int fitting(const char *text, int room)
{
	int n = (int)strlen(text), k;

	if (n <= room)
		return n;
	for (k = room; k > 0 && text[k] != ' '; k--)
		;
	return k > 0 ? k : room;
}

void screen_help(int from, const char *const *lines, size_t n)
{
	int width = COLS > 40 ? COLS - 3 : 37, line = from, hang, left, len;
	const char *at;
	size_t i;

	for (i = 0; i < n; i++) {
		at = strstr(lines[i], "  "); /* behind the key and its blanks what goes on begins */
		hang = at ? (int)(at - lines[i]) + (int)strspn(at, " ") : 0;
		hang = hang > width / 2 ? 2 : hang;
		for (at = lines[i], left = 0;; left = hang) {
			len = fitting(at, width - left);
			if (line < LINES - 1)
				mvaddnstr(line, 2 + left, at, len);
			line++;
			at += len;
			at += strspn(at, " ");
			if (!*at)
				break;
		}
	}
}

void screen_foot(const struct screen *s, const char *message, const char *keys)
{
	if (s->editing)
		mvprintw(LINES - 1, 0, "filter: %s_", s->edited);
	else
		mvprintw(LINES - 1, 0, "%s", message[0] ? message : keys);
}

void screen_scroll(struct screen *s, int key, int room)
{
	int64_t top = s->top, last = (int64_t)s->n_lines - room;

	switch (key) {
	case KEY_UP:
		top--;
		break;
	case KEY_DOWN:
		top++;
		break;
	case KEY_PPAGE:
		top -= room;
		break;
	case KEY_NPAGE:
		top += room;
		break;
	case KEY_HOME:
		top = 0;
		break;
	case KEY_END:
		top = s->n_lines;
		break;
	}
	top = top > last ? last : top;
	s->top = top > 0 ? (uint32_t)top : 0;
}
