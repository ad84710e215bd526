// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice set add, del, flush, load: changing one set. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "cmd/set_run.h"

static bool force;

static const struct cli_opt opts[] = {
	{"force", 0, OPT_FLAG, NULL, "also if that would cut off this session", &force, 0, 0, NULL},
	{0},
};

const struct cli_verb set_add_verb = {
	.name = "set add",
	.changes = true,
	.usage = "SET ADDR|PREFIX|FIRST-LAST|-... [for TIME]",
	.summary = "put elements into a set",
	.text = "- is what stands in standard input, as in files of sets.\n"
		"Without TIME they expire after the set's timeout, or not at all where it has none. Elements "
		"that are\n"
		"there get the new time, but those of the policy's text and of files stay for good.\n",
	.opts = opts,
	.min_args = 2,
	.max_args = -1,
};

const struct cli_verb set_del_verb = {
	.name = "set del",
	.changes = true,
	.usage = "SET ADDR|PREFIX|FIRST-LAST|-...",
	.summary = "take elements out of a set",
	.text = "Just as they are listed: a part of a prefix cannot be taken out of it. What is in the "
		"policy's text\n"
		"or in the set's file comes back when that is read again.\n",
	.opts = opts,
	.min_args = 2,
	.max_args = -1,
};

const struct cli_verb set_flush_verb = {
	.name = "set flush",
	.changes = true,
	.usage = "SET",
	.summary = "take everything out of a set",
	.text = NULL,
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
};

const struct cli_verb set_load_verb = {
	.name = "set load",
	.changes = true,
	.usage = "SET [FILE]",
	.summary = "make a file's addresses those of a set, by difference",
	.text = "Without FILE the set's own file is read again. What is in both stays in the set at every "
		"moment; what\n"
		"was put in for a time stays until it expires. What sluice set save wrote with a time has "
		"that time\n"
		"left. A file with a mistake changes nothing.\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 2,
};

int set_add_run(int argc, char **argv)
{
	struct filter_elems elems[2] = {{NULL, 0}, {NULL, 0}};
	struct sluice_err err = {0};
	struct set_words words;
	char **args;
	int n, rc = cli_parse(&set_add_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	if (set_words(args, &n, false, &words, &err))
		rc = cli_fail(&set_add_verb, &err);
	else if (n < 2)
		rc = cli_usage(&set_add_verb, "no element is given for set '%s'", args[0]);
	else if (set_elems(args + 1, n - 1, elems, &err) || (!force && set_guard_in(args[0], elems, &err)))
		rc = cli_fail(&set_add_verb, &err);
	else
		rc = set_put(&set_add_verb, "added", args[0], elems, words.for_ns);
	set_elems_free(elems);
	return rc;
}

int set_del_run(int argc, char **argv)
{
	struct filter_elems elems[2] = {{NULL, 0}, {NULL, 0}};
	struct sluice_err err = {0};
	char **args;
	int n, rc = cli_parse(&set_del_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	rc = set_elems(args + 1, n - 1, elems, &err)
		     ? cli_fail(&set_del_verb, &err)
		     : set_take(&set_del_verb, "deleted", args[0], elems, force);
	set_elems_free(elems);
	return rc;
}

int set_flush_run(int argc, char **argv)
{
	struct control_live live = {.fd = -1, .other_fd = -1};
	struct sluice_err err = {0};
	uint32_t nr = 0;
	uint64_t gone;
	char **args;
	int n, rc = cli_parse(&set_flush_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	if (set_open(&live, &err) || control_sets_find(live.sets, args[0], &nr, &err) ||
	    (!force && set_guard_out(&live, nr, NULL, NULL, NULL, &err)) ||
	    control_live_flush(&live, nr, &gone, &err))
		rc = cli_fail(&set_flush_verb, &err);
	else if (cli.json)
		rc = cli_json(json_pack("[{s:s, s:I}]", "set", args[0], "removed", (json_int_t)gone));
	else
		rc = printf("%" PRIu64 " element%s of %s went\n", gone, gone == 1 ? "" : "s", args[0]) < 0;
	set_beside(&set_flush_verb, &live);
	control_live_close(&live);
	return rc ? rc : EXIT_DONE;
}

/* What a file says is left becomes when that is over; a set without times has all for good, and that is said. */
static int read_file(const char *path, const struct control_set *set, struct filter_elems elems[2],
		     struct filter_elems timed[2], struct sluice_err *err)
{
	uint64_t loose = 0, n;
	uint32_t f;
	size_t i;
	int e = control_sets_saved(path, elems, timed, &loose, err);

	n = timed[0].n + timed[1].n;
	if (!e && n && !set->expires) {
		cli_warn(&set_load_verb,
			 "%s has times behind %" PRIu64
			 " of its elements, and set '%s' keeps none: they are in it for good",
			 path, n, set->name);
		set_elems_free(elems);
		set_elems_free(timed);
		timed[0] = timed[1] = (struct filter_elems){NULL, 0};
		e = control_sets_read(path, elems, &loose, err);
	}
	if (!e && loose)
		cli_warn(&set_load_verb, "%s: %" PRIu64 " prefixes have bits beyond their length, taken as 0",
			 path, loose);
	for (f = 0; f < 2; f++)
		for (i = 0; i < timed[f].n; i++)
			timed[f].v[i].expires = set_until(set, timed[f].v[i].expires * UINT64_C(1000000000));
	return e;
}

static int load(struct control_live *live, const char *name, const char *file, struct sets_change *done,
		struct sluice_err *err)
{
	struct filter_elems elems[2] = {{NULL, 0}, {NULL, 0}}, timed[2] = {{NULL, 0}, {NULL, 0}};
	struct control_set set;
	uint32_t nr;
	int e = control_sets_find(live->sets, name, &nr, err);

	if (!e)
		e = control_sets_get(live->sets, nr, &set, err);
	if (!e && !file && !set.file)
		e = err_set(err, -EINVAL,
			    "set '%s' has no file in the policy; say which: sluice set load %s FILE", name,
			    name);
	if (!e)
		e = read_file(file ? file : set.file, &set, elems, timed, err);
	if (!e && !force)
		e = set_guard_in(name, elems, err) ?: set_guard_in(name, timed, err) ?:
		    set_guard_out(live, nr, NULL, elems, timed, err);
	if (!e)
		e = control_live_load(live, nr, elems, timed, done, err);
	set_elems_free(elems);
	set_elems_free(timed);
	return e;
}

int set_load_run(int argc, char **argv)
{
	struct control_live live = {.fd = -1, .other_fd = -1};
	struct sluice_err err = {0};
	struct sets_change done;
	char **args;
	int n, rc = cli_parse(&set_load_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	if (set_open(&live, &err) || load(&live, args[0], n > 1 ? args[1] : NULL, &done, &err)) {
		rc = cli_fail(&set_load_verb, &err);
	} else if (cli.json) {
		rc = cli_json(json_pack("[{s:s, s:I, s:I, s:I}]", "set", args[0], "added",
					(json_int_t)done.added, "removed", (json_int_t)done.removed, "kept",
					(json_int_t)done.kept));
	} else {
		printf("%s: %" PRIu64 " added, %" PRIu64 " removed, %" PRIu64 " kept\n", args[0], done.added,
		       done.removed, done.kept);
		rc = EXIT_DONE;
	}
	set_beside(&set_load_verb, &live);
	control_live_close(&live);
	return rc;
}
