// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice map set, sluice map del. Everything typed is checked before the first entry is changed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/map_run.h"

static struct {
	struct opt_list as;
	bool any, fresh, exist, all;
} opt;

static const struct cli_opt set_opts[] = {
	{.name = "any",
		.kind = OPT_FLAG,
		.help = "whether the entry is there or not (the default)",
		.to = &opt.any},
	{.name = "new", .kind = OPT_FLAG, .help = "only if there is no such entry", .to = &opt.fresh},
	{.name = "exist", .kind = OPT_FLAG, .help = "only if there is such an entry", .to = &opt.exist},
	{.name = "as", .kind = OPT_LIST, .arg = "KIND", .help = MAP_AS_HELP, .to = &opt.as},
	{0},
};

const struct cli_verb map_set_verb = {
	.name = "map set",
	.changes = true,
	.usage = "MAP KEY VALUE... [OPTION...]",
	.summary = "write one entry",
	.min_args = 2,
	.max_args = -1,
	.opts = set_opts,
	.text = MAP_AS_TEXT
	"A per-CPU map takes one value for all CPUs or one for each. A queue, stack or bloom filter takes no "
	"KEY.\n"
	"Examples: sluice map set blocked 192.0.2.0/24 1     sluice map set jumps 0 'prog 17'\n",
};

static const struct cli_opt del_opts[] = {
	{.name = "all", .kind = OPT_FLAG, .help = "every entry there is now", .to = &opt.all},
	{.name = "as", .kind = OPT_LIST, .arg = "KIND", .help = MAP_AS_HELP, .to = &opt.as},
	{0},
};

const struct cli_verb map_del_verb = {
	.name = "map del",
	.changes = true,
	.usage = "MAP KEY...|--all [OPTION...]",
	.summary = "delete entries; take the head out of a queue or stack and print it",
	.min_args = 1,
	.max_args = -1,
	.opts = del_opts,
	.text = MAP_AS_TEXT,
};

static int set(struct sluice_map *map, char **args, int n_args, struct sluice_err *err)
{
	enum sluice_map_how how = opt.fresh ? SLUICE_MAP_NEW : opt.exist ? SLUICE_MAP_EXIST : SLUICE_MAP_ANY;
	const struct sluice_map_info *i = sluice_map_info(map);
	struct sluice_type *key_type, *value_type;
	int first = i->keyless ? 1 : 2, rc = 0;
	uint8_t *key;

	if (n_args <= first)
		return err_set(err, -EINVAL, "which value? sluice map set %s KEY VALUE", i->name);
	sluice_map_types(map, &key_type, &value_type);
	key = calloc(1, (size_t)i->key_size + 8);
	if (!key)
		return err_nomem(err);
	if (!i->keyless && sluice_type_parse(key_type, args[1], key, err))
		rc = err_prefix(err, "key");
	if (!rc) {
		rc = sluice_map_set_text(map, i->keyless ? NULL : key, (const char *const *)args + first,
			(size_t)(n_args - first), how, err);
		if (rc == -EINVAL)
			err_prefix(err, "value");
	}
	free(key);
	return rc;
}

int map_set_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct sluice_map *map;
	struct map_as as;
	char **args;
	uint32_t id;
	int n_args, rc = map_parse(&map_set_verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	if (opt.any + opt.fresh + opt.exist > 1)
		return cli_usage(&map_set_verb, "--any, --new and --exist exclude each other");
	rc = map_find_as(args[0], &opt.as, &as, &map, &err);
	if (rc)
		return cli_fail(&map_set_verb, &err);
	id = sluice_map_info(map)->id;
	rc = set(map, args, n_args, &err);
	sluice_map_close(map);
	if (rc)
		return cli_fail(&map_set_verb, &err);
	return cli.json ? cli_json(json_pack("{s:I, s:i}", "map_id", (json_int_t)id, "written", 1))
			: EXIT_DONE;
}

static int del_keys(struct sluice_map *map, char **texts, size_t n, uint64_t *deleted, struct sluice_err *err)
{
	const struct sluice_map_info *i = sluice_map_info(map);
	struct sluice_type *key_type, *value_type;
	uint8_t *keys = calloc(n, (size_t)i->key_size + 1);
	size_t k;
	int rc = keys ? 0 : err_nomem(err);

	sluice_map_types(map, &key_type, &value_type);
	for (k = 0; k < n && !rc; k++)
		if (sluice_type_parse(key_type, texts[k], keys + k * i->key_size, err))
			rc = err_prefix(err, "key %zu", k + 1);
	for (k = 0; k < n && !rc; k++, *deleted += !rc) {
		rc = sluice_map_del(map, keys + k * i->key_size, err);
		if (rc)
			err_prefix(err, "key %s", texts[k]);
	}
	free(keys);
	return rc;
}

