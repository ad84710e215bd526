// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A policy's files: blocks, variables, files within files. */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "policy/parse.h"

#define TEXT_PROBED 4096 /* bytes of a file that are looked at before it is taken for text */

#define EXPECTED_ITEM "interface, set, filter, balance, define or include"

static void items(struct parse *c);
static void filter_body(struct parse *c, struct policy_filter *f);

void parse_next(struct parse *c)
{
	c->last = c->t.pos;
	if (c->p->n_errors >= POLICY_ERRORS_MAX) {
		c->p->cut |= c->lex.at < c->lex.end;
		c->lex.stopped = true;
	}
	token_next(&c->lex, &c->t);
}

bool parse_expected(struct parse *c, const char *expected)
{
	char said[80];

	if (c->t.kind != TOKEN_BAD)
		policy_error(c->p, c->t.pos, "found %s, expected %s", token_say(&c->t, said, sizeof(said)),
			     expected);
	return false;
}

struct policy_pos parse_span(const struct parse *c, struct policy_pos from)
{
	uint64_t end = (uint64_t)c->last.at + c->last.len;

	if (c->last.file == from.file && end > (uint64_t)from.at + from.len)
		from.len = end - from.at > UINT16_MAX ? UINT16_MAX : (uint16_t)(end - from.at);
	return from;
}

void parse_skip_line(struct parse *c)
{
	int open = 0;

	for (;; parse_next(c)) {
		if (c->t.kind == TOKEN_END)
			return;
		if (!open && (c->t.kind == TOKEN_LINE || c->t.kind == TOKEN_CLOSE))
			return;
		open += c->t.kind == TOKEN_OPEN;
		open -= c->t.kind == TOKEN_CLOSE;
	}
}

bool parse_line_end(struct parse *c)
{
	if (c->t.kind == TOKEN_CLOSE || c->t.kind == TOKEN_END)
		return true;
	if (c->t.kind != TOKEN_LINE) {
		parse_expected(c, "the end of the line");
		parse_skip_line(c);
		return false;
	}
	parse_next(c);
	return true;
}

void parse_skip_lines(struct parse *c)
{
	while (c->t.kind == TOKEN_LINE)
		parse_next(c);
}

static bool open_block(struct parse *c)
{
	if (c->t.kind != TOKEN_OPEN)
		return parse_expected(c, "'{'");
	parse_next(c);
	return true;
}

/* The end of a block; at is where it was opened. */
void parse_close_block(struct parse *c, struct policy_pos at)
{
	if (c->t.kind == TOKEN_CLOSE)
		parse_next(c);
	else if (!c->p->cut)
		policy_error(c->p, at, "the block that begins here is not closed, expected '}'");
}

/* The files from the outermost on, as a chain of names. */
static void say_cycle(struct parse *c, struct policy_pos pos, const char *path, int from)
{
	char text[900];
	int at = c->lex.file, chain[POLICY_DEPTH_MAX + 1], n = 0;
	size_t len = 0;

	for (; at >= 0 && n <= POLICY_DEPTH_MAX; at = at == from ? -1 : c->p->sources[at].parent)
		chain[n++] = at;
	while (n-- > 0 && len < sizeof(text))
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s includes ",
					c->p->sources[chain[n]].path);
	policy_error(c->p, pos, "files include each other: %s%s", text, path);
}

static bool may_include(struct parse *c, struct policy_pos pos, const char *path)
{
	int at;

	for (at = c->lex.file; at >= 0; at = c->p->sources[at].parent) {
		if (!strcmp(c->p->sources[at].path, path)) {
			say_cycle(c, pos, path, at);
			return false;
		}
	}
	if (c->depth >= POLICY_DEPTH_MAX) {
		policy_error(c->p, pos, "files include each other more than %d deep", POLICY_DEPTH_MAX);
		return false;
	}
	if (c->n_files >= POLICY_FILES_MAX) {
		policy_error(c->p, pos, "more than %d files are included", POLICY_FILES_MAX);
		return false;
	}
	return true;
}

/*
 * A text has no NUL: one mistake, at the first byte that no text has, says more about a program or an archive than
 * what its bytes would be as words.
 */
static void check_text(struct parse *c, int file, size_t len)
{
	const unsigned char *s = (const unsigned char *)c->p->sources[file].text;
	size_t at = 0;

	if (!memchr(s, 0, len < TEXT_PROBED ? len : TEXT_PROBED))
		return;
	while ((s[at] >= ' ' && s[at] != 0x7f) || (s[at] >= '\t' && s[at] <= '\r'))
		at++;
	policy_error(c->p, (struct policy_pos){.at = (uint32_t)at, .file = (uint16_t)file, .len = 1},
		     "not a text file: byte 0x%02x", s[at]);
	c->lex.end = 0;
}

