// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Text to words. */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "policy/token.h"

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '-' && c <= ':') || c == '_' ||
	       c == '*' || c == '?' || c == '+';
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-';
}

/* Trees rather than hash tables: names from outside cannot make them slow. */
static int compare(const void *a, const void *b)
{
	const struct token_define *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->name, y->name, x->len);
}

struct token_define *token_define_find(struct token_lex *lex, const char *name, uint32_t len)
{
	struct token_define key = {.name = name, .len = len};
	struct token_define **found = tfind(&key, &lex->defines, compare);

	return found ? *found : NULL;
}

int token_define_add(struct token_lex *lex, struct token_define *d)
{
	struct token_define **found = tsearch(d, &lex->defines, compare);

	if (!found)
		return -ENOMEM;
	return *found == d ? 0 : -EEXIST;
}

static void nothing(void *p)
{
	(void)p;
}

void token_defines_free(struct token_lex *lex)
{
	tdestroy(lex->defines, nothing);
	lex->defines = NULL;
}

static uint16_t span(uint32_t len)
{
	return len > UINT16_MAX ? UINT16_MAX : (uint16_t)len;
}

/* Blanks, comments and lines that go on behind a backslash. */
static void skip(struct token_lex *lex)
{
	const char *s = lex->text;

	for (;;) {
		while (lex->at < lex->end && (s[lex->at] == ' ' || s[lex->at] == '\t' || s[lex->at] == '\r'))
			lex->at++;
		if (lex->at < lex->end && s[lex->at] == '#') {
			const char *nl = memchr(s + lex->at, '\n', lex->end - lex->at);

			lex->at = nl ? (uint32_t)(nl - s) : lex->end;
		} else if (lex->at + 1 < lex->end && s[lex->at] == '\\' && s[lex->at + 1] == '\n') {
			lex->at += 2;
		} else if (lex->at + 2 < lex->end && !memcmp(s + lex->at, "\\\r\n", 3)) {
			lex->at += 3;
		} else {
			return;
		}
	}
}

/* What ends a string too early: at is where. */
static void bad_string(struct token_lex *lex, struct token *t, uint32_t at)
{
	unsigned char c = at < lex->end ? (unsigned char)lex->text[at] : '\n';
	struct policy_pos pos = {.at = at, .file = lex->file, .len = 1};

	t->kind = TOKEN_BAD;
	if (c == '\n' || c == '\r')
		policy_error(lex->policy, t->pos, "the string does not end on this line, expected '\"'");
	else if (c < ' ' || c == 0x7f)
		policy_error(lex->policy, pos, "control character 0x%02x in a string", c);
	else if (c == 0xc2 && at + 1 < lex->end && (lex->text[at + 1] & 0xe0) == 0x80)
		policy_error(lex->policy, pos, "control character U+%04X in a string",
			     (unsigned char)lex->text[at + 1]);
	else
		policy_error(lex->policy, pos, "byte 0x%02x in a string is no UTF-8", c);
}

/* A string from its quote on. Only \" and \\ are escapes; a line end, a control character or what is no UTF-8 ends it as
 * a mistake. */
static void string(struct token_lex *lex, struct token *t)
{
	uint32_t from = lex->at + 1, at, n = 0, step;
	const char *s = lex->text;
	char *copy;

	t->raw = true;
	for (at = from; at < lex->end && s[at] != '"'; at += step) {
		step = (uint32_t)text_glyph(s + at, s + lex->end);
		if (!step)
			break;
		if (s[at] == '\\' && at + 1 < lex->end && (s[at + 1] == '"' || s[at + 1] == '\\')) {
			at++;
			t->raw = false;
		}
		n += step;
	}
	t->pos.len = span(at - lex->at + (at < lex->end && s[at] == '"'));
	if (at == lex->end || s[at] != '"') {
		lex->at = at;
		bad_string(lex, t, at);
		while (lex->at < lex->end && s[lex->at] != '\n')
			lex->at++;
		return;
	}
	lex->at = at + 1;
	t->kind = TOKEN_STRING;
	copy = arena_text(&lex->policy->arena, s + from, n);
	t->s = copy ? copy : "";
	t->len = copy ? n : 0;
	for (at = from, n = 0; copy && !t->raw && n < t->len; at++) {
		if (s[at] == '\\' && (s[at + 1] == '"' || s[at + 1] == '\\'))
			at++;
		copy[n++] = s[at];
	}
}

/* The words of a variable come next; false with a diagnostic if there is no such variable. */
static bool expand(struct token_lex *lex, struct token *t, const char *name, uint32_t len)
{
	struct token_define *d = len ? token_define_find(lex, name, len) : NULL;

	if (!d) {
		policy_error(lex->policy, t->pos, "no variable '$%.*s', expected one of an earlier 'define'",
			     len > 64 ? 64 : (int)len, name);
		t->kind = TOKEN_BAD;
		return false;
	}
	d->used = true;
	if (d->n > POLICY_EXPANDED_MAX - lex->expanded) {
		policy_error(lex->policy, t->pos, "variables are more than %u words when written out",
			     POLICY_EXPANDED_MAX);
		lex->stopped = true;
		t->kind = TOKEN_END;
		return false;
	}
	lex->expanded += d->n;
	lex->in = d;
	lex->in_at = 0;
	lex->in_pos = t->pos;
	return true;
}

