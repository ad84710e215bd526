// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The daemon's part for the balancer: which generation is followed, and what there is to be done when. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/balance_serve_inside.h"
#include "control/inside.h"

#define LOOK_NS (MS(500)) /* for another policy, where nobody tells of it */

static void give_up_alone(struct serve *s);

int serve_new(const struct serve_options *options, struct serve **to, struct sluice_err *err)
{
	struct serve *s = calloc(1, sizeof(*s));
	struct epoll_event e = {.events = EPOLLIN};
	int fds[3], code = s ? 0 : err_nomem(err);
	size_t i;

	*to = NULL;
	if (code)
		return code;
	s->o = *options;
	s->alone_fd = -1;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->epoll < 0 || s->inotify < 0)
		code = err_set(err, -errno, "watching the policy: %s", strerror(errno));
	code = code ?: serve_health_new(s, err) ?: ways_new(true, &s->ways, err);
	if (!code) {
		fds[0] = health_fd(s->health);
		fds[1] = ways_fd(s->ways);
		fds[2] = s->inotify;
		for (i = 0; !code && i < 3; i++)
			if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fds[i], &e))
				code = err_set(err, -errno, "watching the policy: %s", strerror(errno));
	}
	if (code)
		serve_free(s);
	else
		*to = s;
	return code;
}

void serve_free(struct serve *s)
{
	if (!s)
		return;
	health_free(s->health);
	ways_free(s->ways);
	inner_free(s->inner);
	targets_free(&s->t);
	hops_free(&s->hops);
	free(s->all_down);
	balance_live_close(s->b);
	control_state_close(s->st);
	if (s->epoll >= 0)
		close(s->epoll);
	if (s->inotify >= 0)
		close(s->inotify);
	give_up_alone(s);
	free(s);
}

int serve_fd(const struct serve *s)
{
	return s->epoll;
}

void serve_again(struct serve *s)
{
	s->look_ns = 0;
	s->generation[0] = '\0';
}

void serve_tell(struct serve *s, bool routine, const char *fmt, ...)
{
	char text[640];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	s->o.say(s->o.ctx, routine, text);
}

void serve_trouble(struct serve *s, const char *why)
{
	if (strncmp(s->trouble, why, sizeof(s->trouble) - 1) != 0)
		serve_tell(s, false, "%s", why);
	snprintf(s->trouble, sizeof(s->trouble), "%.511s", why);
}

static void say_target(void *ctx, const char *sentence)
{
	serve_tell(ctx, false, "%s", sentence);
}

static void give_up_alone(struct serve *s)
{
	if (s->alone_fd < 0)
		return;
	if (control_same_file(s->alone_fd, s->alone))
		unlink(s->alone);
	close(s->alone_fd);
	s->alone_fd = -1;
}

/* Two daemons would write ways over each other: the one that was first has the balancer until it ends. */
static bool is_alone(struct serve *s, const struct control_state *st)
{
	if (s->alone_fd >= 0 && control_same_file(s->alone_fd, s->alone))
		return true;
	give_up_alone(s);
	snprintf(s->alone, sizeof(s->alone), "%s/serve", st->run);
	s->alone_fd = open(s->alone, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->alone_fd >= 0 && !flock(s->alone_fd, LOCK_EX | LOCK_NB) &&
	    control_same_file(s->alone_fd, s->alone)) {
		s->elsewhere = false;
		return true;
	}
	if (s->alone_fd >= 0)
		close(s->alone_fd);
	s->alone_fd = -1;
	if (!s->elsewhere)
		serve_tell(s, false,
			   "another sluice serve checks the backends here; this one takes over when it ends");
	s->elsewhere = true;
	return false;
}

/* Nothing is followed: no policy, or one without a balancer. */
static int let_go(struct serve *s, struct sluice_err *err)
{
	struct targets none = {0};
	int e = health_apply(s->health, NULL, 0, NULL, 0, NULL, err) ?: ways_want(s->ways, NULL, 0, err);

	if (e)
		return e;
	if (s->b)
		serve_tell(s, false, "no services are in force any more");
	s->n_pending = 0;
	targets_replace(&s->t, NULL, &none);
	inner_free(s->inner);
	s->inner = NULL;
	serve_say_all_down(s);
	balance_live_close(s->b);
	control_state_close(s->st);
	hops_free(&s->hops);
	s->b = NULL;
	s->st = NULL;
	return 0;
}

/*
 * What packets are to find of backends that nobody checks any more, and of verdicts that the state does not have, as
 * when a trial was taken back.
 */
