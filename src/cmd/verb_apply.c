// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice apply: a policy into force, on live interfaces, between two packets. */
#include <errno.h>

#include "base/err.h"
#include "cmd/policy_say.h"
#include "control/balance_care.h"
#include "control/build.h"
#include "control/redirects.h"

#define PARTS_SHOWN 8 /* interfaces in a sentence */

static uint64_t trial_ns;
static bool dry_run, force, trial;

static const struct cli_opt opts[] = {
	{.name = "confirm", .letter = 'c', .kind = OPT_TIME, .arg = "TIME", .to = &trial_ns, .given = &trial,
	 .help = "take it back after TIME unless sluice confirm comes"},
	{.name = "dry-run", .letter = 'n', .kind = OPT_FLAG, .to = &dry_run,
	 .help = "check, compile and load it, print the plan, change nothing"},
	{.name = "force", .letter = 'f', .kind = OPT_FLAG, .to = &force,
	 .help = "even if it cuts off who is logged in, or does less than it says"},
	{0},
};

static const struct cli_verb verb = {
	.name = "apply",
	.changes = true,
	.usage = "[FILE|-] [OPTION...]",
	.summary = "put a policy into force, in one atomic switch",
	.text = "FILE is " POLICY_FILE
		" if none is given, - standard input. Packets meet the old policy or the new one, never\n"
		"half of each. What goes wrong leaves the old one in force.\n\n"
		"  sluice apply --dry-run\n"
		"  sluice apply --confirm 60s        and within the minute: sluice confirm\n"
		"  sluice apply new.conf\n",
	.opts = opts,
	.max_args = 1,
};

static int leave_out(bool refuse, int code, struct sluice_err *err)
{
	if (refuse) {
		err->code = code;
		return code;
	}
	cli_warn(&verb, "%s", err->text);
	*err = (struct sluice_err){0};
	return 0;
}

/* "a0, a1 and a2", "a0 and 12 more" */
static void list_parts(const struct control_generation *g, uint32_t from, uint32_t end, char *to, size_t size)
{
	size_t n = 0;
	uint32_t i;

	to[0] = '\0';
	for (i = from; i < end && n < size; i++) {
		if (i - from == PARTS_SHOWN && end - from > PARTS_SHOWN + 1) {
			snprintf(to + n, size - n, " and %u more", end - i);
			return;
		}
		n += (size_t)snprintf(to + n, size - n, "%s%s", i == from ? "" : i + 1 == end ? " and " : ", ",
				      g->parts[i].ifname);
	}
}

/* A file that was emptied by accident takes all off as sluice down does, but nobody said so. */
static int check_empty(const struct control_ready *r, struct sluice_err *err)
{
	bool filters = r->live && r->live->n_parts;
	uint32_t n;
	char names[512];

	if (r->next->n_all || !r->live || !r->live->n_all)
		return 0;
	n = filters ? r->live->n_parts : r->live->n_all;
	list_parts(r->live, filters ? 0 : r->live->n_parts, n, names, sizeof(names));
	err_set(err, -ECANCELED, "%s: %s would lose %s; sluice down does that, --force applies it all the same",
		r->policy->n_filters	 ? "no interface fits a filter of the policy" :
		r->policy->n_balances ? "no interface fits a balance block of the policy" :
		filters		 ? "the policy has no filter" :
					   "the policy has no balance block",
		names,
		!filters ? "the balancer" : n > 1 ? "theirs" : "its own");
	return leave_out(!force, -ECANCELED, err);
}

static void warn_unfit(const struct control_ready *r)
{
	uint32_t i, k;

	for (i = 0; i < r->next->n_filters; i++) {
		for (k = 0; k < r->next->n_parts && r->next->parts[k].filter != i; k++)
			;
		if (k == r->next->n_parts && r->policy->filters[i].on.n)
			cli_warn(&verb, "filter on %s%s: no interface fits, it protects nothing",
				 r->policy->filters[i].on.v[0].text, r->policy->filters[i].on.n > 1 ? ", ..." : "");
	}
	for (i = 0; i < r->policy->n_balances; i++)
		if (!build_bits(r->next, i) && r->policy->balances[i].on.n)
			cli_warn(&verb, "balance %s on %s%s: no interface fits, it serves nobody", r->policy->balances[i].name,
				 r->policy->balances[i].on.v[0].text, r->policy->balances[i].on.n > 1 ? ", ..." : "");
}

static void say_care(void *arg, const char *sentence)
{
	(void)arg;
	cli_warn(&verb, "%s", sentence);
}

static int ready(void *ctx, const struct control_ready *r, struct sluice_err *err)
{
	int e = check_empty(r, err);

	if (!e)
		warn_unfit(r);
	if (!e)
		redirects_care(r->policy, r->next, say_care, NULL);
	e = e ?: balance_care(r->policy, r->old, r->next, say_care, NULL, err);
	return e ?: policy_say_ready(ctx, r, err);
}

int verb_apply(int argc, char **argv)
{
	struct policy_guarded guarded;
	struct control_opts o = {.wait_ns = CONTROL_WAIT_NS, .ready = ready, .ctx = &guarded};
	struct control_done done;
	struct sluice_err err = {0};
	struct store_policy p;
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args), e;

	if (rc >= 0)
		return rc;
	if (trial && (trial_ns < POLICY_TRIAL_LEAST || trial_ns > POLICY_TRIAL_MOST))
		return cli_usage(&verb, "--confirm takes a time from 100ms to 168h");
	o.bpffs = cli.bpffs;
	o.trial_ns = trial_ns;
	o.dry_run = dry_run;
	guarded = (struct policy_guarded){&verb, force, trial_ns};
	e = control_apply(&o, n_args ? policy_file(args[0]) : POLICY_FILE, &p, &done, &err);
	policy_say_rest();
	if (p.policy)
		policy_say_mistakes(p.policy);
	if (e)
		rc = policy_fail(&verb, &err);
	else if (dry_run && !cli.json && !done.nothing)
		rc = printf("nothing was changed\n") < 0 ? EXIT_FAILED : EXIT_DONE;
	else
		rc = policy_say_done(dry_run ? "dry_run" : "apply", &done);
	store_free(&p);
	return rc;
}
