/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is attached to an interface, as list and show print it. */
#ifndef CMD_CHAIN_PRINT_H
#define CMD_CHAIN_PRINT_H

#include "cmd/json.h"
#include <sluice/chain.h>

/* One run time measured over a while; runs 0: not measured. */
struct chain_cost {
	uint64_t runs, ns;
};

/* member NULL: all of them */
json_t *chain_json(const struct sluice_chain_info *c, const char *member, const struct chain_cost *cost);
void chain_print_short(const struct sluice_chain_info *c, const struct chain_cost *cost);
void chain_print_long(const struct sluice_chain_info *c, const struct chain_cost *cost, const char *member);

#endif
