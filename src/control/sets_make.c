// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Run-time sets: the memory of a policy, filled from its text, its files, and the memory before. */
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/err.h"
#include "base/path.h"
#include "control/sets_inside.h"

/* --- the directory --- */

/* Whoever reads it again stands elsewhere: one that is not absolute, or too long, is none. */
static uint8_t *put_file(const struct filter_set_plan *of, struct filter_set *set, uint8_t *mem, uint8_t *at)
{
	char clean[PATH_MAX];

	if (!path_clean(clean, of->file)) {
		set->file = (uint32_t)(at - mem);
		memcpy(at, clean, strlen(clean) + 1);
	}
	return at + PATH_MAX;
}

static uint8_t *put_given(const struct filter_set_plan *of, struct filter_set *set, uint8_t *mem, uint8_t *at)
{
	struct filter_set_given *v = (struct filter_set_given *)(void *)at;
	const struct sets_elem *e;
	uint32_t f, n = 0;
	size_t i;

	set->given = (uint32_t)(at - mem);
	for (f = 0; f < 2; f++)
		for (i = 0; i < of->elems[f].n; i++) {
			e = &of->elems[f].v[i];
			v[n++] = (struct filter_set_given){.hi = e->hi,
							   .lo = e->lo,
							   .family = f ? 6 : 4,
							   .len = e->len};
		}
	set->n_given = n;
	return at + n * sizeof(*v);
}

static void put_dir(const struct filter_sets *plan, uint8_t *mem)
{
	struct filter_sets_head *head = (struct filter_sets_head *)(void *)mem;
	struct filter_set *set = (struct filter_set *)(void *)(head + 1);
	uint8_t *at = (uint8_t *)(set + plan->n);
	const struct filter_set_plan *of;
	uint32_t i, b;

	head->magic = FILTER_SETS_MAGIC;
	head->version = FILTER_SETS_VERSION;
	head->n = plan->n;
	head->lines = (uint32_t)(plan->bytes / SET_LINE);
	head->blocks = plan->blocks;
	for (i = 0; i < plan->n; i++, set++) {
		of = &plan->v[i];
		memcpy(set->name, of->name, strnlen(of->name, sizeof(set->name) - 1));
		for (b = 0; b < FILTER_BLOCKS; b++)
			set->block[b] = of->block[b].lines ? of->block[b].at : 0;
		set->flags = of->flags;
		set->what = of->what;
		set->timeout = of->timeout;
		set->size = of->size;
		if (of->file)
			at = put_file(of, set, mem, at);
		else if (!(of->what & FILTER_SET_PART))
			at = put_given(of, set, mem, at);
	}
}

static int put_block(const struct filter_set_plan *of, uint32_t b, uint8_t *mem, struct sluice_err *err)
{
	struct sets_spec spec = of->block[b].spec;
	const struct filter_elems *elems = &of->elems[b / 2];
	uint8_t longest = b / 2 ? 128 : 32;
	bool apart = of->block[b & ~1u].lines, addrs = !(b & 1);
	struct sets *set;
	size_t i;
	int e;

	if (!of->block[b].lines)
		return 0;
	if (getrandom(&spec.seed, sizeof(spec.seed), 0) != sizeof(spec.seed))
		return err_set(err, -EIO, "no random numbers: %s", strerror(errno));
	e = sets_create(mem + (size_t)of->block[b].at * SET_LINE, (size_t)of->block[b].lines * SET_LINE,
			&spec, &set, err);
	for (i = 0; i < elems->n && !e; i++)
		if (!apart || (elems->v[i].len == longest) == addrs)
			e = sets_add(set, &elems->v[i], NULL, err);
	sets_free(set);
	return e;
}

/* --- from the memory before --- */

