// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The difference of two policies: interfaces, rules, sets.
 *
 * Which rules stay where they were and which moved: of the rules that both have, the longest run whose order is
 * the same in both stays (a longest increasing subsequence, found in n log n by patience sorting: Fredman, "On
 * computing the length of longest increasing subsequences", 1975); the others moved.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "control/plan_inside.h"

struct keyed {
	uint64_t key;
	uint32_t index;
};

/* A filter's rules by key; made once for each filter, however many interfaces it is on. */
struct keys {
	struct keyed *v;
	uint32_t n;
};

struct work {
	struct control_plan *plan;
	struct keys *old, *now; /* of each filter */
	struct buf scratch;
};

static const struct policy_stmt no_stmts[1];

static int by_key(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static bool make_keys(struct work *w, const struct policy_filter *f, struct keys *k)
{
	uint32_t i;

	if (k->v)
		return true;
	k->v = arena_add(&w->plan->arena, (f->n_stmts + 1ul) * sizeof(*k->v));
	if (!k->v)
		return false;
	k->n = f->n_stmts;
	for (i = 0; i < k->n; i++)
		k->v[i] = (struct keyed){policy_rule_key(&f->stmts[i], &w->scratch), i};
	qsort(k->v, k->n, sizeof(*k->v), by_key);
	return !w->scratch.failed;
}

/* What the key stands for: keys of different rules may be the same by chance, or on purpose. */
static bool same_rule(const struct policy_stmt *a, const struct policy_stmt *b)
{
	if (a->name && b->name)
		return !strcmp(a->name, b->name);
	return !a->name && !b->name && policy_same_stmt(a, b);
}

/* Pairs of rules into was[] of the new ones and is[] of the old ones; the first of a key with the first. */
static void pair_rules(const struct keys *a, const struct policy_stmt *old, const struct keys *b,
		       const struct policy_stmt *now, uint32_t *is, uint32_t *was)
{
	uint32_t i = 0, j = 0;

	while (i < a->n && j < b->n) {
		if (a->v[i].key < b->v[j].key) {
			i++;
		} else if (a->v[i].key > b->v[j].key) {
			j++;
		} else {
			if (same_rule(&old[a->v[i].index], &now[b->v[j].index])) {
				is[a->v[i].index] = b->v[j].index;
				was[b->v[j].index] = a->v[i].index;
			}
			i++;
			j++;
		}
	}
}

/* stays[j] for the new rules of the longest run in the old order. ends, before: room for n each. */
static void mark_staying(const uint32_t *was, uint32_t n, uint32_t *ends, uint32_t *before, bool *stays)
{
	uint32_t len = 0, j, lo, hi, mid;

	for (j = 0; j < n; j++) {
		if (was[j] == PLAN_NONE)
			continue;
		for (lo = 0, hi = len; lo < hi;) {
			mid = (lo + hi) / 2;
			if (was[ends[mid]] < was[j])
				lo = mid + 1;
			else
				hi = mid;
		}
		before[j] = lo ? ends[lo - 1] : PLAN_NONE;
		ends[lo] = j;
		len += lo == len;
	}
	for (j = len ? ends[len - 1] : PLAN_NONE; j != PLAN_NONE; j = before[j])
		stays[j] = true;
}

static void add_rule(struct plan_filter *f, enum plan_what what, bool moved, uint32_t old, uint32_t now)
{
	f->rules[f->n_rules++] = (struct plan_rule){(uint8_t)what, moved, old, now};
	f->added += what == PLAN_ADDED;
	f->removed += what == PLAN_REMOVED;
	f->changed += what == PLAN_CHANGED;
	f->moved += what == PLAN_MOVED;
}

/* In the order of the new text; what was removed stands in front of what followed it. */
static void list_rules(struct plan_filter *f, const struct policy_stmt *old, uint32_t n_old,
		       const uint32_t *is, const struct policy_stmt *now, uint32_t n_now, const uint32_t *was,
		       const bool *stays)
{
	uint32_t i = 0, j;
	bool same;

	for (j = 0; j < n_now; j++) {
		if (stays[j])
			for (; i < was[j]; i++)
				if (is[i] == PLAN_NONE)
					add_rule(f, PLAN_REMOVED, false, i, PLAN_NONE);
		same = was[j] != PLAN_NONE && policy_same_stmt(&old[was[j]], &now[j]);
		if (was[j] == PLAN_NONE)
			add_rule(f, PLAN_ADDED, false, PLAN_NONE, j);
		else if (!same)
			add_rule(f, PLAN_CHANGED, !stays[j], was[j], j);
		else if (!stays[j])
			add_rule(f, PLAN_MOVED, true, was[j], j);
		else
			f->unchanged++;
	}
	for (; i < n_old; i++)
		if (is[i] == PLAN_NONE)
			add_rule(f, PLAN_REMOVED, false, i, PLAN_NONE);
}

static bool compare_rules(struct work *w, struct plan_filter *f)
{
	const struct policy_filter *a = f->old == PLAN_NONE ? NULL : &w->plan->old->filters[f->old];
	const struct policy_filter *b = &w->plan->now->filters[f->now];
	uint32_t n_old = a ? a->n_stmts : 0, n = b->n_stmts, *is, *was, *ends, *before;
	static const struct keys none;
	bool *stays;

	if ((a && !make_keys(w, a, &w->old[f->old])) || !make_keys(w, b, &w->now[f->now]))
		return false;
	f->rules = arena_add(&w->plan->arena, ((size_t)n_old + n + 1) * sizeof(*f->rules));
	is = malloc((n_old + 3ul * n + 1) * sizeof(*is));
	stays = calloc(n + 1ul, sizeof(*stays));
	if (f->rules && is && stays) {
		was = is + n_old;
		ends = was + n;
		before = ends + n;
		memset(is, 0xff, ((size_t)n_old + n) * sizeof(*is));
		pair_rules(a ? &w->old[f->old] : &none, a ? a->stmts : no_stmts, &w->now[f->now], b->stmts,
			   is, was);
		mark_staying(was, n, ends, before, stays);
		list_rules(f, a ? a->stmts : no_stmts, n_old, is, b->stmts, n, was, stays);
	}
	free(stays);
	free(is);
	return f->rules && is && stays;
}

/* --- interfaces --- */

struct place {
	const char *name;
	uint32_t filter;
};

static int by_name(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : (x->filter > y->filter) - (x->filter < y->filter);
}

/* The interfaces of a policy, sorted, each once. */
static struct place *places(struct arena *arena, const struct policy *p, const char *const *names,
			    uint32_t n_names, uint32_t *n_out)
{
	uint32_t n = names ? n_names : 0, at = 0, i, j;
	struct place *v;

	*n_out = 0;
	for (i = 0; p && !names && i < p->n_filters; i++)
		n += p->filters[i].on.n;
	v = arena_add(arena, (n + 1ul) * sizeof(*v));
	if (!v || !p)
		return v;
	for (i = 0; names && i < n; i++)
		if (!policy_filter_on(p, names[i], "", &j, NULL))
			v[at++] = (struct place){names[i], j};
	for (i = 0; !names && i < p->n_filters; i++)
		for (j = 0; j < p->filters[i].on.n; j++)
			v[at++] = (struct place){p->filters[i].on.v[j].text, i};
	qsort(v, at, sizeof(*v), by_name);
	for (i = 0; i < at; i++)
		if (!*n_out || strcmp(v[*n_out - 1].name, v[i].name) != 0)
			v[(*n_out)++] = v[i];
	return v;
}

const char *plan_mode(const struct policy *p, const char *name)
{
	uint32_t i;

	for (i = 0; p && i < p->n_interfaces; i++)
		if (!strcmp(p->interfaces[i].name, name))
			return p->interfaces[i].mode;
	return "auto";
}

static void add_interface(struct control_plan *plan, const struct place *old, const struct place *now)
{
	const char *name = now ? now->name : old->name;

	plan->interfaces[plan->n_interfaces++] = (struct plan_interface){
		.name = name,
		.turn = (uint8_t)(!old	? PLAN_GETS
				  : now ? PLAN_KEEPS
					: PLAN_LOSES),
		.filter =
			now ? now->filter : PLAN_NONE, /* of the policy; find_filters() makes it the plan's */
		.old = old ? old->filter : PLAN_NONE,
		.old_mode = plan_mode(plan->old, name),
		.mode = plan_mode(plan->now, name),
	};
}

static void find_lost(struct control_plan *plan, const char *const *lost)
{
	uint32_t i;

	for (; lost && *lost; lost++)
		for (i = 0; i < plan->n_interfaces; i++)
			if (plan->interfaces[i].turn == PLAN_KEEPS && !strcmp(plan->interfaces[i].name, *lost))
				plan->interfaces[i].turn = PLAN_AGAIN;
}

static bool compare_interfaces(struct control_plan *plan, const struct control_plan_opts *o)
{
	uint32_t n_old, n_now, i = 0, j = 0;
	struct place *old = places(&plan->arena, plan->old, o->old_interfaces, o->n_old_interfaces, &n_old);
	struct place *now = places(&plan->arena, plan->now, o->interfaces, o->n_interfaces, &n_now);
	int c;

	plan->interfaces = arena_add(&plan->arena, ((size_t)n_old + n_now + 1) * sizeof(*plan->interfaces));
	if (!old || !now || !plan->interfaces)
		return false;
	while (i < n_old || j < n_now) {
		c = i == n_old ? 1 : j == n_now ? -1 : strcmp(old[i].name, now[j].name);
		add_interface(plan, c <= 0 ? &old[i] : NULL, c >= 0 ? &now[j] : NULL);
		i += c <= 0;
		j += c >= 0;
	}
	find_lost(plan, o->lost);
	return true;
}

struct pair {
	uint32_t now, old, interface;
};

/* By the new filter; interfaces without an old one last, so that they find one to be shown with. */
static int by_pair(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	if (x->now != y->now)
		return x->now < y->now ? -1 : 1;
	if (x->old != y->old)
		return x->old < y->old ? -1 : 1;
	return (x->interface > y->interface) - (x->interface < y->interface);
}

/* Interfaces with the same filters are one difference. */
static bool find_filters(struct work *w)
{
	struct control_plan *plan = w->plan;
	struct pair *v = arena_add(&plan->arena, (plan->n_interfaces + 1ul) * sizeof(*v));
	uint32_t i, n = 0;
	struct plan_filter *last = NULL;

	plan->filters = arena_add(&plan->arena, (plan->n_interfaces + 1ul) * sizeof(*plan->filters));
	if (!v || !plan->filters)
		return false;
	for (i = 0; i < plan->n_interfaces; i++)
		if (plan->interfaces[i].turn != PLAN_LOSES)
			v[n++] = (struct pair){plan->interfaces[i].filter, plan->interfaces[i].old, i};
	qsort(v, n, sizeof(*v), by_pair);
	for (i = 0; i < n; i++) {
		if (!last || last->now != v[i].now || (v[i].old != PLAN_NONE && last->old != v[i].old)) {
			last = &plan->filters[plan->n_filters++];
			*last = (struct plan_filter){.old = v[i].old, .now = v[i].now};
			if (!compare_rules(w, last))
				return false;
		}
		plan->interfaces[v[i].interface].filter = (uint32_t)(last - plan->filters);
	}
	return true;
}

/* --- sets --- */

static int by_set(const void *a, const void *b)
{
	return strcmp((*(const struct policy_set *const *)a)->name,
		      (*(const struct policy_set *const *)b)->name);
}

static const struct policy_set **sorted_sets(struct arena *arena, const struct policy *p, uint32_t *n)
{
	const struct policy_set **v;
	uint32_t i;

	*n = p ? p->n_sets : 0;
	v = arena_add(arena, (*n + 1ul) * sizeof(*v));
	for (i = 0; v && i < *n; i++)
		v[i] = &p->sets[i];
	if (v)
		qsort(v, *n, sizeof(*v), by_set);
	return v;
}

static int compare4(const struct policy_span4 *a, const struct policy_span4 *b)
{
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	return (a->last > b->last) - (a->last < b->last);
}

static int compare6(const struct policy_span6 *a, const struct policy_span6 *b)
{
	int c = policy_addr6_cmp(a->first, b->first);

	return c ? c : policy_addr6_cmp(a->last, b->last);
}

static void count_spans(struct plan_set *s, const struct policy_spans *a, const struct policy_spans *b)
{
	uint32_t i = 0, j = 0;
	int c;

	while (i < a->n4 || j < b->n4) {
		c = i == a->n4 ? 1 : j == b->n4 ? -1 : compare4(&a->v4[i], &b->v4[j]);
		s->removed += c < 0;
		s->added += c > 0;
		s->unchanged += !c;
		i += c <= 0;
		j += c >= 0;
	}
	for (i = j = 0; i < a->n6 || j < b->n6;) {
		c = i == a->n6 ? 1 : j == b->n6 ? -1 : compare6(&a->v6[i], &b->v6[j]);
		s->removed += c < 0;
		s->added += c > 0;
		s->unchanged += !c;
		i += c <= 0;
		j += c >= 0;
	}
}

static uint64_t lost_of(const struct control_plan_opts *o, const char *set)
{
	uint32_t i;

	for (i = 0; i < o->n_lost_elements; i++)
		if (!strcmp(o->lost_elements[i].set, set))
			return o->lost_elements[i].n;
	return 0;
}

static void add_set(struct control_plan *plan, const struct policy_set *old, const struct policy_set *now,
		    const struct control_plan_opts *o)
{
	static const struct policy_spans none;
	struct plan_set s = {.old = old, .now = now};

	s.what = (uint8_t)(!old ? PLAN_ADDED : now ? PLAN_CHANGED : PLAN_REMOVED);
	count_spans(&s, old ? &old->spans : &none, now ? &now->spans : &none);
	s.meaning = old && now &&
		    (!policy_same_text(old->file, now->file) || old->timeout_ns != now->timeout_ns ||
		     old->size != now->size || old->counters != now->counters);
	s.lost = old ? lost_of(o, old->name) : 0;
	if (s.what != PLAN_CHANGED || s.added || s.removed || s.meaning || s.lost)
		plan->sets[plan->n_sets++] = s;
}

static bool compare_sets(struct control_plan *plan, const struct control_plan_opts *o)
{
	uint32_t n_old, n_now, i = 0, j = 0;
	const struct policy_set **old = sorted_sets(&plan->arena, plan->old, &n_old);
	const struct policy_set **now = sorted_sets(&plan->arena, plan->now, &n_now);
	int c;

	plan->sets = arena_add(&plan->arena, ((size_t)n_old + n_now + 1) * sizeof(*plan->sets));
	if (!old || !now || !plan->sets)
		return false;
	while (i < n_old || j < n_now) {
		c = i == n_old ? 1 : j == n_now ? -1 : strcmp(old[i]->name, now[j]->name);
		add_set(plan, c <= 0 ? old[i] : NULL, c >= 0 ? now[j] : NULL, o);
		i += c <= 0;
		j += c >= 0;
	}
	return true;
}

int control_plan_new(const struct policy *old, const struct policy *now, const struct control_plan_opts *opts,
		     struct control_plan **out, struct sluice_err *err)
{
	static const struct control_plan_opts nothing;
	struct control_plan *plan = calloc(1, sizeof(*plan));
	struct work w = {.plan = plan};
	bool ok = false;

	*out = NULL;
	if (!plan)
		return err_nomem(err);
	plan->old = old;
	plan->now = now;
	w.old = calloc(old ? old->n_filters + 1ul : 1, sizeof(*w.old));
	w.now = calloc(now->n_filters + 1ul, sizeof(*w.now));
	if (w.old && w.now)
		ok = compare_interfaces(plan, opts ? opts : &nothing) && find_filters(&w) &&
		     compare_sets(plan, opts ? opts : &nothing) && plan_balance(plan, opts ? opts : &nothing);
	free(w.old);
	free(w.now);
	buf_free(&w.scratch);
	if (!ok) {
		control_plan_free(plan);
		return err_nomem(err);
	}
	*out = plan;
	return 0;
}

void control_plan_free(struct control_plan *plan)
{
	if (!plan)
		return;
	arena_free(&plan->arena);
	free(plan);
}
