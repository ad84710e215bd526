// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Memory of one compilation, the image as it grows, sorting. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "classify/work.h"

struct work_block {
	struct work_block *next, *prev;
	uint64_t data[];
};

void *work_array(struct work *w, size_t n, size_t size)
{
	struct work_block *b;
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2 ||
	    !(b = calloc(1, sizeof(*b) + bytes))) {
		err_nomem(w->err);
		return NULL;
	}
	b->next = w->blocks;
	b->prev = NULL;
	if (w->blocks)
		w->blocks->prev = b;
	w->blocks = b;
	return b->data;
}

void work_drop(struct work *w, void *array)
{
	struct work_block *b;

	if (!array)
		return;
	b = (struct work_block *)(void *)((char *)array - offsetof(struct work_block, data));
	if (b->prev)
		b->prev->next = b->next;
	else
		w->blocks = b->next;
	if (b->next)
		b->next->prev = b->prev;
	free(b);
}

void work_free(struct work *w)
{
	while (w->blocks)
		work_drop(w, w->blocks->data);
	buf_free(&w->image);
}

#define LINES 128u /* two, which many CPUs fetch together */
_Static_assert(LINES % (8 * CLASSIFY_CACHE_PLACE) == 0, "places of the class cache begin at their multiples");

uint32_t work_table(struct work *w, size_t n, size_t size)
{
	size_t bytes, at = w->image.len;

	if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2 || at + bytes + 8 > w->limit) {
		err_set(w->err, -ENOSPC,
			"the rules would not fit: a table of %zu x %zu bytes after %zu, of %zu that are "
			"allowed; fewer different prefixes and ports are needed, or long lists in sets that have a "
			"file, a timeout or a size",
			n, size, at, w->limit);
		return 0;
	}
	if (!buf_add(&w->image, (bytes + 7) & ~(size_t)7)) {
		err_nomem(w->err);
		return 0;
	}
	return (uint32_t)at;
}

uint32_t work_lines(struct work *w, const void *data, size_t bytes)
{
	uint32_t at = work_table(w, bytes / LINES + 2, LINES);

	if (!at)
		return 0;
	at = (at + LINES - 1) & ~(LINES - 1);
	if (data && bytes)
		memcpy(w->image.data + at, data, bytes);
	return at;
}

#define DIGIT 11

int work_sort(struct work *w, uint64_t *v, size_t n)
{
	size_t count[1 << DIGIT], i, sum, c;
	uint64_t *from = v, *to, *other, all = 0;
	unsigned int shift;

	for (i = 1; i < n; i++)
		all |= v[i] ^ v[0];
	other = work_array(w, n, sizeof(*other));
	if (!other)
		return -ENOMEM;
	for (shift = 0; shift < 64; shift += DIGIT) {
		if (!(all >> shift & ((1u << DIGIT) - 1)))
			continue;
		memset(count, 0, sizeof(count));
		for (i = 0; i < n; i++)
			count[from[i] >> shift & ((1u << DIGIT) - 1)]++;
		for (i = 0, sum = 0; i < 1 << DIGIT; i++) {
			c = count[i];
			count[i] = sum;
			sum += c;
		}
		to = from == v ? other : v;
		for (i = 0; i < n; i++)
			to[count[from[i] >> shift & ((1u << DIGIT) - 1)]++] = from[i];
		from = to;
	}
	if (from != v)
		memcpy(v, from, n * sizeof(*v));
	work_drop(w, other);
	return 0;
}
