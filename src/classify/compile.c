// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From rules to an image: checks them, takes the families apart, chooses a structure for each, and reports.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "classify/work.h"

#define LIMIT_BYTES ((size_t)32 << 20)

static int check(const struct classify_rule *r, size_t i, struct sluice_err *err)
{
	uint8_t most = r->family == 6 ? 128 : 32;

	if (r->family != 4 && r->family != 6)
		return err_set(err, -EINVAL, "rule %zu: family %u, must be 4 or 6", i, r->family);
	if (r->src_len > most || r->dst_len > most)
		return err_set(err, -EINVAL, "rule %zu: a prefix of %u bits, IPv%u has at most %u", i,
			       r->src_len > most ? r->src_len : r->dst_len, r->family, most);
	if (r->sport.first > r->sport.last || r->dport.first > r->dport.last)
		return err_set(err, -EINVAL, "rule %zu: a port range that ends before it begins", i);
	return 0;
}

static void choose_text(const struct family *f)
{
	struct classify_part_report *r = f->report;

	if (r->structure == CLASSIFY_SPLIT)
		snprintf(r->why, sizeof(r->why),
			 "a pair table would take more than 8 MiB or 0.1 s to make: prefixes with more than "
			 "%u others inside them are wide",
			 r->max_below);
}

/* Reads that wait for one another: fronts, then what the structure needs. Services are read meanwhile. */
static void count_loads(const struct family *f)
{
	struct classify_part_report *r = f->report;
	uint32_t front = f->v6 ? f->depth : 3, i;

	for (i = 0; i < 2; i++)
		if (r->front[i] == CLASSIFY_FRONT_FORKS)
			front = 4;
	r->expected_loads = front + (r->structure == CLASSIFY_CROSS ? 2 : r->cache_bytes ? 1 : 4);
	r->worst_loads =
		front + (r->structure == CLASSIFY_CROSS ? 2
							: (r->cache_bytes ? 2 : 0) + 2 + CLASSIFY_LIST_MAX +
								  2 * (1 + CLASSIFY_LIST_MAX) + 2);
}

static int structure(struct work *w, struct family *f)
{
	bool fits = false;
	int e = 0;

	if (w->opts->structure != CLASSIFY_ONLY_SPLIT)
		e = cross_build(w, f, &fits);
	if (e || fits)
		return e;
	if (w->opts->structure == CLASSIFY_ONLY_CROSS)
		return err_set(w->err, -ENOSPC, "the rules would not fit into a pair table");
	e = split_widen(w, f);
	if (!e)
		e = split_build(w, f);
	return e;
}

static int one_family(struct work *w, struct family *f, const uint32_t *numbers)
{
	struct classify_part_report *r = f->report;
	uint32_t at;
	int e;

	r->n_rules = f->n;
	if (!f->n)
		return 0;
	e = side_read(w, f, 0, &f->side[0]);
	if (!e)
		e = side_read(w, f, 1, &f->side[1]);
	if (!e)
		e = services_read(w, f);
	if (!e)
		e = structure(w, f);
	if (!e) /* after it: records hold the wide classes that it chose */
		e = f->v6 ? front6_build(w, f) : front4_build(w, f);
	if (e)
		return e;
	r->n_classes[0] = f->side[0].n;
	r->n_classes[1] = f->side[1].n;
	r->n_wide[0] = f->side[0].n_wide;
	r->n_wide[1] = f->side[1].n_wide;
	if (numbers[f->n - 1] != f->n - 1) {
		at = work_table(w, f->n, 4);
		if (!at)
			return -ENOSPC;
		memcpy(w->image.data + at, numbers, (size_t)f->n * 4);
		family_part(w, f)->index_of = at;
	}
	choose_text(f);
	count_loads(f);
	return 0;
}

static int both(struct work *w, const struct classify_rule *rules, size_t n, struct classify_report *report)
{
	uint32_t i, k, *numbers = work_array(w, n, 4);
	struct family f[2];
	int e;

	memset(f, 0, sizeof(f));
	if (!numbers)
		return -ENOMEM;
	for (k = 0; k < 2; k++) {
		f[k].v6 = k;
		f[k].part =
			(uint32_t)(offsetof(struct classify_image, part) + k * sizeof(struct classify_part));
		f[k].report = &report->part[k];
		f[k].rules = work_array(w, n, sizeof(*f[k].rules));
		if (!f[k].rules)
			return -ENOMEM;
		for (i = 0; i < n; i++)
			if (rules[i].family == (k ? 6 : 4)) {
				numbers[f[k].n] = i;
				f[k].rules[f[k].n++] = &rules[i];
			}
		e = one_family(w, &f[k], numbers);
		if (e)
			return err_prefix(w->err, "IPv%u", k ? 6u : 4u);
	}
	return 0;
}

int classify_compile(const struct classify_rule *rules, size_t n, const struct classify_opts *opts,
		     void **image, size_t *bytes, struct classify_report *report, struct sluice_err *err)
{
	static const struct classify_opts none;
	struct classify_report own;
	struct sluice_err own_err;
	struct work w = {.opts = opts ? opts : &none, .err = err ? err : &own_err};
	struct classify_image *head;
	size_t i;
	int e = 0;

	*image = NULL;
	*bytes = 0;
	report = report ? report : &own;
	memset(report, 0, sizeof(*report));
	w.err->code = 0;
	w.limit = w.opts->limit_bytes ? w.opts->limit_bytes : LIMIT_BYTES;
	if (n > CLASSIFY_MAX_RULES)
		return err_set(err, -ENOSPC, "%zu rules, at most %u", n, CLASSIFY_MAX_RULES);
	for (i = 0; !e && i < n; i++)
		e = check(&rules[i], i, w.err);
	if (!e && !buf_add(&w.image, sizeof(*head)))
		e = err_nomem(w.err);
	if (!e)
		e = both(&w, rules, n, report);
	if (!e) {
		head = WORK_AT(&w, struct classify_image, 0);
		head->magic = CLASSIFY_MAGIC;
		head->bytes = (uint32_t)w.image.len;
		*image = w.image.data;
		*bytes = report->bytes = w.image.len;
		w.image = (struct buf){0};
	}
	work_free(&w);
	return e;
}
