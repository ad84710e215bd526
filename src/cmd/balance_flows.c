// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice balance flows: what the flow table holds, by backend or entry by entry. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "cmd/balance_run.h"

#define AGES 4

static struct {
	bool entries;
	uint64_t limit;
} o = {.limit = 100};

static const struct cli_opt opts[] = {
	{.name = "entries",
	 .letter = 'e',
	 .kind = OPT_FLAG,
	 .to = &o.entries,
	 .help = "each flow, not their sums"},
	{.name = "limit",
	 .letter = 'n',
	 .kind = OPT_U64,
	 .arg = "N",
	 .to = &o.limit,
	 .min = 1,
	 .help = "at most so many entries (100)"},
	{0},
};

const struct cli_verb balance_flows_verb = {
	.name = "balance flows",
	.usage = "[SERVICE [BACKEND]] [--entries [--limit N]]",
	.summary = "what the flow table holds, by backend and age",
	.text = "KEPT flows went on after their first packet, NEW ones have not yet. The columns behind "
		"count kept and\n"
		"new ones by the time since their last packet. The table holds no addresses, and nothing of "
		"flows in\n"
		"slots that never changed: every packet of those finds its backend without it. With forward nat it "
		"is all\n"
		"flows that are translated.\n",
	.opts = opts,
	.max_args = 2,
};

static const uint32_t age_limits[AGES] = {10, 60, 600, UINT32_MAX};

struct row {
	uint32_t service, backend; /* places; BALANCE_LIVE_NONE: of those that went */
	uint64_t kept, fresh, ages[AGES];
};

struct table {
	const struct balance_run *run;
	uint32_t service, backend; /* those that are wanted; BALANCE_LIVE_NONE: all */
	struct row *rows; /* as in the model, and one for what went behind each service's, one behind all */
	uint32_t *first;  /* by service */
	uint32_t n_rows;
	json_t *entries;
	uint64_t n_entries, n_shown;
};

static int make_rows(struct table *t, struct sluice_err *err)
{
	const struct balance_model *m = t->run->model;
	uint32_t i, k, n = 1;

	for (i = 0; i < m->n_services; i++)
		n += (uint32_t)m->services[i]->n_backends + 1;
	t->rows = calloc(n, sizeof(*t->rows));
	t->first = calloc(m->n_services + 1, sizeof(*t->first));
	if (!t->rows || !t->first)
		return err_nomem(err);
	for (i = 0; i < m->n_services; i++) {
		t->first[i] = t->n_rows;
		for (k = 0; k <= m->services[i]->n_backends; k++)
			t->rows[t->n_rows++] =
				(struct row){.service = i,
					     .backend =
						     k < m->services[i]->n_backends ? k : BALANCE_LIVE_NONE};
	}
	t->rows[t->n_rows++] = (struct row){.service = BALANCE_LIVE_NONE, .backend = BALANCE_LIVE_NONE};
	return 0;
}

static struct row *row_of(const struct table *t, const struct balance_live_flow *f)
{
	const struct balance_model *m = t->run->model;
	uint32_t n;

	if (f->service >= m->n_services)
		return &t->rows[t->n_rows - 1];
	n = (uint32_t)m->services[f->service]->n_backends;
	return &t->rows[t->first[f->service] + (f->backend < n ? f->backend : n)];
}

static bool is_wanted(const struct table *t, const struct row *row)
{
	return (t->service == BALANCE_LIVE_NONE || row->service == t->service) &&
	       (t->backend == BALANCE_LIVE_NONE || row->backend == t->backend);
}

static const char *service_name(const struct table *t, const struct row *row)
{
	return row->service == BALANCE_LIVE_NONE ? NULL : t->run->model->services[row->service]->name;
}

static const char *row_name(const struct table *t, const struct row *row, char to[BACKEND_NAME])
{
	if (row->backend == BALANCE_LIVE_NONE)
		return NULL;
	return backend_name(&t->run->model->services[row->service]->backends[row->backend], to);
}

static void entry(struct table *t, const struct row *row, const struct balance_live_flow *f)
{
	const char *state = f->state == BALANCE_FLOW_KEPT ? "kept" : "new", *service = service_name(t, row),
		   *backend;
	char name[BACKEND_NAME];

	if (t->n_entries++ >= o.limit)
		return;
	t->n_shown++;
	backend = row_name(t, row, name);
	if (t->entries)
		json_array_append_new(t->entries,
				      json_pack("{s:s?, s:s?, s:s, s:I, s:I}", "service", service, "backend",
						backend, "state", state, "age_s", (json_int_t)f->age_s, "tag",
						(json_int_t)BALANCE_FLOW_TAG(f->entry)));
	else
		printf("%-20s %-22s %-5s %6us  %08x\n", service ? service : "(gone)",
		       backend ? backend : "(gone)", state, f->age_s, BALANCE_FLOW_TAG(f->entry));
}

