// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The engine: what is due is started, what is ready goes on, what took too long ends; changes are told. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "health/inside.h"

#define RESERVED_FILES 128u /* of the limit of descriptors are left to the rest of the process */
#define EVENTS 256	    /* taken from epoll at a time */
#define STARTS 512	    /* in one health_run(): answers get their turn in between */
/* What begins within the one, or is too late within the other, is done together: fewer wakeups. */
#define SLACK_NS 4000000u
#define END_SLACK_NS 1000000u
/* Who is called so late gives probes the time back that they had no chance to use. */
#define STALL_NS 20000000u
#define DYING_NS \
	1000000000u /* at the end a killed program that does not go (a disk that hangs) is left to init after so long */

/* SplitMix64: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014. */
uint64_t health_chance(struct health *h)
{
	uint64_t x = h->chance += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

int health_new(const struct health_options *options, struct health **to, struct sluice_err *err)
{
	struct rlimit files;
	struct health *h;
	int code;

	*to = NULL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_nomem(err);
	h->o = *options;
	h->epoll = h->timer = -1;
	h->armed_ns = STATE_NEVER;
	h->o.max_flights = options->max_flights ? options->max_flights : HEALTH_FLIGHTS;
	h->o.max_commands = options->max_commands ? options->max_commands : HEALTH_COMMANDS;
	if (!getrlimit(RLIMIT_NOFILE, &files) &&
	    files.rlim_cur < h->o.max_flights + (uint64_t)RESERVED_FILES) {
		if (files.rlim_cur <= RESERVED_FILES) {
			code = err_set(err, -ENOSPC,
				       "health checks: the limit of open files is %llu, more than %u are "
				       "needed: "
				       "raise it (ulimit -n, LimitNOFILE=)",
				       (unsigned long long)files.rlim_cur, RESERVED_FILES);
			goto fail;
		}
		h->o.max_flights = (uint32_t)(files.rlim_cur - RESERVED_FILES);
	}
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	h->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (h->epoll < 0 || h->timer < 0 ||
	    epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->timer,
		      &(struct epoll_event){.events = EPOLLIN, .data.u64 = UINT64_MAX})) {
		code = err_set(err, -errno, "health checks: no epoll or timer: %m");
		goto fail;
	}
	h->flights = calloc(h->o.max_flights, sizeof(struct flight *));
	if (!h->flights || !heap_reserve(&h->ends, h->o.max_flights)) {
		code = err_nomem(err);
		goto fail;
	}
	if (getrandom(&h->chance, sizeof(h->chance), GRND_NONBLOCK) != sizeof(h->chance))
		h->chance = clock_mono_ns() ^ (uint64_t)getpid() << 32;
	*to = h;
	return 0;
fail:
	health_free(h);
	return code;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	h->over_ns = clock_mono_ns() + DYING_NS;
	for (size_t i = 0; i < h->n_targets; i++) {
		health_cancel(h, h->targets[i]);
		free(h->targets[i]);
	}
	for (uint32_t i = 0; i < h->n_flights; i++) {
		if (h->flights[i]->stage == STAGE_DYING && h->flights[i]->pidfd >= 0)
			h->flights[i]->kind->stop(h, h->flights[i]);
		flight_release(h, h->flights[i]);
		free(h->flights[i]);
	}
	for (size_t i = 0; i < h->n_rules; i++)
		rule_free(h->rules[i]);
	if (h->timer >= 0)
		close(h->timer);
	if (h->epoll >= 0)
		close(h->epoll);
	tls_trust_free(&h->trust);
	heap_free(&h->due);
	heap_free(&h->ends);
	free(h->flights);
	free(h->targets);
	free(h->rules);
	free(h);
}

int health_fd(const struct health *h)
{
	return h->epoll;
}

static struct queue *queue_of(struct health *h, const struct target *t)
{
	return &h->queues[t->rule->p.kind == HEALTH_COMMAND];
}

static void enqueue(struct health *h, struct target *t)
{
	struct queue *q = queue_of(h, t);

	t->queued = true;
	t->next = NULL;
	t->prev = q->last;
	*(q->last ? &q->last->next : &q->first) = t;
	q->last = t;
	h->stats.waiting++;
}

static void dequeue(struct health *h, struct target *t)
{
	struct queue *q = queue_of(h, t);

	if (!t->queued)
		return;
	*(t->prev ? &t->prev->next : &q->first) = t->next;
	*(t->next ? &t->next->prev : &q->last) = t->prev;
	t->queued = false;
	h->stats.waiting--;
}

void health_schedule(struct health *h, struct target *t)
{
	dequeue(h, t);
	if (t->s.next_ns == STATE_NEVER)
		heap_drop(&h->due, &t->due);
	else
		heap_put(&h->due, &t->due, t->s.next_ns);
}

