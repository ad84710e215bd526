// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Run-time sets: many elements at once, blocks that grow, what expires. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/grace.h"
#include "control/sets_inside.h"

#define PAGE_LINES (FILTER_SETS_PAGE / SET_LINE)

/* --- room --- */

struct piece {
	uint32_t at, end;
};

static int by_place(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

/* The first gap of so many lines between blocks, or 0. */
static int find_gap(struct control_sets *s, uint32_t lines, uint32_t *at, struct sluice_err *err)
{
	struct piece *used = calloc((size_t)s->n * FILTER_BLOCKS + 1, sizeof(*used));
	uint32_t i, n = 0, free_from = s->first;
	struct sets_block *b;
	struct sets *set;
	int e = 0;

	*at = 0;
	if (!used)
		return err_nomem(err);
	for (i = 0; i < s->n * FILTER_BLOCKS && !e; i++) {
		e = sets_block_of(s, i / FILTER_BLOCKS, i % FILTER_BLOCKS, &set, err);
		b = &s->blocks[i];
		if (!e && set)
			used[n++] = (struct piece){b->line, b->line + (uint32_t)(b->len / SET_LINE)};
	}
	qsort(used, n, sizeof(*used), by_place);
	used[n] = (struct piece){s->lines, s->lines};
	for (i = 0; i <= n && !e; i++) {
		if (used[i].at >= free_from && used[i].at - free_from >= lines) {
			*at = free_from;
			break;
		}
		if (used[i].end > free_from)
			free_from = used[i].end;
	}
	free(used);
	return e;
}

/* As a block is now, for n elements; 0: twice as many as it has room for. */
static struct sets_spec spec_of(const struct set_head *head, uint64_t n)
{
	struct sets_spec spec = {.family = head->family,
				 .kind = head->kind,
				 .flags = head->flags,
				 .version = head->version};
	uint64_t cells = ((uint64_t)96 << head->front.bits) / 10;
	uint64_t book = head->book.bits ? ((uint64_t)96 << head->book.bits) / 10 : cells;

	if (head->kind == SET_ADDRS) {
		spec.n = n ? n : cells * 2;
	} else {
		spec.n = n ? n : book * 2;
		spec.cells = n ? n : cells * 2;
	}
	if (getrandom(&spec.seed, sizeof(spec.seed), 0) != sizeof(spec.seed))
		spec.seed = (uint64_t)(uintptr_t)head;
	return spec;
}

struct copy {
	struct sets *to;
	struct sluice_err *err;
};

static int copy_one(void *arg, const struct sets_elem *elem, const struct set_count *counts)
{
	struct copy *c = arg;
	int e = sets_add(c->to, elem, NULL, c->err);

	if (!e && counts)
		sets_count(c->to, elem, counts);
	return e;
}

int sets_block_grow(struct control_sets *s, uint32_t nr, enum filter_block block, uint64_t n,
		    struct sluice_err *err)
{
	struct sets_block *b = &s->blocks[nr * FILTER_BLOCKS + block];
	struct sets_spec spec = spec_of(b->map, n);
	struct copy c = {.err = err};
	uint32_t at, lines;
	size_t bytes, len;
	void *map;
	int e = sets_bytes(&spec, &bytes, err);

	if (e)
		return -ENOSPC;
	len = (bytes + FILTER_SETS_PAGE - 1) / FILTER_SETS_PAGE * FILTER_SETS_PAGE;
	lines = (uint32_t)(len / SET_LINE);
	e = find_gap(s, lines, &at, err);
	if (e)
		return e;
	if (!at)
		return err_set(err, -ENOSPC, "no room to grow");
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, (off_t)at * SET_LINE);
	if (map == MAP_FAILED)
		return err_set(err, -errno, "mapping the run-time sets: %s", strerror(errno));
	e = sets_create(map, len, &spec, &c.to, err);
	if (!e)
		e = sets_walk(b->set, copy_one, &c);
	sets_free(c.to);
	munmap(map, len);
	if (e)
		return e;
	__atomic_store_n(&s->set[nr].block[block], at, __ATOMIC_RELEASE);
	/* programs may still read the old one, whose room is free from now on */
	e = grace_wait(err);
	if (e)
		return err_prefix(err, "set '%s' grew", s->set[nr].name);
	return sets_block_of(s, nr, block, &c.to, err);
}

int sets_block_sweep(struct control_sets *s, uint32_t nr, enum filter_block block, uint32_t now, uint64_t *n,
		     struct sluice_err *err)
{
	struct sets_block *b = &s->blocks[nr * FILTER_BLOCKS + block];
	struct sets *set;
	int e;

	*n = 0;
	if (b->swept == now || !(s->set[nr].flags & SET_EXPIRES))
		return 0;
	e = sets_block_of(s, nr, block, &set, err);
	if (!e && set)
		e = sets_expire(set, now, n, err);
	if (!e)
		b->swept = now;
	return e;
}

/* --- lists --- */

struct list {
	struct control_elem *v;
	size_t n, room;
	uint32_t now;
};

