// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Changing the policy of a network namespace: from lock to unlock. */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/apply.h"
#include "control/build.h"
#include "control/files.h"
#include "control/inside.h"
#include "control/lay.h"
#include "control/redirects.h"
#include "control/switch.h"

struct work {
	const struct control_opts *o;
	struct control_state *st;
	struct control_generation *live, *next;
	struct policy *old;
	struct control_done *done;
	struct sluice_err *err;
	bool anew; /* a generation of the history comes back under its own name */
};

static int begin(struct work *w, const struct control_opts *o, struct control_done *done, struct sluice_err *err)
{
	int e;

	memset(w, 0, sizeof(*w));
	memset(done, 0, sizeof(*done));
	w->o = o;
	w->done = done;
	w->err = err;
	e = control_state_open(o->bpffs, true, &w->st, err);
	if (e)
		return e;
	w->st->step = o->step;
	w->st->step_ctx = o->step_ctx;
	w->st->warned = &done->warned;
	e = control_state_lock(w->st, o->wait_ns, err);
	control_step(w->st, "locked");
	if (!e)
		control_sweep(w->st);
	return e ?: switch_mend(w->st, err);
}

static void end(struct work *w, int e)
{
	const struct control_record *r = w->st ? &w->st->record : NULL;

	if (r && !e)
		snprintf(w->done->name, sizeof(w->done->name), "%s", r->live);
	if (r && r->change == CONTROL_NONE && !e) /* what nobody goes back to any more */
		build_sweep(w->st);
	control_generation_free(w->live);
	control_generation_free(w->next);
	policy_free(w->old);
	control_state_close(w->st);
}

static int no_trial(const struct control_state *st, const char *what, struct sluice_err *err)
{
	char name[CONTROL_NAME];
	uint64_t left;

	if (st->record.change != CONTROL_TRIAL)
		return 0;
	if (control_state_current(st, name, &left, NULL))
		left = 0;
	return err_set(err, -EBUSY, "policy %s is on trial for another %u s; sluice confirm or sluice rollback before %s",
		       st->record.live, (unsigned int)(left / 1000000000u), what);
}

/* The history's entry of a policy that is put back where it is in force, or last was. */
static bool in_place(const struct control_state *st, const struct store_policy *p, struct store_entry *entry)
{
	const struct control_record *r = &st->record;
	char name[CONTROL_NAME];

	snprintf(name, sizeof(name), "%s", r->live[0] ? r->live : r->before);
	if (!name[0] && store_confirmed(st, name, NULL))
		return false;
	return name[0] && !store_entry(st, name, entry, NULL) && !strcmp(entry->hash, p->hash);
}

static int new_generation(struct work *w, const struct store_policy *p, const char *again, struct store_entry *entry)
{
	struct store_entry place;
	struct control_generation *g = w->next;
	struct store_entry from = {.number = 0};
	bool known = again[0] && !store_entry(w->st, again, &from, NULL);
	int e = 0;

	if (w->o->dry_run) { /* number 0 is in no history */
		e = store_name(w->st, p, again, entry, w->err);
		entry->number = 0;
		snprintf(entry->name, sizeof(entry->name), "0-%.*s", CONTROL_HASH, p->hash);
	} else if (known && w->anew && strcmp(w->st->record.live, again) != 0) {
		*entry = from; /* after a boot it is the same one, not another of the history */
	} else {
		e = store_name(w->st, p, from.again[0] ? from.again : again, entry, w->err);
		if (!e && in_place(w->st, p, &place)) {
			entry->first = place.first;
			entry->made_ns = place.made_ns;
			memcpy(entry->again, place.again, sizeof(entry->again));
		}
	}
	g->number = entry->number;
	g->made_ns = entry->made_ns;
	memcpy(g->name, entry->name, sizeof(g->name));
	memcpy(g->hash, entry->hash, sizeof(g->hash));
	memcpy(g->path, entry->path, sizeof(g->path));
	return e;
}

/* Can what is pinned of a generation be taken as it is? Its interfaces, and those that it redirects to, are those of now. */
static bool still_fits(const struct control_state *st, const char *name, const struct control_generation *wanted)
{
	struct control_generation *g;
	bool same = st->pins[0] && name[0] && !control_generation_open(st, name, &g, NULL);
	uint32_t i;

	if (!same)
		return false;
	same = g->n_all == wanted->n_all;
	for (i = 0; same && i < g->n_all; i++)
		same = g->parts[i].kind == wanted->parts[i].kind && g->parts[i].ifindex == wanted->parts[i].ifindex &&
		       g->parts[i].filter == wanted->parts[i].filter;
	control_generation_free(g);
	return same && redirects_hold(st, name);
}

