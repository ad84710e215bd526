// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice map watch: which entries changed since the last look, and by how much. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "bpf/map.h"
#include "cmd/map_run.h"

static struct {
	struct opt_list as;
	uint64_t interval_ns, count, limit;
} opt = {.interval_ns = 1000000000, .limit = 100};

static const struct cli_opt opts[] = {
	{.name = "interval",
		.letter = 'i',
		.kind = OPT_TIME,
		.arg = "TIME",
		.help = "between two looks (default 1s)",
		.to = &opt.interval_ns},
	{.name = "count",
		.letter = 'c',
		.kind = OPT_U64,
		.arg = "N",
		.help = "stop after N intervals",
		.to = &opt.count,
		.min = 1},
	{.name = "limit",
		.letter = 'n',
		.kind = OPT_U64,
		.arg = "N",
		.help = "at most N entries an interval (default 100)",
		.to = &opt.limit,
		.min = 1},
	{.name = "as", .kind = OPT_LIST, .arg = "KIND", .help = MAP_AS_HELP, .to = &opt.as},
	{0},
};

const struct cli_verb map_watch_verb = {
	.name = "map watch",
	.usage = "MAP [OPTION...]",
	.summary = "entries as they change, with differences",
	.min_args = 1,
	.max_args = 1,
	.opts = opts,
	.text = MAP_AS_TEXT "Each line is an entry that was added (+), deleted (-) or changed (~), numbers "
			    "with their difference.\n"
			    "The values of all CPUs are added up.\n",
};

/* All entries at one time, by key: records of key and value behind one another. */
struct snapshot {
	uint8_t *rec;
	size_t n, cap;
};

struct watcher {
	struct sluice_map *map;
	uint32_t key_size, record;
	struct snapshot was, is;
	uint64_t shown, changed; /* in this interval */
	json_t *list;
};

static int by_key(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(uint32_t *)size);
}

static int take(struct watcher *w, struct snapshot *s, struct sluice_err *err)
{
	struct sluice_map_iter *it;
	const void *key, *value;
	int rc = sluice_map_iter_new(w->map, &it, err);

	if (rc)
		return rc;
	s->n = 0;
	while ((rc = sluice_map_iter_next(it, &key, &value, err)) == 1) {
		if (s->n == s->cap) {
			size_t cap = s->cap ? s->cap * 2 : 256;
			uint8_t *more = realloc(s->rec, cap * w->record);

			if (!more) {
				rc = err_nomem(err);
				break;
			}
			s->rec = more;
			s->cap = cap;
		}
		memcpy(s->rec + s->n * w->record, key, w->key_size);
		memcpy(s->rec + s->n * w->record + w->key_size, value, w->record - w->key_size);
		s->n++;
	}
	sluice_map_iter_free(it);
	if (!rc && s->n)
		qsort_r(s->rec, s->n, w->record, by_key, &w->key_size);
	return rc;
}

static int print_change(struct watcher *w, char how, const uint8_t *key, const uint8_t *now,
	const uint8_t *before, struct sluice_err *err)
{
	const struct sluice_map_info *i = &w->map->info;
	struct value_more more = {.n = i->n_values, .stride = i->stride, .before = before};
	char *key_text = NULL, *text = NULL;
	int rc = sluice_type_print(&w->map->key, key, &key_text, err);

	if (!rc && now && i->holds != SLUICE_MAP_DATA)
		rc = sluice_map_value_print(w->map, now, &text, err);
	else if (!rc && now)
		rc = value_text(&w->map->value, now, &more, &text, err);
	if (!rc)
		printf(text ? "%c %s = %s\n" : "%c %s\n", how, key_text, text);
	free(key_text);
	free(text);
	return rc;
}

static int json_change(struct watcher *w, char how, const uint8_t *key, const uint8_t *now,
	const uint8_t *before, struct sluice_err *err)
{
	bool sum = w->map->info.per_cpu;
	json_t *o = json_object();
	int bad;

	bad = json_object_set_new(o, "change",
		json_string(how == '+'	 ? "added"
			    : how == '-' ? "deleted"
					 : "changed"));
	bad |= json_object_set_new(o, "key", map_json_key(w->map, key, err));
	if (now)
		bad |= json_object_set_new(o, "value", map_json_value(w->map, now, sum, err));
	if (before)
		bad |= json_object_set_new(o, "before", map_json_value(w->map, before, sum, err));
	bad |= json_array_append_new(w->list, o);
	return bad ? (err->code ? err->code : err_nomem(err)) : 0;
}