/* Reads a file into a new source and stands on its first word. A byte order mark is no part of the text. */
static int enter(struct parse *c, const char *path, int parent, struct sluice_err *err)
{
	struct buf text = {0};
	char *exact;
	size_t len;
	int e = c->files->read(c->files->ctx, path, POLICY_TEXT_MAX - c->bytes, &text, err), file;

	if (!e && text.len > POLICY_TEXT_MAX - c->bytes)
		e = err_set(err, -EFBIG, "%s: the policy's files are larger than %u MiB", path,
			    POLICY_TEXT_MAX >> 20);
	len = text.len;
	buf_put(&text, "", 1);
	exact = e || text.failed ? NULL : realloc(text.data, len + 1);
	if (!exact) {
		buf_free(&text);
		return e ? e : err_nomem(err);
	}
	if (len >= 3 && !memcmp(exact, "\xef\xbb\xbf", 3)) {
		len -= 3;
		memmove(exact, exact + 3, len + 1);
	}
	file = policy_source_add(c->p, path, exact, len, parent);
	if (file < 0)
		return err_nomem(err);
	c->bytes += len;
	c->n_files++;
	c->lex.text = c->p->sources[file].text;
	c->lex.at = 0;
	c->lex.end = (uint32_t)len;
	c->lex.file = (uint16_t)file;
	c->lex.in = NULL;
	check_text(c, file, len);
	parse_next(c);
	return 0;
}

void parse_include(struct parse *c, struct policy_filter *f)
{
	struct token_lex outer;
	struct sluice_err err = {0};
	struct policy_pos pos;
	const char *path;
	struct token t;
	int e;

	parse_next(c);
	if (c->t.kind != TOKEN_STRING || !c->t.len) {
		parse_expected(c, "the file's name in quotes");
		parse_skip_line(c);
		return;
	}
	pos = c->t.pos;
	path = policy_path(c->p, c->p->sources[c->lex.file].path, c->t.s);
	parse_next(c);
	if (!path)
		c->fatal = -ENOMEM;
	if (!parse_line_end(c) || c->fatal || !may_include(c, pos, path))
		return;
	outer = c->lex;
	t = c->t;
	e = enter(c, path, outer.file, &err);
	if (e == -ENOMEM)
		c->fatal = e;
	if (e) {
		policy_error(c->p, pos, "%s", err.text);
		return;
	}
	c->depth++;
	if (f)
		filter_body(c, f);
	else if (c->balance)
		parse_balance_body(c);
	else
		items(c);
	c->depth--;
	if (c->t.kind == TOKEN_CLOSE)
		policy_error(c->p, c->t.pos, "found '}' without a '{' in this file");
	outer.defines = c->lex.defines;
	outer.expanded = c->lex.expanded;
	outer.stopped = c->lex.stopped;
	c->lex = outer;
	c->t = t;
}

void parse_define(struct parse *c)
{
	struct buf tokens = {0};
	struct token_define *d, *other;
	int open = 0;

	parse_next(c);
	d = arena_add(&c->p->arena, sizeof(*d));
	if (!d || !parse_is_name(&c->t)) {
		parse_expected(c, "a variable's name: letters, digits, '_' and '-'");
		parse_skip_line(c);
		return;
	}
	d->name = c->t.s;
	d->len = c->t.len;
	d->pos = c->t.pos;
	other = token_define_find(&c->lex, d->name, d->len);
	if (other)
		policy_error(c->p, d->pos, "variable '%.*s' is defined already", (int)d->len, d->name);
	parse_next(c);
	if (c->t.kind != TOKEN_EQUAL) {
		parse_expected(c, "'=' and the value");
		parse_skip_line(c);
		return;
	}
	for (parse_next(c); c->t.kind != TOKEN_END && (open || c->t.kind != TOKEN_LINE); parse_next(c)) {
		if (!open && c->t.kind == TOKEN_CLOSE)
			break;
		open += c->t.kind == TOKEN_OPEN;
		open -= c->t.kind == TOKEN_CLOSE;
		buf_put(&tokens, &c->t, sizeof(c->t));
	}
	if (open)
		policy_error(c->p, d->pos, "the value of '%.*s' has a '{' that is not closed", (int)d->len,
			     d->name);
	else if (!tokens.len)
		parse_expected(c, "the variable's value");
	d->n = (uint32_t)(tokens.len / sizeof(struct token));
	d->tokens = arena_copy(&c->p->arena, tokens.data, tokens.len);
	if (tokens.failed || c->p->arena.failed || (!other && token_define_add(&c->lex, d) == -ENOMEM))
		c->fatal = -ENOMEM;
	buf_free(&tokens);
	parse_line_end(c);
}

