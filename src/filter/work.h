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
 * in:      set  the filter whose rule it is
 * errors:  -ENOSPC more boxes than the lookup takes: err has how they come about; -ENOMEM
 */
int filter_box(const struct policy *p, const struct policy_ruleset *set, const struct filter_opts *opts,
	       const struct policy_rule *r, bool goes_on, struct filter_boxes *to, struct sluice_err *err);

/*
 * filter_box_lists() says after a refusal of the lookup that rules which go on make too many lists: how many such
 * rules there are, which of them has the most boxes, and what helps.
 *
 * in:      v6   the family that was refused
 *          err  the lookup's sentence; it gets more
 */
void filter_box_lists(const struct policy *p, const struct policy_ruleset *set,
		      const struct filter_boxes *boxes, bool v6, struct sluice_err *err);

/*
 * filter_spans() are the addresses that one side of a rule asks for, sets and all but for those of run time in
 * `sets` (NULL: none are), which rows ask. The caller frees *to, always.
 */
int filter_spans(const struct policy *p, const struct filter_sets *sets, const struct policy_addrs *a, bool v6,
		 struct policy_spans *to);

/*
 * filter_extras() are the extra values that suit a rule, and whether the protocol still has to be asked: only
 * certain protocols have ports, flags or types, and the packet path says which of these a packet has.
 */
uint32_t filter_extras(const struct policy_rule *r, bool v6, bool *ask_proto);

/*
 * filter_bits() makes the words of bits of one family's rules (struct filter_bits of abi/filter.h).
 *
 * in:      does  by rule, 0: no packet can match it; then the default's: as config.does has it
 *          asked run-time sets that rules ask for, FILTER_BITS_SETS of them
 *          deep  IPv4 addresses in smaller steps
 * out:     *at   where it begins in `to`; 0 if the rules are too many or would need too much memory
 *          sides  of IPv6, two
 *          *asks gets FILTER_ASKS_*
 * errors:  -ENOMEM
 */
int filter_bits(const struct policy *p, const struct filter_sets *sets, const struct policy_ruleset *set,
		bool v6, const uint8_t *does, const struct filter_bits_set *asked, bool deep, struct buf *to,
		uint32_t *at, struct filter_side6 *sides, uint8_t *asks);

/*
 * filter_bits6() makes the part of that for IPv6 addresses: root leads from bits of the address to a record (abi/filter.h).
 *
 * in:      side  0 source, 1 destination
 * out:     root  1 << FILTER_ROOT places in `to`
 *          *how  for the program
 * errors:  -EFBIG the prefixes are too many, or lie too close together; -ENOMEM
 */
int filter_bits6(const struct policy *p, const struct filter_sets *sets, const struct policy_ruleset *set,
		 const uint8_t *does, uint32_t side, struct buf *to, uint32_t *root, struct filter_side6 *how,
		 uint8_t *asks);

/* Does a rule ask for what only rows tell, besides what is in the words of bits? */
bool filter_bits_suffice(const struct policy_rule *r);

/*
 * filter_rows() adds the rows (struct filter_row) of what else a rule asks.
 *
 * in:      first  number of the first row in `to`: rows before it are other filters'
 * out:     *row   where a packet has to begin; FILTER_MATCH: the rule asks for nothing else
 *          *uses  gets a bit for each fact that is asked
 *          *never no packet can match, since it names interfaces that are not there
 *          *expressions  gets the rule's, if it is not there yet
 * errors:  -ENOSPC too many different expressions, -ENOMEM
 */
int filter_rows(const struct policy_rule *r, const struct filter_opts *opts,
		struct filter_expressions *expressions, struct buf *to, uint32_t *row, uint32_t *uses,
		bool *never, struct sluice_err *err);

/*
 * filter_lay_cells() gives limits their regions in the one memory of cells: a power of two each, as many as they want
 * (filter_limit_cells()), or the most that leave room for all.
 *
 * in:      n_keyed  how many of the n are by key
 * out:     first and mask of each; n_cells and cells_mask of *t
 * errors:  -ENOSPC that many have no room
 */
int filter_lay_cells(struct limit *v, uint32_t n, uint32_t n_keyed, struct filter_tables *t, struct sluice_err *err);

#endif
