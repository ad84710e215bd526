/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A bounds-checked view on bytes that somebody else wrote. A read past the end fails the view for good and
 * yields zeroes: parse straight through, ask view_ok() once, and treat false as -EBADMSG.
 */
#ifndef BASE_VIEW_H
#define BASE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct view {
	const uint8_t *at;
	size_t left;
	bool failed;
};

static inline struct view view_of(const void *data, size_t len)
{
	return (struct view){.at = data, .left = len};
}

/* view_take() steps over len bytes and returns where they start, NULL (and fails) if there are fewer. */
static inline const void *view_take(struct view *v, size_t len)
{
	const uint8_t *p = v->at;

	if (v->failed || len > v->left) {
		v->failed = true;
		return NULL;
	}
	v->at += len;
	v->left -= len;
	return p;
}

static inline bool view_copy(struct view *v, void *to, size_t len)
{
	const void *p = view_take(v, len);

	if (p)
		memcpy(to, p, len);
	else
		memset(to, 0, len);
	return p != NULL;
}

static inline uint32_t view_u32(struct view *v)
{
	uint32_t x;

	view_copy(v, &x, sizeof(x));
	return x;
}

static inline uint64_t view_u64(struct view *v)
{
	uint64_t x;

	view_copy(v, &x, sizeof(x));
	return x;
}

/* view_str() reads what buf_str() wrote into a NUL-terminated array of size bytes; too long fails. */
static inline void view_str(struct view *v, char *to, size_t size)
{
	uint32_t n = view_u32(v);

	to[0] = '\0';
	if (n >= size) {
		v->failed = true;
		return;
	}
	if (view_copy(v, to, n))
		to[n] = '\0';
}

static inline bool view_ok(const struct view *v)
{
	return !v->failed;
}

#endif
