// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice lab: up, with, run, list, down. What a lab is and how it is made is in lab/. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "cmd/child.h"
#include "cmd/cli.h"
#include "hook/place.h"
#include "lab/lab.h"

#define SUMMARY "private networks of namespaces and veth, to try and test in"

int verb_lab(int argc, char **argv);

static struct {
	uint64_t hosts, queues, mtu;
	const char *name;
	bool quiet, all, tx_ready;
} opt = {.hosts = 2, .queues = 1, .mtu = 1500};

#define OPTS_SPEC                                                                                             \
	{.name = "hosts", .kind = OPT_U64, .arg = "N", .help = "hosts h1 to hN around the box (default 2)",   \
	 .to = &opt.hosts, .min = 1, .max = LAB_HOSTS_MAX},                                                   \
	{.name = "queues", .kind = OPT_U64, .arg = "Q", .help = "queues of each interface (default 1)",       \
	 .to = &opt.queues, .min = 1, .max = LAB_QUEUES_MAX},                                                 \
	{.name = "mtu", .kind = OPT_U64, .arg = "M", .help = "MTU of each interface (default 1500)",          \
	 .to = &opt.mtu, .min = LAB_MTU_MIN, .max = LAB_MTU_MAX},                                             \
	{.name = "name", .kind = OPT_TEXT, .arg = "NAME", .help = "call it NAME, a-z 0-9 _ (default: random)", \
	 .to = &opt.name},                                                                                    \
	{.name = "tx-ready", .kind = OPT_FLAG, .to = &opt.tx_ready,                                           \
	 .help = "a passing XDP program on each host, so that XDP_TX in the box arrives"}

static const struct cli_opt up_opts[] = {
	OPTS_SPEC,
	{.name = "quiet", .letter = 'q', .kind = OPT_FLAG, .help = "print the lab's name alone", .to = &opt.quiet},
	{0},
};
static const struct cli_opt with_opts[] = {OPTS_SPEC, {0}};
static const struct cli_opt run_opts[] = {
	{.name = "lab", .kind = OPT_TEXT, .arg = "NAME", .help = "which lab (default: $SLUICE_LAB, or the only one)",
	 .to = &opt.name},
	{0},
};
static const struct cli_opt list_opts[] = {{0}};
static const struct cli_opt down_opts[] = {
	{.name = "all", .kind = OPT_FLAG, .help = "every lab that no running process holds", .to = &opt.all},
	{0},
};

static const struct cli_verb up = {
	.name = "lab up", .usage = "[--hosts N] [--queues Q] [--mtu M] [--tx-ready] [--name NAME]", .summary = "make a lab",
	.text = "Makes namespaces box and h1..hN joined by veth; the box forwards, and is the machine under test.\n",
	.opts = up_opts, .min_args = 0, .max_args = 0,
};
static const struct cli_verb with = {
	.name = "lab with", .usage = "[--hosts N] [--queues Q] [--mtu M] [--tx-ready] [--name NAME] [--] CMD [ARG...]",
	.summary = "make a lab, run CMD with SLUICE_LAB set, take the lab down",
	.text = "The lab goes when CMD ends or a signal comes. The exit code is CMD's, 128 + N if signal N ended it.\n",
	.opts = with_opts, .min_args = 1, .max_args = -1, .ends_at_arg = true,
};
static const struct cli_verb run = {
	.name = "lab run", .usage = "[--lab NAME] HOST [[--] CMD [ARG...]]",
	.summary = "run CMD (or a shell) on a host of a lab: box, h1, h2...",
	.text = "Only the network is the host's: files, /sys/fs/bpf and processes stay yours. The exit code is CMD's.\n",
	.opts = run_opts, .min_args = 1, .max_args = -1, .ends_at_arg = true,
};
static const struct cli_verb list = {
	.name = "lab list", .usage = "", .summary = "the labs there are", .opts = list_opts, .min_args = 0, .max_args = 0,
};
static const struct cli_verb down = {
	.name = "lab down", .usage = "[NAME | --all]", .summary = "take a lab down (the only one if NAME is left out)",
	.opts = down_opts, .min_args = 0, .max_args = 1,
};

/* Takes a lab down, and what was pinned for chains on its interfaces: they went with it. */
static int take_down(const char *name, struct lab_hold *hold, struct sluice_err *err)
{
	int rc = lab_down(name, hold, err);

	place_sweep(cli.bpffs);
	return rc;
}

