/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the steps of compiling a filter share. */
#ifndef FILTER_WORK_H
#define FILTER_WORK_H

#include "base/buf.h"
#include "filter/compile.h"

#define FILTER_HAS_FIELD(r, field) ((r)->fields >> (field)&1)

struct filter_boxes {
	struct buf rules;   /* struct classify_rule */
	struct buf ids;	    /* u32: the policy's rule */
	struct buf goes_on; /* u8 */
};

/*
 * filter_box() adds the boxes of one rule: what it asks about addresses and service, as products of
 * prefixes, ranges of ports, and bits of protocol and flags.
 *
 * errors:  -ENOSPC more boxes than the lookup takes: err has how they come about; -ENOMEM
 */
int filter_box(const struct policy *p, const struct policy_rule *r, bool goes_on, struct filter_boxes *to,
	       struct sluice_err *err);

/*
 * filter_rows() adds the rows (struct filter_row) of what else a rule asks.
 *
 * in:      first  number of the first row in `to`: rows before it are other filters'
 * out:     *row   where a packet has to begin; FILTER_MATCH: the rule asks for nothing else
 *          *uses  gets a bit for each fact that is asked
 *          *never no packet can match, since it names interfaces that are not there
 * errors:  -EOPNOTSUPP, -ENOMEM
 */
int filter_rows(const struct policy_rule *r, const struct filter_opts *opts, struct buf *to, uint32_t *row,
		uint32_t *uses, bool *never, struct sluice_err *err);

#endif
