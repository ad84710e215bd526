/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What goes on when one generation follows another: counters of rules of the same key, what limits know.
 *
 * Counters shown are what was carried over (RUN/NAME/carried_P, a struct filter_count per rule) and what the map
 * has. A generation that is off counts no more, so carrying over gives the same each time it is done.
 */
#ifndef CONTROL_CARRY_H
#define CONTROL_CARRY_H

#include "abi/filter.h"
#include "control/state.h"

/*
 * carry_cells_map() opens the cells of the live generation's filter on the same interface, if filter number
 * filter of g (whose rules_F is written) has the same limits in the same places; -1 otherwise.
 */
int carry_cells_map(const struct control_state *st, const struct control_generation *g, uint32_t filter,
		    uint32_t n_cells);

/*
 * carry_cells() copies the regions of limits that are the same from one generation to the next, where they do
 * not share a map. What the old one does meanwhile is lost to the new one.
 */
void carry_cells(const struct control_state *st, const char *from, const char *to);

/*
 * carry_counts() makes counters of a generation go on from those of the one before it; that must be off.
 * carry_back() adds what was counted during a trial to the generation that is on again, once.
 */
int carry_counts(const struct control_state *st, const char *from, const char *to, struct sluice_err *err);
int carry_back(const struct control_state *st, const char *tried, const char *to, struct sluice_err *err);

/* carry_tried() is what a part's n rules will have carried over behind carry_back(), without writing it. */
int carry_tried(const struct control_state *st, const char *tried, const struct control_generation *to,
		uint32_t part, struct filter_count *v, uint32_t n, struct sluice_err *err);

#endif
