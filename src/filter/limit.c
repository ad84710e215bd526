// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rates and bursts as units of time. */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "filter/limit.h"
#include "filter/work.h"

#define NS 1000000000ull
#define LEAST_COST 128		  /* units: rounding is at most half of one */
#define MOST_DEPTH (1ull << 30)	  /* so that a time in a cell is clearly ahead or clearly past */
#define MOST_PACKETS 100000000ull /* a second */
#define MOST_BITS 64000000000ull
#define SMALLEST_FRAME 64u	  /* bytes */
#define FLOOD 14880000u		  /* frames a second: the smallest on 10 Gbit/s Ethernet */
#define CELLS_A_SOURCE 8u	  /* doc/limit.md */
#define MOST_SECONDS (100ull * 24 * 3600) /* for one packet */

/* LEAST_COST is met for the smallest thing that costs: a packet, or the bytes of the smallest frame. */
static uint64_t smallest(const struct filter_rate *r)
{
	return r->bits ? FILTER_LIMIT_LEAST_BITS : 1;
}

static int check(const struct filter_rate *r, struct sluice_err *err)
{
	unsigned __int128 most = (unsigned __int128)(r->bits ? MOST_BITS : MOST_PACKETS) * r->seconds;

	if (!r->amount || !r->seconds)
		return err_set(err, -EINVAL, "a rate of nothing: say drop instead");
	if (!r->burst)
		return err_set(err, -EINVAL, "a burst of nothing never lets anything pass");
	if (r->bits && r->burst < FILTER_LIMIT_LEAST_BITS)
		return err_set(err, -EINVAL, "a burst of %" PRIu64 " bits has no room for the smallest frame, %u bits",
			       r->burst, FILTER_LIMIT_LEAST_BITS);
	if (r->amount > most)
		return err_set(err, -ERANGE, "a rate above %s a second cannot be measured",
			       r->bits ? "64 Gbit" : "100 M packets");
	if (r->seconds / r->amount > MOST_SECONDS)
		return err_set(err, -ERANGE, "a rate below one in 100 days cannot be kept");
	return 0;
}

/* What the smallest frame costs, as limit_cost() says. */
static uint64_t smallest_cost(const struct limit *l)
{
	return l->packet ?: (SMALLEST_FRAME * l->byte + (1u << (LIMIT_COST_BITS - 1))) >> LIMIT_COST_BITS;
}

uint32_t filter_limit_cells(const struct limit *l)
{
	/* sixteenths of a nanosecond that a smallest frame takes at the rate, times frames: sources that are at their rate */
	unsigned __int128 time = (unsigned __int128)smallest_cost(l) << l->shift;
	uint64_t busy = (uint64_t)(time * FLOOD / NS >> LIMIT_NS_BITS);
	uint32_t n = FILTER_LIMIT_CELLS_LEAST;

	while (n < FILTER_LIMIT_CELLS_MOST && n < busy * CELLS_A_SOURCE)
		n *= 2;
	return n;
}

int filter_limit(const struct filter_rate *r, uint64_t jiffy_ns, struct limit *to, struct sluice_err *err)
{
	unsigned __int128 time, cost, depth; /* sixteenths of a nanosecond, << LIMIT_COST_BITS of one unit of amount */
	uint32_t shift = 0;
	int e = check(r, err);

	*to = (struct limit){.first = 0};
	if (e)
		return e;
	time = ((unsigned __int128)r->seconds * NS << LIMIT_NS_BITS << LIMIT_COST_BITS) / r->amount;
	cost = time * smallest(r);
	while (shift < LIMIT_MOST_SHIFT && cost >> (shift + 1) >= (unsigned __int128)LEAST_COST << LIMIT_COST_BITS)
		shift++;
	depth = (time * r->burst) >> LIMIT_COST_BITS >> shift;
	if (depth >= MOST_DEPTH)
		return err_set(err, -ERANGE, "a burst of %" PRIu64 " is too much for this rate: at most %" PRIu64, r->burst,
			       (uint64_t)(((unsigned __int128)MOST_DEPTH << LIMIT_COST_BITS << shift) / time) - 1);
	to->shift = (uint8_t)shift;
	if (r->bits)
		to->byte = (uint64_t)(time * 8 >> shift);
	else
		to->packet = (uint32_t)((time + ((unsigned __int128)1 << (shift + LIMIT_COST_BITS - 1))) >>
					(shift + LIMIT_COST_BITS));
	to->depth = r->bits ? (uint32_t)depth : (uint32_t)(to->packet * r->burst);
	if (to->depth <
	    smallest_cost(to)) /* rounded down, and what the smallest frame costs up: it has to fit */
		to->depth = (uint32_t)smallest_cost(to);
	to->clock = jiffy_ns && depth >= (8 * (unsigned __int128)jiffy_ns << LIMIT_NS_BITS) >> shift ? LIMIT_JIFFIES :
												       LIMIT_KTIME;
	return 0;
}

static uint32_t least_of(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Cells of all limits by key, if none has more than `most`. */
static uint64_t keyed_cells(const struct limit *v, uint32_t n, uint32_t most)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		sum += v[i].keyed ? least_of(filter_limit_cells(&v[i]), most) : 0;
	return sum;
}

int filter_lay_cells(struct limit *v, uint32_t n, uint32_t n_keyed, struct filter_tables *t, struct sluice_err *err)
{
	uint32_t each = FILTER_LIMIT_CELLS_MOST, cells, single, at = 0, i;

	single = (n - n_keyed + LIMIT_WAYS - 1) & ~(LIMIT_WAYS - 1u);
	while (each >= FILTER_CELLS_LEAST && keyed_cells(v, n, each) + single > FILTER_CELLS_MOST)
		each /= 2;
	if (each < FILTER_CELLS_LEAST)
		return err_set(err, -ENOSPC, "%u rates per source, destination or flow: at most %u fit",
			       n_keyed, FILTER_CELLS_MOST / FILTER_CELLS_LEAST - 1);
	for (i = 0; i < n; i++)
		if (!v[i].keyed)
			v[i].first = at++;
	at = single;
	for (i = 0; i < n; i++)
		if (v[i].keyed) {
			cells = least_of(filter_limit_cells(&v[i]), each);
			v[i].first = at;
			v[i].mask = cells / LIMIT_WAYS - 1;
			at += cells;
		}
	for (t->n_cells = LIMIT_WAYS; t->n_cells < at;)
		t->n_cells *= 2;
	t->config.cells_mask = t->n_cells - 1;
	return 0;
}
