/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rules in a few words, for lines and tables that have no room for more. */
#ifndef CMD_RULE_TEXT_H
#define CMD_RULE_TEXT_H

#include <stddef.h>
#include "policy/policy.h"

/* rule_text() writes a rule, or the filter's default (stmt NULL), cut to size (at least 8); harmless on a terminal.
 * Returns to. */
char *rule_text(const struct policy_filter *f, const struct policy_stmt *stmt, char *to, size_t size);

/* rule_named() is rule_text() with the rule's name, if it has one, in front: "web": pass tcp to port 80 */
char *rule_named(const struct policy_filter *f, const struct policy_stmt *stmt, char *to, size_t size);

/* rule_label() writes its name in quotes, or if it has none its text. */
char *rule_label(const struct policy_filter *f, const struct policy_stmt *stmt, char *to, size_t size);

/* rule_does() is what becomes of a packet that the rule matches: "pass", "drop", "redirect", "cpu", "goes on". */
const char *rule_does(const struct policy_stmt *stmt, bool over);

#endif
