// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The difference of two policies' balance blocks: where the balancer runs, services, and what that means for flows. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "control/plan_inside.h"

#define COUNTED 64    /* services whose slots are compared; a table takes a millisecond or two */
#define GONE_SHOWN 20 /* virtual addresses, backends that are named */

static const struct balance_model no_services;

/* --- where --- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Interfaces of a policy's balance blocks, sorted, each once. */
static const char **places(struct arena *arena, const struct policy *p, const char *const *names, uint32_t n_names,
			   uint32_t *n_out)
{
	uint32_t n = names ? n_names : 0, at = 0, i, j;
	const char **v;

	*n_out = 0;
	for (i = 0; p && !names && i < p->n_balances; i++)
		n += p->balances[i].on.n;
	v = arena_add(arena, (n + 1ul) * sizeof(*v));
	if (!v || !p)
		return v;
	for (i = 0; names && i < n; i++)
		v[at++] = names[i];
	for (i = 0; !names && i < p->n_balances; i++)
		for (j = 0; j < p->balances[i].on.n; j++)
			v[at++] = p->balances[i].on.v[j].text;
	qsort(v, at, sizeof(*v), by_name);
	for (i = 0; i < at; i++)
		if (!*n_out || strcmp(v[*n_out - 1], v[i]) != 0)
			v[(*n_out)++] = v[i];
	return v;
}

static bool compare_places(struct control_plan *plan, const struct control_plan_opts *o)
{
	uint32_t n_old, n_now, i = 0, j = 0, k;
	const char **old = places(&plan->arena, plan->old, o->old_balancers, o->n_old_balancers, &n_old);
	const char **now = places(&plan->arena, plan->now, o->balancers, o->n_balancers, &n_now);
	struct plan_interface *to;
	int c;

	plan->balancers = arena_add(&plan->arena, ((size_t)n_old + n_now + 1) * sizeof(*plan->balancers));
	if (!old || !now || !plan->balancers)
		return false;
	while (i < n_old || j < n_now) {
		c = i == n_old ? 1 : j == n_now ? -1 : strcmp(old[i], now[j]);
		to = &plan->balancers[plan->n_balancers++];
		*to = (struct plan_interface){.name = c <= 0 ? old[i] : now[j],
					      .turn = (uint8_t)(c < 0 ? PLAN_LOSES : c ? PLAN_GETS : PLAN_KEEPS),
					      .filter = PLAN_NONE,
					      .old = PLAN_NONE};
		to->old_mode = plan_mode(plan->old, to->name);
		to->mode = plan_mode(plan->now, to->name);
		for (k = 0; o->lost_balancers && o->lost_balancers[k]; k++)
			if (to->turn == PLAN_KEEPS && !strcmp(o->lost_balancers[k], to->name))
				to->turn = PLAN_AGAIN;
		i += c <= 0;
		j += c >= 0;
	}
	return true;
}

/* --- services --- */

static uint16_t *table_of(const struct balance_service *s)
{
	struct maglev_backend *b = calloc(s->n_backends + 1, sizeof(*b));
	uint16_t *t = malloc(s->n_slots * sizeof(*t));

	if (b && t)
		balance_weights(s, b);
	if (!b || !t || maglev_build(b, s->n_backends, s->n_slots, t, NULL)) {
		free(t);
		t = NULL;
	}
	free(b);
	return t;
}

static bool same_backend(const struct balance_service *a, uint32_t i, const struct balance_service *b, uint32_t k)
{
	struct maglev_backend x = {0}, y = {0};

	if (i >= a->n_backends || k >= b->n_backends)
		return i >= a->n_backends && k >= b->n_backends;
	x.addr = a->backends[i].addr;
	x.port = a->backends[i].port;
	y.addr = b->backends[k].addr;
	y.port = b->backends[k].port;
	return !maglev_compare(&x, &y);
}

/* Slots that get another backend. */
static void count_slots(struct plan_service *s)
{
	uint16_t *a = table_of(s->old_counts), *b = table_of(s->now_counts);
	uint32_t i;

	for (i = 0; a && b && i < s->now->n_slots; i++)
		s->moved += !same_backend(s->old_counts, a[i], s->now_counts, b[i]);
	s->counted = a && b;
	free(a);
	free(b);
}

static const struct balance_service *as_it_counts(const struct balance_service *s,
						  const struct balance_model *counts)
{
	return (s && counts ? balance_service_find(counts, s->name) : NULL) ?: s;
}

static bool compare_services(struct control_plan *plan, const struct control_plan_opts *o)
{
	const struct balance_model *old = plan->old ? &plan->old->services : &no_services;
	struct balance_change *v;
	struct sluice_err err = {0};
	uint32_t n_counted = 0;
	size_t n, i;

	if (balance_diff(old, &plan->now->services, &v, &n, NULL, &err))
		return false;
	plan->services = arena_add(&plan->arena, (n + 1) * sizeof(*plan->services));
	for (i = 0; plan->services && i < n; i++) {
		struct plan_service *s = &plan->services[plan->n_services++];

		*s = (struct plan_service){.old = v[i].before,
					   .now = v[i].after,
					   .old_counts = as_it_counts(v[i].before, o->old_services),
					   .now_counts = as_it_counts(v[i].after, o->services),
					   .work = v[i].work};
		if (s->old && s->now && s->work & BALANCE_WORK_TABLE && s->old->n_slots == s->now->n_slots &&
		    n_counted++ < COUNTED)
			count_slots(s);
	}
	free(v);
	return plan->services;
}

