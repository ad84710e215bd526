// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counters of the balancer, read again and again: sums, rates, shares, order. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "cmd/balance_stats.h"

int balance_stats_sort_of(const char *word)
{
	static const char *const words[] = {"policy", "packets", "bytes", "pps", "bps", "new", "flows"};
	int i;

	for (i = 0; i < STATS_SORTS; i++)
		if (!strcmp(words[i], word))
			return i;
	return -1;
}

const char *stats_reason(uint32_t reason)
{
	static const char *const words[] = {
		[BALANCE_DROP_NO_BACKEND] = "no_backend", [BALANCE_DROP_NO_FIRST] = "no_first",
		[BALANCE_DROP_DAMAGED] = "damaged",	  [BALANCE_DROP_TOO_BIG] = "too_big",
		[BALANCE_DROP_NO_ROUTE] = "no_route",	  [BALANCE_DROP_NO_NEIGH] = "no_neighbour",
		[BALANCE_DROP_HEADROOM] = "no_headroom",  [BALANCE_DROP_MODE] = "mode",
		[BALANCE_DROP_TABLES] = "tables",	  [BALANCE_DROP_TOO_BIG_TOLD] = "too_big_told",
		[BALANCE_NOTE_FULL] = "table_full",	  [BALANCE_NOTE_LOOKUP] = "looked_up",
		[BALANCE_DROP_REFUSED] = "refused",	  [BALANCE_NOTE_UNCLAIMED] = "unclaimed",
		[BALANCE_DROP_FULL] = "no_port",	  [BALANCE_DROP_TTL] = "ttl",
	};

	return reason < sizeof(words) / sizeof(*words) && words[reason] ? words[reason] : "other";
}

bool stats_is_drop(uint32_t reason)
{
	return reason != BALANCE_NOTE_FULL && reason != BALANCE_NOTE_LOOKUP && reason != BALANCE_NOTE_UNCLAIMED;
}

bool stats_reasons_text(const uint64_t *reasons, bool drops, char *to, size_t size)
{
	size_t n = 0;
	uint32_t i;

	to[0] = '\0';
	for (i = 0; i < BALANCE_REASONS && n < size; i++)
		if (reasons[i] && stats_is_drop(i) == drops)
			n += (size_t)snprintf(to + n, size - n, "%s%s %" PRIu64, n ? ", " : "",
					      stats_reason(i), reasons[i]);
	return n;
}

static double figure(const struct stats_row *row, enum stats_sort sort)
{
	switch (sort) {
	case STATS_PACKETS:
		return (double)row->f.now.packets;
	case STATS_BYTES:
		return (double)row->f.now.bytes;
	case STATS_PPS:
		return row->f.pps;
	case STATS_BPS:
		return row->f.bps;
	case STATS_NEW:
		return (double)row->f.now.opened;
	case STATS_FLOWS:
		return (double)row->f.flows.kept + row->f.flows.fresh;
	case STATS_POLICY:
	case STATS_SORTS:
		break;
	}
	return 0;
}

/* Equal ones in the order of the policy. */
static int order(const void *a, const void *b, void *sort)
{
	const struct stats_row *x = *(const struct stats_row *const *)a,
			       *y = *(const struct stats_row *const *)b;
	double n = figure(x, *(const enum stats_sort *)sort), m = figure(y, *(const enum stats_sort *)sort);

	return n < m ? 1 : n > m ? -1 : (x->nr > y->nr) - (x->nr < y->nr);
}

void balance_stats_order(struct balance_stats *s)
{
	struct stats_service *v;
	uint32_t i;

	for (v = s->services; v < s->services + s->n_services; v++) {
		for (i = 0; i < v->n_rows; i++)
			v->order[i] = &v->rows[i];
		if (v->n_rows)
			qsort_r(v->order, v->n_rows, sizeof(*v->order), order, &s->sort);
	}
}

static void free_services(struct balance_stats *s)
{
	uint32_t i;

	for (i = 0; i < s->n_services; i++) {
		free(s->services[i].rows);
		free(s->services[i].order);
	}
	free(s->services);
	s->services = NULL;
	s->n_services = 0;
}

void balance_stats_free(struct balance_stats *s)
{
	free_services(s);
	if (s->is_open)
		balance_run_close(&s->run);
	s->is_open = false;
}

static int add_service(struct balance_stats *s, const struct balance_service *from, struct sluice_err *err)
{
	struct stats_service *v = &s->services[s->n_services++];

	*v = (struct stats_service){.n_rows = (uint32_t)from->n_backends};
	snprintf(v->name, sizeof(v->name), "%s", from->name);
	v->rows = calloc(v->n_rows + 1ul, sizeof(*v->rows));
	v->order = calloc(v->n_rows + 1ul, sizeof(*v->order));
	return v->rows && v->order ? 0 : err_nomem(err);
}

static int make_services(struct balance_stats *s, struct sluice_err *err)
{
	const struct balance_model *m = s->run.model;
	uint32_t i, nr, n = s->n_wanted ? s->n_wanted : (uint32_t)m->n_services;
	int e = 0;

	s->services = calloc(n + 1ul, sizeof(*s->services));
	if (!s->services)
		return err_nomem(err);
	for (i = 0; !e && i < n; i++) {
		nr = i;
		e = s->n_wanted ? balance_run_service(m, s->wanted[i], &nr, err) : 0;
		e = e ?: add_service(s, m->services[nr], err);
	}
	return e;
}