/*
 * The keys first, then the deleting: somebody who adds as fast as we delete would otherwise keep us
 * forever.
 */
static int del_all(struct sluice_map *map, uint64_t *deleted, struct sluice_err *err)
{
	const struct sluice_map_info *i = sluice_map_info(map);
	struct sluice_map_iter *it;
	const void *key, *value;
	uint8_t *keys = NULL, *more;
	size_t n = 0, cap = 0, k;
	int rc;

	if (!i->deletable)
		return sluice_map_del(map, NULL, err); /* which says why */
	rc = sluice_map_iter_new(map, &it, err);
	if (rc)
		return rc;
	while ((rc = sluice_map_iter_next(it, &key, &value, err)) == 1) {
		if (n == cap) {
			cap = cap ? cap * 2 : 256;
			more = realloc(keys, cap * i->key_size);
			if (!more) {
				rc = err_nomem(err);
				break;
			}
			keys = more;
		}
		memcpy(keys + n++ * i->key_size, key, i->key_size);
	}
	sluice_map_iter_free(it);
	for (k = 0; k < n && !rc; k++) {
		rc = sluice_map_del(map, keys + k * i->key_size, err);
		if (!rc)
			++*deleted;
		else if (rc == -ENOENT)
			rc = 0; /* somebody else was faster */
	}
	free(keys);
	return rc;
}

/* Takes out and shows the head, or with --all as many as the map can hold. */
static int take(struct sluice_map *map, uint64_t *taken, struct sluice_err *err)
{
	const struct sluice_map_info *i = sluice_map_info(map);
	uint8_t *value = calloc(1, (size_t)i->value_bytes + 8);
	json_t *list = json_array();
	int rc = value && list ? 0 : err_nomem(err);

	for (; !rc && *taken < (opt.all ? i->max_entries : 1); ++*taken) {
		rc = sluice_map_pop(map, value, err);
		if (rc == -ENOENT && opt.all) {
			rc = 0;
			break;
		}
		if (rc)
			break;
		if (cli.json)
			rc = json_array_append_new(list, map_json_value(map, value, false, err))
				     ? err_nomem(err)
				     : 0;
		else
			rc = map_print_entry(map, NULL, value, false, err);
	}
	if (!rc && cli.json) {
		rc = cli_json(json_pack("{s:I, s:O}", "map_id", (json_int_t)i->id, "taken", list)) ==
				     EXIT_DONE
			     ? 0
			     : cli_gone(err);
	}
	json_decref(list);
	free(value);
	return rc;
}

int map_del_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct sluice_map *map;
	uint64_t deleted = 0;
	struct map_as as;
	char **args;
	uint32_t id;
	bool keyless;
	int n_args, rc = map_parse(&map_del_verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	if (opt.all && n_args > 1)
		return cli_usage(
			&map_del_verb, "--all deletes every entry, '%s' is too much beside it", args[1]);
	rc = map_find_as(args[0], &opt.as, &as, &map, &err);
	if (rc)
		return cli_fail(&map_del_verb, &err);
	id = sluice_map_info(map)->id;
	keyless = sluice_map_info(map)->keyless && sluice_map_info(map)->deletable;
	if (keyless && n_args > 1)
		rc = err_set(&err, -EINVAL, "a %s has no keys: sluice map del %s takes its head out",
			sluice_map_info(map)->type_name, args[0]);
	else if (keyless)
		rc = take(map, &deleted, &err);
	else if (opt.all)
		rc = del_all(map, &deleted, &err);
	else if (n_args < 2)
		rc = err_set(&err, -EINVAL, "which keys? sluice map del %s KEY..., or --all", args[0]);
	else
		rc = del_keys(map, args + 1, (size_t)n_args - 1, &deleted, &err);
	sluice_map_close(map);
	if (rc)
		return cli_fail(&map_del_verb, &err);
	if (cli.json && !keyless)
		return cli_json(
			json_pack("{s:I, s:I}", "map_id", (json_int_t)id, "deleted", (json_int_t)deleted));
	return EXIT_DONE;
}
