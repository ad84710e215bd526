// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counters of rules: those of the map, those carried over, both together. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/seam.h"
#include "control/build.h"
#include "control/carry.h"
#include "control/counts.h"
#include "control/files.h"
#include "control/inside.h"

void counts_add(struct filter_count *to, const struct filter_count *v)
{
	to->packets += v->packets;
	to->bytes += v->bytes;
	to->over_packets += v->over_packets;
	to->over_bytes += v->over_bytes;
	to->logged += v->logged;
}

/* Which rules have sums. Of a build that knew none, there are none. */
static int sums_of(const struct control_state *st, const char *name, uint32_t filter, uint32_t n,
		   struct filter_sums *to, struct sluice_err *err)
{
	uint32_t k;
	int e = build_struct(st, name, "sums", filter, to, sizeof(*to), err);

	if (e == -ENOENT)
		*to = (struct filter_sums){.n = 0};
	if (e)
		return e == -ENOENT ? 0 : e;
	for (k = 0; k < to->n; k++)
		if (k >= FILTER_SUMS || to->rule[k] >= n - 1)
			return err_set(err, -EBADMSG, "sums_%u of policy %s is damaged", filter, name);
	return 0;
}

int counts_open(const struct control_state *st, const char *name, const struct control_part *part,
		uint32_t nr, uint32_t n, struct counts_maps *to, struct sluice_err *err)
{
	int e;

	*to = COUNTS_NONE;
	e = sums_of(st, name, part->filter, n, &to->sums, err);
	if (e)
		return e;
	to->hits = control_state_map(st, name, CONTROL_COUNTS, nr, err);
	if (to->hits < 0)
		return to->hits;
	to->more = control_state_map(st, name, CONTROL_MORE, nr, err);
	if (to->more >= 0)
		return 0;
	close(to->hits);
	to->hits = -1;
	return to->more;
}

void counts_close(struct counts_maps *maps)
{
	if (maps->hits >= 0)
		close(maps->hits);
	if (maps->more >= 0)
		close(maps->more);
	*maps = COUNTS_NONE;
}

static void add_hits(struct filter_count *to, const struct filter_hits *v)
{
	to->packets += __atomic_load_n(&v->packets, __ATOMIC_RELAXED);
	to->bytes += __atomic_load_n(&v->bytes, __ATOMIC_RELAXED);
}

/* A CPU's; n: rules, with the default. */
static void add_stretch(struct filter_count *to, const struct filter_hits *v, uint32_t n,
			const struct filter_sums *sums)
{
	uint32_t rule, set, k;

	for (rule = 0; rule < n; rule++)
		add_hits(&to[rule], &v[rule]);
	v += n;
	for (rule = 0; sums->n && rule < n; rule++)
		for (set = 0; set < 1u << sums->n; set++, v++) {
			add_hits(&to[rule], v);
			for (k = 0; k < sums->n; k++)
				if (set >> k & 1)
					add_hits(&to[sums->rule[k]], v);
		}
}

/* What matched, from the one value that all CPUs have a stretch of. */
static int read_hits(int fd, const struct filter_sums *sums, uint32_t n_cpus, struct filter_count *to,
		     uint32_t n, struct sluice_err *err)
{
	size_t stride = FILTER_HITS_STRIDE(n - 1, sums->n), size = stride * n_cpus;
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	uint32_t cpu;
	char *p;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return err_set(err, -errno, "the counters of rules: %s", strerror(errno));
	if (info.value_size != size)
		return err_set(err, -EBADMSG, "the counters of %u rules on %u CPUs are %zu bytes, but there are %u", n - 1, n_cpus,
			       size, info.value_size);
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_set(err, -errno, "mapping the counters of rules: %s", strerror(errno));
	memset(to, 0, n * sizeof(*to));
	for (cpu = 0; cpu < n_cpus; cpu++)
		add_stretch(to, (const void *)(p + cpu * stride), n, sums);
	munmap(p, size);
	return 0;
}

/* What went over limits and was sampled, if the program has anything of that kind. */
static int read_more(int fd, uint32_t n_cpus, struct filter_count *to, uint32_t n, struct sluice_err *err)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	struct filter_more *of;
	uint32_t rule, cpu;
	int e = 0;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return err_set(err, -errno, "the counters of limits: %s", strerror(errno));
	if (info.max_entries < n)
		return 0;
	of = calloc(n_cpus, sizeof(*of));
	if (!of)
		return err_nomem(err);
	for (rule = 0; rule < n && !e; rule++) {
		e = bpf_map_lookup_elem(fd, &rule, of) ? -errno : 0;
		for (cpu = 0; cpu < n_cpus && !e; cpu++) {
			to[rule].over_packets += of[cpu].over_packets;
			to[rule].over_bytes += of[cpu].over_bytes;
			to[rule].logged += of[cpu].logged;
		}
	}
	free(of);
	return e ? err_set(err, e, "reading the counters of rule %u: %s", rule, strerror(-e)) : 0;
}

int counts_read(const struct counts_maps *maps, struct filter_count *to, uint32_t n, struct sluice_err *err)
{
	int n_cpus = seam_n_cpus(), e;

	if (n_cpus <= 0)
		return err_set(err, n_cpus ? n_cpus : -EIO, "the number of CPUs: %s", strerror(-n_cpus));
	e = read_hits(maps->hits, &maps->sums, (uint32_t)n_cpus, to, n, err);
	return e ?: read_more(maps->more, (uint32_t)n_cpus, to, n, err);
}

