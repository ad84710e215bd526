// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The run-time sets in force: found, locked, and changed in both generations while one is on trial. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "control/sets_live.h"

/* The generation that is in force when the one in force now is not any more; "" if none may be. */
static const char *next_of(const struct control_state *st, const char *current)
{
	const struct control_record *r = &st->record;

	if (r->change == CONTROL_NONE)
		return "";
	if (r->live[0] && strcmp(r->live, current))
		return r->live;
	if (r->next[0] && strcmp(r->next, current) && r->change != CONTROL_RETURN)
		return r->next;
	return r->change == CONTROL_TRIAL && strcmp(r->before, current) ? r->before : "";
}

/* No map: the policy has none, or what was pinned for it is gone. */
static int no_sets(struct control_live *l, struct sluice_err *err)
{
	char path[PATH_MAX];

	if (!l->st->pins[0])
		return err_set(err, -ENOENT, "policy %s is in force, but there is no bpffs with its maps", l->name);
	if (snprintf(path, sizeof(path), "%s/%s", l->st->pins, l->name) >= (int)sizeof(path) || access(path, F_OK))
		return err_set(err, -ENOENT,
			       "the maps of policy %s are not pinned any more: there is no %s; sluice apply FILE pins "
			       "them again",
			       l->name, path);
	l->no_sets = true;
	return err_set(err, -ENOENT,
		       "the policy in force has no sets that change at run time; those do that have a file, timeout, "
		       "size or counters, or are empty");
}

/* The first thing that could not be done to the other generation. */
static void left_out(struct control_live *l, const char *set, const struct sluice_err *why)
{
	if (!l->beside.code)
		err_set(&l->beside, why->code, "set '%s' of policy %s, which may be in force again, is not changed: %s",
			set, l->next, why->text);
}

static int open_sets(struct control_live *l, struct sluice_err *err)
{
	struct sluice_err why = {0};
	const char *next;
	int e = control_state_current(l->st, l->name, NULL, err);

	if (e)
		return e;
	if (!l->name[0])
		return err_set(err, -ENOENT, "no policy is in force here; sluice apply FILE puts one in");
	l->fd = control_state_map(l->st, l->name, CONTROL_SETS, 0, err);
	if (l->fd == -ENOENT)
		return no_sets(l, err);
	if (l->fd < 0)
		return l->fd;
	e = control_sets_open(l->fd, &l->sets, err);
	next = e ? "" : next_of(l->st, l->name);
	if (!next[0])
		return e;
	snprintf(l->next, sizeof(l->next), "%s", next);
	l->other_fd = control_state_map(l->st, next, CONTROL_SETS, 0, &why);
	if (l->other_fd >= 0 && control_sets_open(l->other_fd, &l->other, &why))
		l->other = NULL;
	if (!l->other && why.code != -ENOENT)
		err_set(&l->beside, why.code, "the sets of policy %s, which may be in force again, cannot be changed: %s",
			next, why.text);
	return e;
}

int control_live_open(const char *bpffs, uint64_t wait_ns, struct control_live *l, struct sluice_err *err)
{
	int e;

	*l = (struct control_live){.fd = -1, .other_fd = -1};
	e = control_state_open(bpffs, false, &l->st, err);
	if (e)
		return e;
	if (!l->st->record.live[0] && !l->st->record.next[0])
		return err_set(err, -ENOENT, "no policy is in force here; sluice apply FILE puts one in");
	e = control_state_lock(l->st, wait_ns, err);
	return e ? e : open_sets(l, err);
}

void control_live_close(struct control_live *l)
{
	control_sets_close(l->sets);
	control_sets_close(l->other);
	if (l->fd >= 0)
		close(l->fd);
	if (l->other_fd >= 0)
		close(l->other_fd);
	if (l->st)
		control_state_close(l->st);
	*l = (struct control_live){.fd = -1, .other_fd = -1};
}

