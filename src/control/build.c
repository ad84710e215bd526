// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Making the next generation: compiled, loaded, pinned, written down. Which interfaces: build_parts.c. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/privilege.h"
#include "control/build.h"
#include "control/build_inside.h"
#include "control/carry.h"
#include "control/files.h"
#include "control/inside.h"
#include "control/redirects.h"

#define CODE_BYTES (64u << 20)

int build_pin_name(const struct build *b, int fd, const char *name)
{
	char path[PATH_MAX];
	int e = files_path(path, sizeof(path), b->pins, name, b->err);

	if (e || !bpf_obj_pin(fd, path) || errno == EEXIST)
		return e;
	if (errno == EPERM || errno == EACCES)
		return privilege_missing("pinning a map", b->err);
	return err_set(b->err, -errno, "pinning a map as %s: %s", path, strerror(errno));
}

int build_pin(const struct build *b, int fd, enum control_map map, uint32_t which)
{
	char name[32];

	control_map_name(map, which, name);
	return build_pin_name(b, fd, name);
}

static int pin_refs(const struct build *b, const struct code *code)
{
	char name[32];
	uint32_t i;
	int fd, e = 0;

	for (i = 0; i < code->n_refs && !e; i++) {
		if (code->ref[i].kind != CODE_REF_MAP)
			continue;
		fd = bpf_map_get_fd_by_id(code->ref[i].id);
		if (fd < 0 && errno == EPERM)
			return privilege_missing("opening a map by its number", b->err);
		if (fd < 0)
			return err_set(b->err, -errno, "opening map %u: %s", code->ref[i].id, strerror(errno));
		snprintf(name, sizeof(name), "m_%u", code->ref[i].id);
		e = build_pin_name(b, fd, name);
		close(fd);
	}
	return e;
}

static int write_code(const struct build *b, const struct code *code, uint32_t part)
{
	struct buf bytes = {0};
	char name[32];
	int e;

	snprintf(name, sizeof(name), "part_%u", part);
	code_write(code, &bytes);
	e = bytes.failed ? err_nomem(b->err) : files_write(b->dir, name, bytes.data, bytes.len, false, b->err);
	buf_free(&bytes);
	return e;
}

int build_keep_code(const struct build *b, const struct code *code, uint32_t part)
{
	return pin_refs(b, code) ?: write_code(b, code, part);
}

static int keep_fd(const struct build *b, struct control_filter *f, const char *map, enum control_map as,
		   uint32_t which, int *fd)
{
	int of = sluice_object_map_fd(f->obj, map, b->err);

	if (of < 0)
		return of;
	if (fd && *fd < 0)
		*fd = fcntl(of, F_DUPFD_CLOEXEC, 3);
	return build_pin(b, of, as, which);
}

