// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is different between two models: lines of a plan, and what has to be made anew for it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/balance.h"
#include "base/err.h"

#define HEALTHY(b) ((b)->health == BALANCE_UP)

static const char *mode_name(enum balance_mode mode)
{
	static const char *const names[] = {"ipip", "gue", "l2", "nat"};

	return names[mode];
}

static const char *fallback_name(enum balance_fallback fallback)
{
	static const char *const names[] = {"drop", "reset", "open"};

	return names[fallback];
}

__attribute__((format(printf, 3, 4))) static void line(struct buf *plan, const struct balance_service *s,
						       const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (!plan)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_printf(plan, "%s: %s\n", s->name, text);
}

static int compare_virtuals(const void *a, const void *b)
{
	const struct balance_virtual *x = *(const struct balance_virtual *const *)a;
	const struct balance_virtual *y = *(const struct balance_virtual *const *)b;
	int order = x->addr.v6 - y->addr.v6;

	if (!order)
		order = memcmp(x->addr.bytes, y->addr.bytes, sizeof(x->addr.bytes));
	if (!order)
		order = x->proto - y->proto;
	if (!order)
		order = x->first - y->first;
	return order ? order : x->last - y->last;
}

static int compare_backends(const void *a, const void *b)
{
	const struct balance_backend *x = *(const struct balance_backend *const *)a;
	const struct balance_backend *y = *(const struct balance_backend *const *)b;
	struct maglev_backend mx = {x->addr, x->port, 0}, my = {y->addr, y->port, 0};

	return maglev_compare(&mx, &my);
}

static int compare_services(const void *a, const void *b)
{
	return strcmp((*(const struct balance_service *const *)a)->name,
		      (*(const struct balance_service *const *)b)->name);
}

/* Pointers to the n things of size bytes at from, in order; never NULL unless memory ran out. */
static void *sorted(const void *from, size_t n, size_t size, int (*compare)(const void *, const void *))
{
	const char *at = from;
	const void **to = calloc(n + 1, sizeof(*to));
	size_t i;

	for (i = 0; to && i < n; i++)
		to[i] = at + i * size;
	if (to)
		qsort(to, n, sizeof(*to), compare);
	return to;
}

static unsigned int virtuals(const struct balance_service *a, const struct balance_service *b,
			     struct buf *plan, int *e)
{
	struct balance_virtual **x =
		sorted(a->virtuals, a->n_virtuals, sizeof(*a->virtuals), compare_virtuals);
	struct balance_virtual **y =
		sorted(b->virtuals, b->n_virtuals, sizeof(*b->virtuals), compare_virtuals);
	size_t i = 0, k = 0;
	unsigned int work = 0;
	char text[BALANCE_TEXT];
	int order;

	if (!x || !y)
		*e = -ENOMEM;
	while (!*e && (i < a->n_virtuals || k < b->n_virtuals)) {
		order = i == a->n_virtuals ? 1 : k == b->n_virtuals ? -1 : compare_virtuals(&x[i], &y[k]);
		if (order < 0)
			line(plan, b, "remove virtual %s", balance_virtual_text(x[i], text, sizeof(text)));
		else if (order > 0)
			line(plan, b, "add virtual %s", balance_virtual_text(y[k], text, sizeof(text)));
		if (order)
			work = BALANCE_WORK_VIRTUALS;
		i += order <= 0;
		k += order >= 0;
	}
	free(x);
	free(y);
	return work;
}

static void added_backend(struct buf *plan, const struct balance_service *s, const struct balance_backend *b)
{
	char text[BALANCE_TEXT];

	line(plan, s, "add backend %s weight %u%s%s", balance_backend_text(b, text, sizeof(text)), b->weight,
	     b->drain ? ", draining" : "", HEALTHY(b) ? "" : ", down");
}

