/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a filter's rules in their normal form (src/policy/rule.h) to the tables of the packet path
 * (abi/filter.h). Pure: text and files were read before, maps and programs come later
 * (src/control/filter.h).
 */
#ifndef FILTER_COMPILE_H
#define FILTER_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#include "abi/filter.h"
#include "abi/filter_sets.h"
#include "classify/classify.h"
#include "filter/matching.h"
#include "filter/sets.h"
#include "policy/policy.h"

#define FILTER_ROOM (32u << 20) /* bytes of tables, at most */
#define FILTER_ROOM_SMALL (1u << 20)
#define FILTER_CELLS_MOST (2u << 20) /* of all limits together: 16 MiB */
#define FILTER_CELLS_LEAST 1024u

struct filter_interface {
	const char *name;
	uint32_t index;
};

struct filter_opts {
	const struct filter_interface *interfaces; /* that rules may name */
	uint32_t n_interfaces;
	bool any_interface; /* packets come from nowhere: conditions on it hold, as the oracle has it */
	uint64_t jiffy_ns; /* 0: not known */
	uint64_t seed[10]; /* of hashes; not to be known to those who send packets */
	const struct filter_sets *sets; /* that packets are looked up in; NULL: all are constants */
};

struct filter_report {
	size_t bytes;	 /* of all tables, */
	size_t classify; /* and of the lookup alone */
	uint32_t n_rules, n_boxes, n_certain, n_rows, n_limits;
	uint32_t n_cells; /* of limits, 8 bytes each */
	uint32_t n_expressions; /* different ones */
	struct classify_report lookup;
};

struct filter_tables {
	struct filter_config config;
	struct filter_sets_config sets; /* all zeroes if no rule asks one */
	void *bytes; /* len of them, for the map filter_tables */
	size_t len;
	uint32_t room; /* FILTER_ROOM or FILTER_ROOM_SMALL: which program has to be loaded */
	uint32_t n_cells;
	const uint32_t *cpus; /* that rules spread packets over, ascending */
	uint32_t n_cpus;
	struct bpf_insn *matching; /* what the pcap expressions become: for filter_matching_place() */
	uint32_t n_matching;
	struct filter_report report;
};

/*
 * filter_compile() makes the tables of filter number `filter` of a policy without mistakes.
 *
 * out:     *tables  NULL on failure. Counter i of the packet path is that of rule i, the last that of the
 * default
 * owns:    the caller frees with filter_tables_free()
 * errors:  -ENOSPC it would not fit: err has the numbers; -ENODEV a rule redirects to an interface that is
 * not there;
 *          -EBADMSG a rate that cannot be kept (limit.h), a CPU of too large a number; -ENOMEM
 */
int filter_compile(const struct policy *p, uint32_t filter, const struct filter_opts *opts,
		   struct filter_tables **tables, struct sluice_err *err);
void filter_tables_free(struct filter_tables *tables);

#endif
