/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From key words to what a row says. */
#ifndef OBSERVE_TOP_ROW_H
#define OBSERVE_TOP_ROW_H

#include <sluice/top.h>

#include "observe/top_keys.h"

/* Fills all of *row that follows from the key and its figures; rates and shares are left at 0. */
void top_row_of(const struct sluice_top_opts *opts, const struct top_key *key, struct sluice_top_row *row);

/* <0, 0, >0: the order of SLUICE_TOP_SORT_ADDR. */
int top_row_compare(const struct top_key *a, const struct top_key *b, size_t n_words);

#endif
