// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Changes of a balancer that runs: noted, written into files, stored into its memory; ways to backends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/balance_inside.h"
#include "control/inside.h"

/* --- notes --- */

static int note(struct balance_live *b, uint32_t service, uint32_t backend, enum balance_matter matter, uint32_t value,
		enum balance_who who, struct sluice_err *err)
{
	struct live_note *more;
	int e = live_check(b, service, backend, err);

	if (e)
		return e;
	more = reallocarray(b->notes, b->n_notes + 1ul, sizeof(*more));
	if (!more)
		return err_nomem(err);
	b->notes = more;
	more[b->n_notes++] = (struct live_note){
		service, backend, matter, {who ? value : 0, who, who ? clock_wall_ns() : 0}};
	return 0;
}

int balance_live_drain(struct balance_live *b, uint32_t service, uint32_t backend, bool drain, enum balance_who who,
		       struct sluice_err *err)
{
	return note(b, service, backend, BALANCE_MATTER_DRAIN, drain, who, err);
}

int balance_live_weight(struct balance_live *b, uint32_t service, uint32_t backend, uint32_t weight, enum balance_who who,
			struct sluice_err *err)
{
	if (weight > MAGLEV_WEIGHT_MAX)
		return err_set(err, -EINVAL, "a weight of %u; it can be 0 to %u", weight, MAGLEV_WEIGHT_MAX);
	return note(b, service, backend, BALANCE_MATTER_WEIGHT, weight, who, err);
}

int balance_live_health(struct balance_live *b, uint32_t service, uint32_t backend, bool up, enum balance_who who,
			struct sluice_err *err)
{
	return note(b, service, backend, BALANCE_MATTER_HEALTH, up ? BALANCE_UP : BALANCE_DOWN, who, err);
}

/* --- one service --- */

static void forget(struct balance_live *b)
{
	free(b->notes);
	b->notes = NULL;
	b->n_notes = 0;
}

static bool noted(const struct balance_live *b, uint32_t service)
{
	uint32_t i;

	for (i = 0; i < b->n_notes; i++)
		if (b->notes[i].service == service)
			return true;
	return false;
}

/* Where a test looks what a process that ends here leaves. */
static void step(const struct balance_live *b, const char *done)
{
	if (b->st)
		control_step(b->st, done);
}

/*
 * The service with its slots from its file; what that says and the memory does not is published, so that numbers and
 * deadlines can be used again.
 */
static int load(struct balance_live *b, uint32_t service, struct sluice_err *err)
{
	int e = store_read_service(b, service, true, err);

	if (!e && tables_pending(b->t, b->services[service].number))
		e = tables_publish_service(b->t, b->services[service].number, err);
	return e;
}

static int keep(struct balance_live *b, uint32_t service, struct sluice_err *err)
{
	struct live_service *s = &b->services[service];
	int e;

	s->serial = tables_serial(b->t, s->number);
	e = store_service(b, service, err);
	if (e)
		return e;
	step(b, "balance state");
	e = tables_publish_service(b->t, s->number, err);
	if (!e)
		step(b, "balance memory");
	return e;
}

static int change(struct balance_live *b, uint32_t service, uint64_t now, struct ring_report *sum, struct sluice_err *err)
{
	struct live_service *s = &b->services[service];
	struct balance_service *m = b->model.services[service];
	struct ring_report report = {0};
	uint32_t i;
	int e = load(b, service, err);

	if (e)
		return e;
	for (i = 0; i < b->n_notes; i++)
		if (b->notes[i].service == service)
			s->overlay[b->notes[i].backend].said[b->notes[i].matter] = b->notes[i].said;
	live_overlay(b, service);
	e = tables_set_service(b->t, s->number, m, now, &report, err);
	e = e ?: ring_ids(tables_ring(b->t, s->number), m->backends, m->n_backends, s->ids, err);
	e = e ?: keep(b, service, err);
	if (e)
		return err_prefix(err, "service %s", m->name);
	sum->moved += report.moved;
	sum->changed += report.changed;
	sum->waiting += report.waiting;
	sum->until = report.until > sum->until ? report.until : sum->until;
	return 0;
}