static int collect(void *arg, const struct sets_elem *elem, const struct set_count *counts)
{
	struct list *l = arg;

	if (elem->expires && elem->expires <= l->now)
		return 0;
	if (l->n == l->room)
		return -EBADMSG;
	l->v[l->n].elem = *elem;
	if (counts)
		l->v[l->n].counts = (struct set_count){__atomic_load_n(&counts->packets, __ATOMIC_RELAXED),
						       __atomic_load_n(&counts->bytes, __ATOMIC_RELAXED)};
	l->n++;
	return 0;
}

int control_sets_list(struct control_sets *s, uint32_t nr, bool v6, uint32_t now, struct control_elem **elems,
		      size_t *n, struct sluice_err *err)
{
	struct list l = {.now = now};
	struct sets *set;
	uint64_t total[2];
	uint32_t b;
	int e = sets_total(s, nr, total, err);

	*elems = NULL;
	*n = 0;
	if (e)
		return e;
	l.room = total[v6];
	l.v = l.room < 1u << 28 ? calloc(l.room + 1, sizeof(*l.v)) : NULL;
	if (!l.v)
		return err_nomem(err);
	for (b = 0; b < 2 && !e; b++) {
		e = sets_block_of(s, nr, 2 * v6 + b, &set, err);
		if (!e && set && sets_walk(set, collect, &l))
			e = err_set(err, -EBADMSG,
				    "set '%s' has more elements than it says; apply the policy again",
				    s->set[nr].name);
	}
	if (e) {
		free(l.v);
		return e;
	}
	qsort(l.v, l.n, sizeof(*l.v), sets_order); /* the element comes first in struct control_elem */
	*elems = l.v;
	*n = l.n;
	return 0;
}

/* --- differences --- */

/* One block's part of a list; also what is in the block for good. */
struct part {
	struct sets_elem *now, *old;
	size_t n_now, n_old, n_times;
};

static int old_one(void *arg, const struct sets_elem *elem, const struct set_count *counts)
{
	struct part *p = arg;

	(void)counts;
	if (elem->expires)
		p->n_times++;
	else
		p->old[p->n_old++] = *elem;
	return 0;
}

static int read_part(struct control_sets *s, uint32_t nr, enum filter_block block, struct sets *set,
		     const struct filter_elems *elems, struct part *p, struct sluice_err *err)
{
	const struct set_head *head = s->blocks[nr * FILTER_BLOCKS + block].map;
	struct sets_stats stats;
	size_t i;

	sets_stats(set, &stats);
	if (stats.n > stats.bytes) /* an element takes more than a byte */
		return err_set(err, -EBADMSG, "set '%s' says it has %llu elements; apply the policy again",
			       s->set[nr].name, (unsigned long long)head->n);
	p->old = malloc((stats.n + 1) * sizeof(*p->old));
	p->now = malloc((elems->n + 1) * sizeof(*p->now));
	if (!p->old || !p->now)
		return err_nomem(err);
	for (i = 0; i < elems->n; i++)
		if (sets_block_for(s, nr, block >= FILTER_BLOCK_ADDRS6, elems->v[i].len) == block)
			p->now[p->n_now++] = elems->v[i];
	sets_walk(set, old_one, p);
	qsort(p->old, p->n_old, sizeof(*p->old), sets_order);
	return 0;
}

/* Where old and new do not fit at the same time: what goes makes room first. What is in both stays. */
static int replace(struct sets *set, const struct part *p, struct sets_change *done, struct sluice_err *err)
{
	struct sluice_err why;
	size_t i, k = 0;
	int e = 0, c, settled;

	for (i = 0; i < p->n_old && !e; i++) {
		for (c = 1; k < p->n_now && (c = sets_order(&p->now[k], &p->old[i])) < 0;)
			k++;
		if (k < p->n_now && !c)
			continue;
		e = sets_del(set, &p->old[i], err);
		done->removed += !e;
		e = e == -ENOENT ? 0 : e;
	}
	settled = e ? 0 : sets_settle(set, &why);
	for (i = 0; i < p->n_now && !e; i++) {
		bool added;

		e = sets_add(set, &p->now[i], &added, err);
		done->added += !e && added;
		done->kept += !e && !added;
	}
	/* there would be room */
	return e == -ENOSPC && settled ? err_set(err, settled, "%s", why.text) : e;
}

