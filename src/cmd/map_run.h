/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the sub-verbs of `sluice map` share: finding a map, --as, entries as text and as JSON. */
#ifndef CMD_MAP_RUN_H
#define CMD_MAP_RUN_H

#include <sluice/map.h>

#include "cmd/cli.h"

/* The overrides of --as, which the types of an open map point into. */
struct map_as {
	struct sluice_as_member member[32];
	char name[32][64];
	size_t n;
};

/*
 * map_find() opens MAP as people name it: id, name, pin path, or IF:NAME for a map of the programs on an
 * interface.
 */
int map_find(const char *which, struct sluice_map **map, struct sluice_err *err);

/* map_find_as() does that and puts the overrides of --as into its types. as must outlive the map. */
int map_find_as(const char *which, const struct opt_list *as_texts, struct map_as *as,
	struct sluice_map **map, struct sluice_err *err);

/* map_parse() is cli_parse() for which -1 and its like are values, not options. */
int map_parse(const struct cli_verb *verb, int argc, char **argv, char ***args, int *n_args);

/* One entry on stdout: "KEY = VALUE", or a line per CPU. key NULL: the value alone. */
int map_print_entry(
	struct sluice_map *map, const void *key, const void *values, bool sum, struct sluice_err *err);

/* {"key":..., "value":...} or {"key":..., "values":[...]} per CPU; NULL on failure. */
json_t *map_json_entry(
	struct sluice_map *map, const void *key, const void *values, bool sum, struct sluice_err *err);

/* Keys and values alone. before may be NULL. */
json_t *map_json_key(struct sluice_map *map, const void *key, struct sluice_err *err);
json_t *map_json_value(struct sluice_map *map, const void *values, bool sum, struct sluice_err *err);

/* Entries there are now: -1 if the map cannot be walked or has more than max entries to look at. */
int64_t map_count(struct sluice_map *map, uint32_t max);

#define MAP_AS_HELP "read keys and values as KIND: [key:|value:|MEMBER:]KIND, several with commas"
#define MAP_AS_TEXT                                                                                   \
	"KIND is ip, ip6, mac, hex, text, u8 to u64, s8 to s64, be16, be32 or be64. --as ip is --as " \
	"key:ip.\n"                                                                                   \
	"MAP is an id, a name, the path of a pin, or IF:NAME for a map of the programs on an interface.\n"

int map_list_run(int argc, char **argv);
int map_show_run(int argc, char **argv);
int map_dump_run(int argc, char **argv);
int map_get_run(int argc, char **argv);
int map_set_run(int argc, char **argv);
int map_del_run(int argc, char **argv);
int map_watch_run(int argc, char **argv);

extern const struct cli_verb map_list_verb, map_show_verb, map_dump_verb, map_get_verb, map_set_verb,
	map_del_verb, map_watch_verb;

#endif