int counts_carried(const struct control_state *st, const char *name, uint32_t part, struct filter_count *to, uint32_t n,
		   char added[CONTROL_NAME], struct sluice_err *err)
{
	char dir[PATH_MAX], file[32];
	struct buf bytes = {0};
	int e = control_generation_dir(st, name, dir, err);

	memset(to, 0, n * sizeof(*to));
	added[0] = '\0';
	snprintf(file, sizeof(file), "carried_%u", part);
	e = e ?: files_read(dir, file, CONTROL_NAME + (size_t)n * sizeof(*to), &bytes, err);
	if (e == -ENOENT) {
		buf_free(&bytes);
		return 0;
	}
	if (!e && bytes.len != CONTROL_NAME + (size_t)n * sizeof(*to))
		e = err_set(err, -EBADMSG, "%s/%s is damaged", dir, file);
	if (!e) {
		memcpy(added, bytes.data, CONTROL_NAME);
		added[CONTROL_NAME - 1] = '\0';
		memcpy(to, bytes.data + CONTROL_NAME, n * sizeof(*to));
	}
	buf_free(&bytes);
	return e;
}

int counts_carry(const struct control_state *st, const char *name, uint32_t part, const struct filter_count *v,
		 uint32_t n, const char *added, struct sluice_err *err)
{
	char dir[PATH_MAX], file[32], who[CONTROL_NAME] = "";
	struct buf bytes = {0};
	int e = control_generation_dir(st, name, dir, err);

	snprintf(who, sizeof(who), "%s", added);
	snprintf(file, sizeof(file), "carried_%u", part);
	buf_put(&bytes, who, sizeof(who));
	buf_put(&bytes, v, n * sizeof(*v));
	if (!e && bytes.failed)
		e = err_nomem(err);
	e = e ?: files_write(dir, file, bytes.data, bytes.len, false, err);
	buf_free(&bytes);
	return e;
}

int control_counts_read(struct control_counts *c, struct sluice_err *err)
{
	struct control_part_counts *p;
	uint32_t i, k;
	int e = 0;

	for (i = 0; i < c->gen->n_parts && !e; i++) {
		p = &c->parts[i];
		e = counts_read(&p->maps, p->v, p->n, err);
		for (k = 0; k < p->n && !e; k++)
			counts_add(&p->v[k], &c->carried[i][k]);
	}
	return e;
}

/* Whose trial is over, and nobody has tidied up behind it yet, so that what it counted is not the generation's: "" nobody's. */
static const char *untidied(const struct control_state *st, const char *name)
{
	const struct control_record *r = &st->record;

	if (r->change == CONTROL_TRIAL && !strcmp(r->before, name))
		return r->live;
	return r->change == CONTROL_RETURN && !strcmp(r->live, name) ? r->next : "";
}

static int open_part(const struct control_state *st, struct control_counts *c, uint32_t i, struct sluice_err *err)
{
	const char *tried = untidied(st, c->gen->name);
	struct control_part_counts *p = &c->parts[i];
	char added[CONTROL_NAME];
	int e;

	p->part = &c->gen->parts[i];
	if (p->part->filter >= c->policy->n_filters)
		return err_set(err, -EBADMSG, "the parts of policy %s are damaged", c->gen->name);
	p->filter = &c->policy->filters[p->part->filter];
	p->n = p->filter->n_stmts + 1;
	e = counts_open(st, c->gen->name, p->part, i, p->n, &p->maps, err);
	if (e)
		return e;
	p->v = calloc(p->n, sizeof(*p->v));
	c->carried[i] = calloc(p->n, sizeof(*p->v));
	if (!p->v || !c->carried[i])
		return err_nomem(err);
	e = counts_carried(st, c->gen->name, i, c->carried[i], p->n, added, err);
	if (e || !tried[0])
		return e;
	e = carry_tried(st, tried, c->gen, i, c->carried[i], p->n, err);
	if (!e || e == -EPERM || e == -ENOMEM)
		return e;
	/* somebody tidies up meanwhile: then it is carried over by now */
	return counts_carried(st, c->gen->name, i, c->carried[i], p->n, added, err);
}

int control_policy_counts(const struct control_state *st, const char *name, struct control_counts **counts,
			  struct sluice_err *err)
{
	struct control_counts *c = calloc(1, sizeof(*c));
	uint32_t i;
	int e;

	*counts = NULL;
	if (!c)
		return err_nomem(err);
	e = control_generation_open(st, name, &c->gen, err);
	e = e ?: control_generation_policy(st, name, &c->policy, err);
	if (!e) {
		c->parts = calloc(c->gen->n_parts + 1ul, sizeof(*c->parts));
		c->carried = calloc(c->gen->n_parts + 1ul, sizeof(*c->carried));
		e = c->parts && c->carried ? 0 : err_nomem(err);
	}
	for (i = 0; !e && i < c->gen->n_parts; i++)
		c->parts[i].maps = COUNTS_NONE;
	for (i = 0; !e && i < c->gen->n_parts; i++)
		e = open_part(st, c, i, err);
	e = e ?: control_counts_read(c, err);
	if (e)
		control_counts_free(c);
	else
		*counts = c;
	return e;
}

void control_counts_free(struct control_counts *c)
{
	uint32_t i;

	if (!c)
		return;
	for (i = 0; c->gen && i < c->gen->n_parts; i++) {
		if (c->parts)
			counts_close(&c->parts[i].maps);
		if (c->parts)
			free(c->parts[i].v);
		if (c->carried)
			free(c->carried[i]);
	}
	free(c->parts);
	free(c->carried);
	control_generation_free(c->gen);
	policy_free(c->policy);
	free(c);
}