static void interface_mode(struct parse *c, struct policy_interface *i)
{
	static const struct {
		const char *word, *mode;
	} modes[] = {
		{"auto", "auto"},     {"native", "native"},   {"driver", "native"}, {"drv", "native"},
		{"xdpdrv", "native"}, {"generic", "generic"}, {"skb", "generic"},   {"xdpgeneric", "generic"},
	};
	size_t n;

	if (!token_is(&c->t, "mode")) {
		parse_expected(c, "mode or '}'");
		parse_skip_line(c);
		return;
	}
	if (i->mode)
		policy_error(c->p, c->t.pos, "'mode' is given twice");
	parse_next(c);
	for (n = 0; n < sizeof(modes) / sizeof(*modes); n++)
		if (token_is(&c->t, modes[n].word))
			i->mode = modes[n].mode;
	if (!i->mode) {
		if (token_is(&c->t, "offload") || token_is(&c->t, "hw") || token_is(&c->t, "xdpoffload"))
			policy_error(c->p, c->t.pos,
				     "a policy does not run on a card; expected auto, native or generic");
		else
			parse_expected(c, "auto, native or generic");
		parse_skip_line(c);
		return;
	}
	parse_next(c);
	parse_line_end(c);
}

static void interface(struct parse *c)
{
	struct policy_interface i = {0};
	struct policy_pos open;

	parse_next(c);
	i.pos = c->t.pos;
	i.name = parse_interface(c, false, "the name of an interface");
	if (!i.name) {
		parse_skip_line(c);
		return;
	}
	parse_next(c);
	open = c->t.pos;
	if (c->t.kind == TOKEN_OPEN) {
		parse_next(c);
		for (parse_skip_lines(c); c->t.kind != TOKEN_CLOSE && c->t.kind != TOKEN_END; parse_skip_lines(c))
			interface_mode(c, &i);
		parse_close_block(c, open);
	}
	i.mode = i.mode ? i.mode : "auto";
	buf_put(&c->interfaces, &i, sizeof(i));
	parse_line_end(c);
}

static void filter_default(struct parse *c, struct policy_filter *f)
{
	if (f->default_pos.len)
		policy_error(c->p, c->t.pos, "'default' is given twice in this filter");
	f->default_pos = c->t.pos;
	parse_next(c);
	if (!token_is(&c->t, "pass") && !token_is(&c->t, "drop")) {
		parse_expected(c, "pass or drop");
		parse_skip_line(c);
		return;
	}
	f->default_drop = token_is(&c->t, "drop");
	parse_next(c);
	f->default_pos = parse_span(c, f->default_pos);
	parse_line_end(c);
}

static void filter_body(struct parse *c, struct policy_filter *f)
{
	for (parse_skip_lines(c); c->t.kind != TOKEN_CLOSE && c->t.kind != TOKEN_END && !c->fatal; parse_skip_lines(c)) {
		if (token_is(&c->t, "default")) {
			filter_default(c, f);
		} else if (token_is(&c->t, "shadow")) {
			f->shadow = true;
			parse_next(c);
			parse_line_end(c);
		} else if (token_is(&c->t, "include")) {
			parse_include(c, f);
		} else if (token_is(&c->t, "define")) {
			parse_define(c);
		} else {
			if (f->default_pos.len && parse_action_word(&c->t))
				policy_error(c->p, c->t.pos,
					     "a rule behind 'default'; rules stand in front of it");
			parse_stmt(c);
		}
	}
}

bool parse_on(struct parse *c, struct policy_list *on)
{
	struct buf all = {0};
	struct policy_list one;
	bool ok;

	if (!token_is(&c->t, "on"))
		return parse_expected(c, "'on' and the name of an interface");
	do {
		parse_next(c);
		ok = parse_list(c, POLICY_IN, &one);
		if (ok)
			buf_put(&all, one.v, one.n * sizeof(*one.v));
	} while (ok && c->t.kind == TOKEN_COMMA);
	on->n = (uint32_t)(all.len / sizeof(*on->v));
	on->v = arena_copy(&c->p->arena, all.data, all.len);
	if (all.failed || c->p->arena.failed)
		c->fatal = -ENOMEM;
	buf_free(&all);
	if (ok && !on->n)
		ok = parse_expected(c, "the name of an interface in front of this");
	return ok && !c->fatal;
}

static void nothing(void *p)
{
	(void)p;
}

