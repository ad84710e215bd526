/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files that make and print plans share. */
#ifndef CONTROL_PLAN_INSIDE_H
#define CONTROL_PLAN_INSIDE_H

#include "control/plan.h"

/* plan_mode() is the mode that a policy says for an interface, "auto" if it says none. plan_is_news(): does anything change
 * there? plan_count() writes "2 rules added", and after the first one ", 1 removed"; nothing if n is 0. */
const char *plan_mode(const struct policy *p, const char *name);
bool plan_is_news(const struct plan_interface *i);
static inline const char *plan_plural(uint32_t n)
{
	return n == 1 ? "" : "s";
}
void plan_count(uint64_t n, const char *noun, const char *what, bool *first, struct buf *to);

/* plan_balance() compares balance blocks; false: no memory. The others are control_plan_print() and _empty() of them. */
bool plan_balance(struct control_plan *plan, const struct control_plan_opts *opts);
bool plan_balance_empty(const struct control_plan *plan);
void plan_balance_print(const struct control_plan *plan, bool all, struct buf *to);

#endif
