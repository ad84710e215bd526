// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The policies that were applied, on disk. Reading them as policies: store_read.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/files.h"
#include "control/inside.h"
#include "control/store_inside.h"

static int below(const struct control_state *st, const char *what, char to[PATH_MAX], struct sluice_err *err)
{
	return files_path(to, PATH_MAX, st->lib, what, err);
}

struct list {
	struct buf names; /* CONTROL_NAME bytes each */
	uint32_t most;
};

static void add_name(void *ctx, const char *name)
{
	struct list *l = ctx;
	uint32_t number;
	char *to;

	if (!control_name_ok(name))
		return;
	to = buf_add(&l->names, CONTROL_NAME);
	if (to)
		snprintf(to, CONTROL_NAME, "%s", name);
	number = (uint32_t)strtoul(name, NULL, 10);
	l->most = number > l->most ? number : l->most;
}

static int list_names(const struct control_state *st, struct list *l, struct sluice_err *err)
{
	char dir[PATH_MAX];
	int e = below(st, "generations", dir, err);

	memset(l, 0, sizeof(*l));
	if (!e)
		files_each(dir, add_name, l);
	return e ?: l->names.failed ? err_nomem(err) : 0;
}

int store_name(const struct control_state *st, const struct store_policy *p, const char *again,
	       struct store_entry *to, struct sluice_err *err)
{
	struct list l;
	int e = list_names(st, &l, err);

	memset(to, 0, sizeof(*to));
	buf_free(&l.names);
	to->number = to->first = l.most + 1;
	to->made_ns = clock_wall_ns();
	snprintf(to->name, sizeof(to->name), "%u-%.*s", to->number, CONTROL_HASH, p->hash);
	snprintf(to->path, sizeof(to->path), "%s", p->path);
	snprintf(to->again, sizeof(to->again), "%s", again);
	memcpy(to->hash, p->hash, sizeof(to->hash));
	return e;
}

int store_put(const struct control_state *st, const struct store_policy *p, const struct store_entry *entry,
	      struct sluice_err *err)
{
	char dir[PATH_MAX], temp[PATH_MAX], name[CONTROL_NAME + 1], path[PATH_MAX];
	struct buf meta = {0};
	uint32_t i;
	int e;

	buf_printf(&meta, "number %u\nhash %s\nmade %" PRIu64 "\npath %s\nagain %s\nfirst %u\n",
		   entry->number, p->hash, entry->made_ns, p->path, entry->again[0] ? entry->again : "-",
		   entry->first);
	for (i = 0; i < p->n_files; i++)
		buf_printf(&meta, "file %s %s\n", p->files[i].hash, p->files[i].path);
	e = meta.failed ? err_nomem(err) : 0;
	snprintf(name, sizeof(name), ".%s", entry->name);
	e = e ?: below(st, "generations", dir, err);
	e = e ?: files_path(temp, sizeof(temp), dir, name, err) ?: files_path(path, sizeof(path), dir, entry->name, err);
	if (!e) {
		files_remove(temp);
		e = files_mkdir(temp, err);
	}
	e = e ?: files_write(temp, "policy", p->text.data, p->text.len, true, err);
	e = e ?: files_write(temp, "meta", meta.data, meta.len, true, err);
	if (!e && rename(temp, path)) {
		files_remove(path); /* what was damaged lies there still */
		if (rename(temp, path))
			e = err_set(err, -errno, "renaming %s: %s", temp, strerror(errno));
	}
	buf_free(&meta);
	return e ?: files_sync(dir, err);
}

void store_forget(const struct control_state *st, const char *name)
{
	char dir[PATH_MAX], path[PATH_MAX];

	if (control_name_ok(name) && !below(st, "generations", dir, NULL) &&
	    !files_path(path, sizeof(path), dir, name, NULL))
		files_remove(path);
}

int store_mend(const struct control_state *st, const struct store_policy *p,
	       const struct control_generation *live, bool *mended, struct sluice_err *err)
{
	struct store_entry entry;
	struct store_policy kept;
	int e = store_again(st, live->name, &kept, NULL);

	store_free(&kept);
	*mended = e == -ENOENT || e == -EBADMSG;
	if (!*mended)
		return 0;
	if (store_entry(st, live->name, &entry, NULL)) {
		entry = (struct store_entry){.number = live->number,
					     .first = live->number,
					     .made_ns = live->made_ns};
		memcpy(entry.name, live->name, sizeof(entry.name));
	}
	return store_put(st, p, &entry, err) ?: store_confirm(st, live->name, err);
}

/* Does `confirmed` say that already? */
static bool says(const struct control_state *st, const char *name)
{
	char now[CONTROL_NAME];

	return !store_confirmed(st, now, NULL) && !strcmp(now, name);
}

