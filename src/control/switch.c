// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From one generation to the next on live interfaces. Programs and interfaces: lay.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/build.h"
#include "control/carry.h"
#include "control/carry_nat.h"
#include "control/inside.h"
#include "control/lay.h"
#include "control/store.h"
#include "control/switch.h"

static void name_set(char to[CONTROL_NAME], const char *from)
{
	if (to != from)
		snprintf(to, CONTROL_NAME, "%s", from);
}

static int note(struct control_state *st, enum control_change change, struct sluice_err *err)
{
	int e;

	st->record.change = change;
	e = control_state_record(st, err);
	control_step(st, "record");
	return e;
}

static int store_until(const struct control_state *st, const char *name, uint64_t until_ns,
		       struct sluice_err *err)
{
	int fd = control_state_map(st, name, CONTROL_TRIAL_UNTIL, 0, err), e = 0;
	uint32_t zero = 0;

	if (fd < 0)
		return fd;
	if (bpf_map_update_elem(fd, &zero, &until_ns, BPF_ANY))
		e = err_set(err, -errno, "writing the deadline of policy %s: %s", name, strerror(errno));
	close(fd);
	control_step(st, "deadline");
	return e;
}

void control_warn(const struct control_state *st, const struct sluice_err *why, const char *what)
{
	/* that a backend does not answer gives way to what concerns the whole policy */
	if (st->warned && (!st->warned->code || st->warned->code == -EHOSTUNREACH))
		err_set(st->warned, why->code, "%s: %s", what, why->text);
}

/* What packets meet has changed already: a failure cannot take that back. */
static void confirmed(const struct control_state *st, const char *name)
{
	struct sluice_err why = {0};

	if (store_confirm(st, name, &why))
		control_warn(st, &why, "done, but not noted for the next boot");
	control_step(st, "confirmed");
}

/* Without a privilege, or memory, the next one tries again. */
static bool can_wait(int e)
{
	return e == -EPERM || e == -ENOMEM;
}

/* Counters that cannot be carried over are lost; the policy is not. */
static int counts(const struct control_state *st,
		  int (*carry)(const struct control_state *, const char *, const char *, struct sluice_err *),
		  const char *from, const char *to, struct sluice_err *err)
{
	struct sluice_err why = {0};
	int e = carry(st, from, to, &why);

	control_step(st, "counters");
	if (can_wait(e))
		return err_set(err, e, "%s", why.text);
	if (e)
		control_warn(st, &why, "counters do not go on");
	return 0;
}

/* What is refused goes on through the detour, which is as right. */
static int direct(const struct control_state *st, const char *to, const char *from, struct sluice_err *err)
{
	struct sluice_err why = {0};
	int e = lay_direct(st, to, from, NULL, &why);

	if (can_wait(e))
		return err_set(err, e, "%s", why.text);
	if (e)
		control_warn(st, &why, "left as it is");
	return 0;
}

/* --- the end of each kind of change; all can be done again --- */

static bool is_empty(const char *name)
{
	return !strcmp(name, CONTROL_EMPTY);
}

static int end(struct control_state *st, struct sluice_err *err)
{
	struct control_record *r = &st->record;

	r->next[0] = '\0';
	if (is_empty(r->live))
		r->live[0] = '\0';
	return note(st, CONTROL_NONE, err);
}

/* live's programs go where the detours are; what is only on other's interfaces is taken off. */
static int settle(struct control_state *st, const char *other, struct sluice_err *err)
{
	return direct(st, st->record.live, other, err) ?: end(st, err);
}

/* next is live. Putting a policy back in its own place is no step away from the one before it. */
static void follow(struct control_record *r)
{
	if (!control_same_policy(r->live, r->next))
		r->past[0] = '\0';
	else if (r->before[0] && !control_same_policy(r->before, r->live))
		name_set(r->past, r->before);
	name_set(r->before, r->live);
	name_set(r->live, r->next);
	r->next[0] = '\0';
	r->since_ns = clock_wall_ns();
	r->rolled_back_ns = 0;
	r->tried[0] = '\0';
}