static void reconcile(struct serve *s)
{
	struct balance_live_backend b;
	struct health_look look;
	struct checked *c;
	bool by_health;
	size_t i;

	s->n_pending = 0;
	for (i = 0; i < s->t.n; i++) {
		c = s->t.v[i];
		c->pending = false;
		if (balance_live_backend(s->b, c->at_service, c->at_backend, &b, NULL))
			continue;
		by_health = b.set.said[BALANCE_MATTER_HEALTH].who == BALANCE_WHO_HEALTH;
		if (!c->is_checked) {
			if (by_health)
				serve_pend(s, c, true, b.now.health != BALANCE_UP);
			continue;
		}
		if (health_look(s->health, (uint64_t)(uintptr_t)c, &look))
			continue;
		c->up = look.up;
		if (look.proven && (look.up != (b.now.health == BALANCE_UP) || !by_health))
			serve_pend(s, c, look.up, look.up != (b.now.health == BALANCE_UP));
	}
}

/* What the state says of a backend is where its checks begin. */
static void set_known(struct targets *t, struct balance_live *b)
{
	struct balance_live_backend now;
	size_t i;

	for (i = 0; i < t->n_targets; i++) {
		if (balance_live_backend(b, t->places[i][0], t->places[i][1], &now, NULL) ||
		    now.set.said[BALANCE_MATTER_HEALTH].who == BALANCE_WHO_NOBODY)
			continue;
		t->targets[i].known = true;
		t->targets[i].known_up = now.now.health == BALANCE_UP;
	}
}

/* Checks through tunnels, if there are any. Those that are under way keep theirs until settle_inner(). */
static int put_inner(struct serve *s, const struct targets *t, struct sluice_err *err)
{
	int e = 0;

	if (!t->n_inner)
		return 0;
	if (!s->inner)
		e = inner_new(&s->inner, err);
	return e ?: inner_put(s->inner, t->inner, t->n_inner, say_target, s, err);
}

/* What is checked now takes its tunnels, or none. */
static void settle_inner(struct serve *s)
{
	struct sluice_err why;

	if (!s->inner)
		return;
	if (s->t.n_inner) {
		if (inner_settle(s->inner, &why))
			serve_trouble(s, why.text);
		return;
	}
	inner_free(s->inner);
	s->inner = NULL;
}

/* What is checked, and the way there. Where checks cannot go through tunnels, they go past them, until the next policy. */
static int make_targets(struct serve *s, const struct balance_model *m, const struct policy *p, struct targets *t,
			struct sluice_err *err)
{
	struct sluice_err why;
	int e = targets_make(m, p, &s->t, !s->past_tunnels, say_target, s, t, err), cannot;

	cannot = e ? 0 : put_inner(s, t, &why);
	if (!cannot)
		return e;
	serve_tell(s, false, "checks go past tunnels, straight to backends: %s", why.text);
	s->past_tunnels = cannot == -EOPNOTSUPP;
	targets_drop(&s->t, t);
	return targets_make(m, p, &s->t, false, say_target, s, t, err);
}

/* The generation takes the place of the one before; on failure that one goes on being followed. */
static int follow(struct serve *s, const char *name, struct sluice_err *err)
{
	struct control_state *st = NULL;
	struct balance_live *b = NULL;
	struct policy *policy = NULL;
	struct health_applied done = {0};
	struct targets t = {0};
	int e = control_state_open(s->o.bpffs, false, &st, err) ?: balance_live_is_there(st, name, err);

	/* first: who waits for another daemon asks twice a second */
	if (!e && !is_alone(s, st))
		e = -EBUSY;
	e = e ?: balance_live_open(st, name, &b, err);
	e = e ?: control_generation_policy(st, name, &policy, err);
	e = e ?: make_targets(s, balance_live_model(b), policy, &t, err);
	if (!e) {
		set_known(&t, b);
		e = health_apply(s->health, t.probes, t.n_probes, t.targets, t.n_targets, &done, err);
		if (e)
			targets_drop(&s->t, &t);
	}
	policy_free(policy);
	if (e) {
		balance_live_close(b);
		control_state_close(st);
		return e;
	}
	targets_replace(&s->t, balance_live_model(b), &t);
	settle_inner(s);
	balance_live_close(s->b);
	control_state_close(s->st);
	s->b = b;
	s->st = st;
	s->commit = true; /* also what a process that was killed left half done */
	s->commit_ns = s->settle_ns = 0;
	serve_tell(s, s->followed && !done.added && !done.removed && !done.changed,
		   "policy %s: %zu services, %zu of %zu backends checked", name,
		   balance_live_model(b)->n_services, s->t.n_targets, s->t.n);
	s->followed = true;
	reconcile(s);
	serve_checks_anew(s);
	return serve_ways_want(s, err);
}

/*
 * Is a policy in force whose maps cannot be found from here? Looked at twice: another one may have taken its place in
 * between.
 */
