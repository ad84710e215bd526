// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice balance backend: what a backend's host needs, printed, done or undone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/balance_host.h"
#include "cmd/balance_run.h"
#include "cmd/policy_say.h"

static struct {
	const char *address, *service;
	bool apply, undo, xdp;
} o;

static const struct cli_opt opts[] = {
	{.name = "apply", .kind = OPT_FLAG, .to = &o.apply, .help = "do it, as far as it is not done"},
	{.name = "undo", .kind = OPT_FLAG, .to = &o.undo, .help = "undo what --apply has done"},
	{.name = "xdp",
	 .kind = OPT_FLAG,
	 .to = &o.xdp,
	 .help = "an XDP program takes tunnels off, no tunnel interfaces"},
	{.name = "address",
	 .kind = OPT_TEXT,
	 .arg = "ADDR",
	 .to = &o.address,
	 .help = "for this backend (default: those that are addresses of this host)"},
	{.name = "service",
	 .kind = OPT_TEXT,
	 .arg = "NAME",
	 .to = &o.service,
	 .help = "for this service alone"},
	{0},
};

const struct cli_verb balance_backend_verb = {
	.name = "balance backend",
	.changes = true,
	.usage = "[FILE] [--apply] [--xdp] [--service NAME] [--address ADDR] | --undo",
	.summary = "what a backend's host needs: tunnels, virtual addresses, ARP",
	.text = "FILE is the balancer's policy (default " POLICY_FILE
		"). Prints commands; what is so already\n"
		"on this host stands behind a #. With --apply they are run, and what an earlier --apply has "
		"done and is\n"
		"not needed any more is undone.\n"
		"\n"
		"  sluice balance backend sluice.conf             what is missing here\n"
		"  sluice balance backend sluice.conf --apply     do it\n"
		"  sluice balance backend --undo                  as it was before\n",
	.opts = opts,
	.max_args = 1,
};

static bool said; /* anything */

static const char *const states[] = {[HOST_MISSING] = "missing",
				     [HOST_THERE] = "there",
				     [HOST_DONE] = "done",
				     [HOST_UNDONE] = "undone",
				     [HOST_LEFT] = "left"};

/* A sysctl may suffice with another value than the one that would be set. */
static void say_value(const struct need *step, char *text, size_t size)
{
	char now[128], wanted[128];

	snprintf(wanted, sizeof(wanted), "%s=%s", step->name, step->value);
	if (host_sysctl(step, now, sizeof(now)) && strcmp(now, wanted) != 0)
		snprintf(text, size, "%s, which is enough", text_harmless(now));
}

static void say(void *arg, const struct need *step, enum host_state state)
{
	bool undo = state == HOST_UNDONE || state == HOST_LEFT;
	char text[NEED_TEXT];

	said = true;
	need_text(step, undo, text, sizeof(text));
	if (arg) {
		json_array_append_new(arg, json_pack("{s:s, s:s}", "step", text, "state", states[state]));
		return;
	}
	if (state == HOST_THERE && step->kind == NEED_SYSCTL)
		say_value(step, text, sizeof(text));
	if (state == HOST_MISSING && step->kind == NEED_DECAP)
		printf("# %s: --apply attaches it\n", text);
	else if (state == HOST_MISSING)
		printf("%s\n", text);
	else if (state == HOST_THERE && !o.apply)
		printf("# is so: %s\n", text);
	else if (state == HOST_LEFT)
		printf("%-7s %s is not %s any more\n", "left:", step->name, step->value);
	else
		printf("%s:%*s%s\n", states[state], (int)(7 - strlen(states[state])), "", text);
	fflush(stdout);
}

/* The addresses that are meant: the one that was given, with its interface if it is this host's; or all. */
static int own_addrs(struct need_addr **own, size_t *n, struct sluice_err *err)
{
	struct net_addr one;
	size_t i, hit;
	int e = o.address ? net_addr_parse(o.address, &one, err) : 0;

	e = e ?: host_addrs(own, n, err);
	if (e || !o.address)
		return e;
	for (hit = 0; hit < *n; hit++)
		if ((*own)[hit].addr.v6 == one.v6 && !memcmp((*own)[hit].addr.bytes, one.bytes, 16))
			break;
	if (hit == *n && o.apply)
		return err_set(err, -ENOENT, "%s is no address of this host", o.address);
	for (i = 0; hit < *n && i < *n; i++)
		if (i == hit)
			(*own)[0] = (*own)[i];
	if (hit == *n)
		(*own)[0] = (struct need_addr){.addr = one};
	*n = 1;
	return 0;
}

static int plan_of(const char *path, struct needs *plan, struct sluice_err *err)
{
	struct need_addr *own = NULL;
	struct balance_run run;
	size_t n = 0;
	int e = balance_run_read(&run, path, err);

	e = e ?: own_addrs(&own, &n, err);
	e = e ?: needs_of(run.model, o.service, o.xdp, own, n, plan, err);
	free(own);
	balance_run_close(&run);
	return e;
}

/* Where the address is another host's, nothing is known of what is there. */
static bool is_here(void)
{
	struct need_addr *v = NULL;
	struct net_addr one;
	bool here = !o.address;
	size_t n = 0, i;

	if (o.address && !net_addr_parse(o.address, &one, NULL) && !host_addrs(&v, &n, NULL))
		for (i = 0; i < n; i++)
			here |= v[i].addr.v6 == one.v6 && !memcmp(v[i].addr.bytes, one.bytes, 16);
	free(v);
	return here;
}

static int print(const struct needs *plan, json_t *json)
{
	bool here = is_here();
	size_t i;

	for (i = 0; i < plan->n; i++)
		say(json, &plan->v[i], here ? host_look(&plan->v[i]) : HOST_MISSING);
	return 0;
}

int balance_backend_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct needs plan = {0};
	json_t *json;
	char **args;
	int n, e = 0, rc = cli_parse(&balance_backend_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	if (o.undo && (o.apply || o.xdp || o.service || o.address || n))
		return cli_usage(&balance_backend_verb,
				 "--undo undoes all that --apply has done; it stands alone");
	json = cli.json ? json_array() : NULL;
	if (!o.undo)
		e = plan_of(n ? args[0] : POLICY_FILE, &plan, &err);
	if (!e && !o.undo && plan.n_nat == plan.n_services && !cli.json)
		printf("# forward nat: nothing is needed but that answers go back through the balancer\n");
	if (!e)
		e = o.apply || o.undo ? host_apply(&balance_backend_verb, &plan, say, json, &err)
				      : print(&plan, json);
	needs_free(&plan);
	if (!e && o.undo && !said && !cli.json)
		printf("nothing of sluice balance backend is here\n");
	if (cli.json && (!e || said)) /* also what was done and undone before it failed */
		rc = cli_json(json);
	else
		json_decref(json);
	if (cli.json && !e)
		return rc;
	return e ? cli_fail(&balance_backend_verb, &err) : EXIT_DONE;
}
