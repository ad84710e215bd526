// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rules in a few words. */
#include <stdio.h>

#include "base/text.h"
#include "cmd/rule_text.h"

/* What there is room for; size takes the three dots and the end. */
static char *take(struct buf *text, char *to, size_t size)
{
	buf_put(text, "", 1);
	snprintf(to, size, "%s", text->failed ? "" : (const char *)text->data);
	buf_free(text);
	return text_harmless(to);
}

char *rule_text(const struct policy_filter *f, const struct policy_stmt *stmt, char *to, size_t size)
{
	struct buf text = {0};

	policy_rule_print(f, stmt, size - 4, &text);
	return take(&text, to, size);
}

char *rule_named(const struct policy_filter *f, const struct policy_stmt *stmt, char *to, size_t size)
{
	struct policy_stmt nameless;
	struct buf text = {0};

	if (!stmt || !stmt->name)
		return rule_text(f, stmt, to, size);
	nameless = *stmt;
	nameless.name = NULL;
	buf_printf(&text, "\"%s\": ", stmt->name);
	policy_rule_print(f, &nameless, size > text.len + 4 ? size - text.len - 4 : 1, &text);
	return take(&text, to, size);
}

char *rule_label(const struct policy_filter *f, const struct policy_stmt *stmt, char *to, size_t size)
{
	struct buf text = {0};

	if (!stmt || !stmt->name)
		return rule_text(f, stmt, to, size);
	buf_printf(&text, "\"%s\"", stmt->name);
	return take(&text, to, size);
}

const char *rule_does(const struct policy_stmt *stmt, bool over)
{
	switch ((enum policy_action)stmt->action) {
	case POLICY_PASS:
		return "pass";
	case POLICY_DROP:
		return "drop";
	case POLICY_REDIRECT:
		return "redirect";
	case POLICY_CPU:
		return "cpu";
	case POLICY_LIMIT:
		return over ? "drop" : "goes on";
	case POLICY_COUNT:
	case POLICY_LOG:
		break;
	}
	return "goes on";
}