static int take(void *arg, const struct balance_live_flow *f)
{
	struct table *t = arg;
	struct row *row = row_of(t, f);
	int i;

	if (!is_wanted(t, row))
		return 0;
	row->kept += f->state == BALANCE_FLOW_KEPT;
	row->fresh += f->state != BALANCE_FLOW_KEPT;
	for (i = 0; f->age_s >= age_limits[i] && i < AGES - 1; i++)
		;
	row->ages[i]++;
	if (o.entries)
		entry(t, row, f);
	return 0;
}

static void say_rows(const struct table *t)
{
	const struct row *row;
	const char *backend, *service;
	char name[BACKEND_NAME];

	printf("%-20s %-22s %9s %9s %9s %9s %9s %9s\n", "SERVICE", "BACKEND", "KEPT", "NEW", "<10s", "<1m",
	       "<10m", "OLDER");
	for (row = t->rows; row < t->rows + t->n_rows; row++) {
		if (!is_wanted(t, row) || (row->backend == BALANCE_LIVE_NONE && !(row->kept + row->fresh)))
			continue;
		service = service_name(t, row);
		backend = row_name(t, row, name);
		printf("%-20s %-22s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64
		       " %9" PRIu64 "\n",
		       service ? service : "(gone)", backend ? backend : "(gone)", row->kept, row->fresh,
		       row->ages[0], row->ages[1], row->ages[2], row->ages[3]);
	}
}

static json_t *json_rows(const struct table *t)
{
	json_t *all = json_array();
	const struct row *row;
	char name[BACKEND_NAME];

	for (row = t->rows; row < t->rows + t->n_rows; row++) {
		if (!is_wanted(t, row) || (row->backend == BALANCE_LIVE_NONE && !(row->kept + row->fresh)))
			continue;
		json_array_append_new(all,
				      json_pack("{s:s?, s:s?, s:I, s:I, s:{s:I, s:I, s:I, s:I}}", "service",
						service_name(t, row), "backend", row_name(t, row, name),
						"kept", (json_int_t)row->kept, "new", (json_int_t)row->fresh,
						"ages", "under_10s", (json_int_t)row->ages[0], "under_1m",
						(json_int_t)row->ages[1], "under_10m",
						(json_int_t)row->ages[2], "older", (json_int_t)row->ages[3]));
	}
	return all;
}

static int flows(struct balance_run *run, char **args, int n, struct sluice_err *err)
{
	struct table t = {.run = run, .service = BALANCE_LIVE_NONE, .backend = BALANCE_LIVE_NONE};
	int e = n ? balance_run_service(run->model, args[0], &t.service, err) : 0, rc = EXIT_DONE;

	if (!e && n > 1)
		e = balance_run_backend(run->model->services[t.service], args[1], &t.backend, err);
	e = e ?: make_rows(&t, err);
	if (!e && o.entries && cli.json)
		t.entries = json_array();
	else if (!e && o.entries)
		printf("%-20s %-22s %-5s %7s  TAG\n", "SERVICE", "BACKEND", "STATE", "AGE");
	e = e ?: balance_live_flows(run->live, clock_mono_ns(), take, &t, err);
	if (!e && cli.json)
		rc = cli_json(json_pack("{s:s, s:o, s:o}", "policy", run->name, "backends", json_rows(&t),
					"entries", o.entries ? json_incref(t.entries) : json_null()));
	else if (!e && !o.entries)
		say_rows(&t);
	else if (!e && t.n_entries > t.n_shown)
		printf("... and %" PRIu64 " more\n", t.n_entries - t.n_shown);
	json_decref(t.entries);
	free(t.rows);
	free(t.first);
	return e ? e : rc ? cli_gone(err) : 0;
}

int balance_flows_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct balance_run run;
	char **args;
	int n, e, rc = cli_parse(&balance_flows_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	e = balance_run_open(&run, false, &err);
	e = e ?: flows(&run, args, n, &err);
	balance_run_close(&run);
	return e ? cli_fail(&balance_flows_verb, &err) : EXIT_DONE;
}
