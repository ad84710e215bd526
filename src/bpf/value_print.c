// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A value as one line of text that parses back to the same bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "bpf/value.h"

struct printer {
	struct buf b;
	bool inside; /* something stands before on this level */
};

static void begin(struct printer *p, const char *name)
{
	if (p->inside)
		buf_printf(&p->b, ", ");
	p->inside = true;
	if (name)
		buf_printf(&p->b, "%s: ", name);
}

static void text_open(void *ctx, const char *name, bool array)
{
	struct printer *p = ctx;

	begin(p, name);
	buf_printf(&p->b, array ? "[" : "{");
	p->inside = false;
}

static void text_close(void *ctx, bool array)
{
	struct printer *p = ctx;

	buf_printf(&p->b, array ? "]" : "}");
	p->inside = true;
}

static void text_repeat(void *ctx, uint32_t n)
{
	struct printer *p = ctx;

	buf_printf(&p->b, "*%u", n);
}

void value_quote(struct buf *b, const uint8_t *bytes, size_t len)
{
	size_t i;

	while (len && !bytes[len - 1])
		len--;
	buf_printf(b, "\"");
	for (i = 0; i < len; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			buf_printf(b, "\\%c", bytes[i]);
		else if (bytes[i] == '\n' || bytes[i] == '\t')
			buf_printf(b, bytes[i] == '\n' ? "\\n" : "\\t");
		else if (bytes[i] >= ' ' && bytes[i] < 0x7f)
			buf_printf(b, "%c", bytes[i]);
		else
			buf_printf(b, "\\x%02x", bytes[i]);
	}
	buf_printf(b, "\"");
}

static void wide(struct buf *b, unsigned __int128 u)
{
	uint64_t high = (uint64_t)(u >> 64), low = (uint64_t)u;

	if (high)
		buf_printf(b, "0x%llx%016llx", (unsigned long long)high, (unsigned long long)low);
	else
		buf_printf(b, "0x%llx", (unsigned long long)low);
}

static void print_float(struct buf *b, const struct value_scalar *s)
{
	if (s->f == s->f)
		buf_printf(b, s->bits == 32 ? "%.9g" : "%.17g", s->f);
	else /* only the bits tell one NaN from another */
		buf_printf(b, "0x%llx", (unsigned long long)s->u);
}

static void print_delta(struct buf *b, const struct value_scalar *s)
{
	unsigned __int128 d = (unsigned __int128)(s->delta < 0 ? -s->delta : s->delta);

	if (s->kind == VALUE_FLOAT && s->delta_f != 0)
		buf_printf(b, " (%+.6g)", s->delta_f);
	else if (s->kind != VALUE_FLOAT && d)
		buf_printf(b, d > UINT64_MAX ? " (%c...)" : " (%c%llu)", s->delta < 0 ? '-' : '+',
			(unsigned long long)d);
}

static void text_scalar(void *ctx, const char *name, const struct value_scalar *s)
{
	struct printer *p = ctx;
	struct buf *b = &p->b;
	uint32_t i;

	begin(p, name);
	switch (s->kind) {
	case VALUE_UINT:
		if (s->bits > 64)
			wide(b, s->u);
		else
			buf_printf(b, "%llu", (unsigned long long)s->u);
		break;
	case VALUE_SINT:
		if (s->bits > 64 && s->u >> 127)
			buf_printf(b, "-");
		if (s->bits > 64)
			wide(b, s->u >> 127 ? -s->u : s->u);
		else
			buf_printf(b, "%lld", (long long)s->u);
		break;
	case VALUE_CHAR:
		if (s->bits == 8 && s->u >= ' ' && s->u < 0x7f && s->u != '\\' && s->u != '\'')
			buf_printf(b, "'%c'", (char)s->u);
		else
			buf_printf(b, "%lld", (long long)s->u);
		break;
	case VALUE_BOOL:
		if (s->u > 1)
			buf_printf(b, "0x%02x", (unsigned int)s->u);
		else
			buf_printf(b, s->u ? "true" : "false");
		break;
	case VALUE_FLOAT:
		print_float(b, s);
		break;
	case VALUE_STRING:
		value_quote(b, s->bytes, s->len);
		break;
	case VALUE_BYTES:
		buf_printf(b, "hex:");
		for (i = 0; i < s->len; i++)
			buf_printf(b, "%02x", s->bytes[i]);
		break;
	default:
		buf_printf(b, "%s", s->text);
	}
	if (s->has_delta)
		print_delta(b, s);
}

int value_text(const struct sluice_type *type, const void *value, const struct value_more *more, char **text,
	struct sluice_err *err)
{
	static const struct value_visitor visitor = {text_open, text_close, text_scalar, text_repeat};
	struct printer p = {0};
	int rc;

	*text = NULL;
	rc = value_walk(type, value, more, &visitor, &p, err);
	if (!rc && (p.b.failed || !p.b.data))
		rc = err_nomem(err);
	if (rc) {
		buf_free(&p.b);
		return rc;
	}
	*text = value_tame((char *)p.b.data);
	return 0;
}

int sluice_type_print(const struct sluice_type *type, const void *value, char **text, struct sluice_err *err)
{
	return value_text(type, value, NULL, text, err);
}

int sluice_value_print(const struct btf *btf, uint32_t type_id, const void *value, size_t size, char **text,
	struct sluice_err *err)
{
	struct sluice_type type = {.btf = btf, .id = type_id, .size = (uint32_t)size};

	*text = NULL;
	if (size > UINT32_MAX)
		return err_set(err, -EINVAL, "a value of %zu bytes", size);
	return sluice_type_print(&type, value, text, err);
}
