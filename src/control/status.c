// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is in force, asked of the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/build.h"
#include "control/files.h"
#include "control/inside.h"
#include "control/lay.h"
#include "control/redirects.h"
#include "control/status.h"

const char *control_health_name(enum control_health health)
{
	static const char *const names[] = {
		[CONTROL_RUNS] = "runs",	 [CONTROL_DETOUR] = "detour",	[CONTROL_OTHER] = "other",
		[CONTROL_TAKEN] = "taken_off",	 [CONTROL_FOREIGN] = "foreign", [CONTROL_GONE] = "gone",
		[CONTROL_AGAIN] = "made_anew",	 [CONTROL_NEW] = "new",		[CONTROL_MISSING] = "missing",
		[CONTROL_LEFT] = "left_over", [CONTROL_UNKNOWN] = "unknown",
		[CONTROL_ALIAS] = "other_name",
	};

	return names[health];
}

static struct control_status_part *add(struct control_status *s, enum control_kind kind, const char *ifname, int ifindex,
				       enum control_health h)
{
	struct control_status_part *v = realloc(s->parts, (s->n_parts + 1) * sizeof(*v));

	if (!v)
		return NULL;
	s->parts = v;
	v += s->n_parts++;
	memset(v, 0, sizeof(*v));
	v->kind = kind;
	snprintf(v->ifname, sizeof(v->ifname), "%s", ifname);
	v->ifindex = ifindex;
	v->health = h;
	return v;
}

static enum control_health health_of(const struct control_on *on, bool detour)
{
	if (on->itself)
		return CONTROL_RUNS;
	if (on->member)
		return on->detour || detour ? CONTROL_DETOUR : CONTROL_OTHER;
	return on->owner == SLUICE_OWNER_NONE || on->owner == SLUICE_OWNER_SLUICE ? CONTROL_TAKEN : CONTROL_FOREIGN;
}

/* While a change or a trial is going on, the detour is that of the other generation. */
static bool detours(const struct control_record *r)
{
	return r->change == CONTROL_JOINT || r->change == CONTROL_TRIAL || r->change == CONTROL_RETURN ||
	       r->change == CONTROL_SETTLE;
}

static int ask_part(struct control_status *s, uint32_t i, struct sluice_err *err)
{
	const struct control_part *part = &s->gen->parts[i];
	struct sluice_err why = {0};
	struct control_on on;
	struct control_status_part *to;
	int e = control_part_on(s->st, s->gen, i, &on, &why);
	unsigned int now = if_nametoindex(part->ifname);
	char own[IF_NAMESIZE];

	to = add(s, part->kind, e ? part->ifname : on.ifname, part->ifindex, CONTROL_UNKNOWN);
	if (!to)
		return err_nomem(err);
	to->filter = part->filter;
	if (e == -EPERM)
		return err_set(err, e, "%s", why.text);
	if (e == -ENODEV && build_alias(part->ifname, own)) {
		to->health = CONTROL_ALIAS;
		snprintf(to->why, sizeof(to->why), "%s", own);
	} else if (e == -ENODEV) {
		to->health = now ? CONTROL_AGAIN : CONTROL_GONE;
		to->ifindex = (int)now;
	} else if (e) {
		snprintf(to->why, sizeof(to->why), "%.200s", why.text);
	} else {
		if (strcmp(on.ifname, part->ifname) != 0)
			memcpy(to->was, part->ifname, sizeof(to->was));
		to->health = health_of(&on, detours(&s->st->record));
		to->mode = on.mode;
		to->members = on.n_members;
		snprintf(to->program, sizeof(to->program), "%s", on.prog_name);
		if (on.member && on.mode != SLUICE_MODE_NATIVE)
			lay_why(s->st, s->gen->name, i, to->why, sizeof(to->why));
	}
	if (part->kind == CONTROL_FILTER)
		to->has_report = !build_struct(s->st, s->gen->name, "report", part->filter, &to->report,
					       sizeof(to->report), NULL);
	else
		to->has_services = !build_struct(s->st, s->gen->name, "services", part->filter, &to->services,
						 sizeof(to->services), NULL);
	return 0;
}

static bool is_listed(const struct control_status *s, enum control_kind kind, const char *ifname)
{
	uint32_t i;

	for (i = 0; i < s->n_parts; i++)
		if (s->parts[i].kind == kind && !strcmp(s->parts[i].ifname, ifname))
			return true;
	return false;
}

