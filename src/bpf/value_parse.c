// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Text to bytes: structs, unions, arrays and what stands around the leaves (value_scalar.c). Every mistake
 * is one sentence with its column and the layout that was expected.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "bpf/value.h"

int value_refuse(struct value_cursor *c, const char *at, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	value_tame(text);
	return err_set(c->err, -EINVAL, "column %zu: %s", (size_t)(at - c->text) + 1, text);
}

int value_found(struct value_cursor *c, const char *wanted)
{
	if (!*c->at)
		return value_refuse(c, c->at, "nothing there, %s wanted", wanted);
	return value_refuse(c, c->at, "'%c' found, %s wanted", *c->at, wanted);
}

static int parse_value(
	struct value_cursor *c, uint32_t id, const char *name, uint64_t bit_off, uint32_t bits);

static void skip_space(struct value_cursor *c)
{
	while (isspace((unsigned char)*c->at))
		c->at++;
}

static bool take(struct value_cursor *c, char ch)
{
	skip_space(c);
	if (*c->at != ch)
		return false;
	c->at++;
	return true;
}

/* The value at bit_off, which n elements of size bytes start with, over all of them. */
static void fill(struct value_cursor *c, uint64_t bit_off, uint32_t size, uint64_t n)
{
	uint8_t *p = c->value + bit_off / 8;
	uint64_t i;

	for (i = 1; i < n; i++)
		memcpy(p + i * size, p, size);
}

static int parse_array(struct value_cursor *c, const struct value_shape *s, uint64_t bit_off)
{
	uint32_t size = s->n ? s->size / s->n : 0;
	char close = *c->at++ == '[' ? ']' : '}';
	uint64_t n = 0, times;
	const char *start;
	char *end;
	int rc;

	if (take(c, close))
		return s->n ? value_refuse(c, c->at - 1, "0 elements, %u wanted", s->n) : 0;
	do {
		skip_space(c);
		start = c->at;
		if (n >= s->n)
			return value_refuse(c, start, "an element too many, there are %u", s->n);
		rc = parse_value(c, s->elem, NULL, bit_off + n * size * 8, 0);
		if (rc)
			return rc;
		times = 1;
		if (take(c, '*')) {
			skip_space(c);
			errno = 0;
			times = isdigit((unsigned char)*c->at) ? strtoull(c->at, &end, 10) : 0;
			if (!times || errno || times > s->n - n)
				return value_refuse(c, c->at, "a number of repetitions wanted, at most %llu",
					(unsigned long long)(s->n - n));
			c->at = end;
			fill(c, bit_off + n * size * 8, size, times);
		}
		n += times;
	} while (take(c, ','));
	if (!take(c, close))
		return value_found(c, close == ']' ? "',' or ']'" : "',' or '}'");
	if (n < s->n)
		return value_refuse(c, c->at - 1, "%llu element%s, %u wanted", (unsigned long long)n,
			n == 1 ? "" : "s", s->n);
	return 0;
}

static const char *struct_name(struct value_cursor *c, const struct value_shape *s, char to[80])
{
	struct buf b = {0};

	value_type_name(c->type->btf, s->id, &b);
	snprintf(to, 80, "%.70s", b.failed || !b.len ? "this" : (const char *)b.data);
	buf_free(&b);
	return to;
}

static size_t identifier(const char *at)
{
	size_t n = 0;

	while (isalnum((unsigned char)at[n]) || at[n] == '_' || (n && (at[n] == '.' || at[n] == '$')))
		n++;
	return isdigit((unsigned char)*at) ? 0 : n;
}

static struct value_node *find(struct value_nodes *nodes, const char *name, size_t len)
{
	uint32_t i;

	for (i = 1; i < nodes->n; i++)
		if (nodes->node[i].kind == NODE_LEAF && !nodes->node[i].hidden &&
			strlen(nodes->node[i].name) == len && !memcmp(nodes->node[i].name, name, len))
			return &nodes->node[i];
	return NULL;
}

