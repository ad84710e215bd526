// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counters of rules, read again and again: sums over interfaces, rates, shares, order. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "cmd/cli.h"
#include "cmd/rules_run.h"

int rules_sort_of(const char *word)
{
	static const char *const words[] = {"text", "packets", "bytes", "pps", "bps"};
	int i;

	for (i = 0; i < RULES_SORTS; i++)
		if (!strcmp(words[i], word))
			return i;
	return -1;
}

bool rules_never(const struct rules_row *row)
{
	return row->stmt && !row->now.packets && !row->now.over_packets;
}

static uint64_t figure(const struct rules_row *row, enum rules_sort sort)
{
	switch (sort) {
	case RULES_PACKETS:
		return row->now.packets + row->now.over_packets;
	case RULES_BYTES:
		return row->now.bytes + row->now.over_bytes;
	case RULES_PPS:
		return (uint64_t)(row->pps * 1000);
	case RULES_BPS:
		return (uint64_t)(row->bps * 1000);
	case RULES_TEXT:
	case RULES_SORTS:
		break;
	}
	return 0;
}

/* Equal ones in the order of the text. */
static int order(const void *a, const void *b, void *sort)
{
	const struct rules_row *x = *(const struct rules_row *const *)a,
			       *y = *(const struct rules_row *const *)b;
	uint64_t n = figure(x, *(const enum rules_sort *)sort), m = figure(y, *(const enum rules_sort *)sort);

	return n != m ? (n > m ? -1 : 1) : (x->rule > y->rule) - (x->rule < y->rule);
}

void rules_run_order(const struct rules_run *run, struct rules_group *g)
{
	enum rules_sort sort = run->sort;
	uint32_t i;

	for (i = 0; i < g->n_rows; i++)
		g->order[i] = &g->rows[i];
	if (sort != RULES_TEXT)
		qsort_r(g->order, g->n_rows, sizeof(*g->order), order, &sort);
}

static bool chosen(const struct rules_run *run, const struct control_part *part)
{
	size_t i;

	for (i = 0; i < run->n_ifs; i++)
		if (run->ifs[i].index == part->ifindex)
			return true;
	return !run->ifs;
}

/* The group that a part's counters go into; NULL: none. */
static struct rules_group *group_of(const struct rules_run *run, uint32_t part)
{
	const struct control_part_counts *c = &run->counts->parts[part];
	uint32_t i, n = 0;

	if (!chosen(run, c->part))
		return NULL;
	if (run->per_if) {
		for (i = 0; i < part; i++)
			n += chosen(run, run->counts->parts[i].part);
		return n < run->n_groups ? &run->groups[n] : NULL;
	}
	for (i = 0; i < run->n_groups; i++)
		if (run->groups[i].filter == c->filter)
			return &run->groups[i];
	return NULL;
}

bool rules_in(const struct rules_run *run, const struct rules_group *g, uint32_t part)
{
	return group_of(run, part) == g;
}

static void free_groups(struct rules_run *run)
{
	uint32_t i;

	for (i = 0; i < run->n_groups; i++) {
		free(run->groups[i].rows);
		free(run->groups[i].order);
		free(run->groups[i].before);
	}
	free(run->groups);
	run->groups = NULL;
	run->n_groups = 0;
}

static bool new_group(struct rules_group *g, const struct control_part_counts *c)
{
	uint32_t i;

	*g = (struct rules_group){.filter = c->filter, .n_rows = c->filter->n_stmts + 1};
	g->rows = calloc(g->n_rows, sizeof(*g->rows));
	g->order = calloc(g->n_rows, sizeof(*g->order));
	g->before = calloc(g->n_rows, sizeof(*g->before));
	for (i = 0; g->rows && i < g->n_rows; i++) {
		g->rows[i].rule = i;
		g->rows[i].stmt = i < c->filter->n_stmts ? &c->filter->stmts[i] : NULL;
	}
	return g->rows && g->order && g->before;
}

/* "eth0, eth1", as many as there is room for. */
static void add_name(struct rules_group *g, const char *name)
{
	size_t at = strlen(g->interfaces), room = sizeof(g->interfaces) - at;
	char shown[CLI_NAME];

	if (room > 24)
		snprintf(g->interfaces + at, room, "%s%s", at ? ", " : "", cli_name(name, shown));
	else if (room > 6 && strcmp(g->interfaces + at - 3, "...") != 0)
		snprintf(g->interfaces + at, room, ", ...");
}