static void filter(struct parse *c)
{
	struct policy_filter f = {.pos = c->t.pos};
	struct policy_pos open;

	parse_next(c);
	if (parse_on(c, &f.on))
		parse_skip_lines(c);
	if (c->t.kind != TOKEN_OPEN) {
		/* the rules are still looked at, so that their mistakes are not hidden behind this one */
		if (f.on.n)
			parse_expected(c, "'{' and the rules");
		while (c->t.kind != TOKEN_OPEN && c->t.kind != TOKEN_LINE && c->t.kind != TOKEN_END)
			parse_next(c);
		if (c->t.kind != TOKEN_OPEN)
			return;
	}
	f.pos = parse_span(c, f.pos);
	open = c->t.pos;
	open_block(c);
	c->stmts.len = 0;
	filter_body(c, &f);
	parse_close_block(c, open);
	f.n_stmts = (uint32_t)(c->stmts.len / sizeof(*f.stmts));
	f.stmts = arena_copy(&c->p->arena, c->stmts.data, c->stmts.len);
	buf_put(&c->filters, &f, sizeof(f));
	tdestroy(c->rule_names, nothing);
	c->rule_names = NULL;
	parse_line_end(c);
}

static void no_item(struct parse *c)
{
	static const char *const words[] = {"interface", "set", "filter", "balance", "define", "include"};
	char word[32];
	int i = -1;

	if (c->t.kind == TOKEN_WORD && c->t.len < sizeof(word)) {
		snprintf(word, sizeof(word), "%.*s", (int)c->t.len, c->t.s);
		i = text_nearest(word, words, sizeof(words) / sizeof(*words));
	}
	if (parse_action_word(&c->t) || token_is(&c->t, "default"))
		policy_error(c->p, c->t.pos, "a rule outside of a filter, expected " EXPECTED_ITEM);
	else if (i >= 0)
		policy_error(c->p, c->t.pos, "unknown word '%s', did you mean '%s'? Expected " EXPECTED_ITEM,
			     word, words[i]);
	else
		parse_expected(c, EXPECTED_ITEM);
	parse_skip_line(c);
	if (c->t.kind == TOKEN_CLOSE)
		parse_next(c);
}

static void items(struct parse *c)
{
	for (parse_skip_lines(c); c->t.kind != TOKEN_END && !c->fatal; parse_skip_lines(c)) {
		if (token_is(&c->t, "interface"))
			interface(c);
		else if (token_is(&c->t, "set"))
			parse_set(c);
		else if (token_is(&c->t, "filter"))
			filter(c);
		else if (token_is(&c->t, "balance"))
			parse_balance(c);
		else if (token_is(&c->t, "define"))
			parse_define(c);
		else if (token_is(&c->t, "include"))
			parse_include(c, NULL);
		else
			no_item(c);
	}
}

static void define_unused(const void *node, VISIT which, void *ctx)
{
	const struct token_define *d = *(struct token_define *const *)node;

	if ((which == postorder || which == leaf) && !d->used)
		policy_warn(ctx, d->pos, "variable '%.*s' is never used", (int)d->len, d->name);
}

int policy_parse(struct policy *p, const char *path, const struct policy_files *files, struct sluice_err *err)
{
	struct parse c = {.p = p, .files = files, .lex = {.policy = p}};
	int e = enter(&c, path, -1, err);

	if (e)
		return e;
	items(&c);
	twalk_r(c.lex.defines, define_unused, p);
	p->interfaces = arena_copy(&p->arena, c.interfaces.data, c.interfaces.len);
	p->n_interfaces = (uint32_t)(c.interfaces.len / sizeof(*p->interfaces));
	p->sets = arena_copy(&p->arena, c.sets.data, c.sets.len);
	p->n_sets = (uint32_t)(c.sets.len / sizeof(*p->sets));
	p->filters = arena_copy(&p->arena, c.filters.data, c.filters.len);
	p->n_filters = (uint32_t)(c.filters.len / sizeof(*p->filters));
	p->balances = arena_copy(&p->arena, c.balances.data, c.balances.len);
	p->n_balances = (uint32_t)(c.balances.len / sizeof(*p->balances));
	if (c.interfaces.failed || c.sets.failed || c.filters.failed || c.stmts.failed || c.balances.failed ||
	    c.virtuals.failed || c.backends.failed || p->arena.failed || c.fatal) {
		p->n_sets = p->sets ? p->n_sets : 0;
		e = err_nomem(err);
	}
	token_defines_free(&c.lex);
	tdestroy(c.set_names, nothing);
	tdestroy(c.rule_names, nothing);
	buf_free(&c.values);
	buf_free(&c.interfaces);
	buf_free(&c.sets);
	buf_free(&c.filters);
	buf_free(&c.stmts);
	buf_free(&c.balances);
	buf_free(&c.virtuals);
	buf_free(&c.backends);
	return e;
}