static bool is_lost(const struct serve *s, struct sluice_err *why)
{
	struct control_state *st = NULL;
	char name[CONTROL_NAME] = "";
	bool lost = true;
	int i, e;

	for (i = 0; i < 2 && lost; i++) {
		e = control_state_open(s->o.bpffs, false, &st, NULL);
		e = e ?: control_state_current(st, name, NULL, NULL);
		if (e == -ENOENT && st) /* on trial: until when is in a map */
			snprintf(name, sizeof(name), "%s", st->record.live);
		lost = (!e || (e == -ENOENT && st)) && name[0] && control_state_pinned(st, name, why);
		control_state_close(st);
		st = NULL;
	}
	return lost;
}

static int look(struct serve *s, uint64_t now, struct sluice_err *err)
{
	struct control_state *st = NULL;
	struct sluice_err why = {0};
	char name[CONTROL_NAME] = "";
	uint64_t trial_ns = 0;
	int e = control_state_open(s->o.bpffs, false, &st, &why)
			?: control_state_current(st, name, &trial_ns, &why);

	s->look_ns = now + LOOK_NS;
	if (trial_ns && trial_ns < LOOK_NS) /* it is over a tick later at the latest */
		s->look_ns = now + trial_ns + MS(10);
	if (!e)
		inotify_add_watch(s->inotify, st->run, IN_MOVED_TO | IN_ONLYDIR);
	control_state_close(st);
	if ((e == -ENOENT || (!e && name[0] && strcmp(name, s->generation) != 0)) && is_lost(s, &why))
		return err_set(err, -EIO, "%s", why.text);
	if (!e && (!name[0] || strcmp(name, s->generation))) {
		e = name[0] ? follow(s, name, &why) : -ENOENT;
		if (e == -EBUSY)
			name[0] = '\0';
		if (e == -ENOENT || e == -EBUSY)
			e = let_go(s, &why);
		if (!e)
			snprintf(s->generation, sizeof(s->generation), "%s", name);
	}
	if (e == -EPERM || e == -ENOMEM)
		return err_set(err, e, "%s", why.text);
	if (e)
		serve_trouble(s, why.text);
	else
		s->trouble[0] = '\0';
	return 0;
}

/* Only the record matters: files of services come and go with every change. */
static bool record_changed(struct serve *s)
{
	_Alignas(struct inotify_event) char buf[16384];
	const struct inotify_event *e;
	bool changed = false;
	ssize_t n, at;

	while ((n = read(s->inotify, buf, sizeof(buf))) > 0)
		for (at = 0; at + (ssize_t)sizeof(*e) <= n; at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const struct inotify_event *)(const void *)(buf + at);
			changed |= e->mask & IN_Q_OVERFLOW || (e->len && !strcmp(e->name, "record"));
		}
	return changed;
}

static void sooner(uint64_t *wait_ns, uint64_t at, uint64_t now)
{
	uint64_t ns = at > now ? at - now : 0;

	if (ns < *wait_ns)
		*wait_ns = ns;
}

int serve_turn(struct serve *s, uint64_t *wait_ns, struct sluice_err *err)
{
	uint64_t now, ways_ns = 0;
	int e = health_run(s->health, err);

	/* verdicts first: packets are waiting for them */
	if (!e && s->b)
		e = serve_commit(s, err);
	now = clock_mono_ns();
	if (!e && (record_changed(s) || now >= s->look_ns))
		e = look(s, now, err);
	if (!e)
		e = ways_turn(s->ways, serve_way_changed, s, &ways_ns, err);
	if (!e && s->b)
		e = serve_commit(s, err);
	if (!e && s->b)
		e = serve_settle(s, clock_mono_ns(), err);
	now = clock_mono_ns();
	if (!e)
		serve_checks(s, now);
	*wait_ns = ways_ns;
	sooner(wait_ns, s->look_ns, now);
	if (s->b && (s->commit || s->n_pending || s->n_ways))
		sooner(wait_ns, s->commit_ns > s->free_ns ? s->commit_ns : s->free_ns, now);
	if (s->b)
		sooner(wait_ns, s->settle_ns, now);
	if (s->checks_ns)
		sooner(wait_ns, s->checks_ns, now);
	return e;
}

void serve_sum(const struct serve *s, struct serve_sum *sum)
{
	struct health_stats stats;
	size_t i;

	health_stats(s->health, &stats);
	*sum = (struct serve_sum){.elsewhere = s->elsewhere,
				  .services = s->b ? (uint32_t)balance_live_model(s->b)->n_services : 0,
				  .backends = (uint32_t)s->t.n,
				  .checked = (uint32_t)s->t.n_targets,
				  .waiting = s->n_pending,
				  .probes = stats.probes,
				  .late_max_ns = stats.late_max_ns};
	for (i = 0; i < s->t.n; i++)
		sum->down += s->t.v[i]->is_checked && !s->t.v[i]->up;
}