/* next is in force for good. */
static int forward(struct control_state *st, struct sluice_err *err)
{
	struct control_record *r = &st->record;
	bool detours = r->change == CONTROL_JOINT;
	int e;

	carry_nat(st, r->live, r->next);
	e = counts(st, carry_counts, r->live, r->next, err);
	if (e)
		return e;
	confirmed(st, is_empty(r->next) ? "" : r->next);
	follow(r);
	e = note(st, detours ? CONTROL_SETTLE : CONTROL_NONE, err);
	return e || !detours ? e : settle(st, r->before, err);
}

/* next is on trial. */
static int begin_trial(struct control_state *st, struct sluice_err *err)
{
	struct control_record *r = &st->record;
	int e;

	carry_nat(st, r->live, r->next);
	e = counts(st, carry_counts, r->live, r->next, err);
	if (e)
		return e;
	follow(r);
	return note(st, CONTROL_TRIAL, err);
}

/* Out of the history, unless restore is to put it back. */
static void forget(const struct control_state *st, const char *name)
{
	char kept[CONTROL_NAME];
	int e = store_confirmed(st, kept, NULL);

	if (e == -ENOENT || (!e && strcmp(kept, name) != 0))
		store_forget(st, name);
}

/* One that was never in force. */
static void drop(const struct control_state *st, const char *name)
{
	build_drop(st, name);
	forget(st, name);
}

/* Nothing has changed for packets: detours go, the next generation goes. */
static int undo(struct control_state *st, struct sluice_err *err)
{
	struct control_record *r = &st->record;
	char gone[CONTROL_NAME];
	int e = r->change == CONTROL_JOINT ? direct(st, r->live, r->next, err) : 0;

	name_set(gone, r->next);
	e = e ?: end(st, err);
	if (e)
		return e;
	drop(st, gone);
	return 0;
}

/* The trial is over, what was before is in force again, through the detours. */
static int trial_over(struct control_state *st, bool by_itself, uint64_t until_ns, struct sluice_err *err)
{
	struct control_record *r = &st->record;

	name_set(r->next, r->live);
	name_set(r->live, r->before);
	r->before[0] = '\0';
	r->rolled_back_ns = by_itself ? clock_wall_ns() - (clock_mono_ns() - until_ns) : 0;
	name_set(r->tried, r->next);
	r->since_ns = by_itself ? r->rolled_back_ns : clock_wall_ns();
	return note(st, CONTROL_RETURN, err);
}

static int go_back(struct control_state *st, struct sluice_err *err)
{
	struct control_record *r = &st->record;
	char tried[CONTROL_NAME];
	int e;

	carry_nat(st, r->next, r->live);
	e = counts(st, carry_back, r->next, r->live, err);
	name_set(tried, r->next);
	if (!e && control_same_policy(tried, r->live))
		forget(st, tried); /* the policy has its place in the history already */
	e = e ?: settle(st, tried, err);
	if (!e)
		build_drop(st, tried);
	return e;
}

/* --- changes --- */

static int switch_one(struct control_state *st, const struct lay_want *want, struct sluice_err *err)
{
	struct control_record *r = &st->record;
	int e = note(st, CONTROL_APPLY, err);

	e = e ?: lay_direct(st, r->next, r->live, want, err);
	control_step(st, "switched");
	if (e) {
		undo(st, NULL);
		return e;
	}
	return forward(st, err);
}

static int switch_all(struct control_state *st, const struct lay_want *want, uint64_t trial_ns,
		      struct sluice_err *err)
{
	struct control_record *r = &st->record;
	int e = note(st, CONTROL_JOINT, err);