static json_t *end_json(const struct lab *lab, uint32_t i, bool box)
{
	char peer[16] = "box";
	struct lab_end end;

	lab_end(lab, i, box, &end);
	if (box)
		snprintf(peer, sizeof(peer), "h%u", i);
	return json_pack("{s:s, s:s, s:s, s:s?, s:s}", "ifname", end.ifname, "mac", end.mac, "ipv4", end.ipv4, "ipv6",
			 end.ipv6[0] ? end.ipv6 : NULL, "peer", peer);
}

static const char *state_name(const struct lab *lab)
{
	return lab->state == LAB_READY ? "ready" : lab->state == LAB_HELD ? "held" : "broken";
}

/* One element of the arrays that up and list print. */
static json_t *lab_json(const struct lab *lab)
{
	json_t *hosts = json_array(), *links = json_array();
	struct lab_end end;
	char name[16];
	uint32_t i;

	for (i = 1; i <= lab->n_hosts; i++)
		json_array_append_new(links, end_json(lab, i, true));
	lab_end(lab, 1, true, &end);
	json_array_append_new(hosts, json_pack("{s:s, s:s, s:o}", "name", "box", "netns", end.netns, "links", links));
	for (i = 1; i <= lab->n_hosts; i++) {
		lab_end(lab, i, false, &end);
		snprintf(name, sizeof(name), "h%u", i);
		json_array_append_new(hosts, json_pack("{s:s, s:s, s:[o]}", "name", name, "netns", end.netns, "links",
						       end_json(lab, i, false)));
	}
	return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:o}", "name", lab->name, "state", state_name(lab), "maker_pid",
			 (int)lab->maker, "n_hosts", (int)lab->n_hosts, "queues", (int)lab->n_queues, "mtu",
			 (int)lab->mtu, "hosts", hosts);
}

static void draw(const struct lab *lab)
{
	struct lab_end box, host;
	char name[16];
	uint32_t i;

	for (i = 1; i <= lab->n_hosts; i++) {
		lab_end(lab, i, true, &box);
		lab_end(lab, i, false, &host);
		snprintf(name, sizeof(name), "h%u", i);
		printf("  %-3s eth0  %-15s %-19s ──── %15s %19s  %4s ", name, host.ipv4, host.ipv6, box.ipv4, box.ipv6,
		       box.ifname);
		if (lab->n_hosts == 1)
			puts("── box");
		else
			puts(i == 1 ? "─┐" : i < lab->n_hosts ? "─┤" : "─┴─ box");
	}
}

/* An option that names the lab, where leaving it out would be ambiguous. */
static void say_next(const struct lab *lab)
{
	char which[LAB_NAME_MAX + 8] = "";
	struct lab *labs = NULL;
	size_t n = 0;

	if (lab_list(&labs, &n, NULL) || n > 1)
		snprintf(which, sizeof(which), "--lab %s ", lab->name);
	free(labs);
	printf("\nNext:\n");
	if (lab->n_hosts > 1)
		printf("  sluice lab run %sh1 -- ping -c 3 198.18.2.2     h2, through the box\n", which);
	else
		printf("  sluice lab run %sh1 -- ping -c 3 198.18.1.1     the box\n", which);
	printf("  sluice lab run %sbox                            a shell on the machine under test\n", which);
	printf("  sluice lab down %s\n", lab->name);
}

static struct lab_spec spec(void)
{
	return (struct lab_spec){.name = opt.name, .n_hosts = (uint32_t)opt.hosts, .n_queues = (uint32_t)opt.queues,
				 .mtu = (uint32_t)opt.mtu, .tx_ready = opt.tx_ready};
}

static int run_up(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct lab_hold hold;
	struct lab_spec want;
	int n_args, code;
	struct lab lab;
	char **args;

	code = cli_parse(&up, argc, argv, &args, &n_args);
	if (code >= 0)
		return code;
	want = spec();
	cli_catch_signals();
	if (lab_up(&want, &lab, &hold, &err))
		return cli_fail(&up, &err);
	if (cli_stop) /* Ctrl-C meanwhile: nobody wants it any more */
		return take_down(lab.name, &hold, &err) ? cli_fail(&up, &err) : 128 + cli_stop;
	lab_release(&hold);
	if (cli.json)
		return cli_json(json_pack("[o]", lab_json(&lab)));
	if (opt.quiet) {
		puts(lab.name);
	} else {
		printf("lab %s is up: %u host%s around a box, %u queue%s an interface, MTU %u\n\n", lab.name, lab.n_hosts,
		       lab.n_hosts == 1 ? "" : "s", lab.n_queues, lab.n_queues == 1 ? "" : "s", lab.mtu);
		draw(&lab);
		say_next(&lab);
	}
	return EXIT_DONE;
}