static int no_member(
	struct value_cursor *c, const struct value_shape *s, struct value_nodes *nodes, size_t len)
{
	const char *words[64];
	char name[64], type[80];
	uint32_t i, n = 0;
	int hit;

	snprintf(name, sizeof(name), "%.*s", (int)len, c->at);
	for (i = 1; i < nodes->n && n < 64; i++)
		if (nodes->node[i].kind == NODE_LEAF && !nodes->node[i].hidden)
			words[n++] = nodes->node[i].name;
	hit = text_nearest(name, words, n);
	if (hit >= 0)
		return value_refuse(c, c->at, "'%s' is not a member of %s, did you mean %s?", name,
			struct_name(c, s, type), words[hit]);
	return value_refuse(c, c->at, "'%s' is not a member of %s", name, struct_name(c, s, type));
}

/* Is node i complete, and is anything of it given? *missing: the first member that is not. */
static bool complete(const struct value_nodes *nodes, uint32_t i, bool *any, const char **missing)
{
	const struct value_node *node = &nodes->node[i];
	const char *first = NULL, *here, *partial = NULL;
	bool all = true, one = false, ok, in;
	uint32_t at;

	if (node->kind == NODE_LEAF) {
		*any = node->given;
		*missing = node->given || node->hidden ? NULL : node->name;
		return !*missing;
	}
	*any = false;
	for (at = i + 1; at <= i + node->n_inside; at += nodes->node[at].n_inside + 1) {
		here = NULL;
		ok = complete(nodes, at, &in, &here);
		*any |= in;
		all &= ok;
		one |= ok;
		if (!ok && !first)
			first = here;
		if (!ok && in && !partial)
			partial = here;
	}
	if (node->kind == NODE_UNION && node->n_inside) {
		*missing = partial ? partial : first;
		return one && !partial;
	}
	*missing = first;
	return all;
}

/* Marks a member's bits; false if some of them were given already. */
static bool mark(uint8_t *given, uint64_t bit_off, uint64_t bits)
{
	uint64_t i;

	if (!(bit_off % 8) && !(bits % 8)) { /* whole bytes, perhaps a million of them */
		for (i = bit_off / 8; i < (bit_off + bits) / 8; i++)
			if (given[i])
				return false;
		memset(given + bit_off / 8, 0xff, bits / 8);
		return true;
	}
	for (i = bit_off; i < bit_off + bits; i++)
		if (given[i / 8] >> i % 8 & 1)
			return false;
	for (i = bit_off; i < bit_off + bits; i++)
		given[i / 8] |= (uint8_t)(1u << i % 8);
	return true;
}

/* @OFFSET: hex:BYTES, where no member is */
static int parse_padding(
	struct value_cursor *c, const struct value_shape *s, uint64_t base, const uint8_t *given)
{
	const char *start = c->at++;
	uint8_t *to = c->value + base / 8;
	uint64_t off;
	char *end;
	size_t n, i;

	errno = 0;
	off = isdigit((unsigned char)*c->at) ? strtoull(c->at, &end, 10) : UINT64_MAX;
	if (errno || off >= s->size)
		return value_refuse(c, start, "@ wants an offset below %u", s->size);
	c->at = end;
	if (!take(c, ':') && !take(c, '='))
		return value_refuse(c, c->at, "':' wanted behind the offset");
	skip_space(c);
	if (strncmp(c->at, "hex:", 4))
		return value_refuse(c, c->at, "hex: wanted, this is padding");
	c->at += 4;
	n = value_word(c->at) / 2;
	if (!n || n > s->size - off)
		return value_refuse(
			c, c->at, "1 to %llu bytes of hex wanted", (unsigned long long)(s->size - off));
	/* the bits of a bitfield's byte that are in nobody's field are padding too */
	for (i = 0; i < n; i++) {
		unsigned int digits[2], d, byte;

		for (d = 0; d < 2; d++) {
			unsigned char ch = (unsigned char)c->at[i * 2 + d];

			if (!isxdigit(ch))
				return value_refuse(c, c->at + i * 2 + d, "'%c' is not a hex digit", ch);
			digits[d] = (unsigned int)(isdigit(ch) ? ch - '0' : tolower(ch) - 'a' + 10);
		}
		byte = digits[0] << 4 | digits[1];
		if (byte & given[off + i])
			return value_refuse(c, start, "a member lies at offset %llu, padding was wanted",
				(unsigned long long)(off + i));
		to[off + i] |= (uint8_t)byte;
	}
	c->at += n * 2;
	if (value_word(c->at))
		return value_refuse(c, c->at, "half a byte, two hex digits each are wanted");
	return 0;
}