static int make_groups(struct rules_run *run, struct sluice_err *err)
{
	const struct control_counts *c = run->counts;
	struct rules_group *g;
	uint32_t i;

	free_groups(run);
	run->groups = calloc(c->gen->n_parts + 1ul, sizeof(*run->groups));
	if (!run->groups)
		return err_nomem(err);
	for (i = 0; i < c->gen->n_parts; i++) {
		if (!chosen(run, c->parts[i].part))
			continue;
		g = run->per_if ? NULL : group_of(run, i);
		if (!g) {
			g = &run->groups[run->n_groups++];
			if (!new_group(g, &c->parts[i]))
				return err_nomem(err);
		}
		add_name(g, c->parts[i].part->ifname);
	}
	if (!run->n_groups && run->ifs)
		return err_set(err, -ENODEV, "the policy in force has no filter on %s%s", run->ifs[0].name,
			       run->n_ifs > 1 ? " or the others" : "");
	return 0;
}

/* Does a packet that the rule matches go no further? What is over a limit does not, either. */
static bool decides(const struct policy_stmt *s)
{
	return !s || s->action < POLICY_COUNT;
}

static double rate(uint64_t now, uint64_t before, uint64_t ns)
{
	return ns && now > before ? (double)(now - before) * 1e9 / (double)ns : 0;
}

static void work_out(struct rules_run *run, struct rules_group *g)
{
	struct filter_count *b;
	struct rules_row *row;
	double all;
	uint32_t i;

	g->packets = g->bytes = 0;
	for (i = 0; i < g->n_rows; i++) {
		row = &g->rows[i];
		g->packets += row->now.over_packets + (decides(row->stmt) ? row->now.packets : 0);
		g->bytes += row->now.over_bytes + (decides(row->stmt) ? row->now.bytes : 0);
	}
	g->pps = rate(g->packets, g->packets_before, run->elapsed_ns);
	g->bps = rate(g->bytes, g->bytes_before, run->elapsed_ns) * 8;
	all = run->elapsed_ns ? g->pps : (double)g->packets;
	for (i = 0; i < g->n_rows; i++) {
		row = &g->rows[i];
		b = &g->before[i];
		row->pps = rate(row->now.packets + row->now.over_packets, b->packets + b->over_packets,
				run->elapsed_ns);
		row->bps = rate(row->now.bytes + row->now.over_bytes, b->bytes + b->over_bytes,
				run->elapsed_ns) *
			   8;
		row->share =
			all > 0 ? (run->elapsed_ns ? row->pps
						   : (double)(row->now.packets + row->now.over_packets)) /
					  all
				: 0;
		*b = row->now;
	}
	g->packets_before = g->packets;
	g->bytes_before = g->bytes;
}

static void add_up(struct rules_run *run)
{
	struct control_part_counts *c;
	struct rules_group *g;
	uint32_t i, k;

	for (i = 0; i < run->n_groups; i++)
		for (k = 0; k < run->groups[i].n_rows; k++)
			run->groups[i].rows[k].now = (struct filter_count){0};
	for (i = 0; i < run->counts->gen->n_parts; i++) {
		c = &run->counts->parts[i];
		g = group_of(run, i);
		for (k = 0; g && k < g->n_rows && k < c->n; k++)
			counts_add(&g->rows[k].now, &c->v[k]);
	}
	for (i = 0; i < run->n_groups; i++) {
		work_out(run, &run->groups[i]);
		rules_run_order(run, &run->groups[i]);
	}
}

/* The policy in force now: run->counts are its, opened anew if it is another one. *anew: they have been read. */
static int follow(struct rules_run *run, bool *anew, struct sluice_err *err)
{
	struct control_state *st;
	char live[CONTROL_NAME] = "";
	int e = control_state_open(run->bpffs, false, &st, err);

	*anew = false;
	e = e ?: control_state_current(st, live, &run->trial_ns, err);
	if (!e && !live[0])
		e = err_set(err, -ENOENT, "no policy is in force here%s",
			    run->counts ? " any more" : "; sluice apply FILE puts one in");
	if (e || (run->counts && !run->settling && !strcmp(live, run->policy))) {
		control_state_close(st);
		return e;
	}
	free_groups(run);
	control_counts_free(run->counts);
	control_state_close(run->st);
	run->counts = NULL;
	run->st = st;
	run->settling = st->record.change == CONTROL_APPLY || st->record.change == CONTROL_JOINT;
	memcpy(run->policy, live, sizeof(live));
	*anew = true;
	e = control_policy_counts(st, live, &run->counts, err);
	return e ?: make_groups(run, err);
}

int rules_run_read(struct rules_run *run, struct sluice_err *err)
{
	bool anew;
	uint64_t now;
	int e = follow(run, &anew, err);

	if (!e && !anew)
		e = control_counts_read(run->counts, err);
	if (e)
		return e;
	now = clock_mono_ns();
	run->elapsed_ns = anew ? 0 : now - run->read_ns;
	run->read_ns = now;
	run->wall_ns = clock_wall_ns();
	add_up(run);
	return 0;
}

void rules_run_free(struct rules_run *run)
{
	free_groups(run);
	control_counts_free(run->counts);
	control_state_close(run->st);
}
