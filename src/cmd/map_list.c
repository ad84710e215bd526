// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice map list, sluice map show: which maps there are, what they look like, who uses them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/map_run.h"

#define CHEAP 8192	  /* entries that list counts by walking over them */
#define COUNT_MAX 2000000 /* and show, which looks at one map */

const struct cli_verb map_list_verb = {
	.name = "map list",
	.usage = "[OPTION...]",
	.summary = "every map: type, sizes, entries, memory, who uses it",
	.max_args = 0,
	.text = "ENTRIES is those used (where that is quickly counted) of those possible; MEMORY is what the "
		"kernel says.\n",
};

const struct cli_verb map_show_verb = {
	.name = "map show",
	.usage = "MAP [OPTION...]",
	.summary = "one map, with the layout of its keys and values",
	.min_args = 1,
	.max_args = 1,
	.text = MAP_AS_TEXT,
};

static const struct {
	uint32_t bit;
	const char *name;
} flag_names[] = {
	{1u << 0, "no_prealloc"},
	{1u << 1, "no_common_lru"},
	{1u << 2, "numa_node"},
	{1u << 3, "rdonly"},
	{1u << 4, "wronly"},
	{1u << 5, "stack_build_id"},
	{1u << 6, "zero_seed"},
	{1u << 7, "rdonly_prog"},
	{1u << 8, "wronly_prog"},
	{1u << 9, "clone"},
	{1u << 10, "mmapable"},
	{1u << 11, "preserve_elems"},
	{1u << 12, "inner_map"},
	{1u << 13, "link"},
	{1u << 14, "path_fd"},
	{1u << 15, "vtype_btf_obj_fd"},
	{1u << 16, "token_fd"},
};

static json_t *flags_json(const struct sluice_map_info *i)
{
	json_t *list = json_array();
	uint32_t left = i->flags;
	size_t k;

	for (k = 0; k < sizeof(flag_names) / sizeof(*flag_names); k++) {
		if (left & flag_names[k].bit)
			json_array_append_new(list, json_string(flag_names[k].name));
		left &= ~flag_names[k].bit;
	}
	if (left)
		json_array_append_new(list, json_sprintf("0x%x", left));
	if (i->frozen)
		json_array_append_new(list, json_string("frozen"));
	return list;
}

/* The object that list prints as rows and --json as it is. */
static json_t *describe(struct sluice_map *map, const struct sluice_map_refs *refs, uint32_t count_max)
{
	const struct sluice_map_info *i = sluice_map_info(map);
	json_t *progs = json_array(), *pins = json_array();
	int64_t n = map_count(map, count_max);
	char name[32];
	size_t k;

	for (k = 0; k < refs->n; k++) {
		if (refs->ref[k].map_id != i->id)
			continue;
		if (refs->ref[k].pin)
			json_array_append_new(pins, json_string(refs->ref[k].pin));
		else
			json_array_append_new(
				progs, json_pack("{s:I, s:s}", "id", (json_int_t)refs->ref[k].prog_id, "name",
					       text_printable(refs->ref[k].prog_name, name, sizeof(name))));
	}
	return json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:o, s:I, s:o, s:b, s:b, s:b, s:o, s:o}", "id",
		(json_int_t)i->id, "type", i->type_name, "name", text_printable(i->name, name, sizeof(name)),
		"key_size", (json_int_t)i->key_size, "value_size", (json_int_t)i->value_size, "max_entries",
		(json_int_t)i->max_entries, "entries", n < 0 ? json_null() : json_integer(n), "memlock_bytes",
		(json_int_t)i->memlock_bytes, "flags", flags_json(i), "frozen", i->frozen, "per_cpu",
		i->per_cpu, "btf", i->has_btf, "programs", progs, "pins", pins);
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static long long number_of(const json_t *o, const char *name)
{
	return (long long)json_integer_value(json_object_get(o, name));
}

static void print_list(const char *before, const json_t *list)
{
	const json_t *item;
	size_t k;

	json_array_foreach(list, k, item)
	{
		if (json_is_string(item))
			printf("%s%s", k ? ", " : before, json_string_value(item));
		else
			printf("%sprog %lld %s", k ? ", " : before, number_of(item, "id"),
				text_of(item, "name"));
	}
}

static void print_row(const json_t *o)
{
	const json_t *used = json_object_get(o, "entries");
	const json_t *progs = json_object_get(o, "programs"), *pins = json_object_get(o, "pins");
	char entries[48], memory[16];

	if (json_is_null(used))
		snprintf(entries, sizeof(entries), "-/%lld", number_of(o, "max_entries"));
	else
		snprintf(entries, sizeof(entries), "%lld/%lld", number_of(o, "entries"),
			number_of(o, "max_entries"));
	printf("%6lld %-16s %-15s %5lld %6lld %15s %7s", number_of(o, "id"), text_of(o, "type"),
		text_of(o, "name"), number_of(o, "key_size"), number_of(o, "value_size"), entries,
		text_si((double)number_of(o, "memlock_bytes"), memory, sizeof(memory)));
	print_list("  ", progs);
	print_list(json_array_size(progs) ? ", pin " : "  pin ", pins);
	print_list(json_array_size(progs) + json_array_size(pins) ? "; " : "  ", json_object_get(o, "flags"));
	putchar('\n');
}