/* The policy in force now; *anew: it is another one than before, or the first. */
static int follow(struct balance_stats *s, bool *anew, struct sluice_err *err)
{
	char now[CONTROL_NAME] = "";
	struct control_state *st = NULL;
	uint64_t trial_ns = 0;
	int e = control_state_open(cli.bpffs, false, &st, err);

	*anew = false;
	e = e ?: control_state_current(st, now, &trial_ns, err);
	control_state_close(st);
	if (!e && !now[0] && s->is_open)
		e = err_set(err, -ENOENT, "no policy is in force here any more");
	if (!e && s->is_open && !strcmp(now, s->run.name)) {
		s->run.trial_ns = trial_ns;
		e = balance_live_reload(s->run.live, NULL, err);
		s->run.model = balance_live_model(s->run.live);
		return e;
	}
	if (e)
		return e;
	balance_stats_free(s);
	s->is_open = true;
	*anew = true;
	e = balance_run_open(&s->run, false, err);
	return e ?: make_services(s, err);
}

static double rate(uint64_t now, uint64_t before, uint64_t ns)
{
	return ns && now > before ? (double)(now - before) * 1e9 / (double)ns : 0;
}

static void work_out(struct stats_figures *f, uint64_t ns)
{
	f->pps = rate(f->now.packets, f->before.packets, ns);
	f->bps = rate(f->now.bytes, f->before.bytes, ns) * 8;
	f->new_ps = rate(f->now.opened, f->before.opened, ns);
}

static void add(struct stats_figures *to, const struct stats_figures *f)
{
	to->now.packets += f->now.packets;
	to->now.bytes += f->now.bytes;
	to->now.opened += f->now.opened;
	to->now.known += f->now.known;
	to->flows.kept += f->flows.kept;
	to->flows.fresh += f->flows.fresh;
}

static int read_row(struct balance_stats *s, uint32_t service, struct stats_row *row,
		    const struct balance_tally *t, uint32_t n_tally, struct sluice_err *err)
{
	struct balance_live_backend b;
	int e = balance_live_backend(s->run.live, service, row->nr, &b, err);

	row->f.before = row->f.now;
	if (!e)
		e = balance_live_counts(s->run.live, service, row->nr, &row->f.now, err);
	if (e)
		return e;
	backend_name(&b.now, row->name);
	row->state = backend_state(&b.now);
	row->weight = b.now.weight;
	row->f.flows = b.id && b.target < n_tally ? t[b.target] : (struct balance_tally){0};
	work_out(&row->f, s->elapsed_ns);
	return 0;
}

static int read_service(struct balance_stats *s, struct stats_service *v, const struct balance_tally *t,
			uint32_t n_tally, struct sluice_err *err)
{
	struct balance_reasons reasons;
	double of;
	uint32_t nr, i;
	int e = balance_run_service(s->run.model, v->name, &nr, err);

	v->all.before = v->all.now;
	v->all.now = (struct balance_count){0};
	v->all.flows = (struct balance_tally){0};
	for (i = 0; !e && i < v->n_rows; i++) {
		v->rows[i].nr = i;
		e = read_row(s, nr, &v->rows[i], t, n_tally, err);
		add(&v->all, &v->rows[i].f);
	}
	e = e ?: balance_live_reasons(s->run.live, nr, &reasons, err);
	if (e)
		return e;
	for (i = 0; i < BALANCE_REASONS; i++)
		v->reasons[i] = reasons.n[i];
	work_out(&v->all, s->elapsed_ns);
	of = s->elapsed_ns ? v->all.pps : (double)v->all.now.packets;
	for (i = 0; i < v->n_rows; i++)
		v->rows[i].f.share =
			of > 0 ? (s->elapsed_ns ? v->rows[i].f.pps : (double)v->rows[i].f.now.packets) / of
			       : 0;
	return 0;
}

int balance_stats_read(struct balance_stats *s, struct sluice_err *err)
{
	struct balance_tally *t = NULL;
	struct balance_reasons none;
	uint32_t n = 0, i;
	uint64_t now;
	bool anew;
	int e = follow(s, &anew, err);

	if (e)
		return e;
	now = clock_mono_ns();
	s->elapsed_ns = anew ? 0 : now - s->read_ns;
	s->read_ns = now;
	s->wall_ns = clock_wall_ns();
	e = balance_live_tally(s->run.live, now, STATS_ACTIVE_S, &t, &n, err);
	for (i = 0; !e && i < s->n_services; i++)
		e = read_service(s, &s->services[i], t, n, err);
	if (!e && !s->n_wanted)
		e = balance_live_reasons(s->run.live, BALANCE_LIVE_NONE, &none, err);
	for (i = 0; !e && !s->n_wanted && i < BALANCE_REASONS; i++)
		s->unserved[i] = none.n[i];
	free(t);
	if (!e)
		balance_stats_order(s);
	return e;
}
