/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a check can be at most: for the engine, and for the language in which checks are written. */
#ifndef HEALTH_LIMITS_H
#define HEALTH_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HEALTH_INTERVAL_MIN_NS UINT64_C(100000000)
#define HEALTH_INTERVAL_MAX_NS UINT64_C(3600000000000)
#define HEALTH_TIMEOUT_MIN_NS UINT64_C(10000000)
#define HEALTH_TIMEOUT_MAX_NS UINT64_C(60000000000)
#define HEALTH_COUNT_MAX 100u /* rise and fall; at least 1 */
#define HEALTH_STATUS_MIN 100u
#define HEALTH_STATUS_MAX 599u
#define HEALTH_ARGS 32u	      /* words of a command */
#define HEALTH_TEXT_MAX 1024u /* bytes of a path, host or word of a command */
#define HEALTH_BODY_MAX 255u  /* bytes of what is looked for in a body */

#define HEALTH_BLANKS " \t" /* between words of a command */

/* health_is_line() tells whether a text can be part of a line of a request: no blanks, no control characters. */
static inline bool health_is_line(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
	return true;
}

static inline bool health_is_path(const char *s)
{
	return s[0] == '/' && health_is_line(s) && strlen(s) <= HEALTH_TEXT_MAX;
}

static inline bool health_is_host(const char *s)
{
	return s[0] && health_is_line(s) && strlen(s) <= HEALTH_TEXT_MAX;
}

static inline bool health_is_body(const char *s)
{
	return s[0] && strlen(s) <= HEALTH_BODY_MAX;
}

/* health_words() counts the words of a command; *longest is the length of the longest. */
static inline size_t health_words(const char *s, size_t *longest)
{
	size_t n, len;

	*longest = 0;
	for (n = 0; *(s += strspn(s, HEALTH_BLANKS)); n++) {
		len = strcspn(s, HEALTH_BLANKS);
		if (len > *longest)
			*longest = len;
		s += len;
	}
	return n;
}

#endif