static void operator(struct token_lex *lex, struct token *t)
{
	bool equal = lex->at + 1 < lex->end && lex->text[lex->at + 1] == '=';
	unsigned char c = (unsigned char)lex->text[lex->at];

	lex->at++;
	switch (c) {
	case '\n':
	case ';':
		t->kind = TOKEN_LINE;
		return;
	case '{':
		t->kind = TOKEN_OPEN;
		return;
	case '}':
		t->kind = TOKEN_CLOSE;
		return;
	case ',':
		t->kind = TOKEN_COMMA;
		return;
	case '=':
		t->kind = TOKEN_EQUAL;
		return;
	case '!':
		t->kind = TOKEN_NOT;
		return;
	case '<':
	case '>':
		t->kind = c == '<' ? equal ? TOKEN_LE : TOKEN_LT : equal ? TOKEN_GE : TOKEN_GT;
		lex->at += equal;
		t->pos.len = 1 + equal;
		return;
	}
	/* a character in several bytes is one mistake */
	while (c >= 0x80 && lex->at < lex->end && (lex->text[lex->at] & 0xc0) == 0x80)
		lex->at++;
	t->kind = TOKEN_BAD;
	t->pos.len = span(lex->at - t->pos.at);
	if (c >= 0x80)
		policy_error(lex->policy, t->pos,
			     "a character that has no meaning here; such stand in comments and strings only");
	else if (c > ' ' && c < 0x7f)
		policy_error(lex->policy, t->pos, "'%c' has no meaning here", c);
	else
		policy_error(lex->policy, t->pos, "control character 0x%02x", c);
}

/* One token of the text; false: a variable begins. */
static bool scan(struct token_lex *lex, struct token *t)
{
	const char *s = lex->text;
	uint32_t from;
	char c;

	skip(lex);
	*t = (struct token){.kind = TOKEN_END, .pos = {.at = lex->at, .file = lex->file, .len = 1}};
	if (lex->at == lex->end || lex->stopped)
		return true;
	from = lex->at;
	c = s[from];
	if (c == '"') {
		string(lex, t);
	} else if (c == '@' || c == '$') {
		lex->at++;
		while (lex->at < lex->end && is_name(s[lex->at]))
			lex->at++;
		t->pos.len = span(lex->at - from);
		t->s = s + from + 1;
		t->len = lex->at - from - 1;
		t->kind = TOKEN_SET;
		if (c == '$')
			return !expand(lex, t, t->s, t->len);
		if (!t->len) {
			policy_error(lex->policy, t->pos,
				     "'@' without a name, expected the name of a set behind it");
			t->kind = TOKEN_BAD;
		}
	} else if (is_word(c)) {
		while (lex->at < lex->end && is_word(s[lex->at]))
			lex->at++;
		t->kind = TOKEN_WORD;
		t->s = s + from;
		t->len = lex->at - from;
		t->pos.len = span(t->len);
	} else {
		operator(lex, t);
	}
	return true;
}

void token_next(struct token_lex *lex, struct token *t)
{
	do {
		if (lex->in && lex->in_at < lex->in->n && !lex->stopped) {
			*t = lex->in->tokens[lex->in_at++];
			t->pos = lex->in_pos;
			t->raw = false;
			return;
		}
		lex->in = NULL;
	} while (!scan(lex, t));
}

bool token_is(const struct token *t, const char *word)
{
	return t->kind == TOKEN_WORD && t->s[0] == word[0] && strlen(word) == t->len &&
	       !memcmp(t->s, word, t->len);
}

char *token_say(const struct token *t, char *to, size_t size)
{
	static const char *const names[] = {
		[TOKEN_END] = "end of file", [TOKEN_LINE] = "end of line", [TOKEN_OPEN] = "'{'",
		[TOKEN_CLOSE] = "'}'",	     [TOKEN_COMMA] = "','",	   [TOKEN_EQUAL] = "'='",
		[TOKEN_NOT] = "'!'",	     [TOKEN_LT] = "'<'",	   [TOKEN_LE] = "'<='",
		[TOKEN_GT] = "'>'",	     [TOKEN_GE] = "'>='",	   [TOKEN_BAD] = "a mistake",
	};
	bool cut = t->len > 48;

	if (t->kind == TOKEN_WORD || t->kind == TOKEN_SET)
		snprintf(to, size, "'%s%.*s%s'", t->kind == TOKEN_SET ? "@" : "", cut ? 45 : (int)t->len,
			 t->s, cut ? "..." : "");
	else if (t->kind == TOKEN_STRING)
		snprintf(to, size, "\"%.*s%s\"", cut ? 45 : (int)t->len, t->s, cut ? "..." : "");
	else
		snprintf(to, size, "%s", names[t->kind]);
	return to;
}
