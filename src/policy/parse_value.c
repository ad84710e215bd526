// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The values of a policy: numbers, addresses, names, rates, and lists of them. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "policy/parse.h"

const struct parse_field parse_fields[POLICY_N_FIELDS + 2] = {
#define FIELD(id, words, kind, names, max, expected) {words, POLICY_##kind, WORDS_##names, max, expected},
#include "policy/field.def"
#undef FIELD
	[PARSE_CPUS] = {"cpu", POLICY_NUM, WORDS_NONE, 4095, "a CPU number, a range, or several in { }"},
	[PARSE_ELEMENTS] = {"", POLICY_ADDR, WORDS_NONE, 0, "an address, a prefix or a range"},
};

#define NUMBER_MAX 12 /* characters: 32 bits in hex, and two more of decimal, so that what is too large is called so */

static bool digits(const char *s, size_t len, uint64_t *out)
{
	return words_number(s, len, NUMBER_MAX, out);
}

bool parse_number(const struct token *t, uint32_t max, uint32_t *out)
{
	uint64_t v;

	if (t->kind != TOKEN_WORD || !digits(t->s, t->len, &v) || v > max)
		return false;
	*out = (uint32_t)v;
	return true;
}

/* A number of a field that could be read but is too large, a range that runs backwards, or a word that is
 * none. */
static bool bad_number(struct parse *c, enum policy_field field, bool is_number, bool backwards)
{
	const struct parse_field *f = &parse_fields[field];
	char said[80];
	const char *near;

	if (backwards)
		policy_error(c->p, c->t.pos, "the range %s ends before it begins",
			     token_say(&c->t, said, sizeof(said)));
	else if (is_number)
		policy_error(c->p, c->t.pos, "%s is out of range, %s goes up to %u",
			     token_say(&c->t, said, sizeof(said)), f->words, f->max);
	else if (c->t.kind == TOKEN_WORD && (near = words_nearest(f->names, c->t.s, c->t.len)))
		policy_error(c->p, c->t.pos, "unknown word %s, did you mean '%s'? Expected %s",
			     token_say(&c->t, said, sizeof(said)), near, f->expected);
	else
		parse_expected(c, f->expected);
	return false;
}

static bool value_num(struct parse *c, enum policy_field field, struct policy_value *v)
{
	const struct parse_field *f = &parse_fields[field];
	enum token_kind op = c->t.kind;
	const struct policy_word *w;
	const char *dash;
	uint64_t lo, hi;

	if (op == TOKEN_LT || op == TOKEN_LE || op == TOKEN_GT || op == TOKEN_GE) {
		parse_next(c);
		if (c->t.kind != TOKEN_WORD || !digits(c->t.s, c->t.len, &lo))
			return bad_number(c, field, false, false);
		if (lo > f->max || (op == TOKEN_LT && !lo) || (op == TOKEN_GT && lo == f->max)) {
			policy_error(c->p, c->t.pos, "no %s is %s that, it goes from 0 to %u", f->words,
				     op == TOKEN_LT || op == TOKEN_LE ? "below" : "above", f->max);
			return false;
		}
		v->num.lo = op == TOKEN_GT ? (uint32_t)lo + 1 : op == TOKEN_GE ? (uint32_t)lo : 0;
		v->num.hi = op == TOKEN_LT ? (uint32_t)lo - 1 : op == TOKEN_LE ? (uint32_t)lo : f->max;
		return true;
	}
	if (op != TOKEN_WORD)
		return bad_number(c, field, false, false);
	w = words_find(f->names, c->t.s, c->t.len);
	if (w) {
		v->num.lo = w->lo;
		v->num.hi = w->hi;
		return true;
	}
	dash = memchr(c->t.s, '-', c->t.len);
	if (!digits(c->t.s, dash ? (size_t)(dash - c->t.s) : c->t.len, &lo))
		return bad_number(c, field, false, false);
	hi = lo;
	if (dash && !digits(dash + 1, (size_t)(c->t.s + c->t.len - dash - 1), &hi))
		return bad_number(c, field, false, false);
	if (lo > f->max || hi > f->max || lo > hi)
		return bad_number(c, field, true, lo > hi && lo <= f->max);
	v->num.lo = (uint32_t)lo;
	v->num.hi = (uint32_t)hi;
	return true;
}

