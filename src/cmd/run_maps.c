// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Maps of `sluice run`: filled from JSON before the packets (--map), shown behind them (--dump). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sluice/map.h>
#include <sluice/value.h>

#include "base/buf.h"
#include "base/err.h"
#include "cmd/map_run.h"
#include "cmd/run_verb.h"

/* The first object's map of that name; with several objects others may have one, too. */
static int open_map(const struct run_loaded *l, const char *option, const char *name, size_t len,
		    struct sluice_map **map, struct sluice_err *err)
{
	char text[128];
	int fd = -ENOENT;
	size_t i;

	snprintf(text, sizeof(text), "%.*s", (int)len, name);
	for (i = 0; i < l->objects.n && fd < 0; i++)
		fd = sluice_object_map_fd(l->objects.obj[i], text, err);
	if (fd < 0)
		return err_prefix(err, "--%s", option);
	return sluice_map_open_fd(fd, map, err);
}

static void quote(const char *s, struct buf *to)
{
	bool escaped = strstr(s, "\\x") != NULL; /* how bytes that are no text come out of a dump */

	buf_printf(to, "\"");
	for (; *s; s++)
		if (*s == '\n' || *s == '\t')
			buf_printf(to, "%s", *s == '\n' ? "\\n" : "\\t");
		else if ((unsigned char)*s < ' ')
			buf_printf(to, "\\x%02x", (unsigned char)*s);
		else
			buf_printf(to, "%s%c", (*s == '"' || *s == '\\') && !escaped ? "\\" : "", *s);
	buf_printf(to, "\"");
}

/* JSON as `sluice map dump --json` writes it into the text that values are typed as. */
static void as_text(json_t *v, struct buf *to)
{
	const char *name, *sep = "";
	json_t *item;
	size_t i;

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		buf_printf(to, "{");
		json_object_foreach(v, name, item)
		{
			buf_printf(to, "%s%s: ", sep, name);
			as_text(item, to);
			sep = ", ";
		}
		buf_printf(to, "}");
		break;
	case JSON_ARRAY:
		buf_printf(to, "[");
		json_array_foreach(v, i, item)
		{
			buf_printf(to, "%s", i ? ", " : "");
			as_text(item, to);
		}
		buf_printf(to, "]");
		break;
	case JSON_STRING:
		quote(json_string_value(v), to);
		break;
	case JSON_INTEGER:
		buf_printf(to, "%lld", (long long)json_integer_value(v));
		break;
	case JSON_REAL:
		buf_printf(to, "%.17g", json_real_value(v));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		buf_printf(to, json_is_true(v) ? "true" : "false");
		break;
	default:
		buf_printf(to, "0");
	}
}

/* Devices and CPUs are numbers in a dump; whoever has no type has bare words and bytes. */
static void one_text(const struct sluice_map *map, bool key, const struct sluice_type *type, json_t *v,
		     struct buf *to)
{
	const struct sluice_map_info *i = sluice_map_info(map);
	json_t *number = json_object_get(v, i->holds == SLUICE_MAP_DEVICE ? "ifindex" : "qsize");
	uint32_t n = (uint32_t)json_integer_value(number), at;
	const uint8_t *bytes = (const uint8_t *)&n;
	const char *s = json_string_value(v);
	size_t len = s ? strlen(s) : 0;

	if (!key && (i->holds == SLUICE_MAP_DEVICE || i->holds == SLUICE_MAP_CPU) &&
	    json_is_integer(number)) {
		buf_printf(to, "hex:");
		for (at = 0; at < i->value_size; at++)
			buf_printf(to, "%02x", at < 4 ? bytes[at] : 0);
	} else if (!key && i->holds == SLUICE_MAP_DEVICE && json_is_string(json_object_get(v, "ifname"))) {
		buf_printf(to, "%s", json_string_value(json_object_get(v, "ifname")));
	} else if (s && !key && i->holds != SLUICE_MAP_DATA) {
		buf_printf(to, "%s", s);
	} else if (s && (type->prefix || !type->btf)) {
		/* a prefix is a word; digits are the hex of exactly that many bytes */
		buf_printf(to, "%s%s",
			   len == (size_t)type->size * 2 && strspn(s, "0123456789abcdef") == len ? "hex:"
												 : "",
			   s);
	} else {
		as_text(v, to);
	}
}

/* A device or a CPU: its number, what goes with it in a dump, and nothing that would be dropped. A name that the engine
 * knows by another number is believed less than the number, as names in dumps of elsewhere are. */
static int check_special(const struct sluice_map *map, json_t *v, struct sluice_err *err)
{
	enum sluice_map_holds holds = sluice_map_info(map)->holds;
	const char *number = holds == SLUICE_MAP_DEVICE ? "ifindex" : "qsize", *name;
	json_t *item;

	if ((holds != SLUICE_MAP_DEVICE && holds != SLUICE_MAP_CPU) || !json_is_object(v))
		return 0;
	json_object_foreach(v, name, item)
	{
		if (!strcmp(name, "prog_id") && !json_is_null(item))
			return err_set(err, -EINVAL, "value: prog_id is a number of elsewhere; wanted null");
		if (strcmp(name, number) && strcmp(name, "prog_id") &&
		    (holds != SLUICE_MAP_DEVICE || strcmp(name, "ifname")))
			return err_set(err, -EINVAL, "value: unknown member %.60s; wanted %s%s and prog_id", name,
				       number, holds == SLUICE_MAP_DEVICE ? ", ifname" : "");
	}
	item = json_object_get(v, number);
	if (json_is_integer(item) ||
	    (!item && holds == SLUICE_MAP_DEVICE && json_is_string(json_object_get(v, "ifname"))))
		return 0;
	return err_set(err, -EINVAL, "value: wanted a number as %s%s", number,
		       holds == SLUICE_MAP_DEVICE ? ", or a name as ifname" : "");
}

