// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The run-time sets of the generation that is being made: where they come from, and where their files are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "control/build_inside.h"
#include "control/inside.h"
#include "control/sets.h"

/*
 * Sets that change at run time: those of the policy, with what came into sets of the same name meanwhile; where no
 * policy is in force, until it was taken down. Of a policy that comes back, sets that the one in force has not are
 * as they were when it went, if it is still there.
 */
struct source {
	int before, again, as; /* maps, -1: none; as: code that goes on knows one of its size */
};

static int fill_sets(struct build *b, struct filter_sets *sets, const struct source *from)
{
	int e = 0;

	if (from->before >= 0)
		e = control_sets_room(sets, from->before, -1, b->err);
	if (!e && from->again >= 0)
		e = control_sets_room(sets, from->again, from->before, b->err);
	if (!e && from->as >= 0)
		e = control_sets_like(sets, from->as, b->err);
	e = e ?: control_sets_make(sets, from->before, &b->maps.sets, b->err);
	if (!e && from->again >= 0 && b->maps.sets >= 0)
		e = control_sets_return(b->maps.sets, from->again, from->before, b->err);
	return e;
}

static void shut(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* A policy of the history is read under its name alone, and whoever reads it stands anywhere: g->path has the folder. */
static int place_files(const struct build *b, const struct filter_sets *sets)
{
	const char *slash = strrchr(b->g->path, '/');
	struct filter_set_plan *set;
	char *file;

	for (set = sets->v; slash && set < sets->v + sets->n; set++) {
		if (!set->file || set->file[0] == '/')
			continue;
		if (asprintf(&file, "%.*s/%s", (int)(slash - b->g->path), b->g->path, b->p->sets[set->set].file) < 0)
			return err_nomem(b->err);
		free(set->file);
		set->file = file;
	}
	return 0;
}

int build_sets(struct build *b, const char *again, bool as_it_was, struct filter_sets **sets)
{
	const struct control_record *r = &b->st->record;
	const char *name = r->live[0] ? r->live : r->before;
	struct source from = {-1, -1, -1};
	int e = filter_sets_plan(b->p, sets, b->err);

	e = e ?: place_files(b, *sets);
	if (e)
		return e;
	if (name[0])
		from.before = control_state_map(b->st, name, CONTROL_SETS, 0, b->err);
	if (name[0] && from.before < 0 && from.before != -ENOENT)
		return from.before;
	if (again[0] && strcmp(again, name) != 0) /* not there: nothing of it is loaded any more */
		from.again = control_state_map(b->st, again, CONTROL_SETS, 0, NULL);
	if (as_it_was)
		from.as = control_state_map(b->st, again, CONTROL_SETS, 0, NULL);
	e = fill_sets(b, *sets, &from);
	shut(from.before);
	shut(from.again);
	shut(from.as);
	if (e || b->maps.sets < 0)
		return e;
	b->opts.sets = *sets;
	return build_pin(b, b->maps.sets, CONTROL_SETS, 0);
}
