/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a rate as people write it to what the packet path computes with (abi/limit.h). */
#ifndef FILTER_LIMIT_H
#define FILTER_LIMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

#include "abi/limit.h"

#define FILTER_LIMIT_CELLS_LEAST (1u << 15) /* of a limit by key */
#define FILTER_LIMIT_CELLS_MOST (1u << 19)
#define FILTER_LIMIT_LEAST_BITS 512 /* a burst in bits has room for the smallest frame */

struct filter_rate {
	uint64_t amount;  /* packets, or bits */
	uint32_t seconds; /* in which they may come */
	bool bits;
	uint64_t burst; /* packets, or bits */
};

/*
 * filter_limit() computes unit, costs and depth; region and keyed are the caller's.
 *
 * in:      jiffy_ns  nanoseconds of a jiffy, 0: not known; they are used where a burst lasts 8 of them or longer, so that
 *                    their steps give no more than an eighth of the burst too early
 * out:     *to       costs are within 0.4 % of the rate
 * errors:  -EINVAL rate or burst is 0, or a burst in bits below FILTER_LIMIT_LEAST_BITS; -ERANGE what the numbers cannot
 *          hold: more than 100 M packets or 64 Gbit a second, less than one packet in 100 days, or a burst that lasts too
 *          long at that rate (err says how large it may be)
 */
int filter_limit(const struct filter_rate *rate, uint64_t jiffy_ns, struct limit *to, struct sluice_err *err);

/*
 * filter_limit_cells() says how many cells a limit by key has, a power of two: eight for each source that 10 Gbit/s of
 * smallest frames can have at its rate at once, from FILTER_LIMIT_CELLS_LEAST to _MOST.
 *
 * in:      l  of filter_limit()
 */
uint32_t filter_limit_cells(const struct limit *l);

#endif