bool plan_balance(struct control_plan *plan, const struct control_plan_opts *opts)
{
	return compare_places(plan, opts) && compare_services(plan, opts);
}

bool plan_balance_empty(const struct control_plan *plan)
{
	uint32_t i;

	for (i = 0; i < plan->n_balancers; i++)
		if (plan_is_news(&plan->balancers[i]))
			return false;
	return !plan->n_services;
}

/* --- text --- */

/* Is every port of it served by the new policy, too? */
static bool still_served(const struct policy *p, const struct balance_virtual *v)
{
	uint32_t port = v->first, i, k;
	const struct balance_virtual *w;
	bool found = true;

	while (found && port <= v->last) {
		found = false;
		for (i = 0; i < p->services.n_services && !found; i++)
			for (k = 0; k < p->services.services[i]->n_virtuals && !found; k++) {
				w = &p->services.services[i]->virtuals[k];
				found = w->addr.v6 == v->addr.v6 &&
					!memcmp(w->addr.bytes, v->addr.bytes, sizeof(v->addr.bytes)) &&
					(w->proto == v->proto || w->proto == BALANCE_PROTO_ANY) && w->first <= port &&
					w->last >= port;
				if (found)
					port = w->last + 1u;
			}
	}
	return found;
}

static void say_unserved(const struct control_plan *plan, const struct plan_service *s, struct buf *to)
{
	char text[BALANCE_TEXT];
	uint32_t n = 0;
	size_t i;

	for (i = 0; s->old && i < s->old->n_virtuals; i++) {
		if (still_served(plan->now, &s->old->virtuals[i]))
			continue;
		if (n++ < GONE_SHOWN)
			buf_printf(to, "%s: %s is no longer served: its packets pass\n", s->old->name,
				   balance_virtual_text(&s->old->virtuals[i], text, sizeof(text)));
	}
	if (n > GONE_SHOWN)
		buf_printf(to,
			   n == GONE_SHOWN + 1 ? "%s: %u more virtual address is no longer served\n"
					       : "%s: %u more virtual addresses are no longer served\n",
			   s->old->name, n - GONE_SHOWN);
}

static int compare_backends(const void *a, const void *b)
{
	return maglev_compare(a, b);
}

static struct maglev_backend key_of(const struct balance_backend *b)
{
	return (struct maglev_backend){.addr = b->addr, .port = b->port};
}

/* Its backends by address and port; NULL: out of memory */
static struct maglev_backend *sorted_backends(const struct balance_service *s)
{
	struct maglev_backend *v = calloc(s->n_backends + 1, sizeof(*v));
	size_t i;

	for (i = 0; v && i < s->n_backends; i++)
		v[i] = key_of(&s->backends[i]);
	if (v)
		qsort(v, s->n_backends, sizeof(*v), compare_backends);
	return v;
}

/* Backends that go with flows: they are to be drained first. */
static bool say_broken(const struct plan_service *s, struct buf *to)
{
	struct maglev_backend *now = sorted_backends(s->now), key;
	char text[BALANCE_TEXT];
	uint32_t n = 0;
	size_t i;

	to->failed |= !now;
	for (i = 0; now && i < s->old->n_backends; i++) {
		key = key_of(&s->old->backends[i]);
		if (!s->old_counts->backends[i].weight || s->old_counts->backends[i].drain ||
		    bsearch(&key, now, s->now->n_backends, sizeof(*now), compare_backends))
			continue;
		if (n++ < GONE_SHOWN)
			buf_printf(to, "%s: flows of %s move to others; those of a backend of weight 0 end by themselves\n",
				   s->now->name, balance_backend_text(&s->old->backends[i], text, sizeof(text)));
	}
	if (n > GONE_SHOWN)
		buf_printf(to, "%s: so do those of %u more backend%s\n", s->now->name, n - GONE_SHOWN,
			   plan_plural(n - GONE_SHOWN));
	free(now);
	return n;
}

static void say_moved(const struct plan_service *s, bool broken, struct buf *to)
{
	if (s->work & BALANCE_WORK_SLOTS)
		return; /* balance_diff() says so */
	if (s->counted && s->moved)
		buf_printf(to, "%s: %u of %u slots (%.1f %%) get another backend; %s\n", s->now->name, s->moved,
			   s->now->n_slots, 100.0 * s->moved / s->now->n_slots,
			   s->now->stateless ? "their flows move at once" :
			   broken	     ? "other flows that are open stay where they are" :
					       "flows that are open stay where they are");
}