/* Those that are noted, and those whose file and memory say different things. */
static int commit_all(struct balance_live *b, uint64_t now, struct ring_report *sum, struct sluice_err *err)
{
	uint32_t i, serial;
	int e = 0;

	for (i = 0; !e && i < b->policy.n_services; i++) {
		struct live_service *s = &b->services[i];
		bool read = false;

		if (noted(b, i)) {
			e = change(b, i, now, sum, err);
			read = true;
		} else {
			e = store_serial(b, i, &serial, err);
			if (!e && !tables_published(b->t, s->number, serial)) {
				e = load(b, i, err);
				read = true;
			} else if (!e && serial != s->serial) {
				e = store_read_service(b, i, false, err);
			}
		}
		if (e && read) /* whatever was tried: what is kept is what counts */
			(void)store_read_service(b, i, false, NULL);
		else if (read)
			tables_unload_service(b->t, s->number);
	}
	return e;
}

/* --- both generations --- */

static bool may_count(const struct control_record *r, const char *name)
{
	if (!name[0] || !strcmp(name, CONTROL_EMPTY))
		return false;
	if (!strcmp(name, r->live))
		return true;
	if (r->change == CONTROL_NONE)
		return false;
	return !strcmp(name, r->next) || (r->change == CONTROL_TRIAL && !strcmp(name, r->before));
}

/* The same notes for the same services and backends of another generation. */
static int translate(const struct balance_live *b, struct balance_live *other, struct sluice_err *err)
{
	uint32_t i;
	int e = 0;

	for (i = 0; !e && i < b->n_notes; i++) {
		const struct live_note *n = &b->notes[i];
		const struct balance_service *s = b->model.services[n->service];
		const struct balance_backend *x = &s->backends[n->backend];
		int service = balance_live_find(other, s->name), backend = -1;

		if (service >= 0)
			backend = balance_live_find_backend(other, (uint32_t)service, &x->addr, x->port);
		if (backend < 0 || other->model.services[service]->backends[backend].port != x->port)
			continue;
		e = note(other, (uint32_t)service, (uint32_t)backend, (enum balance_matter)n->matter, n->said.value,
			 (enum balance_who)n->said.who, err);
		if (!e)
			other->notes[other->n_notes - 1].said = n->said;
	}
	return e;
}

/* What goes wrong there is a warning: the generation in force has the change. */
static void commit_other(struct balance_live *b, const char *name, uint64_t now)
{
	struct balance_live *other = NULL;
	struct ring_report report = {0};
	struct sluice_err why = {0};
	int e = live_open_other(b->st, name, &other, &why);

	if (!e && other) {
		e = translate(b, other, &why);
		e = e ?: commit_all(other, now, &report, &why);
	}
	if (e)
		control_warn(b->st, &why, "changing the balancer of the policy that may be in force again");
	balance_live_close(other);
}

static int may_change(const struct balance_live *b, struct sluice_err *err)
{
	if (!b->memory)
		return err_set(err, -EINVAL, "this balancer has not got its place yet");
	if (!b->st)
		return 0;
	if (b->st->lock_fd < 0)
		return err_set(err, -EPERM, "%s/lock must be held to change the balancer", b->st->run);
	if (!may_count(&b->st->record, b->generation))
		return err_set(err, -ESTALE, "policy %s is not in force any more", b->generation);
	return 0;
}

int balance_live_commit(struct balance_live *b, uint64_t now_ns, struct ring_report *report, struct sluice_err *err)
{
	const char *names[3] = {0};
	struct ring_report sum = {0};
	size_t i, k;
	int e = may_change(b, err);

	e = e ?: commit_all(b, now_ns, &sum, err);
	if (b->st && !e) {
		names[0] = b->st->record.live;
		names[1] = b->st->record.next;
		names[2] = b->st->record.before;
	}
	for (i = 0; i < 3 && names[i]; i++) {
		for (k = 0; k < i && strcmp(names[k], names[i]) != 0; k++)
			;
		if (k == i && strcmp(names[i], b->generation) != 0 && may_count(&b->st->record, names[i]))
			commit_other(b, names[i], now_ns);
	}
	forget(b);
	if (!e && report)
		*report = sum;
	return e;
}

/* --- back to stateless slots --- */

static int settle_one(struct balance_live *b, uint32_t service, uint64_t now, const uint8_t *bits, struct ring_report *sum,
		      struct sluice_err *err)
{
	uint32_t number = b->services[service].number;
	struct ring_report report = {0};
	int e = load(b, service, err);

