// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sets: their names, elements or files, and how long and how many. */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "policy/parse.h"

bool parse_is_name(const struct token *t)
{
	uint32_t i;

	if (t->kind != TOKEN_WORD || t->len > POLICY_NAME_MAX)
		return false;
	for (i = 0; i < t->len; i++)
		if (memchr(".:/*?+", t->s[i], 6))
			return false;
	return true;
}

static bool set_size(struct parse *c, struct policy_set *s)
{
	char text[24];

	if (c->t.kind != TOKEN_WORD || c->t.len >= sizeof(text))
		return parse_expected(c, "a number of elements (1000, 1M)");
	snprintf(text, sizeof(text), "%.*s", (int)c->t.len, c->t.s);
	if (text_count(text, 1, 100000000, &s->size, NULL))
		return parse_expected(c, "a number of elements from 1 to 100M");
	return true;
}

static bool set_timeout(struct parse *c, struct policy_set *s)
{
	char text[24];

	if (c->t.kind != TOKEN_WORD || c->t.len >= sizeof(text))
		return parse_expected(c, "a time (30s, 10m, 24h)");
	snprintf(text, sizeof(text), "%.*s", (int)c->t.len, c->t.s);
	if (text_time(text, &s->timeout_ns, NULL) || s->timeout_ns < 1000000000 ||
	    s->timeout_ns % 1000000000 || s->timeout_ns > UINT64_C(31536000000000000))
		return parse_expected(c, "a time from 1s to 8760h in whole seconds (30s, 10m, 24h)");
	return true;
}

static bool set_options(struct parse *c, struct policy_set *s)
{
	bool is_size, again;

	while (c->t.kind != TOKEN_LINE && c->t.kind != TOKEN_END && c->t.kind != TOKEN_CLOSE) {
		is_size = token_is(&c->t, "size");
		if (token_is(&c->t, "counters")) {
			s->counters = true;
			parse_next(c);
			continue;
		}
		if (!is_size && !token_is(&c->t, "timeout"))
			return parse_expected(c, "timeout, size, counters or the end of the line");
		again = is_size ? s->size : s->timeout_ns;
		if (again) {
			policy_error(c->p, c->t.pos, "'%s' is given twice", is_size ? "size" : "timeout");
			return false;
		}
		parse_next(c);
		if (is_size ? !set_size(c, s) : !set_timeout(c, s))
			return false;
		parse_next(c);
	}
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct policy_set *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static bool set_name(struct parse *c, struct policy_set *s)
{
	struct policy_set *copy, **found;

	parse_next(c);
	s->pos = c->t.pos;
	if (c->t.kind == TOKEN_SET || !parse_is_name(&c->t))
		return parse_expected(c, "the set's name: letters, digits, '_' and '-', at most 63");
	s->name = arena_text(&c->p->arena, c->t.s, c->t.len);
	copy = s->name ? arena_copy(&c->p->arena, s, sizeof(*s)) : NULL;
	found = copy ? tsearch(copy, &c->set_names, by_name) : NULL;
	if (!found)
		c->fatal = -ENOMEM;
	else if (*found != copy)
		policy_error(c->p, s->pos, "set '%s' is there already", s->name);
	parse_next(c);
	return !c->fatal;
}

/* As seen from the outermost file: there it stands when the policy is printed. */
static const char *from_outermost(struct parse *c, const char *file)
{
	const char *main_path = c->p->sources[0].path, *slash = strrchr(main_path, '/'), *path;
	size_t dir = slash ? (size_t)(slash - main_path) + 1 : 0;

	if (!c->lex.file)
		return file;
	path = policy_path(c->p, c->p->sources[c->lex.file].path, file);
	if (!path)
		return file;
	return file[0] != '/' && !strncmp(path, main_path, dir) ? path + dir : path;
}

void parse_set(struct parse *c)
{
	struct policy_set s = {0};
	bool named = set_name(c, &s), ok = named;

	if (ok && token_is(&c->t, "from")) {
		parse_next(c);
		s.file_pos = c->t.pos;
		ok = c->t.kind == TOKEN_STRING && c->t.len;
		s.file = ok ? from_outermost(c, c->t.s) : NULL;
		if (ok)
			parse_next(c);
		else
			parse_expected(c, "the file's name in quotes");
	} else if (ok) {
		ok = c->t.kind == TOKEN_OPEN
			     ? parse_list(c, (enum policy_field)PARSE_ELEMENTS, &s.list)
			     : parse_expected(c, "'{' and the set's elements, or from \"FILE\"");
	}
	ok = ok && set_options(c, &s);
	s.used = !ok; /* one mistake is enough: rules that name it make none by that, nor does it have to be named */
	if (named)
		buf_put(&c->sets, &s, sizeof(s));
	if (ok)
		parse_line_end(c);
	else
		parse_skip_line(c);
}
