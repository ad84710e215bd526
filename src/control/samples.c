// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Samples out of the filter's ring (libbpf reads it), and what got lost: which policy each is of says its number,
 * which rule the filter on its interface.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "base/err.h"
#include "bpf/privilege.h"
#include "bpf/seam.h"
#include "control/inside.h"
#include "control/samples.h"
#include "control/store.h"

#define RING_HEAD 8  /* bytes in front of a record (Documentation/bpf/ringbuf.rst of the kernel) */
#define KNOWN_MAX 64 /* policies whose names are kept while reading */

/* A policy that samples may be of. */
struct known {
	uint32_t number;
	struct policy *policy; /* NULL: not kept any more */
	struct control_generation *gen;
};

/* Counters of one filter: the rules that log, the others count nothing there. */
struct counter {
	int fd;
	const struct policy_filter *filter;
};

struct control_samples {
	char bpffs[PATH_MAX];
	struct control_state *st; /* NULL: one filter, given */
	char live[CONTROL_NAME];
	uint32_t live_number;
	int claim_fd;		     /* says that it is read */
	const struct policy *policy; /* the one that is given */
	uint32_t filter;

	struct ring_buffer *ring;
	int ring_fd;
	const uint64_t *consumed, *produced; /* positions in the ring, mapped */
	size_t page;

	struct known known[KNOWN_MAX];
	uint32_t n_known;
	struct counter *counters;
	uint32_t n_counters, n_cpus;
	struct filter_more *cpus; /* room for one rule's */
	uint64_t lost, logged, waiting,
		read; /* lost before this policy; as they were when it was begun with */

	bool (*each)(void *ctx, const struct control_sample *sample);
	void *ctx;
	int given; /* in the call under way */
	bool stop, wrong;
};

/* --- what rules counted, what the ring holds --- */

static uint64_t waiting(const struct control_samples *s)
{
	uint64_t at = __atomic_load_n(s->consumed, __ATOMIC_ACQUIRE),
		 to = __atomic_load_n(s->produced, __ATOMIC_ACQUIRE);

	return (to - at) / (RING_HEAD + sizeof(struct filter_event));
}

static int count_logged(const struct control_samples *s, uint64_t *sum, struct sluice_err *err)
{
	const struct counter *c;
	uint32_t i, cpu;

	*sum = 0;
	for (c = s->counters; c < s->counters + s->n_counters; c++)
		for (i = 0; i < c->filter->n_stmts; i++) {
			if (!c->filter->stmts[i].log)
				continue;
			if (bpf_map_lookup_elem(c->fd, &i, s->cpus))
				return err_set(err, -errno, "reading the counters of rule %u: %s", i + 1,
					       strerror(errno));
			for (cpu = 0; cpu < s->n_cpus; cpu++)
				*sum += s->cpus[cpu].logged;
		}
	return 0;
}

/* From here on is counted what gets lost. What is under way counts as not lost. */
static int begin_counting(struct control_samples *s, struct sluice_err *err)
{
	s->read = 0;
	s->waiting = waiting(s);
	return count_logged(s, &s->logged, err);
}

static int count_lost(const struct control_samples *s, uint64_t *lost, struct sluice_err *err)
{
	uint64_t logged, here;
	int e = count_logged(s, &logged, err);

	here = s->read + waiting(s);
	*lost = s->lost;
	if (!e && logged - s->logged + s->waiting > here)
		*lost += logged - s->logged + s->waiting - here;
	return e;
}

/* --- which rule --- */

/* All but the one in force, whose rules the counters are of. */
static void forget(struct control_samples *s, bool all)
{
	uint32_t i, kept = 0;

	for (i = 0; i < s->n_known; i++) {
		if (!all && s->known[i].number == s->live_number) {
			s->known[kept++] = s->known[i];
			continue;
		}
		policy_free(s->known[i].policy);
		control_generation_free(s->known[i].gen);
	}
	s->n_known = kept;
}

/* The policy of a number; read once. */
static const struct known *find_known(struct control_samples *s, uint32_t number)
{
	char name[CONTROL_NAME];
	struct known *k;
	uint32_t i;

	for (i = 0; i < s->n_known; i++)
		if (s->known[i].number == number)
			return &s->known[i];
	if (s->n_known == KNOWN_MAX)
		forget(s, false);
	k = &s->known[s->n_known++];
	*k = (struct known){.number = number};
	if (store_find(s->st, number, name, NULL) || control_generation_open(s->st, name, &k->gen, NULL) ||
	    control_generation_policy(s->st, name, &k->policy, NULL)) {
		control_generation_free(k->gen);
		k->gen = NULL;
	}
	return k;
}

