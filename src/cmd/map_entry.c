// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Entries of maps as lines of text and as JSON. */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "bpf/map.h"
#include "bpf/seam.h"
#include "cmd/map_run.h"

#define EXACT_MAX (1ull << 53) /* what every JSON reader keeps exactly */

static int print_values(struct sluice_map *map, const void *values, bool sum, struct sluice_err *err)
{
	const struct sluice_map_info *i = sluice_map_info(map);
	char *text;
	uint32_t cpu;
	int rc;

	if (!i->per_cpu || sum) {
		rc = sum ? sluice_map_sum_print(map, values, &text, err)
			 : sluice_map_value_print(map, values, &text, err);
		if (rc)
			return rc;
		printf("%s\n", text);
		free(text);
		return 0;
	}
	for (cpu = 0; cpu < i->n_values; cpu++) {
		rc = sluice_map_value_print(
			map, (const uint8_t *)values + (size_t)cpu * i->stride, &text, err);
		if (rc)
			return rc;
		printf("  cpu %u: %s\n", cpu, text);
		free(text);
	}
	return 0;
}

int map_print_entry(
	struct sluice_map *map, const void *key, const void *values, bool sum, struct sluice_err *err)
{
	struct sluice_type *key_type, *value_type;
	char *text;
	int rc;

	sluice_map_types(map, &key_type, &value_type);
	if (key) {
		rc = sluice_type_print(key_type, key, &text, err);
		if (rc)
			return rc;
		printf(sluice_map_info(map)->per_cpu && !sum ? "%s\n" : "%s = ", text);
		free(text);
	}
	return print_values(map, values, sum, err);
}

struct builder {
	json_t *level[VALUE_DEPTH_MAX * 2 + 2];
	unsigned int depth;
	json_t *result;
	bool failed;
};

static void put(struct builder *b, const char *name, json_t *value)
{
	json_t *in = b->depth ? b->level[b->depth - 1] : NULL;

	if (!value)
		b->failed = true;
	else if (!in)
		b->result = value;
	else if (json_is_array(in) ? json_array_append_new(in, value)
				   : json_object_set_new(in, name ? name : "", value))
		b->failed = true;
}

static void json_open(void *ctx, const char *name, bool array)
{
	struct builder *b = ctx;
	json_t *value = array ? json_array() : json_object();

	put(b, name, value);
	if (b->depth < sizeof(b->level) / sizeof(*b->level))
		b->level[b->depth++] = value;
	else
		b->failed = true;
}

static void json_close(void *ctx, bool array)
{
	struct builder *b = ctx;

	(void)array;
	if (b->depth)
		b->depth--;
}

static json_t *json_int(const struct value_scalar *s)
{
	bool negative = s->kind != VALUE_UINT && s->u >> 127;
	unsigned __int128 m = negative ? -s->u : s->u;
	char text[64];

	if (m <= EXACT_MAX)
		return json_integer(negative ? -(json_int_t)m : (json_int_t)m);
	if (m >> 64)
		snprintf(text, sizeof(text), "%s0x%llx%016llx", negative ? "-" : "",
			(unsigned long long)(m >> 64), (unsigned long long)m);
	else
		snprintf(text, sizeof(text), "%s%llu", negative ? "-" : "", (unsigned long long)m);
	return json_string(text);
}

/* JSON holds UTF-8 only: other strings come with their escapes. */
static json_t *json_chars(const uint8_t *bytes, size_t len)
{
	struct buf b = {0};
	json_t *value;

	while (len && !bytes[len - 1])
		len--;
	value = memchr(bytes, 0, len) ? NULL : json_stringn((const char *)bytes, len);
	if (value)
		return value;
	value_quote(&b, bytes, len);
	if (!b.failed && b.len >= 2)
		value = json_stringn((const char *)b.data + 1, b.len - 2);
	buf_free(&b);
	return value;
}

static json_t *json_bytes(const uint8_t *bytes, size_t len)
{
	struct buf b = {0};
	json_t *value;
	size_t i;

	for (i = 0; i < len; i++)
		buf_printf(&b, "%02x", bytes[i]);
	value = b.failed ? NULL : json_string(b.data ? (const char *)b.data : "");
	buf_free(&b);
	return value;
}