static int report(
	struct watcher *w, char how, const uint8_t *now, const uint8_t *before, struct sluice_err *err)
{
	const uint8_t *key = now ? now : before;

	w->changed++;
	if (w->shown >= opt.limit)
		return 0;
	w->shown++;
	now = now ? now + w->key_size : NULL;
	before = before ? before + w->key_size : NULL;
	return (cli.json ? json_change : print_change)(w, how, key, now, before, err);
}

/* Both snapshots are in order of key: one pass finds what came, went and changed. */
static int compare(struct watcher *w, struct sluice_err *err)
{
	const uint8_t *a, *b;
	size_t i = 0, k = 0;
	int rc = 0, order;

	while (!rc && (i < w->was.n || k < w->is.n)) {
		a = w->was.rec + i * w->record;
		b = w->is.rec + k * w->record;
		order = i == w->was.n ? 1 : k == w->is.n ? -1 : memcmp(a, b, w->key_size);
		if (order < 0)
			rc = report(w, '-', NULL, a, err);
		else if (order > 0)
			rc = report(w, '+', b, NULL, err);
		else if (memcmp(a + w->key_size, b + w->key_size, w->record - w->key_size) != 0)
			rc = report(w, '~', b, a, err);
		i += order <= 0;
		k += order >= 0;
	}
	return rc;
}

static int interval(struct watcher *w, uint64_t since_ns, struct sluice_err *err)
{
	struct snapshot swap;
	uint64_t now;
	int rc = take(w, &w->is, err);

	if (rc)
		return rc;
	now = clock_mono_ns();
	w->shown = w->changed = 0;
	w->list = cli.json ? json_array() : NULL;
	rc = compare(w, err);
	if (!rc && cli.json) {
		rc = cli_json(json_pack("{s:I, s:f, s:I, s:I, s:O}", "map_id", (json_int_t)w->map->info.id,
			"interval_s", (double)(now - since_ns) / 1e9, "entries", (json_int_t)w->is.n,
			"changed", (json_int_t)w->changed, "changes", w->list));
		rc = rc == EXIT_DONE ? 0 : cli_gone(err);
	} else if (!rc && w->changed) {
		printf("%s%llu of %zu entries changed in %.2f s\n", w->changed > w->shown ? "... " : "",
			(unsigned long long)w->changed, w->is.n, (double)(now - since_ns) / 1e9);
		if (!cli_flush())
			rc = cli_gone(err);
	}
	json_decref(w->list);
	swap = w->was;
	w->was = w->is;
	w->is = swap;
	return rc;
}

static void wait_until(uint64_t when)
{
	uint64_t now = clock_mono_ns();

	if (now < when)
		ppoll(NULL, 0,
			&(struct timespec){
				(time_t)((when - now) / 1000000000), (long)((when - now) % 1000000000)},
			NULL);
}

static int watch(struct sluice_map *map, struct sluice_err *err)
{
	const struct sluice_map_info *i = sluice_map_info(map);
	struct watcher w = {.map = map, .key_size = i->key_size, .record = i->key_size + i->value_bytes};
	uint64_t next = clock_mono_ns(), since = next, n;
	int rc = take(&w, &w.was, err);

	for (n = 0; !rc && !cli_stop && (!opt.count || n < opt.count); n++) {
		next += opt.interval_ns;
		wait_until(next);
		if (cli_stop)
			break;
		rc = interval(&w, since, err);
		since = clock_mono_ns();
		if (next < since) /* looking took longer than the interval */
			next = since;
	}
	free(w.was.rec);
	free(w.is.rec);
	return rc;
}

int map_watch_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct sluice_map *map;
	struct map_as as;
	char **args;
	int n_args, rc = cli_parse(&map_watch_verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	if (opt.interval_ns < 10000000)
		return cli_usage(&map_watch_verb, "--interval: at least 10ms is wanted");
	rc = map_find_as(args[0], &opt.as, &as, &map, &err);
	if (rc)
		return cli_fail(&map_watch_verb, &err);
	cli_catch_signals();
	rc = watch(map, &err);
	sluice_map_close(map);
	return rc ? cli_fail(&map_watch_verb, &err) : EXIT_DONE;
}
