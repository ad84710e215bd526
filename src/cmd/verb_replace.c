// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice replace: another program in the place of a member, between two packets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/err.h"
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
	.usage = "IF[,IF...] NAME OBJ[:PROG] [OPTION...]",
	.summary = "put another program in the place of one, between two packets",
	.text = "Every packet is seen by the old program or by the new one. Counters of the member go on.\n",
	.opts = opts,
	.min_args = 3,
	.max_args = 3,
};

/* The maps of the running member, by descriptor; names as the kernel keeps them, 15 characters. */
struct old_maps {
	int fd[64];
	struct bpf_map_info info[64];
	size_t n;
};

static void close_maps(struct old_maps *m)
{
	while (m->n > 0)
		close(m->fd[--m->n]);
}

static int open_maps(int ifindex, const char *member, struct old_maps *m, struct sluice_err *err)
{
	struct sluice_chain_info *info;
	uint32_t i, k;
	int e = sluice_chain_read(ifindex, &info, err);

	m->n = 0;
	if (e)
		return e;
	for (i = 0; i < info->n_members; i++) {
		if (strcmp(info->member[i].name, member) != 0)
			continue;
		for (k = 0; k < info->member[i].n_maps && m->n < 64; k++) {
			__u32 len = sizeof(m->info[0]);
			int fd = bpf_map_get_fd_by_id(info->member[i].map_ids[k]);

			if (fd < 0)
				continue;
			memset(&m->info[m->n], 0, len);
			if (bpf_obj_get_info_by_fd(fd, &m->info[m->n], &len))
				close(fd);
			else
				m->fd[m->n++] = fd;
		}
	}
	sluice_chain_info_free(info);
	return 0;
}

static int share(struct sluice_object *obj, void *arg, struct sluice_err *err)
{
	struct old_maps *old = arg;
	struct bpf_map *map;
	size_t i;
	int e;

	bpf_object__for_each_map(map, sluice_object_libbpf(obj)) {
		for (i = 0; i < old->n && !bpf_map__is_internal(map); i++) {
			const struct bpf_map_info *o = &old->info[i];

			if (strncmp(o->name, bpf_map__name(map), sizeof(o->name) - 1) || o->type != bpf_map__type(map) ||
			    o->key_size != bpf_map__key_size(map) || o->value_size != bpf_map__value_size(map))
				continue;
			e = sluice_object_share_map(obj, bpf_map__name(map), old->fd[i], err);
			if (e)
				return e;
			break;
		}
	}
	return 0;
}

static int replace_on(const struct net_if *nif, char **args, json_t *list, struct sluice_err *err)
{
	struct old_maps old = {.n = 0};
	struct sluice_attached got;
	struct objects o = {0};
	uint32_t set = 0;
	int e = 0;

	if (go_on && (e = sluice_verdicts_parse(go_on, &set, err)))
		return err_prefix(err, "--go-on");
	if (keep_maps)
		e = open_maps(nif->index, args[1], &old, err);
	objects_opts.prepare = share;
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
		json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:s, s:i}", "interface", nif->name, "ifindex",
						      nif->index, "name", got.name[0], "mode", sluice_mode_name(got.mode),
						      "program_id", (int)got.prog_id));
	else if (!e)
		printf("%s: replaced %s\n", nif->name, args[1]);
	close_maps(&old);
	objects_free(&o, e);
	return e;
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
	for (i = 0; i < n_ifs && !e; i++)
		e = replace_on(&ifs[i], args, list, &err);
	if (e)
		rc = cli_fail(&verb, &err);
	else if (cli.json)
		rc = cli_json(json_incref(list));
	free(ifs);
out:
	json_decref(list);
	return rc;
}
