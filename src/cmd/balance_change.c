// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice balance drain, undrain, set-weight: what is said of backends at run time. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "cmd/balance_left.h"
#include "cmd/balance_run.h"

#define SECOND UINT64_C(1000000000)
#define IDLE_LEAST_NS (5 * SECOND) /* the flow table's clock moves in steps of some 4 s */
#define LOOK_NS (SECOND / 2)

static struct {
	uint64_t wait_ns, idle_ns;
	bool wait_given, no_wait;
} o;

static const struct cli_opt drain_opts[] = {
	{.name = "wait",
	 .letter = 'w',
	 .kind = OPT_TIME,
	 .arg = "TIME",
	 .to = &o.wait_ns,
	 .given = &o.wait_given,
	 .help = "wait at most so long (default: until no flow is left)"},
	{.name = "no-wait", .letter = 'n', .kind = OPT_FLAG, .to = &o.no_wait, .help = "do not wait"},
	{.name = "idle",
	 .kind = OPT_TIME,
	 .arg = "TIME",
	 .to = &o.idle_ns,
	 .help = "a flow that is silent for so long is over (default 1m, at least 5s)"},
	{0},
};
static const struct cli_opt no_opts[] = {{0}};

const struct cli_verb balance_drain_verb = {
	.name = "balance drain",
	.changes = true,
	.usage = "[SERVICE] BACKEND [--wait TIME | --no-wait] [--idle TIME]",
	.summary = "no new flows to a backend; wait until those that are there have ended",
	.text = "Without SERVICE it is all that have the backend. Ctrl-C ends the waiting, not the draining. "
		"Exit\n"
		"status 1 if flows are left.\n",
	.opts = drain_opts,
	.min_args = 1,
	.max_args = 2,
};

const struct cli_verb balance_undrain_verb = {
	.name = "balance undrain",
	.changes = true,
	.usage = "[SERVICE] BACKEND",
	.summary = "new flows to a backend again",
	.text = "Without SERVICE it is all that have the backend.\n",
	.opts = no_opts,
	.min_args = 1,
	.max_args = 2,
};

const struct cli_verb balance_set_weight_verb = {
	.name = "balance set-weight",
	.changes = true,
	.usage = "[SERVICE] BACKEND WEIGHT|policy",
	.summary = "give a backend another weight, or that of the policy again",
	.text = "Without SERVICE it is all that have the backend. The weight stays across sluice apply while "
		"the\n"
		"backend is in the policy.\n",
	.opts = no_opts,
	.min_args = 2,
	.max_args = 3,
};

static int add_choice(struct choice *c, const struct balance_model *m, uint32_t service, const char *backend,
		      struct sluice_err *err)
{
	struct chosen *v = &c->v[c->n];
	int e = balance_run_backend(m->services[service], backend, &v->backend, err);

	if (e)
		return e;
	v->service = service;
	snprintf(v->service_name, sizeof(v->service_name), "%s", m->services[service]->name);
	v->before = m->services[service]->backends[v->backend];
	backend_name(&v->before, v->name);
	c->n++;
	return 0;
}

/* SERVICE BACKEND, or BACKEND of all services that have it. */
static int choose(const struct balance_model *m, char **args, int n, struct choice *c, struct sluice_err *err)
{
	struct sluice_err first = {0};
	uint32_t i;
	int e;

	c->v = calloc(m->n_services + 1, sizeof(*c->v));
	if (!c->v)
		return err_nomem(err);
	for (i = 0; n == 1 && i < m->n_services; i++)
		if (!strcmp(m->services[i]->name, args[0]))
			return err_set(err, -EINVAL,
				       "%s is a service; say which of its backends, too (sluice balance show "
				       "%s lists them)",
				       args[0], args[0]);
	if (n == 2) {
		e = balance_run_service(m, args[0], &i, err);
		return e ?: add_choice(c, m, i, args[1], err);
	}
	for (i = 0; i < m->n_services; i++) {
		e = add_choice(c, m, i, args[0], err);
		if (e && e != -ENOENT)
			return e;
		if (e && !first.code && err)
			first = *err;
	}
	if (c->n)
		return 0;
	if (m->n_services > 1)
		return err_set(err, -ENOENT, "no service has a backend %s; sluice balance show lists them",
			       args[0]);
	if (err)
		*err = first;
	return -ENOENT;
}

/* Takes what was said back if that comes to the same; otherwise says it by hand. */
static int say_drain(struct balance_live *live, struct chosen *c, bool drain, struct sluice_err *err)
{
	struct balance_live_backend b;
	int e = balance_live_backend(live, c->service, c->backend, &b, err);

	if (e || b.now.drain == drain)
		return e;
	c->changed = true;
	return balance_live_drain(live, c->service, c->backend, drain,
				  b.policy.drain == drain ? BALANCE_WHO_NOBODY : BALANCE_WHO_OPERATOR, err);
}