/*
 * By name if a member's name and : or = come; an address can look so too, but no member is called like its
 * start.
 */
static bool is_named(struct value_cursor *c, struct value_nodes *nodes, size_t *len)
{
	const char *at = c->at + (*c->at == '.');
	char w[64];
	size_t n;

	*len = identifier(at);
	n = *len + strspn(at + *len, " \t");
	if (!*len || (at[n] != ':' && at[n] != '='))
		return false;
	if (!find(nodes, at, *len) && value_word(at) < sizeof(w)) {
		snprintf(w, sizeof(w), "%.*s", (int)value_word(at), at);
		if (value_is_address(w))
			return false;
	}
	c->at = at;
	return true;
}

static struct value_node *next_leaf(struct value_nodes *nodes, uint32_t *at)
{
	while (*at < nodes->n && (nodes->node[*at].kind != NODE_LEAF || nodes->node[*at].hidden))
		++*at;
	return *at < nodes->n ? &nodes->node[(*at)++] : NULL;
}

enum way { UNKNOWN, NAMED, ORDERED };

/* One member between the braces, its name if it has one and its value. */
static int parse_member(struct value_cursor *c, const struct value_shape *s, struct value_nodes *nodes,
	uint8_t *given, uint64_t base, enum way *way, uint32_t *order)
{
	struct value_node *node;
	char type[80];
	size_t len;
	uint64_t bits;
	const char *start = c->at;
	enum way this_way;

	if (*c->at == '@')
		return parse_padding(c, s, base, given);
	this_way = is_named(c, nodes, &len) ? NAMED : ORDERED;
	if (*way != UNKNOWN && *way != this_way)
		return value_refuse(c, start, "members with and without names cannot be mixed");
	*way = this_way;
	if (this_way == NAMED) {
		node = find(nodes, c->at, len);
		if (!node)
			return no_member(c, s, nodes, len);
		c->at += len;
		skip_space(c);
		c->at++;
		skip_space(c);
	} else {
		if (nodes->has_union && nodes->n_leaves > 1)
			return value_refuse(c, start, "%s has a union inside, its members are wanted by name",
				struct_name(c, s, type));
		node = next_leaf(nodes, order);
		if (!node || (btf_is_union(s->t) && *order > 2))
			return value_refuse(c, start, "a value too many, %s has %u member%s",
				struct_name(c, s, type), btf_is_union(s->t) ? 1 : nodes->n_leaves,
				btf_is_union(s->t) || nodes->n_leaves == 1 ? "" : "s");
	}
	if (node->given)
		return value_refuse(c, start, "%s is given twice", node->name);
	bits = node->bits ? node->bits : (uint64_t)node->size * 8;
	if (!mark(given, node->bit_off, bits))
		return value_refuse(
			c, start, "%s lies where another given member of the union is", node->name);
	node->given = true;
	return parse_value(c, node->type, node->name, base + node->bit_off, node->bits);
}