static bool is_lost(const struct control_state *st, const struct control_generation *g, uint32_t part)
{
	struct control_on on;
	int e = control_part_on(st, g, part, &on, NULL);

	return e ? e == -ENODEV : !on.itself && !on.detour;
}

static int ask_ready(struct work *w, const struct policy *policy)
{
	struct control_ready ready = {.st = w->st, .policy = policy, .next = w->next};
	const struct control_record *r = &w->st->record;
	bool *lost = NULL;
	uint32_t i;
	int e = 0;

	if (!w->o->ready)
		return 0;
	if (r->live[0]) {
		e = w->live ? 0 : control_generation_open(w->st, r->live, &w->live, w->err);
		e = e ?: control_generation_policy(w->st, r->live, &w->old, w->err);
		if (e == -ENOENT || e == -EBADMSG) { /* what cannot be compared with is no reason to refuse */
			control_warn(w->st, w->err, "the plan told of all rules as new");
			e = 0;
		}
		ready.live = w->old ? w->live : NULL;
		ready.old = w->old;
		lost = ready.live ? calloc(ready.live->n_all + 1ul, sizeof(*lost)) : NULL;
		for (i = 0; lost && i < ready.live->n_all; i++)
			lost[i] = is_lost(w->st, ready.live, i);
		ready.lost = lost;
	}
	e = e ?: w->o->ready(w->o->ctx, &ready, w->err);
	free(lost);
	return e;
}

/* The generation in force if it is of this policy, for control_generation_free(); else NULL. */
static struct control_generation *open_same(const struct control_state *st, const struct store_policy *p)
{
	struct control_generation *live = NULL;

	if (st->record.live[0] && !control_generation_open(st, st->record.live, &live, NULL) &&
	    strcmp(live->hash, p->hash) != 0) {
		control_generation_free(live);
		live = NULL;
	}
	return live;
}

/* missing_ok: nobody has looked at the names: what runs under another one by now goes on. */
static int find_parts(const struct control_state *st, const struct store_policy *p, bool missing_ok,
		      struct control_generation *to, struct sluice_err *err)
{
	struct control_generation *live = missing_ok ? open_same(st, p) : NULL;
	uint32_t i;
	int e;

	for (i = 0; live && i < live->n_all; i++)
		if (is_lost(st, live, i))
			live->parts[i].ifindex = 0;
	e = build_parts(p->policy, missing_ok, live, to, err);
	control_generation_free(live);
	return e;
}

/* Compile, load, show, switch. again: a generation that this is once more; "" if it comes from a file. */
static int put(struct work *w, const struct store_policy *p, const char *again, bool missing_ok)
{
	uint64_t at = clock_mono_ns();
	struct store_entry entry;
	int e;

	w->next = calloc(1, sizeof(*w->next));
	if (!w->next)
		return err_nomem(w->err);
	snprintf(w->done->left, sizeof(w->done->left), "%s", w->st->record.live);
	e = find_parts(w->st, p, missing_ok, w->next, w->err);
	e = e ?: new_generation(w, p, again, &entry);
	if (e)
		return e;
	build_drop(w->st, w->next->name); /* left over from another boot, or another dry run */
	e = still_fits(w->st, again, w->next) ? build_again(w->st, again, p->policy, w->next, w->err)
					      : -ESTALE;
	if (e == -ESTALE)
		e = build_new(w->st, again, p->policy, w->next, w->err);
	w->done->load_ns = clock_mono_ns() - at;
	control_step(w->st, "built");
	if (!e && w->o->dry_run)
		e = switch_verify(w->st, w->next->name, p->policy, w->err);
	e = e ?: ask_ready(w, p->policy);
	if (!w->o->dry_run && strcmp(entry.name, again) != 0)
		e = e ?: store_put(w->st, p, &entry, w->err);
	control_step(w->st, "stored");
	if (e || w->o->dry_run) {
		build_drop(w->st, w->next->name);
		return e;
	}
	at = clock_mono_ns();
	e = switch_to(w->st, w->next->name, p->policy, w->o->trial_ns, w->err);
	w->done->switch_ns = clock_mono_ns() - at;
	w->done->trial_ns = e ? 0 : w->o->trial_ns;
	return e;
}

/* Is the policy in force, on every interface that it would be put on? -ENODEV: one that it names is not there. */
static int is_in_force(const struct control_state *st, const struct store_policy *p, bool missing_ok, bool *yes,
		       struct sluice_err *err)
{
	struct control_generation *live = open_same(st, p), wanted = {.n_parts = 0};
	struct control_on on;
	uint32_t i;
	int e;