static unsigned int backend(const struct balance_service *s, const struct balance_backend *a,
			    const struct balance_backend *b, struct buf *plan)
{
	unsigned int work = 0;
	char text[BALANCE_TEXT];

	balance_backend_text(b, text, sizeof(text));
	if (a->weight != b->weight) {
		line(plan, s, "backend %s: weight %u -> %u%s", text, a->weight, b->weight,
		     b->weight ? "" : ", draining");
		work = BALANCE_WORK_TARGETS | BALANCE_WORK_TABLE;
	}
	if (a->drain != b->drain) {
		line(plan, s, "backend %s: %s", text, b->drain ? "draining" : "no longer draining");
		work = BALANCE_WORK_TARGETS | BALANCE_WORK_TABLE;
	}
	if (a->has_server != b->has_server || a->server != b->server) {
		if (b->has_server)
			line(plan, s, "backend %s: id %u", text, b->server);
		else
			line(plan, s, "backend %s: no id", text);
		work |= BALANCE_WORK_TARGETS;
	}
	if (a->health != b->health) {
		line(plan, s, "backend %s: %s", text, HEALTHY(b) ? "up" : "down");
		work |= BALANCE_WORK_TARGETS | BALANCE_WORK_TABLE;
	}
	return work;
}

static unsigned int backends(const struct balance_service *a, const struct balance_service *b,
			     struct buf *plan, int *e)
{
	struct balance_backend **x =
		sorted(a->backends, a->n_backends, sizeof(*a->backends), compare_backends);
	struct balance_backend **y =
		sorted(b->backends, b->n_backends, sizeof(*b->backends), compare_backends);
	size_t i = 0, k = 0;
	unsigned int work = 0;
	char text[BALANCE_TEXT];
	int order;

	if (!x || !y)
		*e = -ENOMEM;
	while (!*e && (i < a->n_backends || k < b->n_backends)) {
		order = i == a->n_backends ? 1 : k == b->n_backends ? -1 : compare_backends(&x[i], &y[k]);
		if (order < 0)
			line(plan, b, "remove backend %s", balance_backend_text(x[i], text, sizeof(text)));
		else if (order > 0)
			added_backend(plan, b, y[k]);
		else
			work |= backend(b, x[i], y[k], plan);
		if (order)
			work |= BALANCE_WORK_TARGETS | BALANCE_WORK_TABLE;
		i += order <= 0;
		k += order >= 0;
	}
	free(x);
	free(y);
	return work;
}

static unsigned int options(const struct balance_service *a, const struct balance_service *b,
			    struct buf *plan)
{
	unsigned int work = 0;

	if (a->mode != b->mode) {
		line(plan, b, "forward %s -> %s", mode_name(a->mode), mode_name(b->mode));
		work |= BALANCE_WORK_SERVICE | BALANCE_WORK_TARGETS;
	}
	if (a->gue_port != b->gue_port) {
		line(plan, b, "gue port %u -> %u", a->gue_port, b->gue_port);
		work |= BALANCE_WORK_SERVICE;
	}
	if (a->affinity != b->affinity) {
		line(plan, b, "affinity %s", b->affinity ? "by source" : "none");
		work |= BALANCE_WORK_SERVICE | BALANCE_WORK_SLOTS;
	}
	if (a->stateless != b->stateless) {
		line(plan, b, "%s", b->stateless ? "stateless" : "no longer stateless");
		work |= BALANCE_WORK_SERVICE | BALANCE_WORK_TABLE;
	}
	if (a->n_slots != b->n_slots) {
		line(plan, b, "table %u -> %u slots", a->n_slots, b->n_slots);
		work |= BALANCE_WORK_SERVICE | BALANCE_WORK_TABLE | BALANCE_WORK_SLOTS;
	}
	if (a->quic_bytes != b->quic_bytes || a->quic_config != b->quic_config) {
		if (b->quic_bytes)
			line(plan, b, "server ids of %u byte%s, configuration %u", b->quic_bytes,
			     b->quic_bytes > 1 ? "s" : "", b->quic_config);
		else
			line(plan, b, "no server ids");
		work |= BALANCE_WORK_SERVICE | BALANCE_WORK_TARGETS;
	}
	if (a->hold_s != b->hold_s) {
		line(plan, b, "hold %u s -> %u s", a->hold_s, b->hold_s);
		work |= BALANCE_WORK_SERVICE;
	}
	if (a->fallback != b->fallback) {
		line(plan, b, "without backends: %s -> %s", fallback_name(a->fallback),
		     fallback_name(b->fallback));
		work |= BALANCE_WORK_SERVICE | BALANCE_WORK_TABLE;
	}
	return work;
}