/* Which members of the policy's are there? */
static void find_members(int ifindex, bool found[CONTROL_KINDS], enum sluice_mode *mode)
{
	struct sluice_chain_info *info;
	uint32_t i, k;

	memset(found, 0, CONTROL_KINDS * sizeof(*found));
	if (sluice_chain_read(ifindex, &info, NULL))
		return;
	for (i = 0; i < info->n_members; i++)
		for (k = 0; k < CONTROL_KINDS; k++)
			found[k] |= !strcmp(info->member[i].owner, CONTROL_OWNER) &&
				    !strcmp(info->member[i].object, control_member_object(k));
	*mode = info->mode;
	sluice_chain_info_free(info);
}

/* An interface that came later, or has what it should not have. */
static bool ask_other(struct control_status *s, const struct if_nameindex *i)
{
	enum sluice_mode mode = SLUICE_MODE_AUTO;
	struct control_status_part *to;
	bool found[CONTROL_KINDS], wanted;
	uint32_t k, n, n_on = s->gen ? s->gen->n_on : 0;

	find_members((int)i->if_index, found, &mode);
	for (k = 0; k < CONTROL_KINDS; k++) {
		if (is_listed(s, k, i->if_name))
			continue;
		for (n = 0, wanted = false; n < n_on && !wanted; n++)
			wanted = s->gen->on[n].kind == k && build_names(&s->gen->on[n], i->if_name);
		if (!found[k] && !wanted)
			continue;
		to = add(s, k, i->if_name, (int)i->if_index,
			 !found[k] ? CONTROL_NEW : detours(&s->st->record) ? CONTROL_DETOUR : CONTROL_LEFT);
		if (!to)
			return false;
		if (found[k])
			to->mode = mode;
	}
	return true;
}

/* Does what a part was made for run on the interface, whatever it is called by now? */
static bool is_on(const struct control_status *s, enum control_kind kind, const char *ifname)
{
	int ifindex = (int)if_nametoindex(ifname);
	uint32_t i;

	for (i = 0; i < s->n_parts; i++)
		if (s->parts[i].kind == kind && s->parts[i].ifindex == ifindex)
			return true;
	return false;
}

/* A name of the policy's that no interface has, or one that has another name of its own. */
static bool ask_name(struct control_status *s, const struct control_part *on)
{
	struct control_status_part *to;
	char own[IF_NAMESIZE];

	if (strpbrk(on->ifname, "*?") || is_listed(s, on->kind, on->ifname))
		return true;
	if (!build_alias(on->ifname, own))
		return if_nametoindex(on->ifname) || add(s, on->kind, on->ifname, 0, CONTROL_MISSING);
	if (is_on(s, on->kind, own))
		return true;
	to = add(s, on->kind, on->ifname, 0, CONTROL_ALIAS);
	if (to)
		snprintf(to->why, sizeof(to->why), "%s", own);
	return to != NULL;
}

/* Interfaces that came later, are missing, or have what they should not have. */
static int ask_others(struct control_status *s, struct sluice_err *err)
{
	struct if_nameindex *all = if_nameindex();
	uint32_t i, k, n_on = s->gen ? s->gen->n_on : 0;
	bool failed = !all;

	for (i = 0; all && all[i].if_index && !failed; i++)
		failed = !ask_other(s, &all[i]);
	for (k = 0; k < n_on && !failed; k++)
		failed = !ask_name(s, &s->gen->on[k]);
	if (all)
		if_freenameindex(all);
	return failed ? err_nomem(err) : 0;
}

static int ask_redirects(struct control_status *s, struct sluice_err *err)
{
	enum redirect_health health;
	struct redirect *v;
	uint32_t n, i;
	int e = redirects_read(s->st, s->current, &v, &n, err);

	if (!e && n) {
		s->lost = calloc(n, sizeof(*s->lost));
		e = s->lost ? 0 : err_nomem(err);
	}
	for (i = 0; !e && i < n; i++) {
		health = redirects_health(&v[i]);
		if (health == REDIRECT_THERE)
			continue;
		s->lost[s->n_lost] = (struct control_status_redirect){.ifindex = v[i].ifindex,
								      .gone = health == REDIRECT_GONE};
		memcpy(s->lost[s->n_lost++].ifname, v[i].ifname, sizeof(v[i].ifname));
	}
	free(v);
	return e;
}

