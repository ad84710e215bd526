// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Run-time sets: which there are, what is in them, and how they lie in memory. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "filter/sets.h"

#define MOST_ELEMENTS (1u << 27)
#define FEW 64		    /* one prefix in so many does not make a list one of prefixes */
#define SPARE_LEAST (4u << 20)
#define PREFIXES_LEAST 1024 /* prefixes there is room for in a set of addresses */

/* --- elements --- */

static int put_span(const struct policy_spans *s, bool v6, uint32_t i, struct buf *to)
{
	struct policy_span4 s4;
	struct policy_span6 s6;
	struct sets_elem e = {.hi = 0};
	bool more = true;

	if (v6)
		s6 = s->v6[i];
	else
		s4 = s->v4[i];
	while (more) {
		if (v6) {
			e.hi = s6.first.hi;
			e.lo = s6.first.lo;
			e.len = (uint8_t)policy_span6_take(&s6, &more);
		} else {
			e.lo = s4.first;
			e.len = (uint8_t)policy_span4_take(&s4, &more);
		}
		buf_put(to, &e, sizeof(e));
		if (to->failed || to->len / sizeof(e) > MOST_ELEMENTS)
			return to->failed ? -ENOMEM : -EFBIG;
	}
	return 0;
}

int filter_sets_elems(const struct policy_spans *spans, bool v6, struct filter_elems *elems,
		      struct sluice_err *err)
{
	uint32_t n = v6 ? spans->n6 : spans->n4, i;
	struct buf list = {0};
	struct sets_elem *v;
	bool sorted = true;
	size_t k, kept = 0;
	int e = 0;

	*elems = (struct filter_elems){NULL, 0};
	/* one piece at once: most lists are addresses and prefixes alone */
	buf_add(&list, (n + 1ul) * sizeof(*v));
	list.len = 0;
	for (i = 0; i < n && !e; i++)
		e = put_span(spans, v6, i, &list);
	if (!e && list.failed)
		e = -ENOMEM;
	if (e) {
		buf_free(&list);
		return e == -ENOMEM
			       ? err_nomem(err)
			       : err_set(err, e, "more than %u prefixes in one set; split it", MOST_ELEMENTS);
	}
	v = (struct sets_elem *)(void *)list.data;
	n = (uint32_t)(list.len / sizeof(*v));
	for (k = 1; k < n && sorted; k++)
		sorted = sets_order(&v[k - 1], &v[k]) <= 0;
	if (!sorted)
		qsort(v, n, sizeof(*v), sets_order);
	for (k = 0; k < n; k++)
		if (!kept || sets_order(&v[kept - 1], &v[k]))
			v[kept++] = v[k];
	*elems = (struct filter_elems){v, kept};
	return 0;
}

/* --- blocks --- */

static uint64_t room_for(uint64_t n, const struct filter_room *room)
{
	uint64_t more = n + n / 4 + 1024;

	if (room->exact)
		return n;
	if (room->size)
		return room->size > n ? room->size : n;
	return room->file || more > FILTER_SETS_ROOM ? more : FILTER_SETS_ROOM;
}

static int finish(struct filter_block_plan *b, struct sluice_err *err)
{
	size_t bytes;
	int e = sets_bytes(&b->spec, &bytes, err);

	b->lines = e ? 0
		     : (uint32_t)((bytes + FILTER_SETS_PAGE - 1) / FILTER_SETS_PAGE *
				  (FILTER_SETS_PAGE / SET_LINE));
	return e ? -ENOSPC : 0;
}

int filter_sets_blocks(const struct filter_elems *elems, bool v6, const struct filter_room *room,
		       struct filter_block_plan *addrs, struct filter_block_plan *prefixes,
		       struct sluice_err *err)
{
	uint8_t family = v6 ? 6 : 4, longest = v6 ? 128 : 32;
	struct sets_spec plan = {.family = family};
	uint64_t n_prefixes = 0, want;
	struct sets_elem *only;
	bool apart;
	size_t i;
	int e = 0;

