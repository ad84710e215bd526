/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the printer share. */
#ifndef POLICY_PRINT_H
#define POLICY_PRINT_H

#include "base/buf.h"
#include "policy/policy.h"

void print_quoted(struct buf *to, const char *s);

/* print_list() writes one value, or several in braces. */
void print_list(struct buf *to, enum policy_field field, const struct policy_list *l);

/* print_balance() writes a balance block. */
void print_balance(struct buf *to, const struct policy_balance *b);

#endif