static bool value_icmp(struct parse *c, struct policy_value *v)
{
	const struct policy_word *w;

	if (c->t.kind != TOKEN_WORD)
		return bad_number(c, POLICY_ICMP_TYPE, false, false);
	w = words_find(WORDS_ICMP_TYPES, c->t.s, c->t.len);
	if (!w) {
		v->kind = POLICY_NUM;
		return value_num(c, POLICY_ICMP_TYPE, v);
	}
	v->num.lo = v->num.hi = (uint32_t)words_index(WORDS_ICMP_TYPES, w);
	/* two spellings of one type are one value */
	while (v->num.lo && words_row(WORDS_ICMP_TYPES, v->num.lo - 1)->lo == w->lo &&
	       words_row(WORDS_ICMP_TYPES, v->num.lo - 1)->hi == w->hi)
		v->num.lo = --v->num.hi;
	return true;
}

static bool value_addr(struct parse *c, enum policy_field field, struct policy_value *v)
{
	char *name, nearest[POLICY_RANGE_TEXT];
	struct sluice_err err = {0};

	if (c->t.kind == TOKEN_SET) {
		v->kind = POLICY_SET;
		v->set = UINT32_MAX;
		name = arena_text(&c->p->arena, c->t.s, c->t.len);
		v->text = name ? name : "";
		return true;
	}
	if (token_is(&c->t, "any")) {
		policy_error(c->p, c->t.pos, "'any' stands alone, without 'not' and outside of { }");
		return false;
	}
	if (c->t.kind != TOKEN_WORD || !memchr("0123456789abcdefABCDEF:", c->t.s[0], 23) ||
	    !(memchr(c->t.s, '.', c->t.len) || memchr(c->t.s, ':', c->t.len)))
		return parse_expected(c, parse_fields[field].expected);
	if (policy_range_parse(c->t.s, c->t.len, &v->addr, NULL, &err)) {
		policy_error(c->p, c->t.pos, "%s", err.text);
		return false;
	}
	if (!v->addr.v6 && memchr(c->t.s, ':', c->t.len) && c->p->kept) {
		v->addr.v6 = true;
		v->addr.first.lo |= 0xffffull << 32;
		v->addr.last.lo |= 0xffffull << 32;
	} else if (!v->addr.v6 && memchr(c->t.s, ':', c->t.len)) {
		policy_error(c->p, c->t.pos,
			     "'%.*s' is IPv4 in the form of IPv6, which is not on the wire; write %s",
			     (int)c->t.len, c->t.s, policy_range_format(&v->addr, nearest, sizeof(nearest)));
		return false;
	}
	return true;
}

static bool value_mac(struct parse *c, enum policy_field field, struct policy_value *v)
{
	char text[NET_MAC_TEXT];
	const char *slash;
	uint64_t bits = 48;
	size_t len;
	int i;

	memset(&v->mac, 0, sizeof(v->mac));
	if (token_is(&c->t, "multicast")) {
		v->mac.value[0] = v->mac.mask[0] = 1;
		return true;
	}
	if (token_is(&c->t, "broadcast")) {
		memset(&v->mac, 0xff, sizeof(v->mac));
		return true;
	}
	if (c->t.kind != TOKEN_WORD)
		return parse_expected(c, parse_fields[field].expected);
	slash = memchr(c->t.s, '/', c->t.len);
	len = slash ? (size_t)(slash - c->t.s) : c->t.len;
	if (len >= sizeof(text) ||
	    (slash && (!digits(slash + 1, c->t.len - len - 1, &bits) || bits > 48 || slash[2] == 'x')))
		return parse_expected(c, parse_fields[field].expected);
	snprintf(text, sizeof(text), "%.*s", (int)len, c->t.s);
	if (net_mac_parse(text, v->mac.value, NULL))
		return parse_expected(c, parse_fields[field].expected);
	for (i = 0; i < 48; i++) {
		if ((uint64_t)i < bits)
			v->mac.mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
		else if (v->mac.value[i / 8] & 0x80 >> i % 8) {
			policy_error(c->p, c->t.pos, "'%.*s' has bits beyond its length of %u; leave them 0",
				     (int)c->t.len, c->t.s, (unsigned int)bits);
			return false;
		}
	}
	return true;
}

