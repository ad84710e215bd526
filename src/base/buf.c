// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A growable byte buffer. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static bool reserve(struct buf *b, size_t more)
{
	size_t need = b->len + more, cap = b->cap ? b->cap : 256;
	uint8_t *p;

	if (b->failed || need < b->len)
		goto fail;
	if (need <= b->cap)
		return true;
	while (cap < need) {
		if (cap > SIZE_MAX / 2)
			goto fail;
		cap *= 2;
	}
	p = realloc(b->data, cap);
	if (!p)
		goto fail;
	b->data = p;
	b->cap = cap;
	return true;
fail:
	b->failed = true;
	return false;
}

void *buf_add(struct buf *b, size_t len)
{
	void *p;

	if (!reserve(b, len))
		return NULL;
	if (!b->data) /* no bytes, and none before */
		return NULL;
	p = b->data + b->len;
	memset(p, 0, len);
	b->len += len;
	return p;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
	void *p = len ? buf_add(b, len) : NULL;

	if (p)
		memcpy(p, data, len);
}

void buf_u32(struct buf *b, uint32_t v)
{
	buf_put(b, &v, sizeof(v));
}

void buf_u64(struct buf *b, uint64_t v)
{
	buf_put(b, &v, sizeof(v));
}

void buf_str(struct buf *b, const char *s)
{
	size_t n = strlen(s);

	buf_u32(b, (uint32_t)n);
	buf_put(b, s, n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, ap2;
	int n;

	va_start(ap, fmt);
	va_copy(ap2, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !reserve(b, (size_t)n + 1)) {
		b->failed = true;
	} else {
		vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap2);
		b->len += (size_t)n;
	}
	va_end(ap2);
}

void buf_free(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}
