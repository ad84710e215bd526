// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Ways brought to the backends of a generation. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/err.h"
#include "control/balance_hops.h"
#include "control/balance_inside.h"

static int by_way(const void *a, const void *b)
{
	const struct hop_of *x = a, *y = b;
	int order = ways_compare(&x->to, &y->to);

	order = order ? order : (x->service > y->service) - (x->service < y->service);
	return order ? order : (x->backend > y->backend) - (x->backend < y->backend);
}

int hops_make(const struct balance_model *m, struct hops *to, struct sluice_err *err)
{
	const struct balance_service *s;
	size_t n = 0, i, k;

	*to = (struct hops){0};
	for (i = 0; i < m->n_services; i++)
		n += m->services[i]->n_backends;
	to->v = calloc(n + 1, sizeof(*to->v));
	if (!to->v)
		return err_nomem(err);
	for (i = 0; i < m->n_services; i++) {
		s = m->services[i];
		for (k = 0; k < s->n_backends; k++)
			to->v[to->n++] = (struct hop_of){.to = {s->backends[k].addr, s->mode == BALANCE_L2},
							 .service = (uint32_t)i,
							 .backend = (uint32_t)k};
	}
	qsort(to->v, to->n, sizeof(*to->v), by_way);
	return 0;
}

int hops_want(const struct hops *h, struct ways *w, struct sluice_err *err)
{
	struct way_want *want = calloc(h->n + 1, sizeof(*want));
	size_t i, n = 0;
	int e;

	if (!want)
		return err_nomem(err);
	for (i = 0; i < h->n; i++)
		if (!n || ways_compare(&want[n - 1], &h->v[i].to))
			want[n++] = h->v[i].to;
	e = ways_want(w, want, n < WAYS_MAX ? n : WAYS_MAX, err);
	free(want);
	if (!e && n > WAYS_MAX)
		e = err_set(err, -ENOSPC, "%zu addresses of backends: ways of %u are kept, those of the others are looked up for "
			    "each packet", n, WAYS_MAX);
	return e;
}

void hops_free(struct hops *h)
{
	free(h->v);
	*h = (struct hops){0};
}

struct hop_of *hops_first(const struct hops *h, const struct way_want *to)
{
	size_t lo = 0, hi = h->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (ways_compare(&h->v[mid].to, to) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < h->n && !ways_compare(&h->v[lo].to, to) ? &h->v[lo] : NULL;
}

static void describe(const struct way *way, char say[HOPS_TEXT])
{
	char addr[NET_ADDR_TEXT], text[WAYS_TEXT];

	snprintf(say, HOPS_TEXT, "backend %s %s", net_addr_format(&way->to.addr, addr, sizeof(addr)),
		 ways_say(way, text));
}

void hops_tell(struct hop_of *first, const struct way *way, char say[HOPS_TEXT])
{
	bool bad = way->state != WAY_READY && way->state != WAY_ASKED && way->state != WAY_NEW;

	say[0] = '\0';
	if (first->told ? way->state != WAY_READY : !bad)
		return;
	first->told = bad;
	describe(way, say);
}

int hops_set(const struct hops *h, struct balance_live *b, const struct way *way, struct sluice_err *err)
{
	const struct hop_of *at = hops_first(h, &way->to);
	int e = 0, code;

	if (way->state == WAY_NEW)
		return 0;
	for (; at && at < h->v + h->n && !ways_compare(&at->to, &way->to); at++) {
		code = live_way(b, at->service, at->backend, way->state == WAY_READY ? &way->hop : NULL, err);
		/* who has no number yet gets no packets */
		e = e ?: code == -ENOENT ? 0 : code;
	}
	return e;
}

/* A daemon has its lock: the ways that there are, are right (balance_serve.c). */
static bool is_followed(const struct control_state *st)
{
	char path[PATH_MAX];
	bool followed;
	int fd;

	if (snprintf(path, sizeof(path), "%s/serve", st->run) >= (int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	followed = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return followed;
}

/* Only what has no way yet stays. */
static void only_new(struct hops *h, struct balance_live *b)
{
	struct balance_live_backend now;
	size_t i, n = 0;

	for (i = 0; i < h->n; i++)
		if (balance_live_backend(b, h->v[i].service, h->v[i].backend, &now, NULL) || !now.way)
			h->v[n++] = h->v[i];
	h->n = n;
}

int control_balance_ways(const struct control_state *st, struct balance_live *b, uint64_t wait_ns,
			 void (*say)(void *ctx, const char *sentence), void *ctx, struct sluice_err *err)
{
	const struct way *way;
	struct ways *w = NULL;
	struct hops h = {0};
	char text[HOPS_TEXT];
	size_t i;
	int e = hops_make(balance_live_model(b), &h, err) ?: ways_new(true, &w, err);

	if (!e && is_followed(st))
		only_new(&h, b);
	e = e ?: hops_want(&h, w, err) ?: ways_settle(w, wait_ns, err);
	for (i = 0; !e && i < h.n; i++) {
		if (i && !ways_compare(&h.v[i - 1].to, &h.v[i].to))
			continue;
		way = ways_find(w, &h.v[i].to);
		if (say && way->state != WAY_READY) {
			describe(way, text);
			say(ctx, text);
		}
		/* what has no room for its way is looked up packet by packet */
		e = hops_set(&h, b, way, err);
		e = e == -ENOSPC ? 0 : e;
	}
	ways_free(w);
	hops_free(&h);
	return e;
}
