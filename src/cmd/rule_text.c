// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rules in a few words. */
#include <string.h>

#include "base/text.h"
#include "cmd/rule_text.h"

static char *cut(struct buf *text, char *to, size_t size)
{
	size_t len = text->failed ? 0 : text->len;

	to[0] = '\0';
	if (len < size) {
		memcpy(to, len ? (const char *)text->data : "", len);
		to[len] = '\0';
	} else if (size > 4) {
		len = size - 4;
		while (len && (text->data[len] & 0xc0) == 0x80) /* not inside of a character */
			len--;
		memcpy(to, text->data, len);
		memcpy(to + len, "...", 4);
	}
	buf_free(text);
	return text_harmless(to);
}

char *rule_text(const struct policy_filter *f, const struct policy_stmt *stmt, char *to, size_t size)
{
	struct buf text = {0};

	if (stmt)
		policy_stmt_print(stmt, &text);
	else
		buf_printf(&text, "default %s", f->default_drop ? "drop" : "pass");
	return cut(&text, to, size);
}

char *rule_label(const struct policy_filter *f, const struct policy_stmt *stmt, char *to, size_t size)
{
	struct buf text = {0};

	if (!stmt || !stmt->name)
		return rule_text(f, stmt, to, size);
	buf_printf(&text, "\"%s\"", stmt->name);
	return cut(&text, to, size);
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
