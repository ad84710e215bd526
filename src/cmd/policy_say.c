// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the verbs that change the policy print alike. */
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "cmd/plan_json.h"
#include "cmd/policy_say.h"
#include "control/balance_care.h"
#include "control/balance_live.h"
#include "control/guard.h"
#include "control/plan.h"
#include "control/redirects.h"
#include "control/sets.h"

const char *policy_file(const char *arg)
{
	return !strcmp(arg, "-") ? POLICY_STDIN : arg;
}

static void say_diags(const struct policy *p, bool warnings)
{
	struct buf text = {0};
	uint32_t i;

	for (i = 0; i < p->n_diags; i++)
		if (warnings || p->diags[i].severity == POLICY_ERROR)
			policy_diag_print(p, &p->diags[i], &text);
	if (text.len)
		fwrite(text.data, 1, text.len, stderr);
	buf_free(&text);
}

void policy_say_mistakes(const struct policy *p)
{
	uint64_t hidden = p->n_errors + p->n_warnings - p->n_diags;

	say_diags(p, true);
	if (hidden)
		fprintf(stderr, "... and %s%" PRIu64 " more\n", p->cut ? "more than " : "", hidden);
}

void policy_say_errors(const struct policy *p)
{
	if (p)
		say_diags(p, false);
}

/*
 * What is about to happen is told before it does, while others wait for the lock. Whoever is slow to read it (a pager, a
 * terminal that stands still) has them wait no longer than this: the rest is written meanwhile, and to its end afterwards.
 */
#define TELL_NS 1000000000ull

static struct {
	struct buf text;
	size_t at; /* the writer's, until it is joined */
	pthread_t writer;
	bool writes;
} told;

static void *tell(void *arg)
{
	ssize_t n = 0;

	(void)arg;
	for (; told.at < told.text.len && (n >= 0 || errno == EINTR); told.at += n > 0 ? (size_t)n : 0)
		n = write(STDOUT_FILENO, told.text.data + told.at, told.text.len - told.at);
	return NULL;
}

/* What was not written, stdio writes: it keeps why that fails. */
static void tell_end(void)
{
	if (told.at < told.text.len)
		fwrite(told.text.data + told.at, 1, told.text.len - told.at, stdout);
	cli_flush();
	buf_free(&told.text);
	told.at = 0;
}

static void tell_all(void)
{
	struct timespec until;

	cli_flush();
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += TELL_NS / 1000000000;
	told.writes = told.text.len && !pthread_create(&told.writer, NULL, tell, NULL);
	if (told.writes && pthread_clockjoin_np(told.writer, NULL, CLOCK_MONOTONIC, &until))
		return;
	told.writes = false;
	tell_end();
}

void policy_say_rest(void)
{
	if (!told.writes)
		return;
	pthread_join(told.writer, NULL);
	told.writes = false;
	tell_end();
}

static json_t *planned; /* for policy_say_done(), where JSON is wanted */

/* Names of the interfaces of a generation's parts of a kind, for free(); they are the generation's. */
struct names {
	const char **v;
	uint32_t n;
};

/* What was on an interface that is not there any more is nothing to lose. */
static bool went(const struct control_generation *g, uint32_t part, const bool *lost)
{
	return lost && lost[part] && !if_nametoindex(g->parts[part].ifname);
}

/* lost: of those alone that are not where they were */
static struct names names_of(const struct control_generation *g, enum control_kind kind, bool only_lost, const bool *lost)
{
	struct names to = {calloc(g ? g->n_all + 1ul : 1, sizeof(*to.v)), 0};
	uint32_t i;

	for (i = 0; to.v && g && i < g->n_all; i++)
		if (g->parts[i].kind == kind && !went(g, i, lost) && (!only_lost || (lost && lost[i])))
			to.v[to.n++] = g->parts[i].ifname;
	return to;
}

/* What was added at run time and does not go on; for free(). What cannot be asked is not told. */
static void find_lost(const struct control_ready *r, struct control_lost **v, uint32_t *n)
{
	int before = r->live ? control_state_map(r->st, r->live->name, CONTROL_SETS, 0, NULL) : -1, now;

	*v = NULL;
	*n = 0;
	if (before < 0)
		return;
	now = control_state_map(r->st, r->next->name, CONTROL_SETS, 0, NULL);
	if (control_sets_lost(before, now, v, n, NULL))
		*n = 0;
	close(before);
	if (now >= 0)
		close(now);
}

