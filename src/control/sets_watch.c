// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Watching the files of run-time sets. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/sets_watch.h"

#define SECOND UINT64_C(1000000000)
#define QUIET_NS (SECOND / 2)	 /* without a change, before a file is read */
#define LONGEST_NS (10 * SECOND) /* and at the latest, if it never is */
#define AGAIN_NS (3 * SECOND) /* after what had nothing to do with the file (memory, descriptors, the disk) */
#define LOOK_NS (2 * SECOND)  /* for another policy */
#define LOCK_NS (5 * SECOND)
/* not IN_MODIFY: a file is read when its writer is done with it, not in between */
#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR)
#define SETTLED_NS (5 * SECOND) /* since the last write to a file that nobody told of */

struct watched {
	char set[FILTER_SET_NAME];
	char path[PATH_MAX];
	const char *name;	    /* in path: behind the folder */
	int wd;			    /* of the folder, -1: it is not there */
	uint64_t first_ns, last_ns; /* changes that were not read yet; 0: none */
	struct stat was;	    /* when it was read, or found at fault */
	char trouble[SLUICE_ERR_MAX]; /* told last of what is tried again */
};

struct control_watch {
	const char *bpffs;
	uint64_t sweep_ns, swept_ns, looked_ns;
	void (*say)(void *ctx, const struct watch_event *e);
	void *ctx;
	int fd;
	char generation[CONTROL_NAME];
	bool waiting; /* it was told that there is no policy */
	struct watched *v;
	uint32_t n;
};

static void say(struct control_watch *w, enum watch_what what, const char *name, const char *why)
{
	struct watch_event e = {.what = what, .name = name, .why = why, .n_files = w->n};

	w->say(w->ctx, &e);
}

int control_watch_new(const char *bpffs, uint64_t sweep_ns,
		      void (*tell)(void *ctx, const struct watch_event *e), void *ctx,
		      struct control_watch **watch, struct sluice_err *err)
{
	struct control_watch *w = calloc(1, sizeof(*w));

	*watch = NULL;
	if (!w)
		return err_nomem(err);
	*w = (struct control_watch){.bpffs = bpffs, .sweep_ns = sweep_ns, .say = tell, .ctx = ctx};
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd < 0) {
		free(w);
		return err_set(err, -errno, "watching files: %s", strerror(errno));
	}
	*watch = w;
	return 0;
}

void control_watch_free(struct control_watch *w)
{
	if (!w)
		return;
	close(w->fd);
	free(w->v);
	free(w);
}

int control_watch_fd(const struct control_watch *w)
{
	return w->fd;
}

void control_watch_again(struct control_watch *w)
{
	uint32_t i;

	w->looked_ns = 0;
	for (i = 0; i < w->n; i++)
		w->v[i].first_ns = w->v[i].last_ns = 1;
}

/* A folder that is watched already has the same number. */
static void watch_folder(struct control_watch *w, struct watched *v)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%.*s", v->name - 1 == v->path ? 1 : (int)(v->name - 1 - v->path),
		 v->path);
	v->wd = inotify_add_watch(w->fd, dir, EVENTS);
}

static void forget(struct control_watch *w)
{
	uint32_t i, k;

	for (i = 0; i < w->n; i++) {
		for (k = 0; k < i && w->v[k].wd != w->v[i].wd; k++)
			;
		if (k == i && w->v[i].wd >= 0)
			inotify_rm_watch(w->fd, w->v[i].wd);
	}
	free(w->v);
	w->v = NULL;
	w->n = 0;
}

/* The files of another policy; all are read, for they may have changed since it was applied. */
static int learn(struct control_watch *w, const struct control_live *live, uint64_t now,
		 struct sluice_err *err)
{
	uint32_t i, n = control_sets_n(live->sets);
	struct control_set set;
	struct watched *v;