/* --- memory --- */

struct weigh {
	char dir[PATH_MAX];
	struct buf ids;
	uint64_t bytes;
};

static uint64_t weight(int fd)
{
	char path[64], text[1024], *at;
	int info;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	n = info >= 0 ? read(info, text, sizeof(text) - 1) : 0;
	if (info >= 0)
		close(info);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, "memlock:");
	return at ? strtoull(at + 8, NULL, 10) : 0;
}

static void weigh_pin(void *ctx, const char *name)
{
	struct weigh *w = ctx;
	char path[PATH_MAX];
	uint32_t id, i;
	int fd;

	if (files_path(path, sizeof(path), w->dir, name, NULL))
		return;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return;
	id = control_map_id(fd);
	for (i = 0; i < w->ids.len / 4 && ((uint32_t *)(void *)w->ids.data)[i] != id; i++)
		;
	if (i == w->ids.len / 4) {
		buf_u32(&w->ids, id);
		w->bytes += weight(fd);
	}
	close(fd);
}

static void weigh_all(struct control_status *s)
{
	const struct control_record *r = &s->st->record;
	const char *names[] = {r->live, r->before, r->next};
	struct weigh w = {.bytes = 0};
	size_t i;

	for (i = 0; i < 3; i++)
		if (names[i][0] && s->st->pins[0] && !files_path(w.dir, sizeof(w.dir), s->st->pins, names[i], NULL))
			files_each(w.dir, weigh_pin, &w);
	s->memory = w.bytes;
	buf_free(&w.ids);
}

static bool is_busy(const struct control_state *st)
{
	char path[PATH_MAX];
	bool busy;
	int fd;

	if (files_path(path, sizeof(path), st->run, "lock", NULL))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	busy = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	if (fd >= 0)
		close(fd);
	return busy;
}

static int ask(struct control_status *s, struct sluice_err *err)
{
	const struct control_record *r = &s->st->record;
	struct store_entry kept;
	uint64_t until;
	uint32_t i;
	int e = control_state_current(s->st, s->current, &s->trial_ns, err);

	if (e)
		return e;
	s->busy = is_busy(s->st);
	s->since_ns = r->since_ns;
	s->rolled_back_ns = r->rolled_back_ns;
	snprintf(s->tried, sizeof(s->tried), "%s", r->tried);
	if (r->change == CONTROL_TRIAL && strcmp(s->current, r->live) != 0 &&
	    !control_until(s->st, r->live, &until, NULL) && until > 1) {
		/* nobody has tidied up behind it yet */
		s->rolled_back_ns = s->since_ns = clock_wall_ns() - (clock_mono_ns() - until);
		snprintf(s->tried, sizeof(s->tried), "%s", r->live);
	}
	if (s->current[0])
		e = control_generation_open(s->st, s->current, &s->gen, err);
	s->unkept = !e && s->gen && store_entry(s->st, s->current, &kept, NULL) == -ENOENT;
	for (i = 0; !e && s->gen && i < s->gen->n_all; i++)
		e = ask_part(s, i, err);
	e = e ?: ask_others(s, err);
	if (!e && s->gen)
		e = ask_redirects(s, err);
	e = e ?: store_history(s->st, &s->history, &s->n_history, err);
	if (!e && store_confirmed(s->st, s->confirmed, NULL))
		s->confirmed[0] = '\0';
	if (!e)
		weigh_all(s);
	return e;
}

/* Nobody is locked out: a change in between makes the answers of no use, so that they are asked for again. */
int control_status(const char *bpffs, struct control_status **to, struct sluice_err *err)
{
	struct control_status *s;
	int tries, e = 0;

	*to = NULL;
	for (tries = 0; tries < 5; tries++) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return err_nomem(err);
		e = control_state_open(bpffs, false, &s->st, err);
		e = e ?: ask(s, err);
		if (!e) {
			*to = s;
			return 0;
		}
		control_status_free(s);
		if (e != -ENOENT)
			break;
	}
	return e;
}

void control_status_free(struct control_status *s)
{
	if (!s)
		return;
	control_generation_free(s->gen);
	control_state_close(s->st);
	free(s->parts);
	free(s->lost);
	free(s->history);
	free(s);
}
