// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One member per owner, put into a chain as code. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "hook/change.h"
#include "hook/generation.h"
#include "hook/put.h"

/* object NULL: the first of the owner's */
static int find(const struct state *s, const char *owner, const char *object)
{
	uint32_t i;

	for (i = 0; i < s->n_members; i++)
		if (!strcmp(s->member[i].owner, owner) && (!object || !strcmp(s->member[i].object, object)))
			return (int)i;
	return -1;
}

static void add_map(struct state_member *m, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < m->n_maps; i++)
		if (m->map_id[i] == id)
			return;
	if (m->n_maps < sizeof(m->map_id) / sizeof(*m->map_id))
		m->map_id[m->n_maps++] = id;
}

static int describe(const struct put_member *from, struct state_member *m, struct sluice_err *err)
{
	uint32_t i;

	memset(m, 0, sizeof(*m));
	for (i = 0; i < from->code->n_refs; i++)
		if (from->code->ref[i].kind == CODE_REF_MAP)
			add_map(m, from->code->ref[i].id);
	snprintf(m->owner, sizeof(m->owner), "%s", from->owner);
	snprintf(m->object, sizeof(m->object), "%s", from->object);
	m->attached_ns = clock_wall_ns();
	m->priority = from->priority;
	m->go_on = from->go_on;
	return code_copy(from->code, &m->code, err);
}

static int place(struct change *c, const struct put_member *from, struct sluice_err *err)
{
	struct state_member m, *old;
	int i = find(c->next, from->owner, from->object), e;

	if (!from->code) {
		if (i >= 0)
			state_remove(c->next, (uint32_t)i);
		return 0;
	}
	e = describe(from, &m, err);
	if (e)
		return e;
	if (i >= 0) {
		old = &c->next->member[i];
		m.uid = old->uid;
		m.priority = old->priority;
		m.go_on = old->go_on;
		memcpy(m.name, old->name, sizeof(m.name));
		code_free(old->code);
		*old = m;
		return 0;
	}
	m.uid = c->next->next_uid++;
	state_unique_name(c->next, from->name, m.name);
	e = state_insert(c->next, &m, err);
	if (e)
		code_free(m.code);
	return e;
}

static int begin(struct change *c, int ifindex, const struct put_member *members, uint32_t n,
		 const struct sluice_attach_opts *opts, struct sluice_err *err)
{
	int e = change_begin(c, ifindex, opts, CHANGE_WAIT_NS, err);
	uint32_t i;

	if (!e && c->foreign && !c->opts.force)
		e = change_foreign(c, err);
	for (i = 0; i < n && !e; i++)
		e = place(c, &members[i], err);
	return e;
}

int put_members(int ifindex, const struct put_member *members, uint32_t n, const struct sluice_attach_opts *opts,
		void (*last)(void *ctx), void *ctx, struct sluice_attached *got, struct sluice_err *err)
{
	struct change c;
	int e;

	if (got)
		memset(got, 0, sizeof(*got));
	e = begin(&c, ifindex, members, n, opts, err);
	c.last = last;
	c.last_ctx = ctx;
	if (!e)
		e = change_commit(&c, got, NULL, err);
	change_end(&c);
	return e;
}

int put_verify(int ifindex, const struct put_member *members, uint32_t n, const struct sluice_attach_opts *opts,
	       struct sluice_err *err)
{
	struct change c;
	int fd = -1, e = begin(&c, ifindex, members, n, opts, err);

	if (!e)
		e = generation_load(c.next, &fd, err);
	if (fd >= 0)
		close(fd);
	change_end(&c);
	return e;
}

int put_remove(int ifindex, const char *owner, const struct sluice_attach_opts *opts, struct sluice_err *err)
{
	struct change c;
	int e, i, n = 0;

	e = change_begin(&c, ifindex, opts, CHANGE_WAIT_NS, err);
	while (!e && !c.foreign && (i = find(c.next, owner, NULL)) >= 0) {
		state_remove(c.next, (uint32_t)i);
		n++;
	}
	if (!e && !n)
		e = err_set(err, -ENOENT, "no program of %s is attached", owner);
	if (!e)
		e = change_commit(&c, NULL, NULL, err);
	change_end(&c);
	return e;
}

int put_frags(int ifindex, const char *owner, bool *frags, struct sluice_err *err)
{
	struct change c;
	uint32_t i;
	int e = change_begin(&c, ifindex, NULL, CHANGE_WAIT_NS, err);

	*frags = true;
	for (i = 0; !e && !c.foreign && i < c.next->n_members; i++)
		if (strcmp(c.next->member[i].owner, owner) != 0)
			*frags &= c.next->member[i].code->frags;
	change_end(&c);
	return e;
}
