// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A plan as text. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "control/plan_inside.h"

#define NAMES_SHOWN 8 /* interfaces of one filter */

static void print_place(const struct policy *p, struct policy_pos pos, struct buf *to)
{
	struct policy_where w = policy_where(p, pos);

	buf_printf(to, "%s:%u", w.path, w.line);
}

static void print_line(const struct control_plan *plan, const struct plan_filter *f,
		       const struct plan_rule *r, bool all, struct buf *to)
{
	static const char signs[] =
		{[PLAN_ADDED] = '+', [PLAN_REMOVED] = '-', [PLAN_CHANGED] = '~', [PLAN_MOVED] = '>'};
	const struct policy_stmt *old =
		r->old == PLAN_NONE ? NULL : &plan->old->filters[f->old].stmts[r->old];
	const struct policy_stmt *now =
		r->now == PLAN_NONE ? NULL : &plan->now->filters[f->now].stmts[r->now];

	buf_printf(to, "  %c ", signs[r->what]);
	print_place(now ? plan->now : plan->old, now ? now->pos : old->pos, to);
	buf_printf(to, ": ");
	policy_rule_print(NULL, now ? now : old, all ? 0 : PLAN_LINE, to);
	if (r->what == PLAN_CHANGED) {
		buf_printf(to, "\n    was %s", r->moved ? "elsewhere, " : "");
		print_place(plan->old, old->pos, to);
		buf_printf(to, ": ");
		policy_rule_print(NULL, old, all ? 0 : PLAN_LINE, to);
	} else if (r->what == PLAN_MOVED) {
		buf_printf(to, "\n    was elsewhere, ");
		print_place(plan->old, old->pos, to);
	}
	buf_printf(to, "\n");
}

/* Whoever may make interfaces chooses their names, escape sequences among them. */
static void print_name(const char *before, const char *name, struct buf *to)
{
	char shown[64];

	snprintf(shown, sizeof(shown), "%s", name);
	buf_printf(to, "%s%s", before, text_harmless(shown));
}

static void print_names(const struct control_plan *plan, uint32_t filter, bool all, struct buf *to)
{
	uint32_t i, n = 0;

	for (i = 0; i < plan->n_interfaces; i++) {
		if (plan->interfaces[i].filter != filter)
			continue;
		if (all || n < NAMES_SHOWN)
			print_name(n ? ", " : "", plan->interfaces[i].name, to);
		n++;
	}
	if (!all && n > NAMES_SHOWN)
		buf_printf(to, " and %u more", n - NAMES_SHOWN);
}

/* "2 rules added, 1 removed": the word stands behind the first number only. */
void plan_count(uint64_t n, const char *noun, const char *what, bool *first, struct buf *to)
{
	if (!n)
		return;
	buf_printf(to, "%s%" PRIu64 "%s%s%s %s", *first ? "" : ", ", n, *first ? " " : "", *first ? noun : "",
		   *first && n > 1 ? "s" : "", what);
	*first = false;
}

static void print_settings(const struct control_plan *plan, const struct plan_filter *f, struct buf *to)
{
	const struct policy_filter *a = f->old == PLAN_NONE ? NULL : &plan->old->filters[f->old];
	const struct policy_filter *b = &plan->now->filters[f->now];
	static const char *const words[] = {"pass", "drop"};

	if (!a || a->default_drop != b->default_drop) {
		buf_printf(to, "  default %s", words[b->default_drop]);
		if (a)
			buf_printf(to, ", was %s", words[a->default_drop]);
		buf_printf(to, "\n");
	}
	if (b->shadow && (!a || !a->shadow))
		buf_printf(to, "  in shadow: rules are counted, every packet passes\n");
	if (!b->shadow && a && a->shadow)
		buf_printf(to, "  no longer in shadow: what rules drop is dropped\n");
}

static bool same_settings(const struct control_plan *plan, const struct plan_filter *f)
{
	const struct policy_filter *a = f->old == PLAN_NONE ? NULL : &plan->old->filters[f->old];
	const struct policy_filter *b = &plan->now->filters[f->now];

	return a && a->default_drop == b->default_drop && a->shadow == b->shadow;
}

static void print_filter(const struct control_plan *plan, uint32_t number, bool all, struct buf *to)
{
	const struct plan_filter *f = &plan->filters[number];
	bool first = true;
	uint32_t i;

	buf_printf(to, "filter on ");
	print_names(plan, number, all, to);
	buf_printf(to, ": ");
	plan_count(f->added, "rule", "added", &first, to);
	plan_count(f->removed, "rule", "removed", &first, to);
	plan_count(f->changed, "rule", "changed", &first, to);
	plan_count(f->moved, "rule", "moved", &first, to);
	plan_count(f->unchanged, "rule", "unchanged", &first, to);
	buf_printf(to, "%s\n", first ? "no rules" : "");
	print_settings(plan, f, to);
	for (i = 0; i < f->n_rules && (all || i < PLAN_SHOWN); i++)
		print_line(plan, f, &f->rules[i], all, to);
	if (i < f->n_rules)
		buf_printf(to,
			   f->n_rules - i == 1
				   ? "  ... and %u more rule that is added, removed, changed or moved\n"
				   : "  ... and %u more rules that are added, removed, changed or moved\n",
			   f->n_rules - i);
}

