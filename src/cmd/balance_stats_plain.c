// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* `sluice balance stats` as lines and as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "cmd/balance_stats.h"

#define REASONS_TEXT 512

static void say_figures(const struct balance_stats *s, const struct stats_figures *f)
{
	char share[BALANCE_SHARE];

	printf(" %12" PRIu64 " %15" PRIu64, (uint64_t)f->now.packets, (uint64_t)f->now.bytes);
	if (s->elapsed_ns)
		printf(" %9.0f %13.0f", f->pps, f->bps);
	printf(" %9" PRIu64, (uint64_t)f->now.opened);
	if (s->elapsed_ns)
		printf(" %7.0f", f->new_ps);
	printf(" %8" PRIu64 " %11" PRIu64 " %11" PRIu64 " %6s\n", (uint64_t)f->flows.kept + f->flows.fresh,
	       (uint64_t)f->now.known, (uint64_t)(f->now.packets - f->now.known),
	       balance_share(f->share, share));
}

static void say_reasons(const char *what, const uint64_t *reasons)
{
	char text[REASONS_TEXT];

	if (stats_reasons_text(reasons, true, text, sizeof(text)))
		printf("%s dropped: %s\n", what, text);
	if (stats_reasons_text(reasons, false, text, sizeof(text)))
		printf("%s notes: %s\n", what, text);
}

static void say_service(const struct balance_stats *s, const struct stats_service *v)
{
	uint32_t i, n = s->limit && s->limit < v->n_rows ? (uint32_t)s->limit : v->n_rows;

	printf("service %s: %" PRIu64 " packets %" PRIu64 " bytes", v->name, (uint64_t)v->all.now.packets,
	       (uint64_t)v->all.now.bytes);
	if (s->elapsed_ns)
		printf(", %.0f packets/s %.0f bit/s", v->all.pps, v->all.bps);
	printf("\n  %-22s %-8s %6s %12s %15s", "BACKEND", "STATE", "WEIGHT", "PACKETS", "BYTES");
	if (s->elapsed_ns)
		printf(" %9s %13s", "PPS", "BIT/S");
	printf(" %9s", "NEW");
	if (s->elapsed_ns)
		printf(" %7s", "NEW/S");
	printf(" %8s %11s %11s %6s\n", "ACTIVE", "TABLE", "SLOT", "SHARE");
	for (i = 0; i < n; i++) {
		printf("  %-22s %-8s %6u", v->order[i]->name, v->order[i]->state, v->order[i]->weight);
		say_figures(s, &v->order[i]->f);
	}
	if (n < v->n_rows)
		printf("  ... and %u more\n", v->n_rows - n);
	say_reasons(" ", v->reasons);
}

int balance_stats_plain(struct balance_stats *s)
{
	time_t t = (time_t)(s->wall_ns / 1000000000u);
	char when[32];
	struct tm tm;
	uint32_t i;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
	printf("# %s policy %s", when, s->run.name);
	if (s->run.trial_ns)
		printf(", on trial for %.0fs more", (double)s->run.trial_ns / 1e9);
	if (s->elapsed_ns)
		printf(", rates of %.3fs", (double)s->elapsed_ns / 1e9);
	printf("\n");
	for (i = 0; i < s->n_services; i++)
		say_service(s, &s->services[i]);
	if (!s->n_wanted)
		say_reasons("no service:", s->unserved);
	return cli_flush() ? 0 : -EPIPE;
}

static json_t *rate_or_null(const struct balance_stats *s, double v)
{
	return s->elapsed_ns ? json_integer((json_int_t)(v + 0.5)) : json_null();
}

static void put_figures(const struct balance_stats *s, const struct stats_figures *f, json_t *o)
{
	json_object_set_new(o, "packets", json_integer((json_int_t)f->now.packets));
	json_object_set_new(o, "bytes", json_integer((json_int_t)f->now.bytes));
	json_object_set_new(o, "new", json_integer((json_int_t)f->now.opened));
	json_object_set_new(o, "table", json_integer((json_int_t)f->now.known));
	json_object_set_new(o, "slot", json_integer((json_int_t)(f->now.packets - f->now.known)));
	json_object_set_new(o, "active_kept", json_integer(f->flows.kept));
	json_object_set_new(o, "active_new", json_integer(f->flows.fresh));
	json_object_set_new(o, "pps", rate_or_null(s, f->pps));
	json_object_set_new(o, "bps", rate_or_null(s, f->bps));
	json_object_set_new(o, "new_per_s", rate_or_null(s, f->new_ps));
}

static json_t *json_reasons(const uint64_t *reasons, bool drops)
{
	json_t *o = json_object();
	uint32_t i;

	for (i = 0; i < BALANCE_REASONS; i++)
		if (stats_is_drop(i) == drops)
			json_object_set_new(o, stats_reason(i), json_integer((json_int_t)reasons[i]));
	return o;
}

static json_t *json_service(const struct balance_stats *s, const struct stats_service *v)
{
	json_t *rows = json_array(), *total = json_object(), *row;
	uint32_t i, n = s->limit && s->limit < v->n_rows ? (uint32_t)s->limit : v->n_rows;

	for (i = 0; i < n; i++) {
		row = json_pack("{s:s, s:s, s:i, s:f}", "backend", v->order[i]->name, "state",
				v->order[i]->state, "weight", (int)v->order[i]->weight, "share",
				v->order[i]->f.share);
		put_figures(s, &v->order[i]->f, row);
		json_array_append_new(rows, row);
	}
	put_figures(s, &v->all, total);
	return json_pack("{s:s, s:o, s:o, s:o, s:i, s:o}", "service", v->name, "total", total, "dropped",
			 json_reasons(v->reasons, true), "notes", json_reasons(v->reasons, false),
			 "n_backends", (int)v->n_rows, "backends", rows);
}

int balance_stats_json(struct balance_stats *s)
{
	json_t *services = json_array(), *none = json_null(), *o;
	uint32_t i;

	for (i = 0; i < s->n_services; i++)
		json_array_append_new(services, json_service(s, &s->services[i]));
	if (!s->n_wanted)
		none = json_pack("{s:o, s:o}", "dropped", json_reasons(s->unserved, true), "notes",
				 json_reasons(s->unserved, false));
	o = json_pack("{s:f, s:s, s:o, s:o, s:o, s:o}", "time", (double)s->wall_ns / 1e9, "policy",
		      s->run.name, "trial_ns",
		      s->run.trial_ns ? json_integer((json_int_t)s->run.trial_ns) : json_null(),
		      "interval_ns", s->elapsed_ns ? json_integer((json_int_t)s->elapsed_ns) : json_null(),
		      "services", services, "no_service", none);
	return cli_json(o) == EXIT_DONE ? 0 : -EPIPE;
}