	for (i = 0; i < elems->n; i++)
		n_prefixes += elems->v[i].len != longest;
	/* a list of prefixes is looked up once; addresses have a block for themselves where most are some */
	apart = !room->exact && (!room->file || n_prefixes <= elems->n / FEW);
	want = room_for(elems->n, room);
	*addrs = *prefixes = (struct filter_block_plan){.lines = 0};
	if (apart) {
		addrs->spec = (struct sets_spec){.family = family,
						 .kind = SET_ADDRS,
						 .flags = room->flags,
						 .n = want};
		e = finish(addrs, err);
		want = n_prefixes + n_prefixes / 4 + want / 16;
		want = want < PREFIXES_LEAST ? PREFIXES_LEAST : want;
	} else if (!want) {
		return 0;
	}
	only = malloc((elems->n + 1) * sizeof(*only));
	if (!only)
		return err_nomem(err);
	for (i = 0, n_prefixes = 0; i < elems->n; i++)
		if (!apart || elems->v[i].len != longest)
			only[n_prefixes++] = elems->v[i];
	sets_plan(&plan, only, n_prefixes);
	free(only);
	prefixes->spec = (struct sets_spec){.family = family,
					    .kind = SET_PREFIXES,
					    .flags = room->flags,
					    .n = want,
					    .cells = plan.cells + (want - n_prefixes)};
	if (n_prefixes && plan.root_bits == 20)
		prefixes->spec.root_bits = 20;
	return e ? e : finish(prefixes, err);
}

/* --- the policy's sets --- */

static struct filter_set_plan *add_set(struct buf *to, uint32_t set)
{
	struct filter_set_plan *s = buf_add(to, sizeof(*s));

	if (s) {
		s->name = "";
		s->set = set;
	}
	return s;
}

static int policy_set(const struct policy *p, uint32_t number, struct buf *to, struct sluice_err *err)
{
	const struct policy_set *of = &p->sets[number];
	struct filter_set_plan *s = add_set(to, number);
	const char *main_path = p->sources[0].path, *slash = strrchr(main_path, '/');
	int e;

	if (!s)
		return err_nomem(err);
	s->name = of->name;
	s->timeout = (uint32_t)(of->timeout_ns / 1000000000);
	s->size = of->size;
	s->flags = of->counters ? SET_COUNTS : 0;
	/* what is in a file is there for good, unless the policy says that it may also come and go */
	if (of->timeout_ns || !of->file)
		s->flags |= SET_EXPIRES;
	if (of->file) {
		s->what = FILTER_SET_FILE;
		if (of->file[0] == '/' || !slash) {
			s->file = strdup(of->file);
		} else if (asprintf(&s->file, "%.*s/%s", (int)(slash - main_path), main_path, of->file) < 0) {
			s->file = NULL;
		}
		if (!s->file)
			return err_nomem(err);
	}
	e = filter_sets_elems(&of->listed, false, &s->elems[0], err);
	return e ? e : filter_sets_elems(&of->listed, true, &s->elems[1], err);
}

/* Whether a list of addresses has both run-time sets and constants, of which any one is enough. */
static bool is_mixed(const struct policy *p, const struct policy_addrs *a4, const struct policy_addrs *a6)
{
	bool runtime = false, constant = a4->n || a6->n;
	uint32_t i;

	if (a4->negated)
		return false;
	for (i = 0; i < a4->n_sets; i++) {
		if (policy_set_is_runtime(&p->sets[a4->sets[i]]))
			runtime = true;
		else
			constant = true;
	}
	return runtime && constant;
}

static void add_constants(const struct policy *p, const struct policy_addrs *a, bool v6,
			  struct policy_spans *to)
{
	struct policy_range r = {.v6 = v6};
	const struct policy_set *set;
	uint32_t i, k;

	for (i = 0; i < a->n; i++) {
		r.first = v6 ? a->v6[i].first : (struct policy_addr6){0, a->v4[i].first};
		r.last = v6 ? a->v6[i].last : (struct policy_addr6){0, a->v4[i].last};
		policy_spans_add(to, &r);
	}
	for (k = 0; k < a->n_sets; k++) {
		set = &p->sets[a->sets[k]];
		if (policy_set_is_runtime(set))
			continue;
		for (i = 0; i < (v6 ? set->spans.n6 : set->spans.n4); i++) {
			r.first = v6 ? set->spans.v6[i].first
				     : (struct policy_addr6){0, set->spans.v4[i].first};
			r.last = v6 ? set->spans.v6[i].last : (struct policy_addr6){0, set->spans.v4[i].last};
			policy_spans_add(to, &r);
		}
	}
}