static int make_plan(const struct control_ready *r, const struct names v[6], const struct balance_live *live,
		     const struct balance_model *next, struct control_plan **plan, struct sluice_err *err)
{
	struct control_lost *lost;
	struct plan_lost *of;
	uint32_t n_lost, k;
	struct control_plan_opts opts = {.old_interfaces = v[0].v,
					 .n_old_interfaces = v[0].n,
					 .interfaces = v[1].v,
					 .n_interfaces = v[1].n,
					 .lost = v[2].v,
					 .old_balancers = v[3].v,
					 .n_old_balancers = v[3].n,
					 .balancers = v[4].v,
					 .n_balancers = v[4].n,
					 .lost_balancers = v[5].v,
					 .old_services = live ? balance_live_model(live) : NULL,
					 .services = live ? next : NULL};
	int i, e;

	*plan = NULL;
	for (i = 0; i < 6; i++)
		if (!v[i].v)
			return err_nomem(err);
	find_lost(r, &lost, &n_lost);
	of = calloc(n_lost + 1ul, sizeof(*of));
	for (k = 0; of && k < n_lost; k++)
		of[k] = (struct plan_lost){lost[k].set, lost[k].n};
	opts.lost_elements = of;
	opts.n_lost_elements = of ? n_lost : 0;
	e = control_plan_new(r->old, r->policy, &opts, plan, err);
	free(of);
	free(lost);
	return e;
}

static int print_plan(const struct control_ready *r, struct sluice_err *err)
{
	struct balance_live *live = NULL; /* what cannot be asked of it is not counted with */
	struct balance_model next = {0};
	struct control_plan *plan = NULL;
	struct names v[6];
	int i, e = 0;

	if (r->live && !balance_live_open(r->st, r->live->name, &live, NULL))
		e = balance_live_over(live, &r->policy->services, &next, err);
	for (i = 0; i < 2; i++) {
		v[i * 3] = names_of(r->live, i, false, r->lost);
		v[i * 3 + 1] = names_of(r->next, i, false, NULL);
		v[i * 3 + 2] = names_of(r->live, i, true, r->lost);
	}
	e = e ?: make_plan(r, v, live, &next, &plan, err);
	if (!e && cli.json) {
		json_decref(planned);
		planned = plan_json(plan);
	} else if (!e) {
		control_plan_print(plan, cli.verbose, &told.text);
	}
	control_plan_free(plan);
	balance_model_free(&next);
	balance_live_close(live);
	for (i = 0; i < 6; i++)
		free(v[i].v);
	return e;
}

/* The policy is the same, and yet it is put into force again. */
static void say_redirects(const struct control_ready *r)
{
	char name[CLI_NAME];
	struct redirect *v;
	uint32_t n, i;

	if (!r->live || strcmp(r->live->hash, r->next->hash) != 0 ||
	    redirects_read(r->st, r->live->name, &v, &n, NULL))
		return;
	for (i = 0; i < n; i++)
		if (redirects_health(&v[i]) == REDIRECT_AGAIN)
			buf_printf(&told.text, "%s: was made anew, rules redirect to it again\n",
				   cli_name(v[i].ifname, name));
	free(v);
}

int policy_say_plan(const struct control_ready *r, struct sluice_err *err)
{
	char name[CLI_NAME];
	uint32_t i;
	int e = 0;

	if (r->policy)
		e = print_plan(r, err);
	if (r->policy && !cli.json)
		say_redirects(r);
	for (i = 0; !cli.json && !r->policy && r->live && i < r->live->n_all; i++)
		buf_printf(&told.text, "%s: loses its %s\n", cli_name(r->live->parts[i].ifname, name),
			   r->live->parts[i].kind == CONTROL_FILTER ? "filter" : "balancer");
	if (!e && told.text.failed)
		e = err_nomem(err);
	if (e)
		buf_free(&told.text);
	else
		tell_all();
	return e;
}

/* Sets as they will be, with what was added at run time; of those that are constants the text tells. */
static int in_set(void *sets, const char *name, const struct net_addr *addr)
{
	struct sets_elem elem;
	struct sluice_err err = {0};
	uint64_t hi, lo;
	uint32_t nr;

	if (control_sets_find(sets, name, &nr, &err))
		return -ENOENT;
	net_addr_words(addr, &hi, &lo);
	return !control_sets_test(sets, nr, addr->v6, hi, lo, control_sets_now(), &elem, NULL, &err);
}

