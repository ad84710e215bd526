// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From verdicts and ways to the data path, by the state of the generation in force. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/balance_checks.h"
#include "control/balance_serve_inside.h"

#define ROUTINE_NS MS(200) /* what changes nothing for packets is written together */
#define BUSY_NS MS(5)	   /* somebody has the lock */
#define CHECKS_NS MS(500)  /* what checks say is written together, for whoever looks */
#define BUSY_SAY_NS MS(5000)
#define AGAIN_NS MS(1000) /* after a failure */
#define FREE_MAX_NS MS(50)
#define LOOK_SETTLE_NS MS(60000)
#define SETTLE_NS MS(600000)

void serve_pend(struct serve *s, struct checked *c, bool up, bool urgent)
{
	uint64_t now = clock_mono_ns(), at = urgent ? now : now + ROUTINE_NS;

	if ((!s->n_pending && !s->n_ways && !s->commit) || at < s->commit_ns)
		s->commit_ns = at;
	s->n_pending += !c->pending;
	c->pending = true;
	c->up = up;
}

static void on_change(void *arg, const struct health_event *e)
{
	struct checked *c = (struct checked *)(uintptr_t)e->id;
	bool changes = c->up != e->up;
	char name[TARGETS_NAME];
	struct serve *s = arg;

	c->untold = false;
	serve_tell(s, !changes && e->up, "%s is %s%s: %s", targets_name(c, name), e->up ? "up" : "down",
		   changes || e->up ? "" : " as before", e->why);
	serve_pend(s, c, e->up, changes);
}

/* Keeps what a check said, for serve_checks(). */
static void keep_why(struct serve *s, struct checked *c, const struct health_result *r)
{
	bool asked = r->outcome != HEALTH_UNTOLD;

	if (r->outcome == HEALTH_GOOD ? !c->why : c->why && c->why_asked == asked && !strcmp(c->why, r->why))
		return;
	free(c->why);
	c->why = r->outcome == HEALTH_GOOD ? NULL : strdup(r->why);
	c->why_asked = asked;
	c->why_new = true;
	if (!s->checks_ns)
		s->checks_ns = clock_mono_ns() + CHECKS_NS;
}

void serve_checks_anew(struct serve *s)
{
	size_t i;

	for (i = 0; i < s->t.n; i++)
		s->t.v[i]->why_new = true;
	s->checks_ns = clock_mono_ns() + CHECKS_NS;
}

/* Nothing depends on it: what cannot be written is told once, and not tried again until something else is said. */
void serve_checks(struct serve *s, uint64_t now)
{
	struct sluice_err why;
	struct checked *c;
	size_t i, k;
	bool is_new;

	if (!s->checks_ns || now < s->checks_ns)
		return;
	s->checks_ns = 0;
	for (i = 0; s->b && i < s->t.n; i = k) {
		struct buf lines = {0};

		for (k = i, is_new = false; k < s->t.n && s->t.v[k]->at_service == s->t.v[i]->at_service;
		     k++) {
			c = s->t.v[k];
			is_new |= c->why_new;
			c->why_new = false;
			if (c->is_checked && c->why)
				balance_checks_line(&lines, &c->addr, c->port, c->why_asked, c->why);
		}
		if (is_new && balance_checks_write(s->b, s->t.v[i]->at_service, &lines, &why))
			serve_trouble(s, why.text);
		buf_free(&lines);
	}
}

static void on_result(void *arg, const struct health_result *r)
{
	struct checked *c = (struct checked *)(uintptr_t)r->id;
	char name[TARGETS_NAME];

	if (r->outcome == HEALTH_UNTOLD && !c->untold)
		serve_tell(arg, false, "%s stays %s: %s", targets_name(c, name), c->up ? "up" : "down",
			   r->why);
	c->untold = r->outcome == HEALTH_UNTOLD;
	keep_why(arg, c, r);
}

int serve_health_new(struct serve *s, struct sluice_err *err)
{
	struct health_options o = {.nofile = s->o.nofile,
				   .on_change = on_change,
				   .on_result = on_result,
				   .arg = s};

	return health_new(&o, &s->health, err);
}

static const char *fallback(enum balance_fallback f)
{
	switch (f) {
	case BALANCE_DROP:
		return "its packets are dropped";
	case BALANCE_RESET:
		return "its connections are reset";
	case BALANCE_OPEN:
		break;
	}
	return "its packets go on as if all were up";
}