static int parse_members(struct value_cursor *c, const struct value_shape *s, struct value_nodes *nodes,
	uint8_t *given, uint64_t base)
{
	enum way way = UNKNOWN;
	uint32_t order = 1;
	const char *missing;
	char type[80];
	bool any;
	int rc;

	c->at++;
	if (!take(c, '}')) {
		do {
			skip_space(c);
			rc = parse_member(c, s, nodes, given, base, &way, &order);
			if (rc)
				return rc;
		} while (take(c, ','));
		if (!take(c, '}'))
			return value_found(c, "',' or '}'");
	}
	if (!complete(nodes, 0, &any, &missing) && missing)
		return value_refuse(c, c->at - 1, "%s of %s is missing", missing, struct_name(c, s, type));
	return 0;
}

static int parse_struct(struct value_cursor *c, const struct value_shape *s, uint64_t base)
{
	struct value_nodes nodes = {0};
	struct value_node *only;
	uint8_t *given = NULL;
	uint32_t order = 1;
	char type[80];
	int rc;

	rc = value_nodes_read(c->type, s, &nodes, c->err);
	if (rc)
		goto out;
	c->steps += nodes.n;
	if (*c->at != '{') {
		only = nodes.n_leaves == 1 ? next_leaf(&nodes, &order) : NULL;
		if (only)
			rc = parse_value(c, only->type, only->name, base + only->bit_off, only->bits);
		else
			rc = value_found(c, struct_name(c, s, type));
		goto out;
	}
	given = calloc(1, (size_t)s->size + 1);
	rc = given ? parse_members(c, s, &nodes, given, base) : err_nomem(c->err);
out:
	free(given);
	value_nodes_free(&nodes);
	return rc;
}

/*
 * "10", "192.0.2.1", "IPPROTO_UDP": a word in quotation marks, as JSON has to have it; of bytes their hex digits.
 */
static int parse_quoted(struct value_cursor *c, const struct value_shape *s, uint32_t id, uint64_t bit_off, uint32_t bits)
{
	const char *end = strchr(c->at + 1, '"');
	size_t len = end ? (size_t)(end - c->at) - 1 : 0;
	struct value_cursor inner = *c;
	char *text;
	int rc;

	if (!end)
		return value_refuse(c, c->at, "the quotation mark is not closed");
	text = strndup(c->at + 1, len);
	if (!text)
		return err_nomem(c->err);
	inner.text = inner.at = text;
	if (!bits && len == (size_t)s->size * 2 && strspn(text, "0123456789abcdefABCDEF") == len &&
	    (s->kind == VALUE_BYTES || (s->t && btf_is_array(s->t))))
		rc = value_parse_hex(&inner, c->value + bit_off / 8, s->size, false);
	else
		rc = value_parse_scalar(&inner, s, id, bit_off, bits);
	if (!rc && *inner.at)
		rc = value_refuse(c, c->at, "'%.32s' is too much", inner.at);
	free(text);
	if (!rc)
		c->at = end + 1;
	return rc;
}

/* One value of type id at bit_off; the caller has seen to it that it lies inside. */
static int parse_value(struct value_cursor *c, uint32_t id, const char *name, uint64_t bit_off, uint32_t bits)
{
	struct value_shape s;
	int rc;

	rc = value_shape(c->type, id, name, &s, c->err);
	if (!rc)
		rc = value_bitfield_shape(&s, bits, c->err);
	if (rc)
		return rc;
	if (++c->steps > VALUE_STEPS_MAX || c->depth >= VALUE_DEPTH_MAX)
		return err_set(c->err, -EBADMSG, "type %u: nested too deep or too large", id);
	skip_space(c);
	if (!bits && !strncmp(c->at, "hex:", 4)) {
		c->at += 4;
		return value_parse_hex(c, c->value + bit_off / 8, s.size, false);
	}
	c->depth++;
	if (s.kind == VALUE_STRUCT)
		rc = parse_struct(c, &s, bit_off);
	else if (s.t && btf_is_array(s.t) && (*c->at == '[' || *c->at == '{'))
		rc = parse_array(c, &s, bit_off);
	else if (s.kind == VALUE_ARRAY)
		rc = value_found(c, "an array in [ ]");
	else {
		c->depth--;
		if (*c->at == '"' && s.kind != VALUE_STRING)
			rc = parse_quoted(c, &s, id, bit_off, bits);
		else
			rc = value_parse_scalar(c, &s, id, bit_off, bits);
		c->depth++;
	}
	c->depth--;
	return rc;
}

