/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * JSON of text that comes from outside: names of interfaces, programs and files may be of any bytes, JSON is UTF-8.
 * The library refuses such text, and what it was to stand in with it. So that no verb has to think of it, its
 * functions that take text are ours here: what is no UTF-8, and control characters that JSON does not escape, become '?'.
 */
#ifndef CMD_JSON_H
#define CMD_JSON_H

#include <stdbool.h>
#include <jansson.h>

/* json_text() is json_string() and json_text_n() json_stringn() of such text. NULL: out of memory, or text is NULL */
json_t *json_text(const char *text);
json_t *json_text_n(const char *text, size_t len);

/* json_make() is json_pack() with s, s?, s%, i, I, b, f, n, o and O in objects and arrays. NULL: out of memory */
json_t *json_make(const char *format, ...);

/* json_lost(): did one of these fail since the program began? Then something is missing in what was made. */
bool json_lost(void);

#define json_string json_text
#define json_pack json_make

#endif