static int say_weight(struct balance_live *live, struct chosen *c, const char *word, uint32_t weight,
		      struct sluice_err *err)
{
	bool back = !strcmp(word, "policy");
	struct balance_live_backend b;
	int e = balance_live_backend(live, c->service, c->backend, &b, err);

	if (e)
		return e;
	c->changed = (back ? b.policy.weight : weight) != b.now.weight;
	return balance_live_weight(live, c->service, c->backend, back ? b.policy.weight : weight,
				   back ? BALANCE_WHO_NOBODY : BALANCE_WHO_OPERATOR, err);
}

/* Makes what was said count, and lets others have the lock. */
static int commit(struct balance_run *run, struct ring_report *report, struct sluice_err *err)
{
	int e = balance_live_commit(run->live, clock_mono_ns(), report, err);

	control_state_unlock(run->st);
	run->model = balance_live_model(run->live);
	return e;
}

/*
 * Another policy may have been put into force while we wait. 1: what is waited for is not there any more.
 */
static int follow(struct balance_run *run, struct choice *c, struct sluice_err *err)
{
	struct control_state *st = NULL;
	char name[CONTROL_NAME];
	struct sluice_err why = {0};
	struct balance_run now;
	size_t i;
	int e = control_state_open(cli.bpffs, false, &st, err);

	e = e ?: control_state_current(st, name, NULL, err);
	control_state_close(st);
	if (e || !strcmp(name, run->name))
		return e ?: balance_live_reload(run->live, NULL, err);
	e = balance_run_open(&now, false, &why);
	if (e == -ENOENT) {
		balance_run_close(&now);
		return 1;
	}
	if (e) {
		balance_run_close(&now);
		if (err)
			*err = why;
		return e;
	}
	balance_run_close(run);
	*run = now;
	for (i = 0; i < c->n; i++) {
		if (!balance_run_service(run->model, c->v[i].service_name, &c->v[i].service, NULL) &&
		    !balance_run_backend(run->model->services[c->v[i].service], c->v[i].name,
					 &c->v[i].backend, NULL))
			continue;
		memmove(&c->v[i], &c->v[i + 1], (c->n - i - 1) * sizeof(*c->v));
		c->n--;
		i--;
	}
	return !c->n;
}

static bool still_drains(const struct balance_run *run, const struct choice *c)
{
	const struct balance_backend *b;
	size_t i;

	for (i = 0; i < c->n; i++) {
		b = &run->model->services[c->v[i].service]->backends[c->v[i].backend];
		if (b->drain || !b->weight || b->health == BALANCE_DOWN)
			return true;
	}
	return false;
}

enum waited { WAITED_DONE, WAITED_TIME, WAITED_STOPPED, WAITED_OVER };

/*
 * Waits until no flow is left. What is silent for o.idle_ns is over; flows that the table does not know yet
 * come into it with their next packet (doc/balance.md), so nothing is known before so long. Connections that their id sends to
 * the backend are over when no packet came to it for so long.
 */
static int wait_out(struct balance_run *run, struct choice *c, enum waited *how, struct sluice_err *err)
{
	uint64_t begin = clock_mono_ns(), now, shown = UINT64_MAX;
	bool said = false;
	struct timespec t = {.tv_nsec = LOOK_NS};
	int e;

	for (;;) {
		e = follow(run, c, err);
		if (e)
			*how = WAITED_OVER;
		if (e)
			return e < 0 ? e : 0;
		run->model = balance_live_model(run->live);
		if (!still_drains(run, c)) {
			*how = WAITED_OVER;
			return 0;
		}
		now = clock_mono_ns() - begin;
		e = left_count(run->live, c, o.idle_ns, now, err);
		if (e)
			return e;
		*how = cli_stop						   ? WAITED_STOPPED
		       : !left_sum(c) && now >= o.idle_ns && !left_busy(c) ? WAITED_DONE
		       : o.wait_given && now >= o.wait_ns		   ? WAITED_TIME
									   : WAITED_OVER;
		if (*how != WAITED_OVER)
			return 0;
		if (!cli.json && left_known(c) && left_sum(c) != shown) {
			shown = left_sum(c);
			printf("%" PRIu64 " flow%s left\n", shown, shown == 1 ? "" : "s");
			fflush(stdout);
		} else if (!cli.json && !said && now >= o.idle_ns && !left_sum(c)) {
			said = true;
			printf("no flow left that is counted, but %s of %s still gets packets: of connections whose ids name it\n",
			       left_busy(c)->name, left_busy(c)->service_name);
			fflush(stdout);
		}
		nanosleep(&t, NULL);
	}
}

/* --- what is printed --- */