	*yes = false;
	if (!live)
		return 0;
	e = find_parts(st, p, missing_ok, &wanted, err);
	*yes = !e && still_fits(st, live->name, &wanted) && build_own_stays(st, live->name, &p->policy->services);
	for (i = 0; *yes && i < live->n_all; i++)
		*yes = !control_part_on(st, live, i, &on, NULL) && (on.itself || on.detour);
	free(wanted.parts);
	free(wanted.on);
	control_generation_free(live);
	return e;
}

static int forget_tried(struct control_state *st, struct sluice_err *err)
{
	struct control_record *r = &st->record;

	if (!r->tried[0] && !r->rolled_back_ns)
		return 0;
	r->tried[0] = '\0';
	r->rolled_back_ns = 0;
	return control_state_record(st, err);
}

/* Its folder may have been lost while it was in force. */
static int keep_again(struct work *w, const struct store_policy *p, const char *name)
{
	struct sluice_err why = {0};
	bool mended;
	int e = store_mend(w->st, p, w->live, &mended, w->err);

	if (e || !mended)
		return e;
	err_set(&why, -ENOENT, "what was kept of it was lost or damaged; it is kept again");
	control_warn(w->st, &why, name);
	return 0;
}

/* Standard input, which is the policy and no other file of it. */
struct given {
	struct buf text;
	bool there;
};

static int given_read(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	struct given *g = ctx;

	if (strcmp(path, POLICY_STDIN) != 0)
		return policy_disk.read(policy_disk.ctx, path, max, to, err);
	if (!g->there)
		return err_set(err, -ENOENT, POLICY_STDIN " is read as the policy alone: no file of a policy has that name");
	g->there = false;
	buf_put(to, g->text.data, g->text.len);
	return to->failed ? err_nomem(err) : 0;
}

/* Whoever types the policy, or pipes it, keeps nobody waiting: it is there before the lock is taken. */
static int given_take(struct given *g, const char *path, struct sluice_err *err)
{
	memset(g, 0, sizeof(*g));
	g->there = !strcmp(path, POLICY_STDIN);
	return g->there ? policy_disk.read(policy_disk.ctx, path, POLICY_TEXT_MAX, &g->text, err) : 0;
}

int control_apply(const struct control_opts *o, const char *path, struct store_policy *p, struct control_done *done,
		  struct sluice_err *err)
{
	char again[CONTROL_NAME] = "";
	struct given given;
	const struct policy_files files = {.read = given_read, .ctx = &given};
	struct work w;
	uint64_t at;
	int e;

	memset(p, 0, sizeof(*p));
	memset(done, 0, sizeof(*done));
	e = given_take(&given, path, err);
	if (e) {
		buf_free(&given.text);
		return e;
	}
	e = begin(&w, o, done, err);
	e = e ?: no_trial(w.st, "another apply", err);
	at = clock_mono_ns();
	e = e ?: store_read(w.st, path, &files, !o->dry_run, p, err);
	buf_free(&given.text);
	done->read_ns = clock_mono_ns() - at;
	e = e ?: is_in_force(w.st, p, false, &done->nothing, err);
	if (!e)
		w.live = open_same(w.st, p);
	if (w.live) /* what is missing is repaired with what is there */
		snprintf(again, sizeof(again), "%s", w.st->record.live);
	if (!e && done->nothing) {
		snprintf(done->left, sizeof(done->left), "%s", again);
		e = o->dry_run ? 0 : forget_tried(w.st, err) ?: keep_again(&w, p, again); /* what is confirmed now is this one */
	} else {
		e = e ?: put(&w, p, again, false);
	}
	end(&w, e);
	return e;
}

/* --- rollback --- */

/* The one before: that the record knows, or the newest of the history that is another policy and came before this one. */
static int one_before(const struct control_state *st, char to[CONTROL_NAME], struct sluice_err *err)
{
	const struct control_record *r = &st->record;
	struct store_entry live = {.first = UINT32_MAX}, *v;
	const char *near = control_same_policy(r->before, r->live) ? r->past : r->before;
	uint32_t n, i;
	int e;

	snprintf(to, CONTROL_NAME, "%s", near);
	if (to[0])
		return 0;
	if (r->live[0])
		store_entry(st, r->live, &live, NULL);
	e = store_history(st, &v, &n, err);
	for (i = 0; !e && i < n && !to[0]; i++)
		if (strcmp(v[i].hash, live.hash) != 0 && v[i].number < live.first)
			snprintf(to, CONTROL_NAME, "%s", v[i].name);
	free(v);
	return e ?: to[0] ? 0 : err_set(err, -ENOENT, "there is no policy before this one");
}