static int rule_part(const struct policy *p, const struct policy_rule *r, bool to, struct buf *sets,
		     struct buf *parts, struct sluice_err *err)
{
	const struct policy_addrs *a4 = to ? &r->ip[0].to : &r->ip[0].from;
	const struct policy_addrs *a6 = to ? &r->ip[1].to : &r->ip[1].from;
	struct filter_part part = {r, to, (uint32_t)(sets->len / sizeof(struct filter_set_plan))};
	struct policy_spans all = {0};
	struct filter_set_plan *s;
	int e;

	if (!(r->fields >> (to ? POLICY_TO : POLICY_FROM) & 1) || !is_mixed(p, a4, a6))
		return 0;
	add_constants(p, a4, false, &all);
	add_constants(p, a6, true, &all);
	policy_spans_sort(&all);
	s = add_set(sets, FILTER_SETS_NONE);
	buf_put(parts, &part, sizeof(part));
	e = all.failed || !s ? err_nomem(err) : filter_sets_elems(&all, false, &s->elems[0], err);
	if (!e)
		e = filter_sets_elems(&all, true, &s->elems[1], err);
	if (s)
		s->what = FILTER_SET_PART;
	policy_spans_free(&all);
	return e;
}

static int collect(const struct policy *p, struct filter_sets *s, struct sluice_err *err)
{
	struct buf sets = {0}, parts = {0};
	uint32_t i, k;
	int e = 0;

	s->number = calloc(p->n_sets + 1ul, sizeof(*s->number));
	if (!s->number)
		return err_nomem(err);
	for (i = 0; i < p->n_sets && !e; i++) {
		s->number[i] = FILTER_SETS_NONE;
		if (!policy_set_is_runtime(&p->sets[i]))
			continue;
		s->number[i] = (uint32_t)(sets.len / sizeof(struct filter_set_plan));
		e = policy_set(p, i, &sets, err);
	}
	for (i = 0; i < p->n_filters && !e; i++)
		for (k = 0; k < p->rulesets[i].n && !e; k++) {
			e = rule_part(p, &p->rulesets[i].rules[k], false, &sets, &parts, err);
			if (!e)
				e = rule_part(p, &p->rulesets[i].rules[k], true, &sets, &parts, err);
		}
	s->v = (struct filter_set_plan *)(void *)sets.data;
	s->n = (uint32_t)(sets.len / sizeof(*s->v));
	s->parts = (struct filter_part *)(void *)parts.data;
	s->n_parts = (uint32_t)(parts.len / sizeof(*s->parts));
	if (!e && (sets.failed || parts.failed))
		e = err_nomem(err);
	if (!e && s->n > FILTER_SETS_MOST)
		e = err_set(err, -ENOSPC,
			    "%u sets that change at run time, %u of them for lists that mix such sets and "
			    "addresses; at most %u fit",
			    s->n, s->n_parts, FILTER_SETS_MOST);
	return e;
}

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + FILTER_SETS_PAGE - 1) / FILTER_SETS_PAGE * FILTER_SETS_PAGE;
}

size_t filter_set_more(const struct filter_set_plan *set)
{
	if (set->file)
		return PATH_MAX; /* whoever has it written down makes it absolute */
	return set->what & FILTER_SET_PART
		       ? 0
		       : (set->elems[0].n + set->elems[1].n) * sizeof(struct filter_set_given);
}