	forget(w);
	memcpy(w->generation, live->name, sizeof(w->generation));
	w->waiting = false;
	w->v = calloc(n + 1ul, sizeof(*w->v));
	if (!w->v)
		return err_nomem(err);
	for (i = 0; i < n; i++) {
		if (control_sets_get(live->sets, i, &set, NULL) || !set.file ||
		    strlen(set.file) >= PATH_MAX || set.file[0] != '/')
			continue;
		v = &w->v[w->n++];
		snprintf(v->set, sizeof(v->set), "%s", set.name);
		snprintf(v->path, sizeof(v->path), "%s", set.file);
		v->name = strrchr(v->path, '/') + 1;
		v->first_ns = v->last_ns = now > QUIET_NS ? now - QUIET_NS : 1;
		watch_folder(w, v);
	}
	say(w, WATCH_POLICY, w->generation, NULL);
	return 0;
}

/* Another policy, and what has expired. */
static int look(struct control_watch *w, uint64_t now, struct sluice_err *err)
{
	struct control_live live;
	struct sluice_err why = {0};
	uint64_t gone;
	int e = control_live_open(w->bpffs, LOCK_NS, &live, &why);

	w->looked_ns = now;
	if (!e && strcmp(live.name, w->generation))
		e = learn(w, &live, now, &why);
	if (!e && now - w->swept_ns >= w->sweep_ns) {
		e = control_sets_expire(live.sets, control_sets_now(), &gone, &why);
		w->swept_ns = now;
	}
	control_live_close(&live);
	if (e == -ENOENT && !w->waiting) {
		forget(w);
		w->generation[0] = '\0';
		w->waiting = true;
		say(w, WATCH_POLICY, "", NULL);
	} else if (e == -EPERM || e == -ENOMEM) {
		return err_set(err, e, "%s", why.text);
	} else if (e && e != -ENOENT) {
		say(w, WATCH_TROUBLE, NULL, why.text);
	}
	return 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Was the last write so long ago? */
static bool is_settled(const struct stat *st, uint64_t ns)
{
	uint64_t written = (uint64_t)st->st_mtim.tv_sec * SECOND + (uint64_t)st->st_mtim.tv_nsec,
		 now = clock_wall_ns();

	return written + ns <= now || written > now;
}

/* What another look at the same file in the same policy would come to again. */
static bool is_for_good(int e)
{
	static const int all[] = {-EBADMSG, -EINVAL, -ENOENT,  -ENOTDIR, -EISDIR,
				  -ELOOP,   -EFBIG,  -ENOEXEC, -ENOSPC,	 -E2BIG};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(*all) && all[i] != e; i++)
		;
	return i < sizeof(all) / sizeof(*all);
}

/* It was read, or cannot be until it changes: before is what it was. */
static void done_with(struct watched *v, const struct stat *before)
{
	v->first_ns = v->last_ns = 0;
	v->trouble[0] = '\0';
	if (before->st_nlink)
		v->was = *before;
}

/* It stays marked. What is the same as last time is not told again. */
static void try_again(struct control_watch *w, struct watched *v, int e, const char *why)
{
	v->first_ns = v->last_ns = clock_mono_ns() + (e == -EBUSY ? 0 : AGAIN_NS);
	if (strcmp(v->trouble, why))
		say(w, WATCH_FAILED, v->set, why);
	snprintf(v->trouble, sizeof(v->trouble), "%s", why);
}

static void load(struct control_watch *w, struct watched *v)
{
	struct filter_elems elems[2] = {{NULL, 0}, {NULL, 0}};
	struct watch_event done = {.what = WATCH_LOADED, .name = v->set};
	struct control_live live = {.fd = -1, .other_fd = -1};
	bool other = false, for_good, in_haste = clock_mono_ns() >= v->first_ns + LONGEST_NS;
	struct stat before = {0}, after;
	struct sluice_err err = {0};
	uint32_t nr;
	int e;

	if (stat(v->path, &before))
		before.st_nlink = 0;
	/* somebody may have emptied it to write it anew, of which nothing tells before he is done */
	if (before.st_nlink && !is_settled(&before, QUIET_NS) && !in_haste) {
		v->last_ns = clock_mono_ns();
		return;
	}
	/* what takes long is done before the lock is taken */
	e = control_sets_read(v->path, elems, NULL, &err);
	if (before.st_nlink && !in_haste && !stat(v->path, &after) && !is_same(&before, &after)) {
		v->last_ns = clock_mono_ns();
		free(elems[0].v);
		free(elems[1].v);
		return;
	}
	for_good = is_for_good(e);
	if (!e) {
		e = control_live_open(w->bpffs, LOCK_NS, &live, &err);
		other = e == -ENOENT || (!e && strcmp(live.name, w->generation));
	}
	if (!e && !other) {
		e = control_sets_find(live.sets, v->set, &nr, &err);
		if (!e)
			e = control_live_load(&live, nr, elems, NULL, &done.done, &err);
		for_good = is_for_good(e);
		if (!e)
			w->say(w->ctx, &done);
		if (live.beside.code)
			say(w, WATCH_TROUBLE, NULL, live.beside.text);
	}
	control_live_close(&live);
	free(elems[0].v);
	free(elems[1].v);
	if (other) { /* it stays marked: that policy may be over before anybody looks at it */
		w->looked_ns = 0;
	} else if (e && !for_good) {
		try_again(w, v, e, err.text);
	} else {
		done_with(v, &before);
		if (e)
			say(w, WATCH_FAILED, v->set, err.text);
	}
}

