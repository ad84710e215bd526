// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Another set of targets: by difference, all or nothing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "health/inside.h"

/* A change that is being prepared. */
struct plan {
	struct rule **rules; /* by number; those that stay are the old ones */
	bool *fresh;	     /* which of them are not */
	size_t n_rules;
	struct target *
		*targets; /* by id; those that stay are the old ones, whose values are not touched yet */
	const struct health_target **wanted;
	bool *new_target;
	size_t n_targets;
};

static void plan_drop(struct plan *p)
{
	for (size_t i = 0; p->rules && i < p->n_rules; i++)
		if (p->fresh[i])
			rule_free(p->rules[i]);
	for (size_t i = 0; p->targets && i < p->n_targets; i++)
		if (p->new_target[i])
			free(p->targets[i]);
	free(p->targets);
	free(p->rules);
}

static void plan_free(struct plan *p)
{
	free(p->fresh);
	free(p->wanted);
	free(p->new_target);
}

static struct rule *same_rule(const struct health *h, const struct health_probe *p)
{
	for (size_t i = 0; i < h->n_rules; i++)
		if (rule_same(h->rules[i], p))
			return h->rules[i];
	return NULL;
}

static int plan_rules(const struct health *h, struct plan *p, const struct health_probe *probes, size_t n,
		      struct sluice_err *err)
{
	int code;

	p->rules = calloc(n + 1, sizeof(struct rule *));
	p->fresh = calloc(n + 1, sizeof(bool));
	if (!p->rules || !p->fresh)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		p->rules[i] = same_rule(h, &probes[i]);
		for (size_t j = 0; !p->rules[i] && j < i; j++)
			if (p->fresh[j] && rule_same(p->rules[j], &probes[i]))
				p->rules[i] = p->rules[j];
		p->n_rules = i + 1;
		if (p->rules[i])
			continue;
		code = rule_new(&probes[i], i, &p->rules[i], err);
		if (code)
			return code;
		p->fresh[i] = true;
	}
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct health_target *const *x = a, *const *y = b;

	return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

static int plan_targets(const struct health *h, struct plan *p, const struct health_target *targets, size_t n,
			struct sluice_err *err)
{
	int code;

	if (n > HEALTH_TARGETS)
		return err_set(err, -ENOSPC, "health checks: %zu targets, at most %u are possible", n,
			       HEALTH_TARGETS);
	p->targets = calloc(n + 1, sizeof(struct target *));
	p->wanted = calloc(n + 1, sizeof(struct health_target *));
	p->new_target = calloc(n + 1, sizeof(bool));
	if (!p->targets || !p->wanted || !p->new_target)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		p->wanted[i] = &targets[i];
	qsort(p->wanted, n, sizeof(p->wanted[0]), by_id);
	for (size_t i = 0; i < n; i++) {
		const struct health_target *w = p->wanted[i];

		if (i && p->wanted[i - 1]->id == w->id)
			return err_set(err, -EINVAL, "health checks: two targets have the id %llu",
				       (unsigned long long)w->id);
		if (w->probe >= p->n_rules)
			return err_set(err, -EINVAL, "target %llu: there is no probe %u",
				       (unsigned long long)w->id, w->probe);
		code = rule_check_target(w, &p->rules[w->probe]->p, err);
		if (code)
			return code;
		p->targets[i] = health_find(h, w->id);
		p->n_targets = i + 1;
		if (p->targets[i])
			continue;
		p->targets[i] = calloc(1, sizeof(struct target));
		if (!p->targets[i])
			return err_nomem(err);
		p->new_target[i] = true;
	}
	return 0;
}

static bool same_target(const struct target *t, const struct rule *r, const struct health_target *w)
{
	const struct health_target *o = &t->t;

	return t->rule == r && net_addr_same(&o->addr, &w->addr) && o->port == w->port && o->scope == w->scope &&
	       o->mark == w->mark && o->own_port == w->own_port &&
	       net_addr_same(&o->through, &w->through) && o->through_port == w->through_port &&
	       o->segment_max == w->segment_max && strcmp(o->interface, w->interface) == 0 &&
	       o->has_source == w->has_source && (!o->has_source || net_addr_same(&o->source, &w->source));
}

static void commit_target(struct health *h, struct target *t, struct rule *r, const struct health_target *w,
			  bool is_new, struct health_applied *applied)
{
	uint64_t now = clock_mono_ns();
	bool up = w->known ? w->known_up : !r->p.initially_down;

	t->kept = true;
	if (!is_new && same_target(t, r, w)) {
		applied->same++;
		t->t = *w;
		return;
	}
	if (is_new) {
		applied->added++;
		t->since_ns = now;
		state_begin(&t->s, &r->r, up, now, health_chance(h));
	} else {
		applied->changed++;
		health_cancel(h, t);
		state_rules_changed(&t->s, &r->r, now, health_chance(h));
	}
	t->rule = r;
	t->t = *w;
	health_schedule(h, t);
}

static void commit(struct health *h, struct plan *p, struct health_applied *applied)
{
	for (size_t i = 0; i < h->n_targets; i++)
		h->targets[i]->kept = false;
	for (size_t i = 0; i < p->n_targets; i++)
		p->targets[i]->kept = true;
	/* first those that go: their places in the heap are counted on */
	for (size_t i = 0; i < h->n_targets; i++) {
		if (h->targets[i]->kept)
			continue;
		applied->removed++;
		health_cancel(h, h->targets[i]);
		free(h->targets[i]);
	}
	for (size_t i = 0; i < p->n_targets; i++)
		commit_target(h, p->targets[i], p->rules[p->wanted[i]->probe], p->wanted[i], p->new_target[i],
			      applied);
	for (size_t i = 0; i < h->n_rules; i++)
		h->rules[i]->kept = false;
	for (size_t i = 0; i < p->n_rules; i++)
		p->rules[i]->kept = true;
	for (size_t i = 0; i < h->n_rules; i++)
		if (!h->rules[i]->kept)
			rule_free(h->rules[i]);
	/* each rule once: probes that are the same share one */
	h->n_rules = 0;
	for (size_t i = 0; i < p->n_rules; i++) {
		if (!p->rules[i]->kept)
			continue;
		p->rules[i]->kept = false;
		p->rules[h->n_rules++] = p->rules[i];
	}
	free(h->targets);
	free(h->rules);
	h->targets = p->targets;
	h->n_targets = p->n_targets;
	h->rules = p->rules;
}

int health_apply(struct health *h, const struct health_probe *probes, size_t n_probes,
		 const struct health_target *targets, size_t n_targets, struct health_applied *applied,
		 struct sluice_err *err)
{
	struct health_applied ignored;
	struct plan p = {0};
	int code;

	if (!applied)
		applied = &ignored;
	*applied = (struct health_applied){0};
	code = plan_rules(h, &p, probes, n_probes, err);
	if (!code)
		code = plan_targets(h, &p, targets, n_targets, err);
	if (!code && !heap_reserve(&h->due, n_targets))
		code = err_nomem(err);
	if (code) {
		plan_drop(&p);
		plan_free(&p);
		return code;
	}
	commit(h, &p, applied);
	plan_free(&p);
	return health_arm(h, err);
}
