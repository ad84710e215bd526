// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rows: the first rule of a list by service class, for lists that are too long to walk. */
#include <errno.h>
#include <string.h>

#include "classify/sets.h"

int rows_init(struct rows *r, struct work *w, const struct services *services, uint32_t n_rules)
{
	*r = (struct rows){.w = w, .services = services, .size = 1024};
	r->table = work_array(w, r->size, 4);
	r->left = work_array(w, services->class_words, 8);
	r->row = work_array(w, services->n_classes + 1, 4);
	r->last = work_array(w, n_rules, 4);
	return r->table && r->last && r->left && r->row ? 0 : -ENOMEM;
}

static uint32_t place(const struct rows *r, const uint32_t *row)
{
	return (uint32_t)(sets_hash((const uint64_t *)(const void *)row, (r->services->n_classes + 1) / 2) >>
			  32) &
	       (r->size - 1);
}

static int grow(struct rows *r)
{
	uint32_t *old = r->table, size = r->size, i, at;

	r->table = work_array(r->w, (size_t)size * 2, 4);
	if (!r->table)
		return -ENOMEM;
	r->size = size * 2;
	for (i = 0; i < size; i++) {
		if (!old[i])
			continue;
		at = place(r, WORK_AT(r->w, uint32_t, old[i]));
		while (r->table[at])
			at = (at + 1) & (r->size - 1);
		r->table[at] = old[i];
	}
	work_drop(r->w, old);
	return 0;
}

void rows_left(struct rows *r)
{
	uint32_t n = r->services->n_classes;

	memset(r->left, 0xff, (size_t)r->services->class_words * 8);
	if (n % 64)
		r->left[n / 64] = ~0ull >> (64 - n % 64);
}

bool rows_claim(struct rows *r, uint32_t entry, bool *open)
{
	const uint64_t *want =
		r->services->classes + (size_t)(entry >> CLASSIFY_RULE_BITS) * r->services->class_words;
	uint64_t take, some = 0, any = 0;
	uint32_t i;

	for (i = 0; i < r->services->class_words; i++) {
		take = want[i] & r->left[i];
		r->left[i] ^= take;
		some |= take;
		any |= r->left[i];
		for (; take; take &= take - 1)
			r->row[i * 64 + (uint32_t)__builtin_ctzll(take)] = entry & CLASSIFY_NONE;
	}
	*open = any != 0;
	return some != 0;
}

/* Neighbours often have the same list. */
static uint32_t kept(struct rows *r, const uint32_t *entries, uint32_t n, uint32_t row)
{
	memcpy(r->last, entries, (size_t)n * 4);
	r->n_last = n;
	return r->last_row = row;
}

uint32_t rows_put(struct rows *r, const uint32_t *entries, uint32_t n)
{
	uint32_t i, at, n_classes = r->services->n_classes, offset;
	bool open = true;

	if (n == r->n_last && n && !memcmp(entries, r->last, (size_t)n * 4))
		return r->last_row;
	if (r->n * 2 > r->size && grow(r))
		return 0;
	rows_left(r);
	for (i = 0; i < n_classes; i++)
		r->row[i] = CLASSIFY_NONE;
	r->row[n_classes] = 0; /* an odd row is compared with what pads it */
	for (i = 0; i < n && open; i++)
		rows_claim(r, entries[i], &open);
	for (at = place(r, r->row); r->table[at]; at = (at + 1) & (r->size - 1))
		if (!memcmp(r->row, r->w->image.data + r->table[at], (size_t)n_classes * 4))
			return kept(r, entries, n, r->table[at]);
	offset = work_table(r->w, n_classes, 4);
	if (!offset)
		return 0;
	memcpy(r->w->image.data + offset, r->row, (size_t)n_classes * 4);
	r->table[at] = offset;
	r->n++;
	return kept(r, entries, n, offset);
}
