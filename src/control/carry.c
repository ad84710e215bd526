// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What goes on when one generation follows another. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "control/build.h"
#include "control/carry.h"
#include "control/counts.h"
#include "control/inside.h"
#include "hook/generation.h"

/* --- which rule is which --- */

struct at {
	uint64_t key;
	uint32_t index;
};

static int by_key(const void *a, const void *b)
{
	const struct at *x = a, *y = b;

	return x->key != y->key ? (x->key < y->key ? -1 : 1) : x->index < y->index ? -1 : x->index > y->index;
}

static struct at *sorted(const struct build_rule *v, uint32_t n)
{
	struct at *at = calloc(n + 1ul, sizeof(*at));
	uint32_t i;

	for (i = 0; at && i < n; i++)
		at[i] = (struct at){v[i].key, i};
	if (at)
		qsort(at, n, sizeof(*at), by_key);
	return at;
}

/* old[i] is the rule that rule i goes on from, UINT32_MAX: none. Of several of one key the nth from the nth. */
static int pair(const struct build_rule *now, uint32_t n_now, const struct build_rule *before, uint32_t n_before,
		uint32_t **old)
{
	struct at *a = sorted(now, n_now), *b = sorted(before, n_before);
	uint32_t i = 0, k = 0;

	*old = malloc((n_now + 1ul) * sizeof(**old));
	if (a && b && *old) {
		memset(*old, 0xff, n_now * sizeof(**old));
		while (i < n_now && k < n_before) {
			if (a[i].key < b[k].key) {
				i++;
			} else if (a[i].key > b[k].key) {
				k++;
			} else {
				(*old)[a[i++].index] = b[k++].index;
			}
		}
	}
	free(a);
	free(b);
	if (a && b && *old)
		return 0;
	free(*old);
	*old = NULL;
	return -ENOMEM;
}

static int part_on(const struct control_generation *g, int ifindex)
{
	uint32_t i;

	for (i = 0; i < g->n_parts; i++)
		if (g->parts[i].ifindex == ifindex)
			return (int)i;
	return -1;
}

/* Rules of two filters and how they go together. */
struct both {
	struct build_rule *now, *before;
	uint32_t n_now, n_before, *old;
};

static void both_free(struct both *b)
{
	free(b->now);
	free(b->before);
	free(b->old);
}

static int both_read(const struct control_state *st, const char *now, uint32_t filter, const char *before,
		     uint32_t old_filter, struct both *b, struct sluice_err *err)
{
	int e;

	memset(b, 0, sizeof(*b));
	e = build_rules(st, now, filter, &b->now, &b->n_now, err) ?:
	    build_rules(st, before, old_filter, &b->before, &b->n_before, err);
	if (!e && pair(b->now, b->n_now, b->before, b->n_before, &b->old))
		e = err_nomem(err);
	if (e)
		both_free(b);
	return e;
}

/* --- counters --- */

/* Counters of a part: carried over, the map's, or both. */
static int read_counts(const struct control_state *st, const struct control_generation *g, uint32_t part,
		       uint32_t n, bool with_carried, struct filter_count *to, struct sluice_err *err)
{
	struct filter_count *carried = calloc(n, sizeof(*carried));
	char added[CONTROL_NAME];
	uint32_t i;
	struct counts_maps maps;
	int e = counts_open(st, g->name, &g->parts[part], part, n, &maps, err);

	e = e ?: carried ? 0 : err_nomem(err);
	e = e ?: counts_read(&maps, to, n, err);
	if (with_carried)
		e = e ?: counts_carried(st, g->name, part, carried, n, added, err);
	for (i = 0; i < n && !e; i++)
		counts_add(&to[i], &carried[i]);
	counts_close(&maps);
	free(carried);
	return e;
}

/* What part i goes on from, for free(); *there: it has that already. */
static int sum_part(const struct control_state *st, const struct control_generation *from, uint32_t k,
		    const struct control_generation *to, uint32_t i, bool back, struct filter_count **sum,
		    uint32_t *n, bool *there, struct sluice_err *err)
{
	struct filter_count *old = NULL, *v = NULL;
	char added[CONTROL_NAME] = "";
	struct both b;
	uint32_t r;
	int e = both_read(st, to->name, to->parts[i].filter, from->name, from->parts[k].filter, &b, err);

	*sum = NULL;
	if (e)
		return e;
	old = calloc(b.n_before, sizeof(*old));
	v = calloc(b.n_now, sizeof(*v));
	e = old && v ? 0 : err_nomem(err);
	e = e ?: read_counts(st, from, k, b.n_before, !back, old, err);
	if (back)
		e = e ?: counts_carried(st, to->name, i, v, b.n_now, added, err);
	*there = back && !strcmp(added, from->name);
	for (r = 0; !e && !*there && r < b.n_now; r++)
		if (b.old[r] != UINT32_MAX)
			counts_add(&v[r], &old[b.old[r]]);
	*n = b.n_now;
	free(old);
	both_free(&b);
	if (e)
		free(v);
	else
		*sum = v;
	return e;
}