int map_list_run(int argc, char **argv)
{
	struct sluice_map_refs refs = {0};
	struct sluice_err err = {0};
	json_t *list = NULL, *o;
	uint32_t *ids = NULL;
	struct sluice_map *map;
	char **args;
	size_t n, i;
	int n_args, rc = cli_parse(&map_list_verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	rc = sluice_map_ids(&ids, &n, &err);
	if (!rc)
		rc = sluice_map_refs_read(cli.bpffs, &refs, &err);
	if (rc)
		goto out;
	list = json_array();
	for (i = 0; i < n && !rc; i++) {
		rc = sluice_map_open_id(ids[i], &map, &err);
		if (rc == -ENOENT) {
			rc = 0; /* gone since it was listed */
			continue;
		}
		if (rc)
			break;
		json_array_append_new(list, describe(map, &refs, CHEAP));
		sluice_map_close(map);
	}
	if (rc)
		goto out;
	if (cli.json) {
		rc = cli_json(list);
		list = NULL;
	} else {
		printf("%6s %-16s %-15s %5s %6s %15s %7s  %s\n", "ID", "TYPE", "NAME", "KEY", "VALUE",
			"ENTRIES", "MEMORY", "USED BY; FLAGS");
		json_array_foreach(list, i, o) print_row(o);
	}
out:
	if (rc < 0)
		rc = cli_fail(&map_list_verb, &err);
	json_decref(list);
	sluice_map_refs_free(&refs);
	free(ids);
	return rc;
}

static void print_map(const json_t *o)
{
	char memory[16];

	printf("id       %lld\ntype     %s\nname     %s\n", number_of(o, "id"), text_of(o, "type"),
		text_of(o, "name"));
	printf("key      %s\nvalue    %s\n", text_of(o, "key_layout"), text_of(o, "value_layout"));
	if (json_is_null(json_object_get(o, "entries")))
		printf("entries  at most %lld\n", number_of(o, "max_entries"));
	else
		printf("entries  %lld of at most %lld\n", number_of(o, "entries"),
			number_of(o, "max_entries"));
	printf("memory   %s bytes\n", text_si((double)number_of(o, "memlock_bytes"), memory, sizeof(memory)));
	print_list("flags    ", json_object_get(o, "flags"));
	if (json_array_size(json_object_get(o, "flags")))
		putchar('\n');
	if (json_is_true(json_object_get(o, "per_cpu")))
		printf("per CPU  a value for each of %lld CPUs\n", number_of(o, "cpus"));
	print_list("used by  ", json_object_get(o, "programs"));
	if (json_array_size(json_object_get(o, "programs")))
		putchar('\n');
	print_list("pinned   ", json_object_get(o, "pins"));
	if (json_array_size(json_object_get(o, "pins")))
		putchar('\n');
	if (json_is_string(json_object_get(o, "not_listable")))
		printf("note     %s\n", text_of(o, "not_listable"));
}

static int layouts(struct sluice_map *map, json_t *o, struct sluice_err *err)
{
	const struct sluice_map_info *i = sluice_map_info(map);
	struct sluice_type *key, *value;
	char *text;
	int rc;

	sluice_map_types(map, &key, &value);
	rc = sluice_type_layout(key, &text, err);
	if (rc)
		return rc;
	json_object_set_new(o, "key_layout", i->key_size ? json_string(text) : json_string("none"));
	free(text);
	rc = sluice_type_layout(value, &text, err);
	if (rc)
		return rc;
	json_object_set_new(o, "value_layout",
		json_string(i->holds == SLUICE_MAP_PROGRAM  ? "prog ID or pin PATH"
			    : i->holds == SLUICE_MAP_MAP    ? "map ID or pin PATH"
			    : i->holds == SLUICE_MAP_DEVICE ? "an interface, prog ID behind it if any"
			    : i->holds == SLUICE_MAP_CPU    ? "a queue size, prog ID behind it if any"
			    : i->holds == SLUICE_MAP_SOCKET ? "a socket"
							    : text));
	free(text);
	json_object_set_new(o, "cpus", json_integer(i->n_values));
	json_object_set_new(o, "not_listable", i->why_not ? json_string(i->why_not) : json_null());
	return 0;
}

int map_show_run(int argc, char **argv)
{
	struct sluice_map_refs refs = {0};
	struct sluice_map *map = NULL;
	struct sluice_err err = {0};
	json_t *o = NULL;
	char **args;
	int n_args, rc = cli_parse(&map_show_verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	rc = map_find(args[0], &map, &err);
	if (!rc)
		rc = sluice_map_refs_read(cli.bpffs, &refs, &err);
	if (!rc) {
		o = describe(map, &refs, COUNT_MAX);
		rc = layouts(map, o, &err);
	}
	if (rc) {
		rc = cli_fail(&map_show_verb, &err);
	} else if (cli.json) {
		rc = cli_json(o);
		o = NULL;
	} else {
		print_map(o);
	}
	json_decref(o);
	sluice_map_refs_free(&refs);
	sluice_map_close(map);
	return rc;
}
