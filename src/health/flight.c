// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Slots of probes under way, and their descriptors in epoll. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/text.h"
#include "health/inside.h"

struct flight *flight_take(struct health *h)
{
	struct flight *f = h->free;

	if (!f) {
		if (h->n_flights >= h->o.max_flights)
			return NULL;
		f = calloc(1, sizeof(*f));
		if (!f)
			return NULL;
		f->index = h->n_flights;
		h->flights[h->n_flights++] = f;
	} else {
		h->free = f->next;
	}
	*f = (struct flight){.index = f->index,
			     .generation = f->generation + 1,
			     .fd = -1,
			     .pidfd = -1,
			     .said = -1};
	h->stats.flights++;
	if (h->stats.flights > h->stats.flights_max)
		h->stats.flights_max = h->stats.flights;
	return f;
}

void flight_release(struct health *h, struct flight *f)
{
	if (!f->kind)
		return;
	if (f->fd >= 0)
		close(f->fd);
	if (f->pidfd >= 0)
		close(f->pidfd);
	if (f->said >= 0)
		close(f->said);
	f->fd = f->pidfd = f->said = -1;
	if (f->kind == &kind_command)
		(*(f->stage == STAGE_DYING ? &h->n_dying : &h->stats.commands))--;
	h->stats.flights--;
	f->kind = NULL;
	f->next = h->free;
	h->free = f;
}

static int watch(struct health *h, const struct flight *f, int op, int fd, uint32_t events,
		 unsigned int second)
{
	struct epoll_event e = {.events = events};

	e.data.u64 = (uint64_t)f->generation << 32 | f->index << 1 | second;
	return epoll_ctl(h->epoll, op, fd, &e) ? -errno : 0;
}

int flight_watch(struct health *h, struct flight *f, uint32_t events)
{
	int op = f->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (events == f->events)
		return 0;
	f->events = events;
	return watch(h, f, op, f->fd, events, 0);
}

int flight_watch_pid(struct health *h, struct flight *f)
{
	return watch(h, f, EPOLL_CTL_ADD, f->pidfd, EPOLLIN, 1);
}

void flight_why(struct flight *f, const char *fmt, ...)
{
	char text[sizeof(f->why)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	text_printable(text, f->why, sizeof(f->why));
}

void flight_timeout_text(const struct flight *f, char to[24])
{
	uint64_t ms = f->target->rule->p.timeout_ns / 1000000;

	if (ms % 1000)
		snprintf(to, 24, "%llums", (unsigned long long)ms);
	else
		snprintf(to, 24, "%llus", (unsigned long long)(ms / 1000));
}
