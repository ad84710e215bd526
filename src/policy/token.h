/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text to words: comments, quotes, variables, and the stack of files that include each other. */
#ifndef POLICY_TOKEN_H
#define POLICY_TOKEN_H

#include "base/buf.h"
#include "policy/policy.h"

enum token_kind {
	TOKEN_END,    /* of the file */
	TOKEN_LINE,   /* end of a line, or ; */
	TOKEN_WORD,   /* letters, digits and . : / _ - * ? + */
	TOKEN_STRING, /* "in quotes", taken out of them */
	TOKEN_SET,    /* @name, without the @ */
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_COMMA,
	TOKEN_EQUAL,
	TOKEN_NOT, /* ! */
	TOKEN_LT,
	TOKEN_LE,
	TOKEN_GT,
	TOKEN_GE,
	TOKEN_BAD, /* a diagnostic was written */
};

struct token {
	enum token_kind kind;
	struct policy_pos pos;
	const char *s; /* of WORD, STRING, SET; without NUL for WORD and SET */
	uint32_t len;
	bool raw; /* STRING without escapes: it stands in the text as it is, from pos.at + 1 on */
};

/* A variable: the words that stand for it. */
struct token_define {
	const char *name;
	uint32_t len;
	struct policy_pos pos;
	struct token *tokens;
	uint32_t n;
	bool used;
};

struct token_lex {
	struct policy *policy;
	const char *text;
	uint32_t at, end;
	uint16_t file;
	void *defines;		       /* tsearch() tree of struct token_define */
	const struct token_define *in; /* the variable whose words come next */
	uint32_t in_at;
	struct policy_pos in_pos;
	uint32_t expanded;
	bool stopped; /* too many mistakes, too much out of variables: only TOKEN_END from here on */
};

/* token_next() reads the next word; variables are replaced. In the value of a variable, too: so none is in
 * another. */
void token_next(struct token_lex *lex, struct token *t);

/* token_is() tells whether t is that very word. */
bool token_is(const struct token *t, const char *word);

/* token_say() writes what a message calls the token ("'drpo'", "end of line"); returns to. */
char *token_say(const struct token *t, char *to, size_t size);

struct token_define *token_define_find(struct token_lex *lex, const char *name, uint32_t len);
int token_define_add(struct token_lex *lex, struct token_define *d); /* -EEXIST, -ENOMEM */
void token_defines_free(struct token_lex *lex);

#endif