static void work_line(struct buf *plan, const struct balance_service *s, unsigned int work)
{
	line(plan, s, "writes%s%s%s%s%s%s", work & BALANCE_WORK_SERVICE ? " parameters" : "",
	     work & BALANCE_WORK_VIRTUALS ? " virtual addresses" : "",
	     work & BALANCE_WORK_TARGETS ? " backends" : "",
	     (work & (BALANCE_WORK_TABLE | BALANCE_WORK_SLOTS)) == BALANCE_WORK_TABLE ? " slots that change"
										      : "",
	     work & BALANCE_WORK_SLOTS ? " all slots" : "",
	     work & BALANCE_WORK_SLOTS ? "; established flows outside the flow table move" : "");
}

static void added(struct buf *plan, const struct balance_service *s)
{
	char text[BALANCE_TEXT];
	size_t i;

	line(plan, s, "add service, forward %s, table of %u slots%s%s", mode_name(s->mode), s->n_slots,
	     s->affinity ? ", affinity by source" : "", s->stateless ? ", stateless" : "");
	for (i = 0; i < s->n_virtuals; i++)
		line(plan, s, "add virtual %s", balance_virtual_text(&s->virtuals[i], text, sizeof(text)));
	for (i = 0; i < s->n_backends; i++)
		added_backend(plan, s, &s->backends[i]);
}

static unsigned int service(const struct balance_service *a, const struct balance_service *b, bool reseeded,
			    struct buf *plan, int *e)
{
	unsigned int work;

	if (!a) {
		added(plan, b);
		return BALANCE_WORK_VIRTUALS | BALANCE_WORK_TARGETS | BALANCE_WORK_TABLE |
		       BALANCE_WORK_SLOTS | BALANCE_WORK_SERVICE;
	}
	if (!b) {
		line(plan, a, "remove service");
		return BALANCE_WORK_VIRTUALS | BALANCE_WORK_SERVICE;
	}
	work = options(a, b, plan) | virtuals(a, b, plan, e) | backends(a, b, plan, e);
	if (reseeded) {
		line(plan, b, "another seed");
		work |= BALANCE_WORK_SLOTS;
	}
	if (work)
		work_line(plan, b, work);
	return work;
}

int balance_diff(const struct balance_model *before, const struct balance_model *after,
		 struct balance_change **changes, size_t *n, struct buf *plan, struct sluice_err *err)
{
	size_t most = before->n_services + after->n_services, i = 0, k = 0;
	const struct balance_service **x = calloc(before->n_services + 1, sizeof(*x));
	const struct balance_service **y = calloc(after->n_services + 1, sizeof(*y));
	struct balance_change *to = calloc(most + 1, sizeof(*to));
	bool reseeded = strcmp(before->seed, after->seed) != 0;
	int e = 0, order;

	*changes = NULL;
	*n = 0;
	if (!x || !y || !to)
		e = -ENOMEM;
	for (i = 0; !e && i < before->n_services; i++)
		x[i] = before->services[i];
	for (i = 0; !e && i < after->n_services; i++)
		y[i] = after->services[i];
	if (!e) {
		qsort(x, before->n_services, sizeof(*x), compare_services);
		qsort(y, after->n_services, sizeof(*y), compare_services);
	}
	for (i = 0; !e && (i < before->n_services || k < after->n_services);) {
		struct balance_change c = {0};

		order = i == before->n_services	 ? 1
			: k == after->n_services ? -1
						 : compare_services(&x[i], &y[k]);
		c.before = order <= 0 ? x[i++] : NULL;
		c.after = order >= 0 ? y[k++] : NULL;
		c.work = service(c.before, c.after, reseeded, plan, &e);
		if (c.work)
			to[(*n)++] = c;
	}
	if (!e && plan && plan->failed)
		e = -ENOMEM;
	free(x);
	free(y);
	if (e) {
		free(to);
		*n = 0;
		return err_nomem(err);
	}
	*changes = to;
	return 0;
}