static bool is_all_down(const struct balance_service *v)
{
	size_t k;

	for (k = 0; k < v->n_backends; k++)
		if (v->backends[k].health == BALANCE_UP)
			return false;
	return v->n_backends;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

void serve_say_all_down(struct serve *s)
{
	const struct balance_model *m = s->b ? balance_live_model(s->b) : NULL;
	size_t n = m ? m->n_services : 0, n_down = 0, i;
	char(*down)[BALANCE_NAME] = calloc(n + 1, sizeof(*down));
	const struct balance_service *v;
	bool told;

	if (!down)
		return;
	for (i = 0; i < n; i++) {
		v = m->services[i];
		told = s->n_all_down && bsearch(v->name, s->all_down, s->n_all_down, sizeof(*down), by_name);
		if (is_all_down(v)) {
			memcpy(down[n_down++], v->name, sizeof(*down));
			if (!told)
				serve_tell(s, false, "service %s: no backend is up, %s", v->name,
					   fallback(v->fallback));
		} else if (told) {
			serve_tell(s, false, "service %s has backends again", v->name);
		}
	}
	qsort(down, n_down, sizeof(*down), by_name);
	free(s->all_down);
	s->all_down = down;
	s->n_all_down = n_down;
}

/* 0, -EBUSY: later, said if it lasts; others. */
static int lock(struct serve *s, uint64_t now, struct sluice_err *why)
{
	int e = control_state_lock(s->st, 0, why);

	if (e != -EBUSY) {
		s->busy_ns = 0;
		return e;
	}
	if (!s->busy_ns || strncmp(s->holder, why->text, sizeof(s->holder) - 1) != 0) {
		s->busy_ns = now;
		snprintf(s->holder, sizeof(s->holder), "%.159s", why->text);
	} else if (now - s->busy_ns > BUSY_SAY_NS && s->n_pending) {
		serve_trouble(s, why->text);
	}
	return e;
}

/* Everything that is pending is noted in the handle. What an operator has said stands above what checks say. */
static int note_all(struct serve *s, struct sluice_err *why)
{
	struct balance_live_backend b;
	struct checked *c;
	size_t i;
	int e = 0;

	for (i = 0; s->n_pending && i < s->t.n && !e; i++) {
		c = s->t.v[i];
		if (!c->pending)
			continue;
		e = balance_live_backend(s->b, c->at_service, c->at_backend, &b, why);
		if (!e && b.set.said[BALANCE_MATTER_HEALTH].who != BALANCE_WHO_OPERATOR)
			e = balance_live_health(s->b, c->at_service, c->at_backend, c->up,
						c->is_checked ? BALANCE_WHO_HEALTH : BALANCE_WHO_NOBODY, why);
	}
	return e;
}

static void committed(struct serve *s)
{
	size_t i;

	for (i = 0; s->n_pending && i < s->t.n; i++)
		s->t.v[i]->pending = false;
	s->n_pending = 0;
	s->commit = false;
	serve_say_all_down(s);
}

/* What has failed is tried again; only what is broken for good ends the daemon. */
static int failed(struct serve *s, int e, const struct sluice_err *why, uint64_t *again_ns, uint64_t now,
		  struct sluice_err *err)
{
	if (e == -EPERM || e == -ENOMEM)
		return err_set(err, e, "%s", why->text);
	*again_ns = now + (e == -EBUSY ? BUSY_NS : AGAIN_NS);
	if (e == -ESTALE || e == -ENOENT) { /* another policy is in force: look() follows it */
		s->look_ns = 0;
		s->generation[0] = '\0';
		*again_ns = now + MS(20);
	} else if (e != -EBUSY) {
		serve_trouble(s, why->text);
	}
	return 0;
}

static int set_ways(struct serve *s, struct sluice_err *why);

int serve_commit(struct serve *s, struct sluice_err *err)
{
	uint64_t now = clock_mono_ns(), took;
	struct sluice_err why = {0};
	int e;

	if ((!s->n_pending && !s->n_ways && !s->commit) || now < s->commit_ns || now < s->free_ns)
		return 0;
	e = lock(s, now, &why);
	if (!e)
		e = balance_live_reload(s->b, NULL, &why) ?: note_all(s, &why);
	if (!e && (s->n_pending || s->commit))
		e = balance_live_commit(s->b, clock_mono_ns(), NULL, &why);
	e = e ?: set_ways(s, &why);
	control_state_unlock(s->st);
	if (e)
		return failed(s, e, &why, &s->commit_ns, now, err);
	took = clock_mono_ns() - now;
	s->free_ns = now + took + (took < FREE_MAX_NS ? took : FREE_MAX_NS);
	committed(s);
	return 0;
}

int serve_settle(struct serve *s, uint64_t now, struct sluice_err *err)
{
	struct balance_live_service v;
	struct sluice_err why = {0};
	bool changed = false;
	uint64_t next;
	uint32_t i;
	int e;

	if (now < s->settle_ns)
		return 0;
	next = now + LOOK_SETTLE_NS;
	e = lock(s, now, &why) ?: balance_live_reload(s->b, NULL, &why);
	for (i = 0; !e && i < balance_live_model(s->b)->n_services; i++) {
		v = (struct balance_live_service){.slots = NULL};
		e = balance_live_service(s->b, i, &v, &why);
		changed |= !e && v.changed;
		if (!e && v.until > now && v.until < next)
			next = v.until + MS(100);
	}
	if (!e && (changed || now - s->settled_ns >= SETTLE_NS)) {
		e = balance_live_settle(s->b, clock_mono_ns(), NULL, &why);
		s->settled_ns = now;
	}
	control_state_unlock(s->st);
	s->settle_ns = next;
	return e ? failed(s, e, &why, &s->settle_ns, now, err) : 0;
}

void serve_way_changed(void *arg, const struct way *way)
{
	struct serve *s = arg;
	struct hop_of *first = hops_first(&s->hops, &way->to);
	uint64_t now = clock_mono_ns();
	struct sluice_err why;
	char say[HOPS_TEXT];

	if (!s->b || !first || way->state == WAY_NEW)
		return;
	if (!s->n_pending && !s->n_ways && !s->commit)
		s->commit_ns = now;
	s->n_ways += !first->pending;
	first->pending = true;
	if (s->inner && way->state == WAY_READY && inner_on(s->inner, (int)way->hop.ifindex, &why))
		serve_trouble(s, why.text);
	hops_tell(first, way, say);
	if (say[0])
		serve_tell(s, false, "%s", say);
}

/* All that are pending; the lock is held. One that has no room is looked up packet by packet, and told of. */
static int set_ways(struct serve *s, struct sluice_err *why)
{
	const struct way *way;
	size_t i;
	int e = 0;

	for (i = 0; s->n_ways && i < s->hops.n && !e; i++) {
		if (!s->hops.v[i].pending)
			continue;
		way = ways_find(s->ways, &s->hops.v[i].to);
		if (way)
			e = hops_set(&s->hops, s->b, way, why);
		if (e == -ENOSPC) {
			serve_trouble(s, why->text);
			e = 0;
		}
		if (!e)
			s->n_ways -= s->hops.v[i].pending;
		s->hops.v[i].pending = e;
	}
	return e;
}

int serve_ways_want(struct serve *s, struct sluice_err *err)
{
	struct sluice_err why = {0};
	const struct way *way;
	struct hops h;
	size_t i, k;
	int e = hops_make(balance_live_model(s->b), &h, err);

	if (e)
		return e;
	/* what was told stays told; both are in order */
	for (i = k = 0; i < h.n; i++) {
		while (k < s->hops.n && ways_compare(&s->hops.v[k].to, &h.v[i].to) < 0)
			k++;
		h.v[i].told =
			k < s->hops.n && !ways_compare(&s->hops.v[k].to, &h.v[i].to) && s->hops.v[k].told;
	}
	hops_free(&s->hops);
	s->hops = h;
	s->n_ways = 0;
	e = hops_want(&s->hops, s->ways, &why);
	if (e == -ENOSPC) {
		serve_trouble(s, why.text);
		e = 0;
	}
	if (e)
		return err_set(err, e, "%s", why.text);
	for (i = 0; i < s->hops.n; i++) {
		if (i && !ways_compare(&s->hops.v[i - 1].to, &s->hops.v[i].to))
			continue;
		way = ways_find(s->ways, &s->hops.v[i].to);
		if (way)
			serve_way_changed(s, way);
	}
	return 0;
}
