// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice list and sluice show: what is attached where, whose it is, what it does and what it costs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "cmd/chain_print.h"
#include "cmd/cli.h"
#include "net/ifs.h"

static bool attached_only, have_measure;
static uint64_t measure_ns;

#define MEASURE                                                                                     \
	{.name = "measure", .letter = 't', .kind = OPT_TIME, .arg = "TIME", .to = &measure_ns, .given = &have_measure, \
	 .help = "turn BPF statistics on for TIME and print ns per run"}

static const struct cli_opt list_opts[] = {
	{.name = "attached", .letter = 'a', .kind = OPT_FLAG, .to = &attached_only, .help = "only interfaces with a program"},
	MEASURE,
	{0},
};
static const struct cli_opt show_opts[] = {MEASURE, {0}};

static const struct cli_verb list_verb = {
	.name = "list",
	.usage = "[IF[,IF...]] [OPTION...]",
	.summary = "what is attached to which interface, in order",
	.text = "Members of a chain: priority, name, file, go-on set, runs, and how often each ended the chain with which verdict.\n"
		"Run counts of members are Sluice's own and exact; they go on when the chain changes.\n",
	.opts = list_opts,
	.max_args = 1,
};
static const struct cli_verb show_verb = {
	.name = "show",
	.usage = "IF [NAME] [OPTION...]",
	.summary = "everything about one interface's programs",
	.opts = show_opts,
	.min_args = 1,
	.max_args = 2,
};

struct listing {
	struct net_if *ifs;
	struct sluice_chain_info **info;
	struct chain_cost *cost;
	size_t n;
};

static void free_listing(struct listing *l)
{
	size_t i;

	for (i = 0; l->info && i < l->n; i++)
		sluice_chain_info_free(l->info[i]);
	free(l->info);
	free(l->cost);
	free(l->ifs);
}

static int prog_cost(uint32_t id, uint64_t *runs, uint64_t *ns)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id), e;

	if (fd < 0)
		return -errno;
	e = bpf_obj_get_info_by_fd(fd, &info, &len);
	close(fd);
	*runs = info.run_cnt;
	*ns = info.run_time_ns;
	return e;
}

/* What each program costs, over measure_ns with the kernel's statistics on (they cost about 90 ns a run themselves). */
static int measure(struct listing *l, struct sluice_err *err)
{
	uint64_t runs, ns;
	size_t i;
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (fd < 0)
		return err_set(err, errno == EPERM ? -EPERM : -EOPNOTSUPP, "BPF statistics cannot be turned on: %s", strerror(errno));
	l->cost = calloc(l->n, sizeof(*l->cost));
	for (i = 0; l->cost && i < l->n; i++)
		if (!prog_cost(l->info[i]->prog_id, &runs, &ns))
			l->cost[i] = (struct chain_cost){runs, ns};
	if (measure_ns > 60000000000ull)
		measure_ns = 60000000000ull;
	usleep((useconds_t)(measure_ns / 1000));
	for (i = 0; l->cost && i < l->n; i++) {
		if (prog_cost(l->info[i]->prog_id, &runs, &ns))
			continue;
		l->cost[i] = (struct chain_cost){runs - l->cost[i].runs, ns - l->cost[i].ns};
	}
	close(fd);
	return l->cost ? 0 : err_nomem(err);
}

static int read_listing(struct listing *l, const char *pattern, struct sluice_err *err)
{
	size_t i;
	int e = net_ifs_find(pattern, &l->ifs, &l->n, err);

	if (e)
		return e;
	l->info = calloc(l->n, sizeof(*l->info));
	if (!l->info)
		return err_nomem(err);
	for (i = 0; i < l->n && !e; i++) {
		e = sluice_chain_read(l->ifs[i].index, &l->info[i], err);
		if (e)
			err_prefix(err, "%s", l->ifs[i].name);
	}
	if (!e && have_measure)
		e = measure(l, err);
	return e;
}

/* What could not be read for want of privilege was printed as such; the exit code says it, too. */
static int outcome(const struct cli_verb *verb, const struct listing *l, int rc)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->info[i] && l->info[i]->owner == SLUICE_OWNER_UNKNOWN) {
			cli_warn(verb, "%s: whose program it is and what it does takes CAP_SYS_ADMIN: run as root", l->ifs[i].name);
			return EXIT_UNSUPPORTED;
		}
	return rc;
}

int verb_list(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct listing l = {0};
	json_t *list = json_array();
	char **args;
	int n_args, rc = cli_parse(&list_verb, argc, argv, &args, &n_args);
	size_t i;

	if (rc >= 0)
		goto out;
	if (read_listing(&l, n_args ? args[0] : "*", &err)) {
		rc = cli_fail(&list_verb, &err);
		goto out;
	}
	for (i = 0; i < l.n; i++) {
		if (attached_only && l.info[i]->owner == SLUICE_OWNER_NONE)
			continue;
		if (cli.json)
			json_array_append_new(list, chain_json(l.info[i], NULL, l.cost ? &l.cost[i] : NULL));
		else
			chain_print_short(l.info[i], l.cost ? &l.cost[i] : NULL);
	}
	rc = outcome(&list_verb, &l, cli.json ? cli_json(json_incref(list)) : EXIT_DONE);
out:
	json_decref(list);
	free_listing(&l);
	return rc;
}

int verb_show(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct listing l = {0};
	json_t *list = json_array();
	char **args;
	const char *member;
	int n_args, rc = cli_parse(&show_verb, argc, argv, &args, &n_args);
	size_t i, n_shown = 0;
	uint32_t k;
	bool found;

	if (rc >= 0)
		goto out;
	member = n_args > 1 ? args[1] : NULL;
	if (read_listing(&l, args[0], &err)) {
		rc = cli_fail(&show_verb, &err);
		goto out;
	}
	rc = EXIT_DONE;
	for (i = 0; i < l.n; i++) {
		for (found = !member, k = 0; k < l.info[i]->n_members; k++)
			found |= member && !strcmp(member, l.info[i]->member[k].name);
		if (!found) {
			err_set(&err, -ENOENT, "%s: the chain has no program '%s'", l.ifs[i].name, member);
			rc = cli_fail(&show_verb, &err);
			continue;
		}
		n_shown++;
		if (cli.json)
			json_array_append_new(list, chain_json(l.info[i], member, l.cost ? &l.cost[i] : NULL));
		else
			chain_print_long(l.info[i], l.cost ? &l.cost[i] : NULL, member);
	}
	if (cli.json && n_shown && cli_json(json_incref(list)))
		rc = EXIT_FAILED;
	rc = outcome(&show_verb, &l, rc);
out:
	json_decref(list);
	free_listing(&l);
	return rc;
}
