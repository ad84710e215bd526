/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which sets of a policy change at run time, what is in them at first, and how they lie in memory
 * (abi/filter_sets.h). Pure: src/control/sets.h makes the memory.
 */
#ifndef FILTER_SETS_H
#define FILTER_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#include "abi/filter_sets.h"
#include "policy/policy.h"
#include "sets/set.h"

#define FILTER_SETS_NONE UINT32_MAX
#define FILTER_SETS_ROOM 16384	       /* elements of each family, where the policy does not say */
#define FILTER_SETS_BYTES (512u << 20) /* what a program reaches from one constant */

/* Elements of one family, sorted by sets_order(), no doubles. */
struct filter_elems {
	struct sets_elem *v;
	size_t n;
};

/* A block before it is made; lines 0: there is none. */
struct filter_block_plan {
	struct sets_spec spec;
	uint32_t at, lines;
};

struct filter_set_plan {
	const char *name; /* of the policy; "" for constants of a rule */
	char *file;	  /* as it is to be opened; NULL: none */
	uint32_t set;	  /* number in the policy, FILTER_SETS_NONE: constants of a rule */
	uint32_t what, flags, timeout;
	uint64_t size;
	struct filter_elems elems[2]; /* IPv4, IPv6 */
	struct filter_elems kept[2];  /* these, and what else there is to be room for; n 0: nothing else */
	struct filter_block_plan block[FILTER_BLOCKS];
};

/* The constants beside run-time sets in one list of addresses of one rule. */
struct filter_part {
	const struct policy_rule *rule;
	bool to;
	uint32_t number;
};

struct filter_sets {
	struct filter_set_plan *v; /* in the order of the memory's directory */
	uint32_t n;
	uint32_t *number; /* of the policy's set i here, or FILTER_SETS_NONE */
	struct filter_part *parts;
	uint32_t n_parts;
	size_t bytes;	 /* of the memory; 0: there are no sets */
	uint32_t blocks; /* line where they begin */
	struct filter_sets_config config;
};

/*
 * filter_sets_plan() finds the run-time sets of a policy without mistakes and lays them out.
 *
 * out:     *sets  NULL on failure; the policy must outlive it
 * owns:    the caller frees with filter_sets_free()
 * errors:  -ENOSPC they do not fit into what a program reaches: err has the numbers; -ENOMEM
 * cost:    a tenth of a second per million elements, three if they are not sorted
 */
int filter_sets_plan(const struct policy *p, struct filter_sets **sets, struct sluice_err *err);
void filter_sets_free(struct filter_sets *sets);

/*
 * filter_sets_keep() tells of elements that set nr is to have room for, too, sorted and without doubles;
 * filter_sets_again() lays the memory out anew for all that was told of, or leaves it as it is if that is too much.
 * errors:  -ENOMEM
 */
int filter_sets_keep(struct filter_sets *sets, uint32_t nr, bool v6, const struct filter_elems *more,
		     struct sluice_err *err);
int filter_sets_again(struct filter_sets *sets, struct sluice_err *err);

/* filter_set_more() is how many bytes a set takes beside its entry in the directory: its path, or its constants. */
size_t filter_set_more(const struct filter_set_plan *set);

/* filter_sets_part() is the number of the constants of a rule's list, or FILTER_SETS_NONE. */
uint32_t filter_sets_part(const struct filter_sets *sets, const struct policy_rule *rule, bool to);

/*
 * filter_sets_elems() splits ranges of one family to prefixes, sorted, without doubles.
 *
 * owns:    the caller frees elems->v
 * errors:  -ENOMEM, -EFBIG more than 2^27
 */
int filter_sets_elems(const struct policy_spans *spans, bool v6, struct filter_elems *elems,
		      struct sluice_err *err);

/*
 * filter_sets_blocks() chooses the blocks of one family: what is in a set now, and how many are to fit.
 *
 * in:      size   what the policy says, 0: nothing; file  elements come from one
 *          exact  no more are to come
 * out:     addrs, prefixes  spec and lines; at is left
 * errors:  -ENOSPC one does not fit into what a program reaches
 */
struct filter_room {
	uint64_t size;
	bool file, exact;
	uint32_t flags; /* enum set_flags */
};
int filter_sets_blocks(const struct filter_elems *elems, bool v6, const struct filter_room *room,
		       struct filter_block_plan *addrs, struct filter_block_plan *prefixes,
		       struct sluice_err *err);

#endif
