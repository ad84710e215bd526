/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the parts of `sluice rules` share.
 *
 *     control/counts.h ── rules_run_read() ──> groups of rows, with rates ──> rules_plain.c, rules_screen.c
 *
 * A group is a filter, its counters on the chosen interfaces added up; or, with --per-if, a filter on one interface.
 */
#ifndef CMD_RULES_RUN_H
#define CMD_RULES_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/counts.h"
#include "net/ifs.h"

enum rules_sort { RULES_TEXT, RULES_PACKETS, RULES_BYTES, RULES_PPS, RULES_BPS, RULES_SORTS };

struct rules_row {
	const struct policy_stmt *stmt; /* NULL: the default */
	uint32_t rule;			/* number in its filter, from 0 on */
	struct filter_count now;	/* since the rule is in force */
	double pps, bps;		/* packets that matched, over the limit too, and their bits */
	double share;			/* of its group's packets: in the interval, or without one at all */
};

struct rules_group {
	const struct policy_filter *filter;
	char interfaces[128];
	struct rules_row *rows;		/* in the order of the text, then the default */
	const struct rules_row **order; /* the same, sorted as wanted */
	uint32_t n_rows;
	uint64_t packets, bytes; /* whose fate was decided here */
	double pps, bps;
	/* as it was read before, for rates */
	struct filter_count *before;
	uint64_t packets_before, bytes_before;
};

struct rules_run {
	const char *bpffs;
	const struct net_if *ifs; /* NULL: all */
	size_t n_ifs;
	bool per_if;
	uint64_t interval_ns, limit; /* limit: rows of a group, 0: all */
	enum rules_sort sort;

	struct control_state *st;
	struct control_counts *counts;
	char policy[CONTROL_NAME];
	uint64_t trial_ns; /* the policy is on trial for so long */
	bool settling;	   /* it was just put into force: what it carries over may not all be there yet */
	struct rules_group *groups;
	uint32_t n_groups;
	uint64_t read_ns, wall_ns; /* when */
	uint64_t elapsed_ns;	   /* since it was read before; 0: there are no rates */
};

/*
 * rules_run_read() reads the counters again, or for the first time; goes on with another policy if there is one now.
 * errors:  -ENOENT no policy is in force, -ENODEV not on any of these interfaces; of control_policy_counts()
 */
int rules_run_read(struct rules_run *run, struct sluice_err *err);
void rules_run_free(struct rules_run *run);

/* rules_run_order() sorts the rows of a group as run->sort says, into group->order. */
void rules_run_order(const struct rules_run *run, struct rules_group *g);

/* rules_in(): do the counters of that part go into the group? */
bool rules_in(const struct rules_run *run, const struct rules_group *g, uint32_t part);

/* rules_never(): no packet has ever matched the rule. The default is no rule. */
bool rules_never(const struct rules_row *row);

/* A word of --sort; -1: none. */
int rules_sort_of(const char *word);

/* Each prints to stdout and returns 0, or -errno when stdout is gone. */
int rules_plain(struct rules_run *run);
int rules_json(struct rules_run *run);

/* The full screen: as struct live_view (cmd/live.h) wants it; ctx is the struct rules_run. */
struct screen;
int rules_screen_open(void *run, struct screen **screen);
bool rules_screen_keys(struct screen *screen, int wait_ms);
void rules_screen_show(struct screen *screen);

#endif