static int build_part(struct build *b, const struct filter_tables *t, uint32_t part)
{
	uint32_t filter = b->g->parts[part].filter;
	const struct code *code = NULL;
	struct control_filter f;
	int e = control_filter_load_code(t, &b->maps, &f, &code, b->err);

	if (e)
		err_prefix(b->err, "the filter on %s", b->g->parts[part].ifname);
	e = e ?: keep_fd(b, &f, "filter_tables", CONTROL_TABLES, filter, &b->maps.tables);
	e = e ?: keep_fd(b, &f, "filter_cells", CONTROL_CELLS, filter, &b->maps.cells);
	e = e ?: keep_fd(b, &f, "filter_cpus", CONTROL_CPUS, filter, &b->maps.cpus);
	e = e ?: keep_fd(b, &f, "filter_samples", CONTROL_SAMPLES, 0, &b->maps.samples);
	e = e ?: keep_fd(b, &f, "filter_hits", CONTROL_COUNTS, part, NULL);
	e = e ?: keep_fd(b, &f, "filter_more", CONTROL_MORE, part, NULL);
	e = e ?: build_keep_code(b, code, part);
	control_filter_close(&f);
	return e;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* What rules carry over: keys, and limits as the packet path has them. */
static int write_rules(const struct build *b, uint32_t filter, const struct filter_tables *t)
{
	const struct policy_filter *from = &b->p->filters[filter];
	const struct filter_rule *rule = (const void *)((const char *)t->bytes + t->config.rules);
	const struct limit *limit = (const void *)((const char *)t->bytes + t->config.limits);
	struct build_rule *v = calloc(from->n_stmts + 1ul, sizeof(*v));
	struct buf scratch = {0};
	char name[32];
	uint32_t i;
	int e = v ? 0 : err_nomem(b->err);

	for (i = 0; i < from->n_stmts && !e; i++) {
		v[i].key = policy_rule_key(&from->stmts[i], &scratch);
		if (!(rule[i].does & RULE_LIMIT))
			continue;
		v[i].has_limit = 1;
		v[i].per = rule[i].per;
		v[i].limit = limit[rule[i].limit];
		v[i].mask4 = rule[i].mask4;
		memcpy(v[i].mask6, rule[i].mask6, sizeof(v[i].mask6));
	}
	if (!e && scratch.failed)
		e = err_nomem(b->err);
	buf_free(&scratch);
	if (!e) {
		v[i].key = from->default_drop ? BUILD_DROP : BUILD_PASS;
		snprintf(name, sizeof(name), "rules_%u", filter);
		e = files_write(b->dir, name, v, (i + 1ul) * sizeof(*v), false, b->err);
	}
	free(v);
	return e;
}

static int write_struct(const struct build *b, const char *what, uint32_t filter, const void *v, size_t size)
{
	char name[32];

	snprintf(name, sizeof(name), "%s_%u", what, filter);
	return files_write(b->dir, name, v, size, false, b->err);
}

static int build_filter(struct build *b, uint32_t filter)
{
	struct filter_tables *t = NULL;
	uint32_t i, first;
	int e = 0;

	for (first = 0; first < b->g->n_parts && b->g->parts[first].filter != filter; first++)
		;
	if (first == b->g->n_parts)
		return 0;
	e = filter_compile(b->p, filter, &b->opts, &t, b->err);
	if (e)
		return err_prefix(b->err, "the filter on %s", b->g->parts[first].ifname);
	e = write_rules(b, filter, t);
	e = e ?: write_struct(b, "config", filter, &t->config, sizeof(t->config));
	e = e ?: write_struct(b, "sums", filter, &t->config.sums, sizeof(t->config.sums));
	e = e ?: write_struct(b, "report", filter, &t->report, sizeof(t->report));
	if (!e) /* limits go on in their cells, if they lie as before */
		b->maps.cells = carry_cells_map(b->st, b->g, filter, t->n_cells);
	for (i = first; i < b->g->n_parts && !e; i++)
		if (b->g->parts[i].filter == filter)
			e = build_part(b, t, i);
	shut(&b->maps.tables);
	shut(&b->maps.cells);
	shut(&b->maps.cpus);
	filter_tables_free(t);
	return e;
}

static int make_trial(const struct build *b)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "filter_until", 4, 8, 1, &opts), e;

	if (fd < 0)
		return errno == EPERM ? privilege_missing("creating a BPF map", b->err) :
					err_set(b->err, -errno, "creating a BPF map: %s", strerror(errno));
	e = build_pin(b, fd, CONTROL_TRIAL_UNTIL, 0);
	close(fd);
	return e;
}

static int make_dirs(struct build *b)
{
	int e = control_generation_dir(b->st, b->g->name, b->dir, b->err);

	e = e ?: files_path(b->pins, sizeof(b->pins), b->st->pins, b->g->name, b->err);
	return e ?: files_mkdir(b->dir, b->err) ?: files_mkdir(b->pins, b->err);
}