static int carry_part(const struct control_state *st, const struct control_generation *from, uint32_t k,
		      const struct control_generation *to, uint32_t i, bool back, struct sluice_err *err)
{
	struct filter_count *v;
	bool there;
	uint32_t n;
	int e = sum_part(st, from, k, to, i, back, &v, &n, &there, err);

	if (!e && !there)
		e = counts_carry(st, to->name, i, v, n, back ? from->name : "", err);
	free(v);
	return e;
}

int carry_tried(const struct control_state *st, const char *tried, const struct control_generation *to,
		uint32_t part, struct filter_count *v, uint32_t n, struct sluice_err *err)
{
	struct control_generation *from;
	struct filter_count *sum = NULL;
	bool there;
	uint32_t n_sum = 0;
	int e = control_generation_open(st, tried, &from, err),
	    k = e ? -1 : part_on(from, to->parts[part].ifindex);

	if (k >= 0)
		e = sum_part(st, from, (uint32_t)k, to, part, true, &sum, &n_sum, &there, err);
	if (!e && sum && n_sum == n)
		memcpy(v, sum, n * sizeof(*v));
	free(sum);
	if (from)
		control_generation_free(from);
	return e;
}

static int carry_all(const struct control_state *st, const char *from, const char *to, bool back, struct sluice_err *err)
{
	struct control_generation *a = NULL, *b = NULL;
	uint32_t i;
	int k, e = control_generation_open(st, from, &a, err) ?: control_generation_open(st, to, &b, err);

	if (!e)
		generation_wait();
	for (i = 0; !e && i < b->n_parts; i++) {
		k = part_on(a, b->parts[i].ifindex);
		if (k >= 0)
			e = carry_part(st, a, (uint32_t)k, b, i, back, err);
	}
	control_generation_free(a);
	control_generation_free(b);
	return e;
}

int carry_counts(const struct control_state *st, const char *from, const char *to, struct sluice_err *err)
{
	return from[0] && to[0] ? carry_all(st, from, to, false, err) : 0;
}

int carry_back(const struct control_state *st, const char *tried, const char *to, struct sluice_err *err)
{
	return tried[0] && to[0] ? carry_all(st, tried, to, true, err) : 0;
}

/* --- cells of limits --- */

static bool same_limit(const struct build_rule *a, const struct build_rule *b)
{
	return a->has_limit && b->has_limit && a->key == b->key && a->per == b->per && a->mask4 == b->mask4 &&
	       !memcmp(a->mask6, b->mask6, sizeof(a->mask6)) && a->limit.depth == b->limit.depth &&
	       a->limit.packet == b->limit.packet && a->limit.byte == b->limit.byte &&
	       a->limit.shift == b->limit.shift && a->limit.clock == b->limit.clock && a->limit.keyed == b->limit.keyed;
}

/* All limits the same, in the same order and places: the map itself goes on. Other rules do not matter. */
static bool same_layout(const struct both *b)
{
	uint32_t i = 0, k = 0;

	for (;; i++, k++) {
		while (i < b->n_now && !b->now[i].has_limit)
			i++;
		while (k < b->n_before && !b->before[k].has_limit)
			k++;
		if (i >= b->n_now || k >= b->n_before)
			return i >= b->n_now && k >= b->n_before;
		if (!same_limit(&b->now[i], &b->before[k]) || b->now[i].limit.first != b->before[k].limit.first ||
		    b->now[i].limit.mask != b->before[k].limit.mask)
			return false;
	}
}

static int first_part(const struct control_generation *g, uint32_t filter)
{
	uint32_t i;

	for (i = 0; i < g->n_parts; i++)
		if (g->parts[i].filter == filter)
			return (int)i;
	return -1;
}