int control_live_choose(const struct control_live *l, uint32_t *nr, struct sluice_err *err)
{
	struct control_set set;
	uint32_t i, n = 0, banned = FILTER_SETS_NONE;
	char names[512] = "";
	size_t at = 0;
	int e;

	for (i = 0; i < control_sets_n(l->sets); i++) {
		e = control_sets_get(l->sets, i, &set, err);
		if (e)
			return e;
		if (!strcmp(set.name, "banned"))
			banned = i;
		if (!set.name[0] || !set.timeout)
			continue;
		if (at < sizeof(names))
			at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", n ? ", " : "",
					       set.name);
		if (!n++)
			*nr = i;
	}
	if (n == 1)
		return 0;
	if (banned != FILTER_SETS_NONE) {
		*nr = banned;
		return 0;
	}
	if (n)
		return err_set(err, -EINVAL, "%u sets have a timeout: %s; say which with: in SET", n, names);
	return err_set(err, -ENOENT,
		       "no set has a timeout and none is called 'banned'; say which with: in SET (sluice set "
		       "list "
		       "shows them), or write into the policy: set banned { } timeout 10m");
}

/* The set of the same name in the other generation. */
static bool other(const struct control_live *l, uint32_t nr, struct control_set *set, uint32_t *there)
{
	return l->other && !control_sets_get(l->sets, nr, set, NULL) &&
	       !control_sets_find(l->other, set->name, there, NULL);
}

int control_live_add(struct control_live *l, uint32_t nr, bool v6, const struct sets_elem *elem,
		     enum control_added *what, struct sluice_err *err)
{
	uint32_t there, now = control_sets_now();
	struct sluice_err why = {0};
	enum control_added ignored;
	struct control_set set;
	int e = control_sets_add(l->sets, nr, v6, elem, now, what, err);

	if (!e && other(l, nr, &set, &there) &&
	    control_sets_add(l->other, there, v6, elem, now, &ignored, &why))
		left_out(l, set.name, &why);
	return e;
}

int control_live_del(struct control_live *l, uint32_t nr, bool v6, const struct sets_elem *elem,
		     struct sluice_err *err)
{
	uint32_t there, now = control_sets_now();
	struct sluice_err why = {0};
	struct control_set set;
	int e = control_sets_del(l->sets, nr, v6, elem, now, err), not;

	if (e || !other(l, nr, &set, &there))
		return e;
	not = control_sets_del(l->other, there, v6, elem, now, &why);
	if (not && not != -ENOENT)
		left_out(l, set.name, &why);
	return 0;
}

/* What one policy reads from its file is not what another one, with another file or none, means by the name. */
static bool same_file(struct control_live *l, const struct control_set *set, uint32_t there)
{
	struct control_set of;

	return !control_sets_get(l->other, there, &of, NULL) && !of.file == !set->file &&
	       (!of.file || !strcmp(of.file, set->file));
}

/* A set that keeps no times has none of what has some, as where one policy follows another. */
static int load_into(struct control_sets *sets, uint32_t nr, const struct filter_elems elems[2],
		     const struct filter_elems timed[2], struct sets_change *done, struct sluice_err *err)
{
	struct control_set set;
	int e = control_sets_get(sets, nr, &set, err);

	return e ? e : control_sets_load_timed(sets, nr, elems, set.expires ? timed : NULL, done, err);
}

int control_live_load(struct control_live *l, uint32_t nr, const struct filter_elems elems[2],
		      const struct filter_elems timed[2], struct sets_change *done, struct sluice_err *err)
{
	struct sluice_err why = {0};
	struct sets_change ignored;
	struct control_set set;
	uint32_t there;
	int e = load_into(l->sets, nr, elems, timed, done, err);

	if (!e && other(l, nr, &set, &there) && same_file(l, &set, there) &&
	    load_into(l->other, there, elems, timed, &ignored, &why))
		left_out(l, set.name, &why);
	return e;
}

int control_live_flush(struct control_live *l, uint32_t nr, uint64_t *n, struct sluice_err *err)
{
	struct sluice_err why = {0};
	struct control_set set;
	uint64_t ignored;
	uint32_t there;
	int e = control_sets_flush(l->sets, nr, n, err);

	if (!e && other(l, nr, &set, &there) && control_sets_flush(l->other, there, &ignored, &why))
		left_out(l, set.name, &why);
	return e;
}