/* The hashes' seeds stay the same: with others no cell of a limit would be found again. Filters that are nowhere have none. */
static bool seed_before(struct build *b)
{
	struct control_generation *live;
	struct filter_config config;
	bool found = false;
	uint32_t i;

	if (!b->st->record.live[0] || control_generation_open(b->st, b->st->record.live, &live, NULL))
		return false;
	for (i = 0; i < live->n_parts && !found; i++)
		found = !build_struct(b->st, live->name, "config", live->parts[i].filter, &config, sizeof(config), NULL);
	control_generation_free(live);
	if (found)
		memcpy(b->opts.seed, config.seed, sizeof(b->opts.seed));
	return found;
}

static int options(struct build *b, struct filter_interface **interfaces)
{
	struct if_nameindex *all = if_nameindex();
	struct timespec tick;
	uint32_t n = 0, i;

	*interfaces = NULL;
	if (!all)
		return err_set(b->err, -errno, "listing the interfaces: %s", strerror(errno));
	while (all[n].if_index)
		n++;
	*interfaces = calloc(n + 1ul, sizeof(**interfaces) + IF_NAMESIZE);
	if (*interfaces) {
		char *names = (char *)(*interfaces + n + 1);

		for (i = 0; i < n; i++) {
			snprintf(names + i * IF_NAMESIZE, IF_NAMESIZE, "%s", all[i].if_name);
			(*interfaces)[i] = (struct filter_interface){names + i * IF_NAMESIZE, all[i].if_index};
		}
	}
	if_freenameindex(all);
	b->opts.interfaces = *interfaces;
	b->opts.n_interfaces = n;
	if (!clock_getres(CLOCK_MONOTONIC_COARSE, &tick) && !tick.tv_sec)
		b->opts.jiffy_ns = (uint64_t)tick.tv_nsec;
	if (!seed_before(b) && getrandom(b->opts.seed, sizeof(b->opts.seed), 0) != sizeof(b->opts.seed))
		return err_set(b->err, -EIO, "no random numbers: %s", strerror(errno));
	return *interfaces ? 0 : err_nomem(b->err);
}

int build_new(struct control_state *st, const char *again, const struct policy *p,
	      const struct control_generation *g, struct sluice_err *err)
{
	struct build b = {.st = st, .p = p, .g = g, .maps = {-1, -1, -1, -1, -1, g->number}, .err = err};
	struct filter_interface *interfaces = NULL;
	struct filter_sets *sets = NULL;
	uint32_t i;
	int e = make_dirs(&b);

	e = e ?: options(&b, &interfaces);
	e = e ?: make_trial(&b);
	if (!e && st->record.live[0])
		b.maps.samples = control_state_map(st, st->record.live, CONTROL_SAMPLES, 0, NULL);
	e = e ?: build_sets(&b, again, false, &sets);
	for (i = 0; i < p->n_filters && !e; i++)
		e = build_filter(&b, i);
	e = e ?: redirects_write(&b);
	e = e ?: build_balance(&b);
	e = e ?: control_generation_write(st, g, err);
	filter_sets_free(sets);
	shut(&b.maps.samples);
	shut(&b.maps.sets);
	free(interfaces);
	if (e)
		build_drop(st, g->name);
	return e;
}

int build_empty(struct control_state *st, const struct control_generation *g, struct sluice_err *err)
{
	struct build b = {.st = st, .g = g, .err = err};
	int e;

	build_drop(st, g->name);
	e = make_dirs(&b);
	e = e ?: make_trial(&b);
	e = e ?: control_generation_write(st, g, err);
	if (e)
		build_drop(st, g->name);
	return e;
}

/* --- once more --- */

struct again {
	struct build *b;
	char dir[PATH_MAX], pins[PATH_MAX]; /* of the generation that is taken */
	int e;
};

