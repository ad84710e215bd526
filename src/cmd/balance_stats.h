/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the parts of `sluice balance stats` share.
 *
 *     control/balance_live.h ── balance_stats_read() ──> services of rows, rates ──> balance_stats_plain.c, _screen.c
 */
#ifndef CMD_BALANCE_STATS_H
#define CMD_BALANCE_STATS_H

#include "cmd/balance_run.h"

#define STATS_ACTIVE_S 60u /* a flow with a packet within so long is active */

enum stats_sort {
	STATS_POLICY,
	STATS_PACKETS,
	STATS_BYTES,
	STATS_PPS,
	STATS_BPS,
	STATS_NEW,
	STATS_FLOWS,
	STATS_SORTS
};

struct stats_figures {
	struct balance_count now, before;
	struct balance_tally flows; /* active ones that the flow table has */
	double pps, bps, new_ps;
	double share; /* of the service's packets: in the interval, or without one of all */
};

struct stats_row {
	uint32_t nr; /* place in the service */
	char name[BACKEND_NAME];
	const char *state;
	uint32_t weight;
	struct stats_figures f;
};

struct stats_service {
	char name[BALANCE_NAME];
	struct stats_row *rows;		/* in the order of the policy */
	const struct stats_row **order; /* the same, sorted as wanted */
	uint32_t n_rows;
	struct stats_figures all;
	uint64_t reasons[BALANCE_REASONS];
};

struct balance_stats {
	struct balance_run run;
	const char *const *wanted; /* names of services; n_wanted 0: all */
	uint32_t n_wanted;
	uint64_t interval_ns, limit; /* limit: rows of a service, 0: all */
	enum stats_sort sort;

	bool is_open;
	struct stats_service *services;
	uint32_t n_services;
	uint64_t unserved[BALANCE_REASONS]; /* of packets of no service; only without wanted ones */
	uint64_t read_ns, wall_ns;	    /* when */
	uint64_t elapsed_ns;		    /* since it was read before; 0: there are no rates */
};

/*
 * balance_stats_read() reads again, or for the first time; goes on with another policy if there is one now.
 * errors: of balance_run_open() and balance_run_service()
 */
int balance_stats_read(struct balance_stats *s, struct sluice_err *err);
void balance_stats_free(struct balance_stats *s);

/* balance_stats_order() sorts the rows of all services as s->sort says. */
void balance_stats_order(struct balance_stats *s);

/* A word of --sort; -1: none. */
int balance_stats_sort_of(const char *word);

/*
 * The word of a reason, "no_route". stats_is_drop(): a packet was dropped; else it is a note on one that was not.
 */
const char *stats_reason(uint32_t reason);
bool stats_is_drop(uint32_t reason);

/* Each prints to stdout and returns 0, or -errno when stdout is gone. */
int balance_stats_plain(struct balance_stats *s);
int balance_stats_json(struct balance_stats *s);

/* "no_route 2, too_big 1", of drops or of notes; returns whether there are any. */
bool stats_reasons_text(const uint64_t *reasons, bool drops, char *to, size_t size);

/* The full screen: as struct live_view (cmd/live.h) wants it; ctx is the struct balance_stats. */
struct screen;
int stats_screen_open(void *stats, struct screen **screen);
bool stats_screen_keys(struct screen *screen, int wait_ms);
void stats_screen_show(struct screen *screen);

#endif