/* A value that BTF says nothing about. */
static int parse_untyped(struct value_cursor *c)
{
	uint32_t size = c->type->size;
	struct value_shape s = {.kind = VALUE_UINT, .size = size};
	bool number = size == 1 || size == 2 || size == 4 || size == 8;

	if (!strncmp(c->at, "hex", 3) && (c->at[3] == ':' || isspace((unsigned char)c->at[3]))) {
		c->at += 4;
		return value_parse_hex(c, c->value, size, true);
	}
	if (number)
		return value_parse_scalar(c, &s, 0, 0, 0);
	if (strncmp(c->at, "0x", 2))
		return value_refuse(c, c->at, "hex and %u bytes wanted", size);
	c->at += 2;
	return value_parse_hex(c, c->value, size, false);
}

static int parse_as(struct value_cursor *c)
{
	struct value_shape s;
	int rc = value_as_shape(c->type->as, c->type->size, "it", &s, c->err);

	if (rc)
		return rc;
	if (!strncmp(c->at, "hex:", 4) || (s.kind == VALUE_BYTES && !strncmp(c->at, "hex ", 4)))
		c->at += 4;
	else if (s.kind != VALUE_BYTES)
		return value_parse_scalar(c, &s, 0, 0, 0);
	else if (!strncmp(c->at, "0x", 2))
		c->at += 2;
	return value_parse_hex(c, c->value, s.size, true);
}

static int parse_top(struct value_cursor *c)
{
	const struct sluice_type *type = c->type;
	struct value_shape s;
	int rc;

	skip_space(c);
	if (type->as != SLUICE_AS_TYPE) {
		rc = parse_as(c);
	} else if (*c->at != '{' && strncmp(c->at, "hex", 3) && value_prefix_shape(type, &s)) {
		rc = value_parse_prefix(c, &s);
	} else if (!type->btf || !type->id) {
		rc = parse_untyped(c);
	} else {
		rc = value_shape(type, type->id, NULL, &s, c->err);
		if (!rc && s.size != type->size)
			return err_set(
				c->err, -EBADMSG, "BTF says %u bytes, the value has %u", s.size, type->size);
		if (!rc && s.kind != VALUE_STRING && !strncmp(c->at, "hex ", 4)) {
			c->at += 4;
			rc = value_parse_hex(c, c->value, s.size, true);
		} else if (!rc) {
			rc = parse_value(c, type->id, NULL, 0, 0);
		}
	}
	if (rc)
		return rc;
	skip_space(c);
	if (*c->at)
		return value_refuse(c, c->at, "'%.32s' is too much", c->at);
	return 0;
}

int sluice_type_parse(const struct sluice_type *type, const char *text, void *value, struct sluice_err *err)
{
	struct sluice_err own = {0};
	struct value_cursor c = {.type = type, .text = text, .at = text, .err = &own};
	char *layout;
	int rc;

	c.value = calloc(1, (size_t)type->size + 1);
	if (!c.value)
		return err_nomem(err);
	rc = parse_top(&c);
	if (!rc)
		memcpy(value, c.value, type->size);
	else if (rc != -EINVAL || sluice_type_layout(type, &layout, NULL))
		err_set(err, rc, "%s", own.text);
	else {
		err_set(err, rc, "%s; wanted: %s", own.text, layout);
		free(layout);
	}
	free(c.value);
	return rc;
}

int sluice_value_parse(const struct btf *btf, uint32_t type_id, const char *text, void *value, size_t size,
	struct sluice_err *err)
{
	struct sluice_type type = {.btf = btf, .id = type_id, .size = (uint32_t)size};

	if (size > UINT32_MAX)
		return err_set(err, -EINVAL, "a value of %zu bytes", size);
	return sluice_type_parse(&type, text, value, err);
}
