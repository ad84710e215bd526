// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice map dump, sluice map get. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/map_run.h"

static struct {
	struct opt_list as;
	bool sum;
	uint64_t limit;
} opt;

static const struct cli_opt dump_opts[] = {
	{.name = "sum",
		.letter = 's',
		.kind = OPT_FLAG,
		.help = "add up the values of all CPUs",
		.to = &opt.sum},
	{.name = "limit",
		.letter = 'n',
		.kind = OPT_U64,
		.arg = "N",
		.help = "stop after N entries",
		.to = &opt.limit,
		.min = 1},
	{.name = "as", .kind = OPT_LIST, .arg = "KIND", .help = MAP_AS_HELP, .to = &opt.as},
	{0},
};

const struct cli_verb map_dump_verb = {
	.name = "map dump",
	.usage = "MAP [OPTION...]",
	.summary = "every entry, KEY = VALUE",
	.min_args = 1,
	.max_args = 1,
	.opts = dump_opts,
	.text = MAP_AS_TEXT
	"Examples: sluice map dump flows --sum     sluice map dump 17 --as ip,value:u64\n",
};

static const struct cli_opt get_opts[] = {
	{.name = "sum",
		.letter = 's',
		.kind = OPT_FLAG,
		.help = "add up the values of all CPUs",
		.to = &opt.sum},
	{.name = "as", .kind = OPT_LIST, .arg = "KIND", .help = MAP_AS_HELP, .to = &opt.as},
	{0},
};

const struct cli_verb map_get_verb = {
	.name = "map get",
	.usage = "MAP [KEY] [OPTION...]",
	.summary = "the value of one key",
	.min_args = 1,
	.max_args = 2,
	.opts = get_opts,
	.text = MAP_AS_TEXT
	"A queue or stack takes no KEY and shows its head; a bloom filter is asked for a value.\n"
	"Examples: sluice map get flows '{saddr: 192.0.2.1, dport: 53}'     sluice map get routes "
	"192.0.2.0/24\n",
};

/* Prints one entry of a dump; in JSON the array's elements, one a line. */
static int show(
	struct sluice_map *map, const void *key, const void *value, uint64_t n, struct sluice_err *err)
{
	json_t *entry;
	int failed;

	if (!cli.json)
		return map_print_entry(map, key, value, opt.sum, err);
	entry = map_json_entry(map, key, value, opt.sum, err);
	if (!entry)
		return err->code ? err->code : err_nomem(err);
	fputs(n ? ",\n" : "[", stdout);
	failed = json_dumpf(entry, stdout, JSON_COMPACT);
	json_decref(entry);
	return failed ? cli_gone(err) : 0;
}

static int dump(struct sluice_map *map, struct sluice_err *err)
{
	struct sluice_map_iter *it;
	const void *key, *value;
	uint64_t n = 0;
	int rc = sluice_map_iter_new(map, &it, err);

	if (rc)
		return rc;
	while (!opt.limit || n < opt.limit) {
		rc = sluice_map_iter_next(it, &key, &value, err);
		if (rc == 1)
			rc = show(map, key, value, n++, err);
		else if (!rc)
			break;
		if (rc)
			break;
		if (ferror(stdout)) {
			rc = cli_gone(err);
			break;
		}
	}
	if (cli.json && !rc)
		puts(n ? "]" : "[]");
	if (sluice_map_iter_cut(it) && !rc)
		cli_warn(&map_dump_verb,
			"entries were deleted faster than they could be read: some may be missing");
	sluice_map_iter_free(it);
	return rc;
}

int map_dump_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct sluice_map *map;
	struct map_as as;
	char **args;
	int n_args, rc = cli_parse(&map_dump_verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	rc = map_find_as(args[0], &opt.as, &as, &map, &err);
	if (rc)
		return cli_fail(&map_dump_verb, &err);
	rc = dump(map, &err);
	sluice_map_close(map);
	if (rc)
		return cli_fail(&map_dump_verb, &err);
	return EXIT_DONE;
}

/* The bytes of KEY, or for a bloom filter those of the value asked for, which go where the answer goes. */
static int parse_wanted(
	struct sluice_map *map, const char *text, void *key, void *value, struct sluice_err *err)
{
	const struct sluice_map_info *i = sluice_map_info(map);
	struct sluice_type *key_type, *value_type;
	bool bloom = i->keyless && !i->deletable;

	sluice_map_types(map, &key_type, &value_type);
	if (bloom && !text)
		return err_set(err, -EINVAL, "a bloom filter is asked for a value: sluice map get %s VALUE",
			i->name);
	if (bloom)
		return sluice_type_parse(value_type, text, value, err) ? err_prefix(err, "value") : 0;
	if (i->keyless && text)
		return err_set(err, -EINVAL, "a %s has no keys: sluice map get %s", i->type_name, i->name);
	if (i->keyless)
		return 0;
	if (!text)
		return err_set(err, -EINVAL, "which key of %s? sluice map get %s KEY, or sluice map dump %s",
			i->name, i->name, i->name);
	return sluice_type_parse(key_type, text, key, err) ? err_prefix(err, "key") : 0;
}

static int get(struct sluice_map *map, const char *text, struct sluice_err *err)
{
	const struct sluice_map_info *i = sluice_map_info(map);
	uint8_t *key = calloc(1, (size_t)i->key_size + 8), *value = calloc(1, (size_t)i->value_bytes + 8);
	json_t *entry;
	int rc;

	rc = key && value ? parse_wanted(map, text, key, value, err) : err_nomem(err);
	if (!rc) {
		rc = sluice_map_get(map, key, value, err);
		if (rc == -ENOENT && text)
			err_prefix(err, "key %s", text);
	}
	if (!rc && cli.json) {
		entry = map_json_entry(map, i->keyless ? NULL : key, value, opt.sum, err);
		if (entry)
			rc = cli_json(entry) == EXIT_DONE ? 0
							  : cli_gone(err);
		else
			rc = err->code ? err->code : err_nomem(err);
	} else if (!rc && i->keyless && !i->deletable) {
		puts("possibly there");
	} else if (!rc) {
		rc = map_print_entry(map, NULL, value, opt.sum, err);
	}
	free(key);
	free(value);
	return rc;
}

int map_get_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct sluice_map *map;
	struct map_as as;
	char **args;
	int n_args, rc = map_parse(&map_get_verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	rc = map_find_as(args[0], &opt.as, &as, &map, &err);
	if (rc)
		return cli_fail(&map_get_verb, &err);
	rc = get(map, n_args > 1 ? args[1] : NULL, &err);
	sluice_map_close(map);
	if (rc)
		return cli_fail(&map_get_verb, &err);
	return EXIT_DONE;
}