static void again_pin(void *ctx, const char *name)
{
	struct again *a = ctx;
	char path[PATH_MAX];
	int fd;

	if (a->e || !strncmp(name, "counts_", 7) || !strncmp(name, "more_", 5) || !strncmp(name, "m_", 2) ||
	    !strcmp(name, "trial") || !strcmp(name, "sets") || !strncmp(name, "balance_", 8) ||
	    files_path(path, sizeof(path), a->pins, name, NULL))
		return;
	fd = bpf_obj_get(path);
	if (fd < 0)
		a->e = err_set(a->b->err, -errno, "%s: %s", path, strerror(errno));
	else
		a->e = build_pin_name(a->b, fd, name);
	if (fd >= 0)
		close(fd);
}

static void again_file(void *ctx, const char *name)
{
	struct again *a = ctx;
	struct buf bytes = {0};

	if (a->e || (strncmp(name, "config_", 7) != 0 && strncmp(name, "rules_", 6) != 0 &&
		     strncmp(name, "sums_", 5) != 0 && strncmp(name, "report_", 7) != 0 &&
		     strcmp(name, "redirects") != 0))
		return;
	a->e = files_read(a->dir, name, CODE_BYTES, &bytes, a->b->err) ?:
	       files_write(a->b->dir, name, bytes.data, bytes.len, false, a->b->err);
	buf_free(&bytes);
}

static void replace_map(struct code *code, uint32_t old, uint32_t now)
{
	uint32_t i;

	for (i = 0; i < code->n_refs; i++)
		if (code->ref[i].kind == CODE_REF_MAP && code->ref[i].id == old)
			code->ref[i].id = now;
}

/* The number of a map that is pinned in a generation; 0: there is none. */
static uint32_t id_of(const struct control_state *st, const char *name, enum control_map map, uint32_t which)
{
	int fd = control_state_map(st, name, map, which, NULL);
	uint32_t id = fd >= 0 ? control_map_id(fd) : 0;

	shut(&fd);
	return id;
}

/* An empty map like one of the part before, in its place. */
static int again_map(struct again *a, const char *from, enum control_map map, uint32_t part, struct code *code)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	int fd = -1, old = control_state_map(a->b->st, from, map, part, a->b->err);
	int e = old < 0 ? old : bpf_obj_get_info_by_fd(old, &info, &len) ? -errno : 0;

	if (!e) {
		opts.map_flags = info.map_flags;
		fd = bpf_map_create(info.type, info.name, info.key_size, info.value_size, info.max_entries, &opts);
		e = fd < 0 ? err_set(a->b->err, -errno, "creating a BPF map: %s", strerror(errno)) : 0;
	}
	if (!e)
		replace_map(code, info.id, control_map_id(fd));
	e = e ?: build_pin(a->b, fd, map, part);
	shut(&old);
	shut(&fd);
	return e;
}

static int again_part(struct again *a, const char *from, uint32_t part)
{
	struct control_state *st = a->b->st;
	uint32_t old_sets = id_of(st, from, CONTROL_SETS, 0);
	struct code *code = NULL;
	int e = build_code(st, from, part, &code, a->b->err);

	if (e)
		return e;
	e = again_map(a, from, CONTROL_COUNTS, part, code);
	e = e ?: again_map(a, from, CONTROL_MORE, part, code);
	if (!e && old_sets && a->b->maps.sets >= 0)
		replace_map(code, old_sets, control_map_id(a->b->maps.sets));
	e = e ?: build_keep_code(a->b, code, part);
	code_free(code);
	return e;
}

int build_again(struct control_state *st, const char *from, const struct policy *p, const struct control_generation *g,
		struct sluice_err *err)
{
	struct build b = {.st = st, .p = p, .g = g, .maps = {-1, -1, -1, -1, -1, g->number}, .err = err};
	struct filter_sets *sets = NULL;
	struct again a = {.b = &b};
	uint32_t i;
	int e = make_dirs(&b);