static int lay_out(struct filter_sets *s, struct sluice_err *err)
{
	uint64_t at = sizeof(struct filter_sets_head), spare;
	struct filter_set_plan *set;
	uint32_t b;
	int e;

	for (set = s->v; set < s->v + s->n; set++)
		at += sizeof(struct filter_set) + filter_set_more(set);
	s->config = (struct filter_sets_config){0};
	s->blocks = (uint32_t)(page_up(at) / SET_LINE);
	at = page_up(at);
	for (set = s->v; set < s->v + s->n; set++) {
		struct filter_room room = {.size = set->size,
					   .file = set->what & FILTER_SET_FILE,
					   .exact = set->what & FILTER_SET_PART,
					   .flags = set->flags};

		for (b = 0; b < 2; b++) {
			e = filter_sets_blocks(set->kept[b].n ? &set->kept[b] : &set->elems[b], b, &room,
					       &set->block[2 * b], &set->block[2 * b + 1], err);
			if (e)
				return err_prefix(err, "set '%s'", set->name);
		}
		s->config.flags |= (uint8_t)set->flags;
		for (b = 0; b < FILTER_BLOCKS; b++) {
			if (!set->block[b].lines)
				continue;
			s->config.blocks |= (uint8_t)(1u << b);
			set->block[b].at = (uint32_t)(at / SET_LINE);
			at += (uint64_t)set->block[b].lines * SET_LINE;
		}
	}
	/* where a block that became too small is made again */
	spare = page_up(at / 4 > SPARE_LEAST ? at / 4 : SPARE_LEAST);
	if (at + spare > FILTER_SETS_BYTES)
		spare = at > FILTER_SETS_BYTES ? 0 : FILTER_SETS_BYTES - at;
	if (at > FILTER_SETS_BYTES)
		return err_set(err, -ENOSPC,
			       "the sets that change at run time need %llu MB, a program reaches %u; make "
			       "their sizes smaller",
			       (unsigned long long)(at >> 20), FILTER_SETS_BYTES >> 20);
	s->bytes = at + spare;
	s->config.limit = (uint32_t)(s->bytes - SET_LINE);
	return 0;
}

int filter_sets_plan(const struct policy *p, struct filter_sets **sets, struct sluice_err *err)
{
	struct filter_sets *s = calloc(1, sizeof(*s));
	int e = s ? collect(p, s, err) : err_nomem(err);

	*sets = NULL;
	if (!e && s->n)
		e = lay_out(s, err);
	if (e)
		filter_sets_free(s);
	else
		*sets = s;
	return e;
}

int filter_sets_keep(struct filter_sets *s, uint32_t nr, bool v6, const struct filter_elems *more,
		     struct sluice_err *err)
{
	const struct filter_elems *own = &s->v[nr].elems[v6];
	struct sets_elem *v = malloc((own->n + more->n + 1) * sizeof(*v));
	size_t i = 0, k = 0, n = 0;
	int c;

	if (!v)
		return err_nomem(err);
	while (i < own->n || k < more->n) {
		c = i == own->n ? 1 : k == more->n ? -1 : sets_order(&own->v[i], &more->v[k]);
		v[n++] = c <= 0 ? own->v[i] : more->v[k];
		i += c <= 0;
		k += c >= 0;
	}
	free(s->v[nr].kept[v6].v);
	s->v[nr].kept[v6] = (struct filter_elems){v, n};
	return 0;
}

int filter_sets_again(struct filter_sets *s, struct sluice_err *err)
{
	uint32_t i;
	int e = lay_out(s, NULL);

	if (e != -ENOSPC)
		return e ? err_nomem(err) : 0;
	for (i = 0; i < s->n; i++)
		s->v[i].kept[0].n = s->v[i].kept[1].n = 0;
	return lay_out(s, err);
}

void filter_sets_free(struct filter_sets *s)
{
	uint32_t i;

	if (!s)
		return;
	for (i = 0; i < s->n; i++) {
		free(s->v[i].file);
		free(s->v[i].elems[0].v);
		free(s->v[i].elems[1].v);
		free(s->v[i].kept[0].v);
		free(s->v[i].kept[1].v);
	}
	free(s->v);
	free(s->number);
	free(s->parts);
	free(s);
}

uint32_t filter_sets_part(const struct filter_sets *s, const struct policy_rule *rule, bool to)
{
	uint32_t i;

	for (i = 0; i < s->n_parts; i++)
		if (s->parts[i].rule == rule && s->parts[i].to == to)
			return s->parts[i].number;
	return FILTER_SETS_NONE;
}