	if (!e)
		tables_settle_service(b->t, number, now, bits, &report);
	if (!e && tables_pending(b->t, number))
		e = keep(b, service, err);
	if (e)
		(void)store_read_service(b, service, false, NULL);
	else
		tables_unload_service(b->t, number);
	sum->changed += report.changed;
	sum->waiting += report.waiting;
	sum->until = report.until > sum->until ? report.until : sum->until;
	return e;
}

int balance_live_settle(struct balance_live *b, uint64_t now_ns, struct ring_report *report, struct sluice_err *err)
{
	struct ring_report sum = {0}, done = {0};
	uint8_t **bits = NULL;
	uint32_t i;
	int e = may_change(b, err);

	e = e ?: commit_all(b, now_ns, &done, err);
	if (!e) {
		bits = calloc(b->policy.n_services + 1, sizeof(*bits));
		e = bits ? live_elsewhere(b, now_ns, bits, err) : err_nomem(err);
	}
	/* a generation that may be taken back tells the one before it, by the flow table, what was opened in its slots */
	for (i = 0; !e && i < b->policy.n_services; i++)
		if (bits[i])
			e = settle_one(b, i, now_ns, b->st && b->st->record.change != CONTROL_NONE ? NULL : bits[i], &sum, err);
	for (i = 0; bits && i < b->policy.n_services; i++)
		free(bits[i]);
	free(bits);
	if (!e && report)
		*report = sum;
	return e;
}

/* --- ways --- */

static struct balance_hop *hop_at(const struct balance_live *b, uint32_t hop)
{
	return (struct balance_hop *)(void *)((char *)b->memory + b->config.hops) + hop;
}

static int count_hops(struct balance_live *b, struct sluice_err *err)
{
	const struct balance_target *t = (const void *)((const char *)b->memory + b->config.targets);
	uint32_t i;

	if (b->hop_users)
		return 0;
	b->hop_users = calloc(b->config.n_hops, sizeof(*b->hop_users));
	if (!b->hop_users)
		return err_nomem(err);
	for (i = 0; i < b->config.n_targets; i++)
		if (t[i].state != BALANCE_TARGET_GONE && t[i].hop && t[i].hop < b->config.n_hops)
			b->hop_users[t[i].hop]++;
	return 0;
}

/* The number of a way: one that says the same, else the one that is free longest; 0: none is. */
static uint32_t find_hop(struct balance_live *b, const struct balance_hop *hop)
{
	uint32_t i, at;

	for (i = 1; i < b->config.n_hops; i++)
		if (b->hop_users[i] && !memcmp(hop_at(b, i), hop, sizeof(*hop)))
			return i;
	for (i = 0; i < b->config.n_hops; i++) {
		at = (b->hop_next + i) % b->config.n_hops;
		if (!at || b->hop_users[at])
			continue;
		b->hop_next = at + 1;
		return at;
	}
	return 0;
}

int live_way(struct balance_live *b, uint32_t service, uint32_t backend, const struct balance_hop *hop, struct sluice_err *err)
{
	const struct balance_target *t;
	uint32_t id, number = 0, old;
	int e;

	if (hop && !hop->ifindex)
		return err_set(err, -EINVAL, "a way without an interface");
	id = b->services[service].ids[backend];
	if (!id)
		return err_set(err, -ENOENT, "backend %u of service %s has no number yet", backend,
			       b->model.services[service]->name);
	e = count_hops(b, err);
	if (e)
		return e;
	t = live_targets(b, service) + id;
	old = t->hop < b->config.n_hops ? t->hop : 0;
	if (hop) {
		number = find_hop(b, hop);
		if (number && !b->hop_users[number])
			tables_hop(b->t, number, hop);
	}
	if (number != t->hop)
		tables_way(b->t, b->services[service].number, id, number);
	b->hop_users[number]++;
	if (old && b->hop_users[old])
		b->hop_users[old]--;
	return hop && !number ? err_set(err, -ENOSPC, "all %u numbers of ways are taken", b->config.n_hops) : 0;
}

int balance_live_way(struct balance_live *b, uint32_t service, uint32_t backend, const struct balance_hop *hop,
		     struct sluice_err *err)
{
	int e = live_check(b, service, backend, err) ?: may_change(b, err);

	return e ?: live_way(b, service, backend, hop, err);
}