static json_t *json_left(uint64_t left, bool known)
{
	return known ? json_integer((json_int_t)left) : json_null();
}

static void say_changed(const struct choice *c, const char *done, const char *same)
{
	size_t i;

	for (i = 0; i < c->n && !cli.json; i++)
		printf("%s of %s %s\n", c->v[i].name, c->v[i].service_name, c->v[i].changed ? done : same);
}

static json_t *json_chosen(const struct choice *c, bool flows)
{
	json_t *all = json_array(), *one;
	size_t i;

	for (i = 0; i < c->n; i++) {
		one = json_pack("{s:s, s:s, s:b}", "service", c->v[i].service_name, "backend", c->v[i].name,
				"changed", c->v[i].changed);
		if (flows)
			json_object_set_new(one, "flows", json_left(c->v[i].left, c->v[i].known));
		json_array_append_new(all, one);
	}
	return all;
}

static int conclude(const struct choice *c, enum waited how)
{
	static const char *const words[] = {[WAITED_DONE] = "drained",
					    [WAITED_TIME] = "time",
					    [WAITED_STOPPED] = "interrupted",
					    [WAITED_OVER] = "over"};
	const struct chosen *got = left_busy(c);
	uint64_t left = left_sum(c);
	char idle[BALANCE_TIME];
	int rc;

	if (cli.json) {
		rc = cli_json(json_pack("{s:s, s:o, s:o}", "result", words[how], "flows",
					json_left(left, left_known(c)), "backends", json_chosen(c, true)));
		return rc ? rc : how == WAITED_DONE ? EXIT_DONE : EXIT_FAILED;
	}
	switch (how) {
	case WAITED_DONE:
		printf("drained: no flow had a packet for %s\n", balance_time(o.idle_ns, idle));
		return EXIT_DONE;
	case WAITED_OVER:
		cli_warn(&balance_drain_verb, "it is not draining any more: somebody else changed that");
		return EXIT_FAILED;
	case WAITED_TIME:
	case WAITED_STOPPED:
		if (!left_known(c)) {
			balance_time(o.idle_ns, idle);
			if (got && got->still_ns)
				printf("not known how many flows are left: %s of %s had packets within --idle %s", got->name,
				       got->service_name, idle);
			else
				printf("not known yet how many flows are left: --idle %s is not over", idle);
			puts("; it goes on draining; sluice balance undrain takes that back");
			return EXIT_FAILED;
		}
		printf("%" PRIu64
		       " flow%s left; it goes on draining; sluice balance undrain takes that back\n",
		       left, left == 1 ? "" : "s");
		return EXIT_FAILED;
	}
	return EXIT_FAILED;
}

/* Services that have nobody left for new flows. With all-down open those that are down get some, but none that drains. */
static void warn_none(const struct cli_verb *verb, const struct balance_run *run, const struct choice *c)
{
	const struct balance_service *s;
	const struct balance_backend *b;
	size_t i, k;

	for (i = 0; i < c->n; i++) {
		s = run->model->services[c->v[i].service];
		for (k = 0; k < s->n_backends; k++) {
			b = &s->backends[k];
			if (!b->drain && b->weight && (b->health == BALANCE_UP || s->fallback == BALANCE_OPEN))
				break;
		}
		if (k == s->n_backends)
			cli_warn(verb, "%s has no backend left that takes new flows: they are %s; sluice balance show %s has all", s->name,
				 s->fallback == BALANCE_RESET ? "refused" : "dropped", s->name);
	}
}

static int drain(struct balance_run *run, struct choice *c, int *rc, struct sluice_err *err)
{
	enum waited how = WAITED_DONE;
	size_t i;
	int e = 0;

	for (i = 0; !e && i < c->n; i++)
		e = say_drain(run->live, &c->v[i], true, err);
	e = e ?: commit(run, NULL, err);
	if (e)
		return e;
	say_changed(c, "drains: no new flows", "is draining already");
	fflush(stdout);
	warn_none(&balance_drain_verb, run, c);
	if (!o.no_wait) {
		e = wait_out(run, c, &how, err);
		*rc = e ? 0 : conclude(c, how);
		return e;
	}
	e = left_count(run->live, c, o.idle_ns, 0, err);
	if (!e && cli.json)
		*rc = cli_json(json_pack("{s:s, s:o, s:o}", "result", "draining", "flows",
					 json_left(left_sum(c), left_known(c)), "backends",
					 json_chosen(c, true)));
	return e;
}