	e = e ?: lay_detours(st, r->next, r->live, want, err);
	if (!e) {
		carry_cells(st, r->live, r->next);
		carry_nat(st, r->live, r->next);
		control_step(st, "cells");
		e = store_until(st, r->next, trial_ns ? clock_mono_ns() + trial_ns : UINT64_MAX, err);
	}
	if (e) {
		undo(st, NULL);
		return e;
	}
	return trial_ns ? begin_trial(st, err) : forward(st, err);
}

int switch_to(struct control_state *st, const char *name, const struct policy *policy, uint64_t trial_ns,
	      struct sluice_err *err)
{
	struct lay_want want = {.policy = policy};
	uint32_t n;
	int e;

	name_set(st->record.next, name);
	e = lay_count(st, name, st->record.live, &n, err);
	/* room for noting it is found while there is a way back */
	if (!e && !trial_ns)
		e = store_ready(st, name, err);
	if (e) {
		drop(st, name);
		st->record.next[0] = '\0';
		return e;
	}
	return n == 1 && !trial_ns ? switch_one(st, &want, err) : switch_all(st, &want, trial_ns, err);
}

int switch_verify(struct control_state *st, const char *name, const struct policy *policy,
		  struct sluice_err *err)
{
	struct lay_want want = {.policy = policy, .only_verify = true};

	return lay_direct(st, name, "", &want, err);
}

static int keep_tried(struct control_state *st, struct sluice_err *err)
{
	confirmed(st, st->record.live);
	return note(st, CONTROL_SETTLE, err) ?: settle(st, st->record.before, err);
}

/* Its time was up between the look at the clock and the store: packets have been back, and forth again. */
static void say_late(const struct control_state *st, uint64_t until_ns)
{
	uint64_t now_ns = clock_mono_ns();
	struct sluice_err why = {0};

	if (now_ns < until_ns)
		return;
	err_set(&why, -ETIME,
		"the time of the trial had been over for %" PRIu64
		" ms at most, and packets may have met the policy before it",
		(now_ns - until_ns) / 1000000 + 1);
	control_warn(st, &why, "confirmed, but late");
}

int switch_confirm(struct control_state *st, struct sluice_err *err)
{
	struct control_record *r = &st->record;
	uint64_t until;
	int e;

	if (r->change != CONTROL_TRIAL)
		return err_set(err, -ENOENT, "no policy is on trial");
	/* disks may take their time: the clock is looked at behind them */
	e = store_ready(st, r->live, err);
	if (e == -ENOENT)
		return err_set(
			err, e,
			"what was kept of policy %s is gone, so no boot would bring it back; sluice rollback, then apply it again",
			r->live);
	control_step(st, "ready");
	e = e ?: control_until(st, r->live, &until, err);
	if (!e && until != UINT64_MAX && clock_mono_ns() >= until)
		return err_set(err, -ENOENT, "the time of the trial is up: it rolled back by itself");
	control_step(st, "in time");
	e = e ?: store_until(st, r->live, UINT64_MAX, err);
	if (!e)
		say_late(st, until);
	return e ?: keep_tried(st, err);
}

int switch_back(struct control_state *st, struct sluice_err *err)
{
	int e;

	if (st->record.change != CONTROL_TRIAL)
		return err_set(err, -ENOENT, "no policy is on trial");
	carry_nat(st, st->record.live, st->record.before);
	/* one nanosecond after the boot: long past, and not "not yet" */
	e = store_until(st, st->record.live, 1, err);
	e = e ?: trial_over(st, false, 1, err);
	return e ?: go_back(st, err);
}

static int finish_down(struct control_state *st, struct sluice_err *err)
{
	struct control_record *r = &st->record;
	int e = lay_nowhere(st, err);

	if (e)
		return e;
	confirmed(st, "");
	if (r->live[0])
		name_set(r->before, r->live);
	r->live[0] = r->past[0] = '\0';
	r->since_ns = clock_wall_ns();
	return end(st, err);
}

