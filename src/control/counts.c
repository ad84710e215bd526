// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counters of rules: those of the map, those carried over, both together. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/seam.h"
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

int counts_read(int fd, struct filter_count *to, uint32_t n, struct sluice_err *err)
{
	int n_cpus = seam_n_cpus(), cpu, e = 0;
	struct filter_count *of;
	uint32_t rule;

	if (n_cpus <= 0)
		return err_set(err, n_cpus ? n_cpus : -EIO, "the number of CPUs: %s", strerror(-n_cpus));
	of = calloc((size_t)n_cpus, sizeof(*of));
	if (!of)
		return err_nomem(err);
	for (rule = 0; rule < n && !e; rule++) {
		e = bpf_map_lookup_elem(fd, &rule, of) ? -errno : 0;
		to[rule] = (struct filter_count){.packets = 0};
		for (cpu = 0; cpu < n_cpus && !e; cpu++)
			counts_add(&to[rule], &of[cpu]);
	}
	free(of);
	return e ? err_set(err, e, "reading the counters of rule %u: %s", rule, strerror(-e)) : 0;
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
		e = counts_read(p->map_fd, p->v, p->n, err);
		for (k = 0; k < p->n && !e; k++)
			counts_add(&p->v[k], &c->carried[i][k]);
	}
	return e;
}

static int open_part(const struct control_state *st, struct control_counts *c, uint32_t i, struct sluice_err *err)
{
	struct control_part_counts *p = &c->parts[i];
	char added[CONTROL_NAME];

	p->part = &c->gen->parts[i];
	if (p->part->filter >= c->policy->n_filters)
		return err_set(err, -EBADMSG, "the parts of policy %s are damaged", c->gen->name);
	p->filter = &c->policy->filters[p->part->filter];
	p->n = p->filter->n_stmts + 1;
	p->map_fd = control_state_map(st, c->gen->name, CONTROL_COUNTS, i, err);
	if (p->map_fd < 0)
		return p->map_fd;
	p->v = calloc(p->n, sizeof(*p->v));
	c->carried[i] = calloc(p->n, sizeof(*p->v));
	if (!p->v || !c->carried[i])
		return err_nomem(err);
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
		c->parts[i].map_fd = -1;
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
		if (c->parts && c->parts[i].map_fd > 0)
			close(c->parts[i].map_fd);
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
