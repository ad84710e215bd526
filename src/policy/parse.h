/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the parser share. */
#ifndef POLICY_PARSE_H
#define POLICY_PARSE_H

#include "policy/token.h"
#include "policy/words.h"

struct parse {
	struct policy *p;
	const struct policy_files *files;
	struct token_lex lex;
	struct token t;				     /* the word we stand on */
	struct policy_pos last;			     /* of the word before */
	struct buf values;			     /* scratch of the list that is being read */
	struct buf interfaces, sets, filters, stmts; /* grow until the end of their block */
	struct buf balances, virtuals, backends;     /* likewise */
	struct parse_balance *balance;		     /* the block we are in; NULL: none */
	void *set_names, *rule_names;		     /* tsearch() trees */
	bool in_filter;
	int depth;
	uint32_t n_files;
	size_t bytes;
	int fatal; /* -ENOMEM */
};

/* What is known of a field from field.def. */
struct parse_field {
	const char *words;
	enum policy_kind kind;
	enum policy_table names;
	uint32_t max;
	const char *expected;
};
#define PARSE_CPUS POLICY_N_FIELDS	     /* the row of CPU numbers, which are no field */
#define PARSE_ELEMENTS (POLICY_N_FIELDS + 1) /* and that of what sets hold */
extern const struct parse_field parse_fields[POLICY_N_FIELDS + 2];

void parse_next(struct parse *c);

/* parse_expected() says what was found and what was expected. Always false, so that `return parse_expected()`
 * reads well. */
bool parse_expected(struct parse *c, const char *expected);

/* parse_skip_line() goes to the end of the line or block after a mistake; groups in braces are passed over
 * whole. */
void parse_skip_line(struct parse *c);

/* parse_line_end() wants the end of the line (or of block and file, which stay). */
bool parse_line_end(struct parse *c);

/* From a token to the one before the current. */
struct policy_pos parse_span(const struct parse *c, struct policy_pos from);

/* Readers of values; false after a diagnostic. */
bool parse_list(struct parse *c, enum policy_field field, struct policy_list *list);
bool parse_value(struct parse *c, enum policy_field field, struct policy_value *v);
bool parse_number(const struct token *t, uint32_t max, uint32_t *out);
bool parse_rate(struct parse *c, struct policy_rate *rate, bool bits);
bool parse_is_rate(const struct token *t, bool wanted); /* wanted: also what is hardly anything else, without its unit */
bool parse_amount(struct parse *c, bool bits, uint64_t *out);
const char *parse_interface(struct parse *c, bool pattern, const char *expected);
char *parse_name(struct parse *c,
		 const char *what); /* STRING of at most POLICY_NAME_MAX; NULL after a diagnostic */

/* parse_is_name() tells whether t may be the name of a set or variable. parse_set() reads a set from its word
 * on. */
bool parse_is_name(const struct token *t);
void parse_set(struct parse *c);

/* parse_on() reads `on` and the interfaces of a block. parse_include() reads a file into the block we are in. */
bool parse_on(struct parse *c, struct policy_list *on);
void parse_include(struct parse *c, struct policy_filter *f);
void parse_define(struct parse *c);
void parse_skip_lines(struct parse *c);
void parse_close_block(struct parse *c, struct policy_pos at);

/* parse_balance() reads a balance block from its word on; parse_balance_body() what stands in its braces. */
void parse_balance(struct parse *c);
void parse_balance_body(struct parse *c);

/* parse_stmt() reads one rule up to the end of its line. */
void parse_stmt(struct parse *c);

/* parse_action_word() tells whether a rule may begin with t. */
bool parse_action_word(const struct token *t);

#endif