static int roll(struct work *w, uint32_t number)
{
	struct store_policy p = {.n_files = 0};
	char target[CONTROL_NAME];
	int e = number ? store_find(w->st, number, target, w->err) : one_before(w->st, target, w->err);

	e = e ?: store_again(w->st, target, &p, w->err);
	e = e ?: put(w, &p, target, false);
	store_free(&p);
	return e;
}

int control_rollback(const struct control_opts *o, uint32_t number, struct control_done *done, struct sluice_err *err)
{
	struct work w;
	int e = begin(&w, o, done, err);

	if (!e && w.st->record.change == CONTROL_TRIAL && o->dry_run) {
		e = no_trial(w.st, "a dry run", err);
	} else if (!e && w.st->record.change == CONTROL_TRIAL) {
		snprintf(done->left, sizeof(done->left), "%s", w.st->record.live);
		e = switch_back(w.st, err);
		if (!e && number)
			e = roll(&w, number);
	} else if (!e) {
		e = roll(&w, number);
	}
	end(&w, e);
	return e;
}

/* --- the others --- */

/* Without a trial: what is in force stays, unless a trial ended since, of what somebody believes to be in force. */
static int nothing_to_confirm(const struct control_state *st, bool *nothing, struct sluice_err *err)
{
	const struct control_record *r = &st->record;

	if (r->rolled_back_ns)
		return err_set(err, -ENOENT, "the trial of policy %s is over: it rolled back by itself",
			       r->tried);
	if (r->tried[0])
		return err_set(err, -ENOENT,
			       "no policy is on trial: the trial of policy %s was ended by sluice rollback",
			       r->tried);
	*nothing = r->live[0];
	/* it may be in force without having been noted for the next boot */
	return r->live[0] ? store_confirm(st, r->live, err) : 0;
}

int control_confirm(const struct control_opts *o, struct control_done *done, struct sluice_err *err)
{
	struct work w;
	int e = begin(&w, o, done, err);

	if (!e && w.st->record.change != CONTROL_TRIAL)
		e = nothing_to_confirm(w.st, &done->nothing, err);
	if (!done->nothing)
		e = e ?: switch_confirm(w.st, err);
	end(&w, e);
	return e;
}

int control_down(const struct control_opts *o, bool force, struct control_done *done, struct sluice_err *err)
{
	struct control_ready ready = {.policy = NULL};
	struct work w;
	int e = begin(&w, o, done, err);
	bool off = false;

	if (e == -EBADMSG && force && !w.st) { /* the record was not read, so there is no lock yet */
		e = control_state_reset(o->bpffs, err);
		e = e ?: begin(&w, o, done, err);
	}
	if (e && e != -EPERM && force && w.st && w.st->lock_fd >= 0) {
		off = true;
		e = 0;
	} else if (!e && !w.st->record.live[0] && !force) {
		e = err_set(err, -ENOENT, "no policy is in force");
	}
	if (!e && o->ready) {
		ready.st = w.st;
		if (w.st->record.live[0] && !control_generation_open(w.st, w.st->record.live, &w.live, NULL))
			ready.live = w.live;
		e = o->ready(o->ctx, &ready, err);
	}
	if (!e)
		snprintf(done->left, sizeof(done->left), "%s", w.st->record.live);
	if (!e && !off) {
		e = switch_down(w.st, err);
		off = e && e != -EPERM && force;
	}
	if (off)
		e = switch_off(w.st, err);
	end(&w, e);
	return e;
}

/* Nothing to restore: why. `confirmed` says "none" after down, also where there was never anything. */
static int nothing(const struct control_state *st, bool ever, struct sluice_err *err)
{
	struct store_entry *history = NULL;
	uint32_t n = 0;

	if (ever && store_history(st, &history, &n, NULL))
		n = 1;
	free(history);
	return err_set(err, -ENOENT,
		       n ? "the policy was taken down; there is nothing to restore"
			 : "no policy was ever confirmed here; there is nothing to restore");
}

int control_restore(const struct control_opts *o, struct control_done *done, struct sluice_err *err)
{
	struct store_policy p = {.n_files = 0};
	char name[CONTROL_NAME] = "";
	struct work w;
	int e = begin(&w, o, done, err);

	e = e ?: no_trial(w.st, "restore", err);
	if (!e) {
		e = store_confirmed(w.st, name, err);
		if (e == -ENOENT || (!e && !name[0])) {
			done->nothing = true;
			e = o->any ? 0 : nothing(w.st, !e, err);
		}
	}
	if (!e && name[0]) {
		e = store_again(w.st, name, &p, err);
		e = e ?: is_in_force(w.st, &p, true, &done->nothing, err);
		w.anew = true;
		if (!e && !done->nothing)
			e = put(&w, &p, name, true);
	}
	store_free(&p);
	end(&w, e);
	return e;
}
