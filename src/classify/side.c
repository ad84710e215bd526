// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The prefixes of one side: sorted, nested, numbered so that what is inside a prefix is a range of numbers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "classify/work.h"

struct tagged {
	classify_u128 start;
	uint32_t rule;
	uint8_t len;
};

static int by_place(const void *a, const void *b)
{
	const struct tagged *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->rule < y->rule ? -1 : x->rule > y->rule;
}

static classify_u128 mask_of(uint8_t len)
{
	return len ? ~(classify_u128)0 << (128 - len) : 0;
}

static classify_u128 address(const uint8_t *bytes, size_t n)
{
	classify_u128 a = 0;
	size_t i;

	for (i = 0; i < 16; i++)
		a = a << 8 | (i < n ? bytes[i] : 0);
	return a;
}

/* Parents and ends, from the order alone. */
static void nest(struct side *s)
{
	uint32_t i, up;

	for (i = 0; i < s->n; i++)
		s->last[i] = s->n - 1;
	for (i = 1; i < s->n; i++) {
		for (up = i - 1; (s->start[i] & mask_of(s->len[up])) != s->start[up]; up = s->parent[up])
			s->last[up] = i - 1;
		s->parent[i] = up;
	}
}

int side_read(struct work *w, const struct family *f, int which, struct side *s)
{
	struct tagged *t = work_array(w, f->n + 1, sizeof(*t));
	uint32_t i;

	if (!t)
		return -ENOMEM;
	for (i = 0; i < f->n; i++) {
		t[i].len = which ? f->rules[i]->dst_len : f->rules[i]->src_len;
		t[i].start = address(which ? f->rules[i]->dst : f->rules[i]->src, f->v6 ? 16 : 4) &
			     mask_of(t[i].len);
		t[i].rule = i;
	}
	t[f->n].rule = f->n; /* /0 */
	qsort(t, f->n + 1, sizeof(*t), by_place);
	s->start = work_array(w, f->n + 1, sizeof(*s->start));
	s->len = work_array(w, f->n + 1, sizeof(*s->len));
	s->parent = work_array(w, f->n + 1, sizeof(*s->parent));
	s->last = work_array(w, f->n + 1, sizeof(*s->last));
	s->of_rule = work_array(w, f->n + 1, sizeof(*s->of_rule));
	s->wide = work_array(w, f->n + 1, sizeof(*s->wide));
	s->wide_last = work_array(w, f->n + 1, sizeof(*s->wide_last));
	s->level = work_array(w, f->n + 1, sizeof(*s->level));
	s->same_level = work_array(w, f->n + 1, 3 * sizeof(*s->same_level));
	s->upper = work_array(w, f->n + 1, sizeof(*s->upper));
	if (!s->start || !s->len || !s->parent || !s->last || !s->of_rule || !s->wide || !s->wide_last ||
	    !s->level || !s->same_level || !s->upper)
		return -ENOMEM;
	for (i = 0; i <= f->n; i++) {
		if (!i || t[i].start != t[i - 1].start || t[i].len != t[i - 1].len) {
			s->start[s->n] = t[i].start;
			s->len[s->n++] = t[i].len;
		}
		s->of_rule[t[i].rule] = s->n - 1;
	}
	work_drop(w, t);
	nest(s);
	side_widen(s, UINT32_MAX, UINT32_MAX);
	return 0;
}

void side_widen(struct side *s, uint32_t narrow_below, uint32_t max_below)
{
	uint32_t i, k, up, below, count[3] = {0, 0, 0};

	s->n_wide = s->n_upper = 0;
	for (i = 0; i < s->n; i++) {
		below = s->last[i] - i;
		up = s->parent[i];
		s->level[i] = !i || below > max_below ? SIDE_WIDE
			      : below > narrow_below  ? SIDE_MIDDLE
						      : SIDE_NARROW;
		count[s->level[i]]++;
		for (k = 0; k < 3; k++)
			s->same_level[3 * i + k] = count[k];
		s->upper[i] = s->level[i] != SIDE_NARROW ? s->n_upper++ : s->upper[up];
		if (s->level[i] == SIDE_WIDE) {
			s->wide_last[s->n_wide] = s->n_wide;
			s->wide[i] = s->n_wide++;
		} else {
			s->wide[i] = s->wide[up];
		}
	}
	for (i = s->n; i-- > 1;) {
		up = s->wide[s->parent[i]];
		if (s->level[i] == SIDE_WIDE && s->wide_last[up] < s->wide_last[s->wide[i]])
			s->wide_last[up] = s->wide_last[s->wide[i]];
	}
}

uint32_t side_alike(const struct side *s, uint32_t class)
{
	uint32_t level = s->level[class];

	return s->same_level[3 * s->last[class] + level] - s->same_level[3 * class + level] + 1;
}

int side_ranges(struct work *w, const struct side *s, struct side_range **ranges, uint32_t *n)
{
	struct side_range *r = work_array(w, 2 * (size_t)s->n + 1, sizeof(*r));
	uint32_t i, up, next, m = 0;
	classify_u128 end;

	*ranges = r;
	if (!r)
		return -ENOMEM;
	for (i = 0; i < s->n; i++) {
		while (m && r[m - 1].start >= s->start[i])
			m--; /* a longer prefix begins where this one did */
		r[m++] = (struct side_range){s->start[i], i};
		/* which prefixes end before the next one begins? */
		next = i + 1;
		for (up = i; up && (next == s->n || s->last[up] < next); up = s->parent[up]) {
			end = s->start[up] + ~mask_of(s->len[up]) + 1;
			if (!end)
				break; /* at the last address */
			if (r[m - 1].start == end)
				m--;
			r[m++] = (struct side_range){end, s->parent[up]};
		}
	}
	*n = m;
	return 0;
}