	e = e ?: control_generation_dir(st, from, a.dir, err);
	e = e ?: files_path(a.pins, sizeof(a.pins), st->pins, from, err);
	if (!e) {
		files_each(a.pins, again_pin, &a);
		files_each(a.dir, again_file, &a);
		e = a.e;
	}
	e = e ?: make_trial(&b);
	e = e ?: build_sets(&b, from, true, &sets);
	for (i = 0; i < g->n_parts && !e; i++)
		e = again_part(&a, from, i);
	e = e ?: build_balance(&b);
	e = e ?: control_generation_write(st, g, err);
	filter_sets_free(sets);
	shut(&b.maps.sets);
	if (e)
		build_drop(st, g->name);
	return e;
}

/* --- reading, removing --- */

int build_code(const struct control_state *st, const char *name, uint32_t part, struct code **code,
	       struct sluice_err *err)
{
	char dir[PATH_MAX], file[32];
	struct buf bytes = {0};
	struct view v;
	int e = control_generation_dir(st, name, dir, err);

	*code = NULL;
	snprintf(file, sizeof(file), "part_%u", part);
	e = e ?: files_read(dir, file, CODE_BYTES, &bytes, err);
	if (!e) {
		v = view_of(bytes.data, bytes.len);
		code_read(&v, code);
		if (!*code)
			e = err_set(err, -EBADMSG, "%s/%s is damaged", dir, file);
	}
	buf_free(&bytes);
	return e;
}

static int read_whole(const struct control_state *st, const char *name, const char *what, uint32_t filter,
		      struct buf *to, struct sluice_err *err)
{
	char dir[PATH_MAX], file[32];
	int e = control_generation_dir(st, name, dir, err);

	snprintf(file, sizeof(file), "%s_%u", what, filter);
	return e ?: files_read(dir, file, CODE_BYTES * 4, to, err);
}

int build_struct(const struct control_state *st, const char *name, const char *what, uint32_t filter, void *to,
		 size_t size, struct sluice_err *err)
{
	struct buf bytes = {0};
	int e = read_whole(st, name, what, filter, &bytes, err);

	if (!e && bytes.len != size)
		e = err_set(err, -EBADMSG, "%s_%u of policy %s is of another version of Sluice", what, filter, name);
	if (!e)
		memcpy(to, bytes.data, size);
	buf_free(&bytes);
	return e;
}

int build_rules(const struct control_state *st, const char *name, uint32_t filter, struct build_rule **rules,
		uint32_t *n, struct sluice_err *err)
{
	struct buf bytes = {0};
	int e = read_whole(st, name, "rules", filter, &bytes, err);

	*rules = NULL;
	*n = (uint32_t)(bytes.len / sizeof(**rules));
	if (!e && (!bytes.len || bytes.len % sizeof(**rules)))
		e = err_set(err, -EBADMSG, "rules_%u of policy %s is of another version of Sluice", filter, name);
	if (e)
		buf_free(&bytes);
	else
		*rules = (struct build_rule *)(void *)bytes.data;
	return e;
}

void build_drop(const struct control_state *st, const char *name)
{
	char path[PATH_MAX];

	if (!control_name_ok(name))
		return;
	/* pins first: a folder under /run without them is found again, the other way round nobody would look */
	if (st->pins[0] && !files_path(path, sizeof(path), st->pins, name, NULL))
		files_remove(path);
	if (!files_path(path, sizeof(path), st->run, name, NULL))
		files_remove(path);
}

static void sweep_one(void *ctx, const char *name)
{
	const struct control_state *st = ctx;
	const struct control_record *r = &st->record;

	if (strcmp(name, r->live) != 0 && strcmp(name, r->before) != 0 && strcmp(name, r->next) != 0 &&
	    strcmp(name, r->past) != 0)
		build_drop(st, name);
}

void build_sweep(const struct control_state *st)
{
	files_each(st->run, sweep_one, (void *)(uintptr_t)st);
	if (st->pins[0])
		files_each(st->pins, sweep_one, (void *)(uintptr_t)st);
	files_hidden(st->run);
}