static void warn(void *ctx, const char *sentence)
{
	const struct policy_guarded *by = ctx;

	cli_warn(by->verb, "%s", sentence);
}

/* by: a struct policy_guarded, or NULL */
static int guard(const struct control_ready *r, void *by, bool trial, struct sluice_err *err)
{
	struct control_guard_opts opts = {.ssh_connection = getenv("SSH_CONNECTION"),
					  .n_interfaces = r->next->n_parts,
					  .warn = by ? warn : NULL,
					  .warn_ctx = by};
	struct net_if *v = calloc(r->next->n_parts + 1ul, sizeof(*v));
	int e = v ? 0 : err_nomem(err), fd = control_state_map(r->st, r->next->name, CONTROL_SETS, 0, NULL);
	struct control_sets *sets = NULL;
	uint32_t i;

	if (!e && fd >= 0)
		e = control_sets_open(fd, &sets, err);
	opts.in_set = sets ? in_set : NULL;
	opts.ctx = sets;

	for (i = 0; i < r->next->n_parts && !e; i++) {
		v[i].index = r->next->parts[i].ifindex;
		snprintf(v[i].name, sizeof(v[i].name), "%s", r->next->parts[i].ifname);
	}
	opts.interfaces = v;
	if (trial)
		opts.advice = "tried all the same: it is taken back unless sluice confirm comes";
	e = e ?: control_guard(r->policy, &opts, err);
	e = e ?: balance_guard(r->policy, opts.ssh_connection, opts.advice, err);
	control_sets_close(sets);
	if (fd >= 0)
		close(fd); /* the sets are read from it as they are asked */
	free(v);
	return e;
}

int policy_say_ready(void *ctx, const struct control_ready *r, struct sluice_err *err)
{
	const struct policy_guarded *g = ctx;
	bool trial = g && g->trial_ns;
	int e = policy_say_plan(r, err);

	if (e || !r->policy || (g && g->force))
		return e;
	e = guard(r, ctx, trial, err);
	if (e != -EBUSY || !trial)
		return e;
	/* a trial ends by itself: who was cut off is let in again */
	cli_warn(g->verb, "%s", err->text);
	*err = (struct sluice_err){0};
	return 0;
}

int policy_fail(const struct cli_verb *verb, const struct sluice_err *err)
{
	int rc;

	policy_say_rest();
	rc = cli_fail(verb, err);
	return err->code == -EINVAL ? EXIT_FAILED : rc;
}

int policy_say_done(const char *word, const struct control_done *done)
{
	policy_say_rest();
	if (done->warned.code)
		fprintf(stderr, "sluice %s: %s\n", word, done->warned.text);
	if (cli.json)
		return cli_json(json_pack("{s:s, s:s?, s:s?, s:b, s:I, s:I, s:I, s:o}", "did", word, "policy",
					  done->name[0] ? done->name : NULL, "before", done->left[0] ? done->left : NULL,
					  "nothing_to_do", done->nothing, "trial_ns", (json_int_t)done->trial_ns,
					  "load_ns", (json_int_t)done->load_ns, "switch_ns",
					  (json_int_t)done->switch_ns, "plan", planned ? json_incref(planned) : json_null()));
	if (done->nothing && done->name[0] && !strcmp(word, "confirm"))
		printf("nothing to confirm: policy %s is in force\n", done->name);
	else if (done->nothing && done->name[0] && strcmp(word, "restore") != 0)
		printf("nothing to do: policy %s is in force\n", done->name);
	else if (done->nothing && done->name[0])
		printf("policy %s is in force on all its interfaces already\n", done->name);
	else if (done->trial_ns)
		printf("policy %s is on trial for %" PRIu64 " s: sluice confirm keeps it, else %s%s\n", done->name,
		       (done->trial_ns + 999999999) / 1000000000, done->left[0] ? done->left : "no policy",
		       done->left[0] ? " is in force again" : " is in force then");
	else if (done->name[0])
		printf("policy %s is in force\n", done->name);
	else if (!done->nothing)
		printf("no policy is in force\n");
	return EXIT_DONE;
}

char *policy_time(uint64_t wall_ns, char to[32])
{
	time_t t = (time_t)(wall_ns / 1000000000);
	struct tm tm;

	if (!wall_ns || !localtime_r(&t, &tm) || !strftime(to, 32, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(to, 32, "-");
	return to;
}