static void changed(struct control_watch *w, int wd, const char *name, uint64_t now)
{
	uint32_t i;

	for (i = 0; i < w->n; i++) {
		if (w->v[i].wd != wd || (name && strcmp(w->v[i].name, name)))
			continue;
		w->v[i].last_ns = now;
		w->v[i].first_ns = w->v[i].first_ns ? w->v[i].first_ns : now;
	}
}

static void take_events(struct control_watch *w, uint64_t now)
{
	_Alignas(struct inotify_event) char buf[65536];
	const struct inotify_event *e;
	ssize_t n, at;
	uint32_t i;

	while ((n = read(w->fd, buf, sizeof(buf))) > 0)
		for (at = 0; at + (ssize_t)sizeof(*e) <= n; at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const struct inotify_event *)(const void *)(buf + at);
			if (e->mask & IN_Q_OVERFLOW) {
				control_watch_again(w);
			} else if (e->mask & IN_IGNORED) {
				for (i = 0; i < w->n; i++)
					w->v[i].wd = w->v[i].wd == e->wd ? -1 : w->v[i].wd;
			} else {
				changed(w, e->wd, e->len ? e->name : NULL, now);
			}
		}
}

int control_watch_turn(struct control_watch *w, uint64_t *wait_ns, struct sluice_err *err)
{
	uint64_t now = clock_mono_ns(), due;
	struct watched *v;
	struct stat st;
	int e = 0;

	take_events(w, now);
	if (!w->looked_ns || now - w->looked_ns >= LOOK_NS) {
		e = look(w, now, err);
		/* folders that came later, and changes that nobody told of */
		for (v = w->v; !e && v < w->v + w->n; v++) {
			if (v->wd < 0)
				watch_folder(w, v);
			if (!v->last_ns && !stat(v->path, &st) && !is_same(&v->was, &st) &&
			    is_settled(&st, SETTLED_NS))
				v->first_ns = v->last_ns = now;
		}
	}
	*wait_ns = LOOK_NS;
	for (v = w->v; !e && v < w->v + w->n; v++) {
		if (!v->last_ns)
			continue;
		due = v->last_ns + QUIET_NS;
		if (due > v->first_ns + LONGEST_NS)
			due = v->first_ns + LONGEST_NS;
		if (due <= now) {
			load(w, v);
			due = v->last_ns ? v->last_ns + QUIET_NS : UINT64_MAX;
		}
		if (due < now + *wait_ns)
			*wait_ns = due > now ? due - now : 0;
	}
	if (!w->looked_ns)
		*wait_ns = 0;
	return e;
}

int control_watch_notify(const char *name, const char *state, struct sluice_err *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = name ? strlen(name) : 0;
	ssize_t sent;
	int fd;

	if (!len)
		return 0;
	if ((name[0] != '/' && name[0] != '@') || len >= sizeof(to.sun_path))
		return err_set(err, -EINVAL, "NOTIFY_SOCKET '%s' is neither a path nor @NAME", name);
	memcpy(to.sun_path, name, len);
	if (name[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, -errno, "socket: %s", strerror(errno));
	sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
	return sent < 0 ? err_set(err, -errno, "telling %s: %s", name, strerror(errno)) : 0;
}