int store_ready(const struct control_state *st, const char *name, struct sluice_err *err)
{
	char line[CONTROL_NAME + 1];
	int n = snprintf(line, sizeof(line), "%s\n", name[0] ? name : "-"), e = 0;

	if (name[0])
		e = store_fetch(st, name, err);
	return e || says(st, name) ? e : files_ready(st->lib, "confirmed", line, (size_t)n, err);
}

int store_confirm(const struct control_state *st, const char *name, struct sluice_err *err)
{
	char line[CONTROL_NAME + 1];
	int n = snprintf(line, sizeof(line), "%s\n", name[0] ? name : "-"), e = 0;

	if (name[0])
		e = store_fetch(st, name, err);
	if (e)
		return e;
	return says(st, name) ? files_sync(st->lib, err) :
				files_finish(st->lib, "confirmed", line, (size_t)n, err);
}

int store_confirmed(const struct control_state *st, char name[CONTROL_NAME], struct sluice_err *err)
{
	struct buf text = {0};
	int e = files_read(st->lib, "confirmed", 64, &text, err);

	name[0] = '\0';
	if (!e && text.len && text.data[text.len - 1] == '\n')
		text.data[text.len - 1] = '\0';
	if (!e && strcmp((char *)text.data, "-") != 0) {
		if (control_name_ok((char *)text.data))
			snprintf(name, CONTROL_NAME, "%s", (char *)text.data);
		else
			e = err_set(err, -EBADMSG, "%s/confirmed is damaged", st->lib);
	}
	buf_free(&text);
	return e;
}

int store_meta(const struct control_state *st, const char *name, struct buf *meta, struct sluice_err *err)
{
	char dir[PATH_MAX], path[PATH_MAX];
	int e = control_name_ok(name) ? below(st, "generations", dir, err) :
					err_set(err, -EINVAL, "'%s' is no name of a policy", name);

	e = e ?: files_path(path, sizeof(path), dir, name, err);
	return e ?: files_read(path, "meta", POLICY_TEXT_MAX, meta, err);
}

int store_entry(const struct control_state *st, const char *name, struct store_entry *to, struct sluice_err *err)
{
	struct buf meta = {0};
	uint64_t number, first;
	int e = store_meta(st, name, &meta, err);
	const char *text = (const char *)meta.data;

	memset(to, 0, sizeof(*to));
	if (!e && (!files_number(text, "number", &number) || number > UINT32_MAX ||
		   !files_line(text, "hash", to->hash, sizeof(to->hash)) || strlen(to->hash) != 64 ||
		   !files_number(text, "made", &to->made_ns) ||
		   !files_line(text, "path", to->path, sizeof(to->path)) ||
		   !files_line(text, "again", to->again, sizeof(to->again)) || meta.len != strlen(text)))
		e = err_set(err, -EBADMSG, "%s/generations/%s/meta is damaged", st->lib, name);
	if (!e) {
		to->number = to->first = (uint32_t)number;
		if (files_number(text, "first", &first) && first < number)
			to->first = (uint32_t)first;
		if (!strcmp(to->again, "-"))
			to->again[0] = '\0';
		snprintf(to->name, sizeof(to->name), "%s", name);
	}
	buf_free(&meta);
	return e;
}

static int newest_first(const void *a, const void *b)
{
	const struct store_entry *x = a, *y = b;

	return x->number < y->number ? 1 : x->number > y->number ? -1 : strcmp(x->name, y->name);
}

/* All that are there. */
static int entries(const struct control_state *st, struct store_entry **to, uint32_t *n,
		   struct sluice_err *err)
{
	struct list l;
	int e = list_names(st, &l, err);
	size_t i, count = l.names.len / CONTROL_NAME;

	*n = 0;
	*to = calloc(count + 1, sizeof(**to));
	if (!e && !*to)
		e = err_nomem(err);
	for (i = 0; i < count && !e; i++) /* one that is damaged is not there */
		if (!store_entry(st, (char *)l.names.data + i * CONTROL_NAME, &(*to)[*n], NULL))
			++*n;
	if (!e)
		qsort(*to, *n, sizeof(**to), newest_first);
	buf_free(&l.names);
	if (e) {
		free(*to);
		*to = NULL;
	}
	return e;
}

/* Has a later generation of the same policy taken its place? */
static bool gave_way(const struct control_state *st, const struct store_entry *v, uint32_t n, uint32_t i)
{
	uint32_t k;

	if (!strcmp(v[i].name, st->record.live))
		return false;
	for (k = 0; k < n; k++)
		if (v[k].first <= v[i].number && v[i].number < v[k].number && !strcmp(v[k].hash, v[i].hash))
			return true;
	return false;
}