/* "writes ..." is of interest to who looks closely; that flows move is to everybody. */
static void add_lines(const struct balance_service *s, const struct buf *lines, bool all, struct buf *to)
{
	const char *at = (const char *)lines->data, *end = at ? at + lines->len : at, *stop, *moves;
	char writes[BALANCE_NAME + 16];

	snprintf(writes, sizeof(writes), "%s: writes", s->name);
	for (; at < end; at = stop) {
		stop = memchr(at, '\n', (size_t)(end - at));
		stop = stop ? stop + 1 : end;
		if (all || strncmp(at, writes, strlen(writes)) != 0) {
			buf_put(to, at, (size_t)(stop - at));
			continue;
		}
		moves = memchr(at, ';', (size_t)(stop - at));
		if (moves)
			buf_printf(to, "%s:%.*s", s->name, (int)(stop - moves - 1), moves + 1);
	}
}

void plan_service_print(const struct control_plan *plan, const struct plan_service *s, bool all, struct buf *to)
{
	struct balance_service *old = (struct balance_service *)(uintptr_t)s->old, *now = (struct balance_service *)(uintptr_t)s->now;
	struct balance_model a = {.services = &old, .n_services = s->old != NULL};
	struct balance_model b = {.services = &now, .n_services = s->now != NULL};
	struct balance_change *changes;
	struct buf lines = {0};
	bool broken;
	size_t n;

	memcpy(a.seed, plan->old ? plan->old->services.seed : "", plan->old ? sizeof(a.seed) : 1);
	memcpy(b.seed, plan->now->services.seed, sizeof(b.seed));
	if (balance_diff(&a, &b, &changes, &n, &lines, NULL)) {
		to->failed = true;
		return;
	}
	free(changes);
	add_lines(s->now ? s->now : s->old, &lines, all, to);
	say_unserved(plan, s, to);
	if (s->old && s->now) {
		broken = say_broken(s, to);
		say_moved(s, broken, to);
	}
	buf_free(&lines);
}

static void print_place(const struct plan_interface *i, struct buf *to)
{
	char shown[64];

	snprintf(shown, sizeof(shown), "%s", i->name);
	buf_printf(to, "%s: ", text_harmless(shown));
	if (i->turn == PLAN_LOSES)
		buf_printf(to, "loses the balancer: packets to virtual addresses pass");
	else if (i->turn == PLAN_GETS)
		buf_printf(to, "gets the balancer%s%s%s", strcmp(i->mode, "auto") != 0 ? " in " : "",
			   strcmp(i->mode, "auto") != 0 ? i->mode : "", strcmp(i->mode, "auto") != 0 ? " mode" : "");
	else if (i->turn == PLAN_AGAIN)
		buf_printf(to, "gets the balancer again");
	else
		buf_printf(to, "the balancer in mode %s, was %s", i->mode, i->old_mode);
	buf_printf(to, "\n");
}

static void print_places(const struct control_plan *plan, bool all, struct buf *to)
{
	uint32_t i, n = 0;

	for (i = 0; i < plan->n_balancers; i++) {
		if (!plan_is_news(&plan->balancers[i]))
			continue;
		if (all || n < PLAN_SHOWN)
			print_place(&plan->balancers[i], to);
		n++;
	}
	if (!all && n > PLAN_SHOWN)
		buf_printf(to, "... and %u more interface%s\n", n - PLAN_SHOWN, plan_plural(n - PLAN_SHOWN));
}

static void print_sum(const struct control_plan *plan, struct buf *to)
{
	uint32_t added = 0, removed = 0, changed = 0, i;
	size_t unchanged;
	bool first = true;

	for (i = 0; i < plan->n_services; i++) {
		added += !plan->services[i].old;
		removed += !plan->services[i].now;
		changed += plan->services[i].old && plan->services[i].now;
	}
	unchanged = plan->now->services.n_services - added - changed;
	buf_printf(to, "balance: ");
	plan_count(added, "service", "added", &first, to);
	plan_count(removed, "service", "removed", &first, to);
	plan_count(changed, "service", "changed", &first, to);
	plan_count(unchanged, "service", "unchanged", &first, to);
	buf_printf(to, "\n");
}

/* Indented, and no more than so many. */
static void print_lines(const struct buf *lines, bool all, struct buf *to)
{
	const char *at = (const char *)lines->data, *end = at ? at + lines->len : at, *stop;
	uint32_t n = 0;

	for (; at < end; at = stop, n++) {
		stop = memchr(at, '\n', (size_t)(end - at));
		stop = stop ? stop + 1 : end;
		if (all || n < PLAN_SHOWN)
			buf_printf(to, "  %.*s", (int)(stop - at), at);
	}
	if (!all && n > PLAN_SHOWN)
		buf_printf(to, "  ... and %u more line%s about services\n", n - PLAN_SHOWN,
			   plan_plural(n - PLAN_SHOWN));
}

void plan_balance_print(const struct control_plan *plan, bool all, struct buf *to)
{
	struct buf lines = {0};
	uint32_t i;

	print_places(plan, all, to);
	if (plan->n_services || plan->now->services.n_services)
		print_sum(plan, to);
	for (i = 0; i < plan->n_services; i++)
		plan_service_print(plan, &plan->services[i], all, &lines);
	print_lines(&lines, all, to);
	to->failed |= lines.failed;
	buf_free(&lines);
}
