/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files that read balance blocks share. */
#ifndef POLICY_PARSE_BALANCE_H
#define POLICY_PARSE_BALANCE_H

#include "policy/parse.h"

struct parse_balance {
	struct policy_balance b;
	uint32_t seen; /* bits: lines that may stand once */
};

/* Readers of single words, which they step over; false after saying what was expected. */
bool parse_time(struct parse *c, uint64_t min_ns, uint64_t max_ns, uint64_t unit_ns, const char *expected,
		uint64_t *out);
bool parse_bounded(struct parse *c, uint32_t min, uint32_t max, const char *expected, uint32_t *out);

/* parse_health() reads a health check from its word on. */
bool parse_health(struct parse *c, struct policy_health *h);

#endif
