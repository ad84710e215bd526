// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* JSON of text of any bytes. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cmd/json.h"

static bool lost;

static json_t *made(json_t *o)
{
	lost |= !o;
	return o;
}

bool json_lost(void)
{
	return lost;
}

json_t *json_text_n(const char *text, size_t len)
{
	char *copy = text ? malloc(len + 1) : NULL;
	const char *end = copy + len;
	json_t *o = NULL;
	size_t n;
	char *at;

	if (copy) {
		memcpy(copy, text, len);
		for (at = copy; at < end; at += n ? n : 1) {
			n = text_glyph(at, end);
			if (!n && (unsigned char)*at >= 0x7f)
				*at = '?';
		}
		o = json_stringn_nocheck(copy, len);
	}
	free(copy);
	return made(o);
}

json_t *json_text(const char *text)
{
	return json_text_n(text, text ? strlen(text) : 0);
}

struct making {
	const char *at;
	va_list ap;
	bool failed;
};

static char next(struct making *m)
{
	m->at += strspn(m->at, " ,:");
	return *m->at;
}

static bool takes(struct making *m, char c)
{
	bool is = *m->at == c;

	m->at += is;
	return is;
}

static json_t *string(struct making *m)
{
	const char *text = va_arg(m->ap, const char *);

	if (takes(m, '%'))
		return json_text_n(text, va_arg(m->ap, size_t));
	return takes(m, '?') && !text ? json_null() : json_text(text);
}

static json_t *scalar(struct making *m)
{
	switch (*m->at++) {
	case 's':
		return string(m);
	case 'i':
		return json_integer(va_arg(m->ap, int));
	case 'I':
		return json_integer(va_arg(m->ap, json_int_t));
	case 'b':
		return json_boolean(va_arg(m->ap, int));
	case 'f':
		return json_real(va_arg(m->ap, double));
	case 'o':
		return va_arg(m->ap, json_t *);
	case 'O':
		return json_incref(va_arg(m->ap, json_t *));
	case 'n':
		return json_null();
	}
	abort(); /* a format is ours */
}

/* What failed is left out; the rest is gone through all the same, for references are handed over in it. */
static json_t *value(struct making *m)
{
	char open = next(m);
	const char *key = NULL;
	json_t *o, *in;

	if (open != '{' && open != '[')
		return scalar(m);
	m->at++;
	o = open == '{' ? json_object() : json_array();
	while (next(m) != (open == '{' ? '}' : ']')) {
		if (open == '{') {
			m->at++; /* the key's s */
			key = va_arg(m->ap, const char *);
			next(m);
		}
		in = value(m);
		m->failed |= key ? json_object_set_new(o, key, in) != 0 : json_array_append_new(o, in) != 0;
	}
	m->at++;
	return o;
}

json_t *json_make(const char *format, ...)
{
	struct making m = {.at = format};
	json_t *o;

	va_start(m.ap, format);
	o = value(&m);
	va_end(m.ap);
	if (m.failed) {
		json_decref(o);
		o = NULL;
	}
	return made(o);
}
