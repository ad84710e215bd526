// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The balancer of a new generation: what it has of the one before it, its files, its memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "control/balance_counts.h"
#include "control/balance_inside.h"
#include "control/inside.h"

/* What was said of a backend that stays; NULL: it is new */
static const struct balance_overlay *said_of(const struct balance_live *from, const char *service,
					     const struct balance_backend *b)
{
	int at = balance_live_find(from, service), old;

	old = at < 0 ? -1 : balance_live_find_backend(from, (uint32_t)at, &b->addr, b->port);
	if (old < 0 || from->policy.services[at]->backends[old].port != b->port)
		return NULL;
	return &from->services[at].overlay[old];
}

/* What was said of backends that stay goes on. */
static void carry_overlay(const struct balance_live *from, struct balance_live *b)
{
	const struct balance_overlay *said;
	uint32_t i, k;

	for (i = 0; i < b->policy.n_services; i++) {
		const struct balance_service *s = b->policy.services[i];

		for (k = 0; k < s->n_backends; k++) {
			said = said_of(from, s->name, &s->backends[k]);
			if (said)
				b->services[i].overlay[k] = *said;
		}
		live_overlay(b, i);
	}
}

int balance_live_over(const struct balance_live *from, const struct balance_model *policy,
		      struct balance_model *to, struct sluice_err *err)
{
	const struct balance_overlay *said;
	struct balance_service *s;
	int e = live_copy_model(policy, to, err);
	size_t i, k;

	for (i = 0; !e && i < to->n_services; i++) {
		s = to->services[i];
		for (k = 0; k < s->n_backends; k++) {
			said = said_of(from, s->name, &s->backends[k]);
			if (said)
				s->backends[k] = overlay_apply(&s->backends[k], said);
		}
	}
	if (e)
		balance_model_free(to);
	return e;
}

static int load_all(struct balance_live *from, struct sluice_err *err)
{
	uint32_t i;
	int e = 0;

	for (i = 0; !e && i < from->policy.n_services; i++)
		e = store_read_service(from, i, true, err);
	return e;
}

static int make_tables(struct balance_live *b, struct balance_live *from, const uint32_t *on, uint64_t now,
		       struct sluice_err *err)
{
	struct tables_room room;
	uint32_t i;
	int e;

	if (from) {
		e = load_all(from, err) ?:
		    tables_grow(from->t, &b->model, on, now, &b->t, &b->follows, NULL, err);
	} else {
		tables_room(&b->model, &room);
		e = tables_new(&room, b->model.seed, &b->t, err) ?: tables_set(b->t, &b->model, on, now, NULL, err);
	}
	for (i = 0; !e && i < b->policy.n_services; i++) {
		const struct balance_service *s = b->model.services[i];
		struct live_service *at = &b->services[i];

		at->number = (uint32_t)tables_service(b->t, s->name);
		at->serial = tables_serial(b->t, at->number);
		e = ring_ids(tables_ring(b->t, at->number), s->backends, s->n_backends, at->ids, err);
	}
	return e;
}

/* Files that are gone, no files, or too large say as little as those whose bytes are wrong. */
static bool is_damaged(int e)
{
	return e == -EBADMSG || e == -ENOENT || e == -ENOEXEC || e == -EFBIG || e == -ELOOP;
}

int balance_live_prepare(struct control_state *st, const struct policy *p, const uint32_t *on, const char *from,
			 uint64_t now_ns, struct balance_live **to, struct sluice_err *err)
{
	struct balance_live *b = NULL, *old = NULL;
	struct sluice_err why = {0};
	bool damaged;
	int e;

	*to = NULL;
	e = from[0] ? live_open_files(st, from, &old, &why) : 0;
	damaged = is_damaged(e);
	if (damaged) {
		control_warn(st, &why, "what was set at run time is lost, and flows of slots that were changed may move");
		e = 0;
	}
	e = e ? err_set(err, e, "%s", why.text) : live_prepare(&p->services, on, old, now_ns, &b, err);
	if (!e) {
		b->st = st;
		b->forget = damaged;
		snprintf(b->from, sizeof(b->from), "%s", old ? from : "");
		*to = b;
	}
	balance_live_close(old);
	return e;
}

