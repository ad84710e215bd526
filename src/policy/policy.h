/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A policy: text in, tree and diagnostics out.
 *
 *     policy_read() --> parse.c (token.c) --> tree.h --> check.c --> rule.h
 *                          all mistakes of all files ------^
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>
#include "base/buf.h"
#include "policy/arena.h"
#include "policy/rule.h"
#include "policy/tree.h"
#include "policy/tree_balance.h"

#define POLICY_TEXT_MAX (64u << 20)    /* bytes of all files of a policy */
#define POLICY_SET_MAX (512u << 20)    /* bytes of a file of addresses */
#define POLICY_FILES_MAX 256	       /* included files, each time one is included */
#define POLICY_DEPTH_MAX 16	       /* of files that include files */
#define POLICY_RULES_MAX (1u << 20)    /* of all filters */
#define POLICY_DIAGS_MAX 100	       /* that are kept; the rest is counted */
#define POLICY_ERRORS_MAX 1000	       /* after so many mistakes the rest is not looked at */
#define POLICY_EXPANDED_MAX (4u << 20) /* words that come out of variables */
#define POLICY_NAME_MAX 63

/*
 * Where files come from. read() appends the whole file to *to, or fails: -ENOENT no such file, -EFBIG more
 * than max bytes (then *to may hold some), -ENOEXEC no regular file. Paths are joined by '/' as they are
 * written.
 */
struct policy_files {
	int (*read)(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err);
	void *ctx;
	bool kept; /* the text was in force once: what has become a mistake since means what it did (and never matches) */
};
/* policy_once takes FIFOs, too: for who reads a policy once, and has nothing waiting for it meanwhile. */
extern const struct policy_files policy_disk, policy_once; /* by this name they read standard input: */
#define POLICY_STDIN "<stdin>"

enum policy_severity { POLICY_ERROR, POLICY_WARNING };

struct policy_diag {
	struct policy_pos pos;
	enum policy_severity severity;
	const char *text;
};

struct policy_source {
	const char *path;
	char *text; /* with a NUL behind len */
	size_t len;
	uint32_t *lines; /* where each begins */
	uint32_t n_lines;
	int parent; /* that includes it, -1: none */
};

struct policy {
	struct arena arena;
	struct policy_source *sources;
	uint32_t n_sources;
	struct policy_interface *interfaces;
	struct policy_set *sets;
	struct policy_filter *filters;
	struct policy_balance *balances;
	uint32_t n_interfaces, n_sets, n_filters, n_balances;
	const char *balance_seed;	  /* NULL: none */
	struct balance_model services;	  /* of the balance blocks, in their order; checked if there are no errors */
	uint64_t n_rules;
	struct policy_diag diags[POLICY_DIAGS_MAX]; /* in the order of the text */
	uint32_t n_diags;
	uint64_t n_errors, n_warnings, n_hints;
	bool cut; /* after POLICY_ERRORS_MAX mistakes */
	bool kept;			 /* policy_files.kept */
	struct policy_ruleset *rulesets; /* one per filter, without errors only */
};

/*
 * policy_read() reads, parses and checks a policy.
 *
 * in:      path   the file, "-" has no special meaning; files  NULL: policy_disk
 * out:     *policy, also when the text has mistakes (then without rulesets); NULL if there is nothing to show
 * owns:    the caller frees with policy_free()
 * errors:  -EINVAL the text has mistakes: *policy has them all; -ENOENT, -EFBIG, -ENOEXEC, -EACCES of the
 * file itself (files it names are mistakes in the text); -ENOMEM cost:    100,000 rules in less than a
 * second; nothing is more than n log n in the text's length
 */
int policy_read(const char *path, const struct policy_files *files, struct policy **policy,
		struct sluice_err *err);
void policy_free(struct policy *p);

/* policy_where(): line and column (characters) from 1 on, and the file's name. */
struct policy_where {
	const char *path;
	uint32_t line, column;
};
struct policy_where policy_where(const struct policy *p, struct policy_pos pos);

/*
 * policy_diag_print() writes "FILE:LINE:COLUMN: error: TEXT", the line and what is underlined in it.
 * policy_print() writes the whole policy, policy_stmt_print() one rule, policy_match_print() one condition,
 * in the canonical form; what is printed parses to the same tree. Included files and variables are written
 * out.
 */
void policy_diag_print(const struct policy *p, const struct policy_diag *d, struct buf *to);
void policy_print(const struct policy *p, struct buf *to);
void policy_stmt_print(const struct policy_stmt *s, struct buf *to);
void policy_match_print(const struct policy_match *m, struct buf *to);

/*
 * policy_rule_print() writes a rule of a filter, or with NULL its default, in one line: max bytes of it and
 * "..." if it is longer, 0: all of it. policy_rule_where() tells where it is written.
 */
void policy_rule_print(const struct policy_filter *f, const struct policy_stmt *s, size_t max, struct buf *to);
struct policy_where policy_rule_where(const struct policy *p, const struct policy_filter *f,
				      const struct policy_stmt *s);

/*
 * policy_filter_on() finds the filter that an interface gets: the first that names it, or has a glob that
 * fits.
 *
 * in:      name  NULL: the only filter there is
 *          how   words for choosing one ("--on IF"), for the sentence
 * errors:  -ENOENT there is none, -EINVAL name is NULL and there are several
 */
int policy_filter_on(const struct policy *p, const char *name, const char *how, uint32_t *filter,
		     struct sluice_err *err);

/* policy_filter_names(): is the filter on this interface? */
bool policy_filter_names(const struct policy_filter *f, const char *name);

/* --- between the files of the room --- */

struct policy_parse;

/* A diagnostic; beyond POLICY_DIAGS_MAX of them it is only counted (errors displace warnings). */
void policy_error(struct policy *p, struct policy_pos pos, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void policy_warn(struct policy *p, struct policy_pos pos, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* policy_source_add() takes a text of malloc() over; the number of the source, or -ENOMEM. */
int policy_source_add(struct policy *p, const char *path, char *text, size_t len, int parent);

/* policy_path() joins name to the folder of the file that names it, in the arena; NULL without memory. */
const char *policy_path(struct policy *p, const char *from, const char *name);

int policy_parse(struct policy *p, const char *path, const struct policy_files *files,
		 struct sluice_err *err);
int policy_check(struct policy *p, const struct policy_files *files, struct sluice_err *err);
int policy_services(struct policy *p, struct sluice_err *err); /* check_balance.c: balance blocks to services */
int policy_compile(struct policy *p, struct sluice_err *err);	  /* rule.c: tree to rulesets */
int policy_reach(struct policy *p, struct sluice_err *err);	  /* reach.c: rules that are never reached */
int policy_expressions(struct policy *p, struct sluice_err *err); /* expr.c: compiles every `matching` */

#endif