static bool is_given(const struct control_sets *s, const struct filter_set *set, bool v6,
		     const struct sets_elem *e)
{
	const struct filter_set_given *v = (const void *)(s->dir + set->given), *g;
	struct sets_elem one;
	uint32_t lo = 0, hi = set->n_given, mid;
	int c;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		g = &v[mid];
		one = (struct sets_elem){.hi = g->hi, .lo = g->lo, .len = (uint8_t)g->len};
		c = (g->family == 6) != v6 ? (v6 ? -1 : 1) : sets_order(&one, e);
		if (!c)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* What was added at run time stays: none of it is dropped unsaid. */
static int no_room(const struct control_sets *to, uint32_t t, uint64_t lost, struct sluice_err *err)
{
	const struct filter_set *set = &to->set[t];
	char size[64] = "no size in the policy";

	if (set->size)
		snprintf(size, sizeof(size), "a size of %llu", (unsigned long long)set->size);
	return err_set(err, -ENOSPC,
		       "set '%s' has %s, and no room for %llu elements that were added to it at run time; write a "
		       "larger size into the policy, or take them out first: sluice set flush %s",
		       set->name, size, (unsigned long long)lost, set->name);
}

/* Does an element of the set before go on in the next one, of these flags, with a file or without? */
static bool goes_on(const struct control_sets *from, uint32_t f, bool v6, const struct sets_elem *e,
		    uint32_t flags, bool file)
{
	const struct filter_set *old = &from->set[f];

	return e->expires ? flags & SET_EXPIRES : !old->file && !file && !is_given(from, old, v6, e);
}

static int carry_set(struct control_sets *from, uint32_t f, struct control_sets *to, uint32_t t, uint32_t now,
		     struct sluice_err *err)
{
	const struct filter_set *old = &from->set[f], *new = &to->set[t];
	bool counts = old->flags & new->flags &SET_COUNTS;
	enum control_added what;
	struct control_elem *v;
	struct sets *set;
	uint64_t lost = 0;
	size_t n, i;
	int e = 0;
	bool v6;

	for (v6 = false;; v6 = true) {
		e = control_sets_list(from, f, v6, now, &v, &n, err);
		for (i = 0; i < n && !e; i++) {
			if (goes_on(from, f, v6, &v[i].elem, new->flags, new->file)) {
				e = sets_keep(to, t, v6, &v[i].elem, now, true, &what, err);
				if (e == -ENOSPC) {
					lost++;
					e = 0;
					continue;
				}
			}
			if (!e && counts)
				e = sets_block_of(to, t, sets_block_for(to, t, v6, v[i].elem.len), &set, err);
			if (!e && counts && set)
				sets_count(set, &v[i].elem, &v[i].counts);
		}
		free(v);
		if (e || v6)
			return e ? e : lost ? no_room(to, t, lost, err) : 0;
	}
}

/* The map that sets come from, and the one whose sets are passed over. */
static int open_both(int before, int besides, struct control_sets **from, struct control_sets **not_of,
		     struct sluice_err *err)
{
	int e = control_sets_open(before, from, err);

	*not_of = NULL;
	return e || besides < 0 ? e : control_sets_open(besides, not_of, err);
}

static bool is_passed(const struct control_sets *from, uint32_t f, struct control_sets *not_of)
{
	uint32_t nr;

	return !*from->set[f].name || (not_of && !control_sets_find(not_of, from->set[f].name, &nr, NULL));
}

int control_sets_return(int fd, int before, int besides, struct sluice_err *err)
{
	struct control_sets *from, *not_of, *to = NULL;
	uint32_t f, t, now = control_sets_now();
	int e = open_both(before, besides, &from, &not_of, err);

	if (!e)
		e = control_sets_open(fd, &to, err);
	for (f = 0; !e && f < from->n; f++) {
		if (is_passed(from, f, not_of) || control_sets_find(to, from->set[f].name, &t, NULL))
			continue;
		e = carry_set(from, f, to, t, now, err);
	}
	control_sets_close(from);
	control_sets_close(not_of);
	control_sets_close(to);
	return e;
}

static int room_for_set(struct control_sets *from, uint32_t f, struct filter_sets *plan, uint32_t t,
			uint32_t now, struct sluice_err *err)
{
	const struct filter_set_plan *to = &plan->v[t];
	struct filter_elems kept;
	struct control_elem *v;
	size_t n, i;
	uint32_t v6;
	int e = 0;

	for (v6 = 0; v6 < 2 && !e; v6++) {
		e = control_sets_list(from, f, v6, now, &v, &n, err);
		kept = (struct filter_elems){e ? NULL : malloc((n + 1) * sizeof(*kept.v)), 0};
		if (!e && !kept.v)
			e = err_nomem(err);
		for (i = 0; i < n && !e; i++)
			if (goes_on(from, f, v6, &v[i].elem, to->flags, to->file))
				kept.v[kept.n++] = v[i].elem;
		if (!e && kept.n)
			e = filter_sets_keep(plan, t, v6, &kept, err);
		free(kept.v);
		free(v);
	}
	return e;
}

int control_sets_room(struct filter_sets *plan, int before, int besides, struct sluice_err *err)
{
	uint32_t f, t, now = control_sets_now();
	struct control_sets *from = NULL, *not_of = NULL;
	int e = plan->n ? open_both(before, besides, &from, &not_of, err) : 0;

	for (f = 0; from && !e && f < from->n; f++)
		for (t = 0; !is_passed(from, f, not_of) && !e && t < plan->n; t++)
			if (!strcmp(plan->v[t].name, from->set[f].name))
				e = room_for_set(from, f, plan, t, now, err);
	e = e || !from ? e : filter_sets_again(plan, err);
	control_sets_close(from);
	control_sets_close(not_of);
	return e;
}

static int count_lost(struct control_sets *from, uint32_t f, struct control_sets *to, uint32_t now,
		      uint64_t *n, struct sluice_err *err)
{
	uint32_t t = 0, v6;
	struct control_elem *v;
	struct sets *set;
	size_t count, i;
	int e = 0;

	*n = 0;
	if (to && control_sets_find(to, from->set[f].name, &t, NULL))
		to = NULL;
	for (v6 = 0; v6 < 2 && !e; v6++) {
		e = control_sets_list(from, f, v6, now, &v, &count, err);
		for (i = 0; i < count && !e; i++) {
			/* what a policy says itself is no loss: that is what is changed */
			if (!goes_on(from, f, v6, &v[i].elem, SET_EXPIRES, false))
				continue;
			set = NULL;
			if (to)
				e = sets_block_of(to, t, sets_block_for(to, t, v6, v[i].elem.len), &set, err);
			*n += !e && (!set || sets_get(set, &v[i].elem, NULL, NULL));
		}
		free(v);
	}
	return e;
}

int control_sets_lost(int before, int map, struct control_lost **v, uint32_t *n, struct sluice_err *err)
{
	struct control_sets *from, *to = NULL;
	uint32_t f, now = control_sets_now();
	uint64_t lost;
	int e = control_sets_open(before, &from, err);

	*n = 0;
	*v = NULL;
	if (e)
		return e;
	e = map < 0 ? 0 : control_sets_open(map, &to, err);
	*v = calloc(from->n + 1ul, sizeof(**v));
	if (!e && !*v)
		e = err_nomem(err);
	for (f = 0; !e && f < from->n; f++) {
		if (!*from->set[f].name)
			continue;
		e = count_lost(from, f, to, now, &lost, err);
		if (e || !lost)
			continue;
		memcpy((*v)[*n].set, from->set[f].name, FILTER_SET_NAME);
		(*v)[(*n)++].n = lost;
	}
	control_sets_close(from);
	control_sets_close(to);
	return e;
}

/* Programs of version 3 know nothing of what is in front of IPv6's roots since, and read past it rightly. */
static bool is_coarse(struct control_sets *s, uint32_t nr, enum filter_block block)
{
	const struct set_head *head = NULL;
	struct sets *set;

	if (!sets_block_of(s, nr, block, &set, NULL) && set)
		head = s->blocks[nr * FILTER_BLOCKS + block].map;
	return head && head->version == SET_VERSION_COARSE;
}

int control_sets_like(struct filter_sets *plan, int map, struct sluice_err *err)
{
	struct control_sets *s;
	uint32_t i, b, blocks = 0;
	size_t bytes = 0;
	bool coarse = false;
	int e = control_sets_open(map, &s, err);

	if (e)
		return e;
	for (i = 0; i < s->n; i++)
		for (b = 0; b < FILTER_BLOCKS; b++) {
			blocks |= s->set[i].block[b] ? 1u << b : 0;
			coarse |= s->set[i].block[b] && is_coarse(s, i, b);
		}
	bytes = (size_t)s->lines * SET_LINE;
	control_sets_close(s);
	if (coarse)
		return err_set(err, -ESTALE, "its code reads sets as another version of Sluice wrote them");
	if (plan->bytes > bytes || plan->config.blocks != blocks)
		return err_set(err, -ESTALE, "the sets need more memory than they had");
	plan->bytes = bytes;
	plan->config.limit = (uint32_t)(bytes - SET_LINE);
	return 0;
}

static int fill(const struct filter_sets *plan, int fd, struct sluice_err *err)
{
	uint8_t *mem = mmap(NULL, plan->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint32_t i, b;
	int e = 0;

	if (mem == MAP_FAILED)
		return err_set(err, -errno, "mapping the run-time sets: %s", strerror(errno));
	put_dir(plan, mem);
	for (i = 0; i < plan->n && !e; i++)
		for (b = 0; b < FILTER_BLOCKS && !e; b++) {
			e = put_block(&plan->v[i], b, mem, err);
			if (e)
				err_prefix(err, "set '%s'", plan->v[i].name);
		}
	munmap(mem, plan->bytes);
	return e;
}

int control_sets_make(const struct filter_sets *plan, int before, int *fd, struct sluice_err *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int e;

	*fd = -1;
	if (!plan->n)
		return 0;
	*fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "filter_sets", 4, (uint32_t)plan->bytes, 1, &opts);
	if (*fd < 0) {
		e = *fd;
		*fd = -1;
		return err_set(err, e, "making a map of %zu MB for the run-time sets: %s", plan->bytes >> 20,
			       strerror(-e));
	}
	e = fill(plan, *fd, err);
	if (!e && before >= 0)
		e = control_sets_return(*fd, before, -1, err);
	if (e) {
		close(*fd);
		*fd = -1;
	}
	return e;
}