/* Several interfaces at once: to a generation that has none. */
static int down_all(struct control_state *st, struct sluice_err *err)
{
	struct control_generation empty = {.name = CONTROL_EMPTY, .hash = "-", .path = "-"};
	struct lay_want want = {.policy = NULL};
	int e = build_empty(st, &empty, err);

	if (e)
		return e;
	name_set(st->record.next, CONTROL_EMPTY);
	return switch_all(st, &want, 0, err) ?: lay_nowhere(st, err);
}

int switch_down(struct control_state *st, struct sluice_err *err)
{
	struct control_record *r = &st->record;
	uint32_t n = 0;
	int e = store_ready(st, "", err);

	if (!e && r->change == CONTROL_TRIAL)
		e = switch_back(st, err);
	if (!e && r->live[0] && lay_count(st, r->live, "", &n, NULL))
		n = 0; /* what cannot be read is taken off all the same */
	r->rolled_back_ns = 0;
	r->tried[0] = '\0';
	if (!e && n > 1)
		return down_all(st, err);
	e = e ?: note(st, CONTROL_DOWN, err);
	return e ?: finish_down(st, err);
}

int switch_off(struct control_state *st, struct sluice_err *err)
{
	struct sluice_err why = {0};
	int e;

	memset(&st->record, 0, sizeof(st->record));
	e = note(st, CONTROL_DOWN, &why);
	if (!e || can_wait(e))
		return e ? err_set(err, e, "%s", why.text) : finish_down(st, err);
	e = lay_nowhere(st, err);
	if (e)
		return e;
	confirmed(st, "");
	/* of what cannot be written, nothing is left that says otherwise: that needs no room */
	st->record.change = CONTROL_NONE;
	control_state_forget(st);
	control_warn(st, &why, "done, but not noted");
	return 0;
}

/* --- what was left --- */

static int mend_trial(struct control_state *st, struct sluice_err *err)
{
	uint64_t until;
	int e = control_until(st, st->record.live, &until, err);

	if (e)
		return e;
	if (until == UINT64_MAX) /* confirmed, and killed then */
		return keep_tried(st, err);
	if (clock_mono_ns() < until)
		return 0;
	e = trial_over(st, until > 1, until, err);
	return e ?: go_back(st, err);
}

static int mend_joint(struct control_state *st, struct sluice_err *err)
{
	uint64_t until;
	int e = control_until(st, st->record.next, &until, NULL);

	if (e || !until)
		return undo(st, err);
	if (until == UINT64_MAX)
		return forward(st, err);
	return begin_trial(st, err) ?: mend_trial(st, err);
}

static int mend(struct control_state *st, struct sluice_err *err)
{
	const struct control_record *r = &st->record;
	bool yes;
	int e = 0;

	switch (r->change) {
	case CONTROL_NONE:
		break;
	case CONTROL_APPLY:
		e = control_switched(st, &yes, err);
		e = e ?: yes ? forward(st, err) : undo(st, err);
		break;
	case CONTROL_JOINT:
		e = mend_joint(st, err);
		break;
	case CONTROL_DOWN:
		e = control_switched(st, &yes, err);
		e = e ?: yes ? finish_down(st, err) : end(st, err);
		break;
	case CONTROL_TRIAL:
		e = mend_trial(st, err);
		break;
	case CONTROL_SETTLE:
		e = settle(st, r->before, err);
		break;
	case CONTROL_RETURN:
		e = go_back(st, err);
		break;
	}
	return e;
}

int switch_mend(struct control_state *st, struct sluice_err *err)
{
	const struct control_record *r = &st->record;
	struct sluice_err why = {0};
	const char *const keep[] = {r->live, r->before, r->next, r->past};
	int e = mend(st, &why);

	if (e)
		return err_set(err, e, "finishing what was left of a change: %.1000s%s", why.text,
			       can_wait(e) ? "" : "; sluice down --force begins anew");
	build_sweep(st);
	store_prune(st, keep, sizeof(keep) / sizeof(*keep));
	return 0;
}
