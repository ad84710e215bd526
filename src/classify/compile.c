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
	struct over over = {.most = 0};
	bool fits = false;
	int e = 0;

	if (w->opts->structure != CLASSIFY_ONLY_SPLIT || f->goes_on)
		e = cross_build(w, f, &fits, &over);
	if (e || fits)
		return e;
	if (f->goes_on) {
		f->report->lists_over = true;
		return err_set(w->err, -ENOSPC,
			       "lists of %u boxes would take about %.0f %s, at most %.0f are allowed", f->n,
			       over.need, over.of, over.most);
	}
	if (w->opts->structure == CLASSIFY_ONLY_CROSS)
		return err_set(w->err, -ENOSPC, "the rules would not fit into a pair table");
	e = split_widen(w, f);
	if (!e)
		e = split_build(w, f);
	return e;
}

/* What the lookup says, where that is not the rule's number within its family. */
static int put_ids(struct work *w, const struct family *f)
{
	uint32_t at, i;

	for (i = 0; i < f->n && f->ids[i] == i; i++)
		;
	if (f->goes_on || i == f->n)
		return 0;
	at = work_table(w, f->n, 4);
	if (!at)
		return -ENOSPC;
	memcpy(w->image.data + at, f->ids, (size_t)f->n * 4);
	family_part(w, f)->index_of = at;
	return 0;
}

static int one_part(struct work *w, struct family *f)
{
	struct classify_part_report *r = f->report;
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
	if (!e)
		e = put_ids(w, f);
	if (e)
		return e;
	r->n_classes[0] = f->side[0].n;
	r->n_classes[1] = f->side[1].n;
	r->n_wide[0] = f->side[0].n_wide;
	r->n_wide[1] = f->side[1].n_wide;
	choose_text(f);
	count_loads(f);
	return 0;
}

/* The rules of a family: all, or (which 0) those that do not go on, (1) those that do. */
static int pick(struct work *w, const struct classify_rule *rules, size_t n, bool v6, int which,
		struct family *f)
{
	const uint8_t *goes_on = w->opts->goes_on;
	uint32_t i, *ids = work_array(w, n, 4), part = v6 + (which == 1 ? 2u : 0);
	uint8_t *on = work_array(w, n, 1);

	memset(f, 0, sizeof(*f));
	f->rules = work_array(w, n, sizeof(*f->rules));
	if (!ids || !on || !f->rules)
		return -ENOMEM;
	f->v6 = v6;
	f->part = (uint32_t)(offsetof(struct classify_image, part) + part * sizeof(struct classify_part));
	f->ids = ids;
	for (i = 0; i < n; i++) {
		if (rules[i].family != (v6 ? 6 : 4) || (which >= 0 && goes_on[i] != which))
			continue;
		ids[f->n] = w->opts->ids ? w->opts->ids[i] : i;
		if (goes_on && goes_on[i])
			f->goes_on = on;
		on[f->n] = goes_on && goes_on[i];
		f->rules[f->n++] = &rules[i];
	}
	return 0;
}

/* Lists in a pair table for all of a family, if they fit; else the rules that go on apart. */
static int one_family(struct work *w, const struct classify_rule *rules, size_t n, bool v6,
		      struct classify_report *report)
{
	size_t before = w->image.len;
	struct family f;
	int e = pick(w, rules, n, v6, -1, &f), which;

	f.report = &report->part[v6];
	if (!e)
		e = one_part(w, &f);
	if (e != -ENOSPC || !f.goes_on)
		return e;
	w->image.len = before;
	for (which = 0, e = 0; which < 2 && !e; which++) {
		e = pick(w, rules, n, v6, which, &f);
		f.report = &report->part[v6 + 2 * which];
		memset(f.report, 0, sizeof(*f.report));
		if (!e)
			memset(family_part(w, &f), 0, sizeof(struct classify_part));
		if (!e)
			e = one_part(w, &f);
	}
	return e;
}

static int both(struct work *w, const struct classify_rule *rules, size_t n, struct classify_report *report)
{
	uint32_t k;
	int e;

	for (k = 0; k < 2; k++) {
		e = one_family(w, rules, n, k, report);
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
