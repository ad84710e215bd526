// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A plan as JSON. */
#include <string.h>

#include "base/text.h"
#include "cmd/plan_json.h"

static const char *const words[] = {[PLAN_ADDED] = "added",
				    [PLAN_REMOVED] = "removed",
				    [PLAN_CHANGED] = "changed",
				    [PLAN_MOVED] = "moved"};

/* {"file", "line", "number", "rule"} of a rule, null if there is none. */
static json_t *json_rule(const struct policy *p, uint32_t filter, uint32_t rule)
{
	const struct policy_stmt *s;
	struct policy_where w;
	struct buf text = {0};
	json_t *o = NULL;

	if (rule == PLAN_NONE)
		return json_null();
	s = &p->filters[filter].stmts[rule];
	w = policy_where(p, s->pos);
	policy_stmt_print(s, &text);
	buf_put(&text, "", 1);
	if (!text.failed)
		o = json_pack("{s:s, s:I, s:I, s:s}", "file", w.path, "line", (json_int_t)w.line, "number",
			      (json_int_t)rule + 1, "rule", text_harmless((char *)text.data));
	buf_free(&text);
	return o;
}

static json_t *json_filter(const struct control_plan *plan, uint32_t number)
{
	const struct plan_filter *f = &plan->filters[number];
	const struct policy_filter *a = f->old == PLAN_NONE ? NULL : &plan->old->filters[f->old];
	const struct policy_filter *b = &plan->now->filters[f->now];
	json_t *names = json_array(), *rules = json_array();
	const struct plan_rule *r;
	uint32_t i;

	for (i = 0; i < plan->n_interfaces; i++)
		if (plan->interfaces[i].filter == number)
			json_array_append_new(names, json_string(plan->interfaces[i].name));
	for (r = f->rules; r < f->rules + f->n_rules; r++)
		json_array_append_new(rules,
				      json_pack("{s:s, s:b, s:o, s:o}", "change", words[r->what], "moved",
						r->moved, "old", json_rule(plan->old, f->old, r->old), "new",
						json_rule(plan->now, f->now, r->now)));
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:s?, s:b, s:o, s:o}", "interfaces", names,
			 "added", (json_int_t)f->added, "removed", (json_int_t)f->removed, "changed",
			 (json_int_t)f->changed, "moved", (json_int_t)f->moved, "unchanged",
			 (json_int_t)f->unchanged, "default", b->default_drop ? "drop" : "pass",
			 "old_default", a ? (a->default_drop ? "drop" : "pass") : NULL, "shadow", b->shadow,
			 "old_shadow", a ? json_boolean(a->shadow) : json_null(), "rules", rules);
}

static const char *const turns[] =
	{[PLAN_GETS] = "gets", [PLAN_LOSES] = "loses", [PLAN_KEEPS] = "keeps", [PLAN_AGAIN] = "again"};

static json_t *json_balancers(const struct control_plan *plan)
{
	json_t *list = json_array();
	const struct plan_interface *in;

	for (in = plan->balancers; in < plan->balancers + plan->n_balancers; in++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", in->name, "balancer", turns[in->turn],
						      "mode", in->mode, "old_mode", in->old_mode));
	return list;
}

/* Lines of text as an array. */
static json_t *json_lines(struct buf *text)
{
	json_t *list = json_array();
	char *at = (char *)text->data, *end;

	for (; at && *at; at = end) {
		end = at + strcspn(at, "\n");
		end += *end ? 1 : 0;
		end[-1] = end[-1] == '\n' ? '\0' : end[-1];
		json_array_append_new(list, json_string(at));
	}
	return list;
}

static json_t *json_services(const struct control_plan *plan)
{
	json_t *list = json_array();
	const struct plan_service *s;

	for (s = plan->services; s < plan->services + plan->n_services; s++) {
		struct buf text = {0};

		plan_service_print(plan, s, false, &text);
		buf_put(&text, "", 1);
		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:I, s:o}", "name", s->now ? s->now->name : s->old->name,
						      "change", words[!s->old	? PLAN_ADDED :
								      s->now ? PLAN_CHANGED :
									       PLAN_REMOVED],
						      "moved_slots",
						      s->counted ? json_integer((json_int_t)s->moved) : json_null(), "slots",
						      (json_int_t)(s->now ? s->now->n_slots : s->old->n_slots), "lines",
						      text.failed ? json_null() : json_lines(&text)));
		buf_free(&text);
	}
	return list;
}

json_t *plan_json(const struct control_plan *plan)
{
	json_t *interfaces = json_array(), *filters = json_array(), *sets = json_array();
	const struct plan_interface *in;
	const struct plan_set *s;
	uint32_t i;

	for (in = plan->interfaces; in < plan->interfaces + plan->n_interfaces; in++)
		json_array_append_new(interfaces,
				      json_pack("{s:s, s:s, s:s, s:s}", "name", in->name, "filter",
						turns[in->turn], "mode", in->mode, "old_mode", in->old_mode));
	for (i = 0; i < plan->n_filters; i++)
		json_array_append_new(filters, json_filter(plan, i));
	for (s = plan->sets; s < plan->sets + plan->n_sets; s++)
		json_array_append_new(sets, json_pack("{s:s, s:s, s:I, s:I, s:I, s:b, s:I}", "name",
						      s->now ? s->now->name : s->old->name, "change",
						      words[s->what], "added", (json_int_t)s->added,
						      "removed", (json_int_t)s->removed, "unchanged",
						      (json_int_t)s->unchanged, "meaning", s->meaning,
						      "lost_at_run_time", (json_int_t)s->lost));
	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "changes", !control_plan_empty(plan), "interfaces",
			 interfaces, "filters", filters, "sets", sets, "balancers", json_balancers(plan), "services",
			 json_services(plan));
}