bool plan_is_news(const struct plan_interface *i)
{
	return i->turn != PLAN_KEEPS || strcmp(i->old_mode, i->mode) != 0;
}

static void print_interface(const struct control_plan *plan, const struct plan_interface *i, struct buf *to)
{
	const struct policy_filter *f;

	print_name("", i->name, to);
	buf_printf(to, ": ");
	if (i->turn == PLAN_LOSES) {
		f = &plan->old->filters[i->old];
		buf_printf(to, "loses the filter of ");
		print_place(plan->old, f->pos, to);
		buf_printf(to, " (%u rule%s): every packet passes", f->n_stmts, f->n_stmts == 1 ? "" : "s");
	} else if (i->turn == PLAN_GETS) {
		buf_printf(to, "gets the filter of ");
		print_place(plan->now, plan->now->filters[plan->filters[i->filter].now].pos, to);
		if (strcmp(i->mode, "auto") != 0)
			buf_printf(to, " in %s mode", i->mode);
	} else if (i->turn == PLAN_AGAIN) {
		buf_printf(to, "gets the filter again");
	} else {
		buf_printf(to, "mode %s, was %s", i->mode, i->old_mode);
	}
	buf_printf(to, "\n");
}

static void print_interfaces(const struct control_plan *plan, bool all, struct buf *to)
{
	uint32_t i, n = 0;

	for (i = 0; i < plan->n_interfaces; i++) {
		if (!plan_is_news(&plan->interfaces[i]))
			continue;
		if (all || n < PLAN_SHOWN)
			print_interface(plan, &plan->interfaces[i], to);
		n++;
	}
	if (!all && n > PLAN_SHOWN)
		buf_printf(to, "... and %u more interface%s\n", n - PLAN_SHOWN, plan_plural(n - PLAN_SHOWN));
}

static void print_lost(const struct plan_set *s, struct buf *to)
{
	const char *plural = s->lost == 1 ? "" : "s", *were = s->lost == 1 ? "was" : "were";

	if (s->lost && !s->now)
		buf_printf(to,
			   "  warning: set %s goes, and %" PRIu64
			   " element%s that %s added at run time with it",
			   s->old->name, s->lost, plural, were);
	else if (s->lost)
		buf_printf(to,
			   "  warning: set %s loses %" PRIu64
			   " element%s that %s added at run time: it does not keep such any more",
			   s->old->name, s->lost, plural, were);
	if (s->lost)
		buf_printf(to, "; sluice rollback brings %s back, unless something else is applied first\n",
			   s->lost == 1 ? "it" : "them");
}

static void print_set(const struct plan_set *s, struct buf *to)
{
	static const char signs[] = {[PLAN_ADDED] = '+', [PLAN_REMOVED] = '-', [PLAN_CHANGED] = '~'};
	const struct policy_set *set = s->now ? s->now : s->old;
	uint64_t n = s->now ? s->added + s->unchanged : s->removed;
	bool first = true;

	buf_printf(to, "%c set %s: ", signs[s->what], set->name);
	if (s->what == PLAN_CHANGED) {
		plan_count(s->added, "range", "added", &first, to);
		plan_count(s->removed, "range", "removed", &first, to);
		plan_count(s->unchanged, "range", "unchanged", &first, to);
		if (s->meaning)
			buf_printf(to, "%sanother file, timeout, size or counters", first ? "" : "; ");
	} else {
		buf_printf(to, "%" PRIu64 " range%s of addresses", n, n == 1 ? "" : "s");
		if (set->file)
			buf_printf(to, " from %s", set->file);
	}
	buf_printf(to, "\n");
	print_lost(s, to);
}

bool control_plan_empty(const struct control_plan *plan)
{
	uint32_t i;

	for (i = 0; i < plan->n_interfaces; i++)
		if (plan_is_news(&plan->interfaces[i]))
			return false;
	for (i = 0; i < plan->n_filters; i++)
		if (plan->filters[i].n_rules || !same_settings(plan, &plan->filters[i]))
			return false;
	return !plan->n_sets && plan_balance_empty(plan);
}

void control_plan_print(const struct control_plan *plan, bool all, struct buf *to)
{
	uint32_t i;

	print_interfaces(plan, all, to);
	for (i = 0; i < plan->n_filters && (all || i < PLAN_SHOWN); i++)
		print_filter(plan, i, all, to);
	if (i < plan->n_filters)
		buf_printf(to, "... and %u more filter%s\n", plan->n_filters - i,
			   plan_plural(plan->n_filters - i));
	for (i = 0; i < plan->n_sets && (all || i < PLAN_SHOWN); i++)
		print_set(&plan->sets[i], to);
	if (i < plan->n_sets)
		buf_printf(to, "... and %u more set%s\n", plan->n_sets - i, plan_plural(plan->n_sets - i));
	plan_balance_print(plan, all, to);
	if (control_plan_empty(plan))
		buf_printf(to, "nothing changes\n");
}