int live_prepare(const struct balance_model *m, const uint32_t *on, struct balance_live *old, uint64_t now_ns,
		 struct balance_live **to, struct sluice_err *err)
{
	struct balance_live *b;
	int e = live_new(&b, err);

	*to = NULL;
	if (e)
		return e;
	e = live_copy_model(m, &b->policy, err) ?: live_places(b, err);
	if (!e && on) {
		b->on = calloc(m->n_services + 1, sizeof(*b->on));
		if (b->on)
			memcpy(b->on, on, m->n_services * sizeof(*on));
		else
			e = err_nomem(err);
	}
	if (!e && old)
		carry_overlay(old, b);
	e = e ?: make_tables(b, old, on, now_ns, err);
	if (e)
		balance_live_close(b);
	else
		*to = b;
	return e;
}

struct tables *balance_live_tables(struct balance_live *b)
{
	return b->t;
}

bool balance_live_follows(const struct balance_live *b)
{
	return b->follows;
}

/* --- into its place --- */

static int write_all(const struct balance_live *b, struct sluice_err *err)
{
	uint32_t i;
	int e = 0;

	for (i = 0; !e && i < b->policy.n_services; i++)
		e = store_service(b, i, err);
	return e ?: store_state(b, err);
}

static void carry_ways(const struct balance_live *from, struct balance_live *b)
{
	struct balance_live_backend old;
	uint32_t i, k;
	int at, was;

	for (i = 0; i < b->policy.n_services; i++) {
		const struct balance_service *s = b->policy.services[i];

		at = balance_live_find(from, s->name);
		for (k = 0; at >= 0 && k < s->n_backends; k++) {
			was = balance_live_find_backend(from, (uint32_t)at, &s->backends[k].addr, s->backends[k].port);
			if (was >= 0 && !balance_live_backend(from, (uint32_t)at, (uint32_t)was, &old, NULL) && old.way &&
			    old.hop.ifindex)
				(void)live_way(b, i, k, &old.hop, NULL); /* without: it is looked up */
		}
	}
}

/*
 * Counters go on for backends that stay, and begin with 0 for others: what the map says already is not theirs. Without a
 * counter that can be read they begin with what it says.
 */
static void base_counts(struct balance_live *from, struct balance_live *b)
{
	uint32_t i, k, key;
	int at, was, n;

	for (i = 0; i < b->policy.n_services; i++) {
		const struct balance_service *s = b->policy.services[i];
		struct live_service *to = &b->services[i];
		struct balance_reasons now, then = {0};

		at = from ? balance_live_find(from, s->name) : -1;
		for (k = 0; k < s->n_backends; k++) {
			struct balance_count old = {0};

			was = at < 0 ? -1 : balance_live_find_backend(from, (uint32_t)at, &s->backends[k].addr, s->backends[k].port);
			if (was >= 0 && balance_live_counts(from, (uint32_t)at, (uint32_t)was, &old, NULL))
				old = (struct balance_count){0};
			key = tables_first(b->t, to->number) + to->ids[k];
			if (balance_counts_read(b->maps.counts, key, &to->base[k], NULL))
				continue;
			to->base[k].packets -= old.packets;
			to->base[k].bytes -= old.bytes;
			to->base[k].opened -= old.opened;
			to->base[k].known -= old.known;
		}
		if (balance_reasons_read(b->maps.reasons, to->number, &now, NULL) ||
		    (at >= 0 && balance_live_reasons(from, (uint32_t)at, &then, NULL)))
			continue;
		for (n = 0; n < 16; n++)
			to->base_reasons.n[n] = now.n[n] - then.n[n];
	}
}