/* One word of TCP flags, or none; false without a diagnostic. */
static bool flag_bit(const char *s, size_t len, uint8_t *bits)
{
	const struct policy_word *w = len ? words_find(WORDS_FLAGS, s, len) : NULL;

	if (!w)
		return len == 4 && !memcmp(s, "none", 4);
	*bits |= (uint8_t)w->lo;
	return true;
}

/* syn,fin   or   syn/syn,ack   : the token stays on the last word. The slash is part of a word. */
static bool value_flags(struct parse *c, struct policy_value *v)
{
	uint8_t part[2] = {0, 0};
	const char *s, *slash;
	bool behind = false, more = true;
	size_t len;

	while (more) {
		if (c->t.kind != TOKEN_WORD)
			return bad_number(c, POLICY_FLAGS, false, false);
		s = c->t.s;
		len = c->t.len;
		slash = memchr(s, '/', len);
		if (slash && behind)
			return parse_expected(c, parse_fields[POLICY_FLAGS].expected);
		if (slash) {
			behind = true;
			if (!flag_bit(s, (size_t)(slash - s), &part[0]))
				return bad_number(c, POLICY_FLAGS, false, false);
			len -= (size_t)(slash + 1 - s);
			s = slash + 1;
		}
		if (!flag_bit(s, len, &part[behind]))
			return bad_number(c, POLICY_FLAGS, false, false);
		v->pos = parse_span(c, v->pos);
		parse_next(c);
		more = c->t.kind == TOKEN_COMMA;
		if (more)
			parse_next(c);
	}
	v->flags.value = part[0];
	v->flags.mask = behind ? part[1] : part[0] ? part[0] : 0xff;
	if (part[0] & ~v->flags.mask) {
		policy_error(c->p, v->pos, "flags that are to be set are missing in the mask behind '/'");
		return false;
	}
	return true;
}

static bool value_text(struct parse *c, enum policy_field field, struct policy_value *v)
{
	if (field == POLICY_IN) {
		v->text = parse_interface(c, true, parse_fields[field].expected);
		return v->text != NULL;
	}
	if (c->t.kind != TOKEN_STRING)
		return parse_expected(c, parse_fields[field].expected);
	v->text = c->t.s;
	/* where the expression stands, if it stands there as it is */
	v->set = c->t.raw ? 1 : 0;
	return true;
}

/* Reads one value and steps behind it. */
bool parse_value(struct parse *c, enum policy_field field, struct policy_value *v)
{
	struct policy_pos from = c->t.pos;
	bool ok = false;

	memset(v, 0, sizeof(*v));
	v->kind = (uint8_t)parse_fields[field].kind;
	v->pos = from;
	if (c->t.kind == TOKEN_BAD)
		return false;
	switch (parse_fields[field].kind) {
	case POLICY_NUM:
		ok = value_num(c, field, v);
		break;
	case POLICY_ICMP:
		ok = value_icmp(c, v);
		break;
	case POLICY_ADDR:
	case POLICY_SET:
		ok = value_addr(c, field, v);
		break;
	case POLICY_MAC:
		ok = value_mac(c, field, v);
		break;
	case POLICY_BITS:
		return value_flags(c, v);
	case POLICY_TEXT:
		ok = value_text(c, field, v);
		break;
	}
	if (ok)
		parse_next(c);
	v->pos = parse_span(c, from);
	return ok;
}

