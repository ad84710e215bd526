/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters of the rules of a generation, as they are shown: carried over and live together. */
#ifndef CONTROL_COUNTS_H
#define CONTROL_COUNTS_H

#include "abi/filter.h"
#include "control/state.h"

/* The maps of a part with its counters; -1: not open. */
struct counts_maps {
	int hits, more;
	struct filter_sums sums; /* as in the constants of the filter: sums_F of the generation */
};
#define COUNTS_NONE ((struct counts_maps){-1, -1, {.n = 0}})

struct control_part_counts {
	const struct control_part *part;
	const struct policy_filter *filter; /* text of rule i: policy_stmt_print(&filter->stmts[i]) */
	uint32_t n;			    /* rules, and the default behind them */
	struct filter_count *v;
	struct counts_maps maps;
};

struct control_counts {
	struct policy *policy;
	struct control_generation *gen;
	struct control_part_counts *parts; /* gen->n_parts */
	struct filter_count **carried;	   /* per part */
};

/*
 * control_policy_counts() opens the counters of a generation and reads them; control_counts_read() reads again.
 *
 * out:     *counts, for control_counts_free()
 * errors:  -ENOENT no such generation, or nothing of it is pinned any more; -EBADMSG; -EPERM; -ENOMEM
 */
int control_policy_counts(const struct control_state *st, const char *name, struct control_counts **counts,
			  struct sluice_err *err);
int control_counts_read(struct control_counts *counts, struct sluice_err *err);
void control_counts_free(struct control_counts *counts);

/*
 * counts_open() opens those of part number nr of a generation, of n rules with the default; counts_close() closes them.
 * errors: of control_state_map(); -EBADMSG
 */
int counts_open(const struct control_state *st, const char *name, const struct control_part *part,
		uint32_t nr, uint32_t n, struct counts_maps *to, struct sluice_err *err);
void counts_close(struct counts_maps *maps);

/*
 * counts_add() adds what one counted to another. counts_read() adds up what all CPUs of the engine counted: n
 * rules, with the default. counts_carried() reads what was carried over, zeroes if
 * nothing was; added: the generation whose trial is in it already, "" none.
 */
void counts_add(struct filter_count *to, const struct filter_count *v);
int counts_read(const struct counts_maps *maps, struct filter_count *to, uint32_t n, struct sluice_err *err);
int counts_carried(const struct control_state *st, const char *name, uint32_t part, struct filter_count *to, uint32_t n,
		   char added[CONTROL_NAME], struct sluice_err *err);
int counts_carry(const struct control_state *st, const char *name, uint32_t part, const struct filter_count *v,
		 uint32_t n, const char *added, struct sluice_err *err);

#endif