int carry_cells_map(const struct control_state *st, const struct control_generation *g, uint32_t filter,
		    uint32_t n_cells)
{
	struct control_generation *live;
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	int fd = -1, i = first_part(g, filter), k;
	struct both b;

	if (i < 0 || !st->record.live[0] || control_generation_open(st, st->record.live, &live, NULL))
		return -1;
	k = part_on(live, g->parts[i].ifindex);
	if (k >= 0 && !both_read(st, g->name, filter, live->name, live->parts[k].filter, &b, NULL)) {
		if (same_layout(&b))
			fd = control_state_map(st, live->name, CONTROL_CELLS, live->parts[k].filter, NULL);
		both_free(&b);
	}
	control_generation_free(live);
	if (fd >= 0 && (bpf_obj_get_info_by_fd(fd, &info, &len) || info.value_size != n_cells * 8)) {
		close(fd);
		fd = -1;
	}
	return fd < 0 ? -1 : fd;
}

struct cells {
	uint64_t *v;
	uint32_t n, id;
};

static void cells_open(const struct control_state *st, const char *name, uint32_t filter, struct cells *c)
{
	int fd = control_state_map(st, name, CONTROL_CELLS, filter, NULL);
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	void *m;

	memset(c, 0, sizeof(*c));
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len)) {
		m = mmap(NULL, info.value_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (m != MAP_FAILED)
			*c = (struct cells){m, info.value_size / 8, info.id};
	}
	close(fd);
}

static void cells_close(struct cells *c)
{
	if (c->v)
		munmap(c->v, (size_t)c->n * 8);
}

/* Cells of one key or none: the one whose bucket is empty later stays, as the packet path would have it. */
static void offer(uint64_t *bucket, uint64_t cell)
{
	uint32_t i, least = 0;

	for (i = 0; i < LIMIT_WAYS; i++) {
		if (!(bucket[i] >> 32)) {
			bucket[i] = cell;
			return;
		}
		if ((int32_t)((uint32_t)bucket[i] - (uint32_t)bucket[least]) < 0)
			least = i;
	}
	if ((int32_t)((uint32_t)cell - (uint32_t)bucket[least]) > 0)
		bucket[least] = cell;
}

/*
 * A key's bucket is the upper half of its hash, masked. Into fewer buckets several become one; into more, a bucket
 * is copied to all that its keys could be in, and the copies that are not looked for give way.
 */
static void copy_region(const struct limit *from, const struct cells *a, const struct limit *to, const struct cells *b)
{
	uint32_t n_from = from->keyed ? from->mask + 1 : 1, n_to = to->keyed ? to->mask + 1 : 1, ways, i, w;

	ways = to->keyed ? LIMIT_WAYS : 1;
	if ((uint64_t)from->first + (uint64_t)n_from * ways > a->n || (uint64_t)to->first + (uint64_t)n_to * ways > b->n)
		return;
	if (!to->keyed) {
		b->v[to->first] = a->v[from->first];
		return;
	}
	for (i = 0; i < (n_from > n_to ? n_from : n_to); i++)
		for (w = 0; w < LIMIT_WAYS; w++)
			if (a->v[from->first + (i & from->mask) * LIMIT_WAYS + w] >> 32)
				offer(&b->v[to->first + (i & to->mask) * LIMIT_WAYS],
				      a->v[from->first + (i & from->mask) * LIMIT_WAYS + w]);
}

static void copy_filter(const struct control_state *st, const struct control_generation *a, uint32_t old_filter,
			const struct control_generation *b, uint32_t filter)
{
	struct cells from, to;
	struct both both;
	uint32_t i;

	if (both_read(st, b->name, filter, a->name, old_filter, &both, NULL))
		return;
	cells_open(st, a->name, old_filter, &from);
	cells_open(st, b->name, filter, &to);
	for (i = 0; from.v && to.v && from.id != to.id && i < both.n_now; i++)
		if (both.old[i] != UINT32_MAX && same_limit(&both.now[i], &both.before[both.old[i]]))
			copy_region(&both.before[both.old[i]].limit, &from, &both.now[i].limit, &to);
	cells_close(&from);
	cells_close(&to);
	both_free(&both);
}

void carry_cells(const struct control_state *st, const char *from, const char *to)
{
	struct control_generation *a = NULL, *b = NULL;
	uint32_t f;
	int i, k;

	if (from[0] && to[0] && !control_generation_open(st, from, &a, NULL) && !control_generation_open(st, to, &b, NULL))
		for (f = 0; f < b->n_filters; f++) {
			i = first_part(b, f);
			k = i < 0 ? -1 : part_on(a, b->parts[i].ifindex);
			if (k >= 0)
				copy_filter(st, a, a->parts[k].filter, b, f);
		}
	control_generation_free(a);
	control_generation_free(b);
}
