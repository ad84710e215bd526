/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rules of the lookup as text of the policy language. */
#ifndef TESTS_FILTER_RULES_H
#define TESTS_FILTER_RULES_H

#include "base/buf.h"
#include "classify/classify.h"

/*
 * rules_say() writes a rule; of goes_on rules one only counts, and one asks for a length (UINT32_MAX:
 * hardly ever).
 */
void rules_say(struct buf *t, const struct classify_rule *r, uint64_t *state, uint32_t goes_on);

#endif