/* A flight's end, told or not; its slot is free unless a command is still dying. */
static void end(struct health *h, struct flight *f)
{
	struct target *t = f->target;

	heap_drop(&h->ends, &f->end);
	*(f->prev ? &f->prev->next : &t->flights) = f->next;
	if (f->next)
		f->next->prev = f->prev;
	f->target = NULL;
	if (!f->kind->stop(h, f)) {
		flight_release(h, f);
		return;
	}
	/* it takes no other command's place, but its target's next one waits for it: there is one a target at most */
	h->stats.commands--;
	h->n_dying++;
}

/* Was a command of the target killed, and is still there? */
static bool is_dying(const struct health *h, const struct target *t)
{
	for (uint32_t i = 0; h->n_dying && i < h->n_flights; i++)
		if (h->flights[i]->kind && h->flights[i]->stage == STAGE_DYING &&
		    h->flights[i]->of == t->t.id)
			return true;
	return false;
}

void health_cancel(struct health *h, struct target *t)
{
	while (t->flights) {
		h->stats.cancelled++;
		end(h, t->flights);
	}
	dequeue(h, t);
	heap_drop(&h->due, &t->due);
}

static void tell(struct health *h, struct target *t, unsigned int bits, uint64_t now_ns)
{
	struct health_event e = {.id = t->t.id, .up = t->s.up, .first = bits & STATE_PROVEN, .why = t->why};

	if (bits & STATE_CHANGED)
		t->since_ns = now_ns;
	e.since_ns = t->since_ns;
	if (bits & (STATE_CHANGED | STATE_PROVEN) && h->o.on_change)
		h->o.on_change(h->o.arg, &e);
}

static void finish(struct health *h, struct flight *f, enum step step)
{
	static const enum state_outcome outcomes[] =
		{[STEP_GOOD] = STATE_GOOD, [STEP_BAD] = STATE_BAD, [STEP_UNTOLD] = STATE_UNTOLD};
	struct target *t = f->target;
	uint64_t now = clock_mono_ns();
	struct health_result result = {.id = t->t.id,
				       .outcome = (enum health_outcome)step,
				       .took_ns = now - f->start_ns,
				       .why = t->why};
	unsigned int bits;

	snprintf(t->why, sizeof(t->why), "%s", f->why);
	t->last_ns = now;
	t->took_ns = result.took_ns;
	t->last = (uint8_t)step;
	(*(step == STEP_GOOD ? &h->stats.good : step == STEP_BAD ? &h->stats.bad : &h->stats.untold))++;
	end(h, f);
	bits = state_answer(&t->s, &t->rule->r, outcomes[step], t->flights, now, health_chance(h));
	if (bits & STATE_ENDED)
		health_cancel(h, t);
	health_schedule(h, t);
	if (h->o.on_result)
		h->o.on_result(h->o.arg, &result);
	tell(h, t, bits, now);
}

/* false: there is no slot for it */
static bool launch(struct health *h, struct target *t)
{
	bool command = t->rule->p.kind == HEALTH_COMMAND;
	struct flight *f;
	uint64_t now, late;
	enum step step;

	if (command && h->stats.commands >= h->o.max_commands)
		return false;
	f = flight_take(h);
	if (!f)
		return false;
	now = clock_mono_ns();
	late = now > t->s.next_ns ? now - t->s.next_ns : 0;
	h->stats.late_max_ns = late > h->stats.late_max_ns ? late : h->stats.late_max_ns;
	h->stats.commands += command;
	h->stats.probes++;
	state_started(&t->s, &t->rule->r, now);
	health_schedule(h, t);
	f->kind = rule_kind(t->rule);
	f->target = t;
	f->of = t->t.id;
	f->start_ns = now;
	f->prev = NULL;
	f->next = t->flights;
	if (f->next)
		f->next->prev = f;
	t->flights = f;
	heap_put(&h->ends, &f->end, now + t->rule->p.timeout_ns);
	if (command && is_dying(h, t)) {
		flight_why(f, "the program of the last check was killed and is still there");
		step = STEP_BAD;
	} else {
		step = f->kind->start(h, f);
	}
	if (step != STEP_WAIT)
		finish(h, f, step);
	return true;
}

static void take_event(struct health *h, const struct epoll_event *e)
{
	uint32_t index = (uint32_t)e->data.u64 >> 1;
	struct flight *f;
	enum step step;

	if (e->data.u64 == UINT64_MAX || index >= h->n_flights)
		return;
	f = h->flights[index];
	if (f->generation != e->data.u64 >> 32 || !f->kind)
		return;
	f->seen = e->events;
	step = f->kind->ready(h, f, e->data.u64 & 1);
	if (f->stage == STAGE_DYING) {
		if (step != STEP_WAIT)
			flight_release(h, f);
	} else if (step != STEP_WAIT) {
		finish(h, f, step);
	}
}