static int put_entry(struct sluice_map *map, json_t *entry, struct sluice_err *err)
{
	const struct sluice_map_info *i = sluice_map_info(map);
	json_t *values = json_object_get(entry, "values"), *key = json_object_get(entry, "key"), *v;
	size_t n = values ? json_array_size(values) : 1, k;
	const char **text = calloc(n + 1, sizeof(*text));
	struct buf *b = calloc(n + 1, sizeof(*b));
	uint8_t *bytes = calloc(1, (size_t)i->key_size + 8);
	struct sluice_type *key_type, *value_type;
	int e = text && b && bytes ? 0 : err_nomem(err);

	sluice_map_types(map, &key_type, &value_type);
	if (!e && (!!key == i->keyless || (!values && !json_object_get(entry, "value"))))
		e = err_set(err, -EINVAL,
			    i->keyless ? "wanted an object with value"
				       : "wanted an object with key and value (or values, one for each CPU)");
	for (k = 0; k < n && !e; k++) {
		v = values ? json_array_get(values, k) : json_object_get(entry, "value");
		e = check_special(map, v, err);
		if (e)
			break;
		one_text(map, false, value_type, v, &b[k]);
		text[k] = (const char *)b[k].data;
		e = b[k].failed ? err_nomem(err) : 0;
	}
	if (!e && key) {
		one_text(map, true, key_type, key, &b[n]);
		e = b[n].failed ? err_nomem(err)
				: sluice_type_parse(key_type, (const char *)b[n].data, bytes, err);
		if (e)
			err_prefix(err, "key");
	}
	if (!e)
		e = sluice_map_set_text(map, key ? bytes : NULL, text, n, SLUICE_MAP_ANY, err);
	for (k = 0; b && k <= n; k++)
		buf_free(&b[k]);
	free(b);
	free(text);
	free(bytes);
	return e;
}

static int fill_map(struct sluice_map *map, const char *path, struct sluice_err *err)
{
	json_error_t why;
	json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &why), *entry;
	size_t i;
	int e = 0;

	if (!file)
		return err_set(err, why.line < 0 ? -ENOENT : -EBADMSG,
			       why.line < 0 ? "%s: %s" : "%s is no JSON: %s, line %d", path, why.text,
			       why.line);
	if (!json_is_array(file))
		e = err_set(err, -EBADMSG,
			    "%s: wanted an array of entries, as sluice map dump --json writes it", path);
	json_array_foreach(file, i, entry)
	{
		if (e)
			break;
		e = put_entry(map, entry, err);
		if (e)
			err_prefix(err, "%s: entry %zu", path, i + 1);
	}
	json_decref(file);
	return e;
}

int run_fill_maps(struct run_loaded *l, struct sluice_err *err)
{
	struct sluice_map *map;
	const char *eq;
	size_t i;
	int e = 0;

	for (i = 0; i < run_opts.maps.n && !e; i++) {
		eq = strchr(run_opts.maps.item[i], '=');
		if (!eq || eq == run_opts.maps.item[i] || !eq[1])
			return err_set(err, -EINVAL, "--map %s: wanted NAME=FILE", run_opts.maps.item[i]);
		e = open_map(l, "map", run_opts.maps.item[i], (size_t)(eq - run_opts.maps.item[i]), &map,
			     err);
		if (e)
			break;
		e = fill_map(map, eq + 1, err);
		if (e)
			err_prefix(err, "--map %s", sluice_map_info(map)->name);
		sluice_map_close(map);
	}
	return e;
}

static int dump(struct sluice_map *map, json_t *json, struct sluice_err *err)
{
	struct sluice_map_iter *it;
	const void *key, *value;
	json_t *entry;
	int got, e = sluice_map_iter_new(map, &it, err);

	if (e)
		return e;
	while ((got = sluice_map_iter_next(it, &key, &value, err)) == 1 && !e) {
		if (!json) {
			e = map_print_entry(map, key, value, false, err);
			continue;
		}
		entry = map_json_entry(map, key, value, false, err);
		if (!entry || json_array_append_new(json, entry))
			e = err->code ? err->code : err_nomem(err);
	}
	sluice_map_iter_free(it);
	return e ? e : got < 0 ? got : 0;
}

int run_check_dumps(const struct run_loaded *l, struct sluice_err *err)
{
	struct sluice_map *map;
	size_t i;
	int e = 0;

	for (i = 0; i < run_opts.dump.n && !e; i++) {
		e = open_map(l, "dump", run_opts.dump.item[i], strlen(run_opts.dump.item[i]), &map, err);
		if (e)
			break;
		if (!sluice_map_info(map)->walkable)
			e = err_set(err, -EOPNOTSUPP, "--dump %s: %s", run_opts.dump.item[i],
				    sluice_map_info(map)->why_not);
		sluice_map_close(map);
	}
	return e;
}

int run_dump_maps(const struct run_loaded *l, json_t *json, struct sluice_err *err)
{
	json_t *maps = json ? json_object() : NULL, *entries;
	struct sluice_map *map;
	size_t i;
	int e = 0;

	for (i = 0; i < run_opts.dump.n && !e; i++) {
		e = open_map(l, "dump", run_opts.dump.item[i], strlen(run_opts.dump.item[i]), &map, err);
		if (e)
			break;
		entries = json ? json_array() : NULL;
		if (!json)
			printf("%s:\n", run_opts.dump.item[i]);
		e = dump(map, entries, err);
		if (json)
			json_object_set_new(maps, run_opts.dump.item[i], entries);
		sluice_map_close(map);
	}
	if (json && run_opts.dump.n)
		json_object_set(json, "maps", maps);
	json_decref(maps);
	return e;
}