static int load_block(struct control_sets *s, uint32_t nr, enum filter_block block,
		      const struct filter_elems *elems, struct sets_change *done, struct sluice_err *err)
{
	struct part p = {.n_now = 0};
	struct sets_change d = {0}, before = {0};
	struct sets *set;
	uint64_t need, gone;
	int e = sets_block_of(s, nr, block, &set, err);

	if (e || !set)
		return e;
	e = read_part(s, nr, block, set, elems, &p, err);
	if (!e)
		e = sets_apply(set, p.old, p.n_old, p.now, p.n_now, &d, err);
	if (e == -ENOSPC) {
		before = d; /* what was put in before it was full is found there the next time */
		e = sets_block_sweep(s, nr, block, control_sets_now(), &gone, err);
		p.n_times -= gone < p.n_times ? gone : p.n_times;
		d = (struct sets_change){0};
		if (!e)
			e = gone ? sets_apply(set, p.old, p.n_old, p.now, p.n_now, &d, err) : -ENOSPC;
	}
	if (e == -ENOSPC) {
		before.added += d.added;
		need = p.n_now + p.n_times;
		e = sets_block_grow(s, nr, block, need + need / 4 + p.n_old, err);
		if (!e)
			e = sets_block_of(s, nr, block, &set, err);
		if (!e)
			e = sets_apply(set, p.old, p.n_old, p.now, p.n_now, &d, err);
		if (e == -ENOSPC) {
			before.added += d.added;
			d = (struct sets_change){0};
			e = sets_block_of(s, nr, block, &set, err);
			if (!e)
				e = replace(set, &p, &d, err);
		}
	}
	if (!e) {
		d.added += before.added;
		d.kept -= before.added < d.kept ? before.added : d.kept;
	}
	done->added += d.added;
	done->removed += d.removed;
	done->kept += d.kept;
	free(p.old);
	free(p.now);
	return e == -ENOSPC ? sets_full(s, nr, err) : e;
}

static int fits(const struct control_sets *s, uint32_t nr, uint64_t n, struct sluice_err *err)
{
	if (!s->set[nr].size || n <= s->set[nr].size)
		return 0;
	return err_set(err, -ENOSPC, "%llu elements are more than the size of set '%s', %llu",
		       (unsigned long long)n, s->set[nr].name, (unsigned long long)s->set[nr].size);
}

int control_sets_load(struct control_sets *s, uint32_t nr, const struct filter_elems elems[2],
		      struct sets_change *done, struct sluice_err *err)
{
	uint32_t b;
	int e = fits(s, nr, elems[0].n + elems[1].n, err);

	*done = (struct sets_change){0};
	for (b = 0; b < FILTER_BLOCKS && !e; b++)
		e = load_block(s, nr, b, &elems[b / 2], done, err);
	return e;
}

/* What is there gets its time at once: it is not missing while what is for good is changed. */
static int give_time(struct control_sets *s, uint32_t nr, bool v6, const struct filter_elems *timed,
		     struct sets_change *done, struct sluice_err *err)
{
	struct sets *set;
	size_t i;
	int e = 0;

	for (i = 0; i < timed->n && !e; i++) {
		e = sets_block_of(s, nr, sets_block_for(s, nr, v6, timed->v[i].len), &set, err);
		if (e || !set || sets_get(set, &timed->v[i], NULL, NULL))
			continue;
		e = sets_add(set, &timed->v[i], NULL, err);
		done->kept += !e;
	}
	return e;
}

int control_sets_load_timed(struct control_sets *s, uint32_t nr, const struct filter_elems elems[2],
			    const struct filter_elems timed[2], struct sets_change *done,
			    struct sluice_err *err)
{
	uint32_t now = control_sets_now(), f;
	struct sets_change timed_done = {0};
	enum control_added what;
	size_t i;
	int e = 0;

	*done = (struct sets_change){0};
	if (timed)
		e = fits(s, nr, elems[0].n + elems[1].n + timed[0].n + timed[1].n, err);
	for (f = 0; timed && f < 2 && !e; f++)
		e = give_time(s, nr, f, &timed[f], &timed_done, err);
	e = e ? e : control_sets_load(s, nr, elems, done, err);
	for (f = 0; timed && f < 2 && !e; f++)
		for (i = 0; i < timed[f].n && !e; i++) {
			e = control_sets_add(s, nr, f, &timed[f].v[i], now, &what, err);
			timed_done.added += !e && what == CONTROL_ADDED;
		}
	done->added += timed_done.added;
	done->kept += timed_done.kept;
	return e;
}

int control_sets_flush(struct control_sets *s, uint32_t nr, uint64_t *n, struct sluice_err *err)
{
	struct control_elem *v;
	struct sets *set;
	size_t count, i;
	uint32_t f;
	int e = 0;

	*n = 0;
	for (f = 0; f < 2 && !e; f++) {
		e = control_sets_list(s, nr, f, 0, &v, &count, err);
		for (i = 0; i < count && !e; i++) {
			e = sets_block_of(s, nr, sets_block_for(s, nr, f, v[i].elem.len), &set, err);
			if (!e && set)
				e = sets_del(set, &v[i].elem, err);
			*n += !e;
		}
		free(v);
	}
	return e;
}

int control_sets_expire(struct control_sets *s, uint32_t now, uint64_t *n, struct sluice_err *err)
{
	struct sets *set;
	uint64_t gone;
	uint32_t i;
	int e = 0;

	*n = 0;
	for (i = 0; i < s->n * FILTER_BLOCKS && !e; i++) {
		if (!(s->set[i / FILTER_BLOCKS].flags & SET_EXPIRES))
			continue;
		e = sets_block_of(s, i / FILTER_BLOCKS, i % FILTER_BLOCKS, &set, err);
		if (!e && set)
			e = sets_expire(set, now, &gone, err);
		*n += !e && set ? gone : 0;
	}
	return e;
}
