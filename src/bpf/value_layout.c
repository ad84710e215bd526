// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a type looks like, in C's own words, for messages: "struct key { __be32 saddr; __be16 dport; } (8
 * bytes)".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "bpf/value.h"

#define LAYOUT_MAX 900	  /* characters: leaves room for a sentence in struct sluice_err */
#define ENUMERATORS_MAX 8 /* shown of an enum */

static const char *name_of(const struct btf *btf, uint32_t off)
{
	const char *name = btf__name_by_offset(btf, off);

	return name ? name : "?";
}

char *value_tame(char *text)
{
	char *p;

	for (p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return text;
}

void value_type_name(const struct btf *btf, uint32_t id, struct buf *out)
{
	const struct btf_type *t;
	struct buf dims = {0};
	unsigned int i, stars = 0;
	const char *name;

	for (i = 0; i < VALUE_DEPTH_MAX; i++) { /* hostile types can refer to themselves */
		t = btf__type_by_id(btf, id);
		if (!t)
			break;
		name = name_of(btf, t->name_off);
		switch (btf_kind(t)) {
		case BTF_KIND_PTR:
			stars++;
			break;
		case BTF_KIND_CONST:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG:
		case BTF_KIND_VAR:
			break;
		case BTF_KIND_ARRAY:
			buf_printf(&dims, "[%u]", btf_array(t)->nelems);
			id = btf_array(t)->type;
			continue;
		default:
			buf_printf(out, "%s%s%.80s",
				btf_is_struct(t)     ? "struct"
				: btf_is_union(t)    ? "union"
				: btf_is_any_enum(t) ? "enum"
				: btf_is_datasec(t)  ? "section"
						     : "",
				btf_is_composite(t) || btf_is_any_enum(t) || btf_is_datasec(t)
					? (*name ? " " : "")
					: "",
				btf_is_func_proto(t)		   ? "function"
				: !t->name_off && btf_kind(t) == 0 ? "void"
								   : name);
			goto done;
		}
		id = t->type;
	}
done:
	for (i = 0; i < stars; i++)
		buf_printf(out, i ? "*" : " *");
	if (dims.len)
		buf_printf(out, "%s", (const char *)dims.data);
	out->failed |= dims.failed;
	buf_free(&dims);
}

static void enumerators(const struct btf *btf, const struct btf_type *t, struct buf *b)
{
	uint32_t i, n = btf_vlen(t);

	buf_printf(b, " {");
	for (i = 0; i < n && i < ENUMERATORS_MAX; i++) {
		if (btf_is_enum(t))
			buf_printf(b, "%s %.60s = %d", i ? "," : "", name_of(btf, btf_enum(t)[i].name_off),
				btf_enum(t)[i].val);
		else
			buf_printf(b, "%s %.60s = %lld", i ? "," : "",
				name_of(btf, btf_enum64(t)[i].name_off),
				(long long)btf_enum64_value(btf_enum64(t) + i));
	}
	buf_printf(b, n > ENUMERATORS_MAX ? ", ... }" : " }");
}

static void declare(const struct sluice_type *type, uint32_t id, const char *name, uint32_t bits,
	struct buf *b, int depth);

/* The members between braces; an anonymous group is a declaration without a name. */
static void members(const struct sluice_type *type, const struct btf_type *t, struct buf *b, int depth)
{
	const struct btf_type *var;
	uint32_t i, n = btf_vlen(t);

	buf_printf(b, " {");
	for (i = 0; i < n && b->len < LAYOUT_MAX; i++) {
		buf_printf(b, " ");
		if (btf_is_datasec(t)) {
			var = btf__type_by_id(type->btf, btf_var_secinfos(t)[i].type);
			if (var)
				declare(type, var->type, name_of(type->btf, var->name_off), 0, b, depth + 1);
		} else {
			declare(type, btf_members(t)[i].type, name_of(type->btf, btf_members(t)[i].name_off),
				btf_member_bitfield_size(t, i), b, depth + 1);
		}
		buf_printf(b, ";");
	}
	buf_printf(b, i < n ? " ... }" : " }");
}

static void declare(const struct sluice_type *type, uint32_t id, const char *name, uint32_t bits,
	struct buf *b, int depth)
{
	struct buf dims = {0};
	const struct btf_type *t;
	struct value_shape s;
	unsigned int i;

	/* dimensions stand behind the name */
	for (i = 0; i < VALUE_DEPTH_MAX; i++) {
		t = btf__type_by_id(type->btf, id);
		if (t && (btf_is_const(t) || btf_is_volatile(t) || btf_kind(t) == BTF_KIND_TYPE_TAG)) {
			id = t->type;
			continue;
		}
		if (!t || !btf_is_array(t))
			break;
		buf_printf(&dims, "[%u]", btf_array(t)->nelems);
		id = btf_array(t)->type;
	}
	value_type_name(type->btf, id, b);
	if (!value_shape(type, id, NULL, &s, NULL)) {
		if (depth >= 5 && s.kind == VALUE_STRUCT)
			buf_printf(b, " { ... }");
		else if (s.kind == VALUE_STRUCT)
			members(type, s.t, b, depth);
		else if (s.kind == VALUE_ENUM)
			enumerators(type->btf, s.t, b);
	}
	if (*name)
		buf_printf(b, " %.80s", name);
	if (dims.len)
		buf_printf(b, "%s", (const char *)dims.data);
	if (bits)
		buf_printf(b, " : %u", bits);
	b->failed |= dims.failed;
	buf_free(&dims);
}

int sluice_type_layout(const struct sluice_type *type, char **text, struct sluice_err *err)
{
	struct value_shape s;
	struct buf b = {0};

	*text = NULL;
	if (type->as != SLUICE_AS_TYPE) {
		buf_printf(&b, "%s", value_as_name(type->as));
	} else if (!type->btf || !type->id) {
		buf_printf(&b, "%s%u bytes of hex, there is no BTF",
			type->prefix && (type->size == 8 || type->size == 20) ? ""
			: type->size == 1 || type->size == 2 || type->size == 4 || type->size == 8
				? "a number or "
				: "",
			type->size);
	} else {
		declare(type, type->id, "", 0, &b, 0);
		if (b.len > LAYOUT_MAX) {
			b.len = LAYOUT_MAX;
			buf_printf(&b, "...");
		}
	}
	if (type->as != SLUICE_AS_TYPE || (type->btf && type->id))
		buf_printf(&b, " (%u byte%s)", type->size, type->size == 1 ? "" : "s");
	if (value_prefix_shape(type, &s))
		buf_printf(&b, ", typed as %s", s.size == 4 ? "192.0.2.0/24" : "2001:db8::/32");
	if (b.failed) {
		buf_free(&b);
		return err_nomem(err);
	}
	*text = value_tame((char *)b.data);
	return 0;
}