static int take_events(struct health *h, struct sluice_err *err)
{
	struct epoll_event events[EVENTS];
	int n;

	/* twice what can be in flight, so that a peer who is always ready does not keep the rest waiting */
	for (uint32_t turns = 2 + 2 * h->stats.flights / EVENTS; turns; turns--) {
		n = epoll_wait(h->epoll, events, EVENTS, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, -errno, "health checks: epoll_wait: %m");
		for (int i = 0; i < n; i++)
			take_event(h, &events[i]);
		if (n < EVENTS)
			break;
	}
	return 0;
}

static void time_out(struct health *h, uint64_t now_ns)
{
	struct heap_node *node;
	struct flight *f;

	while ((node = heap_first(&h->ends)) && node->at <= now_ns) {
		f = (struct flight *)((char *)node - offsetof(struct flight, end));
		f->kind->silent(f);
		finish(h, f, STEP_BAD);
	}
}

/* true: something was started */
static bool start_due(struct health *h, uint64_t now_ns)
{
	struct heap_node *node;
	struct target *t;
	unsigned int starts = STARTS;

	for (unsigned int i = 0; i < 2; i++)
		while (starts && h->queues[i].first && launch(h, h->queues[i].first))
			starts--;
	while (starts && (node = heap_first(&h->due)) && node->at <= now_ns) {
		t = (struct target *)((char *)node - offsetof(struct target, due));
		heap_drop(&h->due, node);
		if (queue_of(h, t)->first || !launch(h, t))
			enqueue(h, t);
		else
			starts--;
	}
	return starts < STARTS;
}

int health_arm(struct health *h, struct sluice_err *err)
{
	struct heap_node *due = heap_first(&h->due), *ends = heap_first(&h->ends);
	uint64_t at = STATE_NEVER, now = clock_mono_ns();
	struct itimerspec when = {0};

	if (due)
		at = later(due->at, now + SLACK_NS);
	if (ends && later(ends->at, now + END_SLACK_NS) < at)
		at = later(ends->at, now + END_SLACK_NS);
	/* those that wait for a slot get it when a flight ends; only memory that is short comes back by itself */
	if (h->stats.waiting && !h->stats.flights)
		at = now + SLACK_NS;
	if (at == h->armed_ns || (h->armed_ns > now && h->armed_ns <= at && at - h->armed_ns < END_SLACK_NS))
		return 0;
	h->armed_ns = at;
	if (at != STATE_NEVER) {
		when.it_value.tv_sec = (time_t)(at / 1000000000u);
		when.it_value.tv_nsec = (long)(at % 1000000000u);
	}
	/* this takes back an expiry that nobody has read, too */
	if (timerfd_settime(h->timer, TFD_TIMER_ABSTIME, &when, NULL))
		return err_set(err, -errno, "health checks: timerfd_settime: %m");
	return 0;
}

int health_run(struct health *h, struct sluice_err *err)
{
	uint64_t now = clock_mono_ns(), late = now > h->armed_ns ? now - h->armed_ns : 0;
	int code;

	/* the same for all keeps their order */
	for (size_t i = 0; late > STALL_NS && i < h->ends.n; i++)
		h->ends.nodes[i]->at += late;
	code = take_events(h, err);
	if (code)
		return code;
	time_out(h, now);
	/* some answer at once: that is cheaper seen now than told to the caller's loop */
	if (start_due(h, clock_mono_ns()))
		code = take_events(h, err);
	return code ? code : health_arm(h, err);
}

struct target *health_find(const struct health *h, uint64_t id)
{
	size_t lo = 0, hi = h->n_targets, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (h->targets[mid]->t.id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < h->n_targets && h->targets[lo]->t.id == id ? h->targets[lo] : NULL;
}

int health_look(const struct health *h, uint64_t id, struct health_look *look)
{
	const struct target *t = health_find(h, id);

	*look = (struct health_look){0};
	if (!t)
		return -ENOENT;
	*look = (struct health_look){.up = t->s.up,
				     .proven = t->s.proven,
				     .held = t->s.held,
				     .since_ns = t->since_ns,
				     .changes = t->s.changes,
				     .penalty = state_penalty(&t->s, &t->rule->r, clock_mono_ns()),
				     .last = (enum health_outcome)t->last,
				     .last_ns = t->last_ns,
				     .took_ns = t->took_ns,
				     .why = t->why};
	return 0;
}

void health_stats(const struct health *h, struct health_stats *stats)
{
	*stats = h->stats;
}