static int run_with(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct lab_hold hold;
	struct lab_spec want;
	int n_args, code;
	struct lab lab;
	char **args;

	code = cli_parse(&with, argc, argv, &args, &n_args);
	if (code >= 0)
		return code;
	want = spec();
	cli_catch_signals();
	if (lab_up(&want, &lab, &hold, &err))
		return cli_fail(&with, &err);
	code = setenv("SLUICE_LAB", lab.name, 1) ? EXIT_FAILED : child_run(&with, args, NULL, NULL);
	if (take_down(lab.name, &hold, &err))
		return cli_fail(&with, &err);
	return code;
}

static int run_run(int argc, char **argv)
{
	static char fallback[] = "/bin/sh";
	struct sluice_err err = {0};
	char *shell[2] = {0};
	int n_args, code;
	struct lab lab;
	char **args;

	code = cli_parse(&run, argc, argv, &args, &n_args);
	if (code >= 0)
		return code;
	if (!opt.name)
		opt.name = getenv("SLUICE_LAB");
	if (lab_find(opt.name, &lab, &err) || lab_enter(&lab, args[0], &err))
		return cli_fail(&run, &err);
	if (setenv("SLUICE_LAB", lab.name, 1))
		return EXIT_FAILED;
	shell[0] = getenv("SHELL");
	if (!shell[0] || !*shell[0])
		shell[0] = fallback;
	args++;
	if (*args && !strcmp(*args, "--"))
		args++;
	if (!*args)
		args = shell;
	execvp(args[0], args);
	code = errno == ENOENT ? EXIT_NO_COMMAND : EXIT_CANNOT_RUN;
	cli_warn(&run, "cannot run %s: %s", args[0], strerror(errno));
	return code;
}

static int run_list(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct lab *labs = NULL;
	json_t *all;
	int n_args, code;
	char **args;
	size_t n, i;

	code = cli_parse(&list, argc, argv, &args, &n_args);
	if (code >= 0)
		return code;
	if (lab_list(&labs, &n, &err))
		return cli_fail(&list, &err);
	if (cli.json) {
		all = json_array();
		for (i = 0; i < n; i++)
			json_array_append_new(all, lab_json(&labs[i]));
		free(labs);
		return cli_json(all);
	}
	if (n)
		printf("%-*s %-7s %5s %6s %5s %8s\n", LAB_NAME_MAX - 1, "NAME", "STATE", "HOSTS", "QUEUES", "MTU", "MAKER");
	for (i = 0; i < n; i++)
		printf("%-*s %-7s %5u %6u %5u %8d\n", LAB_NAME_MAX - 1, labs[i].name, state_name(&labs[i]), labs[i].n_hosts,
		       labs[i].n_queues, labs[i].mtu, (int)labs[i].maker);
	free(labs);
	return EXIT_DONE;
}

static int down_all(void)
{
	struct sluice_err err = {0}, first = {0};
	struct lab *labs = NULL;
	size_t n, i;

	if (lab_list(&labs, &n, &err))
		return cli_fail(&down, &err);
	for (i = 0; i < n; i++) {
		int e = take_down(labs[i].name, NULL, &err);

		if (e == -EBUSY)
			cli_warn(&down, "%s; left alone", err.text);
		else if (e && e != -ENOENT && !first.code)
			first = err;
	}
	free(labs);
	return first.code ? cli_fail(&down, &first) : EXIT_DONE;
}

static int run_down(int argc, char **argv)
{
	struct sluice_err err = {0};
	int n_args, code;
	struct lab lab;
	char **args;

	code = cli_parse(&down, argc, argv, &args, &n_args);
	if (code >= 0)
		return code;
	if (opt.all && n_args)
		return cli_usage(&down, "--all and a name (%s) exclude each other", args[0]);
	if (opt.all)
		return down_all();
	if (lab_find(n_args ? args[0] : NULL, &lab, &err) || take_down(lab.name, NULL, &err))
		return cli_fail(&down, &err);
	return EXIT_DONE;
}

int verb_lab(int argc, char **argv)
{
	static const struct cli_sub subs[] = {
		{&up, run_up}, {&with, run_with}, {&run, run_run}, {&list, run_list}, {&down, run_down},
	};

	return cli_group("lab", SUMMARY, subs, sizeof(subs) / sizeof(*subs), argc, argv);
}