/* What stands in braces, up to the closing one; false after a diagnostic. Goes on behind a mistake, there may
 * be more. */
static bool in_braces(struct parse *c, enum policy_field field)
{
	struct policy_pos open = c->t.pos;
	struct policy_value v;
	bool at_line = false, ok = true;
	uint32_t at;

	parse_next(c);
	while (c->t.kind != TOKEN_CLOSE) {
		if (c->t.kind == TOKEN_END || (at_line && parse_action_word(&c->t))) {
			policy_error(c->p, open,
				     "this '{' is not closed, expected '}' at the end of the list");
			return false;
		}
		at_line = c->t.kind == TOKEN_LINE;
		if (at_line || c->t.kind == TOKEN_COMMA) {
			parse_next(c);
			continue;
		}
		at = c->t.pos.at;
		if (parse_value(c, field, &v)) {
			buf_put(&c->values, &v, sizeof(v));
			continue;
		}
		ok = false;
		if (c->t.pos.at == at && c->t.kind != TOKEN_END)
			parse_next(c);
	}
	parse_next(c);
	return ok;
}

/* One value, or several in braces; separated by commas or blanks, over several lines if wanted. */
bool parse_list(struct parse *c, enum policy_field field, struct policy_list *list)
{
	struct policy_value v;

	c->values.len = 0;
	if (c->t.kind == TOKEN_OPEN && (field == POLICY_FLAGS || field == POLICY_MATCHING))
		return parse_expected(c, parse_fields[field].expected);
	if (c->t.kind == TOKEN_OPEN) {
		if (!in_braces(c, field))
			return false;
	} else {
		if (!parse_value(c, field, &v))
			return false;
		buf_put(&c->values, &v, sizeof(v));
	}
	list->n = (uint32_t)(c->values.len / sizeof(v));
	list->v = arena_copy(&c->p->arena, c->values.data, c->values.len);
	if (c->values.failed || (list->n && !list->v))
		c->fatal = -ENOMEM;
	return !c->fatal;
}

const char *parse_interface(struct parse *c, bool pattern, const char *expected)
{
	char *name;
	uint32_t i;

	if (c->t.kind != TOKEN_WORD && c->t.kind != TOKEN_STRING) {
		parse_expected(c, expected);
		return NULL;
	}
	for (i = 0; i < c->t.len; i++)
		if (c->t.s[i] == '/' || c->t.s[i] == ' ' ||
		    (!pattern && (c->t.s[i] == '*' || c->t.s[i] == '?')))
			break;
	if (!c->t.len || c->t.len > 15 || i < c->t.len) {
		policy_error(c->p, c->t.pos, "'%.*s' is no name of an interface: 1 to 15 characters%s",
			     c->t.len > 40 ? 40 : (int)c->t.len, c->t.s,
			     pattern ? " without '/' and blanks" : " without '/', '*', '?' and blanks");
		return NULL;
	}
	name = arena_text(&c->p->arena, c->t.s, c->t.len);
	if (!name)
		c->fatal = -ENOMEM;
	return name;
}

char *parse_name(struct parse *c, const char *what)
{
	char *name;

	if (c->t.kind != TOKEN_STRING) {
		parse_expected(c, what);
		return NULL;
	}
	if (!c->t.len || c->t.len > POLICY_NAME_MAX) {
		policy_error(c->p, c->t.pos, "a name has 1 to %d characters, this one has %u",
			     POLICY_NAME_MAX, c->t.len);
		return NULL;
	}
	name = arena_text(&c->p->arena, c->t.s, c->t.len);
	if (!name)
		c->fatal = -ENOMEM;
	return name;
}
