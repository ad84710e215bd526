// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* `sluice rules` as lines and as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/text.h"
#include "cmd/cli.h"
#include "cmd/rule_text.h"
#include "cmd/rules_run.h"

#define RULE_SHOWN 200
#define RULE_JSON 65536

static void print_group(const struct rules_run *run, const struct rules_group *g)
{
	char text[RULE_SHOWN], number[12];
	const struct rules_row *row;
	uint32_t i, n = run->limit && run->limit < g->n_rows ? (uint32_t)run->limit : g->n_rows;

	printf("filter on %s%s: %" PRIu64 " packets %" PRIu64 " bytes", g->interfaces,
	       g->filter->shadow ? " (in shadow: all pass)" : "", g->packets, g->bytes);
	if (run->elapsed_ns)
		printf(", %.0f packets/s %.0f bit/s", g->pps, g->bps);
	printf("\n%5s %12s %15s", "RULE", "PACKETS", "BYTES");
	if (run->elapsed_ns)
		printf(" %11s %14s", "PPS", "BIT/S");
	printf(" %11s %8s %6s  TEXT\n", "OVER", "LOGGED", "SHARE");
	for (i = 0; i < n; i++) {
		row = g->order[i];
		snprintf(number, sizeof(number), "%u", row->rule + 1);
		printf("%5s %12" PRIu64 " %15" PRIu64, row->stmt ? number : "-", (uint64_t)row->now.packets,
		       (uint64_t)row->now.bytes);
		if (run->elapsed_ns)
			printf(" %11.0f %14.0f", row->pps, row->bps);
		printf(" %11" PRIu64 " %8" PRIu64, (uint64_t)row->now.over_packets,
		       (uint64_t)row->now.logged);
		if (rules_never(row))
			printf("  never");
		else
			printf(" %5.1f%%", 100 * row->share);
		printf("  %s\n", rule_text(g->filter, row->stmt, text, sizeof(text)));
	}
	if (n < g->n_rows)
		printf("%5s ... and %u more\n", "", g->n_rows - n);
}

int rules_plain(struct rules_run *run)
{
	time_t t = (time_t)(run->wall_ns / 1000000000u);
	char when[32];
	struct tm tm;
	uint32_t i;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
	printf("# %s policy %s", when, run->policy);
	if (run->trial_ns)
		printf(", on trial for %.0fs more", (double)run->trial_ns / 1e9);
	if (run->elapsed_ns)
		printf(", rates of %.3fs", (double)run->elapsed_ns / 1e9);
	printf("\n");
	for (i = 0; i < run->n_groups; i++)
		print_group(run, &run->groups[i]);
	return cli_flush() ? 0 : -EPIPE;
}

static json_t *number_or_null(const struct rules_run *run, double v)
{
	return run->elapsed_ns ? json_integer((json_int_t)(v + 0.5)) : json_null();
}

static json_t *json_row(const struct rules_run *run, const struct rules_group *g, const struct rules_row *row)
{
	char *text = malloc(RULE_JSON), name[POLICY_NAME_MAX + 3] = "";
	bool named = row->stmt && row->stmt->name;
	json_t *o;

	if (!text)
		return NULL;
	if (named)
		snprintf(name, sizeof(name), "%s", row->stmt->name);
	o = json_pack("{s:o, s:s?, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:f, s:b}", "rule",
		      row->stmt ? json_integer((json_int_t)row->rule + 1) : json_null(), "name",
		      named ? text_harmless(name) : NULL, "text",
		      rule_text(g->filter, row->stmt, text, RULE_JSON), "default", !row->stmt, "packets",
		      (json_int_t)row->now.packets, "bytes", (json_int_t)row->now.bytes, "over_packets",
		      (json_int_t)row->now.over_packets, "over_bytes", (json_int_t)row->now.over_bytes,
		      "logged", (json_int_t)row->now.logged, "pps", number_or_null(run, row->pps), "bps",
		      number_or_null(run, row->bps), "share", row->share, "never", rules_never(row));
	free(text);
	return o;
}

static json_t *json_group(const struct rules_run *run, const struct rules_group *g)
{
	json_t *names = json_array(), *rows = json_array();
	uint32_t i, n = run->limit && run->limit < g->n_rows ? (uint32_t)run->limit : g->n_rows;

	for (i = 0; i < run->counts->gen->n_parts; i++)
		if (rules_in(run, g, i))
			json_array_append_new(names, json_string(run->counts->parts[i].part->ifname));
	for (i = 0; i < n; i++)
		json_array_append_new(rows, json_row(run, g, g->order[i]));
	return json_pack("{s:o, s:b, s:s, s:{s:I, s:I, s:o, s:o}, s:I, s:o}", "interfaces", names, "shadow",
			 g->filter->shadow, "default", g->filter->default_drop ? "drop" : "pass", "total",
			 "packets", (json_int_t)g->packets, "bytes", (json_int_t)g->bytes, "pps",
			 number_or_null(run, g->pps), "bps", number_or_null(run, g->bps), "n_rules",
			 (json_int_t)g->filter->n_stmts, "rules", rows);
}

int rules_json(struct rules_run *run)
{
	json_t *groups = json_array();
	uint32_t i;

	for (i = 0; i < run->n_groups; i++)
		json_array_append_new(groups, json_group(run, &run->groups[i]));
	return cli_json(json_pack("{s:f, s:s, s:o, s:o, s:o}", "time", (double)run->wall_ns / 1e9, "policy",
				  run->policy, "trial_ns",
				  run->trial_ns ? json_integer((json_int_t)run->trial_ns) : json_null(),
				  "interval_ns",
				  run->elapsed_ns ? json_integer((json_int_t)run->elapsed_ns) : json_null(),
				  "filters", groups)) == EXIT_DONE
		       ? 0
		       : -EPIPE;
}
