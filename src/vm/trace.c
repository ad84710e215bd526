// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What programs print: texts one behind the other in a ring, each with its NUL. */
#include <stdlib.h>
#include <string.h>

#include "vm/lock.h"
#include "vm/trace.h"

static char *at(struct trace *t, uint32_t i)
{
	return &t->ring[(t->start + i) % TRACE_RING_BYTES];
}

static size_t drop_first(struct trace *t, char *to, size_t size)
{
	size_t n = 0;
	char c;

	do {
		c = *at(t, 0);
		if (n < size)
			to[n] = n + 1 < size ? c : '\0';
		t->start = (t->start + 1) % TRACE_RING_BYTES;
		t->used--;
		n++;
	} while (c);
	return n;
}

void trace_say(struct trace *t, const char *text)
{
	size_t n = strlen(text) + 1, i;

	if (t->say) {
		t->say(t->arg, text);
		return;
	}
	if (n > TRACE_RING_BYTES)
		return;
	spin_take(&t->lock);
	if (!t->ring)
		t->ring = malloc(TRACE_RING_BYTES);
	while (t->ring && t->used + n > TRACE_RING_BYTES)
		drop_first(t, NULL, 0);
	for (i = 0; t->ring && i < n; i++)
		*at(t, t->used++) = text[i];
	spin_drop(&t->lock);
}

size_t trace_read(struct trace *t, char *to, size_t size)
{
	size_t n;

	spin_take(&t->lock);
	n = t->used ? drop_first(t, to, size) : 0;
	spin_drop(&t->lock);
	return n;
}

void trace_free(struct trace *t)
{
	free(t->ring);
}