/* The generation before is told what this one gives out, in case it comes back. */
static int reserve(struct balance_live *from, const struct balance_live *b, struct sluice_err *err)
{
	uint32_t i, number;
	bool any;
	int e = 0;

	if (tables_take_turn(from->t, b->t))
		e = store_state(from, err);
	for (i = 0; !e && i < from->policy.n_services; i++) {
		number = from->services[i].number;
		e = store_read_service(from, i, true, err);
		e = e ?: tables_publish_service(from->t, number, err);
		e = e ?: tables_prepare_return(from->t, number, b->t, &any, err);
		if (!e && any) {
			from->services[i].serial = tables_serial(from->t, number);
			e = store_service(from, i, err) ?: tables_publish_service(from->t, number, err);
		}
		tables_unload_service(from->t, number);
	}
	return e;
}

/*
 * Slots that are somebody else's than in the generation before ask the flow table, also where nobody is to be gone back to:
 * if this is a trial, what is opened in them must be known when it rolls back. Otherwise they settle soon.
 */
static int prepare_trial(struct balance_live *b, struct balance_live *old, struct sluice_err *err)
{
	uint32_t i, number;
	int at, e = 0;
	bool any;

	for (i = 0; !e && i < b->policy.n_services; i++) {
		number = b->services[i].number;
		at = balance_live_find(old, b->policy.services[i]->name);
		if (at < 0 || old->services[at].number != number)
			continue;
		e = store_read_service(old, (uint32_t)at, true, err);
		e = e ?: tables_prepare_return(b->t, number, old->t, &any, err);
		b->services[i].serial = tables_serial(b->t, number);
		tables_unload_service(old->t, number);
	}
	return e;
}

/* Numbers have been given out by somebody whose files cannot be read: those in the table may mean anybody. */
static void forget_flows(struct balance_live *b)
{
	size_t i;

	for (i = 0; i < b->flows_bytes / sizeof(*b->flows); i++)
		if (b->flows[i])
			__atomic_store_n(&b->flows[i], 0, __ATOMIC_RELAXED);
	for (i = 0; b->fragments && i < b->fragments_bytes / sizeof(*b->fragments); i++)
		if (b->fragments[i])
			__atomic_store_n(&b->fragments[i], 0, __ATOMIC_RELAXED);
}

int live_place(struct balance_live *b, struct balance_live *old, const char *generation, const char *dir,
	       const struct balance_config *config, const struct balance_maps *maps, struct sluice_err *err)
{
	uint32_t i;
	int e;

	snprintf(b->generation, sizeof(b->generation), "%s", generation);
	if (snprintf(b->dir, sizeof(b->dir), "%s", dir) >= (int)sizeof(b->dir))
		return err_set(err, -ENAMETOOLONG, "%s is too long a path", dir);
	b->config = *tables_config(b->t);
	b->config.flow_shift = config->flow_shift;
	b->config.fragment_shift = config->fragment_shift;
	b->config.tick_shift = config->tick_shift;
	b->config.idle = config->idle;
	e = live_maps(b, maps, err);
	if (!e && b->forget)
		forget_flows(b);
	if (!e) {
		base_counts(old, b);
		e = write_all(b, err) ?: tables_publish(b->t, err);
	}
	if (!e && old && old->memory) {
		carry_ways(old, b);
		e = reserve(old, b, err);
	}
	for (i = 0; i < b->policy.n_services; i++)
		tables_unload_service(b->t, b->services[i].number);
	return e;
}

int balance_live_place(struct balance_live *b, const char *generation, const char *dir, const struct balance_config *config,
		       const struct balance_maps *maps, struct sluice_err *err)
{
	struct balance_live *old = NULL;
	int e = b->from[0] ? live_open_files(b->st, b->from, &old, err) : 0;

	if (!e && old)
		e = prepare_trial(b, old, err);
	e = e ?: live_place(b, old, generation, dir, config, maps, err);
	balance_live_close(old);
	return e;
}