static void find_rule(struct control_samples *s, const struct filter_event *e, struct control_sample *to)
{
	const struct known *k = NULL;
	uint32_t i, filter = s->filter;

	to->policy = s->policy;
	if (s->st) {
		k = find_known(s, e->generation ? e->generation : s->live_number);
		to->policy = k->policy;
		filter = UINT32_MAX;
		for (i = 0; k->gen && i < k->gen->n_parts; i++)
			if (k->gen->parts[i].ifindex == (int)e->ifindex)
				filter = k->gen->parts[i].filter;
	}
	if (!to->policy || filter >= to->policy->n_filters)
		return;
	to->filter = &to->policy->filters[filter];
	if (e->rule < to->filter->n_stmts)
		to->stmt = &to->filter->stmts[e->rule];
}

static int take(void *ctx, void *data, size_t size)
{
	struct control_samples *s = ctx;
	struct filter_event event;
	struct control_sample sample = {.event = &event};
	uint64_t ago;

	if (size != sizeof(event)) {
		s->wrong = true;
		return -EBADMSG;
	}
	memcpy(&event, data, sizeof(event));
	if (event.captured > FILTER_SAMPLE)
		event.captured = FILTER_SAMPLE;
	if (event.verdict > FILTER_CPU)
		event.verdict = FILTER_PASS;
	ago = clock_mono_ns() - event.ns;
	sample.time_ns = clock_wall_ns() - ((int64_t)ago > 0 ? ago : 0);
	(void)seam_if_name(event.ifindex, sample.ifname);
	find_rule(s, &event, &sample);
	s->read++;
	s->given++;
	s->stop = !s->each(s->ctx, &sample);
	return s->stop ? -ECANCELED : 0;
}

int control_samples_read(struct control_samples *s, int wait_ms,
			 bool (*each)(void *ctx, const struct control_sample *sample), void *ctx,
			 struct sluice_err *err)
{
	int e;

	s->each = each;
	s->ctx = ctx;
	s->given = 0;
	s->stop = s->wrong = false;
	e = ring_buffer__consume(s->ring);
	if (!e && wait_ms)
		e = ring_buffer__poll(s->ring, wait_ms);
	if (s->wrong)
		return err_set(err, -EBADMSG,
			       "the ring of samples holds something else: a filter of another version?");
	if (e < 0 && !s->stop)
		return err_set(err, e, "reading samples: %s", strerror(-e));
	return s->given;
}

/* --- opening, and going on behind a change --- */

static void close_ring(struct control_samples *s)
{
	ring_buffer__free(s->ring);
	s->ring = NULL;
	if (s->consumed)
		munmap((void *)(uintptr_t)s->consumed, s->page);
	if (s->produced)
		munmap((void *)(uintptr_t)s->produced, s->page);
	s->consumed = s->produced = NULL;
}

static int open_ring(struct control_samples *s, int fd, struct sluice_err *err)
{
	void *m;

	s->ring = ring_buffer__new(fd, take, s, NULL);
	if (!s->ring)
		return errno == EPERM ? privilege_missing("reading samples", err)
				      : err_set(err, errno ? -errno : -EIO, "opening the ring of samples: %s",
						strerror(errno));
	s->page = (size_t)sysconf(_SC_PAGESIZE);
	m = mmap(NULL, s->page, PROT_READ, MAP_SHARED, fd, 0);
	s->consumed = m == MAP_FAILED ? NULL : m;
	m = mmap(NULL, s->page, PROT_READ, MAP_SHARED, fd, (off_t)s->page);
	s->produced = m == MAP_FAILED ? NULL : m;
	if (!s->consumed || !s->produced)
		return err_set(err, -errno, "mapping the ring of samples: %s", strerror(errno));
	return 0;
}

static void close_counters(struct control_samples *s)
{
	uint32_t i;

	for (i = 0; s->st && i < s->n_counters; i++)
		if (s->counters[i].fd >= 0)
			close(s->counters[i].fd);
	free(s->counters);
	s->counters = NULL;
	s->n_counters = 0;
}

static int new_samples(struct control_samples **to, struct sluice_err *err)
{
	struct control_samples *s = calloc(1, sizeof(*s));
	int n = seam_n_cpus();

	*to = s;
	if (s) {
		s->claim_fd = s->ring_fd = -1;
		s->n_cpus = n > 0 ? (uint32_t)n : 1;
		s->cpus = calloc(s->n_cpus, sizeof(*s->cpus));
	}
	return s && s->cpus ? 0 : err_nomem(err);
}

int control_samples_open_ring(int ring_fd, int more_fd, const struct policy *p, uint32_t filter,
			      struct control_samples **to, struct sluice_err *err)
{
	struct control_samples *s;
	int e = new_samples(&s, err);

	if (!e) {
		s->policy = p;
		s->filter = filter;
		s->counters = calloc(1, sizeof(*s->counters));
		e = s->counters ? open_ring(s, ring_fd, err) : err_nomem(err);
	}
	if (!e) {
		s->counters[s->n_counters++] = (struct counter){more_fd, &p->filters[filter]};
		e = begin_counting(s, err);
	}
	if (e)
		control_samples_close(s);
	*to = e ? NULL : s;
	return e;
}