int store_history(const struct control_state *st, struct store_entry **to, uint32_t *n,
		  struct sluice_err *err)
{
	struct store_entry *v = NULL;
	uint32_t n_all = 0, i;
	int e = entries(st, &v, &n_all, err);

	*n = 0;
	*to = e ? NULL : calloc(n_all + 1ul, sizeof(**to));
	if (!e && !*to)
		e = err_nomem(err);
	for (i = 0; !e && i < n_all; i++)
		if (!gave_way(st, v, n_all, i))
			(*to)[(*n)++] = v[i];
	free(v);
	return e;
}

int store_find(const struct control_state *st, uint32_t number, char name[CONTROL_NAME],
	       struct sluice_err *err)
{
	struct store_entry *v = NULL;
	uint32_t n = 0, i;
	int e = entries(st, &v, &n, err);

	name[0] = '\0';
	for (i = 0; !e && i < n; i++)
		if (v[i].number == number)
			memcpy(name, v[i].name, CONTROL_NAME);
	free(v);
	if (!e && !name[0])
		e = err_set(err, -ENOENT, "there is no policy %u in the history; sluice status lists them", number);
	return e;
}

/* --- removing --- */

struct prune {
	char dir[PATH_MAX];
	const char *const *keep; /* NULL: everything that begins with a dot goes, nothing else */
	uint32_t n;
	char confirmed[CONTROL_NAME]; /* restore wants it */
	uint32_t least; /* number that stays without being named */
	const struct store_entry *all;
	uint32_t n_all;
	struct buf files; /* hashes that are used, 65 bytes each */
	const struct control_state *st;
};

/* Of the policy in force, but later: put back by a process that was killed before it was done. */
static bool never_was(const struct prune *p, const char *name)
{
	const char *live = p->st->record.live;

	return control_same_policy(live, name) && strtoul(name, NULL, 10) > strtoul(live, NULL, 10);
}

static bool kept(const struct prune *p, const char *name)
{
	bool same = control_same_policy(p->confirmed, name);
	uint32_t i;

	if (!strcmp(p->confirmed, name))
		return true;
	for (i = 0; i < p->n; i++) {
		if (!strcmp(p->keep[i], name))
			return true;
		same = same || control_same_policy(p->keep[i], name);
	}
	if (never_was(p, name))
		return false;
	for (i = 0; i < p->n_all; i++)
		if (!strcmp(p->all[i].name, name) && gave_way(p->st, p->all, p->n_all, i))
			return false;
	/* the same policy under another number may still be named by samples */
	return same || strtoul(name, NULL, 10) >= p->least;
}

static void drop(const struct prune *p, const char *name)
{
	char path[PATH_MAX];

	if (!files_path(path, sizeof(path), p->dir, name, NULL))
		files_remove(path);
}

static void prune_generation(void *ctx, const char *name)
{
	struct prune *p = ctx;
	struct buf meta = {0};
	char *line, *hash;

	if (!control_name_ok(name))
		return;
	if (!kept(p, name)) {
		drop(p, name);
		return;
	}
	if (!store_meta(p->st, name, &meta, NULL))
		for (line = (char *)meta.data; line; line = strchr(line, '\n')) {
			line += *line == '\n';
			if (strncmp(line, "file ", 5) != 0 || strnlen(line, 70) < 70)
				continue;
			hash = buf_add(&p->files, 65);
			if (hash)
				memcpy(hash, line + 5, 64);
		}
	buf_free(&meta);
}

static void prune_file(void *ctx, const char *name)
{
	struct prune *p = ctx;
	size_t i;

	for (i = 0; i < p->files.len; i += 65)
		if (!strcmp((char *)p->files.data + i, name))
			return;
	if (!p->files.failed && strlen(name) == 64)
		drop(p, name);
}

void store_prune(const struct control_state *st, const char *const *keep, uint32_t n)
{
	struct prune p = {.st = st, .keep = keep, .n = n};
	struct store_entry *v = NULL;
	uint32_t i, shown = 0;
	int e = store_confirmed(st, p.confirmed, NULL);

	if ((e && e != -ENOENT) || entries(st, &v, &p.n_all, NULL) || below(st, "generations", p.dir, NULL)) {
		free(v);
		return;
	}
	p.all = v;
	for (i = 0; i < p.n_all; i++)
		if (!gave_way(st, v, p.n_all, i) && ++shown == STORE_KEPT)
			p.least = v[i].number;
	files_hidden(st->lib);
	files_hidden(p.dir);
	files_each(p.dir, prune_generation, &p);
	if (!below(st, "files", p.dir, NULL)) {
		files_hidden(p.dir);
		files_each(p.dir, prune_file, &p);
	}
	buf_free(&p.files);
	free(v);
}
