// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice replace: another program in the place of a member, between two packets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/keep_maps.h"
#include "cmd/objects.h"
#include "net/ifs.h"

static struct objects_opts objects_opts;
static struct sluice_attach_opts attach_opts;
static const char *go_on, *new_name;
static uint64_t priority, expect_id;
static bool have_priority, keep_maps;

static const struct cli_opt opts[] = {
	{.name = "keep-maps", .letter = 'k', .kind = OPT_FLAG, .to = &keep_maps,
	 .help = "go on with the old program's maps, where name and layout are the same"},
	{.name = "priority", .letter = 'P', .kind = OPT_U64, .arg = "N", .to = &priority, .max = 1000000, .given = &have_priority,
	 .help = "another place in the chain (default: the old one's)"},
	{.name = "go-on", .letter = 'g', .kind = OPT_TEXT, .arg = "VERDICTS", .to = &go_on,
	 .help = "another go-on set (default: the old one's)"},
	{.name = "name", .letter = 'n', .kind = OPT_TEXT, .arg = "NAME", .to = &new_name, .help = "another name"},
	{.name = "owner", .letter = 'o', .kind = OPT_TEXT, .arg = "OWNER", .to = &attach_opts.owner, .help = "act as this owner"},
	OBJECTS_OPTIONS(objects_opts),
	{.name = "expect-id", .kind = OPT_U64, .arg = "ID", .to = &expect_id, .min = 1, .max = UINT32_MAX,
	 .help = "fail unless program ID is what is attached now"},
	{.name = "force", .letter = 'f', .kind = OPT_FLAG, .to = &attach_opts.force, .help = "another owner's member too"},
	{0},
};

static const struct cli_verb verb = {
	.name = "replace",
	.changes = true,
	.usage = "IF[,IF...] NAME OBJ[:PROG] [OPTION...]",
	.summary = "put another program in the place of one, between two packets",
	.text = "Every packet is seen by the old program or by the new one. Counters of the member go on.\n",
	.opts = opts,
	.min_args = 3,
	.max_args = 3,
};

static int replace_on(const struct net_if *nif, char **args, json_t *list, struct sluice_err *err)
{
	struct keep_maps old = {.n = 0};
	struct sluice_attached got;
	struct objects o = {0};
	uint32_t set = 0;
	int e = 0;

	if (go_on && (e = sluice_verdicts_parse(go_on, &set, err)))
		return err_prefix(err, "--go-on");
	if (keep_maps)
		e = keep_maps_open(nif->index, args[1], &objects_opts.maps, &old, err);
	if (e)
		err_prefix(err, "%s", nif->name);
	objects_opts.prepare = keep_maps_share;
	objects_opts.prepare_arg = &old;
	if (!e)
		e = objects_load(&o, args + 2, 1, &objects_opts, err);
	if (!e) {
		if (have_priority)
			o.member[0].priority = (int64_t)priority;
		if (go_on)
			o.member[0].go_on = set;
		o.member[0].name = new_name;
		e = sluice_chain_replace(nif->index, args[1], &o.member[0], &attach_opts, &got, err);
		if (e)
			err_prefix(err, "%s", nif->name);
	}
	if (!e && cli.json)
		json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:s, s:I}", "interface", nif->name, "ifindex",
						      nif->index, "name", got.name[0], "mode", sluice_mode_name(got.mode),
						      "program_id", (json_int_t)got.prog_id));
	else if (!e)
		printf("%s: replaced %s\n", nif->name, args[1]);
	keep_maps_close(&old);
	objects_free(&o, e);
	return e;
}

/* Before the first one changes: every interface has the member. */
static int all_have(const struct net_if *ifs, size_t n_ifs, const char *name, struct sluice_err *err)
{
	struct sluice_chain_info *info;
	size_t i;
	uint32_t k;
	bool has;
	int e;

	for (i = 0; i < n_ifs && n_ifs > 1; i++) { /* of one alone the library says more */
		e = sluice_chain_read(ifs[i].index, &info, err);
		if (e)
			return err_prefix(err, "%s", ifs[i].name);
		for (has = false, k = 0; k < info->n_members; k++)
			has |= !strcmp(info->member[k].name, name);
		sluice_chain_info_free(info);
		if (!has)
			return err_set(err, -ENOENT, "%s: there is no program '%s' to replace; nothing was changed", ifs[i].name, name);
	}
	return 0;
}

static void say_done(const struct net_if *ifs, size_t n_done)
{
	char names[256] = "";
	size_t i, n = 0;

	for (i = 0; i < n_done && n < sizeof(names); i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i ? ", " : "", ifs[i].name);
	cli_warn(&verb, "replaced on %s before that, and left so", names);
}

int verb_replace(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct net_if *ifs = NULL;
	json_t *list = json_array();
	size_t n_ifs = 0, i;
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args), e;

	if (rc >= 0)
		goto out;
	attach_opts.bpffs = cli.bpffs;
	attach_opts.expect_prog_id = (uint32_t)expect_id;
	rc = EXIT_DONE;
	e = net_ifs_find(args[0], &ifs, &n_ifs, &err);
	if (!e)
		e = all_have(ifs, n_ifs, args[1], &err);
	for (i = 0; i < n_ifs && !e; i++)
		e = replace_on(&ifs[i], args, list, &err);
	if (e)
		rc = cli_fail(&verb, &err);
	if (e && i > 1)
		say_done(ifs, i - 1);
	if (e)
		goto out;
	if (cli.json)
		rc = cli_json(json_incref(list));
out:
	free(ifs);
	json_decref(list);
	return rc;
}