int balance_drain_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct choice c = {NULL, 0};
	struct balance_run run;
	char **args;
	int n, e, rc;

	o.idle_ns = 60 * SECOND;
	rc = cli_parse(&balance_drain_verb, argc, argv, &args, &n);
	if (rc >= 0)
		return rc;
	if (o.wait_given && o.no_wait)
		return cli_usage(&balance_drain_verb, "--wait and --no-wait exclude each other");
	if (o.idle_ns < IDLE_LEAST_NS || o.idle_ns > 3000 * SECOND)
		return cli_usage(&balance_drain_verb, "--idle is from 5s to 50m");
	cli_catch_signals();
	rc = EXIT_DONE;
	e = balance_run_open(&run, true, &err);
	e = e ?: choose(run.model, args, n, &c, &err);
	e = e ?: drain(&run, &c, &rc, &err);
	free(c.v);
	balance_run_close(&run);
	return e ? cli_fail(&balance_drain_verb, &err) : rc;
}

/* What keeps a backend from getting new flows although it is not draining. */
static void warn_idle(const struct cli_verb *verb, const struct balance_run *run, const struct choice *c)
{
	const struct balance_backend *b;
	size_t i;

	for (i = 0; i < c->n; i++) {
		b = &run->model->services[c->v[i].service]->backends[c->v[i].backend];
		if (b->health == BALANCE_DOWN)
			cli_warn(verb, "%s of %s is down: it gets no packets", c->v[i].name,
				 c->v[i].service_name);
		else if (!b->weight && !b->drain && verb == &balance_undrain_verb)
			cli_warn(verb, "%s of %s has weight 0: sluice balance set-weight gives it another",
				 c->v[i].name, c->v[i].service_name);
		else if (b->drain)
			cli_warn(verb, "%s of %s is draining: sluice balance undrain ends that", c->v[i].name,
				 c->v[i].service_name);
	}
}

int balance_undrain_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct choice c = {NULL, 0};
	struct balance_run run;
	char **args;
	size_t i;
	int n, e, rc = cli_parse(&balance_undrain_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	e = balance_run_open(&run, true, &err);
	e = e ?: choose(run.model, args, n, &c, &err);
	for (i = 0; !e && i < c.n; i++)
		e = say_drain(run.live, &c.v[i], false, &err);
	e = e ?: commit(&run, NULL, &err);
	if (!e) {
		say_changed(&c, "gets new flows again", "was not draining");
		warn_idle(&balance_undrain_verb, &run, &c);
		rc = cli.json ? cli_json(json_chosen(&c, false)) : EXIT_DONE;
	}
	free(c.v);
	balance_run_close(&run);
	return e ? cli_fail(&balance_undrain_verb, &err) : rc;
}

static int weigh(struct balance_run *run, struct choice *c, const char *word, struct sluice_err *err)
{
	struct balance_backend *b;
	uint64_t weight = 0;
	size_t i;
	int e = strcmp(word, "policy") != 0 ? text_u64(word, 0, MAGLEV_WEIGHT_MAX, &weight, err) : 0;

	for (i = 0; !e && i < c->n; i++)
		e = say_weight(run->live, &c->v[i], word, (uint32_t)weight, err);
	e = e ?: commit(run, NULL, err);
	for (i = 0; !e && !cli.json && i < c->n; i++) {
		b = &run->model->services[c->v[i].service]->backends[c->v[i].backend];
		printf("%s of %s has weight %u", c->v[i].name, c->v[i].service_name, b->weight);
		if (c->v[i].before.weight != b->weight)
			printf(", before %u", c->v[i].before.weight);
		putchar('\n');
	}
	return e;
}

static json_t *json_weights(const struct balance_run *run, const struct choice *c)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < c->n; i++)
		json_array_append_new(all,
				      json_pack("{s:s, s:s, s:b, s:i, s:i}", "service", c->v[i].service_name,
						"backend", c->v[i].name, "changed", c->v[i].changed, "weight",
						(int)run->model->services[c->v[i].service]
							->backends[c->v[i].backend]
							.weight,
						"before", (int)c->v[i].before.weight));
	return all;
}

int balance_set_weight_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct choice c = {NULL, 0};
	struct balance_run run;
	char **args;
	int n, e, rc = cli_parse(&balance_set_weight_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	if (n == 2 && strpbrk(args[1], ".:")) /* SERVICE BACKEND */
		return cli_usage(&balance_set_weight_verb,
				 "which weight? sluice balance set-weight %s %s WEIGHT|policy", args[0],
				 args[1]);
	e = balance_run_open(&run, true, &err);
	e = e ?: choose(run.model, args, n - 1, &c, &err);
	e = e ?: weigh(&run, &c, args[n - 1], &err);
	if (!e) {
		warn_idle(&balance_set_weight_verb, &run, &c);
		warn_none(&balance_set_weight_verb, &run, &c);
		rc = cli.json ? cli_json(json_weights(&run, &c)) : EXIT_DONE;
	}
	free(c.v);
	balance_run_close(&run);
	return e ? cli_fail(&balance_set_weight_verb, &err) : rc;
}