static void json_scalar(void *ctx, const char *name, const struct value_scalar *s)
{
	struct builder *b = ctx;
	char text[32];

	switch (s->kind) {
	case VALUE_UINT:
	case VALUE_SINT:
	case VALUE_CHAR:
		put(b, name, json_int(s));
		break;
	case VALUE_BOOL:
		put(b, name, s->u > 1 ? json_integer((json_int_t)s->u) : json_boolean(s->u != 0));
		break;
	case VALUE_FLOAT:
		if (s->f - s->f == 0) {
			put(b, name, json_real(s->f));
			break;
		}
		snprintf(text, sizeof(text), "%g", s->f);
		put(b, name, json_string(text));
		break;
	case VALUE_STRING:
		put(b, name, json_chars(s->bytes, s->len));
		break;
	case VALUE_BYTES:
		put(b, name, json_bytes(s->bytes, s->len));
		break;
	default:
		put(b, name, json_string(s->text));
	}
}

static json_t *build(const struct sluice_type *type, const void *value, const struct value_more *more,
	struct sluice_err *err)
{
	static const struct value_visitor visitor = {json_open, json_close, json_scalar, NULL};
	struct builder b = {0};
	int rc = value_walk(type, value, more, &visitor, &b, err);

	if (!rc && !b.failed)
		return b.result;
	json_decref(b.result);
	if (!rc)
		err_nomem(err);
	return NULL;
}

static json_t *json_special(const struct sluice_map_info *i, const uint8_t *value)
{
	uint32_t v, prog = 0;
	uint64_t cookie;
	char name[IF_NAMESIZE];
	json_t *to = json_object();

	memcpy(&v, value, 4);
	cookie = v;
	if (i->value_size >= 8) {
		memcpy(&prog, value + 4, 4);
		memcpy(&cookie, value, 8);
	}
	switch (i->holds) {
	case SLUICE_MAP_PROGRAM:
		json_object_set_new(to, "prog_id", json_integer(v));
		return to;
	case SLUICE_MAP_MAP:
		json_object_set_new(to, "map_id", json_integer(v));
		return to;
	case SLUICE_MAP_SOCKET:
		json_object_set_new(to, "cookie",
			cookie > EXACT_MAX ? json_sprintf("%llu", (unsigned long long)cookie)
					   : json_integer((json_int_t)cookie));
		return to;
	case SLUICE_MAP_DEVICE:
		json_object_set_new(to, "ifindex", json_integer(v));
		json_object_set_new(to, "ifname", seam_if_name(v, name) ? json_string(name) : json_null());
		break;
	default:
		json_object_set_new(to, "qsize", json_integer(v));
	}
	json_object_set_new(to, "prog_id", prog ? json_integer(prog) : json_null());
	return to;
}

json_t *map_json_key(struct sluice_map *map, const void *key, struct sluice_err *err)
{
	return build(&map->key, key, NULL, err);
}

json_t *map_json_value(struct sluice_map *map, const void *values, bool sum, struct sluice_err *err)
{
	const struct sluice_map_info *i = &map->info;
	struct value_more more = {.n = i->n_values, .stride = i->stride};

	if (i->holds != SLUICE_MAP_DATA && i->value_size >= 4 && map->value.as == SLUICE_AS_TYPE)
		return json_special(i, values);
	return build(&map->value, values, sum ? &more : NULL, err);
}

json_t *map_json_entry(
	struct sluice_map *map, const void *key, const void *values, bool sum, struct sluice_err *err)
{
	const struct sluice_map_info *i = &map->info;
	json_t *entry = json_object(), *list, *value;
	uint32_t cpu;

	if (key && json_object_set_new(entry, "key", map_json_key(map, key, err)))
		goto fail;
	if (!i->per_cpu || sum) {
		if (json_object_set_new(entry, "value", map_json_value(map, values, sum, err)))
			goto fail;
		return entry;
	}
	list = json_array();
	if (json_object_set_new(entry, "values", list))
		goto fail;
	for (cpu = 0; cpu < i->n_values; cpu++) {
		value = map_json_value(map, (const uint8_t *)values + (size_t)cpu * i->stride, false, err);
		if (json_array_append_new(list, value))
			goto fail;
	}
	return entry;
fail:
	json_decref(entry);
	return NULL;
}

int64_t map_count(struct sluice_map *map, uint32_t max)
{
	const struct sluice_map_info *i = &map->info;
	struct sluice_map_iter *it;
	const void *key, *value;
	int64_t n = 0;
	int rc;

	if (!i->walkable)
		return -1;
	if (i->indexed && !i->deletable)
		return i->max_entries; /* an array is always full */
	if (i->max_entries > max || sluice_map_iter_new(map, &it, NULL))
		return -1;
	while ((rc = sluice_map_iter_next(it, &key, &value, NULL)) == 1)
		n++;
	sluice_map_iter_free(it);
	return rc ? -1 : n;
}
