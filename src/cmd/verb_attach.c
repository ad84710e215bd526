// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice attach: programs onto interfaces, as members of their chains. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/objects.h"
#include "net/ifs.h"

static struct objects_opts objects_opts;
static struct sluice_attach_opts attach_opts;
static const char *mode, *go_on, *name;
static uint64_t priority, expect_id;
static bool have_priority;

static const struct cli_opt opts[] = {
	{.name = "mode", .letter = 'm', .kind = OPT_TEXT, .arg = "MODE", .to = &mode,
	 .help = "auto (default), native, generic or offload"},
	{.name = "priority", .letter = 'P', .kind = OPT_U64, .arg = "N", .to = &priority, .max = 1000000, .given = &have_priority,
	 .help = "place in the chain, lower runs first (default: the program's XDP_RUN_CONFIG, or 50)"},
	{.name = "go-on", .letter = 'g', .kind = OPT_TEXT, .arg = "VERDICTS", .to = &go_on,
	 .help = "verdicts after which the next program runs (default: XDP_RUN_CONFIG, or pass)"},
	{.name = "name", .letter = 'n', .kind = OPT_TEXT, .arg = "NAME", .to = &name,
	 .help = "name of the member (default: the program's)"},
	{.name = "owner", .letter = 'o', .kind = OPT_TEXT, .arg = "OWNER", .to = &attach_opts.owner,
	 .help = "only this owner may replace or detach it later"},
	OBJECTS_OPTIONS(objects_opts),
	{.name = "expect-id", .kind = OPT_U64, .arg = "ID", .to = &expect_id, .min = 1, .max = UINT32_MAX,
	 .help = "fail unless program ID is what is attached now"},
	{.name = "force", .letter = 'f', .kind = OPT_FLAG, .to = &attach_opts.force,
	 .help = "take off a program that is not Sluice's"},
	{0},
};

static const struct cli_verb verb = {
	.name = "attach",
	.changes = true,
	.usage = "IF[,IF...] OBJ[:PROG]... [OPTION...]",
	.summary = "put XDP programs on interfaces, several at once",
	.text = "IF may be a glob ('veth*') and a list. Programs run in order of priority; one whose verdict is not in its\n"
		"--go-on set ends the chain. Everything is switched over at once: no packet sees half a chain.\n\n"
		"  sluice attach eth0 firewall.o\n"
		"  sluice attach eth0,eth1 counter.o:count --priority 10 --go-on pass,drop\n"
		"  sluice attach veth0 limit.o --set max_pps=1000 --map seen=/sys/fs/bpf/seen\n",
	.opts = opts,
	.min_args = 2,
	.max_args = -1,
};

static void say(const struct net_if *nif, const struct objects *o, const struct sluice_attached *got)
{
	size_t i;

	printf("%s: attached", nif->name);
	for (i = 0; i < o->n; i++)
		printf("%s %s", i ? "," : "", got->name[i]);
	printf(" in %s mode", sluice_mode_name(got->mode));
	if (got->why[0])
		printf(" (%s)", got->why);
	putchar('\n');
}

static json_t *as_json(const struct net_if *nif, const struct objects *o, const struct sluice_attached *got)
{
	json_t *names = json_array();
	size_t i;

	for (i = 0; i < o->n; i++)
		json_array_append_new(names, json_string(got->name[i]));
	return json_pack("{s:s, s:i, s:s, s:I, s:o, s:s}", "interface", nif->name, "ifindex", nif->index, "mode",
			 sluice_mode_name(got->mode), "program_id", (json_int_t)got->prog_id, "names", names, "why", got->why);
}

/* What was attached to the interfaces before the one that failed comes off again. */
static void undo(const struct net_if *ifs, size_t n, const struct objects *o, const struct sluice_attached *got)
{
	const char *names[SLUICE_CHAIN_MAX];
	struct sluice_attach_opts undo_opts = attach_opts;
	size_t i, k;

	undo_opts.expect_prog_id = 0;
	for (i = 0; i < n; i++) {
		for (k = 0; k < o->n; k++)
			names[k] = got[i].name[k];
		sluice_chain_detach(ifs[i].index, names, o->n, &undo_opts, NULL);
	}
}

static int settings(struct sluice_err *err)
{
	attach_opts.bpffs = cli.bpffs;
	attach_opts.expect_prog_id = (uint32_t)expect_id;
	return mode ? sluice_mode_parse(mode, &attach_opts.mode, err) : 0;
}

static int member_settings(struct objects *o, struct sluice_err *err)
{
	uint32_t set;
	size_t i;

	if (go_on && sluice_verdicts_parse(go_on, &set, err))
		return err_prefix(err, "--go-on");
	for (i = 0; i < o->n; i++) {
		o->member[i].name = name;
		if (have_priority)
			o->member[i].priority = (int64_t)priority;
		if (go_on)
			o->member[i].go_on = set;
	}
	return 0;
}

int verb_attach(int argc, char **argv)
{
	struct sluice_attached *got = NULL;
	struct sluice_err err = {0};
	struct objects o = {0};
	struct net_if *ifs = NULL;
	json_t *list = json_array();
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args), e;
	size_t n_ifs = 0, i;

	if (rc >= 0)
		goto out;
	e = settings(&err);
	if (!e)
		e = net_ifs_find(args[0], &ifs, &n_ifs, &err);
	if (!e && attach_opts.force && n_ifs > 1)
		e = err_set(&err, -EINVAL, "--force takes one interface at a time: what it replaces on the first cannot be put back "
			    "if the second fails");
	if (!e && attach_opts.mode == SLUICE_MODE_OFFLOAD && n_ifs > 1)
		e = err_set(&err, -EINVAL, "an offloaded program belongs to one card: name one interface, not %zu", n_ifs);
	if (!e && attach_opts.mode == SLUICE_MODE_OFFLOAD)
		objects_opts.device = ifs[0].index;
	if (!e && !(got = calloc(n_ifs, sizeof(*got))))
		e = err_nomem(&err);
	if (!e)
		e = objects_load(&o, args + 1, (size_t)n_args - 1, &objects_opts, &err);
	if (!e)
		e = member_settings(&o, &err);
	for (i = 0; i < n_ifs && !e; i++) {
		e = sluice_chain_attach(ifs[i].index, o.member, o.n, &attach_opts, &got[i], &err);
		if (e) {
			err_prefix(&err, "%s", ifs[i].name);
			undo(ifs, i, &o, got);
			if (i)
				cli_warn(&verb, "taken off again from the %zu interface%s before", i, i > 1 ? "s" : "");
		} else if (cli.json) {
			json_array_append_new(list, as_json(&ifs[i], &o, &got[i]));
		}
	}
	if (e)
		rc = cli_fail(&verb, &err);
	else if (cli.json)
		rc = cli_json(json_incref(list));
	else
		for (rc = EXIT_DONE, i = 0; i < n_ifs; i++)
			say(&ifs[i], &o, &got[i]);
	objects_free(&o, e);
	free(got);
	free(ifs);
out:
	json_decref(list);
	return rc;
}
