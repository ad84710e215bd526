/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A full screen of rows that are counted, as `sluice top` and `sluice rules` have it: the terminal, the keys that
 * mean the same in both, and the terminal as it was afterwards. What is drawn is the verb's.
 */
#ifndef CMD_SCREEN_H
#define CMD_SCREEN_H

#include <curses.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct screen {
	SCREEN *terminal;
	bool paused, help, editing;
	char filter[64], edited[64]; /* what rows have to contain; while it is typed */
	uint32_t top, n_lines;	     /* of rows that scroll: the first that is shown, of how many */
};

/*
 * screen_new() makes a verb's screen: size zeroed bytes that begin with a struct screen, which *s points to, and takes the
 * terminal. screen_free() puts the terminal back; NULL is allowed.
 * errors:  -ENOTTY the terminal cannot do it; then lines it is; -ENOMEM
 */
int screen_new(size_t size, struct screen **s);
void screen_free(struct screen *s);

/* screen_room() is how many lines there are for rows below `head` lines and above the last one. */
int screen_room(int head);

/*
 * screen_key() waits at most wait_ms for a key.
 *
 * returns: SCREEN_QUIT the user wants to quit; SCREEN_NOTHING no key; SCREEN_DRAW a key that was seen to here
 *          (p pause, h or ? help, / and Esc the filter, the size has changed), or the key
 */
enum { SCREEN_QUIT = -3, SCREEN_NOTHING = -2, SCREEN_DRAW = -1 };
int screen_key(struct screen *s, int wait_ms);

/* screen_scroll() moves top by a key, if it is one for that, and to where rows are; room: for so many. */
void screen_scroll(struct screen *s, int key, int room);

/* screen_filter() is what rows have to contain now, "" nothing. */
const char *screen_filter(const struct screen *s);

/* screen_bar() makes a line inverse, for the names of columns; screen_help() writes lines of help,
 * broken where they are too long: "KEY   what it does" goes on behind the blanks. */
void screen_bar(int line);
void screen_help(int from, const char *const *lines, size_t n);

/* screen_foot() fills the last line: the filter while it is typed, or a message, or what keys there are. */
void screen_foot(const struct screen *s, const char *message, const char *keys);

#endif