/* Counters of every part of the policy in force. */
static int open_counters(struct control_samples *s, struct sluice_err *err)
{
	const struct known *k = find_known(s, s->live_number);
	uint32_t i;
	int fd;

	close_counters(s);
	if (!k->gen)
		return err_set(err, -EBADMSG, "policy %s is in force, but what it is made of cannot be read",
			       s->live);
	s->counters = calloc(k->gen->n_parts + 1ul, sizeof(*s->counters));
	if (!s->counters)
		return err_nomem(err);
	for (i = 0; i < k->gen->n_parts; i++) {
		if (k->gen->parts[i].filter >= k->policy->n_filters)
			continue;
		fd = control_state_map(s->st, s->live, CONTROL_MORE, i, err);
		if (fd < 0)
			return fd;
		s->counters[s->n_counters++] =
			(struct counter){fd, &k->policy->filters[k->gen->parts[i].filter]};
	}
	return 0;
}

/* A policy of balance blocks alone has no ring. */
static int no_ring(const struct control_samples *s, int e, struct sluice_err *err)
{
	struct control_generation *g;

	if (e != -ENOENT || control_generation_open(s->st, s->live, &g, NULL))
		return e;
	if (!g->n_parts)
		e = err_set(err, e, "the policy in force has no filter, so nothing is sampled");
	control_generation_free(g);
	return e;
}

/* Begins with the policy in force: its ring, if that is another one, and its counters. */
static int go_on(struct control_samples *s, struct sluice_err *err)
{
	int fd = control_state_map(s->st, s->live, CONTROL_SAMPLES, 0, err), e = 0;

	if (fd < 0)
		return no_ring(s, fd, err);
	if (s->ring_fd < 0 || control_map_id(fd) != control_map_id(s->ring_fd)) {
		close_ring(s);
		if (s->ring_fd >= 0)
			close(s->ring_fd);
		s->ring_fd = fd;
		e = open_ring(s, fd, err);
	} else {
		close(fd);
	}
	e = e ?: open_counters(s, err);
	return e ?: begin_counting(s, err);
}

/* The ring has one place of reading: two readers would take samples away from each other. */
static int claim(struct control_samples *s, struct sluice_err *err)
{
	s->claim_fd = open(s->st->pins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->claim_fd < 0)
		return errno == EACCES || errno == EPERM
			       ? privilege_missing("reading samples", err)
			       : err_set(err, -errno, "%s: %s", s->st->pins, strerror(errno));
	if (!flock(s->claim_fd, LOCK_EX | LOCK_NB))
		return 0;
	return err_set(err, -EBUSY,
		       "another process reads the samples of this network namespace, and only one can");
}

static int look(struct control_samples *s, struct control_state **st, char live[CONTROL_NAME],
		struct sluice_err *err)
{
	int e = control_state_open(s->bpffs[0] ? s->bpffs : NULL, false, st, err);

	live[0] = '\0';
	return e ?: control_state_current(*st, live, NULL, err);
}

int control_samples_open(const char *bpffs, struct control_samples **to, struct sluice_err *err)
{
	struct control_samples *s;
	int e = new_samples(&s, err);

	*to = NULL;
	if (!e) {
		if (bpffs)
			strncat(s->bpffs, bpffs, sizeof(s->bpffs) - 1);
		e = look(s, &s->st, s->live, err);
	}
	if (!e && !s->live[0])
		e = err_set(err, -ENOENT, "no policy is in force here; sluice apply FILE puts one in");
	if (!e) {
		s->live_number = (uint32_t)strtoul(s->live, NULL, 10);
		e = claim(s, err);
	}
	e = e ?: go_on(s, err);
	if (e)
		control_samples_close(s);
	else
		*to = s;
	return e;
}

int control_samples_check(struct control_samples *s, uint64_t *lost, struct sluice_err *err)
{
	struct control_state *st = NULL;
	char live[CONTROL_NAME];
	int e = s->n_counters ? count_lost(s, lost, err) : 0;

	if (!s->n_counters)
		*lost = s->lost;
	if (e || !s->st)
		return e;
	e = look(s, &st, live, err);
	if (e || !strcmp(live, s->live)) {
		control_state_close(st);
		return e;
	}
	s->lost = *lost;
	control_state_close(s->st);
	s->st = st;
	memcpy(s->live, live, sizeof(live));
	s->live_number = (uint32_t)strtoul(live, NULL, 10);
	if (live[0])
		return go_on(s, err);
	close_counters(s); /* no policy: the ring may still hold what the last one left */
	return 0;
}

void control_samples_close(struct control_samples *s)
{
	if (!s)
		return;
	close_ring(s);
	close_counters(s);
	forget(s, true);
	if (s->ring_fd >= 0)
		close(s->ring_fd);
	if (s->claim_fd >= 0)
		close(s->claim_fd);
	control_state_close(s->st);
	free(s->cpus);
	free(s);
}
